//! The application writes between chunks: each chunk must do to the tables as it finds them what the plain model does, to those of its
//! people who are still whom the list named.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params_from_iter};

use super::plain::{Before, Left, address, is_address, is_exempt, left, name_people, pair, text};
use super::scene::{Scene, Table, mail};
use super::{Case, case, names, read, rows_of, run, sorted, world};
use crate::domain::{Counts, Outcome};
use crate::purge::Ending;
use crate::purge::tests::world::{World, at, exempt};

/// What the application does. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
struct Write {
    kind: u8,
    table: u8,
    row: u8,
    other: u8,
}

/// Of [`Write::kind`], the last: somebody must not be erased from here on.
const EXEMPT: u8 = 8;

fn write() -> impl Strategy<Value = Write> {
    let kind = prop_oneof![3 => 0..EXEMPT, 1 => Just(EXEMPT)];
    (kind, any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(kind, table, row, other)| Write { kind, table, row, other })
}

/// Every table as it stands.
fn look(world: &World, scene: &Scene) -> Scene {
    let read = |table: &Table| table.with(rows_of(world, table));
    Scene { tables: scene.tables.iter().map(read).collect(), ..scene.clone() }
}

/// The application, at the tables as they stand.
struct App<'a> {
    c: Connection,
    now: &'a Scene,
    written: i64,
}

impl App<'_> {
    /// What keeps rows apart is new; where the rest of a row is there already, none is added.
    fn add(&mut self, table: &Table, mut row: Vec<Cell>, key: Option<Cell>) {
        self.written += 1;
        let number = 1_000 + self.written;
        let fresh = match &row[0] {
            Cell::Integer(_) => Cell::Integer(number),
            Cell::Blob(_) => Cell::Blob(number.to_string().into_bytes()),
            _ => Cell::Text(format!("k{number}")),
        };
        row.splice(..4, [key.unwrap_or(fresh), Cell::Integer(number), Cell::Text(format!("v{number}")), Cell::Text(format!("w{number}"))]);
        let marks = vec!["?"; row.len()].join(", ");
        self.c.execute(&format!("INSERT OR IGNORE INTO {} VALUES ({marks})", table.name), params_from_iter(row)).unwrap();
    }

    fn remove(&self, table: &Table, row: &[Cell]) {
        self.c.execute(&format!("DELETE FROM {} WHERE k IS ?1", table.name), [&row[0]]).unwrap();
    }

    fn set(&self, table: &Table, row: &[Cell], column: &str, to: &Cell) {
        self.c.execute(&format!("UPDATE OR IGNORE {} SET {column} = ?1 WHERE k IS ?2", table.name), [to, &row[0]]).unwrap();
    }

    fn write(&mut self, write: &Write) {
        let now = self.now;
        let people = now.table("people");
        let others: Vec<_> = now.tables.iter().filter(|table| table.name.starts_with('t')).collect();
        let table = if write.kind < 5 { people } else { others[usize::from(write.table) % others.len()] };
        if table.rows.is_empty() {
            return;
        }
        let pick = |n: u8| &table.rows[usize::from(n) % table.rows.len()];
        let (row, other) = (pick(write.row), pick(write.other));
        match write.kind {
            0 => self.set(table, row, "mail", &mail(write.other % 32)),
            1 => self.set(table, row, "id", &other[table.at("id")]),
            // Somebody else has the key from here on.
            2 => {
                self.remove(table, row);
                let mut new = other.clone();
                new[table.at("tenant")] = row[table.at("tenant")].clone();
                new[table.at("mail")] = mail(write.table % 32);
                forget(now, table, &mut new);
                self.add(table, new, Some(row[0].clone()));
            }
            3 | 6 => self.add(table, row.clone(), None),
            4 | 5 => self.remove(table, row),
            _ => {
                // The row refers to what the other does.
                let rule = now.plan.rule(&table.name).unwrap();
                for column in rule.edges.iter().flat_map(|edge| &edge.columns).filter(|column| *column != "tenant") {
                    self.set(table, row, column, &other[table.at(column)]);
                }
            }
        }
    }
}

/// What a person can be exempt by.
fn name_of_one(now: &Scene, write: &Write) -> Option<String> {
    let people = now.table("people");
    let at = usize::from(write.row).checked_rem(people.rows.len())?;
    let by_address = now.addresses && (write.table.is_multiple_of(3) || !now.pairs);
    if by_address { address(people, at) } else { pair(people, at) }
}

/// A person who refers to nobody.
fn forget(now: &Scene, people: &Table, row: &mut [Cell]) {
    let columns = now.plan.subject.edges.iter().flat_map(|edge| &edge.columns).filter(|column| *column != "tenant");
    columns.for_each(|column| row[people.at(column)] = Cell::Null);
}

/// A person's key, and the row of the list that named them.
type Target = (Cell, usize);

/// Who has a key by now, where it is still whom the list named.
fn still_there(now: &Scene, key: &Cell, who: &str) -> Option<usize> {
    let people = now.table("people");
    let is = |at: &usize| {
        let named = if who.contains('/') { pair(people, *at) } else { address(people, *at) };
        now.is_ours(&people.rows[*at]) && people.rows[*at][0] == *key && named.as_deref() == Some(who)
    };
    (0..people.rows.len()).find(is)
}

