//! What a derived plan says by itself, and what it leaves to a person.

use rusqlite::Connection;

use super::world::tenant;
use crate::purge::{Deriving, Plan, derive};

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
fn a_join_table_may_have_a_key_of_its_own_where_it_has_nothing_else() {
    let members = |columns: &str| {
        let text = derived(&format!(
            "CREATE TABLE members (id INTEGER PRIMARY KEY AUTOINCREMENT, person INTEGER NOT NULL REFERENCES people, club INTEGER NOT NULL REFERENCES clubs{columns})"
        ));
        text.lines().find(|line| line.starts_with("action")).unwrap().to_owned()
    };
    assert_eq!(members(", UNIQUE (club, person)"), "action = \"delete\"");
    let open = "action = \"CHOOSE: delete | overwrite\"";
    for content in [
        ", words TEXT, UNIQUE (club, person)",
        "",
        ", invited_by INTEGER REFERENCES people, UNIQUE (club, person)",
        // Each club's founder, whoever it was.
        ", UNIQUE (club)",
        // One to one with what both columns name.
        ", UNIQUE (club, person), FOREIGN KEY (club, person) REFERENCES seats); CREATE TABLE seats (club INTEGER, person INTEGER, PRIMARY KEY (club, person)",
    ] {
        assert_eq!(members(content), open, "{content}");
    }
}

#[test]
fn a_unique_column_that_may_be_null_is_the_key_where_there_is_no_other_and_each_row_has_it() {
    let key = |sql: &str| {
        let c = Connection::open_in_memory().unwrap();
        c.execute_batch(&format!("CREATE TABLE users (name TEXT UNIQUE, mail TEXT UNIQUE, born TEXT); {sql}")).unwrap();
        derive(&c, &Deriving { subject: "users", account: None, tenant: None })
    };
    let ann = "INSERT INTO users VALUES ('ann', 'ann@x.example', NULL);";
    let text = key(ann).unwrap();
    assert!(text.contains("\nkey = \"name\"\n"), "{text}");
    assert!(
        text.contains("# \"name\" may be null: while it is so in a row, nothing names that person, and the plan does not fit.\n"),
        "{text}"
    );
    let text = key(&format!("{ann} INSERT INTO users VALUES (NULL, 'bob@x.example', NULL)")).unwrap();
    assert!(text.contains("\nkey = \"mail\"\n"), "{text}");
    let none = key(&format!("{ann} INSERT INTO users VALUES (NULL, NULL, NULL)")).unwrap_err().to_string();
    assert_eq!(none, "\"users\" has no column that names a row by itself: unique, and null in no row");
}

