//! A store in a temporary folder, filled by hand, and one way to run an import through it.

use std::convert::Infallible;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tempfile::TempDir;

use crate::domain::{Email, Flags, IdentityKey, ImportId, Mode, Outcome, Reason, RowError, Settings, SubjectKey, TenantName};
use crate::purge::accounts::{Accounts, Kept};
use crate::purge::people::{Look, People};
use crate::purge::{Checked, Ended, Ending, Engine, InputRow, Matched, Plan};
use crate::store::ledger::{self, NewExemption, NewImport, Origin, RowCustomers, SuppressionKind};
use crate::store::{Create, Options, Store};

pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) engine: Engine,
    pub(super) create: Create,
}

/// What an import came to, as far as a sender or an auditor sees it.
#[derive(Debug, PartialEq)]
pub(super) struct Came {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) customers: Vec<u32>,
    pub(super) progress: ledger::Progress,
    pub(super) tally: crate::domain::Tally,
}

pub(super) fn tenant(name: &str) -> TenantName {
    TenantName::parse(name).unwrap()
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

pub(super) const OPTIONS: Options = Options { cache_bytes: 1 << 20, busy_ms: 0 };

/// `ann@x.example`, `account/id`, or `!` for a bad row; then `+keep`, `-keep`, `+dnt`, `-dnt`.
pub(super) fn row(line: u64, text: &str) -> InputRow {
    let mut words = text.split(' ');
    let subject = match words.next().unwrap() {
        "!" => Err(RowError { column: Some("email".into()), reason: Reason::EmailMalformed }),
        word => Ok(match word.split_once('/') {
            Some((account, id)) => SubjectKey::Pair { account: account.into(), id: id.into() },
            None => SubjectKey::Email(Email::parse(word).unwrap()),
        }),
    };
    let mut flags = Flags::default();
    for word in words {
        let on = Some(word.starts_with('+'));
        match &word[1..] {
            "keep" => flags.preserve_empty_account = on,
            "dnt" => flags.do_not_track = on,
            other => panic!("{other}"),
        }
    }
    InputRow { line, subject, flags }
}

pub(super) fn rows(texts: &[&str]) -> Vec<InputRow> {
    (2..).zip(texts).map(|(line, text)| row(line, text)).collect()
}

impl World {
    pub(super) fn new() -> Self {
        let world = Self::with(Plan::builtin(), Create::Builtin);
        world.open();
        world
    }

    pub(super) fn with(plan: Plan, create: Create) -> Self {
        let engine = Engine::new(plan, IdentityKey::new([7; 32])).unwrap();
        Self { folder: TempDir::new().unwrap(), engine, create }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    pub(super) fn open(&self) -> Store {
        let store = Store::open(&self.path(), self.create, OPTIONS).unwrap();
        store.leave_keys_to_a_plan().unwrap();
        store
    }

    pub(super) fn read(&self) -> Store {
        Store::open_read_only(&self.path(), OPTIONS).unwrap()
    }

    pub(super) fn sql(&self, sql: &str) {
        self.open().connection().execute_batch(sql).unwrap();
    }

    pub(super) fn customer(&self, tenant: &str, account: &str, id: &str, email: &str) -> i64 {
        put_customer(self.open().connection(), tenant, account, id, email)
    }

    pub(super) fn referral(&self, id: i64, referrer: Option<i64>, referred: Option<i64>) {
        put_referral(self.open().connection(), id, referrer, referred);
    }

    pub(super) fn matched(&self, rows: &[InputRow], settings: Settings) -> Matched {
        let rows = rows.iter().cloned().map(Ok::<_, Infallible>);
        self.engine.match_rows(self.read().connection(), &tenant("acme"), settings, at(0), rows).unwrap()
    }

    pub(super) fn checked(&self, matched: &Matched) -> (Checked, Came) {
        let checked = self.engine.check(self.read().connection(), matched).unwrap();
        let came = came(&checked.outcomes, &checked.row_customers, checked.progress.clone(), checked.tally);
        (checked, came)
    }

    pub(super) fn import(&self, mode: Mode) -> ImportId {
        let new = NewImport {
            tenant: tenant("acme"),
            file: "june.csv".into(),
            mode,
            origin: Origin::Sftp,
            requested_by: None,
            request_case: None,
            settings: Settings::default(),
            map: vec![],
            seams: vec![],
            received_at: at(0),
            expected_sha256: None,
            refusal: None,
        };
        self.open().write("test", |transaction| ledger::insert(transaction, &new)).unwrap()
    }

    pub(super) fn begin(&self, matched: &Matched) -> ImportId {
        let import = self.import(Mode::Purge);
        self.engine.begin(&mut self.open(), import, matched).unwrap();
        import
    }

    /// Runs a whole import, the store closed and opened again between any two transactions.
    pub(super) fn purge(&self, matched: &Matched, chunk: u32) -> Came {
        let import = self.begin(matched);
        while self.engine.chunk(&mut self.open(), import, chunk, at(1)).unwrap().more {}
        self.finish(import, &Ending::Completed)
    }

    pub(super) fn finish(&self, import: ImportId, ending: &Ending) -> Came {
        let ended = self.engine.finish(&mut self.open(), import, ending, at(2), |ended| format!("report {}", ended.import.id)).unwrap();
        self.came(&ended)
    }

    pub(super) fn came(&self, ended: &Ended) -> Came {
        let store = self.read();
        let outcomes = ledger::outcomes(store.connection(), ended.import.id).unwrap();
        let customers = ledger::row_customers(store.connection(), ended.import.id, outcomes.len()).unwrap();
        came(&outcomes, &customers, ended.import.progress.clone(), ended.tally)
    }

    /// Asks SQLite how it would run each statement of a purge of these rows: no table of the user's may be read whole.
    pub(super) fn assert_no_scan(&self, rows: &[InputRow]) {
        self.assert_no_scan_but(rows, &[]);
    }

    /// The same, some tables aside.
    pub(super) fn assert_no_scan_but(&self, rows: &[InputRow], but: &[&str]) {
        let store = self.read();
        let connection = store.connection();
        let matched = self.matched(rows, Settings::default());
        let people = People::of(self.engine.plan(), matched.tenant()).unwrap();
        self.engine.survivors(&people, connection, matched.targets(), |_, _| Ok(false)).unwrap();
        if let Some(rule) = &self.engine.plan().account {
            let accounts = Accounts { people, rule, key: &self.engine.key, connection };
            accounts.touch().unwrap();
            accounts.doom(&Kept::These(&std::collections::HashSet::new())).unwrap();
        }
        self.engine.mark(&people, connection).unwrap();
        let mut all = vec![people.by_key(), people.delete_chunk()];
        all.extend([Look::Whole, Look::Address].map(|look| people.by_address(connection, look).unwrap()));
        all.extend(people.by_pair());
        for sql in all.into_iter().chain(self.engine.steps.statements()) {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let mut steps = statement.raw_query();
            while let Some(step) = steps.next().unwrap() {
                let step: String = step.get("detail").unwrap();
                let aside = but.iter().any(|table| step.split(' ').nth(1).is_some_and(|found| found.trim_start_matches("main.") == *table));
                assert!(!step.starts_with("SCAN") || step.contains("expunged_") || aside, "{step}\n{sql}");
            }
        }
    }

    /// Every value of the tables that a pattern names.
    pub(super) fn dump(&self, like: &str) -> String {
        let store = self.read();
        let c = store.connection();
        let mut tables = c.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?1 ORDER BY name").unwrap();
        let tables: Vec<String> = tables.query_map([like], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let mut text = String::new();
        for table in tables {
            let mut statement = c.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                text.push_str(&table);
                for at in 0..columns {
                    text.push('|');
                    match row.get_ref(at).unwrap() {
                        ValueRef::Null => {}
                        ValueRef::Integer(n) => text.push_str(&n.to_string()),
                        ValueRef::Real(n) => text.push_str(&n.to_string()),
                        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
                    }
                }
                text.push('\n');
            }
        }
        text
    }
}

/// A customer with one reward, two events and a custom field.
pub(super) fn put_customer(c: &Connection, tenant: &str, account: &str, id: &str, email: &str) -> i64 {
    c.execute("INSERT OR IGNORE INTO accounts VALUES (?1, ?2, NULL)", (tenant, account)).unwrap();
    let normal = Email::parse(email).ok().map(|email| email.as_str().to_owned());
    let row = (tenant, account, id, email, normal);
    c.execute("INSERT INTO customers (tenant, accountId, id, email, emailNormalised) VALUES (?1, ?2, ?3, ?4, ?5)", row).unwrap();
    let key = c.last_insert_rowid();
    c.execute("INSERT INTO rewards (customer, id) VALUES (?1, 'r')", [key]).unwrap();
    c.execute("INSERT INTO events (customer, id, properties) VALUES (?1, 'e1', ?2), (?1, 'e2', NULL)", (key, email)).unwrap();
    c.execute("INSERT INTO custom_fields (customer, name) VALUES (?1, 'size')", [key]).unwrap();
    key
}

pub(super) fn put_referral(c: &Connection, id: i64, referrer: Option<i64>, referred: Option<i64>) {
    let sql = "INSERT INTO referrals (referral, tenant, id, referrer, referred) VALUES (?1, 'acme', 'R' || ?1, ?2, ?3)";
    c.execute(sql, (id, referrer, referred)).unwrap();
}

fn came(outcomes: &[u8], customers: &RowCustomers, progress: ledger::Progress, tally: crate::domain::Tally) -> Came {
    let outcomes: Vec<_> = outcomes.iter().map(|byte| Outcome::from_byte(*byte).unwrap()).collect();
    let customers = (0..).zip(&outcomes).map(|(row, outcome)| customers.of(row, *outcome)).collect();
    Came { outcomes, customers, progress, tally }
}

/// Exempts `ann@x.example` or `account/id` for good.
pub(super) fn exempt(world: &World, named: &[&str]) {
    exempt_until(world, named, "2100-01-01");
}

pub(super) fn exempt_until(world: &World, named: &[&str], until: &str) {
    let key = IdentityKey::new([7; 32]);
    for name in named {
        let subject = row(1, name).subject.unwrap();
        let kind = if matches!(subject, SubjectKey::Email(_)) { SuppressionKind::Email } else { SuppressionKind::Pair };
        let (identity, until) = (key.subject(&tenant("acme"), &subject), until.parse().unwrap());
        let new = NewExemption { tenant: tenant("acme"), kind, identity, why: "a court".into(), until, by: "ann".into() };
        world.open().write("test", |transaction| ledger::exempt(transaction, &new, at(0))).unwrap();
    }
}
