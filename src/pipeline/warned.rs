//! What was said once of the things in a drop folder that are not taken.
//!
//! It is said again when the thing was gone in between, so that tomorrow's trouble is not silent for today's.

use std::collections::BTreeSet;

use crate::domain::TenantName;
use crate::spool::DropFolder;

/// Everything that was said and still stands.
#[derive(Debug, Default)]
pub(super) struct Warned(BTreeSet<Said>);

/// Of whom, of which folder, of which name, and what.
type Said = (TenantName, DropFolder, String, String);

impl Warned {
    /// Takes all that there is to say of a folder now. Returns what was not said before.
    pub(super) fn news(&mut self, tenant: &TenantName, drop: DropFolder, all: Vec<(String, String)>) -> Vec<(String, String)> {
        let said = |(name, what): (String, String)| (tenant.clone(), drop, name, what);
        let all: BTreeSet<Said> = all.into_iter().map(said).collect();
        let news = all.difference(&self.0).map(|(_, _, name, what)| (name.clone(), what.clone())).collect();
        self.0.retain(|old| old.0 != *tenant || old.1 != drop);
        self.0.extend(all);
        news
    }

    /// Forgets a tenant that is not served any more.
    pub(super) fn forget(&mut self, tenant: &TenantName) {
        self.0.retain(|old| old.0 != *tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_a_thing_once_for_each_folder_and_again_when_it_was_gone() {
        let (acme, mut warned) = (TenantName::parse("acme").expect("valid"), Warned::default());
        let is_link = || vec![("june.csv".to_owned(), "is a link".to_owned())];
        let mut news = |drop, all| warned.news(&acme, drop, all).len();
        assert_eq!(news(DropFolder::Inbox, is_link()), 1);
        assert_eq!(news(DropFolder::Inbox, is_link()), 0);
        assert_eq!(news(DropFolder::Check, is_link()), 1);
        assert_eq!(news(DropFolder::Inbox, vec![]), 0);
        assert_eq!(news(DropFolder::Inbox, is_link()), 1, "it came again");
        assert_eq!(news(DropFolder::Check, is_link()), 0);
        assert_eq!(news(DropFolder::Check, vec![("june.csv".to_owned(), "is a folder".to_owned())]), 1, "it is another trouble");
        assert_eq!(warned.0.len(), 2);
        warned.forget(&acme);
        assert!(warned.0.is_empty());
    }
}
