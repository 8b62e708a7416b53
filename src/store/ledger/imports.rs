//! One row an import: where it stands, what it did, and the text of its report.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction};
use sha2::{Digest, Sha256};

use super::import_row::{BadRow, ImportRow, Origin, Progress, select};
use super::to_json;
use crate::domain::{Dialect, ImportId, Mode, Settings, State, Tally, TenantName};
use crate::store::{Doing, Key, StoreError};

/// What is known of an import at its claim.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// Whose file it is.
    pub tenant: TenantName,
    /// The file's name, as delivered.
    pub file: String,
    /// Whether people go.
    pub mode: Mode,
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
    /// When the file was delivered.
    pub received_at: Timestamp,
    /// What its checksum file says, in hexadecimal; empty where that says nothing of it.
    pub expected_sha256: Option<String>,
    /// Refused at the claim, whatever its bytes are: a stable code.
    pub refusal: Option<String>,
}

/// What the first pass found.
#[derive(Clone, Debug)]
pub struct Planned<'a> {
    /// The plan's digest.
    pub plan: &'a str,
    /// One byte a row.
    pub outcomes: &'a [u8],
    /// The same as counts.
    pub tally: Tally,
    /// The first bad rows.
    pub errors: &'a [BadRow],
    /// How many more there were.
    pub errors_omitted: u64,
    /// Every table of the plan at zero.
    pub progress: &'a Progress,
}

/// How an import ended.
#[derive(Clone, Debug)]
pub struct End<'a> {
    /// An end.
    pub state: State,
    /// Why, where it is not plain completion.
    pub reason: Option<&'a str>,
    /// The same for a person.
    pub message: Option<&'a str>,
    /// When.
    pub finished_at: Timestamp,
    /// The final outcomes; `None` keeps what is there.
    pub outcomes: Option<&'a [u8]>,
    /// The same as counts.
    pub tally: Tally,
}

/// Notes a new import in state `received`.
///
/// # Errors
/// [`StoreError::Sqlite`], as all functions here.
pub fn insert(transaction: &Transaction<'_>, new: &NewImport) -> Result<ImportId, StoreError> {
    const SQL: &str = "INSERT INTO expunged_imports
        (tenant, file, mode, state, origin, requested_by, request_case, settings, map, seams, received_at, expected_sha256, refusal)
        VALUES (?1, ?2, ?3, 'received', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let row = (
        new.tenant.as_str(),
        &new.file,
        new.mode.as_str(),
        new.origin.as_str(),
        &new.requested_by,
        &new.request_case,
        to_json(&new.settings),
        to_json(&new.map),
        to_json(&new.seams),
        new.received_at.to_string(),
        &new.expected_sha256,
        &new.refusal,
    );
    transaction.execute(SQL, row).doing("note an import")?;
    Ok(ImportId(transaction.last_insert_rowid()))
}

/// The highest number that was given. `None`: there is no ledger.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn highest_number(connection: &Connection) -> Result<Option<ImportId>, StoreError> {
    if !super::stands(connection)? {
        return Ok(None);
    }
    let sql = "SELECT coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = 'expunged_imports'), 0)";
    let found = connection.prepare_cached(sql).and_then(|mut found| found.query_row([], |row| row.get(0)));
    Ok(Some(ImportId(found.doing("look for the highest number")?)))
}

/// Has the next import's number be above this one, where it would not be.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn number_above(transaction: &Transaction<'_>, given: ImportId) -> Result<(), StoreError> {
    let doing = "number an import";
    let begun = "INSERT INTO main.sqlite_sequence (name, seq)
        SELECT 'expunged_imports', 0 WHERE NOT EXISTS (SELECT 1 FROM main.sqlite_sequence WHERE name = 'expunged_imports')";
    transaction.prepare_cached(begun).doing(doing)?.execute([]).doing(doing)?;
    let above = "UPDATE main.sqlite_sequence SET seq = ?1 WHERE name = 'expunged_imports' AND seq < ?1";
    transaction.prepare_cached(above).doing(doing)?.execute([given.0]).doing(doing)?;
    Ok(())
}

/// Takes back an import whose file was not claimed after all. Its number is not given again.
///
/// # Errors
/// [`StoreError::State`] once it is past `received`.
pub fn withdraw(transaction: &Transaction<'_>, import: ImportId) -> Result<(), StoreError> {
    let sql = "DELETE FROM expunged_imports WHERE id = ?1 AND state = 'received'";
    if transaction.execute(sql, [import.0]).doing("take back an import")? == 1 {
        return Ok(());
    }
    let found = require(transaction, import)?;
    Err(StoreError::State { import: import.0, state: found.state.as_str() })
}

