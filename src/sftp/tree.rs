//! The tenant's view as the engine's tree: what each request does to the spool, and what is told of it.
//!
//! Everything that is not offered is refused with a code and a clause. A delivery is told to the pipeline as a hint and to the log;
//! so is a cut upload. It does not know the protocol, nor what is in a file.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::domain::{FILE_NAME_BYTES_MAX, FileName, FileState, NameKind, TenantName};
use crate::report::Status;
use crate::sftp::engine::{Entry, OpenFlags, Overwrite, Room, Tree};
use crate::sftp::opened::{OpenFile, Writing, read_full};
use crate::sftp::place::{Place, absolute};
use crate::sftp::taken::{Key, Memory, Taken};
use crate::sftp::wire::{Attributes, Code, Refusal};
use crate::sftp::{Hints, Options};
use crate::spool::{self, Closed, Delivered, DropFolder, ErrorKind, Folders, OpenUpload, ReadFolder, Renamed, Replace, SpoolError};

/// Time between two looks whether an earlier file of the name is claimed.
const CLOSE_POLL: Duration = Duration::from_millis(10);

const NO_FOLDERS: &str = "folders cannot be made here; put the file straight into /inbox";
const READ_ONLY: &str = "this folder can only be read";
const ALREADY_TAKEN: &str = "already taken, send it whole";

/// What all sessions share about receiving.
pub(crate) struct Receiving {
    taken: Taken,
    hints: Hints,
    close_wait: Duration,
    upload_bytes_max: u64,
}

impl Receiving {
    pub(crate) fn new(options: &Options, hints: Hints) -> Self {
        let taken = Taken::new(Duration::from_secs(options.taken_seconds), options.taken_max);
        let close_wait = Duration::from_millis(options.close_wait_milliseconds);
        Self { taken, hints, close_wait, upload_bytes_max: options.upload_bytes_max }
    }
}

/// Who is logged in, and the folders that are theirs.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) tenant: TenantName,
    pub(crate) folders: Folders,
}

/// One channel's view of the folders of its sender.
pub(crate) struct TenantTree {
    sender: Sender,
    receiving: Arc<Receiving>,
}

impl TenantTree {
    pub(crate) fn new(sender: Sender, receiving: Arc<Receiving>) -> Self {
        Self { sender, receiving }
    }

    fn key(&self, drop: DropFolder, name: &FileName) -> Key {
        (self.sender.tenant.clone(), drop, name.clone())
    }

    fn memory(&self, drop: DropFolder, name: &FileName) -> Option<Memory> {
        self.receiving.taken.get(&self.key(drop, name), Instant::now())
    }

    /// The file as its sender should see it: pending, partial, or taken a moment ago.
    fn look(&self, drop: DropFolder, name: &FileName) -> Result<Option<Attributes>, Refusal> {
        let memory = self.memory(drop, name);
        if let Some(entry) = self.sender.folders.stat(drop, name).map_err(refusal)? {
            // A time that was set is told of the file that it was set on.
            let set = memory.filter(|memory| memory.size == entry.size).map(|memory| memory.mtime);
            return Ok(Some(Attributes::file(entry.size, set.unwrap_or(seconds(entry.mtime_s)), UPLOAD_MODE)));
        }
        Ok(memory.map(|memory| Attributes::file(memory.size, memory.mtime, UPLOAD_MODE)))
    }

    fn open_upload(&self, drop: DropFolder, name: FileName, flags: OpenFlags) -> Result<OpenFile, Refusal> {
        if !flags.write && !flags.append {
            return match self.look(drop, &name)? {
                Some(_) => Err(Refusal::denied("an upload cannot be read back; its result is in /status and /archive")),
                None => Err(Refusal::not_found()),
            };
        }
        let continues = !flags.truncate && !flags.exclusive;
        if continues && self.memory(drop, &name).is_some() && self.sender.folders.stat(drop, &name).map_err(refusal)?.is_none() {
            return Err(Refusal::failure(ALREADY_TAKEN));
        }
        let open = OpenUpload { truncate: flags.truncate, append: flags.append, create: flags.create, exclusive: flags.exclusive };
        let upload = self.sender.folders.open_upload(drop, &name, open).map_err(refusal)?;
        Ok(OpenFile::Writing(Box::new(Writing { upload, drop, name, mtime: None, ended: false, sender: self.sender.clone() })))
    }

