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
//!
//! ```text
//! passes, walk          through the file, a slice of pages at a time    progress      how far it is
//! pages, page, record   a page's bytes: which a live cell uses          roots, tree   whose a page is, by its tree
//! content, whose        what rows hold of whom                          needles       whom to look for
//! sieve, edges, phrases, bloom, hash    the search, quick where nobody can be
//! seal                  the identifiers, until they were looked for     receipts      the end
//! ```

mod bloom;
mod content;
mod edges;
mod hash;
mod needles;
mod page;
mod page_set;
mod pages;
mod passes;
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

use jiff::Timestamp;

use self::content::{delete_samples, search_by_sql};
use self::needles::{Needles, NeedlesBuilder};
use self::pages::DatabaseFile;
use self::passes::Walking;
use self::progress::{Progress, Sought, Stage};
use self::walk::Tally;
use crate::domain::ImportId;
use crate::store::ledger::{self, ScrubRow};
use crate::store::{Doing, Living, LogKeeper, Store, StoreError};

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
        let walking = Walking::taken_up_at(progress.next_page);
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
