//! Plans that SQLite would run, and that would take other rows than those meant, or miss some.

use rusqlite::Connection;

use crate::domain::IdentityKey;
use crate::purge::{Engine, FindingKind, Plan};

pub(super) const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, code TEXT UNIQUE, team TEXT, mail TEXT);
    INSERT INTO people VALUES (0, 'nobody', NULL, NULL), (1, 'x', 't', 'one@x.example');";

fn engine(plan: &str, subject: &str) -> Engine {
    let plan = format!(
        "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = {{ sole = 'acme' }}\naddress = {{ column = 'mail' }}\n{subject}\n{plan}"
    );
    Engine::new(Plan::parse(&plan).unwrap_or_else(|faults| panic!("{faults}")), IdentityKey::new([7; 32])).unwrap()
}

pub(super) fn database(sql: &str) -> Connection {
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    c.execute_batch(sql).unwrap();
    c
}

/// What does not fit; empty where all does.
pub(super) fn misfit(sql: &str, plan: &str) -> String {
    misfit_of(&engine(plan, ""), &format!("{PEOPLE}{sql}"))
}

fn misfit_of(engine: &Engine, sql: &str) -> String {
    let told = engine.fits(&database(sql), 1_000).err().map(|error| error.to_string()).unwrap_or_default();
    told.trim_start_matches("the plan does not fit the database: ").to_owned()
}

/// One table of notes with a column and an edge for it.
fn of_note(column: &str, parent_column: &str) -> String {
    let plan = format!(
        "[[table]]\nname = 'notes'\naction = 'delete'\nedges = [{{ columns = ['person'], parent = 'people', parent_columns = ['{parent_column}'] }}]"
    );
    misfit(&format!("CREATE TABLE notes (id INTEGER PRIMARY KEY, person {column})"), &plan)
}

#[test]
fn a_key_whose_two_sides_compare_otherwise_is_refused_because_it_would_take_other_rows_or_miss_some() {
    let refused = |column: &str, parent: &str, why: &str| {
        let told = of_note(column, parent);
        assert!(
            told.starts_with(&format!("\"notes\".\"person\" and \"people\".\"{parent}\" compare otherwise ({why})")),
            "{column}: {told}"
        );
    };
    refused("TEXT", "id", "TEXT BINARY, INTEGER BINARY");
    refused("", "id", "no type BINARY, INTEGER BINARY");
    refused("INTEGER", "code", "INTEGER BINARY, TEXT BINARY");
    refused("TEXT COLLATE NOCASE", "code", "TEXT NOCASE, TEXT BINARY");
    refused("VARCHAR(9) COLLATE rtrim", "code", "VARCHAR(9) RTRIM, TEXT BINARY");
    for column in ["BIGINT", "REAL", "NUMERIC", "UNSIGNED INT NOT NULL"] {
        assert_eq!(of_note(column, "id"), "", "{column}");
    }
    for column in ["VARCHAR(10)", "NVARCHAR COLLATE BINARY", "CLOB"] {
        assert_eq!(of_note(column, "code"), "", "{column}");
    }
}

#[test]
fn a_unique_constraint_in_another_collation_than_its_columns_is_read_like_any_other() {
    let plan =
        "[[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]";
    for constraint in ["UNIQUE (word COLLATE NOCASE)", "PRIMARY KEY (word COLLATE NOCASE)"] {
        assert_eq!(misfit(&format!("CREATE TABLE notes (word TEXT, person INTEGER, {constraint})"), plan), "", "{constraint}");
    }
}

#[test]
fn an_account_whose_two_sides_compare_otherwise_is_refused() {
    let sql = |kind: &str| {
        format!("CREATE TABLE accounts (id TEXT PRIMARY KEY); CREATE TABLE people (id INTEGER PRIMARY KEY, account {kind}, mail TEXT)")
    };
    let engine = engine("[account]\ntable = 'accounts'\ncolumns = ['id']\nsubject_columns = ['account']", "");
    assert_eq!(misfit_of(&engine, &sql("TEXT")), "");
    assert!(misfit_of(&engine, &sql("INTEGER")).starts_with("\"people\".\"account\" and \"accounts\".\"id\" compare otherwise"));
}

