//! Scrubs: which imports none has covered yet, how far the open one is, and the receipts that ended ones left. An import whose
//! receipt is not clean is covered again by later ones until it is, or is given up.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::domain::ImportId;
use crate::store::{Doing, StoreError};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS expunged_scrub_again (
    import INTEGER PRIMARY KEY, tries INTEGER NOT NULL, since TEXT NOT NULL, again_at TEXT NOT NULL
) STRICT;
";

/// An ended import that no scrub has covered, or none that found everything clean.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unscrubbed {
    /// The import.
    pub import: ImportId,
    /// Rows that it took or changed.
    pub rows: u64,
    /// When it ended.
    pub since: Timestamp,
    /// It has a receipt, which is not clean.
    pub again: Option<Again>,
}

/// An import whose receipt is not clean, and whose identifiers are kept for another scrub.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Again {
    /// Scrubs that covered it.
    pub tries: u32,
    /// When the first of them ended.
    pub since: Timestamp,
    /// When a scrub begins for its sake, if none has covered it before.
    pub at: Timestamp,
}

/// What a scrub found for one import.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The import.
    pub import: ImportId,
    /// The text of its receipt, which takes the place of an earlier one.
    pub receipt: String,
    /// Whether it is to be covered again.
    pub again: Option<Again>,
}

/// A scrub.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScrubRow {
    /// Its number.
    pub id: i64,
    /// Begun.
    pub started_at: Timestamp,
    /// Ended.
    pub finished_at: Option<Timestamp>,
    /// How far it is, as its runner writes it down.
    pub progress: String,
    /// What it found, as JSON, once ended.
    pub result: Option<String>,
}

/// Notes that an ended import waits for a scrub.
///
/// # Errors
/// [`StoreError::Sqlite`], as all functions here.
pub fn note_unscrubbed(transaction: &Transaction<'_>, import: ImportId, rows: u64, at: Timestamp) -> Result<(), StoreError> {
    let sql = r#"INSERT OR IGNORE INTO expunged_scrub_imports (import, "rows", since) VALUES (?1, ?2, ?3)"#;
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    transaction.execute(sql, (import.0, rows, at.to_string())).doing("note an import to be scrubbed")?;
    Ok(())
}

/// Archived imports that are to be covered by the next scrub, in order.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn unscrubbed(connection: &Connection) -> Result<Vec<Unscrubbed>, StoreError> {
    let doing = "read the imports to be scrubbed";
    let sql = r#"SELECT s.import, s."rows", s.since, NULL, NULL, NULL FROM expunged_scrub_imports s JOIN expunged_imports i ON i.id = s.import
            WHERE s.filed = 0 AND s.scrub IS NULL AND i.archived = 1
        UNION ALL SELECT s.import, s."rows", s.since, a.tries, a.since, a.again_at
            FROM expunged_scrub_again a JOIN expunged_scrub_imports s ON s.import = a.import ORDER BY 1"#;
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let mut rows = statement.query([]).doing(doing)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let (import, rows, since) = (row.get(0).doing(doing)?, row.get::<_, i64>(1).doing(doing)?, row.get(2).doing(doing)?);
        let tries: Option<u32> = row.get(3).doing(doing)?;
        let again = match tries {
            None => None,
            Some(tries) => Some(Again { tries, since: time(row.get(4).doing(doing)?)?, at: time(row.get(5).doing(doing)?)? }),
        };
        found.push(Unscrubbed { import: ImportId(import), rows: rows.unsigned_abs(), since: time(since)?, again });
    }
    Ok(found)
}

/// Whether an import is to be covered again.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn again(connection: &Connection, import: ImportId) -> Result<Option<Again>, StoreError> {
    let doing = "look for an import to be scrubbed again";
    let sql = "SELECT tries, since, again_at FROM expunged_scrub_again WHERE import = ?1";
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let found = statement.query_row([import.0], |row| <(u32, String, String)>::try_from(row)).optional().doing(doing)?;
    found.map(|(tries, since, at)| Ok(Again { tries, since: time(since)?, at: time(at)? })).transpose()
}

/// The scrub that has begun and not ended.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn open_scrub(connection: &Connection) -> Result<Option<ScrubRow>, StoreError> {
    select(connection, "WHERE finished_at IS NULL AND ?1 = 0 ORDER BY id DESC LIMIT 1", 0)
}

/// A scrub by its number.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn scrub(connection: &Connection, id: i64) -> Result<Option<ScrubRow>, StoreError> {
    select(connection, "WHERE id = ?1", id)
}

/// Begins a scrub that covers these imports.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn begin_scrub(transaction: &Transaction<'_>, imports: &[ImportId], progress: &str, at: Timestamp) -> Result<i64, StoreError> {
    let doing = "begin a scrub";
    let sql = "INSERT INTO expunged_scrubs (started_at, progress) VALUES (?1, ?2)";
    transaction.execute(sql, (at.to_string(), progress)).doing(doing)?;
    let scrub = transaction.last_insert_rowid();
    for import in imports {
        transaction.execute("UPDATE expunged_scrub_imports SET scrub = ?2 WHERE import = ?1", (import.0, scrub)).doing(doing)?;
    }
    Ok(scrub)
}

