//! The plan made into SQL: for each table, which rows a set of subjects dooms, and what is done to them.
//!
//! What goes is marked first, parents before children and circles together, in temporary tables that hold the referred-to columns of
//! every row that goes; every condition then reads those and no parent's own table, so the order of deeds does not matter and each
//! table is read once, by index or by one scan. Identifiers are quoted and columns are qualified by their table, because SQLite reads an unknown
//! quoted word as text. Deleting and counting share their conditions, so that a check cannot count anything but what a purge takes.

use super::people::stays;
use super::places::{holds, is_json, is_jsonb};
use super::plan::{AccountRule, Action, Compare, Edge, Match, Plan, PlanError, Rule, Set, Value};
use super::steps::{DetachSteps, DetachUpdate, Doomed, Mark, MarkFrom, Overwrite, RuleSteps, Steps, Verify};
use super::terms::{ADDRESSES, CHUNK, EMPTIED, in_main, literal, name, of, or_never, tuple};

impl Steps {
    pub(super) fn of(plan: &Plan) -> Result<Self, PlanError> {
        let groups = plan.children_first()?;
        let marked = Marked::of(plan);
        let sql = Sql { plan, marked: &marked, groups: &groups };
        let mut marks: Vec<Mark> = Vec::new();
        let of_rules = groups.iter().rev().map(|group| group.iter().map(|rule| &rule.table).collect());
        let others = std::iter::once(&plan.subject.table).chain(plan.account.as_ref().map(|account| &account.table));
        let parents_first = others.map(|table| vec![table]).chain(of_rules).enumerate();
        for (group, table) in parents_first.flat_map(|(group, tables): (_, Vec<_>)| tables.into_iter().map(move |table| (group, table))) {
            marks.extend(marked.0.iter().enumerate().filter(|(_, marked)| marked.table == *table).map(|(at, _)| sql.mark(at, group)));
        }
        let values = plan.rules.iter().flat_map(|rule| &rule.sets).map(|set| &set.to);
        Ok(Self {
            marks,
            rules: groups.iter().flatten().map(|rule| sql.steps(rule)).collect(),
            subject: (!plan.subject.edges.is_empty()).then(|| sql.subject()),
            account: plan.account.as_ref().filter(|account| !account.edges.is_empty()).map(|account| sql.account(account)),
            verify: sql.verify(),
            by_address: plan.rules.iter().any(|rule| !rule.matches.is_empty()),
            hashes: values.into_iter().any(|value| *value == Value::Hash),
        })
    }
}

/// The columns that edges refer to. The subject's key is not among them: it is in the chunk's own table.
struct Marked(Vec<ReferredTo>);

/// Columns of one table that some edge refers to.
#[derive(Eq, PartialEq)]
struct ReferredTo {
    table: String,
    columns: Vec<String>,
}

impl Marked {
    fn of(plan: &Plan) -> Self {
        let mut found = Self(Vec::new());
        for edge in plan.edges().filter(|edge| !by_key(plan, edge)) {
            let marked = ReferredTo { table: edge.parent.clone(), columns: edge.parent_columns.clone() };
            if !found.0.contains(&marked) {
                found.0.push(marked);
            }
        }
        found
    }

    fn at(&self, edge: &Edge) -> usize {
        let is = |marked: &ReferredTo| marked.table == edge.parent && marked.columns == edge.parent_columns;
        self.0.iter().position(is).expect("every edge was collected")
    }
}

/// Whether an edge refers to a subject by its key.
pub(super) fn by_key(plan: &Plan, edge: &Edge) -> bool {
    edge.parent == plan.subject.table && edge.parent_columns == [plan.subject.key.as_str()]
}

struct Sql<'p> {
    plan: &'p Plan,
    marked: &'p Marked,
    /// The rules, children first, those of a circle together.
    groups: &'p [Vec<&'p Rule>],
}

