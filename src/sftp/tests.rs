//! The server with real clients: russh with its SFTP client, raw packets over russh, and OpenSSH's `sftp`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use russh::client::{self, Handle};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, ssh_key::LineEnding};
use russh::{ChannelMsg, Disconnect};
use russh_sftp::client::SftpSession;
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::engine::Framing;
use super::wire::{self, Reader, Writer};
use super::*;
use crate::domain::{FileName, ImportId};
use crate::shutdown;
use crate::spool::{DropFolder, Folders, Spool};

/// A server on loopback with tenants `acme` and `acme-2`, both with the same key.
struct World {
    dir: TempDir,
    spool: Spool,
    port: u16,
    hints: Mutex<mpsc::UnboundedReceiver<Hint>>,
    stop: Option<shutdown::Trigger>,
    server: Option<std::thread::JoinHandle<()>>,
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn tenant(name: &str) -> TenantName {
    TenantName::parse(name).unwrap()
}

impl World {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let dir = TempDir::new().unwrap();
        let tenants = dir.path().join("tenants");
        std::fs::create_dir(&tenants).unwrap();
        let spool = Spool::new(tenants);
        for name in ["acme", "acme-2"] {
            spool.create_tenant(&tenant(name)).unwrap();
        }
        let key_path = dir.path().join("key");
        key(1).write_openssh_file(&key_path, LineEnding::LF).unwrap();
        let directory: Directory = {
            let spool = spool.clone();
            Arc::new(move |login: &str| {
                let tenant = TenantName::parse(login).ok()?;
                let folders = spool.tenant(&tenant).ok()?;
                Some(TenantLogin { tenant, keys: vec![key(7).public_key().clone(), key(1).public_key().clone()], folders })
            })
        };
        let (hints, received) = mpsc::unbounded_channel();
        let options = Options { listen: vec!["127.0.0.1:0".parse().unwrap()], login_refusal_milliseconds: 10, ..options };
        let bound = Server::bind(options, vec![key(2)], directory, hints).unwrap();
        let port = bound.addresses()[0].port();
        let (stop, signal) = shutdown::channel();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(bound.run(signal)).unwrap();
        });
        Self { dir, spool, port, hints: Mutex::new(received), stop: Some(stop), server: Some(server) }
    }

    fn folders(&self) -> Folders {
        self.spool.tenant(&tenant("acme")).unwrap()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("tenants/acme").join(path)
    }

    /// What the pipeline would do at once.
    fn claim(&self, drop: DropFolder) -> usize {
        let files = self.folders().scan(drop).unwrap().files;
        files.iter().filter(|file| self.folders().claim(file, ImportId(1)).unwrap().is_some()).count()
    }

    fn hints(&self) -> Vec<String> {
        let mut hints = self.hints.lock().unwrap();
        std::iter::from_fn(|| hints.try_recv().ok())
            .map(|(tenant, hint)| format!("{tenant} {} {} {}", hint.drop.as_str(), hint.name, hint.size))
            .collect()
    }

    async fn connect(&self) -> Handle<Trusting> {
        let config = Arc::new(client::Config { nodelay: true, ..client::Config::default() });
        client::connect(config, ("127.0.0.1", self.port), Trusting).await.unwrap()
    }

    async fn log_in(&self) -> Handle<Trusting> {
        let mut handle = self.connect().await;
        assert!(authenticate(&mut handle, "acme", 1).await);
        handle
    }

    async fn sftp(&self) -> (Handle<Trusting>, SftpSession) {
        let handle = self.log_in().await;
        let channel = handle.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "sftp").await.unwrap();
        let session = SftpSession::new(channel.into_stream()).await.unwrap();
        (handle, session)
    }

    /// With one session a tenant: waits until the one before is gone.
    async fn has_its_only_place_again(&self) {
        loop {
            let mut handle = self.connect().await;
            if authenticate(&mut handle, "acme", 1).await && handle.channel_open_session().await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs OpenSSH's `sftp` over a batch.
    fn openssh(&self, extra: &[&str], batch: &str) -> Output {
        let mut child = self.command("sftp", extra).args(["-b", "-", "acme@127.0.0.1"]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(batch.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn command(&self, program: &str, extra: &[&str]) -> Command {
        let mut command = Command::new(program);
        let port = format!("Port={}", self.port);
        for option in [port.as_str(), "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "LogLevel=ERROR"] {
            command.args(["-o", option]);
        }
        command.arg("-F").arg("/dev/null").arg("-i").arg(self.dir.path().join("key")).args(extra);
        command.current_dir(self.dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.take();
        let ended = self.server.take().map(std::thread::JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, None | Some(Ok(()))), "the server failed");
    }
}

struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &russh::keys::PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

async fn authenticate(handle: &mut Handle<Trusting>, user: &str, seed: u8) -> bool {
    let key = PrivateKeyWithHashAlg::new(Arc::new(key(seed)), None);
    handle.authenticate_publickey(user, key).await.unwrap().success()
}

/// Waits for a condition, and says what was waited for if it does not come.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const THREADS: usize = 2;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), test).await.expect("no hang") });
}

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
        assert!(std::fs::read_to_string(world.path("status/june.csv.json")).unwrap().contains("\"state\":\"waiting\""));
        assert_eq!(world.claim(DropFolder::Inbox), 1);
        assert_eq!(sftp.metadata("june.csv").await.unwrap().size, Some(20));
        let times = FileAttributes { atime: Some(5), mtime: Some(6), ..FileAttributes::empty() };
        sftp.set_metadata("june.csv", times).await.unwrap();
        assert_eq!(sftp.metadata("/inbox/june.csv").await.unwrap().mtime, Some(6));
        assert!(sftp.read_dir("/inbox").await.unwrap().next().is_none(), "not listed");
        let refused = sftp.open_with_flags("june.csv", OpenFlags::WRITE | OpenFlags::CREATE).await.err().unwrap();
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
        assert_eq!(sftp.metadata("june.csv").await.unwrap().size, Some(12));
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
        let refusals = [
            sftp.create_dir("sub").await.map(drop),
            sftp.create_dir("/new").await.map(drop),
            sftp.create("sub/june.csv").await.map(drop),
            sftp.create("ann@x.example.csv").await.map(drop),
            sftp.create("/archive/x.csv").await.map(drop),
            sftp.create("/etc/x.csv").await.map(drop),
            sftp.create("..").await.map(drop),
            sftp.remove_file("/archive/2026-11-21/1-june.csv").await,
            sftp.rename("/archive/2026-11-21/1-june.csv", "x.csv").await,
            sftp.remove_dir("/inbox").await,
            sftp.symlink("a", "b").await,
            sftp.read("/archive/link").await.map(drop),
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
            No such file: no such folder
            No such file: no such file
        ",
        );
        let listed: Vec<_> = sftp.read_dir("/").await.unwrap().map(|entry| entry.file_name()).collect();
        assert_eq!(listed, ["inbox", "check", "archive", "rejected", "status"]);
    });
}

