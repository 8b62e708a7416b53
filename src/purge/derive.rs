//! A plan written from a database's own keys, for a person to finish.
//!
//! What the schema says itself is taken: rows that it lets go with their parent go, references that it sets to null are detached.
//! Where a rule would be a guess stands `CHOOSE`, and a plan with a choice left does not load.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::circles;
use super::plan::{
    Accepted, AccountRule, Action, Address, Comment, Compare, Edge, Match, Orphans, Plan, Rule, Subject, Tenancy, write_plan,
};
use super::sample::{AddressColumn, address_columns};
use super::shape::{ForeignKey, Shape, Table, UNDECLARED, same, scans};
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
    #[error("\"{0}\" has no column that names a row by itself: unique, and never null")]
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
    let addresses = address_columns(connection, &shape)?;
    let table = shape.table(subject).ok_or_else(|| DeriveError::NoTable(subject.to_owned()))?;
    let key = key_of(table, &addresses).ok_or_else(|| DeriveError::NoKey(table.name.clone()))?;
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
    let head = head(connection, &shape, table, &addresses, &undeclared, &plan)?;
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
        let (mut rule, mut comment) = rule(shape, table, &parents, addresses);
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

fn rule(shape: &Shape, table: &Table, parents: &[String], addresses: &[AddressColumn]) -> (Rule, Comment) {
    let child = Child { shape, table, keys: table.keys.iter().filter(|key| parents.contains(&key.parent)).collect() };
    let (rule, mut comment) = child.by_schema().unwrap_or_else(|| child.by_choice());
    if comment.choose.is_some() || rule.action == Action::Detach {
        for column in addresses.iter().filter(|found| found.table == table.name) {
            comment.lines.push(format!("Where these rows stay, so does \"{}\", which looks like addresses.", column.column));
            if comment.choose.is_some() {
                comment.lines.push(format!(
                    "With \"delete\" or \"overwrite\", match = [{{ column = \"{}\" }}] takes the rows with an address and without a key.",
                    column.column
                ));
            }
        }
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
        } else if self.joins() && self.beside().next().is_none() && declared() {
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
        let mut lines = vec!["Delete these rows, or keep them without the person? The schema does not say.".to_owned()];
        if detachable {
            lines.push(
                "With \"detach\", add orphans = \"keep\" or \"delete\": what becomes of a row that refers to nobody any more.".to_owned(),
            );
            lines.extend(fixed.iter().map(|column| {
                format!("\"{column}\" cannot be null: with \"detach\", if it names the tenant, add tenant = \"{column}\", and it stays.")
            }));
        }
        lines.push(
            "With \"overwrite\", add set = [{ column = \"…\", to = \"null\" | \"hash\" | { text = \"…\" } | { number = 0 } }],".to_owned(),
        );
        lines.push("the key to a stand-in's among them, and take out the rules of tables that only hang on this one.".to_owned());
        for key in self.beside().filter(|_| self.joins()) {
            let columns = key.columns.join(", ");
            lines.push(format!("A join table, but \"{columns}\" joins nothing: with action = \"detach\" on its edge the row outlives it."));
        }
        // Whoever answered someone who goes stays, as long as the schema lets their row stand by itself.
        let to_itself = |key: &ForeignKey| self.table.name == key.parent && self.can_be_null(key);
        let only_some = |key: &&&ForeignKey| self.can_be_null(key) && !to_itself(key) && !self.nulls(key);
        for key in self.keys.iter().filter(|_| !detachable && !self.joins()).filter(only_some) {
            let columns = key.columns.join(", ");
            lines.push(format!("\"{columns}\" may be null: with action = \"detach\" on its edge the row outlives whom it names there."));
        }
        let edges = self.edges(|key| to_itself(key).then_some(Action::Detach));
        (Rule::new(&self.table.name, Action::Delete, edges), Comment { lines, choose: Some(words), ..Comment::default() })
    }

    /// An edge for each key: detached where the schema sets it to null, else with this action.
    fn edges(&self, otherwise: impl Fn(&ForeignKey) -> Option<Action>) -> Vec<Edge> {
        self.keys.iter().map(|key| edge(key, if self.nulls(key) { Some(Action::Detach) } else { otherwise(key) })).collect()
    }

    /// Whether the schema sets a key to null when what it refers to goes.
    fn nulls(&self, key: &ForeignKey) -> bool {
        key.on_delete == "SET NULL" && !self.own_columns(key).is_empty()
    }

    /// Whether the table is nothing but what joins others: each column of its primary key is in a key.
    fn joins(&self) -> bool {
        let of_keys = || self.table.keys.iter().flat_map(|key| &key.columns);
        let primary = self.table.primary_key();
        !primary.is_empty() && primary.iter().all(|column| of_keys().any(|one| same(one, column)))
    }

    /// The keys beside those that are joined, which say something else of the row: who invited a member, say.
    fn beside(&self) -> impl Iterator<Item = &&ForeignKey> {
        let primary = self.table.primary_key();
        let in_primary = move |key: &ForeignKey| key.columns.iter().all(|column| primary.iter().any(|one| same(one, column)));
        self.keys.iter().filter(move |key| !in_primary(key) && !cascades(key) && !self.nulls(key))
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
        if !found.whole {
            lines.push("It holds more than an address: for a place in JSON, add path = \"$.…\" to the match.".to_owned());
        }
        lines.push("With \"keep\", add reason = \"…\"; with \"overwrite\", add set = [{ column = \"…\", to = \"hash\" }].".to_owned());
        plan.rules.push(rule);
        comments.push(Comment { lines, choose: Some(vec!["delete", "overwrite", "keep"]), ..Comment::default() });
    }
}

