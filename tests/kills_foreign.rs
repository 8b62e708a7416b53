//! Killed at any call of an import over an application's own database, with a rollback journal and a plan of every action: it
//! ends as an undisturbed run.

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

/// A daemon over an application's database that ran once, and a list in its inbox.
fn prepared() -> World {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.tenant("acme");
    database(&world).execute_batch(SQL).expect("tables");
    world.write("plan.toml", PLAN);
    // Relative to the configuration, so that a fork has its own.
    world.set("store", "database", "\"../app.db\"");
    world.set("store", "plan", "\"../plan.toml\"");
    world.start();
    world.stop();
    let list: String = (1..=30).step_by(2).chain([2, 40]).map(|n| format!("PERSON{n}@x.example\n")).collect();
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
    let prepared = prepared();
    let expected = to_its_end(&mut prepared.fork());
    // The hash's key differs between worlds and not between forks; 16 of 30 people go.
    let count = |table: &str| expected.iter().filter(|row| row.starts_with(&format!("{table} "))).count();
    assert_eq!(["people", "notes", "bills", "outbox"].map(count), [14, 42, 30, 14]);
    let mut deaths = 0;
    for (call, step) in [("fsync", 1), ("fdatasync", 1), ("unlink", 1), ("renameat2", 1), ("pwrite64", 4)] {
        let mut nth = 1;
        loop {
            let mut world = prepared.fork();
            world.start_by(|world| serve_killed_at(world, call, nth));
            let died = killed(&mut world, ended);
            assert_eq!(to_its_end(&mut world), expected, "after a kill at {call} {nth}\n{}", world.picture());
            let sound = |pragma: &str| database(&world).query_row(pragma, [], |row| row.get::<_, String>(0)).ok();
            assert_eq!(sound("PRAGMA integrity_check").as_deref(), Some("ok"), "after a kill at {call} {nth}");
            assert_eq!(sound("PRAGMA foreign_key_check"), None, "after a kill at {call} {nth}");
            if !died {
                break;
            }
            deaths += 1;
            nth += 1 + nth / step * u32::from(step > 1);
        }
    }
    assert!(deaths >= 20, "only {deaths} kills: the calls are not seen");
}
