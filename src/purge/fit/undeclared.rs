//! Columns that look like keys to rows that the plan takes, and that nobody has declared or planned.

use super::super::plan::Action;
use super::super::shape::same;
use super::super::undeclared::{Undeclared, key_of, undeclared};
use super::{Finding, FindingKind, Look};
use crate::store::StoreError;

impl Look<'_> {
    pub(super) fn undeclared(&mut self) -> Result<(), StoreError> {
        let subject = &self.plan.subject;
        let others = self.plan.removed_tables().skip(1).filter(|table| self.plan.deletes_from(table));
        let others = others.filter_map(|name| Some((name.to_owned(), key_of(self.shape.table(name)?)?.clone())));
        let parents: Vec<_> = std::iter::once((subject.table.clone(), subject.key.clone())).chain(others).collect();
        for found in undeclared(self.connection, &self.shape, &parents)?.into_iter().filter(|found| !self.said(found)).collect::<Vec<_>>() {
            let accept = format!("name \"{}.{}\" in accepted.columns", found.table, found.column);
            let of_subject = if same(&found.table, &self.plan.subject.table) { "[subject]" } else { "its table's rule" };
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!(
                    "\"{}\".\"{}\" looks like a key to \"{}\" that nobody declared ({}), and nothing is said of it",
                    found.table,
                    found.column,
                    found.parent,
                    found.seen()
                ),
                mend: Some(match &found.by_another {
                    None => format!("{accept}, or give {of_subject} this edge: {}", found.edge()),
                    Some(other) => format!("it {}: give {of_subject} an edge for a column made so, or {accept}: {}", other.why, other.make),
                }),
            });
        }
        Ok(())
    }

    /// Whether the plan, or a person, has said what the column is.
    fn said(&self, found: &Undeclared) -> bool {
        let (plan, subject) = (self.plan, &self.plan.subject);
        let is = |column: &String| same(column, &found.column);
        let follows = |columns: &[String]| {
            let table = self.shape.table(&found.table);
            // Made from the column, and an edge follows it in the column's place.
            let made = |column: &String| table.is_some_and(|table| table.is_generated(column));
            columns.iter().any(|column| is(column) || made(column))
        };
        let rule = plan.rule(&found.table);
        let (of_subject, of_account) = (same(&subject.table, &found.table), plan.account.iter().filter(|of| same(&of.table, &found.table)));
        plan.accepted.has_column(&found.table, &found.column)
            || rule.is_some_and(|rule| {
                rule.action == Action::Keep
                    || rule.edges.iter().any(|edge| follows(&edge.columns))
                    || rule.tenant.iter().chain(rule.matches.iter().map(|m| &m.column)).any(is)
            })
            || (of_subject
                && (subject.edges.iter().any(|edge| follows(&edge.columns))
                    || [&subject.account, &subject.id].into_iter().flatten().any(is)
                    || plan.account.iter().flat_map(|account| &account.subject_columns).any(is)))
            || of_account
                .into_iter()
                .any(|account| account.columns.iter().any(is) || account.edges.iter().any(|edge| follows(&edge.columns)))
    }
}
