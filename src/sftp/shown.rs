//! How files, paths and failures are shown to a sender.
//!
//! Every text that leaves here is fit for the sender: no path of the server, no cause, no address.

use tracing::warn;

use crate::domain::{FileName, FileState, Mode, may_hold_address};
use crate::report::Status;
use crate::sftp::engine::Entry;
use crate::sftp::place::absolute;
use crate::sftp::wire::{Attributes, Code, Refusal};
use crate::spool::{self, DropFolder, ErrorKind, Folders, SpoolError};
use crate::telemetry;

/// What a sender may do with an entry, as permission bits show it.
#[derive(Clone, Copy)]
pub(super) enum Rights {
    Read,
    Write,
}

pub(super) const UPLOAD_MODE: u32 = 0o600;

pub(super) fn attributes_of(entry: &spool::Entry, rights: Rights) -> Attributes {
    match (entry.is_dir, rights) {
        (true, Rights::Write) => Attributes::folder(seconds(entry.mtime_s), 0o700),
        (true, Rights::Read) => Attributes::folder(seconds(entry.mtime_s), 0o500),
        (false, Rights::Write) => Attributes::file(entry.size, seconds(entry.mtime_s), UPLOAD_MODE),
        (false, Rights::Read) => Attributes::file(entry.size, seconds(entry.mtime_s), 0o400),
    }
}

pub(super) fn folder_attributes(now: jiff::Timestamp, rights: Rights) -> Attributes {
    let entry = spool::Entry { name: String::new(), size: 0, mtime_s: now.as_second(), is_dir: true };
    attributes_of(&entry, rights)
}

pub(super) fn listed(entry: &spool::Entry, rights: Rights) -> Entry {
    Entry { name: entry.name.clone().into_bytes(), attributes: attributes_of(entry, rights) }
}

pub(super) fn too_large(bytes_max: u64) -> Refusal {
    Refusal::failure(format!("an upload may have {bytes_max} bytes at most"))
}

/// A path as it may be told: without an address.
pub(super) fn shown(path: &[u8]) -> String {
    let path = telemetry::printable(&String::from_utf8_lossy(&absolute(path)));
    if may_hold_address(&path) {
        return format!("{}/?", path.split('/').take(2).filter(|part| !may_hold_address(part)).collect::<Vec<_>>().join("/"));
    }
    path.chars().take(PATH_CHARS_MAX).collect()
}

/// Seconds since 1970 as version 3 carries them.
pub(super) fn seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.clamp(0, i64::from(u32::MAX))).expect("clamped")
}

pub(super) fn nanoseconds(nanoseconds: i128) -> u32 {
    seconds(i64::try_from(nanoseconds / 1_000_000_000).unwrap_or_default())
}

/// The status of a file that is being delivered. `None` where the name's tells of a purge that is not over, and this is a rehearsal.
pub(super) fn waiting_status(folders: &Folders, drop: DropFolder, name: &FileName) -> Result<Option<Vec<u8>>, SpoolError> {
    if drop.mode() == Mode::Check {
        let said = folders.read_status(name)?.as_deref().and_then(Status::read);
        if said.is_some_and(|said| said.mode == Mode::Purge && !said.is_over()) {
            return Ok(None);
        }
    }
    Ok(Some(Status::waiting(FileState::Waiting, drop.mode(), jiff::Timestamp::now()).to_json().into_bytes()))
}

/// The spool's failure in words for the sender. What an operator must know of is logged, here and only here.
pub(super) fn refusal(error: SpoolError) -> Refusal {
    if matches!(error.kind(), ErrorKind::Permission | ErrorKind::NoSpace | ErrorKind::Medium) {
        warn!(cause = telemetry::chain(&error), "file call failed");
    }
    refusal_again(&error)
}

/// The same for a failure of which the operator has been told.
pub(super) fn refusal_again(error: &SpoolError) -> Refusal {
    let code = match error.kind() {
        ErrorKind::NotFound => Code::NoSuchFile,
        ErrorKind::Permission => Code::PermissionDenied,
        _ => Code::Failure,
    };
    Refusal::new(code, error.to_string())
}

/// Longest path that is told, in characters.
const PATH_CHARS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_told_holds_no_address_and_no_control_character() {
        let check = |path: &[u8], expected: &str| assert_eq!(shown(path), expected);
        check(b"june.csv", "/inbox/june.csv");
        check(b"/inbox/ann@x.example.csv", "/inbox/?");
        check(b"/ann@x.example/y.csv", "/?");
        check(b"/inbox/ann%40x.example.csv", "/inbox/?");
        check("bob\u{ff20}x.example.csv".as_bytes(), "/inbox/?");
        check(b"a\nb\x1b[0m", "/inbox/a\\nb\\u{1b}[0m");
        check(b"\xff", "/inbox/\u{fffd}");
        assert_eq!(shown(&[b'a'; 4000]).len(), 300);
    }
}
