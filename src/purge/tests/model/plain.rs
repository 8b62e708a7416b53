//! What ought to happen, written down as plainly as it can be: loops over rows, and nothing of the engine's.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::Value as Cell;

use super::lists::{Meant, Wish};
use super::scene::{Kind, Scene, Table};
use crate::domain::{IdentityKey, Outcome, Settings};
use crate::purge::plan::{Action, Compare, Edge, Match, Rule, Tenancy, Value};
use crate::purge::tests::world::tenant;

/// What an import ought to come to.
pub(super) struct Expected {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) customers: Vec<u32>,
    pub(super) tables: BTreeMap<String, Vec<Vec<Cell>>>,
    pub(super) removed: BTreeMap<String, u64>,
    pub(super) detached: BTreeMap<String, u64>,
    pub(super) overwritten: BTreeMap<String, u64>,
    pub(super) accounts: (u64, u64),
    pub(super) suppressed: u64,
}

/// What the ledger has from before, by `e1@x.example` or `a1/u2`.
pub(super) struct Before<'a> {
    pub(super) exempt: &'a BTreeSet<String>,
    pub(super) suppressed: &'a BTreeSet<String>,
}

/// Rows by table, each marked or not.
type Marks = BTreeMap<String, Vec<bool>>;

struct Plain<'a> {
    scene: &'a Scene,
    /// Rows that are deleted.
    gone: Marks,
    /// Rows that what refers to them takes for gone: those, and rows that are kept or written over for a person who goes.
    done: Marks,
    /// Addresses of people who go, that nobody who stays has.
    addresses: BTreeSet<String>,
}

/// An address as it compares: trimmed, in small letters, one `@`.
fn plain_address(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    (text.matches('@').count() == 1).then_some(text)
}

pub(super) fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.clone()),
        Cell::Integer(n) => Some(n.to_string()),
        _ => None,
    }
}

pub(super) fn is_address(compare: Compare, cell: &Cell, address: &str) -> bool {
    let Cell::Text(raw) = cell else { return false };
    match compare {
        Compare::Exact => raw == address,
        Compare::Nocase => raw.to_lowercase() == address,
        Compare::Normalised => plain_address(raw).as_deref() == Some(address),
    }
}

/// What is in a place of a JSON text, if the place is there.
fn json_at(cell: &Cell, path: &str) -> Option<serde_json::Value> {
    let Cell::Text(text) = cell else { return None };
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let found = if path == "$.mail" { json.get("mail") } else { json.get("to").and_then(|list| list.get(0)) };
    found.cloned()
}

/// What is in the places that a match looks at in a JSON text: each of a list.
fn json_places(cell: &Cell, path: &str) -> Vec<serde_json::Value> {
    let Cell::Text(text) = cell else { return vec![] };
    let Ok(json) = serde_json::from_str::<serde_json::Value>(text) else { return vec![] };
    match path {
        "$.to" => json.get("to").map_or(vec![], |to| to.as_array().cloned().unwrap_or_else(|| vec![to.clone()])),
        "$.all[*].mail" => json["all"].as_array().into_iter().flatten().filter_map(|one| one.get("mail").cloned()).collect(),
        _ => json_at(cell, path).into_iter().collect(),
    }
}

fn with_json_at(cell: &Cell, path: &str, new: serde_json::Value) -> Cell {
    let Cell::Text(text) = cell else { return cell.clone() };
    let mut json: serde_json::Value = serde_json::from_str(text).unwrap();
    if path == "$.mail" {
        json["mail"] = new
    } else {
        json["to"][0] = new
    }
    Cell::Text(json.to_string())
}

fn of_json(value: &serde_json::Value) -> Cell {
    match value {
        serde_json::Value::Null => Cell::Null,
        serde_json::Value::Number(n) => Cell::Integer(n.as_i64().unwrap()),
        serde_json::Value::String(text) => Cell::Text(text.clone()),
        other => panic!("{other}"),
    }
}

