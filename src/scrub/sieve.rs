//! A quick look at many bytes at once: whether any of the identifiers can be in them at all.
//!
//! It may say yes for nothing, and never says no where the search finds something in a value that lies within the bytes: the
//! search works on decoded values, the sieve on the bytes of a page as they are, so whatever an escape could hide passes. It holds
//! bits of keyed hashes only, and gives up, which is to say yes always, where an identifier is unusual.
//!
//! An id can only be where letters or digits begin and end at its distance, as [`Edges`] tells. An address can only be around an `@`.

use std::ops::Range;

use memchr::{memchr_iter, memchr2_iter};

use super::bloom::Bloom;
use super::edges::{Edges, is_odd};
use super::hash::{ID, keyed, mix};
use super::record::each_bounds;
use crate::domain::text::{in_domain, in_part, may_be_in_local};

/// What is learnt of identifiers, one after the other.
pub(super) struct SieveBuilder {
    sieve: Sieve,
    around: Vec<u64>,
    cores: Vec<u64>,
}

/// What identifiers look like.
pub(super) struct Sieve {
    key: u64,
    /// It lets everything pass.
    open: bool,
    /// Some address is not ASCII, or its domain is not when it is shown to people.
    foreign: bool,
    /// The two bytes beside the `@` of an address, one bit each pair.
    beside: Vec<u64>,
    /// What stands around it; how many bytes after it, and before, one bit each number.
    around: Bloom,
    after: u32,
    before: u32,
    /// What ids are from their first letter or digit to their last, and how many bytes that can be.
    cores: Bloom,
    lengths: Vec<usize>,
    /// Some id is more than that.
    cased: bool,
}

impl SieveBuilder {
    pub(super) fn new(key: u64) -> Self {
        let sieve = Sieve {
            key,
            open: false,
            foreign: false,
            beside: Vec::new(),
            around: Bloom::default(),
            after: 0,
            before: 0,
            cores: Bloom::default(),
            lengths: Vec::new(),
            cased: false,
        };
        Self { sieve, around: Vec::new(), cores: Vec::new() }
    }

    /// Lets an address pass, as it is compared: folded.
    pub(super) fn add_address(&mut self, address: &str) {
        let sieve = &mut self.sieve;
        let Some((local, domain)) = address.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty()) else {
            sieve.open = true;
            return;
        };
        sieve.foreign |= !address.is_ascii() || address.contains("xn--");
        let (local, domain) = (local.as_bytes(), domain.as_bytes());
        let (before, after) = (local.len().min(BEFORE_MAX), domain.len().min(AFTER_MAX));
        sieve.after |= 1 << after;
        sieve.before |= 1 << before;
        sieve.beside.resize(BESIDE_BITS / 64, 0);
        let bit = beside(local[local.len() - 1], domain[0]);
        sieve.beside[bit / 64] |= 1 << (bit % 64);
        let hash = local.iter().rev().take(before).fold(begin(sieve.key, &domain[..after]), |hash, byte| extend(hash, *byte));
        self.around.push(hash);
    }

    /// Lets an id pass.
    pub(super) fn add_id(&mut self, id: &[u8]) {
        let sieve = &mut self.sieve;
        let (Some(from), Some(to)) = (id.iter().position(|byte| in_part(*byte)), id.iter().rposition(|byte| in_part(*byte))) else {
            sieve.open = true;
            return;
        };
        let core = &id[from..=to];
        // What an escape stands for that is otherwise passed over.
        sieve.open |= id.iter().any(|byte| matches!(byte, b'"' | b'\\' | b' ') || byte.is_ascii_control());
        sieve.cased |= core.len() != id.len();
        if !sieve.lengths.contains(&core.len()) {
            sieve.lengths.push(core.len());
            sieve.open |= sieve.lengths.len() > LENGTHS_MAX || core.len() > CORE_BYTES_MAX;
        }
        self.cores.push(keyed(sieve.key, ID, core));
    }

    pub(super) fn build(self) -> Sieve {
        Sieve { around: Bloom::of(&self.around), cores: Bloom::of(&self.cores), ..self.sieve }
    }
}

