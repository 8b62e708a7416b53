//! A tenant's folders, open for as long as somebody has the tenant in hand: its sessions, and the pipeline at work.
//!
//! Opening them for each of a sender's small files costs more than writing the file. An operator may move a folder away, or
//! remove it and make another, so who asks for one is given what stands there now: compared by device and inode, which nothing
//! else can have while the folder is open. A link to it at its path is none of ours and fails, on the way to it (`staging`) only
//! once it has to be opened.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::dir::Dir;

/// Open folders by their path below the tenant's.
#[derive(Debug, Default)]
pub(super) struct OpenFolders(Mutex<HashMap<&'static str, Open>>);

#[derive(Debug)]
struct Open {
    dir: Dir,
    identity: (u64, u64),
}

impl OpenFolders {
    /// The folder that stands at a path now, made where it is missing.
    pub(super) fn folder(&self, root: &Dir, path: &'static str) -> io::Result<Dir> {
        let there = root.identity_at(path)?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = all.get(path).filter(|open| Some(open.identity) == there) {
            return Ok(same.dir.clone());
        }
        let mut steps = path.split('/');
        let (mut dir, _) = root.sub_or_make(steps.next().unwrap_or_default())?;
        for step in steps {
            dir = dir.sub_or_make(step)?.0;
        }
        all.insert(path, Open { dir: dir.clone(), identity: dir.identity()? });
        Ok(dir)
    }
}
