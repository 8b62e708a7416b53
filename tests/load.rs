//! The built binary: what `load`, `customers find` and `customers show` take, refuse, print and leave behind.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use rusqlite::{Connection, OpenFlags};

use crate::support::{Ran, World};

/// A world with the tenants acme and acme-2.
fn world() -> World {
    let world = World::initialised();
    world.write("tenants.d/acme.toml", "keys = []\n");
    world.write("tenants.d/acme-2.toml", "keys = []\n");
    world
}

fn load(world: &World, kind: &str, file: &str, content: &str) -> Ran {
    world.write(file, content);
    world.expunged(["load", kind, file, "--tenant", "acme"])
}

/// Runs a command with a text on its standard input.
fn with_input(world: &World, args: &[&str], input: &str) -> Ran {
    world.write("input", input);
    let mut command = Command::new(env!("CARGO_BIN_EXE_expunged"));
    command.args(args).current_dir(world.path("")).stdin(Stdio::from(std::fs::File::open(world.path("input")).expect("its input")));
    world.finish(command)
}

/// The rows of a query, values joined by bars, null as a dash.
fn rows(world: &World, sql: &str) -> Vec<String> {
    let store = Connection::open_with_flags(world.path("data/store.db"), OpenFlags::SQLITE_OPEN_READ_WRITE).expect("the store");
    let mut statement = store.prepare(sql).expect("a statement");
    let columns = statement.column_count();
    let value = |row: &rusqlite::Row<'_>, at: usize| match row.get_unwrap(at) {
        rusqlite::types::Value::Null => "-".to_owned(),
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        other => panic!("{other:?}"),
    };
    let rows = statement.query_map([], |row| Ok((0..columns).map(|at| value(row, at)).collect::<Vec<_>>().join("|"))).expect("rows");
    rows.map(Result::unwrap).collect()
}

const CUSTOMERS: &str = "accountId,id,email,firstName,lastName,createdAt\n\
    A1,U1,Ann@X.Example,Ann,Lee,2026-01-01\nA1,U2,bob@x.example,Bob,Lee,2026-01-02\nA2,U3,,Joanna,Ray,\n";

fn peopled() -> World {
    let world = world();
    load(&world, "customers", "c.csv", CUSTOMERS).exits(0);
    load(&world, "referrals", "r.csv", "id,referrerAccountId,referrerId,referredAccountId,referredId,status\nF1,A1,U1,A2,U3,done\n")
        .exits(0);
    load(&world, "rewards", "w.csv", "id,accountId,userId,referralId,type,amount,currency,status\nR1,A1,U1,F1,credit,10.00,EUR,pending\n")
        .exits(0);
    load(&world, "events", "e.csv", "id,accountId,userId,name,properties\nE1,A1,U1,buy,\"{\"\"a\"\":1}\"\nE2,A1,U1,view,\n").exits(0);
    load(&world, "fields", "f.csv", "accountId,userId,name,value\nA1,U1,size,XL\n").exits(0);
    world
}

#[test]
fn init_makes_an_empty_store_for_its_owner_only() {
    let world = World::initialised();
    assert_eq!(world.mode("data/store.db"), 0o600);
    assert_eq!(rows(&world, "SELECT count(*) FROM customers"), ["0"]);
    assert!(!world.path("data/store.db-wal").exists());
}

