//! What a sender sees in a drop folder and does there: stat, list, remove, rename; and what is left of cut uploads.
//!
//! A pending file and a partial of one name may both exist; the pending one is seen. Cut uploads under a final name are
//! not listed, only found by `stat`, so that a client can resume them.

use super::dir::{self, Dir};
use super::notes::{Note, Notes};
use super::upload::resume;
use super::{DropFolder, Folders, SpoolError};
use crate::domain::{FileName, NameKind};

/// A file or a folder, as a client asks for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size in bytes; 0 for a folder.
    pub size: u64,
    /// Last change of its bytes, seconds since 1970.
    pub mtime_s: i64,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// An unfinished upload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Partial {
    /// Meant for this folder.
    pub drop: DropFolder,
    /// Under this name.
    pub name: FileName,
    /// Bytes on disk.
    pub size: u64,
    /// Last write, seconds since 1970.
    pub mtime_s: i64,
    inode: u64,
}

/// Whether a rename may replace what has the new name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replace {
    /// SFTP's RENAME.
    Never,
    /// `posix-rename@openssh.com`: the sender's own file, if it is not claimed.
    OwnPending,
}

/// What a rename did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Renamed {
    /// It lies in staging, or is where it was.
    Kept,
    /// It stands in a drop folder under its new name, durably.
    Delivered(super::Delivered),
}

/// A rename, and what it did to files that were delivered and waited.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moved {
    /// Where it lies now.
    pub renamed: Renamed,
    /// It was such a file itself.
    pub waited: bool,
    /// Such a file stood under the new name, and is gone.
    pub replaced: bool,
}

/// What a removal took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Removed {
    /// A delivered file that waited.
    Pending,
    /// An unfinished upload.
    Partial,
    /// An unfinished upload; the delivered file of its name waits still.
    PartialOnly,
}

impl Entry {
    pub(super) fn file(name: &str, size: u64, mtime_s: i128) -> Self {
        Self { name: name.to_owned(), size, mtime_s: i64::try_from(mtime_s).unwrap_or_default(), is_dir: false }
    }

    /// `None` for what is neither file nor folder.
    pub(super) fn of(name: &str, stat: &rustix::fs::Stat) -> Option<Self> {
        let entry = Self::file(name, dir::size(stat), dir::mtime_ns(stat) / 1_000_000_000);
        match (dir::is_file(stat), dir::is_folder(stat)) {
            (true, _) => Some(entry),
            (_, true) => Some(Self { size: 0, is_dir: true, ..entry }),
            _ => None,
        }
    }
}

impl Folders {
    /// A pending file, else a partial. `None` if there is neither.
    ///
    /// # Errors
    /// The medium's.
    pub fn stat(&self, drop: DropFolder, name: &FileName) -> Result<Option<Entry>, SpoolError> {
        self.stat_counting(drop, name, |_, size, note| resume::good(size, note))
    }

    /// The same for who is not writing it: of a partial, what counts for who resumes it.
    ///
    /// # Errors
    /// The medium's.
    pub fn stat_to_resume(&self, drop: DropFolder, name: &FileName) -> Result<Option<Entry>, SpoolError> {
        self.stat_counting(drop, name, resume::counted)
    }

    /// The upload of a name that somebody has open, with what has come of it without a gap by now: its note still says where one was
    /// before. `None` if there is none, or if a file waits under the name, which is what is seen there.
    ///
    /// # Errors
    /// The medium's.
    pub fn stat_written(&self, drop: DropFolder, name: &FileName) -> Result<Option<Entry>, SpoolError> {
        let Some(good) = self.writers().with(&(drop, name.clone()), |turn| turn.good()) else { return Ok(None) };
        if name.kind() != NameKind::Temporary && self.drop_folder(drop)?.stat(name.as_str())?.is_some() {
            return Ok(None);
        }
        staged_entry(&self.staging(drop)?, &self.notes()?, name, |_, _, _| good)
    }

    /// Whether somebody has an upload of the name open.
    #[must_use]
    pub fn is_written(&self, drop: DropFolder, name: &FileName) -> bool {
        self.writers().with(&(drop, name.clone()), |turn| turn.busy())
    }

    /// `count`: how many bytes of a partial are told of, by its name, its size on disk and its note.
    fn stat_counting(
        &self,
        drop: DropFolder,
        name: &FileName,
        count: impl Fn(&FileName, u64, &Note) -> u64,
    ) -> Result<Option<Entry>, SpoolError> {
        if name.kind() != NameKind::Temporary
            && let Some(stat) = self.drop_folder(drop)?.stat(name.as_str())?
        {
            return Ok(Entry::of(name.as_str(), &stat).filter(|entry| !entry.is_dir));
        }
        staged_entry(&self.staging(drop)?, &self.notes()?, name, count)
    }

    /// The bytes of a partial of the name, or of one that is being written, beside what may be pending. `None` if there is neither.
    ///
    /// # Errors
    /// The medium's.
    pub fn partial_bytes(&self, drop: DropFolder, name: &FileName) -> Result<Option<u64>, SpoolError> {
        Ok(self.staging(drop)?.stat(name.as_str())?.as_ref().map(dir::size))
    }

