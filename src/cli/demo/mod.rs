//! `demo`: the newcomer's first minute. A scratch data folder, made-up customers, the real daemon, a real upload.
//!
//! Nothing here is a shortcut: the folder is made by `init`, the people come in by `load`, the list goes over SFTP on
//! loopback, and what is printed is the report that a sender would fetch.

mod people;
mod sender;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use clap::Args;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;

use self::sender::Sender;
use super::{Exit, Failure, Scene, files, init, serve, store, summary, tenant};
use crate::config::{Config, read_keys};
use crate::daemon::{self, Daemon, Hangup, StartError};
use crate::domain::{Format, TenantName};
use crate::load::{self, Kind, Load};
use crate::report::Report;
use crate::{shutdown, telemetry};

/// Customers that are made up.
const CUSTOMERS: usize = 5_000;

/// Arguments of `demo`.
#[derive(Args, Debug)]
#[command(
    about = "Show the whole thing on made-up customers, in a scratch folder",
    after_help = "Examples:\n  expunged demo\n  expunged demo --once\n\nExit codes: 0 done; 1 failed"
)]
pub struct DemoArgs {
    /// End after the first report instead of waiting for Ctrl-C
    #[arg(long)]
    pub once: bool,
}

pub(super) fn run(scene: &Scene, args: &DemoArgs) -> Result<Exit, Failure> {
    let scratch = Scratch::new()?;
    let shown = show(scene, &scratch, args);
    if shown.is_ok() && args.once {
        scratch.remove()?;
    } else {
        scene.terminal.hint(format!("the demo's files stay in {}", scratch.0.display()));
    }
    shown
}

fn show(scene: &Scene, scratch: &Scratch, args: &DemoArgs) -> Result<Exit, Failure> {
    let say = |text: String| scene.terminal.say(text);
    let acme = TenantName::parse("acme").expect("a valid name");
    let config_file = scratch.0.join("expunged.toml");
    let fingerprint = init::set_up(&Config::defaults(&config_file, &scratch.0), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let key = make_key(&scratch.0.join("acme.key"))?;
    let config = Config::load(&config_file)?;
    tenant::create(&config, &acme, &read_keys(&public_line(&key)?).map_err(|error| Failure::failed("the demo's key").because(&error))?)?;
    say(format!("1. a data folder {} with one tenant, \"acme\", who logs in by key", scratch.0.display()))?;

    let rows = load_people(&config, &acme)?;
    say(format!("2. {CUSTOMERS} made-up customers and {rows} rows of their history, loaded into {}", config.store_file().display()))?;

    let config = Config::load(&config_file)?;
    telemetry::init(config.log.format, telemetry::Level::Warn).map_err(|error| Failure::failed("cannot start the log").because(&error))?;
    let serving = Serving::start(config)?;
    let address = serving.address;
    say(format!("3. the daemon listens on {address}; host key {fingerprint}"))?;

    let list = people::list(CUSTOMERS);
    files::create(&scratch.0.join("june.csv"), list.as_bytes(), 0o600)
        .map_err(|error| Failure::failed("cannot write june.csv").because(&error))?;
    say(format!("4. june.csv, {} rows, one of them not an address, goes up by SFTP …", list.lines().count() - 1))?;
    let sent = match (Sender { address, login: acme.as_str().to_owned(), key }).send("june.csv", list.as_bytes()) {
        Ok(sent) => sent,
        Err(failure) => {
            serving.stop()?;
            return Err(failure);
        }
    };
    say(format!("5. … and its report came back the same way, {}:\n\n{}", sent.path, sent.report.trim_end()))?;
    let report: Report =
        serde_json::from_str(&sent.report).map_err(|error| Failure::failed("the report does not read back").because(&error))?;
    say(String::new())?;
    summary::print(&scene.terminal, &report)?;

    if args.once {
        serving.stop()?;
        return Ok(Exit::Done);
    }
    say(by_hand(scene, scratch, &config_file, address))?;
    serving.wait()?;
    Ok(Exit::Done)
}

/// The demo's daemon, on a thread of its own.
struct Serving {
    address: SocketAddr,
    trigger: shutdown::Trigger,
    thread: JoinHandle<Result<(), StartError>>,
}

impl Serving {
    /// Starts the daemon and waits until it is ready.
    fn start(config: Config) -> Result<Self, Failure> {
        let hangup = Hangup::heard().map_err(|error| serve::failure(error.into()))?;
        let daemon = Daemon::build(config).map_err(serve::failure)?;
        let address = *daemon.addresses().first().ok_or_else(|| Failure::failed("the daemon listens nowhere"))?;
        let (trigger, stop) = shutdown::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            daemon.run(hangup, stop, move || {
                // Nobody waits any more when the demo has failed meanwhile.
                let _ = ready.send(());
            })
        });
        let serving = Self { address, trigger, thread };
        if is_ready.recv().is_err() {
            serving.wait()?;
            return Err(Failure::failed("the daemon ended before it was ready"));
        }
        Ok(serving)
    }

    /// Has the daemon end, and waits until it has.
    fn stop(self) -> Result<(), Failure> {
        self.trigger.raise();
        self.wait()
    }

    /// Waits until the daemon has ended by itself or by Ctrl-C.
    fn wait(self) -> Result<(), Failure> {
        // A trigger that is dropped would end it.
        let Self { trigger: _kept, thread, .. } = self;
        let ended = thread.join().unwrap_or_else(|_| Err(StartError::System(std::io::Error::other("the daemon panicked"))));
        ended.map_err(serve::failure)
    }
}

