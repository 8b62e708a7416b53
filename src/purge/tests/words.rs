//! Each word of a plan, on a small database.

use rusqlite::Connection;

use super::world::{World, at, row, rows, tenant};
use crate::domain::{IdentityKey, Outcome, Settings};
use crate::purge::{Ending, Engine, Plan, PurgeError};
use crate::store::Create;

const PEOPLE: &str = "
CREATE TABLE people (id INTEGER PRIMARY KEY, owner TEXT, mail TEXT);
INSERT INTO people VALUES (1, 'acme', 'One@x.example'), (2, 'acme', 'two@x.example'), (3, 'acme', 'two@x.example'), (4, 'other', 'one@x.example'), (5, 'acme', 'five@x.example');
";

pub(super) const SUBJECT: &str = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { column = 'owner' }\naddress = { column = 'mail' }\naccount = 'owner'\nid = 'id'\n";

pub(super) fn world(sql: &str, plan: &str) -> World {
    let plan = Plan::parse(&format!("{SUBJECT}{plan}")).unwrap();
    assert_eq!(Plan::parse(&plan.to_text()), Ok(plan.clone()), "{}", plan.to_text());
    let engine = Engine::new(plan, IdentityKey::new([7; 32])).unwrap();
    let world = World { folder: tempfile::TempDir::new().unwrap(), engine, create: Create::LedgerOnly };
    Connection::open(world.path()).unwrap().execute_batch(&format!("{PEOPLE}{sql}")).unwrap();
    world.open();
    world.engine.fits(world.read().connection(), 100).unwrap();
    world
}

/// Purges in chunks of one and of all; both must come to what the check says. Gives the table's dump.
pub(super) fn purged(sql: &str, plan: &str, files: &[&str], table: &str) -> String {
    let mut dumps = Vec::new();
    for chunk in [1, 100] {
        let world = world(sql, plan);
        let matched = world.matched(&rows(files), Settings::default());
        let (_, checked) = world.checked(&matched);
        let came = world.purge(&matched, chunk);
        assert_eq!(came, checked, "chunks of {chunk}");
        let counts =
            [("removed", &came.progress.removed), ("detached", &came.progress.detached), ("overwritten", &came.progress.overwritten)];
        let counted: Vec<_> = counts.iter().map(|(word, counts)| (word, counts.get(table))).filter(|(_, n)| *n > 0).collect();
        let told: Vec<_> = counted.iter().map(|(word, n)| format!("{word} {n}\n")).collect();
        dumps.push(told.concat() + &world.dump(table));
    }
    assert_eq!(dumps[0], dumps[1]);
    dumps.remove(0)
}

#[test]
fn overwrites_with_null_text_number_and_a_hash_that_stays_equal() {
    let sql = "CREATE TABLE bills (id INTEGER PRIMARY KEY, person INTEGER, name TEXT, street TEXT, code TEXT, extra TEXT);
        INSERT INTO bills VALUES (1, 1, 'One', 'a', 'same', '{\"to\": \"One@x.example\", \"n\": 1}'), (2, 2, 'Two', 'b', 'same', 'no json'), (3, 5, 'Five', 'c', 'same', NULL),
            (4, 1, NULL, NULL, NULL, '{\"n\": 2}');";
    let plan = "[[table]]\nname = 'bills'\naction = 'overwrite'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]
        set = [{ column = 'person', to = { number = 0 } }, { column = 'name', to = { text = 'erased' } }, { column = 'street', to = 'null' }, { column = 'code', to = 'hash' },
            { column = 'extra', path = '$.to', to = 'null' }]";
    let dump = purged(sql, plan, &["one@x.example", "two@x.example"], "bills");
    let hash = IdentityKey::new([7; 32]).text(&tenant("acme"), "same").to_string();
    let expected = format!(
        "overwritten 3\nbills|1|0|erased||{hash}|{{\"to\":null,\"n\":1}}\nbills|2|0|erased||{hash}|no json\nbills|3|5|Five|c|same|\nbills|4|0|erased|||{{\"n\": 2}}\n"
    );
    assert_eq!(dump, expected);
}

