//! What the scrub needs from the plan: the identifiers of those who are about to go, which rows belong to someone who
//! stays, and which are kept for a reason.

use rusqlite::Connection;

use super::chunk::identity;
use super::others::Others;
use super::people::{People, Person, empty_chunk};
use super::places::holds;
use super::plan::{Action, Edge, Match, Rule, Tenancy};
use super::terms::{in_main, of, or_never};
use super::{Engine, PurgeError};
use crate::domain::ImportId;
use crate::store::{Doing, Kept, Lead, Living, ledger};

/// How many targets are read at a time.
const TARGETS_AT_ONCE: u32 = 10_000;

impl Engine {
    /// Shows every identifier of the import's targets: address, account, id and a key that is a text, as in the store, and whatever other
    /// addresses stand in their rows that are not those of people who stay. Before the first chunk.
    ///
    /// # Errors
    /// The store, or what `with` returns.
    pub fn identifiers<E: From<PurgeError>>(
        &self,
        connection: &Connection,
        import: ImportId,
        mut with: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let row = ledger::require(connection, import).map_err(PurgeError::from)?;
        let people = People::of(&self.plan, &row.tenant)?;
        let snapshot = connection.unchecked_transaction().doing("begin to read").map_err(PurgeError::from)?;
        let mut others = Others::new(self, people, &snapshot, import);
        let mut after = None;
        loop {
            let targets = ledger::next_targets(&snapshot, import, after.as_ref(), TARGETS_AT_ONCE).map_err(PurgeError::from)?;
            let Some(last) = targets.last() else { return others.settle(&mut with) };
            after = Some(last.key.clone());
            empty_chunk(&snapshot, &self.plan)?;
            people.choose(&snapshot, targets.into_iter(), |target, person| {
                // Keys are given again: whoever has it by now is not necessarily whom the list named.
                let person = person.filter(|person| identity(person, &target, &self.key, &people) == Some(target.identity));
                person.iter().flat_map(Person::texts).try_for_each(&mut with)?;
                Ok::<_, E>(person.is_some())
            })?;
            others.read_chunk(&mut with)?;
        }
    }

    /// For each planned table, which of its rows belong to someone who lives, and which are kept. Rows of the subject's table and
    /// of the accounts' always belong to someone; any other's do if one of its edges, or an address in it, leads to one.
    #[must_use]
    pub fn living(&self) -> Vec<Living> {
        let always = |table: &String| {
            let (table, condition) = (table.clone(), Some("1".to_owned()));
            Living { table, condition, leads: Vec::new(), kept: None }
        };
        let subject = always(&self.plan.subject.table);
        let account = self.plan.account.iter().map(|rule| always(&rule.table));
        let rules = self.plan.rules.iter().map(|rule| {
            let addresses: Vec<_> = rule.matches.iter().filter_map(|m| self.names(rule, m)).collect();
            Living {
                table: rule.table.clone(),
                condition: (!addresses.is_empty()).then(|| addresses.join(" OR ")),
                leads: rule.edges.iter().map(lead).collect(),
                kept: keeps(rule),
            }
        });
        std::iter::once(subject).chain(account).chain(rules).collect()
    }

    /// Rows that hold the address of someone who stays, but for ASCII case. Uncorrelated: SQLite reads the subjects once.
    fn names(&self, rule: &Rule, m: &Match) -> Option<String> {
        let subject = &self.plan.subject;
        let address = format!("lower({})", of(&subject.table, &subject.address.as_ref()?.column));
        let from = in_main(&subject.table);
        Some(holds(rule, m, |value| match (&rule.tenant, &subject.tenancy) {
            (Some(tenant), Tenancy::Column(column)) => {
                format!("({}, lower({value})) IN (SELECT {}, {address} FROM {from})", of(&rule.table, tenant), of(&subject.table, column))
            }
            _ => format!("lower({value}) IN (SELECT {address} FROM {from})"),
        }))
    }
}

fn lead(edge: &Edge) -> Lead {
    let Edge { columns, parent, parent_columns, action: _ } = edge.clone();
    Lead { columns, parent, parent_columns }
}

/// The rows that a rule keeps: those that lead by its edges, or by an address in them, to whoever it was.
fn keeps(rule: &Rule) -> Option<Kept> {
    let reason = rule.reason.clone().filter(|_| rule.action == Action::Keep)?;
    let edges = rule.edges.iter().filter(|edge| rule.action_of(edge) == Action::Keep).map(|edge| {
        let columns: Vec<_> = edge.columns.iter().map(|column| format!("{} IS NOT NULL", of(&rule.table, column))).collect();
        format!("({})", columns.join(" AND "))
    });
    let addresses = rule.matches.iter().map(|m| holds(rule, m, |value| format!("{value} IS NOT NULL")));
    Some(Kept { condition: or_never(&edges.chain(addresses).collect::<Vec<_>>()), reason })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use crate::domain::IdentityKey;
    use crate::purge::{Engine, Plan};

    const PLAN: &str = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }
        [[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] },
            { columns = ['answers'], parent = 'notes', parent_columns = ['id'] }]
        [[table]]\nname = 'outbox'\naction = 'delete'\nmatch = [{ column = 'body', path = '$.to' }]";

    fn engine(plan: &str) -> Engine {
        Engine::new(Plan::parse(plan).unwrap(), IdentityKey::new([7; 32])).unwrap()
    }

    fn rows(store: &Connection, table: &str, condition: &str) -> Vec<i64> {
        let sql = format!("SELECT rowid FROM main.{table} WHERE {condition}");
        store.prepare(&sql).unwrap().query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn rows_belong_to_whoever_stays_by_their_own_table_by_address_and_by_every_edge() {
        let store = Connection::open_in_memory().unwrap();
        let sql = "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT); CREATE TABLE outbox (body TEXT);
            INSERT INTO people VALUES (1, 'Ann@example.com');
            INSERT INTO outbox VALUES ('{\"to\":\"ann@EXAMPLE.com\"}'), ('{\"to\":\"bob@example.com\"}'), ('bob'), (NULL)";
        store.execute_batch(sql).unwrap();
        let living = engine(PLAN).living();
        let [people, notes, outbox] = living.as_slice() else { panic!("{living:?}") };
        let own = [people, outbox].map(|living| rows(&store, &living.table, living.condition.as_ref().unwrap()));
        assert_eq!((own, &notes.condition), ([vec![1], vec![1]], &None));
        let parents: Vec<Vec<_>> = living.iter().map(|living| living.leads.iter().map(|lead| lead.parent.as_str()).collect()).collect();
        assert_eq!(parents, [vec![], vec!["people", "notes"], vec![]]);
    }

    #[test]
    fn only_a_rule_that_keeps_rows_names_those_that_it_keeps() {
        let plan = PLAN.replacen("name = 'notes'\naction = 'delete'", "name = 'notes'\naction = 'keep'\nreason = 'a court'", 1);
        let kept: Vec<_> = engine(&plan).living().into_iter().filter_map(|living| Some((living.table, living.kept?))).collect();
        let [(table, kept)] = kept.as_slice() else { panic!("{kept:?}") };
        assert_eq!((table.as_str(), kept.reason.as_str()), ("notes", "a court"));
        let store = Connection::open_in_memory().unwrap();
        let sql = "CREATE TABLE notes (id INTEGER PRIMARY KEY, person, answers);
            INSERT INTO notes VALUES (1, 1, NULL), (2, NULL, 1), (3, 9, NULL), (4, NULL, NULL)";
        store.execute_batch(sql).unwrap();
        assert_eq!(rows(&store, "notes", &kept.condition), [1, 2, 3]);
    }
}
