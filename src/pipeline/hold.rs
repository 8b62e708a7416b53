//! Imports that wait for a person: held by the brake, or failed after retries.
//!
//! The ledger's state comes first, the move to `held/` follows, and each step can be done again: a kill between any two
//! leaves a row that says where the file belongs. Nothing is deleted on any of these ways.

use std::io::Write;

use jiff::{SignedDuration, Timestamp};
use tracing::{error, warn};

use super::import::Step;
use super::import::{REPORT, claimed_file, place_of};
use super::reported::report;
use super::{Fault, Pipeline};
use crate::domain::{ImportId, Mode, ROW_ERRORS_MAX, State, TenantName};
use crate::purge::{Checked, Ended, Ending, Held, Matched};
use crate::report::{Accounts, Report, ReportError};
use crate::spool::{ArchivedFile, ClaimedFile, Companion, End, Folders};
use crate::store::ledger::{self, Hold, ImportRow, Origin};

/// The word of the program itself where a person's would stand.
const BY_PROGRAM: &str = "expunged";

impl Pipeline {
    /// Why an import that is about to purge must wait for a person.
    ///
    /// A list given by hand was confirmed by the number of people: only more people than that hold it. One that was held
    /// and approved goes on with whoever was approved: only someone else holds it again.
    pub(super) fn judge(&self, row: &ImportRow, matched: &Matched) -> Result<Vec<Held>, Fault> {
        let connection = self.store.connection();
        if let Some(Hold { approved: true, .. }) = ledger::hold_of(connection, row.id)? {
            let new = self.engine.strangers(connection, row.id, matched)?;
            let approved = ledger::count_targets(connection, row.id)?;
            return Ok((new > 0).then_some(Held::Strangers { new, approved }).into_iter().collect());
        }
        if row.origin == Origin::Command && row.mode == Mode::Purge {
            let confirmed = super::requests::confirmed(connection, row.id)?;
            let more = confirmed.and_then(|approved| {
                let new = matched.customers().checked_sub(approved).filter(|new| *new > 0)?;
                Some(Held::Strangers { new, approved })
            });
            return Ok(more.into_iter().collect());
        }
        Ok(self.engine.judge(connection, matched, &self.rules(&row.tenant).brake)?)
    }

    /// Puts an import aside in the ledger, with the report of its check. The file follows in [`Pipeline::set_aside`].
    pub(super) fn hold(&mut self, row: &ImportRow, matched: &Matched, held: &[Held]) -> Result<Step, Fault> {
        let checked = self.engine.check(self.store.connection(), matched)?;
        let code = held.first().map_or("held", Held::code);
        let message = self.with_contact(&row.tenant, &sentences(held));
        let (at, keep) = (Self::now(), self.options.originals_days);
        self.engine.hold(&mut self.store, row.id, matched, (code, &message), at, |row, same_as| {
            held_report(row, same_as, &checked, (at, keep)).to_json()
        })?;
        Ok(Step::More)
    }

    /// Brings the file of an import that waits for a person to `held/`, beside its report, and says so.
    pub(super) fn set_aside(&mut self, row: &ImportRow) -> Result<Step, Fault> {
        let folders = self.spool.tenant(&row.tenant)?;
        let place = place_of(row)?;
        if !folders.has_ended(&place)? {
            let (tenant, import, file) = (&row.tenant, row.id.0, &row.file);
            match folders.claimed_file(row.id, &place.name)? {
                Some(claimed) => {
                    let text = row.report.as_deref().unwrap_or_default();
                    let mut write_report = |out: &mut dyn Write| out.write_all(text.as_bytes());
                    let signature = self.signature(text)?;
                    claimed.hold(place.day, &mut [Companion { suffix: REPORT, write: &mut write_report, signature: Some(&signature) }])?;
                }
                None => error!(%tenant, import, file, "file of a waiting import missing"),
            }
            let why = row.message.as_deref();
            let hint = what_to_say(row);
            if row.state == State::Held {
                warn!(%tenant, import, file, reason = row.reason, why, hint, "import held: approve or reject it");
            } else {
                error!(%tenant, import, file, reason = row.reason, hint, "import failed: retry or reject it");
            }
        }
        self.publish(&folders, row, row.state, None)?;
        Ok(Step::Over)
    }

    /// The claimed file, back from `held/` where it waited there.
    pub(super) fn owned_file(&self, folders: &Folders, row: &ImportRow) -> Result<ClaimedFile, Fault> {
        if ledger::hold_of(self.store.connection(), row.id)?.is_some() {
            folders.unhold(&ArchivedFile { end: End::Held, ..place_of(row)? }, &[REPORT])?;
        }
        claimed_file(folders, row)
    }

    /// Tells again of imports that wait for long, and ends those that were held for too long.
    pub(super) fn look_after_holds(&mut self) -> Result<(), Fault> {
        for hold in ledger::holds(self.store.connection())? {
            let row = ledger::require(self.store.connection(), hold.import)?;
            if !self.tenants.contains_key(&row.tenant) {
                continue;
            }
            let at = Self::now();
            let waited = at.duration_since(hold.held_at);
            if row.state == State::Held && waited >= signed(self.options.hold_for) {
                self.expire_hold(&row, at)?;
            } else if hold.warned_at.is_none() && waited >= signed(self.options.hold_warn) {
                self.store.write("note a warning", |tx| ledger::note_warned(tx, row.id, at))?;
                let hours = waited.as_hours();
                let (state, hint) = (row.state.as_str(), what_to_say(&row));
                warn!(tenant = %row.tenant, import = row.id.0, file = row.file, state, hours, hint, "import still waits for a decision");
            }
        }
        Ok(())
    }

