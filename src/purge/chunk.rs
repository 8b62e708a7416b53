//! The second pass: the next targets in order of key, deleted and recorded in one transaction.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction};

use super::accounts::{Accounts, Kept};
use super::matched::suppression;
use super::people::{People, Person, empty_chunk};
use super::sql::{CHUNK, Steps};
use super::{Engine, PurgeError};
use crate::domain::{Identity, IdentityKey, ImportId, State};
use crate::store::ledger::{self, ImportRow, Progress, Suppression, SuppressionKind, Target};
use crate::store::{Doing, Key, Store, StoreError};

/// What a chunk came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkDone {
    /// Targets dealt with.
    pub targets: u32,
    /// Customers deleted; the other targets were gone, or someone else by then.
    pub customers: u64,
    /// Whether there are targets left.
    pub more: bool,
}

/// Which targets are still whom the first pass matched, now in `temp.expunged_chunk`.
#[derive(Default)]
pub(super) struct Survivors {
    pub(super) customers: u64,
    pub(super) gone: Vec<Key>,
    pub(super) suppressions: Vec<Suppression>,
    pub(super) preserved: HashSet<Identity>,
}

impl Engine {
    /// Deletes the next `targets_max` targets (at least one) and records it, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::State`] unless the import is `purging`. After any error nothing of the chunk has happened.
    pub fn chunk(&self, store: &mut Store, import: ImportId, targets_max: u32, at: Timestamp) -> Result<ChunkDone, PurgeError> {
        store.write("purge a chunk", |transaction| {
            let row = ledger::require(transaction, import)?;
            if row.state != State::Purging {
                return Err(StoreError::State { import: import.0, state: row.state.as_str() }.into());
            }
            let wanted = targets_max.max(1);
            let mut targets = ledger::next_targets(transaction, import, row.cursor.as_ref(), wanted.saturating_add(1))?;
            let more = targets.len() > wanted as usize;
            targets.truncate(wanted as usize);
            let customers = match targets.last() {
                Some(last) => self.purge(transaction, &row, &targets, &last.key, at)?,
                None => 0,
            };
            Ok(ChunkDone { targets: u32::try_from(targets.len()).unwrap_or(wanted), customers, more })
        })
    }

    fn purge(
        &self,
        transaction: &Transaction<'_>,
        row: &ImportRow,
        targets: &[Target],
        last: &Key,
        at: Timestamp,
    ) -> Result<u64, PurgeError> {
        let people = People::of(&self.plan, &row.tenant)?;
        let survivors = survivors(&people, &self.key, transaction, targets.iter().cloned())?;
        for key in &survivors.gone {
            ledger::mark_gone(transaction, row.id, key)?;
        }
        for account in &survivors.preserved {
            ledger::preserve(transaction, row.id, account)?;
        }
        let mut total = row.progress.clone();
        let account_rule = self.plan.account.as_ref();
        let accounts = account_rule.map(|rule| Accounts { people, rule, key: &self.key, connection: transaction });
        if let Some(accounts) = &accounts {
            accounts.touch()?;
        }
        delete_children(&self.steps, transaction, row.id, last, &mut total)?;
        delete_subjects(&people, transaction, &survivors, &mut total)?;
        if let Some(accounts) = &accounts {
            let emptied = accounts.delete(&Kept::Ledger(row.id))?;
            total.removed.add(&accounts.rule.table, emptied.deleted);
            total.accounts_deleted += emptied.deleted;
            total.accounts_preserved += emptied.preserved;
        }
        for suppression in &survivors.suppressions {
            total.suppressed += u64::from(ledger::suppress(transaction, &row.tenant, *suppression, row.id, at)?);
        }
        ledger::progress(transaction, row.id, last, &total)?;
        Ok(survivors.customers)
    }
}

/// Reads each target's subject again and compares who it is: keys are given again, addresses change.
pub(super) fn survivors(
    people: &People<'_>,
    identities: &IdentityKey,
    connection: &Connection,
    targets: impl Iterator<Item = Target>,
) -> Result<Survivors, PurgeError> {
    let doing = "note the subjects of a chunk";
    empty_chunk(connection)?;
    let mut insert = connection.prepare_cached(&format!("INSERT INTO {CHUNK} VALUES (?1)")).doing(doing)?;
    let mut survivors = Survivors::default();
    let by_key = people.by_key();
    for target in targets {
        let mut found = None;
        people.each(connection, &by_key, &[&target.key], |person| {
            found = Some(person);
            Ok(())
        })?;
        let found = found.filter(|person| identity(person, &target, identities, people) == Some(target.identity));
        if target.flags.do_not_track {
            survivors.suppressions.push(suppression(target.flags, target.identity));
        }
        let Some(person) = found else {
            survivors.gone.push(target.key);
            continue;
        };
        survivors.customers += 1;
        insert.execute([&target.key]).doing(doing)?;
        if target.flags.do_not_track
            && let Some(identity) = person.pair_identity(identities, people.tenant)
        {
            survivors.suppressions.push(Suppression { kind: SuppressionKind::Pair, identity });
        }
        if target.flags.preserve_empty_account {
            survivors.preserved.extend(person.account_identity(identities, people.tenant));
        }
    }
    Ok(survivors)
}

pub(super) fn identity(person: &Person, target: &Target, identities: &IdentityKey, people: &People<'_>) -> Option<Identity> {
    if target.flags.by_pair { person.pair_identity(identities, people.tenant) } else { person.email_identity(identities, people.tenant) }
}

fn delete_children(
    steps: &Steps,
    transaction: &Transaction<'_>,
    import: ImportId,
    last: &Key,
    total: &mut Progress,
) -> Result<(), PurgeError> {
    let doing = "delete what refers to the subjects of a chunk";
    for rule in &steps.rules {
        let deleted = transaction.prepare_cached(&rule.delete_doomed).doing(doing)?.execute([]).doing(doing)?;
        total.removed.add(&rule.table, deleted as u64);
        let Some(detach) = &rule.detach else { continue };
        for update in &detach.updates {
            let mut statement = transaction.prepare_cached(update).doing(doing)?;
            let mut done_with = statement.query((import.0, last)).doing(doing)?;
            let mut settled = 0;
            while let Some(row) = done_with.next().doing(doing)? {
                settled += u64::from(row.get::<_, bool>(0).doing(doing)?);
            }
            total.detached.add(&rule.table, settled);
        }
    }
    Ok(())
}

fn delete_subjects(
    people: &People<'_>,
    transaction: &Transaction<'_>,
    survivors: &Survivors,
    total: &mut Progress,
) -> Result<(), PurgeError> {
    let doing = "delete the subjects of a chunk";
    let mut statement = transaction.prepare_cached(&people.delete_chunk()).doing(doing)?;
    let deleted = statement.execute([people.tenant.as_str()]).doing(doing)? as u64;
    total.removed.add(&people.plan.subject.table, deleted);
    if deleted == survivors.customers { Ok(()) } else { Err(PurgeError::Miscounted { wanted: survivors.customers, deleted }) }
}
