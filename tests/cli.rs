//! The built binary: what `init` and `tenant` make, print and refuse, and their exit codes.

use std::process::Command;

use crate::support::World;

#[test]
fn init_makes_a_config_the_folders_and_the_keys() {
    let world = World::new();
    world
        .expunged(["init", "here", "--listen", "127.0.0.1:2345"])
        .exits(0)
        .says("listens on 127.0.0.1:2345")
        .says("host key  SHA256:")
        .says("--config here/expunged.toml tenant add acme --key acme.pub");
    let tree = world.tree();
    assert_eq!(
        tree.split_once('\n').map(|(_, inside)| inside),
        Some(
            "here/data 700\n\
         here/data/keys 700\n\
         here/data/keys/identity.key 600\nhere/data/keys/scrub.key 600\n\
         here/data/keys/ssh_host_ed25519_key 600\n\
         here/data/keys/ssh_host_ed25519_key.pub 600\n\
         here/data/store.db 600\n\
         here/data/tenants 700\n\
         here/expunged.toml 600\n\
         here/tenants.d 700"
        )
    );
    let sample = include_str!("../config/expunged.toml");
    assert_eq!(world.read("here/expunged.toml"), sample.replace("[\"0.0.0.0:2022\"]", "[\"127.0.0.1:2345\"]"));
    assert_eq!(world.read("here/data/keys/identity.key").trim().len(), 64);
    let shown = world.expunged(["init", "other"]).exits(0).stdout;
    let host_key = world.run("ssh-keygen", ["-l", "-f", "other/data/keys/ssh_host_ed25519_key"]).exits(0).says("(ED25519)").stdout;
    assert!(shown.contains(host_key.split(' ').nth(1).expect("a fingerprint")), "{shown}\n{host_key}");
}

#[test]
fn init_again_changes_nothing() {
    let world = World::initialised();
    let (before, keys) = (world.tree(), world.read("data/keys/identity.key"));
    world.expunged(["init", "."]).exits(0).says(". is set up already; nothing was changed");
    world.expunged(["init", ".", "--listen", "0.0.0.0:2022"]).exits(0);
    world.expunged(["init", ".", "--listen=127.0.0.1:1"]).exits(2).warns("does not listen on 127.0.0.1:1").warns("change sftp.listen");
    assert_eq!((world.tree(), world.read("data/keys/identity.key")), (before, keys));

    std::fs::remove_file(world.path("data/keys/identity.key")).unwrap();
    world.expunged(["init", "."]).exits(2).warns("identity.key\" is not").warns("backup");
}

#[test]
fn init_goes_on_where_an_interrupted_one_ended() {
    let world = World::initialised();
    let host_key = world.read("data/keys/ssh_host_ed25519_key");
    std::fs::remove_file(world.path("expunged.toml")).unwrap();
    std::fs::remove_file(world.path("data/keys/ssh_host_ed25519_key.pub")).unwrap();
    world.expunged(["init", "."]).exits(0);
    assert_eq!(world.read("data/keys/ssh_host_ed25519_key"), host_key);
    assert!(world.path("data/keys/ssh_host_ed25519_key.pub").exists());

    std::fs::remove_file(world.path("expunged.toml")).unwrap();
    std::fs::remove_file(world.path("data/keys/identity.key")).unwrap();
    world.write("data/store.db", "");
    world.expunged(["init", "."]).exits(2).warns("the key of its hashes");
    assert!(!world.path("expunged.toml").exists());
}

#[test]
fn init_refuses_an_address_without_a_port() {
    let world = World::new();
    world.expunged(["init", ".", "--listen", "127.0.0.1"]).exits(2).warns("\"127.0.0.1\" has no port; write it as \"127.0.0.1:2022\"");
    world.write("file", "");
    world.expunged(["init", "file/x"]).exits(1).warns("cannot make \"file/x\"");
    assert_eq!(world.tree().lines().count(), 1, "{}", world.tree());
}

