//! Scrubs between imports: when one is due, its slices while nothing else is to be done, and its receipts beside the reports.
//!
//! Whom an import takes is sealed before its first chunk; the file goes when a clean receipt is there, or when the import is
//! given up. Imports go first, but a scrub is not put off for ever, and where they kept its walks from seeing one state of the
//! store, the last one goes first for a while. Each step can be killed and done again.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{error, info, warn};

use super::import::place_of;
use super::{Fault, Pipeline};
use crate::domain::ImportId;
use crate::scrub::{Ended, Method, Scrubber, Step, Wish};
use crate::spool::Companion;
use crate::store::ledger;
use crate::telemetry::chain;

/// The kind of request in the ledger.
pub(super) const SCRUB: &str = "scrub";

/// The receipt's ending. DESIGN section 3.
pub const RECEIPT: &str = ".scrub.json";

/// How long a slice may go on. Together with its commit it stays below the 250 ms of DESIGN section 4.
const SLICE: Duration = Duration::from_millis(120);

/// Slices of imports after which a waiting scrub gets one.
const PASSED_OVER_MAX: u32 = 20;

/// How long imports wait for a scrub's last time through, which then sees one state of the store. Some gigabytes take that long.
const FIRST_FOR: Duration = Duration::from_secs(5);

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
    /// Slices of imports since its last.
    passed_over: u32,
    /// Until when its last time through goes before imports.
    first_until: Option<Instant>,
    /// Requests that the next scrub answers, and those that the open one does.
    asked: Vec<i64>,
    serving: Vec<i64>,
    /// One that has ended and whose receipts and answers may not all be out.
    untold: Option<i64>,
}

impl Scrubbing {
    pub(super) fn new(scrubber: Scrubber, options: ScrubOptions) -> Self {
        Self {
            scrubber,
            options,
            open: false,
            due_at: None,
            rests: 0,
            passed_over: 0,
            first_until: None,
            asked: Vec::new(),
            serving: Vec::new(),
            untold: None,
        }
    }

    /// Whether there is a slice to be done now.
    pub(super) fn ready(&self, now: Instant) -> bool {
        self.due_at.is_some_and(|at| at <= now)
    }

    /// Whether the scrub has waited long enough for a slice. Called before each slice of an import.
    pub(super) fn passed_over(&mut self, now: Instant) -> bool {
        self.passed_over += u32::from(self.ready(now));
        self.passed_over > PASSED_OVER_MAX
    }

