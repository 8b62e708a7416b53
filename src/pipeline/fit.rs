//! Whether the erasure plan still fits the database, and whether the application uses it meanwhile.
//!
//! A plan that does not fit pauses purging, not receiving: imports keep their state, their status says why, the log says it once,
//! and each is tried again until the plan fits. One whose deletions have begun fails after some tries and waits for an operator.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tracing::{error, info, warn};

use super::import::Step;
use super::pace::Reach;
use super::{Fault, Pipeline};
use crate::domain::{ImportId, State};
use crate::purge::{Fit, PlanError, PurgeError};
use crate::store::ledger::{self, ImportRow};
use crate::store::{Doing, StoreError};

/// The stable code of an import that waits for its plan.
const REASON: &str = "plan_does_not_fit";

/// Longest rest between two looks whether the plan fits again, which cost a few milliseconds each.
pub(super) const MISFIT_REST_MAX: Duration = Duration::from_secs(15);

/// Tries after which an import whose deletions have begun has failed. With the back-off, about a minute.
const TRIES: u32 = 9;

/// How long the application is remembered after it was seen to write.
const OTHERS_FOR: Duration = Duration::from_secs(30);

/// What is known of the database beside us.
#[derive(Debug, Default)]
pub(super) struct Fitting {
    /// The shape that was looked at, and how the plan fits it.
    known: Option<(i64, Fit)>,
    /// What the log was told.
    told: Option<String>,
    tries: HashMap<ImportId, u32>,
    /// What changes when another connection commits.
    data_version: i64,
    others_until: Option<Instant>,
}

impl Fitting {
    /// Another plan has come. Who else writes is still known.
    pub(super) fn forget_plan(&mut self) {
        (self.known, self.told) = (None, None);
        self.tries.clear();
    }

    /// Somebody else writes to the database.
    pub(super) fn saw_others(&mut self, now: Instant) {
        self.others_until = Some(now + OTHERS_FOR);
    }

    /// Whether somebody else was seen to write lately.
    pub(super) fn others(&self, now: Instant) -> bool {
        self.others_until.is_some_and(|until| now < until)
    }

    /// How chunks find their rows, as far as it is known.
    pub(super) fn reach(&self) -> Reach {
        if self.known.is_some_and(|(_, fit)| fit.scans) { Reach::WholeTable } else { Reach::Index }
    }
}

impl Pipeline {
    /// The digest of the plan that it works by.
    #[must_use]
    pub fn plan_digest(&self) -> &str {
        self.engine.plan_digest()
    }

