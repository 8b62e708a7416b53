//! What must hold when a chunk's deletions are done and before they are kept.

use rusqlite::{Transaction, params_from_iter};

use super::terms::{CHUNK, EMPTIED, in_main, of, tuple};
use super::{Engine, PurgeError};
use crate::domain::TenantName;
use crate::store::Doing;

/// How many people and accounts there are, of all tenants. A chunk takes those that it names: a trigger can keep one, write one again
/// under another key, or take one that nobody named.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) people: i64,
    pub(super) accounts: i64,
}

impl Heads {
    pub(super) fn of(people: u64, accounts: u64) -> Self {
        let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
        Self { people: signed(people), accounts: signed(accounts) }
    }
}

impl Engine {
    /// Counts heads where a trigger may have a hand in it.
    pub(super) fn heads(&self, transaction: &Transaction<'_>) -> Result<Option<Heads>, PurgeError> {
        if self.plan.accepted.triggers.is_empty() {
            return Ok(None);
        }
        let count = |table: &String| {
            let sql = format!("SELECT count(*) FROM {}", in_main(table));
            transaction.prepare_cached(&sql).and_then(|mut count| count.query_row([], |row| row.get(0))).doing("count people and accounts")
        };
        let accounts = self.plan.account.as_ref().map_or(Ok(0), |rule| count(&rule.table))?;
        Ok(Some(Heads { people: count(&self.plan.subject.table)?, accounts }))
    }

    /// Whether a chunk took the people and accounts that it meant to, and those alone. An account that its last user's trigger has
    /// taken is as good as taken.
    pub(super) fn verify_heads(&self, transaction: &Transaction<'_>, before: Heads, meant: Heads) -> Result<(), PurgeError> {
        let finds = |table: &str, columns: &[String], from: &str| {
            let columns: Vec<_> = columns.iter().map(|column| of(table, column)).collect();
            let sql = format!("SELECT 1 FROM {} WHERE {} IN (SELECT {from}) LIMIT 1", in_main(table), tuple(&columns));
            transaction.prepare_cached(&sql).and_then(|mut look| look.exists([])).doing("look for what a trigger kept")
        };
        let Some(after) = self.heads(transaction)? else { return Ok(()) };
        let subject = &self.plan.subject;
        let there = finds(&subject.table, std::slice::from_ref(&subject.key), &format!("\"key\" FROM {CHUNK}"))?;
        if there || after.people + meant.people > before.people {
            return Err(PurgeError::StillThere(subject.table.clone()));
        }
        if after.people + meant.people < before.people {
            return Err(PurgeError::TookOthers(subject.table.clone()));
        }
        if let Some(rule) = &self.plan.account
            && after.accounts + meant.accounts < before.accounts
        {
            return Err(PurgeError::TookOthers(rule.table.clone()));
        }
        if let Some(rule) = &self.plan.account
            && (finds(&rule.table, &rule.columns, &format!("* FROM {EMPTIED}"))? || after.accounts + meant.accounts > before.accounts)
        {
            return Err(PurgeError::StillThere(rule.table.clone()));
        }
        Ok(())
    }

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
