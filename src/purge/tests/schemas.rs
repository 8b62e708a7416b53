//! Random schemas with random rows: the plan is derived from the schema's own words, and SQLite itself is the oracle. It deletes
//! the same people from a copy with its own cascades, row by row; every table must be the same afterwards, and every count.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rusqlite::Connection;

use super::world::{World, row, tenant};
use crate::domain::{IdentityKey, Outcome, Settings};
use crate::purge::{Deriving, Engine, Plan, derive};
use crate::store::{Create, Store};

/// A table that refers to others, in circles too, to the people, or to itself.
#[derive(Clone, Debug)]
struct Child {
    keys: Vec<Key>,
    /// `INTEGER PRIMARY KEY`, a text key, a composite key without row numbers.
    kind: u8,
    rows: Vec<Vec<Option<u8>>>,
}

#[derive(Clone, Debug)]
struct Key {
    /// 0 the people, 1.. the tables, itself among them.
    parent: u8,
    cascade: bool,
    /// To the parent's other unique columns, two of them.
    other: bool,
    indexed: bool,
}

#[derive(Clone, Debug)]
struct Scene {
    encoding: &'static str,
    key_kind: u8,
    without_rowid: bool,
    people: Vec<Option<u8>>,
    invited: Vec<Option<u8>>,
    children: Vec<Child>,
    /// Each child's first key leads to the next one, and the last one's to the first.
    ring: bool,
    rows: Vec<String>,
    chunk: u32,
}

fn scene() -> impl Strategy<Value = Scene> {
    let key = (0..5_u8, any::<bool>(), any::<bool>(), any::<bool>());
    let key = key.prop_map(|(parent, cascade, other, indexed)| Key { parent, cascade, other, indexed });
    let rows = prop::collection::vec(prop::collection::vec(prop::option::weighted(0.8, 0..12_u8), 3), 0..10);
    let child = (prop::collection::vec(key, 1..4), 0..3_u8, rows).prop_map(|(keys, kind, rows)| Child { keys, kind, rows });
    let word = prop_oneof![
        6 => (0..9_u8, any::<bool>()).prop_map(|(n, upper)| if upper { format!("E{n}@X.EXAMPLE") } else { format!("e{n}@x.example") }),
        1 => Just("!".to_owned()),
    ];
    (
        (0..5_u8, prop_oneof![Just("UTF-8"), Just("UTF-16le")], prop::bool::weighted(0.2)),
        prop::collection::vec(prop::option::weighted(0.9, 0..7_u8), 0..9),
        prop::collection::vec(prop::option::weighted(0.5, 0..9_u8), 9),
        (prop::collection::vec(child, 0..5), prop::bool::weighted(0.4)),
        prop::collection::vec(word, 0..9),
        1..5_u32,
    )
        .prop_map(|((key_kind, encoding, without_rowid), people, invited, (children, ring), rows, chunk)| Scene {
            encoding,
            key_kind,
            without_rowid,
            people,
            invited,
            children,
            ring,
            rows,
            chunk,
        })
}

/// A key's value as SQL, one for each kind of key.
fn value(kind: u8, n: u8) -> String {
    match kind {
        // Some are far from the others.
        0 => format!("{}", [1, 2, -1, 4, 5, i64::MAX, 7, i64::MIN].get(usize::from(n)).copied().unwrap_or(i64::from(n) + 1)),
        2 => format!("x'00ff{n:02x}'"),
        // One encoding has these first, the other last.
        _ if n.is_multiple_of(3) => format!("'\u{100}{n}'"),
        _ => format!("'k{n}'"),
    }
}

/// The same as what refers to it spells it.
fn spelled(kind: u8, n: u8) -> String {
    match kind {
        3 => value(kind, n).to_ascii_uppercase(),
        4 => format!("{} '", value(kind, n).trim_end_matches('\'')),
        _ => value(kind, n),
    }
}

