//! Arguments that several commands take, and how their values are read.
//!
//! A command's own arguments stand beside the command. An address is never an argument: arguments land in shell history and
//! in sudo's log.

use clap::Args;

use crate::domain::ImportId;

/// How a list given by hand is read: shared by `check` and `purge`.
#[derive(Args, Debug)]
pub struct ReadingArgs {
    /// Read a column of the file as a known one; may be repeated
    #[arg(long, value_name = "HEADER=COLUMN", value_parser = read_map)]
    pub map: Vec<(String, String)>,
    /// Where a row says nothing, keep the account when its last user goes [default: the tenant's setting]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub preserve_empty_accounts: Option<bool>,
    /// Where a row says nothing, never register the person again [default: the tenant's setting]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub do_not_track: Option<bool>,
}

/// Whom a command is about: the address is read, never an argument.
#[derive(Args, Debug)]
#[group(id = "named", required = true, multiple = true)]
pub struct PersonArgs {
    /// The account
    #[arg(long, value_name = "ACCOUNT", requires = "id", conflicts_with = "email")]
    pub account: Option<String>,
    /// The id within the account
    #[arg(long, value_name = "ID", requires = "account", conflicts_with = "email")]
    pub id: Option<String>,
    /// By address, which is asked for
    #[arg(long)]
    pub email: bool,
}

/// The number of an import.
pub(super) fn read_import(text: &str) -> Result<ImportId, String> {
    text.parse().ok().filter(|id| *id > 0).map(ImportId).ok_or_else(|| "expected the number of an import, such as 42".to_owned())
}

/// A reason that may be kept: no address has a place in the ledger.
pub(super) fn read_why(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("expected a few words".to_owned()),
        why if crate::pipeline::may_be_kept(why) => Ok(why.to_owned()),
        _ => Err(format!("a reason is kept and shown: at most {} bytes on one line, and no address", crate::pipeline::WHY_BYTES_MAX)),
    }
}

fn read_map(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((header, column)) if !header.is_empty() && !column.is_empty() => Ok((header.to_owned(), column.to_owned())),
        _ => Err("expected HEADER=COLUMN, such as 'E-mail=Customer Email'".to_owned()),
    }
}
