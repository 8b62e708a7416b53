//! What is wrong with a config file: where, which key, what was found and what is allowed.
//!
//! Faults are collected, not thrown: one run names all of them. A fault never quotes a key file or a secret.

use std::fmt;
use std::path::{Path, PathBuf};

/// One fault of one file. Prints `file:line: key: what was found, what is allowed`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The file as the reader of the message knows it.
    pub file: PathBuf,
    /// 1-based line, where one is at fault.
    pub line: Option<usize>,
    /// Dotted path of the key, empty where the whole file is at fault.
    pub key: String,
    /// What was found, what is allowed.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// All faults of a reading, in the order of the lines. One line of text each.
#[derive(Clone, Debug, Default, Eq, PartialEq, thiserror::Error)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults, in the order of the lines.
    #[must_use]
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn one(file: &Path, line: Option<usize>, key: &str, what: impl Into<String>) -> Self {
        Self(vec![Fault { file: file.to_owned(), line, key: key.to_owned(), what: what.into() }])
    }

    pub(super) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_by_key(|fault| fault.line);
    }

    /// The value if there is no fault, else all of them.
    pub(super) fn or<T>(mut self, value: T) -> Result<T, Self> {
        self.sort();
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}
