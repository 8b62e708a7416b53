//! Uploads: what delivers, what never does, and who wins.

use super::*;

#[test]
fn a_close_delivers_and_leaves_nothing_in_staging() {
    let world = World::new();
    let Closed::Delivered(delivered) = world.put(DropFolder::Inbox, "june.csv", b"a\n") else { panic!("not delivered") };
    assert_eq!(world.read("inbox/june.csv"), b"a\n");
    assert_eq!(world.tree("staging/inbox"), [""; 0]);
    assert_eq!(world.tree("staging/notes"), [""; 0]);
    assert_eq!(world.folders.read_status(&name("june.csv")).expect("read").as_deref(), Some(WAITING));
    let scanned = &world.scanned()[0];
    let hint = (scanned.device, scanned.inode, scanned.size, scanned.mtime_ns);
    assert_eq!(hint, (delivered.device, delivered.inode, delivered.size, delivered.mtime_ns));
    assert_eq!(scanned.seams, [0; 0]);
}

#[test]
fn a_zero_byte_file_is_delivered() {
    let world = World::new();
    let mut upload = world.open("june.csv", NEW);
    assert!(matches!(upload.close(Some(WAITING)), Ok(Closed::Delivered(_))));
    assert_eq!(world.read("inbox/june.csv"), b"");
}

#[test]
fn a_checking_tenant_delivers_to_the_check_folder() {
    let world = World::new();
    world.put(DropFolder::Check, "june.csv", b"a\n");
    assert_eq!(world.read("check/june.csv"), b"a\n");
    assert!(world.scanned().is_empty());
    assert_eq!(world.folders.scan(DropFolder::Check).expect("read").files.len(), 1);
}

#[test]
fn a_temporary_name_stays_in_staging_after_its_close() {
    let world = World::new();
    for text in ["june.csv.part", "june.csv.filepart", ".june.csv", "june.tmp"] {
        assert_eq!(world.put(DropFolder::Inbox, text, b"a\n"), Closed::Kept, "{text}");
    }
    assert!(world.scanned().is_empty());
    assert_eq!(world.listed(), ["june.csv.filepart", "june.csv.part", "june.tmp"]);
}

#[test]
fn writes_out_of_order_and_over_each_other_deliver_when_all_is_there() {
    let world = World::new();
    let mut upload = world.open("june.csv", NEW);
    for (offset, bytes) in [(4, &b"ef"[..]), (0, b"ab"), (1, b"bcd"), (3, b"de")] {
        upload.write_at(offset, bytes).expect("written");
    }
    assert!(matches!(upload.close(Some(WAITING)), Ok(Closed::Delivered(_))));
    assert_eq!(world.read("inbox/june.csv"), b"abcdef");
    assert_eq!(world.scanned()[0].seams, [0; 0]);
    assert_eq!(world.tree("staging/notes"), [""; 0]);
}

#[test]
fn a_gap_never_delivers_and_its_gap_free_part_stays() {
    let world = World::new();
    let mut upload = world.open("june.csv", NEW);
    upload.write_at(0, b"ab").expect("written");
    upload.write_at(4, b"ef").expect("written");
    assert_eq!(upload.close(Some(WAITING)).expect_err("a gap").kind(), ErrorKind::Gap);
    drop(upload);
    assert!(world.scanned().is_empty());
    assert_eq!(world.read("staging/inbox/june.csv"), b"ab");
    assert_eq!(world.size("june.csv"), Some(2));
    let error = world.rename("june.csv", "july.csv", Replace::Never).expect_err("cut by us");
    assert_eq!(error.kind(), ErrorKind::Gap);
}

#[test]
fn a_size_set_beyond_the_end_is_a_gap() {
    let world = World::new();
    let mut upload = world.open("june.csv", NEW);
    upload.write_at(0, b"abcd").expect("written");
    upload.truncate(2).expect("shrunk");
    upload.truncate(4).expect("grown");
    assert_eq!(upload.entry().size, 4);
    assert_eq!(upload.close(Some(WAITING)).expect_err("a gap").kind(), ErrorKind::Gap);
    upload.write_at(2, b"CD").expect("written");
    assert!(matches!(upload.close(Some(WAITING)), Ok(Closed::Delivered(_))));
    assert_eq!(world.read("inbox/june.csv"), b"abCD");
}

