//! Which addresses a port gets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anet_api::ApiError;
use anet_api::resource::FixedIpRequest;
use anet_model::host_plan::{Family, NetworkId, SubnetId};
use anet_model::intent::{FixedIp, ForeignEndpointId, Subnet};

use super::super::intervals::{address, number};
use super::super::keys::Noun;
use super::super::mirror::Mirror;
use super::draft::Draft;
use super::foreign_endpoint::station_addresses;
use super::legal;
use super::subnet::usable;

/// The addresses of a network's foreign stations, and whose they are.
type Foreign = BTreeMap<IpAddr, ForeignEndpointId>;

/// The addresses of a port: those that were asked for, or, where nothing was said, one of each family that the network has
/// subnets of. `own` are those that the port has now, and that the draft has given up.
pub fn resolve(
    draft: &mut Draft<'_>,
    network: &NetworkId,
    asked: Option<Vec<FixedIpRequest>>,
    own: &[FixedIp],
) -> Result<Vec<FixedIp>, ApiError> {
    let mut chosen = Vec::new();
    let foreign = station_addresses(draft.mirror(), network, None);
    let Some(asked) = asked else {
        for family in [Family::Ipv4, Family::Ipv6] {
            chosen.extend(any_of_family(draft, network, family, &foreign)?);
        }
        return Ok(chosen);
    };
    // Those with an address come first, so that none of them is given to one without.
    let (certain, open): (Vec<_>, Vec<_>) = asked.into_iter().partition(|one| one.ip_address.is_some());
    for request in certain.into_iter().chain(open) {
        let one = match (request.subnet_id, request.ip_address) {
            (Some(subnet), Some(ip)) => certain_of_subnet(draft, network, subnet, ip, &foreign)?,
            (None, Some(ip)) => {
                let subnet = subnet_around(draft, network, ip)?;
                certain_of_subnet(draft, network, subnet, ip, &foreign)?
            }
            (Some(subnet), None) => any_of_subnet(draft, network, subnet, own, &chosen, &foreign)?,
            (None, None) => {
                return Err(ApiError::invalid(
                    "fixed_ips",
                    "a subnet_id, an ip_address or both are needed",
                ));
            }
        };
        if chosen.contains(&one) {
            let text = format!("{} is asked for twice", one.address);
            return Err(ApiError::invalid("fixed_ips", text));
        }
        chosen.push(one);
    }
    Ok(chosen)
}

fn subnet_of<'a>(draft: &Draft<'a>, network: &NetworkId, id: &SubnetId) -> Result<&'a Subnet, ApiError> {
    let subnet = draft.mirror().intent().subnets.get(id);
    subnet.filter(|subnet| subnet.network == *network).ok_or_else(|| {
        ApiError::invalid_input(format!(
            "failed to create port on network {network}, because fixed_ips included invalid subnet {id}: expected a subnet of that network"
        ))
    })
}

fn subnet_around(draft: &Draft<'_>, network: &NetworkId, ip: IpAddr) -> Result<SubnetId, ApiError> {
    let mirror = draft.mirror();
    let mut ids = mirror.index().network_subnets.of(network);
    let around = |id: &&SubnetId| {
        let subnet = mirror.intent().subnets.get(*id);
        subnet.is_some_and(|subnet| subnet.cidr.contains(ip))
    };
    ids.find(around).cloned().ok_or_else(|| {
        let text = format!(
            "IP address {ip} is not a valid IP for any of the subnets on the specified network {network}: expected an ip_address in \
             fixed_ips out of {}.",
            ranges(mirror, network)
        );
        ApiError::new(400, "InvalidIpForNetwork", text)
    })
}

/// The ranges of a network's subnets, the first few.
fn ranges(mirror: &Mirror, network: &NetworkId) -> String {
    const NAMED: usize = 8;
    let ids = mirror.index().network_subnets.of(network);
    let subnets = ids.filter_map(|id| mirror.intent().subnets.get(id));
    let ranges: Vec<String> = subnets.map(|subnet| subnet.cidr.to_string()).collect();
    match ranges.len() {
        0 => "a subnet, of which it has none".to_owned(),
        1..=NAMED => ranges.join(", "),
        _ => format!("{} and others", ranges[..NAMED].join(", ")),
    }
}

