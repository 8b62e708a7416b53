//! `tenant add | list | show | instructions | password | remove`.
//!
//! A tenant is one file in `tenants.d`, and that file is the login. It is made last and removed first of all that belongs
//! to the tenant; customers and folders are never removed here.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::folders::{self, Waiting};
use super::{Exit, Failure, Scene, files, password};
use crate::config::{Config, Faults, KEYS_MAX, LoginKey, Tenant, TenantOptions, read_keys};
use crate::daemon;
use crate::domain::TenantName;
use crate::guide::Markup;

/// `tenant …`
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Add a tenant with the public keys of its sender
    #[command(after_help = "FILE holds public keys as in authorized_keys, or in RFC 4716; comments and blank lines are skipped.\n\n\
                      Examples:\n  expunged tenant add acme --key acme.pub\n  ssh-keygen -y -f id_ed25519 | expunged tenant add acme --key -\n\n\
                      Exit codes: 0 done; 1 failed; 2 usage: a bad name or key, or the tenant is there")]
    Add {
        /// Login, folder, and value of the tenant column: 1 to 32 of a-z, 0-9, - and _
        #[arg(value_parser = TenantName::parse)]
        name: TenantName,
        /// A file of public keys, or - for standard input
        #[arg(long = "key", value_name = "FILE", required_unless_present = "password")]
        keys: Vec<PathBuf>,
        /// Ask for a password, or read it from standard input: see `tenant password`
        #[arg(long)]
        password: bool,
    },
    /// List the tenants, with what waits for each
    #[command(after_help = "Exit codes: 0 done; 1 failed; 2 usage or configuration")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a tenant's keys, folders, and the options in effect
    #[command(after_help = "Exit codes: 0 done; 1 failed; 2 usage or configuration, the tenant's own among them; 4 no such tenant")]
    Show {
        /// The tenant
        #[arg(value_parser = TenantName::parse)]
        name: TenantName,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what a tenant's sender needs to know, as it also stands in its /README.txt
    #[command(after_help = "Examples:\n  expunged tenant instructions acme\n  expunged tenant instructions acme --format md\n\n\
                      Exit codes: 0 done; 1 failed; 2 usage or configuration, the tenant's own among them; 4 no such tenant")]
    Instructions {
        /// The tenant
        #[arg(value_parser = TenantName::parse)]
        name: TenantName,
        /// Plain text, or Markdown
        #[arg(long, value_enum, default_value_t = InstructionsFormat::Txt)]
        format: InstructionsFormat,
    },
    /// Set the password of a tenant, as an alternative to its keys
    #[command(after_help = "The password is asked for, or read from standard input. Only its hash is kept (argon2id). It is taken where \
                      sftp.password_login is true.\n\n\
                      Examples:\n  expunged tenant password acme\n  (umask 077; openssl rand -base64 24 | tee acme.password | expunged tenant password acme)\n\n\
                      Exit codes: 0 done; 1 failed; 2 usage or configuration, or a weak password; 4 no such tenant")]
    Password {
        /// The tenant
        #[arg(value_parser = TenantName::parse)]
        name: TenantName,
        /// Take the password away
        #[arg(long)]
        remove: bool,
    },
    /// Remove a tenant's login; its folders and customers stay
    #[command(
        after_help = "Exit codes: 0 done; 1 failed, or files wait in the tenant's folders; 2 usage or configuration; 4 no such tenant"
    )]
    Remove {
        /// The tenant
        #[arg(value_parser = TenantName::parse)]
        name: TenantName,
    },
}

/// How instructions are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum InstructionsFormat {
    /// Markdown
    Md,
    /// Plain text
    Txt,
}

pub(super) fn run(scene: &Scene, command: &TenantCommand) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    match command {
        TenantCommand::Add { name, keys, password } => add(scene, &config, name, keys, *password),
        TenantCommand::List { json } => list(scene, &config, *json),
        TenantCommand::Show { name, json } => show(scene, &config, name, *json),
        TenantCommand::Instructions { name, format } => instructions(scene, &config, name, *format),
        TenantCommand::Password { name, remove: false } => password::set(scene, &config, name),
        TenantCommand::Password { name, remove: true } => password::remove(scene, &config, name),
        TenantCommand::Remove { name } => remove(scene, &config, name),
    }
}

