//! Uploads and what a sender sees, with russh's SFTP client and raw packets.

use russh::Disconnect;
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::packets::{WRITE_NEW, ask, by_handle, by_path, open, packet, rename, set, set_time, sftp_channel, write};
use super::*;
use crate::sftp::wire::{self, Attributes};

#[test]
fn an_upload_is_delivered_when_it_is_closed_and_can_be_looked_at_after_it_is_taken() {
    run(async {
        let world = World::new();
        let (_handle, sftp) = world.sftp().await;
        assert_eq!(sftp.canonicalize(".").await.unwrap(), "/inbox");
        let mut file = sftp.create("june.csv").await.unwrap();
        file.write_all(b"email\nann@x.example\n").await.unwrap();
        assert!(!world.path("inbox/june.csv").exists(), "not before CLOSE");
        file.shutdown().await.unwrap();
        assert_eq!(std::fs::read(world.path("inbox/june.csv")).unwrap(), b"email\nann@x.example\n");
        assert_eq!(world.hints(), ["acme inbox june.csv 20"]);
        let status: serde_json::Value = serde_json::from_slice(&std::fs::read(world.path("status/june.csv.json")).unwrap()).unwrap();
        assert_eq!(status["state"], "waiting");
        assert_eq!(world.claim(DropFolder::Inbox), 1);
        assert_eq!(sftp.metadata("june.csv").await.unwrap().size, Some(20));
        let times = FileAttributes { atime: Some(5), mtime: Some(6), ..FileAttributes::empty() };
        sftp.set_metadata("june.csv", times).await.unwrap();
        assert_eq!(sftp.metadata("/inbox/june.csv").await.unwrap().mtime, Some(6));
        assert!(sftp.read_dir("/inbox").await.unwrap().next().is_none(), "not listed");
        let refused = sftp.open_with_flags("june.csv", OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::APPEND).await.err().unwrap();
        assert!(refused.to_string().contains("already taken, send it whole"), "{refused}");
        assert!(sftp.remove_file("june.csv").await.unwrap_err().to_string().contains("already taken"));
        sftp.create("june.csv").await.unwrap().shutdown().await.unwrap();
        assert_eq!(world.hints(), ["acme inbox june.csv 0"], "the same name again");
    });
}

#[test]
fn a_temporary_name_stays_apart_until_it_is_renamed() {
    run(async {
        let world = World::new();
        let (_handle, sftp) = world.sftp().await;
        let mut file = sftp.create("june.csv.part").await.unwrap();
        file.write_all(b"email\n").await.unwrap();
        file.shutdown().await.unwrap();
        assert_eq!(world.hints(), Vec::<String>::new());
        let listed: Vec<_> = sftp.read_dir(".").await.unwrap().map(|entry| entry.file_name()).collect();
        assert_eq!(listed, ["june.csv.part"]);
        sftp.rename("june.csv.part", "/check/june.csv").await.unwrap();
        assert_eq!(world.hints(), ["acme check june.csv 6"]);
        assert_eq!(world.claim(DropFolder::Check), 1);
        assert_eq!(sftp.metadata("/check/june.csv").await.unwrap().size, Some(6));
    });
}

#[test]
fn a_cut_connection_leaves_a_partial_that_can_be_resumed_and_no_delivery() {
    run(async {
        let world = World::new();
        let (handle, sftp) = world.sftp().await;
        let mut file = sftp.create("june.csv").await.unwrap();
        file.write_all(b"email\nann@x.").await.unwrap();
        file.flush().await.unwrap();
        eventually("the bytes are there", || {
            world.folders().stat(DropFolder::Inbox, &name("june.csv")).unwrap().is_some_and(|e| e.size == 12)
        });
        handle.disconnect(Disconnect::ByApplication, "", "").await.unwrap();
        std::mem::forget(file);
        eventually("the cut is told", || {
            std::fs::read_to_string(world.path("status/recent.log")).is_ok_and(|log| log.contains("upload cut after 12 bytes"))
        });
        assert!(!world.path("inbox/june.csv").exists());
        assert_eq!(world.hints(), Vec::<String>::new());
        let (_handle, sftp) = world.sftp().await;
        assert_eq!(sftp.metadata("june.csv").await.unwrap().size, Some(11), "the last byte is held back");
        let mut file = sftp.open_with_flags("june.csv", OpenFlags::WRITE | OpenFlags::CREATE).await.unwrap();
        file.seek(std::io::SeekFrom::Start(12)).await.unwrap();
        file.write_all(b"example\n").await.unwrap();
        file.shutdown().await.unwrap();
        assert_eq!(std::fs::read(world.path("inbox/june.csv")).unwrap(), b"email\nann@x.example\n");
    });
}

