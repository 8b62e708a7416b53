//! The store as commands open it: at one place, with words for what can go wrong.

use super::{Failure, files, owner, serve};
use crate::config::{Config, SecretError, read_identity_key};
use crate::daemon;
use crate::domain::IdentityKey;
use crate::purge::Engine;
use crate::store::{Create, Options, Store, StoreError, ledger};

/// How long a command waits for another writer of the store, in milliseconds.
pub(super) const BUSY_MS: u64 = 60_000;

/// The memory for pages is that of a command that writes much: more of it spares a large load most of its reads.
const WRITING: Options = Options { cache_bytes: 256 << 20, busy_ms: BUSY_MS };

/// Makes an empty store where there is none. Durable on return.
pub(super) fn create(config: &Config) -> Result<(), Failure> {
    drop(Store::open(&config.store_file(), Create::Builtin, WRITING).map_err(|error| failure(&error))?);
    let folder = config.store_file();
    let folder = folder.parent().unwrap_or(&config.data_dir);
    files::sync_folder(folder).map_err(|error| Failure::failed(format!("cannot sync \"{}\"", folder.display())).because(&error))
}

/// Opens the store for writing. One whose ledger was kept with another key than the config's is refused.
pub(super) fn open(config: &Config) -> Result<Store, Failure> {
    let mark = identity_key(config)?.mark();
    let mut store = Store::open(&config.store_file(), daemon::create(config), WRITING).map_err(|error| failure(&error))?;
    store.write("mark the ledger", |tx| ledger::mark(tx, mark)).map_err(|error| failure(&error))?;
    Ok(store)
}

/// Opens the store for reading.
pub(super) fn open_read_only(config: &Config) -> Result<Store, Failure> {
    let options = Options { cache_bytes: config.store.cache_mib << 20, busy_ms: BUSY_MS };
    Store::open_read_only(&config.store_file(), options).map_err(|error| failure(&error))
}

/// Refuses a store whose ledger was kept with another key than the config's. For what is told by hashes of people.
pub(super) fn same_key(config: &Config, store: &Store) -> Result<(), Failure> {
    let mark = identity_key(config)?.mark();
    ledger::is_marked(store.connection(), mark).map(drop).map_err(|error| failure(&error))
}

/// The engine over the configured plan.
pub(super) fn engine(config: &Config) -> Result<Engine, Failure> {
    daemon::engine(config).map_err(serve::failure)
}

/// The key of the hashes that stand for people.
pub(super) fn identity_key(config: &Config) -> Result<IdentityKey, Failure> {
    read_identity_key(&config.identity_key_file()).map_err(|error: SecretError| because(&error))
}

/// What the store said.
pub(super) fn failure(error: &StoreError) -> Failure {
    if error.busy() {
        return Failure::failed("another program holds the store's lock: a command, the daemon or an application")
            .hint("nothing was changed; run the command again when it is done");
    }
    match error {
        StoreError::Unwritable { path, .. } => owner::hint_whose(because(error), path),
        StoreError::Missing(_) => because(error).hint(MISSING),
        StoreError::OtherKey => because(error).hint(OTHER_KEY),
        _ => because(error),
    }
}

/// What to do about a store that is not there.
pub(super) const MISSING: &str = "bring it back from a backup, mount its disk, or correct data_dir or store.database in the config; only init makes an empty store, in a folder of its own";

/// What to do about a key that is not the ledger's.
pub(super) const OTHER_KEY: &str = "nothing was changed; bring back \"identity.key\", which stands in data/keys beside the folders of the tenants, from the backup of the same time; where it is lost for good, stop the daemon, have the ledger forget it with: DELETE FROM expunged_meta WHERE name = 'identity_key', and add each exemption anew (expunged exemptions list names them); do-not-track entries made before are of no use any more";

/// An error and its causes.
pub(super) fn because(error: &(dyn std::error::Error + 'static)) -> Failure {
    let failure = Failure::failed(error.to_string());
    match error.source() {
        Some(cause) => failure.because(cause),
        None => failure,
    }
}
