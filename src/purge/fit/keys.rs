//! Whether the keys of a plan mean on both sides what the plan takes them for, and whether every declared key was thought of.
//!
//! SQLite would run most of what is refused here, and take rows of others or miss some.

use super::super::left_behind::left_behind;
use super::super::plan::{AccountRule, Action, Edge, Rule, Set, Value};
use super::super::shape::{Column, ForeignKey, Kind, Table, same, same_key};
use super::super::terms::{in_main, of};
use super::{Finding, FindingKind, Look};
use crate::store::StoreError;

impl Look<'_> {
    /// Each reference compares alike on both sides and leads to one row.
    pub(super) fn keys_agree(&mut self) -> Result<(), StoreError> {
        let plan = self.plan;
        self.subject_key()?;
        let of_subject = plan.subject.edges.iter().map(|edge| (&plan.subject.table, edge));
        let of_account = plan.account.iter().flat_map(|account| account.edges.iter().map(move |edge| (&account.table, edge)));
        let of_rules = plan.rules.iter().flat_map(|rule| rule.edges.iter().map(move |edge| (&rule.table, edge)));
        for (table, Edge { columns, parent, parent_columns, .. }) in of_subject.chain(of_account).chain(of_rules) {
            self.agree((table, columns), (parent, parent_columns));
        }
        if let Some(AccountRule { table, columns, subject_columns, .. }) = &plan.account {
            self.agree((&plan.subject.table, subject_columns), (table, columns));
        }
        for rule in &plan.rules {
            for set in rule.sets.iter().filter(|set| set.path.is_none()) {
                self.stand_in(rule, set)?;
            }
        }
        Ok(())
    }

    /// It names each person: a whole number, a text or a blob.
    fn subject_key(&mut self) -> Result<(), StoreError> {
        let (table, key) = (&self.plan.subject.table, &self.plan.subject.key);
        let Some(column) = self.column(table, key) else { return Ok(()) };
        let real = column.kind() == Kind::Number && ["REAL", "FLOA", "DOUB"].iter().any(|word| column.declares(word));
        let may_be_null = !column.not_null;
        let may_be_real = column.kind() != Kind::Text && !column.row_number;
        // Numbers stand before '' in an index, so that texts and blobs are not read.
        let sql = format!("SELECT 1 FROM {} WHERE typeof({key}) = 'real' AND {key} < '' LIMIT 1", in_main(table), key = of(table, key));
        if real || (may_be_real && self.any_row(&sql, [])?) {
            self.misfit(format!("\"{table}\".\"{key}\" holds real numbers, which are no keys: use whole numbers, texts or blobs"));
        }
        let sql = format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", in_main(table), of(table, key));
        if may_be_null && self.any_row(&sql, [])? {
            self.misfit(format!("\"{table}\".\"{key}\" is null in some rows, and nothing else names those people"));
        }
        Ok(())
    }

    fn agree(&mut self, (table, columns): (&str, &[String]), (parent, parent_columns): (&str, &[String])) {
        for (here, there) in std::iter::zip(columns, parent_columns) {
            let (Some(one), Some(other)) = (self.column(table, here), self.column(parent, there)) else { continue };
            if one.likeness != other.likeness {
                let why = format!("{}, {}", one.compares_as(), other.compares_as());
                let example = if one.likeness.kind == other.likeness.kind { "'a' and 'A'" } else { "7 and '007'" };
                self.misfit(format!(
                    "\"{table}\".\"{here}\" and \"{parent}\".\"{there}\" compare otherwise ({why}): {example} could be one there and two \
                     here; make them of one type and one collation"
                ));
            }
        }
        if self.shape.table(parent).is_some_and(|table| !table.is_unique(parent_columns)) {
            let columns = parent_columns.join(", ");
            self.misfit(format!(
                "\"{parent}\" ({columns}) is referred to, but several rows may have the same value: a row would go with any of them"
            ));
        }
    }

    fn column(&self, table: &str, column: &str) -> Option<&Column> {
        self.shape.table(table)?.column(column)
    }

    /// What a declared key is overwritten with must be there. Of a key of several columns [`Look::stand_ins_beside`] looks at the rest.
    fn stand_in(&mut self, rule: &Rule, set: &Set) -> Result<(), StoreError> {
        for key in self.keys_with(rule, set) {
            let told = format!("\"{}\".\"{}\" would be overwritten with", rule.table, set.column);
            let parent = &key.parent;
            match (fixed(set), key.parent_columns.as_slice()) {
                (Some(stands), [column]) => {
                    let sql = format!("SELECT 1 FROM {} WHERE {} = ?1 LIMIT 1", in_main(parent), of(parent, column));
                    if !self.any_row(&sql, [stands])? {
                        self.misfit(format!("{told} a value that no row of \"{parent}\" has: add the stand-in's row"));
                    }
                }
                // Of a key of which one column is null the others refer to nothing.
                _ if set.to == Value::Hash && !nulls_another(rule, &key, set) => {
                    self.misfit(format!("{told} a hash, but it refers to \"{parent}\""))
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A stand-in of a key of several columns must be there beside whatever stands in the others, such as each tenant.
    pub(super) fn stand_ins_beside(&mut self) -> Result<(), StoreError> {
        // What does not fit may not be there, or not be read.
        if self.found.iter().any(|found| found.kind == FindingKind::Misfit) {
            return Ok(());
        }
        let sets = self.plan.rules.iter().flat_map(|rule| rule.sets.iter().map(move |set| (rule, set)));
        for (rule, set) in sets.filter(|(_, set)| set.path.is_none()) {
            for ForeignKey { columns, parent, parent_columns, .. } in self.keys_with(rule, set) {
                // Only the application could compare there.
                let is_readable = |name: &str| self.shape.table(name).is_some_and(Table::is_readable);
                if !is_readable(&rule.table) || !is_readable(&parent) {
                    continue;
                }
                let pairs = || std::iter::zip(&columns, &parent_columns).filter(|(column, _)| !same(column, &set.column));
                let others: Vec<_> = pairs().map(|(column, _)| column.as_str()).collect();
                let is_set = |column: &&str| rule.sets.iter().any(|other| same(&other.column, column));
                let Some(stands) = fixed(set).filter(|_| !others.is_empty() && !others.iter().any(is_set)) else {
                    continue;
                };
                let own = std::iter::zip(&columns, &parent_columns).find(|(column, _)| same(column, &set.column));
                let alike = pairs().map(|(column, there)| format!("{} = {}", of("expunged_parent", there), of(&rule.table, column)));
                let alike: Vec<_> = alike.chain(own.map(|(_, there)| format!("{} = ?1", of("expunged_parent", there)))).collect();
                let there: Vec<_> = others.iter().map(|column| format!("{} IS NOT NULL", of(&rule.table, column))).collect();
                let sql = format!(
                    "SELECT 1 FROM {} WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS expunged_parent WHERE {}) LIMIT 1",
                    in_main(&rule.table),
                    there.join(" AND "),
                    in_main(&parent),
                    alike.join(" AND ")
                );
                if self.any_row(&sql, [stands])? {
                    let (column, others) = (&set.column, others.join("\", \""));
                    self.found.push(Finding {
                        kind: FindingKind::Undecided,
                        what: format!(
                            "\"{}\".\"{column}\" would be overwritten with a value that \"{parent}\" has not beside each \"{others}\": such \
                             rows would refer to nobody",
                            rule.table
                        ),
                        mend: Some(format!("add the stand-in's row for each \"{others}\"")),
                    });
                }
            }
        }
        Ok(())
    }

    /// The declared keys of a rule's table that can be followed and have a column that is set.
    fn keys_with(&self, rule: &Rule, set: &Set) -> Vec<ForeignKey> {
        let declared = self.shape.table(&rule.table).into_iter().flat_map(|table| &table.keys);
        let there = |key: &&ForeignKey| key.parent_columns.iter().all(|column| self.column(&key.parent, column).is_some());
        declared.filter(|key| key.columns.iter().any(|column| same(column, &set.column))).filter(there).cloned().collect()
    }

    /// Rows that refer to those that are written over or kept go with them all the same, unless their edge is taken out: whether they are
    /// meant to, a person has to say.
    pub(super) fn goes_with_what_stays(&mut self) {
        let plan = self.plan;
        for (rule, edge) in plan.rules.iter().flat_map(|rule| rule.edges.iter().map(move |edge| (rule, edge))) {
            let deed = match rule.action_of(edge) {
                Action::Delete => "deleted",
                Action::Overwrite => "written over",
                Action::Detach | Action::Keep => continue,
            };
            let stays = plan.rule(&edge.parent).is_some_and(|parent| matches!(parent.action, Action::Overwrite | Action::Keep));
            let accepted = edge.columns.iter().any(|column| plan.accepted.has_column(&rule.table, column));
            let Some(column) = plan.own_columns(&rule.table, edge).first().copied().or(edge.columns.last()) else { continue };
            if !stays || accepted {
                continue;
            }
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!(
                    "rows of \"{}\" ({}) are {deed} with those of \"{}\" that they refer to, which stay, whoever's they are",
                    rule.table,
                    edge.columns.join(", "),
                    edge.parent
                ),
                mend: Some(format!(
                    "if they are to stay too, take out that edge, and the rule if it has no other; if not, name \"{}.{column}\" in \
                     accepted.columns",
                    rule.table
                )),
            });
        }
    }

    /// Where rows only lose a reference, those that refer to them stay whatever their rules say.
    pub(super) fn idle(&mut self) {
        let idle: Vec<_> = self.plan.idle_tables().into_iter().map(|table| format!("\"{table}\"")).collect();
        if !idle.is_empty() {
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!("no row is found by the rules for {}: all that they refer to stays", idle.join(", ")),
                mend: Some(
                    "take these rules out, or delete what they refer to; as it is, their rows stay, with what they hold of people"
                        .to_owned(),
                ),
            });
        }
    }

    /// Rows that a person's rows refer to, each by itself, hold what is that person's as a rule, and no plan takes them.
    pub(super) fn left_behind(&mut self) -> Result<(), StoreError> {
        for found in left_behind(self.connection, &self.shape, self.plan)? {
            if found.columns.iter().any(|column| self.plan.accepted.has_column(&found.table, column)) {
                continue;
            }
            let column = found.columns.last().map(String::as_str).unwrap_or_default();
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: found.seen(),
                mend: Some(format!(
                    "if it is the person's and nobody else's, let a trigger on \"{0}\" delete it, or the application, and name \"{0}.{column}\" in accepted.columns",
                    found.table
                )),
            });
        }
        Ok(())
    }

    /// Every declared key to rows that go, or to columns that are changed, must have been thought of.
    pub(super) fn declared_keys(&mut self) {
        let mut found = Vec::new();
        for table in &self.shape.tables {
            for key in &table.keys {
                if self.plan.deletes_from(&key.parent) {
                    found.extend(self.declared_key(table, key));
                }
                found.extend(self.key_to_what_changes(table, key));
            }
        }
        // The ledger's own refer to no table of the plan.
        for table in &self.shape.reserved {
            found.extend(table.keys.iter().filter(|key| self.plan.deletes_from(&key.parent)).map(|key| {
                let (columns, parent) = (key.columns.join(", "), &key.parent);
                format!(
                    "\"{}\" ({columns}) refers to \"{parent}\", but names that begin with expunged_ are the ledger's; rename the table",
                    table.name
                )
            }));
        }
        found.into_iter().for_each(|what| self.misfit(what));
    }

    /// A reference to a column that the plan writes over or sets to null would lead nowhere. An edge of the plan keeps its column.
    fn key_to_what_changes(&self, table: &Table, key: &ForeignKey) -> Option<String> {
        let plan = self.plan;
        let written = plan.rule(&key.parent).into_iter().flat_map(|rule| rule.sets.iter().map(|set| &set.column));
        let detached = plan.references().filter(|(from, edge)| same(from, &key.parent) && plan.detaches(from, edge));
        let mut changed = written.chain(detached.flat_map(|(from, edge)| plan.own_columns(from, edge)));
        let column = changed.find(|column| key.parent_columns.iter().any(|parent| same(parent, column)))?;
        Some(format!(
            "\"{0}\" ({1}) refers to \"{2}\".\"{column}\", which the plan changes; leave that column as it is, or delete the rows of \"{2}\"",
            table.name,
            key.columns.join(", "),
            key.parent
        ))
    }

    fn declared_key(&self, table: &Table, key: &ForeignKey) -> Option<String> {
        let told = || format!("\"{}\" ({}) refers to \"{}\"", table.name, key.columns.join(", "), key.parent);
        let has_edge = |(from, edge): (&str, &Edge)| same(from, &table.name) && same_key(key, edge);
        if !self.shape.can_follow(key) && !self.plan.references().any(has_edge) {
            let columns = key.parent_columns.join(", ");
            return Some(format!(
                "{} ({columns}), where there are not as many columns that are unique together: SQLite cannot follow it, nor can a plan; \
                 mend the key, or take it out of the table",
                told()
            ));
        }
        let subject = &self.plan.subject;
        if same(&table.name, &subject.table) {
            let of_account = self.plan.account.as_ref().is_some_and(|account| same(&account.table, &key.parent));
            let known = of_account || subject.edges.iter().any(|edge| same_key(key, edge));
            return (!known).then(|| format!("{}, and the subject has no edge for it", told()));
        }
        if let Some(account) = self.plan.account.as_ref().filter(|account| same(&account.table, &table.name)) {
            let known = account.edges.iter().any(|edge| same_key(key, edge));
            return (!known).then(|| format!("{}, and the account has no edge for it", told()));
        }
        let Some(rule) = self.plan.rule(&table.name) else {
            return Some(format!("{}, and the plan has no rule for it", told()));
        };
        let Some(edge) = rule.edges.iter().find(|edge| same_key(key, edge)) else {
            return Some(format!("{}, and its rule has no edge for that", told()));
        };
        let left = match rule.action_of(edge) {
            Action::Delete | Action::Detach => false,
            Action::Keep => true,
            Action::Overwrite => !edge.columns.iter().any(|column| rule.sets.iter().any(|set| same(&set.column, column))),
        };
        left.then(|| {
            format!("{} by a declared key, so its rows cannot stay as they are: detach it, or overwrite the key with a stand-in's", told())
        })
    }
}

/// Whether the rule sets another column of the key to null.
fn nulls_another(rule: &Rule, key: &ForeignKey, set: &Set) -> bool {
    let null = |other: &Set| other.path.is_none() && other.to == Value::Null && !same(&other.column, &set.column);
    rule.sets.iter().filter(|other| null(other)).any(|other| key.columns.iter().any(|column| same(column, &other.column)))
}

/// The fixed value that is written, where it is one.
fn fixed(set: &Set) -> Option<&dyn rusqlite::ToSql> {
    match &set.to {
        Value::Text(text) => Some(text),
        Value::Number(number) => Some(number),
        Value::Null | Value::Hash => None,
    }
}
