//! The memory of files that were delivered a moment ago and may be gone from the inbox already.
//!
//! Careful clients stat a file after uploading it, compare its size and set its times; for them it is still there for a while.
//! Bounded by tenant, in memory only, shared by all sessions. Nothing but those answers rests on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{FileName, TenantName};
use crate::spool::DropFolder;

/// Whose file it was, where it was put, and its name.
pub(crate) type Key = (TenantName, DropFolder, FileName);

/// What STAT answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Memory {
    pub(crate) size: u64,
    /// Seconds since 1970, as written or as set since.
    pub(crate) mtime: u32,
}

/// Files delivered a moment ago.
pub(crate) struct Taken {
    kept: Duration,
    files_per_tenant_max: usize,
    tenants: Mutex<Tenants>,
}

type Tenants = HashMap<TenantName, Files>;

#[derive(Default)]
struct Files {
    by_key: HashMap<Key, (Memory, u64)>,
    /// By the number of their arrival.
    order: BTreeMap<u64, (Instant, Key)>,
}

impl Taken {
    pub(crate) fn new(kept: Duration, files_per_tenant_max: usize) -> Self {
        Self { kept, files_per_tenant_max, tenants: Mutex::default() }
    }

    /// Remembers a file from `now` on. The newest of a name counts; beyond the bound the oldest of its tenant goes.
    pub(crate) fn remember(&self, key: Key, memory: Memory, now: Instant) {
        let mut tenants = self.lock(now);
        let files = tenants.entry(key.0.clone()).or_default();
        files.forget(&key);
        let number = files.order.last_key_value().map_or(0, |(last, _)| last + 1);
        files.order.insert(number, (now, key.clone()));
        files.by_key.insert(key, (memory, number));
        if files.order.len() > self.files_per_tenant_max {
            files.forget_oldest();
        }
    }

    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<Memory> {
        self.lock(now).get(&key.0)?.by_key.get(key).map(|(memory, _)| *memory)
    }

    /// Whether what happened to a name `at` a time still counts: no longer ago than files are remembered, and nothing came since.
    pub(crate) fn is_newest(&self, key: &Key, at: Instant, now: Instant) -> bool {
        let tenants = self.lock(now);
        let files = tenants.get(&key.0);
        let came = files.and_then(|files| files.order.get(&files.by_key.get(key)?.1)).map(|(came, _)| *came);
        now.saturating_duration_since(at) <= self.kept && came.is_none_or(|came| came <= at)
    }

    /// Sets the time of a file, if it is remembered. Does not keep it longer.
    pub(crate) fn set_mtime(&self, key: &Key, mtime: u32, now: Instant) -> bool {
        let mut tenants = self.lock(now);
        let found = tenants.get_mut(&key.0).and_then(|files| files.by_key.get_mut(key));
        found.map(|(memory, _)| memory.mtime = mtime).is_some()
    }

    /// Forgets a file that its sender removed or renamed.
    pub(crate) fn forget(&self, key: &Key, now: Instant) {
        if let Some(files) = self.lock(now).get_mut(&key.0) {
            files.forget(key);
        }
    }

    fn lock(&self, now: Instant) -> MutexGuard<'_, Tenants> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let is_past = |at: Instant| now.saturating_duration_since(at) > self.kept;
        tenants.retain(|_, files| {
            while files.order.first_key_value().is_some_and(|(_, (at, _))| is_past(*at)) {
                files.forget_oldest();
            }
            !files.order.is_empty()
        });
        tenants
    }
}

impl Files {
    fn forget(&mut self, key: &Key) {
        if let Some((_, number)) = self.by_key.remove(key) {
            self.order.remove(&number);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, (_, key))) = self.order.pop_first() {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: &str, name: &str) -> Key {
        (TenantName::parse(tenant).unwrap(), DropFolder::Inbox, FileName::parse(name).unwrap())
    }

    fn memory(size: u64) -> Memory {
        Memory { size, mtime: 7 }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn remembers_each_tenants_own_files_for_a_while() {
        let (taken, start) = (Taken::new(60 * SECOND, 10), Instant::now());
        taken.remember(key("acme", "june.csv"), memory(1), start);
        assert_eq!(taken.get(&key("acme", "june.csv"), start + 60 * SECOND), Some(memory(1)));
        assert_eq!(taken.get(&key("acme-2", "june.csv"), start), None);
        assert!(taken.set_mtime(&key("acme", "june.csv"), 9, start));
        assert_eq!(taken.get(&key("acme", "june.csv"), start), Some(Memory { size: 1, mtime: 9 }));
        assert_eq!(taken.get(&key("acme", "june.csv"), start + 61 * SECOND), None);
        assert!(!taken.set_mtime(&key("acme", "june.csv"), 9, start + 61 * SECOND));
    }

    #[test]
    fn keeps_the_newest_of_a_name_for_its_own_while() {
        let (taken, start) = (Taken::new(60 * SECOND, 10), Instant::now());
        taken.remember(key("acme", "june.csv"), memory(1), start);
        taken.remember(key("acme", "june.csv"), memory(2), start + 50 * SECOND);
        assert_eq!(taken.get(&key("acme", "june.csv"), start + 100 * SECOND), Some(memory(2)));
        taken.forget(&key("acme", "june.csv"), start + 100 * SECOND);
        assert_eq!(taken.get(&key("acme", "june.csv"), start + 100 * SECOND), None);
    }

    #[test]
    fn what_happened_to_a_name_counts_for_a_while_and_until_something_comes() {
        let (taken, start) = (Taken::new(60 * SECOND, 10), Instant::now());
        let is_newest = |at: u32, now: u32| taken.is_newest(&key("acme", "june.csv"), start + at * SECOND, start + now * SECOND);
        taken.remember(key("acme", "june.csv"), memory(1), start);
        taken.remember(key("acme", "july.csv"), memory(1), start + 3 * SECOND);
        assert_eq!([(1, 5), (1, 61), (1, 62)].map(|(at, now)| is_newest(at, now)), [true, true, false]);
        taken.remember(key("acme", "june.csv"), memory(2), start + 62 * SECOND);
        assert_eq!([(61, 62), (63, 64)].map(|(at, now)| is_newest(at, now)), [false, true]);
    }

    #[test]
    fn forgets_the_oldest_of_a_tenant_beyond_its_bound() {
        let (taken, start) = (Taken::new(60 * SECOND, 2), Instant::now());
        taken.remember(key("acme-2", "a"), memory(1), start);
        for (size, name) in [(1, "a"), (2, "b"), (3, "c")] {
            taken.remember(key("acme", name), memory(size), start);
        }
        assert_eq!(["a", "b", "c"].map(|name| taken.get(&key("acme", name), start).is_some()), [false, true, true]);
        assert_eq!(taken.get(&key("acme-2", "a"), start), Some(memory(1)), "another's lists push out nobody's");
    }

    #[test]
    fn what_its_sender_removed_or_sent_again_takes_no_place() {
        let (taken, start) = (Taken::new(60 * SECOND, 2), Instant::now());
        for name in ["a", "b", "b", "c"] {
            taken.remember(key("acme", name), memory(1), start);
            if name == "b" {
                taken.forget(&key("acme", name), start);
            }
        }
        taken.remember(key("acme", "c"), memory(2), start);
        assert_eq!(taken.get(&key("acme", "a"), start), Some(memory(1)));
        assert_eq!(taken.get(&key("acme", "c"), start), Some(memory(2)));
    }
}
