//! Whom a file names: by which columns, judged the same way for a CSV header and for each JSON object.

use crate::domain::{Reason, Rejection, SubjectKind};

use super::Reading;
use super::names::{Names, Noun, Present, are_values, found};

pub(super) const ACCOUNT: usize = 0;
pub(super) const ID: usize = 1;
pub(super) const PRESERVE: usize = 2;
pub(super) const DO_NOT_TRACK: usize = 3;
const OFFICIAL: [usize; 2] = [4, 5];
const EMAIL_FIRST: usize = 4;
const KNOWN: [&str; 7] = ["accountId", "id", "preserveEmptyAccount", "doNotTrack", "Customer Email", "CustomerEmail", "email"];

/// The columns of subjects, flags and request ids.
pub(super) struct Columns {
    /// The index after the last address column.
    emails_end: usize,
    pub(super) request_id: Option<usize>,
}

/// How a header or an object names its subject.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Naming {
    /// By the address column of this index.
    Email(usize),
    /// By account and id.
    Pair,
}

/// Why a header or an object names none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unnamed {
    /// No column that names anyone.
    NoneKnown,
    /// Half of a pair: this one is missing.
    Half(usize),
    /// An official address column beside both ids.
    TwoDialects(usize),
    /// Two address columns.
    TwoEmails(usize, usize),
}

impl Columns {
    /// The known names of a file, and what they are.
    pub(super) fn new(reading: &Reading) -> (Names, Self) {
        let aliases = reading.email_aliases.iter().map(String::as_str);
        let request_id = reading.request_id_column.as_deref();
        let emails_end = Names::new(KNOWN.into_iter().chain(aliases.clone()), Vec::new()).len();
        let names = Names::new(KNOWN.into_iter().chain(aliases).chain(request_id), reading.map.clone());
        let request_id = request_id.and_then(|name| names.index(name));
        (names, Self { emails_end, request_id })
    }

    /// How these columns name a subject.
    pub(super) fn judge(&self, present: &Present) -> Result<Naming, Unnamed> {
        let mut emails = (EMAIL_FIRST..self.emails_end).filter(|index| present.has(*index));
        match (present.has(ACCOUNT), present.has(ID)) {
            (true, true) => match OFFICIAL.into_iter().find(|index| present.has(*index)) {
                Some(official) => Err(Unnamed::TwoDialects(official)),
                None => Ok(Naming::Pair),
            },
            (account, id) => match (emails.next(), emails.next()) {
                (Some(email), None) => Ok(Naming::Email(email)),
                (Some(one), Some(two)) => Err(Unnamed::TwoEmails(one, two)),
                (None, _) if account => Err(Unnamed::Half(ID)),
                (None, _) if id => Err(Unnamed::Half(ACCOUNT)),
                (None, _) => Err(Unnamed::NoneKnown),
            },
        }
    }

    /// Whether a later object names its subject as the first one did, and in no other way besides.
    pub(super) fn agrees(&self, present: &Present, naming: Naming) -> bool {
        match naming {
            Naming::Pair => !OFFICIAL.into_iter().any(|index| present.has(index)),
            Naming::Email(email) => {
                let mut emails = EMAIL_FIRST..self.emails_end;
                !(present.has(ACCOUNT) && present.has(ID)) && emails.all(|index| index == email || !present.has(index))
            }
        }
    }

    /// Whether a column twice is a fault: in a participant file address columns are extra columns.
    pub(super) fn counts(&self, index: usize, naming: Naming) -> bool {
        naming != Naming::Pair || !(EMAIL_FIRST..self.emails_end).contains(&index) || self.request_id == Some(index)
    }

    /// The refusal of the whole file.
    pub(super) fn refusal(names: &Names, unnamed: Unnamed, header: &[&str], noun: Noun) -> Rejection {
        let name = |index| names.name(index);
        let found = || found(header.iter().copied());
        match unnamed {
            Unnamed::NoneKnown if noun == Noun::Column && are_values(header) => Rejection::new(
                "no_known_column",
                "the first line looks like a row, not like a header; write \"Customer Email\", or \"accountId\" and \"id\", above the rows",
            ),
            Unnamed::NoneKnown => Rejection::new(
                "no_known_column",
                format!("no {noun} \"Customer Email\", and no \"accountId\" with \"id\" (found {})", found()),
            ),
            Unnamed::Half(missing) => Rejection::new(
                "missing_column",
                format!("no {noun} \"{}\": \"accountId\" and \"id\" name a participant together (found {})", name(missing), found()),
            ),
            Unnamed::TwoDialects(official) => Rejection::new(
                "two_dialects",
                format!("both \"{}\" and \"accountId\" with \"id\": a file names people in one way; remove one", name(official)),
            ),
            Unnamed::TwoEmails(one, two) => Rejection::new(
                "two_email_columns",
                format!("both \"{}\" and \"{}\": one {noun} names people; remove one", name(one), name(two)),
            ),
        }
    }
}

impl Naming {
    pub(super) fn kind(self) -> SubjectKind {
        match self {
            Self::Email(_) => SubjectKind::Email,
            Self::Pair => SubjectKind::Pair,
        }
    }
}

/// A column that stands twice.
pub(super) fn duplicate_column(name: &str) -> Rejection {
    Rejection::new("duplicate_column", format!("column \"{name}\" stands twice; remove one"))
}

/// What a value may be as an id: compared byte for byte, so no white space at its ends and no control character in it.
///
/// # Errors
/// Why no list can name it.
pub fn check_id(text: &str) -> Result<(), Reason> {
    let edge = |c: Option<char>| c.is_some_and(char::is_whitespace);
    let plain = !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain {
        Ok(())
    } else if text.trim().is_empty() {
        Err(Reason::Missing)
    } else if text.contains(char::REPLACEMENT_CHARACTER) {
        Err(Reason::NotText)
    } else if text.len() > ID_BYTES_MAX {
        Err(Reason::ValueTooLong)
    } else if edge(text.chars().next()) || edge(text.chars().next_back()) {
        Err(Reason::SpaceAtEnd)
    } else if text.contains(char::is_control) {
        Err(Reason::ControlCharacter)
    } else {
        Ok(())
    }
}

/// Longest id, and longest value that is echoed.
pub(super) const ID_BYTES_MAX: usize = 1024;
