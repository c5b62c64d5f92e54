//! The first contact of a machine that knows only the fingerprint of the authority's key (out of a join token).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use webpki::KeyUsage;

use super::certificate::{Certificate, Fingerprint};
use super::clock::{Clock, system_time};
use super::error::TrustError;
use super::identity::Role;
use super::tls::{as_alert, provider, refused};
use super::verify::Anchor;

/// Settings of a client without a certificate, for HTTP/1.1, that speaks only to a controller whose chain holds the authority with the
/// fingerprint `pinned`. Addresses and DNS names do not count.
pub fn pinned_client_config(pinned: Fingerprint, clock: Clock) -> Result<ClientConfig, TrustError> {
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedVerifier { pinned, algorithms }))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[derive(Debug)]
struct PinnedVerifier {
    pinned: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedVerifier {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), TrustError> {
        let authority = chain.iter().filter_map(|der| Certificate::from_der(der).ok());
        let authority = authority
            .into_iter()
            .find(|certificate| certificate.fingerprint() == self.pinned)
            .ok_or_else(|| TrustError::NotPinned {
                pinned: self.pinned.to_string(),
            })?;
        let now = system_time(now.as_secs());
        let anchor = Anchor::new(&authority)?;
        anchor.check(end_entity, &[], KeyUsage::server_auth(), &[Role::Controller], now)?;
        Ok(())
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, now)
            .map_err(|error| as_alert(&error))?;
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