/// The schema and its rows. Every table has the key `k` and the unique pair `(u, v)`.
fn sql(scene: &Scene) -> String {
    let declared = ["INTEGER", "TEXT", "BLOB", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM"];
    let mut sql = format!(
        "PRAGMA encoding = '{}';\nCREATE TABLE people (k {} PRIMARY KEY, u INTEGER, v TEXT, mail TEXT, invited {1} REFERENCES people (k) ON DELETE SET NULL, UNIQUE (u, v)){};\n",
        scene.encoding,
        declared[usize::from(scene.key_kind)],
        if scene.without_rowid { " WITHOUT ROWID" } else { "" }
    );
    let kind_of = |table: usize| if table == 0 { scene.key_kind } else { scene.children[table - 1].kind.min(1) };
    let parent_of = |own: usize, n: usize, key: &Key| match scene.children.len() {
        tables if scene.ring && n == 0 => own % tables + 1,
        tables => usize::from(key.parent) % (tables + 1),
    };
    let rows_of = |table: usize| if table == 0 { scene.people.len() } else { scene.children[table - 1].rows.len() };
    for (n, mail) in scene.people.iter().enumerate() {
        let invited = scene.invited[n].filter(|other| usize::from(*other) < scene.people.len());
        let invited = invited.map_or("NULL".to_owned(), |other| spelled(scene.key_kind, other));
        // As people write them.
        let mail = mail.map_or("NULL".to_owned(), |mail| format!("' E{mail}@x.Example'"));
        sql += &format!("INSERT INTO people VALUES ({}, {n}, 'v{n}', {mail}, {invited});\n", value(scene.key_kind, n as u8));
    }
    for (at, child) in scene.children.iter().enumerate() {
        let own = at + 1;
        let mut columns = vec![match child.kind {
            0 => "k INTEGER PRIMARY KEY".to_owned(),
            _ => "k TEXT NOT NULL".to_owned(),
        }];
        columns.push("u INTEGER, v TEXT".to_owned());
        let mut keys = Vec::new();
        let mut indexes = String::new();
        for (n, key) in child.keys.iter().enumerate() {
            let parent = parent_of(own, n, key);
            let name = if parent == 0 { "people".to_owned() } else { format!("t{parent}") };
            let action = if key.cascade || scene.ring && n == 0 { "CASCADE" } else { "SET NULL" };
            if key.other {
                columns.push(format!("u{n} INTEGER, v{n} TEXT"));
                keys.push(format!("FOREIGN KEY (u{n}, v{n}) REFERENCES {name} (u, v) ON DELETE {action}"));
                if key.indexed {
                    indexes += &format!("CREATE INDEX t{own}_{n} ON t{own} (u{n}, v{n});\n");
                }
            } else {
                columns.push(format!("k{n} {}", declared[usize::from(kind_of(parent))]));
                keys.push(format!("FOREIGN KEY (k{n}) REFERENCES {name} (k) ON DELETE {action}"));
                if key.indexed {
                    indexes += &format!("CREATE INDEX t{own}_{n} ON t{own} (k{n});\n");
                }
            }
        }
        let (primary, end) = match child.kind {
            0 => (vec![], ""),
            1 => (vec!["PRIMARY KEY (k)".to_owned()], ""),
            _ => (vec!["PRIMARY KEY (k, u), UNIQUE (k)".to_owned()], " WITHOUT ROWID"),
        };
        let parts: Vec<_> = columns.into_iter().chain(primary).chain(["UNIQUE (u, v)".to_owned()]).chain(keys).collect();
        sql += &format!("CREATE TABLE t{own} ({}){end};\n{indexes}", parts.join(", "));
        for (n, cells) in child.rows.iter().enumerate() {
            let mut values = vec![value(child.kind.min(1), n as u8), format!("{n}"), format!("'v{n}'")];
            for (at, (key, cell)) in std::iter::zip(&child.keys, cells).enumerate() {
                let parent = parent_of(own, at, key);
                // Of its own table only rows that are there already.
                let most = if parent == own { n } else { rows_of(parent) };
                // Round a ring most rows lead on, or few would come round.
                let round = |cell: u8| if scene.ring && at == 0 { (usize::from(cell) % most.max(1)) as u8 } else { cell };
                let cell = cell.map(round).filter(|cell| usize::from(*cell) < most);
                values.extend(match (cell, key.other) {
                    (None, true) => vec!["NULL".to_owned(), "'half'".to_owned()],
                    (None, false) => vec!["NULL".to_owned()],
                    (Some(cell), true) => vec![format!("{cell}"), format!("'v{cell}'")],
                    (Some(cell), false) => vec![spelled(kind_of(parent), cell)],
                });
            }
            sql += &format!("INSERT INTO t{own} VALUES ({});\n", values.join(", "));
        }
    }
    sql
}

/// Every row of a table by its key.
fn rows_by_key(c: &Connection, table: &str) -> BTreeMap<String, String> {
    let mut statement = c.prepare(&format!("SELECT quote(k), * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        let cells: Vec<_> = (1..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect();
        Ok((row.get(0)?, cells.join("|")))
    };
    statement.query_map([], read).unwrap().map(Result::unwrap).collect()
}

fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: if asked.cases == 256 { 48 } else { asked.cases }, failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_derived_plan_does_what_sqlites_own_cascades_do(scene in scene()) {
        let sql = sql(&scene);
        let (oracle, before) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        for c in [&oracle, &before] {
            c.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
            c.execute_batch(&sql).unwrap();
            c.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        }
        let text = derive(&before, &Deriving { subject: "people", account: None, tenant: Some(&tenant("acme")) }).unwrap();
        // A store without any address has no column that looks like one but by its name.
        let plan = Plan::parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        let world = World { folder: tempfile::TempDir::new().unwrap(), engine: Engine::new(plan, IdentityKey::new([7; 32])).unwrap(), create: Create::LedgerOnly };
        Connection::open(world.path()).unwrap().execute_batch(&format!("PRAGMA foreign_keys = OFF;{sql}")).unwrap();
        drop::<Store>(world.open());
        world.engine.fits(world.read().connection(), 1_000).unwrap();

        // The oracle, person by person.
        let mut outcomes = Vec::new();
        for (at, word) in scene.rows.iter().enumerate() {
            let word = word.to_ascii_lowercase();
            outcomes.push(if word == "!" {
                Outcome::Invalid
            } else if scene.rows[..at].iter().any(|other| other.to_ascii_lowercase() == word) {
                Outcome::Duplicate
            } else {
                let taken = oracle.execute("DELETE FROM people WHERE lower(trim(mail)) = ?1", [&word]).unwrap();
                if taken > 0 { Outcome::Deleted } else { Outcome::NotFound }
            });
        }

        let rows: Vec<_> = (2..).zip(&scene.rows).map(|(line, word)| row(line, word)).collect();
        let matched = world.matched(&rows, Settings::default());
        let (_, checked) = world.checked(&matched);
        let came = world.purge(&matched, scene.chunk);
        prop_assert_eq!(&came.outcomes, &outcomes);
        prop_assert_eq!(&came, &checked, "{}\n{}", text, sql);
        let store = world.read();
        let tables = std::iter::once("people".to_owned()).chain((1..=scene.children.len()).map(|at| format!("t{at}")));
        for table in tables {
            let [old, new, wanted] = [&before, store.connection(), &oracle].map(|c| rows_by_key(c, &table));
            prop_assert_eq!(&new, &wanted, "{} after chunks of {}\n{}\n{}", table, scene.chunk, text, sql);
            let removed = old.keys().filter(|key| !new.contains_key(*key)).count() as u64;
            let detached = old.iter().filter(|(key, row)| new.get(*key).is_some_and(|now| now != *row)).count() as u64;
            let counted = (came.progress.removed.get(&table), came.progress.detached.get(&table));
            prop_assert_eq!(counted, (removed, detached), "{} after chunks of {}\n{}\n{}", table, scene.chunk, text, sql);
        }
    }
}
