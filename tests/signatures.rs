//! The signatures beside reports and scrub receipts: `ssh-keygen`, which auditors have, and `receipt verify` accept them, and
//! nothing else; each command that writes a report signs it, or does nothing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::people;
use crate::world::{EXPUNGED, World};

/// Asserts, as an auditor finds it out, that each report has its signature, and that no signature stands beside another text than
/// its own. A scrub receipt that is just being written over, as a kill may leave it, has none.
pub(crate) fn every_signature_holds(world: &World) {
    let public = std::fs::read_to_string(world.home().join("data/keys/ssh_host_ed25519_key.pub")).expect("the host key");
    let signers = world.write("host-signers", format!("expunged namespaces=\"expunged-report\" {public}"));
    let tenants = std::fs::read_dir(world.home().join("data/tenants")).expect("the tenants' folders");
    for tenant in tenants.map(|tenant| tenant.expect("readable").file_name().into_string().expect("UTF-8")) {
        for folder in ["archive", "rejected", "held"] {
            for name in world.files(&tenant, folder) {
                let file = world.folder(&tenant, folder).join(&name);
                if name.ends_with(".report.json") || (name.ends_with(".scrub.json") && signature_of(&file).exists()) {
                    assert!(accepts(&signers, &file), "{tenant}/{folder}/{name}\n{}", world.picture());
                }
            }
        }
    }
}

/// What `ssh-keygen` says of a file and the signature beside it.
fn accepts(signers: &Path, file: &Path) -> bool {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-Y", "verify", "-I", "expunged", "-n", "expunged-report", "-f"]).arg(signers).arg("-s").arg(signature_of(file));
    command.stdin(File::open(file).expect("readable")).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("ssh-keygen runs").success()
}

fn signature_of(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.sig", file.display()))
}

fn world() -> World {
    let world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.set("scrub", "after_rows", "1");
    world.tenant("acme");
    people::load(&world, "acme", 12);
    world
}

/// The path of an archived companion, once its signature is there.
fn companion(world: &World, folder: &str, ending: &str) -> PathBuf {
    let name = world.eventually(&format!("the signature of {ending}"), || {
        world.files("acme", folder).into_iter().find(|name| name.ends_with(&format!("{ending}.sig")))
    });
    world.folder("acme", folder).join(name.trim_end_matches(".sig"))
}

/// Writes the file of allowed signers as the instructions print it; the text of the instructions.
fn save_signers(world: &World) -> String {
    let text = world.run(&["tenant", "instructions", "acme"]).exits(0).stdout;
    let lines = text.split("expunged.allowed_signers:").nth(1).expect("a block").lines();
    let lines: Vec<&str> = lines.skip_while(|line| !line.starts_with("    ")).take_while(|line| line.starts_with("    ")).collect();
    world.write("expunged.allowed_signers", lines.join("\n") + "\n");
    text
}

fn verify(world: &World, files: &[&Path]) -> crate::support::Ran {
    let mut args = vec!["receipt", "verify"];
    args.extend(files.iter().map(|file| file.to_str().expect("UTF-8")));
    world.run(&args)
}

/// Changes one byte in the middle of a file.
fn change_a_byte(file: &Path) {
    let mut bytes = std::fs::read(file).expect("readable");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(file, bytes).expect("writable");
}

