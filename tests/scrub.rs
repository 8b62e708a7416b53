//! Nothing of a purged person is left in the store's files once the import's scrub receipt is there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::people;
use crate::signatures::every_signature_holds;
use crate::support::have;
use crate::world::{EXPUNGED, World};

/// Identifiers that occur nowhere by chance, and are no part of each other.
fn email(n: usize) -> String {
    format!("mail-{:016x}@{:08x}.example", scramble(n), scramble(n + 7_000_000) as u32)
}

fn account(n: usize) -> String {
    format!("acct-{:016x}", scramble(n / 2 + 1_000_000))
}

fn id(n: usize) -> String {
    format!("user-{:016x}", scramble(n + 2_000_000))
}

fn scramble(n: usize) -> u64 {
    let mut x = (n as u64).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Fills the store as an application would that never heard of secure_delete: in random order, then changed, with events
/// that need overflow pages.
fn fill(world: &World, tenant: &str, count: usize) {
    let store = rusqlite::Connection::open(world.home().join("data/store.db")).expect("the store opens");
    store.execute_batch("PRAGMA secure_delete = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN").expect("settings");
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|n| scramble(n + 5_000_000));
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| store.prepare_cached(sql).expect(sql).execute(values).expect(sql);
    for n in order {
        let (account, id, email, key) = (account(n), id(n), email(n), i64::try_from(n + 1).expect("small"));
        run("INSERT OR IGNORE INTO accounts VALUES (?1, ?2, '2026')", &[&tenant, &account]);
        run(
            "INSERT INTO customers (customer, tenant, accountId, id, email, emailNormalised, firstName) VALUES (?1, ?2, ?3, ?4, ?5, ?5, 'x')",
            &[&key, &tenant, &account, &id, &email],
        );
        let long =
            format!("{{\"note\":\"{}\",\"mail\":\"{email}\",\"more\":\"{}\"}}", "y".repeat(n % 9 * 1_000), "z".repeat(n % 5 * 1_500));
        for event in 0..3 {
            run("INSERT INTO events VALUES (?1, ?2, 'seen', '2026', ?3)", &[&key, &format!("{id}-{event}"), &long]);
        }
        run("INSERT INTO custom_fields VALUES (?1, 'contact', ?2)", &[&key, &format!("write to {email}")]);
        run("INSERT INTO rewards (customer, id, type) VALUES (?1, ?2, 'credit')", &[&key, &format!("r-{id}")]);
    }
    // Changes leave what was there before in free blocks, fragments and free pages.
    store
        .execute_batch(
            "UPDATE events SET properties = substr(properties, -1000) || 'changed' WHERE customer % 3 = 0;
         UPDATE custom_fields SET value = value || ' or call' WHERE customer % 2 = 0;
         UPDATE customers SET firstName = hex(randomblob(40)) WHERE customer % 5 = 0;
         DELETE FROM events WHERE customer % 7 = 0 AND id LIKE '%-2'; COMMIT; ANALYZE; PRAGMA wal_checkpoint(PASSIVE)",
        )
        .expect("changes");
}

/// Which needles stand in which files below the data folder, archive and sealed targets aside.
fn found(world: &World, needles: &BTreeSet<Vec<u8>>) -> BTreeSet<(String, usize)> {
    let mut hits = BTreeSet::new();
    look(&world.home().join("data"), &mut |path, bytes| {
        let count = needles_in(bytes, needles);
        if count > 0 {
            hits.insert((path.display().to_string(), count));
        }
    });
    hits
}

/// Every identifier begins with one of three words and is found by its bytes.
fn needles_in(bytes: &[u8], needles: &BTreeSet<Vec<u8>>) -> usize {
    let mut seen = BTreeSet::new();
    for start in [b"mail-", b"acct-", b"user-"] {
        for at in memchr::memmem::find_iter(bytes, start) {
            for length in [21, 38] {
                if let Some(needle) = bytes.get(at..at + length).and_then(|text| needles.get(text)) {
                    seen.insert(needle);
                }
            }
        }
    }
    seen.len()
}

fn look(folder: &Path, with: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            let sealed = name == "scrub" && folder.file_name().is_some_and(|data| data == "data");
            if name != "archive" && !sealed {
                look(&path, with);
            }
        } else if let Ok(bytes) = std::fs::read(&path) {
            with(&path, &bytes);
        }
    }
}

