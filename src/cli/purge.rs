//! `purge`: a list, or one person, rehearsed and then erased by hand.
//!
//! The list is shown to a person first. It is then handed to the running daemon, or worked on in the daemon's place.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use serde_json::Value;

use super::args::{ReadingArgs, read_why};
use super::asked::{Asked, Errand, asked_by};
use super::lists::{List, rehearse, settings, without_import};
use super::prompt::{ask_address, confirm};
use super::{Exit, Failure, Scene, imports, serve, store, summary, tenant};
use crate::config::Config;
use crate::daemon::{self, ByHand, DataLock};
use crate::domain::{ImportId, State, TenantName};
use crate::pipeline::{PurgeRequest, Rules};
use crate::purge::Brake;
use crate::report::Report;
use crate::store::Store;
use crate::store::ledger::{self, ImportRow, Origin};

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

pub(super) fn run(scene: &Scene, args: &PurgeArgs) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    let tenant = tenant::sound(scene, &config, &args.tenant)?;
    scene.guard_owner(&config)?;
    let mut list = list_of(scene, args)?;
    // The number of people that is typed stands for the brake.
    let rules = Rules { brake: Brake::OFF, ..daemon::rules(&config, tenant) };
    let rehearsed = rehearse(&config, tenant, &rules, &args.reading, &mut list)?;
    summary::print_errors(&scene.terminal, &rehearsed);
    let is_one = args.file.is_none();
    if rehearsed.status == State::Rejected || (is_one && rehearsed.rows.invalid > 0) {
        if args.json {
            scene.terminal.json(&without_import(&rehearsed))?;
        }
        scene.terminal.hint("nothing was deleted");
        return Ok(Exit::Rejected);
    }
    let people = summary::people(&rehearsed, &store::engine(&config)?.plan().subject.table);
    if is_one {
        refuse_exempt_or_nobody(scene, args, &rehearsed, people)?;
    }
    if !args.json {
        summary::print(&scene.terminal, &rehearsed)?;
    }
    ByHand::can_sign(&config).map_err(serve::failure)?;
    confirm(scene, args.yes, people)?;
    let mut store = store::open(&config)?;
    // Before the list is laid out for the daemon: what is refused leaves nothing behind.
    refuse_to_run_others(scene, &config, &store, &tenant.name)?;
    let request = PurgeRequest {
        tenant: tenant.name.clone(),
        file: list.name.as_str().to_owned(),
        stored: list.store(&config, &rehearsed.sha256)?,
        settings: settings(tenant, &args.reading),
        map: args.reading.map.clone(),
        case: args.request.clone(),
        people: Some(people),
    };
    let report = report_of(scene, run_request(scene, &config, &mut store, &request)?)?;
    if args.json {
        scene.terminal.json(&report)?;
    } else {
        scene.terminal.say("")?;
        summary::print(&scene.terminal, &report)?;
        scene.terminal.say(format!("  import      {}", report.import))?;
    }
    Ok(summary::exit_of(&report))
}

/// The list that the arguments give: a file, or one person.
fn list_of(scene: &Scene, args: &PurgeArgs) -> Result<List, Failure> {
    match (&args.file, &args.account, &args.id) {
        (Some(path), ..) => List::open(path),
        (None, Some(account), Some(id)) => List::of_one(["accountId", "id"], [account, id]),
        _ => List::of_one(["Customer Email"], [&ask_address(scene)?]),
    }
}

/// One person who was named is someone, and nobody whom an exemption keeps. A suppression alone is work too.
fn refuse_exempt_or_nobody(scene: &Scene, args: &PurgeArgs, rehearsed: &Report, people: u64) -> Result<(), Failure> {
    if rehearsed.rows.exempt > 0 {
        let list = scene.typed(scene.config.as_deref(), &["exemptions", "list", "--tenant", args.tenant.as_str()]);
        return Err(Failure::new(Exit::Rejected, "an exemption keeps this person from being erased")
            .hint(format!("nothing was deleted; see why, and until when: {list}")));
    }
    if people == 0 && rehearsed.suppressed == 0 {
        let find = scene.typed(scene.config.as_deref(), &["customers", "find", "-", "--tenant", args.tenant.as_str()]);
        return Err(Failure::not_found("nobody of this tenant is so named").hint(format!("look with: {find}")));
    }
    Ok(())
}

