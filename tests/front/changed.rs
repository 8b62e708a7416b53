//! What a sender does to files that were delivered and wait: told in `status/recent.log` and in the log.

use super::*;

/// A tenant whose lists wait for their checksums, and two lists.
fn world() -> (World, [String; 2]) {
    let mut world = World::new();
    world.tenant("acme");
    world.set_tenant("acme", "require_checksum", "true");
    world.start();
    let list = |name: &str, person: &str| world.write(name, format!("Customer Email\n{person}@x.example\n")).display().to_string();
    let lists = [list("first", "ann"), list("second", "bob")];
    (world, lists)
}

#[test]
fn a_waiting_file_that_is_renamed_replaced_or_removed_is_told_of_and_so_is_one_that_cannot_be() {
    let (world, [first, second]) = world();
    world.sftp("acme", &format!("put {first} june.csv\nput {second} x.part\nrename x.part june.csv\n")).exits(0);
    assert_eq!(std::fs::read_to_string(world.folder("acme", "inbox").join("june.csv")).expect("read"), "Customer Email\nbob@x.example\n");
    world.sftp("acme", "rename june.csv june.csv\nrename june.csv july.csv\nrm july.csv\n").exits(0);
    // Nobody is told of what was never delivered, nor of what is not there.
    world.sftp("acme", &format!("put {first} y.part\nrename y.part z.part\nrm z.part\n-rm nothing.csv\n")).exits(0);
    let sum = world.write("sum", "c077aa77434c21aa56ff152932e5ae87d0888d832564c2e55264293f7fa716b2  -\n");
    world.sftp("acme", &format!("put {} taken.csv.sha256\nput {first} taken.csv\n", sum.display())).exits(0);
    assert_eq!(world.report("acme", "taken.csv")["status"], "completed");
    world.sftp("acme", "rm taken.csv\n").exits(1);
    let told = recent(&world);
    let told: Vec<_> = told.lines().map(|line| line.split_once(' ').expect("a time before it").1).collect();
    assert_eq!(
        told,
        [
            "/inbox/june.csv replaced before it was taken, by /inbox/x.part",
            "/inbox/june.csv renamed before it was taken, to /inbox/july.csv",
            "/inbox/july.csv removed before it was taken",
            "/inbox/taken.csv removal refused: already taken",
        ]
    );
    let log = world.log();
    assert!(told.iter().take(3).all(|line| log.contains(line.split_once(' ').expect("a path").1)), "{log}");
}

/// rclone does so after a CLOSE that was refused, and tries again.
#[test]
fn a_client_that_cleans_up_after_a_refused_upload_does_not_remove_the_list_that_was_delivered_before() {
    let (world, [first, second]) = world();
    world.sftp("acme", &format!("put {first} june.csv\n-put {second} june.csv\nrm june.csv\n")).exits(1);
    assert_eq!(std::fs::read_to_string(world.folder("acme", "inbox").join("june.csv")).expect("read"), "Customer Email\nann@x.example\n");
    let told = recent(&world);
    assert!(told.contains("/inbox/june.csv removal refused: only an unfinished upload of this name was removed"), "{told}");
    world.sftp("acme", "rm june.csv\n").exits(0);
    assert!(world.files("acme", "inbox").is_empty());
}
