//! What each kind of file gives, row by row.

use std::fmt::Write as _;
use std::io::{self, Read};

use super::*;
use crate::domain::{Format, Reason};

mod jsonl;
mod tables;

pub(super) fn csv() -> Reading {
    Reading::new(Format::Csv)
}

pub(super) fn jsonl() -> Reading {
    Reading::new(Format::Jsonl)
}

/// Gives at most `most` bytes a read.
pub(super) struct Trickle<R>(pub(super) R, pub(super) usize);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.1);
        self.0.read(&mut buffer[..most])
    }
}

pub(super) fn subject_text(subject: &SubjectKey) -> String {
    match subject {
        SubjectKey::Email(email) => email.as_str().to_owned(),
        SubjectKey::Pair { account, id } => format!("{account}/{id}"),
    }
}

/// One line a row; a refusal as `rejected CODE at LINE`.
pub(super) fn tell(input: impl Read, reading: &Reading) -> String {
    let mut told = String::new();
    let rows = match read(input, reading.clone()) {
        Ok(rows) => rows,
        Err(error) => return refusal(&error),
    };
    for row in rows {
        let row = match row {
            Ok(row) => row,
            Err(error) => return told + &refusal(&error),
        };
        match row.subject {
            Ok(subject) => {
                write!(told, "{} {}", row.line, subject_text(&subject)).unwrap();
                if let Some(flag) = row.flags.preserve_empty_account {
                    write!(told, " preserve={flag}").unwrap();
                }
                if let Some(flag) = row.flags.do_not_track {
                    write!(told, " dnt={flag}").unwrap();
                }
                told.push('\n');
            }
            Err(error) => {
                let column = error.column.map(|column| format!(" in {column}")).unwrap_or_default();
                writeln!(told, "{} invalid {}{column}", row.line, error.reason.code()).unwrap();
            }
        }
    }
    told
}

fn refusal(error: &ReadError) -> String {
    let ReadError::Rejected(rejection) = error else { panic!("{error}") };
    assert!(!rejection.message.contains('@'), "an address in {:?}", rejection.message);
    let line = rejection.line.map(|line| format!(" at {line}")).unwrap_or_default();
    format!("rejected {}{line}\n", rejection.code)
}

fn check_with(reading: &Reading, input: impl AsRef<[u8]>, expected: &str) {
    let input = input.as_ref();
    let shown = String::from_utf8_lossy(&input[..input.len().min(300)]).into_owned();
    assert_eq!(tell(input, reading), expected, "{shown:?}");
    if input.len() < 10_000 {
        assert_eq!(tell(Trickle(input, 1), reading), expected, "byte by byte: {shown:?}");
    }
}

fn check(input: impl AsRef<[u8]>, expected: &str) {
    check_with(&csv(), input, expected);
}

fn check_jsonl(input: impl AsRef<[u8]>, expected: &str) {
    check_with(&jsonl(), input, expected);
}

