//! A fault stays small: what one store, tenant or file meets is no matter of the others, and mends without a restart.

use std::sync::mpsc;
use std::time::Duration;

use crate::people;
use crate::world::World;

fn world(tenants: &[&str], count: usize) -> World {
    let mut world = World::in_memory();
    for tenant in tenants {
        world.tenant(tenant);
        people::load(&world, tenant, count);
    }
    world.start();
    world
}

#[test]
fn a_store_that_another_writer_holds_delays_purges_and_neither_uploads_nor_the_stop() {
    let tenants = ["acme", "acme-2", "berta", "caesar", "dora", "emil"];
    let mut world = world(&tenants, 4);
    let other = rusqlite::Connection::open(world.home().join("data/store.db")).expect("the store opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    for tenant in tenants {
        world.put(tenant, "june.csv", people::email_csv(tenant, [0]));
    }
    world.eventually("the delay is told", || world.log().contains("WARN").then_some(()));
    world.put("acme", "july.csv", people::email_csv("acme", [1]));
    assert!(!world.log().contains("ERROR"), "it passes by itself\n{}", world.log());
    assert_eq!(world.stop().code(), Some(0), "{}", world.log());
    let log = world.log();
    let after = log.split_once("daemon stopping").expect("the stop is told").1;
    // The import at work gives up; one more may have begun while the stop was told.
    assert!(after.matches("import delayed").count() <= 2, "the other tenants' imports did not wait for the lock as well\n{log}");
    assert!(after.contains("daemon stopped"), "{log}");
    world.start_by(|world| world.command(&["serve"]));
    world.eventually("the start waits", || world.log().contains("start waits").then_some(()));
    other.execute_batch("COMMIT").expect("the lock is given back");
    for tenant in tenants {
        assert_eq!(world.report(tenant, "june.csv")["rows"]["deleted"], 1);
    }
    assert_eq!(world.report("acme", "july.csv")["rows"]["deleted"], 1);
}

#[test]
fn a_hangup_while_a_start_waits_is_taken_up_by_the_daemon_that_comes_of_it() {
    let mut world = world(&["acme"], 4);
    world.stop();
    let other = world.store();
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    world.start_by(|world| world.command(&["serve"]));
    world.eventually("the start waits", || world.log().contains("start waits").then_some(()));
    crate::world::signal("HUP", &[world.pid()]);
    other.execute_batch("COMMIT").expect("the lock is given back");
    world.eventually("the reload", || world.log().contains("tenants reloaded").then_some(()));
}

