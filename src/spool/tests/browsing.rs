//! What a sender may read, and what is not there for one.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn world() -> World {
    let world = World::new();
    fs::create_dir(world.path("archive/2026-11-21")).expect("made");
    fs::write(world.path("archive/2026-11-21/42-june.csv"), "a\n").expect("written");
    fs::write(world.path("archive/2026-11-21/.42.report.json.tmp"), "{").expect("written");
    world
}

fn found(world: &World, path: &[&[u8]]) -> Result<Entry, ErrorKind> {
    world.folders.browse(ReadFolder::Archive, path).map(|place| place.entry().clone()).map_err(|error| error.kind())
}

#[test]
fn lists_days_and_files_and_hides_dot_files() {
    let world = world();
    let names = |path: &[&[u8]]| -> Vec<(String, bool)> {
        let place = world.folders.browse(ReadFolder::Archive, path).expect("there");
        place.list().expect("read").into_iter().map(|entry| (entry.name, entry.is_dir)).collect()
    };
    assert_eq!(names(&[]), [("2026-11-21".to_owned(), true)]);
    assert_eq!(names(&[b"2026-11-21"]), [("42-june.csv".to_owned(), false)]);
}

#[test]
fn opens_a_file_for_reading() {
    let world = world();
    let place = world.folders.browse(ReadFolder::Archive, &[b"2026-11-21", b"42-june.csv"]).expect("there");
    assert_eq!(place.entry().size, 2);
    assert_eq!(std::io::read_to_string(place.open().expect("opened").0).expect("read"), "a\n");
    let day = world.folders.browse(ReadFolder::Archive, &[b"2026-11-21"]).expect("there");
    assert_eq!(day.open().expect_err("a folder").kind(), ErrorKind::NotAFile);
}

#[test]
fn a_file_that_was_replaced_since_it_was_found_is_opened_with_its_own_size() {
    let world = world();
    let place = world.folders.browse(ReadFolder::Archive, &[b"2026-11-21", b"42-june.csv"]).expect("there");
    fs::remove_file(world.path("archive/2026-11-21/42-june.csv")).expect("removed");
    fs::write(world.path("archive/2026-11-21/42-june.csv"), "longer\n").expect("written");
    let (file, entry) = place.open().expect("opened");
    assert_eq!((std::io::read_to_string(file).expect("read").as_str(), entry.size), ("longer\n", 7));
}

#[test]
fn nothing_outside_can_be_named() {
    let world = world();
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    symlink(world.path("inbox"), world.path("archive/inbox")).expect("linked");
    symlink(world.path("inbox/june.csv"), world.path("archive/june.csv")).expect("linked");
    let paths: [&[&[u8]]; 10] = [
        &[b".."],
        &[b"."],
        &[b""],
        &[b"2026-11-21", b"..", b"..", b"inbox", b"june.csv"],
        &[b"2026-11-21/42-june.csv"],
        &[b"2026-11-21\0"],
        &[b"2026-11-21", b".42.report.json.tmp"],
        &[b"inbox", b"june.csv"],
        &[b"june.csv"],
        &[b"2026-11-21", b"42-june.csv", b"x"],
    ];
    for path in paths {
        assert_eq!(found(&world, path), Err(ErrorKind::NotFound), "{path:?}");
    }
    let listed = world.folders.browse(ReadFolder::Archive, &[]).expect("there").list().expect("read");
    assert_eq!(listed.len(), 1, "links are not listed: {listed:?}");
}
