//! How a tenant's files are read, and how that is kept with an import.
//!
//! A tenant's rules may change between the first look at a file and the results that are written by reading it again. So what
//! was decided at the first look is stored with the import, and the second reading uses that.

use crate::domain::{Format, NameKind, Rejection, Settings};
use crate::purge::Brake;
use crate::records::{Limits, Reading};

/// How a tenant's files are taken and read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// Where rows say nothing.
    pub settings: Settings,
    /// Further headers for the address.
    pub email_aliases: Vec<String>,
    /// The column that results echo.
    pub request_id_column: Option<String>,
    /// A file waits for its checksum.
    pub require_checksum: bool,
    /// A resumed upload is one file.
    pub trust_resumes: bool,
    /// A last row without a line end is whole.
    pub accept_unterminated: bool,
    /// Bounds.
    pub limits: Limits,
    /// What a compressed list may unpack to.
    pub unpacked_bytes_max: u64,
    /// Above which numbers a person must say yes first.
    pub brake: Brake,
    /// One bad row rejects the file.
    pub reject_bad_rows: bool,
    /// Whom a sender may ask; empty: nobody is named.
    pub contact: String,
}

/// The code of a checksum without a file.
pub(super) const ORPHAN: &str = "checksum_orphan";

/// How a file of this name is read under these rules.
///
/// # Errors
/// A [`Rejection`] where the name says that it is no list.
pub fn reading_of(kind: NameKind, rules: &Rules, import: &ReadingOf<'_>) -> Result<Reading, Rejection> {
    let (format, gzip) = match kind {
        NameKind::List { format, gzip } => (format, gzip),
        NameKind::Checksum => {
            return Err(Rejection::new(ORPHAN, "no file came after this checksum; send NAME.sha256 before NAME"));
        }
        NameKind::Other | NameKind::Temporary => {
            return Err(Rejection::new("not_a_list", "the name must end in .csv, .txt, .jsonl or .ndjson"));
        }
    };
    Ok(Reading {
        format,
        limits: rules.limits,
        email_aliases: rules.email_aliases.clone(),
        request_id_column: rules.request_id_column.clone(),
        map: import.map.to_vec(),
        // Nothing is deleted before the trailer held, so a cut or patched file never comes so far; see `unpack` for several of them.
        vouched: import.vouched || gzip,
        accept_unterminated: rules.accept_unterminated,
        // Where they would stand in what is unpacked, nobody knows, and every trailer holds.
        seams: if rules.trust_resumes || gzip { Vec::new() } else { import.seams.to_vec() },
    })
}

/// What an import adds to its tenant's rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadingOf<'a> {
    /// Header in the file → known column.
    pub map: &'a [(String, String)],
    /// A checksum vouches for the bytes.
    pub vouched: bool,
    /// Where an upload was resumed.
    pub seams: &'a [u64],
}

/// What the name of a list that a person gives says of it: whatever it ends in, a list is meant.
#[must_use]
pub fn kind_by_hand(kind: NameKind) -> NameKind {
    match kind {
        NameKind::List { .. } => kind,
        NameKind::Temporary | NameKind::Checksum | NameKind::Other => NameKind::List { format: Format::Csv, gzip: false },
    }
}
