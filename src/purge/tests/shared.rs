//! References that share a column with others: to detach one sets to null only what is its own.

use rusqlite::Connection;

use super::words::{SUBJECT, purged};
use crate::domain::IdentityKey;
use crate::purge::{Deriving, Engine, Plan, derive};

/// A reference by the tenant's column and one more.
fn edge(column: &str) -> String {
    format!("{{ columns = ['owner', '{column}'], parent = 'people', parent_columns = ['owner', 'id'] }}")
}

const PAIRS: &str =
    "INSERT INTO pairs VALUES (1, 'acme', 1, 2), (2, 'acme', 1, 5), (3, 'acme', 2, 1), (4, 'acme', 5, 1), (5, 'acme', 1, NULL),
    (6, 'other', 4, NULL), (7, 'acme', NULL, NULL);";

#[test]
fn a_reference_that_is_lost_leaves_the_column_that_it_shares_to_the_other_one() {
    for owner in ["TEXT", "TEXT NOT NULL"] {
        let sql = format!("CREATE TABLE pairs (id INTEGER PRIMARY KEY, owner {owner}, a INTEGER, b INTEGER); {PAIRS}");
        let plan = |orphans: &str| {
            format!("[[table]]\nname = 'pairs'\naction = 'detach'\norphans = '{orphans}'\nedges = [{}, {}]", edge("a"), edge("b"))
        };
        let who = ["one@x.example", "acme/2"];
        let left = "pairs|2|acme||5\npairs|4|acme|5|\n";
        let others = "pairs|6|other|4|\npairs|7|acme||\n";
        assert_eq!(purged(&sql, &plan("delete"), &who, "pairs"), format!("removed 3\ndetached 2\n{left}{others}"), "{owner}");
        let kept = "detached 5\npairs|1|acme||\npairs|2|acme||5\npairs|3|acme||\npairs|4|acme|5|\npairs|5|acme||\n";
        assert_eq!(purged(&sql, &plan("keep"), &who, "pairs"), format!("{kept}{others}"), "{owner}");
    }
}

#[test]
fn a_reference_by_which_a_row_goes_outlives_the_loss_of_another_that_shares_a_column() {
    let sql = format!("CREATE TABLE pairs (id INTEGER PRIMARY KEY, owner TEXT, a INTEGER, b INTEGER); {PAIRS}");
    let plan = format!(
        "[[table]]\nname = 'pairs'\naction = 'delete'\nedges = [{}, {}]",
        edge("a"),
        edge("b").replace(" }", ", action = 'detach' }")
    );
    // The one who is detached goes in the first chunk, the one who takes the row with him in the last.
    assert_eq!(
        purged(&sql, &plan, &["one@x.example", "acme/5"], "pairs"),
        "removed 4\ndetached 1\npairs|3|acme|2|\npairs|6|other|4|\npairs|7|acme||\n"
    );
}

#[test]
fn a_row_that_lost_a_reference_is_found_by_its_tenant_and_its_address_in_a_later_chunk() {
    let sql = "CREATE TABLE letters (id INTEGER PRIMARY KEY, owner TEXT, mail TEXT, seller INTEGER);
        INSERT INTO letters VALUES (1, 'acme', 'five@x.example', 1), (2, 'acme', 'six@x.example', 1), (3, 'other', 'five@x.example', 4);";
    let plan = format!(
        "[[table]]\nname = 'letters'\naction = 'delete'\ntenant = 'owner'\nmatch = [{{ column = 'mail' }}]\nedges = [{}]",
        edge("seller").replace(" }", ", action = 'detach' }")
    );
    assert_eq!(
        purged(sql, &plan, &["one@x.example", "five@x.example"], "letters"),
        "removed 1\ndetached 1\nletters|2|acme|six@x.example|\nletters|3|other|five@x.example|4\n"
    );
}

