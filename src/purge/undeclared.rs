//! Columns that refer to a table without saying so, as in many applications that keep their references in code: by their names,
//! and by their values, of which some are looked at. It tells how many are there, never what stood in them.

use rusqlite::Connection;

use super::plan::{Edge, write_edge};
use super::sample::some;
use super::shape::{Column, ForeignKey, Shape, Table, UNDECLARED, rows, same};
use super::terms::{in_main, literal, name, of};
use crate::store::StoreError;

/// A column that looks like a key, and that no declared key covers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Undeclared {
    pub(super) table: String,
    pub(super) column: String,
    pub(super) parent: String,
    pub(super) parent_column: String,
    /// Different values looked at.
    pub(super) looked_at: u64,
    /// How many of them the other table has.
    pub(super) there: u64,
    /// It is named after the other table and its key, and not only by a word that may mean one.
    pub(super) by_name: bool,
    /// How an edge can follow it that cannot follow the column itself.
    pub(super) by_another: Option<Another>,
}

/// Why no edge follows a column itself, and the column that one can follow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Another {
    pub(super) why: String,
    pub(super) make: String,
}

impl Undeclared {
    /// The edge for it, as a plan has it.
    pub(super) fn edge(&self) -> String {
        let (columns, parent_columns) = (vec![self.column.clone()], vec![self.parent_column.clone()]);
        write_edge(&Edge { columns, parent: self.parent.clone(), parent_columns, action: None }, None)
    }

    /// What was seen.
    pub(super) fn seen(&self) -> String {
        format!("{} of {} values looked at are there", self.there, self.looked_at)
    }
}

/// The columns that look like keys to these tables, each given with its key. The first is the subject's.
pub(super) fn undeclared(connection: &Connection, shape: &Shape, parents: &[(String, String)]) -> Result<Vec<Undeclared>, StoreError> {
    let nouns: Vec<_> = shape.tables.iter().map(|table| (table, nouns(&table.name))).collect();
    let mut found = Vec::new();
    for table in shape.tables.iter().filter(|table| table.is_readable()) {
        let declared = |column: &str| table.keys.iter().any(|key| key.columns.iter().any(|one| same(one, column)));
        // `is_default_site` says yes or no of a row: 1 and 0, of which one is always there.
        let columns = table.columns.iter().filter(|column| !column.says_yes_or_no() && !declared(&column.name));
        for column in columns.map(|column| &column.name) {
            if let Some(kind) = kind_of(table, column) {
                for (parent, key) in parents {
                    found.extend(of_several(connection, shape, (table, column, kind), (parent, key))?);
                }
                continue;
            }
            let mut named = named(&nouns, column);
            if named.is_empty() && names_somebody(column) {
                named.extend(parents.first().and_then(|(people, _)| Some((shape.table(people)?, Evidence::ManyValues))));
            }
            found.extend(best_parent(connection, shape, (table, column), &named, parents)?);
        }
    }
    Ok(found)
}

/// Of the tables that a column may be named after, the one that more of its values are in; but the people, who come first, as long as half
/// of the values are theirs: what refers to nobody any more is of those who went.
fn best_parent(
    connection: &Connection,
    shape: &Shape,
    (table, column): (&Table, &String),
    named: &[(&Table, Evidence)],
    parents: &[(String, String)],
) -> Result<Option<Undeclared>, StoreError> {
    let mut best: Option<Undeclared> = None;
    for (parent, key) in parents {
        let Some((parent, evidence)) = named.iter().find(|(named, _)| same(&named.name, parent)) else { continue };
        let is_its_own_key = same(&table.name, &parent.name) && same(column, key);
        // A table's own key is another's only where it says so: `meta_id` can be that of several.
        if is_its_own_key || (*evidence != Evidence::Name && key_of(table) == Some(column)) {
            continue;
        }
        let others = other_keys(parent, key, column).filter(|_| *evidence == Evidence::Name);
        let mut one = None;
        for key in others.chain([key.as_str()]) {
            one = if one.is_none() { look(connection, shape, (table, column), (&parent.name, key), *evidence)? } else { one };
        }
        let is_better = |one: &Undeclared| best.as_ref().is_none_or(|best| best.there * 2 < best.looked_at && best.there < one.there);
        best = if one.as_ref().is_some_and(is_better) { one } else { best };
    }
    Ok(best)
}

