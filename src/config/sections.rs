//! The sections of a config file, each option with its default and its bounds.
//!
//! Plain values: numbers, texts, paths. The wiring makes each part's own options of them; where a part has defaults of its own, they are
//! the section's.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Serialize;

use super::option::{Options, Slot, Visit};
use crate::domain::Settings;
use crate::purge::Brake;
use crate::sftp::{self, Quota};
use crate::telemetry::{Format, Level};

/// `[sftp]`: receiving.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SftpSection {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// The name by which senders reach this host; empty: not told to them.
    pub public_host: String,
    /// The keys by which senders know this host; none: the one that `init` makes.
    pub host_keys: Vec<PathBuf>,
    /// Whether older algorithms are offered as well.
    pub legacy_clients: bool,
    /// Sessions at once.
    pub sessions_max: u64,
    /// Sessions of one tenant at once.
    pub sessions_per_tenant_max: u64,
    /// Connections from one source address at once.
    pub sessions_per_source_max: u64,
    /// Time from connecting to being logged in.
    pub login_seconds_max: u64,
    /// Refused keys and passwords before a connection is closed.
    pub login_attempts_max: u64,
    /// Whether passwords are taken.
    pub password_login: bool,
    /// Passwords that are checked at once.
    pub password_checks_max: u64,
    /// What a source must owe to be turned away.
    pub penalty_seconds_min: u64,
    /// The most that a source can owe.
    pub penalty_seconds_max: u64,
    /// Sources that owe nothing.
    pub penalty_exempt_networks: Vec<IpNet>,
    /// Silence before a session is closed.
    pub idle_seconds_max: u64,
    /// Time that a client may leave a reply unread.
    pub reply_seconds_max: u64,
    /// Open files and folders of one channel, of which a session may have several.
    pub handles_per_channel_max: u64,
    /// Size of one upload.
    pub upload_bytes_max: u64,
    /// Days after which a partial that nobody writes goes.
    pub partials_days: u64,
    /// Room on the disk below which nothing is taken.
    pub free_bytes_min: u64,
}

impl Default for SftpSection {
    fn default() -> Self {
        let options = sftp::Options::default();
        Self {
            listen: options.listen,
            public_host: String::new(),
            host_keys: Vec::new(),
            legacy_clients: options.legacy_clients,
            sessions_max: options.sessions_max as u64,
            sessions_per_tenant_max: options.sessions_per_tenant_max as u64,
            sessions_per_source_max: options.sessions_per_source_max as u64,
            login_seconds_max: options.login_seconds,
            login_attempts_max: options.login_attempts_max as u64,
            password_login: options.password_login,
            password_checks_max: options.password_checks_max as u64,
            penalty_seconds_min: options.penalties.seconds_min,
            penalty_seconds_max: options.penalties.seconds_max,
            penalty_exempt_networks: options.penalties.exempt,
            idle_seconds_max: options.idle_seconds,
            reply_seconds_max: options.reply_seconds,
            handles_per_channel_max: options.handles_per_channel_max as u64,
            upload_bytes_max: options.upload_bytes_max,
            partials_days: 30,
            free_bytes_min: options.free_bytes_min,
        }
    }
}

