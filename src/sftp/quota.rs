//! What a tenant may have waiting, send in a day and send in one file, and the floor of free disk for all.
//!
//! One account a tenant, shared by its sessions. It counts upwards from what it measured and measures again only where that
//! looks like too much, so an ordinary write costs one lock. Two sessions may pass a limit by a write each, no further.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tracing::warn;

use crate::domain::TenantName;
use crate::sftp::wire::Refusal;
use crate::spool::{CHECKSUM_BYTES_MAX, Folders, Pending, Received, SpoolError};
use crate::telemetry::chain;

/// Limits of one tenant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// Bytes that wait: complete files that are not taken, and partials.
    pub pending_bytes_max: u64,
    /// Files that wait.
    pub pending_files_max: u64,
    /// Bytes of all uploads of a day, UTC.
    pub bytes_per_day_max: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self { pending_bytes_max: 16 << 30, pending_files_max: 10_000, bytes_per_day_max: 64 << 30 }
    }
}

/// For what there must be room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// Any upload.
    Ordinary,
    /// The checksum of a file that waits. Each such file has room for one beyond the limits: refused, it would wait in vain.
    Vouching,
}

/// A write to an upload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    pub(crate) bytes: u64,
    /// By how many bytes the file grows.
    pub(crate) growth: u64,
    /// How many bytes of the file there are.
    pub(crate) kept: u64,
}

impl Quota {
    fn of(self, purpose: Purpose) -> Self {
        if purpose == Purpose::Ordinary {
            return self;
        }
        let bytes = self.pending_files_max.saturating_mul(CHECKSUM_BYTES_MAX);
        Self {
            pending_bytes_max: self.pending_bytes_max.saturating_add(bytes),
            pending_files_max: self.pending_files_max.saturating_mul(2),
            bytes_per_day_max: self.bytes_per_day_max.saturating_add(bytes),
        }
    }
}

/// The accounts of all tenants.
#[derive(Default)]
pub(crate) struct Accounts {
    free_bytes_min: u64,
    by_tenant: Mutex<HashMap<TenantName, Arc<Mutex<Account>>>>,
}

/// What is known of one tenant.
#[derive(Default)]
struct Account {
    measured: Option<Instant>,
    /// As measured, and what came since. Never less than what is there, but for files that an operator moves in.
    pending: Pending,
    received: Option<Received>,
    /// Received bytes that are not noted on disk.
    unsaved: u64,
    /// Bytes since the disk was looked at.
    unseen: u64,
}

/// One session's way to its tenant's account.
pub(crate) struct Meter {
    quota: Quota,
    free_bytes_min: u64,
    account: Arc<Mutex<Account>>,
    folders: Folders,
}

impl Accounts {
    pub(crate) fn new(free_bytes_min: u64) -> Self {
        Self { free_bytes_min, by_tenant: Mutex::default() }
    }

    pub(crate) fn meter(&self, tenant: &TenantName, folders: Folders, quota: Quota) -> Meter {
        let mut all = self.by_tenant.lock().unwrap_or_else(PoisonError::into_inner);
        let account = Arc::clone(all.entry(tenant.clone()).or_default());
        Meter { quota, free_bytes_min: self.free_bytes_min, account, folders }
    }
}

impl Meter {
    /// These are the limits from now on.
    pub(crate) fn set_quota(&mut self, quota: Quota) {
        self.quota = quota;
    }

    /// Room to open a file for writing. Whether it is a new one, and how many bytes go as it is opened, is asked only where it counts.
    pub(crate) fn open(
        &self,
        purpose: Purpose,
        is_new: impl FnOnce() -> Result<bool, Refusal>,
        emptied: impl FnOnce() -> Result<u64, Refusal>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let quota = self.quota.of(purpose);
        let mut account = self.lock(now)?;
        if account.pending.files >= quota.pending_files_max || account.pending.bytes >= quota.pending_bytes_max {
            account.measure(&self.folders, now)?;
        }
        if account.pending.files >= quota.pending_files_max && is_new()? {
            return Err(too_many_files(account.pending));
        }
        if account.pending.bytes >= quota.pending_bytes_max {
            let emptied = emptied()?;
            if account.pending.bytes.saturating_sub(emptied) >= quota.pending_bytes_max {
                return Err(too_many_bytes(quota, account.pending.partial_bytes));
            }
        }
        if account.today().bytes >= quota.bytes_per_day_max {
            return Err(too_many_today(quota));
        }
        self.check_disk()?;
        account.pending.files += 1;
        Ok(())
    }

