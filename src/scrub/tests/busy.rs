//! Scrubs of a store that is written to meanwhile: what they may claim, and that a later one makes up for what they could not.

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::whole::{World, at};
use crate::domain::ImportId;
use crate::report::ScrubReceipt;
use crate::scrub::{Ended, Scrubber, Step, Wish};
use crate::store::ledger;

/// Some hundred pages, so that a walk takes several slices, and rows that leave something behind when they are changed.
fn busy_world() -> World {
    let rows = "INSERT INTO log VALUES (hex(randomblob(300)));".repeat(1_500);
    World::new(&format!(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT);
         CREATE TABLE notes (person INT, body TEXT);
         CREATE TABLE log (line TEXT); BEGIN; {rows} COMMIT"
    ))
}

/// Another program, whose deletions leave the bytes where they were.
struct Application(Connection);

impl Application {
    fn of(world: &World) -> Self {
        let connection = Connection::open(world.path()).unwrap();
        connection.execute_batch("PRAGMA secure_delete = OFF").unwrap();
        Self(connection)
    }

    fn writes(&self) {
        self.0.execute_batch("DELETE FROM log WHERE rowid = (SELECT min(rowid) FROM log)").unwrap();
    }
}

/// Steps to the end, `meanwhile` between any two of them.
fn run(world: &mut World, scrubber: &mut Scrubber, at: Timestamp, mut meanwhile: impl FnMut(&mut World, &Scrubber)) -> Ended {
    assert!(scrubber.begin(&mut world.store, Wish::IfWaiting, at).unwrap());
    loop {
        match scrubber.step(&mut world.store, at, &mut || false).unwrap() {
            Step::Ended(ended) => return *ended,
            Step::More => meanwhile(world, scrubber),
            Step::Waiting | Step::Idle => panic!("nobody is in the way"),
        }
    }
}

fn hours(hours: i64) -> Timestamp {
    at().checked_add(SignedDuration::from_hours(hours)).unwrap()
}

fn stored(world: &World, import: ImportId) -> ScrubReceipt {
    serde_json::from_str(&ledger::scrub_receipt(world.store.connection(), import).unwrap().flatten().unwrap()).unwrap()
}

#[test]
fn what_is_written_all_the_time_is_not_claimed_to_be_clean_and_a_quiet_scrub_makes_up_for_it() {
    let mut world = busy_world();
    let import = world.import(&["ann@x.example"]);
    let application = Application::of(&world);
    let mut scrubber = world.scrubber();
    let first = run(&mut world, &mut scrubber, at(), |_, _| application.writes());
    let receipt = &first.receipts[0];
    assert!(!receipt.clean && !first.clean(), "{receipt:?}");
    assert!(receipt.unclean.contains(&"undisturbed".to_owned()), "{receipt:?}");
    assert_eq!((receipt.tries, receipt.supersedes, receipt.again_at), (1, None, Some(hours(1))));
    assert_eq!(world.vault().imports().unwrap(), [import], "sealed until there is evidence");
    assert!(ledger::unfiled_scrub(world.store.connection(), import).unwrap());

    let second = run(&mut world, &mut scrubber, hours(1), |_, _| ());
    let receipt = &second.receipts[0];
    assert!(receipt.clean && second.clean() && receipt.unclean.is_empty(), "{receipt:?}");
    assert_eq!((receipt.tries, receipt.supersedes, receipt.again_at), (2, Some(first.scrub), None));
    assert_eq!((receipt.content.identifiers, receipt.structure.walks), (1, 1));
    assert_eq!(&stored(&world, import), receipt);
    assert_eq!(ledger::unfiled(world.store.connection()).unwrap().len(), 1, "its file is to be written over");
    assert!(ledger::unscrubbed(world.store.connection()).unwrap().is_empty());
    world.store.write("filed", |tx| ledger::set_filed(tx, import)).unwrap();
    assert!(!ledger::unfiled_scrub(world.store.connection(), import).unwrap(), "nobody needs the sealed file");
}

#[test]
fn writes_of_ours_between_two_slices_are_seen_as_anyone_elses() {
    let mut world = busy_world();
    world.import(&["ann@x.example"]);
    let mut scrubber = world.scrubber();
    let mut writes = 0;
    let ended = run(&mut world, &mut scrubber, at(), |world, _| {
        writes += 1;
        if writes < 6 {
            world.store.connection().execute("INSERT INTO log VALUES ('for ann@x.example')", []).unwrap();
        }
    });
    let receipt = &ended.receipts[0];
    assert!(receipt.structure.undisturbed && receipt.structure.walks > 1, "{receipt:?}");
    assert_eq!(receipt.content.residue["log.line"], 5, "rows that came after their place was passed are found");
    assert_eq!(receipt.unclean, ["residue"]);
}

