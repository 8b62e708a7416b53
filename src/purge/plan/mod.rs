//! The erasure plan: which tables hold a subject's rows, how they are reached, and what happens to each.
//!
//! A value, made into SQL elsewhere. The built-in schema is one constant plan; a user's own schema is another, read from text.

mod circles;
mod order;
mod own;
mod reach;
mod spelling;
mod text;
mod write;

use serde::{Deserialize, Serialize};

use crate::domain::TenantName;
use crate::store::StoreError;
use crate::store::ledger::digest;

pub(super) use circles::EdgeAt;
pub use text::{PlanFault, PlanFaults};
pub(super) use write::{Comment, write_edge, write_plan};

/// Which tables hold a subject's rows, how they are reached, and what happens to each.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The table with one row a subject.
    pub subject: Subject,
    /// The table of accounts, where an account goes with its last user.
    pub account: Option<AccountRule>,
    /// Every other table that refers to a subject, directly or through others; in the order in which the report names them.
    #[serde(rename = "table", default)]
    pub rules: Vec<Rule>,
    /// What a person has looked at and lets stand.
    #[serde(default, skip_serializing_if = "Accepted::is_empty")]
    pub accepted: Accepted,
}

/// Parts of a database that a plan cannot speak of, each looked at by a person.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Triggers that may fire when planned rows go or change.
    #[serde(default)]
    pub triggers: Vec<String>,
    /// Virtual tables, full-text indexes among them, that hold nothing of a person or are kept by triggers.
    #[serde(default)]
    pub virtual_tables: Vec<String>,
    /// Columns, as `table.column`, of which `plan check` asks something that a person has answered.
    #[serde(default)]
    pub columns: Vec<String>,
}

impl Accepted {
    /// Whether a person has answered for this column.
    pub(super) fn has_column(&self, table: &str, column: &str) -> bool {
        self.columns.iter().any(|known| known.eq_ignore_ascii_case(&format!("{table}.{column}")))
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The table with one row a subject.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The table.
    pub table: String,
    /// Its key, one column.
    pub key: String,
    /// Whose subjects they are.
    pub tenancy: Tenancy,
    /// Where the address stands.
    pub address: Option<Address>,
    /// Where the account's id stands.
    pub account: Option<String>,
    /// Where the subject's own id stands.
    pub id: Option<String>,
    /// Where names stand, for a person who looks for a person.
    #[serde(default)]
    pub names: Vec<String>,
    /// References from subjects to rows that go, their own table's among them. They are detached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
}

/// Whose subjects a table holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tenancy {
    /// This column names the tenant.
    Column(String),
    /// All are this tenant's.
    Sole(TenantName),
}

/// Where the address stands, and how it compares.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The column.
    pub column: String,
    /// How it compares.
    #[serde(default)]
    pub compare: Compare,
}

/// How an address column compares to the normal form of an address.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// The column holds addresses as people write them: one scan of the table an import, folded in our code.
    #[default]
    Normalised,
    /// Equal but for ASCII case: by an index with NOCASE.
    Nocase,
    /// The column holds the normal form: by index.
    Exact,
}

/// The table of accounts: an account goes with its last user, unless a row asked to keep it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRule {
    /// The table.
    pub table: String,
    /// The columns that name an account.
    pub columns: Vec<String>,
    /// The subject's columns that hold the same, in the same order.
    pub subject_columns: Vec<String>,
    /// References from accounts to rows that go, their own table's among them. They are detached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
}

/// One table that refers to a subject, and what happens to its rows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The table.
    #[serde(rename = "name")]
    pub table: String,
    /// What happens to its rows.
    pub action: Action,
    /// Why rows are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What happens to a detached row that refers to nobody any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<Orphans>,
    /// How it is reached by keys. Several: a row is reached by any of them.
    #[serde(default)]
    pub edges: Vec<Edge>,
    /// How it is reached by addresses.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
    /// The column that names the tenant: needed to reach rows by address where a subject's tenant is a column. No detached reference
    /// sets it to null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What is written over, and with what.
    #[serde(default, rename = "set", skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<Set>,
}

/// What happens to the rows that refer to a subject that goes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// They go.
    Delete,
    /// The reference is set to null: those of its columns that nothing else in the plan uses.
    Detach,
    /// Columns are written over.
    Overwrite,
    /// They stay as they are, for a reason.
    Keep,
}

/// What happens to a detached row that refers to nobody any more.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Orphans {
    /// It goes.
    Delete,
    /// It stays.
    Keep,
}

/// A reference from a rule's table to the subject's, or to another rule's.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The referring columns.
    pub columns: Vec<String>,
    /// The table referred to.
    pub parent: String,
    /// Its columns, in the same order.
    pub parent_columns: Vec<String>,
    /// `delete` or `detach`, where this reference is another case than its table's others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
}

/// A column, or a place in a JSON column, that holds an address without being a key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The column.
    pub column: String,
    /// Where in its JSON: a path such as `$.customer.email`. Where it leads to a list, each of its places is looked at, and
    /// `$.list[*].email` goes on inside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How it compares. `normalised` reads the whole table once a chunk.
    #[serde(default)]
    pub compare: Compare,
}

/// What stands in a path for each place of a list.
pub(super) const EVERY: &str = "[*]";

/// One column, or a place in a JSON column, that is written over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The column.
    pub column: String,
    /// Where in its JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// With what.
    pub to: Value,
}