fn to_json(cell: &Cell) -> serde_json::Value {
    match cell {
        Cell::Null => serde_json::Value::Null,
        Cell::Integer(n) => (*n).into(),
        Cell::Text(text) => text.clone().into(),
        other => panic!("{other:?}"),
    }
}

/// As a column of this kind stores a value.
fn stored(kind: Kind, cell: Cell) -> Cell {
    match (kind, cell) {
        (Kind::Integer, Cell::Text(text)) => text.parse().map_or(Cell::Text(text), Cell::Integer),
        (Kind::Text, Cell::Integer(n)) => Cell::Text(n.to_string()),
        (_, cell) => cell,
    }
}

/// A hash is not hashed again.
fn is_hash(text: &str) -> bool {
    text.strip_prefix("hmac:").is_some_and(|digits| digits.len() == 32 && digits.chars().all(|digit| digit.is_ascii_hexdigit()))
}

/// What is written over a value. The hash is the one of the whole program.
fn written(to: &Value, old: &Cell) -> Cell {
    let hash = |text: String| Cell::Text(IdentityKey::new([7; 32]).text(&tenant("acme"), &text).to_string());
    match (to, old) {
        (Value::Null, _) | (Value::Hash, Cell::Null) => Cell::Null,
        (Value::Text(text), _) => Cell::Text(text.clone()),
        (Value::Number(n), _) => Cell::Integer(*n),
        (Value::Hash, Cell::Blob(bytes)) => hash(String::from_utf8_lossy(bytes).into_owned()),
        (Value::Hash, Cell::Text(old)) if is_hash(old) => Cell::Text(old.clone()),
        (Value::Hash, old) => hash(text(old).unwrap()),
    }
}