#[test]
fn a_close_waits_for_the_earlier_file_to_be_claimed_and_fails_if_it_is_not() {
    run(async {
        let world = World::with(Options { close_wait_milliseconds: 300, ..Options::default() });
        let (_handle, sftp) = world.sftp().await;
        sftp.create("june.csv").await.unwrap().shutdown().await.unwrap();
        let mut second = sftp.create("june.csv").await.unwrap();
        second.write_all(b"another").await.unwrap();
        let refused = second.shutdown().await.unwrap_err();
        assert!(refused.to_string().contains("still waiting"), "{refused}");
        let mut third = sftp.create("june.csv").await.unwrap();
        let (closed, claimed) =
            tokio::join!(third.shutdown(), async { tokio::task::spawn_blocking(|| ()).await.map(|()| world.claim(DropFolder::Inbox)) });
        closed.unwrap();
        assert_eq!(claimed.unwrap(), 1);
    });
}

#[test]
fn everything_else_is_refused_in_a_clause() {
    run(async {
        let world = World::new();
        std::fs::create_dir(world.path("archive/2026-11-21")).unwrap();
        std::fs::write(world.path("archive/2026-11-21/1-june.csv"), b"report").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", world.path("archive/link")).unwrap();
        let (_handle, sftp) = world.sftp().await;
        assert_eq!(sftp.read("/archive/2026-11-21/1-june.csv").await.unwrap(), b"report");
        assert_eq!(sftp.read_dir("/archive/2026-11-21/").await.unwrap().count(), 1);
        sftp.create("june.csv.part").await.unwrap().shutdown().await.unwrap();
        let refusals = [
            sftp.create_dir("sub").await.map(drop),
            sftp.create_dir("/new").await.map(drop),
            sftp.create("sub/june.csv").await.map(drop),
            sftp.create("/inbox/sub/").await.map(drop),
            sftp.create("/inbox/june.csv/.").await.map(drop),
            sftp.rename("june.csv.part", "june.csv/").await,
            sftp.remove_file("june.csv.part/").await,
            sftp.create("ann@x.example.csv").await.map(drop),
            sftp.create("/archive/x.csv").await.map(drop),
            sftp.create("/etc/x.csv").await.map(drop),
            sftp.create("..").await.map(drop),
            sftp.remove_file("/archive/2026-11-21/1-june.csv").await,
            sftp.rename("/archive/2026-11-21/1-june.csv", "x.csv").await,
            sftp.remove_dir("/inbox").await,
            sftp.symlink("a", "b").await,
            sftp.read("/archive/link").await.map(drop),
            sftp.read("/archive/2026-11-21/1-june.csv/").await.map(drop),
            sftp.read("../../acme-2/inbox").await.map(drop),
            sftp.read_dir("/staging").await.map(drop),
            sftp.metadata("/processing").await.map(drop),
        ];
        let told: Vec<_> = refusals.into_iter().map(|refusal| refusal.unwrap_err().to_string()).collect();
        check(
            &told,
            "
            Permission denied: folders cannot be made here; put the file straight into /inbox
            Permission denied: folders cannot be made here; put the file straight into /inbox
            Permission denied: folders cannot be made here; put the file straight into /inbox
            Permission denied: folders cannot be made here; put the file straight into /inbox
            Permission denied: folders cannot be made here; put the file straight into /inbox
            Permission denied: folders cannot be made here; put the file straight into /inbox
            No such file: no such file
            Permission denied: the name must not hold \"@\"
            Permission denied: this folder can only be read
            Permission denied: put files into /inbox or /check
            Failure: it is a folder
            Permission denied: this folder can only be read
            Permission denied: files can be renamed within /inbox and /check only
            Permission denied: this folder cannot be removed
            Operation unsupported: links cannot be made here
            No such file: no such file
            No such file: no such file
            No such file: no such file
            No such file: no such folder
            No such file: no such file
        ",
        );
        let listed: Vec<_> = sftp.read_dir("/").await.unwrap().map(|entry| entry.file_name()).collect();
        assert_eq!(listed, ["inbox", "check", "archive", "rejected", "status", "README.txt"]);
    });
}

