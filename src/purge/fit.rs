//! Whether the planned tables are there, in the shape that the plan says. Tables outside the plan are not looked at.

use rusqlite::Connection;

use super::plan::{Action, Plan, PlanError, Tenancy};
use crate::store::{Doing, StoreError};

struct Column {
    name: String,
    not_null: bool,
}

pub(super) fn fits(plan: &Plan, connection: &Connection) -> Result<(), PlanError> {
    let subject = &plan.subject;
    let tenant = match &subject.tenancy {
        Tenancy::Column(column) => Some(column),
        Tenancy::Sole(_) => None,
    };
    let named = [tenant, subject.account.as_ref(), subject.id.as_ref(), subject.address.as_ref().map(|address| &address.column)];
    let columns = named.into_iter().flatten().chain([&subject.key]).chain(&subject.names);
    let linked = plan.account.iter().flat_map(|rule| &rule.subject_columns);
    let referred =
        plan.rules.iter().flat_map(|rule| &rule.edges).filter(|edge| edge.parent == subject.table).flat_map(|edge| &edge.parent_columns);
    has(connection, &subject.table, columns.chain(linked).chain(referred))?;
    if let Some(account) = &plan.account {
        has(connection, &account.table, account.columns.iter())?;
    }
    for rule in &plan.rules {
        let referred =
            plan.rules.iter().flat_map(|other| &other.edges).filter(|edge| edge.parent == rule.table).flat_map(|edge| &edge.parent_columns);
        let own = rule.edges.iter().flat_map(|edge| &edge.columns);
        let found = has(connection, &rule.table, own.clone().chain(referred))?;
        if rule.action == Action::Detach
            && let Some(column) = own.into_iter().find(|column| found.iter().any(|have| have.not_null && same(&have.name, column)))
        {
            return Err(PlanError::DoesNotFit(format!("\"{}\".\"{column}\" cannot be null, so it cannot be detached", rule.table)));
        }
    }
    Ok(())
}

fn has<'c>(connection: &Connection, table: &str, columns: impl Iterator<Item = &'c String>) -> Result<Vec<Column>, PlanError> {
    let found = columns_of(connection, table)?;
    if found.is_empty() {
        return Err(PlanError::DoesNotFit(format!("there is no table \"{table}\"")));
    }
    for column in columns {
        if !found.iter().any(|have| same(&have.name, column)) {
            return Err(PlanError::DoesNotFit(format!("table \"{table}\" has no column \"{column}\"")));
        }
    }
    Ok(found)
}

fn columns_of(connection: &Connection, table: &str) -> Result<Vec<Column>, StoreError> {
    let doing = "read the tables' shape";
    let sql = r#"SELECT c.name, c."notnull" OR (c.pk > 0 AND t.wr) FROM pragma_table_list t, pragma_table_xinfo(t.name, t.schema) c
        WHERE t.schema = 'main' AND t.type = 'table' AND t.name = ?1 COLLATE NOCASE"#;
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let rows = statement.query_map([table], |row| Ok(Column { name: row.get(0)?, not_null: row.get(1)? })).doing(doing)?;
    rows.collect::<Result<_, _>>().doing(doing)
}

/// SQLite's identifiers are equal but for ASCII case.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}
