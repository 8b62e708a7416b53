//! The requests of SFTP version 3, one by one: read the fields, ask the tree, write the reply.
//!
//! What a packet has after its fields is passed over, as OpenSSH does: some clients send more than they say.

use crate::sftp::engine::{
    Engine, Framing, OUTPUT_BYTES_MAX, Open, OpenFlags, Overwrite, TRANSFER_BYTES_MAX, Tree, frame, listing, no_handle, number_of,
};
use crate::sftp::wire::{self, Attributes, Code, Reader, Refusal, Short, Writer};

/// The version that is spoken.
const PROTOCOL_VERSION: u32 = 3;

/// Names in one answer to READDIR, and bytes after which one ends.
const NAMES_MAX: usize = 128;
const NAMES_BYTES_MAX: usize = 48 * 1024;

/// Longest path that is looked at.
const PATH_BYTES_MAX: usize = 4096;

/// Extensions told in VERSION, with the version that OpenSSH's clients look for.
const EXTENSIONS: [(&str, &str); 5] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("fsync@openssh.com", "1"),
    ("limits@openssh.com", "1"),
];

/// Why a packet has no ordinary reply.
enum Fault {
    /// It ends before its fields do: the connection is out of step.
    Fields,
    /// Its reply is a STATUS that says why not.
    Refused(Refusal),
}

