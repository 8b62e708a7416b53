//! Lists that were cut, or put together from two: nobody is deleted who stood in no list.
//!
//! The tenant's customers are numbered 1, 2, …, 1999, so a cut of any listed id is the id of another customer.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Child;

use crate::world::{World, children, signal};

/// Uploads slowly, in writes of 700 bytes, so that there is time to cut: 8 KiB take four seconds.
const SLOWLY: [&str; 6] = ["-l", "16", "-B", "700", "-R", "1"];

fn world() -> World {
    let mut world = World::new();
    world.tenant("acme");
    let mut customers = String::from("accountId,id,email\n");
    for n in 1..2000 {
        let _ = writeln!(customers, "A,{n},person{n}@acme.example");
    }
    world.load("customers", "acme", &customers);
    world.start();
    world
}

/// `note` sets where the rows fall in the file.
fn list(ids: impl IntoIterator<Item = u32>, note: &str) -> String {
    let mut text = String::from("accountId,id,note\n");
    for id in ids {
        let _ = writeln!(text, "A,{id},{note}");
    }
    text
}

fn gone(world: &World) -> BTreeSet<u32> {
    let left: BTreeSet<u32> = world
        .sql_lines("SELECT id FROM customers")
        .iter()
        .map(|row| row.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number"))
        .collect();
    (1..2000).filter(|id| !left.contains(id)).collect()
}

/// The ids of the rows in this text that end.
fn whole_rows(text: &str) -> BTreeSet<u32> {
    let whole = &text[..=text.rfind('\n').expect("a line")];
    whole.lines().skip(1).map(|line| line.split(',').nth(1).expect("a cell").parse().expect("a number")).collect()
}

/// Starts a slow `sftp` with this batch, and waits until some of the upload has arrived.
fn half_way(world: &World, batch: &str, staged: &str) -> Child {
    let mut client = world.sender("acme").sftp(world.address(), &SLOWLY).spawn().expect("sftp starts");
    std::io::Write::write_all(&mut client.stdin.take().expect("piped"), batch.as_bytes()).expect("sftp reads");
    let path = world.folder("acme", "staging").join("inbox").join(staged);
    world.eventually("some of the upload arrives", || path.metadata().is_ok_and(|meta| meta.len() > 2_000).then_some(()));
    client
}

fn cut(world: &World, mut client: Child, staged: &str) -> u64 {
    signal("KILL", &children(client.id()));
    signal("KILL", &[client.id()]);
    client.wait().expect("ends");
    let told = world.folder("acme", "status").join("recent.log");
    world.eventually("the sender is told of the cut", || {
        std::fs::read_to_string(&told).is_ok_and(|log| log.contains("upload cut")).then_some(())
    });
    world.folder("acme", "staging").join("inbox").join(staged).metadata().expect("the partial is kept").len()
}

#[test]
fn a_session_cut_in_the_middle_of_an_upload_delivers_nothing_and_can_be_resumed() {
    let world = world();
    let whole = list(1000..1600, "");
    let local = world.write("ids.csv", &whole);
    let client = half_way(&world, &format!("put {} ids.csv\n", local.display()), "ids.csv");
    let kept = cut(&world, client, "ids.csv");
    assert!(kept > 2_000 && kept < whole.len() as u64, "{kept}");
    assert!(world.files("acme", "inbox").is_empty() && world.files("acme", "processing").is_empty());
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM expunged_imports"), 0);

    world.sftp("acme", &format!("reput {} ids.csv\n", local.display())).exits(0);
    let report = world.report("acme", "ids.csv");
    assert_eq!((&report["rows"]["deleted"], &report["rows"]["invalid"]), (&599.into(), &1.into()), "{report}");
    assert_eq!(report["errors"][0]["reason"], "resumed_here");
    assert_eq!(report["bytes"], whole.len());
    let gone = gone(&world);
    assert!(gone.len() == 599 && gone.is_subset(&(1000..1600).collect()), "{gone:?}");
}

/// All bytes have come, and the connection was lost before the CLOSE. OpenSSH's client sends nothing where the sizes are equal.
#[test]
fn an_upload_of_which_only_the_close_was_lost_is_resumed_and_counts_whole() {
    let world = world();
    let whole = list(1000..1600, "");
    let local = world.write("ids.csv", &whole);
    std::fs::write(world.folder("acme", "staging").join("inbox/ids.csv"), &whole).expect("what a cut leaves");
    world.sftp("acme", "rename ids.csv other.csv\n").exits(1);
    world.sftp("acme", &format!("reput {} ids.csv\n", local.display())).exits(0);
    let report = world.report("acme", "ids.csv");
    assert_eq!((&report["rows"]["deleted"], &report["rows"]["invalid"]), (&600.into(), &0.into()), "{report}");
    assert_eq!(report["bytes"], whole.len());
}

#[test]
fn a_cut_upload_that_is_sent_again_whole_counts_whole() {
    let world = world();
    let local = world.write("ids.csv", list(1000..1600, ""));
    let client = half_way(&world, &format!("put {} ids.csv\n", local.display()), "ids.csv");
    cut(&world, client, "ids.csv");
    world.sftp("acme", &format!("put {} ids.csv\n", local.display())).exits(0);
    let report = world.report("acme", "ids.csv");
    assert_eq!((&report["rows"]["deleted"], &report["rows"]["invalid"]), (&600.into(), &0.into()), "{report}");
    assert_eq!(gone(&world), (1000..1600).collect());
}

#[test]
fn an_interrupted_batch_that_goes_on_to_rename_the_cut_file_deletes_nobody_by_the_cut_row() {
    let world = world();
    let local = world.write("ids.csv", list(1000..1600, ""));
    let client = half_way(&world, &format!("put {} x.part\nrename x.part x.csv\n", local.display()), "x.part");
    signal("INT", &[client.id()]);
    let ended = client.wait_with_output().expect("ends");
    assert!(ended.status.success(), "OpenSSH calls this a success: {ended:?}");

    let report = world.report("acme", "x.csv");
    let name = world.files("acme", "archive").into_iter().find(|name| name.ends_with("-x.csv")).expect("archived");
    let archived = std::fs::read_to_string(world.folder("acme", "archive").join(name)).expect("text");
    assert!(!archived.ends_with('\n'), "700 bytes and rows of 8 never meet at a row's end");
    assert_eq!(report["rows"]["invalid"], 1, "{report}");
    assert_eq!(report["errors"][0]["reason"], "unterminated_last_row");
    let whole = whole_rows(&archived);
    assert_eq!(report["rows"]["deleted"], whole.len());
    assert_eq!(gone(&world), whole, "those of the whole rows and nobody else");
}

#[test]
fn an_upload_resumed_on_another_day_deletes_nobody_by_the_row_at_the_seam() {
    let world = world();
    let monday = list(1000..1600, "");
    let tuesday = list(1601..1990, "tuesday");
    let local = world.write("ids.csv", &monday);
    let client = half_way(&world, &format!("put {} ids.csv\n", local.display()), "ids.csv");
    let kept = cut(&world, client, "ids.csv");
    let local = world.write("ids.csv", &tuesday);
    world.sftp("acme", &format!("reput {} ids.csv\n", local.display())).exits(0);

    let report = world.report("acme", "ids.csv");
    let reasons: Vec<_> =
        report["errors"].as_array().expect("a list").iter().map(|error| error["reason"].as_str().expect("a code")).collect();
    assert_eq!(reasons, ["resumed_here"], "{report}");
    let kept = usize::try_from(kept).expect("small");
    let first = whole_rows(&monday[..kept]);
    let second: BTreeSet<u32> = {
        let rest = &tuesday[kept..];
        whole_rows(&format!("header\n{}", &rest[rest.find('\n').expect("a line") + 1..]))
    };
    assert_eq!(gone(&world), first.union(&second).copied().collect(), "the rows on either side, and nobody by the row between");
}

#[test]
fn a_hole_of_zero_bytes_in_a_file_names_nobody() {
    // A write with a gap is no delivery, as sftp's own tests show; but someone may move in a file that was made with one.
    let world = world();
    let mut text = list(1000..1010, "").into_bytes();
    let at = text.len() - 12;
    text[at..at + 8].fill(0);
    let local = world.write("hole.csv", &text);
    world.move_in(&local, "acme", "hole.csv");
    let report = world.report("acme", "hole.csv");
    assert_ne!(report["rows"]["deleted"], 10, "{report}");
    assert!(gone(&world).is_subset(&(1000..1010).collect()), "{report}");
}
