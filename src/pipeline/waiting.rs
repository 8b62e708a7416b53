//! What `/status/NAME.json` says while a file of that name waits, and once one that waited is gone.
//!
//! A name has one status. Of those who have something to say the first of these speaks: the file that waits in `/inbox`, the
//! sender's purge that is not over, the file that waits in `/check`, the newest import. The receiving side tells what arrives;
//! here is mended what that covered, and what a file leaves that its sender or an operator withdrew.

use std::collections::{BTreeSet, HashSet};

use super::expire;
use super::import::{REPORT, arrival_day, place_of};
use super::{Fault, Pipeline};
use crate::domain::{FileName, FileState, TenantName};
use crate::report::Status;
use crate::spool::{DropFolder, Folders, InboxFile};
use crate::store::ledger::{self, ImportRow};

impl Pipeline {
    /// Says that a file waits, where it is that file's turn to speak.
    pub(super) fn tell_waiting(&mut self, tenant: &TenantName, folders: &Folders, file: &InboxFile, state: FileState) -> Result<(), Fault> {
        let (name, mode) = (&file.name, file.drop.mode());
        let said = status(folders, name)?;
        if file.drop == DropFolder::Check {
            if folders.waits(DropFolder::Inbox, name)? {
                return Ok(());
            }
            if let Some(purge) = self.standing_purge(tenant, name)? {
                let is_told = said.is_some_and(|said| said.import == Some(purge.id));
                return if is_told { Ok(()) } else { self.publish(folders, &purge, purge.state, None) };
            }
        }
        if said.is_some_and(|said| said.import.is_none() && said.mode == mode && said.state == state.as_str()) {
            return Ok(());
        }
        Ok(folders.publish_status(name, Status::waiting(state, mode, Self::now()).to_json().as_bytes())?)
    }

    /// Recalls the names of which the status says that a file waits: the next scan says what is true of one that was withdrawn, or never
    /// arrived, while nobody looked.
    pub(super) fn recall_waiting(&mut self, tenant: &TenantName, folders: &Folders) -> Result<(), Fault> {
        for name in folders.told_names()? {
            // One that cannot be read keeps nobody from starting.
            if let Ok(Some(Status { import: None, .. })) = status(folders, &name) {
                self.waiting.entry(tenant.clone()).or_default().insert(name);
            }
        }
        Ok(())
    }

    /// Says what the ledger knows of names that were listed, delivered or recalled before, and under which nothing waits any more.
    pub(super) fn tell_withdrawn(&mut self, tenant: &TenantName, folders: &Folders, listed: &HashSet<FileName>) -> Result<(), Fault> {
        let Some(waiting) = self.waiting.get_mut(tenant) else { return Ok(()) };
        let gone: BTreeSet<FileName> = waiting.extract_if(.., |name| !listed.contains(name)).collect();
        let mut first_fault = Ok(());
        for name in gone {
            if let Err(fault) = self.tell_earlier(tenant, folders, &name) {
                // The next scan says it.
                self.waiting.entry(tenant.clone()).or_default().insert(name);
                first_fault = first_fault.and(Err(fault));
            }
        }
        first_fault
    }

    fn tell_earlier(&self, tenant: &TenantName, folders: &Folders, name: &FileName) -> Result<(), Fault> {
        if status(folders, name)?.is_none_or(|said| said.import.is_some()) {
            return Ok(());
        }
        let today = Self::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        match ledger::newest_of_name(self.store.connection(), tenant, name.as_str())? {
            Some(row) if !row.archived => self.publish(folders, &row, row.state, None),
            Some(row) if expire::last_day(arrival_day(&row), self.options.reports_days) >= today => {
                self.publish(folders, &row, row.state, Some(format!("{}{REPORT}", place_of(&row)?.path())))
            }
            _ => Ok(folders.remove_status_of_claimed(name)?),
        }
    }

    /// The sender's purge of a name that is not over, if no newer one tells the name's status.
    pub(super) fn standing_purge(&self, tenant: &TenantName, name: &FileName) -> Result<Option<ImportRow>, Fault> {
        let Some(purge) = ledger::unfinished_purge(self.store.connection(), tenant, name.as_str())? else { return Ok(None) };
        Ok(if ledger::told_by_newer(self.store.connection(), &purge)? { None } else { Some(purge) })
    }
}

fn status(folders: &Folders, name: &FileName) -> Result<Option<Status>, Fault> {
    Ok(folders.read_status(name)?.as_deref().and_then(Status::read))
}

#[cfg(test)]
mod tests {
    use crate::domain::{FileName, FileState, Mode};
    use crate::pipeline::Pipeline;
    use crate::pipeline::testing::World;
    use crate::report::Status;

    #[test]
    fn a_status_that_cannot_be_told_is_told_later_and_keeps_no_other_from_it() {
        let mut world = World::new();
        let status = |name: &str| world.folder.path().join(format!("tenants/acme/status/{name}.json"));
        let names = ["april.csv", "june.csv"].map(|name| FileName::parse(name).expect("valid"));
        let paths = names.each_ref().map(|name| status(name.as_str()));
        let waits = Status::waiting(FileState::Waiting, Mode::Purge, Pipeline::now()).to_json();
        std::fs::create_dir(&paths[0]).expect("in the way");
        std::fs::write(&paths[1], &waits).expect("a status");
        world.pipeline.waiting.insert(world.tenant.clone(), names.into());
        let told = world.pipeline.take_files(&world.tenant);
        assert!(told.is_err(), "the first cannot be read");
        assert!(!paths[1].exists(), "nothing of that name waits, and no import had it");
        std::fs::remove_dir(&paths[0]).expect("ours");
        std::fs::write(&paths[0], &waits).expect("a status");
        assert!(world.pipeline.take_files(&world.tenant).is_ok());
        assert!(!paths[0].exists());
    }
}
