//! What a sender has open: a file that is read, an upload, which was cut if it is dropped before its end is known, or a complete file
//! that may be sent anew.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tracing::info;

use crate::domain::FileName;
use crate::sftp::quota::Purpose;
use crate::sftp::sessions::Ending;
use crate::sftp::tree::Sender;
use crate::sftp::wire::Attributes;
use crate::spool::{DropFolder, Upload};

/// An open file.
pub(crate) enum OpenFile {
    Writing(Box<Writing>),
    Complete(Box<Complete>),
    Reading(File, Attributes),
    Text(Arc<str>, Attributes),
}

/// An upload under way. Dropped before it was closed, it was cut.
pub(crate) struct Writing {
    pub(super) upload: Upload,
    pub(super) drop: DropFolder,
    pub(super) name: FileName,
    /// Which of the channel's uploads it is.
    pub(super) number: u64,
    pub(super) purpose: Purpose,
    /// Why a write was refused, the last time. The reason for everything that fails after it.
    pub(super) refused: Option<String>,
    /// A limit was reached, or the disk was full. What came is not kept then: it would only take the room of what could still come.
    pub(super) over_limit: bool,
    /// An earlier file of its name has been given the time to be claimed.
    pub(super) waited: bool,
    /// Its sender was told of a refused write.
    pub(super) told: bool,
    /// It was delivered, kept, or told of.
    pub(super) ended: bool,
    pub(super) sender: Sender,
}

/// A complete file, taken or waiting, that was opened for writing without being emptied. Closed as it is, all of it has arrived
/// before; written from its start, it becomes an upload of its own. It can not be continued.
pub(crate) struct Complete {
    pub(super) drop: DropFolder,
    pub(super) name: FileName,
    pub(super) seen: Attributes,
    /// Each write goes to its end, and so none can begin it anew.
    pub(super) appends: bool,
    /// A write was refused.
    pub(super) refused: bool,
}

impl Writing {
    /// Tells the sender that a write was refused, once: its handle may stay open until long after a later upload of the name succeeded.
    /// Not at a limit, where there may be no room for the line yet.
    pub(super) fn tell_refused(&mut self, reason: &str) {
        if !self.told && !self.over_limit {
            self.told = true;
            self.tell(&format!("write refused after {} bytes: {reason}", self.upload.kept()));
        }
    }

    fn tell(&self, what: &str) {
        self.sender.tell(&format!("{} /{}/{} {what}", jiff::Timestamp::now(), self.drop.as_str(), self.name));
    }

    /// Tells that the upload ended without a delivery: to the operator, and to the sender's own log if it does not
    /// know yet.
    pub(super) fn cut(&mut self, reason: &str) {
        self.ended = true;
        let reason = self.refused.as_deref().unwrap_or(reason);
        let (folder, bytes) = (self.drop.as_str(), self.upload.kept());
        info!(file = self.name.as_str(), folder, bytes, reason, "upload cut");
        // First: the line below may need its room. What cannot be removed expires as any partial, or is delivered.
        let is_gone = self.over_limit && self.upload.discard().is_ok();
        let fate = if is_gone { ", which are not kept" } else { "" };
        if !self.told {
            self.tell(&format!("upload cut after {bytes} bytes{fate}: {reason}"));
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // Of a superseded one nothing: what became of its name is told of the newer one.
        if !self.ended && !self.upload.is_superseded() {
            self.cut(self.sender.session.ending().map_or("the connection ended", Ending::as_str));
        }
    }
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_full(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
