//! SQLite: connections with our pragmas, the built-in schema, and the ledger.
//!
//! Every connection is opened here, with the settings that secrecy and durability rest on read back and asserted.
//! This module knows nothing of files, matching or the plan: it stores what it is given, and the time comes as a value.

pub mod ledger;
pub mod schema;

mod key;
mod log;
mod place;
mod refusal;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

pub use key::Key;
pub use log::{Checkpoint, LogKeeper};
use log::{LOG_FRAMES, refuse_persist};
use place::Place;
pub use refusal::Refusal;

/// What `Store::open` may add to the database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Create {
    /// The embedded store: the file is made where it is absent (mode 0600, WAL), with the built-in schema and the ledger.
    Builtin,
    /// The same in a file that must exist: in an empty one nobody on a list would be found, which is no answer where the store is missing.
    BuiltinTables,
    /// A user's own database: it must exist, its journal mode is left as found, and only the ledger's tables are added.
    LedgerOnly,
}

/// Limits of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// Memory for pages, in bytes.
    pub cache_bytes: u64,
    /// How long to wait for another writer's lock, in milliseconds.
    pub busy_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, busy_ms: 5_000 }
    }
}

/// What can go wrong with the store. Never holds a value of a row.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened or made.
    #[error("cannot open the store \"{path}\"")]
    Open {
        /// The store's file.
        path: PathBuf,
        /// Why: the file system's word, or SQLite's.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Since it was opened another file was put in its place.
    #[error("the store \"{}\" was replaced by another file", .0.display())]
    Replaced(PathBuf),
    /// There is no such file.
    #[error("there is no store \"{}\"", .0.display())]
    Missing(PathBuf),
    /// The file cannot be written, or the folder to which its journal or its log goes. In WAL mode SQLite needs that to read, too.
    #[error("cannot write \"{path}\", or the files that SQLite keeps beside it")]
    Unwritable {
        /// The store's file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: Refusal,
    },
    /// SQLite refused.
    #[error("cannot {doing}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// A setting that secrecy or durability rests on did not take.
    #[error("SQLite keeps \"{pragma}\" at \"{found}\", not \"{wanted}\"")]
    Pragma {
        /// The setting.
        pragma: &'static str,
        /// What was asked for.
        wanted: String,
        /// What it says.
        found: String,
    },
    /// The database keeps its rollback journal after a commit, and old content with it.
    #[error("the database is in journal mode \"persist\", which keeps old content in its journal; switch it to WAL, DELETE or TRUNCATE")]
    JournalPersists,
    /// Tables of a newer program.
    #[error("the store's tables are of version {found}, this program knows version {known}")]
    Newer {
        /// As found.
        found: i64,
        /// As known.
        known: i64,
    },
    /// A table of the application's stands where one of the ledger's would be made.
    #[error("the database has a table \"{0}\" of its own, and names that begin with expunged_ are the ledger's; rename the table")]
    NameTaken(String),
    /// The ledger's hashes were made with another key.
    #[error("the ledger was kept with another identity key: by this one nobody in it is known, people who must not be erased among them")]
    OtherKey,
    /// No import of this number.
    #[error("no import {0}")]
    NoImport(i64),
    /// The import is in a state in which this cannot be done.
    #[error("import {import} is {state}")]
    State {
        /// Its number.
        import: i64,
        /// Its state.
        state: &'static str,
    },
    /// A ledger cell does not read back.
    #[error("the ledger's \"{0}\" does not read back")]
    Ledger(&'static str),
}

impl StoreError {
    /// Whether another writer holds the lock: trying again may help.
    #[must_use]
    pub fn busy(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. }
            if matches!(source.code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)))
    }

    /// The same where a store was to be opened: it is the file that cannot be written.
    fn on_opening(self, path: &Path) -> Self {
        match self {
            Self::Sqlite { source, .. } if matches!(source.code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)) => {
                Self::Unwritable { path: path.to_owned(), source }
            }
            other => other,
        }
    }
}

/// Says what was being done when SQLite refused.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::Sqlite { doing, source: error.into() })
    }
}

