//! Whom to look for: the identifiers of purged people, as keyed hashes, and the search for them in a text.
//!
//! An address is found wherever it stands as an address, in any spelling that folds to it. An id of eight bytes or more is found
//! as a whole value, or between word bounds: of one that is more than a word, at both of its ends. Escapes of JSON and of URLs are read, and
//! the texts in a blob of JSON. No identifier is kept in the clear.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::ops::Range;

use memchr::{memchr_iter, memchr3};

use super::edges::Edges;
use super::hash::{ADDRESS, AsIs, ID, keyed};
use super::phrases::{Phrases, length_bit};
use super::sieve::{Sieve, SieveBuilder};
use crate::domain::Email;
use crate::domain::text::{ADDRESS_BYTES_MAX, each_jsonb_text, each_reading, each_spelling, in_part, in_word};

/// Shortest id that is looked for, in bytes: shorter ones stand in texts by chance.
pub const ID_BYTES_MIN: usize = 8;

/// Gathers whom to look for.
pub(super) struct NeedlesBuilder {
    needles: Needles,
    set_numbers: HashMap<Vec<u32>, u32>,
    sieve: SieveBuilder,
}

/// Identifiers of purged people, and whose they were.
pub(super) struct Needles {
    key: u64,
    found_in: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    /// Sets of imports, by number.
    sets: Vec<Vec<u32>>,
    addresses: bool,
    /// The lengths of ids, one bit each; the last stands for all that are longer.
    id_lengths: u64,
    phrases: Phrases,
    sieve: Sieve,
}

/// Prints no identifier, nor a hash of one.
impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Needles({})", self.found_in.len())
    }
}

impl NeedlesBuilder {
    /// Nobody yet.
    #[must_use]
    pub(super) fn new(key: u64) -> Self {
        let needles = Needles {
            key,
            found_in: HashMap::default(),
            sets: Vec::new(),
            addresses: false,
            id_lengths: 0,
            phrases: Phrases::default(),
            sieve: SieveBuilder::new(key).build(),
        };
        Self { needles, set_numbers: HashMap::new(), sieve: SieveBuilder::new(key) }
    }

    /// Looks for this one too. False: it is too short to be looked for.
    pub(super) fn add(&mut self, import: u32, identifier: &str) -> bool {
        let needles = &mut self.needles;
        let address = Email::parse(identifier).ok();
        let id = identifier.trim().as_bytes();
        let hash = match &address {
            Some(email) => needles.hash(ADDRESS, email.as_str().as_bytes()),
            None if id.len() < ID_BYTES_MIN => return false,
            None => needles.hash(ID, id),
        };
        let known = needles.found_in.get(&hash);
        let mut set = known.map_or_else(Vec::new, |set| needles.sets[*set as usize].clone());
        match &address {
            _ if known.is_some() => {}
            Some(email) => {
                needles.addresses = true;
                self.sieve.add_address(email.as_str());
            }
            None => {
                needles.id_lengths |= length_bit(id.len());
                needles.phrases.add(needles.key, id);
                self.sieve.add_id(id);
            }
        }
        if !set.contains(&import) {
            set.push(import);
            let next = u32::try_from(needles.sets.len()).expect("fewer sets than identifiers");
            let number = *self.set_numbers.entry(set.clone()).or_insert(next);
            if number == next {
                needles.sets.push(set);
            }
            needles.found_in.insert(hash, number);
        }
        true
    }

    /// All of them.
    #[must_use]
    pub(super) fn build(self) -> Needles {
        Needles { sieve: self.sieve.build(), ..self.needles }
    }
}