fn purged(people: impl Iterator<Item = usize> + Clone) -> BTreeSet<Vec<u8>> {
    people.flat_map(|n| [email(n), id(n)]).map(String::into_bytes).collect()
}

fn list(people: impl Iterator<Item = usize>) -> String {
    let mut text = String::from("accountId,id\n");
    people.for_each(|n| {
        let _ = writeln!(text, "{},{}", account(n), id(n));
    });
    text
}

fn receipt(world: &World, tenant: &str, ending: &str) -> serde_json::Value {
    let name = world.eventually("the scrub receipt", || world.files(tenant, "archive").into_iter().find(|name| name.ends_with(ending)));
    let text = std::fs::read_to_string(world.folder(tenant, "archive").join(name)).expect("readable");
    assert!(!text.contains('@') && !text.contains("mail-") && !text.contains("user-"), "{text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn nothing_of_a_purged_person_is_left_in_any_file_of_the_store() {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.set("pipeline", "chunk_milliseconds", "10");
    world.set("scrub", "after_rows", "1");
    world.tenant("acme");
    fill(&world, "acme", 3_000);
    let gone = || (0..3_000).filter(|n| n % 3 != 1);
    let needles = purged(gone());
    let before = found(&world, &needles);
    assert!(before.iter().any(|(_, count)| *count == needles.len()), "the same search finds them all before: {before:?}");
    let kept: BTreeSet<Vec<u8>> = purged((0..3_000).filter(|n| n % 3 == 1));

    world.start();
    let file = world.write("june.csv", list(gone()));
    world.move_in(&file, "acme", "june.csv");
    world.eventually("chunks run", || (world.sql::<i64>("SELECT count(*) FROM customers") < 2_900).then_some(()));
    world.kill();
    world.start();
    let report = world.report("acme", "june.csv");
    assert_eq!(report["rows"]["deleted"], 2_000);
    let receipt = receipt(&world, "acme", "june.csv.scrub.json");
    world.eventually("the sealed identifiers go", || {
        std::fs::read_dir(world.home().join("data/scrub")).ok()?.next().is_none().then_some(())
    });
    assert_eq!(found(&world, &needles), BTreeSet::new(), "while the daemon runs");
    world.stop();
    assert_eq!(found(&world, &needles), BTreeSet::new(), "after it has stopped");

    assert_eq!(receipt["clean"], true, "{receipt:#}");
    assert_eq!(receipt["method"], "dbpage");
    assert_eq!(receipt["content"]["identifiers"], 6_000, "{receipt:#}");
    assert!(receipt["structure"]["zeroed_bytes"].as_u64() > Some(100_000), "{receipt:#}");
    assert!(receipt["structure"]["samples_deleted"].as_u64() > Some(0), "{receipt:#}");
    assert_eq!(world.sql::<String>("PRAGMA integrity_check"), "ok");
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 1_000);
    let live = found(&world, &kept);
    assert!(live.iter().any(|(_, count)| *count == kept.len()), "whoever was not purged is there: {live:?}");
    let shown = world.run(&["imports", "show", "1"]).exits(0);
    assert!(shown.stdout.contains("nothing is left"), "{shown}");
}

#[test]
fn a_small_file_waits_for_its_scrub_and_the_command_runs_it_at_once() {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.tenant("acme");
    people::load(&world, "acme", 40);
    world.start();
    let file = world.write("june.csv", people::email_csv("acme", [1, 2, 30]));
    world.move_in(&file, "acme", "june.csv");
    world.report("acme", "june.csv");
    world.eventually("the archive", || world.files("acme", "processing").is_empty().then_some(()));
    world.run(&["imports", "show", "1"]).exits(0).says("to come");
    assert!(world.home().join("data/scrub/1").exists(), "sealed until it is searched for");

    world.run(&["scrub"]).exits(0).says("nothing is left").says("imports     1");
    assert!(!world.home().join("data/scrub/1").exists());
    let receipt = receipt(&world, "acme", "june.csv.scrub.json");
    assert_eq!(receipt["import"], 1);
    assert_eq!(receipt["report"], world.sql::<String>("SELECT report_sha256 FROM expunged_imports"));
    world.stop();
    let again = world.run(&["scrub", "--json"]).exits(0);
    let json: serde_json::Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!((&json["clean"], &json["imports"]), (&true.into(), &serde_json::json!([])), "in the daemon's place: {json:#}");
    let time = json["finished_at"].as_str().expect("a time");
    assert_eq!(time.len(), "2026-11-21T19:40:10Z".len(), "as in the receipts: {time}");
}