    /// Closes, and waits a little for an earlier file of the name to be claimed.
    fn deliver(&self, mut writing: Box<Writing>) -> Result<(), Refusal> {
        let status = waiting_status();
        let closed = self.wait_while_pending(|| writing.upload.close(&status));
        match closed {
            Ok(Closed::Kept) => {
                writing.ended = true;
                Ok(())
            }
            Ok(Closed::Delivered(delivered)) => {
                writing.ended = true;
                let mtime = writing.mtime.unwrap_or_else(|| nanoseconds(delivered.mtime_ns));
                self.delivered(delivered.clone(), Memory { size: delivered.size, mtime });
                Ok(())
            }
            Err(error) => {
                writing.cut(&error.to_string());
                Err(refusal(error))
            }
        }
    }

    /// Tries again for a short while, as long as only an earlier file of the name is in the way.
    fn wait_while_pending<V>(&self, mut attempt: impl FnMut() -> Result<V, SpoolError>) -> Result<V, SpoolError> {
        let deadline = Instant::now() + self.receiving.close_wait;
        loop {
            match attempt() {
                Err(error) if matches!(error.kind(), ErrorKind::Pending | ErrorKind::Exists) && Instant::now() < deadline => {
                    sleep(CLOSE_POLL)
                }
                result => return result,
            }
        }
    }

    fn delivered(&self, delivered: Delivered, memory: Memory) {
        info!(file = %delivered.name, folder = delivered.drop.as_str(), bytes = memory.size, "upload delivered");
        self.receiving.taken.remember(self.key(delivered.drop, &delivered.name), memory, Instant::now());
        // Only a hint: if nobody listens any more, the next scan finds the file.
        let _ = self.receiving.hints.send((self.sender.tenant.clone(), delivered));
    }

    fn read_place(&self, folder: ReadFolder, path: &[Vec<u8>]) -> Result<spool::Place, Refusal> {
        let path: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
        self.sender.folders.browse(folder, &path).map_err(refusal)
    }
}

impl Tree for TenantTree {
    type File = OpenFile;
    type Listing = std::vec::IntoIter<Entry>;

    fn open(&mut self, path: &[u8], flags: OpenFlags, _: &Attributes) -> Result<OpenFile, Refusal> {
        let writes = flags.write || flags.append || flags.create || flags.truncate;
        match Place::of(path) {
            Place::Upload(drop, name) => self.open_upload(drop, name, flags),
            Place::Misnamed(error) if writes => Err(Refusal::denied(error.to_string())),
            Place::Below(_) if writes => Err(Refusal::denied(NO_FOLDERS)),
            Place::Read(..) if writes => Err(Refusal::denied(READ_ONLY)),
            Place::Read(folder, path) => {
                let place = self.read_place(folder, &path)?;
                let file = place.open().map_err(refusal)?;
                Ok(OpenFile::Reading(file, attributes_of(place.entry(), Rights::Read)))
            }
            Place::Root | Place::Drop(_) => Err(Refusal::failure("it is a folder")),
            Place::Nowhere if writes => Err(Refusal::denied("put files into /inbox or /check")),
            Place::Misnamed(_) | Place::Below(_) | Place::Nowhere => Err(Refusal::not_found()),
        }
    }

    fn close(&mut self, file: OpenFile) -> Result<(), Refusal> {
        match file {
            OpenFile::Reading(..) => Ok(()),
            OpenFile::Writing(writing) => self.deliver(writing),
        }
    }