/// An import by its number.
///
/// # Errors
/// [`StoreError::Ledger`] when a cell does not read back.
pub fn get(connection: &Connection, import: ImportId) -> Result<Option<ImportRow>, StoreError> {
    Ok(select(connection, "WHERE id = ?1", [import.0])?.pop())
}

/// An import that must be there.
///
/// # Errors
/// [`StoreError::NoImport`].
pub fn require(connection: &Connection, import: ImportId) -> Result<ImportRow, StoreError> {
    get(connection, import)?.ok_or(StoreError::NoImport(import.0))
}

/// The newest imports, newest first; of one tenant, or of all.
///
/// # Errors
/// As [`get`].
pub fn list(connection: &Connection, tenant: Option<&TenantName>, rows_max: u32) -> Result<Vec<ImportRow>, StoreError> {
    let tenant = tenant.map(TenantName::as_str);
    select(connection, "WHERE ?1 IS NULL OR tenant = ?1 ORDER BY id DESC LIMIT ?2", (tenant, rows_max))
}

/// A tenant's imports that recovery and the pipeline have to bring to their last folder, in order of id.
///
/// # Errors
/// As [`get`].
pub fn unarchived(connection: &Connection, tenant: &TenantName) -> Result<Vec<ImportRow>, StoreError> {
    select(connection, "WHERE tenant = ?1 AND archived = 0 ORDER BY id", [tenant.as_str()])
}

/// A tenant's imports that are to go on by themselves, in order of id: not archived, and not waiting for a person.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn in_work(connection: &Connection, tenant: &TenantName) -> Result<Vec<ImportId>, StoreError> {
    let sql = "SELECT id FROM expunged_imports WHERE tenant = ?1 AND archived = 0 AND state NOT IN ('held', 'failed') ORDER BY id";
    let doing = "look for imports that go on";
    let mut found = connection.prepare_cached(sql).doing(doing)?;
    let ids = found.query_map([tenant.as_str()], |row| row.get(0).map(ImportId)).doing(doing)?;
    ids.collect::<Result<_, _>>().doing(doing)
}

/// Whether a newer import of the same name and kind (purge or check, sent or given to a command) tells the name's status.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn told_by_newer(connection: &Connection, import: &ImportRow) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM expunged_imports WHERE tenant = ?1 AND file = ?2 AND id > ?3 AND mode = ?4 AND (origin = 'command') = ?5";
    let about = (import.tenant.as_str(), &import.file, import.id.0, import.mode.as_str(), import.origin == Origin::Command);
    let doing = "look for a newer import of the name";
    connection.prepare_cached(sql).doing(doing)?.exists(about).doing(doing)
}

/// The newest of a sender's purges of a name that are not archived: a rehearsal or a command's list of that name must not
/// stand in for it.
///
/// # Errors
/// As [`get`].
pub fn unfinished_purge(connection: &Connection, tenant: &TenantName, file: &str) -> Result<Option<ImportRow>, StoreError> {
    let rest = "WHERE tenant = ?1 AND file = ?2 AND mode = 'purge' AND origin <> 'command' AND archived = 0 ORDER BY id DESC LIMIT 1";
    Ok(select(connection, rest, (tenant.as_str(), file))?.pop())
}

/// The newest import of a name, whatever its kind.
///
/// # Errors
/// As [`get`].
pub fn newest_of_name(connection: &Connection, tenant: &TenantName, file: &str) -> Result<Option<ImportRow>, StoreError> {
    let rest = "WHERE tenant = ?1 AND file = ?2 ORDER BY id DESC LIMIT 1";
    Ok(select(connection, rest, (tenant.as_str(), file))?.pop())
}

/// The newest import of a file that was taken from a drop folder under this name, and when.
///
/// # Errors
/// As [`get`].
pub fn last_taken(
    connection: &Connection,
    tenant: &TenantName,
    file: &str,
    mode: Mode,
) -> Result<Option<(ImportId, Timestamp)>, StoreError> {
    let rest = "WHERE tenant = ?1 AND file = ?2 AND mode = ?3 AND origin <> 'command' ORDER BY id DESC LIMIT 1";
    let found = select(connection, rest, (tenant.as_str(), file, mode.as_str()))?.pop();
    Ok(found.map(|row| (row.id, row.received_at)))
}

