//! Which algorithms are offered: modern ones only, and by one option those of older clients.
//!
//! curve25519 is for clients that know no ML-KEM yet; MACs before encryption are for libssh2 before 1.11 (the curl of Debian 12),
//! which has neither GCM nor the others. Left out by default: groups of plain Diffie-Hellman (each handshake is work that a
//! stranger can ask for) and ECDH over NIST curves. Left out always: SHA-1, CBC, compression.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};

const KEX: [kex::Name; 3] = [kex::MLKEM768X25519_SHA256, kex::CURVE25519, kex::CURVE25519_PRE_RFC_8731];
const KEX_LEGACY: [kex::Name; 3] = [kex::ECDH_SHA2_NISTP256, kex::DH_G16_SHA512, kex::DH_G14_SHA256];
/// No key exchanges, but signs that stand in their list.
const KEX_SIGNS: [kex::Name; 2] = [kex::EXTENSION_SUPPORT_AS_SERVER, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER];

const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

const CIPHERS: &[cipher::Name] =
    &[cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR, cipher::AES_192_CTR, cipher::AES_128_CTR];

/// What is offered, in the order of preference.
pub(crate) fn preferred(legacy_clients: bool) -> Preferred {
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    let rsa = |hash| Algorithm::Rsa { hash: Some(hash) };
    Preferred {
        kex: Cow::Owned(kexes(legacy_clients).into_iter().chain(KEX_SIGNS).collect()),
        host_key_certificates: Cow::Borrowed(&[]),
        // Host keys are those of it that are loaded; clients' keys may be any of it.
        key: Cow::Owned(vec![
            Algorithm::Ed25519,
            ecdsa(EcdsaCurve::NistP256),
            ecdsa(EcdsaCurve::NistP384),
            ecdsa(EcdsaCurve::NistP521),
            rsa(HashAlg::Sha512),
            rsa(HashAlg::Sha256),
        ]),
        cipher: Cow::Borrowed(CIPHERS),
        mac: Cow::Borrowed(MACS),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// The names of what is offered, by kind, for people.
#[must_use]
pub fn offered(legacy_clients: bool) -> [(&'static str, String); 3] {
    let names = |names: Vec<&str>| names.join(" ");
    [
        ("key exchange", names(kexes(legacy_clients).iter().map(AsRef::as_ref).collect())),
        ("ciphers", names(CIPHERS.iter().map(AsRef::as_ref).collect())),
        ("macs", names(MACS.iter().map(AsRef::as_ref).collect())),
    ]
}

fn kexes(legacy_clients: bool) -> Vec<kex::Name> {
    KEX.into_iter().chain(KEX_LEGACY.into_iter().filter(|_| legacy_clients)).collect()
}
