//! One description of every option, from which files are read, values are listed, and unknown keys are found.
//!
//! A section names its options once, each with a [`Slot`] that says what it holds and what is allowed. Reading goes on after
//! a fault, so that one run names all of them. This module does not know any section.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults};
use crate::sftp::read_network;

/// Where an option's value lives, and what may stand there.
pub enum Slot<'a> {
    /// `true` or `false`.
    Flag(&'a mut bool),
    /// A whole number within bounds.
    Number(&'a mut u64, RangeInclusive<u64>),
    /// A text; empty where there is none.
    Text(&'a mut String),
    /// A path; relative ones are relative to the file.
    Path(&'a mut PathBuf),
    /// A file, relative ones are relative to the config; `""` for none.
    File(&'a mut Option<PathBuf>),
    /// Paths of files, each once.
    Paths(&'a mut Vec<PathBuf>),
    /// The name of a column; `""` for none.
    Column(&'a mut Option<String>),
    /// Names of columns.
    Columns(&'a mut Vec<String>),
    /// Addresses with their ports.
    Addresses(&'a mut Vec<SocketAddr>),
    /// Networks, or single addresses.
    Networks(&'a mut Vec<IpNet>),
    /// One of some words.
    Choice {
        /// The words.
        words: &'static [&'static str],
        /// The one that stands.
        now: usize,
        /// Takes another.
        set: &'a mut dyn FnMut(usize),
    },
}

/// What is done with each option of a section.
pub type Visit<'a> = dyn FnMut(&'static str, Slot<'_>) + 'a;

/// A section of a config file.
pub trait Options {
    /// Calls `visit` with each option, in the order of the sample file.
    fn each(&mut self, visit: &mut Visit<'_>);
}

impl Slot<'_> {
    /// The value as it would stand in a file.
    #[must_use]
    pub fn show(&self) -> String {
        let quote = |text: &str| toml_edit::Value::from(text).to_string();
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        match self {
            Self::Flag(value) => value.to_string(),
            Self::Number(value, _) => value.to_string(),
            Self::Text(value) => quote(value),
            Self::Path(value) => quote(&value.to_string_lossy()),
            Self::File(value) => quote(&value.as_deref().unwrap_or(Path::new("")).to_string_lossy()),
            Self::Paths(value) => list(value.iter().map(|path| quote(&path.to_string_lossy())).collect()),
            Self::Column(value) => quote(value.as_deref().unwrap_or("")),
            Self::Columns(value) => list(value.iter().map(|text| quote(text)).collect()),
            Self::Addresses(value) => list(value.iter().map(|address| quote(&address.to_string())).collect()),
            Self::Networks(value) => list(value.iter().map(|net| quote(&network_text(net))).collect()),
            Self::Choice { words, now, .. } => quote(words[*now]),
        }
    }

    /// Takes what the file says, or tells what is wrong with it.
    fn take(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        match self {
            Self::Flag(slot) => **slot = value.as_bool().ok_or_else(|| expected(value, "true or false"))?,
            Self::Number(slot, range) => {
                let (low, high) = (range.start(), range.end());
                let allowed = format!("a whole number from {low} to {high}");
                let number = value.as_integer().ok_or_else(|| expected(value, &allowed))?;
                let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok();
                let fits = parsed.and_then(|n| u64::try_from(n).ok()).filter(|n| range.contains(n));
                **slot = fits.ok_or_else(|| expected(value, &allowed))?;
            }
            Self::Text(slot) => **slot = text(value, 255)?.to_owned(),
            Self::Path(slot) => **slot = path(value)?,
            Self::Paths(slot) => {
                let items = items(value, "a list of files", (PATHS_MAX, "files"))?;
                **slot = items.iter().map(|item| path(item.get_ref())).collect::<Result<_, _>>()?;
            }
            Self::File(slot) => {
                **slot = if text(value, 4096)?.is_empty() { None } else { Some(path(value)?) };
            }
            Self::Column(slot) => {
                let name = text(value, COLUMN_BYTES_MAX)?;
                **slot = if name.is_empty() { None } else { Some(column(name)?) };
            }
            Self::Columns(slot) => {
                let items = items(value, "a list of column names", (COLUMNS_LISTED_MAX, "names"))?;
                **slot = items.iter().map(|item| text(item.get_ref(), COLUMN_BYTES_MAX).and_then(column)).collect::<Result<_, _>>()?;
            }
            Self::Addresses(slot) => {
                let items = value.as_array().ok_or_else(|| expected(value, "a list such as [\"0.0.0.0:2022\"]"))?;
                let listed = items.iter().map(|item| address(text(item.get_ref(), 255)?)).collect::<Result<Vec<_>, _>>()?;
                if listed.is_empty() || listed.len() > ADDRESSES_MAX {
                    return Err(format!("found {} addresses, 1 to {ADDRESSES_MAX} are allowed", listed.len()));
                }
                if let Some((_, again)) = listed.iter().enumerate().find(|(n, one)| listed[..*n].contains(one)) {
                    return Err(format!("\"{again}\" stands twice"));
                }
                **slot = listed;
            }
            Self::Networks(slot) => {
                let items = items(value, "a list such as [\"192.0.2.0/24\"]", (NETWORKS_MAX, "networks"))?;
                **slot = items.iter().map(|item| read_network(text(item.get_ref(), 64)?)).collect::<Result<_, _>>()?;
            }
            Self::Choice { words, set, .. } => {
                let allowed = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
                let word = value.as_str().ok_or_else(|| expected(value, &format!("one of {allowed}")))?;
                let found = words.iter().position(|known| *known == word);
                set(found.ok_or_else(|| format!("found {word:?}, allowed are {allowed}"))?);
            }
        }
        Ok(())
    }
}

/// A file that is being read: its text, and what has been found wrong so far.
pub(super) struct Reading<'a> {
    file: &'a Path,
    text: &'a str,
    broken: Vec<usize>,
    lines: BTreeMap<String, usize>,
    pub(super) faults: Faults,
}

impl<'a> Reading<'a> {
    /// Parses the text. Faults of the syntax are kept, and what stands around them is still read.
    pub(super) fn new(file: &'a Path, text: &'a str) -> (Self, DeTable<'a>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut reading = Self { file, text, broken: Vec::new(), lines: BTreeMap::new(), faults: Faults::default() };
        let mut values = Vec::new();
        spans(table.get_ref(), &mut values);
        let mut told: Vec<usize> = Vec::new();
        for error in errors {
            let at = error.span().map_or(text.len(), |span| span.start);
            let line = reading.line(at);
            // One bracket that is not closed makes every later line of its value look wrong.
            let first = values.iter().find(|span| (span.start..=span.end).contains(&at)).map_or(line, |span| reading.line(span.start));
            reading.broken.extend(first..=line);
            if !told.contains(&first) {
                let what = format!("not TOML: {}", error.message().lines().collect::<Vec<_>>().join(", "));
                reading.faults.push(Fault { file: file.to_owned(), line: Some(line), key: String::new(), what });
                told.push(first);
            }
        }
        (reading, table.into_inner())
    }

    /// Whether the text is TOML at all. Where it is not, a missing key may only be hidden by the break.
    pub(super) fn whole(&self) -> bool {
        self.broken.is_empty()
    }

    /// Notes a fault at an offset of the text, unless its line is broken anyway.
    pub(super) fn fault(&mut self, offset: usize, key: &str, what: impl Into<String>) {
        let line = self.line(offset);
        if !self.broken.contains(&line) {
            self.faults.push(Fault { file: self.file.to_owned(), line: Some(line), key: key.to_owned(), what: what.into() });
        }
    }

    /// Notes a fault of a key that was read, or of its absence.
    pub(super) fn fault_of(&mut self, key: &str, what: impl Into<String>) {
        let line = self.lines.get(key).copied();
        self.faults.push(Fault { file: self.file.to_owned(), line, key: key.to_owned(), what: what.into() });
    }

    /// Whether the text sets a key that was read.
    pub(super) fn sets(&self, key: &str) -> bool {
        self.lines.contains_key(key)
    }

    /// Reads a section's options from its table. `others` are keys that belong there and are read elsewhere.
    /// Answers the keys that the file sets.
    pub(super) fn section(
        &mut self,
        prefix: &str,
        table: &DeTable<'_>,
        options: &mut dyn Options,
        others: &[&'static str],
    ) -> Vec<&'static str> {
        let mut known: Vec<&'static str> = others.to_vec();
        let mut own = Vec::new();
        options.each(&mut |key, mut slot| {
            known.push(key);
            let Some((at, value)) = table.iter().find(|(name, _)| name.get_ref() == key) else { return };
            own.push(key);
            let path = dotted(prefix, key);
            self.lines.insert(path.clone(), self.line(at.span().start));
            if let Err(what) = slot.take(value.get_ref()) {
                self.fault(value.span().start, &path, what);
            }
        });
        for (name, _) in table.iter().filter(|(name, _)| !known.contains(&name.get_ref().as_ref())) {
            let what = match nearest(name.get_ref(), &known) {
                Some(near) => format!("unknown option; did you mean \"{near}\"?"),
                None => "unknown option".to_owned(),
            };
            let path = dotted(prefix, &name.get_ref().escape_debug().to_string());
            self.fault(name.span().start, &path, what);
        }
        own
    }

    /// A sub-table of a table: `[name]`.
    pub(super) fn table<'t>(&mut self, table: &'t DeTable<'a>, name: &str) -> Option<&'t DeTable<'a>> {
        let value = get(table, name)?;
        let inner = value.get_ref().as_table();
        if inner.is_none() {
            self.fault(value.span().start, name, expected(value.get_ref(), &format!("a section, [{name}]")));
        }
        inner
    }

    fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        1 + self.text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count()
    }
}

/// Where each value stands in the text.
fn spans(table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
    for value in table.values() {
        match value.get_ref() {
            DeValue::Table(inner) => spans(inner, found),
            _ => found.push(value.span()),
        }
    }
}

/// The value of a key.
pub(super) fn get<'t, 'a>(table: &'t DeTable<'a>, name: &str) -> Option<&'t Spanned<DeValue<'a>>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}

/// What was found, and what is allowed.
pub(super) fn expected(value: &DeValue<'_>, allowed: &str) -> String {
    let found = match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    format!("found {}, expected {allowed}", found.chars().take(FOUND_CHARS_MAX).collect::<String>())
}

/// The known word that a misspelt one was probably meant to be.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', ' ', '.'], "_");
    let wanted = plain(word);
    if wanted.len() > FOUND_CHARS_MAX {
        return None;
    }
    let (far, near) = known.iter().map(|known| (distance(&wanted, &plain(known)), *known)).min()?;
    (far <= 2 && far * 2 < wanted.len().max(3) || near.starts_with(&wanted) && wanted.len() > 3).then_some(near)
}

/// Levenshtein's distance, by bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

fn dotted(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// The items of a list; `what` is the word for several of them.
fn items<'v, 'a>(value: &'v DeValue<'a>, allowed: &str, (most, what): (usize, &str)) -> Result<&'v [Spanned<DeValue<'a>>], String> {
    let items = value.as_array().ok_or_else(|| expected(value, allowed))?;
    if items.len() > most {
        return Err(format!("found {} {what}, at most {most} are allowed", items.len()));
    }
    Ok(items)
}

fn text<'v>(value: &'v DeValue<'_>, bytes_max: usize) -> Result<&'v str, String> {
    let text = value.as_str().ok_or_else(|| expected(value, "a text in quotes"))?;
    if text.len() > bytes_max {
        return Err(format!("found {} bytes, at most {bytes_max} are allowed", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("found a control character".to_owned());
    }
    Ok(text)
}

fn path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    let path = text(value, 4096)?;
    if path.is_empty() {
        return Err("found an empty path".into());
    }
    if path.starts_with('~') {
        return Err(format!("found {path:?}, but \"~\" is not expanded here; write the whole path"));
    }
    Ok(PathBuf::from(path))
}

fn column(name: &str) -> Result<String, String> {
    match name {
        "" => Err("found an empty column name".to_owned()),
        _ if COLUMNS_OF_OURS.contains(&name) => Err(format!("found {name:?}, which has its own meaning in a list")),
        _ => Ok(name.to_owned()),
    }
}

/// Reads an address with its port, as in `sftp.listen`.
///
/// # Errors
/// What was found, and what to write.
pub fn read_listen(text: &str) -> Result<SocketAddr, String> {
    address(text)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match text.rsplit_once(':') {
        _ if bare.parse::<std::net::IpAddr>().is_ok() => Err(format!("{text:?} has no port; write it as \"{}\"", with_port(bare))),
        None => Err(format!("{text:?} has no port; write ADDRESS:PORT, such as \"0.0.0.0:2022\"")),
        Some((_, port)) if port.parse::<u16>().is_err() => Err(format!("{text:?} has no port from 0 to 65535")),
        Some((host, _)) => {
            Err(format!("{text:?}: {host:?} is a name; write the numeric address, such as \"0.0.0.0:2022\" or \"[::]:2022\""))
        }
    }
}

/// A network as it is written; one of a single address is that address.
fn network_text(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn with_port(bare: &str) -> String {
    if bare.contains(':') { format!("[{bare}]:2022") } else { format!("{bare}:2022") }
}

/// Longest column name in a config file, in bytes.
const COLUMN_BYTES_MAX: usize = 200;

/// Most column names in one option.
const COLUMNS_LISTED_MAX: usize = 50;

/// Most files in one option.
const PATHS_MAX: usize = 8;

/// Most networks in one option.
const NETWORKS_MAX: usize = 1_000;

/// Most addresses to listen on.
const ADDRESSES_MAX: usize = 16;

/// Longest quotation of a found value, in characters.
const FOUND_CHARS_MAX: usize = 60;

/// Columns that a list gives a meaning of its own; no alias may take it away.
const COLUMNS_OF_OURS: [&str; 4] = ["accountId", "id", "preserveEmptyAccount", "doNotTrack"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        let known = ["listen", "sessions_max", "idle_seconds_max"];
        let check = |word: &str, expected: Option<&str>| assert_eq!(nearest(word, &known), expected, "{word}");
        check("lisen", Some("listen"));
        check("Listen", Some("listen"));
        check("sessions-max", Some("sessions_max"));
        check("session_max", Some("sessions_max"));
        check("idle_seconds", Some("idle_seconds_max"));
        check("colour", None);
        check("x", None);
    }

    #[test]
    fn says_what_an_address_lacks() {
        let check = |text: &str, expected: &str| assert_eq!(address(text).expect_err(text), expected);
        check("0.0.0.0", "\"0.0.0.0\" has no port; write it as \"0.0.0.0:2022\"");
        check("::", "\"::\" has no port; write it as \"[::]:2022\"");
        check("2022", "\"2022\" has no port; write ADDRESS:PORT, such as \"0.0.0.0:2022\"");
        check("0.0.0.0:99999", "\"0.0.0.0:99999\" has no port from 0 to 65535");
        check(
            "localhost:2022",
            "\"localhost:2022\": \"localhost\" is a name; write the numeric address, such as \"0.0.0.0:2022\" or \"[::]:2022\"",
        );
        assert!(address("[::]:2022").is_ok());
    }
}
