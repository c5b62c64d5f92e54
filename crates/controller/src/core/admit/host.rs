//! Hosts. They are made by joining; here they are changed and let go.

use std::convert::Infallible;
use std::net::IpAddr;

use anet_api::resource::{HostObserved, HostUpdate, host_to_json};
use anet_api::{ApiError, Resource};
use anet_model::intent::{Host, HostId};

use super::super::keys::{self, Noun};
use super::super::mirror::Mirror;
use super::draft::Draft;
use super::{Answer, Asked, Caller, Draw, Proposal, foreign_endpoint, id_of, legal, refuse_if_used, users};

/// Admits a request. `observed` says how a host is, for the answer.
pub fn admit(
    mirror: &Mirror,
    caller: &Caller,
    asked: Asked<Infallible, HostUpdate>,
    observed: &dyn Fn(&HostId) -> HostObserved,
    draw: &mut Draw<'_>,
) -> Result<Proposal, ApiError> {
    caller.must_be_admin("Managing hosts")?;
    let mut draft = Draft::new(mirror);
    match asked {
        Asked::Create(_) => Err(ApiError::method_not_allowed("POST", Resource::Host.path())
            .with_detail("a host joins with a token: `anet host token`, then `anet-agent join`")),
        Asked::Update(id, request) => {
            let (id, old) = find(mirror, caller, &id)?;
            let host = update(&mut draft, &id, &old, request, draw)?;
            let object = host_to_json(&id, &host, &observed(&id));
            draft.finish(Answer::shown(Resource::Host, caller, object))
        }
        Asked::Delete(id) => {
            let (id, host) = find(mirror, caller, &id)?;
            let used = [users(Noun::Port, mirror.index().host_ports.of(&id))];
            refuse_if_used(Resource::Host, id.as_str(), used)?;
            draft.delete(Noun::Host, &id);
            if let Some(address) = host.tunnel_address {
                draft.give_up(keys::host_address(address));
            }
            draft.none_in(keys::references(Noun::Host, &id));
            draft.finish(Answer::deleted())
        }
    }
}

/// A host, for an administrator.
pub fn find(mirror: &Mirror, caller: &Caller, id: &str) -> Result<(HostId, Host), ApiError> {
    let id: HostId = id_of(Resource::Host, id)?;
    match mirror.intent().hosts.get(&id) {
        Some(host) if caller.admin => Ok((id, host.clone())),
        _ => Err(ApiError::not_found(Resource::Host, id.as_str())),
    }
}

fn update(
    draft: &mut Draft<'_>,
    id: &HostId,
    old: &Host,
    request: HostUpdate,
    draw: &Draw<'_>,
) -> Result<Host, ApiError> {
    let mut host = old.clone();
    draw.touch(&mut host.common, None, request.description);
    host.tunnel_port = request.tunnel_port.unwrap_or(host.tunnel_port);
    host.tunnel_address = request.tunnel_address.unwrap_or(host.tunnel_address);
    move_address(draft, id, old.tunnel_address, host.tunnel_address)?;
    if let Some(address) = host.tunnel_address {
        legal::check_tunnel_port("tunnel_port", address, host.tunnel_port)?;
    }
    draft.put(Noun::Host, id, &host)?;
    Ok(host)
}

/// Gives a tunnel address up and takes another one.
pub fn move_address(
    draft: &mut Draft<'_>,
    id: &HostId,
    old: Option<IpAddr>,
    new: Option<IpAddr>,
) -> Result<(), ApiError> {
    if old == new {
        return Ok(());
    }
    if let Some(old) = old {
        draft.give_up(keys::host_address(old));
    }
    if let Some(new) = new {
        legal::check_tunnel_address("tunnel_address", new)?;
        if let Some(other) = foreign_endpoint::at(draft.mirror(), new).next() {
            let text = format!(
                "Tunnel address {new} is that of foreign endpoint {}: give the host an address of its own.",
                other.0
            );
            return Err(ApiError::conflict("TunnelAddressInUse", text));
        }
        let mut hosts = draft.mirror().intent().hosts.iter();
        if let Some((other, _)) = hosts.find(|(other, host)| *other != id && host.tunnel_address == Some(new))
        {
            let text =
                format!("Tunnel address {new} is that of host {other}: give the host an address of its own.");
            return Err(ApiError::conflict("TunnelAddressInUse", text));
        }
        draft.take(keys::host_address(new), id);
    }
    Ok(())
}
