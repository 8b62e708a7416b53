//! Values that a plan writes and that cannot stand where it writes them.

use super::misfits::{EDGE, found, misfit};
use super::words::world;
use super::world::{at, rows};
use crate::domain::Settings;
use crate::purge::FindingKind;
use crate::purge::PurgeError;

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
fn a_stand_in_of_a_key_of_several_columns_must_be_there_for_each_tenant() {
    let sql = "CREATE TABLE staff (team TEXT, no INTEGER, person INTEGER REFERENCES people, PRIMARY KEY (team, no));
        CREATE TABLE bills (id INTEGER PRIMARY KEY, team TEXT, payer INTEGER, FOREIGN KEY (team, payer) REFERENCES staff);
        CREATE INDEX p ON staff (person); CREATE INDEX b ON bills (team, payer);
        INSERT INTO staff VALUES ('t', 0, NULL), ('t', 1, 1); INSERT INTO bills VALUES (1, 't', 1), (2, NULL, 4);";
    let plan = |to: &str| {
        format!(
            "[[table]]\nname = 'staff'\naction = 'delete'\n{EDGE}\n[[table]]\nname = 'bills'\naction = 'overwrite'\nset = [{{ column = 'payer', to = {to} }}]
             edges = [{{ columns = ['team', 'payer'], parent = 'staff', parent_columns = ['team', 'no'] }}]"
        )
    };
    let told = |more: &str| found(&format!("{sql}{more}"), &plan("{ number = 0 }")).pop().map(|found| format!("{}; {}", found.1, found.2));
    assert_eq!(told(""), None);
    let missing = "\"bills\".\"payer\" would be overwritten with a value that \"staff\" has not beside each \"team\": such rows would refer to \
        nobody; add the stand-in's row for each \"team\"";
    assert_eq!(told("INSERT INTO bills VALUES (3, 'u', 1)").as_deref(), Some(missing));
    assert!(misfit(sql, &plan("'hash'")).contains("would be overwritten with a hash, but it refers to \"staff\""));
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

#[test]
fn a_fixed_value_in_a_unique_index_of_some_rows_or_of_an_expression_is_told() {
    let told = |index: &str, set: &str, accepted: &str| {
        let sql = format!(
            "CREATE TABLE fans (n INTEGER PRIMARY KEY, person INTEGER, Nick TEXT, born INTEGER);
            CREATE INDEX fans_person ON fans (person); CREATE UNIQUE INDEX nick_once ON fans {index}"
        );
        let plan = format!("[[table]]\nname = 'fans'\naction = 'overwrite'\nset = [{set}]\n{EDGE}\n[accepted]\ncolumns = [{accepted}]");
        found(&sql, &plan)
    };
    let gone = "{ column = 'nick', to = { text = 'gone' } }";
    for index in ["(nick) WHERE born > 0", "(nick COLLATE NOCASE)", "(lower(nick))", "(born, trim(nick))"] {
        let one = &told(index, gone, "")[..];
        let [(FindingKind::Undecided, what, mend)] = one else { panic!("{index}: {one:?}") };
        assert!(what.starts_with("\"fans\" has the unique index \"nick_once\""), "{what}");
        assert!(mend.ends_with("name \"fans.Nick\" in accepted.columns"), "{mend}");
        assert_eq!(told(index, gone, "'fans.nick'"), []);
        assert_eq!(told(index, "{ column = 'nick', to = 'hash' }", ""), []);
    }
    assert_eq!(told("(born) WHERE nick <> ''", gone, ""), []);
    assert_eq!(told("(born, lower(nick))", &format!("{gone}, {{ column = 'born', to = 'null' }}"), ""), []);
}

#[test]
fn a_value_that_is_lost_is_told_where_a_unique_index_of_some_rows_or_of_an_expression_does_not_keep_nulls_apart() {
    let told = |index: &str, action: &str, accepted: &str| {
        let sql = format!(
            "CREATE TABLE fans (n INTEGER PRIMARY KEY, person INTEGER, nick TEXT, other_person TEXT, personal TEXT);
            CREATE INDEX fans_person ON fans (person); CREATE UNIQUE INDEX nick_once ON fans {index}"
        );
        found(&sql, &format!("[[table]]\nname = 'fans'\n{action}\n{EDGE}\n[accepted]\ncolumns = [{accepted}]"))
    };
    let off = "action = 'detach'\norphans = 'keep'";
    for action in [off, "action = 'overwrite'\nset = [{ column = 'person', to = 'null' }]"] {
        for index in [
            "(nick, coalesce(person, 0))",
            "(nick) WHERE person IS NULL",
            "(nick) WHERE \"Person\" IS NOT NULL OR nick > ''",
            "(nick) WHERE NOT (person IS NOT NULL)",
            "(nick) WHERE nick > '' AND NOT person NOTNULL",
            "(nick) WHERE (person IS NOT NULL) = (nick > '')",
            "(nick) WHERE iif(person IS NOT NULL, 1, 1)",
            "(nick) WHERE nick BETWEEN 0 AND person IS NOT NULL",
            "(coalesce(person, 'where person is not null'), nick)",
        ] {
            let one = &told(index, action, "")[..];
            let [(FindingKind::Undecided, what, mend)] = one else { panic!("{index}: {one:?}") };
            assert!(
                what.starts_with("\"fans\" has the unique index \"nick_once\"") && what.contains("\"person\" is set to null"),
                "{what}"
            );
            assert!(mend.ends_with("name \"fans.person\" in accepted.columns"), "{mend}");
            assert_eq!(told(index, action, "'fans.person'"), []);
        }
        for index in [
            "(person) WHERE person > 7",
            "(nick, person)",
            "(nick) WHERE \"person\" IS NOT NULL",
            "(nick) WHERE person NOT NULL",
            "(nick) WHERE(person IS NOT NULL)",
            "(nick) WHERE nick > '' AND ((nick < 'z') AND (person /* who */ NOTNULL))",
            "(lower(other_person)) WHERE personal > ''",
            "(lower(nick))",
        ] {
            assert_eq!(told(index, action, ""), [], "{index}");
        }
    }
}

#[test]
fn what_is_written_over_fits_the_type_that_a_strict_table_asks_for() {
    let told = |strict: &str, declared: &str, to: &str| {
        let sql =
            format!("CREATE TABLE fans (n INTEGER PRIMARY KEY, person INTEGER, x {declared}) {strict}; CREATE INDEX f ON fans (person)");
        let plan = format!("[[table]]\nname = 'fans'\naction = 'overwrite'\nset = [{{ column = 'x', to = {to} }}]\n{EDGE}");
        misfit(&sql, &plan)
    };
    let mend = "write \"null\" there or a value of its type, or delete these rows";
    let (gone, seven, number) = ("{ text = 'gone' }", "{ text = '7' }", "{ number = 7 }");
    for (declared, to) in [("INT", gone), ("REAL", gone), ("BLOB", gone), ("BLOB", number)] {
        let wrong = format!("\"fans\".\"x\" is {declared} and cannot hold what the plan writes there");
        assert_eq!(told("STRICT", declared, to), format!("{wrong}; {mend}"), "{to}");
        assert_eq!(told("", declared, to), "", "{declared}, {to}");
    }
    for (declared, to) in [("INT", seven), ("REAL", "{ text = '7.5' }"), ("TEXT", number), ("ANY", gone), ("INTEGER", "'null'")] {
        assert_eq!(told("STRICT", declared, to), "", "{declared}, {to}");
    }
    let wrong = "\"fans\".\"x\" is INTEGER and cannot hold a hash, which is a text";
    assert_eq!(told("STRICT", "INTEGER", "'hash'"), format!("{wrong}; {mend}"));
}

#[test]
fn a_hash_in_a_key_of_which_another_column_is_null_refers_to_nobody() {
    let sql = "CREATE TABLE staff (team TEXT, no TEXT, PRIMARY KEY (team, no));
        CREATE TABLE fans (n INTEGER PRIMARY KEY, person INTEGER, team TEXT, no TEXT, FOREIGN KEY (team, no) REFERENCES staff);
        CREATE INDEX f ON fans (person)";
    let told = |more: &str| {
        misfit(sql, &format!("[[table]]\nname = 'fans'\naction = 'overwrite'\nset = [{{ column = 'no', to = 'hash' }}{more}]\n{EDGE}"))
    };
    assert_eq!(told(""), "\"fans\".\"no\" would be overwritten with a hash, but it refers to \"staff\"");
    assert_eq!(told(", { column = 'team', to = 'null' }"), "");
}

/// A constraint's own conflict clause: REPLACE deletes the row in the way, IGNORE leaves ours as it is.
#[test]
fn no_row_is_taken_or_left_by_a_conflict_clause_of_the_schemas_own() {
    let edge = "edges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]";
    let over = format!("[[table]]\nname = 'fans'\naction = 'overwrite'\nset = [{{ column = 'nick', to = {{ text = 'gone' }} }}]\n{edge}");
    let json = over.replace("column = 'nick'", "column = 'body', path = '$.n'");
    let off = format!("[[table]]\nname = 'fans'\naction = 'detach'\norphans = 'keep'\n{edge}");
    for (plan, unique) in [(&over, "nick, shop"), (&json, "body"), (&off, "made")] {
        for clause in ["REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK"] {
            let sql = format!(
                "CREATE TABLE fans (n INTEGER PRIMARY KEY, person INTEGER, nick TEXT, body TEXT, shop TEXT DEFAULT 'x', made TEXT AS (coalesce(person, 0) || 's') STORED,
                    UNIQUE ({unique}) ON CONFLICT {clause});
                INSERT INTO fans (n, person, nick, body) VALUES (1, 1, 'one', '{{\"n\":\"one\"}}'), (2, 0, 'gone', '{{\"n\":\"gone\"}}');"
            );
            let plan = format!("{plan}\n[accepted]\ncolumns = ['fans.nick']");
            let world = world(&sql, &plan);
            let import = world.begin(&world.matched(&rows(&["one@x.example"]), Settings::default()));
            let before = world.dump("*");
            let came = world.engine.chunk(&mut world.open(), import, 10, at(1));
            assert!(matches!(&came, Err(PurgeError::Forbidden { table, .. }) if table == "fans"), "{unique} {clause}: {came:?}");
            assert_eq!(world.dump("*"), before, "{unique} {clause}");
        }
    }
    let sql =
        "CREATE TABLE fans (n INTEGER PRIMARY KEY, person INTEGER, nick TEXT, no TEXT UNIQUE /* quiet */ ON CONFLICT -- here\n IGNORE);
        CREATE INDEX f ON fans (person); CREATE TRIGGER watch AFTER UPDATE ON fans BEGIN SELECT 1; END;";
    let plan = format!("[[table]]\nname = 'fans'\naction = 'overwrite'\nset = [{{ column = 'nick', to = 'null' }}]\n{EDGE}");
    let told = misfit(sql, &format!("{plan}\n[accepted]\ntriggers = ['watch']"));
    assert!(told.starts_with("\"fans\" has a constraint with ON CONFLICT REPLACE or IGNORE"), "{told}");
    assert_eq!(misfit(&sql.replace("IGNORE", "FAIL"), &format!("{plan}\n[accepted]\ntriggers = ['watch']")), "");
}
