//! What senders' clients expect beyond the protocol's letter: ends, orders and attributes that their programs rely on.

use russh_sftp::protocol::OpenFlags;
use tokio::io::AsyncWriteExt;

use super::packets::{WRITE_NEW, ask, by_handle, by_path, open, packet, rename, replies, set, sftp_channel, write};
use super::*;
use crate::sftp::tests::sessions::{raw, stats};
use crate::sftp::wire::{self, Attributes, Writer};

/// FileZilla half-closes; JSch and sshj wait for CLOSE; WS_FTP and paramiko want replies in the order of their requests.
#[test]
fn a_client_that_closes_its_half_is_answered_in_order_to_the_last_and_told_the_end() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = raw(&world).await;
        channel.data_bytes(stats(500)).await.unwrap();
        channel.eof().await.unwrap();
        let (replies, ends) = replies(&mut channel).await;
        let expected = std::iter::once((wire::VERSION, 3)).chain((0..500).map(|id| (wire::ATTRS, id)));
        assert_eq!(replies, expected.collect::<Vec<_>>());
        assert_eq!(ends, ["status 0", "eof", "close"]);
    });
}

#[test]
fn a_message_without_a_byte_is_not_the_end() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = raw(&world).await;
        channel.data_bytes(Vec::new()).await.unwrap();
        channel.data_bytes(stats(1)).await.unwrap();
        channel.data_bytes(Vec::new()).await.unwrap();
        channel.eof().await.unwrap();
        assert_eq!(replies(&mut channel).await.0, [(wire::VERSION, 3), (wire::ATTRS, 0)]);
    });
}

#[test]
fn a_name_that_is_no_text_is_refused_and_the_session_goes_on() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = raw(&world).await;
        let mut packets = Vec::new();
        Writer::new(&mut packets, wire::OPEN).u32(1).string(b"a\xff.csv").u32(2 | 8).u32(0).end();
        Writer::new(&mut packets, wire::RENAME).u32(2).string(b"a\xff.csv").string(b"b\xfe.csv").end();
        Writer::new(&mut packets, wire::STAT).u32(3).string(b"/inbox").end();
        channel.data_bytes(packets).await.unwrap();
        channel.eof().await.unwrap();
        let expected = [(wire::VERSION, 3), (wire::STATUS, 1), (wire::STATUS, 2), (wire::ATTRS, 3)];
        assert_eq!(replies(&mut channel).await.0, expected);
        assert!(std::fs::read_dir(world.path("staging/inbox")).unwrap().next().is_none());
    });
}

