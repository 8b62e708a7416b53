//! Commands write as the owner of the folder, or not at all.
//!
//! Files of another user would be unreadable to the daemon, at a moment when nobody looks. So a command stops before it
//! writes anything and repeats itself as it should have been typed.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Failure;

/// Stops a command that would write as another user than the folder's owner.
pub(super) fn guard(folder: &Path, command_line: &[OsString]) -> Result<(), Failure> {
    let meta = std::fs::metadata(folder).map_err(|error| {
        Failure::failed(format!("cannot look at the folder \"{}\"", folder.display()))
            .because(&error)
            .hint("make one with: expunged init DIR")
    })?;
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() == me {
        return Ok(());
    }
    let message = format!("\"{}\" belongs to {}, and this command runs as {}", folder.display(), user(meta.uid()), user(me));
    Err(Failure::failed(message).hint(as_owner(meta.uid(), command_line)))
}

/// Adds how to run the command, where a file could not be read for lack of permission.
pub(super) fn hint_if_denied(failure: Failure, file: &Path, command_line: &[OsString]) -> Failure {
    let denied = std::fs::File::open(file).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
    let owner = file.ancestors().find_map(|path| std::fs::metadata(path).ok()).map(|meta| meta.uid());
    match owner {
        Some(uid) if denied => failure.hint(as_owner(uid, command_line)),
        _ => failure,
    }
}

/// Adds whose a file and its folder are, where they could not be written, and what lets this user write them.
pub(super) fn hint_whose(failure: Failure, file: &Path) -> Failure {
    let whose = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some(format!("{} with mode {:o}", user(meta.uid()), meta.mode() & 0o7777))
    };
    let (Some(of_file), Some(of_folder)) = (whose(file), file.parent().and_then(whose)) else { return failure };
    let me = user(rustix::process::geteuid().as_raw());
    failure
        .hint(format!("the file belongs to {of_file}, its folder to {of_folder}, and this command runs as {me}: let it write both"))
        .hint("in the systemd unit, ReadWritePaths must name the folder; see: expunged plan check")
}

/// A command line as it can be typed.
pub(super) fn shell_line<'w>(words: impl IntoIterator<Item = &'w OsStr>) -> String {
    words.into_iter().map(shell_word).collect::<Vec<_>>().join(" ")
}

fn as_owner(uid: u32, command_line: &[OsString]) -> String {
    let user = match name(uid) {
        Some(name) => name,
        // sudo takes a number so marked.
        None => format!("'#{uid}'"),
    };
    format!("run it as its owner: sudo -u {user} {}", shell_line(command_line.iter().map(OsString::as_os_str)))
}

fn user(uid: u32) -> String {
    name(uid).map_or_else(|| format!("user {uid}"), |name| format!("user {name:?}"))
}

/// The name of a user, where the local list has it.
fn name(uid: u32) -> Option<String> {
    name_in(&std::fs::read_to_string("/etc/passwd").ok()?, uid)
}

fn name_in(passwd: &str, uid: u32) -> Option<String> {
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) && !name.is_empty();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(uid) && plain(name)).then(|| name.to_owned())
    })
}

fn shell_word(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_the_command_as_it_should_have_been_typed() {
        let words = ["expunged", "tenant", "add", "acme", "--key", "my key's.pub"].map(OsString::from);
        assert_eq!(
            as_owner(3_999_999_999, &words),
            "run it as its owner: sudo -u '#3999999999' expunged tenant add acme --key 'my key'\\''s.pub'"
        );
        assert!(as_owner(0, &words).starts_with("run it as its owner: sudo -u root expunged"));
    }

    #[test]
    fn finds_a_name_in_the_local_list() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbad line\nexpunged:x:990:990::/var/lib/expunged:/usr/sbin/nologin\nodd name:x:7:7:::\n";
        assert_eq!(name_in(passwd, 990).as_deref(), Some("expunged"));
        assert_eq!(name_in(passwd, 7), None);
        assert_eq!(name_in(passwd, 8), None);
    }
}
