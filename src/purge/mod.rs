//! The rule of the product: rows, a plan and a store become outcomes.
//!
//! Two passes. [`Engine::match_rows`] reads and matches the whole file, read-only; [`Engine::begin`] writes what it found to
//! the ledger; [`Engine::chunk`] deletes, ordered by key, each chunk and the record of it in one transaction;
//! [`Engine::finish`] ends the import and stores its report. [`Engine::check`] is the other ending: the same steps, counted.
//!
//! ```text
//! matching, matched       the first pass: rows → targets           people     statements on the subjects, by tenant
//! exempt, brake           who must stay; when a person is asked    others     addresses of theirs elsewhere in their rows
//! begin, chunk, finish    targets → deletions → report             check      the same steps, counted
//! sql → steps             the plan as statements                   mark, detach, accounts, verify   run them in a chunk
//! plan                    the erasure plan, and its text           work       what it does, for a person
//! shape, schema_text      a database's tables and keys             fit        whether a plan fits it
//! derive, undeclared, left_behind, circles   a plan from a database's own keys
//! sample, places, terms   columns of addresses; where one may stand; SQL's names and texts
//! holdings, participant   who is there, for a person who looks     traces     whom a scrub looks for, and whose rows are whose
//! ```
//!
//! This module does not know where rows come from, and neither waits nor looks at a clock: the caller times chunks.

pub mod plan;

mod accounts;
mod begin;
mod brake;
mod check;
mod chunk;
mod circles;
mod derive;
mod detach;
mod exempt;
mod finish;
mod fit;
mod holdings;
mod left_behind;
mod mark;
mod matched;
mod matching;
mod others;
mod participant;
mod people;
mod places;
mod sample;
mod schema_text;
mod shape;
mod sql;
mod steps;
mod terms;
#[cfg(test)]
mod tests;
mod traces;
mod undeclared;
mod verify;
mod work;

use crate::domain::{Flags, IdentityKey, RowError, SubjectKey, TenantName};
use crate::store::{Refusal, StoreError};

pub use brake::{Brake, Held, Passed};
pub use check::Checked;
pub use chunk::ChunkDone;
pub use derive::{DeriveError, Deriving, derive};
pub use finish::{Ended, Ending, untouched};
pub use fit::{Finding, FindingKind, Fit};
pub use holdings::{FoundPerson, Holding};
pub use matched::Matched;
pub use matching::MatchError;
pub use participant::Participant;
pub use plan::{Plan, PlanError, PlanFaults};
pub use work::{WorkEdge, WorkStep};

/// One row of input, blank rows left out.
#[derive(Clone, Debug)]
pub struct InputRow {
    /// Where it starts, from 1.
    pub line: u64,
    /// Whom it names.
    pub subject: Result<SubjectKey, RowError>,
    /// What it asks for beside the deletion.
    pub flags: Flags,
}

/// Why the engine stopped. Whatever was in its transaction is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan, or the database under it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan cannot serve this import.
    #[error("{0}")]
    CannotServe(&'static str),
    /// Nothing names somebody whom a list or a command names.
    #[error("\"{table}\".\"{key}\" is null in the row of somebody who was asked for, and nothing else names them; give them a key")]
    Keyless {
        /// The people's table.
        table: String,
        /// Its key.
        key: String,
    },
    /// The plan's people are all another tenant's.
    #[error("the erasure plan serves the tenant \"{sole}\" only")]
    AnotherTenants {
        /// Whose they are.
        sole: TenantName,
    },
    /// After a chunk's deletions something still referred to what they took. They were rolled back.
    #[error("rows of \"{0}\" would refer to rows that are gone: a trigger, or a key that the plan does not have")]
    StillReferred(String),
    /// People who would go are referred to by people of another tenant, whose rows are not touched.
    #[error(
        "rows of \"{0}\" of another tenant refer to what would go, and no other tenant's rows are changed; set those references to null by hand"
    )]
    AnotherTenantRefers(String),
    /// After a chunk something was still there that was to be deleted or written over. The chunk was rolled back.
    #[error(
        "rows of \"{0}\" are not as the plan says: a trigger kept them from being deleted or written over, or wrote them again; change the trigger, or take what it changes out of the plan"
    )]
    StillThere(String),
    /// After a chunk people or accounts were gone that it had not taken. The chunk was rolled back.
    #[error("a trigger takes rows of \"{0}\" that this list does not; change the trigger: people and accounts go only by a list")]
    TookOthers(String),
    /// A constraint of the database forbids what the plan does. The chunk was rolled back.
    #[error("rows of \"{table}\" cannot be changed as the plan says: {mend}")]
    Forbidden {
        /// The table.
        table: String,
        /// What to change.
        mend: &'static str,
        /// What SQLite says.
        source: Refusal,
    },
    /// Accepted triggers write down again what the plan deletes. The chunk was rolled back.
    #[error(
        "accepted triggers write rows down again as often as the plan deletes them; change the triggers, or keep their table in the plan"
    )]
    Unsettled,
    /// More rows than the engine numbers.
    #[error("more than 4294967295 rows")]
    TooManyRows,
    /// A DELETE took another number of subjects than it was meant to.
    #[error(
        "{deleted} people were deleted where {wanted} were meant to be: a trigger keeps some, or takes some that the list names as well; change it"
    )]
    Miscounted {
        /// Meant.
        wanted: u64,
        /// Taken.
        deleted: u64,
    },
}

impl PurgeError {
    /// Whether another writer holds the lock: trying again may help.
    #[must_use]
    pub fn busy(&self) -> bool {
        matches!(self, Self::Store(error) if error.busy())
    }
}

/// The engine: a plan made into SQL, and the key that identities are hashed with.
#[derive(Debug)]
pub struct Engine {
    plan: Plan,
    digest: String,
    steps: steps::Steps,
    key: IdentityKey,
}

impl Engine {
    /// Makes the plan's SQL.
    ///
    /// # Errors
    /// [`PlanError::Wrong`].
    pub fn new(plan: Plan, key: IdentityKey) -> Result<Self, PlanError> {
        let steps = steps::Steps::of(&plan)?;
        Ok(Self { digest: plan.digest(), steps, plan, key })
    }

    /// The plan it works by.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan's digest.
    #[must_use]
    pub fn plan_digest(&self) -> &str {
        &self.digest
    }
}
