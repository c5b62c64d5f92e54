//! Subnets: ranges that do not overlap within a network, gateways, and pools that addresses are given from.

use std::net::IpAddr;

use anet_api::resource::{Requests, SubnetCreate, SubnetUpdate, subnet_to_json};
use anet_api::{ApiError, Resource};
use anet_model::host_plan::{Family, NetworkId, SubnetId};
use anet_model::intent::Subnet;
use anet_model::limits;
use anet_packet::addr::IpPrefix;

use super::super::intervals::{address, number};
use super::super::keys::{self, Noun};
use super::super::mirror::Mirror;
use super::draft::Draft;
use super::{Answer, Asked, Caller, Draw, Proposal, id_of, legal, network, refuse_if_used, users};

/// First and last address of each pool.
type Pools = Vec<(IpAddr, IpAddr)>;

/// Admits a request.
pub fn admit(
    mirror: &Mirror,
    caller: &Caller,
    asked: Asked<SubnetCreate, SubnetUpdate>,
    draw: &mut Draw<'_>,
) -> Result<Proposal, ApiError> {
    let mut draft = Draft::new(mirror);
    match asked {
        Asked::Create(Requests::One(request)) => {
            let (id, subnet) = create(&mut draft, caller, request, &[], draw)?;
            draft.finish(Answer::created(
                Resource::Subnet,
                caller,
                subnet_to_json(&id, &subnet),
            ))
        }
        Asked::Create(Requests::Many(requests)) => {
            let mut made = Vec::new();
            for request in requests {
                let one = create(&mut draft, caller, request, &made, draw)?;
                made.push(one);
            }
            let objects = made
                .iter()
                .map(|(id, subnet)| subnet_to_json(id, subnet))
                .collect();
            draft.finish(Answer::created_many(Resource::Subnet, caller, objects))
        }
        Asked::Update(id, request) => {
            let (id, subnet) = find(mirror, caller, &id)?;
            let subnet = update(subnet, request, draw)?;
            if let Some(network) = mirror.intent().networks.get(&subnet.network) {
                draft.read(Noun::Network, &subnet.network);
                legal::check_subnet(&id, &subnet, network)?;
            }
            draft.put(Noun::Subnet, &id, &subnet)?;
            draft.finish(Answer::shown(
                Resource::Subnet,
                caller,
                subnet_to_json(&id, &subnet),
            ))
        }
        Asked::Delete(id) => delete(draft, mirror, caller, &id, draw),
    }
}

/// A subnet that the caller may see.
pub fn find(mirror: &Mirror, caller: &Caller, id: &str) -> Result<(SubnetId, Subnet), ApiError> {
    let id: SubnetId = id_of(Resource::Subnet, id)?;
    match mirror.intent().subnets.get(&id) {
        Some(subnet) if caller.sees(&subnet.project) => Ok((id, subnet.clone())),
        _ => Err(ApiError::not_found(Resource::Subnet, id.as_str())),
    }
}

/// The network is put too, so that two subnets made at once are compared with each other.
fn touch_network(draft: &mut Draft<'_>, id: &NetworkId, draw: &Draw<'_>) -> Result<(), ApiError> {
    let Some(network) = draft.mirror().intent().networks.get(id) else {
        return Ok(());
    };
    let mut network = network.clone();
    draw.touch(&mut network.common, None, None);
    draft.put(Noun::Network, id, &network)
}

