//! Names that a plan, a trigger and a schema spell in different cases: SQLite takes them for one, and so does the engine.

use super::misfits::{EDGE, found};
use super::words::purged;
use crate::purge::{FindingKind, Plan};

const NOTES: &str = "CREATE TABLE Notes (id INTEGER PRIMARY KEY, Person INTEGER REFERENCES People (ID), by INTEGER);
    CREATE TABLE lines (n INTEGER PRIMARY KEY, note INTEGER); CREATE INDEX p ON notes (person); CREATE INDEX b ON notes (by);
    INSERT INTO notes VALUES (1, 1, 2), (2, 2, 1), (3, 5, 1), (4, NULL, 5); INSERT INTO lines VALUES (1, 1), (2, 2), (3, 3), (4, 4);";

fn plan(spell: impl Fn(&str) -> String) -> String {
    let [people, id, notes, person, by] = ["people", "id", "notes", "person", "by"].map(spell);
    format!(
        "[[table]]\nname = 'lines'\naction = 'delete'\nedges = [{{ columns = ['NOTE'], parent = '{notes}', parent_columns = ['{id}'] }}]
         [[table]]\nname = 'Notes'\naction = 'detach'
         edges = [{{ columns = ['{person}'], parent = 'PEOPLE', parent_columns = ['{id}'] }},
                  {{ columns = ['{by}'], parent = '{people}', parent_columns = ['ID'] }}]"
    )
}

#[test]
fn a_plan_means_the_same_however_it_spells_its_names() {
    for spell in [str::to_ascii_lowercase, str::to_ascii_uppercase] {
        let (plan, files) = (plan(spell), ["one@x.example", "two@x.example"]);
        assert_eq!(purged(NOTES, &plan, &files, "Notes"), "removed 2\ndetached 1\nNotes|3|5|\nNotes|4||5\n");
        assert_eq!(purged(NOTES, &plan, &files, "lines"), "removed 2\nlines|3|3\nlines|4|4\n");
    }
}

#[test]
fn a_plan_spells_each_name_in_one_way() {
    let subject = "[subject]\ntable = 'People'\nkey = 'Id'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }\n";
    let texts = [str::to_ascii_lowercase, str::to_ascii_uppercase].map(|spell| Plan::parse(&format!("{subject}{}", plan(spell))).unwrap());
    let edges = |plan: &Plan| plan.edges().map(|edge| (edge.parent.clone(), edge.parent_columns.clone())).collect::<Vec<_>>();
    let [lower, upper] = texts;
    assert_eq!(edges(&lower), [("Notes", "id"), ("People", "Id"), ("People", "Id")].map(|(t, c)| (t.to_owned(), vec![c.to_owned()])));
    assert_eq!(edges(&upper)[1..], edges(&lower)[1..]);
}

#[test]
fn a_trigger_and_a_key_are_told_however_they_spell_the_table() {
    let sql = |table: &str, rule: &str| {
        format!(
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people); CREATE INDEX n ON notes (person);
            CREATE TABLE {table} (id INTEGER PRIMARY KEY, note INTEGER REFERENCES {rule});
            CREATE TRIGGER watch AFTER DELETE ON {rule} BEGIN SELECT 1; END;
            CREATE TRIGGER watch_people AFTER DELETE ON PEOPLE BEGIN SELECT 1; END;"
        )
    };
    for (schema, rule) in [("notes", "notes"), ("NOTES", "notes"), ("Notes", "NOTES")] {
        let told = found(&sql("lines", schema), &format!("[[table]]\nname = '{rule}'\naction = 'delete'\n{EDGE}"));
        let told: Vec<_> = told.into_iter().filter(|found| found.0 == FindingKind::Misfit).map(|found| found.1).collect();
        let ends: Vec<_> = ["and the plan has no rule for it", "fires when rows go or change", "fires when rows go or change"].into();
        assert!(told.len() == 3 && std::iter::zip(&told, ends).all(|(told, end)| told.ends_with(end)), "{schema}, {rule}: {told:?}");
    }
}

#[test]
fn an_address_column_that_was_renamed_is_told_beside_the_one_that_holds_addresses_by_now() {
    let told = found("ALTER TABLE people RENAME COLUMN mail TO email", "");
    let [(FindingKind::Misfit, missing, _), (FindingKind::Undecided, other, _)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(missing, "table \"people\" has no column \"mail\"");
    assert!(other.starts_with("\"people\".\"email\" holds addresses of people (1 of "), "{other}");
}