fn check_message(reading: &Reading, input: impl AsRef<[u8]>, expected: &str) {
    let error = read(input.as_ref(), reading.clone()).and_then(|rows| rows.collect::<Result<Vec<_>, _>>()).expect_err("refused");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn names_the_line_and_the_reason_of_a_bad_row() {
    check(
        "Customer Email\nann@x.example\nnot-an-address\n\nANN@x.example\n",
        "2 ann@x.example\n3 invalid email_malformed in Customer Email\n5 ann@x.example\n",
    );
}

#[test]
fn reads_each_dialect_by_its_header() {
    let dialect = |reading: &Reading, input: &str| read(input.as_bytes(), reading.clone()).map(|rows| rows.dialect()).ok().flatten();
    assert_eq!(dialect(&csv(), "CustomerEmail\n"), Some(crate::domain::Dialect::EmailCsv));
    assert_eq!(dialect(&csv(), "email,name\n"), Some(crate::domain::Dialect::EmailCsv));
    assert_eq!(dialect(&csv(), "id,accountId\n"), Some(crate::domain::Dialect::ParticipantCsv));
    assert_eq!(dialect(&csv(), "id,accountId,email\n"), Some(crate::domain::Dialect::ParticipantCsv));
    assert_eq!(dialect(&jsonl(), "{\"email\":\"a@b\"}"), Some(crate::domain::Dialect::EmailJsonl));
    assert_eq!(dialect(&jsonl(), "{\"id\":1,\"accountId\":2}"), Some(crate::domain::Dialect::ParticipantJsonl));
    let aliased = Reading { email_aliases: vec!["E-Mail Adresse".to_owned()], ..csv() };
    assert_eq!(dialect(&aliased, "E-Mail Adresse\n"), Some(crate::domain::Dialect::EmailCsv));
    assert_eq!(dialect(&csv(), "E-Mail Adresse\n"), None);
}

#[test]
fn an_address_beside_both_ids_is_an_extra_column() {
    check("accountId,id,email\na,1,junk\na,2,\n", "2 a/1\n3 a/2\n");
    check("accountId,id,email,email\na,1,x,y\n", "2 a/1\n");
    check("accountId,id,Customer Email\na,1,ann@x.example\n", "rejected two_dialects at 1\n");
    check("accountId,id,CustomerEmail\n", "rejected two_dialects at 1\n");
}

#[test]
fn reads_flags_in_every_dialect_and_leaves_blanks_open() {
    check(
        "Customer Email,doNotTrack,preserveEmptyAccount\na@b,TRUE,\nc@d, false ,True\ne@f,,\ng@h,yes,\ni@j,true,0\n",
        "2 a@b dnt=true\n3 c@d preserve=true dnt=false\n4 e@f\n5 invalid flag_malformed in doNotTrack\n\
         6 invalid flag_malformed in preserveEmptyAccount\n",
    );
    check("accountId,id,doNotTrack\na,1,true\n", "2 a/1 dnt=true\n");
}

#[test]
fn ids_compare_byte_for_byte_so_nothing_invisible_may_be_in_them() {
    check(
        "accountId,id\nA,007\na, 7\na,7\u{a0}\na,\n,7\na,\"7\n8\"\na,7\08\na,\"\"\"7\"\"\"\na,\"a,b\"\n",
        "2 A/007\n3 invalid space_at_end in id\n4 invalid space_at_end in id\n5 invalid missing in id\n6 invalid missing in accountId\n\
         7 invalid control_character in id\n9 invalid control_character in id\n10 a/\"7\"\n11 a/a,b\n",
    );
    check(
        format!("accountId,id\na,{}\na,{}\n", "7".repeat(1024), "7".repeat(1025)),
        &format!("2 a/{}\n3 invalid value_too_long in id\n", "7".repeat(1024)),
    );
}

#[test]
fn reads_what_messy_exporters_write() {
    let expected = "2 ann@x.example\n3 bob@x.example\n";
    for delimiter in [",", ";", "\t", "|"] {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["Name,Customer Email", "Ann,ann@x.example", "\"B,ob\",\"bob@x.example\"", ""].join("\n");
            let text = text.replace(',', delimiter).replace('\n', end);
            check(&text, expected);
            check(format!("\u{feff}{text}"), expected);
            check(utf16(&text, u16::to_le_bytes), expected);
            check(utf16(&text, u16::to_be_bytes), expected);
        }
    }
}

pub(super) fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(order).collect()
}

#[test]
fn counts_lines_as_an_editor_shows_them() {
    check("\n\r\nnote,email\n\"one\ntwo\r\nthree\",a@b\n , \n\"\",\"\"\nx,c@d\r\r\nx,e@f\n", "4 a@b\n9 c@d\n11 e@f\n");
}

#[test]
fn a_header_with_no_rows_is_no_error() {
    for header in ["Customer Email\n", "Customer Email", "Customer Email\n\n \n", "accountId,id\r\n", "email\n  "] {
        check(header, "");
    }
}

#[test]
fn refuses_a_file_with_nothing_in_it() {
    for reading in [csv(), jsonl()] {
        for input in ["", "\n", "\r\n \r\n", "\u{feff}", "\u{feff}\n"] {
            check_with(&reading, input, "rejected empty_file\n");
        }
    }
    check(",,\n;\n", "rejected empty_file\n");
}

#[test]
fn an_empty_list_of_json_lines_is_believed_where_it_is_vouched_for() {
    for input in ["", "\n", "\u{feff}\r\n"] {
        check_with(&Reading { vouched: true, ..jsonl() }, input, "");
        check_with(&Reading { vouched: true, ..csv() }, input, "rejected empty_file\n");
    }
    check_message(&jsonl(), "", "the file is empty; where nobody is on the list, send its checksum file before it");
}

