//! The mark of the key that the ledger's hashes were made with. Under another key no exemption would be found, and people who must not be
//! erased would be.

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::domain::Identity;
use crate::store::{Doing, StoreError};

/// Whether this is the mark of the ledger's key; `false`: the ledger has none yet.
///
/// # Errors
/// [`StoreError::OtherKey`].
pub fn is_marked(connection: &Connection, mark: Identity) -> Result<bool, StoreError> {
    if !super::stands(connection)? {
        return Ok(false);
    }
    let sql = "SELECT value FROM main.expunged_meta WHERE name = 'identity_key'";
    let found: Option<Vec<u8>> =
        connection.query_row(sql, [], |row| row.get(0)).optional().doing("look for the mark of the ledger's key")?;
    match found {
        Some(found) if found != mark.as_bytes() => Err(StoreError::OtherKey),
        found => Ok(found.is_some()),
    }
}

/// Notes the mark of the key, where there is none.
///
/// # Errors
/// [`StoreError::OtherKey`].
pub fn mark(transaction: &Transaction<'_>, mark: Identity) -> Result<(), StoreError> {
    if !is_marked(transaction, mark)? {
        let sql = "INSERT INTO main.expunged_meta VALUES ('identity_key', ?1)";
        transaction.execute(sql, [mark.as_bytes()]).doing("note the mark of the ledger's key")?;
    }
    Ok(())
}
