//! The plan made into SQL: for each table, which rows a set of subjects dooms, and what is done to them.
//!
//! Identifiers are quoted and columns are qualified by their table, because SQLite reads an unknown quoted word as text.
//! Deleting and counting share their conditions, so that a check cannot count anything but what a purge takes.

use super::plan::{Action, Edge, Plan, PlanError, Rule};

/// The subjects that a transaction takes: a temporary table with one column, `key`.
pub(super) const CHUNK: &str = r#"temp."expunged_chunk""#;

/// A quoted identifier.
pub(super) fn name(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A column of a table.
pub(super) fn of(table: &str, column: &str) -> String {
    format!("{}.{}", name(table), name(column))
}

/// A table of the main database: a temporary one of the same name must not stand in for it.
pub(super) fn in_main(table: &str) -> String {
    format!("main.{}", name(table))
}

/// What is done to the tables of the rules, children first.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) rules: Vec<RuleSteps>,
}

/// What is done to one table.
#[derive(Debug)]
pub(super) struct RuleSteps {
    pub(super) table: String,
    /// Counts the rows that go.
    pub(super) count_doomed: String,
    /// Takes them.
    pub(super) delete_doomed: String,
    /// Reads the rows that refer to the chunk.
    pub(super) select_touched: String,
    /// For rows that lose a party and stay.
    pub(super) detach: Option<DetachSteps>,
}

/// What is done to rows that lose a party and stay.
#[derive(Debug)]
pub(super) struct DetachSteps {
    /// Counts the rows that have a party in the chunk, those that go included.
    pub(super) count_touched: String,
    /// Sets each reference into the chunk to null. Each returns 1 for a row that is done with: no party of it is left in the
    /// chunk or in a later one. `?1` is the import, `?2` the chunk's last key. A row is thus counted once, by whatever
    /// touches it last, and the count does not depend on the size of chunks.
    pub(super) updates: Vec<String>,
}

/// Which subjects are meant.
#[derive(Clone, Copy)]
enum Set {
    /// Those of this transaction. Drives by the set: few keys against an index.
    Chunk,
    /// The import's targets after this chunk. Asked row by row, of rows already at hand.
    Later,
}

impl Steps {
    pub(super) fn of(plan: &Plan) -> Result<Self, PlanError> {
        let conditions = Conditions { plan };
        let rules = plan.children_first()?.into_iter().map(|rule| conditions.steps(rule)).collect();
        Ok(Self { rules })
    }
}

struct Conditions<'p> {
    plan: &'p Plan,
}

