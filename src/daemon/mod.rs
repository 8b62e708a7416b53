//! The wiring: config → build → recover → ready → drain.
//!
//! The one place that knows every part. Receiving and processing meet only on disk; the hint that a file was delivered
//! passes through here. Signals, the service manager and changed tenants' files are heard here and nowhere else.

mod by_hand;
mod error;
mod expiry;
mod guide;
mod hangup;
mod lock;
mod logins;
mod options;
mod plan;
mod reload;
mod served;
mod signing;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use russh::keys::{HashAlg, PrivateKey};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

pub use by_hand::ByHand;
pub use error::StartError;
pub use guide::guide;
pub use hangup::Hangup;
pub use lock::DataLock;
pub use options::{limits, rules};
pub use plan::{LEFT_OUT, create, engine, left_out, plan, read_plan};
pub use signing::{AllowedSigners, BadSignature, SignersError};

use self::logins::Logins;
use self::options::{pipeline_options, sftp_options, store_options, tenants};
use self::reload::Reload;
use self::served::Served;
use crate::config::{Config, SecretError, read_host_key, read_identity_key, read_seal_key, tenants_fingerprint};
use crate::pipeline::{self, Parts, Pipeline, Wake};
use crate::scrub::{Scrubber, Vault};
use crate::sftp::{self, Bound, Hint, Server};
use crate::shutdown;
use crate::spool::Spool;
use crate::store::{Store, ledger};
use crate::telemetry::chain;

/// How often the tenants' files are looked at.
const TENANTS_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether files wait in folders that nobody serves.
const UNSERVED_EVERY: Duration = Duration::from_secs(60);

/// How often expired partials are looked for.
const EXPIRY_EVERY: Duration = Duration::from_secs(3_600);

/// Time between two tries of a start that waits for the store's lock.
const START_AGAIN: Duration = Duration::from_millis(200);

/// Everything built and recovered; nothing runs yet.
pub struct Daemon {
    config: Config,
    spool: Spool,
    pipeline: Pipeline,
    server: Bound,
    logins: Logins,
    hints: mpsc::UnboundedReceiver<Hint>,
    fingerprints: String,
    _lock: DataLock,
}

impl Daemon {
    /// Takes the lock, opens the store, binds the addresses and brings folders and ledger into agreement.
    ///
    /// # Errors
    /// [`StartError`]: nothing was received or deleted.
    pub fn build(config: Config) -> Result<Self, StartError> {
        let lock = take_lock(&config)?;
        let options = sftp_options(&config);
        allow_descriptors(&options);
        let host_keys = read_host_keys(&config)?;
        let fingerprints = host_keys.iter().map(|key| key.fingerprint(HashAlg::Sha256).to_string()).collect::<Vec<_>>().join(" ");
        let spool = Spool::new(config.tenant_folders_dir());
        let store = patiently(|| open_store(&config), StartError::busy)?;
        let mut pipeline = pipeline(&config, store, spool.clone(), signer(&config)?)?;
        let logins = Logins::new(host_keys.iter().map(|key| key.public_key().clone()).collect());
        logins.replace(&config, &spool);
        let (hint, hints) = mpsc::unbounded_channel();
        let server = Server::bind(options, host_keys, logins.directory(), hint)?;
        // A plan that does not fit pauses purging: senders are served all the same.
        pipeline.tell_fit();
        patiently(|| pipeline.recover(), pipeline::Fault::passing)?;
        Ok(Self { config, spool, pipeline, server, logins, hints, fingerprints, _lock: lock })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.server.addresses()
    }

    /// Works until the signal, or until SIGTERM or SIGINT; then drains. `ready` is called after the first scan.
    ///
    /// # Errors
    /// When the system refuses threads, signals or listeners at the start.
    pub fn run(self, hangup: Hangup, stop: shutdown::Signal, ready: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let Hangup { runtime, signal: hangup } = hangup;
        runtime.block_on(self.run_async(hangup, stop, ready))
    }

