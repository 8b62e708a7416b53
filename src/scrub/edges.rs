//! Where values and words begin and end in the bytes of a page, as bits, so that 64 bytes are asked at once.
//!
//! It knows letters, digits and the bounds of values; what is looked for between them it does not know.

use std::ops::Range;

use memchr::memchr_iter;

use super::record::each_bounds;
use crate::domain::text::{each_jsonb_text, in_local, in_part};

/// Where values, and letters and digits in them, begin and end in some bytes: one bit for each byte. Reused from page to page.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// A value's first byte.
    value: Vec<u64>,
    /// A letter or digit.
    part: Vec<u64>,
    /// The first of several, and the last.
    first: Vec<u64>,
    last: Vec<u64>,
}

impl Edges {
    /// Reads them, and those that values have in records at these places.
    pub(super) fn read(&mut self, bytes: &[u8], records: impl Iterator<Item = Range<usize>>) {
        self.part.clear();
        let (blocks, rest) = bytes.as_chunks::<64>();
        self.part.extend(blocks.iter().map(parts_of));
        if !rest.is_empty() {
            let mut block = [0; 64];
            block[..rest.len()].copy_from_slice(rest);
            self.part.push(parts_of(&block));
        }
        let before = std::iter::once(0).chain(self.part.iter().copied());
        self.first.clear();
        self.first.extend(self.part.iter().zip(before).map(|(here, before)| here & !(here << 1 | before >> 63)));
        let after = self.part.iter().skip(1).copied().chain([0]);
        self.last.clear();
        self.last.extend(self.part.iter().zip(after).map(|(here, after)| here & !(here >> 1 | after << 63)));
        self.value.clear();
        self.value.resize(self.part.len(), 0);
        for record in records {
            each_bounds(&bytes[record.clone()], |from, to| {
                let (from, to) = (record.start + from, record.start + to);
                self.bound(from, to);
                each_jsonb_text(&bytes[from..to], |first, end| self.bound(from + first, from + end));
            });
        }
        self.first.iter_mut().zip(&self.part).zip(&self.value).for_each(|((first, part), value)| *first |= part & value);
        for at in memchr_iter(b'\\', bytes).map(|at| at + ESCAPE).filter(|at| *at < bytes.len()) {
            self.first[at / 64] |= self.part[at / 64] & 1 << (at % 64);
        }
    }

    /// What begins and ends here is a value, or a text in one.
    #[inline]
    fn bound(&mut self, from: usize, to: usize) {
        if from < to {
            let last = to - 1;
            self.value[from / 64] |= 1 << (from % 64);
            self.last[last / 64] |= self.part[last / 64] & 1 << (last % 64);
        }
    }

    /// Whether an address may begin here. A letter of another script may be a sign or a space as well.
    #[inline]
    pub(super) fn may_begin_at(&self, bytes: &[u8], at: usize) -> bool {
        let escaped = || at.checked_sub(ESCAPE).is_some_and(|before| bytes[before] == b'\\');
        let after = |before: u8| is_odd(before) || !in_local(before);
        at == 0 || self.value[at / 64] & 1 << (at % 64) != 0 || after(bytes[at - 1]) || escaped()
    }

    /// Whether this holds of a beginning of letters or digits that has an end so many bytes on.
    #[inline]
    pub(super) fn any_pair(&self, bytes: usize, holds: impl Fn(usize) -> bool) -> bool {
        let (words, bits) = ((bytes - 1) / 64, (bytes - 1) % 64);
        let ends = self.last.get(words..).unwrap_or_default();
        let next = ends.iter().skip(1).copied().chain([0]);
        self.first.iter().zip(ends).zip(next).enumerate().any(|(n, ((first, end), next))| {
            let mut pairs = first & (end >> bits | (next << 1) << (63 - bits));
            while pairs != 0 {
                if holds(n * 64 + pairs.trailing_zeros() as usize) {
                    return true;
                }
                pairs &= pairs - 1;
            }
            false
        })
    }
}

/// Bytes of an escape in a JSON text that stands for a blank: the letter after the backslash is no letter.
const ESCAPE: usize = 2;

/// Which of these bytes are letters or digits.
#[inline]
fn parts_of(block: &[u8; 64]) -> u64 {
    let flags = block.map(|byte| u8::from(in_part(byte)));
    let (eights, _) = flags.as_chunks::<8>();
    // The product's highest byte holds the eight bytes' lowest bits, in their order.
    let gathered = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    eights.iter().enumerate().fold(0, |all, (n, eight)| all | gathered(eight) << (8 * n))
}

/// What may stand for another byte. An escape that does is looked for apart.
#[inline]
pub(super) fn is_odd(byte: u8) -> bool {
    byte >= 0x80
}
