//! Random worlds and files against a plain, slow, row-at-a-time model that shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::world::{Came, World, exempt, put_customer, put_referral, row};
use crate::domain::{Outcome, Settings, Tally};
use crate::store::StoreError;

#[derive(Clone, Debug)]
struct Customer {
    tenant: &'static str,
    account: String,
    id: String,
    email: Option<String>,
}

#[derive(Clone, Debug)]
struct Scene {
    customers: Vec<Customer>,
    referrals: Vec<(Option<usize>, Option<usize>)>,
    rows: Vec<String>,
    /// By address, or by account and id.
    exempt: BTreeSet<String>,
    settings: Settings,
    chunks: [u32; 2],
}

fn scene() -> impl Strategy<Value = Scene> {
    let customer = (prop::bool::weighted(0.8), 0..4_u8, 0..5_u8, prop::option::weighted(0.9, 0..7_u8));
    let party = || prop::option::weighted(0.8, any::<prop::sample::Index>());
    let flag = |name: &'static str| prop_oneof![4 => Just(String::new()), 1 => Just(format!(" +{name}")), 1 => Just(format!(" -{name}"))];
    let subject = prop_oneof![
        4 => (0..9_u8, any::<bool>()).prop_map(|(n, upper)| if upper { format!("E{n}@X.Example") } else { format!("e{n}@x.example") }),
        4 => (0..5_u8, 0..6_u8).prop_map(|(account, id)| format!("a{account}/u{id}")),
        1 => Just("!".to_owned()),
    ];
    let exempt = prop_oneof![(0..9_u8).prop_map(|n| format!("e{n}@x.example")), (0..5_u8, 0..6_u8).prop_map(|(a, u)| format!("a{a}/u{u}"))];
    let file_row = (subject, flag("keep"), flag("dnt")).prop_map(|(subject, keep, dnt)| format!("{subject}{keep}{dnt}"));
    (
        prop::collection::vec(customer, 0..14),
        prop::collection::vec((party(), party()), 0..12),
        (prop::collection::vec(file_row, 0..20), prop::collection::btree_set(exempt, 0..3)),
        (prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
        [1..6_u32, 1..6_u32],
    )
        .prop_map(|(customers, referrals, (rows, exempt), (preserve_empty_accounts, do_not_track), chunks)| {
            let mut unique = BTreeMap::new();
            for (ours, account, id, email) in customers {
                let tenant = if ours { "acme" } else { "acme-2" };
                let email = email.map(|n| format!("e{n}@x.example"));
                let customer = Customer { tenant, account: format!("a{account}"), id: format!("u{id}"), email };
                unique.entry((tenant, account, id)).or_insert(customer);
            }
            let customers: Vec<_> = unique.into_values().collect();
            let party =
                |index: Option<prop::sample::Index>| index.filter(|_| !customers.is_empty()).map(|index| index.index(customers.len()));
            let referrals = referrals.into_iter().map(|(a, b)| (party(a), party(b))).collect();
            Scene { customers, referrals, rows, exempt, settings: Settings { preserve_empty_accounts, do_not_track }, chunks }
        })
}

/// What ought to happen, written down as plainly as it can be.
fn expected(scene: &Scene) -> (Came, BTreeSet<usize>) {
    let count = scene.rows.len();
    let parse = |text: &String| text.split(' ').next().unwrap().to_ascii_lowercase();
    let wants = |text: &String, flag: &str, default: bool| {
        if text.contains(&format!("+{flag}")) { true } else { default && !text.contains(&format!("-{flag}")) }
    };
    let names: Vec<_> = scene.rows.iter().map(parse).collect();
    let mut keep: Vec<_> = scene.rows.iter().map(|text| wants(text, "keep", scene.settings.preserve_empty_accounts)).collect();
    let mut dnt: Vec<_> = scene.rows.iter().map(|text| wants(text, "dnt", scene.settings.do_not_track)).collect();
    let of_row = |row: usize| -> Vec<usize> {
        let named = |customer: &Customer| {
            customer.tenant == "acme"
                && (customer.email.as_ref() == Some(&names[row]) || format!("{}/{}", customer.account, customer.id) == names[row])
        };
        (0..scene.customers.len()).filter(|at| named(&scene.customers[*at])).collect()
    };
    // Outcomes, in the order of the file.
    let mut outcomes = Vec::new();
    let mut owner: BTreeMap<usize, usize> = BTreeMap::new();
    let mut passed_on: Vec<(usize, usize)> = Vec::new();
    for row in 0..count {
        let taken = of_row(row);
        let same = (0..row).find(|earlier| names[*earlier] == names[row]);
        outcomes.push(if names[row] == "!" {
            Outcome::Invalid
        } else if let Some(first) = same {
            passed_on.push((row, first));
            Outcome::Duplicate
        } else if taken.is_empty() {
            Outcome::NotFound
        } else if taken.iter().all(|customer| owner.contains_key(customer)) {
            passed_on.extend(taken.iter().map(|customer| (row, owner[customer])));
            Outcome::Duplicate
        } else {
            taken.iter().for_each(|customer| {
                owner.entry(*customer).or_insert(row);
            });
            Outcome::Deleted
        });
    }
    for _ in 0..count {
        for (from, to) in &passed_on {
            keep[*to] |= keep[*from];
            dnt[*to] |= dnt[*from];
        }
    }
    let is_exempt = |at: &usize| {
        let Customer { account, id, email, .. } = &scene.customers[*at];
        scene.exempt.contains(&format!("{account}/{id}")) || email.as_ref().is_some_and(|email| scene.exempt.contains(email))
    };
    for row in 0..count {
        let named = scene.exempt.contains(&names[row]) || of_row(row).iter().any(is_exempt);
        if named && matches!(outcomes[row], Outcome::Deleted | Outcome::NotFound) {
            outcomes[row] = Outcome::Exempt;
        }
    }
    owner.retain(|_, row| outcomes[*row] == Outcome::Deleted);
    let gone: BTreeSet<usize> = owner.keys().copied().collect();
    // What is asked for each customer: by the row that takes it, and by any other that names it.
    let asks = |customer: usize, flags: &[bool]| {
        flags[owner[&customer]] || (0..count).any(|row| names[row] != "!" && of_row(row).contains(&customer) && flags[row])
    };
    let mut progress = crate::store::ledger::Progress::default();
    for (table, each) in [("customers", 1), ("accounts", 0), ("rewards", 1), ("events", 2), ("custom_fields", 1), ("referrals", 0)] {
        progress.removed.add(table, each * gone.len() as u64);
    }
    progress.detached.add("referrals", 0);
    for (a, b) in &scene.referrals {
        let hit = |party: &Option<usize>| party.is_some_and(|customer| gone.contains(&customer));
        let stays = |party: &Option<usize>| party.is_some_and(|customer| !gone.contains(&customer));
        if hit(a) || hit(b) {
            if stays(a) || stays(b) { progress.detached.add("referrals", 1) } else { progress.removed.add("referrals", 1) }
        }
    }
    let accounts: BTreeSet<_> = gone.iter().map(|at| &scene.customers[*at].account).collect();
    for account in accounts {
        let mut users =
            (0..scene.customers.len()).filter(|at| scene.customers[*at].tenant == "acme" && scene.customers[*at].account == *account);
        if users.clone().any(|at| !gone.contains(&at)) {
        } else if users.any(|at| asks(at, &keep)) {
            progress.accounts_preserved += 1;
        } else {
            progress.accounts_deleted += 1;
            progress.removed.add("accounts", 1);
        }
    }
    let mut suppressed = BTreeSet::new();
    for customer in &gone {
        if asks(*customer, &dnt) {
            let Customer { account, id, .. } = &scene.customers[*customer];
            suppressed.insert(format!("{account}/{id}"));
            suppressed.insert(names[owner[customer]].clone());
        }
    }
    (0..count).filter(|row| outcomes[*row] == Outcome::NotFound && dnt[*row]).for_each(|row| {
        suppressed.insert(names[row].clone());
    });
    progress.suppressed = suppressed.len() as u64;
    let mut tally = Tally::default();
    outcomes.iter().for_each(|outcome| tally.add(*outcome));
    let customers = (0..count).map(|row| u32::try_from(owner.values().filter(|owner| **owner == row).count()).unwrap()).collect();
    (Came { outcomes, customers, progress, tally }, gone)
}

/// The scene's store, without some of its customers.
fn build(scene: &Scene, without: &BTreeSet<usize>) -> World {
    let world = World::new();
    let mut store = world.open();
    let fill = |c: &rusqlite::Transaction<'_>| -> Result<(), StoreError> {
        let mut keys = Vec::new();
        for (at, Customer { tenant, account, id, email }) in scene.customers.iter().enumerate() {
            let key = put_customer(c, tenant, account, id, email.as_deref().unwrap_or(""));
            keys.push(key);
            if without.contains(&at) {
                let doomed =
                    ["rewards", "events", "custom_fields", "customers"].map(|table| format!("DELETE FROM {table} WHERE customer = {key};"));
                c.execute_batch(&doomed.concat()).unwrap();
            }
        }
        for (id, (a, b)) in (1..).zip(&scene.referrals) {
            let left = |party: &Option<usize>| party.filter(|customer| !without.contains(customer)).map(|customer| keys[customer]);
            let lost = |party: &Option<usize>| party.is_some_and(|customer| without.contains(&customer));
            if left(a).is_some() || left(b).is_some() || !(lost(a) || lost(b)) {
                put_referral(c, id, left(a), left(b));
            }
        }
        for at in without {
            let account = &scene.customers[*at].account;
            let sql = "DELETE FROM accounts AS a WHERE tenant = 'acme' AND accountId = ?1
                 AND NOT EXISTS (SELECT 1 FROM customers c WHERE c.tenant = a.tenant AND c.accountId = a.accountId)";
            c.execute(sql, [account]).unwrap();
        }
        Ok(())
    };
    store.write("build a scene", fill).unwrap();
    exempt(&world, &scene.exempt.iter().map(String::as_str).collect::<Vec<_>>());
    world
}

