//! `receipt verify`: whether reports and scrub receipts are what was signed, for auditors.
//!
//! Only files are read: no store, no daemon. What a file says is believed once its signature holds.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use russh::keys::HashAlg;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Exit, Failure, Scene, owner};
use crate::daemon::{self, AllowedSigners};
use crate::pipeline::{RECEIPT, REPORT};
use crate::spool::SIGNATURE;

/// `receipt …`
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Check the signatures beside reports and scrub receipts
    #[command(
        after_help = "A FILE is a NAME.report.json or NAME.scrub.json with its signature, FILE.sig, beside it. The signature must be that of a host \
                            key of the config, or of an allowed signer; the report beside a scrub receipt must be the one that the receipt names.\n\
                            Neither a daemon nor the store is needed, and with --allowed-signers no config: `tenant instructions` prints its lines.\n\n\
                            Examples:\n  expunged receipt verify 42-june.csv.report.json 42-june.csv.scrub.json\n  \
                            expunged receipt verify --allowed-signers expunged.allowed_signers 42-june.csv.report.json\n\n\
                            Exit codes: 0 done, all are good; 1 failed, or one is not good; 2 usage or configuration; 4 no such file, the others good"
    )]
    Verify {
        /// Reports and scrub receipts
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Who may have signed, as ssh-keygen reads it [default: the host keys of the config]
        #[arg(long, value_name = "FILE")]
        allowed_signers: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(scene: &Scene, command: &ReceiptCommand) -> Result<Exit, Failure> {
    match command {
        ReceiptCommand::Verify { files, allowed_signers, json } => verify(scene, files, allowed_signers.as_deref(), *json),
    }
}

fn verify(scene: &Scene, files: &[PathBuf], allowed_signers: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    let signers = match allowed_signers {
        Some(file) => read_signers(file)?,
        None => host_keys(scene)?,
    };
    let mut verified: Vec<Verified> = Vec::new();
    for file in files.iter().map(|file| signed(file)) {
        if !verified.iter().any(|one| one.file == file.display().to_string()) {
            verified.push(look(&file, &signers));
        }
    }
    if json {
        scene.terminal.json(&serde_json::json!({ "files": verified }))?;
    } else {
        for one in &verified {
            scene.terminal.say(one.line())?;
        }
    }
    let count = |state| verified.iter().filter(|one| one.state == state).count();
    let (bad, missing, all) = (count("bad"), count("missing"), verified.len());
    match (bad, missing) {
        (0, 0) => Ok(Exit::Done),
        (0, _) => Err(Failure::not_found(format!("{missing} of {all} files are not there"))),
        _ => Err(Failure::failed(format!("{bad} of {all} files are not good"))),
    }
}

/// What was found of a file. Fields are only ever added.
#[derive(Debug, Default, Serialize)]
struct Verified {
    file: String,
    /// `good`, `bad` or `missing`.
    state: &'static str,
    /// Why it is not good.
    reason: Option<String>,
    /// `report` or `scrub`, of a good file.
    kind: Option<&'static str>,
    import: Option<u64>,
    tenant: Option<String>,
    /// Of a report: how the import ended. Of a scrub receipt: `clean` or `not clean`.
    result: Option<String>,
    finished_at: Option<String>,
    /// The fingerprint of the key.
    signed_by: Option<String>,
    /// Of a scrub receipt: whether the report that it names stands beside it.
    report_beside: Option<bool>,
}

impl Verified {
    fn line(&self) -> String {
        if let Some(reason) = &self.reason {
            return format!("{:<8} {}: {reason}", self.state, self.file);
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let what = match (self.kind, self.import) {
            (Some(kind), Some(import)) => {
                let beside = match self.report_beside {
                    Some(true) => ", of the report beside it",
                    Some(false) => ", its report is not beside it",
                    None => "",
                };
                let (tenant, result, at) = (text(&self.tenant), text(&self.result), text(&self.finished_at));
                format!("{kind} of import {import} of {tenant}, {result} {at}{beside}; ")
            }
            _ => String::new(),
        };
        format!("{:<8} {}: {what}signed by {}", self.state, self.file, text(&self.signed_by))
    }
}

/// Why a file is not good.
enum Fault {
    Missing,
    Bad(String),
}

fn look(file: &Path, signers: &AllowedSigners) -> Verified {
    let named = file.display().to_string();
    match examine(file, signers) {
        Ok(good) => Verified { file: named, state: "good", ..good },
        Err(Fault::Missing) => Verified { file: named, state: "missing", reason: Some("no such file".to_owned()), ..Verified::default() },
        Err(Fault::Bad(reason)) => Verified { file: named, state: "bad", reason: Some(reason), ..Verified::default() },
    }
}

fn examine(file: &Path, signers: &AllowedSigners) -> Result<Verified, Fault> {
    let text = read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        _ => Fault::Bad(format!("cannot be read: {error}")),
    })?;
    let signature = read(&with_ending(file, SIGNATURE)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Bad("its signature is not beside it".to_owned()),
        _ => Fault::Bad(format!("its signature cannot be read: {error}")),
    })?;
    let by = signers.check(&text, &signature).map_err(|error| Fault::Bad(error.to_string()))?;
    let said: Value = serde_json::from_slice(&text).unwrap_or_default();
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let (kind, result) = match said["clean"].as_bool() {
        Some(clean) => (Some("scrub"), Some(if clean { "clean" } else { "not clean" }.to_owned())),
        None => (said["rows"].is_object().then_some("report"), word(&said["status"])),
    };
    Ok(Verified {
        kind,
        import: said["import"].as_u64(),
        tenant: word(&said["tenant"]),
        result,
        finished_at: word(&said["finished_at"]),
        signed_by: Some(by.fingerprint(HashAlg::Sha256).to_string()),
        report_beside: said["report"].as_str().map(|named| is_beside(file, named)).transpose().map_err(Fault::Bad)?,
        ..Verified::default()
    })
}

