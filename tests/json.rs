//! What programs read has the fields that `config/json.md` gives, and no others.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::people;
use crate::world::World;

type Fields = BTreeSet<String>;

/// The fields that the page gives in the row that begins so.
fn documented(row: &str) -> Fields {
    let page = include_str!("../config/json.md");
    let rest = page.lines().find_map(|line| line.strip_prefix(row)).unwrap_or_else(|| panic!("no row: {row}"));
    rest.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A plan with a table that stays, and why.
const KEPT: &str = r#"
[subject]
table = "people"
key = "id"
tenancy = { sole = "acme" }

[[table]]
name = "bills"
action = "keep"
reason = "the books"
edges = [{ columns = ["person"], parent = "people", parent_columns = ["id"] }]
"#;

fn fields(value: &Value) -> Fields {
    value.as_object().unwrap_or_else(|| panic!("not an object: {value}")).keys().cloned().collect()
}

fn prepared() -> World {
    let world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.tenant("acme");
    people::load(&world, "acme", 6);
    world
}

/// What a command prints with `--json`, whatever its exit code.
fn printed(world: &World, args: &[&str]) -> Value {
    let ran = world.run(&[args, &["--json"]].concat());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|fault| panic!("{fault}: {ran}"))
}

fn check(row: &str, found: &Value) {
    assert_eq!(fields(found), documented(row), "left: printed; right: config/json.md, {row}");
}

#[test]
fn files_have_the_fields_that_the_page_gives() {
    let mut world = prepared();
    world.start();
    world.put("acme", "/check/dry.csv", people::email_csv("acme", [1]));
    let mut dry = world.report("acme", "dry.csv");
    check("| `NAME.report.json` |", &dry);
    world.put("acme", "june.csv", people::email_csv("acme", [1]) + "bad\n");
    let report = world.report("acme", "june.csv");
    assert_eq!(dry.as_object_mut().unwrap().remove("would_hold"), Some(false.into()));
    assert_eq!(fields(&dry), fields(&report));
    let mut rows = documented("| `rows` |");
    rows.remove("rows");
    assert_eq!(fields(&report["rows"]), rows);
    assert_eq!(fields(&report["accounts"]), documented("| `accounts` |"));
    let errors = documented("| `errors` |").into_iter().filter(|field| field != "errors_omitted").collect::<Fields>();
    assert_eq!(fields(&report["errors"][0]), errors);

    let mut status = fields(&world.status("acme", "june.csv").expect("a status"));
    world.put("acme", "odd.pdf", "x");
    world.report("acme", "odd.pdf");
    status.extend(fields(&world.status("acme", "odd.pdf").expect("a status")));
    assert_eq!(status, documented("| `/status/NAME.json` |"));

    check("| `scrub` | the whole |", &printed(&world, &["scrub"]));
    let shown = printed(&world, &["imports", "show", "2"]);
    check("| `NAME.scrub.json` |", &shown["scrub"]);
}

#[test]
fn commands_about_people_and_tenants_print_the_fields_that_the_page_gives() {
    let world = prepared();
    check("| `tenant list` | each of `tenants` |", &printed(&world, &["tenant", "list"])["tenants"][0]);
    let tenant = printed(&world, &["tenant", "show", "acme"]);
    check("| `tenant show` | the whole |", &tenant);
    check("| `tenant show` | each of `keys` |", &tenant["keys"][0]);
    let list = world.write("more.csv", "accountId,id\nA9,U90\nA9,\n");
    let loaded = printed(&world, &["load", "customers", list.to_str().unwrap(), "--tenant", "acme"]);
    check("| `load` | the whole |", &loaded);
    check("| `load` | each of `bad_rows` |", &loaded["bad_rows"][0]);
    let found = printed(&world, &["customers", "find", "First", "--tenant", "acme"]);
    check("| `customers find` | the whole |", &found);
    check("| `customers find` | each of `customers` |", &found["customers"][0]);

    let who = ["--tenant", "acme", "--account", "A0", "--id", "U1"];
    let shown = printed(&world, &[&["customers", "show"][..], &who].concat());
    check("| `customers show` | the whole |", &shown);
    check("| `customers show` | each of `tables` |", &shown["tables"][0]);
    let until = ["--why", "case 311", "--until", "2100-01-01"];
    let other = ["--tenant", "acme", "--account", "A1", "--id", "U2"];
    check("| `exemptions add` | the whole |", &printed(&world, &[&["exemptions", "add"][..], &other, &until].concat()));
    check("| `exemptions list` | each of `exemptions` |", &printed(&world, &["exemptions", "list"])["exemptions"][0]);
    world.run(&[&["purge"][..], &who, &["--do-not-track", "--yes", "1"]].concat()).exits(0);
    check("| `suppressions list` | each of `suppressions` |", &printed(&world, &["suppressions", "list"])["suppressions"][0]);
    check("| `suppressions check` | the whole |", &printed(&world, &[&["suppressions", "check"][..], &who].concat()));
    check("| `suppressions lift` | the whole |", &printed(&world, &[&["suppressions", "lift"][..], &who].concat()));
}

#[test]
fn commands_about_imports_and_plans_print_the_fields_that_the_page_gives() {
    let mut world = prepared();
    world.set_tenant("acme", "hold_customers_above", "0");
    world.set_tenant("acme", "hold_customers_percent_above", "0");
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", [1]));
    world.eventually("it is held", || world.status("acme", "june.csv").filter(|status| status["state"] == "held"));
    let of_decisions = documented("| `imports approve`, `imports reject`, `imports retry`, `imports cancel` |");
    assert_eq!(fields(&printed(&world, &["imports", "approve", "1"])), of_decisions);
    world.report("acme", "june.csv");
    let listed = documented("| `imports list` | each of `imports` |");
    assert_eq!(fields(&printed(&world, &["imports", "list"])["imports"][0]), listed);
    let shown = printed(&world, &["imports", "show", "1"]);
    let mut more = documented("| `imports show` | the whole |");
    assert!(more.remove("imports list"));
    assert_eq!(fields(&shown), &listed | &more);
    check("| `imports show` | each of `decisions` |", &shown["decisions"][0]);
    let report = world.files("acme", "archive").into_iter().find(|name| name.ends_with(".report.json")).expect("a report");
    let report: PathBuf = world.folder("acme", "archive").join(report);
    check("| `receipt verify` | each of `files` |", &printed(&world, &["receipt", "verify", report.to_str().unwrap()])["files"][0]);

    let plan = world.write("kept.toml", KEPT);
    let steps = printed(&world, &["plan", "show", "--plan", plan.to_str().unwrap()]);
    let of_steps = steps.as_array().unwrap().iter().flat_map(fields).collect::<Fields>();
    assert_eq!(of_steps, documented("| `plan show` | each of the list |"));
    check("| `plan show` | each of `edges` |", &steps[1]["edges"][0]);
    world.change("CREATE TABLE notes (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (customer))");
    let checked = printed(&world, &["plan", "check"]);
    check("| `plan check` | the whole |", &checked);
    check("| `plan check` | each of `findings` |", &checked["findings"][0]);
}
