//! Taking files: what lies in the drop folders, what has settled, and the claim.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::settle::{Place, Stamp};
use super::vouch::Vouching;
use super::{Fault, Pipeline};
use crate::domain::{FileName, FileState, ImportId, Settings, State, TenantName};
use crate::spool::{DropFolder, Folders, InboxFile, Scan, Sidecar, SpoolError};
use crate::store::ledger::{self, NewImport, Origin};
use crate::telemetry::chain;

impl Pipeline {
    /// Scans both drop folders of a tenant and claims what is ripe.
    pub(super) fn take_files(&mut self, tenant: &TenantName) -> Result<(), Fault> {
        if self.unwatched.remove(tenant) {
            self.spool.create_tenant(tenant)?;
            info!(%tenant, "folders watched anew");
            // Before the scan: what comes after it is heard, what came before it is seen.
            self.watch_tenant(tenant);
        }
        if self.astray.contains(tenant) {
            self.recover_strays(tenant)?;
            self.astray.remove(tenant);
        }
        let folders = self.spool.tenant(tenant)?;
        let mut listed = HashSet::new();
        for drop in DropFolder::ALL {
            let scan = folders.scan(drop)?;
            if scan.recreated {
                self.unwatched.insert(tenant.clone());
                self.changed.insert(tenant.clone());
            }
            self.tell_problems(tenant, drop, &scan);
            let files: HashSet<&FileName> = scan.files.iter().map(|file| &file.name).collect();
            let sidecars: HashSet<&FileName> = scan.sidecars.iter().map(|sidecar| &sidecar.file.name).collect();
            self.settling.retain(tenant, drop, |name| files.contains(name) || sidecars.contains(name));
            let names = || files.iter().chain(&sidecars).map(|name| (*name).clone());
            self.waiting.entry(tenant.clone()).or_default().extend(names());
            listed.extend(names());
            for file in &scan.files {
                self.consider(tenant, &folders, file, &scan.sidecars)?;
            }
            for sidecar in scan.sidecars.iter().filter(|sidecar| !files.contains(&sidecar.vouches_for)) {
                self.consider_orphan(tenant, &folders, sidecar)?;
            }
        }
        self.tell_withdrawn(tenant, &folders, &listed)
    }

    /// Names what lies in a folder and is not taken, once each.
    fn tell_problems(&mut self, tenant: &TenantName, drop: DropFolder, scan: &Scan) {
        let mut problems: Vec<(String, String)> = scan.problems.iter().map(|(name, why)| (name.clone(), why.to_string())).collect();
        for (name, changed_ns) in &scan.passed_over {
            match self.unsettled_for(*changed_ns) {
                Some(wait) => self.ripe_in(tenant, Instant::now(), wait),
                None => problems.push((name.clone(), "has a temporary name: rename it when it is whole, or remove it".to_owned())),
            }
        }
        for (file, problem) in self.warned.news(tenant, drop, problems) {
            warn!(%tenant, folder = drop.as_str(), file, problem, "file not taken");
        }
    }

    pub(super) fn consider(&mut self, tenant: &TenantName, folders: &Folders, file: &InboxFile, sidecars: &[Sidecar]) -> Result<(), Fault> {
        let now = Instant::now();
        let place = place(tenant, file);
        let hinted = self.settling.hinted(&place, stamp(file));
        if let Some(wait) = self.unsettled(&place, file, now) {
            self.ripe_in(tenant, now, wait);
            return self.tell_waiting(tenant, folders, file, FileState::Waiting);
        }
        let vouching = match self.sidecar_of(tenant, folders, file, sidecars)? {
            Some(sidecar) => {
                let side_place = self::place(tenant, &sidecar.file);
                if let Some(wait) = self.unsettled(&side_place, &sidecar.file, now) {
                    self.ripe_in(tenant, now, wait);
                    return self.tell_waiting(tenant, folders, file, FileState::WaitingForChecksum);
                }
                let sha256 = folders.read_checksum(&sidecar)?.map(|checksum| checksum.to_string());
                Some(Vouching { sidecar, sha256 })
            }
            None => None,
        };
        let rules = &self.tenants[tenant];
        let mut refusal = None;
        if vouching.is_none() && rules.require_checksum {
            // Its first sight counts, settled or hinted.
            let since = self.settling.first_seen(&place, stamp(file), now);
            let wait = (since + self.options.checksum_wait).saturating_duration_since(now);
            if wait > Duration::ZERO {
                self.ripe_in(tenant, now, wait);
                return self.tell_waiting(tenant, folders, file, FileState::WaitingForChecksum);
            }
            refusal = Some("checksum_missing");
        }
        let origin = if hinted { Origin::Sftp } else { Origin::File };
        self.claim(tenant, folders, file, vouching.as_ref(), origin, refusal)
    }

