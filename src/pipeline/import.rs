//! One import, slice by slice: look at the whole file, delete in chunks, end, archive.
//!
//! Every slice can be killed and done again: what is durable says where to go on.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tracing::{debug, error, info, warn};

use super::hold::remark;
use super::pace::{Pace, Reach};
use super::reading::{ORPHAN, ReadingOf, kind_by_hand, reading_of};
use super::reported::{bad_rows_message, report, warnings};
use super::unpack::{Unpacked, distrusted, whose_fault};
use super::vouch::OVERTAKEN;
use super::{Fault, Pipeline};
use crate::domain::{Dialect, FileName, FileState, Identity, ImportId, Mode, NameKind, Outcome, Rejection, State};
use crate::purge::{Ended, Ending, Held, InputRow, MatchError, Matched, PurgeError};
use crate::records::{self, ReadError, Reading};
use crate::report::{Report, ReportError, ResultsRow, ResultsWriter, RowCounts, Status, Why};
use crate::spool::{ArchivedFile, ClaimedFile, Companion, DropFolder, End, Folders};
use crate::store::ledger::{self, FileFacts, ImportRow, Origin, RowCustomers};
use crate::telemetry::chain;

/// The companions' endings. DESIGN section 2.
pub const REPORT: &str = ".report.json";
const RESULTS: &str = ".results.csv";

/// The code of a file that is refused for its bad rows.
pub(super) const BAD_ROWS: &str = "bad_rows";

/// What is remembered of an import between its slices. All of it can be lost.
#[derive(Debug)]
pub(super) struct Running {
    pace: Pace,
    /// Whom it takes is sealed.
    sealed: bool,
}

impl Running {
    fn new(reach: Reach) -> Self {
        Self { pace: Pace::new(reach), sealed: false }
    }

    /// After a fault that passes all is looked at anew, but how long a chunk took is still known.
    pub(super) fn fault(&mut self) {
        self.sealed = false;
    }
}

/// Whether an import needs another slice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    More,
    Over,
}

/// Why the rows of a file were not matched.
enum Unmatched {
    /// The file is rejected, its dialect told where it was known by then.
    Refused(Option<Dialect>, Rejection),
    /// Something of ours failed.
    Failed(Fault),
}

impl Unmatched {
    fn unread(dialect: Option<Dialect>, error: ReadError) -> Self {
        match error {
            ReadError::Rejected(rejection) => Self::Refused(dialect, rejection),
            ReadError::Medium(error) => Self::Failed(error.into()),
        }
    }
}

impl Pipeline {
    /// The next slice of an import.
    pub(super) fn step(&mut self, import: ImportId) -> Result<Step, Fault> {
        // What was read there may be told and filed before anything is written.
        self.store.in_place()?;
        let mut row = ledger::require(self.store.connection(), import)?;
        if matches!(row.state, State::Received | State::Checking | State::Purging)
            && let Some(step) = self.paused(&mut row)?
        {
            return Ok(step);
        }
        match row.state {
            State::Received | State::Checking => self.look(&row),
            State::Purging => self.chunk(&row),
            State::Completed | State::Rejected | State::Stopped => self.archive(&row),
            State::Held | State::Failed => self.set_aside(&row),
        }
    }

