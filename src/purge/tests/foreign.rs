//! Plans over schemas that are not ours.

use super::world::{World, at, exempt, rows, tenant};
use crate::domain::{ImportId, Outcome, Settings};
use crate::purge::plan::{Action, Compare, Edge, Rule};
use crate::purge::{Ending, Engine, MatchError, Plan, PlanError, PurgeError};
use crate::store::Create;

const SHOP: &str = r#"
CREATE TABLE "user" (uid TEXT PRIMARY KEY, mail TEXT, org INTEGER, no INTEGER, UNIQUE (org, no));
CREATE TABLE orders (id INTEGER PRIMARY KEY, buyer TEXT REFERENCES "user"(uid) ON DELETE CASCADE, seller TEXT REFERENCES "user"(uid));
CREATE INDEX orders_buyer ON orders (buyer); CREATE INDEX orders_seller ON orders (seller);
CREATE TABLE lines ("order" INTEGER REFERENCES orders (id), at INTEGER, PRIMARY KEY ("order", at)) WITHOUT ROWID;
CREATE TABLE notes (id INTEGER PRIMARY KEY, "order" INTEGER, at INTEGER, org INTEGER, no INTEGER);
INSERT INTO "user" VALUES ('u1', ' Ann@X.Example', 1, 1), ('u2', 'bob@x.example', 1, 2), ('u3', 'not an address', 1, 3), ('u4', NULL, 2, 1);
INSERT INTO orders VALUES (10, 'u1', 'u2'), (11, 'u2', 'u3'), (12, 'u3', 'u1'), (13, 'u1', NULL);
INSERT INTO lines VALUES (10, 1), (10, 2), (11, 1), (12, 1), (13, 1);
INSERT INTO notes VALUES (1, 10, 1, NULL, NULL), (2, 11, 1, 1, 1), (3, 13, 1, 1, 1), (4, NULL, NULL, 1, 2), (5, 12, 1, 1, 3);
"#;

fn plan() -> Plan {
    let text = r#"
[subject]
table = "user"
key = "uid"
tenancy = { sole = "acme" }
address = { column = "mail" }
account = "org"
id = "no"

[[table]]
name = "orders"
action = "detach"
edges = [
    { columns = ["buyer"], parent = "user", parent_columns = ["uid"] },
    { columns = ["seller"], parent = "user", parent_columns = ["uid"] },
]

[[table]]
name = "lines"
action = "delete"
edges = [{ columns = ["order"], parent = "orders", parent_columns = ["id"] }]

[[table]]
name = "notes"
action = "detach"
edges = [
    { columns = ["order", "at"], parent = "lines", parent_columns = ["order", "at"] },
    { columns = ["org", "no"], parent = "user", parent_columns = ["org", "no"] },
]
"#;
    toml::from_str(text).unwrap()
}

fn shop() -> World {
    shop_with(plan())
}

fn shop_with(plan: Plan) -> World {
    let world = World::with(plan, Create::LedgerOnly);
    rusqlite::Connection::open(world.path()).unwrap().execute_batch(SHOP).unwrap();
    world
}

#[test]
fn reaches_tables_through_others_and_by_keys_of_several_columns() {
    for chunk in [1, 2, 10] {
        let world = shop();
        world.engine.fits(world.open().connection(), 1_000).unwrap();
        let matched = world.matched(&rows(&["ann@x.example", "1/2", "01/3", "none@x.example"]), Settings::default());
        let (_, checked) = world.checked(&matched);
        assert_eq!(checked.outcomes, [Outcome::Deleted, Outcome::Deleted, Outcome::NotFound, Outcome::NotFound]);
        let came = world.purge(&matched, chunk);
        assert_eq!(came, checked, "chunks of {chunk}");
        // Orders 10 and 13 have no party left; 11 and 12 keep u3. Notes 1, 3, 4 lose both sides, 2 keeps its line.
        assert_eq!(world.dump("user"), "user|u3|not an address|1|3\nuser|u4||2|1\n");
        assert_eq!(world.dump("orders"), "orders|11||u3\norders|12|u3|\n");
        assert_eq!(world.dump("lines"), "lines|11|1\nlines|12|1\n");
        assert_eq!(world.dump("notes"), "notes|2|11|1||\nnotes|5|12|1|1|3\n");
        let removed: Vec<_> = came.progress.removed.iter().collect();
        assert_eq!(removed, [("user", 2), ("orders", 2), ("lines", 3), ("notes", 3)]);
        assert_eq!((came.progress.detached.get("orders"), came.progress.detached.get("notes")), (2, 1));
    }
}

