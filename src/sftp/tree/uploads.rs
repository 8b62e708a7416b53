//! How an upload begins and ends: opened, sent anew over one that was taken, closed, delivered.

use std::thread::sleep;
use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::{ALREADY_TAKEN, TAKEN_TO_READ, TenantTree};
use crate::domain::{CHECKSUM_ENDING, FileName};
use crate::sftp::engine::OpenFlags;
use crate::sftp::opened::{Complete, OpenFile, Writing};
use crate::sftp::quota::Purpose;
use crate::sftp::shown::{Rights, attributes_of, nanoseconds, refusal, seconds, waiting_status};
use crate::sftp::taken::Memory;
use crate::sftp::wire::Refusal;
use crate::spool::{Closed, Delivered, DropFolder, ErrorKind, OpenUpload, SpoolError, Upload};

/// To who would make or empty a file and send nothing.
const OPEN_TO_WRITE: &str = "a file is made or emptied only by who writes it; open it for writing";

/// Time between two looks whether an earlier file of the name is claimed.
const CLOSE_POLL: Duration = Duration::from_millis(10);

impl TenantTree {
    pub(super) fn open_upload(&mut self, drop: DropFolder, name: FileName, flags: OpenFlags) -> Result<OpenFile, Refusal> {
        if !flags.write && !flags.append {
            // Made empty, as OpenSSH's server does, it would be a list of nobody; emptied, it would be another's end.
            if flags.truncate || flags.create && flags.exclusive {
                return Err(Refusal::denied(OPEN_TO_WRITE));
            }
            return match self.sender.folders.open_back(drop, &name) {
                Err(SpoolError::NotFound) if flags.create => Err(Refusal::denied(OPEN_TO_WRITE)),
                Ok((file, entry)) => Ok(OpenFile::Reading(file, attributes_of(&entry, Rights::Write))),
                Err(SpoolError::NotFound) if self.memory(drop, &name).is_some() => Err(Refusal::denied(TAKEN_TO_READ)),
                Err(error) => Err(refusal(error)),
            };
        }
        self.sent.forget_refused(drop, &name);
        let continues = !flags.truncate && !flags.exclusive;
        // curl resumes by appending to what must be there.
        let adds = flags.append && flags.create;
        let is_taken = self.memory(drop, &name).is_some() && self.sender.folders.stat(drop, &name).map_err(refusal)?.is_none();
        if is_taken && continues {
            return if adds { Err(Refusal::failure(ALREADY_TAKEN)) } else { self.open_complete(drop, name, flags) };
        }
        // What is seen can be emptied, taken or not.
        let create = flags.create || is_taken && flags.truncate;
        let open = OpenUpload { truncate: flags.truncate, append: flags.append, create, exclusive: flags.exclusive };
        let purpose = self.admit(drop, &name, open)?;
        match self.sender.folders.open_upload(drop, &name, open) {
            Err(SpoolError::AlreadyTaken) if continues && !adds => self.open_complete(drop, name, flags),
            upload => Ok(self.writing(upload.map_err(refusal)?, drop, name, purpose)),
        }
    }

    fn open_complete(&self, drop: DropFolder, name: FileName, flags: OpenFlags) -> Result<OpenFile, Refusal> {
        let seen = self.look(drop, &name)?.ok_or_else(Refusal::not_found)?;
        Ok(OpenFile::Complete(Box::new(Complete { drop, name, seen, appends: flags.append, refused: false })))
    }

    /// Finds room for an upload, and says for what.
    fn admit(&self, drop: DropFolder, name: &FileName, open: OpenUpload) -> Result<Purpose, Refusal> {
        let is_new = || Ok(self.sender.folders.stat(drop, name).map_err(refusal)?.is_none());
        let partial = || Ok(self.sender.folders.partial_bytes(drop, name).map_err(refusal)?.unwrap_or_default());
        let emptied = || if open.truncate { partial() } else { Ok(0) };
        let purpose = self.purpose(drop, name)?;
        self.meter.open(purpose, is_new, emptied, Instant::now())?;
        Ok(purpose)
    }

