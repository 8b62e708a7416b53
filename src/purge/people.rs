//! Statements on the subject table. There is one way to make them, and it takes the tenant: a statement that selects
//! subjects without the tenant's condition cannot be built.

use rusqlite::{Connection, OptionalExtension, Row};

use super::PurgeError;
use super::others::{each_address, holds_address};
use super::plan::{Compare, Plan, Subject, Tenancy};
use super::shape::rows;
use super::sql::by_key;
use super::terms::{CHUNK, in_main, name, of};
use crate::domain::{Email, Identity, IdentityKey, SubjectKey, TenantName};
use crate::store::ledger::Target;
use crate::store::{Doing, Key, StoreError};

/// One tenant's subjects, as the plan sees them. `?1` of every statement is the tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct People<'a> {
    pub(super) plan: &'a Plan,
    pub(super) tenant: &'a TenantName,
}

/// One subject, as far as it identifies a person. No `Debug`: it holds an address.
pub(super) struct Person {
    /// `None`: it came to be null, so that no list can take them.
    pub(super) key: Option<Key>,
    address: Option<String>,
    account: Option<String>,
    id: Option<String>,
}

/// What is read of each person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Look {
    /// All that identifies them.
    Whole,
    /// The key and the address alone, which an index on the address may hold.
    Address,
}

impl<'a> People<'a> {
    pub(super) fn of(plan: &'a Plan, tenant: &'a TenantName) -> Result<Self, PurgeError> {
        match &plan.subject.tenancy {
            Tenancy::Sole(sole) if sole != tenant => Err(PurgeError::AnotherTenants { sole: sole.clone() }),
            Tenancy::Sole(_) | Tenancy::Column(_) => Ok(Self { plan, tenant }),
        }
    }

    /// The subjects of the tenant for whom a further condition holds.
    pub(super) fn where_clause(&self, condition: &str) -> String {
        match &self.plan.subject.tenancy {
            Tenancy::Column(column) => format!("{} = ?1 AND {condition}", of(&self.plan.subject.table, column)),
            // The tenant was compared when this value was made.
            Tenancy::Sole(_) => format!("?1 IS NOT NULL AND {condition}"),
        }
    }

    /// The same where the condition is on keys and names few rows: SQLite, which has no statistics, would rather walk all of the
    /// tenant's by an index on the tenant. (A unary plus would take the column's affinity along with its index.)
    fn where_keys(&self, condition: &str) -> String {
        match &self.plan.subject.tenancy {
            Tenancy::Column(column) => format!("({} = ?1) IS TRUE AND {condition}", of(&self.plan.subject.table, column)),
            Tenancy::Sole(_) => self.where_clause(condition),
        }
    }

    /// The condition of all others', where the tenant is the first parameter.
    pub(super) fn others(&self) -> String {
        format!("({}) IS NOT TRUE", self.tenants_own("?1"))
    }

    /// The condition of the tenant alone, where the tenant is another parameter than the first.
    pub(super) fn tenants_own(&self, parameter: &str) -> String {
        match &self.plan.subject.tenancy {
            Tenancy::Column(column) => format!("{} = {parameter}", of(&self.plan.subject.table, column)),
            Tenancy::Sole(_) => format!("{parameter} IS NOT NULL"),
        }
    }

    fn select_people(&self, names: &[String], where_clause: &str) -> String {
        let names: Vec<_> = names.iter().map(|name| self.text(Some(name))).collect();
        self.select_from(&in_main(&self.plan.subject.table), &names, where_clause)
    }

    fn select_from(&self, from: &str, more: &[String], where_clause: &str) -> String {
        let subject = &self.plan.subject;
        let more: String = more.iter().map(|column| format!(", {column}")).collect();
        format!(
            "SELECT {}, {}, {}, {}{more} FROM {from} WHERE {where_clause}",
            of(&subject.table, &subject.key),
            self.text(subject.address.as_ref().map(|address| &address.column)),
            self.text(subject.account.as_ref()),
            self.text(subject.id.as_ref()),
        )
    }

    fn text(&self, column: Option<&String>) -> String {
        column.map_or_else(|| "NULL".to_owned(), |column| format!("CAST({} AS TEXT)", of(&self.plan.subject.table, column)))
    }

