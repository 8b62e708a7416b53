//! What has been kept long enough: day by day, out of `archive` and `rejected`, and the statuses that tell of it.

use std::collections::HashSet;

use jiff::civil::Date;

use super::status::status_name;
use super::{DropFolder, End, Folders, SIGNATURE, SpoolError, dir};

/// What a day's folder loses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expired {
    /// Originals and results, which hold what the sender wrote. Reports stay.
    Originals,
    /// All of it, and the folder.
    Everything,
}

impl Folders {
    /// The days that have a folder, oldest first.
    ///
    /// # Errors
    /// The medium's.
    pub fn days(&self, end: End) -> Result<Vec<Date>, SpoolError> {
        let names = self.folder(end.as_str())?.names()?;
        let mut days: Vec<Date> = names.iter().filter_map(|raw| std::str::from_utf8(raw).ok()?.parse().ok()).collect();
        days.sort();
        Ok(days)
    }

    /// Removes what has expired of a day; how many files. A kill in between leaves the rest for the next time.
    ///
    /// # Errors
    /// The medium's.
    pub fn expire(&self, end: End, day: Date, expired: Expired) -> Result<u64, SpoolError> {
        let root = self.folder(end.as_str())?;
        let folder = root.sub(&day.to_string())?;
        let mut removed = 0;
        let names = folder.names()?;
        let listed: HashSet<&[u8]> = names.iter().map(Vec::as_slice).collect();
        for raw in &names {
            let Ok(name) = std::str::from_utf8(raw) else { continue };
            // Whatever an original is called, its report stands beside it.
            let original = listed.contains(format!("{name}.report.json").as_bytes());
            if expired == Expired::Everything || original || !kept_with_reports(name) {
                removed += u64::from(folder.unlink(name)?);
            }
        }
        if removed > 0 {
            folder.sync()?;
        }
        if expired == Expired::Everything && folder.names()?.is_empty() {
            root.remove_folder(&day.to_string())?;
            root.sync()?;
        }
        Ok(removed)
    }

    /// Removes the statuses that were last written before this second of 1970's and that are `over`, as their text tells; how many.
    ///
    /// # Errors
    /// The medium's.
    pub fn expire_statuses(&self, before_s: i64, over: impl Fn(&[u8]) -> bool) -> Result<u64, SpoolError> {
        let folder = self.folder("status")?;
        let mut removed = 0;
        for name in self.told_names()? {
            let written = folder.stat(&status_name(&name))?.map(|stat| dir::mtime_ns(&stat) / 1_000_000_000);
            if written.is_some_and(|at| at < i128::from(before_s)) && self.read_status(&name)?.is_some_and(|json| over(&json)) {
                removed += u64::from(self.unless_one_waits(&name, &DropFolder::ALL, || self.remove_status(&name))?);
            }
        }
        Ok(removed)
    }
}

/// Companions that hold no id and no address.
fn kept_with_reports(name: &str) -> bool {
    let signed = name.strip_suffix(SIGNATURE).unwrap_or(name);
    [".report.json", ".scrub.json"].iter().any(|end| signed.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn originals_and_results_go_first_and_reports_with_the_folder() {
        let world = World::new();
        let folders = world.spool.tenant(&world.tenant).expect("there");
        let day: Date = "2026-11-21".parse().expect("a day");
        let at = world.path("archive/2026-11-21");
        std::fs::create_dir_all(&at).expect("made");
        for name in
            ["1-june.csv", "1-june.csv.results.csv", "1-june.csv.report.json", "1-june.csv.scrub.json", "1-june.csv.report.json.sig"]
        {
            std::fs::write(at.join(name), "x").expect("written");
        }
        assert_eq!(folders.days(End::Archive).expect("read"), [day]);
        assert_eq!(folders.expire(End::Archive, day, Expired::Originals).expect("done"), 2);
        assert_eq!(folders.expire(End::Archive, day, Expired::Originals).expect("done"), 0);
        assert!(at.join("1-june.csv.report.json").exists() && at.join("1-june.csv.scrub.json").exists());
        assert!(at.join("1-june.csv.report.json.sig").exists());
        for name in ["2-july.report.json", "2-july.report.json.report.json", "3-x.sig", "3-x.sig.report.json"] {
            std::fs::write(at.join(name), "x").expect("written");
        }
        assert_eq!(folders.expire(End::Archive, day, Expired::Originals).expect("done"), 2, "an original may be called as a report is");
        assert!(!at.join("2-july.report.json").exists() && !at.join("3-x.sig").exists());
        assert!(at.join("2-july.report.json.report.json").exists());
        assert_eq!(folders.expire(End::Archive, day, Expired::Everything).expect("done"), 5);
        assert!(!at.exists() && folders.days(End::Archive).expect("read").is_empty());
    }

    #[test]
    fn a_status_goes_when_it_is_old_and_over_and_nothing_of_its_name_waits() {
        let world = World::new();
        let folders = world.spool.tenant(&world.tenant).expect("there");
        for (name, json) in [("june.csv.json", "over"), ("july.csv.json", "held"), ("may.csv.json", "over"), ("recent.log", "over")] {
            std::fs::write(world.path("status").join(name), json).expect("written");
        }
        std::fs::write(world.path("inbox/may.csv"), "").expect("written");
        let over = |json: &[u8]| json == b"over";
        assert_eq!(folders.expire_statuses(0, over).expect("done"), 0, "too new");
        assert_eq!(folders.expire_statuses(i64::MAX, over).expect("done"), 1);
        assert_eq!(world.tree("status"), ["july.csv.json", "may.csv.json", "recent.log"]);
    }
}
