//! OpenSSH's own `sftp` and `scp`, where they are installed.

use super::*;

#[test]
fn openssh_puts_lists_stats_renames_resumes_and_gets() {
    if Command::new("sftp").arg("-?").output().is_err() {
        return;
    }
    let world = World::new();
    std::fs::write(world.dir.path().join("june.csv"), b"email\nann@x.example\n").unwrap();
    std::fs::write(world.dir.path().join("half"), b"email\nann@").unwrap();
    std::fs::write(world.path("status/old.json"), b"{}").unwrap();
    let output = world.openssh(
        &[],
        "pwd\nput june.csv\nls -l /inbox\nput june.csv july.csv.part\nls -l\nrename july.csv.part july.csv\nput -p june.csv /check/june.csv\n\
         put half may.csv.part\nreput june.csv may.csv.part\nput -f june.csv synced.part\nrename may.csv.part may.csv\nget /status/old.json got.json\nls -1 /\n-mkdir sub\ndf /\n",
    );
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Remote working directory: /inbox"), "{said}");
    assert!(said.contains("-rw-------    1 acme     acme               20 "), "{said}");
    for file in ["inbox/june.csv", "inbox/july.csv", "inbox/may.csv", "check/june.csv"] {
        assert_eq!(std::fs::read(world.path(file)).unwrap(), b"email\nann@x.example\n", "{file}");
    }
    assert_eq!(std::fs::read(world.dir.path().join("got.json")).unwrap(), b"{}");
    assert_eq!(world.hints().len(), 4);
    let legacy = world.command("scp", &["-O"]).args(["june.csv", "acme@127.0.0.1:x.csv"]).output().unwrap();
    assert!(
        !legacy.status.success() && self::said(&legacy).contains("legacy scp is not offered; use sftp or scp -s"),
        "{}",
        self::said(&legacy)
    );
    let modern = world.command("scp", &["-s"]).args(["june.csv", "acme@127.0.0.1:x.csv"]).output().unwrap();
    assert!(modern.status.success(), "{}", self::said(&modern));
    // A folder that is not there is no file's name.
    assert!(!world.openssh(&[], "put june.csv /inbox/sub/\n").status.success());
    let into_folder = world.command("scp", &["-s"]).args(["june.csv", "acme@127.0.0.1:/inbox/sub/"]).output().unwrap();
    assert!(!into_folder.status.success() && !world.path("inbox/sub").exists(), "{}", self::said(&into_folder));
}

#[test]
fn openssh_moves_64_mebibytes_each_way_unchanged_with_any_cipher_and_while_rekeying() {
    if Command::new("sftp").arg("-?").output().is_err() {
        return;
    }
    let world = World::new();
    let bytes: Vec<u8> = (0..(64_u32 << 20) / 4).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(world.dir.path().join("big"), &bytes).unwrap();
    for (number, extra) in [
        &["-o", "Ciphers=aes128-gcm@openssh.com"][..],
        &["-o", "Ciphers=chacha20-poly1305@openssh.com", "-o", "RekeyLimit=16M"],
        &["-o", "Ciphers=aes256-ctr", "-B", "32768", "-R", "256"],
        &["-o", "RekeyLimit=1M", "-o", "Compression=yes", "-R", "512"],
    ]
    .into_iter()
    .enumerate()
    {
        let put = world.openssh(extra, &format!("put big big{number}.csv\n"));
        assert!(put.status.success(), "{extra:?} {}", said(&put));
        rustix::fs::rename(world.path(&format!("inbox/big{number}.csv")), world.path(&format!("archive/big{number}.csv"))).unwrap();
        let get = world.openssh(extra, &format!("get /archive/big{number}.csv got\n"));
        assert!(get.status.success(), "{extra:?} {}", said(&get));
        assert!(std::fs::read(world.dir.path().join("got")).unwrap() == bytes, "{extra:?}");
    }
}

#[test]
fn a_killed_openssh_client_leaves_a_partial_and_no_delivery() {
    if Command::new("sftp").arg("-?").output().is_err() {
        return;
    }
    let world = World::new();
    std::fs::write(world.dir.path().join("big"), vec![b'x'; 64 << 20]).unwrap();
    let mut child = world.command("sftp", &["-l", "20000"]).args(["-b", "-", "acme@127.0.0.1"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"put big big.csv\n").unwrap();
    eventually("some bytes came", || world.folders().stat(DropFolder::Inbox, &name("big.csv")).unwrap().is_some_and(|e| e.size > 100_000));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the cut is told", || std::fs::read_to_string(world.path("status/recent.log")).is_ok_and(|log| log.contains("upload cut")));
    assert!(!world.path("inbox/big.csv").exists());
    assert_eq!(world.hints(), Vec::<String>::new());
}

#[test]
fn openssh_is_told_that_its_list_arrived_though_the_server_ends_meanwhile() {
    if Command::new("sftp").arg("-?").output().is_err() {
        return;
    }
    let mut world = World::new();
    std::fs::write(world.dir.path().join("big"), vec![b'x'; 4 << 20]).unwrap();
    let mut child = world.command("sftp", &["-l", "20000"]).args(["-b", "-", "acme@127.0.0.1"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"put big big.csv.part\nrename big.csv.part big.csv\n").unwrap();
    let size = || world.folders().stat(DropFolder::Inbox, &name("big.csv.part")).unwrap().map(|entry| entry.size);
    eventually("some bytes came", || size().is_some_and(|size| size > 100_000));
    drop(world.stop.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(world.hints(), ["acme inbox big.csv 4194304"]);
}

#[test]
fn an_openssh_client_that_falls_silent_is_gone_after_its_keepalives() {
    if Command::new("sftp").arg("-?").output().is_err() {
        return;
    }
    let world = World::with(Options { keepalive_seconds: 1, ..Options::default() });
    std::fs::write(world.dir.path().join("big"), vec![b'x'; 64 << 20]).unwrap();
    let mut child = world.command("sftp", &["-l", "20000"]).args(["-b", "-", "acme@127.0.0.1"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"put big big.csv\n").unwrap();
    eventually("some bytes came", || world.folders().stat(DropFolder::Inbox, &name("big.csv")).unwrap().is_some_and(|e| e.size > 100_000));
    // sftp and its ssh: the process that holds the connection is the child.
    for process in descendants(child.id()) {
        rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    }
    eventually("the cut is told", || std::fs::read_to_string(world.path("status/recent.log")).is_ok_and(|log| log.contains("upload cut")));
    for process in descendants(child.id()) {
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    }
    child.wait().unwrap();
}

/// A process and its children.
fn descendants(parent: u32) -> Vec<rustix::process::Pid> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let children = children.split_whitespace().map(|child| child.parse().unwrap());
    children.chain([i32::try_from(parent).unwrap()]).map(|id| rustix::process::Pid::from_raw(id).unwrap()).collect()
}
