//! The brake: what is held, what a person can say about it, and what is said to whom; imports that fail by our fault.

use std::process::Stdio;

use crate::people;
use crate::support::Ran;
use crate::world::World;

/// Twelve customers, and a brake that holds above two of them and above a quarter.
fn prepared() -> World {
    let world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.set("pipeline", "scan_interval_seconds", "1");
    world.tenant("acme");
    world.set_tenant("acme", "hold_customers_above", "2");
    world.set_tenant("acme", "hold_customers_percent_above", "25");
    world.set_tenant("acme", "hold_invalid_rows_above", "1");
    world.set_tenant("acme", "support_contact", "\"privacy desk, ext. 12\"");
    people::load(&world, "acme", 12);
    world
}

/// Waits until the import of this name is in a state, and gives its number.
fn until(world: &World, name: &str, state: &str) -> i64 {
    world.eventually(&format!("{name} is {state}"), || {
        let status = world.status("acme", name)?;
        (status["state"] == state).then(|| status["import"].as_i64())?
    })
}

fn decide(world: &World, word: &str, import: i64, more: &[&str]) -> Ran {
    world.run(&[&["imports", word, &import.to_string()], more].concat())
}

fn held_report(world: &World, name: &str) -> serde_json::Value {
    let files = world.files("acme", "held");
    let report = files.iter().find(|file| file.ends_with(&format!("-{name}.report.json"))).expect("a report beside the held file");
    serde_json::from_slice(&std::fs::read(world.folder("acme", "held").join(report)).expect("readable")).expect("JSON")
}

#[test]
fn a_list_of_too_many_customers_is_held_and_goes_on_when_it_is_approved() {
    let mut world = prepared();
    let before = people::rows(&world, "acme");
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", 0..4));
    let import = until(&world, "june.csv", "held");

    let status = world.status("acme", "june.csv").expect("a status");
    assert_eq!(status["reason"], "many_customers");
    let message = status["message"].as_str().expect("a message");
    assert_eq!(message, "4 of 12 customers (33.3 %) would be erased, held above 2 and above 25 %; contact: privacy desk, ext. 12");
    let report = held_report(&world, "june.csv");
    assert_eq!((&report["mode"], &report["would_hold"], &report["rows"]["would_delete"]), (&"check".into(), &true.into(), &4.into()));
    assert_eq!(people::rows(&world, "acme"), before, "nothing is deleted");
    assert_eq!((world.files("acme", "held").len(), world.files("acme", "processing").len()), (3, 0));
    world.eventually("the operator is told", || world.log().contains("import held").then_some(()));

    // Another file of the tenant is not kept waiting by it.
    world.put("acme", "july.csv", people::email_csv("acme", [9]));
    world.report("acme", "july.csv");

    world.kill();
    world.start();
    until(&world, "june.csv", "held");
    decide(&world, "approve", import, &[]).exits(0).says("approved");
    let report = world.report("acme", "june.csv");
    assert_eq!((&report["mode"], &report["rows"]["deleted"], &report["removed"]["customers"]), (&"purge".into(), &4.into(), &4.into()));
    assert_eq!(report["would_hold"], serde_json::Value::Null);
    assert!(world.files("acme", "held").is_empty(), "{:?}", world.files("acme", "held"));
    world.run(&["imports", "show", &import.to_string()]).exits(0).says("approve   by ");
    decide(&world, "approve", import, &[]).exits(1).warns("is completed");
}

#[test]
fn a_decision_whose_turn_comes_when_another_command_ends_is_carried_out_without_a_daemon() {
    let mut world = prepared();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", 0..4));
    let import = until(&world, "june.csv", "held");
    assert!(world.stop().success());
    // As another command that works without a daemon holds it.
    let lock = std::fs::File::create(world.home().join("data/lock")).expect("opened");
    lock.lock().expect("locked");
    let mut approve = world.command(&["imports", "approve", &import.to_string()]);
    let mut waiting = approve.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("starts");
    world.eventually("it has asked", || (world.sql::<i64>("SELECT count(*) FROM expunged_requests") > 0).then_some(()));
    drop(lock);
    let ended = world.eventually("it does its work", || waiting.try_wait().expect("a child"));
    assert_eq!(ended.code(), Some(0));
    assert_eq!(world.report("acme", "june.csv")["rows"]["deleted"], 4);
}

