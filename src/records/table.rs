//! Rows of named columns, for `expunged load`: the same bytes, bounds and header rules, without a dialect.
//!
//! The operator's own files: nothing vouches for them and nothing needs to, so a last row without a line end counts.

use std::io;

use serde_json::value::RawValue;

use crate::domain::{Format, Reason, Rejection, RowError};

use super::columns::check_id;
use super::cut::Cut;
use super::names::{Names, Noun, Present, found};
use super::objects::{Objects, Value};
use super::sheet::{Sheet, empty_list};
use super::window::Window;
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
    /// What other files call some of them: such a name is refused with the right spelling where the column is absent.
    pub also_called: &'a [(&'a str, &'a str)],
}

/// One row that is not blank.
pub struct TableRow {
    /// 1-based, as an editor shows it: where the row starts.
    pub line: u64,
    /// A value for each of [`TableReading::columns`], in that order; blank, null and absent are `None`. In JSON lines text stands as
    /// it is, and every other value as its compact JSON text; an id is text or a whole number, as in a list.
    pub values: Result<Vec<Option<String>>, RowError>,
}

/// The rows of a table that are not blank, in order. Yields `Err` once, and then ends.
pub struct Table<R> {
    body: Body<R>,
    cells: Vec<Cells>,
    limits: Limits,
    read: u64,
    ended: bool,
}

enum Body<R> {
    Csv { sheet: Sheet<R>, names: Names },
    Jsonl { objects: Objects<R, Box<RawValue>>, settled: bool },
}

/// Begins to read a table.
///
/// # Errors
/// [`ReadError::Rejected`] when the header lacks a key or is not in order; [`ReadError::Medium`] from the input.
pub fn read<R: io::Read>(input: R, reading: &TableReading<'_>) -> Result<Table<R>, ReadError> {
    let window = Window::open(input)?;
    let names = Names::new(reading.columns.iter().map(|(name, _)| *name), Vec::new()).with_also_near(reading.also_called);
    let cells: Vec<Cells> = reading.columns.iter().map(|(_, cells)| *cells).collect();
    let body = match reading.format {
        Format::Csv => {
            let sheet = Sheet::open(window, &names, reading.limits, &Cut::vouched())?;
            let sound = sheet.refuse_twice(&names, |_| true).and_then(|()| has_keys(&names, &cells, sheet.present(), sheet.header()));
            sound.map_err(|rejection| rejection.at(sheet.header_line()))?;
            Body::Csv { sheet, names }
        }
        Format::Jsonl => Body::Jsonl { objects: Objects::open(window, names, reading.limits)?, settled: false },
    };
    Ok(Table { body, cells, limits: reading.limits, read: 0, ended: false })
}

