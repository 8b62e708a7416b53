//! One person by account and id, as a person asks for one: their key, and whether they must not be registered again.

use rusqlite::Connection;

use super::people::People;
use super::{Engine, PurgeError};
use crate::domain::{SubjectKey, TenantName};
use crate::store::ledger::{self, Suppression, SuppressionKind};
use crate::store::{Doing, Key};

/// One person by account and id.
#[derive(Debug, Eq, PartialEq)]
pub struct Participant {
    /// Their key; `None` when the tenant has no such person.
    pub key: Option<Key>,
    /// The account and id must not be registered again.
    pub pair_suppressed: bool,
    /// Their address must not be registered again.
    pub address_suppressed: bool,
}

impl Engine {
    /// Looks one person up. Where a plan's table has several for the pair, the first of them.
    ///
    /// # Errors
    /// The store, or a plan that names no columns for account and id.
    pub fn participant(&self, connection: &Connection, tenant: &TenantName, account: &str, id: &str) -> Result<Participant, PurgeError> {
        let people = People::of(&self.plan, tenant)?;
        let snapshot = connection.unchecked_transaction().doing("begin to read")?;
        let pair = SubjectKey::Pair { account: account.to_owned(), id: id.to_owned() };
        let mut found = None;
        people.each(&snapshot, &people.by_pair()?, &[&account, &id], |person| {
            if found.is_none() && person.is(&pair) {
                found = Some(person);
            }
            Ok(())
        })?;
        let is = |kind, identity| ledger::is_suppressed(&snapshot, tenant, Suppression { kind, identity });
        let email = found.as_ref().and_then(|person| person.email_identity(&self.key, tenant));
        Ok(Participant {
            pair_suppressed: is(SuppressionKind::Pair, self.key.pair(tenant, account, id))?,
            address_suppressed: email.map_or(Ok(false), |identity| is(SuppressionKind::Email, identity))?,
            key: found.map(|person| person.named(&self.plan)).transpose()?,
        })
    }
}