#[test]
fn a_lost_connection_never_delivers() {
    let world = World::new();
    world.cut("june.csv", b"ann");
    assert!(world.scanned().is_empty());
    assert_eq!(world.listed(), [""; 0], "a cut upload is not listed");
    assert_eq!(world.size("june.csv"), Some(3), "but can be resumed");
}

#[test]
fn a_refused_write_is_a_gap_though_the_client_goes_on_to_close() {
    let world = World::new();
    let mut upload = world.open("june.csv", NEW);
    upload.write_at(0, b"ann@x.example\nbo").expect("written");
    upload.refuse_write(16, 100);
    assert_eq!(upload.close(Some(WAITING)).expect_err("a gap").kind(), ErrorKind::Gap);
    drop(upload);
    assert!(world.scanned().is_empty());
}

#[test]
fn a_newer_open_wins_and_the_bytes_are_not_mixed() {
    let world = World::new();
    let mut older = world.open("june.csv", NEW);
    older.write_at(0, b"older").expect("written");
    let mut newer = world.open("june.csv", NEW);
    assert_eq!(older.write_at(5, b"more").expect_err("superseded").kind(), ErrorKind::Superseded);
    newer.write_at(0, b"new").expect("written");
    assert_eq!(older.close(Some(WAITING)).expect_err("superseded").kind(), ErrorKind::Superseded);
    drop(older);
    assert!(matches!(newer.close(Some(WAITING)), Ok(Closed::Delivered(_))));
    assert_eq!(world.read("inbox/june.csv"), b"new");
}

#[test]
fn a_resuming_open_stops_the_older_handle_too() {
    let world = World::new();
    let mut older = world.open("june.csv", NEW);
    older.write_at(0, b"abc").expect("written");
    // Another session, with folders of its own.
    let other = world.spool.tenant(&world.tenant).expect("there");
    let mut newer = other.open_upload(DropFolder::Inbox, &name("june.csv"), RESUME).expect("opened");
    assert_eq!(older.write_at(3, b"XX").expect_err("superseded").kind(), ErrorKind::Superseded);
    assert_eq!(older.truncate(0).expect_err("superseded").kind(), ErrorKind::Superseded);
    drop(older);
    newer.write_at(3, b"def").expect("written");
    newer.close(Some(WAITING)).expect("closed");
    assert_eq!(world.read("inbox/june.csv"), b"abcdef");
    drop(newer);
    assert_eq!(world.folders.writers().len(), 0, "no account is kept of closed names");
}

#[test]
fn a_delivery_never_replaces_a_file_that_waits() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"first");
    world.folders.publish_status(&name("june.csv"), b"first").expect("written");
    let mut upload = world.open("june.csv", NEW);
    upload.write_at(0, b"second").expect("written");
    assert_eq!(upload.close(Some(WAITING)).expect_err("waiting").kind(), ErrorKind::Pending);
    assert_eq!(world.read("inbox/june.csv"), b"first");
    assert_eq!(world.read("status/june.csv.json"), b"first", "the status is the waiting file's");
    world.claim("june.csv", 1);
    assert!(matches!(upload.close(Some(WAITING)), Ok(Closed::Delivered(_))), "the same close, once the first is claimed");
    assert_eq!(world.read("inbox/june.csv"), b"second");
    assert_eq!(world.read("processing/1-june.csv"), b"first");
}

#[test]
fn a_delivered_file_cannot_be_continued() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"first");
    let open = |open| world.folders.open_upload(DropFolder::Inbox, &name("june.csv"), open).expect_err("refused").kind();
    assert_eq!(open(RESUME), ErrorKind::AlreadyTaken);
    assert_eq!(open(OpenUpload { create: true, append: true, ..RESUME }), ErrorKind::AlreadyTaken);
    assert_eq!(open(OpenUpload { create: true, exclusive: true, ..NEW }), ErrorKind::Exists);
}

#[test]
fn an_open_that_may_not_create_or_may_only_create_says_so() {
    let world = World::new();
    let open = |text, open| world.folders.open_upload(DropFolder::Inbox, &name(text), open).map(|_| ()).map_err(|e| e.kind());
    assert_eq!(open("june.csv", RESUME), Err(ErrorKind::NotFound));
    assert_eq!(open("june.csv", OpenUpload { create: false, ..NEW }), Err(ErrorKind::NotFound));
    world.cut("june.csv", b"a");
    assert_eq!(open("june.csv", OpenUpload { exclusive: true, ..NEW }), Err(ErrorKind::Exists));
    assert_eq!(open("july.csv", OpenUpload { exclusive: true, ..NEW }), Ok(()));
    assert_eq!(world.folders.writers().len(), 0);
}

