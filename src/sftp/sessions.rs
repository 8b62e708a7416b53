//! Who is connected: admission by number, and the watch over each session from outside of it.
//!
//! A session runs on its own thread and may block there; what is here is looked at and ended from other threads.
//! It does not know what a session does beyond "idle", "at the files" and "replying".

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use russh::keys::ssh_key::public::KeyData;
use tokio::sync::{Notify, watch};
use tracing::{debug, warn};

use crate::domain::TenantName;
use crate::sftp::penalties::group;
use crate::sftp::{Options, PasswordHash};

/// Bytes that must reach the socket within `reply_seconds`, or a reply counts as blocked. Keepalives alone are fewer.
const PROGRESS_BYTES_MIN: u64 = 16 * 1024;

/// Why a session is ended from outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// Not logged in within the time.
    LoginDeadline,
    /// Made room for a newer connection before it had logged in.
    Displaced,
    /// Asked nothing for too long.
    Idle,
    /// Does not read its replies.
    Stalled,
    /// Sends faster than it reads, beyond the cap.
    Flooding,
    /// Its login, or what opened it, is not there any more.
    Revoked,
    /// The daemon ends.
    Shutdown,
}

impl Ending {
    /// Why an upload was cut by it, for the sender and the operator.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::LoginDeadline | Self::Displaced => "the connection was not logged in",
            Self::Idle => "the connection was idle for too long",
            Self::Stalled => "the client did not read its replies",
            Self::Flooding => "the client asked for more than it read replies to",
            Self::Revoked => "the login, or its key or password, was taken away",
            Self::Shutdown => "the server stopped; send it again",
        }
    }
}

/// What a session is at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Doing {
    Login = 0,
    Idle = 1,
    Files = 2,
    Replying = 3,
}

/// All sessions, and the limits on them.
pub(crate) struct Sessions {
    limits: Options,
    table: Mutex<Table>,
    fewer: Notify,
}

#[derive(Default)]
struct Table {
    next: u64,
    by_id: BTreeMap<u64, Arc<Session>>,
}

/// One session, as seen from outside. Times are milliseconds since it began.
pub(crate) struct Session {
    id: u64,
    source: IpAddr,
    began: Instant,
    doing: AtomicU8,
    touched: AtomicU64,
    warned: AtomicU64,
    written: AtomicU64,
    channels: AtomicUsize,
    no_channel: Notify,
    backlog_bytes: AtomicUsize,
    tenant: Mutex<Option<TenantName>>,
    proof: Mutex<Option<(String, Proof)>>,
    logged_in: Notify,
    ending: watch::Sender<Option<Ending>>,
}

/// By what a session came in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Proof {
    /// The private half of this key.
    Key(KeyData),
    /// The password of this hash.
    Password(PasswordHash),
}

/// A place in the table, given back when dropped.
pub(crate) struct Admission {
    sessions: Arc<Sessions>,
    session: Arc<Session>,
}