fn check(lines: &[String], expected: &str) {
    let expected: Vec<_> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(lines, expected, "{lines:#?}");
}

#[test]
fn a_login_needs_its_own_key_and_says_no_more_to_a_stranger() {
    run(async {
        let world = World::new();
        let mut handle = world.connect().await;
        assert!(!authenticate(&mut handle, "nobody", 1).await, "unknown user");
        assert!(!authenticate(&mut handle, "acme", 3).await, "wrong key");
        assert!(authenticate(&mut handle, "acme-2", 1).await, "another user, on the same connection");
        let channel = handle.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "sftp").await.unwrap();
        let sftp = SftpSession::new(channel.into_stream()).await.unwrap();
        sftp.create("june.csv").await.unwrap().shutdown().await.unwrap();
        assert_eq!(world.hints(), ["acme-2 inbox june.csv 0"]);
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

/// A channel on which packets are sent as bytes.
async fn raw(world: &World) -> (Handle<Trusting>, russh::Channel<client::Msg>) {
    let handle = world.log_in().await;
    let channel = handle.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    let mut init = Vec::new();
    Writer::new(&mut init, wire::INIT).u32(3).end();
    channel.data_bytes(init).await.unwrap();
    (handle, channel)
}

fn stats(count: u32) -> Vec<u8> {
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
        assert_eq!(ends, ["status 1", "eof", "close"], "{}", Framing::Length(0));
        assert!(handle.channel_open_session().await.is_ok());
    });
}

#[test]
fn at_the_end_an_open_upload_may_finish_and_an_idle_session_may_not_linger() {
    run(async {
        let mut world = World::new();
        let (idle, idle_sftp) = world.sftp().await;
        let (_handle, sftp) = world.sftp().await;
        let mut file = sftp.create("june.csv").await.unwrap();
        drop(world.stop.take());
        eventually("the idle one is closed", || idle.is_closed());
        drop(idle_sftp);
        file.write_all(b"email\n").await.unwrap();
        file.shutdown().await.unwrap();
        assert_eq!(world.hints(), ["acme inbox june.csv 6"]);
        let began = Instant::now();
        drop(sftp);
        world.server.take().unwrap().join().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "it did not wait for the grace period");
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", world.port)).await.is_err(), "nobody listens");
    });
}

