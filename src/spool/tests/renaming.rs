//! Renames, removals and partials: what a sender does with own files.

use super::*;

#[test]
fn a_rename_to_a_final_name_delivers() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv.part", b"a\n");
    let Ok(Renamed::Delivered(delivered)) = world.rename("june.csv.part", "june.csv", Replace::Never) else { panic!("not delivered") };
    let scanned = &world.scanned()[0];
    let hint = (delivered.device, delivered.inode, delivered.size, delivered.mtime_ns);
    assert_eq!(hint, (scanned.device, scanned.inode, scanned.size, scanned.mtime_ns));
    assert_eq!(world.tree("staging/inbox"), [""; 0]);
    assert_eq!(world.read("status/june.csv.json"), WAITING);
}

#[test]
fn a_rename_within_staging_keeps() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.part", b"a\n");
    assert_eq!(world.rename("june.part", "june.tmp", Replace::Never).expect("renamed"), Renamed::Kept);
    assert_eq!(world.listed(), ["june.tmp"]);
}

#[test]
fn a_file_that_is_still_open_is_not_delivered_by_a_rename() {
    let world = World::new();
    let mut upload = world.open("june.part", NEW);
    upload.write_at(0, b"a\n").expect("written");
    assert_eq!(world.rename("june.part", "june.csv", Replace::Never).expect_err("open").kind(), ErrorKind::Busy);
    upload.close(Some(WAITING)).expect("closed");
    assert!(matches!(world.rename("june.part", "june.csv", Replace::Never), Ok(Renamed::Delivered(_))));
}

#[test]
fn an_open_handle_whose_file_was_renamed_away_writes_no_more() {
    let world = World::new();
    let mut upload = world.open("june.part", NEW);
    upload.write_at(0, b"a\n").expect("written");
    world.rename("june.part", "june.tmp", Replace::Never).expect("renamed");
    assert_eq!(upload.write_at(2, b"b\n").expect_err("gone").kind(), ErrorKind::Superseded);
    drop(upload);
    assert_eq!(world.read("staging/inbox/june.tmp"), b"a\n");
}

#[test]
fn a_plain_rename_never_replaces() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"first");
    world.put(DropFolder::Inbox, "june.part", b"second");
    world.put(DropFolder::Inbox, "july.part", b"third");
    let refused = |from, to| world.rename(from, to, Replace::Never).expect_err("taken").kind();
    assert_eq!(refused("june.part", "june.csv"), ErrorKind::Exists);
    assert_eq!(refused("june.part", "july.part"), ErrorKind::Exists);
    assert_eq!(refused("june.csv", "july.part"), ErrorKind::Exists);
    assert_eq!(refused("june.csv", "june.csv"), ErrorKind::Exists);
    assert_eq!(refused("nothing.csv", "june.csv"), ErrorKind::NotFound);
    assert_eq!(world.read("inbox/june.csv"), b"first");
}

#[test]
fn a_posix_rename_replaces_what_waits_and_nothing_that_is_claimed() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"first");
    world.put(DropFolder::Inbox, "june.part", b"second");
    world.rename("june.part", "june.csv", Replace::OwnPending).expect("renamed");
    assert_eq!(world.read("inbox/june.csv"), b"second");
    world.claim("june.csv", 1);
    world.put(DropFolder::Inbox, "june.part", b"third");
    world.rename("june.part", "june.csv", Replace::OwnPending).expect("renamed");
    assert_eq!(world.read("processing/1-june.csv"), b"second");
    assert_eq!(world.read("inbox/june.csv"), b"third");
}

#[test]
fn a_rename_that_fails_leaves_no_word_of_a_file_that_waits() {
    let world = World::new();
    let status = || world.folders.read_status(&name("june.csv")).expect("read");
    world.put(DropFolder::Inbox, "june.part", b"a\n");
    std::fs::create_dir(world.path("inbox/june.csv")).expect("made");
    assert_eq!(world.rename("june.part", "june.csv", Replace::OwnPending).expect_err("a folder").kind(), ErrorKind::NotAFile);
    assert_eq!(status(), None);
    world.folders.publish_status(&name("june.csv"), b"earlier").expect("written");
    world.rename("june.part", "june.csv", Replace::OwnPending).expect_err("a folder");
    assert_eq!(status().as_deref(), Some(b"earlier".as_slice()));
}

