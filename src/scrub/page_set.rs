//! Sets of pages, one bit each: a file of a terabyte has them in 32 MiB.

/// Pages by their number.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct PageSet(Vec<u64>);

impl PageSet {
    pub(super) fn insert(&mut self, page: u32) {
        let at = page as usize / 64;
        if at >= self.0.len() {
            self.0.resize((at + 1).next_multiple_of(1024), 0);
        }
        self.0[at] |= 1 << (page % 64);
    }

    pub(super) fn has(&self, page: u32) -> bool {
        self.0.get(page as usize / 64).is_some_and(|word| word & 1 << (page % 64) != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next(0).is_none()
    }

    /// The first page of the set from this one on.
    pub(super) fn next(&self, from: u32) -> Option<u32> {
        let first = from as usize / 64;
        let mut word = self.0.get(first)? & (u64::MAX << (from % 64));
        for at in first.. {
            if word != 0 {
                return u32::try_from(at * 64 + word.trailing_zeros() as usize).ok();
            }
            word = *self.0.get(at + 1)?;
        }
        None
    }

    /// Moves every page below this one to another set.
    pub(super) fn move_below(&mut self, end: u32, to: &mut Self) {
        while let Some(page) = self.next(0).filter(|page| *page < end) {
            let at = page as usize / 64;
            let below = if end as usize / 64 > at { u64::MAX } else { (1 << (end % 64)) - 1 };
            let moved = self.0[at] & below;
            to.insert(page);
            to.0[at] |= moved;
            self.0[at] &= !below;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(set: &PageSet) -> Vec<u32> {
        std::iter::successors(set.next(0), |page| set.next(page + 1)).collect()
    }

    proptest::proptest! {
        #[test]
        fn holds_what_was_put_in_and_gives_up_what_lies_below(
            pages in proptest::collection::btree_set(0u32..300_000, 0..40), end in 0u32..300_001, more in 0u32..300_000,
        ) {
            let mut set = PageSet::default();
            pages.iter().for_each(|page| set.insert(*page));
            proptest::prop_assert_eq!(all(&set), pages.iter().copied().collect::<Vec<_>>());
            proptest::prop_assert_eq!(set.has(more), pages.contains(&more));
            proptest::prop_assert_eq!(set.is_empty(), pages.is_empty());
            let mut below = PageSet::default();
            below.insert(more);
            set.move_below(end, &mut below);
            proptest::prop_assert_eq!(all(&set), pages.range(end..).copied().collect::<Vec<_>>());
            let expected: BTreeSet<u32> = pages.range(..end).copied().chain([more]).collect();
            proptest::prop_assert_eq!(all(&below), expected.into_iter().collect::<Vec<_>>());
        }
    }
}
