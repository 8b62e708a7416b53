//! How an import ends: final outcomes, suppressions, and the report's text, in one transaction.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::check::Checked;
use super::matched::Matched;
use super::{Engine, PurgeError};
use crate::domain::{ImportId, Outcome, State, Tally};
use crate::store::ledger::{self, End, ImportRow};
use crate::store::{Store, StoreError};

/// How an import ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ending {
    /// Every target was dealt with.
    Completed,
    /// Ended at a chunk boundary by an operator's word: the rest is `skipped`.
    Stopped {
        /// The stable code.
        reason: String,
        /// For a person.
        message: String,
    },
    /// The input's fault, or an operator's word, before anything was deleted.
    Rejected {
        /// The stable code.
        reason: String,
        /// For a person.
        message: String,
    },
    /// Ours, after retries. Not an end: its chunks may go on.
    Failed {
        /// The stable code.
        reason: String,
        /// For a person.
        message: String,
    },
}

impl Ending {
    fn state(&self) -> State {
        match self {
            Self::Completed => State::Completed,
            Self::Stopped { .. } => State::Stopped,
            Self::Rejected { .. } => State::Rejected,
            Self::Failed { .. } => State::Failed,
        }
    }

    fn words(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Completed => (None, None),
            Self::Stopped { reason, message } | Self::Rejected { reason, message } | Self::Failed { reason, message } => {
                (Some(reason), Some(message))
            }
        }
    }
}

/// An import as it ends: what its report is made from.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The ledger's row. Its report is not there yet while it is being built.
    pub import: ImportRow,
    /// Rows by outcome.
    pub tally: Tally,
    /// An earlier import of the same bytes.
    pub same_as: Option<ImportId>,
    /// The digest of the tenant's report before this.
    pub previous: Option<String>,
}

impl Engine {
    /// Ends an import and stores the report that `build_report` makes of it, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::State`] when the import has ended already, or would complete with targets left.
    pub fn finish(
        &self,
        store: &mut Store,
        import: ImportId,
        ending: &Ending,
        at: Timestamp,
        build_report: impl FnOnce(&Ended) -> String,
    ) -> Result<Ended, PurgeError> {
        store.write("end an import", |transaction| self.finish_in(transaction, import, ending, at, build_report))
    }

    /// The same inside a transaction of the caller's.
    ///
    /// # Errors
    /// As [`Engine::finish`]. Nothing was written after [`StoreError::State`].
    pub fn finish_in(
        &self,
        transaction: &Transaction<'_>,
        import: ImportId,
        ending: &Ending,
        at: Timestamp,
        build_report: impl FnOnce(&Ended) -> String,
    ) -> Result<Ended, PurgeError> {
        let row = ledger::require(transaction, import)?;
        let refuse = || PurgeError::from(StoreError::State { import: import.0, state: row.state.as_str() });
        let fits = match ending {
            Ending::Completed => row.state == State::Purging,
            Ending::Stopped { .. } => matches!(row.state, State::Purging | State::Failed),
            Ending::Rejected { .. } => !row.state.ended() && untouched(&row),
            Ending::Failed { .. } => !row.state.ended(),
        };
        if !fits {
            return Err(refuse());
        }
        let mut outcomes = ledger::outcomes(transaction, import)?;
        let fates = ledger::row_fates(transaction, import, outcomes.len())?;
        let (tally, left) = settle(&mut outcomes, &fates)?;
        if left && *ending == Ending::Completed {
            return Err(refuse());
        }
        match ending {
            Ending::Completed | Ending::Stopped { .. } => {
                let mut total = row.progress.clone();
                total.suppressed += ledger::settle_pending(transaction, &row.tenant, import, at)?;
                ledger::set_progress(transaction, import, &total)?;
                let changed = total.removed.total() + total.detached.total() + total.overwritten.total();
                if changed > 0 {
                    ledger::note_unscrubbed(transaction, import, changed, at)?;
                }
            }
            Ending::Rejected { .. } => ledger::drop_pending(transaction, import)?,
            Ending::Failed { .. } => {
                let resume = if row.state == State::Purging { State::Purging } else { State::Checking };
                ledger::set_aside(transaction, import, resume, at)?;
            }
        }
        let (reason, message) = ending.words();
        let outcomes = ending.state().ended().then_some(outcomes.as_slice());
        let end = End { state: ending.state(), reason, message, finished_at: at, outcomes, tally };
        close(transaction, import, &end, build_report)
    }

