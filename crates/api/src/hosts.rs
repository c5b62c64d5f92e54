//! How a host joins: bodies of `/anet/v1/host-tokens` and `/anet/v1/join`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Where tokens are made.
pub const TOKENS_PATH: &str = "/anet/v1/host-tokens";
/// Where a host joins.
pub const JOIN_PATH: &str = "/anet/v1/join";

/// `POST /anet/v1/host-tokens`: make a token that one host can join with, once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostTokenRequest {
    /// The only name that a host may join as with it; any where `None`.
    pub host: Option<String>,
    /// Seconds until it is of no use any more; a day where `None`.
    pub valid_for_s: Option<u64>,
}

/// The answer: the token, which is told this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostToken {
    /// What `anet-agent join` takes.
    pub token: String,
    /// When it ends, ISO 8601.
    pub expires_at: String,
}

/// `POST /anet/v1/join`, which needs no other token than the one inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The secret of the token.
    pub secret: String,
    /// The name it wants: 1 to 64 characters out of `a-z A-Z 0-9 . _ : -`.
    pub host: String,
    /// A certificate signing request (PEM, PKCS #10) for its key.
    pub csr: String,
    /// Its tunnel endpoint's address.
    #[serde(default)]
    pub tunnel_address: Option<IpAddr>,
    /// UDP port of its tunnel endpoint; 4789 where `None`.
    #[serde(default)]
    pub tunnel_port: Option<u16>,
    /// What it runs on, for people.
    #[serde(default)]
    pub machine: String,
}

/// The answer: what it needs from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// Its id.
    pub host: String,
    /// The cluster.
    pub cluster: String,
    /// Its certificate, and those between it and the authority (PEM).
    pub certificate: String,
    /// The authority's certificate (PEM).
    pub authority: String,
    /// `ADDRESS:PORT` of the controllers' host streams.
    pub controllers: Vec<String>,
}
