//! What a person says about an import: approve, reject, retry, cancel. All of it is the ledger's; files follow in the
//! import's next slice.

use jiff::Timestamp;
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::Fault;
use super::hold::rejected_report;
use super::reported::report;
use crate::domain::{ImportId, State, TenantName, may_hold_address};
use crate::purge::{Ending, Engine, PurgeError, untouched};
use crate::store::StoreError;
use crate::store::ledger::{self, Decision, ImportRow};

/// The kind of request in the ledger.
pub(super) const DECIDE: &str = "decide";

/// What a person says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A held import may go on, with the people that it was held with.
    Approve,
    /// A held or failed import ends; one that has deleted people is stopped where it is.
    Reject,
    /// A failed import is tried again.
    Retry,
    /// An import that waits or runs ends at its chunk's end.
    Cancel,
}

impl Verdict {
    /// The word of the command and of the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Retry => "retry",
            Self::Cancel => "cancel",
        }
    }

    /// What an import is after it.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reject => "rejected",
            Self::Retry => "tried again",
            Self::Cancel => "cancelled",
        }
    }

    /// Of which imports it can be said, for who said it of another.
    fn only(self) -> &'static str {
        match self {
            Self::Approve => "only a held import can be approved",
            Self::Retry => "only a failed import can be tried again",
            Self::Reject => "only a held or failed import can be rejected; one that waits or runs can be cancelled",
            Self::Cancel => "only an import that waits or runs can be cancelled; a held or failed one can be rejected",
        }
    }
}

/// `expunged imports approve | reject | retry | cancel`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DecideRequest {
    /// About which import.
    pub import: ImportId,
    /// What.
    pub verdict: Verdict,
    /// The person's reason. Holds no address.
    pub why: Option<String>,
}

impl DecideRequest {
    /// The ledger's kind and body of this request.
    #[must_use]
    pub fn to_row(&self, by: String) -> ledger::NewRequest {
        let body = serde_json::to_value(self).expect("a number and texts always serialise");
        ledger::NewRequest { kind: DECIDE.to_owned(), body, by }
    }
}

/// Whether a reason may be kept: an address has no place in the ledger.
#[must_use]
pub fn may_be_kept(why: &str) -> bool {
    !may_hold_address(why) && !why.chars().any(char::is_control) && why.len() <= WHY_BYTES_MAX
}

/// Longest reason that is kept.
pub const WHY_BYTES_MAX: usize = 1_000;

/// Does what a person says, in one transaction. `Err` inside: why not, and nothing has changed.
pub(super) fn decide(
    transaction: &Transaction<'_>,
    (engine, originals_days): (&Engine, u32),
    request: &DecideRequest,
    by: &str,
    at: Timestamp,
) -> Result<Result<TenantName, String>, Fault> {
    let Some(row) = ledger::get(transaction, request.import)? else { return Ok(Err(format!("no import {}", request.import))) };
    if request.why.as_deref().is_some_and(|why| !may_be_kept(why)) {
        return Ok(Err("a reason must not hold an address".to_owned()));
    }
    let done = match request.verdict {
        Verdict::Approve => approve(transaction, &row),
        Verdict::Retry => retry(transaction, &row),
        Verdict::Reject if matches!(row.state, State::Held | State::Failed) => {
            end(transaction, (engine, originals_days), &row, "rejected_by_operator", request.why.as_deref(), at)
        }
        Verdict::Cancel if matches!(row.state, State::Received | State::Checking | State::Purging) => {
            end(transaction, (engine, originals_days), &row, "cancelled", request.why.as_deref(), at)
        }
        Verdict::Reject | Verdict::Cancel => Err(refused(&row)),
    };
    match done {
        Ok(()) => {
            let decision = Decision { kind: request.verdict.as_str().to_owned(), by: by.to_owned(), at, why: request.why.clone() };
            ledger::note_decision(transaction, row.id, &decision)?;
            Ok(Ok(row.tenant))
        }
        Err(Fault::Purge(PurgeError::Store(error @ StoreError::State { .. })) | Fault::Store(error @ StoreError::State { .. })) => {
            Ok(Err(format!("{error}; {}", request.verdict.only())))
        }
        Err(fault) => Err(fault),
    }
}

fn approve(transaction: &Transaction<'_>, row: &ImportRow) -> Result<(), Fault> {
    if row.state != State::Held {
        return Err(refused(row));
    }
    ledger::approve(transaction, row.id)?;
    // It is matched again: whoever went meanwhile is not missed, whoever came is not taken.
    Ok(ledger::set_state(transaction, row.id, State::Checking, None, None)?)
}

fn retry(transaction: &Transaction<'_>, row: &ImportRow) -> Result<(), Fault> {
    let hold = ledger::hold_of(transaction, row.id)?.filter(|_| row.state == State::Failed).ok_or_else(|| refused(row))?;
    ledger::forget_attempts(transaction, row.id)?;
    Ok(ledger::set_state(transaction, row.id, hold.resume, None, None)?)
}

fn end(
    transaction: &Transaction<'_>,
    (engine, keep): (&Engine, u32),
    row: &ImportRow,
    code: &str,
    why: Option<&str>,
    at: Timestamp,
) -> Result<(), Fault> {
    let (reason, message) = (code.to_owned(), why.unwrap_or(code).to_owned());
    if untouched(row) && row.state != State::Purging {
        let ending = Ending::Rejected { reason, message: message.clone() };
        engine.finish_in(transaction, row.id, &ending, at, |ended| rejected_report(ended, keep, code, &message).to_json())?;
    } else {
        engine.finish_in(transaction, row.id, &Ending::Stopped { reason, message }, at, |ended| report(ended, keep).to_json())?;
    }
    Ok(())
}

fn refused(row: &ImportRow) -> Fault {
    StoreError::State { import: row.id.0, state: row.state.as_str() }.into()
}
