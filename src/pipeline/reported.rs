//! What the ledger says of an import, as its report has it: the same row gives the same bytes.

use super::expire;
use super::import::arrival_day;
use crate::domain::State;
use crate::purge::Ended;
use crate::report::{Accounts, Report, ReportError, Retained};
use crate::store::ledger::{BadRow, ImportRow};

/// What is said of a file that is refused for its bad rows.
pub(super) fn bad_rows_message(invalid: u64) -> String {
    format!("{invalid} bad rows, and one is enough to refuse this sender's files; mend them and send the file again")
}

/// Bad rows as the report lists them.
pub(super) fn report_errors(bad: &[BadRow]) -> Vec<ReportError> {
    let error = |bad: &BadRow| ReportError {
        line: Some(bad.line),
        column: bad.column.clone(),
        reason: bad.reason.clone(),
        message: bad.message.clone(),
    };
    bad.iter().map(error).collect()
}

/// What a list's size earns.
pub(super) fn warnings(rows: u64, recommended: u64) -> Vec<String> {
    (rows > recommended).then(|| format!("{rows} rows; at most {recommended} a file are recommended")).into_iter().collect()
}

/// The report of an ended import, out of the ledger's row alone: the same row gives the same bytes.
pub(super) fn report(ended: &Ended, originals_days: u32) -> Report {
    let row = &ended.import;
    Report {
        import: row.id,
        tenant: row.tenant.clone(),
        file: row.file.clone(),
        sha256: row.sha256.clone().unwrap_or_default(),
        bytes: row.bytes.unwrap_or_default(),
        same_as: ended.same_as,
        dialect: row.dialect,
        mode: row.mode,
        status: row.state,
        reason: row.reason.clone(),
        warnings: row.warnings.clone(),
        received_at: row.received_at,
        started_at: row.started_at,
        finished_at: row.finished_at.unwrap_or(row.received_at),
        rows: ended.tally,
        removed: row.progress.removed.clone(),
        detached: row.progress.detached.clone(),
        overwritten: row.progress.overwritten.clone(),
        accounts: Accounts { deleted: row.progress.accounts_deleted, preserved: row.progress.accounts_preserved },
        suppressed: row.progress.suppressed,
        would_hold: None,
        errors: report_errors(&row.errors),
        errors_omitted: row.errors_omitted,
        retained: retained(row, originals_days),
        plan: row.plan.clone().unwrap_or_default(),
        previous: ended.previous.clone(),
    }
}

/// What the sender wrote, and how long it is kept beside the report.
fn retained(row: &ImportRow, originals_days: u32) -> Vec<Retained> {
    let until = expire::last_day(arrival_day(row), originals_days);
    let kept: &[&str] = if row.state == State::Rejected { &["original"] } else { &["original", "results"] };
    kept.iter().map(|what| Retained { what: (*what).to_owned(), until }).collect()
}
