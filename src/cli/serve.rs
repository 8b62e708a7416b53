//! `serve`: the daemon, until it is told to stop.

use std::error::Error;

use clap::Args;
use russh::keys::HashAlg;

use super::{Exit, Failure, Scene, owner, store};
use crate::config::{Config, read_host_key, read_identity_key};
use crate::daemon::{self, Daemon, Hangup, StartError};
use crate::store::StoreError;
use crate::{sftp, shutdown, telemetry};

/// Arguments of `serve`.
#[derive(Args, Debug)]
#[command(
    about = "Run the daemon",
    after_help = "Receives, imports and reports until SIGTERM or Ctrl-C, then lets what runs come to a stop. SIGHUP reads the config again.\n\
                  Log lines go to standard error.\n\n\
                  Exit codes: 0 stopped as asked; 1 failed; 2 usage or configuration"
)]
pub struct ServeArgs {
    /// Say what would be offered and every fault of the configuration, and end
    #[arg(long)]
    pub check_config: bool,
}

pub(super) fn run(scene: &Scene, args: &ServeArgs) -> Result<Exit, Failure> {
    if args.check_config {
        return check_config(scene, &scene.load_config()?);
    }
    let hangup = Hangup::heard().map_err(|error| failure(error.into()))?;
    let config = scene.load_config()?;
    scene.guard_owner(&config)?;
    let (format, level) = (config.log.format, config.log.level);
    telemetry::init(format, level).map_err(|error| Failure::failed("cannot start the log").because(&error))?;
    daemon::tell_faults(&config);
    let daemon = Daemon::build(config).map_err(failure)?;
    // Nobody raises it: the daemon ends by SIGTERM or SIGINT.
    let (_raise, stop) = shutdown::channel();
    daemon.run(hangup, stop, || {}).map_err(failure)?;
    Ok(Exit::Done)
}

/// Says what would be offered, then every fault. Nothing is opened but config, plan and keys.
fn check_config(scene: &Scene, config: &Config) -> Result<Exit, Failure> {
    let (terminal, mut faults) = (&scene.terminal, Vec::new());
    let listen = config.sftp.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    terminal.say(format!("config        {}\nlisten        {listen}", config.file.display()))?;
    for file in config.host_key_files() {
        match read_host_key(&file) {
            Ok(key) => terminal.say(format!("host key      {} {}", key.algorithm().as_str(), key.fingerprint(HashAlg::Sha256)))?,
            Err(error) => faults.push(with_cause(&error)),
        }
    }
    for (kind, names) in sftp::offered(config.sftp.legacy_clients) {
        terminal.say(format!("{kind:<13} {names}"))?;
    }
    let password = if config.sftp.password_login { " password" } else { "" };
    terminal.say(format!("logins        publickey{password}"))?;
    let with_password: Vec<&str> =
        config.tenants.sound().filter(|tenant| tenant.password.is_some()).map(|tenant| tenant.name.as_str()).collect();
    if !with_password.is_empty() {
        let off = if config.sftp.password_login { "" } else { " (not taken: sftp.password_login is false)" };
        terminal.say(format!("passwords     {}{off}", with_password.join(" ")))?;
    }
    if let Err(error) = read_identity_key(&config.identity_key_file()) {
        faults.push(with_cause(&error));
    }
    match daemon::plan(config) {
        Ok(plan) => {
            for tenant in daemon::left_out(config, &plan) {
                terminal.warn(format!("tenant \"{tenant}\" is not served by the erasure plan: {}", daemon::LEFT_OUT));
            }
        }
        Err(error) => faults.extend(failure(error).messages().iter().cloned()),
    }
    let sound: Vec<&str> = config.tenants.sound().map(|tenant| tenant.name.as_str()).collect();
    terminal.say(format!("tenants       {}", if sound.is_empty() { "none".to_owned() } else { sound.join(" ") }))?;
    for tenant in config.tenants.sound() {
        for key in &tenant.keys {
            if let Some(why) = key.allowed().options.closed(jiff::Timestamp::now()) {
                terminal.warn(format!("tenant \"{}\": key {} opens no login: {why}", tenant.name, key.fingerprint()));
            }
        }
    }
    faults.extend(config.tenants.faults().map(ToString::to_string));
    let Some(last) = faults.pop() else {
        terminal.say("no fault found")?;
        return Ok(Exit::Done);
    };
    for fault in faults {
        terminal.fail(&Failure::usage(fault));
    }
    Err(Failure::usage(last))
}

fn with_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Why the daemon, or a command in its place, could not start.
pub(super) fn failure(error: StartError) -> Failure {
    let mut failure = Failure::failed(error.to_string());
    if let Some(cause) = error.source() {
        failure = failure.because(cause);
    }
    match error {
        StartError::Store(StoreError::Unwritable { path, .. }) => owner::hint_whose(failure, &path),
        StartError::Store(StoreError::Missing(_)) => failure.hint(store::MISSING),
        StartError::Store(StoreError::OtherKey) => failure.hint(store::OTHER_KEY),
        StartError::Locked(_) => {
            failure.hint("a daemon, which commands reach while it runs, or a command in its place: stop it, or wait until it is done")
        }
        StartError::File { .. } => failure.hint("make a data folder with: expunged init DIR"),
        StartError::PlanFile { .. } => {
            failure.hint("the config names it with store.plan, commands with --plan; write one with: expunged plan derive")
        }
        StartError::Signer(_) | StartError::HostKey(..) => {
            failure.hint("nothing was deleted; mend the first of the host keys: reports and scrub receipts are signed with it")
        }
        StartError::PlanText { ref faults, .. } => {
            Failure::each(Exit::Usage, faults.0.iter().map(|fault| format!("{error}: line {}: {}", fault.line, fault.what)))
        }
        StartError::Plan(_) => failure.hint("see all that is in the way with: expunged plan check"),
        StartError::Bind(_) => failure.hint("choose another address with sftp.listen in the config"),
        _ => failure,
    }
}
