//! What a command asks a person on the terminal, or reads from standard input in their place.
//!
//! Where nobody is asked, standard input is read to its end and holds the answer alone: whoever stood on a second line would be
//! passed over in silence.

use std::io::{self, BufRead, IsTerminal, Read};

use super::{Exit, Failure, Scene};

/// An address is read, never given as an argument: arguments land in shell history and in sudo's log.
pub(super) fn ask_address(scene: &Scene) -> Result<String, Failure> {
    ask_line(scene, "address: ")
}

/// One line, without white space at its ends.
///
/// # Errors
/// [`Exit::Usage`] where standard input holds more than one line, or more than [`LINE_BYTES_MAX`].
pub(super) fn ask_line(scene: &Scene, question: &str) -> Result<String, Failure> {
    let stdin = io::stdin();
    let asked = stdin.is_terminal();
    if asked {
        scene.terminal.ask(question);
    }
    let mut text = String::new();
    let mut input = stdin.lock().take(LINE_BYTES_MAX + 1);
    let read = if asked { input.read_line(&mut text) } else { input.read_to_string(&mut text) };
    let bytes = read.map_err(|error| Failure::failed("cannot read standard input").because(&error))?;
    if bytes as u64 > LINE_BYTES_MAX {
        return Err(Failure::usage(format!("standard input holds more than {LINE_BYTES_MAX} bytes, and one line is read")));
    }
    let text = text.trim();
    if text.contains(['\n', '\r']) {
        return Err(Failure::usage("standard input holds more than one line").hint("run the command once for each"));
    }
    Ok(text.to_owned())
}

/// Has a person confirm that so many people are erased: by `--yes`, else by typing their number on the terminal.
///
/// # Errors
/// [`Exit::Rejected`] where another number was given, [`Exit::Usage`] where nobody can be asked.
pub(super) fn confirm(scene: &Scene, yes: Option<u64>, people: u64) -> Result<(), Failure> {
    let declined = |message: String| Failure::new(Exit::Rejected, message).hint("nothing was deleted");
    match yes {
        Some(number) if number == people => Ok(()),
        Some(number) => Err(declined(format!("--yes {number}, but {people} people would be erased"))),
        None if !io::stdin().is_terminal() => {
            Err(Failure::usage(format!("{people} people would be erased, and there is no terminal to ask on"))
                .hint(format!("confirm with: --yes {people}")))
        }
        None => {
            let typed = ask_line(scene, &format!("this cannot be undone. Type the number of people to erase ({people}): "))?;
            if typed.parse() == Ok(people) { Ok(()) } else { Err(declined("not confirmed".to_owned())) }
        }
    }
}

/// Longest line, in bytes; longer than any address, name or id.
const LINE_BYTES_MAX: u64 = 4_096;
