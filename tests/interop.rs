//! Real senders' clients against the real daemon: each puts, stats, renames, resumes, polls and fetches its report back.
//!
//! One script of [`Step`]s for all; a client that cannot do a step has it in its list of gaps, so the README's
//! table of clients says what was tried and nothing else. Clients are installed by `.ci/clients`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use crate::people;
use crate::support::{self, Ran};
use crate::world::World;

/// What a sender does, with paths of ours and of theirs.
enum Step {
    Put(PathBuf, String),
    Size(String),
    Rename(String, String),
    Resume(PathBuf, String),
    Get(String, PathBuf),
}

/// What a client has no way to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Gap {
    /// It shows a file's size only in its folder's listing, where a file that was taken is no longer.
    Stat,
    /// It shows no sizes at all.
    Size,
    Rename,
    Resume,
}

/// Runs steps in one session of a client.
type Client = fn(&World, &[Step]) -> Ran;

/// Rows of one list, 88 KiB: more than any client sends in one request, and than rclone sends one by one.
const ROWS: usize = 4_000;

/// Every way through: a plain put, the same name again right after it and a look at it, a rename from a temporary name, a resumed
/// upload, the status polled, the report fetched.
fn check(gaps: &[Gap], client: Client) {
    let mut world = World::new();
    world.tenant("acme");
    world.start();
    let lists: Vec<String> = (0..3).map(|list| people::email_csv("acme", list * ROWS..(list + 1) * ROWS)).collect();
    let [plain, renamed, whole] = [0, 1, 2].map(|list| world.write(&format!("list{list}"), &lists[list]));
    let half = world.write("half", &lists[2].as_bytes()[..lists[2].len() / 2]);

    let can = |gap: Gap| !gaps.contains(&gap);
    let part = || "/inbox/july.csv.part".to_owned();
    let june = || "/inbox/june.csv".to_owned();
    let mut steps = vec![Step::Put(plain.clone(), june()), Step::Put(plain, june())];
    let mut names = vec!["june.csv"];
    if can(Gap::Stat) && can(Gap::Size) {
        steps.push(Step::Size(june()));
    }
    if can(Gap::Rename) {
        steps.push(Step::Put(renamed, part()));
        if !can(Gap::Stat) {
            steps.push(Step::Size(part()));
        }
        steps.push(Step::Rename(part(), "/inbox/july.csv".into()));
        names.push("july.csv");
    }
    let said = client(&world, &steps).exits(0);
    if can(Gap::Size) {
        said.shows(&lists[usize::from(!can(Gap::Stat))].len().to_string());
    }
    if can(Gap::Resume) {
        client(&world, &[Step::Put(half, "/inbox/may.csv.part".into())]).exits(0);
        let resumed =
            [Step::Resume(whole, "/inbox/may.csv.part".into()), Step::Rename("/inbox/may.csv.part".into(), "/inbox/may.csv".into())];
        client(&world, &resumed).exits(0);
        names.push("may.csv");
    }
    for name in names {
        let report = fetched_report(&world, client, name);
        assert_eq!(report["status"], "completed", "{name}: {report}");
        // Nobody of them is a customer. The row at a resumed file's seam may be made of two, and is not looked for: had the client
        // sent the whole file again, there would be no seam.
        let expected = ROWS - usize::from(name == "may.csv");
        assert_eq!(report["rows"]["not_found"], expected, "{name}: {report}");
    }
}

/// Polls `/status/NAME.json` as a sender would, and fetches the report that it names.
fn fetched_report(world: &World, client: Client, name: &str) -> serde_json::Value {
    let fetch = |remote: &str, local: &str| {
        let local = world.outside(local);
        let _ = std::fs::remove_file(&local);
        client(world, &[Step::Get(remote.into(), local.clone())]).exits(0);
        let text = std::fs::read_to_string(&local).unwrap_or_else(|error| panic!("{remote} was not fetched: {error}"));
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{remote}: {error}: {text}"))
    };
    let report = world.eventually(&format!("{name} is completed"), || {
        let status = fetch(&format!("/status/{name}.json"), "status.json");
        (status["state"] == "completed").then(|| status["report"].as_str().expect("a path").to_owned())
    });
    fetch(&report, "report.json")
}

