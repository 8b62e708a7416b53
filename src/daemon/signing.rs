//! The signatures beside reports and scrub receipts: made with a host key, told to auditors, checked.
//!
//! They are SSH signatures, as `ssh-keygen -Y sign` makes them, in a namespace of their own: none of them passes for a login or for
//! a signature over anything else. Host keys are ed25519 or RSA, whose signatures hold no chance: the same bytes give the same
//! signature, and a start after a crash writes what was written before.

use std::io;

use russh::keys::ssh_key::{LineEnding, SshSig};
use russh::keys::{HashAlg, PrivateKey, PublicKey};

use crate::pipeline::Sign;

/// What is signed for.
const NAMESPACE: &str = "expunged-report";

/// By which name the keys go in a file of allowed signers.
const SIGNER: &str = "expunged";

/// Keys that may have signed.
#[derive(Clone, Debug)]
pub struct AllowedSigners(Vec<PublicKey>);

/// Why a signature does not vouch for a text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadSignature {
    /// No SSH signature.
    #[error("its signature is damaged, or no SSH signature")]
    Damaged,
    /// One over something else.
    #[error("its signature is not one of a report (expected the namespace \"{NAMESPACE}\")")]
    Namespace,
    /// By somebody else.
    #[error("it was signed by {0}, which is not an allowed signer")]
    Signer(String),
    /// Over other bytes.
    #[error("its bytes are not those that were signed")]
    Changed,
}

/// Why a file of allowed signers cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignersError {
    /// A line of ours that cannot be honoured.
    #[error("line {0}: {1}")]
    Line(usize, String),
    /// Nobody signs reports.
    #[error("no line allows \"{SIGNER}\" to sign for \"{NAMESPACE}\"")]
    Nobody,
}

/// What signs with this key.
///
/// # Errors
/// The key's halves do not belong together.
pub(super) fn signer(key: PrivateKey) -> io::Result<Sign> {
    let sign = move |text: &[u8]| {
        let signature = SshSig::sign(&key, NAMESPACE, HashAlg::Sha512, text).map_err(io::Error::other)?;
        key.public_key().verify(NAMESPACE, text, &signature).map_err(io::Error::other)?;
        Ok(signature.to_pem(LineEnding::LF).map_err(io::Error::other)?.into_bytes())
    };
    // Here rather than beside the first report.
    sign(b"")?;
    Ok(Box::new(sign))
}

/// The line with which `ssh-keygen -Y verify -I expunged -n expunged-report` accepts what this key signs here.
pub(super) fn allowed_signer(key: &PublicKey) -> String {
    let plain = PublicKey::from(key.key_data().clone()).to_openssh().expect("a key that was read can be written");
    format!("{SIGNER} namespaces=\"{NAMESPACE}\" {}", plain.trim_end())
}

impl AllowedSigners {
    /// These keys.
    #[must_use]
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self(keys)
    }

    /// Those of a file in the format of `ssh-keygen`, so far as it speaks of our signatures.
    ///
    /// # Errors
    /// [`SignersError`]: a line with an option that is not honoured here, or none.
    pub fn parse(text: &str) -> Result<Self, SignersError> {
        let mut keys = Vec::new();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if !line.is_empty() && !line.starts_with('#') {
                keys.extend(allowed(line).map_err(|what| SignersError::Line(number, what))?);
            }
        }
        if keys.is_empty() { Err(SignersError::Nobody) } else { Ok(Self(keys)) }
    }

    /// Whose signature it is, if it is one over this text.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn check(&self, text: &[u8], signature: &[u8]) -> Result<&PublicKey, BadSignature> {
        let signature = SshSig::from_pem(signature).map_err(|_| BadSignature::Damaged)?;
        if signature.namespace() != NAMESPACE {
            return Err(BadSignature::Namespace);
        }
        let by = self.0.iter().find(|key| key.key_data() == signature.public_key());
        let by = by.ok_or_else(|| BadSignature::Signer(signature.public_key().fingerprint(HashAlg::Sha256).to_string()))?;
        by.verify(NAMESPACE, text, &signature).map_err(|_| BadSignature::Changed)?;
        Ok(by)
    }
}

