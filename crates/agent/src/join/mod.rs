//! `anet-agent join`: a host becomes a member of a cluster, with a token that works once.
//!
//! The token carries the fingerprint of the cluster's authority: only a controller that shows a certificate of it hears the token's
//! secret. The key is made here and never leaves the host.

mod http;
mod token;

use std::net::IpAddr;
use std::path::Path;

use anet_cluster::trust::{
    Certificate, Clock, Credentials, Fingerprint, KeyPair, Role, TrustError, pinned_client_config,
};
use anet_model::intent::HostId;
use serde::{Deserialize, Serialize};

pub use http::HttpError;
pub use token::{JoinToken, TokenError};

use crate::disk::{DiskError, Folder, Joined};

/// Where the call goes.
const PATH: &str = "/anet/v1/join";

/// Why a host has not joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The data folder.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Keys and certificates.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The folder has an identity already.
    #[error(
        "data folder {path} has joined as host {host} of cluster {cluster} already: run it (`anet-agent run`), or give --data another folder"
    )]
    Joined {
        /// The folder.
        path: String,
        /// The host.
        host: String,
        /// Its cluster.
        cluster: String,
    },
    /// No controller could be asked.
    #[error("no controller could be asked: {0}")]
    Unreachable(String),
    /// A controller said no.
    #[error("the controller at {url} refuses (status {status}): {reason}")]
    Refused {
        /// Which one.
        url: String,
        /// HTTP's status.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// It said something that cannot be.
    #[error("the controller at {url} gave no usable identity: {reason}")]
    Answer {
        /// Which one.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

/// What is sent.
#[derive(Debug, Serialize)]
struct Request<'a> {
    secret: &'a str,
    host: &'a str,
    csr: &'a str,
    tunnel_address: IpAddr,
    tunnel_port: Option<u16>,
    machine: String,
}

/// What comes back.
#[derive(Debug, Deserialize)]
struct Answer {
    host: String,
    cluster: String,
    certificate: String,
    authority: String,
    controllers: Vec<String>,
}

/// Neutron's form of an error.
#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(rename = "NeutronError")]
    error: Said,
}

#[derive(Debug, Deserialize)]
struct Said {
    message: String,
}

/// How a host wants to be a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub host: HostId,
    /// The address of its tunnel endpoint.
    pub tunnel_address: IpAddr,
    /// The UDP port of its tunnel endpoint.
    pub tunnel_port: Option<u16>,
}

/// Joins, and keeps what came of it in the data folder.
pub fn join(token: &str, wish: &Wish, data: &Path) -> Result<Joined, JoinError> {
    let token = JoinToken::from_text(token)?;
    let folder = Folder::take(data)?;
    if folder.is_joined()? {
        let (_, joined) = folder.identity()?;
        return Err(JoinError::Joined {
            path: data.display().to_string(),
            host: joined.host,
            cluster: joined.cluster,
        });
    }
    let key = KeyPair::generate()?;
    let csr = key.signing_request()?;
    let request = Request {
        secret: &token.secret,
        host: wish.host.as_str(),
        csr: &csr,
        tunnel_address: wish.tunnel_address,
        tunnel_port: wish.tunnel_port,
        machine: crate::run::machine(),
    };
    let body = serde_json::to_vec(&request).map_err(|error| JoinError::Unreachable(error.to_string()))?;
    let (url, answer) = ask(&token, &body)?;
    let (credentials, joined) =
        believed(answer, key, &token, wish).map_err(|reason| JoinError::Answer { url, reason })?;
    folder.keep(&credentials, &joined)?;
    Ok(joined)
}

/// Asks one controller after the other, until one answers.
fn ask(token: &JoinToken, body: &[u8]) -> Result<(String, Answer), JoinError> {
    let mut attempts = Vec::new();
    for url in &token.urls {
        let tls = pinned_client_config(token.fingerprint, Clock::system())?;
        let (status, text) = match http::post(url, PATH, body, tls) {
            Ok(answer) => answer,
            Err(error) => {
                attempts.push(format!("{url}: {error}"));
                continue;
            }
        };
        let url = url.clone();
        if status != 200 {
            let refusal = serde_json::from_slice::<Refusal>(&text);
            let shown = || String::from_utf8_lossy(&text[..text.len().min(300)]).into_owned();
            let reason = refusal.map_or_else(|_| shown(), |refusal| refusal.error.message);
            return Err(JoinError::Refused { url, status, reason });
        }
        return match serde_json::from_slice(&text) {
            Ok(answer) => Ok((url, answer)),
            Err(error) => {
                let reason = format!("its answer cannot be understood: {error}");
                Err(JoinError::Answer { url, reason })
            }
        };
    }
    Err(JoinError::Unreachable(attempts.join("; ")))
}

/// The identity, where it is ours, of the cluster that the token is of, and signed by its authority.
fn believed(
    answer: Answer,
    key: KeyPair,
    token: &JoinToken,
    wish: &Wish,
) -> Result<(Credentials, Joined), String> {
    let text = |error: TrustError| error.to_string();
    let certificate = Certificate::from_pem(&answer.certificate).map_err(text)?;
    let authority = Certificate::from_pem(&answer.authority).map_err(text)?;
    if authority.fingerprint() != token.fingerprint {
        return Err("its authority is not the one that the token names".to_owned());
    }
    let credentials = Credentials::new(key, certificate, authority).map_err(text)?;
    let identity = credentials.identity();
    let expected = (token.cluster.as_str(), Role::Host, wish.host.as_str());
    if (identity.cluster(), identity.role(), identity.name()) != expected || answer.host != wish.host.as_str()
    {
        return Err(format!(
            "its certificate is of {identity}, not of host {} in cluster {}",
            wish.host, token.cluster
        ));
    }
    if answer.controllers.is_empty() {
        return Err("it names no address for the host's stream".to_owned());
    }
    let joined = Joined {
        host: answer.host,
        cluster: answer.cluster,
        controllers: answer.controllers,
    };
    Ok((credentials, joined))
}

/// The fingerprint in a token.
fn fingerprint(hex: &str) -> Option<Fingerprint> {
    Fingerprint::from_hex(hex)
}