#[test]
fn a_person_who_has_no_key_by_now_stays_with_their_account_their_address_and_without_who_went() {
    let plan = "[subject]
table = 'people'
key = 'code'
tenancy = { sole = 'acme' }
address = { column = 'mail' }
edges = [{ columns = ['friend'], parent = 'people', parent_columns = ['code'] }]
[account]
table = 'homes'
columns = ['id']
subject_columns = ['home']
[[table]]
name = 'letters'
action = 'delete'
match = [{ column = 'mail' }]";
    let sql = "CREATE TABLE homes (id INTEGER PRIMARY KEY); INSERT INTO homes VALUES (7), (8);
        CREATE TABLE people (n INTEGER PRIMARY KEY, code TEXT UNIQUE, mail TEXT, home INTEGER REFERENCES homes, friend TEXT REFERENCES people (code));
        INSERT INTO people VALUES (1, 'a', 'ann@x.example', 7, NULL), (2, 'b', 'ann@x.example', 7, NULL), (3, 'c', 'cid@x.example', 8, NULL);
        CREATE TABLE letters (id INTEGER PRIMARY KEY, mail TEXT); INSERT INTO letters VALUES (1, 'ann@x.example'), (2, 'cid@x.example');";
    for friend in ["NULL", "'a'"] {
        let world = World::with(Plan::parse(plan).unwrap(), Create::LedgerOnly);
        rusqlite::Connection::open(world.path()).unwrap().execute_batch(sql).unwrap();
        world.open();
        let import = world.begin(&world.matched(&rows(&["ann@x.example", "cid@x.example"]), Settings::default()));
        world.sql(&format!("UPDATE people SET code = NULL, friend = {friend} WHERE n = 2"));
        while world.engine.chunk(&mut world.open(), import, 10, super::world::at(1)).unwrap().more {}
        assert_eq!(world.dump("people"), "people|2||ann@x.example|7|\n");
        assert_eq!(world.dump("homes") + &world.dump("letters"), "homes|7\nletters|1|ann@x.example\n");
    }
}

#[test]
fn a_person_who_has_no_key_by_now_stays_though_an_exemption_was_made_meanwhile() {
    for compare in ["normalised", "exact"] {
        let plan = format!(
            "[subject]\ntable = 'people'\nkey = 'code'\ntenancy = {{ sole = 'acme' }}\naddress = {{ column = 'mail', compare = '{compare}' }}"
        );
        let world = World::with(Plan::parse(&plan).unwrap(), Create::LedgerOnly);
        let people = "CREATE TABLE people (n INTEGER PRIMARY KEY, code TEXT UNIQUE, mail TEXT, boss TEXT); CREATE INDEX by_mail ON people (mail);
            INSERT INTO people VALUES (1, 'a', 'ann@x.example', NULL), (2, 'b', 'bob@x.example', NULL), (3, 'c', 'ann@x.example', 'bob@x.example'),
                (4, 'd', 'cid@x.example', NULL)";
        rusqlite::Connection::open(world.path()).unwrap().execute_batch(people).unwrap();
        world.open();
        let listed = ["ann@x.example", "bob@x.example", "cid@x.example"];
        let import = world.begin(&world.matched(&rows(&listed), Settings::default()));
        world.sql("UPDATE people SET code = NULL WHERE n IN (1, 2)");
        assert_eq!(identifiers(&world, import), ["ann@x.example", "c", "cid@x.example", "d"], "and no address of one who stays");
        exempt(&world, &["cid@x.example"]);
        while world.engine.chunk(&mut world.open(), import, 10, at(1)).unwrap().more {}
        let came = world.finish(import, &Ending::Completed);
        assert_eq!(came.outcomes, [Outcome::Deleted, Outcome::NotFound, Outcome::Exempt], "{compare}");
        assert_eq!(world.dump("people"), "people|1||ann@x.example|\npeople|2||bob@x.example|\npeople|4|d|cid@x.example|\n");
        let again = rows(&listed).into_iter().map(Ok::<_, std::convert::Infallible>);
        let again = world.engine.match_rows(world.read().connection(), &tenant("acme"), Settings::default(), at(2), again);
        assert!(matches!(again, Err(MatchError::Purge(PurgeError::Keyless { .. }))), "who has no key is not told as not found");
    }
}

