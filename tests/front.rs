//! The front door: who gets in, what is refused, and what a sender can know without us.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

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

/// What a refused login waits out, counted from its request.
const REFUSAL: Duration = Duration::from_millis(250);

/// Asserts that refusals are told apart neither by their words nor by their time, and gives the words.
///
/// Not a measure of speed: of each the fastest answer counts, and a busy machine takes more rounds. What always comes later than the
/// others never passes.
fn refused_alike<C>(cases: &[C], ask: impl Fn(&C) -> String) -> String {
    let mut fastest = vec![Duration::MAX; cases.len()];
    for _ in 0..8 {
        let mut said = BTreeSet::new();
        for (case, fastest) in cases.iter().zip(&mut fastest) {
            let began = Instant::now();
            said.insert(ask(case));
            *fastest = began.elapsed().min(*fastest);
        }
        assert_eq!(said.len(), 1, "{said:?}");
        let (first, last) = (fastest.iter().min().expect("cases"), fastest.iter().max().expect("cases"));
        assert!(*first >= REFUSAL, "{fastest:?}");
        if *last - *first < REFUSAL / 2 {
            return said.pop_first().expect("one");
        }
    }
    panic!("an answer is told by its time: {fastest:?}");
}

/// What the tenant's senders were told of.
fn recent(world: &World) -> String {
    std::fs::read_to_string(world.folder("acme", "status").join("recent.log")).unwrap_or_default()
}
