//! A schema from the field: the part of Mastodon's that hangs on its users and their accounts, with the names and the words on
//! delete that it has there. The plan is derived and finished by hand; SQLite's own cascades on a copy say what must be left.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::world::{World, rows, tenant};
use crate::domain::{IdentityKey, Outcome, Settings};
use crate::purge::{Deriving, Engine, FindingKind, Plan, derive};
use crate::store::Create;

const SCHEMA: &str = r#"
CREATE TABLE accounts (id INTEGER PRIMARY KEY, username TEXT NOT NULL, domain TEXT, display_name TEXT, note TEXT,
    moved_to_account_id INTEGER REFERENCES accounts ON DELETE SET NULL, UNIQUE (username, domain));
CREATE TABLE invites (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE, code TEXT NOT NULL UNIQUE);
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, account_id INTEGER NOT NULL REFERENCES accounts (id),
    invite_id INTEGER REFERENCES invites (id) ON DELETE SET NULL, sign_up_ip TEXT);
CREATE TABLE statuses (id INTEGER PRIMARY KEY, uri TEXT UNIQUE, text TEXT NOT NULL, account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    in_reply_to_id INTEGER REFERENCES statuses (id) ON DELETE SET NULL, reblog_of_id INTEGER REFERENCES statuses (id) ON DELETE CASCADE,
    in_reply_to_account_id INTEGER REFERENCES accounts (id) ON DELETE SET NULL);
CREATE TABLE media_attachments (id INTEGER PRIMARY KEY, status_id INTEGER REFERENCES statuses (id) ON DELETE SET NULL,
    account_id INTEGER REFERENCES accounts (id) ON DELETE SET NULL, file_name TEXT);
CREATE TABLE favourites (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    status_id INTEGER NOT NULL REFERENCES statuses (id) ON DELETE CASCADE, UNIQUE (account_id, status_id));
CREATE TABLE mentions (id INTEGER PRIMARY KEY, status_id INTEGER NOT NULL REFERENCES statuses (id) ON DELETE CASCADE,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE);
CREATE TABLE follows (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    target_account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE, UNIQUE (account_id, target_account_id));
CREATE TABLE polls (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    status_id INTEGER NOT NULL REFERENCES statuses (id) ON DELETE CASCADE);
CREATE TABLE poll_votes (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    poll_id INTEGER NOT NULL REFERENCES polls (id) ON DELETE CASCADE, choice INTEGER);
CREATE TABLE notifications (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    from_account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE, type TEXT);
CREATE TABLE reports (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    target_account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    assigned_account_id INTEGER REFERENCES accounts (id) ON DELETE SET NULL, comment TEXT);
CREATE TABLE lists (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE, title TEXT);
CREATE TABLE list_accounts (list_id INTEGER NOT NULL REFERENCES lists (id) ON DELETE CASCADE,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE, PRIMARY KEY (list_id, account_id)) WITHOUT ROWID;
CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE statuses_tags (status_id INTEGER NOT NULL REFERENCES statuses (id), tag_id INTEGER NOT NULL REFERENCES tags (id),
    PRIMARY KEY (tag_id, status_id)) WITHOUT ROWID;
CREATE TABLE session_activations (id INTEGER PRIMARY KEY, session_id TEXT NOT NULL UNIQUE, user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE, ip TEXT);
CREATE TABLE login_activities (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE, ip TEXT);
CREATE TABLE admin_action_logs (id INTEGER PRIMARY KEY, account_id INTEGER REFERENCES accounts (id), action TEXT, human_identifier TEXT);
CREATE TABLE email_deliveries (id INTEGER PRIMARY KEY, payload TEXT NOT NULL);
CREATE TABLE preview_cards (id INTEGER PRIMARY KEY, url TEXT);
"#;

/// The tables that hang on each other, referring before referred to, and the indexes that the application has.
const TABLES: [&str; 21] = [
    "accounts",
    "invites",
    "users",
    "statuses",
    "media_attachments",
    "favourites",
    "mentions",
    "follows",
    "polls",
    "poll_votes",
    "notifications",
    "reports",
    "lists",
    "list_accounts",
    "tags",
    "statuses_tags",
    "session_activations",
    "login_activities",
    "admin_action_logs",
    "email_deliveries",
    "preview_cards",
];

const PEOPLE: i64 = 40;

