//! The trees, walked from their roots: which pages are b-tree pages, and whose.
//!
//! Only interior pages are read: all leaves of a tree are equally deep.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::page::{Header, Kind, Parts};
use super::page_set::PageSet;
use super::pages::{DatabaseFile, Pages};
use crate::store::{Doing, StoreError};

/// The pages that are b-tree pages.
pub(super) fn btree_pages(connection: &Connection, pages: &mut Pages<'_>) -> Result<PageSet, StoreError> {
    let mut found = PageSet::default();
    for root in roots(connection)? {
        each_page(pages, root, &mut |page| found.insert(page))?;
    }
    Ok(found)
}

/// Of some b-tree pages, the root of the tree that each belongs to.
pub(super) fn owners(connection: &Connection, file: Option<&DatabaseFile>, wanted: &HashSet<u32>) -> Result<HashMap<u32, u32>, StoreError> {
    let mut pages = Pages::open_beside(connection, file)?;
    let mut owners = HashMap::new();
    for root in roots(connection)? {
        each_page(&mut pages, root, &mut |page| {
            if wanted.contains(&page) {
                owners.insert(page, root);
            }
        })?;
    }
    Ok(owners)
}

fn roots(connection: &Connection) -> Result<Vec<u32>, StoreError> {
    let doing = "read the roots of the tables";
    let mut statement = connection.prepare_cached("SELECT rootpage FROM main.sqlite_schema WHERE rootpage > 0").doing(doing)?;
    let found = statement.query_map([], |row| row.get(0)).doing(doing)?.collect::<Result<Vec<u32>, _>>().doing(doing)?;
    Ok(std::iter::once(1).chain(found).collect())
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