    /// The size that no file can pass.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.quota.pending_bytes_max
    }

    /// Room for a write.
    pub(crate) fn write(&self, purpose: Purpose, write: Write, now: Instant) -> Result<(), Refusal> {
        let Write { bytes, growth, kept } = write;
        let quota = self.quota.of(purpose);
        let mut account = self.lock(now)?;
        let more = bytes.max(growth);
        if account.pending.bytes.saturating_add(more) > quota.pending_bytes_max {
            account.measure(&self.folders, now)?;
            // What is rewritten in place is there already.
            if account.pending.bytes.saturating_add(growth) > quota.pending_bytes_max {
                return Err(too_many_bytes(quota, account.pending.partial_bytes.saturating_sub(kept)));
            }
        }
        let today = account.today();
        if today.bytes.saturating_add(bytes) > quota.bytes_per_day_max {
            return Err(too_many_today(quota));
        }
        account.unseen += bytes;
        if account.unseen >= LOOK_BYTES {
            self.check_disk()?;
            account.unseen = 0;
        }
        account.pending.bytes = account.pending.bytes.saturating_add(more);
        account.received = Some(Received { bytes: today.bytes + bytes, ..today });
        account.unsaved += bytes;
        if account.unsaved >= SAVE_BYTES {
            account.save(&self.folders);
        }
        Ok(())
    }

    fn lock(&self, now: Instant) -> Result<MutexGuard<'_, Account>, Refusal> {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        if account.measured.is_none() {
            account.received = self.folders.received().map_err(unmeasured)?;
        }
        if account.measured.is_none_or(|measured| now.saturating_duration_since(measured) >= MEASURE_EVERY) {
            account.measure(&self.folders, now)?;
        }
        Ok(account)
    }

    fn check_disk(&self) -> Result<(), Refusal> {
        let room = self.folders.room().map_err(unmeasured)?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if free < self.free_bytes_min { Err(too_much("the server is short of disk space; send it later".to_owned())) } else { Ok(()) }
    }
}

/// What is not noted yet, is.
impl Drop for Meter {
    fn drop(&mut self) {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        if account.unsaved > 0 {
            account.save(&self.folders);
        }
    }
}

impl Account {
    fn measure(&mut self, folders: &Folders, now: Instant) -> Result<(), Refusal> {
        self.pending = folders.pending().map_err(unmeasured)?;
        self.measured = Some(now);
        Ok(())
    }

    fn today(&self) -> Received {
        let day = today();
        self.received.filter(|received| received.day == day).unwrap_or(Received { day, bytes: 0 })
    }

    fn save(&mut self, folders: &Folders) {
        let Some(received) = self.received else { return };
        // Counted in memory all the same; only a restart would forget it.
        if let Err(error) = folders.note_received(received) {
            warn!(cause = chain(&error), "received bytes not noted");
        }
        self.unsaved = 0;
    }
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

fn too_many_files(pending: Pending) -> Refusal {
    let mut text = format!("{} files wait already, which is the limit; send it when they are taken", pending.files);
    if pending.partial_files > 0 {
        text += &format!("; unfinished uploads are {} of these files {UNTIL}", pending.partial_files);
    }
    too_much(text)
}

/// `partial_bytes` are those of other uploads: nobody takes them.
fn too_many_bytes(quota: Quota, partial_bytes: u64) -> Refusal {
    let mut text = format!("the limit of {} bytes that wait is reached; send it when earlier files are taken", quota.pending_bytes_max);
    if partial_bytes > 0 {
        text += &format!("; unfinished uploads hold {partial_bytes} of these bytes {UNTIL}");
    }
    too_much(text)
}

fn too_many_today(quota: Quota) -> Refusal {
    too_much(format!("the limit of {} bytes a day is reached; send it after midnight UTC", quota.bytes_per_day_max))
}

fn too_much(text: String) -> Refusal {
    Refusal::failure(text)
}

fn unmeasured(error: SpoolError) -> Refusal {
    warn!(cause = chain(&error), "folders not measured");
    Refusal::failure("the storage failed")
}

/// What ends an unfinished upload.
const UNTIL: &str = "until they are sent again from their start or removed by name";

/// Bytes between two looks at the disk's room.
const LOOK_BYTES: u64 = 1 << 20;

/// Received bytes that a kill may make us forget.
const SAVE_BYTES: u64 = 16 << 20;

/// How long a measure is counted on from: an operator may have moved files in.
const MEASURE_EVERY: Duration = Duration::from_secs(60);
