//! Whether the erasure plan still fits the database, and whether the application uses it meanwhile.
//!
//! A plan that does not fit pauses purging, not receiving: imports keep their state, their status says why, the log says it once,
//! and each is tried again until the plan fits. One whose deletions have begun fails after some tries and waits for an operator.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tracing::{error, info};

use super::import::Step;
use super::{Fault, Pipeline};
use crate::domain::{ImportId, State};
use crate::purge::{Ending, Fit, PlanError, PurgeError};
use crate::store::StoreError;
use crate::store::ledger::{self, ImportRow};

/// The stable code of an import that waits for its plan.
const REASON: &str = "plan_does_not_fit";

/// Tries after which an import whose deletions have begun has failed. With the back-off, about two minutes.
const TRIES: u32 = 8;

/// How long the application is remembered after it was seen to write.
const OTHERS_FOR: Duration = Duration::from_secs(30);

/// What is known of the database beside us.
#[derive(Debug, Default)]
pub(super) struct Fitting {
    /// The shape that was looked at, and how the plan fits it.
    known: Option<(i64, Fit)>,
    /// What the log was told.
    told: Option<String>,
    tries: HashMap<ImportId, u32>,
    /// What changes when another connection commits.
    data_version: i64,
    others_until: Option<Instant>,
}

impl Fitting {
    /// Somebody else writes to the database.
    pub(super) fn saw_others(&mut self, now: Instant) {
        self.others_until = Some(now + OTHERS_FOR);
    }

    /// Whether somebody else was seen to write lately.
    pub(super) fn others(&self, now: Instant) -> bool {
        self.others_until.is_some_and(|until| now < until)
    }

    /// Whether tables are read whole.
    pub(super) fn scans(&self) -> bool {
        self.known.is_some_and(|(_, fit)| fit.scans)
    }
}

impl Pipeline {
    /// Whether the plan fits the database as it is now.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn fit(&mut self) -> Result<(), PlanError> {
        let connection = self.store.connection();
        let shape = shape_version(connection)?;
        let fit = self.engine.fits(connection, self.options.unindexed_rows_max)?;
        self.fitting.known = Some((shape, fit));
        Ok(())
    }

    /// The same, told to the log where that is news. The daemon starts all the same.
    pub fn tell_fit(&mut self) {
        let told = self.fit().err().map(|error| error.to_string());
        if told == self.fitting.told {
            return;
        }
        match &told {
            Some(cause) => error!(cause, "purging paused: the erasure plan cannot be worked by"),
            None => info!("purging goes on: the erasure plan fits"),
        }
        self.fitting.told = told;
    }

    /// Lets an import's next slice run only while the plan fits. `None`: it may; the row is as it stands by now.
    pub(super) fn paused(&mut self, row: &mut ImportRow) -> Result<Option<Step>, Fault> {
        let known = self.fitting.known.map(|(shape, _)| shape);
        let changed = known != Some(shape_version(self.store.connection())?);
        if row.state == State::Purging && !changed && self.fitting.told.is_none() {
            return Ok(None);
        }
        self.tell_fit();
        let Some(why) = self.fitting.told.clone() else {
            self.fitting.tries.remove(&row.id);
            if row.reason.as_deref() == Some(REASON) {
                self.store.write("note an import's state", |tx| ledger::set_state(tx, row.id, row.state, None, None))?;
                *row = ledger::require(self.store.connection(), row.id)?;
            }
            return Ok(None);
        };
        let folders = self.spool.tenant(&row.tenant)?;
        let tries = self.fitting.tries.entry(row.id).or_insert(0);
        *tries += 1;
        if row.state == State::Purging && *tries >= TRIES {
            self.fitting.tries.remove(&row.id);
            let ending = Ending::Failed { reason: REASON.to_owned(), message: why };
            let ended = self.engine.finish(&mut self.store, row.id, &ending, Self::now(), |_| String::new())?;
            error!(tenant = %row.tenant, import = row.id.0, reason = REASON, "import failed");
            self.publish(&folders, &ended.import, State::Failed, None)?;
            return Ok(Some(Step::Over));
        }
        if row.reason.as_deref() != Some(REASON) {
            let told = "the operator's database has changed; this goes on by itself once that is mended";
            self.store.write("note an import's state", |tx| ledger::set_state(tx, row.id, row.state, Some(REASON), Some(told)))?;
            *row = ledger::require(self.store.connection(), row.id)?;
            self.publish(&folders, row, row.state, None)?;
        }
        Err(Fault::Purge(PurgeError::Plan(PlanError::DoesNotFit(why))))
    }

    /// Whether another writer is about: one that made us wait, or one that committed since the last chunk.
    pub(super) fn look_for_others(&mut self) -> Result<bool, Fault> {
        let found = pragma(self.store.connection(), "data_version")?;
        if found != self.fitting.data_version && self.fitting.data_version != 0 {
            self.fitting.saw_others(Instant::now());
        }
        self.fitting.data_version = found;
        Ok(self.fitting.others(Instant::now()))
    }
}

fn shape_version(connection: &Connection) -> Result<i64, StoreError> {
    pragma(connection, "schema_version")
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, StoreError> {
    let found = connection.pragma_query_value(None, name, |row| row.get(0));
    found.map_err(|source| StoreError::Sqlite { doing: "look whether the database changed", source })
}