#[test]
fn what_is_referred_to_names_one_row() {
    let told = "\"people\" (team) is referred to, but several rows may have the same value: a row would go with any of them";
    assert_eq!(of_note("TEXT", "team"), told);
    let unique = |index: &str| {
        let plan =
            "[[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['team'], parent = 'people', parent_columns = ['team'] }]";
        misfit(&format!("CREATE TABLE notes (id INTEGER PRIMARY KEY, team TEXT); CREATE UNIQUE INDEX i ON people {index}"), plan)
    };
    assert_eq!(unique("(team)"), "");
    for index in ["(team) WHERE id > 0", "(team, mail)", "(lower(team))"] {
        assert_eq!(unique(index), told, "{index}");
    }
    let accounts = "CREATE TABLE accounts (name TEXT); CREATE TABLE people (id INTEGER PRIMARY KEY, account TEXT, mail TEXT)";
    let engine = engine("[account]\ntable = 'accounts'\ncolumns = ['name']\nsubject_columns = ['account']", "");
    assert!(misfit_of(&engine, accounts).starts_with("\"accounts\" (name) is referred to, but several rows"));
}

#[test]
fn a_unique_index_that_compares_otherwise_than_its_column_makes_no_key() {
    let sql = |collate: &str| {
        format!("CREATE TABLE people (id TEXT COLLATE NOCASE NOT NULL, mail TEXT); CREATE UNIQUE INDEX i ON people (id COLLATE {collate})")
    };
    assert_eq!(misfit_of(&engine("", ""), &sql("NOCASE")), "");
    assert_eq!(misfit_of(&engine("", ""), &sql("BINARY")), "\"people\".\"id\" is not unique, so it is no key of a subject");
}

#[test]
fn people_without_a_key_and_keys_that_are_real_numbers_are_refused_before_a_list_fails_on_them() {
    let sql = |kind: &str, key: &str| {
        format!("CREATE TABLE people (id {kind} UNIQUE, mail TEXT); INSERT INTO people VALUES ('a', NULL), ({key}, 'one@x.example')")
    };
    let told = |kind: &str, key: &str| misfit_of(&engine("", ""), &sql(kind, key));
    assert_eq!(told("TEXT", "'b'"), "");
    assert_eq!(told("TEXT", "NULL"), "\"people\".\"id\" is null in some rows, and nothing else names those people");
    for kind in ["REAL", "DOUBLE", "FLOAT"] {
        assert_eq!(told(kind, "2"), "\"people\".\"id\" holds real numbers, which are no keys: use whole numbers, texts or blobs", "{kind}");
    }
    for kind in ["INT NOT NULL", "NOT NULL", "BLOB NOT NULL"] {
        assert_eq!(told(kind, "2"), "", "{kind}");
        assert_eq!(
            told(kind, "1.5"),
            "\"people\".\"id\" holds real numbers, which are no keys: use whole numbers, texts or blobs",
            "{kind}"
        );
    }
}

#[test]
fn a_declared_key_that_sqlite_cannot_follow_is_told_as_that() {
    for (key, to) in [
        ("(a, b) REFERENCES people", "(a, b) refers to \"people\" (id)"),
        ("(a) REFERENCES people (team)", "(a) refers to \"people\" (team)"),
    ] {
        let told = misfit(&format!("CREATE TABLE o (n INTEGER PRIMARY KEY, a INTEGER, b INTEGER, FOREIGN KEY {key});"), "");
        let why = "where there are not as many columns that are unique together: SQLite cannot follow it, nor can a plan; mend the key, or take \
            it out of the table";
        assert_eq!(told, format!("\"o\" {to}, {why}"));
    }
}

