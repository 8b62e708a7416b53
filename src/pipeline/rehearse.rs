//! A rehearsal that leaves no trace: the same look, match and counts as an import, on a store that is only read.

use std::fs::File;
use std::io::{self, Seek};

use jiff::Timestamp;

use super::hold::remark;
use super::import::{BAD_ROWS, digest};
use super::reported::{report_errors, warnings};
use super::unpack::{Unpacked, distrusted, whose_fault};
use super::{Fault, Rules};
use crate::domain::{FileName, ImportId, Mode, Rejection, Settings, State, Tally, TenantName};
use crate::purge::{Engine, InputRow, MatchError};
use crate::records::{self, ReadError, Reading};
use crate::report::{Accounts, Report, ReportError};
use crate::store::Store;

/// What is rehearsed.
pub struct Rehearsal<'a> {
    /// The store, which may be open for reading only.
    pub store: &'a Store,
    /// The rule of the product.
    pub engine: &'a Engine,
    /// Whose people.
    pub tenant: &'a TenantName,
    /// Where rows say nothing.
    pub settings: Settings,
    /// The tenant's rules, for what they say of bad rows and of the brake.
    pub rules: &'a Rules,
    /// The name that the report shows.
    pub name: &'a str,
}

impl Rehearsal<'_> {
    /// Rehearses a file, read from its start. A file that would be rejected gives a report with status `rejected`.
    ///
    /// # Errors
    /// Store or file cannot be read.
    pub fn run(&self, file: &mut File, reading: Result<Reading, Rejection>) -> Result<Report, Fault> {
        let started_at = Timestamp::now();
        file.rewind()?;
        let (sha256, bytes) = digest(file)?;
        file.rewind()?;
        let blank = Report {
            import: ImportId(0),
            tenant: self.tenant.clone(),
            file: self.name.to_owned(),
            sha256,
            bytes,
            same_as: None,
            dialect: None,
            mode: Mode::Check,
            status: State::Completed,
            reason: None,
            warnings: Vec::new(),
            received_at: started_at,
            started_at: Some(started_at),
            finished_at: started_at,
            rows: Tally::default(),
            removed: crate::domain::Counts::default(),
            detached: crate::domain::Counts::default(),
            overwritten: crate::domain::Counts::default(),
            accounts: Accounts::default(),
            suppressed: 0,
            would_hold: None,
            errors: Vec::new(),
            errors_omitted: 0,
            retained: Vec::new(),
            plan: self.engine.plan_digest().to_owned(),
            previous: None,
        };
        match self.count(file, reading, &blank) {
            Ok(report) => Ok(Report { finished_at: Timestamp::now(), ..report }),
            Err(Refused::Input(rejection)) => Ok(Report {
                status: State::Rejected,
                reason: Some(rejection.code.clone()),
                errors: vec![ReportError { line: rejection.line, column: None, reason: rejection.code, message: rejection.message }],
                finished_at: Timestamp::now(),
                ..blank
            }),
            Err(Refused::Ours(fault)) => Err(fault),
        }
    }

    fn count(&self, file: &File, reading: Result<Reading, Rejection>, blank: &Report) -> Result<Report, Refused> {
        let name = FileName::parse(self.name).map_err(|_| Rejection::new("not_a_list", "not the name of a list"))?;
        let unpacking = |error: io::Error| Refused::Ours(error.into());
        let reading = distrusted(reading?, file, &name, self.rules.unpacked_bytes_max).map_err(unpacking)?;
        let mut file = file;
        file.rewind().map_err(unpacking)?;
        let recommended = reading.limits.rows_recommended;
        let mut rows = records::read(Unpacked::new(file, &name, self.rules.unpacked_bytes_max), reading)?;
        let input = rows.by_ref().map(|row| row.map(|row| InputRow { line: row.line, subject: row.subject, flags: row.flags }));
        let matched =
            self.engine.match_rows(self.store.connection(), self.tenant, self.settings, Timestamp::now(), input).map_err(|error| {
                match error {
                    MatchError::Input(error) => Refused::from(error),
                    MatchError::Purge(error) => Refused::Ours(error.into()),
                }
            })?;
        let held = self.engine.judge(self.store.connection(), &matched, &self.rules.brake).map_err(|error| Refused::Ours(error.into()))?;
        let errors = report_errors(matched.errors());
        let (dialect, errors_omitted) = (rows.dialect(), matched.errors_omitted());
        if matched.tally().invalid > 0 && self.rules.reject_bad_rows {
            let tally = matched.tally();
            let skipped = tally.read - tally.not_found - tally.duplicate - tally.invalid - tally.exempt;
            let rows = Tally { skipped, ..tally };
            let (status, reason) = (State::Rejected, Some(BAD_ROWS.to_owned()));
            return Ok(Report { dialect, status, reason, rows, errors, errors_omitted, ..blank.clone() });
        }
        let checked = self.engine.check(self.store.connection(), &matched).map_err(|error| Refused::Ours(error.into()))?;
        let progress = checked.progress;
        Ok(Report {
            dialect,
            warnings: warnings(matched.rows_read(), recommended).into_iter().chain(remark(&held)).collect(),
            would_hold: Some(!held.is_empty()),
            rows: checked.tally,
            removed: progress.removed,
            detached: progress.detached,
            overwritten: progress.overwritten,
            accounts: Accounts { deleted: progress.accounts_deleted, preserved: progress.accounts_preserved },
            suppressed: progress.suppressed,
            errors,
            errors_omitted,
            ..blank.clone()
        })
    }
}

enum Refused {
    Input(Rejection),
    Ours(Fault),
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self::Input(rejection)
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        match whose_fault(error) {
            ReadError::Rejected(rejection) => Self::Input(rejection),
            ReadError::Medium(error) => Self::Ours(io::Error::into(error)),
        }
    }
}
