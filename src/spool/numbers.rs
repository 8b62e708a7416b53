//! The numbers of imports that stand in a tenant's folders, as `ID-NAME`. A ledger that was put back from an earlier copy does not
//! know all of them, and must not give one again.

use crate::domain::ImportId;

use super::dir::Dir;
use super::{End, Folders, SpoolError};

impl Folders {
    /// The highest number: of what is claimed or held, and of the newest day of what has ended. Numbers grow with the days, so of the
    /// others, which may be years, none is read. `None`: there is none.
    ///
    /// # Errors
    /// The medium's.
    pub fn highest_number(&self) -> Result<Option<ImportId>, SpoolError> {
        let mut highest = highest_in(&self.folder("processing")?)?;
        for (end, days_max) in [(End::Held, usize::MAX), (End::Archive, 1), (End::Rejected, 1)] {
            let root = self.folder(end.as_str())?;
            for day in self.days(end)?.into_iter().rev().take(days_max) {
                highest = highest.max(highest_in(&root.sub(&day.to_string())?)?);
            }
        }
        Ok(highest)
    }
}

/// Companions count as well: they stay longer than their file. Numbers that no ledger comes to are somebody's own names.
fn highest_in(folder: &Dir) -> Result<Option<ImportId>, SpoolError> {
    let number = |raw: &Vec<u8>| std::str::from_utf8(raw).ok()?.split_once('-')?.0.parse().ok().map(ImportId);
    Ok(folder.names()?.iter().filter_map(number).filter(|import| import.0 < NUMBER_MAX).max())
}

/// So many imports are never made; above it SQLite could give no further number.
const NUMBER_MAX: i64 = i64::MAX / 2;

#[cfg(test)]
mod tests {
    use super::super::testing::World;

    #[test]
    fn the_highest_number_is_found_wherever_it_stands() {
        let world = World::new();
        let highest = || world.folders.highest_number().expect("read").map(|import| import.0);
        assert_eq!(highest(), None);
        let numbers = [
            ("archive/2026-11-20", "7-june.csv", 7),
            ("archive/2026-11-21", "9-june.csv.report.json", 9),
            ("rejected/2026-11-20", "11-july.csv.report.json.sig", 11),
            ("held/2026-10-01", "12-may.csv", 12),
            ("held/2026-11-21", "3-a-4.csv", 12),
            ("processing", "40-june.csv", 40),
            ("processing", ".41.adopt", 40),
            ("archive/2026-11-21", "9223372036854775807-june.csv", 40),
        ];
        for (folder, name, now) in numbers {
            std::fs::create_dir_all(world.path(folder)).expect("a folder");
            std::fs::write(world.path(&format!("{folder}/{name}")), "").expect("written");
            assert_eq!(highest(), Some(now), "{folder}/{name}");
        }
    }
}
