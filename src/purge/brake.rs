//! The brake: whether what a file would do is so much that a person must say yes first.
//!
//! A pure rule over counts. Both numbers of a pair must be passed: the absolute one so that a small tenant's ordinary file
//! goes through, the share so that a large tenant's does.

use std::fmt;

use rusqlite::Connection;
use serde::Serialize;

use super::people::People;
use super::{Engine, Matched, PurgeError};
use crate::store::{Doing, StoreError};

/// Above which numbers an import is held. A share of 0 leaves the number alone to decide; one of 100 is never passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Brake {
    /// Customers that would go.
    #[serde(rename = "hold_customers_above")]
    pub customers_above: u64,
    /// Those in percent of all that the tenant has.
    #[serde(rename = "hold_customers_percent_above")]
    pub customers_percent_above: u64,
    /// Bad rows.
    #[serde(rename = "hold_invalid_rows_above")]
    pub invalid_rows_above: u64,
    /// Those in percent of all that were read.
    #[serde(rename = "hold_invalid_percent_above")]
    pub invalid_percent_above: u64,
}

/// The numbers of DESIGN section 3.
impl Default for Brake {
    fn default() -> Self {
        Self { customers_above: 100, customers_percent_above: 25, invalid_rows_above: 20, invalid_percent_above: 20 }
    }
}

/// A number of a whole that passed its limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Passed {
    /// As counted.
    pub count: u64,
    /// All of them.
    pub of: u64,
    /// The limit of the count.
    pub above: u64,
    /// The limit of the share.
    pub percent_above: u64,
}

/// Why an import is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Held {
    /// It would take too many of the tenant's customers.
    Customers(Passed),
    /// Too many of its rows are bad.
    InvalidRows(Passed),
    /// People match by now who were not among those that a person said yes to.
    Strangers {
        /// How many.
        new: u64,
        /// How many were approved.
        approved: u64,
    },
}

impl Held {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Customers(_) => "many_customers",
            Self::InvalidRows(_) => "many_invalid_rows",
            Self::Strangers { .. } => "targets_changed",
        }
    }
}

/// The numbers and the limit, for a person.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = |passed: &Passed| format!("held above {} and above {} %", passed.above, passed.percent_above);
        match self {
            Self::Customers(passed) => {
                write!(f, "{} of {} customers ({}) would be erased, {}", passed.count, passed.of, passed.share(), limits(passed))
            }
            Self::InvalidRows(passed) => {
                write!(f, "{} of {} rows ({}) are invalid, {}", passed.count, passed.of, passed.share(), limits(passed))
            }
            Self::Strangers { new, approved } => write!(f, "{new} people match by now who are not among the {approved} approved"),
        }
    }
}

impl Passed {
    fn of(count: u64, of: u64, above: u64, percent_above: u64) -> Option<Self> {
        let share_passed = u128::from(count) * 100 > u128::from(of) * u128::from(percent_above);
        (count > above && share_passed).then_some(Self { count, of, above, percent_above })
    }

    /// With one decimal, rounded down.
    fn share(&self) -> String {
        let tenths = u128::from(self.count) * 1000 / u128::from(self.of.max(1));
        format!("{}.{} %", tenths / 10, tenths % 10)
    }
}

impl Brake {
    /// Never holds: where a person confirms the number of people.
    pub const OFF: Self = Self { customers_above: 0, customers_percent_above: 100, invalid_rows_above: 0, invalid_percent_above: 100 };

    /// Judges the customers that would go.
    #[must_use]
    pub fn customers(&self, count: u64, of: u64) -> Option<Held> {
        Passed::of(count, of, self.customers_above, self.customers_percent_above).map(Held::Customers)
    }

    /// Judges the bad rows.
    #[must_use]
    pub fn invalid_rows(&self, count: u64, of: u64) -> Option<Held> {
        Passed::of(count, of, self.invalid_rows_above, self.invalid_percent_above).map(Held::InvalidRows)
    }
}

impl Engine {
    /// Whether what was matched passes the limits, and which of them.
    ///
    /// # Errors
    /// The store.
    pub fn judge(&self, connection: &Connection, matched: &Matched, brake: &Brake) -> Result<Vec<Held>, PurgeError> {
        let customers = if matched.customers() > brake.customers_above {
            // Everyone is counted only where it matters.
            let sql = People::of(&self.plan, matched.tenant())?.count();
            let all: i64 = connection.query_row(&sql, [matched.tenant().as_str()], |row| row.get(0)).doing("count the tenant's people")?;
            brake.customers(matched.customers(), u64::try_from(all).map_err(|_| StoreError::Ledger("count"))?)
        } else {
            None
        };
        let tally = matched.tally();
        Ok(customers.into_iter().chain(brake.invalid_rows(tally.invalid, tally.read)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_of_a_pair_must_be_passed() {
        let brake = Brake::default();
        let check = |count, of, held: bool| assert_eq!(brake.customers(count, of).is_some(), held, "{count} of {of}");
        check(100, 100, false);
        check(101, 404, false);
        check(101, 403, true);
        check(101, 0, true);
        check(100_000, 400_000, false);
        let check = |count, of, held: bool| assert_eq!(brake.invalid_rows(count, of).is_some(), held, "{count} of {of}");
        check(20, 20, false);
        check(21, 105, false);
        check(21, 104, true);
        check(0, 0, false);
    }

    #[test]
    fn a_share_of_0_leaves_the_number_alone_and_one_of_100_is_never_passed() {
        let brake = |customers_above, customers_percent_above| Brake { customers_above, customers_percent_above, ..Brake::default() };
        assert!(brake(10, 0).customers(11, 1_000_000).is_some() && brake(10, 0).customers(10, 10).is_none());
        assert!(brake(0, 100).customers(5, 5).is_none());
        assert!(brake(0, 0).customers(1, 5).is_some() && brake(0, 0).customers(0, 5).is_none());
    }

    #[test]
    fn says_the_numbers_and_the_limit() {
        let held = Brake::default().customers(240, 599).expect("held");
        assert_eq!(held.to_string(), "240 of 599 customers (40.0 %) would be erased, held above 100 and above 25 %");
        assert_eq!(held.code(), "many_customers");
    }
}
