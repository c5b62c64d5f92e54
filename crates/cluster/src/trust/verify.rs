//! Whether a certificate chain leads to the cluster's authority, and whom it proves.

use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::certificate::Certificate;
use super::clock::{system_time, unix_time};
use super::error::TrustError;
use super::identity::{PeerIdentity, Role};

/// The cluster's authority, as somebody knows it who has only its certificate.
#[derive(Debug)]
pub(super) struct Anchor {
    cluster: String,
    anchor: TrustAnchor<'static>,
}

impl Anchor {
    pub(super) fn new(authority: &Certificate) -> Result<Self, TrustError> {
        let cluster = authority.authority_of()?;
        let anchor =
            webpki::anchor_from_trusted_cert(authority.der()).map_err(|error| TrustError::Certificate {
                reason: error.to_string(),
            })?;
        Ok(Self {
            cluster,
            anchor: anchor.to_owned(),
        })
    }

    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Who the chain's first certificate proves its owner to be: issued by this authority, of its cluster, valid now, one of `roles`.
    pub(super) fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        roles: &[Role],
        now: SystemTime,
    ) -> Result<(PeerIdentity, Certificate), TrustError> {
        let certificate = Certificate::from_der(end_entity)?;
        self.check_chain(end_entity, intermediates, usage, unix_time(now))
            .map_err(|error| self.explained(error, &certificate, roles, now))?;
        let peer = certificate.peer()?;
        if peer.identity.cluster() != self.cluster {
            return Err(TrustError::OtherCluster {
                owner: peer.to_string(),
                cluster: self.cluster.clone(),
            });
        }
        if !roles.contains(&peer.identity.role()) {
            return Err(TrustError::WrongRole {
                owner: peer.to_string(),
                expected: roles.to_vec(),
            });
        }
        Ok((peer, certificate))
    }

    fn check_chain(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let parsed = EndEntityCert::try_from(end_entity)?;
        let anchors = std::slice::from_ref(&self.anchor);
        parsed.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            anchors,
            intermediates,
            now,
            usage,
            None,
            None,
        )?;
        Ok(())
    }

    fn explained(
        &self,
        error: webpki::Error,
        found: &Certificate,
        roles: &[Role],
        now: SystemTime,
    ) -> TrustError {
        use webpki::Error;
        let owner = found.owner();
        match error {
            Error::CertExpired { not_after, .. } => TrustError::Expired {
                owner,
                since: system_time(not_after.as_secs()),
                now,
            },
            Error::CertNotValidYet { not_before, .. } => TrustError::NotYetValid {
                owner,
                from: system_time(not_before.as_secs()),
                now,
            },
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => TrustError::OtherAuthority {
                owner,
                cluster: self.cluster.clone(),
            },
            // Hosts and persons are not given the usage of a server.
            Error::RequiredEkuNotFoundContext(_) => TrustError::WrongRole {
                owner,
                expected: roles.to_vec(),
            },
            other => TrustError::Certificate {
                reason: format!("{owner}: {other}"),
            },
        }
    }
}