#[test]
fn a_declared_key_to_a_column_that_the_plan_changes_is_told() {
    let sql = "CREATE TABLE posts (id INTEGER PRIMARY KEY, person INTEGER, slug TEXT UNIQUE); CREATE INDEX p ON posts (person);
        CREATE TABLE links (n INTEGER PRIMARY KEY, slug TEXT REFERENCES Posts (SLUG));
        CREATE TABLE profiles (id INTEGER PRIMARY KEY, person INTEGER UNIQUE, nick TEXT UNIQUE);
        CREATE TABLE pictures (n INTEGER PRIMARY KEY, person INTEGER REFERENCES profiles (person), nick TEXT REFERENCES profiles (nick));";
    let by = "edges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]";
    let slug = |to: &str| format!("[[table]]\nname = 'posts'\naction = 'overwrite'\nset = [{{ column = 'slug', to = {to} }}]\n{by}");
    let told = "\"links\" (slug) refers to \"posts\".\"slug\", which the plan changes; leave that column as it is, or delete the rows of \"posts\"";
    assert_eq!(misfit(sql, &slug("'hash'")), told);
    assert_eq!(misfit(sql, &slug("'null'")), told);
    let detached = format!("[[table]]\nname = 'profiles'\naction = 'detach'\norphans = 'keep'\n{by}");
    let told = "\"pictures\" (person) refers to \"profiles\".\"person\", which the plan changes; leave that column as it is, or delete the rows of \"profiles\"";
    assert_eq!(misfit(sql, &detached), told);
}

#[test]
fn a_generated_column_can_be_read_and_cannot_be_changed() {
    let sql = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, person INTEGER AS (json_extract(body, '$.person')));";
    let plan = |words: &str| {
        format!("[[table]]\nname = 'notes'\n{words}\nedges = [{{ columns = ['person'], parent = 'people', parent_columns = ['id'] }}]")
    };
    assert_eq!(misfit(sql, &plan("action = 'delete'")), "");
    let told = "\"notes\".\"person\" is a generated column, so it cannot be ";
    assert_eq!(misfit(sql, &plan("action = 'detach'\norphans = 'keep'")), format!("{told}detached"));
    let set = "action = 'overwrite'\nset = [{ column = 'person', to = { number = 0 } }]";
    assert_eq!(misfit(sql, &plan(set)), format!("{told}overwritten"));
}

#[test]
fn a_reference_that_is_its_rows_number_cannot_be_detached() {
    let told = |column: &str| {
        let edge = "edges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]";
        let plan = format!("[[table]]\nname = 'profiles'\naction = 'detach'\norphans = 'keep'\n{edge}");
        misfit(&format!("CREATE TABLE profiles (person {column}, body TEXT)"), &plan)
    };
    assert_eq!(told("INTEGER PRIMARY KEY"), "\"profiles\".\"person\" cannot be null, so it cannot be detached");
    assert_eq!(told("INT PRIMARY KEY"), "");
    assert_eq!(told("INTEGER PRIMARY KEY DESC"), "");
}

#[test]
fn a_table_whose_rows_nothing_names_cannot_be_detached() {
    let told = |columns: &str| {
        let plan = format!("[[table]]\nname = 'marks'\naction = 'detach'\norphans = 'keep'\n{EDGE}");
        misfit(&format!("CREATE TABLE marks ({columns}, person INTEGER)"), &plan)
    };
    assert_eq!(
        told("rowid TEXT, OID TEXT, _rowid_ TEXT"),
        "\"marks\" has no primary key, and columns named rowid, oid and _rowid_ hide the numbers of its rows; rename one of them, or delete \
         the table's rows instead of detaching them"
    );
    for columns in ["rowid TEXT, oid TEXT", "rowid TEXT PRIMARY KEY, oid TEXT, _rowid_ TEXT"] {
        assert_eq!(told(columns), "", "{columns}");
    }
}

#[test]
fn a_table_of_the_applications_that_is_named_like_ours_cannot_hide_its_keys() {
    let told = misfit("CREATE TABLE Expunged_notes (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people)", "");
    assert_eq!(
        told,
        "\"Expunged_notes\" (person) refers to \"people\", but names that begin with expunged_ are the ledger's; rename the table"
    );
}

