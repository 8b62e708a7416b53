//! A CSV file with a header: settles the separator and where the known columns are, then gives the cells of each row.
//!
//! What the columns mean is its caller's. Cells of other columns are passed over, whatever bytes are in them.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

use crate::domain::{Reason, Rejection, RowError};

use super::columns::duplicate_column;
use super::cut::{Cut, resumed_in_header};
use super::frames::{Frame, Frames, quote_not_closed, text};
use super::names::{Kind, Names, Noun, Present};
use super::scan::{Cell, Scan, Step};
use super::window::{Sight, Window};
use super::{Limits, ReadError};

/// In order of preference where a header says nothing.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The rows of a CSV file.
pub(super) struct Sheet<R> {
    frames: Frames<R>,
    delimiter: u8,
    /// The header's cells, and its line.
    header: Vec<String>,
    header_line: u64,
    /// By index of the known name: its column.
    places: Vec<Option<usize>>,
    twice: Vec<usize>,
    present: Present,
}

/// One row that is not blank; its cells are in sight until the next is asked for.
pub(super) struct SheetRow {
    pub(super) line: u64,
    pub(super) stored: Range<u64>,
    pub(super) terminated: bool,
    /// Its cells cannot be told.
    pub(super) fault: Option<Reason>,
    /// A quote stands where quotes say nothing.
    pub(super) stray: bool,
    /// It runs over more than one line.
    pub(super) folded: bool,
}

impl<R: Read> Sheet<R> {
    /// Reads the header.
    pub(super) fn open(window: Window<R>, names: &Names, limits: Limits, cut: &Cut) -> Result<Self, ReadError> {
        let mut frames = Frames::new(window, limits);
        check_text(frames.window())?;
        let told = take_separator_line(&mut frames)?;
        skip_blank(&mut frames, &limits)?;
        let line = frames.line();
        let sight = frames.peek(limits.row_bytes_max + 2)?;
        let delimiter = choose(sight, told, names, &limits).map_err(|rejection| at(rejection, line))?;
        frames.split_at(delimiter);
        let Some(frame) = frames.next()? else {
            return Err(empty_file().into());
        };
        let mut sheet = Self {
            frames,
            delimiter,
            header: Vec::new(),
            header_line: line,
            places: vec![None; names.len()],
            twice: Vec::new(),
            present: Present::none(names),
        };
        // A byte order mark belongs to the header.
        if cut.resumed_in(&(0..frame.stored.end)) {
            return Err(resumed_in_header().at(line).into());
        }
        sheet.read_header(&frame, names, &limits).map_err(|rejection| at(rejection, line))?;
        Ok(sheet)
    }

    fn read_header(&mut self, frame: &Frame, names: &Names, limits: &Limits) -> Result<(), Rejection> {
        if frame.fault == Some(Reason::QuoteMalformed) {
            return Err(Rejection::new(
                "quote_malformed",
                "text after a closing quote in the header; double each quote inside a quoted cell",
            ));
        }
        if self.frames.cells().len() > limits.columns_max {
            let message = format!("the header has {} columns; at most {} are read", self.frames.cells().len(), limits.columns_max);
            return Err(Rejection::new("too_many_columns", message));
        }
        let cells = self.frames.cells().iter();
        self.header = cells.map(|cell| String::from_utf8_lossy(&self.frames.text(*cell)).into_owned()).collect();
        for (place, name) in self.header.iter().enumerate() {
            if let Kind::Known(index) = names.kind(name) {
                if self.present.insert(index) {
                    self.twice.push(index);
                } else {
                    self.places[index] = Some(place);
                }
            }
        }
        for name in &self.header {
            if let Kind::Near(index) = names.kind(name)
                && names.near_counts(index, &self.present)
            {
                return Err(names.near_miss(name, index, Noun::Column));
            }
        }
        Ok(())
    }

    /// The known columns that the header has.
    pub(super) fn present(&self) -> &Present {
        &self.present
    }

    /// The header as it stands in the file.
    pub(super) fn header(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.header.iter().map(String::as_str)
    }

    /// Where the header stands.
    pub(super) fn header_line(&self) -> u64 {
        self.header_line
    }

    /// A header that names nothing we know: whether it is text at all.
    pub(super) fn header_is_text(&self) -> bool {
        !self.header.iter().any(|name| name.contains(char::REPLACEMENT_CHARACTER))
    }