fn fill(c: &Connection) {
    c.execute_batch("PRAGMA foreign_keys = OFF; BEGIN").unwrap();
    c.execute_batch(SCHEMA).unwrap();
    // A small generator of one's own: the same rows each time.
    let mut seed = 7_u64;
    let mut pick = |most: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(seed >> 33).unwrap() % most + 1
    };
    for n in 1..=PEOPLE + 10 {
        // The last ten are of other servers: accounts without a user here.
        let moved = if n % 9 == 0 { pick(PEOPLE).to_string() } else { "NULL".into() };
        c.execute_batch(&format!("INSERT INTO accounts VALUES ({n}, 'user{n}', NULL, 'Person {n}', 'about {n}', {moved})")).unwrap();
    }
    for n in 1..=PEOPLE {
        // Two users share an account here and there.
        let account = if n % 10 == 0 { n - 1 } else { n };
        let invite = if n % 3 == 0 { (n / 3).to_string() } else { "NULL".into() };
        c.execute_batch(&format!(
            "INSERT INTO invites VALUES ({n}, {}, 'code{n}'); INSERT INTO users VALUES ({n}, 'Person{n}@x.example', {account}, {invite}, '10.0.0.{n}');
             INSERT INTO session_activations VALUES ({n}, 's{n}', {n}, '10.0.0.{n}'); INSERT INTO login_activities (user_id) VALUES ({n});
             INSERT INTO email_deliveries (payload) VALUES ('{{\"to\":\"PERSON{n}@x.example\",\"n\":{n}}}'), ('not json')",
            pick(PEOPLE)
        ))
        .unwrap();
    }
    for n in 1..=300 {
        let (a, b) = (pick(PEOPLE + 10), pick(PEOPLE + 10));
        let earlier = |pick: i64| if n > 1 { (pick % (n - 1).max(1) + 1).to_string() } else { "NULL".into() };
        let reply = if n % 4 == 0 { earlier(pick(1_000)) } else { "NULL".into() };
        let reblog = if n % 5 == 0 { earlier(pick(1_000)) } else { "NULL".into() };
        let of = if n % 4 == 0 { b.to_string() } else { "NULL".into() };
        c.execute_batch(&format!("INSERT INTO statuses VALUES ({n}, 'u{n}', 'text {n}', {a}, {reply}, {reblog}, {of})")).unwrap();
        let status = pick(n);
        c.execute_batch(&format!(
            "INSERT INTO media_attachments (status_id, account_id, file_name) VALUES ({status}, {a}, 'f{n}');
             INSERT OR IGNORE INTO favourites (account_id, status_id) VALUES ({b}, {status});
             INSERT INTO mentions (status_id, account_id) VALUES ({n}, {b});
             INSERT OR IGNORE INTO follows (account_id, target_account_id) VALUES ({a}, {b});
             INSERT INTO notifications (account_id, from_account_id, type) VALUES ({a}, {b}, 'mention');
             INSERT OR IGNORE INTO statuses_tags VALUES ({n}, {});",
            pick(7)
        ))
        .unwrap();
        if n % 6 == 0 {
            c.execute_batch(&format!(
                "INSERT INTO polls (account_id, status_id) VALUES ({a}, {n}); INSERT INTO poll_votes (account_id, poll_id, choice) VALUES ({b}, {}, 1);
                 INSERT INTO reports (account_id, target_account_id, assigned_account_id, comment) VALUES ({a}, {b}, {}, 'c');
                 INSERT INTO lists (account_id, title) VALUES ({a}, 'l'); INSERT OR IGNORE INTO list_accounts VALUES ({}, {b});
                 INSERT INTO admin_action_logs (account_id, action, human_identifier) VALUES ({a}, 'suspend', 'user{a}')",
                n / 6,
                pick(PEOPLE),
                n / 6
            ))
            .unwrap();
        }
    }
    for n in 1..=7 {
        c.execute_batch(&format!(
            "INSERT INTO tags VALUES ({n}, 'tag{n}'); INSERT INTO preview_cards VALUES ({n}, 'http://x.example/{n}')"
        ))
        .unwrap();
    }
    c.execute_batch("COMMIT").unwrap();
}

fn index_all(c: &Connection) {
    for (table, columns) in [
        ("users", "account_id"),
        ("users", "invite_id"),
        ("invites", "user_id"),
        ("accounts", "moved_to_account_id"),
        ("statuses", "account_id"),
        ("statuses", "in_reply_to_id"),
        ("statuses", "reblog_of_id"),
        ("statuses", "in_reply_to_account_id"),
        ("media_attachments", "status_id"),
        ("media_attachments", "account_id"),
        ("favourites", "status_id"),
        ("mentions", "status_id"),
        ("mentions", "account_id"),
        ("follows", "target_account_id"),
        ("polls", "account_id"),
        ("polls", "status_id"),
        ("poll_votes", "account_id"),
        ("poll_votes", "poll_id"),
        ("notifications", "account_id"),
        ("notifications", "from_account_id"),
        ("reports", "account_id"),
        ("reports", "target_account_id"),
        ("reports", "assigned_account_id"),
        ("lists", "account_id"),
        ("list_accounts", "account_id"),
        ("statuses_tags", "status_id"),
        ("session_activations", "user_id"),
        ("login_activities", "user_id"),
        ("admin_action_logs", "account_id"),
    ] {
        c.execute_batch(&format!("CREATE INDEX {table}_by_{columns} ON {table} ({columns})")).unwrap();
    }
}

