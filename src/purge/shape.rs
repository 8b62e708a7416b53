//! A database's shape, as SQLite tells it: tables, columns, keys, triggers. The ledger's own tables and SQLite's are left out.

mod read;

use rusqlite::Connection;

use super::plan::Value;
use super::terms::{in_main, name, of};
use crate::store::{Doing, StoreError};

/// A database's shape.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) tables: Vec<Table>,
    /// Ordinary tables with the ledger's prefix, its own among them.
    pub(super) reserved: Vec<Table>,
    pub(super) virtual_tables: Vec<String>,
    /// Those of them whose module only the application has.
    unreadable_virtual_tables: Vec<String>,
    /// Those of them that are full-text indexes, each with its module.
    pub(super) full_text: Vec<(String, String)>,
    pub(super) triggers: Vec<Trigger>,
}

/// An ordinary table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) keys: Vec<ForeignKey>,
    /// Columns that are unique together, the primary key among them.
    pub(super) uniques: Vec<Vec<String>>,
    /// Indexes that keep only some rows apart, or rows by what is made of their columns.
    pub(super) partly_unique: Vec<PartlyUnique>,
    /// Some constraint of it says that SQLite takes another row away, or leaves one as it is, where it is broken.
    pub(super) settles_conflicts: bool,
    /// Columns that are compared or indexed by a collation which only the application has, each with the collation's name.
    pub(super) unknown_collations: Vec<(String, String)>,
}

/// A unique index that is partial, on an expression, or compares otherwise than its columns do.
#[derive(Debug)]
pub(super) struct PartlyUnique {
    pub(super) name: String,
    /// Columns that it is made of.
    pub(super) columns: Vec<String>,
    /// Columns that decide by their values which rows the index has, or what it compares: they stand in an expression, or in its WHERE.
    /// Rows that are null there may still be the same to the index, where rows that are null in a column of its own are not.
    pub(super) weighed: Vec<String>,
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) declared: String,
    pub(super) not_null: bool,
    pub(super) likeness: Likeness,
    /// Its place in the primary key, from 1; 0 for none.
    pub(super) primary: u32,
    pub(super) generated: bool,
    /// It is the number of its row.
    pub(super) row_number: bool,
    /// Its table holds only what its type says.
    pub(super) strict: bool,
}

/// How a column's values compare. SQLite converts a value to the column's kind, so columns of two kinds compare otherwise than
/// either: 7 finds '007', or '7' is not found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Likeness {
    pub(super) kind: Kind,
    /// In capitals.
    pub(super) collation: String,
}

/// What values are converted to for a comparison. SQLite's affinities: those of numbers compare alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Number,
    Text,
    /// Nothing is converted.
    Any,
}

/// A declared key to another table.
#[derive(Clone, Debug)]
pub(super) struct ForeignKey {
    pub(super) columns: Vec<String>,
    pub(super) parent: String,
    pub(super) parent_columns: Vec<String>,
    /// `CASCADE`, `SET NULL`, `NO ACTION`, …, or [`UNDECLARED`].
    pub(super) on_delete: String,
}

/// What a key that nobody declared does on delete, while a plan is derived.
pub(super) const UNDECLARED: &str = "UNDECLARED";

/// A trigger that fires when rows of a table go or change.
#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) name: String,
    pub(super) table: String,
}

const DOING: &str = "read the tables' shape";

impl Shape {
    /// What has to be done so that a full-text index forgets the words of rows that go: what it drops, it keeps until it merges.
    pub(super) fn forgetting(&self, name: &str) -> String {
        let quoted = super::terms::name(name);
        match self.full_text.iter().find(|(found, _)| same(found, name)) {
            Some((_, module)) if module == "fts5" => format!(
                " and forget at once, which no scrub can see (where the application's SQLite is 3.42 or later, run once: INSERT INTO \
                 {quoted}({quoted}, rank) VALUES ('secure-delete', 1); INSERT INTO {quoted}({quoted}) VALUES ('optimize');)"
            ),
            Some(_) => format!(
                ", which leaves the words of rows that go in its index, where no scrub sees them, until you run: INSERT INTO \
                 {quoted}({quoted}) VALUES ('optimize');"
            ),
            None => String::new(),
        }
    }

