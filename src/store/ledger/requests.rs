//! How commands reach a running daemon: a row asks, the daemon takes it up and answers in the same row.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde_json::Value;

use super::{from_json, to_json};
use crate::domain::ImportId;
use crate::store::{Doing, StoreError};

/// What a command asks for.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Which kind of request.
    pub kind: String,
    /// What it says. Must not hold an address.
    pub body: Value,
    /// The person behind it.
    pub by: String,
}

/// A request.
#[derive(Clone, Debug)]
pub struct RequestRow {
    /// Its number.
    pub id: i64,
    /// Which kind of request.
    pub kind: String,
    /// What it says.
    pub body: Value,
    /// The person behind it.
    pub by: String,
    /// Asked.
    pub created_at: Timestamp,
    /// Taken up.
    pub taken_at: Option<Timestamp>,
    /// Answered.
    pub finished_at: Option<Timestamp>,
    /// The answer.
    pub result: Option<Value>,
}

/// Asks.
///
/// # Errors
/// [`StoreError::Sqlite`], as all functions here.
pub fn insert_request(transaction: &Transaction<'_>, new: &NewRequest, at: Timestamp) -> Result<i64, StoreError> {
    let sql = r#"INSERT INTO expunged_requests (kind, body, "by", created_at) VALUES (?1, ?2, ?3, ?4)"#;
    transaction.execute(sql, (&new.kind, to_json(&new.body), &new.by, at.to_string())).doing("note a request")?;
    Ok(transaction.last_insert_rowid())
}

/// A request by its number.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn request(connection: &Connection, id: i64) -> Result<Option<RequestRow>, StoreError> {
    Ok(select(connection, "WHERE id = ?1", [id])?.pop())
}

/// The request that became this import: its answer names it.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn request_of_import(connection: &Connection, import: ImportId) -> Result<Option<RequestRow>, StoreError> {
    Ok(select(connection, "WHERE json_extract(result, '$.import') = ?1 ORDER BY id DESC LIMIT 1", [import.0])?.pop())
}

/// Requests without an answer, in order; those already taken up are a former run's, or this one's at work.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn open_requests(connection: &Connection) -> Result<Vec<RequestRow>, StoreError> {
    select(connection, "WHERE finished_at IS NULL ORDER BY id", [])
}

/// Requests whose list is still needed: those without an answer, and those of imports that have not ended.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn unended_requests(connection: &Connection) -> Result<Vec<RequestRow>, StoreError> {
    let unended = "json_extract(result, '$.import') IN (SELECT id FROM expunged_imports WHERE archived = 0)";
    select(connection, &format!("WHERE finished_at IS NULL OR {unended} ORDER BY id"), [])
}

/// Takes up the oldest request that no one has taken.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn take_request(transaction: &Transaction<'_>, at: Timestamp) -> Result<Option<RequestRow>, StoreError> {
    let sql = "UPDATE expunged_requests SET taken_at = ?1
        WHERE id = (SELECT min(id) FROM expunged_requests WHERE finished_at IS NULL AND taken_at IS NULL) RETURNING id";
    let taken: Option<i64> = transaction.query_row(sql, [at.to_string()], |row| row.get(0)).optional().doing("take up a request")?;
    taken.map_or(Ok(None), |id| request(transaction, id))
}

/// Takes back what was asked for; `false` when it is taken up.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn withdraw_request(transaction: &Transaction<'_>, id: i64) -> Result<bool, StoreError> {
    let sql = "DELETE FROM expunged_requests WHERE id = ?1 AND taken_at IS NULL";
    Ok(transaction.execute(sql, [id]).doing("withdraw a request")? == 1)
}

/// Answers; `false` when there is no such open request.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn finish_request(transaction: &Transaction<'_>, id: i64, result: &Value, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE expunged_requests SET finished_at = ?2, result = ?3 WHERE id = ?1 AND finished_at IS NULL";
    Ok(transaction.execute(sql, (id, at.to_string(), to_json(result))).doing("answer a request")? == 1)
}

fn select(connection: &Connection, rest: &str, parameters: impl rusqlite::Params) -> Result<Vec<RequestRow>, StoreError> {
    let doing = "read the requests";
    let sql = format!(r#"SELECT id, kind, body, "by", created_at, taken_at, finished_at, result FROM expunged_requests {rest}"#);
    let mut statement = connection.prepare_cached(&sql).doing(doing)?;
    let mut rows = statement.query(parameters).doing(doing)?;
    let mut requests = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        requests.push(read(row)?);
    }
    Ok(requests)
}

fn read(row: &Row<'_>) -> Result<RequestRow, StoreError> {
    let text = |at| row.get::<_, Option<String>>(at).map_err(|_| StoreError::Ledger("requests"));
    let must = |at| text(at)?.ok_or(StoreError::Ledger("requests"));
    let time = |at| {
        let found: Option<String> = text(at)?;
        found.map(|text| text.parse::<Timestamp>().map_err(|_| StoreError::Ledger("requests"))).transpose()
    };
    Ok(RequestRow {
        id: row.get(0).map_err(|_| StoreError::Ledger("requests"))?,
        kind: must(1)?,
        body: from_json("body", &must(2)?)?,
        by: must(3)?,
        created_at: time(4)?.ok_or(StoreError::Ledger("created_at"))?,
        taken_at: time(5)?,
        finished_at: time(6)?,
        result: text(7)?.map(|text| from_json("result", &text)).transpose()?,
    })
}
