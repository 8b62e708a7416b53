//! Which checksum file speaks for which file.
//!
//! A checksum speaks for the next file of its name that is taken: it may come before that file, or after it until the file
//! is taken. One that was there before an earlier file of its name was taken never speaks for a later one: it is retired.
//! What the checksum says, and what follows from it, is decided when the file is read.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{info, warn};

use super::take::{place, stamp};
use super::{Fault, Pipeline};
use crate::domain::{ImportId, TenantName};
use crate::spool::{ClaimedFile, Folders, InboxFile, Sidecar};
use crate::store::ledger::{self, Origin};

/// What a checksum file says of the file that is looked at.
pub(super) struct Vouching {
    pub(super) sidecar: Sidecar,
    /// `None`: it says nothing of this file, which is a mismatch.
    pub(super) sha256: Option<String>,
}

/// The refusal of a checksum that an earlier file of its name was taken without.
pub(super) const OVERTAKEN: &str = "checksum_overtaken";

/// File systems stamp files by a clock that ticks up to 100 times a second, and may lag behind ours by a tick.
const TICK: i128 = 20_000_000;

impl Pipeline {
    /// The checksum that may speak for a file: of the scan, or come since.
    pub(super) fn sidecar_of(
        &mut self,
        tenant: &TenantName,
        folders: &Folders,
        file: &InboxFile,
        listed: &[Sidecar],
    ) -> Result<Option<Sidecar>, Fault> {
        let found = match listed.iter().find(|sidecar| sidecar.vouches_for == file.name) {
            Some(sidecar) => Some(sidecar.clone()),
            None => folders.sidecar_of(file)?,
        };
        let Some(sidecar) = found else { return Ok(None) };
        Ok(if self.retire_overtaken(tenant, folders, &sidecar)? { None } else { Some(sidecar) })
    }

    /// Gives back a file that was claimed without a checksum while its checksum came: they are taken together. Whether it did.
    pub(super) fn give_back(
        &mut self,
        tenant: &TenantName,
        folders: &Folders,
        file: &InboxFile,
        claimed: ClaimedFile,
    ) -> Result<bool, Fault> {
        let import = claimed.import();
        // Where another file has the name by now, the checksum is that one's.
        if folders.sidecar_of(file)?.is_none() || !claimed.put_back(file.drop)? {
            return Ok(false);
        }
        self.store.write("take back an import", |tx| ledger::withdraw(tx, import))?;
        self.changed.insert(tenant.clone());
        Ok(true)
    }

    /// A checksum whose file does not come is refused after a while, so that the sender learns of it.
    pub(super) fn consider_orphan(&mut self, tenant: &TenantName, folders: &Folders, sidecar: &Sidecar) -> Result<(), Fault> {
        if self.retire_overtaken(tenant, folders, sidecar)? {
            return Ok(());
        }
        let now = Instant::now();
        let since = self.settling.first_seen(&place(tenant, &sidecar.file), stamp(&sidecar.file), now);
        let wait = (since + self.options.checksum_wait.max(self.options.settle)).saturating_duration_since(now);
        if wait > Duration::ZERO {
            self.ripe_in(tenant, now, wait);
            return Ok(());
        }
        info!(%tenant, file = sidecar.file.name.as_str(), age_seconds = age_seconds(&sidecar.file), "checksum retired: its file did not come");
        self.claim(tenant, folders, &sidecar.file, None, Origin::Sftp, None)
    }

    /// Retires a checksum that was there before an earlier file of its name was taken. Whether it was such a one.
    fn retire_overtaken(&mut self, tenant: &TenantName, folders: &Folders, sidecar: &Sidecar) -> Result<bool, Fault> {
        let (file, mode) = (&sidecar.file, sidecar.file.drop.mode());
        let Some((import, taken_at)) = ledger::last_taken(self.store.connection(), tenant, sidecar.vouches_for.as_str(), mode)? else {
            return Ok(false);
        };
        if file.ctime_ns + TICK >= taken_at.as_nanosecond() {
            return Ok(false);
        }
        let ImportId(import) = import;
        warn!(
            %tenant, file = file.name.as_str(), age_seconds = age_seconds(file), taken_without = import,
            "checksum retired: an earlier file of its name was taken without it"
        );
        self.claim(tenant, folders, file, None, Origin::Sftp, Some(OVERTAKEN))?;
        Ok(true)
    }
}

