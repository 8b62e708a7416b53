//! The first pass: reads, validates and matches the whole file, and changes nothing.
//!
//! Rows stream through; of each a few bytes stay. Look-ups go in batches sorted by what is looked for, so that an index
//! is walked and not jumped about in.

use std::cmp::Ordering;

use jiff::Timestamp;
use rusqlite::Connection;

use super::exempt::Exemptions;
use super::matched::{Found, Matched, RowNote, merge, suppression};
use super::people::{Look, People};
use super::plan::Compare;
use super::{Engine, InputRow, PurgeError};
use crate::domain::{Email, Identity, Outcome, Settings, SubjectKey, TenantName};
use crate::store::Doing;
use crate::store::ledger::{self, TargetFlags};

/// Why the first pass ended early.
#[derive(Debug)]
pub enum MatchError<E> {
    /// The input: what its reader said.
    Input(E),
    /// The store or the plan.
    Purge(PurgeError),
}

impl<E> From<PurgeError> for MatchError<E> {
    fn from(error: PurgeError) -> Self {
        Self::Purge(error)
    }
}

/// Rows looked up together.
const BATCH_ROWS: usize = 50_000;

impl Engine {
    /// Reads and matches all rows, in one read transaction. The connection may be read-only.
    ///
    /// # Errors
    /// [`MatchError::Input`]: the first `Err` of `rows`. [`MatchError::Purge`]: the store, or a plan that cannot serve such rows.
    pub fn match_rows<E>(
        &self,
        connection: &Connection,
        tenant: &TenantName,
        settings: Settings,
        at: Timestamp,
        rows: impl IntoIterator<Item = Result<InputRow, E>>,
    ) -> Result<Matched, MatchError<E>> {
        let people = People::of(&self.plan, tenant)?;
        let snapshot = connection.unchecked_transaction().doing("begin to read").map_err(PurgeError::from)?;
        let exemptions = Exemptions::at(&snapshot, people, &self.key, at)?;
        let mut matched = Matched::new(tenant.clone());
        matched.exemption = ledger::newest_exemption(&snapshot, tenant).map_err(PurgeError::from)?;
        let mut pass = Pass { engine: self, people, connection: &snapshot, exemptions, matched, batch: Vec::new(), scan: false };
        for row in rows {
            pass.row(row.map_err(MatchError::Input)?, settings)?;
        }
        Ok(pass.end()?)
    }
}

struct Pass<'a> {
    engine: &'a Engine,
    people: People<'a>,
    connection: &'a Connection,
    exemptions: Exemptions<'a>,
    matched: Matched,
    batch: Vec<(u32, SubjectKey)>,
    /// Some row's address can only be found by reading everyone's.
    scan: bool,
}