    async fn run_async(self, hangup: Signal, stop: shutdown::Signal, ready: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let Self { config, spool, pipeline, server, logins, hints, fingerprints, _lock } = self;
        let signals = Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hangup };
        let wakes = pipeline.waker();
        let served = Served::at_start(&config);
        let plan_digest = pipeline.plan_digest().to_owned();
        let (scanned, first_scan) = oneshot::channel();
        let (alive, pipeline_ended) = oneshot::channel();
        let working = start_pipeline(pipeline, scanned, alive)?;
        // A pipeline that panics before its first scan drops the sender.
        if first_scan.await.is_err() {
            return Err(StartError::System(io::Error::other("the pipeline ended before its first scan")));
        }
        let addresses = server.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        info!(listen = addresses, data = %config.data_dir.display(), tenants = config.tenants.sound().count(), host_key = fingerprints, "daemon ready");
        notify(&[sd_notify::NotifyState::Ready]);
        ready();

        let (raise, lowered) = shutdown::channel();
        let receiving = tokio::spawn(server.run(lowered));
        let seen = tenants_fingerprint(&config.tenants_dir).ok();
        let mut reload = Reload { settling: seen, seen, config, spool, logins, served, plan_digest, wakes: wakes.clone() };
        let mut failed = until_stopped(&mut reload, signals, stop, hints, pipeline_ended).await == Stopped::PipelineGone;
        info!("daemon stopping");
        notify(&[sd_notify::NotifyState::Stopping]);
        raise.raise();
        let _ = wakes.send(Wake::Stop);
        match receiving.await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => error!(cause = chain(&cause), "receiving failed"),
            Err(cause) => error!(cause = chain(&cause), "receiving failed"),
        }
        // Files that were delivered while sessions drained stay in their inbox for the next start.
        failed |= tokio::task::spawn_blocking(move || working.join()).await.map_or(true, |ended| ended.is_err());
        info!("daemon stopped");
        if failed { Err(StartError::System(io::Error::other("a part of the daemon ended; the log says why"))) } else { Ok(()) }
    }
}

/// The signals of the system that the daemon heeds.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// Why the daemon's work is over.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Stopped {
    AsAsked,
    PipelineGone,
}

/// Passes hints to the pipeline and keeps the tenants up to date, until somebody asks for the end or the pipeline is gone.
async fn until_stopped(
    reload: &mut Reload,
    mut signals: Signals,
    mut stop: shutdown::Signal,
    mut hints: mpsc::UnboundedReceiver<Hint>,
    mut pipeline_ended: oneshot::Receiver<()>,
) -> Stopped {
    let mut look = tokio::time::interval(TENANTS_EVERY);
    let mut unserved = tokio::time::interval(UNSERVED_EVERY);
    let mut expiry = tokio::time::interval(EXPIRY_EVERY);
    loop {
        tokio::select! {
            Some((tenant, delivered)) = hints.recv() => {
                // The pipeline is gone only at the end; the scan finds the file at the next start.
                let _ = reload.wakes.send(Wake::Delivered(tenant, delivered));
            }
            _ = look.tick() => reload.if_changed(),
            _ = unserved.tick() => reload.look_for_unserved(),
            _ = expiry.tick() => reload.expire_partials(),
            _ = signals.hangup.recv() => reload.now(),
            _ = signals.terminate.recv() => return Stopped::AsAsked,
            _ = signals.interrupt.recv() => return Stopped::AsAsked,
            () = stop.raised() => return Stopped::AsAsked,
            _ = &mut pipeline_ended => {
                error!("pipeline gone: the daemon ends so that it is started anew");
                return Stopped::PipelineGone;
            }
        }
    }
}

/// The keys by which senders know this host.
///
/// # Errors
/// [`SecretError`]: the first that cannot be used.
pub fn read_host_keys(config: &Config) -> Result<Vec<PrivateKey>, SecretError> {
    config.host_key_files().iter().map(|file| read_host_key(file)).collect()
}

/// What signs reports: the first of the host keys.
fn signer(config: &Config) -> Result<pipeline::Sign, StartError> {
    let file = config.host_key_files().swap_remove(0);
    let key = read_host_key(&file).map_err(StartError::Signer)?;
    signing::signer(key).map_err(|cause| StartError::HostKey(file, cause))
}

/// Where commands put the lists that they ask the daemon to purge.
#[must_use]
pub fn requests_dir(config: &Config) -> PathBuf {
    config.data_dir.join("requests")
}

