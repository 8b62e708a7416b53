//! The erasure plan: which tables hold a subject's rows, how they are reached, and what happens to each.
//!
//! A value, made into SQL elsewhere. The built-in schema is one constant plan; a user's own schema is another.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::domain::TenantName;
use crate::store::StoreError;
use crate::store::ledger::digest;

/// Which tables hold a subject's rows, how they are reached, and what happens to each.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The table with one row a subject.
    pub subject: Subject,
    /// The table of accounts, where an account goes with its last user.
    pub account: Option<AccountRule>,
    /// Every other table that refers to a subject, directly or through others; in the order in which the report names them.
    #[serde(rename = "table")]
    pub rules: Vec<Rule>,
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
    /// How it is reached. Several: a row is reached by any of them.
    pub edges: Vec<Edge>,
}

/// What happens to the rows that refer to a subject that goes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// They go.
    Delete,
    /// The reference is set to null; a row whose references are all null goes.
    Detach,
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
}

/// Why a plan cannot be worked by. Names tables and columns, never a value.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The plan is wrong in itself.
    #[error("the plan is wrong: {0}")]
    Wrong(String),
    /// The database is not as the plan says.
    #[error("the plan does not fit the database: {0}")]
    DoesNotFit(String),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Plan {
    /// The plan of the built-in schema.
    #[must_use]
    pub fn builtin() -> Self {
        let text = |s: &str| s.to_owned();
        let rule = |table: &str, action, columns: &[&str]| {
            let edge =
                |column: &&str| Edge { columns: vec![text(column)], parent: text("customers"), parent_columns: vec![text("customer")] };
            Rule { table: text(table), action, edges: columns.iter().map(edge).collect() }
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
            },
            account: Some(AccountRule {
                table: text("accounts"),
                columns: vec![text("tenant"), text("accountId")],
                subject_columns: vec![text("tenant"), text("accountId")],
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
        self.rules.iter().filter(|rule| rule.action == Action::Detach).map(|rule| rule.table.as_str())
    }

    /// The rules, children before their parents.
    ///
    /// # Errors
    /// [`PlanError::Wrong`]: a table twice, an edge to a table that has no rule, columns that do not pair, a circle.
    pub fn children_first(&self) -> Result<Vec<&Rule>, PlanError> {
        self.check_words()?;
        let mut left: Vec<&Rule> = self.rules.iter().collect();
        let mut ordered = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let parent_of_one_left = |rule: &&Rule| left.iter().any(|other| other.edges.iter().any(|edge| edge.parent == rule.table));
            let Some(at) = left.iter().position(|rule| !parent_of_one_left(rule)) else {
                let tables: Vec<_> = left.iter().map(|rule| rule.table.as_str()).collect();
                return Err(PlanError::Wrong(format!("{} refer to each other in a circle", tables.join(", "))));
            };
            ordered.push(left.remove(at));
        }
        Ok(ordered)
    }

    fn check_words(&self) -> Result<(), PlanError> {
        let wrong = |text: String| Err(PlanError::Wrong(text));
        let tables: Vec<_> = self.removed_tables().collect();
        if let Some(table) = tables.iter().enumerate().find(|(at, table)| tables[..*at].contains(table)).map(|(_, table)| table) {
            return wrong(format!("table \"{table}\" stands twice"));
        }
        if let Some(table) = tables.iter().find(|table| table.to_ascii_lowercase().starts_with("expunged_")) {
            return wrong(format!("table \"{table}\" is the ledger's own"));
        }
        if let Some(account) = &self.account
            && (account.columns.is_empty() || account.columns.len() != account.subject_columns.len())
        {
            return wrong(format!("the columns of \"{}\" do not pair with the subject's", account.table));
        }
        for rule in &self.rules {
            if rule.edges.is_empty() {
                return wrong(format!("table \"{}\" has no edge", rule.table));
            }
            for edge in &rule.edges {
                if edge.columns.is_empty() || edge.columns.len() != edge.parent_columns.len() {
                    return wrong(format!("the columns of \"{}\" do not pair with those of \"{}\"", rule.table, edge.parent));
                }
                if edge.parent != self.subject.table && !self.rules.iter().any(|other| other.table == edge.parent) {
                    return wrong(format!("\"{}\" refers to \"{}\", which has no rule", rule.table, edge.parent));
                }
            }
        }
        Ok(())
    }

    /// Whether the planned tables and columns are there.
    ///
    /// # Errors
    /// [`PlanError::DoesNotFit`] names the first table or column that is missing.
    pub fn fits(&self, connection: &Connection) -> Result<(), PlanError> {
        super::fit::fits(self, connection)
    }
}
