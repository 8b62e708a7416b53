//! Accounts: one goes with its last user, unless a row that took one of its users asked to keep it.
//!
//! A user may spell an account otherwise than its own row does, where the columns compare by a collation or as numbers. Who is meant is
//! left to SQLite, and an account is known by its own row's spelling alone.

use std::collections::HashSet;

use rusqlite::{Connection, Row};

use super::PurgeError;
use super::people::{People, lossy_text, stays};
use super::plan::{AccountRule, Tenancy};
use super::terms::{EMPTIED, in_main, of, tuple};
use crate::domain::{Identity, IdentityKey, ImportId};
use crate::store::Doing;
use crate::store::ledger;

/// The accounts of the subjects of this transaction, as those spell them, and whether one of them is to `keep` it.
const TOUCHED: &str = r#"temp."expunged_touched""#;

/// Whose wish to keep an account counts.
pub(super) enum Kept<'a> {
    /// A purge's: as the ledger says, former chunks included.
    Ledger(ImportId),
    /// A check's: all at once.
    These(&'a HashSet<Identity>),
}

/// The accounts that lose their last user.
pub(super) struct Accounts<'a> {
    pub(super) people: People<'a>,
    pub(super) rule: &'a AccountRule,
    pub(super) key: &'a IdentityKey,
    pub(super) connection: &'a Connection,
}

/// What became of the accounts that lost their last user.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Emptied {
    pub(super) deleted: u64,
    pub(super) preserved: u64,
}

