//! Passwords: set by the operator, taken where they are turned on, and refused like any stranger's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::*;
use crate::support::have;

const PASSWORD: &str = "vX3-moth-Quarry-81";
const WRONG: &str = "vX3-moth-Quarry-82";

/// Sets a tenant's password, as an operator does.
fn set(world: &World, tenant: &str, password: &str) -> Ran {
    world.run_with_input(&["tenant", "password", tenant], &format!("{password}\n"))
}

/// A world with tenants that have this password too, and a daemon that takes it.
fn world(tenants: &[&str]) -> World {
    let world = World::new();
    for tenant in tenants {
        world.tenant(tenant);
        set(&world, tenant, PASSWORD).exits(0);
    }
    world.set("sftp", "password_login", "true");
    world
}

/// A batch of the system's `sftp` from one of this host's addresses, by these passwords, one after the other.
fn by_password(world: &World, login: &str, source: &str, passwords: &[&str], batch: &str) -> Ran {
    world.write("passwords", passwords.join("\n") + "\n");
    let script = "#!/bin/sh\nn=$(cat tries)\necho $((n + 1)) > tries\nsed -n \"${n}p\" passwords\n";
    world.write("tries", "1\n");
    world.finish_with(client(world, login, source, &askpass(world, script), passwords.len()), batch)
}

