//! What a sender is told: each command line of the instructions works as it stands there, and the samples are accepted.

use super::*;
use crate::interop;
use crate::support::have;

/// A running world of one tenant, its instructions, and `june.csv` and the known hosts beside a key, as a sender keeps them.
fn world() -> (World, String) {
    world_of("127.0.0.1", |world| world.tenant("acme"))
}

/// The same on an address, with the tenant `acme` made in another way.
fn world_of(address: &str, add: impl FnOnce(&World)) -> (World, String) {
    let mut world = World::new();
    add(&world);
    let port = std::net::TcpListener::bind(format!("{address}:0")).and_then(|free| free.local_addr()).expect("a free port").port();
    world.set("sftp", "listen", &format!("[\"{address}:{port}\"]"));
    world.set("sftp", "public_host", &format!("\"{address}:{port}\""));
    world.set_tenant("acme", "support_contact", "\"privacy team, +1 555 0100\"");
    world.start();
    let text = world.run(&["tenant", "instructions", "acme", "--format", "md"]).exits(0).stdout;
    world.write("june.csv", "Customer Email\nann@example.com\n");
    world.write("expunged.known_hosts", block(&text, "expunged.known_hosts`:"));
    (world, text)
}

/// The first block of code after a text.
fn block(instructions: &str, after: &str) -> String {
    let rest = instructions.split_once(after).unwrap_or_else(|| panic!("no {after}\n{instructions}")).1;
    let rest = rest.split_once("```\n").expect("a block").1;
    rest.split_once("```\n").expect("its end").0.to_owned()
}

/// Runs a client's block as it stands, but for the place of the key, and waits for what it sent. Then the block for a tenant that
/// has a password in place of a key, and of one
/// whose files need their checksums, by an address of IPv6.
fn check(heading: &str, program: &str, run: impl Fn(&World, String) -> Ran) {
    if !have(program) {
        return;
    }
    let by_password = |world: &World| {
        world.set("sftp", "password_login", "true");
        world.run_with_input(&["tenant", "add", "acme", "--password"], PASSWORD).exits(0);
    };
    let with_checksum = |world: &World| {
        world.tenant("acme");
        world.set_tenant("acme", "require_checksum", "true");
    };
    for (world, text) in [world(), world_of("127.0.0.1", by_password), world_of("[::1]", with_checksum)] {
        let key = world.outside("acme.key");
        let code = block(&text, &format!("### {heading}\n")).replace("~/.ssh/id_ed25519", key.to_str().expect("UTF-8"));
        run(&world, code).exits(0);
        let report = world.report("acme", "june.csv");
        assert_eq!(report["rows"]["read"], 1, "{report}");
    }
}

/// Of the tenant without a key; characters that shells and configuration files like to interpret among them.
const PASSWORD: &str = "vX3 'moth' $Quarry-81";

/// Line by line, the later ones once the file has been taken: they poll.
fn shell(world: &World, code: String) -> Ran {
    let (first, rest) = code.split_once('\n').expect("a line");
    let bash = |line: &str| {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", line]).current_dir(world.outside("")).env("HOME", world.outside(""));
        command.env("SFTP_PASSWORD", PASSWORD);
        world.finish_with(command, "")
    };
    let ran = bash(first).exits(0);
    world.report("acme", "june.csv");
    if rest.is_empty() { ran } else { bash(rest) }
}

#[test]
fn the_lines_for_sftp_work() {
    check("sftp", "sftp", shell);
}

#[test]
fn the_lines_for_lftp_work() {
    check("lftp", "lftp", shell);
}

#[test]
fn the_lines_for_curl_work() {
    check("curl", "curl", shell);
}

#[test]
fn the_lines_for_rclone_work() {
    check("rclone", "rclone", shell);
}

#[test]
fn the_lines_for_paramiko_work() {
    let python = "venv/bin/python";
    if !interop::installed(python) {
        return;
    }
    check("Python (paramiko)", "bash", |world, code| {
        let mut command = Command::new(interop::clients().join(python));
        command.arg("-").current_dir(world.outside("")).env("SFTP_PASSWORD", PASSWORD);
        world.finish_with(command, &code)
    });
}

/// It would wait in vain for the answer to a second one (`tests/interop.md`).
#[test]
fn the_lines_for_paramiko_offer_one_credential() {
    let (_world, text) = world();
    let code = block(&text, "### Python (paramiko)\n");
    assert!(code.contains("look_for_keys=False, allow_agent=False"), "{code}");
}

#[test]
fn the_readme_is_the_instructions_and_follows_the_tenants_file() {
    let (world, markdown) = world();
    let text = world.run(&["tenant", "instructions", "acme"]).exits(0).stdout;
    let fetch = || {
        let local = world.outside("README");
        world.sftp("acme", &format!("ls -l /\nget /README.txt {}\n", local.display())).exits(0).says("README.txt");
        std::fs::read_to_string(local).expect("fetched")
    };
    assert_eq!(fetch(), text);
    let known = world.run_any("ssh-keygen", &["-l", "-f", "home/data/keys/ssh_host_ed25519_key.pub"]).exits(0).stdout;
    let md5 = world.run_any("ssh-keygen", &["-l", "-E", "md5", "-f", "home/data/keys/ssh_host_ed25519_key.pub"]).exits(0).stdout;
    for part in [known.split(' ').nth(1), md5.split(' ').nth(1), Some("privacy team")] {
        let part = part.expect("a fingerprint");
        assert!(text.contains(part) && markdown.contains(part), "{part}\n{text}");
    }
    world.set_tenant("acme", "require_checksum", "true");
    world.eventually("the reload", || fetch().contains("Each file needs its checksum").then_some(()));
    world.sftp("acme", "rm /README.txt\n").exits(1);
    world.sftp("acme", "put june.csv /README.txt\n").exits(1);
}

#[test]
fn a_host_without_a_public_name_is_a_gap_with_a_warning() {
    let world = World::new();
    world.tenant("acme");
    world.run(&["tenant", "instructions", "acme"]).exits(0).says("- host: HOST").warns("sftp.public_host is not set");
    world.run(&["tenant", "instructions", "acmee"]).exits(4);
    world.set("sftp", "public_host", "\"sftp.example.com:22\"");
    world
        .run(&["tenant", "instructions", "acme"])
        .exits(0)
        .says("- host: sftp.example.com\n- port: 22\n")
        .says("\n    sftp.example.com ssh-ed25519 ");
    world.set("sftp", "public_host", "\"sftp.example.com:x\"");
    world.run(&["tenant", "instructions", "acme"]).exits(2).warns("sftp.public_host: found \"sftp.example.com:x\"");
}

#[test]
fn the_samples_are_accepted_as_they_are() {
    let mut world = World::new();
    world.tenant("acme");
    world.start();
    for (kind, file) in [
        ("email-csv", "sample-email.csv"),
        ("participant-csv", "sample-participants.csv"),
        ("participant-jsonl", "sample-participants.jsonl"),
    ] {
        world.run(&["sample", kind, "--out", "."]).exits(0).says(file);
        assert_eq!(world.run(&["sample", kind]).exits(0).stdout, std::fs::read_to_string(world.outside(file)).expect("written"));
        let ran = world.run(&["check", file, "--tenant", "acme", "--json"]).exits(0);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("a report");
        assert_eq!((&report["rows"]["invalid"], &report["errors_omitted"]), (&0.into(), &0.into()), "{report}");
        world.run(&["sample", kind, "--out", "."]).exits(2).warns("is there already");
    }
}
