//! Scrubs between imports: when one is due, its slices while nothing else is to be done, and its receipts beside the reports.
//!
//! Whom an import takes is sealed before its first chunk; the file goes when the receipt is there. Each step can be killed and
//! done again.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::import::place_of;
use super::{Fault, Pipeline};
use crate::domain::ImportId;
use crate::scrub::{Ended, Method, Scrubber, Step, Wish};
use crate::spool::Companion;
use crate::store::ledger;

/// The kind of request in the ledger.
pub(super) const SCRUB: &str = "scrub";

/// The receipt's ending. DESIGN section 3.
const RECEIPT: &str = ".scrub.json";

/// How long a slice may go on. Together with its commit it stays below the 250 ms of DESIGN section 4.
const SLICE: Duration = Duration::from_millis(120);

/// Rests while a reader is in the way or the store fails: the first, and the longest.
const REST_MIN: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(60);

/// When scrubs begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ScrubOptions {
    /// Purged rows after which one begins at once.
    pub after_rows: u64,
    /// Time after which one begins for fewer.
    pub after: Duration,
}

/// What is known of scrubs. All of it can be lost.
pub(super) struct Scrubbing {
    pub(super) scrubber: Scrubber,
    options: ScrubOptions,
    /// One is open.
    open: bool,
    /// Not before, for want of reasons or because of a rest. `None`: never, until something ends.
    due_at: Option<Instant>,
    rests: u32,
    /// Requests that the next scrub answers, and those that the open one does.
    asked: Vec<i64>,
    serving: Vec<i64>,
}

impl Scrubbing {
    pub(super) fn new(scrubber: Scrubber, options: ScrubOptions) -> Self {
        Self { scrubber, options, open: false, due_at: None, rests: 0, asked: Vec::new(), serving: Vec::new() }
    }

    /// Whether there is a slice to be done now.
    pub(super) fn ready(&self, now: Instant) -> bool {
        self.due_at.is_some_and(|at| at <= now)
    }

    /// When there will be one.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Someone asked for one.
    pub(super) fn ask(&mut self, request: i64) {
        self.asked.push(request);
        self.due_at = Some(Instant::now());
    }

    fn rest(&mut self) -> Duration {
        self.rests += 1;
        let rest = REST_MIN.saturating_mul(1 << self.rests.min(10)).min(REST_MAX);
        self.due_at = Some(Instant::now() + rest);
        rest
    }
}

impl Pipeline {
    /// At the start: receipts that were not filed, sealed files that nobody needs, requests that were not answered.
    pub(super) fn recover_scrubs(&mut self) -> Result<(), Fault> {
        if self.scrubbing.scrubber.method() == Method::Vacuum {
            warn!("SQLite built without page access: each scrub writes the whole store anew");
        }
        self.file_receipts();
        for import in self.scrubbing.scrubber.vault().imports()? {
            self.drop_needless_seal(import)?;
        }
        let open = ledger::open_requests(self.store.connection())?;
        self.scrubbing.asked = open.iter().filter(|row| row.kind == SCRUB && row.taken_at.is_some()).map(|row| row.id).collect();
        self.scrubbing.open = ledger::open_scrub(self.store.connection())?.is_some();
        self.plan_scrub()
    }

    /// Seals whom an import is about to take. Before its first chunk; doing it again does no harm.
    pub(super) fn seal(&mut self, import: ImportId) -> Result<(), Fault> {
        let mut fresh = [0; 7];
        getrandom::fill(&mut fresh).map_err(std::io::Error::other)?;
        let mut sealing = self.scrubbing.scrubber.vault().seal(import, fresh)?;
        self.engine.identifiers(self.store.connection(), import, |text| sealing.add(text).map_err(Fault::from))?;
        Ok(sealing.finish()?)
    }

    /// After an import is over: what it took waits for a scrub.
    pub(super) fn import_over(&mut self, import: ImportId) {
        if let Err(fault) = self.drop_needless_seal(import).and_then(|()| self.plan_scrub()) {
            warn!(import = import.0, cause = %fault.chain(), "scrub not planned");
        }
    }

    /// An import that changed nothing, or whose receipt is filed, has nobody to look for.
    fn drop_needless_seal(&mut self, import: ImportId) -> Result<(), Fault> {
        let store = self.store.connection();
        let needed = match ledger::get(store, import)? {
            None => false,
            Some(row) if !row.state.ended() => true,
            Some(_) => ledger::unfiled_scrub(store, import)?,
        };
        if needed { Ok(()) } else { Ok(self.scrubbing.scrubber.vault().remove(import)?) }
    }

    /// Says when the next slice is due.
    fn plan_scrub(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        if self.scrubbing.open || !self.scrubbing.asked.is_empty() {
            self.scrubbing.due_at.get_or_insert(now);
            return Ok(());
        }
        let waiting = ledger::unscrubbed(self.store.connection())?;
        let options = self.scrubbing.options;
        self.scrubbing.due_at = waiting.iter().map(|one| one.since).min().map(|first| {
            let rows: u64 = waiting.iter().map(|one| one.rows).sum();
            let waited = Duration::try_from(Self::now().duration_since(first)).unwrap_or_default();
            if rows >= options.after_rows { now } else { now + options.after.saturating_sub(waited) }
        });
        Ok(())
    }

