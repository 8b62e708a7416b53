//! Columns that look like addresses, by looking at some rows of each table. It tells how many, never what stood there.

use rusqlite::Connection;

use super::places::legible;
use super::shape::{Shape, Table, rows};
use super::terms::{in_main, name, of};
use crate::domain::Email;
use crate::store::StoreError;

/// A column that looks like addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct AddressColumn {
    pub(super) table: String,
    pub(super) column: String,
    pub(super) like: u64,
    pub(super) looked_at: u64,
    /// How many of these are one address, and not a text that holds one.
    pub(super) alone: u64,
}

impl AddressColumn {
    /// Whether each is one address.
    pub(super) fn is_whole(&self) -> bool {
        self.alone == self.like
    }
}

/// Rows looked at, at each end of a table.
const ROWS: u32 = 1_000;

/// Columns looked at together: SQLite takes 2,000 results, and each column has two.
const COLUMNS_TOGETHER: usize = 500;

/// What may stand around an address as people write it.
const SPACES: &str = "' ' || char(9, 10, 13)";

pub(super) fn address_columns(connection: &Connection, shape: &Shape) -> Result<Vec<AddressColumn>, StoreError> {
    let mut found = Vec::new();
    // Whatever their declared type: SQLite keeps a text anywhere.
    let readable = shape.tables.iter().filter(|table| table.is_readable());
    for (table, texts) in readable.flat_map(|table| table.columns.chunks(COLUMNS_TOGETHER).map(move |columns| (table, columns))) {
        let texts: Vec<_> = texts.iter().map(|column| &column.name).collect();
        // Named anew: rows are read in the order of columns, not of what is made of them.
        let named = texts.iter().enumerate().map(|(at, column)| format!("{} AS expunged_text{at}", legible(&of(&table.name, column))));
        let some = some(table, &named.collect::<Vec<_>>().join(", "));
        let counts: Vec<_> = (0..texts.len())
            .map(|at| {
                let column = format!("expunged_text{at}");
                let like = format!("typeof({column}) = 'text' AND {column} LIKE '%_@_%._%'");
                format!("coalesce(sum({like}), 0), coalesce(sum({like} AND trim({column}, {SPACES}) NOT GLOB '*[ {{\"]*'), 0)")
            })
            .collect();
        let sql = format!("SELECT count(*), {} FROM ({some})", counts.join(", "));
        let read = |row: &rusqlite::Row<'_>| (0..=texts.len() * 2).map(|at| row.get::<_, i64>(at)).collect::<Result<Vec<_>, _>>();
        for numbers in rows(connection, &sql, [], read)? {
            for (at, column) in texts.iter().enumerate() {
                let (like, alone) = (numbers[1 + at * 2].unsigned_abs(), numbers[2 + at * 2].unsigned_abs());
                if like > 0 {
                    found.push(AddressColumn {
                        table: table.name.clone(),
                        column: (*column).clone(),
                        like,
                        looked_at: numbers[0].unsigned_abs(),
                        alone,
                    });
                }
            }
        }
    }
    Ok(found)
}

/// The texts among some values of a table, each once.
pub(super) fn texts(connection: &Connection, table: &Table, value: &str) -> Result<Vec<String>, StoreError> {
    let sql = format!("SELECT DISTINCT CAST(v AS TEXT) FROM ({}) WHERE typeof(v) = 'text'", some(table, &format!("{value} AS v")));
    let read = |row: &rusqlite::Row<'_>| Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned());
    rows(connection, &sql, [], read)
}

/// How many of some rows hold an address in a column that is not the one in another.
pub(super) fn other_addresses(connection: &Connection, table: &Table, column: &str, than: Option<&str>) -> Result<usize, StoreError> {
    let than = than.map_or_else(|| "NULL".to_owned(), |than| of(&table.name, than));
    let some = some(table, &format!("{} AS v, {than} AS than", of(&table.name, column)));
    let email = |row: &rusqlite::Row<'_>, at| row.get_ref(at).ok().and_then(|value| Email::parse(value.as_str().ok()?).ok());
    let pairs = rows(connection, &format!("SELECT v, than FROM ({some})"), [], |row| Ok((email(row, 0), email(row, 1))))?;
    Ok(pairs.into_iter().filter(|(one, than)| one.is_some() && one != than).count())
}

/// Whether some values of a column are numbers.
pub(super) fn holds_numbers(connection: &Connection, table: &Table, column: &str) -> Result<bool, StoreError> {
    let some = some(table, &format!("{} AS v", of(&table.name, column)));
    let sql = format!("SELECT 1 FROM ({some}) WHERE typeof(v) IN ('integer', 'real') LIMIT 1");
    Ok(!rows(connection, &sql, [], |_| Ok(()))?.is_empty())
}

/// Reads rows at both ends of a table, no more of them than it has.
pub(super) fn some(table: &Table, columns: &str) -> String {
    let from = in_main(&table.name);
    let mut key: Vec<_> = table.primary_key().iter().map(|column| name(column)).collect();
    if key.is_empty() {
        key.push("rowid".to_owned());
    }
    let (first, last) = (key.join(", "), key.iter().map(|column| format!("{column} DESC")).collect::<Vec<_>>().join(", "));
    // Between no rows, where the first end is all of it, and as many as at the first.
    let rest = format!("(SELECT max(count(*) - {ROWS}, 0) FROM (SELECT 1 FROM {from} LIMIT 2 * {ROWS}))");
    format!(
        "SELECT * FROM (SELECT {columns} FROM {from} ORDER BY {first} LIMIT {ROWS})
         UNION ALL SELECT * FROM (SELECT {columns} FROM {from} ORDER BY {last} LIMIT {rest})"
    )
}
