//! What tests of the built binary share: a world of their own, and commands that say everything when they fail.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A scratch folder in which commands run. Kept, and its path printed, where `EXPUNGED_KEEP` is set.
pub(crate) struct World {
    dir: TempDir,
}

/// A command that ran: what it was, how it ended, what it said.
pub(crate) struct Ran {
    line: String,
    status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    tree: String,
}

impl World {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// An empty one in memory, where there is such a folder: for tests that sync thousands of times on a disk that others use too.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::within(memory) } else { Self::new() }
    }

    #[expect(clippy::print_stderr, reason = "whoever keeps a world must learn where it is")]
    fn within(folder: &Path) -> Self {
        let mut dir = TempDir::with_prefix_in("expunged-test-", folder).expect("a scratch folder");
        if std::env::var_os("EXPUNGED_KEEP").is_some() {
            dir.disable_cleanup(true);
            eprintln!("kept: {}", dir.path().display());
        }
        Self { dir }
    }

    /// One that `init .` has set up.
    pub(crate) fn initialised() -> Self {
        let world = Self::new();
        world.expunged(["init", "."]).exits(0);
        world
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, its folders too.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a path in the world")).expect("folders in the world");
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// The text of a file.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The permission bits of a file.
    pub(crate) fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.path(name)).expect(name).permissions().mode() & 0o7777
    }

    /// Runs the built binary here.
    pub(crate) fn expunged<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        self.run(env!("CARGO_BIN_EXE_expunged"), args)
    }

    /// Runs any program here, with nothing on its standard input.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = A>) -> Ran {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null()).env_remove("EXPUNGED_KEEP");
        self.finish(command)
    }

    /// Waits for a command made by the caller.
    pub(crate) fn finish(&self, mut command: Command) -> Ran {
        let line = format!("{command:?}");
        let output = command.output().unwrap_or_else(|error| panic!("{line}: {error}"));
        self.ran(line, &output)
    }

    /// The same, with something on its standard input.
    pub(crate) fn finish_with(&self, mut command: Command, input: &str) -> Ran {
        let line = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        // A program that does not read its input may have ended by now.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap_or_else(|error| panic!("{line}: {error}"));
        self.ran(line, &output)
    }

    fn ran(&self, line: String, output: &Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { line, status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr), tree: self.tree() }
    }

    /// Every file and folder with its mode, one a line, sorted.
    pub(crate) fn tree(&self) -> String {
        let mut lines = Vec::new();
        list(self.dir.path(), self.dir.path(), &mut lines);
        lines.sort();
        lines.join("\n")
    }

    /// A fresh pair of keys, `name` and `name.pub`, made by ssh-keygen.
    pub(crate) fn key_pair(&self, name: &str, kind: &[&str]) {
        let args = ["-q", "-N", "", "-C", "night@job", "-f", name].into_iter().chain(kind.iter().copied());
        self.run("ssh-keygen", args).exits(0);
    }
}

impl Ran {
    /// Asserts the exit code.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert!(self.status == Some(code), "expected exit {code}\n{self}");
        self
    }

    /// The exit code.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status
    }

    /// Asserts that standard output holds a text.
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "expected on stdout: {text}\n{self}");
        self
    }

    /// Asserts that a text was said on either.
    pub(crate) fn shows(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "expected: {text}\n{self}");
        self
    }

    /// Asserts that standard error holds a text.
    pub(crate) fn warns(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "expected on stderr: {text}\n{self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, status, stdout, stderr, tree } = self;
        write!(f, "command: {line}\nstatus: {status:?}\nstdout:\n{stdout}\nstderr:\n{stderr}\ntree:\n{tree}")
    }
}

fn list(root: &Path, folder: &Path, lines: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = path.symlink_metadata() else { continue };
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        lines.push(format!("{name} {:o}", meta.permissions().mode() & 0o7777));
        if meta.is_dir() {
            list(root, &path, lines);
        }
    }
}

/// Whether a program is there. Says aloud that a test is skipped; where `EXPUNGED_TEST_ALL` is set, a skip is a failure.
pub(crate) fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        missing(&format!("{program} is not installed"));
    }
    found
}

/// Says aloud that a test is skipped for want of something that can be installed; a failure where `EXPUNGED_TEST_ALL` is set.
pub(crate) fn missing(why: &str) {
    assert!(std::env::var_os("EXPUNGED_TEST_ALL").is_none(), "{why}, and no test may be skipped here");
    skip(why);
}

/// Says aloud that a test is skipped for want of something that the machine cannot give.
#[expect(clippy::print_stderr, reason = "a skipped test must not look like one that passed")]
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}
