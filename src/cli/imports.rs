//! `imports`: what happened to a file.

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::args::{read_import, read_why};
use super::decide::DecideArgs;
use super::{Exit, Failure, Scene, decide, store, summary, tenant};
use crate::domain::{ImportId, Mode, State, TenantName};
use crate::pipeline::Verdict;
use crate::report::{Report, RowCounts, ScrubReceipt};
use crate::store::ledger::{self, ImportRow};

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

pub(super) fn run(scene: &Scene, command: &ImportsCommand) -> Result<Exit, Failure> {
    match command {
        ImportsCommand::List { tenant, limit, json } => list(scene, tenant.as_ref(), *limit, *json),
        ImportsCommand::Approve(args) => decide::run(scene, args, Verdict::Approve, None),
        ImportsCommand::Reject { decide, why: Some(why) } => decide::run(scene, decide, Verdict::Reject, Some(why)),
        ImportsCommand::Reject { decide, why: None } => {
            let again = reject(scene, decide.import);
            Err(Failure::usage("a rejection needs a reason, which the sender reads").hint(format!("run: {again}")))
        }
        ImportsCommand::Retry(args) => decide::run(scene, args, Verdict::Retry, None),
        ImportsCommand::Cancel { decide, why } => decide::run(scene, decide, Verdict::Cancel, why.as_deref()),
        ImportsCommand::Show { import, json } => show(scene, *import, *json),
    }
}

fn list(scene: &Scene, tenant: Option<&TenantName>, limit: u32, json: bool) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    if let Some(name) = tenant {
        tenant::must_be_known(scene, &config, name)?;
    }
    let store = store::open_read_only(&config)?;
    let rows = ledger::list(store.connection(), tenant, limit).map_err(|error| store::failure(&error))?;
    let listed: Vec<Listed<'_>> = rows.iter().map(Listed::new).collect();
    if json {
        scene.terminal.json(&serde_json::json!({ "imports": listed }))?;
    } else if listed.is_empty() {
        scene.terminal.say("no imports yet")?;
    } else {
        let cells = listed.iter().map(|one| {
            let counted =
                |count: fn(&RowCounts) -> Option<u64>| one.rows.as_ref().and_then(count).map_or_else(String::new, |n| n.to_string());
            vec![
                one.import.to_string(),
                one.tenant.to_string(),
                one.file.to_owned(),
                one.mode.to_owned(),
                one.state.to_owned(),
                counted(|rows| Some(rows.read)),
                counted(|rows| rows.deleted),
                counted(|rows| rows.would_delete),
                counted(|rows| Some(rows.invalid)),
                one.received_at.clone(),
            ]
        });
        let header = ["IMPORT", "TENANT", "FILE", "MODE", "STATE", "ROWS", "DELETED", "WOULD DELETE", "INVALID", "RECEIVED"];
        scene.terminal.table(&header, cells)?;
    }
    Ok(Exit::Done)
}

fn show(scene: &Scene, import: ImportId, json: bool) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    let store = store::open_read_only(&config)?;
    let row = ledger::get(store.connection(), import).map_err(|error| store::failure(&error))?;
    let list = || scene.typed(scene.config.as_deref(), &["imports", "list"]);
    let row = row.ok_or_else(|| Failure::not_found(format!("no import {import}")).hint(format!("list them with: {}", list())))?;
    let report: Option<Report> = row.report.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let decisions = ledger::decisions(store.connection(), import).map_err(|error| store::failure(&error))?;
    let scrub = ledger::scrub_receipt(store.connection(), import).map_err(|error| store::failure(&error))?;
    let receipt: Option<ScrubReceipt> = scrub.as_ref().and_then(|text| serde_json::from_str(text.as_deref()?).ok());
    if json {
        scene.terminal.json(&Shown {
            listed: Listed::new(&row),
            by: row.requested_by.as_deref(),
            case: row.request_case.as_deref(),
            message: row.message.as_deref(),
            decisions: decisions.iter().map(Said::new).collect(),
            report: report.as_ref(),
            scrub: receipt.as_ref(),
        })?;
        return Ok(Exit::Done);
    }
    let scrubbed = scrub.map(|_| scrub_word(receipt.as_ref()));
    scene.terminal.say(lines(&row, scrubbed, &decisions).join("\n"))?;
    if let Some(report) = &report {
        scene.terminal.say("")?;
        summary::print_errors(&scene.terminal, report);
        summary::print(&scene.terminal, report)?;
    }
    hint_decisions(scene, &row);
    Ok(Exit::Done)
}

