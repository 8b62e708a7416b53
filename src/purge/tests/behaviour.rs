//! One behaviour a test, on the built-in schema.

use std::convert::Infallible;

use super::world::{Came, World, at, row, rows, tenant};
use crate::domain::{ImportId, Mode, Outcome, ROW_ERRORS_MAX, Settings, State};
use crate::purge::{Ending, MatchError, PurgeError};
use crate::store::ledger::{self, Suppression, SuppressionKind};

fn matched_purge(world: &World, texts: &[&str], chunk: u32) -> Came {
    world.purge(&world.matched(&rows(texts), Settings::default()), chunk)
}

#[test]
fn a_key_given_to_another_person_between_match_and_chunk_leaves_that_person() {
    let world = World::new();
    let ann = world.customer("acme", "a", "ann", "ann@x.example");
    let bob = world.customer("acme", "a", "bob", "bob@x.example");
    let import = world.begin(&world.matched(&rows(&["ann@x.example", "a/bob"]), Settings::default()));
    let eve = "UPDATE customers SET id = 'eve' || customer, email = 'eve@x.example', emailNormalised = 'eve@x.example'";
    world.sql(&format!("{eve} WHERE customer IN ({ann}, {bob})"));
    let before = world.dump("customers") + &world.dump("events");
    assert_eq!(world.engine.chunk(&mut world.open(), import, 10, at(1)).unwrap().customers, 0);
    assert_eq!(world.finish(import, &Ending::Completed).outcomes, [Outcome::NotFound, Outcome::NotFound]);
    assert_eq!(world.dump("customers") + &world.dump("events"), before);
}

#[test]
fn a_customer_key_is_never_given_again() {
    let world = World::new();
    let ann = world.customer("acme", "a", "ann", "ann@x.example");
    matched_purge(&world, &["ann@x.example"], 10);
    assert!(world.customer("acme", "a", "bob", "bob@x.example") > ann);
}

#[test]
fn another_tenants_customers_are_not_found_and_stay_whole() {
    let world = World::new();
    world.customer("acme-2", "a", "ann", "ann@x.example");
    world.customer("acme-2", "a", "bob", "bob@x.example");
    let all = || ["accounts", "customers", "rewards", "events", "custom_fields"].map(|table| world.dump(table));
    let before = all();
    let came = matched_purge(&world, &["ann@x.example", "a/bob"], 10);
    assert_eq!(came.outcomes, [Outcome::NotFound, Outcome::NotFound]);
    assert_eq!(all(), before);
}

#[test]
fn who_was_erased_by_another_in_the_meantime_is_not_found() {
    let world = World::new();
    world.customer("acme", "a", "ann", "ann@x.example");
    let slow = world.begin(&world.matched(&rows(&["a/ann +dnt"]), Settings::default()));
    assert_eq!(matched_purge(&world, &["ann@x.example"], 10).tally.deleted, 1);
    world.engine.chunk(&mut world.open(), slow, 10, at(1)).unwrap();
    let came = world.finish(slow, &Ending::Completed);
    assert_eq!((came.outcomes, came.progress.removed.total(), came.progress.suppressed), (vec![Outcome::NotFound], 0, 1));
}

#[test]
fn a_shared_address_takes_all_who_have_it_and_counts_as_one_row() {
    let world = World::new();
    for id in ["1", "2", "3"] {
        world.customer("acme", "a", id, "Team@X.example");
    }
    let came = matched_purge(&world, &["team@x.example", "a/2"], 2);
    assert_eq!((came.outcomes, came.customers), (vec![Outcome::Deleted, Outcome::Duplicate], vec![3, 0]));
    assert_eq!((came.tally.deleted, came.progress.removed.get("customers")), (1, 3));
}

