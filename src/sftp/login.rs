//! One connection's SSH side: who it is, and which channels it gets.
//!
//! The same rule answers a key that is only offered and one that is proven, in the same time, and nothing is remembered
//! before the proof. Everything but the SFTP subsystem is refused in a sentence. It does not know what SFTP is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use jiff::Timestamp;
use russh::keys::{Algorithm, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Response, Session as Ssh, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Pty};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::{Span, error, info, warn};

use crate::domain::{TenantName, may_hold_address};
use crate::sftp::access::AllowedKey;
use crate::sftp::engine::Engine;
use crate::sftp::password::PasswordHash;
use crate::sftp::penalties::Offence;
use crate::sftp::quota::Quota;
use crate::sftp::server::{Shared, methods};
use crate::sftp::sessions::{Admission, Ending, Proof};
use crate::sftp::transport::{self, End};
use crate::sftp::tree::{Sender, TenantTree, Terms};
use crate::shutdown;
use crate::spool::Spool;
use crate::telemetry::chain;

/// Longest part of a login name that is logged.
const LOGIN_BYTES_LOGGED: usize = 64;

/// Time for a client to go by itself, and to take the last words before the connection is cut.
const PARTING: Duration = Duration::from_secs(1);

/// What a login name leads to: whose it is, what opens it from where, and the folders behind it.
#[derive(Clone, Debug)]
pub struct TenantLogin {
    /// The tenant.
    pub tenant: TenantName,
    /// Any of these.
    pub keys: Vec<AllowedKey>,
    /// Or this, where passwords are taken.
    pub password: Option<PasswordHash>,
    /// From one of these; none: from everywhere.
    pub networks: Vec<IpNet>,
    /// Where its folders are; sessions open them.
    pub spool: Spool,
    /// How much it may send.
    pub quota: Quota,
    /// Whether a checksum must come with each list.
    pub require_checksum: bool,
    /// What `/README.txt` tells it.
    pub readme: Arc<str>,
}

impl TenantLogin {
    /// Whether it is still opened by that, wherever it was used from and whenever.
    pub(crate) fn knows(&self, proof: &Proof) -> bool {
        match proof {
            Proof::Key(key) => self.keys.iter().any(|known| known.key.key_data() == key),
            Proof::Password(hash) => self.password.as_ref() == Some(hash),
        }
    }

    fn terms(&self) -> Terms {
        Terms { quota: self.quota, readme: Arc::clone(&self.readme), require_checksum: self.require_checksum }
    }

    /// Why the key does not open the login from there at that time, if so. Words for the operator: no client is told.
    fn refuse(&self, key: &PublicKey, source: IpAddr, now: Timestamp) -> Option<&'static str> {
        // All are looked at, and without their comments.
        let (mut known, mut refused) = (false, None);
        for one in self.keys.iter().filter(|one| one.key.key_data() == key.key_data()) {
            known = true;
            refused = one.options.refuse(source, now);
        }
        if !known {
            return Some("key not known");
        }
        if self.lists(source) { refused } else { Some("address not allowed") }
    }

    fn lists(&self, source: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&source))
    }
}

/// Finds a login by name, as it is at that moment, or says to the operator why there is none; no client is told. Must take about
/// the same time whether there is one or not.
pub type Directory = Arc<dyn Fn(&str) -> Result<Arc<TenantLogin>, &'static str> + Send + Sync>;

/// One connection.
pub(crate) struct Login {
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    stop: shutdown::Signal,
    proven: Option<Arc<TenantLogin>>,
    /// Attempts that failed.
    refused: usize,
    /// Login of the last attempt, and why it led to nothing.
    last_refused: (String, &'static str),
    /// Login of the last question which methods there are, "none", with which most clients begin.
    asked_for: Option<String>,
    /// Channels that have not asked for anything yet, and what tells their tasks that they did.
    waiting: HashMap<ChannelId, oneshot::Sender<TenantTree>>,
}

impl Login {
    pub(crate) fn new(shared: Arc<Shared>, admission: Arc<Admission>, stop: shutdown::Signal) -> Self {
        let (last_refused, asked_for, waiting) = ((String::new(), ""), None, HashMap::new());
        Self { shared, admission, stop, proven: None, refused: 0, last_refused, asked_for, waiting }
    }

    /// The rule: the login exists, the key is one of its keys and good from here and now, and it signs by something better
    /// than SHA-1. What fails is answered alike and after the same time, whatever the reason.
    fn find(&mut self, login: &str, key: &PublicKey, algorithm: &Algorithm) -> Option<Arc<TenantLogin>> {
        let found = (self.shared.directory)(login);
        let (source, now) = (self.admission.session().source(), Timestamp::now());
        let signed_badly = matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa).then_some("signature too weak");
        let refused = found.as_ref().map_or_else(|closed| Some(*closed), |login| login.refuse(key, source, now)).or(signed_badly);
        let refused = refused.or_else(|| self.is_exhausted());
        self.refused += usize::from(refused.is_some());
        // A key that is only offered, or signed for wrongly, leaves its word.
        self.note(login, refused.unwrap_or("key not proven"));
        found.ok().filter(|_| refused.is_none())
    }

