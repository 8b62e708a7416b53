//! The write-ahead log: commits that leave it to grow, and what brings it back into the database and empties it.
//!
//! Old content stays in it, and in a rollback journal that is kept, until then: both matter to secrecy as much as to speed.

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};

use super::{Doing, Options, Store, StoreError, beside, connect, read, set, settings};

/// What a checkpoint came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// Another connection was in the way: the write-ahead log still holds old content.
    pub busy: bool,
    /// Frames in the log; `None` when the database is not in WAL mode.
    pub log_frames: Option<u64>,
    /// Frames brought back into the database.
    pub checkpointed_frames: Option<u64>,
}

impl Checkpoint {
    /// Whether the database's file lacks nothing that the log held at that moment.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.busy && self.log_frames == self.checkpointed_frames
    }
}

impl Store {
    /// As [`Self::write`], but the commit does not go on to bring the log's pages back into the database: that keeps no writer out, and
    /// would count as if it did. [`Self::bring_back`] is to follow; if it does not, a later commit does it.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_to_log<T, E: From<StoreError>>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        set(&self.connection, "wal_autocheckpoint", "0", "0")?;
        let done = catch_unwind(AssertUnwindSafe(|| self.write(doing, work)));
        // What was committed stands, whatever becomes of this setting.
        let _ = set(&self.connection, "wal_autocheckpoint", LOG_FRAMES, LOG_FRAMES);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// As [`Self::write`], but what it did is durable only once the log is brought back ([`Self::bring_back`], [`LogKeeper::bring_back`])
    /// or something else is written. Until then a power cut takes all of it back; the death of this process does not. It is for work that
    /// is simply done again if it was taken back. A store without a write-ahead log is written as by [`Self::write`]: there, a power cut
    /// could damage it.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_for_now<T, E: From<StoreError>>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        if !has_log(&self.connection)? {
            return self.write(doing, work);
        }
        self.lowered = true;
        set(&self.connection, "synchronous", "NORMAL", "1")?;
        let done = catch_unwind(AssertUnwindSafe(|| self.transact(doing, work)));
        // What was committed stands. Where the setting does not take, it is raised before anything else is written.
        let _ = self.be_durable();
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Copies from the log into the database what no reader still needs the log for. Keeps nobody out, and does not empty the log.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn bring_back(&self) -> Result<Checkpoint, StoreError> {
        run_checkpoint(&self.connection, BRING_BACK).doing("checkpoint the store")
    }

    /// Another connection to the same store, which only brings the log back, on another thread while this one is at other work.
    /// `None`: there is no log, or no other connection to be had.
    #[must_use]
    pub fn log_keeper(&self) -> Option<LogKeeper> {
        let path = self.connection.path().filter(|path| !path.is_empty() && has_log(&self.connection).unwrap_or_default())?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = connect(Path::new(path), flags).ok()?;
        let busy_ms = u64::try_from(self.busy.as_millis()).unwrap_or(u64::MAX);
        settings(&connection, Options { cache_bytes: 0, busy_ms }).ok()?;
        set(&connection, "synchronous", "FULL", "2").ok()?;
        has_log(&connection).unwrap_or_default().then_some(LogKeeper(connection))
    }

    /// Empties the write-ahead log into the database, if no reader is in the way.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        let doing = "checkpoint the store";
        // While it waits for readers it keeps writers out.
        self.connection.busy_timeout(self.busy.min(CHECKPOINT_WAIT)).doing(doing)?;
        let found = run_checkpoint(&self.connection, "PRAGMA main.wal_checkpoint(TRUNCATE)").doing(doing);
        self.connection.busy_timeout(self.busy).doing(doing)?;
        found
    }
}

/// A connection that only brings the log back ([`Store::log_keeper`]).
#[derive(Debug)]
pub struct LogKeeper(Connection);

impl LogKeeper {
    /// As [`Store::bring_back`].
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn bring_back(&self) -> Result<Checkpoint, StoreError> {
        run_checkpoint(&self.0, BRING_BACK).doing("checkpoint the store")
    }
}

const BRING_BACK: &str = "PRAGMA main.wal_checkpoint(PASSIVE)";

fn run_checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<Checkpoint> {
    connection.query_row(sql, [], |row| {
        let frames = |at| row.get::<_, i64>(at).map(|n| u64::try_from(n).ok());
        Ok(Checkpoint { busy: row.get::<_, i64>(0)? != 0, log_frames: frames(1)?, checkpointed_frames: frames(2)? })
    })
}

/// Pages in the log after which a commit brings them back. research/purge-performance.md, section 1.
pub(super) const LOG_FRAMES: &str = "16000";

/// How long a checkpoint may wait for readers. DESIGN section 4.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(250);

pub(super) fn has_log(connection: &Connection) -> Result<bool, StoreError> {
    Ok(read(connection, "journal_mode")? == "wal")
}

/// PERSIST is a setting of the application's connections that ours cannot ask for, but it shows: with the write lock held, and
/// so no one's journal in use, a journal whose header was cleared is one that was kept. (A hot one was rolled back before. A writer
/// that was killed before it synced its journal leaves one too, with a header in it: the next writer deletes that.)
pub(super) fn refuse_persist(transaction: &Transaction<'_>, path: &Path) -> Result<(), StoreError> {
    if has_log(transaction)? {
        return Ok(());
    }
    let mut header = [0; JOURNAL_HEADER_BYTES];
    let kept = File::open(beside(path, "-journal"))
        .and_then(|mut file| file.read_exact(&mut header))
        .is_ok_and(|()| header == [0; JOURNAL_HEADER_BYTES]);
    if kept { Err(StoreError::JournalPersists) } else { Ok(()) }
}

/// What PERSIST clears. SQLite's file format, section 3: magic, counts, checksum, sizes of database, sector and page.
const JOURNAL_HEADER_BYTES: usize = 28;
