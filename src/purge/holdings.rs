//! For a person who looks for a person: who is found by a text, and everything that the plan's tables hold about one.
//!
//! Nothing here has `Debug`: it is all personal data.

use std::collections::HashSet;

use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use rusqlite::{Connection, Row};

use super::accounts::{Accounts, Kept};
use super::people::{FOLD, People, empty_chunk, lossy_text};
use super::plan::Compare;
use super::terms::{CHUNK, in_main, of};
use super::{Engine, PurgeError};
use crate::domain::{Email, TenantName, fold_case};
use crate::store::{Doing, Key};

/// Someone whom a search found.
pub struct FoundPerson {
    /// The key, for [`Engine::holdings`]. `None`: it came to be null.
    pub key: Option<Key>,
    /// The account's id.
    pub account: Option<String>,
    /// The person's own id.
    pub id: Option<String>,
    /// The address as stored.
    pub address: Option<String>,
    /// First name, last name, or whatever names the plan has.
    pub names: Vec<Option<String>>,
}

/// What one table holds about a person.
pub struct Holding {
    /// The table.
    pub table: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The rows about the person, as stored.
    pub rows: Vec<Vec<Value>>,
    /// There are more rows than were asked for.
    pub more: bool,
}

impl Engine {
    /// Whoever of a tenant has this address or id, or a name that holds the text; in order of key.
    ///
    /// # Errors
    /// The store, or a plan that does not fit it.
    pub fn find(&self, connection: &Connection, tenant: &TenantName, text: &str, people_max: u32) -> Result<Vec<FoundPerson>, PurgeError> {
        let people = People::of(&self.plan, tenant)?;
        let text = text.trim();
        let email = Email::parse(text).ok();
        if let Some(email) = &email
            && self.plan.subject.address.as_ref().is_some_and(|address| address.compare == Compare::Normalised)
        {
            let mut found = find_by_scan(&people, connection, email, people_max as usize)?;
            found.extend(named(&people, connection, text, None, people_max)?.into_iter().filter(|person| !person.has(email)));
            found.sort_by(|one, other| one.key.cmp(&other.key));
            found.truncate(people_max as usize);
            return Ok(found);
        }
        named(&people, connection, text, email.as_ref(), people_max)
    }

    /// Everything that the plan's tables hold about one person: the subject's row, the account's, then every other table in
    /// the plan's order, empty ones too. `None` when the tenant has no such person.
    ///
    /// # Errors
    /// The store, or a plan that does not fit it.
    pub fn holdings(
        &self,
        connection: &Connection,
        tenant: &TenantName,
        key: &Key,
        rows_max: u32,
    ) -> Result<Option<Vec<Holding>>, PurgeError> {
        let people = People::of(&self.plan, tenant)?;
        let snapshot = connection.unchecked_transaction().doing("begin to read")?;
        self.lend_functions(&snapshot)?;
        empty_chunk(&snapshot, &self.plan)?;
        snapshot.execute(&format!("INSERT INTO {CHUNK} VALUES (?1, 0)"), [key]).doing("note the subject")?;
        let mut addresses = Vec::new();
        people.each(&snapshot, &people.by_key(), &[key], |person| {
            addresses.extend(person.email());
            Ok(())
        })?;
        self.note_addresses(&people, &snapshot, &addresses)?;
        if let Some(rule) = &self.plan.account {
            let accounts = Accounts { people, rule, key: &self.key, connection: &snapshot };
            accounts.touch()?;
            accounts.doom(&Kept::These(&HashSet::new()))?;
        }
        self.mark(&people, &snapshot)?;
        let tenant: &dyn rusqlite::ToSql = &tenant.as_str();
        let subject = held(&snapshot, &self.plan.subject.table, &people.select_whole_chunk(), &[tenant], rows_max)?;
        if subject.rows.is_empty() {
            return Ok(None);
        }
        let mut all = vec![subject];
        if let Some(rule) = &self.plan.account {
            let columns: Vec<_> = rule.columns.iter().map(|column| of(&rule.table, column)).collect();
            let linked = people.select_chunk(&rule.subject_columns);
            let sql = format!("SELECT * FROM {} WHERE ({}) IN ({linked})", in_main(&rule.table), columns.join(", "));
            all.push(held(&snapshot, &rule.table, &sql, &[tenant], rows_max)?);
        }
        for rule in &self.plan.rules {
            let steps = self.steps.rules.iter().find(|steps| steps.table == rule.table).expect("each rule was made into steps");
            all.push(held(&snapshot, &rule.table, &steps.select_touched, &[], rows_max)?);
        }
        Ok(Some(all))
    }
}

impl FoundPerson {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |at| lossy_text(row, at);
        let names = (4..row.as_ref().column_count()).map(text).collect::<rusqlite::Result<_>>()?;
        Ok(Self { key: row.get(0)?, address: text(1)?, account: text(2)?, id: text(3)?, names })
    }

    fn has(&self, email: &Email) -> bool {
        self.address.as_deref().and_then(|text| Email::parse(text).ok()).as_ref() == Some(email)
    }
}

/// Whoever has this id, a name that holds the text, or the address where one is looked up as stored.
fn named(
    people: &People<'_>,
    connection: &Connection,
    text: &str,
    email: Option<&Email>,
    people_max: u32,
) -> Result<Vec<FoundPerson>, PurgeError> {
    let doing = "look for a person";
    lend_fold(connection).doing(doing)?;
    let like = format!("%{}%", fold_case(text).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    let mut statement = connection.prepare_cached(&people.search(email)).doing(doing)?;
    let address = email.map_or("", Email::as_str);
    let found = statement.query_map((people.tenant.as_str(), text, like, address, people_max), FoundPerson::read).doing(doing)?;
    Ok(found.collect::<Result<_, _>>().doing(doing)?)
}

/// SQLite's own LIKE folds the letters of ASCII only.
fn lend_fold(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(FOLD, 1, flags, |call| {
        let name = call.get_raw(0);
        Ok(name.as_bytes_or_null()?.map(|bytes| fold_case(&String::from_utf8_lossy(bytes))))
    })
}

/// Where addresses are stored as people wrote them, they are folded here, one after the other.
fn find_by_scan(people: &People<'_>, connection: &Connection, email: &Email, people_max: usize) -> Result<Vec<FoundPerson>, PurgeError> {
    let doing = "look for a person";
    let mut statement = connection.prepare_cached(&people.search_addressed()?).doing(doing)?;
    let rows = statement.query_map([people.tenant.as_str()], FoundPerson::read).doing(doing)?;
    let found = rows.filter(|person| person.as_ref().map_or(true, |person| person.has(email))).take(people_max);
    Ok(found.collect::<Result<_, _>>().doing(doing)?)
}

fn held(
    connection: &Connection,
    table: &str,
    sql: &str,
    parameters: &[&dyn rusqlite::ToSql],
    rows_max: u32,
) -> Result<Holding, PurgeError> {
    let doing = "read what is held about a person";
    let mut statement = connection.prepare(&format!("{sql} LIMIT {}", u64::from(rows_max) + 1)).doing(doing)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows =
        statement.query_map(parameters, |row| (0..columns.len()).map(|at| row.get(at)).collect::<Result<Vec<Value>, _>>()).doing(doing)?;
    let mut rows = rows.collect::<Result<Vec<_>, _>>().doing(doing)?;
    let more = rows.len() > rows_max as usize;
    rows.truncate(rows_max as usize);
    Ok(Holding { table: table.to_owned(), columns, rows, more })
}