#[test]
fn what_comes_back_into_mended_pages_is_counted_and_not_claimed_to_be_zero() {
    let mut world = busy_world();
    world.import(&["ann@x.example"]);
    let application = Application::of(&world);
    let mut scrubber = world.scrubber();
    let ended = run(&mut world, &mut scrubber, at(), |_, scrubber| {
        // Once it is the last time through, after its pages were mended.
        let walking = scrubber.running.as_ref().map(|running| &running.walking);
        if !scrubber.is_last_time() || walking.is_some_and(|walking| walking.passed && walking.dirty.is_empty()) {
            application.writes();
        }
    });
    let receipt = &ended.receipts[0];
    assert!(receipt.structure.nonzero_bytes > 100 && receipt.structure.walks == 3, "{receipt:?}");
    assert_eq!(receipt.unclean, ["nonzero_bytes", "undisturbed"]);
    let quiet = run(&mut world, &mut scrubber, hours(1), |_, _| ());
    assert!(quiet.receipts[0].clean, "{quiet:?}");
}

#[test]
fn one_time_through_a_dirty_store_is_enough_where_nobody_writes() {
    let mut world = busy_world();
    let application = Application::of(&world);
    application.0.execute_batch("DELETE FROM log WHERE rowid % 3 = 0; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    world.import(&["ann@x.example"]);
    let mut scrubber = world.scrubber();
    let structure = run(&mut world, &mut scrubber, at(), |_, _| ()).structure;
    assert!(structure.zeroed_bytes > 100_000, "{structure:?}");
    assert_eq!((structure.walks, structure.nonzero_bytes, structure.undisturbed, structure.log_empty), (1, 0, true, true));
}

#[test]
fn notes_of_its_own_progress_leave_nothing_behind_in_the_file() {
    let mut world = busy_world();
    let application = Application::of(&world);
    application.0.execute_batch("DELETE FROM log WHERE rowid % 3 = 0").unwrap();
    world.import(&["ann@x.example"]);
    let mut scrubber = world.scrubber();
    let mut dirty = None;
    run(&mut world, &mut scrubber, at(), |world, scrubber| {
        // All is mended, and noted a dozen times: each byte of the file that no row uses is zero, the notes' among them.
        if scrubber.running.as_ref().is_some_and(|running| running.progress.stage == crate::scrub::progress::Stage::Log) {
            let mut other = Connection::open(world.path()).unwrap();
            let tx = other.transaction().unwrap();
            let (tell, rows) = (crate::scrub::walk::Tell::BySize, &mut crate::scrub::walk::NoRows);
            let images = &mut crate::scrub::walk::Images::default();
            let slice = crate::scrub::walk::Slice { connection: &tx, tell, file: None, rows, images };
            dirty = Some(slice.run(1, &mut || true).unwrap().tally.dirty_bytes);
        }
    });
    assert_eq!(dirty, Some(0));
}

#[test]
fn an_import_that_stays_unclean_is_tried_ever_more_seldom_and_given_up_after_a_month() {
    let mut world = busy_world();
    world.store.connection().execute("INSERT INTO log VALUES ('for ann@x.example')", []).unwrap();
    let import = world.import(&["ann@x.example"]);
    let (mut now, mut waits, mut receipts) = (at(), Vec::new(), Vec::new());
    loop {
        let mut scrubber = world.scrubber();
        let receipt = run(&mut world, &mut scrubber, now, |_, _| ()).receipts.remove(0);
        assert_eq!((receipt.clean, &*receipt.unclean), (false, &["residue".to_owned()][..]));
        receipts.push(receipt.scrub);
        let Some(again_at) = receipt.again_at else { break };
        waits.push(again_at.duration_since(now).as_hours());
        assert_eq!(ledger::unscrubbed(world.store.connection()).unwrap()[0].again.map(|again| again.at), Some(again_at));
        now = again_at;
    }
    assert_eq!(waits[..7], [1, 2, 4, 8, 16, 24, 24]);
    assert!(waits.len() < 40 && now >= hours(30 * 24), "{}", waits.len());
    assert!(ledger::unscrubbed(world.store.connection()).unwrap().is_empty());
    assert_eq!(stored(&world, import).supersedes, Some(receipts[receipts.len() - 2]));
    assert!(!world.scrubber().begin(&mut world.store, Wish::IfWaiting, now).unwrap(), "nothing waits");
}

#[test]
fn a_row_that_was_cleared_meanwhile_makes_the_next_receipt_clean_and_others_are_covered_with_it() {
    let mut world = busy_world();
    world.store.connection().execute("INSERT INTO log VALUES ('for ann@x.example')", []).unwrap();
    let ann = world.import(&["ann@x.example"]);
    let mut scrubber = world.scrubber();
    assert_eq!(run(&mut world, &mut scrubber, at(), |_, _| ()).receipts[0].unclean, ["residue"]);
    world.store.connection().execute("DELETE FROM log WHERE line LIKE 'for%'", []).unwrap();
    let bob = world.import(&["bob@x.example"]);
    // Long before it would begin for the first one's sake.
    let ended = run(&mut world, &mut scrubber, at(), |_, _| ());
    let told: Vec<_> = ended.receipts.iter().map(|receipt| (receipt.import, receipt.clean, receipt.tries)).collect();
    assert_eq!(told, [(ann, true, 2), (bob, true, 1)]);
}

#[test]
fn identifiers_that_are_gone_are_not_tried_again() {
    let mut world = busy_world();
    let import = world.import(&["ann@x.example"]);
    world.vault().remove(import).unwrap();
    let mut scrubber = world.scrubber();
    let receipt = run(&mut world, &mut scrubber, at(), |_, _| ()).receipts.remove(0);
    assert_eq!((&*receipt.unclean, receipt.again_at), (&["searched".to_owned()][..], None));
    assert!(ledger::unscrubbed(world.store.connection()).unwrap().is_empty());
}

/// What a table's rows are, by number.
fn lines(connection: &Connection) -> Vec<(i64, String)> {
    let mut statement = connection.prepare("SELECT rowid, line FROM log ORDER BY rowid").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_another_commits_between_two_looks_is_not_written_over_with_what_the_file_held_before() {
    let mut world = busy_world();
    let application = Application::of(&world);
    // Something to mend in the first slice, and in the third.
    application.0.execute_batch("DELETE FROM log WHERE rowid IN (6, 900); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    world.import(&["ann@x.example"]);
    let mut scrubber = world.scrubber();
    let mut wanted = None;
    run(&mut world, &mut scrubber, at(), |_, scrubber| {
        let Some(walking) = scrubber.running.as_ref().map(|running| &running.walking) else { return };
        if wanted.is_none() && !walking.mended.is_empty() {
            // As long as before, beside the hole of row 900: the first page is not touched, and the log keeps it.
            application.0.execute_batch("UPDATE log SET line = replace(line, '0', 'x') WHERE rowid BETWEEN 899 AND 902").unwrap();
            wanted = Some(lines(&application.0));
        }
    });
    assert_eq!(application.0.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    assert!(wanted.unwrap() == lines(&application.0), "a commit of the application is gone");
}

#[test]
fn mended_pages_are_looked_at_again_in_the_file_wherever_the_last_of_them_was() {
    for row in [6, 1490] {
        let mut world = busy_world();
        let application = Application::of(&world);
        application.0.execute_batch(&format!("DELETE FROM log WHERE rowid = {row}; PRAGMA wal_checkpoint(TRUNCATE)")).unwrap();
        world.import(&["ann@x.example"]);
        let (mut scrubber, mut again) = (world.scrubber(), 0);
        let ended = run(&mut world, &mut scrubber, at(), |_, scrubber| {
            let Some(walking) = scrubber.running.as_ref().map(|running| &running.walking) else { return };
            if walking.passed && walking.dirty.is_empty() && !walking.mended.is_empty() && !walking.verified {
                again += 1;
                assert!(walking.in_file.is_some() && walking.in_file == walking.left, "row {row}");
            }
        });
        assert!(ended.clean() && again > 0, "row {row}");
    }
}

#[test]
fn what_another_commits_during_a_look_that_is_noted_is_not_written_over() {
    let mut world = World::new(
        "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; CREATE TABLE log (line TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000)
         INSERT INTO log SELECT hex(randomblob(110)) || hex(randomblob(110)) FROM n",
    );
    let application = Application::of(&world);
    application.0.execute_batch("DELETE FROM log WHERE rowid % 20000 = 0").unwrap();
    application.0.execute_batch("UPDATE log SET line = substr(line, 9) WHERE rowid = 60001; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    world.import(&["ann@x.example"]);
    let mut scrubber = world.scrubber();
    assert!(scrubber.begin(&mut world.store, Wish::IfWaiting, at()).unwrap());
    let (mut asked, mut wanted) = (0, None);
    loop {
        let mut go_on = || {
            asked += 1;
            if asked * 64 > 66_000 && wanted.is_none() {
                application.0.execute_batch("UPDATE log SET line = replace(line, '0', 'x') WHERE rowid BETWEEN 59990 AND 60010").unwrap();
                wanted = Some(lines(&application.0));
            }
            asked * 64 % 66_000 > 64
        };
        if matches!(scrubber.step(&mut world.store, at(), &mut go_on).unwrap(), Step::Ended(_)) {
            break;
        }
    }
    assert_eq!(application.0.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    assert!(wanted.unwrap() == lines(&application.0), "a commit of the application is gone");
}
