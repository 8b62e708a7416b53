//! Values that a plan writes and that cannot stand where it writes them.

use super::misfits::{EDGE, found, misfit};
use crate::purge::FindingKind;

#[test]
fn a_stand_in_must_be_there_and_a_hash_refers_to_nobody() {
    let told = |to: &str| {
        let plan = format!(
            "[[table]]\nname = 'bills'\naction = 'overwrite'\nedges = [{{ columns = ['person'], parent = 'people', parent_columns = ['id'] }}]
            set = [{{ column = 'person', to = {to} }}]"
        );
        misfit("CREATE TABLE bills (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people)", &plan)
    };
    assert_eq!(told("{ number = 0 }"), "");
    assert_eq!(told("'null'"), "");
    let missing = "\"bills\".\"person\" would be overwritten with a value that no row of \"people\" has: add the stand-in's row";
    assert_eq!(told("{ number = 7 }"), missing);
    assert_eq!(told("{ text = 'gone' }"), missing);
    assert_eq!(told("'hash'"), "\"bills\".\"person\" would be overwritten with a hash, but it refers to \"people\"");
}

#[test]
fn a_fixed_value_cannot_stand_in_what_is_unique() {
    let sql = "CREATE TABLE cards (n INTEGER PRIMARY KEY, person INTEGER, nick TEXT UNIQUE, no TEXT, UNIQUE (person, no)); CREATE INDEX p ON cards (person)";
    let plan = |set: &str| {
        format!(
            "[[table]]\nname = 'cards'\naction = 'overwrite'\nset = [{set}]
             edges = [{{ columns = ['person'], parent = 'people', parent_columns = ['id'] }}]"
        )
    };
    let told = misfit(sql, &plan("{ column = 'nick', to = { text = 'gone' } }"));
    assert!(told.starts_with("\"cards\" has \"nick\" unique, and would have the same value there"), "{told}");
    for set in ["{ column = 'nick', to = 'hash' }", "{ column = 'nick', to = 'null' }", "{ column = 'no', to = { text = 'gone' } }"] {
        assert_eq!(misfit(sql, &plan(set)), "", "{set}");
    }
}

#[test]
fn a_fixed_value_in_a_part_of_what_is_unique_is_told_unless_the_rest_keeps_rows_apart() {
    let told = |unique: &str, set: &str, accepted: &str| {
        let sql = format!("CREATE TABLE votes (n INTEGER PRIMARY KEY, person INTEGER REFERENCES people, post INTEGER, {unique})");
        let (action, set) = ("action = 'overwrite'", format!("set = [{{ column = 'person', to = {{ number = 0 }} }}{set}]"));
        let told = found(&sql, &format!("[[table]]\nname = 'votes'\n{action}\n{set}\n{EDGE}\n[accepted]\ncolumns = [{accepted}]"));
        assert!(told.iter().all(|found| found.0 == FindingKind::Undecided), "{told:?}");
        told.into_iter().map(|found| format!("{}; {}", found.1, found.2)).collect::<Vec<_>>()
    };
    let both = "UNIQUE (person, post)";
    let one = "\"votes\" has \"person\", \"post\" unique together, and would have the same \"person\" in each row that is overwritten: an \
        import fails when two of them have the same \"post\"; delete these rows, or write \"null\" there; if no two rows can have the same \
        \"post\", name \"votes.person\" in accepted.columns";
    assert_eq!(told(both, "", ""), [one]);
    assert_eq!(told(both, ", { column = 'post', to = 'hash' }", ""), [one]);
    assert_eq!(told(both, "", "'votes.person'"), Vec::<String>::new());
    assert_eq!(told(both, ", { column = 'post', to = 'null' }", ""), Vec::<String>::new());
    for unique in ["UNIQUE (person, n)", "UNIQUE (post), UNIQUE (person, post)"] {
        assert_eq!(told(unique, "", ""), Vec::<String>::new(), "{unique}");
    }
}