#[test]
fn what_others_refer_to_is_not_set_to_null() {
    let sql = "CREATE TABLE orders (no INTEGER, owner TEXT, buyer INTEGER, UNIQUE (owner, no)); CREATE TABLE lines (id INTEGER PRIMARY KEY, owner TEXT, no INTEGER, seller INTEGER);
        INSERT INTO orders VALUES (1, 'acme', 1), (2, 'acme', 5); INSERT INTO lines VALUES (1, 'acme', 1, 1), (2, 'acme', 1, 5), (3, 'acme', 2, 2);";
    let plan = format!(
        "[[table]]\nname = 'orders'\naction = 'detach'\norphans = 'keep'\nedges = [{}]
        [[table]]\nname = 'lines'\naction = 'delete'\nedges = [{}, {{ columns = ['owner', 'no'], parent = 'orders', parent_columns = ['owner', 'no'] }}]",
        edge("buyer"),
        edge("seller")
    );
    assert_eq!(purged(sql, &plan, &["one@x.example"], "orders"), "detached 1\norders|1|acme|\norders|2|acme|5\n");
    assert_eq!(purged(sql, &plan, &["one@x.example"], "lines"), "removed 1\nlines|2|acme|1|5\nlines|3|acme|2|2\n");
}

#[test]
fn a_tenants_column_that_only_one_reference_uses_stays_where_the_rule_names_it() {
    let sql = "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT, a INTEGER); INSERT INTO notes VALUES (1, 'acme', 1);";
    let plan = |tenant: &str| format!("[[table]]\nname = 'notes'\naction = 'detach'\norphans = 'keep'\n{tenant}\nedges = [{}]", edge("a"));
    assert_eq!(purged(sql, &plan("tenant = 'Owner'"), &["one@x.example"], "notes"), "detached 1\nnotes|1|acme|\n");
    assert_eq!(purged(sql, &plan(""), &["one@x.example"], "notes"), "detached 1\nnotes|1||\n");
}

#[test]
fn people_and_accounts_that_lose_a_reference_keep_what_names_them() {
    let sql = "ALTER TABLE people ADD COLUMN friend INTEGER; ALTER TABLE people ADD COLUMN boss INTEGER; ALTER TABLE people ADD COLUMN team TEXT;
        UPDATE people SET friend = 1, boss = 5 WHERE id IN (2, 3); UPDATE people SET boss = 1, team = 'blue' WHERE id = 5;
        CREATE TABLE teams (owner TEXT, name TEXT, contact INTEGER, PRIMARY KEY (owner, name)); INSERT INTO teams VALUES ('acme', 'blue', 1), ('acme', 'red', 5), ('other', 'blue', 4);";
    let plan = format!(
        "edges = [{}, {}]\n[account]\ntable = 'teams'\ncolumns = ['owner', 'name']\nsubject_columns = ['owner', 'team']\nedges = [{}]",
        edge("friend"),
        edge("boss"),
        edge("contact")
    );
    let dump = |who: &[&str], table: &str| purged(sql, &plan, who, table);
    let other = "people|4|other|one@x.example|||\n";
    assert_eq!(
        dump(&["one@x.example"], "people"),
        format!(
            "removed 1\ndetached 3\npeople|2|acme|two@x.example||5|\npeople|3|acme|two@x.example||5|\n{other}people|5|acme|five@x.example|||blue\n"
        )
    );
    assert_eq!(
        dump(&["one@x.example", "acme/5"], "people"),
        format!("removed 2\ndetached 2\npeople|2|acme|two@x.example|||\npeople|3|acme|two@x.example|||\n{other}")
    );
    assert_eq!(dump(&["one@x.example"], "teams"), "detached 1\nteams|acme|blue|\nteams|acme|red|5\nteams|other|blue|4\n");
    // The team goes in a later chunk than its contact, and is not counted as both.
    assert_eq!(dump(&["one@x.example", "acme/5"], "teams"), "removed 1\ndetached 1\nteams|acme|red|\nteams|other|blue|4\n");
}

