//! Listing the drop folders, and claiming.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::domain::{FileNameError, ImportId};

fn problems(world: &World) -> Vec<(String, Problem)> {
    world.folders.scan(DropFolder::Inbox).expect("read").problems
}

#[test]
fn a_claim_moves_the_file_under_its_imports_number() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    let claimed = world.claim("june.csv", 42);
    assert_eq!((claimed.import(), claimed.name().as_str(), claimed.size()), (ImportId(42), "june.csv", 2));
    assert_eq!(std::io::read_to_string(claimed.open().expect("opened")).expect("read"), "a\n");
    assert_eq!(world.tree("inbox"), [""; 0]);
    assert_eq!(world.tree("processing"), ["42-june.csv"]);
    let mut same_name = world.open("june.csv", NEW);
    assert!(matches!(same_name.close(Some(WAITING)), Ok(Closed::Delivered(_))), "the same name can come again");
}

#[test]
fn a_claim_of_a_file_that_is_gone_or_changed_is_none() {
    let world = World::new();
    let stale = |change: &dyn Fn()| {
        world.put(DropFolder::Inbox, "june.csv", b"a\n");
        let listed = world.scanned().remove(0);
        change();
        let claimed = world.folders.claim(&listed, ImportId(1)).expect("read");
        let _ = fs::remove_file(world.path("inbox/june.csv"));
        claimed.is_none() && world.tree("processing").is_empty()
    };
    let june = world.path("inbox/june.csv");
    assert!(stale(&|| fs::remove_file(&june).expect("removed")));
    assert!(stale(&|| fs::write(&june, "longer\n").expect("written")));
    assert!(stale(&|| {
        fs::write(world.path("other"), "a\n").expect("written");
        fs::remove_file(&june).expect("removed");
        fs::copy(world.path("other"), &june).expect("copied");
    }));
    assert!(stale(&|| fs::hard_link(&june, world.path("other2")).expect("linked")));
}

#[test]
fn what_an_operator_puts_into_an_inbox_is_listed() {
    let world = World::new();
    fs::write(world.path("inbox/june.csv"), "a\n").expect("written");
    fs::write(world.path("inbox/june.pdf"), "").expect("written");
    let names: Vec<String> = world.scanned().into_iter().map(|file| file.name.as_str().to_owned()).collect();
    assert_eq!(names, ["june.csv", "june.pdf"]);
    assert!(problems(&world).is_empty());
}

#[test]
fn dot_files_and_temporary_names_in_an_inbox_are_named_and_not_taken() {
    let world = World::new();
    fs::write(world.path("inbox/.june.csv.swp"), "a\n").expect("written");
    fs::write(world.path("inbox/june.csv.part"), "a\n").expect("written");
    let scan = world.folders.scan(DropFolder::Inbox).expect("read");
    let mut named: Vec<String> = scan.passed_over.iter().map(|(name, _)| name.clone()).collect();
    named.sort();
    assert_eq!(named, [".june.csv.swp", "june.csv.part"]);
    assert_eq!(Scan { passed_over: Vec::new(), ..scan }, Scan::default());
}

#[test]
fn links_folders_and_fifos_stay_and_say_what_to_do() {
    let world = World::new();
    fs::write(world.path("elsewhere"), "a\n").expect("written");
    symlink(world.path("elsewhere"), world.path("inbox/a.csv")).expect("linked");
    fs::create_dir(world.path("inbox/b.csv")).expect("made");
    fs::hard_link(world.path("elsewhere"), world.path("inbox/c.csv")).expect("linked");
    let inbox = fs::File::open(world.path("inbox")).expect("opened");
    rustix::fs::mkfifoat(&inbox, "d.csv", rustix::fs::Mode::RWXU).expect("made");
    fs::write(world.path("inbox/e@x.example.csv"), "a\n").expect("written");
    fs::write(world.path("inbox/f\u{7}.csv"), "a\n").expect("written");
    assert!(world.scanned().is_empty());
    let problems = problems(&world);
    let kinds: Vec<Problem> = problems.iter().map(|(_, problem)| *problem).collect();
    assert_eq!(kinds[..4], [Problem::Symlink, Problem::Folder, Problem::Links, Problem::Special]);
    assert_eq!(kinds[4..], [Problem::Name(FileNameError::At), Problem::Name(FileNameError::Control)]);
    assert!(problems[4].0.starts_with("(inode "), "no address: {}", problems[4].0);
    assert_eq!(problems[5].0, "f\\u{7}.csv");
    assert_eq!(problems[2].1.to_string(), "has more than one link: remove the other name, or put a copy here");
}

