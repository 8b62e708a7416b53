//! Every order in which a list and its checksum can come, on one day and the next.

use std::fs;

use sha2::{Digest, Sha256};

use crate::people;
use crate::world::World;

fn world(options: &[(&str, &str)]) -> World {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.set("pipeline", "scan_interval_seconds", "3600");
    for (option, value) in options {
        world.set("pipeline", option, value);
    }
    world.tenant("acme");
    people::load(&world, "acme", 20);
    world.start();
    world
}

/// A list whose last row only a checksum vouches for.
fn open(n: usize) -> String {
    people::email_csv("acme", [n]).trim_end().to_owned()
}

fn sum(list: &str) -> String {
    format!("{}  june.csv\n", hex::encode(Sha256::digest(list)))
}

/// What became of the import of this number, by its report.
fn outcome(world: &World, import: u64) -> String {
    let report = world.eventually(&format!("the report of import {import}"), || {
        let shown = world.run(&["imports", "show", &import.to_string(), "--json"]);
        let import: serde_json::Value = serde_json::from_str(&shown.stdout).ok()?;
        let report = import["report"].clone();
        (import["archived"] == true && report.is_object()).then_some(report)
    });
    let (status, rows) = (report["status"].as_str().expect("a status"), &report["rows"]);
    match report["reason"].as_str() {
        Some(reason) => format!("{status} {reason}"),
        None => format!("{status} deleted={} invalid={}", rows["deleted"], rows["invalid"]),
    }
}

#[test]
fn a_name_that_leaves_no_room_for_that_of_its_checksum_is_refused_at_once() {
    let mut world = world(&[]);
    world.set_tenant("acme", "require_checksum", "true");
    world.stop();
    world.start();
    let local = world.write("list", open(1));
    let put = |name: &str| world.sftp("acme", &format!("put {} {name}\n", local.display()));
    let [longest, longer] = [207, 208].map(|stem| format!("{}.csv", "x".repeat(stem)));
    let told = |reason: &str| fs::read_to_string(world.folder("acme", "status").join("recent.log")).expect("a log").contains(reason);
    put(&longer).exits(1);
    assert!(told("upload refused: the name is longer than 211 bytes"));
    put("june.part").exits(0);
    world.sftp("acme", &format!("rename june.part {longer}\n")).exits(1);
    put(&longest).exits(0);
    world.sftp("acme", "put list x\\\\y.csv\n").exits(1);
    assert!(told("the name must not hold \"\\\""));
}

/// A job that was cut between a list and its checksum, and runs again from its start.
#[test]
fn what_waits_already_may_be_sent_again_and_nothing_else_in_its_place() {
    let mut world = world(&[]);
    world.set_tenant("acme", "require_checksum", "true");
    world.stop();
    world.start();
    for _ in 0..2 {
        world.put("acme", "june.csv.sha256", sum(&open(1)));
    }
    world.put("acme", "june.csv", open(1));
    assert_eq!(outcome(&world, 1), "completed deleted=1 invalid=0");
    for _ in 0..2 {
        world.put("acme", "june.csv", open(2));
    }
    let other = world.write("other", open(3));
    world.sftp("acme", &format!("put {} june.csv\n", other.display())).exits(1);
    world.put("acme", "june.csv.sha256", sum(&open(2)));
    assert_eq!(outcome(&world, 2), "completed deleted=1 invalid=0");
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM expunged_imports"), 2);
}

#[test]
fn a_checksum_speaks_for_the_file_that_comes_after_it_whatever_lies_between() {
    let mut world = world(&[]);
    world.put("acme", "june.csv.sha256", sum(&open(1)));
    world.stop();
    world.start();
    world.put("acme", "june.csv", open(1));
    assert_eq!(outcome(&world, 1), "completed deleted=1 invalid=0");
    assert!(world.log().contains("with_checksum=true"), "{}", world.log());
    assert!(world.status("acme", "june.csv.sha256").is_none(), "nothing is said to wait for ever");
    // The next day's, and the same again.
    for (import, n) in [(2, 2), (3, 2)] {
        world.put("acme", "june.csv.sha256", sum(&open(n)));
        world.put("acme", "june.csv", open(n));
        assert_eq!(outcome(&world, import).split_once(' ').expect("words").0, "completed");
    }
}

#[test]
fn a_checksum_that_is_moved_in_while_its_file_settles_speaks_for_it() {
    let world = world(&[("settle_seconds", "2")]);
    fs::write(world.folder("acme", "inbox").join("june.csv"), open(1)).expect("writable");
    world.eventually("the file is seen", || world.status("acme", "june.csv"));
    fs::write(world.folder("acme", "inbox").join("june.csv.sha256"), sum(&open(1))).expect("writable");
    assert_eq!(outcome(&world, 1), "completed deleted=1 invalid=0");
}

