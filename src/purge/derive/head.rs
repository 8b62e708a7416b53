//! The lines above a derived plan: what it is, what is left to do, and what of the database it does not reach.

use rusqlite::Connection;

use super::{DeriveError, follows};
use crate::purge::left_behind::left_behind;
use crate::purge::plan::{Edge, Plan};
use crate::purge::sample::AddressColumn;
use crate::purge::shape::{ForeignKey, Shape, Sought, Table, same, scans};
use crate::purge::undeclared::Undeclared;

/// The lines, for a plan that is complete but for them.
pub(super) fn head(
    connection: &Connection,
    shape: &Shape,
    table: &Table,
    addresses: &[AddressColumn],
    undeclared: &[Undeclared],
    plan: &Plan,
) -> Result<Vec<String>, DeriveError> {
    let mut lines = vec![
        format!("The erasure plan for the people of \"{}\", written from the database's own keys.", table.name),
        "Wherever it says CHOOSE, write one of the words; nothing runs until all are chosen. Then: expunged plan check".to_owned(),
    ];
    if table.column(&plan.subject.key).is_some_and(|key| !key.not_null) {
        lines.push(format!(
            "\"{}\" may be null: while it is so in a row, nothing names that person, and the plan does not fit.",
            plan.subject.key
        ));
    }
    match &plan.subject.address {
        None => lines
            .push("No column of the subject looks like addresses; without [subject] address, e-mail lists cannot be served.".to_owned()),
        Some(address) => {
            let others = addresses.iter().filter(|found| found.table == table.name && found.column != address.column);
            lines.extend(others.map(|found| format!("\"{}\" looks like addresses too; only [subject] address is matched.", found.column)));
        }
    }
    lines.push("For participant lists, add to [subject]: account = \"column of accountId\", id = \"column of id\".".to_owned());
    lines.push("Where a column names the tenant: tenancy = { column = \"…\" }.".to_owned());
    say_keys(table, plan, &mut lines);
    say_unplanned(shape, table, undeclared, plan, &mut lines);
    say_triggers(shape, plan, &mut lines);
    for name in &shape.virtual_tables {
        let forgetting = shape.forgetting(name);
        lines.push(format!(
            "Virtual table \"{name}\": see what it holds, or that triggers keep it{forgetting}; then name it in [accepted] virtual_tables."
        ));
    }
    for found in left_behind(connection, shape, plan)? {
        lines.push(format!(
            "What no plan takes: {}. If it is the person's and nobody else's, let a trigger delete it, or the application.",
            found.seen()
        ));
    }
    say_scans(connection, shape, plan, &mut lines)?;
    Ok(lines)
}

/// Says which declared keys to tables of the plan no edge can follow.
pub(super) fn say_mismatched(mismatched: &[(String, ForeignKey)], plan: &Plan, lines: &mut Vec<String>) {
    for (table, key) in mismatched.iter().filter(|(_, key)| plan.removed_tables().any(|removed| same(removed, &key.parent))) {
        lines.push(format!(
            "\"{table}\" ({}) has a key to \"{}\" ({}), where there are not as many columns that are unique together: SQLite cannot follow it, \
             nor does this plan. Mend it, or take it out of the table, and derive again.",
            key.columns.join(", "),
            key.parent,
            key.parent_columns.join(", ")
        ));
    }
}

/// Says of the subject's own keys where they lead, if no rule is there, and which of them cannot be detached.
fn say_keys(table: &Table, plan: &Plan, lines: &mut Vec<String>) {
    let said: Vec<&str> = plan.removed_tables().collect();
    for key in table.keys.iter().filter(|key| !said.contains(&key.parent.as_str())) {
        lines.push(format!(
            "\"{}\" belongs to \"{}\": to let one go with its last person, derive with --account {1}.",
            table.name, key.parent
        ));
    }
    let is_fixed = |column: &String| table.column(column).is_some_and(|column| column.not_null);
    for edge in &plan.subject.edges {
        let own = plan.own_columns(&table.name, edge);
        let why = match own.iter().any(|column| is_fixed(column)) {
            true => "cannot be null",
            false if own.is_empty() => "has no column of its own",
            false => continue,
        };
        lines.push(format!(
            "\"{0}\" ({1}) {why}, so it cannot be detached: this plan will not fit. Where rows of \"{2}\" refer to people, overwrite those \
             references with a stand-in's, so that its rows stay, and take out this edge.",
            table.name,
            edge.columns.join(", "),
            edge.parent
        ));
    }
}

/// Says which columns look like keys that nobody declared and have no edge in the plan.
fn say_unplanned(shape: &Shape, table: &Table, undeclared: &[Undeclared], plan: &Plan, lines: &mut Vec<String>) {
    let made = |found: &Undeclared, edge: &Edge| {
        let generated = |column: &String| shape.table(&found.table).is_some_and(|table| table.is_generated(column));
        edge.parent == found.parent && edge.columns.iter().any(generated)
    };
    let known = |found: &Undeclared| {
        plan.rule(&found.table).is_some_and(|rule| follows(rule, found) || rule.edges.iter().any(|edge| made(found, edge)))
    };
    for found in undeclared.iter().filter(|found| !known(found)) {
        let of_subject = found.table == table.name;
        let why = match &found.by_another {
            Some(other) => other.why.clone(),
            None if of_subject => "refers to a person from a person's own row".to_owned(),
            None => "may be none".to_owned(),
        };
        lines.push(format!(
            "\"{}\" ({}) looks like a key to \"{}\" that nobody declared ({}), but it {why}.",
            found.table,
            found.column,
            found.parent,
            found.seen()
        ));
        let is_made = shape.table(&found.table).is_some_and(|table| table.is_generated(&found.column));
        lines.push(match &found.by_another {
            // What is made from it can be read, and not set to null.
            _ if of_subject && (is_made || found.by_another.is_some()) => {
                "  No plan sets it to null: have the application clear it, and name it in [accepted] columns.".to_owned()
            }
            None if of_subject => format!("  To set it to null when that person goes, give [subject] this edge: {}", found.edge()),
            None => {
                format!(
                    "  If it is none, name it in [accepted] columns; if it is one, give its table a rule with this edge: {}",
                    found.edge()
                )
            }
            Some(other) => format!("  For an edge, make a column that it can follow, and derive again: {}", other.make),
        });
    }
}

/// Says which triggers are on tables of the plan.
fn say_triggers(shape: &Shape, plan: &Plan, lines: &mut Vec<String>) {
    let planned: Vec<String> = plan.removed_tables().map(str::to_owned).collect();
    for trigger in shape.triggers.iter().filter(|trigger| planned.iter().any(|table| same(table, &trigger.table))) {
        lines
            .push(format!("Trigger \"{}\" on \"{}\": see what it does, then name it in [accepted] triggers.", trigger.name, trigger.table));
    }
}

/// Says by which edges no index leads.
fn say_scans(connection: &Connection, shape: &Shape, plan: &Plan, lines: &mut Vec<String>) -> Result<(), DeriveError> {
    let edges = plan.rules.iter().flat_map(|rule| rule.edges.iter().map(|edge| (&rule.table, edge)));
    for (child, edge) in edges {
        let unreadable = shape.table(child).is_some_and(|table| !table.is_readable());
        let columns: Vec<_> = edge.columns.iter().map(Sought::as_declared).collect();
        if !unreadable && scans(connection, child, &columns)? {
            lines.push(format!("No index leads to \"{child}\" ({}): each chunk will read it whole.", edge.columns.join(", ")));
        }
    }
    Ok(())
}