    /// The first pass: the whole file is hashed, read, validated and matched; nothing is deleted.
    fn look(&mut self, row: &ImportRow) -> Result<Step, Fault> {
        let started_at = Self::now();
        let folders = self.spool.tenant(&row.tenant)?;
        let claimed = self.owned_file(&folders, row)?;
        self.publish(&folders, row, State::Checking, None)?;
        let mut file = claimed.open()?;
        let (sha256, bytes) = digest(&mut file)?;
        let facts = FileFacts { bytes, sha256: &sha256, dialect: None, reading: None, warnings: &[], started_at };
        let reading = match self.admit(row, claimed.name(), &facts) {
            Ok(reading) => reading,
            Err(rejection) => return self.reject(row, &facts, &rejection),
        };
        file.rewind()?;
        let reading = match row.expected_sha256 {
            Some(_) => reading,
            None => distrusted(reading, &file, claimed.name(), self.rules(&row.tenant).unpacked_bytes_max)?,
        };
        file.rewind()?;
        let (dialect, matched) = match self.match_file(row, (file, claimed.name()), &reading, started_at) {
            Ok(matched) => matched,
            Err(Unmatched::Refused(dialect, rejection)) => return self.reject(row, &FileFacts { dialect, ..facts }, &rejection),
            Err(Unmatched::Failed(fault)) => return Err(fault),
        };
        let held = self.judge(row, &matched)?;
        let warnings: Vec<String> =
            warnings(matched.rows_read(), reading.limits.rows_recommended).into_iter().chain(remark(&held)).collect();
        let as_text = serde_json::to_string(&reading).expect("text, flags and numbers always serialise");
        let facts = FileFacts { dialect, reading: Some(&as_text), warnings: &warnings, ..facts };
        self.store.write("note an import's file", |tx| ledger::note_file(tx, row.id, &facts))?;
        if matched.tally().invalid > 0 && self.rules(&row.tenant).reject_bad_rows {
            return self.refuse_rows(row, &matched);
        }
        match row.mode {
            Mode::Check => self.end_check(row, &matched, &held),
            Mode::Purge if !held.is_empty() => self.hold(row, &matched, &held),
            Mode::Purge => self.begin_purge(row, &matched, &folders),
        }
    }

    /// Reads and matches the rows of a claimed file, whose dialect is known with them.
    fn match_file(
        &self,
        row: &ImportRow,
        (file, name): (File, &FileName),
        reading: &Reading,
        started_at: Timestamp,
    ) -> Result<(Option<Dialect>, Matched), Unmatched> {
        let unpacked = Unpacked::new(file, name, self.rules(&row.tenant).unpacked_bytes_max);
        let mut rows = records::read(unpacked, reading.clone()).map_err(|error| Unmatched::unread(None, whose_fault(error)))?;
        let input = rows
            .by_ref()
            .map(|row| row.map_err(whose_fault).map(|row| InputRow { line: row.line, subject: row.subject, flags: row.flags }));
        let matched = self.engine.match_rows(self.store.connection(), &row.tenant, row.settings, started_at, input);
        // JSON lines tell it with their first readable object, which may come late.
        let dialect = rows.dialect();
        let cannot_serve = |why: &str| Unmatched::Refused(dialect, Rejection::new("plan_cannot_serve", why));
        let matched = matched.map_err(|error| match error {
            MatchError::Input(error) => Unmatched::unread(dialect, error),
            // No other try would serve it.
            MatchError::Purge(PurgeError::CannotServe(why)) => cannot_serve(why),
            MatchError::Purge(error @ PurgeError::AnotherTenants { .. }) => {
                // Whose it is, is not this tenant's business.
                error!(tenant = %row.tenant, import = row.id.0, cause = chain(&error), "import cannot be served");
                cannot_serve(&self.with_contact(&row.tenant, "the operator's erasure plan does not serve this tenant"))
            }
            MatchError::Purge(error) => Unmatched::Failed(error.into()),
        })?;
        Ok((dialect, matched))
    }

    /// The end of a rehearsal that was uploaded: its report says what a purge would do.
    fn end_check(&mut self, row: &ImportRow, matched: &Matched, held: &[Held]) -> Result<Step, Fault> {
        let checked = self.engine.check(self.store.connection(), matched)?;
        let (at, keep) = (Self::now(), self.options.originals_days);
        let ended = self.engine.finish_check(&mut self.store, row.id, matched, &checked, at, |ended| {
            Report { would_hold: Some(!held.is_empty()), ..report(ended, keep) }.to_json()
        })?;
        self.tell_end(&ended);
        Ok(Step::More)
    }

    /// Notes the targets in the ledger: from here on the import deletes.
    fn begin_purge(&mut self, row: &ImportRow, matched: &Matched, folders: &Folders) -> Result<Step, Fault> {
        self.engine.begin(&mut self.store, row.id, matched)?;
        info!(tenant = %row.tenant, import = row.id.0, rows = matched.rows_read(), customers = matched.customers(), "file checked");
        self.running.insert(row.id, Running::new(self.fitting.reach()));
        self.publish(folders, row, State::Purging, None)?;
        Ok(Step::More)
    }

