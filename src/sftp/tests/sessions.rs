//! Logins, limits, floods and endings, with russh's client and raw packets.

use russh::ChannelMsg;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::packets::{WRITE_NEW, ask, by_handle, open, sftp_channel, write};
use super::*;
use crate::sftp::wire::{self, Attributes, Reader, Writer};

#[test]
fn a_login_needs_its_own_key_and_says_no_more_to_a_stranger() {
    run(async {
        let world = World::new();
        let mut handle = world.connect().await;
        assert!(!authenticate(&mut handle, "nobody", 1).await, "unknown user");
        assert!(!authenticate(&mut handle, "acme", 3).await, "wrong key");
        assert!(authenticate(&mut handle, "acme-2", 1).await, "another user, on the same connection");
        let sftp = sftp(&handle).await;
        sftp.create("june.csv").await.unwrap().shutdown().await.unwrap();
        assert_eq!(world.hints(), ["acme-2 inbox june.csv 0"]);
    });
}

/// An agent offers all of its keys, and OpenSSH's client asks first what is offered, by the method "none".
#[test]
fn the_last_of_as_many_keys_as_may_be_tried_opens_and_one_more_does_not() {
    run(async {
        let world = World::with(Options { login_attempts_max: 3, ..Options::default() });
        for asks_first in [true, false] {
            for (wrong, opens) in [(2, true), (3, false)] {
                let mut handle = world.connect().await;
                if asks_first {
                    assert!(!handle.authenticate_none("acme").await.unwrap().success());
                }
                for seed in 0..wrong {
                    assert!(!authenticate(&mut handle, "acme", 100 + seed).await);
                }
                let right = PrivateKeyWithHashAlg::new(Arc::new(key(1)), None);
                let opened = handle.authenticate_publickey("acme", right).await.is_ok_and(|result| result.success());
                assert_eq!(opened, opens, "after {wrong} others, asked first: {asks_first}");
            }
        }
    });
}

#[test]
fn a_connection_that_does_not_log_in_is_closed_and_a_good_sender_gets_in() {
    run(async {
        let world = World::with(Options { login_seconds: 1, logins_pending_max: 5, ..Options::default() });
        let mut silent = Vec::new();
        for _ in 0..50 {
            silent.push(tokio::net::TcpStream::connect(("127.0.0.1", world.port)).await.unwrap());
        }
        let (_handle, sftp) = world.sftp().await;
        assert!(sftp.metadata("/inbox").await.unwrap().is_dir());
        for stream in &mut silent {
            let mut greeting = Vec::new();
            let _ = stream.read_to_end(&mut greeting).await;
        }
        assert!(sftp.metadata("/inbox").await.unwrap().is_dir());
    });
}

#[test]
fn at_most_four_channels_and_no_shell_command_or_legacy_scp() {
    run(async {
        let world = World::new();
        let handle = world.log_in().await;
        let mut channels = Vec::new();
        for _ in 0..4 {
            channels.push(handle.channel_open_session().await.unwrap());
        }
        assert!(handle.channel_open_session().await.is_err());
        for (channel, command, expected) in [
            (channels.pop().unwrap(), "scp -t june.csv", "legacy scp is not offered; use sftp or scp -s\r\n"),
            (channels.pop().unwrap(), "rm -rf /", "commands are not offered; use sftp\r\n"),
        ] {
            let mut channel = channel;
            channel.exec(true, command).await.unwrap();
            let (mut said, mut status) = (Vec::new(), None);
            while let Some(message) = channel.wait().await {
                match message {
                    ChannelMsg::ExtendedData { data, .. } => said.extend_from_slice(&data),
                    ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                    _ => {}
                }
            }
            assert_eq!((String::from_utf8(said).unwrap().as_str(), status), (expected, Some(1)));
        }
        assert!(handle.channel_open_session().await.is_ok(), "their places are free again");
        assert!(handle.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1).await.is_err());
    });
}

#[test]
fn who_finds_no_folders_may_ask_again() {
    run(async {
        let world = World::new();
        let handle = world.log_in().await;
        let mut channel = handle.channel_open_session().await.unwrap();
        std::fs::remove_dir_all(world.path("")).unwrap();
        for there in [false, false, true] {
            if there {
                world.spool.create_tenant(&tenant("acme")).unwrap();
            }
            channel.request_subsystem(true, "sftp").await.unwrap();
            let answered = loop {
                match channel.wait().await.expect("open") {
                    ChannelMsg::Success => break true,
                    ChannelMsg::Failure => break false,
                    _ => {}
                }
            };
            assert_eq!(answered, there);
        }
    });
}