/// One connection to the store, with our settings.
#[derive(Debug)]
pub struct Store {
    // Closed before `sweep` runs: fields drop in this order.
    connection: Connection,
    place: Place,
    busy: Duration,
    /// Whether a commit may not be durable, because a setting was lowered for one and is not back yet.
    lowered: bool,
    _sweep: Option<Sweep>,
}

/// Which rows of a table belong to someone who was not purged: those that hold this by themselves, and those that refer to such rows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Living {
    /// The table.
    pub table: String,
    /// An SQL condition on a row that belongs to someone by itself, its columns qualified by the table; `None`: no row does.
    pub condition: Option<String>,
    /// Its references to other tables of these, and to its own.
    pub leads: Vec<Lead>,
    /// Which of its other rows stay as they are for a reason.
    pub kept: Option<Kept>,
}

/// A reference of a table's rows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lead {
    /// The referring columns.
    pub columns: Vec<String>,
    /// The table referred to.
    pub parent: String,
    /// Its columns, in the same order.
    pub parent_columns: Vec<String>,
}

/// Which rows of a table were a purged person's and stay as they are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// An SQL condition on a row, its columns qualified by the table.
    pub condition: String,
    /// Why, in the words of the plan.
    pub reason: String,
}

impl Store {
    /// Opens for writing, and makes the tables that are missing.
    ///
    /// # Errors
    /// [`StoreError`]: the file, SQLite, a setting that did not take, or tables of a newer program.
    pub fn open(path: &Path, create: Create, options: Options) -> Result<Self, StoreError> {
        Self::open_to_write(path, create, options).map_err(|error| error.on_opening(path))
    }

    fn open_to_write(path: &Path, create: Create, options: Options) -> Result<Self, StoreError> {
        if create == Create::Builtin {
            make_file(path)?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = connect(path, flags)?;
        let place = Place::of(path)?;
        settings(&connection, options)?;
        if create != Create::LedgerOnly {
            set(&connection, "journal_mode", "WAL", "wal")?;
        }
        set(&connection, "synchronous", "FULL", "2")?;
        set(&connection, "wal_autocheckpoint", LOG_FRAMES, LOG_FRAMES)?;
        let mut store = Self { connection, place, busy: Duration::from_millis(options.busy_ms), lowered: false, _sweep: None };
        store.write("make the tables", |transaction| {
            refuse_persist(transaction, path)?;
            if let Some(name) = ledger::name_taken(transaction)? {
                return Err(StoreError::NameTaken(name));
            }
            if create != Create::LedgerOnly {
                schema::create(transaction)?;
            }
            ledger::create(transaction)
        })?;
        Ok(store)
    }

    /// Opens for reading: the main database cannot be changed through it; temporary tables live in memory. The files
    /// that WAL mode needs meanwhile are gone again afterwards, if no one else uses them; the folder's time of change tells that they
    /// were there. SQLite reads a store in WAL mode without them only as `immutable`, and then it heeds no writer: a daemon,
    /// another command or an application that commits meanwhile would be read half. Nothing keeps all of those out while we
    /// only read, so that time of change is the price.
    ///
    /// # Errors
    /// [`StoreError`]: the file, SQLite, or a setting that did not take.
    pub fn open_read_only(path: &Path, options: Options) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sweep = (!beside(path, "-wal").exists()).then(|| Sweep(path.to_owned()));
        let connection = connect(path, flags)?;
        let place = Place::of(path)?;
        settings(&connection, options).map_err(|error| error.on_opening(path))?;
        Ok(Self { connection, place, busy: Duration::from_millis(options.busy_ms), lowered: false, _sweep: sweep })
    }

    /// Leaves the declared keys to whoever deletes by a plan, who looks in each chunk for what still refers to what is gone.
    ///
    /// Where SQLite enforces them it looks for children row by row, by a scan where an index is missing, takes rows by cascades
    /// uncounted, keeps a journal of each statement in memory, and deletes in two steps. Measured at 100,000 of 2,000,000
    /// customers: 507 MiB at the peak instead of 290, and a tenth more time.
    ///
    /// # Errors
    /// [`StoreError::Pragma`] when it does not take.
    pub fn leave_keys_to_a_plan(&self) -> Result<(), StoreError> {
        set(&self.connection, "foreign_keys", "OFF", "0")
    }