impl Accounts<'_> {
    /// Remembers the accounts of the chunk's subjects. Before they go.
    pub(super) fn touch(&self) -> Result<(), PurgeError> {
        let doing = "note the accounts of a chunk";
        let columns = self.cells();
        let make = format!(r#"CREATE TABLE IF NOT EXISTS {TOUCHED} ({columns}, "keep", PRIMARY KEY ({columns})) WITHOUT ROWID"#);
        self.connection.execute_batch(&make).doing(doing)?;
        self.connection.execute(&format!("DELETE FROM {TOUCHED}"), []).doing(doing)?;
        let named = &self.rule.subject_columns;
        for (keep, subjects) in [(1, self.people.select_keeping(named)), (0, self.people.select_chunk(named))] {
            let fill = format!("INSERT OR IGNORE INTO {TOUCHED} SELECT *, {keep} FROM ({subjects})");
            self.connection.prepare_cached(&fill).doing(doing)?.execute([self.people.tenant.as_str()]).doing(doing)?;
        }
        Ok(())
    }

    /// The touched accounts that one of the chunk's subjects wants kept.
    pub(super) fn wanted(&self) -> Result<HashSet<Identity>, PurgeError> {
        let doing = "read the accounts to keep";
        let wanted = format!(r#"{} IN (SELECT {} FROM {TOUCHED} WHERE "keep")"#, tuple(&self.columns()), self.cells());
        let sql = format!("SELECT {} FROM {} WHERE {wanted}", self.name(), in_main(&self.rule.table));
        let mut statement = self.connection.prepare_cached(&sql).doing(doing)?;
        let found = statement.query_map([], |row| self.identity(row)).doing(doing)?.collect::<Result<_, _>>().doing(doing)?;
        Ok(found)
    }

    /// Notes the touched accounts that go: those that have no user left and that no row wants kept.
    pub(super) fn doom(&self, kept: &Kept<'_>) -> Result<Emptied, PurgeError> {
        let doing = "note the empty accounts";
        let (cells, table) = (self.cells(), in_main(&self.rule.table));
        let make = format!("CREATE TABLE IF NOT EXISTS {EMPTIED} ({cells}, PRIMARY KEY ({cells})) WITHOUT ROWID");
        self.connection.execute_batch(&make).doing(doing)?;
        self.connection.execute(&format!("DELETE FROM {EMPTIED}"), []).doing(doing)?;
        if self.none_kept(kept)? {
            let columns = self.columns().join(", ");
            let sql = format!("INSERT INTO {EMPTIED} SELECT {columns} FROM {table} WHERE {}", self.emptied());
            let deleted = self.connection.prepare_cached(&sql).doing(doing)?.execute([]).doing(doing)?;
            return Ok(Emptied { deleted: deleted as u64, preserved: 0 });
        }
        let marks: Vec<_> = (1..=self.rule.columns.len()).map(|at| format!("?{at}")).collect();
        let mut insert = self.connection.prepare_cached(&format!("INSERT INTO {EMPTIED} VALUES ({})", marks.join(", "))).doing(doing)?;
        self.each_emptied(kept, |columns| {
            insert.execute(rusqlite::params_from_iter(columns)).doing(doing)?;
            Ok(())
        })
    }

    /// Deletes the accounts that were noted.
    pub(super) fn delete(&self) -> Result<(), PurgeError> {
        let doing = "delete the empty accounts";
        self.connection.prepare_cached(&self.delete_emptied()).doing(doing)?.execute([]).doing(doing)?;
        Ok(())
    }

    /// What deletes them.
    pub(super) fn delete_emptied(&self) -> String {
        format!("DELETE FROM {} WHERE {} IN (SELECT * FROM {EMPTIED})", in_main(&self.rule.table), tuple(&self.columns()))
    }

    fn columns(&self) -> Vec<String> {
        self.rule.columns.iter().map(|column| of(&self.rule.table, column)).collect()
    }

    fn cells(&self) -> String {
        (0..self.rule.columns.len()).map(|at| format!("\"c{at}\"")).collect::<Vec<_>>().join(", ")
    }

    fn none_kept(&self, kept: &Kept<'_>) -> Result<bool, PurgeError> {
        Ok(match kept {
            Kept::Ledger(import) => !ledger::any_preserved(self.connection, *import)?,
            Kept::These(accounts) => accounts.is_empty(),
        })
    }

    /// Calls with the columns of each emptied account that is not kept.
    fn each_emptied(
        &self,
        kept: &Kept<'_>,
        mut with: impl FnMut(Vec<rusqlite::types::Value>) -> Result<(), PurgeError>,
    ) -> Result<Emptied, PurgeError> {
        let doing = "read the empty accounts";
        let columns = self.columns();
        let (table, listed) = (in_main(&self.rule.table), columns.join(", "));
        let sql = format!("SELECT {}, {listed} FROM {table} WHERE {}", self.name(), self.emptied());
        let mut statement = self.connection.prepare_cached(&sql).doing(doing)?;
        // Read before the first is deleted: a statement must not walk a table that another changes.
        let found = statement
            .query_map([], |row| {
                let columns = (1..=columns.len()).map(|at| row.get(at)).collect::<Result<Vec<_>, _>>()?;
                Ok((self.identity(row)?, columns))
            })
            .doing(doing)?
            .collect::<Result<Vec<(Identity, Vec<_>)>, _>>()
            .doing(doing)?;
        let mut emptied = Emptied::default();
        for (account, columns) in found {
            let keep = match kept {
                Kept::Ledger(import) => ledger::is_preserved(self.connection, *import, &account)?,
                Kept::These(accounts) => accounts.contains(&account),
            };
            if keep {
                emptied.preserved += 1;
            } else {
                emptied.deleted += 1;
                with(columns)?;
            }
        }
        Ok(emptied)
    }

    /// Touched, and without a user but for the chunk's. Another tenant's user counts: keeping is the safe side.
    fn emptied(&self) -> String {
        let (columns, subject) = (self.columns(), &self.people.plan.subject);
        let linked: Vec<_> = std::iter::zip(&self.rule.subject_columns, &columns)
            .map(|(link, column)| format!("{} = {column}", of(&subject.table, link)))
            .collect();
        format!(
            "{} IN (SELECT {} FROM {TOUCHED}) AND NOT EXISTS (SELECT 1 FROM {} WHERE {} AND {})",
            tuple(&columns),
            self.cells(),
            in_main(&subject.table),
            linked.join(" AND "),
            stays(subject),
        )
    }

    /// What names an account, as one text: its columns but for the tenant's, joined by the unit separator.
    fn name(&self) -> String {
        let is_tenant = |column: &String| matches!(&self.people.plan.subject.tenancy, Tenancy::Column(tenant) if tenant == column);
        let named: Vec<_> = std::iter::zip(self.columns(), &self.rule.subject_columns)
            .filter(|(_, subject_column)| !is_tenant(subject_column))
            .map(|(column, _)| format!("CAST({column} AS TEXT)"))
            .collect();
        if named.is_empty() { "''".to_owned() } else { named.join(" || char(31) || ") }
    }

    /// Who an account is, by that text, which comes first.
    fn identity(&self, row: &Row<'_>) -> rusqlite::Result<Identity> {
        Ok(self.key.account(self.people.tenant, &lossy_text(row, 0)?.unwrap_or_default()))
    }
}
