//! The server: where it listens, how it lets connections in, and how it ends.
//!
//! The accept loops never end before the signal: when descriptors run out they wait and go on. Each connection has a thread of
//! its own with its own small runtime, so a session that blocks at the disk holds up nobody else. It does not know
//! who may log in (see [`Directory`]) nor what becomes of a file.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use russh::keys::PrivateKey;
use russh::server::{Config, run_stream};
use russh::{MethodKind, MethodSet};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{Span, debug, field, info, info_span, warn};

use crate::sftp::login::{Directory, Login};
use crate::sftp::password::PasswordCheck;
use crate::sftp::penalties::Penalties;
use crate::sftp::sessions::{Admission, Ending, Session, Sessions};
use crate::sftp::tree::Receiving;
use crate::sftp::{Hints, Options, algorithms};
use crate::shutdown;
use crate::telemetry::chain;

/// Stack of a connection's thread; only what is touched costs memory.
const STACK_BYTES: usize = 1 << 20;

/// Connections that may wait to be accepted; the system has a limit of its own, which counts.
const BACKLOG_MAX: i32 = i32::MAX;

/// Waits after a failed accept: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Time between two looks at the sessions.
const WATCH: Duration = Duration::from_millis(500);

/// Time for channels to see that their connection is gone. What each then carries out blocks its thread and is not cut by it.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Time for sessions to go after they were told to, at the very end.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) directory: Directory,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) receiving: Arc<Receiving>,
    pub(crate) penalties: Penalties,
    pub(crate) passwords: PasswordCheck,
    config: Arc<Config>,
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No address is configured.
    #[error("no address to listen on")]
    NoAddress,
    /// No host key is configured.
    #[error("no host key")]
    NoHostKey,
    /// An address is taken, not ours, or not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// A server that listens and does not serve yet.
pub struct Bound {
    listeners: Vec<std::net::TcpListener>,
    shared: Arc<Shared>,
}

/// The SFTP server.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Listens on every address. Connections wait until [`Bound::run`].
    ///
    /// # Errors
    /// [`BindError`]: what is missing, or the first address that failed.
    pub fn bind(options: Options, host_keys: Vec<PrivateKey>, directory: Directory, hints: Hints) -> Result<Bound, BindError> {
        if options.listen.is_empty() {
            return Err(BindError::NoAddress);
        }
        if host_keys.is_empty() {
            return Err(BindError::NoHostKey);
        }
        let bind = |&address: &SocketAddr| listen(address).map_err(|source| BindError::Listen { address, source });
        let listeners = options.listen.iter().map(bind).collect::<Result<_, _>>()?;
        let shared = Shared {
            directory,
            receiving: Arc::new(Receiving::new(&options, hints)),
            config: Arc::new(ssh_config(&options, host_keys)),
            penalties: Penalties::new(options.penalties.clone()),
            passwords: PasswordCheck::new(options.password_checks_max),
            sessions: Sessions::new(options),
        };
        Ok(Bound { listeners, shared: Arc::new(shared) })
    }
}

/// Listens on an address. All of IPv6, `[::]`, is that alone: it stands beside all of IPv4 at the same port.
fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG_MAX)?;
    Ok(socket.into())
}

impl Bound {
    /// The addresses that it listens on, with the ports that the system chose for 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves until the signal; then lets open files finish for `drain_seconds`, with what their senders ask after it, takes no new
    /// ones, and ends what is left.
    ///
    /// # Errors
    /// When a listener cannot be handed to the runtime, at the start only.
    pub async fn run(self, mut stop: shutdown::Signal) -> io::Result<()> {
        let Self { listeners, shared } = self;
        let sessions = Arc::clone(&shared.sessions);
        let watch = tokio::spawn(watch(Arc::clone(&shared)));
        let mut accepting = Vec::new();
        for listener in listeners {
            let listener = TcpListener::from_std(listener)?;
            accepting.push(tokio::spawn(accept(listener, Arc::clone(&shared), stop.clone())));
        }
        stop.raised().await;
        for accept in accepting {
            let _ = accept.await;
        }
        sessions.end_unused();
        let grace = Duration::from_secs(sessions.limits().drain_seconds);
        if shutdown::drain(sessions.emptied(), grace).await.is_none() {
            warn!(sessions = sessions.count(), "sessions cut at the end of the grace period");
            sessions.end_all();
            let _ = shutdown::drain(sessions.emptied(), LAST_WAIT).await;
        }
        watch.abort();
        Ok(())
    }
}

async fn watch(shared: Arc<Shared>) {
    let mut tick = interval(WATCH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        shared.sessions.look_after();
        shared.sessions.end_revoked(|login, proof| (shared.directory)(login).is_ok_and(|login| login.knows(proof)));
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stop: shutdown::Signal) {
    let mut back_off = BACK_OFF.0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.raised() => return,
            accepted = listener.accept() => accepted,
        };
        let started = accepted.and_then(|(stream, peer)| start(stream, peer, &shared, &stop));
        match started {
            Ok(()) => back_off = BACK_OFF.0,
            // The client's doing, and no reason to wait.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
            Err(error) => {
                if back_off == BACK_OFF.0 {
                    warn!(cause = chain(&error), "cannot take connections");
                }
                tokio::select! {
                    () = stop.raised() => return,
                    () = tokio::time::sleep(back_off) => {}
                }
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
        }
    }
}

