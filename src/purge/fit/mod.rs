//! Whether a plan fits a database: what would be wrong to run, what would be slow, and what nobody has decided yet.
//!
//! Tables outside the plan matter only where they refer to rows that the plan takes, or look as if they did, or hold what looks
//! like addresses.

mod compare;
mod keys;
mod nulled;
mod overwrite;
mod runs;
mod sole;
mod undeclared;

use rusqlite::Connection;
use serde::Serialize;

use super::Engine;
use super::plan::{Action, Compare, Edge, Plan, PlanError, Rule, Tenancy};
use super::sample::{AddressColumn, address_columns};
use super::shape::{Shape, Sought, count_rows, rows, same, scans};
use crate::store::{StoreError, ledger};

/// How a plan and a database agree.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fit {
    /// Some table has to be read whole, once a chunk: chunks should be large.
    pub scans: bool,
    /// It hangs on rows: while they change it may be another, though the tables stay as they are.
    pub by_rows: bool,
}

/// What is between a plan and a database.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub kind: FindingKind,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub mend: Option<String>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Nothing is purged while it is so.
    Misfit,
    /// A key without an index, on a table small enough to be read whole once a chunk.
    Unindexed,
    /// Something that a person should decide; purging goes on.
    Undecided,
}

impl FindingKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Misfit => "misfit",
            Self::Unindexed => "unindexed",
            Self::Undecided => "undecided",
        }
    }
}

impl Engine {
    /// Whether the plan can be worked on this database, as it is now.
    ///
    /// # Errors
    /// [`PlanError::DoesNotFit`] names the first thing that is in the way.
    pub fn fits(&self, connection: &Connection, unindexed_rows_max: u64) -> Result<Fit, PlanError> {
        let plan = self.plan();
        let mut look = Look::at(plan, connection, unindexed_rows_max)?;
        look.shape_and_keys()?;
        look.runs(self)?;
        match look.found.iter().find(|found| found.kind == FindingKind::Misfit) {
            Some(Finding { what, mend: Some(mend), .. }) => Err(PlanError::DoesNotFit(format!("{what}; {mend}"))),
            Some(Finding { what, .. }) => Err(PlanError::DoesNotFit(what.clone())),
            None => Ok(Fit {
                scans: look.found.iter().any(|found| found.kind == FindingKind::Unindexed)
                    || plan.rules.iter().flat_map(|rule| &rule.matches).any(|m| m.compare == Compare::Normalised || m.path.is_some()),
                by_rows: look.by_rows,
            }),
        }
    }

    /// Everything that is between the plan and this database.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn inspect(&self, connection: &Connection, unindexed_rows_max: u64) -> Result<Vec<Finding>, StoreError> {
        let mut look = Look::at(self.plan(), connection, unindexed_rows_max)?;
        look.shape_and_keys()?;
        look.runs(self)?;
        look.what_nobody_decided()?;
        Ok(look.found)
    }
}

struct Look<'a> {
    plan: &'a Plan,
    connection: &'a Connection,
    shape: Shape,
    unindexed_rows_max: u64,
    found: Vec<Finding>,
    /// Rows were asked for.
    by_rows: bool,
}

impl<'a> Look<'a> {
    fn at(plan: &'a Plan, connection: &'a Connection, unindexed_rows_max: u64) -> Result<Self, StoreError> {
        Ok(Self { plan, connection, shape: Shape::read(connection)?, unindexed_rows_max, found: Vec::new(), by_rows: false })
    }

    /// Whether some row answers.
    fn any_row(&mut self, sql: &str, parameters: impl rusqlite::Params) -> Result<bool, StoreError> {
        self.by_rows = true;
        Ok(!rows(self.connection, sql, parameters, |_| Ok(()))?.is_empty())
    }

    fn misfit(&mut self, what: String) {
        self.found.push(Finding { kind: FindingKind::Misfit, what, mend: None });
    }

