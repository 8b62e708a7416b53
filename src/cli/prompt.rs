//! What a command asks a person on the terminal, or reads from standard input in their place.

use std::io::{self, BufRead, IsTerminal};

use super::{Exit, Failure, Scene};

/// An address is read, never given as an argument: arguments land in shell history and in sudo's log.
pub(super) fn ask_address(scene: &Scene) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        scene.terminal.ask("address: ");
    }
    read_line()
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
            scene.terminal.ask(format!("this cannot be undone. Type the number of people to erase ({people}): "));
            let typed = read_line()?;
            if typed.parse() == Ok(people) { Ok(()) } else { Err(declined("not confirmed".to_owned())) }
        }
    }
}

/// A line of standard input, trimmed.
fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| Failure::failed("cannot read standard input").because(&error))?;
    Ok(line.trim().to_owned())
}
