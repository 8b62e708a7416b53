//! Receiving: a file that a client is writing, until it is delivered or stays a partial.
//!
//! Only a close of a gap-free write delivers. A handle that is dropped leaves its gap-free part, to be resumed. OK on a
//! close means durable: the file synced, its note written, renamed, and the folder it arrived in synced.

mod again;
pub(super) mod resume;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use self::resume::HeldBack;
use super::coverage::Coverage;
use super::dir::{self, Dir, Durable};
use super::notes::{Note, SEAMS_MAX};
use super::writers::{Key, Slot};
use super::{DropFolder, Entry, Folders, SpoolError};
use crate::domain::{FileName, NameKind};

/// How a client opens a file for writing. SFTP's flags, one to one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OpenUpload {
    /// Start over; else a partial is resumed.
    pub truncate: bool,
    /// Every write goes to the end.
    pub append: bool,
    /// Make it if it is not there.
    pub create: bool,
    /// Fail if it is there.
    pub exclusive: bool,
}

/// An open file in staging. Dropped without a close, its gap-free part stays as a partial.
#[derive(Debug)]
pub struct Upload {
    folders: Folders,
    key: Key,
    file: File,
    device: u64,
    inode: u64,
    slot: Option<Arc<Slot>>,
    writer: u64,
    append: bool,
    coverage: Coverage,
    /// What stands on disk about this file.
    note: Note,
    /// A file may wait under its name: one did when it was opened.
    over_waiting: bool,
    /// What is held back of a partial, until something is written or the size is set.
    held_back: Option<HeldBack>,
    /// Something was written or truncated by this handle.
    touched: bool,
    /// Its file lies in the drop folder by now, and is this handle's no more, whatever its close said.
    moved: bool,
    /// A sync failed: what is on disk is not what was written, and a second sync would hide it.
    broken: bool,
}

/// What a close did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Closed {
    /// It is in the drop folder, durably.
    Delivered(Delivered),
    /// Its name is temporary: it stays in staging until renamed.
    Kept,
}

/// Which file was delivered: the hint with which the pipeline need not wait for it to settle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivered {
    /// Into which folder.
    pub drop: DropFolder,
    /// Under which name.
    pub name: FileName,
    /// The device it is on.
    pub device: u64,
    /// Its inode number.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Last change of its bytes, nanoseconds since 1970.
    pub mtime_ns: i128,
}

impl Folders {
    /// Opens a file for writing. The newest open of a name wins: older handles fail from now on.
    ///
    /// # Errors
    /// [`SpoolError::AlreadyTaken`] without truncation on a delivered file; [`SpoolError::Exists`] if exclusive and there
    /// is one; [`SpoolError::NotFound`] if there is none and it is not to be made.
    pub fn open_upload(&self, drop: DropFolder, name: &FileName, open: OpenUpload) -> Result<Upload, SpoolError> {
        let key = (drop, name.clone());
        let slot = self.writers().slot(&key);
        let opened = {
            let mut turn = slot.lock();
            self.open_staged(&key, open).map(|opened| {
                let good = opened.held_back.map_or(opened.coverage.prefix(), |held_back| held_back.at);
                let writer = turn.take(good);
                (opened, writer)
            })
        };
        let (opened, writer) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.writers().release(&key, slot);
                return Err(error);
            }
        };
        let Opened { file, device, inode, coverage, note, over_waiting, held_back } = opened;
        let (folders, append, slot) = (self.clone(), open.append, Some(slot));
        let (touched, moved, broken) = (false, false, false);
        Ok(Upload {
            folders,
            key,
            file,
            device,
            inode,
            slot,
            writer,
            append,
            coverage,
            note,
            over_waiting,
            held_back,
            touched,
            moved,
            broken,
        })
    }

    fn open_staged(&self, (drop, name): &Key, open: OpenUpload) -> Result<Opened, SpoolError> {
        let staging = self.staging(*drop)?;
        let pending = name.kind() != NameKind::Temporary && self.drop_folder(*drop)?.stat(name.as_str())?.is_some();
        let partial = if open.truncate && open.create && !open.exclusive { None } else { staging.stat(name.as_str())? };
        if open.exclusive && open.create && (pending || partial.is_some()) {
            return Err(SpoolError::Exists);
        }
        if pending && !open.truncate {
            return Err(SpoolError::AlreadyTaken);
        }
        if !open.create && !pending && partial.is_none() {
            return Err(SpoolError::NotFound);
        }
        let notes = self.notes()?;
        if open.truncate || partial.is_none() {
            // A new inode: a superseded handle goes on with the old one, which has no name any more.
            let file = match staging.create(name.as_str()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.remove_staged(&staging, &notes, name)?;
                    staging.create(name.as_str())?
                }
                created => created?,
            };
            let (device, inode) = dir::identity(&rustix::fs::fstat(&file)?);
            notes.remove(inode)?;
            let (coverage, note) = (Coverage::fresh(), Note::default());
            return Ok(Opened { file, device, inode, coverage, note, over_waiting: pending, held_back: None });
        }
        let file = staging.open_write(name.as_str())?;
        let stat = rustix::fs::fstat(&file)?;
        if !dir::is_file(&stat) {
            return Err(SpoolError::NotAFile);
        }
        let (device, inode) = dir::identity(&stat);
        let note = notes.read(inode)?;
        let size = dir::size(&stat);
        let held_back = HeldBack::of(name, &file, size, &note)?;
        let good = resume::good(size, &note);
        if good < size {
            file.set_len(good)?;
        }
        let coverage = Coverage::resumed(good, &note.seams);
        Ok(Opened { file, device, inode, coverage, note, over_waiting: pending, held_back })
    }
}