#[test]
fn keeping_an_account_wins_whichever_of_its_users_goes_first() {
    for texts in [["a/1 +keep", "a/2"], ["a/1", "a/2 +keep"], ["a/1", "TWO@x.example"]] {
        let world = World::new();
        world.customer("acme", "a", "1", "one@x.example");
        world.customer("acme", "a", "2", "two@x.example");
        let came = matched_purge(&world, &texts, 1);
        let asked = u64::from(texts.concat().contains("keep"));
        assert_eq!((came.progress.accounts_preserved, came.progress.accounts_deleted), (asked, 1 - asked), "{texts:?}");
        assert_eq!(world.dump("accounts").lines().count() as u64, asked, "{texts:?}");
    }
}

#[test]
fn a_referral_between_two_who_go_in_different_chunks_is_removed_and_not_detached() {
    for chunk in [1, 2, 3] {
        let world = World::new();
        let [one, two, three] = ["1", "2", "3"].map(|id| world.customer("acme", "a", id, &format!("{id}@x.example")));
        world.referral(1, Some(one), Some(two));
        world.referral(2, Some(two), Some(three));
        world.referral(3, None, Some(one));
        world.referral(4, Some(three), None);
        let came = matched_purge(&world, &["a/2", "a/1"], chunk);
        assert_eq!((came.progress.removed.get("referrals"), came.progress.detached.get("referrals")), (2, 1));
        assert_eq!(world.dump("referrals"), "referrals|2|acme|R2||3||\nreferrals|4|acme|R4|3|||\n");
    }
}

#[test]
fn a_duplicates_wish_joins_the_first_rows() {
    let world = World::new();
    world.customer("acme", "a", "1", "one@x.example");
    let came = matched_purge(&world, &["a/1 -keep -dnt", "one@x.example +keep +dnt"], 1);
    assert_eq!((came.progress.accounts_preserved, came.progress.suppressed), (1, 1));
}

#[test]
fn a_stop_skips_the_rest_and_suppresses_none_of_it() {
    let world = World::new();
    for (id, email) in [("1", "one@x.example"), ("2", "two@x.example")] {
        world.customer("acme", "a", id, email);
    }
    let import = world.begin(&world.matched(&rows(&["two@x.example +dnt", "a/1 +dnt", "none@x.example"]), Settings::default()));
    assert!(world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap().more);
    let came = world.finish(import, &Ending::Stopped { reason: "cancelled".into(), message: String::new() });
    assert_eq!(came.outcomes, [Outcome::Skipped, Outcome::Deleted, Outcome::NotFound]);
    assert_eq!(came.progress.suppressed, 1);
    let two = world.engine.key.pair(&tenant("acme"), "a", "2");
    let two = Suppression { kind: SuppressionKind::Pair, identity: two };
    assert!(!ledger::is_suppressed(world.read().connection(), &tenant("acme"), two).unwrap());
}

#[test]
fn a_chunk_that_fails_half_way_has_not_happened() {
    let world = World::new();
    for (id, email) in [("1", "one@x.example"), ("2", "two@x.example"), ("3", "three@x.example")] {
        world.customer("acme", "a", id, email);
    }
    let import = world.begin(&world.matched(&rows(&["a/1", "a/2", "a/3"]), Settings::default()));
    world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap();
    world.sql("CREATE TRIGGER stop BEFORE DELETE ON customers WHEN old.id = '3' BEGIN SELECT RAISE(ABORT, 'stop'); END");
    let before = world.dump("*");
    let mut store = world.open();
    assert!(matches!(world.engine.chunk(&mut store, import, 10, at(1)), Err(PurgeError::Store(_))));
    drop(store);
    assert_eq!(world.dump("*"), before);
    world.sql("DROP TRIGGER stop");
    assert!(!world.engine.chunk(&mut world.open(), import, 10, at(1)).unwrap().more);
    let came = world.finish(import, &Ending::Completed);
    assert_eq!((came.tally.deleted, came.progress.removed.get("events")), (3, 6));
}

#[test]
fn a_delete_that_takes_another_number_than_meant_is_rolled_back() {
    let world = World::new();
    world.customer("acme", "a", "1", "one@x.example");
    world.sql("CREATE TRIGGER spare BEFORE DELETE ON customers BEGIN SELECT RAISE(IGNORE); END");
    let import = world.begin(&world.matched(&rows(&["a/1"]), Settings::default()));
    let before = world.dump("*");
    let failed = world.engine.chunk(&mut world.open(), import, 10, at(1));
    assert!(matches!(failed, Err(PurgeError::Miscounted { wanted: 1, deleted: 0 })));
    assert_eq!(world.dump("*"), before);
}

