//! The tenant's view as the engine's tree: what each request does to the spool, and what is told of it.
//!
//! Everything that is not offered is refused with a code and a clause. A delivery is told to the pipeline as a hint and to the log;
//! so is a cut upload. It does not know the protocol, nor what is in a file.

mod changes;
mod uploads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::domain::{FILE_NAME_BYTES_MAX, FileName, NameKind, TenantName, VOUCHED_NAME_BYTES_MAX};
use crate::sftp::engine::{Entry, OpenFlags, Overwrite, Room, Tree};
use crate::sftp::opened::{OpenFile, Writing, read_full};
use crate::sftp::place::{Place, README, absolute, is_folder};
use crate::sftp::quota::{Accounts, Meter, Quota, Write};
use crate::sftp::sent::Sent;
use crate::sftp::sessions::Session;
use crate::sftp::shown::{
    Rights, UPLOAD_MODE, attributes_of, folder_attributes, listed, refusal, refusal_again, seconds, shown, too_large,
};
use crate::sftp::taken::{Key, Memory, Taken};
use crate::sftp::wire::{Attributes, Code, Refusal};
use crate::sftp::{Hints, Options};
use crate::shutdown;
use crate::spool::{self, DropFolder, ErrorKind, Folders, ReadFolder};
use crate::telemetry::chain;

const NO_FOLDERS: &str = "folders cannot be made here; put the file straight into /inbox";
const READ_ONLY: &str = "this folder can only be read";
const ALREADY_TAKEN: &str = "already taken, send it whole";
const STOPPING: &str = "the server is stopping; send it again later";
const TAKEN_TO_READ: &str = "already taken; its result is in /status and /archive";

/// Refusals that one channel tells of. What comes after them is a client that does not listen.
const TOLD_MAX: usize = 100;

/// What all sessions share about receiving.
pub(crate) struct Receiving {
    taken: Taken,
    hints: Hints,
    close_wait: Duration,
    accounts: Accounts,
    upload_bytes_max: u64,
}

impl Receiving {
    pub(crate) fn new(options: &Options, hints: Hints) -> Self {
        let taken = Taken::new(Duration::from_secs(options.taken_seconds), options.taken_per_tenant_max);
        Self {
            taken,
            hints,
            close_wait: Duration::from_millis(options.close_wait_milliseconds),
            accounts: Accounts::new(options.free_bytes_min),
            upload_bytes_max: options.upload_bytes_max,
        }
    }
}

/// Who is logged in, and the folders that are theirs.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) tenant: TenantName,
    pub(crate) folders: Folders,
    pub(crate) session: Arc<Session>,
}

impl Sender {
    /// Adds a line to the log that the sender can read.
    pub(super) fn tell(&self, line: &str) {
        if let Err(error) = self.folders.append_recent(line) {
            warn!(cause = chain(&error), "recent.log not written");
        }
    }
}

/// What a tenant may send and is told.
pub(crate) struct Terms {
    pub(crate) quota: Quota,
    pub(crate) readme: Arc<str>,
    pub(crate) require_checksum: bool,
}

/// The terms at this moment; `None` where the tenant has no login any more.
pub(crate) type TermsNow = Box<dyn Fn() -> Option<Terms> + Send>;

/// One channel's view of the folders of its sender.
pub(crate) struct TenantTree {
    sender: Sender,
    meter: Meter,
    readme: Arc<str>,
    require_checksum: bool,
    terms_now: TermsNow,
    receiving: Arc<Receiving>,
    stop: shutdown::Signal,
    sent: Sent,
    /// How long a CLOSE or a RENAME may still wait for an earlier file of its name to be claimed.
    patience: Duration,
    /// When a WRITE last gave an earlier file the time to be claimed, to no end.
    gave_way: Option<Instant>,
    /// The path that was opened last, if it was opened to be read and nothing was read since, and what was opened there.
    just_opened: Option<(Vec<u8>, Attributes)>,
    /// Refusals so far.
    refusals: usize,
}

