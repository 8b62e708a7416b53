//! Pages by their number: from the database's file where it holds them, through SQLite elsewhere.
//!
//! In a transaction that has read, the file holds each page as of that state, but for the pages that stand in the write-ahead
//! log: a checkpoint brings back nothing that is newer than the oldest reader's state, the log does not begin anew while a
//! reader needs it, and without a log nobody writes beside a reader. So whatever the log does not name is read from the file, a
//! megabyte at once, which costs a tenth of asking SQLite for each page. What is written goes through SQLite.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use rusqlite::{CachedStatement, Connection};

use super::page::{Header, Malformed, be32};
use super::page_set::PageSet;
use crate::store::{Doing, StoreError};

/// The database's file, opened beside SQLite, for reading.
#[derive(Clone, Debug)]
pub(super) struct DatabaseFile {
    file: &'static File,
    log: PathBuf,
}

impl DatabaseFile {
    /// `None`: there is no file, or it cannot be opened; SQLite is asked for every page then.
    pub(super) fn of(connection: &Connection) -> Option<Self> {
        let path = connection.path().filter(|path| !path.is_empty())?;
        let file = opened_once(Path::new(path)).ok()?;
        Some(Self { file, log: PathBuf::from(format!("{path}-wal")) })
    }

    /// The pages up to this count that the write-ahead log names, whichever state they are of; `None`: it does not read as a log.
    fn logged(&self, page_bytes: usize, count: u32) -> io::Result<Option<PageSet>> {
        let mut logged = PageSet::default();
        let log = match File::open(&self.log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(logged)),
            log => log?,
        };
        let bytes = log.metadata()?.len();
        if bytes < LOG_HEADER {
            return Ok(Some(logged));
        }
        let mut header = [0; 12];
        log.read_exact_at(&mut header, 0)?;
        if !matches!(be32(&header, 0), 0x377f_0682 | 0x377f_0683) || be32(&header, 8) as usize != page_bytes {
            return Ok(None);
        }
        let mut number = [0; 4];
        for frame in (LOG_HEADER..bytes.saturating_sub(FRAME_HEADER)).step_by(page_bytes + FRAME_HEADER as usize) {
            log.read_exact_at(&mut number, frame)?;
            let page = u32::from_be_bytes(number);
            if page <= count {
                logged.insert(page);
            }
        }
        Ok(Some(logged))
    }
}

/// The file in a transaction that writes nothing yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside<'c> {
    pub(super) file: &'c DatabaseFile,
    /// It lacks nothing that the log holds, so that the log need not be read.
    pub(super) complete: bool,
}

impl Beside<'_> {
    fn logged(self, page_bytes: usize, count: u32) -> Option<PageSet> {
        if self.complete { Some(PageSet::default()) } else { self.file.logged(page_bytes, count).ok()? }
    }
}

/// A descriptor of the file that is never closed: closing one takes away all locks that this process has on the file, SQLite's
/// among them (fcntl(2)). So there is one for each file, and while it is open no other file gets its inode.
fn opened_once(path: &Path) -> io::Result<&'static File> {
    static OPENED: OnceLock<Mutex<HashMap<(u64, u64), &'static File>>> = OnceLock::new();
    let inode = |of: &std::fs::Metadata| (of.dev(), of.ino());
    let mut opened = OPENED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = opened.get(&inode(&std::fs::metadata(path)?)) {
        return Ok(file);
    }
    let file: &'static File = Box::leak(Box::new(File::open(path)?));
    opened.insert(inode(&file.metadata()?), file);
    Ok(file)
}

/// Reads and writes pages.
pub(super) struct Pages<'c> {
    read: CachedStatement<'c>,
    write: CachedStatement<'c>,
    pub(super) count: u32,
    pub(super) header: Header,
    /// Where pages are read from, but for those that the log names.
    file: Option<(&'c DatabaseFile, PageSet)>,
    /// Pages in a row, read at once, and the first one's number.
    block: Vec<u8>,
    block_first: u32,
}