    /// The same rule for a password. Whatever is missing, one hash is made, and what was wrong is looked at afterwards.
    async fn find_by_password(&mut self, login: &str, password: &str) -> Option<(Arc<TenantLogin>, PasswordHash)> {
        if !self.shared.sessions.limits().password_login {
            self.refused += 1;
            self.note(login, "passwords are not taken");
            return None;
        }
        let found = (self.shared.directory)(login);
        let hash = found.as_ref().ok().and_then(|login| login.password.clone());
        let fits = self.shared.passwords.fits(hash.as_ref(), password).await;
        let refused = match &found {
            Err(closed) => Some(*closed),
            Ok(login) if !login.lists(self.admission.session().source()) => Some("address not allowed"),
            Ok(_) if hash.is_none() => Some("no password set"),
            Ok(_) => (!fits).then_some("wrong password"),
        };
        let refused = refused.or_else(|| self.is_exhausted());
        if let Some(reason) = refused {
            self.refused += 1;
            self.note(login, reason);
        }
        found.ok().zip(hash).filter(|_| refused.is_none())
    }

    /// Whether its tries are used up. russh counts the first question of most clients, "none", as one, and so it is allowed one more.
    fn is_exhausted(&self) -> Option<&'static str> {
        (self.refused >= self.shared.sessions.limits().login_attempts_max).then_some("too many tries")
    }

    /// Keeps why the last attempt led to nothing.
    fn note(&mut self, login: &str, reason: &'static str) {
        self.last_refused = (shown(login), reason);
    }

    /// Refuses what is not SFTP with a sentence on the error stream, as a program that ends at once.
    async fn refuse(&mut self, id: ChannelId, sentence: &'static str, ssh: &mut Ssh) -> Result<(), russh::Error> {
        if self.waiting.remove(&id).is_none() {
            return ssh.channel_failure(id);
        }
        ssh.channel_success(id)?;
        ssh.extended_data(id, 1, format!("{sentence}\r\n").into_bytes())?;
        ssh.exit_status_request(id, 1)?;
        ssh.eof(id)?;
        ssh.close(id)
    }

    /// Reads a channel on a task of its own, and serves it there once it has asked.
    fn attend(&self, mut channel: Channel<Msg>, asked: oneshot::Receiver<TenantTree>, handle: Handle) {
        let (shared, admission, stop) = (Arc::clone(&self.shared), Arc::clone(&self.admission), self.stop.clone());
        tokio::spawn(async move {
            let Some(tree) = read_until(asked, &mut channel).await else { return };
            let limits = shared.sessions.limits();
            let engine = Engine::new(tree, limits.handles_per_channel_max);
            let session = Arc::clone(admission.session());
            let end = transport::serve(channel, engine, Arc::clone(&session), limits, stop.clone()).await;
            if session.close_channel() == 0 && stop.is_raised() {
                if end != End::Drained {
                    // A client that goes by itself ends this task too. Told to go, it would drop what it has not passed on yet.
                    sleep(PARTING).await;
                }
                let goodbye = handle.disconnect(Disconnect::ByApplication, "the server is stopping".into(), String::new());
                let _ = timeout(PARTING, goodbye).await;
                sleep(PARTING).await;
                session.end(Ending::Shutdown);
            }
        });
    }
}

/// A login's name as it may be told: it may be a customer's address, typed into the wrong field.
fn shown(login: &str) -> String {
    if may_hold_address(login) { "?".to_owned() } else { login.escape_default().take(LOGIN_BYTES_LOGGED).collect() }
}

/// Reads past what comes before a channel asks: unread, it would fill russh's queue and hold up the whole connection. `None` if the
/// channel is closed or refused.
async fn read_until(mut asked: oneshot::Receiver<TenantTree>, channel: &mut Channel<Msg>) -> Option<TenantTree> {
    loop {
        tokio::select! {
            biased;
            tree = &mut asked => return tree.ok(),
            message = channel.wait() => drop(message?),
        }
    }
}

