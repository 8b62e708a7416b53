//! Killed at any call of an import over an application's own database, with a plan of every action, in one chunk and in several, with a
//! rollback journal and with a write-ahead log: it ends as an undisturbed run.

use rusqlite::Connection;

use crate::kills::{killed, serve_killed_at, told, without_ids};
use crate::signatures::every_signature_holds;
use crate::support::have;
use crate::world::World;

const SQL: &str = "PRAGMA journal_mode = DELETE;
    CREATE TABLE people (id TEXT PRIMARY KEY NOT NULL, mail TEXT, friend TEXT REFERENCES people);
    CREATE TABLE notes (person TEXT REFERENCES people, n INTEGER, above INTEGER, PRIMARY KEY (person, n)) WITHOUT ROWID;
    CREATE TABLE pairs (a TEXT REFERENCES people, b TEXT REFERENCES people);
    CREATE TABLE bills (id INTEGER PRIMARY KEY, person TEXT, name TEXT);
    CREATE TABLE outbox (id INTEGER PRIMARY KEY, body TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)
    INSERT INTO people SELECT 'k' || i, 'Person' || i || '@X.example', 'k' || (1 + i % 30) FROM n;
    INSERT INTO notes SELECT people.id, n.value, 1 FROM people, json_each('[1,2,3]') n;
    INSERT INTO pairs SELECT id, friend FROM people UNION ALL SELECT id, NULL FROM people;
    INSERT INTO bills (person, name) SELECT id, mail FROM people;
    INSERT INTO outbox (body) SELECT json_object('to', json_array(mail)) FROM people;";

const PLAN: &str = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }
    edges = [{ columns = ['friend'], parent = 'people', parent_columns = ['id'] }]
    [[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]
    [[table]]\nname = 'pairs'\naction = 'detach'
    edges = [{ columns = ['a'], parent = 'people', parent_columns = ['id'] }, { columns = ['b'], parent = 'people', parent_columns = ['id'] }]
    [[table]]\nname = 'bills'\naction = 'overwrite'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]
    set = [{ column = 'person', to = 'null' }, { column = 'name', to = 'hash' }]
    [[table]]\nname = 'outbox'\naction = 'delete'\nmatch = [{ column = 'body', path = '$.to[0]' }]";

fn database(world: &World) -> Connection {
    let c = Connection::open(world.outside("app.db")).expect("a database");
    c.busy_timeout(std::time::Duration::from_secs(30)).expect("a timeout");
    c
}

/// The same tables with an index for each key, so that chunks can be small; 800 of 900 people go.
const INDEXED: &str = "CREATE TABLE people (id TEXT PRIMARY KEY NOT NULL, mail TEXT, friend TEXT REFERENCES people);
    CREATE TABLE notes (person TEXT REFERENCES people, n INTEGER, above INTEGER, PRIMARY KEY (person, n)) WITHOUT ROWID;
    CREATE TABLE pairs (a TEXT REFERENCES people, b TEXT REFERENCES people);
    CREATE TABLE bills (id INTEGER PRIMARY KEY, person TEXT, name TEXT);
    CREATE TABLE outbox (id INTEGER PRIMARY KEY, body TEXT);
    CREATE INDEX people_friend ON people (friend); CREATE INDEX pairs_a ON pairs (a); CREATE INDEX pairs_b ON pairs (b);
    CREATE INDEX bills_person ON bills (person); CREATE INDEX outbox_body ON outbox (body COLLATE NOCASE);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
    INSERT INTO people SELECT 'k' || i, 'person' || i || '@x.example', 'k' || (1 + i * 7 % 900) FROM n;
    INSERT INTO notes SELECT id, 1, 1 FROM people;
    INSERT INTO pairs SELECT id, friend FROM people UNION ALL SELECT id, NULL FROM people;
    INSERT INTO bills (person, name) SELECT id, mail FROM people;
    INSERT INTO outbox (body) SELECT mail FROM people;";

fn indexed_list() -> String {
    (1..=900).filter(|n| n % 9 != 0).map(|n| format!("PERSON{n}@x.example\n")).collect()
}

/// A daemon over an application's database that ran once, and a list in its inbox.
fn prepared(sql: &str, plan: &str, list: &str) -> World {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    // Chunks after the first are as small as they get.
    world.set("pipeline", "chunk_milliseconds", "10");
    world.tenant("acme");
    database(&world).execute_batch(sql).expect("tables");
    world.write("plan.toml", plan);
    // Relative to the configuration, so that a fork has its own.
    world.set("store", "database", "\"../app.db\"");
    world.set("store", "plan", "\"../plan.toml\"");
    world.start();
    world.stop();
    let local = world.write("june.csv", format!("Customer Email\n{list}bad\n"));
    world.move_in(&local, "acme", "june.csv");
    world
}

fn ended(world: &World) -> bool {
    world.status("acme", "june.csv").is_some_and(|status| status["state"] == "completed")
        && world.files("acme", "processing").is_empty()
        && database(world).query_row("SELECT count(*) FROM expunged_imports WHERE NOT archived", [], |row| row.get(0)) == Ok(0)
}