#[test]
fn a_primary_key_that_is_null_in_some_row_is_no_key_beside_one_that_each_row_has() {
    let key = |sql: &str| {
        let c = Connection::open_in_memory().unwrap();
        c.execute_batch(&format!("CREATE TABLE users (id TEXT PRIMARY KEY, uuid TEXT NOT NULL UNIQUE); INSERT INTO users VALUES {sql}"))
            .unwrap();
        let text = derive(&c, &Deriving { subject: "users", account: None, tenant: None }).unwrap();
        text.lines().find(|line| line.starts_with("key = ")).unwrap().to_owned()
    };
    assert_eq!(key("('a', 'x')"), "key = \"id\"");
    assert_eq!(key("('a', 'x'), (NULL, 'y')"), "key = \"uuid\"");
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

#[test]
fn a_column_that_is_named_after_a_table_and_its_key_is_a_choice_and_reaches_further() {
    let text = derived(
        "INSERT INTO people VALUES (1, NULL), (2, NULL); INSERT INTO clubs VALUES (1);
        CREATE TABLE posts (id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, club_id INTEGER); INSERT INTO posts VALUES (7, 1, 1), (8, 9, 1);
        CREATE TABLE replies (id INTEGER PRIMARY KEY, post_id INTEGER, author INTEGER); INSERT INTO replies VALUES (1, 7, 2), (2, 7, 0);
        CREATE TABLE bills (id INTEGER PRIMARY KEY, bank_person_id INTEGER, created_by TEXT); INSERT INTO bills VALUES (1, 77, 'Ann'), (2, 78, 'Bob')",
    );
    let edge =
        |column: &str, parent: &str| format!("    {{ columns = [\"{column}\"], parent = \"{parent}\", parent_columns = [\"id\"] }},\n");
    let posts = format!(
        "[[table]]\nname = \"posts\"\naction = \"CHOOSE: delete | overwrite | keep\"\nedges = [\n{}]\n",
        edge("person_id", "people")
    );
    let replies = format!(
        "[[table]]\nname = \"replies\"\naction = \"CHOOSE: delete | detach | overwrite | keep\"\nedges = [\n{}]\n",
        edge("post_id", "posts")
    );
    assert_eq!(text, format!("{posts}{replies}"));
}

#[test]
fn a_column_that_says_yes_or_no_is_no_key_whatever_it_is_called() {
    let told = |declared: &str| {
        let sql = "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT); INSERT INTO people VALUES (1, NULL), (2, NULL);";
        told(
            &format!("{sql} CREATE TABLE pages (id INTEGER PRIMARY KEY, for_person {declared}); INSERT INTO pages VALUES (1, 0), (2, 1)"),
            "people",
        )
    };
    assert!(told("INTEGER").contains("\"pages\" (for_person) looks like a key to \"people\""));
    for declared in ["BOOLEAN", "bool", "tinyint(1)"] {
        assert!(!told(declared).contains("for_person"), "{declared}");
    }
}

#[test]
fn a_generated_column_is_no_reference_that_can_be_set_to_null() {
    let text = derived(
        "INSERT INTO people VALUES (1, NULL); CREATE TABLE files (id INTEGER PRIMARY KEY, of_id INTEGER, of_type TEXT,
            person_id INTEGER AS (CASE of_type WHEN 'Person' THEN of_id END));
        INSERT INTO files VALUES (1, 1, 'Person')",
    );
    assert!(text.starts_with("[[table]]\nname = \"files\"\naction = \"CHOOSE: delete | overwrite | keep\"\n"), "{text}");
}

#[test]
fn a_key_that_is_declared_twice_is_one_and_a_choice_where_the_two_differ() {
    let orders = |keys: &str| derived(&format!("CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER {keys})"));
    let edges = "edges = [\n    { columns = [\"person\"], parent = \"people\", parent_columns = [\"id\"] },\n]\n";
    let open = format!("[[table]]\nname = \"orders\"\naction = \"CHOOSE: delete | detach | overwrite\"\n{edges}");
    assert_eq!(orders("REFERENCES people (id) ON DELETE CASCADE REFERENCES people (id) ON DELETE SET NULL"), open);
    let goes = format!("[[table]]\nname = \"orders\"\naction = \"delete\"\n{edges}");
    assert_eq!(orders("REFERENCES people ON DELETE CASCADE REFERENCES People (id) ON DELETE CASCADE"), goes);
}

#[test]
fn a_key_that_sqlite_cannot_follow_is_told_and_gets_no_edge() {
    for (columns, key) in [
        ("u INTEGER, v INTEGER, FOREIGN KEY (u, v) REFERENCES people", "(u, v) has a key to \"people\" (id)"),
        ("u INTEGER REFERENCES people (nope)", "(u) has a key to \"people\" (nope)"),
        ("u INTEGER REFERENCES people (rowid)", "(u) has a key to \"people\" (rowid)"),
        ("u INTEGER REFERENCES people (mail)", "(u) has a key to \"people\" (mail)"),
    ] {
        let sql = format!("CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT); CREATE TABLE o (id INTEGER PRIMARY KEY, {columns});");
        let told = told(&sql, "people");
        assert!(told.contains(&format!("\"o\" {key}")) && told.contains("SQLite cannot follow it"), "{told}");
        assert_eq!(derived(&sql.replace("CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT);", "")), "", "{columns}");
    }
}

