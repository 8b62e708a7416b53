//! Keys that are one and spelled in two ways, because their columns compare by a collation or as numbers, and keys that SQLite orders
//! otherwise than we do.

use rusqlite::Connection;

use super::words::{purged, world};
use super::world::{World, at, rows};
use crate::domain::{IdentityKey, Mode, Settings};
use crate::purge::{Engine, Plan};
use crate::store::Create;

/// A team by its own row's spelling, with the people 1 and 2, by theirs.
fn team([its, theirs]: [&str; 2], name: &str, spelled: [&str; 2]) -> String {
    let people = std::iter::zip([1, 2], spelled).map(|(id, team)| format!("UPDATE people SET team = {team} WHERE id = {id};"));
    let teams = format!("CREATE TABLE teams (name {its} PRIMARY KEY NOT NULL); INSERT INTO teams VALUES ({name});");
    format!("ALTER TABLE people ADD COLUMN team {theirs}; {teams} {}", people.collect::<String>())
}

const TEAMS: &str = "[account]\ntable = 'teams'\ncolumns = ['name']\nsubject_columns = ['team']\n";

#[test]
fn an_account_is_kept_however_its_people_spell_it() {
    let [nocase, rtrim] = ["TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM"];
    for (kinds, name, spelled) in [
        ([nocase, nocase], "'Blue'", ["'blue'", "'BLUE'"]),
        ([rtrim, rtrim], "'blue'", ["'blue '", "'blue  '"]),
        (["NUMERIC", "REAL"], "1", ["1", "1"]),
        (["NUMERIC", "NUMERIC"], "1.5", ["1.5", "1.50"]),
    ] {
        let sql = team(kinds, name, spelled);
        let kept = format!("teams|{}\n", name.trim_matches('\''));
        assert_eq!(purged(&sql, TEAMS, &["one@x.example +keep", "acme/2"], "teams"), kept, "{sql}");
        assert_eq!(purged(&sql, TEAMS, &["one@x.example", "acme/2 +keep"], "teams"), kept, "{sql}");
        assert_eq!(purged(&sql, TEAMS, &["one@x.example +keep"], "teams"), kept, "{sql}");
        assert_eq!(purged(&sql, TEAMS, &["one@x.example", "acme/2"], "teams"), "removed 1\n", "{sql}");
    }
}

#[test]
fn a_wish_that_a_former_program_noted_keeps_every_account() {
    let world = world(&team(["TEXT", "TEXT"], "'blue'", ["'blue'", "'blue'"]), TEAMS);
    let import = world.begin(&world.matched(&rows(&["one@x.example", "acme/2"]), Settings::default()));
    world.sql(&format!("INSERT INTO expunged_preserved_accounts VALUES ({}, x'00')", import.0));
    while world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap().more {}
    assert_eq!(world.dump("teams"), "teams|blue\n");
}

const USERS: &str = "[subject]\ntable = 'users'\nkey = 'k'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }\n";

fn world_of(sql: &str, plan: &str) -> World {
    let engine = Engine::new(Plan::parse(&format!("{USERS}{plan}")).unwrap(), IdentityKey::new([7; 32])).unwrap();
    let world = World { folder: tempfile::TempDir::new().unwrap(), engine, create: Create::LedgerOnly };
    Connection::open(world.path()).unwrap().execute_batch(sql).unwrap();
    world.open();
    world.engine.fits(world.read().connection(), 100).unwrap();
    world
}

/// Four people of one address. By UTF-16, little end first, the last two keys come first.
fn family(encoding: &str) -> World {
    let keys = ["a", "b", "\u{100}", "\u{10000}"].map(|key| format!("('{key}', 'all@x.example')"));
    let table = "CREATE TABLE users (k TEXT PRIMARY KEY NOT NULL, mail TEXT);";
    world_of(&format!("PRAGMA encoding = '{encoding}'; {table} INSERT INTO users VALUES {}", keys.join(", ")), "")
}

const ENCODINGS: [&str; 3] = ["UTF-8", "UTF-16le", "UTF-16be"];

