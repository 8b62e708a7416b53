//! The scrub receipt: what was searched for traces of an import's people, and what was found.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{ImportId, TenantName};

/// The text of `NAME.scrub.json`. Fields may only be added. Holds names of tables and counts, no value.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ScrubReceipt {
    /// 1.
    pub version: u32,
    /// The import.
    pub import: ImportId,
    /// Whose.
    pub tenant: TenantName,
    /// Its file's name.
    pub file: String,
    /// The digest of its report, `sha256:…`.
    pub report: String,
    /// The number of the scrub, which may cover several imports.
    pub scrub: i64,
    /// When it began.
    #[serde(with = "super::seconds")]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(with = "super::seconds")]
    pub finished_at: Timestamp,
    /// `dbpage`: every page was read, and mended in place; `vacuum`: the database was written anew.
    pub method: String,
    /// Shown that nothing is left: one state of the database was seen whole, every byte that no row uses was zero in it, and no row
    /// but those of people who were not purged, and those that the plan keeps, held an identifier.
    pub clean: bool,
    /// What kept it from being clean, each named by the field that says how much.
    #[serde(default)]
    pub unclean: Vec<String>,
    /// Scrubs that have covered the import, this one included.
    #[serde(default)]
    pub tries: u32,
    /// The scrub whose receipt this one takes the place of.
    #[serde(default)]
    pub supersedes: Option<i64>,
    /// When it is looked at again at the latest; none: it is clean, or was given up, and its identifiers are gone.
    #[serde(default, with = "super::seconds_or_null")]
    pub again_at: Option<Timestamp>,
    /// Bytes that no live row uses.
    pub structure: StructureEvidence,
    /// What live rows hold.
    pub content: ContentEvidence,
    /// What is promised of later deletions.
    pub secure_delete: String,
}

/// Evidence without identifiers: every byte that no live row uses is zero.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct StructureEvidence {
    /// The database's size.
    pub bytes: u64,
    /// Its pages, all of which were looked at.
    pub pages: u64,
    /// How often it was gone through.
    pub walks: u32,
    /// Pages in which something was zeroed.
    pub zeroed_pages: u64,
    /// Bytes that were zeroed.
    pub zeroed_bytes: u64,
    /// Bytes that were not zero where nothing is used when their page was looked at last, after what was found had been zeroed.
    pub nonzero_bytes: u64,
    /// Pages that are damaged, or belong to nothing. They were left as they are.
    pub unread_pages: u64,
    /// Nothing was written between the beginning and the end of the last time through: it saw one state of the database.
    pub undisturbed: bool,
    /// The write-ahead log and the journal were emptied after that.
    pub log_empty: bool,
    /// Samples of ANALYZE that held an identifier, and were deleted.
    pub samples_deleted: u64,
}

/// Evidence by identifiers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ContentEvidence {
    /// False: the identifiers were not at hand any more.
    pub searched: bool,
    /// Identifiers that were searched for: addresses, and ids of eight bytes or more.
    pub identifiers: u64,
    /// Ids that are too short to tell from other words.
    pub too_short: u64,
    /// Tables that were searched.
    pub tables: u64,
    /// Full-text indexes: what they hold of a text's words, in a form of their own and until they merge it, is not evidence of
    /// anything. `plan check` says how to make them forget.
    #[serde(default)]
    pub full_text: Vec<String>,
    /// Values that hold one of them in rows of people who were not purged, by `table.column`.
    pub still_held: BTreeMap<String, u64>,
    /// Values that hold one of them in rows that the plan keeps, by `table.column`.
    #[serde(default)]
    pub kept: BTreeMap<String, KeptValues>,
    /// Values that hold one of them anywhere else, by `table.column`; `(no table)` where no table leads to the page.
    pub residue: BTreeMap<String, u64>,
}

/// What was kept on purpose.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeptValues {
    /// How many values.
    pub values: u64,
    /// Why, in the words of the plan.
    pub reason: String,
}

impl ScrubReceipt {
    /// The text of the file: pretty-printed JSON and a line end. The same receipt gives the same bytes.
    #[must_use]
    pub fn to_json(&self) -> String {
        super::json_text(self)
    }
}
