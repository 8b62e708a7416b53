//! The two servers side by side, each with its own folders, keys and port.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::usage;

const EXPUNGED: &str = env!("CARGO_BIN_EXE_expunged");
const SSHD: &str = "/usr/sbin/sshd";

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Ours,
    OpenSsh,
}

/// A running server and how to reach it.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    child: Child,
    pub(crate) port: u16,
    user: String,
    key: PathBuf,
    /// Where files are put, as the client names it.
    pub(crate) put_to: String,
    /// Where files are fetched from, as the client names it.
    pub(crate) get_from: String,
    /// Where what is fetched stands on disk.
    pub(crate) get_dir: PathBuf,
    /// What is emptied before each measurement.
    emptied: Vec<PathBuf>,
}

/// Both, in one scratch folder.
pub(crate) struct Servers {
    pub(crate) dir: PathBuf,
    pub(crate) ours: Server,
    pub(crate) openssh: Server,
}

/// Whether there is an sshd to compare with.
pub(crate) fn peer_is_there() -> Result<(), String> {
    if Path::new(SSHD).is_file() { Ok(()) } else { Err(format!("{SSHD} is not there")) }
}

pub(crate) fn openssh_version() -> String {
    let said = Command::new("ssh").arg("-V").output().expect("ssh runs").stderr;
    String::from_utf8_lossy(&said).split([' ', ',']).next().unwrap_or_default().to_owned()
}

impl Servers {
    /// Starts both in a fresh folder below `parent`.
    pub(crate) fn start(parent: &Path) -> Self {
        let dir = parent.join(format!("expunged-bench-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a scratch folder");
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join("key")));
        Self { ours: ours(&dir), openssh: openssh(&dir), dir }
    }

    pub(crate) fn both(&self, first: Kind) -> [&Server; 2] {
        if first == Kind::Ours { [&self.ours, &self.openssh] } else { [&self.openssh, &self.ours] }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in [&mut self.ours, &mut self.openssh] {
            let _ = server.child.kill();
            let _ = server.child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Server {
    /// The id of its first process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Highest resident memory since it started. Of the first process only.
    pub(crate) fn peak_kib(&self) -> u64 {
        usage::field(&format!("/proc/{}/status", self.id()), "VmHWM:")
    }

    /// An OpenSSH client with these options, set up to reach this server: `sftp` or `ssh`.
    pub(crate) fn client(&self, program: &str, options: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-F", "none", "-i"]).arg(&self.key);
        let port = format!("Port={}", self.port);
        for option in [
            port.as_str(),
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            // Both servers have it, so neither is measured by another key exchange.
            "KexAlgorithms=curve25519-sha256",
        ] {
            command.args(["-o", option]);
        }
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn destination(&self) -> String {
        format!("{}@127.0.0.1", self.user)
    }

    /// Starts `sftp` over a batch.
    pub(crate) fn sftp(&self, options: &[&str], batch: &str) -> Child {
        let mut child = self.client("sftp", options).args(["-b", "-", &self.destination()]).spawn().expect("sftp starts");
        child.stdin.take().expect("piped").write_all(batch.as_bytes()).expect("sftp reads its batch");
        child
    }

    /// Empties the folders that files are put into.
    pub(crate) fn empty(&self) {
        for folder in &self.emptied {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_file() {
                    fs::remove_file(path).expect("removable");
                }
            }
        }
    }
}

/// Waits for a client and shows what it said if it failed.
pub(crate) fn finish(mut child: Child) {
    let mut said = String::new();
    let _ = child.stderr.take().expect("piped").read_to_string(&mut said);
    let status = child.wait().expect("a child");
    assert!(status.success(), "a client failed: {status}\n{said}");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn ours(dir: &Path) -> Server {
    let home = dir.join("ours");
    run(Command::new(EXPUNGED).arg("init").arg(&home).args(["--listen", "127.0.0.1:0"]));
    let config = home.join("expunged.toml");
    let text = fs::read_to_string(&config).expect("init wrote it");
    let text = set(&text, "sessions_per_tenant_max", "200");
    fs::write(&config, set(&text, "sessions_per_source_max", "200")).expect("writable");
    let expunged = || {
        let mut command = Command::new(EXPUNGED);
        command.arg("--config").arg(&config).envs(crate::unit::environment());
        command
    };
    run(expunged().args(["tenant", "add", "bench", "--key"]).arg(dir.join("key.pub")));
    let log = dir.join("ours.log");
    let sink = fs::File::create(&log).expect("writable");
    let child = expunged().arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(sink).spawn().expect("our server starts");
    let tenant = home.join("data/tenants/bench");
    let port = eventually("our server is ready", || {
        let log = fs::read_to_string(&log).ok()?;
        let line = log.lines().find(|line| line.contains("daemon ready"))?;
        let port = line.split("127.0.0.1:").nth(1)?;
        port.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    Server {
        kind: Kind::Ours,
        child,
        port,
        user: "bench".into(),
        key: dir.join("key"),
        put_to: "/inbox".into(),
        get_from: "/archive".into(),
        get_dir: tenant.join("archive"),
        emptied: ["staging/inbox", "staging/notes", "inbox"].map(|folder| tenant.join(folder)).into(),
    }
}

/// Sets an option in a configuration text; adds it to its section where `init` leaves it out.
fn set(text: &str, option: &str, value: &str) -> String {
    let line = format!("{option} = {value}");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match lines.iter_mut().find(|old| old.trim_start_matches(['#', ' ']).starts_with(&format!("{option} ="))) {
        Some(old) => *old = line,
        None => {
            let section = lines.iter().position(|line| line.trim() == "[sftp]").expect("a section for receiving");
            lines.insert(section + 1, line);
        }
    }
    lines.join("\n") + "\n"
}

fn openssh(dir: &Path) -> Server {
    let root = dir.join("openssh");
    fs::create_dir_all(root.join("files")).expect("a folder");
    fs::create_dir_all("/run/sshd").expect("sshd's empty folder: run as root, or make it");
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(root.join("host")));
    let public = fs::read(dir.join("key.pub")).expect("made just now");
    fs::write(root.join("keys"), public).expect("writable");
    // A free port: there is no way to ask sshd for one.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/keys\nStrictModes no\nPidFile none\n\
         UsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nUseDNS no\nPrintMotd no\nLogLevel ERROR\n\
         MaxStartups 500\nMaxSessions 500\nCompression no\nSubsystem sftp internal-sftp\n",
        root.display()
    );
    fs::write(root.join("config"), config).expect("writable");
    let log = fs::File::create(root.join("log")).expect("writable");
    let child = Command::new(SSHD)
        .args(["-D", "-e", "-f"])
        .arg(root.join("config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("sshd starts");
    eventually("sshd listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "root".into());
    let files = root.join("files");
    Server {
        kind: Kind::OpenSsh,
        child,
        port,
        user,
        key: dir.join("key"),
        put_to: files.display().to_string(),
        get_from: root.display().to_string(),
        get_dir: root,
        emptied: vec![files],
    }
}

/// Waits for something to come true.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(300);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < until, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