    fn expire_hold(&mut self, row: &ImportRow, at: Timestamp) -> Result<(), Fault> {
        let days = self.options.hold_for.as_secs() / 86_400;
        let why = format!("held for {days} days and nobody decided; send the file again");
        let ending = Ending::Rejected { reason: "hold_expired".to_owned(), message: why.clone() };
        let (engine, keep) = (&self.engine, self.options.originals_days);
        let decision = ledger::Decision { kind: "expire".to_owned(), by: BY_PROGRAM.to_owned(), at, why: None };
        self.store.write("end a hold", |tx| {
            ledger::note_decision(tx, row.id, &decision)?;
            engine.finish_in(tx, row.id, &ending, at, |ended| rejected_report(ended, keep, "hold_expired", &why).to_json())
        })?;
        warn!(tenant = %row.tenant, import = row.id.0, file = row.file, why, "hold expired: nothing was deleted");
        self.turns.push(&row.tenant, row.id);
        Ok(())
    }

    /// Counts a fault of ours against an import. True: it was the last that it gets, and it waits for a person now. A plan that does not
    /// fit is no fault of the import's, which waits until it does: see [`Self::paused`].
    pub(super) fn give_up(&mut self, import: ImportId, fault: &Fault) -> Result<bool, Fault> {
        if fault.passing() || fault.misfit() {
            return Ok(false);
        }
        let attempts = self.store.write("count an attempt", |tx| ledger::note_attempt(tx, import))?;
        let row = ledger::require(self.store.connection(), import)?;
        if attempts < self.options.attempts_max || !matches!(row.state, State::Received | State::Checking | State::Purging) {
            return Ok(false);
        }
        self.fail(&row.tenant, import, fault.code())?;
        Ok(true)
    }

    /// What went well after faults is tried as often again.
    pub(super) fn forget_attempts(&mut self, import: ImportId) {
        let forgotten = self.store.write("forget an import's attempts", |tx| ledger::forget_attempts(tx, import));
        if let Err(fault) = forgotten.map_err(Fault::from) {
            warn!(import = import.0, cause = fault.chain(), "attempts not forgotten");
        }
    }

    /// Ends an import by a fault of ours: its next slice sets it aside, where it waits for a person.
    pub(super) fn fail(&mut self, tenant: &TenantName, import: ImportId, reason: &str) -> Result<(), Fault> {
        let message = self.with_contact(tenant, "not the file's fault; it waits for the operator, who was told");
        let ending = Ending::Failed { reason: reason.to_owned(), message };
        let keep = self.options.originals_days;
        self.engine.finish(&mut self.store, import, &ending, Self::now(), |ended| report(ended, keep).to_json())?;
        Ok(())
    }

    pub(super) fn with_contact(&self, tenant: &TenantName, sentence: &str) -> String {
        let contact = &self.rules(tenant).contact;
        if contact.is_empty() { sentence.to_owned() } else { format!("{sentence}; contact: {contact}") }
    }
}

/// The commands for an import that waits for a person.
fn what_to_say(row: &ImportRow) -> String {
    let (id, word) = (row.id, if row.state == State::Held { "approve" } else { "retry" });
    format!("look: expunged imports show {id}; then: expunged imports {word} {id}, or: expunged imports reject {id} --why TEXT")
}

/// What a check, or the status of a held import, says of the brake.
pub(super) fn sentences(held: &[Held]) -> String {
    held.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The same as a remark of a report.
pub(super) fn remark(held: &[Held]) -> Option<String> {
    (!held.is_empty()).then(|| format!("a purge would be held: {}", sentences(held)))
}

/// The report of a file that was refused as a whole after its rows were read.
pub(super) fn rejected_report(ended: &Ended, originals_days: u32, code: &str, message: &str) -> Report {
    let mut report = report(ended, originals_days);
    report.errors.insert(0, ReportError { line: None, column: None, reason: code.to_owned(), message: message.to_owned() });
    report.errors.truncate(ROW_ERRORS_MAX);
    report
}

/// The report of the check of a held import.
fn held_report(row: &ImportRow, same_as: Option<ImportId>, checked: &Checked, (at, keep): (Timestamp, u32)) -> Report {
    let ended = Ended { import: row.clone(), tally: checked.tally, same_as, previous: None };
    let progress = &checked.progress;
    Report {
        mode: Mode::Check,
        status: State::Completed,
        reason: None,
        finished_at: at,
        removed: progress.removed.clone(),
        detached: progress.detached.clone(),
        overwritten: progress.overwritten.clone(),
        accounts: Accounts { deleted: progress.accounts_deleted, preserved: progress.accounts_preserved },
        suppressed: progress.suppressed,
        would_hold: Some(true),
        ..report(&ended, keep)
    }
}

fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