/// A script that answers a client's prompts. Not to be written again while a client may run it.
fn askpass(world: &World, script: &str) -> PathBuf {
    let path = world.write("askpass", script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("ours");
    path
}

/// The system's `sftp`, which asks this script for its passwords.
fn client(world: &World, login: &str, source: &str, script: &Path, prompts: usize) -> Command {
    let mut command = Command::new("sftp");
    command.args(["-F", "none", "-o", "BatchMode=no", "-o", &format!("NumberOfPasswordPrompts={prompts}")]);
    command.args(["-o", "PubkeyAuthentication=no", "-o", &format!("BindAddress={source}"), "-b", "-"]);
    command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
    command.args(["-P", &world.address().port().to_string(), &format!("{login}@127.0.0.1")]);
    command.env("SSH_ASKPASS", script).env("SSH_ASKPASS_REQUIRE", "force");
    command.current_dir(world.outside("")).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_password_opens_its_login_beside_the_keys() {
    let mut world = world(&["acme", "other"]);
    world.start();
    world.write("june.csv", "Customer Email\n");
    by_password(&world, "acme", "127.0.0.1", &[PASSWORD], "put june.csv\n").exits(0);
    assert_eq!(world.report("acme", "june.csv")["rows"]["read"], 0);
    by_password(&world, "acme", "127.0.0.1", &[WRONG, PASSWORD], "pwd\n").exits(0);
    from(&world, "acme", "127.0.0.1").exits(0);
    assert!(!world.log().contains(PASSWORD) && !world.log().contains(WRONG), "{}", world.log());
}

#[test]
fn a_password_is_not_asked_for_unless_it_is_turned_on() {
    let mut world = World::new();
    world.tenant("acme");
    set(&world, "acme", PASSWORD).exits(0).warns("sftp.password_login is false");
    world.run(&["tenant", "show", "acme"]).exits(0).says("password set, not taken: sftp.password_login is false");
    let ran = world.run(&["serve", "--check-config"]).exits(0).says("passwords     acme (not taken");
    assert!(ran.stdout.contains("logins        publickey\n"), "{ran}");
    world.start();
    let ran = by_password(&world, "acme", "127.0.0.1", &[PASSWORD], "pwd\n").exits(255).warns("Permission denied (publickey).");
    assert_eq!(fs::read_to_string(world.outside("tries")).expect("written"), "1\n", "the client was not asked\n{ran}");
    world.stop();
    world.set("sftp", "password_login", "true");
    world.run(&["serve", "--check-config"]).exits(0).says("logins        publickey password\npasswords     acme\n");
    world.start();
    by_password(&world, "acme", "127.0.0.1", &[PASSWORD], "pwd\n").exits(0);
}

#[test]
fn a_wrong_password_an_unknown_login_a_closed_one_and_a_foreign_network_are_answered_alike() {
    let mut world = world(&["acme", "shut", "elsewhere"]);
    world.tenant("keyed");
    world.set_tenant("shut", "disabled", "true");
    world.set_tenant("elsewhere", "allowed_networks", "[\"127.0.7.0/24\"]");
    world.start();
    let cases = [("acme", WRONG), ("nobody", PASSWORD), ("shut", PASSWORD), ("elsewhere", PASSWORD), ("keyed", PASSWORD)];
    let said = refused_alike(&cases, |(login, password)| {
        by_password(&world, login, "127.0.0.1", &[password], "pwd\n").exits(255).stderr.replace(login, "LOGIN")
    });
    assert!(said.contains("Permission denied (publickey,password)"), "{said}");
    for reason in ["wrong password", "no such login", "address not allowed", "no password set"] {
        world.eventually(reason, || world.log().contains(reason).then_some(()));
    }
    by_password(&world, "elsewhere", "127.0.7.1", &[PASSWORD], "pwd\n").exits(0);
}

#[test]
fn from_is_of_its_key_and_a_password_is_of_the_networks() {
    let mut world = world(&["acme"]);
    let key = fs::read_to_string(world.outside("acme.key.pub")).expect("a public key");
    world.set_tenant("acme", "keys", &format!("['from=\"127.0.5.1\" {}']", key.trim()));
    world.set_tenant("acme", "allowed_networks", "[\"127.0.5.0/24\"]");
    world.start();
    from(&world, "acme", "127.0.5.2").exits(255);
    from(&world, "acme", "127.0.5.1").exits(0);
    by_password(&world, "acme", "127.0.5.2", &[PASSWORD], "pwd\n").exits(0);
    by_password(&world, "acme", "127.0.6.1", &[PASSWORD], "pwd\n").exits(255);
}

#[test]
fn a_source_that_guesses_is_barred_and_sessions_are_limited() {
    let mut world = world(&["acme"]);
    world.set("sftp", "penalty_exempt_networks", "[]");
    world.set("sftp", "sessions_per_tenant_max", "1");
    world.start();
    for _ in 0..4 {
        by_password(&world, "acme", "127.0.0.2", &[WRONG, WRONG], "pwd\n").exits(255);
    }
    world.eventually("the bar", || world.log().contains("source barred").then_some(()));
    by_password(&world, "acme", "127.0.0.2", &[PASSWORD], "pwd\n").exits(255);
    let mut session = world.sender("acme").sftp(world.address(), &[]).spawn().expect("sftp");
    world.eventually("it is in", || world.log().contains("session opened").then_some(()));
    by_password(&world, "acme", "127.0.0.3", &[PASSWORD], "pwd\n").exits(255);
    world.eventually("the limit", || world.log().contains("too many sessions of this tenant").then_some(()));
    drop(session.stdin.take());
    session.wait().expect("ends");
}

#[test]
fn a_session_ends_when_its_password_is_changed_and_one_by_key_goes_on() {
    let mut world = world(&["acme"]);
    world.start();
    let key = world.write("by-key", "");
    let mut open = world.sender("acme").sftp(world.address(), &[]).spawn().expect("sftp");
    world.eventually("the key is in", || world.log().contains("session opened").then_some(()));
    let change = |new: &'static str| {
        // The client runs a command of its own between two others.
        let config = world.home().join("expunged.toml");
        format!("!printf '%s\\n' '{new}' | {} --config {} tenant password acme\n", crate::world::EXPUNGED, config.display())
    };
    let wait = format!("!until grep -q 'session cut' {}; do sleep 0.05; done\n", world.outside("log-1").display());
    let ran = by_password(&world, "acme", "127.0.0.1", &[PASSWORD], &format!("ls\n{}{wait}ls\n", change(WRONG)));
    // It finds the connection closed as it writes, or as it reads.
    assert!(ran.code() != Some(0) && ran.stderr.contains("closed by remote host"), "{ran}");
    by_password(&world, "acme", "127.0.0.1", &[PASSWORD], "pwd\n").exits(255);
    by_password(&world, "acme", "127.0.0.1", &[WRONG], "pwd\n").exits(0);
    let mut batch = open.stdin.take().expect("piped");
    std::io::Write::write_all(&mut batch, format!("put {} empty.part\n", key.display()).as_bytes()).expect("open");
    drop(batch);
    assert_eq!(open.wait().expect("ends").code(), Some(0));
    world.run(&["tenant", "password", "acme", "--remove"]).exits(0);
    world
        .eventually("it is taken away", || (by_password(&world, "acme", "127.0.0.1", &[WRONG], "pwd\n").code() == Some(255)).then_some(()));
}

#[test]
fn setting_a_password_keeps_the_rest_of_the_file_and_refuses_a_weak_one() {
    let world = World::new();
    world.tenant("acme");
    let file = world.home().join("tenants.d/acme.toml");
    let before = fs::read_to_string(&file).expect("readable");
    for weak in ["", "short", "passwordpassword", "123456789012345678", "vX3-moth\tQuarry-81-x"] {
        let ran = set(&world, "acme", weak).exits(2).warns("openssl rand");
        assert!(weak.is_empty() || !ran.stderr.contains(weak), "{ran}");
    }
    assert_eq!(fs::read_to_string(&file).expect("readable"), before);
    set(&world, "acme", PASSWORD).exits(0).warns("it opens the login from everywhere");
    let with = fs::read_to_string(&file).expect("readable");
    assert!(
        with.starts_with(&before) && with.contains("password = \"$argon2id$v=19$m=19456,t=2,p=1$") && !with.contains(PASSWORD),
        "{with}"
    );
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    set(&world, "acme", WRONG).exits(0);
    assert_ne!(fs::read_to_string(&file).expect("readable"), with);
    let shown: serde_json::Value = serde_json::from_str(&world.run(&["tenant", "show", "acme", "--json"]).exits(0).stdout).expect("JSON");
    assert_eq!(shown["password"], true);
    assert!(!shown.to_string().contains("argon2"), "{shown}");
    world.run(&["tenant", "password", "acme", "--remove"]).exits(0).says("removed the password");
    assert_eq!(fs::read_to_string(&file).expect("readable"), before);
    world.run(&["tenant", "password", "acme", "--remove"]).exits(0).says("has no password");
    world.run_with_input(&["tenant", "password", "acmee"], PASSWORD).exits(4);
}

#[test]
fn a_hash_that_costs_too_much_closes_its_tenant_only() {
    let mut world = world(&["acme", "other"]);
    let file = world.home().join("tenants.d/acme.toml");
    let text = fs::read_to_string(&file).expect("readable");
    fs::write(&file, text.replace("m=19456", "m=4194304")).expect("writable");
    world.run(&["serve", "--check-config"]).exits(2).warns("password: found m=4194304,t=2,p=1, expected argon2id with m=19456,t=2,p=1");
    world.start();
    by_password(&world, "acme", "127.0.0.1", &[PASSWORD], "pwd\n").exits(255);
    by_password(&world, "other", "127.0.0.1", &[PASSWORD], "pwd\n").exits(0);
    world.set_tenant("acme", "password", &format!("{PASSWORD:?}"));
    let ran = world.run(&["tenant", "show", "acme"]).exits(2).warns("password: not a hash of a password");
    assert!(!ran.stderr.contains(PASSWORD), "{ran}");
    set(&world, "acme", PASSWORD).exits(0);
    world.eventually("it is mended", || (by_password(&world, "acme", "127.0.0.1", &[PASSWORD], "pwd\n").code() == Some(0)).then_some(()));
}

#[test]
fn a_tenant_without_a_key_is_told_how_to_use_its_password() {
    let world = World::new();
    world.tenant("keyed");
    world.run_with_input(&["tenant", "add", "acme"], "").exits(2);
    world.run_with_input(&["tenant", "add", "acme", "--password"], "weak\n").exits(2);
    world.run_with_input(&["tenant", "add", "acme", "--password", "--key", "-"], PASSWORD).exits(2).warns("cannot be both");
    world.run_with_input(&["tenant", "add", "acme", "--password"], PASSWORD).exits(0).warns("sftp.password_login is false");
    world.set("sftp", "password_login", "true");
    world.run(&["tenant", "instructions", "acme"]).exits(0).says("with the password that you were given\n").says("SFTP_PASSWORD");
    world.run(&["tenant", "instructions", "keyed"]).exits(0).says("there is no password");
}

/// Checks share their memory: had each session's thread its own, twelve would hold 228 MiB.
#[test]
fn many_sessions_by_password_take_no_more_memory_than_one() {
    let mut world = world(&["acme"]);
    world.start();
    let script = askpass(&world, &format!("#!/bin/sh\necho '{PASSWORD}'\n"));
    let one = || client(&world, "acme", "127.0.0.1", &script, 1).spawn().expect("sftp starts");
    let mut sessions: Vec<_> = (0..12).map(|_| one()).collect();
    world.eventually("all are in", || (world.log().matches("session opened").count() == 12).then_some(()));
    let peak = crate::limits::peak_kib(world.pid());
    assert!(peak < 128 * 1024, "{peak} KiB");
    for session in &mut sessions {
        drop(session.stdin.take());
        session.wait().expect("ends");
    }
}

#[test]
fn paramiko_logs_in_by_password() {
    let python = "venv/bin/python";
    if !have("python3") || !crate::interop::installed(python) {
        return;
    }
    let mut world = world(&["acme"]);
    world.start();
    let mut command = Command::new(crate::interop::clients().join(python));
    command.arg("-").env("PASSWORD", PASSWORD).env("PORT", world.address().port().to_string());
    let script = "import os, paramiko\n\
                  transport = paramiko.Transport((\"127.0.0.1\", int(os.environ[\"PORT\"])))\n\
                  transport.connect(username=\"acme\", password=os.environ[\"PASSWORD\"])\n\
                  print(paramiko.SFTPClient.from_transport(transport).listdir(\"/\"))\n";
    world.finish_with(command, script).exits(0).says("inbox");
}
