//! Brings folders and ledger into agreement at the start. It runs no import; it says which are to be run.

use tracing::{info, warn};

use super::import::{REPORT, file_name};
use super::{Fault, Pipeline, requests};
use crate::domain::{ImportId, State, TenantName};
use crate::spool::{ClaimedFile, DropFolder, Folders};
use crate::store::StoreError;
use crate::store::ledger::{self, ImportRow, Origin};

/// What a start found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Recovered {
    /// Imports that go on.
    pub resumed: usize,
    /// Claims that a kill cut short: their files are in the inbox as if never touched.
    pub withdrawn: usize,
    /// Files in processing that the ledger does not know: back in the inbox.
    pub put_back: usize,
    /// Lists of commands that were killed before they had asked: removed.
    pub swept: usize,
}

impl Pipeline {
    /// Brings folders and ledger into agreement and queues what is to be done. Before [`Pipeline::run`].
    ///
    /// # Errors
    /// Store or folders cannot be read.
    pub fn recover(&mut self) -> Result<Recovered, Fault> {
        let mut found = Recovered::default();
        for tenant in self.tenants.keys().cloned().collect::<Vec<_>>() {
            self.spool.create_tenant(&tenant)?;
            self.spool.tenant(&tenant)?.sweep()?;
            self.recover_tenant(&tenant, &mut found)?;
        }
        self.recover_scrubs()?;
        found.swept = self.sweep_requests()?;
        if found != Recovered::default() {
            info!(
                resumed = found.resumed,
                withdrawn = found.withdrawn,
                put_back = found.put_back,
                swept = found.swept,
                "folders and ledger brought into agreement"
            );
        }
        Ok(found)
    }

    /// The same for one tenant.
    pub(super) fn recover_tenant(&mut self, tenant: &TenantName, found: &mut Recovered) -> Result<(), Fault> {
        self.spool.create_tenant(tenant)?;
        let folders = self.spool.tenant(tenant)?;
        self.number_above(folders.highest_number()?.unwrap_or(ImportId(0)))?;
        for row in ledger::unarchived(self.store.connection(), tenant)? {
            self.recover_import(&folders, &row, found)?;
        }
        self.recall_waiting(tenant, &folders)?;
        self.put_back_strangers(tenant, &folders, found)
    }

    /// Has ledger and pipeline know the highest number that was given: what stands in the folders, the ledger may not know.
    fn number_above(&mut self, given: ImportId) -> Result<(), Fault> {
        let known = ledger::highest_number(self.store.connection())?.unwrap_or(ImportId(0));
        if known < given {
            self.store.write("number imports", |tx| ledger::number_above(tx, given))?;
        }
        self.numbered = self.numbered.max(known).max(given);
        Ok(())
    }

    /// Why the store is another one than it was: its file, or what an earlier copy put back in it. Nothing that is known here need hold then.
    pub(super) fn store_lost(&self) -> Option<String> {
        if let Err(cause @ StoreError::Replaced(_)) = self.store.in_place() {
            return Some(cause.to_string());
        }
        match ledger::highest_number(self.store.connection()) {
            Ok(None) => Some("the ledger's tables are gone".to_owned()),
            Ok(Some(known)) if known < self.numbered => {
                Some(format!("the ledger is of before import {}: an earlier copy was put back", self.numbered))
            }
            // What cannot be read now is no other store by that.
            Ok(Some(_)) | Err(_) => None,
        }
    }

    /// The same for the imports of one tenant that a fault kept from their place in the queue.
    pub(super) fn recover_strays(&mut self, tenant: &TenantName) -> Result<(), Fault> {
        let queued = self.turns.queued(tenant);
        for import in ledger::in_work(self.store.connection(), tenant)?.into_iter().filter(|import| !queued.contains(import)) {
            let mut found = Recovered::default();
            let row = ledger::require(self.store.connection(), import)?;
            self.recover_import(&self.spool.tenant(tenant)?, &row, &mut found)?;
            info!(%tenant, import = import.0, file = row.file, resumed = found.resumed, withdrawn = found.withdrawn, "import brought into agreement");
        }
        Ok(())
    }

    /// The same for one import.
    pub(super) fn take_up(&mut self, import: ImportId) -> Result<(), Fault> {
        let row = ledger::require(self.store.connection(), import)?;
        self.recover_import(&self.spool.tenant(&row.tenant)?, &row, &mut Recovered::default())
    }

    fn recover_import(&mut self, folders: &Folders, row: &ImportRow, found: &mut Recovered) -> Result<(), Fault> {
        if self.never_claimed(folders, row)? {
            // Its checksum may have been claimed before it.
            for sidecar in folders.claimed()?.into_iter().filter(|file| file.import() == row.id) {
                sidecar.put_back(DropFolder::of_mode(row.mode))?;
            }
            self.store.write("take back an import", |tx| ledger::withdraw(tx, row.id))?;
            found.withdrawn += 1;
            return Ok(());
        }
        // One that waits for a person is pushed as well: a kill may have come before its file's move.
        let waits = matches!(row.state, State::Held | State::Failed);
        if !waits
            && let Err(fault) = self.owned_file(folders, row).map(drop)
            && !row.state.ended()
        {
            warn!(tenant = %row.tenant, import = row.id.0, cause = fault.chain(), "claimed file missing");
        }
        self.turns.push(&row.tenant, row.id);
        found.resumed += usize::from(!waits);
        Ok(())
    }