#[test]
fn a_decision_that_is_refused_says_what_was_carried_out_before_it() {
    let mut world = prepared();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", 0..4));
    let june = until(&world, "june.csv", "held");
    world.put("acme", "july.csv", people::email_csv("acme", 5..9));
    let july = until(&world, "july.csv", "held");
    assert!(world.stop().success());
    // As commands that were ended while they waited leave it: one that can be done, and one that cannot.
    let body = |verdict: &str| format!("'{{\"import\": {june}, \"verdict\": \"{verdict}\", \"why\": \"last year''s\"}}'");
    let asked = |verdict| format!("('decide', {}, 'ann', '2026-11-23T08:00:00Z')", body(verdict));
    let requests = "INSERT INTO expunged_requests (kind, body, \"by\", created_at) VALUES";
    world.change(&format!("{requests} {}, {}", asked("reject"), asked("retry")));

    let refused = decide(&world, "cancel", july, &[]).exits(1).warns("this request changed nothing");
    let told = format!("import {june}, \"june.csv\" of acme, was rejected first, as ann had asked; it is rejected now");
    assert_eq!(refused.stderr.matches("had asked").count(), 1, "{refused}");
    refused.warns(&told);
    let states = "SELECT group_concat(state) FROM (SELECT state FROM expunged_imports ORDER BY id)";
    assert_eq!(world.sql::<String>(states), "rejected,held");
}

#[test]
fn an_approval_covers_who_was_held_and_nobody_else() {
    let mut world = prepared();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", 0..4));
    let import = until(&world, "june.csv", "held");
    world.stop();
    world.load("customers", "acme", "accountId,id,email\nNEW,N1,person2@acme.example\n");
    decide(&world, "approve", import, &[]).exits(5).says("held again");
    assert_eq!(world.status("acme", "june.csv").expect("a status")["reason"], "targets_changed");
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 13);

    // One who was approved and is gone is not missed.
    world.run(&["purge", "--tenant", "acme", "--account", "A0", "--id", "U1", "--yes", "1"]).exits(0);
    decide(&world, "approve", import, &["--json"]).exits(0).says("\"state\": \"completed\"");
    let report = world.report("acme", "june.csv");
    assert_eq!(
        (&report["rows"]["deleted"], &report["rows"]["not_found"], &report["removed"]["customers"]),
        (&3.into(), &1.into(), &4.into())
    );
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 8);
}

#[test]
fn a_rejected_import_deletes_nobody_and_tells_the_sender_why() {
    let mut world = prepared();
    let before = people::rows(&world, "acme");
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", 0..4));
    let import = until(&world, "june.csv", "held");
    decide(&world, "reject", import, &[]).exits(2);
    decide(&world, "reject", import, &["--why", "ask ann@x.example"]).exits(2).warns("no address");
    decide(&world, "reject", import, &["--why", "last year's list"]).exits(0);
    let report = world.report("acme", "june.csv");
    assert_eq!(
        (&report["status"], &report["reason"], &report["rows"]["skipped"]),
        (&"rejected".into(), &"rejected_by_operator".into(), &4.into())
    );
    assert_eq!(report["errors"][0]["message"], "last year's list");
    assert_eq!(world.status("acme", "june.csv").expect("a status")["message"], "last year's list");
    assert_eq!(people::rows(&world, "acme"), before);
    world.eventually("the file among the rejected", || {
        (world.files("acme", "rejected").len() == 3 && world.files("acme", "held").is_empty()).then_some(())
    });
    decide(&world, "approve", 99, &[]).exits(4);
}

