//! The program's voice. Everything that a command prints goes through here.
//!
//! Data and the answer to what was asked go to standard output; warnings, errors and hints go to standard error, so that
//! output can be piped. A reader who goes away (`| head`) ends the output quietly. Colour stands only on a terminal, and
//! `NO_COLOR` turns it off. Control characters in what is printed are escaped: names come from other people.

use std::any::Any;
use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Failure;
use crate::telemetry::printable;

/// Where a command speaks.
pub struct Terminal {
    colour: bool,
    wide: bool,
    reader_gone: Cell<bool>,
}

impl Terminal {
    /// The process's own standard output and error.
    #[must_use]
    pub fn of_process() -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: !no_colour && io::stderr().is_terminal(), wide: !io::stdout().is_terminal(), reader_gone: Cell::new(false) }
    }

    /// Prints lines to standard output.
    ///
    /// # Errors
    /// When standard output cannot be written. A reader who went away is no error.
    pub fn say(&self, text: impl Display) -> Result<(), Failure> {
        self.write(&text.to_string().lines().map(printable).collect::<Vec<_>>().join("\n"))
    }

    /// Prints one JSON document to standard output.
    ///
    /// # Errors
    /// As [`Terminal::say`].
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed("cannot write JSON").because(&error))?;
        self.write(&text)
    }

    /// Prints aligned columns to standard output. On a terminal, the cells of the widest column are wrapped to its width where the others
    /// leave room for that; else lines are left as long as they are.
    ///
    /// # Errors
    /// As [`Terminal::say`].
    pub fn table(&self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), Failure> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(header.to_vec());
        for row in rows {
            table.add_row(row.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
        }
        let screen = table.width().filter(|_| !self.wide);
        self.write(&laid_out(table, screen).join("\n"))
    }

    /// Prints a warning to standard error.
    pub fn warn(&self, text: impl Display) {
        self.tell("warning", "33", &text.to_string());
    }

    /// Prints what the reader may do to standard error.
    pub fn hint(&self, text: impl Display) {
        self.tell("hint", "36", &text.to_string());
    }

    /// Prints why a command failed, and what to do about it, to standard error.
    pub fn fail(&self, failure: &Failure) {
        for message in failure.messages() {
            self.tell("error", "31", message);
        }
        for hint in failure.hints() {
            self.hint(hint);
        }
    }

    /// Prints a bad row to standard error, in red.
    pub fn bad(&self, text: impl Display) {
        let text = printable(&text.to_string());
        let _ = if self.colour { writeln!(io::stderr().lock(), "\x1b[31m{text}\x1b[0m") } else { writeln!(io::stderr().lock(), "{text}") };
    }

    /// Prints a question to standard error, and leaves the cursor behind it.
    pub fn ask(&self, question: impl Display) {
        let mut err = io::stderr().lock();
        let _ = write!(err, "{}", printable(&question.to_string())).and_then(|()| err.flush());
    }

    /// Shows on standard error how much of a file was read; on a terminal only.
    #[must_use]
    pub fn progress(&self, bytes: u64) -> ProgressBar {
        let bar = ProgressBar::new(bytes);
        let template = "{wide_bar} {bytes}/{total_bytes} {msg}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }

    fn tell(&self, word: &str, colour: &str, text: &str) {
        let word = if self.colour { format!("\x1b[1;{colour}m{word}:\x1b[0m") } else { format!("{word}:") };
        // There is no one left to tell where standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{word} {}", printable(text));
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        if self.reader_gone.get() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_gone.set(true);
                Ok(())
            }
            result => result.map_err(|error| Failure::failed("cannot write to standard output").because(&error)),
        }
    }
}

/// The lines of a table. No cell is broken but those of the widest column: a date in four pieces is none.
fn laid_out(mut table: Table, screen: Option<u16>) -> Vec<String> {
    let widths = table.column_max_content_widths();
    let widest = (0..widths.len()).max_by_key(|at| widths[*at]).filter(|at| widths[*at] >= WRAPPED_MIN);
    let others = (0..widths.len()).filter(|at| Some(*at) != widest).fold(GAP, |sum, at| sum.saturating_add(widths[at]).saturating_add(GAP));
    let room = screen.filter(|screen| widest.is_some() && screen.saturating_sub(others) >= CELL_MIN);
    match room {
        Some(screen) => table.set_width(screen).set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, GAP));
        if Some(at) != widest {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Fewer columns than this has no cell that is worth wrapping: a date with its time has 20.
const WRAPPED_MIN: u16 = 24;

/// Spaces between two columns.
const GAP: u16 = 2;

/// Narrower than this, a cell is not wrapped.
const CELL_MIN: u16 = 12;

/// Makes a panic say where it was and not what it held: a value in its message could be an address.
pub(super) fn guard_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = words_of_panic(panic.payload());
        let _ = writeln!(io::stderr().lock(), "error: a defect in expunged at {place}: {words}");
    }));
}

/// A literal holds nothing of the data; a formatted message may.
fn words_of_panic(payload: &dyn Any) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("the message is withheld")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_widest_column_of_a_table_is_wrapped_and_none_where_that_leaves_no_room() {
        let lines = |screen: Option<u16>| {
            let mut table = Table::new();
            table.load_style(presets::NOTHING);
            table.set_header(["NUMBER", "WHY", "RECEIVED"]);
            table.add_row(["42", "a court wants it kept for now", "2026-11-23T02:09:30Z"]);
            laid_out(table, screen)
        };
        let whole = ["NUMBER  WHY                            RECEIVED", "42      a court wants it kept for now  2026-11-23T02:09:30Z"];
        assert_eq!(lines(None), whole);
        assert_eq!(lines(Some(61)), whole);
        let wrapped = ["NUMBER  WHY               RECEIVED", "42      a court wants it  2026-11-23T02:09:30Z", "        kept for now"];
        assert_eq!(lines(Some(48)), wrapped);
        assert_eq!(lines(Some(43)), whole);
    }

    #[test]
    fn a_panic_says_its_literal_and_withholds_what_may_hold_a_value() {
        assert_eq!(words_of_panic(&"a row without a line"), "a row without a line");
        assert_eq!(words_of_panic(&String::from("no such customer: ann@x.example")), "the message is withheld");
        assert_eq!(words_of_panic(&7), "the message is withheld");
    }
}
