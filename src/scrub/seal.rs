//! The identifiers of people who are about to go, sealed until the scrub has searched for them.
//!
//! `data/scrub/ID`, AES-256-GCM in pieces under the store's own key (aws-lc-rs), each piece bound to its import, its place and
//! whether it is the last: a file that was cut short does not open. It is written whole and durable before the first chunk
//! of deletions, so one that is not whole belongs to an import that has not begun, and is written again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::domain::ImportId;

/// The store's secret for sealed identifiers. Lives in `data/keys/`.
#[derive(Clone)]
pub struct SealKey([u8; 32]);

impl SealKey {
    /// A key from 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A key for hashes that never leave the process.
    pub(super) fn hash_key(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[24..]);
        u64::from_le_bytes(first).rotate_left(17) ^ 0x5bd1_e995_7b7d_159b
    }

    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("32 bytes are a key of this cipher"))
    }
}

/// Prints `SealKey(..)`.
impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Random bytes that no other file of this key has: the beginning of every nonce in it.
pub type Fresh = [u8; 7];

/// The folder of sealed identifiers.
#[derive(Clone, Debug)]
pub struct Vault {
    folder: PathBuf,
    key: SealKey,
}

impl Vault {
    /// The folder, made where it is missing. Durable on return.
    ///
    /// # Errors
    /// The medium's.
    pub fn open(folder: &Path, key: SealKey) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => folder.parent().map_or(Ok(()), sync_folder)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(Self { folder: folder.to_owned(), key })
    }

    pub(super) fn key(&self) -> &SealKey {
        &self.key
    }

    /// Begins an import's file; an earlier one is written over.
    ///
    /// # Errors
    /// The medium's.
    pub fn seal(&self, import: ImportId, fresh: Fresh) -> io::Result<Sealing> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.path(import))?;
        let mut out = BufWriter::new(file);
        out.write_all(&fresh)?;
        let pieces = Pieces { cipher: self.key.cipher(), fresh, import, next: 0 };
        Ok(Sealing { out, pieces, waiting: Vec::new(), folder: self.folder.clone() })
    }

    /// Shows each identifier of an import. False: there is no such file.
    ///
    /// # Errors
    /// The medium's; `InvalidData` when the file is not whole, or not of this key and import.
    pub fn each(&self, import: ImportId, mut with: impl FnMut(&str)) -> io::Result<bool> {
        let file = match File::open(self.path(import)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let mut input = BufReader::new(file);
        let mut fresh = [0; 7];
        input.read_exact(&mut fresh)?;
        let mut pieces = Pieces { cipher: self.key.cipher(), fresh, import, next: 0 };
        loop {
            let mut head = [0; 5];
            input.read_exact(&mut head)?;
            let follows = if head[4] == Follows::Nothing as u8 { Follows::Nothing } else { Follows::Another };
            let bytes = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
            if bytes > PIECE_BYTES_MAX + AES_256_GCM.tag_len() {
                return Err(damaged());
            }
            let mut piece = vec![0; bytes];
            input.read_exact(&mut piece)?;
            let mut rest = pieces.open(&mut piece, follows)?;
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                let (text, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
                with(std::str::from_utf8(text).map_err(|_| damaged())?);
                rest = after;
            }
            if follows == Follows::Nothing {
                return Ok(true);
            }
        }
    }

    /// Removes an import's file; none is as good.
    ///
    /// # Errors
    /// The medium's.
    pub fn remove(&self, import: ImportId) -> io::Result<()> {
        match fs::remove_file(self.path(import)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => sync_folder(&self.folder),
        }
    }

    /// The imports that have a file, in order.
    ///
    /// # Errors
    /// The medium's.
    pub fn imports(&self) -> io::Result<Vec<ImportId>> {
        let mut imports = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            imports.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()).map(ImportId));
        }
        imports.sort_unstable();
        Ok(imports)
    }

    fn path(&self, import: ImportId) -> PathBuf {
        self.folder.join(import.to_string())
    }
}

/// A file that is being sealed. Without [`Sealing::finish`] it does not open.
pub struct Sealing {
    out: BufWriter<File>,
    pieces: Pieces,
    waiting: Vec<u8>,
    folder: PathBuf,
}

impl Sealing {
    /// Adds an identifier.
    ///
    /// # Errors
    /// The medium's.
    pub fn add(&mut self, identifier: &str) -> io::Result<()> {
        // Nobody is looked for by a value this long.
        if identifier.len() > PIECE_BYTES_MAX / 2 {
            return Ok(());
        }
        if self.waiting.len() + identifier.len() + 4 > PIECE_BYTES_MAX {
            self.write_piece(Follows::Another)?;
        }
        let length = u32::try_from(identifier.len()).map_err(io::Error::other)?;
        self.waiting.extend(length.to_le_bytes());
        self.waiting.extend(identifier.as_bytes());
        Ok(())
    }