#[test]
fn a_pending_file_goes_back_to_staging_and_between_the_drop_folders() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    world.rename("june.csv", "june.part", Replace::Never).expect("renamed");
    assert!(world.scanned().is_empty());
    world.rename("june.part", "june.csv", Replace::Never).expect("renamed");
    let (inbox, check, june) = (DropFolder::Inbox, DropFolder::Check, name("june.csv"));
    world.folders.rename((inbox, &june), (check, &june), Replace::Never, Some(WAITING)).expect("renamed");
    assert!(world.scanned().is_empty());
    assert_eq!(world.read("check/june.csv"), b"a\n");
    assert_eq!(world.read("status/june.csv.json"), WAITING);
}

#[test]
fn what_arrives_stands_for_an_earlier_upload_of_its_name_that_was_cut() {
    let world = World::new();
    world.cut("june.csv", b"ann");
    world.put(DropFolder::Inbox, "june.csv.part", b"ann@x.example\n");
    world.rename("june.csv.part", "june.csv", Replace::Never).expect("renamed");
    assert_eq!(world.tree("staging/inbox"), [""; 0]);
}

#[test]
fn a_removed_file_is_gone_with_its_note() {
    let world = World::new();
    world.cut("june.csv", b"abc");
    let mut upload = world.open("june.csv", RESUME);
    upload.write_at(3, b"def").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    world.folders.remove(DropFolder::Inbox, &name("june.csv")).expect("removed");
    for folder in ["inbox", "staging/inbox", "staging/notes"] {
        assert_eq!(world.tree(folder), [""; 0], "{folder}");
    }
    let again = world.folders.remove(DropFolder::Inbox, &name("june.csv")).expect_err("gone");
    assert_eq!(again.kind(), ErrorKind::NotFound);
}

#[test]
fn a_removed_upload_fails_at_its_close() {
    let world = World::new();
    let mut upload = world.open("june.csv", NEW);
    upload.write_at(0, b"a\n").expect("written");
    world.folders.remove(DropFolder::Inbox, &name("june.csv")).expect("removed");
    assert_eq!(upload.close(Some(WAITING)).expect_err("removed").kind(), ErrorKind::Superseded);
    assert!(world.scanned().is_empty());
}

#[test]
fn a_removal_takes_a_partial_before_the_file_that_was_delivered_under_its_name() {
    let world = World::new();
    let (inbox, june) = (DropFolder::Inbox, name("june.csv"));
    world.put(inbox, "june.csv", b"a\n");
    world.cut("june.csv", b"b\n");
    assert_eq!(world.folders.remove(inbox, &june).expect("removed"), Removed::PartialOnly);
    assert_eq!((world.tree("staging/inbox"), world.read("inbox/june.csv")), (Vec::new(), b"a\n".to_vec()));
    assert_eq!(world.read("status/june.csv.json"), WAITING);
    assert_eq!(world.folders.remove(inbox, &june).expect("removed"), Removed::Pending);
    world.cut("june.csv", b"b\n");
    assert_eq!(world.folders.remove(inbox, &june).expect("removed"), Removed::Partial);
}

#[test]
fn a_claimed_file_is_out_of_reach() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    world.claim("june.csv", 1);
    assert_eq!(world.size("june.csv"), None);
    assert_eq!(world.folders.remove(DropFolder::Inbox, &name("june.csv")).expect_err("gone").kind(), ErrorKind::NotFound);
    assert_eq!(world.rename("june.csv", "july.csv", Replace::Never).expect_err("gone").kind(), ErrorKind::NotFound);
}

#[test]
fn partials_count_and_expire_unless_someone_writes_them() {
    let world = World::new();
    world.cut("june.csv", b"abc");
    let mut open = world.open("july.part", NEW);
    open.write_at(0, b"ab").expect("written");
    let partials = world.folders.partials().expect("read");
    assert_eq!(partials.iter().map(|partial| partial.size).sum::<u64>(), 5);
    let gone: Vec<bool> = partials.iter().map(|partial| world.folders.expire_partial(partial).expect("read")).collect();
    assert_eq!(gone, [false, true]);
    assert_eq!(world.tree("staging/inbox"), ["july.part"]);
    drop(open);
    world.put(DropFolder::Inbox, "july.part", b"anew");
    assert!(!world.folders.expire_partial(&partials[0]).expect("read"), "another file by now");
}
