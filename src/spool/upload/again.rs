//! An upload that says again what waits already: the retry of a sender who was cut before all was sent, or heard no answer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Upload;
use crate::spool::{SpoolError, dir};

/// Bytes that are compared at once.
const PIECE_BYTES: usize = 128 * 1024;

impl Upload {
    /// Ends the upload if the file that waits under its name holds the same bytes and seams: that one stays as it is, durable.
    /// Whether it did; if not, nothing has changed.
    ///
    /// # Errors
    /// The medium's.
    pub fn end_as_waiting(&mut self) -> Result<bool, SpoolError> {
        let ended = self.in_turn(|upload| {
            let (drop, name) = upload.key.clone();
            let folder = upload.folders.drop_folder(drop)?;
            let waiting = match folder.open_read(name.as_str()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                waiting => waiting?,
            };
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
