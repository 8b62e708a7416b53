//! The bytes of a file, decoded to UTF-8, seen through a window that moves forward.
//!
//! The window grows only while its owner keeps bytes in it, so who drops what is too long keeps memory flat. It knows where
//! in the stored file its first byte stood, because seams are told in stored bytes.

use std::io::{self, Read};

use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};

/// First size of the window.
const WINDOW_BYTES: usize = 256 * 1024;

/// A window onto the decoded bytes of a file.
pub(super) struct Window<R> {
    input: DecodeReaderBytes<io::Chain<io::Cursor<Vec<u8>>, R>, Vec<u8>>,
    buffer: Vec<u8>,
    /// Where in the buffer the bytes in sight begin and end.
    start: usize,
    end: usize,
    ended: bool,
    encoding: Encoding,
    /// Where in the stored file the first byte in sight stands.
    offset: u64,
    binary: Option<&'static str>,
}

/// What of a file is in sight.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) bytes: &'a [u8],
    /// Nothing comes after these bytes.
    pub(super) ended: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Encoding {
    Utf8,
    Utf16,
}

impl<R: Read> Window<R> {
    /// Looks at the first bytes for a byte order mark.
    pub(super) fn open(mut input: R) -> io::Result<Self> {
        let mut head = Vec::with_capacity(8);
        input.by_ref().take(8).read_to_end(&mut head)?;
        let (encoding, mark_bytes) = match head.as_slice() {
            [0xEF, 0xBB, 0xBF, ..] => (Encoding::Utf8, 3),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => (Encoding::Utf16, 2),
            _ => (Encoding::Utf8, 0),
        };
        let binary = binary(&head);
        let input = DecodeReaderBytesBuilder::new().utf8_passthru(true).strip_bom(true).build(io::Cursor::new(head).chain(input));
        let buffer = vec![0; WINDOW_BYTES];
        Ok(Self { input, buffer, start: 0, end: 0, ended: false, encoding, offset: mark_bytes, binary })
    }

    /// What the file is, where its first bytes say that it is no text.
    pub(super) fn binary(&self) -> Option<&'static str> {
        self.binary
    }

    /// The bytes in sight.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn sight(&self) -> Sight<'_> {
        Sight { bytes: self.bytes(), ended: self.ended }
    }

    /// Where in the stored file the first byte in sight stands.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How many stored bytes the first `len` bytes in sight took.
    pub(super) fn stored(&self, len: usize) -> u64 {
        let bytes = &self.bytes()[..len];
        match self.encoding {
            Encoding::Utf8 => len as u64,
            // A code unit for each sequence of one to three bytes, two for each of four, none for its other bytes. What could not be decoded
            // stands as U+FFFD, one for each lone unit.
            Encoding::Utf16 => bytes.iter().map(|b| if *b >= 0xF0 { 4 } else { 2 * u64::from(*b & 0xC0 != 0x80) }).sum(),
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Drops bytes from the front.
    pub(super) fn drop_front(&mut self, len: usize) {
        self.offset += self.stored(len);
        self.start += len;
    }

    /// Reads more behind the bytes in sight. At the end of input nothing changes but [`Sight::ended`].
    pub(super) fn fill(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        if self.start > 0 && (self.start == self.end || self.end == self.buffer.len()) {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(len) => self.end += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    /// Reads until `len` bytes are in sight or the input ends.
    pub(super) fn fill_to(&mut self, len: usize) -> io::Result<()> {
        while self.end - self.start < len && !self.ended {
            self.fill()?;
        }
        Ok(())
    }
}

/// Formats that people send under a list's name.
fn binary(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'P', b'K', 3, 4, ..] => Some("a zip archive or an Excel workbook"),
        [0x1F, 0x8B, ..] => Some("gzip-compressed data (its name must end .gz)"),
        [0xD0, 0xCF, 0x11, 0xE0, ..] => Some("an Excel workbook"),
        [b'%', b'P', b'D', b'F', ..] => Some("a PDF document"),
        _ => None,
    }
}