impl Sql<'_> {
    /// How the rows are noted that go and are referred to by the columns of this number.
    fn mark(&self, at: usize, group: usize) -> Mark {
        let ReferredTo { table, columns } = &self.marked.0[at];
        let into = mark_name(at);
        let cells = cells(columns.len());
        let of_table: Vec<_> = columns.iter().map(|column| of(table, column)).collect();
        let present: String = of_table.iter().map(|column| format!(" AND {column} IS NOT NULL")).collect();
        let read = |condition: &str, round: &str| {
            let (columns, from) = (of_table.join(", "), in_main(table));
            format!("INSERT OR IGNORE INTO {into} SELECT {columns}, {round} FROM {from} WHERE ({condition}){present}")
        };
        let mut grow = None;
        let from = if *table == self.plan.subject.table {
            MarkFrom::Subject { columns: columns.clone(), into: format!("INSERT OR IGNORE INTO {into} ({cells}) ") }
        } else if let Some(account) = self.plan.account.as_ref().filter(|account| account.table == *table) {
            let named: Vec<_> = account.columns.iter().map(|column| of(table, column)).collect();
            MarkFrom::Sql(read(&format!("{} IN (SELECT * FROM {EMPTIED})", tuple(&named)), "0"))
        } else {
            let rule = self.plan.rule(table).expect("edges lead to the subject, the account or a rule");
            let own: Vec<_> =
                rule.leads().filter(|edge| self.together(table, &edge.parent)).map(|edge| self.reaches_in_round(rule, edge)).collect();
            grow = (!own.is_empty()).then(|| read(&own.join(" OR "), "?1 + 1"));
            MarkFrom::Sql(read(&self.going(rule), "0"))
        };
        // Each round reads the rows of the one before: without an index a long chain would read them all, again and again.
        let by_round = grow.as_ref().map_or_else(String::new, |_| {
            format!(r#"; CREATE INDEX IF NOT EXISTS temp."expunged_gone_{at}_by_round" ON "expunged_gone_{at}" ("round")"#)
        });
        Mark {
            make: format!(
                r#"CREATE TABLE IF NOT EXISTS {into} ({cells}, "round" NOT NULL DEFAULT 0, PRIMARY KEY ({cells})) WITHOUT ROWID{by_round}"#
            ),
            empty: format!("DELETE FROM {into}"),
            from,
            grow,
            group,
        }
    }

    fn steps(&self, rule: &Rule) -> RuleSteps {
        let table = in_main(&rule.table);
        let doomed = rule.deletes().then(|| self.doomed(rule));
        let not_doomed = doomed.as_ref().map_or_else(String::new, |doomed| format!(" AND NOT coalesce(({doomed}), 0)"));
        let detached: Vec<_> = rule.edges.iter().filter(|edge| rule.action_of(edge) == Action::Detach).collect();
        let detach = (!detached.is_empty()).then(|| DetachSteps {
            count: format!("SELECT count(*) FROM {table} WHERE ({}){not_doomed}", self.any(&rule.table, &detached)),
            updates: (0..detached.len())
                .map(|at| {
                    let others = rule.edges.iter().filter(|other| **other != *detached[at]);
                    let by_address = (!rule.matches.is_empty()).then(|| "1".to_owned());
                    let again = others.map(|other| self.may_be_later(&rule.table, other)).chain(by_address).collect();
                    self.detach(&rule.table, &detached, at, again)
                })
                .collect(),
        });
        let overwrite = (rule.action == Action::Overwrite).then(|| {
            let differs: Vec<_> =
                rule.sets.iter().map(|set| format!("{} IS NOT {}", of(&rule.table, &set.column), written(rule, set))).collect();
            // The tenant is named whether a hash needs it or not.
            let reached = format!("({}) AND ({}) AND ?1 IS NOT NULL", self.acted_on(rule), differs.join(" OR "));
            let set: Vec<_> = rule.sets.iter().map(|set| format!("{} = {}", name(&set.column), written(rule, set))).collect();
            Overwrite {
                count: format!("SELECT count(*) FROM {table} WHERE {reached}{not_doomed}"),
                update: format!("{} {table} SET {} WHERE {reached}", self.update(), set.join(", ")),
            }
        });
        let all: Vec<_> = rule.edges.iter().collect();
        RuleSteps {
            table: rule.table.clone(),
            doomed: doomed.map(|doomed| Doomed {
                count: format!("SELECT count(*) FROM {table} WHERE {doomed}"),
                delete: format!("DELETE FROM {table} WHERE {doomed}"),
                may_be_noted: or_never(&detached.iter().map(|edge| null(&rule.table, edge)).collect::<Vec<_>>()),
            }),
            overwrite,
            detach,
            select_touched: format!("SELECT * FROM {table} WHERE ({})", self.any_or_match(rule, &all)),
        }
    }

    /// The subjects that stay lose their references to what goes. The tenant's condition is added where this is run.
    fn subject(&self) -> DetachSteps {
        let subject = &self.plan.subject;
        let (table, edges): (_, Vec<_>) = (&subject.table, subject.edges.iter().collect());
        let (key, stays) = (of(table, &subject.key), stays(subject));
        let update = |at: usize| {
            let others = edges.iter().filter(|other| **other != edges[at]).map(|other| self.may_be_later(table, other));
            let mut update = self.detach(table, &edges, at, others.chain([is_later(&key)]).collect());
            update.update = format!("{} AND {stays}", update.update);
            update
        };
        DetachSteps {
            count: format!("SELECT count(*) FROM {} WHERE ({}) AND {stays}", in_main(table), self.any(table, &edges)),
            updates: (0..edges.len()).map(update).collect(),
        }
    }

    /// The same for the accounts that stay. Any of them may go in a later chunk.
    fn account(&self, account: &AccountRule) -> DetachSteps {
        let (table, edges): (_, Vec<_>) = (&account.table, account.edges.iter().collect());
        let named: Vec<_> = account.columns.iter().map(|column| of(table, column)).collect();
        let stays = format!("{} NOT IN (SELECT * FROM {EMPTIED})", tuple(&named));
        let update = |at: usize| {
            let mut update = self.detach(table, &edges, at, vec!["1".to_owned()]);
            update.update = format!("{} AND {stays}", update.update);
            update
        };
        DetachSteps {
            count: format!("SELECT count(*) FROM {} WHERE ({}) AND {stays}", in_main(table), self.any(table, &edges)),
            updates: (0..edges.len()).map(update).collect(),
        }
    }

    /// For each table, a look for rows, of any tenant, that still refer to what is gone. After a chunk there must be none.
    fn verify(&self) -> Vec<Verify> {
        let plan = self.plan;
        let look = |table: &String, edges: Vec<&Edge>, by_trigger| {
            let find = || format!("SELECT 1 FROM {} WHERE {} LIMIT 1", in_main(table), self.any(table, &edges));
            (!edges.is_empty()).then(|| Verify { table: table.clone(), find: find(), by_trigger })
        };
        let rules = plan.rules.iter().flat_map(|rule| {
            let settled = |edge: &&Edge| self.settles(rule, edge);
            let (over, taken): (Vec<_>, _) = rule.edges.iter().filter(settled).partition(|edge| rule.action_of(edge) == Action::Overwrite);
            // What is written over may be a column of another reference, or one that such a column is made from. Round a circle nothing is
            // taken for granted.
            let alone = self.groups.iter().any(|group| group.len() == 1 && group[0].table == rule.table);
            [look(&rule.table, over, false), look(&rule.table, taken, rule.sets.is_empty() && alone)]
        });
        // Of subjects and accounts only the tenant's own lose their references.
        let subject = std::iter::once((&plan.subject.table, &plan.subject.edges));
        let others = subject.chain(plan.account.iter().map(|account| (&account.table, &account.edges)));
        let others = others.map(|(table, edges)| look(table, edges.iter().filter(|edge| plan.deletes_from(&edge.parent)).collect(), false));
        rules.chain(others).flatten().collect()
    }

    /// A constraint can have SQLite delete the row in the way, or leave ours as it is, without a word: ABORT stands for what each of
    /// them says. It would for what triggers say as well, so where some are accepted no such constraint may be there.
    fn update(&self) -> &'static str {
        if self.plan.accepted.triggers.is_empty() { "UPDATE OR ABORT" } else { "UPDATE" }
    }

    /// Whether a table's rows go with those of another and the other way round: they are one, or in a circle.
    fn together(&self, table: &str, parent: &str) -> bool {
        let has = |group: &[&Rule], table: &str| group.iter().any(|rule| rule.table == table);
        self.groups.iter().any(|group| has(group, table) && has(group, parent))
    }

    /// Whether after the deed no row can refer to what is gone by this edge.
    fn settles(&self, rule: &Rule, edge: &Edge) -> bool {
        match rule.action_of(edge) {
            Action::Delete | Action::Detach => self.plan.deletes_from(&edge.parent),
            Action::Overwrite => {
                self.plan.deletes_from(&edge.parent) && edge.columns.iter().any(|column| rule.sets.iter().any(|set| set.column == *column))
            }
            Action::Keep => false,
        }
    }

    /// Sets what is one reference's own to null: that at this place of `edges`, which are worked in their order. `again`: conditions on a
    /// row, of which one holds where a later chunk may touch it again.
    fn detach(&self, table: &str, edges: &[&Edge], at: usize, again: Vec<String>) -> DetachUpdate {
        let edge = edges[at];
        let behind = self.any(table, &edges[at + 1..]);
        let own = nulls(&self.plan.own_columns(table, edge));
        DetachUpdate {
            table: table.to_owned(),
            update: format!("{} {} SET {own} WHERE {}", self.update(), in_main(table), self.reaches(table, edge)),
            is_last_touch: format!("NOT coalesce(({behind}), 0)"),
            may_be_noted: or_never(&edges.iter().filter(|other| **other != edge).map(|other| null(table, other)).collect::<Vec<_>>()),
            may_come_again: format!("coalesce(({}), 0) AND ?1 IS NOT NULL AND ?2 IS NOT NULL AND ?4 IS NOT NULL", or_never(&again)),
        }
    }

    /// The rows of a rule that take along the rows which refer to them: those that go, are written over, or are kept for somebody who goes.
    fn going(&self, rule: &Rule) -> String {
        let acted: Vec<_> = rule.edges.iter().filter(|edge| rule.action_of(edge) != Action::Detach).collect();
        if rule.deletes_orphans() { self.doomed(rule) } else { self.any_or_match(rule, &acted) }
    }

    /// The condition of rows that go.
    fn doomed(&self, rule: &Rule) -> String {
        if rule.deletes_orphans() {
            // An OR of ANDs: SQLite can answer each part by the index of its first term.
            let part = |at: usize, edge: &Edge| {
                let others = rule.edges.iter().enumerate().filter(|(other, _)| *other != at);
                let lost = others.map(|(_, other)| format!(" AND ({} OR {})", null(&rule.table, other), self.reaches(&rule.table, other)));
                format!("({}{})", self.reaches(&rule.table, edge), lost.collect::<String>())
            };
            return rule.edges.iter().enumerate().map(|(at, edge)| part(at, edge)).collect::<Vec<_>>().join(" OR ");
        }
        let edges: Vec<_> = rule.edges.iter().filter(|edge| rule.action_of(edge) == Action::Delete).collect();
        if rule.action == Action::Delete { self.any_or_match(rule, &edges) } else { self.any(&rule.table, &edges) }
    }

    /// The condition of rows that a rule writes over.
    fn acted_on(&self, rule: &Rule) -> String {
        let edges: Vec<_> = rule.edges.iter().filter(|edge| edge.action.is_none()).collect();
        self.any_or_match(rule, &edges)
    }

    fn any_or_match(&self, rule: &Rule, edges: &[&Edge]) -> String {
        let edges = edges.iter().map(|edge| self.reaches(&rule.table, edge));
        or_never(&edges.chain(rule.matches.iter().map(|m| matched(rule, m))).collect::<Vec<_>>())
    }

    fn any(&self, table: &str, edges: &[&Edge]) -> String {
        or_never(&edges.iter().map(|edge| self.reaches(table, edge)).collect::<Vec<_>>())
    }

    /// The condition of rows that refer by this edge to what goes.
    fn reaches(&self, table: &str, edge: &Edge) -> String {
        let columns: Vec<_> = edge.columns.iter().map(|column| of(table, column)).collect();
        if by_key(self.plan, edge) {
            return format!(r#"{} IN (SELECT "key" FROM {CHUNK})"#, columns[0]);
        }
        format!("{} IN (SELECT {} FROM {})", tuple(&columns), cells(columns.len()), mark_name(self.marked.at(edge)))
    }

    fn reaches_in_round(&self, rule: &Rule, edge: &Edge) -> String {
        format!(r#"{} WHERE "round" = ?1)"#, self.reaches(&rule.table, edge).trim_end_matches(')'))
    }

    /// Whether a row may lose this reference in a later chunk: exact for references to subjects, where they spell a key as its own row
    /// does, else on the safe side.
    fn may_be_later(&self, table: &str, edge: &Edge) -> String {
        let columns: Vec<_> = edge.columns.iter().map(|column| of(table, column)).collect();
        let refers = format!("({})", columns.iter().map(|column| format!("{column} IS NOT NULL")).collect::<Vec<_>>().join(" AND "));
        if by_key(self.plan, edge) { format!("CASE WHEN ?4 THEN {} ELSE {refers} END", is_later(&columns[0])) } else { refers }
    }
}

/// The new value of a column.
fn written(rule: &Rule, set: &Set) -> String {
    let column = of(&rule.table, &set.column);
    let value = |old: &str| match &set.to {
        Value::Null => "NULL".to_owned(),
        Value::Hash => format!("expunged_hash({old}, ?1)"),
        Value::Text(fixed) => literal(fixed),
        Value::Number(fixed) => fixed.to_string(),
    };
    match &set.path {
        None => value(&column),
        Some(path) => {
            let path = literal(path);
            let new = value(&format!("json_extract({column}, {path})"));
            let (is_json, is_jsonb) = (is_json(&column), is_jsonb(&column));
            let arguments = format!("{column}, {path}, {new}");
            // What is no JSON is left alone, and a place that is not there is not made.
            format!(
                "CASE WHEN {is_json} AND json_type({column}, {path}) IS NOT NULL \
                 THEN CASE WHEN {is_jsonb} THEN jsonb_set({arguments}) ELSE json_set({arguments}) END ELSE {column} END"
            )
        }
    }
}

/// The condition of rows that hold an address that goes.
fn matched(rule: &Rule, m: &Match) -> String {
    holds(rule, m, |value| {
        let value = match m.compare {
            Compare::Normalised => format!("expunged_email({value})"),
            Compare::Nocase => format!("{value} COLLATE NOCASE"),
            Compare::Exact => value.to_owned(),
        };
        match &rule.tenant {
            Some(tenant) => format!(r#"({}, {value}) IN (SELECT "tenant", "address" FROM {ADDRESSES})"#, of(&rule.table, tenant)),
            None => format!(r#"{value} IN (SELECT "address" FROM {ADDRESSES})"#),
        }
    })
}

fn mark_name(at: usize) -> String {
    format!(r#"temp."expunged_gone_{at}""#)
}

/// Whether a key, as its own row spells it, is that of a target after this chunk. The unary plus keeps the column's affinity from hiding the ledger's index.
fn is_later(key: &str) -> String {
    format!(
        r#"(+{key} COLLATE BINARY > ?2 AND EXISTS (SELECT 1 FROM main.expunged_targets AS expunged_later
        WHERE expunged_later.import = ?1 AND expunged_later."key" > ?2 AND expunged_later."key" = +{key} AND expunged_later.gone = 0))"#
    )
}

fn cells(count: usize) -> String {
    (0..count).map(|at| format!("\"r{at}\"")).collect::<Vec<_>>().join(", ")
}

fn nulls(columns: &[&String]) -> String {
    columns.iter().map(|column| format!("{} = NULL", name(column))).collect::<Vec<_>>().join(", ")
}

/// The condition of a row that has lost a reference: one column without a value is enough.
fn null(table: &str, edge: &Edge) -> String {
    edge.columns.iter().map(|column| format!("{} IS NULL", of(table, column))).collect::<Vec<_>>().join(" OR ")
}
