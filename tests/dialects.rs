//! Every dialect and every wish of a row, end to end.

use crate::people;
use crate::world::World;

fn world() -> World {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.tenant("acme");
    people::load(&world, "acme", 12);
    world.start();
    world
}

/// Puts it, and gives the report's dialect and its counts of deleted and invalid rows.
fn purged(world: &World, name: &str, content: impl AsRef<[u8]>) -> (String, u64, u64) {
    world.put("acme", name, content);
    let report = world.report("acme", name);
    assert_eq!(report["status"], "completed", "{report}");
    let count = |outcome: &str| report["rows"][outcome].as_u64().expect("a count");
    (report["dialect"].as_str().unwrap_or_default().to_owned(), count("deleted"), count("invalid"))
}

fn results(world: &World, name: &str) -> String {
    world.report("acme", name);
    let ending = format!("-{name}.results.csv");
    let path = world.files("acme", "archive").into_iter().find(|file| file.ends_with(&ending)).expect("results");
    std::fs::read_to_string(world.folder("acme", "archive").join(path)).expect("text")
}

fn accounts(world: &World) -> Vec<String> {
    world.sql_lines("SELECT accountId FROM accounts ORDER BY length(accountId), accountId")
}

fn utf16(text: &str) -> Vec<u8> {
    [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

#[test]
fn all_four_dialects_name_the_same_people() {
    let world = world();
    assert_eq!(purged(&world, "a.csv", "Customer Email\nperson0@acme.example\n"), ("email_csv".into(), 1, 0));
    assert_eq!(purged(&world, "b.jsonl", "{\"email\":\"person1@acme.example\"}\n"), ("email_jsonl".into(), 1, 0));
    assert_eq!(purged(&world, "c.csv", "accountId,id\nA1,U2\n"), ("participant_csv".into(), 1, 0));
    assert_eq!(purged(&world, "d.ndjson", "{\"accountId\":\"A1\",\"id\":\"U3\",\"x\":[1,{}]}"), ("participant_jsonl".into(), 1, 0));
    assert_eq!(purged(&world, "e.txt", "id,email,accountId\nU4,whatever,A2\n"), ("participant_csv".into(), 1, 0));
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 7);
}

#[test]
fn exporters_of_all_kinds_are_understood() {
    let world = world();
    let cases: [(&str, Vec<u8>); 8] = [
        ("semicolon.csv", b"name;Customer Email\nAnn;person0@acme.example\n".to_vec()),
        ("tab.txt", b"name\tCustomer Email\nAnn\tperson1@acme.example\n".to_vec()),
        ("pipe.csv", b"name|CustomerEmail\nAnn|person2@acme.example\n".to_vec()),
        ("crlf.csv", b"\xEF\xBB\xBFCustomer Email\r\nperson3@acme.example\r\n".to_vec()),
        ("cr.csv", b"Customer Email\rperson4@acme.example\r".to_vec()),
        ("utf16.csv", utf16("Customer Email;x\r\nPerson5@Acme.Example;\u{e4}\r\n")),
        ("quoted.csv", b"\"Customer Email\",\"note\"\n\" person6@acme.example \",\"two\nlines, \"\"quoted\"\"\"\n\n\n".to_vec()),
        ("latin.csv", b"note,email\nM\xFCller,PERSON7@ACME.EXAMPLE\n".to_vec()),
    ];
    for (name, content) in cases {
        assert_eq!(purged(&world, name, content), ("email_csv".into(), 1, 0), "{name}");
    }
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 4);
}

#[test]
fn an_alias_of_the_tenants_file_names_the_address() {
    let mut world = world();
    world.set_tenant("acme", "email_aliases", "[\"E-mail\", \"Adresse\"]");
    world.stop();
    world.start();
    assert_eq!(purged(&world, "a.csv", "Adresse\nperson0@acme.example\n"), ("email_csv".into(), 1, 0));
    assert_eq!(purged(&world, "b.jsonl", "{\"E-mail\":\"person1@acme.example\"}\n"), ("email_jsonl".into(), 1, 0));
    assert_eq!(purged(&world, "c.csv", "accountId,id,E-mail\nA1,U2,person5@acme.example\n"), ("participant_csv".into(), 1, 0));
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers WHERE email = 'person5@acme.example'"), 1);
}

#[test]
fn a_changed_tenants_file_holds_without_a_restart() {
    let world = world();
    world.set_tenant("acme", "email_aliases", "[\"Adresse\"]");
    world.eventually("the tenants are read again", || world.log().contains("tenants reloaded").then_some(()));
    assert_eq!(purged(&world, "a.csv", "Adresse\nperson0@acme.example\n"), ("email_csv".into(), 1, 0));
}

