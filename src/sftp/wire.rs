//! Numbers, strings and attributes of SFTP version 3 as bytes, in both directions.
//!
//! Reading never panics and never allocates by a claimed length: a field that does not fit its packet is [`Short`].
//! This module does not know what a request means.

use std::borrow::Cow;

pub(crate) const INIT: u8 = 1;
pub(crate) const VERSION: u8 = 2;
pub(crate) const OPEN: u8 = 3;
pub(crate) const CLOSE: u8 = 4;
pub(crate) const READ: u8 = 5;
pub(crate) const WRITE: u8 = 6;
pub(crate) const LSTAT: u8 = 7;
pub(crate) const FSTAT: u8 = 8;
pub(crate) const SETSTAT: u8 = 9;
pub(crate) const FSETSTAT: u8 = 10;
pub(crate) const OPENDIR: u8 = 11;
pub(crate) const READDIR: u8 = 12;
pub(crate) const REMOVE: u8 = 13;
pub(crate) const MKDIR: u8 = 14;
pub(crate) const RMDIR: u8 = 15;
pub(crate) const REALPATH: u8 = 16;
pub(crate) const STAT: u8 = 17;
pub(crate) const RENAME: u8 = 18;
pub(crate) const READLINK: u8 = 19;
pub(crate) const SYMLINK: u8 = 20;
pub(crate) const STATUS: u8 = 101;
pub(crate) const HANDLE: u8 = 102;
pub(crate) const DATA: u8 = 103;
pub(crate) const NAME: u8 = 104;
pub(crate) const ATTRS: u8 = 105;
pub(crate) const EXTENDED: u8 = 200;
pub(crate) const EXTENDED_REPLY: u8 = 201;

const ATTR_SIZE: u32 = 0x1;
const ATTR_OWNER: u32 = 0x2;
const ATTR_PERMISSIONS: u32 = 0x4;
const ATTR_TIMES: u32 = 0x8;
const ATTR_EXTENDED: u32 = 0x8000_0000;

/// Status codes of version 3. It has none for "exists", "no space" or "quota": those are [`Code::Failure`] with a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Code {
    /// The request was carried out.
    Ok = 0,
    /// Nothing more to read or to list.
    Eof = 1,
    /// No such file or folder.
    NoSuchFile = 2,
    /// This sender may not do that here.
    PermissionDenied = 3,
    /// Anything else that went wrong.
    Failure = 4,
    /// The server does not offer this request.
    OpUnsupported = 8,
}

/// Why a request was not carried out: a code and one short clause for the sender, never a path of the server.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// What a client's program looks at.
    pub code: Code,
    /// What a sender reads.
    pub text: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a code and its clause.
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    /// [`Code::Failure`] with a clause.
    pub fn failure(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Failure, text)
    }

    /// [`Code::PermissionDenied`] with a clause.
    pub fn denied(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::PermissionDenied, text)
    }

    /// [`Code::NoSuchFile`].
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NoSuchFile, "no such file")
    }

    /// [`Code::OpUnsupported`] with a clause.
    pub fn unsupported(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::OpUnsupported, text)
    }
}

/// Attributes of a file, each only if it was given.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    /// Length in bytes.
    pub size: Option<u64>,
    /// User and group.
    pub owner: Option<(u32, u32)>,
    /// Type and permission bits, as in `st_mode`.
    pub permissions: Option<u32>,
    /// Seconds since 1970 of the last access and the last change.
    pub times: Option<(u32, u32)>,
}

impl Attributes {
    /// A regular file of `size` bytes, changed at `mtime`; `mode` holds the permission bits only.
    #[must_use]
    pub fn file(size: u64, mtime: u32, mode: u32) -> Self {
        Self { size: Some(size), owner: None, permissions: Some(0o100_000 | mode), times: Some((mtime, mtime)) }
    }

    /// A folder; `mode` holds the permission bits only.
    #[must_use]
    pub fn folder(mtime: u32, mode: u32) -> Self {
        Self { size: Some(0), owner: None, permissions: Some(0o040_000 | mode), times: Some((mtime, mtime)) }
    }

    /// Whether the type bits say folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.permissions.is_some_and(|mode| mode & 0o170_000 == 0o040_000)
    }
}

/// A field reaches beyond its packet, or holds what it must not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Short;

