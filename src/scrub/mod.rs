//! Evidence that nothing of a purged person is left in the store's file, and the work that makes it so.
//!
//! Two parts. *Structure*, without identifiers: every byte of the database that no live row uses is zero, the write-ahead log and
//! the journal are empty. *Content*: live rows are searched for the purged people's addresses and ids, which were sealed before
//! the first of them went. A scrub covers all imports that ended before it began, and those whose receipts are not clean yet;
//! goes in slices whose length the caller times, can be killed anywhere and goes on from its last page. This module neither
//! waits nor looks at a clock; where receipts are filed, the caller knows.
//!
//! One time through: every page is looked at and its rows searched; what is found dirty is mended after each slice; at the end
//! the mended pages are looked at again, in the file. If nobody else wrote meanwhile, that is one state of the database, seen
//! whole. If someone did, it is gone through again; and when that does not help, the receipt says so and another scrub follows.

mod bloom;
mod content;
mod edges;
mod hash;
mod needles;
mod page;
mod page_set;
mod pages;
mod phrases;
mod progress;
mod receipts;
mod record;
mod roots;
mod seal;
mod sieve;
#[cfg(test)]
mod tests;
mod tree;
mod walk;
mod whose;

use std::io;
use std::panic::resume_unwind;
use std::thread;

use jiff::Timestamp;

use self::content::{Search, delete_samples, search_by_sql};
use self::needles::{Needles, NeedlesBuilder};
use self::page_set::PageSet;
use self::pages::{Beside, DatabaseFile, Pages};
use self::progress::{Moment, Progress, Sought, Stage};
use self::roots::Owners;
use self::walk::{Images, NoRows, Slice, Stop, Tally, Tell};
use crate::domain::ImportId;
use crate::store::ledger::{self, ScrubRow};
use crate::store::{Checkpoint, Doing, Living, LogKeeper, Store, StoreError};

pub use content::Found;
pub use needles::ID_BYTES_MIN;
pub use progress::Method;
pub use receipts::Ended;
pub use seal::{Fresh, SealKey, Sealing, Vault};

/// Why a scrub cannot go on. What it did so far stands.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sealed identifiers.
    #[error("cannot read the sealed identifiers")]
    Sealed(#[from] io::Error),
}

impl ScrubError {
    /// Whether another writer holds the lock: trying again may help.
    #[must_use]
    pub fn busy(&self) -> bool {
        matches!(self, Self::Store(error) if error.busy())
    }
}

/// Where a scrub stands after a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Go on.
    More,
    /// A reader keeps the write-ahead log from being emptied: try again after a while.
    Waiting,
    /// It has ended; its receipts are to be filed.
    Ended(Box<Ended>),
    /// There is nothing to scrub.
    Idle,
}

/// Whether a scrub begins although no import waits for one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Only for imports that wait.
    IfWaiting,
    /// Someone asked for it.
    Anyway,
}

/// Pages after which a walk that only looks notes how far it is.
const SAVE_EVERY_PAGES: u32 = 65_536;

/// Runs scrubs, one at a time.
#[derive(Debug)]
pub struct Scrubber {
    vault: Vault,
    living: Vec<Living>,
    method: Method,
    file: Option<DatabaseFile>,
    /// What is known of the open scrub. All of it can be lost.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    row: ScrubRow,
    progress: Progress,
    needles: Needles,
    sought: Sought,
    walking: Walking,
    /// Made when it is first needed.
    log_keeper: Option<LogKeeper>,
}

/// One time through the file.
#[derive(Debug, Default)]
struct Walking {
    /// Found dirty and to be mended, and those that were mended.
    dirty: PageSet,
    mended: PageSet,
    /// The last page was passed; the first of the mended ones that is to be looked at again; all of them were.
    passed: bool,
    again_from: u32,
    verified: bool,
    saved_page: u32,
    /// What the last look found dirty, as it is to be; and the state that was looked at, in which alone they may be written.
    images: Images,
    images_of: Option<Moment>,
    /// Whose the pages are, until someone else writes.
    owners: Option<Owners>,
    /// The state that the last slice left behind.
    left: Option<Moment>,
    /// The state of which the file holds all, whatever the log says.
    in_file: Option<Moment>,
}

