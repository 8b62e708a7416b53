//! The receiving side beside OpenSSH's: the same clients, the same work, in turns, on one machine.
//!
//! `cargo bench --bench sftp [-- --quick] [-- CASE…]`. Peer: a private `sshd` with `internal-sftp` on loopback (see
//! `benches/setup.sh`). Rounds alternate A B / B A; figures are medians, ratios are ratios of medians. Client and server share
//! the machine, so the client caps the speed and the server's CPU is the better figure of merit. It judges by the gates of
//! issue 4; a miss is printed, never an error.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to the person who runs it")]

mod cases;
mod servers;
#[path = "../unit.rs"]
mod unit;
mod usage;

use std::path::PathBuf;

use servers::Servers;

/// How much is done of everything.
pub(crate) struct Sizes {
    /// Times that each server does each case.
    pub(crate) rounds: usize,
    /// Bytes of a big file.
    pub(crate) big_bytes: u64,
    /// Small files of a session.
    pub(crate) small_files: usize,
    /// Small durable files in all.
    pub(crate) durable_files: usize,
    /// Logins measured at a time.
    pub(crate) logins: usize,
}

const FULL: Sizes = Sizes { rounds: 5, big_bytes: 512 << 20, small_files: 1000, durable_files: 400, logins: 100 };
const QUICK: Sizes = Sizes { rounds: 3, big_bytes: 256 << 20, small_files: 1000, durable_files: 200, logins: 40 };

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let mut flag = |name: &str| {
        let before = args.len();
        args.retain(|arg| arg != name);
        args.len() < before
    };
    let (quick, list) = (flag("--quick"), flag("--list"));
    // `cargo test --benches` runs it without anything to do.
    if flag("--test") {
        return;
    }
    if list {
        cases::all(&FULL).iter().for_each(|case| println!("{}", case.name));
        return;
    }
    if let Err(missing) = servers::peer_is_there() {
        eprintln!("SKIPPED: {missing}; set it up with: bash benches/setup.sh");
        return;
    }
    let sizes = if quick { QUICK } else { FULL };
    // Both sides in memory, so that the disk is no part of it; and both on a disk, where it is what is measured.
    let memory = PathBuf::from("/dev/shm");
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    println!(
        "{} rounds, big file {} MiB, {} clients' machine of {} cores, load {}",
        sizes.rounds,
        sizes.big_bytes >> 20,
        servers::openssh_version(),
        std::thread::available_parallelism().map_or(0, usize::from),
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
    println!(
        "{:44} {:>19} {:>6} {:>6}  {:>17} {:>5} {:>6}  {:>17}",
        "case", "speed sshd → ours", "ratio", "gate", "CPU s sshd → ours", "ratio", "gate", "peak MiB"
    );
    let wanted = |name: &str| args.is_empty() || args.iter().any(|arg| name.contains(arg.as_str()));
    let mut misses = 0;
    for on_disk in [false, true] {
        let cases: Vec<_> = cases::all(&sizes).into_iter().filter(|case| case.on_disk == on_disk && wanted(case.name)).collect();
        if cases.is_empty() {
            continue;
        }
        let servers = Servers::start(if on_disk { &disk } else { &memory });
        for case in &cases {
            misses += case.measure(&servers, &sizes).print();
        }
        if !on_disk && wanted("idle session") {
            misses += cases::idle_sessions(&servers, 100);
        }
        println!("highest resident memory of ours over all of this (VmHWM): {} MiB", servers.ours.peak_kib() / 1024);
    }
    println!("{misses} missed");
}