fn create(
    draft: &mut Draft<'_>,
    caller: &Caller,
    request: SubnetCreate,
    made: &[(SubnetId, Subnet)],
    draw: &mut Draw<'_>,
) -> Result<(SubnetId, Subnet), ApiError> {
    let mirror = draft.mirror();
    let (network_id, network) = network::find(mirror, caller, request.network_id.as_str())?;
    if request
        .project_id
        .as_ref()
        .is_some_and(|project| *project != network.project)
    {
        return Err(ApiError::invalid_input(
            "a subnet belongs to its network's project: leave project_id out",
        ));
    }
    legal::check_range(request.cidr)?;
    check_room(mirror, &network_id, request.cidr, made)?;
    let gateway_ip = request
        .gateway_ip
        .unwrap_or_else(|| default_gateway(request.cidr));
    check_gateway(request.cidr, gateway_ip)?;
    let allocation_pools = match request.allocation_pools {
        Some(pools) => checked_pools(request.cidr, gateway_ip, pools)?,
        None => default_pools(request.cidr, gateway_ip),
    };
    let id: SubnetId = draw.id();
    let subnet = Subnet {
        common: draw.common(request.name, request.description),
        project: network.project.clone(),
        network: network_id,
        cidr: request.cidr,
        gateway_ip,
        allocation_pools,
        dns_nameservers: request.dns_nameservers,
        host_routes: request.host_routes,
        enable_dhcp: request.enable_dhcp,
        ipv6_address_mode: request.ipv6_address_mode,
    };
    legal::check_subnet(&id, &subnet, &network)?;
    draft.put(Noun::Subnet, &id, &subnet)?;
    draft.refer(keys::reference(Noun::Network, &subnet.network, Noun::Subnet, &id));
    touch_network(draft, &subnet.network, draw)?;
    Ok((id, subnet))
}

/// Refuses a range that another subnet of the network has, and one subnet too many.
fn check_room(
    mirror: &Mirror,
    network: &NetworkId,
    cidr: IpPrefix,
    made: &[(SubnetId, Subnet)],
) -> Result<(), ApiError> {
    let there = mirror.index().network_subnets.of(network);
    let there = there.filter_map(|id| Some((id, mirror.intent().subnets.get(id)?)));
    let made = made.iter().filter(|(_, subnet)| subnet.network == *network);
    let all: Vec<(&SubnetId, &Subnet)> = there.chain(made.map(|(id, subnet)| (id, subnet))).collect();
    if all.len() >= limits::SUBNETS_PER_NETWORK {
        let text = format!(
            "Quota exceeded: a network has at most {} subnets.",
            limits::SUBNETS_PER_NETWORK
        );
        return Err(ApiError::conflict("OverQuota", text));
    }
    match all.into_iter().find(|(_, subnet)| overlap(subnet.cidr, cidr)) {
        Some((id, subnet)) => Err(ApiError::invalid_input(format!(
            "requested subnet with cidr {cidr} for network {network} overlaps with subnet {id} ({}): choose another range",
            subnet.cidr
        ))),
        None => Ok(()),
    }
}

fn overlap(a: IpPrefix, b: IpPrefix) -> bool {
    a.contains(b.address()) || b.contains(a.address())
}

/// First and last address that a guest may have.
pub fn usable(cidr: IpPrefix) -> (IpAddr, IpAddr) {
    let (first, last) = (cidr.address(), cidr.last());
    let bits = if first.is_ipv4() { 32 } else { 128 };
    if cidr.length() + 1 >= bits {
        return (first, last);
    }
    let end = match first {
        IpAddr::V4(_) => number(last) - 1,
        IpAddr::V6(_) => number(last),
    };
    (address(number(first) + 1, first), address(end, first))
}

fn is_usable(cidr: IpPrefix, ip: IpAddr) -> bool {
    let (first, last) = usable(cidr);
    Family::of(ip) == Family::of(first) && first <= ip && ip <= last
}

fn default_gateway(cidr: IpPrefix) -> Option<IpAddr> {
    let (first, last) = usable(cidr);
    (first != last).then_some(first)
}

fn check_gateway(cidr: IpPrefix, gateway: Option<IpAddr>) -> Result<(), ApiError> {
    match gateway {
        Some(gateway) if !is_usable(cidr, gateway) => {
            let (first, last) = usable(cidr);
            let text =
                format!("{gateway} is no address of {cidr}, expected one from {first} to {last}, or null");
            Err(ApiError::invalid("gateway_ip", text))
        }
        _ => Ok(()),
    }
}

