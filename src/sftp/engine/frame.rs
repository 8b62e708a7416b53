//! Where one packet ends and the next begins, from however few bytes there are.
//!
//! Pure: looks at a prefix of the stream and says what can be done with it. Nothing is allocated by a claimed length.

use crate::sftp::wire;

/// Longest packet taken, without its four length bytes: 256 KiB, as OpenSSH, and headroom for the fields of a WRITE
/// whose body alone is 256 KiB.
pub(crate) const PACKET_BYTES_MAX: usize = 262_144 + 1024;

/// Longest handle that the protocol allows.
const HANDLE_BYTES_MAX: usize = 256;

/// The stream cannot be followed any further; the channel must be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Framing {
    /// A packet of length 0 or above the limit.
    #[error("a packet of {0} bytes")]
    Length(u32),
    /// A field that reaches beyond its packet, or a NUL in a name.
    #[error("a malformed packet of type {0}")]
    Fields(u8),
    /// A request before INIT, or a second INIT.
    #[error("a packet of type {0} out of turn")]
    Turn(u8),
}

/// What the first bytes of a packet allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// Nothing before this many bytes are there, counted from the packet's start.
    Need(usize),
    /// The whole packet ends here. Never a WRITE.
    Packet(usize),
    /// A WRITE whose body begins at `header` and has `body` bytes, after which the packet has `over` bytes more.
    Write { header: usize, body: usize, over: usize },
}

/// Looks at the bytes from a packet's start on.
///
/// # Errors
/// [`Framing`] as soon as the bytes show it, the same however they are sliced.
pub(crate) fn next(bytes: &[u8]) -> Result<Next, Framing> {
    let Some(length) = number(bytes, 0) else { return Ok(Next::Need(5)) };
    let size = length as usize;
    if size == 0 || size > PACKET_BYTES_MAX {
        return Err(Framing::Length(length));
    }
    let Some(&kind) = bytes.get(4) else { return Ok(Next::Need(5)) };
    if kind != wire::WRITE {
        return Ok(if bytes.len() >= 4 + size { Next::Packet(4 + size) } else { Next::Need(4 + size) });
    }
    // length, type, id, handle, offset, length of the body
    let fixed = 1 + 4 + 4 + 8 + 4;
    if size < fixed {
        return Err(Framing::Fields(kind));
    }
    let Some(handle) = number(bytes, 9) else { return Ok(Next::Need(13)) };
    let handle = handle as usize;
    if handle > HANDLE_BYTES_MAX || size < fixed + handle {
        return Err(Framing::Fields(kind));
    }
    let header = 4 + fixed + handle;
    let Some(body) = number(bytes, header - 4) else { return Ok(Next::Need(header)) };
    let body = body as usize;
    let over = size.checked_sub(fixed + handle + body).ok_or(Framing::Fields(kind))?;
    Ok(Next::Write { header, body, over })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(field.try_into().expect("four bytes were asked for")))
}
