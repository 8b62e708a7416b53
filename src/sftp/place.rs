//! What a path means: the tenant's view as names, before any disk is touched.
//!
//! ```text
//! /inbox /check                 files may be put here, and nowhere below
//! /archive /rejected /status    may be listed and read, at any depth
//! /README.txt                   may be read; it is on no disk
//! ```
//!
//! A session stands in `/inbox`. `.`, `..` and doubled slashes are resolved by the text alone. What ends with a slash, `.` or `..` is
//! a folder, so it names no file.

use crate::domain::{FileName, FileNameError};
use crate::spool::{DropFolder, ReadFolder};

/// What a path leads to. Whether it exists is another question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// `/`
    Root,
    /// `/inbox` or `/check` itself.
    Drop(DropFolder),
    /// `/README.txt`
    Readme,
    /// A file in one of them.
    Upload(DropFolder, FileName),
    /// A name there that no file can have.
    Misnamed(FileNameError),
    /// A folder there, or something below a file or folder.
    Below(DropFolder),
    /// A readable folder, or something in it, by components.
    Read(ReadFolder, Vec<Vec<u8>>),
    /// Nothing of ours.
    Nowhere,
}

/// The name of the tenant's instructions.
pub(crate) const README: &str = "README.txt";

impl Place {
    /// Reads a path as the client sent it.
    pub(crate) fn of(path: &[u8]) -> Self {
        let components = resolve(path);
        let Some((first, rest)) = components.split_first() else { return Self::Root };
        let folder = is_folder(path);
        if rest.is_empty() && *first == README.as_bytes() && !folder {
            return Self::Readme;
        }
        if let Some(drop) = DropFolder::ALL.into_iter().find(|drop| drop.as_str().as_bytes() == *first) {
            return match rest {
                [] => Self::Drop(drop),
                [name] if !folder => FileName::sent(name).map_or_else(Self::Misnamed, |name| Self::Upload(drop, name)),
                _ => Self::Below(drop),
            };
        }
        match ReadFolder::ALL.into_iter().find(|folder| folder.as_str().as_bytes() == *first) {
            Some(folder) => Self::Read(folder, rest.iter().map(|component| component.to_vec()).collect()),
            None => Self::Nowhere,
        }
    }
}

/// Whether a path can only name a folder.
pub(crate) fn is_folder(path: &[u8]) -> bool {
    matches!(path.rsplit(|&byte| byte == b'/').next(), Some(b"" | b"." | b".."))
}

/// The absolute form of a path.
pub(crate) fn absolute(path: &[u8]) -> Vec<u8> {
    let components = resolve(path);
    if components.is_empty() {
        return b"/".to_vec();
    }
    components.iter().flat_map(|component| [&b"/"[..], component]).flatten().copied().collect()
}

fn resolve(path: &[u8]) -> Vec<&[u8]> {
    let mut components = if path.starts_with(b"/") { Vec::new() } else { vec![DropFolder::Inbox.as_str().as_bytes()] };
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop();
            }
            _ => components.push(component),
        }
    }
    components
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_paths_from_the_inbox_by_their_text_alone() {
        let check = |path: &str, expected: &str| assert_eq!(String::from_utf8(absolute(path.as_bytes())).unwrap(), expected, "{path:?}");
        check(".", "/inbox");
        check("", "/inbox");
        check("june.csv", "/inbox/june.csv");
        check("./a//b/", "/inbox/a/b");
        check("..", "/");
        check("../../../etc/passwd", "/etc/passwd");
        check("/check/../archive/./x", "/archive/x");
        check("//inbox///june.csv", "/inbox/june.csv");
        check("/", "/");
    }

    #[test]
    fn knows_the_places_of_a_tenant_and_no_others() {
        let check = |path: &str, expected: Place| assert_eq!(Place::of(path.as_bytes()), expected, "{path:?}");
        let june = || FileName::parse("june.csv").unwrap();
        check("/", Place::Root);
        check(".", Place::Drop(DropFolder::Inbox));
        check("june.csv", Place::Upload(DropFolder::Inbox, june()));
        check("/check/june.csv", Place::Upload(DropFolder::Check, june()));
        check("../check/june.csv", Place::Upload(DropFolder::Check, june()));
        check("/inbox/sub/june.csv", Place::Below(DropFolder::Inbox));
        check("/inbox/", Place::Drop(DropFolder::Inbox));
        for path in ["june.csv/", "/inbox/june.csv//", "june.csv/.", "june.csv/x/.."] {
            check(path, Place::Below(DropFolder::Inbox));
        }
        check("/archive/2026-11-21/", Place::Read(ReadFolder::Archive, vec![b"2026-11-21".to_vec()]));
        check("/README.txt/", Place::Nowhere);
        check("/inbox/ann@x.example", Place::Misnamed(FileNameError::At));
        check("/archive/2026-11-21/42-june.csv", Place::Read(ReadFolder::Archive, vec![b"2026-11-21".to_vec(), b"42-june.csv".to_vec()]));
        check("/status", Place::Read(ReadFolder::Status, vec![]));
        check("/README.txt", Place::Readme);
        check("/README.txt/x", Place::Nowhere);
        check("/staging/inbox/x", Place::Nowhere);
        check("/processing", Place::Nowhere);
        check("/inbox2", Place::Nowhere);
        check("/../../../inbox-2/x", Place::Nowhere);
    }
}