#[test]
fn a_table_of_the_applications_with_a_name_of_the_ledgers_is_named_before_the_ledger_is_made() {
    for sql in ["CREATE TABLE Expunged_Imports (n)", "CREATE VIEW expunged_meta AS SELECT 1 AS name, 2 AS value"] {
        let told = misfit(sql, "").to_ascii_lowercase();
        assert!(told.starts_with("the database has a table \"expunged_") && told.ends_with("rename the table"), "{told}");
    }
    assert_eq!(misfit("CREATE TABLE expunged_from_the_club (n)", ""), "");
}

#[test]
fn a_check_samples_whether_a_column_holds_what_its_comparison_finds() {
    let found = |compare: &str, mail: &str| {
        let subject = format!(
            "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = {{ sole = 'acme' }}\naddress = {{ column = 'mail', compare = '{compare}' }}"
        );
        let matched = format!("[[table]]\nname = 'sent'\naction = 'delete'\nmatch = [{{ column = 'mail', compare = '{compare}' }}]");
        let engine = Engine::new(Plan::parse(&format!("{subject}\n{matched}")).unwrap(), IdentityKey::new([7; 32])).unwrap();
        let sql = format!(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT); CREATE TABLE sent (id INTEGER PRIMARY KEY, mail TEXT);
            CREATE INDEX i ON people (mail); CREATE INDEX n ON people (mail COLLATE NOCASE);
            INSERT INTO people VALUES (1, 'two@x.example'), (2, NULL), (3, 'no address'), (4, {mail}); INSERT INTO sent SELECT * FROM people"
        );
        let findings = engine.inspect(&database(&sql), 1_000).unwrap();
        assert!(findings.iter().all(|finding| finding.kind == FindingKind::Undecided), "{findings:?}");
        findings.into_iter().map(|finding| finding.what).collect::<Vec<_>>()
    };
    let told = |table: &str, compare: &str| {
        format!("\"{table}\".\"mail\" is compared as \"{compare}\", which misses 1 of 2 addresses looked at, as they are written")
    };
    let both = |compare: &str| vec![told("people", compare), told("sent", compare)];
    for mail in ["'Two@x.example'", "' one@x.example'", "'Ünal@x.example'"] {
        assert_eq!(found("exact", mail), both("exact"), "{mail}");
        assert_eq!(found("normalised", mail), Vec::<String>::new(), "{mail}");
    }
    assert_eq!(found("exact", "'one@x.example'"), Vec::<String>::new());
    assert_eq!(found("nocase", "'Two@x.example'"), Vec::<String>::new());
    assert_eq!(found("nocase", "' one@x.example'"), both("nocase"));
    assert_eq!(found("nocase", "'Ünal@x.example'"), both("nocase"));
}

#[test]
fn ids_that_are_numbers_in_a_column_without_a_type_are_told_because_no_list_finds_them() {
    let subject = "account = 'team'\nid = 'no'";
    let found = |kind: &str, no: &str| {
        let sql = format!(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, team TEXT, no {kind}, mail TEXT); INSERT INTO people VALUES (1, 't', {no}, NULL)"
        );
        engine("", subject).inspect(&database(&sql), 1_000).unwrap().into_iter().map(|finding| finding.what).collect::<Vec<_>>()
    };
    let index = "\"people\" (team, no) has no index, and the table has 1 rows";
    let told = "\"people\".\"no\" has no type and holds numbers, which a list's texts do not find";
    assert_eq!(found("", "7"), [index, told]);
    assert_eq!(found("BLOB", "7"), [index, told]);
    for (kind, no) in [("", "'7'"), ("INTEGER", "7"), ("TEXT", "7")] {
        assert_eq!(found(kind, no), [index], "{kind}");
    }
}

