//! A certificate as this house writes them, and what it says.

use std::fmt;
use std::time::SystemTime;

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::clock::system_time;
use super::error::TrustError;
use super::identity::{Identity, IdentityError, PeerIdentity, SCHEME, cluster_of_authority, shortened};

/// SHA-256 of a public key (its SubjectPublicKeyInfo): the name of the key itself. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(subject_public_key_info: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, subject_public_key_info).as_ref());
        Self(bytes)
    }

    /// The hash itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Out of the hash itself.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Out of 64 hexadecimal digits; nothing where the text is something else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A certificate, read. That it can be read says nothing about who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    uri: Option<String>,
    fingerprint: Fingerprint,
    not_before: SystemTime,
    not_after: SystemTime,
    authority: bool,
}

impl Certificate {
    /// Out of DER.
    pub fn from_der(der: &[u8]) -> Result<Self, TrustError> {
        let unreadable = || TrustError::Certificate {
            reason: "it is not an X.509 certificate".to_owned(),
        };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| unreadable())?;
        if !rest.is_empty() {
            return Err(TrustError::Certificate {
                reason: "bytes follow the certificate".to_owned(),
            });
        }
        let seconds = |time: i64| system_time(u64::try_from(time).unwrap_or(0));
        let validity = parsed.validity();
        Ok(Self {
            der: CertificateDer::from(der.to_vec()),
            uri: uri_of(&parsed)?,
            fingerprint: Fingerprint::of(parsed.public_key().raw),
            not_before: seconds(validity.not_before.timestamp()),
            not_after: seconds(validity.not_after.timestamp()),
            authority: parsed.is_ca(),
        })
    }

    /// Out of PEM text with just one certificate.
    pub fn from_pem(pem: &str) -> Result<Self, TrustError> {
        let mut text = pem.as_bytes();
        let mut found = rustls_pemfile::certs(&mut text);
        match (found.next(), found.next()) {
            (Some(Ok(der)), None) => Self::from_der(&der),
            _ => Err(TrustError::Certificate {
                reason: "expected PEM text with just one CERTIFICATE".to_owned(),
            }),
        }
    }

    /// As PEM.
    pub fn to_pem(&self) -> String {
        pem_text(&self.der)
    }

    /// As DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Of its public key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whom it names; an error for an authority's, or one that names nobody.
    pub fn identity(&self) -> Result<Identity, TrustError> {
        match &self.uri {
            Some(uri) => Ok(uri.parse()?),
            None => Err(TrustError::Certificate {
                reason: "it names no member of a cluster (anet://…)".to_owned(),
            }),
        }
    }

    /// The cluster, if this is an authority's.
    pub fn authority_of(&self) -> Result<String, TrustError> {
        match &self.uri {
            Some(uri) if self.authority => Ok(cluster_of_authority(uri)?),
            _ => Err(TrustError::Certificate {
                reason: "it is not a cluster authority's".to_owned(),
            }),
        }
    }

    /// When it begins.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When it ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whom it claims to name, for messages: nothing is proved yet.
    pub(super) fn owner(&self) -> String {
        self.uri
            .as_deref()
            .map_or_else(|| "an unnamed owner".to_owned(), shortened)
    }

    pub(super) fn peer(&self) -> Result<PeerIdentity, TrustError> {
        let identity = self.identity()?;
        Ok(PeerIdentity {
            identity,
            fingerprint: self.fingerprint,
            expires: self.not_after,
        })
    }
}

/// The one name of our kind. Two of them would leave open which counts.
fn uri_of(parsed: &X509Certificate<'_>) -> Result<Option<String>, TrustError> {
    let unreadable = |_| TrustError::Certificate {
        reason: "its alternative names cannot be read".to_owned(),
    };
    let Some(names) = parsed.subject_alternative_name().map_err(unreadable)? else {
        return Ok(None);
    };
    let mut ours = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
        _ => None,
    });
    match (ours.next(), ours.next()) {
        (Some(first), Some(_)) => Err(IdentityError::Form {
            found: format!("{} and another", shortened(first)),
        }
        .into()),
        (found, _) => Ok(found.map(str::to_owned)),
    }
}

fn pem_text(der: &[u8]) -> String {
    let base64 = base64(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(if digit <= group.len() {
                DIGITS[value as usize] as char
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fingerprints_are_read_as_written() {
        let fingerprint = Fingerprint::of(b"key");
        assert_eq!(Fingerprint::from_hex(&fingerprint.to_string()), Some(fingerprint));
        assert_eq!(Fingerprint::from_hex("ab"), None);
        assert_eq!(Fingerprint::from_hex(&"ä".repeat(32)), None);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Certificate::from_der(&bytes);
            let _ = Certificate::from_pem(&String::from_utf8_lossy(&bytes));
            prop_assert!(pem_text(&bytes).is_ascii());
        }
    }
}
