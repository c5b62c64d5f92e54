//! Who a node or person is: the name in its certificate.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use thiserror::Error;

use super::certificate::Fingerprint;

/// What a certificate's owner may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A management node's controller.
    Controller,
    /// A hypervisor host's agent.
    Host,
    /// Somebody at a keyboard.
    Person,
}

impl Role {
    /// As it stands in the identity.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Host => "host",
            Self::Person => "person",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        match text {
            "controller" => Ok(Self::Controller),
            "host" => Ok(Self::Host),
            "person" => Ok(Self::Person),
            _ => Err(IdentityError::Role {
                found: shortened(text),
            }),
        }
    }
}

/// A member of a cluster: `anet://CLUSTER/ROLE/NAME`. Cluster and name are 1 to 64 characters out of `a-z A-Z 0-9 . _ : -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    cluster: String,
    role: Role,
    name: String,
}

impl Identity {
    /// The longest legal cluster or name.
    pub const LENGTH_MAXIMUM: usize = 64;

    /// An identity, or an error where cluster or name is not legal.
    pub fn new(cluster: &str, role: Role, name: &str) -> Result<Self, IdentityError> {
        Ok(Self {
            cluster: checked("cluster", cluster)?,
            role,
            name: checked("name", name)?,
        })
    }

    /// The cluster it belongs to.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// What it may be.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its name: a host's id, a controller's or person's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}", self.cluster, self.role, self.name)
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let malformed = || IdentityError::Form {
            found: shortened(text),
        };
        let mut parts = text.strip_prefix(SCHEME).ok_or_else(malformed)?.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(cluster), Some(role), Some(name), None) => Self::new(cluster, role.parse()?, name),
            _ => Err(malformed()),
        }
    }
}

/// How an identity's URI begins.
pub(super) const SCHEME: &str = "anet://";

/// The name of a cluster's authority: `anet://CLUSTER/authority`.
pub(super) fn authority_uri(cluster: &str) -> Result<String, IdentityError> {
    Ok(format!("{SCHEME}{}/authority", checked("cluster", cluster)?))
}

/// The cluster out of an authority's name.
pub(super) fn cluster_of_authority(uri: &str) -> Result<String, IdentityError> {
    let cluster = uri
        .strip_prefix(SCHEME)
        .and_then(|rest| rest.strip_suffix("/authority"));
    checked(
        "cluster",
        cluster.ok_or_else(|| IdentityError::Form {
            found: shortened(uri),
        })?,
    )
}

fn checked(part: &'static str, text: &str) -> Result<String, IdentityError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if text.is_empty() || text.len() > Identity::LENGTH_MAXIMUM || !text.bytes().all(legal) {
        return Err(IdentityError::Part {
            part,
            found: shortened(text),
        });
    }
    Ok(text.to_owned())
}

/// What somebody else wrote, short enough and free of control characters for a line of log.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(100)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if text.chars().nth(100).is_some() {
        short.push('…');
    }
    short
}

/// A text that is no identity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Not of the form of an identity.
    #[error("`{found}` is not an identity: expected anet://CLUSTER/ROLE/NAME")]
    Form {
        /// What stands there.
        found: String,
    },
    /// A role that there is not.
    #[error("`{found}` is not a role: expected controller, host or person")]
    Role {
        /// What stands there.
        found: String,
    },
    /// A cluster or name with illegal characters or length.
    #[error("`{found}` is not a legal {part}: expected 1 to 64 characters out of a-z A-Z 0-9 . _ : -")]
    Part {
        /// `cluster` or `name`.
        part: &'static str,
        /// What stands there.
        found: String,
    },
}

/// Who the other side of a stream, or the signer of an envelope, has proved to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Cluster, role and name.
    pub identity: Identity,
    /// Of its public key: the same as long as it keeps its key, whichever certificate it shows.
    pub fingerprint: Fingerprint,
    /// When its certificate ends.
    pub expires: SystemTime,
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identities_are_read_as_written() {
        let identity = Identity::new("lab", Role::Host, "rack-1:h_2.x").unwrap();
        assert_eq!(identity.to_string(), "anet://lab/host/rack-1:h_2.x");
        assert_eq!(identity.to_string().parse(), Ok(identity));
    }

    #[test]
    fn what_is_no_identity_is_refused_with_what_was_expected() {
        for (text, part) in [
            ("", "is not an identity"),
            ("http://lab/host/h1", "is not an identity"),
            ("anet://lab/host", "is not an identity"),
            ("anet://lab/host/h1/x", "is not an identity"),
            ("anet://lab/router/h1", "is not a role"),
            ("anet:///host/h1", "is not a legal cluster"),
            ("anet://lab/host/", "is not a legal name"),
            ("anet://lab/host/h 1", "is not a legal name"),
            ("anet://lab/host/h\n1", "is not a legal name"),
        ] {
            let error = text.parse::<Identity>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(Identity::new("lab", Role::Host, &"x".repeat(64)).is_ok());
        assert!(Identity::new("lab", Role::Host, &"x".repeat(65)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            if let Ok(identity) = text.parse::<Identity>() {
                prop_assert_eq!(identity.to_string(), text);
            }
        }
    }
}