#[test]
fn a_refusal_of_too_many_open_files_is_told_and_after_a_hundred_it_is_told_that_no_more_are() {
    run(async {
        let world = World::with(Options { handles_per_channel_max: 1, ..Options::default() });
        let (_handle, mut channel) = raw(&world).await;
        let mut packets = Vec::new();
        for (id, name) in [b"a.part", b"b.part"].into_iter().enumerate() {
            Writer::new(&mut packets, wire::OPEN).u32(u32::try_from(id).unwrap()).string(name).u32(2 | 8).u32(0).end();
        }
        Writer::new(&mut packets, wire::OPENDIR).u32(2).string(b"/inbox").end();
        Writer::new(&mut packets, wire::OPEN).u32(3).string(&[b'x'; 4097]).u32(2 | 8).u32(0).end();
        for id in 4..103 {
            Writer::new(&mut packets, wire::MKDIR).u32(id).string(b"sub").u32(0).end();
        }
        channel.data_bytes(packets).await.unwrap();
        channel.eof().await.unwrap();
        assert_eq!(replies(&mut channel).await.0.len(), 104);
        let log = std::fs::read_to_string(world.path("status/recent.log")).unwrap();
        let told: Vec<_> =
            log.lines().map(|line| line.split_once(' ').unwrap().1).filter(|line| !line.contains("sub folder refused")).collect();
        let expected = [
            "/inbox/b.part open refused: too many open files",
            "/inbox listing refused: too many open files",
            &format!("/inbox/{} open refused: the path is longer than 4096 bytes", "x".repeat(293)),
            "further refusals of this connection are not told",
        ];
        assert_eq!(told.iter().filter(|line| !line.contains("upload cut")).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        assert_eq!(log.matches("sub folder refused").count(), 97);
    });
}

/// The requests of WinSCP's upload of a large list, from its source (`TSFTPFileSystem::SFTPSource`): it looks for the file and for
/// the part, sends the part with the size in OPEN, deletes the old file if it saw one, renames, and then sets rights and times. By
/// then the file may be taken. It asks for version 6, and for a folder it tries OPENDIR, then MKDIR.
#[test]
fn winscp_sends_a_large_list_twice_and_looks_for_a_folder() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 6).await;
        let (file, part) = ("/inbox/june.csv", "/inbox/june.csv.filepart");
        let size = Attributes { size: Some(12), ..Attributes::default() };
        let properties = Attributes { permissions: Some(0o644), times: Some((1_600_000_000, 1_600_000_000)), ..Attributes::default() };
        let sent = |handle| {
            [
                open(3, part, WRITE_NEW, &size),
                write(4, handle, 0, b"email\n"),
                write(5, handle, 6, b"a@b.c\n"),
                by_handle(wire::CLOSE, 6, handle),
            ]
        };
        let looks = [by_path(wire::LSTAT, 1, file), by_path(wire::LSTAT, 2, part)];

        assert_eq!(ask(&mut channel, &[by_path(wire::REALPATH, 0, ".")]).await, ["0 names /inbox"]);
        assert_eq!(ask(&mut channel, &looks).await, ["1 status 2", "2 status 2"]);
        assert_eq!(ask(&mut channel, &sent(1)).await, ["3 handle", "4 ok", "5 ok", "6 ok"]);
        assert_eq!(ask(&mut channel, &[rename(7, part, file)]).await, ["7 ok"]);
        assert_eq!(world.claim(DropFolder::Inbox), 1);
        let last = [set(8, file, &properties), by_path(wire::LSTAT, 9, file), by_path(wire::REMOVE, 10, file)];
        assert_eq!(ask(&mut channel, &last).await, ["8 ok", "9 size=12 mtime=1600000000", "10 status 4"], "it is not withdrawn");

        assert_eq!(ask(&mut channel, &looks).await, ["1 size=12 mtime=1600000000", "2 status 2"], "it sees the first");
        assert_eq!(ask(&mut channel, &sent(2)).await, ["3 handle", "4 ok", "5 ok", "6 ok"]);
        let replaced = [by_path(wire::REMOVE, 7, file), rename(8, part, file), set(9, file, &properties)];
        assert_eq!(ask(&mut channel, &replaced).await, ["7 ok", "8 ok", "9 ok"]);
        assert_eq!(world.hints(), ["acme inbox june.csv 12", "acme inbox june.csv 12"]);

        let folder = [
            by_path(wire::OPENDIR, 1, "/inbox/lists/"),
            packet(wire::MKDIR, |p| p.u32(2).string(b"/inbox/lists").attributes(&Attributes::default())),
        ];
        assert_eq!(ask(&mut channel, &folder).await, ["1 status 2", "2 status 3"]);
    });
}

