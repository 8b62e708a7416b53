//! The instructions of a tenant, from what the config says.

use russh::keys::{HashAlg, PublicKey};

use super::signing::allowed_signer;
use crate::config::{Config, Tenant};
use crate::guide::{Guide, HostKey};

/// What a tenant is told, the server being known by these keys.
#[must_use]
pub fn guide(config: &Config, tenant: &Tenant, host_keys: &[PublicKey]) -> Guide {
    let options = &tenant.options;
    let (host, port) = config.public_address();
    Guide {
        tenant: tenant.name.clone(),
        host,
        port,
        keys: !tenant.keys.is_empty(),
        password: config.sftp.password_login && tenant.password.is_some(),
        host_keys: host_keys.iter().map(host_key).collect(),
        allowed_signers: host_keys.iter().map(allowed_signer).collect(),
        contact: options.support_contact.clone(),
        email_aliases: options.email_aliases.clone(),
        request_id_column: options.request_id_column.clone(),
        require_checksum: options.require_checksum,
        trust_resumes: options.trust_resumes,
        accept_unterminated: options.accept_unterminated_last_row,
        preserve_empty_accounts: options.preserve_empty_accounts,
        do_not_track: options.do_not_track,
        upload_bytes_max: config.sftp.upload_bytes_max,
        pending_files_max: options.pending_files_max,
        pending_bytes_max: options.pending_bytes_max,
        bytes_per_day_max: options.bytes_per_day_max,
        rows_per_file_max: config.limits.rows_per_file_max,
        rows_recommended: config.limits.rows_recommended,
    }
}

fn host_key(key: &PublicKey) -> HostKey {
    let blob = key.to_bytes().expect("a key that was read can be written");
    let md5 = md5::compute(blob).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    let plain = PublicKey::from(key.key_data().clone()).to_openssh().expect("a key that was read can be written");
    let bits = key.key_data().rsa().map_or(256, |rsa| rsa.n().as_positive_bytes().unwrap_or_default().len() * 8);
    HostKey { line: plain.trim_end().to_owned(), bits, sha256: key.fingerprint(HashAlg::Sha256).to_string(), md5 }
}
