//! The complete files of a drop folder: listing them, and claiming one.
//!
//! The scan is the truth; whatever put a file there, it is listed. What cannot be claimed is a [`Problem`] for the operator.
//! Claiming a file that is gone or has changed is `None`, not an error.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;

use rustix::fs::Stat;

use super::claimed::{self, ClaimedFile};
use super::dir::{self, Dir};
use super::{Checksum, DropFolder, Folders, SpoolError};
use crate::domain::{FileName, FileNameError, ImportId, NameKind, may_hold_address};

/// A complete file that nobody has claimed, as it was when it was listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InboxFile {
    /// In which folder.
    pub drop: DropFolder,
    /// Its name.
    pub name: FileName,
    /// The device it is on.
    pub device: u64,
    /// Its inode number.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Last change of its bytes, nanoseconds since 1970. With the size: what must stand still for it to have settled.
    pub mtime_ns: i128,
    /// Last change of its inode, nanoseconds since 1970: no later than its arrival.
    pub ctime_ns: i128,
    /// Offsets where bytes of two uploads meet.
    pub seams: Vec<u64>,
}

/// A checksum file, and the name that it vouches for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sidecar {
    /// The checksum file itself; it is claimed like any other.
    pub file: InboxFile,
    /// For which file it speaks.
    pub vouches_for: FileName,
}

/// One listing of a drop folder.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scan {
    /// What can be claimed, sorted by name.
    pub files: Vec<InboxFile>,
    /// Checksum files, sorted by name.
    pub sidecars: Vec<Sidecar>,
    /// What cannot be claimed: the name as it may be shown, and why.
    pub problems: Vec<(String, Problem)>,
    /// Files under names that are not taken, a dot-file's or a temporary one: as they may be shown, and the last change of the
    /// inode, nanoseconds since 1970. Their writer may be about to rename them.
    pub passed_over: Vec<(String, i128)>,
    /// The folder was missing and has been made anew: it must be watched again.
    pub recreated: bool,
}

/// Why a thing in a drop folder stays there. Each says what the operator can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// A symbolic link.
    #[error("is a symbolic link: put the file itself here")]
    Symlink,
    /// A folder.
    #[error("is a folder: put its files here one by one")]
    Folder,
    /// A FIFO, a socket, a device.
    #[error("is no regular file: remove it")]
    Special,
    /// A hard link: whoever holds the other name could change the file while it is read.
    #[error("has more than one link: remove the other name, or put a copy here")]
    Links,
    /// Cannot be opened.
    #[error("cannot be opened: make it readable for the daemon's user")]
    Unreadable,
    /// Its name is none that could be uploaded.
    #[error("cannot be taken: {0}; rename it")]
    Name(FileNameError),
}

impl Folders {
    /// Lists a drop folder, made anew if it is missing. Files with temporary names and dot-files are only named.
    ///
    /// # Errors
    /// If the folder itself cannot be read.
    pub fn scan(&self, drop: DropFolder) -> Result<Scan, SpoolError> {
        let (folder, recreated) = self.0.open.root()?.sub_or_make(drop.as_str())?;
        let noted: HashSet<u64> = self.notes()?.inodes()?.into_iter().collect();
        let mut scan = Scan { recreated, ..Scan::default() };
        for raw in folder.names()? {
            let name = match FileName::from_bytes(&raw) {
                Ok(name) if name.kind() == NameKind::Temporary => {
                    let stat = folder.stat(name.as_str())?.filter(dir::is_file);
                    scan.passed_over.extend(stat.map(|stat| (name.as_str().to_owned(), dir::ctime_ns(&stat))));
                    continue;
                }
                Ok(name) => name,
                Err(error) => {
                    scan.problems.push((shown(&folder, &raw), Problem::Name(error)));
                    continue;
                }
            };
            match self.look(&folder, drop, &name, &noted)? {
                Looked::File(file) => match name.vouched() {
                    Some(vouches_for) => scan.sidecars.push(Sidecar { file, vouches_for }),
                    None => scan.files.push(file),
                },
                Looked::Problem(problem) => scan.problems.push((name.as_str().to_owned(), problem)),
                Looked::Gone => {}
            }
        }
        Ok(scan)
    }

    fn look(&self, folder: &Dir, drop: DropFolder, name: &FileName, noted: &HashSet<u64>) -> Result<Looked, SpoolError> {
        let Some(mut stat) = folder.stat(name.as_str())? else { return Ok(Looked::Gone) };
        if let Some(problem) = not_a_file(&stat) {
            return Ok(Looked::Problem(problem));
        }
        if stat.st_nlink > 1 && self.drop_half_moved(drop, name, &stat)? {
            let Some(again) = folder.stat(name.as_str())? else { return Ok(Looked::Gone) };
            stat = again;
        }
        if stat.st_nlink > 1 {
            return Ok(Looked::Problem(Problem::Links));
        }
        if let Err(error) = folder.open_read(name.as_str()) {
            let gone = error.kind() == std::io::ErrorKind::NotFound;
            return Ok(if gone { Looked::Gone } else { Looked::Problem(Problem::Unreadable) });
        }
        let (device, inode) = dir::identity(&stat);
        let seams = if noted.contains(&inode) { self.notes()?.read(inode)?.seams } else { Vec::new() };
        let (size, mtime_ns, ctime_ns) = (dir::size(&stat), dir::mtime_ns(&stat), dir::ctime_ns(&stat));
        Ok(Looked::File(InboxFile { drop, name: name.clone(), device, inode, size, mtime_ns, ctime_ns, seams }))
    }

