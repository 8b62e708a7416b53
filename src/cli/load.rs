//! `load`: an operator's file into the built-in store, and what became of its rows.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Exit, Failure, Scene, Terminal, store, tenant};
use crate::config::Config;
use crate::domain::{FileName, Format, NameKind, TenantName};
use crate::load::{self, BadRow, Kind, Load, LoadError, Loaded, Progress};
use crate::records::Limits;

/// Bad rows that are shown; the rest is counted.
const BAD_ROWS_SHOWN: usize = 100;

/// What a file for `load` holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LoadKind {
    /// accountId,id,email,firstName,lastName,createdAt
    Customers,
    /// id,referrerAccountId,referrerId,referredAccountId,referredId,status,createdAt
    Referrals,
    /// id,accountId,userId,referralId,type,amount,currency,status,createdAt
    Rewards,
    /// id,accountId,userId,name,occurredAt,properties
    Events,
    /// accountId,userId,name,value
    Fields,
}

/// Arguments of `load`.
#[derive(Args, Debug)]
#[command(
    about = "Fill the built-in store from a CSV or JSONL file",
    after_help = "A file is loaded whole or not at all; bad rows are listed by line and left out.\n\
                  Only the keys are mandatory; a row whose key is there replaces it, absent columns made blank. Load customers \
                  first: the other kinds refer to them. A load holds the store's write lock to its end: purges wait meanwhile, \
                  so split a file of many millions of rows while a daemon runs.\n\n\
                  Examples:\n  expunged load customers customers.csv --tenant acme\n  expunged load events events.jsonl --tenant acme\n\n\
                  Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 done, some rows invalid; 4 no such tenant or file; 6 rejected, nothing loaded"
)]
pub struct LoadArgs {
    /// What the file holds
    #[arg(value_enum)]
    pub kind: LoadKind,
    /// The file: .csv, .txt, .jsonl or .ndjson
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Whose they are
    #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
    pub tenant: TenantName,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(scene: &Scene, args: &LoadArgs) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    // A faulty tenant file closes a login; customers can be loaded all the same.
    tenant::must_be_known(scene, &config, &args.tenant)?;
    if let Some(database) = &config.store.database {
        return Err(Failure::usage(format!("people are erased from \"{}\" here, which its application fills", database.display()))
            .hint("load fills the embedded store: take out store.database and store.plan to use that"));
    }
    let format = format_of(&args.file)?;
    let file = open(&args.file)?;
    scene.guard_owner(&config)?;
    let key = store::identity_key(&config)?;
    let mut store = store::open(&config)?;

    let kind = kind(args.kind);
    let bar = scene.terminal.progress(file.metadata().map_or(0, |meta| meta.len()));
    let what = Load { tenant: &args.tenant, kind, key: &key, format, limits: limits(&config) };
    let loaded = load::load(&mut store, &what, bar.wrap_read(&file), |progress| {
        bar.set_message(match progress {
            Progress::Rows(rows) => counted(rows, "row"),
            Progress::Committing => "writing".to_owned(),
        });
    });
    bar.finish_and_clear();
    let loaded = loaded.map_err(|error| failure(&args.file, error))?;

    if args.json {
        scene.terminal.json(&shown(&args.tenant, kind, &loaded))?;
    } else {
        tell_bad_rows(&scene.terminal, &loaded);
        let word = kind.as_str().trim_end_matches('s');
        let word = if kind == Kind::Fields { "custom field" } else { word };
        let (new, replaced) = (loaded.new, loaded.replaced);
        scene.terminal.say(format!(
            "loaded {} ({new} new, {replaced} replaced), {}",
            counted(loaded.rows(), word),
            counted(loaded.bad, "bad row")
        ))?;
    }
    Ok(if loaded.bad > 0 { Exit::SomeInvalid } else { Exit::Done })
}

fn kind(kind: LoadKind) -> Kind {
    match kind {
        LoadKind::Customers => Kind::Customers,
        LoadKind::Referrals => Kind::Referrals,
        LoadKind::Rewards => Kind::Rewards,
        LoadKind::Events => Kind::Events,
        LoadKind::Fields => Kind::Fields,
    }
}