impl Needles {
    /// Whether there is anyone to look for.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.found_in.is_empty()
    }

    /// Imports of a set that a search named.
    #[must_use]
    pub(super) fn imports(&self, set: u32) -> &[u32] {
        &self.sets[set as usize]
    }

    /// Whether some value of the records at these places in some bytes may hold one: quickly, and wrongly yes at times.
    pub(super) fn may_be_in(&self, bytes: &[u8], records: impl Iterator<Item = Range<usize>> + Clone, edges: &mut Edges) -> bool {
        !self.is_empty() && self.sieve.passes(bytes, records, edges, |id| self.found_in.contains_key(&id))
    }

    /// Whether only whole ids can be in a record's values: no address, and nothing written with escapes.
    pub(super) fn only_ids_in(&self, record: &[u8]) -> bool {
        memchr3(b'@', b'\\', b'%', record).is_none()
    }

    /// Names the sets of the identifiers that a value holds. A set may be named more than once.
    pub(super) fn search(&self, value: &[u8], hit: &mut impl FnMut(u32)) {
        self.search_text(value, hit);
        each_jsonb_text(value, |from, to| self.search_text(&value[from..to], hit));
    }

    /// As [`Needles::search`], for ids that stand in a value as they are.
    pub(super) fn search_ids(&self, value: &[u8], hit: &mut impl FnMut(u32)) {
        self.ids_in(value, hit);
        each_jsonb_text(value, |from, to| self.ids_in(&value[from..to], hit));
    }

    fn search_text(&self, value: &[u8], hit: &mut impl FnMut(u32)) {
        each_spelling(value, |plain| self.search_plain(plain, hit));
    }

    fn search_plain(&self, value: &[u8], hit: &mut impl FnMut(u32)) {
        if self.addresses {
            for at in memchr_iter(b'@', value) {
                each_reading(value, at, |text| self.try_address(text, hit));
            }
        }
        self.ids_in(value, hit);
    }

    fn ids_in(&self, value: &[u8], hit: &mut impl FnMut(u32)) {
        if self.id_lengths == 0 || value.len() < ID_BYTES_MIN {
            return;
        }
        self.phrases.each_in(self.key, value, |phrase| self.look_up(ID, phrase, hit));
        // A word of eight bytes or more covers some eighth byte.
        let mut at = ID_BYTES_MIN - 1;
        while at < value.len() {
            if !in_word(value[at]) {
                at += ID_BYTES_MIN;
                continue;
            }
            let from = value[..at].iter().rposition(|byte| !in_word(*byte)).map_or(0, |n| n + 1);
            let to = value[at..].iter().position(|byte| !in_word(*byte)).map_or(value.len(), |n| at + n);
            if to - from >= ID_BYTES_MIN {
                self.word(&value[from..to], hit);
            }
            at = to + ID_BYTES_MIN;
        }
    }

    /// Every part of a word that begins and ends at the edge of letters or digits.
    fn word(&self, word: &[u8], hit: &mut impl FnMut(u32)) {
        self.try_id(word, hit);
        let mut starts = [0; PARTS_MAX];
        let mut count = 0;
        let mut inside = false;
        for at in 0..=word.len() {
            let letter = at < word.len() && in_part(word[at]);
            if letter && !inside {
                starts.copy_within(usize::from(count == PARTS_MAX).., 0);
                count = (count + 1).min(PARTS_MAX);
                starts[count - 1] = at;
            } else if !letter && inside {
                for from in &starts[..count] {
                    if at - from != word.len() {
                        self.try_id(&word[*from..at], hit);
                    }
                }
            }
            inside = letter;
        }
    }

    fn try_id(&self, id: &[u8], hit: &mut impl FnMut(u32)) {
        if id.len() >= ID_BYTES_MIN && self.id_lengths & length_bit(id.len()) != 0 {
            self.look_up(ID, id, hit);
        }
    }

    fn try_address(&self, text: &[u8], hit: &mut impl FnMut(u32)) {
        let mut folded = [0; ADDRESS_BYTES_MAX];
        match folded.get_mut(..text.len()) {
            Some(folded) if text.is_ascii() => {
                folded.copy_from_slice(text);
                folded.make_ascii_lowercase();
                self.look_up(ADDRESS, folded, hit);
            }
            _ => {
                if let Ok(email) = std::str::from_utf8(text).map_err(|_| ()).and_then(|text| Email::parse(text).map_err(|_| ())) {
                    self.look_up(ADDRESS, email.as_str().as_bytes(), hit);
                }
            }
        }
    }

    fn look_up(&self, kind: u64, bytes: &[u8], hit: &mut impl FnMut(u32)) {
        if let Some(set) = self.found_in.get(&self.hash(kind, bytes)) {
            hit(*set);
        }
    }

    fn hash(&self, kind: u64, bytes: &[u8]) -> u64 {
        keyed(self.key, kind, bytes)
    }
}