impl Handler for Login {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        self.asked_for = Some(shown(user));
        Ok(Auth::reject())
    }

    async fn auth_keyboard_interactive<'a>(&'a mut self, user: &str, _: &str, _: Option<Response<'a>>) -> Result<Auth, Self::Error> {
        self.refused += 1;
        self.note(user, "keyboard-interactive is not taken");
        Ok(Auth::reject())
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        let found = self.find(user, offer.public_key, offer.algorithm);
        Ok(if found.is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.proven = self.find(user, key.public_key, key.algorithm);
        if self.proven.is_some() {
            self.admission.session().prove(user, Proof::Key(key.public_key.key_data().clone()));
        }
        Ok(if self.proven.is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let found = self.find_by_password(user, password).await;
        self.proven = found.map(|(login, hash)| {
            self.admission.session().prove(user, Proof::Password(hash));
            login
        });
        if self.proven.is_some() {
            return Ok(Auth::Accept);
        }
        // A mistyped one may be tried again, as with OpenSSH, up to the limit on tries.
        let methods = methods(self.shared.sessions.limits().password_login);
        Ok(Auth::Reject { proceed_with_methods: Some(methods), partial_success: false })
    }

    async fn auth_succeeded(&mut self, ssh: &mut Ssh) -> Result<(), Self::Error> {
        let Some(login) = &self.proven else { return Err(russh::Error::Inconsistent) };
        Span::current().record("tenant", login.tenant.as_str());
        if let Err(reason) = self.admission.log_in(&login.tenant) {
            info!(reason, "login refused");
            return ssh.disconnect(Disconnect::TooManyConnections, reason, "");
        }
        info!("session opened");
        Ok(())
    }

    async fn channel_open_session(&mut self, channel: Channel<Msg>, reply: ChannelOpenHandle, ssh: &mut Ssh) -> Result<(), Self::Error> {
        let open = self.waiting.len() + self.admission.session().channels();
        if self.proven.is_some() && open < self.shared.sessions.limits().channels_per_session_max {
            let (ask, asked) = oneshot::channel();
            self.waiting.insert(channel.id(), ask);
            self.attend(channel, asked, ssh.handle());
            reply.accept().await;
        } else {
            // Its client says no more than that the connection closed.
            info!(reason = "too many channels of this session", "channel refused");
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
        }
        Ok(())
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, ssh: &mut Ssh) -> Result<(), Self::Error> {
        let Some(login) = self.proven.as_ref().filter(|_| name == "sftp" && !self.stop.is_raised()) else { return ssh.channel_failure(id) };
        // First: a channel that is refused still waits, and may ask again.
        let folders = match login.spool.tenant(&login.tenant) {
            Ok(folders) => folders,
            Err(cause) => {
                error!(cause = chain(&cause), "session without folders");
                return ssh.channel_failure(id);
            }
        };
        let sender = Sender { tenant: login.tenant.clone(), folders, session: Arc::clone(self.admission.session()) };
        let (directory, tenant) = (Arc::clone(&self.shared.directory), login.tenant.clone());
        let terms_now = move || directory(tenant.as_str()).ok().map(|login| login.terms());
        let tree = TenantTree::new(sender, Box::new(terms_now), Arc::clone(&self.shared.receiving), self.stop.clone());
        let Some(tree) = tree else { return ssh.channel_failure(id) };
        if self.waiting.remove(&id).is_none_or(|ask| ask.send(tree).is_err()) {
            return ssh.channel_failure(id);
        }
        self.admission.session().open_channel();
        ssh.channel_success(id)
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], ssh: &mut Ssh) -> Result<(), Self::Error> {
        let is_scp = command.split(|byte| byte.is_ascii_whitespace()).next().is_some_and(|program| program.ends_with(b"scp"));
        let sentence = if is_scp { "legacy scp is not offered; use sftp or scp -s" } else { "commands are not offered; use sftp" };
        self.refuse(id, sentence, ssh).await
    }

    async fn shell_request(&mut self, id: ChannelId, ssh: &mut Ssh) -> Result<(), Self::Error> {
        self.refuse(id, "a shell is not offered; use sftp", ssh).await
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        ssh: &mut Ssh,
    ) -> Result<(), Self::Error> {
        ssh.channel_failure(id)
    }

    async fn x11_request(&mut self, id: ChannelId, _: bool, _: &str, _: &str, _: u32, ssh: &mut Ssh) -> Result<(), Self::Error> {
        ssh.channel_failure(id)
    }

    async fn env_request(&mut self, id: ChannelId, _: &str, _: &str, ssh: &mut Ssh) -> Result<(), Self::Error> {
        ssh.channel_failure(id)
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Ssh) -> Result<(), Self::Error> {
        // One that is served counts until its loop has ended.
        self.waiting.remove(&id);
        Ok(())
    }
}

/// What a connection without a login leaves: a penalty for its source, and one line if it tried: a client offers all keys
/// that it has, and the right one may be the last.
impl Drop for Login {
    fn drop(&mut self) {
        if self.proven.is_some() {
            return;
        }
        let session = self.admission.session();
        let (login, reason) = &self.last_refused;
        let tried = !reason.is_empty();
        let offence = match session.ending() {
            Some(Ending::Shutdown) => return,
            _ if tried => Offence::Failed,
            Some(Ending::LoginDeadline) => Offence::Overdue,
            _ => Offence::Silent,
        };
        if tried {
            info!(login, tries = self.refused, reason, "login refused");
        } else if let Some(login) = &self.asked_for {
            info!(login, tries = 0, reason = "no key and no password was tried", "login refused");
        }
        if let Some(barred) = self.shared.penalties.add(session.source(), offence, Instant::now()) {
            warn!(seconds = barred.as_secs(), reason = offence.as_str(), "source barred");
        }
    }
}
