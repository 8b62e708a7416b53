//! Quotas with the system's `sftp`: refused before and while writing, told in `status/recent.log` and in the log.

use super::*;

/// A world of one tenant with this option, the daemon running.
fn world(section: &str, option: &str, value: &str) -> World {
    let mut world = World::new();
    world.tenant("acme");
    world.set(section, option, value);
    world.start();
    world
}

fn put(world: &World, name: &str, bytes: usize) -> Ran {
    let local = world.write("upload", vec![b'x'; bytes]);
    world.sftp("acme", &format!("put {} {name}\n", local.display()))
}

fn check(world: &World, reason: &str) {
    assert!(recent(world).contains(reason), "{reason}\n{}", recent(world));
    assert!(world.log().contains(reason), "{reason}\n{}", world.log());
}

#[test]
fn a_file_over_the_limit_is_cut_and_one_at_the_limit_is_not() {
    let world = world("sftp", "upload_bytes_max", "100000");
    put(&world, "big.csv", 100_001).exits(1);
    check(&world, "an upload may have 100000 bytes at most");
    assert!(recent(&world).contains("/inbox/big.csv upload cut after "), "{}", recent(&world));
    assert!(world.files("acme", "inbox").is_empty() && world.status("acme", "big.csv").is_none());
    put(&world, "fits.csv", 100_000).exits(0);
    world.report("acme", "fits.csv");
}

#[test]
fn bytes_that_wait_are_limited_partials_among_them() {
    let world = world("tenant_defaults", "pending_bytes_max", "150000");
    put(&world, "one.csv.part", 100_000).exits(0);
    put(&world, "two.csv.part", 50_001).exits(1);
    check(&world, "the limit of 150000 bytes that wait is reached");
    assert_eq!(world.files("acme", "staging"), ["inbox/one.csv.part"], "what a limit stopped is not kept");
    put(&world, "three.csv.part", 50_000).exits(0);
    put(&world, "four.csv", 1).exits(1);
    assert!(recent(&world).contains("/inbox/four.csv upload refused: the limit of 150000 bytes that wait"), "{}", recent(&world));
    world.sftp("acme", "rm one.csv.part\n").exits(0);
    put(&world, "four.csv", 1).exits(0);
    world.report("acme", "four.csv");
}

#[test]
fn a_list_that_a_limit_stopped_holds_no_room() {
    let world = world("tenant_defaults", "pending_bytes_max", "100000");
    put(&world, "big.csv", 150_000).exits(1);
    check(&world, "an upload may have 100000 bytes at most");
    assert!(recent(&world).contains("bytes, which are not kept: an upload may have"), "{}", recent(&world));
    assert!(world.files("acme", "staging").is_empty());
    for name in ["big.csv", "other.csv"] {
        put(&world, name, 100_000).exits(0);
        world.report("acme", name);
    }
}

#[test]
fn an_unfinished_upload_that_holds_all_room_is_told_of_and_can_be_sent_anew() {
    let world = world("tenant_defaults", "pending_bytes_max", "100000");
    put(&world, "one.csv.part", 100_000).exits(0);
    put(&world, "two.csv", 1).exits(1);
    check(&world, "; unfinished uploads hold 100000 of these bytes until they are sent again from their start or removed by name");
    put(&world, "one.csv.part", 50_000).exits(0);
    put(&world, "two.csv", 50_000).exits(0);
    world.report("acme", "two.csv");
}

#[test]
fn files_that_wait_are_limited_and_one_that_is_there_can_be_sent_again() {
    let world = world("tenant_defaults", "pending_files_max", "2");
    for name in ["one.part", "/check/two.part"] {
        put(&world, name, 10).exits(0);
    }
    put(&world, "three.csv", 10).exits(1);
    check(&world, "; unfinished uploads are 2 of these files until they are sent again from their start or removed by name");
    check(&world, "2 files wait already, which is the limit");
    put(&world, "one.part", 20).exits(0);
    world.sftp("acme", "rm one.part\n").exits(0);
    put(&world, "three.csv", 10).exits(0);
    world.report("acme", "three.csv");
}

#[test]
fn a_checksum_of_a_file_that_waits_for_it_is_taken_whatever_limit_is_reached() {
    let sum = |bytes: usize| {
        use sha2::{Digest, Sha256};
        format!("{}\n", hex::encode(Sha256::digest(vec![b'x'; bytes])))
    };
    for (option, limit) in [("pending_files_max", 2), ("pending_bytes_max", 2000), ("bytes_per_day_max", 2000)] {
        let mut world = World::new();
        world.tenant("acme");
        world.set("tenant_defaults", "require_checksum", "true");
        world.set("tenant_defaults", option, &limit.to_string());
        world.start();
        for name in ["one.csv", "two.csv"] {
            put(&world, name, 1000).exits(0);
        }
        put(&world, "three.csv", 1).exits(1);
        let local = world.write("sum", sum(1000));
        let local = local.display();
        world.sftp("acme", &format!("put {local} three.csv.sha256\n")).exits(1);
        world.sftp("acme", &format!("put {local} one.csv.sha256\n")).exits(0);
        // As careful clients do.
        world.sftp("acme", &format!("put {local} two.csv.sha256.part\nrename two.csv.sha256.part two.csv.sha256\n")).exits(0);
        for name in ["one.csv", "two.csv"] {
            // One row of a thousand letters, which no header is: looked at, and that is enough.
            assert_ne!(world.report("acme", name)["reason"], "checksum_missing", "{option}");
        }
        assert!(world.files("acme", "inbox").is_empty(), "{option}");
    }
}

