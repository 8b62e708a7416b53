//! What a plan does, in order, for a person to read.

use serde::Serialize;

use super::plan::{Action, Edge, Plan, PlanError, Rule};

/// What is done to one table.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct WorkStep {
    /// Its place in the order of work, from 1.
    pub order: usize,
    /// The table.
    pub table: String,
    /// What is done.
    pub deed: String,
    /// Why it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it refers to.
    pub edges: Vec<WorkEdge>,
    /// Columns by which rows are found by address.
    pub by_address: Vec<String>,
}

/// A reference of a table.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct WorkEdge {
    /// The referring columns.
    pub columns: Vec<String>,
    /// The table referred to.
    pub parent: String,
    /// What is done to rows that hold it.
    pub deed: String,
}

impl Plan {
    /// What is done, the subject first; [`WorkStep::order`] is the order of work.
    ///
    /// # Errors
    /// [`PlanError::Wrong`].
    pub fn work(&self) -> Result<Vec<WorkStep>, PlanError> {
        let groups = self.children_first()?;
        let (reached, idle) = (self.reached_tables(), self.idle_tables());
        let stays =
            |edge: &Edge| (!reached.contains(&edge.parent.as_str())).then(|| format!("nothing, since rows of {} stay", edge.parent));
        let ordered: Vec<_> = groups.iter().flat_map(|group| group.iter().map(move |rule| (group, *rule))).collect();
        let step = |order, table: &str, deed: String, edges| WorkStep {
            order,
            table: table.to_owned(),
            deed,
            reason: None,
            edges,
            by_address: Vec::new(),
        };
        let own = self.subject.edges.iter().map(|edge| WorkEdge {
            columns: edge.columns.clone(),
            parent: edge.parent.clone(),
            deed: stays(edge).unwrap_or_else(|| self.nulls(&self.subject.table, edge)),
        });
        let mut steps = vec![step(ordered.len() + 1, &self.subject.table, "the people; delete".to_owned(), own.collect())];
        steps.extend(self.account.as_ref().map(|account| {
            let edge = WorkEdge {
                columns: account.columns.clone(),
                parent: self.subject.table.clone(),
                deed: "delete with the last one".to_owned(),
            };
            step(ordered.len() + 2, &account.table, "delete with the last person".to_owned(), vec![edge])
        }));
        for (at, (group, rule)) in ordered.into_iter().enumerate() {
            let edges = rule.edges.iter().map(|edge| WorkEdge {
                columns: edge.columns.clone(),
                parent: edge.parent.clone(),
                deed: stays(edge).unwrap_or_else(|| match rule.action_of(edge) {
                    Action::Detach => detach(rule, self.nulls(&rule.table, edge)),
                    action if edge.parent != rule.table && group.iter().any(|other| other.table == edge.parent) => {
                        format!("{}, in a circle", deed(rule, action))
                    }
                    action => deed(rule, action),
                }),
            });
            let is_idle = idle.contains(&rule.table.as_str());
            let deed = if is_idle { "nothing, since all that it refers to stays".to_owned() } else { deed(rule, rule.action) };
            let mut step = step(at + 1, &rule.table, deed, edges.collect());
            step.by_address =
                rule.matches.iter().map(|m| m.path.as_ref().map_or(m.column.clone(), |path| format!("{} {path}", m.column))).collect();
            if !step.by_address.is_empty() {
                step.deed = format!("{}, by address in {}", step.deed, step.by_address.join(", "));
            }
            step.reason.clone_from(&rule.reason);
            steps.push(step);
        }
        Ok(steps)
    }

    /// What becomes of a detached reference; its columns are named where some of them stay.
    fn nulls(&self, table: &str, edge: &Edge) -> String {
        let own: Vec<_> = self.own_columns(table, edge).into_iter().map(String::as_str).collect();
        if own.len() == edge.columns.len() { "set to null".to_owned() } else { format!("set {} to null", own.join(", ")) }
    }
}

fn deed(rule: &Rule, action: Action) -> String {
    match action {
        Action::Delete => "delete".to_owned(),
        Action::Detach => detach(rule, "set to null".to_owned()),
        Action::Overwrite => {
            let columns: Vec<_> = rule.sets.iter().map(|set| set.column.as_str()).collect();
            format!("overwrite {}", columns.join(", "))
        }
        Action::Keep => format!("keep: {}", rule.reason.as_deref().unwrap_or_default()),
    }
}

fn detach(rule: &Rule, nulls: String) -> String {
    if rule.deletes_orphans() { format!("{nulls}; delete the row when nobody is left") } else { nulls }
}
