//! One page of a database file: which of its bytes a live cell uses, and which nobody does.
//!
//! Pure functions over bytes, after SQLite's "Database File Format". A page that is not exactly as that document says is
//! [`Malformed`] and is never touched: what is unused in it cannot be known.

use std::ops::Range;

/// A page that does not read as the file format says. Nothing in it is changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// What the first page says of the whole file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    /// Bytes of a page.
    pub(super) page_bytes: usize,
    /// Bytes of a page without the tail that is reserved for extensions (checksums, encryption).
    pub(super) usable: usize,
    /// The first trunk of the free list; 0 for none.
    pub(super) free_trunk: u32,
    /// Whether pages have their parents noted (auto_vacuum).
    pub(super) pointer_maps: bool,
    /// Text is UTF-8.
    pub(super) utf8: bool,
}

impl Header {
    pub(super) fn read(page: &[u8]) -> Result<Self, Malformed> {
        if page.len() < 512 || !page.starts_with(b"SQLite format 3\0") {
            return Err(Malformed);
        }
        let page_bytes = match be16(page, 16) {
            1 => 65_536,
            bytes => bytes,
        };
        let usable = page_bytes.checked_sub(usize::from(page[20])).ok_or(Malformed)?;
        if page.len() != page_bytes || usable < 480 {
            return Err(Malformed);
        }
        let (free_trunk, pointer_maps) = (be32(page, 32), be32(page, 52) != 0);
        Ok(Self { page_bytes, usable, free_trunk, pointer_maps, utf8: matches!(be32(page, 56), 0 | 1) })
    }

    /// Where the b-tree begins in a page: the first one has the file's header before it.
    pub(super) fn start_of(page: u32) -> usize {
        if page == 1 { 100 } else { 0 }
    }

    /// The page that holds the byte for locks, which SQLite never uses; beyond the end of small files.
    pub(super) fn lock_page(&self) -> u32 {
        u32::try_from(LOCK_BYTE / self.page_bytes).expect("at most 2^21") + 1
    }

    /// Whether a page notes other pages' parents. It holds numbers only, and every byte of it counts.
    pub(super) fn is_pointer_map(&self, page: u32) -> bool {
        if !self.pointer_maps || page < 2 {
            return false;
        }
        let group = u32::try_from(self.usable / 5).expect("at most 2^14") + 1;
        let map = (page - 2) / group * group + 2;
        page == if map == self.lock_page() { map + 1 } else { map }
    }

    /// Bytes of content in one page of an overflow chain.
    pub(super) fn overflow_bytes(&self) -> usize {
        self.usable - 4
    }
}

/// Which kind of b-tree page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    IndexInterior,
    TableInterior,
    IndexLeaf,
    TableLeaf,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Self> {
        match byte {
            2 => Some(Self::IndexInterior),
            5 => Some(Self::TableInterior),
            10 => Some(Self::IndexLeaf),
            13 => Some(Self::TableLeaf),
            _ => None,
        }
    }

    pub(super) fn is_interior(self) -> bool {
        matches!(self, Self::IndexInterior | Self::TableInterior)
    }

    /// Whether its cells are rows: of a table with row numbers, an index, or a table without row numbers.
    pub(super) fn has_payload(self) -> bool {
        self != Self::TableInterior
    }

    /// Whether its cells hold a row number.
    pub(super) fn has_rowid(self) -> bool {
        self == Self::TableLeaf
    }
}

/// One cell of a b-tree page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cell {
    /// The page to its left, in interior pages.
    pub(super) child: u32,
    /// The row's number, in leaves of tables.
    pub(super) rowid: i64,
    /// Bytes of the row, overflow included.
    pub(super) payload_bytes: usize,
    /// Where in the page the row's first bytes stand.
    pub(super) local: (usize, usize),
    /// The first page of its overflow chain; 0 for none.
    pub(super) overflow: u32,
}

/// A b-tree page, taken apart. Reused from page to page.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Its cells, in order.
    pub(super) cells: Vec<Cell>,
    /// The bytes that nothing uses.
    pub(super) unused: Vec<Range<usize>>,
    /// The page right of all cells, in interior pages.
    pub(super) rightmost: u32,
    /// Where its cells begin.
    pub(super) content: usize,
    extents: Vec<(usize, usize)>,
    /// By where one begins in the page; zero everywhere between two pages.
    lengths: Vec<usize>,
}

impl Parts {
    /// Takes a page apart.
    pub(super) fn read(&mut self, page: &[u8], start: usize, usable: usize) -> Result<Kind, Malformed> {
        self.cells.clear();
        self.unused.clear();
        self.extents.clear();
        let kind = Kind::of(page[start]).ok_or(Malformed)?;
        let pointers = start + if kind.is_interior() { 12 } else { 8 };
        self.rightmost = if kind.is_interior() { be32(page, start + 8) } else { 0 };
        let count = be16(page, start + 3);
        let content = match be16(page, start + 5) {
            0 => 65_536,
            at => at,
        };
        let gap = pointers + 2 * count;
        if gap > content || content > usable {
            return Err(Malformed);
        }
        self.content = content;
        self.unused.push(gap..content);
        let free = self.free_blocks(page, be16(page, start + 1), content, usable)?;
        let fragments = usize::from(page[start + 7]);
        let exact = free == 0 && fragments == 0;
        let limits = Limits::of(kind, usable);
        let mut used = 0;
        for pointer in page[pointers..gap].as_chunks::<2>().0 {
            let at = usize::from(u16::from_be_bytes(*pointer));
            if at < content {
                return Err(Malformed);
            }
            let (cell, bytes) = read_cell(&page[..usable], at, kind, limits)?;
            used += bytes;
            self.cells.push(cell);
            if !exact {
                self.extents.push((at, at + bytes));
            }
        }
        if used + free + fragments != usable - content {
            return Err(Malformed);
        }
        if !exact {
            self.holes(content, usable)?;
        }
        Ok(kind)
    }

