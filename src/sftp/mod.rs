//! Receiving: from the network to a complete file in an inbox.
//!
//! ```text
//! server     listens, lets in, drains          login      who it is, which channels
//! access     keys, their options, networks     penalties  by source address, growing and fading
//! sessions   limits, the watch from outside    transport  messages ⇄ bytes, cannot deadlock
//! engine     SFTP version 3, pure              tree       the tenant's view over the spool
//! quota      how much may wait and come        shown      files, paths and failures as the sender sees them
//! password   hashes, and the check of one      failed     names whose upload was refused, a channel's
//! ```
//!
//! It ends where a file stands in an inbox, durably; a hint goes to whoever processes, and nothing comes back but what
//! the folders show.

mod access;
mod algorithms;
pub mod engine;
mod login;
mod opened;
mod options;
mod password;
mod penalties;
mod place;
mod quota;
mod sent;
mod server;
mod sessions;
mod shown;
mod taken;
#[cfg(test)]
mod tests;
mod transport;
mod tree;
pub(crate) mod wire;

pub use access::{AllowedKey, KeyOptions, read_network};
pub use algorithms::offered;
pub use login::{Directory, TenantLogin};
pub use options::Options;
pub use password::PasswordHash;
pub use penalties::PenaltyOptions;
pub use quota::Quota;
pub use server::{BindError, Bound, Server};
pub use wire::{Attributes, Code, Refusal};

use tokio::sync::mpsc;

use crate::domain::TenantName;
use crate::spool::Delivered;

/// A file was just delivered: it need not settle.
pub type Hint = (TenantName, Delivered);

/// Where hints go.
pub type Hints = mpsc::UnboundedSender<Hint>;
