//! The built-in schema: what `expunged load` fills and the built-in plan erases from.
//!
//! Children are clustered by customer (WITHOUT ROWID), because one purged customer then touches one page a table.
//! Keys to customers are declared without cascades: deletes are explicit, children first, and a forgotten one fails.

use rusqlite::{Connection, OptionalExtension, Transaction};
use sha2::{Digest, Sha256};

use super::{Doing, StoreError};

const VERSION: i64 = 1;

const TABLES: &str = r#"
CREATE TABLE IF NOT EXISTS accounts (
    tenant TEXT NOT NULL, accountId TEXT NOT NULL, createdAt TEXT,
    PRIMARY KEY (tenant, accountId)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS customers (
    customer INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, accountId TEXT NOT NULL, id TEXT NOT NULL,
    email TEXT, emailNormalised TEXT, firstName TEXT, lastName TEXT, createdAt TEXT,
    UNIQUE (tenant, accountId, id),
    FOREIGN KEY (tenant, accountId) REFERENCES accounts (tenant, accountId)
) STRICT;
CREATE INDEX IF NOT EXISTS customers_by_email ON customers (tenant, emailNormalised);
CREATE TABLE IF NOT EXISTS rewards (
    customer INTEGER NOT NULL REFERENCES customers (customer), id TEXT NOT NULL, referralId TEXT, type TEXT,
    amount TEXT, currency TEXT, status TEXT, createdAt TEXT,
    PRIMARY KEY (customer, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    customer INTEGER NOT NULL REFERENCES customers (customer), id TEXT NOT NULL, name TEXT, occurredAt TEXT, properties TEXT,
    PRIMARY KEY (customer, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS custom_fields (
    customer INTEGER NOT NULL REFERENCES customers (customer), name TEXT NOT NULL, value TEXT,
    PRIMARY KEY (customer, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS referrals (
    referral INTEGER PRIMARY KEY, tenant TEXT NOT NULL, id TEXT NOT NULL,
    referrer INTEGER REFERENCES customers (customer), referred INTEGER REFERENCES customers (customer),
    status TEXT, createdAt TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS referrals_by_referrer ON referrals (referrer);
CREATE INDEX IF NOT EXISTS referrals_by_referred ON referrals (referred);
"#;

/// Makes the tables that are missing.
pub(super) fn create(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    check_version(transaction, "schema_version", VERSION)?;
    transaction.execute_batch(TABLES).doing("make the built-in tables")
}

/// Refuses tables of a newer program; notes the version where there is none.
pub(super) fn check_version(transaction: &Transaction<'_>, name: &str, known: i64) -> Result<(), StoreError> {
    const META: &str = "CREATE TABLE IF NOT EXISTS expunged_meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID";
    let doing = "read the version of the tables";
    transaction.execute_batch(META).doing(doing)?;
    let found: Option<i64> =
        transaction.query_row("SELECT value FROM expunged_meta WHERE name = ?1", [name], |row| row.get(0)).optional().doing(doing)?;
    match found {
        Some(found) if found > known => Err(StoreError::Newer { found, known }),
        Some(_) => Ok(()),
        None => {
            transaction.execute("INSERT INTO expunged_meta VALUES (?1, ?2)", (name, known)).doing(doing)?;
            Ok(())
        }
    }
}

/// Where a referral stands, or where it would be put.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReferralPlace {
    /// This row is it.
    There(i64),
    /// There is none; this key is free for it.
    Free(i64),
}

/// Finds a referral by its id without an index of its own.
///
/// Its row key is 63 bits of the SHA-256 of tenant and id, counted upward past other referrals that landed on the same
/// number. A second index would be one more random page a row, to load and to purge. (Two of 4 million fall together
/// with a chance of one in a million; only if the first of such a pair was deleted could the second be loaded twice.)
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn referral_place(connection: &Connection, tenant: &str, id: &str) -> Result<ReferralPlace, StoreError> {
    let doing = "look up a referral";
    let mut statement = connection.prepare_cached("SELECT tenant = ?2 AND id = ?3 FROM referrals WHERE referral = ?1").doing(doing)?;
    let mut key = referral_hash(tenant, id);
    loop {
        match statement.query_row((key, tenant, id), |row| row.get::<_, bool>(0)).optional().doing(doing)? {
            Some(true) => return Ok(ReferralPlace::There(key)),
            None => return Ok(ReferralPlace::Free(key)),
            Some(false) => key = key.wrapping_add(1) & i64::MAX,
        }
    }
}

fn referral_hash(tenant: &str, id: &str) -> i64 {
    let mut hash = Sha256::new();
    hash.update((tenant.len() as u64).to_le_bytes());
    hash.update(tenant);
    hash.update(id);
    let first: [u8; 8] = hash.finalize()[..8].try_into().expect("8 of 32 bytes");
    i64::from_le_bytes(first) & i64::MAX
}