#[test]
fn a_list_that_was_not_trusted_is_sent_again_after_its_checksum() {
    let world = world(&[]);
    world.put("acme", "june.csv", open(1));
    assert_eq!(outcome(&world, 1), "rejected unterminated_only_row");
    world.put("acme", "june.csv.sha256", sum(&open(1)));
    world.put("acme", "june.csv", open(1));
    assert_eq!(outcome(&world, 2), "completed deleted=1 invalid=0");
}

#[test]
fn a_checksum_that_came_after_its_file_is_retired_before_the_next_day() {
    let world = world(&[("checksum_wait_seconds", "1")]);
    world.put("acme", "june.csv", people::email_csv("acme", [1]));
    assert_eq!(outcome(&world, 1), "completed deleted=1 invalid=0");
    world.put("acme", "june.csv.sha256", sum(&people::email_csv("acme", [1])));
    assert_eq!(outcome(&world, 2), "rejected checksum_orphan");
    assert!(world.log().contains("checksum retired: its file did not come"), "{}", world.log());
    world.put("acme", "june.csv", people::email_csv("acme", [2]));
    assert_eq!(outcome(&world, 3), "completed deleted=1 invalid=0");
    world.put("acme", "june.csv.sha256", sum(&open(3)));
    world.put("acme", "june.csv", open(3));
    assert_eq!(outcome(&world, 4), "completed deleted=1 invalid=0");
}

#[test]
fn a_checksum_that_came_after_its_file_is_named_where_the_next_one_meets_it() {
    let world = world(&[]);
    world.put("acme", "june.csv", people::email_csv("acme", [1]));
    assert_eq!(outcome(&world, 1), "completed deleted=1 invalid=0");
    world.put("acme", "june.csv.sha256", sum(&people::email_csv("acme", [1])));
    world.put("acme", "june.csv", open(2));
    assert_eq!(outcome(&world, 2), "rejected checksum_mismatch");
    let status = world.eventually("its end", || world.status("acme", "june.csv").filter(|status| status["state"] == "rejected"));
    let message = status["message"].as_str().expect("a message");
    assert!(message.contains("an earlier file of this name (import 1); send NAME.sha256 before NAME"), "{message}");
    world.put("acme", "june.csv.sha256", sum(&open(2)));
    world.put("acme", "june.csv", open(2));
    assert_eq!(outcome(&world, 3), "completed deleted=1 invalid=0");
}

#[test]
fn a_checksum_older_than_an_earlier_file_of_its_name_judges_no_later_one() {
    let mut world = world(&[]);
    world.put("acme", "june.csv.sha256", sum(&open(1)));
    world.stop();
    // An operator set the folder aside, and puts it back later.
    let (inbox, aside) = (world.folder("acme", "inbox"), world.outside("aside"));
    world.moves(&inbox, &aside);
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", [1]));
    assert_eq!(outcome(&world, 1), "completed deleted=1 invalid=0");
    world.stop();
    fs::remove_dir(&inbox).expect("empty");
    world.moves(&aside, &inbox);
    fs::write(inbox.join("june.csv"), people::email_csv("acme", [2])).expect("writable");
    world.start();
    let ends = [outcome(&world, 2), outcome(&world, 3)];
    assert!(ends.contains(&"rejected checksum_orphan".to_owned()), "{ends:?}");
    assert!(ends.contains(&"completed deleted=1 invalid=0".to_owned()), "{ends:?}");
    let log = world.log();
    let retired = log.lines().find(|line| line.contains("checksum retired")).expect("it is told");
    for words in ["WARN", "tenant=acme", "file=\"june.csv.sha256\"", "age_seconds=", "taken_without=1"] {
        assert!(retired.contains(words), "{words}: {retired}");
    }
}

#[test]
fn a_quiet_nights_empty_json_lines_are_believed_where_a_checksum_vouches() {
    let world = world(&[]);
    world.put("acme", "june.jsonl", "");
    assert_eq!(outcome(&world, 1), "rejected empty_file");
    world.put("acme", "june.jsonl.sha256", format!("{}\n", hex::encode(Sha256::digest(""))));
    world.put("acme", "june.jsonl", "");
    assert_eq!(outcome(&world, 2), "completed deleted=0 invalid=0");
    assert!(world.files("acme", "archive").iter().any(|name| name.ends_with("2-june.jsonl.results.csv")));
}
