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
//! `tests/layers.rs` holds the code to this picture. A file passes through it like this: `sftp` writes it in staging and
//! delivers it ([`spool::Upload::close`]); `pipeline` finds it by its scan, claims it, has `records` read it and `purge` match it, then
//! delete in chunks; `report` says what happened and `spool` archives; `scrub` looks for what was left behind.
//!
//! What must hold at every moment:
//!
//! * **A name in an inbox is a complete file**, and OK on CLOSE means that it is durable.
//! * **Receiving and processing meet only on disk**; events are hints, the scan is the truth.
//! * **A row is purged and reported exactly once**: the deletions of a chunk and the record of them commit in one transaction.
//! * **Where the file is archived, its report is there**, and the outcomes add up to the rows read.
//! * **Targets are never bare keys**: each chunk compares who a target is before it deletes.
//! * **No tenant can see, name, fill up or delete what is another's.**
//! * **No address leaves by a side door**: not in a log, a status, a report, a message, a panic, nor the ledger.
//! * **Everything has a limit**, named in the config with its unit.

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
