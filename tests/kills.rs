//! Killed at any instruction: the shipped binary under `strace`, killed at exactly the N-th durable call, for every N.

use std::collections::BTreeMap;
use std::process::Command;

use crate::people;
use crate::support::have;
use crate::world::{EXPUNGED, World};

/// The calls after which something is durable or has another name.
const CALLS: &str = "fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat";

/// Writes to files, which SQLite makes with pwrite64. More of them than anyone wants to try one by one.
const WRITES: &str = "pwrite64";

/// What a run leaves, times and ids aside.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Left {
    store: Vec<String>,
    files: BTreeMap<String, String>,
}

fn left(world: &World) -> Left {
    let mut files = BTreeMap::new();
    for folder in ["staging", "inbox", "check", "processing", "held", "archive", "rejected", "status"] {
        for name in world.files("acme", folder) {
            let text = std::fs::read_to_string(world.folder("acme", folder).join(&name)).expect("text");
            files.insert(format!("{folder}/{}", without_ids(&name)), without_ids(&text));
        }
    }
    Left { store: people::rows(world, "acme"), files }
}

/// Import ids, days, times and digests of reports differ between runs.
fn without_ids(text: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    for line in text.lines() {
        let told = ["_at\"", "\"import\"", "\"previous\"", "\"until\""].iter().any(|key| line.contains(key));
        if !told {
            let line = line.split('/').map(|part| {
                let digits = part.chars().take_while(char::is_ascii_digit).count();
                if digits > 0 && part[digits..].starts_with('-') { part[digits..].to_owned() } else { part.to_owned() }
            });
            kept.push(line.collect::<Vec<_>>().join("/"));
        }
    }
    kept.join("\n")
}

fn killed_at(world: &World, calls: &str, nth: u32) -> Command {
    command_killed_at(world, &["serve"], calls, nth)
}

fn command_killed_at(world: &World, args: &[&str], calls: &str, nth: u32) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"])
        .arg(format!("inject={calls}:signal=KILL:when={nth}"));
    command.arg(EXPUNGED).arg("--config").arg(world.home().join("expunged.toml")).args(args);
    command
}

fn prepared() -> World {
    let world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.tenant("acme");
    people::load(&world, "acme", 40);
    world
}

const LIST: &str =
    "Customer Email\nperson1@acme.example\nperson2@acme.example\nnobody@acme.example\nbad\nperson30@acme.example\nperson1@acme.example\n";

fn drop_in(world: &World) {
    let local = world.write("june.csv", LIST);
    world.move_in(&local, "acme", "june.csv");
}

fn archived(world: &World) -> bool {
    world.files("acme", "archive").iter().filter(|name| name.ends_with("june.csv")).count() == 1
        && world.files("acme", "processing").is_empty()
}

fn undisturbed() -> Left {
    let mut world = prepared();
    drop_in(&world);
    world.start();
    world.report("acme", "june.csv");
    world.eventually("the archive", || archived(&world).then_some(()));
    world.stop();
    left(&world)
}

#[test]
fn killed_at_every_durable_call_of_an_import_it_ends_as_an_undisturbed_run() {
    if !have("strace") {
        return;
    }
    let expected = undisturbed();
    assert!(expected.files.keys().any(|name| name.ends_with("june.csv.report.json")), "{:?}", expected.files.keys());
    let mut deaths = 0;
    for nth in 1.. {
        let mut world = prepared();
        drop_in(&world);
        world.start_by(|world| killed_at(world, CALLS, nth));
        let mut alive = true;
        world.eventually("the daemon dies or ends its work", || {
            alive = std::path::Path::new(&format!("/proc/{}", world.pid())).exists() && !dead(world.pid());
            (!alive || archived(&world)).then_some(())
        });
        // A kill can still lie ahead: the drain below meets it.
        let died = if alive { terminate(&mut world) } else { world.wait().code() != Some(0) };
        deaths += u32::from(died);
        world.start();
        world.report("acme", "june.csv");
        world.eventually("the archive", || archived(&world).then_some(()));
        world.stop();
        assert_eq!(left(&world), expected, "after a kill at call {nth}");
        if !died {
            break;
        }
    }
    assert!(deaths >= 8, "only {deaths} kills: the calls are not seen");
}

