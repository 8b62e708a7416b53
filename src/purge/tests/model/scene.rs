//! What was drawn, made a schema with a sound plan of every action, and rows for it that know whose they are.

use rusqlite::types::Value as Cell;

use super::draws::{AccountsDraw, EdgeDraw, PersonDraw, RowDraw, SceneDraw, TableDraw};
use crate::domain::TenantName;
use crate::purge::Plan;
use crate::purge::plan::{AccountRule, Action, Address, Compare, Edge, Match, Orphans, Rule, Set, Subject, Tenancy, Value};

/// A table and its rows.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<(String, Kind)>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// How its text ends: keys, and whether rows have numbers.
    end: String,
    indexes: Vec<Vec<String>>,
    /// By row, whether it is acme's.
    ours: Vec<bool>,
}

/// What a column's values are stored as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Integer,
    Text,
    Blob,
}

/// A schema with its plan and rows.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) plan: Plan,
    pub(super) tables: Vec<Table>,
    pub(super) addresses: bool,
    pub(super) pairs: bool,
    pub(super) number_ids: bool,
}

pub(super) fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// An address as people write it, or none.
pub(super) fn mail(n: u8) -> Cell {
    Cell::Text(match n / 8 {
        0 => format!("e{n}@x.example"),
        1 => format!("E{}@X.example", n % 8),
        2 if n.is_multiple_of(2) => format!(" e{}@x.example", n % 8),
        2 => format!("e{}@x.example", n % 4),
        _ if n % 8 < 3 => return Cell::Null,
        _ if n % 8 == 3 => "nobody".into(),
        _ => format!("e{}@x.example", n % 4),
    })
}

fn doc(row: &RowDraw) -> Cell {
    let address = match mail(row.mail % 24) {
        Cell::Text(text) => text,
        _ => String::new(),
    };
    Cell::Text(match row.doc {
        0 => return Cell::Null,
        1 => "no json".into(),
        2 | 3 => format!("{{\"mail\":\"{address}\"}}"),
        4 => format!("{{\"to\":[\"{address}\",\"e1@x.example\"]}}"),
        5 => "{\"mail\":7,\"to\":[]}".into(),
        6 => format!("{{\"mail\":null,\"to\":[\"{address}\"]}}"),
        7 => format!("{{\"all\":[{{\"mail\":\"e2@x.example\"}},{{\"mail\":\"{address}\"}},7]}}"),
        8 => format!("{{\"to\":\"{address}\",\"all\":{{\"mail\":\"e1@x.example\"}}}}"),
        _ => format!("{{\"mail\":\"{address}\",\"to\":[\"e2@x.example\"]}}"),
    })
}

/// A key, some of them far from the others, and their order another than that of the rows.
fn key(kind: Kind, n: usize) -> Cell {
    match (kind, n) {
        (Kind::Integer, 2) => Cell::Integer(-1),
        (Kind::Integer, 5) => Cell::Integer(i64::MAX),
        (Kind::Integer, 7) => Cell::Integer(i64::MIN),
        (Kind::Integer, _) => Cell::Integer(n as i64 + 1),
        (Kind::Text, 2) => Cell::Text("K'2\" ".into()),
        (Kind::Text, 4) => Cell::Text("\u{130}\0k4".into()),
        (Kind::Text, 6) => Cell::Text("long".repeat(1_500)),
        (Kind::Text, _) => Cell::Text(format!("k{n}")),
        (Kind::Blob, 3) => Cell::Blob(vec![]),
        (Kind::Blob, 6) => Cell::Blob(vec![6; 6_000]),
        (Kind::Blob, _) => Cell::Blob(vec![0, 255, n as u8]),
    }
}

pub(super) const TENANTS: [&str; 2] = ["acme", "acme-2"];

impl SceneDraw {
    fn label(&self, ours: bool) -> bool {
        ours || !self.tenants
    }

    fn accounts_by_tenant(&self) -> bool {
        self.tenants && self.accounts.as_ref().is_some_and(|accounts| accounts.by_tenant)
    }

