//! When a file that somebody else wrote may be taken: once its size and times have not changed for a while.
//!
//! A file that our own receiving side delivered is vouched for by a hint and need not settle. Hints are bounded; a lost one
//! only costs the wait. This module is told the time, it never asks for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::domain::{FileName, TenantName};
use crate::spool::DropFolder;

/// Most hints kept. Beyond it a delivered file settles like any other.
const HINTS_MAX: usize = 65_536;

/// Where a file lies.
pub(super) type Place = (TenantName, DropFolder, FileName);

/// What must stay the same while a file settles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) mtime_ns: i128,
}

/// The files that are seen and not yet taken.
#[derive(Debug)]
pub(super) struct Settling {
    wait: Duration,
    hints: HashMap<Place, Stamp>,
    seen: HashMap<Place, (Stamp, Instant)>,
}

impl Settling {
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait, hints: HashMap::new(), seen: HashMap::new() }
    }

    /// Notes that our own receiving side has just delivered this file whole.
    pub(super) fn hint(&mut self, place: Place, stamp: Stamp) {
        if self.hints.len() < HINTS_MAX {
            self.hints.insert(place, stamp);
        }
    }

    /// How long until this file may be taken, as it stands now: zero means at once.
    pub(super) fn remaining(&mut self, place: &Place, stamp: Stamp, now: Instant) -> Duration {
        let since = self.first_seen(place, stamp, now);
        if self.hinted(place, stamp) { Duration::ZERO } else { (since + self.wait).saturating_duration_since(now) }
    }

    /// Whether our own receiving side vouches for the file as it stands.
    pub(super) fn hinted(&self, place: &Place, stamp: Stamp) -> bool {
        self.hints.get(place) == Some(&stamp)
    }

    /// When the file was first seen as it stands.
    pub(super) fn first_seen(&mut self, place: &Place, stamp: Stamp, now: Instant) -> Instant {
        let (seen, since) = self.seen.entry(place.clone()).or_insert((stamp, now));
        if *seen != stamp {
            (*seen, *since) = (stamp, now);
        }
        *since
    }

    /// Forgets a file that was taken or is gone.
    pub(super) fn forget(&mut self, place: &Place) {
        self.hints.remove(place);
        self.seen.remove(place);
    }

    /// Forgets every file of this folder that a scan no longer shows.
    pub(super) fn retain(&mut self, tenant: &TenantName, drop: DropFolder, shown: impl Fn(&FileName) -> bool) {
        let keep = |place: &Place| place.0 != *tenant || place.1 != drop || shown(&place.2);
        self.seen.retain(|place, _| keep(place));
        self.hints.retain(|place, _| keep(place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        (TenantName::parse("acme").expect("valid"), DropFolder::Inbox, FileName::parse("june.csv").expect("valid"))
    }

    const STAMP: Stamp = Stamp { device: 1, inode: 2, size: 3, mtime_ns: 4 };

    #[test]
    fn waits_until_a_file_has_not_changed_for_the_whole_time() {
        let (mut settling, start) = (Settling::new(Duration::from_secs(2)), Instant::now());
        assert_eq!(settling.remaining(&place(), STAMP, start), Duration::from_secs(2));
        let grown = Stamp { size: 9, ..STAMP };
        assert_eq!(settling.remaining(&place(), grown, start + Duration::from_secs(1)), Duration::from_secs(2));
        assert_eq!(settling.remaining(&place(), grown, start + Duration::from_secs(3)), Duration::ZERO);
    }

    #[test]
    fn takes_a_hinted_file_at_once_and_only_as_it_was_delivered() {
        let (mut settling, now) = (Settling::new(Duration::from_secs(2)), Instant::now());
        settling.hint(place(), STAMP);
        assert_eq!(settling.remaining(&place(), STAMP, now), Duration::ZERO);
        assert_eq!(settling.remaining(&place(), Stamp { inode: 7, ..STAMP }, now), Duration::from_secs(2));
    }

    #[test]
    fn forgets_what_is_gone() {
        let (mut settling, now) = (Settling::new(Duration::from_secs(2)), Instant::now());
        settling.remaining(&place(), STAMP, now);
        settling.retain(&place().0, DropFolder::Check, |_| false);
        assert!(settling.seen.contains_key(&place()));
        settling.retain(&place().0, DropFolder::Inbox, |_| false);
        assert!(settling.seen.is_empty());
    }
}
