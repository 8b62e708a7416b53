//! What an operator puts back from a copy, moves or loses: the store, the folders, the keys. Nothing is told as done that was not,
//! and nobody is erased by what is out of date.

use std::fs;
use std::path::PathBuf;

use crate::people;
use crate::world::World;

/// A tenant with some customers, at rest.
fn world() -> World {
    let world = World::in_memory();
    world.tenant("acme");
    people::load(&world, "acme", 8);
    world
}

fn store_of(world: &World) -> PathBuf {
    world.home().join("data/store.db")
}

/// What the log of a start says that ends by itself, as it should.
fn refused_start(world: &mut World) -> String {
    world.start_by(|world| world.command(&["serve"]));
    assert_eq!(world.wait().code(), Some(1), "{}", world.log());
    world.log()
}

/// Purges these people by a list of this name; the number of the import.
fn purge(world: &World, name: &str, people: impl IntoIterator<Item = usize>) -> i64 {
    world.put("acme", name, people::email_csv("acme", people));
    world.report("acme", name)["import"].as_i64().expect("a number")
}

#[test]
fn a_store_from_an_earlier_copy_gives_no_number_of_an_archived_list_again() {
    let mut world = world();
    let copy = world.outside("copy.db");
    fs::copy(store_of(&world), &copy).expect("copied");
    world.start();
    assert_eq!(purge(&world, "june.csv", [0]), 1);
    world.stop();
    fs::copy(&copy, store_of(&world)).expect("put back");
    world.start();
    // The same name on the same day: by its number alone it is told from the list before it.
    assert_eq!(purge(&world, "june.csv", [1, 2]), 2);
    assert_eq!(world.report("acme", "june.csv")["rows"]["deleted"], 2);
    let by_hand = world.write("one.csv", people::email_csv("acme", [3]));
    world.run(&["purge", "--tenant", "acme", by_hand.to_str().expect("text"), "--yes", "1"]).exits(0);
    assert_eq!(world.sql::<i64>("SELECT max(id) FROM expunged_imports"), 3);
    assert!(world.files("acme", "processing").is_empty(), "{}", world.picture());
}

#[test]
fn a_list_that_was_purged_and_stands_claimed_again_is_rehearsed() {
    let mut world = world();
    world.start();
    purge(&world, "june.csv", [0]);
    world.stop();
    people::load(&world, "acme", 1);
    let archived = world.files("acme", "archive").into_iter().find(|name| name.ends_with("1-june.csv")).expect("archived");
    // As a copy of the folders has it that was made while it was worked on.
    fs::copy(world.folder("acme", "archive").join(archived), world.folder("acme", "processing").join("1-june.csv")).expect("copied");
    world.start();
    let again = world.eventually("it is taken", || world.status("acme", "june.csv").filter(|status| status["import"] == 2));
    assert_eq!(again["mode"], "check", "{again}");
    assert_eq!(world.report("acme", "june.csv")["rows"]["would_delete"], 1);
}

#[test]
fn a_held_list_that_a_store_from_an_earlier_copy_does_not_know_is_rehearsed() {
    let mut world = world();
    world.set("tenant_defaults", "hold_customers_above", "1");
    world.set("tenant_defaults", "hold_customers_percent_above", "0");
    let copy = world.outside("copy.db");
    fs::copy(store_of(&world), &copy).expect("copied");
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", [0, 1]));
    world.eventually("it is held", || world.status("acme", "june.csv").filter(|status| status["state"] == "held"));
    world.stop();
    fs::copy(&copy, store_of(&world)).expect("put back");
    world.start();
    assert_eq!(world.report("acme", "june.csv")["rows"]["would_delete"], 2);
    assert!(world.log().contains("file without an import"), "{}", world.log());
    assert!(world.files("acme", "held").is_empty(), "{}", world.picture());
}

#[test]
fn a_store_that_is_missing_is_told_and_no_empty_one_stands_in_for_it() {
    let mut world = world();
    let aside = world.outside("aside.db");
    world.moves(&store_of(&world), &aside);
    let list = world.write("june.csv", people::email_csv("acme", [0]));
    let list = list.to_str().expect("text");
    let home = world.home();
    let commands: [&[&str]; 4] = [
        &["check", list, "--tenant", "acme"],
        &["load", "customers", list, "--tenant", "acme"],
        &["imports", "list"],
        &["exemptions", "list"],
    ];
    for command in commands {
        let told = world.run(command).exits(1).stderr;
        assert!(told.contains("there is no store") && told.contains("bring it back from a backup"), "{command:?}\n{told}");
    }
    assert!(refused_start(&mut world).contains("there is no store"));
    let again = world.run_any(crate::world::EXPUNGED, &["init", home.to_str().expect("text")]);
    assert!(again.exits(2).stderr.contains("store.db\" is not"));
    assert!(!store_of(&world).exists());
    world.moves(&aside, &store_of(&world));
    world.start();
    assert_eq!(purge(&world, "june.csv", [0]), 1);
}