impl Pass<'_> {
    fn row(&mut self, row: InputRow, settings: Settings) -> Result<(), PurgeError> {
        let number = u32::try_from(self.matched.rows.len()).map_err(|_| PurgeError::TooManyRows)?;
        let subject = match row.subject {
            Ok(subject) => subject,
            Err(error) => {
                self.matched.note_error(row.line, error);
                let (identity, flags) = (Identity::from_bytes([0; 16]), TargetFlags::default());
                self.matched.rows.push(RowNote { identity, flags, outcome: Outcome::Invalid, exempt: false });
                return Ok(());
            }
        };
        let identity = self.engine.key.subject(self.people.tenant, &subject);
        let asked = row.flags.settle(settings);
        let flags = TargetFlags {
            by_pair: matches!(subject, SubjectKey::Pair { .. }),
            preserve_empty_account: asked.preserve_empty_accounts,
            do_not_track: asked.do_not_track,
        };
        let exempt = self.exemptions.cover(suppression(flags, identity).kind, identity)?;
        self.matched.rows.push(RowNote { identity, flags, outcome: Outcome::NotFound, exempt });
        if matches!(subject, SubjectKey::Email(_)) && self.people.compare()? == Compare::Normalised {
            self.scan = true;
            return Ok(());
        }
        self.batch.push((number, subject));
        if self.batch.len() >= BATCH_ROWS { self.look_up() } else { Ok(()) }
    }

    fn end(mut self) -> Result<Matched, PurgeError> {
        self.look_up()?;
        let firsts = self.mark_same_identity();
        if self.scan {
            self.scan(&firsts)?;
        }
        drop(firsts);
        self.matched.settle();
        Ok(self.matched)
    }

    /// Looks up the batch by index.
    fn look_up(&mut self) -> Result<(), PurgeError> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.sort_unstable_by(|a, b| order(&a.1, &b.1));
        let (Matched { rows, found, .. }, exemptions, plan) = (&mut self.matched, &self.exemptions, self.people.plan);
        let (mut by_address, mut by_pair) = (None, None);
        for (row, subject) in &batch {
            let mut note = |person: super::people::Person| {
                if person.is(subject) {
                    rows[*row as usize].exempt |= exemptions.cover_person(&person)?;
                    found.push(Found { key: person.named(plan)?, row: *row, flags: TargetFlags::default() });
                }
                Ok(())
            };
            match subject {
                SubjectKey::Email(email) => {
                    // Their rows lie scattered, and are read in order by the second pass.
                    let look = if exemptions.any() { Look::Whole } else { Look::Address };
                    let sql = made(&mut by_address, || self.people.by_address(self.connection, look))?;
                    self.people.each(self.connection, sql, &[&email.as_str()], &mut note)?;
                }
                SubjectKey::Pair { account, id } => {
                    let sql = made(&mut by_pair, || self.people.by_pair())?;
                    self.people.each(self.connection, sql, &[account, id], &mut note)?;
                }
            }
        }
        batch.clear();
        self.batch = batch;
        Ok(())
    }

    /// Marks every row that has an earlier one's identity and merges its wishes into that one. Returns the first row of
    /// each identity, ordered by identity.
    fn mark_same_identity(&mut self) -> Vec<u32> {
        let rows = &mut self.matched.rows;
        let mut order: Vec<u32> = (0..).take(rows.len()).filter(|row| rows[*row as usize].outcome != Outcome::Invalid).collect();
        order.sort_unstable_by_key(|row| (rows[*row as usize].identity, *row));
        order.dedup_by(|later, first| {
            let RowNote { identity, flags, .. } = rows[*later as usize];
            let same = rows[*first as usize].identity == identity;
            if same {
                rows[*later as usize].outcome = Outcome::Duplicate;
                merge(&mut rows[*first as usize].flags, flags);
            }
            same
        });
        order
    }

    /// Reads everyone's address and folds it in our code.
    fn scan(&mut self, firsts: &[u32]) -> Result<(), PurgeError> {
        let Self { engine, people, connection, exemptions, matched, .. } = self;
        let Matched { rows, found, .. } = matched;
        people.each(connection, &people.with_address()?, &[], |person| {
            if let Some(identity) = person.email_identity(&engine.key, people.tenant)
                && let Ok(at) = firsts.binary_search_by_key(&identity, |row| rows[*row as usize].identity)
            {
                rows[firsts[at] as usize].exempt |= exemptions.cover_person(&person)?;
                found.push(Found { key: person.named(people.plan)?, row: firsts[at], flags: TargetFlags::default() });
            }
            Ok(())
        })
    }
}

fn made(slot: &mut Option<String>, make: impl FnOnce() -> Result<String, PurgeError>) -> Result<&str, PurgeError> {
    if slot.is_none() {
        *slot = Some(make()?);
    }
    Ok(slot.as_deref().expect("made above"))
}

/// The order of the indexes: accounts and ids, or addresses.
fn order(a: &SubjectKey, b: &SubjectKey) -> Ordering {
    fn parts(subject: &SubjectKey) -> (&str, &str) {
        match subject {
            SubjectKey::Email(email) => (Email::as_str(email), ""),
            SubjectKey::Pair { account, id } => (account, id),
        }
    }
    parts(a).cmp(&parts(b))
}
