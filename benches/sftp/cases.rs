//! What is measured, and the gates of issue 4.
//!
//! Big files are put under a temporary name (`x.part`), which stays in staging, so that nothing but receiving is at work. Small
//! files are measured both ways: kept like that, and delivered, where purging goes on beside.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::Sizes;
use crate::servers::{Kind, Server, Servers, eventually, finish};
use crate::usage::{self, Sampler};

/// One thing that both servers do.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) on_disk: bool,
    work: Work,
    /// Times OpenSSH's speed that are wanted.
    speed_min: f64,
    /// Times OpenSSH's CPU that are allowed.
    cpu_max: f64,
}

/// What the clients do.
enum Work {
    Put { cipher: &'static str },
    Get { cipher: &'static str },
    Small { files: usize, sessions: usize, name: &'static str, synced: bool },
    Parallel { sessions: usize, files: usize },
    Logins { count: usize, at_once: usize },
}

/// One server's figures of one case.
#[derive(Default)]
struct Figures {
    seconds: Vec<f64>,
    cpu: Vec<f64>,
    memory_kib: Vec<f64>,
}

/// Both servers' figures.
pub(crate) struct Result<'a> {
    case: &'a Case,
    ours: Figures,
    openssh: Figures,
    units: (f64, &'static str),
}

const CHACHA: &str = "Ciphers=chacha20-poly1305@openssh.com";
const GCM128: &str = "Ciphers=aes128-gcm@openssh.com";
const GCM256: &str = "Ciphers=aes256-gcm@openssh.com";
const CTR: &str = "Ciphers=aes256-ctr";
/// Both servers have it for CTR.
const MAC: &str = "MACs=hmac-sha2-256-etm@openssh.com";

const NO_GATE: f64 = f64::INFINITY;

/// Every case, in the order of the table.
pub(crate) fn all(sizes: &Sizes) -> Vec<Case> {
    let case = |name, work, speed_min, cpu_max| Case { name, on_disk: false, work, speed_min, cpu_max };
    let durable = |name, work, speed_min| Case { name, on_disk: true, work, speed_min, cpu_max: NO_GATE };
    let small = |name, files, sessions, synced| Work::Small { files, sessions, name, synced };
    vec![
        case("put big, chacha20", Work::Put { cipher: CHACHA }, 1.2, 0.75),
        case("put big, aes128-gcm", Work::Put { cipher: GCM128 }, 1.6, 0.6),
        case("put big, aes256-gcm", Work::Put { cipher: GCM256 }, 1.6, 0.6),
        case("put big, aes256-ctr", Work::Put { cipher: CTR }, 1.2, 0.75),
        case("get big, chacha20", Work::Get { cipher: CHACHA }, 1.2, 0.75),
        case("get big, aes128-gcm", Work::Get { cipher: GCM128 }, 1.2, 0.6),
        case("get big, aes256-gcm", Work::Get { cipher: GCM256 }, 1.2, 0.6),
        case("get big, aes256-ctr", Work::Get { cipher: CTR }, 1.2, 0.75),
        case("put small 4 KiB, kept", small("part", sizes.small_files, 1, false), 1.35, 0.75),
        case("put small 4 KiB, delivered", small("csv", sizes.small_files, 1, false), 1.35, NO_GATE),
        case("20 sessions of 4 x 1 MiB", Work::Parallel { sessions: 20, files: 4 }, 2.0, 0.75),
        case("100 sessions of 2 x 1 MiB", Work::Parallel { sessions: 100, files: 2 }, 2.0, 0.75),
        case("logins, one after another", Work::Logins { count: sizes.logins, at_once: 1 }, 1.0, 0.1),
        case("logins, two at a time", Work::Logins { count: sizes.logins, at_once: 2 }, 1.0, 0.1),
        durable("durable small 4 KiB, 1 session", small("csv", sizes.durable_files, 1, true), 0.9),
        durable("durable small 4 KiB, 8 sessions", small("csv", sizes.durable_files / 8, 8, true), 1.0),
        durable("durable small 4 KiB, kept, 1 session", small("part", sizes.durable_files, 1, true), 0.9),
        durable("durable small 4 KiB, kept, 8 sessions", small("part", sizes.durable_files / 8, 8, true), 1.0),
    ]
}

impl Case {
    /// Lets both do it in turns.
    pub(crate) fn measure(&self, servers: &Servers, sizes: &Sizes) -> Result<'_> {
        self.prepare(servers, sizes);
        let (mut ours, mut openssh) = (Figures::default(), Figures::default());
        for round in 0..sizes.rounds {
            let first = if round % 2 == 0 { Kind::OpenSsh } else { Kind::Ours };
            for server in servers.both(first) {
                let figures = if server.kind == Kind::Ours { &mut ours } else { &mut openssh };
                self.once(servers, server, figures);
            }
        }
        let units = match self.work {
            Work::Put { .. } | Work::Get { .. } => ((sizes.big_bytes >> 20) as f64, "MiB/s"),
            Work::Small { files, sessions, .. } => ((files * sessions) as f64, "files/s"),
            Work::Parallel { sessions, files } => ((sessions * files) as f64, "MiB/s"),
            Work::Logins { count, .. } => (count as f64, "/s"),
        };
        Result { case: self, ours, openssh, units }
    }

    fn prepare(&self, servers: &Servers, sizes: &Sizes) {
        let make = |name: &str, bytes: u64| {
            let path = servers.dir.join(name);
            if fs::metadata(&path).is_ok_and(|is| is.len() == bytes) {
                return;
            }
            let block: Vec<u8> = (0..1_u32 << 18).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
            let mut file = fs::File::create(&path).expect("writable");
            let mut left = bytes;
            while left > 0 {
                let piece = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
                file.write_all(&block[..piece]).expect("room");
                left -= piece as u64;
            }
        };
        match self.work {
            Work::Put { .. } => make("big", sizes.big_bytes),
            Work::Get { .. } => {
                make("big", sizes.big_bytes);
                for server in [&servers.ours, &servers.openssh] {
                    let there = server.get_dir.join("big.bin");
                    if !there.exists() {
                        fs::copy(servers.dir.join("big"), there).expect("room");
                    }
                }
            }
            Work::Small { .. } => {
                let rows = (0..).map(|n| format!("nobody{n:04}@bench.example\n"));
                let mut text = String::from("Customer Email\n");
                for row in rows {
                    if text.len() + row.len() > 4096 {
                        break;
                    }
                    text.push_str(&row);
                }
                fs::write(servers.dir.join("small"), text).expect("room");
            }
            Work::Parallel { .. } => make("mib", 1 << 20),
            Work::Logins { .. } => {}
        }
    }

    fn once(&self, servers: &Servers, server: &Server, figures: &mut Figures) {
        quiet(servers);
        server.empty();
        usage::wait_until_alone(server.id());
        let cpu = usage::cpu_seconds(server.id());
        let sampler = Sampler::start(server.id());
        let start = Instant::now();
        self.work.run(servers, server);
        figures.seconds.push(start.elapsed().as_secs_f64());
        usage::wait_until_alone(server.id());
        figures.memory_kib.push(sampler.most_kib() as f64);
        figures.cpu.push(usage::cpu_seconds(server.id()) - cpu);
    }
}

/// Waits until our server has purged what was delivered, so that it is not part of the next measurement.
fn quiet(servers: &Servers) {
    let tenant = servers.ours.get_dir.parent().expect("a tenant's folder");
    eventually("the imports have ended", || {
        let count = |folder: &str| fs::read_dir(tenant.join(folder)).map_or(0, Iterator::count);
        (count("inbox") + count("processing") == 0).then_some(())
    });
}

impl Work {
    fn run(&self, servers: &Servers, server: &Server) {
        let (to, from, local) = (&server.put_to, &server.get_from, servers.dir.display());
        match *self {
            Self::Put { cipher } => finish(server.sftp(&["-o", cipher, "-o", MAC], &format!("put {local}/big {to}/big.part\n"))),
            Self::Get { cipher } => finish(server.sftp(&["-o", cipher, "-o", MAC], &format!("get {from}/big.bin {local}/got\n"))),
            Self::Small { files, sessions, name, synced } => {
                // Our CLOSE is durable by itself; OpenSSH's client must ask for it.
                let options: &[&str] = if synced && server.kind == Kind::OpenSsh { &["-f"] } else { &[] };
                let batch = |session: usize| -> String {
                    (0..files).map(|file| format!("put {local}/small {to}/s{session}-{file}.{name}\n")).collect()
                };
                let clients: Vec<Child> = (0..sessions).map(|session| server.sftp(options, &batch(session))).collect();
                clients.into_iter().for_each(finish);
            }
            Self::Parallel { sessions, files } => {
                let batch = |session: usize| -> String {
                    (0..files).map(|file| format!("put {local}/mib {to}/p{session}-{file}.part\n")).collect()
                };
                let clients: Vec<Child> = (0..sessions).map(|session| server.sftp(&[], &batch(session))).collect();
                clients.into_iter().for_each(finish);
            }
            Self::Logins { count, at_once } => {
                for _ in 0..count / at_once {
                    let clients: Vec<Child> = (0..at_once).map(|_| server.sftp(&[], "pwd\n")).collect();
                    clients.into_iter().for_each(finish);
                }
            }
        }
    }
}

impl Result<'_> {
    /// One line of the table. How many gates it misses.
    pub(crate) fn print(&self) -> u32 {
        let (amount, unit) = self.units;
        let speed = [&self.openssh, &self.ours].map(|figures| amount / median(&figures.seconds));
        let cpu = [&self.openssh, &self.ours].map(|figures| median(&figures.cpu));
        let memory = [&self.openssh, &self.ours].map(|figures| median(&figures.memory_kib) / 1024.0);
        let (faster, dearer) = (speed[1] / speed[0], cpu[1] / cpu[0]);
        let slow = faster < self.case.speed_min;
        let dear = self.case.cpu_max.is_finite() && dearer > self.case.cpu_max;
        let speed_gate = format!("≥{:.2}{}", self.case.speed_min, if slow { " MISS" } else { "" });
        let cpu_gate = match self.case.cpu_max {
            NO_GATE => "-".to_owned(),
            most => format!("≤{most:.2}{}", if dear { " MISS" } else { "" }),
        };
        println!(
            "{:40} {:7.0} → {:7.0} {unit:7} {faster:5.2}x {speed_gate:10} {:7.3} → {:7.3} {dearer:5.2}x {cpu_gate:10} {:5.1} → {:5.1}",
            self.case.name, speed[0], speed[1], cpu[0], cpu[1], memory[0], memory[1],
        );
        u32::from(slow) + u32::from(dear)
    }
}

/// Memory that a session costs which is logged in, has said INIT, and is silent.
pub(crate) fn idle_sessions(servers: &Servers, sessions: usize) -> u32 {
    let mut costs = [0.0; 2];
    for (server, cost) in servers.both(Kind::OpenSsh).into_iter().zip(&mut costs) {
        usage::wait_until_alone(server.id());
        let before = usage::memory_kib(server.id());
        let clients: Vec<Child> = (0..sessions).map(|_| silent(server)).collect();
        // What is still being set up settles.
        std::thread::sleep(Duration::from_secs(1));
        *cost = usage::memory_kib(server.id()).saturating_sub(before) as f64 / sessions as f64;
        for mut client in clients {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
    let miss = costs[1] > 100.0;
    println!(
        "{:40} {:7.0} → {:7.0} KiB each  ≤100{}",
        format!("idle session, of {sessions}"),
        costs[0],
        costs[1],
        if miss { " MISS" } else { "" }
    );
    u32::from(miss)
}

/// A client that asked for the version, got it, and asks nothing more.
fn silent(server: &Server) -> Child {
    let mut command = server.client("ssh", &["-s"]);
    command.args([&server.destination(), "sftp"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("ssh starts");
    child.stdin.as_mut().expect("piped").write_all(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).expect("ssh reads");
    let mut reply = [0; 5];
    child.stdout.as_mut().expect("piped").read_exact(&mut reply).expect("a version");
    assert_eq!(reply[4], 2, "VERSION");
    child
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
