//! How a database's shape is read: from SQLite's pragmas, and from the texts of its schema where these say more.

use rusqlite::Connection;

use super::super::schema_text::{fires, leaves_null_out, says, settles_conflicts};
use super::super::terms::{in_main, name};
use super::{Column, ForeignKey, Kind, Likeness, PartlyUnique, Shape, Table, Trigger, rows, same};
use crate::store::StoreError;

/// What SQLite's list of tables says of an ordinary one.
struct TableListed {
    name: String,
    without_rowid: bool,
    strict: bool,
}

impl Shape {
    pub(in crate::purge) fn read(connection: &Connection) -> Result<Self, StoreError> {
        let mut shape = Self::default();
        let sql = "SELECT name, type, wr, strict, name LIKE 'expunged\\_%' ESCAPE '\\' FROM pragma_table_list
            WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
        for (name, kind, without_rowid, strict, reserved) in
            rows(connection, sql, [], |row| <(String, String, bool, bool, bool)>::try_from(row))?
        {
            if kind != "virtual" {
                let table = Table::read(connection, TableListed { name, without_rowid, strict })?;
                if reserved { &mut shape.reserved } else { &mut shape.tables }.push(table);
            } else if !reserved {
                let readable = connection.prepare(&format!("SELECT 1 FROM {}", in_main(&name))).is_ok();
                shape.unreadable_virtual_tables.extend((!readable).then(|| name.clone()));
                shape.virtual_tables.push(name);
            }
        }
        let sql = "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'";
        for (name, sql) in rows(connection, sql, [], |row| <(String, String)>::try_from(row))? {
            let modules = sql.to_ascii_lowercase();
            let module = modules.split("using").skip(1).map(str::trim_start).find(|module| module.starts_with("fts"));
            shape.full_text.extend(module.map(|module| (name, module.chars().take(4).collect())));
        }
        shape.name_parents();
        // A trigger of a view fires when the view is written, which nobody does here.
        let sql = "SELECT name, tbl_name, sql FROM main.sqlite_schema t WHERE type = 'trigger' AND NOT EXISTS
            (SELECT 1 FROM main.sqlite_schema v WHERE v.type = 'view' AND v.name = t.tbl_name COLLATE NOCASE) ORDER BY name";
        for (name, table, sql) in rows(connection, sql, [], |row| <(String, String, String)>::try_from(row))? {
            if fires(&sql) {
                shape.triggers.push(Trigger { name, table });
            }
        }
        Ok(shape)
    }

    /// Writes the table that a key leads to as it is written where it is made, and its primary key where the key names no columns. Then
    /// makes one of keys that are declared twice.
    fn name_parents(&mut self) {
        let primary: Vec<(String, Vec<String>)> = self.tables.iter().map(|table| (table.name.clone(), table.primary_key())).collect();
        for key in self.tables.iter_mut().chain(&mut self.reserved).flat_map(|table| &mut table.keys) {
            if let Some((name, columns)) = primary.iter().find(|(name, _)| same(name, &key.parent)) {
                key.parent.clone_from(name);
                if key.parent_columns.is_empty() {
                    key.parent_columns.clone_from(columns);
                }
            }
        }
        self.tables.iter_mut().chain(&mut self.reserved).for_each(Table::merge_keys);
    }
}

impl Table {
    fn read(connection: &Connection, listed: TableListed) -> Result<Self, StoreError> {
        let mut table = Self {
            columns: read_columns(connection, &listed)?,
            keys: read_keys(connection, &listed.name)?,
            uniques: Vec::new(),
            partly_unique: Vec::new(),
            settles_conflicts: read_settles_conflicts(connection, &listed.name)?,
            unknown_collations: Vec::new(),
            name: listed.name,
        };
        if !table.has_primary_index(connection)? {
            table.find_row_number();
            // What is the number of a row has no index of its own; the other keys are judged by theirs.
            let primary = table.primary_key();
            table.uniques.extend((!primary.is_empty()).then_some(primary));
        }
        table.read_uniques(connection)?;
        table.unknown_collations = table.read_unknown_collations(connection)?;
        Ok(table)
    }

