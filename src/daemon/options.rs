//! What the configuration says, in the terms of each layer that knows none of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{BadRows, Config, Tenant};
use crate::domain::TenantName;
use crate::pipeline::{Rules, ScrubOptions};
use crate::records::Limits;
use crate::{pipeline, sftp, store};

/// How long the daemon waits for another writer of the store before it backs off.
const BUSY_MS: u64 = 5_000;

/// The rules of a tenant's files.
#[must_use]
pub fn rules(config: &Config, tenant: &Tenant) -> Rules {
    let options = &tenant.options;
    Rules {
        settings: options.settings(),
        email_aliases: options.email_aliases.clone(),
        request_id_column: options.request_id_column.clone(),
        require_checksum: options.require_checksum,
        trust_resumes: options.trust_resumes,
        accept_unterminated: options.accept_unterminated_last_row,
        limits: limits(config),
        unpacked_bytes_max: config.limits.unpacked_bytes_max,
        brake: options.brake,
        reject_bad_rows: options.bad_rows == BadRows::RejectFile,
        contact: options.support_contact.clone(),
    }
}

/// The rules of every tenant that is open.
pub(super) fn tenants(config: &Config) -> BTreeMap<TenantName, Rules> {
    let open = config.tenants.sound().filter(|tenant| !tenant.disabled);
    open.map(|tenant| (tenant.name.clone(), rules(config, tenant))).collect()
}

/// What a file may cost.
#[must_use]
pub fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        row_bytes_max: size(limits.row_bytes_max),
        quoted_lines_max: limits.quoted_lines_max,
        rows_per_file_max: limits.rows_per_file_max,
        columns_max: size(limits.columns_max),
        rows_recommended: limits.rows_recommended,
    }
}

/// How files are received.
pub(super) fn sftp_options(config: &Config) -> sftp::Options {
    let section = &config.sftp;
    sftp::Options {
        listen: section.listen.clone(),
        legacy_clients: section.legacy_clients,
        sessions_max: size(section.sessions_max),
        sessions_per_tenant_max: size(section.sessions_per_tenant_max),
        sessions_per_source_max: size(section.sessions_per_source_max),
        login_seconds: section.login_seconds_max,
        login_attempts_max: size(section.login_attempts_max),
        password_login: section.password_login,
        password_checks_max: size(section.password_checks_max),
        penalties: sftp::PenaltyOptions {
            seconds_min: section.penalty_seconds_min,
            seconds_max: section.penalty_seconds_max,
            exempt: section.penalty_exempt_networks.clone(),
            ..sftp::PenaltyOptions::default()
        },
        idle_seconds: section.idle_seconds_max,
        reply_seconds: section.reply_seconds_max,
        handles_per_channel_max: size(section.handles_per_channel_max),
        upload_bytes_max: section.upload_bytes_max,
        free_bytes_min: section.free_bytes_min,
        drain_seconds: config.pipeline.drain_seconds,
        ..sftp::Options::default()
    }
}

/// How imports are run.
pub(super) fn pipeline_options(config: &Config) -> pipeline::Options {
    pipeline::Options {
        settle: Duration::from_secs(config.pipeline.settle_seconds),
        scan_interval: Duration::from_secs(config.pipeline.scan_interval_seconds),
        checksum_wait: Duration::from_secs(config.pipeline.checksum_wait_seconds),
        chunk_shared: Duration::from_millis(config.pipeline.chunk_milliseconds),
        chunk_alone: Duration::from_millis(config.pipeline.chunk_milliseconds.saturating_mul(8).min(3_000)),
        rest_max: Duration::from_secs(300),
        attempts_max: u32::try_from(config.pipeline.attempts_max).unwrap_or(u32::MAX),
        hold_warn: Duration::from_secs(config.pipeline.hold_warn_hours * 3_600),
        hold_for: Duration::from_secs(config.pipeline.hold_days * 86_400),
        unindexed_rows_max: config.store.unindexed_rows_max,
        // Another program's writers need it after every chunk.
        chunk_rest: if config.store.database.is_some() { pipeline::OTHERS_TURN } else { Duration::ZERO },
        scrub: ScrubOptions { after_rows: config.scrub.after_rows, after: Duration::from_secs(config.scrub.after_minutes * 60) },
        originals_days: days(config.retention.originals_days),
        reports_days: days(config.retention.reports_days),
    }
}

/// How the store is opened.
pub(super) fn store_options(config: &Config) -> store::Options {
    store::Options { cache_bytes: config.store.cache_mib << 20, busy_ms: BUSY_MS }
}

fn days(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