    /// A crash may leave a delivered file in both folders; it counts as delivered. Whether the other name was that one.
    fn drop_half_moved(&self, drop: DropFolder, name: &FileName, stat: &Stat) -> Result<bool, SpoolError> {
        self.writers().with(&(drop, name.clone()), |turn| {
            let staging = self.staging(drop)?;
            let staged = staging.stat(name.as_str())?;
            if turn.busy() || staged.is_none_or(|staged| dir::identity(&staged) != dir::identity(stat)) {
                return Ok(false);
            }
            Ok(staging.unlink(name.as_str())?)
        })
    }

    /// The checksum that stands beside a file now, though no listing may have shown it. Found under the two usual spellings
    /// of its ending; one that cannot be taken is passed over.
    ///
    /// # Errors
    /// The medium's.
    pub fn sidecar_of(&self, file: &InboxFile) -> Result<Option<Sidecar>, SpoolError> {
        let folder = self.drop_folder(file.drop)?;
        for ending in ["sha256", "SHA256"] {
            // A name that is too long for one has none.
            let Ok(name) = FileName::parse(&format!("{}.{ending}", file.name)) else { continue };
            if folder.stat(name.as_str())?.is_none() {
                continue;
            }
            let noted = self.notes()?.inodes()?.into_iter().collect();
            if let Looked::File(found) = self.look(&folder, file.drop, &name, &noted)? {
                return Ok(Some(Sidecar { file: found, vouches_for: file.name.clone() }));
            }
        }
        Ok(None)
    }

    /// Reads what a checksum file that is not claimed says. `None`: nothing that can be told for sure.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`] if it is gone.
    pub fn read_checksum(&self, sidecar: &Sidecar) -> Result<Option<Checksum>, SpoolError> {
        let file: File = self.drop_folder(sidecar.file.drop)?.open_read(sidecar.file.name.as_str())?;
        Ok(Checksum::read(file, &sidecar.vouches_for)?)
    }

    /// Takes a file for an import: from now on it is ours. Durable on return. `None` if it is gone or is not the file
    /// that was listed. A sidecar is claimed under the same import.
    ///
    /// # Errors
    /// [`SpoolError::Exists`] if the import has a file of this name already.
    pub fn claim(&self, file: &InboxFile, import: ImportId) -> Result<Option<ClaimedFile>, SpoolError> {
        let (folder, processing) = (self.drop_folder(file.drop)?, self.folder("processing")?);
        let name = file.name.as_str();
        let listed = |stat: &Stat| {
            let now = (dir::identity(stat), dir::size(stat), dir::mtime_ns(stat));
            now == ((file.device, file.inode), file.size, file.mtime_ns) && stat.st_nlink == 1 && dir::is_file(stat)
        };
        if !folder.stat(name)?.is_some_and(|stat| listed(&stat)) {
            return Ok(None);
        }
        let claimed_name = claimed::name_of(import, &file.name);
        match folder.move_to(name, &processing, &claimed_name) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            moved => moved?,
        }
        if !processing.stat(&claimed_name)?.is_some_and(|stat| listed(&stat)) {
            // Another file took the name between the look and the move. If by now a third one has, ours waits under its
            // claimed name for the recovery.
            processing.move_to(&claimed_name, &folder, name)?;
            return Ok(None);
        }
        processing.sync()?;
        folder.sync()?;
        Ok(Some(ClaimedFile::new(self.clone(), import, file.name.clone(), file.size, file.inode, file.seams.clone())))
    }
}

enum Looked {
    File(InboxFile),
    Problem(Problem),
    Gone,
}

fn not_a_file(stat: &Stat) -> Option<Problem> {
    use rustix::fs::FileType;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Symlink => Some(Problem::Symlink),
        FileType::Directory => Some(Problem::Folder),
        _ => Some(Problem::Special),
    }
}

/// A name that is not valid, for the operator's eyes. One that may hold an address is told by inode number.
fn shown(folder: &Dir, raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    if !may_hold_address(&text) {
        let text: String = text.escape_default().collect();
        return Shortened(&text).to_string();
    }
    let found = std::str::from_utf8(raw).ok().and_then(|name| folder.stat(name).ok().flatten());
    found.map_or_else(|| "(a name that may hold an address)".to_owned(), |stat| format!("(inode {})", dir::identity(&stat).1))
}

struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(100).map_or(self.0.len(), |(at, _)| at);
        f.write_str(&self.0[..end])?;
        if end < self.0.len() { f.write_str("…") } else { Ok(()) }
    }
}