#[test]
fn tenant_add_makes_a_file_and_folders() {
    let world = World::initialised();
    world.key_pair("acme", &["-t", "ed25519"]);
    let shown =
        world.expunged(["tenant", "add", "acme", "--key", "acme.pub"]).exits(0).says("added tenant acme").says("no restart is needed");
    let fingerprint = world.run("ssh-keygen", ["-l", "-f", "acme.pub"]).exits(0);
    assert!(shown.stdout.contains(fingerprint.stdout.split(' ').nth(1).expect("a fingerprint")), "{shown}");
    for folder in ["staging", "inbox", "check", "processing", "held", "archive", "rejected", "status"] {
        assert_eq!(world.mode(&format!("data/tenants/acme/{folder}")), 0o700, "{folder}");
    }
    assert_eq!(world.mode("tenants.d/acme.toml"), 0o600);
    assert!(world.read("tenants.d/acme.toml").contains(world.read("acme.pub").trim()), "{}", world.read("tenants.d/acme.toml"));

    let before = world.read("tenants.d/acme.toml");
    world.expunged(["tenant", "add", "acme", "--key", "acme.pub"]).exits(2).warns("tenant \"acme\" is there already").warns("edit");
    assert_eq!(world.read("tenants.d/acme.toml"), before);
    world.expunged(["tenant", "add", "acme-2", "--key", "acme.pub"]).exits(0).warns("also logs in as \"acme\"");
}

