//! Who is yet to go: keys of matched customers, each with the keyed hash of what matched it, ordered by key.

use std::collections::HashMap;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, Transaction};

use crate::domain::{Identity, ImportId, Outcome};
use crate::store::ledger::SuppressionKind;
use crate::store::{Doing, Key, StoreError};

/// What a target's row asks for, and how it named its subject.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TargetFlags {
    /// Named by account and id, not by address.
    pub by_pair: bool,
    /// Keep the account when its last user goes.
    pub preserve_empty_account: bool,
    /// Never register this person again.
    pub do_not_track: bool,
}

impl ToSql for TargetFlags {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bit = |set: bool, bit: i64| if set { bit } else { 0 };
        let bits =
            bit(self.by_pair, BY_PAIR) | bit(self.preserve_empty_account, PRESERVE_EMPTY_ACCOUNT) | bit(self.do_not_track, DO_NOT_TRACK);
        Ok(bits.into())
    }
}

impl FromSql for TargetFlags {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            bits @ 0..8 => Ok(Self {
                by_pair: bits & BY_PAIR != 0,
                preserve_empty_account: bits & PRESERVE_EMPTY_ACCOUNT != 0,
                do_not_track: bits & DO_NOT_TRACK != 0,
            }),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

/// The flags as the ledger keeps them.
const BY_PAIR: i64 = 1;
const PRESERVE_EMPTY_ACCOUNT: i64 = 2;
const DO_NOT_TRACK: i64 = 4;

/// A matched customer. Never a bare key: SQLite gives keys again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// The customer's key.
    pub key: Key,
    /// The row that takes it, counted from 0, blank rows left out.
    pub row: u32,
    /// What matched it, as a keyed hash.
    pub identity: Identity,
    /// What is asked for.
    pub flags: TargetFlags,
}

/// How many customers a row took, where it is not one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RowCustomers(HashMap<u32, u32>);

impl RowCustomers {
    /// Customers that a row took.
    #[must_use]
    pub fn of(&self, row: u32, outcome: Outcome) -> u32 {
        if outcome == Outcome::Deleted { self.0.get(&row).copied().unwrap_or(1) } else { 0 }
    }

    pub(crate) fn from_counts(counts: impl Iterator<Item = (u32, u32)>) -> Self {
        Self(counts.filter(|(_, customers)| *customers != 1).collect())
    }
}

/// Writes an import's targets; any earlier ones of it are forgotten.
///
/// # Errors
/// [`StoreError::Sqlite`], as all functions here.
pub fn insert_targets(
    transaction: &Transaction<'_>,
    import: ImportId,
    targets: impl IntoIterator<Item = Target>,
) -> Result<(), StoreError> {
    let doing = "write the targets";
    forget_targets(transaction, import)?;
    let sql = r#"INSERT INTO expunged_targets (import, "key", "row", identity, flags) VALUES (?1, ?2, ?3, ?4, ?5)"#;
    let mut statement = transaction.prepare_cached(sql).doing(doing)?;
    for target in targets {
        statement.execute((import.0, &target.key, target.row, target.identity.as_bytes(), target.flags)).doing(doing)?;
    }
    Ok(())
}

/// The next targets after a key, in order.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn next_targets(connection: &Connection, import: ImportId, after: Option<&Key>, rows_max: u32) -> Result<Vec<Target>, StoreError> {
    let doing = "read the targets";
    let columns = r#"SELECT "key", "row", identity, flags FROM expunged_targets WHERE import = ?1"#;
    let past = if after.is_some() { r#" AND "key" > ?3"# } else { " AND ?3 IS NULL" };
    let mut statement = connection.prepare_cached(&format!(r#"{columns}{past} ORDER BY "key" LIMIT ?2"#)).doing(doing)?;
    let rows = statement.query_map((import.0, rows_max, after), |row| {
        Ok(Target { key: row.get(0)?, row: row.get(1)?, identity: Identity::from_bytes(row.get(2)?), flags: row.get(3)? })
    });
    rows.doing(doing)?.collect::<Result<_, _>>().doing(doing)
}

/// The last target's key, in that order; `None` where there are no targets.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn last_target(connection: &Connection, import: ImportId) -> Result<Option<Key>, StoreError> {
    let doing = "read the last target";
    let sql = r#"SELECT "key" FROM expunged_targets WHERE import = ?1 ORDER BY "key" DESC LIMIT 1"#;
    connection.prepare_cached(sql).and_then(|mut found| found.query_row([import.0], |row| row.get(0)).optional()).doing(doing)
}

/// Whether a customer is among the targets, matched by the same identity.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn is_target(connection: &Connection, import: ImportId, customer: &Target) -> Result<bool, StoreError> {
    let doing = "look for a target";
    let sql = r#"SELECT 1 FROM expunged_targets WHERE import = ?1 AND "key" = ?2 AND identity = ?3"#;
    connection.prepare_cached(sql).doing(doing)?.exists((import.0, &customer.key, customer.identity.as_bytes())).doing(doing)
}

