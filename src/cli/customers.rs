//! `customers find | show`: a tenant's people for a person who looks for one. Nothing is written.

use clap::Subcommand;
use rusqlite::types::Value;
use serde::Serialize;

use super::prompt::ask_line;
use super::{Exit, Failure, Scene, store, tenant};
use crate::domain::{Email, TenantName};
use crate::purge::{FoundPerson, Holding, Participant};
use crate::telemetry::printable;

/// People that are shown; the rest is counted.
const PEOPLE_SHOWN: usize = 100;

/// People that are looked at, so that whoever has just this id or address stands first.
const PEOPLE_MAX: u32 = 10_000;

/// Rows of one table that are shown of a person.
const ROWS_MAX: u32 = 100_000;

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

pub(super) fn run(scene: &Scene, command: &CustomersCommand) -> Result<Exit, Failure> {
    match command {
        CustomersCommand::Find { text, tenant, json } => find(scene, text, tenant, *json),
        CustomersCommand::Show { tenant, account, id, json } => show(scene, tenant, [account, id], *json),
    }
}

fn find(scene: &Scene, text: &str, name: &TenantName, json: bool) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    tenant::must_be_known(scene, &config, name)?;
    let text = if text == "-" {
        ask_line(scene, "name, address or id: ")?
    } else {
        warn_of_history(scene, text, name);
        text.trim().to_owned()
    };
    if text.is_empty() {
        return Err(Failure::usage("nothing to look for: give a name, an address or an id"));
    }
    let (engine, store) = (store::engine(&config)?, store::open_read_only(&config)?);
    let mut found = engine.find(store.connection(), name, &text, PEOPLE_MAX).map_err(|error| store::because(&error))?;
    let email = Email::parse(&text).ok();
    // Whoever was meant exactly stands before those whose name holds the text; a stable sort keeps the order otherwise.
    found.sort_by_key(|person| !is_exact(person, &text, email.as_ref()));
    let more = found.len().saturating_sub(PEOPLE_SHOWN);
    let shown: Vec<_> = found.iter().take(PEOPLE_SHOWN).map(ShownPerson::new).collect();
    if json {
        scene.terminal.json(&serde_json::json!({ "tenant": name, "customers": shown, "more": more > 0 }))?;
    } else if !shown.is_empty() {
        let rows = shown.iter().map(|person| [person.account_id, person.id, Some(&person.name), person.email].map(cell).to_vec());
        scene.terminal.table(&["ACCOUNT", "ID", "NAME", "EMAIL"], rows)?;
    }
    if more > 0 && !json {
        let at_least = if found.len() >= PEOPLE_MAX as usize { "at least " } else { "" };
        scene.terminal.hint(format!("{at_least}{more} more are not shown; look for a longer text"));
    }
    if shown.is_empty() {
        return Err(Failure::not_found(format!("nobody of \"{name}\" has such a name, address or id")));
    }
    Ok(Exit::Done)
}

/// An address as an argument is served, but it stays where it should not.
fn warn_of_history(scene: &Scene, text: &str, name: &TenantName) {
    if Email::parse(text).is_ok() {
        scene.terminal.warn("the address is now in the shell's history");
        let typed = scene.typed(scene.config.as_deref(), &["customers", "find", "-", "--tenant", name.as_str()]);
        scene.terminal.hint(format!("to be asked for it: {typed}"));
    }
}

fn is_exact(person: &FoundPerson, text: &str, email: Option<&Email>) -> bool {
    let address = || person.address.as_deref().and_then(|address| Email::parse(address).ok());
    person.id.as_deref() == Some(text) || email.is_some() && address().as_ref() == email
}

fn show(scene: &Scene, name: &TenantName, [account, id]: [&str; 2], json: bool) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    tenant::must_be_known(scene, &config, name)?;
    let (engine, store) = (store::engine(&config)?, store::open_read_only(&config)?);
    let failed = |error| store::because(&error);
    let participant = engine.participant(store.connection(), name, account, id).map_err(failed)?;
    let held = match &participant.key {
        Some(key) => engine.holdings(store.connection(), name, key, ROWS_MAX).map_err(failed)?,
        None => None,
    };
    let Some(held) = held else {
        let failure = Failure::not_found(format!("\"{name}\" has no customer of this account and id"));
        let suppressed = "they are suppressed: they must not be registered again (do not track)";
        return Err(if participant.pair_suppressed { failure.hint(suppressed) } else { failure });
    };
    if json {
        let tables: Vec<_> = held.iter().map(shown_table).collect();
        let suppressed = serde_json::json!({ "pair": participant.pair_suppressed, "address": participant.address_suppressed });
        scene.terminal.json(&serde_json::json!({ "tenant": name, "tables": tables, "suppressed": suppressed }))?;
    } else {
        for table in &held {
            print_table(scene, table)?;
        }
        scene.terminal.say(format!("suppressed: {}", suppressed_word(&participant)))?;
    }
    Ok(Exit::Done)
}

/// The subject's own row and the account's as a list, what there may be many of as a table.
fn print_table(scene: &Scene, held: &Holding) -> Result<(), Failure> {
    match held.rows.as_slice() {
        [] => scene.terminal.say(format!("{}: none\n", held.table))?,
        [row] => {
            let width = held.columns.iter().map(|column| column.chars().count()).max().unwrap_or(0);
            let lines = std::iter::zip(&held.columns, row).map(|(column, value)| format!("  {column:width$}  {}", printable(&text(value))));
            let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
            scene.terminal.say(format!("{}:\n{}\n", held.table, lines.join("\n")))?;
        }
        rows => {
            let more = if held.more { "more than " } else { "" };
            scene.terminal.say(format!("{}: {more}{} rows", held.table, rows.len()))?;
            let columns: Vec<&str> = held.columns.iter().map(String::as_str).collect();
            scene.terminal.table(&columns, rows.iter().map(|row| row.iter().map(text).collect()))?;
            scene.terminal.say("")?;
        }
    }
    Ok(())
}

fn suppressed_word(participant: &Participant) -> &'static str {
    match (participant.pair_suppressed, participant.address_suppressed) {
        (false, false) => "no",
        (true, false) => "account and id",
        (false, true) => "address",
        (true, true) => "account and id, address",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownPerson<'a> {
    account_id: Option<&'a String>,
    id: Option<&'a String>,
    name: String,
    email: Option<&'a String>,
}

impl<'a> ShownPerson<'a> {
    fn new(person: &'a FoundPerson) -> Self {
        let names: Vec<&str> = person.names.iter().flatten().map(String::as_str).collect();
        Self { account_id: person.account.as_ref(), id: person.id.as_ref(), name: names.join(" "), email: person.address.as_ref() }
    }
}

fn cell(value: Option<&String>) -> String {
    value.cloned().unwrap_or_default()
}

fn shown_table(held: &Holding) -> serde_json::Value {
    let row = |row: &Vec<Value>| -> serde_json::Map<String, serde_json::Value> {
        std::iter::zip(held.columns.iter().cloned(), row.iter().map(json_value)).collect()
    };
    serde_json::json!({ "table": held.table, "rows": held.rows.iter().map(row).collect::<Vec<_>>(), "more": held.more })
}

fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(number) => (*number).into(),
        Value::Real(number) => (*number).into(),
        Value::Text(_) | Value::Blob(_) => text(value).into(),
    }
}

/// A value as text; bytes as hexadecimal digits.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("x'{}'", hex::encode(bytes)),
    }
}
