//! Stores and lists: the same ones each time, made once and copied for each run.
//!
//! About 11 dependent rows a customer: 2 referrals, 1 reward, 5 events of which one holds the address, 2 custom fields, 0.9 accounts.
//! Nine of ten customers are of the tenant that is purged. The ordinary schema's children are written in order of time, which
//! scatters a customer's rows, as an application does. Each table's order and each list's is a random one of its own: where a
//! list follows the order in which some table was written, its rows stand side by side, and deleting them is a tenth of the work.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use expunged::store::schema::{REFERRAL_PARTIES_TOGETHER, REFERRALS_TOGETHER};
use expunged::store::{Create, Options, Store};
use rusqlite::{Connection, params};

/// How large a store is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) customers: usize,
}

/// Pristine stores. Runs work on copies.
pub(crate) struct Stores {
    pub(crate) builtin: PathBuf,
    pub(crate) ordinary: PathBuf,
}

pub(crate) const TENANT: &str = "acme";

/// The stores of this size, made where they are missing; the ordinary one where a side works on it.
pub(crate) fn stores(dir: &Path, size: Size, ordinary_too: bool) -> Stores {
    let stores = Stores {
        builtin: dir.join(format!("builtin-{}.db", size.customers)),
        ordinary: dir.join(format!("ordinary-{}.db", size.customers)),
    };
    make(&stores.builtin, |path| builtin(path, size));
    if ordinary_too {
        make(&stores.ordinary, |path| ordinary(path, size));
    }
    stores
}

fn make(path: &Path, fill: impl FnOnce(&Path)) {
    if path.exists() {
        return;
    }
    eprintln!("making {}", path.display());
    let draft = path.with_extension("draft");
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", draft.display()));
    }
    fill(&draft);
    let moved = std::process::Command::new("mv").arg(&draft).arg(path).status().expect("mv");
    assert!(moved.success());
}

/// The numbers below `count` in an order that only `what` decides.
fn scattered(what: &str, count: usize) -> Vec<u32> {
    let seed = what.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte));
    let mut all: Vec<u32> = (0..u32::try_from(count).expect("a bench's store is small")).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut all);
    all
}

fn tenant(n: usize) -> &'static str {
    if n % 10 == 9 { "other" } else { TENANT }
}

/// Addresses sort otherwise than the keys of those who have them.
pub(crate) fn address(n: usize) -> String {
    format!("{:08x}.{n}@mail{}.example", fastrand::Rng::with_seed(n as u64).u32(..), n % 97)
}

fn account(n: usize) -> usize {
    // One account in ten has two users.
    if n % 11 == 10 { n - 1 } else { n }
}

fn fill(connection: &Connection, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) {
    connection.execute_batch("PRAGMA synchronous=OFF; PRAGMA cache_size=-400000; BEGIN").expect("begins");
    work(connection).expect("the store fills");
    connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").expect("commits");
}

