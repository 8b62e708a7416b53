//! The shipped unit, as far as the benches run the daemon by it.

/// What it sets in the daemon's environment.
pub(crate) fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    const UNIT: &str = include_str!("../systemd/expunged.service");
    UNIT.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='))
}
