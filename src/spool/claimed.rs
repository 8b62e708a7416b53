//! Files in `processing/`: owned by an import, named `ID-NAME`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};

use super::dir::{self, Dir};
use super::{DropFolder, Folders, SpoolError};
use crate::domain::{FileName, ImportId};

/// A file that this daemon owns. Its move to the archive or to the rejected files consumes it (see [`super::End`]).
#[derive(Debug)]
pub struct ClaimedFile {
    pub(super) folders: Folders,
    import: ImportId,
    name: FileName,
    size: u64,
    pub(super) inode: u64,
    seams: Vec<u64>,
}

impl Folders {
    /// What stands in `processing/`, by import: what a start finds.
    ///
    /// # Errors
    /// The medium's.
    pub fn claimed(&self) -> Result<Vec<ClaimedFile>, SpoolError> {
        let processing = self.folder("processing")?;
        let mut files = Vec::new();
        for raw in processing.names()? {
            if let Some((import, name)) = parse_name(&raw) {
                files.extend(self.claimed_in(&processing, import, name)?);
            }
        }
        files.sort_by(|a, b| (a.import.0, a.name.as_str()).cmp(&(b.import.0, b.name.as_str())));
        Ok(files)
    }

    /// One claimed file. `None` if it is not in `processing/`.
    ///
    /// # Errors
    /// The medium's.
    pub fn claimed_file(&self, import: ImportId, name: &FileName) -> Result<Option<ClaimedFile>, SpoolError> {
        self.claimed_in(&self.folder("processing")?, import, name.clone())
    }

    pub(super) fn claimed_in(&self, processing: &Dir, import: ImportId, name: FileName) -> Result<Option<ClaimedFile>, SpoolError> {
        let Some(stat) = processing.stat(&name_of(import, &name))?.filter(dir::is_file) else { return Ok(None) };
        let inode = dir::identity(&stat).1;
        let seams = self.notes()?.read(inode)?.seams;
        Ok(Some(ClaimedFile::new(self.clone(), import, name, dir::size(&stat), inode, seams)))
    }

    /// Takes bytes that came by hand (a command's file) as a claimed file. Durable on return; before it, nothing is there.
    ///
    /// # Errors
    /// [`SpoolError::Exists`] if the import has a file of this name already.
    pub fn adopt(&self, import: ImportId, name: &FileName, mut from: impl Read) -> Result<ClaimedFile, SpoolError> {
        let processing = self.folder("processing")?;
        let temporary = format!(".{import}.adopt");
        let mut file = processing.create_over(&temporary)?;
        let copied = io::copy(&mut from, &mut file).and_then(|_| file.sync_all());
        let moved = copied.and_then(|()| processing.move_to(&temporary, &processing, &name_of(import, name)));
        if let Err(error) = moved {
            processing.unlink(&temporary)?;
            return Err(error.into());
        }
        processing.sync()?;
        let stat = rustix::fs::fstat(&file)?;
        let inode = dir::identity(&stat).1;
        self.notes()?.remove(inode)?;
        Ok(ClaimedFile::new(self.clone(), import, name.clone(), dir::size(&stat), inode, Vec::new()))
    }

    /// Removes what killed writers left behind: half-written files of ours, and notes of files that are gone. For the
    /// start, before anything else uses the folders.
    ///
    /// # Errors
    /// The medium's.
    pub fn sweep(&self) -> Result<(), SpoolError> {
        let staging = self.folder("staging")?;
        let held = self.folder("held")?;
        let mut folders = vec![self.folder("processing")?];
        for drop in DropFolder::ALL {
            folders.extend([self.drop_folder(drop)?, self.staging(drop)?]);
        }
        for day in held.names()? {
            folders.extend(std::str::from_utf8(&day).ok().and_then(|day| held.sub(day).ok()));
        }
        for ours in [self.folder("status")?, staging.sub_or_make("notes")?.0, self.folder("processing")?] {
            for raw in ours.names()?.iter().filter(|raw| raw[0] == b'.') {
                if let Ok(name) = std::str::from_utf8(raw) {
                    ours.unlink(name)?;
                }
            }
        }
        let notes = self.notes()?;
        let noted = notes.inodes()?;
        if noted.is_empty() {
            return Ok(());
        }
        let mut alive = HashSet::new();
        for folder in folders {
            for raw in folder.names()? {
                let stat = std::str::from_utf8(&raw).ok().map(|name| folder.stat(name)).transpose()?.flatten();
                alive.extend(stat.map(|stat| dir::identity(&stat).1));
            }
        }
        for inode in noted.into_iter().filter(|inode| !alive.contains(inode)) {
            notes.remove(inode)?;
        }
        Ok(())
    }
}

impl ClaimedFile {
    pub(super) fn new(folders: Folders, import: ImportId, name: FileName, size: u64, inode: u64, seams: Vec<u64>) -> Self {
        Self { folders, import, name, size, inode, seams }
    }

    /// Whose it is.
    #[must_use]
    pub fn import(&self) -> ImportId {
        self.import
    }

    /// The name under which it came.
    #[must_use]
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Offsets where bytes of two uploads meet.
    #[must_use]
    pub fn seams(&self) -> &[u64] {
        &self.seams
    }

    /// Opens it for reading, from the start.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`] if someone took it away.
    pub fn open(&self) -> Result<File, SpoolError> {
        Ok(self.folders.folder("processing")?.open_read(&name_of(self.import, &self.name))?)
    }

    /// Gives it back to a drop folder, where nothing knows its import. `false`: the name is taken there, it stays.
    ///
    /// # Errors
    /// The medium's.
    pub fn put_back(self, drop: DropFolder) -> Result<bool, SpoolError> {
        let (processing, folder) = (self.folders.folder("processing")?, self.folders.drop_folder(drop)?);
        match processing.move_to(&name_of(self.import, &self.name), &folder, self.name.as_str()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            moved => moved?,
        }
        folder.sync()?;
        processing.sync()?;
        Ok(true)
    }
}

/// `42-june.csv`
pub(super) fn name_of(import: ImportId, name: &FileName) -> String {
    format!("{import}-{name}")
}

pub(super) fn parse_name(raw: &[u8]) -> Option<(ImportId, FileName)> {
    let (id, name) = std::str::from_utf8(raw).ok()?.split_once('-')?;
    let import = ImportId(id.parse().ok()?);
    let name = FileName::parse(name).ok()?;
    // `+42-x` and `042-x` parse as well, but are not what we write.
    (name_of(import, &name).as_bytes() == raw).then_some((import, name))
}
