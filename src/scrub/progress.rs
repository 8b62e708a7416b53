//! How far a scrub is: what its row in the ledger holds between slices.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::content::FoundByImport;
use super::needles::Needles;
use super::walk::Tally;
use crate::domain::ImportId;
use crate::store::{Doing, StoreError};

/// How unused bytes are found.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Page by page, while others read and write.
    Dbpage,
    /// By writing the whole database anew, because this build of SQLite gives no access to pages.
    Vacuum,
}

impl Method {
    /// What this build of SQLite allows.
    pub(super) fn of(connection: &Connection) -> Result<Self, StoreError> {
        let doing = "read what SQLite was built with";
        let mut options =
            connection.prepare("SELECT 1 FROM pragma_compile_options WHERE compile_options = 'ENABLE_DBPAGE_VTAB'").doing(doing)?;
        Ok(if options.exists([]).doing(doing)? { Self::Dbpage } else { Self::Vacuum })
    }

    /// The word in the receipt.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dbpage => "dbpage",
            Self::Vacuum => "vacuum",
        }
    }
}

/// What a scrub does next.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Samples of ANALYZE.
    Samples,
    /// Page after page.
    Walk,
    /// All pages at once.
    Vacuum,
    /// The tables by SQL, where pages cannot be searched.
    Tables,
    /// The write-ahead log, and the end.
    Log,
}

/// How far a scrub is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Progress {
    pub(super) stage: Stage,
    pub(super) method: Method,
    /// Times through the file that are over.
    pub(super) walks: u32,
    pub(super) next_page: u32,
    /// Of this time through.
    pub(super) tally: Tally,
    /// Zeroed, all times together.
    pub(super) zeroed_pages: u64,
    pub(super) zeroed_bytes: u64,
    /// Found in mended pages when they were looked at again, this time through.
    pub(super) nonzero_bytes: u64,
    pub(super) page_bytes: u64,
    pub(super) bytes: u64,
    /// Something was written since this time through began, and not by the scrub.
    pub(super) disturbed: bool,
    /// Rows are searched this time through.
    pub(super) searching: bool,
    /// The content is not searched in pages but by SQL.
    pub(super) by_tables: bool,
    pub(super) samples_deleted: u64,
    pub(super) found: FoundByImport,
}

/// What an import's people are looked for by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Identifiers {
    pub(super) import: ImportId,
    /// False: the sealed file is gone.
    pub(super) searched: bool,
    pub(super) many: u64,
    pub(super) too_short: u64,
}

/// The covered imports; their place here is their number in [`FoundByImport`].
pub(super) type Sought = Vec<Identifiers>;

/// A state of the database, as one connection can tell it from others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Moment {
    /// Changes with every commit of other connections.
    theirs: i64,
    /// Rows that this connection changed.
    ours: u64,
}

impl Moment {
    pub(super) fn of(connection: &Connection) -> Result<Self, StoreError> {
        let theirs = connection.query_row("PRAGMA main.data_version", [], |row| row.get(0)).doing("read the data version")?;
        Ok(Self { theirs, ours: connection.total_changes() })
    }
}

impl Progress {
    pub(super) fn new(method: Method) -> Self {
        Self {
            stage: Stage::Samples,
            method,
            walks: 0,
            next_page: 1,
            tally: Tally::default(),
            zeroed_pages: 0,
            zeroed_bytes: 0,
            nonzero_bytes: 0,
            page_bytes: 0,
            bytes: 0,
            disturbed: false,
            searching: true,
            by_tables: false,
            samples_deleted: 0,
            found: FoundByImport::new(),
        }
    }

    /// What the ledger keeps. Its length seldom changes: SQLite writes a row of equal length over the old one, in its place, so
    /// that noting how far a walk is moves nothing.
    pub(super) fn to_text(&self) -> String {
        let text = serde_json::to_string(self).expect("numbers, words and maps with text keys");
        let length = text.len().next_multiple_of(NOTE_BYTES);
        format!("{text:<length$}")
    }

    /// Back from the ledger; what does not read back, or was made by another build, begins anew.
    pub(super) fn from_text(text: &str, method: Method) -> Self {
        serde_json::from_str(text).ok().filter(|progress: &Self| progress.method == method).unwrap_or_else(|| Self::new(method))
    }

    /// Compares the state that a slice meets with the one that the last left behind. What changed since is searched for by another
    /// time through, if there is one.
    pub(super) fn meet(&mut self, now: Moment, left: Option<Moment>) {
        self.disturbed |= left.is_some_and(|left| left != now);
        self.searching &= !self.disturbed || self.is_last();
    }

    /// Whether no other time through follows this one.
    pub(super) fn is_last(&self) -> bool {
        self.walks + 1 >= WALKS_MAX
    }

    /// The last page was passed, and what was mended was looked at again. Another time through is needed unless this one saw one
    /// state of the file, all of it, and left it clean.
    pub(super) fn end_walk(&mut self, needles: &Needles) {
        let nobody_sought = needles.is_empty();
        let last = self.is_last();
        self.walks += 1;
        self.bytes = self.tally.pages * self.page_bytes;
        let whole = self.searching || self.by_tables || nobody_sought;
        let proven = self.nonzero_bytes == 0 && whole && !self.disturbed;
        if proven || last {
            self.stage = if self.by_tables && !nobody_sought { Stage::Tables } else { Stage::Log };
            return;
        }
        (self.next_page, self.tally, self.nonzero_bytes) = (1, Tally::default(), 0);
        (self.disturbed, self.searching) = (false, true);
        self.found.clear();
    }

    /// Pages that are damaged, or that nothing leads to. The latter can be told only of one state of the file.
    pub(super) fn unread_pages(&self) -> u64 {
        let stray = if self.disturbed { 0 } else { self.tally.other_pages.saturating_sub(self.tally.overflow_pages) };
        self.tally.malformed_pages + stray
    }
}

/// Times through the file before a scrub ends whatever it still finds: someone else keeps writing.
const WALKS_MAX: u32 = 3;

/// Lengths of a note are multiples of this, in bytes.
const NOTE_BYTES: usize = 1024;
