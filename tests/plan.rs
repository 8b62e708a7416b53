//! A database of one's own, from the first look at its keys to people erased from it by upload, through the real program.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::time::Duration;

use rusqlite::Connection;

use crate::support;
use crate::world::World;

/// The Chinook sample database's schema, its names and keys, with rows of our own.
const CHINOOK: &str = r#"
CREATE TABLE Artist (ArtistId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE Album (AlbumId INTEGER PRIMARY KEY, Title NVARCHAR(160) NOT NULL, ArtistId INTEGER NOT NULL REFERENCES Artist (ArtistId));
CREATE TABLE Genre (GenreId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE MediaType (MediaTypeId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE Track (TrackId INTEGER PRIMARY KEY, Name NVARCHAR(200) NOT NULL, AlbumId INTEGER REFERENCES Album (AlbumId),
    MediaTypeId INTEGER NOT NULL REFERENCES MediaType (MediaTypeId), GenreId INTEGER REFERENCES Genre (GenreId), UnitPrice NUMERIC NOT NULL);
CREATE TABLE Playlist (PlaylistId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE PlaylistTrack (PlaylistId INTEGER NOT NULL REFERENCES Playlist, TrackId INTEGER NOT NULL REFERENCES Track, PRIMARY KEY (PlaylistId, TrackId));
CREATE TABLE Employee (EmployeeId INTEGER PRIMARY KEY, LastName NVARCHAR(20) NOT NULL, ReportsTo INTEGER REFERENCES Employee (EmployeeId), Email NVARCHAR(60));
CREATE TABLE Customer (CustomerId INTEGER PRIMARY KEY, FirstName NVARCHAR(40) NOT NULL, LastName NVARCHAR(20) NOT NULL, Company NVARCHAR(80),
    Email NVARCHAR(60) NOT NULL, SupportRepId INTEGER REFERENCES Employee (EmployeeId));
CREATE TABLE Invoice (InvoiceId INTEGER PRIMARY KEY, CustomerId INTEGER NOT NULL REFERENCES Customer (CustomerId), InvoiceDate DATETIME NOT NULL,
    BillingAddress NVARCHAR(70), BillingCity NVARCHAR(40), Total NUMERIC NOT NULL);
CREATE TABLE InvoiceLine (InvoiceLineId INTEGER PRIMARY KEY, InvoiceId INTEGER NOT NULL REFERENCES Invoice (InvoiceId),
    TrackId INTEGER NOT NULL REFERENCES Track (TrackId), UnitPrice NUMERIC NOT NULL, Quantity INTEGER NOT NULL);
CREATE INDEX IFK_InvoiceCustomerId ON Invoice (CustomerId); CREATE INDEX IFK_InvoiceLineInvoiceId ON InvoiceLine (InvoiceId);
INSERT INTO Artist VALUES (1, 'AC/DC'); INSERT INTO Album VALUES (1, 'For Those About To Rock', 1);
INSERT INTO MediaType VALUES (1, 'MPEG'); INSERT INTO Track VALUES (1, 'Evil Walks', 1, 1, NULL, 0.99);
INSERT INTO Employee VALUES (1, 'Adams', NULL, 'andrew@chinookcorp.example'), (2, 'Edwards', 1, 'nancy@chinookcorp.example');
INSERT INTO Customer VALUES (0, 'Erased', 'Customer', NULL, '', NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 59)
INSERT INTO Customer SELECT i, 'First' || i, 'Last' || i, NULL, 'Person' || i || '@Mail.example', 1 + i % 2 FROM n;
INSERT INTO Invoice SELECT CustomerId * 10 + 1, CustomerId, '2026-01-01', 'Street ' || CustomerId, 'City', 9.9 FROM Customer WHERE CustomerId > 0;
INSERT INTO Invoice SELECT CustomerId * 10 + 2, CustomerId, '2026-02-01', 'Street ' || CustomerId, 'City', 1.5 FROM Customer WHERE CustomerId > 0;
INSERT INTO InvoiceLine (InvoiceId, TrackId, UnitPrice, Quantity) SELECT InvoiceId, 1, 0.99, 1 FROM Invoice;
"#;

fn chinook(path: &std::path::Path) -> Connection {
    let c = Connection::open(path).unwrap();
    c.execute_batch(CHINOOK).unwrap();
    c.busy_timeout(Duration::from_secs(30)).unwrap();
    c
}

/// The derived plan, its choices made: bills are kept without the person, as the books require.
fn choose(derived: &str) -> String {
    let mut table = "";
    let mut plan = String::new();
    for line in derived.lines() {
        table = line.strip_prefix("name = ").unwrap_or(table);
        let line = match (table, line) {
            ("\"Invoice\"", line) if line.contains("CHOOSE") => {
                "action = \"overwrite\"\nset = [{ column = \"CustomerId\", to = { number = 0 } }, { column = \"BillingAddress\", to = \"null\" }]"
            }
            ("\"InvoiceLine\"", line) if line.contains("CHOOSE") => "action = \"keep\"\nreason = \"part of a bill\"",
            ("\"Employee\"", line) if line.contains("CHOOSE") => "action = \"keep\"\nreason = \"our own people\"",
            _ => line,
        };
        plan += &format!("{line}\n");
    }
    plan
}

/// A world whose store is Chinook, with its plan.
fn world() -> (World, Connection) {
    let world = World::new();
    world.tenant("acme");
    let c = chinook(&world.outside("app.db"));
    let (db, plan) = (world.outside("app.db"), world.outside("plan.toml"));
    let derived = world.run(&["plan", "derive", "--db", db.to_str().unwrap(), "--subject", "Customer", "--tenant", "acme"]).exits(0).stdout;
    std::fs::write(&plan, choose(&derived)).unwrap();
    world.set("store", "database", &format!("{:?}", db.to_str().unwrap()));
    world.set("store", "plan", &format!("{:?}", plan.to_str().unwrap()));
    world.set("pipeline", "settle_seconds", "0");
    (world, c)
}

fn count(c: &Connection, sql: &str) -> i64 {
    c.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_derived_plan_does_not_load_before_every_choice_is_made_and_names_their_lines() {
    let world = support::World::new();
    chinook(&world.path("app.db"));
    let ran = world.expunged(["plan", "derive", "--db", "app.db", "--subject", "Customer", "--out", "plan.toml"]).exits(0);
    ran.says("4 choices to make");
    let text = world.read("plan.toml");
    let lines: Vec<_> = (1..).zip(text.lines()).filter(|(_, line)| line.contains("\"CHOOSE")).map(|(n, _)| n).collect();
    let mut ran = world.expunged(["plan", "check", "--db", "app.db", "--plan", "plan.toml"]).exits(2);
    for line in lines {
        ran = ran.warns(&format!("error: the erasure plan \"plan.toml\" is wrong: line {line}: not chosen yet: write "));
    }
    world.expunged(["plan", "derive", "--db", "app.db", "--subject", "Nobody"]).exits(4);
    world.expunged(["plan", "derive", "--db", "app.db", "--subject", "Customer", "--out", "plan.toml"]).exits(1);
}

#[test]
fn a_check_names_what_is_in_the_way_and_what_mends_it() {
    let (world, c) = world();
    world.run(&["plan", "check"]).exits(0).says("the plan fits the database; nothing was found").says("ReadWritePaths=");
    c.execute_batch("CREATE TABLE Note (Id INTEGER PRIMARY KEY, CustomerId INTEGER REFERENCES Customer, Text TEXT)").unwrap();
    world.run(&["plan", "check"]).exits(1).warns("\"Note\" (CustomerId) refers to \"Customer\", and the plan has no rule for it");
    c.execute_batch("DROP TABLE Note; DROP INDEX IFK_InvoiceCustomerId").unwrap();
    world.run(&["plan", "check"]).exits(1).warns("CREATE INDEX \"Invoice_by_CustomerId\" ON \"Invoice\" (\"CustomerId\");");
    world.set("store", "unindexed_rows_max", "10");
    world.run(&["plan", "check", "--json"]).exits(1).says("\"fits\": false").says("has more than 10 rows");
    c.execute_batch("CREATE INDEX i ON Invoice (CustomerId); CREATE TRIGGER t AFTER DELETE ON Customer BEGIN SELECT 1; END").unwrap();
    world.run(&["plan", "check"]).exits(1).warns("trigger \"t\" on \"Customer\"");
    c.execute_batch("DROP TRIGGER t; CREATE VIRTUAL TABLE Search USING fts5(text)").unwrap();
    world.run(&["plan", "check"]).exits(1).warns("\"Search\" is a virtual table").says("the plan fits");
    c.execute_batch("DROP TABLE Search; CREATE TABLE Log (line TEXT); INSERT INTO Log VALUES ('sent to ann@x.example')").unwrap();
    let ran = world.run(&["plan", "check"]).exits(1).warns("\"Log\".\"line\" looks like addresses (");
    assert!(!ran.to_string().contains("ann@x.example"));
}

#[test]
fn the_example_in_the_docs_fits_its_database() {
    let docs = include_str!("../config/own-database.md");
    let blocks = |kind: &str| -> Vec<&str> {
        docs.split(&format!("```{kind}\n")).skip(1).map(|rest| rest.split_once("```").expect("it ends").0).collect()
    };
    let world = support::World::new();
    Connection::open(world.path("app.db")).unwrap().execute_batch(&blocks("sql").concat()).unwrap();
    world.write("plan.toml", blocks("toml").concat());
    world.expunged(["plan", "check", "--db", "app.db", "--plan", "plan.toml"]).exits(0).says("nothing was found");
}

#[test]
fn a_plan_or_database_that_is_not_there_is_no_such_file() {
    let world = support::World::new();
    Connection::open(world.path("app.db")).unwrap().execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY)").unwrap();
    world.write("plan.toml", "[subject]\ntable = 'users'\nkey = 'id'\ntenancy = { sole = 'acme' }\n");
    world.expunged(["plan", "check", "--db", "app.db", "--plan", "gone.toml"]).exits(4).warns("no plan \"gone.toml\"");
    world.expunged(["plan", "check", "--db", "gone.db", "--plan", "plan.toml"]).exits(4).warns("no database \"gone.db\"");
    world.expunged(["plan", "show", "--plan", "gone.toml"]).exits(4).warns("no plan \"gone.toml\"").warns("expunged plan derive");
    world.expunged(["plan", "show", "--plan", "plan.toml"]).exits(0);
}

#[test]
fn the_order_of_work_is_shown_as_a_tree_and_the_built_in_plan_as_its_own_text() {
    let (world, _) = world();
    let shown = world.run(&["plan", "show"]).exits(0).stdout;
    assert!(shown.contains("Customer: the people; delete\n└─ "), "{shown}");
    assert!(shown.contains("Invoice (CustomerId): overwrite CustomerId, BillingAddress\n   └─ "), "{shown}");
    let text = world.run(&["plan", "show", "--toml"]).exits(0).stdout;
    world.write("again.toml", &text);
    assert_eq!(world.run(&["plan", "show", "--toml", "--plan", "again.toml"]).exits(0).stdout, text);
    let builtin = support::World::initialised();
    builtin.expunged(["plan", "show", "--toml"]).exits(0).says("name = \"referrals\"\naction = \"detach\"");
    builtin.expunged(["load", "--help"]);
}

#[test]
fn a_table_is_shown_though_its_number_and_name_are_part_of_anothers() {
    let world = support::World::new();
    let rule = |name: &str, reached: &str| format!("[[table]]\nname = '{name}'\naction = 'delete'\n{reached}\n");
    let by = |parent: &str, column: &str| format!("edges = [{{ columns = ['p'], parent = '{parent}', parent_columns = ['{column}'] }}]");
    let mut plan = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }\n".to_owned();
    plan += &rule("sent", "match = [{ column = 'm' }]");
    plan += &rule("of sent data", &by("sent data", "id"));
    (3..=10).for_each(|n| plan += &rule(&format!("t{n}"), &by("people", "id")));
    plan += &rule("sent data", &format!("{}\nmatch = [{{ column = 'm' }}]", by("people", "id")));
    world.write("plan.toml", &plan);
    let shown = world.expunged(["plan", "show", "--plan", "plan.toml"]).exits(0).stdout;
    assert!(shown.contains("\n1. sent: delete, by address in m\n"), "{shown}");
    assert!(shown.contains("11. sent data (p): delete, also by address in m\n   └─ 2. of sent data (p): delete\n"), "{shown}");
}

#[test]
fn people_of_an_applications_database_are_erased_while_it_reads_and_writes() {
    let (mut world, c) = world();
    let mode = c.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).unwrap();
    let copy = world.outside("copy.db");
    c.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    world.start();
    // The application goes on meanwhile.
    let (path, (stop, stopped)) = (world.outside("app.db"), std::sync::mpsc::channel::<()>());
    let application = std::thread::spawn(move || {
        let c = Connection::open(path).unwrap();
        c.busy_timeout(Duration::from_secs(30)).unwrap();
        let mut writes = 0_i64;
        while stopped.recv_timeout(Duration::from_millis(1)).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout) {
            c.execute("INSERT INTO Playlist (Name) VALUES ('mix')", []).unwrap();
            count(&c, "SELECT count(*) FROM Customer");
            writes += 1;
        }
        writes
    });
    let list: String = (1..=59).step_by(2).map(|n| format!("PERSON{n}@mail.example\n")).collect();
    world.put("acme", "june.csv", format!("Customer Email\n{list}nobody@mail.example\nbad\n"));
    let report = world.report("acme", "june.csv");
    drop(stop);
    let writes = application.join().unwrap();
    assert_eq!(count(&c, "SELECT count(*) FROM Playlist"), writes);
    assert_eq!(
        report["rows"],
        serde_json::json!({ "read": 32, "deleted": 30, "not_found": 1, "duplicate": 0, "invalid": 1, "exempt": 0, "skipped": 0 })
    );
    assert_eq!(report["removed"]["Customer"], 30);
    assert_eq!(report["overwritten"], serde_json::json!({ "Invoice": 60 }));
    assert_eq!(c.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).unwrap(), mode);

    // By hand, on the copy.
    let copy = Connection::open(copy).unwrap();
    copy.execute_batch(
        "UPDATE Invoice SET CustomerId = 0, BillingAddress = NULL WHERE CustomerId % 2 = 1; DELETE FROM Customer WHERE CustomerId % 2 = 1",
    )
    .unwrap();
    for table in ["Artist", "Album", "Genre", "MediaType", "Track", "PlaylistTrack", "Employee", "Customer", "Invoice", "InvoiceLine"] {
        let rows = |c: &Connection| {
            let mut statement = c.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
            let columns = statement.column_count();
            let row = |row: &rusqlite::Row<'_>| Ok((0..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect::<Vec<_>>());
            statement.query_map([], row).unwrap().map(Result::unwrap).collect::<Vec<_>>()
        };
        assert_eq!(rows(&c), rows(&copy), "{table}");
    }
    assert_eq!(world.stop().code(), Some(0));
}

