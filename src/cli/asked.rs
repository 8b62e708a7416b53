//! What a command asks of the daemon, a row in the ledger, and the wait until it is done.
//!
//! Beside a daemon the command only waits. Without one it does what it asked for itself: at once, or when nobody has worked
//! on the data folder for a while, so that a daemon which is started again goes first. What it could not do is not asked for any
//! more, so that nobody does later what somebody was told had failed. What is asked for, and what is made of the answer, the
//! [`Errand`] knows.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Failure, Scene, imports, serve, store};
use crate::config::Config;
use crate::daemon::ByHand;
use crate::pipeline;
use crate::store::ledger::{self, ImportRow, NewRequest, RequestRow};
use crate::store::{Store, StoreError};

/// One kind of request, from the side of the command that makes it.
pub(super) trait Errand {
    /// What it comes to.
    type Outcome;

    /// Whether it may be done in the daemon's place by now. `waited`: zero at once.
    fn may_work(&self, _store: &Store, _waited: Duration) -> Result<bool, Failure> {
        Ok(true)
    }

    /// Does it in the daemon's place.
    fn work(&self, by_hand: &mut ByHand, request: i64) -> Result<(), Failure>;

    /// What came of it. `None`: it was taken up and goes on.
    fn outcome(&self, store: &Store, answer: &Value) -> Result<Option<Self::Outcome>, Failure>;

    /// Why it was refused, for the person who asked.
    fn refused(&self, why: &str) -> Failure;

    /// Says that it takes long. Called once.
    fn still_waiting(&self) {}

    /// Clears away what was laid out for a request that is not asked for any more.
    fn withdrawn(&self) {}
}

/// A request in the ledger.
pub(super) struct Asked<'a> {
    scene: &'a Scene,
    config: &'a Config,
    store: &'a mut Store,
    request: i64,
}

impl<'a> Asked<'a> {
    /// Asks. `doing` is for the message where the store refuses it.
    pub(super) fn ask(
        scene: &'a Scene,
        config: &'a Config,
        store: &'a mut Store,
        doing: &'static str,
        new: &NewRequest,
    ) -> Result<Self, StoreError> {
        let request = store.write(doing, |tx| ledger::insert_request(tx, new, Timestamp::now()))?;
        Ok(Self { scene, config, store, request })
    }

    /// Waits until it is over.
    pub(super) fn wait<E: Errand>(self, errand: &E) -> Result<E::Outcome, Failure> {
        let (mut waited, mut turn) = (Duration::ZERO, Turn::default());
        loop {
            if let Err(failure) = self.work(errand, &mut turn, waited) {
                return Err(self.withdraw(errand, failure));
            }
            let row = self.look(self.request)?;
            let row = row.ok_or_else(|| Failure::failed("the request was lost"))?;
            if let Some(answer) = &row.result {
                if let Some(why) = answer["error"].as_str() {
                    return Err(errand.refused(why));
                }
                if let Some(outcome) = errand.outcome(self.store, answer)? {
                    return Ok(outcome);
                }
            }
            if row.taken_at.is_none() && waited > TAKEN_UP_WITHIN {
                let list = self.scene.typed(self.scene.config.as_deref(), &["imports", "list"]);
                return Err(Failure::failed("the daemon has not taken up the request")
                    .hint(format!("it will when it can; see its log, and: {list}")));
            }
            std::thread::sleep(LOOK_EVERY);
            waited += LOOK_EVERY;
            if waited == TOLD_AFTER {
                errand.still_waiting();
            }
        }
    }

    /// Does it in the daemon's place, where nobody else works on the data folder by now.
    fn work<E: Errand>(&self, errand: &E, turn: &mut Turn, waited: Duration) -> Result<(), Failure> {
        if turn.comes(self.config)?
            && errand.may_work(self.store, waited)?
            && let Some(mut by_hand) = ByHand::build(self.config).map_err(serve::failure)?
        {
            let before = self.waiting_before()?;
            let worked = errand.work(&mut by_hand, self.request);
            let told = self.tell_carried_out(&before);
            worked.and(told)?;
        }
        Ok(())
    }

    /// What others asked for before, and nobody has taken up: who works in the daemon's place does that first.
    fn waiting_before(&self) -> Result<Vec<RequestRow>, Failure> {
        let mut open = ledger::open_requests(self.store.connection()).map_err(|error| store::failure(&error))?;
        open.retain(|row| row.id < self.request && row.taken_at.is_none());
        Ok(open)
    }

    /// Says what became of that, whatever became of the request itself.
    fn tell_carried_out(&self, before: &[RequestRow]) -> Result<(), Failure> {
        for asked in before {
            let Some((import, done)) = self.look(asked.id)?.as_ref().and_then(pipeline::carried_out) else { continue };
            // A list that was lost became none.
            let row = ledger::get(self.store.connection(), import).map_err(|error| store::failure(&error))?;
            if let Some(ImportRow { file, tenant, state, .. }) = row {
                let (by, state) = (&asked.by, state.as_str());
                self.scene
                    .terminal
                    .warn(format!("import {import}, \"{file}\" of {tenant}, was {done} first, as {by} had asked; it is {state} now"));
            }
        }
        Ok(())
    }

    fn look(&self, request: i64) -> Result<Option<RequestRow>, Failure> {
        ledger::request(self.store.connection(), request).map_err(|error| store::failure(&error))
    }

    /// Takes back what was asked for, unless it was taken up.
    fn withdraw<E: Errand>(self, errand: &E, failure: Failure) -> Failure {
        match self.store.write("withdraw a request", |tx| ledger::withdraw_request(tx, self.request)) {
            Ok(true) => {
                errand.withdrawn();
                failure.hint("this request changed nothing")
            }
            Ok(false) => self.stands(failure),
            Err::<_, StoreError>(_) => failure.hint("it is still asked for: whoever works on the ledger next, such as the daemon, does it"),
        }
    }

    /// What was taken up stands, whatever fault of ours came then: whoever works on the ledger next goes on with it.
    fn stands(&self, failure: Failure) -> Failure {
        let import = pipeline::import_of(self.store.connection(), self.request).ok().flatten();
        let row = import.and_then(|import| ledger::get(self.store.connection(), import).ok().flatten());
        let Some(row) = row.filter(|row| !row.archived) else { return failure };
        let failure = failure.hint(format!("import {} is not over: the daemon goes on with it when it starts", row.id));
        if row.state.ended() {
            return failure;
        }
        failure.hint(format!("or end it first: {}", imports::typed(self.scene, "cancel", row.id, &[])))
    }
}

/// The person behind the command: the login behind sudo, where there is one.
pub(super) fn asked_by() -> String {
    let name = ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// When a command does what it asked for itself.
#[derive(Default)]
struct Turn {
    looked: bool,
    /// Looks on end that found nobody at work.
    free: u32,
}

impl Turn {
    /// To be asked once each [`LOOK_EVERY`].
    fn comes(&mut self, config: &Config) -> Result<bool, Failure> {
        if !std::mem::replace(&mut self.looked, true) {
            return Ok(true);
        }
        self.free = if ByHand::is_free(config).map_err(serve::failure)? { self.free.saturating_add(1) } else { 0 };
        Ok(self.free >= FREE_LOOKS)
    }
}

/// How often a waiting command looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// At [`LOOK_EVERY`], 5 s: more than the unit waits before it starts the daemon again.
const FREE_LOOKS: u32 = 50;

/// How long a command waits for a running daemon to take up its request. DESIGN section 3 promises a second.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(30);

/// After how long a command says that it takes long.
const TOLD_AFTER: Duration = Duration::from_secs(30);
