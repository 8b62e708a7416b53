//! What changes while the daemon runs: tenants, their logins and rules, and with them the plan.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use tracing::{error, info, warn};

use super::logins::Logins;
use super::options::tenants;
use super::served::Served;
use super::{engine, expiry, tell_faults};
use crate::config::{Config, TenantsFingerprint, tenants_fingerprint};
use crate::domain::TenantName;
use crate::pipeline::Wake;
use crate::spool::Spool;
use crate::telemetry::chain;

/// What a reload changes: tenants, their logins and rules.
pub(super) struct Reload {
    /// Of the tenants' files as they were read last.
    pub(super) seen: Option<TenantsFingerprint>,
    /// Of the files as the last look found them. A file that is being written is not read: half of it may be a sound tenant without its rules.
    pub(super) settling: Option<TenantsFingerprint>,
    pub(super) config: Config,
    pub(super) spool: Spool,
    pub(super) logins: Logins,
    pub(super) served: Served,
    /// Of the plan that the pipeline works by.
    pub(super) plan_digest: String,
    pub(super) wakes: Sender<Wake>,
}

impl Reload {
    /// Reloads where the tenants' files have changed, and have stayed the same since the last look.
    pub(super) fn if_changed(&mut self) {
        let found = tenants_fingerprint(&self.config.tenants_dir).ok();
        if found != self.seen && found == self.settling {
            self.now();
        }
        self.settling = found;
    }

    /// Tells of files that wait in folders of tenants who are not served.
    pub(super) fn look_for_unserved(&mut self) {
        self.served.look(&self.config.tenant_folders_dir());
    }

    /// Removes partials that were kept for long enough, beside the daemon's other work: folders may be large.
    pub(super) fn expire_partials(&self) {
        let (spool, days) = (self.spool.clone(), self.config.sftp.partials_days);
        let tenants: Vec<TenantName> = self.config.tenants.by_name.keys().cloned().collect();
        tokio::task::spawn_blocking(move || expiry::expire_partials(&spool, &tenants, days, jiff::Timestamp::now()));
    }

    /// Reads the config and the tenants' files again, whether they changed or not. A bad reload keeps the old settings and names the line.
    pub(super) fn now(&mut self) {
        let found = tenants_fingerprint(&self.config.tenants_dir);
        self.seen = found.as_ref().ok().copied();
        if let Err(cause) = found {
            // Taken for empty, it would end every session.
            let hint = "the tenants stay as they were; bring the folder back";
            error!(folder = %self.config.tenants_dir.display(), cause = chain(&cause), hint, "tenants not reloaded");
            return;
        }
        let fresh = match Config::load(&self.config.file) {
            Ok(fresh) => fresh,
            Err(faults) => {
                for fault in faults.as_slice() {
                    error!(%fault, "config not reloaded");
                }
                return;
            }
        };
        if !self.config.same_but_for_tenants(&fresh) {
            warn!("config changed beyond its tenants: restart the daemon to use it");
        }
        self.config.tenants = fresh.tenants;
        self.config.tenant_defaults = fresh.tenant_defaults;
        tell_faults(&self.config);
        self.logins.replace(&self.config, &self.spool);
        self.take_up_plan();
        let tenants = tenants(&self.config);
        info!(tenants = tenants.len(), "tenants reloaded");
        self.served.reloaded(&self.config);
        self.look_for_unserved();
        let _ = self.wakes.send(Wake::Tenants(tenants));
    }

    /// Takes up a plan that was edited: the way to mend one that no longer fits. Targets stay those that were matched.
    fn take_up_plan(&mut self) {
        match engine(&self.config) {
            Ok(engine) if engine.plan_digest() != self.plan_digest => {
                info!(plan = engine.plan_digest(), "erasure plan reloaded");
                engine.plan_digest().clone_into(&mut self.plan_digest);
                let _ = self.wakes.send(Wake::Plan(Arc::new(engine)));
            }
            Ok(_) => {}
            Err(error) => error!(cause = chain(&error).replace('\n', "; "), "erasure plan not reloaded"),
        }
    }
}
