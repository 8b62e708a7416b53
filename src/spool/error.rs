//! What can go wrong with a tenant's folders, in words fit for the sender.
//!
//! `Display` is one clause without a path; the cause is `source()`. [`SpoolError::kind`] is what a protocol status or a
//! retry is chosen by.

use std::io;

use rustix::io::Errno;

/// A move or a write that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Nothing of this name, or no such tenant.
    #[error("no such file")]
    NotFound,
    /// The name is taken, and may not be replaced.
    #[error("a file of this name exists")]
    Exists,
    /// The folder or file does not belong to the daemon's user.
    #[error("permission denied")]
    Permission(#[source] io::Error),
    /// Disk or quota of the file system is full.
    #[error("no space left")]
    NoSpace(#[source] io::Error),
    /// A newer OPEN of this name won.
    #[error("this file was opened anew, renamed or removed since")]
    Superseded,
    /// Bytes are missing. What came before the gap stays and can be resumed.
    #[error("bytes are missing from byte {at} on: send the rest or send it again")]
    Gap {
        /// The first missing byte.
        at: u64,
    },
    /// Delivery, while an earlier file of this name is not claimed yet.
    #[error("a file of this name is still waiting")]
    Pending,
    /// Opened without truncation, but the file of this name is delivered.
    #[error("already taken, send it whole")]
    AlreadyTaken,
    /// Renamed while a handle that writes it is open.
    #[error("the file is still being written")]
    Busy,
    /// More pieces than are kept account of ([`super::RANGES_MAX`], [`super::SEAMS_MAX`]).
    #[error("sent in too many pieces, send it whole")]
    Scattered,
    /// A folder, a link or a device where a file should be.
    #[error("not a regular file")]
    NotAFile,
    /// A companion that stands beside an archived file already, with other content.
    #[error("the \"{suffix}\" that was written before differs")]
    Differs {
        /// The companion's ending.
        suffix: String,
    },
    /// One of the folders is not there, or cannot be used.
    #[error("the storage failed")]
    Folder(#[source] FolderFault),
    /// The file system failed.
    #[error("the storage failed")]
    Medium(#[source] io::Error),
}

/// A folder of a tenant that cannot be used: what its operator has to look at.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the folder \"{path}\", which must be one and no link to one")]
pub struct FolderFault {
    /// Its path below the tenant's own folder.
    pub(super) path: &'static str,
    /// Why.
    pub(super) source: io::Error,
}

/// The kinds of [`SpoolError`], without their causes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// Nothing there.
    NotFound,
    /// Something there.
    Exists,
    /// Not ours.
    Permission,
    /// Full.
    NoSpace,
    /// A newer OPEN won.
    Superseded,
    /// Bytes are missing.
    Gap,
    /// An earlier file waits; may pass by itself.
    Pending,
    /// Delivered, cannot be continued.
    AlreadyTaken,
    /// Being written.
    Busy,
    /// Too many pieces.
    Scattered,
    /// Folder, link, device.
    NotAFile,
    /// Written before, otherwise.
    Differs,
    /// Input or output.
    Medium,
}

impl SpoolError {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Exists,
            Self::Permission(_) => ErrorKind::Permission,
            Self::NoSpace(_) => ErrorKind::NoSpace,
            Self::Superseded => ErrorKind::Superseded,
            Self::Gap { .. } => ErrorKind::Gap,
            Self::Pending => ErrorKind::Pending,
            Self::AlreadyTaken => ErrorKind::AlreadyTaken,
            Self::Busy => ErrorKind::Busy,
            Self::Scattered => ErrorKind::Scattered,
            Self::NotAFile => ErrorKind::NotAFile,
            Self::Differs { .. } => ErrorKind::Differs,
            Self::Folder(_) | Self::Medium(_) => ErrorKind::Medium,
        }
    }
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => Self::NotFound,
            Some(Errno::EXIST | Errno::NOTEMPTY) => Self::Exists,
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::Permission(error),
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::NoSpace(error),
            // With O_NOFOLLOW a link shows as LOOP; with O_DIRECTORY as NOTDIR.
            Some(Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO) => Self::NotAFile,
            _ => Self::Medium(error),
        }
    }
}

impl From<FolderFault> for SpoolError {
    fn from(fault: FolderFault) -> Self {
        match Errno::from_io_error(&fault.source) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace(fault.source),
            _ => Self::Folder(fault),
        }
    }
}

impl From<Errno> for SpoolError {
    fn from(errno: Errno) -> Self {
        Self::from(io::Error::from(errno))
    }
}
