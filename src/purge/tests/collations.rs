//! Keys that are one and spelled in two ways, because their columns compare by a collation or as numbers.

use super::words::{purged, world};
use super::world::{at, rows};
use crate::domain::Settings;

/// A team by its own row's spelling, with the people 1 and 2, by theirs.
fn team([its, theirs]: [&str; 2], name: &str, spelled: [&str; 2]) -> String {
    let people = std::iter::zip([1, 2], spelled).map(|(id, team)| format!("UPDATE people SET team = {team} WHERE id = {id};"));
    let teams = format!("CREATE TABLE teams (name {its} PRIMARY KEY NOT NULL); INSERT INTO teams VALUES ({name});");
    format!("ALTER TABLE people ADD COLUMN team {theirs}; {teams} {}", people.collect::<String>())
}

const TEAMS: &str = "[account]\ntable = 'teams'\ncolumns = ['name']\nsubject_columns = ['team']\n";

#[test]
fn an_account_is_kept_however_its_people_spell_it() {
    let [nocase, rtrim] = ["TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM"];
    for (kinds, name, spelled) in [
        ([nocase, nocase], "'Blue'", ["'blue'", "'BLUE'"]),
        ([rtrim, rtrim], "'blue'", ["'blue '", "'blue  '"]),
        (["NUMERIC", "REAL"], "1", ["1", "1"]),
        (["NUMERIC", "NUMERIC"], "1.5", ["1.5", "1.50"]),
    ] {
        let sql = team(kinds, name, spelled);
        let kept = format!("teams|{}\n", name.trim_matches('\''));
        assert_eq!(purged(&sql, TEAMS, &["one@x.example +keep", "acme/2"], "teams"), kept, "{sql}");
        assert_eq!(purged(&sql, TEAMS, &["one@x.example", "acme/2 +keep"], "teams"), kept, "{sql}");
        assert_eq!(purged(&sql, TEAMS, &["one@x.example +keep"], "teams"), kept, "{sql}");
        assert_eq!(purged(&sql, TEAMS, &["one@x.example", "acme/2"], "teams"), "removed 1\n", "{sql}");
    }
}

#[test]
fn a_wish_that_a_former_program_noted_keeps_every_account() {
    let world = world(&team(["TEXT", "TEXT"], "'blue'", ["'blue'", "'blue'"]), TEAMS);
    let import = world.begin(&world.matched(&rows(&["one@x.example", "acme/2"]), Settings::default()));
    world.sql(&format!("INSERT INTO expunged_preserved_accounts VALUES ({}, x'00')", import.0));
    while world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap().more {}
    assert_eq!(world.dump("teams"), "teams|blue\n");
}