impl<R: io::Read> Iterator for Table<R> {
    type Item = Result<TableRow, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.step().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

impl<R: io::Read> Table<R> {
    fn step(&mut self) -> Result<Option<TableRow>, ReadError> {
        let row = match &mut self.body {
            Body::Csv { sheet, names } => sheet_row(sheet, names, &self.cells)?,
            Body::Jsonl { objects, settled } => object_row(objects, settled, &self.cells)?,
        };
        if let Some(row) = &row {
            self.read += 1;
            if self.read > self.limits.rows_per_file_max {
                let message = format!("more than {} rows; split the file", self.limits.rows_per_file_max);
                return Err(Rejection::new("too_many_rows", message).at(row.line).into());
            }
        }
        Ok(row)
    }
}

fn sheet_row<R: io::Read>(sheet: &mut Sheet<R>, names: &Names, cells: &[Cells]) -> Result<Option<TableRow>, ReadError> {
    let Some(row) = sheet.next()? else { return Ok(None) };
    let value = |(index, cells): (usize, &Cells)| {
        let value = sheet.value(names, index)?.filter(|value| !value.trim().is_empty()).map(std::borrow::Cow::into_owned);
        check(*cells, value).map_err(|reason| sheet.error(names, index, reason))
    };
    let values = match row.fault {
        Some(reason) => Err(RowError { column: None, reason }),
        None => cells.iter().enumerate().map(value).collect(),
    };
    Ok(Some(TableRow { line: row.line, values }))
}

fn object_row<R: io::Read>(
    objects: &mut Objects<R, Box<RawValue>>,
    settled: &mut bool,
    cells: &[Cells],
) -> Result<Option<TableRow>, ReadError> {
    let Some(row) = objects.next()? else {
        return if objects.begun() { Ok(None) } else { Err(empty_list().into()) };
    };
    let line = row.line;
    if let Some(reason) = row.fault {
        return Ok(Some(TableRow { line, values: Err(RowError { column: None, reason }) }));
    }
    if !std::mem::replace(settled, true) {
        if let Some((found, index)) = objects.near_miss() {
            return Err(objects.names().near_miss(found, index, Noun::Key).at(line).into());
        }
        let keys: Vec<&str> = objects.object.keys.iter().map(String::as_str).collect();
        has_keys(objects.names(), cells, &objects.object.present, keys.into_iter()).map_err(|rejection| rejection.at(line))?;
    }
    Ok(Some(TableRow { line, values: object_values(objects, cells) }))
}

fn object_values<R: io::Read>(objects: &Objects<R, Box<RawValue>>, cells: &[Cells]) -> Result<Vec<Option<String>>, RowError> {
    if let Some((found, index)) = objects.near_miss() {
        return Err(RowError { column: Some(objects.names().label(Some(found), index)), reason: Reason::NearMissKey });
    }
    if let Some(index) = objects.object.twice {
        return Err(objects.error(index, Reason::JsonDuplicateKey));
    }
    let value = |(index, cells): (usize, &Cells)| {
        let value = objects.object.values[index].as_deref().map_or(Ok(None), |raw| plain(*cells, raw));
        value.and_then(|value| check(*cells, value)).map_err(|reason| objects.error(index, reason))
    };
    cells.iter().enumerate().map(value).collect()
}

fn has_keys<'n>(
    names: &Names,
    cells: &[Cells],
    present: &Present,
    header: impl ExactSizeIterator<Item = &'n str>,
) -> Result<(), Rejection> {
    match cells.iter().enumerate().find(|(index, cells)| **cells == Cells::Key && !present.has(*index)) {
        Some((index, _)) => Err(Rejection::new("missing_column", format!("no column \"{}\" (found {})", names.name(index), found(header)))),
        None => Ok(()),
    }
}

fn check(cells: Cells, value: Option<String>) -> Result<Option<String>, Reason> {
    match (cells, &value) {
        (Cells::Key, None) => Err(Reason::Missing),
        (Cells::Key | Cells::Id, Some(id)) => check_id(id).map(|()| value),
        (Cells::Id | Cells::Text, None) | (Cells::Text, Some(_)) => Ok(value),
    }
}

/// A JSON value as a cell: text as it is, null as blank, all else as its text without white space between tokens. An id that no list
/// could name is none.
fn plain(cells: Cells, raw: &RawValue) -> Result<Option<String>, Reason> {
    let json = raw.get();
    if json == "null" {
        return Ok(None);
    }
    if json.starts_with('"') {
        let text: String = serde_json::from_str(json).map_err(|_| Reason::NotText)?;
        return Ok((!text.trim().is_empty()).then_some(text));
    }
    if matches!(cells, Cells::Key | Cells::Id) && !matches!(serde_json::from_str(json), Ok(Value::Whole(_))) {
        return Err(Reason::JsonWrongType);
    }
    let (mut inside, mut escaped) = (false, false);
    let keep = |c: &char| {
        if inside {
            inside = escaped || *c != '"';
            escaped = !escaped && *c == '\\';
            true
        } else {
            inside = *c == '"';
            !c.is_ascii_whitespace()
        }
    };
    Ok(Some(json.chars().filter(keep).collect()))
}
