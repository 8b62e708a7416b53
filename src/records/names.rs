//! Column names: which are known, which are a near miss, and how a message may show them.
//!
//! The exact spelling counts. A name that differs from a known one only in case, spaces, `_`, `-`, a plural or what is invisible (a
//! second byte order mark) is a near miss where the known one is absent: a misspelt `doNotTrack` must not be ignored.

use std::fmt;

use crate::domain::text::is_invisible;
use crate::domain::{Rejection, may_hold_address};

/// Most names that a message lists, and most characters that it shows of each.
pub(super) const SHOWN_NAMES_MAX: usize = 8;
const SHOWN_CHARS_MAX: usize = 40;

/// The known names of a file, by index.
pub(super) struct Names {
    known: Vec<Known>,
    map: Vec<(String, String)>,
    /// Forms of other names that are taken for a near miss of the known name of this index.
    also_near: Vec<(String, usize)>,
}

struct Known {
    name: String,
    form: String,
}

/// What a name in a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// The known name of this index.
    Known(usize),
    /// Nearly the known name of this index.
    Near(usize),
    /// Nothing to us.
    Extra,
}

/// What carries the names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Noun {
    /// A CSV file's header.
    Column,
    /// The first object of JSON lines.
    Key,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Column => "column",
            Self::Key => "key",
        })
    }
}

/// The known names that a header or an object has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Present(Vec<bool>);

impl Names {
    /// Known names in order of index; a name given twice keeps its first index.
    pub(super) fn new<'n>(known: impl IntoIterator<Item = &'n str>, map: Vec<(String, String)>) -> Self {
        let mut names = Self { known: Vec::new(), map, also_near: Vec::new() };
        for name in known {
            if names.index(name).is_none() {
                names.known.push(Known { name: name.to_owned(), form: form(name) });
            }
        }
        names
    }

    /// Takes other names for near misses of known ones: what another kind of file calls the same.
    pub(super) fn with_also_near(mut self, others: &[(&str, &str)]) -> Self {
        self.also_near = others.iter().filter_map(|(other, known)| Some((form(other), self.index(known)?))).collect();
        self
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.known.iter().position(|known| known.name == name)
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The right spelling.
    pub(super) fn name(&self, index: usize) -> &str {
        &self.known[index].name
    }

    /// What a name in the file is, once the operator's map has renamed it.
    pub(super) fn kind(&self, name: &str) -> Kind {
        let name = self.map.iter().find(|(from, _)| from == name).map_or(name, |(_, to)| to);
        if let Some(index) = self.index(name) {
            return Kind::Known(index);
        }
        let form = form(name);
        let also_near = || self.also_near.iter().find(|(other, _)| *other == form).map(|(_, index)| *index);
        self.known.iter().position(|known| known.form == form).or_else(also_near).map_or(Kind::Extra, Kind::Near)
    }

    /// Refuses a map to a name that is not known: its column would be passed over.
    pub(super) fn refuse_unknown_targets(&self) -> Result<(), Rejection> {
        let Some((from, to)) = self.map.iter().find(|(_, to)| self.index(to).is_none()) else { return Ok(()) };
        let known: Vec<_> = self.known.iter().map(|known| quoted(&known.name)).collect();
        let message = format!("{} cannot be read as {}: known are {}", quoted(from), quoted(to), known.join(", "));
        Err(Rejection::new("unknown_column", message))
    }

    /// Refuses a header without a name that is mapped: the column that was meant would be passed over.
    pub(super) fn refuse_unmapped<'n>(&self, header: impl ExactSizeIterator<Item = &'n str> + Clone) -> Result<(), Rejection> {
        let Some((from, to)) = self.map.iter().find(|(from, _)| !header.clone().any(|name| name == from)) else { return Ok(()) };
        let message = format!("no column {} to read as {} (found {})", quoted(from), quoted(to), found(header));
        Err(Rejection::new("missing_column", message))
    }

    /// Whether a near miss of this known name counts: no known name of the same form is there.
    pub(super) fn near_counts(&self, index: usize, present: &Present) -> bool {
        let form = &self.known[index].form;
        !self.known.iter().enumerate().any(|(other, known)| present.has(other) && known.form == *form)
    }

    /// The refusal for a near miss.
    pub(super) fn near_miss(&self, found: &str, index: usize, noun: Noun) -> Rejection {
        Rejection::new("near_miss_column", format!("{noun} {} must be spelt \"{}\"", quoted(found), self.name(index)))
    }

    /// How a row's error names a column: as the file does, unless that could be an address.
    pub(super) fn label(&self, found: Option<&str>, index: usize) -> String {
        found.filter(|name| is_showable(name)).unwrap_or(self.name(index)).to_owned()
    }
}

