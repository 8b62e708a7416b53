//! What JSON lines give, row by row.

use super::{check_jsonl, check_message, jsonl};

#[test]
fn reads_json_lines() {
    check_jsonl(
        "{\"email\":\"Ann@x.example\",\"doNotTrack\":true,\"x\":[{\"y\":[1,2]}]}\n\n{\"email\":\"b@c\",\"doNotTrack\":null}\r\n{\"email\":\"d@e\",\"preserveEmptyAccount\":false}",
        "1 ann@x.example dnt=true\n3 b@c\n4 d@e preserve=false\n",
    );
    check_jsonl(
        "{\"accountId\":\"a\",\"id\":9007199254740993}\n{\"id\":-1,\"accountId\":18446744073709551615}\n{\"accountId\":\"a\",\"id\":\"0x\\u00e9\"}\n",
        "1 a/9007199254740993\n2 18446744073709551615/-1\n3 a/0xé\n",
    );
}

#[test]
fn names_what_is_wrong_in_a_json_line() {
    let bad = |line: &str, expected: &str| {
        check_jsonl(format!("{{\"accountId\":\"a\",\"id\":\"1\"}}\n{line}\n"), &format!("1 a/1\n2 invalid {expected}\n"));
    };
    bad("{\"accountId\":\"a\"}", "missing in id");
    bad("{\"accountId\":\"a\",\"id\":null}", "missing in id");
    bad("{\"accountId\":\"a\",\"id\":\"\"}", "missing in id");
    bad("{\"accountId\":\"a\",\"id\":1.5}", "json_wrong_type in id");
    bad("{\"accountId\":\"a\",\"id\":1e3}", "json_wrong_type in id");
    bad("{\"accountId\":\"a\",\"id\":18446744073709551616}", "json_wrong_type in id");
    bad("{\"accountId\":\"a\",\"id\":[1]}", "json_wrong_type in id");
    bad("{\"accountId\":\"a\",\"id\":{\"id\":1}}", "json_wrong_type in id");
    bad("{\"accountId\":true,\"id\":1}", "json_wrong_type in accountId");
    bad("{\"accountId\":\"a\",\"id\":1,\"doNotTrack\":\"true\"}", "json_wrong_type in doNotTrack");
    bad("{\"accountId\":\"a\",\"id\":1,\"id\":2}", "json_duplicate_key in id");
    bad("{\"accountId\":\"a\",\"id\":1,\"DoNotTrack\":true}", "near_miss_key in DoNotTrack");
    bad("{\"accountId\":\"a\",\"id\":1,\"Customer Email\":\"a@b\"}", "two_subjects");
    bad("{\"accountId\":\"a\",\"id\":\"1 \"}", "space_at_end in id");
    bad("{\"accountId\":\"a\",\"id\":\"1\\u0000\"}", "control_character in id");
    bad("{\"accountId\":\"a\",\"id\":1} {}", "json_malformed");
    bad("{\"accountId\":\"a\",\"id\":1", "json_malformed");
    bad("[\"a\",1]", "json_malformed");
    bad("7", "json_malformed");
    bad(&format!("{{\"accountId\":{}", "[".repeat(50_000)), "json_malformed");
    bad(&"[".repeat(65_537), "row_too_long");
    check_jsonl(b"{\"email\":\"a@b\"}\n{\"email\":\"\xff@b\"}\n{\"email\":\"c@d\",\"x\":\"\xff\"}\n", "1 a@b\n2 invalid not_text\n3 c@d\n");
    check_jsonl(
        "{\"email\":\"a@b\"}\n{\"email\":\"c@d\",\"id\":1,\"accountId\":2}\n{\"Customer Email\":\"e@f\"}\n",
        "1 a@b\n2 invalid two_subjects\n3 invalid two_subjects\n",
    );
}

#[test]
fn skips_deep_values_of_other_keys() {
    let deep = format!("{{\"x\":{}{},\"email\":\"a@b\"}}\n", "[".repeat(20_000), "]".repeat(20_000));
    check_jsonl(deep, "1 a@b\n");
}

#[test]
fn the_first_object_is_the_header_of_a_json_file() {
    check_jsonl("\n{\"mail\":1}\n", "rejected no_known_column at 2\n");
    check_jsonl("{\"accountId\":1}\n", "rejected missing_column at 1\n");
    check_jsonl("{\"Email\":\"a@b\"}\n", "rejected near_miss_column at 1\n");
    check_jsonl("{\"Customer Email\":\"a@b\",\"accountId\":1,\"id\":2}\n", "rejected two_dialects at 1\n");
    check_jsonl("{\"accountId\":1,\"id\":2,\"email\":\"a@b\"}\n", "1 1/2\n");
    check_jsonl("[\n{\"email\":\"a@b\"}\n]\n", "rejected json_malformed_first at 1\n");
    check_jsonl("email\na@b\n", "rejected json_malformed_first at 1\n");
    check_jsonl(format!("{}\n{{\"email\":\"a@b\"}}\n", "x".repeat(70_000)), "1 invalid row_too_long\n2 a@b\n");
    check_message(
        &jsonl(),
        "{\"ann@x.example\":1,\"name\":2}",
        "no key \"Customer Email\", and no \"accountId\" with \"id\" (found a name not shown, \"name\")",
    );
}