/// An earlier import of the same name and kind whose bytes had this SHA-256: the newest.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn earlier_of_name(connection: &Connection, import: &ImportRow, sha256: &str) -> Result<Option<ImportId>, StoreError> {
    let sql = "SELECT max(id) FROM expunged_imports WHERE tenant = ?1 AND file = ?2 AND mode = ?3 AND sha256 = ?4 AND id < ?5";
    let about = (import.tenant.as_str(), &import.file, import.mode.as_str(), sha256, import.id.0);
    let found = connection.query_row(sql, about, |row| row.get::<_, Option<i64>>(0));
    Ok(found.doing("look for an earlier file of the name")?.map(ImportId))
}

/// The newest earlier import of the same bytes by the same tenant.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn same_bytes(connection: &Connection, import: &ImportRow) -> Result<Option<ImportId>, StoreError> {
    let sql = "SELECT max(id) FROM expunged_imports WHERE tenant = ?1 AND sha256 = ?2 AND id < ?3";
    let found = connection.query_row(sql, (import.tenant.as_str(), &import.sha256, import.id.0), |row| row.get::<_, Option<i64>>(0));
    Ok(found.doing("look for the same bytes")?.map(ImportId))
}

/// The digest of the tenant's report that ended last.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn previous_report(connection: &Connection, tenant: &TenantName) -> Result<Option<String>, StoreError> {
    let sql = "SELECT report_sha256 FROM expunged_imports WHERE tenant = ?1 AND ended IS NOT NULL ORDER BY ended DESC LIMIT 1";
    connection.query_row(sql, [tenant.as_str()], |row| row.get(0)).optional().doing("look for the preceding report").map(Option::flatten)
}

/// One byte a row, as [`crate::domain::Outcome`]; empty before the import is matched.
///
/// # Errors
/// [`StoreError::Sqlite`].
pub fn outcomes(connection: &Connection, import: ImportId) -> Result<Vec<u8>, StoreError> {
    let sql = "SELECT outcomes FROM expunged_outcomes WHERE import = ?1";
    Ok(connection.query_row(sql, [import.0], |row| row.get(0)).optional().doing("read the outcomes")?.unwrap_or_default())
}

fn set_outcomes(transaction: &Transaction<'_>, import: ImportId, outcomes: &[u8]) -> Result<(), StoreError> {
    let sql = "INSERT INTO expunged_outcomes VALUES (?1, ?2) ON CONFLICT (import) DO UPDATE SET outcomes = excluded.outcomes";
    transaction.execute(sql, (import.0, outcomes)).doing("note the outcomes")?;
    Ok(())
}

/// Moves an import to a state that is no end.
///
/// # Errors
/// [`StoreError::NoImport`].
pub fn set_state(
    transaction: &Transaction<'_>,
    import: ImportId,
    state: State,
    reason: Option<&str>,
    message: Option<&str>,
) -> Result<(), StoreError> {
    let sql = "UPDATE expunged_imports SET state = ?2, reason = ?3, message = ?4 WHERE id = ?1";
    one(transaction.execute(sql, (import.0, state.as_str(), reason, message)), import, "note an import's state")
}

/// What the first look at the file says of it.
#[derive(Clone, Debug)]
pub struct FileFacts<'a> {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: &'a str,
    /// The form of its rows, where it has one.
    pub dialect: Option<Dialect>,
    /// How the file is read, as its reader writes it down.
    pub reading: Option<&'a str>,
    /// Remarks of the reader.
    pub warnings: &'a [String],
    /// When the look began.
    pub started_at: Timestamp,
}

/// Notes what the first look at the file said; the earliest start stands.
///
/// # Errors
/// [`StoreError::NoImport`].
pub fn note_file(transaction: &Transaction<'_>, import: ImportId, facts: &FileFacts<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE expunged_imports SET bytes = ?2, sha256 = ?3, dialect = ?4, warnings = ?5, started_at = coalesce(started_at, ?6),
        reading = ?7 WHERE id = ?1";
    let dialect = facts.dialect.map(Dialect::as_str);
    let row =
        (import.0, integer(facts.bytes), facts.sha256, dialect, to_json(&facts.warnings), facts.started_at.to_string(), facts.reading);
    one(transaction.execute(sql, row), import, "note an import's file")
}

