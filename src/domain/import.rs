//! One run over one claimed file.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An import's number: given at the claim, never used again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct ImportId(pub i64);

impl fmt::Display for ImportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether people go, or only would.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Deletes.
    Purge,
    /// The same work with nothing deleted.
    Check,
}

impl Mode {
    /// The word in the ledger and the report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Purge => "purge",
            Self::Check => "check",
        }
    }

    /// Back from the ledger.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Purge, Self::Check].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Where an import stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Claimed.
    Received,
    /// The first pass runs.
    Checking,
    /// Stopped by the brake.
    Held,
    /// Matched; chunks run.
    Purging,
    /// Ended: every row has its outcome.
    Completed,
    /// Ended: the input's fault, or an operator's word. Nothing was deleted.
    Rejected,
    /// Ours, after retries.
    Failed,
    /// Cancelled at a chunk boundary.
    Stopped,
}

impl State {
    const ALL: [Self; 8] =
        [Self::Received, Self::Checking, Self::Held, Self::Purging, Self::Completed, Self::Rejected, Self::Failed, Self::Stopped];

    /// The word in the ledger, the status and the report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Checking => "checking",
            Self::Held => "held",
            Self::Purging => "purging",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// Back from the ledger.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the import is over and its report is written.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Self::Completed | Self::Rejected | Self::Stopped)
    }
}

/// A delivered file as `/status/NAME.json` tells it: an import's state, or what comes before there is an import.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileState {
    /// Delivered, settling or in the queue.
    Waiting,
    /// Waits for `NAME.sha256`.
    WaitingForChecksum,
    /// As the import says.
    Import(State),
}

impl FileState {
    /// The word in the status. A claimed file that has not had its turn is `waiting`, as an unclaimed one.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting | Self::Import(State::Received) => "waiting",
            Self::WaitingForChecksum => "waiting_for_checksum",
            Self::Import(state) => state.as_str(),
        }
    }
}

/// How a file names its subjects, and in which format.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// CSV with an address column.
    EmailCsv,
    /// JSON lines with an address.
    EmailJsonl,
    /// CSV with `accountId` and `id`.
    ParticipantCsv,
    /// JSON lines with `accountId` and `id`.
    ParticipantJsonl,
}

impl Dialect {
    const ALL: [Self; 4] = [Self::EmailCsv, Self::EmailJsonl, Self::ParticipantCsv, Self::ParticipantJsonl];

    /// The word in the ledger and the report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmailCsv => "email_csv",
            Self::EmailJsonl => "email_jsonl",
            Self::ParticipantCsv => "participant_csv",
            Self::ParticipantJsonl => "participant_jsonl",
        }
    }

    /// Back from the ledger.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == text)
    }
}

/// Why a whole file is refused: a stable code, and what to mend. Names columns, never a value.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// The stable code: `no_known_column`, `two_dialects`, `quote_not_closed`, …
    pub code: String,
    /// What was found and what to mend.
    pub message: String,
    /// The line at fault, where one is.
    pub line: Option<u64>,
}

impl Rejection {
    /// A refusal of the whole file.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), line: None }
    }

    /// The same, at a line.
    #[must_use]
    pub fn at(self, line: u64) -> Self {
        Self { line: Some(line), ..self }
    }
}