/// The commands to try, as they can be pasted.
fn by_hand(scene: &Scene, scratch: &Scratch, config: &Path, address: SocketAddr) -> String {
    let dir = scratch.0.display();
    let typed = |words: &[&str]| scene.typed(Some(config), words);
    format!(
        "\nthe daemon goes on until Ctrl-C. From another terminal, as the sender:\n  \
           sftp -i {dir}/acme.key -P {port} -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={dir}/known_hosts acme@127.0.0.1\n    \
             put {dir}/june.csv july.csv\n    \
             get /status/july.csv.json\n    \
             ls -l /archive\n\
         and as the operator:\n  {list}\n  {find}\n  {check}",
        port = address.port(),
        list = typed(&["imports", "list"]),
        find = typed(&["customers", "find", "Ann", "--tenant", "acme"]),
        check = typed(&["check", &format!("{dir}/june.csv"), "--tenant", "acme"]),
    )
}

fn load_people(config: &Config, tenant: &TenantName) -> Result<u64, Failure> {
    let mut store = store::open(config)?;
    let key = store::identity_key(config)?;
    let mut history = 0;
    for (kind, text) in people::files(CUSTOMERS) {
        let file = Load { tenant, kind, key: &key, format: Format::Csv, limits: daemon::limits(config) };
        let loaded = load::load(&mut store, &file, text.as_bytes(), |_| {})
            .map_err(|error| Failure::failed("cannot load the made-up customers").because(&error))?;
        if kind != Kind::Customers {
            history += loaded.rows();
        }
    }
    Ok(history)
}

fn make_key(path: &Path) -> Result<PrivateKey, Failure> {
    let failed = |error: std::io::Error| Failure::failed("cannot make the demo's key").because(&error);
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| failed(std::io::Error::other(error)))?;
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    key.set_comment("demo");
    let text = key.to_openssh(LineEnding::LF).map_err(|error| failed(std::io::Error::other(error)))?;
    files::create(path, text.as_bytes(), 0o600).map_err(failed)?;
    Ok(key)
}

fn public_line(key: &PrivateKey) -> Result<Vec<u8>, Failure> {
    Ok(key.public_key().to_openssh().map_err(|error| Failure::failed("cannot write the demo's public key").because(&error))?.into_bytes())
}

/// The demo's folder.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("expunged-demo-{}", std::process::id()));
        files::create_private_folder(&path)
            .map_err(|error| Failure::failed(format!("cannot make \"{}\"", path.display())).because(&error))?;
        Ok(Self(path))
    }

    fn remove(&self) -> Result<(), Failure> {
        std::fs::remove_dir_all(&self.0).map_err(|error| Failure::failed(format!("cannot remove \"{}\"", self.0.display())).because(&error))
    }
}
