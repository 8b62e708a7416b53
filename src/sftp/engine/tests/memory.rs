//! A tree in memory.

use std::collections::BTreeMap;

use crate::sftp::engine::{Entry, OpenFlags, Overwrite, Room, Tree};
use crate::sftp::wire::{Attributes, Refusal};

/// Files by path. Paths are keys as they come.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) files: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Offset and length of each write.
    pub(super) writes: Vec<(u64, usize)>,
}

impl Tree for Memory {
    type File = Vec<u8>;
    type Listing = std::vec::IntoIter<Entry>;

    fn open(&mut self, path: &[u8], flags: OpenFlags, _: &Attributes) -> Result<Self::File, Refusal> {
        let exists = self.files.contains_key(path);
        if !exists && !flags.create {
            return Err(Refusal::not_found());
        }
        if exists && flags.exclusive {
            return Err(Refusal::failure("it is there"));
        }
        let file = self.files.entry(path.to_vec()).or_default();
        if flags.truncate {
            file.clear();
        }
        Ok(path.to_vec())
    }
    fn close(&mut self, _: Self::File) -> Result<(), Refusal> {
        Ok(())
    }
    fn give_up(&mut self, _: Self::File, _: &str) {}
    fn read(&mut self, file: &mut Self::File, offset: u64, buffer: &mut [u8]) -> Result<usize, Refusal> {
        let bytes = self.files.get(file).ok_or_else(Refusal::not_found)?;
        let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
    fn write(&mut self, file: &mut Self::File, offset: u64, piece: &[u8]) -> Result<(), Refusal> {
        self.writes.push((offset, piece.len()));
        let end = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(piece.len());
        if end > 4 << 20 {
            return Err(Refusal::failure("the offset is too large"));
        }
        let bytes = self.files.get_mut(file).ok_or_else(Refusal::not_found)?;
        bytes.resize(bytes.len().max(end), 0);
        bytes[end - piece.len()..end].copy_from_slice(piece);
        Ok(())
    }
    fn sync(&mut self, _: &mut Self::File) -> Result<(), Refusal> {
        Ok(())
    }
    fn file_attributes(&mut self, file: &mut Self::File) -> Result<Attributes, Refusal> {
        let path = file.clone();
        self.attributes(&path)
    }
    fn set_file_attributes(&mut self, _: &mut Self::File, _: &Attributes) -> Result<(), Refusal> {
        Ok(())
    }
    fn attributes(&mut self, path: &[u8]) -> Result<Attributes, Refusal> {
        let bytes = self.files.get(path).ok_or_else(Refusal::not_found)?;
        Ok(Attributes::file(bytes.len() as u64, 7, 0o600))
    }
    fn set_attributes(&mut self, path: &[u8], _: &Attributes) -> Result<(), Refusal> {
        self.attributes(path).map(drop)
    }
    fn list(&mut self, path: &[u8]) -> Result<Self::Listing, Refusal> {
        if path != b"/" {
            return Err(Refusal::not_found());
        }
        let entry =
            |(name, bytes): (&Vec<u8>, &Vec<u8>)| Entry { name: name.clone(), attributes: Attributes::file(bytes.len() as u64, 7, 0o600) };
        Ok(self.files.iter().map(entry).collect::<Vec<_>>().into_iter())
    }
    fn remove(&mut self, path: &[u8]) -> Result<(), Refusal> {
        self.files.remove(path).map(drop).ok_or_else(Refusal::not_found)
    }
    fn make_folder(&mut self, _: &[u8]) -> Result<(), Refusal> {
        Err(Refusal::denied("no folders"))
    }
    fn remove_folder(&mut self, _: &[u8]) -> Result<(), Refusal> {
        Err(Refusal::denied("no folders"))
    }
    fn real_path(&mut self, path: &[u8]) -> Result<Vec<u8>, Refusal> {
        Ok([b"/", path].concat())
    }
    fn rename(&mut self, from: &[u8], to: &[u8], overwrite: Overwrite) -> Result<(), Refusal> {
        if overwrite == Overwrite::Refused && self.files.contains_key(to) {
            return Err(Refusal::failure("it is there"));
        }
        let bytes = self.files.remove(from).ok_or_else(Refusal::not_found)?;
        self.files.insert(to.to_vec(), bytes);
        Ok(())
    }
    fn room(&mut self, _: &[u8]) -> Result<Room, Refusal> {
        Ok(Room { block_bytes: 4096, blocks: 9, blocks_free: 8, blocks_available: 7, inodes: 6, inodes_free: 5, name_bytes_max: 218 })
    }
    fn refused(&mut self, _: &'static str, _: &[u8], _: &Refusal) {}
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn owner(&self) -> &'static str {
        "acme"
    }
}
