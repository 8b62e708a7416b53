//! People who must not be erased.

use super::world::{Came, World, at, exempt, exempt_until, rows};
use crate::domain::{Outcome, Settings};
use crate::purge::{Ending, Plan};
use crate::store::Create;

fn purge(world: &World, texts: &[&str]) -> Came {
    let matched = world.matched(&rows(texts), Settings::default());
    let (_, checked) = world.checked(&matched);
    let came = world.purge(&matched, 1);
    assert_eq!(checked, came, "the check told what the purge did");
    came
}

/// Ann and Bob share an address; Cy has one of his own.
fn shared() -> World {
    let world = World::new();
    for (id, email) in [("ann", "team@x.example"), ("bob", "team@x.example"), ("cy", "cy@x.example")] {
        world.customer("acme", "a", id, email);
    }
    world
}

#[test]
fn an_exempt_person_stays_however_a_row_names_them() {
    for by in ["a/cy", "cy@x.example"] {
        let world = shared();
        exempt(&world, &[by]);
        let came = purge(&world, &["a/cy +dnt", "nobody@x.example"]);
        assert_eq!((came.outcomes, came.progress.suppressed), (vec![Outcome::Exempt, Outcome::NotFound], 0));
        assert_eq!(purge(&world, &["CY@x.example"]).outcomes, [Outcome::Exempt]);
    }
}

#[test]
fn an_exempt_address_protects_whoever_has_it_beside_other_text() {
    let stored = ["\"Cy\" <CY@x.example>", "cy@x.example.", "bob@x.example; cy@x.example", "mailto:cy@x.example"];
    for stored in stored {
        let world = World::new();
        world.customer("acme", "a", "cy", "cy@x.example");
        world.sql(&format!("UPDATE customers SET emailNormalised = '{stored}'"));
        exempt(&world, &["cy@x.example"]);
        assert_eq!(purge(&world, &["a/cy"]).outcomes, [Outcome::Exempt], "{stored}");
    }
}

#[test]
fn one_exempt_customer_of_a_shared_address_keeps_all_from_going_by_it() {
    let world = shared();
    exempt(&world, &["a/ann"]);
    assert_eq!(purge(&world, &["team@x.example"]).outcomes, [Outcome::Exempt]);
    // Named alone, the other goes.
    assert_eq!(purge(&world, &["a/ann", "team@x.example", "a/bob"]).outcomes, [Outcome::Exempt, Outcome::Exempt, Outcome::Duplicate]);
    assert_eq!(purge(&world, &["a/bob", "team@x.example"]).outcomes, [Outcome::Deleted, Outcome::Exempt]);
}

#[test]
fn an_exemption_comes_before_not_found_and_ends_after_its_day() {
    let world = shared();
    exempt(&world, &["later@x.example"]);
    exempt_until(&world, &["a/cy"], &at(0).to_string()[..10]);
    assert_eq!(purge(&world, &["later@x.example", "a/cy"]).outcomes, [Outcome::Exempt, Outcome::Exempt]);
    let world = shared();
    exempt_until(&world, &["a/cy"], "2020-01-01");
    assert_eq!(purge(&world, &["a/cy"]).outcomes, [Outcome::Deleted]);
}

#[test]
fn an_exemption_added_after_the_match_protects_whoever_shares_the_address_in_any_chunk() {
    for named in ["a/bob", "team@x.example"] {
        let world = shared();
        let import = world.begin(&world.matched(&rows(&["team@x.example", "a/cy"]), Settings::default()));
        // Ann's chunk is the first, Bob's the second.
        exempt(&world, &[named]);
        while world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap().more {}
        let came = world.finish(import, &Ending::Completed);
        assert_eq!(came.outcomes, [Outcome::Exempt, Outcome::Deleted], "{named}");
        assert_eq!((came.customers, came.progress.removed.get("customers")), (vec![0, 1], 1));
    }
    let world = shared();
    let import = world.begin(&world.matched(&rows(&["team@x.example"]), Settings::default()));
    world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap();
    exempt(&world, &["team@x.example"]);
    world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap();
    let came = world.finish(import, &Ending::Completed);
    assert_eq!((came.outcomes, came.customers), (vec![Outcome::Deleted], vec![1]), "who went before it was added is gone");
}

#[test]
fn one_who_came_after_the_match_and_is_exempt_keeps_whoever_shares_the_address_from_going_by_it() {
    let world = shared();
    let import = world.begin(&world.matched(&rows(&["team@x.example", "cy@x.example"]), Settings::default()));
    world.customer("acme", "a", "dee", "Team@X.example");
    exempt(&world, &["a/dee"]);
    while world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap().more {}
    let came = world.finish(import, &Ending::Completed);
    assert_eq!(came.outcomes, [Outcome::Exempt, Outcome::Deleted]);
}

#[test]
fn so_it_is_where_addresses_compare_folded() {
    const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, account TEXT, no TEXT, mail TEXT, UNIQUE (account, no));
        INSERT INTO people VALUES (1, 'a', 'ann', 'Team@x.example'), (2, 'a', 'cy', 'cy@x.example')";
    const PLAN: &str = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }
        account = 'account'\nid = 'no'";
    let world = World::with(Plan::parse(PLAN).unwrap(), Create::LedgerOnly);
    rusqlite::Connection::open(world.path()).unwrap().execute_batch(PEOPLE).unwrap();
    let import = world.begin(&world.matched(&rows(&["team@x.example", "cy@x.example"]), Settings::default()));
    world.sql("INSERT INTO people VALUES (3, 'a', 'dee', ' TEAM@X.example')");
    exempt(&world, &["a/dee"]);
    while world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap().more {}
    let came = world.finish(import, &Ending::Completed);
    assert_eq!(came.outcomes, [Outcome::Exempt, Outcome::Deleted]);
}