#[test]
fn a_hold_is_told_of_again_after_a_day_and_ends_after_two_weeks() {
    let mut world = prepared();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", 0..4));
    until(&world, "june.csv", "held");
    let ago = |hours: i64| {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        world.change(&format!("UPDATE expunged_holds SET held_at = '{at}'"));
    };
    ago(25);
    world.eventually("a second warning", || world.log().contains("still waits for a decision").then_some(()));
    assert_eq!(until(&world, "june.csv", "held"), 1);
    ago(14 * 24 + 1);
    let report = world.report("acme", "june.csv");
    assert_eq!((&report["status"], &report["reason"]), (&"rejected".into(), &"hold_expired".into()));
    assert_eq!(world.log().matches("still waits").count(), 1);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 12);
}

#[test]
fn too_many_bad_rows_hold_a_file_and_a_check_only_says_so() {
    let mut world = prepared();
    let list = format!("{}bad\nworse\n", people::email_csv("acme", [1, 2]));
    world.start();
    world.put("acme", "june.csv", &list);
    until(&world, "june.csv", "held");
    assert_eq!(world.status("acme", "june.csv").expect("a status")["reason"], "many_invalid_rows");

    world.put("acme", "/check/dry.csv", &list);
    let check = world.report("acme", "dry.csv");
    assert_eq!((&check["status"], &check["would_hold"]), (&"completed".into(), &true.into()));
    assert!(check["warnings"][0].as_str().is_some_and(|text| text.contains("2 of 4 rows (50.0 %) are invalid")), "{check}");
    world.put("acme", "/check/small.csv", people::email_csv("acme", [1]));
    assert_eq!(world.report("acme", "small.csv")["would_hold"], false);

    let path = world.write("list.csv", &list);
    let path = path.to_str().expect("UTF-8");
    world.run(&["check", path, "--tenant", "acme"]).exits(5).says("would be held");
    // The number that is typed is the approval.
    world.run(&["purge", path, "--tenant", "acme", "--yes", "2"]).exits(3);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 10);
}

#[test]
fn where_all_or_nothing_is_the_policy_one_bad_row_rejects_the_file() {
    let mut world = prepared();
    world.set_tenant("acme", "bad_rows", "\"reject_file\"");
    let before = people::rows(&world, "acme");
    let list = "Customer Email\nperson1@acme.example\nbad\n";
    world.start();
    for name in ["june.csv", "/check/dry.csv"] {
        world.put("acme", name, list);
        let report = world.report("acme", name.rsplit('/').next().expect("a name"));
        assert_eq!((&report["status"], &report["reason"]), (&"rejected".into(), &"bad_rows".into()));
        assert_eq!(
            (&report["errors"][0]["line"], &report["rows"]["skipped"], &report["rows"]["invalid"]),
            (&3.into(), &1.into(), &1.into())
        );
    }
    let path = world.write("list.csv", list);
    world.run(&["check", path.to_str().expect("UTF-8"), "--tenant", "acme"]).exits(6);
    world.run(&["purge", path.to_str().expect("UTF-8"), "--tenant", "acme", "--yes", "1"]).exits(6);
    assert_eq!(people::rows(&world, "acme"), before);
    world.put("acme", "good.csv", people::email_csv("acme", [1]));
    assert_eq!(world.report("acme", "good.csv")["rows"]["deleted"], 1);
}

