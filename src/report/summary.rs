//! The report beside an archived file.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{Counts, Dialect, ImportId, Mode, ROW_ERRORS_MAX, Rejection, RowError, State, Tally, TenantName};

/// What became of one file. Serialises in the order and with the names that DESIGN section 3 fixes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(into = "Wire", from = "Wire")]
pub struct Report {
    /// The import.
    pub import: ImportId,
    /// Whose file it was.
    pub tenant: TenantName,
    /// The name it was delivered under.
    pub file: String,
    /// Of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// An earlier import of the same bytes.
    pub same_as: Option<ImportId>,
    /// Unknown where the file was refused before its header was understood.
    pub dialect: Option<Dialect>,
    /// Whether people went, or only would.
    pub mode: Mode,
    /// How it ended.
    pub status: State,
    /// Why, where it was not completed: a stable code.
    pub reason: Option<String>,
    /// What did not stop it, for people.
    pub warnings: Vec<String>,
    /// When the file was taken.
    pub received_at: Timestamp,
    /// When the first pass began, if it did.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Rows by outcome.
    pub rows: Tally,
    /// Database rows deleted, by table, in the plan's order.
    pub removed: Counts,
    /// Database rows whose key was set null.
    pub detached: Counts,
    /// Database rows whose text was overwritten.
    pub overwritten: Counts,
    /// Accounts whose last user went.
    pub accounts: Accounts,
    /// Suppression entries made.
    pub suppressed: u64,
    /// Checks only: whether a purge of this file would be held.
    pub would_hold: Option<bool>,
    /// The first bad rows, at most [`ROW_ERRORS_MAX`].
    pub errors: Vec<ReportError>,
    /// Bad rows beyond those.
    pub errors_omitted: u64,
    /// What is kept, and until when.
    pub retained: Vec<Retained>,
    /// The digest of the plan: `sha256:…`.
    pub plan: String,
    /// The digest of the tenant's preceding report.
    pub previous: Option<String>,
}

/// Accounts whose last user went.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Accounts {
    /// Went with it.
    pub deleted: u64,
    /// Stayed, as asked.
    pub preserved: u64,
}

/// A bad row, or why the whole file was refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReportError {
    /// 1-based; `None` where the file as a whole is at fault.
    pub line: Option<u64>,
    /// As the header spells it.
    pub column: Option<String>,
    /// A stable code.
    pub reason: String,
    /// What to mend.
    pub message: String,
}

/// What is kept of an import, and until when.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Retained {
    /// `original`, `results`, `report`
    pub what: String,
    /// The day on which it expires.
    pub until: jiff::civil::Date,
}

impl Report {
    /// The text of the report file: pretty-printed JSON and a line end. The same report gives the same bytes.
    #[must_use]
    pub fn to_json(&self) -> String {
        super::json_text(self)
    }

    /// Adds a bad row: listed up to [`ROW_ERRORS_MAX`], counted beyond.
    pub fn bad_row(&mut self, line: u64, error: &RowError) {
        if self.errors.len() < ROW_ERRORS_MAX {
            self.errors.push(ReportError::row(line, error));
        } else {
            self.errors_omitted += 1;
        }
    }
}

impl ReportError {
    /// A bad row.
    #[must_use]
    pub fn row(line: u64, error: &RowError) -> Self {
        Self {
            line: Some(line),
            column: error.column.clone(),
            reason: error.reason.code().to_owned(),
            message: error.reason.message().to_owned(),
        }
    }

    /// The refusal of the whole file.
    #[must_use]
    pub fn file(rejection: &Rejection) -> Self {
        Self { line: rejection.line, column: None, reason: rejection.code.clone(), message: rejection.message.clone() }
    }
}