/// FileZilla's engine is PuTTY's psftp: it lists with four READDIRs at once, puts with permissions in OPEN, resumes after FSTAT without
/// truncating, sets times, tries MKDIR for a folder, and half-closes when it goes.
#[test]
fn filezilla_lists_resumes_sets_times_and_half_closes() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let rights = Attributes { permissions: Some(0o644), ..Attributes::default() };
        let times = Attributes { times: Some((1_600_000_000, 1_600_000_000)), ..Attributes::default() };
        let part = "/inbox/june.csv.part";
        let put = [open(1, part, WRITE_NEW, &rights), write(2, 1, 0, b"email\n"), by_handle(wire::CLOSE, 3, 1)];
        assert_eq!(ask(&mut channel, &put).await, ["1 handle", "2 ok", "3 ok"]);
        let list = [by_path(wire::REALPATH, 1, "."), by_path(wire::OPENDIR, 2, "/inbox")];
        let looks = [3, 4, 5, 6].map(|id| by_handle(wire::READDIR, id, 2));
        let listed = ask(&mut channel, &[&list[..], &looks[..], &[by_handle(wire::CLOSE, 7, 2)]].concat()).await;
        assert_eq!(listed, ["1 names /inbox", "2 handle", "3 names june.csv.part", "4 status 1", "5 status 1", "6 status 1", "7 ok"]);
        let resumed = [open(1, part, 2, &Attributes::default()), by_handle(wire::FSTAT, 2, 3)];
        let resumed = ask(&mut channel, &resumed).await;
        assert!(resumed[0] == "1 handle" && resumed[1].starts_with("2 size=6 "), "{resumed:?}");
        let rest = [write(3, 3, 6, b"a@b.c\n"), by_handle(wire::CLOSE, 4, 3), set(5, part, &times), rename(6, part, "/inbox/june.csv")];
        assert_eq!(ask(&mut channel, &rest).await, ["3 ok", "4 ok", "5 ok", "6 ok"]);
        let end =
            [by_path(wire::STAT, 7, "/inbox/june.csv"), packet(wire::MKDIR, |p| p.u32(8).string(b"/inbox/lists").attributes(&rights))];
        assert_eq!(ask(&mut channel, &end).await, ["7 size=12 mtime=1600000000", "8 status 3"]);
        channel.eof().await.unwrap();
        assert_eq!(replies(&mut channel).await.1, ["status 0", "eof", "close"]);
        assert_eq!(std::fs::read(world.path("inbox/june.csv")).unwrap(), b"email\na@b.c\n");
    });
}

/// `rclone moveto june.csv.part june.csv` removes what STAT shows before it renames; so do many scripts.
#[test]
fn a_taken_name_is_cleared_for_what_lies_there_under_a_temporary_name_of_its_own() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let cases = [
            ("a.csv.filepart", "4 ok"),
            ("b.csv.part", "4 ok"),
            ("c.csv.1a2b3c4d.partial", "4 ok"),
            ("d.csv.sha256", "4 status 4"),
            ("f.csv.gz.part", "4 status 4"),
            ("g.csv.sha256.filepart", "4 status 4"),
            ("h.csv.old.csv.tmp", "4 status 4"),
            ("e2.csv.part", "4 status 4"),
        ];
        for (number, (other, cleared)) in (1..).step_by(2).zip(cases) {
            let file = &other[..other.find(".csv").unwrap()].replace("e2", "e");
            let put = |number, path: &str| {
                [open(1, path, WRITE_NEW, &Attributes::default()), write(2, number, 0, b"email\n"), by_handle(wire::CLOSE, 3, number)]
            };
            ask(&mut channel, &put(number, &format!("/inbox/{file}.csv"))).await;
            assert_eq!(world.claim(DropFolder::Inbox), 1);
            ask(&mut channel, &put(number + 1, &format!("/inbox/{other}"))).await;
            assert_eq!(ask(&mut channel, &[by_path(wire::REMOVE, 4, &format!("/inbox/{file}.csv"))]).await, [cleared], "{other}");
        }
    });
}

