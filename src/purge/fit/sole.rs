//! Whether all people are one tenant's where the plan says so.

use super::super::plan::Tenancy;
use super::super::sample::some;
use super::super::shape::rows;
use super::super::terms::of;
use super::super::undeclared::words;
use super::{Finding, FindingKind, Look};
use crate::store::StoreError;

impl Look<'_> {
    /// A column of the people that is called after a tenant and holds several: lists of the only one would take the others' people.
    pub(super) fn sole_tenant(&mut self) -> Result<(), StoreError> {
        let subject = &self.plan.subject;
        let Tenancy::Sole(tenant) = &subject.tenancy else { return Ok(()) };
        let Some(table) = self.shape.table(&subject.table).filter(|table| table.is_readable()) else { return Ok(()) };
        for column in table.columns.iter().map(|column| &column.name) {
            if !words(column).iter().any(|word| word == "tenant") || self.plan.accepted.has_column(&table.name, column) {
                continue;
            }
            let values = some(table, &format!("{} AS v", of(&table.name, column)));
            let several = format!("SELECT 1 FROM (SELECT count(DISTINCT v) AS many FROM ({values})) WHERE many > 1");
            if rows(self.connection, &several, [], |_| Ok(()))?.is_empty() {
                continue;
            }
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!(
                    "\"{}\".\"{column}\" holds several values, and the plan takes all these people for those of \"{tenant}\", whose lists \
                     erase each of them",
                    table.name
                ),
                mend: Some(format!(
                    "if it names tenants, as logins do, write tenancy = {{ column = \"{column}\" }}; if all are the one tenant's, name \
                     \"{}.{column}\" in accepted.columns",
                    table.name
                )),
            });
        }
        Ok(())
    }
}
