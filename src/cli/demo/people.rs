//! Made-up customers: the same ones each time, so that what is printed can be compared.

use std::fmt::Write as _;

use crate::load::Kind;

const FIRST: [&str; 12] = ["Ann", "Ben", "Chloe", "Dai", "Elif", "Femi", "Grace", "Hugo", "Ines", "Jonas", "Kofi", "Lena"];
const LAST: [&str; 10] = ["Abe", "Brown", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Haddad", "Ito", "Jansen"];

/// The files to load, customers first.
pub(super) fn files(count: usize) -> Vec<(Kind, String)> {
    let mut customers = String::from("accountId,id,email,firstName,lastName,createdAt\n");
    let mut referrals = String::from("id,referrerAccountId,referrerId,referredAccountId,referredId,status,createdAt\n");
    let mut rewards = String::from("id,accountId,userId,referralId,type,amount,currency,status,createdAt\n");
    let mut events = String::from("id,accountId,userId,name,occurredAt,properties\n");
    let mut fields = String::from("accountId,userId,name,value\n");
    for n in 0..count {
        let key = format!("{},{}", account(n), user(n));
        let (first, last) = name(n);
        let _ = writeln!(customers, "{key},{},{first},{last},2025-03-01T09:00:00Z", address(n));
        let _ = writeln!(events, "e{n}-1,{key},purchase,2025-04-01T10:00:00Z,\"{{\"\"order\"\":{n}}}\"");
        let _ = writeln!(events, "e{n}-2,{key},login,2025-05-02T11:00:00Z,");
        let _ = writeln!(fields, "{key},newsletter,yes");
        if n % 3 == 0 {
            let other = (n * 7 + 1) % count;
            let _ = writeln!(referrals, "f{n},{key},{},{},converted,2025-04-01T10:00:00Z", account(other), user(other));
            let _ = writeln!(rewards, "r{n},{key},f{n},credit,10.00,EUR,pending,2025-04-02T10:00:00Z");
        }
    }
    vec![
        (Kind::Customers, customers),
        (Kind::Referrals, referrals),
        (Kind::Rewards, rewards),
        (Kind::Events, events),
        (Kind::Fields, fields),
    ]
}

/// A list of some of them, with what real lists have: a stranger, a repetition, a typing error.
pub(super) fn list(count: usize) -> String {
    let mut text = String::from("Customer Email\n");
    for n in (0..count).step_by(count / 40) {
        let _ = writeln!(text, "{}", address(n));
    }
    let _ = writeln!(text, "{}\nstranger@nowhere.example\nnot-an-address", address(0).to_uppercase());
    text
}

fn account(n: usize) -> String {
    format!("a-{}", n / 2)
}

fn user(n: usize) -> String {
    format!("u-{n}")
}

fn name(n: usize) -> (&'static str, &'static str) {
    (FIRST[n % FIRST.len()], LAST[n / FIRST.len() % LAST.len()])
}

fn address(n: usize) -> String {
    let (first, last) = name(n);
    format!("{}.{}{n}@mail.example", first.to_lowercase(), last.to_lowercase())
}
