//! Reads `NAME.sha256`: the output of `sha256sum`, of a file or of what it was fed, of `sha256sum --tag`, of `openssl dgst -sha256`, or the bare
//! digest. Of a path the last part counts.

use std::fmt;
use std::io::{self, Read};

use encoding_rs_io::DecodeReaderBytes;

use crate::domain::FileName;

/// Longest checksum file. `sha256sum` writes about 70 bytes and the name a line.
pub const CHECKSUM_BYTES_MAX: u64 = 4096;

/// A SHA-256 that vouches for a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Checksum(pub [u8; 32]);

impl Checksum {
    /// Reads what a checksum file says of this name. `None`: nothing that can be told for sure, which is a mismatch.
    ///
    /// # Errors
    /// The medium's.
    pub fn read(input: impl Read, name: &FileName) -> io::Result<Option<Self>> {
        let mut text = Vec::new();
        input.take(CHECKSUM_BYTES_MAX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > CHECKSUM_BYTES_MAX {
            return Ok(None);
        }
        // PowerShell's `>` writes UTF-16, with a mark that says so.
        let mut plain = Vec::new();
        DecodeReaderBytes::new(&*text).read_to_end(&mut plain)?;
        Ok(std::str::from_utf8(&plain).ok().and_then(|text| Self::parse(text, name)))
    }

    /// As [`Checksum::read`], from text. Two lines of one name that differ say nothing.
    #[must_use]
    pub fn parse(text: &str, name: &FileName) -> Option<Self> {
        let mut said = None;
        for line in text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (digest, file) = line_parts(line)?;
            if file.is_some_and(|file| file.rsplit(['/', '\\']).next() != Some(name.as_str())) {
                continue;
            }
            if said.is_some_and(|said| said != digest) {
                return None;
            }
            said = Some(digest);
        }
        said.map(Self)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// `HEX  NAME`, `HEX *NAME`, `SHA256 (NAME) = HEX`, `SHA2-256(NAME)= HEX`, `HEX`. What was fed to the program has no name: `-`, to openssl
/// `stdin`. A leading `\` says that the backslashes of a path are doubled, which changes nothing of its last part.
fn line_parts(line: &str) -> Option<([u8; 32], Option<&str>)> {
    let line = line.strip_prefix('\\').unwrap_or(line);
    let (digest, file) = match tagged(line) {
        Some((file, digest)) => (digest, Some(file)),
        None => match line.split_once([' ', '\t']) {
            Some((digest, rest)) => (digest, Some(rest.strip_prefix([' ', '*']).unwrap_or(rest))),
            None => (line, None),
        },
    };
    let mut bytes = [0; 32];
    hex::decode_to_slice(digest, &mut bytes).ok()?;
    Some((bytes, file.filter(|file| *file != "-")))
}

/// Name and digest of a line that begins with the algorithm.
fn tagged(line: &str) -> Option<(&str, &str)> {
    if let Some(rest) = line.strip_prefix("SHA256 (") {
        return rest.rsplit_once(") = ");
    }
    let openssl = ["SHA256(", "SHA2-256("].iter().find_map(|begin| line.strip_prefix(begin))?;
    let (file, digest) = openssl.rsplit_once(")= ")?;
    Some((if file == "stdin" { "-" } else { file }, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn reads_what_sha256sum_prints() {
        let check = |text: &str, expected: Option<&str>| {
            let read = Checksum::parse(text, &FileName::parse("june.csv").expect("valid"));
            assert_eq!(read.map(|sum| sum.to_string()).as_deref(), expected, "{text:?}");
        };
        check(&format!("{A}  june.csv\n"), Some(A));
        check(&format!("{A} *june.csv\r\n"), Some(A));
        check(&format!("{}\n", A.to_uppercase()), Some(A));
        check(&format!("{A}  out/june.csv\n"), Some(A));
        check(&format!("SHA256 (june.csv) = {A}\n"), Some(A));
        check(&format!("{A}\tjune.csv\n"), Some(A));
        check(&format!("{A} *C:\\out\\june.csv\r\n"), Some(A));
        check(&format!("\\{A}  a\\\\b/june.csv\n"), Some(A));
        check(&format!("{A}  ./june.csv\n"), Some(A));
        check(&format!("SHA256(june.csv)= {A}\n"), Some(A));
        check(&format!("SHA2-256(out/june.csv)= {A}\n"), Some(A));
        check(&format!("SHA2-256(stdin)= {A}\n"), Some(A));
        check(&format!("SHA3-256(june.csv)= {A}\n"), None);
        check(&format!("SHA2-256(july.csv)= {A}\n"), None);
        check(&format!("{A}  -\n"), Some(A));
        check(&format!("SHA256 (-) = {A}\n"), Some(A));
        check(&format!("{A}  -\n{B}  -\n"), None);
        check(&format!("{A}  x-\n"), None);
        check(&format!("{B}  july.csv\n{A}  june.csv\n"), Some(A));
        check(&format!("{A}  june.csv\n{A}  june.csv\n"), Some(A));
        check(&format!("{A}  june.csv\n{B}  june.csv\n"), None);
        check(&format!("{A}  july.csv\n"), None);
        check(&format!("{}  june.csv\n", &A[1..]), None);
        check("", None);
        check("not a digest\n", None);
    }

    #[test]
    fn reads_what_powershell_makes_of_it() {
        let name = FileName::parse("june.csv").expect("valid");
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let read = |bytes: Vec<u8>| Checksum::read(&*bytes, &name).expect("read").map(|sum| sum.to_string());
        assert_eq!(read(wide(&format!("\u{feff}{A}  june.csv\r\n"))).as_deref(), Some(A));
        assert_eq!(read(wide(&format!("{A}  june.csv\r\n"))), None, "nothing says what that is");
        assert_eq!(read([A.as_bytes(), b"  j\xfcne.csv"].concat()), None);
    }

    #[test]
    fn reads_no_more_than_its_limit() {
        let name = FileName::parse("june.csv").expect("valid");
        let line = format!("{A}  june.csv\n");
        let fits = format!("{line}{}", "\n".repeat(4096 - line.len()));
        assert!(Checksum::read(fits.as_bytes(), &name).expect("read").is_some());
        assert!(Checksum::read(format!("{fits}\n").as_bytes(), &name).expect("read").is_none());
    }
}
