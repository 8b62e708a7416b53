//! Who is served, who is not any more, and whose files wait for nobody.
//!
//! A change of the tenants' files is told by name. Files in the folders of a tenant that is not served are told once, and again
//! when there are more of them: no scan looks there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use tracing::{info, warn};

use crate::config::{Config, Tenants};
use crate::domain::TenantName;
use crate::pipeline::REPORT;
use crate::spool::SIGNATURE;
use crate::telemetry::chain;

/// Where a tenant stands, as its file says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    Open,
    Disabled,
    /// Its file has a fault, which is told where it is found.
    Faulty,
}

/// The tenants as they were told of last.
#[derive(Debug, Default)]
pub(super) struct Served {
    standing: BTreeMap<TenantName, Standing>,
    /// Files that wait for nobody.
    waiting: BTreeMap<TenantName, usize>,
    /// Whose folders could not be read.
    unread: BTreeSet<TenantName>,
}

impl Served {
    /// Tells the start's tenants in one line.
    pub(super) fn at_start(config: &Config) -> Self {
        let served = Self { standing: standings(&config.tenants), ..Self::default() };
        let [open, disabled, faulty] = [Standing::Open, Standing::Disabled, Standing::Faulty].map(|standing| served.names(standing));
        info!(open, disabled, faulty, "tenants read");
        served
    }

    /// Tells what a reload changed, a line each.
    pub(super) fn reloaded(&mut self, config: &Config) {
        let now = standings(&config.tenants);
        for (tenant, standing) in &now {
            match (self.standing.get(tenant), standing) {
                (Some(before), now) if before == now => {}
                (_, Standing::Faulty) => {}
                (None, Standing::Open) => info!(%tenant, "tenant added"),
                (_, Standing::Open) => info!(%tenant, "tenant enabled"),
                (_, Standing::Disabled) => {
                    info!(%tenant, hint = "its files stay where they are until disabled = false", "tenant disabled");
                }
            }
        }
        for tenant in self.standing.keys().filter(|tenant| !now.contains_key(*tenant)) {
            let hint = format!("its customers and files stay; to reach them, add it again: expunged tenant add {tenant} --key FILE");
            info!(%tenant, hint, "tenant removed");
        }
        self.standing = now;
    }

    /// Warns of files that wait in folders of tenants that are not served.
    pub(super) fn look(&mut self, tenant_folders: &Path) {
        let unserved = self.unserved(tenant_folders).unwrap_or_else(|cause| {
            warn!(cause = chain(&cause), "folders of tenants that are not served not looked at");
            Vec::new()
        });
        let (mut waiting, mut unread) = (BTreeMap::new(), BTreeSet::new());
        for (tenant, looked) in unserved {
            let known = self.waiting.get(&tenant).copied().unwrap_or(0);
            let files = looked.unwrap_or_else(|cause| {
                if !self.unread.contains(&tenant) {
                    warn!(%tenant, cause = chain(&cause), "folders of a tenant that is not served not looked at");
                }
                unread.insert(tenant.clone());
                known
            });
            if files > known {
                let hint = match self.standing.get(&tenant) {
                    Some(Standing::Disabled) => "set disabled = false in its file, or move them away".to_owned(),
                    Some(_) => "mend its file, or move them away".to_owned(),
                    None => format!("add it again: expunged tenant add {tenant} --key FILE, or move them away"),
                };
                let why = self.standing.get(&tenant).map_or("removed", |standing| standing.word());
                warn!(%tenant, why, files, hint, "files wait and nobody serves them");
            }
            waiting.insert(tenant, files);
        }
        (self.waiting, self.unread) = (waiting, unread);
    }

    /// Files that wait in the folders of each tenant that is not open. One tenant's that cannot be read hide no other's.
    fn unserved(&self, tenant_folders: &Path) -> io::Result<Vec<(TenantName, io::Result<usize>)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(tenant_folders)? {
            let Ok(tenant) = TenantName::parse(&entry?.file_name().to_string_lossy()) else { continue };
            if self.standing.get(&tenant) != Some(&Standing::Open) {
                let folders = ["inbox", "check", "processing", "held"].map(|folder| tenant_folders.join(tenant.as_str()).join(folder));
                found.push((tenant, folders.iter().map(|folder| count(folder)).sum()));
            }
        }
        Ok(found)
    }

    /// The names, as many as a line should hold; `None` where there are none.
    fn names(&self, standing: Standing) -> Option<String> {
        let names: Vec<&str> = self.standing.iter().filter(|(_, found)| **found == standing).map(|(name, _)| name.as_str()).collect();
        let more = names.len().saturating_sub(NAMES_MAX);
        let shown = names[..names.len() - more].join(" ");
        (!names.is_empty()).then(|| if more > 0 { format!("{shown} and {more} more") } else { shown })
    }
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Disabled => "disabled",
            Self::Faulty => "faulty",
        }
    }
}

fn standings(tenants: &Tenants) -> BTreeMap<TenantName, Standing> {
    let standing = |tenant: &Result<crate::config::Tenant, _>| match tenant {
        Ok(tenant) if tenant.disabled => Standing::Disabled,
        Ok(_) => Standing::Open,
        Err(_) => Standing::Faulty,
    };
    tenants.by_name.iter().map(|(name, tenant)| (name.clone(), standing(tenant))).collect()
}

/// Files in a folder and its days, but for the reports beside them and their signatures; one that is not there is empty.
fn count(folder: &Path) -> io::Result<usize> {
    let listed = match std::fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(0),
        listed => listed?,
    };
    let mut files = 0;
    for entry in listed {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let report = name.strip_suffix(SIGNATURE.as_bytes()).unwrap_or(name).ends_with(REPORT.as_bytes());
        files += if entry.file_type()?.is_dir() { count(&entry.path())? } else { usize::from(!report) };
    }
    Ok(files)
}

/// Most names in a line.
const NAMES_MAX: usize = 50;