/// The key of a line, if it is one of ours: `principals [options] algorithm key [comment]`.
fn allowed(line: &str) -> Result<Option<PublicKey>, String> {
    let (principals, mut rest) = line.split_once([' ', '\t']).ok_or("found no key")?;
    if !principals.trim_matches('"').split(',').any(|principal| matches!(principal, SIGNER | "*")) {
        return Ok(None);
    }
    rest = rest.trim_start();
    if let Some(key) = public_key(rest) {
        return Ok(Some(key));
    }
    let (options, key) = rest.split_once([' ', '\t']).ok_or("found no key")?;
    let key = public_key(key.trim_start()).ok_or("found no key that can be read")?;
    let ours = |list: &str| list.split(',').any(|namespace| matches!(namespace, NAMESPACE | "*"));
    match options.strip_prefix("namespaces=\"").and_then(|list| list.strip_suffix('"')) {
        Some(list) if !list.contains('"') => Ok(ours(list).then_some(key)),
        _ => Err(format!("found the options {options}; only namespaces=\"…\" is honoured here")),
    }
}

fn public_key(text: &str) -> Option<PublicKey> {
    PublicKey::from_openssh(text).ok()
}

#[cfg(test)]
mod tests {
    use russh::keys::ssh_key::private::Ed25519Keypair;

    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
    }

    #[test]
    fn the_same_bytes_give_the_same_signature_and_only_they_are_vouched_for() {
        let sign = signer(key(1)).unwrap();
        let signature = sign(b"{}\n").unwrap();
        assert_eq!(signature, sign(b"{}\n").unwrap());
        assert!(signature.starts_with(b"-----BEGIN SSH SIGNATURE-----\n") && signature.ends_with(b"\n-----END SSH SIGNATURE-----\n"));
        let ours = AllowedSigners::new(vec![key(2).public_key().clone(), key(1).public_key().clone()]);
        assert_eq!(ours.check(b"{}\n", &signature), Ok(key(1).public_key()));
        assert_eq!(ours.check(b"{} \n", &signature), Err(BadSignature::Changed));
        assert_eq!(ours.check(b"{}\n", b"-----BEGIN SSH SIGNATURE-----\n"), Err(BadSignature::Damaged));
        let of_a_commit = SshSig::sign(&key(1), "git", HashAlg::Sha512, b"{}\n").unwrap().to_pem(LineEnding::LF).unwrap();
        assert_eq!(ours.check(b"{}\n", of_a_commit.as_bytes()), Err(BadSignature::Namespace));
        let theirs = AllowedSigners::new(vec![key(3).public_key().clone()]);
        let by = key(1).public_key().fingerprint(HashAlg::Sha256).to_string();
        assert_eq!(theirs.check(b"{}\n", &signature), Err(BadSignature::Signer(by)));
    }

    #[test]
    fn allowed_signers_are_read_as_ssh_keygen_reads_them_or_refused() {
        let plain = key(1).public_key().to_openssh().unwrap();
        let own = allowed_signer(key(1).public_key());
        assert_eq!(own, format!("expunged namespaces=\"expunged-report\" {plain}"));
        let check = |text: &str, expected: Result<(), &str>| {
            let parsed = AllowedSigners::parse(text).map(|signers| {
                assert_eq!(signers.0.iter().map(PublicKey::key_data).collect::<Vec<_>>(), [key(1).public_key().key_data()]);
            });
            assert_eq!(parsed.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{text}");
        };
        check(&format!("# ours\n\n  {own} a comment\r\n"), Ok(()));
        check(&format!("ann,expunged\t{plain}"), Ok(()));
        check(&format!("\"expunged\" namespaces=\"git,expunged-report\" {plain}"), Ok(()));
        check(&format!("* {plain}"), Ok(()));
        let nobody = Err("no line allows \"expunged\" to sign for \"expunged-report\"");
        check("", nobody);
        check(&format!("ann {plain}"), nobody);
        check(&format!("expunged namespaces=\"git\" {plain}"), nobody);
        check("\nexpunged", Err("line 2: found no key"));
        check("expunged ssh-ed25519 AAAA", Err("line 1: found no key that can be read"));
        for options in ["cert-authority", "valid-before=\"20270101\"", "namespaces=\"git\",valid-after=\"20270101\""] {
            let said = format!("line 1: found the options {options}; only namespaces=\"…\" is honoured here");
            check(&format!("expunged {options} {plain}"), Err(said.as_str()));
        }
    }
}
