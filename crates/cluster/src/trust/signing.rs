//! Messages that prove who made them, whatever carries them.
//!
//! The signature covers the purpose too, so that what was signed for one purpose cannot be shown for another. It does not cover when,
//! or for whom: a payload that must not be replayed elsewhere has to say so itself.

use std::time::SystemTime;

use prost::bytes::Bytes;
use rustls::pki_types::CertificateDer;
use webpki::{EndEntityCert, KeyUsage};

use super::certificate::Certificate;
use super::credentials::Credentials;
use super::envelope::Envelope;
use super::error::TrustError;
use super::identity::{PeerIdentity, Role};
use super::verify::Anchor;

/// Before everything that is signed: no other protocol's signature begins so.
const DOMAIN: &[u8] = b"anet signed envelope 1\0";

/// Puts messages into envelopes.
#[derive(Clone, Debug)]
pub struct Signer {
    credentials: Credentials,
}

impl Signer {
    /// Signs as the owner of these credentials. Verifiers accept a controller's only.
    pub fn new(credentials: &Credentials) -> Self {
        Self {
            credentials: credentials.clone(),
        }
    }

    /// The bytes of an envelope with `payload`, signed for `purpose`.
    pub fn seal(&self, purpose: &str, payload: &[u8]) -> Result<Vec<u8>, TrustError> {
        let envelope = Envelope {
            certificates: vec![Bytes::copy_from_slice(self.credentials.certificate().der())],
            signature: self
                .credentials
                .key()
                .sign(&signed_bytes(purpose, payload))?
                .into(),
            payload: Bytes::copy_from_slice(payload),
        };
        Ok(envelope.encode()?)
    }
}

/// Opens envelopes that a controller of the cluster signed.
#[derive(Debug)]
pub struct Verifier {
    anchor: Anchor,
}

/// What an envelope held, and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What was signed.
    pub payload: Bytes,
    /// By whom.
    pub signer: PeerIdentity,
}

impl Verifier {
    /// For envelopes of the cluster that `authority` is the authority of.
    pub fn new(authority: &Certificate) -> Result<Self, TrustError> {
        Ok(Self {
            anchor: Anchor::new(authority)?,
        })
    }

    /// The cluster whose controllers are believed.
    pub fn cluster(&self) -> &str {
        self.anchor.cluster()
    }

    /// The payload, if a controller of this cluster, with a certificate that is valid now, signed it for `purpose`.
    pub fn open(&self, purpose: &str, envelope: Bytes, now: SystemTime) -> Result<Opened, TrustError> {
        let envelope = Envelope::decode(envelope)?;
        let chain: Vec<CertificateDer<'_>> = envelope
            .certificates
            .iter()
            .map(|der| CertificateDer::from(&der[..]))
            .collect();
        let [first, intermediates @ ..] = &chain[..] else {
            return Err(super::EnvelopeError::NoCertificate.into());
        };
        let roles = [Role::Controller];
        let (signer, certificate) =
            self.anchor
                .check(first, intermediates, KeyUsage::client_auth(), &roles, now)?;
        check_signature(
            &certificate,
            &signed_bytes(purpose, &envelope.payload),
            &envelope.signature,
        )?;
        Ok(Opened {
            payload: envelope.payload,
            signer,
        })
    }
}

fn check_signature(certificate: &Certificate, message: &[u8], signature: &[u8]) -> Result<(), TrustError> {
    let unreadable = |error: webpki::Error| TrustError::Certificate {
        reason: error.to_string(),
    };
    let parsed = EndEntityCert::try_from(certificate.der()).map_err(unreadable)?;
    let fits = [webpki::ring::ECDSA_P256_SHA256, webpki::ring::ED25519]
        .into_iter()
        .any(|algorithm| parsed.verify_signature(algorithm, message, signature).is_ok());
    if fits { Ok(()) } else { Err(TrustError::Signature) }
}

fn signed_bytes(purpose: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DOMAIN.len() + 8 + purpose.len() + payload.len());
    bytes.extend_from_slice(DOMAIN);
    bytes.extend_from_slice(&(purpose.len() as u64).to_be_bytes());
    bytes.extend_from_slice(purpose.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}
