//! A plan's text: what is wrong with it is told by its line.

use rusqlite::Connection;

use super::words::SUBJECT;
use crate::purge::Plan;

#[test]
fn names_the_line_of_what_is_wrong() {
    let check = |plan: &str, expected: &str| assert_eq!(Plan::parse(&format!("{SUBJECT}{plan}")).unwrap_err().to_string(), expected);
    let edge = "edges = [{ columns = ['p'], parent = 'people', parent_columns = ['id'] }]";
    check(
        "tabel = 1",
        "line 8: unknown field `tabel`, expected one of `table`, `key`, `tenancy`, `address`, `account`, `id`, `names`, `edges`",
    );
    check(
        "[[table]]\nname = 'a'\naction = 'CHOOSE: delete | detach'\n[[table]]\nname = 'b'\naction = 'CHOOSE: keep'",
        "line 10: not chosen yet: write delete | detach\nline 13: not chosen yet: write keep",
    );
    check(
        "[[table]]\nname = 'a'\naction = 'remove'",
        "line 10: unknown variant `remove`, expected one of `delete`, `detach`, `overwrite`, `keep`",
    );
    check("\n[[table]]\nname = 'a'\naction = 'delete'", "line 10: table \"a\" has no edge and no match, so no row of it is reached");
    check(&format!("[[table]]\nname = 'a'\naction = 'keep'\n{edge}"), "line 9: table \"a\" is kept without a reason");
    check(
        &format!("[[table]]\nname = 'a'\naction = 'detach'\n{edge}"),
        "line 9: table \"a\" is detached by one key only: say orphans = \"keep\", or orphans = \"delete\" if its rows are to go",
    );
    check(
        &format!("[[table]]\nname = 'a'\naction = 'overwrite'\n{edge}"),
        "line 9: table \"a\": action = \"overwrite\" and [[table.set]] go together",
    );
    let detached = edge.replace(" }]", ", action = 'detach' }]");
    check(
        &format!("[[table]]\nname = 'a'\naction = 'overwrite'\n{detached}\nset = [{{ column = 'P', to = {{ number = 0 }} }}]"),
        "line 9: column \"p\" of \"a\" is in a reference that is detached, so it cannot be overwritten as well",
    );
    check(
        "[[table]]\nname = 'a'\naction = 'delete'\nmatch = [{ column = 'm' }]",
        "line 9: table \"a\" is reached by address: name its tenant column, so that no other tenant's rows go",
    );
    check(
        "edges = [{ columns = ['boss'], parent = 'people', parent_columns = ['id'], action = 'delete' }]",
        "line 1: \"boss\" would delete people who were not named: references of subjects and accounts can only be detached",
    );
    check(
        &format!("[[table]]\nname = 'a'\naction = 'delete'\n{edge}\n[[table]]\nname = 'A'\naction = 'delete'\n{edge}"),
        "line 13: table \"A\" stands twice",
    );
}

#[test]
fn a_place_in_json_is_one_that_sqlite_can_read() {
    let plan = |path: &str| {
        format!("{SUBJECT}[[table]]\nname = 'a'\naction = 'delete'\ntenant = 't'\nmatch = [{{ column = 'm', path = '{path}' }}]")
    };
    assert!(Plan::parse(&plan("$.to[*].mail[*]")).is_ok());
    let set = plan("$.to").replace("'delete'", "'overwrite'\nset = [{ column = 'm', path = '$.to[*]', to = 'null' }]");
    let told = Plan::parse(&set).unwrap_err().to_string();
    assert!(told.starts_with("line 9: \"$.to[*]\" is no JSON path to write to: write $.name, $.list for a whole list"), "{told}");
    for path in ["$", "$.to", "$.to[0].mail", "$[12][#-1]", "$.\"a.b [c\".d", "$.ä"] {
        assert!(Plan::parse(&plan(path)).is_ok(), "{path}");
        let read = Connection::open_in_memory().unwrap().query_row("SELECT json_extract('{}', ?1)", [path], |_| Ok(()));
        assert_eq!(read, Ok(()), "{path}");
    }
    for path in ["to", "$to", "$.", "$..a", "$.to[**]", "$.to[", "$.to[-1]", "$.to[#+1]", "$.to[]", "$.to[0]a", "$.\"a"] {
        let told = Plan::parse(&plan(path)).unwrap_err().to_string();
        assert!(told.starts_with(&format!("line 9: \"{path}\" is no JSON path")), "{path}: {told}");
    }
}

#[test]
fn one_place_of_a_list_is_written_over_only_where_it_is_what_was_found() {
    let told = |found: &str, set: &str| {
        let matches = format!("tenant = 't'\nmatch = [{{ column = 'm', path = '{found}' }}]");
        let plan = format!(
            "{SUBJECT}[[table]]\nname = 'a'\naction = 'overwrite'\n{matches}\nset = [{{ column = 'M', path = '{set}', to = 'null' }}]"
        );
        Plan::parse(&plan).err().map(|faults| faults.to_string()).unwrap_or_default()
    };
    for (found, set) in [("$.to[*]", "$.to[0]"), ("$.to", "$.to[0]"), ("$.to[*].mail", "$.to[0].mail"), ("$.to[10]", "$.to[1]")] {
        let refused = format!(
            "line 9: \"{set}\" writes to one place of a list in \"a\".\"m\", and \"{found}\" finds addresses elsewhere, so that somebody \
             else's would be written over; set the whole list, or match only where it writes"
        );
        assert_eq!(told(found, set), refused);
    }
    for (found, set) in [
        ("$.to[*]", "$.to"),
        ("$.to[*]", "$.note"),
        ("$.to[*]", "$.\"a[b\""),
        ("$.to[0]", "$.to[0]"),
        ("$.to[0].mail", "$.to[0]"),
        ("$.to[0].mail", "$.to[0].name"),
    ] {
        assert_eq!(told(found, set), "", "{found} {set}");
    }
}
