//! What a derived plan says by itself, and what it leaves to a person.

use rusqlite::Connection;

use super::world::tenant;
use crate::purge::{Deriving, derive};

/// The derived plan without its comments, from the first table on.
fn derived(sql: &str) -> String {
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch(&format!("CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT); CREATE TABLE clubs (id INTEGER PRIMARY KEY);{sql}"))
        .unwrap();
    let text = derive(&c, &Deriving { subject: "people", account: None, tenant: Some(&tenant("acme")) }).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.skip_while(|line| *line != "[[table]]").map(|line| format!("{line}\n")).collect()
}

#[test]
fn rows_of_a_join_table_go_with_what_they_join_and_with_nothing_else() {
    let members = |invited: &str| {
        derived(&format!(
            "CREATE TABLE members (person INTEGER NOT NULL REFERENCES people, club INTEGER NOT NULL REFERENCES clubs, invited_by INTEGER {invited}, PRIMARY KEY (person, club))"
        ))
    };
    let edge = |column: &str, action: &str| {
        format!("    {{ columns = [\"{column}\"], parent = \"people\", parent_columns = [\"id\"]{action} }},\n")
    };
    let table = "[[table]]\nname = \"members\"\naction = ";
    assert_eq!(members(""), format!("{table}\"delete\"\nedges = [\n{}]\n", edge("person", "")));
    let set_null = format!("{table}\"delete\"\nedges = [\n{}{}]\n", edge("invited_by", ", action = \"detach\""), edge("person", ""));
    assert_eq!(members("REFERENCES people ON DELETE SET NULL"), set_null);
    // Whose membership is it, that someone else invited? The schema does not say.
    let open = members("REFERENCES people");
    assert!(open.starts_with(&format!("{table}\"CHOOSE: delete | overwrite\"\n")), "{open}");
}

#[test]
fn addresses_are_seen_in_columns_of_any_declared_type_and_at_the_end_of_a_long_log() {
    let sql = "CREATE TABLE log (line EMAIL); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
        INSERT INTO log SELECT 'line ' || i FROM n; INSERT INTO log VALUES ('ann@x.example');
        CREATE TABLE odd (a NUMERIC, b BLOB, c DATETIME, d); INSERT INTO odd VALUES ('ann@x.example', 'ann@x.example', 7, 'ann@x.example')";
    let text = derived(sql);
    let columns: Vec<_> = text.split("column = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(columns, ["line", "a", "b", "d"], "{text}");
}
