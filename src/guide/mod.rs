//! What a sender is told: the instructions of one tenant, and sample files.
//!
//! One template gives `/README.txt`, and `tenant instructions` as text or Markdown. Values in, text out: this module does not
//! know where they come from.

mod clients;
mod sample;

use crate::domain::{FILE_NAME_BYTES_MAX, TenantName, VOUCHED_NAME_BYTES_MAX};

pub use sample::Sample;

/// A key by which the server is known.
#[derive(Clone, Debug)]
pub struct HostKey {
    /// Algorithm and key, as in a `known_hosts` file after the name.
    pub line: String,
    /// Its strength as clients show it.
    pub bits: usize,
    /// `SHA256:…`
    pub sha256: String,
    /// `aa:bb:…`
    pub md5: String,
}

/// All that the instructions of a tenant say.
#[derive(Clone, Debug)]
pub struct Guide {
    /// The login.
    pub tenant: TenantName,
    /// Name or address of the server; `None`: to be told by the operator.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// Whether the sender has a key that logs in.
    pub keys: bool,
    /// Whether the sender has a password that does.
    pub password: bool,
    /// How it is known.
    pub host_keys: Vec<HostKey>,
    /// Who signs reports, as lines of a file of allowed signers; the first does now, the others did or will.
    pub allowed_signers: Vec<String>,
    /// Whom to ask; empty: nobody is named.
    pub contact: String,
    /// Further headers that hold an address.
    pub email_aliases: Vec<String>,
    /// The column that is echoed.
    pub request_id_column: Option<String>,
    /// Whether each file needs its checksum.
    pub require_checksum: bool,
    /// Whether a row at the seam of a resumed upload counts.
    pub trust_resumes: bool,
    /// Whether a last row without a line end counts.
    pub accept_unterminated: bool,
    /// What holds where `preserveEmptyAccount` is blank.
    pub preserve_empty_accounts: bool,
    /// What holds where `doNotTrack` is blank.
    pub do_not_track: bool,
    /// Size of one file.
    pub upload_bytes_max: u64,
    /// Files that may wait.
    pub pending_files_max: u64,
    /// Bytes that may wait.
    pub pending_bytes_max: u64,
    /// Bytes of one day.
    pub bytes_per_day_max: u64,
    /// Rows of one file.
    pub rows_per_file_max: u64,
    /// Rows above which a file should be split.
    pub rows_recommended: u64,
}

/// How the text is marked up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Markup {
    /// Headings with `#`, code in fences.
    Markdown,
    /// Headings underlined, code indented.
    Text,
}

impl Guide {
    /// The instructions.
    #[must_use]
    pub fn render(&self, markup: Markup) -> String {
        let markdown = [self.connection(), self.files(), self.answers(), self.signatures(), clients::all(self), self.help()].join("\n");
        match markup {
            Markup::Markdown => markdown,
            Markup::Text => plain(&markdown),
        }
    }

    fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("HOST")
    }

    /// The name of the server in a `known_hosts` file.
    fn known_as(&self) -> String {
        if self.port == 22 { self.host().to_owned() } else { format!("[{}]:{}", self.host(), self.port) }
    }

    fn connection(&self) -> String {
        let (tenant, host, port) = (&self.tenant, self.host(), self.port);
        let mut text = format!(
            "# Erasing customers by SFTP: {tenant}\n\n\
             Put a list of people into `/inbox`. As soon as it is there whole, they and all of their history are erased; this cannot be undone.\n\
             Put the same list into `/check` first, and nothing is erased, but the report says what would be.\n\n\
             ## Connection\n\n\
             - host: {host}\n- port: {port}\n- login: {tenant}\n- {}\n",
            self.proof()
        );
        for key in &self.host_keys {
            let algorithm = key.line.split(' ').next().unwrap_or_default();
            text +=
                &format!("- host key: {algorithm} {} {}\n- the same, as older clients show it: MD5:{}\n", key.bits, key.sha256, key.md5);
        }
        text += "\nFor clients that read a file of known hosts, save this as `expunged.known_hosts`:\n\n```\n";
        for key in &self.host_keys {
            text += &format!("{} {}\n", self.known_as(), key.line);
        }
        text + "```\n"
    }

    /// What opens the login.
    fn proof(&self) -> &'static str {
        match (self.keys, self.password) {
            (_, false) => "with the private key of which you sent us the public half; there is no password",
            (true, true) => "with the private key of which you sent us the public half, or with the password that you were given",
            (false, true) => "with the password that you were given",
        }
    }

    fn files(&self) -> String {
        let mut text = "## Files\n\n\
             | folder | you may | it holds |\n|---|---|---|\n\
             | `/inbox` | write, list, rename, remove | each complete file in it is carried out |\n\
             | `/check` | the same | a rehearsal: nothing is deleted |\n\
             | `/status` | read | `NAME.json` for each file, and `recent.log` |\n\
             | `/archive` | read | files that were carried out, beside their reports |\n\
             | `/rejected` | read | files that were refused, beside the reason |\n\n\
             A list is a `.csv`, `.txt`, `.jsonl` or `.ndjson` file, or one of these with `.gz`. By address:\n\n"
            .to_owned();
        let samples = [
            (Sample::EmailCsv, "By account and user:"),
            (Sample::ParticipantCsv, "The same, an object a line:"),
            (Sample::ParticipantJsonl, ""),
        ];
        for (sample, next) in samples {
            text += &format!("```\n{}```\n{}", sample.content(), if next.is_empty() { String::new() } else { format!("\n{next}\n\n") });
        }
        let aliases = self.email_aliases.iter().map(|alias| format!("`{alias}`")).collect::<Vec<_>>().join(", ");
        let also = if aliases.is_empty() { String::new() } else { format!(", {aliases}") };
        text += &format!(
            "\n- Headers are spelt exactly so. The address may also stand under `CustomerEmail`, `email`{also}. Other columns are ignored.\n\
             - `preserveEmptyAccount` keeps an account when its last user goes; where it is blank: {}.\n\
             - `doNotTrack` keeps the person from ever being registered again; where it is blank: {}.\n",
            self.preserve_empty_accounts, self.do_not_track
        );
        if let Some(column) = &self.request_id_column {
            text += &format!("- What stands in the column `{column}` is echoed in the results.\n");
        }
        if !self.accept_unterminated {
            text += "- The last row of a CSV file ends with a line end; one without is taken for cut, and not carried out.\n";
        }
        if !self.trust_resumes {
            text += "- A row at the seam of a resumed upload is not carried out, unless a checksum vouches for the file.\n";
        }
        let name_bytes_max = if self.require_checksum { VOUCHED_NAME_BYTES_MAX } else { FILE_NAME_BYTES_MAX };
        text += &format!("- A name has at most {name_bytes_max} bytes, no `@` and no `\\`. It may be used again every time.\n");
        text += "- Upload under a name that ends in `.part`, then rename: so a cut upload never counts. Clients that do so by themselves use\n  `.filepart`, `.partial` or `.tmp`; these wait until they are renamed as well.\n\
                 - There are no folders below `/inbox`, and no links.\n";
        text += if self.require_checksum {
            "- Each file needs its checksum: send `NAME.sha256`, the output of `sha256sum NAME`, first, then `NAME`.\n"
        } else {
            "- A checksum vouches for a file: send `NAME.sha256`, the output of `sha256sum NAME`, first, then `NAME`.\n"
        };
        text + &format!(
            "- Limits: {} rows a file, better no more than {}; {} bytes a file; {} files and {} bytes waiting; {} bytes a day (UTC).\n",
            self.rows_per_file_max,
            self.rows_recommended,
            self.upload_bytes_max,
            self.pending_files_max,
            self.pending_bytes_max,
            self.bytes_per_day_max
        )
    }

    fn answers(&self) -> String {
        "## What happened to a file\n\n\
         Poll `/status/NAME.json`, some seconds apart, until `state` is `completed`, `rejected` or `stopped`. `held` means that an operator looks at it\n\
         first, because it names unusually many people. `mode` is `check` for a rehearsal, else `purge`. `report` is then the full path of the report, which counts rows by outcome and lists the\n\
         bad ones by line; beside it, `NAME.results.csv` has every row.\n\n\
         Many clients show no more than \"Failure\" when something is refused. The reason stands in `/status/recent.log`.\n"
            .to_owned()
    }

    fn signatures(&self) -> String {
        format!(
            "## Signatures\n\n\
             Beside a report stands its signature, `NAME.report.json.sig`: with it you can show later that the report is ours, word for word.\n\
             After a purge `NAME.scrub.json` follows, with its own signature: what was looked for in the store afterwards, and whether anything\n\
             was left. It names the digest of its report. Fetch what you want to keep: all of it is removed here in time.\n\n\
             To check a file with OpenSSH 8.1 or later, save this as `expunged.allowed_signers`:\n\n\
             ```\n{}\n```\n\nThen:\n\n\
             ```\nssh-keygen -Y verify -f expunged.allowed_signers -I expunged -n expunged-report -s NAME.report.json.sig < NAME.report.json\n```\n\n\
             A scrub that was not clean is repeated, and its `NAME.scrub.json` replaced with its signature. Who fetches the two at that moment\n\
             misses the signature or has that of the other: fetch both again.\n",
            self.allowed_signers.join("\n")
        )
    }

    fn help(&self) -> String {
        if self.contact.is_empty() { String::new() } else { format!("## Help\n\n{}\n", self.contact) }
    }
}