#[test]
fn parts_of_a_virtual_table_whose_module_only_the_application_has_are_told_as_such() {
    let told = |virtual_table: &str| {
        let sql = format!(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, mail TEXT); INSERT INTO users VALUES (1, 'ann@x.example');
             CREATE TABLE Emb_rowids (id INTEGER PRIMARY KEY, user_id INTEGER); INSERT INTO Emb_rowids VALUES (1, 1);
             CREATE TABLE emb_texts (t TEXT); INSERT INTO emb_texts VALUES ('ann@x.example');
             CREATE TABLE embers (user_id INTEGER); INSERT INTO embers VALUES (1); {virtual_table}"
        );
        told(&sql, "users").matches("it is a part of virtual table \"emb\", whose module only the application has").count()
    };
    let stranger = "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql)
        VALUES ('table', 'emb', 'emb', 0, 'CREATE VIRTUAL TABLE emb USING vec0(e float[4])'); PRAGMA writable_schema = RESET";
    assert_eq!([told(stranger), told("CREATE VIRTUAL TABLE emb USING fts5(t)"), told("")], [2, 0, 0]);
}

#[test]
fn a_line_break_in_a_name_ends_no_comment() {
    let c = Connection::open_in_memory().unwrap();
    let sql = "CREATE TABLE \"us\ners\" (id INTEGER PRIMARY KEY, mail TEXT);
        CREATE TABLE \"o\n[accepted]\ntriggers = ['t']\n#\" (id INTEGER PRIMARY KEY, \"u\r\n\" INTEGER REFERENCES \"us\ners\" (id) ON DELETE CASCADE);
        CREATE TRIGGER t AFTER DELETE ON \"us\ners\" BEGIN SELECT 1; END";
    c.execute_batch(sql).unwrap();
    let text = derive(&c, &Deriving { subject: "us\ners", account: None, tenant: Some(&tenant("acme")) }).unwrap();
    let plan = Plan::parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    assert_eq!((plan.subject.table.as_str(), plan.rules.len()), ("us\ners", 1), "{text}");
    assert!(plan.accepted.triggers.is_empty(), "{text}");
}

#[test]
fn rows_are_looked_at_once_at_both_ends_of_a_table() {
    let people = "CREATE TABLE users (id INTEGER PRIMARY KEY, mail TEXT); INSERT INTO users VALUES (1, 'ann@x.example');";
    let list = |rows: u32, mail: u32| {
        let list = format!(
            "CREATE TABLE list (n INTEGER PRIMARY KEY, line TEXT); CREATE INDEX l ON list (line);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO list SELECT i, iif(i = {mail}, 'z@x.example', 'a' || i) FROM n;"
        );
        told(&format!("{people}{list}"), "users")
    };
    for (rows, mail, looked_at) in [(1, 1, 1), (40, 3, 40), (1_100, 50, 1_100), (1_100, 1_050, 1_100), (5_000, 4_500, 2_000)] {
        let told = list(rows, mail);
        assert!(told.contains(&format!("(1 of {looked_at} rows looked at)")), "{rows} {told}");
    }
}

#[test]
fn a_persons_own_reference_to_one_table_or_another_is_left_to_the_application() {
    let sql = "CREATE TABLE users (id INTEGER PRIMARY KEY, mail TEXT, invited_by_id INTEGER, invited_by_type TEXT);
        INSERT INTO users VALUES (1, 'ann@x.example', NULL, NULL), (2, 'bob@x.example', 1, 'User');";
    let made = "ALTER TABLE users ADD COLUMN invited_by_id_user_id INTEGER AS (CASE invited_by_type WHEN 'User' THEN invited_by_id END);";
    for sql in [sql.to_owned(), format!("{sql}{made}")] {
        let told = told(&sql, "users");
        assert!(told.contains("No plan sets it to null: have the application clear it") && !told.contains("derive again"), "{told}");
    }
}