    /// Rejects a file whose every row must be good, its bad rows listed. Nothing is deleted.
    ///
    /// # Errors
    /// As [`Engine::finish`].
    pub fn refuse_rows(
        &self,
        store: &mut Store,
        import: ImportId,
        matched: &Matched,
        ending: &Ending,
        at: Timestamp,
        build_report: impl FnOnce(&Ended) -> String,
    ) -> Result<Ended, PurgeError> {
        store.write("refuse an import's rows", |transaction| {
            let row = ledger::require(transaction, import)?;
            if !matches!(row.state, State::Received | State::Checking) {
                return Err(StoreError::State { import: import.0, state: row.state.as_str() }.into());
            }
            self.record(transaction, import, State::Checking, matched, &self.nothing_done())?;
            self.finish_in(transaction, import, ending, at, build_report)
        })
    }

    /// Ends a check: what would be, and the report that `build_report` makes of it, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::State`] when the import has ended already.
    pub fn finish_check(
        &self,
        store: &mut Store,
        import: ImportId,
        matched: &Matched,
        checked: &Checked,
        at: Timestamp,
        build_report: impl FnOnce(&Ended) -> String,
    ) -> Result<Ended, PurgeError> {
        store.write("end a check", |transaction| {
            let row = ledger::require(transaction, import)?;
            if row.state.ended() {
                return Err(StoreError::State { import: import.0, state: row.state.as_str() }.into());
            }
            // The targets stay until the check is archived: its results are written from them, after a crash too.
            self.record(transaction, import, State::Checking, matched, &checked.progress)?;
            ledger::drop_pending(transaction, import)?;
            for key in &checked.gone {
                ledger::mark_gone(transaction, import, key)?;
            }
            if let Some(last) = ledger::last_target(transaction, import)? {
                ledger::progress(transaction, import, &last, &checked.progress)?;
            }
            let outcomes = Some(checked.outcomes.as_slice());
            let end = End { state: State::Completed, reason: None, message: None, finished_at: at, outcomes, tally: checked.tally };
            close(transaction, import, &end, build_report)
        })
    }
}

/// Whether nothing was deleted yet.
#[must_use]
pub fn untouched(row: &ImportRow) -> bool {
    row.cursor.is_none() && row.progress.removed.total() == 0
}

fn close(
    transaction: &Transaction<'_>,
    import: ImportId,
    end: &End<'_>,
    build_report: impl FnOnce(&Ended) -> String,
) -> Result<Ended, PurgeError> {
    ledger::end(transaction, import, end)?;
    let row = ledger::require(transaction, import)?;
    let same_as = ledger::same_bytes(transaction, &row)?;
    let previous = ledger::previous_report(transaction, &row.tenant)?;
    let ended = Ended { import: row, tally: end.tally, same_as, previous };
    let report = build_report(&ended);
    ledger::store_report(transaction, import, end.state, &report)?;
    Ok(Ended { import: ledger::require(transaction, import)?, ..ended })
}

/// Gives each row that still waits for its targets what became of them. Says whether any target is left.
fn settle(outcomes: &mut [u8], fates: &[ledger::RowFate]) -> Result<(Tally, bool), PurgeError> {
    let mut tally = Tally::default();
    let mut left = false;
    for (byte, fate) in std::iter::zip(outcomes, fates) {
        let mut outcome = Outcome::from_byte(*byte).ok_or(StoreError::Ledger("outcomes"))?;
        if outcome == Outcome::Pending {
            outcome = match fate {
                ledger::RowFate { deleted: 1.., .. } => Outcome::Deleted,
                ledger::RowFate { left: 1.., .. } => Outcome::Skipped,
                ledger::RowFate { exempt: 1.., .. } => Outcome::Exempt,
                ledger::RowFate { .. } => Outcome::NotFound,
            };
        }
        left |= fate.left > 0;
        *byte = outcome as u8;
        tally.add(outcome);
    }
    Ok((tally, left))
}
