//! Cut files, resumed files, and random ones: nobody is named who stood in no list.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::{Trickle, csv, jsonl, subject_text, tell, utf16};
use super::*;

fn check(reading: &Reading, input: &str, expected: &str) {
    assert_eq!(tell(input.as_bytes(), reading), expected, "{input:?}");
}

/// Whom a file names, as text; refused or not.
fn named(input: &[u8], reading: &Reading) -> BTreeSet<String> {
    let Ok(rows) = read(input, reading.clone()) else { return BTreeSet::new() };
    // A refusal at the end refuses all of it.
    let rows: Vec<Row> = rows.collect::<Result<_, _>>().unwrap_or_default();
    rows.into_iter().filter_map(|row| row.subject.ok()).map(|subject| subject_text(&subject)).collect()
}

#[test]
fn does_not_believe_a_last_row_without_its_line_end() {
    check(&csv(), "email\na@b\nc@d.exam", "2 a@b\n3 invalid unterminated_last_row\n");
    check(&csv(), "email\nc@d.exam", "rejected unterminated_only_row at 2\n");
    check(&csv(), "email\n\"c@d\"", "rejected unterminated_only_row at 2\n");
    check(&csv(), "email\na@b\r", "2 a@b\n");
    check(&csv(), "email\na@b\n  ", "2 a@b\n");
    let accepted = Reading { accept_unterminated: true, ..csv() };
    check(&accepted, "email\na@b\nc@d", "2 a@b\n3 c@d\n");
    check(&Reading { vouched: true, ..csv() }, "email\nc@d", "2 c@d\n");
}

#[test]
fn a_complete_object_vouches_for_itself() {
    check(&jsonl(), "{\"email\":\"a@b\"}\n{\"email\":\"c@d\"}", "1 a@b\n2 c@d\n");
    check(&jsonl(), "{\"email\":\"a@b\"}\n{\"email\":\"c@d\"", "1 a@b\n2 invalid unterminated_last_row\n");
    check(&jsonl(), "{\"email\":\"c@d\"", "rejected unterminated_only_row at 1\n");
}

#[test]
fn does_not_believe_the_row_at_a_seam() {
    let resumed = |seams: &[u64]| Reading { seams: seams.to_vec(), ..csv() };
    let text = "email\naa@b\ncc@d\nee@f\n";
    check(&resumed(&[11]), text, "2 aa@b\n3 invalid resumed_here\n4 ee@f\n");
    check(&resumed(&[13]), text, "2 aa@b\n3 invalid resumed_here\n4 ee@f\n");
    check(&resumed(&[15]), text, "2 aa@b\n3 invalid resumed_here\n4 ee@f\n");
    check(&resumed(&[16]), text, "2 aa@b\n3 cc@d\n4 invalid resumed_here\n");
    check(&resumed(&[6, 20]), text, "2 invalid resumed_here\n3 cc@d\n4 invalid resumed_here\n");
    check(&resumed(&[21]), text, "2 aa@b\n3 cc@d\n4 ee@f\n");
    check(&resumed(&[0]), text, "2 aa@b\n3 cc@d\n4 ee@f\n");
    check(&resumed(&[3]), text, "rejected resumed_in_header at 1\n");
    check(&resumed(&[2]), &format!("\u{feff}{text}"), "rejected resumed_in_header at 1\n");
    check(&resumed(&[14]), &format!("\u{feff}{text}"), "2 aa@b\n3 invalid resumed_here\n4 ee@f\n");
    check(&Reading { vouched: true, ..resumed(&[3, 13]) }, text, "2 aa@b\n3 cc@d\n4 ee@f\n");
    let objects = "{\"email\":\"a@b\"}\n{\"email\":\"c@d\"}\n";
    check(&Reading { seams: vec![3], ..jsonl() }, objects, "1 invalid resumed_here\n2 c@d\n");
    check(&Reading { seams: vec![20], ..jsonl() }, objects, "1 a@b\n2 invalid resumed_here\n");
}