impl TenantTree {
    /// `None` where the tenant has no terms any more.
    pub(crate) fn new(sender: Sender, terms_now: TermsNow, receiving: Arc<Receiving>, stop: shutdown::Signal) -> Option<Self> {
        let Terms { quota, readme, require_checksum } = terms_now()?;
        let meter = receiving.accounts.meter(&sender.tenant, sender.folders.clone(), quota);
        let (sent, patience) = (Sent::default(), receiving.close_wait);
        let (gave_way, just_opened, refusals) = (None, None, 0);
        Some(Self { sender, meter, readme, require_checksum, terms_now, receiving, stop, sent, patience, gave_way, just_opened, refusals })
    }

    /// Takes the terms as they are now, which a reload may have changed. A tenant that has none any more keeps those that it had: its
    /// session is ended.
    fn renew_terms(&mut self) {
        if let Some(Terms { quota, readme, require_checksum }) = (self.terms_now)() {
            self.meter.set_quota(quota);
            self.readme = readme;
            self.require_checksum = require_checksum;
        }
    }

    /// Refuses a list whose checksum could not be sent, where one is required.
    fn check_length(&self, name: &FileName) -> Result<(), Refusal> {
        let vouched = matches!(name.kind(), NameKind::List { .. } | NameKind::Other);
        if self.require_checksum && vouched && name.as_str().len() > VOUCHED_NAME_BYTES_MAX {
            return Err(Refusal::denied(format!(
                "the name is longer than {VOUCHED_NAME_BYTES_MAX} bytes: that of its checksum, which must be sent, would be too long"
            )));
        }
        Ok(())
    }

    /// Tells the operator and the sender's own log why something was refused: many clients print no more than "Failure".
    fn tell_refused<V>(&mut self, what: &'static str, path: &[u8], result: Result<V, Refusal>) -> Result<V, Refusal> {
        result.inspect_err(|refusal| self.refused(what, path, refusal))
    }

    fn key(&self, drop: DropFolder, name: &FileName) -> Key {
        (self.sender.tenant.clone(), drop, name.clone())
    }

    fn memory(&self, drop: DropFolder, name: &FileName) -> Option<Memory> {
        self.receiving.taken.get(&self.key(drop, name), Instant::now())
    }

    /// The file as its sender should see it: pending, partial, or taken a moment ago; none of them in the place of one that this
    /// channel sent and that was refused a moment ago.
    fn look(&self, drop: DropFolder, name: &FileName) -> Result<Option<Attributes>, Refusal> {
        if let Some((reason, at)) = self.sent.reason(drop, name)
            && self.receiving.taken.is_newest(&self.key(drop, name), at, Instant::now())
        {
            return Err(Refusal::failure(reason.to_owned()));
        }
        // A time that was set is told of the file that it was set on.
        if let Some(number) = self.sent.open(drop, name)
            && let Some(entry) = self.sender.folders.stat_written(drop, name).map_err(refusal)?
        {
            let set = self.sent.mtime((drop, name), number);
            return Ok(Some(Attributes::file(entry.size, set.unwrap_or(seconds(entry.mtime_s)), UPLOAD_MODE)));
        }
        let memory = self.memory(drop, name);
        if let Some(entry) = self.sender.folders.stat_to_resume(drop, name).map_err(refusal)? {
            let set = memory.filter(|memory| memory.size == entry.size).map(|memory| memory.mtime);
            return Ok(Some(Attributes::file(entry.size, set.unwrap_or(seconds(entry.mtime_s)), UPLOAD_MODE)));
        }
        Ok(memory.map(|memory| Attributes::file(memory.size, memory.mtime, UPLOAD_MODE)))
    }

    fn read_place(&self, folder: ReadFolder, path: &[Vec<u8>]) -> Result<spool::Place, Refusal> {
        let path: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
        self.sender.folders.browse(folder, &path).map_err(refusal)
    }

