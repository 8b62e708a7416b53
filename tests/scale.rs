//! Much at once, as far as a build server bears it in a debug build. Larger numbers are the bench's.

use serde_json::Value;

use crate::people;
use crate::world::World;

/// Every import ended and archived, and so many of them.
fn archived(world: &World, count: i64) -> bool {
    world.sql::<i64>("SELECT count(*) FROM expunged_imports WHERE archived") == count
}

/// All reports of a tenant.
fn reports(world: &World, tenant: &str) -> Vec<Value> {
    let names = world.files(tenant, "archive").into_iter().filter(|name| name.ends_with(".report.json"));
    let read = |name: String| serde_json::from_slice(&std::fs::read(world.folder(tenant, "archive").join(name)).expect("a report"));
    names.map(|name| read(name).expect("whole JSON")).collect()
}

fn total(reports: &[Value], outcome: &str) -> u64 {
    reports.iter().map(|report| report["rows"][outcome].as_u64().expect("a count")).sum()
}

#[test]
fn fifty_thousand_rows_against_two_hundred_thousand_customers() {
    let mut world = World::new();
    world.tenant("acme");
    people::load_bare(&world, "acme", 200_000);
    world.start();
    let mut list = people::email_csv("acme", (0..200_000).step_by(5));
    list.push_str(&people::email_csv("nobody", 0..5_000)["Customer Email\n".len()..]);
    list.push_str(&people::email_csv("acme", (0..20_000).step_by(5))["Customer Email\n".len()..]);
    list.push_str(&"not-an-address\n".repeat(1_000));
    world.put("acme", "many.csv", &list);
    world.eventually("the end", || archived(&world, 1).then_some(()));
    let report = world.report("acme", "many.csv");
    assert_eq!(
        report["rows"],
        serde_json::json!({ "read": 50_000, "deleted": 40_000, "not_found": 5_000, "duplicate": 4_000, "invalid": 1_000, "exempt": 0, "skipped": 0 })
    );
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 160_000);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers WHERE CAST(substr(id, 2) AS INTEGER) % 5 = 0"), 0);
    let results = world.files("acme", "archive").into_iter().find(|name| name.ends_with(".results.csv")).expect("results");
    let results = std::fs::read_to_string(world.folder("acme", "archive").join(results)).expect("text");
    assert_eq!(results.lines().count(), 50_001);
    assert_eq!(results.lines().filter(|line| line.contains(",deleted,")).count(), 40_000);
    assert!(!results.contains('@'));
}

#[test]
fn twenty_files_at_once_from_five_tenants() {
    let mut world = World::new();
    let tenants = ["acme", "acme-2", "berta", "caesar", "dora"];
    for tenant in tenants {
        world.tenant(tenant);
        people::load_bare(&world, tenant, 500);
    }
    world.start();
    let address = world.address();
    std::thread::scope(|scope| {
        for tenant in tenants {
            for n in 0..4 {
                let sender = world.sender(tenant);
                let local = world.write(&format!("{tenant}-{n}"), people::email_csv(tenant, n * 100..n * 100 + 110));
                scope.spawn(move || assert!(sender.puts(address, &local, &format!("list{n}.csv")), "{tenant} {n}"));
            }
        }
    });
    world.eventually("all end", || archived(&world, 20).then_some(()));
    for tenant in tenants {
        let reports = reports(&world, tenant);
        // Neighbouring lists share ten people: who comes second does not find them.
        let counts = ["read", "deleted", "not_found"].map(|outcome| total(&reports, outcome));
        assert_eq!((reports.len(), counts), (4, [440, 410, 30]), "{tenant}");
        assert_eq!(world.sql::<i64>(&format!("SELECT count(*) FROM customers WHERE tenant = '{tenant}'")), 90);
    }
}

#[test]
fn a_thousand_files_that_came_while_the_daemon_was_down() {
    let mut world = World::in_memory();
    world.set("pipeline", "settle_seconds", "0");
    for tenant in ["acme", "acme-2"] {
        world.tenant(tenant);
        people::load_bare(&world, tenant, 1_000);
        for n in 0..500 {
            let path = world.folder(tenant, "inbox").join(format!("night{n}.csv"));
            std::fs::write(path, people::email_csv(tenant, [n, n + 1])).expect("writable");
        }
    }
    world.start();
    world.eventually("all end", || archived(&world, 1_000).then_some(()));
    for tenant in ["acme", "acme-2"] {
        let reports = reports(&world, tenant);
        let counts = ["read", "deleted", "not_found"].map(|outcome| total(&reports, outcome));
        assert_eq!((reports.len(), counts), (500, [1_000, 501, 499]));
        assert_eq!(world.sql::<i64>(&format!("SELECT count(*) FROM customers WHERE tenant = '{tenant}'")), 499);
        let names: std::collections::BTreeSet<&str> = reports.iter().map(|report| report["file"].as_str().expect("a name")).collect();
        assert_eq!(names.len(), 500, "each once");
        assert!(world.files(tenant, "inbox").is_empty() && world.files(tenant, "processing").is_empty());
    }
}
