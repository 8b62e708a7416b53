//! Whom a row names, and what it asks for beside the deletion.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Email;

/// Whom a row names.
#[derive(Clone, Eq, Hash, PartialEq)]
pub enum SubjectKey {
    /// By address: every customer of the tenant that has it.
    Email(Email),
    /// By account and id: one customer. Both compare byte for byte.
    Pair {
        /// `accountId`
        account: String,
        /// `id`
        id: String,
    },
}

/// Prints the kind only: an id can be an address.
impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email(_) => "Email(..)",
            Self::Pair { .. } => "Pair(..)",
        })
    }
}

/// How a file names its subjects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SubjectKind {
    /// By address.
    Email,
    /// By account and id.
    Pair,
}

/// A row's own wishes. `None` inherits the import's setting: three states, never two.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flags {
    /// Keep the account when its last user goes.
    pub preserve_empty_account: Option<bool>,
    /// Never register this person again.
    pub do_not_track: Option<bool>,
}

/// The import's own settings, from the tenant's file or the command.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Settings {
    /// Where a row says nothing: keep the account when its last user goes.
    pub preserve_empty_accounts: bool,
    /// Where a row says nothing: never register this person again.
    pub do_not_track: bool,
}

impl Flags {
    /// What the row asks for once the import's settings fill its blanks.
    #[must_use]
    pub fn settle(self, settings: Settings) -> Settings {
        Settings {
            preserve_empty_accounts: self.preserve_empty_account.unwrap_or(settings.preserve_empty_accounts),
            do_not_track: self.do_not_track.unwrap_or(settings.do_not_track),
        }
    }
}

impl Settings {
    /// The wishes of two rows that name the same customer: true wins.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            preserve_empty_accounts: self.preserve_empty_accounts || other.preserve_empty_accounts,
            do_not_track: self.do_not_track || other.do_not_track,
        }
    }
}
