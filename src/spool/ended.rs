//! Where a claimed file ends: `archive/DAY/ID-NAME`, `rejected/DAY/ID-NAME`; or waits: `held/DAY/ID-NAME`.
//!
//! Its companions (report, results) are written and durable first, so where the file is, its report is; and a companion's
//! signature before the companion, so where a report is, its signature is. A signature never stands beside a text that it was not
//! made for. Each step can be done again after a kill, with the same outcome; nothing is overwritten.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use jiff::civil::Date;

use super::claimed::{self, ClaimedFile};
use super::dir::{self, Dir};
use super::{Folders, SpoolError};
use crate::domain::{FileName, ImportId};

/// Where a file goes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum End {
    /// Processed.
    Archive,
    /// Refused.
    Rejected,
    /// Waits for an operator.
    Held,
}

/// A file that is written beside an archived one.
pub struct Companion<'a> {
    /// What is added to the file's name: `.report.json`, `.results.csv`.
    pub suffix: &'a str,
    /// Writes its bytes. Writing again gives the same bytes.
    pub write: &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    /// What stands beside it under its name and [`SIGNATURE`]; what it says is not known here.
    pub signature: Option<&'a [u8]>,
}

/// What is added to a companion's name for its signature.
pub const SIGNATURE: &str = ".sig";

/// A file that has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ArchivedFile {
    /// In which folder.
    pub end: End,
    /// The day's folder.
    pub day: Date,
    /// Its import.
    pub import: ImportId,
    /// The name under which it came.
    pub name: FileName,
}

impl End {
    /// The folder's name, for the sender and on disk.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Rejected => "rejected",
            Self::Held => "held",
        }
    }
}

impl ArchivedFile {
    /// The path as the sender sees it: `/archive/2026-11-21/42-june.csv`. A companion's is this and its suffix.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/{}/{}/{}", self.end.as_str(), self.day, claimed::name_of(self.import, &self.name))
    }
}