    /// The virtual table that a table is by its name a part of. Of modules that SQLite has here, it tells itself which tables are theirs.
    pub(super) fn may_be_part_of(&self, name: &str) -> Option<&String> {
        let begins = |with: &String| name.get(..with.len()).is_some_and(|start| same(start, with)) && name[with.len()..].starts_with('_');
        self.unreadable_virtual_tables.iter().find(|found| begins(found))
    }

    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| same(&table.name, name))
    }

    /// Takes out the keys that SQLite calls a mismatch, each with its table: what they lead to is not there, or not unique together.
    pub(super) fn take_mismatched_keys(&mut self) -> Vec<(String, ForeignKey)> {
        let mut found = Vec::new();
        for at in 0..self.tables.len() {
            let keys = std::mem::take(&mut self.tables[at].keys);
            let (sound, mismatched): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| self.can_follow(key));
            self.tables[at].keys = sound;
            found.extend(mismatched.into_iter().map(|key| (self.tables[at].name.clone(), key)));
        }
        found
    }

    /// Whether what a key leads to is there, and unique together.
    pub(super) fn can_follow(&self, key: &ForeignKey) -> bool {
        let there = |parent: &Table| key.parent_columns.iter().all(|column| parent.column(column).is_some());
        let pairs = key.columns.len() == key.parent_columns.len();
        self.table(&key.parent).is_none_or(|parent| pairs && there(parent) && parent.is_unique(&key.parent_columns))
    }
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| same(&column.name, name))
    }

    pub(super) fn primary_key(&self) -> Vec<String> {
        let mut key: Vec<_> = self.columns.iter().filter(|column| column.primary > 0).collect();
        key.sort_by_key(|column| column.primary);
        key.into_iter().map(|column| column.name.clone()).collect()
    }

    /// Whether its rows can be compared here: no column needs a collation that only the application has.
    pub(super) fn is_readable(&self) -> bool {
        self.unknown_collations.is_empty()
    }

    /// Whether a column is made from others, so that it can be read and not written.
    pub(super) fn is_generated(&self, column: &str) -> bool {
        self.column(column).is_some_and(|column| column.generated)
    }

    /// Whether no two rows have the same values in these columns.
    pub(super) fn is_unique(&self, columns: &[String]) -> bool {
        self.uniques.iter().any(|unique| unique.iter().all(|one| columns.iter().any(|column| same(column, one))))
    }
}

impl Kind {
    /// SQLite's own rule: "Determination Of Column Affinity".
    fn of(declared: &str, strict: bool) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        if has(&["INT"]) {
            Self::Number
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if declared.is_empty() || has(&["BLOB"]) || (strict && declared == "ANY") {
            Self::Any
        } else {
            Self::Number
        }
    }
}

impl Column {
    /// What its values are converted to for a comparison.
    pub(super) fn kind(&self) -> Kind {
        self.likeness.kind
    }

    /// How it compares, for a person.
    pub(super) fn compares_as(&self) -> String {
        let declared = if self.declared.is_empty() { "no type" } else { &self.declared };
        format!("{declared} {}", self.likeness.collation)
    }

    /// Whether its declared type has a word.
    pub(super) fn declares(&self, word: &str) -> bool {
        self.declared.to_ascii_uppercase().contains(word)
    }

    /// Whether it takes such a value: a row number is a whole number, and a STRICT table converts only what loses nothing.
    pub(super) fn can_hold(&self, value: &Value) -> bool {
        let is = |word: &str| (self.strict || self.row_number) && same(&self.declared, word);
        match value {
            Value::Null => true,
            Value::Number(_) => !is("BLOB"),
            Value::Text(text) if is("REAL") => text.trim().parse::<f64>().is_ok(),
            Value::Text(text) if is("INT") || is("INTEGER") => text.trim().parse::<i64>().is_ok(),
            Value::Text(_) => !is("BLOB"),
            Value::Hash => !["BLOB", "REAL", "INT", "INTEGER"].into_iter().any(is),
        }
    }

