//! A plan written from a database's own keys, for a person to finish.
//!
//! What the schema says itself is taken: rows that it lets go with their parent go, references that it sets to null are detached.
//! Where a rule would be a guess stands `CHOOSE`, and a plan with a choice left does not load.

mod child;
mod head;
mod words;

use rusqlite::Connection;

use super::circles;
use super::plan::{Accepted, AccountRule, Action, Address, Comment, Compare, Edge, Match, Plan, Rule, Subject, Tenancy, write_plan};
use super::sample::{AddressColumn, address_columns};
use super::shape::{ForeignKey, Shape, Table, rows};
use super::terms::{in_main, of};
use super::undeclared::{self, Undeclared, reached};
use crate::domain::TenantName;
use crate::store::StoreError;

/// Why no plan can be written.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such table.
    #[error("there is no table \"{0}\"")]
    NoTable(String),
    /// One column must name a subject.
    #[error("\"{0}\" has no column that names a row by itself: unique, and null in no row")]
    NoKey(String),
    /// An account must be referred to.
    #[error("\"{0}\" has no key to \"{1}\"")]
    NoLink(String, String),
}

/// What a plan is derived for.
#[derive(Clone, Copy, Debug)]
pub struct Deriving<'a> {
    /// The table with one row a person.
    pub subject: &'a str,
    /// The table of accounts, which go with their last person.
    pub account: Option<&'a str>,
    /// Whose people they are.
    pub tenant: Option<&'a TenantName>,
}

/// Writes a plan for the people of one table. The tenant is left open where it is not said.
///
/// # Errors
/// [`DeriveError`].
pub fn derive(connection: &Connection, of: &Deriving<'_>) -> Result<String, DeriveError> {
    let Deriving { subject, account, tenant } = *of;
    let mut shape = Shape::read(connection)?;
    let mismatched = shape.take_mismatched_keys();
    let addresses = address_columns(connection, &shape)?;
    let table = shape.table(subject).ok_or_else(|| DeriveError::NoTable(subject.to_owned()))?;
    let key = key_of(connection, table, &addresses)?.ok_or_else(|| DeriveError::NoKey(table.name.clone()))?;
    let people = (table.name.clone(), key);
    let account_table = account.and_then(|account| shape.table(account)).map(|account| account.name.clone());
    let undeclared = undeclared::add(connection, &mut shape, &people, account_table.as_ref())?;
    let table = shape.table(&people.0).expect("it was found there");
    let open_tenant = TenantName::parse("tenant").expect("a valid name");
    let mut plan = Plan {
        subject: Subject {
            table: table.name.clone(),
            key: people.1,
            tenancy: Tenancy::Sole(tenant.cloned().unwrap_or_else(|| open_tenant.clone())),
            address: address_of(table, &addresses),
            account: None,
            id: None,
            names: names_of(table),
            edges: Vec::new(),
        },
        account: account.map(|account| account_of(&shape, table, account)).transpose()?,
        rules: Vec::new(),
        accepted: Accepted::default(),
    };
    let mut comments = Vec::new();
    reach(&shape, &addresses, &undeclared, &mut plan, &mut comments);
    by_address(&addresses, &mut plan, &mut comments);
    say_parts(&shape, &plan, &mut comments);
    let mut head = head::head(connection, &shape, table, &addresses, &undeclared, &plan)?;
    head::say_mismatched(&mismatched, &plan, &mut head);
    head.extend(words::say(&comments));
    let text = write_plan(&plan, &head, &comments);
    let sole = format!("tenancy = {{ sole = \"{open_tenant}\" }}");
    Ok(if tenant.is_some() {
        text
    } else {
        text.replacen(&sole, "tenancy = { sole = \"CHOOSE: the name of the tenant whose people these are\" }", 1)
    })
}

/// Follows keys from the subject outwards; every table that is reached gets a rule.
fn reach(shape: &Shape, addresses: &[AddressColumn], undeclared: &[Undeclared], plan: &mut Plan, comments: &mut Vec<Comment>) {
    let removed: Vec<String> = plan.removed_tables().map(str::to_owned).collect();
    let known = removed.len();
    let parents = reached(shape, removed);
    for name in &parents[known..] {
        let table = shape.table(name).expect("it was found there");
        let (mut rule, mut comment) = child::rule(shape, table, &parents, addresses);
        say_undeclared(table, undeclared, &mut rule, &mut comment);
        plan.rules.push(rule);
        comments.push(comment);
    }
    let subject = shape.table(&plan.subject.table).expect("it was found there");
    let is_account = |key: &ForeignKey| plan.account.as_ref().is_some_and(|account| account.table == key.parent);
    let own = subject.keys.iter().filter(|key| parents.contains(&key.parent) && !is_account(key));
    plan.subject.edges = own.map(|key| edge(key, None)).collect();
    if let Some(account) = &mut plan.account {
        let table = shape.table(&account.table).expect("it was found there");
        account.edges = table.keys.iter().filter(|key| parents.contains(&key.parent)).map(|key| edge(key, None)).collect();
    }
    circles::say(shape, plan, comments);
}