fn certain_of_subnet(
    draft: &Draft<'_>,
    network: &NetworkId,
    id: SubnetId,
    ip: IpAddr,
    foreign: &Foreign,
) -> Result<FixedIp, ApiError> {
    let subnet = subnet_of(draft, network, &id)?;
    let (first, last) = usable(subnet.cidr);
    if Family::of(ip) != Family::of(first) || ip < first || ip > last {
        let text = format!(
            "IP address {ip} is not a valid IP for the specified subnet {id} ({}): expected one from {first} to {last}.",
            subnet.cidr
        );
        return Err(ApiError::new(400, "InvalidIpForSubnet", text));
    }
    legal::check_station_address("fixed_ips", ip)?;
    let taken = draft.mirror().index().has_address(&id, ip) && !draft.gives_up_address(&id, ip);
    if taken || foreign.contains_key(&ip) || draft.takes_address(&id, ip) {
        return Err(ApiError::address_in_use(network.as_str(), "fixed_ips", ip));
    }
    Ok(FixedIp {
        subnet: id,
        address: ip,
    })
}

fn any_of_subnet(
    draft: &Draft<'_>,
    network: &NetworkId,
    id: SubnetId,
    own: &[FixedIp],
    chosen: &[FixedIp],
    foreign: &Foreign,
) -> Result<FixedIp, ApiError> {
    let subnet = subnet_of(draft, network, &id)?;
    let kept = own
        .iter()
        .find(|fixed| fixed.subnet == id && !chosen.contains(fixed));
    if let Some(kept) = kept {
        return Ok(kept.clone());
    }
    let free = lowest_free(draft, &id, subnet, chosen, foreign);
    let address = free.ok_or_else(|| ApiError::no_more_addresses(network.as_str()))?;
    Ok(FixedIp { subnet: id, address })
}

/// One address of a family; none where the network has no subnet of it.
fn any_of_family(
    draft: &mut Draft<'_>,
    network: &NetworkId,
    family: Family,
    foreign: &Foreign,
) -> Result<Option<FixedIp>, ApiError> {
    let mirror = draft.mirror();
    let mut full = false;
    for id in mirror.index().network_subnets.of(network) {
        let subnet = mirror.intent().subnets.get(id);
        let Some(subnet) = subnet.filter(|subnet| Family::of(subnet.cidr.address()) == family) else {
            continue;
        };
        if let Some(address) = lowest_free(draft, id, subnet, &[], foreign) {
            return Ok(Some(FixedIp {
                subnet: id.clone(),
                address,
            }));
        }
        full = true;
        draft.read(Noun::Subnet, id);
    }
    match full {
        true => Err(ApiError::no_more_addresses(network.as_str())),
        false => Ok(None),
    }
}

fn lowest_free(
    draft: &Draft<'_>,
    id: &SubnetId,
    subnet: &Subnet,
    chosen: &[FixedIp],
    foreign: &Foreign,
) -> Option<IpAddr> {
    let like = subnet.cidr.address();
    let used = draft.mirror().index().addresses.get(id);
    let taken = |ip| {
        let mine = chosen
            .iter()
            .any(|fixed| fixed.subnet == *id && fixed.address == ip);
        mine || foreign.contains_key(&ip) || draft.takes_address(id, ip)
    };
    subnet.allocation_pools.iter().find_map(|(first, last)| {
        let (mut from, last) = (number(*first), number(*last));
        loop {
            let free = match used {
                Some(used) => used.lowest_free(from, last)?,
                None if from <= last => from,
                None => return None,
            };
            match address(free, like) {
                ip if taken(ip) => from = free.checked_add(1)?,
                ip => return Some(ip),
            }
        }
    })
}
