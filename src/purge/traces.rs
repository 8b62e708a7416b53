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
use crate::store::{Doing, Kept, Living, ledger};

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
    /// of the accounts' always belong to someone.
    #[must_use]
    pub fn living(&self) -> Vec<Living> {
        let always = |table: &String| Living { table: table.clone(), condition: "1".to_owned(), kept: None };
        let subject = always(&self.plan.subject.table);
        let account = self.plan.account.iter().map(|rule| always(&rule.table));
        let rules = self.plan.rules.iter().map(|rule| {
            let condition = self.belongs(rule, &[]);
            Living { table: rule.table.clone(), condition, kept: keeps(rule) }
        });
        std::iter::once(subject).chain(account).chain(rules).collect()
    }

    /// A row belongs to someone if any of its edges, or an address in it, leads to one. References go in circles, within one table
    /// or by edges that are detached: a row that leads back to a table on the way to it is taken for someone's.
    fn belongs<'a>(&'a self, rule: &'a Rule, way: &[&'a str]) -> String {
        let way: Vec<_> = way.iter().copied().chain([rule.table.as_str()]).collect();
        let edges = rule.edges.iter().map(|edge| self.leads(rule, edge, &way));
        let addresses = rule.matches.iter().filter_map(|m| self.names(rule, m));
        format!("({})", or_never(&edges.chain(addresses).collect::<Vec<_>>()))
    }

    fn leads<'a>(&'a self, rule: &'a Rule, edge: &'a Edge, way: &[&'a str]) -> String {
        let again = way.contains(&edge.parent.as_str());
        // A table on the way needs another name inside: its columns would be taken for the other row's.
        let (alias, parent) = if again { (" AS expunged_parent", "expunged_parent") } else { ("", edge.parent.as_str()) };
        let pairs: Vec<_> = std::iter::zip(&edge.parent_columns, &edge.columns)
            .map(|(there, here)| format!("{} = {}", of(parent, there), of(&rule.table, here)))
            .collect();
        let further = match self.plan.rule(&edge.parent) {
            Some(parent) if !again => format!(" AND {}", self.belongs(parent, way)),
            _ => String::new(),
        };
        format!("EXISTS (SELECT 1 FROM {}{alias} WHERE {}{further})", in_main(&edge.parent), pairs.join(" AND "))
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
    use crate::store::Living;

    const SQL: &str =
        "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT); CREATE TABLE notes (id INTEGER PRIMARY KEY, person, answers);
        CREATE TABLE marks (note); CREATE TABLE outbox (body TEXT);
        INSERT INTO people VALUES (1, 'Ann@example.com'); INSERT INTO notes VALUES (1, 1, NULL), (2, NULL, 1), (3, 9, NULL), (4, NULL, 4);
        INSERT INTO marks VALUES (1), (2), (3), (8), (NULL);
        INSERT INTO outbox VALUES ('{\"to\":\"ann@EXAMPLE.com\"}'), ('{\"to\":\"bob@example.com\"}'), ('bob'), (NULL)";
    const PLAN: &str = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { sole = 'acme' }\naddress = { column = 'mail' }
        [[table]]\nname = 'notes'\naction = 'delete'\nedges = [{ columns = ['person'], parent = 'people', parent_columns = ['id'] },
            { columns = ['answers'], parent = 'notes', parent_columns = ['id'] }]
        [[table]]\nname = 'marks'\naction = 'delete'\nedges = [{ columns = ['note'], parent = 'notes', parent_columns = ['id'] }]
        [[table]]\nname = 'outbox'\naction = 'delete'\nmatch = [{ column = 'body', path = '$.to' }]";

    /// Tables with the row numbers of what belongs to someone.
    fn lives(engine: &Engine, store: &Connection) -> Vec<(String, Vec<i64>)> {
        let rows = |sql: String| store.prepare(&sql).unwrap().query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        let of =
            |living: Living| (living.table.clone(), rows(format!("SELECT rowid FROM main.{} WHERE {}", living.table, living.condition)));
        engine.living().into_iter().map(of).collect()
    }

    #[test]
    fn rows_of_a_plan_of_ones_own_belong_to_whoever_stays_by_keys_by_their_own_table_and_by_address() {
        let store = Connection::open_in_memory().unwrap();
        store.execute_batch(SQL).unwrap();
        let engine = Engine::new(Plan::parse(PLAN).unwrap(), IdentityKey::new([7; 32])).unwrap();
        let expected = [("people", vec![1]), ("notes", vec![1, 2, 4]), ("marks", vec![1, 2]), ("outbox", vec![1])];
        assert_eq!(lives(&engine, &store), expected.map(|(table, rows)| (table.to_owned(), rows)));
    }

    #[test]
    fn only_a_rule_that_keeps_rows_names_those_that_it_keeps() {
        let plan = PLAN.replacen("name = 'notes'\naction = 'delete'", "name = 'notes'\naction = 'keep'\nreason = 'a court'", 1);
        let engine = Engine::new(Plan::parse(&plan).unwrap(), IdentityKey::new([7; 32])).unwrap();
        let kept: Vec<_> = engine.living().into_iter().filter_map(|living| Some((living.table, living.kept?))).collect();
        let [(table, kept)] = kept.as_slice() else { panic!("{kept:?}") };
        assert_eq!((table.as_str(), kept.reason.as_str()), ("notes", "a court"));
        let store = Connection::open_in_memory().unwrap();
        store.execute_batch(SQL).unwrap();
        let rows = lives(&engine, &store).into_iter().find(|(table, _)| table == "notes").unwrap().1;
        assert_eq!(rows, [1, 2, 4]);
        let sql = format!("SELECT group_concat(rowid, ' ') FROM notes WHERE {}", kept.condition);
        assert_eq!(store.query_row(&sql, [], |row| row.get::<_, String>(0)).unwrap(), "1 2 3 4");
    }

    #[test]
    fn rows_of_tables_that_refer_to_each_other_in_a_circle_belong_to_whoever_stays() {
        let store = Connection::open_in_memory().unwrap();
        let sql = "CREATE TABLE people (id INTEGER PRIMARY KEY); INSERT INTO people VALUES (2);
            CREATE TABLE teams (id INTEGER PRIMARY KEY, lead, room); CREATE TABLE rooms (id INTEGER PRIMARY KEY, team);
            INSERT INTO teams VALUES (1, 1, 1), (2, 2, 2), (3, NULL, 2), (4, NULL, 9); INSERT INTO rooms VALUES (1, 9), (2, 2), (3, 1);";
        store.execute_batch(sql).unwrap();
        let plan = "[subject]\ntable = 'people'\nkey = 'id'\ntenancy = { sole = 'acme' }
            [[table]]\nname = 'teams'\naction = 'delete'\nedges = [{ columns = ['lead'], parent = 'people', parent_columns = ['id'] },
                { columns = ['room'], parent = 'rooms', parent_columns = ['id'], action = 'detach' }]
            [[table]]\nname = 'rooms'\naction = 'delete'\nedges = [{ columns = ['team'], parent = 'teams', parent_columns = ['id'] }]";
        let engine = Engine::new(Plan::parse(plan).unwrap(), IdentityKey::new([7; 32])).unwrap();
        assert_eq!(
            lives(&engine, &store),
            [("people", vec![2]), ("teams", vec![2, 3]), ("rooms", vec![2, 3])].map(|(t, r)| (t.to_owned(), r))
        );
    }
}
