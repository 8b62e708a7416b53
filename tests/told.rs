//! What operators and senders are told: log lines, lists, statuses, and that they say what to do next.

use crate::people;
use crate::world::World;

fn world() -> World {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.set("pipeline", "scan_interval_seconds", "1");
    world.tenant("acme");
    people::load(&world, "acme", 12);
    world.start();
    world
}

/// The one line of the log that holds all of these words, once it is there.
fn line(world: &World, words: &[&str]) -> String {
    world.eventually(&format!("a line with {words:?}"), || {
        let log = world.log();
        log.lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
    })
}

fn json(world: &World, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&world.run(&[args, &["--json"]].concat()).exits(0).stdout).expect("JSON")
}

#[test]
fn a_rehearsal_is_never_told_as_a_deletion() {
    let world = world();
    world.sftp("acme", &format!("put {} /check/june.csv\n", world.write("june", people::email_csv("acme", 0..2)).display())).exits(0);
    let told = line(&world, &["import ended", "june.csv"]);
    assert!(told.contains(" would_delete=2") && !told.contains(" deleted="), "{told}");
    world.put("acme", "july.csv", people::email_csv("acme", [5]));
    let told = line(&world, &["import ended", "july.csv"]);
    assert!(told.contains(" deleted=1") && !told.contains("would_delete"), "{told}");

    let listed = json(&world, &["imports", "list"]);
    let [purge, check] = [0, 1].map(|at| &listed["imports"][at]["rows"]);
    assert_eq!((&purge["deleted"], &purge["would_delete"]), (&1.into(), &serde_json::Value::Null), "{listed}");
    assert_eq!((&check["deleted"], &check["would_delete"]), (&serde_json::Value::Null, &2.into()), "{listed}");
    let list = world.run(&["imports", "list"]).exits(0).says("DELETED  WOULD DELETE");
    let column = list.stdout.find("WOULD DELETE").expect("a column");
    let cells: Vec<&str> = list.stdout.lines().map(|line| line[column..].split_whitespace().next().expect("a cell")).collect();
    assert_eq!(cells[2], "2", "{}", list.stdout);
    world.run(&["imports", "show", "1"]).exits(0).says("mode      check: nothing is deleted").says("2 would delete");
}