impl Conditions<'_> {
    fn steps(&self, rule: &Rule) -> RuleSteps {
        let table = in_main(&rule.table);
        let doomed = self.doomed(rule, Set::Chunk);
        let touched = self.touched(rule, Set::Chunk);
        let detach = match rule.action {
            Action::Delete => None,
            Action::Detach => Some(DetachSteps {
                count_touched: format!("SELECT count(*) FROM {table} WHERE {touched}"),
                updates: (0..rule.edges.len()).map(|at| self.update(rule, at)).collect(),
            }),
        };
        RuleSteps {
            table: rule.table.clone(),
            count_doomed: format!("SELECT count(*) FROM {table} WHERE {doomed}"),
            delete_doomed: format!("DELETE FROM {table} WHERE {doomed}"),
            select_touched: format!("SELECT * FROM {table} WHERE ({touched})"),
            detach,
        }
    }

    /// Sets one reference to null; after those before it, before those behind it.
    fn update(&self, rule: &Rule, at: usize) -> String {
        let edge = &rule.edges[at];
        let set: Vec<_> = edge.columns.iter().map(|column| format!("{} = NULL", name(column))).collect();
        let behind = rule.edges[at + 1..].iter().map(|other| self.reaches(rule, other, Set::Chunk));
        let others = rule.edges.iter().enumerate().filter(|(other, _)| *other != at);
        let left: Vec<_> = behind.chain(others.map(|(_, other)| self.reaches(rule, other, Set::Later))).collect();
        let left = if left.is_empty() { "0".to_owned() } else { left.join(" OR ") };
        let (table, reached) = (in_main(&rule.table), self.reaches(rule, edge, Set::Chunk));
        format!(
            "UPDATE {table} SET {} WHERE {reached} RETURNING coalesce(NOT ({left}), 1) AND ?1 IS NOT NULL AND ?2 IS NOT NULL",
            set.join(", ")
        )
    }

    /// Which rows of a table go with a set of subjects.
    fn doomed(&self, rule: &Rule, set: Set) -> String {
        match rule.action {
            Action::Delete => self.touched(rule, set),
            // An OR of ANDs: SQLite can answer each part by the index of its first term.
            Action::Detach => {
                let part = |at: usize, edge: &Edge| {
                    let others = rule
                        .edges
                        .iter()
                        .enumerate()
                        .filter(|(other, _)| *other != at)
                        .map(|(_, other)| format!(" AND ({} OR {})", null(rule, other), self.reaches(rule, other, set)));
                    format!("({}{})", self.reaches(rule, edge, set), others.collect::<String>())
                };
                rule.edges.iter().enumerate().map(|(at, edge)| part(at, edge)).collect::<Vec<_>>().join(" OR ")
            }
        }
    }

    /// Which rows of a table refer to a set of subjects.
    fn touched(&self, rule: &Rule, set: Set) -> String {
        rule.edges.iter().map(|edge| self.reaches(rule, edge, set)).collect::<Vec<_>>().join(" OR ")
    }

    fn reaches(&self, rule: &Rule, edge: &Edge, set: Set) -> String {
        let columns: Vec<_> = edge.columns.iter().map(|column| of(&rule.table, column)).collect();
        let subject = &self.plan.subject;
        let by_key = edge.parent == subject.table && edge.parent_columns == [subject.key.as_str()];
        let parent_columns: Vec<_> = edge.parent_columns.iter().map(|column| of(&edge.parent, column)).collect();
        match set {
            Set::Chunk if by_key => format!(r#"{} IN (SELECT "key" FROM {CHUNK})"#, columns[0]),
            Set::Chunk => {
                let parents =
                    format!("SELECT {} FROM {} WHERE {}", parent_columns.join(", "), in_main(&edge.parent), self.parent(edge, set));
                format!("{} IN ({parents})", tuple(&columns))
            }
            // The unary plus keeps the column's affinity from hiding the ledger's index.
            Set::Later if by_key => later(&format!("+{}", columns[0])),
            Set::Later => {
                let pairs: Vec<_> =
                    std::iter::zip(&parent_columns, &columns).map(|(parent, child)| format!("{parent} = {child}")).collect();
                let (from, on) = (in_main(&edge.parent), pairs.join(" AND "));
                format!("EXISTS (SELECT 1 FROM {from} WHERE {on} AND ({}))", self.parent(edge, set))
            }
        }
    }

    /// Which rows of an edge's parent go.
    fn parent(&self, edge: &Edge, set: Set) -> String {
        let subject = &self.plan.subject;
        let key = of(&subject.table, &subject.key);
        match (self.plan.rules.iter().find(|rule| rule.table == edge.parent), set) {
            (Some(rule), _) => self.doomed(rule, set),
            (None, Set::Chunk) => format!(r#"{key} IN (SELECT "key" FROM {CHUNK})"#),
            (None, Set::Later) => later(&format!("+{key}")),
        }
    }
}

fn later(key: &str) -> String {
    format!(
        r#"EXISTS (SELECT 1 FROM main.expunged_targets later WHERE later.import = ?1 AND later."key" > ?2 AND later."key" = {key} AND later.gone = 0)"#
    )
}

fn null(rule: &Rule, edge: &Edge) -> String {
    let columns: Vec<_> = edge.columns.iter().map(|column| format!("{} IS NULL", of(&rule.table, column))).collect();
    columns.join(" OR ")
}

fn tuple(columns: &[String]) -> String {
    if let [one] = columns { one.clone() } else { format!("({})", columns.join(", ")) }
}