impl Sieve {
    /// Whether these bytes, with records at these places in them, may hold one of them. `is_id` knows the keyed hashes of ids.
    pub(super) fn passes(
        &self,
        bytes: &[u8],
        records: impl Iterator<Item = Range<usize>> + Clone,
        edges: &mut Edges,
        is_id: impl Fn(u64) -> bool,
    ) -> bool {
        if self.open || hides(bytes, records.clone()) {
            return true;
        }
        edges.read(bytes, records);
        self.passes_address(bytes, edges) || self.passes_id(bytes, edges, is_id)
    }

    fn passes_address(&self, bytes: &[u8], edges: &Edges) -> bool {
        self.after != 0
            && memchr_iter(b'@', bytes).any(|at| {
                let (Some(before), Some(after)) = (at.checked_sub(1).map(|before| bytes[before]), bytes.get(at + 1)) else { return false };
                let bit = beside(before.to_ascii_lowercase(), after.to_ascii_lowercase());
                let known = self.beside[bit / 64] & 1 << (bit % 64) != 0;
                let near = known || is_odd(before) || is_odd(*after);
                near && self.is_around(bytes, at, edges) || self.foreign && foreign_around(bytes, at)
            })
    }

    fn is_around(&self, bytes: &[u8], at: usize, edges: &Edges) -> bool {
        (1..=AFTER_MAX).filter(|after| self.after & 1 << after != 0).any(|after| {
            let Some(domain) = bytes.get(at + 1..at + 1 + after) else { return false };
            if let Some(odd) = domain.iter().position(|byte| is_odd(*byte)) {
                return is_char_start(bytes, at + 1 + odd);
            }
            let mut hash = begin(self.key, domain);
            for n in 1..=BEFORE_MAX.min(at) {
                let (longer, byte) = (self.before >> n, bytes[at - n]);
                if is_odd(byte) {
                    return longer != 0 && is_char_end(bytes, at - n);
                }
                if longer == 0 || !may_be_in_local(byte) {
                    return false;
                }
                hash = extend(hash, byte);
                let whole = || n == BEFORE_MAX || edges.may_begin_at(bytes, at - n);
                if longer & 1 != 0 && whole() && self.around.may_have(hash) {
                    return true;
                }
            }
            false
        })
    }

    /// At each place where letters or digits begin, and end as far on as an id does.
    fn passes_id(&self, bytes: &[u8], edges: &Edges, is_id: impl Fn(u64) -> bool) -> bool {
        self.lengths.iter().any(|length| {
            edges.any_pair(*length, |from| {
                let core = keyed(self.key, ID, &bytes[from..from + length]);
                self.cores.may_have(core) && (self.cased || is_id(core))
            })
        })
    }
}

/// Whether there are escapes that may hide a part of an identifier in these records' values: all but those that stand for what
/// separates words.
fn hides(bytes: &[u8], records: impl Iterator<Item = Range<usize>> + Clone) -> bool {
    let mut escapes = memchr2_iter(b'\\', b'%', bytes).filter(|at| match bytes[*at] {
        b'%' => bytes[*at..].starts_with(b"%40"),
        _ => !matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b'n' | b't' | b'r' | b'b' | b'f') | None),
    });
    // Beside texts there are numbers, which look like anything.
    let in_value = |at: usize| {
        let mut found = false;
        for record in records.clone().filter(|record| record.contains(&at)) {
            each_bounds(&bytes[record.clone()], |from, to| found |= (from..to).contains(&(at - record.start)));
        }
        found
    };
    escapes.any(in_value)
}

