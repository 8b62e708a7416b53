//! Tenants: one file each in `tenants.d`, which overrides the defaults of the main config.
//!
//! A fault in one file is that tenant's alone. The folder's fingerprint tells, cheaply, whether anything changed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::fault::{Fault, Faults};
use super::keys::{LoginKey, read_line};
use super::option::{Reading, expected, get};
use super::sections::TenantOptions;
use crate::domain::TenantName;
use crate::sftp::PasswordHash;

/// A tenant as its file says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tenant {
    /// Login, folder, and value of the tenant column.
    pub name: TenantName,
    /// The file.
    pub file: PathBuf,
    /// Keys that may log in; none where the tenant sends nothing.
    pub keys: Vec<LoginKey>,
    /// The hash of its password, where it has one.
    pub password: Option<PasswordHash>,
    /// Whether the login is closed and files stay where they are.
    pub disabled: bool,
    /// The options in effect.
    pub options: TenantOptions,
    /// Those that the tenant's own file sets.
    pub own: Vec<&'static str>,
}

/// Every tenant, and what is wrong in the folder.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tenants {
    /// By name: a tenant, or the faults that disable it.
    pub by_name: BTreeMap<TenantName, Result<Tenant, Faults>>,
    /// Files that are no tenant's, and a folder that cannot be read.
    pub strays: Faults,
}

impl Tenants {
    /// Reads every `NAME.toml` of a folder; a folder that is not there holds none. Dot-files and other endings are left alone.
    #[must_use]
    pub fn load(folder: &Path, defaults: &TenantOptions) -> Self {
        let mut tenants = Self::default();
        let paths = match list(folder) {
            Ok(paths) => paths,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let what = format!("cannot list the folder: {error}");
                tenants.strays = Faults::one(folder, None, "", what);
                return tenants;
            }
        };
        for path in paths {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            match TenantName::parse(&stem) {
                Ok(name) => {
                    let tenant = Tenant::load(&name, &path, defaults);
                    tenants.by_name.insert(name, tenant);
                }
                Err(error) => {
                    tenants.strays.push(Fault { file: path, line: None, key: String::new(), what: error.to_string() });
                }
            }
        }
        tenants
    }

    /// Tenants whose files are in order.
    pub fn sound(&self) -> impl Iterator<Item = &Tenant> {
        self.by_name.values().filter_map(|tenant| tenant.as_ref().ok())
    }

    /// Every fault, by tenant, then those of the folder.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        let of_tenants = self.by_name.values().filter_map(|tenant| tenant.as_ref().err());
        of_tenants.chain([&self.strays]).flat_map(Faults::as_slice)
    }
}

impl Tenant {
    /// Reads one tenant's file.
    ///
    /// # Errors
    /// All faults of the file.
    pub fn load(name: &TenantName, file: &Path, defaults: &TenantOptions) -> Result<Self, Faults> {
        let text = super::read_text(file)?;
        Self::parse(name, file, &text, defaults)
    }

    /// Reads a tenant from the text of its file.
    ///
    /// # Errors
    /// All faults of the text.
    pub fn parse(name: &TenantName, file: &Path, text: &str, defaults: &TenantOptions) -> Result<Self, Faults> {
        let (mut reading, table) = Reading::new(file, text);
        let mut options = defaults.clone();
        let own = reading.section("", &table, &mut options, &["keys", "password", "disabled"]);
        let mut keys: Vec<LoginKey> = Vec::new();
        match get(&table, "keys") {
            Some(value) => match value.get_ref().as_array() {
                Some(items) if items.len() > KEYS_MAX => {
                    reading.fault(value.span().start, "keys", format!("found {} keys, at most {KEYS_MAX} are allowed", items.len()));
                }
                Some(items) => {
                    for (n, item) in items.iter().enumerate() {
                        let path = format!("keys[{n}]");
                        let key =
                            item.get_ref().as_str().ok_or_else(|| expected(item.get_ref(), "a public key in quotes")).and_then(read_line);
                        match key {
                            Ok(key) if keys.contains(&key) => reading.fault(item.span().start, &path, "this key stands twice"),
                            Ok(key) => keys.push(key),
                            Err(what) => reading.fault(item.span().start, &path, what),
                        }
                    }
                }
                None => reading.fault(value.span().start, "keys", expected(value.get_ref(), "a list of public keys")),
            },
            None if reading.whole() => reading.fault_of("keys", "missing; write keys = [] for a tenant that sends nothing"),
            None => {}
        }
        let mut password = None;
        if let Some(value) = get(&table, "password") {
            // What stands there may be a password itself: it is not repeated.
            match value.get_ref().as_str().ok_or_else(|| "expected a text in quotes".to_owned()).and_then(PasswordHash::parse) {
                Ok(hash) => password = Some(hash),
                Err(what) => reading.fault(value.span().start, "password", what),
            }
        }
        let mut disabled = false;
        if let Some(value) = get(&table, "disabled") {
            match value.get_ref().as_bool() {
                Some(flag) => disabled = flag,
                None => reading.fault(value.span().start, "disabled", expected(value.get_ref(), "true or false")),
            }
        }
        reading.faults.or(Self { name: name.clone(), file: file.to_owned(), keys, password, disabled, options, own })
    }
}

/// What a folder of tenants looked like, to be compared with a later look. Changes when a file is added, removed, renamed or written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TenantsFingerprint(u64);

/// Looks at the tenants' files without opening them: cheap enough for every second.
///
/// # Errors
/// When the folder cannot be listed.
pub fn tenants_fingerprint(folder: &Path) -> io::Result<TenantsFingerprint> {
    let mut hasher = DefaultHasher::new();
    for path in list(folder)? {
        path.hash(&mut hasher);
        match std::fs::metadata(&path) {
            Ok(meta) => (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()).hash(&mut hasher),
            Err(error) => error.kind().hash(&mut hasher),
        }
    }
    Ok(TenantsFingerprint(hasher.finish()))
}

/// Paths of the folder's tenant files, sorted.
fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|end| end == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Most keys of one tenant.
pub const KEYS_MAX: usize = 100;