#[test]
fn a_channel_that_has_not_asked_for_sftp_holds_up_nothing_whatever_it_is_sent() {
    run(async {
        let world = World::new();
        let handle = world.log_in().await;
        let channel = handle.channel_open_session().await.unwrap();
        // Together more than russh keeps of a channel that nobody reads.
        for _ in 0..600 {
            channel.set_env(false, "LANG", "C").await.unwrap();
            channel.data_bytes(vec![0]).await.unwrap();
        }
        assert!(sftp(&handle).await.metadata("/inbox").await.unwrap().is_dir());
    });
}

#[test]
fn a_channel_that_never_asks_for_sftp_keeps_no_session_alive() {
    run(async {
        let world = World::with(Options { idle_seconds: 1, sessions_per_tenant_max: 1, ..Options::default() });
        let handle = world.log_in().await;
        let channel = handle.channel_open_session().await.unwrap();
        while channel.data_bytes(vec![0]).await.is_ok() {}
        world.has_its_only_place_again().await;
    });
}

/// Each would wait for a second, and nobody hears what comes of it.
#[test]
fn closes_behind_a_name_that_waits_do_not_keep_the_session_of_a_client_that_is_gone() {
    run(async {
        let world = World::with(Options { close_wait_milliseconds: 1000, sessions_per_tenant_max: 1, ..Options::default() });
        let (handle, mut channel) = sftp_channel(&world, 3).await;
        let none = Attributes::default();
        let waits = [open(1, "june.csv", WRITE_NEW, &none), write(2, 1, 0, b"email\n"), by_handle(wire::CLOSE, 3, 1)];
        assert_eq!(ask(&mut channel, &waits).await, ["1 handle", "2 ok", "3 ok"]);
        let again = |number| [open(4, "june.csv", WRITE_NEW, &none), by_handle(wire::CLOSE, 5, number)].concat();
        channel.data_bytes((2..300).map(again).collect::<Vec<_>>().concat()).await.unwrap();
        drop((handle, channel));
        world.has_its_only_place_again().await;
    });
}

/// Neither counts as one that is at the files, which has no limit, nor as one that does not read its replies.
#[test]
fn a_session_whose_channel_ended_is_idle() {
    run(async {
        let options = || Options { idle_seconds: 1, sessions_per_tenant_max: 1, ..Options::default() };
        let world = World::with(options());
        let (_handle, channel) = sftp_channel(&world, 3).await;
        channel.close().await.unwrap();
        world.has_its_only_place_again().await;

        let world = World::with(options());
        let (_handle, channel) = sftp_channel(&world, 3).await;
        channel.data_bytes([stats(1), vec![0; 4]].concat()).await.unwrap();
        world.has_its_only_place_again().await;
    });
}

/// A channel on which packets are sent as bytes.
pub(super) async fn raw(world: &World) -> (Handle<Trusting>, russh::Channel<client::Msg>) {
    let handle = world.log_in().await;
    let channel = handle.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    let mut init = Vec::new();
    Writer::new(&mut init, wire::INIT).u32(3).end();
    channel.data_bytes(init).await.unwrap();
    (handle, channel)
}

/// So many requests, numbered from 0.
pub(super) fn stats(count: u32) -> Vec<u8> {
    let mut packets = Vec::new();
    for id in 0..count {
        Writer::new(&mut packets, wire::STAT).u32(id).string(b"/inbox").end();
    }
    packets
}

#[test]
fn a_flood_of_requests_is_answered_to_the_last() {
    run(async {
        let world = World::new();
        let (_handle, channel) = raw(&world).await;
        let (mut read_half, write_half) = channel.split();
        let sending = tokio::spawn(async move {
            write_half.data_bytes(stats(100_000)).await.unwrap();
            write_half
        });
        let mut replies = Vec::new();
        let mut count = 0;
        while count < 100_001 {
            match read_half.wait().await.expect("open") {
                ChannelMsg::Data { data } => replies.extend_from_slice(&data),
                ChannelMsg::Eof | ChannelMsg::Close => panic!("closed after {count}"),
                _ => {}
            }
            let mut taken = 0;
            while let Ok(packet) = Reader::new(&replies[taken..]).string() {
                taken += 4 + packet.len();
                count += 1;
            }
            replies.drain(..taken);
        }
        sending.await.unwrap();
    });
}