/// How many targets an import has.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn count_targets(connection: &Connection, import: ImportId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM expunged_targets WHERE import = ?1";
    let count: i64 = connection.query_row(sql, [import.0], |row| row.get(0)).doing("count the targets")?;
    Ok(count.unsigned_abs())
}

/// Notes that a target was not there any more, or is someone else by now.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn mark_gone(transaction: &Transaction<'_>, import: ImportId, key: &Key) -> Result<(), StoreError> {
    let doing = "note a target that is gone";
    let sql = r#"UPDATE expunged_targets SET gone = 1 WHERE import = ?1 AND "key" = ?2"#;
    transaction.prepare_cached(sql).doing(doing)?.execute((import.0, key)).doing(doing)?;
    Ok(())
}

/// Has the imports that wait for a person, held or failed, forget the subjects whom another import has taken: whoever says that
/// they go on says it of those who are left. `taken` is a table whose column "key" names them. Each key names one subject of all
/// tenants: what another tenant's import has it for is someone who had it before. A wish that they be never registered again stands.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn forget_taken(transaction: &Transaction<'_>, taken: &str) -> Result<(), StoreError> {
    let doing = "forget in imports that wait who was taken";
    for sql in [pending(taken), forgetting(taken)] {
        transaction.prepare_cached(&sql).doing(doing)?.execute([]).doing(doing)?;
    }
    Ok(())
}

fn pending(taken: &str) -> String {
    let kind = format!("iif(flags & {BY_PAIR}, '{}', '{}')", SuppressionKind::Pair.as_str(), SuppressionKind::Email.as_str());
    format!(
        "INSERT OR IGNORE INTO expunged_pending_suppressions (import, kind, identity)
        SELECT import, {kind}, identity FROM expunged_targets WHERE {} AND flags & {DO_NOT_TRACK} AND gone <> 2",
        waiting(taken)
    )
}

fn forgetting(taken: &str) -> String {
    format!("DELETE FROM expunged_targets WHERE {}", waiting(taken))
}

/// Whom a failed import took itself it still counts. The unary plus keeps the affinity of a key that is a row number from hiding the targets' index:
/// each chunk would read all of them.
fn waiting(taken: &str) -> String {
    let imports = "SELECT id FROM expunged_imports WHERE archived = 0 AND state IN ('held', 'failed')";
    let done = r#"SELECT 1 FROM expunged_imports AS own WHERE own.id = import AND own.cursor >= "key""#;
    format!(r#"import IN ({imports}) AND "key" IN (SELECT +"key" FROM {taken}) AND NOT EXISTS ({done})"#)
}

/// What became of a row's targets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RowFate {
    /// Deleted.
    pub deleted: u32,
    /// Beyond the cursor.
    pub left: u32,
    /// Kept, because they must not be erased.
    pub exempt: u32,
}

/// For each target up to `rows_max` rows of input: what became of it. Indexed by row.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn row_fates(connection: &Connection, import: ImportId, rows: usize) -> Result<Vec<RowFate>, StoreError> {
    let doing = "read what became of the targets";
    let sql = r#"SELECT t."row", t.gone, i.cursor IS NOT NULL AND t."key" <= i.cursor FROM expunged_targets t
        JOIN expunged_imports i ON i.id = t.import WHERE t.import = ?1"#;
    let mut fates = vec![RowFate::default(); rows];
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let mut found = statement.query([import.0]).doing(doing)?;
    while let Some(row) = found.next().doing(doing)? {
        let (at, gone, done) = <(u32, u8, bool)>::try_from(row).doing(doing)?;
        let fate = fates.get_mut(at as usize).ok_or(StoreError::Ledger("row"))?;
        fate.left += u32::from(!done && gone == 0);
        fate.deleted += u32::from(done && gone == 0);
        fate.exempt += u32::from(gone == 2);
    }
    Ok(fates)
}

/// How many customers each row took; there from the import's end until its targets are forgotten.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn row_customers(connection: &Connection, import: ImportId, rows: usize) -> Result<RowCustomers, StoreError> {
    let fates = row_fates(connection, import, rows)?;
    Ok(RowCustomers::from_counts((0..).zip(fates.iter().map(|fate| fate.deleted)).filter(|(_, deleted)| *deleted > 0)))
}

