//! A quick look at many bytes at once: whether any of a few identifiers can be in them at all.
//!
//! It may say yes for nothing, and never says no where the search finds something in a text that lies within the bytes: the
//! search works on decoded values, the sieve on the bytes of a page as they are, so whatever an escape could hide passes. It holds
//! keyed hashes only, and gives up, which is to say yes always, where there are too many identifiers or unusual ones.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use memchr::{memchr_iter, memchr2_iter};

use super::needles::{AsIs, ID_BYTES_MIN, keyed};

/// What few identifiers look like.
pub(super) struct Sieve {
    key: u64,
    many: usize,
    /// It lets everything pass.
    open: bool,
    /// The two bytes beside the `@` of an address, one bit each pair; what stands around it, so many bytes before and after.
    beside: Vec<u64>,
    widths: Vec<(usize, usize)>,
    around: HashSet<u64, BuildHasherDefault<AsIs>>,
    /// Parts of ids' endings, which differ where beginnings are often alike: one bit each; and the endings.
    parts: Vec<u64>,
    endings: HashSet<u64, BuildHasherDefault<AsIs>>,
}

impl Sieve {
    pub(super) fn new(key: u64) -> Self {
        let (around, endings) = (HashSet::default(), HashSet::default());
        Self { key, many: 0, open: false, beside: Vec::new(), widths: Vec::new(), around, parts: Vec::new(), endings }
    }

    /// Lets an address pass, as it is compared: folded.
    pub(super) fn add_address(&mut self, address: &str) {
        self.count();
        let Some((local, domain)) = address.rsplit_once('@').filter(|_| address.is_ascii() && !address.contains("xn--")) else {
            // What other scripts and domains look like before they are folded is not known.
            self.open = true;
            return;
        };
        let widths = (width(local.len()), width(domain.len()));
        if !self.widths.contains(&widths) {
            self.widths.push(widths);
        }
        let at = local.len();
        self.beside.resize(BESIDE_BITS / 64, 0);
        let bit = beside(address.as_bytes()[at - 1], address.as_bytes()[at + 1]);
        self.beside[bit / 64] |= 1 << (bit % 64);
        self.around.insert(keyed(self.key, widths_number(widths), &address.as_bytes()[at - widths.0..at + 1 + widths.1]));
    }

    /// Lets an id of [`ID_BYTES_MIN`] bytes or more pass.
    pub(super) fn add_id(&mut self, id: &[u8]) {
        self.count();
        // What an escape stands for that is otherwise passed over.
        self.open |= id.iter().any(|byte| matches!(byte, b'"' | b'\\' | b' ') || byte.is_ascii_control());
        let ending = &id[id.len() - ID_BYTES_MIN..];
        self.endings.insert(keyed(self.key, 0, ending));
        self.parts.resize(PART_BITS / 64, 0);
        for at in 0..STRIDE {
            let part = ending[at..at + PART].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
            let bit = self.bit(part);
            self.parts[bit / 64] |= 1 << (bit % 64);
        }
    }

    fn count(&mut self) {
        self.many += 1;
        self.open |= self.many > MANY;
    }

    /// Whether these bytes may hold one of them.
    pub(super) fn passes(&self, bytes: &[u8]) -> bool {
        self.open || self.passes_address(bytes) || self.passes_id(bytes) || self.passes_escape(bytes)
    }

    fn passes_address(&self, bytes: &[u8]) -> bool {
        !self.widths.is_empty()
            && memchr_iter(b'@', bytes).any(|at| {
                let (Some(before), Some(after)) = (at.checked_sub(1).map(|before| bytes[before]), bytes.get(at + 1)) else { return false };
                let bit = beside(before.to_ascii_lowercase(), after.to_ascii_lowercase());
                let known = self.beside[bit / 64] & 1 << (bit % 64) != 0;
                (known || is_odd(before) || is_odd(*after)) && self.widths.iter().any(|widths| self.is_around(bytes, at, *widths))
            })
    }

    fn is_around(&self, bytes: &[u8], at: usize, widths: (usize, usize)) -> bool {
        let (from, to) = (at.saturating_sub(widths.0), bytes.len().min(at + 1 + widths.1));
        let found = &bytes[from..to];
        if found.iter().any(|byte| is_odd(*byte)) {
            return true;
        }
        let mut folded = [0; 2 * WIDTH_MAX + 1];
        let folded = &mut folded[..found.len()];
        folded.copy_from_slice(found);
        folded.make_ascii_lowercase();
        found.len() == widths.0 + 1 + widths.1 && self.around.contains(&keyed(self.key, widths_number(widths), folded))
    }

    /// Any eight bytes in a row cover one of the places that are looked at, whole.
    fn passes_id(&self, bytes: &[u8]) -> bool {
        let Some(parts) = self.parts.as_array::<{ PART_BITS / 64 }>() else { return false };
        let (fours, rest) = bytes.as_chunks::<STRIDE>();
        let known = |four: &[u8; STRIDE], fifth: u8| {
            let bit = self.bit(u64::from(u32::from_le_bytes(*four)) | u64::from(fifth) << 32);
            parts[bit / 64 % parts.len()] & 1 << (bit % 64) != 0
        };
        let ends_near = |at: usize| {
            (at.saturating_sub(STRIDE - 1)..=at)
                .any(|from| bytes.get(from..from + ID_BYTES_MIN).is_some_and(|ending| self.endings.contains(&keyed(self.key, 0, ending))))
        };
        let pairs = fours.iter().zip(fours.iter().skip(1)).map(|(four, next)| (four, next[0]));
        let last = fours.last().zip(rest.first().copied());
        pairs.chain(last).enumerate().any(|(n, (four, fifth))| known(four, fifth) && ends_near(n * STRIDE))
    }

