//! The main job: a list pushed with the system's `sftp`, the people on it gone, the file archived beside its report.

use crate::people;
use crate::world::World;

#[test]
fn a_pushed_list_erases_its_people_and_all_of_their_history() {
    let mut world = World::new();
    world.tenant("acme");
    people::load(&world, "acme", 10);
    world.start();

    let list = "Customer Email\nPerson1@ACME.example\nperson4@acme.example\nnobody@acme.example\nnot-an-address\nperson4@acme.example\n";
    let local = world.write("june.csv", list);
    world.sftp("acme", &format!("put {}\nls -l\n", local.display())).exits(0);
    let report = world.report("acme", "june.csv");

    assert_eq!(report["status"], "completed");
    assert_eq!(report["dialect"], "email_csv");
    assert_eq!(report["mode"], "purge");
    assert_eq!(
        report["rows"],
        serde_json::json!({ "read": 5, "deleted": 2, "not_found": 1, "duplicate": 1, "invalid": 1, "exempt": 0, "skipped": 0 })
    );
    assert_eq!(report["removed"]["customers"], 2);
    assert_eq!(report["removed"]["rewards"], 4);
    assert_eq!(report["removed"]["events"], 6);
    assert_eq!(report["removed"]["custom_fields"], 4);
    assert_eq!(report["removed"]["referrals"], 0);
    assert_eq!(report["detached"]["referrals"], 4);
    assert_eq!(report["errors"][0]["line"], 5);
    assert_eq!(report["errors"][0]["reason"], "email_malformed");
    assert!(!report.to_string().contains("@acme"), "no address in a report: {report}");

    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 8);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM events"), 24);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM referrals"), 9);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers WHERE email LIKE 'person1@%' OR email LIKE 'person4@%'"), 0);
    let archive = world.files("acme", "archive");
    let endings = ["-june.csv", "-june.csv.report.json", "-june.csv.report.json.sig", "-june.csv.results.csv"];
    assert_eq!(archive.len(), endings.len(), "{archive:?}");
    assert!(archive.iter().zip(endings).all(|(name, ending)| name.ends_with(ending)), "{archive:?}");
    assert!(world.files("acme", "inbox").is_empty() && world.files("acme", "processing").is_empty());
    assert!(!world.log().contains("@acme.example"), "no address in the log");
}

#[test]
fn an_openssh_client_puts_lists_stats_renames_polls_and_fetches_the_report() {
    let mut world = World::new();
    world.tenant("acme");
    people::load(&world, "acme", 4);
    world.start();

    let local = world.write("list.csv", people::email_csv("acme", [0, 1]));
    world
        .sftp("acme", &format!("pwd\nput {} july.csv.part\nls\nrename july.csv.part july.csv\nls -l july.csv\n", local.display()))
        .exits(0);
    world.report("acme", "july.csv");

    let polled = world.outside("polled.json");
    world.sftp("acme", &format!("get /status/july.csv.json {}\n", polled.display())).exits(0);
    let status: serde_json::Value = serde_json::from_slice(&std::fs::read(&polled).expect("fetched")).expect("JSON");
    assert_eq!(status["state"], "completed");
    let path = status["report"].as_str().expect("the report's full path");
    let fetched = world.outside("fetched.json");
    world.sftp("acme", &format!("get {path} {}\n", fetched.display())).exits(0);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&fetched).expect("fetched")).expect("JSON");
    assert_eq!(report["rows"]["deleted"], 2);
    assert_eq!(report["import"], status["import"]);
}

#[test]
fn what_is_put_into_check_is_rehearsed_and_nobody_is_deleted() {
    let mut world = World::new();
    world.tenant("acme");
    people::load(&world, "acme", 6);
    let before = people::rows(&world, "acme");
    world.start();
    world.put("acme", "/check/dry.csv", people::participant_csv([0, 1, 2]));
    let check = world.report("acme", "dry.csv");
    assert_eq!(check["mode"], "check");
    assert_eq!(check["status"], "completed");
    assert_eq!(check["rows"]["would_delete"], 3);
    let results = world.files("acme", "archive").into_iter().find(|name| name.ends_with("dry.csv.results.csv")).expect("results");
    let results = std::fs::read_to_string(world.folder("acme", "archive").join(results)).expect("text");
    assert_eq!(results.matches(",would_delete,").count(), 3, "{results}");
    assert!(!results.contains(",deleted,"), "{results}");
    people::same(&people::rows(&world, "acme"), &before, || "nobody was purged".to_owned());

    world.put("acme", "real.csv", people::participant_csv([0, 1, 2]));
    let purge = world.report("acme", "real.csv");
    for part in ["removed", "detached", "accounts"] {
        assert_eq!(check[part], purge[part], "the rehearsal told what the purge did: {part}");
    }
}

#[test]
fn no_tenant_can_see_name_fill_up_or_delete_what_is_anothers() {
    let mut world = World::new();
    world.set("tenant_defaults", "pending_files_max", "1");
    for tenant in ["acme", "acme-2"] {
        world.tenant(tenant);
        people::load(&world, tenant, 6);
    }
    let before = people::rows(&world, "acme");
    world.start();
    world.put("acme-2", "theirs.csv", people::email_csv("acme", 0..6));
    let report = world.report("acme-2", "theirs.csv");
    assert_eq!((&report["rows"]["read"], &report["rows"]["not_found"]), (&6.into(), &6.into()));

    world.put("acme", "june.csv.part", people::email_csv("acme", [0]));
    let local = world.write("x.csv", people::email_csv("acme", [0]));
    let there = ["/../acme/inbox/june.csv.part", "/acme/june.csv.part", "../../acme/inbox/june.csv.part", "june.csv.part"];
    let seen = there.map(|path| [format!("ls {path}"), format!("get {path} got"), format!("rm {path}"), format!("rename {path} x.part")]);
    let named = ["/../acme/inbox/x.csv", "/acme/x.csv", "../../acme/inbox/x.csv", "/archive/x.csv", "/x.csv"];
    let named = named.map(|path| format!("put {} {path}", local.display()));
    for request in seen.into_iter().flatten().chain(named) {
        world.sftp("acme-2", &format!("{request}\n")).exits(1);
    }
    assert_eq!((world.files("acme", "inbox"), world.files("acme", "staging")), (vec![], vec!["inbox/june.csv.part".to_owned()]));

    world.put("acme-2", "full.part", "x");
    world.sftp("acme-2", &format!("put {} more.part\n", local.display())).exits(1);
    people::same(&people::rows(&world, "acme"), &before, || "the other tenant is whole".to_owned());
    world.sftp("acme", "rename june.csv.part june.csv\n").exits(0);
    assert_eq!(world.report("acme", "june.csv")["rows"]["deleted"], 1, "one tenant's limit is not the other's");
}

#[test]
fn sigterm_drains_and_the_next_start_goes_on() {
    let mut world = World::new();
    world.tenant("acme");
    people::load(&world, "acme", 4000);
    world.start();
    world.put("acme", "all.csv", people::email_csv("acme", 0..4000));
    assert_eq!(world.stop().code(), Some(0), "{}", world.log());
    world.start();
    let report = world.report("acme", "all.csv");
    assert_eq!(report["rows"]["deleted"], 4000);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 0);
    assert_eq!(world.stop().code(), Some(0));
}
