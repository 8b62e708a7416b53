//! Killed at any instruction: the shipped binary under `strace`, killed at exactly the N-th call, for every N.
//!
//! `strace` counts each call of each thread by itself. So the loops go call by call, and the world was served once before: then
//! the threads that receive and purge are the first to make these calls, and their N-th is the one that kills.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::people;
use crate::signatures::every_signature_holds;
use crate::support::have;
use crate::world::{EXPUNGED, World, children, rows_with_an_outcome, signal};

/// The calls after which something is durable or has another name.
const CALLS: [&str; 7] = ["fsync", "fdatasync", "rename", "renameat", "renameat2", "unlinkat", "ftruncate"];

/// With which SQLite writes. More of them than anyone wants to try one by one.
const WRITES: &str = "pwrite64";

pub(super) const EMAILS: &str =
    "Customer Email\nperson1@acme.example\nperson2@acme.example\nnobody@acme.example\nbad\nperson30@acme.example\nperson1@acme.example\n";

const PARTICIPANTS: &str = "accountId,id,doNotTrack,ticket\nA5,U10,true,T-1\nA5,U11,,T-2\nA5,U10,,T-3\nA9,nobody,true,\n";

/// What a run leaves, times and ids aside.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Left {
    store: Vec<String>,
    files: BTreeMap<String, String>,
}

pub(super) fn left(world: &World) -> Left {
    every_signature_holds(world);
    let mut files = BTreeMap::new();
    for folder in ["staging", "inbox", "check", "processing", "held", "archive", "rejected", "status"] {
        for name in world.files("acme", folder) {
            let text = std::fs::read_to_string(world.folder("acme", folder).join(&name)).expect("text");
            files.insert(format!("{folder}/{}", without_ids(&name)), told(&name, &text));
        }
    }
    let mut store = people::rows(world, "acme");
    store.extend(world.sql_lines("SELECT tenant, kind, identity FROM expunged_suppressions ORDER BY 1, 2, 3"));
    store.extend(world.sql_lines("SELECT file, mode, state, tally, archived FROM expunged_imports ORDER BY file"));
    store.push(format!("targets {}", world.sql::<i64>("SELECT count(*) FROM expunged_targets")));
    Left { store, files }
}

/// What two runs must agree on in a file. A signature is over times: that it holds is all.
pub(super) fn told(name: &str, text: &str) -> String {
    if name.ends_with(".sig") { String::new() } else { without_ids(text) }
}

/// Import ids, days, times and digests of other reports differ between runs.
pub(super) fn without_ids(text: &str) -> String {
    let told = |line: &&str| !["_at\"", "\"import\"", "\"previous\"", "\"until\""].iter().any(|key| line.contains(key));
    text.lines().filter(told).map(without_numbers).collect::<Vec<_>>().join("\n")
}

/// `archive/2026-11-22/1-june.csv` and `archive/DAY/ID-june.csv`.
fn without_numbers(line: &str) -> String {
    let part = |part: &str| {
        let day = part.len() == 10 && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        match part.split_once('-') {
            _ if day => "DAY".to_owned(),
            Some((id, name)) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) => format!("ID-{name}"),
            _ => part.to_owned(),
        }
    };
    line.split('/').map(part).collect::<Vec<_>>().join("/")
}

pub(super) fn serve_killed_at(world: &World, call: &str, nth: u32) -> Command {
    command_killed_at(world, &["serve"], call, nth)
}

/// Without `--seccomp-bpf`: strace 6.1 then loses count.
pub(super) fn command_killed_at(world: &World, args: &[&str], call: &str, nth: u32) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"]);
    command.arg(format!("inject={call}:signal=KILL:when={nth}"));
    command.arg(EXPUNGED).arg("--config").arg(world.home().join("expunged.toml")).args(args);
    command
}

/// Customers of acme, and a daemon that ran once and ended well.
pub(super) fn prepared() -> World {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.tenant("acme");
    world.set_tenant("acme", "request_id_column", "\"ticket\"");
    people::load(&world, "acme", 40);
    world.start();
    world.stop();
    world
}

