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

#[test]
fn a_status_tells_a_rehearsal_from_a_purge() {
    let world = world();
    world.sftp("acme", &format!("put {} /check/june.csv\n", world.write("june", people::email_csv("acme", 0..2)).display())).exits(0);
    world.report("acme", "june.csv");
    assert_eq!(world.status("acme", "june.csv").expect("a status")["mode"], "check");
    world.put("acme", "june.csv", people::email_csv("acme", [5]));
    let purged = || world.status("acme", "june.csv").filter(|status| status["state"] == "completed" && status["import"] == 2);
    assert_eq!(world.eventually("the purge", purged)["mode"], "purge");
}

/// State, mode and import of june.csv's status.
fn told_of_june(world: &World) -> Option<String> {
    let status = world.status("acme", "june.csv")?;
    Some(format!("{} {} {}", status["state"].as_str()?, status["mode"].as_str()?, status["import"]))
}

fn until_told(world: &World, expected: &str) {
    world.eventually(&format!("june.csv is {expected}, and it is {:?}", told_of_june(world)), || {
        (told_of_june(world).as_deref() == Some(expected)).then_some(())
    });
}

/// Puts june.csv, which waits for its checksum.
fn put_to_wait(world: &World, folder: &str, n: usize) {
    let list = world.write("waits", people::email_csv("acme", [n]));
    world.sftp("acme", &format!("put {} /{folder}/june.csv\n", list.display())).exits(0);
}

fn sum(list: &str) -> String {
    use sha2::Digest;
    format!("{}  june.csv\n", hex::encode(sha2::Sha256::digest(list)))
}

#[test]
fn a_rehearsal_is_told_beside_a_held_purge_that_a_newer_purge_of_the_name_has_covered() {
    let world = world();
    world.set_tenant("acme", "hold_customers_above", "2");
    world.set_tenant("acme", "hold_customers_percent_above", "25");
    reload(&world);
    world.put("acme", "june.csv", people::email_csv("acme", 0..6));
    until_told(&world, "held purge 1");
    world.put("acme", "june.csv", people::email_csv("acme", [7]));
    until_told(&world, "completed purge 2");
    put_to_wait(&world, "check", 8);
    until_told(&world, "completed check 3");
    world.run(&["imports", "approve", "1"]).exits(0);
    world.eventually("the older purge ends", || (json(&world, &["imports", "show", "1"])["archived"] == true).then_some(()));
    assert_eq!(told_of_june(&world).as_deref(), Some("completed check 3"), "of an older one nothing is told");
}

#[test]
fn a_status_of_a_file_that_was_withdrawn_while_nobody_looked_does_not_wait_for_ever() {
    let mut world = world();
    world.put("acme", "june.csv", people::email_csv("acme", [1]));
    until_told(&world, "completed purge 1");
    world.set_tenant("acme", "require_checksum", "true");
    reload(&world);
    put_to_wait(&world, "inbox", 2);
    world.put("acme", "july.csv", people::email_csv("acme", [3]));
    until_told(&world, "waiting_for_checksum purge null");
    world.kill();
    for name in ["june.csv", "july.csv"] {
        std::fs::remove_file(world.folder("acme", "inbox").join(name)).expect("an operator's");
    }
    world.start();
    until_told(&world, "completed purge 1");
    world.eventually("of a name without an import nothing is told", || world.status("acme", "july.csv").is_none().then_some(()));
}

/// One status a name: what a newer file covered comes back when that is withdrawn.
#[test]
fn a_purge_that_is_held_is_told_before_a_rehearsal_of_its_name_and_after_a_list_that_was_withdrawn() {
    let world = world();
    world.set_tenant("acme", "require_checksum", "true");
    world.set_tenant("acme", "hold_customers_above", "2");
    world.set_tenant("acme", "hold_customers_percent_above", "25");
    reload(&world);
    let list = people::email_csv("acme", 0..6);
    world.put("acme", "june.csv.sha256", sum(&list));
    world.put("acme", "june.csv", &list);
    until_told(&world, "held purge 1");

    put_to_wait(&world, "check", 7);
    assert_eq!(told_of_june(&world).as_deref(), Some("held purge 1"));
    world.put("acme", "july.csv.sha256", sum(&people::email_csv("acme", [8])).replace("june", "july"));
    world.put("acme", "july.csv", people::email_csv("acme", [8]));
    world.report("acme", "july.csv");
    assert_eq!(told_of_june(&world).as_deref(), Some("held purge 1"), "after a scan");

    put_to_wait(&world, "inbox", 9);
    until_told(&world, "waiting_for_checksum purge null");
    world.sftp("acme", "rm june.csv\n").exits(0);
    until_told(&world, "held purge 1");
    world.sftp("acme", "rm /check/june.csv\n").exits(0);
    world.run(&["imports", "reject", "1", "--why", "not these"]).exits(0);
    until_told(&world, "rejected purge 1");

    put_to_wait(&world, "inbox", 9);
    put_to_wait(&world, "check", 7);
    until_told(&world, "waiting_for_checksum purge null");
    world.sftp("acme", "rename june.csv july.csv.part\n").exits(0);
    until_told(&world, "waiting_for_checksum check null");
    std::fs::remove_file(world.folder("acme", "check").join("june.csv")).expect("an operator's");
    until_told(&world, "rejected purge 1");
    let report = world.status("acme", "june.csv").expect("a status")["report"].as_str().expect("a path").to_owned();
    assert!(world.folder("acme", "").join(report.trim_start_matches('/')).exists(), "{report}");

    put_to_wait(&world, "inbox", 9);
    world.sftp("acme", "rename june.csv other.csv\n").exits(0);
    world.eventually("the new name waits", || world.status("acme", "other.csv"));
    world.sftp("acme", "rm other.csv\n").exits(0);
    world.eventually("of a name without an import nothing is told", || world.status("acme", "other.csv").is_none().then_some(()));
}

