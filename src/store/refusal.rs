//! What SQLite said when it refused, as far as it may be passed on.
//!
//! A trigger's RAISE, and in places SQLite itself, put a value of a row into the message: whoever shows an error of SQLite's goes through
//! here. What holds an address is not shown; the code always is.

use std::fmt;

use rusqlite::{Error, ErrorCode, ffi};

use crate::domain::may_hold_address;

/// Why SQLite refused. Its words are shown unless they may hold an address; the text of a statement never is.
pub struct Refusal(Error);

impl Refusal {
    /// The kind of failure; `None` where it was not SQLite's own.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.0.sqlite_error_code()
    }

    /// The same as SQLite numbers it, in its finer division.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        self.0.sqlite_error().map(|error| error.extended_code)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match &self.0 {
            Error::SqlInputError { msg, .. } => msg.clone(),
            other => other.to_string(),
        };
        let told = match self.number() {
            _ if !may_hold_address(&words) => words,
            Some(ffi::SQLITE_CONSTRAINT_TRIGGER) => format!("a trigger refused it, {WITHHELD}"),
            Some(number) => format!("{}, {WITHHELD}", ffi::code_to_str(number)),
            None => format!("an error, {WITHHELD}"),
        };
        f.write_str(&told)?;
        self.number().map_or(Ok(()), |number| write!(f, " (SQLite's code {number})"))
    }
}

/// The same: the words of an error that a panic shows are no others.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({self})")
    }
}

impl std::error::Error for Refusal {}

const WITHHELD: &str = "in words that may hold an address";