#[test]
fn an_emptied_account_goes_unless_a_row_or_the_import_keeps_it() {
    let mut world = world();
    // A0 is emptied; A1 keeps one user; A2 is kept by a row; A3's wish to go is blank and inherits.
    let list = "accountId,id,preserveEmptyAccount\nA0,U0,\nA0,U1,false\nA1,U2,\nA2,U4,true\nA2,U5,false\n";
    world.put("acme", "a.csv", list);
    let report = world.report("acme", "a.csv");
    assert_eq!(report["accounts"], serde_json::json!({ "deleted": 1, "preserved": 1 }));
    assert_eq!(accounts(&world).len(), 5);

    world.set_tenant("acme", "preserve_empty_accounts", "true");
    world.stop();
    world.start();
    world.put(
        "acme",
        "b.jsonl",
        concat!(
            "{\"accountId\":\"A3\",\"id\":\"U6\",\"preserveEmptyAccount\":null}\n",
            "{\"accountId\":\"A3\",\"id\":\"U7\"}\n",
            "{\"accountId\":\"A4\",\"id\":\"U8\",\"preserveEmptyAccount\":false}\n",
            "{\"accountId\":\"A4\",\"id\":\"U9\",\"preserveEmptyAccount\":false}\n",
        ),
    );
    let report = world.report("acme", "b.jsonl");
    assert_eq!(report["accounts"], serde_json::json!({ "deleted": 1, "preserved": 1 }), "{report}");
    let left = accounts(&world).join(" ");
    for (account, stays) in [("A0", false), ("A1", true), ("A2", true), ("A3", true), ("A4", false), ("A5", true)] {
        assert_eq!(left.contains(&format!("\"{account}\"")), stays, "{account} in {left}");
    }
}

#[test]
fn who_must_not_be_tracked_is_refused_by_a_later_load() {
    let world = world();
    world.put("acme", "a.csv", "accountId,id,doNotTrack\nA0,U0,true\nA0,U1,false\nA1,U2,\nA9,nobody,TRUE\n");
    assert_eq!(world.report("acme", "a.csv")["suppressed"], 2);
    world.put("acme", "b.csv", "Customer Email,doNotTrack\nperson4@acme.example,true\nstranger@acme.example,true\n");
    assert_eq!(world.report("acme", "b.csv")["suppressed"], 3, "two addresses and the pair that one of them named");

    let back = "accountId,id,email\nA0,U0,\nA0,U1,\nA1,U2,\nA9,nobody,\nA2,U4,new@acme.example\nA7,new,Person4@ACME.example\nA7,newer,stranger@acme.example\n";
    let file = world.write("back.csv", back);
    let ran = world.run(&["load", "customers", file.to_str().expect("UTF-8"), "--tenant", "acme"]).exits(3);
    assert!(ran.stdout.contains("2 new") && ran.stdout.contains("5 bad rows"), "{ran}");
    assert_eq!(world.sql_lines("SELECT id FROM customers WHERE id IN ('U0','U1','U2','nobody','U4','new','newer') ORDER BY id").len(), 2);
    assert!(!ran.stderr.contains('@'), "{ran}");
}

#[test]
fn results_tell_of_every_row_by_line_with_the_senders_own_ids() {
    let mut world = world();
    world.set_tenant("acme", "request_id_column", "\"ticket\"");
    world.stop();
    world.start();
    let list =
        concat!("ticket,accountId,id\n", "T-1,A0,U0\n", "\n", "\"=cmd()\",A0,U1\n", "t@x.example,A0,U0\n", "T-4,A9,nobody\n", "T-5,,U3\n",);
    world.put("acme", "a.csv", list);
    let text = results(&world, "a.csv");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "line,outcome,accountId,id,requestId,reason,customers");
    assert_eq!(lines[1], "2,deleted,A0,U0,T-1,,1");
    assert_eq!(lines[2], "4,deleted,A0,U1,'=cmd(),,1");
    assert!(lines[3].starts_with("5,duplicate,A0,U0,hmac:") && lines[3].ends_with(",line 2,"), "{}", lines[3]);
    assert_eq!(lines[4], "6,not_found,A9,nobody,T-4,,");
    assert_eq!(lines[5], "7,invalid,,U3,T-5,missing,");
    assert_eq!(lines.len(), 6);
}

#[test]
fn an_address_that_several_share_takes_them_all_and_counts_one_row() {
    let world = world();
    let file =
        world.write("more.csv", "accountId,id,email\nB1,V1,Shared@acme.example\nB1,V2,shared@ACME.example\nB2,V3,shared@acme.example\n");
    world.run(&["load", "customers", file.to_str().expect("UTF-8"), "--tenant", "acme"]).exits(0);
    world.put("acme", "a.csv", "Customer Email\nSHARED@acme.example\nshared@acme.example\n");
    let report = world.report("acme", "a.csv");
    assert_eq!(
        (&report["rows"]["deleted"], &report["rows"]["duplicate"], &report["removed"]["customers"]),
        (&1.into(), &1.into(), &3.into())
    );
    assert!(results(&world, "a.csv").contains("2,deleted,,,,,3\n"));
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 12);
}

#[test]
fn a_list_takes_nobody_of_a_domain_that_case_folding_would_make_its_own() {
    let world = world();
    let file = world
        .write("more.csv", "accountId,id,email\nB1,V1,ann@straße.example\nB1,V2,ann@strasse.example\nB1,V3,ann@xn--strae-oqa.example\n");
    world.run(&["load", "customers", file.to_str().expect("UTF-8"), "--tenant", "acme"]).exits(0);
    assert_eq!(purged(&world, "a.csv", "Customer Email\nAnn@Straße.example\n"), ("email_csv".into(), 1, 0));
    assert_eq!(world.sql_lines("SELECT id FROM customers WHERE accountId = 'B1'"), ["[Text(\"V2\")]"]);
}
