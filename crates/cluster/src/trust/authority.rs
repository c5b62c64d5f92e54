//! The cluster's own certificate authority: says who is a controller, a host, a person.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;

use super::certificate::{Certificate, Fingerprint};
use super::credentials::{Credentials, bundle, unbundle};
use super::error::TrustError;
use super::files;
use super::identity::{Identity, Role, authority_uri, shortened};
use super::key::KeyPair;

/// How long a node's certificate is valid if nobody says otherwise.
pub const VALIDITY: Duration = Duration::from_secs(365 * 86_400);
/// How far before its making a certificate begins, for clocks that are late.
const BACKDATED: Duration = Duration::from_secs(300);
/// How long the authority itself is valid.
const AUTHORITY_VALIDITY: Duration = Duration::from_secs(20 * 365 * 86_400);
/// The private key and certificate of the authority.
const PRIVATE_FILE: &str = "authority.pem";
/// The certificate alone, to be given away.
const PUBLIC_FILE: &str = "ca.pem";
/// No signing request comes near this.
const REQUEST_MAXIMUM: usize = 16 * 1024;

/// DNS names and addresses that go into a certificate for the sake of clients that look for them (REST).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub addresses: Vec<IpAddr>,
}

impl Names {
    /// No names: enough for hosts and persons.
    pub fn none() -> Self {
        Self::default()
    }

    /// Out of texts, each an address or a DNS name.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = Self::default();
        for text in texts {
            match text.parse() {
                Ok(address) => names.addresses.push(address),
                Err(_) => names.dns.push(text.to_owned()),
            }
        }
        names
    }

    fn into_alternatives(self) -> Result<Vec<SanType>, TrustError> {
        let dns = self.dns.into_iter().map(|name| {
            let checked = rustls::pki_types::DnsName::try_from(name.as_str()).is_ok();
            let refused = TrustError::DnsName {
                found: shortened(&name),
            };
            let name = rcgen::string::Ia5String::try_from(name).ok().filter(|_| checked);
            name.map(SanType::DnsName).ok_or(refused)
        });
        dns.chain(
            self.addresses
                .into_iter()
                .map(|address| Ok(SanType::IpAddress(address))),
        )
        .collect()
    }
}

/// A cluster's certificate authority, with its private key.
#[derive(Clone, Debug)]
pub struct Authority {
    cluster: String,
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    /// A new one, in memory only.
    pub fn generate(cluster: &str, now: SystemTime) -> Result<Self, TrustError> {
        let key = KeyPair::generate()?;
        let mut short = key.fingerprint().to_string();
        short.truncate(16);
        let mut parameters = parameters(&authority_uri(cluster)?, now, AUTHORITY_VALIDITY)?;
        // Two authorities for clusters of one name have different subjects, so that no verifier mixes them up.
        parameters
            .distinguished_name
            .push(DnType::CommonName, format!("aNET authority {short}"));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&*key.0).map_err(not_made)?;
        Self::of(Certificate::from_der(certificate.der())?, key)
    }

    /// A new one, kept in `folder` (made where there is none): `authority.pem`, for its owner only, and `ca.pem` to be given away.
    /// An authority that is there already is never overwritten.
    pub fn create(folder: &Path, cluster: &str, now: SystemTime) -> Result<Self, TrustError> {
        let private = folder.join(PRIVATE_FILE);
        if private.symlink_metadata().is_ok() {
            return Err(TrustError::Exists { path: private });
        }
        let authority = Self::generate(cluster, now)?;
        files::make_folder(folder)?;
        files::write(&private, &bundle(&authority.key, [&authority.certificate]), 0o600)?;
        files::write(&folder.join(PUBLIC_FILE), &authority.certificate.to_pem(), 0o644)?;
        Ok(authority)
    }

    /// The one that is kept in `folder`.
    pub fn load(folder: &Path) -> Result<Self, TrustError> {
        let path = folder.join(PRIVATE_FILE);
        let text = files::read_private(&path)?;
        let read = unbundle(&text).and_then(|(key, mut certificates)| match certificates.pop() {
            Some(certificate) if certificates.is_empty() => Self::of(certificate, key),
            _ => Err(TrustError::Certificate {
                reason: "expected one certificate beside the key".to_owned(),
            }),
        });
        read.map_err(|error| error.in_file(&path))
    }

    fn of(certificate: Certificate, key: KeyPair) -> Result<Self, TrustError> {
        let cluster = certificate.authority_of()?;
        if certificate.fingerprint() != key.fingerprint() {
            return Err(TrustError::Certificate {
                reason: "certificate and key do not belong together".to_owned(),
            });
        }
        Ok(Self {
            cluster,
            certificate,
            key,
        })
    }

    /// The cluster that it speaks for.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Its certificate: what members are given to know each other by.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Of its public key: what a join token carries.
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }

    /// A new key with a certificate, for a member whose key may be made here (a controller on this machine, a lab, a test).
    pub fn credentials(
        &self,
        role: Role,
        name: &str,
        names: Names,
        now: SystemTime,
    ) -> Result<Credentials, TrustError> {
        let key = KeyPair::generate()?;
        let identity = Identity::new(&self.cluster, role, name)?;
        let certificate = self.issue(&identity, names, &*key.0, now, VALIDITY)?;
        Credentials::new(key, certificate, self.certificate.clone())
    }

    /// Grants a signing request (PEM). Who the requester is, the caller decides: names inside the request count for nothing.
    pub fn sign_request(
        &self,
        request: &str,
        role: Role,
        name: &str,
        names: Names,
        now: SystemTime,
        validity: Duration,
    ) -> Result<Certificate, TrustError> {
        let refused = |reason: &str| TrustError::Request {
            reason: reason.to_owned(),
        };
        if request.len() > REQUEST_MAXIMUM {
            return Err(refused("it is longer than 16 KiB"));
        }
        let parsed =
            CertificateSigningRequestParams::from_pem(request).map_err(|error| TrustError::Request {
                reason: error.to_string(),
            })?;
        // The raw point: an algorithm that says one thing and a key that is another would make a useless certificate.
        let length = match parsed.public_key.algorithm() {
            algorithm if *algorithm == rcgen::PKCS_ECDSA_P256_SHA256 => 65,
            algorithm if *algorithm == rcgen::PKCS_ED25519 => 32,
            _ => return Err(refused("its key is neither ECDSA P-256 nor Ed25519")),
        };
        if parsed.public_key.der_bytes().len() != length {
            return Err(refused("its key has the wrong length"));
        }
        self.issue(
            &Identity::new(&self.cluster, role, name)?,
            names,
            &parsed.public_key,
            now,
            validity,
        )
    }

    fn issue(
        &self,
        identity: &Identity,
        names: Names,
        key: &impl PublicKeyData,
        now: SystemTime,
        validity: Duration,
    ) -> Result<Certificate, TrustError> {
        let mut parameters = parameters(&identity.to_string(), now, validity)?;
        parameters.subject_alt_names.extend(names.into_alternatives()?);
        parameters
            .distinguished_name
            .push(DnType::CommonName, identity.name());
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if identity.role() == Role::Controller {
            parameters
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        parameters.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_der(self.certificate.der(), &*self.key.0).map_err(not_made)?;
        let certificate = parameters.signed_by(key, &issuer).map_err(not_made)?;
        Certificate::from_der(certificate.der())
    }
}