/// Markdown as it is read without a renderer.
fn plain(markdown: &str) -> String {
    let (mut text, mut code) = (String::new(), false);
    for line in markdown.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if code {
            text += &format!("    {line}\n");
        } else if let Some(title) = line.strip_prefix("# ").or_else(|| line.strip_prefix("## ")) {
            let rule = if line.starts_with("## ") { "-" } else { "=" };
            text += &format!("{title}\n{}\n", rule.repeat(title.chars().count()));
        } else if let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) {
            let cells: Vec<String> = cells.split(" | ").map(|cell| cell.replace('`', "")).collect();
            text += format!("    {:<11} {:<30} {}\n", cells[0], cells.get(1).map_or("", |c| c), cells.get(2).map_or("", |c| c)).as_str();
        } else if !line.starts_with("|--") {
            text += &format!(
                "{}\n",
                line.trim_start_matches('#').trim_start_matches(if line.starts_with('#') { " " } else { "" }).replace('`', "")
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guide() -> Guide {
        Guide {
            tenant: TenantName::parse("acme").unwrap(),
            host: Some("sftp.example.com".into()),
            port: 2022,
            keys: true,
            password: false,
            host_keys: vec![HostKey { line: "ssh-ed25519 AAAA".into(), bits: 256, sha256: "SHA256:abc".into(), md5: "aa:bb".into() }],
            allowed_signers: vec!["expunged ssh-ed25519 AAAA".into(), "expunged ssh-rsa BBBB".into()],
            contact: "privacy team, +1 555 0100".into(),
            email_aliases: vec!["E-mail".into()],
            request_id_column: Some("ticket".into()),
            require_checksum: true,
            trust_resumes: false,
            accept_unterminated: false,
            preserve_empty_accounts: false,
            do_not_track: true,
            upload_bytes_max: 1,
            pending_files_max: 2,
            pending_bytes_max: 3,
            bytes_per_day_max: 4,
            rows_per_file_max: 5,
            rows_recommended: 6,
        }
    }

    #[test]
    fn the_instructions_say_what_holds_for_the_tenant() {
        let text = guide().render(Markup::Markdown);
        for part in [
            "- host: sftp.example.com\n- port: 2022\n- login: acme\n",
            "SHA256:abc",
            "MD5:aa:bb",
            "[sftp.example.com]:2022 ssh-ed25519 AAAA\n",
            "`CustomerEmail`, `email`, `E-mail`",
            "where it is blank: true",
            "column `ticket`",
            "Each file needs its checksum",
            "`expunged.allowed_signers`:\n\n```\nexpunged ssh-ed25519 AAAA\nexpunged ssh-rsa BBBB\n```\n",
            "privacy team",
            "### lftp",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn an_address_of_ipv6_stands_as_each_client_takes_it() {
        let text = Guide { host: Some("2001:db8::7".into()), ..guide() }.render(Markup::Markdown);
        for part in [
            "- host: 2001:db8::7\n",
            "\n[2001:db8::7]:2022 ssh-ed25519 AAAA\n",
            "-P 2022 'acme@[2001:db8::7]'\n",
            "bye' 'sftp://[2001:db8::7]:2022'\n",
            " 'sftp://[2001:db8::7]:2022/status/june.csv.json'\n",
            ":sftp,host='\"[2001:db8::7]\"',port=2022,",
            "open sftp://acme@[2001:db8::7]:2022/ ",
            "client.connect(\"2001:db8::7\", 2022, ",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn plain_text_has_no_markup() {
        let text = guide().render(Markup::Text);
        assert!(!text.contains('`') && !text.contains("##") && !text.contains("|---"), "{text}");
        assert!(text.contains("Connection\n----------\n"), "{text}");
        assert!(text.contains("    Customer Email\n"), "{text}");
    }

    #[test]
    fn without_a_public_host_there_is_a_gap_to_fill() {
        let text = Guide { host: None, contact: String::new(), ..guide() }.render(Markup::Text);
        assert!(text.contains("- host: HOST\n") && !text.contains("Help\n"), "{text}");
    }
}
