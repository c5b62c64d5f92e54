//! Who is who in a cluster, and how a node proves it.
//!
//! Each cluster has an [`Authority`] of its own. It issues one certificate to each controller, host and person; the certificate names
//! the [`Identity`] in a URI, `anet://CLUSTER/ROLE/NAME`, and that alone says who a peer is: neither addresses nor DNS names count on
//! streams between nodes. [`ServerTls`] and [`ClientTls`] are TLS 1.3 with certificates on both sides, signed by this authority and by no
//! other. A [`Signer`] puts messages into envelopes that a [`Verifier`] opens only if a controller of the same cluster signed them, so that
//! what carries them need not be trusted.
//!
//! Wall time is used for nothing but certificates' validity, and is an argument ([`Clock`]). No process-wide default of
//! rustls is set or used.

mod authority;
mod certificate;
mod clock;
mod credentials;
mod envelope;
mod error;
mod files;
mod identity;
mod key;
mod pinned;
mod signing;
mod tls;
mod verify;

pub use authority::{Authority, Names, VALIDITY};
pub use certificate::{Certificate, Fingerprint};
pub use clock::Clock;
pub use credentials::Credentials;
pub use envelope::{ENVELOPE_MAXIMUM, Envelope, EnvelopeError};
pub use error::TrustError;
pub use identity::{Identity, IdentityError, PeerIdentity, Role};
pub use key::KeyPair;
pub use pinned::pinned_client_config;
pub use signing::{Opened, Signer, Verifier};
pub(crate) use tls::Verdict;
pub use tls::{ClientTls, ServerTls, server_config_without_client};