/// The derived plan's comments.
fn told(sql: &str, subject: &str) -> String {
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch(sql).unwrap();
    let text = derive(&c, &Deriving { subject, account: None, tenant: Some(&tenant("acme")) }).unwrap();
    text.lines().filter(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_the_words_mean_is_said_once_and_only_of_those_that_are_left_to_choose_from() {
    let words = |keys: &str| {
        let sql = format!(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT);
             CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER NOT NULL REFERENCES people {keys});
             CREATE TABLE lines (id INTEGER PRIMARY KEY, person INTEGER NOT NULL REFERENCES people {keys});"
        );
        let told = told(&sql, "people");
        let words = told.lines().filter_map(|line| line.strip_prefix("#   \"")?.split_once("\": they "));
        words.map(|(word, _)| word.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(words(""), ["delete", "overwrite"]);
    assert!(words("ON DELETE CASCADE").is_empty());
}

#[test]
fn a_match_is_offered_of_columns_where_it_finds_an_address_and_not_of_those_that_hold_more() {
    let told = told(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT);
         CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people, mail TEXT, copy TEXT, words TEXT);
         INSERT INTO notes VALUES (1, NULL, 'ann@x.example', 'ann@x.example', 'ask ann@x.example')",
        "people",
    );
    let offered = "# Where these rows stay, so does what looks like addresses in \"mail\", \"copy\", \"words\".\n\
        # With \"delete\" or \"overwrite\", match = [{ column = \"mail\" }, { column = \"copy\" }] takes the rows with an address and without a key.\n";
    assert!(told.contains(offered), "{told}");
}

#[test]
fn a_key_that_nobody_declared_is_told_with_what_was_seen_of_it() {
    let sql = "CREATE TABLE wp_users (ID INTEGER PRIMARY KEY); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO wp_users SELECT i FROM n;
        CREATE TABLE wp_usermeta (umeta_id INTEGER PRIMARY KEY, user_id INTEGER); INSERT INTO wp_usermeta VALUES (1, 2), (2, 2), (3, 500);
        CREATE TABLE versions (id INTEGER PRIMARY KEY, whodunnit TEXT); INSERT INTO versions SELECT ID, ID FROM wp_users WHERE ID <= 20;
        CREATE TABLE notes (id INTEGER PRIMARY KEY, subject_type TEXT, subject_id INTEGER);
        INSERT INTO notes VALUES (1, 'Wp::User', 1), (2, 'Post', 1), (3, 'WpUser', 2);";
    let told = told(sql, "wp_users");
    for line in [
        "# Nobody declared \"user_id\" a key; by its name it is one to \"wp_users\" (1 of 2 values looked at are there). If it is not, take its edge out.",
        "# \"versions\" (whodunnit) looks like a key to \"wp_users\" that nobody declared (20 of 20 values looked at are there), but it compares otherwise (TEXT BINARY, INTEGER BINARY).",
        "#   For an edge, make a column that it can follow, and derive again: ALTER TABLE \"versions\" ADD COLUMN \"whodunnit_wp_user_ID\" INTEGER AS (CAST(\"whodunnit\" AS INTEGER)); CREATE INDEX \"versions_by_whodunnit_wp_user_ID\" ON \"versions\" (\"whodunnit_wp_user_ID\");",
        "# \"notes\" (subject_id) looks like a key to \"wp_users\" that nobody declared (2 of 2 values looked at are there), but it refers there only where \"subject_type\" says so.",
        "ADD COLUMN \"subject_id_wp_user_ID\" INTEGER AS (CASE \"subject_type\" WHEN 'WpUser' THEN \"subject_id\" END);",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    assert!(!told.contains("umeta_id"), "{told}");
    // Done as it says, an edge follows, and nothing more is said.
    let make = told.lines().filter_map(|line| line.split_once("derive again: ")).map(|(_, make)| make).collect::<String>();
    let told = self::told(&format!("{sql}{make}"), "wp_users");
    assert!(told.contains("Nobody declared \"whodunnit_wp_user_ID\" a key") && !told.contains("but it"), "{told}");
}

#[test]
fn a_guess_is_no_edge_beside_declared_keys_and_a_few_small_numbers_are_no_key() {
    let sql = "CREATE TABLE customers (id INTEGER PRIMARY KEY, mail TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) INSERT INTO customers SELECT i, NULL FROM n;
        CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers, created_by INTEGER, approved_by INTEGER, old_customer_id INTEGER);
        INSERT INTO orders SELECT id, id, id, id % 5 + 1, id FROM customers;
        CREATE TABLE settings (id INTEGER PRIMARY KEY, sort_by INTEGER, multiply_by INTEGER, member INTEGER); INSERT INTO settings VALUES (1, 1, 2, 3)";
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch(sql).unwrap();
    let text = derive(&c, &Deriving { subject: "customers", account: None, tenant: Some(&tenant("acme")) }).unwrap();
    let edges: Vec<_> = text.lines().filter(|line| line.contains("parent_columns") && !line.starts_with('#')).collect();
    assert_eq!(edges, ["    { columns = [\"customer_id\"], parent = \"customers\", parent_columns = [\"id\"] },"], "{text}");
    for column in ["created_by", "old_customer_id"] {
        assert!(text.contains(&format!("# \"orders\" ({column}) looks like a key to \"customers\"")), "{column}: {text}");
        let edge = format!("a rule with this edge: {{ columns = [\"{column}\"], parent = \"customers\", parent_columns = [\"id\"] }}\n");
        assert!(text.contains(&edge), "{edge}{text}");
    }
    for column in ["approved_by", "sort_by", "multiply_by", "member"] {
        assert!(!text.contains(column), "{column}: {text}");
    }
}

