//! Public keys as senders hand them over: lines as in `authorized_keys`, and RFC 4716 blocks.
//!
//! A key that is accepted is ed25519, ECDSA, or RSA of at least [`RSA_BITS_MIN`] bits. A private key is refused with words
//! that keep it from being sent again. Of the options before a key, `from=` and `expiry-time=` are kept with it.

use std::fmt;

use jiff::tz::TimeZone;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};

use crate::sftp::{AllowedKey, KeyOptions};

/// Shortest RSA key, in bits.
pub const RSA_BITS_MIN: usize = 2048;

/// A public key that may log in. Equal when the key is: the comment takes no part.
#[derive(Clone)]
pub struct LoginKey(AllowedKey);

impl LoginKey {
    /// What a login is compared with, and what stands before it.
    #[must_use]
    pub fn allowed(&self) -> &AllowedKey {
        &self.0
    }

    /// The options before the key as they were written, such as `from="192.0.2.0/24"`; empty if there are none.
    #[must_use]
    pub fn options(&self) -> &str {
        self.0.options.as_str()
    }

    /// The key alone.
    #[must_use]
    pub fn key_data(&self) -> &KeyData {
        self.0.key.key_data()
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// `ssh-ed25519` and the like.
    #[must_use]
    pub fn algorithm(&self) -> String {
        self.0.key.algorithm().as_str().to_owned()
    }

    /// What its owner wrote beside it, control characters escaped.
    #[must_use]
    pub fn comment(&self) -> String {
        crate::telemetry::printable(self.0.key.comment().as_str_lossy())
    }

    /// The line for `authorized_keys`, its options first, as it stands in a tenant's file.
    #[must_use]
    pub fn line(&self) -> String {
        let line = PublicKey::from(self.key_data().clone()).to_openssh().expect("a key that was read can be written");
        format!("{} {line} {}", self.options(), self.comment()).trim().to_owned()
    }
}

impl PartialEq for LoginKey {
    fn eq(&self, other: &Self) -> bool {
        self.key_data() == other.key_data()
    }
}

impl Eq for LoginKey {}

/// Prints the fingerprint only: comments are often addresses.
impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoginKey({})", self.fingerprint())
    }
}

/// Why a text is not a list of public keys.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// Half of a pair that must never leave its owner.
    #[error("this is a PRIVATE key, which must stay with its owner: the sender's public key is needed")]
    Private {
        /// Whether PuTTY wrote it.
        putty: bool,
    },
    /// A public key in PEM, which OpenSSH can convert.
    #[error("this is a PEM public key, not one of SSH")]
    Pem,
    /// Not text in UTF-8.
    #[error("not a text file in UTF-8")]
    NotText,
    /// No key in it.
    #[error("no public key in it (expected a line such as \"ssh-ed25519 AAAA… name\")")]
    Empty,
    /// One line or block is at fault.
    #[error("line {line}: {what}")]
    Line {
        /// 1-based.
        line: usize,
        /// What was found, and what is allowed.
        what: String,
    },
}

impl KeyError {
    /// What the operator may do about it, `file` standing for the file's name.
    #[must_use]
    pub fn hint(&self, file: &str) -> Option<String> {
        match self {
            Self::Private { putty: false } => Some(format!(
                "its owner prints the public half with: ssh-keygen -y -f {file}   (if the private key travelled here, let them make a new pair)"
            )),
            Self::Private { putty: true } => Some(format!(
                "its owner prints the public half with: puttygen {file} -O public-openssh   (if the private key travelled here, let them make a new pair)"
            )),
            Self::Pem => Some(format!("convert it with: ssh-keygen -i -m PKCS8 -f {file}")),
            _ => None,
        }
    }
}

