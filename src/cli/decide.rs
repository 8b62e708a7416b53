//! `imports approve | reject | retry | cancel`: a person's word on an import, through the ledger.

use clap::Args;
use serde_json::Value;

use super::args::read_import;
use super::asked::{Asked, Errand, asked_by};
use super::{Exit, Failure, Scene, imports, serve, store};
use crate::daemon::ByHand;
use crate::domain::{ImportId, State, TenantName};
use crate::pipeline::{DecideRequest, Verdict};
use crate::store::ledger::{self, ImportRow};
use crate::store::{Store, StoreError};

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

pub(super) fn run(scene: &Scene, args: &DecideArgs, verdict: Verdict, why: Option<&str>) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    scene.guard_owner(&config)?;
    let failed = |error: StoreError| store::failure(&error);
    let mut store = store::open(&config)?;
    let import = args.import;
    let row = ledger::get(store.connection(), import).map_err(failed)?;
    let list = || scene.typed(scene.config.as_deref(), &["imports", "list"]);
    let row = row.ok_or_else(|| Failure::not_found(format!("no import {import}")).hint(format!("list them with: {}", list())))?;
    ByHand::can_sign(&config).map_err(serve::failure)?;
    let request = DecideRequest { import, verdict, why: why.map(str::to_owned) };
    let asked = Asked::ask(scene, &config, &mut store, "ask for a decision", &request.to_row(asked_by())).map_err(failed)?;
    asked.wait(&Deciding { scene, tenant: &row.tenant, import })?;
    let row = ledger::require(store.connection(), import).map_err(failed)?;
    if args.json {
        scene.terminal.json(
            &serde_json::json!({ "import": import, "decision": verdict.as_str(), "state": row.state.as_str(), "reason": row.reason }),
        )?;
    } else {
        let (done, now) = (verdict.done(), state(&row));
        let now = if done == now { String::new() } else { format!(", now {now}") };
        scene.terminal.say(format!("import {import}: {done}{now}"))?;
    }
    let held_again = row.state == State::Held && matches!(verdict, Verdict::Approve | Verdict::Retry);
    Ok(if held_again { Exit::Held } else { Exit::Done })
}

/// A word on an import that was given. Over once it is taken; beside a daemon the import itself goes on.
struct Deciding<'a> {
    scene: &'a Scene,
    tenant: &'a TenantName,
    import: ImportId,
}

impl Errand for Deciding<'_> {
    type Outcome = ();

    fn work(&self, by_hand: &mut ByHand, request: i64) -> Result<(), Failure> {
        by_hand.pipeline.run_requests(self.tenant, request).map_err(|fault| Failure::failed(fault.chain()))
    }

    fn outcome(&self, _: &Store, _: &Value) -> Result<Option<()>, Failure> {
        Ok(Some(()))
    }

    fn refused(&self, why: &str) -> Failure {
        let look = imports::typed(self.scene, "show", self.import, &[]);
        Failure::failed(why.to_owned()).hint(format!("this request changed nothing; look with: {look}"))
    }
}

fn state(row: &ImportRow) -> String {
    match &row.message {
        Some(message) if row.state == State::Held => format!("held again: {message}"),
        _ => row.state.as_str().to_owned(),
    }
}