#[test]
fn people_who_have_no_key_are_found_and_keep_nobody_else_from_being_found() {
    for compare in ["normalised", "exact"] {
        let plan = format!(
            "[subject]\ntable = 'people'\nkey = 'code'\nid = 'mail'\nnames = ['name']\ntenancy = {{ sole = 'acme' }}
address = {{ column = 'mail', compare = '{compare}' }}"
        );
        let world = World::with(Plan::parse(&plan).unwrap(), Create::LedgerOnly);
        let people = "CREATE TABLE people (code TEXT UNIQUE, mail TEXT, name TEXT);
            INSERT INTO people VALUES ('a', 'ann@x.example', 'Ann'), (NULL, 'bob@x.example', 'Bob'), (NULL, 'bob@x.example', 'Bobby')";
        rusqlite::Connection::open(world.path()).unwrap().execute_batch(people).unwrap();
        world.open();
        let find = |text: &str| world.engine.find(world.read().connection(), &tenant("acme"), text, 10).unwrap().len();
        assert_eq!([find("ann@x.example"), find("bob@x.example"), find("bobby"), find("bob")], [1, 2, 1, 2], "{compare}");
    }
}

#[test]
fn finds_a_person_whose_address_is_stored_as_they_wrote_it() {
    let world = shop();
    world.open();
    let find = |text: &str| world.engine.find(world.read().connection(), &super::world::tenant("acme"), text, 10).unwrap().len();
    assert_eq!([find("ANN@x.example"), find("eve@x.example"), find("3")], [1, 0, 1]);
    world.sql("INSERT INTO user VALUES ('u5', 'fay@x.example', 3, 'eve@x.example'), ('u6', 'Eve@x.example', 3, 'ann@x.example')");
    assert_eq!([find("ann@x.example"), find("eve@x.example"), find("EVE@x.example")], [2, 2, 1], "an id may look like an address");
}

#[test]
fn an_address_that_is_no_text_stops_nobody_elses_erasure() {
    let world = shop();
    world.sql("INSERT INTO user VALUES ('u5', CAST(x'ff40ff' AS TEXT), 3, 1), ('u6', x'ff', 3, 2)");
    let came = world.purge(&world.matched(&rows(&["ann@x.example"]), Settings::default()), 10);
    assert_eq!(came.outcomes, [Outcome::Deleted]);
}

fn identifiers(world: &World, import: ImportId) -> Vec<String> {
    let mut seen = Vec::new();
    let see = |text: &str| {
        seen.push(text.to_owned());
        Ok::<_, PurgeError>(())
    };
    world.engine.identifiers(world.read().connection(), import, see).unwrap();
    seen
}

#[test]
fn a_text_key_that_is_not_utf_8_stops_nobody_elses_erasure_nor_its_own() {
    for chunk in [1, 10] {
        let world = shop();
        world.sql(
            "INSERT INTO user VALUES (CAST(x'ff41' AS TEXT), 'cat@x.example', 3, 1), ('nul' || char(0) || 'x', 'dan@x.example', 3, 2)",
        );
        world.sql("INSERT INTO orders VALUES (20, CAST(x'ff41' AS TEXT), NULL), (21, CAST(x'ff42' AS TEXT), NULL)");
        let matched = world.matched(&rows(&["ann@x.example", "cat@x.example", "3/2"]), Settings::default());
        let (_, checked) = world.checked(&matched);
        assert_eq!(checked.outcomes, [Outcome::Deleted; 3]);
        assert_eq!(world.purge(&matched, chunk), checked, "chunks of {chunk}");
        assert!(!world.dump("user").contains("cat@") && !world.dump("orders").contains("orders|20|"), "{}", world.dump("*"));
        assert!(world.dump("orders").contains("orders|21|"), "a key of other bytes");
    }
}