    /// Whether an index keeps its primary key: none does where it has none, or where that is the number of the row.
    fn has_primary_index(&self, connection: &Connection) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM pragma_index_list(?1, 'main') WHERE origin = 'pk'";
        Ok(!rows(connection, sql, [&self.name], |_| Ok(()))?.is_empty())
    }

    /// Marks the column that is the number of its row: a primary key of one INTEGER column without an index. It is never null, whatever
    /// is declared.
    fn find_row_number(&mut self) {
        let mut primary = self.columns.iter_mut().filter(|column| column.primary > 0);
        if let (Some(column), None) = (primary.next(), primary.next())
            && column.declared.eq_ignore_ascii_case("INTEGER")
        {
            column.not_null = true;
            column.row_number = true;
        }
    }

    /// Makes one of keys that are declared twice. Where the two say different things of a delete, the schema says nothing of it.
    fn merge_keys(&mut self) {
        let mut keys: Vec<ForeignKey> = Vec::new();
        for key in self.keys.drain(..) {
            match keys.iter_mut().find(|known| known.parent == key.parent && known.pairs() == key.pairs()) {
                Some(known) if known.on_delete == key.on_delete => {}
                Some(known) => "NO ACTION".clone_into(&mut known.on_delete),
                None => keys.push(key),
            }
        }
        self.keys = keys;
    }

    fn read_uniques(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let sql = r#"SELECT name, partial FROM pragma_index_list(?1, 'main') WHERE "unique""#;
        for (index, partial) in rows(connection, sql, [&self.name], |row| <(String, bool)>::try_from(row))? {
            let sql = "SELECT name, coll FROM pragma_index_xinfo(?1, 'main') WHERE key ORDER BY seqno";
            let parts = rows(connection, sql, [&index], |row| <(Option<String>, String)>::try_from(row))?;
            // An index that compares otherwise than its column lets in two values that the column takes for one.
            let alike = |(name, collation): &(Option<String>, String)| {
                let name = name.as_ref()?;
                self.column(name).is_some_and(|column| same(&column.likeness.collation, collation)).then(|| name.clone())
            };
            match parts.iter().map(alike).collect::<Option<Vec<_>>>() {
                Some(columns) if !partial => self.uniques.push(columns),
                _ => {
                    let sql = "SELECT lower(substr(sql, instr(sql, '('))) FROM main.sqlite_schema WHERE type = 'index' AND name = ?1";
                    // What a constraint of the table has made has no text of its own, and no more than columns.
                    let text: String =
                        rows(connection, sql, [&index], |row| row.get::<_, Option<String>>(0))?.into_iter().flatten().collect();
                    let whole = parts.iter().all(|(name, _)| name.is_some());
                    let own: Vec<String> = parts.into_iter().filter_map(|(name, _)| name).collect();
                    let said = self.said_in(&text);
                    let weighed = said.iter().filter(|column| !own.contains(column) && !leaves_null_out(&text, column)).cloned().collect();
                    self.partly_unique.push(PartlyUnique { name: index, columns: if whole { own } else { said }, weighed });
                }
            }
        }
        Ok(())
    }

    /// The columns that an index's text names. SQLite does not tell by other means which columns an expression is made of.
    fn said_in(&self, text: &str) -> Vec<String> {
        let names = self.columns.iter().map(|column| &column.name);
        names.filter(|name| says(text, &name.to_ascii_lowercase())).cloned().collect()
    }

    fn read_unknown_collations(&self, connection: &Connection) -> Result<Vec<(String, String)>, StoreError> {
        let sql =
            "SELECT DISTINCT coalesce(x.name, i.name), x.coll FROM pragma_index_list(?1, 'main') i, pragma_index_xinfo(i.name, 'main') x
            WHERE x.key";
        let indexed = rows(connection, sql, [&self.name], |row| <(String, String)>::try_from(row))?;
        let own = self.columns.iter().map(|column| (column.name.clone(), column.likeness.collation.clone()));
        // SQLite's list of collations has those too that it only knows by a schema: each is tried.
        let compares = |collation: &String| connection.prepare(&format!("SELECT '' = '' COLLATE {}", name(collation))).is_ok();
        let is_known =
            |collation: &String| ["", "BINARY", "NOCASE", "RTRIM"].iter().any(|known| same(known, collation)) || compares(collation);
        let mut found: Vec<_> = own.chain(indexed).filter(|(_, collation)| !is_known(collation)).collect();
        found.sort();
        found.dedup_by(|one, other| same(&one.0, &other.0));
        Ok(found)
    }
}

fn read_columns(connection: &Connection, table: &TableListed) -> Result<Vec<Column>, StoreError> {
    let TableListed { name, without_rowid, strict } = table;
    let sql = r#"SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1 ORDER BY cid"#;
    rows(connection, sql, [name], |row| {
        let (column, declared) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        let primary: u32 = row.get(3)?;
        let collation = connection.column_metadata(Some("main"), name.as_str(), column.as_str())?.1;
        let collation = collation.map_or_else(String::new, |collation| collation.to_string_lossy().to_ascii_uppercase());
        Ok(Column {
            name: column,
            not_null: row.get(2)? || (primary > 0 && *without_rowid),
            likeness: Likeness { kind: Kind::of(&declared, *strict), collation },
            declared,
            primary,
            generated: row.get::<_, i64>(4)? > 0,
            row_number: false,
            strict: *strict,
        })
    })
}

fn read_keys(connection: &Connection, table: &str) -> Result<Vec<ForeignKey>, StoreError> {
    let sql = r#"SELECT id, "table", "from", "to", on_delete FROM pragma_foreign_key_list(?1, 'main') ORDER BY id, seq"#;
    let mut keys = Vec::new();
    let mut last = None;
    for (id, parent, from, to, on_delete) in
        rows(connection, sql, [table], |row| <(i64, String, String, Option<String>, String)>::try_from(row))?
    {
        if last != Some(id) {
            keys.push(ForeignKey { columns: Vec::new(), parent, parent_columns: Vec::new(), on_delete });
            last = Some(id);
        }
        let key = keys.last_mut().expect("pushed with its first column");
        key.columns.push(from);
        key.parent_columns.extend(to);
    }
    Ok(keys)
}

fn read_settles_conflicts(connection: &Connection, table: &str) -> Result<bool, StoreError> {
    let sql = "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(settles_conflicts(&rows(connection, sql, [table], |row| row.get::<_, String>(0))?.concat()))
}

impl ForeignKey {
    /// Its columns with the other's, in an order of their own.
    fn pairs(&self) -> Vec<(String, String)> {
        let pairs = std::iter::zip(&self.columns, &self.parent_columns);
        let mut pairs: Vec<_> = pairs.map(|(from, to)| (from.to_ascii_lowercase(), to.to_ascii_lowercase())).collect();
        pairs.sort();
        pairs
    }
}