impl Plain<'_> {
    /// Whether a row refers by this edge to a row that is done with.
    fn reaches(&self, table: &Table, row: &[Cell], edge: &Edge) -> bool {
        let parent = self.scene.table(&edge.parent);
        let there: Vec<_> = edge.parent_columns.iter().map(|column| parent.at(column)).collect();
        let here: Vec<_> = edge.columns.iter().map(|column| &row[table.at(column)]).collect();
        let refers = |other: &Vec<Cell>| std::iter::zip(&here, &there).all(|(cell, at)| **cell != Cell::Null && **cell == other[*at]);
        std::iter::zip(&parent.rows, &self.done[&edge.parent]).any(|(other, done)| *done && refers(other))
    }

    fn is_null(table: &Table, row: &[Cell], edge: &Edge) -> bool {
        edge.columns.iter().any(|column| row[table.at(column)] == Cell::Null)
    }

    fn matches(&self, rule: &Rule, table: &Table, row: &[Cell], m: &Match) -> bool {
        let tenants_own = rule.tenant.as_ref().is_none_or(|column| row[table.at(column)] == Cell::Text("acme".into()));
        let cell = &row[table.at(&m.column)];
        let places = match &m.path {
            None => vec![cell.clone()],
            Some(path) => json_places(cell, path).iter().map(of_json).collect(),
        };
        let holds = |address: &String| places.iter().any(|place| is_address(m.compare, place, address));
        tenants_own && self.addresses.iter().any(holds)
    }

    /// Whether a row goes, and whether what refers to it takes it for gone.
    fn fate(&self, rule: &Rule, table: &Table, row: &[Cell]) -> (bool, bool) {
        if rule.deletes_orphans() {
            let lost = |edge| self.reaches(table, row, edge);
            let goes = rule.edges.iter().any(lost) && rule.edges.iter().all(|edge| lost(edge) || Self::is_null(table, row, edge));
            return (goes, goes);
        }
        let by_address = rule.matches.iter().any(|m| self.matches(rule, table, row, m));
        let by = |wanted: &dyn Fn(Action) -> bool| {
            rule.edges.iter().any(|edge| wanted(edge.action.unwrap_or(rule.action)) && self.reaches(table, row, edge))
        };
        let goes = by(&|action| action == Action::Delete) || by_address && rule.action == Action::Delete;
        (goes, by(&|action| action != Action::Detach) || by_address)
    }

    /// Whether a rule writes a row over.
    fn is_overwritten(&self, rule: &Rule, table: &Table, row: &[Cell]) -> bool {
        let by_key = rule.edges.iter().any(|edge| edge.action.is_none() && self.reaches(table, row, edge));
        rule.action == Action::Overwrite && (by_key || rule.matches.iter().any(|m| self.matches(rule, table, row, m)))
    }

    fn overwrite(rule: &Rule, table: &Table, row: &mut [Cell]) {
        for set in &rule.sets {
            let at = table.at(&set.column);
            let kind = table.columns[at].1;
            row[at] = match &set.path {
                None => stored(kind, written(&set.to, &row[at])),
                Some(path) => match json_at(&row[at], path) {
                    None => continue,
                    Some(old) => with_json_at(&row[at], path, to_json(&written(&set.to, &of_json(&old)))),
                },
            };
        }
    }

    /// Whether a column matters to more than this reference: then it stays when the reference is lost.
    fn is_shared(&self, table: &str, edge: &Edge, column: &String) -> bool {
        let plan = &self.scene.plan;
        let mut used: Vec<&String> = Vec::new();
        let mut from = vec![("people", &plan.subject.edges)];
        if table == "people" {
            let subject = &plan.subject;
            used.extend([&subject.key].into_iter().chain(&subject.account).chain(&subject.id));
            used.extend(subject.address.iter().map(|address| &address.column));
            if let Tenancy::Column(tenant) = &subject.tenancy {
                used.push(tenant);
            }
        }
        if let Some(account) = &plan.account {
            from.push(("accounts", &account.edges));
            used.extend(account.subject_columns.iter().filter(|_| table == "people"));
            used.extend(account.columns.iter().filter(|_| table == "accounts"));
        }
        for rule in &plan.rules {
            from.push((&rule.table, &rule.edges));
            if rule.table == table {
                used.extend(&rule.tenant);
                used.extend(rule.matches.iter().map(|m| &m.column));
            }
        }
        for (name, other) in from.iter().flat_map(|(name, edges)| edges.iter().map(move |edge| (*name, edge))) {
            used.extend(other.columns.iter().filter(|_| name == table && other != edge));
            used.extend(other.parent_columns.iter().filter(|_| other.parent == table));
        }
        used.contains(&column)
    }

    /// Sets references to what is done with to null. Whether there was one.
    fn detach<'e>(&self, table: &Table, row: &mut [Cell], edges: impl Iterator<Item = &'e Edge>) -> bool {
        let lost: Vec<_> = edges.filter(|edge| self.reaches(table, row, edge)).collect();
        for edge in &lost {
            let own = edge.columns.iter().filter(|column| !self.is_shared(&table.name, edge, column));
            own.for_each(|column| row[table.at(column)] = Cell::Null);
        }
        !lost.is_empty()
    }
}

/// What the list's rows mean for the people: outcomes, who goes by which row, and what each row wants by now.
pub(super) struct Named {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) owner: BTreeMap<usize, usize>,
    pub(super) keep: Vec<bool>,
    dnt: Vec<bool>,
    named: Vec<Vec<usize>>,
}