impl<'c> Pages<'c> {
    /// Asks SQLite for each page.
    pub(super) fn open(connection: &'c Connection) -> Result<Self, StoreError> {
        let doing = "read the file's pages";
        let read = connection.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1").doing(doing)?;
        let write = connection.prepare_cached("INSERT INTO sqlite_dbpage (pgno, data) VALUES (?1, ?2)").doing(doing)?;
        let count = connection.query_row("PRAGMA main.page_count", [], |row| row.get(0)).doing(doing)?;
        let nothing = Header { page_bytes: 0, usable: 0, free_trunk: 0, pointer_maps: false, utf8: true };
        let mut pages = Self { read, write, count, header: nothing, file: None, block: Vec::new(), block_first: 0 };
        let mut first = Vec::new();
        pages.get(1, &mut first)?;
        pages.header = Header::read(&first).map_err(|Malformed| StoreError::Ledger("first page"))?;
        Ok(pages)
    }

    /// Reads from the file what it holds. Only in a transaction that writes nothing.
    pub(super) fn open_beside(connection: &'c Connection, file: Option<Beside<'c>>) -> Result<Self, StoreError> {
        let mut pages = Self::open(connection)?;
        // The transaction has read by now: what the log names from here on is all that the file may lack.
        let Some((file, logged)) = file.and_then(|beside| Some((beside.file, beside.logged(pages.header.page_bytes, pages.count)?))) else {
            return Ok(pages);
        };
        let mut first = Vec::new();
        pages.get(1, &mut first)?;
        let logs_first = logged.has(1);
        pages.file = Some((file, logged));
        let mut same = Vec::new();
        pages.get(1, &mut same)?;
        if !logs_first && first != same {
            // Another file has taken its name.
            pages.file = None;
        }
        Ok(pages)
    }

    /// The bytes of a page; empty where there is no such page.
    pub(super) fn get(&mut self, page: u32, into: &mut Vec<u8>) -> Result<(), StoreError> {
        let doing = "read a page";
        into.clear();
        if page == 0 || page > self.count {
            return Ok(());
        }
        if let Some((file, logged)) = &self.file
            && !logged.has(page)
        {
            let bytes = self.header.page_bytes;
            let at = page.checked_sub(self.block_first).map(|n| n as usize * bytes).filter(|at| at + bytes <= self.block.len());
            if let Some(at) = at {
                into.extend_from_slice(&self.block[at..at + bytes]);
                return Ok(());
            }
            into.resize(bytes, 0);
            if file.file.read_exact_at(into, u64::from(page - 1) * bytes as u64).is_ok() {
                return Ok(());
            }
            into.clear();
        }
        let mut rows = self.read.query([page]).doing(doing)?;
        if let Some(row) = rows.next().doing(doing)? {
            let bytes = row.get_ref(0).doing(doing)?.as_bytes().map_err(rusqlite::Error::from).doing(doing)?;
            into.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// The next pages asked for are this one and those after it.
    pub(super) fn expect(&mut self, page: u32) {
        let Some((file, _)) = &self.file else { return };
        let bytes = self.header.page_bytes;
        let held = u32::try_from(self.block.len() / bytes).unwrap_or_default();
        if (self.block_first..self.block_first.saturating_add(held)).contains(&page) {
            return;
        }
        let left = self.count.saturating_sub(page) as usize + 1;
        self.block.resize(left.min(BLOCK_BYTES / bytes) * bytes, 0);
        self.block_first = page;
        if file.file.read_exact_at(&mut self.block, u64::from(page - 1) * bytes as u64).is_err() {
            self.block.clear();
        }
    }

    pub(super) fn put(&mut self, page: u32, bytes: &[u8]) -> Result<(), StoreError> {
        debug_assert!(bytes.len() == self.header.page_bytes, "anything shorter would cut the database off here");
        self.write.execute((page, bytes)).doing("zero what a page does not use")?;
        Ok(())
    }
}

/// Read at once, in bytes.
const BLOCK_BYTES: usize = 1 << 20;

/// Bytes before the log's first frame, and before each frame's page. SQLite's "Database File Format", section 4.1.
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
