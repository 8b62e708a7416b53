//! What bytes of a text are to who looks for people in it: letters, parts of words and of addresses, escapes.
//!
//! Where an address may stand in a text is told here alone, so that what is gathered from a row is what a search finds.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use memchr::{memchr, memmem};

/// Shows a value as it is, and as it reads without the escapes of JSON and of URLs that may stand in it.
pub(crate) fn each_spelling(value: &[u8], mut with: impl FnMut(&[u8])) {
    with(value);
    if memchr(b'\\', value).is_some() {
        with(&without_escapes(value));
    }
    if memchr(b'%', value).is_some() && memmem::find(value, b"%40").is_some() {
        with(&percent_decoded(value));
    }
}

/// Whether a character shows nothing, so that two texts look alike of which one holds it: Unicode's Default_Ignorable_Code_Point
/// (DerivedCoreProperties), byte order marks, joiners and marks of direction among them.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// Shows where the texts stand in SQLite's own form of JSON, which nothing parts from what stands around them. Of what is
/// none it seldom shows anything. SQLite's "The JSONB Format".
#[inline]
pub(crate) fn each_jsonb_text(value: &[u8], mut with: impl FnMut(usize, usize)) {
    let whole = value.first().filter(|head| (*TEXTS.start()..=OBJECT).contains(&(**head & 15))).and_then(|_| element(value, 0));
    let end = whole.map_or(0, |(.., end)| end);
    let mut at = 0;
    while at < end && end == value.len() {
        let Some((kind, from, to)) = element(value, at) else { return };
        if TEXTS.contains(&kind) {
            with(from, to);
        }
        // What is in a list or an object comes next.
        at = if kind == LIST || kind == OBJECT { from } else { to };
    }
}

/// The kind of an element, and where its content begins and ends.
fn element(value: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let head = *value.get(at)?;
    let long = match head >> 4 {
        12 => 1,
        13 => 2,
        14 => 4,
        15 => 8,
        _ => 0,
    };
    let from = at + 1 + long;
    let bytes = value.get(at + 1..from)?.iter().fold(0, |bytes, byte| bytes << 8 | u64::from(*byte));
    let bytes = if long == 0 { usize::from(head >> 4) } else { usize::try_from(bytes).ok()? };
    Some((head & 15, from, from.checked_add(bytes).filter(|to| *to <= value.len())?))
}

/// Kinds of elements of JSONB.
const TEXTS: RangeInclusive<u8> = 7..=10;
const LIST: u8 = 11;
const OBJECT: u8 = 12;

/// Shows each text around this `@` that may be an address: from wherever one may begin to wherever it may end.
pub(crate) fn each_reading(value: &[u8], at: usize, mut with: impl FnMut(&[u8])) {
    let most = at.saturating_sub(ADDRESS_BYTES_MAX);
    let from = value[most..at].iter().rposition(|byte| !may_be_in_local(*byte)).map_or(most, |n| most + n + 1);
    let rest = &value[at + 1..value.len().min(at + ADDRESS_BYTES_MAX)];
    let last_part = |to: usize| rest[..to].iter().rposition(|byte| in_part(*byte)).map_or(0, |last| last + 1);
    let to = last_part(rest.iter().position(|byte| !in_domain(*byte)).unwrap_or(rest.len()));
    if from == at || to == 0 {
        return;
    }
    let local = &value[from..at];
    let after_signs = signs(local).map(|sign| sign.end);
    let starts = std::iter::once(0).chain((1..local.len()).filter(|n| may_begin_after(local[n - 1]))).chain(after_signs);
    let before_sign = signs(&rest[..to]).map(|sign| last_part(sign.start)).find(|before| *before > 0);
    for start in starts.filter(|start| *start < local.len()) {
        for to in before_sign.into_iter().chain([to]) {
            with(&value[from + start..at + 1 + to]);
        }
    }
}

/// Longest text that is tried as an address, in bytes.
pub(crate) const ADDRESS_BYTES_MAX: usize = 512;

/// Letters, digits and every byte of other scripts. Written so that the compiler does it for many bytes at once.
#[inline]
pub(crate) const fn in_part(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26 || byte.wrapping_sub(b'0') < 10 || byte >= 0x80
}

/// What an id may be made of, without what separates values in texts.
pub(crate) fn in_word(byte: u8) -> bool {
    WORD[usize::from(byte)]
}

const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 256 {
        let separates =
            matches!(byte as u8, b'"' | b'\'' | b'`' | b',' | b';' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b'\\');
        table[byte] = !separates && byte != 0x7f;
        byte += 1;
    }
    table
};

pub(crate) const fn in_local(byte: u8) -> bool {
    in_part(byte) || matches!(byte, b'.' | b'_' | b'+' | b'-')
}

/// Allowed in an address before its `@`, but as often what an address follows: `mail='ann@x.example'`.
const fn may_begin_after(byte: u8) -> bool {
    matches!(byte, b'=' | b'&' | b'\'' | b'/' | b'?' | b'#' | b'|' | b'{' | b'}' | b'!' | b'*' | b'^' | b'~' | b'$' | b'%' | b'`')
}

/// What may stand before the `@` of an address.
#[inline]
pub(crate) fn may_be_in_local(byte: u8) -> bool {
    LOCAL[usize::from(byte)]
}

const LOCAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = in_local(byte as u8) || may_begin_after(byte as u8);
        byte += 1;
    }
    table
};

pub(crate) fn in_domain(byte: u8) -> bool {
    in_part(byte) || matches!(byte, b'.' | b'-')
}

/// Where signs and spaces of other scripts stand, which are no part of an address: `„ann@x.example“`.
fn signs(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let texts = if bytes.is_ascii() { &[] } else { bytes };
    let chars = std::str::from_utf8(texts).unwrap_or_default().char_indices();
    chars.filter(|(_, char)| !char.is_ascii() && !char.is_alphanumeric()).map(|(at, char)| at..at + char.len_utf8())
}

/// A JSON text's escapes read; everything else as it is.
fn without_escapes(value: &[u8]) -> Cow<'_, [u8]> {
    let mut plain = Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        if value[at] != b'\\' {
            plain.push(value[at]);
            at += 1;
            continue;
        }
        match value.get(at + 1) {
            Some(b'u') => {
                let unit = |at: usize| {
                    let digits = value.get(at..at + 4).and_then(|four| std::str::from_utf8(four).ok());
                    digits.and_then(|digits| u16::from_str_radix(digits, 16).ok())
                };
                let Some(first) = unit(at + 2) else {
                    plain.push(value[at]);
                    at += 1;
                    continue;
                };
                at += 6;
                let second = (value.get(at..at + 2) == Some(b"\\u")).then(|| unit(at + 2)).flatten();
                let second = second.filter(|second| (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(second));
                at += if second.is_some() { 6 } else { 0 };
                let read = char::decode_utf16(std::iter::once(first).chain(second)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
                plain.extend(read.collect::<String>().as_bytes());
            }
            Some(escaped) => {
                plain.push(match escaped {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' | b'f' => b' ',
                    other => *other,
                });
                at += 2;
            }
            None => at += 1,
        }
    }
    Cow::Owned(plain)
}

/// A URL's escapes read; everything else as it is.
fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        let digit = |at: usize| value.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (value[at], digit(at + 1), digit(at + 2)) {
            #[expect(clippy::cast_possible_truncation, reason = "two digits")]
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    plain
}
