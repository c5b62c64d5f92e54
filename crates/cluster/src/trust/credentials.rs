//! What a member has to prove who it is: its key, its certificate, and the authority that it knows others by.

use std::path::Path;

use super::certificate::Certificate;
use super::error::TrustError;
use super::files;
use super::identity::Identity;
use super::key::KeyPair;

/// A key, the certificate of it, and the authority's certificate.
#[derive(Clone, Debug)]
pub struct Credentials {
    key: KeyPair,
    certificate: Certificate,
    authority: Certificate,
    identity: Identity,
}

impl Credentials {
    /// An error where the parts do not belong together. Validity is not looked at: an expired certificate is loaded and shown, and the
    /// other side says so.
    pub fn new(key: KeyPair, certificate: Certificate, authority: Certificate) -> Result<Self, TrustError> {
        let identity = certificate.identity()?;
        let cluster = authority.authority_of()?;
        if key.fingerprint() != certificate.fingerprint() {
            return Err(TrustError::Certificate {
                reason: "certificate and key do not belong together".to_owned(),
            });
        }
        if identity.cluster() != cluster {
            return Err(TrustError::OtherCluster {
                owner: identity.to_string(),
                cluster,
            });
        }
        Ok(Self {
            key,
            certificate,
            authority,
            identity,
        })
    }

    /// Keeps them in one file, for its owner only: whole or not at all, replacing what was there.
    pub fn save(&self, file: &Path) -> Result<(), TrustError> {
        files::write(
            file,
            &bundle(&self.key, [&self.certificate, &self.authority]),
            0o600,
        )
    }

    /// Those that were kept in `file`.
    pub fn load(file: &Path) -> Result<Self, TrustError> {
        let text = files::read_private(file)?;
        let read = unbundle(&text).and_then(|(key, certificates)| {
            match <[Certificate; 2]>::try_from(certificates) {
                Ok([certificate, authority]) => Self::new(key, certificate, authority),
                Err(_) => Err(TrustError::Certificate {
                    reason: "expected two certificates beside the key: the member's and the authority's"
                        .to_owned(),
                }),
            }
        });
        read.map_err(|error| error.in_file(file))
    }

    /// Who this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The member's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The authority's certificate.
    pub fn authority(&self) -> &Certificate {
        &self.authority
    }

    /// The private key.
    pub fn key(&self) -> &KeyPair {
        &self.key
    }
}

/// A key and certificates in one text.
pub(super) fn bundle<const N: usize>(key: &KeyPair, certificates: [&Certificate; N]) -> String {
    certificates
        .iter()
        .fold(key.to_pem(), |text, certificate| text + &certificate.to_pem())
}

/// The one key and all certificates out of a text.
pub(super) fn unbundle(text: &str) -> Result<(KeyPair, Vec<Certificate>), TrustError> {
    use rustls_pemfile::Item;
    let (mut keys, mut certificates) = (0, Vec::new());
    for item in rustls_pemfile::read_all(&mut text.as_bytes()) {
        match item.map_err(|error| TrustError::Certificate {
            reason: format!("the PEM text is broken: {error}"),
        })? {
            Item::X509Certificate(der) => certificates.push(Certificate::from_der(&der)?),
            Item::Pkcs8Key(_) => keys += 1,
            _ => {
                return Err(TrustError::Certificate {
                    reason: "it holds something else than a PKCS#8 key and certificates".to_owned(),
                });
            }
        }
    }
    if keys != 1 {
        return Err(TrustError::Key {
            reason: format!("expected one PKCS#8 key, found {keys}"),
        });
    }
    Ok((KeyPair::from_pem(key_section(text))?, certificates))
}

/// The lines of the private key alone.
fn key_section(text: &str) -> &str {
    const END: &str = "-----END PRIVATE KEY-----";
    let begin = text.find("-----BEGIN PRIVATE KEY-----").unwrap_or(0);
    let end = text.find(END).map_or(text.len(), |at| at + END.len());
    text.get(begin..end).unwrap_or_default()
}
