//! From the first pass to the second: what was found goes to the ledger, in one transaction.

use jiff::Timestamp;
use rusqlite::Connection;

use super::matched::Matched;
use super::{Engine, PurgeError};
use crate::domain::{Counts, ImportId, State};
use crate::store::ledger::{self, ImportRow, Planned, Progress};
use crate::store::{Store, StoreError};

impl Engine {
    /// Writes targets, outcomes and errors; the import is `purging` from here on, and a restart goes on with its chunks.
    ///
    /// # Errors
    /// [`StoreError::State`] unless the import is `received` or `checking`.
    pub fn begin(&self, store: &mut Store, import: ImportId, matched: &Matched) -> Result<(), PurgeError> {
        store.write("begin an import", |transaction| {
            let row = ledger::require(transaction, import)?;
            if !matches!(row.state, State::Received | State::Checking) || row.tenant != *matched.tenant() {
                return Err(StoreError::State { import: import.0, state: row.state.as_str() }.into());
            }
            self.record(transaction, import, State::Purging, matched, &self.nothing_done())
        })
    }

    /// How many of those that were matched are not among the targets that the ledger has of this import: people to whom nobody
    /// said yes. One who was and is not matched any more does not count.
    ///
    /// # Errors
    /// The store.
    pub fn strangers(&self, connection: &Connection, import: ImportId, matched: &Matched) -> Result<u64, PurgeError> {
        let mut strangers = 0;
        for target in matched.targets() {
            strangers += u64::from(!ledger::is_target(connection, import, &target)?);
        }
        Ok(strangers)
    }

    /// Sets an import aside before anything is deleted: targets, outcomes and the report of its check, in one transaction.
    /// A former approval is taken back.
    ///
    /// # Errors
    /// [`StoreError::State`] unless the import is `received` or `checking`.
    pub fn hold(
        &self,
        store: &mut Store,
        import: ImportId,
        matched: &Matched,
        why: (&str, &str),
        at: Timestamp,
        build_report: impl FnOnce(&ImportRow, Option<ImportId>) -> String,
    ) -> Result<(), PurgeError> {
        store.write("hold an import", |transaction| {
            let row = ledger::require(transaction, import)?;
            if !matches!(row.state, State::Received | State::Checking) || row.tenant != *matched.tenant() {
                return Err(StoreError::State { import: import.0, state: row.state.as_str() }.into());
            }
            self.record(transaction, import, State::Held, matched, &self.nothing_done())?;
            ledger::set_state(transaction, import, State::Held, Some(why.0), Some(why.1))?;
            ledger::hold(transaction, import, at)?;
            let row = ledger::require(transaction, import)?;
            let same_as = ledger::same_bytes(transaction, &row)?;
            Ok(ledger::store_report(transaction, import, State::Held, &build_report(&row, same_as))?)
        })
    }

    /// Every table of the plan at zero.
    pub(super) fn nothing_done(&self) -> Progress {
        let (removed, detached) = (Counts::zero(self.plan.removed_tables()), Counts::zero(self.plan.detached_tables()));
        Progress { removed, detached, overwritten: Counts::zero(self.plan.overwritten_tables()), ..Progress::default() }
    }

    pub(super) fn record(
        &self,
        transaction: &rusqlite::Transaction<'_>,
        import: ImportId,
        state: State,
        matched: &Matched,
        progress: &Progress,
    ) -> Result<(), PurgeError> {
        ledger::insert_targets(transaction, import, matched.targets())?;
        ledger::note_exemptions_seen(transaction, import, matched.exemption)?;
        ledger::drop_pending(transaction, import)?;
        for suppression in matched.unmatched_suppressions() {
            ledger::pend_suppression(transaction, import, suppression)?;
        }
        let planned = Planned {
            plan: &self.digest,
            outcomes: &matched.outcomes(),
            tally: matched.tally(),
            errors: matched.errors(),
            errors_omitted: matched.errors_omitted(),
            progress,
        };
        Ok(ledger::plan(transaction, import, state, &planned)?)
    }
}
