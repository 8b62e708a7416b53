//! The ledger: what was imported, who is yet to go, and what came of it. `expunged_` tables beside the user's own, so
//! that deletions and the record of them commit together.
//!
//! Holds row numbers, keys and keyed hashes; never an address. All functions take the connection or the transaction.

mod exemptions;
mod holds;
mod import_row;
mod imports;
mod key;
mod requests;
mod scrubs;
mod suppressions;
mod targets;

use rusqlite::{Connection, Transaction};

use super::schema::check_version;
use super::{Doing, StoreError};

pub use exemptions::{
    Exemption, NewExemption, any_exempt, exempt, exemptions, exemptions_seen, is_exempt, is_marked_exempt, mark_exempt, newest_exemption,
    note_exemptions_seen, unexempt,
};
pub use holds::{Decision, Hold, approve, decisions, forget_attempts, hold, hold_of, holds, note_decision, note_warned, set_aside};
pub use import_row::{BadRow, ImportRow, Origin, Progress};
pub use imports::{
    End, FileFacts, NewImport, Planned, digest, earlier_of_name, end, get, highest_number, in_work, insert, last_taken, list,
    newest_of_name, note_attempt, note_file, number_above, outcomes, plan, previous_report, progress, require, same_bytes, set_archived,
    set_progress, set_state, store_report, told_by_newer, unarchived, unfinished_purge, withdraw,
};
pub use key::{is_marked, mark};
pub use requests::{
    NewRequest, RequestRow, finish_request, insert_request, open_requests, request, request_of_import, take_request, unended_requests,
    withdraw_request,
};
pub use scrubs::{
    Again, Found, ScrubRow, Unscrubbed, again, begin_scrub, covered, end_scrub, note_unscrubbed, open_scrub, save_scrub, scrub,
    scrub_receipt, set_filed, unfiled, unfiled_scrub, unscrubbed,
};
pub use suppressions::{
    Suppression, SuppressionCount, SuppressionKind, drop_pending, is_suppressed, lift, pend_suppression, settle_pending, suppress,
    suppression_counts, suppressions,
};
pub use targets::{
    RowCustomers, RowFate, Target, TargetFlags, any_detached, any_preserved, count_targets, forget_detached, forget_taken, forget_targets,
    insert_targets, is_detached, is_preserved, is_target, last_target, mark_gone, next_targets, note_detached, preserve, row_customers,
    row_fates,
};

const VERSION: i64 = 1;

const TABLES: &str = r#"
CREATE TABLE IF NOT EXISTS expunged_imports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, file TEXT NOT NULL, mode TEXT NOT NULL, state TEXT NOT NULL, reason TEXT, message TEXT,
    origin TEXT NOT NULL, requested_by TEXT, request_case TEXT,
    settings TEXT NOT NULL, map TEXT NOT NULL, seams TEXT NOT NULL,
    expected_sha256 TEXT, refusal TEXT, reading TEXT,
    bytes INTEGER, sha256 TEXT, dialect TEXT,
    received_at TEXT NOT NULL, started_at TEXT, finished_at TEXT,
    "plan" TEXT, cursor ANY, tally TEXT,
    removed TEXT NOT NULL DEFAULT '{}', detached TEXT NOT NULL DEFAULT '{}', overwritten TEXT NOT NULL DEFAULT '{}',
    accounts_deleted INTEGER NOT NULL DEFAULT 0, accounts_preserved INTEGER NOT NULL DEFAULT 0, suppressed INTEGER NOT NULL DEFAULT 0,
    ended INTEGER, report_sha256 TEXT, archived INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    errors_omitted INTEGER NOT NULL DEFAULT 0, warnings TEXT NOT NULL DEFAULT '[]', errors TEXT NOT NULL DEFAULT '[]', report TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS expunged_imports_by_file ON expunged_imports (tenant, file);