/// The derived plan with its choices made, as an operator would make them.
fn chosen(c: &Connection) -> Plan {
    let text = derive(c, &Deriving { subject: "users", account: Some("accounts"), tenant: Some(&tenant("acme")) }).unwrap();
    let open = Plan::parse(&text).unwrap_err().to_string();
    assert_eq!(open.matches("not chosen yet").count(), 2, "{open}\n{text}");
    let mut plan = String::new();
    let mut table = "";
    for line in text.lines() {
        table = line.strip_prefix("name = ").unwrap_or(table);
        let line = match (table, line) {
            ("\"admin_action_logs\"", line) if line.contains("CHOOSE") => "action = \"detach\"\norphans = \"keep\"",
            ("\"email_deliveries\"", line) if line.contains("CHOOSE") => "action = \"delete\"",
            ("\"email_deliveries\"", line) if line.contains("column = \"payload\"") => "{ column = \"payload\", path = \"$.to\" },",
            _ => line,
        };
        plan += &format!("{line}\n");
    }
    Plan::parse(&plan).unwrap_or_else(|faults| panic!("{faults}\n{plan}"))
}

fn all_rows(c: &Connection) -> BTreeMap<&'static str, Vec<String>> {
    let read = |table: &&'static str| {
        let mut statement = c.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).unwrap();
        let columns = statement.column_count();
        let line =
            |row: &rusqlite::Row<'_>| Ok((0..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect::<Vec<_>>().join("|"));
        (*table, statement.query_map([], line).unwrap().map(Result::unwrap).collect())
    };
    TABLES.iter().map(read).collect()
}

#[test]
fn people_of_a_many_table_application_are_gone_and_the_rest_is_whole_row_by_row() {
    let oracle = Connection::open_in_memory().unwrap();
    fill(&oracle);
    index_all(&oracle);
    let before = all_rows(&oracle);
    let plan = chosen(&oracle);

    // The oracle: by hand, one statement after the other, with the schema's own cascades.
    let gone: Vec<i64> = (1..=PEOPLE).filter(|n| n % 4 == 1 || n % 10 == 0).collect();
    oracle.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    for n in &gone {
        oracle
            .execute_batch(&format!(
                "CREATE TEMP TABLE left AS SELECT account_id FROM users WHERE id = {n}; DELETE FROM users WHERE id = {n};
                 DELETE FROM left WHERE account_id IN (SELECT account_id FROM users);
                 UPDATE admin_action_logs SET account_id = NULL WHERE account_id IN (SELECT account_id FROM left);
                 CREATE TEMP TABLE doomed AS WITH RECURSIVE d (id) AS (SELECT id FROM statuses WHERE account_id IN (SELECT account_id FROM left)
                    UNION SELECT s.id FROM statuses s JOIN d ON s.reblog_of_id = d.id) SELECT id FROM d;
                 DELETE FROM statuses_tags WHERE status_id IN (SELECT id FROM doomed);
                 DELETE FROM accounts WHERE id IN (SELECT account_id FROM left);
                 DELETE FROM email_deliveries WHERE payload LIKE '%\"PERSON{n}@%'; DROP TABLE temp.left; DROP TABLE temp.doomed"
            ))
            .unwrap();
    }
    let wanted = all_rows(&oracle);

    for (chunk, indexed) in [(1, true), (3, true), (100, true), (3, false)] {
        let world = World {
            folder: tempfile::TempDir::new().unwrap(),
            engine: Engine::new(plan.clone(), IdentityKey::new([7; 32])).unwrap(),
            create: Create::LedgerOnly,
        };
        let c = Connection::open(world.path()).unwrap();
        fill(&c);
        if indexed {
            index_all(&c);
        }
        world.open();
        let found = world.engine.inspect(world.read().connection(), 1_000).unwrap();
        let unindexed = found.iter().filter(|finding| finding.kind == FindingKind::Unindexed).count();
        assert_eq!((found.len(), unindexed == 0), (unindexed, indexed), "{found:#?}");
        let texts: Vec<_> = gone.iter().rev().map(|n| format!("person{n}@X.example")).collect();
        let matched = world.matched(&rows(&texts.iter().map(String::as_str).collect::<Vec<_>>()), Settings::default());
        if indexed {
            world.assert_no_scan_but(&rows(&["person1@x.example"]), &["email_deliveries", "users"]);
        }
        let (_, checked) = world.checked(&matched);
        let came = world.purge(&matched, chunk);
        assert_eq!(came, checked, "chunks of {chunk}");
        assert!(came.outcomes.iter().all(|outcome| *outcome == Outcome::Deleted));
        let after = all_rows(&c);
        for table in TABLES {
            assert_eq!(after[table], wanted[table], "{table} after chunks of {chunk}");
            assert_eq!(came.progress.removed.get(table), (before[table].len() - after[table].len()) as u64, "{table}");
        }
        let text = format!("{after:?}").to_lowercase();
        for n in &gone {
            assert!(!text.contains(&format!("person{n}@")) && !text.contains(&format!("10.0.0.{n}\"")), "person {n} is still there");
        }
        let bad: Option<String> =
            c.prepare("PRAGMA foreign_key_check").unwrap().query_map([], |row| row.get(0)).unwrap().next().map(Result::unwrap);
        assert_eq!(bad, None);
    }
}
