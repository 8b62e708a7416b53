//! From a complete file in a drop folder to an archived file beside its report.
//!
//! One thread owns the purging side: it is woken by hints, scans (the scan is the truth), claims what has settled, and gives
//! each tenant's first import a slice of work in turn. Everything that can set it to work is one [`Wake`]; a thousand wakes
//! make one scan. This module knows the time and waits; what to delete it leaves to `purge`, how to move files to `spool`.
//! It has never heard of SFTP: a hint that a file was delivered whole reaches it through the wiring.
//!
//! ```text
//! watch, rush         hints that files came, and came closely    settle, vouch, take   when a file is claimed, by which checksum
//! turns, pace, work   whose slice is next, and how long it is    import                one import, from its first look to the archive
//! reading, unpack     how its file is read                       reported              its report
//! hold, decide        what waits for a person, and their word    requests, rehearse    what commands ask for; a rehearsal by hand
//! waiting             what a name's status says                  scrubbing, expire     between imports
//! recover             folders and ledger at the start            fault, fit, warned    what goes wrong, and how often it is told
//! ```

mod decide;
mod expire;
mod fault;
mod fit;
mod hold;
mod import;
mod pace;
mod reading;
mod recover;
mod rehearse;
mod reported;
mod requests;
mod rush;
mod scrubbing;
mod settle;
mod take;
mod turns;
mod unpack;
mod vouch;
mod waiting;
mod warned;
mod watch;
mod work;

#[cfg(test)]
mod testing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{error, info, warn};

pub use decide::{DecideRequest, Verdict, WHY_BYTES_MAX, may_be_kept};
pub use fault::Fault;
pub use import::{OTHERS_TURN, REPORT};
pub use reading::{ReadingOf, Rules, kind_by_hand, reading_of};
pub use recover::Recovered;
pub use rehearse::Rehearsal;
pub use requests::{PurgeRequest, carried_out, import_of, scrub_request};
pub use scrubbing::{RECEIPT, ScrubOptions};

use crate::domain::{FileName, IdentityKey, ImportId, TenantName};
use crate::purge::Engine;
use crate::scrub::Scrubber;
use crate::spool::{Delivered, DropFolder, Spool};
use crate::store::Store;

use self::fit::Fitting;
use self::import::{Running, Step};
use self::rush::Rush;
use self::scrubbing::Scrubbing;
use self::settle::{Settling, Stamp};
use self::turns::Turns;
use self::warned::Warned;
use self::watch::Watch;

/// How the pipeline paces itself.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a file that we did not receive ourselves must not have changed.
    pub settle: Duration,
    /// How often every drop folder is scanned although nothing was heard.
    pub scan_interval: Duration,
    /// How long a file waits for its checksum where one is required, and a checksum for its file.
    pub checksum_wait: Duration,
    /// How long a chunk may hold the store's write lock when others wait.
    pub chunk_shared: Duration,
    /// The same when nobody waits.
    pub chunk_alone: Duration,
    /// The longest rest after faults in a row.
    pub rest_max: Duration,
    /// Faults of ours after which an import waits for a person.
    pub attempts_max: u32,
    /// After how long an import that waits for a person is told of again.
    pub hold_warn: Duration,
    /// After how long a held import ends as rejected.
    pub hold_for: Duration,
    /// Most rows of a table that a key without an index leads to.
    pub unindexed_rows_max: u64,
    /// How long the store is left alone between two chunks, so that an application's writers get their turn.
    pub chunk_rest: Duration,
    /// When scrubs begin.
    pub scrub: ScrubOptions,
    /// Days that originals and results are kept.
    pub originals_days: u32,
    /// Days that reports are kept.
    pub reports_days: u32,
}

