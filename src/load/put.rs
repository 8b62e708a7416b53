//! Puts rows into the tables, one at a time: looks up whom a row names, then inserts it or replaces the one of its key.

use std::cmp::Ordering;

use rusqlite::{OptionalExtension, Statement, ToSql, Transaction};

use super::bad::{BadReason, Fault};
use super::{Kind, Load};
use crate::domain::{Email, IdentityKey, Reason, TenantName};
use crate::store::ledger::{self, Suppression, SuppressionKind};
use crate::store::schema::{ReferralPlace, referral_place};
use crate::store::{Doing, StoreError};

/// What became of a good row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Put {
    New,
    Replaced,
}

/// The outer error is the store's, the inner one the row's.
type Tried<T> = Result<Result<T, Fault>, StoreError>;

/// Unwraps the inner `Result`, or returns its error.
macro_rules! good {
    ($tried:expr) => {
        match $tried {
            Ok(value) => value,
            Err(fault) => return Ok(Err(fault)),
        }
    };
}

/// Puts the rows of one kind.
pub(super) struct Writer<'t> {
    people: People<'t>,
    rows: Rows<'t>,
}

enum Rows<'t> {
    Customers {
        account: Statement<'t>,
        insert: Statement<'t>,
        update: Statement<'t>,
        last_account: String,
    },
    /// `account` is the place of `accountId` in a row, that of `userId` follows it; `key` that of the key within the user.
    OfOne {
        insert: Statement<'t>,
        update: Statement<'t>,
        account: usize,
        key: usize,
    },
    Referrals {
        insert: Statement<'t>,
        update: Statement<'t>,
    },
}