/// Whether what may be an address around this `@` has a letter of another script: what that is folded to is not known.
fn foreign_around(bytes: &[u8], at: usize) -> bool {
    let before = (0..at).rev().find(|before| is_odd(bytes[*before]) || !may_be_in_local(bytes[*before]));
    let after = (at + 1..bytes.len()).find(|after| is_odd(bytes[*after]) || !in_domain(bytes[*after]));
    before.is_some_and(|before| is_char_end(bytes, before)) || after.is_some_and(|after| is_char_start(bytes, after))
}

/// Whether a character of several bytes begins here, or ends. An integer beside a text seldom looks so.
fn is_char_start(bytes: &[u8], at: usize) -> bool {
    (2..=4).any(|many| bytes.get(at..at + many).is_some_and(is_char))
}

fn is_char_end(bytes: &[u8], at: usize) -> bool {
    (2..=4).any(|many| (at + 1).checked_sub(many).is_some_and(|from| is_char(&bytes[from..=at])))
}

fn is_char(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().count() == 1)
}

/// The bit of two bytes beside an `@`.
fn beside(before: u8, after: u8) -> usize {
    usize::from(before) << 8 | usize::from(after)
}

/// The hash of what stands around an `@`: begun with what follows it, extended by what comes before, backwards.
#[inline]
fn begin(key: u64, domain: &[u8]) -> u64 {
    domain.iter().fold(key ^ domain.len() as u64, |hash, byte| extend(hash, *byte))
}

#[inline]
fn extend(hash: u64, byte: u8) -> u64 {
    mix(hash ^ u64::from(byte.to_ascii_lowercase()), 0x9e37_79b9_7f4a_7c15)
}

/// Bytes compared before and after an `@`, at most.
const BEFORE_MAX: usize = 16;
const AFTER_MAX: usize = 4;

/// One for each pair of bytes.
const BESIDE_BITS: usize = 1 << 16;

