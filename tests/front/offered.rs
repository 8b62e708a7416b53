//! Host keys and algorithms: what is offered, what is refused, and what `serve --check-config` says of it.

use super::*;

#[test]
fn check_config_says_what_is_offered_and_every_fault() {
    let world = World::new();
    world.tenant("acme");
    let ran = world.run(&["serve", "--check-config"]).exits(0).says("host key      ssh-ed25519 SHA256:").says("mlkem768x25519-sha256");
    assert!(!ran.stdout.contains("sha1") && !ran.stdout.contains("group14") && !ran.stdout.contains("nistp256"), "{ran}");
    world.set("sftp", "legacy_clients", "true");
    let ran = world.run(&["serve", "--check-config"]).exits(0).says("diffie-hellman-group14-sha256");
    assert!(!ran.stdout.contains("sha1"), "{ran}");

    for (options, warning) in [("from=\\\"!10.0.0.0/8\\\"", "admits none"), ("expiry-time=\\\"20200101\\\"", "it has expired")] {
        let key = std::fs::read_to_string(world.outside("acme.key.pub")).expect("a key");
        world.set_tenant("acme", "keys", &format!("[\"{options} {}\"]", key.trim()));
        world.run(&["serve", "--check-config"]).exits(0).warns("opens no login").warns(warning);
    }
    world.set("sftp", "public_host", "\"sftp.example.com:0\"");
    world.set("sftp", "host_keys", "[\"data/keys/ssh_host_ed25519_key\", \"data/keys/ssh_host_ed25519_key\"]");
    world.run(&["serve", "--check-config"]).exits(2).warns("sftp.public_host: found").warns("twice, expected each key once");
    world.set("sftp", "public_host", "\"\"");

    for (name, kind) in [("ecdsa", &["-t", "ecdsa"][..]), ("weak", &["-t", "rsa", "-b", "2048"]), ("rsa", &["-t", "rsa", "-b", "3072"])] {
        world.run_any("ssh-keygen", &[&["-q", "-N", "", "-f", name], kind].concat()).exits(0);
    }
    world.set("sftp", "host_keys", "[\"data/keys/ssh_host_ed25519_key\", \"../ecdsa\", \"../weak\", \"../rsa\", \"gone\"]");
    world.set_tenant("acme", "do_not_trak", "true");
    let ran = world.run(&["serve", "--check-config"]).exits(2).says("host key      ssh-rsa SHA256:");
    for fault in ["weak\" is not used here: expected RSA of 3072", "gone\"", "do_not_trak"] {
        assert!(ran.stderr.contains(fault), "{fault}\n{ran}");
    }
    // The library takes one such key in some five hundred for damaged.
    let told = |text: &str| text.lines().any(|line| line.contains("ecdsa\" is ") && line.contains("expected") && line.contains("ed25519"));
    assert!(told(&ran.stderr), "{ran}");
    let ran = world.run(&["serve"]).exits(1);
    assert!(told(&ran.stderr), "{ran}");
    world.write("plan.toml", "[subject]\ntable = \"people\"\nkey = \"CHOOSE\"\n");
    world.set("store", "database", &format!("{:?}", world.outside("app.db")));
    world.set("store", "plan", &format!("{:?}", world.outside("plan.toml")));
    world.run(&["serve", "--check-config"]).exits(2).warns("plan.toml\" is wrong");
}

#[test]
fn an_address_that_cannot_be_listened_on_is_told_of() {
    let world = World::new();
    world.set("sftp", "listen", "[\"192.0.2.1:2022\"]");
    world.run(&["serve"]).exits(1).warns("error: cannot listen on 192.0.2.1:2022: ").warns("sftp.listen");
}

#[test]
fn an_old_client_gets_in_only_where_it_is_asked_for() {
    let mut world = World::new();
    world.tenant("acme");
    world.run_any("ssh-keygen", &["-q", "-N", "", "-t", "rsa", "-b", "3072", "-f", "rsa"]).exits(0);
    world.set("sftp", "host_keys", "[\"data/keys/ssh_host_ed25519_key\", \"../rsa\"]");
    let old = |world: &World, kex: &str| {
        let mut command = Command::new("sftp");
        command.args(["-F", "none", "-b", "-", "-o", &format!("KexAlgorithms={kex}"), "-o", "MACs=hmac-sha2-256"]);
        command.args(["-o", "Ciphers=aes128-ctr", "-o", "HostKeyAlgorithms=rsa-sha2-256"]).args(world.ssh_options("acme"));
        command.arg("acme@127.0.0.1");
        world.finish_with(command, "pwd\n")
    };
    let kexes = ["ecdh-sha2-nistp256", "diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512"];
    world.start();
    for kex in kexes {
        old(&world, kex).exits(255);
    }
    let told = world.log();
    assert!(told.contains("client and server have no algorithm in common") && told.contains("legacy_clients = true"), "{told}");
    world.stop();
    world.set("sftp", "legacy_clients", "true");
    world.start();
    for kex in kexes {
        old(&world, kex).exits(0);
    }
    from(&world, "acme", "127.0.0.1").exits(0);
}