fn take_lock(config: &Config) -> Result<DataLock, StartError> {
    let fault = |source| StartError::File { path: config.data_dir.join("lock"), source };
    DataLock::take(&config.data_dir).map_err(fault)?.ok_or_else(|| StartError::Locked(config.data_dir.clone()))
}

/// The store; or, where its ledger was kept with another key than the config's, why not.
fn open_store(config: &Config) -> Result<Store, StartError> {
    let mark = read_identity_key(&config.identity_key_file())?.mark();
    let mut store = Store::open(&config.store_file(), create(config), store_options(config))?;
    store.write("mark the ledger", |tx| ledger::mark(tx, mark))?;
    Ok(store)
}

/// Tries until it is not for want of the store's lock: an application may hold that for long, and a daemon that gives up is started
/// again, over and over.
fn patiently<T, E>(mut attempt: impl FnMut() -> Result<T, E>, passes: impl Fn(&E) -> bool) -> Result<T, E> {
    let mut told = false;
    loop {
        match attempt() {
            Err(error) if passes(&error) => {
                if !std::mem::replace(&mut told, true) {
                    warn!("start waits: another program holds the store's lock");
                }
                // SQLite does not wait itself wherever that could not help.
                std::thread::sleep(START_AGAIN);
            }
            done => return done,
        }
    }
}

fn pipeline(config: &Config, store: Store, spool: Spool, sign: pipeline::Sign) -> Result<Pipeline, StartError> {
    store.leave_keys_to_a_plan()?;
    let engine = engine(config)?;
    let scrubber = Scrubber::new(&store, vault(config)?, engine.living())?;
    let tenants = tenants(config);
    let parts = Parts {
        store,
        engine,
        scrubber,
        key: read_identity_key(&config.identity_key_file())?,
        sign,
        spool,
        requests_dir: requests_dir(config),
        tenants,
    };
    Ok(Pipeline::new(pipeline_options(config), parts))
}

/// Where identifiers are sealed until a scrub has searched for them. The key is made where `init` has not made it.
fn vault(config: &Config) -> Result<Vault, StartError> {
    let file = config.seal_key_file();
    let fault = |source| StartError::File { path: file.clone(), source };
    if file.metadata().map_or(true, |found| found.len() == 0) {
        make_key(&file).map_err(fault)?;
    }
    let folder = config.sealed_dir();
    Vault::open(&folder, read_seal_key(&file)?).map_err(|source| StartError::File { path: folder.clone(), source })
}

/// A key of 32 random bytes. Durable on return; a power cut before may leave an empty file.
fn make_key(file: &Path) -> io::Result<()> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file)?;
    made.write_all(format!("{}\n", hex::encode(bytes)).as_bytes())?;
    made.sync_all()?;
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The pipeline on a thread of its own. `alive` is dropped when it ends, however it ends.
fn start_pipeline(pipeline: Pipeline, scanned: oneshot::Sender<()>, alive: oneshot::Sender<()>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("pipeline".to_owned()).spawn(move || {
        let _alive = alive;
        pipeline.run(|| {
            // The wiring may have given up by now.
            let _ = scanned.send(());
        });
    })
}

/// Descriptors of a connection: its socket, three of its event loop, one by which the loop would hear of signals, and its tenant's
/// folders, which the tenant's sessions share.
const CONNECTION_DESCRIPTORS: usize = 5 + 7;

/// Each connection needs some descriptors and each open file one: the soft limit, often 1024, is raised to the hard one.
fn allow_descriptors(options: &sftp::Options) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = (options.sessions_max + options.logins_pending_max) * CONNECTION_DESCRIPTORS;
    if let Some(maximum) = limit.maximum.filter(|&maximum| maximum < wanted as u64) {
        warn!(maximum, wanted, "descriptors are too few for sessions_max; connections will wait for one");
    }
    if let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        // What runs out is waited for; see the accept loop.
        debug!(cause = chain(&cause), "limit of descriptors not raised");
    }
}

/// Tells the service manager, where there is one.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(cause) = sd_notify::notify(states) {
        debug!(cause = chain(&cause), "service manager not told");
    }
}

/// Tenants that are disabled by a fault in their file, or left out by the plan, loudly.
pub fn tell_faults(config: &Config) {
    for fault in config.tenants.faults() {
        error!(%fault, "tenant disabled");
    }
    plan::tell_left_out(config);
}