impl<'t> Writer<'t> {
    pub(super) fn new(transaction: &'t Transaction<'t>, load: &Load<'t>) -> Result<Self, StoreError> {
        let people = People::new(transaction, load)?;
        let prepare = |sql: &str| transaction.prepare(sql).doing("prepare to load");
        let rows = match load.kind {
            Kind::Customers => Rows::Customers {
                account: prepare("INSERT INTO accounts (tenant, accountId) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?,
                insert: prepare(
                    "INSERT INTO customers (tenant, accountId, id, email, emailNormalised, firstName, lastName, createdAt)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (tenant, accountId, id) DO NOTHING",
                )?,
                update: prepare(
                    "UPDATE customers SET email = ?4, emailNormalised = ?5, firstName = ?6, lastName = ?7, createdAt = ?8
                     WHERE tenant = ?1 AND accountId = ?2 AND id = ?3",
                )?,
                last_account: String::new(),
            },
            Kind::Rewards => Rows::of_one(&prepare, "rewards", "id", load.kind)?,
            Kind::Events => Rows::of_one(&prepare, "events", "id", load.kind)?,
            Kind::Fields => Rows::of_one(&prepare, "custom_fields", "name", load.kind)?,
            Kind::Referrals => Rows::Referrals {
                insert: prepare(
                    "INSERT INTO referrals (referral, tenant, id, referrer, referred, status, createdAt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?,
                update: prepare("UPDATE referrals SET referrer = ?2, referred = ?3, status = ?4, createdAt = ?5 WHERE referral = ?1")?,
            },
        };
        Ok(Self { people, rows })
    }

    /// The order in which rows are put: that of the tables' keys, all of it, so that rows of one key keep theirs.
    pub(super) fn order(&self, one: &[Option<String>], other: &[Option<String>]) -> Ordering {
        let columns = match self.rows {
            Rows::Customers { .. } => [0, 1, 1],
            Rows::OfOne { account, key, .. } => [account, account + 1, key],
            // Their place is beside their party's: no order of the file's cells walks it, and the last of an id must stay the last.
            Rows::Referrals { .. } => return Ordering::Equal,
        };
        columns.map(|at| &one[at]).cmp(&columns.map(|at| &other[at]))
    }

    /// Puts a row: a value for each of the kind's columns, keys present.
    pub(super) fn put(&mut self, row: &[Option<String>]) -> Tried<Put> {
        let doing = "load a row";
        let people = &mut self.people;
        match &mut self.rows {
            Rows::Customers { account, insert, update, last_account } => {
                let normal = good!(people.may_come(row)?);
                let (tenant, row) = (people.tenant.as_str(), row.iter().map(Option::as_deref).collect::<Vec<_>>());
                if row[0] != Some(last_account) {
                    account.execute((tenant, row[0])).doing(doing)?;
                    last_account.clear();
                    last_account.push_str(row[0].unwrap_or_default());
                }
                let normal = normal.as_ref().map(Email::as_str);
                let values = (tenant, row[0], row[1], row[2], normal, row[3], row[4], row[5]);
                insert_or(insert, values, update, values)
            }
            Rows::OfOne { insert, update, account, key } => {
                let user = ("userId", &row[*account], &row[*account + 1]);
                let customer = good!(people.find(user)?);
                let own: [&dyn ToSql; 2] = [&customer, &row[*key]];
                let values: Vec<&dyn ToSql> = own.into_iter().chain(row[3..].iter().map(|cell| cell as &dyn ToSql)).collect();
                insert_or(insert, &values[..], update, &values[..])
            }
            Rows::Referrals { insert, update } => {
                let referrer = good!(people.find_party(["referrerAccountId", "referrerId"], &row[1..3])?);
                let referred = good!(people.find_party(["referredAccountId", "referredId"], &row[3..5])?);
                let Some(party) = referrer.or(referred) else {
                    return Ok(Err(Fault { column: None, reason: BadReason::NoParty }));
                };
                let (tenant, id) = (people.tenant.as_str(), row[0].as_deref().unwrap_or_default());
                match referral_place(people.transaction, tenant, id, party)? {
                    ReferralPlace::Free(place) => {
                        insert.execute((place, tenant, id, referrer, referred, &row[5], &row[6])).doing(doing)?;
                        Ok(Ok(Put::New))
                    }
                    ReferralPlace::There(place) => {
                        update.execute((place, referrer, referred, &row[5], &row[6])).doing(doing)?;
                        Ok(Ok(Put::Replaced))
                    }
                }
            }
        }
    }
}

impl<'t> Rows<'t> {
    fn of_one(
        prepare: &impl Fn(&str) -> Result<Statement<'t>, StoreError>,
        table: &str,
        key: &str,
        kind: Kind,
    ) -> Result<Self, StoreError> {
        let place = |name| kind.columns().iter().position(|(column, _)| *column == name).expect("a column of the kind");
        let rest: Vec<&str> = kind.columns()[3..].iter().map(|(name, _)| *name).collect();
        let marks: Vec<String> = (1..=rest.len() + 2).map(|at| format!("?{at}")).collect();
        let sets: Vec<String> = (3..).zip(&rest).map(|(at, column)| format!("{column} = ?{at}")).collect();
        let (columns, marks, sets) = (rest.join(", "), marks.join(", "), sets.join(", "));
        Ok(Self::OfOne {
            insert: prepare(&format!("INSERT INTO {table} (customer, {key}, {columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"))?,
            update: prepare(&format!("UPDATE {table} SET {sets} WHERE customer = ?1 AND {key} = ?2"))?,
            account: place("accountId"),
            key: place(key),
        })
    }
}

fn insert_or(
    insert: &mut Statement<'_>,
    values: impl rusqlite::Params,
    update: &mut Statement<'_>,
    again: impl rusqlite::Params,
) -> Tried<Put> {
    let doing = "load a row";
    if insert.execute(values).doing(doing)? == 1 {
        return Ok(Ok(Put::New));
    }
    update.execute(again).doing(doing)?;
    Ok(Ok(Put::Replaced))
}

/// The tenant's customers, and who must not be among them.
struct People<'t> {
    transaction: &'t Transaction<'t>,
    tenant: &'t TenantName,
    key: &'t IdentityKey,
    /// Whether the tenant has suppressed anyone.
    suppressing: bool,
    find: Statement<'t>,
    /// The customer found last: rows of one often stand together.
    last: Option<(String, String, i64)>,
}

impl<'t> People<'t> {
    fn new(transaction: &'t Transaction<'t>, load: &Load<'t>) -> Result<Self, StoreError> {
        let sql = "SELECT customer, emailNormalised FROM customers WHERE tenant = ?1 AND accountId = ?2 AND id = ?3";
        Ok(Self {
            transaction,
            tenant: load.tenant,
            key: load.key,
            suppressing: ledger::suppressions(transaction, load.tenant)? > 0,
            find: transaction.prepare(sql).doing("prepare to load")?,
            last: None,
        })
    }