    /// Refuses a known column that stands twice, where it counts.
    pub(super) fn refuse_twice(&self, names: &Names, counts: impl Fn(usize) -> bool) -> Result<(), Rejection> {
        match self.twice.iter().find(|index| counts(**index)) {
            Some(index) => Err(duplicate_column(names.name(*index))),
            None => Ok(()),
        }
    }

    /// Lines begun so far.
    pub(super) fn line(&self) -> u64 {
        self.frames.line()
    }

    #[cfg(test)]
    pub(super) fn window_bytes(&self) -> usize {
        self.frames.window().capacity()
    }

    /// The next row that is not blank.
    pub(super) fn next(&mut self) -> Result<Option<SheetRow>, ReadError> {
        while let Some(frame) = self.frames.next()? {
            let mut fault = frame.fault;
            if fault.is_none() {
                if self.is_blank(&frame) {
                    continue;
                }
                fault = match self.frames.cells().len().cmp(&self.header.len()) {
                    std::cmp::Ordering::Less => Some(Reason::TooFewCells),
                    std::cmp::Ordering::Equal => None,
                    std::cmp::Ordering::Greater => Some(Reason::TooManyCells),
                };
            }
            let Frame { line, stored, terminated, stray, folded, .. } = frame;
            return Ok(Some(SheetRow { line, stored, terminated, fault, stray, folded }));
        }
        Ok(None)
    }

    /// A cell of the row that was given last, by the index of its column's known name. `None`: no such column.
    pub(super) fn cell(&self, index: usize) -> Option<Cow<'_, [u8]>> {
        let cell = self.frames.cells().get(self.places[index]?)?;
        Some(self.frames.text(*cell))
    }

    /// The same as text. `None`: no such column.
    pub(super) fn value(&self, names: &Names, index: usize) -> Result<Option<Cow<'_, str>>, RowError> {
        let Some(cell) = self.cell(index) else { return Ok(None) };
        let value = match cell {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        match value {
            Some(value) if value.is_ascii() || !value.contains(char::REPLACEMENT_CHARACTER) => Ok(Some(value)),
            _ => Err(self.error(names, index, Reason::NotText)),
        }
    }

    /// What is wrong with a cell.
    pub(super) fn error(&self, names: &Names, index: usize, reason: Reason) -> RowError {
        let found = self.places[index].and_then(|place| self.header.get(place));
        RowError { column: Some(names.label(found.map(String::as_str), index)), reason }
    }

    fn is_blank(&self, frame: &Frame) -> bool {
        let record = self.frames.bytes(frame);
        if record.first().is_some_and(|first| first.is_ascii_alphanumeric()) {
            return false;
        }
        is_blank(record, self.frames.cells(), self.delimiter)
    }
}

/// Whether all cells are empty or white space.
fn is_blank(record: &[u8], cells: &[Cell], delimiter: u8) -> bool {
    debug_assert!(!delimiter.is_ascii_alphanumeric());
    cells.iter().all(|cell| blank_text(&text(record, *cell)))
}

fn blank_text(bytes: &[u8]) -> bool {
    match bytes.first() {
        None => true,
        Some(first) if first.is_ascii_graphic() => false,
        Some(_) => std::str::from_utf8(bytes).is_ok_and(|text| text.trim().is_empty()),
    }
}

/// Passes over Excel's `sep=;`, which may stand as the first line, and takes it at its word.
fn take_separator_line<R: Read>(frames: &mut Frames<R>) -> Result<Option<u8>, ReadError> {
    const LINE_BYTES_MAX: usize = 16;
    let Sight { bytes, ended } = frames.peek(LINE_BYTES_MAX)?;
    let len = memchr::memchr2(b'\n', b'\r', bytes);
    if len.is_none() && !ended {
        return Ok(None);
    }
    let line = &bytes[..len.unwrap_or(bytes.len())];
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] if DELIMITERS.contains(separator) => {
            let separator = *separator;
            frames.next()?;
            Ok(Some(separator))
        }
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', ..] => {
            let message = "the first line names a separator that is not read; use a comma, a semicolon, a tab or a bar";
            Err(Rejection::new("separator_unknown", message).at(1).into())
        }
        _ => Ok(None),
    }
}