    /// Escapes that may hide a part of an identifier: all but those that stand for what separates words.
    fn passes_escape(&self, bytes: &[u8]) -> bool {
        memchr2_iter(b'\\', b'%', bytes).any(|at| match bytes[at] {
            b'%' => bytes[at..].starts_with(b"%40"),
            _ => !matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b'n' | b't' | b'r' | b'b' | b'f') | None),
        })
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "few bits are left")]
    fn bit(&self, part: u64) -> usize {
        ((part ^ self.key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PART_BITS.trailing_zeros())) as usize
    }
}

/// The bit of two bytes beside an `@`.
fn beside(before: u8, after: u8) -> usize {
    usize::from(before) << 8 | usize::from(after)
}

/// What may stand for another byte.
fn is_odd(byte: u8) -> bool {
    byte >= 0x80 || byte == b'\\'
}

/// How many of so many bytes are compared.
fn width(bytes: usize) -> usize {
    [WIDTH_MAX, 4, 2, 1].into_iter().find(|width| *width <= bytes).unwrap_or(0)
}

fn widths_number((before, after): (usize, usize)) -> u64 {
    (before * 16 + after + 1) as u64
}

/// Bytes compared at each side of an `@`, at most.
const WIDTH_MAX: usize = 8;

/// Bytes of a part of an id, and how far apart the places are that are looked at.
const PART: usize = 5;
const STRIDE: usize = ID_BYTES_MIN - PART + 1;

/// Bits for parts of ids: they stay in the fastest cache.
const PART_BITS: usize = 1 << 17;

/// One for each pair of bytes.
const BESIDE_BITS: usize = 1 << 16;

/// Identifiers up to which it is worth its while.
const MANY: usize = 3_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::scrub::needles::Needles;

    fn needles(all: &[&str]) -> Needles {
        let mut needles = Needles::new(11);
        all.iter().for_each(|needle| assert!(needles.add(0, needle)));
        needles
    }

    #[test]
    fn bytes_that_hold_nobody_do_not_pass() {
        let needles = needles(&["ann.miller@mail12.example", "cust-000123", "a@b.example"]);
        for text in ["bob.miller@mail12.example", "cust-000124", "{\"order\":123,\"say\":\"\\\"hi\\\"\\n\"}", "100 %", ""] {
            assert!(!needles.may_be_in(text.as_bytes()), "{text}");
        }
        assert!(needles.may_be_in(b"a\\u0062c") && needles.may_be_in(b"m=x%40y"), "who knows what is hidden there");
    }

    #[test]
    fn with_very_many_or_unusual_ones_everything_passes() {
        for unusual in ["jörg@x.example", "a@bücher.example", "two words 1", "with\"quote"] {
            assert!(needles(&["ann@x.example", unusual]).may_be_in(b"nothing"), "{unusual}");
        }
        let many: Vec<String> = (0..=super::MANY).map(|n| format!("person-{n:08}")).collect();
        assert!(needles(&many.iter().map(String::as_str).collect::<Vec<_>>()).may_be_in(b"nothing"));
    }

    /// A text that may hold one of the needles, in many a spelling, between other things.
    fn texts() -> impl Strategy<Value = String> {
        let spelling = prop_oneof![
            Just("ann@x.example"),
            Just("ANN@X.Example"),
            Just("a\\u006en@x.example"),
            Just("ann\\u0040x.example"),
            Just("ann%40x.example"),
            Just("%61nn%40x.example"),
            Just("an\\n@x.example"),
            Just("a\u{212a}@b.de"),
            Just("ak@b.de"),
            Just("a\\/k@b.de"),
            Just("ak@\\u0062.de"),
            Just("\u{ff41}k@b.de"),
            Just("ak@b\u{ad}.de"),
            Just("ak@\u{ff42}.de"),
            Just("acct-0001"),
            Just("acct\\u002d0001"),
            Just("acct\\-0001"),
            Just("a/b/c/d/e"),
            Just("a\\/b\\/c\\/d\\/e"),
            Just("acct-00012"),
            Just("xacct-0001"),
        ];
        ("[ -~]{0,12}", prop_oneof![Just(""), Just("\""), Just(" "), Just("\\n"), Just("="), Just("/")], spelling, "[ -~]{0,12}")
            .prop_map(|(before, edge, needle, after)| format!("{before}{edge}{needle}{after}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_search_finds_passes(text in texts(), around in ("[a-zé@]{0,9}", "[a-zé@\\\\]{0,9}")) {
            let needles = needles(&["ann@x.example", "ak@b.de", "acct-0001", "a/b/c/d/e", "two@long-domain.example"]);
            let mut found = false;
            needles.search(text.as_bytes(), &mut |_| found = true);
            // In a page a text stands between others, with nothing to part them.
            let page = format!("{}{text}{}", around.0, around.1);
            prop_assert!(!found || needles.may_be_in(page.as_bytes()), "{page}");
        }
    }
}
