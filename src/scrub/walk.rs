//! The walk over every page: what is not used is zero, or is made so.
//!
//! A slice runs in the caller's transaction and sees one state of the file. Each page is what the free list, the arithmetic of
//! maps and locks, and its place in a b-tree make it; the first byte tells a b-tree page from an overflow page as long as
//! page numbers cannot look like one ([`AMBIGUOUS_PAGES`]), and beyond that the trees are walked from their roots.
//! Tails of overflow chains are found from the cells that own them, never by looking at the page itself.

use std::collections::HashSet;

use rusqlite::{CachedStatement, Connection};
use serde::{Deserialize, Serialize};

use super::page::{Header, Kind, Malformed, Parts, be32, nonzero, trunk_leaves};
use super::roots::BtreePages;
use crate::store::{Doing, StoreError};

/// From this many pages on, the next page's number that begins an overflow page can begin with a b-tree page's first byte, 2.
pub(super) const AMBIGUOUS_PAGES: u32 = 2 << 24;

/// Whether a slice may write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Touch {
    /// Ends at the first page that is to be mended.
    Look,
    /// Mends what it finds. Needs a transaction that may write.
    Mend,
}

/// How b-tree pages are told from overflow pages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tell {
    /// As the file's size allows.
    BySize,
    /// By walking the trees, whatever the size.
    #[cfg(test)]
    ByRoots,
}

/// What a walk saw.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Tally {
    /// Pages looked at.
    pub(super) pages: u64,
    /// Those of tables and indexes.
    pub(super) btree_pages: u64,
    /// Those that hold the rest of long rows, as rows name them.
    pub(super) overflow_pages: u64,
    /// Those of the free list.
    pub(super) free_pages: u64,
    /// Those that are none of these by themselves: overflow pages, if the file is sound.
    pub(super) other_pages: u64,
    /// Pages that held something where nothing is used.
    pub(super) dirty_pages: u64,
    /// Bytes of it, all zero now.
    pub(super) dirty_bytes: u64,
    /// Pages that do not read as the file format says. Nothing was changed in them.
    pub(super) malformed_pages: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.pages += other.pages;
        self.btree_pages += other.btree_pages;
        self.overflow_pages += other.overflow_pages;
        self.free_pages += other.free_pages;
        self.other_pages += other.other_pages;
        self.dirty_pages += other.dirty_pages;
        self.dirty_bytes += other.dirty_bytes;
        self.malformed_pages += other.malformed_pages;
    }
}

/// Where a slice ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    /// Go on at this page.
    At(u32),
    /// That was the last page.
    End,
    /// Something is to be mended, and this slice may not.
    Dirty,
}

/// A row as it stands in the file.
pub(super) struct RawRow<'a> {
    /// The page that holds its first bytes.
    pub(super) page: u32,
    /// The row's number; without meaning in an index or a table without row numbers.
    pub(super) rowid: i64,
    /// Whether it stands in a table with row numbers.
    pub(super) has_rowid: bool,
    /// Its record, whole.
    pub(super) record: &'a [u8],
}

/// What is shown each row.
pub(super) type SeeRow<'a> = &'a mut (dyn FnMut(&RawRow<'_>) + 'a);

/// Reads and writes pages by their number.
pub(super) struct Pages<'c> {
    read: CachedStatement<'c>,
    write: CachedStatement<'c>,
    pub(super) count: u32,
    pub(super) header: Header,
}

impl<'c> Pages<'c> {
    pub(super) fn open(connection: &'c Connection) -> Result<Self, StoreError> {
        let doing = "read the file's pages";
        let read = connection.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1").doing(doing)?;
        let write = connection.prepare_cached("UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1").doing(doing)?;
        let count = connection.query_row("PRAGMA main.page_count", [], |row| row.get(0)).doing(doing)?;
        let nothing = Header { page_bytes: 0, usable: 0, free_trunk: 0, pointer_maps: false, utf8: true };
        let mut pages = Self { read, write, count, header: nothing };
        let mut first = Vec::new();
        pages.get(1, &mut first)?;
        pages.header = Header::read(&first).map_err(|Malformed| StoreError::Ledger("first page"))?;
        Ok(pages)
    }

