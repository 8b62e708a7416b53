//! One daemon a data folder: an advisory lock on `data/lock`, which the kernel drops when its owner ends, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// The right to work in a data folder. Dropping it gives it back.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock, or `None` when another process has it.
    ///
    /// # Errors
    /// The lock file cannot be opened or locked.
    pub fn take(data_dir: &Path) -> io::Result<Option<Self>> {
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(data_dir.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(fault) => return Err(fault.into()),
        }
        // For the person who looks; nothing reads it.
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(Self { _file: file }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = DataLock::take(folder.path()).expect("lockable");
        assert!(first.is_some());
        assert!(DataLock::take(folder.path()).expect("lockable").is_none());
        drop(first);
        assert!(DataLock::take(folder.path()).expect("lockable").is_some());
    }
}
