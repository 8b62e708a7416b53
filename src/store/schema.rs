//! The built-in schema: what `expunged load` fills and the built-in plan erases from.
//!
//! Children are clustered by customer (WITHOUT ROWID, referrals by their own key), because one purged customer then touches one
//! page a table.
//! Keys to customers are declared without cascades: deletes are explicit, children first, and a forgotten one fails.

use rusqlite::{Connection, OptionalExtension, ToSql, Transaction};

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
CREATE INDEX IF NOT EXISTS referrals_by_id ON referrals (tenant, id);
CREATE INDEX IF NOT EXISTS referrals_by_referrer ON referrals (referrer) WHERE referrer IS NOT NULL;
CREATE INDEX IF NOT EXISTS referrals_by_referred ON referrals (referred) WHERE referred IS NOT NULL;
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

/// How many customers with neighbouring keys have their referrals together, in one range of row keys. A referral that outlives its
/// parties keeps its key, which so says no more than that one of this many was a party.
pub const REFERRAL_PARTIES_TOGETHER: i64 = 256;

/// Row keys in the range of [`REFERRAL_PARTIES_TOGETHER`] customers. Referrals beyond that many stand elsewhere.
pub const REFERRALS_TOGETHER: i64 = 1 << 28;

/// Where a referral stands, or where it would be put.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReferralPlace {
    /// This row is it.
    There(i64),
    /// There is none; this key is free for it. `None`: any.
    Free(Option<i64>),
}

/// Finds a referral by its id, or a key for it beside those of the first party's neighbours.
///
/// Referrals come in no order, and a row that loses its referrer or its referred customer stays where it is: where neighbours'
/// referrals share pages, a chunk of neighbours writes half as many of them. The index on the id costs a purge nothing: detaching
/// does not touch it.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn referral_place(connection: &Connection, tenant: &str, id: &str, party: i64) -> Result<ReferralPlace, StoreError> {
    let doing = "look up a referral";
    let one = |sql: &str, parameters: &[&dyn ToSql]| {
        connection.prepare_cached(sql).and_then(|mut found| found.query_row(parameters, |row| row.get(0)).optional()).doing(doing)
    };
    if let Some(there) = one("SELECT referral FROM referrals WHERE tenant = ?1 AND id = ?2", &[&tenant, &id])? {
        return Ok(ReferralPlace::There(there));
    }
    let Some(first) = (party / REFERRAL_PARTIES_TOGETHER).checked_mul(REFERRALS_TOGETHER) else { return Ok(ReferralPlace::Free(None)) };
    let end = first.saturating_add(REFERRALS_TOGETHER - 1);
    let newest = "SELECT referral FROM referrals WHERE referral BETWEEN ?1 AND ?2 ORDER BY referral DESC LIMIT 1";
    let next = one(newest, &[&first, &end])?.map_or(first, |last: i64| last.saturating_add(1));
    Ok(ReferralPlace::Free((next <= end).then_some(next)))
}
