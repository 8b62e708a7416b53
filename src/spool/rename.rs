//! A client's rename: how temporary names become deliveries, and how a pending file changes its name or is withdrawn.

use std::io;

use super::dir::{self, Dir, Durable};
use super::notes::{Note, Notes};
use super::upload::resume;
use super::writers::{Key, Turn};
use super::{Delivered, DropFolder, Folders, Moved, Renamed, Replace, SpoolError};
use crate::domain::{FileName, NameKind};

impl Folders {
    /// Renames a partial or a pending file. To a final name it delivers, as a close does: gap-free, synced, durable, with
    /// `waiting_status`, if there is one, as the new name's status. To a temporary name it goes (back) to staging.
    ///
    /// # Errors
    /// [`SpoolError::Exists`] unless it may replace; [`SpoolError::Gap`] for a partial that lacks bytes;
    /// [`SpoolError::Busy`] for one that is still open.
    pub fn rename(
        &self,
        from: (DropFolder, &FileName),
        to: (DropFolder, &FileName),
        replace: Replace,
        waiting_status: Option<&[u8]>,
    ) -> Result<Moved, SpoolError> {
        let (from, to) = ((from.0, from.1.clone()), (to.0, to.1.clone()));
        if from == to {
            return match (self.stat(from.0, &from.1)?, replace) {
                (None, _) => Err(SpoolError::NotFound),
                (Some(_), Replace::Never) => Err(SpoolError::Exists),
                (Some(_), Replace::OwnPending) => Ok(Moved { renamed: Renamed::Kept, waited: false, replaced: false }),
            };
        }
        self.writers().with_both(&from, &to, |from_turn, to_turn| {
            let found = self.find(&from)?;
            let rename = Rename { folders: self, notes: self.notes()?, from: &from, to: &to, replace, found };
            if to.1.kind() == NameKind::Temporary {
                rename.to_staging(from_turn, to_turn)
            } else {
                rename.deliver(from_turn, to_turn, waiting_status)
            }
        })
    }

    fn find(&self, (drop, name): &Key) -> Result<Found, SpoolError> {
        for (pending, dir) in [(true, self.drop_folder(*drop)?), (false, self.staging(*drop)?)] {
            if pending && name.kind() == NameKind::Temporary {
                continue;
            }
            if let Some(stat) = dir.stat(name.as_str())? {
                if !dir::is_file(&stat) {
                    return Err(SpoolError::NotAFile);
                }
                return Ok(Found { pending, dir, inode: dir::identity(&stat).1, size: dir::size(&stat) });
            }
        }
        Err(SpoolError::NotFound)
    }
}

struct Found {
    pending: bool,
    dir: Dir,
    inode: u64,
    size: u64,
}

/// One rename, with both names' slots held.
struct Rename<'a> {
    folders: &'a Folders,
    notes: Notes,
    from: &'a Key,
    to: &'a Key,
    replace: Replace,
    found: Found,
}

impl Rename<'_> {
    fn to_staging(&self, from_turn: &mut Turn, to_turn: &mut Turn) -> Result<Moved, SpoolError> {
        let staging = self.folders.staging(self.to.0)?;
        if !self.found.pending && self.from.1.kind() != NameKind::Temporary {
            // It was cut, which its next name would not tell.
            let note = self.notes.read(self.found.inode)?;
            let good = resume::good(self.found.size, &note);
            self.notes.write(self.found.inode, &Note { gap_from: Some(good), ..note }, Durable::Yes)?;
        }
        self.put(&staging)?;
        from_turn.end();
        to_turn.end();
        if self.found.pending {
            staging.sync()?;
            self.found.dir.sync()?;
        }
        Ok(Moved { renamed: Renamed::Kept, waited: self.found.pending, replaced: false })
    }

    fn deliver(&self, from_turn: &mut Turn, to_turn: &mut Turn, waiting_status: Option<&[u8]>) -> Result<Moved, SpoolError> {
        let (drop, name) = self.to;
        let folder = self.folders.drop_folder(*drop)?;
        if self.replace == Replace::Never && folder.stat(name.as_str())?.is_some() {
            return Err(SpoolError::Exists);
        }
        if !self.found.pending {
            self.complete(from_turn)?;
        }
        let replaced = self.folders.publish_arrival(name, waiting_status, || self.put(&folder))?;
        folder.sync()?;
        if self.found.pending {
            self.found.dir.sync()?;
        }
        // It is delivered. What follows is tidying, and its failure is no reason to tell the sender otherwise.
        if !to_turn.busy() {
            // An earlier upload of this name that was cut: what has now arrived stands for it.
            let _ = self.folders.staging(*drop).map(|staging| self.folders.remove_staged(&staging, &self.notes, name));
        }
        // The claim may have been quicker; then there is nothing to hint at.
        let stat = folder.stat(name.as_str())?.filter(|stat| dir::identity(stat).1 == self.found.inode);
        let (device, inode) = stat.as_ref().map_or((0, self.found.inode), dir::identity);
        let (size, mtime_ns) = stat.as_ref().map_or((0, 0), |stat| (dir::size(stat), dir::mtime_ns(stat)));
        let renamed = Renamed::Delivered(Delivered { drop: *drop, name: name.clone(), device, inode, size, mtime_ns });
        Ok(Moved { renamed, waited: self.found.pending, replaced })
    }

    /// A partial is delivered only if nobody writes it, no byte is missing, and all are on disk. One under a final name was cut: its
    /// close would have delivered it.
    fn complete(&self, turn: &Turn) -> Result<(), SpoolError> {
        if turn.busy() {
            return Err(SpoolError::Busy);
        }
        let (name, note) = (&self.from.1, self.notes.read(self.found.inode)?);
        let cut = (name.kind() != NameKind::Temporary).then(|| resume::counted(name, self.found.size, &note));
        if let Some(at) = note.gap_from.or(cut) {
            return Err(SpoolError::Gap { at });
        }
        let file = self.found.dir.open_write(self.from.1.as_str())?;
        if let Err(error) = file.sync_all() {
            // A second sync would report success on what was lost.
            drop(file);
            self.folders.remove_staged(&self.found.dir, &self.notes, &self.from.1)?;
            return Err(error.into());
        }
        Ok(())
    }

    /// Whether it replaced something.
    fn put(&self, folder: &Dir) -> Result<bool, SpoolError> {
        let (from, to) = (self.from.1.as_str(), self.to.1.as_str());
        match self.replace {
            Replace::Never => match self.found.dir.move_to(from, folder, to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(SpoolError::Exists),
                moved => Ok(moved.map(|()| false)?),
            },
            Replace::OwnPending => {
                let replaced = folder.stat(to)?;
                if replaced.as_ref().is_some_and(|stat| !dir::is_file(stat)) {
                    return Err(SpoolError::NotAFile);
                }
                self.found.dir.move_over(from, folder, to)?;
                if let Some(stat) = &replaced {
                    self.notes.remove(dir::identity(stat).1)?;
                }
                Ok(replaced.is_some())
            }
        }
    }
}