/// Reads every key of a file. A key that stands twice is read once.
///
/// # Errors
/// [`KeyError`]: the first thing that is wrong. Nothing of the file's text is in it but names of options and algorithms.
pub fn read_keys(bytes: &[u8]) -> Result<Vec<LoginKey>, KeyError> {
    let lossy = String::from_utf8_lossy(bytes);
    if let Some(private) = private(&lossy) {
        return Err(private);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| KeyError::NotText)?.trim_start_matches('\u{feff}');
    if text.contains('\0') {
        return Err(KeyError::NotText);
    }
    let mut keys: Vec<LoginKey> = Vec::new();
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim_end()));
    while let Some((line, content)) = lines.next().map(|(line, content)| (line, content.trim_start())) {
        let key = if content == BLOCK_BEGIN {
            block(line, &mut lines)?
        } else if content.starts_with("-----BEGIN") && content.contains("PUBLIC KEY") {
            return Err(KeyError::Pem);
        } else if content.is_empty() || content.starts_with('#') {
            continue;
        } else {
            read_line(content).map_err(|what| KeyError::Line { line, what })?
        };
        match keys.iter().find(|known| **known == key) {
            Some(known) if known.options() != key.options() => {
                return Err(KeyError::Line { line, what: OTHERWISE.to_owned() });
            }
            Some(_) => {}
            None => keys.push(key),
        }
    }
    if keys.is_empty() { Err(KeyError::Empty) } else { Ok(keys) }
}

/// Reads one key as it stands in `authorized_keys`.
///
/// # Errors
/// What was found, and what is allowed.
pub(super) fn read_line(line: &str) -> Result<LoginKey, String> {
    if private(line).is_some() {
        return Err(KeyError::Private { putty: false }.to_string());
    }
    let (before, line) = split_options(line).unwrap_or(("", line));
    // Any blanks may stand between them, as for OpenSSH.
    let (first, rest) = first_word(line);
    let (base64, comment) = first_word(rest);
    if !known_algorithm(first) {
        return Err(format!("not a public key (expected one of {}, then the key)", ACCEPTED.join(", ")));
    }
    allowed_algorithm(first)?;
    let options = if before.is_empty() { KeyOptions::default() } else { KeyOptions::parse(before, &TimeZone::system())? };
    let key = PublicKey::from_openssh(format!("{first} {base64} {}", comment.trim()).trim_end());
    let key = key.map_err(|_| format!("this {first} key is damaged or cut; ask for it again"))?;
    Ok(LoginKey(AllowedKey { key: strong(key)?, options }))
}

/// The first word of a line, and what follows the blank behind it.
fn first_word(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once([' ', '\t']).unwrap_or((line, ""))
}

/// Reads the rest of an RFC 4716 block: headers, which may go on after a backslash, and the key in base64.
fn block<'t>(begin: usize, lines: &mut impl Iterator<Item = (usize, &'t str)>) -> Result<LoginKey, KeyError> {
    let fault = |what: String| KeyError::Line { line: begin, what };
    let (mut base64, mut comment, mut header, mut ended) = (String::new(), String::new(), None::<String>, false);
    for (_, line) in lines {
        if let Some(mut open) = header.take() {
            open.truncate(open.len() - 1);
            header = Some(open + line);
        } else if line == BLOCK_END {
            ended = true;
            break;
        } else if line.contains(':') {
            header = Some(line.to_owned());
        } else {
            base64.push_str(line.trim());
        }
        if let Some(whole) = header.take_if(|header| !header.ends_with('\\')) {
            let (tag, value) = whole.split_once(':').unwrap_or((&whole, ""));
            if tag.trim().eq_ignore_ascii_case("comment") {
                comment = value.trim().trim_matches('"').to_owned();
            }
        }
    }
    if !ended {
        return Err(fault(format!("the key has no line \"{BLOCK_END}\"; it is cut")));
    }
    // The key names its algorithm itself: a length of four bytes, then the name.
    let line = blob_algorithm(&base64).ok_or_else(|| fault("the key is damaged or cut; ask for it again".to_owned()))?;
    read_line(&format!("{line} {base64} {comment}")).map_err(fault)
}