/// Something that may mean work.
#[derive(Clone, Debug)]
pub enum Wake {
    /// Our own receiving side delivered this file whole.
    Delivered(TenantName, Delivered),
    /// Something changed in this tenant's drop folders.
    Changed(TenantName),
    /// A drop folder of this tenant was removed or moved away: another may stand there by now, and nobody watches it.
    Unwatched(TenantName),
    /// Events were lost: look everywhere.
    Rescan,
    /// These are the tenants from now on.
    Tenants(BTreeMap<TenantName, Rules>),
    /// The erasure plan from now on.
    Plan(Arc<Engine>),
    /// End at the next boundary.
    Stop,
}

/// Makes what stands in `NAME.report.json.sig` of the report's bytes. The same bytes give the same signature.
pub type Sign = Box<dyn Fn(&[u8]) -> io::Result<Vec<u8>> + Send>;

/// What the pipeline works with. It owns the store's writing connection.
pub struct Parts {
    /// The open store.
    pub store: Store,
    /// The rule of the product.
    pub engine: Engine,
    /// What makes sure that nothing of them is left.
    pub scrubber: Scrubber,
    /// For results that must not show a value.
    pub key: IdentityKey,
    /// What vouches for reports and scrub receipts.
    pub sign: Sign,
    /// Everyone's folders.
    pub spool: Spool,
    /// Where commands put the files that their requests name.
    pub requests_dir: PathBuf,
    /// Whose inboxes there are.
    pub tenants: BTreeMap<TenantName, Rules>,
}

/// The purging side of the daemon.
pub struct Pipeline {
    options: Options,
    store: Store,
    engine: Arc<Engine>,
    key: IdentityKey,
    sign: Sign,
    spool: Spool,
    requests_dir: PathBuf,
    tenants: BTreeMap<TenantName, Rules>,
    settling: Settling,
    turns: Turns,
    rush: Rush,
    running: HashMap<ImportId, Running>,
    /// The highest number that was given: a ledger that does not know it was put back from an earlier copy.
    numbered: ImportId,
    scrubbing: Scrubbing,
    /// To be scanned before the next slice.
    changed: BTreeSet<TenantName>,
    /// Whose folders are to be watched anew.
    unwatched: BTreeSet<TenantName>,
    /// Names under which a file was listed or delivered, or a status said so at the start, and none was claimed since.
    waiting: BTreeMap<TenantName, BTreeSet<FileName>>,
    /// When a settling or waiting file may be ripe.
    ripe_at: BTreeMap<TenantName, Instant>,
    /// What cannot be taken and was warned about once.
    warned: Warned,
    /// Folders that cannot be watched, likewise.
    unwatchable: BTreeSet<(TenantName, DropFolder)>,
    /// Tenants of whom the ledger may have an import that no queue has: looked at before their next scan.
    astray: BTreeSet<TenantName>,
    fitting: Fitting,
    scan_at: Instant,
    requests_at: Instant,
    expire_at: Instant,
    watch: Option<Watch>,
    wakes: Receiver<Wake>,
    waker: Sender<Wake>,
}

/// How often commands' requests are looked for. DESIGN section 3: a request is taken up within a second.
const REQUESTS_EVERY: Duration = Duration::from_millis(500);

/// How often it is looked for what has been kept long enough.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);

impl Pipeline {
    /// The pipeline at rest.
    #[must_use]
    pub fn new(options: Options, parts: Parts) -> Self {
        let (waker, wakes) = channel();
        let now = Instant::now();
        let Parts { store, engine, scrubber, key, sign, spool, requests_dir, tenants } = parts;
        Self {
            options,
            store,
            engine: Arc::new(engine),
            key,
            sign,
            spool,
            requests_dir,
            changed: tenants.keys().cloned().collect(),
            tenants,
            settling: Settling::new(options.settle),
            turns: Turns::default(),
            rush: Rush::default(),
            running: HashMap::new(),
            numbered: ImportId(0),
            scrubbing: Scrubbing::new(scrubber, options.scrub),
            unwatched: BTreeSet::new(),
            waiting: BTreeMap::new(),
            ripe_at: BTreeMap::new(),
            warned: Warned::default(),
            unwatchable: BTreeSet::new(),
            astray: BTreeSet::new(),
            fitting: Fitting::default(),
            scan_at: now + options.scan_interval,
            requests_at: now,
            expire_at: now,
            watch: None,
            wakes,
            waker,
        }
    }

