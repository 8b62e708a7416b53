//! No address leaves by a side door.

use crate::people;
use crate::world::World;

/// Files of a tenant's folder whose bytes hold this.
fn holding(world: &World, tenant: &str, folder: &str, needle: &str) -> Vec<String> {
    let holds = |name: &String| {
        let bytes = std::fs::read(world.folder(tenant, folder).join(name)).expect("readable");
        String::from_utf8_lossy(&bytes).to_lowercase().contains(needle)
    };
    world.files(tenant, folder).into_iter().filter(holds).collect()
}

#[test]
fn no_address_leaves_by_a_side_door() {
    let mut world = World::new();
    world.set("pipeline", "settle_seconds", "0");
    world.set("log", "level", "\"debug\"");
    world.tenant("acme");
    world.set_tenant("acme", "request_id_column", "\"ticket\"");
    people::load(&world, "acme", 20);
    world.start();
    let inputs = [
        ("a.csv", "Customer Email,ticket\nperson1@acme.example,person1@acme.example\nperson2@@acme.example,person2%40acme.example\n"),
        (
            "b.csv",
            "accountId,id,doNotTrack\nA9,person3@acme.example,true\nperson4@acme.example,x,\n\"A\"person5@acme.example,U5,\nA2,U4,person5@acme.example\n",
        ),
        ("c.csv", "person6@acme.example\nperson7@acme.example\n"),
        (
            "d.jsonl",
            "{\"email\":\"person8@acme.example\",\"person8@acme.example\":1}\n{\"person9@acme.example\n{\"email\":[\"person9@acme.example\"]}\n",
        ),
        ("e.jsonl", "{\"person9@acme.example\":true}\n"),
        ("f.csv", "Customer Email,person10@acme.example,person10@acme.example\nperson10@acme.example,,\n"),
        ("g.csv", "Customer Email\nperson11@acme.example\nperson12@acme.exam"),
        ("h.csv", "Customer Email,\"person13@acme.example\nperson13@acme.example\n"),
        ("i.csv", "Customer Emails,person14@acme.example\nperson14@acme.example,\n"),
    ];
    for (name, content) in inputs {
        world.put("acme", name, content);
        world.report("acme", name);
        world.put("acme", &format!("/check/{name}"), content);
    }
    world.eventually("all end", || (world.sql::<i64>("SELECT count(*) FROM expunged_imports WHERE NOT archived") == 0).then_some(()));
    let local = world.write("x", "Customer Email\n");
    world
        .sftp("acme", &format!("-put {} ann@acme.example.csv\n-rm person1@acme.example\n-ls person1@acme.example\n", local.display()))
        .exits(0);
    for at in ["%40", "\u{ff20}", "\u{fe6b}"] {
        let name = format!("ann{at}acme.example.csv");
        world.sftp("acme", &format!("-put {} {name}\n-mkdir {name}\n-rename a.csv {name}\n", local.display())).exits(0);
        std::fs::write(world.folder("acme", "inbox").join(&name), "Customer Email\n").expect("writable");
    }
    world.eventually("the files moved in are told of", || (world.log().matches("file not taken").count() >= 3).then_some(()));
    let by_hand = world.run_with_input(&["purge", "--tenant", "acme", "--email", "--yes", "1"], "person15@acme.example\n").exits(0);
    world.run_with_input(&["purge", "--tenant", "acme", "--email", "--yes", "1"], "person15@@acme.example\n").exits(6);
    world.sender("acme").typing("ann%40acme.example").puts(world.address(), &local, "x.csv");
    world.eventually("the login is told of", || world.log().contains("login refused").then_some(()));
    world.stop();

    let needle = "@acme.example";
    assert!(!world.log().contains(needle) && !by_hand.stdout.contains(needle) && !by_hand.stderr.contains(needle), "{}", world.log());
    for at in ["%40", "\u{ff20}", "\u{fe6b}", "\\u{ff20}", "\\u{fe6b}"] {
        assert!(!world.log().contains(at), "{}", world.log());
        assert_eq!(holding(&world, "acme", "status", &format!("ann{at}")), Vec::<String>::new());
    }
    assert_eq!(holding(&world, "acme", "status", needle), Vec::<String>::new());
    for folder in ["archive", "rejected"] {
        let told: Vec<String> = holding(&world, "acme", folder, needle)
            .into_iter()
            .filter(|name| name.ends_with(".report.json") || name.ends_with(".results.csv"))
            .collect();
        assert_eq!(told, Vec::<String>::new());
    }
    for table in world.sql_lines("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'expunged\\_%' ESCAPE '\\'") {
        let table = table.trim_start_matches("[Text(\"").trim_end_matches("\")]");
        let rows = world.sql_lines(&format!("SELECT * FROM {table}")).join("\n").to_lowercase();
        assert!(!rows.contains("acme.example") && !rows.contains("%40"), "{table}: {rows}");
    }
    let ledger = world.sql_lines("SELECT report FROM expunged_imports").len();
    assert!(ledger >= 18, "{ledger}");
}

#[test]
fn a_purged_persons_address_is_gone_from_the_stores_files() {
    let mut world = World::new();
    world.tenant("acme");
    people::load(&world, "acme", 300);
    world.start();
    world.put("acme", "most.csv", people::email_csv("acme", 10..300));
    world.report("acme", "most.csv");
    world.stop();
    let data = world.home().join("data");
    for name in ["store.db", "store.db-wal", "store.db-journal"] {
        let text = String::from_utf8_lossy(&std::fs::read(data.join(name)).unwrap_or_default()).to_lowercase();
        for n in 10..300 {
            assert!(!text.contains(&people::email("acme", n)), "person {n} in {name}");
        }
        assert!(name != "store.db" || text.contains(&people::email("acme", 5)), "those who stay are found by this search");
    }
}
