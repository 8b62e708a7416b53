//! Passwords of logins: argon2id hashes, all of one cost, and the check that tells nothing.
//!
//! One cost for every hash means that a login without a password, or none at all, can be given exactly the work of a real
//! one. Few are checked at once, because each takes 19 MiB, in memory that is kept for the next: given back by each
//! connection's thread, it would stay with that thread's allocator. Nothing here can be printed.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc;
use argon2::{ARGON2ID_IDENT, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

/// What a password is known by.
#[derive(Clone, Eq, PartialEq)]
pub struct PasswordHash(phc::PasswordHash);

impl PasswordHash {
    /// The hash of a password that is strong enough.
    ///
    /// # Errors
    /// What is wrong with it, without a character of it.
    pub fn make(password: &str, salt: &[u8; 16]) -> Result<Self, String> {
        weakness(password).map_or(Ok(()), Err)?;
        let hasher: &dyn argon2::PasswordHasher<phc::PasswordHash> = &Argon2::default();
        hasher.hash_password_with_salt(password.as_bytes(), salt).map(Self).map_err(|error| format!("cannot be hashed: {error}"))
    }

    /// Reads `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH`.
    ///
    /// # Errors
    /// What was found, and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hash = phc::PasswordHash::new(text).map_err(|_| format!("not a hash of a password; {MEND}"))?;
        let ours = Params::DEFAULT.to_string();
        let found = if hash.algorithm != ARGON2ID_IDENT {
            // A password that was written here instead may look like a name.
            "another algorithm".to_owned()
        } else if hash.version != Some(Version::V0x13.into()) {
            "another version of argon2id".to_owned()
        } else if hash.params.as_str() != ours {
            hash.params.to_string()
        } else if hash.salt.as_ref().is_none_or(|salt| salt.len() < 16) || hash.hash.as_ref().is_none_or(|hash| hash.len() != 32) {
            "another length of salt or hash".to_owned()
        } else {
            return Ok(Self(hash));
        };
        Err(format!("found {found}, expected argon2id with {ours}: each check costs the same, and bounded memory; {MEND}"))
    }

    /// The line as it stands in a tenant's file.
    #[must_use]
    pub fn line(&self) -> String {
        self.0.to_string()
    }

    fn fits(&self, password: &str, memory: &mut [Block]) -> bool {
        let mut made = [0; 32];
        let salt = self.0.salt.as_ref().map_or(&[][..], |salt| salt);
        let hashed = Argon2::default().hash_password_into_with_memory(password.as_bytes(), salt, &mut made, memory);
        // Compared in constant time.
        hashed.is_ok() && phc::Output::new(&made).ok() == self.0.hash
    }
}

/// Prints nothing of the hash: who has it can guess in peace.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Checks passwords, a few at once.
pub(crate) struct PasswordCheck {
    permits: Semaphore,
    /// What checks work in, as many as there were at once.
    memory: Mutex<Vec<Vec<Block>>>,
    nobody: PasswordHash,
}

impl PasswordCheck {
    pub(crate) fn new(at_once: usize) -> Self {
        let nobody = PasswordHash::parse(NOBODY).expect("a constant that a test reads");
        Self { permits: Semaphore::new(at_once.max(1)), memory: Mutex::default(), nobody }
    }

    /// Whether the password is that of the hash. Without one the same work is done, and the answer is no. Waits for its turn, then
    /// keeps its thread busy for some ten milliseconds: to be called where a thread serves one connection.
    pub(crate) async fn fits(&self, hash: Option<&PasswordHash>, password: &str) -> bool {
        // Never closed; a semaphore that is would only mean that the check is not counted.
        let _permit = self.permits.acquire().await;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        memory.resize(Params::DEFAULT.block_count(), Block::default());
        let fits = hash.unwrap_or(&self.nobody).fits(password, &mut memory);
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        fits & hash.is_some()
    }
}

/// Why a password would be found by trying, if so.
fn weakness(password: &str) -> Option<String> {
    let count = password.chars().count();
    if count < CHARS_MIN || password.len() > BYTES_MAX {
        return Some(format!("found {count} characters, {CHARS_MIN} to {BYTES_MAX} are allowed"));
    }
    if password.chars().any(char::is_control) {
        return Some("found a control character, which many clients cannot send".to_owned());
    }
    let letters: Vec<u32> = password.to_lowercase().chars().map(u32::from).collect();
    let surprising = (0..letters.len()).filter(|&at| surprises(&letters[..at], letters[at])).count();
    (surprising < SURPRISES_MIN).then(|| "too easy to guess: it repeats itself, or runs along the alphabet".to_owned())
}

