//! Random lists: the bytes of a file beside what each of its rows means, written down while they are written.

use proptest::prelude::*;

use crate::domain::Format;
use crate::records::Reading;

/// A file as it was drawn.
#[derive(Clone, Debug)]
pub(super) struct ListDraw {
    rows: Vec<RowDraw>,
    json: bool,
    by_pair: bool,
    delimiter: u8,
    line_end: u8,
    mark: bool,
    /// 0 the last row ends in a line end, 1 it has none, 2 it is cut.
    end: u8,
    /// In which row an upload was resumed.
    seam: Option<u8>,
    vouched: bool,
}

#[derive(Clone, Debug)]
struct RowDraw {
    who: (u8, u8),
    style: u8,
    /// Which kind of bad row; none from [`BAD`] on.
    bad: u8,
    keep: Option<bool>,
    dnt: Option<bool>,
    two_lines: bool,
}

/// Kinds of bad rows, from 0; the blank row is among them.
const BAD: u8 = 11;

/// A file, and what it says.
pub(super) struct List {
    pub(super) bytes: Vec<u8>,
    pub(super) reading: Reading,
    pub(super) rows: Vec<Meant>,
}

/// A row that is not blank.
#[derive(Clone, Debug)]
pub(super) struct Meant {
    pub(super) line: u64,
    /// Whom it names and what it wants, or why it is bad.
    pub(super) says: Result<Wish, &'static str>,
}

#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// `e1@x.example`, or `a1/u2`.
    pub(super) who: String,
    pub(super) keep: Option<bool>,
    pub(super) dnt: Option<bool>,
}

pub(super) fn list() -> impl Strategy<Value = ListDraw> {
    let flag = || prop_oneof![4 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))];
    let bad = prop_oneof![3 => Just(BAD), 1 => 0..BAD];
    let row = ((0..6_u8, 0..4_u8), 0..4_u8, bad, flag(), flag(), prop::bool::weighted(0.1));
    let row = row.prop_map(|(who, style, bad, keep, dnt, two_lines)| RowDraw { who, style, bad, keep, dnt, two_lines });
    let form = (any::<bool>(), any::<bool>(), 0..4_u8, 0..3_u8, prop::bool::weighted(0.2));
    let end = (prop_oneof![4 => Just(0_u8), 1 => 1..3_u8], prop::option::weighted(0.15, 0..14_u8), prop::bool::weighted(0.1));
    (prop_oneof![1 => prop::collection::vec(row.clone(), 0..3), 9 => prop::collection::vec(row, 3..14)], form, end).prop_map(
        |(rows, (json, by_pair, delimiter, line_end, mark), (end, seam, vouched))| ListDraw {
            rows,
            json,
            by_pair,
            delimiter,
            line_end,
            mark,
            end,
            seam,
            vouched,
        },
    )
}

/// Most bytes of a row in these files.
const ROW_BYTES_MAX: usize = 2_048;