fn check(lines: &[String], expected: &str) {
    let expected: Vec<_> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(lines, expected, "{lines:#?}");
}

#[test]
fn twenty_sessions_upload_at_once_and_every_file_arrives_whole() {
    run(async {
        let world = Arc::new(World::with(Options { sessions_per_tenant_max: 20, ..Options::default() }));
        let uploads: Vec<_> = (0..20)
            .map(|sender| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let (_handle, sftp) = world.sftp().await;
                    for number in 0..4 {
                        let mut file = sftp.create(format!("{sender}-{number}.csv")).await.unwrap();
                        file.write_all(&vec![sender; 100_000]).await.unwrap();
                        file.shutdown().await.unwrap();
                    }
                })
            })
            .collect();
        for upload in uploads {
            upload.await.unwrap();
        }
        assert_eq!(world.hints().len(), 80);
        for (sender, number) in (0..20_u8).flat_map(|sender| (0..4).map(move |number| (sender, number))) {
            assert!(std::fs::read(world.path(&format!("inbox/{sender}-{number}.csv"))).unwrap() == vec![sender; 100_000]);
        }
    });
}

#[test]
fn an_upload_may_reach_its_limit_and_not_pass_it() {
    run(async {
        let world = World::with(Options { upload_bytes_max: 20, ..Options::default() });
        let (_handle, sftp) = world.sftp().await;
        let mut file = sftp.create("fits.csv").await.unwrap();
        file.write_all(b"email\nann@x.example\n").await.unwrap();
        file.shutdown().await.unwrap();
        let mut file = sftp.create("long.csv").await.unwrap();
        file.write_all(b"email\n").await.unwrap();
        file.write_all(b"anne@x.example\n").await.and(file.flush().await).unwrap_err();
        assert!(file.shutdown().await.is_err(), "a client that goes on does not deliver the rest");
        assert_eq!(world.hints(), ["acme inbox fits.csv 20"]);
    });
}

#[test]
fn a_close_after_a_gap_or_a_refused_write_delivers_nothing() {
    run(async {
        let world = World::new();
        let (_handle, sftp) = world.sftp().await;
        let mut file = sftp.create("june.csv").await.unwrap();
        file.seek(std::io::SeekFrom::Start(10)).await.unwrap();
        file.write_all(b"ann@x.example\n").await.unwrap();
        let refused = file.shutdown().await.unwrap_err();
        assert!(refused.to_string().contains("bytes are missing from byte 0 on"), "{refused}");
        let mut file = sftp.create("july.csv").await.unwrap();
        file.write_all(b"email\n").await.unwrap();
        file.flush().await.unwrap();
        file.seek(std::io::SeekFrom::Start(i64::MAX as u64 - 2)).await.unwrap();
        let _ = file.write_all(b"ann@x.example\n").await;
        let refused = file.shutdown().await.unwrap_err();
        assert!(refused.to_string().contains("the offset is too large"), "{refused}");
        assert_eq!(world.hints(), Vec::<String>::new());
        drop(file);
        let told = |line| std::fs::read_to_string(world.path("status/recent.log")).unwrap().contains(line);
        assert!(told("/inbox/june.csv upload cut after 0 bytes: bytes are missing from byte 0 on"));
        eventually("the refusal is told", || told("/inbox/july.csv write refused after 6 bytes: the offset is too large"));
    });
}

/// What STAT shows of it ends at its first gap: "0 bytes" is not what it has.
#[test]
fn an_open_upload_is_not_said_to_be_cut_to_the_size_that_is_shown() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let empty = Attributes { size: Some(0), ..Attributes::default() };
        let requests = [
            open(1, "june.csv", WRITE_NEW, &Attributes::default()),
            write(2, 1, 6, b"a@b.c\n"),
            set(3, "june.csv", &empty),
            write(4, 1, 0, b"email\n"),
            by_handle(wire::CLOSE, 5, 1),
        ];
        assert_eq!(ask(&mut channel, &requests).await, ["1 handle", "2 ok", "3 status 4", "4 ok", "5 ok"]);
        assert_eq!(std::fs::read(world.path("inbox/june.csv")).unwrap(), b"email\na@b.c\n");
    });
}