pub(super) fn name_people(scene: &Scene, rows: &[Meant], settings: Settings, before: &Before<'_>) -> Named {
    let people = scene.table("people");
    let ours: Vec<_> = (0..people.rows.len()).filter(|at| scene.is_ours(&people.rows[*at])).collect();
    let who = |row: &Meant| row.says.as_ref().ok().map(|wish| wish.who.clone());
    let compare = scene.plan.subject.address.as_ref().map(|address| address.compare);
    let of_row = |row: &Meant| -> Vec<usize> {
        let Some(who) = who(row) else { return vec![] };
        let is = |at: &usize| match who.split_once('/') {
            None => is_address(compare.unwrap(), &people.rows[*at][people.at("mail")], &who),
            Some(_) => pair(people, *at).as_deref() == Some(&who),
        };
        ours.iter().copied().filter(is).collect()
    };
    let wants = |flag: fn(&Wish) -> Option<bool>, default: bool| -> Vec<bool> {
        rows.iter().map(|row| row.says.as_ref().ok().and_then(flag).unwrap_or(default)).collect()
    };
    let mut found = Named {
        outcomes: vec![],
        owner: BTreeMap::new(),
        keep: wants(|wish| wish.keep, settings.preserve_empty_accounts),
        dnt: wants(|wish| wish.dnt, settings.do_not_track),
        named: rows.iter().map(of_row).collect(),
    };
    for (at, row) in rows.iter().enumerate() {
        let first = (0..at).find(|earlier| who(row).is_some() && who(&rows[*earlier]) == who(row));
        found.outcomes.push(match (&row.says, first) {
            (Err(_), _) => Outcome::Invalid,
            (Ok(_), Some(first)) => {
                found.keep[first] |= found.keep[at];
                found.dnt[first] |= found.dnt[at];
                Outcome::Duplicate
            }
            (Ok(wish), None) => {
                let is_exempt = |person: &usize| is_exempt(scene, *person, before.exempt);
                if before.exempt.contains(&wish.who) || found.named[at].iter().any(is_exempt) {
                    Outcome::Exempt
                } else if found.named[at].is_empty() {
                    Outcome::NotFound
                } else {
                    // One list names people in one way, so nobody is another row's already.
                    found.named[at].iter().for_each(|person| assert!(found.owner.insert(*person, at).is_none()));
                    Outcome::Deleted
                }
            }
        });
    }
    found
}

/// Whether a person must not be erased, by whatever names them.
pub(super) fn is_exempt(scene: &Scene, person: usize, exempt: &BTreeSet<String>) -> bool {
    let people = scene.table("people");
    let address = address(people, person).filter(|_| scene.addresses);
    let pair = pair(people, person).filter(|_| scene.pairs);
    [address, pair].iter().flatten().any(|name| exempt.contains(name))
}

/// As it compares.
pub(super) fn address(people: &Table, at: usize) -> Option<String> {
    text(&people.rows[at][people.at("mail")]).and_then(|raw| plain_address(&raw))
}

/// `a1/u2`, where both are there.
pub(super) fn pair(people: &Table, at: usize) -> Option<String> {
    let row = &people.rows[at];
    Some(format!("{}/{}", text(&row[people.at("account")])?, text(&row[people.at("id")])?))
}

pub(super) fn expected(scene: &Scene, rows: &[Meant], settings: Settings, before: &Before<'_>) -> Expected {
    let named = name_people(scene, rows, settings, before);
    let going = named.owner.iter().map(|(person, row)| (*person, named.keep[*row])).collect();
    let Left { tables, removed, detached, overwritten, accounts } = left(scene, &going, &BTreeSet::new());
    Expected {
        suppressed: suppressed(scene, rows, &named, before),
        customers: (0..rows.len()).map(|row| named.owner.values().filter(|owner| **owner == row).count() as u32).collect(),
        outcomes: named.outcomes,
        tables,
        removed,
        detached,
        overwritten,
        accounts,
    }
}

/// What is left when people go, and what became of the rest.
pub(super) struct Left {
    pub(super) tables: BTreeMap<String, Vec<Vec<Cell>>>,
    pub(super) removed: BTreeMap<String, u64>,
    detached: BTreeMap<String, u64>,
    overwritten: BTreeMap<String, u64>,
    accounts: (u64, u64),
}

