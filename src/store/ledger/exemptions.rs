//! People who must not be erased: keyed hashes, a reason, and the last day on which it holds.
//!
//! Rows are never removed: one that was taken back says by whom. So the highest number of a tenant's tells whether any was
//! added since.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, Transaction};

use super::SuppressionKind;
use crate::domain::{Identity, ImportId, TenantName};
use crate::store::{Doing, Key, StoreError};

pub(super) const TABLES: &str = r#"
CREATE TABLE IF NOT EXISTS expunged_exemptions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, kind TEXT NOT NULL, identity BLOB NOT NULL, why TEXT NOT NULL,
    until TEXT NOT NULL, created_at TEXT NOT NULL, "by" TEXT NOT NULL, removed_at TEXT, removed_by TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS expunged_exemptions_by_identity ON expunged_exemptions (tenant, kind, identity) WHERE removed_at IS NULL;
CREATE TABLE IF NOT EXISTS expunged_exemptions_seen (import INTEGER PRIMARY KEY, exemption INTEGER NOT NULL) STRICT;
"#;

/// What an exemption is made of.
#[derive(Clone, Debug)]
pub struct NewExemption {
    /// Whose customer.
    pub tenant: TenantName,
    /// By address, or by account and id.
    pub kind: SuppressionKind,
    /// The hash.
    pub identity: Identity,
    /// The reason. Holds no address.
    pub why: String,
    /// The last day (UTC) on which it holds.
    pub until: Date,
    /// Who asked for it.
    pub by: String,
}

/// An exemption that was not taken back.
#[derive(Clone, Debug)]
pub struct Exemption {
    /// Its number.
    pub id: i64,
    /// What it is.
    pub what: NewExemption,
    /// Since when.
    pub created_at: Timestamp,
}

/// Adds an exemption; returns its number. It holds from the next transaction on.
///
/// # Errors
/// [`StoreError::Sqlite`], as all functions here.
pub fn exempt(transaction: &Transaction<'_>, new: &NewExemption, at: Timestamp) -> Result<i64, StoreError> {
    let sql =
        r#"INSERT INTO expunged_exemptions (tenant, kind, identity, why, until, created_at, "by") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"#;
    let (tenant, kind, identity) = (new.tenant.as_str(), new.kind.as_str(), new.identity.as_bytes());
    let row = (tenant, kind, identity, &new.why, new.until.to_string(), at.to_string(), &new.by);
    transaction.execute(sql, row).doing("add an exemption")?;
    Ok(transaction.last_insert_rowid())
}

/// Takes an exemption back; `false` where there is none of this number.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn unexempt(transaction: &Transaction<'_>, id: i64, by: &str, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE expunged_exemptions SET removed_at = ?2, removed_by = ?3 WHERE id = ?1 AND removed_at IS NULL";
    Ok(transaction.execute(sql, (id, at.to_string(), by)).doing("take back an exemption")? == 1)
}

/// Every exemption that was not taken back, those that ran out included; of one tenant or of all.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn exemptions(connection: &Connection, tenant: Option<&TenantName>) -> Result<Vec<Exemption>, StoreError> {
    let doing = "read the exemptions";
    if !super::stands(connection)? {
        return Ok(Vec::new());
    }
    let sql = r#"SELECT id, tenant, kind, identity, why, until, "by", created_at FROM expunged_exemptions
        WHERE removed_at IS NULL AND (?1 IS NULL OR tenant = ?1) ORDER BY id"#;
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let mut rows = statement.query([tenant.map(TenantName::as_str)]).doing(doing)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let (id, tenant, kind, identity, why, until, by, created_at) =
            <(i64, String, String, [u8; 16], String, String, String, String)>::try_from(row).doing(doing)?;
        let what = NewExemption {
            tenant: TenantName::parse(&tenant).map_err(|_| StoreError::Ledger("tenant"))?,
            kind: SuppressionKind::parse(&kind).ok_or(StoreError::Ledger("kind"))?,
            identity: Identity::from_bytes(identity),
            why,
            until: until.parse().map_err(|_| StoreError::Ledger("until"))?,
            by,
        };
        found.push(Exemption { id, what, created_at: created_at.parse().map_err(|_| StoreError::Ledger("created_at"))? });
    }
    Ok(found)
}

/// Whether any exemption of a tenant holds on a day.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn any_exempt(connection: &Connection, tenant: &TenantName, day: Date) -> Result<bool, StoreError> {
    let doing = "look for exemptions";
    if !super::stands(connection)? {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM expunged_exemptions WHERE tenant = ?1 AND until >= ?2 AND removed_at IS NULL";
    connection.prepare_cached(sql).doing(doing)?.exists((tenant.as_str(), day.to_string())).doing(doing)
}

/// Whether someone is exempt on a day.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn is_exempt(
    connection: &Connection,
    tenant: &TenantName,
    (kind, identity): (SuppressionKind, Identity),
    day: Date,
) -> Result<bool, StoreError> {
    let doing = "look for an exemption";
    let sql = "SELECT 1 FROM expunged_exemptions WHERE tenant = ?1 AND kind = ?2 AND identity = ?3 AND until >= ?4 AND removed_at IS NULL";
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    statement.exists((tenant.as_str(), kind.as_str(), identity.as_bytes(), day.to_string())).doing(doing)
}

/// The highest number of a tenant's exemptions: it changes with every one that is added.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn newest_exemption(connection: &Connection, tenant: &TenantName) -> Result<i64, StoreError> {
    if !super::stands(connection)? {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(id), 0) FROM expunged_exemptions WHERE tenant = ?1";
    connection.query_row(sql, [tenant.as_str()], |row| row.get(0)).doing("look for the newest exemption")
}

/// Notes up to which exemption an import's targets were looked at.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn note_exemptions_seen(transaction: &Transaction<'_>, import: ImportId, exemption: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO expunged_exemptions_seen VALUES (?1, ?2) ON CONFLICT (import) DO UPDATE SET exemption = excluded.exemption";
    transaction.execute(sql, (import.0, exemption)).doing("note the exemptions that were looked at")?;
    Ok(())
}

/// Up to which exemption an import's targets were looked at.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn exemptions_seen(connection: &Connection, import: ImportId) -> Result<i64, StoreError> {
    let sql = "SELECT coalesce((SELECT exemption FROM expunged_exemptions_seen WHERE import = ?1), 0)";
    connection.query_row(sql, [import.0], |row| row.get(0)).doing("read the exemptions that were looked at")
}

/// Notes that a target must not be erased.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn mark_exempt(transaction: &Transaction<'_>, import: ImportId, key: &Key) -> Result<(), StoreError> {
    let doing = "note a target that is exempt";
    let sql = r#"UPDATE expunged_targets SET gone = 2 WHERE import = ?1 AND "key" = ?2"#;
    transaction.prepare_cached(sql).doing(doing)?.execute((import.0, key)).doing(doing)?;
    Ok(())
}

/// Whether a target was noted as one that must not be erased.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn is_marked_exempt(connection: &Connection, import: ImportId, key: &Key) -> Result<bool, StoreError> {
    let doing = "look at a target";
    let sql = r#"SELECT 1 FROM expunged_targets WHERE import = ?1 AND "key" = ?2 AND gone = 2"#;
    connection.prepare_cached(sql).doing(doing)?.exists((import.0, key)).doing(doing)
}