    fn open_place(&mut self, path: &[u8], flags: OpenFlags, writes: bool) -> Result<OpenFile, Refusal> {
        match Place::of(path) {
            // Begun now, it may not come to its end, and its sender would not know whether it arrived.
            Place::Upload(..) if writes && self.stop.is_raised() => Err(Refusal::failure(STOPPING)),
            Place::Upload(drop, name) => {
                if writes {
                    self.check_length(&name)?;
                }
                self.open_upload(drop, name, flags)
            }
            Place::Misnamed(error) if writes => Err(Refusal::denied(error.to_string())),
            Place::Below(_) if writes => Err(Refusal::denied(NO_FOLDERS)),
            Place::Read(..) | Place::Readme if writes => Err(Refusal::denied(READ_ONLY)),
            Place::Read(..) if is_folder(path) => Err(Refusal::not_found()),
            Place::Read(folder, path) => {
                let (file, entry) = self.read_place(folder, &path)?.open().map_err(refusal)?;
                Ok(OpenFile::Reading(file, attributes_of(&entry, Rights::Read)))
            }
            Place::Readme => Ok(OpenFile::Text(Arc::clone(&self.readme), self.readme_attributes())),
            Place::Root | Place::Drop(_) => Err(Refusal::failure("it is a folder")),
            Place::Nowhere if writes => Err(Refusal::denied("put files into /inbox or /check")),
            Place::Misnamed(_) | Place::Below(_) | Place::Nowhere => Err(Refusal::not_found()),
        }
    }

    fn write_upload(&mut self, writing: &mut Writing, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let (size, length) = (writing.upload.size(), bytes.len() as u64);
        if offset.checked_add(length).is_none_or(|end| end > i64::MAX as u64) {
            writing.upload.refuse_write(size, 1);
            return Err(Refusal::failure("the offset is too large"));
        }
        if let Err(error) = self.give_way(writing, offset, bytes) {
            writing.upload.refuse_write(offset, length);
            return Err(refusal(error));
        }
        let end = writing.upload.end_of_write(offset, length);
        let room = if end > self.upload_bytes_max() {
            Err(too_large(self.upload_bytes_max()))
        } else {
            let write = Write { bytes: length, growth: end.saturating_sub(size), kept: writing.upload.kept() };
            self.meter.write(writing.purpose, write, Instant::now())
        };
        if room.is_err() {
            writing.upload.refuse_write(offset, length);
            writing.over_limit = true;
            return room;
        }
        writing.upload.write_at(offset, bytes).map_err(|error| {
            writing.over_limit |= error.kind() == ErrorKind::NoSpace;
            // Once an upload: a client may send on for long.
            if writing.refused.is_some() { refusal_again(&error) } else { refusal(error) }
        })
    }

    fn upload_bytes_max(&self) -> u64 {
        self.receiving.upload_bytes_max.min(self.meter.bytes_max())
    }

    fn readme_attributes(&self) -> Attributes {
        Attributes::file(self.readme.len() as u64, seconds(self.now().as_second()), 0o400)
    }
}

impl Tree for TenantTree {
    type File = OpenFile;
    type Listing = std::vec::IntoIter<Entry>;

    fn more_came(&mut self) {
        self.patience = self.receiving.close_wait;
    }

    fn open(&mut self, path: &[u8], flags: OpenFlags, _: &Attributes) -> Result<OpenFile, Refusal> {
        let writes = flags.write || flags.append || flags.create || flags.truncate;
        self.renew_terms();
        let opened = self.open_place(path, flags, writes);
        self.just_opened = match &opened {
            Ok(OpenFile::Reading(_, attributes)) => Some((path.to_vec(), *attributes)),
            _ => None,
        };
        if writes { self.tell_refused("upload", path, opened) } else { opened }
    }

    fn close(&mut self, file: OpenFile) -> Result<(), Refusal> {
        self.just_opened = None;
        match file {
            OpenFile::Reading(..) | OpenFile::Text(..) => Ok(()),
            OpenFile::Writing(writing) => self.deliver(writing),
            OpenFile::Complete(complete) => self.end_complete(&complete),
        }
    }

    fn give_up(&mut self, file: OpenFile, why: &str) {
        if let OpenFile::Writing(mut writing) = file {
            writing.cut(why);
        }
    }