#[test]
fn every_kind_is_loaded_from_csv_and_from_json_lines() {
    let world = world();
    load(&world, "customers", "c.csv", CUSTOMERS).exits(0).says("loaded 3 customers (3 new, 0 replaced), 0 bad rows");
    load(
        &world,
        "customers",
        "c.JSONL",
        "{\"accountId\":\"A1\",\"id\":\"U2\",\"email\":\"new@x.example\"}\n{\"accountId\":\"A3\",\"id\":4}",
    )
    .exits(0)
    .says("loaded 2 customers (1 new, 1 replaced), 0 bad rows");
    let check = |kind: &str, csv: &str, jsonl: &str, said: &str, query: &str, expected: &[&str]| {
        load(&world, kind, "file.csv", csv).exits(0).says(&format!("loaded 1 {said} (1 new, 0 replaced), 0 bad rows"));
        load(&world, kind, "file.ndjson", jsonl).exits(0).says(&format!("loaded 2 {said}s (1 new, 1 replaced), 0 bad rows"));
        assert_eq!(rows(&world, query), expected, "{kind}");
    };
    check(
        "referrals",
        "id,referrerAccountId,referrerId,referredAccountId,referredId,status,createdAt\nF1,A1,U1,A1,U2,open,t\n",
        "{\"id\":\"F1\",\"referrerAccountId\":\"A1\",\"referrerId\":\"U1\",\"status\":\"done\"}\n{\"id\":\"F2\",\"referredAccountId\":\"A2\",\"referredId\":\"U3\"}\n",
        "referral",
        "SELECT r.id, a.id, b.id, r.status FROM referrals r LEFT JOIN customers a ON a.customer = referrer LEFT JOIN customers b ON b.customer = referred ORDER BY 1",
        &["F1|U1|-|done", "F2|-|U3|-"],
    );
    check(
        "rewards",
        "id,accountId,userId,referralId,type,amount,currency,status,createdAt\nR1,A1,U1,F1,credit,10.00,EUR,pending,t\n",
        "{\"id\":\"R1\",\"accountId\":\"A1\",\"userId\":\"U1\",\"amount\":12.5}\n{\"id\":\"R1\",\"accountId\":\"A1\",\"userId\":\"U2\"}\n",
        "reward",
        "SELECT c.id, r.id, amount, currency FROM rewards r JOIN customers c USING (customer) ORDER BY 1",
        &["U1|R1|12.5|-", "U2|R1|-|-"],
    );
    check(
        "events",
        "id,accountId,userId,name,occurredAt,properties\nE1,A1,U1,buy,t,\"{\"\"a\"\": 1}\"\n",
        "{\"id\":\"E1\",\"accountId\":\"A1\",\"userId\":\"U1\",\"properties\":{\"b\": 2}}\n{\"id\":\"E2\",\"accountId\":\"A1\",\"userId\":\"U1\"}\n",
        "event",
        "SELECT c.id, e.id, name, properties FROM events e JOIN customers c USING (customer) ORDER BY 2",
        &["U1|E1|-|{\"b\":2}", "U1|E2|-|-"],
    );
    check(
        "fields",
        "accountId,userId,name,value\nA1,U1,size,XL\n",
        "{\"accountId\":\"A1\",\"userId\":\"U1\",\"name\":\"size\",\"value\":\"S\"}\n{\"accountId\":\"A1\",\"userId\":\"U2\",\"name\":\"size\",\"value\":5}\n",
        "custom field",
        "SELECT c.id, name, value FROM custom_fields f JOIN customers c USING (customer) ORDER BY 1",
        &["U1|size|S", "U2|size|5"],
    );
    assert_eq!(
        rows(&world, "SELECT accountId, id, email, lastName FROM customers ORDER BY customer"),
        ["A1|U1|Ann@X.Example|Lee", "A1|U2|new@x.example|-", "A2|U3|-|Ray", "A3|4|-|-"]
    );
}

#[test]
fn bad_rows_are_listed_by_line_without_their_values() {
    let world = peopled();
    let ran = load(&world, "customers", "c.csv", "accountId,id,email\nA9,U8,secret@@x.example\nA9,U9,ok@x.example\nA9,,z@x.example\n")
        .exits(3)
        .says("loaded 1 customer (1 new, 0 replaced), 2 bad rows");
    assert_eq!(
        ran.stderr,
        "line 2: email: not one e-mail address; write exactly one address a row, without a name or brackets (email_malformed)\n\
         line 4: id: there is no value; write one, or leave the row out (missing)\n"
    );
    load(&world, "events", "e.csv", "id,accountId,userId\nE9,A9,secret\n")
        .exits(3)
        .says("loaded 0 events (0 new, 0 replaced), 1 bad row")
        .warns("line 2: userId: the tenant has no such customer; load the customers first (unknown_customer)");
    let many = format!("id\n{}", (0..250).fold(String::new(), |text, n| text + &format!("F{n}\n")));
    let ran = load(&world, "referrals", "r.csv", &many).exits(3).warns("line 101: ").warns("and 150 more");
    assert!(!ran.stderr.contains("line 102: ") && ran.stderr.lines().count() == 101, "{ran}");

    world.write("c.csv", "accountId,id,email\nA9,U8,secret@@x.example\n");
    let ran = world.expunged(["load", "customers", "c.csv", "--tenant", "acme", "--json"]).exits(3);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&json["kind"], &json["loaded"], &json["bad"]), (&"customers".into(), &0.into(), &1.into()), "{ran}");
    assert_eq!((&json["bad_rows"][0]["line"], &json["bad_rows"][0]["reason"]), (&2.into(), &"email_malformed".into()), "{ran}");
    assert!(!ran.stdout.contains("secret") && ran.stderr.is_empty(), "{ran}");
}