#[test]
fn openssh_sftp() {
    if support::have("sftp") {
        check(&[], |world, steps| {
            let batch = text(steps, |step| match step {
                Step::Put(local, remote) => format!("put -p {} {remote}", local.display()),
                Step::Size(remote) => format!("ls -l {remote}"),
                Step::Rename(from, to) => format!("rename {from} {to}"),
                Step::Resume(local, remote) => format!("reput {} {remote}", local.display()),
                Step::Get(remote, local) => format!("get -p {remote} {}", local.display()),
            });
            world.sftp("acme", &batch)
        });
    }
}

#[test]
fn openssh_scp() {
    if !support::have("scp") {
        return;
    }
    fn scp(world: &World, mode: &[&str], step: &Step) -> Ran {
        let mut command = Command::new("scp");
        command.args(["-F", "none"]).args(mode).args(world.ssh_options("acme"));
        match step {
            Step::Put(local, remote) => command.arg(local).arg(format!("acme@127.0.0.1:{remote}")),
            Step::Get(remote, local) => command.arg(format!("acme@127.0.0.1:{remote}")).arg(local),
            _ => unreachable!("in its gaps"),
        };
        world.finish(command)
    }
    check(&[Gap::Size, Gap::Rename, Gap::Resume], |world, steps| {
        steps.iter().fold(None, |_, step| Some(scp(world, &["-s", "-p"], step).exits(0))).expect("a step")
    });

    let mut world = World::new();
    world.tenant("acme");
    world.start();
    let list = world.write("list", people::email_csv("acme", [0]));
    let refused = scp(&world, &["-O"], &Step::Put(list, "/inbox/june.csv".into())).exits(1);
    refused.warns("legacy scp is not offered; use sftp or scp -s");
}

#[test]
fn lftp() {
    if support::have("lftp") {
        check(&[Gap::Stat], |world, steps| {
            let mut ssh = format!("ssh -a -x -F none -i {}", world.key("acme").display());
            for option in world.ssh_options("acme").chunks(2).filter(|option| option[0] == "-o") {
                let _ = write!(ssh, " -o {}", option[1]);
            }
            let batch = text(steps, |step| match step {
                Step::Put(local, remote) => format!("put {} -o {remote}", local.display()),
                Step::Size(_) => "ls /inbox".into(),
                Step::Rename(from, to) => format!("mv {from} {to}"),
                Step::Resume(local, remote) => format!("put -c {} -o {remote}", local.display()),
                Step::Get(remote, local) => format!("get {remote} -o {}", local.display()),
            });
            let settings = format!("set cmd:fail-exit yes\nset net:max-retries 1\nset sftp:connect-program \"{ssh}\"\n");
            let mut command = Command::new("lftp");
            command.arg("--norc").env("HOME", world.outside(""));
            let open = format!("open -u acme, -p {} sftp://127.0.0.1\n", world.address().port());
            world.finish_with(command, &format!("{settings}{open}{batch}exit\n"))
        });
    }
}

#[test]
fn curl() {
    if !support::have("curl") {
        return;
    }
    let protocols = Command::new("curl").arg("-V").output().expect("curl runs").stdout;
    let protocols = String::from_utf8_lossy(&protocols).into_owned();
    assert!(protocols.contains(" sftp "), "this curl was built without SFTP: {protocols}");
    check(&[Gap::Stat], |world, steps| {
        let address = format!("sftp://127.0.0.1:{}", world.address().port());
        let mut said = None;
        for step in steps {
            let mut command = curl_command(world);
            match step {
                Step::Put(local, remote) => command.arg("-T").arg(local).arg(format!("{address}{remote}")),
                Step::Resume(local, remote) => command.args(["-C", "-", "-T"]).arg(local).arg(format!("{address}{remote}")),
                Step::Rename(from, to) => command.args(["-Q", &format!("rename {from} {to}"), &format!("{address}/")]),
                Step::Get(remote, local) => command.arg(format!("{address}{remote}")).arg("-o").arg(local),
                Step::Size(_) => command.arg(format!("{address}/inbox/")),
            };
            let ran = world.finish(command).exits(0);
            if matches!(step, Step::Size(_)) || said.is_none() {
                said = Some(ran);
            }
        }
        said.expect("a step")
    });
}

