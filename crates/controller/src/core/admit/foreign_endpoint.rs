//! Foreign tunnel endpoints: VXLAN devices of others, as members of a network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anet_api::resource::{ForeignEndpointCreate, ForeignEndpointUpdate, Requests, foreign_endpoint_to_json};
use anet_api::{ApiError, Resource};
use anet_model::host_plan::NetworkId;
use anet_model::intent::{ForeignEndpoint, ForeignEndpointId};

use super::super::keys::{self, Noun};
use super::super::mirror::Mirror;
use super::draft::Draft;
use super::{Answer, Asked, Caller, Draw, Proposal, id_of, legal, network};

/// An endpoint that the same request makes.
type Made = (ForeignEndpointId, ForeignEndpoint);

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
            let (id, endpoint) = create(&mut draft, caller, request, &[], draw)?;
            let object = foreign_endpoint_to_json(&id, &endpoint);
            draft.finish(Answer::created(Resource::ForeignEndpoint, caller, object))
        }
        Asked::Create(Requests::Many(requests)) => {
            let mut made = Vec::new();
            for request in requests {
                let one = create(&mut draft, caller, request, &made, draw)?;
                made.push(one);
            }
            let objects = made.iter();
            let objects = objects
                .map(|(id, endpoint)| foreign_endpoint_to_json(id, endpoint))
                .collect();
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
            claim(&mut draft, &id, &endpoint, &[], draw)?;
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
    made: &[Made],
    draw: &mut Draw<'_>,
) -> Result<Made, ApiError> {
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
    claim(draft, &id, &endpoint, made, draw)?;
    Ok((id, endpoint))
}

/// The foreign endpoints of an address of the underlay, in whatever network.
pub fn at(mirror: &Mirror, address: IpAddr) -> impl Iterator<Item = (&ForeignEndpointId, &ForeignEndpoint)> {
    let all = mirror.intent().foreign_endpoints.iter();
    all.filter(move |(_, endpoint)| endpoint.address == address)
}

/// The addresses that stations of a network have, but for those of one endpoint.
pub fn station_addresses(
    mirror: &Mirror,
    network: &NetworkId,
    but: Option<&ForeignEndpointId>,
) -> BTreeMap<IpAddr, ForeignEndpointId> {
    let ids = mirror.index().network_foreign.of(network);
    let ids = ids.filter(|id| Some(*id) != but);
    let endpoints = ids.filter_map(|id| Some((id, mirror.intent().foreign_endpoints.get(id)?)));
    endpoints
        .flat_map(|(id, endpoint)| addresses_of(id, endpoint))
        .collect()
}

fn addresses_of<'a>(
    id: &'a ForeignEndpointId,
    endpoint: &'a ForeignEndpoint,
) -> impl Iterator<Item = (IpAddr, ForeignEndpointId)> + 'a {
    let addresses = endpoint.stations.iter().flat_map(|station| &station.addresses);
    addresses.map(|address| (*address, id.clone()))
}

/// Refuses an end that others have, and one of another port: hosts know an end by its address.
fn check_end(
    mirror: &Mirror,
    id: &ForeignEndpointId,
    endpoint: &ForeignEndpoint,
    made: &[Made],
) -> Result<(), ApiError> {
    legal::check_tunnel_address("ip_address", endpoint.address)?;
    legal::check_tunnel_port("udp_port", endpoint.address, endpoint.udp_port)?;
    let made = made.iter().filter(|(_, made)| made.address == endpoint.address);
    let others = at(mirror, endpoint.address).filter(|(other, _)| *other != id);
    for (other, there) in others.chain(made.map(|(id, endpoint)| (id, endpoint))) {
        if there.udp_port != endpoint.udp_port {
            let text = format!(
                "{} is that of foreign endpoint {other} with udp_port {}: give the same udp_port, or another ip_address.",
                endpoint.address, there.udp_port
            );
            return Err(ApiError::conflict("ForeignEndpointExists", text));
        }
        if there.network == endpoint.network {
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
    Ok(())
}

/// Refuses stations' addresses that no guest can have, or that others of the network have.
fn check_stations(
    mirror: &Mirror,
    id: &ForeignEndpointId,
    endpoint: &ForeignEndpoint,
    made: &[Made],
) -> Result<(), ApiError> {
    let network = &endpoint.network;
    let mut taken = station_addresses(mirror, network, Some(id));
    let made = made.iter().filter(|(_, made)| made.network == *network);
    taken.extend(made.flat_map(|(id, endpoint)| addresses_of(id, endpoint)));
    for (address, id) in addresses_of(id, endpoint) {
        legal::check_station_address("stations", address)?;
        let mut subnets = mirror.index().network_subnets.of(network);
        let of_port = subnets.any(|subnet| mirror.index().has_address(subnet, address));
        if of_port || taken.insert(address, id).is_some() {
            return Err(ApiError::address_in_use(network.as_str(), "stations", address));
        }
    }
    Ok(())
}

/// Takes the stations' MACs, and puts the endpoint, and the network, so that two endpoints made at once are held against each other.
fn claim(
    draft: &mut Draft<'_>,
    id: &ForeignEndpointId,
    endpoint: &ForeignEndpoint,
    made: &[Made],
    draw: &Draw<'_>,
) -> Result<(), ApiError> {
    let mirror = draft.mirror();
    check_end(mirror, id, endpoint, made)?;
    check_stations(mirror, id, endpoint, made)?;
    draft.absent(keys::host_address(endpoint.address));
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