    /// Through which the pipeline is woken.
    #[must_use]
    pub fn waker(&self) -> Sender<Wake> {
        self.waker.clone()
    }

    /// Watches the drop folders, scans them once, tells that it is ready, and works until [`Wake::Stop`], or until
    /// another store stands in the place of its own.
    ///
    /// Call [`Pipeline::recover`] first.
    pub fn run(mut self, ready: impl FnOnce()) {
        self.watch_all();
        self.scan_changed();
        if let Err(fault) = self.look_after_holds() {
            warn!(cause = fault.chain(), "holds not looked after");
        }
        ready();
        loop {
            if self.hear() {
                info!(imports = self.turns.len(), "pipeline stopped");
                return;
            }
            if let Some(cause) = self.store_lost() {
                // A start brings folders and ledger into agreement.
                error!(cause, "store lost: the next start goes on with the one that is there");
                return;
            }
            self.look_around();
            self.work();
        }
    }

    /// Takes up the requests that wait, and works on one tenant's imports up to the newest of them until it is archived. For
    /// commands without a daemon.
    ///
    /// # Errors
    /// The first fault: a command does not retry, what is left the next start takes up.
    pub fn run_requests(&mut self, tenant: &TenantName, request: i64) -> Result<(), Fault> {
        self.take_requests()?;
        let Some(import) = requests::import_of(self.store.connection(), request)? else { return Ok(()) };
        while let Some((name, next)) = self.turns.next(Instant::now()) {
            if name != *tenant || next > import {
                self.turns.drop_tenant(&name);
                continue;
            }
            if self.step(next)? == Step::Over {
                self.turns.done(&name);
                self.import_over(next);
            }
        }
        Ok(())
    }

    /// Takes in all wakes that have come, waiting for one where there is nothing to do, and for more while files keep coming
    /// in. True: stop.
    fn hear(&mut self) -> bool {
        let now = Instant::now();
        let first = if self.turns.ready(now) || self.scrubbing.ready(now) {
            self.rush.back(now);
            self.wakes.try_recv().map_err(|none| none == TryRecvError::Disconnected)
        } else {
            let until = [
                Some(self.scan_at),
                Some(self.requests_at),
                self.ripe_at.values().min().copied(),
                self.turns.next_at(),
                self.scrubbing.next_at(),
            ];
            let wait = until.into_iter().flatten().min().map_or(REQUESTS_EVERY, |at| at.saturating_duration_since(now));
            self.wakes.recv_timeout(wait).map_err(|none| none == RecvTimeoutError::Disconnected)
        };
        match first {
            Ok(wake) => {
                let mut stop = self.take_in(wake);
                loop {
                    while !stop && let Ok(wake) = self.wakes.try_recv() {
                        stop = self.take_in(wake);
                    }
                    match self.rush.wait(Instant::now()) {
                        // Not by listening: each of many deliveries would wake this thread.
                        Some(wait) if !stop => std::thread::sleep(wait),
                        _ => break stop,
                    }
                }
            }
            Err(disconnected) => disconnected,
        }
    }

    fn take_in(&mut self, wake: Wake) -> bool {
        match wake {
            Wake::Delivered(tenant, delivered) => {
                let Delivered { drop, name, device, inode, size, mtime_ns } = delivered;
                self.rush.delivered(Instant::now());
                self.waiting.entry(tenant.clone()).or_default().insert(name.clone());
                self.settling.hint((tenant.clone(), drop, name), Stamp { device, inode, size, mtime_ns });
                self.changed.insert(tenant);
            }
            Wake::Changed(tenant) => {
                self.changed.insert(tenant);
            }
            Wake::Unwatched(tenant) => {
                self.unwatched.insert(tenant.clone());
                self.changed.insert(tenant);
            }
            Wake::Rescan => self.changed.extend(self.tenants.keys().cloned()),
            Wake::Tenants(tenants) => self.adopt_tenants(tenants),
            Wake::Plan(engine) => {
                self.scrubbing.scrubber.set_living(engine.living());
                self.engine = engine;
                self.fitting.forget_plan();
                self.tell_fit();
                self.turns.end_rests();
            }
            Wake::Stop => return true,
        }
        false
    }

