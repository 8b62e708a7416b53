//! The SFTP version 3 engine: bytes in, bytes and file operations out.
//!
//! Synchronous and without a clock, a network or a disk of its own, so it can be tested and fuzzed alone. Bodies of WRITE are
//! passed through as slices, in pieces if they come so; every other packet is small and is taken whole. Requests are
//! carried out and answered strictly in order. It stops when enough output has piled up, and says how far it got.
//!
//! It does not know what a path means (see [`Tree`]), nor who is asking.

mod frame;
mod listing;
mod ops;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use frame::Framing;
pub use ops::{Entry, OpenFlags, Overwrite, Room, Tree};

use crate::sftp::wire::{self, Reader, Refusal};
use frame::Next;

/// Longest body of one READ or WRITE that is advertised and answered. OpenSSH's own: 256 KiB less 1 KiB.
pub const TRANSFER_BYTES_MAX: u32 = 261_120;

/// Output at which an engine stops taking requests. One reply may go beyond it by [`TRANSFER_BYTES_MAX`]. Less than one large
/// READ, so that what was read is still in the processor's cache when it is encrypted, and no reply is copied as the output grows.
pub const OUTPUT_BYTES_MAX: usize = 192 << 10;

/// Names in open listings at which no other is begun. One may be as long as its folder: each name takes about 120 bytes.
const LISTED_MAX: usize = 32_768;

/// One SFTP conversation over a tree.
pub struct Engine<T: Tree> {
    tree: T,
    open: BTreeMap<u32, Open<T>>,
    handle_next: u32,
    handles_max: usize,
    greeted: bool,
    /// The beginning of a packet that has not come whole. Empty while a WRITE's body is passing.
    held: Vec<u8>,
    body: Option<Body>,
}

/// What a handle stands for.
enum Open<T: Tree> {
    File(T::File),
    /// What is left of it, and the names that it had.
    Listing(T::Listing, usize),
}

/// A WRITE of which part is still to come.
struct Body {
    id: u32,
    handle: u32,
    offset: u64,
    left: usize,
    /// Bytes of its packet after the body. rclone 1.60 sends such, and OpenSSH passes over them.
    over: usize,
    refused: Option<Refusal>,
}

impl<T: Tree> Engine<T> {
    /// An engine that waits for INIT. At most `handles_max` files and folders are open at once.
    pub fn new(tree: T, handles_max: usize) -> Self {
        Self { tree, open: BTreeMap::new(), handle_next: 1, handles_max, greeted: false, held: Vec::new(), body: None }
    }

    /// Says that what is fed from now on has come together: what one request waits for, the others have waited for as well.
    pub fn more_came(&mut self) {
        self.tree.more_came();
    }

