//! expunged: an SFTP drop-folder daemon that erases customers.
//!
//! A synchronous core of small types, a thin asynchronous rim, one place where everything is wired, and the disk as the
//! only channel between receiving and processing.
//!
//! ```text
//! 9  main, cli                  words for people, exit codes
//! 8  daemon                     wiring: config → build → recover → ready → drain
//! 7  config                     files → each part's Options, all faults in one run, nothing opened
//! 6  sftp                       async rim: network → staging → inbox
//! 5  pipeline                   async rim: wake → scan → claim → import → archive; fair between tenants; times chunks
//! 4  shutdown                   how the rim ends
//!    ─────────────────────────  nothing below this line waits, or knows the time
//! 3  spool                      folders and durable moves
//! 2  purge  load  scrub         the rule of the product: rows + plan + store → outcomes
//! 1  records  report  store  guide   formats, storage, what senders are told
//! 0  domain  telemetry          words, and how we speak
//! ```
//!
//! `tests/layers.rs` holds the code to this picture.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod guide;
pub mod load;
pub mod pipeline;
pub mod purge;
pub mod records;
pub mod report;
pub mod scrub;
pub mod sftp;
pub mod shutdown;
pub mod spool;
pub mod store;
pub mod telemetry;
