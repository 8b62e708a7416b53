//! Hints from the file system that a drop folder changed.
//!
//! Each folder is watched by itself, never recursively: recursion races with folders being made. An event only says
//! "look there"; overflow, errors and events without a path say "look everywhere". What is there, the scan tells.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::Wake;
use crate::domain::TenantName;

/// The watched folders, and whose they are.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    tenants: Arc<Mutex<HashMap<PathBuf, TenantName>>>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new(wakes: Sender<Wake>) -> notify::Result<Self> {
        let tenants = Arc::new(Mutex::new(HashMap::new()));
        let known = Arc::clone(&tenants);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            for wake in wakes_of(event, &known) {
                // The receiver is gone only when the daemon ends.
                let _ = wakes.send(wake);
            }
        })?;
        Ok(Self { watcher, tenants })
    }

    /// Watches this folder anew: the one that now stands under this name.
    pub(super) fn follow(&mut self, tenant: &TenantName, folder: &Path) -> notify::Result<()> {
        // Removing fails when the old folder is gone, which is why it is watched anew.
        let _ = self.watcher.unwatch(folder);
        self.lock().insert(folder.to_owned(), tenant.clone());
        self.watcher.watch(folder, RecursiveMode::NonRecursive)
    }

    /// Stops watching the folders of a tenant.
    pub(super) fn leave(&mut self, tenant: &TenantName) {
        let folders: Vec<PathBuf> = self.lock().iter().filter(|(_, name)| *name == tenant).map(|(folder, _)| folder.clone()).collect();
        for folder in folders {
            let _ = self.watcher.unwatch(&folder);
            self.lock().remove(&folder);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, TenantName>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wakes_of(event: notify::Result<Event>, known: &HashMap<PathBuf, TenantName>) -> Vec<Wake> {
    let Ok(event) = event else { return vec![Wake::Rescan] };
    if event.need_rescan() {
        return vec![Wake::Rescan];
    }
    let telling = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Create(_) | EventKind::Remove(_) => true,
        EventKind::Modify(kind) => matches!(kind, ModifyKind::Name(_)),
        EventKind::Any | EventKind::Other => true,
        EventKind::Access(_) => false,
    };
    if !telling {
        return Vec::new();
    }
    if event.paths.is_empty() {
        return vec![Wake::Rescan];
    }
    let wake = |path: &PathBuf| match known.get(path) {
        // The folder itself was removed or moved away, and the watch with it.
        Some(tenant) => Some(Wake::Unwatched(tenant.clone())),
        None => path.parent().and_then(|folder| known.get(folder)).map(|tenant| Wake::Changed(tenant.clone())),
    };
    event.paths.iter().filter_map(wake).collect()
}

#[cfg(test)]
mod tests {
    use notify::event::{Flag, ModifyKind, RenameMode};

    use super::*;

    fn check(event: notify::Result<Event>, expected: &str) {
        let tenant = TenantName::parse("acme").expect("valid");
        let known = HashMap::from([(PathBuf::from("/d/acme/inbox"), tenant)]);
        let got: Vec<String> = wakes_of(event, &known).iter().map(|wake| format!("{wake:?}")).collect();
        assert_eq!(got.join(" "), expected);
    }

    #[test]
    fn looks_everywhere_when_events_were_lost() {
        check(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)), "Rescan");
        check(Err(notify::Error::generic("broken")), "Rescan");
        check(Ok(Event::new(EventKind::Any)), "Rescan");
    }

    #[test]
    fn looks_at_the_tenant_whose_folder_changed() {
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        check(Ok(Event::new(moved).add_path("/d/acme/inbox/june.csv".into())), "Changed(TenantName(\"acme\"))");
        check(
            Ok(Event::new(EventKind::Remove(notify::event::RemoveKind::Folder)).add_path("/d/acme/inbox".into())),
            "Unwatched(TenantName(\"acme\"))",
        );
        let away = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        check(Ok(Event::new(away).add_path("/d/acme/inbox".into())), "Unwatched(TenantName(\"acme\"))");
        check(Ok(Event::new(moved).add_path("/d/other/inbox/june.csv".into())), "");
        check(Ok(Event::new(EventKind::Access(AccessKind::Read)).add_path("/d/acme/inbox/june.csv".into())), "");
    }
}
