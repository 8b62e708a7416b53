//! Do not track: keyed hashes of who must not be registered again.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction};

use crate::domain::{Identity, ImportId, TenantName};
use crate::store::{Doing, StoreError};

/// What a suppression is a hash of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum SuppressionKind {
    /// An address.
    Email,
    /// An account and an id.
    Pair,
}

impl SuppressionKind {
    /// The word in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Pair => "pair",
        }
    }

    /// Back from the ledger.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Email, Self::Pair].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Someone who must not be registered again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Suppression {
    /// What the hash is of.
    pub kind: SuppressionKind,
    /// The hash.
    pub identity: Identity,
}

pub(super) const TABLES: &str = r#"
CREATE TABLE IF NOT EXISTS expunged_lifted (
    tenant TEXT NOT NULL, kind TEXT NOT NULL, identity BLOB NOT NULL, import INTEGER, created_at TEXT NOT NULL,
    lifted_at TEXT NOT NULL, "by" TEXT NOT NULL
) STRICT;
"#;

/// How many were suppressed by one import on one day.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SuppressionCount {
    /// Whose.
    pub tenant: String,
    /// By which import.
    pub import: Option<i64>,
    /// On which day (UTC).
    pub day: String,
    /// Addresses.
    pub addresses: u64,
    /// Accounts with an id.
    pub pairs: u64,
}

/// Counts suppressions by tenant, import and day; of one tenant or of all.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn suppression_counts(connection: &Connection, tenant: Option<&TenantName>) -> Result<Vec<SuppressionCount>, StoreError> {
    let doing = "count the suppressions";
    if !super::stands(connection)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT tenant, import, substr(created_at, 1, 10), sum(kind = 'email'), sum(kind = 'pair') FROM expunged_suppressions
        WHERE ?1 IS NULL OR tenant = ?1 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let rows = statement.query_map([tenant.map(TenantName::as_str)], |row| {
        let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        Ok(SuppressionCount { tenant: row.get(0)?, import: row.get(1)?, day: row.get(2)?, addresses: count(3)?, pairs: count(4)? })
    });
    rows.doing(doing)?.collect::<Result<_, _>>().doing(doing)
}

/// Lifts a suppression and notes who did; `false` when there was none.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn lift(
    transaction: &Transaction<'_>,
    tenant: &TenantName,
    suppression: Suppression,
    by: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let doing = "lift a suppression";
    let (tenant, kind, identity) = (tenant.as_str(), suppression.kind.as_str(), suppression.identity.as_bytes());
    let note = "INSERT INTO expunged_lifted SELECT tenant, kind, identity, import, created_at, ?4, ?5 FROM expunged_suppressions
        WHERE tenant = ?1 AND kind = ?2 AND identity = ?3";
    transaction.execute(note, (tenant, kind, identity, at.to_string(), by)).doing(doing)?;
    let sql = "DELETE FROM expunged_suppressions WHERE tenant = ?1 AND kind = ?2 AND identity = ?3";
    Ok(transaction.execute(sql, (tenant, kind, identity)).doing(doing)? == 1)
}

/// Adds a suppression; `false` when it was there.
///
/// # Errors
/// [`StoreError::Sqlite`], as all functions here.
pub fn suppress(
    transaction: &Transaction<'_>,
    tenant: &TenantName,
    suppression: Suppression,
    import: ImportId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "INSERT OR IGNORE INTO expunged_suppressions (tenant, kind, identity, import, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    let doing = "add a suppression";
    let mut statement = transaction.prepare_cached(sql).doing(doing)?;
    let row = (tenant.as_str(), suppression.kind.as_str(), suppression.identity.as_bytes(), import.0, at.to_string());
    Ok(statement.execute(row).doing(doing)? == 1)
}

/// Whether someone is suppressed.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn is_suppressed(connection: &Connection, tenant: &TenantName, suppression: Suppression) -> Result<bool, StoreError> {
    let doing = "look for a suppression";
    if !super::stands(connection)? {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM expunged_suppressions WHERE tenant = ?1 AND kind = ?2 AND identity = ?3";
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    statement.exists((tenant.as_str(), suppression.kind.as_str(), suppression.identity.as_bytes())).doing(doing)
}

/// How many of a tenant's people are suppressed.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn suppressions(connection: &Connection, tenant: &TenantName) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM expunged_suppressions WHERE tenant = ?1";
    let count: i64 = connection.query_row(sql, [tenant.as_str()], |row| row.get(0)).doing("count the suppressions")?;
    Ok(count.unsigned_abs())
}

/// Notes whom an import will suppress when it ends: rows that ask for it and name nobody.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn pend_suppression(transaction: &Transaction<'_>, import: ImportId, suppression: Suppression) -> Result<(), StoreError> {
    let doing = "note a suppression to come";
    let sql = "INSERT OR IGNORE INTO expunged_pending_suppressions (import, kind, identity) VALUES (?1, ?2, ?3)";
    let mut statement = transaction.prepare_cached(sql).doing(doing)?;
    statement.execute((import.0, suppression.kind.as_str(), suppression.identity.as_bytes())).doing(doing)?;
    Ok(())
}

/// Forgets whom an import would suppress.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn drop_pending(transaction: &Transaction<'_>, import: ImportId) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM expunged_pending_suppressions WHERE import = ?1", [import.0]).doing("forget suppressions to come")?;
    Ok(())
}

/// Makes an import's noted suppressions real; returns how many are new.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn settle_pending(transaction: &Transaction<'_>, tenant: &TenantName, import: ImportId, at: Timestamp) -> Result<u64, StoreError> {
    let sql = "INSERT OR IGNORE INTO expunged_suppressions (tenant, kind, identity, import, created_at)
        SELECT ?1, kind, identity, import, ?3 FROM expunged_pending_suppressions WHERE import = ?2";
    let added = transaction.execute(sql, (tenant.as_str(), import.0, at.to_string())).doing("add the suppressions")?;
    drop_pending(transaction, import)?;
    Ok(added as u64)
}
