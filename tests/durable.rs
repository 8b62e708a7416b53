//! OK on CLOSE means durable: the order of the calls that make it so, as `strace` sees them.

use std::collections::HashMap;
use std::process::Command;

use crate::people;
use crate::support::have;
use crate::world::{World, children, signal};

/// What a call is to an upload, if anything.
fn word(call: &str) -> Option<&'static str> {
    if call.starts_with("pwrite64(") && call.contains("/staging/inbox/") {
        Some("write")
    } else if call.starts_with("fsync(") && call.contains("/staging/inbox/") {
        Some("sync-file")
    } else if call.starts_with("renameat2(") && call.contains("/staging/inbox>") && call.contains("/acme/inbox>") {
        Some("deliver")
    } else if call.starts_with("fsync(") && call.contains("/acme/inbox>") {
        Some("sync-inbox")
    } else {
        call.starts_with("sendto(").then_some("answer")
    }
}

/// The calls of all threads in the order of their ends.
fn story(trace: &str) -> String {
    let (mut begun, mut words) = (HashMap::new(), Vec::new());
    for (thread, call) in trace.lines().filter_map(|line| line.split_once(' ')) {
        let call = call.trim_start();
        if call.ends_with("<unfinished ...>") {
            begun.insert(thread, word(call));
        } else if call.starts_with("<... ") {
            words.extend(begun.remove(thread).flatten());
        } else {
            words.extend(word(call));
        }
    }
    words.join(" ")
}

#[test]
fn ok_on_close_means_durable() {
    if !have("strace") {
        return;
    }
    let mut world = World::new();
    world.tenant("acme");
    // So that nobody takes the files while they are looked at.
    world.set_tenant("acme", "require_checksum", "true");
    let trace = world.outside("trace");
    world.start_by(|world| {
        let serve = world.command(&["serve"]);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-y", "-e", "trace=pwrite64,fsync,renameat2,sendto", "-o"]).arg(&trace);
        command.arg(serve.get_program()).args(serve.get_args());
        command
    });
    world.wait_for_address();
    let local = world.write("list.csv", people::email_csv("acme", [0]));
    // By its CLOSE, and by the client's own rename.
    world.sftp("acme", &format!("put {0} june.csv\nput {0} july.csv.part\nrename july.csv.part july.csv\n", local.display())).exits(0);
    signal("TERM", &children(world.pid()));
    assert_eq!(world.wait().code(), Some(0), "{}", world.log());

    let story = story(&std::fs::read_to_string(&trace).expect("a trace"));
    assert_eq!(story.matches("deliver").count(), 2, "{story}");
    assert_eq!(story.matches("sync-file deliver sync-inbox answer").count(), 2, "{story}");
}