impl Sessions {
    pub(crate) fn new(limits: Options) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::default(), fewer: Notify::new() })
    }

    pub(crate) fn limits(&self) -> &Options {
        &self.limits
    }

    /// Lets a connection in; or says why not, by the name of the limit. When too many wait to log in, one of them is ended: of the
    /// source address with most of them, the one that waits longest. So silent connections cannot keep a good sender out.
    pub(crate) fn admit(self: &Arc<Self>, source: IpAddr) -> Result<Admission, &'static str> {
        let mut table = self.lock();
        if table.by_id.len() >= self.limits.sessions_max + self.limits.logins_pending_max {
            return Err("too many sessions");
        }
        let staying = || table.by_id.values().filter(|session| !session.is_ending());
        let pending = || staying().filter(|session| session.doing() == Doing::Login);
        if staying().filter(|session| session.source == source).count() >= self.limits.sessions_per_source_max {
            // Its own silent connections make room first.
            let oldest = pending().find(|session| session.source == source);
            oldest.ok_or("too many sessions of this source")?.end(Ending::Displaced);
        }
        if pending().count() >= self.limits.logins_pending_max
            && let Some(oldest) = oldest_of_most(pending())
        {
            oldest.end(Ending::Displaced);
        }
        let id = table.next;
        table.next += 1;
        let session = Arc::new(Session::new(id, source, Instant::now()));
        table.by_id.insert(id, Arc::clone(&session));
        Ok(Admission { sessions: Arc::clone(self), session })
    }

    /// Ends the sessions that have outstayed: not logged in, idle, or stuck in a reply. To be called about each second.
    pub(crate) fn look_after(&self) {
        let sessions: Vec<_> = self.lock().by_id.values().cloned().collect();
        for session in sessions {
            session.look_after(&self.limits);
        }
    }

    /// Ends the sessions whose login is gone, or whose key or password is not taken any more.
    pub(crate) fn end_revoked(&self, holds: impl Fn(&str, &Proof) -> bool) {
        let sessions: Vec<_> = self.lock().by_id.values().filter(|session| session.doing() != Doing::Login).cloned().collect();
        for session in sessions {
            let proof = session.proof.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if proof.is_some_and(|(login, proof)| !holds(&login, &proof)) {
                session.end(Ending::Revoked);
            }
        }
    }

    /// Ends those that serve no channel; the others see the shutdown signal themselves.
    pub(crate) fn end_unused(&self) {
        self.lock().by_id.values().filter(|session| session.channels() == 0).for_each(|session| session.end(Ending::Shutdown));
    }

    pub(crate) fn end_all(&self) {
        self.lock().by_id.values().for_each(|session| session.end(Ending::Shutdown));
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().by_id.len()
    }

    /// Waits until no session is left.
    pub(crate) async fn emptied(&self) {
        loop {
            let fewer = self.fewer.notified();
            if self.count() == 0 {
                return;
            }
            fewer.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Counts the session as its tenant's, or says by its limit why not.
    pub(crate) fn log_in(&self, tenant: &TenantName) -> Result<(), &'static str> {
        let limits = &self.sessions.limits;
        let table = self.sessions.lock();
        let logged_in = table.by_id.values().filter(|session| session.doing() != Doing::Login);
        if logged_in.clone().count() >= limits.sessions_max {
            return Err("too many sessions");
        }
        if logged_in.filter(|session| session.tenant().as_ref() == Some(tenant)).count() >= limits.sessions_per_tenant_max {
            return Err("too many sessions of this tenant");
        }
        *self.session.tenant() = Some(tenant.clone());
        self.session.now(Doing::Idle);
        self.session.logged_in.notify_one();
        Ok(())
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.sessions.lock().by_id.remove(&self.session.id);
        self.sessions.fewer.notify_waiters();
    }
}

impl Session {
    fn new(id: u64, source: IpAddr, began: Instant) -> Self {
        Self {
            id,
            source,
            began,
            doing: AtomicU8::new(Doing::Login as u8),
            touched: AtomicU64::new(0),
            warned: AtomicU64::new(u64::MAX),
            written: AtomicU64::new(0),
            channels: AtomicUsize::new(0),
            no_channel: Notify::new(),
            backlog_bytes: AtomicUsize::new(0),
            tenant: Mutex::default(),
            proof: Mutex::default(),
            logged_in: Notify::new(),
            ending: watch::Sender::new(None),
        }
    }

    pub(crate) fn source(&self) -> IpAddr {
        self.source
    }

    /// Notes by what the session came in.
    pub(crate) fn prove(&self, login: &str, proof: Proof) {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = Some((login.to_owned(), proof));
    }

    /// What ends the session from outside, if something does.
    pub(crate) fn ending(&self) -> Option<Ending> {
        *self.ending.borrow()
    }

    /// Notes what the session is at from now on.
    pub(crate) fn now(&self, doing: Doing) {
        self.doing.store(doing as u8, Ordering::Relaxed);
        self.touch();
    }

    /// Notes that something moved.
    pub(crate) fn touch(&self) {
        self.touched.store(self.age(), Ordering::Relaxed);
    }