/// Three files lie in the inbox: one that is rejected, and one of each kind.
fn three_files(world: &World) {
    for (name, text) in [("bad.csv", "mail\nx\n"), ("june.csv", EMAILS), ("people.csv", PARTICIPANTS)] {
        let local = world.write(name, text);
        world.move_in(&local, "acme", name);
    }
}

/// Every file stands in its last folder, and the sender was told so.
pub(super) fn all_ended(world: &World, files: &[&str]) -> bool {
    let ended = |name: &&str| {
        let state = world.status("acme", name).map(|status| status["state"].clone());
        state.is_some_and(|state| state == "completed" || state == "rejected")
    };
    files.iter().all(ended) && world.sql::<i64>("SELECT count(*) FROM expunged_imports WHERE NOT archived") == 0
}

const THREE: [&str; 3] = ["bad.csv", "june.csv", "people.csv"];

/// Waits until the traced daemon was killed, or the files ended and it was told to stop. Whether it was killed.
pub(super) fn killed(world: &mut World, mut ended: impl FnMut(&World) -> bool) -> bool {
    let alive = {
        let world: &World = world;
        world.eventually("the daemon dies or ends its work", || {
            if dead(world.pid()) {
                return Some(false);
            }
            ended(world).then_some(true)
        })
    };
    if alive {
        // A kill can still lie ahead, in the drain. The daemon is the tracer's child.
        signal("TERM", &children(world.pid()));
    }
    world.wait().code() != Some(0)
}

/// After a kill: another start finds everything, and leaves what an undisturbed run leaves.
pub(super) fn ends_as(world: &mut World, files: &[&str], expected: &Left, after: &str) {
    every_signature_holds(world);
    each_list_stands_in_one_folder_beside_its_report(world);
    world.start();
    world.eventually("all files end", || all_ended(world, files).then_some(()));
    world.stop();
    let found = left(world);
    assert_eq!(found.files, expected.files, "after {after}\n{}", world.picture());
    people::same(&found.store, &expected.store, || format!("after {after}\n{}", world.picture()));
}

/// Asserts that a list which was claimed is in one folder only, and that its report is there where that is its last one or it is held.
fn each_list_stands_in_one_folder_beside_its_report(world: &World) {
    let mut seen = BTreeMap::new();
    for folder in ["processing", "held", "archive", "rejected"] {
        let files = world.files("acme", folder);
        let hidden = |name: &String| name.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
        for name in files.iter().filter(|name| name.ends_with(".csv") && !name.ends_with(".results.csv") && !hidden(name)) {
            let report = format!("{name}.report.json");
            assert!(folder == "processing" || files.contains(&report), "{folder}/{name} without its report\n{}", world.picture());
            let list = name.rsplit('/').next().expect("a name").to_owned();
            let other = seen.insert(list, folder);
            assert!(other.is_none(), "{name} in {other:?} and {folder}\n{}", world.picture());
        }
    }
}

fn undisturbed(prepared: &World) -> Left {
    let mut world = prepared.fork();
    three_files(&world);
    world.start();
    world.eventually("all files end", || all_ended(&world, &THREE).then_some(()));
    world.stop();
    let left = left(&world);
    for folder in [
        "archive/DAY/ID-june.csv.report.json",
        "archive/DAY/ID-june.csv.report.json.sig",
        "archive/DAY/ID-people.csv.results.csv",
        "rejected/DAY/ID-bad.csv.report.json.sig",
    ] {
        assert!(left.files.contains_key(folder), "{:?}", left.files.keys());
    }
    left
}

/// Kills at calls 1, 1 + step(1), … of this kind until a run ends by itself. How many died.
fn import_killed_at(call: &str, step: impl Fn(u32) -> u32) -> u32 {
    let prepared = prepared();
    let expected = undisturbed(&prepared);
    let (mut nth, mut deaths) = (1, 0);
    loop {
        let mut world = prepared.fork();
        three_files(&world);
        world.start_by(|world| serve_killed_at(world, call, nth));
        let died = killed(&mut world, |world| all_ended(world, &THREE));
        ends_as(&mut world, &THREE, &expected, &format!("a kill at {call} {nth}"));
        if !died {
            return deaths;
        }
        deaths += 1;
        nth += step(nth);
    }
}