#[test]
fn tenant_add_takes_every_kind_and_form_of_key() {
    let world = World::initialised();
    let kinds: [(&str, &[&str]); 5] = [
        ("ed", &["-t", "ed25519"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
    ];
    let mut every = String::from("# all of them\n\n");
    for (name, kind) in kinds {
        world.key_pair(name, kind);
        every += &world.read(&format!("{name}.pub"));
        let fingerprint = world.run("ssh-keygen", ["-l", "-f", &format!("{name}.pub")]).exits(0).stdout;
        let fingerprint = fingerprint.split(' ').nth(1).expect("a fingerprint");
        let rfc4716 = world.run("ssh-keygen", ["-e", "-f", &format!("{name}.pub")]).exits(0).stdout;
        world.write(&format!("{name}.ssh2"), rfc4716.replace('\n', "\r\n"));
        world.expunged(["tenant", "add", name, "--key", &format!("{name}.ssh2")]).exits(0).says(fingerprint);
    }
    world.write("every", &every);
    world.expunged(["tenant", "add", "every", "--key", "every", "--key", "ed.pub"]).exits(0);
    let shown: serde_json::Value = serde_json::from_str(&world.expunged(["tenant", "show", "every", "--json"]).exits(0).stdout).unwrap();
    assert_eq!(shown["keys"].as_array().map(Vec::len), Some(5), "{shown}");
}

#[test]
fn tenant_add_refuses_a_private_key_and_makes_nothing() {
    let world = World::initialised();
    world.key_pair("openssh", &["-t", "ed25519"]);
    world.key_pair("pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]);
    world.key_pair("pkcs8", &["-t", "ecdsa", "-m", "PKCS8"]);
    world.write("key.ppk", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n");
    let before = world.tree();
    for file in ["openssh", "pem", "pkcs8", "key.ppk"] {
        let ran = world.expunged(["tenant", "add", "acme", "--key", file]).exits(2).warns("this is a PRIVATE key").warns("public half");
        let secret = world.read(file).lines().nth(3).unwrap_or("no such line").to_owned();
        assert!(!ran.stderr.contains(&secret), "{ran}");
    }
    assert_eq!(world.tree(), before);
}

#[test]
fn tenant_add_says_what_is_wrong_with_a_key() {
    let world = World::initialised();
    world.key_pair("ed", &["-t", "ed25519"]);
    world.key_pair("weak", &["-t", "rsa", "-b", "1024"]);
    let key = world.read("ed.pub");
    world.write("options", format!("# job\nfrom=\"10.0.0.0/8\",restrict {key}"));
    world.write("cut", &key[..60]);
    world.write("empty", "\n# nothing\n");
    world.write("dsa", "ssh-dss AAAAB3NzaC1kc3MAAACB x\n");
    world.write("utf16", key.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    world.write("big", vec![b'\n'; (1 << 20) + 1]);
    let pem = world.run("ssh-keygen", ["-e", "-m", "PKCS8", "-f", "weak.pub"]).exits(0).stdout;
    world.write("pem", pem);
    let check = |file: &str, message: &str| {
        world.expunged(["tenant", "add", "acme", "--key", file]).exits(2).warns(message);
    };
    check("options", "error: \"options\": line 2: option \"restrict\" before the key cannot be honoured");
    check("weak.pub", "line 1: found an RSA key of 1024 bits, 2048 to 16384 are accepted");
    check("cut", "line 1: this ssh-ed25519 key is damaged or cut");
    check("empty", "no public key in it");
    check("dsa", "DSA keys are too weak");
    check("utf16", "not a text file in UTF-8");
    check("big", "larger than 1048576 bytes");
    check("pem", "hint: convert it with: ssh-keygen -i -m PKCS8 -f pem");
    check("gone", "cannot read the key file \"gone\": No such file or directory");
    check(key.trim(), "--key takes the name of a file");
    assert!(!world.path("tenants.d/acme.toml").exists());
}

#[test]
fn tenant_add_refuses_more_keys_than_a_tenants_file_may_hold() {
    let world = World::initialised();
    world.key_pair("ed", &["-t", "ed25519"]);
    let key = world.read("ed.pub");
    // Other keys, by two digits within the base64 of this one's point.
    let others: String = (0..100).map(|n| format!("{}{n:02}{}", &key[..50], &key[52..])).collect();
    world.write("hundred", &others);
    let both = ["tenant", "add", "acme", "--key", "hundred", "--key", "ed.pub"];
    world.expunged(both).exits(2).warns("found 101 keys, at most 100 are allowed");
    assert!(!world.path("tenants.d/acme.toml").exists());
    world.expunged(["tenant", "add", "acme", "--key", "hundred"]).exits(0);
    world.expunged(["tenant", "show", "acme"]).exits(0);
}

#[test]
fn tenant_add_reads_a_key_from_standard_input() {
    let world = World::initialised();
    world.key_pair("ed", &["-t", "ed25519"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_expunged"));
    command.args(["tenant", "add", "acme", "--key", "-"]).current_dir(world.path(""));
    world.finish_with(command, &world.read("ed.pub")).exits(0).says("added tenant acme");
}

#[test]
fn every_bad_name_is_refused_before_it_is_a_path_or_a_login() {
    let world = World::initialised();
    world.key_pair("ed", &["-t", "ed25519"]);
    let before = world.tree();
    let long = "a".repeat(33);
    for name in ["", ".", "..", "../x", "/etc", "a/b", "A", "Acme", "_a", "a.b", "a b", "a@b", "a\n", "ä", "a:b", &long] {
        for command in ["add", "show", "remove"] {
            let args = ["tenant", command, name, "--key", "ed.pub"];
            world.expunged(&args[..if command == "add" { 5 } else { 3 }]).exits(2).warns("is not a tenant name");
        }
    }
    world.expunged(["tenant", "add", "-a", "--key", "ed.pub"]).exits(2);
    assert_eq!(world.tree(), before);
}

#[test]
fn tenant_list_and_show_tell_what_is_in_effect() {
    let world = World::initialised();
    world.expunged(["tenant", "list"]).exits(0).says("no tenants yet; add one with:");
    world.key_pair("ed", &["-t", "ed25519"]);
    world.expunged(["tenant", "add", "acme", "--key", "ed.pub"]).exits(0);
    world.write("tenants.d/broken.toml", "keys = []\ndo_not_trak = true\n");
    world.write("tenants.d/closed.toml", "keys = []\ndisabled = true\n");
    world.write("tenants.d/acme.toml", world.read("tenants.d/acme.toml") + "do_not_track = true\nemail_aliases = [\"E-mail\"]\n");
    world.write("data/tenants/acme/inbox/a.csv", "");
    world.write("data/tenants/acme/held/7-b.csv", "");

    let list = world.expunged(["tenant", "list"]).exits(0);
    assert_eq!(
        list.stdout,
        "TENANT  STATE     KEYS  WAITING  HELD\n\
         acme    enabled   1     1        1\n\
         broken  faulty    0     0        0\n\
         closed  disabled  0     0        0\n"
    );
    let list = list.warns("broken.toml:2: do_not_trak: unknown option; did you mean \"do_not_track\"?");
    assert!(list.stderr.starts_with("warning: "), "{list}");
    let json: serde_json::Value = serde_json::from_str(&world.expunged(["tenant", "list", "--json"]).exits(0).stdout).unwrap();
    assert_eq!(
        json["tenants"][0],
        serde_json::json!({ "tenant": "acme", "state": "enabled", "keys": 1, "waiting": 1, "held": 1, "faults": [] })
    );

    let show = world.expunged(["tenant", "show", "acme"]).exits(0).says("state    enabled").says("key      ssh-ed25519 SHA256:");
    let words = show.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("do_not_track true this tenant"), "{show}");
    assert!(words.contains("email_aliases [\"E-mail\"] this tenant"), "{show}");
    assert!(words.contains("require_checksum false tenant_defaults"), "{show}");
    let json: serde_json::Value = serde_json::from_str(&world.expunged(["tenant", "show", "acme", "--json"]).exits(0).stdout).unwrap();
    assert_eq!(json["options"]["email_aliases"], serde_json::json!(["E-mail"]));
    assert_eq!(json["own"], serde_json::json!(["do_not_track", "email_aliases"]));
    assert_eq!(json["waiting"]["inbox"], 1);

    world.expunged(["tenant", "show", "broken"]).exits(2).warns("broken.toml:2: do_not_trak");
    world.expunged(["tenant", "show", "acmee"]).exits(4).warns("error: no tenant \"acmee\"").warns("tenant list");
}

#[test]
fn tenant_remove_refuses_while_files_wait_and_keeps_folders() {
    let world = World::initialised();
    world.key_pair("ed", &["-t", "ed25519"]);
    world.expunged(["tenant", "add", "acme", "--key", "ed.pub"]).exits(0);
    for folder in ["staging", "inbox", "check", "processing", "held"] {
        let file = format!("data/tenants/acme/{folder}/a.csv");
        world.write(&file, "");
        let message = format!("tenant \"acme\" has files waiting: 1 in {folder}");
        world.expunged(["tenant", "remove", "acme"]).exits(1).warns(&message).warns("disabled = true");
        std::fs::remove_file(world.path(&file)).unwrap();
    }
    world.write("data/tenants/acme/archive/2026-11-21/1-a.csv", "");
    world.expunged(["tenant", "remove", "acme"]).exits(0).says("removed the login of acme").says("customers stay");
    assert!(!world.path("tenants.d/acme.toml").exists());
    assert!(world.path("data/tenants/acme/archive/2026-11-21/1-a.csv").exists());
    world.expunged(["tenant", "remove", "acme"]).exits(4).warns("no tenant \"acme\"");
    world.expunged(["tenant", "add", "acme", "--key", "ed.pub"]).exits(0);
}

#[test]
fn the_config_is_found_or_named() {
    let world = World::new();
    world
        .expunged(["tenant", "list"])
        .exits(2)
        .warns("neither \"./expunged.toml\" nor \"/etc/expunged/expunged.toml\"")
        .warns("expunged init DIR");
    world.expunged(["tenant", "list", "--config", "gone.toml"]).exits(2).warns("gone.toml: cannot open").warns("expunged init DIR");
    world.expunged(["init", "there"]).exits(0);
    world.expunged(["tenant", "list", "--config", "there/expunged.toml"]).exits(0);
    world.expunged(["--config", "there/expunged.toml", "tenant", "list"]).exits(0);
    world.write("there/expunged.toml", "[sftp]\nlisen = 1\nsessions_max = 0\n");
    let ran = world.expunged(["--config", "there/expunged.toml", "tenant", "list"]).exits(2);
    assert_eq!(
        ran.stderr,
        "error: there/expunged.toml:2: sftp.lisen: unknown option; did you mean \"listen\"?\n\
         error: there/expunged.toml:3: sftp.sessions_max: found 0, expected a whole number from 1 to 10000\n"
    );
}

#[test]
fn help_and_versions_and_nonsense_end_as_they_should() {
    let world = World::new();
    world.expunged(["--help"]).exits(0).says("Exit codes:");
    world.expunged(["--version"]).exits(0).says("expunged 0.");
    world.expunged::<&str>([]).exits(2).warns("Usage:");
    world.expunged(["tenat"]).exits(2).warns("tenant");
    world.expunged(["tenant", "add", "acme"]).exits(2).warns("--key <FILE>");
}

#[test]
fn a_reader_who_goes_away_is_no_failure_and_a_full_disk_is_one() {
    let world = World::initialised();
    let line = format!("'{}' tenant list --json | true; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_expunged"));
    let ran = world.run("bash", ["-c", &line]).exits(0);
    assert_eq!(ran.stderr, "", "{ran}");
    let line = format!("'{}' tenant list >/dev/full", env!("CARGO_BIN_EXE_expunged"));
    world.run("bash", ["-c", &line]).exits(1).warns("cannot write to standard output: No space left on device");
}

#[test]
fn a_command_of_another_user_stops_and_says_how_to_run_it() {
    let world = World::initialised();
    world.key_pair("ed", &["-t", "ed25519"]);
    if !rustix::process::geteuid().is_root() {
        return; // Only root can give a folder away.
    }
    std::os::unix::fs::chown(world.path("data"), Some(3_999_999_999), None).unwrap();
    world
        .expunged(["tenant", "add", "acme", "--key", "ed.pub"])
        .exits(1)
        .warns("data\" belongs to user 3999999999")
        .warns("sudo -u '#3999999999'")
        .warns("tenant add acme --key ed.pub");
    assert!(!world.path("tenants.d/acme.toml").exists());
    assert!(!world.path("data/tenants/acme").exists());

    world.write("theirs/.keep", "");
    std::os::unix::fs::chown(world.path("theirs"), Some(3_999_999_999), None).unwrap();
    world.expunged(["init", "theirs"]).exits(1).warns("sudo -u '#3999999999'");
    assert!(!world.path("theirs/data").exists());
}

#[test]
fn a_database_that_cannot_be_written_is_named_with_whose_it_is() {
    let world = World::initialised();
    if !rustix::process::geteuid().is_root() {
        return; // Only root can run a command as another user.
    }
    world.key_pair("ed", &["-t", "ed25519"]);
    world.expunged(["tenant", "add", "acme", "--key", "ed.pub"]).exits(0);
    rusqlite::Connection::open(world.path("app.db")).unwrap().execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY)").unwrap();
    world.write("plan.toml", "[subject]\ntable = \"users\"\nkey = \"id\"\ntenancy = { sole = \"acme\" }\n");
    let config = world.read("expunged.toml").replace("database = \"\"", "database = \"app.db\"");
    world.write("expunged.toml", config.replace("\nplan = \"\"", "\nplan = \"plan.toml\""));
    world.run("chown", ["-R", "nobody", "."]).exits(0);
    std::os::unix::fs::chown(world.path("app.db"), Some(0), None).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--clear-groups", env!("CARGO_BIN_EXE_expunged"), "exemptions", "remove", "1"]);
    command.current_dir(world.path(""));
    world
        .finish(command)
        .exits(1)
        .warns("app.db\", or the files that SQLite keeps beside it: attempt to write a readonly database")
        .warns("the file belongs to user \"root\" with mode 644, its folder to user \"nobody\"")
        .warns("this command runs as user \"nobody\"");
}
