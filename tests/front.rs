//! The front door: who gets in, what is refused, and what a sender can know without us.

use std::process::Command;

use crate::support::Ran;
use crate::world::World;

mod changed;
mod instructions;
mod login;
mod offered;
mod password;
mod quotas;

/// `pwd` as this tenant, from one of this host's loopback addresses.
fn from(world: &World, tenant: &str, source: &str) -> Ran {
    let mut command = Command::new("sftp");
    command.args(["-F", "none", "-b", "-", "-o", &format!("BindAddress={source}")]).args(world.ssh_options(tenant));
    command.arg(format!("{tenant}@127.0.0.1"));
    world.finish_with(command, "pwd\n")
}
