//! The server with real clients: russh with its SFTP client, raw packets over russh, and OpenSSH's `sftp`.

mod clients;
mod openssh;
mod packets;
mod passwords;
mod sessions;
mod uploads;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use russh::client::{self, Handle};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, ssh_key::LineEnding};
use russh_sftp::client::SftpSession;
use tempfile::TempDir;
use tokio::sync::mpsc;

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

/// The password of `acme-2`; `acme` has none.
const PASSWORD: &str = "vX3-moth-Quarry-81";

static PASSWORD_HASH: LazyLock<PasswordHash> = LazyLock::new(|| PasswordHash::make(PASSWORD, &[7; 16]).unwrap());

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
                let tenant = TenantName::parse(login).ok().filter(|_| ["acme", "acme-2"].contains(&login)).ok_or("no such login")?;
                let keys = [7, 1].map(|seed| AllowedKey::from(key(seed).public_key().clone())).to_vec();
                Ok(Arc::new(TenantLogin {
                    tenant,
                    keys,
                    password: (login == "acme-2").then(|| PASSWORD_HASH.clone()),
                    networks: Vec::new(),
                    spool: spool.clone(),
                    quota: Quota::default(),
                    require_checksum: login == "acme-2",
                    readme: "read me\n".into(),
                }))
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
        let session = sftp(&handle).await;
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

/// A session over a connection that has logged in.
async fn sftp(handle: &Handle<Trusting>) -> SftpSession {
    let channel = handle.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    SftpSession::new(channel.into_stream()).await.unwrap()
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
