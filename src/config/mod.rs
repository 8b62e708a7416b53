//! Config files become plain values: the main file, and one file for each tenant.
//!
//! All faults are told in one run, each with file, line and key. Nothing but config files, and keys when asked, is opened here, and
//! nothing is made. A faulty tenant file disables that tenant; only the main file's faults are an error. This module does not know
//! what the parts do with their options.

mod fault;
mod keys;
mod option;
mod secrets;
mod sections;
mod tenants;

use std::io::Read;
use std::path::{Path, PathBuf};

pub use fault::{Fault, Faults};
pub use keys::{KeyError, LoginKey, RSA_BITS_MIN, read_keys};
pub use option::{Options, Slot, Visit, read_listen};
pub use secrets::{SecretError, read_host_key, read_identity_key, read_seal_key};
pub use sections::{
    BadRows, LimitsSection, LogSection, PipelineSection, RetentionSection, ScrubSection, SftpSection, StoreSection, TenantOptions,
};
pub use tenants::{KEYS_MAX, Tenant, Tenants, TenantsFingerprint, tenants_fingerprint};

use option::Reading;

/// The sample, every option at its default: what `init` writes.
pub const SAMPLE: &str = include_str!("../../config/expunged.toml");

/// The main config and its tenants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The file that it came from.
    pub file: PathBuf,
    /// Where the store, the keys and the tenants' folders are.
    pub data_dir: PathBuf,
    /// Where the tenants' files are.
    pub tenants_dir: PathBuf,
    /// Receiving.
    pub sftp: SftpSection,
    /// Picking up and importing.
    pub pipeline: PipelineSection,
    /// The database.
    pub store: StoreSection,
    /// When the store is searched for traces.
    pub scrub: ScrubSection,
    /// How long files are kept.
    pub retention: RetentionSection,
    /// What a list may be.
    pub limits: LimitsSection,
    /// The log.
    pub log: LogSection,
    /// What a tenant's file overrides.
    pub tenant_defaults: TenantOptions,
    /// The tenants.
    pub tenants: Tenants,
}

impl Config {
    /// Reads the main file and the tenants' files. Relative paths are relative to the file, through a link to the file it names.
    ///
    /// # Errors
    /// All faults of the main file.
    pub fn load(file: &Path) -> Result<Self, Faults> {
        let text = read_text(file)?;
        let home = file.canonicalize().ok().and_then(|real| real.parent().map(Path::to_owned)).unwrap_or_default();
        let mut config = Self::parse(file, &home, &text)?;
        config.tenants = Tenants::load(&config.tenants_dir, &config.tenant_defaults);
        Ok(config)
    }

    /// Every option at its default, with paths relative to `home`.
    #[must_use]
    pub fn defaults(file: &Path, home: &Path) -> Self {
        Self {
            file: file.to_owned(),
            data_dir: home.join("data"),
            tenants_dir: home.join("tenants.d"),
            sftp: SftpSection::default(),
            pipeline: PipelineSection::default(),
            store: StoreSection::default(),
            scrub: ScrubSection::default(),
            retention: RetentionSection::default(),
            limits: LimitsSection::default(),
            log: LogSection::default(),
            tenant_defaults: TenantOptions::default(),
            tenants: Tenants::default(),
        }
    }

    /// Reads the main file's text. Tenants are not looked at.
    ///
    /// # Errors
    /// All faults of the text.
    pub fn parse(file: &Path, home: &Path, text: &str) -> Result<Self, Faults> {
        let mut config = Self::defaults(file, home);
        let (mut reading, table) = Reading::new(file, text);
        let mut paths = Paths { data_dir: config.data_dir, tenants_dir: config.tenants_dir };
        reading.section("", &table, &mut paths, &SECTIONS);
        config.data_dir = home.join(paths.data_dir);
        config.tenants_dir = home.join(paths.tenants_dir);
        for (name, options) in config.sections() {
            if let Some(section) = reading.table(&table, name) {
                reading.section(name, section, options, &[]);
            }
        }
        for path in [&mut config.store.database, &mut config.store.plan].into_iter().flatten() {
            *path = home.join(&path);
        }
        config.sftp.host_keys.iter_mut().for_each(|file| *file = home.join(&*file));
        let keys = &config.sftp.host_keys;
        if let Some(twice) = keys.iter().enumerate().find_map(|(at, key)| keys[..at].contains(key).then_some(key)) {
            reading.fault_of("sftp.host_keys", format!("found {:?} twice, expected each key once", twice.display().to_string()));
        }
        if let Err(what) = read_public_host(&config.sftp.public_host) {
            reading.fault_of("sftp.public_host", what);
        }
        config.agree(&mut reading);
        reading.faults.or(config)
    }

    /// Whether the other differs in nothing but its tenants and their defaults, which a reload takes up.
    #[must_use]
    pub fn same_but_for_tenants(&self, other: &Self) -> bool {
        let other = Self { tenants: self.tenants.clone(), tenant_defaults: self.tenant_defaults.clone(), ..other.clone() };
        *self == other
    }

