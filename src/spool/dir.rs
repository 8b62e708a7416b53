//! A folder by its descriptor, and the only calls that make, move and remove what is in it.
//!
//! Names are single components and links are never followed, so an operation cannot leave its folder.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, StatVfs};
use rustix::io::Errno;

/// An open folder. Cheap to clone; closed with the last clone.
#[derive(Clone, Debug)]
pub(super) struct Dir(Arc<OwnedFd>);

/// Whether a write must outlive a power cut before the call returns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Durable {
    Yes,
    No,
}

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::RDONLY);
/// `NONBLOCK`: a FIFO put here must not stop the daemon.
const EXISTING: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
const FOLDER_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

impl Dir {
    /// The root of all folders: the one path; links in it are the operator's.
    pub(super) fn open_root(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(fs::open(path, FOLDER, Mode::empty())?)))
    }

    /// A folder that files can be moved into, and whose sync fails.
    #[cfg(test)]
    pub(super) fn open_without_sync(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(fs::open(path, FOLDER | OFlags::PATH, Mode::empty())?)))
    }

    pub(super) fn sub(&self, name: &str) -> io::Result<Self> {
        Ok(Self(Arc::new(fs::openat(&self.0, component(name)?, FOLDER | OFlags::NOFOLLOW, Mode::empty())?)))
    }

    /// The folder, made (0700, durable) where it is missing; whether it was made.
    pub(super) fn sub_or_make(&self, name: &str) -> io::Result<(Self, bool)> {
        match self.sub(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return Ok((found?, false)),
        }
        match fs::mkdirat(&self.0, component(name)?, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.sync()?;
        Ok((self.sub(name)?, true))
    }

    /// What stands under a name; a link is itself.
    pub(super) fn stat(&self, name: &str) -> io::Result<Option<Stat>> {
        stat_at(&*self.0, Path::new(component(name)?))
    }

    pub(super) fn identity(&self) -> io::Result<(u64, u64)> {
        Ok(identity(&self.own_stat()?))
    }

    pub(super) fn own_stat(&self) -> io::Result<Stat> {
        Ok(fs::fstat(&self.0)?)
    }

    /// The room of the file system that it is on.
    pub(super) fn room(&self) -> io::Result<StatVfs> {
        Ok(fs::fstatvfs(&self.0)?)
    }

    pub(super) fn open_read(&self, name: &str) -> io::Result<File> {
        Ok(fs::openat(&self.0, component(name)?, EXISTING | OFlags::RDONLY, Mode::empty())?.into())
    }

    pub(super) fn open_write(&self, name: &str) -> io::Result<File> {
        Ok(fs::openat(&self.0, component(name)?, EXISTING | OFlags::RDWR, Mode::empty())?.into())
    }

    /// Makes a file (0600) that did not exist.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&self.0, component(name)?, flags, FILE_MODE)?.into())
    }

    /// Makes a file for appending, or opens it.
    pub(super) fn open_append(&self, name: &str) -> io::Result<File> {
        let flags = EXISTING | OFlags::CREATE | OFlags::WRONLY | OFlags::APPEND;
        Ok(fs::openat(&self.0, component(name)?, flags, FILE_MODE)?.into())
    }

    /// Makes a file of ours anew; what a crash left under the name goes.
    pub(super) fn create_over(&self, name: &str) -> io::Result<File> {
        self.unlink(name)?;
        self.create(name)
    }

    /// Removes a file; whether there was one.
    pub(super) fn unlink(&self, name: &str) -> io::Result<bool> {
        match fs::unlinkat(&self.0, component(name)?, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes an empty folder.
    pub(super) fn remove_folder(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, component(name)?, AtFlags::REMOVEDIR)?)
    }

    /// Moves to a name that is free, else fails with `EXIST`.
    pub(super) fn move_to(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        Ok(fs::renameat_with(&self.0, component(name)?, &to.0, component(to_name)?, RenameFlags::NOREPLACE)?)
    }

    /// Moves, replacing what is there.
    pub(super) fn move_over(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.0, component(name)?, &to.0, component(to_name)?)?)
    }

    /// Replaces a file by one with these bytes: readers see the old one or the new one. Where it fails, nothing is left beside it.
    pub(super) fn replace(&self, name: &str, bytes: &[u8], durable: Durable) -> io::Result<()> {
        let temporary = format!(".{name}.tmp");
        let mut file = self.create_over(&temporary)?;
        let moved = file
            .write_all(bytes)
            .and_then(|()| if durable == Durable::Yes { file.sync_all() } else { Ok(()) })
            .and_then(|()| self.move_over(&temporary, self, name));
        if moved.is_err() {
            // What cannot be removed either goes with the next write under the name.
            let _ = self.unlink(&temporary);
        }
        moved?;
        if durable == Durable::Yes { self.sync() } else { Ok(()) }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.0)?)
    }

    /// The raw names, without `.` and `..`, sorted.
    pub(super) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Which folder stands at a path, if one does. Only ever compared: a link on the way is followed.
pub(super) fn identity_at(path: &Path) -> io::Result<Option<(u64, u64)>> {
    Ok(stat_at(fs::CWD, path)?.as_ref().map(identity))
}

fn stat_at(below: impl AsFd, path: &Path) -> io::Result<Option<Stat>> {
    match fs::statat(below, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Refuses what could name something outside the folder. Names come from types that exclude it; this is the second lock.
fn component(name: &str) -> io::Result<&str> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) { Err(Errno::INVAL.into()) } else { Ok(name) }
}

pub(super) fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

pub(super) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

/// Last change of the bytes, in nanoseconds since 1970.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // the fields' types differ between platforms
pub(super) fn mtime_ns(stat: &Stat) -> i128 {
    stat.st_mtime as i128 * 1_000_000_000 + stat.st_mtime_nsec as i128
}

/// Last change of the inode, in nanoseconds since 1970.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // the fields' types differ between platforms
pub(super) fn ctime_ns(stat: &Stat) -> i128 {
    stat.st_ctime as i128 * 1_000_000_000 + stat.st_ctime_nsec as i128
}

/// Device and inode: which file it is, whatever its name.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // the fields' types differ between platforms
pub(super) fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}
