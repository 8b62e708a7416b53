//! Who may log in, as the tenants' files say at this moment.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use russh::keys::PublicKey;
use tracing::error;

use crate::config::{Config, Tenant};
use crate::guide::Markup;
use crate::sftp::{Directory, Quota, TenantLogin};
use crate::spool::Spool;

/// The logins, replaced whole by a reload. Clones share them.
#[derive(Clone)]
pub(super) struct Logins {
    by_name: Arc<RwLock<HashMap<String, Arc<TenantLogin>>>>,
    host_keys: Vec<PublicKey>,
}

impl Logins {
    /// None yet. Senders are told of these keys.
    pub(super) fn new(host_keys: Vec<PublicKey>) -> Self {
        Self { by_name: Arc::default(), host_keys }
    }

    /// Takes the logins of every tenant that is sound and open. Sessions of a login or a key that is not among them end.
    pub(super) fn replace(&self, config: &Config, spool: &Spool) {
        let mut logins = HashMap::new();
        let opens = |tenant: &&Tenant| !tenant.keys.is_empty() || config.sftp.password_login && tenant.password.is_some();
        for tenant in config.tenants.sound().filter(|tenant| !tenant.disabled).filter(opens) {
            let folders = spool.create_tenant(&tenant.name).and_then(|()| spool.tenant(&tenant.name));
            match folders {
                Ok(folders) => {
                    let login = TenantLogin {
                        tenant: tenant.name.clone(),
                        keys: tenant.keys.iter().map(|key| key.allowed().clone()).collect(),
                        password: tenant.password.clone(),
                        networks: tenant.options.allowed_networks.clone(),
                        folders,
                        quota: Quota {
                            pending_bytes_max: tenant.options.pending_bytes_max,
                            pending_files_max: tenant.options.pending_files_max,
                            bytes_per_day_max: tenant.options.bytes_per_day_max,
                        },
                        readme: super::guide(config, tenant, &self.host_keys).render(Markup::Text).into(),
                    };
                    logins.insert(tenant.name.as_str().to_owned(), Arc::new(login));
                }
                Err(cause) => error!(tenant = %tenant.name, %cause, "tenant without folders cannot log in"),
            }
        }
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = logins;
    }

    /// How the receiving side asks.
    pub(super) fn directory(&self) -> Directory {
        let logins = Arc::clone(&self.by_name);
        Arc::new(move |login| logins.read().unwrap_or_else(PoisonError::into_inner).get(login).cloned())
    }
}
