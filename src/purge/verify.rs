//! What must hold when a chunk's deletions are done and before they are kept.

use rusqlite::{Transaction, params_from_iter};

use super::{Engine, PurgeError};
use crate::domain::TenantName;
use crate::store::Doing;

impl Engine {
    /// Whether anything refers to what is gone by now: whoever deletes by a plan does not have SQLite look row by row. Where there are
    /// triggers, also whether anything is left that was to be deleted or written over: one can keep it from happening, or undo it.
    pub(super) fn verify(&self, transaction: &Transaction<'_>, tenant: &TenantName) -> Result<(), PurgeError> {
        let doing = "look for references to what is gone";
        let finds = |sql: &str| transaction.prepare_cached(sql).and_then(|mut look| look.exists([])).doing(doing);
        let triggers = finds("SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger'")?;
        for look in self.steps.verify.iter().filter(|look| triggers || !look.by_trigger) {
            if finds(&look.find)? {
                return Err(PurgeError::StillReferred(look.table.clone()));
            }
        }
        if !triggers {
            return Ok(());
        }
        for rule in &self.steps.rules {
            let is_left = |sql: &str, parameters: &[&str]| {
                let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
                let left = transaction.prepare_cached(sql).and_then(|mut look| look.query_row(params_from_iter(parameters), count));
                left.map(|left| left > 0).doing("look for what a trigger kept")
            };
            let doomed = rule.doomed.as_ref().map_or(Ok(false), |doomed| is_left(&doomed.count, &[]))?;
            let overwritten = || rule.overwrite.as_ref().map_or(Ok(false), |overwrite| is_left(&overwrite.count, &[tenant.as_str()]));
            if doomed || overwritten()? {
                return Err(PurgeError::StillThere(rule.table.clone()));
            }
        }
        Ok(())
    }
}
