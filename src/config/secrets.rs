//! The keys in `data/keys`, read when the parts are built.
//!
//! A key that others can read is refused: it would be no secret. Nothing of a key is in a message.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use russh::keys::{Algorithm, PrivateKey};

use crate::domain::IdentityKey;
use crate::scrub::SealKey;

/// Why a key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the key \"{}\"", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// Others may read it.
    #[error("the key \"{}\" has mode {:o}, which lets others read it (expected 600)", .0.display(), .1)]
    Open(PathBuf, u32),
    /// Not such a key.
    #[error("\"{}\" is damaged: expected {}", .0.display(), .1)]
    Malformed(PathBuf, &'static str),
    /// A key that is not used for hosts.
    #[error("the key \"{}\" is not used here: expected {}", .0.display(), .1)]
    Weak(PathBuf, &'static str),
}

/// Reads the key of the hashes that stand for people in the ledger: 64 hexadecimal digits.
///
/// # Errors
/// [`SecretError`].
pub fn read_identity_key(file: &Path) -> Result<IdentityKey, SecretError> {
    read_digits(file).map(IdentityKey::new)
}

/// Reads the key by which identifiers are sealed: 64 hexadecimal digits.
///
/// # Errors
/// [`SecretError`].
pub fn read_seal_key(file: &Path) -> Result<SealKey, SecretError> {
    read_digits(file).map(SealKey::new)
}

fn read_digits(file: &Path) -> Result<[u8; 32], SecretError> {
    let text = read(file)?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim_ascii(), &mut bytes).map_err(|_| SecretError::Malformed(file.to_owned(), "64 hexadecimal digits"))?;
    Ok(bytes)
}

/// Reads a key by which senders know this host: ed25519, or RSA of at least `HOST_RSA_BITS_MIN` bits, in OpenSSH's format,
/// without a passphrase.
///
/// # Errors
/// [`SecretError`].
pub fn read_host_key(file: &Path) -> Result<PrivateKey, SecretError> {
    let wrong = |expected| SecretError::Malformed(file.to_owned(), expected);
    let bytes = read(file)?;
    let key = PrivateKey::from_openssh(bytes).map_err(|_| wrong("an ed25519 or RSA key in OpenSSH's private format"))?;
    if key.is_encrypted() {
        return Err(wrong("a key without a passphrase"));
    }
    match key.algorithm() {
        Algorithm::Ed25519 => Ok(key),
        Algorithm::Rsa { .. } => {
            let bits = key.public_key().key_data().rsa().map_or(0, |rsa| rsa.n().as_positive_bytes().unwrap_or_default().len() * 8);
            if bits >= HOST_RSA_BITS_MIN { Ok(key) } else { Err(SecretError::Weak(file.to_owned(), "RSA of 3072 bits or more")) }
        }
        // Each signature needs fresh randomness that must never repeat, and gives the key away where it does.
        _ => Err(SecretError::Weak(
            file.to_owned(),
            "ed25519, or RSA of 3072 bits or more; ECDSA and DSA give the key away by one bad random number",
        )),
    }
}

/// Shortest RSA host key, in bits.
const HOST_RSA_BITS_MIN: usize = 3072;

fn read(file: &Path) -> Result<Vec<u8>, SecretError> {
    let unreadable = |error| SecretError::Unreadable(file.to_owned(), error);
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Open(file.to_owned(), mode));
    }
    let mut bytes = Vec::new();
    opened.take(KEY_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Largest key file, in bytes.
const KEY_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn refuses_a_key_that_is_open_or_damaged() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("identity.key");
        let write = |text: &str, mode: u32| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let said =
            || read_identity_key(&file).map(|_| ()).map_err(|error| error.to_string().replace(&dir.path().display().to_string(), ""));
        assert_eq!(said(), Err("cannot read the key \"/identity.key\"".to_owned()));
        write(&"ab".repeat(32), 0o600);
        assert_eq!(said(), Ok(()));
        write(&"ab".repeat(32), 0o640);
        assert_eq!(said(), Err("the key \"/identity.key\" has mode 640, which lets others read it (expected 600)".to_owned()));
        for text in ["", "abcd", &"xy".repeat(32), &"ab".repeat(33)] {
            write(text, 0o600);
            assert_eq!(said(), Err("\"/identity.key\" is damaged: expected 64 hexadecimal digits".to_owned()));
        }
        assert!(read_host_key(&file).unwrap_err().to_string().contains("damaged"));
    }
}