/// The accounts' rows apart: which of them stay is compared by count.
fn people(world: &World) -> String {
    ["customers", "rewards", "events", "custom_fields", "referrals"].map(|table| world.dump(table)).concat()
}

/// Each case writes real files: fewer than proptest's 256, unless `PROPTEST_CASES` asks for another number.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: if asked.cases == 256 { 32 } else { asked.cases }, failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn check_purge_and_a_plain_model_agree_on_random_worlds(scene in scene()) {
        let (expected, gone) = expected(&scene);
        let rows: Vec<_> = (2..).zip(&scene.rows).map(|(line, text)| row(line, text)).collect();
        let after = build(&scene, &gone);
        let mut accounts = Vec::new();
        for chunk in scene.chunks {
            let world = build(&scene, &BTreeSet::new());
            let before = world.dump("*");
            let matched = world.matched(&rows, scene.settings);
            let (_, checked) = world.checked(&matched);
            prop_assert_eq!(&checked, &expected, "check");
            prop_assert_eq!(world.dump("*"), before, "a check changed the store");
            prop_assert_eq!(&world.purge(&matched, chunk), &expected, "purge in chunks of {}", chunk);
            prop_assert_eq!(people(&world), people(&after), "store after chunks of {}", chunk);
            let kept = world.dump("accounts").lines().count();
            let plain = after.dump("accounts").lines().count();
            prop_assert_eq!(kept as u64, plain as u64 + expected.progress.accounts_preserved);
            accounts.push(world.dump("accounts"));
        }
        prop_assert_eq!(&accounts[0], &accounts[1]);
    }
}
