//! What is drawn of a schema: numbers, which `scene` makes a sound plan of.

use proptest::prelude::*;

/// What is drawn of a schema. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
pub(super) struct SceneDraw {
    pub(super) tenants: bool,
    pub(super) key_kind: u8,
    pub(super) address: Option<u8>,
    pub(super) pairs: bool,
    pub(super) number_ids: bool,
    /// Rows are deleted round circles of tables.
    pub(super) circles: bool,
    pub(super) subject_edges: Vec<EdgeDraw>,
    pub(super) accounts: Option<AccountsDraw>,
    pub(super) people: Vec<PersonDraw>,
    pub(super) tables: Vec<TableDraw>,
}

#[derive(Clone, Debug)]
pub(super) struct AccountsDraw {
    pub(super) by_tenant: bool,
    pub(super) without_rowid: bool,
    pub(super) edges: Vec<EdgeDraw>,
    pub(super) rows: Vec<[Option<u8>; 2]>,
}

#[derive(Clone, Debug)]
pub(super) struct PersonDraw {
    pub(super) ours: bool,
    pub(super) mail: u8,
    pub(super) account: Option<u8>,
    pub(super) id: Option<u8>,
    pub(super) refs: [Option<u8>; 2],
}

#[derive(Clone, Debug)]
pub(super) struct TableDraw {
    pub(super) kind: u8,
    pub(super) action: u8,
    pub(super) orphans: bool,
    pub(super) edges: Vec<EdgeDraw>,
    pub(super) matches: Vec<(u8, u8)>,
    pub(super) sets: Vec<(u8, u8)>,
    pub(super) rows: Vec<RowDraw>,
}

#[derive(Clone, Debug)]
pub(super) struct EdgeDraw {
    pub(super) parent: u8,
    /// 3: by the tenant's column, which all such references of a table share, and one of its own.
    pub(super) by: u8,
    pub(super) own: u8,
    pub(super) indexed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct RowDraw {
    pub(super) ours: bool,
    pub(super) refs: [Option<u8>; 3],
    pub(super) mail: u8,
    pub(super) doc: u8,
    pub(super) note: u8,
    pub(super) n: Option<i64>,
}

pub(super) fn scene() -> impl Strategy<Value = SceneDraw> {
    let edge = || {
        let drawn = (
            prop_oneof![2 => Just(0_u8), 3 => 0..12_u8],
            prop_oneof![2 => 0..3_u8, 1 => Just(3)],
            prop_oneof![4 => Just(0_u8), 1 => 1..3_u8],
            any::<bool>(),
        );
        drawn.prop_map(|(parent, by, own, indexed)| EdgeDraw { parent, by, own, indexed })
    };
    let reference = || prop::option::weighted(0.8, 0..9_u8);
    let ours = || prop::bool::weighted(0.75);
    let person = (ours(), 0..32_u8, prop::option::weighted(0.9, 0..4_u8), prop::option::weighted(0.9, 0..3_u8), [reference(), reference()]);
    let person = person.prop_map(|(ours, mail, account, id, refs)| PersonDraw { ours, mail, account, id, refs });
    let row = (ours(), [reference(), reference(), reference()], 0..32_u8, 0..10_u8, 0..10_u8, prop::option::of(0..9_i64));
    let row = row.prop_map(|(ours, refs, mail, doc, note, n)| RowDraw { ours, refs, mail, doc, note, n });
    let table = (
        (0..7_u8, 0..4_u8, any::<bool>(), prop::bool::weighted(0.3)),
        prop::collection::vec(edge(), 0..4),
        prop::collection::vec((0..6_u8, 0..3_u8), 0..3),
        prop::collection::vec((0..8_u8, 0..5_u8), 1..4),
        prop_oneof![1 => prop::collection::vec(row.clone(), 0..3), 6 => prop::collection::vec(row, 3..10)],
    );
    let table = table.prop_map(|((kind, action, orphans, sharing), edges, matches, sets, rows)| TableDraw {
        kind,
        action,
        orphans,
        edges: edges.into_iter().map(|edge| if sharing { EdgeDraw { by: 3, ..edge } } else { edge }).collect(),
        matches: if action == 1 { vec![] } else { matches },
        sets,
        rows,
    });
    let accounts =
        (any::<bool>(), any::<bool>(), prop::collection::vec(edge(), 0..2), prop::collection::vec([reference(), reference()], 0..5));
    let accounts = accounts.prop_map(|(by_tenant, without_rowid, edges, rows)| AccountsDraw { by_tenant, without_rowid, edges, rows });
    (
        (any::<bool>(), 0..5_u8, prop::option::weighted(0.9, 0..3_u8), prop::bool::weighted(0.7), any::<bool>(), prop::bool::weighted(0.3)),
        prop::collection::vec(edge(), 0..3),
        prop::option::of(accounts),
        prop_oneof![1 => prop::collection::vec(person.clone(), 0..3), 9 => prop::collection::vec(person, 3..12)],
        prop::collection::vec(table, 1..6),
    )
        .prop_map(|((tenants, key_kind, address, pairs, number_ids, circles), subject_edges, accounts, people, tables)| SceneDraw {
            tenants,
            key_kind,
            address,
            pairs,
            number_ids,
            circles,
            subject_edges,
            accounts,
            people,
            tables,
        })
}