#[test]
fn the_ledger_holds_no_address_and_no_id() {
    let world = World::new();
    world.customer("acme", "account-1", "user-1", "ann@x.example");
    world.customer("acme", "account-1", "user-2", "bob@x.example");
    let texts = ["ann@x.example +keep +dnt", "account-1/user-2 +dnt", "eve@x.example +dnt", "account-9/user-9 +dnt", "!"];
    let matched = world.matched(&rows(&texts), Settings::default());
    let import = world.begin(&matched);
    let clean = || {
        let text = world.dump("expunged_*");
        let found: Vec<_> =
            ["ann@", "bob@", "eve@", "x.example", "account-", "user-"].into_iter().filter(|word| text.contains(word)).collect();
        assert!(found.is_empty(), "{found:?} in {text}");
        text
    };
    for chunk in 0..2 {
        world.engine.chunk(&mut world.open(), import, 1, at(chunk)).unwrap();
        clean();
    }
    world.finish(import, &Ending::Completed);
    assert!(clean().contains("email_malformed"));
}

#[test]
fn a_check_leaves_no_trace_beside_the_store() {
    let world = World::new();
    world.customer("acme", "a", "1", "one@x.example");
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        (names, std::fs::read(world.path()).unwrap())
    };
    let before = names();
    let (_, came) = world.checked(&world.matched(&rows(&["a/1"]), Settings::default()));
    assert_eq!(came.tally.deleted, 1);
    assert!(names() == before);
}

#[test]
fn a_check_from_the_folder_ends_with_its_counts_and_deletes_nobody() {
    let world = World::new();
    world.customer("acme", "a", "1", "team@x.example");
    world.customer("acme", "a", "2", "team@x.example");
    let matched = world.matched(&rows(&["team@x.example +dnt", "none@x.example +dnt", "!"]), Settings::default());
    let (checked, came) = world.checked(&matched);
    let import = world.import(Mode::Check);
    let before = world.dump("customers") + &world.dump("expunged_suppressions");
    let ended = world.engine.finish_check(&mut world.open(), import, &matched, &checked, at(3), |_| "report".into()).unwrap();
    assert_eq!(world.came(&ended), came);
    assert_eq!((came.customers, came.progress.suppressed), (vec![2, 0, 0], 4));
    assert_eq!(world.dump("customers") + &world.dump("expunged_suppressions"), before);
    assert_eq!((ended.import.state, ended.import.errors.len()), (State::Completed, 1));
    world.open().write("test", |transaction| ledger::forget_targets(transaction, import)).unwrap();
    assert_eq!(world.dump("expunged_targets"), "");
}

#[test]
fn an_import_ends_once_and_its_report_names_the_one_before() {
    let world = World::new();
    let (first, second) = (world.begin(&world.matched(&[], Settings::default())), world.import(Mode::Purge));
    let finish = |import: ImportId, ending: Ending| {
        world.engine.finish(&mut world.open(), import, &ending, at(5), |ended| format!("after {:?}", ended.previous))
    };
    let rejected = finish(second, Ending::Rejected { reason: "empty".into(), message: "no bytes".into() }).unwrap();
    assert_eq!((rejected.previous.as_ref(), rejected.import.reason.as_deref()), (None, Some("empty")));
    let completed = finish(first, Ending::Completed).unwrap();
    assert_eq!(completed.previous.as_deref(), Some(ledger::digest(b"after None").as_str()));
    assert_eq!(completed.previous, rejected.import.report_sha256);
    assert!(finish(first, Ending::Completed).is_err());
    assert!(finish(first, Ending::Failed { reason: String::new(), message: String::new() }).is_err());
}