/// Removes what is only needed until the import is archived: targets, the cursor among them, outcomes, preserved accounts, detached rows.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn forget_targets(transaction: &Transaction<'_>, import: ImportId) -> Result<(), StoreError> {
    for table in ["targets", "outcomes", "kept_accounts", "preserved_accounts", "detached_rows"] {
        let sql = format!("DELETE FROM expunged_{table} WHERE import = ?1");
        transaction.execute(&sql, [import.0]).doing("forget the targets")?;
    }
    // In a schema of one's own a key can be an address.
    transaction.execute("UPDATE expunged_imports SET cursor = NULL WHERE id = ?1", [import.0]).doing("forget the targets")?;
    Ok(())
}

/// Notes that an account stays when its last user goes.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn preserve(transaction: &Transaction<'_>, import: ImportId, account: &Identity) -> Result<(), StoreError> {
    let doing = "note an account to keep";
    let sql = "INSERT OR IGNORE INTO expunged_kept_accounts (import, account) VALUES (?1, ?2)";
    transaction.prepare_cached(sql).doing(doing)?.execute((import.0, account.as_bytes())).doing(doing)?;
    Ok(())
}

/// Whether any account stays.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn any_preserved(connection: &Connection, import: ImportId) -> Result<bool, StoreError> {
    let doing = "look for accounts to keep";
    let sql =
        "SELECT 1 FROM expunged_kept_accounts WHERE import = ?1 UNION ALL SELECT 1 FROM expunged_preserved_accounts WHERE import = ?1";
    connection.prepare_cached(sql).doing(doing)?.exists([import.0]).doing(doing)
}

/// Whether an account stays. Where a former program noted any, none can be told from those: all stay.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn is_preserved(connection: &Connection, import: ImportId, account: &Identity) -> Result<bool, StoreError> {
    let doing = "look for an account to keep";
    let sql = "SELECT 1 FROM expunged_kept_accounts WHERE import = ?1 AND account = ?2
        UNION ALL SELECT 1 FROM expunged_preserved_accounts WHERE import = ?1";
    connection.prepare_cached(sql).doing(doing)?.exists((import.0, account.as_bytes())).doing(doing)
}

/// Notes a row that was counted as detached and that a later chunk may touch again.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn note_detached(transaction: &Transaction<'_>, import: ImportId, row: &Identity) -> Result<(), StoreError> {
    let doing = "note a detached row";
    let sql = "INSERT OR IGNORE INTO expunged_detached_rows (import, identity) VALUES (?1, ?2)";
    transaction.prepare_cached(sql).doing(doing)?.execute((import.0, row.as_bytes())).doing(doing)?;
    Ok(())
}

/// Whether any row is noted as detached.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn any_detached(connection: &Connection, import: ImportId) -> Result<bool, StoreError> {
    let doing = "look for detached rows";
    connection.prepare_cached("SELECT 1 FROM expunged_detached_rows WHERE import = ?1").doing(doing)?.exists([import.0]).doing(doing)
}

/// Whether a row is noted as detached.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn is_detached(connection: &Connection, import: ImportId, row: &Identity) -> Result<bool, StoreError> {
    let doing = "look for a detached row";
    let sql = "SELECT 1 FROM expunged_detached_rows WHERE import = ?1 AND identity = ?2";
    connection.prepare_cached(sql).doing(doing)?.exists((import.0, row.as_bytes())).doing(doing)
}

/// Forgets a detached row that is gone after all; `false` when it was not noted.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn forget_detached(transaction: &Transaction<'_>, import: ImportId, row: &Identity) -> Result<bool, StoreError> {
    let doing = "forget a detached row";
    let sql = "DELETE FROM expunged_detached_rows WHERE import = ?1 AND identity = ?2";
    Ok(transaction.prepare_cached(sql).doing(doing)?.execute((import.0, row.as_bytes())).doing(doing)? == 1)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{forgetting, pending};
    use crate::store::ledger;

    #[test]
    fn who_was_taken_is_looked_up_in_what_is_held_and_not_read_through() {
        let connection = Connection::open_in_memory().unwrap();
        ledger::ALL.into_iter().for_each(|tables| connection.execute_batch(tables).unwrap());
        for (name, columns) in [("numbers", "(\"key\" INTEGER PRIMARY KEY)"), ("texts", "(\"key\" PRIMARY KEY) WITHOUT ROWID")] {
            connection.execute_batch(&format!("CREATE TEMP TABLE {name} {columns}")).unwrap();
            for sql in [pending(name), forgetting(name)] {
                let sql = format!("EXPLAIN QUERY PLAN {sql}");
                let first: String = connection.query_row(&sql, [], |row| row.get("detail")).unwrap();
                assert_eq!(first, "SEARCH expunged_targets USING PRIMARY KEY (import=? AND key=?)", "{name}");
            }
        }
    }
}
