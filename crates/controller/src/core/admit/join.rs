//! Joining: a token that works once, and the host that is made with it.

use std::net::IpAddr;

use anet_api::{ApiError, Resource};
use anet_model::intent::{Host, HostId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::keys::{self, Noun};
use super::super::mirror::Mirror;
use super::super::record;
use super::draft::Draft;
use super::host::move_address;
use super::{Answer, Draw, Proposal, legal};

/// UDP port of VXLAN (RFC 7348).
const VXLAN_PORT: u16 = 4_789;
/// How the ids begin by which hosts know foreign endpoints.
const FOREIGN: &str = "foreign:";
/// The longest time a token may be good for.
pub const TOKEN_SECONDS_MAXIMUM: u64 = 30 * 86_400;
/// How long it is good for if nobody says otherwise.
pub const TOKEN_SECONDS: u64 = 86_400;

/// How long it is still known that a token has ended, or who used it.
pub const REMEMBERED_SECONDS: i64 = 7 * 86_400;

/// A token as it is kept: without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// The only host that may join with it.
    pub host: Option<HostId>,
    /// Seconds since 1970.
    pub expires_at: i64,
}

/// Who used a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedToken {
    /// The host.
    pub host: HostId,
    /// Seconds since 1970.
    pub used_at: i64,
}

/// A host that wants to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    /// The hash of its token's secret.
    pub hash: String,
    /// Its name.
    pub host: HostId,
    /// The fingerprint of its key.
    pub identity: String,
    /// Its tunnel endpoint's address.
    pub tunnel_address: Option<IpAddr>,
    /// Its tunnel endpoint's port.
    pub tunnel_port: Option<u16>,
    /// What it runs on.
    pub machine: String,
}

/// A new token.
pub fn admit_token(
    mirror: &Mirror,
    hash: &str,
    host: Option<HostId>,
    valid_s: Option<u64>,
    draw: &Draw<'_>,
) -> Result<(Proposal, i64), ApiError> {
    let valid_s = valid_s.unwrap_or(TOKEN_SECONDS);
    if !(1..=TOKEN_SECONDS_MAXIMUM).contains(&valid_s) {
        let text = format!("{valid_s} is not 1 to {TOKEN_SECONDS_MAXIMUM} seconds");
        return Err(ApiError::invalid("valid_for_s", text));
    }
    let expires_at = draw.now_s.saturating_add_unsigned(valid_s);
    let mut draft = Draft::new(mirror);
    let token = JoinToken { host, expires_at };
    let value = record::encode(&token).map_err(|error| ApiError::internal(error.to_string()))?;
    draft.absent(keys::join_token(hash));
    draft.note(keys::join_token(hash), value);
    let answer = Answer {
        status: 201,
        body: Value::Null,
    };
    Ok((draft.finish(answer)?, expires_at))
}

/// The refusal of a token that is not there.
pub fn refuse_token(used: Option<&UsedToken>) -> ApiError {
    let text = match used {
        Some(used) => format!(
            "This token was used already, by host {}: a token works once. Make another one with `anet host token`.",
            used.host
        ),
        None => "This token is not known: it was never made here, or has ended. Make another one with `anet host token`.".to_owned(),
    };
    ApiError::new(403, "JoinTokenRefused", text)
}

/// Whether a host may join with a token.
pub fn fits(token: &JoinToken, host: &HostId, now_s: i64) -> Result<(), ApiError> {
    if token.expires_at <= now_s {
        let text = "This token has ended. Make another one with `anet host token`.";
        return Err(ApiError::new(403, "JoinTokenRefused", text));
    }
    if token.host.as_ref().is_some_and(|only| only != host) {
        let text = format!(
            "This token is for another host than {host}: join under that name, or make another token with `anet host token`."
        );
        return Err(ApiError::new(403, "JoinTokenRefused", text));
    }
    Ok(())
}

/// Makes the host and takes the token away, in one step.
pub fn admit(
    mirror: &Mirror,
    joining: &Joining,
    token: &JoinToken,
    draw: &Draw<'_>,
) -> Result<Proposal, ApiError> {
    fits(token, &joining.host, draw.now_s)?;
    let mut draft = Draft::new(mirror);
    let old = mirror.intent().hosts.get(&joining.host);
    if old.is_some() && token.host.is_none() {
        let text = format!(
            "Host {0} has joined before. To join it anew, which ends the old one's sessions, make a token for it: `anet host token {0}`.",
            joining.host
        );
        return Err(ApiError::conflict("HostExists", text));
    }
    if joining.host.as_str().starts_with(FOREIGN) {
        let text = format!(
            "{} begins with `{FOREIGN}`, as hosts know foreign endpoints, expected another name",
            joining.host
        );
        return Err(ApiError::invalid("host", text));
    }
    let host = new_host(joining, old, draw);
    move_address(
        &mut draft,
        &joining.host,
        old.and_then(|old| old.tunnel_address),
        host.tunnel_address,
    )?;
    if let Some(address) = host.tunnel_address {
        legal::check_tunnel_port("tunnel_port", address, host.tunnel_port)?;
    }
    let used = UsedToken {
        host: joining.host.clone(),
        used_at: draw.now_s,
    };
    let used = record::encode(&used).map_err(|error| ApiError::internal(error.to_string()))?;
    draft.consume(keys::join_token(&joining.hash));
    draft.note(keys::used_token(&joining.hash), used);
    draft.put(Noun::Host, &joining.host, &host)?;
    let answer = Answer {
        status: 200,
        body: Value::Null,
    };
    draft.finish(answer)
}

fn new_host(joining: &Joining, old: Option<&Host>, draw: &Draw<'_>) -> Host {
    let mut host = match old {
        Some(old) => old.clone(),
        None => Host {
            common: draw.common(
                joining.host.to_string(),
                joining.machine.chars().take(255).collect(),
            ),
            tunnel_address: None,
            tunnel_port: VXLAN_PORT,
            identity: String::new(),
        },
    };
    if old.is_some() {
        draw.touch(&mut host.common, None, None);
    }
    host.identity.clone_from(&joining.identity);
    host.tunnel_address = joining.tunnel_address.or(host.tunnel_address);
    host.tunnel_port = joining.tunnel_port.unwrap_or(host.tunnel_port);
    host
}

/// A host's name out of a request.
pub fn host_name(text: &str) -> Result<HostId, ApiError> {
    HostId::new(text).map_err(|error| ApiError::invalid("host", error))
}

/// The refusal of what names no host.
pub fn no_host(id: &str) -> ApiError {
    ApiError::not_found(Resource::Host, id)
}
