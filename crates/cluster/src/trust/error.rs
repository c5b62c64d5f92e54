//! What can be wrong with keys, certificates and what they sign: one line each, with what to do next.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use super::clock::{span, text};
use super::envelope::EnvelopeError;
use super::identity::{IdentityError, Role};

/// A key, certificate, signature or file that cannot be trusted or used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TrustError {
    /// The certificate's time is over.
    #[error(
        "the certificate of {owner} expired at {}, {} ago: have a new one issued, or set this machine's clock ({}) if it is wrong",
        text(*.since), span(.now.duration_since(*.since).unwrap_or(Duration::ZERO)), text(*.now)
    )]
    Expired {
        /// Whose it is.
        owner: String,
        /// When it ended.
        since: SystemTime,
        /// What the time is here.
        now: SystemTime,
    },
    /// The certificate's time has not begun.
    #[error(
        "the certificate of {owner} is not valid before {}, and here it is {}: set this machine's clock, or the one of the machine that issued it",
        text(*.from), text(*.now)
    )]
    NotYetValid {
        /// Whose it is.
        owner: String,
        /// When it begins.
        from: SystemTime,
        /// What the time is here.
        now: SystemTime,
    },
    /// Signed by another certificate authority.
    #[error(
        "the certificate of {owner} was not issued by the authority of cluster `{cluster}`: join that node to this cluster, or connect to the right one"
    )]
    OtherAuthority {
        /// Whom it claims to be of.
        owner: String,
        /// The cluster that was expected.
        cluster: String,
    },
    /// Rightly issued, for another cluster.
    #[error("the certificate of {owner} is of another cluster: expected one of cluster `{cluster}`")]
    OtherCluster {
        /// Whose it is.
        owner: String,
        /// The cluster that was expected.
        cluster: String,
    },
    /// Rightly issued, for another role.
    #[error("{owner} has the wrong role here: expected {}", roles(.expected))]
    WrongRole {
        /// Whose it is.
        owner: String,
        /// The roles that may do this.
        expected: Vec<Role>,
    },
    /// No certificate was shown.
    #[error("the other side showed no certificate: it must be a member of cluster `{cluster}`")]
    NoCertificate {
        /// The cluster that was expected.
        cluster: String,
    },
    /// Something that is not a certificate of this kind of cluster.
    #[error("not a usable certificate: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: String,
    },
    /// None of the certificates is the one that was pinned.
    #[error(
        "the other side has no certificate of the authority with fingerprint {pinned}: the join token is of another cluster, or somebody stands between"
    )]
    NotPinned {
        /// The authority's fingerprint that was expected.
        pinned: String,
    },
    /// A signing request that cannot be granted.
    #[error("not a usable certificate signing request: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
    /// A key that cannot be used.
    #[error("not a usable private key: {reason}")]
    Key {
        /// What is wrong with it.
        reason: String,
    },
    /// A name that cannot be put into a certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A DNS name that cannot be put into a certificate.
    #[error("`{found}` is not a DNS name")]
    DnsName {
        /// What stands there.
        found: String,
    },
    /// Bytes that are no envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// An envelope whose content is not what was signed.
    #[error(
        "the signature does not fit the message: it was changed, or signed for another purpose or by another key"
    )]
    Signature,
    /// The TLS library refused settings made here.
    #[error("cannot make TLS settings: {reason}")]
    Tls {
        /// What it says.
        reason: String,
    },
    /// The operating system refused an access to a file.
    #[error("cannot {action} {}: {reason}", .path.display())]
    File {
        /// `read`, `write` …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// A file that is there already and is not overwritten.
    #[error("{} is there already: move it away if it is no longer needed", .path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// A file with a private key that others may read.
    #[error("{} holds a private key and others may read it (mode {mode:o}): chmod 600 it, and replace the key if somebody may have seen it", .path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// A file that does not hold what it should.
    #[error("{}: {reason}: put it back from a backup", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl TrustError {
    /// The same error, of a file.
    pub(super) fn in_file(self, path: &std::path::Path) -> Self {
        match self {
            Self::Certificate { .. } | Self::Key { .. } | Self::Identity(_) => Self::Damaged {
                path: path.to_owned(),
                reason: self.to_string(),
            },
            other => other,
        }
    }
}

fn roles(expected: &[Role]) -> String {
    match expected {
        [] => "none".to_owned(),
        _ => expected
            .iter()
            .map(|role| role.as_str())
            .collect::<Vec<_>>()
            .join(" or "),
    }
}
