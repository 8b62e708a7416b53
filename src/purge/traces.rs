//! What the scrub needs from the plan: the identifiers of those who are about to go, and which rows belong to someone who
//! stays.

use rusqlite::Connection;

use super::chunk::identity;
use super::people::People;
use super::plan::{Edge, Rule};
use super::sql::{in_main, of};
use super::{Engine, PurgeError};
use crate::domain::ImportId;
use crate::store::{Living, ledger};

/// How many targets are read at a time.
const TARGETS_AT_ONCE: u32 = 10_000;

impl Engine {
    /// Shows every identifier of the import's targets: address, account, id, as in the store. Before the first chunk.
    ///
    /// # Errors
    /// The store, or what `with` returns.
    pub fn identifiers<E: From<PurgeError>>(
        &self,
        connection: &Connection,
        import: ImportId,
        mut with: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let row = ledger::require(connection, import).map_err(PurgeError::from)?;
        let people = People::of(&self.plan, &row.tenant)?;
        let by_key = people.by_key();
        let mut after = None;
        loop {
            let targets = ledger::next_targets(connection, import, after.as_ref(), TARGETS_AT_ONCE).map_err(PurgeError::from)?;
            let Some(last) = targets.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for target in &targets {
                let mut found = Vec::new();
                people.each(connection, &by_key, &[&target.key], |person| {
                    // Keys are given again: whoever has it by now is not necessarily whom the list named.
                    if identity(&person, target, &self.key, &people) == Some(target.identity) {
                        found.extend(person.texts().map(str::to_owned));
                    }
                    Ok(())
                })?;
                found.iter().try_for_each(|text| with(text))?;
            }
        }
    }

    /// For each planned table, which of its rows belong to someone who lives. Rows of the subject's table and of the
    /// accounts' always do.
    #[must_use]
    pub fn living(&self) -> Vec<Living> {
        let always = |table: &String| Living { table: table.clone(), condition: "1".to_owned() };
        let subject = always(&self.plan.subject.table);
        let account = self.plan.account.iter().map(|rule| always(&rule.table));
        let rules = self.plan.rules.iter().map(|rule| Living { table: rule.table.clone(), condition: self.belongs(rule) });
        std::iter::once(subject).chain(account).chain(rules).collect()
    }

    /// A row belongs to someone if any of its edges leads to one. The plan has no circles.
    fn belongs(&self, rule: &Rule) -> String {
        let edges: Vec<_> = rule.edges.iter().map(|edge| self.leads(rule, edge)).collect();
        format!("({})", edges.join(" OR "))
    }

    fn leads(&self, rule: &Rule, edge: &Edge) -> String {
        let pairs: Vec<_> = std::iter::zip(&edge.parent_columns, &edge.columns)
            .map(|(parent, child)| format!("{} = {}", of(&edge.parent, parent), of(&rule.table, child)))
            .collect();
        let further = match self.plan.rules.iter().find(|other| other.table == edge.parent) {
            Some(parent) if parent.table != rule.table => format!(" AND {}", self.belongs(parent)),
            _ => String::new(),
        };
        format!("EXISTS (SELECT 1 FROM {} WHERE {}{further})", in_main(&edge.parent), pairs.join(" AND "))
    }
}