impl Options for SftpSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("listen", Slot::Addresses(&mut self.listen));
        visit("public_host", Slot::Text(&mut self.public_host));
        visit("host_keys", Slot::Paths(&mut self.host_keys));
        visit("legacy_clients", Slot::Flag(&mut self.legacy_clients));
        visit("sessions_max", Slot::Number(&mut self.sessions_max, 1..=10_000));
        visit("sessions_per_tenant_max", Slot::Number(&mut self.sessions_per_tenant_max, 1..=10_000));
        visit("sessions_per_source_max", Slot::Number(&mut self.sessions_per_source_max, 1..=10_000));
        visit("login_seconds_max", Slot::Number(&mut self.login_seconds_max, 1..=600));
        visit("login_attempts_max", Slot::Number(&mut self.login_attempts_max, 1..=100));
        visit("password_login", Slot::Flag(&mut self.password_login));
        visit("password_checks_max", Slot::Number(&mut self.password_checks_max, 1..=64));
        visit("penalty_seconds_min", Slot::Number(&mut self.penalty_seconds_min, 1..=3_600));
        visit("penalty_seconds_max", Slot::Number(&mut self.penalty_seconds_max, 0..=86_400));
        visit("penalty_exempt_networks", Slot::Networks(&mut self.penalty_exempt_networks));
        visit("idle_seconds_max", Slot::Number(&mut self.idle_seconds_max, 10..=86_400));
        visit("reply_seconds_max", Slot::Number(&mut self.reply_seconds_max, 1..=3_600));
        visit("handles_per_channel_max", Slot::Number(&mut self.handles_per_channel_max, 1..=1_000));
        visit("upload_bytes_max", Slot::Number(&mut self.upload_bytes_max, 1..=1 << 40));
        visit("partials_days", Slot::Number(&mut self.partials_days, 1..=3_650));
        visit("free_bytes_min", Slot::Number(&mut self.free_bytes_min, 0..=1 << 50));
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
    /// Time that sessions get to finish their open files at a stop. An import stops at the end of its chunk, however long that takes.
    pub drain_seconds: u64,
    /// Faults of ours after which an import waits for an operator.
    pub attempts_max: u64,
    /// Time after which an import that waits for an operator is told of again.
    pub hold_warn_hours: u64,
    /// Time after which a held import ends as rejected.
    pub hold_days: u64,
}

impl Default for PipelineSection {
    fn default() -> Self {
        Self {
            settle_seconds: 2,
            scan_interval_seconds: 30,
            checksum_wait_seconds: 3_600,
            chunk_milliseconds: 400,
            drain_seconds: sftp::Options::default().drain_seconds,
            attempts_max: 10,
            hold_warn_hours: 24,
            hold_days: 14,
        }
    }
}

impl Options for PipelineSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("settle_seconds", Slot::Number(&mut self.settle_seconds, 0..=3_600));
        visit("scan_interval_seconds", Slot::Number(&mut self.scan_interval_seconds, 1..=3_600));
        visit("checksum_wait_seconds", Slot::Number(&mut self.checksum_wait_seconds, 1..=604_800));
        visit("chunk_milliseconds", Slot::Number(&mut self.chunk_milliseconds, 10..=10_000));
        visit("drain_seconds", Slot::Number(&mut self.drain_seconds, 1..=60));
        visit("attempts_max", Slot::Number(&mut self.attempts_max, 1..=1_000));
        visit("hold_warn_hours", Slot::Number(&mut self.hold_warn_hours, 1..=8_760));
        visit("hold_days", Slot::Number(&mut self.hold_days, 1..=365));
    }
}

/// `[store]`: the database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreSection {
    /// A database of one's own, in place of the embedded store.
    pub database: Option<PathBuf>,
    /// The erasure plan for that database.
    pub plan: Option<PathBuf>,
    /// Most rows of a table that a key without an index leads to.
    pub unindexed_rows_max: u64,
    /// Page cache of the connection that deletes.
    pub cache_mib: u64,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self { database: None, plan: None, unindexed_rows_max: 1_000_000, cache_mib: 288 }
    }
}

impl Options for StoreSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("database", Slot::File(&mut self.database));
        visit("plan", Slot::File(&mut self.plan));
        visit("unindexed_rows_max", Slot::Number(&mut self.unindexed_rows_max, 0..=1 << 40));
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
    /// What a compressed list may unpack to.
    pub unpacked_bytes_max: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            row_bytes_max: 65_536,
            quoted_lines_max: 100,
            columns_max: 1_000,
            rows_per_file_max: 5_000_000,
            rows_recommended: 500_000,
            unpacked_bytes_max: 4 << 30,
        }
    }
}

