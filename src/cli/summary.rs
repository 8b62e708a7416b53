//! A report as a person reads it, and the exit code that it means.

use super::{Exit, Failure, Terminal};
use crate::domain::{Counts, Mode, State};
use crate::report::Report;

/// Bad rows that are shown; the rest is counted.
const ERRORS_SHOWN: usize = 100;

/// The exit code of an import that ended so.
pub(super) fn exit_of(report: &Report) -> Exit {
    match report.status {
        State::Completed if report.would_hold == Some(true) => Exit::Held,
        State::Completed | State::Stopped if report.rows.invalid > 0 => Exit::SomeInvalid,
        State::Completed | State::Stopped => Exit::Done,
        State::Rejected => Exit::Rejected,
        State::Held => Exit::Held,
        State::Received | State::Checking | State::Purging | State::Failed => Exit::Failed,
    }
}

/// People that an import took, or a check would take: rows of the plan's subject table, not of the list.
pub(super) fn people(report: &Report, subject_table: &str) -> u64 {
    report.removed.get(subject_table)
}

/// Prints bad rows in red, the first of them.
pub(super) fn print_errors(terminal: &Terminal, report: &Report) {
    for error in report.errors.iter().take(ERRORS_SHOWN) {
        let line = error.line.map_or_else(String::new, |line| format!("line {line}: "));
        let column = error.column.as_ref().map_or_else(String::new, |column| format!("{column}: "));
        terminal.bad(format!("{line}{column}{} ({})", error.message, error.reason));
    }
    let more = (report.errors.len().saturating_sub(ERRORS_SHOWN)) as u64 + report.errors_omitted;
    if more > 0 {
        terminal.bad(format!("and {more} more"));
    }
}

/// Prints what an import did, or what a check would do.
pub(super) fn print(terminal: &Terminal, report: &Report) -> Result<(), Failure> {
    let rows = report.rows;
    let deleted = if report.mode == Mode::Check { "would delete" } else { "deleted" };
    let mut lines = vec![format!("{} of {}: {}", report.mode.as_str(), report.file, report.status.as_str())];
    if let Some(reason) = &report.reason {
        lines.push(format!("  reason      {reason}"));
    }
    let counts = [
        ("read", rows.read),
        (deleted, rows.deleted),
        ("not found", rows.not_found),
        ("duplicate", rows.duplicate),
        ("invalid", rows.invalid),
        ("exempt", rows.exempt),
        ("skipped", rows.skipped),
    ];
    let shown = counts.iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>();
    lines.push(format!("  rows        {}", if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }));
    let changes = [("removed", &report.removed), ("detached", &report.detached), ("overwritten", &report.overwritten)];
    let would = if report.mode == Mode::Check { "would be " } else { "" };
    for (word, counts) in changes {
        if counts.total() > 0 {
            lines.push(format!("  {:<11} {}", format!("{would}{word}"), listed(counts)));
        }
    }
    if report.accounts.preserved > 0 {
        lines.push(format!("  accounts    {} kept although empty", report.accounts.preserved));
    }
    if report.suppressed > 0 {
        lines.push(format!("  suppressed  {}", report.suppressed));
    }
    for warning in &report.warnings {
        lines.push(format!("  warning     {warning}"));
    }
    terminal.say(lines.join("\n"))
}

fn listed(counts: &Counts) -> String {
    let some = counts.iter().filter(|(_, count)| *count > 0);
    some.map(|(table, count)| format!("{count} {}", table.replace('_', " "))).collect::<Vec<_>>().join(", ")
}
