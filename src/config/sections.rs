//! The sections of a config file, each option with its default and its bounds.
//!
//! Plain values: numbers, texts, paths. The wiring makes each part's own options of them.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Serialize;

use super::option::{Options, Slot, Visit};
use crate::domain::Settings;
use crate::telemetry::{Format, Level};

/// `[sftp]`: receiving.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SftpSection {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// The name by which senders reach this host; empty: not told to them.
    pub public_host: String,
    /// Sessions at once.
    pub sessions_max: u64,
    /// Sessions of one tenant at once.
    pub sessions_per_tenant_max: u64,
    /// Connections from one source address at once.
    pub sessions_per_source_max: u64,
    /// Time from connecting to being logged in.
    pub login_seconds_max: u64,
    /// Refused keys before a connection is closed.
    pub login_attempts_max: u64,
    /// Silence before a session is closed.
    pub idle_seconds_max: u64,
    /// Time that a client may leave a reply unread.
    pub reply_seconds_max: u64,
    /// Open files and folders of one session.
    pub handles_per_session_max: u64,
    /// Size of one upload.
    pub upload_bytes_max: u64,
}

impl Default for SftpSection {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 2022))],
            public_host: String::new(),
            sessions_max: 256,
            sessions_per_tenant_max: 16,
            sessions_per_source_max: 32,
            login_seconds_max: 30,
            login_attempts_max: 6,
            idle_seconds_max: 600,
            reply_seconds_max: 60,
            handles_per_session_max: 64,
            upload_bytes_max: 4 << 30,
        }
    }
}

impl Options for SftpSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("listen", Slot::Addresses(&mut self.listen));
        visit("public_host", Slot::Text(&mut self.public_host));
        visit("sessions_max", Slot::Number(&mut self.sessions_max, 1..=10_000));
        visit("sessions_per_tenant_max", Slot::Number(&mut self.sessions_per_tenant_max, 1..=10_000));
        visit("sessions_per_source_max", Slot::Number(&mut self.sessions_per_source_max, 1..=10_000));
        visit("login_seconds_max", Slot::Number(&mut self.login_seconds_max, 1..=600));
        visit("login_attempts_max", Slot::Number(&mut self.login_attempts_max, 1..=100));
        visit("idle_seconds_max", Slot::Number(&mut self.idle_seconds_max, 10..=86_400));
        visit("reply_seconds_max", Slot::Number(&mut self.reply_seconds_max, 1..=3_600));
        visit("handles_per_session_max", Slot::Number(&mut self.handles_per_session_max, 1..=1_000));
        visit("upload_bytes_max", Slot::Number(&mut self.upload_bytes_max, 1..=1 << 40));
    }
}

/// `[pipeline]`: picking up and importing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PipelineSection {
    /// How long a file that did not come through us must be unchanged.
    pub settle_seconds: u64,
    /// Time between scans that nothing asked for.
    pub scan_interval_seconds: u64,
    /// How long a file waits for the checksum file that its tenant requires.
    pub checksum_wait_seconds: u64,
    /// Time that one chunk of deletions aims at.
    pub chunk_milliseconds: u64,
    /// Time that sessions and imports get to end at a stop.
    pub drain_seconds: u64,
}

impl Default for PipelineSection {
    fn default() -> Self {
        Self { settle_seconds: 2, scan_interval_seconds: 30, checksum_wait_seconds: 3_600, chunk_milliseconds: 250, drain_seconds: 20 }
    }
}

impl Options for PipelineSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("settle_seconds", Slot::Number(&mut self.settle_seconds, 0..=3_600));
        visit("scan_interval_seconds", Slot::Number(&mut self.scan_interval_seconds, 1..=3_600));
        visit("checksum_wait_seconds", Slot::Number(&mut self.checksum_wait_seconds, 1..=604_800));
        visit("chunk_milliseconds", Slot::Number(&mut self.chunk_milliseconds, 10..=10_000));
        visit("drain_seconds", Slot::Number(&mut self.drain_seconds, 1..=60));
    }
}

/// `[store]`: the database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreSection {
    /// Page cache of the connection that deletes.
    pub cache_mib: u64,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self { cache_mib: 256 }
    }
}

impl Options for StoreSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("cache_mib", Slot::Number(&mut self.cache_mib, 1..=65_536));
    }
}

/// `[scrub]`: when the store is searched for traces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScrubSection {
    /// Purged database rows after which a scrub begins.
    pub after_rows: u64,
    /// Time after which a scrub begins for fewer.
    pub after_minutes: u64,
}

