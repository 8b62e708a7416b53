//! Where a CSV record ends and where its cells are: a state machine over bytes that may not be all there yet.
//!
//! A quote is special only as the first byte of a cell; inside such a cell it is doubled. Line ends are LF, CRLF and CR.
//! It never looks further than a quoted cell may run.

use memchr::{memchr, memchr2, memchr3};

use super::Limits;
use super::window::Sight;

/// A cell's bytes within its record, its quotes not included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cell {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Holds doubled quotes.
    pub(super) doubled: bool,
}

/// One record being scanned.
pub(super) struct Scan {
    delimiter: Option<u8>,
    bytes_max: u64,
    lines_max: u64,
    state: State,
    /// The next byte in sight.
    at: usize,
    /// Bytes of the record that were dropped before those in sight.
    dropped: u64,
    /// Where in sight the cell begins, behind its quote.
    cell_start: usize,
    /// The cell holds doubled quotes.
    doubled: bool,
    /// Where in the record the last quoted cell opened: in bytes, and in line ends before it.
    opened: u64,
    opened_after: u64,
    /// Line ends inside the record so far.
    line_ends: u64,
    /// The byte before this one, inside quotes, is a CR.
    after_cr: bool,
    /// Text stood behind a closing quote.
    malformed: bool,
    /// A quote stood inside a cell that does not begin with one.
    stray: bool,
    /// The record is longer than a row may be.
    too_long: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    /// At the first byte of a cell.
    Start,
    /// In a cell without quotes, or behind a closing quote where nothing should stand.
    Plain,
    /// Inside quotes.
    Quoted,
    /// Behind a quote inside quotes: a closing one, or the first of two.
    Quote,
}

/// How far the bytes went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// The record goes on.
    More,
    /// The record ends after `len` bytes in sight; its line end takes `line_end` more, 0 at the end of input.
    Done { len: usize, line_end: usize },
    /// A quote, opened after this many line ends of the record, does not close within the limits.
    Open { after: u64 },
}

impl Scan {
    /// A record of cells, or with no delimiter a line of text.
    pub(super) fn new(delimiter: Option<u8>, limits: &Limits) -> Self {
        Self {
            delimiter,
            bytes_max: limits.row_bytes_max as u64,
            lines_max: limits.quoted_lines_max,
            state: State::Start,
            at: 0,
            dropped: 0,
            cell_start: 0,
            doubled: false,
            opened: 0,
            opened_after: 0,
            line_ends: 0,
            after_cr: false,
            malformed: false,
            stray: false,
            too_long: false,
        }
    }

    /// Line ends inside the record so far.
    pub(super) fn line_ends(&self) -> u64 {
        self.line_ends
    }

    /// Text stood behind a closing quote.
    pub(super) fn malformed(&self) -> bool {
        self.malformed
    }

    /// A quote stood inside a cell that does not begin with one.
    pub(super) fn stray(&self) -> bool {
        self.stray
    }

    /// Longer than a row may be. Its cells are not kept.
    pub(super) fn too_long(&self) -> bool {
        self.too_long
    }

    /// Where an unfinished quoted cell opened, as [`Step::Open`] counts.
    pub(super) fn open_quote(&self) -> Option<u64> {
        (self.state == State::Quoted).then_some(self.opened_after)
    }

    /// How many bytes from the front are no longer needed; the next call sees what follows them.
    pub(super) fn take_droppable(&mut self) -> usize {
        if !self.too_long {
            return 0;
        }
        self.dropped += self.at as u64;
        std::mem::take(&mut self.at)
    }

    /// Goes on over the record's bytes in sight.
    pub(super) fn advance(&mut self, sight: Sight<'_>, cells: &mut Vec<Cell>) -> Step {
        while self.at < sight.bytes.len() {
            let step = match self.state {
                State::Start => self.start(sight.bytes[self.at]),
                State::Plain => self.plain(sight, cells),
                State::Quoted => self.quoted(sight.bytes),
                State::Quote => self.behind_quote(sight, cells),
            };
            if let Some(step) = step {
                return step;
            }
        }
        self.check_length(cells);
        match (sight.ended, self.state) {
            (false, _) => Step::More,
            (true, State::Quoted) => Step::Open { after: self.opened_after },
            (true, _) => {
                self.end_cell(cells);
                Step::Done { len: self.at, line_end: 0 }
            }
        }
    }