    /// How many there are.
    pub(super) fn count(&self) -> String {
        format!("SELECT count(*) FROM {} WHERE {}", in_main(&self.plan.subject.table), self.where_clause("1"))
    }

    /// Whoever has a key by now.
    pub(super) fn by_key(&self) -> String {
        self.select_people(&[], &self.where_keys(&format!("{} = ?2", of(&self.plan.subject.table, &self.plan.subject.key))))
    }

    /// Whoever has a key of the chunk's table, from `?2` to `?3`, by now: in order of those, each with the one it has.
    fn by_chunk(&self) -> String {
        let (table, chosen) = (&self.plan.subject.table, of("expunged_chunk", "key"));
        let from = format!("{CHUNK} CROSS JOIN {}", in_main(table));
        let keys = format!("{} = {chosen} AND {chosen} BETWEEN ?2 AND ?3 ORDER BY {chosen}", of(table, &self.plan.subject.key));
        self.select_from(&from, std::slice::from_ref(&chosen), &self.where_keys(&keys))
    }

    /// Whoever has an address, where it compares by index.
    pub(super) fn by_address(&self, connection: &Connection, look: Look) -> Result<String, PurgeError> {
        let (subject, address) = (&self.plan.subject, self.address()?);
        let (key, column) = (of(&subject.table, &subject.key), of(&subject.table, &address.column));
        let nocase = if address.compare == Compare::Nocase { " COLLATE NOCASE" } else { "" };
        let has = format!("{column} = ?2{nocase}");
        let select = |condition: String| {
            if look == Look::Whole {
                return self.select_people(&[], &condition);
            }
            let (text, people) = (self.text(Some(&address.column)), in_main(&subject.table));
            format!("SELECT {key}, {text}, NULL, NULL FROM {people} WHERE {condition}")
        };
        let [sql, aside] = [self.where_clause(&has), self.where_keys(&has)].map(select);
        let finds = |sql: &str| finds_by(connection, sql, &address.column);
        Ok(if !finds(&sql)? && finds(&aside)? { aside } else { sql })
    }

    /// Everyone who has any address.
    pub(super) fn with_address(&self) -> Result<String, PurgeError> {
        let column = of(&self.plan.subject.table, &self.address()?.column);
        Ok(self.select_people(&[], &self.where_clause(&format!("{column} IS NOT NULL"))))
    }

    /// Whoever has an account and id.
    pub(super) fn by_pair(&self) -> Result<String, PurgeError> {
        let subject = &self.plan.subject;
        let (Some(account), Some(id)) = (&subject.account, &subject.id) else {
            return Err(PurgeError::CannotServe("the plan names no columns for accountId and id, so it cannot serve a participant file"));
        };
        let pair = format!("{} = ?2 AND {} = ?3", of(&subject.table, account), of(&subject.table, id));
        Ok(self.select_people(&[], &self.where_clause(&pair)))
    }

    pub(super) fn compare(&self) -> Result<Compare, PurgeError> {
        Ok(self.address()?.compare)
    }

    pub(super) fn address(&self) -> Result<&super::plan::Address, PurgeError> {
        let none = PurgeError::CannotServe("the plan names no address column, so it cannot serve an e-mail file");
        self.plan.subject.address.as_ref().ok_or(none)
    }

    /// Takes the subjects of the chunk.
    pub(super) fn delete_chunk(&self) -> String {
        let subject = &self.plan.subject;
        format!("DELETE FROM {} WHERE {}", in_main(&subject.table), self.where_keys(&self.in_chunk()))
    }

    /// The values of some columns of the chunk's subjects.
    pub(super) fn select_chunk(&self, columns: &[String]) -> String {
        self.select_those(columns, &self.in_chunk())
    }