/// Passes over blank lines before the header.
fn skip_blank<R: Read>(frames: &mut Frames<R>, limits: &Limits) -> Result<(), ReadError> {
    loop {
        let Sight { bytes, ended } = frames.peek(limits.row_bytes_max + 2)?;
        if bytes.is_empty() {
            return Err(empty_file().into());
        }
        let len = memchr::memchr2(b'\n', b'\r', bytes);
        let line = &bytes[..len.unwrap_or(bytes.len())];
        if !line.iter().all(|byte| byte.is_ascii_whitespace() || DELIMITERS.contains(byte)) || len.is_none() && !ended {
            return Ok(());
        }
        frames.next()?;
    }
}

/// The separator of the header that these bytes begin with, unless the file told it.
fn choose(sight: Sight<'_>, told: Option<u8>, names: &Names, limits: &Limits) -> Result<u8, Rejection> {
    let bytes = sight.bytes;
    let line = &bytes[..memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len())];
    if line.contains(&0) {
        return Err(not_text("its first line holds NUL bytes"));
    }
    let mut best = None;
    let mut refused = None;
    for delimiter in DELIMITERS.into_iter().filter(|delimiter| told.is_none_or(|told| told == *delimiter)) {
        let mut cells = Vec::new();
        let mut scan = Scan::new(Some(delimiter), limits);
        match scan.advance(sight, &mut cells) {
            Step::Done { .. } if !scan.too_long() => {
                cells.truncate(limits.columns_max + 1);
                let rank = Rank::of(bytes, &cells, &scan, names);
                if best.as_ref().is_none_or(|(most, _)| rank > *most) {
                    best = Some((rank, delimiter));
                }
            }
            Step::Open { after } => refused = refused.or(Some(quote_not_closed(1 + after))),
            Step::More if scan.open_quote().is_some() => refused = refused.or(scan.open_quote().map(|after| quote_not_closed(1 + after))),
            Step::Done { .. } | Step::More => {
                let message = format!("the header is longer than {} bytes; look for a missing line end", limits.row_bytes_max);
                refused = refused.or(Some(Rejection::new("header_too_long", message)));
            }
        }
    }
    match (best, refused) {
        // Under the separator that was meant, a quote stays open.
        (Some((Rank { known_names: 0, near_misses: 0, .. }, _)), Some(rejection)) => Err(rejection),
        (Some((_, delimiter)), _) => Ok(delimiter),
        (None, Some(rejection)) => Err(rejection),
        (None, None) => Err(empty_file()),
    }
}

/// How well a separator fits. Of two the greater is better, by the first field in which they differ.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Rank {
    known_names: usize,
    near_misses: usize,
    /// No text stands behind a closing quote.
    sound_quotes: bool,
    columns: usize,
}

impl Rank {
    /// That of a header which this scan took apart into these cells.
    fn of(header: &[u8], cells: &[Cell], scan: &Scan, names: &Names) -> Self {
        let mut rank = Self { known_names: 0, near_misses: 0, sound_quotes: !scan.malformed(), columns: cells.len() };
        for cell in cells {
            match names.kind(&String::from_utf8_lossy(&text(header, *cell))) {
                Kind::Known(_) => rank.known_names += 1,
                Kind::Near(_) => rank.near_misses += 1,
                Kind::Extra => {}
            }
        }
        rank
    }
}

/// A refusal in the header; what counted from its first line counts from the file's.
fn at(rejection: Rejection, line: u64) -> Rejection {
    match rejection.line {
        Some(within) if rejection.code == "quote_not_closed" => quote_not_closed(line + within - 1),
        _ => rejection.at(line),
    }
}

/// Refuses what its first bytes say is no text.
pub(super) fn check_text<R: Read>(window: &Window<R>) -> Result<(), Rejection> {
    window.binary().map_or(Ok(()), |what| Err(not_text(&format!("it is {what}"))))
}

pub(super) fn not_text(why: &str) -> Rejection {
    Rejection::new("not_text", format!("the file is not text: {why}; export it as UTF-8 CSV"))
}

/// A CSV file without a header.
pub(super) fn empty_file() -> Rejection {
    Rejection::new("empty_file", "the file is empty; a list with nobody on it is its header alone")
}

/// JSON lines without a line: nothing tells a list with nobody on it from one of which nothing came.
pub(super) fn empty_list() -> Rejection {
    Rejection::new("empty_file", "the file is empty; where nobody is on the list, send its checksum file before it")
}
