//! Files that were cut, or put together from two uploads.
//!
//! A cut address can be a shorter valid address, so a CSV record whose line end is missing is not believed. A resumed upload may go on with
//! another day's file, so the row at the seam is not believed either, even where the seam is its first byte: in the file
//! that the rest came from, the row may have begun earlier.

use std::ops::Range;

use crate::domain::Rejection;

use super::Reading;

/// What vouches for the bytes, and where they may not fit.
pub(super) struct Cut {
    vouched: bool,
    seams: Vec<u64>,
    accept_unterminated: bool,
}

impl Cut {
    pub(super) fn new(reading: &Reading) -> Self {
        if reading.vouched {
            return Self::vouched();
        }
        // Resumed at 0 is sent whole.
        let mut seams: Vec<u64> = reading.seams.iter().copied().filter(|seam| *seam > 0).collect();
        seams.sort_unstable();
        Self { vouched: false, seams, accept_unterminated: reading.accept_unterminated }
    }

    /// The bytes are what was meant.
    pub(super) fn vouched() -> Self {
        Self { vouched: true, seams: Vec::new(), accept_unterminated: true }
    }

    /// Whether something vouches for the bytes as they are.
    pub(super) fn is_vouched(&self) -> bool {
        self.vouched
    }

    /// Whether a row without its line end counts.
    pub(super) fn accepts_unterminated(&self) -> bool {
        self.accept_unterminated
    }

    /// Whether an upload was resumed at or inside these bytes of the stored file.
    pub(super) fn resumed_in(&self, stored: &Range<u64>) -> bool {
        let next = self.seams.partition_point(|seam| *seam < stored.start);
        self.seams.get(next).is_some_and(|seam| *seam < stored.end)
    }

    /// Whether an upload was resumed before this byte of the stored file.
    pub(super) fn resumed_before(&self, stored: u64) -> bool {
        self.seams.first().is_some_and(|seam| *seam < stored)
    }
}

/// The refusal where rows may not be rows at all: quotes that do not fit, at a seam or behind one, are the sign that one of the two
/// uploads was inside a quoted cell there, and what looks like rows may be its text.
pub(super) fn resumed_in_quotes(line: u64) -> Rejection {
    let message = "an interrupted upload was resumed where a quoted cell may have been open, so where rows begin is not certain; send the \
                   file whole, or with a checksum file";
    Rejection::new("resumed_in_quotes", message).at(line)
}

pub(super) fn resumed_in_header() -> Rejection {
    Rejection::new("resumed_in_header", "an interrupted upload was resumed inside the header; send the file whole, or with a checksum file")
}

pub(super) fn unterminated_only_row(line: u64) -> Rejection {
    Rejection::new("unterminated_only_row", "the only row has no line end, so it may be cut; end it with one, or send a checksum file")
        .at(line)
}
