//! What is taken from the drop folders, when, and what stays.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::people;
use crate::support::have;
use crate::world::{World, children, signal};

fn world(settle_seconds: &str) -> World {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", settle_seconds);
    // So that what is taken soon was not found by the timer.
    world.set("pipeline", "scan_interval_seconds", "3600");
    world.set("log", "level", "\"debug\"");
    world.tenant("acme");
    people::load(&world, "acme", 40);
    world.start();
    world
}

fn one(n: usize) -> String {
    people::email_csv("acme", [n])
}

fn sha256(content: &str) -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(content))
}

fn customers(world: &World) -> i64 {
    world.sql("SELECT count(*) FROM customers")
}

#[test]
fn a_file_moved_in_by_hand_settles_and_is_purged() {
    let world = world("1");
    let local = world.write("moved", one(0));
    world.move_in(&local, "acme", "june.csv");
    world.eventually("the sender sees that it waits", || world.status("acme", "june.csv").filter(|status| status["state"] == "waiting"));
    let report = world.report("acme", "june.csv");
    assert_eq!(report["rows"]["deleted"], 1);
    assert!(world.run(&["imports", "show", "1"]).exits(0).stdout.contains("june.csv (file)"));
}

#[test]
fn a_file_that_still_grows_is_not_taken_until_it_stands_still() {
    let world = world("1");
    let path = world.folder("acme", "inbox").join("grows.csv");
    let mut file = fs::File::create(&path).expect("a file");
    file.write_all(b"Customer Email\n").expect("room");
    for n in 0..20 {
        writeln!(file, "{}", people::email("acme", n)).expect("room");
        // A writer's pace is the point of this test; it stays below the time to settle.
        std::thread::sleep(std::time::Duration::from_millis(150));
        assert!(path.exists(), "taken while it grew, after {n} rows\n{}", world.log());
    }
    drop(file);
    assert_eq!(world.report("acme", "grows.csv")["rows"]["deleted"], 20);
}

#[test]
fn an_inbox_that_was_removed_and_made_again_is_watched_again() {
    let world = world("0");
    for (n, folder) in ["inbox", "inbox", "check"].into_iter().enumerate() {
        let path = world.folder("acme", folder);
        fs::remove_dir_all(&path).expect("removable");
        let _ = fs::create_dir(&path);
        let name = format!("again{n}.csv");
        fs::write(path.join(&name), one(n))
            .or_else(|_| fs::create_dir_all(&path).and_then(|()| fs::write(path.join(&name), one(n))))
            .expect("writable");
        assert_eq!(world.report("acme", &name)["status"], "completed");
    }
    assert_eq!(customers(&world), 38);
}

/// As where a backup is brought back. What was answered with OK lay in the folder that was moved away, where nobody looks.
#[test]
fn what_an_open_session_sends_goes_to_the_tenants_folder_that_stands_there_now() {
    let world = world("0");
    let (tenant, aside) = (world.home().join("data/tenants/acme"), world.outside("aside"));
    let (first, second) = (world.write("first", one(1)), world.write("second", one(2)));
    let swap = format!("!mv {0} {1} && cp -a {1} {0}", tenant.display(), aside.display());
    // One that is not taken: an import under way would miss its file.
    let batch = format!("put {} first.csv.part\n{swap}\nput {} second.csv\n", first.display(), second.display());
    world.sftp("acme", &batch).exits(0);
    assert!(!aside.join("inbox/second.csv").exists());
    assert_eq!(world.report("acme", "second.csv")["rows"]["deleted"], 1);
}

#[test]
fn a_temporary_name_is_left_alone_until_it_is_renamed() {
    let world = world("0");
    let inbox = world.folder("acme", "inbox");
    for (name, n) in [("a.csv.part", 0), ("b.filepart", 1), (".c.csv", 2), ("d.csv.tmp", 3)] {
        fs::write(inbox.join(name), one(n)).expect("writable");
    }
    let local = world.write("local", one(4));
    world.sftp("acme", &format!("put {0} e.csv.part\nput {0} f.csv\nls -1\n", local.display())).exits(0).says("e.csv.part");
    world.report("acme", "f.csv");
    assert_eq!(customers(&world), 39, "only the eligible one was taken");
    assert_eq!(world.files("acme", "staging"), ["inbox/e.csv.part"]);
    world.move_in(&inbox.join("a.csv.part"), "acme", "a.csv");
    world.report("acme", "a.csv");
    assert_eq!(customers(&world), 38);
}

