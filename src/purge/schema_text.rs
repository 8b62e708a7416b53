//! What SQLite tells of a schema only in the text that made it: read by words, outside of quotes and comments.

use super::shape::same;

/// Whether a trigger may fire on a DELETE or an UPDATE; where its text is odd, it may. SQLite takes none of these words for a name.
pub(super) fn fires(sql: &str) -> bool {
    let mut events = bare_words(sql).into_iter().filter(|word| ["DELETE", "INSERT", "UPDATE"].iter().any(|event| same(word, event)));
    events.next().is_none_or(|event| !same(event, "INSERT"))
}

/// Whether a table's text has a conflict clause that does not end in an error.
pub(super) fn settles_conflicts(sql: &str) -> bool {
    let quiet = |word: &str| ["REPLACE", "IGNORE"].iter().any(|quiet| same(word, quiet));
    bare_words(sql).windows(2).any(|pair| same(pair[0], "CONFLICT") && quiet(pair[1]))
}

/// Whether a text has a name by itself, and not as a part of a longer one.
pub(super) fn says(text: &str, name: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
    text.match_indices(name).any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part))
}

/// Whether an index's text says that it has no row in which this column is null: by a condition of its own, joined to others by
/// nothing but AND. Of any other text it is not sure, and says no.
pub(super) fn leaves_null_out(text: &str, column: &str) -> bool {
    let mut pieces = pieces(text).into_iter();
    let found = pieces.any(|piece| piece.is("where"));
    let condition: Vec<_> = pieces.collect();
    // AND joins other things than conditions there.
    let odd = condition.iter().any(|piece| ["or", "between", "case"].iter().any(|word| piece.is(word)));
    found && !odd && demands(&condition, column)
}

/// Whether a condition holds only where the column is not null.
fn demands(condition: &[Piece<'_>], column: &str) -> bool {
    let (mut depth, mut from, mut parts) = (0_u32, 0, Vec::new());
    for (at, piece) in condition.iter().enumerate() {
        match piece {
            Piece::Sign("(") => depth += 1,
            Piece::Sign(")") => depth = depth.saturating_sub(1),
            and if depth == 0 && and.is("and") => {
                parts.push(&condition[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&condition[from..]);
    parts.into_iter().any(|part| match part {
        [Piece::Sign("("), inside @ .., Piece::Sign(")")] if closes_last(inside) => demands(inside, column),
        [Piece::Word(name) | Piece::Name(name), said @ ..] => same(name, column) && is_not_null(said),
        _ => false,
    })
}

/// Whether each parenthesis in this is opened before it is closed: those around it are a pair.
fn closes_last(inside: &[Piece<'_>]) -> bool {
    let mut depth = 0_i32;
    inside.iter().all(|piece| {
        depth += i32::from(*piece == Piece::Sign("(")) - i32::from(*piece == Piece::Sign(")"));
        depth >= 0
    })
}

fn is_not_null(said: &[Piece<'_>]) -> bool {
    let spelt = |words: &[&str]| said.len() == words.len() && std::iter::zip(said, words).all(|(piece, word)| piece.is(word));
    spelt(&["is", "not", "null"]) || spelt(&["not", "null"]) || spelt(&["notnull"])
}

/// The words of an SQL text outside of quotes and comments.
fn bare_words(sql: &str) -> Vec<&str> {
    let words = pieces(sql).into_iter().filter_map(|piece| if let Piece::Word(word) = piece { Some(word) } else { None });
    words.collect()
}

/// A piece of an SQL text.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Piece<'a> {
    /// A word or a number.
    Word(&'a str),
    /// What stands in quotes that make a name of it.
    Name(&'a str),
    /// One other letter, or what stands in the quotes of a text.
    Sign(&'a str),
}

impl Piece<'_> {
    fn is(&self, word: &str) -> bool {
        matches!(self, Piece::Word(found) if same(found, word))
    }
}

/// An SQL text without comments and white space.
fn pieces(sql: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = sql;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => Some("\""),
            '\'' => Some("'"),
            '`' => Some("`"),
            '[' => Some("]"),
            '-' if rest.starts_with("--") => Some("\n"),
            '/' if rest.starts_with("/*") => Some("*/"),
            _ => None,
        };
        let bytes = match end {
            Some(end) => rest[end.len()..].find(end).map_or(rest.len(), |at| at + 2 * end.len()),
            None if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            None => first.len_utf8(),
        };
        let piece = &rest[..bytes];
        pieces.extend(match first {
            '"' | '`' | '[' => Some(Piece::Name(piece.get(1..bytes - 1).unwrap_or_default())),
            '-' | '/' if end.is_some() => None,
            _ if is_word(first) => Some(Piece::Word(piece)),
            _ => (!first.is_ascii_whitespace()).then_some(Piece::Sign(piece)),
        });
        rest = &rest[bytes..];
    }
    pieces
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use crate::purge::shape::Shape;

    #[test]
    fn a_trigger_fires_on_the_event_that_it_says_and_not_on_one_in_its_name_or_in_a_comment() {
        let connection = Connection::open_in_memory().unwrap();
        let check = |head: &str, expected: bool| {
            let sql = format!("CREATE TABLE t (a, \"update\"); CREATE TRIGGER {head} ON t BEGIN SELECT 1; END");
            connection.execute_batch(&sql).unwrap();
            let triggers = Shape::read(&connection).unwrap().triggers;
            assert_eq!(!triggers.is_empty(), expected, "{head}");
            connection.execute_batch("DROP TABLE t").unwrap();
        };
        for event in ["DELETE", "update OF a", "UPDATE OF \"update\""] {
            check(&format!("x AFTER {event}"), true);
            check(&format!("\"audit INSERT BEGINS\" AFTER {event}"), true);
            check(&format!("[an insert] before {event}"), true);
            check(&format!("`it\"s insert` {event}"), true);
            check(&format!("'o''insert' {event}"), true);
            check(&format!("x /* insert */ AFTER -- insert\n {event}"), true);
            check(&format!("insert_x BEFORE {event}"), true);
        }
        check("\"of a DELETE\" AFTER INSERT", false);
        check("x/* delete */AFTER/**/insert", false);
        check("begin after Insert", false);
        check("x -- update\n BEFORE INSERT", false);
    }
}
