//! The files for systemd: the unit verifies and stays hardened, and user, folder and link come out as the README says.

use crate::support::World;

/// The score that the unit must not exceed, in tenths: `systemd-analyze security`.
const EXPOSURE_TENTHS_MAX: u32 = 12;

#[test]
fn the_unit_verifies_and_is_hardened() {
    let world = World::new();
    if !installed("systemd-analyze") {
        return;
    }
    let unit = include_str!("../systemd/expunged.service");
    world.write("expunged.service", unit.replace("/usr/bin/expunged", env!("CARGO_BIN_EXE_expunged")));
    let ran = world.run("systemd-analyze", ["verify", "--man=no", "./expunged.service"]).exits(0);
    assert!(!ran.stderr.contains("expunged.service"), "{ran}");
    let threshold = format!("--threshold={EXPOSURE_TENTHS_MAX}");
    world.run("systemd-analyze", ["security", "--offline=yes", "--no-pager", &threshold, "./expunged.service"]).exits(0);
}

#[test]
fn the_user_the_folder_and_the_link_are_made() {
    let world = World::new();
    if !installed("systemd-sysusers") || !installed("systemd-tmpfiles") || !rustix::process::geteuid().is_root() {
        return;
    }
    world.write("root/etc/.keep", "");
    world.write("root/usr/lib/sysusers.d/expunged.conf", include_str!("../systemd/expunged.sysusers.conf"));
    world.write("root/usr/lib/tmpfiles.d/expunged.conf", include_str!("../systemd/expunged.tmpfiles.conf"));
    let root = format!("--root={}", world.path("root").display());
    world.run("systemd-sysusers", [&root]).exits(0);
    world.run("systemd-tmpfiles", [&root, "--create"]).exits(0);
    let passwd = world.read("root/etc/passwd");
    assert!(passwd.contains("expunged:") && passwd.contains(":/var/lib/expunged:/usr/sbin/nologin"), "{passwd}");
    assert_eq!(world.mode("root/var/lib/expunged"), 0o700);
    let link = std::fs::read_link(world.path("root/etc/expunged/expunged.toml")).unwrap();
    assert_eq!(link.to_str(), Some("/var/lib/expunged/expunged.toml"));
}

fn installed(program: &str) -> bool {
    std::process::Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