    /// Whether the plan fits the database as it is now.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn fit(&mut self) -> Result<(), PlanError> {
        let connection = self.store.connection();
        if self.fitting.data_version == 0 {
            // From the start on, what others commit counts.
            self.fitting.data_version = pragma(connection, "data_version")?;
        }
        let shape = shape_version(connection)?;
        let fit = self.engine.fits(connection, self.options.unindexed_rows_max)?;
        self.fitting.known = Some((shape, fit));
        Ok(())
    }

    /// The same, told to the log where that is news. The daemon starts all the same: each import looks again.
    pub fn tell_fit(&mut self) {
        if let Err(error) = self.news_of_fit() {
            warn!(cause = Fault::from(error).chain(), "plan not looked at: the store cannot be read");
        }
    }

    fn news_of_fit(&mut self) -> Result<(), StoreError> {
        let told = match self.fit() {
            Ok(()) => None,
            Err(PlanError::Store(error)) => return Err(error),
            Err(misfit) => Some(misfit.to_string()),
        };
        if told == self.fitting.told {
            return Ok(());
        }
        match &told {
            Some(cause) => {
                let hint = "receiving goes on; see all that is in the way with: expunged plan check; purging goes on by itself once the database is mended, and once a mended plan is reloaded by SIGHUP (systemctl reload expunged)";
                error!(cause, hint, "purging paused: the erasure plan cannot be worked by");
            }
            None => info!("purging goes on: the erasure plan fits"),
        }
        self.fitting.told = told;
        Ok(())
    }

    /// Lets an import's next slice run only while the plan fits. `None`: it may; the row is as it stands by now.
    pub(super) fn paused(&mut self, row: &mut ImportRow) -> Result<Option<Step>, Fault> {
        let shape = shape_version(self.store.connection())?;
        // Looking at all tables takes longer than a short import. While none has changed the plan fits as it did, unless that hangs on
        // rows: then it is looked at for each import, if not for each of its chunks.
        let fits = self.fitting.known.is_some_and(|(known, fit)| known == shape && (row.state == State::Purging || !fit.by_rows));
        if fits && self.fitting.told.is_none() && row.reason.as_deref() != Some(REASON) {
            return Ok(None);
        }
        self.news_of_fit()?;
        let Some(why) = self.fitting.told.clone() else {
            self.fitting.tries.remove(&row.id);
            if row.reason.as_deref() == Some(REASON) {
                self.store.write("note an import's state", |tx| ledger::set_state(tx, row.id, row.state, None, None))?;
                *row = ledger::require(self.store.connection(), row.id)?;
            }
            return Ok(None);
        };
        let tries = self.fitting.tries.entry(row.id).or_insert(0);
        *tries += 1;
        if row.state == State::Purging && *tries >= TRIES {
            self.fitting.tries.remove(&row.id);
            error!(tenant = %row.tenant, import = row.id.0, cause = why, "import given up");
            self.fail(&row.tenant, row.id, REASON)?;
            return Ok(Some(Step::More));
        }
        if row.reason.as_deref() != Some(REASON) {
            let told = "the operator's erasure plan does not fit their database; this goes on by itself once that is mended";
            self.store.write("note an import's state", |tx| ledger::set_state(tx, row.id, row.state, Some(REASON), Some(told)))?;
            *row = ledger::require(self.store.connection(), row.id)?;
            self.publish(&self.spool.tenant(&row.tenant)?, row, row.state, None)?;
        }
        Err(Fault::Purge(PurgeError::Plan(PlanError::DoesNotFit(why))))
    }

    /// Whether another writer is about: one that made us wait, or one that committed since the last chunk.
    pub(super) fn look_for_others(&mut self) -> Result<bool, Fault> {
        let found = pragma(self.store.connection(), "data_version")?;
        if found != self.fitting.data_version && self.fitting.data_version != 0 {
            self.fitting.saw_others(Instant::now());
        }
        self.fitting.data_version = found;
        Ok(self.fitting.others(Instant::now()))
    }
}

