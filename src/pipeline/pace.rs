//! How many targets the next chunk takes, so that it holds the write lock for about the wished time.

use std::time::Duration;

/// Targets in the first chunk of an import, before anything is learned of the store, where it may take [`FIRST_WISH`]: 2,000 of 2M
/// customers took about 0.5 s where this was measured (research/purge-performance.md, section 6), and 1 s in a schema whose rows
/// lie scattered.
const TARGETS_FIRST: u32 = 2_000;

/// Where the first chunk is to take less than this it has fewer targets: 500 at 0.4 s.
const FIRST_WISH: Duration = Duration::from_millis(1_600);

/// Fewest and most targets in a chunk.
const TARGETS_MIN: u32 = 50;
const TARGETS_MAX: u32 = 50_000;

/// Fewest targets in a chunk, and in the first, where each chunk reads a whole table: fewer would only read it more often.
const TARGETS_SCAN_MIN: u32 = 10_000;

/// How a chunk finds its rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// By indexes.
    Index,
    /// Some table is read whole.
    WholeTable,
}

/// The size of the next chunk.
#[derive(Debug)]
pub(super) struct Pace {
    targets: u32,
    targets_min: u32,
    /// What the last chunk was to take.
    wish: Duration,
}

impl Pace {
    /// Before the first chunk.
    pub(super) fn new(reach: Reach) -> Self {
        let (targets, targets_min) = match reach {
            Reach::Index => (TARGETS_FIRST, TARGETS_MIN),
            Reach::WholeTable => (TARGETS_SCAN_MIN, TARGETS_SCAN_MIN),
        };
        Self { targets, targets_min, wish: FIRST_WISH }
    }

    /// Targets for the next chunk, which is to take so long: fewer at once where the last was to take longer.
    pub(super) fn targets(&mut self, wish: Duration) -> u32 {
        if wish < self.wish {
            self.scale(wish.as_secs_f64() / self.wish.as_secs_f64());
        }
        self.wish = wish;
        self.targets
    }

    /// Learns from a chunk that was full: grows at most eightfold, and shrinks as far as it must. (Each chunk writes again the
    /// pages that every chunk touches: 7 cost a tenth more than 4 at 100,000 of 2,000,000 customers.)
    pub(super) fn learn(&mut self, took: Duration) {
        self.scale((self.wish.as_secs_f64() / took.as_secs_f64().max(0.001)).min(8.0));
    }

    fn scale(&mut self, ratio: f64) {
        // A product of a bounded count and a bounded ratio.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
        let next = (f64::from(self.targets) * ratio) as u32;
        self.targets = next.clamp(self.targets_min, TARGETS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_near_the_wished_time_and_stays_within_its_bounds() {
        let (mut pace, alone, shared) = (Pace::new(Reach::Index), Duration::from_secs(3), Duration::from_millis(400));
        assert_eq!(Pace::new(Reach::Index).targets(alone), TARGETS_FIRST);
        assert_eq!(pace.targets(shared), 500);
        let each = |targets: u32| Duration::from_micros(200 * u64::from(targets));
        for _ in 0..10 {
            let targets = pace.targets(shared);
            pace.learn(each(targets));
        }
        assert_eq!(pace.targets(shared), 2_000);
        pace.learn(Duration::from_secs(100));
        assert_eq!(pace.targets(shared), TARGETS_MIN);
        for _ in 0..20 {
            pace.targets(alone);
            pace.learn(Duration::ZERO);
        }
        assert_eq!(pace.targets(alone), TARGETS_MAX);
        // Another writer has come: the very next chunk is short.
        assert_eq!(pace.targets(shared), TARGETS_MAX * 4 / 30);
        let mut scanning = Pace::new(Reach::WholeTable);
        scanning.targets(shared);
        scanning.learn(Duration::from_secs(100));
        assert_eq!(scanning.targets(shared), TARGETS_SCAN_MIN);
    }
}