    /// 0 the people, 1 the accounts, then the tables.
    fn parent(&self, drawn: u8) -> usize {
        match usize::from(drawn) % (2 + self.tables.len()) {
            1 if self.accounts.is_none() => 0,
            at => at,
        }
    }

    fn name(&self, at: usize) -> String {
        match at {
            0 => "people".into(),
            1 => "accounts".into(),
            at => format!("t{}", at - 1),
        }
    }

    fn key_kind(&self, at: usize) -> Kind {
        match if at == 0 { self.key_kind } else { self.tables[at - 2].kind } {
            0 | 3 => Kind::Integer,
            4 => Kind::Blob,
            _ => Kind::Text,
        }
    }

    /// Whether each row of a table is acme's.
    fn labels(&self, at: usize) -> Vec<bool> {
        match at {
            0 => self.people.iter().map(|person| self.label(person.ours)).collect(),
            1 => {
                let rows = self.accounts.as_ref().map_or(0, |accounts| accounts.rows.len());
                let others = if self.accounts_by_tenant() { rows } else { 0 };
                std::iter::repeat_n(true, rows).chain(std::iter::repeat_n(false, others)).collect()
            }
            at => self.tables[at - 2].rows.iter().map(|row| self.label(row.ours)).collect(),
        }
    }

    /// The columns by which a table is referred to, with the values of a row, there or not. A shared one is not among them.
    fn referred(&self, at: usize, by: u8, row: usize) -> Vec<(&'static str, Kind, Cell)> {
        let other = ("w", Kind::Text, if row % 3 == 2 { Cell::Null } else { Cell::Text(format!("w{row}")) });
        match (at, by) {
            (1, 0 | SHARED) => {
                let rows = self.accounts.as_ref().map_or(0, |accounts| accounts.rows.len()).max(1);
                let name = ("name", Kind::Text, Cell::Text(format!("a{}", if self.accounts_by_tenant() { row % rows } else { row })));
                let tenant = ("tenant", Kind::Text, Cell::Text(TENANTS[usize::from(self.accounts_by_tenant() && row >= rows)].into()));
                if self.accounts_by_tenant() && by == 0 { vec![tenant, name] } else { vec![name] }
            }
            (1, _) | (_, 2) => vec![other],
            (_, 1) => vec![("u", Kind::Integer, Cell::Integer(row as i64)), ("v", Kind::Text, Cell::Text(format!("v{row}")))],
            _ => vec![("k", self.key_kind(at), key(self.key_kind(at), row))],
        }
    }

    fn columns_of(&self, n: usize, edge: &EdgeDraw) -> Vec<(String, Kind)> {
        let referred = self.referred(self.parent(edge.parent), edge.by, 0);
        referred.iter().map(|(column, kind, _)| (format!("e{n}{column}"), *kind)).collect()
    }

    fn edge(&self, n: usize, drawn: &EdgeDraw, action: Option<Action>) -> Edge {
        let parent = self.parent(drawn.parent);
        let columns = self.columns_of(n, drawn).into_iter().map(|(column, _)| column);
        let parent_columns = self.referred(parent, drawn.by, 0).into_iter().map(|(column, ..)| column.to_owned());
        let shared = (drawn.by == SHARED).then(|| "tenant".to_owned());
        Edge {
            columns: shared.clone().into_iter().chain(columns).collect(),
            parent: self.name(parent),
            parent_columns: shared.into_iter().chain(parent_columns).collect(),
            action,
        }
    }

    /// A row's references: to rows of the same tenant, to none, to rows that are not there.
    fn references(&self, edges: &[EdgeDraw], refs: &[Option<u8>], ours: bool) -> Vec<Cell> {
        let one = |(edge, to): (&EdgeDraw, &Option<u8>)| {
            let parent = self.parent(edge.parent);
            let to = to.map(usize::from).filter(|to| self.labels(parent).get(*to).is_none_or(|label| *label == ours));
            let cells = self.referred(parent, edge.by, to.unwrap_or(0)).into_iter().enumerate();
            cells
                .map(|(at, (_, kind, cell))| match to {
                    Some(_) => cell,
                    // Half a reference is none.
                    None if at == 1 && kind == Kind::Text => Cell::Text("half".into()),
                    None => Cell::Null,
                })
                .collect::<Vec<_>>()
        };
        std::iter::zip(edges, refs).flat_map(one).collect()
    }