    /// A row whose file did not come: the kill fell between the ledger's row and the move.
    fn never_claimed(&mut self, folders: &Folders, row: &ImportRow) -> Result<bool, Fault> {
        if row.state != State::Received {
            return Ok(false);
        }
        if folders.claimed_file(row.id, &file_name(row)?)?.is_some() {
            if row.origin == Origin::Command {
                requests::forget_list(self, row)?;
            }
            return Ok(false);
        }
        if row.origin == Origin::Command {
            // Its bytes stand where the command put them.
            return Ok(!requests::adopt_again(self, folders, row)?);
        }
        Ok(true)
    }

    /// Files that are claimed or held and that no import of the ledger is to work on: store or folders were put back from a copy, or a
    /// claim was withdrawn.
    fn put_back_strangers(&mut self, tenant: &TenantName, folders: &Folders, found: &mut Recovered) -> Result<(), Fault> {
        let worked_on = |import| {
            let row = ledger::get(self.store.connection(), import)?;
            Ok::<_, Fault>(row.is_some_and(|row| row.tenant == *tenant && !row.archived))
        };
        for claimed in folders.claimed()? {
            if !worked_on(claimed.import())? {
                found.put_back += usize::from(rehearse_stranger(tenant, claimed)?);
            }
        }
        for held in folders.held()? {
            if worked_on(held.import)? {
                continue;
            }
            // One that is in the way may be the same file, of the other copy.
            let taken = folders.waits(DropFolder::Check, &held.name)? || folders.claimed_file(held.import, &held.name)?.is_some();
            if taken {
                let hint = "move what is in its way, then start again: it will be rehearsed";
                warn!(%tenant, import = held.import.0, file = held.name.as_str(), hint, "held file without an import stays where it is");
            } else if let Some(claimed) = folders.unhold(&held, &[REPORT])? {
                found.put_back += usize::from(rehearse_stranger(tenant, claimed)?);
            }
        }
        Ok(())
    }
}

/// Whether it was to be purged nobody knows, or it was already, and its people may have been registered again. Answers whether there was
/// room for it.
fn rehearse_stranger(tenant: &TenantName, claimed: ClaimedFile) -> Result<bool, Fault> {
    let (import, name) = (claimed.import(), claimed.name().clone());
    let put_back = claimed.put_back(DropFolder::Check)?;
    let hint = if put_back {
        "it is rehearsed; if its people are to go, move it from the archive into the inbox"
    } else {
        "another file of its name waits to be rehearsed; this one follows at a later start"
    };
    warn!(%tenant, import = import.0, file = name.as_str(), put_back, hint, "file without an import");
    Ok(put_back)
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    impl World {
        /// What a fault of the disk would do: nothing can be claimed until it is given back.
        fn take_processing_away(&self) {
            std::fs::remove_dir(self.processing()).expect("empty");
            std::fs::write(self.processing(), "").expect("written");
        }

        fn give_processing_back(&self) {
            std::fs::remove_file(self.processing()).expect("removed");
            std::fs::create_dir(self.processing()).expect("made");
        }

        fn processing(&self) -> std::path::PathBuf {
            self.folder.path().join("tenants/acme/processing")
        }
    }

    #[test]
    fn a_claim_that_fails_leaves_one_import_at_most_and_none_once_the_folders_are_mended() {
        let mut world = World::new();
        std::fs::write(world.folder.path().join("tenants/acme/inbox/june.csv"), "Customer Email\nann@x.example\n").expect("written");
        world.take_processing_away();
        for _ in 0..3 {
            world.pipeline.take_files(&world.tenant).expect_err("nothing can be claimed");
            assert!(ledger::in_work(world.pipeline.store.connection(), &world.tenant).expect("read").len() <= 1);
        }
        world.give_processing_back();
        world.pipeline.take_files(&world.tenant).expect("taken");
        let left = ledger::in_work(world.pipeline.store.connection(), &world.tenant).expect("read");
        assert_eq!(left.len(), 1, "the file's own");
        assert_eq!(world.pipeline.turns.queued(&world.tenant), left.into_iter().collect());
    }

    #[test]
    fn held_files_of_no_import_are_rehearsed_one_of_a_name_and_none_keeps_the_others_from_it() {
        let mut world = World::new();
        let tenant = world.folder.path().join("tenants/acme");
        let day = tenant.join("held/2026-11-20");
        std::fs::create_dir_all(&day).expect("a folder");
        for name in ["5-may.csv", "6-june.csv", "7-june.csv", "8-july.csv"] {
            std::fs::write(day.join(name), "Customer Email\n").expect("written");
            std::fs::write(day.join(format!("{name}.report.json")), "{}").expect("written");
        }
        // Of another copy, which was put back over it.
        std::fs::write(tenant.join("processing/5-may.csv"), "Customer Email\n").expect("written");
        let mut found = Recovered::default();
        world.pipeline.recover_tenant(&world.tenant.clone(), &mut found).expect("recovered");
        let names = |folder: &str| {
            let read = std::fs::read_dir(tenant.join(folder)).expect("a folder");
            let mut names: Vec<_> = read.map(|entry| entry.expect("read").file_name().into_string().expect("UTF-8")).collect();
            names.sort();
            names.retain(|name| !name.starts_with('.'));
            names
        };
        assert_eq!(names("check"), ["july.csv", "june.csv", "may.csv"]);
        assert_eq!(names("held/2026-11-20").iter().filter(|name| name.ends_with(".csv")).count(), 2);
        assert_eq!(names("processing"), Vec::<String>::new());
        assert_eq!(found.put_back, 3);
    }
}
