//! The addresses in the rows of people who are about to go that are not in the plan's column: whole cells, and what stands inside
//! texts, JSON and blobs of either.
//!
//! What someone who stays has for their own address is nobody's trace: who was invited by bob@x.example takes nothing of Bob along.
//! That is asked of many addresses together, and of none where there are none.

use std::collections::HashSet;

use memchr::{memchr_iter, memchr3};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::people::{Look, People, Person};
use super::plan::Compare;
use super::shape::same;
use super::{Engine, PurgeError};
use crate::domain::text::{each_jsonb_text, each_reading, each_spelling};
use crate::domain::{Email, ImportId};
use crate::store::Doing;
use crate::store::ledger::{self, Target, TargetFlags};

/// Readings of addresses that are kept until it is asked whose they are: some megabytes.
const READINGS_MAX: usize = 50_000;

/// Gathers other addresses of an import's targets.
pub(super) struct Others<'a> {
    engine: &'a Engine,
    people: People<'a>,
    connection: &'a Connection,
    import: ImportId,
    /// Each address as all that it may be read as.
    waiting: HashSet<Vec<Email>>,
    readings: usize,
}

impl<'a> Others<'a> {
    pub(super) fn new(engine: &'a Engine, people: People<'a>, connection: &'a Connection, import: ImportId) -> Self {
        Self { engine, people, connection, import, waiting: HashSet::new(), readings: 0 }
    }