    /// The same of those whose account is to be kept.
    pub(super) fn select_keeping(&self, columns: &[String]) -> String {
        let keeping = format!(r#"{} IN (SELECT "key" FROM {CHUNK} WHERE "keep")"#, of(&self.plan.subject.table, &self.plan.subject.key));
        self.select_those(columns, &keeping)
    }

    fn select_those(&self, columns: &[String], condition: &str) -> String {
        let table = &self.plan.subject.table;
        let columns: Vec<_> = columns.iter().map(|column| of(table, column)).collect();
        let present: String = columns.iter().map(|column| format!(" AND {column} IS NOT NULL")).collect();
        format!("SELECT {} FROM {} WHERE {}{present}", columns.join(", "), in_main(table), self.where_keys(condition))
    }

    /// The whole rows of the chunk's subjects.
    pub(super) fn select_whole_chunk(&self) -> String {
        format!("SELECT * FROM {} WHERE {}", in_main(&self.plan.subject.table), self.where_keys(&self.in_chunk()))
    }

    /// Whoever has `?2` for an id, a name like `?3` once its case is folded by [`FOLD`], or the address `?4` where one is sought: at most `?5`, in order of key.
    pub(super) fn search(&self, sought: Option<&Email>) -> String {
        let subject = &self.plan.subject;
        let column = |column: &String| of(&subject.table, column);
        let id = subject.id.iter().map(|id| format!("CAST({} AS TEXT) = ?2", column(id)));
        let names: Vec<_> = subject.names.iter().map(|name| format!("coalesce(CAST({} AS TEXT), '')", column(name))).collect();
        let name = (!names.is_empty()).then(|| format!("{FOLD}({}) LIKE ?3 ESCAPE '\\'", names.join(" || ' ' || ")));
        let address = subject.address.iter().filter(|_| sought.is_some()).map(|address| match address.compare {
            Compare::Nocase => format!("{} = ?4 COLLATE NOCASE", column(&address.column)),
            Compare::Exact | Compare::Normalised => format!("{} = ?4", column(&address.column)),
        });
        let any: Vec<_> = id.chain(name).chain(address).collect();
        let any = if any.is_empty() { "0".to_owned() } else { any.join(" OR ") };
        // Each parameter is named, whatever the plan has columns for.
        let condition = format!("({any}) AND coalesce(?2, ?3, ?4, '') IS NOT NULL ORDER BY {} LIMIT ?5", of(&subject.table, &subject.key));
        self.select_people(&subject.names, &self.where_clause(&condition))
    }

    /// Everyone who has an address, with their names, in order of key.
    pub(super) fn search_addressed(&self) -> Result<String, PurgeError> {
        let subject = &self.plan.subject;
        let (address, key) = (of(&subject.table, &self.address()?.column), of(&subject.table, &subject.key));
        Ok(self.select_people(&subject.names, &self.where_clause(&format!("{address} IS NOT NULL ORDER BY {key}"))))
    }

    fn in_chunk(&self) -> String {
        format!("{} IN (SELECT {} FROM {CHUNK})", of(&self.plan.subject.table, &self.plan.subject.key), name("key"))
    }

    /// Runs a statement made here, with what follows the tenant.
    pub(super) fn each(
        &self,
        connection: &Connection,
        sql: &str,
        rest: &[&dyn rusqlite::ToSql],
        mut with: impl FnMut(Person) -> Result<(), PurgeError>,
    ) -> Result<(), PurgeError> {
        let doing = "look for people";
        let mut statement = connection.prepare_cached(sql).doing(doing)?;
        let tenant = self.tenant.as_str();
        let mut rows = match rest {
            [] => statement.query((tenant,)),
            [one] => statement.query((tenant, one)),
            [one, two, ..] => statement.query((tenant, one, two)),
        }
        .doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            with(Person::read(row).doing(doing)?)?;
        }
        Ok(())
    }
}

/// The condition of all subjects, of any tenant, but the chunk's. A key can come to be null while an import runs, and whoever has none stays.
pub(super) fn stays(subject: &Subject) -> String {
    format!("({} IN (SELECT {} FROM {CHUNK})) IS NOT TRUE", of(&subject.table, &subject.key), name("key"))
}

/// Whether SQLite answers a look-up by an index on this column. It would as soon take one on the tenant alone that holds all that is
/// asked, and walk it for each row of a list.
fn finds_by(connection: &Connection, sql: &str, column: &str) -> Result<bool, StoreError> {
    let steps = rows(connection, &format!("EXPLAIN QUERY PLAN {sql}"), ("", ""), |row| row.get::<_, String>("detail"))?;
    let terms = ["(", " AND "].map(|before| format!("{before}{column}=?").to_ascii_lowercase());
    let finds = |step: &String| terms.iter().any(|term| step.to_ascii_lowercase().contains(term));
    Ok(steps.iter().any(finds))
}

/// The function that folds the case of a text, lent by whoever searches.
pub(super) const FOLD: &str = "expunged_fold";

