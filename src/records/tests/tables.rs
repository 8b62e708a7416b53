//! What tables by column name give, which are loaded.

use std::fmt::Write as _;

use super::{Trickle, refusal};
use crate::domain::Format;
use crate::records::{Limits, table};

fn tell_table(reading: &table::TableReading<'_>, input: &[u8]) -> String {
    let mut told = String::new();
    let table = match table::read(Trickle(input, 3), reading) {
        Ok(table) => table,
        Err(error) => return refusal(&error),
    };
    for row in table {
        let row = match row {
            Ok(row) => row,
            Err(error) => return told + &refusal(&error),
        };
        match row.values {
            Ok(values) => {
                let values: Vec<_> = values.iter().map(|value| value.as_deref().unwrap_or("-")).collect();
                writeln!(told, "{} {}", row.line, values.join(" | ")).unwrap();
            }
            Err(error) => writeln!(told, "{} invalid {} in {}", row.line, error.reason.code(), error.column.unwrap_or_default()).unwrap(),
        }
    }
    told
}

#[test]
fn reads_tables_by_column_name() {
    use table::Cells::{Id, Key, Text};
    let reading = |format| table::TableReading {
        format,
        limits: Limits::default(),
        columns: &[("id", Key), ("userId", Id), ("properties", Text)],
        also_called: &[],
    };
    let check = |format, input: &str, expected: &str| assert_eq!(tell_table(&reading(format), input.as_bytes()), expected, "{input:?}");
    check(
        Format::Csv,
        "x;properties;id\n1;\" a \"\"b\"\" \";7\n;;8\n\n;c;\n;;\" 9\"\n;last;10",
        "2 7 | - |  a \"b\" \n3 8 | - | -\n5 invalid missing in id\n6 invalid space_at_end in id\n7 10 | - | last\n",
    );
    check(Format::Csv, "userId\n", "rejected missing_column at 1\n");
    check(Format::Csv, "id,user_id\n", "rejected near_miss_column at 1\n");
    check(Format::Csv, "id,id\n", "rejected duplicate_column at 1\n");
    check(
        Format::Jsonl,
        "{\"id\":7,\"properties\":{ \"b\" : [1.10, \"x  \\\" y\"], \"a\":1e2},\"userId\":null}\n{\"id\":\"8\",\"properties\":true}\n{\"properties\":\"\"}\n{\"id\":\"9\",\"userid\":\"\"}\n",
        "1 7 | - | {\"b\":[1.10,\"x  \\\" y\"],\"a\":1e2}\n2 8 | - | true\n3 invalid missing in id\n4 invalid near_miss_key in userid\n",
    );
    // What no list could name is no id.
    for id in ["true", "[1, 2]", "{\"a\":1}", "1.0", "1e3", "-0", "18446744073709551616"] {
        check(Format::Jsonl, &format!("{{\"id\":{id}}}\n"), "1 invalid json_wrong_type in id\n");
    }
    check(Format::Jsonl, "{\"id\":18446744073709551615,\"userId\":-7}\n", "1 18446744073709551615 | -7 | -\n");
    check(Format::Jsonl, "{\"userId\":1}\n", "rejected missing_column at 1\n");
}