    /// One slice. A fault makes scrubs rest, nothing else.
    pub(super) fn scrub_slice(&mut self) {
        match catch_unwind(AssertUnwindSafe(|| self.scrub_step())).unwrap_or(Err(Fault::Panic)) {
            Ok(Step::More) => {
                self.scrubbing.rests = 0;
                self.scrubbing.due_at = Some(Instant::now() + self.options.chunk_rest);
            }
            Ok(Step::Waiting) => {
                let rest = self.scrubbing.rest();
                if self.scrubbing.rests.is_multiple_of(8) || self.scrubbing.rests == 1 {
                    warn!(rest_seconds = rest.as_secs_f64(), "scrub waits: a reader keeps the write-ahead log");
                }
            }
            Ok(Step::Ended(_) | Step::Idle) => {
                self.scrubbing.rests = 0;
                self.scrubbing.due_at = None;
                if let Err(fault) = self.plan_scrub() {
                    warn!(cause = %fault.chain(), "scrub not planned");
                }
            }
            Err(fault) => {
                let rest = self.scrubbing.rest();
                let cause = fault.chain();
                if fault.passing() {
                    warn!(rest_seconds = rest.as_secs_f64(), %cause, "scrub delayed");
                } else {
                    error!(rest_seconds = rest.as_secs_f64(), %cause, "scrub delayed");
                }
            }
        }
    }

    /// The next slice of a scrub, begun if one is asked for or due.
    pub(super) fn scrub_step(&mut self) -> Result<Step, Fault> {
        let at = Self::now();
        if !self.scrubbing.open {
            let wish = if self.scrubbing.asked.is_empty() { Wish::IfWaiting } else { Wish::Anyway };
            if !self.scrubbing.scrubber.begin(&mut self.store, wish, at)? {
                return Ok(Step::Idle);
            }
            self.scrubbing.open = true;
            self.scrubbing.serving.append(&mut self.scrubbing.asked);
            info!("scrub begun");
        }
        let began = Instant::now();
        let step = self.scrubbing.scrubber.step(&mut self.store, at, &mut || began.elapsed() < SLICE)?;
        if let Step::Ended(ended) = &step {
            self.scrubbing.open = false;
            self.end_scrub(ended)?;
        }
        Ok(step)
    }

    fn end_scrub(&mut self, ended: &Ended) -> Result<(), Fault> {
        let (structure, at) = (&ended.structure, Self::now());
        let clean = ended.clean();
        info!(
            scrub = ended.scrub,
            imports = ended.receipts.len(),
            clean,
            method = ended.method.as_str(),
            pages = structure.pages,
            walks = structure.walks,
            zeroed_bytes = structure.zeroed_bytes,
            residue = ended.residue,
            "scrub ended"
        );
        if !clean {
            warn!(
                scrub = ended.scrub,
                residue = ended.residue,
                unread_pages = structure.unread_pages,
                "scrub left traces: see its receipts"
            );
        }
        self.file_receipts();
        let result = ledger::scrub(self.store.connection(), ended.scrub)?.and_then(|row| row.result).unwrap_or_default();
        let result: serde_json::Value = serde_json::from_str(&result).unwrap_or_default();
        let serving = std::mem::take(&mut self.scrubbing.serving);
        self.store.write("answer a request", |tx| {
            serving.iter().try_for_each(|request| ledger::finish_request(tx, *request, &result, at).map(|_| ()))
        })?;
        // The receipts went through the log; its pages hold nobody.
        self.store.checkpoint()?;
        Ok(())
    }

    /// Writes the receipts that the ledger holds beside their reports. One that cannot be written now is written later.
    fn file_receipts(&mut self) {
        let unfiled = ledger::unfiled(self.store.connection()).unwrap_or_else(|cause| {
            warn!(%cause, "receipts not read");
            Vec::new()
        });
        for (import, receipt) in unfiled {
            if let Err(fault) = self.file_receipt(import, &receipt) {
                warn!(import = import.0, cause = %fault.chain(), "scrub receipt not filed");
            }
        }
    }

    fn file_receipt(&mut self, import: ImportId, receipt: &str) -> Result<(), Fault> {
        let row = ledger::require(self.store.connection(), import)?;
        let mut write = |out: &mut dyn Write| out.write_all(receipt.as_bytes());
        self.spool.tenant(&row.tenant)?.write_companions(&place_of(&row)?, &mut [Companion { suffix: RECEIPT, write: &mut write }])?;
        self.store.write("note a filed receipt", |tx| ledger::set_filed(tx, import))?;
        Ok(self.scrubbing.scrubber.vault().remove(import)?)
    }

    /// Takes up the requests that wait, and scrubs until this one is answered. For commands without a daemon.
    ///
    /// # Errors
    /// The first fault. A reader that keeps the log from being emptied is waited for until `patience` is over.
    pub fn run_scrub(&mut self, request: i64, patience: Duration) -> Result<bool, Fault> {
        self.take_requests()?;
        let mut waited = Duration::ZERO;
        while ledger::request(self.store.connection(), request)?.is_some_and(|row| row.finished_at.is_none()) {
            match self.scrub_step()? {
                Step::Waiting if waited >= patience => return Ok(false),
                Step::Waiting => {
                    std::thread::sleep(REST_MIN);
                    waited += REST_MIN;
                }
                Step::More => std::thread::sleep(self.options.chunk_rest),
                Step::Ended(_) | Step::Idle => {}
            }
        }
        Ok(true)
    }
}