#[test]
fn what_a_sender_fetches_is_accepted_by_ssh_keygen_as_the_readme_says_until_a_byte_changes() {
    let mut world = world();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", [1, 2]));
    world.put("acme", "bad.csv", "mail\nx\n");
    let files = [
        ("archive", companion(&world, "archive", "june.csv.report.json")),
        ("archive", companion(&world, "archive", "june.csv.scrub.json")),
        ("rejected", companion(&world, "rejected", "bad.csv.report.json")),
    ];
    let mut fetched = Vec::new();
    for (folder, file) in &files {
        let path = file.strip_prefix(world.folder("acme", folder)).expect("below").display();
        world.sftp("acme", &format!("get /{folder}/{path}\nget /{folder}/{path}.sig\n")).exits(0);
        fetched.push(world.outside(file.file_name().and_then(|name| name.to_str()).expect("a name")));
    }
    world.sftp("acme", "get /README.txt\n").exits(0);
    let readme = std::fs::read_to_string(world.outside("README.txt")).expect("fetched");
    assert_eq!(readme.trim_end(), save_signers(&world).trim_end(), "the lines that follow are the sender's too");
    let line = readme.lines().find(|line| line.trim_start().starts_with("ssh-keygen -Y verify")).expect("a command line");
    world.stop();
    let typed = |file: &Path| {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        world.run_any("bash", &["-c", &line.replace("NAME.report.json", name)])
    };
    for file in &fetched {
        typed(file).exits(0).says("Good \"expunged-report\" signature for expunged");
    }
    let paths: Vec<&Path> = fetched.iter().map(PathBuf::as_path).collect();
    let ran = verify(&world, &paths).exits(0);
    for said in [
        "report of import 1 of acme, completed 20",
        "scrub of import 1 of acme, clean 20",
        "of the report beside it; signed by SHA256:",
        "report of import 2 of acme, rejected 20",
    ] {
        assert!(ran.stdout.contains(said), "{said}\n{ran}");
    }
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("good ")).count(), 3, "{ran}");
    for file in &fetched {
        change_a_byte(file);
        assert_ne!(typed(file).code(), Some(0));
        verify(&world, &[file]).exits(1).says("bad ").says("its bytes are not those that were signed").warns("1 of 1 files are not good");
    }
}

#[test]
fn an_auditor_needs_no_config_and_each_fault_has_its_words_and_exit_code() {
    let mut world = world();
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", [1, 2]));
    let (report, scrub) = (companion(&world, "archive", "june.csv.report.json"), companion(&world, "archive", "june.csv.scrub.json"));
    world.put("acme", "july.csv", people::email_csv("acme", [3]));
    let other = companion(&world, "archive", "july.csv.report.json");
    world.stop();
    save_signers(&world);
    let audit = |args: &[&str]| world.run_any(EXPUNGED, &[&["receipt", "verify"], args].concat());
    let copy = |file: &Path, to: &str| {
        for ending in ["", ".sig"] {
            std::fs::copy(format!("{}{ending}", file.display()), world.outside(&format!("{to}{ending}"))).expect("copied");
        }
    };
    copy(&report, "1.report.json");
    copy(&scrub, "1.scrub.json");
    let allowed = ["--allowed-signers", "expunged.allowed_signers"];
    let ours = |files: &[&str]| audit(&[&allowed, files].concat());
    // As a shell's pattern gives them.
    let ran = ours(&["1.report.json", "1.report.json.sig", "1.scrub.json", "1.scrub.json.sig"]).exits(0);
    assert_eq!(ran.stdout.lines().count(), 2, "{ran}");
    let json: serde_json::Value = serde_json::from_str(&ours(&["1.scrub.json", "gone", "--json"]).exits(4).stdout).expect("JSON");
    let (good, gone) = (&json["files"][0], &json["files"][1]);
    assert_eq!((&good["state"], &good["import"], &good["report_beside"]), (&"good".into(), &1.into(), &true.into()), "{json:#}");
    assert_eq!((&gone["state"], &gone["reason"]), (&"missing".into(), &"no such file".into()), "{json:#}");

    copy(&scrub, "alone.scrub.json");
    ours(&["alone.scrub.json"]).exits(0).says("its report is not beside it");
    copy(&scrub, "2.scrub.json");
    copy(&other, "2.report.json");
    ours(&["2.scrub.json"]).exits(1).says("the report beside it, 2.report.json, is not the one that it names");
    ours(&["2.report.json"]).exits(0).says("report of import 2 of acme");
    std::fs::copy(world.outside("1.report.json.sig"), world.outside("2.report.json.sig")).expect("copied");
    ours(&["2.report.json", "gone"]).exits(1).says("its bytes are not those that were signed").says("missing  gone: no such file");
    std::fs::remove_file(world.outside("2.report.json.sig")).expect("there");
    ours(&["2.report.json"]).exits(1).says("its signature is not beside it");
    world.write("2.report.json.sig", "-----");
    ours(&["2.report.json"]).exits(1).says("its signature is damaged");

    audit(&["1.report.json"]).exits(2).warns("no config file");
    audit(&["--allowed-signers", "nobody", "1.report.json"]).exits(2).warns("cannot read \"nobody\"");
    let host = std::fs::read_to_string(world.home().join("data/keys/ssh_host_ed25519_key.pub")).expect("the host key");
    let signers = |line: &str| {
        world.write("signers", line);
        audit(&["--allowed-signers", "signers", "1.report.json"])
    };
    signers(&format!("expunged {host}")).exits(0);
    signers(&format!("git@expunged.example {host}")).exits(2).warns("signers: no line allows \"expunged\"").warns("tenant instructions");
    signers(&format!("expunged valid-before=\"20270101\" {host}")).exits(2).warns("signers: line 1: found the options valid-before");
    let sender = std::fs::read_to_string(world.outside("acme.key.pub")).expect("a key");
    signers(&format!("expunged {sender}")).exits(1).says("which is not an allowed signer");
}

