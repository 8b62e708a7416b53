//! Whether the keys of a database and those of a plan agree.

use super::super::plan::Action;
use super::super::shape::{ForeignKey, Table, same, same_key};
use super::Look;

impl Look<'_> {
    /// Every declared key to rows that go must have been thought of.
    pub(super) fn declared_keys(&mut self) {
        let mut found = Vec::new();
        for table in &self.shape.tables {
            for key in table.keys.iter().filter(|key| self.plan.deletes_from(&key.parent)) {
                found.extend(self.declared_key(table, key));
            }
        }
        found.into_iter().for_each(|what| self.misfit(what));
    }

    fn declared_key(&self, table: &Table, key: &ForeignKey) -> Option<String> {
        let told = || format!("\"{}\" ({}) refers to \"{}\"", table.name, key.columns.join(", "), key.parent);
        let subject = &self.plan.subject;
        if same(&table.name, &subject.table) {
            let of_account = self.plan.account.as_ref().is_some_and(|account| same(&account.table, &key.parent));
            let known = of_account || subject.edges.iter().any(|edge| same_key(key, edge));
            return (!known).then(|| format!("{}, and the subject has no edge for it", told()));
        }
        if let Some(account) = self.plan.account.as_ref().filter(|account| same(&account.table, &table.name)) {
            let known = account.edges.iter().any(|edge| same_key(key, edge));
            return (!known).then(|| format!("{}, and the account has no edge for it", told()));
        }
        let Some(rule) = self.plan.rules.iter().find(|rule| same(&rule.table, &table.name)) else {
            return Some(format!("{}, and the plan has no rule for it", told()));
        };
        let Some(edge) = rule.edges.iter().find(|edge| same_key(key, edge)) else {
            return Some(format!("{}, and its rule has no edge for that", told()));
        };
        let left = match rule.action_of(edge) {
            Action::Delete | Action::Detach => false,
            Action::Keep => true,
            Action::Overwrite => !edge.columns.iter().any(|column| rule.sets.iter().any(|set| same(&set.column, column))),
        };
        left.then(|| {
            format!("{} by a declared key, so its rows cannot stay as they are: detach it, or overwrite the key with a stand-in's", told())
        })
    }
}
