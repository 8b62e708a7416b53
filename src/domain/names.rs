//! Names that become paths or logins. A value of these types cannot leave its folder.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::email::may_hold_address;

/// Longest upload name, in bytes: 255 less a 20-digit import id, `-` and `.report.json.sig`.
pub const FILE_NAME_BYTES_MAX: usize = 218;

/// What a checksum's name adds to that of the file that it vouches for.
pub const CHECKSUM_ENDING: &str = ".sha256";

/// Longest name of a file whose checksum can be sent, in bytes.
pub const VOUCHED_NAME_BYTES_MAX: usize = FILE_NAME_BYTES_MAX - CHECKSUM_ENDING.len();

/// Longest tenant name, in bytes. Login names of 32 bytes fit every client's form.
pub const TENANT_NAME_BYTES_MAX: usize = 32;

/// A tenant: a login, a folder, and the value of the tenant column. Lower-case letters, digits, `-` and `_`,
/// starting with a letter or digit, at most [`TENANT_NAME_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

/// Why a text is not a tenant name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("\"{0}\" is not a tenant name: use 1 to 32 of a-z, 0-9, - and _, starting with a letter or digit")]
pub struct TenantNameError(String);

impl TenantName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`TenantNameError`] with the text, control characters escaped.
    pub fn parse(text: &str) -> Result<Self, TenantNameError> {
        let ok = (1..=TENANT_NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if ok { Ok(Self(text.to_owned())) } else { Err(TenantNameError(text.escape_default().take(80).collect())) }
    }

    /// The name as it stands in paths and in the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantName {
    type Error = TenantNameError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.0
    }
}

/// One path component that a sender chose: valid UTF-8, 1 to [`FILE_NAME_BYTES_MAX`] bytes, no `/`, no control
/// character, no `@` (it would carry an address into logs), neither `.` nor `..`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FileName(String);

/// Why a text is not a file name. Each is one short clause for the sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FileNameError {
    /// No text, `.` or `..`.
    #[error("the name is empty")]
    Empty,
    /// Longer than [`FILE_NAME_BYTES_MAX`].
    #[error("the name is longer than 218 bytes")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("the name is not valid UTF-8")]
    NotUtf8,
    /// A control character.
    #[error("the name holds a control character")]
    Control,
    /// A `/`.
    #[error("folders cannot be made here: the name must not hold \"/\"")]
    Separator,
    /// A `\`, which clients that expand patterns take for an escape, in any listing that it stands in.
    #[error("the name must not hold \"\\\"")]
    Backslash,
    /// An `@`, in the widths that fold to it, or as URLs write it.
    #[error("the name must not hold \"@\"")]
    At,
}

/// What a file's name says of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameKind {
    /// Ends `.filepart .partial .part .tmp`, or begins with a dot: lives in staging until renamed.
    Temporary,
    /// `NAME.sha256`: vouches for `NAME`.
    Checksum,
    /// A list, in this format.
    List {
        /// The format that the ending names.
        format: Format,
        /// Ends `.gz`.
        gzip: bool,
    },
    /// Delivered, claimed and rejected with its reason.
    Other,
}

/// The format that a file's ending names.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `.csv`, `.txt`
    Csv,
    /// `.jsonl`, `.ndjson`
    Jsonl,
}