impl Options for LimitsSection {
    fn each(&mut self, visit: &mut Visit<'_>) {
        visit("row_bytes_max", Slot::Number(&mut self.row_bytes_max, 1_024..=16 << 20));
        visit("quoted_lines_max", Slot::Number(&mut self.quoted_lines_max, 1..=100_000));
        visit("columns_max", Slot::Number(&mut self.columns_max, 1..=100_000));
        visit("rows_per_file_max", Slot::Number(&mut self.rows_per_file_max, 1..=100_000_000));
        visit("unpacked_bytes_max", Slot::Number(&mut self.unpacked_bytes_max, 1..=1 << 40));
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
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TenantOptions {
    /// Where a row says nothing: keep the account when its last user goes.
    pub preserve_empty_accounts: bool,
    /// Where a row says nothing: never register this person again.
    pub do_not_track: bool,
    /// Above which numbers an import waits for an operator.
    #[serde(flatten)]
    pub brake: Brake,
    /// What a bad row means for its file.
    pub bad_rows: BadRows,
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
    /// From where its login may be used; empty: from everywhere.
    pub allowed_networks: Vec<IpNet>,
    /// Whom its sender may ask; empty: nobody is named.
    pub support_contact: String,
    /// Bytes that wait.
    pub pending_bytes_max: u64,
    /// Files that wait.
    pub pending_files_max: u64,
    /// Bytes of a day's uploads.
    pub bytes_per_day_max: u64,
}

impl Default for TenantOptions {
    fn default() -> Self {
        let quota = Quota::default();
        Self {
            preserve_empty_accounts: false,
            do_not_track: false,
            email_aliases: Vec::new(),
            request_id_column: None,
            require_checksum: false,
            trust_resumes: false,
            accept_unterminated_last_row: false,
            brake: Brake::default(),
            bad_rows: BadRows::default(),
            allowed_networks: Vec::new(),
            support_contact: String::new(),
            pending_bytes_max: quota.pending_bytes_max,
            pending_files_max: quota.pending_files_max,
            bytes_per_day_max: quota.bytes_per_day_max,
        }
    }
}

/// What a bad row means for its file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BadRows {
    /// The row is reported, the others count.
    #[default]
    Skip,
    /// The file is rejected: all or nothing.
    RejectFile,
}

impl BadRows {
    /// Each, in the order of [`BadRows::WORDS`].
    pub const ALL: [Self; 2] = [Self::Skip, Self::RejectFile];
    /// Their words in the config.
    pub const WORDS: [&'static str; 2] = ["skip", "reject_file"];
}

/// No count of rows or customers is larger.
const COUNT_MAX: u64 = 1_000_000_000_000;

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
        visit("hold_customers_above", Slot::Number(&mut self.brake.customers_above, 0..=COUNT_MAX));
        visit("hold_customers_percent_above", Slot::Number(&mut self.brake.customers_percent_above, 0..=100));
        visit("hold_invalid_rows_above", Slot::Number(&mut self.brake.invalid_rows_above, 0..=COUNT_MAX));
        visit("hold_invalid_percent_above", Slot::Number(&mut self.brake.invalid_percent_above, 0..=100));
        let bad_rows = &mut self.bad_rows;
        visit("bad_rows", Slot::Choice { words: &BadRows::WORDS, now: *bad_rows as usize, set: &mut |n| *bad_rows = BadRows::ALL[n] });
        visit("email_aliases", Slot::Columns(&mut self.email_aliases));
        visit("request_id_column", Slot::Column(&mut self.request_id_column));
        visit("require_checksum", Slot::Flag(&mut self.require_checksum));
        visit("trust_resumes", Slot::Flag(&mut self.trust_resumes));
        visit("accept_unterminated_last_row", Slot::Flag(&mut self.accept_unterminated_last_row));
        visit("allowed_networks", Slot::Networks(&mut self.allowed_networks));
        visit("support_contact", Slot::Text(&mut self.support_contact));
        visit("pending_bytes_max", Slot::Number(&mut self.pending_bytes_max, 1..=1 << 50));
        visit("pending_files_max", Slot::Number(&mut self.pending_files_max, 1..=1_000_000));
        visit("bytes_per_day_max", Slot::Number(&mut self.bytes_per_day_max, 1..=1 << 50));
    }
}
