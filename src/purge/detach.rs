//! Rows that lose a reference and stay, each counted once in an import.
//!
//! A row with two parties that both go, in different chunks, is touched twice, or touched and then deleted. It is counted when it
//! is first touched, and noted in the ledger, as a keyed hash of its own key, where a later chunk may touch it again: then it is not
//! counted twice, and is taken off the count where it is deleted after all. So the count is exact at every chunk's end, whatever
//! becomes of the targets that are left.

use rusqlite::{Connection, Row, Transaction, params};

use super::people::People;
use super::plan::AccountRule;
use super::shape::row_key;
use super::steps::{DetachSteps, DetachUpdate, Doomed};
use super::terms::name;
use super::{Engine, PurgeError};
use crate::domain::{Identity, IdentityKey, ImportId, TenantName};
use crate::store::ledger::{self, ImportRow, Progress};
use crate::store::{Doing, Key};

/// What a chunk does to such rows.
pub(super) struct Detaching<'a> {
    transaction: &'a Transaction<'a>,
    import: ImportId,
    /// The key of the chunk's last target.
    last: &'a Key,
    key: &'a IdentityKey,
    tenant: &'a TenantName,
    /// Whether keys of subjects compare byte for byte: a reference spells them as their own rows do.
    bytewise: bool,
    /// Whether any row is noted: without, nobody is looked for.
    any_noted: bool,
}

const DOING: &str = "set references to null";

impl<'a> Detaching<'a> {
    pub(super) fn of(engine: &'a Engine, transaction: &'a Transaction<'a>, row: &'a ImportRow, last: &'a Key) -> Result<Self, PurgeError> {
        let subject = &engine.plan.subject;
        let collation = transaction.column_metadata(Some("main"), subject.table.as_str(), subject.key.as_str()).doing(DOING)?.1;
        let bytewise = collation.is_none_or(|collation| collation.to_bytes().eq_ignore_ascii_case(b"BINARY"));
        let any_noted = ledger::any_detached(transaction, row.id)?;
        Ok(Self { transaction, import: row.id, last, key: &engine.key, tenant: &row.tenant, bytewise, any_noted })
    }

    /// Sets references of a table's rows to null.
    pub(super) fn rows(&mut self, table: &str, steps: &DetachSteps, total: &mut Progress) -> Result<(), PurgeError> {
        let key = row_key(self.transaction, table)?;
        self.run((table, &key), steps, "?3 IS NOT NULL", total)
    }

    /// The same for the tenant's subjects that stay.
    pub(super) fn subjects(&mut self, people: &People<'_>, steps: &DetachSteps, total: &mut Progress) -> Result<(), PurgeError> {
        let subject = &people.plan.subject;
        refuse_others(self.transaction, people, steps)?;
        self.run((&subject.table, &name(&subject.key)), steps, &people.tenants_own("?3"), total)
    }

    /// The same for the accounts that stay.
    pub(super) fn accounts(&mut self, rule: &AccountRule, steps: &DetachSteps, total: &mut Progress) -> Result<(), PurgeError> {
        let key: Vec<_> = rule.columns.iter().map(|column| name(column)).collect();
        self.run((&rule.table, &key.join(", ")), steps, "?3 IS NOT NULL", total)
    }

    /// Runs the updates of a table's rows, for those for which `condition` holds, and counts each row once. `key`: what names a row, as SQL.
    fn run(&mut self, (table, key): (&str, &str), steps: &DetachSteps, condition: &str, total: &mut Progress) -> Result<(), PurgeError> {
        for step in &steps.updates {
            let DetachUpdate { update, is_last_touch, may_come_again, may_be_noted, .. } = step;
            let sql = format!("{update} AND {condition} RETURNING {is_last_touch}, {may_come_again}, {may_be_noted}, {key}");
            let mut statement = self.transaction.prepare_cached(&sql).doing(DOING)?;
            let mut touched = statement.query(params![self.import.0, self.last, self.tenant.as_str(), self.bytewise]).doing(DOING)?;
            let mut counted = 0;
            // All rows are changed before the first is returned.
            while let Some(row) = touched.next().doing(DOING)? {
                let may_come_again: bool = row.get(1).doing(DOING)?;
                let is_last_touch: bool = row.get(0).doing(DOING)?;
                if !is_last_touch {
                    continue;
                }
                let may_be_noted = self.any_noted && row.get::<_, Option<bool>>(2).doing(DOING)?.unwrap_or(false);
                if !may_be_noted && !may_come_again {
                    counted += 1;
                    continue;
                }
                let row = self.identity(table, row, 3)?;
                counted += u64::from(!(may_be_noted && ledger::is_detached(self.transaction, self.import, &row)?));
                if may_come_again {
                    ledger::note_detached(self.transaction, self.import, &row)?;
                    self.any_noted = true;
                }
            }
            total.detached.add(table, counted);
        }
        Ok(())
    }