/// What stands above the plan: what it is, what is left to choose, and what it does not reach.
fn head(
    connection: &Connection,
    shape: &Shape,
    table: &Table,
    addresses: &[AddressColumn],
    undeclared: &[Undeclared],
    plan: &Plan,
) -> Result<Vec<String>, DeriveError> {
    let mut lines = vec![
        format!("The erasure plan for the people of \"{}\", written from the database's own keys.", table.name),
        "Wherever it says CHOOSE, write one of the words; nothing runs until all are chosen. Then: expunged plan check".to_owned(),
    ];
    match &plan.subject.address {
        None => lines
            .push("No column of the subject looks like addresses; without [subject] address, e-mail lists cannot be served.".to_owned()),
        Some(address) => {
            let others = addresses.iter().filter(|found| found.table == table.name && found.column != address.column);
            lines.extend(others.map(|found| format!("\"{}\" looks like addresses too; only [subject] address is matched.", found.column)));
        }
    }
    lines.push("For participant lists, add to [subject]: account = \"column of accountId\", id = \"column of id\".".to_owned());
    lines.push("Where a column names the tenant: tenancy = { column = \"…\" }.".to_owned());
    say_keys(table, plan, &mut lines);
    say_unplanned(shape, table, undeclared, plan, &mut lines);
    say_triggers(shape, plan, &mut lines);
    for name in &shape.virtual_tables {
        let forgetting = shape.forgetting(name);
        lines.push(format!(
            "Virtual table \"{name}\": see what it holds, or that triggers keep it{forgetting}; then name it in [accepted] virtual_tables."
        ));
    }
    say_scans(connection, shape, plan, &mut lines)?;
    Ok(lines)
}

/// Says of the subject's own keys where they lead, if no rule is there, and which of them cannot be detached.
fn say_keys(table: &Table, plan: &Plan, lines: &mut Vec<String>) {
    let said: Vec<&str> = plan.removed_tables().collect();
    for key in table.keys.iter().filter(|key| !said.contains(&key.parent.as_str())) {
        lines.push(format!(
            "\"{}\" belongs to \"{}\": to let one go with its last person, derive with --account {1}.",
            table.name, key.parent
        ));
    }
    let is_fixed = |column: &String| table.column(column).is_some_and(|column| column.not_null);
    for edge in &plan.subject.edges {
        let own = plan.own_columns(&table.name, edge);
        let why = match own.iter().any(|column| is_fixed(column)) {
            true => "cannot be null",
            false if own.is_empty() => "has no column of its own",
            false => continue,
        };
        lines.push(format!(
            "\"{0}\" ({1}) {why}, so it cannot be detached: this plan will not fit. Where rows of \"{2}\" refer to people, overwrite those \
             references with a stand-in's, so that its rows stay, and take out this edge.",
            table.name,
            edge.columns.join(", "),
            edge.parent
        ));
    }
}

