//! Loads into a real store.

use std::io;

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::domain::{Email, ImportId};
use crate::store::ledger::{self, Suppression, SuppressionKind};
use crate::store::{Create, Options, StoreError};

struct World {
    folder: TempDir,
    store: Store,
}

const OPTIONS: Options = Options { cache_bytes: 1 << 20, busy_ms: 0 };

fn key() -> IdentityKey {
    IdentityKey::new([7; 32])
}

fn tenant(name: &str) -> TenantName {
    TenantName::parse(name).unwrap()
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("store.db"), Create::Builtin, OPTIONS).unwrap();
        Self { folder, store }
    }

    /// With acme's customers A/1 and A/2.
    fn peopled() -> Self {
        let mut world = Self::new();
        world.csv(Kind::Customers, "accountId,id,email\nA,1,Ann@X.Example\nA,2,bob@x.example\n");
        world
    }

    fn load(&mut self, name: &str, kind: Kind, format: Format, input: impl io::Read) -> Result<Loaded, LoadError> {
        let (tenant, key) = (tenant(name), key());
        let what = Load { tenant: &tenant, kind, key: &key, format, limits: Limits::default() };
        load(&mut self.store, &what, input, |_| {})
    }

    fn csv(&mut self, kind: Kind, text: &str) -> String {
        told(self.load("acme", kind, Format::Csv, text.as_bytes()))
    }

    fn jsonl(&mut self, kind: Kind, text: &str) -> String {
        told(self.load("acme", kind, Format::Jsonl, text.as_bytes()))
    }

    fn suppress(&mut self, kind: SuppressionKind, identity: crate::domain::Identity) {
        let suppression = Suppression { kind, identity };
        let add = |tx: &rusqlite::Transaction<'_>| ledger::suppress(tx, &tenant("acme"), suppression, ImportId(1), Timestamp::UNIX_EPOCH);
        assert!(self.store.write::<_, StoreError>("test", add).unwrap());
    }

    /// Rows of a query, values joined by bars, blank for null.
    fn rows(&self, sql: &str) -> Vec<String> {
        let mut statement = self.store.connection().prepare(sql).unwrap();
        let columns = statement.column_count();
        let value = |row: &rusqlite::Row<'_>, at| match row.get_unwrap(at) {
            rusqlite::types::Value::Null => String::new(),
            rusqlite::types::Value::Integer(n) => n.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{other:?}"),
        };
        let rows = statement.query_map([], |row| Ok((0..columns).map(|at| value(row, at)).collect::<Vec<_>>().join("|"))).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