impl ListDraw {
    /// Writes the file. `pairs` and `addresses`: by what the schema names people; `numbers`: its ids are numbers.
    pub(super) fn write(&self, addresses: bool, pairs: bool, numbers: bool) -> List {
        let by_pair = pairs && (self.by_pair || !addresses);
        let solid = |row: &RowDraw| row.bad != BLANK;
        // An empty JSON list is refused as a whole, and its first row settles what its keys mean.
        let first = self.rows.iter().position(solid);
        let json = self.json && first.is_some();
        let line_end = if json { "\n" } else { ["\n", "\r\n", "\r"][usize::from(self.line_end)] };
        let seam = self.seam.map(usize::from).filter(|at| self.rows.get(*at).is_some_and(solid));
        // A row that an upload was resumed in settles nothing: the next does.
        let settles = (0..self.rows.len()).find(|at| solid(&self.rows[*at]) && seam != Some(*at));
        let mut reading = Reading::new(if json { Format::Jsonl } else { Format::Csv });
        reading.limits.row_bytes_max = ROW_BYTES_MAX;
        reading.vouched = self.vouched;
        let writer = Writer { by_pair, numbers, delimiter: [b',', b';', b'\t', b'|'][usize::from(self.delimiter)], line_end };
        let mut bytes = if self.mark { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        let mut line = 1;
        if !json {
            bytes.extend(writer.header());
            line += 1;
        }
        let (mut rows, last) = (Vec::new(), self.rows.len().saturating_sub(1));
        for (at, row) in self.rows.iter().enumerate() {
            let mut row = row.clone();
            row.two_lines &= json || row.bad != LONG && row.bad != QUOTE;
            // Quotes behind a seam are a matter of the whole file.
            if seam.is_some() {
                (row.two_lines, row.bad) = (false, if row.bad == QUOTE && !json { 0 } else { row.bad });
            }
            if json && [first, settles].contains(&Some(at)) {
                row.bad = BAD;
            }
            let (mut text, mut says) = if json { writer.object(&row) } else { writer.record(&row) };
            let start = bytes.len() as u64;
            let lines = 1 + if row.two_lines && !json && row.bad != BLANK { 1 } else { 0 };
            // The only row of a file that may be cut is a matter of the whole file, too.
            let cut = at == last && self.end > 0 && !rows.is_empty() && solid(&row);
            if cut && json && self.end == 2 && says.is_ok() {
                text.pop();
                says = Err("unterminated_last_row");
            } else if cut && !json && !self.vouched {
                says = Err("unterminated_last_row");
            }
            bytes.extend(&text);
            if !cut {
                bytes.extend(line_end.as_bytes());
            }
            if seam == Some(at) {
                reading.seams.push(start + 1);
                if !self.vouched {
                    says = Err("resumed_here");
                }
            }
            if solid(&row) {
                rows.push(Meant { line, says });
            }
            line += lines;
        }
        List { bytes, reading, rows }
    }
}

/// These matter for what is around them.
const LONG: u8 = 5;
const BLANK: u8 = 6;
const QUOTE: u8 = 8;

struct Writer {
    by_pair: bool,
    numbers: bool,
    delimiter: u8,
    line_end: &'static str,
}

impl Writer {
    fn header(&self) -> Vec<u8> {
        let names: &[&str] = if self.by_pair { &["accountId", "id"] } else { &["Customer Email"] };
        let cells = ["note"].iter().chain(names).chain(&["preserveEmptyAccount", "doNotTrack"]);
        let cells: Vec<_> = cells.map(|cell| cell.as_bytes()).collect();
        [&cells.join(&self.delimiter), self.line_end.as_bytes()].concat()
    }

    /// As it stands in the file, and in its normal form.
    fn who(&self, row: &RowDraw) -> (Vec<String>, String) {
        let (one, two) = row.who;
        if self.by_pair {
            // Ids compare byte for byte: a capital is somebody else.
            let account = if row.style == 3 { format!("A{one}") } else { format!("a{one}") };
            let id = if self.numbers { format!("{two}") } else { format!("u{two}") };
            let name = format!("{account}/{id}");
            return (vec![account, id], name);
        }
        let name = format!("e{one}@x.example");
        let written = [name.clone(), format!("E{one}@X.Example"), format!("  {name} "), name.to_uppercase()];
        (vec![written[usize::from(row.style)].clone()], name)
    }

