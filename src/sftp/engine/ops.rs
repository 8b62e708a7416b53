//! What the engine asks of the files: the one trait between the protocol and the disk.
//!
//! Paths are bytes as the client sent them, without NUL; what they mean is the tree's affair. Every call may block.

use crate::sftp::wire::{Attributes, Refusal};

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OpenFlags {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Each write goes to the end.
    pub append: bool,
    /// Made if it is not there.
    pub create: bool,
    /// Emptied first.
    pub truncate: bool,
    /// Refused if it is there.
    pub exclusive: bool,
}

impl OpenFlags {
    /// From the bits of an OPEN request. Bits that version 3 does not know are ignored.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        let has = |bit: u32| bits & bit != 0;
        Self { read: has(1), write: has(2), append: has(4), create: has(8), truncate: has(16), exclusive: has(32) }
    }
}

/// What a rename does where the new name is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Overwrite {
    /// RENAME: it fails.
    Refused,
    /// `posix-rename@openssh.com`: it replaces, where the tree allows that.
    Asked,
}

/// One line of a listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The name, one component.
    pub name: Vec<u8>,
    /// What STAT would answer.
    pub attributes: Attributes,
}

/// A filesystem's room, as `statvfs@openssh.com` answers it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Room {
    /// Bytes a block.
    pub block_bytes: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Blocks that this program may use.
    pub blocks_available: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
    /// Longest name in bytes.
    pub name_bytes_max: u64,
}

/// The files that one sender sees.
pub trait Tree {
    /// An open file.
    type File;
    /// A listing that is being read.
    type Listing: ExactSizeIterator<Item = Entry>;

    /// Hears that more requests have come: those that are carried out until it hears so again were all sent by then.
    fn more_came(&mut self) {}
    /// Opens a file; `attributes` are those that the client wishes for a new one.
    fn open(&mut self, path: &[u8], flags: OpenFlags, attributes: &Attributes) -> Result<Self::File, Refusal>;
    /// Ends the use of a file. For a written one, `Ok` means that its bytes are durable.
    fn close(&mut self, file: Self::File) -> Result<(), Refusal>;
    /// Ends the use of a file whose client can be followed no further.
    fn give_up(&mut self, file: Self::File, why: &str);
    /// Reads at an offset; fewer bytes than asked for only at the end of the file.
    fn read(&mut self, file: &mut Self::File, offset: u64, buffer: &mut [u8]) -> Result<usize, Refusal>;
    /// Writes all bytes at an offset. A client's one write may come in several pieces, at growing
    /// offsets. What is refused here must keep the file from counting as whole: not every client heeds a refusal.
    fn write(&mut self, file: &mut Self::File, offset: u64, bytes: &[u8]) -> Result<(), Refusal>;
    /// Makes the bytes written so far durable.
    fn sync(&mut self, file: &mut Self::File) -> Result<(), Refusal>;
    /// Attributes of an open file.
    fn file_attributes(&mut self, file: &mut Self::File) -> Result<Attributes, Refusal>;
    /// Sets attributes of an open file.
    fn set_file_attributes(&mut self, file: &mut Self::File, attributes: &Attributes) -> Result<(), Refusal>;
    /// Attributes at a path. There are no links, so STAT and LSTAT are the same.
    fn attributes(&mut self, path: &[u8]) -> Result<Attributes, Refusal>;
    /// Sets attributes at a path.
    fn set_attributes(&mut self, path: &[u8], attributes: &Attributes) -> Result<(), Refusal>;
    /// Lists a folder.
    fn list(&mut self, path: &[u8]) -> Result<Self::Listing, Refusal>;
    /// Removes a file.
    fn remove(&mut self, path: &[u8]) -> Result<(), Refusal>;
    /// Makes a folder.
    fn make_folder(&mut self, path: &[u8]) -> Result<(), Refusal>;
    /// Removes a folder.
    fn remove_folder(&mut self, path: &[u8]) -> Result<(), Refusal>;
    /// The absolute, normal form of a path; it need not exist.
    fn real_path(&mut self, path: &[u8]) -> Result<Vec<u8>, Refusal>;
    /// Renames a file.
    fn rename(&mut self, from: &[u8], to: &[u8], overwrite: Overwrite) -> Result<(), Refusal>;
    /// The room of the filesystem that a path is on.
    fn room(&mut self, path: &[u8]) -> Result<Room, Refusal>;
    /// Hears of a path that the engine refused by itself.
    fn refused(&mut self, what: &'static str, path: &[u8], refusal: &Refusal);
    /// The time, to date a listing's lines by.
    fn now(&self) -> jiff::Timestamp;
    /// The name that owns the files, in a listing's lines.
    fn owner(&self) -> &str;
}
