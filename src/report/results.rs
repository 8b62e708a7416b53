//! The results beside an archived file: one line a row of input.
//!
//! A value that could be an address is written as its keyed hash, and none begins a formula in a spreadsheet.

use std::borrow::Cow;
use std::io;

use crate::domain::{IdentityKey, Mode, Outcome, Reason, TenantName, may_hold_address};

/// Writes `NAME.results.csv`.
pub struct ResultsWriter<W: io::Write> {
    csv: csv::Writer<W>,
    mode: Mode,
    tenant: TenantName,
    key: IdentityKey,
}

/// What is said of one row. The ids are as in the input.
pub struct ResultsRow<'a> {
    /// Where the row starts.
    pub line: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// `accountId`, empty where absent.
    pub account_id: &'a str,
    /// `id`, empty where absent.
    pub id: &'a str,
    /// The request id, empty where absent.
    pub request_id: &'a str,
    /// Why.
    pub why: Why,
    /// Customers that the row took; written only where the outcome is `deleted`.
    pub customers: u64,
}

/// The reason column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// Nothing to say.
    Blank,
    /// A bad row.
    Bad(Reason),
    /// A duplicate of the row at this line.
    SameAs(u64),
}

/// What a rehearsal says where a purge says `deleted`, as its report does.
const WOULD_DELETE: &str = "would_delete";

impl<W: io::Write> ResultsWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// From the writer.
    pub fn new(writer: W, mode: Mode, tenant: TenantName, key: IdentityKey) -> io::Result<Self> {
        let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(writer);
        csv.write_record(["line", "outcome", "accountId", "id", "requestId", "reason", "customers"])?;
        Ok(Self { csv, mode, tenant, key })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// From the writer.
    pub fn row(&mut self, row: &ResultsRow<'_>) -> io::Result<()> {
        let reason = match row.why {
            Why::Blank => Cow::Borrowed(""),
            Why::Bad(reason) => Cow::Borrowed(reason.code()),
            Why::SameAs(line) => Cow::Owned(format!("line {line}")),
        };
        let customers = if row.outcome == Outcome::Deleted { row.customers.to_string() } else { String::new() };
        let record = [
            Cow::Owned(row.line.to_string()),
            Cow::Borrowed(match (self.mode, row.outcome) {
                (Mode::Check, Outcome::Deleted) => WOULD_DELETE,
                (Mode::Check | Mode::Purge, outcome) => outcome.as_str(),
            }),
            self.shown(row.account_id),
            self.shown(row.id),
            self.shown(row.request_id),
            reason,
            Cow::Owned(customers),
        ];
        self.csv.write_record(record.iter().map(|cell| cell.as_bytes()))?;
        Ok(())
    }

    /// Writes out what is buffered and gives the writer back.
    ///
    /// # Errors
    /// From the writer.
    pub fn finish(self) -> io::Result<W> {
        self.csv.into_inner().map_err(csv::IntoInnerError::into_error)
    }

    fn shown<'v>(&self, value: &'v str) -> Cow<'v, str> {
        if may_hold_address(value) {
            return Cow::Owned(self.key.text(&self.tenant, value).to_string());
        }
        let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}']);
        if !formula && !value.contains(char::is_control) {
            return Cow::Borrowed(value);
        }
        // A line break or NUL in a cell would break "one line a row".
        let visible = value.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
        Cow::Owned(formula.then_some('\'').into_iter().chain(visible).collect())
    }
}
