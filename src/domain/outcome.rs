//! What became of a row, why a row is bad, and the counts.

use serde::{Deserialize, Serialize};

/// What became of a row. One byte in the ledger.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Outcome {
    /// Matched; its chunk has not run.
    Pending = 0,
    /// At least one customer was deleted (in a check: would be).
    Deleted = 1,
    /// Valid, and nobody of this tenant has it at the moment that counts.
    NotFound = 2,
    /// An earlier valid row names the same customer.
    Duplicate = 3,
    /// Bad row.
    Invalid = 4,
    /// A person who must not be erased.
    Exempt = 5,
    /// The import ended before it.
    Skipped = 6,
}

impl Outcome {
    /// Back from the ledger's byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Pending, Self::Deleted, Self::NotFound, Self::Duplicate, Self::Invalid, Self::Exempt, Self::Skipped]
            .into_iter()
            .find(|outcome| *outcome as u8 == byte)
    }

    /// The word in results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Deleted => "deleted",
            Self::NotFound => "not_found",
            Self::Duplicate => "duplicate",
            Self::Invalid => "invalid",
            Self::Exempt => "exempt",
            Self::Skipped => "skipped",
        }
    }
}

/// Why a row is bad: a stable code, and what to mend.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// The cell is empty.
    Missing,
    /// Not an address.
    EmailMalformed,
    /// An id with white space at an end.
    SpaceAtEnd,
    /// A control character in an id.
    ControlCharacter,
    /// An id longer than the limit.
    ValueTooLong,
    /// A flag that is neither true, false nor blank.
    FlagMalformed,
    /// Bytes of a used cell that are not text in the file's encoding.
    NotText,
    /// Fewer cells than the header.
    TooFewCells,
    /// More cells than the header.
    TooManyCells,
    /// Longer than the row limit.
    RowTooLong,
    /// Text after a closing quote.
    QuoteMalformed,
    /// The last row has no line end, so it may be cut.
    UnterminatedLastRow,
    /// The row spans the place where an interrupted upload was resumed.
    ResumedHere,
    /// Not a JSON object.
    JsonMalformed,
    /// A key twice in one object.
    JsonDuplicateKey,
    /// A JSON value of another type than text (ids: or a whole number).
    JsonWrongType,
    /// A key of a JSON object that is nearly a known one.
    NearMissKey,
    /// A JSON object that names someone both by address and by ids, or by two addresses.
    TwoSubjects,
}

impl Reason {
    /// The stable code in reports, results and logs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::EmailMalformed => "email_malformed",
            Self::SpaceAtEnd => "space_at_end",
            Self::ControlCharacter => "control_character",
            Self::ValueTooLong => "value_too_long",
            Self::FlagMalformed => "flag_malformed",
            Self::NotText => "not_text",
            Self::TooFewCells => "too_few_cells",
            Self::TooManyCells => "too_many_cells",
            Self::RowTooLong => "row_too_long",
            Self::QuoteMalformed => "quote_malformed",
            Self::UnterminatedLastRow => "unterminated_last_row",
            Self::ResumedHere => "resumed_here",
            Self::JsonMalformed => "json_malformed",
            Self::JsonDuplicateKey => "json_duplicate_key",
            Self::JsonWrongType => "json_wrong_type",
            Self::NearMissKey => "near_miss_key",
            Self::TwoSubjects => "two_subjects",
        }
    }

    /// What to mend, for the sender.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Missing => "there is no value; write one, or leave the row out",
            Self::EmailMalformed => "not one e-mail address; write exactly one address a row, without a name or brackets",
            Self::SpaceAtEnd => "white space before or after the id; ids compare byte for byte, so remove it",
            Self::ControlCharacter => "the value holds a control character; remove it",
            Self::ValueTooLong => "the id is longer than 1024 bytes",
            Self::FlagMalformed => "write true, false, or nothing",
            Self::NotText => "the value is not valid text; export the file as UTF-8",
            Self::TooFewCells => "fewer cells than the header; write an empty cell where there is no value",
            Self::TooManyCells => "more cells than the header; put quotes around a cell that holds the separator",
            Self::RowTooLong => "the row is longer than the limit; look for a missing line end",
            Self::QuoteMalformed => "text after a closing quote; double each quote inside a quoted cell",
            Self::UnterminatedLastRow => {
                "the file does not end in a line end, so its last row may be cut; end it with one, or send a checksum file"
            }
            Self::ResumedHere => "an interrupted upload was resumed inside this row; send the file whole, or with a checksum file",
            Self::JsonMalformed => "not a JSON object on one line",
            Self::JsonDuplicateKey => "a key stands twice in this object; write it once",
            Self::JsonWrongType => {
                "a value of the wrong type; write ids and addresses in quotes, and flags as true, false or null without quotes"
            }
            Self::NearMissKey => "this key is nearly a known one; spell it exactly, case included",
            Self::TwoSubjects => "the object names someone in another way than the first object of the file; keep to one way",
        }
    }
}

/// Most bad rows that a report lists; the rest is counted in `errors_omitted` and stands in the results.
pub const ROW_ERRORS_MAX: usize = 1_000;

/// A bad row: which column, and why. Holds nothing of the row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RowError {
    /// The column as the header spells it, where one is at fault.
    pub column: Option<String>,
    /// Why.
    pub reason: Reason,
}

/// Rows by outcome. They add up to the rows read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// Rows that were not blank.
    pub read: u64,
    /// Rows that took at least one customer.
    pub deleted: u64,
    /// Valid rows that name nobody.
    pub not_found: u64,
    /// Rows that name a customer again.
    pub duplicate: u64,
    /// Bad rows.
    pub invalid: u64,
    /// Rows that name a person who must not be erased.
    pub exempt: u64,
    /// Rows that the import ended before.
    pub skipped: u64,
}

impl Tally {
    /// Counts one row. `Pending` counts as read only.
    pub fn add(&mut self, outcome: Outcome) {
        self.read += 1;
        match outcome {
            Outcome::Pending => {}
            Outcome::Deleted => self.deleted += 1,
            Outcome::NotFound => self.not_found += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Invalid => self.invalid += 1,
            Outcome::Exempt => self.exempt += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_survive_their_byte_and_add_up() {
        let mut tally = Tally::default();
        for byte in 0..=6 {
            let outcome = Outcome::from_byte(byte).expect("a known byte");
            assert_eq!(outcome as u8, byte);
            tally.add(outcome);
        }
        assert_eq!(Outcome::from_byte(7), None);
        let Tally { read, deleted, not_found, duplicate, invalid, exempt, skipped } = tally;
        assert_eq!(read, 1 + deleted + not_found + duplicate + invalid + exempt + skipped);
    }
}
