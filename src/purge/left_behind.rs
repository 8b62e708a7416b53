//! Rows that somebody's rows refer to, each by itself: the address that an order goes to, say. A plan follows references from the people
//! outwards, never back, so that such a row stays when what refers to it goes. It tells which references are so, never what stood there.

use rusqlite::Connection;

use super::plan::Plan;
use super::sample::some;
use super::shape::{ForeignKey, Shape, Table, UNDECLARED, rows, same};
use super::terms::of;
use crate::store::StoreError;

/// A reference of rows that go to rows that no plan takes, each to another as far as was looked. Others may refer to those as well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LeftBehind {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
    pub(super) parent: String,
}

impl LeftBehind {
    /// What was seen.
    pub(super) fn seen(&self) -> String {
        format!(
            "no two rows of \"{}\" ({}), of those looked at, refer to the same row of \"{}\", which stays when they go",
            self.table,
            self.columns.join(", "),
            self.parent
        )
    }
}

/// Rows from which on it says something that no two of them refer to the same.
const MANY_ROWS: i64 = 20;

/// Such references of all tables whose rows go.
pub(super) fn left_behind(connection: &Connection, shape: &Shape, plan: &Plan) -> Result<Vec<LeftBehind>, StoreError> {
    let mut found = Vec::new();
    let planned = |name: &str| plan.removed_tables().any(|table| same(table, name));
    for name in plan.removed_tables().filter(|name| plan.deletes_from(name)) {
        let Some(table) = shape.table(name).filter(|table| table.is_readable()) else { continue };
        for key in table.keys.iter().filter(|key| key.on_delete != UNDECLARED && !planned(&key.parent) && shape.can_follow(key)) {
            if is_own(connection, table, key)? {
                found.push(LeftBehind { table: table.name.clone(), columns: key.columns.clone(), parent: key.parent.clone() });
            }
        }
    }
    Ok(found)
}

/// Whether no two rows, of those that are looked at, refer to the same.
fn is_own(connection: &Connection, table: &Table, key: &ForeignKey) -> Result<bool, StoreError> {
    if table.is_unique(&key.columns) {
        return Ok(true);
    }
    let columns: Vec<_> = key.columns.iter().map(|column| of(&table.name, column)).collect();
    let named: Vec<_> = columns.iter().enumerate().map(|(at, column)| format!("{column} AS expunged_key{at}")).collect();
    let there: Vec<_> = (0..columns.len()).map(|at| format!("expunged_key{at} IS NOT NULL")).collect();
    let values = format!("SELECT * FROM ({}) WHERE {}", some(table, &named.join(", ")), there.join(" AND "));
    let sql = format!("SELECT (SELECT count(*) FROM ({values})), (SELECT count(*) FROM (SELECT DISTINCT * FROM ({values})))");
    let counts = rows(connection, &sql, [], |row| <(i64, i64)>::try_from(row))?;
    Ok(counts.into_iter().any(|(all, different)| all >= MANY_ROWS && all == different))
}
