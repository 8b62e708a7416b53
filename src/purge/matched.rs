//! What the first pass found: one outcome a row, and the targets in order of key. At most about 56 bytes a row.

use crate::domain::{Identity, Outcome, ROW_ERRORS_MAX, RowError, Settings, Tally, TenantName};
use crate::store::Key;
use crate::store::ledger::{BadRow, Suppression, SuppressionKind, Target, TargetFlags};

/// What the first pass found.
#[derive(Debug)]
pub struct Matched {
    pub(super) tenant: TenantName,
    pub(super) rows: Vec<RowNote>,
    pub(super) found: Vec<Found>,
    errors: Vec<BadRow>,
    errors_omitted: u64,
    tally: Tally,
    /// The newest exemption that was heeded.
    pub(super) exemption: i64,
}

/// What is kept of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowNote {
    /// Meaningless for bad rows.
    pub(super) identity: Identity,
    pub(super) flags: TargetFlags,
    pub(super) outcome: Outcome,
    /// Whom it names, or a customer that it resolves to, must not be erased.
    pub(super) exempt: bool,
}

/// A customer that a row resolved to.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: Key,
    pub(super) row: u32,
    pub(super) flags: TargetFlags,
}

impl RowNote {
    pub(super) fn suppression(&self) -> Suppression {
        suppression(self.flags, self.identity)
    }
}

/// What an identity stands for as a suppression.
pub(super) fn suppression(flags: TargetFlags, identity: Identity) -> Suppression {
    Suppression { kind: if flags.by_pair { SuppressionKind::Pair } else { SuppressionKind::Email }, identity }
}

/// The wishes of two rows that name the same customer: true wins. How the customer was named stays.
pub(super) fn merge(flags: &mut TargetFlags, other: TargetFlags) {
    let settled = |flags: TargetFlags| Settings { preserve_empty_accounts: flags.preserve_empty_account, do_not_track: flags.do_not_track };
    let merged = settled(*flags).merge(settled(other));
    (flags.preserve_empty_account, flags.do_not_track) = (merged.preserve_empty_accounts, merged.do_not_track);
}

impl Matched {
    pub(super) fn new(tenant: TenantName) -> Self {
        let (rows, found, errors) = (Vec::new(), Vec::new(), Vec::new());
        Self { tenant, rows, found, errors, errors_omitted: 0, tally: Tally::default(), exemption: 0 }
    }

    pub(super) fn note_error(&mut self, line: u64, error: RowError) {
        if self.errors.len() < ROW_ERRORS_MAX {
            let (reason, message) = (error.reason.code().to_owned(), error.reason.message().to_owned());
            self.errors.push(BadRow { line, column: error.column, reason, message });
        } else {
            self.errors_omitted += 1;
        }
    }

    /// Settles who is a duplicate, now that all is known, and leaves one entry a customer, in order of key.
    ///
    /// A customer belongs to the first row that resolves to it; a row to which none belongs is a duplicate.
    /// Until here the rows that share an identity with an earlier one are marked, and all other valid rows are `not_found`.
    pub(super) fn settle(&mut self) {
        let Self { rows, found, .. } = self;
        found.retain(|found| rows[found.row as usize].outcome != Outcome::Duplicate);
        found.sort_unstable_by(|a, b| (&a.key, a.row).cmp(&(&b.key, b.row)));
        for group in found.chunk_by(|a, b| a.key == b.key) {
            rows[group[0].row as usize].outcome = Outcome::Pending;
            for later in &group[1..] {
                let row = &mut rows[later.row as usize];
                if row.outcome == Outcome::NotFound {
                    row.outcome = Outcome::Duplicate;
                }
            }
        }
        for group in found.chunk_by(|a, b| a.key == b.key) {
            for later in &group[1..] {
                let RowNote { flags, outcome, .. } = rows[later.row as usize];
                if outcome == Outcome::Duplicate {
                    merge(&mut rows[group[0].row as usize].flags, flags);
                }
            }
        }
        for group in found.chunk_by_mut(|a, b| a.key == b.key) {
            let mut flags = rows[group[0].row as usize].flags;
            group[1..].iter().for_each(|later| merge(&mut flags, rows[later.row as usize].flags));
            group[0].flags = flags;
        }
        found.dedup_by(|later, first| later.key == first.key);
        for row in rows.iter_mut().filter(|row| row.exempt && matches!(row.outcome, Outcome::Pending | Outcome::NotFound)) {
            row.outcome = Outcome::Exempt;
        }
        found.retain(|found| rows[found.row as usize].outcome != Outcome::Exempt);
        self.tally = Tally::default();
        self.rows.iter().for_each(|row| self.tally.add(row.outcome));
    }

    /// Whose rows they are.
    #[must_use]
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// Rows by outcome; those that matched are counted as read only, until their chunk has run.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Rows read, blank ones left out.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Customers that are to go.
    #[must_use]
    pub fn customers(&self) -> u64 {
        self.found.len() as u64
    }

    /// The first [`ROW_ERRORS_MAX`] bad rows.
    #[must_use]
    pub fn errors(&self) -> &[BadRow] {
        &self.errors
    }

    /// How many more there were.
    #[must_use]
    pub fn errors_omitted(&self) -> u64 {
        self.errors_omitted
    }

    /// One byte a row.
    #[must_use]
    pub fn outcomes(&self) -> Vec<u8> {
        self.rows.iter().map(|row| row.outcome as u8).collect()
    }

    /// Who is to go, in order of key.
    pub fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        self.found.iter().map(|found| Target {
            key: found.key.clone(),
            row: found.row,
            identity: self.rows[found.row as usize].identity,
            flags: found.flags,
        })
    }

    /// Whom rows that name nobody want kept away.
    pub(super) fn unmatched_suppressions(&self) -> impl Iterator<Item = Suppression> + '_ {
        self.rows.iter().filter(|row| row.outcome == Outcome::NotFound && row.flags.do_not_track).map(RowNote::suppression)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_at_most_64_bytes() {
        // The note, what it resolved to, its place in the order of identities, its outcome, its count of customers.
        let bytes = size_of::<RowNote>() + size_of::<Found>() + size_of::<u32>() + size_of::<u8>() + size_of::<u32>();
        assert!(bytes <= 64, "{bytes}");
    }
}
