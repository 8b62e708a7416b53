//! The application's view: its look-ups and its writers' waits, idle and during a purge.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::daemon::Served;
use crate::generate::{self, Size, Stores, address};
use crate::measure::quantile;

/// Prints point look-ups and one-row writes by another connection, while nothing happens and while a purge runs.
pub(crate) fn application(dir: &Path, stores: &Stores, size: Size) {
    let served = Served::new(dir, &stores.builtin, crate::BUILT_IN);
    let store = served.store();
    println!("\nan application beside it, {} customers (milliseconds)", size.customers);
    println!("{:<8} {:>10} {:>10} {:>10} {:>10} {:>10}", "", "read p50", "read p99", "write p50", "write p99", "write max");
    let stop = AtomicBool::new(false);
    let during = |work: &dyn Fn()| {
        stop.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let reads = scope.spawn(|| reads(store, size, &stop));
            let writes = scope.spawn(|| writes(store, &stop));
            work();
            stop.store(true, Ordering::Relaxed);
            (reads.join().expect("reads"), writes.join().expect("writes"))
        })
    };
    let print = |name: &str, (reads, writes): (Vec<f64>, Vec<f64>)| {
        let worst = writes.iter().copied().fold(0.0, f64::max);
        println!(
            "{name:<8} {:>10.3} {:>10.3} {:>10.1} {:>10.1} {worst:>10.1}",
            quantile(reads.clone(), 0.5),
            quantile(reads, 0.99),
            quantile(writes.clone(), 0.5),
            quantile(writes, 0.99)
        );
    };
    print("idle", during(&|| std::thread::sleep(Duration::from_secs(5))));
    let list = generate::list(dir, size, size.customers / 20);
    print(
        "purging",
        during(&|| {
            served.purge(&list, "view.csv");
        }),
    );
}

fn open(store: &Path) -> Connection {
    let connection = Connection::open(store).expect("the store opens");
    connection.busy_timeout(Duration::from_secs(60)).expect("a time limit");
    connection
}

fn reads(store: &Path, size: Size, stop: &AtomicBool) -> Vec<f64> {
    let connection = open(store);
    let mut find =
        connection.prepare("SELECT count(*) FROM customers WHERE tenant = 'acme' AND emailNormalised = ?1").expect("a statement");
    let mut waits = Vec::new();
    for n in (0..).map(|at: usize| at * 7919 % size.customers) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        let _: i64 = find.query_row([address(n)], |row| row.get(0)).expect("a row");
        waits.push(start.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(Duration::from_millis(1));
    }
    waits
}

fn writes(store: &Path, stop: &AtomicBool) -> Vec<f64> {
    let connection = open(store);
    connection.execute_batch("CREATE TABLE IF NOT EXISTS application_log (at INTEGER)").expect("a table");
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        connection.execute("INSERT INTO application_log VALUES (1)", []).expect("written");
        waits.push(start.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(Duration::from_millis(20));
    }
    waits
}
