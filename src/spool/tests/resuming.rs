//! Resumed uploads: a truncated file must not delete the wrong person.

use super::*;

fn seams(world: &World) -> Vec<u64> {
    world.scanned().remove(0).seams
}

#[test]
fn a_resumed_upload_carries_the_offset_where_it_went_on() {
    let world = World::new();
    world.cut("june.csv", b"ann@x.ex");
    let mut upload = world.open("june.csv", RESUME);
    assert_eq!(upload.entry().size, 7, "the last byte is held back");
    upload.write_at(8, b"ample\n").expect("written");
    upload.write_at(14, b"bob@x.example\n").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    assert_eq!(world.read("inbox/june.csv"), b"ann@x.example\nbob@x.example\n");
    assert_eq!(seams(&world), [8]);
}

#[test]
fn appending_writes_at_the_end_and_is_a_seam() {
    let world = World::new();
    world.cut("june.csv", b"abc");
    let mut upload = world.open("june.csv", OpenUpload { append: true, ..RESUME });
    upload.write_at(0, b"cdef").expect("written");
    upload.write_at(0, b"ghi").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    assert_eq!(world.read("inbox/june.csv"), b"abcdefghi");
    assert_eq!(seams(&world), [3]);
}

#[test]
fn a_partial_resumed_twice_has_two_seams() {
    let world = World::new();
    world.cut("june.csv", b"abc");
    for bytes in [b"cdef", b"fghi"] {
        let mut upload = world.open("june.csv", RESUME);
        let end = upload.entry().size;
        upload.write_at(end, bytes).expect("written");
    }
    let mut upload = world.open("june.csv", RESUME);
    upload.write_at(8, b"i").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    assert_eq!(world.read("inbox/june.csv"), b"abcdefghi");
    assert_eq!(seams(&world), [3, 6]);
}

/// Clients that resume compare sizes, and send nothing where they are equal.
#[test]
fn an_upload_of_which_only_the_close_was_lost_can_be_resumed_and_is_not_delivered_before() {
    for append in [false, true] {
        let world = World::new();
        world.cut("june.csv", b"ann@x.example\n");
        let seen = || world.folders.stat_to_resume(DropFolder::Inbox, &name("june.csv")).expect("read").map(|entry| entry.size);
        for _ in 0..2 {
            assert_eq!(seen(), Some(13));
            let mut upload = world.open("june.csv", RESUME);
            assert_eq!(upload.close(Some(WAITING)).expect_err("nothing came").kind(), ErrorKind::Gap);
            let renamed = world.rename("june.csv", "july.csv", Replace::OwnPending);
            assert_eq!(renamed.expect_err("cut").kind(), ErrorKind::Busy);
            drop(upload);
            assert_eq!(world.rename("june.csv", "july.csv", Replace::OwnPending).expect_err("cut").kind(), ErrorKind::Gap);
        }
        let mut upload = world.open("june.csv", OpenUpload { append, ..RESUME });
        upload.write_at(13, b"\n").expect("written");
        upload.close(Some(WAITING)).expect("closed");
        assert_eq!(world.read("inbox/june.csv"), b"ann@x.example\n");
        assert_eq!(seams(&world), [0; 0]);
    }
}

#[test]
fn another_byte_in_the_place_of_the_one_that_was_held_back_is_a_seam() {
    let world = World::new();
    world.cut("june.csv", b"abc");
    let mut upload = world.open("june.csv", RESUME);
    upload.write_at(2, b"").expect("nothing");
    upload.write_at(2, b"XY").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    assert_eq!(world.read("inbox/june.csv"), b"abXY");
    assert_eq!(seams(&world), [2]);
}

#[test]
fn a_file_sent_again_from_the_start_has_no_seam() {
    let world = World::new();
    world.cut("june.csv", b"abc");
    let mut upload = world.open("june.csv", RESUME);
    upload.write_at(0, b"ABC").expect("written");
    upload.write_at(3, b"DEF").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    assert_eq!(world.read("inbox/june.csv"), b"ABCDEF");
    assert_eq!(seams(&world), [0; 0]);

    world.cut("july.csv", b"abc");
    world.put(DropFolder::Inbox, "july.csv", b"ABC");
    assert!(world.scanned().iter().all(|file| file.seams.is_empty()));
}