impl ClaimedFile {
    /// Moves the file to `archive/DAY`, after its companions. Durable on return. The file stays claimed on an error; get it
    /// again by [`Folders::claimed_file`].
    ///
    /// # Errors
    /// [`SpoolError::Differs`] if another companion of that name is there, [`SpoolError::Exists`] if another file is.
    pub fn archive(self, day: Date, companions: &mut [Companion<'_>]) -> Result<ArchivedFile, SpoolError> {
        self.end(End::Archive, day, companions)
    }

    /// Moves the file to `rejected/DAY`. As [`ClaimedFile::archive`].
    ///
    /// # Errors
    /// As [`ClaimedFile::archive`].
    pub fn reject(self, day: Date, companions: &mut [Companion<'_>]) -> Result<ArchivedFile, SpoolError> {
        self.end(End::Rejected, day, companions)
    }

    /// Moves the file to `held/DAY`, until [`Folders::unhold`]. Its companions may replace those of an earlier hold.
    ///
    /// # Errors
    /// As [`ClaimedFile::archive`].
    pub fn hold(self, day: Date, companions: &mut [Companion<'_>]) -> Result<ArchivedFile, SpoolError> {
        self.end(End::Held, day, companions)
    }

    fn end(self, end: End, day: Date, companions: &mut [Companion<'_>]) -> Result<ArchivedFile, SpoolError> {
        let place = ArchivedFile { end, day, import: self.import(), name: self.name().clone() };
        let folder = self.folders.write_beside(&place, companions)?;
        let processing = self.folders.folder("processing")?;
        let name = claimed::name_of(place.import, &place.name);
        match processing.move_to(&name, &folder, &name) {
            // In both folders, as a crash may leave it: it has arrived.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_inode(&folder, &name, self.inode)? => {
                processing.unlink(&name)?;
            }
            moved => moved?,
        }
        folder.sync()?;
        processing.sync()?;
        if end != End::Held {
            self.folders.notes()?.remove(self.inode)?;
        }
        Ok(place)
    }
}

impl Folders {
    /// Whether the file itself stands there: its move was done before a kill.
    ///
    /// # Errors
    /// The medium's.
    pub fn has_ended(&self, place: &ArchivedFile) -> Result<bool, SpoolError> {
        let day = match self.folder(place.end.as_str())?.sub(&place.day.to_string()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            day => day?,
        };
        Ok(day.stat(&claimed::name_of(place.import, &place.name))?.is_some())
    }

    /// Writes a companion of a file that has ended; one of before is written over. Durable on return: a reader sees the one or
    /// the other, whole. Its signature is away while the two change, so a signature that is there is that of the companion beside it.
    ///
    /// # Errors
    /// The medium's.
    pub fn write_over(&self, place: &ArchivedFile, companion: &mut Companion<'_>) -> Result<(), SpoolError> {
        let (day, _) = self.folder(place.end.as_str())?.sub_or_make(&place.day.to_string())?;
        let name = format!("{}{}", claimed::name_of(place.import, &place.name), companion.suffix);
        let signature = write_signature(&day, place, companion)?;
        let (temporary, _) = write_draft(&day, place, companion.suffix, companion.write)?;
        day.unlink(&format!("{name}{SIGNATURE}"))?;
        day.move_over(&temporary, &day, &name)?;
        if let Some(temporary) = signature {
            day.move_over(&temporary, &day, &format!("{name}{SIGNATURE}"))?;
        }
        Ok(day.sync()?)
    }

    /// What is held, by day.
    ///
    /// # Errors
    /// The medium's.
    pub fn held(&self) -> Result<Vec<ArchivedFile>, SpoolError> {
        let root = self.folder(End::Held.as_str())?;
        let mut held = Vec::new();
        for day in self.days(End::Held)? {
            let names = root.sub(&day.to_string())?.names()?;
            // Whatever a held file is called, its report stands beside it.
            let reported = |raw: &&Vec<u8>| names.contains(&[raw.as_slice(), b".report.json"].concat());
            let files = names.iter().filter(reported).filter_map(|raw| claimed::parse_name(raw));
            held.extend(files.map(|(import, name)| ArchivedFile { end: End::Held, day, import, name }));
        }
        Ok(held)
    }

    /// Takes a held file back into `processing/`, and removes the companions with these suffixes and their signatures. `None` if it
    /// is not held there.
    ///
    /// # Errors
    /// The medium's.
    pub fn unhold(&self, place: &ArchivedFile, suffixes: &[&str]) -> Result<Option<ClaimedFile>, SpoolError> {
        let processing = self.folder("processing")?;
        let held = match self.folder(place.end.as_str())?.sub(&place.day.to_string()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.claimed_file(place.import, &place.name),
            held => held?,
        };
        let name = claimed::name_of(place.import, &place.name);
        if held.stat(&name)?.is_some() {
            held.move_to(&name, &processing, &name)?;
            processing.sync()?;
        }
        // A kill may have come between the move and this.
        let mut removed = false;
        for suffix in suffixes {
            removed |= held.unlink(&format!("{name}{suffix}"))?;
            removed |= held.unlink(&format!("{name}{suffix}{SIGNATURE}"))?;
        }
        if removed {
            held.sync()?;
        }
        self.claimed_in(&processing, place.import, place.name.clone())
    }

    /// The day's folder, with the companions in it. One that is there with the same bytes is left; with other bytes it is an error,
    /// but beside a held file: a report is written once. A signature that is there is left: another key may have made it since.
    pub(super) fn write_beside(&self, place: &ArchivedFile, companions: &mut [Companion<'_>]) -> Result<Dir, SpoolError> {
        let (day, _) = self.folder(place.end.as_str())?.sub_or_make(&place.day.to_string())?;
        let name = claimed::name_of(place.import, &place.name);
        for companion in companions.iter_mut() {
            let suffix = companion.suffix;
            let final_name = format!("{name}{suffix}");
            let signed = format!("{final_name}{SIGNATURE}");
            if (place.end == End::Held || day.stat(&signed)?.is_none())
                && let Some(temporary) = write_signature(&day, place, companion)?
            {
                day.move_over(&temporary, &day, &signed)?;
            }
            let (temporary, file) = write_draft(&day, place, suffix, companion.write)?;
            if place.end == End::Held {
                day.move_over(&temporary, &day, &final_name)?;
                continue;
            }
            match day.move_to(&temporary, &day, &final_name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let same = same_bytes(file, day.open_read(&final_name)?)?;
                    day.unlink(&temporary)?;
                    if !same {
                        return Err(SpoolError::Differs { suffix: suffix.to_owned() });
                    }
                }
                moved => moved?,
            }
        }
        if !companions.is_empty() {
            day.sync()?;
        }
        Ok(day)
    }
}

/// A companion's signature under a passing name, durable but for that name; none where it has none.
fn write_signature(day: &Dir, place: &ArchivedFile, companion: &Companion<'_>) -> Result<Option<String>, SpoolError> {
    let Some(signature) = companion.signature else { return Ok(None) };
    let write = &mut |out: &mut dyn Write| out.write_all(signature);
    let (temporary, _) = write_draft(day, place, &format!("{}{SIGNATURE}", companion.suffix), write)?;
    Ok(Some(temporary))
}

/// A file under a passing name, durable but for that name.
fn write_draft(
    day: &Dir,
    place: &ArchivedFile,
    suffix: &str,
    write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(String, File), SpoolError> {
    // Without the file's name, which may leave no room for an ending.
    let temporary = format!(".{}{suffix}.tmp", place.import);
    let mut file = day.create_over(&temporary)?;
    let mut buffered = io::BufWriter::with_capacity(64 * 1024, &mut file);
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.sync_all()?;
    Ok((temporary, file))
}

fn is_inode(folder: &Dir, name: &str, inode: u64) -> io::Result<bool> {
    Ok(folder.stat(name)?.is_some_and(|stat| dir::identity(&stat).1 == inode))
}

fn same_bytes(mut a: File, b: File) -> io::Result<bool> {
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    a.rewind()?;
    let (a, b) = (io::BufReader::with_capacity(64 * 1024, a), io::BufReader::with_capacity(64 * 1024, b));
    for (a, b) in a.bytes().zip(b.bytes()) {
        if a? != b? {
            return Ok(false);
        }
    }
    Ok(true)
}
