//! What of a partial counts for who resumes it.
//!
//! A partial under a final name was never closed, even where all of its bytes have come: the connection was lost before its CLOSE, or
//! with it. Clients that resume compare sizes and send nothing where they are equal; OpenSSH's does not even send a CLOSE. So the last
//! byte is held back: the size that is told is less by one, and there is always something to send. That byte, sent again, makes no seam;
//! a seam is where bytes begin that were not there before. A partial under a temporary name may have been closed: nothing of it is held
//! back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Upload;
use crate::domain::{FileName, NameKind};
use crate::spool::notes::Note;

/// The last byte of a partial, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldBack {
    pub(super) at: u64,
    byte: u8,
}

impl HeldBack {
    /// `None` where nothing is held back of a partial of that many bytes.
    pub(super) fn of(name: &FileName, file: &File, size: u64, note: &Note) -> io::Result<Option<Self>> {
        let at = counted(name, size, note);
        if good(size, note) == at {
            return Ok(None);
        }
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        Ok(Some(Self { at, byte: byte[0] }))
    }
}

impl Upload {
    /// What of a write is left to do: from the first one on nothing is held back any more, and sent again it is there already. Who sends
    /// the first byte sends all of it anew.
    pub(super) fn take_up<'b>(&mut self, offset: u64, bytes: &'b [u8]) -> (u64, &'b [u8]) {
        match self.held_back.take_if(|_| !bytes.is_empty()) {
            Some(held_back) if offset == held_back.at && offset > 0 && bytes[0] == held_back.byte => (offset + 1, &bytes[1..]),
            _ => (offset, bytes),
        }
    }
}

/// How many bytes of a partial count for who resumes it.
pub(in crate::spool) fn counted(name: &FileName, size: u64, note: &Note) -> u64 {
    let good = good(size, note);
    if good == size && name.kind() != NameKind::Temporary { size.saturating_sub(1) } else { good }
}

/// How many bytes there are before the first that is missing.
pub(in crate::spool) fn good(size: u64, note: &Note) -> u64 {
    size.min(note.gap_from.unwrap_or(u64::MAX))
}