    fn writing(&mut self, upload: Upload, drop: DropFolder, name: FileName, purpose: Purpose) -> OpenFile {
        let (sender, number) = (self.sender.clone(), self.sent.opened(drop, &name));
        let (refused, over_limit, waited, told, ended) = (None, false, false, false, false);
        OpenFile::Writing(Box::new(Writing { upload, drop, name, number, purpose, refused, over_limit, waited, told, ended, sender }))
    }

    /// Begins a complete file's next one, if this write can be its first. After one that was refused none is.
    pub(super) fn send_anew(&mut self, complete: &mut Complete, offset: u64) -> Result<OpenFile, Refusal> {
        if complete.refused {
            return Err(Refusal::failure(ALREADY_TAKEN));
        }
        let begun = if offset == 0 && !complete.appends { self.begin_anew(complete) } else { Err(Refusal::failure(ALREADY_TAKEN)) };
        complete.refused = begun.is_err();
        self.tell_of(complete, begun)
    }

    fn begin_anew(&mut self, complete: &Complete) -> Result<OpenFile, Refusal> {
        let open = OpenUpload { truncate: true, create: true, ..OpenUpload::default() };
        let purpose = self.admit(complete.drop, &complete.name, open)?;
        let mut upload = self.sender.folders.open_upload(complete.drop, &complete.name, open).map_err(refusal)?;
        // What it holds is not here to stay: all of it must come again, or be cut off.
        upload.truncate(complete.seen.size.unwrap_or_default()).map_err(refusal)?;
        Ok(self.writing(upload, complete.drop, complete.name.clone(), purpose))
    }

    /// Ends a resume that had nothing left to send. Not while another upload of the name lies unfinished: it may be that one which
    /// was to be resumed, and which is as long.
    pub(super) fn end_complete(&mut self, complete: &Complete) -> Result<(), Refusal> {
        let Complete { drop, name, refused, .. } = complete;
        if *refused {
            return Err(Refusal::failure(ALREADY_TAKEN));
        }
        if self.sender.folders.partial_bytes(*drop, name).map_err(refusal)?.is_some() {
            return self.tell_of(complete, Err(Refusal::failure(ALREADY_TAKEN)));
        }
        debug!(file = name.as_str(), folder = drop.as_str(), "upload complete already");
        Ok(())
    }

    fn tell_of<V>(&mut self, complete: &Complete, result: Result<V, Refusal>) -> Result<V, Refusal> {
        let path = format!("/{}/{}", complete.drop.as_str(), complete.name);
        self.tell_refused("upload", path.as_bytes(), result)
    }

    /// What an upload is for, by its name, which may still be a temporary one.
    fn purpose(&self, drop: DropFolder, name: &FileName) -> Result<Purpose, Refusal> {
        let end = name.as_str().to_ascii_lowercase().rfind(CHECKSUM_ENDING);
        let vouched = end.and_then(|end| FileName::parse(&name.as_str()[..end]).ok());
        let waits = vouched.map(|vouched| self.sender.folders.stat(drop, &vouched)).transpose().map_err(refusal)?.flatten();
        Ok(if waits.is_some() { Purpose::Vouching } else { Purpose::Ordinary })
    }

    /// Refuses bytes that another list's, which waits under the name, has not there: there are clients that heed no refusal of a
    /// CLOSE. That one is given the time to be claimed which a CLOSE gives it, once an upload, and no longer than it is since the
    /// channel last gave some for nothing: it answers nobody meanwhile.
    pub(super) fn give_way(&mut self, writing: &mut Writing, offset: u64, bytes: &[u8]) -> Result<(), SpoolError> {
        let mut look = || if writing.upload.differs_from_waiting(offset, bytes)? { Err(SpoolError::Pending) } else { Ok(()) };
        let first = look();
        if writing.waited || !matches!(first, Err(SpoolError::Pending)) {
            return first;
        }
        let since = self.gave_way.map_or(Duration::MAX, |last| last.elapsed());
        let last = wait_while_pending(self.receiving.close_wait.min(since), look);
        self.gave_way = last.is_err().then(Instant::now);
        writing.waited = true;
        last
    }