fn curl_command(world: &World) -> Command {
    let (mut command, key) = (Command::new("curl"), world.key("acme"));
    command.args(["-sS", "--insecure", "--disable", "--user", "acme:", "--key"]).arg(&key);
    command.arg("--pubkey").arg(key.with_extension("key.pub"));
    command
}

#[test]
fn rclone() {
    if support::have("rclone") {
        check(&[Gap::Stat, Gap::Resume], |world, steps| {
            let (port, key) = (world.address().port(), world.key("acme"));
            let remote_of = |path: &str| format!(":sftp,host=127.0.0.1,port={port},user=acme,key_file={}:{path}", key.display());
            let mut said = None;
            for step in steps {
                let mut command = Command::new("rclone");
                command.args(["--config", "/dev/null", "--retries", "1", "--low-level-retries", "1"]).env("HOME", world.outside(""));
                match step {
                    Step::Put(local, remote) => command.arg("copyto").arg(local).arg(remote_of(remote)),
                    Step::Size(_) => command.arg("lsl").arg(remote_of("/inbox")),
                    Step::Rename(from, to) => command.arg("moveto").arg(remote_of(from)).arg(remote_of(to)),
                    Step::Get(remote, local) => command.arg("copyto").arg(remote_of(remote)).arg(local),
                    Step::Resume(..) => unreachable!("in its gaps"),
                };
                let ran = world.finish(command).exits(0);
                if matches!(step, Step::Size(_)) || said.is_none() {
                    said = Some(ran);
                }
            }
            said.expect("a step")
        });
    }
}

#[test]
fn sshfs() {
    if !std::path::Path::new("/dev/fuse").exists() {
        // Not a program that could be installed: a machine without FUSE is let off even where nothing may be skipped.
        support::skip("there is no /dev/fuse");
        return;
    }
    if support::have("sshfs") {
        check(&[], |world, steps| {
            let script = text(steps, |step| match step {
                Step::Put(local, remote) => format!("cp {} mnt{remote}", local.display()),
                Step::Size(remote) => format!("stat -c %s mnt{remote}"),
                Step::Rename(from, to) => format!("mv mnt{from} mnt{to}"),
                Step::Resume(local, remote) => {
                    format!("tail -c +$(($(stat -c %s mnt{remote}) + 1)) {} >> mnt{remote}", local.display())
                }
                Step::Get(remote, local) => format!("cp mnt{remote} {}", local.display()),
            });
            let mut mount = String::new();
            for option in world.ssh_options("acme").chunks(2) {
                let _ = match option[0].as_str() {
                    "-P" => write!(mount, " -p {}", option[1]),
                    "-i" => write!(mount, " -o IdentityFile={}", option[1]),
                    _ => write!(mount, " -o {}", option[1]),
                };
            }
            let mut command = Command::new("sh");
            command.arg("-eu").arg("-c").arg(format!(
                "mkdir -p mnt\nsshfs -F /dev/null acme@127.0.0.1:/ mnt{mount}\ntrap 'fusermount -u mnt || fusermount -uz mnt' EXIT\n{script}"
            ));
            world.finish(command)
        });
    }
}

#[test]
fn paramiko() {
    if installed("venv/bin/python") {
        check(&[], |world, steps| scripted(world, steps, "venv/bin/python", "paramiko_client.py"));
    }
}

#[test]
fn asyncssh() {
    if installed("venv/bin/python") {
        check(&[], |world, steps| scripted(world, steps, "venv/bin/python", "asyncssh_client.py"));
    }
}

#[test]
fn ssh2_sftp_client() {
    if support::have("node") && installed("node_modules/ssh2-sftp-client") {
        check(&[], |world, steps| scripted(world, steps, "node", "ssh2_client.cjs"));
    }
}

#[test]
fn putty_psftp() {
    if support::have("psftp") && support::have("puttygen") {
        check(&[Gap::Stat], |world, steps| {
            let batch = text(steps, |step| match step {
                Step::Put(local, remote) => format!("put {} {remote}", local.display()),
                Step::Size(_) => "ls /inbox".into(),
                Step::Rename(from, to) => format!("mv {from} {to}"),
                Step::Resume(local, remote) => format!("reput {} {remote}", local.display()),
                Step::Get(remote, local) => format!("get {remote} {}", local.display()),
            });
            let mut command = putty_command(world, "psftp");
            command.args(["-b", world.write("psftp.batch", batch).to_str().expect("UTF-8"), "acme@127.0.0.1"]);
            world.finish(command)
        });
    }
}