    fn read(&mut self, file: &mut OpenFile, offset: u64, buffer: &mut [u8]) -> Result<usize, Refusal> {
        if offset > i64::MAX as u64 - buffer.len() as u64 {
            return Ok(0);
        }
        match file {
            OpenFile::Writing(writing) => writing.upload.read_at(offset, buffer).map_err(refusal),
            OpenFile::Reading(file, _) => read_full(file, offset, buffer).map_err(|error| refusal(error.into())),
        }
    }

    fn write(&mut self, file: &mut OpenFile, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let OpenFile::Writing(writing) = file else { return Err(Refusal::denied("opened for reading")) };
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > i64::MAX as u64) {
            let end = writing.upload.entry().size;
            writing.upload.refuse_write(end, 1);
            return Err(Refusal::failure("the offset is too large"));
        }
        let most = self.receiving.upload_bytes_max;
        if writing.upload.end_of_write(offset, bytes.len() as u64) > most {
            let end = writing.upload.entry().size;
            writing.upload.refuse_write(end, 1);
            return Err(Refusal::failure(format!("an upload may have {most} bytes at most")));
        }
        writing.upload.write_at(offset, bytes).map_err(refusal)
    }

    fn sync(&mut self, file: &mut OpenFile) -> Result<(), Refusal> {
        match file {
            OpenFile::Writing(writing) => writing.upload.sync().map_err(refusal),
            OpenFile::Reading(..) => Ok(()),
        }
    }

    fn file_attributes(&mut self, file: &mut OpenFile) -> Result<Attributes, Refusal> {
        Ok(match file {
            OpenFile::Reading(_, attributes) => *attributes,
            OpenFile::Writing(writing) => {
                let entry = writing.upload.entry();
                Attributes::file(entry.size, writing.mtime.unwrap_or(seconds(entry.mtime_s)), UPLOAD_MODE)
            }
        })
    }

    fn set_file_attributes(&mut self, file: &mut OpenFile, attributes: &Attributes) -> Result<(), Refusal> {
        let OpenFile::Writing(writing) = file else { return Err(Refusal::denied(READ_ONLY)) };
        if let Some(size) = attributes.size {
            writing.upload.truncate(size).map_err(refusal)?;
        }
        if let Some((_, mtime)) = attributes.times {
            writing.mtime = Some(mtime);
        }
        Ok(())
    }

    fn attributes(&mut self, path: &[u8]) -> Result<Attributes, Refusal> {
        match Place::of(path) {
            Place::Root => Ok(folder_attributes(self.now(), Rights::Read)),
            Place::Drop(_) => Ok(folder_attributes(self.now(), Rights::Write)),
            Place::Upload(drop, name) => self.look(drop, &name)?.ok_or_else(Refusal::not_found),
            Place::Read(folder, path) => Ok(attributes_of(self.read_place(folder, &path)?.entry(), Rights::Read)),
            Place::Misnamed(error) => Err(Refusal::new(Code::NoSuchFile, error.to_string())),
            Place::Below(_) | Place::Nowhere => Err(Refusal::not_found()),
        }
    }

    /// Owner and permissions are taken and ignored; times are remembered for STAT.
    fn set_attributes(&mut self, path: &[u8], attributes: &Attributes) -> Result<(), Refusal> {
        match Place::of(path) {
            Place::Upload(drop, name) => {
                let now = self.look(drop, &name)?.ok_or_else(Refusal::not_found)?;
                if attributes.size.is_some_and(|size| Some(size) != now.size) {
                    return Err(Refusal::failure("a file that was sent cannot change its size"));
                }
                if let Some((_, mtime)) = attributes.times {
                    self.receiving.taken.set_mtime(&self.key(drop, &name), mtime, Instant::now());
                }
                Ok(())
            }
            Place::Drop(_) if attributes.size.is_none() => Ok(()),
            Place::Root | Place::Drop(_) | Place::Read(..) => Err(Refusal::denied(READ_ONLY)),
            Place::Misnamed(_) | Place::Below(_) | Place::Nowhere => Err(Refusal::not_found()),
        }
    }

    fn list(&mut self, path: &[u8]) -> Result<Self::Listing, Refusal> {
        let entries = match Place::of(path) {
            Place::Root => {
                let folder = |name: &str, rights| Entry { name: name.into(), attributes: folder_attributes(self.now(), rights) };
                let drops = DropFolder::ALL.map(|drop| folder(drop.as_str(), Rights::Write));
                drops.into_iter().chain(ReadFolder::ALL.map(|read| folder(read.as_str(), Rights::Read))).collect()
            }
            Place::Drop(drop) => {
                self.sender.folders.list(drop).map_err(refusal)?.iter().map(|entry| listed(entry, Rights::Write)).collect()
            }
            Place::Read(folder, path) => {
                self.read_place(folder, &path)?.list().map_err(refusal)?.iter().map(|entry| listed(entry, Rights::Read)).collect::<Vec<_>>()
            }
            Place::Upload(..) | Place::Misnamed(_) | Place::Below(_) | Place::Nowhere => {
                return Err(Refusal::new(Code::NoSuchFile, "no such folder"));
            }
        };
        Ok(entries.into_iter())
    }

    fn remove(&mut self, path: &[u8]) -> Result<(), Refusal> {
        match Place::of(path) {
            Place::Upload(drop, name) => match self.sender.folders.remove(drop, &name) {
                Ok(()) => {
                    self.receiving.taken.forget(&self.key(drop, &name), Instant::now());
                    Ok(())
                }
                Err(SpoolError::NotFound) if self.memory(drop, &name).is_some() => Err(Refusal::failure("already taken")),
                Err(error) => Err(refusal(error)),
            },
            Place::Read(..) => Err(Refusal::denied(READ_ONLY)),
            Place::Root | Place::Drop(_) => Err(Refusal::denied("it is a folder")),
            Place::Misnamed(_) | Place::Below(_) | Place::Nowhere => Err(Refusal::not_found()),
        }
    }

    fn make_folder(&mut self, path: &[u8]) -> Result<(), Refusal> {
        match Place::of(path) {
            Place::Root | Place::Drop(_) => Err(Refusal::failure("the folder exists")),
            Place::Read(_, path) if path.is_empty() => Err(Refusal::failure("the folder exists")),
            Place::Read(..) => Err(Refusal::denied(READ_ONLY)),
            _ => Err(Refusal::denied(NO_FOLDERS)),
        }
    }

    fn remove_folder(&mut self, path: &[u8]) -> Result<(), Refusal> {
        match Place::of(path) {
            Place::Root | Place::Drop(_) | Place::Read(..) => Err(Refusal::denied("this folder cannot be removed")),
            _ => Err(Refusal::new(Code::NoSuchFile, "no such folder")),
        }
    }

    fn real_path(&mut self, path: &[u8]) -> Result<Vec<u8>, Refusal> {
        Ok(absolute(path))
    }

    fn rename(&mut self, from: &[u8], to: &[u8], overwrite: Overwrite) -> Result<(), Refusal> {
        let (from, to) = match (Place::of(from), Place::of(to)) {
            (Place::Upload(from, name), Place::Upload(to, new_name)) => ((from, name), (to, new_name)),
            (Place::Misnamed(_) | Place::Below(_) | Place::Nowhere, _) => return Err(Refusal::not_found()),
            (_, Place::Misnamed(error)) => return Err(Refusal::denied(error.to_string())),
            (_, Place::Below(_)) => return Err(Refusal::denied(NO_FOLDERS)),
            _ => return Err(Refusal::denied("files can be renamed within /inbox and /check only")),
        };
        let size = self.sender.folders.stat(from.0, &from.1).map_err(refusal)?.map(|entry| entry.size);
        if size.is_none() && self.memory(from.0, &from.1).is_some() {
            return Err(Refusal::failure("already taken"));
        }
        let status = waiting_status();
        let rename = |replace| self.sender.folders.rename((from.0, &from.1), (to.0, &to.1), replace, &status);
        // Even where it may replace, a file that waits to be claimed is first given the time for that.
        let may_wait = from != to && to.1.kind() != NameKind::Temporary;
        let renamed = match if may_wait { self.wait_while_pending(|| rename(Replace::Never)) } else { rename(Replace::Never) } {
            Err(SpoolError::Exists) if overwrite == Overwrite::Asked => rename(Replace::OwnPending),
            renamed => renamed,
        };
        match renamed.map_err(refusal)? {
            Renamed::Kept => {}
            Renamed::Delivered(delivered) => {
                let memory = Memory { size: size.unwrap_or(delivered.size), mtime: nanoseconds(delivered.mtime_ns) };
                self.delivered(delivered, memory);
            }
        }
        if from != to {
            self.receiving.taken.forget(&self.key(from.0, &from.1), Instant::now());
        }
        Ok(())
    }

    fn room(&mut self, _: &[u8]) -> Result<Room, Refusal> {
        let room = self.sender.folders.room().map_err(refusal)?;
        Ok(Room {
            block_bytes: room.f_frsize,
            blocks: room.f_blocks,
            blocks_free: room.f_bfree,
            blocks_available: room.f_bavail,
            inodes: room.f_files,
            inodes_free: room.f_favail,
            name_bytes_max: FILE_NAME_BYTES_MAX as u64,
        })
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn owner(&self) -> &str {
        self.sender.tenant.as_str()
    }
}

