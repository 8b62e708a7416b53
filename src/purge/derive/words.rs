//! What the words mean that a derived plan leaves to choose from: said once, above all rules, and only of words that are there.

use crate::purge::plan::Comment;

/// The lines; none where nothing is left to choose.
pub(super) fn say(comments: &[Comment]) -> Vec<String> {
    let is_open = |word: &str| comments.iter().flat_map(|comment| &comment.choose).any(|words| words.contains(&word));
    let mut lines = vec!["What becomes of the rows of a table, where the schema does not say:".to_owned()];
    lines.extend(MEANINGS.iter().filter(|(word, _)| is_open(word)).map(|(word, meaning)| format!("  \"{word}\": {meaning}")));
    if lines.len() == 1 { Vec::new() } else { lines }
}

const MEANINGS: [(&str, &str); 4] = [
    (
        "delete",
        "they go with any of those that they refer to, or whose address a match finds; an edge with action = \"detach\" is left out.",
    ),
    (
        "detach",
        "they stay, with their references set to null, and rules that refer to no other table find nothing: take those out. \
         Add orphans = \"keep\" or \"delete\": what becomes of a row that refers to nobody any more.",
    ),
    (
        "overwrite",
        "they stay without the person. Add set = [{ column = \"…\", to = \"null\" | \"hash\" | { text = \"…\" } | { number = 0 } }], the key to a \
         stand-in's among them, and take out the edges of other tables to this one (and rules without another), or their rows go all the same.",
    ),
    ("keep", "they stay as they are. Add reason = \"…\"."),
];
