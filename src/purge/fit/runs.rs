//! Whether SQLite can do here what the plan says: a trigger, an index or a check may need a function or a collation that only
//! the application has.

use rusqlite::Connection;

use super::super::accounts::{Accounts, Kept};
use super::super::people::{People, empty_chunk};
use super::super::plan::Tenancy;
use super::super::{Engine, PurgeError};
use super::{Finding, FindingKind, Look};
use crate::domain::TenantName;
use crate::store::{Doing, Refusal, StoreError};

impl Look<'_> {
    /// Rows with a collation that is not SQLite's own cannot be deleted. Whether others can be changed, SQLite says itself.
    pub(super) fn unknown_collations(&mut self) {
        let planned = self.shape.tables.iter().filter(|table| self.plan.deletes_from(&table.name));
        let found =
            planned.flat_map(|table| table.unknown_collations.iter().map(move |(column, collation)| (&table.name, column, collation)));
        let found = found.map(|(table, column, collation)| Finding {
            kind: FindingKind::Misfit,
            what: format!("\"{table}\".\"{column}\" is compared or indexed by \"{collation}\", which only the application has"),
            mend: Some("give the column, or its index, one of SQLite's own: BINARY, NOCASE or RTRIM".to_owned()),
        });
        let found: Vec<_> = found.collect();
        self.found.extend(found);
    }

    /// Lets SQLite compile all of it, where nothing else is in the way.
    pub(super) fn runs(&mut self, engine: &Engine) -> Result<(), StoreError> {
        if self.found.iter().all(|found| found.kind != FindingKind::Misfit) {
            self.found.extend(engine.cannot_run(self.connection)?);
        }
        Ok(())
    }

    /// The same of tables whose rows stay: nobody has looked whether they hold addresses.
    pub(super) fn unread(&mut self) {
        let others = self.shape.tables.iter().filter(|table| !self.plan.deletes_from(&table.name));
        let found =
            others.flat_map(|table| table.unknown_collations.iter().map(move |(column, collation)| (&table.name, column, collation)));
        let found = found.filter(|(table, column, _)| !self.plan.accepted.has_column(table, column)).map(|(table, column, collation)| Finding {
            kind: FindingKind::Undecided,
            what: format!(
                "\"{table}\".\"{column}\" is compared or indexed by \"{collation}\", which only the application has: nobody looked for addresses there"
            ),
            mend: Some(format!("look into the table, then name \"{table}.{column}\" in accepted.columns")),
        });
        let found: Vec<_> = found.collect();
        self.found.extend(found);
    }
}

impl Engine {
    /// What SQLite refuses of the plan's work before a row is touched. The declared keys are left to the plan, as they are in its work.
    pub(super) fn cannot_run(&self, connection: &Connection) -> Result<Vec<Finding>, StoreError> {
        let doing = "leave the declared keys to the plan";
        let enforced: bool = connection.pragma_query_value(None, "foreign_keys", |row| row.get(0)).doing(doing)?;
        connection.pragma_update(None, "foreign_keys", false).doing(doing)?;
        let found = self.refused(connection);
        connection.pragma_update(None, "foreign_keys", enforced).doing(doing)?;
        found
    }

    fn refused(&self, connection: &Connection) -> Result<Vec<Finding>, StoreError> {
        let tenant = match &self.plan.subject.tenancy {
            Tenancy::Sole(sole) => sole.clone(),
            Tenancy::Column(_) => TenantName::parse("tenant").expect("a valid name"),
        };
        let people = People { plan: &self.plan, tenant: &tenant };
        let mut statements = match self.ready(&people, connection) {
            Ok(statements) => statements,
            Err(PurgeError::Store(error)) => return Err(error),
            // The plan's own words were looked at before.
            Err(_) => return Ok(Vec::new()),
        };
        statements.extend(self.steps.changes().into_iter().map(|(table, sql)| (table.to_owned(), sql.to_owned())));
        let mut found: Vec<Finding> = Vec::new();
        for (table, sql) in statements {
            let Err(error) = connection.prepare(&sql) else { continue };
            let why = Refusal::from(error);
            let finding = Finding {
                kind: FindingKind::Misfit,
                what: format!("the rows of \"{table}\" cannot be changed: {why}"),
                mend: Some(
                    "a trigger, an index, a check or a generated column there needs what only the application has: rewrite it or drop it"
                        .to_owned(),
                ),
            };
            if !found.contains(&finding) {
                found.push(finding);
            }
        }
        Ok(found)
    }

    /// Makes the temporary tables that the work is done by. Gives what deletes people and accounts.
    fn ready(&self, people: &People<'_>, connection: &Connection) -> Result<Vec<(String, String)>, PurgeError> {
        self.lend_functions(connection)?;
        empty_chunk(connection, &self.plan)?;
        self.note_addresses(people, connection, &[])?;
        for mark in &self.steps.marks {
            connection.execute_batch(&mark.make).doing("make the tables of a chunk")?;
        }
        let mut deletes = vec![(self.plan.subject.table.clone(), people.delete_chunk())];
        if let Some(rule) = &self.plan.account {
            let accounts = Accounts { people: *people, rule, key: &self.key, connection };
            accounts.touch()?;
            accounts.doom(&Kept::These(&std::collections::HashSet::new()))?;
            deletes.push((rule.table.clone(), accounts.delete_emptied()));
        }
        Ok(deletes)
    }
}