    /// What can be said against a file before a row is read.
    fn admit(&self, row: &ImportRow, name: &FileName, facts: &FileFacts<'_>) -> Result<Reading, Rejection> {
        match row.refusal.as_deref() {
            None => {}
            Some("checksum_missing") => {
                return Err(Rejection::new("checksum_missing", "no checksum came for this file; send NAME.sha256 before NAME"));
            }
            Some(OVERTAKEN) => {
                let message =
                    "an earlier file of its name was taken without this checksum, so it speaks for none; send NAME.sha256 before NAME";
                return Err(Rejection::new(ORPHAN, message));
            }
            Some(code) => return Err(Rejection::new(code, "refused before it was read")),
        }
        let vouched = match row.expected_sha256.as_deref() {
            None => false,
            Some(expected) if expected == facts.sha256 => true,
            Some("") => {
                return Err(Rejection::new("checksum_unreadable", "the checksum file says nothing of this file; write it with sha256sum"));
            }
            Some(expected) => return Err(self.mismatch(row, expected)),
        };
        let kind = match row.origin {
            Origin::Command => kind_by_hand(name.kind()),
            Origin::Sftp | Origin::File => name.kind(),
        };
        if facts.bytes == 0 && !matches!(kind, NameKind::List { gzip: false, .. }) {
            return Err(Rejection::new("empty_file", "the file is empty; send it whole"));
        }
        let of = ReadingOf { map: &row.map, vouched, seams: &row.seams };
        reading_of(kind, &self.rules(&row.tenant), &of)
    }

    /// A checksum that does not hold. One that came after its own file is found beside the next of the name.
    fn mismatch(&self, row: &ImportRow, expected: &str) -> Rejection {
        let message = match ledger::earlier_of_name(self.store.connection(), row, expected) {
            Ok(Some(earlier)) => {
                format!("its checksum is that of an earlier file of this name (import {earlier}); send NAME.sha256 before NAME, both again")
            }
            // The words for the sender can do without it.
            Ok(None) | Err(_) => "the file's bytes are not those of its checksum; send both again".to_owned(),
        };
        Rejection::new("checksum_mismatch", message)
    }

    fn reject(&mut self, row: &ImportRow, facts: &FileFacts<'_>, rejection: &Rejection) -> Result<Step, Fault> {
        self.store.write("note an import's file", |tx| ledger::note_file(tx, row.id, facts))?;
        let ending = Ending::Rejected { reason: rejection.code.clone(), message: rejection.message.clone() };
        let error = ReportError { line: rejection.line, column: None, reason: rejection.code.clone(), message: rejection.message.clone() };
        let keep = self.options.originals_days;
        let ended = self.engine.finish(&mut self.store, row.id, &ending, Self::now(), |ended| {
            let mut report = report(ended, keep);
            report.errors = vec![error];
            report.to_json()
        })?;
        self.tell_end(&ended);
        Ok(Step::More)
    }

    /// Where the tenant's rule is all or nothing, a bad row rejects the file; the bad rows are listed.
    fn refuse_rows(&mut self, row: &ImportRow, matched: &Matched) -> Result<Step, Fault> {
        let keep = self.options.originals_days;
        let ending = Ending::Rejected { reason: BAD_ROWS.to_owned(), message: bad_rows_message(matched.tally().invalid) };
        let ended =
            self.engine.refuse_rows(&mut self.store, row.id, matched, &ending, Self::now(), |ended| report(ended, keep).to_json())?;
        self.tell_end(&ended);
        Ok(Step::More)
    }

    /// One chunk of deletions; after the last, the end.
    fn chunk(&mut self, row: &ImportRow) -> Result<Step, Fault> {
        let others = self.look_for_others()?;
        let shared = others || self.turns.contended();
        let reach = self.fitting.reach();
        let wish = if shared { self.options.chunk_shared } else { self.options.chunk_alone };
        if row.cursor.is_none() && !self.running.get(&row.id).is_some_and(|running| running.sealed) {
            self.seal(row.id)?;
            self.running.entry(row.id).or_insert_with(|| Running::new(reach)).sealed = true;
        }
        let running = self.running.entry(row.id).or_insert_with(|| Running::new(reach));
        let targets = running.pace.targets(wish);
        let began = Instant::now();
        let done = self.engine.chunk(&mut self.store, row.id, targets, Self::now())?;
        let took = began.elapsed();
        debug!(import = row.id.0, targets = done.targets, customers = done.customers, seconds = took.as_secs_f64(), "chunk purged");
        if done.more {
            running.pace.learn(took);
            let rest = if others { self.options.chunk_rest.max(OTHERS_TURN) } else { self.options.chunk_rest };
            let until = Instant::now() + rest;
            // Others may write meanwhile.
            self.store.bring_back()?;
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            return Ok(Step::More);
        }
        let keep = self.options.originals_days;
        let ended = self.engine.finish(&mut self.store, row.id, &Ending::Completed, Self::now(), |ended| report(ended, keep).to_json())?;
        self.tell_end(&ended);
        Ok(Step::More)
    }