#[test]
fn what_others_still_hold_is_counted_apart_and_residue_is_named_by_table_and_column() {
    let world = World::new();
    world.tenant("acme");
    fill(&world, "acme", 20);
    let store = rusqlite::Connection::open(world.home().join("data/store.db")).expect("opens");
    store.execute_batch("CREATE TABLE mailings (n INTEGER PRIMARY KEY, sent_to TEXT, cc TEXT)").expect("made");
    store.execute("INSERT INTO mailings VALUES (1, ?1, ?1)", [format!("to: <{}>", email(4).to_uppercase())]).expect("put");
    store.execute("UPDATE custom_fields SET value = ?1 WHERE customer = 8", [format!("friend of {}", email(4))]).expect("put");
    drop(store);
    let file = world.write("one.csv", list([4].into_iter()));
    world.run(&["purge", file.to_str().expect("UTF-8"), "--tenant", "acme", "--yes", "1"]).exits(0);
    world
        .run(&["scrub"])
        .exits(3)
        .says("something is left")
        .says("  residue     2\n    mailings.cc       1\n    mailings.sent_to  1\n  kept ");
    let receipt = receipt(&world, "acme", "one.csv.scrub.json");
    assert_eq!(receipt["content"]["residue"], serde_json::json!({ "mailings.cc": 1, "mailings.sent_to": 1 }), "{receipt:#}");
    let held = serde_json::json!({ "accounts.accountId": 1, "custom_fields.value": 1, "customers.accountId": 1 });
    assert_eq!(receipt["content"]["still_held"], held, "{receipt:#}");
}

#[test]
fn a_receipt_that_is_not_clean_says_why_and_is_written_over_once_it_is() {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.tenant("acme");
    fill(&world, "acme", 20);
    world.change("CREATE TABLE mailings (n INTEGER PRIMARY KEY, sent_to TEXT)");
    world.change(&format!("INSERT INTO mailings VALUES (1, 'to {}')", email(4)));
    world.start();
    let file = world.write("one.csv", list([4].into_iter()));
    world.move_in(&file, "acme", "one.csv");
    world.report("acme", "one.csv");
    world.eventually("the archive", || world.files("acme", "processing").is_empty().then_some(()));
    world.run(&["scrub"]).exits(3).says("something is left");
    let first = receipt(&world, "acme", "one.csv.scrub.json");
    assert_eq!((&first["unclean"], &first["tries"]), (&serde_json::json!(["residue"]), &1.into()), "{first:#}");
    assert!(first["again_at"].is_string() && world.home().join("data/scrub/1").exists(), "kept for another scrub: {first:#}");
    let said = world.log();
    let said = said.lines().find(|line| line.contains("scrub not clean")).expect("a warning").to_owned();
    let fields =
        ["residue=1", "unsearched=0", "nonzero_bytes=0", "unread_pages=0", "undisturbed=true", "log_empty=true", "again_at=", "hint="];
    assert!(fields.iter().all(|field| said.contains(field)), "{said}");
    world.run(&["imports", "show", "1"]).exits(0).says("not clean (residue), again at");

    every_signature_holds(&world);

    world.change("DELETE FROM mailings");
    world.run(&["scrub"]).exits(0).says("nothing is left").says("imports     1");
    let second = receipt(&world, "acme", "one.csv.scrub.json");
    assert_eq!((&second["clean"], &second["unclean"]), (&true.into(), &serde_json::json!([])), "{second:#}");
    assert_eq!((&second["supersedes"], &second["tries"], &second["again_at"]), (&first["scrub"], &2.into(), &serde_json::Value::Null));
    assert!(!world.home().join("data/scrub/1").exists());
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM expunged_scrub_again"), 0);
    every_signature_holds(&world);
}