    fn shape_and_keys(&mut self) -> Result<(), StoreError> {
        if let Some(name) = ledger::name_taken(self.connection)? {
            self.misfit(StoreError::NameTaken(name).to_string());
        }
        for (table, columns) in named(self.plan) {
            self.has(table, &columns);
        }
        self.unknown_collations();
        // What is not there, or cannot be looked at, need not be looked at any closer.
        if !self.found.is_empty() {
            return Ok(());
        }
        let plan = self.plan;
        let subject = &plan.subject;
        if self.shape.table(&subject.table).is_some_and(|table| !table.is_unique(std::slice::from_ref(&subject.key))) {
            self.misfit(format!("\"{}\".\"{}\" is not unique, so it is no key of a subject", subject.table, subject.key));
        }
        for edge in &subject.edges {
            self.can_be_detached(&subject.table, edge);
        }
        if let Some(account) = &plan.account {
            for edge in &account.edges {
                self.can_be_detached(&account.table, edge);
            }
        }
        for rule in &plan.rules {
            let detached: Vec<_> = rule.edges.iter().filter(|edge| rule.action_of(edge) == Action::Detach).collect();
            if !detached.is_empty() {
                self.can_be_told_apart(&rule.table);
            }
            for edge in detached {
                self.can_be_detached(&rule.table, edge);
            }
            self.can_be_overwritten(rule);
        }
        self.keys_agree()?;
        self.declared_keys();
        self.triggers();
        self.indexes()
    }

    fn has(&mut self, name: &str, columns: &[&String]) {
        let Some(table) = self.shape.table(name) else {
            let what = if self.shape.virtual_tables.iter().any(|found| same(found, name)) { "is a virtual table" } else { "is not there" };
            return self.misfit(format!("table \"{name}\" {what}"));
        };
        let missing = columns.iter().find(|column| table.column(column).is_none());
        if let Some(column) = missing {
            self.misfit(format!("table \"{name}\" has no column \"{column}\""));
        }
    }

    fn can_be_detached(&mut self, table: &str, edge: &Edge) {
        let own: Vec<String> = self.plan.own_columns(table, edge).into_iter().cloned().collect();
        self.can_be_changed(table, &own, "detached");
        let before = self.found.len();
        self.can_be_null(table, &own, "detached");
        let may_name_tenant = self.plan.rule(table).is_some_and(|rule| rule.tenant.is_none() && rule.matches.is_empty());
        if let ([.., _, _], true, Some(found)) = (own.as_slice(), may_name_tenant, self.found.get_mut(before)) {
            found.mend = Some("if that column names the tenant, write it as the table's tenant, and it stays".to_owned());
        }
    }

    /// A row that loses a reference is counted once, by its number or its key.
    fn can_be_told_apart(&mut self, name: &str) {
        let Some(table) = self.shape.table(name) else { return };
        let words = ["rowid", "oid", "_rowid_"];
        if table.primary_key().is_empty() && words.iter().all(|word| table.column(word).is_some()) {
            let what = format!("\"{name}\" has no primary key, and columns named rowid, oid and _rowid_ hide the numbers of its rows");
            let mend = Some("rename one of them, or delete the table's rows instead of detaching them".to_owned());
            self.found.push(Finding { kind: FindingKind::Misfit, what, mend });
        }
    }

    fn can_be_changed(&mut self, table: &str, columns: &[String], what: &str) {
        let found = self.shape.table(table);
        let computed = columns.iter().find(|column| found.is_some_and(|table| table.is_generated(column)));
        if let Some(column) = computed {
            self.misfit(format!("\"{table}\".\"{column}\" is a generated column, so it cannot be {what}"));
        }
        // Without triggers the plan's own statements stand above such a clause.
        let settles = self.shape.table(table).is_some_and(|table| table.settles_conflicts) && !self.plan.accepted.triggers.is_empty();
        let told =
            format!("\"{table}\" has a constraint with ON CONFLICT REPLACE or IGNORE, so its rows cannot be {what} where triggers run");
        if settles && self.found.iter().all(|found| found.what != told) {
            let mend = "SQLite would delete the row in the way, or leave this one as it is: take that clause out, or delete these rows";
            self.found.push(Finding { kind: FindingKind::Misfit, what: told, mend: Some(mend.to_owned()) });
        }
    }

    fn can_be_null(&mut self, table: &str, columns: &[String], what: &str) {
        let found = self.shape.table(table);
        let fixed = columns.iter().find(|column| found.and_then(|table| table.column(column)).is_some_and(|column| column.not_null));
        if let Some(column) = fixed {
            self.misfit(format!("\"{table}\".\"{column}\" cannot be null, so it cannot be {what}"));
        }
    }

