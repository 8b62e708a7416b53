//! What goes wrong on our side. The input's faults are outcomes and rejections, never a [`Fault`].

use std::io;

use crate::purge::{PlanError, PurgeError};
use crate::scrub::ScrubError;
use crate::spool::SpoolError;
use crate::store::StoreError;
use crate::telemetry;

/// Something of ours failed. The import waits and is tried again: nothing is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The folders.
    #[error("the folders failed")]
    Spool(#[from] SpoolError),
    /// The store.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The engine.
    #[error("the purge failed")]
    Purge(#[from] PurgeError),
    /// The scrub.
    #[error("the scrub failed")]
    Scrub(#[from] ScrubError),
    /// Reading the claimed file.
    #[error("the file cannot be read")]
    Medium(#[from] io::Error),
    /// The claimed file is not where the ledger says.
    #[error("the claimed file is gone from \"processing\": put it back as \"{0}\"")]
    FileGone(String),
    /// The claimed file changed since it was matched.
    #[error("the claimed file changed since it was matched: put the original back")]
    FileChanged,
    /// The key that vouches for reports.
    #[error("the report cannot be signed")]
    Unsigned(#[source] io::Error),
    /// A defect of ours. The log holds the place.
    #[error("a part of the program panicked")]
    Panic,
}

impl Fault {
    /// The whole cause chain in one line. Holds no address: the errors below it hold none.
    #[must_use]
    pub fn chain(&self) -> String {
        telemetry::chain(self)
    }

    /// The stable code of an import that failed by it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Spool(_) => "folders_failed",
            Self::Store(_) => "store_failed",
            Self::Purge(_) => "purge_failed",
            Self::Scrub(_) => "scrub_failed",
            Self::Medium(_) => "file_unreadable",
            Self::FileGone(_) => "file_gone",
            Self::FileChanged => "file_changed",
            Self::Unsigned(_) => "signing_failed",
            Self::Panic => "panicked",
        }
    }

    /// Whether the erasure plan does not fit the database: it is told once, where it is found.
    #[must_use]
    pub fn misfit(&self) -> bool {
        matches!(self, Self::Purge(PurgeError::Plan(PlanError::DoesNotFit(_))))
    }

    /// Whether it passes by itself: another writer holds the store.
    #[must_use]
    pub fn passing(&self) -> bool {
        match self {
            Self::Store(error) => error.busy(),
            Self::Purge(error) => error.busy(),
            Self::Scrub(error) => error.busy(),
            _ => false,
        }
    }
}