/// Takes columns that look like keys for keys, as far as an edge can follow them, until no more tables are reached. Gives all of them.
pub(super) fn add(
    connection: &Connection,
    shape: &mut Shape,
    people: &(String, String),
    account: Option<&String>,
) -> Result<Vec<Undeclared>, StoreError> {
    let mut all: Vec<Undeclared> = Vec::new();
    loop {
        let reached = reached(shape, std::iter::once(&people.0).chain(account).cloned().collect());
        let key = |name: &String| Some((name.clone(), key_of(shape.table(name)?)?.clone()));
        let parents: Vec<_> = std::iter::once(people.clone()).chain(reached.iter().skip(1).filter_map(key)).collect();
        let new: Vec<_> = undeclared(connection, shape, &parents)?.into_iter().filter(|found| !all.contains(found)).collect();
        if new.is_empty() {
            return Ok(all);
        }
        for found in &new {
            // References of the people and the accounts themselves are detached without a question: so nobody is asked here. One
            // answer is given to all keys of a table: a guess does not stand among those that are declared, and small numbers are
            // always there. Such columns are told of, and a person gives them an edge.
            let asks = !same(&found.table, &people.0) && account.is_none_or(|account| !same(&found.table, account));
            let is_sure = found.by_name && found.by_another.is_none();
            let is_free = |table: &Table| !table.keys.iter().any(|key| key.on_delete != UNDECLARED && reached.contains(&key.parent));
            if let Some(table) = shape.tables.iter_mut().find(|table| table.name == found.table && asks && is_sure && is_free(table)) {
                table.keys.push(ForeignKey {
                    columns: vec![found.column.clone()],
                    parent: found.parent.clone(),
                    parent_columns: vec![found.parent_column.clone()],
                    on_delete: UNDECLARED.to_owned(),
                });
            }
        }
        all.extend(new);
    }
}

/// Those tables and all that refer to them, directly or through others.
pub(super) fn reached(shape: &Shape, mut parents: Vec<String>) -> Vec<String> {
    let mut at = 0;
    while at < parents.len() {
        let parent = parents[at].clone();
        at += 1;
        for table in shape.tables.iter().filter(|table| table.keys.iter().any(|key| key.parent == parent)) {
            if !parents.contains(&table.name) {
                parents.push(table.name.clone());
            }
        }
    }
    parents
}

/// What it takes to take a column for a key.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Evidence {
    /// It is `user_id` of `users`.
    Name,
    /// It may be anything: half of its values must be there.
    Values,
    /// It need not be a key at all: and they must be many, for the first few numbers are always there.
    ManyValues,
}

/// Different values of a column that is named after no table, from which on they say something.
const MANY_VALUES: i64 = 20;

/// Looks at some values of a column, and answers what was seen where it is enough to take the column for a key.
fn look(
    connection: &Connection,
    shape: &Shape,
    (table, column): (&Table, &str),
    (parent, key): (&str, &str),
    evidence: Evidence,
) -> Result<Option<Undeclared>, StoreError> {
    let (Some(one), Some(other)) = (table.column(column), shape.table(parent).and_then(|parent| parent.column(key))) else {
        return Ok(None);
    };
    if shape.table(parent).is_some_and(|parent| !parent.is_readable()) {
        return Ok(None);
    }
    let alike = one.likeness == other.likeness;
    let values = format!("SELECT DISTINCT v FROM ({}) WHERE v IS NOT NULL", some(table, &format!("{} AS v", of(&table.name, column))));
    let sql = format!(
        "SELECT count(*), coalesce(sum(EXISTS (SELECT 1 FROM {} WHERE {} = expunged_some.v)), 0) FROM ({values}) expunged_some",
        in_main(parent),
        of(parent, key)
    );
    let Some((looked_at, there)) = rows(connection, &sql, [], |row| <(i64, i64)>::try_from(row))?.into_iter().next() else {
        return Ok(None);
    };
    let is_enough = match evidence {
        Evidence::Name => there > 0 || (looked_at == 0 && alike),
        Evidence::Values => there > 0 && there * 2 >= looked_at,
        Evidence::ManyValues => looked_at >= MANY_VALUES && there * 2 >= looked_at,
    };
    let another = || Another {
        why: format!("compares otherwise ({}, {})", one.compares_as(), other.compares_as()),
        make: generated((table, column), (parent, key), other, &format!("CAST({} AS {})", name(column), other.declared)),
    };
    Ok(is_enough.then(|| Undeclared {
        table: table.name.clone(),
        column: column.to_owned(),
        parent: parent.to_owned(),
        parent_column: key.to_owned(),
        looked_at: looked_at.unsigned_abs(),
        there: there.unsigned_abs(),
        by_name: evidence == Evidence::Name,
        by_another: (!alike).then(another),
    }))
}

