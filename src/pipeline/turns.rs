//! Whose turn it is: one import a tenant at a time, in order of id, and tenants take turns slice by slice.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Instant;

use crate::domain::{ImportId, TenantName};

/// The imports that wait or run, by tenant.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: BTreeMap<TenantName, Queue>,
    order: VecDeque<TenantName>,
}

#[derive(Debug, Default)]
struct Queue {
    /// In order of id, but that the first is not overtaken once it has begun.
    imports: VecDeque<ImportId>,
    begun: bool,
    /// Not before, after a fault.
    not_before: Option<Instant>,
    faults: u32,
}

impl Turns {
    /// Puts an import in its place in its tenant's queue. One that is there stays where it is.
    pub(super) fn push(&mut self, tenant: &TenantName, import: ImportId) {
        if !self.queues.contains_key(tenant) {
            self.order.push_back(tenant.clone());
        }
        let queue = self.queues.entry(tenant.clone()).or_default();
        if !queue.imports.contains(&import) {
            let first = usize::from(queue.begun);
            let at = queue.imports.iter().skip(first).position(|other| *other > import).map_or(queue.imports.len(), |at| first + at);
            queue.imports.insert(at, import);
        }
    }

    /// A tenant's imports that have their place.
    pub(super) fn queued(&self, tenant: &TenantName) -> HashSet<ImportId> {
        self.queues.get(tenant).map(|queue| queue.imports.iter().copied().collect()).unwrap_or_default()
    }

    /// The next tenant's first import. The tenant goes to the end of the line.
    pub(super) fn next(&mut self, now: Instant) -> Option<(TenantName, ImportId)> {
        for _ in 0..self.order.len() {
            let tenant = self.order.pop_front()?;
            let queue = self.queues.get_mut(&tenant)?;
            let found = queue.imports.front().copied().filter(|_| queue.not_before.is_none_or(|at| at <= now));
            queue.begun |= found.is_some();
            self.order.push_back(tenant.clone());
            if let Some(import) = found {
                return Some((tenant, import));
            }
        }
        None
    }

    /// The tenant's first import is over.
    pub(super) fn done(&mut self, tenant: &TenantName) {
        let Some(queue) = self.queues.get_mut(tenant) else { return };
        queue.imports.pop_front();
        queue.begun = false;
        (queue.not_before, queue.faults) = (None, 0);
        if queue.imports.is_empty() {
            self.drop_tenant(tenant);
        }
    }

    /// The tenant's first import met a fault: it rests until `not_before(how many faults in a row)`.
    pub(super) fn rest(&mut self, tenant: &TenantName, not_before: impl FnOnce(u32) -> Instant) {
        if let Some(queue) = self.queues.get_mut(tenant) {
            queue.faults += 1;
            queue.not_before = Some(not_before(queue.faults));
        }
    }

    /// The fault is over. True: there was one.
    pub(super) fn well(&mut self, tenant: &TenantName) -> bool {
        let Some(queue) = self.queues.get_mut(tenant) else { return false };
        let faults = queue.faults > 0;
        (queue.not_before, queue.faults) = (None, 0);
        faults
    }

    /// Nobody rests any longer: what they rested for may be mended. If it is not, they rest as long as before.
    pub(super) fn end_rests(&mut self) {
        self.queues.values_mut().for_each(|queue| queue.not_before = None);
    }

    /// Whether some tenant may have its turn now.
    pub(super) fn ready(&self, now: Instant) -> bool {
        self.queues.values().any(|queue| queue.not_before.is_none_or(|at| at <= now))
    }

    /// Takes a whole tenant out of the line.
    pub(super) fn drop_tenant(&mut self, tenant: &TenantName) {
        self.queues.remove(tenant);
        self.order.retain(|name| name != tenant);
    }

    /// Whether more than one tenant has work.
    pub(super) fn contended(&self) -> bool {
        self.queues.len() > 1
    }

    /// When the next rest ends, if all that have work rest.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.queues.values().filter_map(|queue| queue.not_before).min()
    }

    /// How many imports wait or run.
    pub(super) fn len(&self) -> usize {
        self.queues.values().map(|queue| queue.imports.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tenant(name: &str) -> TenantName {
        TenantName::parse(name).expect("valid")
    }

    #[test]
    fn tenants_take_turns_and_a_tenants_imports_keep_their_order() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        for (name, import) in [("a", 1), ("a", 2), ("b", 3)] {
            turns.push(&tenant(name), ImportId(import));
        }
        let ids: Vec<i64> = (0..4).filter_map(|_| turns.next(now)).map(|(_, import)| import.0).collect();
        assert_eq!(ids, [1, 3, 1, 3]);
        turns.done(&tenant("a"));
        turns.done(&tenant("b"));
        assert_eq!(turns.next(now), Some((tenant("a"), ImportId(2))));
        turns.done(&tenant("a"));
        assert_eq!((turns.next(now), turns.len()), (None, 0));
    }

    #[test]
    fn an_import_takes_its_place_by_number_and_does_not_overtake_one_that_has_begun() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        for import in [5, 7, 3, 5] {
            turns.push(&tenant("a"), ImportId(import));
        }
        assert_eq!(turns.next(now).map(|t| t.1), Some(ImportId(3)));
        turns.push(&tenant("a"), ImportId(2));
        let mut order = Vec::new();
        while let Some((name, import)) = turns.next(now) {
            order.push(import.0);
            turns.done(&name);
        }
        assert_eq!(order, [3, 2, 5, 7]);
    }

    #[test]
    fn a_tenant_that_rests_does_not_hold_up_another() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        turns.push(&tenant("a"), ImportId(1));
        turns.push(&tenant("b"), ImportId(2));
        turns.rest(&tenant("a"), |_| now + Duration::from_secs(9));
        assert_eq!(turns.next(now).map(|t| t.1), Some(ImportId(2)));
        assert_eq!(turns.next(now).map(|t| t.1), Some(ImportId(2)));
        assert_eq!(turns.next_at(), Some(now + Duration::from_secs(9)));
        turns.done(&tenant("b"));
        assert_eq!(turns.next(now), None);
        turns.end_rests();
        assert_eq!(turns.next(now).map(|t| t.1), Some(ImportId(1)));
        turns.rest(&tenant("a"), |faults| now + Duration::from_secs(if faults == 2 { 9 } else { 0 }));
        assert_eq!(turns.next(now + Duration::from_secs(9)).map(|t| t.1), Some(ImportId(1)));
    }
}