/// `scp` since OpenSSH 9.1 does not empty what it writes over, but cuts it at the end; `curl -C -`, lftp's `put -c` and psftp's `reput`
/// ask for the size and send what is beyond it; sshfs empties without creating. All of them see a file that was taken a moment ago.
#[test]
fn a_list_is_sent_again_over_a_taken_one_and_a_resume_finds_nothing_left() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let (none, file) = (Attributes::default(), "/inbox/june.csv");
        let cut = |id, number: u32, size| {
            let size = Attributes { size: Some(size), ..none };
            packet(wire::FSETSTAT, |p| p.u32(id).string(&number.to_be_bytes()).attributes(&size))
        };
        let put = [open(1, file, WRITE_NEW, &none), write(2, 1, 0, b"email\na@b.c\n"), by_handle(wire::CLOSE, 3, 1)];
        assert_eq!(ask(&mut channel, &put).await, ["1 handle", "2 ok", "3 ok"]);
        world.hints();
        for round in 0..2 {
            // Whether it still waits or is taken.
            if round == 1 {
                assert_eq!(world.claim(DropFolder::Inbox), 1);
            }
            for (number, flags) in (2 + 3 * round..).zip([2, 2 | 4, 2 | 8]) {
                let resumed = ask(&mut channel, &[open(1, file, flags, &none), by_handle(wire::FSTAT, 2, number)]).await;
                assert!(resumed[1].starts_with("2 size=12 "), "{resumed:?}");
                assert_eq!(ask(&mut channel, &[by_handle(wire::CLOSE, 3, number)]).await, ["3 ok"]);
            }
        }
        for (number, flags, offset) in [(8, 2, 12), (9, 2 | 4, 0)] {
            let grown = [
                open(1, file, flags, &none),
                write(2, number, offset, b"d@b.c\n"),
                write(3, number, 0, b"x"),
                by_handle(wire::CLOSE, 4, number),
            ];
            assert_eq!(ask(&mut channel, &grown).await, ["1 handle", "2 status 4", "3 status 4", "4 status 4"]);
        }
        let patched = [open(1, file, 2, &none), write(2, 10, 0, b"x"), by_handle(wire::CLOSE, 3, 10)];
        assert_eq!(ask(&mut channel, &patched).await, ["1 handle", "2 ok", "3 status 4"], "the rest is missing");
        std::fs::remove_file(world.path("staging/inbox/june.csv")).unwrap();
        assert_eq!(world.hints(), Vec::<String>::new());

        let again = [open(1, file, 2 | 8, &none), write(2, 11, 0, b"email\n"), cut(3, 11, 6), by_handle(wire::CLOSE, 4, 11)];
        assert_eq!(ask(&mut channel, &again).await, ["1 handle", "2 ok", "3 ok", "4 ok"]);
        assert_eq!(world.hints(), ["acme inbox june.csv 6"]);
        assert_eq!(std::fs::read(world.path("inbox/june.csv")).unwrap(), b"email\n");

        let file = "/inbox/july.csv";
        std::fs::remove_file(world.path("inbox/june.csv")).unwrap();
        ask(&mut channel, &[open(1, file, WRITE_NEW, &none), by_handle(wire::CLOSE, 3, 12)]).await;
        assert_eq!(world.claim(DropFolder::Inbox), 1);
        let emptied = [open(1, file, 2 | 16, &none), write(2, 13, 0, b"email\n"), by_handle(wire::CLOSE, 3, 13)];
        assert_eq!(ask(&mut channel, &emptied).await, ["1 handle", "2 ok", "3 ok"]);
        assert_eq!(world.hints(), ["acme inbox july.csv 0", "acme inbox july.csv 6"]);
    });
}

/// lftp's `put -c` and psftp's `reput` after a cut see the first list by its size, and would go away content.
#[test]
fn a_resume_does_not_end_well_while_another_list_of_the_name_lies_there_unfinished() {
    run(async {
        let world = World::with(Options { close_wait_milliseconds: 10, ..Options::default() });
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let (none, file) = (Attributes::default(), "/inbox/june.csv");
        let put = |number, bytes| [open(1, file, WRITE_NEW, &none), write(2, number, 0, bytes), by_handle(wire::CLOSE, 3, number)];
        assert_eq!(ask(&mut channel, &put(1, b"email\na@b.c\n")).await, ["1 handle", "2 ok", "3 ok"]);
        assert_eq!(ask(&mut channel, &put(2, b"email\n")).await, ["1 handle", "2 ok", "3 status 4"], "the first waits");
        let resumed = [open(1, file, 2, &none), by_handle(wire::CLOSE, 2, 3)];
        assert_eq!(ask(&mut channel, &resumed).await, ["1 handle", "2 status 4"]);
        assert_eq!(world.claim(DropFolder::Inbox), 1);
        let resumed = [open(1, file, 2, &none), write(2, 4, 5, b"\n"), by_handle(wire::CLOSE, 3, 4)];
        assert_eq!(ask(&mut channel, &resumed).await, ["1 handle", "2 ok", "3 ok"]);
        assert_eq!(std::fs::read(world.path("inbox/june.csv")).unwrap(), b"email\n");
    });
}

