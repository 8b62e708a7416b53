//! The words of the product as types: tenants, file names, addresses, subjects, outcomes, imports.
//!
//! Everything here is a value. Nothing opens a file, waits, logs, or knows the time; a value that exists is valid.

mod counts;
mod email;
mod identity;
mod import;
mod names;
mod outcome;
mod subject;
pub(crate) mod text;

pub use counts::Counts;
pub use email::{EMAIL_BYTES_MAX, Email, EmailError, fold_case, may_hold_address};
pub use identity::{Identity, IdentityKey};
pub use import::{Dialect, FileState, ImportId, Mode, Rejection, State};
pub use names::{
    CHECKSUM_ENDING, FILE_NAME_BYTES_MAX, FileName, FileNameError, Format, NameKind, TENANT_NAME_BYTES_MAX, TenantName, TenantNameError,
    VOUCHED_NAME_BYTES_MAX,
};
pub use outcome::{Outcome, ROW_ERRORS_MAX, Reason, RowError, Tally};
pub use subject::{Flags, Settings, SubjectKey, SubjectKind};