#[test]
fn openssh_puts_lists_stats_renames_resumes_and_gets() {
    if Command::new("sftp").arg("-?").output().is_err() {
        return;
    }
    let world = World::new();
    std::fs::write(world.dir.path().join("june.csv"), b"email\nann@x.example\n").unwrap();
    std::fs::write(world.dir.path().join("half"), b"email\nann@").unwrap();
    std::fs::write(world.path("status/old.json"), b"{}").unwrap();
    let output = world.openssh(
        &[],
        "pwd\nput june.csv\nls -l /inbox\nput june.csv july.csv.part\nls -l\nrename july.csv.part july.csv\nput -p june.csv /check/june.csv\n\
         put half may.csv.part\nreput june.csv may.csv.part\nrename may.csv.part may.csv\nget /status/old.json got.json\nls -1 /\n-mkdir sub\ndf /\n",
    );
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Remote working directory: /inbox"), "{said}");
    assert!(said.contains("-rw-------    1 acme     acme               20 "), "{said}");
    for file in ["inbox/june.csv", "inbox/july.csv", "inbox/may.csv", "check/june.csv"] {
        assert_eq!(std::fs::read(world.path(file)).unwrap(), b"email\nann@x.example\n", "{file}");
    }
    assert_eq!(std::fs::read(world.dir.path().join("got.json")).unwrap(), b"{}");
    assert_eq!(world.hints().len(), 4);
    let legacy = world.command("scp", &["-O"]).args(["june.csv", "acme@127.0.0.1:x.csv"]).output().unwrap();
    assert!(
        !legacy.status.success() && self::said(&legacy).contains("legacy scp is not offered; use sftp or scp -s"),
        "{}",
        self::said(&legacy)
    );
    let modern = world.command("scp", &["-s"]).args(["june.csv", "acme@127.0.0.1:x.csv"]).output().unwrap();
    assert!(modern.status.success(), "{}", self::said(&modern));
}

#[test]
fn openssh_moves_64_mebibytes_each_way_unchanged_with_any_cipher_and_while_rekeying() {
    if Command::new("sftp").arg("-?").output().is_err() {
        return;
    }
    let world = World::new();
    let bytes: Vec<u8> = (0..(64_u32 << 20) / 4).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(world.dir.path().join("big"), &bytes).unwrap();
    for (number, extra) in [
        &["-o", "Ciphers=aes128-gcm@openssh.com"][..],
        &["-o", "Ciphers=chacha20-poly1305@openssh.com", "-o", "RekeyLimit=16M"],
        &["-o", "Ciphers=aes256-ctr", "-B", "32768", "-R", "256"],
    ]
    .into_iter()
    .enumerate()
    {
        let put = world.openssh(extra, &format!("put big big{number}.csv\n"));
        assert!(put.status.success(), "{extra:?} {}", said(&put));
        std::fs::rename(world.path(&format!("inbox/big{number}.csv")), world.path(&format!("archive/big{number}.csv"))).unwrap();
        let get = world.openssh(extra, &format!("get /archive/big{number}.csv got\n"));
        assert!(get.status.success(), "{extra:?} {}", said(&get));
        assert!(std::fs::read(world.dir.path().join("got")).unwrap() == bytes, "{extra:?}");
    }
}

#[test]
fn a_killed_openssh_client_leaves_a_partial_and_no_delivery() {
    if Command::new("sftp").arg("-?").output().is_err() {
        return;
    }
    let world = World::new();
    std::fs::write(world.dir.path().join("big"), vec![b'x'; 64 << 20]).unwrap();
    let mut child = world.command("sftp", &["-l", "20000"]).args(["-b", "-", "acme@127.0.0.1"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"put big big.csv\n").unwrap();
    eventually("some bytes came", || world.folders().stat(DropFolder::Inbox, &name("big.csv")).unwrap().is_some_and(|e| e.size > 100_000));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the cut is told", || std::fs::read_to_string(world.path("status/recent.log")).is_ok_and(|log| log.contains("upload cut")));
    assert!(!world.path("inbox/big.csv").exists());
    assert_eq!(world.hints(), Vec::<String>::new());
}
