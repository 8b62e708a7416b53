//! Random schemas and histories with secure_delete off: after a walk nothing that was deleted is in the file, everything that
//! lives is as it was, and SQLite's own check finds nothing wrong.

use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::scrub::page::{Header, Kind, Parts};
use crate::scrub::page_set::PageSet;
use crate::scrub::pages::{Beside, DatabaseFile, Pages};
use crate::scrub::roots::{Owners, btree_pages};
use crate::scrub::walk::{Images, NoRows, Slice, Stop, Tally, Tell};

#[derive(Clone, Copy, Debug)]
struct Shape {
    page_bytes: u32,
    auto_vacuum: u8,
    wal: bool,
    reserved: bool,
}

#[derive(Clone, Debug)]
enum Act {
    Put { table: u8, key: u32, bytes: u16 },
    Change { table: u8, key: u32, bytes: u16 },
    Take { table: u8, from: u32, many: u32 },
    Shrink,
}

const TABLES: [&str; 3] = ["rowed", "clustered", "indexed"];

fn make(path: &Path, shape: Shape) -> Connection {
    if shape.reserved && shape.page_bytes > 512 {
        reserve(path, shape);
    }
    let db = Connection::open(path).unwrap();
    let Shape { page_bytes, auto_vacuum, wal, .. } = shape;
    db.execute_batch(&format!("PRAGMA page_size = {page_bytes}; PRAGMA auto_vacuum = {auto_vacuum};")).unwrap();
    db.execute_batch(&format!(
        "PRAGMA journal_mode = {}; PRAGMA secure_delete = OFF; PRAGMA synchronous = OFF;",
        if wal { "WAL" } else { "DELETE" }
    ))
    .unwrap();
    db.execute_batch(
        "CREATE TABLE rowed (k INTEGER PRIMARY KEY, v TEXT, n INT, b BLOB);
         CREATE TABLE clustered (k TEXT PRIMARY KEY, v TEXT, n INT, b BLOB) WITHOUT ROWID;
         CREATE TABLE indexed (k INTEGER PRIMARY KEY, v TEXT, n INT, b BLOB);
         CREATE INDEX by_v ON indexed (v); CREATE INDEX by_n ON indexed (n, v);",
    )
    .unwrap();
    db
}

/// Bytes kept free at the end of every page, as extensions ask for: written by hand into a file that has only its first page.
fn reserve(path: &Path, shape: Shape) {
    let db = Connection::open(path).unwrap();
    db.execute_batch(&format!("PRAGMA page_size = {}; PRAGMA auto_vacuum = {}; VACUUM", shape.page_bytes, shape.auto_vacuum)).unwrap();
    drop(db);
    let mut file = std::fs::read(path).unwrap();
    assert_eq!(file.len(), shape.page_bytes as usize);
    file[20] = 32;
    file[105..107].copy_from_slice(&u16::try_from(shape.page_bytes - 32).unwrap().to_be_bytes());
    std::fs::write(path, file).unwrap();
}

/// Whole marks and dots after them: of a mark that is cut short, the next value's bytes may make another one.
fn marker(key: u32, generation: usize, bytes: u16) -> String {
    let mark = format!("<m{key:06}g{generation:05}>");
    let mut text = mark.repeat((usize::from(bytes) / mark.len()).max(1));
    text.extend(std::iter::repeat_n('.', usize::from(bytes).saturating_sub(text.len())));
    text
}

fn act(db: &Connection, acts: &[Act]) {
    for (generation, act) in acts.iter().enumerate() {
        match act {
            Act::Put { table, key, bytes } | Act::Change { table, key, bytes } => {
                let table = TABLES[usize::from(*table) % 3];
                let text = marker(*key, generation, *bytes);
                let blob = text.as_bytes().iter().rev().copied().take(usize::from(bytes / 3)).collect::<Vec<_>>();
                db.execute(&format!("INSERT OR REPLACE INTO {table} VALUES (?1, ?2, ?3, ?4)"), (key, &text, key % 7, blob)).unwrap();
            }
            Act::Take { table, from, many } => {
                let table = TABLES[usize::from(*table) % 3];
                db.execute(&format!("DELETE FROM {table} WHERE CAST(k AS INT) BETWEEN ?1 AND ?2"), (from, from + many)).unwrap();
            }
            Act::Shrink => db.execute_batch("PRAGMA incremental_vacuum(3)").unwrap(),
        }
    }
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let size = prop_oneof![6 => 1u16..120, 3 => 120u16..2_000, 1 => 2_000u16..30_000];
    let one = prop_oneof![
        5 => (0u8..3, 0u32..400, size.clone()).prop_map(|(table, key, bytes)| Act::Put { table, key, bytes }),
        2 => (0u8..3, 0u32..400, size).prop_map(|(table, key, bytes)| Act::Change { table, key, bytes }),
        2 => (0u8..3, 0u32..400, 0u32..60).prop_map(|(table, from, many)| Act::Take { table, from, many }),
        1 => Just(Act::Shrink),
    ];
    prop::collection::vec(one, 1..400)
}

