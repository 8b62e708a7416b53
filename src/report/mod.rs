//! What senders and auditors read about an import: the report, the results row by row, the status.
//!
//! Fields may only be added. The same values give the same bytes. No address stands in any of them.
//!
//! This module does not know how an import runs, nor where the files go.

use serde::Serialize;

mod results;
mod scrubbed;
mod status;
mod summary;

pub use results::{ResultsRow, ResultsWriter, Why};
pub use scrubbed::{ContentEvidence, KeptValues, ScrubReceipt, StructureEvidence};
pub use seconds::text as time_text;
pub use status::Status;
pub use summary::{Accounts, Report, ReportError, Retained, RowCounts};

/// Pretty-printed JSON and a line end.
fn json_text<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("structs of text, numbers and lists always serialise");
    text.push('\n');
    text
}

/// Times as people and machines both read them: `2026-11-21T19:40:10Z`.
mod seconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    /// A time, without the fraction of its second.
    #[must_use]
    pub fn text(time: Timestamp) -> String {
        Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
    }

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

/// The same, where there may be none.
mod seconds_or_null {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde's `with` calls it so")]
    pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_str(&super::seconds::text(*time)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<Timestamp>::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests;