    /// The connection, for reading and for statements of one's own.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, for transactions.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Runs in one immediate transaction: all of it is durable on return, or none of it happened.
    ///
    /// # Errors
    /// What `work` returns, or [`StoreError`] from BEGIN and COMMIT; either way it is rolled back.
    pub fn write<T, E: From<StoreError>>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.be_durable()?;
        self.transact(doing, work)
    }

    /// Whether its file still stands where it was opened. One that was moved away, or that another was moved over, can be written, in WAL
    /// mode without a word: nobody would ever see what was done in it. Each transaction asks first.
    ///
    /// # Errors
    /// [`StoreError::Missing`] and [`StoreError::Replaced`].
    pub fn in_place(&self) -> Result<(), StoreError> {
        self.place.holds()
    }

    fn transact<T, E: From<StoreError>>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.in_place()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        let done = work(&transaction)?;
        transaction.commit().doing(doing)?;
        Ok(done)
    }

    fn be_durable(&mut self) -> Result<(), StoreError> {
        if self.lowered {
            set(&self.connection, "synchronous", "FULL", "2")?;
            self.lowered = false;
        }
        Ok(())
    }
}

/// Removes the log and the shared memory that a read-only connection made and cannot remove itself: the last connection
/// that may write does so when it closes.
#[derive(Debug)]
struct Sweep(PathBuf);

impl Drop for Sweep {
    fn drop(&mut self) {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // Where we may only read, two empty files stay behind, which is all that can be done about it.
        let _ = Connection::open_with_flags(&self.0, flags).and_then(|c| c.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())));
    }
}

/// The store's file is its owner's alone; SQLite gives its log and its shared memory the same mode.
fn make_file(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(StoreError::Open { path: path.to_owned(), source: source.into() }),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    match std::fs::metadata(path) {
        // SQLite would wait for ever for someone to write to a pipe.
        Ok(found) if !found.is_file() => {
            return Err(StoreError::Open { path: path.to_owned(), source: "it is no ordinary file".into() });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing(path.to_owned())),
        _ => {}
    }
    Connection::open_with_flags(path, flags)
        .map_err(|error| StoreError::Open { path: path.to_owned(), source: Refusal::from(error).into() })
}

/// What every connection has, readers included.
fn settings(connection: &Connection, options: Options) -> Result<(), StoreError> {
    connection.busy_timeout(Duration::from_millis(options.busy_ms)).doing("set the busy timeout")?;
    set(connection, "temp_store", "MEMORY", "2")?;
    set(connection, "secure_delete", "ON", "1")?;
    set(connection, "foreign_keys", "ON", "1")?;
    set(connection, "mmap_size", "0", "0")?;
    let kibibytes = format!("-{}", (options.cache_bytes / 1024).max(64));
    set(connection, "cache_size", &kibibytes, &kibibytes)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Sets a pragma and reads it back: some answer nothing, some are ignored by a build or inside a transaction.
fn set(connection: &Connection, pragma: &'static str, value: &str, wanted: &str) -> Result<(), StoreError> {
    let doing = "set up the connection";
    connection.pragma_update_and_check(None, pragma, value, |_| Ok(())).or_else(no_answer).doing(doing)?;
    let found = read(connection, pragma)?;
    // SQLITE_MAX_MMAP_SIZE=0 builds have no mmap_size at all.
    if found == wanted || (pragma == "mmap_size" && found.is_empty()) {
        Ok(())
    } else {
        Err(StoreError::Pragma { pragma, wanted: wanted.to_owned(), found })
    }
}

fn read(connection: &Connection, pragma: &'static str) -> Result<String, StoreError> {
    let mut found = String::new();
    connection
        .pragma_query(None, pragma, |row| {
            found = match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                other => other.as_str()?.to_owned(),
            };
            Ok(())
        })
        .doing("read back a setting")?;
    Ok(found)
}

fn no_answer(error: rusqlite::Error) -> Result<(), rusqlite::Error> {
    if matches!(error, rusqlite::Error::QueryReturnedNoRows) { Ok(()) } else { Err(error) }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
