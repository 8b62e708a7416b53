//! Bad input, end to end: what the sender finds in the report, and where the file is.

use std::io::Write as _;

use serde_json::Value;

use crate::people;
use crate::world::World;

fn world() -> World {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.tenant("acme");
    people::load(&world, "acme", 8);
    world.start();
    world
}

/// Moves a file in and gives its report.
fn report(world: &World, name: &str, content: &[u8]) -> Value {
    let local = world.write(&format!("made-{name}"), content);
    world.move_in(&local, "acme", name);
    world.report("acme", name)
}

/// A file's name, its bytes, the code of its rejection, the line, and words of the message.
type Rejected<'a> = (&'a str, &'a [u8], &'a str, Option<u64>, &'a str);

/// The file is rejected as a whole, with this code and these words, and nobody is gone.
fn rejects(world: &World, name: &str, content: &[u8], reason: &str, line: Option<u64>, words: &str) {
    let report = report(world, name, content);
    assert_eq!((&report["status"], &report["reason"]), (&"rejected".into(), &reason.into()), "{name}: {report}");
    let error = &report["errors"][0];
    assert_eq!((&error["reason"], error["line"].as_u64()), (&reason.into(), line), "{name}: {report}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{name}: {report}");
    let rejected = world.files("acme", "rejected");
    for ending in [name.to_owned(), format!("{name}.report.json")] {
        assert!(rejected.iter().any(|file| file.ends_with(&format!("-{ending}"))), "{ending}: {rejected:?}");
    }
    assert_eq!(world.status("acme", name).expect("a status")["reason"], reason);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 8, "{name}");
}

/// The file is read: so many rows deleted, and these bad ones as `line column reason`.
fn reads(world: &World, name: &str, content: &[u8], deleted: u64, bad: &[&str]) -> Value {
    let report = report(world, name, content);
    assert_eq!(report["status"], "completed", "{name}: {report}");
    let errors = report["errors"].as_array().expect("a list");
    let told: Vec<String> = errors
        .iter()
        .map(|error| format!("{} {} {}", error["line"], error["column"].as_str().unwrap_or("-"), error["reason"].as_str().unwrap_or("-")))
        .collect();
    assert_eq!(told, bad, "{name}: {report}");
    assert_eq!(report["rows"]["deleted"], deleted, "{name}: {report}");
    assert_eq!(report["rows"]["invalid"], bad.len(), "{name}: {report}");
    assert!(world.files("acme", "archive").iter().any(|file| file.ends_with(&format!("-{name}"))));
    report
}

#[test]
fn a_file_that_is_no_list_is_rejected_with_what_to_mend() {
    let world = world();
    let junk: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let cases: [Rejected<'_>; 17] = [
        ("zero.csv", b"", "empty_file", None, "header alone"),
        ("zero.jsonl", b"", "empty_file", None, "send its checksum file before it"),
        ("zero.csv.gz", b"", "empty_file", None, "send it whole"),
        ("blank.csv", b"\n\n\n", "empty_file", None, "header alone"),
        ("unknown.csv", b"mail,name\nann,x\n", "no_known_column", Some(1), "(found \"mail\", \"name\")"),
        (
            "no-header.csv",
            b"person1@acme.example\nperson2@acme.example\n",
            "no_known_column",
            Some(1),
            "looks like a row, not like a header",
        ),
        ("near.csv", b"customer_email\nperson1@acme.example\n", "near_miss_column", Some(1), "must be spelt \"Customer Email\""),
        ("near-flag.csv", b"accountId,id,donottrack\nA0,U0,true\n", "near_miss_column", Some(1), "must be spelt \"doNotTrack\""),
        ("near-id.csv", b"accountID,id\nA0,U0\n", "near_miss_column", Some(1), "must be spelt \"accountId\""),
        ("half.csv", b"id\nU0\n", "missing_column", Some(1), "no column \"accountId\""),
        ("twice.csv", b"accountId,id,id\nA0,U0,U1\n", "duplicate_column", Some(1), "column \"id\" stands twice"),
        ("both.csv", b"Customer Email,accountId,id\np,A0,U0\n", "two_dialects", Some(1), "a file names people in one way"),
        ("junk.csv", &junk, "not_text", Some(1), "the file is not text"),
        ("png.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0", "not_text", Some(1), "the file is not text"),
        ("quote.csv", b"Customer Email,x\nperson1@acme.example,\"open\nperson2@acme.example,y\n", "quote_not_closed", Some(2), "line 2"),
        ("one.csv", b"Customer Email\nperson1@acme.example", "unterminated_only_row", Some(2), "no line end"),
        ("list.pdf", b"Customer Email\nperson1@acme.example\n", "not_a_list", None, ".csv, .txt, .jsonl or .ndjson"),
    ];
    for (name, content, reason, line, words) in cases {
        rejects(&world, name, content, reason, line, words);
    }
    assert!(!world.log().contains("@acme"), "{}", world.log());
    for file in world.files("acme", "rejected").iter().filter(|name| name.ends_with(".report.json")) {
        let text = std::fs::read_to_string(world.folder("acme", "rejected").join(file)).expect("text");
        assert!(!text.contains("@acme") && !text.contains("person1"), "{file}: {text}");
    }
}

#[test]
fn a_header_alone_is_a_quiet_night_and_no_error() {
    let world = world();
    for (name, content) in
        [("quiet.csv", "Customer Email\n"), ("quiet-open.csv", "Customer Email"), ("quiet-pairs.csv", "accountId,id\r\n")]
    {
        let report = reads(&world, name, content.as_bytes(), 0, &[]);
        assert_eq!(report["rows"]["read"], 0);
    }
}