    fn people(&self) -> Table {
        let kind = self.key_kind(0);
        let id_kind = if self.number_ids { Kind::Integer } else { Kind::Text };
        let mut columns = vec![("k", kind), ("u", Kind::Integer), ("v", Kind::Text), ("w", Kind::Text), ("tenant", Kind::Text)];
        columns.extend([("mail", Kind::Text), ("account", Kind::Text), ("id", id_kind)]);
        let mut columns: Vec<_> = columns.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
        columns.extend(self.subject_edges.iter().enumerate().flat_map(|(n, edge)| self.columns_of(n, edge)));
        let row = |(n, person): (usize, &PersonDraw)| {
            let ours = self.label(person.ours);
            let id = |id: u8| if self.number_ids { Cell::Integer(id.into()) } else { Cell::Text(format!("u{id}")) };
            let mut cells = vec![key(kind, n), Cell::Integer(n as i64), Cell::Text(format!("v{n}"))];
            cells.extend(self.referred(0, 2, n).into_iter().map(|(.., cell)| cell));
            cells.extend([Cell::Text(TENANTS[usize::from(!ours)].into()), mail(person.mail)]);
            cells.push(person.account.map_or(Cell::Null, |account| Cell::Text(format!("a{account}"))));
            cells.push(person.id.map_or(Cell::Null, id));
            cells.extend(self.references(&self.subject_edges, &person.refs, ours));
            cells
        };
        let rows = self.people.iter().enumerate().map(row).collect();
        Table { name: "people".into(), columns, rows, end: ends(self.key_kind, &[]), indexes: vec![], ours: self.labels(0) }
    }

    fn accounts(&self, drawn: &AccountsDraw) -> Table {
        let mut columns: Vec<_> = [("tenant", Kind::Text), ("name", Kind::Text), ("w", Kind::Text)].map(|(n, k)| (n.to_owned(), k)).into();
        columns.extend(drawn.edges.iter().enumerate().flat_map(|(n, edge)| self.columns_of(n, edge)));
        let ours = self.labels(1);
        let row = |(at, ours): (usize, &bool)| {
            let mut cells = vec![Cell::Text(TENANTS[usize::from(!ours)].into()), Cell::Text(format!("a{}", at % drawn.rows.len()))];
            cells.extend(self.referred(1, 2, at).into_iter().map(|(.., cell)| cell));
            cells.extend(self.references(&drawn.edges, &drawn.rows[at % drawn.rows.len()], *ours));
            cells
        };
        let key = if self.accounts_by_tenant() { "tenant, name" } else { "name" };
        let end = format!(", PRIMARY KEY ({key}), UNIQUE (w)){}", if drawn.without_rowid { " WITHOUT ROWID" } else { "" });
        let rows = ours.iter().enumerate().map(row).collect();
        Table { name: "accounts".into(), columns, rows, end, indexes: vec![], ours }
    }