    /// Whether it is declared to say yes or no, in the ways in which applications do.
    pub(super) fn says_yes_or_no(&self) -> bool {
        let declared = self.declared.to_ascii_uppercase();
        declared.starts_with("BOOL") || declared == "TINYINT(1)" || declared == "BIT"
    }

    /// Whether it is declared to hold a text.
    pub(super) fn is_text(&self) -> bool {
        let declared = self.declared.to_ascii_uppercase();
        declared.is_empty() || ["CHAR", "TEXT", "CLOB", "JSON", "ANY", "CITEXT", "STRING"].iter().any(|word| declared.contains(word))
    }
}

/// SQLite's identifiers are equal but for ASCII case.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The same of lists of columns, in any order, pair by pair.
pub(super) fn same_key(key: &ForeignKey, edge: &super::plan::Edge) -> bool {
    let pairs = || std::iter::zip(&edge.columns, &edge.parent_columns);
    same(&key.parent, &edge.parent)
        && key.columns.len() == edge.columns.len()
        && std::iter::zip(&key.columns, &key.parent_columns)
            .all(|(from, to)| pairs().any(|(column, parent)| same(column, from) && same(parent, to)))
}

/// A column in which a value is looked for.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a> {
    pub(super) column: &'a str,
    /// What follows it in SQL: another collation than its own, or nothing.
    pub(super) collate: &'static str,
}

impl<'a> Sought<'a> {
    /// Compared as the column is declared.
    pub(super) fn as_declared(column: &'a String) -> Self {
        Self { column, collate: "" }
    }
}

/// Whether looking for values in these columns reads the whole table: SQLite's planner is asked.
pub(super) fn scans(connection: &Connection, table: &str, columns: &[Sought<'_>]) -> Result<bool, StoreError> {
    let is = columns.iter().zip(1..).map(|(sought, at)| format!("{} = ?{at}{}", of(table, sought.column), sought.collate));
    let is: Vec<_> = is.collect();
    let sql = format!("EXPLAIN QUERY PLAN SELECT 1 FROM {} WHERE {}", in_main(table), is.join(" AND "));
    let details = rows(connection, &sql, rusqlite::params_from_iter(columns.iter().map(|_| 1)), |row| row.get::<_, String>("detail"))?;
    Ok(details.iter().any(|step| step.starts_with("SCAN")))
}

/// What names one row of a table while its references change: its row number, or the key of a table that has none. A key of a table with
/// row numbers can be null, and can be made of the references themselves.
pub(super) fn row_key(connection: &Connection, table: &str) -> Result<String, StoreError> {
    let sql = "SELECT name, pk FROM pragma_table_xinfo(?1, 'main') ORDER BY pk";
    let mut statement = connection.prepare_cached(sql).doing(DOING)?;
    let columns =
        statement.query_map([table], |row| <(String, u32)>::try_from(row)).doing(DOING)?.collect::<Result<Vec<_>, _>>().doing(DOING)?;
    let clustered = "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE AND wr";
    let clustered = connection.prepare_cached(clustered).doing(DOING)?.exists([table]).doing(DOING)?;
    let free = |word: &&str| !clustered && !columns.iter().any(|(column, _)| same(column, word));
    if let Some(number) = ["rowid", "_rowid_", "oid"].into_iter().find(free) {
        return Ok(number.to_owned());
    }
    Ok(columns.iter().filter(|(_, pk)| *pk > 0).map(|(column, _)| name(column)).collect::<Vec<_>>().join(", "))
}

/// How many rows a table has; no more than `most` are counted.
pub(super) fn count_rows(connection: &Connection, table: &str, most: u64) -> Result<u64, StoreError> {
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT {most})", in_main(table));
    connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).doing(DOING).map(i64::unsigned_abs)
}

pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare(sql).doing(DOING)?;
    let found = statement.query_map(parameters, read).doing(DOING)?;
    found.collect::<Result<_, _>>().doing(DOING)
}