#[test]
fn the_first_listed_host_key_signs_and_what_an_earlier_one_signed_is_good_while_it_is_listed() {
    let mut world = world();
    world.run_any("ssh-keygen", &["-q", "-N", "", "-t", "rsa", "-b", "3072", "-f", "rsa"]).exits(0);
    let list = |keys: &str| world.set("sftp", "host_keys", keys);
    list("[\"../rsa\", \"data/keys/ssh_host_ed25519_key\"]");
    world.start();
    world.put("acme", "june.csv", people::email_csv("acme", [1]));
    let by_rsa = companion(&world, "archive", "june.csv.report.json");
    world.stop();
    save_signers(&world);
    let signers = std::fs::read_to_string(world.outside("expunged.allowed_signers")).expect("written");
    let keys: Vec<Option<&str>> = signers.lines().map(|line| line.trim().split(' ').nth(2)).collect();
    assert_eq!(keys, [Some("ssh-rsa"), Some("ssh-ed25519")], "{signers}");
    assert!(accepts(&world.outside("expunged.allowed_signers"), &by_rsa));
    let signature = std::fs::read(signature_of(&by_rsa)).expect("there");

    let list = |keys: &str| world.set("sftp", "host_keys", keys);
    list("[\"data/keys/ssh_host_ed25519_key\", \"../rsa\"]");
    world.start();
    world.put("acme", "july.csv", people::email_csv("acme", [2]));
    let by_ed25519 = companion(&world, "archive", "july.csv.report.json");
    world.stop();
    assert_eq!(std::fs::read(signature_of(&by_rsa)).expect("there"), signature, "what was signed stays");
    verify(&world, &[&by_rsa, &by_ed25519]).exits(0);
    world.set("sftp", "host_keys", "[]");
    verify(&world, &[&by_rsa, &by_ed25519]).exits(1).says("which is not an allowed signer").warns("1 of 2 files");
}

#[test]
fn a_command_that_cannot_sign_deletes_nothing_and_leaves_no_request() {
    let mut world = world();
    let (key, aside) = (world.home().join("data/keys/ssh_host_ed25519_key"), world.outside("aside"));
    let list = world.write("june.csv", people::email_csv("acme", [1, 2]));
    let purge = ["purge", list.to_str().expect("UTF-8"), "--tenant", "acme", "--yes", "2"];
    let before = people::rows(&world, "acme");
    world.moves(&key, &aside);
    for command in [&purge[..], &["scrub"]] {
        world.run(command).exits(1).warns("cannot sign reports: cannot read the key").warns("nothing was deleted");
    }
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM expunged_requests"), 0, "the next daemon would do it");
    assert!(!world.home().join("data/requests").exists(), "no list is left behind");
    world.run(&["check", purge[1], "--tenant", "acme"]).exits(0);
    world.run(&["serve"]).exits(1).warns("cannot read the key");
    people::same(&people::rows(&world, "acme"), &before, || "nobody was purged".to_owned());

    world.moves(&aside, &key);
    world.run(&purge).exits(0);
    world.run(&["scrub"]).exits(0);
    let (report, scrub) = (companion(&world, "archive", "june.csv.report.json"), companion(&world, "archive", "june.csv.scrub.json"));
    verify(&world, &[&report, &scrub]).exits(0);
    every_signature_holds(&world);

    // A daemon that runs has read its key, and signs for the command.
    world.start();
    world.moves(&key, &aside);
    let more = world.write("july.csv", people::email_csv("acme", [3]));
    world.run(&["purge", more.to_str().expect("UTF-8"), "--tenant", "acme", "--yes", "1"]).exits(0);
    world.moves(&aside, &key);
    companion(&world, "archive", "july.csv.report.json");
    every_signature_holds(&world);
}
