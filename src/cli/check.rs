//! `check`: a list rehearsed by hand. Nothing is deleted, and no trace is left.

use std::path::PathBuf;

use clap::Args;

use super::args::ReadingArgs;
use super::lists::{List, rehearse, without_import};
use super::{Exit, Failure, Scene, summary, tenant};
use crate::daemon;
use crate::domain::TenantName;

/// Arguments of `check`.
#[derive(Args, Debug)]
#[command(
    about = "Rehearse a list: the same work and report, nothing is deleted, no trace is left",
    after_help = "Examples:\n  expunged check june.csv --tenant acme\n  expunged check june.csv --tenant acme --map 'E-mail=Customer Email' --json\n\n\
                  Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 done, some rows invalid; 4 no such tenant or file; 5 it would be held; \
                  6 it would be rejected"
)]
pub struct CheckArgs {
    /// The list
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Whose customers
    #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
    pub tenant: TenantName,
    /// How it is read.
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(scene: &Scene, args: &CheckArgs) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    let tenant = tenant::sound(scene, &config, &args.tenant)?;
    let mut list = List::open(&args.file)?;
    let rules = daemon::rules(&config, tenant);
    let report = rehearse(&config, tenant, &rules, &args.reading, &mut list)?;
    if args.json {
        scene.terminal.json(&without_import(&report))?;
    } else {
        summary::print_errors(&scene.terminal, &report);
        summary::print(&scene.terminal, &report)?;
    }
    Ok(summary::exit_of(&report))
}