#[test]
fn a_temporary_name_that_was_closed_and_continued_keeps_its_seam_through_renames() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv.part", b"monday");
    let mut upload = world.open("june.csv.part", RESUME);
    upload.write_at(6, b"tuesday").expect("written");
    assert_eq!(upload.close(Some(WAITING)).expect("closed"), Closed::Kept);
    world.rename("june.csv.part", "june.csv.tmp", Replace::Never).expect("renamed");
    world.rename("june.csv.tmp", "june.csv", Replace::Never).expect("renamed");
    world.rename("june.csv", "july.csv", Replace::Never).expect("renamed");
    assert_eq!(seams(&world), [6]);
    assert_eq!(world.claim("july.csv", 1).seams(), [6]);
    assert_eq!(world.folders.claimed().expect("read")[0].seams(), [6], "a recovery still knows");
}

#[test]
fn an_overwritten_middle_has_two_seams() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.part", b"aaaaaaaaaa");
    let mut upload = world.open("june.part", RESUME);
    upload.write_at(4, b"BB").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    world.rename("june.part", "june.csv", Replace::Never).expect("renamed");
    assert_eq!(world.read("inbox/june.csv"), b"aaaaBBaaaa");
    assert_eq!(seams(&world), [4, 6]);
}

#[test]
fn a_rewrite_that_is_cut_does_not_keep_the_older_tail() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.part", b"aaaaaaaaaa");
    let mut upload = world.open("june.part", RESUME);
    upload.write_at(0, b"BBB").expect("written");
    drop(upload);
    assert_eq!(world.read("staging/inbox/june.part"), b"BBB");
    assert_eq!(world.rename("june.part", "june.csv", Replace::Never).expect_err("cut").kind(), ErrorKind::Gap);
}

/// What a kill leaves: the handle is forgotten, so nothing of its end runs.
fn killed(upload: Upload) {
    std::mem::forget(upload);
}

/// A new process: no account of who writes.
fn restarted(world: &World) -> Folders {
    let spool = Spool::new(world.spool.tenants_dir().to_owned());
    let folders = spool.tenant(&world.tenant).expect("there");
    folders.sweep().expect("swept");
    folders
}

#[test]
fn a_kill_with_a_gap_open_does_not_make_the_partial_look_whole() {
    let world = World::new();
    let mut upload = world.open("june.csv", NEW);
    upload.write_at(0, b"ab").expect("written");
    upload.write_at(4, b"ef").expect("written");
    killed(upload);
    assert_eq!(world.read("staging/inbox/june.csv").len(), 6);
    let folders = restarted(&world);
    let (inbox, june) = (DropFolder::Inbox, name("june.csv"));
    assert_eq!(folders.stat(inbox, &june).expect("read").map(|entry| entry.size), Some(2));
    let error = folders.rename((inbox, &june), (inbox, &name("july.csv")), Replace::Never, Some(WAITING)).expect_err("a gap");
    assert_eq!(error.kind(), ErrorKind::Gap);
    let mut upload = folders.open_upload(inbox, &june, RESUME).expect("opened");
    assert_eq!(upload.close(Some(WAITING)).expect_err("nothing was sent since").kind(), ErrorKind::Gap);
    upload.write_at(2, b"cdef").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    assert_eq!(world.read("inbox/june.csv"), b"abcdef");
    assert_eq!(folders.scan(inbox).expect("read").files[0].seams, [2]);
}

#[test]
fn a_kill_after_the_first_resumed_byte_leaves_the_seam_known() {
    let world = World::new();
    world.cut("june.part", b"abc");
    let mut upload = world.open("june.part", RESUME);
    upload.write_at(3, b"d").expect("written");
    killed(upload);
    let folders = restarted(&world);
    let inbox = DropFolder::Inbox;
    folders.rename((inbox, &name("june.part")), (inbox, &name("june.csv")), Replace::Never, Some(WAITING)).expect("renamed");
    assert_eq!(folders.scan(inbox).expect("read").files[0].seams, [3]);
}

