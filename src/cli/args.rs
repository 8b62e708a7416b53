//! Arguments of the commands that work on lists and on the store: their names, bounds and help.
//!
//! An address is never an argument: arguments land in shell history and in sudo's log.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use crate::domain::{ImportId, TenantName};

/// Arguments of `serve`.
#[derive(Args, Debug)]
#[command(
    about = "Run the daemon",
    after_help = "Receives, imports and reports until SIGTERM or Ctrl-C, then lets what runs come to a stop. SIGHUP reads the config again.\n\
                  Log lines go to standard error.\n\n\
                  Exit codes: 0 stopped as asked; 1 failed; 2 usage or configuration"
)]
pub struct ServeArgs {}

/// Arguments of `demo`.
#[derive(Args, Debug)]
#[command(
    about = "Show the whole thing on made-up customers, in a scratch folder",
    after_help = "Examples:\n  expunged demo\n  expunged demo --once\n\nExit codes: 0 done; 1 failed"
)]
pub struct DemoArgs {
    /// End after the first report instead of waiting for Ctrl-C
    #[arg(long)]
    pub once: bool,
}

/// What a file for `load` holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LoadKind {
    /// accountId,id,email,firstName,lastName,createdAt
    Customers,
    /// id,referrerAccountId,referrerId,referredAccountId,referredId,status,createdAt
    Referrals,
    /// id,accountId,userId,referralId,type,amount,currency,status,createdAt
    Rewards,
    /// id,accountId,userId,name,occurredAt,properties
    Events,
    /// accountId,userId,name,value
    Fields,
}

/// Arguments of `load`.
#[derive(Args, Debug)]
#[command(
    about = "Fill the built-in store from a CSV or JSONL file",
    after_help = "A file is loaded whole or not at all; bad rows are listed by line and left out.\n\
                  Only the keys are mandatory; a row whose key is there replaces it, absent columns made blank. Load customers\n\
                  first: the other kinds refer to them. A load holds the store's write lock to its end: purges wait meanwhile,\n\
                  so split a file of many millions of rows while a daemon runs.\n\n\
                  Examples:\n  expunged load customers customers.csv --tenant acme\n  expunged load events events.jsonl --tenant acme\n\n\
                  Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 done, some rows invalid; 4 no such tenant or file; 6 rejected, nothing loaded"
)]
pub struct LoadArgs {
    /// What the file holds
    #[arg(value_enum)]
    pub kind: LoadKind,
    /// The file: .csv, .txt, .jsonl or .ndjson
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Whose they are
    #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
    pub tenant: TenantName,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How a list given by hand is read: shared by `check` and `purge`.
#[derive(Args, Debug)]
pub struct ReadingArgs {
    /// Read a column of the file as a known one; may be repeated
    #[arg(long, value_name = "HEADER=COLUMN", value_parser = read_map)]
    pub map: Vec<(String, String)>,
    /// Where a row says nothing, keep the account when its last user goes [default: the tenant's setting]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub preserve_empty_accounts: Option<bool>,
    /// Where a row says nothing, never register the person again [default: the tenant's setting]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub do_not_track: Option<bool>,
}

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

/// Arguments of `purge`.
#[derive(Args, Debug)]
#[command(
    about = "Erase people now: those of a list, or one person",
    group = ArgGroup::new("whom").required(true).args(["file", "account", "email"]),
    after_help = "Shows the errors of the first 100 rows and the exact counts, then asks for the number of people to be typed.\n\
                  With --email the address is asked for, or read from standard input; it is never an argument.\n\n\
                  Examples:\n  expunged purge june.csv --tenant acme\n  expunged purge --tenant acme --account a-17 --id u-4\n  \
                  expunged purge --tenant acme --email --request CASE-311\n  expunged purge june.csv --tenant acme --yes 240\n\n\
                  Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 done, some rows invalid; 4 no such tenant, file or person; 5 held; \
                  6 rejected, or not confirmed: nothing deleted"
)]
pub struct PurgeArgs {
    /// The list
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Whose customers
    #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
    pub tenant: TenantName,
    /// One person: the account
    #[arg(long, value_name = "ACCOUNT", requires = "id")]
    pub account: Option<String>,
    /// One person: the id within the account
    #[arg(long, value_name = "ID", requires = "account")]
    pub id: Option<String>,
    /// Everyone who has an address, which is asked for
    #[arg(long)]
    pub email: bool,
    /// A case number, kept with the import
    #[arg(long, value_name = "CASE")]
    pub request: Option<String>,
    /// Do not ask: go on if exactly N people are found
    #[arg(long, value_name = "N")]
    pub yes: Option<u64>,
    /// How it is read.
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `scrub`.
#[derive(Args, Debug)]
#[command(
    about = "Search the store for traces of purged people now, and zero every byte that no row uses",
    after_help = "The daemon does this by itself, [scrub] in the config says when. Beside a running daemon the command asks it, without one it \
                  works in its place. Each import that is covered gets a receipt beside its report, NAME.scrub.json.\n\n\
                  Examples:\n  expunged scrub\n  expunged scrub --json\n\n\
                  Exit codes: 0 done, nothing left; 1 failed; 2 usage or configuration; 3 done, something is left: see the receipts"
)]
pub struct ScrubArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `customers …`
#[derive(Debug, Subcommand)]
pub enum CustomersCommand {
    /// Find people by name, address or id
    #[command(
        after_help = "Examples:\n  expunged customers find Ann --tenant acme\n  expunged customers find - --tenant acme   (asks for the text: for addresses)\n\n\
                      Exit codes: 0 done; 1 failed; 2 usage or configuration; 4 no such tenant, or nobody found"
    )]
    Find {
        /// A name or part of one, an address, or an id; - to read it from standard input: for addresses
        #[arg(value_name = "TEXT")]
        text: String,
        /// Whose customers
        #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
        tenant: TenantName,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show everything held about one person
    #[command(after_help = "Example:\n  expunged customers show --tenant acme --account a-17 --id u-4\n\n\
                      Exit codes: 0 done; 1 failed; 2 usage or configuration; 4 no such tenant or person")]
    Show {
        /// Whose customer
        #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
        tenant: TenantName,
        /// The account
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        /// The id within the account
        #[arg(long, value_name = "ID")]
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `imports …`
#[derive(Debug, Subcommand)]
pub enum ImportsCommand {
    /// List imports, newest first
    #[command(after_help = "Exit codes: 0 done; 1 failed; 2 usage or configuration; 4 no such tenant")]
    List {
        /// Only this tenant's
        #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
        tenant: Option<TenantName>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one import: its state, its counts, its report
    #[command(after_help = "Exit codes: 0 done; 1 failed; 2 usage or configuration; 4 no such import")]
    Show {
        /// The number of the import
        #[arg(value_name = "ID", value_parser = read_import)]
        import: ImportId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn read_import(text: &str) -> Result<ImportId, String> {
    text.parse().ok().filter(|id| *id > 0).map(ImportId).ok_or_else(|| "expected the number of an import, such as 42".to_owned())
}

fn read_map(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((header, column)) if !header.is_empty() && !column.is_empty() => Ok((header.to_owned(), column.to_owned())),
        _ => Err("expected HEADER=COLUMN, such as 'E-mail=Customer Email'".to_owned()),
    }
}