#[test]
fn takes_excels_separator_line_at_its_word() {
    check("sep=;\nCustomer Email;note\na@b;x\n", "3 a@b\n");
    check("\u{feff}\"sep=;\"\r\nCustomer Email;note\r\na@b;x\r\n", "3 a@b\n");
    check("SEP=\t\nemail\tnote\na@b\tx,y\n", "3 a@b\n");
    check("sep=;\n\naccountId;id\n1;2\n", "4 1/2\n");
    check("sep=;\nid,accountId\n1,2\n", "rejected no_known_column at 2\n");
    check("sep=:\nid:accountId\n", "rejected separator_unknown at 1\n");
    check("sep=;", "rejected empty_file\n");
    check("email\nsep=;\n", "2 invalid email_malformed in email\n");
}

#[test]
fn names_what_is_wrong_with_a_value_and_not_with_a_cell_of_another_format() {
    check_with(&jsonl(), "{\"email\":null}\n", "1 invalid missing in email\n");
    check_with(&jsonl(), "{\"email\":\"a\\u0000@b\"}\n", "1 invalid control_character in email\n");
    check("email\na\0@b\n\"a@b\nc@d\"\n", "2 invalid control_character in email\n3 invalid email_malformed in email\n");
    for reason in [Reason::Missing, Reason::ControlCharacter, Reason::NotText, Reason::JsonWrongType] {
        assert!(!reason.message().contains("cell"), "{}", reason.message());
    }
}

#[test]
fn refuses_a_header_that_names_nobody() {
    check("mail,name\na@b,c\n", "rejected no_known_column at 1\n");
    check_message(&csv(), "mail,name\n", "no column \"Customer Email\", and no \"accountId\" with \"id\" (found \"mail\", \"name\")");
    check_message(
        &csv(),
        "ann@x.example,Ann,cust-17\n",
        "the first line looks like a row, not like a header; write \"Customer Email\", or \"accountId\" and \"id\", above the rows",
    );
    check_message(
        &csv(),
        "a-17,u-4\na-18,u-5\n",
        "the first line looks like a row, not like a header; write \"Customer Email\", or \"accountId\" and \"id\", above the rows",
    );
    check_message(&jsonl(), "{}\n", "no key \"Customer Email\", and no \"accountId\" with \"id\" (found none)");
    check("\n\naccountId,name\n", "rejected missing_column at 3\n");
    check("id\n7\n", "rejected missing_column at 1\n");
    check("doNotTrack\ntrue\n", "rejected no_known_column at 1\n");
}

#[test]
fn refuses_near_misses_where_the_right_one_is_absent() {
    check_message(&csv(), "customer_email\n", "column \"customer_email\" must be spelt \"Customer Email\"");
    check_message(&csv(), "accountId,id,donottrack\n", "column \"donottrack\" must be spelt \"doNotTrack\"");
    check_message(
        &csv(),
        "Customer Email,preserveEmptyAccounts\n",
        "column \"preserveEmptyAccounts\" must be spelt \"preserveEmptyAccount\"",
    );
    check_message(&csv(), "accountID;id\n", "column \"accountID\" must be spelt \"accountId\"");
    check("accountId, id\n", "rejected near_miss_column at 1\n");
    check("Customer Email,customer_email,doNotTrack,DoNotTrack\na@b,x,,y\n", "2 a@b\n");
    let reading = Reading { request_id_column: Some("Case No".to_owned()), ..csv() };
    check_with(&reading, "email,case_no\n", "rejected near_miss_column at 1\n");
}

#[test]
fn refuses_columns_that_stand_twice() {
    check("email,email\na@b,c@d\n", "rejected duplicate_column at 1\n");
    check("accountId,id,id\n", "rejected duplicate_column at 1\n");
    check("email,note,note\na@b,,\n", "2 a@b\n");
    check("email,Customer Email\n", "rejected two_email_columns at 1\n");
}