    /// The ledger's row first, then the move: a kill between the two leaves a row without a file, which recovery takes back.
    pub(super) fn claim(
        &mut self,
        tenant: &TenantName,
        folders: &Folders,
        file: &InboxFile,
        vouching: Option<&Vouching>,
        origin: Origin,
        refusal: Option<&str>,
    ) -> Result<(), Fault> {
        let new = NewImport {
            tenant: tenant.clone(),
            file: file.name.as_str().to_owned(),
            mode: file.drop.mode(),
            origin,
            requested_by: None,
            request_case: None,
            settings: self.tenants.get(tenant).map_or_else(Settings::default, |rules| rules.settings),
            map: Vec::new(),
            seams: file.seams.clone(),
            received_at: Self::now(),
            expected_sha256: vouching.map(|vouching| vouching.sha256.clone().unwrap_or_default()),
            refusal: refusal.map(str::to_owned),
        };
        let began = Instant::now();
        let numbered = self.numbered;
        let import = self.store.write("note an import", |tx| {
            ledger::number_above(tx, numbered)?;
            ledger::insert(tx, &new)
        })?;
        self.numbered = import;
        self.rush.committed(began.elapsed());
        let moved = self.move_in(tenant, folders, file, vouching, import);
        if moved.is_err() && self.take_up(import).is_err() {
            self.astray.insert(tenant.clone());
        }
        moved
    }

    /// What follows the ledger's row. After an error the file is where it was, or claimed and in no queue.
    fn move_in(
        &mut self,
        tenant: &TenantName,
        folders: &Folders,
        file: &InboxFile,
        vouching: Option<&Vouching>,
        import: ImportId,
    ) -> Result<(), Fault> {
        if let Some(vouching) = vouching {
            // Under the same import. Where it is gone by now nothing is lost: what it said is in the ledger.
            folders.claim(&vouching.sidecar.file, import)?;
        }
        let claimed = match folders.claim(file, import) {
            Err(SpoolError::NotFound) => None,
            claimed => claimed?,
        };
        let Some(claimed) = claimed else {
            // The file is gone: its row is taken back, and a checksum that was claimed for it is put back.
            return self.take_up(import);
        };
        if vouching.is_none() && self.give_back(tenant, folders, file, claimed)? {
            return Ok(());
        }
        for taken in vouching.map(|vouching| &vouching.sidecar.file).into_iter().chain([file]) {
            self.settling.forget(&place(tenant, taken));
            self.waiting.get_mut(tenant).map(|names| names.remove(&taken.name));
        }
        if let Some(vouching) = vouching {
            // What becomes of the checksum file is told by the status of the list that it vouches for.
            folders.remove_status_of_claimed(&vouching.sidecar.file.name)?;
        }
        let vouched = vouching.map(|_| true);
        info!(%tenant, import = import.0, file = file.name.as_str(), bytes = file.size, mode = file.drop.mode().as_str(), with_checksum = vouched, "file received");
        self.turns.push(tenant, import);
        // From now on the status is this file's, however long it is queued: an earlier import of the name says no more.
        let row = ledger::require(self.store.connection(), import)?;
        self.publish(folders, &row, State::Received, None)
    }

    fn unsettled(&mut self, place: &Place, file: &InboxFile, now: Instant) -> Option<Duration> {
        let wait = self.settling.remaining(place, stamp(file), now);
        // A file whose inode has not changed for long enough had settled before this daemon saw it.
        self.unsettled_for(file.ctime_ns).map(|_| wait).filter(|wait| *wait > Duration::ZERO)
    }

    /// How long an inode that changed then has not stood still for the time to settle.
    fn unsettled_for(&self, changed_ns: i128) -> Option<Duration> {
        let age = Duration::from_nanos(u64::try_from((Self::now().as_nanosecond() - changed_ns).max(0)).unwrap_or(u64::MAX));
        self.options.settle.checked_sub(age).filter(|wait| *wait > Duration::ZERO)
    }

    pub(super) fn ripe_in(&mut self, tenant: &TenantName, now: Instant, wait: Duration) {
        let at = now + wait;
        let known = self.ripe_at.entry(tenant.clone()).or_insert(at);
        *known = at.min(*known);
    }

    pub(super) fn watch_tenant(&mut self, tenant: &TenantName) {
        for drop in DropFolder::ALL {
            self.watch_folder(tenant, drop);
        }
    }

    fn watch_folder(&mut self, tenant: &TenantName, drop: DropFolder) {
        let path = self.spool.watched_path(tenant, drop);
        let Some(watch) = &mut self.watch else { return };
        match watch.follow(tenant, &path) {
            Ok(()) => {
                self.unwatchable.remove(&(tenant.clone(), drop));
            }
            Err(cause) => {
                // Tried again by the next scan.
                self.unwatched.insert(tenant.clone());
                if self.unwatchable.insert((tenant.clone(), drop)) {
                    warn!(%tenant, folder = drop.as_str(), cause = chain(&cause), "folder not watched: the timer finds its files");
                }
            }
        }
    }
}

pub(super) fn place(tenant: &TenantName, file: &InboxFile) -> Place {
    (tenant.clone(), file.drop, file.name.clone())
}

pub(super) fn stamp(file: &InboxFile) -> Stamp {
    Stamp { device: file.device, inode: file.inode, size: file.size, mtime_ns: file.mtime_ns }
}
