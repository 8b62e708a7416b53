//! Penalties by source address: they grow with each connection that was no login, and fade with time.
//!
//! The rule of OpenSSH's PerSourcePenalties: each offence adds its seconds; a source that owes `seconds_min` or more is
//! turned away at once until it owes nothing, and nobody owes more than `seconds_max`. IPv6 counts by /64. Bounded: where
//! the table is full, who owes least is forgiven. A login that succeeds is never an offence, whatever was tried before it.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

/// What a connection ended with, instead of a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Offence {
    /// Refused attempts only.
    Failed,
    /// No attempt at all.
    Silent,
    /// The time to log in ran out.
    Overdue,
}

impl Offence {
    /// The last one's words, for the operator.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "refused logins",
            Self::Silent => "connections without a key or a password",
            Self::Overdue => "connections that did not log in in time",
        }
    }

    /// OpenSSH's `authfail`, `noauth` and `grace-exceeded`.
    fn seconds(self) -> u64 {
        match self {
            Self::Failed => 5,
            Self::Silent => 1,
            Self::Overdue => 10,
        }
    }
}

/// Bounds of the penalties.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PenaltyOptions {
    /// What a source must owe to be turned away.
    pub seconds_min: u64,
    /// The most that a source can owe; 0: no penalties.
    pub seconds_max: u64,
    /// Sources that are remembered.
    pub sources_max: usize,
    /// Sources that owe nothing, whatever they do.
    pub exempt: Vec<IpNet>,
}

impl Default for PenaltyOptions {
    fn default() -> Self {
        let exempt = LOOPBACK.map(|net| net.parse().expect("a network")).to_vec();
        Self { seconds_min: 15, seconds_max: 600, sources_max: 65_536, exempt }
    }
}

/// Who owes what.
#[derive(Debug)]
pub(crate) struct Penalties {
    options: PenaltyOptions,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_source: HashMap<IpAddr, Debt>,
    by_end: BTreeSet<(Instant, IpAddr)>,
}

#[derive(Clone, Copy, Debug)]
struct Debt {
    until: Instant,
    barred: bool,
}

impl Penalties {
    pub(crate) fn new(options: PenaltyOptions) -> Self {
        Self { options, table: Mutex::default() }
    }

    /// Whether a connection from there is turned away.
    pub(crate) fn is_barred(&self, source: IpAddr, now: Instant) -> bool {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.by_source.get(&group(source)).is_some_and(|debt| debt.barred && debt.until > now)
    }

    /// Adds to what a source owes. The time for which it is barred, where that begins now.
    pub(crate) fn add(&self, source: IpAddr, offence: Offence, now: Instant) -> Option<Duration> {
        if self.options.seconds_max == 0 || self.options.exempt.iter().any(|net| net.contains(&source)) {
            return None;
        }
        let source = group(source);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.forgive_until(now);
        let old = table.remove(source);
        if old.is_none() && table.by_source.len() >= self.options.sources_max {
            let least = table.by_end.first().copied();
            least.map(|(_, source)| table.remove(source));
        }
        let most = now + Duration::from_secs(self.options.seconds_max);
        let until = (old.map_or(now, |debt| debt.until) + Duration::from_secs(offence.seconds())).min(most);
        let was_barred = old.is_some_and(|debt| debt.barred);
        let barred = was_barred || until - now >= Duration::from_secs(self.options.seconds_min.min(self.options.seconds_max));
        table.by_source.insert(source, Debt { until, barred });
        table.by_end.insert((until, source));
        (barred && !was_barred).then(|| until - now)
    }
}

impl Table {
    fn remove(&mut self, source: IpAddr) -> Option<Debt> {
        let debt = self.by_source.remove(&source)?;
        self.by_end.remove(&(debt.until, source));
        Some(debt)
    }

    fn forgive_until(&mut self, now: Instant) {
        while let Some((_, source)) = self.by_end.first().copied().filter(|(until, _)| *until <= now) {
            self.remove(source);
        }
    }
}

/// What counts as one source: an address, or the /64 of one of IPv6.
pub(crate) fn group(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// This host, over both protocols.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn source(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn penalties_grow_to_a_bar_and_fade() {
        let (penalties, start) = (Penalties::new(PenaltyOptions::default()), Instant::now());
        let bad = source("192.0.2.1");
        assert_eq!(penalties.add(bad, Offence::Failed, start), None);
        assert_eq!(penalties.add(bad, Offence::Failed, start), None);
        assert!(!penalties.is_barred(bad, start));
        assert_eq!(penalties.add(bad, Offence::Failed, start), Some(15 * SECOND), "told once");
        assert_eq!(penalties.add(bad, Offence::Overdue, start), None);
        assert!(penalties.is_barred(bad, start + 24 * SECOND) && !penalties.is_barred(bad, start + 25 * SECOND));
        assert!(!penalties.is_barred(source("192.0.2.2"), start), "its neighbour is free");

        let later = start + 100 * SECOND;
        for at in 0..100 {
            assert_eq!(penalties.add(bad, Offence::Silent, later + at * 2 * SECOND), None, "a probe every two seconds is no attack");
        }
    }

    #[test]
    fn nobody_owes_more_than_the_most() {
        let (penalties, start) = (Penalties::new(PenaltyOptions::default()), Instant::now());
        let bad = source("192.0.2.1");
        (0..1000).for_each(|_| _ = penalties.add(bad, Offence::Overdue, start));
        assert!(penalties.is_barred(bad, start + 599 * SECOND) && !penalties.is_barred(bad, start + 600 * SECOND));
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_loopback_is_exempt() {
        let (penalties, start) = (Penalties::new(PenaltyOptions::default()), Instant::now());
        for last in 1..=3 {
            penalties.add(source(&format!("2001:db8:0:1::{last}")), Offence::Failed, start);
            penalties.add(source("127.0.0.9"), Offence::Overdue, start);
            penalties.add(source("::1"), Offence::Overdue, start);
        }
        assert!(penalties.is_barred(source("2001:db8:0:1::99"), start));
        assert!(!penalties.is_barred(source("2001:db8:0:2::1"), start));
        assert!(!penalties.is_barred(source("127.0.0.9"), start) && !penalties.is_barred(source("::1"), start));
    }

    #[test]
    fn a_full_table_forgives_who_owes_least() {
        let penalties = Penalties::new(PenaltyOptions { sources_max: 2, seconds_min: 1, ..PenaltyOptions::default() });
        let start = Instant::now();
        penalties.add(source("192.0.2.1"), Offence::Overdue, start);
        penalties.add(source("192.0.2.2"), Offence::Silent, start);
        penalties.add(source("192.0.2.3"), Offence::Failed, start);
        let barred = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| penalties.is_barred(source(text), start));
        assert_eq!(barred, [true, false, true]);
    }

    #[test]
    fn no_penalties_where_the_most_is_nothing() {
        let penalties = Penalties::new(PenaltyOptions { seconds_max: 0, ..PenaltyOptions::default() });
        let start = Instant::now();
        (0..100).for_each(|_| _ = penalties.add(source("192.0.2.1"), Offence::Overdue, start));
        assert!(!penalties.is_barred(source("192.0.2.1"), start));
    }
}
