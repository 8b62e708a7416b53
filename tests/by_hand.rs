//! The commands beside a daemon and without one, and how a daemon stops.

use std::process::Stdio;

use crate::people;
use crate::support::Ran;
use crate::world::World;

fn world() -> World {
    let world = World::new();
    world.tenant("acme");
    people::load(&world, "acme", 10);
    world
}

fn customers(world: &World) -> i64 {
    world.sql("SELECT count(*) FROM customers")
}

fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|fault| panic!("{fault}\n{ran}"))
}

/// Every file of the data folder with its bytes.
fn bytes(world: &World) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    let mut folders = vec![world.home()];
    while let Some(folder) = folders.pop() {
        found.push((folder.display().to_string(), Vec::new()));
        for entry in std::fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry")) {
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path());
            } else {
                found.push((entry.path().display().to_string(), std::fs::read(entry.path()).expect("readable")));
            }
        }
    }
    found.sort();
    found
}

fn all_forms_of_purge(world: &World) {
    let list = world.write("list.csv", people::email_csv("acme", [0, 1]));
    let list = list.to_str().expect("UTF-8");
    // Not confirmed, or confirmed wrongly: nothing is deleted.
    world.run(&["purge", list, "--tenant", "acme"]).exits(2).warns("--yes 2");
    world.run(&["purge", list, "--tenant", "acme", "--yes", "3"]).exits(6).warns("2 people would be erased").warns("nothing was deleted");
    assert_eq!(customers(world), 10);
    world.run(&["purge", list, "--tenant", "acme", "--yes", "2", "--request", "CASE-7"]).exits(0).says("2 deleted");
    assert_eq!(customers(world), 8);

    world.run(&["purge", "--tenant", "acme", "--account", "A1", "--id", "U2", "--yes", "1"]).exits(0).says("1 deleted");
    world.run(&["purge", "--tenant", "acme", "--account", "A1", "--id", "U2", "--yes", "1"]).exits(4).warns("nobody of this tenant");
    world.run_with_input(&["purge", "--tenant", "acme", "--email", "--yes", "1"], "Person3@acme.example\n").exits(0).says("1 deleted");
    assert_eq!(customers(world), 6);

    let odd = world.write("odd.csv", "Kontakt\nperson4@acme.example\nnot-an-address\n");
    let odd = odd.to_str().expect("UTF-8");
    world
        .run(&["purge", odd, "--tenant", "acme", "--yes", "1"])
        .exits(6)
        .warns("no column \"Customer Email\"")
        .warns("nothing was deleted");
    let ran = world.run(&["purge", odd, "--tenant", "acme", "--yes", "1", "--map", "Kontakt=Customer Email", "--do-not-track", "--json"]);
    let report = json(&ran.exits(3).warns("line 3"));
    assert_eq!((&report["rows"]["deleted"], &report["rows"]["invalid"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(report["suppressed"], 2, "the address, and the pair that it named");
    assert_eq!(customers(world), 5);
    world.eventually("all are archived", || {
        let archived = world.files("acme", "archive").iter().filter(|name| name.ends_with(".report.json")).count();
        (archived == 4).then_some(())
    });
    assert!(world.files("acme", "processing").is_empty());
    assert!(std::fs::read_dir(world.home().join("data/requests")).expect("listed").next().is_none(), "no list is left behind");
    let shown = world.run(&["imports", "show", "1"]).exits(0).says("case      CASE-7").says("state     completed");
    assert!(!shown.stdout.contains('@'), "{shown}");
}

#[test]
fn a_list_by_hand_may_be_called_anything() {
    let world = world();
    for (n, name) in ["export", "june.dat", ".june.csv", "june.part", "june.csv.sha256"].into_iter().enumerate() {
        let list = world.write(name, people::email_csv("acme", [n]));
        let list = list.to_str().expect("UTF-8");
        world.run(&["check", list, "--tenant", "acme"]).exits(0).says("1 would delete");
        world.run(&["purge", list, "--tenant", "acme", "--yes", "1"]).exits(0).says("1 deleted");
    }
    assert_eq!((customers(&world), world.files("acme", "rejected").len()), (5, 0));
}

#[test]
fn people_are_purged_by_hand_without_a_daemon() {
    let world = world();
    all_forms_of_purge(&world);
}

#[test]
fn people_are_purged_by_hand_beside_a_running_daemon() {
    let mut world = world();
    world.start();
    all_forms_of_purge(&world);
    assert!(world.log().contains("request taken"), "the daemon did it\n{}", world.log());
    assert_eq!(world.stop().code(), Some(0));
}

#[test]
fn a_list_by_hand_that_fails_says_that_it_stands_and_how_to_end_it() {
    let world = world();
    world.change("CREATE TRIGGER broken BEFORE UPDATE OF cursor ON expunged_imports WHEN new.cursor IS NOT NULL BEGIN SELECT RAISE(ABORT, 'no'); END");
    let list = world.write("list.csv", people::email_csv("acme", [0]));
    let failed = world.run(&["purge", list.to_str().expect("UTF-8"), "--tenant", "acme", "--yes", "1"]).exits(1);
    failed.warns("import 1 is not over: the daemon goes on with it").warns("imports cancel 1");
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM expunged_imports WHERE state = 'purging'"), 1);
}

#[test]
fn a_check_by_hand_counts_and_leaves_no_trace() {
    let world = world();
    let list = world.write("list.csv", people::email_csv("acme", [0, 1, 77]) + "bad\n");
    let list = list.to_str().expect("UTF-8");
    let before = bytes(&world);
    world.run(&["check", list, "--tenant", "acme"]).exits(3).says("2 would delete").says("1 not found").warns("line 5");
    let report = json(&world.run(&["check", list, "--tenant", "acme", "--json"]).exits(3));
    assert_eq!(
        (&report["mode"], &report["rows"]["would_delete"], &report["import"]),
        (&"check".into(), &2.into(), &serde_json::Value::Null)
    );
    let names = |found: &[(String, Vec<u8>)]| found.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let after = bytes(&world);
    assert_eq!(names(&after), names(&before));
    assert!(after == before, "the same bytes in every file");
}

#[test]
fn a_check_beside_a_running_daemon_changes_no_table_and_no_folder() {
    let mut world = world();
    world.start();
    let list = world.write("list.csv", people::participant_csv([0, 1]));
    let before = (people::rows(&world, "acme"), world.sql::<i64>("SELECT coalesce(sum(seq), 0) FROM sqlite_sequence"));
    let files = |world: &World| ["inbox", "archive", "processing", "status"].map(|folder| world.files("acme", folder));
    let there = files(&world);
    world.run(&["check", list.to_str().expect("UTF-8"), "--tenant", "acme"]).exits(0).says("2 would delete");
    assert_eq!(before, (people::rows(&world, "acme"), world.sql::<i64>("SELECT coalesce(sum(seq), 0) FROM sqlite_sequence")));
    assert_eq!(files(&world), there);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM expunged_imports"), 0);
}

#[test]
fn commands_end_with_the_exit_codes_that_their_help_names() {
    let world = world();
    let list = world.write("list.csv", people::email_csv("acme", [0]));
    let list = list.to_str().expect("UTF-8");
    let rejected = world.write("rejected.csv", "mail\nx\n");
    world.run(&["check", list, "--tenant", "acme"]).exits(0);
    world.run(&["check", rejected.to_str().expect("UTF-8"), "--tenant", "acme"]).exits(6).warns("no column \"Customer Email\"");
    let purged = world.run(&["purge", rejected.to_str().expect("UTF-8"), "--tenant", "acme", "--yes", "1", "--json"]).exits(6);
    assert_eq!((&json(&purged)["status"], &json(&purged)["reason"]), (&"rejected".into(), &"no_known_column".into()));
    world.run(&["check", list, "--tenant", "nobody"]).exits(4).warns("no tenant \"nobody\"");
    world.run(&["check", "gone.csv", "--tenant", "acme"]).exits(4).warns("gone.csv");
    world.run(&["check", list]).exits(2);
    // What a hint says can be typed as it stands, with the same config.
    world
        .run(&["imports", "show", "7"])
        .exits(4)
        .warns("no import 7")
        .warns(&format!("--config {} imports list", world.home().join("expunged.toml").display()));
    world.run(&["imports", "show", "x"]).exits(2);
    world.run(&["imports", "list", "--tenant", "nobody"]).exits(4);
    world.run(&["imports", "list"]).exits(0).says("no imports yet");
    world.run(&["purge", "--tenant", "acme"]).exits(2);
    world.run(&["purge", list, "--email", "--tenant", "acme"]).exits(2);
}

#[test]
fn standard_input_of_more_than_one_line_is_refused_where_one_person_is_asked_for() {
    let world = world();
    let before = customers(&world);
    let until = ["--why", "case 311", "--until", "2100-01-01"];
    let exempt = [&["exemptions", "add", "--tenant", "acme", "--email"][..], &until].concat();
    let commands: [&[&str]; 5] = [
        &["purge", "--tenant", "acme", "--email", "--yes", "1"],
        &exempt,
        &["suppressions", "check", "--tenant", "acme", "--email"],
        &["suppressions", "lift", "--tenant", "acme", "--email"],
        &["customers", "find", "-", "--tenant", "acme"],
    ];
    for command in commands {
        world.run_with_input(command, "person0@acme.example\nperson1@acme.example\n").exits(2).warns("holds more than one line");
        world.run_with_input(command, &"x".repeat(4_097)).exits(2).warns("holds more than 4096 bytes");
    }
    assert_eq!(customers(&world), before);
    world.run(&["exemptions", "list"]).exits(0).says("no exemptions");
    world.run_with_input(&["customers", "find", "-", "--tenant", "acme"], "\r\n person0@acme.example \r\n\n").exits(0);
}

#[test]
fn imports_are_listed_and_shown_as_text_and_json() {
    let mut world = world();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", [0, 1]) + "bad\n");
    world.report("acme", "june.csv");
    world.put("acme", "july.csv", "mail\n");
    world.report("acme", "july.csv");
    let list = json(&world.run(&["imports", "list", "--json"]).exits(0));
    let facts = |n: usize| {
        let one = &list["imports"][n];
        (one["import"].clone(), one["file"].clone(), one["state"].clone(), one["origin"].clone())
    };
    assert_eq!(facts(0), (2.into(), "july.csv".into(), "rejected".into(), "sftp".into()));
    assert_eq!(facts(1), (1.into(), "june.csv".into(), "completed".into(), "sftp".into()));
    let table = world.run(&["imports", "list", "--tenant", "acme", "--limit", "1"]).exits(0).says("july.csv");
    assert!(!table.stdout.contains("june.csv"), "{table}");
    let shown = json(&world.run(&["imports", "show", "1", "--json"]).exits(0));
    assert_eq!(shown["report"]["rows"]["deleted"], 2);
    world.run(&["imports", "show", "2"]).exits(0).says("rejected").warns("no_known_column");
}

#[test]
fn a_second_daemon_in_the_same_folder_does_not_start() {
    let mut world = world();
    world.start();
    world.run(&["serve"]).exits(1).warns("another expunged works in");
    world.put("acme", "june.csv", people::email_csv("acme", [0]));
    assert_eq!(world.report("acme", "june.csv")["rows"]["deleted"], 1);
}

#[test]
fn sigterm_in_the_middle_of_an_import_stops_at_a_chunk_and_the_next_start_goes_on() {
    let mut world = World::in_memory();
    // Small chunks, so that a stop in the middle is easy to meet.
    world.set("pipeline", "chunk_milliseconds", "10");
    world.set("log", "level", "\"debug\"");
    world.tenant("acme");
    people::load(&world, "acme", 12_000);
    world.start();
    world.put("acme", "all.csv", people::email_csv("acme", 0..12_000));
    let before_end = "SELECT count(*) FROM customers";
    world.eventually("some are gone", || (world.sql::<i64>(before_end) < 12_000).then_some(()));
    assert_eq!(world.stop().code(), Some(0), "{}", world.log());
    let left = world.sql::<i64>(before_end);
    assert!(left > 0 && left < 12_000, "stopped in the middle: {left} left");
    assert_eq!(world.sql::<String>("SELECT state FROM expunged_imports"), "purging");
    let log = world.log();
    let after = log.split_once("daemon stopping").expect("the stop is told").1;
    // The chunk at work ends; one more may have begun while the stop was told.
    let (chunks, rest) = after.split_once("pipeline stopped imports=1").expect("the import is told as left");
    assert!(chunks.matches("chunk purged").count() <= 2, "the next chunk was not begun\n{log}");
    assert!(rest.contains("daemon stopped") && !rest.contains("chunk purged"), "{log}");

    world.start();
    let report = world.report("acme", "all.csv");
    assert_eq!((&report["rows"]["deleted"], &report["removed"]["events"]), (&12_000.into(), &36_000.into()));
    assert_eq!(customers(&world), 0);
}

#[test]
fn a_purge_that_is_refused_because_another_import_comes_first_leaves_no_list_behind() {
    let world = world();
    let list = world.write("list.csv", people::email_csv("acme", [0]));
    let list = list.to_str().expect("UTF-8");
    world.run(&["purge", list, "--tenant", "acme", "--yes", "1"]).exits(0);
    // As a daemon that was killed leaves it.
    world.store().execute("UPDATE expunged_imports SET state = 'checking', archived = 0", []).expect("written");
    let other = world.write("other.csv", people::email_csv("acme", [1]));
    world
        .run(&["purge", other.to_str().expect("UTF-8"), "--tenant", "acme", "--yes", "1"])
        .exits(1)
        .warns("comes first and is not done")
        .warns(&format!("--config {} imports cancel 1", world.home().join("expunged.toml").display()));
    assert!(std::fs::read_dir(world.home().join("data/requests")).expect("listed").next().is_none(), "no list is left behind");
    assert_eq!(customers(&world), 9);
}

#[test]
fn a_command_whose_turn_comes_when_another_one_ends_does_its_work_itself() {
    let world = world();
    let list = world.write("list.csv", people::email_csv("acme", [0]));
    let commands: [&[&str]; 2] = [&["purge", list.to_str().expect("UTF-8"), "--tenant", "acme", "--yes", "1"], &["scrub"]];
    for command in commands {
        // As another command that works without a daemon holds it.
        let lock = std::fs::File::create(world.home().join("data/lock")).expect("opened");
        lock.lock().expect("locked");
        let asked = world.sql::<i64>("SELECT count(*) FROM expunged_requests");
        let mut waiting = world.command(command).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("starts");
        world.eventually("it has asked", || (world.sql::<i64>("SELECT count(*) FROM expunged_requests") > asked).then_some(()));
        drop(lock);
        let ended = world.eventually("it does its work", || waiting.try_wait().expect("a child"));
        assert_eq!(ended.code(), Some(0), "{command:?}");
    }
    assert_eq!(customers(&world), 9);
}