#[test]
fn finds_rows_by_address_in_text_and_in_json_and_never_another_tenants() {
    let sql = "CREATE TABLE letters (id INTEGER PRIMARY KEY, owner TEXT, mail TEXT, body TEXT);
        INSERT INTO letters VALUES (1, 'acme', ' ONE@X.example', NULL), (2, 'other', 'one@x.example', NULL), (3, 'acme', NULL, '{\"a\":[{\"m\":\"One@x.example\"}]}'),
            (4, 'acme', 'someone@x.example', '{'), (5, 'acme', 'two@x.example', NULL), (6, 'acme', 'xone@x.example', '{\"a\":\"one@x.example\"}');";
    let plan = "[[table]]\nname = 'letters'\naction = 'delete'\ntenant = 'owner'\nmatch = [{ column = 'mail' }, { column = 'body', path = '$.a[0].m' }]";
    let dump = purged(sql, plan, &["one@x.example"], "letters");
    assert!(dump.starts_with("removed 2\nletters|2|"), "{dump}");
    assert_eq!(dump.lines().count(), 5);
}

#[test]
fn an_address_is_found_at_every_place_of_a_list_in_json() {
    let sql = r#"CREATE TABLE letters (id INTEGER PRIMARY KEY, owner TEXT, body TEXT);
        INSERT INTO letters SELECT json_extract(value, '$[0]'), 'acme', json_extract(value, '$[1]') FROM json_each('[
            [1, {"to": ["a@x.example", " ONE@x.example "]}], [2, {"to": "one@x.example"}], [3, {"to": ["a@x.example"]}], [4, {"to": []}],
            [5, {"to": {"a": "one@x.example"}}], [6, {"to": [{"m": "a@x.example"}, {"m": ["x", "one@x.example"]}]}],
            [7, {"to": ["one@x.example is ill", 7, null, ["one@x.example"]]}], [8, {"cc": ["one@x.example"]}]]');
        INSERT INTO letters VALUES (9, 'acme', '["one@x.example"'), (10, 'acme', NULL), (11, 'other', '{"to": ["one@x.example"]}')"#;
    let kept = |path: &str| {
        let plan =
            format!("[[table]]\nname = 'letters'\naction = 'delete'\ntenant = 'owner'\nmatch = [{{ column = 'body', path = '{path}' }}]");
        let dump = purged(sql, &plan, &["one@x.example"], "letters");
        dump.lines().filter_map(|line| line.strip_prefix("letters|")?.split('|').next()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(kept("$.to"), "3 4 5 6 7 8 9 10 11");
    assert_eq!(kept("$.to[*]"), "3 4 5 6 7 8 9 10 11");
    assert_eq!(kept("$.to[*].m"), "1 2 3 4 5 7 8 9 10 11");
    assert_eq!(kept("$.to[*][*]"), "1 2 3 4 5 6 8 9 10 11");
    assert_eq!(kept("$.to[1]"), "2 3 4 5 6 7 8 9 10 11");
}

#[test]
fn json_is_read_and_written_over_in_each_form_that_sqlite_reads() {
    let sql = r#"CREATE TABLE letters (id INTEGER PRIMARY KEY, owner TEXT, body, seen AS (typeof(body) || CASE WHEN json_valid(body, 10) THEN json(body) END));
        INSERT INTO letters VALUES (1, 'acme', '{"to":"one@x.example"}'), (2, 'acme', jsonb('{"n":[1],"to":"One@x.example"}')),
            (3, 'acme', jsonb('{"to":["a@x.example","one@x.example"]}')), (4, 'acme', '{to:''one@x.example'',}'), (5, 'acme', jsonb('{"to":"a@x.example"}')),
            (6, 'acme', x'ff'), (7, 'acme', '{to:')"#;
    let plan = "[[table]]\nname = 'letters'\naction = 'delete'\ntenant = 'owner'\nmatch = [{ column = 'body', path = '$.to' }]";
    let ids = |dump: String| dump.lines().filter_map(|line| line.split('|').nth(1).map(str::to_owned)).collect::<Vec<_>>().join(" ");
    assert_eq!(ids(purged(sql, plan, &["one@x.example"], "letters")), "5 6 7");
    let over = plan.replace("'delete'", "'overwrite'\nset = [{ column = 'body', path = '$.to', to = { text = 'gone' } }]");
    let dump = purged(sql, &over, &["one@x.example"], "letters");
    let seen: Vec<_> = dump.lines().filter_map(|line| line.rsplit('|').next()).take(5).collect();
    let expected =
        ["overwritten 4", r#"text{"to":"gone"}"#, r#"blob{"n":[1],"to":"gone"}"#, r#"blob{"to":"gone"}"#, r#"text{"to":"gone"}"#];
    assert_eq!(seen, expected, "{dump}");
}

#[test]
fn an_address_that_somebody_who_stays_has_as_well_keeps_its_rows_until_the_last_one_goes() {
    let sql =
        "CREATE TABLE letters (id INTEGER PRIMARY KEY, owner TEXT, mail TEXT); INSERT INTO letters VALUES (1, 'acme', 'two@x.example');";
    for compare in ["normalised", "nocase", "exact"] {
        let plan = format!(
            "[[table]]\nname = 'letters'\naction = 'delete'\ntenant = 'owner'\nmatch = [{{ column = 'mail', compare = '{compare}' }}]"
        );
        assert_eq!(purged(sql, &plan, &["acme/2"], "letters"), "letters|1|acme|two@x.example\n", "{compare}");
        assert_eq!(purged(sql, &plan, &["acme/2", "acme/3"], "letters"), "removed 1\n", "{compare}");
    }
}

#[test]
fn keeps_with_a_reason_and_reaches_through_what_is_kept() {
    let sql = "CREATE TABLE bills (id INTEGER PRIMARY KEY, person INTEGER); INSERT INTO bills VALUES (1, 1), (2, 5);
        CREATE TABLE notes (id INTEGER PRIMARY KEY, bill INTEGER); INSERT INTO notes VALUES (1, 1), (2, 2), (3, NULL);";
    let plan = "[[table]]\nname = 'bills'\naction = 'keep'\nreason = 'ten years by law'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]
        [[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['bill'], parent = 'bills', parent_columns = ['id'] }]";
    assert_eq!(purged(sql, plan, &["one@x.example"], "bills"), "bills|1|1\nbills|2|5\n");
    assert_eq!(purged(sql, plan, &["one@x.example"], "notes"), "removed 1\nnotes|2|2\nnotes|3|\n");
}

#[test]
fn a_table_that_refers_to_itself_goes_with_all_that_hangs_on_it_or_is_detached() {
    let sql = "CREATE TABLE posts (id INTEGER PRIMARY KEY, person INTEGER, above INTEGER);
        INSERT INTO posts VALUES (1, 1, 6), (2, 5, 1), (3, 5, 2), (4, 2, 3), (5, 5, NULL), (6, 5, 5);";
    let plan = |action: &str| {
        format!(
            "[[table]]\nname = 'posts'\naction = 'delete'\nedges = [{{ columns = ['person'], parent = 'people', parent_columns = ['id'] }}, {{ columns = ['above'], parent = 'posts', parent_columns = ['id'], action = '{action}' }}]"
        )
    };
    assert_eq!(purged(sql, &plan("delete"), &["one@x.example"], "posts"), "removed 4\nposts|5|5|\nposts|6|5|5\n");
    assert_eq!(
        purged(sql, &plan("detach"), &["one@x.example", "two@x.example"], "posts"),
        "removed 2\ndetached 1\nposts|2|5|\nposts|3|5|2\nposts|5|5|\nposts|6|5|5\n"
    );
}

#[test]
fn detached_rows_are_counted_exactly_when_a_later_target_is_gone_and_when_the_import_stops() {
    let sql = "CREATE TABLE pairs (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER); INSERT INTO pairs VALUES (1, 1, 2), (2, 1, 5), (3, 2, 1), (4, 5, 1), (5, 1, NULL);";
    let plan = "[[table]]\nname = 'pairs'\naction = 'detach'\nedges = [{ columns = ['a'], parent = 'people', parent_columns = ['id'] }, { columns = ['b'], parent = 'people', parent_columns = ['id'] }]";
    for gone in [false, true] {
        let world = world(sql, plan);
        let import = world.begin(&world.matched(&rows(&["one@x.example", "acme/2", "acme/5"]), Settings::default()));
        assert!(world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap().more);
        let came = if gone {
            world.sql("DELETE FROM people WHERE id IN (2, 5)");
            while world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap().more {}
            world.finish(import, &Ending::Completed)
        } else {
            world.finish(import, &Ending::Stopped { reason: "cancelled".to_owned(), message: "cancelled".to_owned() })
        };
        assert_eq!((came.progress.removed.get("pairs"), came.progress.detached.get("pairs")), (1, 4), "{gone}");
    }
}

#[test]
fn subjects_that_stay_lose_their_references_to_those_who_go() {
    let sql = "ALTER TABLE people ADD COLUMN friend INTEGER; ALTER TABLE people ADD COLUMN home INTEGER; CREATE TABLE homes (id INTEGER PRIMARY KEY, person INTEGER);
        INSERT INTO homes VALUES (7, 1), (8, 5); UPDATE people SET friend = 1, home = 7 WHERE id IN (2, 5); UPDATE people SET friend = 2, home = 7 WHERE id = 1;";
    let plan = "edges = [{ columns = ['friend'], parent = 'people', parent_columns = ['id'] }, { columns = ['home'], parent = 'homes', parent_columns = ['id'] }]
        [[table]]\nname = 'homes'\naction = 'delete'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]";
    let dump = purged(sql, plan, &["one@x.example", "acme/2"], "people");
    assert_eq!(
        dump,
        "removed 2\ndetached 1\npeople|3|acme|two@x.example||\npeople|4|other|one@x.example||\npeople|5|acme|five@x.example||\n"
    );
}

#[test]
fn a_reference_that_a_trigger_brings_back_rolls_the_chunk_back() {
    let sql = "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER); INSERT INTO notes VALUES (1, 1);
        CREATE TRIGGER again BEFORE DELETE ON notes BEGIN SELECT RAISE(IGNORE); END;";
    let plan = "[[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]\n[accepted]\ntriggers = ['again']";
    let world = world(sql, plan);
    let import = world.begin(&world.matched(&rows(&["one@x.example"]), Settings::default()));
    let before = world.dump("*");
    let failed = world.engine.chunk(&mut world.open(), import, 10, at(1));
    assert!(matches!(failed, Err(PurgeError::StillReferred(table)) if table == "notes"));
    assert_eq!(world.dump("*"), before);
}

#[test]
fn an_address_that_an_accepted_trigger_writes_down_where_the_plan_finds_addresses_goes_too() {
    let sql = "CREATE TABLE audit (n INTEGER PRIMARY KEY, owner TEXT, mail TEXT); INSERT INTO audit VALUES (1, 'acme', 'one@x.example'), (2, 'acme', 'five@x.example');
        CREATE TRIGGER gone AFTER DELETE ON people BEGIN INSERT INTO audit (owner, mail) VALUES (old.owner, old.mail); END;";
    let plan =
        "[[table]]\nname = 'audit'\naction = 'delete'\ntenant = 'owner'\nmatch = [{ column = 'mail' }]\n[accepted]\ntriggers = ['gone']";
    let world = world(sql, plan);
    // A check cannot know what a trigger writes: it counts the row that is there.
    world.purge(&world.matched(&rows(&["one@x.example"]), Settings::default()), 10);
    assert_eq!(world.dump("audit"), "audit|2|acme|five@x.example\n");
}

#[test]
fn a_chain_of_accepted_triggers_is_followed_to_its_end_and_a_circle_of_them_is_refused() {
    let sql = |on: &str, into: &str| {
        format!("CREATE TRIGGER {on}_gone AFTER DELETE ON {on} BEGIN INSERT INTO {into} (owner, mail) VALUES (old.owner, old.mail); END;")
    };
    let tables = "CREATE TABLE audit (n INTEGER PRIMARY KEY, owner TEXT, mail TEXT); CREATE TABLE audit_log (n INTEGER PRIMARY KEY, owner TEXT, mail TEXT);";
    let rule = |name: &str| format!("[[table]]\nname = '{name}'\naction = 'delete'\ntenant = 'owner'\nmatch = [{{ column = 'mail' }}]\n");
    let plan = |log: &str| format!("{}{}[accepted]\ntriggers = ['people_gone', 'audit_gone']", rule("audit"), log);
    let chain = format!("{tables}{}{}", sql("people", "audit"), sql("audit", "audit_log"));
    let chained = world(&chain, &plan(&rule("audit_log")));
    chained.purge(&chained.matched(&rows(&["one@x.example"]), Settings::default()), 10);
    assert_eq!(chained.dump("audit") + &chained.dump("audit_log"), "");
    let circle = format!("{tables}{}{}", sql("people", "audit"), sql("audit", "audit"));
    let circling = world(&circle, &plan(""));
    let import = circling.begin(&circling.matched(&rows(&["one@x.example"]), Settings::default()));
    let before = circling.dump("people");
    assert!(matches!(circling.engine.chunk(&mut circling.open(), import, 10, at(1)), Err(PurgeError::Unsettled)));
    assert_eq!((circling.dump("people"), circling.dump("audit")), (before, String::new()));
}

#[test]
fn what_a_trigger_keeps_from_being_written_over_or_deleted_stops_the_chunk() {
    let over = "[[table]]\nname = 'bills'\naction = 'overwrite'\nset = [{ column = 'name', to = { text = 'gone' } }]
        edges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]\n";
    let gone = "[[table]]\nname = 'bills'\naction = 'delete'\ntenant = 'owner'\nmatch = [{ column = 'mail' }]\n";
    for (plan, trigger) in [
        (over, "BEFORE UPDATE ON bills BEGIN SELECT RAISE(IGNORE); END"),
        (over, "AFTER UPDATE ON bills BEGIN UPDATE bills SET name = old.name WHERE n = old.n; END"),
        (gone, "BEFORE DELETE ON bills BEGIN SELECT RAISE(IGNORE); END"),
    ] {
        let sql = format!(
            "CREATE TABLE bills (n INTEGER PRIMARY KEY, person INTEGER, owner TEXT, mail TEXT, name TEXT);
             INSERT INTO bills VALUES (7, 1, 'acme', 'one@x.example', 'One Person');
             CREATE TRIGGER locked {trigger};"
        );
        let world = world(&sql, &format!("{plan}[accepted]\ntriggers = ['locked']"));
        let import = world.begin(&world.matched(&rows(&["one@x.example"]), Settings::default()));
        let before = (world.dump("people"), world.dump("bills"));
        let failed = world.engine.chunk(&mut world.open(), import, 10, at(1));
        assert!(matches!(&failed, Err(PurgeError::StillThere(table)) if table == "bills"), "{trigger}: {failed:?}");
        assert_eq!((world.dump("people"), world.dump("bills")), before);
    }
}

#[test]
fn a_trigger_that_keeps_or_brings_back_or_takes_people_and_accounts_stops_the_chunk() {
    let teams = "CREATE TABLE teams (name TEXT PRIMARY KEY); INSERT INTO teams VALUES ('red'), ('blue');
        ALTER TABLE people ADD COLUMN team TEXT; UPDATE people SET team = iif(id = 1, 'red', 'blue');";
    let account = "[account]\ntable = 'teams'\ncolumns = ['name']\nsubject_columns = ['team']\n";
    let came = |trigger: &str| {
        let world = world(&format!("{teams} CREATE TRIGGER meddles {trigger};"), &format!("{account}[accepted]\ntriggers = ['meddles']"));
        let import = world.begin(&world.matched(&rows(&["one@x.example"]), Settings::default()));
        let before = (world.dump("people"), world.dump("teams"));
        let came = world.engine.chunk(&mut world.open(), import, 10, at(1));
        assert!(came.is_ok() || (world.dump("people"), world.dump("teams")) == before, "{trigger}");
        came.map(|_| world.dump("teams"))
    };
    let again = "AFTER DELETE ON people BEGIN INSERT INTO people VALUES";
    for (table, trigger) in [
        ("people", format!("{again} (old.id, old.owner, old.mail, old.team); END")),
        ("people", format!("{again} (77, old.owner, old.mail, old.team); END")),
        ("teams", "BEFORE DELETE ON teams BEGIN SELECT RAISE(IGNORE); END".to_owned()),
        ("teams", "AFTER DELETE ON teams BEGIN INSERT INTO teams VALUES (old.name); END".to_owned()),
        ("teams", "AFTER DELETE ON teams BEGIN INSERT INTO teams VALUES (upper(old.name)); END".to_owned()),
    ] {
        let failed = came(&trigger);
        assert!(matches!(&failed, Err(PurgeError::StillThere(told)) if told == table), "{trigger}: {failed:?}");
    }
    let others = came("AFTER DELETE ON people BEGIN DELETE FROM people WHERE id = 5; END");
    assert!(matches!(&others, Err(PurgeError::TookOthers(told)) if told == "people"), "{others:?}");
    let swapped =
        came("AFTER DELETE ON people WHEN old.id = 1 BEGIN DELETE FROM people WHERE id = 5; INSERT INTO people (id) VALUES (9); END");
    assert!(matches!(&swapped, Err(PurgeError::TookOthers(told)) if told == "people"), "{swapped:?}");
    let others = came("AFTER DELETE ON people BEGIN DELETE FROM teams WHERE name = 'blue'; END");
    assert!(matches!(&others, Err(PurgeError::TookOthers(told)) if told == "teams"), "{others:?}");
    let tidy = came("AFTER DELETE ON people BEGIN DELETE FROM teams WHERE name NOT IN (SELECT team FROM people); END");
    assert_eq!(tidy.unwrap(), "teams|blue\n");
}

#[test]
fn a_constraint_that_forbids_what_the_plan_does_is_told_with_the_table_and_what_to_change() {
    let failed = |rest: &str| {
        let sql = format!(
            "INSERT INTO people (id) VALUES (0); CREATE TABLE votes (person INTEGER, post INTEGER, {rest}); INSERT INTO votes VALUES (1, 7), (5, 7)"
        );
        let plan = "[[table]]\nname = 'votes'\naction = 'overwrite'\nset = [{ column = 'person', to = { number = 0 } }]
            edges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]";
        let world = world(&sql, plan);
        let import = world.begin(&world.matched(&rows(&["one@x.example", "five@x.example"]), Settings::default()));
        let before = world.dump("*");
        let failed = world.engine.chunk(&mut world.open(), import, 10, at(1)).unwrap_err();
        assert_eq!(world.dump("*"), before);
        format!("{failed}: {}", std::error::Error::source(&failed).unwrap())
    };
    let told = "rows of \"votes\" cannot be changed as the plan says: ";
    let unique =
        "two of them would be the same in what is unique; delete them, or write \"null\" or \"hash\" there instead of a fixed value";
    let refused = "UNIQUE constraint failed: votes.person, votes.post (SQLite's code 2067)";
    assert_eq!(failed("UNIQUE (person, post)"), format!("{told}{unique}: {refused}"));
    let check = failed("CHECK (person > 0)");
    assert!(check.starts_with(&format!("{told}give the table another action")) && check.contains("CHECK constraint failed"), "{check}");
}

