//! Scrubs after a purge: the first time through a store that was never scrubbed, and later times, beside the gates of issue 3.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::daemon::{EXPUNGED, Served, Setting};
use crate::generate::address;
use crate::measure::{Measure, Usage};
use crate::peers::Schema;

/// A first scrub takes at most this part of its purge, a later one at most so many seconds a gigabyte.
const FIRST_MAX: f64 = 0.6;
const LATER_MAX: f64 = 1.0;

/// Prints what scrubs cost after a purge of this list: the daemon's own work, asked for by `expunged scrub`.
pub(crate) fn after(dir: &Path, store: &Path, list: &Path) {
    let served = Served::new(dir, store, Setting { schema: Schema::BuiltIn, cache_mib: 288 });
    let purge = served.purge(list, "list.csv");
    let first = scrub(&served);
    let gigabytes = std::fs::metadata(served.store()).expect("a store").len() as f64 / 1e9;
    println!(
        "scrub, first pass: {:.2} s wall ({:.2} of the purge), {:.2} s CPU ({:.2} of the purge); at most {FIRST_MAX}",
        first.wall,
        first.wall / purge.wall,
        first.cpu,
        first.cpu / purge.cpu
    );
    for rows in [3, 1_000] {
        let mut few = String::from("Customer Email\n");
        (0..rows).for_each(|n| writeln!(few, "{}", address(n * 20 + rows)).expect("a text"));
        let list = dir.join("few.csv");
        std::fs::write(&list, few).expect("a list");
        served.purge(&list, &format!("few{rows}.csv"));
        let later = scrub(&served);
        println!(
            "scrub, a later pass for {rows} rows: {:.2} s wall a GB, {:.2} s CPU a GB; at most {LATER_MAX}",
            later.wall / gigabytes,
            later.cpu / gigabytes
        );
    }
}

fn scrub(served: &Served) -> Measure {
    let before = Usage::of(served.pid());
    let start = Instant::now();
    let status = Command::new(EXPUNGED).arg("--config").arg(served.config()).args(["scrub", "--json"]).output().expect("a command");
    let wall = start.elapsed().as_secs_f64();
    assert!(status.status.success(), "not clean: {}", String::from_utf8_lossy(&status.stdout));
    let after = Usage::of(served.pid());
    Measure { wall, cpu: after.cpu - before.cpu, peak_mib: after.peak_mib, written_mb: after.written_mb - before.written_mb }
}
