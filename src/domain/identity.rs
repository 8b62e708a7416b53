//! Keyed 128-bit hashes of who someone is, so that the ledger can recognise a person without naming them.
//!
//! HMAC-SHA-256 (RFC 2104) under the store's own key, cut to 128 bits: 500,000 rows collide with a chance of 4e-28.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Email, SubjectKey, TenantName};

/// The store's secret. Lives in `data/keys/`; without it no identity can be recomputed.
#[derive(Clone)]
pub struct IdentityKey([u8; 32]);

/// Who someone is, as a keyed hash: comparable, meaningless elsewhere.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Identity([u8; 16]);

impl IdentityKey {
    /// A key from 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The identity of whom a row names.
    #[must_use]
    pub fn subject(&self, tenant: &TenantName, subject: &SubjectKey) -> Identity {
        match subject {
            SubjectKey::Email(email) => self.email(tenant, email),
            SubjectKey::Pair { account, id } => self.pair(tenant, account, id),
        }
    }

    /// The identity of an address.
    #[must_use]
    pub fn email(&self, tenant: &TenantName, email: &Email) -> Identity {
        self.hash("email", &[tenant.as_str(), email.as_str()])
    }

    /// The identity of a participant: account and id.
    #[must_use]
    pub fn pair(&self, tenant: &TenantName, account: &str, id: &str) -> Identity {
        self.hash("pair", &[tenant.as_str(), account, id])
    }

    /// The identity of an account.
    #[must_use]
    pub fn account(&self, tenant: &TenantName, account: &str) -> Identity {
        self.hash("account", &[tenant.as_str(), account])
    }

    /// The identity of any other text, where a report must not show it.
    #[must_use]
    pub fn text(&self, tenant: &TenantName, text: &str) -> Identity {
        self.hash("text", &[tenant.as_str(), text])
    }

    /// What tells this key from others, and nothing of it: by this a ledger knows the key that its hashes were made with.
    #[must_use]
    pub fn mark(&self) -> Identity {
        self.hash("key", &[])
    }

    /// Each part is preceded by its length, so that no two lists of parts give the same bytes.
    fn hash(&self, kind: &str, parts: &[&str]) -> Identity {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in std::iter::once(&kind).chain(parts) {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        let bytes = mac.finalize().into_bytes();
        Identity(bytes[..16].try_into().expect("16 of 32 bytes"))
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKey(..)")
    }
}

impl Identity {
    /// The bytes, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Back from the store.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// As results show it: `hmac:` and 32 hexadecimal digits.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hmac:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_tenants_kinds_and_boundaries_apart() {
        let key = IdentityKey::new([7; 32]);
        let (acme, acme2) = (TenantName::parse("acme").expect("valid"), TenantName::parse("acme-2").expect("valid"));
        let all = [
            key.pair(&acme, "a", "bc"),
            key.pair(&acme, "ab", "c"),
            key.pair(&acme2, "a", "bc"),
            key.account(&acme, "a"),
            key.text(&acme, "a"),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
        assert_ne!(key.account(&acme, "a"), IdentityKey::new([8; 32]).account(&acme, "a"));
    }
}