/// How many targets are read together.
const TOGETHER: usize = 1_000;

impl People<'_> {
    /// Puts the keys of targets into the chunk's table, in their order, and shows each target with the subject that has its key by
    /// now. Keys for which `with` answers false are taken out again.
    pub(super) fn choose<E: From<PurgeError>>(
        &self,
        connection: &Connection,
        targets: impl Iterator<Item = Target>,
        mut with: impl FnMut(Target, Option<Person>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut targets = targets.peekable();
        let sql = self.by_chunk();
        while let Some(first) = targets.next() {
            // Integers only: a database of UTF-16 orders texts otherwise than we do.
            let integer = |target: &Target| matches!(target.key, Key::Integer(_));
            let several = integer(&first);
            let mut together = vec![first];
            while several
                && together.len() < TOGETHER
                && let Some(next) = targets.next_if(integer)
            {
                together.push(next);
            }
            let left_out = self.choose_together(connection, &sql, together, &mut with)?;
            let doing = "leave subjects out of a chunk";
            let delete = format!(r#"DELETE FROM {CHUNK} WHERE "key" = ?1"#);
            let mut delete = connection.prepare_cached(&delete).doing(doing).map_err(PurgeError::from)?;
            for key in &left_out {
                delete.execute([key]).doing(doing).map_err(PurgeError::from)?;
            }
        }
        Ok(())
    }

    fn choose_together<E: From<PurgeError>>(
        &self,
        connection: &Connection,
        sql: &str,
        targets: Vec<Target>,
        with: &mut impl FnMut(Target, Option<Person>) -> Result<bool, E>,
    ) -> Result<Vec<Key>, E> {
        let (first, last) = (targets.first().map(|target| target.key.clone()), targets.last().map(|target| target.key.clone()));
        let mut left_out = Vec::new();
        self.note_keys(connection, &targets)?;
        let doing = "read the subjects of a chunk";
        let mut statement = connection.prepare_cached(sql).doing(doing).map_err(PurgeError::from)?;
        let mut rows = statement.query((self.tenant.as_str(), first, last)).doing(doing).map_err(PurgeError::from)?;
        let mut next = || -> Result<Option<(Key, Person)>, PurgeError> {
            let row = rows.next().doing(doing)?;
            Ok(row.map(|row| rusqlite::Result::Ok((row.get(4)?, Person::read(row)?))).transpose().doing(doing)?)
        };
        let mut read = next()?;
        for target in targets {
            let mut found = None;
            while let Some((_, person)) = read.take_if(|(key, _)| *key == target.key) {
                (found, read) = (Some(person), next()?);
            }
            let key = target.key.clone();
            if !with(target, found)? {
                left_out.push(key);
            }
        }
        if read.is_some() {
            return Err(PurgeError::from(StoreError::Ledger("order of targets")).into());
        }
        Ok(left_out)
    }

    fn note_keys(&self, connection: &Connection, targets: &[Target]) -> Result<(), PurgeError> {
        let doing = "note the subjects of a chunk";
        let mut insert = connection.prepare_cached(&format!("INSERT INTO {CHUNK} VALUES (?1, ?2)")).doing(doing)?;
        for target in targets {
            insert.execute((&target.key, target.flags.preserve_empty_account)).doing(doing)?;
        }
        Ok(())
    }
}

/// Makes the table of the transaction's subjects, or empties it.
///
/// Where subjects go by row number it is a table by row number: SQLite then looks into it as it stands, where it would
/// otherwise copy it for each statement, and reads a child's index in its order.
pub(super) fn empty_chunk(connection: &Connection, plan: &Plan) -> Result<(), PurgeError> {
    let doing = "make the table of a chunk's subjects";
    let columns = if by_row_number(connection, plan)? {
        r#"("key" INTEGER PRIMARY KEY, "keep")"#
    } else {
        r#"("key" PRIMARY KEY, "keep") WITHOUT ROWID"#
    };
    let sql = format!("CREATE TABLE {} {columns}", name("expunged_chunk"));
    let there = "SELECT sql FROM temp.sqlite_schema WHERE name = 'expunged_chunk'";
    let there: Option<String> =
        connection.prepare_cached(there).and_then(|mut found| found.query_row([], |row| row.get(0)).optional()).doing(doing)?;
    if there.as_ref() == Some(&sql) {
        connection.prepare_cached(&format!("DELETE FROM {CHUNK}")).and_then(|mut empty| empty.execute([])).doing(doing)?;
    } else {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS {CHUNK}; {}", sql.replacen("TABLE", "TEMP TABLE", 1))).doing(doing)?;
    }
    Ok(())
}

/// Whether the subject's key is its row number, and every reference to it is stored as a number: then no comparison needs
/// another affinity than the index on the child's column has.
fn by_row_number(connection: &Connection, plan: &Plan) -> Result<bool, PurgeError> {
    let doing = "read how subjects are keyed";
    let column = |table: &str, column: &str| {
        let sql = "SELECT upper(type), pk FROM pragma_table_info(?1, 'main') WHERE name = ?2 COLLATE NOCASE";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_row([table, column], |row| <(String, u32)>::try_from(row)).optional()
    };
    let subject = &plan.subject;
    let alone = "SELECT count(*) = 1 AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1, 'main') WHERE origin = 'pk')
        FROM pragma_table_info(?1, 'main') WHERE pk > 0";
    let row_number = column(&subject.table, &subject.key).doing(doing)?.is_some_and(|(declared, pk)| declared == "INTEGER" && pk == 1)
        && connection.prepare_cached(alone).and_then(|mut found| found.query_row([&subject.table], |row| row.get(0))).doing(doing)?;
    for (table, edge) in plan.references().filter(|(_, edge)| by_key(plan, edge)) {
        if !row_number || !column(table, &edge.columns[0]).doing(doing)?.is_some_and(|(declared, _)| declared.contains("INT")) {
            return Ok(false);
        }
    }
    Ok(row_number)
}

impl Person {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        // Texts that are not UTF-8 are nobody whom a file could name.
        let text = |at| -> rusqlite::Result<Option<String>> { Ok(row.get_ref(at)?.as_str_or_null().ok().flatten().map(str::to_owned)) };
        Ok(Self { key: row.get(0)?, address: text(1)?, account: text(2)?, id: text(3)? })
    }

    /// What names them. Who is to go, and whom nothing names, is not passed over: that would be told as not found.
    pub(super) fn named(self, plan: &Plan) -> Result<Key, PurgeError> {
        self.key.ok_or_else(|| PurgeError::Keyless { table: plan.subject.table.clone(), key: plan.subject.key.clone() })
    }

    /// Whether this is whom a row names. Settles what SQL's comparison may have let through: affinity, collation.
    pub(super) fn is(&self, subject: &SubjectKey) -> bool {
        match subject {
            SubjectKey::Email(email) => self.email().as_ref() == Some(email),
            SubjectKey::Pair { account, id } => self.account.as_ref() == Some(account) && self.id.as_ref() == Some(id),
        }
    }

    /// Everything by which others may name this person; of a text that holds an address and more, that address is told elsewhere.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let address = self.address.as_deref().filter(|text| !holds_address(text));
        let key = match &self.key {
            Some(Key::Text(key)) => std::str::from_utf8(key).ok().filter(|key| self.id.as_deref() != Some(key)),
            Some(Key::Integer(_) | Key::Blob(_)) | None => None,
        };
        [address, self.account.as_deref(), self.id.as_deref()].into_iter().flatten().chain(key)
    }

    pub(super) fn email(&self) -> Option<Email> {
        self.address.as_deref().and_then(|address| Email::parse(address).ok())
    }

    /// Every address that stands in the plan's column: the one that it is, or all that a longer text may be read as.
    pub(super) fn emails_within(&self) -> Vec<Email> {
        let mut within = Vec::new();
        each_address(self.address.as_deref().unwrap_or_default().as_bytes(), |readings| within.extend(readings));
        within
    }

    pub(super) fn email_identity(&self, key: &IdentityKey, tenant: &TenantName) -> Option<Identity> {
        self.email().map(|email| key.email(tenant, &email))
    }

    pub(super) fn pair_identity(&self, key: &IdentityKey, tenant: &TenantName) -> Option<Identity> {
        Some(key.pair(tenant, self.account.as_deref()?, self.id.as_deref()?))
    }
}

/// A text as stored; where it is not UTF-8 still the same text wherever it is read.
pub(super) fn lossy_text(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get_ref(at)?.as_bytes_or_null()?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}