    fn record(&self, row: &RowDraw) -> (Vec<u8>, Result<Wish, &'static str>) {
        let (mut subject, name) = self.who(row);
        let last = subject.len() - 1;
        let flag = |on: Option<bool>| match on {
            None => String::new(),
            Some(on) if row.style == 1 => on.to_string().to_uppercase(),
            Some(on) => on.to_string(),
        };
        let mut note = "n".to_owned();
        if row.two_lines {
            note = format!("\"one{}\"\"two\"\"\"", self.line_end);
        }
        let (mut flags, mut why) = ([flag(row.keep), flag(row.dnt)], None);
        let mut more = None;
        match row.bad {
            0 if self.by_pair => (subject[last], why) = (format!("{} ", subject[last]), Some("space_at_end")),
            0 => (subject[last], why) = ("not-an-address".into(), Some("email_malformed")),
            1 => (subject[last], why) = (String::new(), Some("missing")),
            2 => (flags[usize::from(row.style) % 2], why) = ("yes".into(), Some("flag_malformed")),
            3 => why = Some("too_few_cells"),
            4 => (more, why) = (Some("x".to_owned()), Some("too_many_cells")),
            LONG => (note, why) = ("x".repeat(ROW_BYTES_MAX), Some("row_too_long")),
            BLANK => return (Vec::new(), Err("blank")),
            7 => (subject[last], why) = (format!("{}\u{1}z", subject[last]), Some("control_character")),
            QUOTE => (note, why) = ("\"n\"x".into(), Some("quote_malformed")),
            9 if self.by_pair => (subject[last], why) = ("x".repeat(1_025), Some("value_too_long")),
            9 => (subject[last], why) = ("e1@x.example e2@x.example".into(), Some("email_malformed")),
            10 => (subject[last], why) = ("\u{fffd}".into(), Some("not_text")),
            _ => {}
        }
        let cells = std::iter::once(note).chain(subject).chain(flags).chain(more);
        let mut cells: Vec<_> = cells.map(String::into_bytes).collect();
        if row.bad == 3 {
            cells.pop();
        }
        if row.bad == 10 {
            cells[1 + last] = b"e1\xff@x.example".to_vec();
        }
        (cells.join(&self.delimiter), why.map_or(Ok(Wish { who: name, keep: row.keep, dnt: row.dnt }), Err))
    }

    fn object(&self, row: &RowDraw) -> (Vec<u8>, Result<Wish, &'static str>) {
        let (subject, name) = self.who(row);
        let quoted = |text: &String| format!("\"{text}\"");
        let keys: &[&str] = if self.by_pair { &["accountId", "id"] } else { &["Customer Email"] };
        let mut values: Vec<_> = subject.iter().map(quoted).collect();
        let last = values.len() - 1;
        if self.by_pair && self.numbers && row.style == 2 {
            values[last].clone_from(&subject[last]);
        }
        let mut why = None;
        let mut more: Vec<(String, String)> = Vec::new();
        let flags = [("preserveEmptyAccount", row.keep), ("doNotTrack", row.dnt)];
        for (key, on) in flags {
            match on {
                None if row.style == 0 => {}
                None => more.push((key.into(), "null".into())),
                Some(on) => more.push((key.into(), on.to_string())),
            }
        }
        match row.bad {
            0 if self.by_pair => (values[last], why) = ("\" u1\"".into(), Some("space_at_end")),
            0 => (values[last], why) = ("\"@x.example\"".into(), Some("email_malformed")),
            1 => (values[last], why) = ("null".into(), Some("missing")),
            2 => {
                more = vec![("doNotTrack".into(), "\"true\"".into())];
                why = Some("json_wrong_type");
            }
            3 => return (b"{\"id\":1,,}".to_vec(), Err("json_malformed")),
            4 => {
                more.push((keys[last].into(), values[last].clone()));
                why = Some("json_duplicate_key");
            }
            LONG => {
                more.push(("note".into(), format!("\"{}\"", "x".repeat(ROW_BYTES_MAX))));
                why = Some("row_too_long");
            }
            BLANK => return (b"  ".to_vec(), Err("blank")),
            7 => (values[last], why) = ("\"e1\\u0001@x.example\"".into(), Some("control_character")),
            8 => {
                more = vec![("doNottrack".into(), "true".into())];
                why = Some("near_miss_key");
            }
            9 => {
                let others: &[&str] = if self.by_pair { &["Customer Email"] } else { &["accountId", "id"] };
                more.extend(others.iter().map(|key| ((*key).to_owned(), "\"x\"".to_owned())));
                why = Some("two_subjects");
            }
            10 => (values[last], why) = ("[1]".into(), Some("json_wrong_type")),
            _ => {}
        }
        let pairs = std::iter::zip(keys, values).map(|(key, value)| ((*key).to_owned(), value)).chain(more);
        let members: Vec<_> = pairs.map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let text = format!("{{{}}}", members.join(","));
        (text.into_bytes(), why.map_or(Ok(Wish { who: name, keep: row.keep, dnt: row.dnt }), Err))
    }
}
