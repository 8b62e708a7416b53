//! The walk over pages: what is not used is zero, or is made so.
//!
//! A slice runs in the caller's transaction, sees one state of the file and writes nothing: it gives the pages that are to be
//! mended, as they are to be. Each page is what the free list, the arithmetic of
//! maps and locks, and its place in a b-tree make it; the first byte tells a b-tree page from an overflow page as long as
//! page numbers cannot look like one ([`AMBIGUOUS_PAGES`]), and beyond that the trees are walked from their roots.
//! Tails of overflow chains are found from the cells that own them, never by looking at the page itself.

use std::collections::HashSet;
use std::ops::Range;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::page::{Header, Kind, Malformed, Parts, be32, nonzero, trunk_leaves};
use super::page_set::PageSet;
use super::pages::{Beside, Pages};
use super::roots::btree_pages;
use crate::store::StoreError;

/// From this many pages on, the next page's number that begins an overflow page can begin with a b-tree page's first byte, 2.
pub(super) const AMBIGUOUS_PAGES: u32 = 2 << 24;

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
    /// Bytes of it; zero now, if it was mended.
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

/// What is shown rows.
pub(super) trait Rows {
    /// Whether a page has rows that are of interest at all.
    fn are_in(&self, page: u32) -> bool;

    /// Whether a page's bytes, with records at these places in them, may hold some.
    fn may_matter(&mut self, bytes: &[u8], records: impl Iterator<Item = Range<usize>> + Clone) -> bool;

    /// Shown the rows of such pages, and all that go on in other pages.
    fn see(&mut self, row: &RawRow<'_>);
}

/// Rows are not looked at.
pub(super) struct NoRows;

impl Rows for NoRows {
    fn are_in(&self, _: u32) -> bool {
        false
    }

    fn may_matter(&mut self, _: &[u8], _: impl Iterator<Item = Range<usize>> + Clone) -> bool {
        false
    }

    fn see(&mut self, _: &RawRow<'_>) {}
}

/// One slice of a walk.
pub(super) struct Slice<'a, 'c, R> {
    pub(super) connection: &'c Connection,
    pub(super) tell: Tell,
    /// The database's file, where pages may be read from it.
    pub(super) file: Option<Beside<'c>>,
    pub(super) rows: &'a mut R,
    /// Where the pages that are to be mended are put, as they are to be.
    pub(super) images: &'a mut Images,
}

/// What a slice came to.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) tally: Tally,
    pub(super) stop: Stop,
    /// Pages that are to be mended; they, or overflow chains of theirs.
    pub(super) dirty: Vec<u32>,
}

/// Pages as they are to be. Used again and again: fresh memory costs more than what is put there.
#[derive(Debug, Default)]
pub(super) struct Images {
    pages: Vec<u32>,
    bytes: Vec<u8>,
    /// Bytes that were not zero and are to be.
    pub(super) zeroed: u64,
}

impl Images {
    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.pages.len() as u64
    }

    pub(super) fn clear(&mut self) {
        self.pages.clear();
        self.bytes.clear();
        self.zeroed = 0;
    }

    fn add(&mut self, page: u32, bytes: &[u8], zeroed: usize) {
        self.pages.push(page);
        self.bytes.extend_from_slice(bytes);
        self.zeroed += zeroed as u64;
    }

    /// Writes them. Only in the state that they were read in.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut into = Pages::open(connection)?;
        self.pages.iter().zip(self.bytes.chunks_exact(into.header.page_bytes)).try_for_each(|(page, bytes)| into.put(*page, bytes))
    }
}

/// How many pages pass between two looks at the time.
const PAGES_BETWEEN: u64 = 64;

/// Bytes of mended pages after which a slice ends: they are written in one transaction, 4,096 pages as a rule, which keeps writers
/// away for less than the
/// 250 ms of DESIGN section 4.
const IMAGES_BYTES_MAX: usize = 16 << 20;

impl<R: Rows> Slice<'_, '_, R> {
    /// Walks from a page on until `go_on` says no, and at least some pages.
    pub(super) fn run(self, from: u32, go_on: &mut dyn FnMut() -> bool) -> Result<Walked, StoreError> {
        self.visit(from.max(1), Some, go_on)
    }

    /// The same over some pages only.
    pub(super) fn run_over(self, some: &PageSet, from: u32, go_on: &mut dyn FnMut() -> bool) -> Result<Walked, StoreError> {
        self.visit(from.max(1), |page| some.next(page), go_on)
    }

