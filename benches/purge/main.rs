//! The purge against hand-written SQL: alternating runs on the same data, medians, ratios.
//!
//! `--customers N --rows N` takes one case, `--only ours,P1` some sides, `--rounds N` other than three rounds.
//! `cargo bench --bench purge -- --quick` takes the small store only. Without `--quick` the store of two million customers is
//! made and purged too, which takes an hour and 20 GB of disk. The sides:
//!
//! * `ours`: the released daemon on the built-in schema, from a list moved into the inbox to the archived report;
//! * `ours ordinary`: the same on an ordinary schema (rowid tables, an index on each key), by a plan;
//! * `ours small`: `ours` with a page cache of 32 MiB;
//! * `P1`: `DELETE … IN (SELECT …)` in the `sqlite3` program on the ordinary schema, whose keys cascade, in one transaction: what
//!   the gates were set against (research/purge-performance.md);
//! * `P1 by table`: the same as a statement a table, children first, each by the customers' sorted keys: the best that we found;
//! * `P2`: that on our schema;
//! * `naive`: one statement an address, on the ordinary schema.
//!
//! From 10,000 rows on, what scrubs cost after such a purge is printed too (`--only scrub`: just that).
//!
//! Every side does the whole job: referrals detached, those without a party deleted, empty accounts deleted,
//! `secure_delete` on, a truncating checkpoint at the end. Ours also keeps its ledger, report and results.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints")]

mod daemon;
mod generate;
mod measure;
mod peers;
mod scrub;
#[path = "../unit.rs"]
mod unit;
mod view;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use daemon::Setting;
use generate::Size;
use measure::Measure;
use peers::Schema;

/// Our tables, with the default memory.
const BUILT_IN: Setting = Setting { schema: Schema::BuiltIn, cache_mib: 288 };

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` adds --bench; `cargo test --benches` runs it without anything to do.
    if args.iter().any(|arg| arg == "--test" || arg == "--list") {
        return;
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let rounds = value(&args, "--rounds").unwrap_or(3);
    let dir = std::env::var_os("EXPUNGED_BENCH_DIR").map_or_else(|| PathBuf::from("target/bench-purge"), PathBuf::from);
    std::fs::create_dir_all(&dir).expect("the bench's folder can be made");
    let only: Option<String> = value(&args, "--only");
    let mut plan = vec![(Size { customers: 200_000 }, vec![1, 1_000, 50_000])];
    if !quick {
        plan.push((Size { customers: 2_000_000 }, vec![1, 100_000, 500_000]));
    }
    if let Some(customers) = value(&args, "--customers") {
        plan = vec![(Size { customers }, vec![value(&args, "--rows").unwrap_or(1_000)])];
    }
    for (size, cases) in plan {
        let stores = generate::stores(
            &dir,
            size,
            only.as_deref().is_none_or(|only| ["P1", "naive", "ordinary"].iter().any(|side| only.contains(side))),
        );
        for rows in cases {
            case(&dir, &stores, size, (rows, rounds), only.as_deref());
        }
        if only.is_none() {
            view::application(&dir, &stores, size);
        }
    }
}

fn value<T: std::str::FromStr>(args: &[String], name: &str) -> Option<T> {
    let at = args.iter().position(|arg| arg == name)?;
    args.get(at + 1)?.parse().ok()
}

/// One run of one side.
type Run<'a> = Box<dyn Fn() -> Measure + 'a>;

/// One list on one store: every side in turn, forwards and backwards, medians of all rounds.
fn case(dir: &Path, stores: &generate::Stores, size: Size, (rows, rounds): (usize, usize), only: Option<&str>) {
    let list = generate::list(dir, size, rows);
    let nobody = generate::strangers(dir, rows);
    let mut sides: Vec<(&str, Run<'_>)> = vec![
        ("P1", Box::new(|| peers::cascade(dir, &stores.ordinary, &list))),
        ("P1 by table", Box::new(|| peers::by_table(dir, &stores.ordinary, &list, Schema::Ordinary))),
        ("ours", Box::new(|| daemon::purge(dir, &stores.builtin, &list, BUILT_IN))),
        ("ours ordinary", Box::new(|| daemon::purge(dir, &stores.ordinary, &list, Setting { schema: Schema::Ordinary, ..BUILT_IN }))),
        ("P2", Box::new(|| peers::by_table(dir, &stores.builtin, &list, Schema::BuiltIn))),
        ("ours small", Box::new(|| daemon::purge(dir, &stores.builtin, &list, Setting { cache_mib: 32, ..BUILT_IN }))),
        ("bookkeeping", Box::new(|| daemon::purge(dir, &stores.builtin, &nobody, BUILT_IN))),
    ];
    if rows <= 1_000 {
        sides.push(("naive", Box::new(|| peers::one_by_one(dir, &stores.ordinary, &list))));
    }
    if let Some(only) = only {
        sides.retain(|(name, _)| only.split(',').any(|wanted| wanted == *name));
    }
    let mut measured: BTreeMap<&str, Vec<Measure>> = BTreeMap::new();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..sides.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let (name, run) = &sides[at];
            eprintln!("{rows} of {} customers, round {}: {name}", size.customers, round + 1);
            measured.entry(name).or_default().push(run());
        }
    }
    println!("\n{rows} of {} customers (medians of {rounds})", size.customers);
    println!(
        "{:<14} {:>9} {:>9} {:>10} {:>10} {:>11} {:>8} {:>8}",
        "side", "wall s", "cpu s", "rows/s", "peak MiB", "written MB", "wall/P1", "cpu/P1"
    );
    let base = measured.get("P1").map(|all| measure::median(all));
    for (name, _) in &sides {
        let m = measure::median(&measured[name]);
        println!(
            "{name:<14} {:>9.3} {:>9.2} {:>10.0} {:>10.0} {:>11.1} {:>8} {:>8}",
            m.wall,
            m.cpu,
            rows as f64 / m.wall,
            m.peak_mib,
            m.written_mb,
            base.map_or("-".to_owned(), |base| format!("{:.2}", m.wall / base.wall)),
            base.map_or("-".to_owned(), |base| format!("{:.2}", m.cpu / base.cpu.max(0.01))),
        );
    }
    if rows == 1 {
        daemon::one_row(dir, &stores.builtin);
    }
    if rows >= 10_000 && only.is_none_or(|only| only.split(',').any(|wanted| wanted == "scrub")) {
        scrub::after(dir, &stores.builtin, &list);
    }
}
