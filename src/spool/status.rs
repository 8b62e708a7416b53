//! What the sender can poll: `status/NAME.json`, replaced atomically, and `status/recent.log`, bounded.

use std::io::{Read, Write};
use std::sync::PoisonError;

use super::dir::Durable;
use super::{DropFolder, Folders, SpoolError};
use crate::domain::FileName;

/// `recent.log` is cut to the newer half beyond this.
pub const RECENT_BYTES_MAX: u64 = 256 * 1024;

impl Folders {
    /// Replaces `status/NAME.json`: who reads sees the old one or the new one. Not synced; it is written again from the
    /// ledger.
    ///
    /// # Errors
    /// The medium's.
    pub fn publish_status(&self, name: &FileName, json: &[u8]) -> Result<(), SpoolError> {
        let _one_at_a_time = self.writers().status.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.folder("status")?.replace(&status_name(name), json, Durable::No)?)
    }

    /// The same for an import, whose file is claimed; unless another file of that name waits by now in one of these folders: then the
    /// status is that file's. Answers whether it was written.
    ///
    /// # Errors
    /// The medium's.
    pub fn publish_status_of_claimed(&self, name: &FileName, json: &[u8], covered_by: &[DropFolder]) -> Result<bool, SpoolError> {
        self.unless_one_waits(name, covered_by, || self.publish_status(name, json))
    }

    /// Writes the status of a file that is arriving, then has it arrive. If it does not, the status is again what it was before. `None`:
    /// the status is left alone.
    pub(super) fn publish_arrival<T>(
        &self,
        name: &FileName,
        waiting_status: Option<&[u8]>,
        arrive: impl FnOnce() -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        let Some(json) = waiting_status else { return arrive() };
        let before = self.read_status(name)?;
        self.publish_status(name, json)?;
        arrive().inspect_err(|_| {
            // If this fails as well, the first failure is still the answer.
            let _ = before.map_or_else(|| self.remove_status(name), |before| self.publish_status(name, &before));
        })
    }

    /// Whether a delivered file of this name is not claimed yet.
    ///
    /// # Errors
    /// The medium's.
    pub fn waits(&self, drop: DropFolder, name: &FileName) -> Result<bool, SpoolError> {
        Ok(self.drop_folder(drop)?.stat(name.as_str())?.is_some())
    }

    /// Does `tell` unless a delivered file of this name waits in one of these folders. Answers whether it did.
    pub(super) fn unless_one_waits(
        &self,
        name: &FileName,
        folders: &[DropFolder],
        tell: impl FnOnce() -> Result<(), SpoolError>,
    ) -> Result<bool, SpoolError> {
        let [inbox, check] = DropFolder::ALL.map(|drop| (drop, name.clone()));
        // A close tells and delivers with its name's slot locked: here either both are seen or neither.
        self.writers().with_both(&inbox, &check, |_, _| {
            for drop in folders {
                if self.waits(*drop, name)? {
                    return Ok(false);
                }
            }
            tell()?;
            Ok(true)
        })
    }

    /// Removes the status of a file that was withdrawn, or of a checksum file that was claimed with its list; unless another file of
    /// that name waits by now.
    ///
    /// # Errors
    /// The medium's.
    pub fn remove_status_of_claimed(&self, name: &FileName) -> Result<(), SpoolError> {
        self.unless_one_waits(name, &DropFolder::ALL, || self.remove_status(name)).map(|_| ())
    }

    /// What `status/NAME.json` says now.
    ///
    /// # Errors
    /// The medium's.
    pub fn read_status(&self, name: &FileName) -> Result<Option<Vec<u8>>, SpoolError> {
        match self.folder("status")?.open_read(&status_name(name)) {
            Ok(file) => {
                let mut json = Vec::new();
                file.take(STATUS_BYTES_MAX).read_to_end(&mut json)?;
                Ok(Some(json))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The names that have a status.
    ///
    /// # Errors
    /// The medium's.
    pub fn told_names(&self) -> Result<Vec<FileName>, SpoolError> {
        let names = self.folder("status")?.names()?;
        let name = |raw: &Vec<u8>| FileName::parse(std::str::from_utf8(raw).ok()?.strip_suffix(".json")?).ok();
        Ok(names.iter().filter_map(name).collect())
    }

    pub(super) fn remove_status(&self, name: &FileName) -> Result<(), SpoolError> {
        self.folder("status")?.unlink(&status_name(name))?;
        Ok(())
    }

    /// Adds a line to `status/recent.log`. Line breaks within it become spaces.
    ///
    /// # Errors
    /// The medium's.
    pub fn append_recent(&self, line: &str) -> Result<(), SpoolError> {
        let _one_at_a_time = self.writers().recent.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder("status")?;
        let mut file = folder.open_append(RECENT)?;
        let mut bytes = line.replace(['\n', '\r'], " ").into_bytes();
        bytes.push(b'\n');
        file.write_all(&bytes)?;
        if file.metadata()?.len() <= RECENT_BYTES_MAX {
            return Ok(());
        }
        let mut all = Vec::new();
        folder.open_read(RECENT)?.read_to_end(&mut all)?;
        let half = all.len().saturating_sub(usize::try_from(RECENT_BYTES_MAX / 2).unwrap_or(usize::MAX));
        let start = all[half..].iter().position(|&byte| byte == b'\n').map_or(all.len(), |at| half + at + 1);
        Ok(folder.replace(RECENT, &all[start..], Durable::No)?)
    }
}

pub(super) fn status_name(name: &FileName) -> String {
    format!("{name}.json")
}

pub(super) const RECENT: &str = "recent.log";
const STATUS_BYTES_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_status_is_replaced_and_leaves_nothing_beside_it() {
        let world = World::new();
        world.folders.publish_status(&name("june.csv"), b"{1}").expect("written");
        world.folders.publish_status(&name("june.csv"), b"{2}").expect("written");
        assert_eq!(world.folders.read_status(&name("june.csv")).expect("read"), Some(b"{2}".to_vec()));
        assert_eq!(world.tree("status"), ["june.csv.json", RECENT]);
        assert_eq!(world.folders.read_status(&name("july.csv")).expect("read"), None);
    }

    #[test]
    fn a_status_that_cannot_be_replaced_leaves_nothing_beside_it() {
        let world = World::new();
        std::fs::create_dir(world.path("status/june.csv.json")).expect("made");
        world.folders.publish_status(&name("june.csv"), b"{1}").expect_err("a folder is in its place");
        assert_eq!(world.tree("status"), ["june.csv.json", RECENT]);
    }

    #[test]
    fn the_status_of_an_earlier_file_does_not_cover_that_of_one_that_waits() {
        let world = World::new();
        let june = name("june.csv");
        assert!(world.folders.publish_status_of_claimed(&june, b"{1}", &DropFolder::ALL).expect("written"));
        for drop in DropFolder::ALL {
            world.put(drop, "june.csv", b"a\n");
            world.folders.publish_status(&june, b"{waiting}").expect("written");
            assert!(!world.folders.publish_status_of_claimed(&june, b"{1}", &DropFolder::ALL).expect("looked"));
            assert_eq!(world.folders.read_status(&june).expect("read"), Some(b"{waiting}".to_vec()));
            world.folders.remove(drop, &june).expect("removed");
        }
        assert!(world.folders.publish_status_of_claimed(&june, b"{1}", &DropFolder::ALL).expect("written"));
    }

    #[test]
    fn two_who_tell_of_one_name_do_not_meet() {
        let world = World::new();
        std::thread::scope(|scope| {
            for text in [b"{1}", b"{2}"] {
                let folders = world.folders.clone();
                scope.spawn(move || {
                    for _ in 0..500 {
                        folders.publish_status(&name("june.csv"), text).expect("written");
                    }
                });
            }
        });
        let left = world.folders.read_status(&name("june.csv")).expect("read").expect("there");
        assert!(left == b"{1}" || left == b"{2}");
        assert_eq!(world.tree("status"), ["june.csv.json", RECENT]);
    }

    #[test]
    fn the_recent_log_keeps_its_newer_lines() {
        let world = World::new();
        let long = "x".repeat(1000);
        for i in 0..300 {
            world.folders.append_recent(&format!("{i}\n{long}")).expect("written");
        }
        let text = String::from_utf8(world.read("status/recent.log")).expect("text");
        assert!(text.len() as u64 <= RECENT_BYTES_MAX);
        assert!(text.lines().all(|line| line.ends_with(&long)), "whole lines only");
        assert!(text.lines().next_back().expect("lines").starts_with("299 "));
    }
}