    /// Ends the file. Durable on return.
    ///
    /// # Errors
    /// The medium's.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_piece(Follows::Nothing)?;
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        sync_folder(&self.folder)
    }

    fn write_piece(&mut self, follows: Follows) -> io::Result<()> {
        let mut piece = std::mem::take(&mut self.waiting);
        self.pieces.seal(&mut piece, follows)?;
        let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&[follows as u8])?;
        self.out.write_all(&piece)
    }
}

/// What follows a piece of a file, as its byte says in the file and in the nonce.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Follows {
    Another = 0,
    Nothing = 1,
}

/// The pieces of one file, in order.
struct Pieces {
    cipher: LessSafeKey,
    fresh: Fresh,
    import: ImportId,
    next: u32,
}

impl Pieces {
    fn seal(&mut self, piece: &mut Vec<u8>, follows: Follows) -> io::Result<()> {
        let (nonce, aad) = self.name(follows);
        self.cipher.seal_in_place_append_tag(nonce, aad, piece).map_err(|_| damaged())
    }

    fn open<'p>(&mut self, piece: &'p mut [u8], follows: Follows) -> io::Result<&'p [u8]> {
        let (nonce, aad) = self.name(follows);
        self.cipher.open_in_place(nonce, aad, piece).map(|plain| &*plain).map_err(|_| damaged())
    }

    /// The nonce of the next piece, which says what follows it, and the import that it belongs to: so no piece can be left out, put elsewhere
    /// or cut off unnoticed.
    fn name(&mut self, follows: Follows) -> (Nonce, Aad<Vec<u8>>) {
        let mut nonce = [0; 12];
        nonce[..7].copy_from_slice(&self.fresh);
        nonce[7..11].copy_from_slice(&self.next.to_be_bytes());
        nonce[11] = follows as u8;
        self.next += 1;
        (Nonce::assume_unique_for_key(nonce), Aad::from(format!("expunged scrub 1 {}", self.import).into_bytes()))
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the sealed identifiers do not open")
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Identifiers sealed together, in bytes.
const PIECE_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(dir: &tempfile::TempDir, key: u8) -> Vault {
        Vault::open(&dir.path().join("scrub"), SealKey::new([key; 32])).unwrap()
    }

    fn read(vault: &Vault, import: i64) -> Option<Vec<String>> {
        let mut found = Vec::new();
        vault.each(ImportId(import), |text| found.push(text.to_owned())).ok().filter(|there| *there).map(|_| found)
    }

    fn sealed(vault: &Vault, import: i64, texts: &[String]) {
        let mut sealing = vault.seal(ImportId(import), [9; 7]).unwrap();
        texts.iter().for_each(|text| sealing.add(text).unwrap());
        sealing.finish().unwrap();
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_for_its_import_only_and_shows_nothing() {
        let dir = tempfile::TempDir::new().unwrap();
        let vault = vault(&dir, 1);
        let texts: Vec<String> = (0..9_000).map(|n| format!("person{n}@acme.example")).collect();
        sealed(&vault, 42, &texts);
        assert_eq!(read(&vault, 42).as_deref(), Some(texts.as_slice()));
        let file = dir.path().join("scrub/42");
        let bytes = fs::read(&file).unwrap();
        assert!(bytes.len() > 3 * PIECE_BYTES_MAX && memchr::memmem::find(&bytes, b"acme").is_none());
        fs::copy(&file, dir.path().join("scrub/43")).unwrap();
        assert_eq!(read(&vault, 43), None, "another import's");
        assert_eq!(read(&super::tests::vault(&dir, 2), 42), None, "another key");
        assert_eq!(vault.imports().unwrap(), [ImportId(42), ImportId(43)]);
        vault.remove(ImportId(42)).unwrap();
        vault.remove(ImportId(42)).unwrap();
        assert!(!vault.each(ImportId(42), |_| ()).unwrap());
    }

    #[test]
    fn a_file_that_was_cut_or_changed_does_not_open() {
        let dir = tempfile::TempDir::new().unwrap();
        let vault = vault(&dir, 1);
        sealed(&vault, 1, &["ann@x.example".to_owned(), "U-12345678".to_owned()]);
        let file = dir.path().join("scrub/1");
        let whole = fs::read(&file).unwrap();
        for cut in 0..whole.len() {
            fs::write(&file, &whole[..cut]).unwrap();
            assert!(vault.each(ImportId(1), |_| ()).is_err(), "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&file, &changed).unwrap();
            assert!(vault.each(ImportId(1), |_| ()).is_err(), "changed at {at}");
        }
    }
}
