//! Ids that are more than a word, or whose ends are no letters or digits, and where in a text one of them may stand.
//!
//! Of an id there is a keyed hash of its first bytes and its length, nothing in the clear. Whether what is shown is one of them, its
//! caller knows.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::hash::{AsIs, ID, keyed};
use super::needles::ID_BYTES_MIN;
use crate::domain::text::{in_part, in_word};

/// What is known of ids that are not one word, or whose ends are no letters or digits: `New York 17`, `{6F9619FF}`, `-NqL2kf9`.
#[derive(Default)]
pub(super) struct Phrases {
    /// The lengths of those that begin alike, one bit each; the last stands for all that are longer.
    starts: HashMap<u64, u64, BuildHasherDefault<AsIs>>,
    /// The lengths that it stands for, each once, in order.
    long: Vec<usize>,
}

impl Phrases {
    /// Looks for this id, if it is one of them.
    pub(super) fn add(&mut self, key: u64, id: &[u8]) {
        let ends_in_parts = [id.first(), id.last()].into_iter().flatten().all(|byte| in_part(*byte));
        if ends_in_parts && id.iter().all(|byte| in_word(*byte)) {
            return;
        }
        *self.starts.entry(start(key, id)).or_default() |= length_bit(id.len());
        if length_bit(id.len()) == LONG
            && let Err(at) = self.long.binary_search(&id.len())
        {
            self.long.insert(at, id.len());
        }
    }

    /// Shows what may be one of them: what begins as they do, is as long, and begins and ends at bounds.
    pub(super) fn each_in(&self, key: u64, value: &[u8], mut with: impl FnMut(&[u8])) {
        if self.starts.is_empty() {
            return;
        }
        for from in 0..(value.len() + 1).saturating_sub(ID_BYTES_MIN) {
            if from > 0 && !parted(value[from - 1], value[from]) {
                continue;
            }
            let Some(lengths) = self.starts.get(&start(key, &value[from..])) else { continue };
            let short = (ID_BYTES_MIN..LENGTHS).filter(|length| lengths & length_bit(*length) != 0);
            let long = self.long.iter().copied().filter(|_| lengths & LONG != 0);
            for to in short.chain(long).map(|length| from + length).take_while(|to| *to <= value.len()) {
                if value.get(to).is_none_or(|after| parted(*after, value[to - 1])) {
                    with(&value[from..to]);
                }
            }
        }
    }
}

/// Whether an id may begin or end between what stands outside of it and its own byte.
fn parted(outside: u8, own: u8) -> bool {
    !in_part(outside) || !in_word(own)
}

/// What an id begins with, which has as many bytes at least.
fn start(key: u64, bytes: &[u8]) -> u64 {
    keyed(key, ID, &bytes[..ID_BYTES_MIN])
}

/// Lengths that have a bit of their own.
const LENGTHS: usize = 63;

/// The bit of all that are longer.
const LONG: u64 = 1 << LENGTHS;

/// The bit of a length.
pub(super) fn length_bit(bytes: usize) -> u64 {
    1 << bytes.min(LENGTHS)
}