/// The JSON of a report, field by field in its order.
#[derive(Deserialize, Serialize)]
struct Wire {
    version: u32,
    import: ImportId,
    tenant: TenantName,
    file: String,
    sha256: String,
    bytes: u64,
    same_as: Option<ImportId>,
    dialect: Option<Dialect>,
    mode: Mode,
    status: State,
    reason: Option<String>,
    warnings: Vec<String>,
    #[serde(with = "super::seconds")]
    received_at: Timestamp,
    #[serde(with = "super::seconds_or_null")]
    started_at: Option<Timestamp>,
    #[serde(with = "super::seconds")]
    finished_at: Timestamp,
    rows: RowCounts,
    removed: Counts,
    detached: Counts,
    overwritten: Counts,
    accounts: Accounts,
    suppressed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    would_hold: Option<bool>,
    errors: Vec<ReportError>,
    errors_omitted: u64,
    retained: Vec<Retained>,
    plan: String,
    previous: Option<String>,
}

/// The tally as it is told; in a check `would_delete` stands for `deleted`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RowCounts {
    /// Rows that were not blank.
    pub read: u64,
    /// Rows that took at least one customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// Rows that would have, had it not been a check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_delete: Option<u64>,
    /// Valid rows that name nobody.
    pub not_found: u64,
    /// Rows that name a customer again.
    pub duplicate: u64,
    /// Bad rows.
    pub invalid: u64,
    /// Rows that name a person who must not be erased.
    pub exempt: u64,
    /// Rows that the import ended before.
    pub skipped: u64,
}

impl RowCounts {
    /// The counts of an import of this kind.
    #[must_use]
    pub fn new(mode: Mode, tally: Tally) -> Self {
        let Tally { read, deleted, not_found, duplicate, invalid, exempt, skipped } = tally;
        let (deleted, would_delete) = match mode {
            Mode::Purge => (Some(deleted), None),
            Mode::Check => (None, Some(deleted)),
        };
        Self { read, deleted, would_delete, not_found, duplicate, invalid, exempt, skipped }
    }
}

impl From<Report> for Wire {
    fn from(report: Report) -> Self {
        Self {
            version: 1,
            import: report.import,
            tenant: report.tenant,
            file: report.file,
            sha256: report.sha256,
            bytes: report.bytes,
            same_as: report.same_as,
            dialect: report.dialect,
            mode: report.mode,
            status: report.status,
            reason: report.reason,
            warnings: report.warnings,
            received_at: report.received_at,
            started_at: report.started_at,
            finished_at: report.finished_at,
            rows: RowCounts::new(report.mode, report.rows),
            removed: report.removed,
            detached: report.detached,
            overwritten: report.overwritten,
            accounts: report.accounts,
            suppressed: report.suppressed,
            would_hold: report.would_hold,
            errors: report.errors,
            errors_omitted: report.errors_omitted,
            retained: report.retained,
            plan: report.plan,
            previous: report.previous,
        }
    }
}

impl From<Wire> for Report {
    fn from(wire: Wire) -> Self {
        let RowCounts { read, deleted, would_delete, not_found, duplicate, invalid, exempt, skipped } = wire.rows;
        let deleted = deleted.or(would_delete).unwrap_or(0);
        Self {
            import: wire.import,
            tenant: wire.tenant,
            file: wire.file,
            sha256: wire.sha256,
            bytes: wire.bytes,
            same_as: wire.same_as,
            dialect: wire.dialect,
            mode: wire.mode,
            status: wire.status,
            reason: wire.reason,
            warnings: wire.warnings,
            received_at: wire.received_at,
            started_at: wire.started_at,
            finished_at: wire.finished_at,
            rows: Tally { read, deleted, not_found, duplicate, invalid, exempt, skipped },
            removed: wire.removed,
            detached: wire.detached,
            overwritten: wire.overwritten,
            accounts: wire.accounts,
            suppressed: wire.suppressed,
            would_hold: wire.would_hold,
            errors: wire.errors,
            errors_omitted: wire.errors_omitted,
            retained: wire.retained,
            plan: wire.plan,
            previous: wire.previous,
        }
    }
}
