//! Who may log in, as the tenants' files say at this moment.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use russh::keys::PublicKey;
use tracing::error;

use crate::config::{Config, Faults, Tenant};
use crate::guide::Markup;
use crate::sftp::{Directory, Quota, TenantLogin};
use crate::spool::Spool;
use crate::telemetry::chain;

/// Why a login leads to nothing, in words for the operator.
const UNKNOWN: &str = "no such login";
const FAULTY: &str = "the tenant's file is faulty, which disables it; serve --check-config names the line";
const DISABLED: &str = "the tenant is disabled";
const NO_WAY_IN: &str = "the tenant has no key and no password that is taken";
const NO_FOLDERS: &str = "the tenant's folders cannot be opened";

/// A login, or why there is none.
type Found = Result<Arc<TenantLogin>, &'static str>;

/// The logins, replaced whole by a reload. Clones share them.
#[derive(Clone)]
pub(super) struct Logins {
    by_name: Arc<RwLock<HashMap<String, Found>>>,
    host_keys: Vec<PublicKey>,
}

impl Logins {
    /// None yet. Senders are told of these keys.
    pub(super) fn new(host_keys: Vec<PublicKey>) -> Self {
        Self { by_name: Arc::default(), host_keys }
    }

    /// Takes the login of every tenant, or why it has none. Sessions of a login or a key that is not among them end.
    pub(super) fn replace(&self, config: &Config, spool: &Spool) {
        let login = |tenant: &Result<Tenant, Faults>| tenant.as_ref().map_or(Err(FAULTY), |tenant| self.login(tenant, config, spool));
        let logins = config.tenants.by_name.iter().map(|(name, tenant)| (name.as_str().to_owned(), login(tenant))).collect();
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = logins;
    }

    /// How the receiving side asks.
    pub(super) fn directory(&self) -> Directory {
        let logins = Arc::clone(&self.by_name);
        Arc::new(move |login| logins.read().unwrap_or_else(PoisonError::into_inner).get(login).cloned().unwrap_or(Err(UNKNOWN)))
    }

    fn login(&self, tenant: &Tenant, config: &Config, spool: &Spool) -> Found {
        if tenant.disabled {
            return Err(DISABLED);
        }
        if tenant.keys.is_empty() && !(config.sftp.password_login && tenant.password.is_some()) {
            return Err(NO_WAY_IN);
        }
        spool.create_tenant(&tenant.name).and_then(|()| spool.tenant(&tenant.name)).map_err(|error| {
            error!(tenant = %tenant.name, cause = chain(&error), "tenant without folders cannot log in");
            NO_FOLDERS
        })?;
        Ok(Arc::new(TenantLogin {
            tenant: tenant.name.clone(),
            keys: tenant.keys.iter().map(|key| key.allowed().clone()).collect(),
            password: tenant.password.clone(),
            networks: tenant.options.allowed_networks.clone(),
            spool: spool.clone(),
            quota: Quota {
                pending_bytes_max: tenant.options.pending_bytes_max,
                pending_files_max: tenant.options.pending_files_max,
                bytes_per_day_max: tenant.options.bytes_per_day_max,
            },
            require_checksum: tenant.options.require_checksum,
            readme: super::guide(config, tenant, &self.host_keys).render(Markup::Text).into(),
        }))
    }
}