/// Parts of one word that an id may begin at, counted back from where it ends.
const PARTS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(needle: &str, text: &str, expected: bool) {
        let mut needles = NeedlesBuilder::new(7);
        needles.add(3, needle);
        let needles = needles.build();
        let mut found = false;
        needles.search(text.as_bytes(), &mut |set| {
            assert_eq!(needles.imports(set), [3]);
            found = true;
        });
        assert_eq!(found, expected, "{needle:?} in {text:?}");
    }

    #[test]
    fn finds_an_address_wherever_it_stands_as_one() {
        for text in [
            "ann@x.example",
            " Ann@X.Example ",
            "{\"email\":\"ann@x.example\"}",
            "see mailto:ann@x.example.",
            "a=1&mail=ann@x.example&b",
            "'ann@x.example'",
            "<ann@x.example>, bob",
            "{\"m\":\"ann\\u0040x.example\"}",
            "https://h/?m=Ann%40x.example",
            "x/ann@x.example-",
            "sagt „ann@x.example“.",
            "sagt „ann@x.example.“",
            "«ann@x.example»",
            "Kontakt\u{a0}ann@x.example",
            "邮箱：Ann@x.example。",
        ] {
            check("ann@x.example", text, true);
        }
        for text in
            ["joann@x.example", "ann@x.example.org", "o.ann@x.example", "ann+1@x.example", "ann@xx.example", "ann x.example", "@x.example"]
        {
            check("ann@x.example", text, false);
        }
        check("Jörg@Bücher.example", "\"jörg@bücher.example\"", true);
        check("Jörg@Bücher.example", "JÖRG@xn--bcher-kva.example", true);
    }

    #[test]
    fn finds_what_stands_in_a_blob_of_json() {
        let store = rusqlite::Connection::open_in_memory().unwrap();
        let mut needles = NeedlesBuilder::new(7);
        ["ann@x.example", "a@b.de", "cust-000123"].iter().for_each(|needle| assert!(needles.add(0, needle)));
        let needles = needles.build();
        let found = |json: &str| {
            let blob: Vec<u8> = store.query_row("SELECT jsonb(?1)", [json], |row| row.get(0)).unwrap();
            let mut found = 0;
            needles.search(&blob, &mut |_| found += 1);
            found
        };
        for text in ["ann@x.example", "a@b.de", "cust-000123", "Ann\\u0040x.example", "to ann@x.example"] {
            for json in [
                r#""T""#,
                r#"{"to":"T","name":"x"}"#,
                r#"["T","T"]"#,
                r#"{"a":[1,{"b":"T","email":null}],"z":"9"}"#,
                r#"{"T":2.5,"w":true}"#,
            ] {
                assert!(found(&json.replace('T', text)) > 0, "{json} {text}");
            }
        }
        assert_eq!(found(r#"["joann@x.example","a@b.dev",["xcust-000123"],"ann@x.example.org"]"#), 0);
        needles.search(b"{ann@x.", &mut |_| panic!("no such JSON"));
    }

    #[test]
    fn finds_an_id_as_a_value_and_between_word_bounds() {
        for text in [
            "cust-000123",
            "for cust-000123.",
            "acct:cust-000123:x",
            "[\"cust-000123\"]",
            "x/cust-000123?y",
            "{\"a\":\"cust\\u002d000123\"}",
        ] {
            check("cust-000123", text, true);
        }
        for text in ["cust-0001234", "xcust-000123", "cust-000124", "cust-00012", "cust 000123"] {
            check("cust-000123", text, false);
        }
        check("two words 1", "two words 1", true);
        check("1234567", "1234567", false);
        check("12345678", "acct-12345678-9", true);
        check(&"x".repeat(200), &format!("a {} b", "x".repeat(200)), true);
        check("ünïcödé-1", "(ünïcödé-1)", true);
    }

    #[test]
    fn finds_an_id_that_is_more_than_a_word_wherever_it_stands() {
        for id in [
            "two words 1",
            "O'Brien-17",
            "{6F9619FF-8B86}",
            "-NqL2kf9x",
            "dXNlcjoxMjM0NQ==",
            "Smith, Ann",
            "a\"quote\"b",
            "dom\\user-1",
            &format!("long {}", "x".repeat(90)),
            "„Zitat“",
        ] {
            let json = serde_json::json!({ "who": id, "all": [id] }).to_string();
            for text in [id, &format!("for {id}."), &format!("/users/{id}?page=1"), &format!("a {id}"), &format!("({id})"), &json] {
                check(id, text, true);
            }
            for text in [&format!("x1{}", &id[..id.floor_char_boundary(6)]), &id[..id.floor_char_boundary(id.len() - 1)], ""] {
                check(id, text, false);
            }
        }
        for text in ["two words 12", "btwo words 1", "two  words 1", "Two words 1"] {
            check("two words 1", text, false);
        }
        check("-NqL2kf9x", "a-NqL2kf9x", false);
    }

    #[test]
    fn tells_which_imports_an_identifier_belongs_to() {
        let mut needles = NeedlesBuilder::new(1);
        for import in [4, 9, 4] {
            assert!(needles.add(import, "account-1"));
        }
        assert!(!needles.add(4, "short"));
        let needles = needles.build();
        let mut seen = Vec::new();
        needles.search(b"account-1", &mut |set| seen.extend_from_slice(needles.imports(set)));
        seen.dedup();
        assert_eq!(seen, [4, 9]);
    }

    proptest::proptest! {
        #[test]
        fn finds_an_id_between_any_two_bounds(
            id in "[a-z0-9]{1,6}[-_.:/]?[a-z0-9]{7,12}", before in "[ -~]{0,40}[ ,;\"(/:.]", after in "[ ,;\")/:.][ -~]{0,40}",
        ) {
            check(&id, &format!("{before}{id}{after}"), true);
        }
    }
}
