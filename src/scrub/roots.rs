//! The trees, walked from their roots: which pages are b-tree pages, and whose.
//!
//! Only interior pages are read: all leaves of a tree are equally deep.

use std::collections::HashSet;

use rusqlite::Connection;

use super::page::{Header, Kind, Parts};
use super::page_set::PageSet;
use super::pages::{Beside, Pages};
use super::tree::roots;
use crate::store::StoreError;

/// The pages that are b-tree pages.
pub(super) fn btree_pages(connection: &Connection, pages: &mut Pages<'_>) -> Result<PageSet, StoreError> {
    let mut found = PageSet::default();
    for (root, _) in roots(connection)? {
        each_page(pages, root, &mut |page| found.insert(page))?;
    }
    Ok(found)
}

/// Whose the b-tree pages are, in one state of the database.
#[derive(Debug)]
pub(super) struct Owners {
    /// By page; 0 for those that no tree leads to.
    roots: Vec<u32>,
    /// The roots of what is read elsewhere.
    copies: HashSet<u32>,
}

impl Owners {
    /// Walks every tree.
    pub(super) fn read(connection: &Connection, file: Option<Beside<'_>>) -> Result<Self, StoreError> {
        let mut pages = Pages::open_beside(connection, file)?;
        let mut owners = Self { roots: vec![0; pages.count as usize + 1], copies: HashSet::new() };
        for (root, is_copy) in roots(connection)? {
            if is_copy {
                owners.copies.insert(root);
            }
            each_page(&mut pages, root, &mut |page| owners.roots[page as usize] = root)?;
        }
        Ok(owners)
    }

    /// The root of the tree that a page belongs to.
    pub(super) fn root_of(&self, page: u32) -> Option<u32> {
        self.roots.get(page as usize).copied().filter(|root| *root > 0)
    }

    /// Whether what a page holds is read elsewhere: in the table of an index.
    pub(super) fn is_copy(&self, page: u32) -> bool {
        self.root_of(page).is_some_and(|root| self.copies.contains(&root))
    }
}

fn each_page(pages: &mut Pages<'_>, root: u32, on_page: &mut dyn FnMut(u32)) -> Result<(), StoreError> {
    let (mut bytes, mut parts) = (Vec::new(), Parts::default());
    let mut height = 0;
    let mut at = root;
    while let Some(first) = children(pages, at, &mut bytes, &mut parts)?.first() {
        (at, height) = (*first, height + 1);
        // SQLite's own limit of a tree's depth.
        if height > 20 {
            break;
        }
    }
    let mut left = vec![(root, height)];
    let mut seen = 0;
    while let Some((page, height)) = left.pop() {
        seen += 1;
        if page == 0 || page > pages.count || seen > pages.count {
            continue;
        }
        on_page(page);
        if height == 1 {
            children(pages, page, &mut bytes, &mut parts)?
                .into_iter()
                .filter(|child| (1..=pages.count).contains(child))
                .for_each(&mut *on_page);
        } else if height > 1 {
            left.extend(children(pages, page, &mut bytes, &mut parts)?.into_iter().map(|child| (child, height - 1)));
        }
    }
    Ok(())
}

fn children(pages: &mut Pages<'_>, page: u32, bytes: &mut Vec<u8>, parts: &mut Parts) -> Result<Vec<u32>, StoreError> {
    pages.get(page, bytes)?;
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    match parts.read(bytes, Header::start_of(page), pages.header.usable) {
        Ok(Kind::IndexInterior | Kind::TableInterior) => Ok(parts.cells.iter().map(|cell| cell.child).chain([parts.rightmost]).collect()),
        _ => Ok(Vec::new()),
    }
}