#[test]
fn tenants_that_are_numbers_in_a_column_without_a_type_are_told_because_no_name_finds_their_people() {
    let found = |kind: &str| {
        let sql = format!(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, team {kind}, mail TEXT); INSERT INTO people VALUES (1, 7, 'one@x.example');
             CREATE TABLE sent (team {kind}, mail TEXT); INSERT INTO sent SELECT team, mail FROM people"
        );
        let subject = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { column = 'team' }\naddress = { column = 'mail' }";
        let plan = format!("{subject}\n[[table]]\nname = 'sent'\naction = 'delete'\ntenant = 'team'\nmatch = [{{ column = 'mail' }}]");
        let engine = Engine::new(Plan::parse(&plan).unwrap(), IdentityKey::new([7; 32])).unwrap();
        engine.inspect(&database(&sql), 1_000).unwrap().into_iter().map(|finding| finding.what).collect::<Vec<_>>()
    };
    let told =
        ["people", "sent"].map(|table| format!("\"{table}\".\"team\" has no type and holds numbers, which a tenant's name does not find"));
    assert_eq!(found(""), told);
    assert_eq!(found("INTEGER"), Vec::<String>::new());
}

pub(super) const EDGE: &str = "edges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]";

/// What is found by a look at all of it.
pub(super) fn found(sql: &str, plan: &str) -> Vec<(FindingKind, String, String)> {
    let c = database(&format!("{PEOPLE}{sql}"));
    let found = engine(plan, "").inspect(&c, 1_000).unwrap().into_iter();
    found
        .map(|finding| (finding.kind, finding.what, finding.mend.unwrap_or_default()))
        .filter(|found| found.0 != FindingKind::Unindexed)
        .collect()
}

