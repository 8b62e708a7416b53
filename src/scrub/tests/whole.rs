//! A whole scrub over a ledger and tables of its own: what it finds, by table and column, in pages as in SQL; killed anywhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::domain::{ImportId, Mode, Settings, State, TenantName};
use crate::report::{KeptValues, ScrubReceipt};
use crate::scrub::content::search_by_sql;
use crate::scrub::needles::NeedlesBuilder;
use crate::scrub::{Method, Scrubber, SealKey, Step, Vault, Wish};
use crate::store::ledger::{self, End, NewImport, Origin};
use crate::store::{Create, Kept, Lead, Living, Options, Store};

pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) store: Store,
}

const AT: &str = "2026-11-22T00:00:00Z";

pub(super) fn at() -> Timestamp {
    AT.parse().unwrap()
}

impl World {
    pub(super) fn new(make: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("store.db");
        Connection::open(&path).unwrap().execute_batch(make).unwrap();
        let store = Store::open(&path, Create::LedgerOnly, Options::default()).unwrap();
        Self { dir, store }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("store.db")
    }

    pub(super) fn vault(&self) -> Vault {
        Vault::open(&self.dir.path().join("scrub"), SealKey::new([3; 32])).unwrap()
    }

    pub(super) fn scrubber(&self) -> Scrubber {
        let kept = |condition: &str| Some(Kept { condition: condition.to_owned(), reason: "the tax office".to_owned() });
        let living = |table: &str, kept| {
            let columns = vec!["person".to_owned()];
            let leads = vec![Lead { columns, parent: "people".to_owned(), parent_columns: vec!["id".to_owned()] }];
            Living { table: table.to_owned(), condition: None, leads, kept }
        };
        let people = Living { condition: Some("1".to_owned()), leads: Vec::new(), ..living("people", None) };
        let living = vec![people, living("notes", None), living("bills", kept(r#""bills"."person" IS NOT NULL"#))];
        Scrubber::new(&self.store, self.vault(), living).unwrap()
    }

    /// An import that ended, was archived, and took whoever these identifiers name.
    pub(super) fn import(&mut self, identifiers: &[&str]) -> ImportId {
        let new = NewImport {
            tenant: TenantName::parse("acme").unwrap(),
            file: "june.csv".to_owned(),
            mode: Mode::Purge,
            origin: Origin::File,
            requested_by: None,
            request_case: None,
            settings: Settings::default(),
            map: Vec::new(),
            seams: Vec::new(),
            received_at: at(),
            expected_sha256: None,
            refusal: None,
        };
        let import = self.store.write("note", |tx| ledger::insert(tx, &new)).unwrap();
        let mut sealing = self.vault().seal(import, [import.0 as u8; 7]).unwrap();
        identifiers.iter().for_each(|text| sealing.add(text).unwrap());
        sealing.finish().unwrap();
        let end =
            End { state: State::Completed, reason: None, message: None, finished_at: at(), outcomes: None, tally: Default::default() };
        self.store
            .write("end", |tx| {
                ledger::end(tx, import, &end)?;
                ledger::store_report(tx, import, State::Completed, "{}")?;
                ledger::note_unscrubbed(tx, import, 1, at())?;
                ledger::set_archived(tx, import)
            })
            .unwrap();
        import
    }

    /// Scrubs to the end, a few pages a slice.
    pub(super) fn scrub(&mut self) -> Vec<ScrubReceipt> {
        let mut scrubber = self.scrubber();
        self.finish(&mut scrubber, &mut || false)
    }

    pub(super) fn finish(&mut self, scrubber: &mut Scrubber, go_on: &mut dyn FnMut() -> bool) -> Vec<ScrubReceipt> {
        assert!(scrubber.begin(&mut self.store, Wish::IfWaiting, at()).unwrap());
        loop {
            match scrubber.step(&mut self.store, at(), go_on).unwrap() {
                Step::Ended(ended) => return ended.receipts,
                Step::More => {}
                Step::Waiting | Step::Idle => panic!("nobody is in the way"),
            }
        }
    }
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(place, count)| ((*place).to_owned(), *count)).collect()
}

const MAKE: &str = r#"
    CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT, v TEXT GENERATED ALWAYS AS (lower(mail)) VIRTUAL, account TEXT);
    CREATE INDEX people_by_mail ON people (mail);
    CREATE TABLE notes (person INT, n INT, body TEXT, extra BLOB, PRIMARY KEY (n, person)) WITHOUT ROWID;
    CREATE TABLE log (line TEXT, "rowid" TEXT);
    INSERT INTO people (id, mail, account) VALUES (1, 'bob@x.example', 'account-0001'), (2, 'Ann@x.example', 'account-0002');
    INSERT INTO notes VALUES (1, 1, 'see ann@x.example', NULL), (9, 2, '{"m":"ann\u0040x.example"}', x'00'), (1, 3, 'nothing', 'account-0001');
    INSERT INTO log VALUES ('joann@x.example'), ('mail to <ANN@X.example>'), ('nobody');
"#;

fn make() -> String {
    let long = format!("{} ann@x.example {}", "a".repeat(9_000), "b".repeat(9_000));
    MAKE.replace(
        "VALUES ('joann@x.example'), ('mail to <ANN@X.example>'), ('nobody')",
        "VALUES ('joann@x.example', 'x'), ('mail to <ANN@X.example>', 'y')",
    ) + &format!("INSERT INTO log VALUES ('{long}', 'account-0001');")
}

#[test]
fn finds_what_rows_still_hold_and_whose_they_are() {
    let mut world = World::new(&make());
    let ann = world.import(&["ann@x.example", "account-0001", "short"]);
    let nobody = world.import(&["nobody@x.example", "person-4711"]);
    let receipts = world.scrub();
    assert_eq!(receipts.iter().map(|receipt| receipt.import).collect::<Vec<_>>(), [ann, nobody]);
    let content = &receipts[0].content;
    assert_eq!(content.still_held, counts(&[("notes.body", 1), ("notes.extra", 1), ("people.account", 1), ("people.mail", 1)]));
    assert_eq!(content.residue, counts(&[("log.line", 2), ("log.rowid", 1), ("notes.body", 1)]));
    assert_eq!((content.searched, content.identifiers, content.too_short), (true, 2, 1));
    assert!(!receipts[0].clean);
    assert!(receipts[1].clean, "{:?}", receipts[1]);
    assert_eq!(receipts[1].content.identifiers, 2);
    let text = receipts[0].to_json();
    assert!(!text.contains('@') && !text.contains("account-0001"), "{text}");
    assert_eq!(ledger::scrub_receipt(world.store.connection(), ann).unwrap().flatten(), Some(text));
    assert!(receipts[0].structure.undisturbed && receipts[0].structure.log_empty, "{:?}", receipts[0].structure);
}

#[test]
fn pages_tell_what_sql_tells() {
    let mut world = World::new(&make());
    world.import(&["ann@x.example", "account-0001", "bob@x.example"]);
    let mut needles = NeedlesBuilder::new(5);
    ["ann@x.example", "account-0001", "bob@x.example"].iter().for_each(|needle| assert!(needles.add(0, needle)));
    let needles = needles.build();
    let living = world.scrubber().living;
    let mut expected = search_by_sql(world.store.connection(), &needles, &living).unwrap().remove(&0).unwrap();
    // A virtual column is not stored.
    expected.still_held.remove("people.v");
    let content = world.scrub().remove(0).content;
    assert_eq!((content.still_held, content.residue), (expected.still_held, expected.residue));
}

#[test]
fn what_an_index_makes_of_columns_is_searched_and_what_it_copies_is_not_counted_again() {
    let mut world = World::new(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, host TEXT, mail TEXT AS (name || '@' || host) VIRTUAL, old TEXT);
         CREATE INDEX people_mail ON people (old, mail); CREATE INDEX people_old ON people (old);
         CREATE TABLE notes (name TEXT, host TEXT, person INT, PRIMARY KEY (host, name)) WITHOUT ROWID;
         CREATE INDEX notes_mail ON notes (lower(name) || '@' || host);
         CREATE TABLE log (name TEXT, host TEXT); CREATE INDEX log_mail ON log (name || '@' || host);
         INSERT INTO people (id, name, host, old) VALUES (1, 'ann', 'x.example', 'ann@x.example');
         INSERT INTO notes VALUES ('Ann', 'x.example', 1), ('ANN', 'x.example', 9); INSERT INTO log VALUES ('ann', 'x.example'), ('bob', 'x.example')",
    );
    world.import(&["ann@x.example"]);
    let content = world.scrub().remove(0).content;
    assert_eq!(content.still_held, counts(&[("notes (notes_mail)", 1), ("people (people_mail)", 1), ("people.old", 1)]));
    assert_eq!(content.residue, counts(&[("log (log_mail)", 1), ("notes (notes_mail)", 1)]));
}

