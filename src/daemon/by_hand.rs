//! What a command works with in the daemon's place.

use super::lock::DataLock;
use super::{StartError, open_store, pipeline, signer, take_lock};
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::spool::Spool;

/// The pipeline of a command that works in the daemon's place. It holds the lock.
pub struct ByHand {
    /// Recovered, at rest.
    pub pipeline: Pipeline,
    _lock: DataLock,
}

impl ByHand {
    /// Looks whether reports can be signed, where no daemon runs that would sign them. For before a command asks for something: what
    /// it has asked for is done by a daemon that starts meanwhile.
    ///
    /// # Errors
    /// [`StartError::Signer`] and [`StartError::HostKey`].
    pub fn can_sign(config: &Config) -> Result<(), StartError> {
        match take_lock(config) {
            Err(StartError::Locked(_)) => Ok(()),
            lock => lock.and_then(|_lock| signer(config).map(drop)),
        }
    }

    /// Whether nobody works on the data folder: no daemon, and no command in its place.
    ///
    /// # Errors
    /// [`StartError::File`]: the lock.
    pub fn is_free(config: &Config) -> Result<bool, StartError> {
        match take_lock(config) {
            Err(StartError::Locked(_)) => Ok(false),
            lock => lock.map(|_lock| true),
        }
    }

    /// Takes the lock and recovers. `None`: a daemon runs, ask it.
    ///
    /// # Errors
    /// [`StartError`], as [`Daemon::build`](super::Daemon::build).
    pub fn build(config: &Config) -> Result<Option<Self>, StartError> {
        let lock = match take_lock(config) {
            Err(StartError::Locked(_)) => return Ok(None),
            lock => lock?,
        };
        let mut pipeline = pipeline(config, open_store(config)?, Spool::new(config.tenant_folders_dir()), signer(config)?)?;
        pipeline.fit()?;
        pipeline.recover()?;
        Ok(Some(Self { pipeline, _lock: lock }))
    }
}
