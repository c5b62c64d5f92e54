//! TLS settings: version 1.3 only, certificates on both sides, issued by the cluster's authority and by no other.
//!
//! Sessions are not resumed: a resumed session would not look at the certificate again.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use webpki::KeyUsage;

use super::clock::{Clock, system_time, unix_time};
use super::credentials::Credentials;
use super::error::TrustError;
use super::identity::{Identity, PeerIdentity, Role};
use super::verify::Anchor;

/// What HTTP/2 is called in a TLS handshake.
const HTTP_2: &[u8] = b"h2";
/// What HTTP/1.1 is called in a TLS handshake.
const HTTP_1: &[u8] = b"http/1.1";

/// What a handshake found out about the other side's certificate: kept beside the library's own error, which has no room for it.
pub(crate) type Verdict = Arc<OnceLock<Result<PeerIdentity, TrustError>>>;

/// The side that is connected to: shows its certificate, and accepts members of the given roles.
#[derive(Clone, Debug)]
pub struct ServerTls(Side);

/// The side that connects: shows its certificate, and accepts a server of the given role, whatever its address or DNS name.
#[derive(Clone, Debug)]
pub struct ClientTls(Side);

#[derive(Clone, Debug)]
struct Side {
    credentials: Arc<Credentials>,
    anchor: Arc<Anchor>,
    roles: Arc<[Role]>,
    clock: Clock,
}

impl Side {
    fn new(credentials: &Credentials, roles: &[Role], clock: Clock) -> Result<Self, TrustError> {
        let anchor = Arc::new(Anchor::new(credentials.authority())?);
        Ok(Self {
            credentials: Arc::new(credentials.clone()),
            anchor,
            roles: roles.into(),
            clock,
        })
    }

    fn verifier(&self, verdict: &Verdict) -> Arc<PeerVerifier> {
        Arc::new(PeerVerifier {
            anchor: Arc::clone(&self.anchor),
            roles: Arc::clone(&self.roles),
            verdict: Arc::clone(verdict),
            algorithms: ring::default_provider().signature_verification_algorithms,
        })
    }
}

impl ServerTls {
    /// An error where the credentials cannot be used.
    pub fn new(credentials: &Credentials, accepted: &[Role], clock: Clock) -> Result<Self, TrustError> {
        let server = Self(Side::new(credentials, accepted, clock)?);
        server.session().map(|_| server)
    }

    /// Settings for one connection, and where its verdict will be.
    pub(crate) fn session(&self) -> Result<(Arc<ServerConfig>, Verdict), TrustError> {
        let verdict = Verdict::default();
        let Side {
            credentials, clock, ..
        } = &self.0;
        let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock.clone()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(refused)?
            .with_client_cert_verifier(self.0.verifier(&verdict))
            .with_single_cert(chain(credentials), credentials.key().to_der())
            .map_err(refused)?;
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        Ok((Arc::new(config), verdict))
    }

    /// Who shows this certificate.
    pub fn identity(&self) -> &Identity {
        self.0.credentials.identity()
    }
}

impl ClientTls {
    /// An error where the credentials cannot be used.
    pub fn new(credentials: &Credentials, expected: Role, clock: Clock) -> Result<Self, TrustError> {
        let client = Self(Side::new(credentials, &[expected], clock)?);
        client.session().map(|_| client)
    }

    /// Settings for one connection, and where its verdict will be.
    pub(crate) fn session(&self) -> Result<(Arc<ClientConfig>, Verdict), TrustError> {
        let verdict = Verdict::default();
        let Side {
            credentials, clock, ..
        } = &self.0;
        let mut config = ClientConfig::builder_with_details(provider(), Arc::new(clock.clone()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(refused)?
            .dangerous()
            .with_custom_certificate_verifier(self.0.verifier(&verdict))
            .with_client_auth_cert(chain(credentials), credentials.key().to_der())
            .map_err(refused)?;
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        Ok((Arc::new(config), verdict))
    }

    /// Who shows this certificate.
    pub fn identity(&self) -> &Identity {
        self.0.credentials.identity()
    }

    /// That our own certificate is valid here and now: an error that explains why others refuse it.
    pub(crate) fn own_validity(&self) -> Result<(), TrustError> {
        let certificate = self.0.credentials.certificate();
        let (owner, now) = (certificate.owner(), self.0.clock.now());
        match (certificate.not_before(), certificate.not_after()) {
            (_, since) if now > since => Err(TrustError::Expired { owner, since, now }),
            (from, _) if now < from => Err(TrustError::NotYetValid { owner, from, now }),
            _ => Ok(()),
        }
    }
}

/// Settings of a server whose clients show no certificate (REST, with tokens), for HTTP/1.1. The authority's certificate is sent along, so that a
/// client that pins its fingerprint can check the chain.
pub fn server_config_without_client(
    credentials: &Credentials,
    clock: Clock,
) -> Result<ServerConfig, TrustError> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain(credentials), credentials.key().to_der())
        .map_err(refused)?;
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    Ok(config)
}

fn chain(credentials: &Credentials) -> Vec<CertificateDer<'static>> {
    vec![
        credentials.certificate().der().clone(),
        credentials.authority().der().clone(),
    ]
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

pub(super) fn refused(error: Error) -> TrustError {
    TrustError::Tls {
        reason: error.to_string(),
    }
}

/// Checks the other side's certificate, for one handshake.
#[derive(Debug)]
struct PeerVerifier {
    anchor: Arc<Anchor>,
    roles: Arc<[Role]>,
    verdict: Verdict,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PeerVerifier {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), Error> {
        let now = system_time(now.as_secs());
        let found = self
            .anchor
            .check(end_entity, intermediates, usage, &self.roles, now)
            .map(|(peer, _)| peer);
        let answer = found.as_ref().map(|_| ()).map_err(as_alert);
        // A handshake asks once; a second answer could only be the same.
        let _ = self.verdict.set(found);
        answer
    }
}

/// The library's nearest error: it makes the alert that the other side gets to see.
pub(super) fn as_alert(error: &TrustError) -> Error {
    Error::InvalidCertificate(match error {
        TrustError::Expired { since, now, .. } => CertificateError::ExpiredContext {
            time: unix_time(*now),
            not_after: unix_time(*since),
        },
        TrustError::NotYetValid { from, now, .. } => CertificateError::NotValidYetContext {
            time: unix_time(*now),
            not_before: unix_time(*from),
        },
        TrustError::OtherAuthority { .. } | TrustError::NotPinned { .. } => CertificateError::UnknownIssuer,
        TrustError::OtherCluster { .. } | TrustError::WrongRole { .. } => {
            CertificateError::ApplicationVerificationFailure
        }
        _ => CertificateError::BadEncoding,
    })
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, KeyUsage::server_auth(), now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, KeyUsage::client_auth(), now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
