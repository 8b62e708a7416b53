//! Whose a row is that holds something: someone's who was not purged, the plan's to keep, or nobody's.
//!
//! References are followed row by row, each row once however many ways lead to it: nothing is kept of the ways themselves, which
//! can be as many as two to the number of tables.

use std::collections::HashSet;

use rusqlite::{Connection, params_from_iter};

use super::record::Cell;
use crate::store::{Doing, Kept, Lead, Living, StoreError};

/// Whose a row is.
#[derive(Clone, Copy)]
pub(super) enum Whose<'a> {
    /// Someone's who was not purged.
    Living,
    /// A purged person's, and the plan keeps it.
    Kept(&'a Kept),
    Nobodys,
}

/// A table as its rows are stored, and told apart.
pub(super) struct Table {
    pub(super) name: String,
    /// In the order in which records hold them.
    pub(super) columns: Vec<String>,
    /// It has no row numbers: its key comes first.
    pub(super) clustered: bool,
    /// What tells a row from the others: its number, by a word that is no column's, or columns.
    pub(super) told_by: Vec<String>,
    /// They are told apart by their numbers.
    pub(super) numbered: bool,
}

/// The values that tell a row from the others of its table.
pub(super) type RowKey = Vec<Cell>;

impl Table {
    /// SQLite's own, whose root is the first page.
    pub(super) fn schema() -> Self {
        let columns = ["type", "name", "tbl_name", "rootpage", "sql"].map(str::to_owned).to_vec();
        Self { name: "sqlite_schema".to_owned(), columns, clustered: false, told_by: vec!["rowid".to_owned()], numbered: true }
    }

    pub(super) fn named(connection: &Connection, name: &str) -> Result<Self, StoreError> {
        let doing = "read a table's shape";
        let sql = "SELECT name, pk, hidden, (SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE)
            FROM pragma_table_xinfo(?1, 'main') ORDER BY cid";
        let mut statement = connection.prepare_cached(sql).doing(doing)?;
        let rows = statement.query_map([name], |row| <(String, u32, u32, Option<bool>)>::try_from(row)).doing(doing)?;
        let mut columns = rows.collect::<Result<Vec<_>, _>>().doing(doing)?;
        let taken = |word: &&str| columns.iter().any(|(column, ..)| column.eq_ignore_ascii_case(word));
        let free = ["_rowid_", "rowid", "oid"].into_iter().find(|word| !taken(word));
        // Virtual generated columns (hidden 2) are not stored.
        columns.retain(|(_, _, hidden, _)| *hidden != 2);
        let clustered = columns.iter().any(|(.., clustered)| *clustered == Some(true));
        let mut key: Vec<_> = columns.iter().filter(|(_, pk, ..)| *pk > 0).cloned().collect();
        key.sort_by_key(|(_, pk, ..)| *pk);
        if clustered {
            columns.sort_by_key(|(_, pk, ..)| if *pk > 0 { *pk } else { u32::MAX });
        }
        let number = free.filter(|_| !clustered);
        let told_by = match number {
            Some(word) => vec![word.to_owned()],
            None => if key.is_empty() { &columns } else { &key }.iter().map(|(column, ..)| column.clone()).collect(),
        };
        Ok(Self {
            name: name.to_owned(),
            columns: columns.into_iter().map(|(name, ..)| name).collect(),
            clustered,
            told_by,
            numbered: number.is_some(),
        })
    }

    /// The condition of one row.
    fn is_row(&self) -> String {
        // By the column's own comparison, which its index has, and byte for byte, as the row has it.
        let term = |(column, n): (&String, usize)| {
            let column = format!("{}.{}", quoted(&self.name), quoted(column));
            format!("{column} IS ?{n} AND {column} IS ?{n} COLLATE BINARY")
        };
        let terms: Vec<_> = self.told_by.iter().zip(1..).map(term).collect();
        terms.join(" AND ")
    }
}

