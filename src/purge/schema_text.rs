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

/// Whether an index's text says that it has no row in which this column is null. Of alternatives none says so.
pub(super) fn leaves_null_out(text: &str, column: &str) -> bool {
    let bare = text.replace(['"', '`', '[', ']'], "").replace(['(', ')'], " ");
    let words: Vec<&str> = bare.split_whitespace().collect();
    let column = column.to_ascii_lowercase();
    let follows = |rest: &[&str]| words.windows(1 + rest.len()).any(|words| words[0] == column && words[1..] == *rest);
    let said = [&["is", "not", "null"][..], &["not", "null"], &["notnull"]].into_iter().any(follows);
    said && !words.contains(&"or")
}

/// The words of an SQL text outside of quotes and comments.
fn bare_words(sql: &str) -> Vec<&str> {
    let mut words = Vec::new();
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
        words.extend(is_word(first).then_some(&rest[..bytes]));
        rest = &rest[bytes..];
    }
    words
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
