//! Made-up customers with history, as `expunged load` takes them.

use std::fmt::Write as _;

use crate::world::World;

/// Loads `count` customers of a tenant, two to an account, each with two rewards, three events, two custom fields and a referral of
/// the next one. Customer `n` is account `A(n/2)`, id `U(n)`, address `person{n}@{tenant}.example`.
pub(crate) fn load(world: &World, tenant: &str, count: usize) {
    let mut customers = String::from("accountId,id,email,firstName,lastName,createdAt\n");
    let mut rewards = String::from("id,accountId,userId,referralId,type,amount,currency,status,createdAt\n");
    let mut events = String::from("id,accountId,userId,name,occurredAt,properties\n");
    let mut fields = String::from("accountId,userId,name,value\n");
    let mut referrals = String::from("id,referrerAccountId,referrerId,referredAccountId,referredId,status,createdAt\n");
    for n in 0..count {
        let (account, id) = (account(n), id(n));
        let _ = writeln!(customers, "{account},{id},{},First{n},Last{n},2026-01-01T00:00:00Z", email(tenant, n));
        for i in 0..2 {
            let _ = writeln!(rewards, "R{n}-{i},{account},{id},F{n},credit,10.00,EUR,pending,2026-02-01T00:00:00Z");
        }
        for i in 0..3 {
            let _ = writeln!(
                events,
                "E{n}-{i},{account},{id},purchase,2026-03-01T00:00:00Z,\"{{\"\"email\"\":\"\"{}\"\"}}\"",
                email(tenant, n)
            );
        }
        for i in 0..2 {
            let _ = writeln!(fields, "{account},{id},field{i},value of {}", email(tenant, n));
        }
        if n + 1 < count {
            let _ = writeln!(referrals, "F{n},{account},{id},{},{},converted,2026-02-01T00:00:00Z", self::account(n + 1), self::id(n + 1));
        }
    }
    for (kind, content) in
        [("customers", customers), ("referrals", referrals), ("rewards", rewards), ("events", events), ("fields", fields)]
    {
        world.load(kind, tenant, &content);
    }
}

/// Customers without history, quickly: `count` of them.
pub(crate) fn load_bare(world: &World, tenant: &str, count: usize) {
    let mut customers = String::from("accountId,id,email\n");
    for n in 0..count {
        let _ = writeln!(customers, "{},{},{}", account(n), id(n), email(tenant, n));
    }
    world.load("customers", tenant, &customers);
}

pub(crate) fn account(n: usize) -> String {
    format!("A{}", n / 2)
}

pub(crate) fn id(n: usize) -> String {
    format!("U{n}")
}

pub(crate) fn email(tenant: &str, n: usize) -> String {
    format!("person{n}@{tenant}.example")
}

/// An email CSV that names these customers.
pub(crate) fn email_csv(tenant: &str, people: impl IntoIterator<Item = usize>) -> String {
    let mut text = String::from("Customer Email\n");
    for n in people {
        let _ = writeln!(text, "{}", email(tenant, n));
    }
    text
}

/// A participant CSV that names these customers.
pub(crate) fn participant_csv(people: impl IntoIterator<Item = usize>) -> String {
    let mut text = String::from("accountId,id\n");
    for n in people {
        let _ = writeln!(text, "{},{}", account(n), id(n));
    }
    text
}

/// Every row that the store holds of a tenant's people, as text: what must stay the same where nobody was purged.
pub(crate) fn rows(world: &World, tenant: &str) -> Vec<String> {
    let own = format!("customer IN (SELECT customer FROM customers WHERE tenant = '{tenant}')");
    [
        format!("SELECT * FROM accounts WHERE tenant = '{tenant}' ORDER BY accountId"),
        format!("SELECT * FROM customers WHERE tenant = '{tenant}' ORDER BY customer"),
        format!("SELECT * FROM rewards WHERE {own} ORDER BY customer, id"),
        format!("SELECT * FROM events WHERE {own} ORDER BY customer, id"),
        format!("SELECT * FROM custom_fields WHERE {own} ORDER BY customer, name"),
        format!("SELECT id, referrer, referred, status FROM referrals WHERE tenant = '{tenant}' ORDER BY id"),
    ]
    .iter()
    .flat_map(|query| world.sql_lines(query))
    .collect()
}

/// Asserts that these rows are those, and shows no more than what differs.
pub(crate) fn same(found: &[String], expected: &[String], context: impl FnOnce() -> String) {
    if found == expected {
        return;
    }
    let less = |these: &[String], those: &[String]| {
        let those: std::collections::HashSet<&String> = those.iter().collect();
        these.iter().filter(|row| !those.contains(row)).take(20).map(|row| format!("\n  {row}")).collect::<String>()
    };
    panic!("{}\nmissing:{}\nunexpected:{}", context(), less(expected, found), less(found, expected));
}
