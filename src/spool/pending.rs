//! How much a tenant's folders hold that was sent and not yet taken, and what came on a day: for quotas.
//!
//! `received.json` outlives a restart and not, to the last bytes, a power cut.

use std::io::{self, Read};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::dir::{self, Durable};
use super::{DropFolder, Folders, SpoolError};

/// Files in the drop folders and partials, and their bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pending {
    /// How many.
    pub files: u64,
    /// Their sizes together.
    pub bytes: u64,
    /// How many of the files are partials.
    pub partial_files: u64,
    /// How many of the bytes are theirs.
    pub partial_bytes: u64,
}

/// What came on a day.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Received {
    /// The day, UTC.
    pub day: Date,
    /// Bytes of uploads, whatever became of them.
    pub bytes: u64,
}

impl Folders {
    /// Counts what was sent and not yet taken: complete files and partials of both drop folders.
    ///
    /// # Errors
    /// The medium's.
    pub fn pending(&self) -> Result<Pending, SpoolError> {
        let (mut pending, mut partial_files, mut partial_bytes) = (Pending::default(), 0_u64, 0_u64);
        let mut add = |bytes: u64| {
            pending.files += 1;
            pending.bytes = pending.bytes.saturating_add(bytes);
        };
        for drop in DropFolder::ALL {
            let folder = self.drop_folder(drop)?;
            for name in folder.names()?.iter().filter_map(|name| std::str::from_utf8(name).ok()) {
                if let Some(stat) = folder.stat(name)?.filter(dir::is_file) {
                    add(dir::size(&stat));
                }
            }
        }
        for partial in self.partials()? {
            add(partial.size);
            partial_files += 1;
            partial_bytes = partial_bytes.saturating_add(partial.size);
        }
        Ok(Pending { partial_files, partial_bytes, ..pending })
    }

    /// What was noted of a day; `None` if nothing was, or it cannot be read.
    ///
    /// # Errors
    /// The medium's.
    pub fn received(&self) -> Result<Option<Received>, SpoolError> {
        match self.0.open.root()?.open_read(RECEIVED) {
            Ok(file) => {
                let mut text = Vec::new();
                file.take(RECEIVED_BYTES_MAX).read_to_end(&mut text)?;
                Ok(serde_json::from_slice(&text).ok())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes what came on a day. Not synced.
    ///
    /// # Errors
    /// The medium's.
    pub fn note_received(&self, received: Received) -> Result<(), SpoolError> {
        let text = serde_json::to_vec(&received).map_err(io::Error::other)?;
        Ok(self.0.open.root()?.replace(RECEIVED, &text, Durable::No)?)
    }
}

const RECEIVED: &str = "received.json";
const RECEIVED_BYTES_MAX: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn what_waits_is_counted_and_a_day_is_remembered() {
        let world = World::new();
        assert_eq!(world.folders.pending().expect("counted"), Pending::default());
        let root = world.folders.0.open.root().expect("a folder").sub("inbox").expect("an inbox");
        std::io::Write::write_all(&mut root.create("june.csv").expect("made"), b"12345").expect("written");
        let staging = world.folders.staging(DropFolder::Check).expect("staging");
        std::io::Write::write_all(&mut staging.create("july.csv.part").expect("made"), b"123").expect("written");
        assert_eq!(world.folders.pending().expect("counted"), Pending { files: 2, bytes: 8, partial_files: 1, partial_bytes: 3 });

        assert_eq!(world.folders.received().expect("read"), None);
        let received = Received { day: jiff::civil::date(2026, 11, 21), bytes: 7 };
        world.folders.note_received(received).expect("noted");
        assert_eq!(world.folders.received().expect("read"), Some(received));
    }
}
