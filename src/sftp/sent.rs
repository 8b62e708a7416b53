//! What one channel has sent, by name: which upload is the newest, the time that was set of it while it is open, and why it was refused
//! if it was.
//!
//! There are clients that heed no refusal of a CLOSE, and look at the file instead: what was taken before it, or still waits, must
//! not stand for it then. A name is forgotten when it is opened anew. Bounded; it does not know what a file is, nor what others sent.

use std::collections::HashMap;
use std::time::Instant;

use crate::domain::FileName;
use crate::spool::DropFolder;

/// Refused uploads that are remembered. The oldest goes.
const REFUSED_MAX: usize = 1000;

/// A name, and where.
type Key = (DropFolder, FileName);

/// What became of the names that were opened.
#[derive(Default)]
pub(super) struct Sent {
    last: u64,
    by_key: HashMap<Key, Newest>,
}

/// The newest upload of a name.
struct Newest {
    number: u64,
    /// The time that the client set, by handle or by path: seconds since 1970.
    mtime: Option<u32>,
    /// Why it was refused, and when. `None`: it has not ended.
    refused: Option<(String, Instant)>,
}

impl Sent {
    /// A name was opened: gives the number of this upload. Only the newest of a name counts.
    pub(super) fn opened(&mut self, drop: DropFolder, name: &FileName) -> u64 {
        self.last += 1;
        self.by_key.insert((drop, name.clone()), Newest { number: self.last, mtime: None, refused: None });
        self.last
    }

    /// An upload ended: why it was refused, if it was.
    pub(super) fn ended(&mut self, (drop, name): (DropFolder, &FileName), number: u64, refused: Option<&str>, now: Instant) {
        let key = (drop, name.clone());
        let Some(newest) = self.by_key.get_mut(&key).filter(|newest| newest.number == number) else { return };
        let Some(reason) = refused else {
            self.by_key.remove(&key);
            return;
        };
        newest.refused = Some((reason.to_owned(), now));
        let refused = || self.by_key.iter().filter(|(_, newest)| newest.refused.is_some());
        if refused().count() > REFUSED_MAX
            && let Some(oldest) = refused().min_by_key(|(_, newest)| newest.number).map(|(key, _)| key.clone())
        {
            self.by_key.remove(&oldest);
        }
    }

    /// The newest upload of a name, where it has not ended yet.
    pub(super) fn open(&self, drop: DropFolder, name: &FileName) -> Option<u64> {
        self.by_key.get(&(drop, name.clone())).filter(|newest| newest.refused.is_none()).map(|newest| newest.number)
    }

    /// Sets the time of an upload. An older one of its name has none.
    pub(super) fn set_mtime(&mut self, (drop, name): (DropFolder, &FileName), number: u64, mtime: u32) {
        if let Some(newest) = self.by_key.get_mut(&(drop, name.clone())).filter(|newest| newest.number == number) {
            newest.mtime = Some(mtime);
        }
    }

    /// The time that was set of an upload.
    pub(super) fn mtime(&self, (drop, name): (DropFolder, &FileName), number: u64) -> Option<u32> {
        self.by_key.get(&(drop, name.clone())).filter(|newest| newest.number == number)?.mtime
    }

    /// Why the newest upload of a name was refused, if it was, and when.
    pub(super) fn reason(&self, drop: DropFolder, name: &FileName) -> Option<(&str, Instant)> {
        self.by_key.get(&(drop, name.clone()))?.refused.as_ref().map(|(reason, at)| (reason.as_str(), *at))
    }

    /// An upload of a name that was refused is forgotten: another is begun, or lies there. One that is open still is the newest.
    pub(super) fn forget_refused(&mut self, drop: DropFolder, name: &FileName) {
        if self.open(drop, name).is_none() {
            self.forget(drop, name);
        }
    }

    /// A name means something else now: its sender removed or renamed it.
    pub(super) fn forget(&mut self, drop: DropFolder, name: &FileName) {
        self.by_key.remove(&(drop, name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INBOX: DropFolder = DropFolder::Inbox;

    #[test]
    fn the_newest_upload_of_a_name_counts() {
        let (mut sent, june, now) = (Sent::default(), FileName::parse("june.csv").unwrap(), Instant::now());
        let (first, second) = (sent.opened(INBOX, &june), sent.opened(INBOX, &june));
        sent.ended((INBOX, &june), first, Some("superseded"), now);
        assert_eq!(sent.reason(INBOX, &june), None);
        sent.ended((INBOX, &june), second, Some("too large"), now);
        assert_eq!(sent.reason(INBOX, &june), Some(("too large", now)));
        assert_eq!(sent.reason(DropFolder::Check, &june), None);
        let third = sent.opened(INBOX, &june);
        assert_eq!(sent.reason(INBOX, &june), None);
        sent.ended((INBOX, &june), third, None, now);
        assert!(sent.by_key.is_empty());
    }

    #[test]
    fn the_oldest_is_forgotten_beyond_the_bound() {
        let mut sent = Sent::default();
        let name = |number: usize| FileName::parse(&number.to_string()).unwrap();
        for number in 0..=REFUSED_MAX {
            let opened = sent.opened(INBOX, &name(number));
            sent.ended((INBOX, &name(number)), opened, Some("too large"), Instant::now());
        }
        assert_eq!([0, 1].map(|number| sent.reason(INBOX, &name(number)).is_some()), [false, true]);
    }
}