    /// The report with its signature and the results beside the file, and the file to its last folder.
    fn archive(&mut self, row: &ImportRow) -> Result<Step, Fault> {
        let folders = self.spool.tenant(&row.tenant)?;
        let place = place_of(row)?;
        let text = row.report.as_deref().unwrap_or_default();
        let mut write_report = |out: &mut dyn Write| out.write_all(text.as_bytes());
        // What stands there while the file is still claimed is of before a kill, or another import's: that is refused below.
        if !folders.has_ended(&place)? || folders.claimed_file(row.id, &place.name)?.is_some() {
            let claimed = self.owned_file(&folders, row)?;
            let signature = self.signature(text)?;
            let mut report = Companion { suffix: REPORT, write: &mut write_report, signature: Some(&signature) };
            // Only a file that a checksum spoke for has one beside it: listing `processing` for each of many files takes its time.
            let beside = if row.expected_sha256.is_some() { folders.claimed()? } else { Vec::new() };
            for sidecar in beside.into_iter().filter(|file| file.import() == row.id && file.name() != claimed.name()) {
                match place.end {
                    End::Archive => sidecar.archive(place.day, &mut [])?,
                    End::Rejected | End::Held => sidecar.reject(place.day, &mut [])?,
                };
            }
            match place.end {
                End::Archive => {
                    let customers = ledger::row_customers(self.store.connection(), row.id, rows_of(row))?;
                    let outcomes = ledger::outcomes(self.store.connection(), row.id)?;
                    let source = claimed.open()?;
                    let mut write_results = |out: &mut dyn Write| self.write_results(row, &source, &outcomes, &customers, out);
                    let results = Companion { suffix: RESULTS, write: &mut write_results, signature: None };
                    claimed.archive(place.day, &mut [report, results])?;
                }
                End::Rejected | End::Held => {
                    claimed.reject(place.day, std::slice::from_mut(&mut report))?;
                }
            }
        }
        self.publish(&folders, row, row.state, Some(format!("{}{REPORT}", place.path())))?;
        self.store.write("note an import's archiving", |tx| {
            ledger::set_archived(tx, row.id)?;
            ledger::forget_targets(tx, row.id)
        })?;
        // The log keeps old pages, deleted people among them, until it is emptied.
        if self.store.checkpoint()?.busy {
            warn!(import = row.id.0, "write-ahead log not emptied: a reader holds it");
        }
        Ok(Step::Over)
    }

    /// One line a row of input, by reading the claimed file again beside the ledger's outcomes.
    fn write_results(
        &self,
        row: &ImportRow,
        source: &File,
        outcomes: &[u8],
        customers: &RowCustomers,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let reading: Option<Reading> = row.reading.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let reading = reading.ok_or_else(|| io::Error::other("the ledger does not say how the file was read"))?;
        let name = FileName::parse(&row.file).map_err(io::Error::other)?;
        let mut source = source.try_clone()?;
        source.rewind()?;
        let changed = || io::Error::other("the claimed file changed since it was matched");
        let rows = records::read(Unpacked::new(source, &name, u64::MAX), reading).map_err(|_| changed())?;
        let mut results = ResultsWriter::new(out, row.mode, row.tenant.clone(), self.key.clone())?;
        let mut first: HashMap<Identity, u64> = HashMap::new();
        let mut outcomes = outcomes.iter().enumerate();
        for input in rows {
            let input = input.map_err(|_| changed())?;
            let (index, byte) = outcomes.next().ok_or_else(changed)?;
            let outcome = Outcome::from_byte(*byte).ok_or_else(changed)?;
            let why = match &input.subject {
                Err(error) => Why::Bad(error.reason),
                Ok(subject) => {
                    let line = *first.entry(self.key.subject(&row.tenant, subject)).or_insert(input.line);
                    if outcome == Outcome::Duplicate && line != input.line { Why::SameAs(line) } else { Why::Blank }
                }
            };
            results.row(&ResultsRow {
                line: input.line,
                outcome,
                account_id: &input.echo.account_id,
                id: &input.echo.id,
                request_id: &input.echo.request_id,
                why,
                customers: customers.of(u32::try_from(index).map_err(io::Error::other)?, outcome).into(),
            })?;
        }
        if outcomes.next().is_some() {
            return Err(changed());
        }
        results.finish()?.flush()
    }