/// Says which columns look like keys that nobody declared and have no edge in the plan.
fn say_unplanned(shape: &Shape, table: &Table, undeclared: &[Undeclared], plan: &Plan, lines: &mut Vec<String>) {
    let made = |found: &Undeclared, edge: &Edge| {
        let generated = |column: &String| shape.table(&found.table).is_some_and(|table| table.is_generated(column));
        edge.parent == found.parent && edge.columns.iter().any(generated)
    };
    let known = |found: &Undeclared| {
        plan.rule(&found.table).is_some_and(|rule| follows(rule, found) || rule.edges.iter().any(|edge| made(found, edge)))
    };
    for found in undeclared.iter().filter(|found| !known(found)) {
        let of_subject = found.table == table.name;
        let why = match &found.by_another {
            Some(other) => other.why.clone(),
            None if of_subject => "refers to a person from a person's own row".to_owned(),
            None => "may be none".to_owned(),
        };
        lines.push(format!(
            "\"{}\" ({}) looks like a key to \"{}\" that nobody declared ({}), but it {why}.",
            found.table,
            found.column,
            found.parent,
            found.seen()
        ));
        let is_made = shape.table(&found.table).is_some_and(|table| table.is_generated(&found.column));
        lines.push(match &found.by_another {
            // What is made from it can be read, and not set to null.
            _ if of_subject && (is_made || found.by_another.is_some()) => {
                "  No plan sets it to null: have the application clear it, and name it in [accepted] columns.".to_owned()
            }
            None if of_subject => "  To set it to null when that person goes, give [subject] an edge for it.".to_owned(),
            None => "  If it is one, give its table a rule with an edge for it; if not, name it in [accepted] columns.".to_owned(),
            Some(other) => format!("  For an edge, make a column that it can follow, and derive again: {}", other.make),
        });
    }
}

/// Says which triggers are on tables of the plan.
fn say_triggers(shape: &Shape, plan: &Plan, lines: &mut Vec<String>) {
    let planned: Vec<String> = plan.removed_tables().map(str::to_owned).collect();
    for trigger in shape.triggers.iter().filter(|trigger| planned.iter().any(|table| same(table, &trigger.table))) {
        lines
            .push(format!("Trigger \"{}\" on \"{}\": see what it does, then name it in [accepted] triggers.", trigger.name, trigger.table));
    }
}

/// Says by which edges no index leads.
fn say_scans(connection: &Connection, shape: &Shape, plan: &Plan, lines: &mut Vec<String>) -> Result<(), DeriveError> {
    let edges = plan.rules.iter().flat_map(|rule| rule.edges.iter().map(|edge| (&rule.table, edge)));
    for (child, edge) in edges {
        let unreadable = shape.table(child).is_some_and(|table| !table.strangers.is_empty());
        if !unreadable && scans(connection, child, &edge.columns, "")? {
            lines.push(format!("No index leads to \"{child}\" ({}): each chunk will read it whole.", edge.columns.join(", ")));
        }
    }
    Ok(())
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
    if comment.choose.as_ref().is_some_and(|words| words.contains(&"keep")) {
        comment.lines.push("With \"keep\", add reason = \"…\".".to_owned());
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

/// The one column that names a row: the primary key, else any unique column that is never null, and rather one without addresses.
fn key_of(table: &Table, addresses: &[AddressColumn]) -> Option<String> {
    let primary = table.primary_key();
    let alone = |columns: &Vec<String>| match columns.as_slice() {
        [one] if primary == *columns || table.column(one).is_some_and(|column| column.not_null) => Some(one.clone()),
        _ => None,
    };
    // An address is a key only where there is no other: while a list runs, the ledger has the keys in it.
    let is_address = |column: &String| addresses.iter().any(|found| found.table == table.name && found.column == *column);
    table.uniques.iter().filter_map(alone).min_by_key(|key| (is_address(key), primary != [key.as_str()]))
}

/// The column of addresses: whole addresses, by sample first, then by name.
fn address_of(table: &Table, addresses: &[AddressColumn]) -> Option<Address> {
    let by_name = |name: &str| name.to_ascii_lowercase().contains("mail");
    let mut sampled: Vec<_> =
        addresses.iter().filter(|found| found.table == table.name && found.whole).map(|found| &found.column).collect();
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