    /// The bytes of a page; empty where there is no such page.
    pub(super) fn get(&mut self, page: u32, into: &mut Vec<u8>) -> Result<(), StoreError> {
        let doing = "read a page";
        into.clear();
        let mut rows = self.read.query([page]).doing(doing)?;
        if let Some(row) = rows.next().doing(doing)? {
            let bytes = row.get_ref(0).doing(doing)?.as_bytes().map_err(rusqlite::Error::from).doing(doing)?;
            into.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn put(&mut self, page: u32, bytes: &[u8]) -> Result<(), StoreError> {
        self.write.execute((page, bytes)).doing("zero what a page does not use")?;
        Ok(())
    }
}

/// One slice of a walk.
pub(super) struct Slice<'a, 'c> {
    pub(super) connection: &'c Connection,
    pub(super) touch: Touch,
    pub(super) tell: Tell,
    /// Shown every row of the slice's pages; `None`: rows are not looked at.
    pub(super) rows: Option<SeeRow<'a>>,
}

/// How many pages pass between two looks at the time.
const PAGES_BETWEEN: u32 = 64;

impl Slice<'_, '_> {
    /// Walks from a page on until `go_on` says no, and at least some pages.
    pub(super) fn run(mut self, from: u32, go_on: &mut dyn FnMut() -> bool) -> Result<(Tally, Stop), StoreError> {
        let mut pages = Pages::open(self.connection)?;
        let trees = match self.tell {
            Tell::BySize if pages.count < AMBIGUOUS_PAGES => None,
            _ => Some(BtreePages::find(self.connection, &mut pages)?),
        };
        let mut work = Work { tally: Tally::default(), clean: true, touch: self.touch, parts: Parts::default(), chained: HashSet::new() };
        let free = work.free_list(&mut pages)?;
        let lock_page = pages.header.lock_page();
        let mut page = Vec::new();
        let mut number = from.max(1);
        while number <= pages.count {
            work.tally.pages += 1;
            if number == lock_page || pages.header.is_pointer_map(number) {
            } else if let Some(role) = free.role(number) {
                work.tally.free_pages += 1;
                pages.get(number, &mut page)?;
                work.free_page(&mut pages, number, role, &mut page)?;
            } else if work.chained.remove(&number) {
                work.tally.other_pages += 1;
            } else {
                pages.get(number, &mut page)?;
                let start = Header::start_of(number);
                let is_tree = match &trees {
                    Some(trees) => trees.has(number),
                    None => page.get(start).is_some_and(|byte| Kind::of(*byte).is_some()),
                };
                if is_tree {
                    work.tally.btree_pages += 1;
                    work.btree_page(&mut pages, number, &mut page, &mut self.rows)?;
                } else {
                    work.tally.other_pages += 1;
                }
            }
            if !work.clean && self.touch == Touch::Look {
                return Ok((work.tally, Stop::Dirty));
            }
            number += 1;
            if (number - from).is_multiple_of(PAGES_BETWEEN) && number <= pages.count && !go_on() {
                return Ok((work.tally, Stop::At(number)));
            }
        }
        Ok((work.tally, Stop::End))
    }
}

/// What a free page is: a list of others, or one of those listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum FreeRole {
    Trunk,
    Leaf,
}

#[derive(Debug, Default)]
struct FreeList {
    trunks: HashSet<u32>,
    leaves: HashSet<u32>,
}

impl FreeList {
    fn role(&self, page: u32) -> Option<FreeRole> {
        if self.leaves.contains(&page) {
            return Some(FreeRole::Leaf);
        }
        self.trunks.contains(&page).then_some(FreeRole::Trunk)
    }
}

struct Work {
    tally: Tally,
    clean: bool,
    touch: Touch,
    parts: Parts,
    /// Overflow pages that their rows led to, and that the walk has yet to pass.
    chained: HashSet<u32>,
}

impl Work {
    /// The whole list: a page's part in it is known only from its trunk.
    fn free_list(&mut self, pages: &mut Pages<'_>) -> Result<FreeList, StoreError> {
        let mut list = FreeList::default();
        let mut page = Vec::new();
        let mut next = pages.header.free_trunk;
        while next != 0 {
            pages.get(next, &mut page)?;
            if page.is_empty() || !list.trunks.insert(next) {
                self.tally.malformed_pages += 1;
                break;
            }
            match trunk_leaves(&page, pages.header.usable) {
                Ok((leaves, _)) => list.leaves.extend(leaves),
                Err(Malformed) => self.tally.malformed_pages += 1,
            }
            next = be32(&page, 0);
        }
        Ok(list)
    }

