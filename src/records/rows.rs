//! Rows that name subjects, out of cells or objects.

use std::io::Read;

use crate::domain::{Dialect, Email, Flags, Format, Reason, Rejection, RowError, SubjectKey, SubjectKind};

use super::columns::{ACCOUNT, Columns, DO_NOT_TRACK, ID, ID_BYTES_MAX, Naming, PRESERVE, check_id};
use super::cut::{Cut, resumed_in_quotes, unterminated_only_row};
use super::names::{Names, Noun};
use super::objects::{Objects, Value};
use super::sheet::{Sheet, empty_list, not_text};
use super::window::Window;
use super::{Echo, Limits, ReadError, Reading, Row};

/// The rows of a file that are not blank, in order. Yields `Err` once, and then ends.
pub struct Rows<R> {
    body: Body<R>,
    limits: Limits,
    read: u64,
    ended: bool,
}

enum Body<R> {
    Csv(Csv<R>),
    Jsonl(Jsonl<R>),
}

struct Csv<R> {
    sheet: Sheet<R>,
    names: Names,
    columns: Columns,
    naming: Naming,
    cut: Cut,
    begun: bool,
    /// Where a quoted cell last did not end as it should.
    malformed: Option<u64>,
    /// Lines that a quoted cell can have.
    quoted_lines_max: u64,
}

struct Jsonl<R> {
    objects: Objects<R, Value>,
    columns: Columns,
    /// Settled by the first object.
    naming: Option<Naming>,
    cut: Cut,
    /// Read ahead, so that a file of the wrong kind is refused before its first row is asked for.
    first: Option<Row>,
}

impl<R: Read> Rows<R> {
    pub(super) fn open(input: R, reading: &Reading) -> Result<Self, ReadError> {
        let window = Window::open(input)?;
        let columns = Columns::new(reading);
        columns.0.refuse_unknown_targets()?;
        let (limits, cut) = (reading.limits, Cut::new(reading));
        let body = match reading.format {
            Format::Csv => Body::Csv(Csv::open(window, columns, limits, cut)?),
            Format::Jsonl => Body::Jsonl(Jsonl::open(window, columns, limits, cut)?),
        };
        Ok(Self { body, limits, read: 0, ended: false })
    }

