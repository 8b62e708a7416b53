//! What is kept for a time only: originals and results, later reports.

use jiff::civil::Date;
use jiff::{Span, tz::TimeZone};
use tracing::{info, warn};

use super::{Fault, Pipeline};
use crate::domain::TenantName;
use crate::report::Status;
use crate::spool::{End, Expired};

impl Pipeline {
    /// Removes what has been kept long enough, of every tenant.
    pub(super) fn expire(&self) {
        let today = Self::now().to_zoned(TimeZone::UTC).date();
        for tenant in self.tenants.keys() {
            match self.expire_of(tenant, today) {
                Ok(0) => {}
                Ok(files) => info!(%tenant, files, "files expired"),
                Err(fault) => warn!(%tenant, cause = fault.chain(), "files not expired"),
            }
        }
    }

    fn expire_of(&self, tenant: &TenantName, today: Date) -> Result<u64, Fault> {
        let folders = self.spool.tenant(tenant)?;
        let mut removed = 0;
        for end in [End::Archive, End::Rejected] {
            for day in folders.days(end)? {
                if last_day(day, self.options.reports_days) < today {
                    removed += folders.expire(end, day, Expired::Everything)?;
                } else if last_day(day, self.options.originals_days) < today {
                    removed += folders.expire(end, day, Expired::Originals)?;
                }
            }
        }
        // What it tells of is gone by then.
        let first_kept = today.saturating_sub(Span::new().days(self.options.reports_days.min(3_650_000)));
        let before = first_kept.to_zoned(TimeZone::UTC).map_or(i64::MIN, |midnight| midnight.timestamp().as_second());
        Ok(removed + folders.expire_statuses(before, |json| Status::read(json).is_some_and(|status| status.is_over()))?)
    }
}

/// The last day on which something of this day is kept.
pub(super) fn last_day(day: Date, days: u32) -> Date {
    // Bounded: a span of more days than the calendar has cannot be made.
    day.saturating_add(Span::new().days(days.min(3_650_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_for_whole_days_and_never_past_the_calendar() {
        let day: Date = "2026-11-21".parse().expect("a day");
        assert_eq!(last_day(day, 30).to_string(), "2026-12-21");
        assert_eq!(last_day(day, 36_500 * 100), Date::MAX);
    }
}