/// `going`: people by their place, and whether their account is to be kept. `kept`: names of accounts that were to be kept before.
pub(super) fn left(scene: &Scene, going: &BTreeMap<usize, bool>, kept: &BTreeSet<String>) -> Left {
    let none = || scene.tables.iter().map(|table| (table.name.clone(), vec![false; table.rows.len()])).collect::<Marks>();
    let mut plain = Plain { scene, gone: none(), done: none(), addresses: BTreeSet::new() };
    let plan = &scene.plan;
    let people = scene.table("people");
    let goes = |at: &usize| going.contains_key(at);
    for at in going.keys() {
        plain.gone.get_mut("people").unwrap()[*at] = true;
    }
    if let Some(rule) = &plan.subject.address {
        let of = |at: &usize| address(people, *at);
        let stays: Vec<_> = (0..people.rows.len()).filter(|at| !goes(at) && scene.is_ours(&people.rows[*at])).collect();
        let held = |name: &String| stays.iter().any(|at| is_address(rule.compare, &people.rows[*at][people.at("mail")], name));
        plain.addresses = going.keys().filter_map(of).filter(|name| !held(name)).collect();
    }
    // Accounts that lose their last user.
    let mut accounts = (0, 0);
    if let Some(rule) = &plan.account {
        let table = scene.table("accounts");
        for (at, row) in table.rows.iter().enumerate() {
            let uses = |person: &usize| {
                std::iter::zip(&rule.columns, &rule.subject_columns)
                    .all(|(column, link)| people.rows[*person][people.at(link)] == row[table.at(column)])
            };
            let users: Vec<_> = (0..people.rows.len()).filter(uses).collect();
            if users.is_empty() || !users.iter().all(goes) {
            } else if users.iter().any(|user| going[user]) || text(&row[table.at("name")]).is_some_and(|name| kept.contains(&name)) {
                accounts.1 += 1;
            } else {
                accounts.0 += 1;
                plain.gone.get_mut("accounts").unwrap()[at] = true;
            }
        }
    }
    plain.done.clone_from(&plain.gone);
    loop {
        let before = plain.done.clone();
        for rule in &plan.rules {
            let table = scene.table(&rule.table);
            for (at, row) in table.rows.iter().enumerate() {
                let (gone, done) = plain.fate(rule, table, row);
                plain.gone.get_mut(&rule.table).unwrap()[at] |= gone;
                plain.done.get_mut(&rule.table).unwrap()[at] |= done;
            }
        }
        if plain.done == before {
            break;
        }
    }
    let (tables, none) = (BTreeMap::new(), BTreeMap::new);
    let mut came = Left { tables, removed: none(), detached: none(), overwritten: none(), accounts };
    for table in &scene.tables {
        let mut left = Vec::new();
        let [mut removed, mut detached, mut overwritten] = [0, 0, 0];
        for (at, row) in table.rows.iter().enumerate() {
            if plain.gone[&table.name][at] {
                removed += 1;
                continue;
            }
            let mut new = row.clone();
            if let Some(rule) = plan.rule(&table.name) {
                if plain.is_overwritten(rule, table, row) {
                    Plain::overwrite(rule, table, &mut new);
                    overwritten += u64::from(new != *row);
                }
                let edges = rule.edges.iter().filter(|edge| edge.action.unwrap_or(rule.action) == Action::Detach);
                detached += u64::from(plain.detach(table, &mut new, edges));
            } else if table.name == "people" && scene.is_ours(row) {
                detached += u64::from(plain.detach(table, &mut new, plan.subject.edges.iter()));
            } else if let Some(rule) = plan.account.as_ref().filter(|rule| rule.table == table.name) {
                detached += u64::from(plain.detach(table, &mut new, rule.edges.iter()));
            }
            left.push(new);
        }
        came.tables.insert(table.name.clone(), left);
        came.removed.insert(table.name.clone(), removed);
        came.detached.insert(table.name.clone(), detached);
        came.overwritten.insert(table.name.clone(), overwritten);
    }
    came
}

/// Who is newly kept away: whom a deleted row named and the pairs that went by it, and whom a row named in vain.
fn suppressed(scene: &Scene, rows: &[Meant], named: &Named, before: &Before<'_>) -> u64 {
    let people = scene.table("people");
    let mut all = BTreeSet::new();
    for (at, row) in rows.iter().enumerate() {
        let Ok(wish) = &row.says else { continue };
        if !named.dnt[at] || !matches!(named.outcomes[at], Outcome::Deleted | Outcome::NotFound) {
            continue;
        }
        all.insert(wish.who.clone());
        if scene.pairs {
            all.extend(named.named[at].iter().filter_map(|person| pair(people, *person)));
        }
    }
    all.difference(before.suppressed).count() as u64
}
