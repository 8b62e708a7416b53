//! Lists that come compressed: unpacked as they are read, up to a bound, every member's trailer checked.
//!
//! What is wrong with the packing is the sender's fault and travels as a [`Rejection`] inside the reader's error, because the
//! reader of rows knows bytes only.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::{GzDecoder, MultiGzDecoder};

use crate::domain::{FileName, NameKind, Rejection};
use crate::records::{ReadError, Reading};

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
            ErrorKind::UnexpectedEof => carry(Rejection::new("gzip_cut", "the compressed file is cut; send it whole")),
            ErrorKind::InvalidData | ErrorKind::InvalidInput => {
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

/// Takes back what was trusted of a compressed list, where its packing does not speak for the whole of it.
///
/// The trailer of a member that stands alone does. Of several members any number may be missing at the end, and the last that
/// came may end inside a row: there the rules for a plain list's end hold. (A list that was cut after the first of its members
/// looks as if it had one: only a checksum tells, except for blocked gzip, `bgzip`'s, which says of itself that more must come.)
pub(super) fn distrusted(mut reading: Reading, list: impl Read, name: &FileName, bytes_max: u64) -> io::Result<Reading> {
    if reading.vouched && matches!(name.kind(), NameKind::List { gzip: true, .. }) && !is_one_member(list, bytes_max)? {
        reading.vouched = false;
    }
    Ok(reading)
}

/// What is wrong with the packing is told when it is read: here it is only not one member.
fn is_one_member(list: impl Read, bytes_max: u64) -> io::Result<bool> {
    let mut decoder = GzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, list));
    // One byte more than may come: the trailer is looked at by the read that finds the end.
    match io::copy(&mut decoder.by_ref().take(bytes_max.saturating_add(1)), &mut io::sink()) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    let blocked = decoder.header().and_then(|header| header.extra()).is_some_and(|extra| extra.starts_with(b"BC"));
    Ok(!blocked && decoder.into_inner().fill_buf()?.is_empty())
}

fn carry(rejection: Rejection) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, rejection)
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
    fn believes_the_trailer_of_a_member_that_stands_alone() {
        let check_to = |bytes_max, list: &[u8], name: &str, expected: bool| {
            let reading = Reading { vouched: true, ..Reading::new(crate::domain::Format::Csv) };
            let name = FileName::parse(name).unwrap();
            assert_eq!(distrusted(reading, list, &name, bytes_max).unwrap().vouched, expected);
        };
        let check = |list: &[u8], name: &str, expected: bool| check_to(99, list, name, expected);
        check(&packed("id\n1"), "june.csv.gz", true);
        check_to(4, &packed("id\n1"), "june.csv.gz", true);
        check(&[packed("id\n1"), packed("2\n")].concat(), "june.csv.gz", false);
        check(&packed("id\n1")[..9], "june.csv.gz", false);
        check(b"id\n1", "june.csv", true);
        let mut block = flate2::GzBuilder::new().extra(b"BC\x02\0\x1b\0".to_vec()).write(Vec::new(), Compression::default());
        block.write_all(b"id\n1").unwrap();
        check(&block.finish().unwrap(), "june.csv.gz", false);
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
