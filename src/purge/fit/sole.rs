//! Whether all people are one tenant's where the plan says so.

use super::super::plan::Tenancy;
use super::super::sample::some;
use super::super::shape::rows;
use super::super::terms::of;
use super::super::undeclared::{singular, words};
use super::{Finding, FindingKind, Look};
use crate::store::StoreError;

impl Look<'_> {
    /// A column of the people that names a tenant, and several of them: lists of the only one would take the others' people. Where the
    /// people themselves are called tenants, it names them.
    pub(super) fn sole_tenant(&mut self) -> Result<(), StoreError> {
        let subject = &self.plan.subject;
        let Tenancy::Sole(tenant) = &subject.tenancy else { return Ok(()) };
        let Some(table) = self.shape.table(&subject.table).filter(|table| table.is_readable()) else { return Ok(()) };
        if words(&table.name).last().is_some_and(|word| singular(word) == "tenant") {
            return Ok(());
        }
        for column in table.columns.iter().filter(|column| !column.says_yes_or_no()).map(|column| &column.name) {
            let is_own = table.is_unique(std::slice::from_ref(column));
            if !names_tenant(column) || is_own || self.plan.accepted.has_column(&table.name, column) {
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

/// Whether a column is called after what it names, and that is a tenant: `tenant_id`, and not `tenant_role`.
fn names_tenant(column: &str) -> bool {
    let words = words(column);
    let named = match words.as_slice() {
        [named @ .., last] if NAMES.contains(&last.as_str()) => named,
        named => named,
    };
    let is_tenant = named.last().is_some_and(|word| singular(word) == "tenant" || word == "tenantid");
    is_tenant && !["is", "has"].contains(&named[0].as_str())
}

/// How a column may end that is called after what it names.
const NAMES: [&str; 13] = ["id", "key", "uuid", "guid", "name", "code", "slug", "domain", "no", "number", "ref", "fk", "identifier"];
