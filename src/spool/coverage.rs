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