#[test]
fn full_text_indexes_are_named_because_what_they_hold_is_not_read() {
    let mut world = World::new(
        "CREATE TABLE people (id INTEGER PRIMARY KEY); CREATE TABLE notes (person INT, body TEXT);
         CREATE VIRTUAL TABLE words USING fts5(body, tokenize = \"unicode61 tokenchars '@.'\");
         INSERT INTO words VALUES ('ann@x.example ann@y.example'); DELETE FROM words;",
    );
    world.import(&["ann@x.example"]);
    assert_eq!(world.scrub().remove(0).content.full_text, ["words"]);
}

#[test]
fn what_the_plan_keeps_is_told_with_its_reason_and_is_no_residue() {
    let bills = "CREATE TABLE bills (n INTEGER PRIMARY KEY, person INT, name TEXT);
        INSERT INTO bills VALUES (1, 7, 'ann@x.example'), (2, 7, 'nobody'), (3, 1, 'for ann@x.example');";
    let kept = KeptValues { values: 1, reason: "the tax office".to_owned() };
    for encoding in ["UTF-8", "UTF-16le"] {
        let made = format!(
            "PRAGMA encoding = '{encoding}'; CREATE TABLE people (id INTEGER PRIMARY KEY); INSERT INTO people VALUES (1);
            CREATE TABLE notes (person INT, body TEXT); {bills}"
        );
        let mut world = World::new(&made);
        world.import(&["ann@x.example"]);
        let receipt = world.scrub().remove(0);
        assert!(receipt.clean, "{receipt:?}");
        assert_eq!(receipt.content.kept, BTreeMap::from([("bills.name".to_owned(), kept.clone())]), "{encoding}");
        assert_eq!((receipt.content.still_held, receipt.content.residue), (counts(&[("bills.name", 1)]), counts(&[])), "{encoding}");
        // A row that refers to nobody is not the plan's to keep.
        Connection::open(world.path()).unwrap().execute_batch("INSERT INTO bills VALUES (4, NULL, 'ann@x.example')").unwrap();
        world.import(&["ann@x.example"]);
        assert_eq!(world.scrub().remove(0).content.residue, counts(&[("bills.name", 1)]), "{encoding}");
    }
}

#[test]
fn what_stands_in_pages_that_no_table_leads_to_is_residue() {
    let mut world = World::new("CREATE TABLE lost (line TEXT); INSERT INTO lost VALUES ('to ann@x.example')");
    world.import(&["ann@x.example"]);
    let forget = "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'lost'";
    Connection::open(world.path()).unwrap().execute_batch(forget).unwrap();
    let receipt = world.scrub().remove(0);
    assert_eq!(receipt.content.residue, counts(&[("(no table)", 1)]), "{receipt:?}");
    assert!(!receipt.clean);
}

#[test]
fn a_database_in_utf16_is_searched_by_sql() {
    let mut world = World::new(&format!("PRAGMA encoding = 'UTF-16le'; {}", make()));
    world.import(&["ann@x.example"]);
    let receipt = world.scrub().remove(0);
    assert_eq!(receipt.content.residue, counts(&[("log.line", 2), ("notes.body", 1)]));
    assert!(receipt.structure.pages > 0 && receipt.method == "dbpage");
}

#[test]
fn without_access_to_pages_the_database_is_written_anew() {
    let mut world = World::new(&make());
    world.import(&["ann@x.example"]);
    let mut scrubber = world.scrubber();
    scrubber.method = Method::Vacuum;
    let receipt = world.finish(&mut scrubber, &mut || true).remove(0);
    assert_eq!(receipt.method, "vacuum");
    assert_eq!(receipt.content.residue, counts(&[("log.line", 2), ("notes.body", 1)]));
    assert!(receipt.structure.log_empty && receipt.structure.nonzero_bytes == 0);
}

#[test]
fn this_build_gives_access_to_pages() {
    // Lost by a build from another folder; .cargo/config.toml has it.
    assert_eq!(World::new(&make()).scrubber().method(), Method::Dbpage);
}

#[test]
fn samples_that_hold_an_identifier_are_deleted_and_their_bytes_too() {
    let mut world = World::new(&make());
    let filler: String = (0..400).map(|n| format!("INSERT INTO people (mail, account) VALUES ('p{n}@x.example', 'a{n}');")).collect();
    world.store.connection().execute_batch(&format!("BEGIN; {filler} COMMIT; ANALYZE")).unwrap();
    let all: i64 = world.store.connection().query_row("SELECT count(*) FROM sqlite_stat4", [], |row| row.get(0)).unwrap();
    assert!(all > 0);
    world.store.connection().execute_batch("DELETE FROM people; DELETE FROM notes; DELETE FROM log").unwrap();
    let people: Vec<String> = (0..400).map(|n| format!("p{n}@x.example")).collect();
    world.import(&people.iter().map(String::as_str).collect::<Vec<_>>());
    let receipt = world.scrub().remove(0);
    assert!(receipt.structure.samples_deleted > 0 && receipt.clean, "{receipt:?}");
    let file = std::fs::read(world.path()).unwrap();
    assert!(memchr::memmem::find(&file, b"@x.example").is_none());
}

#[test]
fn goes_on_from_where_it_was_when_it_is_killed_anywhere() {
    let expected = {
        let mut world = World::new(&make());
        world.import(&["ann@x.example", "account-0001"]);
        world.scrub().remove(0).content
    };
    let mut world = World::new(&make());
    world.import(&["ann@x.example", "account-0001"]);
    assert!(world.scrubber().begin(&mut world.store, Wish::IfWaiting, at()).unwrap());
    let mut ended = Vec::new();
    for _ in 0..10_000 {
        // A new scrubber knows what the ledger knows, as after a kill; two steps, so that it comes forward.
        let mut scrubber = world.scrubber();
        for _ in 0..3 {
            if let Step::Ended(done) = scrubber.step(&mut world.store, at(), &mut || false).unwrap() {
                ended.extend(done.receipts);
            }
        }
        if !ended.is_empty() {
            break;
        }
    }
    assert_eq!(ended[0].content, expected);
    assert_eq!(world.scrubber().step(&mut world.store, at(), &mut || false).unwrap(), Step::Idle);
    let waiting = ledger::unscrubbed(world.store.connection()).unwrap();
    assert_eq!(waiting.iter().filter_map(|one| one.again).map(|again| again.tries).collect::<Vec<_>>(), [1], "for its residue");
}

#[test]
fn waits_for_a_reader_that_keeps_the_log_and_says_so() {
    let mut world = World::new(&format!("PRAGMA journal_mode = WAL; {}", make()));
    world.import(&["ann@x.example"]);
    let reader = Connection::open(world.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM people").unwrap();
    world.store.connection().busy_timeout(std::time::Duration::ZERO).unwrap();
    let mut scrubber = world.scrubber();
    scrubber.begin(&mut world.store, Wish::IfWaiting, at()).unwrap();
    let mut last = Step::More;
    for _ in 0..1_000 {
        last = scrubber.step(&mut world.store, at(), &mut || true).unwrap();
        if last != Step::More {
            break;
        }
    }
    assert_eq!(last, Step::Waiting);
    reader.execute_batch("COMMIT").unwrap();
    assert!(matches!(scrubber.step(&mut world.store, at(), &mut || true).unwrap(), Step::Ended(_)));
}

#[test]
fn another_writers_changes_are_seen_and_the_file_is_gone_through_again() {
    let mut world = World::new(&format!("PRAGMA journal_mode = WAL; {}", make()));
    world.store.connection().execute_batch(&"INSERT INTO log VALUES (hex(randomblob(2000)), 'x');".repeat(600)).unwrap();
    world.import(&["ann@x.example"]);
    let writer = Connection::open(world.path()).unwrap();
    let mut scrubber = world.scrubber();
    scrubber.begin(&mut world.store, Wish::IfWaiting, at()).unwrap();
    let mut steps = 0;
    let receipt = loop {
        steps += 1;
        if steps == 4 {
            writer.execute_batch("INSERT INTO log VALUES ('for ann@x.example', 'new')").unwrap();
        }
        if let Step::Ended(ended) = scrubber.step(&mut world.store, at(), &mut || false).unwrap() {
            break ended.receipts[0].clone();
        }
    };
    assert!(receipt.structure.walks > 1 && receipt.structure.undisturbed, "{receipt:?}");
    assert_eq!(receipt.content.residue["log.line"], 3);
}

#[test]
fn identifiers_that_are_gone_are_not_claimed_to_be_searched_for() {
    let mut world = World::new(&make());
    let import = world.import(&["ann@x.example"]);
    world.vault().remove(import).unwrap();
    let receipt = world.scrub().remove(0);
    assert!(!receipt.content.searched && !receipt.clean);
    let damaged = world.import(&["ann@x.example"]);
    std::fs::write(world.dir.path().join(format!("scrub/{damaged}")), b"xxxxxxxxxxxxx").unwrap();
    let receipt = world.scrub().remove(0);
    assert!(!receipt.content.searched && !receipt.clean);
}
