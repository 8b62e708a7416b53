//! Connections, schema and ledger on real files.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use super::ledger::{self, FileFacts, NewImport, NewRequest, Origin};
use super::schema::{REFERRAL_PARTIES_TOGETHER, REFERRALS_TOGETHER, ReferralPlace, referral_place};
use super::*;
use crate::domain::{Dialect, ImportId, Mode, Settings, State, TenantName};

const OPTIONS: Options = Options { cache_bytes: 1 << 20, busy_ms: 0 };

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn pragma(store: &Store, name: &str) -> String {
    read(store.connection(), Box::leak(name.to_owned().into_boxed_str())).unwrap()
}

#[test]
fn every_connection_has_the_settings_that_secrecy_rests_on() {
    let (_folder, path) = folder();
    let written = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    for store in [&written, &Store::open_read_only(&path, OPTIONS).unwrap()] {
        let found = ["secure_delete", "temp_store", "foreign_keys", "mmap_size", "cache_size"].map(|name| pragma(store, name));
        assert_eq!(found, ["1", "2", "1", "0", "-1024"]);
    }
    let found = ["journal_mode", "synchronous", "wal_autocheckpoint", "auto_vacuum"].map(|name| pragma(&written, name));
    assert_eq!(found, ["wal", "2", "16000", "0"]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_database_without_a_ledger_reads_as_one_with_an_empty_ledger() {
    let (_folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY)").unwrap();
    let store = Store::open_read_only(&path, OPTIONS).unwrap();
    assert!(ledger::list(store.connection(), None, 10).unwrap().is_empty());
    assert!(ledger::get(store.connection(), ImportId(1)).unwrap().is_none());
    assert!(ledger::exemptions(store.connection(), None).unwrap().is_empty());
    assert!(ledger::suppression_counts(store.connection(), None).unwrap().is_empty());
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let (_folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY)").unwrap();
    // Permissions do not bind root. A version for writing that SQLite does not know does: its file format, section 1.3.3.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[18] = 3;
    std::fs::write(&path, bytes).unwrap();
    let error = Store::open(&path, Create::LedgerOnly, OPTIONS).unwrap_err();
    let told =
        format!("cannot write \"{}\", or the files that SQLite keeps beside it: attempt to write a readonly database", path.display());
    assert_eq!(crate::telemetry::chain(&error), format!("{told} (SQLite's code 8)"));
    assert!(Store::open_read_only(&path, OPTIONS).is_ok());
}

#[test]
fn what_is_no_ordinary_file_is_refused_and_not_waited_for() {
    let (folder, path) = folder();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    for path in [path.as_path(), Path::new("/dev/zero"), folder.path()] {
        let told = format!("cannot open the store \"{}\": it is no ordinary file", path.display());
        for opened in [
            Store::open(path, Create::Builtin, OPTIONS),
            Store::open(path, Create::LedgerOnly, OPTIONS),
            Store::open_read_only(path, OPTIONS),
        ] {
            assert_eq!(crate::telemetry::chain(&opened.unwrap_err()), told);
        }
    }
}

#[test]
fn says_which_setting_did_not_take() {
    let (_folder, path) = folder();
    let store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let error = set(store.connection(), "secure_delete", "ON", "2").unwrap_err();
    assert_eq!(error.to_string(), "SQLite keeps \"secure_delete\" at \"1\", not \"2\"");
}

#[test]
fn a_reader_cannot_write_and_sees_what_a_writer_commits() {
    let (_folder, path) = folder();
    let mut writer = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let reader = Store::open_read_only(&path, OPTIONS).unwrap();
    assert!(reader.connection().execute("INSERT INTO accounts VALUES ('acme', 'a', NULL)", []).is_err());
    writer.write("test", |t| t.execute("INSERT INTO accounts VALUES ('acme', 'a', NULL)", []).doing("test")).unwrap();
    let count: i64 = reader.connection().query_row("SELECT count(*) FROM accounts", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

#[test]
fn refuses_a_missing_database_and_newer_tables() {
    let (_folder, path) = folder();
    assert!(matches!(Store::open(&path, Create::LedgerOnly, OPTIONS), Err(StoreError::Missing(_))));
    assert!(!path.exists());
    let store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    store.connection().execute("UPDATE expunged_meta SET value = 99", []).unwrap();
    drop(store);
    assert!(matches!(Store::open(&path, Create::Builtin, OPTIONS), Err(StoreError::Newer { found: 99, known: 1 })));
}

#[test]
fn refuses_a_database_that_has_a_table_by_a_name_of_the_ledgers_and_leaves_it_as_it_is() {
    for table in ["expunged_imports (n)", "expunged_meta (version)", "EXPUNGED_HOLDS (n)"] {
        let (_folder, path) = folder();
        Connection::open(&path).unwrap().execute_batch(&format!("CREATE TABLE {table}")).unwrap();
        let opened = Store::open(&path, Create::LedgerOnly, OPTIONS);
        assert!(matches!(&opened, Err(StoreError::NameTaken(name)) if table.to_ascii_lowercase().starts_with(name)), "{:?}", opened.err());
        let tables = "SELECT count(*) FROM sqlite_schema";
        assert_eq!(Connection::open(&path).unwrap().query_row(tables, [], |row| row.get::<_, u32>(0)).unwrap(), 1);
    }
}

#[test]
fn refuses_a_database_whose_application_keeps_its_journal() {
    for (mode, refused) in [("persist", true), ("truncate", false), ("delete", false), ("wal", false)] {
        let (_folder, path) = folder();
        let application = Connection::open(&path).unwrap();
        application.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).unwrap();
        application.execute_batch("CREATE TABLE people (name TEXT); INSERT INTO people VALUES ('jo'); DELETE FROM people").unwrap();
        let opened = Store::open(&path, Create::LedgerOnly, OPTIONS);
        assert_eq!(matches!(opened, Err(StoreError::JournalPersists)), refused, "{mode}: {:?}", opened.err());
    }
}

#[test]
fn a_journal_that_a_killed_writer_never_synced_is_not_taken_for_one_that_is_kept() {
    let (_folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE people (name TEXT); INSERT INTO people VALUES ('jo')").unwrap();
    // Magic and count are written by the sync: until then SQLite does not roll it back.
    let mut journal = vec![0; 12];
    journal.extend([7, 7, 7, 7, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 16, 0]);
    journal.resize(512 + 4 + 4096 + 4, 1);
    std::fs::write(path.with_extension("db-journal"), journal).unwrap();
    let store = Store::open(&path, Create::LedgerOnly, OPTIONS).unwrap();
    assert!(!path.with_extension("db-journal").exists(), "the first write deletes it");
    assert_eq!(store.connection().query_row("SELECT name FROM people", [], |row| row.get::<_, String>(0)).unwrap(), "jo");
}

#[test]
fn a_checkpoint_empties_the_log_unless_a_reader_is_in_the_way() {
    let (_folder, path) = folder();
    let store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let log = || std::fs::metadata(path.with_extension("db-wal")).unwrap().len();
    let reader = Store::open_read_only(&path, OPTIONS).unwrap();
    let snapshot = reader.connection().unchecked_transaction().unwrap();
    snapshot.query_row("SELECT count(*) FROM accounts", [], |_| Ok(())).unwrap();
    store.connection().execute("INSERT INTO accounts VALUES ('acme', 'a', NULL)", []).unwrap();
    assert!(store.checkpoint().unwrap().busy);
    assert!(log() > 0);
    drop(snapshot);
    assert!(!store.checkpoint().unwrap().busy);
    assert_eq!(log(), 0);
}

#[test]
fn a_log_is_brought_back_on_another_thread_as_far_as_a_reader_of_the_first_connection_has_seen() {
    let (_folder, path) = folder();
    let mut store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let keeper = store.log_keeper().unwrap();
    let put =
        |t: &rusqlite::Transaction<'_>| t.execute("INSERT INTO accounts VALUES ('acme', 'held-by-nobody-else', NULL)", []).doing("test");
    store.write_for_now("test", put).unwrap();
    let in_file = || std::fs::read(&path).unwrap().windows(19).any(|bytes| bytes == b"held-by-nobody-else");
    assert!(!in_file());
    let reader = store.connection_mut().transaction().unwrap();
    reader.query_row("SELECT count(*) FROM accounts", [], |_| Ok(())).unwrap();
    std::thread::spawn(move || assert!(keeper.bring_back().unwrap().is_whole())).join().unwrap();
    assert!(in_file());
    drop(reader);
    let log = || std::fs::metadata(path.with_extension("db-wal")).unwrap().len();
    let before = log();
    store.write("test", |t| t.execute("DELETE FROM accounts", []).doing("test")).unwrap();
    assert!(log() <= before, "the log begins anew");
}

#[test]
fn whatever_is_written_for_now_the_next_commit_is_durable() {
    let (_folder, path) = folder();
    let mut store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let level = |c: &Connection| c.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0)).unwrap();
    let (full, normal) = (2, 1);
    assert_eq!(store.write_for_now("test", |t| Ok::<_, StoreError>(level(t))).unwrap(), normal);
    assert_eq!(level(store.connection()), full);
    assert!(store.write_for_now("test", |_| Err::<(), _>(StoreError::NoImport(7))).is_err());
    assert_eq!(level(store.connection()), full);
    let (_folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE people (name TEXT)").unwrap();
    let mut without_log = Store::open(&path, Create::LedgerOnly, OPTIONS).unwrap();
    assert_eq!(without_log.write_for_now("test", |t| Ok::<_, StoreError>(level(t))).unwrap(), full);
    assert!(without_log.log_keeper().is_none());
    // As where SQLite refused to raise it again: it reads the schema for that, which may fail.
    store.connection.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
    store.lowered = true;
    assert_eq!(store.write("test", |t| Ok::<_, StoreError>(level(t))).unwrap(), full);
}

#[test]
fn another_writer_makes_it_busy_and_nothing_else_does() {
    let (_folder, path) = folder();
    let mut store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.write("test", |_| Ok::<_, StoreError>(())).unwrap_err();
    assert!(error.busy(), "{error}");
    assert!(!StoreError::NoImport(1).busy());
}

#[test]
fn a_referral_is_found_by_its_id_and_stands_beside_those_of_its_partys_neighbours() {
    let (_folder, path) = folder();
    let store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let c = store.connection();
    let place = |tenant: &str, id: &str, group: i64| {
        let places =
            [0, REFERRAL_PARTIES_TOGETHER - 1].map(|n| referral_place(c, tenant, id, group * REFERRAL_PARTIES_TOGETHER + n).unwrap());
        // The key says no more than which group of customers it was.
        assert_eq!(places[0], places[1]);
        places[0]
    };
    let put = |key: i64, id: &str| {
        c.execute("INSERT INTO referrals (referral, tenant, id) VALUES (?1, 'acme', ?2)", (key, id)).unwrap();
    };
    let first = 7 * REFERRALS_TOGETHER;
    assert_eq!(place("acme", "R1", 7), ReferralPlace::Free(Some(first)));
    put(first, "R1");
    assert_eq!(place("acme", "R1", 9), ReferralPlace::There(first));
    assert_eq!(
        (place("acme", "R2", 7), place("other", "R1", 7)),
        (ReferralPlace::Free(Some(first + 1)), ReferralPlace::Free(Some(first + 1)))
    );
    put(first + REFERRALS_TOGETHER - 1, "R3");
    assert_eq!(place("acme", "R4", 7), ReferralPlace::Free(None));
    assert_eq!(place("acme", "R4", 8), ReferralPlace::Free(Some(first + REFERRALS_TOGETHER)));
    assert_eq!(referral_place(c, "acme", "R4", i64::MAX).unwrap(), ReferralPlace::Free(None));
}

fn new_import(tenant: &str, file: &str) -> NewImport {
    NewImport {
        tenant: TenantName::parse(tenant).unwrap(),
        file: file.into(),
        mode: Mode::Purge,
        origin: Origin::Command,
        requested_by: Some("jo".into()),
        request_case: Some("CASE-1".into()),
        settings: Settings { preserve_empty_accounts: true, do_not_track: false },
        map: vec![("E-mail".into(), "Customer Email".into())],
        seams: vec![4096],
        received_at: at(0),
        expected_sha256: None,
        refusal: None,
    }
}

#[test]
fn an_import_reads_back_as_it_was_written() {
    let (_folder, path) = folder();
    let mut store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let new = new_import("acme", "june.csv");
    let id = store.write("test", |t| ledger::insert(t, &new)).unwrap();
    let warnings = ["no final line end".to_owned()];
    let facts =
        FileFacts { bytes: 12, sha256: "ab", reading: None, dialect: Some(Dialect::EmailCsv), warnings: &warnings, started_at: at(1) };
    store.write("test", |t| ledger::note_file(t, id, &facts)).unwrap();
    store.write("test", |t| ledger::note_file(t, id, &FileFacts { started_at: at(9), ..facts })).unwrap();
    assert_eq!(store.write("test", |t| ledger::note_attempt(t, id)).unwrap(), 1);
    let row = ledger::require(store.connection(), id).unwrap();
    assert_eq!((row.file.as_str(), row.state, row.origin, row.attempts), ("june.csv", State::Received, Origin::Command, 1));
    assert_eq!((row.settings, row.map, row.seams), (new.settings, new.map, new.seams));
    assert_eq!((row.bytes, row.dialect, row.started_at, row.warnings.len()), (Some(12), Some(Dialect::EmailCsv), Some(at(1)), 1));
    assert_eq!((row.requested_by.as_deref(), row.request_case.as_deref()), (Some("jo"), Some("CASE-1")));
}

#[test]
fn finds_imports_by_what_is_asked_for() {
    let (_folder, path) = folder();
    let mut store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let mut put = |tenant: &str, file: &str, sha256: &str| {
        store
            .write("test", |t| {
                let id = ledger::insert(t, &new_import(tenant, file))?;
                ledger::note_file(t, id, &FileFacts { bytes: 1, sha256, reading: None, dialect: None, warnings: &[], started_at: at(1) })?;
                Ok::<_, StoreError>(id)
            })
            .unwrap()
    };
    let (a, b, c, d) = (put("acme", "x", "1"), put("acme", "y", "1"), put("acme-2", "x", "1"), put("acme", "x", "2"));
    store.write("test", |t| ledger::set_archived(t, a)).unwrap();
    let acme = TenantName::parse("acme").unwrap();
    let read = store.connection();
    let ids = |rows: Vec<ledger::ImportRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(ledger::list(read, None, 3).unwrap()), [d, c, b]);
    assert_eq!(ids(ledger::list(read, Some(&acme), 9).unwrap()), [d, b, a]);
    assert_eq!(ids(ledger::unarchived(read, &acme).unwrap()), [b, d]);
    let told_by_newer = |id| ledger::told_by_newer(read, &ledger::require(read, id).unwrap()).unwrap();
    assert_eq!([a, b, c, d].map(told_by_newer), [true, false, false, false]);
    assert_eq!(ledger::last_taken(read, &acme, "x", Mode::Purge).unwrap(), None, "a command's list was taken from no folder");
    let same = |id| ledger::same_bytes(read, &ledger::require(read, id).unwrap()).unwrap();
    assert_eq!([a, b, c, d].map(same), [None, Some(a), None, None]);
    assert!(matches!(ledger::require(read, ImportId(99)), Err(StoreError::NoImport(99))));
}

#[test]
fn a_withdrawn_imports_number_is_not_given_again() {
    let (_folder, path) = folder();
    let mut store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let first = store.write("test", |t| ledger::insert(t, &new_import("acme", "x"))).unwrap();
    store.write("test", |t| ledger::withdraw(t, first)).unwrap();
    let second = store.write("test", |t| ledger::insert(t, &new_import("acme", "x"))).unwrap();
    assert!(second > first);
    store.write("test", |t| ledger::set_state(t, second, State::Checking, None, None)).unwrap();
    assert!(store.write("test", |t| ledger::withdraw(t, second)).is_err());
}

#[test]
fn a_request_is_taken_once_and_answered_once() {
    let (_folder, path) = folder();
    let mut store = Store::open(&path, Create::Builtin, OPTIONS).unwrap();
    let ask = |body| NewRequest { kind: "cancel".into(), body, by: "jo".into() };
    let first = store.write("test", |t| ledger::insert_request(t, &ask(json!({"import": 1})), at(0))).unwrap();
    let second = store.write("test", |t| ledger::insert_request(t, &ask(json!({"import": 2})), at(0))).unwrap();
    let mut take = || store.write("test", |t| ledger::take_request(t, at(1))).unwrap().map(|request| request.id);
    assert_eq!([take(), take(), take()], [Some(first), Some(second), None]);
    assert!(store.write("test", |t| ledger::finish_request(t, first, &json!("done"), at(2))).unwrap());
    assert!(!store.write("test", |t| ledger::finish_request(t, first, &json!("again"), at(3))).unwrap());
    let open: Vec<_> = ledger::open_requests(store.connection()).unwrap().iter().map(|request| request.id).collect();
    assert_eq!(open, [second]);
    let answered = ledger::request(store.connection(), first).unwrap().unwrap();
    assert_eq!((answered.result, answered.body, answered.finished_at), (Some(json!("done")), json!({"import": 1}), Some(at(2))));
}