#[test]
fn the_key_is_the_primary_one_and_an_address_only_where_there_is_no_other() {
    let key = |columns: &str| {
        let c = Connection::open_in_memory().unwrap();
        c.execute_batch(&format!("CREATE TABLE t ({columns}); INSERT INTO t VALUES ('A1', 'ann@x.example', 'u1')")).unwrap();
        let text = derive(&c, &Deriving { subject: "t", account: None, tenant: Some(&tenant("acme")) }).unwrap();
        text.lines().find_map(|line| Some(line.strip_prefix("key = ")?.to_owned())).unwrap()
    };
    assert_eq!(key("code TEXT PRIMARY KEY NOT NULL, mail TEXT NOT NULL UNIQUE, u TEXT"), "\"code\"");
    assert_eq!(key("code TEXT, mail TEXT PRIMARY KEY NOT NULL, u TEXT NOT NULL UNIQUE"), "\"u\"");
    assert_eq!(key("code TEXT, mail TEXT PRIMARY KEY NOT NULL, u TEXT"), "\"mail\"");
}

#[test]
fn whoever_answered_someone_who_goes_keeps_their_row_though_its_other_references_cannot_be_null() {
    let text = derived(
        "CREATE TABLE posts (id INTEGER PRIMARY KEY, person INTEGER NOT NULL REFERENCES people, answers INTEGER REFERENCES posts, checked INTEGER REFERENCES people)",
    );
    let answers = "{ columns = [\"answers\"], parent = \"posts\", parent_columns = [\"id\"], action = \"detach\" }";
    assert!(text.contains("CHOOSE: delete | overwrite") && text.contains(answers), "{text}");
}

#[test]
fn whether_a_row_goes_with_somebody_whom_it_need_not_name_is_a_choice_of_its_own() {
    let profiles = |person: &str, brought_by: &str| {
        derived(&format!(
            "CREATE TABLE profiles (id INTEGER PRIMARY KEY, person INTEGER {person} REFERENCES people, brought_by INTEGER REFERENCES people {brought_by})"
        ))
    };
    let open = "columns = [\"brought_by\"], parent = \"people\", parent_columns = [\"id\"], action = \"CHOOSE: delete | detach\" }";
    let asked = profiles("NOT NULL", "");
    assert!(asked.contains("action = \"CHOOSE: delete | overwrite\"") && asked.contains(open), "{asked}");
    assert_eq!(asked.matches("CHOOSE").count(), 2, "{asked}");
    assert!(Plan::parse(&asked.replace("CHOOSE: delete | overwrite", "delete")).is_err());
    // What the schema says is no choice, and one answer is enough where all may be null.
    assert!(!profiles("NOT NULL", "ON DELETE SET NULL").contains(open));
    assert!(!profiles("", "").contains(open));
    let joined =
        "CREATE TABLE members (person INTEGER NOT NULL REFERENCES people, club INTEGER NOT NULL REFERENCES clubs, brought_by INTEGER";
    let members = |null: &str| derived(&format!("{joined} {null} REFERENCES people, PRIMARY KEY (person, club))"));
    assert!(members("").contains(open) && !members("NOT NULL").contains(open), "{}", members("NOT NULL"));
}