    /// Reads the chosen people's rows. Addresses inside the plan's own column are shown at once.
    pub(super) fn read_chunk<E: From<PurgeError>>(&mut self, with: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let doing = "read the rows of an import's targets";
        let connection = self.connection;
        let mut statement = connection.prepare_cached(&self.people.select_whole_chunk()).doing(doing).map_err(PurgeError::from)?;
        let subject = &self.engine.plan.subject;
        let is_address = |column: &str| subject.address.as_ref().is_some_and(|address| same(column, &address.column));
        let (address, columns) = (statement.column_names().position(is_address), statement.column_count());
        let mut rows = statement.query([self.people.tenant.as_str()]).doing(doing).map_err(PurgeError::from)?;
        while let Some(row) = rows.next().doing(doing).map_err(PurgeError::from)? {
            let mut own = Vec::new();
            if let Some(at) = address {
                self.each_in(row, at, |_, readings| {
                    own.extend(readings);
                    Ok::<_, PurgeError>(())
                })?;
                let is_address = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| Email::parse(text).is_ok());
                let is_known = row.get_ref(at).is_ok_and(|value| value.as_bytes().is_ok_and(is_address));
                own.iter().filter(|_| !is_known).try_for_each(|email| with(email.as_str()))?;
            }
            for at in (0..columns).filter(|at| Some(*at) != address) {
                self.each_in(
                    row,
                    at,
                    |others, readings| {
                        if readings.iter().any(|email| own.contains(email)) { Ok(()) } else { others.add(readings, with) }
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Shows those of the gathered addresses that nobody who stays has.
    pub(super) fn settle<E: From<PurgeError>>(&mut self, with: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let waiting = std::mem::take(&mut self.waiting);
        self.readings = 0;
        let theirs = self.of_who_stays(&waiting.iter().flatten().collect())?;
        let nobodys = waiting.iter().filter(|readings| !readings.iter().any(|email| theirs.contains(email)));
        nobodys.flatten().try_for_each(|email| with(email.as_str()))
    }

    fn add<E: From<PurgeError>>(&mut self, readings: Vec<Email>, with: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let many = readings.len();
        self.readings += if self.waiting.insert(readings) { many } else { 0 };
        if self.readings < READINGS_MAX { Ok(()) } else { self.settle(with) }
    }

    /// Shows each address in a value: all that it may be read as.
    fn each_in<E: From<PurgeError>>(
        &mut self,
        row: &Row<'_>,
        at: usize,
        mut with: impl FnMut(&mut Self, Vec<Email>) -> Result<(), E>,
    ) -> Result<(), E> {
        let value = row.get_ref(at).doing("read a value of a target's row").map_err(PurgeError::from)?;
        let mut found = Ok(());
        each_address_of(value, |readings| {
            if found.is_ok() {
                found = with(self, readings);
            }
        });
        found
    }

    /// Which of these addresses belong to people of the tenant whom the import does not take.
    fn of_who_stays(&self, sought: &HashSet<&Email>) -> Result<HashSet<Email>, PurgeError> {
        let mut theirs = HashSet::new();
        if sought.is_empty() || self.engine.plan.subject.address.is_none() {
            return Ok(theirs);
        }
        let mut note = |person: Person| {
            if let Some(email) = person.email().filter(|email| sought.contains(email))
                && self.stays(&person)?
            {
                theirs.insert(email);
            }
            Ok(())
        };
        match self.people.compare()? {
            Compare::Normalised => self.people.each(self.connection, &self.people.with_address()?, &[], note)?,
            Compare::Nocase | Compare::Exact => {
                let sql = self.people.by_address(self.connection, Look::Whole)?;
                for email in sought {
                    self.people.each(self.connection, &sql, &[&email.as_str()], &mut note)?;
                }
            }
        }
        Ok(theirs)
    }

    fn stays(&self, person: &Person) -> Result<bool, PurgeError> {
        let Some(named) = &person.key else { return Ok(true) };
        let (key, tenant) = (&self.engine.key, self.people.tenant);
        let identities = [person.email_identity(key, tenant), person.pair_identity(key, tenant)];
        for identity in identities.into_iter().flatten() {
            let target = Target { key: named.clone(), row: 0, identity, flags: TargetFlags::default() };
            if ledger::is_target(self.connection, self.import, &target)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a text holds an address and is none itself.
pub(super) fn holds_address(text: &str) -> bool {
    let mut found = false;
    each_address(text.as_bytes(), |_| found = true);
    found && Email::parse(text).is_err()
}

/// Shows each address in a text, or in a blob that is one or holds some.
fn each_address_of(value: ValueRef<'_>, mut with: impl FnMut(Vec<Email>)) {
    match value {
        ValueRef::Text(text) => each_address(text, with),
        ValueRef::Blob(blob) => {
            // By chance an address is in any bytes.
            if std::str::from_utf8(blob).is_ok() {
                each_address(blob, &mut with);
            }
            each_jsonb_text(blob, |from, to| each_address(&blob[from..to], &mut with));
        }
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => {}
    }
}

/// Shows each address in a text, as a search finds them there: all that it may be read as. One that is all of the value is read
/// in no other way.
pub(super) fn each_address(value: &[u8], mut with: impl FnMut(Vec<Email>)) {
    if memchr3(b'@', b'\\', b'%', value).is_none() {
        return;
    }
    let email = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| Email::parse(text).ok());
    if let Some(email) = email(value) {
        return with(vec![email]);
    }
    each_spelling(value, |plain| {
        for at in memchr_iter(b'@', plain) {
            let mut readings = Vec::new();
            each_reading(plain, at, |text| readings.extend(email(text)));
            if !readings.is_empty() {
                with(readings);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::each_address;

    fn check(value: &str, expected: &str) {
        let mut found: Vec<String> = Vec::new();
        each_address(value.as_bytes(), |readings| {
            found.push(readings.iter().map(crate::domain::Email::as_str).collect::<Vec<_>>().join("|"));
        });
        found.sort();
        found.dedup();
        assert_eq!(found.join(" "), expected, "{value:?}");
    }

    #[test]
    fn finds_every_address_in_a_text_and_all_that_it_may_be_read_as() {
        check("Ann@x.example", "ann@x.example");
        check("\"Ann\" <Ann@x.example>, bob@x.example", "ann@x.example bob@x.example");
        check("mailto:ann@x.example", "ann@x.example");
        check(r#"{"a":["ann@x.example"],"b":"bob\u0040x.example"}"#, "ann@x.example bob@x.example");
        check("?to=ann%40x.example&", "?to=ann@x.example|to=ann@x.example|ann@x.example");
        check("o'brien@x.example", "o'brien@x.example");
        check("<o'brien@x.example>", "o'brien@x.example|brien@x.example");
        check("ann@x.example.\u{200b} \u{feff}bob@x.example\0", "ann@x.example bob@x.example");
        check("no @ here, 100%", "");
    }
}
