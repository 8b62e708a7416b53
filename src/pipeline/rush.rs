//! When files keep coming in: then the disk is receiving's for a moment, and the senders' clients do not wait for imports.
//!
//! A file alone is taken at once. From the second that follows closely the pipeline waits until they stop coming, or until
//! it has waited for as long as it may; after that it waits no more before there has been a pause, so nothing is put off for ever.
//! Where the disk syncs at once it does not wait at all: imports are then in nobody's way.
//! This module is told the time, it never asks for it.

use std::time::{Duration, Instant};

/// Deliveries so close belong together, and are waited for. OpenSSH's client delivers a small file in 1 to 3 ms, a far one in a
/// round trip or two more.
const GAP: Duration = Duration::from_millis(20);

/// The longest wait.
const MOST: Duration = Duration::from_secs(1);

/// The pause after which it may wait anew.
const PAUSE: Duration = Duration::from_millis(250);

/// A commit that takes less did not wait for the disk: 0.05 to 0.15 ms on a tmpfs, 0.3 and more on a disk where this was measured.
const COMMIT_QUICK: Duration = Duration::from_micros(200);

/// What was delivered lately.
#[derive(Debug, Default)]
pub(super) struct Rush {
    /// Since when files come closely.
    since: Option<Instant>,
    last: Option<Instant>,
    /// The last two small commits: one may have been held up by something else.
    commits: [Duration; 2],
}

impl Rush {
    /// A file was delivered.
    pub(super) fn delivered(&mut self, now: Instant) {
        let pause = self.last.replace(now).map_or(PAUSE, |last| now.saturating_duration_since(last));
        if pause >= PAUSE {
            self.since = None;
        } else if pause < GAP {
            self.since.get_or_insert(now);
        }
    }

    /// Something else was done: what was delivered meanwhile is heard of only now, so there was no pause.
    pub(super) fn back(&mut self, now: Instant) {
        if self.since.is_some() {
            self.last = Some(now);
        }
    }

    /// A small commit, durable on return, took so long.
    pub(super) fn committed(&mut self, took: Duration) {
        self.commits = [took, self.commits[0]];
    }

    /// How long the next is to be waited for before anything else is done.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        if self.commits.iter().any(|took| *took < COMMIT_QUICK) {
            return None;
        }
        let until = (self.last? + GAP).min(self.since? + MOST);
        Some(until.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_not_waited_for_and_many_are_for_a_second_until_there_is_a_pause() {
        let (mut rush, start) = (Rush { commits: [COMMIT_QUICK; 2], ..Rush::default() }, Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        rush.delivered(at(0));
        assert_eq!(rush.wait(at(0)), None);
        rush.delivered(at(5));
        assert_eq!(rush.wait(at(5)), Some(GAP));
        assert_eq!(rush.wait(at(20)), Some(Duration::from_millis(5)));
        assert_eq!(rush.wait(at(25)), None);
        for ms in (10..=1_400).step_by(10) {
            rush.delivered(at(ms));
        }
        assert_eq!(rush.wait(at(1_400)), None, "the second is over");
        rush.delivered(at(1_640));
        assert_eq!(rush.wait(at(1_640)), None, "no pause yet");
        rush.back(at(4_640));
        for ms in [4_640, 4_641] {
            rush.delivered(at(ms));
        }
        assert_eq!(rush.wait(at(4_641)), None, "three seconds of work were no pause");
        for ms in [5_000, 5_010] {
            rush.delivered(at(ms));
        }
        assert_eq!(rush.wait(at(5_010)), Some(GAP));
        rush.committed(COMMIT_QUICK / 2);
        assert_eq!(rush.wait(at(5_010)), None, "the disk is quick");
        rush.committed(COMMIT_QUICK);
        rush.committed(COMMIT_QUICK);
        assert_eq!(rush.wait(at(5_010)), Some(GAP));
    }
}
