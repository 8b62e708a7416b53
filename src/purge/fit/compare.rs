//! Whether what is compared holds what the comparison finds, by sample.

use super::super::places::{legible, place};
use super::super::plan::{Action, Compare, Edge, Match, Rule, Tenancy, Value};
use super::super::sample::{AddressColumn, holds_numbers, other_addresses, some, texts};
use super::super::shape::{Kind, Table, rows, same};
use super::super::terms::{in_main, literal, of, or_never};
use super::{Finding, FindingKind, Look};
use crate::domain::Email;
use crate::store::StoreError;

impl Look<'_> {
    /// Whether columns hold what their comparison finds, by sample.
    pub(super) fn comparisons(&mut self) -> Result<(), StoreError> {
        let (plan, subject) = (self.plan, &self.plan.subject);
        if let Some(address) = &subject.address {
            self.found_by_lists(&subject.table, &address.column)?;
        }
        self.tenants_agree()?;
        let matches = || plan.rules.iter().flat_map(|rule| rule.matches.iter().map(move |m| (rule, m)));
        for (rule, m) in matches().filter(|(rule, _)| rule.action != Action::Keep) {
            self.whole_addresses(rule, m)?;
        }
        if let Some(address) = &subject.address {
            let value = of(&subject.table, &address.column);
            self.written_as_compared(&subject.table, &address.column, address.compare, &value)?;
        }
        for (rule, m) in matches() {
            self.written_as_compared(&rule.table, &m.column, m.compare, &place(rule, m))?;
        }
        for column in [&subject.account, &subject.id].into_iter().flatten() {
            self.untyped_numbers(&subject.table, column, "a list's texts do")?;
        }
        let tenants = match &subject.tenancy {
            Tenancy::Column(column) => Some((&subject.table, column)),
            Tenancy::Sole(_) => None,
        };
        let of_matches = plan.rules.iter().filter(|rule| !rule.matches.is_empty());
        for (table, column) in tenants.into_iter().chain(of_matches.filter_map(|rule| Some((&rule.table, rule.tenant.as_ref()?)))) {
            self.untyped_numbers(table, column, "a tenant's name does")?;
        }
        Ok(())
    }

    /// Addresses that are compared as they stand must be written in the form that they are compared with. `value`: where they stand, as
    /// SQL.
    fn written_as_compared(&mut self, table: &str, column: &str, compare: Compare, value: &str) -> Result<(), StoreError> {
        let (as_written, word): (fn(&str, &str) -> bool, _) = match compare {
            Compare::Normalised => return Ok(()),
            Compare::Nocase => (str::eq_ignore_ascii_case, "nocase"),
            Compare::Exact => (|normal, written| normal == written, "exact"),
        };
        let Some(found) = self.readable(table, column) else { return Ok(()) };
        let texts = texts(self.connection, found, value)?;
        let addresses: Vec<_> = texts.iter().filter_map(|text| Some((Email::parse(text).ok()?, text))).collect();
        let missed = addresses.iter().filter(|(email, text)| !as_written(email.as_str(), text)).count();
        if missed > 0 {
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!(
                    "\"{table}\".\"{column}\" is compared as \"{word}\", which misses {missed} of {} addresses looked at, as they are written",
                    addresses.len()
                ),
                mend: Some("write compare = \"normalised\"".to_owned()),
            });
        }
        Ok(())
    }

    /// A column without a type keeps numbers as numbers, which no text finds. `who`: what looks for them, with its verb.
    fn untyped_numbers(&mut self, table: &str, column: &str, who: &str) -> Result<(), StoreError> {
        let Some(found) = self.readable(table, column) else { return Ok(()) };
        let untyped = found.column(column).is_some_and(|column| column.kind() == Kind::Any);
        if untyped && holds_numbers(self.connection, found, column)? {
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!("\"{table}\".\"{column}\" has no type and holds numbers, which {who} not find"),
                mend: Some("give the column a type: INTEGER or TEXT".to_owned()),
            });
        }
        Ok(())
    }

    /// A match finds the rows of a tenant by a column that names it: one that names nobody's tenant finds none.
    fn tenants_agree(&mut self) -> Result<(), StoreError> {
        let subject = &self.plan.subject;
        let Tenancy::Column(tenant) = &subject.tenancy else { return Ok(()) };
        if self.readable(&subject.table, tenant).is_none() {
            return Ok(());
        }
        let people = of(&subject.table, tenant);
        let tenants = format!("SELECT {people} FROM {} WHERE {people} IS NOT NULL", in_main(&subject.table));
        for rule in self.plan.rules.iter().filter(|rule| !rule.matches.is_empty() && rule.action != Action::Keep) {
            let Some(column) = &rule.tenant else { continue };
            let Some(table) = self.readable(&rule.table, column).filter(|_| !self.plan.accepted.has_column(&rule.table, column)) else {
                continue;
            };
            let values = some(table, &format!("{} AS v", of(&rule.table, column)));
            let sql = format!(
                "SELECT 1 FROM (SELECT max(v IN ({tenants})) AS known FROM ({values}) WHERE v IS NOT NULL) WHERE NOT known AND EXISTS ({tenants})"
            );
            if rows(self.connection, &sql, [], |_| Ok(()))?.is_empty() {
                continue;
            }
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!(
                    "\"{}\".\"{column}\" names no tenant that \"{}\".\"{tenant}\" does, in any row looked at: no match finds these rows",
                    rule.table, subject.table
                ),
                mend: Some(format!("write the column that names the tenant, or name \"{}.{column}\" in accepted.columns", rule.table)),
            });
        }
        Ok(())
    }

    /// Nobody is found by a list whose stored address is not one address: it has a name beside it, or an invisible character in it.
    fn found_by_lists(&mut self, table: &str, column: &str) -> Result<(), StoreError> {
        let like = self.holding_addresses(table, column)?;
        let missed = not_whole(&like);
        if missed > 0 {
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!(
                    "\"{table}\".\"{column}\" holds more than an address in {missed} of {} values looked at: no list of addresses finds \
                     these people",
                    like.len()
                ),
                mend: Some(format!(
                    "write these as one address each (no name beside it, no dot at its end, no invisible character in it); if such people \
                     are named by account and id only, name \"{table}.{column}\" in accepted.columns"
                )),
            });
        }
        Ok(())
    }

    /// Those of some values of a column that hold an address; none where a person has looked at them.
    fn holding_addresses(&self, table: &str, column: &str) -> Result<Vec<String>, StoreError> {
        let accepted = self.plan.accepted.has_column(table, column);
        let Some(found) = self.readable(table, column).filter(|_| !accepted) else { return Ok(Vec::new()) };
        let texts = texts(self.connection, found, &legible(&of(table, column)))?;
        Ok(texts.into_iter().filter(|text| holds_address(text)).collect())
    }

    /// A match compares a whole value: an address inside a longer text is not found by it.
    fn whole_addresses(&mut self, rule: &Rule, m: &Match) -> Result<(), StoreError> {
        let like = self.holding_addresses(&rule.table, &m.column)?;
        let (table, column, looked) = (&rule.table, &m.column, like.len());
        let (what, mend) = match &m.path {
            None => {
                let missed = not_whole(&like);
                if missed == 0 {
                    return Ok(());
                }
                (
                    format!(
                        "\"{table}\".\"{column}\" is compared whole, and {missed} of {looked} values looked at hold an address and more"
                    ),
                    INSIDE,
                )
            }
            Some(path) => {
                let Some(found) = self.readable(table, column).filter(|_| !like.is_empty()) else { return Ok(()) };
                if texts(self.connection, found, &place(rule, m))?.iter().any(|text| Email::parse(text).is_ok()) {
                    return Ok(());
                }
                (
                    format!("\"{path}\" leads to no address in \"{table}\".\"{column}\", and {looked} values looked at hold one"),
                    "mend the path ($.name, $.list for each place of a list, $.list[*].name), or name the column in accepted.columns",
                )
            }
        };
        self.found.push(Finding { kind: FindingKind::Undecided, what, mend: Some(mend.to_owned()) });
        Ok(())
    }

    /// Rows of a table that goes or is written over by its keys may hold an address and no such key: a guest's order, say.
    pub(super) fn unreached(&mut self, found: &AddressColumn) -> Result<(), StoreError> {
        let Some(rule) = self.plan.rule(&found.table) else { return Ok(()) };
        let there = |edge: &Edge| self.shape.table(&edge.parent).is_some_and(Table::is_readable);
        // A row that only loses a reference keeps its addresses.
        let (detached, edges): (Vec<_>, Vec<_>) = rule.edges.iter().partition(|edge| rule.action_of(edge) == Action::Detach);
        let matched = rule.matches.iter().any(|m| same(&m.column, &found.column));
        if !matches!(rule.action, Action::Delete | Action::Overwrite)
            || matched
            || !edges.iter().all(|edge| there(edge))
            || self.found.iter().any(|one| one.kind == FindingKind::Misfit)
        {
            return Ok(());
        }
        let reached = edges.into_iter().map(|edge| {
            let pairs = std::iter::zip(&edge.parent_columns, &edge.columns);
            let pairs: Vec<_> =
                pairs.map(|(there, here)| format!("{} = {}", of("expunged_parent", there), of(&rule.table, here))).collect();
            format!("EXISTS (SELECT 1 FROM {} AS expunged_parent WHERE {})", in_main(&edge.parent), pairs.join(" AND "))
        });
        let (column, reached) = (of(&rule.table, &found.column), or_never(&reached.collect::<Vec<_>>()));
        // What the plan has written there itself is nobody's.
        let written = rule.sets.iter().filter(|set| set.path.is_none() && same(&set.column, &found.column));
        let texts = written.filter_map(|set| if let Value::Text(text) = &set.to { Some(text) } else { None });
        let written: String = texts.map(|text| format!(" AND {column} <> {}", literal(text))).collect();
        let sql = format!(
            "SELECT 1 FROM {} WHERE typeof({column}) = 'text' AND {column} LIKE '%_@_%._%'{written} AND NOT ({reached}) LIMIT 1",
            in_main(&rule.table)
        );
        if !rows(self.connection, &sql, [], |_| Ok(()))?.is_empty() {
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!(
                    "\"{}\".\"{}\" looks like addresses, also in rows that no key of the plan leads to{}",
                    found.table,
                    found.column,
                    if detached.is_empty() { "" } else { ", or only one that is detached" }
                ),
                mend: Some(match found.alone {
                    0 => INSIDE.to_owned(),
                    _ => format!("add match = [{{ column = \"{}\" }}] to its table's rule, or name it in accepted.columns", found.column),
                }),
            });
        }
        Ok(())
    }

    /// People may have another address than the one that lists and matches find them by.
    pub(super) fn another_address(&mut self, found: &AddressColumn) -> Result<(), StoreError> {
        let subject = &self.plan.subject;
        let Some(table) = self.readable(&found.table, &found.column).filter(|table| same(&table.name, &subject.table)) else {
            return Ok(());
        };
        // One that the table has not is told as such.
        let address = subject.address.as_ref().map(|address| address.column.as_str()).filter(|column| table.column(column).is_some());
        let others = other_addresses(self.connection, table, &found.column, address)?;
        if others > 0 {
            self.found.push(Finding {
                kind: FindingKind::Undecided,
                what: format!(
                    "\"{}\".\"{}\" holds addresses of people ({others} of {} rows looked at) by which no list and no match finds them",
                    found.table, found.column, found.looked_at
                ),
                mend: Some(format!(
                    "rows of other tables that hold such an address are reached only by a key: see that they have an edge; then name \
                     \"{}.{}\" in accepted.columns (the scrub looks for these addresses all the same)",
                    found.table, found.column
                )),
            });
        }
        Ok(())
    }

    /// A table whose column is there and can be read.
    fn readable(&self, table: &str, column: &str) -> Option<&Table> {
        self.shape.table(table).filter(|table| table.is_readable() && table.column(column).is_some())
    }
}

/// What can be done about addresses that are a part of a longer text.
const INSIDE: &str = "for a place in JSON, match with path = \"$.…\"; rows with an address inside a text are reached only by a key: give \
     them an edge, keep the table with its reason, or name the column in accepted.columns";

/// How many of these are not one address.
fn not_whole(texts: &[String]) -> usize {
    texts.iter().filter(|text| Email::parse(text).is_err()).count()
}

/// Whether an address stands somewhere in a text.
fn holds_address(text: &str) -> bool {
    let after = |at: usize| text[at + 1..].find('.').is_some_and(|dot| dot > 0);
    text.match_indices('@').any(|(at, _)| at > 0 && after(at))
}
