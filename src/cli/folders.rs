//! A tenant's folders as commands see them: made, and counted.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::files;
use crate::domain::TenantName;

/// Files in each folder that an operator asks about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(super) struct Waiting {
    pub(super) staging: u64,
    pub(super) inbox: u64,
    pub(super) check: u64,
    pub(super) processing: u64,
    pub(super) held: u64,
}

impl Waiting {
    /// Counts them; a folder that is not there is empty.
    pub(super) fn count(tenant_folders: &Path, name: &TenantName) -> io::Result<Self> {
        let home = tenant_folders.join(name.as_str());
        let count = |folder: &str| entries(&home.join(folder));
        Ok(Self {
            staging: count("staging")?,
            inbox: count("inbox")?,
            check: count("check")?,
            processing: count("processing")?,
            held: count("held")?,
        })
    }

    /// Each folder and its count.
    pub(super) fn each(&self) -> [(&'static str, u64); 5] {
        let Self { staging, inbox, check, processing, held } = *self;
        [("staging", staging), ("inbox", inbox), ("check", check), ("processing", processing), ("held", held)]
    }
}

/// Makes a tenant's folders; those that are there keep what they hold.
pub(super) fn create(tenant_folders: &Path, name: &TenantName) -> io::Result<()> {
    let home = tenant_folders.join(name.as_str());
    files::create_private_folder(&home)?;
    FOLDERS.iter().try_for_each(|folder| files::create_private_folder(&home.join(folder)))
}

/// Whatever stands in a folder, at any depth: the receiving side keeps staging in folders of its own.
fn entries(folder: &Path) -> io::Result<u64> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut count = 0;
    for entry in listed {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() { entries(&entry.path())? } else { 1 };
    }
    Ok(count)
}

/// A tenant's folders.
const FOLDERS: [&str; 8] = ["staging", "inbox", "check", "processing", "held", "archive", "rejected", "status"];
