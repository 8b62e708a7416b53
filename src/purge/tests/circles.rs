//! Tables that refer to each other in a circle of keys that cannot be null: rows go round it, and no others go.

use rusqlite::Connection;

use super::world::{World, rows, tenant};
use crate::domain::{IdentityKey, Settings};
use crate::purge::{Deriving, Engine, Plan, derive};
use crate::store::Create;

const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT);
    INSERT INTO people VALUES (1, 'ann@x.example'), (2, 'bob@x.example'), (3, 'eve@x.example'), (4, 'joe@x.example');";

/// Talks have a last post, posts are in a talk. Talk 1 ends with Ann's post, 2 with Bob's, 3 with Eve's and holds one of Ann's, 4 is
/// Joe's alone; 5's last post is in another talk.
const TWO: &str = "CREATE TABLE talks (id INTEGER PRIMARY KEY, last INTEGER NOT NULL REFERENCES posts (id) ON_DELETE DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE posts (no TEXT PRIMARY KEY, id INTEGER NOT NULL UNIQUE, person INTEGER NOT NULL REFERENCES people ON_DELETE,
        talk INTEGER NOT NULL REFERENCES talks ON_DELETE DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE likes (post INTEGER NOT NULL REFERENCES posts (id) ON_DELETE, person INTEGER NOT NULL REFERENCES people ON_DELETE);
    INSERT INTO talks VALUES (1, 11), (2, 22), (3, 32), (4, 41), (5, 31);
    INSERT INTO posts VALUES ('a', 10, 2, 1), ('b', 11, 1, 1), ('c', 12, 4, 1), ('d', 21, 3, 2), ('e', 22, 2, 2), ('f', 31, 1, 3), ('g', 32, 3, 3),
        ('h', 33, 4, 3), ('i', 41, 4, 4), ('j', 51, 4, 5), ('k', 52, 3, 5);
    INSERT INTO likes VALUES (10, 4), (11, 4), (32, 4), (41, 3), (51, 3), (52, 2), (21, 1), (41, 1);";

/// A house has a keeper, a keeper a round, a round its first house; each third row hangs on a person.
const THREE: &str = "CREATE TABLE houses (a INTEGER, b TEXT, keeper INTEGER NOT NULL REFERENCES keepers ON_DELETE DEFERRABLE INITIALLY DEFERRED, PRIMARY KEY (a, b)) WITHOUT ROWID;
    CREATE TABLE keepers (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people ON_DELETE, round TEXT NOT NULL REFERENCES rounds ON_DELETE DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE rounds (name TEXT PRIMARY KEY, a INTEGER NOT NULL, b TEXT NOT NULL, before TEXT REFERENCES rounds ON DELETE SET NULL,
        FOREIGN KEY (a, b) REFERENCES houses ON_DELETE DEFERRABLE INITIALLY DEFERRED);
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 39) INSERT INTO houses SELECT i, 'h' || i, (i * 7) % 40 FROM n;
    INSERT INTO keepers SELECT a, CASE WHEN a % 9 = 0 THEN 1 + (a / 9) % 4 END, 'r' || ((a * 3 + 1) % 40) FROM houses;
    INSERT INTO rounds SELECT 'r' || a, (a / 10 * 10 + (a + 5) % 10), 'h' || (a / 10 * 10 + (a + 5) % 10), 'r' || ((a + 1) % 40) FROM houses;";

fn derived(sql: &str) -> String {
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
    derive(&c, &Deriving { subject: "people", account: None, tenant: Some(&tenant("acme")) }).unwrap()
}

/// What is left of each table after the deeds: the purge's, in chunks, and that of SQLite's own cascades on a copy.
fn check(sql: &str, tables: &[&str], named: &[&str], left: &[usize]) {
    let sql = format!("{PEOPLE}{sql}");
    let (open, cascading) = (sql.replace("ON_DELETE", ""), sql.replace("ON_DELETE", "ON DELETE CASCADE"));
    let copy = Connection::open_in_memory().unwrap();
    copy.execute_batch(&format!("BEGIN; {cascading}; COMMIT; PRAGMA foreign_keys = ON")).unwrap();
    for address in named {
        copy.execute("DELETE FROM people WHERE mail = ?1", [address]).unwrap();
    }
    let text = chosen(&derived(&open));
    let plan = Plan::parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    for chunk in [1, 2, 100] {
        let engine = Engine::new(plan.clone(), IdentityKey::new([7; 32])).unwrap();
        let world = World { folder: tempfile::TempDir::new().unwrap(), engine, create: Create::LedgerOnly };
        Connection::open(world.path()).unwrap().execute_batch(&format!("BEGIN; {open}; COMMIT")).unwrap();
        world.open();
        world.engine.fits(world.read().connection(), 1_000).unwrap();
        let matched = world.matched(&rows(named), Settings::default());
        let (_, checked) = world.checked(&matched);
        assert_eq!(world.purge(&matched, chunk), checked, "chunks of {chunk}");
        let store = world.read();
        for (table, left) in std::iter::zip(tables, left) {
            let [found, wanted] = [store.connection(), &copy].map(|c| dump(c, table));
            assert_eq!(found, wanted, "{table} after chunks of {chunk}");
            assert_eq!(found.len(), *left, "{table}: {found:?}");
        }
        let broken = store.connection().prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap();
        assert!(!broken, "chunks of {chunk}");
    }
}