#[test]
fn imports_that_come_one_after_the_other_do_not_keep_a_scrub_from_its_evidence() {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.set("pipeline", "chunk_milliseconds", "10");
    world.set("scrub", "after_rows", "1");
    world.tenant("acme");
    fill(&world, "acme", 2_000);
    world.start();
    let mut receipts = Vec::new();
    for round in 0..40 {
        let name = format!("part{round:02}.csv");
        let file = world.write(&name, list((round * 50)..(round * 50 + 25)));
        world.move_in(&file, "acme", &name);
        receipts.push(format!("{name}.scrub.json"));
    }
    for ending in receipts {
        let receipt = receipt(&world, "acme", &ending);
        assert_eq!((&receipt["clean"], &receipt["tries"]), (&true.into(), &1.into()), "{receipt:#}");
    }
}

/// An application's ten people, whose keys are texts, and a daemon that holds a list of six of them.
fn six_of_ten_held(tenants: &[&str]) -> (World, rusqlite::Connection) {
    let mut world = World::new();
    for tenant in tenants {
        world.tenant(tenant);
        world.set_tenant(tenant, "hold_customers_above", "2");
        world.set_tenant(tenant, "hold_customers_percent_above", "25");
    }
    let app = rusqlite::Connection::open(world.outside("app.db")).expect("a database");
    app.execute_batch(
        "CREATE TABLE people (id TEXT PRIMARY KEY NOT NULL, mail TEXT, team TEXT NOT NULL DEFAULT 'acme');
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
         INSERT INTO people (id, mail) SELECT 'key-of-person-' || i, 'person' || i || '@acme.example' FROM n",
    )
    .expect("tables");
    let plan = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { column = 'team' }\naddress = { column = 'mail' }\n";
    world.write("plan.toml", plan);
    world.set("store", "database", "\"../app.db\"");
    world.set("store", "plan", "\"../plan.toml\"");
    world.start();
    world.put("acme", "many.csv", people::email_csv("acme", 0..6));
    world.eventually("it is held", || world.status("acme", "many.csv").filter(|status| status["state"] == "held"));
    (world, app)
}

#[test]
fn a_held_list_keeps_nothing_of_people_whom_another_list_took() {
    let (world, _) = six_of_ten_held(&["acme"]);
    world.put("acme", "two.csv", people::email_csv("acme", [1, 8]));
    assert_eq!(world.report("acme", "two.csv")["rows"]["deleted"], 2);
    world.run(&["scrub"]).exits(0);
    let receipt = receipt(&world, "acme", "-two.csv.scrub.json");
    assert_eq!(receipt["clean"], true, "{receipt}");

    world.run(&["imports", "approve", "1"]).exits(0);
    let rows = &world.report("acme", "many.csv")["rows"];
    assert_eq!((&rows["deleted"], &rows["not_found"]), (&5.into(), &1.into()), "whoever is left was approved: {rows}");
}

#[test]
fn a_held_list_keeps_no_key_that_was_another_tenants_persons_when_they_were_taken() {
    let (world, app) = six_of_ten_held(&["acme", "beta"]);
    app.execute_batch("UPDATE people SET team = 'beta', mail = 'person1@beta.example' WHERE id = 'key-of-person-1'").expect("given on");
    world.put("beta", "one.csv", people::email_csv("beta", [1]));
    assert_eq!(world.report("beta", "one.csv")["rows"]["deleted"], 1);
    world.run(&["scrub"]).exits(0);
    let receipt = receipt(&world, "beta", "-one.csv.scrub.json");
    assert_eq!(receipt["clean"], true, "{receipt}");

    world.run(&["imports", "approve", "1"]).exits(0);
    let rows = &world.report("acme", "many.csv")["rows"];
    assert_eq!((&rows["deleted"], &rows["not_found"]), (&5.into(), &1.into()), "{rows}");
}