fn shape_version(connection: &Connection) -> Result<i64, StoreError> {
    pragma(connection, "schema_version")
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, StoreError> {
    connection.pragma_query_value(None, name, |row| row.get(0)).doing("look whether the database changed")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use jiff::Timestamp;

    use super::super::testing::pipeline;
    use super::*;
    use crate::domain::{IdentityKey, Mode, Settings, SubjectKey, TenantName};
    use crate::purge::{Engine, InputRow, Plan};
    use crate::store::ledger::{NewImport, Origin};
    use crate::store::{self, Create, Store};

    const SQL: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, account TEXT, no TEXT, mail TEXT, UNIQUE (account, no));
        INSERT INTO people VALUES (1, 'a', '1', NULL), (2, 'a', '2', NULL); CREATE TABLE notes (person INTEGER); CREATE INDEX n ON notes (person)";
    const PLAN: &str = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { sole = 'acme' }\naccount = 'account'\nid = 'no'
        [[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] }]";

    /// An application's database with one import in the middle of its deletions.
    fn world() -> (tempfile::TempDir, Pipeline, ImportId) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db");
        Connection::open(&path).and_then(|c| c.execute_batch(SQL)).expect("a database");
        let tenant = TenantName::parse("acme").expect("valid");
        let store = Store::open(&path, Create::LedgerOnly, store::Options { cache_bytes: 1 << 20, busy_ms: 0 }).expect("a store");
        let mut pipeline = pipeline(&folder, store, Plan::parse(PLAN).expect("a plan"));
        let (store, engine) = (&mut pipeline.store, &pipeline.engine);
        let new = NewImport {
            tenant: tenant.clone(),
            file: "june.csv".into(),
            mode: Mode::Purge,
            origin: Origin::Sftp,
            requested_by: None,
            request_case: None,
            settings: Settings::default(),
            map: vec![],
            seams: vec![],
            received_at: Timestamp::UNIX_EPOCH,
            expected_sha256: None,
            refusal: None,
        };
        let import = store.write::<_, StoreError>("test", |tx| ledger::insert(tx, &new)).expect("an import");
        let row = |line, id: &str| {
            let subject = Ok(SubjectKey::Pair { account: "a".into(), id: id.into() });
            Ok::<_, Infallible>(InputRow { line, subject, flags: crate::domain::Flags::default() })
        };
        let rows = [row(2, "1"), row(3, "2")];
        let matched = engine.match_rows(store.connection(), &tenant, Settings::default(), Timestamp::UNIX_EPOCH, rows).expect("matched");
        engine.begin(store, import, &matched).expect("begun");
        engine.chunk(store, import, 1, Timestamp::UNIX_EPOCH).expect("a chunk");
        std::fs::write(folder.path().join("tenants/acme/processing/1-june.csv"), "accountId,id\na,1\na,2\n").expect("the claimed file");
        (folder, pipeline, import)
    }

    fn sql(folder: &tempfile::TempDir, sql: &str) {
        Connection::open(folder.path().join("app.db")).and_then(|c| c.execute_batch(sql)).expect("SQL");
    }

    #[test]
    fn a_table_that_changes_in_mid_run_pauses_the_import_at_a_chunks_end_and_then_fails_it() {
        let (folder, mut pipeline, import) = world();
        sql(&folder, "ALTER TABLE notes RENAME TO remarks");
        for _ in 1..TRIES {
            assert!(pipeline.step(import).expect_err("a misfit").misfit());
        }
        assert_eq!(pipeline.step(import).expect("failed"), Step::More);
        assert_eq!(pipeline.step(import).expect("set aside"), Step::Over);
        let row = ledger::require(pipeline.store.connection(), import).expect("a row");
        assert_eq!((row.state, row.reason.as_deref()), (State::Failed, Some(REASON)));
        let message = row.message.expect("a message");
        assert!(!message.contains("notes"), "the operator's tables are not the sender's business: {message}");
        let held = folder.path().join("tenants/acme/held/1970-01-01");
        let report = std::fs::read_to_string(held.join("1-june.csv.report.json")).expect("its report");
        assert!(report.contains(REASON) && held.join("1-june.csv").exists(), "{report}");
        assert_eq!(row.progress.removed.get("people"), 1);
        let left: i64 = pipeline.store.connection().query_row("SELECT count(*) FROM people", [], |row| row.get(0)).expect("a count");
        assert_eq!(left, 1);
    }

    #[test]
    fn a_misfit_that_is_mended_in_time_lets_the_import_go_on() {
        let (folder, mut pipeline, import) = world();
        sql(&folder, "DROP INDEX n; INSERT INTO notes VALUES (2)");
        let told = pipeline.step(import).expect_err("a misfit").chain();
        assert!(told.ends_with("run: CREATE INDEX \"notes_by_person\" ON \"notes\" (\"person\");"), "{told}");
        sql(&folder, "CREATE INDEX \"notes_by_person\" ON \"notes\" (\"person\")");
        assert_eq!(pipeline.step(import).expect("a slice"), Step::More);
        let row = ledger::require(pipeline.store.connection(), import).expect("a row");
        assert_eq!((row.state, row.reason, row.progress.removed.get("notes")), (State::Completed, None, 1));
    }

    #[test]
    fn what_was_paused_goes_on_though_another_import_found_the_plan_to_fit_again() {
        let (folder, mut pipeline, import) = world();
        sql(&folder, "ALTER TABLE notes RENAME TO remarks");
        pipeline.step(import).expect_err("a misfit");
        sql(&folder, "ALTER TABLE remarks RENAME TO notes");
        pipeline.tell_fit();
        let mut row = ledger::require(pipeline.store.connection(), import).expect("a row");
        assert_eq!(row.reason.as_deref(), Some(REASON));
        assert!(pipeline.paused(&mut row).expect("fits").is_none());
        assert_eq!(row.reason, None);
    }

    #[test]
    fn the_next_import_is_looked_at_where_the_fit_hangs_on_rows_and_the_next_chunk_is_not() {
        let texts = "DROP TABLE people; CREATE TABLE people (id TEXT PRIMARY KEY, account TEXT, no TEXT, mail TEXT, UNIQUE (account, no));
            DROP TABLE notes; CREATE TABLE notes (person TEXT); CREATE INDEX n ON notes (person)";
        let more_rows = ("DROP INDEX n", "INSERT INTO notes VALUES (1), (2), (2)");
        let no_key = (texts, "INSERT INTO people (no) VALUES ('3')");
        for (before, after) in [more_rows, no_key] {
            let (folder, mut pipeline, import) = world();
            pipeline.options.unindexed_rows_max = 2;
            sql(&folder, before);
            pipeline.tell_fit();
            let mut row = ledger::require(pipeline.store.connection(), import).expect("a row");
            sql(&folder, after);
            assert!(pipeline.paused(&mut row).expect("fits").is_none(), "the next chunk: {after}");
            row.state = State::Received;
            assert!(pipeline.paused(&mut row).expect_err("rows in the way").misfit(), "the next import: {after}");
        }
    }

    #[test]
    fn a_store_that_cannot_be_read_is_not_taken_for_a_misfit() {
        let (folder, mut pipeline, _) = world();
        let other = Connection::open(folder.path().join("app.db")).expect("a database");
        other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
        assert!(pipeline.news_of_fit().expect_err("held by another").busy());
        assert_eq!(pipeline.fitting.told, None);
    }

    #[test]
    fn an_import_that_waits_for_its_plan_has_as_many_attempts_as_before() {
        let (folder, mut pipeline, import) = world();
        pipeline.options.attempts_max = 1;
        sql(&folder, "ALTER TABLE notes RENAME TO remarks");
        let misfit = pipeline.step(import).expect_err("a misfit");
        assert!(!pipeline.give_up(import, &misfit).expect("read"));
        assert!(pipeline.give_up(import, &Fault::Panic).expect("counted"), "the first that counts");
    }

    #[test]
    fn while_no_table_changes_the_plan_is_not_looked_at_anew() {
        let (folder, mut pipeline, import) = world();
        pipeline.tell_fit();
        let elsewhere = Plan::parse(&PLAN.replace("'notes'", "'remarks'")).expect("a plan");
        pipeline.engine = Engine::new(elsewhere, IdentityKey::new([7; 32])).expect("SQL").into();
        let mut row = ledger::require(pipeline.store.connection(), import).expect("a row");
        row.state = State::Received;
        assert!(pipeline.paused(&mut row).expect("as before").is_none());
        sql(&folder, "CREATE TABLE news (line TEXT)");
        assert!(pipeline.paused(&mut row).expect_err("looked at").misfit());
    }

    #[test]
    fn another_writer_is_seen_by_what_it_commits() {
        let (folder, mut pipeline, _) = world();
        pipeline.tell_fit();
        assert!(!pipeline.look_for_others().expect("a look"));
        sql(&folder, "INSERT INTO notes VALUES (9)");
        assert!(pipeline.look_for_others().expect("a look"));
    }
}