/// The imports that a scrub covers, in order.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn covered(connection: &Connection, scrub: i64) -> Result<Vec<ImportId>, StoreError> {
    let doing = "read which imports a scrub covers";
    let sql = "SELECT import FROM expunged_scrub_imports WHERE scrub = ?1 ORDER BY import";
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    statement.query_map([scrub], |row| row.get(0).map(ImportId)).doing(doing)?.collect::<Result<_, _>>().doing(doing)
}

/// Notes how far a scrub is.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn save_scrub(transaction: &Transaction<'_>, scrub: i64, progress: &str) -> Result<(), StoreError> {
    transaction.execute("UPDATE expunged_scrubs SET progress = ?2 WHERE id = ?1", (scrub, progress)).doing("note a scrub's progress")?;
    Ok(())
}

/// Ends a scrub and stores its receipts, to be filed.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn end_scrub(transaction: &Transaction<'_>, scrub: i64, result: &str, found: &[Found], at: Timestamp) -> Result<(), StoreError> {
    let doing = "end a scrub";
    let sql = "UPDATE expunged_scrubs SET finished_at = ?2, result = ?3, progress = '' WHERE id = ?1";
    transaction.execute(sql, (scrub, at.to_string(), result)).doing(doing)?;
    let sql = "DELETE FROM expunged_scrub_again WHERE import IN (SELECT import FROM expunged_scrub_imports WHERE scrub = ?1)";
    transaction.execute(sql, [scrub]).doing(doing)?;
    for Found { import, receipt, again } in found {
        let sql = "UPDATE expunged_scrub_imports SET receipt = ?2, filed = 0 WHERE import = ?1";
        transaction.execute(sql, (import.0, receipt)).doing(doing)?;
        if let Some(Again { tries, since, at }) = again {
            let sql = "INSERT INTO expunged_scrub_again (import, tries, since, again_at) VALUES (?1, ?2, ?3, ?4)";
            transaction.execute(sql, (import.0, tries, since.to_string(), at.to_string())).doing(doing)?;
        }
    }
    Ok(())
}

/// Receipts whose files are not known to be written.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn unfiled(connection: &Connection) -> Result<Vec<(ImportId, String)>, StoreError> {
    let doing = "read the receipts to be filed";
    let sql = "SELECT import, receipt FROM expunged_scrub_imports WHERE filed = 0 AND receipt IS NOT NULL ORDER BY import";
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let rows = statement.query_map([], |row| Ok((ImportId(row.get(0)?), row.get(1)?))).doing(doing)?;
    rows.collect::<Result<_, _>>().doing(doing)
}

/// Notes that a receipt's file stands beside its report.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn set_filed(transaction: &Transaction<'_>, import: ImportId) -> Result<(), StoreError> {
    transaction.execute("UPDATE expunged_scrub_imports SET filed = 1 WHERE import = ?1", [import.0]).doing("note a filed receipt")?;
    Ok(())
}

/// The scrub receipt of an import: `None` when nothing of it is to be scrubbed, `Some(None)` while one is to come.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn scrub_receipt(connection: &Connection, import: ImportId) -> Result<Option<Option<String>>, StoreError> {
    let sql = "SELECT receipt FROM expunged_scrub_imports WHERE import = ?1";
    connection.query_row(sql, [import.0], |row| row.get(0)).optional().doing("read a scrub receipt")
}

/// Whether an import waits for a scrub, the first or another, or for its receipt's file.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn unfiled_scrub(connection: &Connection, import: ImportId) -> Result<bool, StoreError> {
    let doing = "look for a receipt to be filed";
    let sql = "SELECT 1 FROM expunged_scrub_imports WHERE import = ?1 AND filed = 0
        UNION ALL SELECT 1 FROM expunged_scrub_again WHERE import = ?1";
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    statement.exists([import.0]).doing(doing)
}

fn select(connection: &Connection, rest: &str, parameter: i64) -> Result<Option<ScrubRow>, StoreError> {
    let doing = "read a scrub";
    let sql = format!("SELECT id, started_at, finished_at, progress, result FROM expunged_scrubs {rest}");
    let mut statement = connection.prepare_cached(&sql).doing(doing)?;
    let found = statement
        .query_row([parameter], |row| <(i64, String, Option<String>, String, Option<String>)>::try_from(row))
        .optional()
        .doing(doing)?;
    found
        .map(|(id, started, finished, progress, result)| {
            Ok(ScrubRow { id, started_at: time(started)?, finished_at: finished.map(time).transpose()?, progress, result })
        })
        .transpose()
}

fn time(text: String) -> Result<Timestamp, StoreError> {
    text.parse().map_err(|_| StoreError::Ledger("scrubs"))
}