#[test]
fn a_faulty_file_is_refused_whole_and_each_refusal_has_its_exit_code() {
    let world = peopled();
    let before = rows(&world, "SELECT * FROM customers");
    load(&world, "customers", "c.csv", "accountId,email\nA,x@x.example\n")
        .exits(6)
        .warns("c.csv: line 1: no column \"id\"")
        .warns("nothing was loaded");
    load(&world, "customers", "c.csv", "accountId,Id\nA,1\n").exits(6).warns("must be spelt \"id\"");
    load(&world, "customers", "c.csv", "accountId,id\nA,1\n\"A,2\n").exits(6).warns("quote_not_closed");
    load(&world, "customers", "c.csv", "").exits(6).warns("the file is empty");
    load(&world, "customers", "c.csv", "accountId,id\n").exits(0).says("loaded 0 customers");
    load(&world, "customers", "c.xlsx", "").exits(2).warns("\"c.xlsx\" does not end in .csv");
    load(&world, "customers", "c.csv.gz", "").exits(2).warns("gunzip");
    load(&world, "people", "c.csv", "accountId,id\n").exits(2);
    world
        .expunged(["load", "customers", "gone.csv", "--tenant", "acme"])
        .exits(4)
        .warns("cannot open \"gone.csv\": No such file or directory");
    world.expunged(["load", "customers", "c.csv", "--tenant", "nobody"]).exits(4).warns("no tenant \"nobody\"");
    std::fs::create_dir(world.path("dir.csv")).unwrap();
    world.expunged(["load", "customers", "dir.csv", "--tenant", "acme"]).exits(2).warns("is a folder");
    assert_eq!(rows(&world, "SELECT * FROM customers"), before);
}

#[test]
fn two_tenants_are_apart() {
    let world = peopled();
    let before = rows(&world, "SELECT * FROM customers ORDER BY customer");
    let other = |kind: &str, file: &str| world.expunged(["load", kind, file, "--tenant", "acme-2"]);
    other("events", "e.csv").exits(3).says("loaded 0 events").warns("unknown_customer");
    world.expunged(["customers", "find", "Ann", "--tenant", "acme-2"]).exits(4).warns("nobody of \"acme-2\"");
    world.expunged(["customers", "show", "--tenant", "acme-2", "--account", "A1", "--id", "U1"]).exits(4);
    world.write("c2.csv", "accountId,id,email\nA1,U1,other@x.example\n");
    other("customers", "c2.csv").exits(0).says("loaded 1 customer (1 new, 0 replaced)");
    assert_eq!(rows(&world, "SELECT * FROM customers WHERE tenant = 'acme' ORDER BY customer"), before);
    world.expunged(["customers", "find", "U1", "--tenant", "acme-2"]).exits(0).says("other@x.example");
}

#[test]
fn whoever_is_suppressed_is_refused() {
    let world = peopled();
    let key: [u8; 32] = hex::decode(world.read("data/keys/identity.key").trim()).unwrap().try_into().unwrap();
    let key = expunged::domain::IdentityKey::new(key);
    let acme = expunged::domain::TenantName::parse("acme").unwrap();
    let email = expunged::domain::Email::parse("eve@x.example").unwrap();
    let store = Connection::open(world.path("data/store.db")).unwrap();
    for (kind, identity) in
        [("pair", key.pair(&acme, "A1", "U9")), ("email", key.email(&acme, &email)), ("pair", key.pair(&acme, "A1", "U1"))]
    {
        let sql = "INSERT INTO expunged_suppressions VALUES ('acme', ?1, ?2, 1, '2026-01-01T00:00:00Z')";
        store.execute(sql, (kind, &identity.as_bytes()[..])).unwrap();
    }
    drop(store);
    load(&world, "customers", "c.csv", "accountId,id,email\nA1,U9,\nA1,U8,EVE@x.example\nA1,U7,\n")
        .exits(3)
        .says("loaded 1 customer (1 new, 0 replaced), 2 bad rows")
        .warns("line 2: id: this person must not be registered again (do not track) (suppressed)")
        .warns("line 3: email: this person");
    load(&world, "fields", "f.csv", "accountId,userId,name\nA1,U1,n\n").exits(3).warns("(suppressed)");
    world.expunged(["customers", "show", "--tenant", "acme", "--account", "A1", "--id", "U9"]).exits(4).warns("suppressed");
    world.expunged(["customers", "show", "--tenant", "acme", "--account", "A1", "--id", "U1"]).exits(0).says("suppressed: account and id");
}