/// Lets one connection in and starts its thread. A connection over the limits is closed.
fn start(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>, stop: &shutdown::Signal) -> io::Result<()> {
    let source = peer.ip().to_canonical();
    if shared.penalties.is_barred(source, Instant::now()) {
        debug!(%source, reason = "barred", "connection refused");
        // OpenSSH's words. Nobody waits for them to be taken.
        let _ = stream.try_write(b"Not allowed at this time\r\n");
        return Ok(());
    }
    let admission = match shared.sessions.admit(source) {
        Ok(admission) => admission,
        Err(reason) => {
            debug!(%source, reason, "connection refused");
            return Ok(());
        }
    };
    if let Err(error) = stream.set_nodelay(true) {
        debug!(cause = chain(&error), "connection lost");
        return Ok(());
    }
    let stream = stream.into_std()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (shared, stop) = (Arc::clone(shared), stop.clone());
    let run = move || {
        let span = info_span!("session", %source, tenant = field::Empty);
        let _entered = span.enter();
        serve(runtime, stream, shared, admission, stop);
    };
    on_thread(run)
}

fn on_thread(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("sftp".into()).stack_size(STACK_BYTES).spawn(run).map(drop)
}

/// Runs one connection: until it has logged in on this thread, then to its end on a fresh one. What the key exchange and the
/// signatures have touched of a stack is several times what a session needs, and only the end of its thread gives it back.
fn serve(runtime: Runtime, stream: std::net::TcpStream, shared: Arc<Shared>, admission: Admission, stop: shutdown::Signal) {
    let session = Arc::clone(admission.session());
    let mut life = Box::pin(live(stream, shared, admission, stop));
    let logged_in = runtime.block_on(async {
        tokio::select! {
            biased;
            () = &mut life => false,
            () = session.logged_in() => true,
        }
    });
    if logged_in {
        let span = Span::current();
        let run = move || {
            let _entered = span.enter();
            runtime.block_on(life);
            runtime.block_on(last_requests(&session));
            // Ends the tasks of its channels, on this thread, and with them what they had open.
            drop(runtime);
        };
        if let Err(error) = on_thread(run) {
            warn!(cause = chain(&error), "session cut");
        }
    }
}

async fn live(stream: std::net::TcpStream, shared: Arc<Shared>, admission: Admission, stop: shutdown::Signal) {
    let admission = Arc::new(admission);
    let session = Arc::clone(admission.session());
    let connection = async {
        let stream = Counted { stream: TcpStream::from_std(stream)?, session: Arc::clone(&session) };
        let login = Login::new(Arc::clone(&shared), admission, stop);
        run_stream(Arc::clone(&shared.config), stream, login).await?.await
    };
    tokio::select! {
        biased;
        ending = session.ended() => match ending {
            Ending::Stalled | Ending::Flooding => warn!(?ending, "session cut"),
            Ending::Revoked => info!(?ending, "session cut"),
            _ => debug!(?ending, "session cut"),
        },
        ended = connection => match ended {
            Ok(()) => {}
            Err(error @ russh::Error::NoCommonAlgo { .. }) => {
                let hint = "what is offered: expunged serve --check-config; legacy_clients = true and an RSA host key offer more to old clients";
                // What a stranger sends may be long.
                let cause: String = error.to_string().chars().take(TOLD_CHARACTERS_MAX).collect();
                info!(cause, hint, "client and server have no algorithm in common");
            }
            Err(error) => debug!(cause = chain(&error), "connection lost"),
        },
    }
}

/// Lets the channels of a connection that is gone see that, and carry out what was asked before; not where the session was told to end.
async fn last_requests(session: &Session) {
    tokio::select! {
        biased;
        _ = session.ended() => {}
        _ = timeout(LAST_REQUESTS, session.channels_closed()) => {}
    }
}

/// Most of what is told of a stranger's list of algorithms.
const TOLD_CHARACTERS_MAX: usize = 400;

/// The SSH side of every connection.
fn ssh_config(options: &Options, keys: Vec<PrivateKey>) -> Config {
    Config {
        server_id: russh::SshId::Standard("SSH-2.0-expunged".into()),
        methods: methods(options.password_login),
        auth_rejection_time: Duration::from_millis(options.login_refusal_milliseconds),
        // OpenSSH's first "none" attempt is a question, not a guess.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        window_size: 2 << 20,
        maximum_packet_size: 65_535,
        channel_buffer_size: 1000,
        preferred: algorithms::preferred(options.legacy_clients),
        max_auth_attempts: options.login_attempts_max + 1,
        // While keepalives are answered this runs for writes only; a second belt behind the limit on replies.
        inactivity_timeout: Some(Duration::from_secs(600)),
        keepalive_interval: Some(Duration::from_secs(options.keepalive_seconds)),
        keepalive_max: 3,
        nodelay: true,
        ..Config::default()
    }
}

/// The ways to log in that are offered. `none` is not among them.
pub(crate) fn methods(password_login: bool) -> MethodSet {
    let offered = [MethodKind::PublicKey, MethodKind::Password];
    MethodSet::from(&offered[..1 + usize::from(password_login)])
}

/// The socket, with an account of what it took.
struct Counted {
    stream: TcpStream,
    session: Arc<Session>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.session.add_written(count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