#[test]
fn bytes_of_a_day_are_counted_through_a_restart() {
    let mut world = world("tenant_defaults", "bytes_per_day_max", "1000");
    put(&world, "one.csv", 600).exits(0);
    world.report("acme", "one.csv");
    world.stop();
    world.start();
    put(&world, "two.csv", 401).exits(1);
    check(&world, "the limit of 1000 bytes a day is reached; send it after midnight UTC");
    put(&world, "three.csv", 400).exits(0);
    put(&world, "four.csv", 1).exits(1);
}

#[test]
fn nothing_is_taken_when_the_disk_is_short() {
    let world = world("sftp", "free_bytes_min", "1125899906842624");
    put(&world, "one.csv", 1).exits(1);
    check(&world, "the server is short of disk space");
    assert!(world.files("acme", "staging").is_empty());
}

#[test]
fn the_senders_log_names_each_refused_request_and_no_address() {
    let world = world("sftp", "public_host", "\"\"");
    let local = world.write("upload", "Customer Email\n");
    let local = local.display();
    for command in [
        format!("put {local} /archive/x.csv"),
        format!("put {local} ann@acme.example.csv"),
        format!("put {local} /elsewhere.csv"),
        "mkdir sub".to_owned(),
        "rename gone.part here.csv".to_owned(),
    ] {
        world.sftp("acme", &format!("{command}\n")).exits(1);
    }
    let log = recent(&world);
    for line in [
        "/archive/x.csv upload refused: this folder can only be read",
        "/inbox/? upload refused: the name must not hold \"@\"",
        "/elsewhere.csv upload refused: put files into /inbox or /check",
        "/inbox/sub folder refused: folders cannot be made here",
        "/inbox/here.csv rename refused: no such file",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    assert!(!log.contains("acme.example") && !world.log().contains("acme.example"));
}

#[test]
fn a_sender_reads_back_what_waits_and_sets_times_that_last() {
    let world = world("sftp", "public_host", "\"\"");
    let (back, list) = (world.outside("back"), world.outside("list.csv"));
    let local = world.write("list.csv", "Customer Email\nann@acme.example\n");
    let touched = Command::new("touch").args(["-d", "2021-02-03T04:05:06Z"]).arg(&list).status().expect("touch");
    assert!(touched.success());
    let batch =
        format!("put -p {} a.part\nls -l a.part\nget a.part {}\nrename a.part a.csv\nls -l a.csv\n", local.display(), back.display());
    let ran = world.sftp("acme", &batch).exits(0);
    assert_eq!(std::fs::read(&back).expect("read back"), std::fs::read(&list).expect("sent"));
    assert_eq!(ran.stdout.matches("Feb  3  2021").count(), 2, "{ran}");
    world.report("acme", "a.csv");
}

#[test]
fn a_partial_that_nobody_writes_expires() {
    let mut world = world("sftp", "partials_days", "2");
    put(&world, "old.part", 10).exits(0);
    put(&world, "new.part", 10).exits(0);
    world.stop();
    let old = world.folder("acme", "staging").join("inbox/old.part");
    assert!(Command::new("touch").args(["-d", "3 days ago"]).arg(old).status().expect("touch").success());
    world.start();
    world.eventually("it is gone", || (world.files("acme", "staging") == ["inbox/new.part"]).then_some(()));
    world.eventually("it is told", || recent(&world).contains("/inbox/old.part partial of 10 bytes expired").then_some(()));
    world.eventually("it is logged", || world.log().contains("partial expired").then_some(()));
}

#[test]
fn a_limit_that_is_changed_holds_for_connections_that_are_open() {
    let mut world = World::new();
    world.tenant("acme");
    world.set_tenant("acme", "pending_bytes_max", "1000");
    world.start();
    let local = world.write("upload", vec![b'x'; 1001]);
    let mut session = world.sender("acme").sftp(world.address(), &[]).spawn().expect("sftp starts");
    let mut batch = session.stdin.take().expect("piped");
    let mut ask = |lines: &str| std::io::Write::write_all(&mut batch, lines.as_bytes()).expect("it listens");
    ask(&format!("-put {} one.part\n", local.display()));
    world.eventually("it is refused", || recent(&world).contains("/inbox/one.part upload cut").then_some(()));
    world.set_tenant("acme", "pending_bytes_max", "2000");
    world.eventually("the limit is told", || {
        let told = world.sftp("acme", "get /README.txt told\n").exits(0);
        drop(told);
        std::fs::read_to_string(world.outside("told")).is_ok_and(|text| text.contains("2000 bytes")).then_some(())
    });
    ask(&format!("put {} two.part\nget /README.txt readme\n", local.display()));
    drop(batch);
    assert!(session.wait().expect("ends").success(), "{}", recent(&world));
    assert!(std::fs::read_to_string(world.outside("readme")).expect("fetched").contains("2000 bytes"));
}