    fn visit(self, from: u32, next: impl Fn(u32) -> Option<u32>, go_on: &mut dyn FnMut() -> bool) -> Result<Walked, StoreError> {
        let mut pages = Pages::open_beside(self.connection, self.file)?;
        let trees = match self.tell {
            Tell::BySize if pages.count < AMBIGUOUS_PAGES => None,
            _ => Some(btree_pages(self.connection, &mut pages)?),
        };
        self.images.clear();
        let mut work =
            Work { tally: Tally::default(), dirty: Vec::new(), images: self.images, parts: Parts::default(), chained: HashSet::new() };
        let free = work.free_list(&mut pages)?;
        let lock_page = pages.header.lock_page();
        let (mut page, mut expected) = (Vec::new(), from);
        let mut at = next(from);
        while let Some(number) = at.filter(|number| *number <= pages.count) {
            if number == expected {
                pages.expect(number);
            }
            expected = number + 1;
            work.tally.pages += 1;
            let before = work.tally.dirty_bytes;
            if number == lock_page || pages.header.is_pointer_map(number) {
            } else if let Some(role) = free.role(number) {
                work.tally.free_pages += 1;
                pages.get(number, &mut page)?;
                work.free_page(pages.header.usable, number, role, &mut page);
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
                    work.btree_page(&mut pages, number, &mut page, self.rows)?;
                } else {
                    work.tally.other_pages += 1;
                }
            }
            if work.tally.dirty_bytes > before {
                work.dirty.push(number);
            }
            at = next(expected);
            let full = || work.images.bytes.len() >= IMAGES_BYTES_MAX;
            let late = work.tally.pages.is_multiple_of(PAGES_BETWEEN) && (full() || !go_on());
            if late && at.is_some_and(|at| at <= pages.count) {
                return Ok(work.end(Stop::At(expected)));
            }
        }
        Ok(work.end(Stop::End))
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
    trunks: PageSet,
    leaves: PageSet,
}

impl FreeList {
    fn role(&self, page: u32) -> Option<FreeRole> {
        if self.leaves.has(page) {
            return Some(FreeRole::Leaf);
        }
        self.trunks.has(page).then_some(FreeRole::Trunk)
    }
}

struct Work<'a> {
    tally: Tally,
    dirty: Vec<u32>,
    images: &'a mut Images,
    parts: Parts,
    /// Overflow pages that their rows led to, and that the walk has yet to pass.
    chained: HashSet<u32>,
}

impl Work<'_> {
    fn end(self, stop: Stop) -> Walked {
        Walked { tally: self.tally, stop, dirty: self.dirty }
    }

    /// The whole list: a page's part in it is known only from its trunk.
    fn free_list(&mut self, pages: &mut Pages<'_>) -> Result<FreeList, StoreError> {
        let mut list = FreeList::default();
        let mut page = Vec::new();
        let mut next = pages.header.free_trunk;
        while next != 0 {
            pages.get(next, &mut page)?;
            if page.is_empty() || list.trunks.has(next) {
                self.tally.malformed_pages += 1;
                break;
            }
            list.trunks.insert(next);
            match trunk_leaves(&page, pages.header.usable) {
                Ok((leaves, _)) => leaves.filter(|leaf| *leaf <= pages.count).for_each(|leaf| list.leaves.insert(leaf)),
                Err(Malformed) => self.tally.malformed_pages += 1,
            }
            next = be32(&page, 0);
        }
        Ok(list)
    }

    fn free_page(&mut self, usable: usize, number: u32, role: FreeRole, page: &mut [u8]) {
        let from = match role {
            FreeRole::Leaf => 0,
            FreeRole::Trunk => match trunk_leaves(page, usable) {
                Ok((_, end)) => end,
                Err(Malformed) => return,
            },
        };
        let dirty = nonzero(&page[from..usable]);
        page[from..usable].fill(0);
        self.found(number, page, dirty);
    }

    fn btree_page(&mut self, pages: &mut Pages<'_>, number: u32, page: &mut [u8], rows: &mut impl Rows) -> Result<(), StoreError> {
        let header = pages.header;
        let mut parts = std::mem::take(&mut self.parts);
        let Ok(kind) = parts.read(page, Header::start_of(number), header.usable) else {
            self.tally.malformed_pages += 1;
            self.parts = parts;
            return Ok(());
        };
        let mut whole = Vec::new();
        let sought = kind.has_payload() && rows.are_in(number);
        let from = parts.content;
        let records = || parts.cells.iter().map(|cell| cell.local.0 - from..cell.local.1 - from);
        let wanted = sought && rows.may_matter(&page[from..header.usable], records());
        for cell in parts.cells.iter().filter(|cell| kind.has_payload() && (wanted || cell.overflow != 0)) {
            let local = &page[cell.local.0..cell.local.1];
            let mut record = local;
            if cell.overflow != 0 {
                whole.clear();
                whole.extend_from_slice(local);
                let left = cell.payload_bytes - local.len();
                if self.chain(pages, number, cell.overflow, left, sought.then_some(&mut whole))? == Err(Malformed) {
                    self.tally.malformed_pages += 1;
                    continue;
                }
                record = &whole;
            }
            if sought {
                rows.see(&RawRow { page: number, rowid: cell.rowid, has_rowid: kind.has_rowid(), record });
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
        self.found(number, page, dirty);
        Ok(())
    }

    /// Follows a row's overflow chain, of so many bytes, to its last page, whose tail is unused.
    fn chain(
        &mut self,
        pages: &mut Pages<'_>,
        owner: u32,
        first: u32,
        mut left: usize,
        mut whole: Option<&mut Vec<u8>>,
    ) -> Result<Result<(), Malformed>, StoreError> {
        let capacity = pages.header.overflow_bytes();
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
            if let Some(whole) = &mut whole {
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
                self.found(number, &page, dirty);
                return Ok(Ok(()));
            }
        }
    }

    /// A page as it is to be, and how many bytes are not so.
    fn found(&mut self, number: u32, page: &[u8], dirty: usize) {
        if dirty > 0 {
            self.tally.dirty_pages += 1;
            self.tally.dirty_bytes += dirty as u64;
            self.images.add(number, page, dirty);
        }
    }
}
