//! What must hold when a chunk's deletions are done and before they are kept.

use rusqlite::{Row, Transaction, params_from_iter};

use super::people::stays;
use super::shape::row_key;
use super::terms::{CHUNK, EMPTIED, in_main, of, tuple};
use super::{Engine, PurgeError};
use crate::domain::TenantName;
use crate::store::Doing;

/// The people and accounts that a chunk does not take, of all tenants. A trigger can keep one that it takes, write one again under
/// another key, or take one that nobody named.
#[derive(Eq, PartialEq)]
pub(super) struct Staying {
    /// How many, and two sums over the numbers of their rows, if those have numbers: another in the place of one shows in them.
    people: [i64; 3],
    accounts: i64,
}

impl Engine {
    /// Counts heads where a trigger may have a hand in it: once it is known who goes, and when they are gone.
    pub(super) fn staying(&self, transaction: &Transaction<'_>) -> Result<Option<Staying>, PurgeError> {
        let doing = "count people and accounts";
        if self.plan.accepted.triggers.is_empty() {
            return Ok(None);
        }
        let subject = &self.plan.subject;
        let number = row_key(transaction, &subject.table)?;
        let sums = match number.as_str() {
            // Primes, so that few sets of rows have both sums in common; a sum of four thousand million rows does not overflow.
            "rowid" | "_rowid_" | "oid" => format!("sum({number} % 2147483629), sum(({number} % 65521) * ({number} % 65519))"),
            _ => "0, 0".to_owned(),
        };
        let sql = format!("SELECT count(*), {sums} FROM {} WHERE {}", in_main(&subject.table), stays(subject));
        // A sum of no rows is null.
        let sum = |row: &Row<'_>, at| row.get::<_, Option<i64>>(at).map(Option::unwrap_or_default);
        let read = |row: &Row<'_>| Ok([sum(row, 0)?, sum(row, 1)?, sum(row, 2)?]);
        let people = transaction.prepare_cached(&sql).and_then(|mut count| count.query_row([], read)).doing(doing)?;
        let Some(rule) = &self.plan.account else { return Ok(Some(Staying { people, accounts: 0 })) };
        let columns: Vec<_> = rule.columns.iter().map(|column| of(&rule.table, column)).collect();
        let sql = format!("SELECT count(*) FROM {} WHERE {} NOT IN (SELECT * FROM {EMPTIED})", in_main(&rule.table), tuple(&columns));
        let accounts = transaction.prepare_cached(&sql).and_then(|mut count| count.query_row([], |row| row.get(0))).doing(doing)?;
        Ok(Some(Staying { people, accounts }))
    }

    /// Whether a chunk took the people and accounts that it meant to, and those alone. An account that its last user's trigger has
    /// taken is as good as taken.
    pub(super) fn verify_staying(&self, transaction: &Transaction<'_>, before: &Staying) -> Result<(), PurgeError> {
        let finds = |table: &str, columns: &[String], from: &str| {
            let columns: Vec<_> = columns.iter().map(|column| of(table, column)).collect();
            let sql = format!("SELECT 1 FROM {} WHERE {} IN (SELECT {from}) LIMIT 1", in_main(table), tuple(&columns));
            transaction.prepare_cached(&sql).and_then(|mut look| look.exists([])).doing("look for what a trigger kept")
        };
        let Some(after) = self.staying(transaction)? else { return Ok(()) };
        let subject = &self.plan.subject;
        let there = finds(&subject.table, std::slice::from_ref(&subject.key), &format!("\"key\" FROM {CHUNK}"))?;
        if there || after.people[0] > before.people[0] {
            return Err(PurgeError::StillThere(subject.table.clone()));
        }
        if after.people != before.people {
            return Err(PurgeError::TookOthers(subject.table.clone()));
        }
        let Some(rule) = &self.plan.account else { return Ok(()) };
        if finds(&rule.table, &rule.columns, &format!("* FROM {EMPTIED}"))? || after.accounts > before.accounts {
            return Err(PurgeError::StillThere(rule.table.clone()));
        }
        if after.accounts < before.accounts { Err(PurgeError::TookOthers(rule.table.clone())) } else { Ok(()) }
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
                let count = |row: &Row<'_>| row.get::<_, i64>(0);
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
