//! A set of hashes in little memory, which may say yes for one that it does not hold.

/// A set of hashes that says yes for one of some hundred that it does not hold. Kirsch and Mitzenmacher, "Less hashing,
/// same performance"; the three bits of a hash stand in one word, so that one look reaches the memory.
#[derive(Debug, Default)]
pub(super) struct Bloom {
    words: Vec<u64>,
}

impl Bloom {
    pub(super) fn of(hashes: &[u64]) -> Self {
        let mut words = vec![0; if hashes.is_empty() { 0 } else { (hashes.len() / 4).next_power_of_two().max(64) }];
        for hash in hashes {
            let at = place(*hash, words.len());
            words[at] |= bits(*hash);
        }
        Self { words }
    }

    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        self.words.get(place(hash, self.words.len())).is_some_and(|word| word & bits(hash) == bits(hash))
    }
}

/// Whose word a hash's bits are in; the words are a power of two.
#[inline]
fn place(hash: u64, words: usize) -> usize {
    (hash >> 32) as usize & words.wrapping_sub(1)
}

#[inline]
fn bits(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63)
}
