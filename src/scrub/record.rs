//! Values of a record, as SQLite writes rows.

use std::ops::Range;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::page::{Malformed, varint};

/// Shows each text and each blob of a record, with its place among the stored columns.
pub(super) fn each_text(record: &[u8], mut with: impl FnMut(usize, &[u8])) -> Result<(), Malformed> {
    each(record, |column, serial, range| {
        if serial >= 12 {
            with(column, &record[range]);
        }
    })
}

/// Shows where each text and each blob of a record stands in it, as far as the record reads: what does not is told by who reads
/// the values. Called for every row of a file.
#[inline]
pub(super) fn each_bounds(record: &[u8], mut with: impl FnMut(usize, usize)) {
    let Ok((header, mut at)) = varint(record, 0) else { return };
    let Some(types) = usize::try_from(header).ok().and_then(|header| record.get(..header)) else { return };
    let mut body = types.len();
    while let Some(first) = types.get(at) {
        let serial;
        if *first < 0x80 {
            (serial, at) = (usize::from(*first), at + 1);
        } else {
            let Ok((long, next)) = varint(types, at) else { return };
            (serial, at) = (usize::try_from(long).unwrap_or(usize::MAX), next);
        }
        let bytes = NUMBER_BYTES.get(serial).copied().unwrap_or_else(|| (serial - NUMBER_BYTES.len()) / 2);
        let end = body.saturating_add(bytes);
        if end > record.len() {
            return;
        }
        if serial > NUMBER_BYTES.len() && end > body {
            with(body, end);
        }
        body = end;
    }
}

/// Bytes of the values that are no texts and no blobs, by serial type. SQLite's "Database File Format", section 2.1.
const NUMBER_BYTES: [usize; 12] = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0];

/// A value as it is stored. A text is its bytes, which need not be UTF-8.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    /// The number's bits.
    Real(u64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(n) => ValueRef::Integer(*n),
            Self::Real(bits) => ValueRef::Real(f64::from_bits(*bits)),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl FromSql for Cell {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(n) => Self::Integer(n),
            ValueRef::Real(n) => Self::Real(n.to_bits()),
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        })
    }
}

/// The first values of a record.
pub(super) fn first_values(record: &[u8], count: usize) -> Result<Vec<Cell>, Malformed> {
    let mut values = Vec::with_capacity(count);
    each(record, |column, serial, range| {
        if column < count {
            values.push(value(serial, &record[range]));
        }
    })?;
    Ok(values)
}

#[inline]
fn each(record: &[u8], mut with: impl FnMut(usize, u64, Range<usize>)) -> Result<(), Malformed> {
    let (header, mut at) = varint(record, 0)?;
    let header = usize::try_from(header).ok().filter(|header| *header <= record.len()).ok_or(Malformed)?;
    let (mut body, mut column) = (header, 0);
    while at < header {
        let (serial, next) = varint(record, at)?;
        let bytes = match serial {
            0 | 8 | 9 => 0,
            1..=4 => serial,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return Err(Malformed),
            _ => (serial - 12) / 2,
        };
        let end = usize::try_from(bytes).ok().and_then(|bytes| body.checked_add(bytes)).filter(|end| *end <= record.len());
        let end = end.ok_or(Malformed)?;
        with(column, serial, body..end);
        (at, body, column) = (next, end, column + 1);
    }
    Ok(())
}

fn value(serial: u64, bytes: &[u8]) -> Cell {
    let sign = bytes.first().map_or(0, |byte| if *byte >= 0x80 { -1 } else { 0 });
    match serial {
        0 => Cell::Null,
        8 => Cell::Integer(0),
        9 => Cell::Integer(1),
        1..=6 => Cell::Integer(bytes.iter().fold(sign, |all, byte| all << 8 | i64::from(*byte))),
        7 => Cell::Real(u64::from_be_bytes(bytes.try_into().unwrap_or_default())),
        _ if serial % 2 == 1 => Cell::Text(bytes.to_vec()),
        _ => Cell::Blob(bytes.to_vec()),
    }
}