    fn read(&mut self, file: &mut OpenFile, offset: u64, buffer: &mut [u8]) -> Result<usize, Refusal> {
        self.just_opened = None;
        if offset > i64::MAX as u64 - buffer.len() as u64 {
            return Ok(0);
        }
        match file {
            OpenFile::Complete(_) => Err(Refusal::denied(TAKEN_TO_READ)),
            OpenFile::Writing(writing) => writing.upload.read_at(offset, buffer).map_err(refusal),
            OpenFile::Reading(file, attributes) => {
                // Beyond the size that was told there may be bytes of an upload that do not count.
                let left = attributes.size.unwrap_or(u64::MAX).saturating_sub(offset);
                let length = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                read_full(file, offset, &mut buffer[..length]).map_err(|error| refusal(error.into()))
            }
            OpenFile::Text(text, _) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| text.as_bytes().get(offset..)).unwrap_or_default();
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
        }
    }

    fn write(&mut self, file: &mut OpenFile, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        if let OpenFile::Complete(complete) = file {
            *file = self.send_anew(complete, offset)?;
        }
        let OpenFile::Writing(writing) = file else { return Err(Refusal::denied("opened for reading")) };
        let written = self.write_upload(writing, offset, bytes);
        if let Err(refusal) = &written {
            if writing.refused.is_none() {
                let bytes = writing.upload.kept();
                info!(file = writing.name.as_str(), folder = writing.drop.as_str(), bytes, reason = &*refusal.text, "write refused");
            }
            writing.refused = Some(refusal.text.clone().into_owned());
            writing.tell_refused(&refusal.text);
        }
        written
    }

    fn sync(&mut self, file: &mut OpenFile) -> Result<(), Refusal> {
        match file {
            OpenFile::Writing(writing) => writing.upload.sync().map_err(refusal),
            OpenFile::Complete(_) | OpenFile::Reading(..) | OpenFile::Text(..) => Ok(()),
        }
    }

    fn file_attributes(&mut self, file: &mut OpenFile) -> Result<Attributes, Refusal> {
        Ok(match file {
            OpenFile::Reading(_, attributes) | OpenFile::Text(_, attributes) => *attributes,
            OpenFile::Complete(complete) => complete.seen,
            OpenFile::Writing(writing) => {
                let (entry, set) = (writing.upload.entry(), self.sent.mtime((writing.drop, &writing.name), writing.number));
                Attributes::file(entry.size, set.unwrap_or(seconds(entry.mtime_s)), UPLOAD_MODE)
            }
        })
    }

    fn set_file_attributes(&mut self, file: &mut OpenFile, attributes: &Attributes) -> Result<(), Refusal> {
        if let OpenFile::Complete(complete) = file {
            if attributes.size.is_none_or(|size| complete.seen.size == Some(size)) {
                let key = self.key(complete.drop, &complete.name);
                attributes.times.map(|(_, mtime)| self.receiving.taken.set_mtime(&key, mtime, Instant::now()));
                return Ok(());
            }
            *file = self.send_anew(complete, 0)?;
        }
        let OpenFile::Writing(writing) = file else { return Err(Refusal::denied(READ_ONLY)) };
        if let Some(size) = attributes.size {
            if size > self.upload_bytes_max() {
                return Err(too_large(self.upload_bytes_max()));
            }
            writing.upload.truncate(size).map_err(refusal)?;
        }
        if let Some((_, mtime)) = attributes.times {
            self.sent.set_mtime((writing.drop, &writing.name), writing.number, mtime);
        }
        Ok(())
    }

    fn attributes(&mut self, path: &[u8]) -> Result<Attributes, Refusal> {
        match Place::of(path) {
            Place::Root => Ok(folder_attributes(self.now(), Rights::Read)),
            Place::Drop(_) => Ok(folder_attributes(self.now(), Rights::Write)),
            Place::Upload(drop, name) => self.look(drop, &name)?.ok_or_else(Refusal::not_found),
            Place::Readme => {
                self.renew_terms();
                Ok(self.readme_attributes())
            }
            // curl asks for the size of what it has opened by its path, where a newer status may stand by now.
            Place::Read(folder, names) => match &self.just_opened {
                Some((opened, attributes)) if opened == path => Ok(*attributes),
                _ => Ok(attributes_of(self.read_place(folder, &names)?.entry(), Rights::Read)),
            },
            Place::Misnamed(error) => Err(Refusal::new(Code::NoSuchFile, error.to_string())),
            Place::Below(_) | Place::Nowhere => Err(Refusal::not_found()),
        }
    }

    /// Owner and permissions are taken and ignored; times are remembered for STAT.
    fn set_attributes(&mut self, path: &[u8], attributes: &Attributes) -> Result<(), Refusal> {
        match Place::of(path) {
            Place::Upload(drop, name) => {
                let now = self.look(drop, &name)?.ok_or_else(Refusal::not_found)?;
                // What is shown of an open upload ends at its first gap, and is no size that could be the one it has; whoever has it open.
                if attributes.size.is_some() && self.sender.folders.is_written(drop, &name) {
                    return Err(Refusal::failure("an upload changes its size by its handle only"));
                }
                if attributes.size.is_some_and(|size| Some(size) != now.size) {
                    return Err(Refusal::failure("a file that was sent cannot change its size"));
                }
                let Some((_, mtime)) = attributes.times else { return Ok(()) };
                if let Some(number) = self.sent.open(drop, &name) {
                    self.sent.set_mtime((drop, &name), number, mtime);
                } else {
                    let (key, at) = (self.key(drop, &name), Instant::now());
                    if !self.receiving.taken.set_mtime(&key, mtime, at) {
                        self.receiving.taken.remember(key, Memory { size: now.size.unwrap_or_default(), mtime }, at);
                    }
                }
                Ok(())
            }
            Place::Drop(_) if attributes.size.is_none() => Ok(()),
            Place::Root | Place::Drop(_) | Place::Read(..) | Place::Readme => Err(Refusal::denied(READ_ONLY)),
            Place::Misnamed(_) | Place::Below(_) | Place::Nowhere => Err(Refusal::not_found()),
        }
    }

    fn list(&mut self, path: &[u8]) -> Result<Self::Listing, Refusal> {
        let entries = match Place::of(path) {
            Place::Root => {
                let folder = |name: &str, rights| Entry { name: name.into(), attributes: folder_attributes(self.now(), rights) };
                let drops = DropFolder::ALL.map(|drop| folder(drop.as_str(), Rights::Write));
                let readme = Entry { name: README.into(), attributes: self.readme_attributes() };
                drops.into_iter().chain(ReadFolder::ALL.map(|read| folder(read.as_str(), Rights::Read))).chain([readme]).collect()
            }
            Place::Drop(drop) => {
                self.sender.folders.list(drop).map_err(refusal)?.iter().map(|entry| listed(entry, Rights::Write)).collect()
            }
            Place::Read(folder, path) => {
                self.read_place(folder, &path)?.list().map_err(refusal)?.iter().map(|entry| listed(entry, Rights::Read)).collect::<Vec<_>>()
            }
            Place::Upload(..) | Place::Readme | Place::Misnamed(_) | Place::Below(_) | Place::Nowhere => {
                return Err(Refusal::new(Code::NoSuchFile, "no such folder"));
            }
        };
        Ok(entries.into_iter())
    }

    fn remove(&mut self, path: &[u8]) -> Result<(), Refusal> {
        match self.remove_place(path) {
            // Many clients ask for the removal of what may not be there.
            Err(refusal) if refusal.code == Code::NoSuchFile => Err(refusal),
            removed => self.tell_refused("removal", path, removed),
        }
    }

    fn make_folder(&mut self, path: &[u8]) -> Result<(), Refusal> {
        match Place::of(path) {
            Place::Root | Place::Drop(_) => Err(Refusal::failure("the folder exists")),
            Place::Read(_, path) if path.is_empty() => Err(Refusal::failure("the folder exists")),
            Place::Read(..) | Place::Readme => Err(Refusal::denied(READ_ONLY)),
            _ => self.tell_refused("folder", path, Err(Refusal::denied(NO_FOLDERS))),
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
        let renamed = self.rename_place(from, to, overwrite);
        self.tell_refused("rename", to, renamed)
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

    fn refused(&mut self, what: &'static str, path: &[u8], refusal: &Refusal) {
        self.refusals += 1;
        if self.refusals <= TOLD_MAX {
            let path = shown(path);
            info!(file = path, what, reason = &*refusal.text, "request refused");
            self.sender.tell(&format!("{} {path} {what} refused: {}", jiff::Timestamp::now(), refusal.text));
        } else if self.refusals == TOLD_MAX + 1 {
            info!("further refusals not told");
            self.sender.tell(&format!("{} further refusals of this connection are not told", jiff::Timestamp::now()));
        }
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn owner(&self) -> &str {
        self.sender.tenant.as_str()
    }
}
