//! Input files as rows: CSV and JSON lines, from every exporter that senders have.
//!
//! Bad rows are data: only the medium, the header and broken structure fail a file. Nothing is guessed, and a file that was cut
//! or put together from two uploads never yields a subject that its sender did not write. Memory is bounded by [`Limits`],
//! whatever the input.
//!
//! This module does not know files, gzip, tenants or the store. It reads bytes and says what stands in them.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::domain::{Flags, Format, Rejection, RowError, SubjectKey};

mod columns;
mod cut;
mod frames;
mod names;
mod objects;
mod rows;
mod scan;
mod sheet;
pub mod table;
mod window;

pub use columns::check_id;
pub use rows::Rows;

/// What one file may cost.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Limits {
    /// Longest row, its line end not counted, and longest quoted cell.
    pub row_bytes_max: usize,
    /// Most lines that one quoted cell may run over.
    pub quoted_lines_max: u64,
    /// Most rows that are not blank.
    pub rows_per_file_max: u64,
    /// Most columns of a header.
    pub columns_max: usize,
    /// More rows than this earn a warning; the caller gives it.
    pub rows_recommended: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            row_bytes_max: 64 * 1024,
            quoted_lines_max: 100,
            rows_per_file_max: 10_000_000,
            columns_max: 1_000,
            rows_recommended: 500_000,
        }
    }
}

/// How one file is to be read: the tenant's and the command's wishes, and what vouches for the bytes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reading {
    /// The format that the file's name says.
    pub format: Format,
    /// What it may cost.
    pub limits: Limits,
    /// Further names of the address column, exactly as written.
    pub email_aliases: Vec<String>,
    /// A column whose value is echoed in results.
    pub request_id_column: Option<String>,
    /// Header in the file → known column.
    pub map: Vec<(String, String)>,
    /// A checksum held: the rules for cut and resumed files do not apply.
    pub vouched: bool,
    /// A last CSV row without a line end counts.
    pub accept_unterminated: bool,
    /// Byte offsets in the file (as stored, before decoding) at which an upload was resumed.
    pub seams: Vec<u64>,
}

impl Reading {
    /// The plain reading of a format: default limits, no aliases, nothing vouched for.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            limits: Limits::default(),
            email_aliases: Vec::new(),
            request_id_column: None,
            map: Vec::new(),
            vouched: false,
            accept_unterminated: false,
            seams: Vec::new(),
        }
    }
}

/// Why a file could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Ours: the bytes could not be read.
    #[error("cannot read the file")]
    Medium(#[from] io::Error),
    /// The sender's: the file is refused as a whole.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

/// One row that is not blank.
#[derive(Debug)]
pub struct Row {
    /// 1-based, as an editor shows it: where the row starts.
    pub line: u64,
    /// Whom it names, or why it is bad.
    pub subject: Result<SubjectKey, RowError>,
    /// Its own wishes; meaningless where `subject` is `Err`.
    pub flags: Flags,
    /// What results show of it.
    pub echo: Echo,
}

/// The cells that results show, as in the input (lossy, each cut at 1,024 bytes), empty where absent.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Echo {
    /// `accountId`
    pub account_id: String,
    /// `id`
    pub id: String,
    /// The request id column.
    pub request_id: String,
}

/// Prints `Echo(..)`: an id can be an address.
impl fmt::Debug for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Echo(..)")
    }
}

/// Begins to read a file: decodes, and settles header and dialect.
///
/// # Errors
/// [`ReadError::Rejected`] when the header names no subject, or in two ways; [`ReadError::Medium`] from the input.
pub fn read<R: io::Read>(input: R, reading: Reading) -> Result<Rows<R>, ReadError> {
    Rows::open(input, &reading)
}

#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod tests;
