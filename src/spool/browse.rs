//! What a sender may read: `/archive`, `/rejected`, `/status`. Links are not followed, dot-files are not there.

use std::fs::File;

use super::dir::{self, Dir};
use super::{Entry, Folders, SpoolError};

/// A folder that a sender may list and read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReadFolder {
    /// `/archive`
    Archive,
    /// `/rejected`
    Rejected,
    /// `/status`
    Status,
}

impl ReadFolder {
    /// All.
    pub const ALL: [Self; 3] = [Self::Archive, Self::Rejected, Self::Status];

    /// The folder's name, for the sender and on disk.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Rejected => "rejected",
            Self::Status => "status",
        }
    }
}

/// A file or a folder that was found there.
#[derive(Debug)]
pub struct Place {
    entry: Entry,
    at: At,
}

#[derive(Debug)]
enum At {
    Folder(Dir),
    File { parent: Dir },
}

impl Folders {
    /// Finds what a path names, below one of the readable folders. The empty path is the folder itself.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`] for what is not there, is hidden, or is neither file nor folder.
    pub fn browse(&self, folder: ReadFolder, path: &[&[u8]]) -> Result<Place, SpoolError> {
        let mut at = self.folder(folder.as_str())?;
        let Some((last, parents)) = path.split_last() else {
            let entry = Entry::of(folder.as_str(), &at.own_stat()?).ok_or(SpoolError::NotFound)?;
            return Ok(Place { entry, at: At::Folder(at) });
        };
        for parent in parents {
            at = at.sub(shown(parent)?).map_err(|_| SpoolError::NotFound)?;
        }
        let last = shown(last)?;
        let entry = at.stat(last)?.and_then(|stat| Entry::of(last, &stat)).ok_or(SpoolError::NotFound)?;
        let at = if entry.is_dir { At::Folder(at.sub(last)?) } else { At::File { parent: at } };
        Ok(Place { entry, at })
    }
}

impl Place {
    /// What it is.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What is in the folder, sorted by name.
    ///
    /// # Errors
    /// [`SpoolError::NotAFile`] turned round: for a file, [`SpoolError::NotFound`].
    pub fn list(&self) -> Result<Vec<Entry>, SpoolError> {
        let At::Folder(folder) = &self.at else { return Err(SpoolError::NotFound) };
        let mut entries = Vec::new();
        for raw in folder.names()? {
            let Ok(name) = shown(&raw) else { continue };
            entries.extend(folder.stat(name)?.and_then(|stat| Entry::of(name, &stat)));
        }
        Ok(entries)
    }

    /// Opens the file for reading, and says what was opened: it may be a newer one than was found.
    ///
    /// # Errors
    /// [`SpoolError::NotAFile`] for a folder.
    pub fn open(&self) -> Result<(File, Entry), SpoolError> {
        let At::File { parent } = &self.at else { return Err(SpoolError::NotAFile) };
        let file = parent.open_read(&self.entry.name)?;
        let stat = rustix::fs::fstat(&file)?;
        let entry = Entry::of(&self.entry.name, &stat).filter(|_| dir::is_file(&stat)).ok_or(SpoolError::NotAFile)?;
        Ok((file, entry))
    }
}

/// A component that can be there for a sender: text, not hidden, and nothing that leads elsewhere.
fn shown(raw: &[u8]) -> Result<&str, SpoolError> {
    match std::str::from_utf8(raw) {
        Ok(name) if !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']) => Ok(name),
        _ => Err(SpoolError::NotFound),
    }
}
