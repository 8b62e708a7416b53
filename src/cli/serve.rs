//! `serve`: the daemon, until it is told to stop.

use std::error::Error;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Exit, Failure, Scene};
use crate::daemon::{self, Daemon, StartError};
use crate::{shutdown, telemetry};

pub(super) fn run(scene: &Scene) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    scene.guard_owner(&config)?;
    let (format, level) = (config.log.format, config.log.level);
    telemetry::init(format, level).map_err(|error| Failure::failed("cannot start the log").because(&error))?;
    raise_descriptors();
    daemon::tell_faults(&config);
    let daemon = Daemon::build(config).map_err(failure)?;
    // Nobody raises it: the daemon ends by SIGTERM or SIGINT.
    let (_raise, stop) = shutdown::channel();
    daemon.run(stop, || {}).map_err(failure)?;
    Ok(Exit::Done)
}

/// Takes all descriptors that the system allows: each session needs several, and the usual limit is for interactive programs.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%cause, "limit of open files not raised");
    }
}

/// Why the daemon, or a command in its place, could not start.
pub(super) fn failure(error: StartError) -> Failure {
    let mut failure = Failure::failed(error.to_string());
    if let Some(cause) = error.source() {
        failure = failure.because(cause);
    }
    match error {
        StartError::Locked(_) => failure.hint("stop it first; commands reach it while it runs"),
        StartError::File { .. } => failure.hint("make a data folder with: expunged init DIR"),
        StartError::Bind(_) => failure.hint("choose another address with sftp.listen in the config"),
        _ => failure,
    }
}