#[test]
fn a_detached_reference_without_a_column_of_its_own_is_named_with_what_to_do() {
    let check = |plan: &str, expected: &str| assert_eq!(Plan::parse(&format!("{SUBJECT}{plan}")).unwrap_err().to_string(), expected);
    let told = |line: u32, table: &str, columns: &str| {
        format!(
            "line {line}: \"{table}\" ({columns}) cannot be detached: it has no column of its own that could be set to null, other parts of the plan use them all; "
        )
    };
    let by =
        |column: &str, parent: &str, own: &str| format!("{{ columns = ['{column}'], parent = '{parent}', parent_columns = ['id']{own} }}");
    let homes = format!("[[table]]\nname = 'homes'\naction = 'delete'\nedges = [{}]", by("p", "people", ""));
    let of_rule = "delete or overwrite its rows, or take out an edge that says the same as another";
    check(
        &format!("[[table]]\nname = 'a'\naction = 'detach'\nedges = [{}, {}]\n{homes}", by("p", "people", ""), by("P", "homes", "")),
        &(told(9, "a", "p") + of_rule),
    );
    check(
        &format!("[[table]]\nname = 'a'\naction = 'delete'\nedges = [{}, {}]", edge("p"), by("p", "people", ", action = 'detach'")),
        &(told(9, "a", "p") + of_rule),
    );
    check(
        &format!(
            "[[table]]\nname = 'a'\naction = 'delete'\ntenant = 't'\nmatch = [{{ column = 'm' }}]\nedges = [{}]",
            by("M", "people", ", action = 'detach'")
        ),
        &(told(9, "a", "M") + of_rule),
    );
    let referred = "[[table]]\nname = 'b'\naction = 'delete'\nedges = [{ columns = ['x'], parent = 'a', parent_columns = ['p'] }]";
    check(
        &format!("[[table]]\nname = 'a'\naction = 'detach'\norphans = 'keep'\nedges = [{}]\n{referred}", by("p", "people", "")),
        &(told(9, "a", "p") + of_rule),
    );
    let of_others = "give this reference a column of its own, or take out an edge that says the same as another";
    for column in ["owner", "id", "mail"] {
        check(&format!("edges = [{}]", by(column, "people", "")), &(told(1, "people", column) + of_others));
    }
    check(
        &format!("[account]\ntable = 'teams'\ncolumns = ['name']\nsubject_columns = ['team']\nedges = [{}]", by("name", "people", "")),
        &(told(8, "teams", "name") + of_others),
    );
}

#[test]
fn a_column_that_is_set_to_null_must_be_one_that_can_be() {
    let told = |columns: &str, words: &str| {
        let plan = format!("{SUBJECT}[[table]]\nname = 'notes'\naction = 'detach'\norphans = 'keep'\n{words}");
        let engine = Engine::new(Plan::parse(&plan).unwrap(), IdentityKey::new([7; 32])).unwrap();
        let c = Connection::open_in_memory().unwrap();
        c.execute_batch(&format!("CREATE TABLE people (id INTEGER PRIMARY KEY, owner TEXT, mail TEXT); CREATE TABLE notes ({columns})"))
            .unwrap();
        let told = engine.fits(&c, 1_000).err().map(|error| error.to_string()).unwrap_or_default();
        told.trim_start_matches("the plan does not fit the database: ").to_owned()
    };
    let (both, one) = (format!("edges = [{}, {}]", edge("a"), edge("b")), format!("edges = [{}]", edge("a")));
    assert_eq!(told("owner TEXT NOT NULL, a INTEGER, b INTEGER", &both), "");
    assert_eq!(
        told("owner TEXT NOT NULL, a INTEGER, b INTEGER NOT NULL", &both),
        "\"notes\".\"b\" cannot be null, so it cannot be detached"
    );
    assert_eq!(told("owner TEXT AS ('acme'), a INTEGER, b INTEGER", &both), "");
    let hint = "\"notes\".\"owner\" cannot be null, so it cannot be detached; if that column names the tenant, write it as the table's tenant, and it stays";
    assert_eq!(told("owner TEXT NOT NULL, a INTEGER", &one), hint);
    assert_eq!(told("owner TEXT NOT NULL, a INTEGER", &format!("tenant = 'owner'\n{one}")), "");
}

#[test]
fn a_plan_shows_what_is_set_to_null_where_it_is_less_than_the_reference() {
    let plan =
        |edges: &str| format!("{SUBJECT}edges = [{}]\n[[table]]\nname = 'pairs'\naction = 'detach'\nedges = [{edges}]", edge("friend"));
    let deeds = |text: &str| {
        let steps = Plan::parse(text).unwrap().work().unwrap();
        steps.into_iter().flat_map(|step| step.edges).map(|edge| edge.deed).collect::<Vec<_>>()
    };
    assert_eq!(
        deeds(&plan(&format!("{}, {}", edge("a"), edge("b")))),
        ["set friend to null", "set a to null; delete the row when nobody is left", "set b to null; delete the row when nobody is left"]
    );
    let whole = "set to null; delete the row when nobody is left";
    let one = |column: &str| format!("{{ columns = ['{column}'], parent = 'people', parent_columns = ['id'] }}");
    assert_eq!(deeds(&plan(&format!("{}, {}", one("a"), one("b")))), ["set friend to null", whole, whole]);
}

