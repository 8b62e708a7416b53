//! What `plan check` says of rows that stay: whether the addresses in them are written over, and what goes with them all the same.

use super::misfits::found;
use crate::purge::Plan;

const NOTES: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, writer INTEGER, mail TEXT);
    INSERT INTO notes VALUES (1, 1, 1, 'one@x.example');";

/// A rule for the notes with an edge for each of these columns.
fn notes(action: &str, columns: &[&str]) -> String {
    let edge = |column: &&str| {
        let (column, own) = column.split_once(' ').unwrap_or((column, ""));
        format!("{{ columns = ['{column}'], parent = 'people', parent_columns = ['id']{own} }}")
    };
    let edges = columns.iter().map(edge).collect::<Vec<_>>().join(", ");
    format!("[[table]]\nname = 'notes'\n{action}\nedges = [{edges}]\n")
}

#[test]
fn the_mend_for_addresses_in_rows_that_stay_writes_them_over_by_every_key_that_leads_there() {
    let how = |plan: &str| found(NOTES, plan).pop().map(|found| found.2).unwrap_or_default();
    let one = how(&notes("action = 'detach'\norphans = 'keep'", &["person"]));
    assert!(one.contains("a set for it, and \"null\" set to \"person\" in place of the detached reference"), "{one}");
    let both = "set = [{ column = 'mail', to = 'null' }, { column = 'person', to = 'null' }]";
    assert_eq!(how(&notes(&format!("action = 'overwrite'\n{both}"), &["person"])), "");
    // Another's reference is not set to null with the first: there it takes the address.
    let two = how(&notes("action = 'detach'\norphans = 'keep'", &["person", "writer"]));
    assert!(two.contains("a set and a match for it, and action = \"detach\" on the edges"), "{two}");
    // What another edge leads to is written over as it is.
    let beside = how(&notes("action = 'overwrite'\nset = [{ column = 'person', to = 'null' }]", &["person", "writer , action = 'detach'"]));
    assert!(beside.contains("over, with a set for it;"), "{beside}");
    let matched = "action = 'overwrite'\nset = [{ column = 'mail', to = 'null' }]\nmatch = [{ column = 'mail' }]";
    assert_eq!(how(&notes(matched, &["person , action = 'detach'", "writer , action = 'detach'"])), "");
    assert!(
        how(&notes("action = 'overwrite'\nset = [{ column = 'person', to = 'null' }]", &["person"])).contains("over, with a set for it;")
    );
}

#[test]
fn what_is_written_over_in_no_row_is_refused_and_in_rows_that_are_only_detached_it_is_told() {
    let set = "action = 'overwrite'\nset = [{ column = 'mail', to = 'null' }]";
    let subject = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }\n";
    let refused = Plan::parse(&format!("{subject}{}", notes(set, &["person , action = 'detach'"]))).unwrap_err().to_string();
    assert!(refused.starts_with("line 7: no row of \"notes\" would be overwritten, since each of its references is detached"), "{refused}");
    let half = ["person", "writer , action = 'detach'"];
    assert_eq!(found(NOTES, &notes(set, &half)), []);
    let told = found(&format!("{NOTES} INSERT INTO notes VALUES (2, 9, 1, 'two@x.example')"), &notes(set, &half));
    let only = "\"notes\".\"mail\" looks like addresses, also in rows that no key of the plan leads to, or only one that is detached";
    assert!(told.len() == 1 && told[0].1 == only, "{told:?}");
    let gone = found(&format!("{NOTES} INSERT INTO notes VALUES (2, 9, 1, 'two@x.example')"), &notes("action = 'delete'", &half));
    assert!(gone.len() == 1 && gone[0].1 == only, "{gone:?}");
}

#[test]
fn no_match_is_advised_where_addresses_are_only_a_part_of_a_text() {
    let mend = |mail: &str| {
        let mut told = found(&format!("{NOTES} INSERT INTO notes VALUES (2, 9, 9, '{mail}')"), &notes("action = 'delete'", &["person"]));
        (told.len(), told.remove(0).2)
    };
    assert_eq!(
        mend("two@x.example"),
        (1, "add match = [{ column = \"mail\" }] to its table's rule, or name it in accepted.columns".to_owned())
    );
    let text = NOTES.replace("'one@", "'ask one@");
    let told = found(&format!("{text} INSERT INTO notes VALUES (2, 9, 9, 'ask two@x.example')"), &notes("action = 'delete'", &["person"]));
    assert!(told.len() == 1 && told[0].2.contains("inside a text are reached only by a key"), "{told:?}");
}

#[test]
fn rows_that_go_with_a_row_that_stays_are_told_until_a_person_has_said_so() {
    let sql = format!("{NOTES} CREATE TABLE lines (id INTEGER PRIMARY KEY, note INTEGER)");
    let lines = |own: &str| {
        format!(
            "[[table]]\nname = 'lines'\naction = 'delete'\nedges = [{{ columns = ['note'], parent = 'notes', parent_columns = ['id']{own} }}]\n"
        )
    };
    let told = |stays: &str, more: &str| {
        let plan = format!("{}{more}", notes(stays, &["person"]));
        found(&sql, &plan).into_iter().map(|found| format!("{}; {}", found.1, found.2)).collect::<Vec<_>>()
    };
    let over = "action = 'overwrite'\nset = [{ column = 'mail', to = 'null' }, { column = 'person', to = { number = 0 } }]";
    let with = "rows of \"lines\" (note) are deleted with those of \"notes\" that they refer to, which stay, whoever's they are; if they are to \
                stay too, take out that edge, and the rule if it has no other; if not, name \"lines.note\" in accepted.columns";
    for stays in [over, "action = 'keep'\nreason = 'a court'"] {
        assert_eq!(told(stays, &lines("")), [with], "{stays}");
        assert_eq!(told(stays, &format!("{}[accepted]\ncolumns = ['Lines.Note']", lines(""))), Vec::<String>::new());
        assert_eq!(told(stays, &format!("{}orphans = 'keep'", lines("").replace("'delete'", "'detach'"))), Vec::<String>::new());
    }
    assert_eq!(told("action = 'delete'", &lines("")), Vec::<String>::new());
}