    /// The chain of free blocks: their bodies are unused, their first four bytes are the chain.
    fn free_blocks(&mut self, page: &[u8], first: usize, content: usize, usable: usize) -> Result<usize, Malformed> {
        let (mut at, mut last_end, mut total) = (first, content, 0);
        while at != 0 {
            if at < last_end || at + 4 > usable {
                return Err(Malformed);
            }
            let (next, bytes) = (be16(page, at), be16(page, at + 2));
            if bytes < 4 || at + bytes > usable {
                return Err(Malformed);
            }
            self.unused.push(at + 4..at + bytes);
            self.extents.push((at, at + bytes));
            (last_end, total, at) = (at + bytes, total + bytes, next);
        }
        Ok(total)
    }

    /// What lies between cells and free blocks: fragments. Each is of three bytes at most when it is made, but they add up
    /// side by side, to sixty a page: enough for an address.
    fn holes(&mut self, content: usize, usable: usize) -> Result<(), Malformed> {
        self.lengths.resize(usable, 0);
        for (from, to) in &self.extents {
            self.lengths[*from] = to - from;
        }
        let (mut at, mut seen) = (content, 0);
        while at < usable {
            match self.lengths[at] {
                0 => {
                    let end = (at..usable).find(|at| self.lengths[*at] != 0).unwrap_or(usable);
                    self.unused.push(at..end);
                    at = end;
                }
                length => (at, seen) = (at + length, seen + 1),
            }
        }
        for (from, _) in &self.extents {
            self.lengths[*from] = 0;
        }
        // Where some lie over others, or over the end, not all are met.
        if seen == self.extents.len() && at == usable { Ok(()) } else { Err(Malformed) }
    }
}

#[inline]
fn read_cell(page: &[u8], at: usize, kind: Kind, limits: Limits) -> Result<(Cell, usize), Malformed> {
    let usable = page.len();
    let mut cell = Cell { child: 0, rowid: 0, payload_bytes: 0, local: (at, at), overflow: 0 };
    let mut next = at;
    if kind.is_interior() {
        if next + 4 > usable {
            return Err(Malformed);
        }
        cell.child = be32(page, next);
        next += 4;
    }
    if kind.has_payload() {
        let (bytes, after) = varint(page, next)?;
        cell.payload_bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= PAYLOAD_BYTES_MAX).ok_or(Malformed)?;
        next = after;
    }
    if matches!(kind, Kind::TableLeaf | Kind::TableInterior) {
        let (rowid, after) = varint(page, next)?;
        (cell.rowid, next) = (rowid.cast_signed(), after);
    }
    if kind.has_payload() {
        let local = limits.local_bytes(cell.payload_bytes);
        cell.local = (next, next + local);
        next += local;
        if local < cell.payload_bytes {
            if next + 4 > usable {
                return Err(Malformed);
            }
            cell.overflow = be32(page, next);
            next += 4;
        }
    }
    if next > usable {
        return Err(Malformed);
    }
    // SQLite gives no cell less than four bytes, so that it can become a free block.
    Ok((cell, (next - at).max(4)))
}

/// How much of a row stands in the b-tree page itself: all up to `most` bytes; of more at least `least`.
#[derive(Clone, Copy)]
struct Limits {
    most: usize,
    least: usize,
    usable: usize,
}

impl Limits {
    fn of(kind: Kind, usable: usize) -> Self {
        let most = if kind == Kind::TableLeaf { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
        Self { most, least: (usable - 12) * 32 / 255 - 23, usable }
    }

    #[inline]
    fn local_bytes(self, payload: usize) -> usize {
        if payload <= self.most {
            return payload;
        }
        let wanted = self.least + (payload - self.least) % (self.usable - 4);
        if wanted <= self.most { wanted } else { self.least }
    }
}

/// The free list's leaves that a trunk names, and where its unused tail begins.
pub(super) fn trunk_leaves(page: &[u8], usable: usize) -> Result<(impl Iterator<Item = u32> + '_, usize), Malformed> {
    let count = be32(page, 4) as usize;
    if count > usable / 4 - 2 {
        return Err(Malformed);
    }
    let end = 8 + 4 * count;
    Ok((page[8..end].chunks_exact(4).map(|four| be32(four, 0)), end))
}

pub(super) fn be16(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A number of one to nine bytes, and where it ends.
#[inline]
pub(super) fn varint(bytes: &[u8], at: usize) -> Result<(u64, usize), Malformed> {
    let first = *bytes.get(at).ok_or(Malformed)?;
    if first < 0x80 {
        return Ok((u64::from(first), at + 1));
    }
    let mut value = u64::from(first & 0x7f);
    for n in 1..8 {
        let byte = *bytes.get(at + n).ok_or(Malformed)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Ok((value, at + n + 1));
        }
    }
    let byte = *bytes.get(at + 8).ok_or(Malformed)?;
    Ok((value << 8 | u64::from(byte), at + 9))
}

/// Counts the bytes that are not zero. Fast where all are.
pub(super) fn nonzero(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<64>();
    let dirty = |word: &[u8; 64]| word.iter().fold(0, |all, byte| all | byte) != 0;
    let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte != 0).count();
    words.iter().filter(|word| dirty(word)).map(|word| count(word)).sum::<usize>() + count(rest)
}

/// Where the byte for locks stands in the file.
const LOCK_BYTE: usize = 0x4000_0000;

/// SQLite's own limit of a row, in bytes.
const PAYLOAD_BYTES_MAX: usize = 0x7fff_ffff;
