//! One time through the file: every page is looked at, what is found dirty is mended, and the mended pages are looked at again.
//!
//! A look sees one state of the database and writes nothing. What it found is written only while the database is still in that
//! state; after others have written, it is looked at again first.

use std::panic::resume_unwind;
use std::thread;

use super::content::Search;
use super::page_set::PageSet;
use super::pages::{Beside, Pages};
use super::progress::Moment;
use super::roots::Owners;
use super::walk::{Images, NoRows, Slice, Stop, Tell};
use super::{Running, ScrubError, Scrubber, Step, note};
use crate::store::ledger;
use crate::store::{Checkpoint, Doing, Store, StoreError};

/// Pages after which a walk that only looks notes how far it is.
const SAVE_EVERY_PAGES: u32 = 65_536;

/// One time through the file.
#[derive(Debug, Default)]
pub(super) struct Walking {
    /// Pages that were found dirty and are to be mended.
    pub(super) dirty: PageSet,
    /// Pages that were mended, to be looked at again.
    pub(super) mended: PageSet,
    /// The last page was looked at.
    pub(super) passed: bool,
    /// The first of the mended pages that was not looked at again yet.
    again_from: u32,
    /// All mended pages were looked at again.
    pub(super) verified: bool,
    /// The next page as it was noted in the ledger last.
    saved_page: u32,
    /// The dirty pages as they are to be.
    images: Images,
    /// The state of the database that the images are of. In it alone they may be written.
    images_of: Option<Moment>,
    /// Whose the pages are, until someone else writes.
    owners: Option<Owners>,
    /// The state that the last slice left behind.
    pub(super) left: Option<Moment>,
    /// The state of which the file holds all, whatever the log says.
    pub(super) in_file: Option<Moment>,
}

impl Walking {
    /// One that goes on from this page.
    pub(super) fn taken_up_at(page: u32) -> Self {
        Self { saved_page: page, ..Self::default() }
    }
}

impl Scrubber {
    /// One slice. It looks without keeping writers away, and writes only where a look found something.
    pub(super) fn walk(&self, store: &mut Store, running: &mut Running, go_on: &mut dyn FnMut() -> bool) -> Result<Step, ScrubError> {
        if !running.walking.dirty.is_empty() {
            self.mend(store, running, go_on)?;
        } else if !running.walking.passed {
            self.look(store, running, go_on)?;
        } else {
            self.look_again(store, running, go_on)?;
        }
        let walking = &running.walking;
        // Another time through looks at everything, the mended pages among it.
        let enough = walking.verified || walking.mended.is_empty() || (running.progress.disturbed && !running.progress.is_last());
        if walking.passed && walking.dirty.is_empty() && enough {
            let mut progress = running.progress.clone();
            progress.end_walk(&running.needles);
            note(store, running.row.id, &progress)?;
            (running.progress, running.walking) = (progress, Walking::default());
        }
        Ok(Step::More)
    }