#[test]
fn a_kill_in_a_rewrite_cuts_the_partial_where_the_rewrite_began() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.part", b"aaaaaaaaaa");
    let mut upload = world.open("june.part", RESUME);
    upload.write_at(4, b"BB").expect("written");
    upload.write_at(6, b"BB").expect("written");
    killed(upload);
    let upload = restarted(&world).open_upload(DropFolder::Inbox, &name("june.part"), RESUME).expect("opened");
    assert_eq!(upload.entry().size, 4);
}

#[test]
fn a_note_that_cannot_be_read_is_taken_for_the_worst() {
    let world = World::new();
    world.cut("june.part", b"abc");
    let inode = world.folders.partials().expect("read")[0].clone();
    let note = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(world.path("staging/inbox/june.part")).expect("there"));
    std::fs::write(world.path(&format!("staging/notes/{note}")), "").expect("written");
    assert_eq!(inode.size, 3);
    assert_eq!(world.size("june.part"), Some(0));
    assert_eq!(world.rename("june.part", "june.csv", Replace::Never).expect_err("unknown").kind(), ErrorKind::Gap);
}

#[test]
fn notes_of_files_that_are_gone_are_swept_and_others_kept() {
    let world = World::new();
    for text in ["june.part", "july.part"] {
        world.cut(text, b"abc");
        world.open(text, RESUME).write_at(3, b"d").expect("written");
    }
    assert_eq!(world.tree("staging/notes").len(), 2);
    std::fs::remove_file(world.path("staging/inbox/july.part")).expect("removed by hand");
    std::fs::write(world.path("staging/notes/.1.tmp"), "").expect("written");
    world.folders.sweep().expect("swept");
    assert_eq!(world.tree("staging/notes").len(), 1);
    assert!(matches!(world.rename("june.part", "june.csv", Replace::Never), Ok(Renamed::Delivered(_))));
    assert_eq!(seams(&world), [3]);
}

#[test]
fn one_resume_more_than_the_limit_is_refused() {
    let world = World::new();
    world.cut("june.part", b"a");
    for i in 0..SEAMS_MAX as u64 {
        world.open("june.part", RESUME).write_at(1 + i, b"a").expect("within the limit");
    }
    let mut upload = world.open("june.part", RESUME);
    assert_eq!(upload.write_at(1 + SEAMS_MAX as u64, b"a").expect_err("one more").kind(), ErrorKind::Scattered);
}

#[test]
fn a_piece_that_was_refused_of_a_resumed_upload_is_missing_until_it_is_written() {
    for append in [false, true] {
        let world = World::new();
        world.cut("june.csv", b"0123456789");
        let mut upload = world.open("june.csv", OpenUpload { append, ..RESUME });
        upload.refuse_write(9, 3);
        let next = if append { 0 } else { 12 };
        upload.write_at(next, b"cde").expect("written");
        assert_eq!(upload.close(Some(WAITING)).expect_err("a piece is missing").kind(), ErrorKind::Gap, "append: {append}");
    }
    let world = World::new();
    world.cut("june.csv", b"0123456789");
    let mut upload = world.open("june.csv", RESUME);
    upload.refuse_write(9, 3);
    upload.write_at(9, b"9ab").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    assert_eq!(world.read("inbox/june.csv"), b"0123456789ab");
}

#[test]
fn what_was_cut_under_a_final_name_is_delivered_by_no_way_round_another_name() {
    let world = World::new();
    world.cut("june.csv", b"email\n");
    world.rename("june.csv", "june.csv.part", Replace::Never).expect("renamed");
    for to in ["june.csv", "july.csv"] {
        assert_eq!(world.rename("june.csv.part", to, Replace::Never).expect_err("cut").kind(), ErrorKind::Gap);
    }
    let mut upload = world.open("june.csv.part", RESUME);
    upload.write_at(6, b"a@b.c\n").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    assert!(matches!(world.rename("june.csv.part", "june.csv", Replace::Never), Ok(Renamed::Delivered(_))));
    assert_eq!(world.read("inbox/june.csv"), b"email\na@b.c\n");
}

#[test]
fn a_list_that_is_sent_whole_over_one_byte_of_it_has_no_seam() {
    let world = World::new();
    world.cut("june.csv", b"e");
    let mut upload = world.open("june.csv", RESUME);
    upload.write_at(0, b"email\n").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    assert_eq!(seams(&world), [0; 0]);
}