#[test]
fn what_needs_a_function_that_only_the_application_has_is_refused_before_an_import_fails_on_it() {
    let table = "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, body TEXT);";
    let plan = format!("[[table]]\nname = 'notes'\naction = 'detach'\norphans = 'keep'\n{EDGE}\n[accepted]\ntriggers = ['t']");
    let told = |sql: &str| {
        let c = Connection::open_in_memory().unwrap();
        let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
        c.create_scalar_function("rev", 1, flags, |_| Ok(1)).unwrap();
        c.execute_batch(&format!("PRAGMA foreign_keys = OFF; {PEOPLE}{table}{sql}")).unwrap();
        c.remove_function("rev", 1).unwrap();
        engine(&plan, "").fits(&c, 1_000).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let refused = "the plan does not fit the database: the rows of \"notes\" cannot be changed: ";
    let mend = "; a trigger, an index, a check or a generated column there needs what only the application has: rewrite it or drop it";
    let by_trigger = told("CREATE TRIGGER t AFTER UPDATE ON notes BEGIN INSERT INTO notes (body) VALUES (rev(old.body)); END");
    assert_eq!(by_trigger, format!("{refused}no such function: rev (SQLite's code 1){mend}"));
    let by_index = told("CREATE INDEX i ON notes (rev(person))");
    assert!(by_index.starts_with(refused) && by_index.contains("rev") && by_index.ends_with(mend), "{by_index}");
    assert_eq!(told("CREATE INDEX i ON notes (lower(body))"), "");
}

#[test]
fn what_only_a_cascade_would_do_is_in_nobodys_way() {
    let c = Connection::open_in_memory().unwrap();
    let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
    c.create_scalar_function("rev", 1, flags, |_| Ok(1)).unwrap();
    let table = "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people ON DELETE CASCADE, body TEXT);";
    c.execute_batch(&format!("{PEOPLE}{table} CREATE INDEX i ON notes (rev(body)); PRAGMA foreign_keys = ON")).unwrap();
    c.remove_function("rev", 1).unwrap();
    let plan = |words: &str| engine(&format!("[[table]]\nname = 'notes'\n{words}\n{EDGE}"), "").fits(&c, 1_000);
    assert!(plan("action = 'overwrite'\nset = [{ column = 'person', to = { number = 0 } }]").is_ok());
    assert!(plan("action = 'delete'").is_err());
    assert!(c.pragma_query_value(None, "foreign_keys", |row| row.get::<_, bool>(0)).unwrap());
}

#[test]
fn a_collation_that_only_the_application_has_is_named_with_its_column() {
    let plan = format!("[[table]]\nname = 'notes'\naction = 'delete'\n{EDGE}");
    let look = |sql: &str, plan: &str| {
        let c = database(&format!("{PEOPLE}CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER); {sql};"));
        // As a database that was made with it looks to us.
        let rename = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'UNICODE_X'); PRAGMA writable_schema = RESET";
        c.execute_batch(rename).unwrap();
        let derived = crate::purge::derive(&c, &crate::purge::Deriving { subject: "people", account: None, tenant: None }).map(|_| ());
        assert!(derived.is_ok(), "{derived:?}");
        let found = engine(plan, "").inspect(&c, 1_000).unwrap().into_iter();
        found.filter(|found| found.kind != FindingKind::Unindexed).map(|found| found.what).collect::<Vec<_>>()
    };
    let told = "\"notes\".\"body\" is compared or indexed by \"UNICODE_X\", which only the application has";
    assert_eq!(look("ALTER TABLE notes ADD COLUMN body TEXT COLLATE NOCASE; CREATE INDEX i ON notes (body)", &plan), [told]);
    assert_eq!(look("ALTER TABLE notes ADD COLUMN body TEXT; CREATE UNIQUE INDEX i ON notes (body COLLATE NOCASE)", &plan), [told]);
    // Rows that stay can be changed, but nobody has looked into them.
    let detached = plan.replace("'delete'", "'detach'\norphans = 'keep'");
    let told =
        "\"notes\".\"body\" is compared or indexed by \"UNICODE_X\", which only the application has: nobody looked for addresses there";
    assert_eq!(look("ALTER TABLE notes ADD COLUMN body TEXT COLLATE NOCASE; CREATE INDEX i ON notes (body)", &detached), [told]);
    // Whether a stand-in is there only the application could compare.
    let teams = "CREATE TABLE teams (team TEXT COLLATE NOCASE, no INTEGER, PRIMARY KEY (team, no)); INSERT INTO notes VALUES (1, 1);
        ALTER TABLE notes ADD COLUMN team TEXT; CREATE TABLE bills (person INTEGER, team TEXT, no INTEGER, FOREIGN KEY (team, no) REFERENCES teams);
        INSERT INTO bills VALUES (1, 't', 1)";
    let over = "[[table]]\nname = 'bills'\naction = 'overwrite'\nset = [{ column = 'no', to = { number = 0 } }]\n";
    assert!(look(teams, &format!("{plan}\n{over}{EDGE}")).iter().all(|told| !told.contains("stand-in")));
    let other = "CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT COLLATE NOCASE UNIQUE); INSERT INTO log VALUES (1, 'ann@x.example')";
    let told =
        "\"log\".\"line\" is compared or indexed by \"UNICODE_X\", which only the application has: nobody looked for addresses there";
    assert_eq!(look(other, &plan), [told]);
    assert_eq!(look(other, &format!("{plan}\n[accepted]\ncolumns = ['log.line']")), Vec::<String>::new());
}

#[test]
fn a_table_of_very_many_columns_is_looked_at_to_the_last_one() {
    let columns: String = (0..1_500).map(|n| format!("c{n}, ")).collect();
    let sql = format!("CREATE TABLE wide ({columns} last); INSERT INTO wide (last) VALUES ('ann@x.example');");
    let told = found(&sql, "");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.starts_with("\"wide\".\"last\" looks like addresses"), "{told:?}");
}