#[test]
fn a_file_that_cannot_be_opened_stays() {
    let world = World::new();
    fs::write(world.path("inbox/june.csv"), "a\n").expect("written");
    fs::set_permissions(world.path("inbox/june.csv"), fs::Permissions::from_mode(0o000)).expect("changed");
    if rustix::process::geteuid().is_root() {
        return; // who may read everything
    }
    assert_eq!(problems(&world), [("june.csv".to_owned(), Problem::Unreadable)]);
}

#[test]
fn a_missing_inbox_is_made_anew_and_said_so() {
    let world = World::new();
    fs::remove_dir(world.path("inbox")).expect("removed");
    assert!(world.folders.scan(DropFolder::Inbox).expect("read").recreated);
    assert!(!world.folders.scan(DropFolder::Inbox).expect("read").recreated);
    fs::remove_dir(world.path("inbox")).expect("removed");
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    assert_eq!(world.scanned().len(), 1);
}

#[test]
fn checksum_files_are_listed_apart_and_claimed_beside_their_file() {
    let world = World::new();
    let sum = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    world.put(DropFolder::Inbox, "june.csv.sha256", format!("{sum}  june.csv\n").as_bytes());
    let scan = world.folders.scan(DropFolder::Inbox).expect("read");
    assert_eq!(scan.files.len(), 1);
    assert_eq!(scan.sidecars[0].vouches_for, scan.files[0].name);
    let said = world.folders.read_checksum(&scan.sidecars[0]).expect("read").expect("a checksum");
    assert_eq!(said.to_string(), sum);
    for file in [&scan.files[0], &scan.sidecars[0].file] {
        world.folders.claim(file, ImportId(7)).expect("read").expect("claimed");
    }
    assert_eq!(world.tree("processing"), ["7-june.csv", "7-june.csv.sha256"]);
}

#[test]
fn a_file_that_a_crash_left_in_both_folders_counts_as_delivered() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    fs::hard_link(world.path("inbox/june.csv"), world.path("staging/inbox/june.csv")).expect("linked");
    assert_eq!(world.scanned().len(), 1);
    assert_eq!(world.tree("staging/inbox"), [""; 0]);
}

#[test]
fn a_start_finds_what_was_claimed_and_nothing_else() {
    let world = World::new();
    for text in ["42-june.csv", "7-a-b.csv", "7-a-b.csv.sha256", ".42.adopt", "x-june.csv", "007-june.csv", "june.csv"] {
        fs::write(world.path(&format!("processing/{text}")), "a\n").expect("written");
    }
    let claimed = world.folders.claimed().expect("read");
    let found: Vec<(i64, &str)> = claimed.iter().map(|file| (file.import().0, file.name().as_str())).collect();
    assert_eq!(found, [(7, "a-b.csv"), (7, "a-b.csv.sha256"), (42, "june.csv")]);
}

#[test]
fn a_claim_that_the_ledger_does_not_know_goes_back_unless_the_name_is_taken() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"first");
    let first = world.claim("june.csv", 1);
    world.put(DropFolder::Inbox, "june.csv", b"second");
    assert!(!first.put_back(DropFolder::Inbox).expect("read"));
    assert_eq!(world.read("processing/1-june.csv"), b"first");
    world.folders.remove(DropFolder::Inbox, &name("june.csv")).expect("removed");
    let first = world.folders.claimed_file(ImportId(1), &name("june.csv")).expect("read").expect("there");
    assert!(first.put_back(DropFolder::Inbox).expect("moved"));
    assert_eq!(world.read("inbox/june.csv"), b"first");
}

#[test]
fn a_commands_file_is_adopted_whole_or_not_at_all() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("unplugged"))
        }
    }
    use std::io::Read as _;
    let world = World::new();
    let adopt = |from: &mut dyn std::io::Read| world.folders.adopt(ImportId(3), &name("june.csv"), from);
    assert_eq!(adopt(&mut b"ann".chain(Broken)).expect_err("broken").kind(), ErrorKind::Medium);
    assert_eq!(world.tree("processing"), [""; 0]);
    fs::write(world.path("processing/.3.adopt"), "left by a kill").expect("written");
    assert_eq!(adopt(&mut &b"ann\n"[..]).expect("adopted").size(), 4);
    assert_eq!(adopt(&mut &b"bob\n"[..]).expect_err("there").kind(), ErrorKind::Exists);
    assert_eq!(world.tree("processing"), ["3-june.csv"]);
    assert_eq!(world.read("processing/3-june.csv"), b"ann\n");
}
