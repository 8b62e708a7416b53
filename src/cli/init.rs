//! `init`: a config, the folders, the keys and an empty store.
//!
//! The config file is made last. Where it stands, the set-up is whole, and another `init` changes nothing; where it does
//! not, `init` goes on from where an interrupted one ended and keeps what is there.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey};

use super::{Exit, Failure, Scene, files, owner, store};
use crate::config::{Config, SAMPLE, read_host_key, read_listen};

/// Arguments of `init`.
#[derive(Args, Debug)]
#[command(after_help = "Makes DIR/expunged.toml (every option at its default, with a sentence each), DIR/tenants.d/, and DIR/data/ \
                  with a fresh host key and an empty store.\n\
                  Nothing that is there is overwritten.\n\n\
                  Examples:\n  expunged init .\n  expunged init /var/lib/expunged --listen '[::]:2022'\n\n\
                  Exit codes: 0 done, or set up already; 1 failed; 2 usage, or a set-up with something missing")]
pub struct InitArgs {
    /// The folder to set up; made if it is not there
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// The address to listen on for senders
    #[arg(long, value_name = "ADDR:PORT", value_parser = read_listen, default_value = "0.0.0.0:2022")]
    pub listen: SocketAddr,
}

pub(super) fn run(scene: &Scene, args: &InitArgs) -> Result<Exit, Failure> {
    if scene.config.is_some() {
        return Err(Failure::usage("init makes its own config, DIR/expunged.toml, and takes no --config"));
    }
    let file = args.dir.join("expunged.toml");
    if file.symlink_metadata().is_ok() {
        return already(scene, args, &file);
    }
    if args.dir.is_dir() {
        owner::guard(&args.dir, &scene.command_line)?;
    }
    let config = Config::defaults(&file, &args.dir);
    if config.store_file().exists() && !config.identity_key_file().exists() {
        let message = format!(
            "\"{}\" is there, but the key of its hashes, \"{}\", is not",
            config.store_file().display(),
            config.identity_key_file().display()
        );
        return Err(Failure::usage(message).hint("bring the key back from a backup, or choose an empty folder"));
    }
    let host_key = set_up(&config, args.listen)?;

    let here = (args.dir != Path::new(".")).then_some(file.as_path());
    scene.terminal.say(format!(
        "set up {dir}\n  \
           config    {file} (listens on {listen})\n  \
           tenants   {tenants}\n  \
           data      {data}\n  \
           host key  {host_key} (ED25519)\n\n\
         next:\n  {add}\n  {serve}",
        dir = args.dir.display(),
        file = file.display(),
        listen = args.listen,
        tenants = config.tenants_dir.display(),
        data = config.data_dir.display(),
        add = scene.typed(here, &["tenant", "add", "acme", "--key", "acme.pub"]),
        serve = scene.typed(here, &["serve"]),
    ))?;
    Ok(Exit::Done)
}

/// Folders and keys, then the config. Answers the fingerprint of the host key.
pub(super) fn set_up(config: &Config, listen: SocketAddr) -> Result<String, Failure> {
    let cannot = |what: String, error: io::Error| Failure::failed(format!("cannot make {what}")).because(&error);
    let (text, host_key) = make(config, listen).map_err(|(what, error)| cannot(what, error))?;
    store::create(config)?;
    let file = &config.file;
    store::create(config)?;
    files::create(file, text.as_bytes(), 0o600).map_err(|error| cannot(format!("\"{}\"", file.display()), error))?;
    Ok(host_key)
}

/// A config is there: whole, or not ours to mend.
fn already(scene: &Scene, args: &InitArgs, file: &Path) -> Result<Exit, Failure> {
    let config = Config::load(file)?;
    for needed in [config.host_key_file(), config.identity_key_file(), config.store_file(), config.tenant_folders_dir()] {
        if !needed.exists() {
            let message = format!("\"{}\" is there, but \"{}\" is not", file.display(), needed.display());
            return Err(Failure::usage(message).hint("bring it back from a backup, or choose another folder"));
        }
    }
    let listen_given = scene.command_line.iter().any(|word| word.to_string_lossy().starts_with("--listen"));
    if listen_given && !config.sftp.listen.contains(&args.listen) {
        let message = format!("\"{}\" is set up already, and does not listen on {}", args.dir.display(), args.listen);
        return Err(Failure::usage(message).hint(format!("change sftp.listen in {}", file.display())));
    }
    scene.terminal.say(format!("{} is set up already; nothing was changed", args.dir.display()))?;
    Ok(Exit::Done)
}

/// Folders and keys. Answers the text of the config and the fingerprint of the host key.
fn make(config: &Config, listen: SocketAddr) -> Result<(String, String), (String, io::Error)> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| (format!("\"{path}\""), error)
    };
    let home = config.file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(home).map_err(at(home))?;
    for folder in [&config.tenants_dir, &config.data_dir, &config.keys_dir(), &config.tenant_folders_dir()] {
        files::create_private_folder(folder).map_err(at(folder))?;
    }
    for key_file in [config.identity_key_file(), config.seal_key_file()] {
        if !key_file.exists() {
            let text = random().map(|key| format!("{}\n", hex::encode(key)));
            text.and_then(|text| files::create(&key_file, text.as_bytes(), 0o600)).map_err(at(&key_file))?;
        }
    }
    let host = config.host_key_file();
    let fingerprint = host_key(&host).map_err(at(&host))?;
    let mut sample: toml_edit::DocumentMut = SAMPLE.parse().expect("the sample is TOML, as its test says");
    sample["sftp"]["listen"] = toml_edit::value(toml_edit::Array::from_iter([listen.to_string()]));
    Ok((sample.to_string(), fingerprint))
}

/// Makes the host key, or keeps the one that is there. Answers its fingerprint.
fn host_key(path: &Path) -> io::Result<String> {
    let key = if path.exists() {
        read_host_key(path).map_err(io::Error::other)?
    } else {
        let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&random()?));
        key.set_comment("expunged");
        let text = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
        files::create(path, text.as_bytes(), 0o600)?;
        key
    };
    let public = path.with_extension("pub");
    if !public.exists() {
        let line = key.public_key().to_openssh().map_err(io::Error::other)?;
        files::create(&public, format!("{line}\n").as_bytes(), 0o600)?;
    }
    Ok(key.fingerprint(HashAlg::Sha256).to_string())
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
