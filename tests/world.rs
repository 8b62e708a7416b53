//! One data folder with the real program around it: made, served, killed and looked at as its users do.
//!
//! A world is removed when its test passes. When it fails, or `EXPUNGED_KEEP` is set, it stays and its place is printed.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const EXPUNGED: &str = env!("CARGO_BIN_EXE_expunged");

/// How long anything may take before a test gives up on it. Not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data folder, its tenants' keys, and the daemon that may serve it.
pub struct World {
    dir: PathBuf,
    daemon: Option<Child>,
    address: Option<SocketAddr>,
    starts: u32,
}

impl World {
    /// `expunged init` in a fresh folder, listening on a free loopback port.
    pub fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("expunged-test-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a scratch folder");
        let world = Self { dir, daemon: None, address: None, starts: 0 };
        let home = world.home();
        world.run(&["init", home.to_str().expect("UTF-8"), "--listen", "127.0.0.1:0"]).ok();
        world
    }

    /// The folder that `init` made.
    pub fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// A path beside the home folder, for what senders and operators keep.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a file outside.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.outside(name);
        fs::write(&path, content).expect("writable");
        path
    }

    /// A tenant's folder: `inbox`, `archive`, …
    pub fn folder(&self, tenant: &str, folder: &str) -> PathBuf {
        self.home().join("data/tenants").join(tenant).join(folder)
    }

    /// Runs the program with this world's configuration.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with_input(args, "")
    }

    /// Runs the program with something on its standard input.
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // A program that does not read its input may have ended by now.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        Ran { what: format!("expunged {}", args.join(" ")), output: child.wait_with_output().expect("the program ends") }
    }

    /// The program with this world's configuration, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(EXPUNGED);
        if args.first() != Some(&"init") {
            command.arg("--config").arg(self.home().join("expunged.toml"));
        }
        command.args(args).env("NO_COLOR", "1").current_dir(&self.dir);
        command
    }

    /// Sets an option of the main configuration: `set("pipeline", "settle_seconds", "1")`.
    pub fn set(&self, section: &str, option: &str, value: &str) {
        let path = self.home().join("expunged.toml");
        let mut document: toml_edit::DocumentMut = fs::read_to_string(&path).expect("readable").parse().expect("valid TOML");
        document[section][option] = value.parse::<toml_edit::Value>().expect("a TOML value").into();
        fs::write(&path, document.to_string()).expect("writable");
    }

    /// Sets an option in a tenant's file.
    pub fn set_tenant(&self, tenant: &str, option: &str, value: &str) {
        let path = self.home().join("tenants.d").join(format!("{tenant}.toml"));
        let mut document: toml_edit::DocumentMut = fs::read_to_string(&path).expect("readable").parse().expect("valid TOML");
        document[option] = value.parse::<toml_edit::Value>().expect("a TOML value").into();
        fs::write(&path, document.to_string()).expect("writable");
    }

    /// A tenant with a fresh ed25519 key.
    pub fn tenant(&self, name: &str) {
        let key = self.key(name);
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&key).status().expect("ssh-keygen");
        assert!(made.success());
        let public = key.with_extension("pub");
        self.run(&["tenant", "add", name, "--key", public.to_str().expect("UTF-8")]).ok();
    }

    fn key(&self, tenant: &str) -> PathBuf {
        self.dir.join(format!("{tenant}.key"))
    }

    /// `expunged load KIND` of this text.
    pub fn load(&self, kind: &str, tenant: &str, content: &str) {
        let path = self.write(&format!("{tenant}-{kind}.csv"), content);
        self.run(&["load", kind, path.to_str().expect("UTF-8"), "--tenant", tenant]).ok();
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(&mut self) {
        self.start_by(|world| world.command(&["serve"]));
        let world: &Self = self;
        self.address = Some(world.eventually("the daemon says that it is ready", || ready_address(&world.log())));
    }

    /// Starts the daemon in a way of one's own, and does not wait.
    pub fn start_by(&mut self, command: impl FnOnce(&Self) -> Command) {
        assert!(self.daemon.is_none(), "a daemon runs already");
        self.starts += 1;
        let log = fs::File::create(self.log_path()).expect("writable");
        let mut command = command(self);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
        self.daemon = Some(command.spawn().expect("the daemon starts"));
    }

    /// SIGKILL, at once.
    pub fn kill(&mut self) {
        let mut child = self.daemon.take().expect("a daemon runs");
        child.kill().expect("killable");
        child.wait().expect("ends");
    }

    /// SIGTERM, and its exit status.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let pid = self.daemon.as_ref().expect("a daemon runs").id();
        let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kill");
        assert!(sent.success());
        self.wait()
    }

    /// Waits until the daemon ends by itself.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let mut child = self.daemon.take().expect("a daemon runs");
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return status;
            }
            if Instant::now() > until {
                let _ = child.kill();
                panic!("the daemon does not end\n{}", self.picture());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The process id of the daemon.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon runs").id()
    }

    /// Where the daemon listens.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the daemon was started")
    }

    /// The log of the latest start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join(format!("log-{}", self.starts))
    }

    /// The options with which any OpenSSH client reaches the daemon as this tenant.
    pub fn ssh_options(&self, tenant: &str) -> Vec<String> {
        let key = self.key(tenant);
        let mut args: Vec<String> = vec!["-P".into(), self.address().port().to_string(), "-i".into(), key.display().to_string()];
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
        ] {
            args.extend(["-o".into(), option.into()]);
        }
        args
    }

    /// The system's `sftp` in batch mode, not yet started; it reads its batch from standard input.
    pub fn sftp_command(&self, tenant: &str) -> Command {
        let mut command = Command::new("sftp");
        command.args(["-F", "none", "-b", "-"]).args(self.ssh_options(tenant)).arg(format!("{tenant}@127.0.0.1")).current_dir(&self.dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a batch in the system's `sftp`.
    pub fn sftp(&self, tenant: &str, batch: &str) -> Ran {
        let mut child = self.sftp_command(tenant).spawn().expect("sftp starts");
        child.stdin.take().expect("piped").write_all(batch.as_bytes()).expect("sftp reads its batch");
        Ran { what: format!("sftp <<EOF\n{batch}\nEOF"), output: child.wait_with_output().expect("sftp ends") }
    }

    /// Puts this text under this name, whole.
    pub fn put(&self, tenant: &str, name: &str, content: impl AsRef<[u8]>) {
        let local = self.write("upload", content);
        self.sftp(tenant, &format!("put {} {name}\n", local.display())).ok();
    }

    /// The status of a delivered name, if there is one.
    pub fn status(&self, tenant: &str, name: &str) -> Option<serde_json::Value> {
        let text = fs::read_to_string(self.folder(tenant, "status").join(format!("{name}.json"))).ok()?;
        Some(serde_json::from_str(&text).expect("a status is always whole JSON"))
    }

    /// Waits until the import of this name has ended, and gives its report.
    pub fn report(&self, tenant: &str, name: &str) -> serde_json::Value {
        let path = self.eventually(&format!("the report of {name}"), || {
            let status = self.status(tenant, name)?;
            let ended = ["completed", "rejected", "stopped"].iter().any(|state| status["state"] == **state);
            ended.then(|| status["report"].as_str().map(str::to_owned))?
        });
        let text = fs::read_to_string(self.home().join("data/tenants").join(tenant).join(path.trim_start_matches('/'))).expect("the report is there");
        serde_json::from_str(&text).expect("a report is whole JSON")
    }

    /// One value out of the store.
    pub fn sql<T: rusqlite::types::FromSql>(&self, query: &str) -> T {
        self.store().query_row(query, [], |row| row.get(0)).unwrap_or_else(|fault| panic!("{query}: {fault}"))
    }

    /// All rows of a query as text, a line each.
    pub fn sql_lines(&self, query: &str) -> Vec<String> {
        let store = self.store();
        let mut statement = store.prepare(query).unwrap_or_else(|fault| panic!("{query}: {fault}"));
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|i| row.get::<_, rusqlite::types::Value>(i)).collect::<Result<Vec<_>, _>>());
        rows.expect("a query").map(|row| format!("{:?}", row.expect("a row"))).collect()
    }

    fn store(&self) -> rusqlite::Connection {
        let store = rusqlite::Connection::open(self.home().join("data/store.db")).expect("the store opens");
        store.busy_timeout(PATIENCE).expect("a time limit");
        store
    }

    /// Waits for something to become true.
    pub fn eventually<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition() {
                return value;
            }
            assert!(Instant::now() < until, "never came true: {what}\n{}", self.picture());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The files below a tenant's folder, sorted, by path.
    pub fn files(&self, tenant: &str, folder: &str) -> Vec<String> {
        let root = self.folder(tenant, folder);
        let mut files = Vec::new();
        walk(&root, &mut |path| files.push(path.strip_prefix(&root).expect("below").display().to_string()));
        files.sort();
        files
    }

    /// The folder tree and the log, for a failed test.
    pub fn picture(&self) -> String {
        let mut files = Vec::new();
        walk(&self.home().join("data"), &mut |path| files.push(path.display().to_string()));
        files.sort();
        files.truncate(200);
        let log = self.log();
        let tail = log.lines().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        format!("--- files\n{}\n--- log\n{tail}", files.join("\n"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() || std::env::var_os("EXPUNGED_KEEP").is_some() {
            eprintln!("kept: {}", self.dir.display());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// What a program said and how it ended.
pub struct Ran {
    what: String,
    pub output: Output,
}

impl Ran {
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Insists on success.
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Insists on an exit code.
    pub fn code(self, expected: i32) -> Self {
        let Self { what, output } = &self;
        assert_eq!(output.status.code(), Some(expected), "{what}\n{:?}\n--- stdout\n{}\n--- stderr\n{}", output.status, self.stdout(), self.stderr());
        self
    }
}

/// Whether a program is there. Says aloud that a test is skipped; where `EXPUNGED_TEST_ALL` is set, a skip is a failure.
pub fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        assert!(std::env::var_os("EXPUNGED_TEST_ALL").is_none(), "{program} is not installed, and no test may be skipped here");
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

fn ready_address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("daemon ready"))?;
    let start = line.find("127.0.0.1:")?;
    let text: String = line[start..].chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect();
    text.parse().ok()
}

fn walk(folder: &Path, found: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, found);
        } else {
            found(&path);
        }
    }
}
