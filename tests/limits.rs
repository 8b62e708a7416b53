//! What the daemon does where there is too little or too much: descriptors run out, clients flood and do not read.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::people;
use crate::support;
use crate::world::World;

/// Resident memory that the daemon stays below whatever a sender does, in KiB. A session may hold 8 MiB of unanswered requests;
/// the rest is the program itself, its store and its threads.
const RESIDENT_KIB_MAX: u64 = 64 * 1024;

#[test]
fn without_descriptors_nobody_new_gets_in_and_afterwards_everybody() {
    if !support::have("prlimit") || !support::have("sftp") {
        return;
    }
    let mut world = World::new();
    world.tenant("acme");
    world.start_limited("--nofile=64:64");
    let crowd: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(world.address()).expect("the system's queue takes it")).collect();
    world.eventually("the daemon says that it cannot take connections", || world.log().contains("cannot take connections").then_some(()));
    drop(crowd);
    world.put("acme", "june.csv", people::email_csv("acme", 0..3));
    assert_eq!(world.report("acme", "june.csv")["rows"]["read"], 3);
    assert!(world.stop().success());
}

#[test]
fn floods_that_nobody_reads_take_bounded_memory_and_end() {
    if !support::have("ssh") {
        return;
    }
    let mut world = World::new();
    world.set("sftp", "reply_seconds_max", "2");
    world.tenant("acme");
    world.start();
    fs::write(world.folder("acme", "archive").join("big.bin"), vec![7; 1 << 20]).expect("writable");

    let stat = packet(17, |body| string(body, b"/inbox"));
    let open = packet(3, |body| {
        string(body, b"/archive/big.bin");
        body.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    });
    // Our handles are numbers from 1 on.
    let read = packet(5, |body| {
        string(body, &[0, 0, 0, 1]);
        body.extend([0; 8]);
        body.extend(261_120_u32.to_be_bytes());
    });
    for (number, (what, first, repeated)) in [("STAT", &[][..], &stat), ("READ", &open[..], &read)].into_iter().enumerate() {
        let mut clients: Vec<Child> = (0..4).map(|_| flood(&world, first, repeated)).collect();
        world.eventually(&format!("sessions flooding with {what} are cut"), || {
            clients.iter_mut().all(|client| client.try_wait().expect("a child").is_some()).then_some(())
        });
        assert_eq!(world.log().matches("session cut").count(), 4 * (number + 1), "{}", world.picture());
        world.eventually("their threads are gone", || (session_threads(world.pid()) == 0).then_some(()));
        let peak = peak_kib(world.pid());
        println!("{what}: peak {peak} KiB");
        assert!(peak < RESIDENT_KIB_MAX, "{what}: {peak} KiB");
    }
    world.put("acme", "june.csv", people::email_csv("acme", 0..3));
    assert_eq!(world.report("acme", "june.csv")["rows"]["read"], 3);
}

#[test]
fn a_client_that_is_killed_amid_its_flood_leaves_no_session() {
    if !support::have("ssh") {
        return;
    }
    let mut world = World::new();
    // Neither limit on time can be what frees them.
    world.set("sftp", "reply_seconds_max", "3600");
    world.tenant("acme");
    world.start();
    let stat = packet(17, |body| string(body, b"/inbox"));
    let mut clients: Vec<Child> = (0..4).map(|_| flood(&world, &[], &stat)).collect();
    world.eventually("all are in", || (world.log().matches("session opened").count() == 4).then_some(()));
    let began = Instant::now();
    for client in &mut clients {
        client.kill().expect("ours");
        client.wait().expect("ends");
    }
    world.eventually("their threads are gone", || (session_threads(world.pid()) == 0).then_some(()));
    // Not a measure of speed: keepalives that nobody answers would end them after 45 seconds.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// A session that asks for ever and reads nothing.
fn flood(world: &World, first: &[u8], repeated: &[u8]) -> Child {
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-s"]).args(world.ssh_options("acme").iter().map(|option| if option == "-P" { "-p" } else { option }));
    command.args(["acme@127.0.0.1", "sftp"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("ssh starts");
    let mut stdin = child.stdin.take().expect("piped");
    let mut bytes = vec![0, 0, 0, 5, 1, 0, 0, 0, 3];
    bytes.extend(first);
    let many = repeated.repeat(2_000);
    std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(60);
        // Ends when ssh does: its pipe breaks.
        let mut sent = stdin.write_all(&bytes);
        while sent.is_ok() && Instant::now() < until {
            sent = stdin.write_all(&many);
        }
    });
    child
}

fn packet(kind: u8, fields: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = vec![kind, 0, 0, 0, 9];
    fields(&mut body);
    let mut packet = Vec::new();
    string(&mut packet, &body);
    packet
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
    out.extend(text);
}

fn session_threads(process: u32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs").flatten();
    tasks.filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "sftp")).count()
}

/// The most memory that a process has held.
pub(crate) fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}
