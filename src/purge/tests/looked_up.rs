//! Which indexes people are looked for by, and which are asked for.

use rusqlite::Connection;

use super::misfits::{PEOPLE, database};
use crate::domain::{IdentityKey, TenantName};
use crate::purge::people::{Look, People};
use crate::purge::{Engine, Plan};

#[test]
fn people_are_looked_for_by_an_index_on_their_address_and_in_it_alone_where_it_holds_all_that_is_asked() {
    let tenant = TenantName::parse("acme").unwrap();
    let found_by = |column: &str, compare: &str, indexes: &str| {
        let text = format!(
            "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = {{ column = 'team' }}\naddress = {{ column = '{column}', compare = '{compare}' }}"
        );
        let (plan, c) = (Plan::parse(&text).unwrap(), database(&format!("{PEOPLE}{indexes}")));
        let sql = People::of(&plan, &tenant).unwrap().by_address(&c, Look::Address).unwrap();
        c.query_row(&format!("EXPLAIN QUERY PLAN {sql}"), ("t", "one@x.example"), |row| row.get::<_, String>("detail")).unwrap()
    };
    let found = |compare: &str, indexes: &str| found_by("mail", compare, indexes);
    let alone = "SEARCH main.people USING COVERING INDEX a (team=? AND mail=?)";
    assert_eq!(found("exact", "CREATE INDEX a ON people (team, mail);"), alone);
    assert_eq!(found("nocase", "CREATE INDEX a ON people (team, mail COLLATE NOCASE);"), alone);
    let by_address = "SEARCH main.people USING INDEX b (mail=?)";
    assert_eq!(found("exact", "CREATE INDEX a ON people (team, code, mail); CREATE INDEX b ON people (mail);"), by_address);
    assert_eq!(found("nocase", "CREATE INDEX a ON people (team, mail); CREATE INDEX b ON people (mail COLLATE NOCASE);"), by_address);
    let odd = r#"ALTER TABLE people ADD COLUMN "e mail" TEXT; CREATE INDEX a ON people (team, "e mail"); CREATE INDEX b ON people ("e mail" COLLATE NOCASE);"#;
    assert_eq!(found_by("E mail", "nocase", odd), "SEARCH main.people USING INDEX b (e mail=?)");
}

#[test]
fn an_index_in_the_addresses_collation_is_enough_though_the_tenants_column_has_its_own() {
    let plan = "[subject]\ntable = 'users'\nkey = 'k'\ntenancy = { column = 't' }\naddress = { column = 'mail', compare = 'nocase' }\n";
    let told = |index: &str| {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(&format!("CREATE TABLE users (k INTEGER PRIMARY KEY, t TEXT, mail TEXT); {index}")).unwrap();
        let found = Engine::new(Plan::parse(plan).unwrap(), IdentityKey::new([7; 32])).unwrap().inspect(&database, 100).unwrap();
        found.into_iter().filter_map(|finding| finding.mend).collect::<Vec<_>>()
    };
    let index = "CREATE INDEX \"users_by_t_mail\" ON \"users\" (\"t\", \"mail\" COLLATE NOCASE);";
    assert_eq!(told(""), [format!("run: {index}")]);
    assert_eq!(told(index), <[String; 0]>::default());
}