    fn free_page(&mut self, pages: &mut Pages<'_>, number: u32, role: FreeRole, page: &mut [u8]) -> Result<(), StoreError> {
        let usable = pages.header.usable;
        let from = match role {
            FreeRole::Leaf => 0,
            FreeRole::Trunk => match trunk_leaves(page, usable) {
                Ok((_, end)) => end,
                Err(Malformed) => return Ok(()),
            },
        };
        let dirty = nonzero(&page[from..usable]);
        page[from..usable].fill(0);
        self.mended(pages, number, page, dirty)
    }

    fn btree_page(&mut self, pages: &mut Pages<'_>, number: u32, page: &mut [u8], rows: &mut Option<SeeRow<'_>>) -> Result<(), StoreError> {
        let header = pages.header;
        let mut parts = std::mem::take(&mut self.parts);
        let Ok(kind) = parts.read(page, Header::start_of(number), header.usable) else {
            self.tally.malformed_pages += 1;
            self.parts = parts;
            return Ok(());
        };
        let mut whole = Vec::new();
        for cell in parts.cells.iter().filter(|_| kind.has_payload()) {
            let local = &page[cell.local.0..cell.local.1];
            let mut record = local;
            if cell.overflow != 0 {
                whole.clear();
                whole.extend_from_slice(local);
                let keep = rows.is_some();
                if self.chain(pages, number, cell.overflow, cell.payload_bytes, keep, &mut whole)? == Err(Malformed) {
                    self.tally.malformed_pages += 1;
                    continue;
                }
                record = &whole;
            }
            if let Some(rows) = rows {
                rows(&RawRow { page: number, rowid: cell.rowid, has_rowid: kind.has_rowid(), record });
            }
        }
        let mut dirty = 0;
        for range in &parts.unused {
            let found = nonzero(&page[range.clone()]);
            if found > 0 {
                page[range.clone()].fill(0);
                dirty += found;
            }
        }
        self.parts = parts;
        self.mended(pages, number, page, dirty)
    }

    /// Follows a row's overflow chain to its last page, whose tail is unused.
    fn chain(
        &mut self,
        pages: &mut Pages<'_>,
        owner: u32,
        first: u32,
        payload: usize,
        keep: bool,
        whole: &mut Vec<u8>,
    ) -> Result<Result<(), Malformed>, StoreError> {
        let capacity = pages.header.overflow_bytes();
        let mut left = payload - whole.len();
        let mut next = first;
        let mut page = Vec::new();
        loop {
            if next < 2 || next > pages.count {
                return Ok(Err(Malformed));
            }
            let number = next;
            pages.get(number, &mut page)?;
            next = be32(&page, 0);
            let here = left.min(capacity);
            if keep {
                whole.extend_from_slice(&page[4..4 + here]);
            }
            self.tally.overflow_pages += 1;
            if number > owner {
                self.chained.insert(number);
            }
            left -= here;
            if left == 0 {
                if next != 0 {
                    return Ok(Err(Malformed));
                }
                let tail = 4 + here..pages.header.usable;
                let dirty = nonzero(&page[tail.clone()]);
                page[tail].fill(0);
                self.mended(pages, number, &page, dirty)?;
                return Ok(Ok(()));
            }
        }
    }

    fn mended(&mut self, pages: &mut Pages<'_>, number: u32, page: &[u8], dirty: usize) -> Result<(), StoreError> {
        if dirty == 0 {
            return Ok(());
        }
        self.clean = false;
        self.tally.dirty_pages += 1;
        self.tally.dirty_bytes += dirty as u64;
        if self.touch == Touch::Mend { pages.put(number, page) } else { Ok(()) }
    }
}
