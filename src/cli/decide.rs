//! `imports approve | reject | retry | cancel`: a person's word on an import, through the ledger.

use std::time::Duration;

use jiff::Timestamp;

use super::args::DecideArgs;
use super::lists::asked_by;
use super::{Exit, Failure, Scene, store};
use crate::daemon::ByHand;
use crate::domain::{ImportId, State};
use crate::pipeline::{DecideRequest, Verdict};
use crate::store::ledger::{self, ImportRow};
use crate::store::{Store, StoreError};

/// How often a waiting command looks whether the daemon has taken its word.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a command waits for a running daemon. DESIGN section 3 promises a second.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn run(scene: &Scene, args: &DecideArgs, verdict: Verdict, why: Option<&str>) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    scene.guard_owner(&config)?;
    let failed = |error: StoreError| store::failure(&error);
    let mut store = store::open(&config)?;
    let import = args.import;
    let row = ledger::get(store.connection(), import).map_err(failed)?;
    let list = || scene.typed(scene.config.as_deref(), &["imports", "list"]);
    let row = row.ok_or_else(|| Failure::not_found(format!("no import {import}")).hint(format!("list them with: {}", list())))?;
    ByHand::look(&config).map_err(super::serve::failure)?;
    let request = DecideRequest { import, verdict, why: why.map(str::to_owned) };
    let new = request.to_row(asked_by());
    let id = store.write("ask for a decision", |tx| ledger::insert_request(tx, &new, Timestamp::now())).map_err(failed)?;
    if let Some(mut by_hand) = ByHand::build(&config).map_err(super::serve::failure)? {
        by_hand.pipeline.run_requests(&row.tenant, id).map_err(|fault| Failure::failed(fault.chain()))?;
    }
    wait_for(scene, &store, id, import)?;
    let row = ledger::require(store.connection(), import).map_err(failed)?;
    if args.json {
        scene.terminal.json(
            &serde_json::json!({ "import": import, "decision": verdict.as_str(), "state": row.state.as_str(), "reason": row.reason }),
        )?;
    } else {
        let (done, now) = (done(verdict), state(&row));
        let now = if done == now { String::new() } else { format!(", now {now}") };
        scene.terminal.say(format!("import {import}: {done}{now}"))?;
    }
    let held_again = row.state == State::Held && matches!(verdict, Verdict::Approve | Verdict::Retry);
    Ok(if held_again { Exit::Held } else { Exit::Done })
}

fn wait_for(scene: &Scene, store: &Store, request: i64, import: ImportId) -> Result<(), Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let row = ledger::request(store.connection(), request).map_err(|error| store::failure(&error))?;
        if let Some(result) = row.and_then(|row| row.result) {
            return match result["error"].as_str() {
                Some(why) => {
                    let look = scene.typed(scene.config.as_deref(), &["imports", "show", &import.to_string()]);
                    Err(Failure::failed(why.to_owned()).hint(format!("nothing was changed; look with: {look}")))
                }
                None => Ok(()),
            };
        }
        if waited > TAKEN_UP_WITHIN {
            return Err(Failure::failed("the daemon has not taken up the request").hint("it will when it can; see its log"));
        }
        std::thread::sleep(LOOK_EVERY);
        waited += LOOK_EVERY;
    }
}

fn done(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "approved",
        Verdict::Reject => "rejected",
        Verdict::Retry => "tried again",
        Verdict::Cancel => "cancelled",
    }
}

fn state(row: &ImportRow) -> String {
    match &row.message {
        Some(message) if row.state == State::Held => format!("held again: {message}"),
        _ => row.state.as_str().to_owned(),
    }
}