fn shapes() -> impl Strategy<Value = Shape> {
    (prop::sample::select(vec![512u32, 1024, 4096, 8192, 65_536]), 0u8..3, any::<bool>(), any::<bool>())
        .prop_map(|(page_bytes, auto_vacuum, wal, reserved)| Shape { page_bytes, auto_vacuum, wal, reserved })
}

/// A whole walk, in slices of a few pages each: what was seen, and the pages that were dirty.
fn walk(db: &mut Connection, tell: Tell, file: Option<Beside<'_>>) -> (Tally, PageSet) {
    let (mut from, mut total, mut dirty) = (1, Tally::default(), PageSet::default());
    loop {
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        let walked =
            Slice { connection: &tx, tell, file, rows: &mut NoRows, images: &mut Images::default() }.run(from, &mut || false).unwrap();
        tx.commit().unwrap();
        total.add(&walked.tally);
        walked.dirty.iter().for_each(|page| dirty.insert(*page));
        match walked.stop {
            Stop::At(next) => from = next,
            Stop::End => return (total, dirty),
        }
    }
}

/// Mends some pages only, a few at a time.
fn mend(db: &mut Connection, tell: Tell, dirty: &PageSet, file: Option<Beside<'_>>) -> Tally {
    let (mut from, mut total) = (1, Tally::default());
    loop {
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        let mut images = Images::default();
        let slice = Slice { connection: &tx, tell, file, rows: &mut NoRows, images: &mut images };
        let walked = slice.run_over(dirty, from, &mut || false).unwrap();
        images.write(&tx).unwrap();
        tx.commit().unwrap();
        total.add(&walked.tally);
        match walked.stop {
            Stop::At(next) => from = next,
            Stop::End => return total,
        }
    }
}