/// Counts an attempt that failed by our fault; returns how many there were.
///
/// # Errors
/// [`StoreError::NoImport`].
pub fn note_attempt(transaction: &Transaction<'_>, import: ImportId) -> Result<u32, StoreError> {
    let sql = "UPDATE expunged_imports SET attempts = attempts + 1 WHERE id = ?1 RETURNING attempts";
    let found = transaction.query_row(sql, [import.0], |row| row.get(0)).optional();
    found.doing("count an attempt")?.ok_or(StoreError::NoImport(import.0))
}

/// Notes what the first pass found.
///
/// # Errors
/// [`StoreError::NoImport`].
pub fn plan(transaction: &Transaction<'_>, import: ImportId, state: State, found: &Planned<'_>) -> Result<(), StoreError> {
    let sql = r#"UPDATE expunged_imports SET state = ?2, "plan" = ?3, tally = ?4, errors = ?5, errors_omitted = ?6, cursor = NULL
        WHERE id = ?1"#;
    let row = (import.0, state.as_str(), found.plan, to_json(&found.tally), to_json(&found.errors), integer(found.errors_omitted));
    one(transaction.execute(sql, row), import, "note an import's plan")?;
    set_outcomes(transaction, import, found.outcomes)?;
    set_progress(transaction, import, found.progress)
}

/// Notes what was done up to a target.
///
/// # Errors
/// [`StoreError::NoImport`].
pub fn progress(transaction: &Transaction<'_>, import: ImportId, cursor: &Key, total: &Progress) -> Result<(), StoreError> {
    let sql = "UPDATE expunged_imports SET cursor = ?2 WHERE id = ?1";
    one(transaction.execute(sql, (import.0, cursor)), import, "note an import's cursor")?;
    set_progress(transaction, import, total)
}

/// Writes an import's counts.
///
/// # Errors
/// [`StoreError::NoImport`].
pub fn set_progress(transaction: &Transaction<'_>, import: ImportId, total: &Progress) -> Result<(), StoreError> {
    let sql = "UPDATE expunged_imports SET removed = ?2, detached = ?3, overwritten = ?4, accounts_deleted = ?5, accounts_preserved = ?6,
        suppressed = ?7 WHERE id = ?1";
    let (removed, detached, overwritten) = (to_json(&total.removed), to_json(&total.detached), to_json(&total.overwritten));
    let [deleted, preserved, suppressed] = [total.accounts_deleted, total.accounts_preserved, total.suppressed].map(integer);
    let row = (import.0, removed, detached, overwritten, deleted, preserved, suppressed);
    one(transaction.execute(sql, row), import, "note an import's counts")
}

/// Ends an import, all but its report.
///
/// # Errors
/// [`StoreError::NoImport`].
pub fn end(transaction: &Transaction<'_>, import: ImportId, end: &End<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE expunged_imports SET state = ?2, reason = ?3, message = ?4, finished_at = ?5, tally = ?6 WHERE id = ?1";
    if let Some(outcomes) = end.outcomes {
        set_outcomes(transaction, import, outcomes)?;
    }
    let row = (import.0, end.state.as_str(), end.reason, end.message, end.finished_at.to_string(), to_json(&end.tally));
    one(transaction.execute(sql, row), import, "end an import")
}

/// Stores the report's text and its digest. From here on it is the report that the tenant's next one names, if the
/// state is an end.
///
/// # Errors
/// [`StoreError::NoImport`].
pub fn store_report(transaction: &Transaction<'_>, import: ImportId, state: State, text: &str) -> Result<(), StoreError> {
    let sql = "UPDATE expunged_imports SET report = ?2, report_sha256 = ?3,
        ended = CASE WHEN ?4 THEN (SELECT coalesce(max(ended), 0) + 1 FROM expunged_imports e WHERE e.tenant = expunged_imports.tenant) END
        WHERE id = ?1";
    one(transaction.execute(sql, (import.0, text, digest(text.as_bytes()), state.ended())), import, "store a report")
}

/// Notes that the file stands in its last folder, beside its report.
///
/// # Errors
/// [`StoreError::NoImport`].
pub fn set_archived(transaction: &Transaction<'_>, import: ImportId) -> Result<(), StoreError> {
    one(transaction.execute("UPDATE expunged_imports SET archived = 1 WHERE id = ?1", [import.0]), import, "note an archived import")
}

/// `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn one(changed: rusqlite::Result<usize>, import: ImportId, doing: &'static str) -> Result<(), StoreError> {
    if changed.doing(doing)? == 1 { Ok(()) } else { Err(StoreError::NoImport(import.0)) }
}

fn integer(count: u64) -> i64 {
    i64::try_from(count).expect("rows and bytes are counted one by one, below 2^63")
}
