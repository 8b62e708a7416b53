//! The spool's promises, each on a real disk. A crash is the state that a kill between two steps leaves.

mod browsing;
mod claiming;
mod ending;
mod receiving;
mod renaming;
mod resuming;

use super::testing::*;
use super::*;

#[test]
fn one_tenants_files_are_not_anothers_though_the_names_begin_alike() {
    let world = World::new();
    let other = TenantName::parse("acme-2").expect("valid");
    world.spool.create_tenant(&other).expect("made");
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    let folders = world.spool.tenant(&other).expect("there");
    assert_eq!(folders.stat(DropFolder::Inbox, &name("june.csv")).expect("read"), None);
    assert!(folders.scan(DropFolder::Inbox).expect("read").files.is_empty());
    assert!(folders.list(DropFolder::Inbox).expect("read").is_empty());
}

#[test]
fn a_tenant_without_folders_is_not_found() {
    let world = World::new();
    let error = world.spool.tenant(&TenantName::parse("nobody").expect("valid")).expect_err("none");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn making_a_tenant_twice_keeps_its_files() {
    let world = World::new();
    world.put(DropFolder::Inbox, "june.csv", b"a\n");
    world.spool.create_tenant(&world.tenant).expect("made again");
    assert_eq!(world.read("inbox/june.csv"), b"a\n");
}
