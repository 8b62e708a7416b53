//! Notes about unfinished or resumed files: where pieces of different uploads meet, and from where on bytes are missing.
//!
//! A note is named by its file's inode number and stands in `staging/notes`. So it travels with the file through every
//! rename, and a kill between two steps cannot part them. A note that cannot be read is taken for the worst.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::dir::{Dir, Durable};

/// More seams than this are refused; each costs two syncs.
pub const SEAMS_MAX: usize = 256;

/// What must be known of a file beyond its bytes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Note {
    /// Offsets where bytes of two uploads meet.
    pub(super) seams: Vec<u64>,
    /// The file is good up to here only, and is no whole file.
    pub(super) gap_from: Option<u64>,
}

/// The notes of a tenant.
#[derive(Debug)]
pub(super) struct Notes(Dir);

impl Notes {
    pub(super) fn new(dir: Dir) -> Self {
        Self(dir)
    }

    pub(super) fn read(&self, inode: u64) -> io::Result<Note> {
        let mut text = Vec::new();
        match self.0.open_read(&inode.to_string()) {
            Ok(file) => file.take(NOTE_BYTES_MAX).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Note::default()),
            Err(error) => return Err(error),
        };
        Ok(serde_json::from_slice(&text).unwrap_or(Note { seams: Vec::new(), gap_from: Some(0) }))
    }

    /// Writes the note, or removes it where there is nothing to say.
    pub(super) fn write(&self, inode: u64, note: &Note, durable: Durable) -> io::Result<()> {
        if *note == Note::default() {
            return self.remove(inode);
        }
        let text = serde_json::to_vec(note).map_err(io::Error::other)?;
        self.0.replace(&inode.to_string(), &text, durable)
    }

    /// Not synced: a note that comes back after a power cut makes us more careful, not less.
    pub(super) fn remove(&self, inode: u64) -> io::Result<()> {
        self.0.unlink(&inode.to_string()).map(|_| ())
    }

    /// The inodes that have a note.
    pub(super) fn inodes(&self) -> io::Result<Vec<u64>> {
        Ok(self.0.names()?.iter().filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok()).collect())
    }
}

/// Room for [`SEAMS_MAX`] numbers of 20 digits.
const NOTE_BYTES_MAX: u64 = 16 * 1024;