fn parameters(uri: &str, now: SystemTime, validity: Duration) -> Result<CertificateParams, TrustError> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.not_before = moment(now.checked_sub(BACKDATED).unwrap_or(UNIX_EPOCH))?;
    parameters.not_after = moment(now.checked_add(validity).unwrap_or(now))?;
    parameters.serial_number = Some(serial_number()?);
    let uri = rcgen::string::Ia5String::try_from(uri).map_err(not_made)?;
    parameters.subject_alt_names = vec![SanType::URI(uri)];
    Ok(parameters)
}

fn moment(time: SystemTime) -> Result<OffsetDateTime, TrustError> {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let moment = i64::try_from(seconds)
        .ok()
        .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    moment.ok_or_else(|| TrustError::Certificate {
        reason: "its validity ends after the year 9999".to_owned(),
    })
}

/// Random, positive, and never the same twice.
fn serial_number() -> Result<SerialNumber, TrustError> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| TrustError::Key {
        reason: "the operating system gives no randomness".to_owned(),
    })?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn not_made(error: impl std::fmt::Display) -> TrustError {
    TrustError::Certificate {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use webpki::KeyUsage;

    use super::super::verify::Anchor;
    use super::*;

    #[test]
    fn a_certificate_of_another_cluster_under_the_same_key_is_refused() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_669_800);
        let authority = Authority::generate("lab", now).unwrap();
        // As if two clusters had been given copies of one authority.
        let copy = Authority {
            cluster: "other".to_owned(),
            ..authority.clone()
        };
        let request = KeyPair::generate().unwrap().signing_request().unwrap();
        let host = copy
            .sign_request(&request, Role::Host, "h1", Names::none(), now, VALIDITY)
            .unwrap();
        let anchor = Anchor::new(authority.certificate()).unwrap();
        let checked = anchor.check(host.der(), &[], KeyUsage::client_auth(), &[Role::Host], now);
        assert_eq!(
            checked.unwrap_err().to_string(),
            "the certificate of anet://other/host/h1 is of another cluster: expected one of cluster `lab`"
        );
    }

    #[test]
    fn an_authoritys_certificate_is_no_members() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_669_800);
        let authority = Authority::generate("lab", now).unwrap();
        let anchor = Anchor::new(authority.certificate()).unwrap();
        let own = authority.certificate();
        assert!(
            anchor
                .check(own.der(), &[], KeyUsage::client_auth(), &[Role::Host], now)
                .is_err()
        );
        let request = KeyPair::generate().unwrap().signing_request().unwrap();
        let host = authority
            .sign_request(&request, Role::Host, "h1", Names::none(), now, VALIDITY)
            .unwrap();
        assert!(Anchor::new(&host).is_err());
    }
}
