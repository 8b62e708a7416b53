//! How far a plan reaches: from the people by keys that lead on, and wherever an address is matched.

use super::{Action, Plan, Rule};

impl Plan {
    /// The tables whose rows can be found as somebody's. Rows that only lose a reference are not, and what refers to them stays as it is.
    pub(crate) fn reached_tables(&self) -> Vec<&str> {
        let mut reached: Vec<&str> =
            std::iter::once(&self.subject.table).chain(self.account.iter().map(|account| &account.table)).map(String::as_str).collect();
        loop {
            let leads = |rule: &&Rule| rule.leads().any(|edge| reached.contains(&edge.parent.as_str()));
            let new = |rule: &&Rule| !reached.contains(&rule.table.as_str()) && (!rule.matches.is_empty() || leads(rule));
            let found: Vec<&str> = self.rules.iter().filter(new).map(|rule| rule.table.as_str()).collect();
            if found.is_empty() {
                return reached;
            }
            reached.extend(found);
        }
    }

    /// The tables whose rules find no row, since all that they refer to stays.
    pub(crate) fn idle_tables(&self) -> Vec<&str> {
        let reached = self.reached_tables();
        let idle = |rule: &&Rule| {
            rule.action != Action::Keep && rule.matches.is_empty() && !rule.edges.iter().any(|edge| reached.contains(&edge.parent.as_str()))
        };
        self.rules.iter().filter(idle).map(|rule| rule.table.as_str()).collect()
    }
}