#[test]
fn the_operators_map_renames_headers_first() {
    let map = |from: &str, to: &str| Reading { map: vec![(from.to_owned(), to.to_owned())], ..csv() };
    check_with(&map("E-mail", "Customer Email"), "Name,E-mail\nx,a@b\nx,junk\n", "2 a@b\n3 invalid email_malformed in E-mail\n");
    check_with(&map("Email", "Customer Email"), "Email,Customer Email\n", "rejected duplicate_column at 1\n");
    check_with(&map("ID", "id"), "accountId,ID\na,1\n", "2 a/1\n");
    // A flag that was ignored cannot be mended later.
    check_with(&map("Never again", "doNotTrack"), "email,never again\na@b,true\n", "rejected missing_column at 1\n");
    let message = "no column \"Never again\" to read as \"doNotTrack\" (found \"email\", \"never again\")";
    check_message(&map("Never again", "doNotTrack"), "email,never again\n", message);
    check_with(&map("Never again", "donottrack"), "email,Never again\na@b,true\n", "rejected unknown_column\n");
    let known = "\"accountId\", \"id\", \"preserveEmptyAccount\", \"doNotTrack\", \"Customer Email\", \"CustomerEmail\", \"email\"";
    check_message(&map("mail", "e-mail"), "mail\na@b\n", &format!("\"mail\" cannot be read as \"e-mail\": known are {known}"));
}

#[test]
fn never_guesses_which_cell_is_which() {
    check("id,accountId,x\n1,a\n1,a,b,c\n1,a,\"b,c\"\n", "2 invalid too_few_cells\n3 invalid too_many_cells\n4 a/1\n");
    check("email,name\n\"a@b\" ,x\n\"a@\"b\",x\n\"c@d\",\"x\"\"\"\n", "2 invalid quote_malformed\n3 invalid quote_malformed\n4 c@d\n");
    check("email,name\na@b,6\" pipe\n", "2 a@b\n");
}

#[test]
fn lines_of_a_cell_whose_quotes_are_not_doubled_are_no_rows() {
    check("email,note\na@b,\"she said \"stop\"\nc@d,is her other one\"\n", "2 invalid quote_malformed\nrejected quote_malformed at 2\n");
    check(
        "email,note\na@b,\"she said \"stop\"\nc@d,is hers\ne@f,too\"\n",
        "2 invalid quote_malformed\n3 c@d\nrejected quote_malformed at 2\n",
    );
    // Quotes that are never doubled, each cell on its line.
    check(
        "email,note\na@b,\"say \"hi\" to\"\nc@d,x\ne@f,\"say \"hi\"\"\n",
        "2 invalid quote_malformed\n3 c@d\n4 invalid quote_malformed\n",
    );
    check("email,note\nc@d,6\" pipe\na@b,\"6\" pipe\"\n", "2 c@d\n3 invalid quote_malformed\n");
    // So far from each other the two are of no one cell.
    let (between, read) = (3..104, |line: u32| format!("{line} c@d\n"));
    check(
        format!("email,note\na@b,\"6\" pipe\"\n{}e@f,6\" pipe\n", "c@d,\n".repeat(between.len())),
        &format!("2 invalid quote_malformed\n{}104 e@f\n", between.map(read).collect::<String>()),
    );
}

#[test]
fn bytes_in_extra_columns_do_not_matter() {
    check(b"email,note\na@b,\xff\0\xfe\n\xffc@d,\nc@d\xe4,x\n", "2 a@b\n3 invalid not_text in email\n4 invalid not_text in email\n");
    check(b"email,pr\xe9nom\na@b,x\n", "2 a@b\n");
    check(b"accountId,id\na,\xff\n", "2 invalid not_text in id\n");
    check(b"\xff\xfee\0m\0a\0i\0l\0\n\0a\0@\0b\0\x00\xd8\n\0", "2 invalid not_text in email\n");
}

#[test]
fn one_stray_quote_does_not_swallow_half_a_list() {
    check("email,note\na@b,\"x\nc@d,\n", "rejected quote_not_closed at 2\n");
    let lines = |count: usize| format!("email,note\na@b,x\nc@d,\"{}\"\ne@f,\n", vec!["y"; count].join("\n"));
    check(lines(100), "2 a@b\n3 c@d\n103 e@f\n");
    check(lines(101), "2 a@b\nrejected quote_not_closed at 3\n");
    check(lines(101).replace('\n', "\r\n"), "2 a@b\nrejected quote_not_closed at 3\n");
    check(format!("email,note\na@b,\"{}\"\n", "y".repeat(65_537)), "rejected quote_not_closed at 2\n");
    check(format!("email,note\na@b,\"{}\"\nc@d,\n", "y".repeat(65_536)), "2 invalid row_too_long\n3 c@d\n");
    check("email,\"note\na@b\n", "rejected quote_not_closed at 1\n");
    check("\n\nemail,\"x\ny\",\"note\na@b\n", "rejected quote_not_closed at 4\n");
}

