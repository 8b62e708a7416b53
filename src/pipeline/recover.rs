//! Brings folders and ledger into agreement at the start. It runs no import; it says which are to be run.

use tracing::{info, warn};

use super::import::file_name;
use super::{Fault, Pipeline, requests};
use crate::domain::{State, TenantName};
use crate::spool::{DropFolder, Folders};
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
        for row in ledger::unarchived(self.store.connection(), tenant)? {
            if self.never_claimed(&folders, &row)? {
                // Its checksum may have been claimed before it.
                for sidecar in folders.claimed()?.into_iter().filter(|file| file.import() == row.id) {
                    sidecar.put_back(DropFolder::of_mode(row.mode))?;
                }
                self.store.write("take back an import", |tx| ledger::withdraw(tx, row.id))?;
                found.withdrawn += 1;
                continue;
            }
            // One that waits for a person is pushed as well: a kill may have come before its file's move.
            let waits = matches!(row.state, State::Held | State::Failed);
            if !waits
                && let Err(fault) = self.owned_file(&folders, &row).map(drop)
                && !row.state.ended()
            {
                warn!(%tenant, import = row.id.0, cause = %fault.chain(), "claimed file missing");
            }
            self.turns.push(tenant, row.id);
            found.resumed += usize::from(!waits);
        }
        self.put_back_strangers(tenant, &folders, found)
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

    /// Files in processing that no row of the ledger knows: a store that was put back from a copy, a withdrawn claim.
    fn put_back_strangers(&mut self, tenant: &TenantName, folders: &Folders, found: &mut Recovered) -> Result<(), Fault> {
        for claimed in folders.claimed()? {
            let row = ledger::get(self.store.connection(), claimed.import())?;
            if row.as_ref().is_some_and(|row| row.tenant == *tenant && !row.archived) {
                continue;
            }
            // Without its row nobody knows whether it was to be purged or rehearsed: it is rehearsed.
            let drop = row.filter(|row| row.tenant == *tenant).map_or(DropFolder::Check, |row| DropFolder::of_mode(row.mode));
            let (import, name) = (claimed.import(), claimed.name().clone());
            let back = claimed.put_back(drop)?;
            warn!(%tenant, import = import.0, file = %name, put_back = back, "file without an import");
            found.put_back += usize::from(back);
        }
        Ok(())
    }
}