#[test]
fn a_derived_plan_offers_to_detach_what_has_a_column_of_its_own() {
    let derived = |columns: &str| {
        let c = Connection::open_in_memory().unwrap();
        c.execute_batch(&format!(
            "CREATE TABLE people (owner TEXT NOT NULL, id INTEGER PRIMARY KEY, mail TEXT, UNIQUE (owner, id)); CREATE TABLE notes (id INTEGER PRIMARY KEY, {columns})"
        ))
        .unwrap();
        derive(&c, &Deriving { subject: "people", account: None, tenant: None }).unwrap()
    };
    let key = |column: &str, more: &str| format!("FOREIGN KEY (owner, {column}) REFERENCES people (owner, id) {more}");
    let two = |more: &str| format!("owner TEXT NOT NULL, a INTEGER, b INTEGER, {}, {}", key("a", more), key("b", more));
    let text = derived(&two(""));
    assert!(text.contains("action = \"CHOOSE: delete | detach | overwrite\"") && !text.contains("tenant = \""), "{text}");
    let text = derived(&two("ON DELETE SET NULL"));
    assert!(text.contains("action = \"detach\""), "{text}");
    let text = derived(&format!("owner TEXT NOT NULL, a INTEGER, {}", key("a", "")));
    assert!(text.contains("action = \"CHOOSE: delete | detach | overwrite\""), "{text}");
    assert!(
        text.contains("# \"owner\" cannot be null: with \"detach\", if it names the tenant, add tenant = \"owner\", and it stays."),
        "{text}"
    );
    let text = derived("a INTEGER REFERENCES people ON DELETE SET NULL REFERENCES people (id) ON DELETE SET NULL");
    assert!(text.contains("action = \"detach\""), "{text}");
    let text = derived(
        "owner TEXT, a INTEGER REFERENCES people ON DELETE SET NULL, FOREIGN KEY (owner, a) REFERENCES people (owner, id) ON DELETE SET NULL",
    );
    assert!(text.contains("action = \"CHOOSE: delete | overwrite\""), "{text}");
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch("CREATE TABLE people (owner TEXT NOT NULL, id INTEGER PRIMARY KEY, friend INTEGER, UNIQUE (owner, id), FOREIGN KEY (owner, friend) REFERENCES people (owner, id))").unwrap();
    let text = derive(&c, &Deriving { subject: "people", account: None, tenant: None }).unwrap();
    assert!(!text.contains("this plan will not fit"), "what is referred to stays: {text}");
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch("CREATE TABLE people (id INTEGER PRIMARY KEY REFERENCES people, owner TEXT)").unwrap();
    let text = derive(&c, &Deriving { subject: "people", account: None, tenant: None }).unwrap();
    assert!(text.contains("# \"people\" (id) has no column of its own, so it cannot be detached: this plan will not fit."), "{text}");
}

#[test]
fn declared_keys_that_share_a_column_are_detached_like_any_other() {
    let sql = "CREATE UNIQUE INDEX people_owner ON people (owner, id);
        CREATE TABLE pairs (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, a INTEGER, b INTEGER,
            FOREIGN KEY (owner, a) REFERENCES people (owner, id), FOREIGN KEY (owner, b) REFERENCES people (owner, id));";
    let plan = format!("[[table]]\nname = 'pairs'\naction = 'detach'\nedges = [{}, {}]", edge("a"), edge("b"));
    assert_eq!(
        purged(&format!("{sql}{}", PAIRS), &plan, &["acme/5"], "pairs"),
        "detached 2\npairs|1|acme|1|2\npairs|2|acme|1|\npairs|3|acme|2|1\npairs|4|acme||1\npairs|5|acme|1|\npairs|6|other|4|\npairs|7|acme||\n"
    );
}
