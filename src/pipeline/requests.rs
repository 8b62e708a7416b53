//! What commands ask of the daemon: a row in the ledger, and a file in the requests folder that it names.
//!
//! The row and the import it becomes are tied together in one transaction; the bytes follow and can follow again.

use std::fs::{self, File};
use std::io;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::decide::{DECIDE, DecideRequest, decide, may_be_kept};
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
    /// How many people the person confirmed.
    #[serde(default)]
    pub people: Option<u64>,
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
        let mut untaken = Ok(());
        while let Some(taken) = self.take_request()? {
            match taken {
                Taken::Purge(request, import) => {
                    info!(tenant = %request.tenant, import = import.0, "request taken");
                    // Where that fails the next scan tries again; the requests after it need not wait.
                    untaken = untaken.and(self.take_up(import));
                }
                Taken::Decided(request, tenant, by) => {
                    let import = request.import;
                    info!(%tenant, import = import.0, decision = request.verdict.as_str(), by, "import decided");
                    self.turns.push(&tenant, import);
                    self.take_back(&tenant, import)?;
                }
                Taken::Scrub(request) => {
                    info!(request, "scrub asked for");
                    self.scrubbing.ask(request);
                }
                Taken::Refused(row, why) => {
                    let Told { asked, import, tenant } = told(&row);
                    let hint = import.map(|import| format!("this request changed nothing; look with: expunged imports show {import}"));
                    warn!(tenant, import, request = row.id, asked, by = row.by, why, hint, "command's request refused");
                    if let Some(list) = list_of(&row) {
                        // It is kept for nobody. What cannot be removed now, the next start sweeps.
                        let _ = fs::remove_file(self.requests_dir.join(list));
                    }
                }
            }
        }
        untaken
    }

    /// Removes lists that no request needs: those of commands that were killed before they had asked. A command that is about
    /// to ask learns that its list was lost.
    pub(super) fn sweep_requests(&self) -> Result<usize, Fault> {
        let needed: Vec<String> = ledger::unended_requests(self.store.connection())?.iter().filter_map(list_of).collect();
        let listed = match fs::read_dir(&self.requests_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            listed => listed?,
        };
        let mut swept = 0;
        for entry in listed {
            let entry = entry?;
            if needed.iter().all(|stored| entry.file_name() != stored.as_str()) {
                fs::remove_file(entry.path())?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Brings back the file of an import that goes on, so that folders and status say so at once.
    fn take_back(&mut self, tenant: &TenantName, import: ImportId) -> Result<(), Fault> {
        let row = ledger::require(self.store.connection(), import)?;
        if row.state.ended() {
            return Ok(());
        }
        let folders = self.spool.tenant(tenant)?;
        self.owned_file(&folders, &row)?;
        self.publish(&folders, &row, row.state, None)
    }

    /// One request and what became of it. One that cannot be taken is answered with why, a scrub when it has ended.
    fn take_request(&mut self) -> Result<Option<Taken>, Fault> {
        let at = Self::now();
        let (tenants, engine, keep, numbered) = (&self.tenants, &self.engine, self.options.originals_days, self.numbered);
        let taken = self.store.write("take a request", |tx| {
            let Some(row) = ledger::take_request(tx, at)? else { return Ok(None) };
            let known = |tenant: &TenantName| {
                if tenants.contains_key(tenant) {
                    Ok(())
                } else {
                    Err(format!("tenant \"{tenant}\" is not served: it was removed or disabled, or its file has a fault"))
                }
            };
            let taken = match understood(&row) {
                Ok(Asked::Purge(request)) => match known(&request.tenant) {
                    Ok(()) => {
                        ledger::number_above(tx, numbered)?;
                        let import = ledger::insert(tx, &new_import(&request, &row, at))?;
                        Ok((Taken::Purge(request, import), serde_json::json!({ "import": import })))
                    }
                    Err(why) => Err(why),
                },
                Ok(Asked::Decide(request)) => {
                    let owner = ledger::get(tx, request.import)?.map(|import| known(&import.tenant));
                    let decided = match owner.unwrap_or(Ok(())) {
                        Ok(()) => decide(tx, (engine, keep), &request, &row.by, at)?,
                        Err(why) => Err(why),
                    };
                    let answer = serde_json::json!({ "decided": request.import });
                    decided.map(|tenant| (Taken::Decided(request, tenant, row.by.clone()), answer))
                }
                Ok(Asked::Scrub) => return Ok(Some(Taken::Scrub(row.id))),
                Err(why) => Err(why),
            };
            let id = row.id;
            let (taken, answer) = taken.unwrap_or_else(|why| {
                let answer = serde_json::json!({ "error": why });
                (Taken::Refused(row, why), answer)
            });
            ledger::finish_request(tx, id, &answer, at)?;
            Ok::<_, Fault>(Some(taken))
        })?;
        if let Some(Taken::Purge(_, import)) = &taken {
            self.numbered = *import;
        }
        Ok(taken)
    }
}

/// A request that waits.
enum Asked {
    Purge(PurgeRequest),
    Decide(DecideRequest),
    Scrub,
}

/// What became of a request.
enum Taken {
    Purge(PurgeRequest, ImportId),
    Decided(DecideRequest, TenantName, String),
    Scrub(i64),
    /// And why.
    Refused(RequestRow, String),
}

/// What a request was about, for the log.
#[derive(Default)]
struct Told {
    asked: String,
    import: Option<i64>,
    tenant: Option<String>,
}

fn told(row: &RequestRow) -> Told {
    match understood(row) {
        Ok(Asked::Decide(request)) => Told { asked: request.verdict.as_str().to_owned(), import: Some(request.import.0), tenant: None },
        Ok(Asked::Purge(request)) => Told { asked: PURGE.to_owned(), import: None, tenant: Some(request.tenant.to_string()) },
        Ok(Asked::Scrub) | Err(_) => Told { asked: row.kind.clone(), ..Told::default() },
    }
}

/// `expunged scrub`: search the store now.
#[must_use]
pub fn scrub_request(by: String) -> ledger::NewRequest {
    ledger::NewRequest { kind: SCRUB.to_owned(), body: serde_json::json!({}), by }
}

/// How many people were confirmed for a list given by hand.
pub(super) fn confirmed(connection: &rusqlite::Connection, import: ImportId) -> Result<Option<u64>, Fault> {
    let request = ledger::request_of_import(connection, import)?;
    Ok(request.and_then(|request| request.body["people"].as_u64()))
}

/// The import that a request became or is about, or `None` while it waits or when it was refused.
///
/// # Errors
/// The store's.
pub fn import_of(connection: &rusqlite::Connection, request: i64) -> Result<Option<ImportId>, crate::store::StoreError> {
    let found = ledger::request(connection, request)?.and_then(|row| row.result);
    Ok(found.and_then(|result| result["import"].as_i64().or(result["decided"].as_i64())).map(ImportId))
}

/// The import that something was done with as a request asked, and what. `None`: nothing, or not yet.
#[must_use]
pub fn carried_out(row: &RequestRow) -> Option<(ImportId, &'static str)> {
    let answer = row.result.as_ref()?;
    let import = |name| answer[name].as_i64().map(ImportId);
    match understood(row).ok()? {
        Asked::Purge(_) => Some((import("import")?, "taken up")),
        Asked::Decide(request) => Some((import("decided")?, request.verdict.done())),
        Asked::Scrub => None,
    }
}

/// Brings the bytes of a command's import where they belong, after a kill. False: they are gone.
pub(super) fn adopt_again(pipeline: &mut Pipeline, folders: &Folders, row: &ImportRow) -> Result<bool, Fault> {
    let Some(found) = ledger::request_of_import(pipeline.store.connection(), row.id)? else { return Ok(false) };
    match understood(&found) {
        Ok(Asked::Purge(request)) => adopt(pipeline, folders, row, &request),
        Ok(Asked::Decide(_) | Asked::Scrub) | Err(_) => Ok(false),
    }
}

/// Removes what a command's import was adopted from, where a kill fell between.
pub(super) fn forget_list(pipeline: &Pipeline, row: &ImportRow) -> Result<(), Fault> {
    let request = ledger::request_of_import(pipeline.store.connection(), row.id)?;
    let Some(list) = request.as_ref().and_then(list_of) else { return Ok(()) };
    match fs::remove_file(pipeline.requests_dir.join(list)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn adopt(pipeline: &mut Pipeline, folders: &Folders, row: &ImportRow, request: &PurgeRequest) -> Result<bool, Fault> {
    let path = pipeline.requests_dir.join(request.stored.as_str());
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            warn!(tenant = %row.tenant, import = row.id.0, "request without its file");
            return Ok(false);
        }
        opened => opened?,
    };
    folders.adopt(row.id, &file_name(row)?, file)?;
    fs::remove_file(&path)?;
    Ok(true)
}

/// The name of the file that a request came with.
fn list_of(row: &RequestRow) -> Option<String> {
    match understood(row) {
        Ok(Asked::Purge(request)) => Some(request.stored),
        Ok(Asked::Decide(_) | Asked::Scrub) | Err(_) => None,
    }
}

fn understood(row: &RequestRow) -> Result<Asked, String> {
    let unread = |_| "the request does not read back".to_owned();
    if row.kind == DECIDE {
        return serde_json::from_value(row.body.clone()).map(Asked::Decide).map_err(unread);
    }
    if row.kind == SCRUB {
        return Ok(Asked::Scrub);
    }
    if row.kind != PURGE {
        return Err(format!("unknown request \"{}\"", row.kind));
    }
    let request: PurgeRequest = serde_json::from_value(row.body.clone()).map_err(unread)?;
    // The only parts that become paths.
    for name in [&request.file, &request.stored] {
        FileName::parse(name).map_err(|error| error.to_string())?;
    }
    if request.case.as_deref().is_some_and(|case| !may_be_kept(case)) {
        return Err("the case holds an address, which has no place in the ledger".to_owned());
    }
    Ok(Asked::Purge(request))
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