#[test]
fn nobody_who_was_approved_is_a_stranger_whatever_the_order_of_keys() {
    for encoding in ENCODINGS {
        let world = family(encoding);
        let matched = world.matched(&rows(&["all@x.example"]), Settings::default());
        let import = world.begin(&matched);
        let strangers = |matched| world.engine.strangers(world.read().connection(), import, matched).unwrap();
        assert_eq!(strangers(&matched), 0, "{encoding}");
        world.sql("DELETE FROM users WHERE k = 'b'; INSERT INTO users VALUES ('c', 'all@x.example')");
        assert_eq!(strangers(&world.matched(&rows(&["all@x.example"]), Settings::default())), 1, "{encoding}");
    }
}

#[test]
fn a_check_that_has_ended_says_of_each_row_whom_it_would_take_whatever_the_order_of_keys() {
    for encoding in ENCODINGS {
        let world = family(encoding);
        let import = world.import(Mode::Check);
        let matched = world.matched(&rows(&["all@x.example"]), Settings::default());
        let (checked, came) = world.checked(&matched);
        assert_eq!(came.customers, [4], "{encoding}");
        let ended = world.engine.finish_check(&mut world.open(), import, &matched, &checked, at(2), |_| String::new()).unwrap();
        assert_eq!(world.came(&ended), came, "{encoding}");
    }
}

/// Three people, with links between them that spell their keys otherwise.
fn links(collation: &str, [one, two, three]: [&str; 3]) -> String {
    format!(
        "CREATE TABLE users (k TEXT COLLATE {collation} PRIMARY KEY NOT NULL, mail TEXT);
        INSERT INTO users VALUES ('k1', '1@x.example'), ('k2', '2@x.example'), ('k3', '3@x.example');
        CREATE TABLE links (n INTEGER PRIMARY KEY, a TEXT COLLATE {collation}, b TEXT COLLATE {collation});
        INSERT INTO links VALUES (1, '{one}', '{two}'), (2, '{two}', '{one}'), (3, '{one}', '{three}'), (4, '{three}', '{two}'), (5, '{two}', NULL);"
    )
}

#[test]
fn a_row_that_spells_its_parties_otherwise_is_counted_once_whatever_the_chunks() {
    let spellings = [("BINARY", ["k1", "k2", "k3"]), ("NOCASE", ["K1", "K2", "K3"]), ("RTRIM", ["k1 ", "k2 ", "k3  "])];
    for (collation, spelled) in spellings {
        for (orphans, counts) in [("keep", (0, 5)), ("delete", (3, 2))] {
            for chunk in [1, 10] {
                let by = |column: &str| format!("{{ columns = ['{column}'], parent = 'users', parent_columns = ['k'] }}");
                let edges = format!("[{}, {}]", by("a"), by("b"));
                let plan = format!("[[table]]\nname = 'links'\naction = 'detach'\norphans = '{orphans}'\nedges = {edges}");
                let world = world_of(&links(collation, spelled), &plan);
                let matched = world.matched(&rows(&["1@x.example", "2@x.example"]), Settings::default());
                let (_, checked) = world.checked(&matched);
                let came = world.purge(&matched, chunk);
                let counted = (came.progress.removed.get("links"), came.progress.detached.get("links"));
                assert_eq!(counted, counts, "{collation}, {orphans}, chunks of {chunk}");
                assert_eq!(came, checked, "{collation}, {orphans}, chunks of {chunk}");
            }
        }
    }
}

#[test]
fn a_row_is_counted_once_though_a_generated_column_hides_its_number() {
    let hidden = links("BINARY", ["k1", "k2", "k3"]).replace("n INTEGER PRIMARY KEY", "n INTEGER PRIMARY KEY, rowid AS ('the same')");
    let by = |column: &str| format!("{{ columns = ['{column}'], parent = 'users', parent_columns = ['k'] }}");
    let plan = format!("[[table]]\nname = 'links'\naction = 'detach'\norphans = 'keep'\nedges = [{}, {}]", by("a"), by("b"));
    let world = world_of(&hidden, &plan);
    let came = world.purge(&world.matched(&rows(&["1@x.example", "2@x.example"]), Settings::default()), 1);
    assert_eq!(came.progress.detached.get("links"), 5);
}
