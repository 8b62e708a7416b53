//! Compressed lists: as good as plain ones, and refused whole when cut or damaged.

use std::process::{Command, Stdio};

use crate::people;
use crate::world::World;

fn packed(world: &World, name: &str, text: &str) -> Vec<u8> {
    let path = world.write(name, text);
    let output = Command::new("gzip").arg("-c").arg(path).stderr(Stdio::inherit()).output().expect("gzip");
    assert!(output.status.success());
    output.stdout
}

#[test]
fn a_compressed_list_is_checked_and_purged_as_the_list_itself() {
    let mut world = World::new();
    world.tenant("acme");
    people::load(&world, "acme", 6);
    world.start();
    // The last row has no line end: the trailer vouches for it.
    let gz = packed(&world, "list.csv", "Customer Email\nbad\nperson1@acme.example\nperson2@acme.example");
    world.put("acme", "/check/dry.csv.gz", &gz);
    assert_eq!(world.report("acme", "dry.csv.gz")["rows"]["would_delete"], 2);

    for damage in [gz[..gz.len() - 3].to_vec(), [&gz[..gz.len() - 6], &[0; 6]].concat()] {
        world.put("acme", "cut.csv.gz", &damage);
        let report = world.report("acme", "cut.csv.gz");
        assert_eq!(report["status"], "rejected", "{report}");
        assert!(report["reason"].as_str().is_some_and(|reason| reason.starts_with("gzip_")), "{report}");
        // The file, its report and the signature of that.
        world.eventually("it is rejected", || world.files("acme", "rejected").len().is_multiple_of(3).then_some(()));
    }
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 6);

    world.put("acme", "june.csv.gz", &gz);
    let report = world.report("acme", "june.csv.gz");
    assert_eq!((&report["rows"]["deleted"], &report["rows"]["invalid"]), (&2.into(), &1.into()));
    let results = world.files("acme", "archive").into_iter().find(|name| name.ends_with("june.csv.gz.results.csv")).expect("results");
    let results = std::fs::read_to_string(world.folder("acme", "archive").join(results)).expect("text");
    assert!(results.contains("\n3,deleted,") && results.contains("\n2,invalid,"), "{results}");

    let path = world.write("more.jsonl.gz", packed(&world, "more.jsonl", "{\"accountId\":\"A2\",\"id\":\"U4\"}\n"));
    let path = path.to_str().expect("UTF-8");
    world.run(&["check", path, "--tenant", "acme"]).exits(0).says("1 would delete");
    world.run(&["purge", path, "--tenant", "acme", "--yes", "1"]).exits(0);
    assert_eq!(world.sql::<i64>("SELECT count(*) FROM customers"), 3);
}

#[test]
fn of_several_members_the_last_rows_end_is_not_taken_on_trust() {
    let mut world = World::new();
    world.tenant("acme");
    people::load(&world, "acme", 6);
    world.start();
    let head = packed(&world, "head.csv", "Customer Email\nperson1@acme.example\n");
    let tail = packed(&world, "tail.csv", "person2@acme.example\nperson3@acme.ex");
    // Cut at the end of a member, in the middle of a row.
    world.put("acme", "june.csv.gz", [head, tail].concat());
    let report = world.report("acme", "june.csv.gz");
    assert_eq!((&report["rows"]["deleted"], &report["errors"][0]["reason"]), (&2.into(), &"unterminated_last_row".into()), "{report}");
}

#[test]
fn a_list_that_unpacks_beyond_its_bound_is_refused() {
    let mut world = World::new();
    world.set("limits", "unpacked_bytes_max", "1000");
    world.tenant("acme");
    world.start();
    world.put("acme", "bomb.csv.gz", packed(&world, "bomb.csv", &format!("Customer Email\n{}", "a@x.example\n".repeat(1000))));
    assert_eq!(world.report("acme", "bomb.csv.gz")["reason"], "unpacked_too_large");
}
