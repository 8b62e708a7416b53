//! A spool on a real disk, for this module's tests.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::domain::{FileName, ImportId};

/// A tenant "acme" in a temporary folder.
pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) tenant: TenantName,
    pub(super) spool: Spool,
    pub(super) folders: Folders,
}

pub(super) const NEW: OpenUpload = OpenUpload { truncate: true, append: false, create: true, exclusive: false };
pub(super) const RESUME: OpenUpload = OpenUpload { truncate: false, append: false, create: false, exclusive: false };
pub(super) const WAITING: &[u8] = br#"{"state":"waiting"}"#;

pub(super) fn name(text: &str) -> FileName {
    FileName::parse(text).expect("valid")
}

impl World {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let spool = Spool::new(dir.path().to_owned());
        let tenant = TenantName::parse("acme").expect("valid");
        spool.create_tenant(&tenant).expect("made");
        let folders = spool.tenant(&tenant).expect("there");
        Self { dir, tenant, spool, folders }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("acme").join(path)
    }

    pub(super) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(super) fn tree(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).expect("a folder");
        let mut names: Vec<String> = entries.map(|e| e.expect("read").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    pub(super) fn open(&self, text: &str, open: OpenUpload) -> Upload {
        self.folders.open_upload(DropFolder::Inbox, &name(text), open).expect("opened")
    }

    /// A whole upload.
    pub(super) fn put(&self, drop: DropFolder, text: &str, bytes: &[u8]) -> Closed {
        let mut upload = self.folders.open_upload(drop, &name(text), NEW).expect("opened");
        upload.write_at(0, bytes).expect("written");
        upload.close(Some(WAITING)).expect("closed")
    }

    /// An upload whose connection is lost.
    pub(super) fn cut(&self, text: &str, bytes: &[u8]) {
        self.open(text, NEW).write_at(0, bytes).expect("written");
    }

    pub(super) fn rename(&self, from: &str, to: &str, replace: Replace) -> Result<Renamed, SpoolError> {
        self.folders
            .rename((DropFolder::Inbox, &name(from)), (DropFolder::Inbox, &name(to)), replace, Some(WAITING))
            .map(|moved| moved.renamed)
    }

    pub(super) fn size(&self, text: &str) -> Option<u64> {
        self.folders.stat(DropFolder::Inbox, &name(text)).expect("read").map(|entry| entry.size)
    }

    pub(super) fn listed(&self) -> Vec<String> {
        self.folders.list(DropFolder::Inbox).expect("read").into_iter().map(|entry| entry.name).collect()
    }

    pub(super) fn scanned(&self) -> Vec<InboxFile> {
        self.folders.scan(DropFolder::Inbox).expect("read").files
    }

    pub(super) fn claim(&self, text: &str, id: i64) -> ClaimedFile {
        let file = self.scanned().into_iter().find(|file| file.name.as_str() == text).expect("scanned");
        self.folders.claim(&file, ImportId(id)).expect("read").expect("claimed")
    }
}