    fn triggers(&mut self) {
        let changed = |table: &str| self.plan.deletes_from(table) || self.plan.rule(table).is_some_and(|rule| rule.action != Action::Keep);
        let accepted = |name: &str| self.plan.accepted.triggers.iter().any(|known| same(known, name));
        let open: Vec<_> = self.shape.triggers.iter().filter(|trigger| changed(&trigger.table) && !accepted(&trigger.name)).collect();
        let open: Vec<_> = open
            .into_iter()
            .map(|trigger| Finding {
                kind: FindingKind::Misfit,
                what: format!("trigger \"{}\" on \"{}\" fires when rows go or change", trigger.name, trigger.table),
                mend: Some("look at what it does, then name it in accepted.triggers".to_owned()),
            })
            .collect();
        self.found.extend(open);
    }

    fn indexes(&mut self) -> Result<(), StoreError> {
        let plan = self.plan;
        let subject = &plan.subject;
        let of_accounts = plan.account.iter().flat_map(|account| account.edges.iter().map(move |edge| (&account.table, edge)));
        let edges = subject.edges.iter().map(|edge| (&subject.table, edge)).chain(of_accounts);
        let edges = edges.chain(
            plan.rules
                .iter()
                .filter(|rule| rule.action != Action::Keep)
                .flat_map(|rule| rule.edges.iter().map(move |edge| (&rule.table, edge))),
        );
        for (table, Edge { columns, .. }) in edges.collect::<Vec<_>>() {
            self.indexed_as_declared(table, columns)?;
        }
        let tenant = match &subject.tenancy {
            Tenancy::Column(column) => Some(column),
            Tenancy::Sole(_) => None,
        };
        let of_tenant = |sought: &[Sought<'a>]| {
            let tenant = tenant.map(Sought::as_declared);
            tenant.into_iter().chain(sought.iter().copied()).collect::<Vec<_>>()
        };
        if let (Some(account), Some(id)) = (&subject.account, &subject.id) {
            self.indexed(&subject.table, &of_tenant(&[account, id].map(Sought::as_declared)))?;
        }
        if let Some(account) = &plan.account {
            self.indexed_as_declared(&account.table, &account.columns)?;
            self.indexed_as_declared(&subject.table, &account.subject_columns)?;
        }
        if let Some(address) = &subject.address {
            let column = Sought::as_declared(&address.column);
            match address.compare {
                Compare::Normalised => {}
                Compare::Exact => self.indexed(&subject.table, &of_tenant(&[column]))?,
                Compare::Nocase => self.indexed(&subject.table, &of_tenant(&[Sought { collate: " COLLATE NOCASE", ..column }]))?,
            }
        }
        Ok(())
    }

    fn indexed_as_declared(&mut self, table: &str, columns: &[String]) -> Result<(), StoreError> {
        self.indexed(table, &columns.iter().map(Sought::as_declared).collect::<Vec<_>>())
    }