/// What a sender may do with an entry, as permission bits show it.
#[derive(Clone, Copy)]
enum Rights {
    Read,
    Write,
}

const UPLOAD_MODE: u32 = 0o600;

fn attributes_of(entry: &spool::Entry, rights: Rights) -> Attributes {
    match (entry.is_dir, rights) {
        (true, Rights::Write) => Attributes::folder(seconds(entry.mtime_s), 0o700),
        (true, Rights::Read) => Attributes::folder(seconds(entry.mtime_s), 0o500),
        (false, Rights::Write) => Attributes::file(entry.size, seconds(entry.mtime_s), UPLOAD_MODE),
        (false, Rights::Read) => Attributes::file(entry.size, seconds(entry.mtime_s), 0o400),
    }
}

fn folder_attributes(now: jiff::Timestamp, rights: Rights) -> Attributes {
    let entry = spool::Entry { name: String::new(), size: 0, mtime_s: now.as_second(), is_dir: true };
    attributes_of(&entry, rights)
}

fn listed(entry: &spool::Entry, rights: Rights) -> Entry {
    Entry { name: entry.name.clone().into_bytes(), attributes: attributes_of(entry, rights) }
}

/// Seconds since 1970 as version 3 carries them.
fn seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.clamp(0, i64::from(u32::MAX))).expect("clamped")
}

fn nanoseconds(nanoseconds: i128) -> u32 {
    seconds(i64::try_from(nanoseconds / 1_000_000_000).unwrap_or_default())
}

/// The status of a file that was just delivered.
fn waiting_status() -> Vec<u8> {
    Status::waiting(FileState::Waiting, jiff::Timestamp::now()).to_json().into_bytes()
}

/// The spool's failure in words for the sender. What an operator must know of is logged, here and only here.
fn refusal(error: SpoolError) -> Refusal {
    let code = match error.kind() {
        ErrorKind::NotFound => Code::NoSuchFile,
        ErrorKind::Permission => Code::PermissionDenied,
        _ => Code::Failure,
    };
    if matches!(error.kind(), ErrorKind::Permission | ErrorKind::NoSpace | ErrorKind::Medium) {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        warn!(%error, cause, "file call failed");
    }
    Refusal::new(code, error.to_string())
}
