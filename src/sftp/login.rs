//! One connection's SSH side: who it is, and which channels it gets.
//!
//! The same rule answers a key that is only offered and one that is proven, in the same time, and nothing is remembered
//! before the proof. Everything but the SFTP subsystem is refused in a sentence. It does not know what SFTP is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Session as Ssh, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Pty};
use tokio::time::timeout;
use tracing::{Span, info};

use crate::domain::TenantName;
use crate::sftp::engine::Engine;
use crate::sftp::server::Shared;
use crate::sftp::sessions::{Admission, Ending};
use crate::sftp::transport;
use crate::sftp::tree::{Sender, TenantTree};
use crate::shutdown;
use crate::spool::Folders;

/// Longest part of a login name that is logged.
const LOGIN_BYTES_LOGGED: usize = 64;

/// Time for a client to take the last words before the connection is cut.
const PARTING: Duration = Duration::from_secs(1);

/// What a login name leads to: whose it is, the keys that open it, and the folders behind it.
#[derive(Clone, Debug)]
pub struct TenantLogin {
    /// The tenant.
    pub tenant: TenantName,
    /// Any of these.
    pub keys: Vec<PublicKey>,
    /// Its folders.
    pub folders: Folders,
}

/// Finds a login by name, as it is at that moment. Must take about the same time whether there is one or not.
pub type Directory = Arc<dyn Fn(&str) -> Option<TenantLogin> + Send + Sync>;

/// One connection.
pub(crate) struct Login {
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    stop: shutdown::Signal,
    proven: Option<TenantLogin>,
    /// Attempts that failed, and the login of the last one.
    refused: (usize, String),
    /// Channels that have not asked for anything yet.
    waiting: HashMap<ChannelId, Channel<Msg>>,
}

impl Login {
    pub(crate) fn new(shared: Arc<Shared>, admission: Arc<Admission>, stop: shutdown::Signal) -> Self {
        Self { shared, admission, stop, proven: None, refused: (0, String::new()), waiting: HashMap::new() }
    }

    /// The rule: the login exists, the key is one of its keys, and it signs by something better than SHA-1.
    fn find(&self, login: &str, key: &PublicKey, algorithm: &Algorithm) -> Option<TenantLogin> {
        let found = (self.shared.directory)(login);
        let keys = found.as_ref().map_or(&[][..], |login| &login.keys);
        // All are compared, and without their comments.
        let known = keys.iter().filter(|known| known.key_data() == key.key_data()).count() > 0;
        let signed_well = !matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa);
        found.filter(|_| known && signed_well)
    }

    /// The answer to every attempt that fails, whatever the reason.
    fn reject(&mut self, login: &str) -> Auth {
        self.refused = (self.refused.0 + 1, login.escape_default().take(LOGIN_BYTES_LOGGED).collect());
        Auth::reject()
    }

    /// Refuses what is not SFTP with a sentence on the error stream, as a program that ends at once.
    async fn refuse(&mut self, id: ChannelId, sentence: &'static str, ssh: &mut Ssh) -> Result<(), russh::Error> {
        let Some(channel) = self.waiting.remove(&id) else { return ssh.channel_failure(id) };
        self.admission.session().close_channel();
        drop(channel);
        ssh.channel_success(id)?;
        ssh.extended_data(id, 1, format!("{sentence}\r\n").into_bytes())?;
        ssh.exit_status_request(id, 1)?;
        ssh.eof(id)?;
        ssh.close(id)
    }

    /// Serves a channel on a task of its own.
    fn serve(&self, channel: Channel<Msg>, login: &TenantLogin, handle: Handle) {
        let (shared, admission, stop) = (Arc::clone(&self.shared), Arc::clone(&self.admission), self.stop.clone());
        let sender = Sender { tenant: login.tenant.clone(), folders: login.folders.clone() };
        tokio::spawn(async move {
            let limits = shared.sessions.limits();
            let tree = TenantTree::new(sender, Arc::clone(&shared.receiving));
            let engine = Engine::new(tree, limits.handles_per_channel_max);
            let session = Arc::clone(admission.session());
            transport::serve(channel, engine, Arc::clone(&session), limits, stop.clone()).await;
            session.close_channel();
            if stop.is_raised() {
                let goodbye = handle.disconnect(Disconnect::ByApplication, "the server is stopping".into(), String::new());
                let _ = timeout(PARTING, goodbye).await;
                tokio::time::sleep(PARTING).await;
                session.end(Ending::Shutdown);
            }
        });
    }
}

impl Handler for Login {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        let found = self.find(user, offer.public_key, offer.algorithm);
        Ok(if found.is_some() { Auth::Accept } else { self.reject(user) })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.proven = self.find(user, key.public_key, key.algorithm);
        Ok(if self.proven.is_some() { Auth::Accept } else { self.reject(user) })
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

    async fn channel_open_session(&mut self, channel: Channel<Msg>, reply: ChannelOpenHandle, _: &mut Ssh) -> Result<(), Self::Error> {
        if self.proven.is_some() && self.admission.session().open_channel(self.shared.sessions.limits().channels_per_session_max) {
            self.waiting.insert(channel.id(), channel);
            reply.accept().await;
        } else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
        }
        Ok(())
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, ssh: &mut Ssh) -> Result<(), Self::Error> {
        let Some(login) = self.proven.as_ref().filter(|_| name == "sftp") else { return ssh.channel_failure(id) };
        let Some(channel) = self.waiting.remove(&id) else { return ssh.channel_failure(id) };
        ssh.channel_success(id)?;
        self.serve(channel, login, ssh.handle());
        Ok(())
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
        if self.waiting.remove(&id).is_some() {
            self.admission.session().close_channel();
        }
        Ok(())
    }
}

/// One line for a connection that tried and failed: a client offers all keys that it has, and the right one may be the last.
impl Drop for Login {
    fn drop(&mut self) {
        let (tries, login) = &self.refused;
        if self.proven.is_none() && *tries > 0 {
            // One with an `@` may be a customer's address, typed into the wrong field.
            let login = if login.contains('@') { "?" } else { login };
            info!(login, tries, "login refused");
        }
    }
}