/// Every choice of the derived plan made for "delete".
fn chosen(text: &str) -> String {
    let line = |line: &str| match (line.find("\"CHOOSE: "), line.starts_with('#')) {
        (Some(from), false) => {
            let to = from + 1 + line[from + 1..].find('"').unwrap() + 1;
            assert!(line[from..to].contains("delete"), "{line}");
            format!("{}\"delete\"{}\n", &line[..from], &line[to..])
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn dump(c: &Connection, table: &str) -> Vec<String> {
    let mut statement = c.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| Ok((0..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect::<Vec<_>>().join("|"));
    let mut found = statement.query_map([], read).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    found.sort();
    found
}

#[test]
fn rows_go_round_a_circle_of_two_tables_and_those_outside_it_stay() {
    let tables = ["people", "talks", "posts", "likes"];
    check(TWO, &tables, &["ann@x.example"], &[3, 3, 5, 2]);
    check(TWO, &tables, &["bob@x.example", "ann@x.example"], &[2, 2, 3, 2]);
    check(TWO, &tables, &["joe@x.example", "eve@x.example"], &[2, 2, 3, 0]);
}

#[test]
fn rows_go_round_a_circle_of_three_tables_by_keys_of_several_columns() {
    let tables = ["people", "houses", "keepers", "rounds"];
    check(THREE, &tables, &["ann@x.example"], &[3, 30, 30, 30]);
    check(THREE, &tables, &["joe@x.example", "ann@x.example"], &[2, 10, 10, 10]);
    check(THREE, &tables, &["eve@x.example", "joe@x.example", "bob@x.example"], &[1, 15, 15, 15]);
}

#[test]
fn each_round_reads_the_rows_of_the_one_before_and_no_others() {
    let sql = format!("{PEOPLE}{}", TWO.replace("ON_DELETE", ""));
    let engine = Engine::new(Plan::parse(&chosen(&derived(&sql))).unwrap(), IdentityKey::new([7; 32])).unwrap();
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql} CREATE INDEX p ON posts (talk); CREATE INDEX t ON talks (last)")).unwrap();
    engine.steps.marks.iter().for_each(|mark| c.execute_batch(&mark.make).unwrap());
    let rounds: Vec<_> = engine.steps.marks.iter().filter_map(|mark| mark.grow.as_ref()).collect();
    assert!(rounds.len() >= 2);
    for sql in rounds {
        let mut statement = c.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map([0], |row| row.get::<_, String>(3)).unwrap().map(Result::unwrap).collect::<Vec<_>>();
        assert!(
            steps.iter().any(|step| step.contains("_by_round (round=?)")) && !steps.iter().any(|step| step.contains("SCAN")),
            "{steps:?}"
        );
    }
}

/// The lines of a derived plan that are about circles, with what is open or said of edges.
fn told(sql: &str) -> String {
    let about = |line: &&str| line.contains("circle") || line.contains("round it") || line.contains("}") && line.contains("action = ");
    derived(&format!("{PEOPLE}{sql}")).lines().filter(about).map(|line| format!("{}\n", line.trim_start())).collect()
}

#[test]
fn a_derived_plan_asks_about_a_circle_unless_the_schema_lets_all_of_its_rows_go() {
    let open = derived(&format!("{PEOPLE}{}", TWO.replace("ON_DELETE", "")));
    let whole = "\"CHOOSE: delete\"";
    let asked = format!("{{ columns = [\"talk\"], parent = \"talks\", parent_columns = [\"id\"], action = {whole} }}");
    assert_eq!(open.matches(whole).count(), 1, "{open}");
    assert!(open.contains(&asked), "{open}");
    // With every other choice made, the circle's is still open, and a plan that leaves it out is refused.
    let others = chosen(&open.replace(whole, "\"?\"")).replace("\"?\"", whole);
    assert!(Plan::parse(&others).unwrap_err().to_string().ends_with("not chosen yet: write delete"), "{others}");
    let left_out = Plan::parse(&others.replace(&format!(", action = {whole}"), "")).unwrap_err().to_string();
    assert!(left_out.contains("posts → talks → posts refer to each other in a circle; give one"), "{left_out}");
    // One that the schema lets go by itself is no choice, but it is told; one reference that it says nothing of makes the circle a choice.
    let cascading = told(&TWO.replace("ON_DELETE", "ON DELETE CASCADE"));
    let said = "# A circle: posts → talks → posts. The schema lets rows go round it, whoever's they are: those of others with the person's.
{ columns = [\"talk\"], parent = \"talks\", parent_columns = [\"id\"], action = \"delete\" },\n";
    assert_eq!(cascading, said);
    let half = told(&TWO.replace("posts (id) ON_DELETE DEF", "posts (id) DEF").replace("ON_DELETE", "ON DELETE CASCADE"));
    assert!(
        half.contains("{ columns = [\"last\"], parent = \"posts\", parent_columns = [\"id\"], action = \"CHOOSE: delete\" }"),
        "{half}"
    );
    // Where it is open whether a table's rows go, so is an edge of it that may be null.
    let opened = TWO.replace("person INTEGER NOT NULL REFERENCES people ON_DELETE", "person INTEGER REFERENCES people");
    let opened = told(&opened.replace("talk INTEGER NOT NULL", "talk INTEGER").replace("ON_DELETE", "ON DELETE CASCADE"));
    assert!(opened.contains("parent = \"talks\", parent_columns = [\"id\"], action = \"CHOOSE: detach | delete\" }"), "{opened}");
    // Where one may be null, it can be detached instead.
    let nullable = told(&TWO.replace("ON_DELETE", "").replace("last INTEGER NOT NULL", "last INTEGER"));
    assert!(nullable.contains("parent = \"posts\", parent_columns = [\"id\"], action = \"CHOOSE: detach | delete\" }"), "{nullable}");
}

#[test]
fn circles_of_rows_that_stay_or_go_when_nobody_is_left_and_circles_of_people_are_refused() {
    let subject = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }\n";
    let refused = |talks: &str, said: &str| {
        let text = format!(
            "{subject}[[table]]\nname = 'talks'\n{talks}\nedges = [{{ columns = ['last'], parent = 'posts', parent_columns = ['id'] }}]
            [[table]]\nname = 'posts'\naction = 'delete'\nedges = [{{ columns = ['person'], parent = 'people', parent_columns = ['id'] }},
                {{ columns = ['talk'], parent = 'talks', parent_columns = ['id']{said} }}]"
        );
        Plan::parse(&text).unwrap_err().to_string()
    };
    for said in ["", ", action = 'delete'"] {
        let circle = "line 7: talks → posts → talks refer to each other in a circle, where";
        let orphans = refused("action = 'detach'\norphans = 'delete'", said);
        assert!(orphans.starts_with(&format!("{circle} \"talks\" cannot have orphans = \"delete\"")), "{orphans}");
        for stays in ["action = 'keep'\nreason = 'a court'", "action = 'overwrite'\nset = [{ column = 'last', to = { number = 0 } }]"] {
            let kept = refused(stays, said);
            assert!(kept.starts_with(&format!("{circle} the rows of \"talks\" stay")), "{kept}");
        }
    }
    // A team goes with its owner, and its members with the team: people whom nobody named.
    let sql = "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT, team INTEGER NOT NULL REFERENCES teams);
        CREATE TABLE teams (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES people);";
    let text = chosen(&derived(sql));
    let fits = |text: &str| {
        let engine = Engine::new(Plan::parse(text).unwrap(), IdentityKey::new([7; 32])).unwrap();
        let world = World { folder: tempfile::TempDir::new().unwrap(), engine, create: Create::LedgerOnly };
        let people = "INSERT INTO people VALUES (0, 'nobody', 1), (1, 'ann@x.example', 1), (2, 'bob@x.example', 1); INSERT INTO teams VALUES (1, 1);";
        Connection::open(world.path()).unwrap().execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}{people}")).unwrap();
        world.open();
        world.engine.fits(world.read().connection(), 1_000).map(|_| world).map_err(|error| error.to_string())
    };
    assert!(fits(&text).err().unwrap().contains("\"people\".\"team\" cannot be null, so it cannot be detached"), "{text}");
    // As the derived plan's head says: the team gets a stand-in for an owner, and stays.
    let table =
        "[[table]]\nname = 'teams'\naction = 'overwrite'\nedges = [{ columns = ['owner'], parent = 'people', parent_columns = ['id'] }]
        set = [{ column = 'owner', to = { number = 0 } }]";
    let world = fits(&format!("{subject}{table}")).unwrap();
    let matched = world.matched(&rows(&["ann@x.example"]), Settings::default());
    let (_, checked) = world.checked(&matched);
    assert_eq!(world.purge(&matched, 1), checked);
    assert_eq!((world.dump("people"), world.dump("teams")), ("people|0|nobody|1\npeople|2|bob@x.example|1\n".into(), "teams|1|0\n".into()));
}
