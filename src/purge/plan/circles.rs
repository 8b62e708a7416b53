//! Rules whose tables refer to each other in a circle, so that none of them is a child of the others: they are worked as one group.
//!
//! Round a circle the rows of others go with those of whoever is named, so a plan has to say it: one edge of each circle is detached,
//! or is a `delete` in so many words. Rows that only stay in a circle, or go when nobody is left, are refused: what they lead to would
//! depend on itself.

use std::collections::BTreeSet;

use super::{Action, Edge, Place, Plan, PlanError};

/// A reference by its rule's number and its own.
pub(crate) type EdgeAt = (usize, usize);

impl Plan {
    /// A circle that the plan does not speak of: none of its edges is a `delete` in so many words.
    pub(crate) fn unsaid_circle(&self) -> Option<Vec<EdgeAt>> {
        (0..self.rules.len()).find_map(|at| self.way(at, at, unsaid))
    }

    /// The circle, not spoken of, that a reference is in.
    pub(crate) fn unsaid_circle_of(&self, (at, edge): EdgeAt) -> Option<Vec<EdgeAt>> {
        let rule = &self.rules[at];
        let first = &rule.edges[edge];
        let parent = self.rules.iter().position(|other| other.table == first.parent)?;
        let leads = parent != at && unsaid(first) && rule.leads_by(first);
        let rest = leads.then(|| self.way(parent, at, unsaid)).flatten()?;
        Some(std::iter::once((at, edge)).chain(rest).collect())
    }

    /// A circle's tables as its edges point, the first again at the end.
    pub(crate) fn tables_of(&self, circle: &[EdgeAt]) -> String {
        let tables: Vec<_> = circle.iter().chain(circle.first()).map(|(at, _)| self.rules[*at].table.as_str()).collect();
        tables.join(" → ")
    }

    pub(super) fn check_circle(&self, group: &[usize]) -> Result<(), PlanError> {
        for at in group {
            let rule = &self.rules[*at];
            let Some(circle) = self.way(*at, *at, |_| true) else { continue };
            let tables = self.tables_of(&circle);
            if rule.deletes_orphans() {
                return Err(Place::Rule(*at).wrong(format!(
                    "{tables} refer to each other in a circle, where \"{}\" cannot have orphans = \"delete\": whether a row of it refers to \
                     nobody would depend on itself; say orphans = \"keep\", delete its rows, or give another of these edges action = \"detach\"",
                    rule.table
                )));
            }
            if matches!(rule.action, Action::Overwrite | Action::Keep) {
                return Err(Place::Rule(*at).wrong(format!(
                    "{tables} refer to each other in a circle, where the rows of \"{}\" stay: rows of others would go for rows that are not \
                     gone; take out the edges that lead to it, or give one of these edges action = \"detach\"",
                    rule.table
                )));
            }
        }
        match self.unsaid_circle() {
            None => Ok(()),
            Some(circle) => Err(Place::Rule(circle[0].0).wrong(format!(
                "{} refer to each other in a circle; give one of these edges action = \"detach\", or action = \"delete\" if rows are to go \
                 round it, whoever's they are",
                self.tables_of(&circle)
            ))),
        }
    }

    /// The rules whose rows take rows of this one with them, through others too.
    pub(super) fn above(&self, from: usize) -> BTreeSet<usize> {
        self.walk(from, |_| true).into_iter().map(|(_, parent)| parent).collect()
    }

    /// The shortest way by edges that count, from one rule to another or back to itself.
    fn way(&self, from: usize, to: usize, counts: impl Fn(&Edge) -> bool) -> Option<Vec<EdgeAt>> {
        let walked = self.walk(from, counts);
        let mut way = Vec::new();
        let mut at = to;
        while at != from || way.is_empty() {
            let (edge, _) = walked.iter().find(|(_, parent)| *parent == at)?;
            way.push(*edge);
            at = edge.0;
        }
        way.reverse();
        Some(way)
    }

    /// The edges by which each rule is first reached, nearest first. A table's references to itself lead nowhere else.
    fn walk(&self, from: usize, counts: impl Fn(&Edge) -> bool) -> Vec<(EdgeAt, usize)> {
        let mut walked: Vec<(EdgeAt, usize)> = Vec::new();
        let mut next = 0;
        let mut at = from;
        loop {
            let rule = &self.rules[at];
            for (number, edge) in rule.edges.iter().enumerate().filter(|(_, edge)| rule.leads_by(edge) && counts(edge)) {
                let parent = self.rules.iter().position(|other| other.table == edge.parent);
                if let Some(parent) = parent.filter(|parent| *parent != at && walked.iter().all(|(_, known)| known != parent)) {
                    walked.push(((at, number), parent));
                }
            }
            loop {
                let Some((_, parent)) = walked.get(next) else { return walked };
                next += 1;
                at = *parent;
                if at != from {
                    break;
                }
            }
        }
    }
}

fn unsaid(edge: &Edge) -> bool {
    edge.action.is_none()
}