#[test]
fn finds_seams_in_utf_16_by_stored_bytes() {
    let text = "email,n\naa@b,\u{1f600}é\ncc@d,€\nee@f,\n";
    let stored = utf16(text, u16::to_le_bytes);
    let third = utf16("email,n\naa@b,\u{1f600}é\n", u16::to_le_bytes).len() as u64;
    for (seam, expected) in [
        (third - 1, "2 invalid resumed_here\n3 cc@d\n4 ee@f\n"),
        (third, "2 aa@b\n3 invalid resumed_here\n4 ee@f\n"),
        (third + 13, "2 aa@b\n3 invalid resumed_here\n4 ee@f\n"),
        (third + 14, "2 aa@b\n3 cc@d\n4 invalid resumed_here\n"),
    ] {
        assert_eq!(tell(stored.as_slice(), &Reading { seams: vec![seam], ..csv() }), expected, "{seam}");
    }
}

/// Lists of every make, each as stored bytes.
fn makes() -> Vec<(Reading, Vec<u8>)> {
    let texts = [
        "Customer Email,note\nann@x.example,\"a \"\"b\"\"\"\n\n\"bob@x.example.example\",\"two\nlines\"\ncarl@x.co,\n",
        "accountId;id;doNotTrack\r\nacc1;12345;true\r\n\"acc;2\";\"67\"\"89\";\r\nacc33;1;FALSE\r\n",
        "id\taccountId\ré1\tä\r22\t33\r",
    ];
    let mut makes = Vec::new();
    for text in texts {
        makes.push((csv(), text.as_bytes().to_vec()));
        makes.push((csv(), [b"\xef\xbb\xbf", text.as_bytes()].concat()));
        makes.push((csv(), utf16(text, u16::to_le_bytes)));
        makes.push((csv(), utf16(text, u16::to_be_bytes)));
    }
    let objects = "{\"accountId\":\"a\",\"id\":12345}\n{\"accountId\":\"a\",\"id\":\"678\",\"x\":{}}\r\n{\"id\":\"9\",\"accountId\":99}";
    makes.push((jsonl(), objects.as_bytes().to_vec()));
    makes.push((jsonl(), utf16(objects, u16::to_le_bytes)));
    makes
}

#[test]
fn a_file_cut_anywhere_names_nobody_new() {
    for (reading, whole) in makes() {
        let all = named(&whole, &reading);
        assert!(all.len() >= 2);
        for len in 0..whole.len() {
            let some = named(&whole[..len], &reading);
            assert!(some.is_subset(&all), "cut at {len} of {:?}", String::from_utf8_lossy(&whole));
        }
    }
}

fn well_formed() -> impl Strategy<Value = (Vec<Vec<String>>, u8, &'static str, bool)> {
    let cell = prop_oneof![3 => "[a-z0-9 é€]{0,6}", 1 => "[a-z,;|\"\t\n\r]{0,6}"];
    let rows = (1usize..4).prop_flat_map(move |width| prop::collection::vec(prop::collection::vec(cell.clone(), width), 0..8));
    (rows, prop::sample::select(&b",;\t|"[..]), prop::sample::select(&["\n", "\r\n", "\r"][..]), any::<bool>())
}

const MARKS: &[&[u8]] = &[b"", b"\xff\xfe", b"\xfe\xff", b"email\n", b"{\"email\":"];

fn long_runs() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// The rows of one resumed upload: the head of one list, the tail of another. Notes run over lines that look like rows.
fn list() -> impl Strategy<Value = String> {
    let flags = prop::sample::select(&["", "true", "\"false\""][..]);
    let notes =
        prop::sample::select(&["", "\"\"", "plain", "\"said\nxx,99,,\nand more\"", "\"a \"\"b\"\",\nyy,88,,\"", "\"\nzz,77,,\n\""][..]);
    prop::collection::vec(("[a-c]{1,3}", "[0-9]{1,4}", flags, notes), 1..6).prop_map(|rows| {
        let rows = rows.into_iter().map(|(account, id, flag, note)| format!("{account},\"{id}\",{flag},{note}\n"));
        "accountId,id,doNotTrack,note\n".to_owned() + &rows.collect::<String>()
    })
}

