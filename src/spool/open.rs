//! A tenant's folders, open for as long as somebody has the tenant in hand: its sessions, and the pipeline at work.
//!
//! Opening them for each of a sender's small files costs more than writing the file. An operator may move a folder away, the
//! tenant's own and that of all tenants too, or remove it and make another, so who asks for one is given what stands there now:
//! compared by device and inode, which nothing else can have while the folder is open. A link in the place of one is none of ours and
//! fails, on the way to it (`staging`) only once it has to be opened.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::dir::{self, Dir};
use super::error::FolderFault;
use crate::domain::TenantName;

/// Open folders of one tenant.
#[derive(Debug)]
pub(super) struct OpenFolders {
    /// The folder of all tenants.
    tenants_dir: PathBuf,
    tenant: TenantName,
    /// By their path below the tenant's own, which is the empty one.
    open: Mutex<HashMap<&'static str, Open>>,
}

#[derive(Debug)]
struct Open {
    dir: Dir,
    identity: (u64, u64),
}

impl OpenFolders {
    pub(super) fn new(tenants_dir: PathBuf, tenant: TenantName) -> Self {
        Self { tenants_dir, tenant, open: Mutex::default() }
    }

    /// The tenant's own folder that stands there now.
    pub(super) fn root(&self) -> io::Result<Dir> {
        self.as_it_stands("", || Dir::open_root(&self.tenants_dir)?.sub(self.tenant.as_str()))
    }

    /// The folder that stands at a path below it now, made where it is missing.
    pub(super) fn folder(&self, path: &'static str) -> Result<Dir, FolderFault> {
        let made = || {
            let mut dir = self.root()?;
            for step in path.split('/') {
                dir = dir.sub_or_make(step)?.0;
            }
            Ok(dir)
        };
        self.as_it_stands(path, made).map_err(|source| FolderFault { path, source })
    }

    fn as_it_stands(&self, path: &'static str, open: impl FnOnce() -> io::Result<Dir>) -> io::Result<Dir> {
        let there = dir::identity_at(&self.tenants_dir.join(self.tenant.as_str()).join(path))?;
        if let Some(same) = self.lock().get(path).filter(|open| Some(open.identity) == there) {
            return Ok(same.dir.clone());
        }
        let dir = open()?;
        let identity = dir.identity()?;
        self.lock().insert(path, Open { dir: dir.clone(), identity });
        Ok(dir)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
