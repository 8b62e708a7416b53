//! The walk over pages: what is not used is zero, or is made so.
//!
//! A slice runs in the caller's transaction and sees one state of the file. One that looks names the pages that are to be
//! mended, another mends just these. Each page is what the free list, the arithmetic of
//! maps and locks, and its place in a b-tree make it; the first byte tells a b-tree page from an overflow page as long as
//! page numbers cannot look like one ([`AMBIGUOUS_PAGES`]), and beyond that the trees are walked from their roots.
//! Tails of overflow chains are found from the cells that own them, never by looking at the page itself.

use std::collections::HashSet;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::page::{Header, Kind, Malformed, Parts, be32, nonzero, trunk_leaves};
use super::page_set::PageSet;
use super::pages::{DatabaseFile, Pages};
use super::roots::btree_pages;
use crate::store::StoreError;

/// From this many pages on, the next page's number that begins an overflow page can begin with a b-tree page's first byte, 2.
pub(super) const AMBIGUOUS_PAGES: u32 = 2 << 24;

/// Whether a slice may write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Touch {
    /// Names the pages that are to be mended.
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
pub(super) struct Rows<'a> {
    /// Whether a page's bytes may hold rows that are of interest.
    pub(super) wanted: &'a dyn Fn(&[u8]) -> bool,
    /// Shown the rows of such pages, and all that go on in other pages.
    pub(super) see: &'a mut dyn FnMut(&RawRow<'_>),
}

/// One slice of a walk.
pub(super) struct Slice<'a, 'c> {
    pub(super) connection: &'c Connection,
    pub(super) touch: Touch,
    pub(super) tell: Tell,
    /// The database's file, where pages may be read from it.
    pub(super) file: Option<&'c DatabaseFile>,
    /// Shown rows of the slice's pages; `None`: rows are not looked at.
    pub(super) rows: Option<Rows<'a>>,
}

/// What a slice came to.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) tally: Tally,
    pub(super) stop: Stop,
    /// Pages that are to be mended; they, or overflow chains of theirs.
    pub(super) dirty: Vec<u32>,
}

/// How many pages pass between two looks at the time.
const PAGES_BETWEEN: u64 = 64;

impl Slice<'_, '_> {
    /// Walks from a page on until `go_on` says no, and at least some pages.
    pub(super) fn run(self, from: u32, go_on: &mut dyn FnMut() -> bool) -> Result<Walked, StoreError> {
        self.visit(from.max(1), Some, go_on)
    }

    /// The same over some pages only.
    pub(super) fn run_over(self, some: &PageSet, from: u32, go_on: &mut dyn FnMut() -> bool) -> Result<Walked, StoreError> {
        self.visit(from.max(1), |page| some.next(page), go_on)
    }

    fn visit(mut self, from: u32, next: impl Fn(u32) -> Option<u32>, go_on: &mut dyn FnMut() -> bool) -> Result<Walked, StoreError> {
        let file = self.file.filter(|_| self.touch == Touch::Look);
        let mut pages = Pages::open_beside(self.connection, file)?;
        let trees = match self.tell {
            Tell::BySize if pages.count < AMBIGUOUS_PAGES => None,
            _ => Some(btree_pages(self.connection, &mut pages)?),
        };
        let mut work =
            Work { tally: Tally::default(), dirty: Vec::new(), touch: self.touch, parts: Parts::default(), chained: HashSet::new() };
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
            if work.tally.dirty_bytes > before {
                work.dirty.push(number);
            }
            at = next(expected);
            if work.tally.pages.is_multiple_of(PAGES_BETWEEN) && at.is_some_and(|at| at <= pages.count) && !go_on() {
                return Ok(Walked { tally: work.tally, stop: Stop::At(expected), dirty: work.dirty });
            }
        }
        Ok(Walked { tally: work.tally, stop: Stop::End, dirty: work.dirty })
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

struct Work {
    tally: Tally,
    dirty: Vec<u32>,
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

    fn btree_page(&mut self, pages: &mut Pages<'_>, number: u32, page: &mut [u8], rows: &mut Option<Rows<'_>>) -> Result<(), StoreError> {
        let header = pages.header;
        let mut parts = std::mem::take(&mut self.parts);
        let Ok(kind) = parts.read(page, Header::start_of(number), header.usable) else {
            self.tally.malformed_pages += 1;
            self.parts = parts;
            return Ok(());
        };
        let mut whole = Vec::new();
        let wanted = kind.has_payload() && rows.as_ref().is_some_and(|rows| (rows.wanted)(&page[parts.content..header.usable]));
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
            if let Some(rows) = rows.as_mut().filter(|_| wanted || cell.overflow != 0) {
                (rows.see)(&RawRow { page: number, rowid: cell.rowid, has_rowid: kind.has_rowid(), record });
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
        self.tally.dirty_pages += 1;
        self.tally.dirty_bytes += dirty as u64;
        if self.touch == Touch::Mend { pages.put(number, page) } else { Ok(()) }
    }
}