    /// Opens a pending file, else a partial, for reading. Of a partial, the bytes up to the entry's size are good.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`] if there is neither, [`SpoolError::NotAFile`] for a folder or a device.
    pub fn open_back(&self, drop: DropFolder, name: &FileName) -> Result<(std::fs::File, Entry), SpoolError> {
        let pending = if name.kind() == NameKind::Temporary { None } else { self.drop_folder(drop)?.stat(name.as_str())? };
        let folder = if pending.is_some() { self.drop_folder(drop)? } else { self.staging(drop)? };
        let file = folder.open_read(name.as_str())?;
        let stat = rustix::fs::fstat(&file)?;
        if !dir::is_file(&stat) {
            return Err(SpoolError::NotAFile);
        }
        let mut entry = Entry::file(name.as_str(), dir::size(&stat), dir::mtime_ns(&stat) / 1_000_000_000);
        if pending.is_none() {
            entry.size = entry.size.min(self.notes()?.read(dir::identity(&stat).1)?.gap_from.unwrap_or(u64::MAX));
        }
        Ok((file, entry))
    }

    /// Pending files, and partials under temporary names; sorted by name.
    ///
    /// # Errors
    /// The medium's.
    pub fn list(&self, drop: DropFolder) -> Result<Vec<Entry>, SpoolError> {
        let (folder, staging, notes) = (self.drop_folder(drop)?, self.staging(drop)?, self.notes()?);
        let mut entries = Vec::new();
        for name in shown_names(&folder)?.filter(|name| name.kind() != NameKind::Temporary) {
            let stat = folder.stat(name.as_str())?;
            entries.extend(stat.and_then(|stat| Entry::of(name.as_str(), &stat)).filter(|entry| !entry.is_dir));
        }
        for name in shown_names(&staging)?.filter(|name| name.kind() == NameKind::Temporary) {
            entries.extend(staged_entry(&staging, &notes, &name, resume::counted)?);
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Removes the partial of this name, or where there is none the pending file. Durable on return: a file that was withdrawn does
    /// not come back. Its status still tells of it until a scan sees that it is gone.
    ///
    /// The partial goes first because clients clean up after an upload that was refused: they mean that one, and not the file that was
    /// delivered before.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`] if there is neither; claimed files are out of reach.
    pub fn remove(&self, drop: DropFolder, name: &FileName) -> Result<Removed, SpoolError> {
        self.writers().with(&(drop, name.clone()), |turn| {
            let (folder, staging, notes) = (self.drop_folder(drop)?, self.staging(drop)?, self.notes()?);
            let pending = if name.kind() == NameKind::Temporary { None } else { folder.stat(name.as_str())? };
            if staging.stat(name.as_str())?.is_some() {
                turn.end();
                self.remove_staged(&staging, &notes, name)?;
                return Ok(if pending.is_some() { Removed::PartialOnly } else { Removed::Partial });
            }
            // Where it is gone by now, the claim was quicker.
            let stat = pending.ok_or(SpoolError::NotFound)?;
            if !folder.unlink(name.as_str())? {
                return Err(SpoolError::NotFound);
            }
            folder.sync()?;
            notes.remove(dir::identity(&stat).1)?;
            turn.end();
            Ok(Removed::Pending)
        })
    }

    /// All unfinished uploads, those being written included: for quotas and expiry.
    ///
    /// # Errors
    /// The medium's.
    pub fn partials(&self) -> Result<Vec<Partial>, SpoolError> {
        let mut partials = Vec::new();
        for drop in DropFolder::ALL {
            let staging = self.staging(drop)?;
            for raw in staging.names()? {
                let Ok(name) = FileName::from_bytes(&raw) else { continue };
                let Some(stat) = staging.stat(name.as_str())?.filter(dir::is_file) else { continue };
                let Entry { size, mtime_s, .. } = Entry::file("", dir::size(&stat), dir::mtime_ns(&stat) / 1_000_000_000);
                partials.push(Partial { drop, name, size, mtime_s, inode: dir::identity(&stat).1 });
            }
        }
        Ok(partials)
    }

    /// Removes a partial that nobody has touched since it was listed. Whether it did.
    ///
    /// # Errors
    /// The medium's.
    pub fn expire_partial(&self, partial: &Partial) -> Result<bool, SpoolError> {
        self.writers().with(&(partial.drop, partial.name.clone()), |turn| {
            let staging = self.staging(partial.drop)?;
            let same = staging.stat(partial.name.as_str())?.is_some_and(|stat| {
                let entry = Entry::file("", dir::size(&stat), dir::mtime_ns(&stat) / 1_000_000_000);
                (dir::identity(&stat).1, entry.size, entry.mtime_s) == (partial.inode, partial.size, partial.mtime_s)
            });
            if turn.busy() || !same {
                return Ok(false);
            }
            self.remove_staged(&staging, &self.notes()?, &partial.name)?;
            Ok(true)
        })
    }

    /// Removes a staged file and its note. The slot of the name must be held.
    pub(super) fn remove_staged(&self, staging: &Dir, notes: &Notes, name: &FileName) -> Result<(), SpoolError> {
        if let Some(stat) = staging.stat(name.as_str())? {
            staging.unlink(name.as_str())?;
            notes.remove(dir::identity(&stat).1)?;
        }
        Ok(())
    }
}

fn staged_entry(
    staging: &Dir,
    notes: &Notes,
    name: &FileName,
    count: impl Fn(&FileName, u64, &Note) -> u64,
) -> Result<Option<Entry>, SpoolError> {
    let Some(stat) = staging.stat(name.as_str())?.filter(dir::is_file) else { return Ok(None) };
    let size = count(name, dir::size(&stat), &notes.read(dir::identity(&stat).1)?);
    Ok(Some(Entry::file(name.as_str(), size, dir::mtime_ns(&stat) / 1_000_000_000)))
}

/// The valid names in a folder that a listing shows: not those that begin with a dot.
fn shown_names(folder: &Dir) -> Result<impl Iterator<Item = FileName>, SpoolError> {
    Ok(folder.names()?.into_iter().filter(|raw| raw[0] != b'.').filter_map(|raw| FileName::from_bytes(&raw).ok()))
}