#[test]
fn the_words_of_a_trigger_that_refuses_are_passed_on_unless_they_may_hold_an_address() {
    let failed = |on: &str, words: &str| {
        let sql = format!(
            "CREATE TABLE votes (person INTEGER, mail TEXT); INSERT INTO votes VALUES (1, 'one@x.example');
             CREATE TRIGGER locked BEFORE DELETE ON {on} BEGIN SELECT RAISE(ABORT, {words}); END"
        );
        let plan = "[[table]]\nname = 'votes'\naction = 'delete'
            edges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]\n[accepted]\ntriggers = ['locked']";
        let world = world(&sql, plan);
        let import = world.begin(&world.matched(&rows(&["one@x.example"]), Settings::default()));
        let failed = world.engine.chunk(&mut world.open(), import, 10, at(1)).unwrap_err();
        assert!(!format!("{failed:?}").contains('@'), "{failed:?}");
        crate::telemetry::chain(&failed)
    };
    for on in ["votes", "people"] {
        let told = failed(on, "'no: ' || old.mail");
        assert!(told.ends_with("a trigger refused it, in words that may hold an address (SQLite's code 1811)"), "{told}");
        let told = failed(on, "'closed in May'");
        assert!(told.ends_with(": closed in May (SQLite's code 1811)"), "{told}");
    }
}