impl Default for ScrubSection {
    fn default() -> Self {
        Self { after_rows: 10_000, after_minutes: 60 }
    }
}

impl Options for ScrubSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("after_rows", Slot::Number(&mut self.after_rows, 1..=1_000_000_000));
        visit("after_minutes", Slot::Number(&mut self.after_minutes, 0..=43_200));
    }
}

/// `[retention]`: how long files are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RetentionSection {
    /// Days that originals and results are kept, which hold what the sender wrote.
    pub originals_days: u64,
    /// Days that reports are kept, which hold no id and no address.
    pub reports_days: u64,
}

impl Default for RetentionSection {
    fn default() -> Self {
        Self { originals_days: 30, reports_days: 2_192 }
    }
}

impl Options for RetentionSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("originals_days", Slot::Number(&mut self.originals_days, 1..=36_500));
        visit("reports_days", Slot::Number(&mut self.reports_days, 1..=36_500));
    }
}

/// `[limits]`: what a list may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LimitsSection {
    /// Size of one row.
    pub row_bytes_max: u64,
    /// Lines that one quoted cell may span.
    pub quoted_lines_max: u64,
    /// Columns of a list.
    pub columns_max: u64,
    /// Rows of a list.
    pub rows_per_file_max: u64,
    /// Rows above which a report carries a warning.
    pub rows_recommended: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self { row_bytes_max: 65_536, quoted_lines_max: 100, columns_max: 1_000, rows_per_file_max: 5_000_000, rows_recommended: 500_000 }
    }
}

impl Options for LimitsSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("row_bytes_max", Slot::Number(&mut self.row_bytes_max, 1_024..=16 << 20));
        visit("quoted_lines_max", Slot::Number(&mut self.quoted_lines_max, 1..=100_000));
        visit("columns_max", Slot::Number(&mut self.columns_max, 1..=100_000));
        visit("rows_per_file_max", Slot::Number(&mut self.rows_per_file_max, 1..=100_000_000));
        visit("rows_recommended", Slot::Number(&mut self.rows_recommended, 1..=100_000_000));
    }
}

/// `[log]`: how the daemon tells what happened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogSection {
    /// Lines for people or for machines.
    pub format: Format,
    /// The least important line that is written.
    pub level: Level,
}

impl Options for LogSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        let (format, level) = (&mut self.format, &mut self.level);
        visit("format", Slot::Choice { words: &Format::WORDS, now: *format as usize, set: &mut |n| *format = Format::ALL[n] });
        visit("level", Slot::Choice { words: &Level::WORDS, now: *level as usize, set: &mut |n| *level = Level::ALL[n] });
    }
}

/// `[tenant_defaults]`, and the same options of one tenant: how its lists are read and what they ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct TenantOptions {
    /// Where a row says nothing: keep the account when its last user goes.
    pub preserve_empty_accounts: bool,
    /// Where a row says nothing: never register this person again.
    pub do_not_track: bool,
    /// Headers beside the known ones that hold an address.
    pub email_aliases: Vec<String>,
    /// The column that is echoed in the results.
    pub request_id_column: Option<String>,
    /// Whether a file waits for its `NAME.sha256`.
    pub require_checksum: bool,
    /// Whether a resumed upload counts as whole.
    pub trust_resumes: bool,
    /// Whether a last row without a line end counts as whole.
    pub accept_unterminated_last_row: bool,
}

impl TenantOptions {
    /// The settings of an import from this tenant's inbox.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings { preserve_empty_accounts: self.preserve_empty_accounts, do_not_track: self.do_not_track }
    }

    /// Every option and its value as it would stand in a file, in the order of the sample.
    #[must_use]
    pub fn show(&self) -> Vec<(&'static str, String)> {
        let mut shown = Vec::new();
        self.clone().each(&mut |key, slot| shown.push((key, slot.show())));
        shown
    }
}

impl Options for TenantOptions {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("preserve_empty_accounts", Slot::Flag(&mut self.preserve_empty_accounts));
        visit("do_not_track", Slot::Flag(&mut self.do_not_track));
        visit("email_aliases", Slot::Columns(&mut self.email_aliases));
        visit("request_id_column", Slot::Column(&mut self.request_id_column));
        visit("require_checksum", Slot::Flag(&mut self.require_checksum));
        visit("trust_resumes", Slot::Flag(&mut self.trust_resumes));
        visit("accept_unterminated_last_row", Slot::Flag(&mut self.accept_unterminated_last_row));
    }
}
