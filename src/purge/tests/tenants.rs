//! Columns that name the tenant of people, and of rows that are found by address.

use rusqlite::Connection;

use crate::domain::IdentityKey;
use crate::purge::{Engine, Plan};

#[test]
fn a_column_that_names_nobodys_tenant_is_told_because_no_match_finds_its_rows() {
    let told = |people: &str, letters: &str, more: &str| {
        let plan = format!(
            "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = {{ column = 'team' }}\naddress = {{ column = 'mail' }}
            [[table]]\nname = 'letters'\naction = 'delete'\ntenant = 'desk'\nmatch = [{{ column = 'mail' }}]\n{more}"
        );
        let c = Connection::open_in_memory().unwrap();
        c.execute_batch(&format!(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, team TEXT, mail TEXT); CREATE TABLE letters (desk TEXT, mail TEXT); {people}{letters}"
        ))
        .unwrap();
        let engine = Engine::new(Plan::parse(&plan).unwrap(), IdentityKey::new([7; 32])).unwrap();
        engine.inspect(&c, 1_000).unwrap().into_iter().map(|found| found.what).collect::<Vec<_>>()
    };
    let people = "INSERT INTO people VALUES (1, 'acme', 'one@x.example'), (2, NULL, NULL);";
    let wrong = "INSERT INTO letters VALUES ('front', 'one@x.example'), (NULL, 'two@x.example')";
    let what = "\"letters\".\"desk\" names no tenant that \"people\".\"team\" does, in any row looked at: no match finds these rows";
    assert_eq!(told(people, wrong, ""), [what]);
    assert_eq!(told(people, wrong, "[accepted]\ncolumns = ['letters.desk']"), Vec::<String>::new());
    assert_eq!(told(people, &format!("{wrong}, ('acme', NULL)"), ""), Vec::<String>::new());
    assert_eq!(told("", wrong, ""), Vec::<String>::new());
    assert_eq!(told(people, "INSERT INTO letters VALUES (NULL, 'two@x.example')", ""), Vec::<String>::new());
}

#[test]
fn people_of_several_tenants_are_told_where_the_plan_takes_all_of_them_for_one_tenants() {
    let told = |column: &str, people: &str, tenancy: &str, more: &str| {
        let plan = format!("[subject]\ntable = 'people'\nkey = 'id'\ntenancy = {tenancy}\naddress = {{ column = 'mail' }}\n{more}");
        let c = Connection::open_in_memory().unwrap();
        c.execute_batch(&format!("CREATE TABLE people (id INTEGER PRIMARY KEY, {column}, mail TEXT); {people}")).unwrap();
        let engine = Engine::new(Plan::parse(&plan).unwrap(), IdentityKey::new([7; 32])).unwrap();
        engine.inspect(&c, 1_000).unwrap().into_iter().map(|found| found.what).collect::<Vec<_>>()
    };
    let sole = "{ sole = 'acme' }";
    let people = "INSERT INTO people VALUES (1, 'acme', 'one@x.example'), (2, 'bolt', 'one@x.example'), (3, NULL, NULL);";
    let what = |column: &str| {
        vec![format!(
            "\"people\".\"{column}\" holds several values, and the plan takes all these people for those of \"acme\", whose lists erase each \
             of them"
        )]
    };
    assert_eq!(told("tenant TEXT", people, sole, ""), what("tenant"));
    for column in ["TenantId", "tenantid", "org_tenant_uuid", "tenant_domain"] {
        assert_eq!(told(&format!("{column} TEXT"), people, sole, ""), what(column));
    }
    let nobody = Vec::<String>::new();
    assert_eq!(told("tenant TEXT", people, sole, "[accepted]\ncolumns = ['people.tenant']"), nobody);
    assert_eq!(told("tenant TEXT", people, "{ column = 'tenant' }", ""), nobody);
    assert_eq!(told("tenant TEXT", "INSERT INTO people VALUES (1, 'acme', 'one@x.example'), (3, NULL, NULL)", sole, ""), nobody);
    for column in ["team TEXT", "tenant_role TEXT", "is_tenant TEXT", "tenant BOOLEAN", "lieutenant_id TEXT", "tenant_id TEXT UNIQUE"] {
        assert_eq!(told(column, people, sole, ""), nobody, "{column}");
    }
}

#[test]
fn people_who_are_called_tenants_themselves_are_not_told_of_as_people_of_several_tenants() {
    let plan = "[subject]\ntable = 'flat_tenants'\nkey = 'tenant_id'\ntenancy = { sole = 'acme' }\naddress = { column = 'tenant_email' }";
    let c = Connection::open_in_memory().unwrap();
    let people = "CREATE TABLE flat_tenants (tenant_id INTEGER PRIMARY KEY, tenant_email TEXT, tenant_name TEXT);
        INSERT INTO flat_tenants VALUES (1, 'one@x.example', 'One'), (2, 'two@x.example', 'Two')";
    c.execute_batch(people).unwrap();
    let engine = Engine::new(Plan::parse(plan).unwrap(), IdentityKey::new([7; 32])).unwrap();
    assert_eq!(engine.inspect(&c, 1_000).unwrap().into_iter().map(|found| found.what).collect::<Vec<_>>(), Vec::<String>::new());
}