#[test]
fn a_link_in_staging_is_not_written_through() {
    let world = World::new();
    std::fs::write(world.path("victim"), "whole").expect("written");
    std::os::unix::fs::symlink(world.path("victim"), world.path("staging/inbox/june.csv")).expect("linked");
    let error = world.folders.open_upload(DropFolder::Inbox, &name("june.csv"), RESUME).expect_err("a link");
    assert_eq!(error.kind(), ErrorKind::NotAFile);
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    assert_eq!(world.read("victim"), b"whole");
}

#[test]
fn files_and_folders_are_the_daemons_alone() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    let mode = |path: &str| std::fs::metadata(world.path(path)).expect("there").permissions().mode() & 0o777;
    for folder in ["", "inbox", "staging", "staging/inbox", "staging/notes", "processing", "archive", "status"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    assert_eq!((mode("inbox/june.csv"), mode("status/june.csv.json")), (0o600, 0o600));
}

#[expect(clippy::disallowed_methods, reason = "an operator's mv")]
fn moved_by_hand(from: &std::path::Path, to: &std::path::Path) {
    std::fs::rename(from, to).expect("moved");
}

#[test]
fn folders_that_an_operator_put_in_place_of_others_are_used_at_once() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    world.cut("july.csv", b"b");
    for folder in ["inbox", "staging"] {
        moved_by_hand(&world.path(folder), &world.path(&format!("old-{folder}")));
        std::fs::create_dir(world.path(folder)).expect("made");
    }
    assert_eq!((world.size("june.csv"), world.size("july.csv")), (None, None));
    world.cut("july.csv", b"bc");
    assert_eq!(world.read("staging/inbox/july.csv"), b"bc");
    world.put(DropFolder::Inbox, "june.csv", b"abc\n");
    assert_eq!(world.read("inbox/june.csv"), b"abc\n");
    for folder in ["inbox", "staging"] {
        std::fs::remove_dir_all(world.path(folder)).expect("removed");
    }
    world.put(DropFolder::Inbox, "june.csv", b"abcd\n");
    assert_eq!(world.read("inbox/june.csv"), b"abcd\n");
}

#[test]
fn a_link_in_place_of_a_folder_leads_nowhere() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    moved_by_hand(&world.path("inbox"), &world.path("aside"));
    std::os::unix::fs::symlink(world.path("aside"), world.path("inbox")).expect("linked");
    world.folders.stat(DropFolder::Inbox, &name("june.csv")).expect_err("a link");
    world.folders.open_upload(DropFolder::Inbox, &name("july.csv"), NEW).expect_err("a link");
}

#[test]
fn a_tenants_folder_that_was_made_anew_is_another() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    let size = |folders: &Folders| folders.stat(DropFolder::Inbox, &name("june.csv")).expect("read").map(|entry| entry.size);
    assert_eq!(size(&world.spool.tenant(&world.tenant).expect("there")), Some(2));
    moved_by_hand(&world.path(""), &world.path("").with_file_name("aside"));
    world.spool.create_tenant(&world.tenant).expect("made anew");
    assert_eq!(size(&world.spool.tenant(&world.tenant).expect("there")), None);
}

#[test]
fn those_who_have_a_tenant_in_hand_share_its_open_folders_and_nothing_stays_open_after_them() {
    let world = World::new();
    let path = world.path("");
    let open_below = || {
        let targets = std::fs::read_dir("/proc/self/fd").expect("descriptors").filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
        targets.filter(|target| target.starts_with(&path)).count()
    };
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    let (open, another) = (open_below(), world.spool.tenant(&world.tenant).expect("there"));
    another.stat(DropFolder::Inbox, &name("june.csv")).expect("read");
    assert_eq!((open > 1, open_below()), (true, open));
    let World { folders, dir, spool, .. } = world;
    drop((folders, another));
    assert_eq!(open_below(), 0);
    drop((spool, dir));
}