/// Whether somebody who must not be erased has the address that a row names: then none of those who are left goes by it.
fn shares_with_exempt(now: &Scene, who: &str, left: &[Target], exempted: &BTreeSet<String>) -> bool {
    let people = now.table("people");
    let shares = |at: &usize| {
        let cells = &people.rows[*at];
        let named = left.iter().any(|(key, _)| *key == cells[0]) && address(people, *at).as_deref() == Some(who);
        let compare = now.plan.subject.address.as_ref().map(|address| address.compare);
        now.is_ours(cells) && (named || compare.is_some_and(|compare| is_address(compare, &cells[people.at("mail")], who)))
    };
    !who.contains('/') && (0..people.rows.len()).filter(shares).any(|at| is_exempt(now, at, exempted))
}

fn holds((case, writes): &(Case, Vec<Vec<Write>>)) -> Result<(), TestCaseError> {
    let scene = case.scene.build();
    let list = case.list.write(scene.addresses, scene.pairs, scene.number_ids);
    let before = Before { exempt: &names(&scene, &case.exempt), suppressed: &BTreeSet::new() };
    let world = world(&scene, scene.plan.clone(), &before);
    let matched = world.matched(&read(&list)?, case.settings);
    let named = name_people(&scene, &list.rows, case.settings, &before);
    let people = scene.table("people");
    let mut targets: Vec<Target> = named.owner.iter().map(|(person, row)| (people.rows[*person][0].clone(), *row)).collect();
    targets.sort_by(|(one, _), (other, _)| order(one, other));

    let import = world.begin(&matched);
    let (mut written, mut kept, mut removed) = (0, BTreeSet::new(), BTreeMap::<String, u64>::new());
    let (mut exempted, mut spared) = (before.exempt.clone(), BTreeSet::new());
    let (mut deleted, mut stay) = (BTreeSet::new(), BTreeSet::new());
    let mut more = true;
    for (chunk, part) in targets.chunks(case.chunk as usize).enumerate() {
        let count = exempted.len();
        let between = writes.get(chunk.wrapping_sub(1)).into_iter().flatten();
        for write in between {
            let now = look(&world, &scene);
            if write.kind == EXEMPT {
                let new = name_of_one(&now, write).filter(|name| exempted.insert(name.clone()));
                exempt(&world, new.as_deref().as_slice());
                continue;
            }
            let mut app = App { c: Connection::open(world.path()).unwrap(), now: &now, written };
            app.write(write);
            written = app.written;
        }
        let now = look(&world, &scene);
        let people = now.table("people");
        let who = |row: usize| list.rows[row].says.as_ref().unwrap().who.as_str();
        if exempted.len() > count {
            let left = &targets[chunk * case.chunk as usize..];
            let shared = left.iter().filter(|(_, row)| shares_with_exempt(&now, who(*row), left, &exempted));
            spared.extend(shared.map(|(_, row)| *row));
        }
        let mut going = BTreeMap::new();
        for (key, row) in part {
            let Some(person) = still_there(&now, key, who(*row)) else { continue };
            if spared.contains(row) || is_exempt(&now, person, &exempted) {
                stay.insert(*row);
            } else {
                going.insert(person, named.keep[*row]);
                deleted.insert(*row);
            }
        }
        // Accounts that one of the people wants kept, from here on.
        let wanted = going.iter().filter(|(_, keep)| **keep).filter_map(|(person, _)| text(&people.rows[*person][people.at("account")]));
        kept.extend(wanted);
        let Left { tables, removed: taken, .. } = left(&now, &going, &kept);
        taken.into_iter().for_each(|(table, rows)| *removed.entry(table).or_default() += rows);
        prop_assert!(more, "the chunks ended early");
        let done = world.engine.chunk(&mut world.open(), import, case.chunk, at(1));
        let done = done.map_err(|error| TestCaseError::fail(format!("chunk {chunk}: {error}")))?;
        more = done.more;
        prop_assert_eq!(done.customers, going.len() as u64, "people of chunk {}", chunk);
        for table in &scene.tables {
            let plan = || toml::to_string(&scene.plan).unwrap();
            prop_assert_eq!(
                rows_of(&world, table),
                sorted(tables[&table.name].clone()),
                "{} after chunk {}\n{}",
                table.name,
                chunk,
                plan()
            );
        }
    }
    if targets.is_empty() {
        more = world.engine.chunk(&mut world.open(), import, case.chunk, at(1)).unwrap().more;
    }
    prop_assert!(!more, "more chunks than targets");
    let came = world.finish(import, &Ending::Completed);
    let outcome = |(row, outcome): (usize, &Outcome)| match outcome {
        Outcome::Deleted if deleted.contains(&row) => Outcome::Deleted,
        Outcome::Deleted if stay.contains(&row) => Outcome::Exempt,
        Outcome::Deleted => Outcome::NotFound,
        other => *other,
    };
    prop_assert_eq!(&came.outcomes, &named.outcomes.iter().enumerate().map(outcome).collect::<Vec<_>>());
    let counted = |counts: &Counts| counts.iter().filter(|(_, rows)| *rows > 0).map(|(table, rows)| (table.to_owned(), rows)).collect();
    let counted: BTreeMap<_, _> = counted(&came.progress.removed);
    removed.retain(|_, rows| *rows > 0);
    prop_assert_eq!(counted, removed);
    Ok(())
}

/// The order of targets.
fn order(one: &Cell, other: &Cell) -> std::cmp::Ordering {
    match (one, other) {
        (Cell::Integer(one), Cell::Integer(other)) => one.cmp(other),
        (Cell::Text(one), Cell::Text(other)) => one.cmp(other),
        (Cell::Blob(one), Cell::Blob(other)) => one.cmp(other),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_chunk_does_what_the_plain_model_does_to_what_the_application_has_written_by_then() {
    let writes = prop::collection::vec(prop::collection::vec(write(), 0..4), 0..6);
    run(&(case(), writes), 48, holds);
}