    fn indexed(&mut self, table: &str, columns: &[Sought<'_>]) -> Result<(), StoreError> {
        if !scans(self.connection, table, columns)? {
            return Ok(());
        }
        self.by_rows = true;
        let rows = count_rows(self.connection, table, self.unindexed_rows_max.saturating_add(1))?;
        let quoted: Vec<_> = columns.iter().map(|sought| format!("{}{}", super::terms::name(sought.column), sought.collate)).collect();
        let columns: Vec<_> = columns.iter().map(|sought| sought.column).collect();
        let index = super::terms::name(&format!("{table}_by_{}", columns.join("_")));
        let too_many = rows > self.unindexed_rows_max;
        let size = if too_many { format!("has more than {} rows", self.unindexed_rows_max) } else { format!("has {rows} rows") };
        let what = format!("\"{table}\" ({}) has no index, and the table {size}", columns.join(", "));
        let mend = Some(format!("run: CREATE INDEX {index} ON {} ({});", super::terms::name(table), quoted.join(", ")));
        let finding = Finding { kind: if too_many { FindingKind::Misfit } else { FindingKind::Unindexed }, what, mend };
        if !self.found.contains(&finding) {
            self.found.push(finding);
        }
        Ok(())
    }

    fn what_nobody_decided(&mut self) -> Result<(), StoreError> {
        self.virtual_tables();
        for rule in &self.plan.rules {
            self.may_be_the_same(rule);
        }
        self.may_be_the_same_without();
        self.goes_with_what_stays();
        self.idle();
        self.stand_ins_beside()?;
        self.sole_tenant()?;
        self.left_behind()?;
        self.unread();
        self.undeclared()?;
        self.comparisons()?;
        for found in address_columns(self.connection, &self.shape)? {
            if self.plan.accepted.has_column(&found.table, &found.column) {
                continue;
            }
            if covered(self.plan, &found.table, &found.column) {
                self.unreached(&found)?;
                self.another_address(&found)?;
            } else {
                self.uncovered(&found);
            }
        }
        Ok(())
    }

    /// Virtual tables that nobody has accepted: SQLite tells nothing of what they hold.
    fn virtual_tables(&mut self) {
        let accepted = &self.plan.accepted.virtual_tables;
        for table in &self.shape.virtual_tables {
            if !accepted.iter().any(|known| same(known, table)) {
                self.found.push(Finding {
                    kind: FindingKind::Undecided,
                    what: format!("\"{table}\" is a virtual table, which a plan cannot erase from"),
                    mend: Some(format!(
                        "see that it holds nothing of a person, or that triggers keep it{}; then name it in accepted.virtual_tables",
                        self.shape.forgetting(table)
                    )),
                });
            }
        }
    }

    /// A column that looks like addresses, and of which the plan says nothing.
    fn uncovered(&mut self, found: &AddressColumn) {
        self.found.push(Finding {
            kind: FindingKind::Undecided,
            what: format!(
                "\"{}\".\"{}\" looks like addresses ({} of {} rows looked at), and nothing is said of it",
                found.table, found.column, found.like, found.looked_at
            ),
            mend: Some(match self.plan.rule(&found.table) {
                None => "give its table a rule with a match, or name it in accepted.columns".to_owned(),
                // Its rows stay, and what stays can be written over.
                Some(rule) => {
                    let how = self.how_to_write_over(rule);
                    format!("its table has a rule by which rows stay: write the column over, with {how}; or name it in accepted.columns")
                }
            }),
        });
    }
}

/// Whether the plan says what becomes of a column's content.
fn covered(plan: &Plan, table: &str, column: &str) -> bool {
    if same(&plan.subject.table, table) || plan.account.as_ref().is_some_and(|account| same(&account.table, table)) {
        return true;
    }
    let Some(rule) = plan.rule(table) else { return false };
    match rule.action {
        Action::Delete | Action::Keep => true,
        Action::Overwrite => {
            rule.sets.iter().map(|set| &set.column).chain(rule.matches.iter().map(|m| &m.column)).any(|said| same(said, column))
        }
        Action::Detach => false,
    }
}

/// Every table of a plan with every column that it names.
fn named(plan: &Plan) -> Vec<(&str, Vec<&String>)> {
    let subject = &plan.subject;
    let tenant = match &subject.tenancy {
        Tenancy::Column(column) => Some(column),
        Tenancy::Sole(_) => None,
    };
    let words = [tenant, subject.account.as_ref(), subject.id.as_ref(), subject.address.as_ref().map(|address| &address.column)];
    let mut columns: Vec<&String> = words.into_iter().flatten().chain([&subject.key]).chain(&subject.names).collect();
    columns.extend(subject.edges.iter().flat_map(|edge| &edge.columns));
    columns.extend(plan.account.iter().flat_map(|rule| &rule.subject_columns));
    let mut all = vec![(subject.table.as_str(), columns)];
    all.extend(plan.account.iter().map(|account| {
        (account.table.as_str(), account.columns.iter().chain(account.edges.iter().flat_map(|edge| &edge.columns)).collect())
    }));
    all.extend(plan.rules.iter().map(|rule| (rule.table.as_str(), own_columns(rule))));
    for edge in plan.edges() {
        if let Some((_, columns)) = all.iter_mut().find(|(table, _)| *table == edge.parent) {
            columns.extend(&edge.parent_columns);
        }
    }
    all
}

fn own_columns(rule: &Rule) -> Vec<&String> {
    let of_edges = rule.edges.iter().flat_map(|edge| &edge.columns);
    let of_values = rule.matches.iter().map(|m| &m.column).chain(rule.sets.iter().map(|set| &set.column));
    of_edges.chain(of_values).chain(&rule.tenant).collect()
}