    /// The references of a table, made sound with the rest of its rule.
    fn rule(&self, at: usize) -> (Rule, Vec<EdgeDraw>, u8) {
        let drawn = &self.tables[at];
        let mut kind = drawn.kind;
        let mut edges = drawn.edges.clone();
        // Of rows that stay no circle can be made.
        let actions = if self.circles { 2 } else { 4 };
        let mut action = [Action::Delete, Action::Detach, Action::Overwrite, Action::Keep][usize::from(drawn.action) % actions];
        if edges.is_empty() && (drawn.matches.is_empty() || self.address.is_none() || action == Action::Detach) {
            edges.push(EdgeDraw { parent: 0, by: 0, own: 0, indexed: true });
        }
        if self.circles {
            edges.truncate(2);
            edges.push(EdgeDraw { parent: (2 + (at + 1) % self.tables.len()) as u8, by: drawn.kind % 3, own: 1, indexed: drawn.orphans });
        }
        let key_columns: usize = edges.iter().enumerate().take(2).map(|(n, edge)| self.columns_of(n, edge).len()).sum();
        if kind == JOIN_SPARSE && key_columns < 2 || kind == JOIN && edges.is_empty() {
            kind = 1;
        }
        if kind == JOIN {
            for edge in edges.iter_mut().take(2) {
                // What cannot be null can only go.
                edge.own = 0;
                if self.parent(edge.parent) > 2 + at && !self.circles {
                    edge.parent = 0;
                }
            }
            if action == Action::Detach {
                action = Action::Delete;
            }
        }
        let forward = |edge: &EdgeDraw| self.parent(edge.parent) > 2 + at;
        let own = |edge: &EdgeDraw| match edge.own {
            0 | 1 if forward(edge) && self.circles => Some(Action::Delete),
            _ if forward(edge) => Some(Action::Detach),
            1 if action != Action::Overwrite => Some(Action::Delete),
            2 => Some(Action::Detach),
            _ => None,
        };
        let mut rule = Rule::new(&self.name(at + 2), action, vec![]);
        rule.edges = edges.iter().enumerate().map(|(n, edge)| self.edge(n, edge, own(edge))).collect();
        if action == Action::Detach {
            let plain = edges.iter().zip(&rule.edges).all(|(draw, edge)| edge.action.is_none() && self.parent(draw.parent) != at + 2);
            rule.orphans = Some(if plain && drawn.orphans && !self.circles { Orphans::Delete } else { Orphans::Keep });
        } else if self.address.is_some() {
            let doc = ["$.mail", "$.to[0]", "$.to", "$.all[*].mail"].map(|path| ("doc", Some(path)));
            let place = [("mail", None), ("note", None), doc[0], doc[1], doc[2], doc[3]];
            let found = drawn.matches.iter().map(|(at, compare)| {
                let (column, path) = place[usize::from(*at)];
                Match { column: column.into(), path: path.map(str::to_owned), compare: COMPARE[usize::from(*compare)] }
            });
            rule.matches = found.collect();
            rule.tenant = (self.tenants && !rule.matches.is_empty()).then(|| "tenant".into());
        }
        // A rule that could write over no row is refused.
        if action == Action::Overwrite && rule.matches.is_empty() && rule.edges.iter().all(|edge| edge.action.is_some()) {
            action = Action::Detach;
            (rule.action, rule.orphans) = (action, Some(Orphans::Keep));
        }
        if action == Action::Keep {
            rule.reason = Some("the tax office".into());
        }
        if action == Action::Overwrite {
            rule.sets = self.sets(drawn, &rule, kind);
        }
        (rule, edges, kind)
    }

    fn sets(&self, drawn: &TableDraw, rule: &Rule, kind: u8) -> Vec<Set> {
        let place = [("mail", None), ("note", None), ("n", None), ("doc", Some("$.mail")), ("doc", Some("$.to[0]"))];
        let mut sets: Vec<Set> = Vec::new();
        for (at, to) in &drawn.sets {
            let to = [Value::Null, Value::Hash, Value::Text("gone".into()), Value::Number(10_000), Value::Text("7007".into())]
                [usize::from(*to)]
            .clone();
            let chosen = place.get(usize::from(*at)).map(|(column, path)| ((*column).to_owned(), path.map(str::to_owned)));
            let in_key = if kind == JOIN || kind == JOIN_SPARSE { 2 } else { 0 };
            let mut edges = rule.edges.iter().skip(in_key).filter(|edge| edge.action.is_none());
            let edge = edges.nth(usize::from(*at) % 2);
            let Some((column, path)) =
                chosen.or_else(|| edge.map(|edge| (edge.columns.iter().find(|column| *column != "tenant").unwrap().clone(), None)))
            else {
                continue;
            };
            // One place of a list is written over only where each match on its column looks.
            let elsewhere = |m: &Match| m.column == column && m.path != path;
            let in_list = path.as_ref().is_some_and(|path| path.ends_with(']'));
            if sets.iter().all(|set| set.column != column) && !(in_list && rule.matches.iter().any(elsewhere)) {
                sets.push(Set { column, path, to });
            }
        }
        if sets.is_empty() {
            sets.push(Set { column: "note".into(), path: None, to: Value::Hash });
        }
        sets
    }

