//! One data folder with the real daemon around it: made, served, killed and looked at as its users do.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{self, Ran};

/// The program under test.
pub(crate) const EXPUNGED: &str = env!("CARGO_BIN_EXE_expunged");

/// A release build, put in the place of the program under test for what only it can show: full sizes, and what memory it takes.
/// `.ci/run` has one.
pub(crate) fn release_build() -> Option<PathBuf> {
    std::env::var_os("EXPUNGED_TEST_RELEASE").map(PathBuf::from)
}

/// How long anything may take before a test gives up on it. Not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data folder, its tenants' keys, and the daemon that may serve it.
pub(crate) struct World {
    scratch: support::World,
    daemon: Option<Child>,
    address: Option<SocketAddr>,
    starts: u32,
}

impl World {
    /// `expunged init` in a fresh folder, listening on a free loopback port. Its brake does not mind how many customers a list
    /// takes: most tests take many of few.
    pub(crate) fn new() -> Self {
        Self::within(support::World::new())
    }

    /// The same in memory: for tests that sync thousands of times.
    pub(crate) fn in_memory() -> Self {
        Self::within(support::World::in_memory())
    }

    fn within(scratch: support::World) -> Self {
        scratch.expunged(["init", "home", "--listen", "127.0.0.1:0"]).exits(0);
        let world = Self { scratch, daemon: None, address: None, starts: 0 };
        world.set("tenant_defaults", "hold_customers_percent_above", "100");
        world
    }

    /// A world of its own that holds what this one holds now. Nothing may run in this one.
    pub(crate) fn fork(&self) -> Self {
        assert!(self.daemon.is_none(), "a daemon runs");
        let fork = Self { scratch: support::World::in_memory(), daemon: None, address: None, starts: self.starts };
        let mut command = Command::new("cp");
        command.arg("-a").arg(self.outside(".")).arg(fork.outside(""));
        fork.scratch.finish(command).exits(0);
        fork
    }

    /// The folder that `init` made.
    pub(crate) fn home(&self) -> PathBuf {
        self.outside("home")
    }

