//! Long transfers under every circumstance that has hung a server before: bytes equal, no hang, memory bounded.
//!
//! 24 MiB each way as a rule, and beyond the 1 GiB after which both sides rekey by themselves where there is a release build.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::limits::{RESIDENT_KIB_MAX, peak_kib};
use crate::support;
use crate::world::{World, release_build};

/// Options of OpenSSH's client.
const CIRCUMSTANCES: [&[&str]; 6] =
    [&[], &["-o", "RekeyLimit=1M"], &["-o", "RekeyLimit=16M"], &["-B", "32768", "-R", "256"], &["-R", "512"], &["-o", "Compression=yes"]];

/// Without a byte more for so long, a transfer hangs. Not a measure of speed.
const STILL: Duration = Duration::from_secs(60);

#[test]
fn big_files_go_both_ways_unchanged_whatever_a_client_asks_for() {
    if !support::have("sftp") {
        return;
    }
    let size = if release_build().is_some() { 1280 << 20 } else { 24 << 20 };
    let mut world = if room("/dev/shm") > 3 * size { World::in_memory() } else { World::new() };
    world.tenant("acme");
    world.start();
    let (big, got) = (world.outside("big"), world.outside("got"));
    let sent = make(&big, size);
    fs::hard_link(&big, world.folder("acme", "archive").join("big.bin")).expect("one file system");
    let staged = world.folder("acme", "staging").join("inbox/big.part");
    for options in CIRCUMSTANCES {
        let put = transfer(&world, options, &format!("put {} big.part", big.display()), &staged);
        assert!(digest(&staged) == sent, "put, {options:?}: the bytes differ");
        world.sftp("acme", "rm big.part\n").exits(0);
        let get = transfer(&world, options, &format!("get /archive/big.bin {}", got.display()), &got);
        assert!(digest(&got) == sent, "get, {options:?}: the bytes differ");
        fs::remove_file(&got).expect("removable");
        let peak = peak_kib(world.pid());
        println!("{} MiB each way, {:24} put {put:5.1} s, get {get:5.1} s, equal; peak {peak} KiB", size >> 20, options.join(" "));
        assert!(peak < RESIDENT_KIB_MAX, "{options:?}: {peak} KiB");
    }
}

/// Runs a batch of one command to its end, by which this file grows. The seconds that it took.
fn transfer(world: &World, options: &[&str], command: &str, grows: &Path) -> f64 {
    let began = Instant::now();
    let mut child = world.sender("acme").sftp(world.address(), options).spawn().expect("sftp starts");
    child.stdin.take().expect("piped").write_all(format!("{command}\n").as_bytes()).expect("sftp reads its batch");
    let (mut size, mut since) = (0, Instant::now());
    while child.try_wait().expect("a child").is_none() {
        let now = fs::metadata(grows).map_or(0, |is| is.len());
        if now != size {
            (size, since) = (now, Instant::now());
        }
        if since.elapsed() > STILL {
            end(child);
            panic!("{command} with {options:?} hangs after {size} bytes\n{}", world.picture());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = began.elapsed().as_secs_f64();
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "{command} with {options:?}: {}", String::from_utf8_lossy(&output.stderr));
    seconds
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Writes bytes that do not repeat. Their digest.
fn make(path: &Path, size: u64) -> Vec<u8> {
    let (mut random, mut block) = (fastrand::Rng::with_seed(7), vec![0; 1 << 20]);
    let (mut file, mut digest) = (fs::File::create(path).expect("writable"), Sha256::new());
    for _ in 0..size >> 20 {
        random.fill(&mut block);
        file.write_all(&block).expect("room");
        digest.update(&block);
    }
    digest.finalize().to_vec()
}

fn digest(path: &Path) -> Vec<u8> {
    let (mut file, mut block, mut digest) = (fs::File::open(path).expect("there"), vec![0; 1 << 20], Sha256::new());
    loop {
        match file.read(&mut block).expect("readable") {
            0 => return digest.finalize().to_vec(),
            count => digest.update(&block[..count]),
        }
    }
}

/// Bytes that a folder's file system has room for.
fn room(folder: &str) -> u64 {
    rustix::fs::statvfs(folder).map_or(0, |room| room.f_bavail.saturating_mul(room.f_frsize))
}
