//! Whether what a plan writes over can stand where it writes it.

use super::super::plan::{Action, Rule, Set, Value};
use super::super::shape::same;
use super::{Finding, FindingKind, Look};

impl Look<'_> {
    /// Whether each value that a rule writes has a place: in a column that can be written, of its type, and beside its like.
    pub(super) fn can_be_overwritten(&mut self, rule: &Rule) {
        for set in &rule.sets {
            self.can_be_changed(&rule.table, std::slice::from_ref(&set.column), "overwritten");
            if set.path.is_none() && set.to == Value::Null {
                self.can_be_null(&rule.table, std::slice::from_ref(&set.column), "set to null");
            }
            self.can_hold(rule, set);
        }
        self.can_be_the_same(rule);
    }

    /// What makes a rule by which rows stay write a column of them over.
    pub(super) fn how_to_write_over(&self, rule: &Rule) -> String {
        let detached: Vec<_> = rule.edges.iter().filter(|edge| rule.action_of(edge) == Action::Detach).collect();
        match detached.as_slice() {
            // What another edge leads to is written over.
            others if others.is_empty() || rule.action == Action::Overwrite && others.len() < rule.edges.len() => "a set for it".to_owned(),
            // All of a person's rows are written over, by whatever address.
            [edge] if rule.edges.len() == 1 => {
                let own: Vec<_> = self.plan.own_columns(&rule.table, edge).into_iter().map(String::as_str).collect();
                format!(
                    "action = \"overwrite\", a set for it, and \"null\" set to \"{}\" in place of the detached reference",
                    own.join("\", \"")
                )
            }
            // Another person's reference in the same row would be set to null as well.
            _ => "action = \"overwrite\", a set and a match for it, and action = \"detach\" on the edges that were detached".to_owned(),
        }
    }

    fn can_hold(&mut self, rule: &Rule, set: &Set) {
        let column = self.shape.table(&rule.table).and_then(|table| table.column(&set.column)).filter(|_| set.path.is_none());
        let Some(column) = column.filter(|column| !column.can_hold(&set.to)) else { return };
        let what = if set.to == Value::Hash { "a hash, which is a text" } else { "what the plan writes there" };
        let what = format!("\"{}\".\"{}\" is {} and cannot hold {what}", rule.table, set.column, column.declared);
        let mend = Some("write \"null\" there or a value of its type, or delete these rows".to_owned());
        self.found.push(Finding { kind: FindingKind::Misfit, what, mend });
    }

    /// A fixed value stands once in what is unique: the second row that is overwritten would be refused.
    fn can_be_the_same(&mut self, rule: &Rule) {
        let uniques = self.shape.table(&rule.table).map_or(&[][..], |table| &table.uniques);
        let Some(unique) = uniques.iter().find(|unique| unique.iter().all(|column| is_fixed(rule, column))) else { return };
        let (table, columns) = (&rule.table, unique.join("\", \""));
        let what = format!("\"{table}\" has \"{columns}\" unique, and would have the same value there in each row that is overwritten");
        self.found.push(Finding {
            kind: FindingKind::Misfit,
            what,
            mend: Some("write \"hash\" or \"null\" there, or delete these rows".to_owned()),
        });
    }

    /// The same where only a part of what is unique is fixed: whether rows agree in the rest, a person has to say.
    pub(super) fn may_be_the_same(&mut self, rule: &Rule) {
        let Some(table) = self.shape.table(&rule.table) else { return };
        let accepted = |column: &&String| self.plan.accepted.has_column(&rule.table, column);
        let nulled = |column: &String| rule.sets.iter().any(|set| same(&set.column, column) && set.path.is_none() && set.to == Value::Null);
        let mut found = Vec::new();
        for unique in &table.uniques {
            let (fixed, rest): (Vec<&String>, Vec<&String>) = unique.iter().partition(|column| is_fixed(rule, column));
            let rest: Vec<String> = rest.into_iter().cloned().collect();
            let apart = rest.is_empty() || rest.iter().any(nulled) || table.is_unique(&rest);
            let Some(first) = fixed.first().filter(|_| !apart && !fixed.iter().any(accepted)) else { continue };
            let (columns, rest) = (unique.join("\", \""), rest.join("\", \""));
            found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!(
                    "\"{}\" has \"{columns}\" unique together, and would have the same \"{first}\" in each row that is overwritten: an \
                     import fails when two of them have the same \"{rest}\"",
                    rule.table
                ),
                mend: Some(format!(
                    "delete these rows, or write \"null\" there; if no two rows can have the same \"{rest}\", name \"{}.{first}\" in \
                     accepted.columns",
                    rule.table
                )),
            });
        }
        for unique in &table.partly_unique {
            let Some(first) = unique.columns.iter().find(|column| is_fixed(rule, column)) else { continue };
            if unique.columns.iter().any(nulled) || accepted(&first) {
                continue;
            }
            found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!(
                    "\"{}\" has the unique index \"{}\", on some rows or on what is made of its columns, and would have the same \
                     \"{first}\" in each row that is overwritten: an import fails when two of them are the same there",
                    rule.table, unique.name
                ),
                mend: Some(format!(
                    "write \"hash\" or \"null\" there, or delete these rows; if it cannot be, name \"{}.{first}\" in accepted.columns",
                    rule.table
                )),
            });
        }
        self.found.extend(found);
    }
}

/// Whether a rule writes the same value into a column of every row.
fn is_fixed(rule: &Rule, column: &str) -> bool {
    let fixed = |set: &Set| set.path.is_none() && matches!(set.to, Value::Text(_) | Value::Number(_));
    rule.sets.iter().any(|set| same(&set.column, column) && fixed(set))
}