#[test]
fn an_import_does_not_complete_with_targets_left() {
    let world = World::new();
    world.customer("acme", "a", "1", "one@x.example");
    let import = world.begin(&world.matched(&rows(&["a/1"]), Settings::default()));
    assert!(world.engine.finish(&mut world.open(), import, &Ending::Completed, at(2), |_| String::new()).is_err());
    assert!(world.engine.begin(&mut world.open(), import, &world.matched(&[], Settings::default())).is_err());
}

#[test]
fn a_failed_import_keeps_its_place_and_can_go_on() {
    let world = World::new();
    world.customer("acme", "a", "1", "one@x.example");
    world.customer("acme", "a", "2", "two@x.example");
    let import = world.begin(&world.matched(&rows(&["a/1", "a/2"]), Settings::default()));
    world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap();
    let failed = world.finish(import, &Ending::Failed { reason: "store".into(), message: "disk full".into() });
    assert_eq!((failed.tally.deleted, failed.tally.skipped), (1, 1));
    world.open().write("test", |transaction| ledger::set_state(transaction, import, State::Purging, None, None)).unwrap();
    world.engine.chunk(&mut world.open(), import, 1, at(1)).unwrap();
    assert_eq!(world.finish(import, &Ending::Completed).outcomes, [Outcome::Deleted, Outcome::Deleted]);
}

#[test]
fn a_failed_import_forgets_whom_another_took_and_still_keeps_them_from_coming_back() {
    let world = World::new();
    let [first, ..] = ["1", "2", "3"].map(|id| world.customer("acme", "a", id, &format!("{id}@x.example")));
    let failed = world.begin(&world.matched(&rows(&["a/1", "2@x.example +dnt", "a/3"]), Settings::default()));
    world.engine.chunk(&mut world.open(), failed, 1, at(1)).unwrap();
    world.finish(failed, &Ending::Failed { reason: "store".into(), message: "disk full".into() });
    // A person whom the failed one never named, and who has the key of one whom it took.
    world.sql(&format!("INSERT INTO customers (customer, tenant, accountId, id) VALUES ({first}, 'acme', 'a', '9')"));
    assert_eq!(matched_purge(&world, &["a/2", "a/9"], 1).outcomes, [Outcome::Deleted, Outcome::Deleted]);
    assert_eq!(ledger::count_targets(world.read().connection(), failed).unwrap(), 2, "whom it took itself, and who is left");
    world.open().write("test", |transaction| ledger::set_state(transaction, failed, State::Purging, None, None)).unwrap();
    world.engine.chunk(&mut world.open(), failed, 9, at(1)).unwrap();
    let came = world.finish(failed, &Ending::Completed);
    assert_eq!((came.outcomes, came.progress.suppressed), (vec![Outcome::Deleted, Outcome::NotFound, Outcome::Deleted], 1));
}

#[test]
fn lists_a_thousand_bad_rows_and_counts_the_rest() {
    let world = World::new();
    let many: Vec<_> = (2..).take(ROW_ERRORS_MAX + 7).map(|line| row(line, "!")).collect();
    let matched = world.matched(&many, Settings::default());
    assert_eq!((matched.errors().len(), matched.errors_omitted(), matched.tally().invalid), (ROW_ERRORS_MAX, 7, 1_007));
}

#[test]
fn a_medium_that_fails_ends_the_match() {
    let world = World::new();
    world.open();
    let input = [Ok(row(2, "a/1")), Err("gone")];
    let ended = world.engine.match_rows(world.read().connection(), &tenant("acme"), Settings::default(), at(0), input);
    assert!(matches!(ended, Err(MatchError::Input("gone"))));
    let nothing = Vec::<Result<_, Infallible>>::new();
    assert_eq!(
        world.engine.match_rows(world.read().connection(), &tenant("acme"), Settings::default(), at(0), nothing).unwrap().tally().read,
        0
    );
}

#[test]
fn no_statement_on_the_built_in_schema_reads_a_whole_table() {
    let world = World::new();
    world.customer("acme", "a", "1", "one@x.example");
    assert!(!world.engine.fits(world.read().connection(), 0).unwrap().scans);
    world.assert_no_scan(&rows(&["a/1 +keep", "one@x.example"]));
}
