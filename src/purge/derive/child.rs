//! The rule of a table that refers to what goes, as its keys have it, or the words that a person has to choose from.

use std::collections::BTreeSet;

use super::edge;
use crate::purge::plan::{Action, Comment, Edge, Orphans, Rule};
use crate::purge::sample::AddressColumn;
use crate::purge::shape::{ForeignKey, Shape, Table, UNDECLARED, same};

/// The rule of a table that is reached by its keys to `parents`, and what is said of it.
pub(super) fn rule(shape: &Shape, table: &Table, parents: &[String], addresses: &[AddressColumn]) -> (Rule, Comment) {
    let child = Child { shape, table, keys: table.keys.iter().filter(|key| parents.contains(&key.parent)).collect() };
    let (rule, mut comment) = child.by_schema().unwrap_or_else(|| child.by_choice());
    let addresses: Vec<_> = addresses.iter().filter(|found| found.table == table.name).collect();
    if !addresses.is_empty() && (comment.choose.is_some() || rule.action == Action::Detach) {
        let columns: Vec<_> = addresses.iter().map(|found| format!("\"{}\"", found.column)).collect();
        comment.lines.push(format!("Where these rows stay, so does what looks like addresses in {}.", columns.join(", ")));
    }
    // Inside a longer text no match finds one.
    let alone = addresses.iter().filter(|found| found.alone > 0 && comment.choose.is_some());
    let matches: Vec<_> = alone.map(|found| format!("{{ column = \"{}\" }}", found.column)).collect();
    if !matches.is_empty() {
        comment.lines.push(format!(
            "With \"delete\" or \"overwrite\", match = [{}] takes the rows with an address and without a key.",
            matches.join(", ")
        ));
    }
    (rule, comment)
}

/// A table that refers to what goes.
struct Child<'a> {
    shape: &'a Shape,
    table: &'a Table,
    /// Those of its keys that lead there.
    keys: Vec<&'a ForeignKey>,
}