#[test]
fn a_refused_request_says_who_asked_what_and_why() {
    let world = world();
    world.put("acme", "june.csv", people::email_csv("acme", [1]));
    world.report("acme", "june.csv");
    let asked = world.run(&["imports", "approve", "1"]).exits(1);
    asked.warns("import 1 is completed; only a held import can be approved").warns("imports show 1");
    let told = line(&world, &["WARN", "command's request refused"]);
    for words in ["import=1", "asked=\"approve\"", "by=", "only a held import can be approved", "hint=", "imports show 1"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    world.run(&["imports", "cancel", "1"]).exits(1).warns("only an import that waits or runs can be cancelled");
}

#[test]
fn a_rejection_without_a_reason_is_asked_for_one_in_a_sentence() {
    let world = world();
    let asked = world.run(&["imports", "reject", "1"]).exits(2);
    asked.warns("a rejection needs a reason, which the sender reads").warns("imports reject 1 --why TEXT");
}

#[test]
fn a_file_under_a_temporary_name_is_told_once_and_again_on_another_day() {
    let world = world();
    let (inbox, check) = (world.folder("acme", "inbox"), world.folder("acme", "check"));
    let count = |words: &[&str]| world.log().lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    for path in [inbox.join("june.csv.part"), inbox.join(".june.csv"), check.join("june.csv.part")] {
        std::fs::write(path, "x").expect("writable");
    }
    let told = line(&world, &["WARN", "file not taken", "folder=\"inbox\"", "june.csv.part"]);
    assert!(told.contains("rename it when it is whole"), "{told}");
    line(&world, &["file not taken", "folder=\"inbox\"", "\".june.csv\""]);
    line(&world, &["file not taken", "folder=\"check\"", "june.csv.part"]);
    std::fs::remove_file(inbox.join("june.csv.part")).expect("there");
    // A scan that does not show it: a later file's import began after it.
    world.put("acme", "july.csv", people::email_csv("acme", [1]));
    world.report("acme", "july.csv");
    assert_eq!(count(&["file not taken"]), 3, "once each\n{}", world.log());
    std::fs::write(inbox.join("june.csv.part"), "x").expect("writable");
    world.eventually("it is told again", || (count(&["file not taken"]) == 4).then_some(()));
}

#[test]
fn a_tenant_that_comes_closes_or_goes_is_named_and_files_that_wait_for_it_are_told_once() {
    let world = world();
    let (path, aside) = (world.home().join("tenants.d/acme.toml"), world.outside("acme.toml"));
    line(&world, &["tenants read", "open=\"acme\""]);
    world.tenant("berta");
    line(&world, &["tenant added", "tenant=berta"]);

    world.set_tenant("acme", "disabled", "true");
    line(&world, &["tenant disabled", "tenant=acme", "disabled = false"]);
    std::fs::write(world.folder("acme", "inbox").join("june.csv"), people::email_csv("acme", [1])).expect("writable");
    reload(&world);
    let told = line(&world, &["WARN", "files wait and nobody serves them", "tenant=acme"]);
    assert!(told.contains("why=\"disabled\" files=1") && told.contains("set disabled = false"), "{told}");

    world.moves(&path, &aside);
    let told = line(&world, &["tenant removed", "tenant=acme"]);
    assert!(told.contains("its customers and files stay") && told.contains("expunged tenant add acme"), "{told}");
    reload(&world);
    let warnings = || world.log().matches("files wait and nobody serves them").count();
    assert_eq!(warnings(), 1, "{}", world.log());
    std::fs::write(world.folder("acme", "check").join("july.csv"), "x").expect("writable");
    reload(&world);
    world.eventually("one more is told", || (warnings() == 2).then_some(()));

    world.moves(&aside, &path);
    world.set_tenant("acme", "disabled", "false");
    line(&world, &["tenant added", "tenant=acme"]);
    assert_eq!(world.report("acme", "june.csv")["rows"]["deleted"], 1);
}

/// It may be changed as a whole, or its file system be gone for a moment.
#[test]
fn a_folder_of_tenants_that_is_not_there_takes_no_tenant_away() {
    let world = world();
    let (folder, aside) = (world.home().join("tenants.d"), world.outside("aside"));
    world.moves(&folder, &aside);
    line(&world, &["ERROR", "tenants not reloaded", "tenants.d", "bring the folder back"]);
    world.sftp("acme", "pwd\n").exits(0);
    world.moves(&aside, &folder);
    line(&world, &["tenants reloaded tenants=1"]);
    assert!(!world.log().contains("tenant removed"), "{}", world.log());
}

#[test]
fn a_folder_that_cannot_be_used_is_named_to_the_operator_and_not_to_the_sender() {
    let world = world();
    let (notes, aside) = (world.folder("acme", "staging").join("notes"), world.outside("aside"));
    world.moves(&notes, &aside);
    std::os::unix::fs::symlink(&aside, &notes).expect("a link");
    let list = world.write("june.csv", people::email_csv("acme", [1]));
    world.sftp("acme", &format!("put {} june.csv\n", list.display())).exits(1);
    line(&world, &["WARN", "file call failed", r#"cannot use the folder \"staging/notes\""#]);
    let told = std::fs::read_to_string(world.folder("acme", "status").join("recent.log")).expect("there");
    assert!(told.contains("/inbox/june.csv upload refused: the storage failed\n"), "{told}");
}

/// Makes the daemon read its config again, and waits until it has.
fn reload(world: &World) {
    let reloads = || world.log().matches("tenants reloaded").count();
    let before = reloads();
    crate::world::signal("HUP", &[world.pid()]);
    world.eventually("the reload", || (reloads() > before).then_some(()));
}

#[test]
fn a_start_names_who_is_not_served_and_whose_files_wait() {
    let mut world = world();
    world.stop();
    world.set_tenant("acme", "disabled", "true");
    std::fs::write(world.folder("acme", "inbox").join("june.csv"), "x").expect("writable");
    std::fs::create_dir_all(world.folder("gone", "inbox")).expect("made");
    std::fs::write(world.folder("gone", "inbox").join("june.csv"), "x").expect("writable");
    world.start();
    line(&world, &["tenants read", "disabled=\"acme\""]);
    line(&world, &["WARN", "files wait and nobody serves them", "tenant=acme", "why=\"disabled\""]);
    line(&world, &["WARN", "files wait and nobody serves them", "tenant=gone", "why=\"removed\"", "expunged tenant add gone"]);
}

#[test]
fn folders_that_cannot_be_read_hide_nobody_elses_files() {
    let mut world = world();
    world.stop();
    for tenant in ["aaron", "gone", "zoe"] {
        std::fs::create_dir_all(world.folder(tenant, "inbox")).expect("made");
        std::fs::write(world.folder(tenant, "inbox").join("june.csv"), "x").expect("writable");
    }
    // A link to itself: nobody can follow it, whoever runs this test.
    std::os::unix::fs::symlink("check", world.folder("gone", "check")).expect("a link");
    world.start();
    for tenant in ["tenant=aaron", "tenant=zoe"] {
        line(&world, &["WARN", "files wait and nobody serves them", tenant]);
    }
    line(&world, &["WARN", "folders of a tenant that is not served not looked at", "tenant=gone"]);
}

#[test]
fn who_waits_for_a_person_is_told_with_the_commands_to_type() {
    let mut world = world();
    world.set_tenant("acme", "hold_customers_above", "2");
    world.set_tenant("acme", "hold_customers_percent_above", "25");
    world.stop();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", 0..4));
    let told = line(&world, &["WARN", "import held"]);
    assert!(told.contains("expunged imports approve 1") && told.contains("expunged imports reject 1 --why TEXT"), "{told}");
    let shown = world.run(&["imports", "show", "1"]).exits(0).says("4 would delete").says("would be removed 4 customers");
    shown.warns("imports approve 1").warns("imports reject 1 --why TEXT");
    world.set_tenant("acme", "disabled", "true");
    let told = line(&world, &["WARN", "files wait and nobody serves them", "tenant=acme"]);
    assert!(told.contains("files=1"), "a held one waits too: {told}");
    world.run(&["imports", "approve", "1"]).exits(1).warns("tenant \"acme\" is not served");
    world.set_tenant("acme", "disabled", "false");
    line(&world, &["tenant enabled", "tenant=acme"]);
    world.run(&["imports", "reject", "1", "--why", "wrong list"]).exits(0).says("import 1: rejected\n");
    world.put("acme", "july.csv", "mail\nx\n");
    let told = line(&world, &["import ended", "july.csv"]);
    assert!(told.contains("no column") && told.contains("Customer Email"), "{told}");
}
