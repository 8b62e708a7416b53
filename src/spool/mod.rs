//! The folders of a tenant, and the moves between them.
//!
//! A file is in exactly one folder and each move is one rename on one file system, so a crash leaves it in the old folder
//! or in the new one. Nothing that was delivered or archived is overwritten. Folders are reached by descriptors and
//! single-component names, links are never followed: what is another tenant's cannot be named.
//!
//! ```text
//! staging/{inbox,check}  uploads until they are complete; partials      upload, entries
//! staging/notes          seams and gaps, by inode number                notes, coverage
//! inbox, check           complete files, until they are claimed         inbox
//! processing             ID-NAME: owned by an import                    claimed
//! archive, rejected, held  DAY/ID-NAME and its companions               ended
//! status                 NAME.json, recent.log                          status
//! archive, rejected      what has been kept long enough                 expired
//! ID-NAME                the numbers that were given                    numbers
//! received.json          bytes of the day                               pending
//! all of them            open while the tenant is in use                open
//! ```
//!
//! This module does not know what is in a file, what time it is, or who is logged in. It never waits but for the disk.

mod browse;
mod claimed;
mod coverage;
mod dir;
mod ended;
mod entries;
mod error;
mod expired;
mod inbox;
mod notes;
mod numbers;
mod open;
mod pending;
mod rename;
mod sidecar;
mod status;
mod upload;
mod writers;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub use browse::{Place, ReadFolder};
pub use claimed::ClaimedFile;
pub use coverage::RANGES_MAX;
pub use ended::{ArchivedFile, Companion, End, SIGNATURE};
pub use entries::{Entry, Moved, Partial, Removed, Renamed, Replace};
pub use error::{ErrorKind, FolderFault, SpoolError};
pub use expired::Expired;
pub use inbox::{InboxFile, Problem, Scan, Sidecar};
pub use notes::SEAMS_MAX;
pub use pending::{Pending, Received};
pub use sidecar::{CHECKSUM_BYTES_MAX, Checksum};
pub use status::RECENT_BYTES_MAX;
pub use upload::{Closed, Delivered, OpenUpload, Upload};

use self::dir::Dir;
use self::notes::Notes;
use self::open::OpenFolders;
use self::writers::Writers;
use crate::domain::{Mode, TenantName};

/// Where a sender puts files: to be purged, or to be rehearsed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DropFolder {
    /// `/inbox`
    Inbox,
    /// `/check`
    Check,
}

impl DropFolder {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Inbox, Self::Check];

    /// The folder's name, for the sender and on disk.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Check => "check",
        }
    }

    /// What becomes of the people in its files.
    #[must_use]
    pub fn mode(self) -> Mode {
        match self {
            Self::Inbox => Mode::Purge,
            Self::Check => Mode::Check,
        }
    }

    /// The folder whose files are for this.
    #[must_use]
    pub fn of_mode(mode: Mode) -> Self {
        match mode {
            Mode::Purge => Self::Inbox,
            Mode::Check => Self::Check,
        }
    }
}

/// The folders of all tenants. Cheap to clone; clones share the account of who writes what, and the folders that are open.
#[derive(Clone, Debug)]
pub struct Spool {
    tenants_dir: PathBuf,
    tenants: Arc<Mutex<HashMap<TenantName, Shared>>>,
}

/// What all who have a tenant in hand share.
#[derive(Debug, Default)]
struct Shared {
    writers: Arc<Writers>,
    /// As long as anybody has them.
    folders: Weak<Inner>,
}

/// One tenant's folders. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Folders(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    open: OpenFolders,
    writers: Arc<Writers>,
}

impl Spool {
    /// The spool in `data/tenants`. Opens nothing. There must be one in a process, of which all others are clones.
    #[must_use]
    pub fn new(tenants_dir: PathBuf) -> Self {
        Self { tenants_dir, tenants: Arc::default() }
    }

    /// Makes a tenant's folders (0700), and those that are missing of a tenant that exists. Durable on return.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`] if the folder of all tenants is missing.
    pub fn create_tenant(&self, tenant: &TenantName) -> Result<(), SpoolError> {
        let (root, _) = Dir::open_root(&self.tenants_dir)?.sub_or_make(tenant.as_str())?;
        for name in ["inbox", "check", "processing", "held", "archive", "rejected", "status"] {
            root.sub_or_make(name)?;
        }
        let (staging, _) = root.sub_or_make("staging")?;
        for name in ["inbox", "check", "notes"] {
            staging.sub_or_make(name)?;
        }
        // A client's batch may fetch it before anything is told. Where it cannot be made, nobody is kept out.
        let _ = root.sub("status")?.open_append(status::RECENT);
        Ok(())
    }

    /// A tenant's folders. Each use of them finds what stands there then.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`] if the tenant has none.
    pub fn tenant(&self, tenant: &TenantName) -> Result<Folders, SpoolError> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = tenants.entry(tenant.clone()).or_default();
        let inner = shared.folders.upgrade().unwrap_or_else(|| {
            let open = OpenFolders::new(self.tenants_dir.clone(), tenant.clone());
            Arc::new(Inner { open, writers: Arc::clone(&shared.writers) })
        });
        shared.folders = Arc::downgrade(&inner);
        drop(tenants);
        inner.open.root()?;
        Ok(Folders(inner))
    }

    /// Where a drop folder stands, to be watched. Not for opening files.
    #[must_use]
    pub fn watched_path(&self, tenant: &TenantName, drop: DropFolder) -> PathBuf {
        self.tenants_dir.join(tenant.as_str()).join(drop.as_str())
    }

    /// The folder of all tenants.
    #[must_use]
    pub fn tenants_dir(&self) -> &Path {
        &self.tenants_dir
    }
}

impl Folders {
    /// The room of the file system that the tenant's folders are on.
    ///
    /// # Errors
    /// The medium's.
    pub fn room(&self) -> Result<rustix::fs::StatVfs, SpoolError> {
        Ok(self.0.open.root()?.room()?)
    }

    /// One of the tenant's folders, as it stands there now; made where it is missing.
    fn folder(&self, path: &'static str) -> Result<Dir, SpoolError> {
        Ok(self.0.open.folder(path)?)
    }

    fn drop_folder(&self, drop: DropFolder) -> Result<Dir, SpoolError> {
        self.folder(drop.as_str())
    }

    fn staging(&self, drop: DropFolder) -> Result<Dir, SpoolError> {
        self.folder(match drop {
            DropFolder::Inbox => "staging/inbox",
            DropFolder::Check => "staging/check",
        })
    }

    fn notes(&self) -> Result<Notes, SpoolError> {
        Ok(Notes::new(self.folder("staging/notes")?))
    }

    fn writers(&self) -> &Arc<Writers> {
        &self.0.writers
    }
}