/// Answers whose rows are, in one state of the database.
pub(super) struct Asking<'a> {
    connection: &'a Connection,
    living: &'a [Living],
    /// By their place among the living.
    tables: Vec<Option<Table>>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(connection: &'a Connection, living: &'a [Living]) -> Self {
        Self { connection, living, tables: living.iter().map(|_| None).collect() }
    }

    /// Whose a row of a table is.
    pub(super) fn whose(&mut self, table: &str, row: &RowKey) -> Result<Whose<'a>, StoreError> {
        let Some(at) = self.number(table) else { return Ok(Whose::Nobodys) };
        if self.leads_to_someone(at, row)? {
            return Ok(Whose::Living);
        }
        match &self.living[at].kept {
            Some(kept) if self.holds(at, row, &kept.condition)? => Ok(Whose::Kept(kept)),
            _ => Ok(Whose::Nobodys),
        }
    }

    /// Whether a row is someone's, or refers to one that is. A table without references is asked as it is met; others can be asked for
    /// addresses, each of which reads all people, and are asked last.
    fn leads_to_someone(&mut self, at: usize, row: &RowKey) -> Result<bool, StoreError> {
        let mut known: HashSet<(usize, RowKey)> = HashSet::from([(at, row.clone())]);
        let mut followed = vec![(at, row.clone())];
        let mut next = 0;
        while let Some((at, row)) = followed.get(next).cloned() {
            next += 1;
            let living = &self.living[at];
            if living.leads.is_empty() && self.is_someones(at, &row)? {
                return Ok(true);
            }
            for lead in &living.leads {
                let Some(parent) = self.number(&lead.parent) else { continue };
                let found = self.referred(at, &row, lead, parent)?.into_iter().map(|row| (parent, row));
                let new: Vec<_> = found.filter(|one| known.len() < ROWS_MAX && known.insert(one.clone())).collect();
                followed.extend(new);
            }
        }
        for (at, row) in followed {
            if !self.living[at].leads.is_empty() && self.is_someones(at, &row)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_someones(&mut self, at: usize, row: &RowKey) -> Result<bool, StoreError> {
        let living = self.living;
        living[at].condition.as_ref().map_or(Ok(false), |condition| self.holds(at, row, condition))
    }

    fn number(&self, table: &str) -> Option<usize> {
        self.living.iter().position(|living| living.table.eq_ignore_ascii_case(table))
    }

    fn table(&mut self, at: usize) -> Result<&Table, StoreError> {
        let slot = &mut self.tables[at];
        Ok(match slot {
            Some(table) => table,
            None => slot.insert(Table::named(self.connection, &self.living[at].table)?),
        })
    }

    fn holds(&mut self, at: usize, row: &RowKey, condition: &str) -> Result<bool, StoreError> {
        let table = self.table(at)?;
        let sql = format!("SELECT 1 FROM main.{} WHERE {} AND ({condition})", quoted(&table.name), table.is_row());
        let doing = "ask whose a row is";
        self.connection.prepare_cached(&sql).doing(doing)?.exists(params_from_iter(row)).doing(doing)
    }

    /// The rows of another table that a row refers to.
    fn referred(&mut self, at: usize, row: &RowKey, lead: &Lead, parent: usize) -> Result<Vec<RowKey>, StoreError> {
        const PARENT: &str = "expunged_parent";
        let doing = "ask whose a row is";
        let told_by: Vec<_> = self.table(parent)?.told_by.iter().map(|column| format!("{PARENT}.{}", quoted(column))).collect();
        let table = self.table(at)?;
        let here = quoted(&table.name);
        let pairs = std::iter::zip(&lead.parent_columns, &lead.columns);
        let pairs: String = pairs.map(|(there, one)| format!(" AND {PARENT}.{} = {here}.{}", quoted(there), quoted(one))).collect();
        let sql = format!(
            "SELECT {} FROM main.{here} CROSS JOIN main.{} AS {PARENT} WHERE {}{pairs}",
            told_by.join(", "),
            quoted(&lead.parent),
            table.is_row()
        );
        let mut statement = self.connection.prepare_cached(&sql).doing(doing)?;
        let found = statement.query_map(params_from_iter(row), |found| (0..told_by.len()).map(|n| found.get(n)).collect());
        found.doing(doing)?.collect::<Result<_, _>>().doing(doing)
    }
}

/// Rows that are followed from one: some megabytes. What may stand behind more of them is taken for nobody's, and told.
const ROWS_MAX: usize = 50_000;

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{Asking, Cell, Whose};
    use crate::store::{Lead, Living};

    fn living(table: &str, condition: Option<&str>, leads: &[(&str, &str)]) -> Living {
        let lead = |(column, parent): &(&str, &str)| Lead {
            columns: vec![(*column).to_owned()],
            parent: (*parent).to_owned(),
            parent_columns: vec!["id".to_owned()],
        };
        Living { table: table.to_owned(), condition: condition.map(str::to_owned), leads: leads.iter().map(lead).collect(), kept: None }
    }

    /// Tables with the numbers of what belongs to someone.
    fn lives(store: &Connection, living: &[Living]) -> String {
        let of = |one: &Living| {
            let sql = format!("SELECT rowid FROM {}", one.table);
            let mut statement = store.prepare(&sql).unwrap();
            let rows: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            let whose = |row: &i64| Asking::new(store, living).whose(&one.table, &vec![Cell::Integer(*row)]).unwrap();
            let lives = rows.iter().filter(|row| matches!(whose(row), Whose::Living)).map(|row| format!(" {row}"));
            format!("{}{}", one.table, lives.collect::<String>())
        };
        living.iter().map(of).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn rows_belong_to_whoever_stays_by_keys_by_their_own_table_and_by_what_they_hold() {
        let store = Connection::open_in_memory().unwrap();
        let sql = "CREATE TABLE people (id INTEGER PRIMARY KEY); CREATE TABLE notes (id INTEGER PRIMARY KEY, person, answers, mail);
            CREATE TABLE marks (note, _rowid_ AS (7)); INSERT INTO people VALUES (1);
            INSERT INTO notes VALUES (1, 1, NULL, ''), (2, NULL, 1, ''), (3, 9, NULL, ''), (4, NULL, 4, ''), (5, 9, NULL, 'ann'), (6, 9, NULL, NULL);
            INSERT INTO marks (note) VALUES (1), (2), (3), (8), (NULL), (5)";
        store.execute_batch(sql).unwrap();
        let notes = living("notes", Some("notes.mail = 'ann'"), &[("person", "people"), ("answers", "notes")]);
        let living = [living("people", Some("1"), &[]), notes, living("marks", None, &[("note", "notes")])];
        assert_eq!(lives(&store, &living), "people 1, notes 1 2 5, marks 1 2 6");
    }

    #[test]
    fn rows_of_tables_that_refer_to_each_other_in_a_circle_belong_to_whoever_stays() {
        let store = Connection::open_in_memory().unwrap();
        let sql = "CREATE TABLE people (id INTEGER PRIMARY KEY); INSERT INTO people VALUES (2);
            CREATE TABLE teams (id INTEGER PRIMARY KEY, lead, room); CREATE TABLE rooms (id INTEGER PRIMARY KEY, team);
            INSERT INTO teams VALUES (1, 1, 1), (2, 2, 2), (3, NULL, 2), (4, NULL, 9); INSERT INTO rooms VALUES (1, 9), (2, 2), (3, 1)";
        store.execute_batch(sql).unwrap();
        let teams = living("teams", None, &[("lead", "people"), ("room", "rooms")]);
        let living = [living("people", Some("1"), &[]), teams, living("rooms", None, &[("team", "teams")])];
        assert_eq!(lives(&store, &living), "people 2, teams 2 3, rooms 2");
    }

    #[test]
    fn rows_are_told_apart_by_their_bytes_however_a_table_is_spelled() {
        let store = Connection::open_in_memory().unwrap();
        let sql = "CREATE TABLE people (id TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO people VALUES (CAST(x'62ff' AS TEXT));
            CREATE TABLE Notes (k TEXT COLLATE NOCASE, person TEXT, PRIMARY KEY (k COLLATE BINARY)) WITHOUT ROWID;
            INSERT INTO Notes VALUES ('A', 'gone'), ('a', CAST(x'62ff' AS TEXT))";
        store.execute_batch(sql).unwrap();
        let living = [living("people", Some("1"), &[]), living("NOTES", None, &[("person", "PEOPLE")])];
        let text = |bytes: &[u8]| vec![Cell::Text(bytes.to_vec())];
        let mut asking = Asking::new(&store, &living);
        assert!(matches!(asking.whose("people", &text(b"b\xff")).unwrap(), Whose::Living));
        assert!(matches!(asking.whose("notes", &text(b"a")).unwrap(), Whose::Living));
        assert!(matches!(asking.whose("notes", &text(b"A")).unwrap(), Whose::Nobodys));
    }

    #[test]
    fn a_row_that_many_ways_lead_to_is_looked_at_once() {
        // Each row refers to two of the table before, so that two to the 40 ways lead to nobody.
        const DEEP: usize = 40;
        let store = Connection::open_in_memory().unwrap();
        let tables: Vec<String> = (0..DEEP).map(|n| format!("t{n}")).collect();
        for table in &tables {
            let make = format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY, a, b); INSERT INTO {table} VALUES (1, 1, 2), (2, 2, 1)");
            store.execute_batch(&make).unwrap();
        }
        let mut all: Vec<Living> = vec![living("t0", Some("0"), &[])];
        all.extend(tables.windows(2).map(|pair| living(&pair[1], None, &[("a", &pair[0]), ("b", &pair[0])])));
        let last = vec![Cell::Integer(1)];
        assert!(matches!(Asking::new(&store, &all).whose("t39", &last).unwrap(), Whose::Nobodys));
        // What leads back to where it came from leads no further.
        all[0].leads = vec![Lead { columns: vec!["a".to_owned()], parent: "t38".to_owned(), parent_columns: vec!["id".to_owned()] }];
        assert!(matches!(Asking::new(&store, &all).whose("t39", &last).unwrap(), Whose::Nobodys));
        all[0].condition = Some("t0.id = 2".to_owned());
        assert!(matches!(Asking::new(&store, &all).whose("t39", &last).unwrap(), Whose::Living));
    }
}