#[test]
fn an_import_that_keeps_failing_waits_for_a_person_and_can_be_tried_again() {
    let mut world = prepared();
    world.set("pipeline", "attempts_max", "2");
    let before = people::rows(&world, "acme");
    // In the ledger's own table, which the plan's fit is not judged by: a misfit would be waited for.
    world.change(
        "CREATE TRIGGER broken BEFORE UPDATE OF cursor ON expunged_imports WHEN new.cursor IS NOT NULL
            BEGIN SELECT raise(ABORT, 'not now'); END",
    );
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", [1, 2]));
    let import = until(&world, "june.csv", "failed");
    assert_eq!(world.status("acme", "june.csv").expect("a status")["reason"], "purge_failed");
    world.eventually("the file waits", || (world.files("acme", "held").len() == 3).then_some(()));
    decide(&world, "approve", import, &[]).exits(1).warns("is failed");
    assert_eq!(people::rows(&world, "acme"), before);
    world.change("DROP TRIGGER broken");
    decide(&world, "retry", import, &[]).exits(0);
    assert_eq!(world.report("acme", "june.csv")["rows"]["deleted"], 2);
    assert!(world.files("acme", "held").is_empty());
}

#[test]
fn a_cancelled_import_stops_at_a_chunks_end_and_the_rest_is_skipped() {
    let mut world = prepared();
    // In the ledger's own table, which the plan's fit is not judged by: no chunk gets done.
    world.change(
        "CREATE TRIGGER slow BEFORE UPDATE OF cursor ON expunged_imports WHEN new.cursor IS NOT NULL
            BEGIN SELECT raise(ABORT, 'not now'); END",
    );
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", [1, 2]));
    let import = until(&world, "june.csv", "purging");
    decide(&world, "cancel", import, &["--why", "wrong list"]).exits(0);
    let report = world.report("acme", "june.csv");
    assert_eq!((&report["status"], &report["reason"], &report["rows"]["skipped"]), (&"stopped".into(), &"cancelled".into(), &2.into()));
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 12);
}

#[test]
fn a_rehearsal_of_the_same_name_does_not_stand_in_for_a_purge_that_is_held() {
    let mut world = prepared();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", 0..4));
    let held: i64 = until(&world, "june.csv", "held");
    world.put("acme", "/check/june.csv", "Customer Email\n");
    world.eventually("the rehearsal is archived", || {
        world.files("acme", "archive").iter().any(|name| name.ends_with("june.csv.report.json")).then_some(())
    });
    world.stop();
    let status = world.status("acme", "june.csv").unwrap();
    assert_eq!((&status["state"], &status["import"]), (&"held".into(), &held.into()));
}

#[test]
fn an_approval_that_could_not_be_carried_out_is_not_carried_out_later() {
    let mut world = prepared();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", 0..4));
    let import = until(&world, "june.csv", "held");
    assert!(world.stop().success());
    let before = people::rows(&world, "acme");
    world.change("CREATE TABLE notes (author INTEGER REFERENCES customers (customer))");
    decide(&world, "approve", import, &[]).exits(1).warns("the plan has no rule for it").warns("this request changed nothing");
    decide(&world, "cancel", import, &[]).exits(1).warns("this request changed nothing");
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM expunged_requests"), 0);
    world.change("DROP TABLE notes");
    world.start();
    // What comes after it is over, so it was not taken up.
    world.put("acme", "july.csv", people::email_csv("acme", [90]));
    world.report("acme", "july.csv");
    assert_eq!(world.status("acme", "june.csv").expect("a status")["state"], "held");
    assert_eq!(people::rows(&world, "acme"), before);
}

#[test]
fn an_approval_that_fails_on_its_way_says_that_it_stands_and_how_to_end_it() {
    let mut world = prepared();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", 0..4));
    let import = until(&world, "june.csv", "held");
    assert!(world.stop().success());
    world.change("CREATE TRIGGER broken BEFORE UPDATE OF cursor ON expunged_imports WHEN new.cursor IS NOT NULL BEGIN SELECT RAISE(ABORT, 'no'); END");
    let failed = decide(&world, "approve", import, &[]).exits(1);
    failed.warns(&format!("import {import} is not over: the daemon goes on with it")).warns(&format!("imports cancel {import}"));
    world.change("DROP TRIGGER broken");
    decide(&world, "cancel", import, &[]).exits(0);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 12);
}
