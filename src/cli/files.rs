//! Files that commands make: whole or not at all, never over another, for their owner only.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat, renameat_with};

/// Makes a file with its whole content, durable on return.
///
/// # Errors
/// `AlreadyExists` when the name is taken; then nothing has changed.
pub(super) fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let draft = draft_of(path);
    let written = write_new(&draft, content, mode).and_then(|()| Ok(renameat_with(CWD, &draft, CWD, path, RenameFlags::NOREPLACE)?));
    if written.is_err() {
        // A draft that cannot be removed is a dot-file that nothing reads.
        let _ = std::fs::remove_file(&draft);
    }
    written.and_then(|()| sync_folder(path.parent().unwrap_or(Path::new("."))))
}

/// Gives a file another content, whole or not at all, durable on return. Others than its owner and group lose sight of it.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = path.canonicalize()?;
    let (draft, mode) = (draft_of(&path), path.metadata()?.mode() & 0o770);
    let written = write_new(&draft, content, mode).and_then(|()| Ok(renameat(CWD, &draft, CWD, &path)?));
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written.and_then(|()| sync_folder(path.parent().unwrap_or(Path::new("."))))
}

/// Makes a folder that only its owner enters; one that is there is left as it is. Its parent must exist.
pub(super) fn create_private_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_folder(path.parent().unwrap_or(Path::new("."))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// A file without a name, gone when it is closed: for what must not be left on disk.
pub(super) fn unnamed() -> io::Result<File> {
    let descriptor = rustix::fs::memfd_create("list", rustix::fs::MemfdFlags::CLOEXEC)?;
    Ok(File::from(descriptor))
}

/// Removes a file, durably.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Beside a file, a name that nothing reads.
fn draft_of(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes what was made in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}