/// What a column is written over with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Null.
    Null,
    /// A keyed hash of what stood there: equal values stay equal, none can be read.
    Hash,
    /// A fixed text.
    Text(String),
    /// A fixed number, such as the key of a stand-in row.
    Number(i64),
}

/// Why a plan cannot be worked by. Names tables and columns, never a value.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The plan is wrong in itself.
    #[error("the plan is wrong: {0}")]
    Wrong(Wrong),
    /// The database is not as the plan says.
    #[error("the plan does not fit the database: {0}")]
    DoesNotFit(String),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with a plan, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what}")]
pub struct Wrong {
    /// Where.
    pub place: Place,
    /// What was found, what is allowed.
    pub what: String,
}

/// A part of a plan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// All of it.
    Whole,
    /// `[subject]`.
    Subject,
    /// `[account]`.
    Account,
    /// The rule of this number, from 0.
    Rule(usize),
}

impl Place {
    pub(super) fn wrong(self, what: impl Into<String>) -> PlanError {
        PlanError::Wrong(Wrong { place: self, what: what.into() })
    }
}

impl Plan {
    /// The plan of the built-in schema.
    #[must_use]
    pub fn builtin() -> Self {
        let text = |s: &str| s.to_owned();
        let rule = |table: &str, action, columns: &[&str]| {
            let edge = |column: &&str| Edge {
                columns: vec![text(column)],
                parent: text("customers"),
                parent_columns: vec![text("customer")],
                action: None,
            };
            Rule::new(table, action, columns.iter().map(edge).collect())
        };
        Self {
            subject: Subject {
                table: text("customers"),
                key: text("customer"),
                tenancy: Tenancy::Column(text("tenant")),
                address: Some(Address { column: text("emailNormalised"), compare: Compare::Exact }),
                account: Some(text("accountId")),
                id: Some(text("id")),
                names: vec![text("firstName"), text("lastName")],
                edges: Vec::new(),
            },
            accepted: Accepted::default(),
            account: Some(AccountRule {
                table: text("accounts"),
                columns: vec![text("tenant"), text("accountId")],
                subject_columns: vec![text("tenant"), text("accountId")],
                edges: Vec::new(),
            }),
            rules: vec![
                rule("rewards", Action::Delete, &["customer"]),
                rule("events", Action::Delete, &["customer"]),
                rule("custom_fields", Action::Delete, &["customer"]),
                rule("referrals", Action::Detach, &["referrer", "referred"]),
            ],
        }
    }

    /// `sha256:…` over the plan's own text.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(serde_json::to_string(self).expect("a plan is plain text").as_bytes())
    }

    /// The tables whose deleted rows the report counts, in its order.
    pub fn removed_tables(&self) -> impl Iterator<Item = &str> {
        let account = self.account.iter().map(|rule| rule.table.as_str());
        std::iter::once(self.subject.table.as_str()).chain(account).chain(self.rules.iter().map(|rule| rule.table.as_str()))
    }

    /// The tables whose detached rows the report counts, in its order.
    pub fn detached_tables(&self) -> impl Iterator<Item = &str> {
        let subject = Some(self.subject.table.as_str()).filter(|_| !self.subject.edges.is_empty());
        let detaches = |rule: &&Rule| rule.edges.iter().any(|edge| rule.action_of(edge) == Action::Detach);
        let account = self.account.iter().filter(|account| !account.edges.is_empty()).map(|account| account.table.as_str());
        subject.into_iter().chain(account).chain(self.rules.iter().filter(detaches).map(|rule| rule.table.as_str()))
    }

    /// The tables whose overwritten rows the report counts, in its order.
    pub fn overwritten_tables(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| rule.action == Action::Overwrite).map(|rule| rule.table.as_str())
    }

    /// The rule of a table, however it is spelled.
    #[must_use]
    pub fn rule(&self, table: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.table.eq_ignore_ascii_case(table))
    }

    /// Whether a table's reference is set to null: those of subjects and accounts always are.
    pub(crate) fn detaches(&self, table: &str, edge: &Edge) -> bool {
        self.rule(table).is_none_or(|rule| rule.action_of(edge) == Action::Detach)
    }

    /// Whether rows of a table can go, however it is spelled.
    #[must_use]
    pub fn deletes_from(&self, table: &str) -> bool {
        self.subject.table.eq_ignore_ascii_case(table)
            || self.account.as_ref().is_some_and(|account| account.table.eq_ignore_ascii_case(table))
            || self.rule(table).is_some_and(Rule::deletes)
    }
}

impl Rule {
    /// A rule of keys alone.
    #[must_use]
    pub fn new(table: &str, action: Action, edges: Vec<Edge>) -> Self {
        let (matches, sets) = (Vec::new(), Vec::new());
        Self { table: table.to_owned(), action, reason: None, orphans: None, edges, matches, tenant: None, sets }
    }

    /// What a reference means for the row that holds it.
    #[must_use]
    pub fn action_of(&self, edge: &Edge) -> Action {
        edge.action.unwrap_or(self.action)
    }

    /// Whether a detached row goes when it refers to nobody any more.
    #[must_use]
    pub fn deletes_orphans(&self) -> bool {
        self.action == Action::Detach && self.orphans.unwrap_or(Orphans::Delete) == Orphans::Delete
    }

    /// Whether rows of its table can go. By an edge that is detached none does, whatever the table's action.
    #[must_use]
    pub fn deletes(&self) -> bool {
        let by_address = self.action == Action::Delete && !self.matches.is_empty();
        by_address || self.deletes_orphans() || self.edges.iter().any(|edge| self.action_of(edge) == Action::Delete)
    }
}
