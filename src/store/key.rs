//! The value of a subject's key column.

use std::fmt;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};

/// The value of a subject's key column. Its order is ours alone: integers, then texts, then blobs, by bytes. SQLite orders texts by the
/// bytes of the database's encoding, so what one of the two has sorted is not to be merged with, or cut off by, what the other has.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Key {
    /// An integer.
    Integer(i64),
    /// A text, by its bytes as they are: SQLite lets in some that are not UTF-8.
    Text(Box<[u8]>),
    /// A blob, such as a UUID.
    Blob(Box<[u8]>),
}

/// Prints `Key(..)`: in a foreign schema a key can be an address.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Integer(n) => ValueRef::Integer(*n),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl FromSql for Key {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Integer(n) => Ok(Self::Integer(n)),
            ValueRef::Text(text) => Ok(Self::Text(text.into())),
            ValueRef::Blob(bytes) => Ok(Self::Blob(bytes.into())),
            ValueRef::Null | ValueRef::Real(_) => Err(FromSqlError::InvalidType),
        }
    }
}
