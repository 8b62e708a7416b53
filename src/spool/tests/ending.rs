//! The archive, the rejected files, the held ones; and a kill between any two steps.

use std::fs;
use std::io::Write;

use jiff::civil::Date;

use super::*;
use crate::domain::ImportId;

const DAY: Date = jiff::civil::date(2026, 11, 21);

/// Archives with a report and results of these texts.
fn archive(claimed: ClaimedFile, report: &str, results: &str) -> Result<ArchivedFile, SpoolError> {
    with_companions(report, results, |companions| claimed.archive(DAY, companions))
}

fn with_companions<T>(report: &str, results: &str, run: impl FnOnce(&mut [Companion<'_>]) -> T) -> T {
    let mut write_report = |out: &mut dyn Write| out.write_all(report.as_bytes());
    let mut write_results = |out: &mut dyn Write| out.write_all(results.as_bytes());
    run(&mut [
        Companion { suffix: ".report.json", write: &mut write_report, signature: Some(b"signed") },
        Companion { suffix: ".results.csv", write: &mut write_results, signature: None },
    ])
}

const ALL: [&str; 4] = ["42-june.csv", "42-june.csv.report.json", "42-june.csv.report.json.sig", "42-june.csv.results.csv"];

fn claimed(world: &World) -> ClaimedFile {
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    world.claim("june.csv", 42)
}

#[test]
fn an_archived_file_stands_beside_its_report() {
    let world = World::new();
    let archived = archive(claimed(&world), "{}", "line\n").expect("archived");
    assert_eq!(archived.path(), "/archive/2026-11-21/42-june.csv");
    assert_eq!(world.tree("archive/2026-11-21"), ALL);
    assert_eq!(world.read("archive/2026-11-21/42-june.csv.report.json"), b"{}");
    assert_eq!(world.tree("processing"), [""; 0]);
    assert!(world.folders.has_ended(&archived).expect("read"));
}

#[test]
fn a_rejected_file_stands_beside_the_report_of_why() {
    let world = World::new();
    let claimed = claimed(&world);
    let rejected = with_companions("{}", "", |companions| claimed.reject(DAY, companions)).expect("rejected");
    assert_eq!(rejected.path(), "/rejected/2026-11-21/42-june.csv");
    assert_eq!(world.tree("rejected/2026-11-21"), ALL);
}

#[test]
fn archiving_again_after_a_kill_between_any_two_steps_ends_the_same() {
    const SIGNED: (&str, &str) = ("42-june.csv.report.json.sig", "signed");
    const REPORT: (&str, &str) = ("42-june.csv.report.json", "{}");
    let steps: [&[(&str, &str)]; 8] = [
        &[],
        &[(".42.report.json.sig.tmp", "si")],
        &[SIGNED],
        &[SIGNED, (".42.report.json.tmp", "{")],
        &[SIGNED, REPORT],
        &[SIGNED, REPORT, (".42.results.csv.tmp", "li")],
        &[SIGNED, REPORT, ("42-june.csv.results.csv", "line\n")],
        // By a version that did not sign.
        &[REPORT],
    ];
    for left in steps {
        let world = World::new();
        let claimed = claimed(&world);
        fs::create_dir(world.path("archive/2026-11-21")).expect("made");
        for (path, text) in left {
            fs::write(world.path("archive/2026-11-21").join(path), text).expect("written");
        }
        archive(claimed, "{}", "line\n").expect("archived");
        assert_eq!(world.tree("archive/2026-11-21"), ALL, "{left:?}");
        assert_eq!(world.read("archive/2026-11-21/42-june.csv.results.csv"), b"line\n");
        assert_eq!(world.read("archive/2026-11-21/42-june.csv.report.json.sig"), b"signed");
        assert_eq!(world.tree("processing"), [""; 0]);
    }
}

#[test]
fn a_signature_that_stands_is_left_though_another_key_would_make_another() {
    let world = World::new();
    let claimed = claimed(&world);
    fs::create_dir(world.path("archive/2026-11-21")).expect("made");
    let signature = world.path("archive/2026-11-21/42-june.csv.report.json.sig");
    fs::write(&signature, "of an earlier key").expect("written");
    archive(claimed, "{}", "line\n").expect("archived");
    assert_eq!(world.tree("archive/2026-11-21"), ALL);
    assert_eq!(fs::read(signature).expect("there"), b"of an earlier key");
}

#[test]
fn a_file_in_both_folders_after_a_crash_is_archived_once() {
    let world = World::new();
    let claimed = claimed(&world);
    fs::create_dir(world.path("archive/2026-11-21")).expect("made");
    fs::hard_link(world.path("processing/42-june.csv"), world.path("archive/2026-11-21/42-june.csv")).expect("linked");
    archive(claimed, "{}", "line\n").expect("archived");
    assert_eq!(world.tree("archive/2026-11-21"), ALL);
    assert_eq!(world.tree("processing"), [""; 0]);
}

#[test]
fn a_report_that_was_written_is_never_changed() {
    let world = World::new();
    let archived = archive(claimed(&world), "{}", "line\n").expect("archived");
    let again = |report| with_companions(report, "line\n", |companions| world.folders.write_beside(&archived, companions).map(|_| ()));
    assert!(again("{}").is_ok());
    assert_eq!(again("{ }").expect_err("longer").to_string(), "the \".report.json\" that was written before differs");
    assert_eq!(again("[]").expect_err("as long").kind(), ErrorKind::Differs);
    assert_eq!(world.tree("archive/2026-11-21"), ALL);
    assert_eq!(world.read("archive/2026-11-21/42-june.csv.report.json"), b"{}");
}

#[test]
fn what_may_change_is_written_over() {
    let world = World::new();
    let archived = archive(claimed(&world), "{}", "line\n").expect("archived");
    for text in ["first", "second, and longer", ""] {
        let mut write = |out: &mut dyn Write| out.write_all(text.as_bytes());
        let signature = format!("of {text}");
        let mut companion = Companion { suffix: ".scrub.json", write: &mut write, signature: Some(signature.as_bytes()) };
        world.folders.write_over(&archived, &mut companion).expect("written");
        assert_eq!(world.read("archive/2026-11-21/42-june.csv.scrub.json"), text.as_bytes());
        assert_eq!(world.read("archive/2026-11-21/42-june.csv.scrub.json.sig"), signature.as_bytes());
        assert_eq!(world.tree("archive/2026-11-21").len(), ALL.len() + 2);
    }
}

#[test]
fn who_looks_while_a_companion_is_written_over_never_finds_the_signature_of_another() {
    let world = World::new();
    let archived = archive(claimed(&world), "{}", "line\n").expect("archived");
    let path = world.path("archive/2026-11-21/42-june.csv.scrub.json");
    let text_of = |path: &std::path::Path| fs::read_to_string(path).ok();
    let mut pairs = 0;
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..300 {
                let text = n.to_string();
                let mut write = |out: &mut dyn Write| out.write_all(text.as_bytes());
                let mut companion = Companion { suffix: ".scrub.json", write: &mut write, signature: Some(text.as_bytes()) };
                world.folders.write_over(&archived, &mut companion).expect("written");
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let signature = path.with_extension("json.sig");
            // The same receipt before and after: nothing was replaced between.
            let (before, signature, after) = (text_of(&path), text_of(&signature), text_of(&path));
            if signature.is_some() && before == after {
                assert_eq!(signature, after);
                pairs += 1;
            }
        }
    });
    assert!(pairs > 0, "nothing was seen");
}

