//! A list that a person gives by hand, to rehearse it or to erase whom it names.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use serde_json::Value;

use super::args::ReadingArgs;
use super::{Exit, Failure, files, serve, store};
use crate::config::{Config, Tenant};
use crate::daemon;
use crate::domain::{FileName, Settings};
use crate::pipeline::{self, ReadingOf, Rehearsal, Rules};
use crate::report::Report;

/// A list that a person gave, by path or by naming one person.
pub(super) struct List {
    pub(super) name: FileName,
    file: File,
}

impl List {
    /// The list in a file.
    ///
    /// # Errors
    /// [`Exit::NotFound`] where it cannot be opened, [`Exit::Usage`] where no list can be so named or it is no regular file.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let cannot = |why: io::Error| Failure::new(Exit::NotFound, format!("cannot open \"{}\"", path.display())).because(&why);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = FileName::parse(&name)
            .map_err(|error| Failure::usage(format!("\"{}\" cannot be the name of a list", path.display())).because(&error))?;
        let file = File::open(path).map_err(cannot)?;
        if !file.metadata().map_err(cannot)?.is_file() {
            return Err(Failure::usage(format!("\"{}\" is not a regular file", path.display())));
        }
        Ok(Self { name, file })
    }

    /// A list of one row, in a file without a name.
    pub(super) fn of_one<const N: usize>(columns: [&str; N], row: [&str; N]) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::failed("cannot write a list of one").because(&error);
        let mut text = csv::Writer::from_writer(Vec::new());
        for record in [columns, row] {
            text.write_record(record).map_err(|error| failed(error.into()))?;
        }
        let text = text.into_inner().map_err(|error| failed(error.into_error()))?;
        let mut file = files::unnamed().map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        let name = FileName::parse("by-hand.csv").expect("a valid name");
        Ok(Self { name, file })
    }

    /// Copies the list to where the daemon takes it from, and answers the name that it has there. `sha256`: that of the list as it
    /// was shown, which it must still be.
    pub(super) fn store(&mut self, config: &Config, sha256: &str) -> Result<String, Failure> {
        let failed = |error: io::Error| Failure::failed("cannot hand the list over").because(&error);
        let folder = daemon::requests_dir(config);
        files::create_private_folder(&folder).map_err(failed)?;
        self.file.rewind().map_err(failed)?;
        let mut content = Vec::new();
        self.file.read_to_end(&mut content).map_err(failed)?;
        if hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&content)) != sha256 {
            return Err(Failure::failed("the file changed while it was looked at: nothing was deleted").hint("run the command again"));
        }
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(|error| failed(io::Error::other(error)))?;
        let stored = hex::encode(token);
        files::create(&folder.join(&stored), &content, 0o600).map_err(failed)?;
        Ok(stored)
    }
}

/// What would become of a list: the work and the report of an import, with nothing deleted and nothing written.
///
/// # Errors
/// Also where the plan does not fit the database.
pub(super) fn rehearse(config: &Config, tenant: &Tenant, rules: &Rules, args: &ReadingArgs, list: &mut List) -> Result<Report, Failure> {
    let store = store::open_read_only(config)?;
    store::same_key(config, &store)?;
    let engine = store::engine(config)?;
    engine.fits(store.connection(), config.store.unindexed_rows_max).map_err(|error| serve::failure(error.into()))?;
    let kind = pipeline::kind_by_hand(list.name.kind());
    let reading = pipeline::reading_of(kind, rules, &ReadingOf { map: &args.map, ..ReadingOf::default() });
    let rehearsal = Rehearsal {
        store: &store,
        engine: &engine,
        tenant: &tenant.name,
        settings: settings(tenant, args),
        rules,
        name: list.name.as_str(),
    };
    rehearsal.run(&mut list.file, reading).map_err(|fault| Failure::failed(fault.chain()))
}

/// What holds where a row says nothing: the options of the command, else those of the tenant.
pub(super) fn settings(tenant: &Tenant, args: &ReadingArgs) -> Settings {
    let own = tenant.options.settings();
    Settings {
        preserve_empty_accounts: args.preserve_empty_accounts.unwrap_or(own.preserve_empty_accounts),
        do_not_track: args.do_not_track.unwrap_or(own.do_not_track),
    }
}

/// A rehearsal by hand is no import and has no number.
pub(super) fn without_import(report: &Report) -> Value {
    let mut value = serde_json::to_value(report).expect("a report always serialises");
    value["import"] = Value::Null;
    value
}
