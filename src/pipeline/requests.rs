//! What commands ask of the daemon: a row in the ledger, and a file in the requests folder that it names.
//!
//! The row and the import it becomes are tied together in one transaction; the bytes follow and can follow again.

use std::fs::{self, File};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::import::file_name;
use super::scrubbing::SCRUB;
use super::{Fault, Pipeline};
use crate::domain::{FileName, ImportId, Mode, Settings, TenantName};
use crate::spool::Folders;
use crate::store::ledger::{self, ImportRow, NewImport, Origin, RequestRow};

/// The kind of request in the ledger.
const PURGE: &str = "purge";

/// `expunged purge`: erase the people on this list.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PurgeRequest {
    /// Whose people.
    pub tenant: TenantName,
    /// The name that the import gets.
    pub file: String,
    /// The file in the requests folder that holds the list.
    pub stored: String,
    /// Where rows say nothing.
    pub settings: Settings,
    /// Header in the file → known column.
    pub map: Vec<(String, String)>,
    /// The case that the person names.
    pub case: Option<String>,
}

impl PurgeRequest {
    /// The ledger's kind and body of this request.
    #[must_use]
    pub fn to_row(&self, by: String) -> ledger::NewRequest {
        let body = serde_json::to_value(self).expect("text, flags and lists always serialise");
        ledger::NewRequest { kind: PURGE.to_owned(), body, by }
    }
}

impl Pipeline {
    /// Takes up the requests that wait.
    pub(super) fn take_requests(&mut self) -> Result<(), Fault> {
        if ledger::open_requests(self.store.connection())?.is_empty() {
            return Ok(());
        }
        while let Some((request, import)) = self.take_request()? {
            info!(tenant = %request.tenant, import = import.0, "request taken");
            let folders = self.spool.tenant(&request.tenant)?;
            let row = ledger::require(self.store.connection(), import)?;
            if adopt(self, &folders, &row, &request)? {
                self.turns.push(&request.tenant, import);
            }
        }
        Ok(())
    }

    /// One request and the import that it becomes. A scrub is answered when it has ended. Requests that cannot be taken are
    /// answered with why, and passed over.
    fn take_request(&mut self) -> Result<Option<(PurgeRequest, ImportId)>, Fault> {
        loop {
            let at = Self::now();
            let tenants = &self.tenants;
            let taken = self.store.write("take a request", |tx| {
                let Some(row) = ledger::take_request(tx, at)? else { return Ok::<_, Fault>(None) };
                if row.kind == SCRUB {
                    return Ok(Some(Taken::Scrub(row.id)));
                }
                let new = understood(&row).and_then(|request| {
                    if tenants.contains_key(&request.tenant) { Ok(request) } else { Err(format!("no tenant \"{}\"", request.tenant)) }
                });
                match new {
                    Ok(request) => {
                        let import = ledger::insert(tx, &new_import(&request, &row, at))?;
                        ledger::finish_request(tx, row.id, &serde_json::json!({ "import": import }), at)?;
                        Ok(Some(Taken::Purge(Box::new((request, import)))))
                    }
                    Err(why) => {
                        ledger::finish_request(tx, row.id, &serde_json::json!({ "error": why }), at)?;
                        Ok(Some(Taken::Refused(row.id)))
                    }
                }
            })?;
            match taken {
                None => return Ok(None),
                Some(Taken::Purge(taken)) => return Ok(Some(*taken)),
                Some(Taken::Scrub(request)) => {
                    info!(request, "scrub asked for");
                    self.scrubbing.ask(request);
                }
                Some(Taken::Refused(request)) => warn!(request, "request refused"),
            }
        }
    }
}

/// What became of a request.
enum Taken {
    Purge(Box<(PurgeRequest, ImportId)>),
    Scrub(i64),
    Refused(i64),
}

/// `expunged scrub`: search the store now.
#[must_use]
pub fn scrub_request(by: String) -> ledger::NewRequest {
    ledger::NewRequest { kind: SCRUB.to_owned(), body: serde_json::json!({}), by }
}

/// The import that a request became, or `None` while it waits or when it was refused.
///
/// # Errors
/// The store's.
pub fn import_of(connection: &rusqlite::Connection, request: i64) -> Result<Option<ImportId>, crate::store::StoreError> {
    let found = ledger::request(connection, request)?.and_then(|row| row.result);
    Ok(found.and_then(|result| result["import"].as_i64()).map(ImportId))
}

/// Brings the bytes of a command's import where they belong, after a kill. False: they are gone.
pub(super) fn adopt_again(pipeline: &mut Pipeline, folders: &Folders, row: &ImportRow) -> Result<bool, Fault> {
    let Some(found) = ledger::request_of_import(pipeline.store.connection(), row.id)? else { return Ok(false) };
    match understood(&found) {
        Ok(request) => adopt(pipeline, folders, row, &request),
        Err(_) => Ok(false),
    }
}

fn adopt(pipeline: &mut Pipeline, folders: &Folders, row: &ImportRow, request: &PurgeRequest) -> Result<bool, Fault> {
    let path = pipeline.requests_dir.join(request.stored.as_str());
    let Ok(file) = File::open(&path) else {
        warn!(tenant = %row.tenant, import = row.id.0, "request without its file");
        pipeline.store.write("take back an import", |tx| ledger::withdraw(tx, row.id))?;
        return Ok(false);
    };
    folders.adopt(row.id, &file_name(row)?, file)?;
    fs::remove_file(&path)?;
    Ok(true)
}

fn understood(row: &RequestRow) -> Result<PurgeRequest, String> {
    if row.kind != PURGE {
        return Err(format!("unknown request \"{}\"", row.kind));
    }
    let request: PurgeRequest = serde_json::from_value(row.body.clone()).map_err(|_| "the request does not read back".to_owned())?;
    // The only parts that become paths.
    for name in [&request.file, &request.stored] {
        FileName::parse(name).map_err(|error| error.to_string())?;
    }
    Ok(request)
}

fn new_import(request: &PurgeRequest, row: &RequestRow, received_at: jiff::Timestamp) -> NewImport {
    NewImport {
        tenant: request.tenant.clone(),
        file: request.file.clone(),
        mode: Mode::Purge,
        origin: Origin::Command,
        requested_by: Some(row.by.clone()),
        request_case: request.case.clone(),
        settings: request.settings,
        map: request.map.clone(),
        seams: Vec::new(),
        received_at,
        expected_sha256: None,
        refusal: None,
    }
}