/// Reads the fields of one packet in order.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(packet: &'a [u8]) -> Self {
        Self { rest: packet }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let (field, rest) = self.rest.split_at_checked(count).ok_or(Short)?;
        self.rest = rest;
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        self.take(N)?.try_into().map_err(|_| Short)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Short> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn string(&mut self) -> Result<&'a [u8], Short> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| Short)?)
    }

    /// A path: a string without NUL.
    pub(crate) fn path(&mut self) -> Result<&'a [u8], Short> {
        let path = self.string()?;
        if path.contains(&0) { Err(Short) } else { Ok(path) }
    }

    /// Attributes. Extended ones are read over.
    pub(crate) fn attributes(&mut self) -> Result<Attributes, Short> {
        let flags = self.u32()?;
        let mut attributes = Attributes::default();
        if flags & ATTR_SIZE != 0 {
            attributes.size = Some(self.u64()?);
        }
        if flags & ATTR_OWNER != 0 {
            attributes.owner = Some((self.u32()?, self.u32()?));
        }
        if flags & ATTR_PERMISSIONS != 0 {
            attributes.permissions = Some(self.u32()?);
        }
        if flags & ATTR_TIMES != 0 {
            attributes.times = Some((self.u32()?, self.u32()?));
        }
        if flags & ATTR_EXTENDED != 0 {
            for _ in 0..self.u32()? {
                self.string()?;
                self.string()?;
            }
        }
        Ok(attributes)
    }
}

/// Appends one packet to an output; its length is filled in by [`Writer::end`].
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, kind: u8) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, kind]);
        Self { out, start }
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn string(self, value: &[u8]) -> Self {
        let length = u32::try_from(value.len()).expect("a reply is shorter than 4 GiB");
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(value);
        self
    }

    pub(crate) fn attributes(mut self, attributes: &Attributes) -> Self {
        let flag = |given: bool, flag: u32| if given { flag } else { 0 };
        self = self.u32(
            flag(attributes.size.is_some(), ATTR_SIZE)
                | flag(attributes.owner.is_some(), ATTR_OWNER)
                | flag(attributes.permissions.is_some(), ATTR_PERMISSIONS)
                | flag(attributes.times.is_some(), ATTR_TIMES),
        );
        if let Some(size) = attributes.size {
            self = self.u64(size);
        }
        if let Some((user, group)) = attributes.owner {
            self = self.u32(user).u32(group);
        }
        if let Some(permissions) = attributes.permissions {
            self = self.u32(permissions);
        }
        if let Some((accessed, changed)) = attributes.times {
            self = self.u32(accessed).u32(changed);
        }
        self
    }

    /// Bytes of the packet so far.
    pub(crate) fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Fills in the packet's length.
    pub(crate) fn end(self) {
        let length = u32::try_from(self.out.len() - self.start - 4).expect("a reply is shorter than 4 GiB");
        self.out[self.start..self.start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn attributes_come_back_as_they_were_written(
            size: Option<u64>, owner: Option<(u32, u32)>, permissions: Option<u32>, times: Option<(u32, u32)>,
        ) {
            let attributes = Attributes { size, owner, permissions, times };
            let mut out = Vec::new();
            Writer::new(&mut out, ATTRS).attributes(&attributes).end();
            let mut reader = Reader::new(&out[5..]);
            prop_assert_eq!(reader.attributes(), Ok(attributes));
            prop_assert_eq!(reader.u8(), Err(Short));
        }
    }

    #[test]
    fn reads_over_extended_attributes_and_refuses_a_count_that_lies() {
        let extended = |count: u32| {
            let mut out = Vec::new();
            Writer::new(&mut out, ATTRS).u32(ATTR_EXTENDED).u32(count).string(b"a").string(b"b").end();
            Reader::new(&out[5..]).attributes()
        };
        assert_eq!(extended(1), Ok(Attributes::default()));
        assert_eq!(extended(u32::MAX), Err(Short));
    }

    #[test]
    fn refuses_a_string_that_is_longer_than_its_packet_and_a_path_with_nul() {
        assert_eq!(Reader::new(&[0, 0, 0, 3, b'a', b'b']).string(), Err(Short));
        assert_eq!(Reader::new(&[255, 255, 255, 255, b'a']).string(), Err(Short));
        assert_eq!(Reader::new(&[0, 0, 0, 2, b'a', 0]).path(), Err(Short));
    }
}
