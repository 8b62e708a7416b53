//! What a detached reference sets to null: the columns that are nobody else's, as PostgreSQL's `ON DELETE SET NULL (columns)` does.
//!
//! References of one table may share a column, such as the tenant's. One null is enough for a reference to lead nowhere, so the shared
//! one stays, and with it the other reference, whatever is detached first.

use super::{Edge, Place, Plan, PlanError, Tenancy};

impl Plan {
    /// The columns of a table's reference that nothing else in the plan uses: no other reference of the table or to it, and nothing that
    /// names a tenant, a person, an account or an address.
    pub(crate) fn own_columns<'e>(&self, table: &str, edge: &'e Edge) -> Vec<&'e String> {
        let used = self.used_beside(table, edge);
        edge.columns.iter().filter(|column| !used.iter().any(|other| other.eq_ignore_ascii_case(column))).collect()
    }

    fn used_beside(&self, table: &str, edge: &Edge) -> Vec<&String> {
        let from_it = self.references().filter(|(from, other)| *from == table && *other != edge).flat_map(|(_, other)| &other.columns);
        let to_it = self.edges().filter(|other| other.parent == table).flat_map(|other| &other.parent_columns);
        let mut used: Vec<&String> = from_it.chain(to_it).collect();
        if self.subject.table == table {
            let subject = &self.subject;
            let tenant = if let Tenancy::Column(column) = &subject.tenancy { Some(column) } else { None };
            let address = subject.address.as_ref().map(|address| &address.column);
            used.extend([Some(&subject.key), tenant, address, subject.account.as_ref(), subject.id.as_ref()].into_iter().flatten());
            used.extend(self.account.iter().flat_map(|account| &account.subject_columns));
        }
        used.extend(self.account.iter().filter(|account| account.table == table).flat_map(|account| &account.columns));
        if let Some(rule) = self.rule(table) {
            used.extend(rule.tenant.iter().chain(rule.matches.iter().map(|m| &m.column)));
        }
        used
    }

    pub(super) fn check_detached(&self, place: Place, table: &str, edge: &Edge) -> Result<(), PlanError> {
        if !self.own_columns(table, edge).is_empty() {
            return Ok(());
        }
        let mend = if matches!(place, Place::Rule(_)) { "delete or overwrite its rows" } else { "give this reference a column of its own" };
        Err(place.wrong(format!(
            "\"{table}\" ({}) cannot be detached: it has no column of its own that could be set to null, other parts of the plan use them \
             all; {mend}, or take out an edge that says the same as another",
            edge.columns.join(", ")
        )))
    }
}
