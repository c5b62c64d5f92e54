//! A private key (ECDSA P-256), and the request for a certificate of it.

use std::fmt;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, SigningKey};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::Fingerprint;
use super::error::TrustError;

/// A private key with its public half. Cheap to clone; its `Debug` shows the fingerprint only.
#[derive(Clone)]
pub struct KeyPair(pub(super) Arc<rcgen::KeyPair>);

impl KeyPair {
    /// A new key out of the operating system's randomness.
    pub fn generate() -> Result<Self, TrustError> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(unusable)?;
        Ok(Self(Arc::new(key)))
    }

    /// Out of PEM (PKCS#8), ECDSA P-256 or Ed25519.
    pub fn from_pem(pem: &str) -> Result<Self, TrustError> {
        let key = rcgen::KeyPair::from_pem(pem).map_err(unusable)?;
        if ![&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519].contains(&key.algorithm()) {
            return Err(TrustError::Key {
                reason: "expected ECDSA P-256 or Ed25519".to_owned(),
            });
        }
        Ok(Self(Arc::new(key)))
    }

    /// As PEM (PKCS#8). Who has this text is whoever the key's certificate names.
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// A request for a certificate, as PEM. It proves that its maker has the key; who that is, the signer decides.
    pub fn signing_request(&self) -> Result<String, TrustError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        let request = parameters
            .serialize_request(&*self.0)
            .and_then(|request| request.pem());
        request.map_err(|error| TrustError::Request {
            reason: error.to_string(),
        })
    }

    /// Of the public half.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&rcgen::PublicKeyData::subject_public_key_info(&*self.0))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TrustError> {
        self.0.sign(message).map_err(unusable)
    }

    pub(super) fn to_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.fingerprint())
    }
}

fn unusable(error: rcgen::Error) -> TrustError {
    TrustError::Key {
        reason: error.to_string(),
    }
}