    fn table(&self, at: usize) -> (Rule, Table) {
        let (rule, edges, kind) = self.rule(at);
        let drawn = &self.tables[at];
        let mut columns: Vec<_> = [("k", self.key_kind(at + 2)), ("u", Kind::Integer), ("v", Kind::Text), ("w", Kind::Text)]
            .map(|(n, k)| (n.to_owned(), k))
            .into();
        columns.extend(edges.iter().enumerate().flat_map(|(n, edge)| self.columns_of(n, edge)));
        let plain = [("tenant", Kind::Text), ("mail", Kind::Text), ("doc", Kind::Text), ("note", Kind::Text), ("n", Kind::Integer)];
        columns.extend(plain.map(|(name, kind)| (name.to_owned(), kind)));
        let mut joined: Vec<_> = rule.edges.iter().take(2).flat_map(|edge| edge.columns.clone()).collect();
        joined.sort();
        joined.dedup();
        let places: Vec<_> = joined.iter().map(|column| columns.iter().position(|(name, _)| name == column).unwrap()).collect();
        let named = |row: &[Cell]| places.iter().map(|at| row[*at].clone()).collect::<Vec<_>>();
        let (mut rows, mut ours): (Vec<Vec<Cell>>, Vec<bool>) = (Vec::new(), Vec::new());
        for (n, row) in drawn.rows.iter().enumerate() {
            let label = self.label(row.ours);
            let mut cells = vec![key(self.key_kind(at + 2), n), Cell::Integer(n as i64), Cell::Text(format!("v{n}"))];
            cells.extend(self.referred(at + 2, 2, n).into_iter().map(|(.., cell)| cell));
            cells.extend(self.references(&edges, &row.refs, label));
            cells.extend([Cell::Text(TENANTS[usize::from(!label)].into()), mail(row.mail), doc(row)]);
            cells.push(if row.note < 6 { Cell::Text(format!("note {}", row.note)) } else { mail(row.note) });
            cells.push(row.n.map_or(Cell::Null, Cell::Integer));
            let stands_twice = rows.iter().any(|other| named(other) == named(&cells));
            let refused = match kind {
                JOIN => named(&cells).contains(&Cell::Null) || stands_twice,
                JOIN_SPARSE => !named(&cells).contains(&Cell::Null) && stands_twice,
                _ => false,
            };
            if refused {
                // References point at rows by their number: this one stays, and names nobody.
                continue;
            }
            rows.push(cells);
            ours.push(label);
        }
        let indexed = std::iter::zip(&edges, &rule.edges).filter(|(drawn, _)| drawn.indexed);
        let indexes = indexed.map(|(_, edge)| edge.columns.clone()).collect();
        let table = Table { name: rule.table.clone(), columns, rows, end: ends(kind, &joined), indexes, ours };
        (rule, table)
    }