#[test]
fn what_an_accepted_trigger_writes_down_below_a_row_that_is_overwritten_goes_too() {
    let sql = "CREATE TABLE bills (n INTEGER PRIMARY KEY, person INTEGER, name TEXT); INSERT INTO bills VALUES (7, 1, 'One Person'), (8, 2, 'Two');
        CREATE TABLE bill_log (n INTEGER PRIMARY KEY, bill INTEGER, what TEXT); INSERT INTO bill_log VALUES (1, 7, 'made'), (2, 8, 'made');
        CREATE TRIGGER logged AFTER UPDATE ON bills BEGIN INSERT INTO bill_log (bill, what) VALUES (new.n, old.name); END;";
    let plan = "[[table]]\nname = 'bills'\naction = 'overwrite'\nset = [{ column = 'name', to = { text = 'gone' } }]
        edges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]
        [[table]]\nname = 'bill_log'\naction = 'delete'\nedges = [{ columns = ['bill'], parent = 'bills', parent_columns = ['n'] }]
        [accepted]\ntriggers = ['logged']";
    let world = world(sql, plan);
    world.purge(&world.matched(&rows(&["one@x.example"]), Settings::default()), 10);
    assert_eq!(world.dump("bills") + &world.dump("bill_log"), "bills|7|1|gone\nbills|8|2|Two\nbill_log|2|8|made\n");
}

