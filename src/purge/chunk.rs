//! The second pass: the next targets in order of key, deleted and recorded in one transaction.

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, Transaction, ffi};

use super::accounts::{Accounts, Emptied, Kept};
use super::detach::Detaching;
use super::exempt::Exemptions;
use super::matched::suppression;
use super::people::{People, Person, empty_chunk};
use super::steps::RuleSteps;
use super::terms::{CHUNK, EMPTIED, name};
use super::{Engine, PurgeError};
use crate::domain::{Identity, IdentityKey, ImportId, State};
use crate::store::ledger::{self, ImportRow, Progress, Suppression, SuppressionKind, Target};
use crate::store::{Doing, Key, Store, StoreError};

/// How often the tables are gone through after triggers have fired: a chain of so many is a circle.
const TRIGGER_ROUNDS_MAX: u32 = 10;

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
    pub(super) exempt: Vec<Key>,
    pub(super) suppressions: Vec<Suppression>,
}

impl Engine {
    /// Deletes the next `targets_max` targets (at least one) and records it, in one transaction. The log is to be brought back
    /// after it ([`Store::bring_back`]).
    ///
    /// # Errors
    /// [`StoreError::State`] unless the import is `purging`. After any error nothing of the chunk has happened.
    pub fn chunk(&self, store: &mut Store, import: ImportId, targets_max: u32, at: Timestamp) -> Result<ChunkDone, PurgeError> {
        store.write_to_log("purge a chunk", |transaction| {
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

    /// Deletes the targets with all that the plan says, and notes it: `last` is the key of the last of them.
    fn purge(
        &self,
        transaction: &Transaction<'_>,
        row: &ImportRow,
        targets: &[Target],
        last: &Key,
        at: Timestamp,
    ) -> Result<u64, PurgeError> {
        let people = People::of(&self.plan, &row.tenant)?;
        let survivors = self.settle_targets(&people, transaction, row, targets, at)?;
        let mut total = row.progress.clone();
        let account_rule = self.plan.account.as_ref();
        let accounts = account_rule.map(|rule| Accounts { people, rule, key: &self.key, connection: transaction });
        let mut emptied = Emptied::default();
        if let Some(accounts) = &accounts {
            accounts.touch()?;
            for account in &accounts.wanted()? {
                ledger::preserve(transaction, row.id, account)?;
            }
            emptied = accounts.doom(&Kept::Ledger(row.id))?;
            total.accounts_deleted += emptied.deleted;
            total.accounts_preserved += emptied.preserved;
        }
        let before = self.staying(transaction)?;
        self.mark(&people, transaction)?;
        self.change_tables(transaction, row, last, &mut total)?;
        let mut detaching = Detaching::of(self, transaction, row, last)?;
        if let Some(steps) = &self.steps.subject {
            detaching.subjects(&people, steps, &mut total)?;
            detaching.forget(&self.plan.subject.table, (&name("key"), CHUNK), &mut total)?;
        }
        delete_subjects(&people, transaction, &survivors, &mut total)?;
        // A key can be a text that says who it was.
        ledger::forget_taken(transaction, CHUNK)?;
        if let Some(accounts) = &accounts {
            if let Some(steps) = &self.steps.account {
                detaching.accounts(accounts.rule, steps, &mut total)?;
                detaching.forget(&accounts.rule.table, ("*", EMPTIED), &mut total)?;
            }
            accounts.delete()?;
            total.removed.add(&accounts.rule.table, emptied.deleted);
        }
        if !self.plan.accepted.triggers.is_empty() {
            // A trigger may have written down where the plan finds it what has gone since, and another trigger on that.
            self.change_until_settled(transaction, row, last, &mut total)?;
        }
        self.verify(transaction, &row.tenant)?;
        if let Some(before) = before {
            self.verify_staying(transaction, &before)?;
        }
        for suppression in &survivors.suppressions {
            total.suppressed += u64::from(ledger::suppress(transaction, &row.tenant, *suppression, row.id, at)?);
        }
        ledger::progress(transaction, row.id, last, &total)?;
        Ok(survivors.customers)
    }

    /// Which of the targets go now. Those that do not are noted in the ledger: whom an exemption keeps by now, and who is gone.
    fn settle_targets(
        &self,
        people: &People<'_>,
        transaction: &Transaction<'_>,
        row: &ImportRow,
        targets: &[Target],
        at: Timestamp,
    ) -> Result<Survivors, PurgeError> {
        let heeding = self.heed_new_exemptions(transaction, row, at)?;
        let exemptions = Exemptions::at(transaction, *people, &self.key, at)?;
        let survivors = self.survivors(people, transaction, targets.iter().cloned(), |target, person| {
            Ok(heeding && (exemptions.cover_person(person)? || ledger::is_marked_exempt(transaction, row.id, &target.key)?))
        })?;
        for key in &survivors.exempt {
            ledger::mark_exempt(transaction, row.id, key)?;
        }
        for key in &survivors.gone {
            ledger::mark_gone(transaction, row.id, key)?;
        }
        Ok(survivors)
    }

    /// What the rules say, children first.
    fn change_tables(&self, transaction: &Transaction<'_>, row: &ImportRow, last: &Key, total: &mut Progress) -> Result<(), PurgeError> {
        let mut detaching = Detaching::of(self, transaction, row, last)?;
        for rule in &self.steps.rules {
            change_table(rule, transaction, row, &mut detaching, total).map_err(|error| forbidden(&rule.table, error))?;
        }
        Ok(())
    }

    /// The same again, until nothing is found to change any more.
    fn change_until_settled(
        &self,
        transaction: &Transaction<'_>,
        row: &ImportRow,
        last: &Key,
        total: &mut Progress,
    ) -> Result<(), PurgeError> {
        for _ in 0..TRIGGER_ROUNDS_MAX {
            let before = total.clone();
            self.change_tables(transaction, row, last, total)?;
            // What is written over and over is looked for at the end.
            let overwritten = before.overwritten.clone();
            if (Progress { overwritten, ..total.clone() }) == before {
                return Ok(());
            }
        }
        Err(PurgeError::Unsettled)
    }

    /// Reads each target's subject again and compares who it is: keys are given again, addresses change.
    pub(super) fn survivors(
        &self,
        people: &People<'_>,
        connection: &Connection,
        targets: impl Iterator<Item = Target>,
        exempt: impl Fn(&Target, &Person) -> Result<bool, PurgeError>,
    ) -> Result<Survivors, PurgeError> {
        let identities = &self.key;
        self.lend_functions(connection)?;
        empty_chunk(connection, &self.plan)?;
        let mut survivors = Survivors::default();
        let mut addresses = Vec::new();
        people.choose(connection, targets, |target, person| {
            let person = person.filter(|person| identity(person, &target, identities, people) == Some(target.identity));
            if let Some(person) = &person
                && exempt(&target, person)?
            {
                survivors.exempt.push(target.key);
                return Ok::<_, PurgeError>(false);
            }
            if target.flags.do_not_track {
                survivors.suppressions.push(suppression(target.flags, target.identity));
            }
            let Some(person) = person else {
                survivors.gone.push(target.key);
                return Ok(false);
            };
            survivors.customers += 1;
            if self.steps.by_address {
                addresses.extend(person.email());
            }
            if target.flags.do_not_track
                && let Some(identity) = person.pair_identity(identities, people.tenant)
            {
                survivors.suppressions.push(Suppression { kind: SuppressionKind::Pair, identity });
            }
            Ok(true)
        })?;
        self.note_addresses(people, connection, &addresses)?;
        Ok(survivors)
    }
}

pub(super) fn identity(person: &Person, target: &Target, identities: &IdentityKey, people: &People<'_>) -> Option<Identity> {
    if target.flags.by_pair { person.pair_identity(identities, people.tenant) } else { person.email_identity(identities, people.tenant) }
}

fn change_table(
    rule: &RuleSteps,
    transaction: &Transaction<'_>,
    row: &ImportRow,
    detaching: &mut Detaching<'_>,
    total: &mut Progress,
) -> Result<(), PurgeError> {
    if let Some(doomed) = &rule.doomed {
        let deleted = match &rule.detach {
            Some(_) => detaching.delete(&rule.table, doomed, total)?,
            None => execute(transaction, &doomed.delete, [], "delete what refers to the subjects of a chunk")?,
        };
        total.removed.add(&rule.table, deleted);
    }
    if let Some(overwrite) = &rule.overwrite {
        let doing = "overwrite what refers to the subjects of a chunk";
        total.overwritten.add(&rule.table, execute(transaction, &overwrite.update, [row.tenant.as_str()], doing)?);
    }
    if let Some(steps) = &rule.detach {
        detaching.rows(&rule.table, steps, total)?;
    }
    Ok(())
}

/// SQLite names the constraint, and not what in the plan runs into it.
fn forbidden(table: &str, error: PurgeError) -> PurgeError {
    let source = match error {
        PurgeError::Store(StoreError::Sqlite { source, .. }) if source.code() == Some(ErrorCode::ConstraintViolation) => source,
        other => return other,
    };
    let unique = [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY];
    let mend = if source.number().is_some_and(|number| unique.contains(&number)) {
        "two of them would be the same in what is unique; delete them, or write \"null\" or \"hash\" there instead of a fixed value"
    } else {
        "give the table another action, or other values to write, or change the constraint"
    };
    PurgeError::Forbidden { table: table.to_owned(), mend, source }
}

fn execute(transaction: &Transaction<'_>, sql: &str, parameters: impl rusqlite::Params, doing: &'static str) -> Result<u64, PurgeError> {
    Ok(transaction.prepare_cached(sql).doing(doing)?.execute(parameters).doing(doing)? as u64)
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
