//! Ports: where they belong, what they obey, and what is theirs alone.

use std::collections::BTreeSet;

use anet_api::resource::{PortCreate, PortStatus, PortUpdate, Requests, port_to_json};
use anet_api::{ApiError, Resource};
use anet_model::host_plan::{PortId, SecurityGroupId};
use anet_model::intent::{HostId, Network, Port, ProjectId};
use anet_model::limits;
use anet_packet::addr::Mac;

use super::super::keys::{self, Noun};
use super::super::mirror::Mirror;
use super::addresses;
use super::draft::Draft;
use super::{Answer, Asked, Caller, Draw, Proposal, id_of, network, read_project, security_group};

/// How often a MAC is drawn before it is given up: half of 24 bits would have to be taken for this to matter.
const ATTEMPTS: usize = 64;

/// Admits a request. `status` says how a port is, for the answer.
pub fn admit(
    mirror: &Mirror,
    caller: &Caller,
    asked: Asked<PortCreate, PortUpdate>,
    status: &dyn Fn(&PortId) -> PortStatus,
    draw: &mut Draw<'_>,
) -> Result<Proposal, ApiError> {
    let mut draft = Draft::new(mirror);
    match asked {
        Asked::Create(Requests::One(request)) => {
            let (id, port) = create(&mut draft, caller, request, draw)?;
            let object = port_to_json(&id, &port, PortStatus::Down);
            draft.finish(Answer::created(Resource::Port, caller, object))
        }
        Asked::Create(Requests::Many(requests)) => {
            let mut objects = Vec::new();
            for request in requests {
                let (id, port) = create(&mut draft, caller, request, draw)?;
                objects.push(port_to_json(&id, &port, PortStatus::Down));
            }
            draft.finish(Answer::created_many(Resource::Port, caller, objects))
        }
        Asked::Update(id, request) => {
            let (id, old) = find(mirror, caller, &id)?;
            let port = update(&mut draft, caller, &id, &old, request, draw)?;
            let object = port_to_json(&id, &port, status(&id));
            draft.finish(Answer::shown(Resource::Port, caller, object))
        }
        Asked::Delete(id) => {
            let (id, port) = find(mirror, caller, &id)?;
            draft.delete(Noun::Port, &id);
            release(&mut draft, &id, &port);
            draft.finish(Answer::deleted())
        }
    }
}

/// A port that the caller may see.
pub fn find(mirror: &Mirror, caller: &Caller, id: &str) -> Result<(PortId, Port), ApiError> {
    let id: PortId = id_of(Resource::Port, id)?;
    match mirror.intent().ports.get(&id) {
        Some(port) if caller.sees(&port.project) => Ok((id, port.clone())),
        _ => Err(ApiError::not_found(Resource::Port, id.as_str())),
    }
}

fn create(
    draft: &mut Draft<'_>,
    caller: &Caller,
    request: PortCreate,
    draw: &mut Draw<'_>,
) -> Result<(PortId, Port), ApiError> {
    let mirror = draft.mirror();
    let (network_id, network) = network::find(mirror, caller, request.network_id.as_str())?;
    draft.read(Noun::Network, &network_id);
    let project = owner(caller, request.project_id.as_ref(), &network)?;
    read_project(draft, mirror, &project)?;
    let id: PortId = draw.id();
    let security_groups = match request.security_groups {
        Some(groups) => groups,
        None if request.port_security_enabled => default_group(mirror, &project),
        None => BTreeSet::new(),
    };
    let mac = match request.mac_address {
        Some(mac) => mac,
        None => free_mac(draft, &network_id, draw)?,
    };
    let fixed_ips = addresses::resolve(draft, &network_id, request.fixed_ips, &[])?;
    let port = Port {
        common: draw.common(request.name, request.description),
        project,
        network: network_id,
        mac,
        fixed_ips,
        security_groups,
        port_security_enabled: request.port_security_enabled,
        allowed_address_pairs: request.allowed_address_pairs,
        admin_state_up: request.admin_state_up,
        device_id: request.device_id,
        device_owner: request.device_owner,
        dns_name: request.dns_name,
        host: request.host_id,
    };
    check(draft, caller, &port)?;
    claim(draft, &network, &id, &port)?;
    draft.put(Noun::Port, &id, &port)?;
    Ok((id, port))
}

/// An administrator who names no project makes a port for the network's.
fn owner(caller: &Caller, asked: Option<&ProjectId>, network: &Network) -> Result<ProjectId, ApiError> {
    match asked {
        None if caller.admin => Ok(network.project.clone()),
        asked => caller.owner(asked),
    }
}

fn default_group(mirror: &Mirror, project: &ProjectId) -> BTreeSet<SecurityGroupId> {
    security_group::default_of(mirror, project).into_iter().collect()
}

fn free_mac(
    draft: &Draft<'_>,
    network: &anet_model::host_plan::NetworkId,
    draw: &mut Draw<'_>,
) -> Result<Mac, ApiError> {
    for _ in 0..ATTEMPTS {
        let [a, b, c, ..] = (draw.random)().to_be_bytes();
        let mac = Mac([0xfa, 0x16, 0x3e, a, b, c]);
        if !draft.mirror().index().has_mac(network, mac) && !draft.takes_mac(network, mac) {
            return Ok(mac);
        }
    }
    let text = format!(
        "Unable to complete operation for network {network}: no free MAC address was found, give a mac_address."
    );
    Err(ApiError::new(503, "MacAddressGenerationFailure", text))
}