/// The algorithm that a key in base64 names.
fn blob_algorithm(base64: &str) -> Option<String> {
    // 80 characters of base64 are 60 bytes: more than the longest name.
    let mut bits = Vec::new();
    for c in base64.bytes().take(80).take_while(|c| *c != b'=') {
        bits.push(u32::try_from(BASE64.find(char::from(c))?).ok()?);
    }
    let bytes: Vec<u8> =
        bits.chunks_exact(4).flat_map(|four| four.iter().fold(0, |sum, six| sum << 6 | six).to_be_bytes()[1..].to_vec()).collect();
    let length = usize::try_from(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?;
    let name = std::str::from_utf8(bytes.get(4..4_usize.checked_add(length)?)?).ok()?;
    name.bytes().all(|b| b.is_ascii_graphic()).then(|| name.to_owned())
}

fn private(text: &str) -> Option<KeyError> {
    let putty = text.contains("PuTTY-User-Key-File-");
    let begins =
        |line: &str| line.contains("-----BEGIN") && line.contains("PRIVATE KEY") || line.contains("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY");
    (putty || text.lines().any(begins)).then_some(KeyError::Private { putty })
}

fn known_algorithm(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| word.starts_with(start))
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'@' | b'.'))
}

fn allowed_algorithm(word: &str) -> Result<(), String> {
    let why = match word {
        _ if ACCEPTED.contains(&word) => return Ok(()),
        "ssh-dss" => "DSA keys are too weak",
        _ if word.contains("-cert-v0") => "this is a certificate; send the public key itself",
        _ if word.starts_with("sk-") => "keys that need a touch cannot log in on a schedule",
        _ => "this type of key is not supported",
    };
    Err(format!("{why} (found {word}, accepted are {})", ACCEPTED.join(", ")))
}

fn strong(key: PublicKey) -> Result<PublicKey, String> {
    if let Some(rsa) = key.key_data().rsa() {
        let modulus = rsa.n().as_positive_bytes().unwrap_or_default();
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(format!(
                "found an RSA key of {bits} bits, {RSA_BITS_MIN} to {RSA_BITS_MAX} are accepted; better: ssh-keygen -t ed25519"
            ));
        }
    }
    Ok(key)
}

/// The options in front of a key, where there are any, and the rest: `from="…",no-pty ssh-ed25519 …`.
fn split_options(line: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    let end = line.find(|c: char| {
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\';
        c.is_ascii_whitespace() && !quoted
    })?;
    let (before, rest) = (&line[..end], line[end..].trim_start());
    let is_key = |text: &str| text.split_whitespace().next().is_some_and(known_algorithm);
    (!is_key(before) && is_key(rest)).then_some((before, rest))
}

/// What is said of one key with two sets of options: neither may be forgotten, and both would be in effect.
const OTHERWISE: &str = "this key stands twice, with different options; write it once";

/// Algorithms of the keys that may log in.
const ACCEPTED: [&str; 5] = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/// Longest RSA key, in bits, as in OpenSSH: a longer one only costs time.
const RSA_BITS_MAX: usize = 16_384;

