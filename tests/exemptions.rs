//! People who must not be erased, and people who must not be registered again.

use crate::people;
use crate::world::World;

fn prepared() -> World {
    let world = World::new();
    world.tenant("acme");
    people::load(&world, "acme", 6);
    world
}

const UNTIL: [&str; 4] = ["--why", "case 311", "--until", "2100-01-01"];

#[test]
fn an_exempt_person_is_reported_and_stays_until_the_exemption_is_taken_back() {
    let mut world = prepared();
    let add = ["exemptions", "add", "--tenant", "acme"];
    world.run(&[&add[..], &["--account", "A0", "--id", "U1"], &UNTIL].concat()).exits(0).says("exemption 1 of acme");
    world.run_with_input(&[&add[..], &["--email"], &UNTIL].concat(), "PERSON2@acme.example\n").exits(0);
    world.run(&[&add[..], &["--account", "A0", "--id", "U1", "--why", "see ann@x.example", "--until", "2100-01-01"]].concat()).exits(2);
    world.run(&[&add[..], &["--account", "A0", "--id", "U1", "--why", "x", "--until", "2001-01-01"]].concat()).exits(2).warns("is past");
    world.run(&[&add[..], &UNTIL].concat()).exits(2);
    world.run(&[&add[..], &["--account", "A0", "--id", "U1 "], &UNTIL].concat()).exits(2).warns("--id: white space before or after");
    world.run(&[&add[..], &["--account", "", "--id", "U1"], &UNTIL].concat()).exits(2).warns("--account: there is no value");
    // Nobody may take them for gone.
    let by_hand = ["purge", "--tenant", "acme", "--yes", "1"];
    let exempt = "an exemption keeps this person from being erased";
    world.run(&[&by_hand[..], &["--account", "A0", "--id", "U1"]].concat()).exits(6).warns(exempt);
    world.run_with_input(&[&by_hand[..], &["--email"]].concat(), "person2@acme.example\n").exits(6).warns(exempt);
    world.run(&[&by_hand[..], &["--account", "A0", "--id", "U99"]].concat()).exits(4).warns("nobody of this tenant is so named");

    world.start();
    world.put("acme", "/check/dry.csv", people::participant_csv([1, 2, 3]));
    assert_eq!(world.report("acme", "dry.csv")["rows"]["exempt"], 2);
    world.put("acme", "june.csv", people::email_csv("acme", [1, 2, 3]));
    let report = world.report("acme", "june.csv");
    assert_eq!((&report["rows"]["exempt"], &report["rows"]["deleted"]), (&2.into(), &1.into()));
    let results = world.files("acme", "archive").into_iter().find(|name| name.ends_with("june.csv.results.csv")).expect("results");
    let results = std::fs::read_to_string(world.folder("acme", "archive").join(results)).expect("text");
    assert!(results.contains("2,exempt,"), "{results}");

    let listed = world.run(&["exemptions", "list", "--json"]).exits(0);
    assert!(listed.stdout.contains("case 311") && !listed.stdout.contains('@') && !listed.stdout.contains("U1"), "{listed}");
    world.run(&["exemptions", "remove", "1"]).exits(0);
    world.run(&["exemptions", "remove", "1"]).exits(4);
    world.put("acme", "july.csv", people::email_csv("acme", [1, 2]));
    let report = world.report("acme", "july.csv");
    assert_eq!((&report["rows"]["exempt"], &report["rows"]["deleted"]), (&1.into(), &1.into()));
}

#[test]
fn an_exemption_of_somebody_whom_the_tenant_does_not_have_is_taken_and_told() {
    let world = prepared();
    let add = ["exemptions", "add", "--tenant", "acme"];
    let pair = |id: &str| world.run(&[&add[..], &["--account", "A0", "--id", id], &UNTIL].concat()).exits(0);
    let email = |address: &str| world.run_with_input(&[&add[..], &["--email"], &UNTIL].concat(), address).exits(0);
    let nobody = "nobody of \"acme\" is so named by now";
    pair("U99").says("exemption 1 of acme").warns(nobody);
    email("person99@acme.example\n").says("exemption 2 of acme").warns(nobody);
    // An exemption keeps them too, though no list finds their address there.
    world.change("UPDATE customers SET emailNormalised = 'Ann <ann@acme.example>' WHERE id = 'U3'");
    for known in [pair("U1"), email("PERSON1@acme.example\n"), email("ann@acme.example\n")] {
        assert_eq!(known.stderr, "", "{known}");
    }
}

#[test]
fn a_suppression_is_counted_checked_and_lifted() {
    let world = prepared();
    let who = ["--tenant", "acme", "--account", "A0", "--id", "U1"];
    world.run(&[&["purge"][..], &who, &["--do-not-track", "--yes", "1"]].concat()).exits(0);
    world.run(&["suppressions", "list"]).exits(0).says("acme    1");
    world.run(&[&["suppressions", "check"][..], &who].concat()).exits(0).says("suppressed");
    world.run_with_input(&["suppressions", "check", "--tenant", "acme", "--email"], "person1@acme.example").exits(4);
    let again = world.write("again.csv", "accountId,id,email\nA0,U1,other@acme.example\n");
    let again = again.to_str().expect("UTF-8");
    world.run(&["load", "customers", again, "--tenant", "acme"]).exits(3).warns("suppressed");
    world.run(&[&["suppressions", "lift"][..], &who].concat()).exits(0);
    world.run(&[&["suppressions", "lift"][..], &who].concat()).exits(4);
    world.run(&["load", "customers", again, "--tenant", "acme"]).exits(0);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM expunged_lifted WHERE lifted_at IS NOT NULL"), 1);
}