fn add(scene: &Scene, config: &Config, name: &TenantName, key_files: &[PathBuf], with_password: bool) -> Result<Exit, Failure> {
    let file = file_of(config, name);
    if file.symlink_metadata().is_ok() {
        return Err(exists(name, &file));
    }
    if with_password && key_files.iter().any(|file| file == Path::new("-")) {
        return Err(Failure::usage("standard input cannot be both the key and the password").hint("give the key as a file"));
    }
    let keys = all_keys(key_files)?;
    scene.guard_owner(config)?;
    scene.warn_of_tenants(config);
    for other in config.tenants.sound() {
        for key in keys.iter().filter(|key| other.keys.contains(key)) {
            scene.terminal.warn(format!("the key {} also logs in as \"{}\"", key.fingerprint(), other.name));
        }
    }
    let password = with_password.then(|| password::ask(name)).transpose()?;
    create(config, name, &keys)?;
    if let Some(hash) = &password {
        password::write(config, name, Some(hash))?;
    }

    scene.terminal.say(format!("added tenant {name}"))?;
    for key in &keys {
        scene.terminal.say(format!("  key     {}", describe(key)))?;
    }
    scene.terminal.say(format!(
        "  file    {}\n  folder  {}\na running daemon takes it up within a few seconds; no restart is needed",
        file.display(),
        tenant_folder(config, name).display()
    ))?;
    if password.is_some() {
        password::advise(scene, config, name);
    }
    Ok(Exit::Done)
}

/// The tenant's folders, then its file.
pub(super) fn create(config: &Config, name: &TenantName, keys: &[LoginKey]) -> Result<(), Failure> {
    let file = file_of(config, name);
    folders::create(&config.tenant_folders_dir(), name)
        .map_err(|error| Failure::failed(format!("cannot make the folders of \"{name}\"")).because(&error))?;
    files::create_private_folder(&config.tenants_dir)
        .and_then(|()| files::create(&file, tenant_text(name, keys).as_bytes(), 0o600))
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(name, &file),
            _ => Failure::failed(format!("cannot make \"{}\"", file.display())).because(&error),
        })
}

fn list(scene: &Scene, config: &Config, json: bool) -> Result<Exit, Failure> {
    let mut listed = Vec::new();
    for (name, tenant) in &config.tenants.by_name {
        let waiting = count(config, name)?;
        let keys = tenant.as_ref().map_or(0, |tenant| tenant.keys.len());
        let moving = waiting.inbox + waiting.check + waiting.processing;
        let faults = tenant.as_ref().err().map_or(&[][..], Faults::as_slice).iter().map(ToString::to_string).collect();
        listed.push(Listed { tenant: name, state: state(tenant), keys, waiting: moving, held: waiting.held, faults });
    }
    scene.warn_of_tenants(config);
    if json {
        scene.terminal.json(&serde_json::json!({ "tenants": listed }))?;
    } else if listed.is_empty() {
        let add = scene.typed(scene.config.as_deref(), &["tenant", "add", "acme", "--key", "acme.pub"]);
        scene.terminal.say(format!("no tenants yet; add one with: {add}"))?;
    } else {
        let rows = listed.iter().map(|one| {
            vec![one.tenant.to_string(), one.state.to_owned(), one.keys.to_string(), one.waiting.to_string(), one.held.to_string()]
        });
        scene.terminal.table(&["TENANT", "STATE", "KEYS", "WAITING", "HELD"], rows)?;
    }
    Ok(Exit::Done)
}

