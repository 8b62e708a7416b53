//! One slice of work at a time, and what follows a fault: its tenant rests, and nobody else.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use tracing::{debug, error, warn};

use super::fit::MISFIT_REST_MAX;
use super::import::Step;
use super::{Fault, Pipeline};
use crate::domain::{ImportId, TenantName};

impl Pipeline {
    /// One slice of one import, or of a scrub where none has work. A fault, a panic included, makes its tenant rest; nobody else.
    pub(super) fn work(&mut self) {
        let now = Instant::now();
        if self.turns.ready(now) && self.scrubbing.passed_over(now) {
            self.scrub_slices();
        }
        let Some((tenant, import)) = self.turns.next(now) else {
            if self.scrubbing.ready(Instant::now()) {
                self.scrub_slices();
            }
            return;
        };
        let step = std::panic::catch_unwind(AssertUnwindSafe(|| self.step(import))).unwrap_or(Err(Fault::Panic));
        match step {
            Ok(Step::More) => {
                if self.turns.well(&tenant) {
                    self.forget_attempts(import);
                }
            }
            Ok(Step::Over) => {
                self.running.remove(&import);
                self.turns.done(&tenant);
                self.import_over(import);
            }
            Err(fault) => self.rest_after(&tenant, import, &fault),
        }
    }

    /// Gives an import up that has failed often enough, or makes its tenant rest before the next try: longer after each fault in a row.
    fn rest_after(&mut self, tenant: &TenantName, import: ImportId, fault: &Fault) {
        match self.running.get_mut(&import) {
            Some(running) if fault.passing() => running.fault(),
            // What a chunk is too large for does not pass.
            _ => drop(self.running.remove(&import)),
        }
        match self.give_up(import, fault) {
            Ok(true) => {
                error!(%tenant, import = import.0, cause = fault.chain(), "import given up");
                self.turns.well(tenant);
                return;
            }
            Ok(false) => {}
            Err(cause) => warn!(%tenant, import = import.0, cause = cause.chain(), "attempt not counted"),
        }
        let longest = if fault.misfit() { self.options.rest_max.min(MISFIT_REST_MAX) } else { self.options.rest_max };
        let mut rest = Duration::ZERO;
        self.turns.rest(tenant, |faults| {
            rest = REST_BASE.saturating_mul(1 << faults.min(20)).min(longest);
            Instant::now() + rest
        });
        let cause = fault.chain();
        if fault.passing() {
            self.fitting.saw_others(Instant::now());
        }
        if fault.misfit() {
            debug!(%tenant, import = import.0, rest_seconds = rest.as_secs_f64(), cause, "import paused");
        } else if fault.passing() {
            warn!(%tenant, import = import.0, rest_seconds = rest.as_secs_f64(), cause, "import delayed");
        } else {
            error!(%tenant, import = import.0, rest_seconds = rest.as_secs_f64(), cause, "import delayed");
        }
    }
}

/// A tenant rests twice as long as this after a fault, and twice as long again after each further one in a row, up to
/// [`Options::rest_max`](super::Options::rest_max).
const REST_BASE: Duration = Duration::from_millis(250);