#[test]
fn nothing_in_the_archive_is_overwritten() {
    let world = World::new();
    let claimed = claimed(&world);
    fs::create_dir(world.path("archive/2026-11-21")).expect("made");
    fs::write(world.path("archive/2026-11-21/42-june.csv"), "another").expect("written");
    assert_eq!(archive(claimed, "{}", "").expect_err("taken").kind(), ErrorKind::Exists);
    assert_eq!(world.read("archive/2026-11-21/42-june.csv"), b"another");
    assert_eq!(world.read("processing/42-june.csv"), b"a\n");
}

#[test]
fn a_companion_that_cannot_be_written_leaves_the_file_claimed() {
    let world = World::new();
    let mut fails = |out: &mut dyn Write| out.write_all(b"{").and(Err(std::io::Error::other("no")));
    let mut companions = [Companion { suffix: ".report.json", write: &mut fails, signature: Some(b"signed") }];
    assert!(claimed(&world).archive(DAY, &mut companions).is_err());
    assert_eq!(world.tree("processing"), ["42-june.csv"]);
    let claimed = world.folders.claimed_file(ImportId(42), &name("june.csv")).expect("read").expect("there");
    archive(claimed, "{}", "line\n").expect("archived");
    assert_eq!(world.tree("archive/2026-11-21"), ALL);
}

#[test]
fn the_longest_name_has_room_for_its_companions() {
    let world = World::new();
    let long = format!("{}.csv", "n".repeat(214));
    world.cut(&long, b"a");
    let mut upload = world.open(&long, RESUME);
    upload.write_at(1, b"b").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    let claimed = world.claim(&long, i64::MAX);
    let archived = archive(claimed, "{}", "line\n").expect("archived");
    assert!(world.folders.has_ended(&archived).expect("read"));
    assert!(world.path(&format!("archive/2026-11-21/{}-{long}.report.json.sig", i64::MAX)).exists());
    assert_eq!(world.tree("staging/notes"), [""; 0], "its seams are the ledger's now");
}

#[test]
fn a_held_file_waits_and_comes_back_with_its_seams() {
    let world = World::new();
    world.cut("june.csv", b"a");
    let mut upload = world.open("june.csv", RESUME);
    upload.write_at(1, b"\n").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    let hold = |claimed: ClaimedFile, report| with_companions(report, "", |companions| claimed.hold(DAY, companions)).expect("held");
    let held = hold(world.claim("june.csv", 42), "{1}");
    assert_eq!(world.tree("held/2026-11-21"), ALL);
    world.folders.sweep().expect("swept");
    let back = |held| world.folders.unhold(held, &[".report.json", ".results.csv"]).expect("moved").expect("there");
    assert_eq!(back(&held).seams(), [1]);
    assert_eq!(world.tree("held/2026-11-21"), [""; 0]);
    let held = hold(back(&held), "{2}");
    assert_eq!(world.read("held/2026-11-21/42-june.csv.report.json"), b"{2}");
    archive(back(&held), "{}", "line\n").expect("archived");
}
