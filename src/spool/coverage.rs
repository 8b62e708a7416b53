//! Which bytes of an upload have come, and which of them another handle wrote.
//!
//! Pure arithmetic over byte ranges: an old prefix that was there at the open, the ranges written since, and a size.
//! It answers what a close, a cut connection and a kill need to know. It does not touch a file.

/// More separate ranges than this are refused. A client that writes in order has one; parallel writers have some tens.
pub const RANGES_MAX: usize = 1024;

/// The account of one handle's writes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Coverage {
    /// `[0, old)` was there at the open and is trusted to be gap-free.
    old: u64,
    /// Where handles before this one met, within `(0, old)`; sorted.
    old_seams: Vec<u64>,
    /// Ranges `[start, end)` written by this handle: sorted, neither touching nor overlapping.
    written: Vec<(u64, u64)>,
    /// The end of the file as the client sees it.
    size: u64,
}

impl Coverage {
    /// A handle on a new file.
    pub(super) fn fresh() -> Self {
        Self::resumed(0, &[])
    }

    /// A handle on a file that holds `old` bytes, whose pieces met at these seams.
    pub(super) fn resumed(old: u64, seams: &[u64]) -> Self {
        let mut old_seams: Vec<u64> = seams.iter().copied().filter(|&seam| 0 < seam && seam < old).collect();
        old_seams.sort_unstable();
        old_seams.dedup();
        Self { old, old_seams, written: Vec::new(), size: old }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether a write here goes on where this handle's last one ended, at the end of a gap-free file: nothing about
    /// gaps or seams changes by it.
    pub(super) fn continues_at(&self, offset: u64) -> bool {
        offset == self.size
            && match self.written.as_slice() {
                [] => self.old == 0 && self.size == 0,
                [(start, end)] => *end == self.size && *start <= self.old,
                _ => false,
            }
    }

    /// Notes a write. `None`: it would make more than [`RANGES_MAX`] ranges, or pass the largest offset.
    pub(super) fn write(&mut self, offset: u64, len: u64) -> Option<()> {
        let end = offset.checked_add(len).filter(|&end| end <= i64::MAX as u64)?;
        if len == 0 {
            return Some(());
        }
        let first = self.written.partition_point(|&(_, e)| e < offset);
        let last = self.written.partition_point(|&(s, _)| s <= end);
        let merged = self.written[first..last].iter().fold((offset, end), |(s, e), r| (s.min(r.0), e.max(r.1)));
        if first == last && self.written.len() == RANGES_MAX {
            return None;
        }
        self.written.splice(first..last, [merged]);
        self.size = self.size.max(end);
        Some(())
    }

    /// Notes that a write failed or was refused: what stands in the range is unknown.
    pub(super) fn lose(&mut self, offset: u64, len: u64) {
        let end = offset.saturating_add(len);
        if self.old > offset && offset < end {
            // What is old beyond the hole goes too: one prefix is all that is kept account of.
            self.cut_old(offset);
        }
        let mut kept = Vec::with_capacity(self.written.len() + 1);
        for &(s, e) in &self.written {
            for (s, e) in [(s, e.min(offset)), (s.max(end), e)] {
                if s < e {
                    kept.push((s, e));
                }
            }
        }
        self.written = kept;
        self.size = self.size.max(end);
    }

    /// Notes a truncation or an extension; an extension is a gap.
    pub(super) fn truncate(&mut self, len: u64) {
        self.cut_old(len.min(self.old));
        self.written.retain_mut(|range| {
            range.1 = range.1.min(len);
            range.0 < range.1
        });
        self.size = len;
    }

    fn cut_old(&mut self, len: u64) {
        self.old = len;
        self.old_seams.retain(|&seam| seam < len);
    }

    /// The end of the gap-free part.
    pub(super) fn prefix(&self) -> u64 {
        let mut end = self.old;
        for &(s, e) in &self.written {
            if s > end {
                break;
            }
            end = end.max(e);
        }
        end
    }

    /// Gap-free from the first byte to the size.
    pub(super) fn whole(&self) -> bool {
        self.prefix() == self.size
    }

    /// Where a file whose writer is gone must be cut: at the first gap, or where new bytes run into the old ones that
    /// they were replacing.
    pub(super) fn abandoned_at(&self) -> u64 {
        let met = self.written.iter().map(|&(_, e)| e).find(|&e| e < self.old);
        met.map_or(self.prefix(), |met| met.min(self.prefix()))
    }

    /// From where on a kill at any moment would leave bytes of unknown origin: the first gap, or the first old byte that
    /// this handle replaced while old bytes follow.
    pub(super) fn unsafe_from(&self) -> Option<u64> {
        let gap = (!self.whole()).then(|| self.prefix());
        let mixed = self.written.first().filter(|&&(s, _)| s < self.old).map(|&(s, _)| s);
        gap.into_iter().chain(mixed).min()
    }

    /// Where bytes of two handles meet, sorted.
    pub(super) fn seams(&self) -> Vec<u64> {
        let kept = self.old_seams.iter().copied().filter(|&q| !self.written.iter().any(|&(s, e)| s < q && q < e));
        let starts = self.written.iter().map(|&(s, _)| s).filter(|&s| 0 < s && s <= self.old);
        let ends = self.written.iter().map(|&(_, e)| e).filter(|&e| e < self.old);
        let mut seams: Vec<u64> = kept.chain(starts).chain(ends).collect();
        seams.sort_unstable();
        seams.dedup();
        seams
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covered(old: u64, writes: &[(u64, u64)]) -> Coverage {
        let mut coverage = Coverage::resumed(old, &[]);
        for &(offset, len) in writes {
            coverage.write(offset, len).expect("few ranges");
        }
        coverage
    }

    #[test]
    fn is_whole_only_without_a_gap() {
        let check = |writes: &[(u64, u64)], whole: bool, prefix: u64| {
            let coverage = covered(0, writes);
            assert_eq!((coverage.whole(), coverage.prefix()), (whole, prefix), "{writes:?}");
        };
        check(&[], true, 0);
        check(&[(0, 5)], true, 5);
        check(&[(5, 5)], false, 0);
        check(&[(5, 5), (0, 5)], true, 10);
        check(&[(0, 5), (6, 5)], false, 5);
        check(&[(0, 5), (6, 5), (5, 1)], true, 11);
        check(&[(0, 8), (4, 8), (2, 2)], true, 12);
    }

    #[test]
    fn tells_where_pieces_of_two_handles_meet() {
        let check = |old: u64, writes: &[(u64, u64)], seams: &[u64]| assert_eq!(covered(old, writes).seams(), seams, "{old} {writes:?}");
        check(10, &[], &[]);
        check(10, &[(10, 5)], &[10]);
        check(10, &[(0, 15)], &[]);
        check(10, &[(0, 4)], &[4]);
        check(10, &[(4, 2)], &[4, 6]);
        check(10, &[(4, 20)], &[4]);
        check(0, &[(0, 4), (4, 4)], &[]);
        assert_eq!(Coverage::resumed(10, &[3, 7]).seams(), [3, 7]);
    }

    #[test]
    fn a_lost_write_is_a_gap_until_it_is_written() {
        let mut coverage = covered(0, &[(0, 10)]);
        coverage.lose(10, 5);
        assert!(!coverage.whole());
        coverage.write(10, 5).expect("few ranges");
        assert!(coverage.whole());
        coverage.lose(2, 3);
        assert_eq!((coverage.prefix(), coverage.size()), (2, 15));
        let mut resumed = Coverage::resumed(10, &[]);
        resumed.lose(4, 2);
        assert_eq!((resumed.prefix(), resumed.size(), resumed.whole()), (4, 10, false));
    }

    #[test]
    fn an_abandoned_rewrite_is_cut_where_the_old_bytes_begin_again() {
        let check = |old: u64, writes: &[(u64, u64)], cut: u64| assert_eq!(covered(old, writes).abandoned_at(), cut, "{old} {writes:?}");
        check(10, &[], 10);
        check(10, &[(10, 5)], 15);
        check(10, &[(2, 3)], 5);
        check(10, &[(0, 12)], 12);
        check(10, &[(12, 3)], 10);
    }

    #[test]
    fn refuses_one_range_more_than_its_limit() {
        let mut coverage = Coverage::fresh();
        for i in 0..RANGES_MAX as u64 {
            coverage.write(i * 2, 1).expect("within the limit");
        }
        assert_eq!(coverage.write(RANGES_MAX as u64 * 2, 1), None);
        assert!(coverage.write(1, 1).is_some(), "one that joins two is welcome");
        assert_eq!(coverage.write(u64::MAX, 1), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, u64),
        Truncate(u64),
        Lose(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..40u64, 1..12u64).prop_map(|(offset, len)| Step::Write(offset, len)),
            1 => (0..50u64).prop_map(Step::Truncate),
            1 => (0..40u64, 1..6u64).prop_map(|(offset, len)| Step::Lose(offset, len)),
        ]
    }

    proptest! {
        /// The model has a byte for a byte: `None` is missing, else whether the handle wrote it.
        #[test]
        fn agrees_with_a_model_of_single_bytes(old in 0..30u64, steps in prop::collection::vec(step(), 0..12)) {
            let mut coverage = Coverage::resumed(old, &[]);
            let mut model: Vec<Option<bool>> = vec![Some(false); old as usize];
            for step in steps {
                match step {
                    Step::Write(offset, len) => {
                        let continues = coverage.continues_at(offset);
                        let (seams, unsafe_from) = (coverage.seams(), coverage.unsafe_from());
                        coverage.write(offset, len).expect("few ranges");
                        if continues {
                            prop_assert_eq!((seams, unsafe_from), (coverage.seams(), coverage.unsafe_from()));
                        }
                        let end = (offset + len) as usize;
                        model.resize(model.len().max(end), None);
                        model[offset as usize..end].fill(Some(true));
                    }
                    Step::Truncate(len) => {
                        coverage.truncate(len);
                        model.resize(len as usize, None);
                    }
                    Step::Lose(offset, len) => {
                        coverage.lose(offset, len);
                        let end = (offset + len) as usize;
                        let had_old = model.iter().skip(offset as usize).any(|byte| *byte == Some(false));
                        model.resize(model.len().max(end), None);
                        model[offset as usize..end].fill(None);
                        if had_old {
                            model[offset as usize..].iter_mut().filter(|byte| **byte == Some(false)).for_each(|byte| *byte = None);
                        }
                    }
                }
                let prefix = model.iter().position(Option::is_none).unwrap_or(model.len());
                prop_assert_eq!(coverage.size(), model.len() as u64);
                prop_assert_eq!(coverage.prefix(), prefix as u64);
                prop_assert_eq!(coverage.whole(), prefix == model.len());
                if coverage.whole() {
                    let seams: Vec<u64> = (1..model.len()).filter(|&i| model[i - 1] != model[i]).map(|i| i as u64).collect();
                    prop_assert_eq!(coverage.seams(), seams);
                }
                let back = (1..prefix).find(|&i| model[i - 1] == Some(true) && model[i] == Some(false)).unwrap_or(prefix);
                prop_assert!(coverage.abandoned_at() <= back as u64);
            }
        }
    }
}
