//! People who must not be erased, as a purge sees them.
//!
//! A row is exempt when whom it names is, or when any customer that it resolves to is: where a shared address has one exempt
//! customer, none of them goes by that address. The first pass settles that with the exemptions of its moment. One that is
//! added later counts from the next chunk on: that chunk first looks at all targets that are left, and at whoever shares their
//! addresses by now, so that two customers of an address are judged alike though their chunks differ. Whoever went before it was added is gone.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, Transaction};

use super::people::{Look, People, Person};
use super::plan::Compare;
use super::{Engine, PurgeError};
use crate::domain::{Email, Identity, IdentityKey, TenantName};
use crate::store::ledger::{self, ImportRow, SuppressionKind};

/// The exemptions of a tenant that hold now.
pub(super) struct Exemptions<'a> {
    connection: &'a Connection,
    people: People<'a>,
    key: &'a IdentityKey,
    /// Today.
    day: Date,
    /// Whether any exemption of the tenant holds: without, nobody is looked up.
    any: bool,
}

/// Targets read at a time when all that are left are looked at.
const BATCH: u32 = 10_000;

impl<'a> Exemptions<'a> {
    pub(super) fn at(connection: &'a Connection, people: People<'a>, key: &'a IdentityKey, at: Timestamp) -> Result<Self, PurgeError> {
        let day = at.to_zoned(TimeZone::UTC).date();
        let any = ledger::any_exempt(connection, people.tenant, day)?;
        Ok(Self { connection, people, key, day, any })
    }

    /// Whether anybody of the tenant is exempt: without, nobody's rows need be read for it.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// Whether this address, or this account and id, is exempt.
    pub(super) fn cover(&self, kind: SuppressionKind, identity: Identity) -> Result<bool, PurgeError> {
        Ok(self.any && ledger::is_exempt(self.connection, self.people.tenant, (kind, identity), self.day)?)
    }

    /// Whether this person is exempt, by whatever names them: an address counts wherever it stands in the plan's column
    /// (`Ann <ann@x.example>`), though no list finds it there. Whoever is kept by mistake can be named again.
    pub(super) fn cover_person(&self, person: &Person) -> Result<bool, PurgeError> {
        if !self.any {
            return Ok(false);
        }
        let tenant = self.people.tenant;
        let pair = person.pair_identity(self.key, tenant).map(|pair| (SuppressionKind::Pair, pair));
        let emails = person.emails_within().into_iter().map(|email| (SuppressionKind::Email, self.key.email(tenant, &email)));
        for (kind, identity) in pair.into_iter().chain(emails) {
            if self.cover(kind, identity)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Engine {
    /// Whether a tenant has somebody whom an exemption of this address keeps. Everyone of the tenant is looked at.
    ///
    /// # Errors
    /// The store, or a plan that cannot serve the tenant or does not fit.
    pub fn has_address(&self, connection: &Connection, tenant: &TenantName, email: &Email) -> Result<bool, PurgeError> {
        let people = People::of(&self.plan, tenant)?;
        let mut has = false;
        people.each(connection, &people.with_address()?, &[], |person| {
            has |= person.emails_within().contains(email);
            Ok(())
        })?;
        Ok(has)
    }

    /// Looks at all targets that are left, where an exemption was added since they were looked at last, and marks those in the ledger
    /// that must not go. Answers whether exemptions are to be heeded at all: not where the tenant has never had one.
    pub(super) fn heed_new_exemptions(&self, transaction: &Transaction<'_>, row: &ImportRow, at: Timestamp) -> Result<bool, PurgeError> {
        let newest = ledger::newest_exemption(transaction, &row.tenant)?;
        if newest == ledger::exemptions_seen(transaction, row.id)? {
            return Ok(newest > 0);
        }
        let people = People::of(&self.plan, &row.tenant)?;
        let exemptions = Exemptions::at(transaction, people, &self.key, at)?;
        let by_key = people.by_key();
        // Whoever shares an address counts, matched or come since.
        let by_index = matches!(people.compare(), Ok(Compare::Nocase | Compare::Exact));
        let by_address = if by_index { people.by_address(transaction, Look::Whole)? } else { String::new() };
        // Addresses that somebody has who is exempt, and those by which targets are named.
        let (mut exempt_addresses, mut target_addresses) = (HashSet::new(), HashSet::new());
        each_left(transaction, row, |target| {
            let mut exempt = false;
            people.each(transaction, &by_key, &[&target.key], |person| {
                if exemptions.cover_person(&person)? {
                    exempt = true;
                    exempt_addresses.extend(person.email_identity(&self.key, &row.tenant));
                } else if !target.flags.by_pair
                    && person.email_identity(&self.key, &row.tenant) == Some(target.identity)
                    && target_addresses.insert(target.identity)
                    && by_index
                {
                    let Some(email) = person.email() else { return Ok(()) };
                    people.each(transaction, &by_address, &[&email.as_str()], |other| {
                        let shares = other.email().as_ref() == Some(&email);
                        if shares && exemptions.cover_person(&other)? {
                            exempt_addresses.insert(target.identity);
                        }
                        Ok(())
                    })?;
                }
                Ok(())
            })?;
            if exempt { Ok(ledger::mark_exempt(transaction, row.id, &target.key)?) } else { Ok(()) }
        })?;
        if !by_index && !target_addresses.is_empty() {
            people.each(transaction, &people.with_address()?, &[], |person| {
                let identity = person.email_identity(&self.key, &row.tenant).filter(|identity| target_addresses.contains(identity));
                if let Some(identity) = identity
                    && exemptions.cover_person(&person)?
                {
                    exempt_addresses.insert(identity);
                }
                Ok(())
            })?;
        }
        if !exempt_addresses.is_empty() {
            each_left(transaction, row, |target| {
                let shared = !target.flags.by_pair && exempt_addresses.contains(&target.identity);
                if shared { Ok(ledger::mark_exempt(transaction, row.id, &target.key)?) } else { Ok(()) }
            })?;
        }
        ledger::note_exemptions_seen(transaction, row.id, newest)?;
        Ok(true)
    }
}

/// Calls with each target that is left.
fn each_left(
    transaction: &Transaction<'_>,
    row: &ImportRow,
    mut with: impl FnMut(&ledger::Target) -> Result<(), PurgeError>,
) -> Result<(), PurgeError> {
    let mut after = row.cursor.clone();
    loop {
        let targets = ledger::next_targets(transaction, row.id, after.as_ref(), BATCH)?;
        let Some(last) = targets.last() else { return Ok(()) };
        after = Some(last.key.clone());
        targets.iter().try_for_each(&mut with)?;
    }
}
