//! A plan as a person writes it: TOML. What is wrong is told with its line, and choices that are still to be made all at once.

use std::fmt;

use toml::de::{DeTable, DeValue};

use super::{Place, Plan, PlanError};

/// Something wrong in a plan's text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlanFault {
    /// From 1.
    pub line: usize,
    /// What was found, what is allowed.
    pub what: String,
}

/// All that is known to be wrong in a plan's text, in order of lines; one line of text each.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct PlanFaults(pub Vec<PlanFault>);

impl fmt::Display for PlanFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            write!(f, "{}line {}: {}", if n > 0 { "\n" } else { "" }, fault.line, fault.what)?;
        }
        Ok(())
    }
}

impl Plan {
    /// Reads a plan. It is sound in itself; whether it fits a database is another question.
    ///
    /// # Errors
    /// [`PlanFaults`]: at least one.
    pub fn parse(text: &str) -> Result<Self, PlanFaults> {
        let open = open_choices(text);
        if !open.is_empty() {
            return Err(PlanFaults(open));
        }
        let mut plan: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            PlanFaults(vec![PlanFault { line, what: error.message().lines().collect::<Vec<_>>().join(", ") }])
        })?;
        plan.spell_alike();
        match plan.children_first() {
            Ok(_) => Ok(plan),
            Err(PlanError::Wrong(wrong)) => Err(PlanFaults(vec![PlanFault { line: line_of_place(text, wrong.place), what: wrong.what }])),
            Err(other) => Err(PlanFaults(vec![PlanFault { line: 1, what: other.to_string() }])),
        }
    }
}

/// What `plan derive` left to a person.
fn open_choices(text: &str) -> Vec<PlanFault> {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut found = Vec::new();
    walk(table.get_ref(), &mut |value, start| {
        if let Some(rest) = value.as_str().and_then(|word| word.strip_prefix(super::write::CHOOSE)) {
            let allowed = rest.trim_start_matches(':').trim();
            found.push(PlanFault { line: line_of(text, start), what: format!("not chosen yet: write {allowed}") });
        }
    });
    found.sort_by_key(|fault| fault.line);
    found
}

fn walk(table: &DeTable<'_>, with: &mut dyn FnMut(&DeValue<'_>, usize)) {
    for value in table.values() {
        walk_value(value.get_ref(), value.span().start, with);
    }
}

fn walk_value(value: &DeValue<'_>, start: usize, with: &mut dyn FnMut(&DeValue<'_>, usize)) {
    match value {
        DeValue::Table(table) => walk(table, with),
        DeValue::Array(items) => items.iter().for_each(|item| walk_value(item.get_ref(), item.span().start, with)),
        other => with(other, start),
    }
}

fn line_of_place(text: &str, place: Place) -> usize {
    let (table, _) = DeTable::parse_recoverable(text);
    let table = table.get_ref();
    let start = match place {
        Place::Whole => None,
        Place::Subject => table.get("subject").map(|value| value.span().start),
        Place::Account => table.get("account").map(|value| value.span().start),
        Place::Rule(at) => {
            let rule = table.get("table").and_then(|rules| rules.get_ref().as_array()).and_then(|rules| rules.get(at));
            rule.map(|rule| rule.get_ref().as_table().and_then(|rule| rule.get("name")).map_or(rule.span().start, |name| name.span().start))
        }
    };
    start.map_or(1, |start| line_of(text, start))
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}
