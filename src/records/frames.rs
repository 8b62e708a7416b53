//! Records of a file one after the other: where each starts, ends, and whether its line end is there.
//!
//! A record that is too long is passed over and named; a quote that does not close ends the file. What cells mean is not known here.

use std::borrow::Cow;
use std::io::{self, Read};
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2};

use crate::domain::{Reason, Rejection};

use super::scan::{Cell, Scan, Step};
use super::window::{Sight, Window};
use super::{Limits, ReadError};

/// The records of a file.
pub(super) struct Frames<R> {
    window: Window<R>,
    delimiter: Option<u8>,
    limits: Limits,
    /// The line on which the next record starts.
    line: u64,
    /// Bytes of the record that was given last: dropped when the next is asked for.
    passed: usize,
    cells: Vec<Cell>,
}

/// One record; its bytes are in sight until the next is asked for.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// 1-based.
    pub(super) line: u64,
    /// Where it stands in the stored file, its line end included.
    pub(super) stored: Range<u64>,
    /// Without its line end; 0 where it was too long.
    pub(super) len: usize,
    /// Whether its line end is there.
    pub(super) terminated: bool,
    /// [`Reason::RowTooLong`] or [`Reason::QuoteMalformed`].
    pub(super) fault: Option<Reason>,
    /// A quote stands where quotes say nothing.
    pub(super) stray: bool,
    /// It runs over more than one line.
    pub(super) folded: bool,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(window: Window<R>, limits: Limits) -> Self {
        Self { window, delimiter: None, limits, line: 1, passed: 0, cells: Vec::new() }
    }

    /// From now on records are of cells between these.
    pub(super) fn split_at(&mut self, delimiter: u8) {
        self.delimiter = Some(delimiter);
    }

    /// The first `len` bytes from the next record on, fewer where the input ends.
    pub(super) fn peek(&mut self, len: usize) -> io::Result<Sight<'_>> {
        self.pass();
        self.window.fill_to(len)?;
        let Sight { bytes, ended } = self.window.sight();
        Ok(Sight { bytes: &bytes[..bytes.len().min(len)], ended: ended && bytes.len() <= len })
    }

    pub(super) fn window(&self) -> &Window<R> {
        &self.window
    }

    /// The line on which the next record starts.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The bytes of the record that was given last.
    pub(super) fn bytes(&self, frame: &Frame) -> &[u8] {
        &self.window.bytes()[..frame.len]
    }

    /// The cells of the record that was given last.
    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// One of those cells, its doubled quotes halved.
    pub(super) fn text(&self, cell: Cell) -> Cow<'_, [u8]> {
        text(self.window.bytes(), cell)
    }

    /// The next record, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        self.pass();
        self.cells.clear();
        let mut seen = 0;
        loop {
            let Sight { bytes, ended } = self.window.sight();
            let Some(len) = memchr2(b'\n', b'\r', &bytes[seen..]).map(|found| seen + found) else {
                if !ended && bytes.len() <= self.limits.row_bytes_max {
                    seen = bytes.len();
                    self.window.fill()?;
                    continue;
                }
                return if bytes.is_empty() { Ok(None) } else { self.scan().map(Some) };
            };
            if bytes[len] == b'\r' && len + 1 == bytes.len() && !ended {
                seen = len;
                self.window.fill()?;
                continue;
            }
            let record = &bytes[..len];
            if len > self.limits.row_bytes_max || self.delimiter.is_some() && memchr(b'"', record).is_some() {
                return self.scan().map(Some);
            }
            if let Some(delimiter) = self.delimiter {
                split(record, delimiter, &mut self.cells);
            }
            let line_end = 1 + usize::from(bytes[len..].starts_with(b"\r\n"));
            return Ok(Some(self.frame(self.window.offset(), len, line_end, 0, None)));
        }
    }

    /// The slow way: quotes, long records, the last record.
    fn scan(&mut self) -> Result<Frame, ReadError> {
        let start = self.window.offset();
        let mut scan = Scan::new(self.delimiter, &self.limits);
        loop {
            match scan.advance(self.window.sight(), &mut self.cells) {
                Step::More => {
                    let len = scan.take_droppable();
                    self.window.drop_front(len);
                    self.window.fill()?;
                }
                Step::Open { after } => return Err(quote_not_closed(self.line + after).into()),
                Step::Done { len, line_end } => {
                    let fault = match (scan.too_long(), scan.malformed()) {
                        (true, _) => Some(Reason::RowTooLong),
                        (false, true) => Some(Reason::QuoteMalformed),
                        (false, false) => None,
                    };
                    let mut frame = self.frame(start, len, line_end, scan.line_ends(), fault);
                    frame.stray = scan.stray() || scan.malformed();
                    if scan.too_long() {
                        frame.len = 0;
                    }
                    return Ok(frame);
                }
            }
        }
    }

    fn frame(&mut self, start: u64, len: usize, line_end: usize, line_ends: u64, fault: Option<Reason>) -> Frame {
        let line = self.line;
        self.line += line_ends + u64::from(line_end > 0);
        self.passed = len + line_end;
        let stored = start..self.window.offset() + self.window.stored(self.passed);
        Frame { line, stored, len, terminated: line_end > 0, fault, stray: false, folded: line_ends > 0 }
    }

    fn pass(&mut self) {
        self.window.drop_front(std::mem::take(&mut self.passed));
    }
}

/// A cell of a record, its doubled quotes halved.
pub(super) fn text(record: &[u8], cell: Cell) -> Cow<'_, [u8]> {
    let bytes = &record[cell.start..cell.end];
    if !cell.doubled {
        return Cow::Borrowed(bytes);
    }
    let mut halved = Vec::with_capacity(bytes.len());
    let mut quote = false;
    for &byte in bytes {
        quote = byte == b'"' && !quote;
        if !quote {
            halved.push(byte);
        }
    }
    Cow::Owned(halved)
}

/// The refusal of a file with a quoted cell that does not end.
pub(super) fn quote_not_closed(line: u64) -> Rejection {
    let message = format!("a quoted cell opens on line {line} and does not close; double each quote inside a quoted cell, and close it");
    Rejection::new("quote_not_closed", message).at(line)
}

/// The cells of a record without quotes.
fn split(record: &[u8], delimiter: u8, cells: &mut Vec<Cell>) {
    let mut start = 0;
    for end in memchr_iter(delimiter, record).chain([record.len()]) {
        cells.push(Cell { start, end, doubled: false });
        start = end + 1;
    }
}