    fn adopt_tenants(&mut self, tenants: BTreeMap<TenantName, Rules>) {
        let gone: Vec<TenantName> = self.tenants.keys().filter(|name| !tenants.contains_key(*name)).cloned().collect();
        for tenant in &gone {
            if let Some(watch) = &mut self.watch {
                watch.leave(tenant);
            }
            // What runs stops at its chunk's end and goes on when the tenant is back.
            self.turns.drop_tenant(tenant);
            self.warned.forget(tenant);
            self.waiting.remove(tenant);
        }
        let new: Vec<TenantName> = tenants.keys().filter(|name| !self.tenants.contains_key(*name)).cloned().collect();
        self.tenants = tenants;
        for tenant in &new {
            if let Err(fault) = self.recover_tenant(tenant, &mut Recovered::default()) {
                error!(%tenant, cause = fault.chain(), "tenant not taken up");
            }
            self.watch_tenant(tenant);
        }
        self.changed.extend(new);
    }

    /// The scan, by event, by ripeness, by timer; and the requests of commands.
    fn look_around(&mut self) {
        let now = Instant::now();
        if now >= self.scan_at {
            self.scan_at = now + self.options.scan_interval;
            self.changed.extend(self.tenants.keys().cloned());
            if let Err(fault) = self.look_after_holds() {
                warn!(cause = fault.chain(), "holds not looked after");
            }
            self.astray.extend(self.tenants.keys().cloned());
        }
        let ripe: Vec<TenantName> = self.ripe_at.iter().filter(|(_, at)| **at <= now).map(|(tenant, _)| tenant.clone()).collect();
        self.changed.extend(ripe);
        self.scan_changed();
        if now >= self.expire_at {
            self.expire_at = now + EXPIRE_EVERY;
            self.expire();
        }
        if now >= self.requests_at {
            self.requests_at = now + REQUESTS_EVERY;
            if let Err(fault) = self.take_requests() {
                warn!(cause = fault.chain(), "requests not taken up");
            }
        }
    }

    fn scan_changed(&mut self) {
        while let Some(tenant) = self.changed.pop_first() {
            self.ripe_at.remove(&tenant);
            if !self.tenants.contains_key(&tenant) {
                continue;
            }
            if let Err(fault) = self.take_files(&tenant) {
                warn!(%tenant, cause = fault.chain(), "scan failed");
                let again = Instant::now() + self.options.settle.max(Duration::from_secs(1));
                self.ripe_at.insert(tenant, again);
                if fault.passing() {
                    // The store is held by another writer: each further tenant would wait for it as long, and a stop would too.
                    self.ripe_at.extend(std::mem::take(&mut self.changed).into_iter().map(|tenant| (tenant, again)));
                    return;
                }
            }
        }
    }

    /// A tenant's rules; the defaults where it is not known any more.
    fn rules(&self, tenant: &TenantName) -> Rules {
        self.tenants.get(tenant).cloned().unwrap_or_default()
    }

    /// The signature of a report or a receipt.
    fn signature(&self, text: &str) -> Result<Vec<u8>, Fault> {
        (self.sign)(text.as_bytes()).map_err(Fault::Unsigned)
    }

    fn watch_all(&mut self) {
        match Watch::new(self.waker.clone()) {
            Ok(watch) => self.watch = Some(watch),
            Err(cause) => warn!(cause = crate::telemetry::chain(&cause), "folders not watched: only the timer finds files"),
        }
        for tenant in self.tenants.keys().cloned().collect::<Vec<_>>() {
            self.watch_tenant(&tenant);
        }
    }

    fn now() -> Timestamp {
        Timestamp::now()
    }
}
