//! How a command ends: its exit code, and the words for why it could not do what it was asked.

use std::error::Error;
use std::process::ExitCode;

use crate::config::Faults;

/// How a command ended. The numbers are a contract; each command's help lists those it uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed: ours, or the machine's.
    Failed = 1,
    /// The arguments, the config, or a file that they name.
    Usage = 2,
    /// Done, and some rows were invalid.
    SomeInvalid = 3,
    /// No such tenant, import, customer or file.
    NotFound = 4,
    /// Held: waits for an operator.
    Held = 5,
    /// Rejected: nothing was deleted.
    Rejected = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked, for the person who typed it.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    messages: Vec<String>,
    hints: Vec<String>,
}

impl Failure {
    /// Operation and object, what was found and what is allowed: one clause, lower case, no full stop.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, messages: vec![message.into()], hints: Vec::new() }
    }

    /// [`Exit::Failed`].
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// [`Exit::Usage`].
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// [`Exit::NotFound`].
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// Adds the whole chain of causes to the message.
    #[must_use]
    pub fn because(mut self, cause: &(dyn Error + 'static)) -> Self {
        let mut next = Some(cause);
        if let Some(message) = self.messages.last_mut() {
            while let Some(error) = next {
                message.push_str(": ");
                message.push_str(&plain(&error.to_string()));
                next = error.source();
            }
        }
        self
    }

    /// Adds what the reader may do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Several things at once, one line each.
    #[must_use]
    pub(super) fn each(exit: Exit, messages: impl Iterator<Item = String>) -> Self {
        Self { exit, messages: messages.collect(), hints: Vec::new() }
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What went wrong, one line each.
    #[must_use]
    pub fn messages(&self) -> &[String] {
        &self.messages
    }

    /// What may be done about it, one line each.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::each(Exit::Usage, faults.as_slice().iter().map(|fault| plain(&fault.to_string())))
    }
}

/// Takes the number off a message of the system: `Permission denied (os error 13)`.
fn plain(message: &str) -> String {
    match message.rsplit_once(" (os error ") {
        Some((words, number)) if number.trim_end_matches(')').bytes().all(|b| b.is_ascii_digit()) => words.to_owned(),
        _ => message.to_owned(),
    }
}