fn builtin(path: &Path, size: Size) {
    let mut store = Store::open(path, Create::Builtin, Options { cache_bytes: 400 << 20, busy_ms: 0 }).expect("a store");
    fill(store.connection_mut(), |c| {
        let mut accounts = c.prepare("INSERT OR IGNORE INTO accounts (tenant, accountId) VALUES (?1, ?2)")?;
        let mut customers = c.prepare(
            "INSERT INTO customers (tenant, accountId, id, email, emailNormalised, firstName, lastName) VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)",
        )?;
        let mut rewards =
            c.prepare("INSERT INTO rewards (customer, id, type, amount, status) VALUES (?1, ?2, 'credit', '10.00', 'pending')")?;
        let mut events = c.prepare("INSERT INTO events (customer, id, name, occurredAt, properties) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut fields = c.prepare("INSERT INTO custom_fields (customer, name, value) VALUES (?1, ?2, ?3)")?;
        for n in 0..size.customers {
            let key = n as i64 + 1;
            accounts.execute(params![tenant(account(n)), format!("a{}", account(n))])?;
            customers.execute(params![
                tenant(account(n)),
                format!("a{}", account(n)),
                format!("u{n}"),
                address(n),
                "First",
                format!("Last{n}")
            ])?;
            rewards.execute(params![key, format!("r{n}")])?;
            for i in 0..5 {
                events.execute(params![key, format!("e{n}-{i}"), "purchase", "2026-03-01T00:00:00Z", properties(n, i)])?;
            }
            for i in 0..2 {
                fields.execute(params![key, format!("field{i}"), format!("value {n}")])?;
            }
        }
        let mut referrals =
            c.prepare("INSERT INTO referrals (referral, tenant, id, referrer, referred, status) VALUES (?1, ?2, ?3, ?4, ?5, 'converted')")?;
        let mut together = vec![0; size.customers / REFERRAL_PARTIES_TOGETHER as usize + 1];
        for (at, (from, to)) in parties(size.customers).enumerate() {
            // As `load` keys them: beside those of the referrer's neighbours, in the order in which they came.
            let group = (from + 1) / REFERRAL_PARTIES_TOGETHER as usize;
            let key = group as i64 * REFERRALS_TOGETHER + together[group];
            together[group] += 1;
            referrals.execute(params![key, tenant(from), format!("f{at}"), from as i64 + 1, to as i64 + 1])?;
        }
        Ok(())
    });
}

/// The schema that most applications have: rowid tables, an index on each key.
const ORDINARY: &str = "
CREATE TABLE account (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE customer (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, account_id INTEGER NOT NULL REFERENCES account(id), user_id TEXT NOT NULL,
    email TEXT NOT NULL, first_name TEXT, last_name TEXT);
CREATE TABLE reward (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer(id) ON DELETE CASCADE, type TEXT, amount TEXT, status TEXT);
CREATE TABLE event (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer(id) ON DELETE CASCADE, name TEXT, occurred_at TEXT, properties TEXT);
CREATE TABLE custom_field (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer(id) ON DELETE CASCADE, name TEXT, value TEXT);
CREATE TABLE referral (id INTEGER PRIMARY KEY, referrer_id INTEGER REFERENCES customer(id) ON DELETE SET NULL,
    referred_id INTEGER REFERENCES customer(id) ON DELETE SET NULL, status TEXT);";

const ORDINARY_INDEXES: &str = "
CREATE UNIQUE INDEX customer_by_email ON customer (tenant, email);
CREATE INDEX customer_by_account ON customer (account_id);
CREATE INDEX reward_by_customer ON reward (customer_id);
CREATE INDEX event_by_customer ON event (customer_id);
CREATE INDEX custom_field_by_customer ON custom_field (customer_id);
CREATE INDEX referral_by_referrer ON referral (referrer_id);
CREATE INDEX referral_by_referred ON referral (referred_id);";

fn ordinary(path: &Path, size: Size) {
    let connection = Connection::open(path).expect("a database");
    connection.execute_batch("PRAGMA journal_mode=WAL").expect("WAL");
    connection.execute_batch(ORDINARY).expect("tables");
    fill(&connection, |c| {
        let mut accounts = c.prepare("INSERT OR IGNORE INTO account VALUES (?1, ?2, ?3)")?;
        let mut customers = c.prepare("INSERT INTO customer VALUES (?1, ?2, ?3, ?4, ?5, 'First', ?6)")?;
        for n in 0..size.customers {
            accounts.execute(params![account(n) as i64 + 1, tenant(account(n)), format!("a{}", account(n))])?;
            customers.execute(params![
                n as i64 + 1,
                tenant(account(n)),
                account(n) as i64 + 1,
                format!("u{n}"),
                address(n),
                format!("Last{n}")
            ])?;
        }
        let mut rewards = c.prepare("INSERT INTO reward (customer_id, type, amount, status) VALUES (?1, 'credit', '10.00', 'pending')")?;
        let mut events = c.prepare(
            "INSERT INTO event (customer_id, name, occurred_at, properties) VALUES (?1, 'purchase', '2026-03-01T00:00:00Z', ?2)",
        )?;
        let mut fields = c.prepare("INSERT INTO custom_field (customer_id, name, value) VALUES (?1, ?2, ?3)")?;
        for i in 0..5 {
            for n in scattered(&format!("event {i}"), size.customers) {
                events.execute(params![n + 1, properties(n as usize, i)])?;
            }
        }
        for n in scattered("reward", size.customers) {
            rewards.execute([n + 1])?;
        }
        for i in 0..2 {
            for n in scattered(&format!("field {i}"), size.customers) {
                fields.execute(params![n + 1, format!("field{i}"), format!("value {n}")])?;
            }
        }
        let mut referrals = c.prepare("INSERT INTO referral (referrer_id, referred_id, status) VALUES (?1, ?2, 'converted')")?;
        for (from, to) in parties(size.customers) {
            referrals.execute([from as i64 + 1, to as i64 + 1])?;
        }
        c.execute_batch(ORDINARY_INDEXES)
    });
}

fn properties(n: usize, i: usize) -> String {
    if i == 0 { format!("{{\"email\":\"{}\"}}", address(n)) } else { format!("{{\"order\":{n},\"total\":\"{i}0.00\"}}") }
}

/// Who refers whom: each customer refers two, and is referred by two, anybody.
fn parties(customers: usize) -> impl Iterator<Item = (usize, usize)> {
    let all = move |what: &'static str| (0..2).flat_map(move |i| scattered(&format!("{what} {i}"), customers));
    std::iter::zip(all("referrer"), all("referred")).map(|(from, to)| (from as usize, to as usize))
}

/// What becomes of the ordinary schema's tables: the same as of the built-in ones.
pub(crate) const ORDINARY_PLAN: &str = r#"
[subject]
table = "customer"
key = "id"
tenancy = { column = "tenant" }
address = { column = "email", compare = "exact" }

[account]
table = "account"
columns = ["id"]
subject_columns = ["account_id"]

[[table]]
name = "custom_field"
action = "delete"
edges = [{ columns = ["customer_id"], parent = "customer", parent_columns = ["id"] }]

[[table]]
name = "event"
action = "delete"
edges = [{ columns = ["customer_id"], parent = "customer", parent_columns = ["id"] }]

[[table]]
name = "referral"
action = "detach"
orphans = "delete"
edges = [
    { columns = ["referred_id"], parent = "customer", parent_columns = ["id"] },
    { columns = ["referrer_id"], parent = "customer", parent_columns = ["id"] },
]

[[table]]
name = "reward"
action = "delete"
edges = [{ columns = ["customer_id"], parent = "customer", parent_columns = ["id"] }]
"#;

/// A list of `rows` of the tenant's customers, in no order.
pub(crate) fn list(dir: &Path, size: Size, rows: usize) -> PathBuf {
    let mut text = String::from("Customer Email\n");
    let people = scattered("list", size.customers).into_iter().map(|n| n as usize).filter(|n| tenant(account(*n)) == TENANT);
    for n in people.take(rows) {
        let _ = writeln!(text, "{}", address(n));
    }
    write(&dir.join(format!("list-{}-{rows}.csv", size.customers)), &text)
}

/// A list of as many whom nobody knows: what a purge of it costs is bookkeeping.
pub(crate) fn strangers(dir: &Path, rows: usize) -> PathBuf {
    let mut text = String::from("Customer Email\n");
    for n in 0..rows {
        let _ = writeln!(text, "stranger.{n}@nowhere{}.example", n % 89);
    }
    write(&dir.join(format!("strangers-{rows}.csv")), &text)
}

fn write(path: &Path, text: &str) -> PathBuf {
    std::fs::write(path, text).expect("the list can be written");
    path.to_owned()
}
