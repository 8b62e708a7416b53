//! Where a store's file was opened, and whether it still stands there.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::StoreError;

/// A path, and the file that stood there.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// Of a file that was just opened.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Open`].
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let (device, inode) = identity(path)?;
        Ok(Self { path: path.to_owned(), device, inode })
    }

    /// Whether the same file stands there.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Replaced`], and [`StoreError::Open`] where the path cannot be looked at.
    pub(super) fn holds(&self) -> Result<(), StoreError> {
        if identity(&self.path)? == (self.device, self.inode) { Ok(()) } else { Err(StoreError::Replaced(self.path.clone())) }
    }
}

/// While a file is open, no other gets its inode.
fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    match std::fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing(path.to_owned())),
        Err(source) => Err(StoreError::Open { path: path.to_owned(), source: source.into() }),
    }
}
