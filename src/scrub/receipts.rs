//! The end of a scrub: the log is emptied, and each covered import gets its receipt, in one transaction.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::progress::{Progress, Stage};
use super::{Method, Running, ScrubError, Step};
use crate::domain::ImportId;
use crate::report::{ContentEvidence, ScrubReceipt, StructureEvidence, time_text};
use crate::store::ledger::{self, Again, Found, ImportRow, ScrubRow};
use crate::store::{Checkpoint, Doing, Store, StoreError};

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
    /// What the plan keeps of their people.
    pub kept: u64,
    /// Covered imports whose identifiers were not at hand.
    pub unsearched: u64,
    /// How it worked.
    pub method: Method,
    /// When some of the imports are looked at again at the latest; none: no receipt asks for it.
    pub again_at: Option<Timestamp>,
}

impl Ended {
    /// Shown that nothing was left.
    #[must_use]
    pub fn clean(&self) -> bool {
        unclean_structure(&self.structure).is_empty() && self.receipts.iter().all(|receipt| receipt.clean)
    }
}

/// What holds after the moment of the receipt.
const PROMISE: &str = "on for every connection of expunged; other programs' connections follow their own setting, \
                       and this receipt states the file as it was at finished_at";

/// Before an import that was not clean makes a scrub begin again: the first time, and the longest. It doubles. A scrub that
/// begins for another reason covers it too.
const AGAIN_MIN: SignedDuration = SignedDuration::from_hours(1);
const AGAIN_MAX: SignedDuration = SignedDuration::from_hours(24);

/// After that long it is given up, and its identifiers go.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The last step of a scrub: empties the log and writes the receipts of all covered imports into the ledger. What the caller has to file
/// is in the answer.
pub(super) fn end(store: &mut Store, running: &mut Running, at: Timestamp) -> Result<Step, ScrubError> {
    let emptied = store.checkpoint()?;
    if emptied.busy {
        return Ok(Step::Waiting);
    }
    let structure = structure(store, &running.progress, emptied)?;
    let (tables, full_text) = (count_tables(store)?, full_text(store)?);
    let (mut receipts, mut founds) = (Vec::new(), Vec::new());
    for (number, sought) in (0..).zip(&running.sought) {
        let Some(import) = ledger::get(store.connection(), sought.import)? else { continue };
        let found = running.progress.found.get(&number).cloned().unwrap_or_default();
        let content = ContentEvidence {
            searched: sought.searched,
            identifiers: sought.many,
            too_short: sought.too_short,
            tables,
            full_text: full_text.clone(),
            still_held: found.still_held,
            kept: found.kept,
            residue: found.residue,
        };
        let (receipt, again) = receipt_of(store, running, import, (structure.clone(), content), at)?;
        founds.push(Found { import: receipt.import, receipt: receipt.to_json(), again });
        receipts.push(receipt);
    }
    let ended = Ended {
        scrub: running.row.id,
        residue: receipts.iter().flat_map(|receipt| receipt.content.residue.values()).sum(),
        kept: receipts.iter().flat_map(|receipt| receipt.content.kept.values()).map(|kept| kept.values).sum(),
        unsearched: receipts.iter().filter(|receipt| !receipt.content.searched).count() as u64,
        method: running.progress.method,
        again_at: receipts.iter().filter_map(|receipt| receipt.again_at).min(),
        structure,
        receipts,
    };
    let result = result(&running.row, &ended, at).to_string();
    store.write("end a scrub", |tx| ledger::end_scrub(tx, running.row.id, &result, &founds, at))?;
    Ok(Step::Ended(Box::new(ended)))
}

/// The receipt of one covered import; and when it is looked at again, unless it is clean or that would be to no end.
fn receipt_of(
    store: &Store,
    running: &Running,
    import: ImportRow,
    (structure, content): (StructureEvidence, ContentEvidence),
    at: Timestamp,
) -> Result<(ScrubReceipt, Option<Again>), StoreError> {
    let unclean = unclean(&structure, &content);
    let before = ledger::again(store.connection(), import.id)?;
    // Identifiers that are gone do not come back.
    let again = if unclean.is_empty() || !content.searched { None } else { next_try(before, at) };
    let receipt = ScrubReceipt {
        version: 1,
        import: import.id,
        tenant: import.tenant,
        file: import.file,
        report: import.report_sha256.unwrap_or_default(),
        scrub: running.row.id,
        started_at: running.row.started_at,
        finished_at: at,
        method: running.progress.method.as_str().to_owned(),
        clean: unclean.is_empty(),
        unclean: unclean.into_iter().map(str::to_owned).collect(),
        tries: before.map_or(0, |before| before.tries) + 1,
        supersedes: earlier(store, import.id)?,
        again_at: again.map(|again| again.at),
        structure,
        content,
        secure_delete: PROMISE.to_owned(),
    };
    Ok((receipt, again))
}

