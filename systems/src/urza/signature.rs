//! Who vouches for a kernel: ed25519 over the record's digest.
//!
//! Each library draws a key pair when it is created and keeps it. A signature therefore says in which library a
//! kernel was validated, and that the record has not changed since it left there. It does not protect a library
//! from those who can write to its file: they can read the key.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use esper_nn::digest::Digest;
use serde::{Deserialize, Serialize};

/// An ed25519 signature and the key to check it with.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The library's public key.
    pub signer: PublicKey,
    /// The signature's point `R` and scalar `s` (RFC 8032, section 5.1.6).
    rs: [Half; 2],
}

/// An ed25519 public key: which library signed.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub struct PublicKey(Half);

/// 32 bytes, written as [`Digest`] writes them: in hexadecimal where people may read.
type Half = Digest;

impl Signature {
    /// Whether `digest` is what was signed. Keys of small order, which sign anything, never pass.
    pub fn is_valid_for(&self, digest: &Digest) -> bool {
        let signature = ed25519_dalek::Signature::from_components(self.rs[0].0, self.rs[1].0);
        VerifyingKey::from_bytes(&self.signer.0.0)
            .is_ok_and(|key| key.verify_strict(&digest.0, &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A library's key pair.
pub(super) struct SigningPair(SigningKey);

impl SigningPair {
    /// Draws a pair from the operating system's entropy.
    pub(super) fn draw() -> Result<Self, std::io::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
        Ok(Self::from_secret(secret))
    }

    /// The pair of a stored secret.
    pub(super) fn from_secret(secret: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&secret))
    }

    /// What to store.
    pub(super) fn secret(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// What others check signatures with.
    pub(super) fn public(&self) -> PublicKey {
        PublicKey(Digest(self.0.verifying_key().to_bytes()))
    }

    /// Vouches for `digest`.
    pub(super) fn sign(&self, digest: &Digest) -> Signature {
        let signature = self.0.sign(&digest.0);
        let rs = [Digest(*signature.r_bytes()), Digest(*signature.s_bytes())];
        Signature { signer: self.public(), rs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_what_was_signed_and_nothing_else() {
        let pair = SigningPair::from_secret([7; 32]);
        let digest = Digest::of(b"record");
        let signature = pair.sign(&digest);
        assert!(signature.is_valid_for(&digest));
        assert!(!signature.is_valid_for(&Digest::of(b"another")));
        let stranger = SigningPair::from_secret([8; 32]).public();
        assert!(!Signature { signer: stranger, ..signature }.is_valid_for(&digest));
        let weak = PublicKey(Digest([0; 32]));
        assert!(!Signature { signer: weak, ..signature }.is_valid_for(&digest));
    }

    #[test]
    fn two_libraries_draw_different_keys() {
        let (a, b) = (SigningPair::draw().unwrap(), SigningPair::draw().unwrap());
        assert_ne!(a.public(), b.public());
        assert_eq!(SigningPair::from_secret(a.secret()).public(), a.public());
    }
}