/// `new+replaced`, then the bad rows; or why nothing was loaded.
fn told(loaded: Result<Loaded, LoadError>) -> String {
    match loaded {
        Ok(loaded) => {
            let mut words = vec![format!("{}+{}", loaded.new, loaded.replaced)];
            let column = |fault: &Fault| fault.column.clone().unwrap_or("-".into());
            words.extend(loaded.bad_rows.iter().map(|bad| format!("{} {} {}", bad.line, column(&bad.fault), bad.fault.reason.code())));
            assert_eq!(loaded.bad, loaded.bad_rows.len() as u64);
            words.join(", ")
        }
        Err(LoadError::Rejected(rejection)) => format!("{} at {:?}", rejection.code, rejection.line),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_customer_has_an_account_and_an_address_in_two_spellings() {
    let mut world = World::new();
    let text =
        "accountId;id;email;firstName;lastName;createdAt;extra\nA;1; Ann@X.Example ;Ann;Lee;yesterday;?\nA;2;;;;;\nB;1;a@b.example;;;;";
    assert_eq!(world.csv(Kind::Customers, text), "3+0");
    assert_eq!(world.rows("SELECT * FROM accounts"), ["acme|A|", "acme|B|"]);
    assert_eq!(
        world.rows("SELECT tenant, accountId, id, email, emailNormalised, firstName, lastName, createdAt FROM customers"),
        ["acme|A|1| Ann@X.Example |ann@x.example|Ann|Lee|yesterday", "acme|A|2|||||", "acme|B|1|a@b.example|a@b.example|||"]
    );
}

#[test]
fn a_loaded_customer_replaces_the_one_of_its_key_and_keeps_the_stores_own_key() {
    let mut world = World::peopled();
    world.store.connection().execute_batch("UPDATE accounts SET createdAt = 'then'").unwrap();
    world.csv(Kind::Events, "id,accountId,userId\ne,A,1\n");
    let keys = world.rows("SELECT customer, id FROM customers ORDER BY 1");
    assert_eq!(world.csv(Kind::Customers, "id,accountId,email,firstName\n2,A,new@x.example,Bo\n1,A,,\n3,A,,\n3,A,,Cy\n"), "1+3");
    assert_eq!(world.rows("SELECT customer, id FROM customers ORDER BY 1")[..2], keys);
    assert_eq!(
        world.rows("SELECT id, email, emailNormalised, firstName FROM customers"),
        ["1|||", "2|new@x.example|new@x.example|Bo", "3|||Cy"]
    );
    assert_eq!(world.rows("SELECT * FROM accounts"), ["acme|A|then"]);
    assert_eq!(world.rows("SELECT id FROM events"), ["e"]);
}

#[test]
fn every_kind_loads_from_both_formats_and_replaces() {
    let mut world = World::peopled();
    let check = |world: &mut World, kind, csv: &str, jsonl: &str, table: &str, expected: &[&str]| {
        assert_eq!(world.csv(kind, csv), "1+0", "{kind:?}");
        assert_eq!(world.csv(kind, csv), "0+1", "{kind:?}");
        assert_eq!(world.jsonl(kind, jsonl), "1+1", "{kind:?}");
        assert_eq!(world.rows(&format!("SELECT * FROM {table} ORDER BY 1, 2")), expected, "{kind:?}");
    };
    check(
        &mut world,
        Kind::Rewards,
        "id,accountId,userId,referralId,type,amount,currency,status,createdAt\nr1,A,1,f1,credit,10.00,EUR,pending,t\n",
        "{\"id\":\"r1\",\"accountId\":\"A\",\"userId\":\"1\",\"amount\":10.5}\n{\"id\":7,\"accountId\":\"A\",\"userId\":2}\n",
        "rewards",
        &["1|r1|||10.5|||", "2|7||||||"],
    );
    check(
        &mut world,
        Kind::Events,
        "userId,accountId,id,name,occurredAt,properties\n1,A,e1,buy,t,\"{\"\"a\"\": 1}\"\n",
        "{\"id\":\"e1\",\"accountId\":\"A\",\"userId\":\"1\",\"properties\":{\"a\": [1, \"x y\"]}}\n{\"id\":\"e2\",\"accountId\":\"A\",\"userId\":\"1\",\"name\":null}\n",
        "events",
        &["1|e1|||{\"a\":[1,\"x y\"]}", "1|e2|||"],
    );
    check(
        &mut world,
        Kind::Fields,
        "accountId,userId,name,value\nA,1,size,XL\n",
        "{\"accountId\":\"A\",\"userId\":\"1\",\"name\":\"size\",\"value\":null}\n{\"accountId\":\"A\",\"userId\":\"2\",\"name\":\"size\",\"value\":\"S\"}",
        "custom_fields",
        &["1|size|", "2|size|S"],
    );
    assert_eq!(
        world.csv(
            Kind::Referrals,
            "id,referrerAccountId,referrerId,referredAccountId,referredId,status,createdAt\nf1,A,1,A,2,done,t\nf2,A,1,,,,\n"
        ),
        "2+0"
    );
    assert_eq!(world.jsonl(Kind::Referrals, "{\"id\":\"f1\",\"referredAccountId\":\"A\",\"referredId\":\"1\"}\n"), "0+1");
    assert_eq!(
        world.rows("SELECT tenant, id, referrer, referred, status, createdAt FROM referrals ORDER BY id"),
        ["acme|f1||1||", "acme|f2|1|||"]
    );
}

#[test]
fn of_rows_with_one_key_the_last_of_the_file_stays() {
    let mut world = World::peopled();
    assert_eq!(world.csv(Kind::Customers, "accountId,id,firstName\nB,2,b\nA,3,z\nB,2,a\nA,3,y\n"), "2+2");
    assert_eq!(world.csv(Kind::Events, "id,accountId,userId,name\nf,A,2,z\ne,A,1,c\nf,A,2,a\ne,A,1,b\n"), "2+2");
    assert_eq!(world.csv(Kind::Referrals, "id,referrerAccountId,referrerId\nf,A,2\nf,A,3\nf,A,1\n"), "1+2");
    assert_eq!(world.rows("SELECT firstName FROM customers WHERE firstName NOT NULL ORDER BY 1"), ["a", "y"]);
    assert_eq!(world.rows("SELECT name FROM events ORDER BY 1"), ["a", "b"]);
    assert_eq!(world.rows("SELECT referrer FROM referrals"), ["1"]);
}

#[test]
fn bad_rows_are_told_by_line_and_left_out() {
    let mut world = World::peopled();
    assert_eq!(
        world.csv(Kind::Customers, "accountId,id,email\nA,1,x@@y\n,1,\n\nA,,\nA, 3,\nA\nA,4,,\nA,5,c@x.example\n\"A\nA\",6,\n"),
        "1+0, 2 email email_malformed, 3 accountId missing, 5 id missing, 6 id space_at_end, 7 - too_few_cells, 8 - too_many_cells, 10 accountId control_character"
    );
    assert_eq!(world.rows("SELECT id, email FROM customers WHERE id = '1'"), ["1|Ann@X.Example"]);
    assert_eq!(
        world.jsonl(Kind::Customers, "{\"accountId\":\"A\",\"id\":\"1\"}\n{}\n[1]\n{\"accountId\":\"A\",\"id\":\"2\",\"id\":\"3\"}\n"),
        "0+1, 2 accountId missing, 3 - json_malformed, 4 id json_duplicate_key"
    );
    assert_eq!(
        world.csv(Kind::Events, "id,accountId,userId\ne,A,1\ne,A,9\ne,B,1\ne,a,1\n"),
        "1+0, 3 userId unknown_customer, 4 userId unknown_customer, 5 userId unknown_customer"
    );
    assert_eq!(
        world.csv(
            Kind::Referrals,
            "id,referrerAccountId,referrerId,referredAccountId,referredId\n1,A,9,A,1\n2,A,1,A,9\n3,,,,\n4,A,,A,1\n5,A,1,,1\n,A,1,A,1\n"
        ),
        "0+0, 2 referrerId unknown_customer, 3 referredId unknown_customer, 4 - no_party, 5 referrerId missing, 6 referredAccountId missing, 7 id missing"
    );
}

#[test]
fn bad_rows_beyond_the_first_are_counted() {
    let mut world = World::new();
    let text = format!("accountId,id\n{}A,1\n", "A,\n".repeat(BAD_ROWS_MAX + 1));
    let loaded = world.load("acme", Kind::Customers, Format::Csv, text.as_bytes()).unwrap();
    assert_eq!((loaded.new, loaded.bad, loaded.bad_rows.len()), (1, BAD_ROWS_MAX as u64 + 1, BAD_ROWS_MAX));
}

#[test]
fn whom_a_suppression_names_is_refused_by_pair_and_by_address_and_for_that_tenant_only() {
    let mut world = World::peopled();
    world.suppress(SuppressionKind::Pair, key().pair(&tenant("acme"), "A", "3"));
    world.suppress(SuppressionKind::Email, key().email(&tenant("acme"), &Email::parse("cy@x.example").unwrap()));
    let people = "accountId,id,email\nA,3,\nA,4,CY@x.example\nA,5,eve@x.example\n";
    assert_eq!(world.csv(Kind::Customers, people), "1+0, 2 id suppressed, 3 email suppressed");
    assert_eq!(told(world.load("acme-2", Kind::Customers, Format::Csv, people.as_bytes())), "3+0");

    world.suppress(SuppressionKind::Email, key().email(&tenant("acme"), &Email::parse("ann@x.example").unwrap()));
    assert_eq!(world.csv(Kind::Fields, "accountId,userId,name\nA,3,n\nA,1,n\nA,2,n\n"), "1+0, 2 userId suppressed, 3 userId suppressed");
    let referral = "id,referrerAccountId,referrerId,referredAccountId,referredId\n1,A,2,A,1\n";
    assert_eq!(world.csv(Kind::Referrals, referral), "0+0, 2 referredId suppressed");
}

#[test]
fn a_tenant_neither_reaches_nor_replaces_what_is_anothers() {
    let mut world = World::peopled();
    world.csv(Kind::Referrals, "id,referrerAccountId,referrerId\nf,A,1\n");
    let before = (world.rows("SELECT * FROM customers"), world.rows("SELECT * FROM referrals"));
    let other = |world: &mut World, kind, text: &str| told(world.load("acme-2", kind, Format::Csv, text.as_bytes()));
    assert_eq!(other(&mut world, Kind::Events, "id,accountId,userId\ne,A,1\n"), "0+0, 2 userId unknown_customer");
    assert_eq!(other(&mut world, Kind::Referrals, "id,referrerAccountId,referrerId\nf,A,1\n"), "0+0, 2 referrerId unknown_customer");
    assert_eq!(other(&mut world, Kind::Customers, "accountId,id,email\nA,1,other@x.example\n"), "1+0");
    assert_eq!(other(&mut world, Kind::Referrals, "id,referrerAccountId,referrerId\nf,A,1\n"), "1+0");
    let own = |table: &str| format!("SELECT * FROM {table} WHERE tenant = 'acme'");
    assert_eq!((world.rows(&own("customers")), world.rows(&own("referrals"))), before);
}

#[test]
fn a_faulty_header_rejects_the_file() {
    let mut world = World::new();
    let mut check = |kind, text: &str, expected: &str| {
        assert_eq!(world.csv(kind, text), expected);
        assert_eq!(world.rows("SELECT * FROM customers"), Vec::<String>::new());
    };
    check(Kind::Customers, "accountId,email\nA,a@b.example\n", "missing_column at Some(1)");
    check(Kind::Customers, "accountid,id\nA,1\n", "near_miss_column at Some(1)");
    check(Kind::Customers, "accountId,id,Customer Email\nA,1,ann@x.example\n", "near_miss_column at Some(1)");
    check(Kind::Customers, "accountId,id,customer_emails\nA,1,ann@x.example\n", "near_miss_column at Some(1)");
    check(Kind::Customers, "accountId,id,id\nA,1,1\n", "duplicate_column at Some(1)");
    check(Kind::Referrals, "referrerAccountId,referrerId\nA,1\n", "missing_column at Some(1)");
    check(Kind::Customers, "", "empty_file at None");
    check(Kind::Customers, "accountId,id\n", "0+0");
}

#[test]
fn a_file_that_breaks_off_leaves_nothing() {
    /// Some rows, and then the disk fails.
    struct Failing<'a>(&'a [u8]);
    impl io::Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(io::Error::other("the disk is gone")) } else { self.0.read(buffer) }
        }
    }
    let mut world = World::new();
    let rows: String = (0..50_000).map(|n| format!("A,{n}\n")).collect();
    let text = format!("accountId,id\n{rows}");
    assert_eq!(told(world.load("acme", Kind::Customers, Format::Csv, Failing(text.as_bytes()))), "cannot read the file");
    assert_eq!(world.csv(Kind::Customers, &format!("{text}\"A,1\n")), "quote_not_closed at Some(50002)");
    assert_eq!(world.rows("SELECT count(*) FROM customers UNION ALL SELECT count(*) FROM accounts"), ["0", "0"]);
}

#[test]
fn the_log_is_emptied_after_a_load_and_another_writers_lock_is_told() {
    let mut world = World::peopled();
    let path = world.folder.path().join("store.db");
    assert_eq!(std::fs::metadata(path.with_extension("db-wal")).unwrap().len(), 0);
    let mut other = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let lock = other.connection_mut().transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let error = world.load("acme", Kind::Customers, Format::Csv, &b"accountId,id\nA,9\n"[..]).unwrap_err();
    assert!(error.busy(), "{error}");
    drop(lock);
    assert_eq!(world.csv(Kind::Customers, "accountId,id\nA,9\n"), "1+0");
}

#[test]
fn tells_how_far_it_is() {
    let mut world = World::new();
    let rows: String = (0..2_500).map(|n| format!("A,{n}\n")).collect();
    let (tenant, key) = (tenant("acme"), key());
    let what = Load { tenant: &tenant, kind: Kind::Customers, key: &key, format: Format::Csv, limits: Limits::default() };
    let mut told = Vec::new();
    load(&mut world.store, &what, format!("accountId,id\n{rows}").as_bytes(), |progress| told.push(progress)).unwrap();
    assert_eq!(told, [Progress::Rows(1_024), Progress::Rows(2_048), Progress::Committing]);
}