/// Every row of the application's tables, the report and the results.
fn left(world: &World) -> Vec<String> {
    every_signature_holds(world);
    let c = database(world);
    let mut left = Vec::new();
    for table in ["people", "notes", "pairs", "bills", "outbox"] {
        let mut rows = c.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).expect("a table");
        let columns = rows.column_count();
        let cells =
            |row: &rusqlite::Row<'_>| (0..columns).map(|at| Ok(format!("{:?}", row.get_ref(at)?))).collect::<rusqlite::Result<Vec<_>>>();
        left.extend(rows.query_map([], cells).expect("rows").map(|cells| format!("{table} {}", cells.expect("a row").join(" "))));
    }
    for name in world.files("acme", "archive") {
        let text = std::fs::read_to_string(world.folder("acme", "archive").join(&name)).expect("text");
        left.push(format!("{}\n{}", without_ids(&name), told(&name, &text)));
    }
    left
}

fn to_its_end(world: &mut World) -> Vec<String> {
    world.start();
    world.eventually("the file ends", || ended(world).then_some(()));
    world.stop();
    left(world)
}

#[test]
fn an_import_over_an_applications_database_killed_at_any_call_ends_as_if_undisturbed() {
    if !have("strace") {
        return;
    }
    let list: String = (1..=30).step_by(2).chain([2, 40]).map(|n| format!("PERSON{n}@x.example\n")).collect();
    let prepared = prepared(SQL, PLAN, &list);
    let calls: &[Calls] = &[("fsync", 1), ("fdatasync", 1), ("unlink", 1), ("renameat2", 1), ("pwrite64", 4)];
    let killed = killed_and_ended(&prepared, calls, [14, 42, 30, 14]);
    assert!(killed.deaths >= 20, "only {} kills: the calls are not seen", killed.deaths);
}

#[test]
fn an_import_of_several_chunks_with_a_rollback_journal_killed_at_any_call_ends_as_if_undisturbed() {
    several_chunks("DELETE", &[("fsync", 6), ("fdatasync", 1), ("unlink", 1), ("pwrite64", 4)]);
}

#[test]
fn an_import_of_several_chunks_with_a_write_ahead_log_killed_at_any_call_ends_as_if_undisturbed() {
    several_chunks("WAL", &[("fsync", 6), ("fdatasync", 1), ("ftruncate", 3), ("pwrite64", 4)]);
}

fn several_chunks(journal: &str, calls: &[Calls]) {
    if !have("strace") {
        return;
    }
    let plan = PLAN.replace("match = [{ column = 'body', path = '$.to[0]' }]", "match = [{ column = 'body', compare = 'nocase' }]");
    let prepared = prepared(&format!("PRAGMA journal_mode = {journal}; {INDEXED}"), &plan, &indexed_list());
    let killed = killed_and_ended(&prepared, calls, [100, 100, 900, 100]);
    assert!(killed.deaths >= 20, "only {} kills: the calls are not seen", killed.deaths);
    assert!(killed.halfway >= 2, "only {} kills between two chunks, of {}", killed.halfway, killed.deaths);
}

/// How many people there are, seen in a copy: a look at the database itself would roll its journal back before the daemon does.
fn people(world: &World) -> i64 {
    for end in ["", "-journal", "-wal"] {
        let _ = std::fs::remove_file(world.outside(&format!("copy.db{end}")));
        let _ = std::fs::copy(world.outside(&format!("app.db{end}")), world.outside(&format!("copy.db{end}")));
    }
    let copy = Connection::open(world.outside("copy.db")).expect("a copy");
    copy.query_row("SELECT count(*) FROM people", [], |row| row.get(0)).expect("a count")
}

/// A call, and of how many of them the next is tried: 1 is each, 4 each one, then one in two from the fourth on, and so on.
type Calls = (&'static str, u32);

struct Killed {
    deaths: u32,
    /// Kills that left some of the people there and some not.
    halfway: u32,
}

/// Kills at one call after the other, and compares the end with an undisturbed run's, which leaves so many people, notes, bills and letters.
fn killed_and_ended(prepared: &World, calls: &[Calls], counts: [usize; 4]) -> Killed {
    // The hash's key differs between worlds and not between forks.
    let expected = to_its_end(&mut prepared.fork());
    let count = |table: &str| expected.iter().filter(|row| row.starts_with(&format!("{table} "))).count();
    assert_eq!(["people", "notes", "bills", "outbox"].map(count), counts);
    let (all, stay) = (people(prepared), i64::try_from(counts[0]).expect("few"));
    let mut seen = Killed { deaths: 0, halfway: 0 };
    for (call, step) in calls {
        let mut nth = 1;
        loop {
            let mut world = prepared.fork();
            world.start_by(|world| serve_killed_at(world, call, nth));
            let died = killed(&mut world, ended);
            let left = people(&world);
            let found = to_its_end(&mut world);
            assert!(found == expected, "after a kill at {call} {nth}\n{}", world.picture());
            let sound = |pragma: &str| database(&world).query_row(pragma, [], |row| row.get::<_, String>(0)).ok();
            assert_eq!(sound("PRAGMA integrity_check").as_deref(), Some("ok"), "after a kill at {call} {nth}");
            assert_eq!(sound("PRAGMA foreign_key_check"), None, "after a kill at {call} {nth}");
            if !died {
                break;
            }
            seen.deaths += 1;
            seen.halfway += u32::from(left < all && left > stay);
            nth += 1 + nth / step * u32::from(*step > 1);
        }
    }
    seen
}