    /// The store's file: the embedded one, or the user's own database.
    #[must_use]
    pub fn store_file(&self) -> PathBuf {
        self.store.database.clone().unwrap_or_else(|| self.data_dir.join("store.db"))
    }

    /// The folder of the keys.
    #[must_use]
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// The key by which senders know this host.
    #[must_use]
    pub fn host_key_file(&self) -> PathBuf {
        self.keys_dir().join("ssh_host_ed25519_key")
    }

    /// The keys by which senders know this host: those that are listed, else the one that `init` made.
    #[must_use]
    pub fn host_key_files(&self) -> Vec<PathBuf> {
        if self.sftp.host_keys.is_empty() { vec![self.host_key_file()] } else { self.sftp.host_keys.clone() }
    }

    /// The name and port by which senders reach this host; no name where none is configured.
    #[must_use]
    pub fn public_address(&self) -> (Option<String>, u16) {
        let listens = self.sftp.listen.first().map_or(22, std::net::SocketAddr::port);
        let (host, port) = read_public_host(&self.sftp.public_host).unwrap_or_default();
        ((!host.is_empty()).then_some(host), port.unwrap_or(listens))
    }

    /// The key of the hashes that stand for people in the ledger.
    #[must_use]
    pub fn identity_key_file(&self) -> PathBuf {
        self.keys_dir().join("identity.key")
    }

    /// The key by which identifiers are sealed until they were searched for.
    #[must_use]
    pub fn seal_key_file(&self) -> PathBuf {
        self.keys_dir().join("scrub.key")
    }

    /// The folder of sealed identifiers.
    #[must_use]
    pub fn sealed_dir(&self) -> PathBuf {
        self.data_dir.join("scrub")
    }

    /// The folder of the tenants' folders.
    #[must_use]
    pub fn tenant_folders_dir(&self) -> PathBuf {
        self.data_dir.join("tenants")
    }

    /// Each section by name, in the order of the sample.
    fn sections(&mut self) -> [(&'static str, &mut dyn Options); 8] {
        let [sftp, pipeline, store, scrub, retention, limits, log, tenant_defaults] = SECTIONS;
        [
            (sftp, &mut self.sftp),
            (pipeline, &mut self.pipeline),
            (store, &mut self.store),
            (scrub, &mut self.scrub),
            (retention, &mut self.retention),
            (limits, &mut self.limits),
            (log, &mut self.log),
            (tenant_defaults, &mut self.tenant_defaults),
        ]
    }

    /// Options that must fit each other: one that is set and does not is a fault, a default gives way.
    fn agree(&mut self, reading: &mut Reading<'_>) {
        match (&self.store.database, &self.store.plan) {
            (Some(_), None) => reading.fault_of("store.database", "needs store.plan; write one with: expunged plan derive".to_owned()),
            (None, Some(_)) => reading.fault_of("store.plan", "needs store.database, the database that it is for".to_owned()),
            _ => {}
        }
        let mut at_most = |key: &str, value: &mut u64, bound: &str, most: u64| {
            if *value > most && reading.sets(key) {
                reading.fault_of(key, format!("found {value}, which is more than {bound} ({most})"));
            }
            *value = most.min(*value);
        };
        let (sftp, limits) = (&mut self.sftp, &mut self.limits);
        at_most("sftp.sessions_per_tenant_max", &mut sftp.sessions_per_tenant_max, "sftp.sessions_max", sftp.sessions_max);
        at_most("sftp.sessions_per_source_max", &mut sftp.sessions_per_source_max, "sftp.sessions_max", sftp.sessions_max);
        at_most("limits.rows_recommended", &mut limits.rows_recommended, "limits.rows_per_file_max", limits.rows_per_file_max);
    }
}

/// A name or an address, and a port where one is given. An address of IPv6 with a port stands in brackets.
fn read_public_host(text: &str) -> Result<(String, Option<u16>), String> {
    let wrong = || format!("found {text:?}, expected a name or an address, with a port where it is another one: \"sftp.example.com:22\"");
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Ok((text.to_owned(), None));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?)),
        None => (text, None),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let plain = bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-_".contains(&byte));
    if plain { Ok((bare.to_owned(), port)) } else { Err(wrong()) }
}

/// The paths at the top of the file.
struct Paths {
    data_dir: PathBuf,
    tenants_dir: PathBuf,
}

impl Options for Paths {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("data_dir", Slot::Path(&mut self.data_dir));
        visit("tenants_dir", Slot::Path(&mut self.tenants_dir));
    }
}

/// The text of a config file.
fn read_text(file: &Path) -> Result<String, Faults> {
    let fault = |what: String| Faults::one(file, None, "", what);
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| fault(format!("cannot open: {error}")))?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| fault(format!("cannot read: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(fault(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Faults::one(file, Some(line), "", "not text in UTF-8")
    })
}

/// Sections of the main file, in the order of the sample.
const SECTIONS: [&str; 8] = ["sftp", "pipeline", "store", "scrub", "retention", "limits", "log", "tenant_defaults"];

/// Largest config file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests;
