//! The peers: SQL as a competent person writes it by hand, run by the `sqlite3` program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::{self, Measure};

/// Whose tables.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Schema {
    Ordinary,
    BuiltIn,
}

/// A copy of a store to work on, with nothing of it left unwritten.
pub(crate) fn copy(dir: &Path, store: &Path) -> PathBuf {
    let work = dir.join("work.db");
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", work.display()));
    }
    std::fs::copy(store, &work).expect("the store can be copied");
    let synced = Command::new("sync").arg(&work).status().expect("sync");
    assert!(synced.success());
    work
}

/// The customers of the list, by the ordinary schema's tables.
const ORDINARY_WHO: &str = "SELECT id FROM customer WHERE tenant = 'acme' AND email IN (SELECT email FROM list)";

/// One `DELETE … IN (SELECT …)` on the customers, in one transaction: the schema's own cascades take the rest.
pub(crate) fn cascade(dir: &Path, store: &Path, list: &Path) -> Measure {
    one_transaction(dir, store, list, (ORDINARY_WHO, CASCADE))
}

/// One transaction of `DELETE … IN (SELECT …)`, table by table, children first.
pub(crate) fn by_table(dir: &Path, store: &Path, list: &Path, schema: Schema) -> Measure {
    let sql = match schema {
        Schema::Ordinary => (ORDINARY_WHO, ORDINARY),
        Schema::BuiltIn => {
            ("SELECT customer FROM customers WHERE tenant = 'acme' AND emailNormalised IN (SELECT email FROM list)", BUILT_IN)
        }
    };
    one_transaction(dir, store, list, sql)
}

fn one_transaction(dir: &Path, store: &Path, list: &Path, (who, body): (&str, &str)) -> Measure {
    let work = copy(dir, store);
    let script = format!(
        "PRAGMA foreign_keys=ON;\nPRAGMA secure_delete=ON;\nPRAGMA synchronous=FULL;\nCREATE TEMP TABLE list (email TEXT);\n\
         .mode csv\n.import --skip 1 {} list\nBEGIN IMMEDIATE;\n{}\nCOMMIT;\nPRAGMA wal_checkpoint(TRUNCATE);\n",
        list.display(),
        body.replace("WHO", who)
    );
    sqlite(&work, &script)
}

/// One statement an address and a table, each its own transaction.
pub(crate) fn one_by_one(dir: &Path, store: &Path, list: &Path) -> Measure {
    let work = copy(dir, store);
    let text = std::fs::read_to_string(list).expect("a list");
    let mut script = String::from("PRAGMA foreign_keys=ON;\nPRAGMA secure_delete=ON;\nPRAGMA synchronous=FULL;\n");
    for address in text.lines().skip(1) {
        let who = format!("SELECT id FROM customer WHERE tenant = 'acme' AND email = '{address}'");
        let _ = writeln!(script, "BEGIN;\n{}\nCOMMIT;", ORDINARY.replace("WHO", &who));
    }
    script.push_str("PRAGMA wal_checkpoint(TRUNCATE);\n");
    sqlite(&work, &script)
}

fn sqlite(work: &Path, script: &str) -> Measure {
    let file = work.with_extension("sql");
    std::fs::write(&file, script).expect("the script can be written");
    let input = std::fs::File::open(&file).expect("the script");
    measure::run(Command::new("sqlite3").arg("-bail").arg(work).stdin(input).stdout(Stdio::null()))
}

const CASCADE: &str = "
CREATE TEMP TABLE gone (account_id INTEGER PRIMARY KEY);
INSERT OR IGNORE INTO gone SELECT account_id FROM customer WHERE id IN (WHO);
DELETE FROM customer WHERE (tenant, email) IN (SELECT 'acme', email FROM list);
DELETE FROM referral WHERE referrer_id IS NULL AND referred_id IS NULL;
DELETE FROM account WHERE id IN (SELECT account_id FROM gone) AND NOT EXISTS (SELECT 1 FROM customer WHERE customer.account_id = account.id);";

const ORDINARY: &str = "
CREATE TEMP TABLE IF NOT EXISTS gone (account_id INTEGER PRIMARY KEY);
DELETE FROM gone;
INSERT OR IGNORE INTO gone SELECT account_id FROM customer WHERE id IN (WHO);
DELETE FROM reward WHERE customer_id IN (WHO);
DELETE FROM event WHERE customer_id IN (WHO);
DELETE FROM custom_field WHERE customer_id IN (WHO);
DELETE FROM referral WHERE referrer_id IN (WHO) AND (referred_id IS NULL OR referred_id IN (WHO));
DELETE FROM referral WHERE referred_id IN (WHO) AND referrer_id IS NULL;
UPDATE referral SET referrer_id = NULL WHERE referrer_id IN (WHO);
UPDATE referral SET referred_id = NULL WHERE referred_id IN (WHO);
DELETE FROM customer WHERE id IN (WHO);
DELETE FROM account WHERE id IN (SELECT account_id FROM gone) AND NOT EXISTS (SELECT 1 FROM customer WHERE customer.account_id = account.id);";

const BUILT_IN: &str = "
CREATE TEMP TABLE IF NOT EXISTS gone (accountId TEXT PRIMARY KEY);
DELETE FROM gone;
INSERT OR IGNORE INTO gone SELECT accountId FROM customers WHERE customer IN (WHO);
DELETE FROM rewards WHERE customer IN (WHO);
DELETE FROM events WHERE customer IN (WHO);
DELETE FROM custom_fields WHERE customer IN (WHO);
DELETE FROM referrals WHERE referrer IN (WHO) AND (referred IS NULL OR referred IN (WHO));
DELETE FROM referrals WHERE referred IN (WHO) AND referrer IS NULL;
UPDATE referrals SET referrer = NULL WHERE referrer IN (WHO);
UPDATE referrals SET referred = NULL WHERE referred IN (WHO);
DELETE FROM customers WHERE customer IN (WHO);
DELETE FROM accounts WHERE tenant = 'acme' AND accountId IN (SELECT accountId FROM gone)
    AND NOT EXISTS (SELECT 1 FROM customers WHERE customers.tenant = accounts.tenant AND customers.accountId = accounts.accountId);";
