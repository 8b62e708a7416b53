//! The program: words for people, exit codes.

use std::process::ExitCode;

fn main() -> ExitCode {
    expunged::cli::main()
}
