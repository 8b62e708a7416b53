//! What a row of a file is: its columns, and the table that it goes to.

use crate::records::table::Cells;

/// What a row is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A customer.
    Customers,
    /// A referral of one customer by another.
    Referrals,
    /// A reward of a customer.
    Rewards,
    /// An event of a customer.
    Events,
    /// A custom field of a customer.
    Fields,
}

impl Kind {
    /// Every kind, customers first: the others refer to them.
    pub const ALL: [Self; 5] = [Self::Customers, Self::Referrals, Self::Rewards, Self::Events, Self::Fields];

    /// The word in commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Referrals => "referrals",
            Self::Rewards => "rewards",
            Self::Events => "events",
            Self::Fields => "fields",
        }
    }

    /// What lists call a column of such a file: passed over, customers would be loaded without what a list finds them by.
    pub(super) fn also_called(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Customers => &[("Customer Email", "email"), ("userId", "id")],
            Self::Referrals | Self::Rewards | Self::Events | Self::Fields => &[],
        }
    }

    /// The columns of a file, as the header spells them. Those of one customer's rows: an account, a user, and a key within the
    /// user, in some order, then what is stored as it is.
    pub(super) fn columns(self) -> &'static [(&'static str, Cells)] {
        use Cells::{Id, Key, Text};
        match self {
            Self::Customers => {
                &[("accountId", Key), ("id", Key), ("email", Text), ("firstName", Text), ("lastName", Text), ("createdAt", Text)]
            }
            Self::Referrals => &[
                ("id", Key),
                ("referrerAccountId", Id),
                ("referrerId", Id),
                ("referredAccountId", Id),
                ("referredId", Id),
                ("status", Text),
                ("createdAt", Text),
            ],
            Self::Rewards => &[
                ("id", Key),
                ("accountId", Key),
                ("userId", Key),
                ("referralId", Text),
                ("type", Text),
                ("amount", Text),
                ("currency", Text),
                ("status", Text),
                ("createdAt", Text),
            ],
            Self::Events => &[("id", Key), ("accountId", Key), ("userId", Key), ("name", Text), ("occurredAt", Text), ("properties", Text)],
            Self::Fields => &[("accountId", Key), ("userId", Key), ("name", Key), ("value", Text)],
        }
    }
}