/// A column that refers to one table or another, as the column beside it says: `commentable_id` and `commentable_type`.
fn of_several(
    connection: &Connection,
    shape: &Shape,
    (table, column, kind): (&Table, &str, &str),
    (parent, key): (&str, &str),
) -> Result<Option<Undeclared>, StoreError> {
    let own = nouns(parent).into_iter().find(|noun| noun.whole).map(|noun| noun.text);
    let sql = format!("SELECT DISTINCT v FROM ({}) WHERE typeof(v) = 'text'", some(table, &format!("{} AS v", of(&table.name, kind))));
    let kinds = rows(connection, &sql, [], |row| Ok(row.get_ref(0)?.as_str().unwrap_or_default().to_owned()))?;
    let is_own = |kind: &&String| {
        let last = kind.rsplit(['\\', ':', '.', '/']).next().unwrap_or_default();
        own.as_deref() == Some(self::words(last).concat().as_str())
    };
    let Some(word) = kinds.iter().find(is_own) else { return Ok(None) };
    let Some(found) = look(connection, shape, (table, column), (parent, key), Evidence::Name)? else { return Ok(None) };
    let Some(other) = shape.table(parent).and_then(|parent| parent.column(key)) else { return Ok(None) };
    let value = format!("CASE {} WHEN {} THEN {} END", name(kind), literal(word), name(column));
    let why = format!("refers there only where \"{kind}\" says so");
    let make = generated((table, column), (parent, key), other, &value);
    Ok(Some(Undeclared { by_another: Some(Another { why, make }), ..found }))
}

/// What else names a row of a table, and what a column may refer to by its name: `uuid` for `user_uuid`, beside a key `id`.
fn other_keys<'t>(parent: &'t Table, key: &str, column: &str) -> impl Iterator<Item = &'t str> {
    let words = words(column);
    parent.uniques.iter().filter_map(move |unique| match unique.as_slice() {
        [one] if !same(one, key) && words.ends_with(&self::words(one)) => Some(one.as_str()),
        _ => None,
    })
}

/// The column beside a key that says which table it is one to.
fn kind_of<'t>(table: &'t Table, column: &str) -> Option<&'t str> {
    let mut words = words(column);
    words.pop().filter(|last| last == "id" && !words.is_empty())?;
    words.push("type".to_owned());
    table.columns.iter().map(|other| other.name.as_str()).find(|other| self::words(other) == words)
}

/// What makes a column that an edge can follow, and that is known for one by its name.
fn generated((table, column): (&Table, &str), (parent, key): (&str, &str), like: &Column, value: &str) -> String {
    let mut noun = words(parent);
    if let Some(last) = noun.last_mut() {
        *last = singular(last);
    }
    let made = format!("{column}_{}_{key}", noun.join("_"));
    let (on, index) = (name(&table.name), name(&format!("{}_by_{made}", table.name)));
    let collate = if like.likeness.collation == "BINARY" { String::new() } else { format!(" COLLATE {}", like.likeness.collation) };
    format!("ALTER TABLE {on} ADD COLUMN {0} {1}{collate} AS ({value}); CREATE INDEX {index} ON {on} ({0});", name(&made), like.declared)
}

/// What one row of a table is called.
struct Noun {
    text: String,
    /// Not a part of the table's name only.
    whole: bool,
}

