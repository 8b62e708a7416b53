//! The program: words for people, exit codes.

fn main() {}