#[test]
fn killed_at_writes_of_the_store_it_ends_as_an_undisturbed_run() {
    if !have("strace") {
        return;
    }
    let expected = undisturbed();
    let mut step = 1;
    let mut nth = 1;
    loop {
        let mut world = prepared();
        drop_in(&world);
        world.start_by(|world| killed_at(world, WRITES, nth));
        let mut alive = true;
        world.eventually("the daemon dies or ends its work", || {
            alive = !dead(world.pid());
            (!alive || archived(&world)).then_some(())
        });
        let died = if alive { terminate(&mut world) } else { world.wait().code() != Some(0) };
        world.start();
        world.report("acme", "june.csv");
        world.eventually("the archive", || archived(&world).then_some(()));
        world.stop();
        assert_eq!(left(&world), expected, "after a kill at write {nth}");
        if !died {
            break;
        }
        // Every one of the first, then wider steps.
        step += u32::from(nth > 12) * 2;
        nth += step;
    }
    assert!(nth > 12, "the writes are not seen");
}

/// A tenant whose brake holds the list.
fn braked() -> World {
    let world = prepared();
    world.set_tenant("acme", "hold_customers_above", "1");
    world.set_tenant("acme", "hold_customers_percent_above", "0");
    drop_in(&world);
    world
}

fn held(world: &World) -> bool {
    world.status("acme", "june.csv").is_some_and(|status| status["state"] == "held")
        && world.files("acme", "held").len() == 2
        && world.files("acme", "processing").is_empty()
}

#[test]
fn killed_at_every_durable_call_of_a_hold_it_is_held_all_the_same() {
    if !have("strace") {
        return;
    }
    let mut expected = None;
    let mut deaths = 0;
    // The first run is undisturbed.
    for nth in std::iter::once(u32::from(u16::MAX)).chain(1..) {
        let mut world = braked();
        world.start_by(|world| killed_at(world, CALLS, nth));
        let mut alive = true;
        world.eventually("the daemon dies or holds the file", || {
            alive = !dead(world.pid());
            (!alive || held(&world)).then_some(())
        });
        let died = if alive { terminate(&mut world) } else { world.wait().code() != Some(0) };
        deaths += u32::from(died);
        world.start();
        world.eventually("the file is held", || held(&world).then_some(()));
        world.stop();
        let found = left(&world);
        assert_eq!(expected.get_or_insert_with(|| found.clone()), &found, "after a kill at call {nth}");
        if !died && nth < u32::from(u16::MAX) {
            break;
        }
    }
    assert!(deaths >= 8, "only {deaths} kills: the calls are not seen");
}

#[test]
fn killed_at_every_durable_call_of_an_approval_it_ends_as_an_undisturbed_run() {
    if !have("strace") {
        return;
    }
    let expected = undisturbed();
    let mut deaths = 0;
    for nth in 1.. {
        let mut world = braked();
        world.start();
        world.eventually("the file is held", || held(&world).then_some(()));
        world.stop();
        let died = !command_killed_at(&world, &["imports", "approve", "1"], CALLS, nth).output().expect("strace").status.success();
        deaths += u32::from(died);
        world.start();
        // The word may have been lost with the command, never half of it.
        world.eventually("the archive", || {
            if held(&world) {
                world.run(&["imports", "approve", "1"]);
            }
            archived(&world).then_some(())
        });
        world.report("acme", "june.csv");
        world.stop();
        assert_eq!(left(&world), expected, "after a kill at call {nth}");
        if !died {
            break;
        }
    }
    assert!(deaths >= 8, "only {deaths} kills: the calls are not seen");
}

fn terminate(world: &mut World) -> bool {
    // strace passes the signal on to nobody: the daemon is its child.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", world.pid())).unwrap_or_default();
    for child in children.split_whitespace() {
        let _ = Command::new("kill").args(["-TERM", child]).status();
    }
    world.wait().code() != Some(0)
}

/// A process that has ended and waits to be collected.
fn dead(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z')))
}
