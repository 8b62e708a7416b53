//! The end of a scrub: the log is emptied, and each covered import gets its receipt, in one transaction.

use jiff::Timestamp;

use super::progress::{Progress, Stage};
use super::{Method, Running, ScrubError, Step};
use crate::domain::ImportId;
use crate::report::{ContentEvidence, ScrubReceipt, StructureEvidence};
use crate::store::ledger::{self, ScrubRow};
use crate::store::{Doing, Store, StoreError};

/// What a scrub came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// Its number.
    pub scrub: i64,
    /// The receipts of the imports that it covered.
    pub receipts: Vec<ScrubReceipt>,
    /// Bytes that no row uses, and where they were zeroed.
    pub structure: StructureEvidence,
    /// The covered imports' residue together.
    pub residue: u64,
    /// How it worked.
    pub method: Method,
}

impl Ended {
    /// Nothing was left.
    #[must_use]
    pub fn clean(&self) -> bool {
        self.receipts.iter().all(|receipt| receipt.clean)
    }
}

/// What holds after the moment of the receipt.
const PROMISE: &str = "on for every connection of expunged; other programs' connections follow their own setting, \
                       and this receipt states the file as it was at finished_at";

pub(super) fn end(store: &mut Store, running: &mut Running, at: Timestamp) -> Result<Step, ScrubError> {
    if store.checkpoint()?.busy {
        return Ok(Step::Waiting);
    }
    let structure = structure(store, &running.progress)?;
    let tables = count_tables(store)?;
    let mut receipts = Vec::new();
    for (number, sought) in (0..).zip(&running.sought) {
        let Some(import) = ledger::get(store.connection(), sought.import)? else { continue };
        let found = running.progress.found.get(&number).cloned().unwrap_or_default();
        let content = ContentEvidence {
            searched: sought.searched,
            identifiers: sought.many,
            too_short: sought.too_short,
            tables,
            still_held: found.still_held,
            residue: found.residue,
        };
        receipts.push(ScrubReceipt {
            version: 1,
            import: import.id,
            tenant: import.tenant,
            file: import.file,
            report: import.report_sha256.unwrap_or_default(),
            scrub: running.row.id,
            started_at: running.row.started_at,
            finished_at: at,
            method: running.progress.method.as_str().to_owned(),
            clean: is_clean(&structure, &content),
            structure: structure.clone(),
            content,
            secure_delete: PROMISE.to_owned(),
        });
    }
    let residue = receipts.iter().flat_map(|receipt| receipt.content.residue.values()).sum();
    let ended = Ended { scrub: running.row.id, receipts, structure, residue, method: running.progress.method };
    let texts: Vec<(ImportId, String)> = ended.receipts.iter().map(|receipt| (receipt.import, receipt.to_json())).collect();
    let result = result(&running.row, &ended, at).to_string();
    store.write("end a scrub", |tx| ledger::end_scrub(tx, running.row.id, &result, &texts, at))?;
    Ok(Step::Ended(Box::new(ended)))
}

fn is_clean(structure: &StructureEvidence, content: &ContentEvidence) -> bool {
    structure.nonzero_bytes == 0 && structure.unread_pages == 0 && structure.log_empty && content.searched && content.residue.is_empty()
}

/// The scrub as a whole, for whoever asked for it.
fn result(row: &ScrubRow, ended: &Ended, at: Timestamp) -> serde_json::Value {
    serde_json::json!({
        "scrub": row.id, "clean": ended.clean(), "method": ended.method.as_str(), "started_at": row.started_at, "finished_at": at,
        "imports": ended.receipts.iter().map(|receipt| receipt.import).collect::<Vec<_>>(),
        "structure": ended.structure, "residue": ended.residue,
        "still_held": ended.receipts.iter().flat_map(|receipt| receipt.content.still_held.values()).sum::<u64>(),
    })
}

fn structure(store: &Store, progress: &Progress) -> Result<StructureEvidence, StoreError> {
    debug_assert_eq!(progress.stage, Stage::Log);
    let length = |suffix: &str| {
        let path = store.connection().path().map(|path| format!("{path}{suffix}")).unwrap_or_default();
        std::fs::metadata(path).map_or(0, |file| file.len())
    };
    Ok(StructureEvidence {
        bytes: progress.bytes,
        pages: progress.tally.pages,
        walks: progress.walks,
        zeroed_pages: progress.dirty_pages,
        zeroed_bytes: progress.dirty_bytes,
        nonzero_bytes: progress.tally.dirty_bytes,
        unread_pages: progress.unread_pages(),
        undisturbed: !progress.disturbed,
        log_empty: length("-wal") == 0 && length("-journal") == 0,
        samples_deleted: progress.samples_deleted,
    })
}

fn count_tables(store: &Store) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0";
    let tables: i64 = store.connection().query_row(sql, [], |row| row.get(0)).doing("count the tables")?;
    Ok(tables.unsigned_abs())
}