#[test]
fn a_row_over_the_limit_is_one_bad_row() {
    let row = |bytes: usize| format!("email,note\na@b,{}\nc@d,\n", "y".repeat(bytes - 4));
    check(row(65_536), "2 a@b\n3 c@d\n");
    check(row(65_537), "2 invalid row_too_long\n3 c@d\n");
    check_with(&csv(), format!("email,note\na@b,{}\r\nc@d,\r\n", "y,".repeat(65_537)), "2 invalid row_too_long\n3 c@d\n");
    let spread = format!("email,a,b,c\nx@y,\"{}\",\"{}\n\",{}\nc@d,,,\n", "1".repeat(40_000), "2".repeat(40_000), "3".repeat(300_000));
    check(spread, "2 invalid row_too_long\n4 c@d\n");
    check(format!("email\n{}", "y".repeat(70_000)), "rejected unterminated_only_row at 2\n");
}

#[test]
fn a_header_over_the_limit_is_refused_at_once() {
    check(format!("email,{}", "x".repeat(65_531)), "rejected header_too_long at 1\n");
    check(format!("email,{}\n", "x".repeat(65_530)), "");
    check(format!("email,{}\n", vec!["x"; 999].join(",")), "");
    check(format!("email,{}\n", vec!["x"; 1_000].join(",")), "rejected too_many_columns at 1\n");
    check("x,".repeat(1_000_000), "rejected header_too_long at 1\n");
}

#[test]
fn reads_a_100_mb_line_in_flat_memory() {
    for head in ["", "email\n", "email\na@b,"] {
        let mut rows = match read(head.as_bytes().chain(io::repeat(b'x').take(100_000_000)), csv()) {
            Ok(rows) => rows,
            Err(error) => {
                assert_eq!((head, refusal(&error).as_str()), ("", "rejected header_too_long at 1\n"));
                continue;
            }
        };
        assert_eq!(refusal(&rows.next().unwrap().expect_err("refused")), "rejected unterminated_only_row at 2\n");
        assert!(rows.next().is_none());
        assert!(rows.window_bytes() <= 512 * 1024, "{}", rows.window_bytes());
    }
}

#[test]
fn refuses_what_is_no_text() {
    check(b"PK\x03\x04\x14\0\x06\0", "rejected not_text\n");
    check(b"\x1f\x8b\x08\0\0\0", "rejected not_text\n");
    check(b"em\0ail\na@b\n", "rejected not_text at 1\n");
    check(b"e\0m\0a\0i\0l\0\n\0", "rejected not_text at 1\n");
    check(b"\x89PNG\r\n\x1a\n\xff\xfe\xff", "rejected not_text at 1\n");
    check([&b"\x7fELF"[..], &[0; 100_000]].concat(), "rejected not_text at 1\n");
    check_jsonl(b"PK\x03\x04\x14\0\x06\0", "rejected not_text\n");
    check_jsonl(b"\x7fELF\0\0\0\n", "rejected not_text at 1\n");
}

#[test]
fn stops_at_the_most_rows_a_file_may_have() {
    let reading = Reading { limits: Limits { rows_per_file_max: 2, ..Limits::default() }, ..csv() };
    check_with(&reading, "email\na@b\n\nc@d\n", "2 a@b\n4 c@d\n");
    check_with(&reading, "email\na@b\n\nc@d\n\ne@f\n", "2 a@b\n4 c@d\nrejected too_many_rows at 6\n");
}

#[test]
fn echoes_what_results_show() {
    let reading = Reading { request_id_column: Some("case".to_owned()), ..csv() };
    let rows = read(&b"case,email,id\nC-1,a@b,7\nC-2,junk,\n\xff,c@d,8\n"[..], reading).unwrap();
    let echoes: Vec<_> = rows.map(|row| row.unwrap().echo).map(|echo| (echo.account_id, echo.id, echo.request_id)).collect();
    let text = |text: &str| text.to_owned();
    assert_eq!(echoes, [(text(""), text("7"), text("C-1")), (text(""), text(""), text("C-2")), (text(""), text("8"), text("\u{fffd}"))]);
}