/// curl, pscp and sshfs heed no refusal of a CLOSE, paramiko only what STAT says after it.
#[test]
fn another_list_is_refused_as_it_is_written_while_one_of_its_name_waits() {
    run(async {
        let world = World::with(Options { close_wait_milliseconds: 10, ..Options::default() });
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let file = "/inbox/june.csv";
        let put = |number, bytes: &[u8]| {
            let opened = open(1, file, WRITE_NEW, &Attributes::default());
            [opened, write(2, number, 0, &bytes[..6]), write(3, number, 6, &bytes[6..]), by_handle(wire::CLOSE, 4, number)]
        };
        let all_well = ["1 handle", "2 ok", "3 ok", "4 ok"];
        assert_eq!(ask(&mut channel, &put(1, b"email\na@b.c\n")).await, all_well);
        for (number, another) in [(2, b"email\nd@b.c\n".as_slice()), (3, b"email\na@b.c\nd@b.c\n")] {
            assert_eq!(ask(&mut channel, &put(number, another)).await, ["1 handle", "2 ok", "3 status 4", "4 status 4"]);
            assert_eq!(ask(&mut channel, &[by_path(wire::STAT, 1, file)]).await, ["1 status 4"], "what waits does not stand for it");
        }
        let log = std::fs::read_to_string(world.path("status/recent.log")).unwrap();
        assert_eq!(log.matches("write refused after 6 bytes: a file of this name is still waiting").count(), 2, "{log}");
        assert!(!log.contains("upload cut"), "{log}");
        assert_eq!(ask(&mut channel, &put(4, b"email\na@b.c\n")).await, all_well, "the same list again");
        assert!(ask(&mut channel, &[by_path(wire::STAT, 1, file)]).await[0].starts_with("1 size=12"));
        assert_eq!(std::fs::read(world.path("inbox/june.csv")).unwrap(), b"email\na@b.c\n");
    });
}

#[test]
fn another_list_goes_on_when_the_one_that_waited_is_taken() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        std::fs::write(world.path("inbox/june.csv"), "email\n").unwrap();
        let opened = open(1, "/inbox/june.csv", WRITE_NEW, &Attributes::default());
        let put = [opened, write(2, 1, 0, b"email\na@b.c\n"), by_handle(wire::CLOSE, 3, 1)];
        let claim = tokio::task::spawn_blocking({
            let (folders, staged) = (world.folders(), world.path("staging/inbox/june.csv"));
            move || {
                eventually("it is opened", || staged.exists());
                let files = folders.scan(DropFolder::Inbox).unwrap().files;
                assert!(folders.claim(&files[0], ImportId(1)).unwrap().is_some());
            }
        });
        assert_eq!(ask(&mut channel, &put).await, ["1 handle", "2 ok", "3 ok"]);
        claim.await.unwrap();
        assert_eq!(std::fs::read(world.path("inbox/june.csv")).unwrap(), b"email\na@b.c\n");
    });
}

/// paramiko's `put` compares sizes: with that of the list that was taken a moment ago.
#[test]
fn a_list_that_was_taken_does_not_stand_for_a_later_one_that_was_refused() {
    run(async {
        let world = World::with(Options { upload_bytes_max: 12, ..Options::default() });
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let file = "/inbox/june.csv";
        let put = |number, bytes| {
            [open(1, file, WRITE_NEW, &Attributes::default()), write(2, number, 0, bytes), by_handle(wire::CLOSE, 3, number)]
        };
        assert_eq!(ask(&mut channel, &put(1, b"email\na@b.c\n")).await, ["1 handle", "2 ok", "3 ok"]);
        assert_eq!(world.claim(DropFolder::Inbox), 1);
        assert_eq!(ask(&mut channel, &put(2, b"email\nab@b.c\n")).await, ["1 handle", "2 status 4", "3 status 4"]);
        let stat = || [by_path(wire::STAT, 1, file)];
        assert_eq!(ask(&mut channel, &stat()).await, ["1 status 4"]);
        assert_eq!(ask(&mut channel, &put(3, b"email\nb@b.c\n")).await, ["1 handle", "2 ok", "3 ok"]);
        assert!(ask(&mut channel, &stat()).await[0].starts_with("1 size=12"));
    });
}

