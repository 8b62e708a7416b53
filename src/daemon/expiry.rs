//! Partials that nobody has written to for too long go, with a line in the log and in the sender's own.

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use crate::domain::TenantName;
use crate::spool::{Folders, Spool, SpoolError};
use crate::telemetry::chain;

/// Removes what has expired of these tenants. One tenant's trouble is not another's.
pub(super) fn expire_partials(spool: &Spool, tenants: &[TenantName], days: u64, now: Timestamp) {
    let age = SignedDuration::from_hours(i64::try_from(days.saturating_mul(24)).unwrap_or(i64::MAX / 3600));
    let Ok(before) = now.checked_sub(age) else { return };
    for tenant in tenants {
        match spool.tenant(tenant).and_then(|folders| expire(tenant, &folders, before, now)) {
            Ok(()) | Err(SpoolError::NotFound) => {}
            Err(error) => warn!(%tenant, cause = chain(&error), "partials not looked at"),
        }
    }
}

fn expire(tenant: &TenantName, folders: &Folders, before: Timestamp, now: Timestamp) -> Result<(), SpoolError> {
    for partial in folders.partials()?.into_iter().filter(|partial| partial.mtime_s < before.as_second()) {
        if folders.expire_partial(&partial)? {
            let (file, folder, bytes) = (&partial.name, partial.drop.as_str(), partial.size);
            info!(%tenant, file = file.as_str(), folder, bytes, "partial expired");
            folders.append_recent(&format!("{now} /{folder}/{file} partial of {bytes} bytes expired"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FileName;
    use crate::spool::{DropFolder, OpenUpload};

    #[test]
    fn a_partial_expires_after_its_days_and_not_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (spool, acme) = (Spool::new(dir.path().to_owned()), TenantName::parse("acme").unwrap());
        spool.create_tenant(&acme).unwrap();
        let folders = spool.tenant(&acme).unwrap();
        let open = OpenUpload { create: true, ..OpenUpload::default() };
        let upload = |name: &str| folders.open_upload(DropFolder::Inbox, &FileName::parse(name).unwrap(), open).unwrap();
        drop(upload("cut.csv"));
        let _writing = upload("now.csv");
        let gone = TenantName::parse("gone").unwrap();
        let later = |hours: i64| Timestamp::now() + SignedDuration::from_hours(hours);
        let left = || folders.partials().unwrap().len();
        expire_partials(&spool, &[gone.clone(), acme.clone()], 30, later(30 * 24 - 1));
        assert_eq!(left(), 2);
        expire_partials(&spool, &[gone, acme], 30, later(30 * 24 + 1));
        assert_eq!(left(), 1);
        let log = std::fs::read_to_string(dir.path().join("acme/status/recent.log")).unwrap();
        assert!(log.contains("/inbox/cut.csv partial of 0 bytes expired"), "{log}");
    }
}
