//! What goes with the chunk's subjects, noted in temporary tables before anything is changed.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::people::{People, stays};
use super::steps::{Mark, MarkFrom};
use super::terms::{ADDRESSES, in_main, of};
use super::{Engine, PurgeError};
use crate::domain::{Email, TenantName};
use crate::purge::plan::Compare;
use crate::store::{Doing, StoreError};

impl Engine {
    /// Notes what goes with the chunk's subjects. The chunk, its addresses and the accounts that go are there.
    pub(super) fn mark(&self, people: &People<'_>, connection: &Connection) -> Result<(), PurgeError> {
        let doing = "note what goes with the subjects of a chunk";
        for mark in &self.steps.marks {
            connection.execute_batch(&mark.make).doing(doing)?;
            connection.prepare_cached(&mark.empty).doing(doing)?.execute([]).doing(doing)?;
        }
        // Marks of one group stand together: tables that refer to themselves, or to each other in a circle, grow all of their marks round
        // by round. A row noted in a round is looked at once, in that round's turn.
        for marks in self.steps.marks.chunk_by(|one, other| one.group == other.group) {
            for mark in marks {
                match &mark.from {
                    MarkFrom::Sql(sql) => connection.prepare_cached(sql).doing(doing)?.execute([]),
                    MarkFrom::Subject { columns, into } => {
                        let sql = format!("{into}{}", people.select_chunk(columns));
                        connection.prepare_cached(&sql).doing(doing)?.execute([people.tenant.as_str()])
                    }
                }
                .doing(doing)?;
            }
            grow(connection, marks).doing(doing)?;
        }
        Ok(())
    }

    /// Notes the addresses of the chunk's subjects that nobody else of the tenant has: what holds one of them is theirs alone.
    pub(super) fn note_addresses(&self, people: &People<'_>, connection: &Connection, addresses: &[Email]) -> Result<(), PurgeError> {
        let doing = "note the addresses of a chunk";
        if !self.steps.by_address {
            return Ok(());
        }
        let make = format!(r#"CREATE TABLE IF NOT EXISTS {ADDRESSES} ("address" PRIMARY KEY, "tenant") WITHOUT ROWID"#);
        connection.execute_batch(&make).doing(doing)?;
        connection.execute(&format!("DELETE FROM {ADDRESSES}"), []).doing(doing)?;
        let mut insert = connection.prepare_cached(&format!("INSERT OR IGNORE INTO {ADDRESSES} VALUES (?1, ?2)")).doing(doing)?;
        for address in addresses {
            insert.execute((address.as_str(), people.tenant.as_str())).doing(doing)?;
        }
        let sql = still_held(people)?;
        connection.prepare_cached(&sql).doing(doing)?.execute([people.tenant.as_str()]).doing(doing)?;
        Ok(())
    }

    /// Gives the connection the functions that the plan's statements use.
    pub(super) fn lend_functions(&self, connection: &Connection) -> Result<(), StoreError> {
        let doing = "lend SQLite the comparison of addresses";
        if !self.steps.by_address && !self.steps.hashes {
            return Ok(());
        }
        let there = "SELECT 1 FROM pragma_function_list WHERE name = 'expunged_hash'";
        if connection.prepare_cached(there).doing(doing)?.exists([]).doing(doing)? {
            return Ok(());
        }
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        connection
            .create_scalar_function("expunged_email", 1, flags, |call| {
                let text = call.get_raw(0).as_str_or_null().ok().flatten();
                Ok(text.and_then(|text| Email::parse(text).ok()).map(|email| email.as_str().to_owned()))
            })
            .doing(doing)?;
        let key = self.key.clone();
        connection
            .create_scalar_function("expunged_hash", 2, flags, move |call| {
                let text = match call.get_raw(0) {
                    rusqlite::types::ValueRef::Null => return Ok(None),
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Real(number) => number.to_string(),
                    rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
                        String::from_utf8_lossy(bytes).into_owned()
                    }
                };
                if is_hash(&text) {
                    return Ok(Some(text));
                }
                let tenant = call.get_raw(1).as_str().ok().and_then(|name| TenantName::parse(name).ok());
                let tenant = tenant.ok_or_else(|| rusqlite::Error::UserFunctionError("a tenant's name does not read back".into()))?;
                Ok(Some(key.text(&tenant, &text).to_string()))
            })
            .doing(doing)
    }
}

/// Takes out the addresses that a subject who stays has as well.
fn still_held(people: &People<'_>) -> Result<String, PurgeError> {
    let subject = &people.plan.subject;
    let address = people.address()?;
    let column = of(&subject.table, &address.column);
    let stays = stays(subject);
    let from = in_main(&subject.table);
    Ok(match address.compare {
        Compare::Normalised => {
            let held = people.where_clause(&stays);
            format!(r#"DELETE FROM {ADDRESSES} WHERE "address" IN (SELECT expunged_email({column}) FROM {from} WHERE {held})"#)
        }
        Compare::Nocase | Compare::Exact => {
            let nocase = if address.compare == Compare::Nocase { " COLLATE NOCASE" } else { "" };
            let noted = of("expunged_addresses", "address");
            let held = people.where_clause(&format!("{column} = {noted}{nocase} AND {stays}"));
            format!("DELETE FROM {ADDRESSES} WHERE EXISTS (SELECT 1 FROM {from} WHERE {held})")
        }
    })
}

fn grow(connection: &Connection, marks: &[Mark]) -> rusqlite::Result<()> {
    for round in 0_u32.. {
        let mut added = 0;
        for sql in marks.iter().filter_map(|mark| mark.grow.as_ref()) {
            added += connection.prepare_cached(sql)?.execute([round])?;
        }
        if added == 0 {
            return Ok(());
        }
    }
    Ok(())
}

fn is_hash(text: &str) -> bool {
    text.strip_prefix("hmac:").is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