fn show(scene: &Scene, config: &Config, name: &TenantName, json: bool) -> Result<Exit, Failure> {
    let tenant = sound(scene, config, name)?;
    let shown = Shown {
        tenant: name,
        state: if tenant.disabled { "disabled" } else { "enabled" },
        file: &tenant.file,
        folder: tenant_folder(config, name),
        keys: tenant.keys.iter().map(ShownKey::new).collect(),
        password: tenant.password.is_some(),
        waiting: count(config, name)?,
        options: &tenant.options,
        own: &tenant.own,
    };
    if json {
        scene.terminal.json(&shown)?;
        return Ok(Exit::Done);
    }
    let waiting = shown.waiting.each().map(|(folder, count)| format!("{folder} {count}")).join(", ");
    scene.terminal.say(format!(
        "tenant   {name}\nstate    {}\nfile     {}\nfolder   {}\nwaiting  {waiting}",
        shown.state,
        shown.file.display(),
        shown.folder.display()
    ))?;
    for key in &tenant.keys {
        scene.terminal.say(format!("key      {}", describe(key)))?;
    }
    if tenant.password.is_some() {
        let off = if config.sftp.password_login { "" } else { ", not taken: sftp.password_login is false" };
        scene.terminal.say(format!("password set{off}"))?;
    }
    scene.terminal.say("")?;
    let rows = tenant.options.show().into_iter().map(|(key, value)| {
        let from = if tenant.own.contains(&key) { "this tenant" } else { "tenant_defaults" };
        vec![key.to_owned(), value, from.to_owned()]
    });
    scene.terminal.table(&["OPTION", "VALUE", "FROM"], rows)?;
    Ok(Exit::Done)
}

fn instructions(scene: &Scene, config: &Config, name: &TenantName, format: InstructionsFormat) -> Result<Exit, Failure> {
    let tenant = sound(scene, config, name)?;
    let keys = daemon::read_host_keys(config).map_err(|error| Failure::usage("cannot read the host keys").because(&error))?;
    let keys: Vec<_> = keys.iter().map(|key| key.public_key().clone()).collect();
    if config.public_address().0.is_none() {
        scene.terminal.warn(format!("sftp.public_host is not set in {}: HOST stands for it", config.file.display()));
    }
    let markup = match format {
        InstructionsFormat::Md => Markup::Markdown,
        InstructionsFormat::Txt => Markup::Text,
    };
    scene.terminal.say(daemon::guide(config, tenant, &keys).render(markup).trim_end())?;
    Ok(Exit::Done)
}

fn remove(scene: &Scene, config: &Config, name: &TenantName) -> Result<Exit, Failure> {
    // A faulty file can be removed like a sound one.
    must_be_known(scene, config, name)?;
    scene.guard_owner(config)?;
    let waiting = count(config, name)?;
    let busy: Vec<String> =
        waiting.each().iter().filter(|(_, count)| *count > 0).map(|(folder, count)| format!("{count} in {folder}")).collect();
    let folder = tenant_folder(config, name);
    if !busy.is_empty() {
        return Err(Failure::failed(format!("tenant \"{name}\" has files waiting: {}", busy.join(", "))).hint(format!(
            "let the daemon finish them, or move them out of {}; to close the login at once, set disabled = true in {}",
            folder.display(),
            file_of(config, name).display()
        )));
    }
    let file = file_of(config, name);
    files::remove(&file).map_err(|error| Failure::failed(format!("cannot remove \"{}\"", file.display())).because(&error))?;
    let again = scene.typed(scene.config.as_deref(), &["tenant", "add", name.as_str(), "--key", "FILE"]);
    scene.terminal.say(format!(
        "removed the login of {name}; a running daemon closes it within a few seconds\n\
         its customers stay in the store, and its files in {}; to reach them, add it again: {again}",
        folder.display()
    ))?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Listed<'a> {
    tenant: &'a TenantName,
    state: &'static str,
    keys: usize,
    waiting: u64,
    held: u64,
    faults: Vec<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    tenant: &'a TenantName,
    state: &'static str,
    file: &'a Path,
    folder: PathBuf,
    keys: Vec<ShownKey>,
    /// Whether it has one; it counts where `sftp.password_login` is true.
    password: bool,
    waiting: Waiting,
    options: &'a TenantOptions,
    /// Options that the tenant's own file sets.
    own: &'a [&'static str],
}

#[derive(Serialize)]
struct ShownKey {
    algorithm: String,
    fingerprint: String,
    comment: String,
    options: String,
}

impl ShownKey {
    fn new(key: &LoginKey) -> Self {
        Self { algorithm: key.algorithm(), fingerprint: key.fingerprint(), comment: key.comment(), options: key.options().to_owned() }
    }
}

/// Refuses a name that no tenant has. One whose file has faults is known: its login is closed, and all else can be worked on.
///
/// # Errors
/// [`Exit::NotFound`].
pub(super) fn must_be_known(scene: &Scene, config: &Config, name: &TenantName) -> Result<(), Failure> {
    find(scene, config, name).map(drop)
}