#[test]
fn what_is_told_is_about_planned_tables_and_an_address_with_spaces_around_it_is_one() {
    let sql = "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT); CREATE VIEW v AS SELECT * FROM people; CREATE TABLE other (n);
        CREATE TRIGGER on_view INSTEAD OF DELETE ON v BEGIN SELECT 1; END; CREATE TRIGGER on_other AFTER DELETE ON other BEGIN SELECT 1; END;
        CREATE TRIGGER on_people AFTER DELETE ON people BEGIN SELECT 1; END;
        CREATE TABLE signups (mail TEXT); INSERT INTO signups VALUES (' ann@x.example' || char(10));
        CREATE VIRTUAL TABLE search USING fts5(body);";
    let told = told(sql, "people");
    assert!(told.contains("Trigger \"on_people\"") && !told.contains("on_view") && !told.contains("on_other"), "{told}");
    assert!(told.contains("No key leads here, but \"mail\"") && !told.contains("It holds more than an address"), "{told}");
    assert!(told.contains("INSERT INTO \"search\"(\"search\", rank) VALUES ('secure-delete', 1);"), "{told}");
}

#[test]
fn a_column_that_is_named_after_several_tables_is_taken_for_a_key_to_the_one_that_has_its_values() {
    // As Django names them: a table of people, and one that joins them to something.
    let sql = |points: &str| {
        format!(
            "CREATE TABLE auth_user (id INTEGER PRIMARY KEY, mail TEXT); CREATE TABLE partners (id INTEGER PRIMARY KEY);
             INSERT INTO auth_user VALUES (1, 'ann@x.example'), (2, NULL), (3, NULL);
             CREATE TABLE partners_users (id INTEGER PRIMARY KEY, partner INTEGER REFERENCES partners, auth_user INTEGER REFERENCES auth_user ON DELETE CASCADE);
             INSERT INTO partners_users VALUES (1, NULL, 2); CREATE TABLE points (n INTEGER, user_id INTEGER); {points}"
        )
    };
    let rule = |points: &str| {
        let c = Connection::open_in_memory().unwrap();
        c.execute_batch(&sql(points)).unwrap();
        let text = derive(&c, &Deriving { subject: "auth_user", account: None, tenant: Some(&tenant("acme")) }).unwrap();
        text.split("name = \"points\"").nth(1).map(str::to_owned).unwrap_or_default()
    };
    let edge = "edges = [\n    { columns = [\"user_id\"], parent = \"auth_user\", parent_columns = [\"id\"] },\n]\n";
    for points in ["", "INSERT INTO points VALUES (7, 1), (8, 2), (9, 3)", "INSERT INTO points VALUES (7, 1)"] {
        assert!(rule(points).ends_with(edge), "{points}: {}", rule(points));
    }
    // Somebody is gone, and what referred to them is in the other table by chance.
    let dangling = "INSERT INTO partners_users VALUES (2, NULL, 2), (9, NULL, 3); INSERT INTO points VALUES (7, 1), (8, 2), (9, 9)";
    assert!(rule(dangling).ends_with(edge), "{}", rule(dangling));
}

#[test]
fn a_column_that_is_named_after_what_else_names_a_person_is_taken_for_a_key_to_that() {
    let sessions = |rows: &str| {
        derived(&format!(
            "ALTER TABLE people ADD COLUMN uuid TEXT; CREATE UNIQUE INDEX u ON people (uuid); INSERT INTO people VALUES (1, NULL, 'a-1'), (2, NULL, 'b-2');
            CREATE TABLE sessions (token TEXT PRIMARY KEY, person_uuid TEXT); {rows}"
        ))
    };
    let edge = "{ columns = [\"person_uuid\"], parent = \"people\", parent_columns = [\"uuid\"] }";
    for rows in ["", "INSERT INTO sessions VALUES ('t', 'b-2'), ('u', 'gone')"] {
        assert!(sessions(rows).contains(edge), "{rows}: {}", sessions(rows));
    }
    assert_eq!(sessions("INSERT INTO sessions VALUES ('t', 'c-3')"), "");
    // Where no value tells, and both are texts.
    let texts = "CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, uuid TEXT UNIQUE); CREATE TABLE visits (user_uuid TEXT)";
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch(texts).unwrap();
    let text = derive(&c, &Deriving { subject: "users", account: None, tenant: Some(&tenant("acme")) }).unwrap();
    assert!(text.contains("{ columns = [\"user_uuid\"], parent = \"users\", parent_columns = [\"uuid\"] }"), "{text}");
}