#[test]
fn an_import_killed_at_any_sync_ends_as_if_undisturbed() {
    if have("strace") {
        let deaths = import_killed_at("fsync", |_| 1) + import_killed_at("fdatasync", |_| 1);
        assert!(deaths >= 20, "only {deaths} kills: the calls are not seen");
    }
}

#[test]
fn an_import_killed_at_any_change_of_a_name_ends_as_if_undisturbed() {
    if have("strace") {
        for (call, least) in [("renameat2", 8), ("renameat", 6), ("unlinkat", 6), ("ftruncate", 2), ("rename", 0)] {
            let deaths = import_killed_at(call, |_| 1);
            assert!(deaths >= least, "only {deaths} kills at {call}: the calls are not seen");
        }
    }
}

#[test]
fn an_import_killed_at_writes_of_the_store_ends_as_if_undisturbed() {
    if have("strace") {
        let deaths = import_killed_at(WRITES, |nth| 1 + nth / 4);
        assert!(deaths >= 10, "only {deaths} kills: the writes are not seen");
    }
}

#[test]
fn a_start_killed_while_it_recovers_is_recovered_by_the_next() {
    if !have("strace") {
        return;
    }
    let prepared = prepared();
    let expected = undisturbed(&prepared);
    // What kills leave: files claimed, moved half way, reported and not archived.
    for (call, first) in [("renameat2", 2), ("renameat2", 4), ("fsync", 12), ("renameat", 3), ("fsync", 20)] {
        let mut halfway = prepared.fork();
        three_files(&halfway);
        halfway.start_by(|world| serve_killed_at(world, call, first));
        assert!(killed(&mut halfway, |world| all_ended(world, &THREE)));
        for (call, second) in [("fsync", 1), ("renameat2", 1), ("renameat", 1)] {
            let mut world = halfway.fork();
            world.start_by(|world| serve_killed_at(world, call, second));
            killed(&mut world, |world| all_ended(world, &THREE));
            ends_as(&mut world, &THREE, &expected, &format!("kills at call {first} and {call} {second}"));
        }
    }
}

#[test]
fn a_delivery_killed_at_any_call_loses_nothing_and_does_nothing_twice() {
    if !have("strace") {
        return;
    }
    let prepared = prepared();
    let expected = {
        let mut world = prepared.fork();
        world.start();
        world.put("acme", "june.csv", EMAILS);
        world.eventually("the file ends", || all_ended(&world, &["june.csv"]).then_some(()));
        world.stop();
        people::rows(&world, "acme")
    };
    let (mut kills, mut unheard) = (0, 0);
    for call in CALLS.into_iter().chain([WRITES]) {
        for nth in 1.. {
            let mut world = prepared.fork();
            let local = world.write("june.csv", EMAILS);
            world.start_by(|world| serve_killed_at(world, call, nth));
            // SQLite's writes at the start come before anyone can be answered.
            if !listens(&mut world) {
                world.wait();
                continue;
            }
            let sender = world.sender("acme");
            let told = sender.puts(world.address(), &local, "june.csv");
            let died = killed(&mut world, |world| !told || all_ended(world, &["june.csv"]));
            kills += u32::from(died);
            unheard += u32::from(!told);
            world.start();
            if !told {
                assert!(
                    sender.puts(world.address(), &local, "june.csv"),
                    "the second put after a kill at {call} {nth}\n{}",
                    world.picture()
                );
            }
            world.eventually("the file ends", || all_ended(&world, &["june.csv"]).then_some(()));
            world.stop();
            people::same(&people::rows(&world, "acme"), &expected, || format!("after a kill at {call} {nth}"));
            let deleted: i64 = world.sql("SELECT sum(tally ->> 'deleted') FROM expunged_imports");
            assert_eq!(deleted, 3, "after a kill at {call} {nth}\n{}", world.picture());
            let archived = world.files("acme", "archive").iter().filter(|name| name.ends_with("-june.csv")).count();
            assert!(archived == 1 || (archived == 2 && !told), "{archived} archived after a kill at {call} {nth}\n{}", world.picture());
            assert!(world.files("acme", "inbox").is_empty() && world.files("acme", "staging").is_empty(), "{}", world.picture());
            if told {
                break;
            }
        }
    }
    assert!(kills >= 6 && unheard >= 4, "{kills} kills, {unheard} of them before the answer: the calls are not seen");
}

