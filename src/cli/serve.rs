//! `serve`: the daemon, until it is told to stop.

use std::error::Error;

use super::{Exit, Failure, Scene};
use crate::daemon::{self, Daemon, StartError};
use crate::{shutdown, telemetry};

pub(super) fn run(scene: &Scene) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    scene.guard_owner(&config)?;
    let (format, level) = (config.log.format, config.log.level);
    telemetry::init(format, level).map_err(|error| Failure::failed("cannot start the log").because(&error))?;
    daemon::tell_faults(&config);
    let daemon = Daemon::build(config).map_err(failure)?;
    // Nobody raises it: the daemon ends by SIGTERM or SIGINT.
    let (_raise, stop) = shutdown::channel();
    daemon.run(stop, || {}).map_err(failure)?;
    Ok(Exit::Done)
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
        StartError::PlanText { .. } => failure.usage_fault(),
        StartError::Plan(_) => failure.hint("see all that is in the way with: expunged plan check"),
        StartError::Bind(_) => failure.hint("choose another address with sftp.listen in the config"),
        _ => failure,
    }
}
