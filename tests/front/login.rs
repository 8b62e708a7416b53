//! Logging in with the system's `sftp`: keys with options, networks, penalties, and many silent connections.

use std::net::SocketAddr;

use super::*;
use crate::support::skip;

/// Options of a tenant's key, put in front of it in the tenant's file.
fn restrict(world: &World, tenant: &str, options: &str) {
    let key = std::fs::read_to_string(world.outside(&format!("{tenant}.key.pub"))).expect("a public key");
    world.set_tenant(tenant, "keys", &format!("['{options} {}']", key.trim()));
}

/// Waits until the operator is told a reason: the client may end before the server writes its line.
fn told(world: &World, reason: &str) {
    world.eventually(reason, || world.log().contains(reason).then_some(()));
}

#[test]
fn a_key_works_from_its_addresses_and_until_its_time_only() {
    let mut world = World::new();
    world.tenant("acme");
    restrict(&world, "acme", "from=\"127.0.0.0/24,!127.0.0.9\",expiry-time=\"20991231Z\"");
    world.start();
    from(&world, "acme", "127.0.0.1").exits(0);
    from(&world, "acme", "127.0.1.1").exits(255);
    from(&world, "acme", "127.0.0.9").exits(255);
    told(&world, "key not for this address");

    restrict(&world, "acme", "expiry-time=\"20200101\"");
    world.eventually("the reload", || world.log().contains("tenants reloaded").then_some(()));
    from(&world, "acme", "127.0.0.1").exits(255);
    told(&world, "key expired");

    restrict(&world, "acme", "restrict");
    world.eventually("the fault", || world.log().contains("option \"restrict\" before the key").then_some(()));
}

#[test]
fn all_of_ipv6_is_listened_on_beside_all_of_ipv4() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return skip("IPv6 is not there");
    }
    let mut world = World::new();
    world.tenant("acme");
    let port = std::net::TcpListener::bind("[::]:0").expect("a free port").local_addr().expect("bound").port();
    world.set("sftp", "listen", &format!("[\"127.0.0.1:0\", \"0.0.0.0:{port}\", \"[::]:{port}\"]"));
    world.start();
    for host in ["127.0.0.1", "[::1]"] {
        let mut command = Command::new("sftp");
        command.args(["-F", "none", "-b", "-"]).args(world.ssh_options("acme")).args(["-P", &port.to_string(), &format!("acme@{host}")]);
        world.finish_with(command, "pwd\n").exits(0);
    }
}

#[test]
fn tenant_add_keeps_the_options_of_a_key_and_shows_them() {
    let world = World::new();
    world.tenant("plain");
    let key = std::fs::read_to_string(world.outside("plain.key.pub")).expect("a key");
    let file = world.write("acme.pub", format!("from=\"192.0.2.0/24\" {key}"));
    let file = file.to_str().expect("UTF-8");
    world.run(&["tenant", "add", "acme", "--key", file]).exits(0).says("from=\"192.0.2.0/24\"");
    world.run(&["tenant", "show", "acme"]).exits(0).says("from=\"192.0.2.0/24\"");
    let plain = world.outside("plain.key.pub");
    let both = ["tenant", "add", "both", "--key", file, "--key", plain.to_str().expect("UTF-8")];
    world.run(&both).exits(2).warns("stands twice, with different options");
}

#[test]
fn a_tenant_logs_in_from_its_networks_only() {
    let mut world = World::new();
    for tenant in ["acme", "other"] {
        world.tenant(tenant);
    }
    world.set_tenant("acme", "allowed_networks", "[\"127.0.5.0/24\", \"::1\"]");
    world.start();
    from(&world, "acme", "127.0.5.7").exits(0);
    from(&world, "acme", "127.0.0.1").exits(255);
    from(&world, "other", "127.0.0.1").exits(0);
    world.set_tenant("acme", "allowed_networks", "[\"127.0.5.1/24\"]");
    world.eventually("the fault", || world.log().contains("write the network, \"127.0.5.0/24\"").then_some(()));
}

#[test]
fn a_stranger_learns_nothing_from_how_and_when_it_is_refused() {
    let mut world = World::new();
    for tenant in ["acme", "closed", "elsewhere", "expired", "faulty", "keyless"] {
        world.tenant(tenant);
    }
    world.set_tenant("closed", "disabled", "true");
    world.set_tenant("faulty", "no_such_option", "true");
    world.set_tenant("keyless", "keys", "[]");
    world.set_tenant("elsewhere", "allowed_networks", "[\"192.0.2.0/24\"]");
    restrict(&world, "expired", "expiry-time=\"20200101\"");
    world.start();
    // The same key each time: nobody's, or its own where that must not help.
    let try_login = |(login, key): &(&str, &str)| {
        let mut command = Command::new("ssh");
        let port = world.address().port().to_string();
        let key = world.outside(&format!("{key}.key"));
        command.args(["-F", "none", "-p", &port, "-i"]).arg(key).args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]);
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
        command.args([&format!("{login}@127.0.0.1"), "x"]);
        String::from_utf8(command.output().expect("ssh").stderr).expect("text").replace(login, "LOGIN")
    };
    let cases = [("acme", "closed"), ("nobody", "acme")];
    let cases = cases.into_iter().chain(["closed", "elsewhere", "expired", "faulty", "keyless"].map(|tenant| (tenant, tenant)));
    let said = refused_alike(&cases.collect::<Vec<_>>(), try_login);
    assert!(said.contains("Permission denied"), "{said}");
    // The operator is told which of them it was.
    for (login, reason) in [
        ("acme", "key not known"),
        ("nobody", "no such login"),
        ("closed", "the tenant is disabled"),
        ("elsewhere", "address not allowed"),
        ("expired", "key expired"),
        ("faulty", "the tenant's file is faulty, which disables it; serve --check-config names the line"),
        ("keyless", "the tenant has no key and no password that is taken"),
    ] {
        told(&world, &format!("login refused login=\"{login}\" tries=1 reason=\"{reason}\""));
    }
}

