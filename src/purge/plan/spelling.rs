//! One spelling for each table and column of a plan: SQLite's identifiers are equal but for ASCII case, and so are a plan's.

use super::{Edge, Plan, Tenancy};

/// Tables with their columns, each as it is spelled first.
#[derive(Default)]
struct Spelled(Vec<(String, Vec<String>)>);

impl Plan {
    /// Spells each table as where its rows are spoken of, and each column as it is spelled first.
    pub(super) fn spell_alike(&mut self) {
        let mut spelled = Spelled::default();
        for table in self.removed_tables() {
            spelled.at(table);
        }
        let subject = &mut self.subject;
        let mut own = vec![&mut subject.key];
        if let Tenancy::Column(column) = &mut subject.tenancy {
            own.push(column);
        }
        own.extend(subject.address.as_mut().map(|address| &mut address.column));
        own.extend(subject.account.iter_mut().chain(&mut subject.id).chain(&mut subject.names));
        spelled.columns(&subject.table, own);
        spelled.edges(&subject.table, &mut subject.edges);
        if let Some(account) = &mut self.account {
            spelled.columns(&subject.table, &mut account.subject_columns);
            spelled.columns(&account.table, &mut account.columns);
            spelled.edges(&account.table, &mut account.edges);
        }
        for rule in &mut self.rules {
            spelled.edges(&rule.table, &mut rule.edges);
            let others = rule.tenant.iter_mut().chain(rule.matches.iter_mut().map(|m| &mut m.column));
            spelled.columns(&rule.table, others.chain(rule.sets.iter_mut().map(|set| &mut set.column)));
        }
    }
}

impl Spelled {
    fn at(&mut self, table: &str) -> &mut (String, Vec<String>) {
        let at = self.0.iter().position(|(known, _)| known.eq_ignore_ascii_case(table)).unwrap_or_else(|| {
            self.0.push((table.to_owned(), Vec::new()));
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    fn columns<'p>(&mut self, table: &str, columns: impl IntoIterator<Item = &'p mut String>) {
        let (_, known) = self.at(table);
        for column in columns {
            match known.iter().find(|known| known.eq_ignore_ascii_case(column)) {
                Some(known) => column.clone_from(known),
                None => known.push(column.clone()),
            }
        }
    }

    fn edges(&mut self, table: &str, edges: &mut [Edge]) {
        for edge in edges {
            edge.parent.clone_from(&self.at(&edge.parent).0);
            self.columns(&edge.parent, &mut edge.parent_columns);
            self.columns(table, &mut edge.columns);
        }
    }
}