/// rclone leaves the handle open, and tries again with another.
#[test]
fn a_handle_that_is_left_open_after_a_refused_write_is_told_before_a_later_success_and_not_after() {
    run(async {
        let world = World::with(Options { close_wait_milliseconds: 10, ..Options::default() });
        let (handle, mut channel) = sftp_channel(&world, 3).await;
        let opened = || open(1, "/inbox/june.csv", WRITE_NEW, &Attributes::default());
        std::fs::write(world.path("inbox/june.csv"), "email\n").unwrap();
        let left = [opened(), write(2, 1, 0, b"a@b.c\n"), write(3, 1, 6, b"a@b.c\n")];
        assert_eq!(ask(&mut channel, &left).await, ["1 handle", "2 status 4", "3 status 4"]);
        let log = || std::fs::read_to_string(world.path("status/recent.log")).unwrap();
        let told = log();
        assert_eq!(
            told.matches("/inbox/june.csv write refused after 0 bytes: a file of this name is still waiting\n").count(),
            1,
            "{told}"
        );
        assert_eq!(world.claim(DropFolder::Inbox), 1);
        let put = [opened(), write(2, 2, 0, b"a@b.c\n"), by_handle(wire::CLOSE, 3, 2)];
        assert_eq!(ask(&mut channel, &put).await, ["1 handle", "2 ok", "3 ok"]);
        // The end of a later upload is told after what the end of the connection had to say of the one left open.
        assert_eq!(ask(&mut channel, &[open(1, "/inbox/july.csv", WRITE_NEW, &Attributes::default())]).await, ["1 handle"]);
        handle.disconnect(russh::Disconnect::ByApplication, "", "").await.unwrap();
        eventually("the cut is told", || log().contains("/inbox/july.csv upload cut after 0 bytes"));
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(log().matches("/inbox/june.csv").count(), 1, "{}", log());
    });
}

#[test]
fn a_refused_upload_is_not_remembered_past_what_another_session_delivers_under_its_name() {
    run(async {
        let world = World::with(Options { upload_bytes_max: 12, ..Options::default() });
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let (_other_handle, mut other) = sftp_channel(&world, 3).await;
        let put = |bytes| {
            let opened = open(1, "/inbox/june.csv", WRITE_NEW, &Attributes::default());
            [opened, write(2, 1, 0, bytes), by_handle(wire::CLOSE, 3, 1)]
        };
        let stat = || [by_path(wire::STAT, 1, "/inbox/june.csv")];
        assert_eq!(ask(&mut channel, &put(b"email\nab@b.c\n")).await, ["1 handle", "2 status 4", "3 status 4"]);
        assert_eq!(ask(&mut channel, &stat()).await, ["1 status 4"]);
        assert_eq!(ask(&mut other, &put(b"email\nb@b.c\n")).await, ["1 handle", "2 ok", "3 ok"]);
        assert!(ask(&mut channel, &stat()).await[0].starts_with("1 size=12"));
    });
}

#[test]
fn uploads_of_one_channel_that_give_way_in_vain_do_not_wait_one_after_another() {
    run(async {
        let world = World::with(Options { close_wait_milliseconds: 1000, ..Options::default() });
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let put = |number: u32| {
            let name = format!("inbox/{number}.csv");
            std::fs::write(world.path(&name), "email\n").unwrap();
            [open(1, &format!("/{name}"), WRITE_NEW, &Attributes::default()), write(2, number, 0, b"a@b.c\n")]
        };
        let requests: Vec<_> = (1..=60).flat_map(put).collect();
        // One after another they would take a minute: this is no measure of speed.
        let answered = tokio::time::timeout(Duration::from_secs(30), ask(&mut channel, &requests)).await;
        assert_eq!(answered.expect("one wait for all"), ["1 handle", "2 status 4"].repeat(60));
    });
}

#[test]
fn what_was_found_waiting_already_can_be_looked_at_after_it_is_taken() {
    run(async {
        let world = World::with(Options { close_wait_milliseconds: 10, ..Options::default() });
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let file = "/inbox/june.csv";
        std::fs::write(world.path("inbox/june.csv"), "email\n").unwrap();
        let times = Attributes { times: Some((1_600_000_000, 1_600_000_000)), ..Attributes::default() };
        let set = packet(wire::FSETSTAT, |p| p.u32(3).string(&1_u32.to_be_bytes()).attributes(&times));
        let put = [open(1, file, WRITE_NEW, &Attributes::default()), write(2, 1, 0, b"email\n"), set, by_handle(wire::CLOSE, 4, 1)];
        assert_eq!(ask(&mut channel, &put).await, ["1 handle", "2 ok", "3 ok", "4 ok"]);
        assert_eq!(world.claim(DropFolder::Inbox), 1);
        assert_eq!(ask(&mut channel, &[by_path(wire::STAT, 1, file)]).await, ["1 size=6 mtime=1600000000"]);
    });
}

