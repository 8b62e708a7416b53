//! What `/status/NAME.json` says of a delivered file.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{FileState, ImportId, Mode, State};

/// Where a delivered file stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// [`crate::domain::FileState::as_str`].
    pub state: String,
    /// Whether it is to be purged, or rehearsed: a file of `/check` has its status under the same name as one of `/inbox`.
    pub mode: Mode,
    /// Why, where it was refused, held or failed: a stable code.
    pub reason: Option<String>,
    /// The import, once there is one.
    pub import: Option<ImportId>,
    /// Of the file's bytes, once they are read.
    pub sha256: Option<String>,
    /// When the file was delivered.
    #[serde(with = "super::seconds")]
    pub received_at: Timestamp,
    /// The full path of the report as the sender sees it, once it is there.
    pub report: Option<String>,
    /// For people: what to mend, or whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Status {
    /// Of a file that no import has yet.
    #[must_use]
    pub fn waiting(state: FileState, mode: Mode, received_at: Timestamp) -> Self {
        Self { state: state.as_str().to_owned(), mode, reason: None, import: None, sha256: None, received_at, report: None, message: None }
    }

    /// Reads the text of a status file. `None` if it is not ours.
    #[must_use]
    pub fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Whether it says that the file's import has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        [State::Completed, State::Rejected, State::Stopped].iter().any(|ended| ended.as_str() == self.state)
    }

    /// The text of the status file: pretty-printed JSON and a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        super::json_text(self)
    }
}
