//! The signatures beside reports and scrub receipts: `ssh-keygen`, which auditors have, accepts them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::World;

/// Asserts, as an auditor finds it out, that each report has its signature, and that no signature stands beside another text than
/// its own. A scrub receipt that is just being written over, as a kill may leave it, has none.
pub(crate) fn every_signature_holds(world: &World) {
    let public = std::fs::read_to_string(world.home().join("data/keys/ssh_host_ed25519_key.pub")).expect("the host key");
    let signers = world.write("host-signers", format!("expunged namespaces=\"expunged-report\" {public}"));
    let tenants = std::fs::read_dir(world.home().join("data/tenants")).expect("the tenants' folders");
    for tenant in tenants.map(|tenant| tenant.expect("readable").file_name().into_string().expect("UTF-8")) {
        for folder in ["archive", "rejected", "held"] {
            for name in world.files(&tenant, folder) {
                let file = world.folder(&tenant, folder).join(&name);
                if name.ends_with(".report.json") || (name.ends_with(".scrub.json") && signature_of(&file).exists()) {
                    assert!(accepts(&signers, &file), "{tenant}/{folder}/{name}\n{}", world.picture());
                }
            }
        }
    }
}

/// What `ssh-keygen` says of a file and the signature beside it.
fn accepts(signers: &Path, file: &Path) -> bool {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-Y", "verify", "-I", "expunged", "-n", "expunged-report", "-f"]).arg(signers).arg("-s").arg(signature_of(file));
    command.stdin(File::open(file).expect("readable")).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("ssh-keygen runs").success()
}

fn signature_of(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.sig", file.display()))
}