/// The report of an import that is over.
///
/// # Errors
/// [`Exit::Held`] where it waits for a person instead.
fn report_of(scene: &Scene, row: ImportRow) -> Result<Report, Failure> {
    if row.state == State::Held {
        let message = row.message.unwrap_or_default();
        return Err(Failure::new(Exit::Held, format!("import {} is held: {message}", row.id))
            .hint(format!("look with: {}", imports::typed(scene, "show", row.id, &[])))
            .hint(imports::how_to_decide(scene, row.id)));
    }
    let text = row.report.ok_or_else(|| Failure::failed(format!("import {} ended without a report", row.id)))?;
    serde_json::from_str(&text).map_err(|error| Failure::failed("the report does not read back").because(&error))
}

/// Hands the request to the running daemon, or does its work in its place.
fn run_request(scene: &Scene, config: &Config, store: &mut Store, request: &PurgeRequest) -> Result<ImportRow, Failure> {
    let purging = Purging { tenant: &request.tenant, list: daemon::requests_dir(config).join(&request.stored) };
    let asked = Asked::ask(scene, config, store, "ask for a purge", &request.to_row(asked_by())).map_err(|error| {
        purging.withdrawn();
        store::failure(&error)
    })?;
    asked.wait(&purging)
}

/// A list by hand that was asked for. Over once its import is archived, or waits for a person.
struct Purging<'a> {
    tenant: &'a TenantName,
    /// Where the list is laid out.
    list: PathBuf,
}

impl Errand for Purging<'_> {
    type Outcome = ImportRow;

    /// What held the lock may have been another command, which does its own and ends.
    fn may_work(&self, store: &Store, waited: Duration) -> Result<bool, Failure> {
        Ok(waited.is_zero() || only_commands_wait(store, self.tenant)?)
    }

    fn work(&self, by_hand: &mut ByHand, request: i64) -> Result<(), Failure> {
        by_hand.pipeline.run_requests(self.tenant, request).map_err(|fault| Failure::failed(fault.chain()))
    }

    fn outcome(&self, store: &Store, answer: &Value) -> Result<Option<ImportRow>, Failure> {
        let Some(import) = answer["import"].as_i64() else { return Ok(None) };
        let row = ledger::get(store.connection(), ImportId(import)).map_err(|error| store::failure(&error))?;
        let lost = || Failure::failed("the list was lost before it was taken up").hint("nothing was deleted; run the command again");
        let row = row.ok_or_else(lost)?;
        Ok((row.archived || matches!(row.state, State::Failed | State::Held)).then_some(row))
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::failed(format!("the daemon refused: {why}")).hint("nothing was deleted")
    }

    /// Nobody knows of the list any more. If it cannot be removed now, the next start does: what failed says more.
    fn withdrawn(&self) {
        let _ = std::fs::remove_file(&self.list);
    }
}

/// Whether all that is not done of a tenant was given to commands, each of them confirmed by its person.
fn only_commands_wait(store: &Store, tenant: &TenantName) -> Result<bool, Failure> {
    let waiting = ledger::unarchived(store.connection(), tenant).map_err(|error| store::failure(&error))?;
    Ok(waiting.iter().all(|row| row.origin == Origin::Command || matches!(row.state, State::Held | State::Failed)))
}

/// Without a daemon, this command would first have to do what waits before it, which nobody has confirmed here.
fn refuse_to_run_others(scene: &Scene, config: &Config, store: &Store, tenant: &TenantName) -> Result<(), Failure> {
    let lock = DataLock::take(&config.data_dir).map_err(|error| Failure::failed("cannot look for a running daemon").because(&error))?;
    if lock.is_none() {
        return Ok(());
    }
    let waiting = ledger::unarchived(store.connection(), tenant).map_err(|error| store::failure(&error))?;
    let runs = |row: &&ImportRow| matches!(row.state, State::Received | State::Checking | State::Purging);
    match waiting.iter().find(runs) {
        Some(row) => Err(Failure::failed(format!("import {} of {tenant}, \"{}\", comes first and is not done", row.id, row.file))
            .hint("nothing was deleted; start the daemon, which does both")
            .hint(format!("or end it first: {}", imports::typed(scene, "cancel", row.id, &[])))),
        None => Ok(()),
    }
}

fn read_case(text: &str) -> Result<String, String> {
    read_why(text).map_err(|_| "a case is kept and shown: a few words on one line, and no address".to_owned())
}
