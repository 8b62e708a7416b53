//! Whether rows that lose a value are still apart in what is unique.
//!
//! Nulls in the columns of an index are all apart. Those that an expression is made of are not, and a row can come into an index of some
//! rows by what it loses.

use super::super::plan::Value;
use super::super::shape::same;
use super::{Finding, FindingKind, Look};

impl Look<'_> {
    /// What an index makes of a value that is set to null: whether rows agree in the rest, a person has to say.
    pub(super) fn may_be_the_same_without(&mut self) {
        let plan = self.plan;
        let detached = plan.references().filter(|(table, edge)| plan.detaches(table, edge));
        let detached = detached.flat_map(|(table, edge)| plan.own_columns(table, edge).into_iter().map(move |column| (table, column)));
        let sets = plan.rules.iter().flat_map(|rule| rule.sets.iter().map(move |set| (rule, set)));
        let written =
            sets.filter(|(_, set)| set.path.is_none() && set.to == Value::Null).map(|(rule, set)| (rule.table.as_str(), &set.column));
        let nulled: Vec<(&str, &String)> = detached.chain(written).collect();
        let mut found = Vec::new();
        for table in &self.shape.tables {
            let is_nulled = |column: &String| nulled.iter().any(|(of, other)| same(of, &table.name) && same(other, column));
            for unique in &table.partly_unique {
                let apart = unique.columns.iter().any(|column| is_nulled(column) && !unique.weighed.contains(column));
                let Some(column) = unique.weighed.iter().find(|column| is_nulled(column)) else { continue };
                if apart || plan.accepted.has_column(&table.name, column) {
                    continue;
                }
                found.push(Finding {
                    kind: FindingKind::Undecided,
                    what: format!(
                        "\"{}\" has the unique index \"{}\", on some rows or on what is made of its columns, and \"{column}\" is set to \
                         null: an import fails when two such rows are the same there",
                        table.name, unique.name
                    ),
                    mend: Some(format!("delete these rows; if it cannot be, name \"{}.{column}\" in accepted.columns", table.name)),
                });
            }
        }
        self.found.extend(found);
    }
}