impl FileName {
    /// Reads one component as it came over the wire.
    ///
    /// # Errors
    /// [`FileNameError`]: what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileNameError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| FileNameError::NotUtf8)?)
    }

    /// Reads the name that a sender gives a new file: none with a `\`.
    ///
    /// # Errors
    /// [`FileNameError`]: what is wrong with it.
    pub fn sent(bytes: &[u8]) -> Result<Self, FileNameError> {
        if bytes.contains(&b'\\') { Err(FileNameError::Backslash) } else { Self::from_bytes(bytes) }
    }

    /// Reads one component.
    ///
    /// # Errors
    /// [`FileNameError`]: what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FileNameError> {
        match text {
            "" | "." | ".." => Err(FileNameError::Empty),
            _ if text.len() > FILE_NAME_BYTES_MAX => Err(FileNameError::TooLong),
            _ if text.contains('/') => Err(FileNameError::Separator),
            _ if may_hold_address(text) => Err(FileNameError::At),
            _ if text.chars().any(unprintable) => Err(FileNameError::Control),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the name says of the file.
    #[must_use]
    pub fn kind(&self) -> NameKind {
        let lower = self.0.to_ascii_lowercase();
        if lower.starts_with('.') || [".filepart", ".partial", ".part", ".tmp"].iter().any(|end| lower.ends_with(end)) {
            return NameKind::Temporary;
        }
        if lower.ends_with(CHECKSUM_ENDING) {
            return NameKind::Checksum;
        }
        let (stem, gzip) = lower.strip_suffix(".gz").map_or((lower.as_str(), false), |stem| (stem, true));
        match stem.rsplit_once('.').map(|(_, end)| end) {
            Some("csv" | "txt") => NameKind::List { format: Format::Csv, gzip },
            Some("jsonl" | "ndjson") => NameKind::List { format: Format::Jsonl, gzip },
            _ => NameKind::Other,
        }
    }

    /// The name that a checksum file vouches for: `june.csv` for `june.csv.sha256`, in any case.
    #[must_use]
    pub fn vouched(&self) -> Option<Self> {
        if self.kind() != NameKind::Checksum {
            return None;
        }
        Self::parse(&self.0[..self.0.len() - CHECKSUM_ENDING.len()]).ok()
    }
}

/// Control characters, and those that reorder or hide text on a terminal.
fn unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_could_leave_a_folder_or_carry_an_address() {
        let check = |text: &str, expected: FileNameError| assert_eq!(FileName::parse(text), Err(expected), "{text:?}");
        check("", FileNameError::Empty);
        check("..", FileNameError::Empty);
        check("a/b.csv", FileNameError::Separator);
        assert_eq!(FileName::sent(b"a\\b.csv"), Err(FileNameError::Backslash));
        assert_eq!(FileName::sent(b"june.csv"), FileName::parse("june.csv"));
        check("ann@x.example.csv", FileNameError::At);
        check("ann%40x.example.csv", FileNameError::At);
        check("ann\u{ff20}x.example.csv", FileNameError::At);
        check("a\nb.csv", FileNameError::Control);
        check("a\u{202e}b.csv", FileNameError::Control);
        check(&"a".repeat(219), FileNameError::TooLong);
        assert_eq!(FileName::from_bytes(b"a\xff.csv"), Err(FileNameError::NotUtf8));
        assert!(FileName::parse(&"a".repeat(218)).is_ok());
    }

    #[test]
    fn reads_what_a_name_says() {
        let check = |text: &str, expected: NameKind| assert_eq!(FileName::parse(text).map(|n| n.kind()), Ok(expected), "{text:?}");
        check("june.csv", NameKind::List { format: Format::Csv, gzip: false });
        check("JUNE.CSV.GZ", NameKind::List { format: Format::Csv, gzip: true });
        check("june.ndjson", NameKind::List { format: Format::Jsonl, gzip: false });
        check("june.csv.part", NameKind::Temporary);
        check("june.csv.FilePart", NameKind::Temporary);
        check(".june.csv", NameKind::Temporary);
        check("june.csv.sha256", NameKind::Checksum);
        check("june.pdf", NameKind::Other);
        check("csv", NameKind::Other);
    }

    #[test]
    fn refuses_tenant_names_that_are_no_login() {
        for text in ["", "-a", "_a", "A", "a.b", "a/b", "..", "a b", &"a".repeat(33)] {
            assert!(TenantName::parse(text).is_err(), "{text:?}");
        }
        assert!(TenantName::parse("acme-2").is_ok());
    }
}
