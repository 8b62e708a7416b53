//! Killed at any call of a hold, and of an approval: the file is held, or purged, as in an undisturbed run.

use crate::kills::{EMAILS, all_ended, command_killed_at, ends_as, killed, left, prepared, serve_killed_at};
use crate::support::have;
use crate::world::World;

/// A tenant whose brake holds the list that lies in its inbox.
fn braked() -> World {
    let world = prepared();
    world.set_tenant("acme", "hold_customers_above", "1");
    world.set_tenant("acme", "hold_customers_percent_above", "0");
    let local = world.write("june.csv", EMAILS);
    world.move_in(&local, "acme", "june.csv");
    world
}

fn held(world: &World) -> bool {
    world.status("acme", "june.csv").is_some_and(|status| status["state"] == "held")
        && world.files("acme", "held").len() == 3
        && world.files("acme", "processing").is_empty()
}

fn until_held(world: &mut World) {
    world.start();
    world.eventually("the file is held", || held(world).then_some(()));
    world.stop();
}

#[test]
fn a_hold_killed_at_any_call_is_held_all_the_same() {
    if !have("strace") {
        return;
    }
    let braked = braked();
    let mut undisturbed = braked.fork();
    until_held(&mut undisturbed);
    let expected = left(&undisturbed);
    let mut deaths = 0;
    for call in ["fsync", "fdatasync", "renameat2", "renameat", "unlinkat"] {
        for nth in 1.. {
            let mut world = braked.fork();
            world.start_by(|world| serve_killed_at(world, call, nth));
            let died = killed(&mut world, held);
            until_held(&mut world);
            assert_eq!(left(&world), expected, "after a kill at {call} {nth}\n{}", world.picture());
            if !died {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths >= 12, "only {deaths} kills: the calls are not seen");
}

#[test]
fn an_approval_killed_at_any_call_ends_as_if_undisturbed() {
    if !have("strace") {
        return;
    }
    let mut waiting = braked();
    until_held(&mut waiting);
    let approve = |world: &World| world.run(&["imports", "approve", "1"]).exits(0);
    let undisturbed = waiting.fork();
    approve(&undisturbed);
    let expected = left(&undisturbed);
    let mut deaths = 0;
    for call in ["fsync", "fdatasync", "renameat2", "renameat", "unlinkat"] {
        for nth in 1.. {
            let mut world = waiting.fork();
            let ran = command_killed_at(&world, &["imports", "approve", "1"], call, nth).output().expect("strace runs");
            // A word that the ledger does not have was never said; one that it has is kept.
            if held(&world) && world.sql::<i64>("SELECT count(*) FROM expunged_requests") == 0 {
                approve(&world);
            }
            ends_as(&mut world, &["june.csv"], &expected, &format!("a kill at {call} {nth}"));
            assert!(all_ended(&world, &["june.csv"]));
            if ran.status.success() {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths >= 12, "only {deaths} kills: the calls are not seen");
}
