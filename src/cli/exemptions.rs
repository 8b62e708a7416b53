//! `exemptions`: people who must not be erased.

use clap::Subcommand;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::args::{PersonArgs, read_why};
use super::asked::asked_by;
use super::prompt::ask_address;
use super::{Exit, Failure, Scene, store, tenant};
use crate::config::Config;
use crate::domain::{Email, Identity, SubjectKey, TenantName};
use crate::records::check_id;
use crate::store::ledger::{self, Exemption, NewExemption, SuppressionKind};

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

pub(super) fn run(scene: &Scene, command: &ExemptionsCommand) -> Result<Exit, Failure> {
    match command {
        ExemptionsCommand::Add { tenant, person, why, until, json } => add(scene, tenant, person, why, *until, *json),
        ExemptionsCommand::List { tenant, json } => list(scene, tenant.as_ref(), *json),
        ExemptionsCommand::Remove { exemption } => remove(scene, *exemption),
    }
}

fn add(scene: &Scene, name: &TenantName, person: &PersonArgs, why: &str, until: Date, json: bool) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    // A faulty tenant file closes a login; its people can be exempted all the same.
    tenant::must_be_known(scene, &config, name)?;
    scene.guard_owner(&config)?;
    if until < today() {
        return Err(Failure::usage(format!("--until {until} is past")));
    }
    refuse_nobodys(&config, name, person)?;
    let subject = subject_of(scene, person)?;
    let (kind, identity) = identity_of(&config, name, &subject)?;
    let new = NewExemption { tenant: name.clone(), kind, identity, why: why.to_owned(), until, by: asked_by() };
    let mut store = store::open(&config)?;
    let id = store.write("add an exemption", |tx| ledger::exempt(tx, &new, Timestamp::now())).map_err(|error| store::failure(&error))?;
    if json {
        scene.terminal.json(&serde_json::json!({ "exemption": id, "tenant": name, "until": until }))?;
    } else {
        scene.terminal.say(format!("exemption {id} of {name} holds until {until}"))?;
    }
    if is_nobody(&config, name, &subject) {
        scene.terminal.warn(format!("nobody of \"{name}\" is so named by now"));
        scene.terminal.hint("look at the spelling; it holds for whoever is registered so later");
    }
    Ok(Exit::Done)
}

fn list(scene: &Scene, name: Option<&TenantName>, json: bool) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    if let Some(name) = name {
        tenant::must_be_known(scene, &config, name)?;
    }
    let store = store::open_read_only(&config)?;
    let found = ledger::exemptions(store.connection(), name).map_err(|error| store::failure(&error))?;
    let listed: Vec<_> = found.iter().map(Listed::new).collect();
    if json {
        scene.terminal.json(&serde_json::json!({ "exemptions": listed }))?;
    } else if listed.is_empty() {
        scene.terminal.say("no exemptions")?;
    } else {
        let cells = listed.iter().map(|one| {
            let until = if one.expired { format!("{} (ran out)", one.until) } else { one.until.to_string() };
            vec![one.exemption.to_string(), one.tenant.to_string(), one.kind.to_owned(), until, one.by.to_owned(), one.why.to_owned()]
        });
        scene.terminal.table(&["NUMBER", "TENANT", "BY", "UNTIL", "ADDED BY", "WHY"], cells)?;
    }
    Ok(Exit::Done)
}

fn remove(scene: &Scene, exemption: i64) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    scene.guard_owner(&config)?;
    let mut store = store::open(&config)?;
    let take_back = |tx: &rusqlite::Transaction<'_>| ledger::unexempt(tx, exemption, &asked_by(), Timestamp::now());
    if !store.write("take back an exemption", take_back).map_err(|error| store::failure(&error))? {
        let list = scene.typed(scene.config.as_deref(), &["exemptions", "list"]);
        return Err(Failure::not_found(format!("no exemption {exemption}")).hint(format!("list them with: {list}")));
    }
    scene.terminal.say(format!("exemption {exemption} taken back"))?;
    Ok(Exit::Done)
}

/// Refuses an id that no list can name and nobody has: it was mistyped, and would protect nobody.
fn refuse_nobodys(config: &Config, name: &TenantName, person: &PersonArgs) -> Result<(), Failure> {
    let (Some(account), Some(id)) = (&person.account, &person.id) else { return Ok(()) };
    let fault = [("--account", account), ("--id", id)].into_iter().find_map(|(option, id)| Some((option, check_id(id).err()?)));
    let Some((option, reason)) = fault else { return Ok(()) };
    let (engine, store) = (store::engine(config)?, store::open_read_only(config)?);
    let found = engine.participant(store.connection(), name, account, id).map_err(|error| store::because(&error))?;
    match found.key {
        Some(_) => Ok(()),
        None => Err(Failure::usage(format!("{option}: {}", reason.message())).hint("nobody of this tenant is so named")),
    }
}

/// Whether it can be seen that a tenant has nobody of this address, or of this account and id.
fn is_nobody(config: &Config, name: &TenantName, subject: &SubjectKey) -> bool {
    // What keeps it from being seen, as a plan that does not fit, keeps nobody from being protected.
    let (Ok(engine), Ok(store)) = (store::engine(config), store::open_read_only(config)) else { return false };
    match subject {
        SubjectKey::Email(email) => engine.has_address(store.connection(), name, email).is_ok_and(|has| !has),
        SubjectKey::Pair { account, id } => {
            engine.participant(store.connection(), name, account, id).is_ok_and(|found| found.key.is_none())
        }
    }
}

/// Whom a command is about. An address is asked for.
pub(super) fn subject_of(scene: &Scene, person: &PersonArgs) -> Result<SubjectKey, Failure> {
    if let (Some(account), Some(id)) = (&person.account, &person.id) {
        return Ok(SubjectKey::Pair { account: account.clone(), id: id.clone() });
    }
    Email::parse(&ask_address(scene)?).map(SubjectKey::Email).map_err(|_| Failure::usage("that is not one e-mail address"))
}

/// The hash of whom a command is about.
pub(super) fn identity_of(config: &Config, name: &TenantName, subject: &SubjectKey) -> Result<(SuppressionKind, Identity), Failure> {
    let key = store::identity_key(config)?;
    Ok(match subject {
        SubjectKey::Pair { account, id } => (SuppressionKind::Pair, key.pair(name, account, id)),
        SubjectKey::Email(email) => (SuppressionKind::Email, key.email(name, email)),
    })
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

#[derive(Serialize)]
struct Listed<'a> {
    exemption: i64,
    tenant: &'a TenantName,
    kind: &'static str,
    why: &'a str,
    until: Date,
    expired: bool,
    by: &'a str,
    created_at: Timestamp,
}

impl<'a> Listed<'a> {
    fn new(found: &'a Exemption) -> Self {
        let NewExemption { tenant, kind, why, until, by, .. } = &found.what;
        let created_at = Timestamp::from_second(found.created_at.as_second()).unwrap_or(found.created_at);
        Self { exemption: found.id, tenant, kind: kind.as_str(), why, until: *until, expired: *until < today(), by, created_at }
    }
}