impl Child<'_> {
    /// The rule that the schema itself gives, where it does.
    fn by_schema(&self) -> Option<(Rule, Comment)> {
        let declared = || self.keys.iter().all(|key| key.on_delete != UNDECLARED);
        let mut rule = Rule::new(&self.table.name, Action::Delete, self.edges(|_| None));
        let line = if self.keys.iter().all(|key| self.nulls(key)) {
            (rule.action, rule.orphans) = (Action::Detach, Some(Orphans::Keep));
            rule.edges.iter_mut().for_each(|edge| edge.action = None);
            "The schema sets these references to null; the rows stay."
        } else if self.keys.iter().all(|key| cascades(key) || self.nulls(key)) {
            "The schema lets these rows go with what they refer to."
        } else if self.joined().is_some_and(|joined| self.beside(joined).next().is_none()) && declared() {
            "A join table: its rows are nothing without what they join."
        } else {
            return None;
        };
        Some((rule, Comment { lines: vec![line.to_owned()], ..Comment::default() }))
    }

    /// The rule that a person has to choose, and what there is to choose from.
    fn by_choice(&self) -> (Rule, Comment) {
        let (fixed, detachable) = (self.fixed(), self.detachable());
        let mut words: Vec<_> = ["delete", "detach", "overwrite"].into_iter().filter(|word| *word != "detach" || detachable).collect();
        // A declared key leads from here for good; of others, nobody but a person knows.
        if self.keys.iter().all(|key| key.on_delete == UNDECLARED) {
            words.push("keep");
        }
        let mut lines = Vec::new();
        if detachable {
            lines.extend(fixed.iter().map(|column| {
                format!("\"{column}\" cannot be null: with \"detach\", if it names the tenant, add tenant = \"{column}\", and it stays.")
            }));
        }
        // Whoever answered someone who goes stays, as long as the schema lets their row stand by itself.
        let to_itself = |key: &ForeignKey| self.table.name == key.parent && self.can_be_null(key);
        let mut comment = Comment { choose: Some(words), ..Comment::default() };
        for (at, key) in self.keys.iter().enumerate().filter(|(_, key)| !to_itself(key) && self.is_beside(key, detachable)) {
            let columns = key.columns.join(", ");
            lines.push(format!(
                "With \"delete\" for \"{columns}\" a row goes with whom it names there, too; with \"detach\" it outlives them. \
                 Where the table is overwritten or kept, take that action out."
            ));
            comment.choose_edges.insert(at, vec!["delete", "detach"]);
        }
        let edges = self.edges(|key| to_itself(key).then_some(Action::Detach));
        (Rule::new(&self.table.name, Action::Delete, edges), Comment { lines, ..comment })
    }

    /// An edge for each key: detached where the schema sets it to null, else with this action.
    fn edges(&self, otherwise: impl Fn(&ForeignKey) -> Option<Action>) -> Vec<Edge> {
        self.keys.iter().map(|key| edge(key, if self.nulls(key) { Some(Action::Detach) } else { otherwise(key) })).collect()
    }

    /// Whether the schema sets a key to null when what it refers to goes.
    fn nulls(&self, key: &ForeignKey) -> bool {
        key.on_delete == "SET NULL" && !self.own_columns(key).is_empty()
    }

    /// What is joined by a table that is nothing but what joins others, all of it in keys: the columns of its primary key, or all but a
    /// primary key of its own, where they are unique together and never null.
    fn joined(&self) -> Option<Vec<String>> {
        let in_key = |column: &String| self.table.keys.iter().flat_map(|key| &key.columns).any(|one| same(one, column));
        let primary = self.table.primary_key();
        if !primary.is_empty() && primary.iter().all(in_key) {
            return Some(primary);
        }
        let beside_it = self.table.columns.iter().filter(|column| primary.len() != 1 || column.primary == 0);
        let others: Vec<_> = beside_it.map(|column| column.name.clone()).collect();
        let is_other = |column: &String| others.iter().any(|other| same(other, column));
        // A key that has them all joins nothing, and beside what is unique by itself the others say something of it: who sold a seat.
        let together = |columns: &Vec<String>| columns.len() == others.len();
        let mut unique = self.table.uniques.iter().filter(|unique| unique.iter().all(is_other)).peekable();
        let is_joined = others.iter().all(|column| in_key(column) && self.is_fixed(column))
            && !self.table.keys.iter().any(|key| others.iter().all(|other| key.columns.iter().any(|column| same(column, other))));
        (is_joined && unique.peek().is_some() && unique.all(together)).then_some(others)
    }

    /// The keys beside those that are joined, which say something else of the row: who invited a member, say.
    fn beside(&self, joined: Vec<String>) -> impl Iterator<Item = &&ForeignKey> {
        let is_joined = move |key: &ForeignKey| key.columns.iter().all(|column| joined.iter().any(|one| same(one, column)));
        self.keys.iter().filter(move |key| !is_joined(key) && !cascades(key) && !self.nulls(key))
    }

    /// Whether a key may say something else of a row than whose it is: it can be null, and another of the table cannot, or is what it joins.
    fn is_beside(&self, key: &&ForeignKey, detachable: bool) -> bool {
        let another = match self.joined() {
            Some(joined) => self.beside(joined).any(|other| edge(other, None) == edge(key, None)),
            None => !detachable,
        };
        another && self.can_be_null(key) && !self.nulls(key)
    }

    /// The columns that cannot be null, of those that a detachment would set to null. One that cannot may be the tenant's, and then it stays.
    fn fixed(&self) -> BTreeSet<String> {
        self.keys.iter().flat_map(|key| self.own_columns(key)).filter(|column| self.is_fixed(column)).collect()
    }

    /// Whether each key can be set to null, in a column at least.
    fn detachable(&self) -> bool {
        let can = |key: &&ForeignKey| self.own_columns(key).iter().any(|column| !self.is_fixed(column)) && !self.is_made(key);
        self.fixed().len() <= 1 && self.keys.iter().all(can)
    }

    /// Whether one key can be set to null, in every column.
    fn can_be_null(&self, key: &ForeignKey) -> bool {
        let own = self.own_columns(key);
        !own.is_empty() && !own.iter().any(|column| self.is_fixed(column)) && !self.is_made(key)
    }

    fn is_fixed(&self, column: &str) -> bool {
        self.table.column(column).is_none_or(|column| column.not_null)
    }

    fn is_made(&self, key: &ForeignKey) -> bool {
        self.own_columns(key).iter().any(|column| self.table.is_generated(column))
    }

    /// What would be set to null to detach a key: the columns that no other key of the table, and none to it, uses.
    fn own_columns(&self, key: &ForeignKey) -> Vec<String> {
        let to_it = self.shape.tables.iter().flat_map(|other| &other.keys).filter(|other| other.parent == self.table.name);
        let others = self.keys.iter().filter(|other| edge(other, None) != edge(key, None)).flat_map(|other| &other.columns);
        let used: Vec<_> = others.chain(to_it.flat_map(|other| &other.parent_columns)).collect();
        key.columns.iter().filter(|column| !used.iter().any(|other| same(other, column))).cloned().collect()
    }
}

/// Whether the schema lets a row go with what it refers to.
fn cascades(key: &ForeignKey) -> bool {
    key.on_delete == "CASCADE"
}
