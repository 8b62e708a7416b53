//! What a server costs: CPU and memory of a process and all of its children, from `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A process and its children, theirs included.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let (mut found, mut open) = (Vec::new(), vec![root]);
    let mut seen = BTreeSet::new();
    while let Some(process) = open.pop() {
        if !seen.insert(process) {
            continue;
        }
        found.push(process);
        let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            open.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// Seconds of CPU of a process tree so far, of children that have ended too.
pub(crate) fn cpu_seconds(root: u32) -> f64 {
    let ticks = |process: &u32| -> f64 {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name, which may hold anything: state is field 3; utime, stime, cutime, cstime are 14 to 17.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.iter().skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum()
    };
    tree(root).iter().map(ticks).sum::<f64>() / 100.0
}

/// Proportional memory of a process tree now, in KiB.
pub(crate) fn memory_kib(root: u32) -> u64 {
    tree(root).iter().map(|process| field(&format!("/proc/{process}/smaps_rollup"), "Pss:")).sum()
}

/// A number of KiB in a file of `/proc`.
pub(crate) fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Waits until a server has no children left, so that their CPU is in the sum.
pub(crate) fn wait_until_alone(root: u32) {
    let until = Instant::now() + Duration::from_secs(5);
    while tree(root).len() > 1 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Looks at a process tree's memory from time to time and keeps the most.
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    most_kib: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Sampler {
    pub(crate) fn start(root: u32) -> Self {
        let (stop, most_kib) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, most) = (Arc::clone(&stop), Arc::clone(&most_kib));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(memory_kib(root), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { stop, most_kib, thread }
    }

    pub(crate) fn most_kib(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.most_kib.load(Ordering::Relaxed)
    }
}