/// Whether the report with this digest stands beside a scrub receipt.
fn is_beside(receipt: &Path, named: &str) -> Result<bool, String> {
    let name = receipt.file_name().unwrap_or_default().to_string_lossy();
    let Some(name) = name.strip_suffix(RECEIPT) else { return Ok(false) };
    let report = format!("{name}{REPORT}");
    match read(&receipt.with_file_name(&report)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("the report beside it cannot be read: {error}")),
        Ok(text) if format!("sha256:{}", hex::encode(Sha256::digest(&text))) == named => Ok(true),
        Ok(_) => Err(format!("the report beside it, {report}, is not the one that it names")),
    }
}

fn read_signers(file: &Path) -> Result<AllowedSigners, Failure> {
    let shown = file.display();
    let text = read(file).map_err(|error| Failure::usage(format!("cannot read \"{shown}\"")).because(&error))?;
    AllowedSigners::parse(&String::from_utf8_lossy(&text))
        .map_err(|error| Failure::usage(format!("{shown}: {error}")).hint("print the lines with: expunged tenant instructions NAME"))
}

fn host_keys(scene: &Scene) -> Result<AllowedSigners, Failure> {
    let config = scene.load_config()?;
    let keys = daemon::read_host_keys(&config).map_err(|error| {
        let failure = Failure::usage("cannot read the host keys").because(&error);
        owner::hint_if_denied(failure, &config.data_dir, &scene.command_line).hint("or name the signers with: --allowed-signers FILE")
    })?;
    Ok(AllowedSigners::new(keys.iter().map(|key| key.public_key().clone()).collect()))
}

/// The file that is meant, where a pattern of the shell has named its signature.
fn signed(file: &Path) -> PathBuf {
    let name = file.to_str().and_then(|name| name.strip_suffix(SIGNATURE));
    name.map_or_else(|| file.to_owned(), PathBuf::from)
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX { Err(io::Error::other(format!("it is larger than {BYTES_MAX} bytes"))) } else { Ok(bytes) }
}

/// Largest file that is looked at. A report lists a bounded number of errors.
const BYTES_MAX: u64 = 64 << 20;