    /// At the first byte of a cell. Like the states below, `None` where the scan goes on behind it.
    fn start(&mut self, byte: u8) -> Option<Step> {
        if self.delimiter.is_some() && byte == b'"' {
            self.opened = self.dropped + self.at as u64;
            self.opened_after = self.line_ends;
            self.at += 1;
            self.begin_cell(State::Quoted);
        } else {
            self.begin_cell(State::Plain);
        }
        None
    }

    /// In a cell without quotes: goes to its end.
    fn plain(&mut self, sight: Sight<'_>, cells: &mut Vec<Cell>) -> Option<Step> {
        let rest = &sight.bytes[self.at..];
        let found = match self.delimiter {
            Some(delimiter) => memchr3(delimiter, b'\n', b'\r', rest),
            None => memchr2(b'\n', b'\r', rest),
        };
        let cell = &rest[..found.unwrap_or(rest.len())];
        self.stray |= self.delimiter.is_some() && memchr(b'"', cell).is_some();
        self.at += cell.len();
        let byte = *sight.bytes.get(self.at)?;
        self.end_plain(byte, sight, cells)
    }

    /// Inside quotes: goes behind the next quote or line end.
    fn quoted(&mut self, bytes: &[u8]) -> Option<Step> {
        let found = memchr3(b'"', b'\n', b'\r', &bytes[self.at..]);
        let end = found.map_or(bytes.len(), |found| self.at + found);
        if self.dropped + end as u64 - self.opened - 1 > self.bytes_max {
            return Some(Step::Open { after: self.opened_after });
        }
        self.after_cr &= end == self.at;
        self.at = end;
        match *bytes.get(end)? {
            b'"' => self.state = State::Quote,
            line_end => self.count_line_end(line_end),
        }
        self.at += 1;
        (self.line_ends - self.opened_after >= self.lines_max).then_some(Step::Open { after: self.opened_after })
    }

    /// Behind a quote inside quotes: a second one stands for itself, a delimiter or a line end closes the cell, and after anything
    /// else the cell is malformed and goes on as one without quotes.
    fn behind_quote(&mut self, sight: Sight<'_>, cells: &mut Vec<Cell>) -> Option<Step> {
        match sight.bytes[self.at] {
            b'"' => {
                self.doubled = true;
                self.state = State::Quoted;
                self.after_cr = false;
                self.at += 1;
                None
            }
            byte if Some(byte) == self.delimiter || matches!(byte, b'\n' | b'\r') => self.end_plain(byte, sight, cells),
            _ => {
                self.malformed = true;
                self.state = State::Plain;
                None
            }
        }
    }

    fn begin_cell(&mut self, state: State) {
        self.state = state;
        self.cell_start = self.at;
        self.doubled = false;
        self.after_cr = false;
    }

    /// At a delimiter or a line end behind a cell. `None`: the record goes on.
    fn end_plain(&mut self, byte: u8, Sight { bytes, ended }: Sight<'_>, cells: &mut Vec<Cell>) -> Option<Step> {
        let line_end = match byte {
            b'\n' => 1,
            b'\r' if self.at + 1 < bytes.len() => 1 + usize::from(bytes[self.at + 1] == b'\n'),
            b'\r' if ended => 1,
            b'\r' => {
                self.check_length(cells);
                return Some(Step::More);
            }
            _ => {
                self.end_cell(cells);
                self.at += 1;
                self.state = State::Start;
                return None;
            }
        };
        self.check_length(cells);
        self.end_cell(cells);
        Some(Step::Done { len: self.at, line_end })
    }

    fn end_cell(&mut self, cells: &mut Vec<Cell>) {
        if self.too_long {
            return;
        }
        let (start, end) = match self.state {
            State::Start => (self.at, self.at),
            State::Quote => (self.cell_start, self.at - 1),
            State::Plain | State::Quoted => (self.cell_start, self.at),
        };
        cells.push(Cell { start, end, doubled: self.doubled && self.state != State::Start });
    }

    /// CRLF counts once.
    fn count_line_end(&mut self, byte: u8) {
        if !(byte == b'\n' && self.after_cr) {
            self.line_ends += 1;
        }
        self.after_cr = byte == b'\r';
    }

    fn check_length(&mut self, cells: &mut Vec<Cell>) {
        if self.dropped + self.at as u64 > self.bytes_max {
            self.too_long = true;
            cells.clear();
        }
    }
}