#[test]
fn another_tenants_subject_that_refers_to_who_goes_stops_the_check_and_the_chunk_and_is_told_as_that() {
    let sql = "ALTER TABLE people ADD COLUMN friend INTEGER; UPDATE people SET friend = 1 WHERE id = 4;";
    let world = world(sql, "edges = [{ columns = ['friend'], parent = 'people', parent_columns = ['id'] }]");
    let matched = world.matched(&rows(&["one@x.example"]), Settings::default());
    let checked = world.engine.check(world.read().connection(), &matched);
    assert!(matches!(checked, Err(PurgeError::AnotherTenantRefers(table)) if table == "people"));
    let import = world.begin(&matched);
    let before = world.dump("people");
    let failed = world.engine.chunk(&mut world.open(), import, 10, at(1));
    assert!(matches!(failed, Err(PurgeError::AnotherTenantRefers(table)) if table == "people"));
    assert_eq!(world.dump("people"), before);
}

#[test]
fn keys_that_compare_without_case_are_counted_once_in_whatever_chunks_they_fall() {
    let sql = "DROP TABLE people; CREATE TABLE people (id TEXT COLLATE NOCASE PRIMARY KEY, owner TEXT, mail TEXT);
        INSERT INTO people VALUES ('Zed', 'acme', 'one@x.example'), ('anna', 'acme', 'two@x.example'), ('bob', 'acme', 'bob@x.example');
        CREATE TABLE pairs (n INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, b TEXT COLLATE NOCASE, c TEXT COLLATE NOCASE);
        INSERT INTO pairs VALUES (1, 'Zed', 'anna', 'bob'), (2, 'anna', 'ZED', NULL), (3, 'bob', 'zed', NULL);";
    let edge = |column: &str| format!("{{ columns = ['{column}'], parent = 'people', parent_columns = ['id'] }}");
    let plan =
        format!("[[table]]\nname = 'pairs'\naction = 'detach'\norphans = 'delete'\nedges = [{}, {}, {}]", edge("a"), edge("b"), edge("c"));
    assert_eq!(purged(sql, &plan, &["one@x.example", "two@x.example"], "pairs"), "removed 1\ndetached 2\npairs|1|||bob\npairs|3|bob||\n");
}