/// `auth_users`: `authuser`, `user`.
fn nouns(table: &str) -> Vec<Noun> {
    let mut words = words(table);
    if let Some(last) = words.last_mut() {
        *last = singular(last);
    }
    (0..words.len()).map(|at| Noun { text: words[at..].concat(), whole: at == 0 }).collect()
}

/// The tables that a column is named after: by the longest name, and rather by all of one than by a part. Several may be called alike:
/// `auth_user` and `partner_users`.
fn named<'t>(tables: &[(&'t Table, Vec<Noun>)], column: &str) -> Vec<(&'t Table, Evidence)> {
    let words = words(column);
    let endings: Vec<String> = (0..words.len()).map(|at| words[at..].concat()).collect();
    let all = tables.iter().flat_map(|(table, nouns)| nouns.iter().map(move |noun| (*table, noun)));
    let fits: Vec<_> = all
        .filter_map(|(table, noun)| {
            let key = key_of(table).map(|key| self::words(key).concat()).unwrap_or_default();
            let by_name =
                ["id", "key", "uuid", "guid"].into_iter().chain([key.as_str()]).any(|key| is_named_after(&endings, &noun.text, key));
            // `emp_no` of `employees`: the key's own name, where it says more than that it is one.
            let by_values =
                is_named_after(&endings, &noun.text, "") || (key.len() > 2 && key != "uuid" && key != "guid" && endings.contains(&key));
            let evidence = if by_name { Evidence::Name } else { Evidence::Values };
            (by_name || by_values).then_some((table, (evidence == Evidence::Name, noun.text.len(), noun.whole), evidence))
        })
        .collect();
    let best = fits.iter().map(|(_, rank, _)| *rank).max();
    fits.into_iter().filter(|(_, rank, _)| Some(*rank) == best).map(|(table, _, evidence)| (table, evidence)).collect()
}

/// Whether a column whose name ends so is named after a noun and its key: `user`, `id`.
fn is_named_after(endings: &[String], noun: &str, key: &str) -> bool {
    endings.iter().any(|ending| ending.strip_prefix(noun).is_some_and(|rest| rest == key))
}

/// Words for people that no table need be called by.
fn names_somebody(column: &str) -> bool {
    const SOMEBODY: [&str; 17] = [
        "user",
        "author",
        "owner",
        "creator",
        "editor",
        "sender",
        "recipient",
        "assignee",
        "member",
        "person",
        "customer",
        "client",
        "contact",
        "buyer",
        "seller",
        "employee",
        "whodunnit",
    ];
    const DONE: [&str; 12] =
        ["created", "updated", "deleted", "modified", "changed", "edited", "invited", "added", "sent", "approved", "assigned", "uploaded"];
    let mut words = words(column);
    if words.last().is_some_and(|last| last == "id") {
        words.pop();
    }
    let is_done_by = words.len() > 1 && words.ends_with(&["by".to_owned()]) && DONE.contains(&words[words.len() - 2].as_str());
    is_done_by || words.last().is_some_and(|last| SOMEBODY.contains(&last.as_str()))
}

/// The one column of a table's key.
pub(super) fn key_of(table: &Table) -> Option<&String> {
    let mut key = table.columns.iter().filter(|column| column.primary > 0);
    key.next().filter(|_| key.next().is_none()).map(|column| &column.name)
}

/// `CustomerID`, `customer_id`, `Customer Id`: `customer`, `id`.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_was_small = false;
    for letter in text.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && before_was_small) {
            words.push(String::new());
        }
        before_was_small = letter.is_lowercase() || letter.is_numeric();
        if letter.is_alphanumeric() {
            words.last_mut().expect("there is always one").extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

pub(super) fn singular(word: &str) -> String {
    match word {
        "people" => "person".to_owned(),
        "children" => "child".to_owned(),
        _ if word.ends_with("ies") => format!("{}y", &word[..word.len() - 3]),
        _ if word.ends_with("sses") || word.ends_with("xes") || word.ends_with("ches") => word[..word.len() - 2].to_owned(),
        _ if word.ends_with("ss") || word.ends_with("us") => word.to_owned(),
        _ => word.strip_suffix('s').unwrap_or(word).to_owned(),
    }
}
