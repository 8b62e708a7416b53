//! Identifiers as keyed hashes: what is kept of them while they are searched for.

use std::hash::Hasher;

/// What is hashed: an address in its normal form.
pub(super) const ADDRESS: u64 = 0x51;

/// An id, as it is.
pub(super) const ID: u64 = 0xa7;

/// 64 bits, keyed by the store's secret: a million identifiers and a billion words meet by chance once in 20,000 scrubs.
#[inline]
pub(super) fn keyed(key: u64, kind: u64, bytes: &[u8]) -> u64 {
    let mut state = key ^ kind;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word), 0x9e37_79b9_7f4a_7c15);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    state = mix(state ^ u64::from_le_bytes(last), 0xa076_1d64_78bd_642f);
    mix(state ^ bytes.len() as u64, 0xe703_7ed1_a0b4_28db ^ key.rotate_left(32))
}

/// Both halves of a product, folded.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves are folded")]
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Hashes are hashed enough.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