    /// Whether a customer's row may be loaded; answers the address in its normal form.
    fn may_come(&self, row: &[Option<String>]) -> Tried<Option<Email>> {
        let email = match row[2].as_deref().map(Email::parse).transpose() {
            Ok(email) => email,
            Err(_) => return Ok(Err(Fault::at("email", BadReason::Row(Reason::EmailMalformed)))),
        };
        if self.suppressing {
            let (account, id) = (row[0].as_deref().unwrap_or_default(), row[1].as_deref().unwrap_or_default());
            if self.is_pair_suppressed(account, id)? {
                return Ok(Err(Fault::at("id", BadReason::Suppressed)));
            }
            if let Some(email) = &email
                && self.is_email_suppressed(email)?
            {
                return Ok(Err(Fault::at("email", BadReason::Suppressed)));
            }
        }
        Ok(Ok(email))
    }

    /// The customer that a row names; `column` is told where there is none.
    fn find(&mut self, (column, account, id): (&'static str, &Option<String>, &Option<String>)) -> Tried<i64> {
        let (account, id) = (account.as_deref().unwrap_or_default(), id.as_deref().unwrap_or_default());
        if let Some((last_account, last_id, customer)) = &self.last
            && (last_account.as_str(), last_id.as_str()) == (account, id)
        {
            return Ok(Ok(*customer));
        }
        if self.suppressing && self.is_pair_suppressed(account, id)? {
            return Ok(Err(Fault::at(column, BadReason::Suppressed)));
        }
        let found = self.find.query_row((self.tenant.as_str(), account, id), |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?)));
        let Some((customer, normal)) = found.optional().doing("look up a customer")? else {
            return Ok(Err(Fault::at(column, BadReason::UnknownCustomer)));
        };
        if self.suppressing
            && let Some(email) = normal.and_then(|normal| Email::parse(&normal).ok())
            && self.is_email_suppressed(&email)?
        {
            return Ok(Err(Fault::at(column, BadReason::Suppressed)));
        }
        self.last = Some((account.to_owned(), id.to_owned(), customer));
        Ok(Ok(customer))
    }

    /// One side of a referral; both of its cells are blank, or neither.
    fn find_party(&mut self, [account_column, id_column]: [&'static str; 2], cells: &[Option<String>]) -> Tried<Option<i64>> {
        match (&cells[0], &cells[1]) {
            (None, None) => Ok(Ok(None)),
            (None, Some(_)) => Ok(Err(Fault::at(account_column, BadReason::Row(Reason::Missing)))),
            (Some(_), None) => Ok(Err(Fault::at(id_column, BadReason::Row(Reason::Missing)))),
            (account, id) => Ok(self.find((id_column, account, id))?.map(Some)),
        }
    }

    fn is_pair_suppressed(&self, account: &str, id: &str) -> Result<bool, StoreError> {
        let identity = self.key.pair(self.tenant, account, id);
        ledger::is_suppressed(self.transaction, self.tenant, Suppression { kind: SuppressionKind::Pair, identity })
    }

    fn is_email_suppressed(&self, email: &Email) -> Result<bool, StoreError> {
        let identity = self.key.email(self.tenant, email);
        ledger::is_suppressed(self.transaction, self.tenant, Suppression { kind: SuppressionKind::Email, identity })
    }
}