#[test]
fn files_that_came_while_the_daemon_was_down_are_purged_at_its_start() {
    let mut world = world("0");
    world.stop();
    for n in 0..3 {
        fs::write(world.folder("acme", "inbox").join(format!("night{n}.csv")), one(n)).expect("writable");
    }
    world.start();
    for n in 0..3 {
        assert_eq!(world.report("acme", &format!("night{n}.csv"))["rows"]["deleted"], 1);
    }
}

#[test]
fn where_no_event_comes_the_timer_finds_files() {
    if !have("strace") {
        return;
    }
    let mut world = world("0");
    world.stop();
    world.set("pipeline", "scan_interval_seconds", "1");
    world.start_by(|world| {
        let serve = world.command(&["serve"]);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=inotify_add_watch", "-e", "inject=inotify_add_watch:error=ENOSPC"]);
        command.arg(serve.get_program()).args(serve.get_args());
        command
    });
    world.wait_for_address();
    assert!(world.log().contains("folder not watched: the timer finds its files"), "{}", world.log());
    for n in 0..2 {
        let local = world.write("moved", one(n));
        world.move_in(&local, "acme", &format!("unseen{n}.csv"));
        assert_eq!(world.report("acme", &format!("unseen{n}.csv"))["rows"]["deleted"], 1);
    }
    signal("TERM", &children(world.pid()));
    assert_eq!(world.wait().code(), Some(0));
}

#[test]
fn what_is_no_file_of_its_own_stays_with_one_warning() {
    let world = world("0");
    let inbox = world.folder("acme", "inbox");
    let outside = world.write("outside.csv", one(0));
    symlink(&outside, inbox.join("symlink.csv")).expect("a link");
    fs::hard_link(&outside, inbox.join("hardlink.csv")).expect("a link");
    fs::create_dir(inbox.join("folder.csv")).expect("a folder");
    assert!(Command::new("mkfifo").arg(inbox.join("fifo.csv")).status().expect("mkfifo").success());
    fs::write(inbox.join("ann@x.example.csv"), one(1)).expect("writable");
    for n in 2..5 {
        world.put("acme", "more.csv", one(n));
        world.report("acme", "more.csv");
        world.eventually("the import ends", || (customers(&world) == 41 - i64::try_from(n).unwrap()).then_some(()));
    }
    let log = world.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("file not taken")).collect();
    for words in ["symlink.csv", "hardlink.csv", "folder.csv", "fifo.csv", "must not hold"] {
        assert_eq!(warnings.iter().filter(|line| line.contains(words)).count(), 1, "{words}: {warnings:#?}");
    }
    assert!(!log.contains("ann@"), "{log}");
    assert_eq!(fs::read_dir(&inbox).expect("listed").count(), 5);
    fs::remove_file(&outside).expect("the other name goes");
    // The mend that the warning names.
    fs::write(inbox.join("nudge.csv"), one(9)).expect("writable");
    assert_eq!(world.report("acme", "hardlink.csv")["rows"]["deleted"], 1);
}

#[test]
fn the_same_name_can_come_again_while_the_first_is_queued() {
    let mut world = world("0");
    for n in 0..5 {
        world.put("acme", "daily.csv", one(n));
    }
    world.eventually("all five end", || (customers(&world) == 35).then_some(()));
    world.eventually("all five are archived", || {
        (world.files("acme", "archive").iter().filter(|name| name.ends_with("-daily.csv")).count() == 5).then_some(())
    });
    world.eventually("the status is the last one's", || {
        let status = world.status("acme", "daily.csv")?;
        (status["import"] == 5 && status["state"] == "completed").then_some(())
    });
    world.stop();
}

#[test]
fn a_status_never_tells_an_earlier_files_end_as_that_of_the_one_just_sent() {
    let world = world("0");
    for round in 0..10 {
        let last = format!("{}\n{}", one(round), "x\n".repeat(round + 2));
        world.put("acme", "daily.csv", one(round));
        world.put("acme", "daily.csv", &last);
        let told =
            world.eventually("the last one's end", || world.status("acme", "daily.csv").filter(|status| status["state"] == "completed"));
        assert_eq!(told["sha256"], sha256(&last), "round {round}: {told}");
    }
}