CREATE INDEX IF NOT EXISTS expunged_imports_by_bytes ON expunged_imports (tenant, sha256);
CREATE INDEX IF NOT EXISTS expunged_imports_by_end ON expunged_imports (tenant, ended);
CREATE INDEX IF NOT EXISTS expunged_imports_unarchived ON expunged_imports (tenant, id) WHERE archived = 0;
-- Apart, because each chunk writes the import's row again, and with it whatever stands in it.
CREATE TABLE IF NOT EXISTS expunged_outcomes (import INTEGER PRIMARY KEY, outcomes BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS expunged_targets (
    import INTEGER NOT NULL, "key" ANY NOT NULL, "row" INTEGER NOT NULL, identity BLOB NOT NULL,
    flags INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (import, "key")
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS expunged_kept_accounts (
    import INTEGER NOT NULL, account BLOB NOT NULL, PRIMARY KEY (import, account)
) STRICT, WITHOUT ROWID;
-- Of a former program, which knew an account by whatever its users call it: no longer written.
CREATE TABLE IF NOT EXISTS expunged_preserved_accounts (
    import INTEGER NOT NULL, account BLOB NOT NULL, PRIMARY KEY (import, account)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS expunged_detached_rows (
    import INTEGER NOT NULL, identity BLOB NOT NULL, PRIMARY KEY (import, identity)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS expunged_pending_suppressions (
    import INTEGER NOT NULL, kind TEXT NOT NULL, identity BLOB NOT NULL, PRIMARY KEY (import, kind, identity)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS expunged_suppressions (
    tenant TEXT NOT NULL, kind TEXT NOT NULL, identity BLOB NOT NULL, import INTEGER, created_at TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, identity)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS expunged_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, body TEXT NOT NULL, "by" TEXT NOT NULL,
    created_at TEXT NOT NULL, taken_at TEXT, finished_at TEXT, result TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS expunged_scrubs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, started_at TEXT NOT NULL, finished_at TEXT, progress TEXT NOT NULL, result TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS expunged_scrub_imports (
    import INTEGER PRIMARY KEY, "rows" INTEGER NOT NULL, since TEXT NOT NULL, scrub INTEGER, receipt TEXT, filed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS expunged_scrub_imports_open ON expunged_scrub_imports (import) WHERE filed = 0;
CREATE INDEX IF NOT EXISTS expunged_requests_open ON expunged_requests (id) WHERE finished_at IS NULL;
"#;

/// All of them.
const ALL: [&str; 5] = [TABLES, holds::TABLES, exemptions::TABLES, suppressions::TABLES, scrubs::TABLES];

pub(super) fn create(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    check_version(transaction, "ledger_version", VERSION)?;
    ALL.into_iter().try_for_each(|tables| transaction.execute_batch(tables).doing("make the ledger's tables"))
}

/// A table of somebody else's that has the name of one of the ledger's, where the ledger was not made yet.
pub(crate) fn name_taken(connection: &Connection) -> Result<Option<String>, StoreError> {
    let doing = "look for the ledger";
    let columns = "SELECT count(*) = 2 FROM pragma_table_info('expunged_meta', 'main') WHERE name IN ('name', 'value')";
    let version = "SELECT 1 FROM main.expunged_meta WHERE name IN ('ledger_version', 'schema_version')";
    let kept = connection.query_row(columns, [], |row| row.get::<_, bool>(0)).doing(doing)?;
    if kept && connection.prepare(version).and_then(|mut found| found.exists([])).doing(doing)? {
        return Ok(None);
    }
    let made = ALL.into_iter().flat_map(|tables| tables.split("CREATE TABLE IF NOT EXISTS ").skip(1));
    let names = made.filter_map(|rest| rest.split([' ', '(']).next()).chain(["expunged_meta"]);
    let mut there = connection.prepare("SELECT 1 FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE").doing(doing)?;
    for name in names {
        if there.exists([name]).doing(doing)? {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Whether the ledger's tables are there. A user's database has none before its first import, and may be read before that.
fn stands(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = 'expunged_imports'";
    let doing = "look for the ledger";
    connection.prepare_cached(sql).doing(doing)?.exists([]).doing(doing)
}

/// A value that the ledger keeps as JSON.
fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the ledger's values have text keys and no failing parts")
}

fn from_json<T: serde::de::DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Ledger(column))
}
