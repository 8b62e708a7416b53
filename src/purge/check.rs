//! The other ending: the same steps over all targets at once, counted instead of done. Nothing is written to the main
//! database; the temporary tables live in memory.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::accounts::{Accounts, Kept};
use super::chunk::Survivors;
use super::detach::refuse_others;
use super::matched::Matched;
use super::people::People;
use super::{Engine, PurgeError};
use crate::domain::{Outcome, Tally};
use crate::store::ledger::{self, Progress, RowCustomers, Suppression};
use crate::store::{Doing, Key};

/// What a purge would do.
#[derive(Debug)]
pub struct Checked {
    /// Rows by outcome; `deleted` are those that would be.
    pub tally: Tally,
    /// What would be done to the database.
    pub progress: Progress,
    /// One byte a row.
    pub outcomes: Vec<u8>,
    /// How many customers each row would take.
    pub row_customers: RowCustomers,
    /// Targets that went since the match.
    pub(super) gone: Vec<Key>,
}

impl Engine {
    /// Counts what a purge of these rows would do now. The connection may be read-only.
    ///
    /// # Errors
    /// The store, or a plan that does not fit it.
    pub fn check(&self, connection: &Connection, matched: &Matched) -> Result<Checked, PurgeError> {
        let people = People::of(&self.plan, matched.tenant())?;
        let snapshot = connection.unchecked_transaction().doing("begin to read")?;
        let survivors = self.survivors(&people, &snapshot, matched.targets(), |_, _| Ok(false))?;
        let mut progress = self.nothing_done();
        progress.removed.add(&self.plan.subject.table, survivors.customers);
        if let Some(rule) = &self.plan.account {
            let accounts = Accounts { people, rule, key: &self.key, connection: &snapshot };
            accounts.touch()?;
            let emptied = accounts.doom(&Kept::These(&accounts.wanted()?))?;
            progress.removed.add(&rule.table, emptied.deleted);
            (progress.accounts_deleted, progress.accounts_preserved) = (emptied.deleted, emptied.preserved);
        }
        self.mark(&people, &snapshot)?;
        self.count_children(&people, &snapshot, &mut progress)?;
        let asked: BTreeSet<Suppression> = survivors.suppressions.iter().copied().chain(matched.unmatched_suppressions()).collect();
        for suppression in asked {
            progress.suppressed += u64::from(!ledger::is_suppressed(&snapshot, matched.tenant(), suppression)?);
        }
        Ok(outcome(matched, survivors, progress))
    }

    fn count_children(&self, people: &People<'_>, connection: &Connection, progress: &mut Progress) -> Result<(), PurgeError> {
        let doing = "count what refers to the subjects";
        let read = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0).map(i64::unsigned_abs);
        let count = |sql: &str| connection.prepare_cached(sql).and_then(|mut s| s.query_row([], read)).doing(doing);
        let tenant = people.tenant.as_str();
        let tenants_count = |sql: &str| connection.prepare_cached(sql).and_then(|mut s| s.query_row([tenant], read)).doing(doing);
        for rule in &self.steps.rules {
            if let Some(doomed) = &rule.doomed {
                progress.removed.add(&rule.table, count(&doomed.count)?);
            }
            if let Some(overwrite) = &rule.overwrite {
                progress.overwritten.add(&rule.table, tenants_count(&overwrite.count)?);
            }
            if let Some(detach) = &rule.detach {
                progress.detached.add(&rule.table, count(&detach.count)?);
            }
        }
        if let (Some(steps), Some(rule)) = (&self.steps.account, &self.plan.account) {
            progress.detached.add(&rule.table, count(&steps.count)?);
        }
        if let Some(steps) = &self.steps.subject {
            refuse_others(connection, people, steps)?;
            let sql = format!("{} AND {}", steps.count, people.tenants_own("?1"));
            progress.detached.add(&people.plan.subject.table, tenants_count(&sql)?);
        }
        Ok(())
    }
}

fn outcome(matched: &Matched, survivors: Survivors, progress: Progress) -> Checked {
    let mut customers = vec![0_u32; matched.rows.len()];
    for found in &matched.found {
        // Both are in order of key, and few are gone.
        customers[found.row as usize] += u32::from(survivors.gone.binary_search(&found.key).is_err());
    }
    let mut outcomes = matched.outcomes();
    let mut tally = Tally::default();
    for (outcome, customers) in std::iter::zip(&mut outcomes, &customers) {
        if *outcome == Outcome::Pending as u8 {
            *outcome = if *customers > 0 { Outcome::Deleted } else { Outcome::NotFound } as u8;
        }
        tally.add(Outcome::from_byte(*outcome).expect("written from an outcome"));
    }
    let row_customers = RowCustomers::from_counts((0..).zip(customers).filter(|(_, customers)| *customers > 0));
    Checked { tally, progress, outcomes, row_customers, gone: survivors.gone }
}