#[test]
fn a_column_that_looks_like_a_key_must_be_in_the_plan_or_accepted() {
    let sql = "CREATE TABLE notes (id INTEGER PRIMARY KEY, person_id INTEGER); INSERT INTO notes VALUES (1, 1), (2, 8);
        CREATE TABLE bills (id INTEGER PRIMARY KEY, owner_type TEXT, owner_id INTEGER); INSERT INTO bills VALUES (1, 'Person', 1);";
    let told = found(sql, "");
    let what = |table: &str, column: &str, seen: &str| {
        format!(
            "\"{table}\".\"{column}\" looks like a key to \"people\" that nobody declared ({seen} values looked at are there), and nothing is said of it"
        )
    };
    assert_eq!(
        told.iter().map(|found| found.1.clone()).collect::<Vec<_>>(),
        [what("bills", "owner_id", "1 of 1"), what("notes", "person_id", "1 of 2")]
    );
    let mend = "it refers there only where \"owner_type\" says so: give its table's rule an edge for a column made so, or name \"bills.owner_id\" \
        in accepted.columns: ";
    let make = told[0].2.strip_prefix(mend).unwrap_or_else(|| panic!("{told:?}"));
    let edge = "{ columns = [\"person_id\"], parent = \"people\", parent_columns = [\"id\"] }";
    assert_eq!(told[1].2, format!("name \"notes.person_id\" in accepted.columns, or give its table's rule this edge: {edge}"));
    assert!(found(sql, "[accepted]\ncolumns = ['notes.person_id', 'bills.owner_id']").is_empty());
    // Done as it says, the plan is whole.
    let plan =
        "[[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['person_id'], parent = 'people', parent_columns = ['id'] }]
        [[table]]\nname = 'bills'\naction = 'delete'\nedges = [{ columns = ['owner_id_person_id'], parent = 'people', parent_columns = ['id'] }]";
    assert_eq!(found(&format!("{sql}{make}"), plan), []);
}

#[test]
fn another_address_of_people_than_the_plans_is_told_because_no_match_looks_for_it() {
    let sql = |value: &str| {
        format!(
            "ALTER TABLE people ADD COLUMN alt; UPDATE people SET alt = {value}; CREATE TABLE sent (mail); INSERT INTO sent SELECT alt FROM people"
        )
    };
    let plan = "[[table]]\nname = 'sent'\naction = 'delete'\nmatch = [{ column = 'mail' }]\n";
    let told = found(&sql("'two@x.example'"), plan);
    let what = "\"people\".\"alt\" holds addresses of people (2 of 2 rows looked at) by which no list and no match finds them";
    assert_eq!(told.iter().map(|found| found.1.as_str()).collect::<Vec<_>>(), [what]);
    assert!(told[0].2.contains("name \"people.alt\" in accepted.columns"), "{told:?}");
    assert_eq!(found(&sql("'two@x.example'"), &format!("{plan}[accepted]\ncolumns = ['people.alt']")), []);
    for value in ["upper(mail)", "'write to ' || mail"] {
        assert_eq!(found(&format!("ALTER TABLE people ADD COLUMN alt AS ({value})"), ""), [], "{value}");
    }
}

#[test]
fn a_match_that_cannot_find_what_the_column_holds_is_told() {
    let sql = r#"CREATE TABLE log (line TEXT); INSERT INTO log VALUES ('sent to ann@x.example'), ('bob@x.example'), ('{"to": ["", "ann@x.example"]}')"#;
    let told = |path: &str, action: &str| {
        let told = found(sql, &format!("[[table]]\nname = 'log'\naction = {action}\nmatch = [{{ column = 'line'{path} }}]"));
        told.into_iter().map(|found| found.1).collect::<Vec<_>>()
    };
    assert_eq!(told("", "'delete'"), ["\"log\".\"line\" is compared whole, and 2 of 3 values looked at hold an address and more"]);
    assert_eq!(told(", path = '$.cc'", "'delete'"), ["\"$.cc\" leads to no address in \"log\".\"line\", and 3 values looked at hold one"]);
    assert_eq!(told(", path = '$.to'", "'delete'"), Vec::<String>::new());
    assert_eq!(told("", "'keep'\nreason = 'a court'"), Vec::<String>::new());
}