    /// Counts bytes that the socket took.
    pub(crate) fn add_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether enough went out since `mark`, which moves on.
    pub(crate) fn has_progressed(&self, mark: &mut u64) -> bool {
        let written = self.written.load(Ordering::Relaxed);
        let enough = written.saturating_sub(*mark) >= PROGRESS_BYTES_MIN;
        *mark = written;
        enough
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Bytes of requests that wait, on all of its channels.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.backlog_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn add_backlog(&self, bytes: usize) {
        self.backlog_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn take_backlog(&self, bytes: usize) {
        self.backlog_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Channels that are served.
    pub(crate) fn channels(&self) -> usize {
        self.channels.load(Ordering::Relaxed)
    }

    pub(crate) fn open_channel(&self) {
        self.channels.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives how many are left.
    pub(crate) fn close_channel(&self) -> usize {
        let left = self.channels.fetch_sub(1, Ordering::Relaxed) - 1;
        if left == 0 {
            self.no_channel.notify_waiters();
        }
        left
    }

    /// Waits until no channel is served.
    pub(crate) async fn channels_closed(&self) {
        // Hears of a close from here on, also before it is waited for.
        let closed = self.no_channel.notified();
        if self.channels() > 0 {
            closed.await;
        }
    }

    /// Ends the session. The first reason counts.
    pub(crate) fn end(&self, ending: Ending) {
        self.ending.send_if_modified(|now| {
            let first = now.is_none();
            now.get_or_insert(ending);
            first
        });
    }

    /// Waits until it has logged in. For one to wait.
    pub(crate) async fn logged_in(&self) {
        self.logged_in.notified().await;
    }

    /// Waits until something ends the session.
    pub(crate) async fn ended(&self) -> Ending {
        let mut ending = self.ending.subscribe();
        let reason = ending.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
        reason.unwrap_or(Ending::Shutdown)
    }

    fn is_ending(&self) -> bool {
        self.ending().is_some()
    }

    fn tenant(&self) -> MutexGuard<'_, Option<TenantName>> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doing(&self) -> Doing {
        match self.doing.load(Ordering::Relaxed) {
            0 => Doing::Login,
            2 => Doing::Files,
            3 => Doing::Replying,
            _ => Doing::Idle,
        }
    }

    /// Milliseconds since it began; 584 million years fit.
    fn age(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn look_after(&self, limits: &Options) {
        let touched = self.touched.load(Ordering::Relaxed);
        let still = Duration::from_millis(self.age().saturating_sub(touched));
        let over = |seconds: u64| still > Duration::from_secs(seconds);
        match self.doing() {
            Doing::Login if over(limits.login_seconds) => self.end(Ending::LoginDeadline),
            Doing::Idle if over(limits.idle_seconds) => self.end(Ending::Idle),
            // Twice: the session's own limit is given the chance to act first.
            Doing::Replying if over(limits.reply_seconds * 2) => self.end(Ending::Stalled),
            // A thread that waits for a disk cannot be ended, and ending it would not help the sender.
            Doing::Files if over(limits.reply_seconds) && self.warned.swap(touched, Ordering::Relaxed) != touched => {
                warn!(source = %self.source, seconds = still.as_secs(), "file call is slow");
            }
            _ => {}
        }
    }
}

/// Of the source that has most of these sessions, the oldest one. They come by age.
fn oldest_of_most<'s>(sessions: impl Iterator<Item = &'s Arc<Session>> + Clone) -> Option<&'s Arc<Session>> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    for session in sessions.clone() {
        *counts.entry(group(session.source)).or_default() += 1;
    }
    let most = counts.values().max().copied()?;
    sessions.into_iter().find(|session| counts[&group(session.source)] == most)
}

impl Drop for Session {
    fn drop(&mut self) {
        debug!(source = %self.source, seconds = self.began.elapsed().as_secs(), "session closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Options {
        Options { sessions_max: 3, sessions_per_source_max: 2, sessions_per_tenant_max: 1, logins_pending_max: 2, ..Options::default() }
    }

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn tenant(name: &str) -> TenantName {
        TenantName::parse(name).unwrap()
    }

    #[test]
    fn silent_connections_make_room_for_newer_ones() {
        let sessions = Sessions::new(limits());
        let silent: Vec<_> = (1..=4).map(|last| sessions.admit(source(last)).ok().unwrap()).collect();
        let ending: Vec<_> = silent.iter().map(|one| one.session().is_ending()).collect();
        assert_eq!(ending, [true, true, false, false]);
    }

    #[test]
    fn the_source_with_most_silent_connections_makes_room() {
        let sessions = Sessions::new(Options { logins_pending_max: 4, ..Options::default() });
        let sender = sessions.admit(source(1)).ok().unwrap();
        let silent: Vec<_> = (0..100).map(|_| sessions.admit(source(2)).ok().unwrap()).collect();
        assert!(!sender.session().is_ending(), "it came first, and alone");
        assert_eq!(silent.iter().filter(|one| !one.session().is_ending()).count(), 3);
    }

    #[test]
    fn a_session_ends_when_its_key_is_taken_away() {
        let sessions = Sessions::new(limits());
        let key = |byte: u8| Proof::Key(KeyData::Ed25519(russh::keys::ssh_key::public::Ed25519PublicKey([byte; 32])));
        let all: Vec<_> = (1..=2).map(|last| sessions.admit(source(last)).ok().unwrap()).collect();
        for (admission, name) in all.iter().zip(["a", "b"]) {
            admission.session().prove(name, key(1));
            admission.log_in(&tenant(name)).unwrap();
        }
        sessions.end_revoked(|_, known| *known == key(1));
        assert!(all.iter().all(|one| one.session().ending().is_none()));
        sessions.end_revoked(|login, _| login == "b");
        assert_eq!(all.iter().map(|one| one.session().ending()).collect::<Vec<_>>(), [Some(Ending::Revoked), None]);
    }

    #[test]
    fn a_source_displaces_its_own_silent_connections_but_not_its_sessions() {
        let sessions = Sessions::new(limits());
        let one = sessions.admit(source(1)).ok().unwrap();
        one.log_in(&tenant("a")).unwrap();
        let two = sessions.admit(source(1)).ok().unwrap();
        let three = sessions.admit(source(1)).ok().unwrap();
        assert!(!one.session().is_ending() && two.session().is_ending() && !three.session().is_ending());
        drop(two);
        three.log_in(&tenant("b")).unwrap();
        assert_eq!(sessions.admit(source(1)).err(), Some("too many sessions of this source"));
        drop(three);
        assert!(sessions.admit(source(1)).is_ok());
    }

    #[test]
    fn logins_are_limited_by_tenant_and_in_total() {
        let sessions = Sessions::new(limits());
        let open = |last: u8, name: &str| {
            let admission = sessions.admit(source(last)).ok().unwrap();
            admission.log_in(&tenant(name)).map(|()| admission)
        };
        let _a = open(1, "a").ok().unwrap();
        assert_eq!(open(2, "a").err(), Some("too many sessions of this tenant"));
        let _b = open(2, "b").ok().unwrap();
        let c = open(3, "c").ok().unwrap();
        assert_eq!(open(4, "d").err(), Some("too many sessions"));
        drop(c);
        assert!(open(4, "d").is_ok());
        assert_eq!(sessions.count(), 2);
    }

    #[test]
    fn the_watch_ends_what_outstays_and_leaves_a_slow_disk_alone() {
        let limits = Options { login_seconds: 1, idle_seconds: 1, reply_seconds: 1, ..Options::default() };
        let check = |doing: Doing, age: u64, expected: Option<Ending>| {
            let session = Session::new(0, source(1), Instant::now().checked_sub(Duration::from_secs(age)).unwrap());
            session.doing.store(doing as u8, Ordering::Relaxed);
            session.look_after(&limits);
            assert_eq!(*session.ending.borrow(), expected, "{doing:?} for {age} s");
        };
        check(Doing::Login, 0, None);
        check(Doing::Login, 10, Some(Ending::LoginDeadline));
        check(Doing::Idle, 10, Some(Ending::Idle));
        check(Doing::Replying, 10, Some(Ending::Stalled));
        check(Doing::Files, 10, None);
    }
}
