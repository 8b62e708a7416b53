//! What live rows hold of the people who were purged, by table and column.
//!
//! Rows are searched as the walk over the pages shows them. Whose table a page is, is asked only where something was found, and so
//! is whether the row belongs to someone who stays, or is kept by the plan. Where pages cannot be read so (a UTF-16 database, a build without page
//! access), the tables are read by SQL.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use super::edges::Edges;
use super::needles::Needles;
use super::pages::Beside;
use super::record::each_text;
use super::roots::Owners;
use super::tree::Tree;
use super::walk::{RawRow, Rows};
use super::whose::{Asking, Table, Whose, quoted};
use crate::report::KeptValues;
use crate::store::{Doing, Kept, Living, StoreError};

/// What was found of an import's identifiers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Found {
    /// Values in rows of people who were not purged, by `table.column`.
    pub still_held: BTreeMap<String, u64>,
    /// Values in rows that the plan keeps.
    #[serde(default)]
    pub kept: BTreeMap<String, KeptValues>,
    /// Values anywhere else.
    pub residue: BTreeMap<String, u64>,
}

/// What was found, by import.
pub(super) type FoundByImport = BTreeMap<u32, Found>;

/// A row that holds something.
struct Hit {
    page: u32,
    rowid: Option<i64>,
    record: Vec<u8>,
    /// The stored columns, and the sets of imports.
    columns: Vec<(usize, Vec<u32>)>,
}

/// The search of a slice's rows.
pub(super) struct Search<'a> {
    needles: &'a Needles,
    /// Whose pages are, where it is known.
    owners: Option<&'a Owners>,
    edges: Edges,
    hits: Vec<Hit>,
}

impl Rows for Search<'_> {
    /// Not those of an index that holds nothing which its table does not.
    fn are_in(&self, page: u32) -> bool {
        !self.owners.is_some_and(|owners| owners.is_copy(page))
    }

    fn may_matter(&mut self, bytes: &[u8], records: impl Iterator<Item = Range<usize>> + Clone) -> bool {
        self.needles.may_be_in(bytes, records, &mut self.edges)
    }

    /// Looks at one row. One that does not read back is told by the structure's own checks.
    fn see(&mut self, row: &RawRow<'_>) {
        if !self.may_matter(row.record, std::iter::once(0..row.record.len())) {
            return;
        }
        let only_ids = self.needles.only_ids_in(row.record);
        let mut columns: Vec<(usize, Vec<u32>)> = Vec::new();
        let _ = each_text(row.record, |column, text| {
            let mut sets = Vec::new();
            if only_ids {
                self.needles.search_ids(text, &mut |set| sets.push(set));
            } else {
                self.needles.search(text, &mut |set| sets.push(set));
            }
            if !sets.is_empty() {
                columns.push((column, sets));
            }
        });
        if !columns.is_empty() {
            let rowid = row.has_rowid.then_some(row.rowid);
            self.hits.push(Hit { page: row.page, rowid, record: row.record.to_vec(), columns });
        }
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(needles: &'a Needles, owners: Option<&'a Owners>) -> Self {
        Self { needles, owners, edges: Edges::default(), hits: Vec::new() }
    }

    /// Says of each found value whose it is. In the transaction of the slice, which writes nothing.
    pub(super) fn settle(
        self,
        connection: &Connection,
        file: Option<Beside<'_>>,
        living: &[Living],
        found: &mut FoundByImport,
    ) -> Result<(), StoreError> {
        if self.hits.is_empty() {
            return Ok(());
        }
        let read;
        let owners = match self.owners {
            Some(owners) => owners,
            None => {
                read = Owners::read(connection, file)?;
                &read
            }
        };
        let mut asking = Asking::new(connection, living);
        let mut trees: HashMap<u32, Option<Tree>> = HashMap::new();
        for hit in &self.hits {
            let tree = match owners.root_of(hit.page) {
                Some(root) => {
                    let tree = match trees.entry(root) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => new.insert(Tree::at(connection, root)?),
                    };
                    tree.as_ref()
                }
                None => None,
            };
            let sought = |(column, _): &&(usize, Vec<u32>)| tree.is_none_or(|tree| tree.place(*column).is_some());
            let mut columns = hit.columns.iter().filter(sought).peekable();
            let row = tree.filter(|_| columns.peek().is_some()).and_then(|tree| Some((tree, tree.row_of(hit.rowid, &hit.record)?)));
            let whose = match row {
                Some((tree, row)) => asking.whose(&tree.table.name, &row)?,
                None => Whose::Nobodys,
            };
            for (column, sets) in columns {
                let place = tree.and_then(|tree| tree.place(*column)).unwrap_or(NO_TABLE);
                let imports: HashSet<u32> = sets.iter().flat_map(|set| self.needles.imports(*set)).copied().collect();
                for import in imports {
                    note(found, import, place, whose);
                }
            }
        }
        Ok(())
    }
}