/// The tenant, whose file must have no faults.
///
/// # Errors
/// [`Exit::NotFound`] where there is none, [`Exit::Usage`] with every fault of its file.
pub(super) fn sound<'c>(scene: &Scene, config: &'c Config, name: &TenantName) -> Result<&'c Tenant, Failure> {
    find(scene, config, name)?.as_ref().map_err(|faults| Failure::from(faults.clone()))
}

fn find<'c>(scene: &Scene, config: &'c Config, name: &TenantName) -> Result<&'c Result<Tenant, Faults>, Failure> {
    config.tenants.by_name.get(name).ok_or_else(|| {
        let list = scene.typed(scene.config.as_deref(), &["tenant", "list"]);
        Failure::not_found(format!("no tenant \"{name}\"")).hint(format!("list them with: {list}"))
    })
}

fn exists(name: &TenantName, file: &Path) -> Failure {
    Failure::usage(format!("tenant \"{name}\" is there already")).hint(format!("to change its keys, edit {}", file.display()))
}

fn state(tenant: &Result<Tenant, Faults>) -> &'static str {
    match tenant {
        Ok(tenant) if tenant.disabled => "disabled",
        Ok(_) => "enabled",
        Err(_) => "faulty",
    }
}

fn describe(key: &LoginKey) -> String {
    let parts = [key.algorithm(), key.fingerprint(), key.comment(), key.options().to_owned()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The file of a tenant.
pub(super) fn file_of(config: &Config, name: &TenantName) -> PathBuf {
    config.tenants_dir.join(format!("{name}.toml"))
}

fn tenant_folder(config: &Config, name: &TenantName) -> PathBuf {
    config.tenant_folders_dir().join(name.as_str())
}

fn count(config: &Config, name: &TenantName) -> Result<Waiting, Failure> {
    Waiting::count(&config.tenant_folders_dir(), name)
        .map_err(|error| Failure::failed(format!("cannot look into \"{}\"", tenant_folder(config, name).display())).because(&error))
}

/// Every key of every file, each once: as many as a tenant's file may hold.
fn all_keys(key_files: &[PathBuf]) -> Result<Vec<LoginKey>, Failure> {
    let mut keys: Vec<LoginKey> = Vec::new();
    for file in key_files {
        let shown = file.display().to_string();
        let bytes = read_key_file(file).map_err(|error| {
            let failure = Failure::usage(format!("cannot read the key file \"{shown}\"")).because(&error);
            if shown.starts_with("ssh-") { failure.hint("--key takes the name of a file; give - to type the key") } else { failure }
        })?;
        let read = read_keys(&bytes).map_err(|error| {
            let failure = Failure::usage(format!("\"{shown}\"")).because(&error);
            error.hint(&shown).into_iter().fold(failure, Failure::hint)
        })?;
        for key in read {
            match keys.iter().find(|known| **known == key) {
                Some(known) if known.options() != key.options() => {
                    return Err(Failure::usage(format!("\"{shown}\": the key {} stands twice, with different options", key.fingerprint())));
                }
                Some(_) => {}
                None => keys.push(key),
            }
        }
    }
    if keys.len() > KEYS_MAX {
        return Err(Failure::usage(format!("found {} keys, at most {KEYS_MAX} are allowed", keys.len())));
    }
    Ok(keys)
}

fn read_key_file(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file)?.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > KEY_FILE_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {KEY_FILE_BYTES_MAX} bytes; this is no file of keys")));
    }
    Ok(bytes)
}

/// The file of a new tenant.
fn tenant_text(name: &TenantName, keys: &[LoginKey]) -> String {
    let keys: String = keys.iter().map(|key| format!("  {},\n", toml_edit::Value::from(key.line()))).collect();
    format!(
        "# Tenant \"{name}\". Made to be edited: a running daemon takes up a change within a few seconds, and a mistake closes only\n\
         # this tenant. Any option of [tenant_defaults] in the main config may stand here, without a section, and wins over it.\n\
         \n\
         # Public keys that log in as \"{name}\", as in authorized_keys, one each.\n\
         keys = [\n{keys}]\n\
         \n\
         # Set it to true to close the login and leave files where they are.\n\
         disabled = false\n"
    )
}

/// Largest file of keys, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 1 << 20;
