//! The bytes of a report, of results and of a status.

use jiff::Timestamp;

use super::*;
use crate::domain::{Counts, Dialect, IdentityKey, ImportId, Mode, Outcome, Reason, Rejection, RowError, State, Tally, TenantName};

fn tenant() -> TenantName {
    TenantName::parse("acme").unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn counts(pairs: &[(&str, u64)]) -> Counts {
    let mut counts = Counts::default();
    pairs.iter().for_each(|(name, count)| counts.add(name, *count));
    counts
}

fn report(mode: Mode) -> Report {
    let mut report = Report {
        import: ImportId(42),
        tenant: tenant(),
        file: "june.csv".to_owned(),
        sha256: "ab".repeat(32),
        bytes: 1234,
        same_as: None,
        dialect: Some(Dialect::EmailCsv),
        mode,
        status: State::Completed,
        reason: None,
        warnings: Vec::new(),
        received_at: time("2026-11-21T19:40:10.987654321Z"),
        started_at: Some(time("2026-11-21T19:40:11Z")),
        finished_at: time("2026-11-21T19:40:12.5Z"),
        rows: Tally { read: 6, deleted: 3, not_found: 1, duplicate: 1, invalid: 1, exempt: 0, skipped: 0 },
        removed: counts(&[("customers", 3), ("accounts", 2), ("rewards", 1)]),
        detached: counts(&[("referrals", 4)]),
        overwritten: Counts::default(),
        accounts: Accounts { deleted: 2, preserved: 1 },
        suppressed: 0,
        would_hold: (mode == Mode::Check).then_some(false),
        errors: Vec::new(),
        errors_omitted: 0,
        retained: vec![Retained { what: "original".to_owned(), until: "2026-12-21".parse().unwrap() }],
        plan: "sha256:00".to_owned(),
        previous: None,
    };
    report.bad_row(4, &RowError { column: Some("Customer Email".to_owned()), reason: Reason::EmailMalformed });
    report
}

#[test]
fn a_report_has_its_fields_in_the_documented_order() {
    let expected = r#"{
  "version": 1,
  "import": 42,
  "tenant": "acme",
  "file": "june.csv",
  "sha256": "abababababababababababababababababababababababababababababababab",
  "bytes": 1234,
  "same_as": null,
  "dialect": "email_csv",
  "mode": "purge",
  "status": "completed",
  "reason": null,
  "warnings": [],
  "received_at": "2026-11-21T19:40:10Z",
  "started_at": "2026-11-21T19:40:11Z",
  "finished_at": "2026-11-21T19:40:12Z",
  "rows": {
    "read": 6,
    "deleted": 3,
    "not_found": 1,
    "duplicate": 1,
    "invalid": 1,
    "exempt": 0,
    "skipped": 0
  },
  "removed": {
    "customers": 3,
    "accounts": 2,
    "rewards": 1
  },
  "detached": {
    "referrals": 4
  },
  "overwritten": {},
  "accounts": {
    "deleted": 2,
    "preserved": 1
  },
  "suppressed": 0,
  "errors": [
    {
      "line": 4,
      "column": "Customer Email",
      "reason": "email_malformed",
      "message": "not one e-mail address; write exactly one address a row, without a name or brackets"
    }
  ],
  "errors_omitted": 0,
  "retained": [
    {
      "what": "original",
      "until": "2026-12-21"
    }
  ],
  "plan": "sha256:00",
  "previous": null
}
"#;
    assert_eq!(report(Mode::Purge).to_json(), expected);
}

#[test]
fn a_check_says_what_would_be() {
    let json = report(Mode::Check).to_json();
    assert!(json.contains("\"would_delete\": 3") && json.contains("\"would_hold\": false"), "{json}");
    assert!(!json.contains("\"deleted\": 3"), "{json}");
}

#[test]
fn a_report_reads_back_as_it_was_written() {
    for mode in [Mode::Purge, Mode::Check] {
        let json = report(mode).to_json();
        let again: Report = serde_json::from_str(&json).unwrap();
        assert_eq!(again.to_json(), json);
        assert_eq!(again.rows, report(mode).rows);
    }
}

#[test]
fn a_report_lists_the_first_thousand_errors_and_counts_the_rest() {
    let mut report = report(Mode::Purge);
    for line in 0..1_001 {
        report.bad_row(line, &RowError { column: None, reason: Reason::RowTooLong });
    }
    assert_eq!((report.errors.len(), report.errors_omitted), (1_000, 2));
    let refused = ReportError::file(&Rejection::new("two_dialects", "…").at(1));
    assert_eq!((refused.line, refused.reason.as_str()), (Some(1), "two_dialects"));
}

#[test]
fn results_hold_a_line_for_each_row_and_no_address() {
    let key = IdentityKey::new([7; 32]);
    let mut writer = ResultsWriter::new(Vec::new(), Mode::Purge, tenant(), key.clone()).unwrap();
    let mut row = |line, outcome, account_id: &str, id: &str, request_id: &str, why, customers| {
        writer.row(&ResultsRow { line, outcome, account_id, id, request_id, why, customers }).unwrap();
    };
    row(2, Outcome::Deleted, "a,1", "007", "", Why::Blank, 3);
    row(3, Outcome::Duplicate, "", "=1+1", "-x", Why::SameAs(2), 1);
    row(5, Outcome::Invalid, "+x", "\tx", "a\r\nb", Why::Bad(Reason::Missing), 0);
    row(6, Outcome::NotFound, "ann@x.example", "@x", "ann%40x.example", Why::Blank, 0);
    let text = String::from_utf8(writer.finish().unwrap()).unwrap();
    let hashed = |text: &str| key.text(&tenant(), text);
    let expected = format!(
        "line,outcome,accountId,id,requestId,reason,customers\n\
         2,deleted,\"a,1\",007,,,3\n\
         3,duplicate,,'=1+1,'-x,line 2,\n\
         5,invalid,'+x,'\u{fffd}x,a\u{fffd}\u{fffd}b,missing,\n\
         6,not_found,{},{},{},,\n",
        hashed("ann@x.example"),
        hashed("@x"),
        hashed("ann%40x.example"),
    );
    assert_eq!(text, expected);
}

#[test]
fn a_status_is_the_one_place_to_poll() {
    let mut status = Status {
        state: "completed".to_owned(),
        mode: Mode::Check,
        reason: None,
        import: Some(ImportId(42)),
        sha256: None,
        received_at: time("2026-11-21T19:40:10.9Z"),
        report: Some("/archive/2026-11-21/42-june.csv.report.json".to_owned()),
        message: None,
    };
    let expected = r#"{
  "state": "completed",
  "mode": "check",
  "reason": null,
  "import": 42,
  "sha256": null,
  "received_at": "2026-11-21T19:40:10Z",
  "report": "/archive/2026-11-21/42-june.csv.report.json"
}
"#;
    assert_eq!(status.to_json(), expected);
    status.message = Some("held".to_owned());
    assert_eq!(serde_json::from_str::<Status>(&status.to_json()).unwrap().message, status.message);
}