#[test]
fn what_a_cancelled_import_took_is_scrubbed_too() {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.set("pipeline", "chunk_milliseconds", "10");
    world.set("scrub", "after_rows", "1000000000");
    world.tenant("acme");
    fill(&world, "acme", 3_000);
    // In the ledger's own table, which the plan's fit is not judged by: the second chunk never gets done.
    world.change(
        "CREATE TRIGGER slow BEFORE UPDATE OF cursor ON expunged_imports WHEN old.cursor IS NOT NULL AND new.cursor > old.cursor
            BEGIN SELECT raise(ABORT, 'not now'); END",
    );
    world.start();
    let file = world.write("june.csv", list(0..3_000));
    world.move_in(&file, "acme", "june.csv");
    world.eventually("a chunk is done", || (world.sql::<i64>("SELECT count(*) FROM customers") < 3_000).then_some(()));
    world.run(&["imports", "cancel", "1", "--why", "wrong list"]).exits(0);
    assert_eq!(world.report("acme", "june.csv")["status"], "stopped");
    world.eventually("the archive", || world.files("acme", "processing").is_empty().then_some(()));
    world.change("DROP TRIGGER slow");
    let left = world.sql::<i64>("SELECT count(*) FROM customers");
    assert!(left > 0, "the rest stays");
    world.run(&["scrub"]).exits(0).says("nothing is left").says("imports     1");
    let receipt = receipt(&world, "acme", "june.csv.scrub.json");
    assert_eq!((&receipt["clean"], &receipt["content"]["searched"]), (&true.into(), &true.into()), "{receipt:#}");
    let stay = (0..3_000).filter(|n| world.sql::<i64>(&format!("SELECT count(*) FROM customers WHERE customer = {}", n + 1)) == 1);
    let stay: BTreeSet<usize> = stay.collect();
    let gone: BTreeSet<Vec<u8>> = (0..3_000).filter(|n| !stay.contains(n)).map(|n| email(n).into_bytes()).collect();
    assert_eq!(gone.len(), 3_000 - stay.len());
    assert_eq!(found(&world, &gone), BTreeSet::new());
}

/// The calls after which something is durable or has another name.
const CALLS: &str = "fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,ftruncate";

#[test]
fn killed_at_every_durable_call_of_a_scrub_it_ends_with_its_receipt_and_nothing_left() {
    if !have("strace") {
        return;
    }
    let mut deaths = 0;
    for nth in 1.. {
        let mut world = World::new();
        world.set("pipeline", "settle_seconds", "0");
        world.tenant("acme");
        fill(&world, "acme", 60);
        let gone = || (0..60).filter(|n| n % 2 == 0);
        world.start();
        let file = world.write("june.csv", list(gone()));
        world.move_in(&file, "acme", "june.csv");
        world.report("acme", "june.csv");
        world.eventually("the archive", || world.files("acme", "processing").is_empty().then_some(()));
        world.stop();

        let mut command = Command::new("strace");
        command.args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={CALLS}"),
            "-e",
            &format!("inject={CALLS}:signal=KILL:when={nth}"),
        ]);
        command.arg(EXPUNGED).arg("--config").arg(world.home().join("expunged.toml")).arg("scrub");
        let died = !command.output().expect("strace runs").status.success();
        deaths += u32::from(died);
        every_signature_holds(&world);
        world.run(&["scrub"]).exits(0);
        every_signature_holds(&world);
        assert!(world.files("acme", "archive").iter().any(|name| name.ends_with(".scrub.json.sig")), "after a kill at call {nth}");
        let receipts: Vec<_> = world.files("acme", "archive").into_iter().filter(|name| name.ends_with(".scrub.json")).collect();
        assert_eq!(receipts.len(), 1, "after a kill at call {nth}: {receipts:?}");
        let receipt = receipt(&world, "acme", "june.csv.scrub.json");
        assert_eq!(
            (&receipt["clean"], &receipt["content"]["identifiers"]),
            (&true.into(), &90.into()),
            "after a kill at call {nth}: {receipt:#}"
        );
        let stored: String = world.sql("SELECT receipt FROM expunged_scrub_imports WHERE filed = 1");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&stored).expect("JSON"), receipt);
        assert_eq!(found(&world, &purged(gone())), BTreeSet::new(), "after a kill at call {nth}");
        assert_eq!(world.sql::<String>("PRAGMA integrity_check"), "ok");
        assert!(std::fs::read_dir(world.home().join("data/scrub")).expect("there").next().is_none());
        assert_eq!(world.sql::<i64>("SELECT count(*) FROM expunged_requests WHERE finished_at IS NULL"), 0);
        if !died {
            break;
        }
    }
    assert!(deaths >= 6, "only {deaths} kills: the calls are not seen");
}
