//! `suppressions`: people who must not be registered again.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::args::PersonArgs;
use super::asked::asked_by;
use super::exemptions::{identity_of, subject_of};
use super::{Exit, Failure, Scene, store, tenant};
use crate::domain::TenantName;
use crate::store::ledger::{self, Suppression, SuppressionCount};

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
    Check(SomebodyArgs),
    /// Let this person be registered again; who did, and when, is kept
    #[command(after_help = "An address and an account with its id are suppressed apart: lift both where both are.\n\
                            With --email the address is asked for, or read from standard input.\n\n\
                            Exit codes: 0 lifted; 1 failed; 2 usage or configuration; 4 not suppressed, or no such tenant")]
    Lift(SomebodyArgs),
}

/// Somebody of a tenant.
#[derive(Args, Debug)]
pub struct SomebodyArgs {
    /// Whose customer
    #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
    pub tenant: TenantName,
    /// Who.
    #[command(flatten)]
    pub person: PersonArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(scene: &Scene, command: &SuppressionsCommand) -> Result<Exit, Failure> {
    match command {
        SuppressionsCommand::List { tenant, json } => list(scene, tenant.as_ref(), *json),
        SuppressionsCommand::Check(somebody) => check(scene, somebody),
        SuppressionsCommand::Lift(somebody) => lift(scene, somebody),
    }
}

fn list(scene: &Scene, name: Option<&TenantName>, json: bool) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    if let Some(name) = name {
        tenant::must_be_known(scene, &config, name)?;
    }
    let store = store::open_read_only(&config)?;
    let counts = ledger::suppression_counts(store.connection(), name).map_err(|error| store::failure(&error))?;
    let listed: Vec<_> = counts.iter().map(Listed::new).collect();
    if json {
        scene.terminal.json(&serde_json::json!({ "suppressions": listed }))?;
    } else if listed.is_empty() {
        scene.terminal.say("nobody is suppressed")?;
    } else {
        let cells = listed.iter().map(|one| {
            let import = one.import.map_or_else(String::new, |import| import.to_string());
            vec![one.tenant.to_owned(), import, one.day.to_owned(), one.addresses.to_string(), one.pairs.to_string()]
        });
        scene.terminal.table(&["TENANT", "IMPORT", "DAY", "ADDRESSES", "IDS"], cells)?;
    }
    Ok(Exit::Done)
}

fn check(scene: &Scene, SomebodyArgs { tenant: name, person, json }: &SomebodyArgs) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    tenant::must_be_known(scene, &config, name)?;
    let (kind, identity) = identity_of(&config, name, &subject_of(scene, person)?)?;
    let store = store::open_read_only(&config)?;
    store::same_key(&config, &store)?;
    let suppressed =
        ledger::is_suppressed(store.connection(), name, Suppression { kind, identity }).map_err(|error| store::failure(&error))?;
    if *json {
        scene.terminal.json(&serde_json::json!({ "tenant": name, "suppressed": suppressed }))?;
    } else {
        scene.terminal.say(if suppressed { "suppressed" } else { "not suppressed" })?;
    }
    Ok(if suppressed { Exit::Done } else { Exit::NotFound })
}

fn lift(scene: &Scene, SomebodyArgs { tenant: name, person, json }: &SomebodyArgs) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    tenant::must_be_known(scene, &config, name)?;
    scene.guard_owner(&config)?;
    let (kind, identity) = identity_of(&config, name, &subject_of(scene, person)?)?;
    let mut store = store::open(&config)?;
    let (by, at) = (asked_by(), Timestamp::now());
    let lifted = store
        .write("lift a suppression", |tx| ledger::lift(tx, name, Suppression { kind, identity }, &by, at))
        .map_err(|error| store::failure(&error))?;
    if *json {
        scene.terminal.json(&serde_json::json!({ "tenant": name, "lifted": lifted }))?;
    } else {
        scene.terminal.say(if lifted { "lifted: this person may be registered again" } else { "not suppressed" })?;
    }
    Ok(if lifted { Exit::Done } else { Exit::NotFound })
}

#[derive(Serialize)]
struct Listed<'a> {
    tenant: &'a str,
    import: Option<i64>,
    day: &'a str,
    addresses: u64,
    pairs: u64,
}

impl<'a> Listed<'a> {
    fn new(count: &'a SuppressionCount) -> Self {
        let SuppressionCount { tenant, import, day, addresses, pairs } = count;
        Self { tenant, import: *import, day, addresses: *addresses, pairs: *pairs }
    }
}