impl Present {
    pub(super) fn none(names: &Names) -> Self {
        Self(vec![false; names.len()])
    }

    pub(super) fn has(&self, index: usize) -> bool {
        self.0[index]
    }

    /// Says whether the name was there before.
    pub(super) fn insert(&mut self, index: usize) -> bool {
        std::mem::replace(&mut self.0[index], true)
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(false);
    }
}

/// `"mail", "name"`: the names of a header for a message. What could be a person's value, because the header is missing, is not shown.
pub(super) fn found<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    if names.len() == 0 {
        return "none".to_owned();
    }
    let more = names.len().saturating_sub(SHOWN_NAMES_MAX);
    let mut shown: Vec<String> = names.take(SHOWN_NAMES_MAX).map(quoted).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

/// Whether names are a person's values rather: a list without its header. None of them could be shown.
pub(super) fn are_values(names: &[&str]) -> bool {
    !names.is_empty() && !names.iter().any(|name| is_showable(name)) || names.iter().any(|name| may_hold_address(name))
}

/// A name in quotes, escaped and cut.
fn quoted(name: &str) -> String {
    if !is_showable(name) {
        return "a name not shown".to_owned();
    }
    let cut: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    let dots = if cut.len() < name.len() { "…" } else { "" };
    format!("\"{}{dots}\"", cut.escape_debug())
}

/// Letters and what joins words. A header that is data in truth could hold addresses and ids: they have `@` or digits.
fn is_showable(name: &str) -> bool {
    name.chars().all(|c| {
        c.is_alphabetic() || c.is_whitespace() || is_invisible(c) || matches!(c, '_' | '-' | '.' | '/' | '(' | ')' | '\'' | '"' | ':' | '#')
    })
}

/// What near misses have in common: lower case, nothing invisible, no separators, no word in the plural.
fn form(name: &str) -> String {
    let mut form = String::with_capacity(name.len());
    let mut word_start = 0;
    let mut after_lower = false;
    for c in name.chars().filter(|c| !is_invisible(*c)) {
        let separator = c.is_whitespace() || matches!(c, '_' | '-');
        if separator || (after_lower && c.is_uppercase()) {
            end_word(&mut form, &mut word_start);
        }
        if !separator {
            form.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase();
    }
    end_word(&mut form, &mut word_start);
    form
}

fn end_word(form: &mut String, word_start: &mut usize) {
    let word = &form[*word_start..];
    if word.len() > 1 && word.ends_with('s') && !word.ends_with("ss") {
        form.pop();
    }
    *word_start = form.len();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_near_misses_from_other_names() {
        let names = Names::new(["accountId", "id", "Customer Email", "preserveEmptyAccount", "doNotTrack"], Vec::new());
        let check = |name: &str, expected: Option<&str>| {
            let near = match names.kind(name) {
                Kind::Near(index) => Some(names.name(index)),
                Kind::Known(_) | Kind::Extra => None,
            };
            assert_eq!(near, expected, "{name:?}");
        };
        check("accountID", Some("accountId"));
        check("account_id", Some("accountId"));
        check("ACCOUNT-ID", Some("accountId"));
        check(" id", Some("id"));
        check("IDs", Some("id"));
        check("Customer Emails", Some("Customer Email"));
        check("customers_email", Some("Customer Email"));
        check("preserveEmptyAccounts", Some("preserveEmptyAccount"));
        check("Do Not Track", Some("doNotTrack"));
        check("donottrack", Some("doNotTrack"));
        check("\u{feff}doNotTrack", Some("doNotTrack"));
        check("doNot\u{200b}Track\u{2069}", Some("doNotTrack"));
        check("id", None);
        check("idea", None);
        check("user id", None);
        check("Customer", None);
        check("", None);
    }

    #[test]
    fn shows_no_name_that_could_be_a_value() {
        let check = |names: &[&str], expected: &str| assert_eq!(found(names.iter().copied()), expected);
        check(&["mail", "name"], "\"mail\", \"name\"");
        check(&[], "none");
        check(&["\u{feff}id\u{e9}"], "\"\\u{feff}id\u{e9}\"");
        check(&["ann@x.example", "user-17"], "a name not shown, a name not shown");
        check(&[&"x".repeat(50)], &format!("\"{}…\"", "x".repeat(40)));
        check(&["a"; 10], &format!("{}, 2 more", ["\"a\""; 8].join(", ")));
    }
}
