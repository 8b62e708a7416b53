//! Imports that wait for a person: since when, and what was said about them, by whom.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction};

use crate::domain::{ImportId, State};
use crate::store::{Doing, StoreError};

pub(super) const TABLES: &str = r#"
CREATE TABLE IF NOT EXISTS expunged_holds (
    import INTEGER PRIMARY KEY, held_at TEXT NOT NULL, warned_at TEXT, resume TEXT NOT NULL, approved INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS expunged_decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, import INTEGER NOT NULL, kind TEXT NOT NULL, "by" TEXT NOT NULL, at TEXT NOT NULL, why TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS expunged_decisions_by_import ON expunged_decisions (import);
"#;

/// That an import is, or was, set aside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hold {
    /// Which.
    pub import: ImportId,
    /// Since when; the latest time, where it was held twice.
    pub held_at: Timestamp,
    /// When the operator was told again.
    pub warned_at: Option<Timestamp>,
    /// Where it goes on.
    pub resume: State,
    /// A person said yes to the targets that stand in the ledger.
    pub approved: bool,
}

/// What a person said about an import.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    /// `approve`, `reject`, `retry`, `cancel`.
    pub kind: String,
    /// Who: the login behind sudo.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Their reason.
    pub why: Option<String>,
}

/// Notes that the brake held an import before its purge began. A former yes is taken back.
///
/// # Errors
/// [`StoreError::Sqlite`], as all functions here.
pub fn hold(transaction: &Transaction<'_>, import: ImportId, at: Timestamp) -> Result<(), StoreError> {
    set_aside(transaction, import, State::Checking, at)?;
    transaction.execute("UPDATE expunged_holds SET approved = 0 WHERE import = ?1", [import.0]).doing("take back an approval")?;
    Ok(())
}

/// Notes that an import waits for a person, and where it would go on. A yes to its targets stands.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn set_aside(transaction: &Transaction<'_>, import: ImportId, resume: State, at: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO expunged_holds (import, held_at, resume) VALUES (?1, ?2, ?3)
        ON CONFLICT (import) DO UPDATE SET held_at = excluded.held_at, warned_at = NULL, resume = excluded.resume";
    transaction.execute(sql, (import.0, at.to_string(), resume.as_str())).doing("note a hold")?;
    Ok(())
}

/// Notes that a person said yes to an import's targets as they stand in the ledger.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn approve(transaction: &Transaction<'_>, import: ImportId) -> Result<(), StoreError> {
    transaction.execute("UPDATE expunged_holds SET approved = 1 WHERE import = ?1", [import.0]).doing("note an approval")?;
    Ok(())
}

/// Notes that the operator was told again.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn note_warned(transaction: &Transaction<'_>, import: ImportId, at: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE expunged_holds SET warned_at = ?2 WHERE import = ?1";
    transaction.execute(sql, (import.0, at.to_string())).doing("note a warning")?;
    Ok(())
}

/// Whether an import is, or was, set aside.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn hold_of(connection: &Connection, import: ImportId) -> Result<Option<Hold>, StoreError> {
    Ok(select(connection, "WHERE import = ?1", [import.0])?.pop())
}

/// Every import that is set aside now, in order of id.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn holds(connection: &Connection) -> Result<Vec<Hold>, StoreError> {
    select(
        connection,
        "WHERE import IN (SELECT id FROM expunged_imports WHERE archived = 0 AND state IN ('held', 'failed')) ORDER BY import",
        [],
    )
}

/// Forgets an import's failed attempts.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn forget_attempts(transaction: &Transaction<'_>, import: ImportId) -> Result<(), StoreError> {
    transaction.execute("UPDATE expunged_imports SET attempts = 0 WHERE id = ?1", [import.0]).doing("forget an import's attempts")?;
    Ok(())
}

/// Notes what a person said about an import.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn note_decision(transaction: &Transaction<'_>, import: ImportId, decision: &Decision) -> Result<(), StoreError> {
    let sql = r#"INSERT INTO expunged_decisions (import, kind, "by", at, why) VALUES (?1, ?2, ?3, ?4, ?5)"#;
    let row = (import.0, &decision.kind, &decision.by, decision.at.to_string(), &decision.why);
    transaction.execute(sql, row).doing("note a decision")?;
    Ok(())
}

/// What was said about an import, in order.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn decisions(connection: &Connection, import: ImportId) -> Result<Vec<Decision>, StoreError> {
    let doing = "read the decisions";
    let sql = r#"SELECT kind, "by", at, why FROM expunged_decisions WHERE import = ?1 ORDER BY id"#;
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let mut rows = statement.query([import.0]).doing(doing)?;
    let mut decisions = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let (kind, by, at, why) = <(String, String, String, Option<String>)>::try_from(row).doing(doing)?;
        decisions.push(Decision { kind, by, at: time(&at)?, why });
    }
    Ok(decisions)
}

fn select(connection: &Connection, rest: &str, parameters: impl rusqlite::Params) -> Result<Vec<Hold>, StoreError> {
    let doing = "read the holds";
    let sql = format!("SELECT import, held_at, warned_at, resume, approved FROM expunged_holds {rest}");
    let mut statement = connection.prepare_cached(&sql).doing(doing)?;
    let mut rows = statement.query(parameters).doing(doing)?;
    let mut holds = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let (import, held_at, warned_at, resume, approved) = <(i64, String, Option<String>, String, bool)>::try_from(row).doing(doing)?;
        holds.push(Hold {
            import: ImportId(import),
            held_at: time(&held_at)?,
            warned_at: warned_at.as_deref().map(time).transpose()?,
            resume: State::parse(&resume).ok_or(StoreError::Ledger("resume"))?,
            approved,
        });
    }
    Ok(holds)
}

fn time(text: &str) -> Result<Timestamp, StoreError> {
    text.parse().map_err(|_| StoreError::Ledger("at"))
}
