//! A customer's address in the one spelling that the store compares.
//!
//! The rule has this one constructor: surrounding white space trimmed, the local part in Unicode NFC with default case folding,
//! the domain in its ASCII (IDNA, UTS #46) form. It does not know whether an address exists, and it does not strip dots or
//! plus-tags.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use super::text::is_invisible;

/// Longest address accepted, in bytes of its normal form (RFC 5321, 4.5.3.1: 64 + 1 + 255, which SMTP's path limit trims to 254).
pub const EMAIL_BYTES_MAX: usize = 254;

/// A customer's address in the one spelling that the store compares.
///
/// Invariant: trimmed, exactly one `@` with text on both sides, no white space and no control character inside, the local part
/// case-folded and NFC, the domain in its ASCII form, at most [`EMAIL_BYTES_MAX`] bytes. `Email::parse` of it gives it again.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Email(String);

/// Why a text is not an address. Holds nothing of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an e-mail address")]
pub struct EmailError;

impl Email {
    /// Reads an address as people and exporters write it.
    ///
    /// # Errors
    /// [`EmailError`] when the text is not exactly one `local@domain`.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.len() > EMAIL_BYTES_MAX * 4 || text.chars().any(refused) {
            return Err(EmailError);
        }
        if text.is_ascii() {
            let folded = text.to_ascii_lowercase();
            let (local, domain) = split(&folded)?;
            // Punycode labels still go through IDNA below; everything else is in its normal form already.
            if plain_domain(domain) {
                return Self::checked(local, domain);
            }
        }
        let (local, domain) = split(text)?;
        let local = fold_case(local);
        if local.chars().any(refused) || local.contains('@') {
            return Err(EmailError);
        }
        // Not folded before: of a domain that would make another's (ß and ss are two letters there, as are ς and σ).
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| EmailError)?;
        Self::checked(&local, &domain)
    }

    /// The normal form, as stored and compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn checked(local: &str, domain: &str) -> Result<Self, EmailError> {
        let domain_ok = !domain.is_empty() && domain.len() <= 253 && domain.split('.').all(|l| !l.is_empty() && l.len() <= 63);
        if local.is_empty() || !domain_ok || local.len() + 1 + domain.len() > EMAIL_BYTES_MAX {
            return Err(EmailError);
        }
        Ok(Self(format!("{local}@{domain}")))
    }
}

/// Prints `Email(..)`: an address must not reach a log through `{:?}`.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

/// Whether a text may hold an address, as far as its `@` tells: in the widths that fold to it, or as URLs write it.
#[must_use]
pub fn may_hold_address(text: &str) -> bool {
    text.contains(['@', '\u{FF20}', '\u{FE6B}']) || text.contains("%40")
}

fn split(text: &str) -> Result<(&str, &str), EmailError> {
    let (local, domain) = text.split_once('@').ok_or(EmailError)?;
    if domain.contains('@') { Err(EmailError) } else { Ok((local, domain)) }
}

/// White space, control characters, list separators and quotes mark a cell that is not one address; U+FFFD marks bytes that were
/// lost in decoding, and invisible characters would make two spellings look alike.
fn refused(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, ',' | ';' | '<' | '>' | '"' | '(' | ')' | '[' | ']' | '\\' | ':' | '\u{FFFD}')
        || is_invisible(c)
}

/// A domain of letters, digits, hyphens and dots with no label that IDNA would look into or refuse.
fn plain_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = label.as_bytes();
        edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && bytes.get(2..4) != Some(b"--")
    })
}

/// A text without regard to case: NFC, folded, NFC again, since folding can take a text out of NFC (Unicode 3.13, D145).
#[must_use]
pub fn fold_case(text: &str) -> String {
    let composed: String = text.nfc().collect();
    let folded = unicase::UniCase::unicode(composed).to_folded_case();
    folded.nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let got = Email::parse(text).ok();
        assert_eq!(got.as_ref().map(Email::as_str), expected, "{text:?}");
        if let Some(email) = got {
            assert_eq!(Email::parse(email.as_str()).as_ref(), Ok(&email), "parsing the normal form of {text:?} again");
        }
    }

    #[test]
    fn compares_addresses_as_people_mean_them() {
        check(" Ann@X.Example\t", Some("ann@x.example"));
        check("ann+tag@x.example", Some("ann+tag@x.example"));
        check("o'brien@x.example", Some("o'brien@x.example"));
        check("ann@BÜCHER.example", Some("ann@xn--bcher-kva.example"));
        check("ann@bu\u{308}cher.example", Some("ann@xn--bcher-kva.example"));
        check("ann@xn--bcher-kva.example", Some("ann@xn--bcher-kva.example"));
        check("JOSE\u{301}@x.example", Some("jos\u{e9}@x.example"));
        check("STRASSE@x.example", Some("strasse@x.example"));
        check("stra\u{df}e@x.example", Some("strasse@x.example"));
        check("root@localhost", Some("root@localhost"));
    }

    #[test]
    fn tells_domains_apart_that_case_folding_would_make_one() {
        check("ann@stra\u{df}e.example", Some("ann@xn--strae-oqa.example"));
        check("ann@STRA\u{1e9e}E.example", Some("ann@xn--strae-oqa.example"));
        check("ann@XN--STRAE-OQA.example", Some("ann@xn--strae-oqa.example"));
        check("ann@STRASSE.example", Some("ann@strasse.example"));
        check("ann@βόλος.example", Some("ann@xn--nxasmm1c.example"));
        check("ann@βόλοσ.example", Some("ann@xn--nxasmq6b.example"));
        check("ann@ＢÜＣＨＥＲ。example", Some("ann@xn--bcher-kva.example"));
    }

    #[test]
    fn refuses_what_is_not_one_address() {
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "ab",
            "a@@b",
            "a@b@c",
            "a b@x.example",
            "a@b c",
            "a@x..example",
            "a@.x",
            "a@x.",
            "a@-x.example",
            "a@x.example,b@x.example",
            "a@x.example;b",
            "<a@x.example>",
            "\"a\"@x.example",
            "a\0@x.example",
            "a\u{fffd}@x.example",
            "a\u{200b}@x.example",
            "\u{2068}a@x.example\u{2069}",
            "a\u{061c}@x.example",
            "a\u{e0020}@x.example",
        ] {
            check(text, None);
        }
        check(&format!("{}@x.example", "a".repeat(300)), None);
    }

    #[test]
    fn does_not_print_itself() {
        assert_eq!(format!("{:?}", Email::parse("ann@x.example")), "Ok(Email(..))");
    }

    proptest::proptest! {
        #[test]
        fn a_normal_form_is_its_own_normal_form(text in "\\PC{1,12}@\\PC{1,12}") {
            if let Ok(email) = Email::parse(&text) {
                let again = Email::parse(email.as_str());
                proptest::prop_assert_eq!(again, Ok(email));
            }
        }
    }
}