#[test]
fn a_plan_that_does_not_fit_pauses_purging_and_not_receiving_and_goes_on_when_mended() {
    let (mut world, c) = world();
    c.execute_batch("ALTER TABLE Invoice RENAME COLUMN BillingAddress TO Street").unwrap();
    world.start();
    world.put("acme", "june.csv", "Customer Email\nperson1@mail.example\n");
    let status = world
        .eventually("the status says why", || world.status("acme", "june.csv").filter(|status| status["reason"] == "plan_does_not_fit"));
    assert_eq!(status["state"], "waiting", "{status}");
    world.put("acme", "july.csv", "Customer Email\nperson2@mail.example\n");
    assert_eq!(count(&c, "SELECT count(*) FROM Customer"), 60);
    assert_eq!(world.log().matches("purging paused").count(), 1, "{}", world.log());
    c.execute_batch("ALTER TABLE Invoice RENAME COLUMN Street TO BillingAddress").unwrap();
    let report = world.report("acme", "june.csv");
    assert_eq!((&report["rows"]["deleted"], &report["reason"]), (&serde_json::json!(1), &serde_json::Value::Null));
    world.report("acme", "july.csv");
    assert_eq!(count(&c, "SELECT count(*) FROM Customer"), 58);
}

#[test]
fn a_plan_for_one_tenant_rejects_anothers_file_and_a_participant_file_that_it_has_no_columns_for() {
    let (mut world, c) = world();
    world.tenant("other");
    let told = world.run(&["serve", "--check-config"]).exits(0).warns("tenant \"other\" is not served by the erasure plan");
    assert!(!told.stderr.contains("\"acme\""), "{told}");
    world.start();
    assert_eq!(world.log().matches("tenant not served by the erasure plan tenant=other").count(), 1, "{}", world.log());
    world.put("other", "june.csv", "Customer Email\nperson1@mail.example\n");
    let report = world.report("other", "june.csv");
    assert_eq!((&report["status"], &report["reason"]), (&serde_json::json!("rejected"), &serde_json::json!("plan_cannot_serve")));
    assert!(!report.to_string().contains("serves the tenant"), "{report}");
    world.put("acme", "june.csv", "accountId,id\na,b\n");
    assert_eq!(world.report("acme", "june.csv")["reason"], "plan_cannot_serve");
    assert_eq!(count(&c, "SELECT count(*) FROM Customer"), 60);
}