#[test]
fn files_open_at_once_are_kept_apart_and_an_exclusive_create_replaces_none() {
    run(async {
        let world = World::new();
        let (_handle, sftp) = world.sftp().await;
        let mut files = Vec::new();
        for name in ["a.csv", "b.csv", "c.csv.part"] {
            files.push(sftp.create(name).await.unwrap());
        }
        for round in [b"1\n", b"2\n"] {
            for file in &mut files {
                file.write_all(round).await.unwrap();
            }
        }
        let exclusive = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        assert!(sftp.open_with_flags("c.csv.part", exclusive).await.is_err(), "it is being written");
        for file in &mut files {
            file.shutdown().await.unwrap();
        }
        for path in ["inbox/a.csv", "inbox/b.csv", "staging/inbox/c.csv.part"] {
            assert_eq!(std::fs::read(world.path(path)).unwrap(), b"1\n2\n", "{path}");
        }
        for name in ["a.csv", "c.csv.part"] {
            assert!(sftp.open_with_flags(name, exclusive).await.is_err(), "{name}");
        }
        sftp.open_with_flags("d.csv", exclusive).await.unwrap().shutdown().await.unwrap();
        assert_eq!(world.hints(), ["acme inbox a.csv 4", "acme inbox b.csv 4", "acme inbox d.csv 0"]);
    });
}

/// rclone, paramiko and asyncssh look at what they have sent and set its times; a temporary name is renamed after its CLOSE.
#[test]
fn what_follows_a_close_is_answered_while_the_server_ends_and_nothing_new_is_taken() {
    run(async {
        let mut world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let (none, part, file) = (Attributes::default(), "/inbox/june.csv.part", "/inbox/june.csv");
        let times = Attributes { times: Some((1_600_000_000, 1_600_000_000)), ..none };
        let begun = [open(1, part, WRITE_NEW, &none), write(2, 1, 0, b"email\n")];
        assert_eq!(ask(&mut channel, &begun).await, ["1 handle", "2 ok"]);
        drop(world.stop.take());
        for (request, answer) in [
            (by_handle(wire::CLOSE, 3, 1), "3 ok"),
            (set(4, part, &times), "4 ok"),
            (by_path(wire::STAT, 5, part), "5 size=6 mtime=1600000000"),
            (rename(6, part, file), "6 ok"),
            (by_path(wire::STAT, 7, file), "7 size=6 mtime=1600000000"),
            (open(8, "/inbox/july.csv", WRITE_NEW, &none), "8 status 4"),
        ] {
            assert_eq!(ask(&mut channel, &[request]).await, [answer]);
        }
        channel.eof().await.unwrap();
        assert_eq!(replies(&mut channel).await.1, ["status 0", "eof", "close"]);
        assert_eq!(world.hints(), ["acme inbox june.csv 6"]);
    });
}

#[test]
fn an_upload_that_the_server_cut_is_told_with_the_servers_reason() {
    run(async {
        let begin = [open(1, "/inbox/june.csv", WRITE_NEW, &Attributes::default()), write(2, 1, 0, b"email\n")];
        let is_told = |world: &World, reason: &str| {
            let line = format!("/inbox/june.csv upload cut after 6 bytes: {reason}\n");
            eventually(reason, || std::fs::read_to_string(world.path("status/recent.log")).is_ok_and(|log| log.ends_with(&line)));
        };
        let mut world = World::with(Options { drain_seconds: 0, ..Options::default() });
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        assert_eq!(ask(&mut channel, &begin).await, ["1 handle", "2 ok"]);
        channel.data_bytes(vec![0; 4]).await.unwrap();
        is_told(&world, "the client sent a packet of 0 bytes");
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        assert_eq!(ask(&mut channel, &begin).await, ["1 handle", "2 ok"]);
        world.stop.take();
        is_told(&world, "the server stopped; send it again");

        let world = World::with(Options { idle_seconds: 1, ..Options::default() });
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        assert_eq!(ask(&mut channel, &begin).await, ["1 handle", "2 ok"]);
        is_told(&world, "the connection was idle for too long");
    });
}