    /// A path beside the home folder, for what senders and operators keep.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// Writes a file outside.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        self.scratch.write(name, content);
        self.outside(name)
    }

    /// Moves a file into a tenant's inbox, as an operator does.
    pub(crate) fn move_in(&self, file: &Path, tenant: &str, name: &str) {
        self.moves(file, &self.folder(tenant, "inbox").join(name));
    }

    /// `mv`
    pub(crate) fn moves(&self, from: &Path, to: &Path) {
        let mut command = Command::new("mv");
        command.arg(from).arg(to);
        self.scratch.finish(command).exits(0);
    }

    /// A tenant's folder: `inbox`, `archive`, …
    pub(crate) fn folder(&self, tenant: &str, folder: &str) -> PathBuf {
        self.home().join("data/tenants").join(tenant).join(folder)
    }

    /// Runs the program with this world's configuration.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with_input(args, "")
    }

    /// Runs any program beside the home folder.
    pub(crate) fn run_any(&self, program: &str, args: &[&str]) -> Ran {
        self.scratch.run(program, args)
    }

    /// Runs the program with something on its standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        self.scratch.finish_with(self.command(args), input)
    }

    /// The program with this world's configuration, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(release_build().unwrap_or_else(|| EXPUNGED.into()));
        command.arg("--config").arg(self.home().join("expunged.toml")).args(args).env("NO_COLOR", "1").current_dir(self.outside(""));
        command
    }

    /// Sets an option of the main configuration: `set("pipeline", "settle_seconds", "1")`.
    pub(crate) fn set(&self, section: &str, option: &str, value: &str) {
        let path = self.home().join("expunged.toml");
        let mut document: toml_edit::DocumentMut = fs::read_to_string(&path).expect("readable").parse().expect("valid TOML");
        document[section][option] = value.parse::<toml_edit::Value>().expect("a TOML value").into();
        fs::write(&path, document.to_string()).expect("writable");
    }

    /// Sets an option in a tenant's file.
    pub(crate) fn set_tenant(&self, tenant: &str, option: &str, value: &str) {
        let path = self.home().join("tenants.d").join(format!("{tenant}.toml"));
        let mut document: toml_edit::DocumentMut = fs::read_to_string(&path).expect("readable").parse().expect("valid TOML");
        document[option] = value.parse::<toml_edit::Value>().expect("a TOML value").into();
        fs::write(&path, document.to_string()).expect("writable");
    }

    /// A tenant with a fresh ed25519 key.
    pub(crate) fn tenant(&self, name: &str) {
        self.scratch.key_pair(&format!("{name}.key"), &["-t", "ed25519"]);
        let public = self.outside(&format!("{name}.key.pub"));
        self.run(&["tenant", "add", name, "--key", public.to_str().expect("UTF-8")]).exits(0);
    }

    /// The private key of a tenant, in OpenSSH's format; the public one is beside it.
    pub(crate) fn key(&self, tenant: &str) -> PathBuf {
        self.outside(&format!("{tenant}.key"))
    }

    /// `expunged load KIND` of this text.
    pub(crate) fn load(&self, kind: &str, tenant: &str, content: &str) {
        let path = self.write(&format!("{tenant}-{kind}.csv"), content);
        self.run(&["load", kind, path.to_str().expect("UTF-8"), "--tenant", tenant]).exits(0);
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn start(&mut self) {
        self.start_by(|world| world.command(&["serve"]));
        self.wait_for_address();
    }

    /// The same under a limit, as `prlimit` takes it.
    pub(crate) fn start_limited(&mut self, limit: &str) {
        self.start_by(|world| {
            let serve = world.command(&["serve"]);
            let mut command = Command::new("prlimit");
            command.arg(limit).arg(serve.get_program()).args(serve.get_args());
            command
        });
        self.wait_for_address();
    }

    /// Starts the daemon in a way of one's own, and does not wait.
    pub(crate) fn start_by(&mut self, command: impl FnOnce(&Self) -> Command) {
        assert!(self.daemon.is_none(), "a daemon runs already");
        self.starts += 1;
        let log = fs::File::create(self.log_path()).expect("writable");
        let mut command = command(self);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
        self.daemon = Some(command.spawn().expect("the daemon starts"));
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) {
        let mut child = self.daemon.take().expect("a daemon runs");
        child.kill().expect("killable");
        child.wait().expect("ends");
        self.address = None;
    }

    /// SIGTERM, and its exit status.
    pub(crate) fn stop(&mut self) -> std::process::ExitStatus {
        let pid = self.daemon.as_ref().expect("a daemon runs").id();
        let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kill");
        assert!(sent.success());
        self.wait()
    }

    /// Waits until the daemon ends by itself.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
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
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon runs").id()
    }

    /// Where the daemon listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("the daemon was started")
    }

    /// The log of the latest start.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.outside(&format!("log-{}", self.starts))
    }

    /// A sender of this tenant.
    pub(crate) fn sender(&self, tenant: &str) -> Sender {
        Sender { tenant: tenant.to_owned(), key: self.key(tenant), folder: self.outside("") }
    }

    /// The options with which any OpenSSH client reaches the daemon as this tenant.
    pub(crate) fn ssh_options(&self, tenant: &str) -> Vec<String> {
        ssh_options(self.address(), &self.key(tenant))
    }

    /// Waits for a command of any client.
    pub(crate) fn finish(&self, mut command: Command) -> Ran {
        command.current_dir(self.outside(""));
        self.scratch.finish(command)
    }

    /// The same, with something on its standard input.
    pub(crate) fn finish_with(&self, mut command: Command, input: &str) -> Ran {
        command.current_dir(self.outside(""));
        self.scratch.finish_with(command, input)
    }

    /// The fingerprint of the host key, as the daemon tells it: `SHA256:…`.
    pub(crate) fn host_key(&self) -> String {
        let log = self.log();
        let start = log.find("SHA256:").expect("the daemon tells its host key");
        log[start..].chars().take_while(|c| !c.is_whitespace() && *c != '"').collect()
    }

    /// Runs a batch in the system's `sftp`.
    pub(crate) fn sftp(&self, tenant: &str, batch: &str) -> Ran {
        self.scratch.finish_with(self.sender(tenant).sftp(self.address(), &[]), batch)
    }

    /// Waits until the daemon says where it listens.
    pub(crate) fn wait_for_address(&mut self) {
        let world: &Self = self;
        self.address = Some(world.eventually("the daemon says that it is ready", || ready_address(&world.log())));
    }

    /// Puts this text under this name, whole.
    pub(crate) fn put(&self, tenant: &str, name: &str, content: impl AsRef<[u8]>) {
        let local = self.write("upload", content);
        self.sftp(tenant, &format!("put {} {name}\n", local.display())).exits(0);
    }

    /// The status of a delivered name, if there is one.
    pub(crate) fn status(&self, tenant: &str, name: &str) -> Option<serde_json::Value> {
        let text = fs::read_to_string(self.folder(tenant, "status").join(format!("{name}.json"))).ok()?;
        Some(serde_json::from_str(&text).expect("a status is always whole JSON"))
    }

    /// Waits until the import of this name has ended, and gives its report. The outcomes of each add up to the rows read.
    pub(crate) fn report(&self, tenant: &str, name: &str) -> serde_json::Value {
        let path = self.eventually(&format!("the report of {name}"), || {
            let status = self.status(tenant, name)?;
            let ended = ["completed", "rejected", "stopped"].iter().any(|state| status["state"] == **state);
            ended.then(|| status["report"].as_str().map(str::to_owned))?
        });
        let text = fs::read_to_string(self.home().join("data/tenants").join(tenant).join(path.trim_start_matches('/')))
            .expect("the report is there");
        let report: serde_json::Value = serde_json::from_str(&text).expect("a report is whole JSON");
        assert_eq!(report["rows"]["read"], rows_with_an_outcome(&report), "{report:#}");
        report
    }

    /// One value out of the store.
    pub(crate) fn sql<T: rusqlite::types::FromSql>(&self, query: &str) -> T {
        self.store().query_row(query, [], |row| row.get(0)).unwrap_or_else(|fault| panic!("{query}: {fault}"))
    }

    /// All rows of a query as text, a line each.
    pub(crate) fn sql_lines(&self, query: &str) -> Vec<String> {
        let store = self.store();
        let mut statement = store.prepare(query).unwrap_or_else(|fault| panic!("{query}: {fault}"));
        let columns = statement.column_count();
        let rows =
            statement.query_map([], |row| (0..columns).map(|i| row.get::<_, rusqlite::types::Value>(i)).collect::<Result<Vec<_>, _>>());
        rows.expect("a query").map(|row| format!("{:?}", row.expect("a row"))).collect()
    }

    /// Changes the store behind the daemon's back.
    pub(crate) fn change(&self, statements: &str) {
        self.store().execute_batch(statements).unwrap_or_else(|fault| panic!("{statements}: {fault}"));
    }

    pub(crate) fn store(&self) -> rusqlite::Connection {
        let store = rusqlite::Connection::open(self.home().join("data/store.db")).expect("the store opens");
        store.busy_timeout(PATIENCE).expect("a time limit");
        store
    }

    /// Waits for something to become true.
    pub(crate) fn eventually<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
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
    pub(crate) fn files(&self, tenant: &str, folder: &str) -> Vec<String> {
        let root = self.folder(tenant, folder);
        let mut files = Vec::new();
        walk(&root, &mut |path| files.push(path.strip_prefix(&root).expect("below").display().to_string()));
        files.sort();
        files
    }

    /// The folder tree and the log, for a failed test.
    pub(crate) fn picture(&self) -> String {
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
            // Of a tracer, the daemon is a child.
            signal("KILL", &children(child.id()));
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Somebody who has a tenant's key. Can go to a thread of its own.
#[derive(Clone)]
pub(crate) struct Sender {
    tenant: String,
    key: PathBuf,
    folder: PathBuf,
}

impl Sender {
    /// The same, who types another login.
    pub(crate) fn typing(self, login: &str) -> Self {
        Self { tenant: login.to_owned(), ..self }
    }

    /// The system's `sftp` in batch mode, not yet started; it reads its batch from standard input.
    pub(crate) fn sftp(&self, address: SocketAddr, args: &[&str]) -> Command {
        let mut command = Command::new("sftp");
        command
            .args(["-F", "none", "-b", "-"])
            .args(ssh_options(address, &self.key))
            .args(args)
            .arg(format!("{}@127.0.0.1", self.tenant))
            .current_dir(&self.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Puts a local file. Whether the client was told that all is well.
    pub(crate) fn puts(&self, address: SocketAddr, local: &Path, name: &str) -> bool {
        let mut child = self.sftp(address, &[]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("sftp starts");
        let batch = format!("put {} {name}\n", local.display());
        // One that cannot connect may have ended by now.
        let _ = std::io::Write::write_all(&mut child.stdin.take().expect("piped"), batch.as_bytes());
        child.wait().expect("ends").success()
    }
}

/// The options with which any OpenSSH client reaches a daemon with this key.
fn ssh_options(address: SocketAddr, key: &Path) -> Vec<String> {
    let mut args: Vec<String> = vec!["-P".into(), address.port().to_string(), "-i".into(), key.display().to_string()];
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

/// How many rows of a report are deleted, invalid or anything else that a row can become.
pub(crate) fn rows_with_an_outcome(report: &serde_json::Value) -> u64 {
    let rows = report["rows"].as_object().expect("counts");
    rows.iter().filter(|(outcome, _)| *outcome != "read").filter_map(|(_, count)| count.as_u64()).sum()
}

/// The processes that this one started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Sends a signal; to who is gone by now, nothing.
pub(crate) fn signal(name: &str, pids: &[u32]) {
    for pid in pids {
        let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    }
}

fn ready_address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("daemon ready"))?;
    let start = ["127.0.0.1:", "[::1]:"].iter().find_map(|loopback| line.find(loopback))?;
    let text: String = line[start..].chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':' | '[' | ']')).collect();
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
