//! What senders' clients expect beyond the protocol's letter: ends, orders and attributes that their programs rely on.

use russh::ChannelMsg;
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use tokio::io::AsyncWriteExt;

use super::*;
use crate::sftp::tests::sessions::{raw, stats};
use crate::sftp::wire::{self, Reader, Writer};

/// Every reply's type and id until the channel is closed, and how it ended.
async fn replies(channel: &mut russh::Channel<client::Msg>) -> (Vec<(u8, u32)>, Vec<String>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => bytes.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => ends.push(format!("status {exit_status}")),
            ChannelMsg::Eof => ends.push("eof".into()),
            ChannelMsg::Close => ends.push("close".into()),
            _ => {}
        }
    }
    let (mut replies, mut rest) = (Vec::new(), &bytes[..]);
    while let Ok(packet) = Reader::new(rest).string() {
        let mut fields = Reader::new(packet);
        replies.push((fields.u8().unwrap(), fields.u32().unwrap()));
        rest = &rest[4 + packet.len()..];
    }
    assert!(rest.is_empty(), "a reply was cut");
    (replies, ends)
}

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

/// WinSCP: a temporary name, a rename, then the times; by then the file may be taken.
#[test]
fn a_file_that_was_renamed_and_taken_still_takes_its_times() {
    run(async {
        let world = World::new();
        let (_handle, sftp) = world.sftp().await;
        let mut file = sftp.create("june.csv.filepart").await.unwrap();
        file.write_all(b"email\n").await.unwrap();
        file.shutdown().await.unwrap();
        sftp.rename("june.csv.filepart", "june.csv").await.unwrap();
        assert_eq!(world.claim(DropFolder::Inbox), 1);
        let mode = FileAttributes { permissions: Some(0o644), ..FileAttributes::empty() };
        sftp.set_metadata("june.csv", mode).await.unwrap();
        let times = FileAttributes { atime: Some(5), mtime: Some(6), ..FileAttributes::empty() };
        sftp.set_metadata("june.csv", times).await.unwrap();
        let seen = sftp.metadata("june.csv").await.unwrap();
        assert_eq!((seen.size, seen.mtime), (Some(6), Some(6)));
        assert!(sftp.metadata("june.csv.filepart").await.is_err());
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
