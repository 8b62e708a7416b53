//! An import as the ledger has it, and how a row of the table becomes one.

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use super::from_json;
use crate::domain::{Counts, Dialect, ImportId, Mode, Settings, State, Tally, TenantName};
use crate::store::{Doing, Key, StoreError};

/// How a file came to be imported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Uploaded.
    Sftp,
    /// Moved into the inbox by hand.
    File,
    /// Given to a command.
    Command,
}

impl Origin {
    /// The word in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sftp => "sftp",
            Self::File => "file",
            Self::Command => "command",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Sftp, Self::File, Self::Command].into_iter().find(|origin| origin.as_str() == text)
    }
}

/// A bad row, as the report lists it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BadRow {
    /// Where the row starts, from 1.
    pub line: u64,
    /// The column at fault.
    pub column: Option<String>,
    /// The stable code.
    pub reason: String,
    /// What to mend.
    pub message: String,
}

/// What an import did to the database.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Deleted rows by table, customers and accounts among them.
    pub removed: Counts,
    /// Rows that lost a party and stayed.
    pub detached: Counts,
    /// Rows written over.
    pub overwritten: Counts,
    /// Accounts deleted because their last user went.
    pub accounts_deleted: u64,
    /// Accounts that their last user left and that stay because a row asked so.
    pub accounts_preserved: u64,
    /// New suppression entries.
    pub suppressed: u64,
}

/// An import, without its outcomes and targets.
#[derive(Clone, Debug)]
pub struct ImportRow {
    /// Its number.
    pub id: ImportId,
    /// Whose.
    pub tenant: TenantName,
    /// The file's name.
    pub file: String,
    /// Whether people go.
    pub mode: Mode,
    /// Where it stands.
    pub state: State,
    /// Why it stands there: a stable code.
    pub reason: Option<String>,
    /// The same for a person.
    pub message: Option<String>,
    /// How it came.
    pub origin: Origin,
    /// The person behind a command.
    pub requested_by: Option<String>,
    /// The case that a command names.
    pub request_case: Option<String>,
    /// Where rows say nothing.
    pub settings: Settings,
    /// Header in the file → known column.
    pub map: Vec<(String, String)>,
    /// Byte offsets at which the upload was resumed.
    pub seams: Vec<u64>,
    /// What its checksum file says, in hexadecimal; empty where that says nothing of it.
    pub expected_sha256: Option<String>,
    /// Refused at the claim, whatever its bytes are: a stable code.
    pub refusal: Option<String>,
    /// How the file was read, as its reader wrote it down: a second reading must be the same.
    pub reading: Option<String>,
    /// The file's size.
    pub bytes: Option<u64>,
    /// The file's SHA-256, in hexadecimal.
    pub sha256: Option<String>,
    /// The form of its rows.
    pub dialect: Option<Dialect>,
    /// Delivered.
    pub received_at: Timestamp,
    /// First looked at.
    pub started_at: Option<Timestamp>,
    /// Ended.
    pub finished_at: Option<Timestamp>,
    /// The digest of the plan that its targets were matched by.
    pub plan: Option<String>,
    /// The key of the last target done.
    pub cursor: Option<Key>,
    /// Rows by outcome, once matched; final once ended.
    pub tally: Option<Tally>,
    /// What it did so far.
    pub progress: Progress,
    /// Remarks that fail nothing.
    pub warnings: Vec<String>,
    /// The first bad rows.
    pub errors: Vec<BadRow>,
    /// How many more there were.
    pub errors_omitted: u64,
    /// The report's text, once ended.
    pub report: Option<String>,
    /// Its digest, `sha256:…`.
    pub report_sha256: Option<String>,
    /// The file stands in its last folder, beside its report.
    pub archived: bool,
    /// Attempts that failed by our fault.
    pub attempts: u32,
}