    fn step(&mut self) -> Result<Option<Row>, ReadError> {
        let row = match &mut self.body {
            Body::Csv(csv) => csv.next()?,
            Body::Jsonl(jsonl) => jsonl.next()?,
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

    /// The dialect. `None`: JSON lines without a readable object so far.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        let csv = matches!(self.body, Body::Csv(_));
        Some(match (self.kind()?, csv) {
            (SubjectKind::Email, true) => Dialect::EmailCsv,
            (SubjectKind::Email, false) => Dialect::EmailJsonl,
            (SubjectKind::Pair, true) => Dialect::ParticipantCsv,
            (SubjectKind::Pair, false) => Dialect::ParticipantJsonl,
        })
    }

    /// How the file names its subjects, once that is known.
    #[must_use]
    pub fn kind(&self) -> Option<SubjectKind> {
        match &self.body {
            Body::Csv(csv) => Some(csv.naming.kind()),
            Body::Jsonl(jsonl) => jsonl.naming.map(Naming::kind),
        }
    }

    /// Lines that ended so far, and the one begun; blank ones, and those inside quotes, included.
    #[must_use]
    pub fn line(&self) -> u64 {
        match &self.body {
            Body::Csv(csv) => csv.sheet.line(),
            Body::Jsonl(jsonl) => jsonl.objects.line(),
        }
    }

    /// Rows yielded so far.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.read
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.step().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

impl<R: Read> Csv<R> {
    fn open(window: Window<R>, (names, columns): (Names, Columns), limits: Limits, cut: Cut) -> Result<Self, ReadError> {
        let sheet = Sheet::open(window, &names, limits, &cut)?;
        names.refuse_unmapped(sheet.header()).map_err(|rejection| rejection.at(sheet.header_line()))?;
        let naming = match columns.judge(sheet.present()) {
            Ok(naming) => naming,
            Err(_) if !sheet.header_is_text() => return Err(not_text("its header is not UTF-8").at(sheet.header_line()).into()),
            Err(unnamed) => {
                let header: Vec<&str> = sheet.header().collect();
                return Err(Columns::refusal(&names, unnamed, &header, Noun::Column).at(sheet.header_line()).into());
            }
        };
        let twice = sheet.refuse_twice(&names, |index| columns.counts(index, naming));
        twice.map_err(|rejection| rejection.at(sheet.header_line()))?;
        Ok(Self { sheet, names, columns, naming, cut, begun: false, malformed: None, quoted_lines_max: limits.quoted_lines_max })
    }

    fn next(&mut self) -> Result<Option<Row>, ReadError> {
        let Some(row) = self.sheet.next()? else { return Ok(None) };
        let cut = !row.terminated && !self.cut.accepts_unterminated();
        if cut && !self.begun {
            return Err(unterminated_only_row(row.line).into());
        }
        self.begun = true;
        let resumed = self.cut.resumed_in(&row.stored);
        if resumed && row.folded || self.cut.resumed_before(row.stored.end) && (row.stray || row.fault == Some(Reason::QuoteMalformed)) {
            return Err(resumed_in_quotes(row.line).into());
        }
        if row.fault == Some(Reason::QuoteMalformed) {
            self.malformed = Some(row.line);
        } else if row.stray
            && let Some(before) = self.malformed.filter(|before| row.line - before <= self.quoted_lines_max)
        {
            return Err(rows_in_quotes(before, row.line).into());
        }
        let whole = |reason| RowError { column: None, reason };
        let fault = if resumed {
            Some(Reason::ResumedHere)
        } else if cut {
            Some(Reason::UnterminatedLastRow)
        } else {
            row.fault
        };
        if let Some(reason) = fault {
            return Ok(Some(Row { line: row.line, subject: Err(whole(reason)), flags: Flags::default(), echo: Echo::default() }));
        }
        let (subject, flags) = match self.subject().and_then(|subject| Ok((subject, self.flags()?))) {
            Ok((subject, flags)) => (Ok(subject), flags),
            Err(error) => (Err(error), Flags::default()),
        };
        Ok(Some(Row { line: row.line, subject, flags, echo: self.echo() }))
    }

    fn subject(&self) -> Result<SubjectKey, RowError> {
        match self.naming {
            Naming::Pair => Ok(SubjectKey::Pair { account: self.id(ACCOUNT)?, id: self.id(ID)? }),
            Naming::Email(index) => {
                let value = self.sheet.value(&self.names, index)?.unwrap_or_default();
                email(&value).map(SubjectKey::Email).map_err(|reason| self.sheet.error(&self.names, index, reason))
            }
        }
    }

    fn id(&self, index: usize) -> Result<String, RowError> {
        let value = self.sheet.value(&self.names, index)?.unwrap_or_default();
        check_id(&value).map_err(|reason| self.sheet.error(&self.names, index, reason))?;
        Ok(value.into_owned())
    }

    fn flags(&self) -> Result<Flags, RowError> {
        Ok(Flags { preserve_empty_account: self.flag(PRESERVE)?, do_not_track: self.flag(DO_NOT_TRACK)? })
    }

    fn flag(&self, index: usize) -> Result<Option<bool>, RowError> {
        let value = self.sheet.value(&self.names, index)?.unwrap_or_default();
        match value.trim() {
            "" => Ok(None),
            word if word.eq_ignore_ascii_case("true") => Ok(Some(true)),
            word if word.eq_ignore_ascii_case("false") => Ok(Some(false)),
            _ => Err(self.sheet.error(&self.names, index, Reason::FlagMalformed)),
        }
    }

    fn echo(&self) -> Echo {
        let cell = |index| self.sheet.cell(index).map(|cell| shorten(&String::from_utf8_lossy(&cell))).unwrap_or_default();
        Echo { account_id: cell(ACCOUNT), id: cell(ID), request_id: self.columns.request_id.map(cell).unwrap_or_default() }
    }
}

impl<R: Read> Jsonl<R> {
    fn open(window: Window<R>, (names, columns): (Names, Columns), limits: Limits, cut: Cut) -> Result<Self, ReadError> {
        let objects = Objects::open(window, names, limits)?;
        let mut jsonl = Self { objects, columns, naming: None, cut, first: None };
        jsonl.first = jsonl.read()?;
        Ok(jsonl)
    }

    fn next(&mut self) -> Result<Option<Row>, ReadError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        self.read()
    }

    fn read(&mut self) -> Result<Option<Row>, ReadError> {
        let Some(row) = self.objects.next()? else {
            let sound = self.objects.begun() || self.cut.is_vouched();
            return if sound { Ok(None) } else { Err(empty_list().into()) };
        };
        let resumed = self.cut.resumed_in(&row.stored).then_some(Reason::ResumedHere);
        if let Some(reason) = resumed.or(row.fault) {
            let subject = Err(RowError { column: None, reason });
            return Ok(Some(Row { line: row.line, subject, flags: Flags::default(), echo: Echo::default() }));
        }
        if self.naming.is_none() {
            self.naming = Some(self.settle().map_err(|rejection| rejection.at(row.line))?);
        }
        let (subject, flags) = match self.subject().and_then(|subject| Ok((subject, self.flags()?))) {
            Ok((subject, flags)) => (Ok(subject), flags),
            Err(error) => (Err(error), Flags::default()),
        };
        Ok(Some(Row { line: row.line, subject, flags, echo: self.echo() }))
    }

    /// The first object is the header of the file.
    fn settle(&self) -> Result<Naming, Rejection> {
        if let Some((found, index)) = self.objects.near_miss() {
            return Err(self.objects.names().near_miss(found, index, Noun::Key));
        }
        let object = &self.objects.object;
        self.columns.judge(&object.present).map_err(|unnamed| {
            let keys: Vec<&str> = object.keys.iter().map(String::as_str).collect();
            Columns::refusal(self.objects.names(), unnamed, &keys, Noun::Key)
        })
    }

    fn subject(&self) -> Result<SubjectKey, RowError> {
        let naming = self.naming.unwrap_or(Naming::Pair);
        if let Some((found, index)) = self.objects.near_miss() {
            let column = Some(self.objects.names().label(Some(found), index));
            return Err(RowError { column, reason: Reason::NearMissKey });
        }
        if let Some(index) = self.objects.object.twice.filter(|index| self.columns.counts(*index, naming)) {
            return Err(self.objects.error(index, Reason::JsonDuplicateKey));
        }
        if !self.columns.agrees(&self.objects.object.present, naming) {
            return Err(RowError { column: None, reason: Reason::TwoSubjects });
        }
        match naming {
            Naming::Pair => Ok(SubjectKey::Pair { account: self.id(ACCOUNT)?, id: self.id(ID)? }),
            Naming::Email(index) => {
                let parsed = match self.value(index) {
                    Value::Text(text) => email(text),
                    Value::Null => Err(Reason::Missing),
                    Value::Bool(_) | Value::Whole(_) | Value::Other => Err(Reason::JsonWrongType),
                };
                parsed.map(SubjectKey::Email).map_err(|reason| self.objects.error(index, reason))
            }
        }
    }

    fn id(&self, index: usize) -> Result<String, RowError> {
        let checked = match self.value(index) {
            Value::Text(text) | Value::Whole(text) => check_id(text).map(|()| text.clone()),
            Value::Null => Err(Reason::Missing),
            Value::Bool(_) | Value::Other => Err(Reason::JsonWrongType),
        };
        checked.map_err(|reason| self.objects.error(index, reason))
    }

    fn flags(&self) -> Result<Flags, RowError> {
        Ok(Flags { preserve_empty_account: self.flag(PRESERVE)?, do_not_track: self.flag(DO_NOT_TRACK)? })
    }

    fn flag(&self, index: usize) -> Result<Option<bool>, RowError> {
        match self.value(index) {
            Value::Null => Ok(None),
            Value::Bool(value) => Ok(Some(*value)),
            Value::Whole(_) | Value::Text(_) | Value::Other => Err(self.objects.error(index, Reason::JsonWrongType)),
        }
    }

    fn echo(&self) -> Echo {
        let text = |index| match self.value(index) {
            Value::Text(text) | Value::Whole(text) => shorten(text),
            Value::Null | Value::Bool(_) | Value::Other => String::new(),
        };
        Echo { account_id: text(ACCOUNT), id: text(ID), request_id: self.columns.request_id.map(text).unwrap_or_default() }
    }

    fn value(&self, index: usize) -> &Value {
        self.objects.object.values[index].as_ref().unwrap_or(&Value::Null)
    }
}

fn email(text: &str) -> Result<Email, Reason> {
    if text.trim().is_empty() {
        return Err(Reason::Missing);
    }
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Reason::NotText);
    }
    if text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return Err(Reason::ControlCharacter);
    }
    Email::parse(text).map_err(|_| Reason::EmailMalformed)
}

/// The refusal where rows may be lines of a quoted cell: the cell's quotes are not doubled, and one stands behind it that opens nothing.
fn rows_in_quotes(before: u64, line: u64) -> Rejection {
    let message = format!(
        "text after a closing quote on line {before}, and on line {line} a quote in a cell that does not begin with one, so what stands \
         between them may be rows or the text of one cell; double each quote inside a quoted cell"
    );
    Rejection::new("quote_malformed", message).at(before)
}

/// At most as much as an id may have.
fn shorten(text: &str) -> String {
    text[..text.floor_char_boundary(ID_BYTES_MAX)].to_owned()
}

#[cfg(test)]
impl<R: Read> Rows<R> {
    /// How large the window has grown.
    pub(super) fn window_bytes(&self) -> usize {
        match &self.body {
            Body::Csv(csv) => csv.sheet.window_bytes(),
            Body::Jsonl(_) => 0,
        }
    }
}
