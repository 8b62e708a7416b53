//! What bytes of a text are to the search: letters, parts of words and of addresses, escapes.

use std::borrow::Cow;
use std::ops::Range;

/// Letters, digits and every byte of other scripts. Written so that the compiler does it for many bytes at once.
#[inline]
pub(super) const fn in_part(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26 || byte.wrapping_sub(b'0') < 10 || byte >= 0x80
}

/// What an id may be made of, without what separates values in texts.
pub(super) fn in_word(byte: u8) -> bool {
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

pub(super) const fn in_local(byte: u8) -> bool {
    in_part(byte) || matches!(byte, b'.' | b'_' | b'+' | b'-')
}

/// Allowed in an address before its `@`, but as often what an address follows: `mail='ann@x.example'`.
pub(super) const fn may_begin_after(byte: u8) -> bool {
    matches!(byte, b'=' | b'&' | b'\'' | b'/' | b'?' | b'#' | b'|' | b'{' | b'}' | b'!' | b'*' | b'^' | b'~' | b'$' | b'%' | b'`')
}

/// What may stand before the `@` of an address.
#[inline]
pub(super) fn may_be_in_local(byte: u8) -> bool {
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

pub(super) fn in_domain(byte: u8) -> bool {
    in_part(byte) || matches!(byte, b'.' | b'-')
}

/// Where signs and spaces of other scripts stand, which are no part of an address: `„ann@x.example“`.
pub(super) fn signs(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let texts = if bytes.is_ascii() { &[] } else { bytes };
    let chars = std::str::from_utf8(texts).unwrap_or_default().char_indices();
    chars.filter(|(_, char)| !char.is_ascii() && !char.is_alphanumeric()).map(|(at, char)| at..at + char.len_utf8())
}

/// A JSON text's escapes read; everything else as it is.
pub(super) fn without_escapes(value: &[u8]) -> Cow<'_, [u8]> {
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
pub(super) fn percent_decoded(value: &[u8]) -> Vec<u8> {
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