    /// Closes, and waits a little for an earlier file of the name to be claimed.
    pub(super) fn deliver(&mut self, mut writing: Box<Writing>) -> Result<(), Refusal> {
        let refused = self.try_deliver(&mut writing).err().map(|error| {
            // What only lacks bytes can be resumed, and its sender looks how far it came.
            let resumable = error.kind() == ErrorKind::Gap && writing.refused.is_none();
            (writing.refused.take().map_or_else(|| refusal(error), Refusal::failure), resumable)
        });
        let told = refused.as_ref().filter(|(_, resumable)| !resumable).map(|(refusal, _)| &*refusal.text);
        self.sent.ended((writing.drop, &writing.name), writing.number, told, Instant::now());
        refused.map_or(Ok(()), |(refusal, _)| Err(refusal))
    }

    fn try_deliver(&mut self, writing: &mut Writing) -> Result<(), SpoolError> {
        let set = self.sent.mtime((writing.drop, &writing.name), writing.number);
        let status = waiting_status(&self.sender.folders, writing.drop, &writing.name);
        let closed = status.and_then(|status| self.wait_while_pending(|_| writing.upload.close(status.as_deref())));
        match closed {
            Ok(Closed::Kept) => {
                writing.ended = true;
                if let Some(mtime) = set {
                    let memory = Memory { size: writing.upload.size(), mtime };
                    self.remember(writing.drop, &writing.name, memory);
                }
                Ok(())
            }
            Ok(Closed::Delivered(delivered)) => {
                writing.ended = true;
                let mtime = set.unwrap_or_else(|| nanoseconds(delivered.mtime_ns));
                self.delivered(delivered.clone(), Memory { size: delivered.size, mtime });
                Ok(())
            }
            Err(SpoolError::Pending) if writing.upload.end_as_waiting().unwrap_or(false) => {
                writing.ended = true;
                info!(file = writing.name.as_str(), folder = writing.drop.as_str(), "upload waits already");
                let mtime = set.unwrap_or(seconds(writing.upload.entry().mtime_s));
                let memory = Memory { size: writing.upload.size(), mtime };
                self.remember(writing.drop, &writing.name, memory);
                Ok(())
            }
            Err(error) => {
                if error.kind() != ErrorKind::Gap {
                    // What was refused is not what is in the way.
                    writing.refused = None;
                }
                writing.over_limit |= error.kind() == ErrorKind::NoSpace;
                writing.cut(&error.to_string());
                Err(error)
            }
        }
    }

    /// Tries again for a short while, as long as only an earlier file of the name is in the way. Where that was for nothing, what came
    /// together with this request has waited as well, and is tried once: a client that is gone would keep its session for long.
    pub(super) fn wait_while_pending<V>(&mut self, mut attempt: impl FnMut(&Self) -> Result<V, SpoolError>) -> Result<V, SpoolError> {
        let waited = wait_while_pending(self.patience, || attempt(self));
        if waited.as_ref().is_err_and(is_in_the_way) {
            self.patience = Duration::ZERO;
        }
        waited
    }

    /// Keeps for a while what STAT answers of a name that is taken.
    fn remember(&self, drop: DropFolder, name: &FileName, memory: Memory) {
        self.receiving.taken.remember(self.key(drop, name), memory, Instant::now());
    }

    pub(super) fn delivered(&self, delivered: Delivered, memory: Memory) {
        info!(file = delivered.name.as_str(), folder = delivered.drop.as_str(), bytes = memory.size, "upload delivered");
        self.remember(delivered.drop, &delivered.name, memory);
        // Only a hint: if nobody listens any more, the next scan finds the file.
        let _ = self.receiving.hints.send((self.sender.tenant.clone(), delivered));
    }
}

fn wait_while_pending<V>(wait: Duration, mut attempt: impl FnMut() -> Result<V, SpoolError>) -> Result<V, SpoolError> {
    let deadline = Instant::now() + wait;
    loop {
        match attempt() {
            Err(error) if is_in_the_way(&error) && Instant::now() < deadline => sleep(CLOSE_POLL),
            result => return result,
        }
    }
}

/// Whether only an earlier file of the name is.
fn is_in_the_way(error: &SpoolError) -> bool {
    matches!(error.kind(), ErrorKind::Pending | ErrorKind::Exists)
}
