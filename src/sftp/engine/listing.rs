//! The line of a listing as `ls -l` prints it, which clients show as it stands.

use jiff::{Timestamp, ToSpan, tz::TimeZone};

use crate::sftp::engine::Entry;

/// `-rw-------    1 acme     acme        12345 Nov 21 23:45 june.csv`, in UTC; the year instead of the time of day where the
/// file is older than half a year or of the future.
pub(crate) fn long_name(entry: &Entry, owner: &str, now: Timestamp) -> Vec<u8> {
    let mode = entry.attributes.permissions.unwrap_or_default();
    let size = entry.attributes.size.unwrap_or_default();
    let changed = Timestamp::from_second(i64::from(entry.attributes.times.map_or(0, |(_, changed)| changed)))
        .expect("32 bits of seconds end in 2106")
        .to_zoned(TimeZone::UTC);
    let recent = now.checked_sub((182 * 24).hours()).is_ok_and(|start| (start..=now).contains(&changed.timestamp()));
    let date = changed.strftime(if recent { "%b %e %H:%M" } else { "%b %e  %Y" });
    let mut line = format!("{}    1 {owner:<8} {owner:<8} {size:>12} {date} ", letters(mode)).into_bytes();
    line.extend_from_slice(&entry.name);
    line
}

fn letters(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o100_000 => '-',
        _ => '?',
    };
    let bits = "rwxrwxrwx".chars().enumerate().map(|(place, letter)| if mode & (0o400 >> place) == 0 { '-' } else { letter });
    std::iter::once(kind).chain(bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sftp::wire::Attributes;

    #[test]
    fn prints_files_and_folders_as_ls_does() {
        let now: Timestamp = "2026-11-21T23:45:00Z".parse().unwrap();
        let seconds = |text: &str| u32::try_from(text.parse::<Timestamp>().unwrap().as_second()).unwrap();
        let check = |attributes, expected: &str| {
            let entry = Entry { name: b"june.csv".to_vec(), attributes };
            assert_eq!(String::from_utf8(long_name(&entry, "acme", now)).unwrap(), expected);
        };
        check(
            Attributes::file(12345, seconds("2026-11-01T08:05:00Z"), 0o640),
            "-rw-r-----    1 acme     acme            12345 Nov  1 08:05 june.csv",
        );
        check(
            Attributes::folder(seconds("2024-02-29T08:05:00Z"), 0o750),
            "drwxr-x---    1 acme     acme                0 Feb 29  2024 june.csv",
        );
        check(Attributes::default(), "?---------    1 acme     acme                0 Jan  1  1970 june.csv");
    }
}
