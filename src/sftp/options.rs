//! What may be chosen about receiving, each with its unit, and what holds if nothing is chosen.
//!
//! The config's defaults are these; what it has no name for is fixed, but for tests.

use std::net::{Ipv4Addr, SocketAddr};

use crate::sftp::PenaltyOptions;

/// Addresses and limits of the SFTP server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Whether older algorithms are offered as well.
    pub legacy_clients: bool,
    /// Sessions that are logged in, in all.
    pub sessions_max: usize,
    /// Sessions of one tenant.
    pub sessions_per_tenant_max: usize,
    /// Connections from one address, logged in or not.
    pub sessions_per_source_max: usize,
    /// Connections that have not logged in. Beyond it the one that waits longest is closed.
    pub logins_pending_max: usize,
    /// Time to log in.
    pub login_seconds: u64,
    /// Refused attempts at logging in, in one connection.
    pub login_attempts_max: usize,
    /// Whether passwords are taken, from tenants that have one.
    pub password_login: bool,
    /// Passwords that are checked at once; each check takes 19 MiB.
    pub password_checks_max: usize,
    /// Delay of the answer to a refused attempt, the same for every reason.
    pub login_refusal_milliseconds: u64,
    /// What sources that do not log in bring upon themselves.
    pub penalties: PenaltyOptions,
    /// Time without a request after which a session is closed.
    pub idle_seconds: u64,
    /// Time that a reply may wait for a client that does not read.
    pub reply_seconds: u64,
    /// Time between probes of a silent client; after three without an answer it is gone.
    pub keepalive_seconds: u64,
    /// Channels open at once in one session.
    pub channels_per_session_max: usize,
    /// Files and folders open at once in one channel.
    pub handles_per_channel_max: usize,
    /// Size of one upload.
    pub upload_bytes_max: u64,
    /// Requests received while a reply is being sent, in one session.
    pub backlog_bytes_max: usize,
    /// Room on the disk below which nothing is taken.
    pub free_bytes_min: u64,
    /// Time that CLOSE waits for an earlier file of the same name to be claimed.
    pub close_wait_milliseconds: u64,
    /// Time that STAT answers for a file after its CLOSE, though it is taken.
    pub taken_seconds: u64,
    /// Taken files that STAT answers for, of one tenant.
    pub taken_per_tenant_max: usize,
    /// Time that sessions get to finish their open files when the daemon stops.
    pub drain_seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 2022))],
            legacy_clients: false,
            sessions_max: 256,
            sessions_per_tenant_max: 16,
            sessions_per_source_max: 32,
            logins_pending_max: 100,
            login_seconds: 30,
            login_attempts_max: 6,
            password_login: false,
            password_checks_max: 2,
            login_refusal_milliseconds: 250,
            penalties: PenaltyOptions::default(),
            idle_seconds: 600,
            reply_seconds: 60,
            keepalive_seconds: 15,
            channels_per_session_max: 4,
            handles_per_channel_max: 64,
            upload_bytes_max: 4 << 30,
            backlog_bytes_max: 8 << 20,
            free_bytes_min: 256 << 20,
            close_wait_milliseconds: 2000,
            taken_seconds: 60,
            taken_per_tenant_max: 4096,
            drain_seconds: 20,
        }
    }
}