    pub(super) fn build(&self) -> Scene {
        let acme = TenantName::parse("acme").unwrap();
        let text = |word: &str| word.to_owned();
        // Somebody must be named by something.
        let pairs = self.pairs || self.address.is_none();
        let compare = |drawn: u8| COMPARE[usize::from(drawn)];
        let subject = Subject {
            table: text("people"),
            key: text("k"),
            tenancy: if self.tenants { Tenancy::Column(text("tenant")) } else { Tenancy::Sole(acme) },
            address: self.address.map(|drawn| Address { column: text("mail"), compare: compare(drawn) }),
            account: pairs.then(|| text("account")),
            id: pairs.then(|| text("id")),
            names: vec![],
            edges: self.subject_edges.iter().enumerate().map(|(n, edge)| self.edge(n, edge, None)).collect(),
        };
        let account = self.accounts.as_ref().map(|drawn| AccountRule {
            table: text("accounts"),
            columns: if self.accounts_by_tenant() { owned(&["tenant", "name"]) } else { owned(&["name"]) },
            subject_columns: if self.accounts_by_tenant() { owned(&["tenant", "account"]) } else { owned(&["account"]) },
            edges: drawn.edges.iter().enumerate().map(|(n, edge)| self.edge(n, edge, None)).collect(),
        });
        let (rules, tables): (Vec<_>, Vec<_>) = (0..self.tables.len()).map(|at| self.table(at)).unzip();
        let accounts = self.accounts.as_ref().map(|drawn| self.accounts(drawn));
        let tables = std::iter::once(self.people()).chain(accounts).chain(tables).collect();
        let plan = Plan { subject, account, rules, accepted: crate::purge::plan::Accepted::default() };
        Scene { plan, tables, addresses: self.address.is_some(), pairs, number_ids: self.number_ids }
    }
}

const COMPARE: [Compare; 3] = [Compare::Normalised, Compare::Nocase, Compare::Exact];

/// How a reference is drawn that shares a column.
const SHARED: u8 = 3;

/// A table keyed by its first two references, without row numbers, or with them: then they can be null.
const JOIN: u8 = 5;
const JOIN_SPARSE: u8 = 6;

fn ends(kind: u8, joined: &[String]) -> String {
    match kind {
        0 | 1 | 4 => ", PRIMARY KEY (k), UNIQUE (u, v), UNIQUE (w))".into(),
        2 => ", PRIMARY KEY (k, u), UNIQUE (k), UNIQUE (u, v), UNIQUE (w)) WITHOUT ROWID".into(),
        3 => ", UNIQUE (k), UNIQUE (u, v), UNIQUE (w))".into(),
        JOIN => format!(", PRIMARY KEY ({}), UNIQUE (k), UNIQUE (u, v), UNIQUE (w)) WITHOUT ROWID", joined.join(", ")),
        _ => format!(", PRIMARY KEY ({}), UNIQUE (k), UNIQUE (u, v), UNIQUE (w))", joined.join(", ")),
    }
}

impl Scene {
    pub(super) fn table(&self, name: &str) -> &Table {
        self.tables.iter().find(|table| table.name == name).unwrap()
    }

    /// Whether a person is one of those whom the list can name.
    pub(super) fn is_ours(&self, person: &[Cell]) -> bool {
        match &self.plan.subject.tenancy {
            Tenancy::Sole(_) => true,
            Tenancy::Column(column) => person[self.table("people").at(column)] == Cell::Text("acme".into()),
        }
    }
}

impl Table {
    pub(super) fn at(&self, column: &str) -> usize {
        self.columns.iter().position(|(name, _)| name == column).unwrap()
    }

    pub(super) fn create(&self) -> String {
        let word = |kind: Kind| match kind {
            Kind::Integer => "INTEGER",
            Kind::Text => "TEXT",
            Kind::Blob => "BLOB",
        };
        let columns: Vec<_> = self.columns.iter().map(|(name, kind)| format!("{name} {}", word(*kind))).collect();
        let mut sql = format!("CREATE TABLE {} ({}{};\n", self.name, columns.join(", "), self.end);
        for (n, columns) in self.indexes.iter().enumerate() {
            sql += &format!("CREATE INDEX {}_{n} ON {} ({});\n", self.name, self.name, columns.join(", "));
        }
        sql
    }

    /// The same table with other rows.
    pub(super) fn with(&self, rows: Vec<Vec<Cell>>) -> Self {
        Self { rows, ..self.clone() }
    }

    /// The rows that are another tenant's.
    pub(super) fn others(&self) -> impl Iterator<Item = &Vec<Cell>> {
        std::iter::zip(&self.rows, &self.ours).filter(|(_, ours)| !**ours).map(|(row, _)| row)
    }
}