#[test]
fn rows_that_a_persons_rows_refer_to_each_by_itself_are_told_because_no_plan_takes_them() {
    let plan = notes("action = 'delete'", &["person"]);
    let sql = |key: &str, rows: &str| {
        format!(
            "CREATE TABLE places (id INTEGER PRIMARY KEY, street TEXT);
             CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, place INTEGER {key} REFERENCES places); {rows}"
        )
    };
    let some = |place: &str, rows: i64| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) INSERT INTO notes SELECT i, 1, {place} FROM n"
        )
    };
    let told = |sql: &str, more: &str| found(sql, &format!("{plan}{more}")).into_iter().map(|found| found.1).collect::<Vec<_>>();
    let what = "no two rows of \"notes\" (place), of those looked at, refer to the same row of \"places\", which stays when they go";
    assert_eq!(told(&sql("UNIQUE", ""), ""), [what]);
    assert_eq!(told(&sql("", &some("i + 7", 20)), ""), [what]);
    assert_eq!(told(&sql("", &some("nullif(i, 3)", 21)), ""), [what]);
    assert_eq!(told(&sql("UNIQUE", ""), "[accepted]\ncolumns = ['notes.place']"), Vec::<String>::new());
    for shared in [sql("", &some("i % 19", 20)), sql("", &some("i", 19)), sql("", "")] {
        assert_eq!(told(&shared, ""), Vec::<String>::new(), "{shared}");
    }
}

#[test]
fn the_plans_own_text_in_rows_that_no_key_leads_to_any_more_is_no_address_of_anybody() {
    let plan = |text: &str| {
        notes(
            &format!(
                "action = 'overwrite'\nset = [{{ column = 'person', to = 'null' }}, {{ column = 'mail', to = {{ text = '{text}' }} }}]"
            ),
            &["person"],
        )
    };
    let sql = format!("{NOTES} INSERT INTO notes VALUES (2, NULL, NULL, 'gone@invalid.example')");
    assert_eq!(found(&sql, &plan("gone@invalid.example")), []);
    assert_eq!(found(&sql, &plan("another@invalid.example")).len(), 1);
}

#[test]
fn rules_that_refer_only_to_what_stays_are_told_and_shown_to_do_nothing() {
    let tables = ["a", "b"].map(|table| format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY, up INTEGER);")).concat();
    let rule = |table: &str, up: &str| {
        format!(
            "[[table]]\nname = '{table}'\naction = 'delete'\nedges = [{{ columns = ['up'], parent = '{up}', parent_columns = ['id'] }}]\n"
        )
    };
    let below = format!("{}{}", rule("a", "notes"), rule("b", "a"));
    let plan = |orphans: &str| format!("{}{below}", notes(&format!("action = 'detach'\norphans = '{orphans}'"), &["person", "writer"]));
    let idle = |orphans: &str| {
        let told = found(&format!("{NOTES}{tables}"), &plan(orphans)).into_iter().map(|found| found.1);
        told.filter(|what| what.starts_with("no row is found by")).collect::<Vec<_>>()
    };
    assert_eq!(idle("keep"), ["no row is found by the rules for \"a\", \"b\": all that they refer to stays"]);
    assert!(idle("delete").is_empty());
    let subject = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }
        edges = [{ columns = ['best'], parent = 'a', parent_columns = ['id'] }]\n";
    let deeds = |orphans: &str| {
        let work = Plan::parse(&format!("{subject}{}", plan(orphans))).unwrap().work().unwrap();
        let (steps, edges): (Vec<_>, Vec<_>) =
            work.into_iter().filter(|step| step.table != "notes").map(|step| (step.deed, step.edges)).unzip();
        (steps, edges.into_iter().flatten().map(|edge| edge.deed).collect::<Vec<_>>())
    };
    let (steps, edges) = deeds("keep");
    let nothing = "nothing, since all that it refers to stays";
    assert_eq!(steps, ["the people; delete", nothing, nothing]);
    assert_eq!(edges, ["nothing, since rows of a stay", "nothing, since rows of a stay", "nothing, since rows of notes stay"]);
    let (steps, edges) = deeds("delete");
    assert_eq!(
        (&steps[1..], &edges[..]),
        (&["delete".to_owned(), "delete".to_owned()][..], &["set to null", "delete", "delete"].map(str::to_owned)[..])
    );
}

#[test]
fn a_rule_that_finds_no_row_can_be_taken_out_as_check_says() {
    let sql = format!("{NOTES} CREATE TABLE lines (id INTEGER PRIMARY KEY, note INTEGER REFERENCES notes)");
    let plan = notes("action = 'delete'", &["person , action = 'detach'", "writer , action = 'detach'"]);
    let lines = "[[table]]\nname = 'lines'\naction = 'delete'\nedges = [{ columns = ['note'], parent = 'notes', parent_columns = ['id'] }]";
    let told = |plan: &str| found(&sql, plan).into_iter().map(|found| found.1).filter(|what| what.contains("lines")).collect::<Vec<_>>();
    let idle = told(&format!("{plan}{lines}"));
    assert!(idle.iter().any(|what| what == "no row is found by the rules for \"lines\": all that they refer to stays"), "{idle:?}");
    assert!(told(&plan).is_empty(), "{:?}", told(&plan));
}
