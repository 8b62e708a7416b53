//! Why a daemon, or a command that works in its place, cannot start.

use std::io;
use std::path::PathBuf;

use crate::config::SecretError;
use crate::pipeline;
use crate::purge::{PlanError, PlanFaults};
use crate::sftp::BindError;
use crate::spool::SpoolError;
use crate::store::StoreError;

/// Why a daemon, or a command that works in its place, cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one works in this data folder.
    #[error("another expunged works in \"{}\"", .0.display())]
    Locked(PathBuf),
    /// A file that `init` makes cannot be read.
    #[error("cannot read \"{}\"", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The plan's file cannot be read.
    #[error("cannot read the plan \"{}\"", path.display())]
    PlanFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key that `init` makes cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The key that vouches for reports.
    #[error("cannot sign reports")]
    Signer(#[source] SecretError),
    /// The same, and its halves do not belong together.
    #[error("cannot sign reports with the host key \"{}\"", .0.display())]
    HostKey(PathBuf, #[source] io::Error),
    /// The store.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// The store does not fit the plan.
    #[error("the store does not fit the erasure plan")]
    Plan(#[from] PlanError),
    /// The plan's text.
    #[error("the erasure plan \"{}\" is wrong", path.display())]
    PlanText {
        /// Which.
        path: PathBuf,
        /// Where, and why.
        #[source]
        faults: PlanFaults,
    },
    /// The folders.
    #[error("cannot use the tenants' folders")]
    Spool(#[from] SpoolError),
    /// The pipeline.
    #[error("cannot bring folders and ledger into agreement")]
    Recover(#[from] pipeline::Fault),
    /// The network.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system.
    #[error("cannot start")]
    System(#[from] io::Error),
}

impl StartError {
    /// Whether another program holds the store's lock: trying again may help.
    pub(super) fn busy(&self) -> bool {
        matches!(self, Self::Store(error) if error.busy())
    }
}