#[test]
fn an_upload_that_is_open_in_another_session_is_not_said_to_be_cut_either() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let begun = [open(1, "june.csv", WRITE_NEW, &Attributes::default()), write(2, 1, 0, b"email\na@b.c\n")];
        assert_eq!(ask(&mut channel, &begun).await, ["1 handle", "2 ok"]);
        let (_other, mut other) = sftp_channel(&world, 3).await;
        let shown = Attributes { size: Some(11), ..Attributes::default() };
        assert!(ask(&mut other, &[by_path(wire::STAT, 1, "june.csv")]).await[0].starts_with("1 size=11 "));
        assert_eq!(ask(&mut other, &[set(2, "june.csv", &shown)]).await, ["2 status 4"]);
        assert_eq!(ask(&mut channel, &[by_handle(wire::CLOSE, 3, 1)]).await, ["3 ok"]);
    });
}

#[test]
fn a_time_that_is_set_by_path_before_the_close_holds_after_it() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let time = |mtime| Attributes { times: Some((mtime, mtime)), ..Attributes::default() };
        for (number, name, by_handle_before) in [(1, "june.csv", false), (2, "july.csv", true)] {
            let mut requests = vec![open(1, name, WRITE_NEW, &Attributes::default()), write(2, number, 0, b"email\n")];
            requests.extend(by_handle_before.then(|| set_time(3, number, 5)));
            requests.extend([set(4, name, &time(6)), by_handle(wire::FSTAT, 5, number), write(6, number, 6, b"a@b.c\n")]);
            requests.extend([by_path(wire::STAT, 7, name), by_handle(wire::CLOSE, 8, number), by_path(wire::STAT, 9, name)]);
            let told = ask(&mut channel, &requests).await;
            let told: Vec<_> = told.iter().map(String::as_str).filter(|line| line.contains("size") || line.contains("status")).collect();
            assert_eq!(told, ["5 size=6 mtime=6", "7 size=12 mtime=6", "9 size=12 mtime=6"]);
            assert_eq!(world.claim(DropFolder::Inbox), 1);
        }
    });
}

#[test]
fn an_open_upload_shows_by_path_what_has_come_though_it_had_a_gap() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let sizes = |lines: Vec<String>| -> Vec<String> {
            let size = |line: &String| line.split(' ').find_map(|word| Some(word.strip_prefix("size=")?.to_owned()));
            lines.iter().filter_map(size).collect()
        };
        let requests = [
            open(1, "june.csv", WRITE_NEW, &Attributes::default()),
            write(2, 1, 6, b"a@b.c\n"),
            by_path(wire::STAT, 3, "june.csv"),
            write(4, 1, 0, b"email\n"),
            by_path(wire::STAT, 5, "june.csv"),
            by_handle(wire::FSTAT, 6, 1),
            by_handle(wire::CLOSE, 7, 1),
        ];
        assert_eq!(sizes(ask(&mut channel, &requests).await), ["0", "12", "12"]);
    });
}

#[test]
fn what_waits_keeps_the_time_that_was_set_of_it_while_another_is_written() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let (_other, mut other) = sftp_channel(&world, 3).await;
        let (none, stat) = (Attributes::default(), [by_path(wire::STAT, 1, "june.csv")]);
        assert_eq!(ask(&mut channel, &[open(1, "june.csv", WRITE_NEW, &none)]).await, ["1 handle"]);
        let sent = [open(1, "june.csv", WRITE_NEW, &none), write(2, 1, 0, b"email\n"), set_time(3, 1, 5), by_handle(wire::CLOSE, 4, 1)];
        assert_eq!(ask(&mut other, &sent).await, ["1 handle", "2 ok", "3 ok", "4 ok"]);
        assert_eq!(ask(&mut channel, &stat).await, ["1 size=6 mtime=5"], "superseded");
        let again = [open(5, "june.csv", WRITE_NEW, &none), write(6, 2, 0, b"email\n")];
        assert_eq!(ask(&mut other, &again).await, ["5 handle", "6 ok"]);
        assert_eq!(ask(&mut other, &stat).await, ["1 size=6 mtime=5"], "written over");
    });
}