#[test]
fn text_and_blob_keys_serve_as_integers_do() {
    let sql = "DROP TABLE people; CREATE TABLE people (id, owner TEXT, mail TEXT, PRIMARY KEY (id)) WITHOUT ROWID;
        INSERT INTO people VALUES ('k1', 'acme', 'one@x.example'), (x'0102', 'acme', 'two@x.example'), (7, 'acme', 'seven@x.example');
        CREATE TABLE notes (n INTEGER PRIMARY KEY, person); INSERT INTO notes VALUES (1, 'k1'), (2, x'0102'), (3, 7), (4, '7');";
    let plan =
        "[[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]";
    assert_eq!(purged(sql, plan, &["one@x.example", "two@x.example"], "notes"), "removed 2\nnotes|3|7\nnotes|4|7\n");
}

#[test]
fn a_circle_is_refused_by_name_and_broken_by_an_edge_that_is_detached() {
    let plan = |own: &str| {
        format!(
            "[[table]]\nname = 'teams'\naction = 'delete'\nedges = [{{ columns = ['person'], parent = 'people', parent_columns = ['id'] }}, {{ columns = ['room'], parent = 'rooms', parent_columns = ['id']{own} }}]
            [[table]]\nname = 'rooms'\naction = 'delete'\nedges = [{{ columns = ['team'], parent = 'teams', parent_columns = ['id'] }}]"
        )
    };
    let refused = Plan::parse(&format!("{SUBJECT}{}", plan(""))).unwrap_err().to_string();
    assert_eq!(
        refused,
        "line 9: teams → rooms → teams refer to each other in a circle; give one of these edges action = \"detach\", or action = \"delete\" if \
         rows are to go round it, whoever's they are"
    );
    let sql = "CREATE TABLE teams (id INTEGER PRIMARY KEY, person INTEGER, room INTEGER); CREATE TABLE rooms (id INTEGER PRIMARY KEY, team INTEGER);
        INSERT INTO teams VALUES (1, 1, 1), (2, 5, 1), (3, 5, 2); INSERT INTO rooms VALUES (1, 1), (2, 3);";
    assert_eq!(purged(sql, &plan(", action = 'detach'"), &["one@x.example"], "teams"), "removed 1\ndetached 1\nteams|2|5|\nteams|3|5|2\n");
}

#[test]
fn a_table_changed_between_match_and_chunk_fails_the_chunk_and_nothing_has_happened() {
    let sql = "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER); INSERT INTO notes VALUES (1, 1);";
    let plan =
        "[[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]";
    let world = world(sql, plan);
    let import = world.begin(&world.matched(&[row(2, "one@x.example")], Settings::default()));
    world.sql("ALTER TABLE notes RENAME TO remarks");
    assert!(world.engine.chunk(&mut world.open(), import, 10, at(1)).is_err());
    assert_eq!(world.dump("people").lines().count(), 5);
    world.sql("ALTER TABLE remarks RENAME TO notes");
    world.engine.chunk(&mut world.open(), import, 10, at(1)).unwrap();
    assert_eq!(world.finish(import, &Ending::Completed).outcomes, [Outcome::Deleted]);
}
