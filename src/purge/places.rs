//! The places that may hold an address: a column, or what a path leads to in a column of JSON, each place of a list among them.

use super::plan::{EVERY, Match, Rule};
use super::terms::{literal, of};

/// Whether a place that may hold an address is so: any of them, where it is a list.
pub(super) fn holds(rule: &Rule, m: &Match, is: impl FnOnce(&str) -> String) -> String {
    match places(rule, m) {
        None => is(&of(&rule.table, &m.column)),
        Some((from, value)) => format!("EXISTS (SELECT 1 FROM {from} WHERE {})", is(&value)),
    }
}

/// The value of a place, for a sample: where it is a list, the first that may be an address.
pub(super) fn place(rule: &Rule, m: &Match) -> String {
    match places(rule, m) {
        None => of(&rule.table, &m.column),
        Some((from, value)) => format!("(SELECT {value} FROM {from} WHERE {value} LIKE '%_@_%' LIMIT 1)"),
    }
}

/// Whether a value is JSON that a path leads into, as all of SQLite's functions read it: a text, of JSON5 too, or a blob that
/// SQLite made, looked through whole.
pub(super) fn is_json(value: &str) -> String {
    format!("json_valid({value}, 10)")
}

/// Whether a value is such a blob.
pub(super) fn is_jsonb(value: &str) -> String {
    format!("json_valid({value}, 8)")
}

/// A value as a person would read it: such a blob as a text, anything else as it is.
pub(super) fn legible(value: &str) -> String {
    format!("CASE WHEN {} THEN json({value}) ELSE {value} END", is_jsonb(value))
}

/// Where in JSON the places are, and the value of one.
fn places(rule: &Rule, m: &Match) -> Option<(String, String)> {
    let path = m.path.as_ref()?;
    // A path to a list leads to its places already.
    let mut steps = path.strip_suffix(EVERY).unwrap_or(path).split(EVERY);
    let column = of(&rule.table, &m.column);
    // What is no JSON leads nowhere, nor does an object that stands where an address should.
    let each = |value: &str, is_json: String, path: &str| {
        let path = literal(path);
        format!("json_each(CASE WHEN {is_json} THEN CASE WHEN json_type({value}, {path}) <> 'object' THEN {value} END END, {path})")
    };
    let mut from = vec![format!("{} expunged_place0", each(&column, is_json(&column), steps.next()?))];
    for (at, step) in steps.enumerate() {
        let value = format!("expunged_place{at}.value");
        let is_json = format!("expunged_place{at}.type IN ('array', 'object')");
        from.push(format!("{} expunged_place{}", each(&value, is_json, &format!("${step}")), at + 1));
    }
    let last = from.len() - 1;
    Some((from.join(", "), format!("expunged_place{last}.value")))
}
