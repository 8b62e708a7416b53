//! Lists that come compressed: unpacked as they are read, up to a bound, every member's trailer checked.
//!
//! What is wrong with the packing is the sender's fault and travels as a [`Rejection`] inside the reader's error, because the
//! reader of rows knows bytes only.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::domain::{FileName, NameKind, Rejection};
use crate::records::ReadError;

/// A list's own bytes.
pub(super) enum Unpacked<R> {
    Plain(BufReader<R>),
    Gzip { decoder: Box<MultiGzDecoder<BufReader<R>>>, left: u64, bytes_max: u64 },
}

const BUFFER_BYTES: usize = 256 * 1024;

impl<R: Read> Unpacked<R> {
    /// Reads a file as its name says. A compressed one may unpack to `bytes_max` bytes.
    pub(super) fn new(input: R, name: &FileName, bytes_max: u64) -> Self {
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        match name.kind() {
            NameKind::List { gzip: true, .. } => Self::Gzip { decoder: Box::new(MultiGzDecoder::new(input)), left: bytes_max, bytes_max },
            _ => Self::Plain(input),
        }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (decoder, left, bytes_max) = match self {
            Self::Plain(input) => return input.read(buffer),
            Self::Gzip { decoder, left, bytes_max } => (decoder, left, bytes_max),
        };
        let read = decoder.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => carry(Rejection::new("gzip_cut", "the compressed file is cut; send it whole")),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                carry(Rejection::new("gzip_damaged", "not gzip, or damaged on its way: its checksum does not hold; send it again"))
            }
            _ => error,
        })?;
        *left = left.checked_sub(read as u64).ok_or_else(|| {
            carry(Rejection::new("unpacked_too_large", format!("it unpacks to more than {bytes_max} bytes; split the list")))
        })?;
        Ok(read)
    }
}

fn carry(rejection: Rejection) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, rejection)
}

/// What a reader's error is about: the sender's packing, where it carries that.
pub(super) fn whose_fault(error: ReadError) -> ReadError {
    match error {
        ReadError::Medium(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Rejection>()) {
            Some(rejection) => ReadError::Rejected(rejection.clone()),
            None => ReadError::Medium(error),
        },
        rejected @ ReadError::Rejected(_) => rejected,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn check(bytes: &[u8], bytes_max: u64, expected: Result<&str, &str>) {
        let mut text = String::new();
        let name = FileName::parse("june.csv.gz").unwrap();
        let read = Unpacked::new(bytes, &name, bytes_max).read_to_string(&mut text);
        let found = read.map(|_| text.as_str()).map_err(|error| match whose_fault(error.into()) {
            ReadError::Rejected(rejection) => rejection.code,
            ReadError::Medium(error) => error.to_string(),
        });
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn unpacks_all_members_up_to_its_bound() {
        let two = [packed("id\n"), packed("1\n")].concat();
        check(&two, 5, Ok("id\n1\n"));
        check(&two, 4, Err("unpacked_too_large"));
        check(&packed(&"a".repeat(1 << 20)), 1 << 20, Ok(&"a".repeat(1 << 20)));
    }

    #[test]
    fn refuses_what_is_cut_damaged_or_no_gzip() {
        let whole = packed("id\n1\n");
        for end in 1..whole.len() {
            check(&whole[..end], 99, Err("gzip_cut"));
        }
        let mut damaged = whole.clone();
        let trailer = damaged.len() - 6;
        damaged[trailer] ^= 1;
        check(&damaged, 99, Err("gzip_damaged"));
        check(b"Customer Email\na@b\n", 99, Err("gzip_damaged"));
        check(&[whole.clone(), b"trailing text".to_vec()].concat(), 99, Err("gzip_damaged"));
        // Fewer bytes than a member's header has may be the start of one.
        check(&[whole, b"trailing".to_vec()].concat(), 99, Err("gzip_cut"));
    }
}