#[test]
fn a_store_that_another_file_replaces_is_worked_on_no_more_and_the_next_start_opens_the_other() {
    let mut world = world();
    world.start();
    purge(&world, "june.csv", [0]);
    let copy = world.outside("copy.db");
    world.change(&format!("VACUUM INTO '{}'", copy.display()));
    world.moves(&copy, &store_of(&world));
    let list = world.write("july.csv", people::email_csv("acme", [1]));
    world.move_in(&list, "acme", "july.csv");
    assert_eq!(world.wait().code(), Some(1), "{}", world.log());
    assert!(world.log().contains("was replaced by another file"), "{}", world.log());
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 7, "nobody went from it");
    world.start();
    assert_eq!(world.report("acme", "july.csv")["rows"]["deleted"], 1);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 6);
}

#[test]
fn a_store_in_which_an_earlier_copy_is_put_back_in_place_is_gone_on_with_by_the_next_start() {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'expunged%'";
    for with_ledger in [true, false] {
        let mut world = world();
        world.start();
        purge(&world, "june.csv", [0]);
        let mut copied = vec!["DELETE FROM expunged_imports".to_owned(), "UPDATE sqlite_sequence SET seq = 0".to_owned()];
        if !with_ledger {
            let drop = |name: String| format!("DROP TABLE {}", name.trim_start_matches("[Text(\"").trim_end_matches("\")]"));
            copied = world.sql_lines(tables).into_iter().map(drop).collect();
        }
        world.change(&format!("BEGIN; {}; COMMIT", copied.join("; ")));
        assert_eq!(world.wait().code(), Some(1), "{}", world.log());
        assert!(world.log().contains("store lost"), "{}", world.log());
        world.start();
        assert_eq!(purge(&world, "june.csv", [1, 2]), 2);
        assert_eq!(world.report("acme", "june.csv")["rows"]["deleted"], 2);
    }
}

#[test]
fn a_store_that_is_moved_away_delays_purges_until_it_is_back() {
    let mut world = world();
    world.start();
    purge(&world, "june.csv", [0]);
    let aside = world.outside("aside.db");
    world.moves(&store_of(&world), &aside);
    world.put("acme", "july.csv", people::email_csv("acme", [1]));
    world.eventually("it is told", || world.log().contains("there is no store").then_some(()));
    assert_eq!(world.status("acme", "july.csv").expect("a status")["state"], "waiting");
    world.moves(&aside, &store_of(&world));
    assert_eq!(world.report("acme", "july.csv")["rows"]["deleted"], 1);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 6);
}

#[test]
fn a_store_whose_ledger_was_kept_with_another_key_is_refused_and_nobody_who_is_exempt_goes() {
    let mut world = world();
    let list = world.write("june.csv", people::email_csv("acme", [0, 1]));
    let list = list.to_str().expect("text").to_owned();
    let exempt = ["exemptions", "add", "--tenant", "acme", "--email", "--why", "open case", "--until", "2999-12-31"];
    world.run_with_input(&exempt, &people::email("acme", 0)).exits(0);
    let (key, aside) = (world.home().join("data/keys/identity.key"), world.outside("identity.key"));
    fs::copy(&key, &aside).expect("copied");
    // As a folder that was set up anew beside a database that was brought back has it.
    fs::write(&key, format!("{}\n", "ab".repeat(32))).expect("written");
    let commands: [&[&str]; 4] = [
        &["check", &list, "--tenant", "acme"],
        &["purge", &list, "--tenant", "acme", "--yes", "2"],
        &["scrub"],
        &["suppressions", "check", "--tenant", "acme", "--account", "A0", "--id", "U0"],
    ];
    for command in commands {
        let told = world.run(command).exits(1).stderr;
        assert!(told.contains("kept with another identity key") && told.contains("identity.key"), "{command:?}\n{told}");
    }
    assert!(refused_start(&mut world).contains("kept with another identity key"));
    world.run(&["exemptions", "list"]).exits(0).shows("open case");
    fs::copy(&aside, &key).expect("put back");
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", [0, 1]));
    let rows = world.report("acme", "june.csv")["rows"].clone();
    assert_eq!((&rows["exempt"], &rows["deleted"]), (&1.into(), &1.into()));
}
