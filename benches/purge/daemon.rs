//! Our side: the released daemon, from a list moved into the inbox to the archived report and the emptied log.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::generate::{ORDINARY_PLAN, TENANT, address};
use crate::measure::{Measure, Usage, middle, quantile};
use crate::peers::{self, Schema};

pub(crate) const EXPUNGED: &str = env!("CARGO_BIN_EXE_expunged");

/// A running daemon over a copy of a store.
pub(crate) struct Served {
    home: PathBuf,
    store: PathBuf,
    daemon: Child,
}

/// Whose tables, and with how much memory for their pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) schema: Schema,
    pub(crate) cache_mib: u32,
}

impl Served {
    pub(crate) fn new(dir: &Path, store: &Path, Setting { schema, cache_mib }: Setting) -> Self {
        let home = dir.join("home");
        let _ = std::fs::remove_dir_all(&home);
        run(Command::new(EXPUNGED).arg("init").arg(&home).args(["--listen", "127.0.0.1:0"]));
        let work = peers::copy(dir, store);
        let store = match schema {
            Schema::BuiltIn => home.join("data/store.db"),
            Schema::Ordinary => home.join("app.db"),
        };
        let moved = Command::new("mv").arg(&work).arg(&store).status().expect("mv");
        assert!(moved.success());
        let config = home.join("expunged.toml");
        let text = std::fs::read_to_string(&config).expect("a config");
        let mut text = text
            .replace("settle_seconds = 2", "settle_seconds = 0")
            .replace("after_rows = 10000", "after_rows = 1000000000")
            .replace("cache_mib = 288", &format!("cache_mib = {cache_mib}"));
        if matches!(schema, Schema::Ordinary) {
            let plan = home.join("plan.toml");
            std::fs::write(&plan, ORDINARY_PLAN).expect("a plan");
            text =
                text.replace("database = \"\"", &format!("database = {store:?}")).replace("\nplan = \"\"", &format!("\nplan = {plan:?}"));
        }
        std::fs::write(&config, text).expect("the config can be written");
        std::fs::write(home.join(format!("tenants.d/{TENANT}.toml")), without_brake()).expect("a tenant");
        let log = std::fs::File::create(home.join("log")).expect("a log");
        let mut command = Command::new(EXPUNGED);
        command.arg("--config").arg(&config).arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.envs(crate::unit::environment());
        let served = Self { daemon: command.spawn().expect("the daemon starts"), home, store };
        served.until(|served| served.log().contains("daemon ready"));
        served
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.id()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.home.join("expunged.toml")
    }

    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.home.join("data/tenants").join(TENANT).join(name)
    }

    fn until(&self, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(3600), "the daemon does not get there\n{}", self.log());
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Moves a list in and waits for its report.
    pub(crate) fn purge(&self, list: &Path, name: &str) -> Measure {
        let ready = self.home.join(name);
        std::fs::copy(list, &ready).expect("the list can be copied");
        let before = Usage::of(self.daemon.id());
        let start = Instant::now();
        let moved = rustix::fs::rename(&ready, self.folder("inbox").join(name));
        moved.expect("one file system");
        let status = self.folder("status").join(format!("{name}.json"));
        self.until(|_| std::fs::read_to_string(&status).is_ok_and(|text| text.contains("\"completed\"") || text.contains("\"rejected\"")));
        // The report is visible before the ledger says so and the log is emptied.
        let log = format!("{}-wal", self.store.display());
        self.until(|_| std::fs::metadata(&log).map_or(0, |meta| meta.len()) == 0);
        let wall = start.elapsed().as_secs_f64();
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        assert!(text.contains("\"completed\""), "{text}\n{}", self.log());
        let after = Usage::of(self.daemon.id());
        Measure { wall, cpu: after.cpu - before.cpu, peak_mib: after.peak_mib, written_mb: after.written_mb - before.written_mb }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// A whole run on a fresh copy.
pub(crate) fn purge(dir: &Path, store: &Path, list: &Path, setting: Setting) -> Measure {
    Served::new(dir, store, setting).purge(list, "list.csv")
}

/// One row at a time: from the file in the inbox to the report, and how often a file is synced for it.
pub(crate) fn one_row(dir: &Path, store: &Path) {
    let served = Served::new(dir, store, Setting { schema: Schema::BuiltIn, cache_mib: 288 });
    let mut waits = Vec::new();
    for n in 0..40 {
        let list = dir.join("one.csv");
        std::fs::write(&list, format!("Customer Email\n{}\n", address(n * 10))).expect("a list");
        waits.push(served.purge(&list, &format!("one{n}.csv")).wall * 1000.0);
    }
    println!(
        "one row, file in the inbox to report visible and log emptied: p50 {:.1} ms, p90 {:.1} ms",
        middle(waits.clone()),
        quantile(waits, 0.9)
    );
    let counts = dir.join("syncs");
    let tracer = Command::new("strace")
        .args(["-f", "-qq", "-c", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&counts)
        .args(["-p", &served.daemon.id().to_string()])
        .spawn();
    let Ok(mut tracer) = tracer else {
        println!("strace is not installed: file syncs not counted");
        return;
    };
    std::thread::sleep(Duration::from_millis(500));
    for n in 40..50 {
        let list = dir.join("one.csv");
        std::fs::write(&list, format!("Customer Email\n{}\n", address(n * 10))).expect("a list");
        served.purge(&list, &format!("one{n}.csv"));
    }
    let stopped = Command::new("kill").args(["-INT", &tracer.id().to_string()]).status();
    assert!(stopped.is_ok_and(|status| status.success()));
    let _ = tracer.wait();
    let text = std::fs::read_to_string(&counts).unwrap_or_default();
    let calls: u64 =
        text.lines().filter(|line| line.contains("sync")).filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok()).sum();
    println!("one row, file syncs: {:.1}", calls as f64 / 10.0);
}

/// The bench purges what a brake would hold.
fn without_brake() -> String {
    "keys = []\nhold_customers_percent_above = 100\n".to_owned()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}
