//! The demo's sender: an SFTP client as a partner's scheduled job would use one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::client::{self, Handler};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh_sftp::client::SftpSession;
use tokio::io::AsyncWriteExt;

use crate::cli::Failure;
use crate::report::Status;

/// How long the demo waits for its report.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who sends, and where to.
pub(super) struct Sender {
    pub(super) address: SocketAddr,
    pub(super) login: String,
    pub(super) key: PrivateKey,
}

/// What came back.
pub(super) struct Sent {
    pub(super) path: String,
    pub(super) report: String,
}

/// The server is this process: there is nobody between.
struct Trusting;

impl Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the connection failed")]
    Ssh(#[from] russh::Error),
    #[error("the upload failed")]
    Sftp(#[from] russh_sftp::client::error::Error),
    #[error("the upload failed")]
    Write(#[from] std::io::Error),
    #[error("the login was refused")]
    Refused,
    #[error("no report after {} seconds", PATIENCE.as_secs())]
    NoReport,
}

impl Sender {
    /// Puts a file into the inbox, polls its status, and fetches the report.
    pub(super) fn send(self, name: &str, content: &[u8]) -> Result<Sent, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed("cannot start the demo's sender").because(&error))?;
        runtime.block_on(self.exchange(name, content)).map_err(|error| Failure::failed("the demo's sender").because(&error))
    }

    async fn exchange(self, name: &str, content: &[u8]) -> Result<Sent, Broken> {
        let mut session = client::connect(Arc::new(client::Config::default()), self.address, Trusting).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(self.key), None);
        if !session.authenticate_publickey(self.login, key).await?.success() {
            return Err(Broken::Refused);
        }
        let channel = session.channel_open_session().await?;
        channel.request_subsystem(true, "sftp").await?;
        let sftp = SftpSession::new(channel.into_stream()).await?;
        let mut file = sftp.create(format!("/inbox/{name}")).await?;
        file.write_all(content).await?;
        file.shutdown().await?;
        let until = Instant::now() + PATIENCE;
        let status = format!("/status/{name}.json");
        loop {
            if let Ok(json) = sftp.read(&status).await
                && let Ok(Status { report: Some(path), .. }) = serde_json::from_slice(&json)
            {
                let report = String::from_utf8_lossy(&sftp.read(&path).await?).into_owned();
                sftp.close().await?;
                return Ok(Sent { path, report });
            }
            if Instant::now() > until {
                return Err(Broken::NoReport);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
