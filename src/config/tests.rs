//! Tests of reading config files.

use super::*;
use crate::domain::TenantName;
use crate::telemetry;

fn faults(text: &str) -> String {
    Config::parse(Path::new("c.toml"), Path::new("/home"), text).expect_err(text).to_string()
}

#[test]
fn the_sample_is_the_defaults_and_lists_every_option() {
    let (file, home) = (Path::new("expunged.toml"), Path::new("/etc/expunged"));
    assert_eq!(Config::parse(file, home, SAMPLE), Ok(Config::defaults(file, home)));
    assert_eq!(Config::parse(file, home, ""), Ok(Config::defaults(file, home)));

    let sample: toml::Table = SAMPLE.parse().unwrap();
    let mut listed: Vec<String> = Vec::new();
    for (key, value) in &sample {
        match value.as_table() {
            Some(section) => listed.extend(section.keys().map(|inner| format!("{key}.{inner}"))),
            None => listed.push(key.clone()),
        }
    }
    let mut known = vec!["data_dir".to_owned(), "tenants_dir".to_owned()];
    for (name, options) in Config::defaults(file, home).sections() {
        options.each(&mut |key, _| known.push(format!("{name}.{key}")));
    }
    listed.sort();
    known.sort();
    assert_eq!(listed, known);
}

#[test]
fn each_option_of_the_sample_has_a_sentence_above_it() {
    let lines: Vec<&str> = SAMPLE.lines().collect();
    for (n, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#')) {
        assert!(lines[n - 1].starts_with("# ") && lines[n - 1].ends_with(['.', ';']), "line {}: {line}", n + 1);
    }
}

#[test]
fn every_limit_is_named_with_its_unit_and_has_bounds_itself() {
    const UNITS: [&str; 17] = [
        "attempts",
        "bytes",
        "checks",
        "columns",
        "customers",
        "days",
        "files",
        "handles",
        "hours",
        "lines",
        "mib",
        "milliseconds",
        "minutes",
        "percent",
        "rows",
        "seconds",
        "sessions",
    ];
    let mut numbers = 0;
    for (section, options) in Config::defaults(Path::new("c.toml"), Path::new("/home")).sections() {
        options.each(&mut |key, slot| {
            if matches!(slot, option::Slot::Number(..)) {
                assert!(key.split('_').any(|word| UNITS.contains(&word)), "{section}.{key} has no unit");
                let told = faults(&format!("[{section}]\n{key} = {}\n", i64::MAX));
                assert!(told.contains(&format!("{section}.{key}: found")) && told.contains("expected a whole number from"), "{told}");
                numbers += 1;
            }
        });
    }
    assert!(numbers >= 40, "{numbers}");
}

#[test]
fn names_every_fault_in_one_run() {
    let text = "data_dir = 3\nlisen = 1\n[sftp]\nlisten = [\"0.0.0.0\"]\nsessions_max = 0\nidle_seconds = 5\n\n[log]\nlevel = \"loud\"\n[import]\n";
    assert_eq!(
        faults(text),
        "c.toml:1: data_dir: found 3, expected a text in quotes\n\
         c.toml:2: lisen: unknown option\n\
         c.toml:4: sftp.listen: \"0.0.0.0\" has no port; write it as \"0.0.0.0:2022\"\n\
         c.toml:5: sftp.sessions_max: found 0, expected a whole number from 1 to 10000\n\
         c.toml:6: sftp.idle_seconds: unknown option; did you mean \"idle_seconds_max\"?\n\
         c.toml:9: log.level: found \"loud\", allowed are \"error\", \"warn\", \"info\", \"debug\", \"trace\"\n\
         c.toml:10: import: unknown option"
    );
}

#[test]
fn says_what_was_found_and_what_is_allowed() {
    let check = |text: &str, expected: &str| assert_eq!(faults(text), expected);
    check("data_dir = \"~/x\"", "c.toml:1: data_dir: found \"~/x\", but \"~\" is not expanded here; write the whole path");
    check("[sftp]\nlisten = []", "c.toml:2: sftp.listen: found 0 addresses, 1 to 16 are allowed");
    check("[sftp]\nlisten = [\"1.1.1.1:1\", \"1.1.1.1:1\"]", "c.toml:2: sftp.listen: \"1.1.1.1:1\" stands twice");
    check("sftp = 1", "c.toml:1: sftp: found 1, expected a section, [sftp]");
    check("[store]\ncache_mib = -1", "c.toml:2: store.cache_mib: found -1, expected a whole number from 1 to 65536");
    check("[store]\ncache_mib = 1.5", "c.toml:2: store.cache_mib: found 1.5, expected a whole number from 1 to 65536");
    check("[tenant_defaults]\ndo_not_track = \"yes\"", "c.toml:2: tenant_defaults.do_not_track: found \"yes\", expected true or false");
    check(
        "[tenant_defaults]\nemail_aliases = [\"id\"]",
        "c.toml:2: tenant_defaults.email_aliases: found \"id\", which has its own meaning in a list",
    );
    check(
        "[sftp]\nsessions_max = 8\nsessions_per_tenant_max = 16",
        "c.toml:3: sftp.sessions_per_tenant_max: found 16, which is more than sftp.sessions_max (8)",
    );
    check(
        "[limits]\nrows_recommended = 10\nrows_per_file_max = 9",
        "c.toml:2: limits.rows_recommended: found 10, which is more than limits.rows_per_file_max (9)",
    );
}