    fn tell_end(&self, ended: &Ended) {
        let row = &ended.import;
        let RowCounts { read, deleted, would_delete, not_found, duplicate, invalid, exempt, skipped } =
            RowCounts::new(row.mode, ended.tally);
        let customers = row.progress.removed.get(&self.engine.plan().subject.table);
        let seconds =
            row.finished_at.zip(row.started_at).map(|(end, start)| (end.as_millisecond() - start.as_millisecond()) as f64 / 1000.0);
        info!(
            tenant = %row.tenant, import = row.id.0, file = row.file, mode = row.mode.as_str(), status = row.state.as_str(),
            reason = row.reason, rows = read, deleted, would_delete, not_found, duplicate, invalid, exempt, skipped, customers, seconds,
            why = row.message, "import ended"
        );
    }

    /// Says in `/status/NAME.json` where the newest import of this name stands. A rehearsal, or a list
    /// given to a command, never stands in for a sender's purge that is not over.
    pub(super) fn publish(&self, folders: &Folders, row: &ImportRow, state: State, report: Option<String>) -> Result<(), Fault> {
        // Its delivery has said "waiting" under the name by now: the purge's state is said again.
        let is_senders_purge = row.mode == Mode::Purge && row.origin != Origin::Command;
        if !is_senders_purge && let Some(purge) = self.standing_purge(&row.tenant, &file_name(row)?)? {
            return self.publish(folders, &purge, purge.state, None);
        }
        if ledger::told_by_newer(self.store.connection(), row)? {
            return Ok(());
        }
        let status = Status {
            state: FileState::Import(state).as_str().to_owned(),
            mode: row.mode,
            reason: row.reason.clone(),
            import: Some(row.id),
            sha256: row.sha256.clone(),
            received_at: row.received_at,
            report,
            message: row.message.clone(),
        };
        let covered_by: &[DropFolder] = if is_senders_purge { &[DropFolder::Inbox] } else { &DropFolder::ALL };
        folders.publish_status_of_claimed(&file_name(row)?, status.to_json().as_bytes(), covered_by)?;
        Ok(())
    }
}

/// Where an ended import's file goes: the UTC day of its arrival.
pub(super) fn place_of(row: &ImportRow) -> Result<ArchivedFile, Fault> {
    let end = match row.state {
        State::Rejected => End::Rejected,
        State::Held | State::Failed => End::Held,
        State::Received | State::Checking | State::Purging | State::Completed | State::Stopped => End::Archive,
    };
    Ok(ArchivedFile { end, day: arrival_day(row), import: row.id, name: file_name(row)? })
}

/// The UTC day of arrival.
pub(super) fn arrival_day(row: &ImportRow) -> jiff::civil::Date {
    row.received_at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

pub(super) fn file_name(row: &ImportRow) -> Result<FileName, Fault> {
    FileName::parse(&row.file).map_err(|error| Fault::Medium(io::Error::other(error)))
}

pub(super) fn claimed_file(folders: &Folders, row: &ImportRow) -> Result<ClaimedFile, Fault> {
    folders.claimed_file(row.id, &file_name(row)?)?.ok_or_else(|| Fault::FileGone(format!("{}-{}", row.id, row.file)))
}

fn rows_of(row: &ImportRow) -> usize {
    row.tally.map_or(0, |tally| usize::try_from(tally.read).unwrap_or(usize::MAX))
}

pub(super) fn digest(file: &mut File) -> io::Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hex::encode(hash.finalize()), bytes)),
            read => {
                hash.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// How long another writer needs to get its turn: longer than SQLite's own busy handler ever sleeps between two tries.
pub const OTHERS_TURN: Duration = Duration::from_millis(110);
