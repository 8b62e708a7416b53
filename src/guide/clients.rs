//! Command lines for the clients that senders use. `tests/front/instructions.rs` runs those whose client is installed.
//!
//! They log in by the key; by the password, from the environment, where the sender has no key.

use super::Guide;

/// Where the private key is expected.
const KEY: &str = "~/.ssh/id_ed25519";

/// A section with each client.
pub(super) fn all(guide: &Guide) -> String {
    let clients = [sftp(guide), lftp(guide), curl(guide), rclone(guide), winscp(guide), python(guide)];
    let expected = if by_password(guide) {
        "The password is expected in the environment as `SFTP_PASSWORD`.".to_owned()
    } else {
        format!("The private key is expected in `{KEY}`.")
    };
    let sections = clients.map(|(name, code)| format!("### {name}\n\n```\n{code}\n```\n")).join("\n");
    format!("## Commands\n\n{expected}\n\n{sections}")
}

fn by_password(guide: &Guide) -> bool {
    guide.password && !guide.keys
}

/// The host as it stands before a port: an address of IPv6 in brackets.
fn address(guide: &Guide) -> String {
    let host = guide.host();
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A word that a shell takes as it is: to some of them brackets are a pattern.
fn word(text: String) -> String {
    if text.contains('[') { format!("'{text}'") } else { text }
}

fn sftp(guide: &Guide) -> (&'static str, String) {
    let (port, to) = (guide.port, word(format!("{}@{}", guide.tenant, address(guide))));
    let (first, before, proof) = if by_password(guide) {
        // A batch asks nobody, unless it is told so first.
        (ASKPASS, "SSH_ASKPASS=./askpass SSH_ASKPASS_REQUIRE=force ", "-o BatchMode=no".to_owned())
    } else {
        ("", "", format!("-i {KEY}"))
    };
    let sftp = format!("{before}sftp {proof} -b - -o UserKnownHostsFile=expunged.known_hosts -P {port} {to}");
    let (sum, put_sum) = if guide.require_checksum { (SUM, "put june.csv.sha256\\n") } else { ("", "") };
    let put = format!("{sum}printf '{put_sum}put june.csv june.csv.part\\nrename june.csv.part june.csv\\n'");
    ("sftp", format!("{first}{put} | {sftp}\nprintf 'get /status/june.csv.json\\n' | {sftp}"))
}

fn lftp(guide: &Guide) -> (&'static str, String) {
    let (login, url) = (&guide.tenant, word(format!("sftp://{}:{}", address(guide), guide.port)));
    let (before, user, key) = if by_password(guide) {
        ("LFTP_PASSWORD=\"$SFTP_PASSWORD\" ", format!("--env-password -u {login}"), String::new())
    } else {
        ("", format!("-u {login},"), format!(" -i {KEY}"))
    };
    let ssh = format!("set sftp:connect-program \"ssh -a -x{key} -o UserKnownHostsFile=expunged.known_hosts\"");
    let (sum, put_sum) = if guide.require_checksum { (SUM, "put june.csv.sha256; ") } else { ("", "") };
    let put = format!("set cmd:fail-exit yes; {put_sum}put june.csv -o june.csv.part; mv june.csv.part june.csv");
    ("lftp", format!("{sum}{before}lftp {user} -e '{ssh}; {put}; bye' {url}"))
}

fn curl(guide: &Guide) -> (&'static str, String) {
    let login = &guide.tenant;
    let url = |path: &str| word(format!("sftp://{}:{}{path}", address(guide), guide.port));
    let known = guide.host_keys.first().map_or("", |key| key.sha256.trim_start_matches("SHA256:"));
    let proof = if by_password(guide) {
        // Standard input, since arguments are seen by others on the machine.
        "-K -".to_owned()
    } else {
        format!("--key {KEY} --pubkey {KEY}.pub -u {login}:")
    };
    let before = if by_password(guide) { format!("printf 'user = \"{login}:%s\"' \"$SFTP_PASSWORD\" | ") } else { String::new() };
    let options = format!("-sS {proof} --hostpubsha256 {known}");
    let sum = if guide.require_checksum {
        format!("{SUM}{before}curl {options} -T june.csv.sha256 {} && ", url("/inbox/june.csv.sha256"))
    } else {
        String::new()
    };
    let rename = "-Q '-rename /inbox/june.csv.part /inbox/june.csv'";
    (
        "curl",
        format!(
            "{sum}{before}curl {options} -T june.csv {rename} {}\n{before}curl {options} {}",
            url("/inbox/june.csv.part"),
            url("/status/june.csv.json")
        ),
    )
}

fn rclone(guide: &Guide) -> (&'static str, String) {
    let (host, port, login) = (address(guide), guide.port, &guide.tenant);
    // A colon ends rclone's options unless it is quoted.
    let host = word(if host.contains(':') { format!("\"{host}\"") } else { host });
    let (before, proof) = if by_password(guide) {
        ("RCLONE_SFTP_PASS=\"$(printenv SFTP_PASSWORD | rclone obscure -)\" ", String::new())
    } else {
        ("", format!(",key_file={KEY}"))
    };
    let server = format!("host={host},port={port},user={login}{proof},known_hosts_file=expunged.known_hosts,shell_type=none");
    let copy = |file: &str| format!("{before}rclone copyto {file} :sftp,{server}:/inbox/{file}");
    let sum = if guide.require_checksum { format!("{SUM}{} && ", copy("june.csv.sha256")) } else { String::new() };
    ("rclone", sum + &copy("june.csv"))
}

fn winscp(guide: &Guide) -> (&'static str, String) {
    let (host, port, login) = (address(guide), guide.port, &guide.tenant);
    let known = guide.host_keys.first().map_or(String::new(), |key| {
        let algorithm = key.line.split(' ').next().unwrap_or_default();
        // WinSCP counts ed25519 as PuTTY does.
        let bits = if algorithm == "ssh-ed25519" { 255 } else { key.bits };
        format!("{algorithm} {bits} {}", key.sha256.trim_start_matches("SHA256:"))
    });
    let proof = if by_password(guide) { "-password=\"\"%SFTP_PASSWORD%\"\"" } else { "-privatekey=id_ed25519.ppk" };
    let open = format!("open sftp://{login}@{host}:{port}/ {proof} -hostkey=\"\"{known}\"\"");
    let (sum, put_sum) = if guide.require_checksum {
        ("powershell -Command \"(Get-FileHash june.csv).Hash > june.csv.sha256\"\n", "\"put june.csv.sha256 /inbox/\" ")
    } else {
        ("", "")
    };
    ("WinSCP", format!("{sum}winscp.com /command \"{open}\" {put_sum}\"put june.csv /inbox/\" \"get /status/june.csv.json\" \"exit\""))
}

fn python(guide: &Guide) -> (&'static str, String) {
    let (host, port, login) = (guide.host(), guide.port, &guide.tenant);
    let proof = if by_password(guide) {
        "password=os.environ[\"SFTP_PASSWORD\"]".to_owned()
    } else {
        format!("key_filename=os.path.expanduser(\"{KEY}\")")
    };
    // It asks for the login anew before each further key, and russh does not answer that (tests/interop.md).
    let alone = "look_for_keys=False, allow_agent=False";
    let (modules, sum) = if guide.require_checksum {
        (
            "hashlib, io, json",
            "digest = hashlib.sha256(open(\"june.csv\", \"rb\").read()).hexdigest()\n\
             sftp.putfo(io.BytesIO(digest.encode()), \"/inbox/june.csv.sha256\")\n",
        )
    } else {
        ("json", "")
    };
    (
        "Python (paramiko)",
        format!(
            "import {modules}, os, time, paramiko\n\n\
             client = paramiko.SSHClient()\n\
             client.load_host_keys(\"expunged.known_hosts\")\n\
             client.connect(\"{host}\", {port}, \"{login}\", {proof}, {alone})\n\
             sftp = client.open_sftp()\n{sum}\
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

/// Makes the file that vouches for the list.
const SUM: &str = "sha256sum june.csv > june.csv.sha256 && ";

/// Makes a program that gives ssh the password.
const ASKPASS: &str = "printf '#!/bin/sh\\nprintenv SFTP_PASSWORD\\n' > askpass; chmod 700 askpass; ";