#[test]
fn a_default_gives_way_to_a_lower_bound_that_is_set() {
    let config = Config::parse(Path::new("c.toml"), Path::new(""), "[sftp]\nsessions_max = 8\n[limits]\nrows_per_file_max = 9\n").unwrap();
    assert_eq!((config.sftp.sessions_per_tenant_max, config.sftp.sessions_per_source_max, config.limits.rows_recommended), (8, 8, 9));
}

#[test]
fn tells_of_broken_syntax_by_line_and_still_reads_the_rest() {
    let text = "[log]\nlevel = loud\n[sftp]\nsessions_max = 5\nsessions_max = 6\n[store]\ncache_mib = 0\n";
    assert_eq!(
        faults(text),
        "c.toml:2: not TOML: string values must be quoted, expected literal string\n\
         c.toml:5: not TOML: duplicate key\n\
         c.toml:7: store.cache_mib: found 0, expected a whole number from 1 to 65536"
    );
    assert_eq!(
        faults("[sftp]\nlisten = [\"0.0.0.0:1\"\nsessions_max = 5\n[store]\ncache_mib = 0\n"),
        "c.toml:3: not TOML: missing comma between array elements, expected `,`"
    );
}

#[test]
fn paths_are_relative_to_the_file_also_through_a_link() {
    let dir = tempfile::TempDir::new().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("etc")).unwrap();
    std::fs::create_dir(root.join("var")).unwrap();
    std::fs::write(root.join("var/expunged.toml"), "tenants_dir = \"/t\"\n[log]\nformat = \"json\"\n").unwrap();
    std::os::unix::fs::symlink(root.join("var/expunged.toml"), root.join("etc/expunged.toml")).unwrap();
    let config = Config::load(&root.join("etc/expunged.toml")).unwrap();
    assert_eq!(config.data_dir, root.join("var/data"));
    assert_eq!(config.tenants_dir, Path::new("/t"));
    assert_eq!(config.log.format, telemetry::Format::Json);
    assert_eq!(config.tenants, Tenants::default());
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVtpShV9gvcSmTFIuVL9lfVaXFcTSrBFPWRYPuYr2sp";

#[test]
fn a_tenant_overrides_what_its_file_sets() {
    let defaults = TenantOptions { do_not_track: true, email_aliases: vec!["mail".into()], ..TenantOptions::default() };
    let name = TenantName::parse("acme").unwrap();
    let text =
        format!("keys = [\"{KEY} night\"]\npreserve_empty_accounts = true\nemail_aliases = [\"E-mail\"]\nrequest_id_column = \"ticket\"\n");
    let tenant = Tenant::parse(&name, Path::new("acme.toml"), &text, &defaults).unwrap();
    assert_eq!(tenant.keys.len(), 1);
    assert!(tenant.options.do_not_track && tenant.options.preserve_empty_accounts && !tenant.disabled);
    assert_eq!(tenant.options.email_aliases, ["E-mail"]);
    assert_eq!(tenant.options.request_id_column.as_deref(), Some("ticket"));
    assert_eq!(tenant.own, ["preserve_empty_accounts", "email_aliases", "request_id_column"]);
}

#[test]
fn a_faulty_tenant_file_is_that_tenants_alone() {
    let dir = tempfile::TempDir::new().unwrap();
    let folder = dir.path();
    std::fs::write(folder.join("good.toml"), format!("keys = [\"{KEY}\"]\n")).unwrap();
    std::fs::write(folder.join("bad.toml"), format!("keys = [\n  \"{KEY}\",\n  \"ssh-dss AAAA\",\n]\ndo_not_trac = true\n")).unwrap();
    std::fs::write(folder.join("none.toml"), "disabled = 1\n").unwrap();
    std::fs::write(folder.join("Not A Name.toml"), "").unwrap();
    std::fs::write(folder.join(".good.toml.tmp"), "").unwrap();
    std::fs::write(folder.join("good.toml~"), "").unwrap();
    let tenants = Tenants::load(folder, &TenantOptions::default());
    assert_eq!(tenants.sound().map(|tenant| tenant.name.as_str()).collect::<Vec<_>>(), ["good"]);
    let told = tenants.faults().map(|fault| fault.to_string().replace(&format!("{}/", folder.display()), "")).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            "bad.toml:3: keys[1]: DSA keys are too weak (found ssh-dss, accepted are ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, ssh-rsa)",
            "bad.toml:5: do_not_trac: unknown option; did you mean \"do_not_track\"?",
            "none.toml: keys: missing; write keys = [] for a tenant that sends nothing",
            "none.toml:1: disabled: found 1, expected true or false",
            "Not A Name.toml: \"Not A Name\" is not a tenant name: use 1 to 32 of a-z, 0-9, - and _, starting with a letter or digit",
        ]
    );
}

#[test]
fn the_fingerprint_changes_with_the_files_only() {
    let dir = tempfile::TempDir::new().unwrap();
    let look = || tenants_fingerprint(dir.path()).unwrap();
    let empty = look();
    std::fs::write(dir.path().join("acme.toml"), "keys = []").unwrap();
    let one = look();
    assert_ne!(one, empty);
    assert_eq!(one, look());
    std::fs::write(dir.path().join(".acme.toml.tmp"), "keys = []").unwrap();
    assert_eq!(one, look());
    std::fs::write(dir.path().join("acme.toml"), "keys = [  ]").unwrap();
    assert_ne!(one, look());
    std::fs::remove_file(dir.path().join("acme.toml")).unwrap();
    assert_eq!(empty, look());
    tenants_fingerprint(&dir.path().join("gone")).expect_err("not an empty one");
}