#[test]
fn a_client_that_reads_no_reply_is_cut_and_its_session_freed() {
    run(async {
        let world = World::with(Options { reply_seconds: 1, sessions_per_tenant_max: 1, ..Options::default() });
        let (handle, channel) = raw(&world).await;
        // Never read: the client's window fills, then the server's replies are stuck.
        let _ = tokio::time::timeout(Duration::from_secs(3), channel.data_bytes(stats(200_000))).await;
        world.has_its_only_place_again().await;
        drop((handle, channel));
    });
}

#[test]
fn a_backlog_beyond_its_cap_ends_the_session() {
    run(async {
        let world = World::with(Options { backlog_bytes_max: 100_000, sessions_per_tenant_max: 1, ..Options::default() });
        let (handle, channel) = raw(&world).await;
        let _ = tokio::time::timeout(Duration::from_secs(3), channel.data_bytes(stats(400_000))).await;
        world.has_its_only_place_again().await;
        drop((handle, channel));
    });
}

#[test]
fn a_malformed_packet_closes_the_channel_with_a_status_and_not_the_session() {
    run(async {
        let world = World::new();
        let (handle, mut channel) = raw(&world).await;
        channel.data_bytes(vec![0, 0, 0, 0]).await.unwrap();
        let mut ends = Vec::new();
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::ExitStatus { exit_status } => ends.push(format!("status {exit_status}")),
                ChannelMsg::Eof => ends.push("eof".into()),
                ChannelMsg::Close => ends.push("close".into()),
                _ => {}
            }
        }
        assert_eq!(ends, ["status 1", "eof", "close"]);
        assert!(handle.channel_open_session().await.is_ok());
    });
}

/// `sftp.open("june.csv", "w").write(list)` at the end of a Python script: paramiko sends the CLOSE and waits for no answer.
#[test]
fn what_a_client_asked_before_it_went_is_carried_out() {
    run(async {
        let world = World::with(Options { close_wait_milliseconds: 200, ..Options::default() });
        std::fs::write(world.path("inbox/may.csv"), "email\n").unwrap();
        let (_handle, mut channel) = sftp_channel(&world, 3).await;
        let opened = [open(1, "may.csv", WRITE_NEW, &Attributes::default()), open(2, "june.csv", WRITE_NEW, &Attributes::default())];
        assert_eq!(ask(&mut channel, &opened).await, ["1 handle", "2 handle"]);
        // The first CLOSE waits for the earlier list to be taken. What comes meanwhile is found with the end right behind it.
        for request in [by_handle(wire::CLOSE, 3, 1), write(4, 2, 0, b"email\n"), by_handle(wire::CLOSE, 5, 2)] {
            channel.data_bytes(request).await.unwrap();
        }
        channel.close().await.unwrap();
        eventually("it is delivered", || world.path("inbox/june.csv").exists());
    });
}

#[test]
fn at_the_end_an_open_upload_may_finish_and_an_idle_session_may_not_linger() {
    run(async {
        let mut world = World::with(Options { drain_seconds: 3600, ..Options::default() });
        let (idle, idle_sftp) = world.sftp().await;
        let (_handle, sftp) = world.sftp().await;
        let mut file = sftp.create("june.csv").await.unwrap();
        drop(world.stop.take());
        eventually("the idle one is closed", || idle.is_closed());
        drop(idle_sftp);
        file.write_all(b"email\n").await.unwrap();
        file.shutdown().await.unwrap();
        assert_eq!(world.hints(), ["acme inbox june.csv 6"]);
        drop(sftp);
        let server = world.server.take().unwrap();
        eventually("it does not wait for the grace period", || server.is_finished());
        server.join().unwrap();
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", world.port)).await.is_err(), "nobody listens");
    });
}

#[test]
fn at_the_end_a_channel_that_goes_leaves_an_upload_on_another_of_its_session_alone() {
    run(async {
        let mut world = World::new();
        let (handle, mut idle) = raw(&world).await;
        let sftp = sftp(&handle).await;
        let mut file = sftp.create("june.csv").await.unwrap();
        drop(world.stop.take());
        while idle.wait().await.is_some() {}
        file.write_all(b"email\n").await.unwrap();
        file.shutdown().await.unwrap();
        assert_eq!(world.hints(), ["acme inbox june.csv 6"]);
    });
}

#[test]
fn who_asks_on_and_on_does_not_hold_up_the_end() {
    run(async {
        let mut world = World::with(Options { drain_seconds: 3600, ..Options::default() });
        let (_handle, mut channel) = raw(&world).await;
        drop(world.stop.take());
        while channel.wait().await.is_some() {
            let _ = channel.data_bytes(stats(1)).await;
        }
        world.server.take().unwrap().join().unwrap();
    });
}