#[test]
fn two_sessions_at_once_deliver_whole_files_only() {
    let world = World::new();
    let delivered = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for byte in b'a'..=b'd' {
            let (folders, delivered) = (world.spool.tenant(&world.tenant).expect("there"), &delivered);
            scope.spawn(move || {
                for round in 0..50_i64 {
                    let mut upload = folders.open_upload(DropFolder::Inbox, &name("june.csv"), NEW).expect("opened");
                    let written = (0..8).try_for_each(|i| upload.write_at(i * 512, &[byte; 512]));
                    if written.and_then(|()| upload.close(Some(WAITING))).is_ok() {
                        delivered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let file = folders.scan(DropFolder::Inbox).expect("read").files.remove(0);
                        let import = crate::domain::ImportId(i64::from(byte) * 1000 + round);
                        folders.claim(&file, import).expect("read").expect("only its deliverer claims it");
                    }
                }
            });
        }
    });
    let claimed = world.tree("processing");
    assert_eq!(claimed.len(), delivered.into_inner());
    assert!(!claimed.is_empty());
    for file in claimed {
        let bytes = world.read(&format!("processing/{file}"));
        assert!(bytes.len() == 4096 && bytes.iter().all(|&byte| byte == bytes[0]), "{file} is mixed");
    }
}

#[test]
fn a_status_says_what_it_said_before_after_a_delivery_that_failed() {
    let world = World::new();
    let fail = || {
        let mut upload = world.open("june.csv", NEW);
        upload.write_at(0, b"a\n").expect("written");
        std::fs::remove_file(world.path("staging/inbox/june.csv")).expect("removed by hand");
        assert_eq!(upload.close(Some(WAITING)).expect_err("gone").kind(), ErrorKind::Superseded);
    };
    fail();
    assert_eq!(world.tree("status"), ["recent.log"]);
    world.folders.publish_status(&name("june.csv"), b"earlier").expect("written");
    fail();
    assert_eq!(world.read("status/june.csv.json"), b"earlier");
}

#[test]
fn offsets_at_the_end_of_the_range_are_refused_and_nothing_grows() {
    let world = World::new();
    let mut upload = world.open("june.csv", NEW);
    upload.write_at(0, b"abc").expect("written");
    assert!(upload.write_at(u64::MAX - 1, b"xyz").is_err());
    assert_eq!(upload.read_at(u64::MAX, &mut [0; 4]).map_err(|error| error.kind()), Err(ErrorKind::Medium));
    upload.truncate(1 << 40).expect("noted");
    assert_eq!(world.read("staging/inbox/june.csv"), b"abc", "a size that is only promised takes no room");
    assert_eq!(upload.close(Some(WAITING)).expect_err("a gap").kind(), ErrorKind::Gap);
    upload.truncate(3).expect("shrunk");
    assert!(matches!(upload.close(Some(WAITING)), Ok(Closed::Delivered(_))));
}

#[test]
fn what_waits_is_read_back_and_of_a_partial_only_what_is_good() {
    let world = World::new();
    let read = |file: &str| {
        world.folders.open_back(DropFolder::Inbox, &name(file)).map(|(mut file, entry)| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut bytes).expect("readable");
            (bytes.len(), entry.size)
        })
    };
    assert_eq!(read("june.csv").map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    let mut upload = world.open("june.csv", NEW);
    upload.write_at(0, b"abc").expect("written");
    upload.write_at(10, b"xyz").expect("written");
    assert_eq!(read("june.csv").expect("open").1, 3, "up to the gap");
    upload.write_at(3, b"defghij").expect("written");
    upload.close(Some(WAITING)).expect("closed");
    assert_eq!(read("june.csv").expect("delivered"), (13, 13));
}

/// A copy of the folder holds a copy of the upload, which ends where the upload was when it was made.
#[test]
fn a_copy_of_an_upload_in_a_folder_put_in_the_place_of_its_own_is_not_delivered_for_it() {
    let world = World::new();
    let mut upload = world.open("june.csv", NEW);
    upload.write_at(0, b"a\n").expect("written");
    rustix::fs::rename(world.path(""), world.dir.path().join("aside")).expect("moved");
    world.spool.create_tenant(&world.tenant).expect("made");
    std::fs::copy(world.dir.path().join("aside/staging/inbox/june.csv"), world.path("staging/inbox/june.csv")).expect("copied");
    upload.write_at(2, b"b\n").expect("written");
    assert_eq!(upload.close(Some(WAITING)).expect_err("another's").kind(), ErrorKind::Superseded);
    assert_eq!(world.tree("inbox"), [""; 0]);
    world.put(DropFolder::Inbox, "july.csv", b"a\n");
    assert_eq!(world.tree("inbox"), ["july.csv"], "who holds the folders holds those that stand there now");
}