#[test]
fn a_tenant_is_called_left_out_only_where_the_plan_in_use_rejects_its_lists() {
    let (mut world, _c) = world();
    world.tenant("other");
    world.set_tenant("other", "disabled", "true");
    let told = world.run(&["serve", "--check-config"]).exits(0);
    assert!(!told.stderr.contains("not served"), "{told}");
    world.start();
    let another = std::fs::read_to_string(world.outside("plan.toml")).unwrap().replace("sole = \"acme\"", "sole = \"other\"");
    let another = world.write("another.toml", another);
    world.set("store", "plan", &format!("{:?}", another.display()));
    crate::world::signal("HUP", &[world.pid()]);
    world.eventually("the reload", || world.log().contains("tenants reloaded").then_some(()));
    assert!(world.log().contains("restart the daemon to use it"), "{}", world.log());
    assert!(!world.log().contains("tenant not served"), "{}", world.log());
}

#[test]
fn a_database_of_ones_own_is_scrubbed_by_its_plan() {
    let (mut world, c) = world();
    let app = world.outside("app.db");
    let stands = |text: &str| {
        let bytes = std::fs::read(&app).unwrap();
        bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
    };
    c.execute_batch("UPDATE Customer SET Company = 'works with person4@mail.example' WHERE CustomerId = 9").unwrap();
    c.execute_batch("INSERT INTO Playlist VALUES (1, 'for <Person5@mail.example>'); PRAGMA secure_delete = OFF").unwrap();
    // Deleted by the application itself, before the scrub: only its bytes are left.
    c.execute_batch("INSERT INTO Genre VALUES (77, 'of person3@mail.example'); DELETE FROM Genre WHERE GenreId = 77").unwrap();
    assert!(stands("of person3@mail.example"));
    world.start();
    for (name, people) in [("one.csv", &[3, 4][..]), ("two.csv", &[5])] {
        let rows: String = people.iter().map(|n| format!("Person{n}@mail.example\n")).collect();
        let file = world.write(name, format!("Customer Email\n{rows}"));
        world.move_in(&file, "acme", name);
        assert_eq!(world.report("acme", name)["rows"]["deleted"], people.len());
        world.eventually("the archive", || world.files("acme", "processing").is_empty().then_some(()));
    }
    assert_eq!(count(&c, "SELECT count(*) FROM Customer"), 57);
    world.run(&["scrub"]).exits(3).says("imports     2").says("something is left");
    let receipt = |name: &str| -> serde_json::Value {
        let files = world.files("acme", "archive");
        let file = files.iter().find(|file| file.ends_with(&format!("{name}.scrub.json"))).unwrap();
        serde_json::from_slice(&std::fs::read(world.folder("acme", "archive").join(file)).unwrap()).unwrap()
    };
    let (one, two) = (receipt("one.csv"), receipt("two.csv"));
    assert_eq!((&one["clean"], &one["content"]["still_held"]), (&true.into(), &serde_json::json!({ "Customer.Company": 1 })), "{one:#}");
    assert_eq!((&two["clean"], &two["content"]["residue"]), (&false.into(), &serde_json::json!({ "Playlist.Name": 1 })), "{two:#}");
    assert!(!stands("person3@mail.example"));
    assert_eq!(c.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

#[test]
fn people_are_rehearsed_and_erased_by_hand_before_any_daemon_has_seen_the_database() {
    let (world, c) = world();
    let list = world.write("june.csv", "Customer Email\nperson1@mail.example\nperson2@mail.example\n");
    let list = list.to_str().unwrap();
    world.run(&["check", list, "--tenant", "acme"]).exits(0).says("2 would delete");
    world.run(&["imports", "list"]).exits(0).says("no imports yet");
    world.run(&["imports", "show", "1"]).exits(4).warns("no import 1");
    world.run(&["exemptions", "list"]).exits(0).says("no exemptions");
    world.run(&["suppressions", "list"]).exits(0).says("nobody is suppressed");
    assert_eq!(count(&c, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'expunged%'"), 0, "to look leaves no trace");
    world.run(&["purge", list, "--tenant", "acme", "--yes", "1"]).exits(6).warns("2 people would be erased");
    world.run(&["purge", list, "--tenant", "acme", "--yes", "2"]).exits(0);
    assert_eq!(count(&c, "SELECT count(*) FROM Customer WHERE CustomerId IN (1, 2)"), 0);
}

#[test]
fn people_whose_key_is_their_address_are_gone_from_the_ledger_as_well() {
    let (world, _) = world();
    let app = world.outside("members.db");
    let c = Connection::open(&app).unwrap();
    c.execute_batch(
        "CREATE TABLE member (mail VARCHAR(90) PRIMARY KEY NOT NULL); INSERT INTO member VALUES ('ann@members.example'), ('bob@members.example')",
    )
    .unwrap();
    let plan = "[subject]\ntable = 'member'\nkey = 'mail'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }\n";
    let plan = world.write("members.toml", plan);
    world.set("store", "database", &format!("{:?}", app.to_str().unwrap()));
    world.set("store", "plan", &format!("{:?}", plan.to_str().unwrap()));
    let list = world.write("june.csv", "Customer Email\nbob@members.example\n");
    world.run(&["purge", list.to_str().unwrap(), "--tenant", "acme", "--yes", "1"]).exits(0);
    world.run(&["scrub"]).exits(0).says("nothing is left");
    let bytes = std::fs::read(&app).unwrap();
    let stands = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(stands("ann@members.example") && !stands("bob@members.example"));
}