#[test]
fn an_application_that_writes_to_the_store_meanwhile_loses_nothing_and_gets_its_turn() {
    let mut world = World::in_memory();
    world.set("pipeline", "chunk_milliseconds", "10");
    world.tenant("acme");
    people::load(&world, "acme", 3_000);
    world.change("CREATE TABLE visits (n INTEGER PRIMARY KEY, customer INTEGER)");
    world.start();
    let path = world.home().join("data/store.db");
    let (stop, stopped) = mpsc::channel::<()>();
    let application = std::thread::spawn(move || {
        let c = rusqlite::Connection::open(path).expect("the store opens");
        // An application's own patience: a writer that is starved fails by it.
        c.busy_timeout(Duration::from_secs(5)).expect("a timeout");
        let (mut writes, mut between) = (0_i64, 0);
        while stopped.recv_timeout(Duration::from_millis(2)) == Err(mpsc::RecvTimeoutError::Timeout) {
            writes += 1;
            c.execute_batch("BEGIN IMMEDIATE").expect("its turn");
            let left: i64 = c.query_row("SELECT count(*) FROM customers", [], |row| row.get(0)).expect("a count");
            c.execute("INSERT INTO visits VALUES (?1, ?1)", [writes]).expect("a visit");
            let named = "UPDATE customers SET firstName = 'visited ' || ?1 WHERE id IN ('U1', 'U2')";
            c.execute(named, [writes]).expect("a name");
            c.execute_batch("COMMIT").expect("written");
            between += i64::from(left > 1_000 && left < 3_000);
        }
        (writes, between)
    });
    world.put("acme", "many.csv", people::email_csv("acme", (0..3_000).filter(|n| n % 3 != 1)));
    let report = world.report("acme", "many.csv");
    drop(stop);
    let (writes, between) = application.join().expect("no write failed");
    assert_eq!((&report["rows"]["deleted"], &report["removed"]["events"]), (&2_000.into(), &6_000.into()), "{report:#}");
    assert!(between > 0, "none of {writes} writes came between two chunks");
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM visits"), writes);
    assert_eq!(world.sql::<String>("SELECT firstName FROM customers WHERE id = 'U1'"), format!("visited {writes}"));
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers WHERE CAST(substr(id, 2) AS INTEGER) % 3 <> 1"), 0);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 1_000);
    assert_eq!(world.sql::<String>("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_short_list_does_not_wait_for_another_tenants_long_one() {
    let mut world = World::in_memory();
    world.set("pipeline", "chunk_milliseconds", "10");
    for (tenant, count) in [("acme", 50_000), ("berta", 4)] {
        world.tenant(tenant);
        people::load_bare(&world, tenant, count);
    }
    world.start();
    let store = rusqlite::Connection::open(world.home().join("data/store.db")).expect("the store opens");
    // Neither is taken before both are there, and the long one is the first.
    store.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    world.put("acme", "long.csv", people::email_csv("acme", 0..50_000));
    world.put("berta", "short.csv", people::email_csv("berta", [0]));
    store.execute_batch("COMMIT").expect("the lock is given back");
    assert_eq!(world.report("berta", "short.csv")["rows"]["deleted"], 1);
    assert_eq!(world.report("acme", "long.csv")["rows"]["deleted"], 50_000);
    // By what was written when each ended, as this test may look late.
    let order = world.sql_lines("SELECT file FROM expunged_imports ORDER BY finished_at");
    assert!(order[0].contains("short.csv") && order[1].contains("long.csv"), "{order:?}");
}

#[test]
fn a_claimed_file_that_is_gone_is_told_loudly_holds_up_no_other_tenant_and_can_be_put_back() {
    let mut world = World::in_memory();
    world.set("pipeline", "chunk_milliseconds", "10");
    for (tenant, count) in [("acme", 6_000), ("berta", 4)] {
        world.tenant(tenant);
        people::load(&world, tenant, count);
    }
    world.start();
    world.put("acme", "long.csv", people::email_csv("acme", 1..6_000));
    world.put("acme", "next.csv", people::email_csv("acme", [0]));
    let (queued, aside) = (world.folder("acme", "processing").join("2-next.csv"), world.outside("aside.csv"));
    world.eventually("the next one is queued", || queued.exists().then_some(()));
    let moves = |from: &std::path::Path, to: &std::path::Path| {
        assert!(std::process::Command::new("mv").arg(from).arg(to).status().expect("mv").success());
    };
    moves(&queued, &aside);
    world.eventually("it is told loudly", || {
        let told = world.log().lines().any(|line| line.contains("ERROR") && line.contains("the claimed file is gone"));
        told.then_some(())
    });
    world.put("berta", "short.csv", people::email_csv("berta", [0]));
    assert_eq!(world.report("berta", "short.csv")["rows"]["deleted"], 1);
    moves(&aside, &queued);
    assert_eq!(world.report("acme", "next.csv")["rows"]["deleted"], 1);
}

#[test]
fn a_faulty_tenants_file_disables_that_tenant_and_is_mended_without_a_restart() {
    let world = world(&["acme", "acme-2"], 4);
    let path = world.home().join("tenants.d/acme.toml");
    let sound = std::fs::read_to_string(&path).expect("text");
    std::fs::write(&path, format!("do_not_trak = true\n{sound}")).expect("writable");
    world.eventually("the fault is named with its line", || world.log().contains("acme.toml:1: do_not_trak").then_some(()));
    world.put("acme-2", "a.csv", people::email_csv("acme-2", [0]));
    world.report("acme-2", "a.csv");
    let address = world.address();
    let local = world.write("b.csv", people::email_csv("acme", [0]));
    world.eventually("its login is closed", || (!world.sender("acme").puts(address, &local, "b.csv")).then_some(()));
    std::fs::write(&path, sound).expect("writable");
    world.eventually("its login is open", || world.sender("acme").puts(address, &local, "c.csv").then_some(()));
    world.report("acme", "c.csv");
}

#[test]
fn every_line_of_a_json_log_is_one_object_that_says_what_happened() {
    let mut world = World::in_memory();
    world.set("log", "format", "\"json\"");
    world.tenant("acme");
    people::load(&world, "acme", 4);
    world.start_by(|world| world.command(&["serve"]));
    world.wait_for_address();
    world.put("acme", "june.csv", people::email_csv("acme", [0]) + "bad\n");
    world.report("acme", "june.csv");
    world.stop();
    let lines: Vec<serde_json::Value> = world.log().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let story = ["daemon ready", "session opened", "upload delivered", "file received", "file checked", "import ended", "daemon stopped"];
    for message in story {
        let count = lines.iter().filter(|line| line.to_string().contains(message)).count();
        assert_eq!(count, 1, "{message}\n{}", world.log());
    }
}
