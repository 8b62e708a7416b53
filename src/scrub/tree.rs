//! What the records of a tree hold: a table's rows, or what an index makes of them that stands in no row.

use rusqlite::{Connection, OptionalExtension};

use super::record::Cell;
use super::record::first_values;
use super::whose::{RowKey, Table};
use crate::store::{Doing, StoreError};

/// A tree of a table or an index.
pub(super) struct Tree {
    /// Whose rows they are.
    pub(super) table: Table,
    /// The place of each value of a record; `None` for what an index has from its table as it is.
    places: Vec<Option<String>>,
    /// Where the values that tell the row stand in a record; `None`: its number tells it, beside the record.
    key: Option<Vec<usize>>,
}

impl Tree {
    /// The tree with this root.
    pub(super) fn at(connection: &Connection, root: u32) -> Result<Option<Self>, StoreError> {
        if root == 1 {
            return Ok(Some(Self::of_table(Table::schema())));
        }
        let sql = "SELECT type = 'index', name, tbl_name FROM main.sqlite_schema WHERE rootpage = ?1";
        let found = connection.query_row(sql, [root], |row| <(bool, String, String)>::try_from(row)).optional();
        let Some((is_index, name, table)) = found.doing("read whose a page is")? else { return Ok(None) };
        let table = Table::named(connection, &table)?;
        Ok(Some(if is_index { Self::of_index(connection, &name, table)? } else { Self::of_table(table) }))
    }

    fn of_table(table: Table) -> Self {
        let places = table.columns.iter().map(|column| Some(format!("{}.{column}", table.name))).collect();
        Self { places, key: table.clustered.then(|| (0..table.told_by.len()).collect()), table }
    }

    fn of_index(connection: &Connection, name: &str, table: Table) -> Result<Self, StoreError> {
        let doing = "read an index's shape";
        let sql = format!("SELECT x.name, x.cid = -1, {MADE} FROM {} ORDER BY x.seqno", parts("?1", "?2"));
        let mut statement = connection.prepare_cached(&sql).doing(doing)?;
        let parts = statement.query_map([name, table.name.as_str()], |row| <(Option<String>, bool, bool)>::try_from(row));
        let parts = parts.doing(doing)?.collect::<Result<Vec<_>, _>>().doing(doing)?;
        let is = |column: &String, (name, is_number, _): &(Option<String>, bool, bool)| {
            if table.numbered { *is_number } else { name.as_ref() == Some(column) }
        };
        let key = table.told_by.iter().map(|column| parts.iter().position(|part| is(column, part))).collect();
        let places = parts.iter().map(|(.., made)| made.then(|| format!("{} ({name})", table.name))).collect();
        // Rows that the index does not tell are nobody's.
        Ok(Self { table, places, key: Some(Option::unwrap_or_default(key)) })
    }

    /// The place of a value; `None`: it is another's.
    pub(super) fn place(&self, column: usize) -> Option<&str> {
        self.places.get(column).map_or(Some("?"), Option::as_deref)
    }

    /// What tells the row of a record.
    pub(super) fn row_of(&self, rowid: Option<i64>, record: &[u8]) -> Option<RowKey> {
        match &self.key {
            None => rowid.filter(|_| self.table.numbered).map(|number| vec![Cell::Integer(number)]),
            Some(key) => {
                let values = first_values(record, key.iter().max()? + 1).ok()?;
                key.iter().map(|at| values.get(*at).cloned()).collect()
            }
        }
    }
}

/// Whether a part of an index is made of its table's columns: by an expression (-2), or as a virtual column (hidden 2). Such values
/// stand in no row.
const MADE: &str = "(x.cid = -2 OR coalesce(t.hidden = 2, 0))";

/// The roots of all trees, and whether what they hold is read elsewhere: it is where an index makes nothing. The key of a table
/// without row numbers is the table.
pub(super) fn roots(connection: &Connection) -> Result<Vec<(u32, bool)>, StoreError> {
    let doing = "read the roots of the tables";
    let sql = format!(
        "SELECT s.rootpage, s.type = 'index' AND NOT EXISTS (SELECT 1 FROM {} WHERE {MADE}) FROM main.sqlite_schema s WHERE s.rootpage > 0",
        parts("s.name", "s.tbl_name")
    );
    let mut statement = connection.prepare_cached(&sql).doing(doing)?;
    let found = statement.query_map([], |row| row.try_into()).doing(doing)?.collect::<Result<Vec<_>, _>>().doing(doing)?;
    Ok(std::iter::once((1, false)).chain(found).collect())
}

/// The parts of an index, each with its column.
fn parts(index: &str, table: &str) -> String {
    format!("pragma_index_xinfo({index}, 'main') x LEFT JOIN pragma_table_xinfo({table}, 'main') t ON t.cid = x.cid")
}
