//! Bad rows: where, and what to mend. They hold no value of the row.

use std::borrow::Cow;

use crate::domain::{Reason, RowError};

/// A row that was left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadRow {
    /// Where it starts, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The column, where one is at fault.
    pub column: Option<Cow<'static, str>>,
    /// Why.
    pub reason: BadReason,
}

/// Why a row is left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadReason {
    /// The row by itself.
    Row(Reason),
    /// It names a customer whom the tenant does not have.
    UnknownCustomer,
    /// It names someone who must not be registered again.
    Suppressed,
    /// A referral that names nobody.
    NoParty,
}

impl BadReason {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Row(reason) => reason.code(),
            Self::UnknownCustomer => "unknown_customer",
            Self::Suppressed => "suppressed",
            Self::NoParty => "no_party",
        }
    }

    /// What to mend.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Row(reason) => reason.message(),
            Self::UnknownCustomer => "the tenant has no such customer; load the customers first",
            Self::Suppressed => "this person must not be registered again (do not track)",
            Self::NoParty => "the referral names neither a referrer nor a referred customer; name at least one",
        }
    }
}

impl Fault {
    pub(super) fn at(column: &'static str, reason: BadReason) -> Self {
        Self { column: Some(Cow::Borrowed(column)), reason }
    }
}

impl From<RowError> for Fault {
    fn from(error: RowError) -> Self {
        Self { column: error.column.map(Cow::Owned), reason: BadReason::Row(error.reason) }
    }
}