/// Opens june.csv under handle 1, writes six bytes of it and sets its time.
async fn begin_june(channel: &mut russh::Channel<russh::client::Msg>) {
    let begun = [open(1, "june.csv", WRITE_NEW, &Attributes::default()), write(2, 1, 0, b"email\n"), set_time(3, 1, 5)];
    assert_eq!(ask(channel, &begun).await, ["1 handle", "2 ok", "3 ok"]);
}

#[test]
fn the_time_of_an_open_upload_outlives_what_is_done_to_its_name_beside_it() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let none = Attributes::default();
        begin_june(&mut channel).await;
        let exclusive = [open(4, "june.csv", 2 | 8 | 32, &none), by_path(wire::STAT, 5, "june.csv")];
        assert_eq!(ask(&mut channel, &exclusive).await, ["4 status 4", "5 size=6 mtime=5"]);
        let renamed = [open(6, "june.part", WRITE_NEW, &none), by_handle(wire::CLOSE, 7, 2), rename(8, "june.part", "june.csv")];
        assert_eq!(ask(&mut channel, &renamed).await, ["6 handle", "7 ok", "8 ok"]);
        assert_eq!(world.claim(DropFolder::Inbox), 1);
        let closed = [by_handle(wire::CLOSE, 9, 1), by_path(wire::STAT, 10, "june.csv")];
        assert_eq!(ask(&mut channel, &closed).await, ["9 ok", "10 size=6 mtime=5"]);
    });
}

#[test]
fn an_upload_that_goes_on_has_one_size_by_path_and_by_handle() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let none = Attributes::default();
        begin_june(&mut channel).await;
        let resumed = [open(4, "june.csv", 2, &none), set_time(5, 2, 5), by_handle(wire::FSTAT, 6, 2), by_path(wire::STAT, 7, "june.csv")];
        assert_eq!(ask(&mut channel, &resumed).await, ["4 handle", "5 ok", "6 size=5 mtime=5", "7 size=5 mtime=5"]);
    });
}

#[test]
fn a_file_is_not_made_or_emptied_by_who_opens_it_without_writing() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let [read, create, empty, new] = [1, 8, 16, 32];
        let as_said = |flags| [open(1, "june.csv", flags, &Attributes::default())];
        for flags in [create, create | new, read | create, read | create | new, read | create | empty] {
            assert_eq!(ask(&mut channel, &as_said(flags)).await, ["1 status 3"], "{flags}");
        }
        std::fs::write(world.path("inbox/june.csv"), "email\n").unwrap();
        for flags in [create | new, read | create | new, read | empty, read | create | empty] {
            assert_eq!(ask(&mut channel, &as_said(flags)).await, ["1 status 3"], "{flags}");
        }
        for flags in [read, read | create, read | new] {
            assert_eq!(ask(&mut channel, &as_said(flags)).await, ["1 handle"], "{flags}");
        }
        assert_eq!(std::fs::read(world.path("inbox/june.csv")).unwrap(), b"email\n");
        assert_eq!(world.hints(), Vec::<String>::new());
    });
}

#[test]
fn the_log_of_refusals_can_be_fetched_before_there_is_any() {
    run(async {
        let world = World::new();
        let (_handle, sftp) = world.sftp().await;
        assert_eq!(sftp.read("/status/recent.log").await.unwrap(), b"");
    });
}

#[test]
fn a_status_that_is_replaced_after_it_was_opened_has_the_size_of_what_is_read() {
    run(async {
        let world = World::new();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let (path, to) = ("/status/june.csv.json", world.path("status/june.csv.json"));
        let replace = |text: &str| {
            std::fs::write(world.path("status/.new"), text).unwrap();
            rustix::fs::rename(world.path("status/.new"), &to).unwrap();
        };
        replace("{\"state\":\"waiting\"}\n");
        assert_eq!(ask(&mut channel, &[open(1, path, 1, &Attributes::default())]).await, ["1 handle"]);
        replace("{}\n");
        let size = |told: &[String]| told[0].split(' ').nth(1).map(str::to_owned);
        assert_eq!(size(&ask(&mut channel, &[by_path(wire::STAT, 2, path)]).await).as_deref(), Some("size=20"), "as curl asks");
        let read = packet(wire::READ, |p| p.u32(3).string(&1u32.to_be_bytes()).u64(0).u32(100));
        ask(&mut channel, &[read]).await;
        assert_eq!(size(&ask(&mut channel, &[by_path(wire::STAT, 4, path)]).await).as_deref(), Some("size=3"), "of what stands there now");
    });
}
