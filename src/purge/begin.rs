//! From the first pass to the second: what was found goes to the ledger, in one transaction.

use super::matched::Matched;
use super::{Engine, PurgeError};
use crate::domain::{Counts, ImportId, State};
use crate::store::ledger::{self, Planned, Progress};
use crate::store::{Store, StoreError};

impl Engine {
    /// Writes targets, outcomes and errors; the import is `purging` from here on, and a restart goes on with its chunks.
    ///
    /// # Errors
    /// [`StoreError::State`] unless the import is `received`, `checking` or `held`.
    pub fn begin(&self, store: &mut Store, import: ImportId, matched: &Matched) -> Result<(), PurgeError> {
        store.write("begin an import", |transaction| {
            let row = ledger::require(transaction, import)?;
            if !matches!(row.state, State::Received | State::Checking | State::Held) || row.tenant != *matched.tenant() {
                return Err(StoreError::State { import: import.0, state: row.state.as_str() }.into());
            }
            self.record(transaction, import, State::Purging, matched, &self.nothing_done())
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
