//! Foreign tunnel endpoints: VXLAN devices of others, as members of a network.

use anet_api::resource::{ForeignEndpointCreate, ForeignEndpointUpdate, Requests, foreign_endpoint_to_json};
use anet_api::{ApiError, Resource};
use anet_model::intent::{ForeignEndpoint, ForeignEndpointId};
use serde_json::{Map, Value};

use super::super::keys::{self, Noun};
use super::super::mirror::Mirror;
use super::draft::Draft;
use super::{Answer, Asked, Caller, Draw, Proposal, id_of, network};

/// Admits a request.
pub fn admit(
    mirror: &Mirror,
    caller: &Caller,
    asked: Asked<ForeignEndpointCreate, ForeignEndpointUpdate>,
    draw: &mut Draw<'_>,
) -> Result<Proposal, ApiError> {
    caller.must_be_admin("Managing foreign endpoints")?;
    let mut draft = Draft::new(mirror);
    match asked {
        Asked::Create(Requests::One(request)) => {
            let object = create(&mut draft, caller, request, draw)?;
            draft.finish(Answer::created(Resource::ForeignEndpoint, caller, object))
        }
        Asked::Create(Requests::Many(requests)) => {
            let mut objects = Vec::new();
            for request in requests {
                objects.push(create(&mut draft, caller, request, draw)?);
            }
            draft.finish(Answer::created_many(Resource::ForeignEndpoint, caller, objects))
        }
        Asked::Update(id, request) => {
            let (id, old) = find(mirror, caller, &id)?;
            let mut endpoint = old.clone();
            draw.touch(&mut endpoint.common, request.name, request.description);
            endpoint.address = request.ip_address.unwrap_or(endpoint.address);
            endpoint.udp_port = request.udp_port.unwrap_or(endpoint.udp_port);
            endpoint.stations = request.stations.unwrap_or(endpoint.stations);
            release(&mut draft, &id, &old);
            claim(&mut draft, &id, &endpoint, draw)?;
            let object = foreign_endpoint_to_json(&id, &endpoint);
            draft.finish(Answer::shown(Resource::ForeignEndpoint, caller, object))
        }
        Asked::Delete(id) => {
            let (id, endpoint) = find(mirror, caller, &id)?;
            release(&mut draft, &id, &endpoint);
            draft.delete(Noun::ForeignEndpoint, &id);
            draft.finish(Answer::deleted())
        }
    }
}

/// An endpoint, for an administrator.
pub fn find(
    mirror: &Mirror,
    caller: &Caller,
    id: &str,
) -> Result<(ForeignEndpointId, ForeignEndpoint), ApiError> {
    let id: ForeignEndpointId = id_of(Resource::ForeignEndpoint, id)?;
    match mirror.intent().foreign_endpoints.get(&id) {
        Some(endpoint) if caller.admin => Ok((id, endpoint.clone())),
        _ => Err(ApiError::not_found(Resource::ForeignEndpoint, id.as_str())),
    }
}

fn create(
    draft: &mut Draft<'_>,
    caller: &Caller,
    request: ForeignEndpointCreate,
    draw: &mut Draw<'_>,
) -> Result<Map<String, Value>, ApiError> {
    let mirror = draft.mirror();
    let (network_id, _) = network::find(mirror, caller, request.network_id.as_str())?;
    let id: ForeignEndpointId = draw.id();
    let endpoint = ForeignEndpoint {
        common: draw.common(request.name, request.description),
        network: network_id,
        address: request.ip_address,
        udp_port: request.udp_port,
        stations: request.stations,
    };
    claim(draft, &id, &endpoint, draw)?;
    Ok(foreign_endpoint_to_json(&id, &endpoint))
}

/// Takes the stations' MACs, and puts the endpoint, and the network, so that two endpoints made at once are held against each other.
fn claim(
    draft: &mut Draft<'_>,
    id: &ForeignEndpointId,
    endpoint: &ForeignEndpoint,
    draw: &Draw<'_>,
) -> Result<(), ApiError> {
    let mirror = draft.mirror();
    let others = mirror
        .index()
        .network_foreign
        .of(&endpoint.network)
        .filter(|other| *other != id);
    let others = others.filter_map(|other| Some((other, mirror.intent().foreign_endpoints.get(other)?)));
    for (other, there) in others {
        if (there.address, there.udp_port) == (endpoint.address, endpoint.udp_port) {
            let text = format!(
                "{} port {} is foreign endpoint {other} of the network already: add the stations there.",
                endpoint.address, endpoint.udp_port
            );
            return Err(ApiError::conflict("ForeignEndpointExists", text));
        }
    }
    let mut hosts = mirror.intent().hosts.iter();
    if let Some((host, _)) = hosts.find(|(_, host)| host.tunnel_address == Some(endpoint.address)) {
        let text = format!(
            "{} is the tunnel address of host {host}, which is not foreign.",
            endpoint.address
        );
        return Err(ApiError::conflict("TunnelAddressInUse", text));
    }
    for station in &endpoint.stations {
        let key = keys::mac(&endpoint.network, station.mac);
        let used = mirror.index().has_mac(&endpoint.network, station.mac) && !draft.gives_up(&key);
        if used || draft.takes_mac(&endpoint.network, station.mac) {
            return Err(ApiError::mac_in_use(endpoint.network.as_str(), station.mac));
        }
        draft.take(key, id);
    }
    if let Some(network) = mirror.intent().networks.get(&endpoint.network) {
        let mut network = network.clone();
        draw.touch(&mut network.common, None, None);
        draft.put(Noun::Network, &endpoint.network, &network)?;
    }
    draft.refer(keys::reference(
        Noun::Network,
        &endpoint.network,
        Noun::ForeignEndpoint,
        id,
    ));
    draft.put(Noun::ForeignEndpoint, id, endpoint)
}

fn release(draft: &mut Draft<'_>, id: &ForeignEndpointId, endpoint: &ForeignEndpoint) {
    for station in &endpoint.stations {
        draft.give_up(keys::mac(&endpoint.network, station.mac));
    }
    draft.unrefer(keys::reference(
        Noun::Network,
        &endpoint.network,
        Noun::ForeignEndpoint,
        id,
    ));
}