#[test]
fn text_of_a_quoted_cell_is_never_taken_for_rows_behind_a_seam() {
    let resumed = |head: &str, tail: &str, expected: &str| {
        let text = format!("email,note\n{head}{tail}");
        check(&Reading { seams: vec![11 + head.len() as u64], ..csv() }, &text, expected);
    };
    // The first upload was between cells, the second one inside of one.
    resumed("aa@b,x", "y\ncc@d,two\nthree\",\nee@f,\n", "2 invalid resumed_here\n3 cc@d\nrejected resumed_in_quotes at 4\n");
    resumed("aa@b,\n", "cc@d,two\n\",\nee@f,\"q\"\n", "2 aa@b\n3 invalid resumed_here\nrejected resumed_in_quotes at 4\n");
    // The first was inside of one, the second between cells.
    resumed("aa@b,\"one", "x\ncc@d,\"two\nee@f,three\"\n", "rejected resumed_in_quotes at 2\n");
    resumed("aa@b,\"one", ",\"two\nee@f,three\"\n", "rejected resumed_in_quotes at 2\n");
    // Quotes that fit do no harm.
    resumed("aa@b,\"on", "e\"\ncc@d,\"two\nthree\"\n", "2 invalid resumed_here\n3 cc@d\n");
    let whole = "email,note\naa@b,\"one\ncc@d,two\"\n";
    check(&Reading { seams: vec![20], vouched: true, ..csv() }, whole, "2 aa@b\n");
}

proptest! {
    #![proptest_config(long_runs())]

    #[test]
    fn reads_cells_as_the_csv_crate_does((rows, delimiter, line_end, all_quoted) in well_formed(), step in 1usize..8) {
        let style = if all_quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let terminator = if line_end == "\r\n" { csv::Terminator::CRLF } else { csv::Terminator::Any(line_end.as_bytes()[0]) };
        let width = rows.first().map_or(1, Vec::len);
        // A single column does not tell its separator.
        let delimiter = if width == 1 { b',' } else { delimiter };
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).quote_style(style).terminator(terminator).from_writer(Vec::new());
        let header: Vec<String> = (0..width).map(|column| format!("c{}", "x".repeat(column))).collect();
        writer.write_record(&header).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let bytes = writer.into_inner().unwrap();

        let columns: Vec<_> = header.iter().map(|name| (name.as_str(), table::Cells::Text)).collect();
        let reading = table::TableReading { format: crate::domain::Format::Csv, limits: Limits::default(), columns: &columns, also_called: &[] };
        let got: Vec<_> = table::read(Trickle(bytes.as_slice(), step), &reading).unwrap().map(|row| row.unwrap().values.unwrap()).collect();
        let blank = |cell: &String| cell.trim().is_empty();
        let wanted: Vec<_> = rows
            .into_iter()
            .filter(|row| !row.iter().all(blank))
            .map(|row| row.into_iter().map(|cell| (!blank(&cell)).then_some(cell)).collect::<Vec<_>>())
            .collect();
        prop_assert_eq!(got, wanted, "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn gives_the_same_rows_however_the_bytes_arrive(bytes in prop::collection::vec(prop::sample::select(&b"a@b,;\"\"\n\r\xff\0 e"[..]), 0..200), step in 1usize..8) {
        for head in ["email,e\n", "e;email\r\n", "\"email\"\r", ""] {
            for limit in [65_536, 20] {
                let reading = Reading { limits: Limits { row_bytes_max: limit, quoted_lines_max: 3, ..Limits::default() }, ..csv() };
                let input = [head.as_bytes(), &bytes].concat();
                let whole = tell(input.as_slice(), &reading);
                prop_assert_eq!(tell(Trickle(input.as_slice(), step), &reading), whole);
            }
        }
    }

    #[test]
    fn never_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), mark in prop::sample::select(MARKS)) {
        let input = [mark, &bytes].concat();
        for reading in [csv(), jsonl()] {
            let reading = Reading { seams: vec![7, 20], ..reading };
            prop_assert_eq!(tell(input.as_slice(), &reading), tell(Trickle(input.as_slice(), 3), &reading));
        }
    }

    #[test]
    fn a_resumed_file_names_nobody_who_stood_in_neither_list(one in list(), two in list(), at in any::<prop::sample::Index>()) {
        let at = at.index(one.len().min(two.len()));
        let spliced = [&one.as_bytes()[..at], &two.as_bytes()[at..]].concat();
        let both: BTreeSet<_> = named(one.as_bytes(), &csv()).union(&named(two.as_bytes(), &csv())).cloned().collect();
        let some = named(&spliced, &Reading { seams: vec![at as u64], ..csv() });
        prop_assert!(some.is_subset(&both), "{:?} from {:?}", some, String::from_utf8_lossy(&spliced));
    }
}