#[test]
fn people_whom_no_list_of_addresses_finds_as_they_are_stored_are_told() {
    let sql = |mail: &str| format!("INSERT INTO people VALUES (2, 'y', 't', {mail})");
    let what = "\"people\".\"mail\" holds more than an address in 1 of 2 values looked at: no list of addresses finds these people";
    for mail in [
        "'Ann <ann@x.example>'",
        "'ann@x.example.'",
        "char(0xfeff) || 'ann@x.example'",
        "'ann@x.example' || char(0)",
        "'a@x.example; b@x.example'",
    ] {
        let told = found(&sql(mail), "");
        assert_eq!(told.iter().map(|found| found.1.as_str()).collect::<Vec<_>>(), [what], "{mail}");
        assert!(told[0].2.ends_with("name \"people.mail\" in accepted.columns"), "{told:?}");
        assert_eq!(found(&sql(mail), "[accepted]\ncolumns = ['People.Mail']"), [], "{mail}");
    }
    for mail in ["' Ann@X.example '", "'not an address'", "'@ann'", "NULL", "7"] {
        assert_eq!(found(&sql(mail), ""), [], "{mail}");
    }
}

#[test]
fn addresses_in_json_that_is_no_text_are_seen_as_those_in_texts_are() {
    let sql = r#"CREATE TABLE log (line); INSERT INTO log VALUES (jsonb('{"to": "ann@x.example"}')), (x'ff'), (7)"#;
    let told = |plan: &str| found(sql, plan).into_iter().map(|found| found.1).collect::<Vec<_>>();
    assert_eq!(told(""), ["\"log\".\"line\" looks like addresses (1 of 3 rows looked at), and nothing is said of it"]);
    let with = |path: &str| told(&format!("[[table]]\nname = 'log'\naction = 'delete'\nmatch = [{{ column = 'line'{path} }}]"));
    assert_eq!(with(""), ["\"log\".\"line\" is compared whole, and 1 of 1 values looked at hold an address and more"]);
    assert_eq!(with(", path = '$.cc'"), ["\"$.cc\" leads to no address in \"log\".\"line\", and 1 values looked at hold one"]);
    assert_eq!(with(", path = '$.to'"), Vec::<String>::new());
}

#[test]
fn addresses_in_rows_that_stay_are_told_with_a_mend_that_the_plan_takes() {
    let sql = "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, mail TEXT); INSERT INTO notes VALUES (1, 1, 'one@x.example')";
    let told = found(sql, &format!("[[table]]\nname = 'notes'\naction = 'detach'\norphans = 'keep'\n{EDGE}"));
    assert!(told.len() == 1 && told[0].2.starts_with("its table has a rule by which rows stay: write the column over"), "{told:?}");
    let detached = EDGE.replace(" }]", ", action = 'detach' }]");
    let mended = format!(
        "[[table]]\nname = 'notes'\naction = 'overwrite'\n{detached}\nmatch = [{{ column = 'mail' }}]\nset = [{{ column = 'mail', to = 'null' }}]"
    );
    assert_eq!(found(sql, &mended), []);
}

#[test]
fn addresses_in_rows_that_no_key_leads_to_are_told_although_their_table_goes() {
    let sql = "CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER, mail TEXT); INSERT INTO orders VALUES (1, 1, 'one@x.example')";
    let plan = |more: &str| format!("[[table]]\nname = 'orders'\naction = 'delete'\n{EDGE}\n{more}");
    assert_eq!(found(sql, &plan("")), []);
    let guest = format!("{sql}, (2, 9, 'two@x.example')");
    let told = found(&guest, &plan(""));
    assert!(
        told.len() == 1 && told[0].1.ends_with("\"mail\" looks like addresses, also in rows that no key of the plan leads to"),
        "{told:?}"
    );
    assert_eq!(found(&guest, &plan("match = [{ column = 'mail' }]")), []);
    assert_eq!(found(&guest, &plan("[accepted]\ncolumns = ['orders.mail']")), []);
}