fn putty_command(world: &World, program: &str) -> Command {
    let ppk = world.outside("acme.ppk");
    if !ppk.exists() {
        let mut convert = Command::new("puttygen");
        convert.arg(world.key("acme")).args(["-O", "private", "-o"]).arg(&ppk);
        world.finish(convert).exits(0);
    }
    let mut command = Command::new(program);
    command.args(["-batch", "-P", &world.address().port().to_string(), "-hostkey", &world.host_key(), "-i"]).arg(&ppk);
    command.env("HOME", world.outside(""));
    command
}

/// Of these clients, all but OpenSSH's report what CLOSE refuses as sent.
#[test]
fn no_client_reports_another_list_as_sent_while_one_of_its_name_waits() {
    let mut world = World::new();
    world.tenant("acme");
    world.set_tenant("acme", "require_checksum", "true");
    world.start();
    let [list, other] = [0, 1].map(|at| people::email_csv("acme", [at]));
    assert_eq!(list.len(), other.len(), "sizes do not tell them apart");
    world.put("acme", "june.csv", &list);
    let (same, other) = (world.write("same", &list), world.write("other", other));
    let put = |local: &PathBuf| [Step::Put(local.clone(), "/inbox/june.csv".into())];
    let curl = |local: &PathBuf| {
        let mut command = curl_command(&world);
        command.arg("-T").arg(local).arg(format!("sftp://127.0.0.1:{}/inbox/june.csv", world.address().port()));
        world.finish(command)
    };
    let mut refused = vec![("sftp", world.sftp("acme", &format!("put {} june.csv\n", other.display())))];
    if support::have("curl") {
        refused.push(("curl", curl(&other)));
        curl(&same).exits(0);
    }
    if support::have("pscp") && support::have("puttygen") {
        let mut command = putty_command(&world, "pscp");
        command.arg("-sftp").arg(&other).arg("acme@127.0.0.1:june.csv");
        refused.push(("pscp", world.finish(command)));
    }
    if installed("venv/bin/python") {
        refused.push(("paramiko", scripted(&world, &put(&other), "venv/bin/python", "paramiko_client.py")));
        scripted(&world, &put(&same), "venv/bin/python", "paramiko_client.py").exits(0);
    }
    for (client, ran) in refused {
        assert_ne!(ran.code(), Some(0), "{client}: {}", ran.stderr);
    }
    assert_eq!(std::fs::read_to_string(world.folder("acme", "inbox").join("june.csv")).expect("it waits"), list);
}

fn text(steps: &[Step], line: impl Fn(&Step) -> String) -> String {
    steps.iter().map(|step| line(step) + "\n").collect()
}

/// Runs a script of `tests/interop` over the steps, with what `.ci/clients` installed.
fn scripted(world: &World, steps: &[Step], program: &str, script: &str) -> Ran {
    let triples: Vec<[String; 3]> = steps
        .iter()
        .map(|step| {
            let path = |path: &PathBuf| path.display().to_string();
            match step {
                Step::Put(local, remote) => ["put".into(), path(local), remote.clone()],
                Step::Size(remote) => ["size".into(), remote.clone(), String::new()],
                Step::Rename(from, to) => ["rename".into(), from.clone(), to.clone()],
                Step::Resume(local, remote) => ["resume".into(), path(local), remote.clone()],
                Step::Get(remote, local) => ["get".into(), remote.clone(), path(local)],
            }
        })
        .collect();
    let program = if program.contains('/') { clients().join(program) } else { program.into() };
    let mut command = Command::new(program);
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script));
    command.env("NODE_PATH", clients().join("node_modules")).env("KEY", world.key("acme"));
    command.env("PORT", world.address().port().to_string()).current_dir(world.outside(""));
    world.finish_with(command, &serde_json::to_string(&triples).expect("text"))
}

/// Whether `.ci/clients` has installed this.
pub(crate) fn installed(path: &str) -> bool {
    let found = clients().join(path).exists();
    if !found {
        support::missing(&format!("{path} is not in {}: run .ci/clients", clients().display()));
    }
    found
}

pub(crate) fn clients() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").join("clients")
}