/// All of the range but the gateway.
fn default_pools(cidr: IpPrefix, gateway: Option<IpAddr>) -> Pools {
    let (first, last) = usable(cidr);
    let Some(gateway) = gateway else {
        return vec![(first, last)];
    };
    let (start, middle, end) = (number(first), number(gateway), number(last));
    let below = (start < middle).then(|| (first, address(middle - 1, first)));
    let above = (middle < end).then(|| (address(middle + 1, first), last));
    below.into_iter().chain(above).collect()
}

fn checked_pools(cidr: IpPrefix, gateway: Option<IpAddr>, mut pools: Pools) -> Result<Pools, ApiError> {
    pools.sort();
    for (start, end) in &pools {
        if Family::of(*start) != Family::of(*end) || start > end {
            let text =
                format!("The allocation pool {start}-{end} is not valid: start must not come behind end.");
            return Err(ApiError::new(400, "InvalidAllocationPool", text));
        }
        if !is_usable(cidr, *start) || !is_usable(cidr, *end) {
            let (first, last) = usable(cidr);
            let text = format!(
                "The allocation pool {start}-{end} spans beyond the subnet cidr {cidr}: expected addresses from {first} to {last}."
            );
            return Err(ApiError::new(400, "OutOfBoundsAllocationPool", text));
        }
        if let Some(gateway) = gateway.filter(|gateway| start <= gateway && gateway <= end) {
            let text = format!(
                "Gateway ip {gateway} conflicts with allocation pool {start}-{end}: leave it out of allocation_pools, or choose another \
                 gateway_ip."
            );
            return Err(ApiError::conflict("GatewayConflictWithAllocationPools", text));
        }
    }
    for pair in pools.windows(2) {
        if let [(first, end), (start, last)] = pair
            && start <= end
        {
            let text = format!(
                "Found overlapping allocation pools: {first}-{end}, {start}-{last} for subnet {cidr}."
            );
            return Err(ApiError::conflict("OverlappingAllocationPools", text));
        }
    }
    Ok(pools)
}

fn update(mut subnet: Subnet, request: SubnetUpdate, draw: &Draw<'_>) -> Result<Subnet, ApiError> {
    draw.touch(&mut subnet.common, request.name, request.description);
    subnet.gateway_ip = request.gateway_ip.unwrap_or(subnet.gateway_ip);
    check_gateway(subnet.cidr, subnet.gateway_ip)?;
    let pools = request.allocation_pools.unwrap_or(subnet.allocation_pools);
    subnet.allocation_pools = checked_pools(subnet.cidr, subnet.gateway_ip, pools)?;
    subnet.dns_nameservers = request.dns_nameservers.unwrap_or(subnet.dns_nameservers);
    subnet.host_routes = request.host_routes.unwrap_or(subnet.host_routes);
    subnet.enable_dhcp = request.enable_dhcp.unwrap_or(subnet.enable_dhcp);
    let family = Family::of(subnet.cidr.address());
    if let Some(other) = subnet
        .dns_nameservers
        .iter()
        .find(|server| Family::of(**server) != family)
    {
        return Err(ApiError::invalid_input(format!(
            "{other} is not of the IP version of {}",
            subnet.cidr
        )));
    }
    if family == Family::Ipv6 && !subnet.host_routes.is_empty() {
        return Err(ApiError::invalid(
            "host_routes",
            "guests can be told routes for IPv4 only",
        ));
    }
    Ok(subnet)
}

fn delete(
    mut draft: Draft<'_>,
    mirror: &Mirror,
    caller: &Caller,
    id: &str,
    draw: &Draw<'_>,
) -> Result<Proposal, ApiError> {
    let (id, subnet) = find(mirror, caller, id)?;
    let used = [users(Noun::Port, mirror.index().subnet_ports.of(&id))];
    refuse_if_used(Resource::Subnet, id.as_str(), used)?;
    draft.delete(Noun::Subnet, &id);
    draft.unrefer(keys::reference(Noun::Network, &subnet.network, Noun::Subnet, &id));
    draft.none_in(keys::addresses_of(&id));
    touch_network(&mut draft, &subnet.network, draw)?;
    draft.finish(Answer::deleted())
}
