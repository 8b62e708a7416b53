//! What statements are made of: names, texts, and the temporary tables that they share.

/// The subjects that a transaction takes, by `key`, and whether the row that takes one asks to `keep` its account: a temporary table.
pub(super) const CHUNK: &str = r#"temp."expunged_chunk""#;

/// The addresses that nobody has any more once those subjects are gone: `address` and `tenant`.
pub(super) const ADDRESSES: &str = r#"temp."expunged_addresses""#;

/// The accounts that go: the columns of the account rule, as `c0`, `c1`, …
pub(super) const EMPTIED: &str = r#"temp."expunged_emptied""#;

/// A quoted identifier.
pub(super) fn name(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A quoted text.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A column of a table.
pub(super) fn of(table: &str, column: &str) -> String {
    format!("{}.{}", name(table), name(column))
}

/// A table of the main database: a temporary one of the same name must not stand in for it.
pub(super) fn in_main(table: &str) -> String {
    format!("main.{}", name(table))
}

/// Columns as one value, or as a row of values.
pub(super) fn tuple(columns: &[String]) -> String {
    if let [one] = columns { one.clone() } else { format!("({})", columns.join(", ")) }
}

/// Any of these conditions.
pub(super) fn or_never(conditions: &[String]) -> String {
    if conditions.is_empty() { "0".to_owned() } else { conditions.join(" OR ") }
}
