//! SIGHUP, heard from the moment that this is made: the first thing that a daemon makes.
//!
//! A start can take long, for it waits while another program holds the store's lock; and whoever has changed a tenant's file does not
//! see how far it is. What is sent meanwhile is taken up once the daemon works. SIGTERM and SIGINT end a start, as they end anything.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears, and has the runtime that the daemon works on.
pub struct Hangup {
    pub(super) runtime: Runtime,
    pub(super) signal: Signal,
}

impl Hangup {
    /// Hears from now on.
    ///
    /// # Errors
    /// When the system refuses threads or signals.
    pub fn heard() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let signal = {
            let _inside = runtime.enter();
            signal(SignalKind::hangup())?
        };
        Ok(Self { runtime, signal })
    }
}