/// The format that a file's ending names.
fn format_of(file: &Path) -> Result<Format, Failure> {
    let ending = file.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
    // The rest of an operator's file name may be anything.
    match FileName::parse(&format!("file.{ending}")).map(|name| name.kind()) {
        Ok(NameKind::List { format, gzip: false }) => Ok(format),
        _ => {
            let failure = Failure::usage(format!("\"{}\" does not end in .csv, .txt, .jsonl or .ndjson", file.display()));
            Err(if ending.eq_ignore_ascii_case("gz") { failure.hint("unpack it first, with gunzip") } else { failure })
        }
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    let cannot = |error: &io::Error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Failure::new(exit, format!("cannot open \"{}\"", path.display())).because(error)
    };
    let file = File::open(path).map_err(|error| cannot(&error))?;
    if file.metadata().map_err(|error| cannot(&error))?.is_dir() {
        return Err(Failure::usage(format!("\"{}\" is a folder", path.display())));
    }
    Ok(file)
}

fn limits(config: &Config) -> Limits {
    let bound = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let limits = &config.limits;
    Limits {
        row_bytes_max: bound(limits.row_bytes_max),
        quoted_lines_max: limits.quoted_lines_max,
        columns_max: bound(limits.columns_max),
        // The operator's own file, whose rows cost no memory: the bound is for what senders push.
        rows_per_file_max: u64::MAX,
        rows_recommended: u64::MAX,
    }
}

fn failure(file: &Path, error: LoadError) -> Failure {
    let file = file.display();
    match error {
        LoadError::Medium(error) => Failure::failed(format!("cannot read \"{file}\"")).because(&error).hint("nothing was loaded"),
        LoadError::Rejected(rejection) => {
            let line = rejection.line.map_or_else(String::new, |line| format!("line {line}: "));
            let message = format!("{file}: {line}{} ({})", rejection.message, rejection.code);
            Failure::new(Exit::Rejected, message).hint("nothing was loaded")
        }
        LoadError::Store(error) => store::failure(&error),
    }
}

fn tell_bad_rows(terminal: &Terminal, loaded: &Loaded) {
    for bad in loaded.bad_rows.iter().take(BAD_ROWS_SHOWN) {
        let column = bad.fault.column.as_ref().map_or_else(String::new, |column| format!("{column}: "));
        terminal.bad(format!("line {}: {column}{} ({})", bad.line, bad.fault.reason.message(), bad.fault.reason.code()));
    }
    let more = loaded.bad.saturating_sub(BAD_ROWS_SHOWN as u64);
    if more > 0 {
        terminal.bad(format!("and {more} more"));
    }
}

/// `1 row`, `2 rows`
fn counted(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[derive(Serialize)]
struct Shown<'a> {
    tenant: &'a TenantName,
    kind: &'static str,
    loaded: u64,
    new: u64,
    replaced: u64,
    bad: u64,
    bad_rows: Vec<ShownBadRow<'a>>,
    /// Bad rows that are not listed.
    bad_rows_omitted: u64,
}

#[derive(Serialize)]
struct ShownBadRow<'a> {
    line: u64,
    column: Option<&'a str>,
    reason: &'static str,
    message: &'static str,
}

fn shown<'a>(tenant: &'a TenantName, kind: Kind, loaded: &'a Loaded) -> Shown<'a> {
    let bad_row = |bad: &'a BadRow| ShownBadRow {
        line: bad.line,
        column: bad.fault.column.as_deref(),
        reason: bad.fault.reason.code(),
        message: bad.fault.reason.message(),
    };
    Shown {
        tenant,
        kind: kind.as_str(),
        loaded: loaded.rows(),
        new: loaded.new,
        replaced: loaded.replaced,
        bad: loaded.bad,
        bad_rows: loaded.bad_rows.iter().map(bad_row).collect(),
        bad_rows_omitted: loaded.bad - loaded.bad_rows.len() as u64,
    }
}