/// Tables that hold addresses and that no key reaches.
fn by_address(addresses: &[AddressColumn], plan: &mut Plan, comments: &mut Vec<Comment>) {
    let reached: Vec<String> = plan.removed_tables().map(str::to_owned).collect();
    for found in addresses.iter().filter(|found| !reached.contains(&found.table)) {
        if let Some(rule) = plan.rules.iter_mut().find(|rule| rule.table == found.table) {
            rule.matches.push(Match { column: found.column.clone(), path: None, compare: Compare::Normalised });
            continue;
        }
        let mut rule = Rule::new(&found.table, Action::Delete, Vec::new());
        rule.matches = vec![Match { column: found.column.clone(), path: None, compare: Compare::Normalised }];
        let mut lines = vec![format!(
            "No key leads here, but \"{}\" looks like addresses ({} of {} rows looked at).",
            found.column, found.like, found.looked_at
        )];
        if !found.is_whole() {
            lines.push("It holds more than an address: for a place in JSON, add path = \"$.…\" to the match.".to_owned());
        }
        plan.rules.push(rule);
        comments.push(Comment { lines, choose: Some(vec!["delete", "overwrite", "keep"]), ..Comment::default() });
    }
}

/// Says of which virtual tables those are a part that look like plain ones, because their module is not here.
fn say_parts(shape: &Shape, plan: &Plan, comments: &mut [Comment]) {
    for (rule, comment) in std::iter::zip(&plan.rules, comments) {
        comment.lines.extend(shape.may_be_part_of(&rule.table).map(|whole| {
            format!(
                "By its name it is a part of virtual table \"{whole}\", whose module only the application has. If it is, take this rule out: the \
                 application has to erase from \"{whole}\", and rows taken here would break it."
            )
        }));
    }
}

/// Says of a rule which of its edges nobody declared.
fn say_undeclared(table: &Table, undeclared: &[Undeclared], rule: &mut Rule, comment: &mut Comment) {
    for found in undeclared.iter().filter(|found| found.table == table.name && follows(rule, found)) {
        comment.lines.push(format!(
            "Nobody declared \"{}\" a key; by its name it is one to \"{}\" ({}). If it is not, take its edge out.",
            found.column,
            found.parent,
            found.seen()
        ));
    }
}

/// Whether a rule has an edge for a column that looks like a key.
fn follows(rule: &Rule, found: &Undeclared) -> bool {
    rule.edges.iter().any(|edge| edge.parent == found.parent && edge.columns == [found.column.as_str()])
}

fn edge(key: &ForeignKey, action: Option<Action>) -> Edge {
    Edge { columns: key.columns.clone(), parent: key.parent.clone(), parent_columns: key.parent_columns.clone(), action }
}

fn account_of(shape: &Shape, table: &Table, account: &str) -> Result<AccountRule, DeriveError> {
    let found = shape.table(account).ok_or_else(|| DeriveError::NoTable(account.to_owned()))?;
    let key = table.keys.iter().find(|key| key.parent == found.name);
    let key = key.ok_or_else(|| DeriveError::NoLink(table.name.clone(), found.name.clone()))?;
    Ok(AccountRule {
        table: found.name.clone(),
        columns: key.parent_columns.clone(),
        subject_columns: key.columns.clone(),
        edges: Vec::new(),
    })
}

/// The one column that names a row, in each of them: the primary key, else any unique column, and rather one that is never null and one
/// without addresses.
fn key_of(connection: &Connection, table: &Table, addresses: &[AddressColumn]) -> Result<Option<String>, StoreError> {
    let primary = table.primary_key();
    let is_fixed = |one: &String| primary == [one.as_str()] || table.column(one).is_some_and(|column| column.not_null);
    // An address is a key only where there is no other: while a list runs, the ledger has the keys in it.
    let is_address = |column: &String| addresses.iter().any(|found| found.table == table.name && found.column == *column);
    let mut alone: Vec<&String> = table.uniques.iter().filter(|columns| columns.len() == 1).flatten().collect();
    alone.sort_by_key(|key| (!is_fixed(key), is_address(key), primary != [key.as_str()]));
    for key in alone {
        let null = format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", in_main(&table.name), of(&table.name, key));
        // A primary key can be null, where it is not the number of its row.
        let names_each = match table.unknown_collations.as_slice() {
            [] => rows(connection, &null, [], |_| Ok(()))?.is_empty(),
            _ => is_fixed(key),
        };
        if names_each {
            return Ok(Some(key.clone()));
        }
    }
    Ok(None)
}

/// The column of addresses: whole addresses, by sample first, then by name.
fn address_of(table: &Table, addresses: &[AddressColumn]) -> Option<Address> {
    let by_name = |name: &str| name.to_ascii_lowercase().contains("mail");
    let mut sampled: Vec<_> =
        addresses.iter().filter(|found| found.table == table.name && found.is_whole()).map(|found| &found.column).collect();
    sampled.sort_by_key(|name| !by_name(name));
    let named = table.columns.iter().filter(|column| column.is_text() && by_name(&column.name)).map(|column| &column.name);
    let column = sampled.into_iter().chain(named).next()?;
    // An index alone does not make a comparison right: addresses stand as people wrote them.
    Some(Address { column: column.clone(), compare: Compare::Normalised })
}

fn names_of(table: &Table) -> Vec<String> {
    let is_name = |name: &str| {
        let bare: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        ["firstname", "lastname", "name", "fullname", "surname", "givenname", "displayname", "username"].contains(&bare.as_str())
    };
    table.columns.iter().map(|column| &column.name).filter(|name| is_name(name)).cloned().collect()
}