/// Starts to load customers, and does not wait.
fn start(world: &World, file: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_expunged"));
    command.args(["load", "customers", file, "--tenant", "acme"]).current_dir(world.path(""));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a command that runs")
}

/// Spins until a condition holds; `false` when the process ended first.
fn while_it_runs(child: &mut Child, condition: impl Fn() -> bool) -> bool {
    while !condition() {
        if child.try_wait().expect("a process of ours").is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

fn kill(mut child: Child) {
    child.kill().expect("a process to kill");
    child.wait().expect("a killed process");
}

const MANY: usize = 60_000;

/// Customers of accounts `B…`, in no order that a table has.
fn many() -> String {
    (0..MANY).fold(String::from("accountId,id,email\n"), |mut text, n| {
        let _ = writeln!(text, "B{},V{n},p{n}@x.example", n * 7_919 % MANY);
        text
    })
}

/// How many of [`many`] are there, once it is sure that the store is sound.
fn found_of_many(world: &World) -> usize {
    assert_eq!(rows(world, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(rows(world, "PRAGMA foreign_key_check"), Vec::<String>::new());
    rows(world, "SELECT count(*) FROM customers WHERE accountId LIKE 'B%'")[0].parse().expect("a number")
}

#[test]
fn a_load_that_is_killed_while_it_reads_leaves_nothing() {
    let world = peopled();
    world.run("mkfifo", ["pipe.csv"]).exits(0);
    let text = many();
    let child = start(&world, "pipe.csv");
    // The pipe holds 64 KiB: all but that much was read when the write returns.
    let mut pipe = std::fs::File::options().write(true).open(world.path("pipe.csv")).unwrap();
    pipe.write_all(&text.as_bytes()[..text.len() / 2]).unwrap();
    kill(child);
    drop(pipe);
    assert_eq!(found_of_many(&world), 0);
    assert_eq!(rows(&world, "SELECT count(*) FROM accounts WHERE accountId LIKE 'B%'"), ["0"]);
}

#[test]
fn a_load_that_is_killed_while_it_writes_leaves_all_of_the_file_or_nothing() {
    let world = peopled();
    world.write("big.csv", many());
    let log = world.path("data/store.db-wal");
    let mut kills = 0;
    for mebibytes in 0..12 {
        let mut child = start(&world, "big.csv");
        let written = || std::fs::metadata(&log).is_ok_and(|meta| meta.len() > mebibytes << 20);
        if while_it_runs(&mut child, written) {
            kill(child);
            kills += 1;
        }
        let found = found_of_many(&world);
        assert!(found == 0 || found == MANY, "{found} of {MANY} after {mebibytes} MiB");
        let store = Connection::open(world.path("data/store.db")).unwrap();
        store.execute_batch("DELETE FROM customers WHERE accountId LIKE 'B%'; DELETE FROM accounts WHERE accountId LIKE 'B%'").unwrap();
    }
    assert!(kills >= 3, "only {kills} loads were killed");
    world.expunged(["load", "customers", "big.csv", "--tenant", "acme"]).exits(0);
    assert_eq!(found_of_many(&world), MANY);
}

#[test]
fn customers_are_found_by_name_address_and_id() {
    let world = peopled();
    let find = |text: &str| world.expunged(["customers", "find", text, "--tenant", "acme"]);
    let ran = find("lee").exits(0);
    assert_eq!(
        ran.stdout,
        "ACCOUNT  ID  NAME     EMAIL\n\
         A1       U1  Ann Lee  ann@x.example\n\
         A1       U2  Bob Lee  bob@x.example\n"
    );
    assert_eq!(ran.stderr, "");
    find("ANN").exits(0).says("Ann Lee").says("Joanna Ray");
    find("U3").exits(0).says("Joanna Ray");
    find("%").exits(4).warns("nobody of \"acme\" has such a name, address or id");
    find(" ").exits(2).warns("nothing to look for");
    find("ann@x.example").exits(0).says("Ann Lee").warns("shell's history").warns("customers find - --tenant acme");
    world.expunged(["customers", "find", "x", "--tenant", "nobody"]).exits(4).warns("no tenant \"nobody\"");

    let ran = with_input(&world, &["customers", "find", "-", "--tenant", "acme"], "ANN@x.example\n").exits(0);
    assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (2, ""), "{ran}");
    with_input(&world, &["customers", "find", "-", "--tenant", "acme"], "").exits(2);
    let ran = world.expunged(["customers", "find", "U3", "--tenant", "acme", "--json"]).exits(0);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = serde_json::json!({ "accountId": "A2", "id": "U3", "name": "Joanna Ray", "email": null });
    assert_eq!((&json["customers"], &json["more"]), (&serde_json::json!([expected]), &false.into()), "{ran}");
}

#[test]
fn a_search_shows_a_hundred_whoever_is_meant_exactly_first() {
    let world = world();
    let mut text = String::from("accountId,id,firstName\n");
    for n in 0..150 {
        let _ = writeln!(text, "A,{n},Ann");
    }
    load(&world, "customers", "c.csv", &(text + "A,Ann,Zoe\n")).exits(0);
    let ran = world.expunged(["customers", "find", "Ann", "--tenant", "acme"]).exits(0).warns("51 more are not shown");
    assert_eq!(ran.stdout.lines().count(), 101, "{ran}");
    assert!(ran.stdout.lines().nth(1).is_some_and(|line| line.contains("Zoe")), "{ran}");
}

#[test]
fn everything_held_about_one_person_is_shown() {
    let world = peopled();
    let show = ["customers", "show", "--tenant", "acme", "--account", "A1", "--id", "U1"];
    let ran = world.expunged(show).exits(0);
    for text in [
        "  email            Ann@X.Example\n",
        "accounts:\n",
        "events: 2 rows\n",
        "{\"a\":1}",
        "  value     XL\n",
        "rewards:\n",
        "referrals:\n",
        "suppressed: no\n",
    ] {
        assert!(ran.stdout.contains(text), "{text:?}\n{ran}");
    }
    assert!(!ran.stdout.contains("Bob") && !ran.stdout.contains("Joanna"), "{ran}");
    let ran = world.expunged(show.into_iter().chain(["--json"])).exits(0);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let tables: Vec<_> =
        json["tables"].as_array().unwrap().iter().map(|table| (&table["table"], table["rows"].as_array().unwrap().len())).collect();
    let expected = [("customers", 1), ("accounts", 1), ("rewards", 1), ("events", 2), ("custom_fields", 1), ("referrals", 1)];
    assert_eq!(
        tables,
        expected.map(|(table, rows)| (serde_json::Value::from(table), rows)).iter().map(|(table, rows)| (table, *rows)).collect::<Vec<_>>()
    );
    assert_eq!(json["tables"][0]["rows"][0]["firstName"], "Ann");
    assert_eq!(json["suppressed"], serde_json::json!({ "pair": false, "address": false }));
    world
        .expunged(["customers", "show", "--tenant", "acme", "--account", "A1", "--id", "U3"])
        .exits(4)
        .warns("no customer of this account and id");
}

#[test]
fn a_store_that_another_writes_to_is_waited_for() {
    let world = world();
    world.write("c.csv", CUSTOMERS);
    let store = Connection::open(world.path("data/store.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut child = start(&world, "c.csv");
    let (open_files, file) = (format!("/proc/{}/fd", child.id()), world.path("data/store.db").canonicalize().unwrap());
    let opened = || {
        let mut files = std::fs::read_dir(&open_files).into_iter().flatten().flatten();
        files.any(|entry| std::fs::read_link(entry.path()).is_ok_and(|link| link == file))
    };
    assert!(while_it_runs(&mut child, opened), "it ended without the store");
    assert_eq!(child.try_wait().unwrap(), None);
    store.execute_batch("ROLLBACK").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(rows(&world, "SELECT count(*) FROM customers"), ["3"]);
}
