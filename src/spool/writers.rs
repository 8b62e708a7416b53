//! Who writes which name. A newer OPEN wins; the older handle fails from then on.
//!
//! A slot's lock is held through each write, each close and each move of its name, so bytes of two handles never mix. The
//! map's lock is held only to find a slot.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::DropFolder;
use crate::domain::FileName;

/// One tenant's open uploads by name.
#[derive(Debug, Default)]
pub(super) struct Writers {
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
    /// Held while `recent.log` is written.
    pub(super) recent: Mutex<()>,
    /// Held while a status is written: senders and imports may have one of the same name to tell.
    pub(super) status: Mutex<()>,
}

/// A name in a drop folder.
pub(super) type Key = (DropFolder, FileName);

/// One name's account.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Turn>);

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turn {
    last: u64,
    writer: Option<u64>,
    /// Bytes of the writer's that have come without a gap.
    good: u64,
}

impl Writers {
    pub(super) fn slot(&self, key: &Key) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key.clone()).or_default())
    }

    /// Forgets a slot that nobody else has in hand.
    pub(super) fn release(&self, key: &Key, slot: Arc<Slot>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        drop(slot);
        // The map's own; under its lock nobody can get another.
        if slots.get(key).is_some_and(|slot| Arc::strong_count(slot) == 1) {
            slots.remove(key);
        }
    }

    /// Runs with the name's slot locked.
    pub(super) fn with<T>(&self, key: &Key, run: impl FnOnce(&mut Turn) -> T) -> T {
        let slot = self.slot(key);
        let result = run(&mut slot.lock());
        self.release(key, slot);
        result
    }

    /// Runs with two names' slots locked, always in the same order. The names must differ.
    pub(super) fn with_both<T>(&self, a: &Key, b: &Key, run: impl FnOnce(&mut Turn, &mut Turn) -> T) -> T {
        let (slot_a, slot_b) = (self.slot(a), self.slot(b));
        let result = if a < b {
            let mut turn_a = slot_a.lock();
            run(&mut turn_a, &mut slot_b.lock())
        } else {
            let mut turn_b = slot_b.lock();
            run(&mut slot_a.lock(), &mut turn_b)
        };
        self.release(a, slot_a);
        self.release(b, slot_b);
        result
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Slot {
    pub(super) fn lock(&self) -> MutexGuard<'_, Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// A new writer, of what has come of it before; whoever wrote before is superseded.
    pub(super) fn take(&mut self, good: u64) -> u64 {
        self.last += 1;
        (self.writer, self.good) = (Some(self.last), good);
        self.last
    }

    /// Notes how many of the writer's bytes have come without a gap.
    pub(super) fn note(&mut self, good: u64) {
        self.good = good;
    }

    /// How many that are; `None` where nobody writes.
    pub(super) fn good(&self) -> Option<u64> {
        self.writer.map(|_| self.good)
    }

    pub(super) fn is(&self, writer: u64) -> bool {
        self.writer == Some(writer)
    }

    pub(super) fn busy(&self) -> bool {
        self.writer.is_some()
    }

    /// Nobody writes now.
    pub(super) fn end(&mut self) {
        self.writer = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_two_let_go_at_once_is_forgotten() {
        let writers = Writers::default();
        let key = (DropFolder::Inbox, FileName::parse("june.csv").expect("valid"));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..20_000).for_each(|_| writers.with(&key, |_| ())));
            }
        });
        assert_eq!(writers.len(), 0);
    }
}