impl Scrubber {
    /// A scrubber at rest. Reads what SQLite was built with.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn new(store: &Store, vault: Vault, living: Vec<Living>) -> Result<Self, StoreError> {
        let connection = store.connection();
        Ok(Self { vault, living, method: Method::of(connection)?, file: DatabaseFile::of(connection), running: None })
    }

    /// From now on these rows belong to someone who stays: the plan has changed.
    pub fn set_living(&mut self, living: Vec<Living>) {
        self.living = living;
    }

    /// How it works with this build of SQLite.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Whether the open scrub's last time through has begun, because others wrote during those before. If they write again, its
    /// receipts are not clean.
    #[must_use]
    pub fn is_last_time(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.progress.stage == Stage::Walk && running.progress.is_last())
    }

    /// The sealed identifiers.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Begins a scrub of every archived import that waits for one, the first or another, unless one is open. False: nothing waits, and none was
    /// wished for anyway.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin(&mut self, store: &mut Store, wish: Wish, at: Timestamp) -> Result<bool, StoreError> {
        if ledger::open_scrub(store.connection())?.is_some() {
            return Ok(true);
        }
        let progress = Progress::new(self.method).to_text();
        store.write("begin a scrub", |tx| {
            let imports: Vec<ImportId> = ledger::unscrubbed(tx)?.iter().map(|waiting| waiting.import).collect();
            if imports.is_empty() && wish == Wish::IfWaiting {
                return Ok(false);
            }
            ledger::begin_scrub(tx, &imports, &progress, at).map(|_| true)
        })
    }

    /// The next slice of the open scrub. `go_on` is asked between pages whether the slice may last.
    ///
    /// # Errors
    /// [`ScrubError`]: try again later.
    pub fn step(&mut self, store: &mut Store, at: Timestamp, go_on: &mut dyn FnMut() -> bool) -> Result<Step, ScrubError> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => match ledger::open_scrub(store.connection())? {
                Some(row) => self.take_up(store, row)?,
                None => return Ok(Step::Idle),
            },
        };
        let step = match running.progress.stage {
            Stage::Samples => self.samples(store, &mut running)?,
            Stage::Walk => self.walk(store, &mut running, go_on)?,
            Stage::Vacuum => self.vacuum(store, &mut running)?,
            Stage::Tables => self.tables(store, &mut running)?,
            Stage::Log => receipts::end(store, &mut running, at)?,
        };
        if !matches!(step, Step::Ended(_)) {
            self.running = Some(running);
        }
        Ok(step)
    }

    fn take_up(&self, store: &Store, row: ScrubRow) -> Result<Running, ScrubError> {
        let mut needles = NeedlesBuilder::new(self.vault.key().hash_key());
        let mut sought = Sought::new();
        for import in ledger::covered(store.connection(), row.id)? {
            let number = u32::try_from(sought.len()).map_err(io::Error::other)?;
            let mut of = progress::Identifiers { import, searched: false, many: 0, too_short: 0 };
            let add = |text: &str| if needles.add(number, text) { of.many += 1 } else { of.too_short += 1 };
            of.searched = match self.vault.each(import, add) {
                // Damaged, or of another key: the receipt says that they were not searched for.
                Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => false,
                searched => searched?,
            };
            sought.push(of);
        }
        let mut progress = Progress::from_text(&row.progress, self.method);
        // Who knows what was written meanwhile. What an ended walk saw, it saw.
        progress.disturbed |= progress.stage == Stage::Walk && progress.next_page > 1;
        let walking = Walking { saved_page: progress.next_page, ..Walking::default() };
        Ok(Running { row, progress, needles: needles.build(), sought, walking, log_keeper: None })
    }

    fn samples(&self, store: &mut Store, running: &mut Running) -> Result<Step, ScrubError> {
        let mut progress = running.progress.clone();
        progress.stage = if self.method == Method::Dbpage { Stage::Walk } else { Stage::Vacuum };
        store.write("delete samples of ANALYZE", |tx| {
            progress.samples_deleted += delete_samples(tx, &running.needles)?;
            ledger::save_scrub(tx, running.row.id, &progress.to_text())
        })?;
        running.progress = progress;
        Ok(Step::More)
    }

    /// One slice. It looks without keeping writers away, and writes only where a look found something.
    fn walk(&self, store: &mut Store, running: &mut Running, go_on: &mut dyn FnMut() -> bool) -> Result<Step, ScrubError> {
        if !running.walking.dirty.is_empty() {
            self.mend(store, running, go_on)?;
        } else if !running.walking.passed {
            self.look(store, running, go_on)?;
        } else {
            self.look_again(store, running, go_on)?;
        }
        let walking = &running.walking;
        // Another time through looks at everything, the mended pages among it.
        let enough = walking.verified || walking.mended.is_empty() || (running.progress.disturbed && !running.progress.is_last());
        if walking.passed && walking.dirty.is_empty() && enough {
            let mut progress = running.progress.clone();
            progress.end_walk(&running.needles);
            note(store, running.row.id, &progress)?;
            (running.progress, running.walking) = (progress, Walking::default());
        }
        Ok(Step::More)
    }

    /// The file, in a transaction that sees this state.
    fn beside(&self, walking: &Walking, now: Moment) -> Option<Beside<'_>> {
        self.file.as_ref().map(|file| Beside { file, complete: walking.in_file == Some(now) })
    }

    /// Looks at the next pages, and searches their rows.
    fn look(&self, store: &mut Store, running: &mut Running, go_on: &mut dyn FnMut() -> bool) -> Result<(), StoreError> {
        let mut progress = running.progress.clone();
        let tx = store.connection_mut().transaction().doing("look at pages")?;
        let now = Moment::of(&tx)?;
        let file = self.beside(&running.walking, now);
        progress.meet(now, running.walking.left);
        let header = Pages::open(&tx)?.header;
        progress.page_bytes = header.page_bytes as u64;
        progress.by_tables |= !header.utf8;
        let searching = progress.searching && !progress.by_tables && !running.needles.is_empty();
        if progress.disturbed {
            running.walking.owners = None;
        } else if searching && running.walking.owners.is_none() {
            running.walking.owners = Some(Owners::read(&tx, file)?);
        }
        let mut search = Search::new(&running.needles, running.walking.owners.as_ref());
        let (tell, mended) = (Tell::BySize, &mut running.walking.images);
        let walked = if searching {
            Slice { connection: &tx, tell, file, rows: &mut search, mended }.run(progress.next_page, go_on)?
        } else {
            Slice { connection: &tx, tell, file, rows: &mut NoRows, mended }.run(progress.next_page, go_on)?
        };
        search.settle(&tx, file, &self.living, &mut progress.found)?;
        tx.rollback().doing("look at pages")?;
        progress.tally.add(&walked.tally);
        match walked.stop {
            Stop::At(page) => progress.next_page = page,
            // Beyond every page: what was found so far is not looked for from the first page on again.
            Stop::End => (progress.next_page, running.walking.passed) = (u32::MAX, true),
        }
        running.progress = progress;
        (running.walking.left, running.walking.images_of) = (Some(now), Some(now));
        walked.dirty.iter().for_each(|page| running.walking.dirty.insert(*page));
        // Where there is something to mend, that notes it. Nothing may be written before: the images are of the state that was seen.
        let at_rest = !running.walking.passed && running.walking.dirty.is_empty();
        if at_rest && running.progress.next_page.abs_diff(running.walking.saved_page) >= SAVE_EVERY_PAGES {
            let (id, text, left) = (running.row.id, running.progress.to_text(), &mut running.walking.left);
            store.write("note a scrub's progress", |tx| {
                running.progress.meet(Moment::of(tx)?, *left);
                ledger::save_scrub(tx, id, &text)?;
                *left = Some(Moment::of(tx)?);
                Ok::<_, StoreError>(())
            })?;
            running.walking.saved_page = running.progress.next_page;
        }
        Ok(())
    }

    /// Zeroes what the pages that were found dirty do not use. Where someone has written since they were looked at, they are looked
    /// at again first.
    fn mend(&self, store: &mut Store, running: &mut Running, go_on: &mut dyn FnMut() -> bool) -> Result<(), StoreError> {
        let mut progress = running.progress.clone();
        let (id, walking) = (running.row.id, &mut running.walking);
        let (mut images, images_of) = (std::mem::take(&mut walking.images), walking.images_of.take());
        let (stop, left) = store.write_for_now("scrub pages", |tx| {
            let now = Moment::of(tx)?;
            progress.meet(now, walking.left);
            let mut stop = Stop::End;
            if images_of != Some(now) || images.is_empty() {
                let (file, mended) = (self.beside(walking, now), &mut images);
                let slice = Slice { connection: tx, tell: Tell::BySize, file, rows: &mut NoRows, mended };
                stop = slice.run_over(&walking.dirty, 1, go_on)?.stop;
            }
            images.write(tx)?;
            progress.zeroed_pages += images.len();
            progress.zeroed_bytes += images.zeroed;
            ledger::save_scrub(tx, id, &progress.to_text())?;
            Ok::<_, StoreError>((stop, Moment::of(tx)?))
        })?;
        images.clear();
        walking.images = images;
        let end = match stop {
            Stop::At(page) => page,
            Stop::End => u32::MAX,
        };
        walking.dirty.move_below(end, &mut walking.mended);
        walking.left = Some(left);
        running.progress = progress;
        if !walking.dirty.is_empty() {
            return Ok(());
        }
        // A reader in the way does not matter yet: what stands in the log is read from there.
        if walking.passed {
            walking.in_file = store.checkpoint()?.is_whole().then_some(left);
            return Ok(());
        }
        self.look_and_bring_back(store, running, go_on)
    }

    /// Looks at the next pages while another thread brings the log back, which waits for the disk. Nothing is mended before that has
    /// ended, so that the log begins anew, if no one else needs it.
    fn look_and_bring_back(&self, store: &mut Store, running: &mut Running, go_on: &mut dyn FnMut() -> bool) -> Result<(), StoreError> {
        let mended = running.walking.left;
        let Some(mut keeper) = running.log_keeper.take().or_else(|| store.log_keeper()) else {
            let brought = store.bring_back()?;
            running.walking.in_file = mended.filter(|_| brought.is_whole());
            return self.look(store, running, go_on);
        };
        let keeping = &mut keeper;
        let (looked, brought) = thread::scope(|scope| {
            let thread = thread::Builder::new().name("log".to_owned()).spawn_scoped(scope, move || keeping.bring_back());
            let looked = self.look(store, running, go_on);
            (looked, thread.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))))
        });
        running.log_keeper = Some(keeper);
        let brought = match brought {
            Ok(brought) => brought,
            // No thread is to be had.
            Err(_) => store.bring_back(),
        };
        running.walking.in_file = mended.filter(|_| brought.as_ref().is_ok_and(Checkpoint::is_whole));
        brought.and(looked)
    }

    /// Looks at the mended pages again, in the file: the log was brought back into it.
    fn look_again(&self, store: &mut Store, running: &mut Running, go_on: &mut dyn FnMut() -> bool) -> Result<(), StoreError> {
        let (walking, progress) = (&mut running.walking, &mut running.progress);
        let tx = store.connection_mut().transaction().doing("look at pages")?;
        let now = Moment::of(&tx)?;
        progress.meet(now, walking.left);
        let mut none = Images::default();
        let slice = Slice { connection: &tx, tell: Tell::BySize, file: self.beside(walking, now), rows: &mut NoRows, mended: &mut none };
        let walked = slice.run_over(&walking.mended, walking.again_from, go_on)?;
        tx.rollback().doing("look at pages")?;
        progress.nonzero_bytes += walked.tally.dirty_bytes;
        match walked.stop {
            Stop::At(page) => walking.again_from = page,
            Stop::End => walking.verified = true,
        }
        walked.dirty.iter().for_each(|page| walking.dirty.insert(*page));
        Ok(())
    }

    fn vacuum(&self, store: &mut Store, running: &mut Running) -> Result<Step, ScrubError> {
        let connection = store.connection();
        connection.execute_batch("VACUUM").doing("write the database anew")?;
        let pages: u32 = connection.query_row("PRAGMA main.page_count", [], |row| row.get(0)).doing("count the pages")?;
        let page_bytes: u32 = connection.query_row("PRAGMA main.page_size", [], |row| row.get(0)).doing("count the pages")?;
        let progress = &mut running.progress;
        progress.tally = Tally { pages: pages.into(), ..Tally::default() };
        (progress.bytes, progress.walks, progress.by_tables) = (u64::from(page_bytes) * u64::from(pages), 1, true);
        progress.stage = Stage::Tables;
        note(store, running.row.id, progress)?;
        Ok(Step::More)
    }

    fn tables(&self, store: &mut Store, running: &mut Running) -> Result<Step, ScrubError> {
        let tx = store.connection_mut().transaction().doing("search the tables")?;
        running.progress.found = search_by_sql(&tx, &running.needles, &self.living)?;
        tx.rollback().doing("search the tables")?;
        running.progress.stage = Stage::Log;
        note(store, running.row.id, &running.progress)?;
        Ok(Step::More)
    }
}

fn note(store: &mut Store, scrub: i64, progress: &Progress) -> Result<(), StoreError> {
    store.write("note a scrub's progress", |tx| ledger::save_scrub(tx, scrub, &progress.to_text()))
}
