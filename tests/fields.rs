//! Names of fields in the log: one name for one thing, in every line.
//!
//! A call in `src` uses these and no others, and each stands in some call. None is meant for an address.

use std::collections::BTreeSet;

use crate::layers::{product, sources};

/// Each name, and what it holds.
const FIELDS: [(&str, &str); 72] = [
    ("again_at", "when a scrub is tried again"),
    ("age_seconds", "how long ago a file was written"),
    ("asked", "what a command asked for"),
    ("by", "who asked or decided"),
    ("bytes", "a size"),
    ("cause", "what went wrong, with all that led to it"),
    ("change", "what its sender did to a delivered file"),
    ("clean", "whether a scrub left nothing behind"),
    ("customers", "people, matched or gone"),
    ("data", "the data folder"),
    ("decision", "what an operator decided on an import"),
    ("deleted", "rows of a list by which somebody went"),
    ("disabled", "tenants that their file closes, by name"),
    ("duplicate", "rows that name somebody whom an earlier one names"),
    ("end", "how a channel ended"),
    ("ending", "why a session was ended"),
    ("exempt", "rows that name somebody who must not be erased"),
    ("fault", "a fault of the config, with its file and line"),
    ("faulty", "tenants that a fault in their file closes, by name"),
    ("file", "a file, as its sender named it"),
    ("files", "how many files"),
    ("folder", "a folder of a tenant"),
    ("hint", "what the operator may do"),
    ("host_key", "fingerprints of the keys by which senders know us"),
    ("hours", "how long something has waited"),
    ("import", "the number of an import"),
    ("imports", "how many imports"),
    ("invalid", "bad rows"),
    ("kept", "traces that the plan keeps on purpose"),
    ("listen", "the addresses that are listened on"),
    ("log_empty", "whether the write-ahead log was emptied"),
    ("login", "the name that a client would log in by"),
    ("maximum", "descriptors that the system allows"),
    ("method", "how a scrub zeroed what is not used"),
    ("mode", "purge or check"),
    ("nonzero_bytes", "bytes that no row uses and that are not zero"),
    ("not_found", "rows that name nobody"),
    ("open", "tenants that are served, by name"),
    ("pages", "pages of the store that a scrub looked at"),
    ("plan", "the digest of the erasure plan"),
    ("problem", "why a file is not taken"),
    ("put_back", "what recovery put back into its folder"),
    ("reason", "a stable code, or one short clause, for why"),
    ("request", "the number of a command's request"),
    ("residue", "traces that a scrub found"),
    ("rest_seconds", "how long until the next try"),
    ("resumed", "imports that a start goes on with"),
    ("rows", "rows of a list"),
    ("scrub", "the number of a scrub"),
    ("seconds", "how long something took or takes"),
    ("sessions", "how many sessions"),
    ("skipped", "rows that were not worked because the import ended"),
    ("source", "the network address that a connection came from"),
    ("state", "where an import stands"),
    ("status", "how an import ended"),
    ("swept", "what recovery cleared away"),
    ("taken_without", "the import that took a checksum's file without it"),
    ("targets", "people, as a list named them"),
    ("tenant", "whose it is"),
    ("tenants", "how many tenants"),
    ("tries", "refused tries to log in"),
    ("undisturbed", "whether nobody else wrote while a scrub looked"),
    ("unread_pages", "pages that a scrub could not read"),
    ("unsearched", "places that a scrub could not search"),
    ("walks", "how often a scrub went over the store"),
    ("wanted", "descriptors that all sessions together may need"),
    ("what", "what a sender asked for"),
    ("why", "a sentence for why"),
    ("with_checksum", "whether a checksum came with the file"),
    ("withdrawn", "claims that recovery gave up"),
    ("would_delete", "rows of a rehearsed list by which somebody would go"),
    ("zeroed_bytes", "bytes that a scrub zeroed"),
];

#[test]
fn log_lines_have_the_fields_of_the_list_and_no_others() {
    let texts = sources().into_iter().map(|file| product(&std::fs::read_to_string(file).unwrap()));
    let used: BTreeSet<String> = texts.flat_map(|text| fields(&text)).collect();
    let listed: BTreeSet<String> = FIELDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(used, listed, "left: the calls in src; right: the list in tests/fields.rs");
    assert!(FIELDS.is_sorted(), "in the order of the alphabet");
}

/// `%` writes a text bare: what a sender chose could look like fields of ours.
#[test]
fn names_of_files_causes_and_reasons_are_quoted() {
    for file in sources() {
        let text = product(&std::fs::read_to_string(&file).unwrap());
        for bare in ["%file", "file = %", "%cause", "cause = %", "reason = %", "change = %", "what = %"] {
            assert!(!text.contains(bare), "{bare} in {}", file.display());
        }
    }
}

#[test]
fn reads_every_way_to_name_a_field() {
    let check = |text: &str, expected: &[&str]| assert_eq!(fields(text), expected, "{text}");
    check(r#"info!("daemon stopping");"#, &[]);
    check(
        r#"warn!(%tenant, ?ending, bytes, "a = b, c"); error!(cause = chain(&a, [b, c]), "d");"#,
        &["cause", "tenant", "ending", "bytes"],
    );
    check("debug!(\n    file = row.file,\n    \"(\",\n);", &["file"]);
    check(r#"info_span!("session", tenant = field::Empty)"#, &["tenant"]);
}

/// The names of fields in the log calls of a text.
fn fields(text: &str) -> Vec<String> {
    let calls = ["error!(", "warn!(", "info!(", "debug!(", "trace!(", "_span!("];
    let begins = calls.iter().flat_map(|call| text.match_indices(call).map(|(at, call)| at + call.len()));
    let arguments = begins.flat_map(|at| arguments(&text[at..]));
    let names = arguments.map(|argument| argument.split('=').next().unwrap_or(argument).trim().trim_start_matches(['%', '?']));
    names.filter(|name| !name.is_empty() && !name.starts_with('"')).map(str::to_owned).collect()
}

/// The arguments of a call, from its bracket on.
fn arguments(call: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0, false);
    for (at, c) in call.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ',' | ')' if depth == 0 => {
                found.push(call[start..at].trim());
                start = at + 1;
                if c == ')' {
                    break;
                }
            }
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    found
}