    /// Takes bytes of the client, carries out what they ask, appends the replies to `out`, and returns how many bytes were
    /// taken: all of them, unless `out` reached [`OUTPUT_BYTES_MAX`]. Replies and effects do not depend on how the stream is
    /// cut into pieces.
    ///
    /// # Errors
    /// [`Framing`]: the stream cannot be followed, and what was open is given up; what was appended before is still to be sent.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Framing> {
        self.follow(input, out).inspect_err(|framing| {
            let why = format!("the client sent {framing}");
            for open in std::mem::take(&mut self.open).into_values() {
                if let Open::File(file) = open {
                    self.tree.give_up(file, &why);
                }
            }
        })
    }

    fn follow(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Framing> {
        let mut taken = 0;
        while out.len() < OUTPUT_BYTES_MAX {
            let rest = &input[taken..];
            if self.body.is_some() {
                taken += self.pass_body(rest, out);
                if self.body.is_some() {
                    break;
                }
            } else if rest.is_empty() {
                break;
            } else if self.held.is_empty() {
                taken += self.take_packet(rest, out)?;
            } else {
                taken += self.complete_held(rest, out)?;
            }
        }
        Ok(taken)
    }

    /// How many handles are open.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Whether a packet has begun that is not whole.
    pub fn is_amid_packet(&self) -> bool {
        self.body.is_some() || !self.held.is_empty()
    }

    /// Takes the packet that `rest` begins with, or holds its beginning.
    fn take_packet(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Result<usize, Framing> {
        match self.look(rest)? {
            Next::Need(_) => {
                self.held.extend_from_slice(rest);
                Ok(rest.len())
            }
            Next::Packet(end) => {
                self.answer(&rest[4..end], out)?;
                Ok(end)
            }
            Next::Write { header, body, over } => {
                self.begin_body(&rest[5..header], body, over)?;
                Ok(header)
            }
        }
    }

    /// Adds to the packet that is held the bytes that it still lacks, no more, and carries it out once it is whole.
    fn complete_held(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Result<usize, Framing> {
        let mut held = std::mem::take(&mut self.held);
        let mut taken = 0;
        while let Next::Need(size) = self.look(&held)? {
            let lacking = (size - held.len()).min(rest.len() - taken);
            if lacking == 0 {
                self.held = held;
                return Ok(taken);
            }
            held.extend_from_slice(&rest[taken..taken + lacking]);
            taken += lacking;
        }
        let used = self.take_packet(&held, out)?;
        debug_assert_eq!(used, held.len(), "a held packet is completed, never overrun");
        if held.capacity() <= 4096 {
            held.clear();
            self.held = held;
        }
        Ok(taken)
    }

    fn look(&self, bytes: &[u8]) -> Result<Next, Framing> {
        if let Some(&kind) = bytes.get(4)
            && (kind == wire::INIT) == self.greeted
        {
            // Where the length is wrong too, that is what is told: so the answer does not depend on whether the type came with it.
            frame::next(&bytes[..4])?;
            return Err(Framing::Turn(kind));
        }
        frame::next(bytes)
    }

    /// Reads a WRITE's fields: id, handle, offset.
    fn begin_body(&mut self, fields: &[u8], left: usize, over: usize) -> Result<(), Framing> {
        let mut reader = Reader::new(fields);
        let mut read = || Ok((reader.u32()?, reader.string()?, reader.u64()?));
        let (id, handle, offset) = read().map_err(|wire::Short| Framing::Fields(wire::WRITE))?;
        let handle = number_of(handle);
        let refused = match handle.and_then(|handle| self.open.get(&handle)) {
            Some(Open::File(_)) => None,
            Some(Open::Listing(..)) => Some(Refusal::failure("the handle is a folder's")),
            None => Some(no_handle()),
        };
        self.body = Some(Body { id, handle: handle.unwrap_or_default(), offset, left, over, refused });
        Ok(())
    }

    /// Writes what has come of the body, and answers once it was all.
    fn pass_body(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let Some(mut body) = self.body.take() else { return 0 };
        let piece = &rest[..body.left.min(rest.len())];
        if body.refused.is_none() && !piece.is_empty() {
            body.refused = match self.open.get_mut(&body.handle) {
                Some(Open::File(file)) => self.tree.write(file, body.offset, piece).err(),
                _ => Some(no_handle()),
            };
        }
        body.offset = body.offset.saturating_add(piece.len() as u64);
        body.left -= piece.len();
        let passed = body.over.min(rest.len() - piece.len());
        body.over -= passed;
        if body.left == 0 && body.over == 0 {
            requests::status(out, body.id, body.refused.map_or(Ok(()), Err));
        } else {
            self.body = Some(body);
        }
        piece.len() + passed
    }

    /// Remembers an open file or folder and answers its handle's number.
    fn enter(&mut self, open: Open<T>) -> u32 {
        let handle = self.handle_next;
        self.handle_next = self.handle_next.wrapping_add(1);
        self.open.insert(handle, open);
        handle
    }

    fn check_room(&self) -> Result<(), Refusal> {
        if self.open.len() < self.handles_max { Ok(()) } else { Err(Refusal::failure("too many open files")) }
    }

    fn check_room_to_list(&self) -> Result<(), Refusal> {
        self.check_room()?;
        let names = |open: &Open<T>| if let Open::Listing(_, names) = open { *names } else { 0 };
        let listed: usize = self.open.values().map(names).sum();
        if listed < LISTED_MAX { Ok(()) } else { Err(Refusal::failure("too many names in open folders; close one")) }
    }
}

/// The number in a handle of ours: exactly four bytes.
fn number_of(handle: &[u8]) -> Option<u32> {
    handle.try_into().ok().map(u32::from_be_bytes)
}

fn no_handle() -> Refusal {
    Refusal::failure("no such handle")
}
