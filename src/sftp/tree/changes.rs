//! What a sender does to files that lie there: renames, a delivery from a temporary name among them, and removals.
//!
//! Whoever hears OK of a removal believes that the list is withdrawn, so what was taken already is refused; a delivered file that
//! goes by its sender's wish is told, since nothing else would say where it went.

use std::time::Instant;

use tracing::info;

use super::{NO_FOLDERS, READ_ONLY, TenantTree};
use crate::domain::{FileName, NameKind};
use crate::sftp::engine::Overwrite;
use crate::sftp::place::Place;
use crate::sftp::shown::{nanoseconds, refusal, waiting_status};
use crate::sftp::taken::Memory;
use crate::sftp::wire::Refusal;
use crate::spool::{DropFolder, Removed, Renamed, Replace, SpoolError};

const ONLY_PARTIAL_REMOVED: &str = "only an unfinished upload of this name was removed; the file that was delivered before it still waits";

impl TenantTree {
    pub(super) fn rename_place(&mut self, from: &[u8], to: &[u8], overwrite: Overwrite) -> Result<(), Refusal> {
        let (from, to) = match (Place::of(from), Place::of(to)) {
            (Place::Upload(from, name), Place::Upload(to, new_name)) => ((from, name), (to, new_name)),
            (Place::Misnamed(_) | Place::Below(_) | Place::Nowhere, _) => return Err(Refusal::not_found()),
            (_, Place::Misnamed(error)) => return Err(Refusal::denied(error.to_string())),
            (_, Place::Below(_)) => return Err(Refusal::denied(NO_FOLDERS)),
            _ => return Err(Refusal::denied("files can be renamed within /inbox and /check only")),
        };
        self.check_length(&to.1)?;
        let size = self.sender.folders.stat(from.0, &from.1).map_err(refusal)?.map(|entry| entry.size);
        if size.is_none() && self.memory(from.0, &from.1).is_some() {
            return Err(Refusal::failure("already taken"));
        }
        let status = waiting_status(&self.sender.folders, to.0, &to.1).map_err(refusal)?;
        let rename = |tree: &Self, replace| tree.sender.folders.rename((from.0, &from.1), (to.0, &to.1), replace, status.as_deref());
        // Even where it may replace, a file that waits to be claimed is first given the time for that.
        let may_wait = from != to && to.1.kind() != NameKind::Temporary;
        let first = if may_wait { self.wait_while_pending(|tree| rename(tree, Replace::Never)) } else { rename(self, Replace::Never) };
        let renamed = match first {
            Err(SpoolError::Exists) if overwrite == Overwrite::Asked => rename(self, Replace::OwnPending),
            renamed => renamed,
        };
        let moved = renamed.map_err(refusal)?;
        let whole = |(drop, name): &(DropFolder, FileName)| format!("/{}/{name}", drop.as_str());
        if moved.replaced {
            self.tell_change((to.0, &to.1), &format!("replaced before it was taken, by {}", whole(&from)));
        }
        if moved.waited {
            self.tell_change((from.0, &from.1), &format!("renamed before it was taken, to {}", whole(&to)));
        }
        match moved.renamed {
            Renamed::Kept => {}
            Renamed::Delivered(delivered) => {
                // A time that was set before the rename goes with the file.
                let set = self.memory(from.0, &from.1).filter(|memory| Some(memory.size) == size).map(|memory| memory.mtime);
                let mtime = set.unwrap_or_else(|| nanoseconds(delivered.mtime_ns));
                let memory = Memory { size: size.unwrap_or(delivered.size), mtime };
                self.delivered(delivered, memory);
            }
        }
        self.forget_sent(to.0, &to.1);
        if from != to {
            self.forget_sent(from.0, &from.1);
            self.receiving.taken.forget(&self.key(from.0, &from.1), Instant::now());
        }
        Ok(())
    }

    /// What lies under a name, or lay there, is another file now. An upload of it that is still open is not.
    fn forget_sent(&mut self, drop: DropFolder, name: &FileName) {
        if self.sender.folders.is_written(drop, name) {
            self.sent.forget_refused(drop, name);
        } else {
            self.sent.forget(drop, name);
        }
    }

    pub(super) fn remove_place(&mut self, path: &[u8]) -> Result<(), Refusal> {
        match Place::of(path) {
            Place::Upload(drop, name) => {
                match self.sender.folders.remove(drop, &name) {
                    Ok(Removed::Pending) => self.tell_change((drop, &name), "removed before it was taken"),
                    Ok(Removed::Partial) => {}
                    // Who hears OK believes that the list is withdrawn.
                    Ok(Removed::PartialOnly) => return Err(Refusal::failure(ONLY_PARTIAL_REMOVED)),
                    // WinSCP and rclone, before they rename what was sent anew. Anybody else would believe that the list is withdrawn.
                    Err(SpoolError::NotFound) if self.memory(drop, &name).is_some() => {
                        if !self.is_sent_anew(drop, &name)? {
                            return Err(Refusal::failure("already taken"));
                        }
                    }
                    Err(error) => return Err(refusal(error)),
                }
                self.sent.forget(drop, &name);
                self.receiving.taken.forget(&self.key(drop, &name), Instant::now());
                Ok(())
            }
            Place::Read(..) | Place::Readme => Err(Refusal::denied(READ_ONLY)),
            Place::Root | Place::Drop(_) => Err(Refusal::denied("it is a folder")),
            Place::Misnamed(_) | Place::Below(_) | Place::Nowhere => Err(Refusal::not_found()),
        }
    }

    /// Tells that a file which was delivered is one no more, because its sender wished so: nothing else would say where it went.
    fn tell_change(&self, (drop, name): (DropFolder, &FileName), change: &str) {
        info!(file = name.as_str(), folder = drop.as_str(), change, "delivered file changed by its sender");
        self.sender.tell(&format!("{} /{}/{name} {change}", jiff::Timestamp::now(), drop.as_str()));
    }

    /// Whether the file lies there once more under a temporary name of its own: `june.csv.filepart` (WinSCP), `june.csv.part`,
    /// `june.csv.1a2b3c4d.partial` (rclone). Not `june.csv.gz.part`, which is another list's, nor a checksum's.
    fn is_sent_anew(&self, drop: DropFolder, name: &FileName) -> Result<bool, Refusal> {
        let own = format!("{name}.");
        let kind = |name: &str| FileName::parse(name).map_or(NameKind::Other, |name| name.kind());
        let is_own = |other: &str| {
            let stem = other.rsplit_once('.').map_or(other, |(stem, _)| stem);
            other.starts_with(&own)
                && kind(other) == NameKind::Temporary
                && (stem == name.as_str() || matches!(kind(stem), NameKind::Other | NameKind::Temporary))
        };
        Ok(self.sender.folders.list(drop).map_err(refusal)?.iter().any(|entry| is_own(&entry.name)))
    }
}