/// Different lengths of ids, and the longest: more would cost more than they spare.
const LENGTHS_MAX: usize = 64;
const CORE_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::scrub::edges::Edges;
    use crate::scrub::needles::{Needles, NeedlesBuilder};

    fn needles(all: &[&str]) -> Needles {
        let mut needles = NeedlesBuilder::new(11);
        all.iter().for_each(|needle| assert!(needles.add(0, needle)));
        needles.build()
    }

    /// Whether a text may hold one, as a value between others, with nothing to part them.
    fn passes(needles: &Needles, before: &str, text: &str, after: &str) -> bool {
        value_passes(needles, before, text.as_bytes(), after)
    }

    fn value_passes(needles: &Needles, before: &str, value: &[u8], after: &str) -> bool {
        let lengths = [before.len(), value.len(), after.len()];
        let mut record: Vec<u8> = Vec::new();
        for length in lengths {
            let serial = 13 + 2 * length;
            assert!(serial < 1 << 14, "two bytes are enough");
            record.extend([u8::try_from(serial >> 7).unwrap() | 0x80, u8::try_from(serial & 0x7f).unwrap()]);
        }
        record.insert(0, 7);
        record.extend([before.as_bytes(), value, after.as_bytes()].concat());
        let page = [b"stray", &record[..], b"more"].concat();
        needles.may_be_in(&page, std::iter::once(5..5 + record.len()), &mut Edges::default())
    }

    #[test]
    fn bytes_that_hold_nobody_do_not_pass() {
        let needles = needles(&["ann.miller@mail12.example", "cust-000123", "a@b.example"]);
        for text in ["bob.miller@mail12.example", "cust-000124", "{\"order\":123,\"say\":\"\\\"hi\\\"\\n\"}", "100 %", ""] {
            assert!(!passes(&needles, "x", text, "y"), "{text}");
        }
        assert!(passes(&needles, "", "a\\u0062c", "") && passes(&needles, "", "m=x%40y", ""), "who knows what is hidden there");
    }

    #[test]
    fn with_unusual_ones_everything_passes() {
        for unusual in ["two words 1", "with\"quote", "--------"] {
            assert!(passes(&needles(&["ann@x.example", unusual]), "", "nothing", ""), "{unusual}");
        }
    }

    #[test]
    fn among_very_many_few_pass_for_nothing() {
        let many: Vec<String> = (0..50_000).flat_map(|n| [format!("person-{n:08}"), format!("{n}.x@mail{}.example", n % 100)]).collect();
        let needles = needles(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let nothing = (50_000..90_000).filter(|n| passes(&needles, "a", &format!("person-{n:08} {n}.x@mail7.example"), "b")).count();
        assert!(nothing < 400, "{nothing} of 40,000");
        assert!((0..50_000).all(|n| passes(&needles, "a", &format!("person-{n:08}"), "b")));
        assert!((0..50_000).all(|n| passes(&needles, "a", &format!("<{n}.X@mail{}.example>", n % 100), "b")));
    }

    #[test]
    fn an_address_of_another_script_passes_in_every_form_and_lets_nothing_else_pass() {
        let needles = needles(&["jörg.maximilian@x.example", "a@bücher.example", "b@sehrlangername.bücher.example"]);
        for text in [
            "JÖRG.MAXIMILIAN@x.example",
            "a@BÜCHER.example",
            "a@xn--bcher-kva.example",
            "b@sehrlangername.bücher.example",
            "b@SehrLangerName.xn--bcher-kva.example",
        ] {
            assert!(passes(&needles, "x", text, "y"), "{text}");
        }
        for text in ["anna@x.example", "b@sehn.bucher.example", "größe 12", ""] {
            assert!(!passes(&needles, "x", text, "y"), "{text}");
        }
    }

    #[test]
    fn an_address_beside_a_sign_or_a_space_that_is_not_ascii_passes() {
        let needles = needles(&["ann@x.example"]);
        for space in ["\u{a0}", "\u{2003}", "\u{3000}", "\u{202f}", "“", "«", "：", "。", "…"] {
            for text in
                [format!("{space}ann@x.example"), format!("mail:{space}ann@x.example{space}."), format!("mail{space}Ann@x.example{space}x")]
            {
                let mut found = false;
                needles.search(text.as_bytes(), &mut |_| found = true);
                assert!(found, "{text:?}");
                assert!(passes(&needles, "x", &text, "y"), "{text:?}");
            }
        }
    }

    /// An element of JSONB.
    fn jsonb(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let head = if length < 12 { vec![length << 4 | kind] } else { vec![12 << 4 | kind, length] };
        [&head[..], content].concat()
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
            Just("acct-0001\\nacct-0001"),
            Just("-(x1)-.cust-77_"),
            Just("-(x1)-.cust-77_8"),
        ];
        ("[ -~]{0,12}", prop_oneof![Just(""), Just("\""), Just(" "), Just("\\n"), Just("="), Just("/")], spelling, "[ -~]{0,12}")
            .prop_map(|(before, edge, needle, after)| format!("{before}{edge}{needle}{after}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_search_finds_passes(text in texts(), around in ("[a-zé@]{0,9}", "[a-zé@\\\\]{0,9}")) {
            let needles = needles(&["ann@x.example", "ak@b.de", "acct-0001", "a/b/c/d/e", "two@long-domain.example", "-(x1)-.cust-77_"]);
            let mut found = false;
            needles.search(text.as_bytes(), &mut |_| found = true);
            prop_assert!(!found || passes(&needles, &around.0, &text, &around.1), "{around:?} {text}");
            let texts = [&around.0, &text, &around.1].map(|text| jsonb(7, text.as_bytes()));
            let list = jsonb(11, &texts.concat());
            let mut found = false;
            needles.search(&list, &mut |_| found = true);
            prop_assert!(!found || value_passes(&needles, &around.0, &list, &around.1), "{around:?} {text} in JSONB");
        }
    }
}