struct Opened {
    file: File,
    device: u64,
    inode: u64,
    coverage: Coverage,
    note: Note,
    over_waiting: bool,
    held_back: Option<HeldBack>,
}

impl Upload {
    /// Writes bytes at an offset, or at the end if opened for appending. In any order; over each other, too.
    ///
    /// # Errors
    /// [`SpoolError::Superseded`] by a newer open. After any other error the range counts as missing until it is written.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SpoolError> {
        self.in_turn(|upload| {
            let offset = if upload.append { upload.size() } else { offset };
            let len = bytes.len() as u64;
            let written = upload.write_covered(offset, bytes);
            if written.is_err() {
                upload.coverage.lose(offset, len);
            }
            written
        })
    }

    /// Notes that the caller refused a write (a quota, say): the file cannot be delivered until the range is written.
    /// Without this, a client that ignores the refusal and closes would deliver a cut file.
    pub fn refuse_write(&mut self, offset: u64, len: u64) {
        let offset = if self.append { self.size() } else { offset };
        self.touched = true;
        // What is appended next must not be taken for the byte that is held back.
        self.held_back = None;
        self.coverage.lose(offset, len.max(1));
    }

    /// Where a write of so many bytes at this offset would end.
    #[must_use]
    pub fn end_of_write(&self, offset: u64, len: u64) -> u64 {
        (if self.append { self.size() } else { offset }).saturating_add(len)
    }

    fn write_covered(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SpoolError> {
        self.touched = true;
        let (offset, bytes) = self.take_up(offset, bytes);
        let len = bytes.len() as u64;
        if self.coverage.continues_at(offset) {
            self.file.write_all_at(bytes, offset)?;
            return self.coverage.write(offset, len).ok_or(SpoolError::Scattered);
        }
        let mut next = self.coverage.clone();
        next.write(offset, len).ok_or(SpoolError::Scattered)?;
        self.guard(&next)?;
        self.file.write_all_at(bytes, offset)?;
        self.coverage = next;
        Ok(())
    }

    /// Reads back, to compare. Short only at the end.
    ///
    /// # Errors
    /// The medium's.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SpoolError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(filled)
    }

    /// Sets the size. Beyond the end, what is missing is a gap until it is written.
    ///
    /// # Errors
    /// [`SpoolError::Superseded`] by a newer open.
    pub fn truncate(&mut self, len: u64) -> Result<(), SpoolError> {
        self.in_turn(|upload| {
            let mut next = upload.coverage.clone();
            next.truncate(len);
            upload.guard(&next)?;
            upload.touched = true;
            upload.held_back = None;
            // What is only promised takes no room: the size on disk grows by writes.
            upload.file.set_len(len.min(upload.file.metadata()?.len()))?;
            upload.coverage = next;
            Ok(())
        })
    }

    /// Its size now.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.held_back.map_or(self.coverage.size(), |held_back| held_back.at)
    }

    /// How many bytes are kept if it is cut here.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.coverage.abandoned_at()
    }

    /// The file as it is now. The time is that of the last write.
    #[must_use]
    pub fn entry(&self) -> Entry {
        let mtime_s = rustix::fs::fstat(&self.file).map_or(0, |stat| dir::mtime_ns(&stat) / 1_000_000_000);
        Entry::file(self.key.1.as_str(), self.size(), mtime_s)
    }

    /// Makes what was written so far outlive a power cut.
    ///
    /// # Errors
    /// After a failure the upload has failed, and its partial is removed.
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        self.in_turn(Self::sync_file)
    }

    /// Ends the upload: delivers it, or keeps it if its name is temporary. `waiting_status`, if there is one, becomes
    /// `status/NAME.json` right before delivery: whoever polls the status never takes the end of an earlier file for that of this one.
    ///
    /// After [`SpoolError::Pending`] it may be called again once the earlier file is claimed; after any other error, drop
    /// the upload.
    ///
    /// # Errors
    /// [`SpoolError::Gap`]: the gap-free part stays as a partial. [`SpoolError::Pending`]: an earlier file of this name is
    /// not claimed. [`SpoolError::Superseded`]: a newer open owns the name.
    pub fn close(&mut self, waiting_status: Option<&[u8]>) -> Result<Closed, SpoolError> {
        self.in_turn(|upload| {
            if !upload.coverage.whole() {
                return Err(SpoolError::Gap { at: upload.coverage.prefix() });
            }
            let lacking = upload.held_back.map(|held_back| held_back.at);
            if let Some(at) = upload.note.gap_from.filter(|_| !upload.touched).or(lacking) {
                return Err(SpoolError::Gap { at });
            }
            let (drop, name) = upload.key.clone();
            let temporary = name.kind() == NameKind::Temporary;
            let arrives = if temporary { None } else { Some(upload.folders.drop_folder(drop)?) };
            if let Some(folder) = &arrives
                && folder.stat(name.as_str())?.is_some()
            {
                return Err(SpoolError::Pending);
            }
            let Some(folder) = arrives else {
                upload.settle()?;
                return Ok(Closed::Kept);
            };
            // Before the sync, so that both writes share its journal commit; nobody can take the file earlier than the move.
            let folders = upload.folders.clone();
            let arrive = || upload.settle().and_then(|()| upload.deliver(&folder));
            folders.publish_arrival(&name, waiting_status, arrive).map(Closed::Delivered)
        })
        .inspect(|_| self.finish())
    }

    /// Bytes, and what must be known of them, on disk.
    fn settle(&mut self) -> Result<(), SpoolError> {
        self.sync_file()?;
        self.write_note(None, Durable::Yes)
    }

    fn deliver(&mut self, folder: &Dir) -> Result<Delivered, SpoolError> {
        let (drop, name) = self.key.clone();
        let mtime_ns = dir::mtime_ns(&rustix::fs::fstat(&self.file)?);
        let staging = self.folders.staging(drop)?;
        // Where an operator has put another folder there, what has the name in it is not what was written.
        if staging.stat(name.as_str())?.is_none_or(|staged| dir::identity(&staged) != (self.device, self.inode)) {
            return Err(SpoolError::Superseded);
        }
        match staging.move_to(name.as_str(), folder, name.as_str()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(SpoolError::Pending),
            moved => moved?,
        }
        self.moved = true;
        folder.sync()?;
        Ok(Delivered { drop, name, device: self.device, inode: self.inode, size: self.coverage.size(), mtime_ns })
    }

    /// Ends the upload and leaves nothing of it. Its room is free on return.
    ///
    /// # Errors
    /// [`SpoolError::Superseded`]: a newer open owns the name, and nothing of this one is left; or it is in the drop folder, and stays.
    pub fn discard(&mut self) -> Result<(), SpoolError> {
        let discarded = self.in_turn(|upload| {
            // Without a name it would take its room until it is closed.
            upload.file.set_len(0)?;
            upload.remove()
        });
        self.finish();
        discarded
    }

    /// Whether a newer open owns the name.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| !slot.lock().is(self.writer))
    }

    /// Runs while this handle is the name's writer, the file its own, and nobody else can become it.
    fn in_turn<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, SpoolError>) -> Result<T, SpoolError> {
        let Some(slot) = self.slot.clone() else { return Err(SpoolError::NotFound) };
        let mut turn = slot.lock();
        if self.moved || !turn.is(self.writer) {
            return Err(SpoolError::Superseded);
        }
        let done = run(self);
        // While the last byte is held back, it is not told of.
        turn.note(self.coverage.prefix().min(self.size()));
        done
    }

    /// Before a write that a kill must not make look whole or seamless: what would have to be known then is written.
    fn guard(&mut self, next: &Coverage) -> Result<(), SpoolError> {
        let (seams, unsafe_from) = (next.seams(), next.unsafe_from());
        let good = self.note.gap_from.unwrap_or(u64::MAX);
        let known = unsafe_from.unwrap_or(u64::MAX) >= good;
        let told = seams.iter().filter(|&&seam| seam < good).all(|seam| self.note.seams.contains(seam));
        if known && told {
            return Ok(());
        }
        let gap_from = self.note.gap_from.into_iter().chain(unsafe_from).min();
        self.store_note(Note { seams, gap_from }, Durable::Yes)
    }

    /// What is known at the end of this handle.
    fn write_note(&mut self, gap_from: Option<u64>, durable: Durable) -> Result<(), SpoolError> {
        self.store_note(Note { seams: self.coverage.seams(), gap_from }, durable)
    }

    fn store_note(&mut self, note: Note, durable: Durable) -> Result<(), SpoolError> {
        if note.seams.len() > SEAMS_MAX {
            return Err(SpoolError::Scattered);
        }
        if note != self.note {
            self.folders.notes()?.write(self.inode, &note, durable)?;
            self.note = note;
        }
        Ok(())
    }

    fn sync_file(&mut self) -> Result<(), SpoolError> {
        if self.broken {
            return Err(SpoolError::Medium(io::Error::other("an earlier sync failed")));
        }
        self.broken = true;
        self.file.sync_all()?;
        self.broken = false;
        Ok(())
    }

    /// Leaves what is good, and says so if that is not all that was sent. Nothing is synced: a note that says less is more careful.
    fn abandon(&mut self) -> Result<(), SpoolError> {
        if self.broken {
            return self.remove();
        }
        if !self.touched {
            return Ok(());
        }
        let (cut, size) = (self.coverage.abandoned_at(), self.coverage.size());
        if cut < size {
            self.file.set_len(cut)?;
            self.coverage.truncate(cut);
        }
        self.write_note((cut < size).then_some(cut), Durable::No)
    }

    fn remove(&self) -> Result<(), SpoolError> {
        let (drop, name) = &self.key;
        self.folders.remove_staged(&self.folders.staging(*drop)?, &self.folders.notes()?, name)
    }

    /// Gives the name free.
    fn finish(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        {
            let mut turn = slot.lock();
            if turn.is(self.writer) {
                turn.end();
            }
        }
        self.folders.writers().release(&self.key, slot);
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Nobody is left to tell of a failure; what stands on disk then is the more careful note.
        let _ = self.in_turn(Self::abandon);
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use crate::spool::dir::Dir;
    use crate::spool::testing::{NEW, World};
    use crate::spool::{ErrorKind, Upload};

    #[test]
    fn a_delivered_file_stays_whole_when_the_sync_of_its_folder_fails() {
        let ends: [fn(&mut Upload); 4] = [
            |upload| assert_eq!(upload.discard().expect_err("not its own").kind(), ErrorKind::Superseded),
            |upload| assert_eq!(upload.truncate(0).expect_err("not its own").kind(), ErrorKind::Superseded),
            |upload| assert_eq!(upload.write_at(0, b"b").expect_err("not its own").kind(), ErrorKind::Superseded),
            |upload| upload.broken = true,
        ];
        for end in ends {
            let world = World::new();
            let mut upload = world.open("june.csv", NEW);
            upload.write_at(0, b"a\n").expect("written");
            upload.settle().expect("synced");
            upload.deliver(&Dir::open_without_sync(&world.path("inbox")).expect("opened")).expect_err("not synced");
            end(&mut upload);
            drop(upload);
            assert_eq!(world.read("inbox/june.csv"), b"a\n");
        }
    }
}
