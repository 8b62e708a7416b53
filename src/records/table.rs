//! Rows of named columns, for `expunged load`: the same bytes, bounds and header rules, without a dialect.

use std::io;

use crate::domain::{Format, RowError};

use super::{Limits, ReadError};

/// What a column of a table may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cells {
    /// An id that every row must have.
    Key,
    /// An id, or blank.
    Id,
    /// Any text, or blank.
    Text,
}

/// One table's file, and what it may cost.
#[derive(Clone, Debug)]
pub struct TableReading<'a> {
    /// The format that the file's name says.
    pub format: Format,
    /// What it may cost.
    pub limits: Limits,
    /// The columns, exactly spelt; the header must have each [`Cells::Key`].
    pub columns: &'a [(&'a str, Cells)],
}

/// One row that is not blank.
pub struct TableRow {
    /// 1-based, as an editor shows it: where the row starts.
    pub line: u64,
    /// A value for each of [`TableReading::columns`], in that order; blank, null and absent are `None`. In JSON lines text stands as it is,
    /// and every other value as its compact JSON text.
    pub values: Result<Vec<Option<String>>, RowError>,
}

/// Begins to read a table.
///
/// # Errors
/// As [`super::read`].
pub fn read<R: io::Read>(_input: R, _reading: &TableReading<'_>) -> Result<Table<R>, ReadError> {
    unimplemented!()
}

/// The rows of a table that are not blank, in order. Yields `Err` once, and then ends.
pub struct Table<R> {
    _input: R,
}

impl<R: io::Read> Iterator for Table<R> {
    type Item = Result<TableRow, ReadError>;
    fn next(&mut self) -> Option<Self::Item> {
        unimplemented!()
    }
}