fn dump(db: &Connection) -> Vec<String> {
    let mut lines = Vec::new();
    for table in TABLES {
        let mut statement = db.prepare(&format!("SELECT k, v, n, hex(b) FROM {table} ORDER BY k")).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            lines.push((0..4).map(|at| format!("{:?}", row.get::<_, rusqlite::types::Value>(at).unwrap())).collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

fn integrity(db: &Connection) -> String {
    db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

/// Marks in a file, by count.
fn marks(bytes: &[u8]) -> std::collections::BTreeSet<String> {
    let digits = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_digit);
    let whole = |w: &&[u8]| w.starts_with(b"<m") && digits(&w[2..8]) && w[8] == b'g' && digits(&w[9..14]) && w[14] == b'>';
    bytes.windows(15).filter(whole).map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

fn check(shape: Shape, acts: &[Act], tell: Tell) -> Result<Tally, TestCaseError> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("t.db");
    let writer = make(&path, shape);
    act(&writer, acts);
    // Another connection, because without secure_delete a freed page is not as the writer's own cache has it.
    let mut db = Connection::open(&path).unwrap();
    prop_assert_eq!(integrity(&db), "ok");
    let before = dump(&db);
    let file = DatabaseFile::of(&db);
    let file = file.as_ref().map(|file| Beside { file, complete: false });
    let (first, dirty) = walk(&mut db, tell, None);
    let (seen_in_file, dirty_in_file) = walk(&mut db, tell, file);
    prop_assert_eq!(seen_in_file, first, "the file and the log hold what SQLite shows");
    prop_assert!(dirty_in_file == dirty);
    let mended = mend(&mut db, tell, &dirty, file.filter(|_| shape.auto_vacuum == 0));
    prop_assert_eq!((mended.dirty_pages, mended.dirty_bytes), (first.dirty_pages, first.dirty_bytes));
    prop_assert_eq!(first.malformed_pages, 0);
    prop_assert_eq!(first.other_pages, first.overflow_pages, "every page is accounted for");
    prop_assert_eq!(integrity(&db), "ok");
    prop_assert_eq!(dump(&db), before.clone());
    for file in [None, file] {
        let (second, dirty) = walk(&mut db, tell, file);
        prop_assert!(dirty.is_empty(), "a second walk finds nothing");
        prop_assert_eq!((second.dirty_bytes, second.pages), (0, first.pages));
    }
    if shape.wal {
        let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
        prop_assert_eq!(busy, 0);
    }
    let live: std::collections::BTreeSet<String> = before.iter().flat_map(|line| marks(line.as_bytes())).collect();
    let file = std::fs::read(&path).unwrap();
    let left: Vec<_> = marks(&file).difference(&live).cloned().collect();
    prop_assert!(left.is_empty(), "{left:?}");
    Ok(first)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_deleted_is_left_and_nothing_live_is_changed(shape in shapes(), acts in acts()) {
        check(shape, &acts, Tell::BySize)?;
        check(shape, &acts, Tell::ByRoots)?;
    }

    #[test]
    fn pages_are_told_apart_as_sqlite_does(shape in shapes(), acts in acts()) {
        let dir = TempDir::new().unwrap();
        let db = make(&dir.path().join("t.db"), shape);
        act(&db, &acts);
        let mut expected: Vec<u32> = Vec::new();
        let mut statement = db.prepare("SELECT pageno FROM dbstat WHERE pagetype IN ('leaf', 'internal') ORDER BY pageno").unwrap();
        expected.extend(statement.query_map([], |row| row.get::<_, u32>(0)).unwrap().map(Result::unwrap));
        let mut pages = Pages::open(&db).unwrap();
        let trees = btree_pages(&db, &mut pages).unwrap();
        let found: Vec<u32> = (1..=pages.count).filter(|page| trees.has(*page)).collect();
        prop_assert_eq!(&found, &expected);
        let owners = Owners::read(&db, None).unwrap();
        let mut statement = db.prepare(
            "SELECT d.pageno, coalesce(s.rootpage, 1), s.type IS 'index' FROM dbstat d LEFT JOIN sqlite_schema s USING (name) \
             WHERE pagetype IN ('leaf', 'internal')",
        ).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (page, root, is_index): (u32, u32, bool) = (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
            prop_assert_eq!((owners.root_of(page), owners.is_copy(page)), (Some(root), is_index));
        }
        prop_assert_eq!((1..=pages.count).filter(|page| owners.root_of(*page).is_some()).count(), expected.len());
    }
}

#[test]
fn the_property_is_not_empty_a_file_is_dirty_before_its_walk() {
    let shape = Shape { page_bytes: 4096, auto_vacuum: 0, wal: true, reserved: false };
    let mut acts: Vec<Act> = (0..400).map(|key| Act::Put { table: (key % 3) as u8, key, bytes: (key * 37 % 5_000) as u16 }).collect();
    acts.push(Act::Take { table: 0, from: 10, many: 50 });
    acts.push(Act::Take { table: 1, from: 100, many: 200 });
    acts.push(Act::Take { table: 2, from: 0, many: 390 });
    let tally = check(shape, &acts, Tell::BySize).unwrap();
    assert!(tally.dirty_bytes > 10_000 && tally.free_pages > 10 && tally.overflow_pages > 10, "{tally:?}");
}

#[test]
fn what_stands_behind_a_mark_makes_no_other_of_it() {
    // In an index a row's number stands behind its text: 50 is the digit 2, and an entry of 62 bytes before it begins with a `>`.
    let shape = Shape { page_bytes: 512, auto_vacuum: 0, wal: false, reserved: false };
    let mut acts = vec![Act::Shrink; 4];
    acts.extend([Act::Put { table: 2, key: 200, bytes: 57 }, Act::Put { table: 2, key: 50, bytes: 28 }]);
    check(shape, &acts, Tell::BySize).unwrap();
}

#[test]
fn fragments_side_by_side_are_unused_bytes() {
    let dir = TempDir::new().unwrap();
    let db = make(&dir.path().join("t.db"), Shape { page_bytes: 4096, auto_vacuum: 0, wal: false, reserved: false });
    // Each new row is up to three bytes shorter than the one whose place it takes.
    for key in 0..20 {
        db.execute("INSERT INTO rowed (k, v) VALUES (?1, ?2)", (key, "q".repeat(60))).unwrap();
    }
    for bytes in (40..60).rev() {
        db.execute("UPDATE rowed SET v = ?1 WHERE k = 7", ["z".repeat(bytes)]).unwrap();
    }
    let mut pages = Pages::open(&db).unwrap();
    let root: u32 = db.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'rowed'", [], |row| row.get(0)).unwrap();
    let (mut page, mut parts) = (Vec::new(), Parts::default());
    pages.get(root, &mut page).unwrap();
    assert_eq!(parts.read(&page, Header::start_of(root), pages.header.usable), Ok(Kind::TableLeaf));
    let longest = parts.unused.iter().skip(1).map(|range| page[range.clone()].iter().filter(|byte| **byte != 0).count()).max();
    assert!(longest >= Some(1), "{:?}", parts.unused);
}
