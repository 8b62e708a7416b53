//! Finding a person, and showing everything that is held about one.

use super::world::{World, rows, tenant};
use crate::domain::Settings;
use crate::store::Key;

fn found(world: &World, text: &str) -> Vec<String> {
    let people = world.engine.find(world.read().connection(), &tenant("acme"), text, 10).unwrap();
    people.into_iter().map(|person| person.id.unwrap()).collect()
}

#[test]
fn finds_a_person_by_address_by_id_and_by_name() {
    let world = World::new();
    world.customer("acme", "a", "1", "Ann@x.example");
    world.customer("acme", "a", "50%", "bob@x.example");
    world.customer("acme-2", "a", "1", "ann@x.example");
    world.sql("UPDATE customers SET firstName = 'Ann', lastName = 'O_Hara' WHERE id = '1'; UPDATE customers SET lastName = 'Hannah' WHERE id <> '1'");
    let check = |text: &str, expected: &[&str]| assert_eq!(found(&world, text), expected, "{text:?}");
    check(" ANN@X.example ", &["1"]);
    check("1", &["1"]);
    check("50%", &["50%"]);
    check("ann", &["1", "50%"]);
    check("ann o_h", &["1"]);
    check("%", &[]);
    check("ann' OR 1 --", &[]);
    world.sql("UPDATE customers SET firstName = 'Öznur', lastName = 'STRAẞE' WHERE id = '1' AND tenant = 'acme'");
    check("öZNUR straße", &["1"]);
    check("O\u{308}z", &["1"]);
}

#[test]
fn shows_everything_held_about_one_person_and_nothing_of_another() {
    let world = World::new();
    let ann = world.customer("acme", "a", "1", "ann@x.example");
    let bob = world.customer("acme", "b", "2", "bob@x.example");
    world.referral(1, Some(ann), Some(bob));
    world.referral(2, Some(bob), None);
    let held = |name: &str, key: i64| world.engine.holdings(world.read().connection(), &tenant(name), &Key::Integer(key), 1).unwrap();
    let all: Vec<_> = held("acme", ann).unwrap().into_iter().map(|held| (held.table, held.rows.len(), held.more)).collect();
    let expected = [
        ("customers", 1, false),
        ("accounts", 1, false),
        ("rewards", 1, false),
        ("events", 1, true),
        ("custom_fields", 1, false),
        ("referrals", 1, false),
    ];
    assert_eq!(all, expected.map(|(table, rows, more)| (table.to_owned(), rows, more)));
    let subject = held("acme", ann).unwrap().swap_remove(0);
    assert_eq!((subject.columns[4].as_str(), &subject.rows[0][4]), ("email", &"ann@x.example".to_owned().into()));
    assert!(held("acme-2", ann).is_none());
    assert!(held("acme", bob + 1).is_none());
}

#[test]
fn looks_one_person_up_by_account_and_id_and_says_whether_they_are_suppressed() {
    let world = World::new();
    let ann = world.customer("acme", "a", "1", "ann@x.example");
    world.customer("acme-2", "a", "2", "bob@x.example");
    let look = |account: &str, id: &str| {
        let found = world.engine.participant(world.read().connection(), &tenant("acme"), account, id).unwrap();
        (found.key, found.pair_suppressed, found.address_suppressed)
    };
    assert_eq!(look("a", "1"), (Some(Key::Integer(ann)), false, false));
    for (account, id) in [("A", "1"), ("a", "2"), ("", ""), ("a", "1 ")] {
        assert_eq!(look(account, id), (None, false, false), "{account} {id}");
    }
    let matched = world.matched(&rows(&["a/1 +dnt", "ann@x.example +dnt"]), Settings::default());
    world.purge(&matched, 1);
    assert_eq!(look("a", "1"), (None, true, false));
}