#[test]
fn a_source_that_fails_again_and_again_is_barred_and_its_neighbour_is_not() {
    let mut world = World::new();
    for tenant in ["acme", "other"] {
        world.tenant(tenant);
    }
    world.set("sftp", "penalty_exempt_networks", "[]");
    world.start();
    let good_key = std::fs::read(world.outside("acme.key")).expect("a key");
    std::fs::copy(world.outside("other.key"), world.outside("acme.key")).expect("the wrong key");
    // Offered by the public key beside it, signed by another: then plainly another.
    from(&world, "acme", "127.0.0.2").exits(255);
    std::fs::copy(world.outside("other.key.pub"), world.outside("acme.key.pub")).expect("the wrong key");
    for _ in 0..3 {
        from(&world, "acme", "127.0.0.2").exits(255);
    }
    told(&world, "key not proven");
    told(&world, "key not known");
    world.eventually("the bar", || world.log().contains("source barred").then_some(()));
    std::fs::write(world.outside("acme.key"), good_key).expect("writable");
    std::fs::remove_file(world.outside("acme.key.pub")).expect("removable");
    from(&world, "acme", "127.0.0.2").exits(255);
    from(&world, "acme", "127.0.0.3").exits(0);
}

#[test]
fn one_good_sender_gets_in_while_a_thousand_silent_connections_hang() {
    let mut world = World::new();
    world.tenant("acme");
    world.start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let address = world.address();
    let silent = |last: u8| async move {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 1, last], 0)))?;
        socket.connect(address).await
    };
    let hanging: Vec<_> =
        runtime.block_on(async { futures_of((0..1000_u16).map(|n| silent(u8::try_from(n % 200 + 1).expect("small")))).await });
    assert_eq!(hanging.len(), 1000);
    for _ in 0..3 {
        world.put("acme", "june.csv", "Customer Email\n");
        world.report("acme", "june.csv");
    }
    drop(hanging);
}

/// All of them, one after the other; the first failure ends the test.
async fn futures_of<T>(all: impl Iterator<Item = impl Future<Output = std::io::Result<T>>>) -> Vec<T> {
    let mut done = Vec::new();
    for one in all {
        done.push(one.await.expect("connected"));
    }
    done
}

#[test]
fn a_session_ends_when_its_tenant_is_closed_and_others_go_on() {
    let mut world = World::new();
    for tenant in ["acme", "other"] {
        world.tenant(tenant);
    }
    world.start();
    let mut closed = world.sender("acme").sftp(world.address(), &[]).spawn().expect("sftp");
    let mut open = world.sender("other").sftp(world.address(), &[]).spawn().expect("sftp");
    world.eventually("both are in", || (world.log().matches("session opened").count() == 2).then_some(()));
    world.set_tenant("acme", "disabled", "true");
    world.eventually("the session is closed", || world.log().contains("session cut").then_some(()));
    // It reads its batch from a pipe that stays open; the next command finds the connection gone.
    let mut batch = closed.stdin.take().expect("piped");
    let _ = std::io::Write::write_all(&mut batch, b"ls\n");
    drop(batch);
    assert!(!closed.wait().expect("ends").success());
    let mut batch = open.stdin.take().expect("piped");
    std::io::Write::write_all(&mut batch, b"ls\n").expect("open");
    drop(batch);
    assert_eq!(open.wait().expect("ends").code(), Some(0));
    from(&world, "acme", "127.0.0.1").exits(255);
}

#[test]
fn a_connection_that_tries_no_key_is_told_of_and_a_login_that_is_an_address_is_not() {
    let mut world = World::new();
    world.tenant("acme");
    world.start();
    let log_in = |login: &str, methods: &str| {
        let mut command = Command::new("ssh");
        command.args(["-F", "none"]).args(world.ssh_options("acme").iter().map(|option| if option == "-P" { "-p" } else { option }));
        command.args(["-o", &format!("PreferredAuthentications={methods}"), "-l", login, "127.0.0.1", "x"]);
        world.finish(command).exits(255);
    };
    log_in("acme", "keyboard-interactive");
    told(&world, "login refused login=\"acme\" tries=0 reason=\"no key and no password was tried\"");
    log_in("bob\u{ff20}x.example", "publickey");
    told(&world, "login refused login=\"?\" tries=1 reason=\"no such login\"");
}
