//! Command lines for the clients that senders use. `tests/front/instructions.rs` runs those whose client is installed.

use super::Guide;

/// Where the private key is expected.
const KEY: &str = "~/.ssh/id_ed25519";

/// A section with each client.
pub(super) fn all(guide: &Guide) -> String {
    let clients = [sftp(guide), lftp(guide), curl(guide), rclone(guide), winscp(guide), python(guide)];
    let key = format!("## Commands\n\nThe private key is expected in `{KEY}`.\n\n");
    key + &clients.map(|(name, code)| format!("### {name}\n\n```\n{code}\n```\n")).join("\n")
}

fn sftp(guide: &Guide) -> (&'static str, String) {
    let (host, port, login) = (guide.host(), guide.port, &guide.tenant);
    let options = format!("-b - -i {KEY} -o UserKnownHostsFile=expunged.known_hosts -P {port} {login}@{host}");
    let put = "printf 'put june.csv june.csv.part\\nrename june.csv.part june.csv\\n'";
    ("sftp", format!("{put} | sftp {options}\nprintf 'get /status/june.csv.json\\n' | sftp {options}"))
}

fn lftp(guide: &Guide) -> (&'static str, String) {
    let (host, port, login) = (guide.host(), guide.port, &guide.tenant);
    let ssh = format!("set sftp:connect-program \"ssh -a -x -i {KEY} -o UserKnownHostsFile=expunged.known_hosts\"");
    let put = "set cmd:fail-exit yes; put june.csv -o june.csv.part; mv june.csv.part june.csv";
    ("lftp", format!("lftp -u {login}, -e '{ssh}; {put}; bye' sftp://{host}:{port}"))
}

fn curl(guide: &Guide) -> (&'static str, String) {
    let (host, port, login) = (guide.host(), guide.port, &guide.tenant);
    let known = guide.host_keys.first().map_or("", |key| key.sha256.trim_start_matches("SHA256:"));
    let options = format!("-sS --key {KEY} --pubkey {KEY}.pub --hostpubsha256 {known} -u {login}:");
    let rename = "-Q '-rename /inbox/june.csv.part /inbox/june.csv'";
    (
        "curl",
        format!(
            "curl {options} -T june.csv {rename} sftp://{host}:{port}/inbox/june.csv.part\n\
             curl {options} sftp://{host}:{port}/status/june.csv.json"
        ),
    )
}

fn rclone(guide: &Guide) -> (&'static str, String) {
    let (host, port, login) = (guide.host(), guide.port, &guide.tenant);
    let server = format!("host={host},port={port},user={login},key_file={KEY},known_hosts_file=expunged.known_hosts,shell_type=none");
    ("rclone", format!("rclone copyto june.csv :sftp,{server}:/inbox/june.csv"))
}

fn winscp(guide: &Guide) -> (&'static str, String) {
    let (host, port, login) = (guide.host(), guide.port, &guide.tenant);
    let known = guide.host_keys.first().map_or(String::new(), |key| {
        let algorithm = key.line.split(' ').next().unwrap_or_default();
        // WinSCP counts ed25519 as PuTTY does.
        let bits = if algorithm == "ssh-ed25519" { 255 } else { key.bits };
        format!("{algorithm} {bits} {}", key.sha256.trim_start_matches("SHA256:"))
    });
    let open = format!("open sftp://{login}@{host}:{port}/ -privatekey=id_ed25519.ppk -hostkey=\"\"{known}\"\"");
    ("WinSCP", format!("winscp.com /command \"{open}\" \"put june.csv /inbox/\" \"get /status/june.csv.json\" \"exit\""))
}

fn python(guide: &Guide) -> (&'static str, String) {
    let (host, port, login) = (guide.host(), guide.port, &guide.tenant);
    (
        "Python (paramiko)",
        format!(
            "import json, os, time, paramiko\n\n\
             client = paramiko.SSHClient()\n\
             client.load_host_keys(\"expunged.known_hosts\")\n\
             client.connect(\"{host}\", {port}, \"{login}\", key_filename=os.path.expanduser(\"{KEY}\"))\n\
             sftp = client.open_sftp()\n\
             sftp.put(\"june.csv\", \"/inbox/june.csv.part\")\n\
             sftp.rename(\"/inbox/june.csv.part\", \"/inbox/june.csv\")\n\
             while True:\n    \
                 time.sleep(2)\n    \
                 status = json.load(sftp.open(\"/status/june.csv.json\"))\n    \
                 if status[\"state\"] in (\"completed\", \"rejected\", \"stopped\", \"held\", \"failed\"):\n        \
                     break\n\
             print(status[\"state\"], status[\"report\"])"
        ),
    )
}
