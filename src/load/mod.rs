//! Rows of an operator's file become rows of the built-in store.
//!
//! One file is one transaction: all of its good rows, or nothing. Bad rows are data: they are told by line and left out. A row
//! whose key is there replaces it, and a customer keeps their key. Memory is bounded by the store's cache and one batch.
//! This module does not know where bytes come from, who watches, or what is erased.

mod bad;
mod kind;
mod put;

use std::io;

use crate::domain::{Format, IdentityKey, Rejection, TenantName};
use crate::records::table::{self, Table, TableReading, TableRow};
use crate::records::{Limits, ReadError};
use crate::store::{Store, StoreError};

pub use bad::{BadReason, BadRow, Fault};
pub use kind::Kind;

use put::{Put, Writer};

/// Bad rows that are remembered; more are counted.
pub const BAD_ROWS_MAX: usize = 1_000;

/// Rows that are put together, by number and by size.
const BATCH_ROWS: usize = 50_000;
const BATCH_BYTES: usize = 16 << 20;

/// Rows between two words on how far it is.
const TELL_EVERY_ROWS: u64 = 1_024;

/// What is loaded, and how it is read.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// Whose rows they are.
    pub tenant: &'a TenantName,
    /// What a row is.
    pub kind: Kind,
    /// The store's key, to know whom it must not register again.
    pub key: &'a IdentityKey,
    /// The format that the file's name says.
    pub format: Format,
    /// What the file may cost.
    pub limits: Limits,
}

/// How far a load is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// So many rows were read.
    Rows(u64),
    /// All were; they are being made durable.
    Committing,
}

/// What a load came to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Loaded {
    /// Rows whose key was not there.
    pub new: u64,
    /// Rows that replaced one, of the store or earlier in the file.
    pub replaced: u64,
    /// Bad rows.
    pub bad: u64,
    /// The first [`BAD_ROWS_MAX`] of them, by line.
    pub bad_rows: Vec<BadRow>,
}

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes could not be read.
    #[error("cannot read the file")]
    Medium(#[source] io::Error),
    /// The file is refused as a whole.
    #[error(transparent)]
    Rejected(Rejection),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoadError {
    /// Whether another writer holds the lock: trying again may help.
    #[must_use]
    pub fn busy(&self) -> bool {
        matches!(self, Self::Store(error) if error.busy())
    }
}

impl From<ReadError> for LoadError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Medium(error) => Self::Medium(error),
            ReadError::Rejected(rejection) => Self::Rejected(rejection),
        }
    }
}

impl Loaded {
    /// Good rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.new + self.replaced
    }
}

/// Loads one file, in one transaction that holds the store's write lock: all good rows are durable on return. `progress` is told
/// now and then.
///
/// # Errors
/// [`LoadError`]; then nothing of the file is in the store.
pub fn load<R: io::Read>(store: &mut Store, load: &Load<'_>, input: R, mut progress: impl FnMut(Progress)) -> Result<Loaded, LoadError> {
    let reading =
        TableReading { format: load.format, limits: load.limits, columns: load.kind.columns(), also_called: load.kind.also_called() };
    // A refused header does not wait for the lock.
    let rows = table::read(input, &reading)?;
    let loaded = store.write("load the rows", |transaction| {
        let mut writer = Writer::new(transaction, load)?;
        let loaded = put_all(&mut writer, rows, &mut progress)?;
        progress(Progress::Committing);
        Ok::<_, LoadError>(loaded)
    })?;
    // The rows are durable; a reader in the way only leaves the log longer until the next checkpoint.
    let _ = store.checkpoint();
    Ok(loaded)
}

fn put_all<R: io::Read>(writer: &mut Writer<'_>, rows: Table<R>, progress: &mut impl FnMut(Progress)) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded::default();
    let mut batch = Batch::default();
    for (read, row) in (1..).zip(rows) {
        batch.take(row?);
        if batch.rows.len() >= BATCH_ROWS || batch.bytes >= BATCH_BYTES {
            batch.put(writer, &mut loaded)?;
        }
        if read % TELL_EVERY_ROWS == 0 {
            progress(Progress::Rows(read));
        }
    }
    batch.put(writer, &mut loaded)?;
    Ok(loaded)
}

/// Rows that are put together, in order of key: an index is walked and not jumped about in.
#[derive(Default)]
struct Batch {
    rows: Vec<(u64, Vec<Option<String>>)>,
    bytes: usize,
    bad: Vec<BadRow>,
}

impl Batch {
    fn take(&mut self, row: TableRow) {
        match row.values {
            Ok(values) => {
                self.bytes += values.iter().flatten().map(String::len).sum::<usize>();
                self.rows.push((row.line, values));
            }
            Err(error) => self.note(row.line, error.into()),
        }
    }

    fn put(&mut self, writer: &mut Writer<'_>, loaded: &mut Loaded) -> Result<(), StoreError> {
        // Stable: of rows with the same key the last one stays.
        self.rows.sort_by(|(_, one), (_, other)| writer.order(one, other));
        for (line, values) in std::mem::take(&mut self.rows) {
            match writer.put(&values)? {
                Ok(Put::New) => loaded.new += 1,
                Ok(Put::Replaced) => loaded.replaced += 1,
                Err(fault) => self.note(line, fault),
            }
        }
        self.bytes = 0;
        self.bad.sort_by_key(|bad| bad.line);
        loaded.bad += self.bad.len() as u64;
        let room = BAD_ROWS_MAX - loaded.bad_rows.len();
        loaded.bad_rows.extend(self.bad.drain(..).take(room));
        Ok(())
    }

    fn note(&mut self, line: u64, fault: Fault) {
        self.bytes += size_of::<BadRow>();
        self.bad.push(BadRow { line, fault });
    }
}

#[cfg(test)]
mod tests;
