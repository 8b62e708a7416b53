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
pub struct ServeArgs {
    /// Say what would be offered and every fault of the configuration, and end
    #[arg(long)]
    pub check_config: bool,
}

/// Arguments of `sample`.
#[derive(Args, Debug)]
#[command(
    about = "Print a sample file of one of the forms, or write it",
    after_help = "Examples:\n  expunged sample email-csv\n  expunged sample participant-jsonl --out .\n\n\
                  Exit codes: 0 done; 1 failed; 2 usage, or the file is there"
)]
pub struct SampleArgs {
    /// The form
    #[arg(value_enum)]
    pub kind: SampleKind,
    /// Write it into this folder, under its usual name, instead of printing it
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A form of list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SampleKind {
    /// Mention Me's: Customer Email
    EmailCsv,
    /// Advocate's: accountId, id and the flags
    ParticipantCsv,
    /// Advocate's, an object a line
    ParticipantJsonl,
}

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
                  Only the keys are mandatory; a row whose key is there replaces it, absent columns made blank. Load customers \
                  first: the other kinds refer to them. A load holds the store's write lock to its end: purges wait meanwhile, \
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
                  That number is the approval: a list given by hand is not held for the number of its customers or bad rows, only if \
                  more people match when it runs than were confirmed.\n\
                  With --email the address is asked for, or read from standard input; it is never an argument.\n\n\
                  Examples:\n  expunged purge june.csv --tenant acme\n  expunged purge --tenant acme --account a-17 --id u-4\n  \
                  expunged purge --tenant acme --email --request CASE-311\n  expunged purge june.csv --tenant acme --yes 240\n\n\
                  Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 done, some rows invalid; 4 no such tenant, file or person; 5 held; \
                  6 rejected, not confirmed, or a person who is exempt: nothing deleted"
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
    #[arg(long, value_name = "CASE", value_parser = read_case)]
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

/// `receipt …`
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Check the signatures beside reports and scrub receipts
    #[command(
        after_help = "A FILE is a NAME.report.json or NAME.scrub.json with its signature, FILE.sig, beside it. The signature must be that of a host \
                            key of the config, or of an allowed signer; the report beside a scrub receipt must be the one that the receipt names.\n\
                            Neither a daemon nor the store is needed, and with --allowed-signers no config: `tenant instructions` prints its lines.\n\n\
                            Examples:\n  expunged receipt verify 42-june.csv.report.json 42-june.csv.scrub.json\n  \
                            expunged receipt verify --allowed-signers expunged.allowed_signers 42-june.csv.report.json\n\n\
                            Exit codes: 0 done, all are good; 1 failed, or one is not good; 2 usage or configuration; 4 no such file, the others good"
    )]
    Verify {
        /// Reports and scrub receipts
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Who may have signed, as ssh-keygen reads it [default: the host keys of the config]
        #[arg(long, value_name = "FILE")]
        allowed_signers: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
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
    /// Let a held import go on
    #[command(
        after_help = "The file is matched again. Whoever went meanwhile is not missed; if anyone matches who was not among those that the import \
                            was held with, it is held again. Who approved, and when, is kept.\n\n\
                            Exit codes: 0 done; 1 failed, or not held; 2 usage or configuration; 4 no such import; 5 held again"
    )]
    Approve(DecideArgs),
    /// End a held or failed import; its file goes to the rejected ones
    #[command(
        after_help = "Nothing more is deleted. An import that failed after it had deleted people ends as stopped, its report in the archive.\n\n\
                            Exit codes: 0 done; 1 failed, or neither held nor failed; 2 usage or configuration; 4 no such import"
    )]
    Reject {
        /// Which import.
        #[command(flatten)]
        decide: DecideArgs,
        /// Why; must be given: the sender reads it; no address
        #[arg(long, value_name = "TEXT", value_parser = read_why)]
        why: Option<String>,
    },
    /// Try a failed import again, from where it stands
    #[command(after_help = "Exit codes: 0 done; 1 failed, or it had not; 2 usage or configuration; 4 no such import; 5 held")]
    Retry(DecideArgs),
    /// End an import that waits or runs; people who are deleted by then stay deleted
    #[command(
        after_help = "One that is still checked ends as rejected: nobody was deleted. One that is purging ends at its chunk's end as stopped, even where \
                            nobody was deleted yet: the rest of its rows is skipped, its report stands in the archive. A held or failed one: reject it.\n\n\
                            Exit codes: 0 done; 1 failed, or not running; 2 usage or configuration; 4 no such import"
    )]
    Cancel {
        /// Which import.
        #[command(flatten)]
        decide: DecideArgs,
        /// Why: the sender reads it; no address
        #[arg(long, value_name = "TEXT", value_parser = read_why)]
        why: Option<String>,
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

/// Whom a command is about: the address is read, never an argument.
#[derive(Args, Debug)]
#[group(id = "named", required = true, multiple = true)]
pub struct PersonArgs {
    /// The account
    #[arg(long, value_name = "ACCOUNT", requires = "id", conflicts_with = "email")]
    pub account: Option<String>,
    /// The id within the account
    #[arg(long, value_name = "ID", requires = "account", conflicts_with = "email")]
    pub id: Option<String>,
    /// By address, which is asked for
    #[arg(long)]
    pub email: bool,
}

/// `exemptions …`
#[derive(Debug, Subcommand)]
pub enum ExemptionsCommand {
    /// Add one: this person is not erased, whatever list names them
    #[command(
        after_help = "Holds from the next chunk of any import on, those that run included; who is gone by then stays gone. Where customers \
                            share an address, one who is exempt keeps all of them from going by that address.\n\
                            With --email the address is asked for, or read from standard input. Only a keyed hash of it is kept.\n\n\
                            Examples:\n  expunged exemptions add --tenant acme --account a-17 --id u-4 --why 'open case 311' --until 2027-12-31\n  \
                            expunged exemptions add --tenant acme --email --why 'court order' --until 2030-01-01\n\n\
                            Exit codes: 0 done; 1 failed; 2 usage or configuration; 4 no such tenant"
    )]
    Add {
        /// Whose customer
        #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
        tenant: TenantName,
        /// Who.
        #[command(flatten)]
        person: PersonArgs,
        /// The reason, which is kept and listed: no address
        #[arg(long, value_name = "TEXT", value_parser = read_why)]
        why: String,
        /// The last day (UTC) on which it holds
        #[arg(long, value_name = "YYYY-MM-DD")]
        until: jiff::civil::Date,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List those that were not taken back; ones that ran out are marked
    #[command(after_help = "Exit codes: 0 done; 1 failed; 2 usage or configuration; 4 no such tenant")]
    List {
        /// Only this tenant's
        #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
        tenant: Option<TenantName>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take one back; who did, and when, is kept
    #[command(after_help = "Exit codes: 0 done; 1 failed; 2 usage or configuration; 4 no such exemption")]
    Remove {
        /// Its number, as listed
        #[arg(value_name = "NUMBER")]
        exemption: i64,
    },
}

/// `suppressions …`
#[derive(Debug, Subcommand)]
pub enum SuppressionsCommand {
    /// Count who must not be registered again, by tenant, import and day
    #[command(
        after_help = "Nobody can be listed by name: only keyed hashes are kept. Look someone up with: expunged suppressions check\n\n\
                            Exit codes: 0 done; 1 failed; 2 usage or configuration; 4 no such tenant"
    )]
    List {
        /// Only this tenant's
        #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
        tenant: Option<TenantName>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Whether this person must not be registered again
    #[command(after_help = "With --email the address is asked for, or read from standard input.\n\n\
                            Exit codes: 0 suppressed; 1 failed; 2 usage or configuration; 4 not suppressed, or no such tenant")]
    Check {
        /// Whose customer
        #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
        tenant: TenantName,
        /// Who.
        #[command(flatten)]
        person: PersonArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let this person be registered again; who did, and when, is kept
    #[command(after_help = "An address and an account with its id are suppressed apart: lift both where both are.\n\
                            With --email the address is asked for, or read from standard input.\n\n\
                            Exit codes: 0 lifted; 1 failed; 2 usage or configuration; 4 not suppressed, or no such tenant")]
    Lift {
        /// Whose customer
        #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
        tenant: TenantName,
        /// Who.
        #[command(flatten)]
        person: PersonArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What a person says about an import.
#[derive(Args, Debug)]
pub struct DecideArgs {
    /// The number of the import
    #[arg(value_name = "ID", value_parser = read_import)]
    pub import: ImportId,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn read_import(text: &str) -> Result<ImportId, String> {
    text.parse().ok().filter(|id| *id > 0).map(ImportId).ok_or_else(|| "expected the number of an import, such as 42".to_owned())
}

/// A reason that may be kept: no address has a place in the ledger.
pub(super) fn read_why(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("expected a few words".to_owned()),
        why if crate::pipeline::may_be_kept(why) => Ok(why.to_owned()),
        _ => Err(format!("a reason is kept and shown: at most {} bytes on one line, and no address", crate::pipeline::WHY_BYTES_MAX)),
    }
}

fn read_case(text: &str) -> Result<String, String> {
    read_why(text).map_err(|_| "a case is kept and shown: a few words on one line, and no address".to_owned())
}

fn read_map(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((header, column)) if !header.is_empty() && !column.is_empty() => Ok((header.to_owned(), column.to_owned())),
        _ => Err("expected HEADER=COLUMN, such as 'E-mail=Customer Email'".to_owned()),
    }
}
