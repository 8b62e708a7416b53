//! What a process cost: wall time, CPU of itself and its threads, peak resident memory, bytes it had written.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// What a run cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measure {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) peak_mib: f64,
    pub(crate) written_mb: f64,
}

/// What a process has used up to now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: f64,
    pub(crate) peak_mib: f64,
    pub(crate) written_mb: f64,
}

impl Usage {
    /// Reads `/proc`. A process that has ended and is not collected still tells its CPU time.
    pub(crate) fn of(pid: u32) -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        // utime and stime, in ticks of 10 ms: fields 14 and 15 of proc(5), the state being field 3.
        let cpu = (ticks(11) + ticks(12)) / 100.0;
        let number = |text: &str, key: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        let peak_mib = number(&read("status"), "VmHWM:") / 1024.0;
        let written_mb = number(&read("io"), "write_bytes:") / 1e6;
        Self { cpu, peak_mib, written_mb }
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Measure {
    let start = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (mut peak_mib, mut last) = (0.0_f64, Usage::default());
    loop {
        if ended(&child) {
            break;
        }
        last = Usage::of(child.id());
        peak_mib = peak_mib.max(last.peak_mib);
        std::thread::sleep(Duration::from_micros(500));
    }
    let wall = start.elapsed().as_secs_f64();
    let end = Usage::of(child.id());
    let status = child.wait().expect("a child");
    assert!(status.success(), "{command:?}: {status}");
    Measure { wall, cpu: end.cpu.max(last.cpu), peak_mib, written_mb: end.written_mb.max(last.written_mb) }
}

/// Whether a child has ended; it is not collected, so that its CPU time can still be read.
fn ended(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

/// The median of each figure.
pub(crate) fn median(all: &[Measure]) -> Measure {
    let of = |get: fn(&Measure) -> f64| middle(all.iter().map(get).collect());
    Measure { wall: of(|m| m.wall), cpu: of(|m| m.cpu), peak_mib: of(|m| m.peak_mib), written_mb: of(|m| m.written_mb) }
}

/// The middle one.
pub(crate) fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The value below which this share lies.
pub(crate) fn quantile(mut all: Vec<f64>, share: f64) -> f64 {
    all.sort_by(f64::total_cmp);
    let at = ((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1));
    all.get(at).copied().unwrap_or_default()
}