/// When an import that is not clean is looked at again at the latest. `None`: it was tried long enough.
fn next_try(before: Option<Again>, at: Timestamp) -> Option<Again> {
    let (tries, since) = before.map_or((0, at), |before| (before.tries, before.since));
    let rest = AGAIN_MIN.checked_mul(1 << tries.min(8)).map_or(AGAIN_MAX, |rest| rest.min(AGAIN_MAX));
    let again_at = at.checked_add(rest).ok()?;
    (at.duration_since(since) < GIVEN_UP_AFTER).then_some(Again { tries: tries + 1, since, at: again_at })
}

/// The scrub whose receipt an import has.
fn earlier(store: &Store, import: ImportId) -> Result<Option<i64>, StoreError> {
    let text = ledger::scrub_receipt(store.connection(), import)?.flatten();
    Ok(text.and_then(|text| serde_json::from_str::<ScrubReceipt>(&text).ok()).map(|receipt| receipt.scrub))
}

/// What keeps a receipt from being clean, by its field.
fn unclean(structure: &StructureEvidence, content: &ContentEvidence) -> Vec<&'static str> {
    let of_content = [("searched", content.searched), ("residue", content.residue.is_empty())];
    let of_content = of_content.into_iter().filter(|(_, well)| !well).map(|(name, _)| name);
    unclean_structure(structure).into_iter().chain(of_content).collect()
}

fn unclean_structure(structure: &StructureEvidence) -> Vec<&'static str> {
    let of_structure = [
        ("nonzero_bytes", structure.nonzero_bytes == 0),
        ("unread_pages", structure.unread_pages == 0),
        ("undisturbed", structure.undisturbed),
        ("log_empty", structure.log_empty),
    ];
    of_structure.into_iter().filter(|(_, well)| !well).map(|(name, _)| name).collect()
}

/// The scrub as a whole, for whoever asked for it.
fn result(row: &ScrubRow, ended: &Ended, at: Timestamp) -> serde_json::Value {
    let mut places = BTreeMap::<&str, u64>::new();
    ended.receipts.iter().flat_map(|receipt| &receipt.content.residue).for_each(|(place, many)| *places.entry(place).or_default() += many);
    serde_json::json!({
        "scrub": row.id, "clean": ended.clean(), "method": ended.method.as_str(),
        "started_at": time_text(row.started_at), "finished_at": time_text(at),
        "imports": ended.receipts.iter().map(|receipt| receipt.import).collect::<Vec<_>>(),
        "structure": ended.structure, "residue": ended.residue, "residue_in": places, "kept": ended.kept, "unsearched": ended.unsearched,
        "again_at": ended.again_at.map(time_text),
        "still_held": ended.receipts.iter().flat_map(|receipt| receipt.content.still_held.values()).sum::<u64>(),
    })
}

fn structure(store: &Store, progress: &Progress, emptied: Checkpoint) -> Result<StructureEvidence, StoreError> {
    debug_assert_eq!(progress.stage, Stage::Log);
    let length = |suffix: &str| {
        let path = store.connection().path().map(|path| format!("{path}{suffix}")).unwrap_or_default();
        std::fs::metadata(path).map_or(0, |file| file.len())
    };
    Ok(StructureEvidence {
        bytes: progress.bytes,
        pages: progress.tally.pages,
        walks: progress.walks,
        zeroed_pages: progress.zeroed_pages,
        zeroed_bytes: progress.zeroed_bytes,
        nonzero_bytes: progress.nonzero_bytes,
        unread_pages: progress.unread_pages(),
        undisturbed: !progress.disturbed,
        // What another connection has written since the log was emptied is not of before.
        log_empty: (emptied.log_frames == Some(0) || length("-wal") == 0) && length("-journal") == 0,
        samples_deleted: progress.samples_deleted,
    })
}

/// The virtual tables that are full-text indexes.
fn full_text(store: &Store) -> Result<Vec<String>, StoreError> {
    let doing = "list the full-text indexes";
    let sql = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%USING%fts%' ORDER BY name";
    let mut statement = store.connection().prepare(sql).doing(doing)?;
    let names = statement.query_map([], |row| row.get(0)).doing(doing)?.collect::<Result<_, _>>().doing(doing)?;
    Ok(names)
}

fn count_tables(store: &Store) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0";
    let tables: i64 = store.connection().query_row(sql, [], |row| row.get(0)).doing("count the tables")?;
    Ok(tables.unsigned_abs())
}