impl From<Short> for Fault {
    fn from(_: Short) -> Self {
        Self::Fields
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Appends a STATUS.
pub(super) fn status(out: &mut Vec<u8>, id: u32, result: Result<(), Refusal>) {
    let refusal = result.err().unwrap_or(Refusal { code: Code::Ok, text: "".into() });
    Writer::new(out, wire::STATUS).u32(id).u32(refusal.code as u32).string(refusal.text.as_bytes()).string(b"").end();
}

fn reply_handle(out: &mut Vec<u8>, id: u32, handle: u32) {
    Writer::new(out, wire::HANDLE).u32(id).string(&handle.to_be_bytes()).end();
}

fn reply_attributes(out: &mut Vec<u8>, id: u32, attributes: &Attributes) {
    Writer::new(out, wire::ATTRS).u32(id).attributes(attributes).end();
}

impl<T: Tree> Engine<T> {
    /// Carries out one whole packet that is no WRITE, and appends its reply.
    pub(super) fn answer(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), Framing> {
        let mut fields = Reader::new(packet);
        let malformed = |kind| move |_: Short| Framing::Fields(kind);
        let kind = fields.u8().map_err(malformed(0))?;
        if kind == wire::INIT {
            return self.greet(fields, out).map_err(malformed(kind));
        }
        let id = fields.u32().map_err(malformed(kind))?;
        let start = out.len();
        match self.carry_out(kind, id, fields, out) {
            Ok(()) => Ok(()),
            Err(Fault::Fields) => Err(Framing::Fields(kind)),
            Err(Fault::Refused(refusal)) => {
                out.truncate(start);
                status(out, id, Err(refusal));
                Ok(())
            }
        }
    }

    /// INIT: the version of the client. The extensions that it may name change nothing.
    fn greet(&mut self, mut fields: Reader<'_>, out: &mut Vec<u8>) -> Result<(), Short> {
        fields.u32()?;
        self.greeted = true;
        let mut reply = Writer::new(out, wire::VERSION).u32(PROTOCOL_VERSION);
        for (name, version) in EXTENSIONS {
            reply = reply.string(name.as_bytes()).string(version.as_bytes());
        }
        reply.end();
        Ok(())
    }

    /// Appends the reply of one request, unless it is refused.
    fn carry_out(&mut self, kind: u8, id: u32, mut fields: Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match kind {
            wire::OPEN => self.open_file(id, fields, out)?,
            wire::CLOSE => status(out, id, self.close(fields.string()?)),
            wire::READ => {
                let (handle, offset, length) = (fields.string()?, fields.u64()?, fields.u32()?);
                self.read(id, handle, offset, length, out)?;
            }
            wire::STAT | wire::LSTAT => {
                let path = fields.path()?;
                reply_attributes(out, id, &self.tree.attributes(within_limit(path)?)?);
            }
            wire::FSTAT => {
                let (tree, file) = self.file(fields.string()?)?;
                reply_attributes(out, id, &tree.file_attributes(file)?);
            }
            wire::SETSTAT => {
                let (path, attributes) = (fields.path()?, fields.attributes()?);
                status(out, id, self.tree.set_attributes(within_limit(path)?, &attributes));
            }
            wire::FSETSTAT => {
                let (handle, attributes) = (fields.string()?, fields.attributes()?);
                let (tree, file) = self.file(handle)?;
                status(out, id, tree.set_file_attributes(file, &attributes));
            }
            wire::OPENDIR => self.open_listing(id, fields.path()?, out)?,
            wire::READDIR => self.read_listing(id, fields.string()?, out)?,
            wire::REMOVE => {
                let path = fields.path()?;
                status(out, id, self.tree.remove(within_limit(path)?));
            }
            wire::MKDIR => {
                let (path, _) = (fields.path()?, fields.attributes()?);
                status(out, id, self.tree.make_folder(within_limit(path)?));
            }
            wire::RMDIR => {
                let path = fields.path()?;
                status(out, id, self.tree.remove_folder(within_limit(path)?));
            }
            wire::REALPATH => {
                let path = fields.path()?;
                let path = self.tree.real_path(within_limit(path)?)?;
                Writer::new(out, wire::NAME).u32(id).u32(1).string(&path).string(&path).attributes(&Attributes::default()).end();
            }
            wire::RENAME => {
                let (from, to) = (fields.path()?, fields.path()?);
                status(out, id, self.tree.rename(within_limit(from)?, within_limit(to)?, Overwrite::Refused));
            }
            wire::READLINK => {
                fields.path()?;
                return Err(Refusal::unsupported("there are no links here").into());
            }
            wire::SYMLINK => {
                fields.path()?;
                fields.path()?;
                return Err(Refusal::unsupported("links cannot be made here").into());
            }
            wire::EXTENDED => self.extended(id, fields, out)?,
            _ => return Err(Refusal::unsupported("this request is not offered").into()),
        }
        Ok(())
    }

    fn open_file(&mut self, id: u32, mut fields: Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let (path, flags, attributes) = (fields.path()?, OpenFlags::from_bits(fields.u32()?), fields.attributes()?);
        let room = within_limit(path).and_then(|_| self.check_room());
        room.inspect_err(|refusal| self.tree.refused("open", path, refusal))?;
        let file = self.tree.open(path, flags, &attributes)?;
        reply_handle(out, id, self.enter(Open::File(file)));
        Ok(())
    }

    fn open_listing(&mut self, id: u32, path: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let path = within_limit(path)?;
        self.check_room_to_list().inspect_err(|refusal| self.tree.refused("listing", path, refusal))?;
        let listing = self.tree.list(path)?;
        let names = listing.len();
        reply_handle(out, id, self.enter(Open::Listing(listing, names)));
        Ok(())
    }

    fn close(&mut self, handle: &[u8]) -> Result<(), Refusal> {
        match number_of(handle).and_then(|handle| self.open.remove(&handle)) {
            Some(Open::File(file)) => self.tree.close(file),
            Some(Open::Listing(..)) => Ok(()),
            None => Err(no_handle()),
        }
    }

    fn extended(&mut self, id: u32, mut fields: Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match fields.string()? {
            b"limits@openssh.com" => {
                Writer::new(out, wire::EXTENDED_REPLY)
                    .u32(id)
                    .u64(frame::PACKET_BYTES_MAX as u64)
                    .u64(u64::from(TRANSFER_BYTES_MAX))
                    .u64(u64::from(TRANSFER_BYTES_MAX))
                    .u64(self.handles_max as u64)
                    .end();
            }
            b"posix-rename@openssh.com" => {
                let (from, to) = (fields.path()?, fields.path()?);
                status(out, id, self.tree.rename(within_limit(from)?, within_limit(to)?, Overwrite::Asked));
            }
            b"fsync@openssh.com" => {
                let (tree, file) = self.file(fields.string()?)?;
                status(out, id, tree.sync(file));
            }
            b"statvfs@openssh.com" => {
                let path = fields.path()?;
                self.room(id, within_limit(path)?, out)?;
            }
            b"fstatvfs@openssh.com" => {
                self.file(fields.string()?)?;
                self.room(id, b".", out)?;
            }
            _ => return Err(Refusal::unsupported("this extension is not offered").into()),
        }
        Ok(())
    }

    fn room(&mut self, id: u32, path: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let room = self.tree.room(path)?;
        Writer::new(out, wire::EXTENDED_REPLY)
            .u32(id)
            .u64(room.block_bytes)
            .u64(room.block_bytes)
            .u64(room.blocks)
            .u64(room.blocks_free)
            .u64(room.blocks_available)
            .u64(room.inodes)
            .u64(room.inodes_free)
            .u64(room.inodes_free)
            .u64(0)
            .u64(0)
            .u64(room.name_bytes_max)
            .end();
        Ok(())
    }

    /// READ: straight into the output, at most [`TRANSFER_BYTES_MAX`].
    fn read(&mut self, id: u32, handle: &[u8], offset: u64, length: u32, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let (tree, file) = self.file(handle)?;
        let length = length.min(TRANSFER_BYTES_MAX) as usize;
        let start = out.len();
        if length >= 4096 {
            // Once for all replies that still fit, and not doubling by doubling.
            out.reserve(OUTPUT_BYTES_MAX.saturating_sub(start) + length + 32);
        }
        Writer::new(out, wire::DATA).u32(id).u32(0).end();
        let body = out.len();
        out.resize(body + length, 0);
        let count = tree.read(file, offset, &mut out[body..])?;
        if count == 0 {
            return Err(Refusal::new(Code::Eof, "end of file"));
        }
        out.truncate(body + count);
        let number = |value: usize| u32::try_from(value).expect("bounded by TRANSFER_BYTES_MAX").to_be_bytes();
        out[body - 4..body].copy_from_slice(&number(count));
        let packet = out.len() - start - 4;
        out[start..start + 4].copy_from_slice(&number(packet));
        Ok(())
    }

    /// READDIR: the next names of a listing.
    fn read_listing(&mut self, id: u32, handle: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let listing = match number_of(handle).and_then(|handle| self.open.get_mut(&handle)) {
            Some(Open::Listing(listing, _)) => listing,
            Some(Open::File(_)) => return Err(Refusal::failure("the handle is a file's")),
            None => return Err(no_handle()),
        };
        let (owner, now) = (self.tree.owner(), self.tree.now());
        let start = out.len();
        let mut reply = Writer::new(out, wire::NAME).u32(id).u32(0);
        let mut count = 0_u32;
        while (count as usize) < NAMES_MAX && reply.len() < NAMES_BYTES_MAX {
            let Some(entry) = listing.next() else { break };
            reply = reply.string(&entry.name).string(&listing::long_name(&entry, owner, now)).attributes(&entry.attributes);
            count += 1;
        }
        if count == 0 {
            return Err(Refusal::new(Code::Eof, "end of listing"));
        }
        reply.end();
        out[start + 9..start + 13].copy_from_slice(&count.to_be_bytes());
        Ok(())
    }

    /// The open file of a handle, and the tree to use it with.
    fn file(&mut self, handle: &[u8]) -> Result<(&mut T, &mut T::File), Refusal> {
        match number_of(handle).and_then(|handle| self.open.get_mut(&handle)) {
            Some(Open::File(file)) => Ok((&mut self.tree, file)),
            Some(Open::Listing(..)) => Err(Refusal::failure("the handle is a folder's")),
            None => Err(no_handle()),
        }
    }
}

/// A path that is not too long to be looked at.
fn within_limit(path: &[u8]) -> Result<&[u8], Refusal> {
    if path.len() <= PATH_BYTES_MAX { Ok(path) } else { Err(Refusal::failure("the path is longer than 4096 bytes")) }
}