const BLOCK_BEGIN: &str = "---- BEGIN SSH2 PUBLIC KEY ----";
const BLOCK_END: &str = "---- END SSH2 PUBLIC KEY ----";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVtpShV9gvcSmTFIuVL9lfVaXFcTSrBFPWRYPuYr2sp";

    fn refused(text: &str) -> String {
        read_keys(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn reads_lines_with_comments_blanks_and_doubles_once() {
        let text = format!("\u{feff}# the night job\r\n\r\n{ED25519} ann@laptop\r\n  {ED25519} again\n");
        let keys = read_keys(text.as_bytes()).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].line(), format!("{ED25519} ann@laptop"));
        assert_eq!(keys[0].algorithm(), "ssh-ed25519");
        assert!(keys[0].fingerprint().starts_with("SHA256:"));
        assert!(!format!("{keys:?}").contains("ann"), "{keys:?}");
    }

    #[test]
    fn any_blanks_may_stand_between_the_words_of_a_line() {
        let spaced = format!("  {}  ann \t laptop \r\n", ED25519.replace(' ', " \t  "));
        assert_eq!(read_line(&spaced).expect("read").line(), format!("{ED25519} ann \\t laptop"));
        assert_eq!(read_line(&format!("{ED25519}\r\n")).expect("read").line(), ED25519);
    }

    #[test]
    fn reads_rfc_4716_with_folded_headers() {
        let base64 = ED25519.split(' ').nth(1).unwrap();
        let (a, b) = base64.split_at(40);
        let text = format!("{BLOCK_BEGIN}\nComment: \"the night\\\n job\"\nx-note: a\\\nb\\\nc\n{a}\n{b}\n{BLOCK_END}\n");
        let keys = read_keys(text.as_bytes()).unwrap();
        assert_eq!(keys[0].line(), format!("{ED25519} the night job"));
        assert_eq!(keys, read_keys(ED25519.as_bytes()).unwrap());
        assert!(refused(&text.replace(BLOCK_END, "")).contains("it is cut"));
        assert!(refused(&text.replace(b, "")).contains("damaged or cut"));
    }

    #[test]
    fn refuses_a_private_key_loudly() {
        for begin in [
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----",
            "PuTTY-User-Key-File-3: ssh-ed25519",
        ] {
            let text = format!("{begin}\nc2VjcmV0\n");
            let error = read_keys(text.as_bytes()).unwrap_err();
            assert!(matches!(error, KeyError::Private { .. }), "{begin}");
            assert!(error.to_string().contains("PRIVATE") && !error.to_string().contains("c2VjcmV0"), "{error}");
            assert!(error.hint("id").is_some_and(|hint| hint.contains("ssh-keygen -y") || hint.contains("puttygen")), "{begin}");
        }
    }

    #[test]
    fn keeps_the_options_that_it_honours_and_names_the_others() {
        let line = format!("from=\"10.0.0.0/8,1.2.3.4\",expiry-time=\"20270102Z\" {ED25519} night job");
        let keys = read_keys(line.as_bytes()).unwrap();
        assert_eq!(keys[0].line(), line);
        let text = format!("from=\"10.0.0.0/8, x\",no-pty,permitopen=\"a:1\" {ED25519} x");
        assert!(refused(&text).starts_with("line 1: from= holds \" x\""), "{}", refused(&text));
        let text = format!("no-pty,permitopen=\"a:1\" {ED25519} x");
        assert!(refused(&text).starts_with("line 1: option \"no-pty\", \"permitopen\" before the key"), "{}", refused(&text));
        let text = format!("{ED25519}\nfrom=\"10.0.0.0/8\" {ED25519} x");
        assert!(refused(&text).starts_with("line 2: this key stands twice, with different options"), "{}", refused(&text));
    }

    #[test]
    fn refuses_what_is_no_key_or_too_weak() {
        let check = |text: &str, part: &str| assert!(refused(text).contains(part), "{text}: {}", refused(text));
        check("", "no public key in it");
        check("# nothing\n", "no public key in it");
        check("hello world", "line 1: not a public key");
        check(&format!("{ED25519}\nssh-dss AAAA x"), "line 2: DSA keys are too weak");
        check("ssh-ed25519-cert-v01@openssh.com AAAA x", "this is a certificate");
        check("sk-ssh-ed25519@openssh.com AAAA x", "need a touch");
        check("ssh-ed448 AAAA x", "not supported");
        check("ssh-ed25519 AAAAC3Nz x", "damaged or cut");
        check("-----BEGIN PUBLIC KEY-----\nAAAA\n", "PEM public key");
        assert_eq!(read_keys(b"\xff\xfes\0s\0h\0").unwrap_err(), KeyError::NotText);
    }
}