    /// The file, in a transaction that sees this state.
    fn beside(&self, walking: &Walking, now: Moment) -> Option<Beside<'_>> {
        self.file.as_ref().map(|file| Beside { file, complete: walking.in_file == Some(now) })
    }

    /// Looks at the next pages, and searches their rows.
    fn look(&self, store: &mut Store, running: &mut Running, go_on: &mut dyn FnMut() -> bool) -> Result<(), StoreError> {
        let mut progress = running.progress.clone();
        let tx = store.connection_mut().transaction().doing("look at pages")?;
        let now = Moment::of(&tx)?;
        let file = self.beside(&running.walking, now);
        progress.meet(now, running.walking.left);
        let header = Pages::open(&tx)?.header;
        progress.page_bytes = header.page_bytes as u64;
        progress.by_tables |= !header.utf8;
        let searching = progress.searching && !progress.by_tables && !running.needles.is_empty();
        if progress.disturbed {
            running.walking.owners = None;
        } else if searching && running.walking.owners.is_none() {
            running.walking.owners = Some(Owners::read(&tx, file)?);
        }
        let mut search = Search::new(&running.needles, running.walking.owners.as_ref());
        let (tell, images) = (Tell::BySize, &mut running.walking.images);
        let walked = if searching {
            Slice { connection: &tx, tell, file, rows: &mut search, images }.run(progress.next_page, go_on)?
        } else {
            Slice { connection: &tx, tell, file, rows: &mut NoRows, images }.run(progress.next_page, go_on)?
        };
        search.settle(&tx, file, &self.living, &mut progress.found)?;
        tx.rollback().doing("look at pages")?;
        progress.tally.add(&walked.tally);
        match walked.stop {
            Stop::At(page) => progress.next_page = page,
            // Beyond every page: what was found so far is not looked for from the first page on again.
            Stop::End => (progress.next_page, running.walking.passed) = (u32::MAX, true),
        }
        running.progress = progress;
        (running.walking.left, running.walking.images_of) = (Some(now), Some(now));
        walked.dirty.iter().for_each(|page| running.walking.dirty.insert(*page));
        // Where there is something to mend, that notes it. Nothing may be written before: the images are of the state that was seen.
        let at_rest = !running.walking.passed && running.walking.dirty.is_empty();
        if at_rest && running.progress.next_page.abs_diff(running.walking.saved_page) >= SAVE_EVERY_PAGES {
            let (id, text, left) = (running.row.id, running.progress.to_text(), &mut running.walking.left);
            store.write("note a scrub's progress", |tx| {
                running.progress.meet(Moment::of(tx)?, *left);
                ledger::save_scrub(tx, id, &text)?;
                *left = Some(Moment::of(tx)?);
                Ok::<_, StoreError>(())
            })?;
            running.walking.saved_page = running.progress.next_page;
        }
        Ok(())
    }

    /// Zeroes what the pages that were found dirty do not use. Where someone has written since they were looked at, they are looked
    /// at again first.
    fn mend(&self, store: &mut Store, running: &mut Running, go_on: &mut dyn FnMut() -> bool) -> Result<(), StoreError> {
        let mut progress = running.progress.clone();
        let (id, walking) = (running.row.id, &mut running.walking);
        let (mut images, images_of) = (std::mem::take(&mut walking.images), walking.images_of.take());
        let (stop, left) = store.write_for_now("scrub pages", |tx| {
            let now = Moment::of(tx)?;
            progress.meet(now, walking.left);
            let mut stop = Stop::End;
            if images_of != Some(now) || images.is_empty() {
                let (file, images) = (self.beside(walking, now), &mut images);
                let slice = Slice { connection: tx, tell: Tell::BySize, file, rows: &mut NoRows, images };
                stop = slice.run_over(&walking.dirty, 1, go_on)?.stop;
            }
            images.write(tx)?;
            progress.zeroed_pages += images.len();
            progress.zeroed_bytes += images.zeroed;
            ledger::save_scrub(tx, id, &progress.to_text())?;
            Ok::<_, StoreError>((stop, Moment::of(tx)?))
        })?;
        images.clear();
        walking.images = images;
        let end = match stop {
            Stop::At(page) => page,
            Stop::End => u32::MAX,
        };
        walking.dirty.move_below(end, &mut walking.mended);
        walking.left = Some(left);
        running.progress = progress;
        if !walking.dirty.is_empty() {
            return Ok(());
        }
        // A reader in the way does not matter yet: what stands in the log is read from there.
        if walking.passed {
            walking.in_file = store.checkpoint()?.is_whole().then_some(left);
            return Ok(());
        }
        self.look_and_bring_back(store, running, go_on)
    }

    /// Looks at the next pages while another thread brings the log back, which waits for the disk. Nothing is mended before that has
    /// ended, so that the log begins anew, if no one else needs it.
    fn look_and_bring_back(&self, store: &mut Store, running: &mut Running, go_on: &mut dyn FnMut() -> bool) -> Result<(), StoreError> {
        let state = running.walking.left;
        let Some(mut keeper) = running.log_keeper.take().or_else(|| store.log_keeper()) else {
            let brought = store.bring_back()?;
            running.walking.in_file = state.filter(|_| brought.is_whole());
            return self.look(store, running, go_on);
        };
        let keeping = &mut keeper;
        let (looked, brought) = thread::scope(|scope| {
            let thread = thread::Builder::new().name("log".to_owned()).spawn_scoped(scope, move || keeping.bring_back());
            let looked = self.look(store, running, go_on);
            (looked, thread.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))))
        });
        running.log_keeper = Some(keeper);
        let brought = match brought {
            Ok(brought) => brought,
            // No thread is to be had.
            Err(_) => store.bring_back(),
        };
        running.walking.in_file = state.filter(|_| brought.as_ref().is_ok_and(Checkpoint::is_whole));
        brought.and(looked)
    }

    /// Looks at the mended pages again, in the file: the log was brought back into it.
    fn look_again(&self, store: &mut Store, running: &mut Running, go_on: &mut dyn FnMut() -> bool) -> Result<(), StoreError> {
        let (walking, progress) = (&mut running.walking, &mut running.progress);
        let tx = store.connection_mut().transaction().doing("look at pages")?;
        let now = Moment::of(&tx)?;
        progress.meet(now, walking.left);
        let mut none = Images::default();
        let slice = Slice { connection: &tx, tell: Tell::BySize, file: self.beside(walking, now), rows: &mut NoRows, images: &mut none };
        let walked = slice.run_over(&walking.mended, walking.again_from, go_on)?;
        tx.rollback().doing("look at pages")?;
        progress.nonzero_bytes += walked.tally.dirty_bytes;
        match walked.stop {
            Stop::At(page) => walking.again_from = page,
            Stop::End => walking.verified = true,
        }
        walked.dirty.iter().for_each(|page| walking.dirty.insert(*page));
        Ok(())
    }
}