#[test]
fn shows_the_scrub_the_text_key_and_other_addresses_by_which_other_tables_may_name_a_person() {
    let world = shop();
    world.open();
    let import = world.begin(&world.matched(&rows(&["ann@x.example", "1/2"]), Settings::default()));
    world.sql(
        "ALTER TABLE user ADD COLUMN alt; ALTER TABLE user ADD COLUMN lower AS (lower(mail)); UPDATE user SET alt = uid || '@Home.example'",
    );
    world.sql("UPDATE user SET no = 9 WHERE uid = 'u2'");
    assert_eq!(identifiers(&world, import), [" Ann@X.Example", "1", "1", "u1", "u1@home.example"]);
}

#[test]
fn addresses_inside_the_cells_of_a_persons_row_are_shown_to_the_scrub_but_those_of_people_who_stay() {
    for compare in [Compare::Normalised, Compare::Exact] {
        let mut plan = plan();
        plan.subject.address.as_mut().unwrap().compare = compare;
        let world = shop_with(plan);
        world.open();
        world.sql(
            r#"ALTER TABLE user ADD COLUMN alt; UPDATE user SET mail = 'u3@x.example' WHERE uid = 'u3'; UPDATE user SET mail = 'bob@x.example' WHERE uid = 'u2';
            UPDATE user SET mail = '"Ann" <ann@x.example>', alt = CAST('by U3@x.example, mailto:ann.b@y.example' AS BLOB) WHERE uid = 'u1'"#,
        );
        let import = world.begin(&world.matched(&rows(&["1/1", "1/2"]), Settings::default()));
        let found = |alt: &str| {
            world.sql(&format!("UPDATE user SET alt = {alt} WHERE uid = 'u1'"));
            identifiers(&world, import).into_iter().filter(|text| text.contains('@')).collect::<Vec<_>>()
        };
        let and = |other: &str| ["bob@x.example", "ann@x.example", other].map(str::to_owned);
        assert_eq!(found("alt"), and("ann.b@y.example"));
        assert_eq!(found(r#"'{"to":["ann.c\u0040y.example"]}'"#), and("ann.c@y.example"));
        assert_eq!(found(r#"jsonb('{"to":["ann.d@y.example"],"email":1}')"#), and("ann.d@y.example"));
        // Whoever goes with them does not stay.
        assert_eq!(found("'for Bob@x.example and u3@x.example'"), and("bob@x.example"));
    }
}

#[test]
fn leaves_a_users_journal_mode_as_found() {
    let world = shop();
    let mode: String = world.open().connection().query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
}

#[test]
fn a_plan_for_one_tenant_serves_no_other() {
    let world = shop();
    let other = super::world::tenant("acme-2");
    let none = Vec::<Result<_, std::convert::Infallible>>::new();
    assert!(world.engine.match_rows(world.read().connection(), &other, Settings::default(), super::world::at(0), none).is_err());
}

#[test]
fn says_what_does_not_fit() {
    fn check(change: impl Fn(&mut Plan), expected: &str) {
        let world = shop();
        let mut plan = plan();
        change(&mut plan);
        let error = match Engine::new(plan.clone(), world.engine.key.clone()) {
            Ok(engine) => engine.fits(world.open().connection(), 1_000).unwrap_err(),
            Err(error @ PlanError::Wrong(_)) => error,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(error.to_string(), expected);
    }
    check(|plan| plan.subject.table = "people".into(), "the plan is wrong: \"orders\" refers to \"user\", which has no rule");
    check(|plan| plan.subject.id = Some("id".into()), "the plan does not fit the database: table \"user\" has no column \"id\"");
    check(|plan| plan.rules[1].table = "nolines".into(), "the plan is wrong: \"notes\" refers to \"lines\", which has no rule");
    check(|plan| plan.rules[2].table = "nonotes".into(), "the plan does not fit the database: table \"nonotes\" is not there");
    check(
        |plan| plan.rules[0].edges[0].columns = vec!["payer".into()],
        "the plan does not fit the database: table \"orders\" has no column \"payer\"",
    );
    check(
        |plan| {
            plan.rules[1].action = Action::Detach;
            plan.rules[1].orphans = Some(crate::purge::plan::Orphans::Delete);
            plan.rules.truncate(2);
        },
        "the plan does not fit the database: \"lines\".\"order\" cannot be null, so it cannot be detached",
    );
    check(|plan| plan.rules[2].table = "Expunged_imports".into(), "the plan is wrong: table \"Expunged_imports\" is the ledger's own");
    let circle = |plan: &mut Plan| {
        plan.rules[1].edges[0] =
            Edge { columns: vec!["order".into()], parent: "notes".into(), parent_columns: vec!["id".into()], action: None }
    };
    check(
        circle,
        "the plan is wrong: notes → lines → notes refer to each other in a circle, where \"notes\" cannot have orphans = \"delete\": whether a \
         row of it refers to nobody would depend on itself; say orphans = \"keep\", delete its rows, or give another of these edges action = \
         \"detach\"",
    );
}

#[test]
fn a_plan_survives_its_text_and_two_plans_differ_in_digest() {
    for plan in [plan(), Plan::builtin()] {
        let text = plan.to_text();
        assert_eq!(Plan::parse(&text).unwrap(), plan, "{text}");
    }
    assert_ne!(plan().digest(), Plan::builtin().digest());
}

#[test]
fn a_row_with_three_parties_is_counted_once_whatever_the_chunks() {
    let mut plan = plan();
    let party =
        |column: &str| Edge { columns: vec![column.into()], parent: "user".into(), parent_columns: vec!["uid".into()], action: None };
    plan.rules = vec![Rule::new("meetings", Action::Detach, ["a", "b", "c"].map(party).into())];
    let mut stores = Vec::new();
    for chunk in 1..=4 {
        let world = World::with(plan.clone(), Create::LedgerOnly);
        let meetings = r#"
            CREATE TABLE "user" (uid TEXT PRIMARY KEY, mail TEXT, org TEXT, no TEXT);
            INSERT INTO "user" SELECT 'u' || value, value || '@x.example', 'o', value FROM json_each('[1,2,3,4,5]');
            CREATE TABLE meetings (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT);
            CREATE INDEX meetings_a ON meetings (a); CREATE INDEX meetings_b ON meetings (b); CREATE INDEX meetings_c ON meetings (c);
            WITH party(uid) AS (SELECT uid FROM "user" UNION ALL SELECT NULL)
            INSERT INTO meetings (a, b, c) SELECT x.uid, y.uid, z.uid FROM party x, party y, party z ORDER BY 1, 2, 3"#;
        rusqlite::Connection::open(world.path()).unwrap().execute_batch(meetings).unwrap();
        world.open();
        let matched = world.matched(&rows(&["o/4", "1@x.example", "o/3"]), Settings::default());
        let (_, checked) = world.checked(&matched);
        assert_eq!(world.purge(&matched, chunk), checked, "chunks of {chunk}");
        // Of 216 rows, 27 name none of the three; of those that do, the ones with only nulls beside them go: 4^3 - 1.
        assert_eq!((checked.progress.removed.get("meetings"), checked.progress.detached.get("meetings")), (63, 216 - 27 - 63));
        stores.push(world.dump("meetings"));
    }
    assert!(stores.iter().all(|store| *store == stores[0]));
}

#[test]
fn a_row_whose_key_is_made_of_its_references_is_counted_once_whatever_the_chunks() {
    let mut plan = plan();
    let party =
        |column: &str| Edge { columns: vec![column.into()], parent: "user".into(), parent_columns: vec!["uid".into()], action: None };
    plan.rules = vec![Rule::new("pairs", Action::Detach, ["a", "b"].map(party).into())];
    plan.rules[0].orphans = Some(crate::purge::plan::Orphans::Keep);
    for chunk in 1..=2 {
        let world = World::with(plan.clone(), Create::LedgerOnly);
        let pairs = r#"
            CREATE TABLE "user" (uid TEXT PRIMARY KEY, mail TEXT, org TEXT, no TEXT);
            INSERT INTO "user" SELECT 'u' || value, value || '@x.example', 'o', value FROM json_each('[1,2,3]');
            CREATE TABLE pairs (a TEXT, b TEXT, rowid TEXT, PRIMARY KEY (a, b));
            INSERT INTO pairs VALUES ('u1', 'u2', 'r'), ('u2', 'u1', 'r'), ('u1', 'u3', 'r'), (NULL, 'u2', 'r'), (NULL, 'u2', 'r')"#;
        rusqlite::Connection::open(world.path()).unwrap().execute_batch(pairs).unwrap();
        world.open();
        let matched = world.matched(&rows(&["1@x.example", "2@x.example"]), Settings::default());
        let (_, checked) = world.checked(&matched);
        assert_eq!(checked.progress.detached.get("pairs"), 5);
        assert_eq!(world.purge(&matched, chunk), checked, "chunks of {chunk}");
        assert_eq!(world.dump("pairs"), "pairs|||r\npairs|||r\npairs||u3|r\npairs|||r\npairs|||r\n");
    }
}

#[test]
fn a_table_whose_keys_have_no_index_is_read_once_a_statement_and_not_once_a_row() {
    let world = shop();
    world.sql("DROP INDEX orders_buyer; DROP INDEX orders_seller");
    assert!(world.engine.fits(world.open().connection(), 1_000).unwrap().scans);
    let matched = world.matched(&rows(&["ann@x.example", "1/2"]), Settings::default());
    world.checked(&matched);
    let store = world.open();
    let people = super::super::people::People::of(world.engine.plan(), matched.tenant()).unwrap();
    world.engine.survivors(&people, store.connection(), matched.targets(), |_, _| Ok(false)).unwrap();
    world.engine.mark(&people, store.connection()).unwrap();
    let mut scans = 0;
    for sql in world.engine.steps.statements() {
        let mut statement = store.connection().prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut steps = statement.raw_query();
        let mut read_whole = 0;
        while let Some(step) = steps.next().unwrap() {
            let (parent, detail): (i64, String) = (step.get("parent").unwrap(), step.get("detail").unwrap());
            if detail.starts_with("SCAN") && !detail.contains("expunged_") {
                // Below another step it would run once for each of that step's rows.
                assert_eq!(parent, 0, "{detail}\n{sql}");
                read_whole += 1;
            }
        }
        assert!(read_whole <= 1, "{sql}");
        scans += read_whole;
    }
    assert!(scans > 0, "no statement reads the tables without an index");
}

#[test]
fn a_check_of_a_database_of_utf_16_orders_keys_as_it_likes_and_counts_what_the_purge_takes() {
    for encoding in ["UTF-8", "UTF-16le", "UTF-16be"] {
        let world = World { folder: tempfile::TempDir::new().unwrap(), engine: shop().engine, create: Create::LedgerOnly };
        // By UTF-16, little end first, "\u{100}1" stands before "a1"; by UTF-8 it is the last.
        let people = "INSERT INTO user VALUES ('a1', 'a@x.example', 7, 1), ('b1', 'b@x.example', 7, 2), ('\u{100}1', 'c@x.example', 7, 3), ('\u{10000}1', 'd@x.example', 7, 4)";
        let c = rusqlite::Connection::open(world.path()).unwrap();
        c.execute_batch(&format!("PRAGMA encoding = '{encoding}'; {SHOP} {people}")).unwrap();
        let matched = world.matched(&rows(&["a@x.example", "b@x.example", "c@x.example", "d@x.example"]), Settings::default());
        world.open();
        let (_, checked) = world.checked(&matched);
        assert_eq!(checked.progress.removed.get("user"), 4, "{encoding}");
        assert_eq!(world.purge(&matched, 2), checked, "{encoding}");
    }
}
