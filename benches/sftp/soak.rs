//! Long transfers under every circumstance that has hung a server before: bytes equal, no hang.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::servers::{Server, Servers, finish};

/// Beyond the 1 GiB after which both sides rekey by themselves.
const BYTES: u64 = 1280 << 20;

/// A transfer that has not ended by now hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Options of the client that have made servers hang.
const CIRCUMSTANCES: [(&str, &[&str]); 6] = [
    ("default", &[]),
    ("RekeyLimit=1M", &["-o", "RekeyLimit=1M"]),
    ("RekeyLimit=16M", &["-o", "RekeyLimit=16M"]),
    ("-B 32768 -R 256", &["-B", "32768", "-R", "256"]),
    ("-R 512", &["-R", "512"]),
    ("Compression=yes", &["-o", "Compression=yes"]),
];

/// Puts and gets 1.25 GiB under each circumstance whose name contains one of `wanted`, and compares.
pub(crate) fn run(wanted: &[String]) {
    let servers = Servers::start(&PathBuf::from("/dev/shm"));
    let ours = &servers.ours;
    let big = servers.dir.join("big");
    make(&big);
    let staged = ours.get_dir.parent().expect("a tenant's folder").join("staging/inbox/big.part");
    let served = ours.get_dir.join("big.bin");
    fs::hard_link(&big, &served).expect("linked");
    let got = servers.dir.join("got");
    for (name, options) in CIRCUMSTANCES {
        if !wanted.is_empty() && !wanted.iter().any(|want| name.contains(want.as_str())) {
            continue;
        }
        ours.empty();
        let put = timed(ours, options, &format!("put {} /inbox/big.part\n", big.display()));
        let put_same = same(&big, &staged);
        let _ = fs::remove_file(&got);
        let get = timed(ours, options, &format!("get /archive/big.bin {}\n", got.display()));
        let get_same = same(&big, &got);
        println!("{name:18} put {put:6.1} s {}  get {get:6.1} s {}  peak {} MiB", equal(put_same), equal(get_same), ours.peak_kib() / 1024);
        assert!(put_same && get_same, "bytes differ: {name}");
    }
}

fn equal(same: bool) -> &'static str {
    if same { "equal" } else { "DIFFERENT" }
}

fn timed(server: &Server, options: &[&str], batch: &str) -> f64 {
    let start = Instant::now();
    let mut child = server.sftp(options, batch);
    while child.try_wait().expect("a child").is_none() {
        if start.elapsed() > PATIENCE {
            stop(&mut child);
            panic!("it hangs: {options:?} {batch}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = start.elapsed().as_secs_f64();
    finish(child);
    seconds
}

fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Bytes that do not repeat.
fn make(path: &Path) {
    let mut file = std::io::BufWriter::with_capacity(1 << 20, fs::File::create(path).expect("writable"));
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..BYTES / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).expect("room");
    }
    file.flush().expect("room");
}

fn same(a: &Path, b: &Path) -> bool {
    let (mut a, mut b) = (fs::File::open(a).expect("there"), fs::File::open(b).expect("there"));
    if a.metadata().expect("a file").len() != b.metadata().expect("a file").len() {
        return false;
    }
    let (mut x, mut y) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = a.read(&mut x).expect("readable");
        if count == 0 {
            return true;
        }
        b.read_exact(&mut y[..count]).expect("of the same length");
        if x[..count] != y[..count] {
            return false;
        }
    }
}