#[test]
fn bad_rows_are_told_by_line_and_the_others_are_purged() {
    let world = world();
    reads(
        &world,
        "lengths.csv",
        b"accountId,id,note\nA0,U0\nA0,U0,x,y\nA0,U1,ok\n,U2,\nA1,\"U2\"x,\nA1, U2,\n",
        1,
        &["2 - too_few_cells", "3 - too_many_cells", "5 accountId missing", "6 - quote_malformed", "7 id space_at_end"],
    );
    reads(
        &world,
        "bytes.csv",
        b"note,Customer Email\n\xff\xfe,person2@acme.example\nx,person\xff3@acme.example\n\0,person3@acme.example\nx,pers\0on4@acme.example\n",
        2,
        &["3 Customer Email not_text", "5 Customer Email control_character"],
    );
    reads(&world, "last.csv", b"Customer Email\nperson4@acme.example\nperson5@acme.exampl", 1, &["3 - unterminated_last_row"]);
    assert_eq!(world.sql_lines("SELECT id FROM customers").len(), 8 - 4);
}

#[test]
fn bad_objects_are_told_by_line_and_the_others_are_purged() {
    let world = world();
    let text = concat!(
        "{\"accountId\":\"A0\",\"id\":\"U0\",\"doNotTrack\":null}\n",
        "{\"accountId\":\"A0\",\"id\":[1]}\n",
        "{\"accountId\":\"A0\",\"id\":\"U1\"\n",
        "{\"accountId\":\"A0\",\"id\":\"U1\",\"id\":\"U2\"}\n",
        "{\"accountId\":\"A0\",\"id\":\"U1\",\"donottrack\":true}\n",
        "{\"accountId\":\"A0\",\"id\":\"U1\",\"Customer Email\":\"person1@acme.example\"}\n",
        "{\"accountId\":\"A1\",\"id\":\"U2\",\"doNotTrack\":\"yes\"}\n",
        "{\"accountId\":\"A1\",\"id\":\"U3\"}",
    );
    let report = reads(
        &world,
        "objects.jsonl",
        text.as_bytes(),
        2,
        &[
            "2 id json_wrong_type",
            "3 - json_malformed",
            "4 id json_duplicate_key",
            "5 donottrack near_miss_key",
            "6 - two_subjects",
            "7 doNotTrack json_wrong_type",
        ],
    );
    assert_eq!(report["dialect"], "participant_jsonl");
}

#[test]
fn json_lines_tell_their_dialect_though_the_first_of_them_is_a_bad_row() {
    let world = world();
    let text = format!("{{\"email\":\"{}\"}}\n{{\"email\":\"person1@acme.example\"}}\n", "a".repeat(70_000));
    let report = reads(&world, "late.jsonl", text.as_bytes(), 1, &["1 - row_too_long"]);
    assert_eq!(report["dialect"], "email_jsonl");
}

/// The most memory that the daemon ever had, in KiB.
fn peak_kib(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

fn huge(world: &World, name: &str, parts: [&str; 3]) {
    let path = world.outside("huge");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    file.write_all(parts[0].as_bytes()).expect("room");
    let block = parts[1].repeat(1 << 20);
    for _ in 0..100 / parts[1].len() {
        file.write_all(block.as_bytes()).expect("room");
    }
    file.write_all(parts[2].as_bytes()).expect("room");
    file.flush().expect("room");
    world.move_in(&path, "acme", name);
}

#[test]
fn a_line_of_a_hundred_megabytes_is_one_bad_row_and_takes_no_memory() {
    let world = world();
    huge(&world, "long.csv", ["Customer Email\nperson0@acme.example\n", "a", "\nperson1@acme.example\n"]);
    let report = world.report("acme", "long.csv");
    assert_eq!(
        (&report["rows"]["read"], &report["rows"]["deleted"], &report["rows"]["invalid"]),
        (&3.into(), &2.into(), &1.into()),
        "{report}"
    );
    assert_eq!((&report["errors"][0]["line"], &report["errors"][0]["reason"]), (&3.into(), &"row_too_long".into()), "{report}");
    assert!(peak_kib(&world) < 200 << 10, "{} KiB", peak_kib(&world));

    huge(&world, "quoted.csv", ["Customer Email\n\"", "a", "\"\nperson2@acme.example\n"]);
    let report = world.report("acme", "quoted.csv");
    assert_eq!((&report["reason"], &report["errors"][0]["line"]), (&"quote_not_closed".into(), &2.into()), "{report}");

    huge(&world, "header.csv", ["", "a", "\nperson2@acme.example\n"]);
    let report = world.report("acme", "header.csv");
    assert_eq!(report["reason"], "header_too_long", "{report}");
    assert!(peak_kib(&world) < 200 << 10, "{} KiB", peak_kib(&world));
}

#[test]
fn a_million_columns_are_refused_and_take_no_memory() {
    let world = world();
    let header = vec!["c"; 1_000_000].join(",");
    rejects(&world, "million.csv", format!("Customer Email,{header}\nx\n").as_bytes(), "header_too_long", Some(1), "");
    let header = vec!["c"; 2_000].join(",");
    rejects(
        &world,
        "thousands.csv",
        format!("Customer Email,{header}\nx\n").as_bytes(),
        "too_many_columns",
        Some(1),
        "2001 columns; at most 1000",
    );
    let commas = ",".repeat(1_000_000);
    let text = format!("Customer Email\nperson0@acme.example\n{commas}\n");
    reads(&world, "row.csv", text.as_bytes(), 1, &["3 - row_too_long"]);
    assert!(peak_kib(&world) < 200 << 10, "{} KiB", peak_kib(&world));
}