fn note(found: &mut FoundByImport, import: u32, place: &str, whose: Whose<'_>) {
    let found = found.entry(import).or_default();
    let count = match whose {
        Whose::Living => found.still_held.entry(place.to_owned()).or_default(),
        Whose::Kept(Kept { reason, .. }) => {
            let reason = reason.clone();
            &mut found.kept.entry(place.to_owned()).or_insert(KeptValues { values: 0, reason }).values
        }
        Whose::Nobodys => found.residue.entry(place.to_owned()).or_default(),
    };
    *count += 1;
}

/// Stands for the place of what is in a page of rows that no table leads to.
const NO_TABLE: &str = "(no table)";

/// The same search by SQL, over every table at once: slower, and for every kind of database. What an index makes by an expression is
/// not to be had by SQL.
pub(super) fn search_by_sql(connection: &Connection, needles: &Needles, living: &[Living]) -> Result<FoundByImport, StoreError> {
    let doing = "search the tables";
    let mut found = FoundByImport::new();
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow')";
    let mut statement = connection.prepare(sql).doing(doing)?;
    let tables = statement.query_map([], |row| row.get(0)).doing(doing)?.collect::<Result<Vec<String>, _>>().doing(doing)?;
    let mut asking = Asking::new(connection, living);
    for table in tables {
        let table = Table::named(connection, &table)?;
        let key: Vec<_> = table.told_by.iter().map(|column| quoted(column)).collect();
        let (key, named) = (key.join(", "), quoted(&table.name));
        let mut rows = connection.prepare(&format!("SELECT {key}, * FROM main.{named}")).doing(doing)?;
        let columns: Vec<String> = rows.column_names().map(str::to_owned).collect();
        let mut rows = rows.query([]).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            let mut whose = None;
            for (at, column) in columns.iter().enumerate().skip(table.told_by.len()) {
                let (ValueRef::Text(bytes) | ValueRef::Blob(bytes)) = row.get_ref(at).doing(doing)? else { continue };
                let mut imports = HashSet::new();
                needles.search(bytes, &mut |set| imports.extend(needles.imports(set)));
                if !imports.is_empty() && whose.is_none() {
                    let key = (0..table.told_by.len()).map(|at| row.get(at)).collect::<Result<_, _>>().doing(doing)?;
                    whose = Some(asking.whose(&table.name, &key)?);
                }
                for import in imports {
                    note(&mut found, import, &format!("{}.{column}", table.name), whose.unwrap_or(Whose::Nobodys));
                }
            }
        }
    }
    Ok(found)
}

/// Takes back the samples of ANALYZE that hold an identifier. The planner lives without them.
pub(super) fn delete_samples(connection: &Connection, needles: &Needles) -> Result<u64, StoreError> {
    let doing = "look through ANALYZE's samples";
    let there =
        connection.prepare_cached("SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_stat4'").doing(doing)?.exists([]).doing(doing)?;
    if !there {
        return Ok(0);
    }
    let mut statement = connection.prepare_cached("SELECT rowid, sample FROM main.sqlite_stat4").doing(doing)?;
    let mut rows = statement.query([]).doing(doing)?;
    let mut holding = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let sample = row.get_ref(1).doing(doing)?.as_bytes().map_err(rusqlite::Error::from).doing(doing)?;
        let mut held = false;
        let read = each_text(sample, |_, text| needles.search(text, &mut |_| held = true));
        if held || read.is_err() {
            holding.push(row.get::<_, i64>(0).doing(doing)?);
        }
    }
    drop(rows);
    for sample in &holding {
        connection.execute("DELETE FROM main.sqlite_stat4 WHERE rowid = ?1", [sample]).doing("delete a sample of ANALYZE")?;
    }
    Ok(holding.len() as u64)
}
