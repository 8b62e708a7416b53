//! Raw packets over russh: what a client sends, and its replies as lines that a test can compare.

use russh::ChannelMsg;
use russh::client::{self, Handle};

use super::{Trusting, World};
use crate::sftp::wire::{self, Attributes, Reader, Writer};

/// Every reply's type and id until the channel is closed, and how it ended.
pub(super) async fn replies(channel: &mut russh::Channel<client::Msg>) -> (Vec<(u8, u32)>, Vec<String>) {
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

/// Sends requests and gives one line for each reply: `id ok`, `id status CODE`, `id handle`, `id size=… mtime=…`, `id names …`.
pub(super) async fn ask(channel: &mut russh::Channel<client::Msg>, requests: &[Vec<u8>]) -> Vec<String> {
    channel.data_bytes(requests.concat()).await.unwrap();
    let (mut lines, mut bytes) = (Vec::new(), Vec::new());
    while lines.len() < requests.len() {
        match channel.wait().await.expect("open") {
            ChannelMsg::Data { data } => bytes.extend_from_slice(&data),
            ChannelMsg::Eof | ChannelMsg::Close => panic!("closed after {lines:?}"),
            _ => {}
        }
        let mut taken = 0;
        while let Ok(packet) = Reader::new(&bytes[taken..]).string() {
            taken += 4 + packet.len();
            lines.push(line(packet));
        }
        bytes.drain(..taken);
    }
    lines
}

fn line(packet: &[u8]) -> String {
    let mut fields = Reader::new(packet);
    let (kind, id) = (fields.u8().unwrap(), fields.u32().unwrap());
    match kind {
        wire::VERSION => format!("version {id}"),
        wire::STATUS => match fields.u32().unwrap() {
            0 => format!("{id} ok"),
            code => format!("{id} status {code}"),
        },
        wire::HANDLE => format!("{id} handle"),
        wire::ATTRS => {
            let seen = fields.attributes().unwrap();
            format!("{id} size={} mtime={}", seen.size.unwrap(), seen.times.unwrap().1)
        }
        wire::NAME => {
            let mut names = format!("{id} names");
            for _ in 0..fields.u32().unwrap() {
                names += &format!(" {}", String::from_utf8_lossy(fields.string().unwrap()));
                fields.string().unwrap();
                fields.attributes().unwrap();
            }
            names
        }
        other => format!("{id} type {other}"),
    }
}

pub(super) fn packet(kind: u8, fields: impl FnOnce(Writer<'_>) -> Writer<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    fields(Writer::new(&mut out, kind)).end();
    out
}

pub(super) fn by_path(kind: u8, id: u32, path: &str) -> Vec<u8> {
    packet(kind, |p| p.u32(id).string(path.as_bytes()))
}

pub(super) fn by_handle(kind: u8, id: u32, number: u32) -> Vec<u8> {
    packet(kind, |p| p.u32(id).string(&number.to_be_bytes()))
}

pub(super) fn open(id: u32, path: &str, flags: u32, attributes: &Attributes) -> Vec<u8> {
    packet(wire::OPEN, |p| p.u32(id).string(path.as_bytes()).u32(flags).attributes(attributes))
}

pub(super) fn write(id: u32, number: u32, offset: u64, bytes: &[u8]) -> Vec<u8> {
    packet(wire::WRITE, |p| p.u32(id).string(&number.to_be_bytes()).u64(offset).string(bytes))
}

pub(super) fn set(id: u32, path: &str, attributes: &Attributes) -> Vec<u8> {
    packet(wire::SETSTAT, |p| p.u32(id).string(path.as_bytes()).attributes(attributes))
}

pub(super) fn set_time(id: u32, number: u32, mtime: u32) -> Vec<u8> {
    let attributes = Attributes { times: Some((mtime, mtime)), ..Attributes::default() };
    packet(wire::FSETSTAT, |p| p.u32(id).string(&number.to_be_bytes()).attributes(&attributes))
}

pub(super) fn rename(id: u32, from: &str, to: &str) -> Vec<u8> {
    packet(wire::RENAME, |p| p.u32(id).string(from.as_bytes()).string(to.as_bytes()))
}

pub(super) async fn sftp_channel(world: &World, version: u32) -> (Handle<Trusting>, russh::Channel<client::Msg>) {
    let handle = world.log_in().await;
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert_eq!(ask(&mut channel, &[packet(wire::INIT, |p| p.u32(version))]).await, ["version 3"]);
    (handle, channel)
}

pub(super) const WRITE_NEW: u32 = 2 | 8 | 16;