#[test]
fn a_purge_by_hand_killed_at_any_call_is_whole_or_nothing_after_the_next_start() {
    if !have("strace") {
        return;
    }
    let prepared = prepared();
    let before = people::rows(&prepared, "acme");
    let purge = |world: &World, tracer: &[String]| {
        let list = world.write("list.csv", EMAILS);
        let mut command = Command::new(tracer.first().map_or(EXPUNGED, String::as_str));
        command.args(tracer.iter().skip(1)).arg("--config").arg(world.home().join("expunged.toml"));
        command.arg("purge").arg(list).args(["--tenant", "acme", "--yes", "3"]);
        command.output().expect("it runs").status.code()
    };
    let expected = {
        let world = prepared.fork();
        assert_eq!(purge(&world, &[]), Some(3), "done, one row invalid");
        people::rows(&world, "acme")
    };
    let mut outcomes = (0, 0);
    for call in CALLS.into_iter().chain(["unlink"]) {
        for nth in 1.. {
            let mut world = prepared.fork();
            let injected = [format!("trace={call}"), "-e".to_owned(), format!("inject={call}:signal=KILL:when={nth}"), EXPUNGED.to_owned()];
            let tracer = ["strace", "-f", "-qq", "-o", "/dev/null", "-e"].map(str::to_owned).into_iter().chain(injected);
            let ended = purge(&world, &tracer.collect::<Vec<_>>());
            world.start();
            world.eventually("what was begun ends", || {
                let open = "SELECT (SELECT count(*) FROM expunged_imports WHERE NOT archived) + (SELECT count(*) FROM expunged_requests WHERE result IS NULL)";
                (world.sql::<i64>(open) == 0).then_some(())
            });
            world.stop();
            let found = people::rows(&world, "acme");
            let nothing = found == before;
            if !nothing {
                people::same(&found, &expected, || format!("after a kill at {call} {nth}\n{}", world.picture()));
                let archived = world.files("acme", "archive").iter().filter(|name| name.ends_with("-list.csv")).count();
                assert_eq!(archived, 1, "after a kill at {call} {nth}\n{}", world.picture());
            }
            let lists = std::fs::read_dir(world.home().join("data/requests")).into_iter().flatten().count();
            assert_eq!(lists, 0, "no list is left behind after a kill at {call} {nth}\n{}", world.picture());
            assert!(world.files("acme", "processing").is_empty(), "after a kill at {call} {nth}\n{}", world.picture());
            if ended == Some(3) {
                assert!(!nothing, "it said that it was done");
                break;
            }
            if nothing { outcomes.0 += 1 } else { outcomes.1 += 1 }
        }
    }
    assert!(outcomes.0 >= 2 && outcomes.1 >= 5, "{outcomes:?}: the calls are not seen");
}

/// Whether the traced daemon comes as far as listening.
fn listens(world: &mut World) -> bool {
    let pid = world.pid();
    world.eventually("the daemon is ready or dies", || (world.log().contains("daemon ready") || dead(pid)).then_some(()));
    let ready = world.log().contains("daemon ready") && !dead(pid);
    if ready {
        world.wait_for_address();
    }
    ready
}

