//! An upload under a name under which a file waits already. It is the same list once more, from a sender who was cut off or heard no
//! answer; or it is another list, which cannot be delivered as long as that file waits.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Upload;
use crate::spool::{SpoolError, dir};

/// Bytes that are compared at once.
const PIECE_BYTES: usize = 128 * 1024;

impl Upload {
    /// Whether a file waits under its name and does not hold these bytes there: then no close can deliver it as long as that one
    /// waits. The disk is asked only where one waited at the open.
    ///
    /// # Errors
    /// The medium's.
    pub fn differs_from_waiting(&mut self, offset: u64, bytes: &[u8]) -> Result<bool, SpoolError> {
        if !self.over_waiting {
            return Ok(false);
        }
        let Some(waiting) = self.open_waiting()? else {
            self.over_waiting = false;
            return Ok(false);
        };
        let offset = if self.append { self.coverage.size() } else { offset };
        Ok(!holds(&waiting, offset, bytes)?)
    }

    fn open_waiting(&self) -> Result<Option<File>, SpoolError> {
        let (drop, name) = &self.key;
        match self.folders.drop_folder(*drop)?.open_read(name.as_str()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            waiting => Ok(Some(waiting?)),
        }
    }

    /// Ends the upload if the file that waits under its name holds the same bytes and seams: that one stays as it is, durable.
    /// Whether it did; if not, nothing has changed.
    ///
    /// # Errors
    /// The medium's.
    pub fn end_as_waiting(&mut self) -> Result<bool, SpoolError> {
        let ended = self.in_turn(|upload| {
            let (drop, name) = upload.key.clone();
            let folder = upload.folders.drop_folder(drop)?;
            let Some(waiting) = upload.open_waiting()? else { return Ok(false) };
            let (stat, notes) = (rustix::fs::fstat(&waiting)?, upload.folders.notes()?);
            let is_alike = dir::is_file(&stat) && upload.coverage.whole() && dir::size(&stat) == upload.coverage.size();
            if !is_alike || notes.read(dir::identity(&stat).1)?.seams != upload.coverage.seams() || !same(&waiting, &upload.file)? {
                return Ok(false);
            }
            // One that an operator moved in may be on no disk yet.
            waiting.sync_all()?;
            folder.sync()?;
            upload.folders.remove_staged(&upload.folders.staging(drop)?, &notes, &name)?;
            Ok(true)
        })?;
        if ended {
            self.finish();
        }
        Ok(ended)
    }
}

/// Whether a file holds these bytes there.
fn holds(file: &File, offset: u64, bytes: &[u8]) -> io::Result<bool> {
    let mut held = vec![0; PIECE_BYTES.min(bytes.len())];
    for (piece, at) in bytes.chunks(PIECE_BYTES).zip((offset..).step_by(PIECE_BYTES)) {
        let held = &mut held[..piece.len()];
        match file.read_exact_at(held, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if held != piece {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two files hold the same bytes.
fn same(a: &File, b: &File) -> io::Result<bool> {
    let (mut from_a, mut from_b, mut at) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES], 0);
    loop {
        let count = a.read_at(&mut from_a, at)?;
        if count == 0 {
            return Ok(b.read_at(&mut from_b[..1], at)? == 0);
        }
        match b.read_exact_at(&mut from_b[..count], at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if from_a[..count] != from_b[..count] {
            return Ok(false);
        }
        at += count as u64;
    }
}