/// What the ledger knows of an import, a line each.
fn lines(row: &ImportRow, scrubbed: Option<String>, decisions: &[ledger::Decision]) -> Vec<String> {
    let mut lines = vec![
        format!("import    {}", row.id),
        format!("tenant    {}", row.tenant),
        format!("file      {} ({})", row.file, row.origin.as_str()),
        format!("mode      {}", mode(row.mode)),
        format!("state     {}", row.state.as_str()),
        format!("received  {}", seconds(row.received_at)),
    ];
    for (word, value) in [
        ("ended", row.finished_at.map(seconds)),
        ("reason", row.reason.clone()),
        ("message", row.message.clone()),
        ("sha256", row.sha256.clone()),
        ("by", row.requested_by.clone()),
        ("case", row.request_case.clone()),
        ("scrub", scrubbed),
    ] {
        lines.extend(value.map(|value| format!("{word:<9} {value}")));
    }
    for said in decisions {
        let why = said.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        lines.push(format!("{:<9} by {}, {}{why}", said.kind, said.by, seconds(said.at)));
    }
    lines
}

/// The commands with which a person decides on an import that waits for one.
fn hint_decisions(scene: &Scene, row: &ImportRow) {
    let id = row.id;
    match row.state {
        State::Held => scene.terminal.hint(how_to_decide(scene, id)),
        State::Failed => {
            scene.terminal.hint(format!("why it failed stands in the daemon's log: \"import given up\" with import={id}"));
            scene.terminal.hint(format!("try it again: {}, or end it: {}", typed(scene, "retry", id, &[]), reject(scene, id)));
        }
        _ => {}
    }
}

/// What a person may say about a held import.
pub(super) fn how_to_decide(scene: &Scene, held: ImportId) -> String {
    format!("nothing was deleted; let it go on: {}, or end it: {}", typed(scene, "approve", held, &[]), reject(scene, held))
}

fn reject(scene: &Scene, import: ImportId) -> String {
    typed(scene, "reject", import, &["--why", "TEXT"])
}

/// A command about one import.
pub(super) fn typed(scene: &Scene, word: &str, import: ImportId, more: &[&str]) -> String {
    scene.typed(scene.config.as_deref(), &[&["imports", word, &import.to_string()], more].concat())
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Purge => "purge",
        Mode::Check => "check: nothing is deleted",
    }
}

fn scrub_word(receipt: Option<&ScrubReceipt>) -> String {
    match receipt {
        None => "to come".to_owned(),
        Some(receipt) if receipt.clean => format!("{} nothing is left", seconds(receipt.finished_at)),
        Some(receipt) => {
            let next = receipt.again_at.map_or_else(|| "given up".to_owned(), |at| format!("again at {} at the latest", seconds(at)));
            format!("{} not clean ({}), {next}: see the receipt", seconds(receipt.finished_at), receipt.unclean.join(", "))
        }
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    import: ImportId,
    tenant: &'a TenantName,
    file: &'a str,
    mode: &'static str,
    origin: &'static str,
    state: &'static str,
    reason: Option<&'a str>,
    sha256: Option<&'a str>,
    received_at: String,
    finished_at: Option<String>,
    rows: Option<RowCounts>,
    archived: bool,
}

impl<'a> Listed<'a> {
    fn new(row: &'a ImportRow) -> Self {
        Self {
            import: row.id,
            tenant: &row.tenant,
            file: &row.file,
            mode: row.mode.as_str(),
            origin: row.origin.as_str(),
            state: row.state.as_str(),
            reason: row.reason.as_deref(),
            sha256: row.sha256.as_deref(),
            received_at: seconds(row.received_at),
            finished_at: row.finished_at.map(seconds),
            rows: row.tally.map(|tally| RowCounts::new(row.mode, tally)),
            archived: row.archived,
        }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    listed: Listed<'a>,
    by: Option<&'a str>,
    case: Option<&'a str>,
    message: Option<&'a str>,
    decisions: Vec<Said<'a>>,
    report: Option<&'a Report>,
    scrub: Option<&'a ScrubReceipt>,
}

#[derive(Serialize)]
struct Said<'a> {
    decision: &'a str,
    by: &'a str,
    at: String,
    why: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn new(decision: &'a ledger::Decision) -> Self {
        Self { decision: &decision.kind, by: &decision.by, at: seconds(decision.at), why: decision.why.as_deref() }
    }
}

fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