pub(super) fn select(connection: &Connection, rest: &str, parameters: impl rusqlite::Params) -> Result<Vec<ImportRow>, StoreError> {
    let doing = "read the imports";
    if !super::stands(connection)? {
        return Ok(Vec::new());
    }
    let columns = r#"id, tenant, file, mode, state, reason, message, origin, requested_by, request_case, settings, map, seams,
        expected_sha256, refusal, reading, bytes, sha256, dialect, received_at, started_at, finished_at, "plan", cursor, tally, removed, detached, overwritten, accounts_deleted,
        accounts_preserved, suppressed, warnings, errors, errors_omitted, report, report_sha256, archived, attempts"#;
    let mut statement = connection.prepare_cached(&format!("SELECT {columns} FROM expunged_imports {rest}")).doing(doing)?;
    let mut rows = statement.query(parameters).doing(doing)?;
    let mut imports = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        imports.push(read(row)?);
    }
    Ok(imports)
}

fn read(row: &Row<'_>) -> Result<ImportRow, StoreError> {
    Ok(ImportRow {
        id: ImportId(cell(row, "id")?),
        tenant: word(row, "tenant", |text| TenantName::parse(text).ok())?,
        file: cell(row, "file")?,
        mode: word(row, "mode", Mode::parse)?,
        state: word(row, "state", State::parse)?,
        reason: cell(row, "reason")?,
        message: cell(row, "message")?,
        origin: word(row, "origin", Origin::parse)?,
        requested_by: cell(row, "requested_by")?,
        request_case: cell(row, "request_case")?,
        settings: json(row, "settings")?,
        map: json(row, "map")?,
        seams: json(row, "seams")?,
        expected_sha256: cell(row, "expected_sha256")?,
        refusal: cell(row, "refusal")?,
        reading: cell(row, "reading")?,
        bytes: count_or_none(row, "bytes")?,
        sha256: cell(row, "sha256")?,
        dialect: word_or_none(row, "dialect", Dialect::parse)?,
        received_at: word(row, "received_at", |text| text.parse().ok())?,
        started_at: word_or_none(row, "started_at", |text| text.parse().ok())?,
        finished_at: word_or_none(row, "finished_at", |text| text.parse().ok())?,
        plan: cell(row, "plan")?,
        cursor: cell(row, "cursor")?,
        tally: word_or_none(row, "tally", |text| serde_json::from_str(text).ok())?,
        progress: Progress {
            removed: json(row, "removed")?,
            detached: json(row, "detached")?,
            overwritten: json(row, "overwritten")?,
            accounts_deleted: count(row, "accounts_deleted")?,
            accounts_preserved: count(row, "accounts_preserved")?,
            suppressed: count(row, "suppressed")?,
        },
        warnings: json(row, "warnings")?,
        errors: json(row, "errors")?,
        errors_omitted: count(row, "errors_omitted")?,
        report: cell(row, "report")?,
        report_sha256: cell(row, "report_sha256")?,
        archived: cell(row, "archived")?,
        attempts: cell(row, "attempts")?,
    })
}

fn cell<T: rusqlite::types::FromSql>(row: &Row<'_>, column: &'static str) -> Result<T, StoreError> {
    row.get(column).map_err(|_| StoreError::Ledger(column))
}

fn count(row: &Row<'_>, column: &'static str) -> Result<u64, StoreError> {
    count_or_none(row, column)?.ok_or(StoreError::Ledger(column))
}

fn count_or_none(row: &Row<'_>, column: &'static str) -> Result<Option<u64>, StoreError> {
    let found: Option<i64> = cell(row, column)?;
    found.map(|n| u64::try_from(n).map_err(|_| StoreError::Ledger(column))).transpose()
}

fn word<T>(row: &Row<'_>, column: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
    word_or_none(row, column, parse)?.ok_or(StoreError::Ledger(column))
}

fn word_or_none<T>(row: &Row<'_>, column: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
    let text: Option<String> = cell(row, column)?;
    text.map(|text| parse(&text).ok_or(StoreError::Ledger(column))).transpose()
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<T, StoreError> {
    from_json(column, &cell::<String>(row, column)?)
}