    /// Deletes rows, and takes those off the count that an earlier chunk counted as detached.
    pub(super) fn delete(&mut self, table: &str, doomed: &Doomed, total: &mut Progress) -> Result<u64, PurgeError> {
        let doing = "delete what refers to the subjects of a chunk";
        if !self.any_noted {
            return Ok(self.transaction.prepare_cached(&doomed.delete).doing(doing)?.execute([]).doing(doing)? as u64);
        }
        let sql = format!("{} RETURNING {}, {}", doomed.delete, doomed.may_be_noted, row_key(self.transaction, table)?);
        let mut deleted = 0;
        self.forget_each(table, &sql, &mut deleted, total)?;
        Ok(deleted)
    }

    /// Takes rows that are about to go off the count: their keys, which stand in a table by themselves.
    pub(super) fn forget(&mut self, table: &str, (keys, from): (&str, &str), total: &mut Progress) -> Result<(), PurgeError> {
        let sql = format!("SELECT 1, {keys} FROM {from}");
        if self.any_noted { self.forget_each(table, &sql, &mut 0, total) } else { Ok(()) }
    }

    /// Rows come with whether they may have been noted, then their keys.
    fn forget_each(&self, table: &str, sql: &str, rows: &mut u64, total: &mut Progress) -> Result<(), PurgeError> {
        let mut statement = self.transaction.prepare_cached(sql).doing(DOING)?;
        let mut found = statement.query([]).doing(DOING)?;
        let mut noted = 0;
        while let Some(row) = found.next().doing(DOING)? {
            *rows += 1;
            if row.get::<_, Option<bool>>(0).doing(DOING)?.unwrap_or(false) {
                noted += u64::from(ledger::forget_detached(self.transaction, self.import, &self.identity(table, row, 1)?)?);
            }
        }
        total.detached.take(table, noted);
        Ok(())
    }

    /// Who a row is, as a keyed hash: in a foreign schema its key can be an address.
    fn identity(&self, table: &str, row: &Row<'_>, from: usize) -> Result<Identity, PurgeError> {
        let mut text = table.to_owned();
        for at in from..row.as_ref().column_count() {
            let value = row.get_ref(at).doing(DOING)?;
            text.push_str(&format!("\u{1f}{}\u{1f}", value.data_type()));
            match value {
                rusqlite::types::ValueRef::Null => {}
                rusqlite::types::ValueRef::Integer(n) => text.push_str(&n.to_string()),
                rusqlite::types::ValueRef::Real(n) => text.push_str(&n.to_string()),
                rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => text.push_str(&hex::encode(bytes)),
            }
        }
        Ok(self.key.text(self.tenant, &text))
    }
}

/// Subjects of other tenants that lose a reference: their rows are not ours to change.
pub(super) fn refuse_others(connection: &Connection, people: &People<'_>, steps: &DetachSteps) -> Result<(), PurgeError> {
    let sql = format!("{} AND {}", steps.count, people.others());
    let count = |row: &Row<'_>| row.get::<_, i64>(0);
    let found = connection.prepare_cached(&sql).and_then(|mut s| s.query_row([people.tenant.as_str()], count)).doing(DOING)?;
    if found > 0 { Err(PurgeError::AnotherTenantRefers(people.plan.subject.table.clone())) } else { Ok(()) }
}