/// For how long a file has been there.
fn age_seconds(file: &InboxFile) -> i128 {
    (Timestamp::now().as_nanosecond() - file.ctime_ns).max(0) / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::import::digest;
    use super::super::testing::World;
    use super::*;
    use crate::domain::FileName;
    use crate::spool::{DropFolder, Scan};

    const LIST: &str = "Customer Email\nann@x.example\n";

    impl World {
        fn inbox(&self) -> std::path::PathBuf {
            self.folder.path().join("tenants/acme/inbox")
        }

        fn write(&self, name: &str, content: &str) {
            std::fs::write(self.inbox().join(name), content).expect("written");
        }

        fn write_sum(&self, name: &str) {
            let mut list = std::fs::File::open(self.list(name)).expect("the list");
            let (sum, _) = digest(&mut list).expect("read");
            self.write(&format!("{name}.sha256"), &format!("{sum}  {name}\n"));
        }

        fn list(&self, name: &str) -> std::path::PathBuf {
            let here = self.inbox().join(name);
            if here.exists() { here } else { self.folder.path().join("tenants/acme/processing").join(format!("1-{name}")) }
        }

        fn imports(&self) -> Vec<String> {
            let rows = ledger::list(self.pipeline.store.connection(), None, 10).expect("read");
            rows.into_iter()
                .rev()
                .map(|row| format!("{} {}", row.file, row.expected_sha256.map_or("alone", |_| "with its checksum")))
                .collect()
        }

        /// A file is there and was listed, without its checksum.
        fn list_june(&self) -> (Folders, Scan) {
            self.write("june.csv", LIST);
            let folders = self.pipeline.spool.tenant(&self.tenant).expect("folders");
            let listed = folders.scan(DropFolder::Inbox).expect("a scan");
            (folders, listed)
        }

        fn left(&self, folder: &Path) -> usize {
            std::fs::read_dir(folder).expect("a folder").count()
        }
    }

    #[test]
    fn a_checksum_that_comes_between_the_listing_and_the_claim_is_taken_with_its_file() {
        let mut world = World::new();
        let (folders, listed) = world.list_june();
        world.write_sum("june.csv");
        let tenant = world.tenant.clone();
        world.pipeline.consider(&tenant, &folders, &listed.files[0], &listed.sidecars).expect("considered");
        assert_eq!(world.imports(), ["june.csv with its checksum"]);
        assert_eq!(world.left(&world.inbox()), 0);
    }

    #[test]
    fn a_checksum_that_comes_during_the_claim_gives_the_file_back_and_both_are_taken() {
        let mut world = World::new();
        let (folders, listed) = world.list_june();
        world.write_sum("june.csv");
        let tenant = world.tenant.clone();
        // The look before the claim did not show it yet.
        world.pipeline.claim(&tenant, &folders, &listed.files[0], None, Origin::Sftp, None).expect("claimed");
        assert_eq!(world.imports(), [""; 0]);
        assert_eq!(world.left(&world.inbox()), 2);
        assert!(world.pipeline.changed.contains(&tenant), "it is looked at again");
        world.pipeline.take_files(&tenant).expect("taken");
        assert_eq!(world.imports(), ["june.csv with its checksum"]);
        assert_eq!(world.left(&world.inbox()), 0);
    }

    #[test]
    fn a_checksum_that_comes_during_the_claim_stays_for_the_next_file_where_one_is_there_by_then() {
        let mut world = World::new();
        let (folders, mut listed) = world.list_june();
        let listed = listed.files.remove(0);
        let import = crate::domain::ImportId(1);
        let claimed = folders.claim(&listed, import).expect("read").expect("claimed");
        world.write("june.csv", "Customer Email\nbob@x.example\n");
        world.write_sum("june.csv");
        let tenant = world.tenant.clone();
        assert!(!world.pipeline.give_back(&tenant, &folders, &listed, claimed).expect("looked"));
        let name = FileName::parse("june.csv").expect("valid");
        assert!(folders.claimed_file(import, &name).expect("read").is_some());
        assert_eq!(world.left(&world.inbox()), 2);
    }
}