/// Whether a letter is not plain from those before it: the next or the same one again, or as it went on the last time.
fn surprises(before: &[u32], letter: u32) -> bool {
    let Some((&last, earlier)) = before.split_last() else { return true };
    let again = earlier.split_last().is_some_and(|(&second, _)| before.windows(3).any(|three| three == [second, last, letter]));
    last.abs_diff(letter) > 1 && !again
}

/// Fewest characters of a password: what NIST SP 800-63B-4 asks of one that stands alone.
const CHARS_MIN: usize = 15;

/// Most bytes of a password, as in OpenSSH.
const BYTES_MAX: usize = 1024;

/// Letters of a password that are not plain from those before them.
const SURPRISES_MIN: usize = 10;

const MEND: &str = "set the password with: expunged tenant password NAME";

/// A hash that no password is known for, with the cost of all.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$ZXhwdW5nZWQ6bm9ib2R5IQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "vX3-moth-Quarry-81";

    #[test]
    fn a_hash_is_read_as_it_was_written_and_fits_its_password_only() {
        let hash = PasswordHash::make(GOOD, &[7; 16]).unwrap();
        assert_eq!(PasswordHash::parse(&hash.line()).unwrap(), hash);
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
        assert_ne!(PasswordHash::make(GOOD, &[8; 16]).unwrap(), hash);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let check = PasswordCheck::new(1);
        let fits = |hash: Option<&PasswordHash>, password: &str| runtime.block_on(check.fits(hash, password));
        assert!(fits(Some(&hash), GOOD));
        for wrong in ["", "vX3-moth-Quarry-82", "vX3-moth-Quarry-81 "] {
            assert!(!fits(Some(&hash), wrong), "{wrong}");
        }
        assert!(!fits(None, GOOD));
    }

    #[test]
    fn a_hash_of_another_cost_or_kind_is_refused_by_what_was_found() {
        let good = PasswordHash::make(GOOD, &[7; 16]).unwrap().line();
        let check = |from: &str, to: &str, part: &str| {
            let text = good.replace(from, to);
            assert_ne!(text, good, "{from}");
            let said = PasswordHash::parse(&text).unwrap_err();
            assert!(said.contains(part) && said.contains("expunged tenant password"), "{text}: {said}");
        };
        check("m=19456", "m=4194304", "found m=4194304,t=2,p=1, expected argon2id with m=19456,t=2,p=1");
        check("t=2", "t=4000000000", "found m=19456,t=4000000000,p=1");
        check("m=19456,t=2", "m=8,t=1", "found m=8,t=1,p=1");
        check("p=1", "p=1,keyid=abcd", "found m=19456,t=2,p=1,keyid=abcd");
        check("argon2id", "argon2i", "found another algorithm, expected argon2id");
        check("v=19", "v=16", "another version");
        check("$v=19", "", "another version");
        check("BwcHBwcHBwcHBwcHBwcHBw", "BwcHBwcHBwc", "another length");
        check(&good, "plain-text-password", "not a hash of a password");
        check(&good, "$hunter-2-hunter-2", "found another algorithm");
        check(&good, "", "not a hash of a password");
    }

    #[test]
    fn a_weak_password_is_refused_and_not_repeated() {
        let check = |password: &str, part: &str| {
            let said = PasswordHash::make(password, &[7; 16]).unwrap_err();
            assert!(said.contains(part) && (password.is_empty() || !said.contains(password)), "{password}: {said}");
        };
        check("", "found 0 characters, 15 to 1024 are allowed");
        check("vX3-moth-Quarr", "found 14 characters");
        check(&"x7".repeat(600), "found 1200 characters");
        check("aaaaaaaaaaaaaaaaaaaa", "too easy to guess");
        check("passwordpassword", "too easy to guess");
        check("123456789012345678", "too easy to guess");
        check("AbcdefghIjklmnopqrst", "too easy to guess");
        check("vX3-moth-\tQuarry-81", "control character");
        PasswordHash::make("korrekt pferd batterie heftklammer", &[7; 16]).unwrap();
        PasswordHash::make("Zk8vQ2mT0bXr5Lw", &[7; 16]).unwrap();
    }
}