#[test]
fn a_required_checksum_is_waited_for_and_then_vouches() {
    let mut world = world("0");
    world.set_tenant("acme", "require_checksum", "true");
    world.stop();
    world.start();
    // The last row is not terminated: the checksum vouches for it.
    let list = "Customer Email\nperson1@acme.example\nperson2@acme.example";
    world.put("acme", "june.csv", list);
    world.eventually("it waits for its checksum", || {
        world.status("acme", "june.csv").filter(|status| status["state"] == "waiting_for_checksum")
    });
    assert_eq!(world.files("acme", "inbox"), ["june.csv"]);
    world.put("acme", "june.csv.sha256", format!("{}  june.csv\n", sha256(list)));
    let report = world.report("acme", "june.csv");
    assert_eq!((&report["rows"]["deleted"], &report["rows"]["invalid"]), (&2.into(), &0.into()), "{report}");
    let archived = world.files("acme", "archive");
    assert!(archived.iter().any(|name| name.ends_with("-june.csv.sha256")), "{archived:?}");

    world.put("acme", "july.csv.sha256", format!("{}  july.csv\n", sha256(&one(5))));
    world.put("acme", "july.csv", one(5));
    assert_eq!(world.report("acme", "july.csv")["rows"]["deleted"], 1, "the checksum may come first");
}

#[test]
fn a_checksum_that_does_not_hold_rejects_the_file() {
    let world = world("0");
    for (name, sidecar, reason) in [
        ("wrong.csv", sha256("something else"), "checksum_mismatch"),
        ("garbage.csv", "not a digest".to_owned(), "checksum_unreadable"),
        ("others.csv", format!("{}  another.csv", sha256(&one(1))), "checksum_unreadable"),
    ] {
        world.put("acme", &format!("{name}.sha256"), format!("{sidecar}\n"));
        world.put("acme", name, one(1));
        let report = world.report("acme", name);
        assert_eq!((&report["status"], &report["reason"]), (&"rejected".into(), &reason.into()), "{report}");
    }
    assert_eq!(customers(&world), 40);
}

#[test]
fn a_checksum_that_never_comes_rejects_the_file_and_an_orphan_is_told_of() {
    let mut world = world("0");
    world.set("pipeline", "checksum_wait_seconds", "1");
    world.set_tenant("acme", "require_checksum", "true");
    world.stop();
    world.start();
    world.put("acme", "alone.csv", one(1));
    let report = world.report("acme", "alone.csv");
    assert_eq!((&report["status"], &report["reason"]), (&"rejected".into(), &"checksum_missing".into()), "{report}");
    world.put("acme", "nobody.csv.sha256", format!("{}  nobody.csv\n", sha256(&one(1))));
    let report = world.report("acme", "nobody.csv.sha256");
    assert_eq!((&report["status"], &report["reason"]), (&"rejected".into(), &"checksum_orphan".into()), "{report}");
    assert_eq!(customers(&world), 40);
}

#[test]
fn an_optional_checksum_vouches_where_it_is_there() {
    let world = world("0");
    let open = "Customer Email\nperson1@acme.example\nperson2@acme.example";
    world.put("acme", "june.csv.sha256", format!("{}  june.csv\n", sha256(open)));
    world.put("acme", "june.csv", open);
    assert_eq!(world.report("acme", "june.csv")["rows"]["deleted"], 2);
    let open = "Customer Email\nperson3@acme.example\nperson4@acme.example";
    world.put("acme", "july.csv", open);
    let report = world.report("acme", "july.csv");
    assert_eq!((&report["rows"]["deleted"], &report["errors"][0]["reason"]), (&1.into(), &"unterminated_last_row".into()));
}

#[test]
fn a_sender_can_list_rename_and_remove_what_waits() {
    let mut world = world("0");
    world.set_tenant("acme", "require_checksum", "true");
    world.stop();
    world.start();
    let local = world.write("local", one(1));
    world
        .sftp("acme", &format!("put {} a.csv\nls -1\nrename a.csv b.csv\nls -1\nrm b.csv\nls -1\n", local.display()))
        .exits(0)
        .says("a.csv")
        .says("b.csv");
    assert!(world.files("acme", "inbox").is_empty() && world.files("acme", "staging").is_empty());
    assert_eq!(customers(&world), 40);
}

#[test]
fn clients_that_stat_compare_and_set_times_after_the_file_was_taken_see_it() {
    let world = world("0");
    let local = world.write("local", one(1));
    // With -p, sftp sets times and mode after the upload.
    world.sftp("acme", &format!("put -p {} kept.csv\nls -l kept.csv\n", local.display())).exits(0).says("kept.csv");
    world.report("acme", "kept.csv");
    world.sftp("acme", "ls -l kept.csv\n").exits(0).says(&one(1).len().to_string());
    world.sftp("acme", &format!("reput {} kept.csv\n", local.display()));
    assert_eq!(customers(&world), 39);
}
