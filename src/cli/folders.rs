//! A tenant's folders as commands see them: made, and counted.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::files;
use crate::domain::TenantName;
use crate::pipeline::REPORT;
use crate::spool::SIGNATURE;

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
        let count = |folder: &str| entries(&home.join(folder), &|_| true);
        Ok(Self {
            staging: count("staging")?,
            inbox: count("inbox")?,
            check: count("check")?,
            processing: count("processing")?,
            held: entries(&home.join("held"), &|name| !is_report(name))?,
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

/// Whether a file's name is that of a report, or of a report's signature, beside a held file.
fn is_report(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.strip_suffix(SIGNATURE.as_bytes()).unwrap_or(name).ends_with(REPORT.as_bytes())
}

/// Whatever stands in a folder and counts, at any depth: the receiving side keeps staging in folders of its own.
fn entries(folder: &Path, counts: &dyn Fn(&OsStr) -> bool) -> io::Result<u64> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut count = 0;
    for entry in listed {
        let entry = entry?;
        let is_dir = entry.file_type()?.is_dir();
        count += if is_dir { entries(&entry.path(), counts)? } else { u64::from(counts(&entry.file_name())) };
    }
    Ok(count)
}

/// A tenant's folders.
const FOLDERS: [&str; 8] = ["staging", "inbox", "check", "processing", "held", "archive", "rejected", "status"];