#[test]
fn killed_at_random_moments_while_files_stream_in_it_does_everything_once() {
    const FILES: usize = 20;
    let seed = std::env::var("EXPUNGED_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()) + 1);
    let tenants = ["acme", "acme-2"];
    let mut world = World::new();
    for tenant in tenants {
        world.tenant(tenant);
        people::load(&world, tenant, 200);
    }
    let expected = {
        let mut world = world.fork();
        world.start();
        for tenant in tenants {
            world.put(tenant, "all.csv", people::email_csv(tenant, 0..FILES * 5));
            world.report(tenant, "all.csv");
        }
        world.stop();
        tenants.map(|tenant| people::rows(&world, tenant))
    };

    let mut random = seed;
    let mut next = move |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    world.start();
    let address = Mutex::new(world.address());
    let senders_left = Mutex::new(tenants.len());
    let failed = AtomicBool::new(false);
    let mut kills = 0;
    let told: Vec<Vec<String>> = std::thread::scope(|scope| {
        let streams = tenants.map(|tenant| {
            let sender = world.sender(tenant);
            let files: Vec<_> =
                (0..FILES).map(|n| world.write(&format!("{tenant}-{n}.csv"), people::email_csv(tenant, n * 5..n * 5 + 5))).collect();
            let (address, senders_left, failed) = (&address, &senders_left, &failed);
            scope.spawn(move || {
                let mut told = Vec::new();
                for (n, local) in files.iter().enumerate() {
                    for attempt in 0.. {
                        if attempt == 200 {
                            failed.store(true, Ordering::SeqCst);
                            break;
                        }
                        let name = format!("file{n}-attempt{attempt}.csv");
                        let now = *address.lock().expect("not poisoned");
                        if sender.puts(now, local, &name) {
                            told.push(name);
                            break;
                        }
                    }
                }
                *senders_left.lock().expect("not poisoned") -= 1;
                told
            })
        });
        while *senders_left.lock().expect("not poisoned") > 0 {
            // The moment is the point of this test.
            std::thread::sleep(Duration::from_millis(20 + next(500)));
            world.kill();
            kills += 1;
            world.start();
            *address.lock().expect("not poisoned") = world.address();
        }
        streams.into_iter().map(|stream| stream.join().expect("a sender ends")).collect()
    });
    assert!(!failed.load(Ordering::SeqCst), "seed {seed}: a sender gave up after {kills} kills\n{}", world.picture());
    let open = "SELECT count(*) FROM expunged_imports WHERE NOT archived";
    world.eventually("all imports end", || {
        let waiting =
            tenants.iter().any(|tenant| !world.files(tenant, "inbox").is_empty() || !world.files(tenant, "processing").is_empty());
        (!waiting && world.sql::<i64>(open) == 0).then_some(())
    });
    world.stop();

    every_signature_holds(&world);
    let context = format!("seed {seed}, {kills} kills");
    for ((tenant, told), expected) in tenants.iter().zip(&told).zip(&expected) {
        people::same(&people::rows(&world, tenant), expected, || context.clone());
        let archived = world.files(tenant, "archive");
        for name in told {
            let count = archived.iter().filter(|file| file.ends_with(&format!("-{name}"))).count();
            assert_eq!(count, 1, "{context}: {name} in {archived:?}");
        }
        let deleted: i64 = world.sql(&format!("SELECT sum(tally ->> 'deleted') FROM expunged_imports WHERE tenant = '{tenant}'"));
        assert_eq!(deleted, 5 * i64::try_from(FILES).expect("small"), "{context}");
        for file in archived.iter().filter(|name| name.ends_with(".report.json")) {
            let text = std::fs::read_to_string(world.folder(tenant, "archive").join(file)).expect("text");
            let report: serde_json::Value = serde_json::from_str(&text).expect("a report is whole");
            assert_eq!((&report["rows"]["read"], rows_with_an_outcome(&report)), (&5.into(), 5), "{context}: {file}");
        }
        assert!(world.files(tenant, "rejected").is_empty(), "{context}: {:?}", world.files(tenant, "rejected"));
    }
}

/// A process that has ended and waits to be collected.
fn dead(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z')))
}