    /// Whether its last time through goes before imports, which it does for a while, once.
    fn goes_first(&mut self) -> bool {
        let now = Instant::now();
        self.rests == 0 && self.scrubber.is_last_time() && now < *self.first_until.get_or_insert(now + FIRST_FOR)
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
            warn!(import = import.0, cause = fault.chain(), "scrub not planned");
        }
    }

    /// An import that changed nothing, or whose receipt is filed and clean, has nobody to look for.
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
        let new = || waiting.iter().filter(|one| one.again.is_none());
        let rows: u64 = new().map(|one| one.rows).sum();
        let wait = |since: Timestamp, wait: Duration| {
            wait.saturating_sub(Duration::try_from(Self::now().duration_since(since)).unwrap_or_default())
        };
        let first = new()
            .map(|one| one.since)
            .min()
            .map(|first| if rows >= options.after_rows { Duration::ZERO } else { wait(first, options.after) });
        let again = waiting.iter().filter_map(|one| one.again).map(|again| again.at).min();
        let again = again.map(|at| Duration::try_from(at.duration_since(Self::now())).unwrap_or_default());
        self.scrubbing.due_at = first.into_iter().chain(again).min().map(|wait| now + wait);
        Ok(())
    }

    /// One slice; of the last time through as many as may be in a row. A fault makes scrubs rest, nothing else.
    pub(super) fn scrub_slices(&mut self) {
        self.scrub_slice();
        // In a store of our own; another program's writers do not wait for us.
        while self.options.chunk_rest.is_zero() && self.scrubbing.goes_first() {
            self.scrub_slice();
        }
    }

    fn scrub_slice(&mut self) {
        self.scrubbing.passed_over = 0;
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
                    warn!(cause = fault.chain(), "scrub not planned");
                }
            }
            Err(fault) => {
                let rest = self.scrubbing.rest();
                let cause = fault.chain();
                if fault.passing() {
                    warn!(rest_seconds = rest.as_secs_f64(), cause, "scrub delayed");
                } else {
                    error!(rest_seconds = rest.as_secs_f64(), cause, "scrub delayed");
                }
            }
        }
    }

    /// The next slice of a scrub, begun if one is asked for or due.
    pub(super) fn scrub_step(&mut self) -> Result<Step, Fault> {
        let at = Self::now();
        self.tell_end_of_scrub()?;
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
            (self.scrubbing.open, self.scrubbing.first_until) = (false, None);
            self.end_scrub(ended)?;
        }
        Ok(step)
    }

    fn end_scrub(&mut self, ended: &Ended) -> Result<(), Fault> {
        let structure = &ended.structure;
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
            kept = ended.kept,
            "scrub ended"
        );
        if !clean {
            warn!(
                scrub = ended.scrub,
                residue = ended.residue,
                unsearched = ended.unsearched,
                nonzero_bytes = structure.nonzero_bytes,
                unread_pages = structure.unread_pages,
                undisturbed = structure.undisturbed,
                log_empty = structure.log_empty,
                again_at = ended.again_at.map(tracing::field::display),
                hint = next_to_do(ended),
                "scrub not clean"
            );
        }
        self.scrubbing.untold = Some(ended.scrub);
        self.tell_end_of_scrub()
    }

    /// Files the receipts of a scrub that has ended, and answers those who asked for it. What fails is done before the next slice.
    fn tell_end_of_scrub(&mut self) -> Result<(), Fault> {
        let Some(scrub) = self.scrubbing.untold else { return Ok(()) };
        self.file_receipts();
        let result = ledger::scrub(self.store.connection(), scrub)?.and_then(|row| row.result).unwrap_or_default();
        let result: serde_json::Value = serde_json::from_str(&result).unwrap_or_default();
        let (serving, at) = (&self.scrubbing.serving, Self::now());
        self.store.write("answer a request", |tx| {
            serving.iter().try_for_each(|request| ledger::finish_request(tx, *request, &result, at).map(|_| ()))
        })?;
        self.scrubbing.serving.clear();
        self.scrubbing.untold = None;
        // The receipts went through the log; its pages hold nobody.
        self.store.checkpoint()?;
        Ok(())
    }

    /// Writes the receipts that the ledger holds, each with its signature, beside their reports, over those of earlier scrubs. One that cannot be written now is written later.
    fn file_receipts(&mut self) {
        let unfiled = ledger::unfiled(self.store.connection()).unwrap_or_else(|cause| {
            warn!(cause = chain(&cause), "receipts not read");
            Vec::new()
        });
        for (import, receipt) in unfiled {
            if let Err(fault) = self.file_receipt(import, &receipt) {
                warn!(import = import.0, cause = fault.chain(), "scrub receipt not filed");
            }
        }
    }

    fn file_receipt(&mut self, import: ImportId, receipt: &str) -> Result<(), Fault> {
        let row = ledger::require(self.store.connection(), import)?;
        let mut write = |out: &mut dyn Write| out.write_all(receipt.as_bytes());
        let signature = self.signature(receipt)?;
        let mut companion = Companion { suffix: RECEIPT, write: &mut write, signature: Some(&signature) };
        self.spool.tenant(&row.tenant)?.write_over(&place_of(&row)?, &mut companion)?;
        self.store.write("note a filed receipt", |tx| ledger::set_filed(tx, import))?;
        self.drop_needless_seal(import)
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

/// What an operator does about a scrub that was not clean, the worst first.
fn next_to_do(ended: &Ended) -> &'static str {
    let structure = &ended.structure;
    if structure.unread_pages > 0 {
        "the store has damaged pages: run PRAGMA integrity_check, and restore or VACUUM it"
    } else if ended.residue > 0 {
        "the receipts name the tables and columns: cover them by the plan or clear them; then run expunged scrub"
    } else if ended.unsearched > 0 {
        "the sealed identifiers are gone or of another key: nothing was searched for; look for these people by hand"
    } else {
        "others wrote meanwhile: it runs again by itself, or run expunged scrub while they rest"
    }
}
