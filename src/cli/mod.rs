//! Commands: words for people, exit codes.
//!
//! A command reads its arguments, finds the config, does its work through the layers below, and answers. What it prints
//! goes through [`Terminal`], why it could not through [`Failure`]. The rules of a command live below, not here.

mod args;
mod asked;
mod check;
mod customers;
mod decide;
mod demo;
mod exemptions;
mod failure;
mod files;
mod folders;
mod imports;
mod init;
mod lists;
mod load;
mod owner;
mod password;
mod plan;
mod prompt;
mod purge;
mod receipt;
mod sample;
mod scrub;
mod serve;
mod store;
mod summary;
mod suppressions;
mod tenant;
mod voice;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use args::{PersonArgs, ReadingArgs};
pub use check::CheckArgs;
pub use customers::CustomersCommand;
pub use decide::DecideArgs;
pub use demo::DemoArgs;
pub use exemptions::ExemptionsCommand;
pub use failure::{Exit, Failure};
pub use imports::ImportsCommand;
pub use init::InitArgs;
pub use load::{LoadArgs, LoadKind};
pub use plan::PlanCommand;
pub use purge::PurgeArgs;
pub use receipt::ReceiptCommand;
pub use sample::{SampleArgs, SampleKind};
pub use scrub::ScrubArgs;
pub use serve::ServeArgs;
pub use suppressions::SuppressionsCommand;
pub use tenant::TenantCommand;
pub use voice::Terminal;

use crate::config::Config;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "expunged",
    version,
    about = "An SFTP drop-folder daemon that erases customers",
    long_about = "Partners push lists of people to erase by SFTP; seconds later those people and all of their history are gone from the \
                  store, and the sender finds a report in the same SFTP account.",
    after_help = EXIT_HELP,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// The config file [default: ./expunged.toml, else /etc/expunged/expunged.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a config, the folders, the keys and an empty store
    Init(InitArgs),
    /// Add, list, show and remove tenants
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Run the daemon
    Serve(ServeArgs),
    /// Show the whole thing on made-up customers, in a scratch folder
    Demo(DemoArgs),
    /// Rehearse a list: nothing is deleted, no trace is left
    Check(CheckArgs),
    /// Erase people now: those of a list, or one person
    Purge(PurgeArgs),
    /// Print a sample file
    Sample(SampleArgs),
    /// What happened to a file
    #[command(subcommand)]
    Imports(ImportsCommand),
    /// The erasure plan: what becomes of each table
    #[command(subcommand)]
    Plan(PlanCommand),
    /// People who must not be erased
    #[command(subcommand)]
    Exemptions(ExemptionsCommand),
    /// People who must not be registered again
    #[command(subcommand)]
    Suppressions(SuppressionsCommand),
    /// Show that reports and scrub receipts are ours, word for word
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Search the store for traces of purged people now
    Scrub(ScrubArgs),
    /// Fill the built-in store from a CSV or JSONL file
    Load(LoadArgs),
    /// Find people, and show everything held about one
    #[command(subcommand)]
    Customers(CustomersCommand),
}

/// What every command has: its voice, where the config is, and how it was typed.
pub struct Scene {
    /// Where it speaks.
    pub terminal: Terminal,
    /// `--config`, where it was given.
    pub config: Option<PathBuf>,
    /// The whole command line.
    pub command_line: Vec<OsString>,
}

/// Runs the program's command line and answers its exit code.
#[must_use]
pub fn main() -> ExitCode {
    voice::guard_panics();
    let command_line: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&command_line) {
        Ok(cli) => cli,
        Err(error) => {
            // Help for a reader who went away is no failure.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let scene = Scene { terminal: Terminal::of_process(), config: cli.config, command_line };
    match run(&scene, &cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            scene.terminal.fail(&failure);
            failure.exit().into()
        }
    }
}

fn run(scene: &Scene, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(scene, args),
        Command::Tenant(command) => tenant::run(scene, command),
        Command::Serve(args) => serve::run(scene, args),
        Command::Sample(args) => sample::run(scene, args),
        Command::Demo(args) => demo::run(scene, args),
        Command::Check(args) => check::run(scene, args),
        Command::Purge(args) => purge::run(scene, args),
        Command::Imports(command) => imports::run(scene, command),
        Command::Plan(command) => plan::run(scene, command),
        Command::Exemptions(command) => exemptions::run(scene, command),
        Command::Suppressions(command) => suppressions::run(scene, command),
        Command::Receipt(command) => receipt::run(scene, command),
        Command::Scrub(args) => scrub::run(scene, args),
        Command::Load(args) => load::run(scene, args),
        Command::Customers(command) => customers::run(scene, command),
    }
}

impl Scene {
    /// Finds and reads the config. Tenants with faults are warned of: they are disabled, the others are not.
    ///
    /// # Errors
    /// [`Exit::Usage`], with every fault of the main file, or where there is none.
    pub fn load_config(&self) -> Result<Config, Failure> {
        let file = self.find_config()?;
        Config::load(&file).map_err(|faults| {
            let failure = owner::hint_if_denied(Failure::from(faults), &file, &self.command_line);
            if file.try_exists().unwrap_or(true) { failure } else { failure.hint("make one with: expunged init DIR") }
        })
    }

    /// Warns of every fault in the tenants' files.
    pub fn warn_of_tenants(&self, config: &Config) {
        for fault in config.tenants.faults() {
            self.terminal.warn(fault);
        }
    }

    /// Stops a command that would write as another user than the data folder's owner.
    ///
    /// # Errors
    /// [`Exit::Failed`], with the command as it should be typed.
    pub fn guard_owner(&self, config: &Config) -> Result<(), Failure> {
        owner::guard(&config.data_dir, &self.command_line)
    }

    /// A command of this program as it can be typed here, the same config named.
    #[must_use]
    pub fn typed(&self, config: Option<&Path>, words: &[&str]) -> String {
        let mut line = vec![self.command_line.first().cloned().unwrap_or_else(|| "expunged".into())];
        if let Some(file) = config {
            line.extend(["--config".into(), file.as_os_str().to_owned()]);
        }
        line.extend(words.iter().map(OsString::from));
        owner::shell_line(line.iter().map(OsString::as_os_str))
    }

    fn find_config(&self) -> Result<PathBuf, Failure> {
        if let Some(file) = &self.config {
            return Ok(file.clone());
        }
        let found = CONFIG_FILES.iter().map(Path::new).find(|file| file.symlink_metadata().is_ok());
        found.map(Path::to_owned).ok_or_else(|| {
            Failure::usage(format!("no config file: neither \"{}\" nor \"{}\" is there", CONFIG_FILES[0], CONFIG_FILES[1]))
                .hint("make one with: expunged init DIR")
                .hint("or name one with: --config FILE")
        })
    }
}

/// Where the config is looked for.
const CONFIG_FILES: [&str; 2] = ["./expunged.toml", "/etc/expunged/expunged.toml"];

/// The exit codes, as the help lists them.
const EXIT_HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  usage or configuration
  3  done, some rows invalid
  4  no such tenant, import, customer or file
  5  held, waits for an operator
  6  rejected, nothing deleted";

#[cfg(test)]
mod tests;