/// Takes what is the port's alone, and marks what it needs.
fn claim(draft: &mut Draft<'_>, network: &Network, id: &PortId, port: &Port) -> Result<(), ApiError> {
    let key = keys::mac(&port.network, port.mac);
    let given_up = draft.gives_up(&key);
    if draft.takes_mac(&port.network, port.mac)
        || (draft.mirror().index().has_mac(&port.network, port.mac) && !given_up)
    {
        return Err(ApiError::mac_in_use(port.network.as_str(), port.mac));
    }
    draft.take(key, id);
    for fixed in &port.fixed_ips {
        draft.take(keys::address(&fixed.subnet, fixed.address), id);
        draft.read(Noun::Subnet, &fixed.subnet);
    }
    if port.project != network.project {
        draft.refer(keys::reference(Noun::Project, &port.project, Noun::Port, id));
    }
    for group in &port.security_groups {
        draft.refer(keys::reference(Noun::SecurityGroup, group, Noun::Port, id));
        draft.read(Noun::SecurityGroup, group);
    }
    if let Some(host) = &port.host {
        draft.refer(keys::reference(Noun::Host, host, Noun::Port, id));
        draft.read(Noun::Host, host);
    }
    Ok(())
}

/// Gives up all that [`claim`] took.
fn release(draft: &mut Draft<'_>, id: &PortId, port: &Port) {
    draft.give_up(keys::mac(&port.network, port.mac));
    for fixed in &port.fixed_ips {
        draft.give_up(keys::address(&fixed.subnet, fixed.address));
    }
    let network = draft.mirror().intent().networks.get(&port.network);
    if network.is_none_or(|network| network.project != port.project) {
        draft.unrefer(keys::reference(Noun::Project, &port.project, Noun::Port, id));
    }
    for group in &port.security_groups {
        draft.unrefer(keys::reference(Noun::SecurityGroup, group, Noun::Port, id));
    }
    if let Some(host) = &port.host {
        draft.unrefer(keys::reference(Noun::Host, host, Noun::Port, id));
    }
}

/// What a port has to be like, whether it is new or changed.
fn check(draft: &mut Draft<'_>, caller: &Caller, port: &Port) -> Result<(), ApiError> {
    let mirror = draft.mirror();
    for group in &port.security_groups {
        security_group::find(mirror, caller, group.as_str())?;
    }
    if !port.port_security_enabled && !port.security_groups.is_empty() {
        let text = "Port has security groups: they need port_security_enabled, so give an empty list of security_groups with it.";
        return Err(ApiError::conflict("PortSecurityPortHasSecurityGroup", text));
    }
    if !port.port_security_enabled && !port.allowed_address_pairs.is_empty() {
        let text = "Port security must be enabled in order to have allowed address pairs on a port.";
        return Err(ApiError::conflict("AddressPairAndPortSecurityRequired", text));
    }
    let rules: usize = port
        .security_groups
        .iter()
        .map(|group| mirror.index().group_rules.count(group))
        .sum();
    if rules > limits::RULES_PER_PORT {
        let text = format!(
            "Quota exceeded: the security groups of a port have {rules} rules together, at most {} are allowed.",
            limits::RULES_PER_PORT
        );
        return Err(ApiError::conflict("OverQuota", text));
    }
    security_group::check_sets(mirror, &port.security_groups, &[])?;
    match &port.host {
        Some(host) => check_host(mirror, host),
        None => Ok(()),
    }
}

fn check_host(mirror: &Mirror, host: &HostId) -> Result<(), ApiError> {
    if !mirror.intent().hosts.contains_key(host) {
        return Err(ApiError::not_found(Resource::Host, host.as_str()));
    }
    if mirror.index().host_ports.count(host) >= limits::PORTS {
        let text = format!(
            "Quota exceeded: host {host} has {} ports already, bind the port elsewhere.",
            limits::PORTS
        );
        return Err(ApiError::conflict("OverQuota", text));
    }
    Ok(())
}

fn update(
    draft: &mut Draft<'_>,
    caller: &Caller,
    id: &PortId,
    old: &Port,
    request: PortUpdate,
    draw: &mut Draw<'_>,
) -> Result<Port, ApiError> {
    let network = draft.mirror().intent().networks.get(&old.network).cloned();
    let network = network.ok_or_else(|| ApiError::not_found(Resource::Network, old.network.as_str()))?;
    draft.read(Noun::Network, &old.network);
    release(draft, id, old);
    let mut port = old.clone();
    draw.touch(&mut port.common, request.name, request.description);
    if let Some(asked) = request.fixed_ips {
        port.fixed_ips = addresses::resolve(draft, &old.network, Some(asked), &old.fixed_ips)?;
    }
    port.mac = request.mac_address.unwrap_or(port.mac);
    port.port_security_enabled = request
        .port_security_enabled
        .unwrap_or(port.port_security_enabled);
    port.security_groups = request.security_groups.unwrap_or(port.security_groups);
    port.allowed_address_pairs = request
        .allowed_address_pairs
        .unwrap_or(port.allowed_address_pairs);
    port.admin_state_up = request.admin_state_up.unwrap_or(port.admin_state_up);
    port.device_id = request.device_id.unwrap_or(port.device_id);
    port.device_owner = request.device_owner.unwrap_or(port.device_owner);
    port.dns_name = request.dns_name.unwrap_or(port.dns_name);
    port.host = request.host_id.unwrap_or(port.host);
    if port.host != old.host
        || port.security_groups != old.security_groups
        || port.port_security_enabled != old.port_security_enabled
        || port.allowed_address_pairs != old.allowed_address_pairs
    {
        check(draft, caller, &port)?;
    }
    claim(draft, &network, id, &port)?;
    draft.put(Noun::Port, id, &port)?;
    Ok(port)
}
