//! `tenant password`: sets, replaces or removes the password of a tenant's login.
//!
//! It is asked for twice on a terminal and read once from a pipe; it is never an argument, and never shown. What is kept is its
//! hash, in the tenant's file, of which everything else stays as it was written.

use std::io::{self, IsTerminal, Read};

use super::{Exit, Failure, Scene, files, tenant};
use crate::config::{Config, Tenant};
use crate::domain::TenantName;
use crate::sftp::PasswordHash;

/// Longest text that is read from standard input, in bytes; longer than any password.
const TEXT_BYTES_MAX: u64 = 4096;

pub(super) fn set(scene: &Scene, config: &Config, name: &TenantName) -> Result<Exit, Failure> {
    // A faulty file can be mended by this.
    tenant::must_be_known(scene, config, name)?;
    scene.guard_owner(config)?;
    let hash = ask(name)?;
    write(config, name, Some(&hash))?;
    scene.terminal.say(format!(
        "set the password of {name}\na running daemon takes it up within a few seconds, and ends the sessions that an earlier one opened"
    ))?;
    advise(scene, config, name);
    Ok(Exit::Done)
}

/// Says what a password that was just set still lacks.
pub(super) fn advise(scene: &Scene, config: &Config, name: &TenantName) {
    if !config.sftp.password_login {
        let how = format!("set password_login = true under [sftp] in {}, and start the daemon again", config.file.display());
        scene.terminal.warn("no password is taken yet: sftp.password_login is false");
        scene.terminal.hint(how);
    }
    let file = tenant::file_of(config, name);
    let written = Tenant::load(name, &file, &config.tenant_defaults);
    if written.is_ok_and(|tenant| tenant.options.allowed_networks.is_empty()) {
        scene
            .terminal
            .hint(format!("it opens the login from everywhere, whatever from= says of a key; set allowed_networks in {}", file.display()));
    }
}

pub(super) fn remove(scene: &Scene, config: &Config, name: &TenantName) -> Result<Exit, Failure> {
    tenant::must_be_known(scene, config, name)?;
    scene.guard_owner(config)?;
    let said = if write(config, name, None)? {
        format!("removed the password of {name}; a running daemon closes the sessions that it opened within a few seconds")
    } else {
        format!("{name} has no password; nothing was changed")
    };
    scene.terminal.say(said)?;
    Ok(Exit::Done)
}

/// The hash of a password that was typed, or came through a pipe.
pub(super) fn ask(name: &TenantName) -> Result<PasswordHash, Failure> {
    let cannot = |error: io::Error| Failure::failed("cannot read the password").because(&error);
    let password = if io::stdin().is_terminal() {
        let password = rpassword::prompt_password(format!("password of {name}: ")).map_err(cannot)?;
        let again = rpassword::prompt_password("the same again: ").map_err(cannot)?;
        if password != again {
            return Err(Failure::usage("the two differ; nothing was changed"));
        }
        password
    } else {
        let mut bytes = Vec::new();
        io::stdin().lock().take(TEXT_BYTES_MAX).read_to_end(&mut bytes).map_err(cannot)?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::usage("the password is no text in UTF-8"))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        line.strip_suffix('\r').unwrap_or(line).to_owned()
    };
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| cannot(io::Error::other(error)))?;
    PasswordHash::make(&password, &salt).map_err(|what| Failure::usage(format!("password: {what}")).hint(GOOD))
}

/// Writes the hash into the tenant's file, or takes it out. Whether there was one before.
pub(super) fn write(config: &Config, name: &TenantName, hash: Option<&PasswordHash>) -> Result<bool, Failure> {
    let file = tenant::file_of(config, name);
    let cannot = |error: io::Error| Failure::failed(format!("cannot write \"{}\"", file.display())).because(&error);
    let text = std::fs::read_to_string(&file).map_err(cannot)?;
    let mut document: toml_edit::DocumentMut =
        text.parse().map_err(|_| Failure::usage(format!("\"{}\" is not TOML; mend it first", file.display())))?;
    let had = document.contains_key("password");
    match (hash, document.get_mut("password")) {
        (Some(hash), Some(item)) => *item = toml_edit::value(hash.line()),
        (Some(hash), None) => {
            document.insert("password", toml_edit::value(hash.line()));
            let mut key = document.key_mut("password").expect("it was just inserted");
            key.leaf_decor_mut().set_prefix(COMMENT);
        }
        (None, _) => drop(document.remove("password")),
    }
    if hash.is_some() || had {
        files::replace(&file, document.to_string().as_bytes()).map_err(cannot)?;
    }
    Ok(had)
}

/// What stands above the hash in a tenant's file.
const COMMENT: &str =
    "\n# The hash of a password that also logs in, where [sftp] password_login is true. Made by: expunged tenant password\n";

const GOOD: &str = "make a good one with: openssl rand -base64 24";
