//! Networks, and the segments they are carried in.

use anet_api::resource::{NetworkCreate, NetworkUpdate, Requests, network_to_json};
use anet_api::{ApiError, Resource};
use anet_model::host_plan::{NetworkId, SubnetId};
use anet_model::intent::Network;
use anet_packet::addr::{Mtu, Vni};
use serde_json::{Map, Value};

use super::super::keys::{self, Noun};
use super::super::mirror::Mirror;
use super::draft::Draft;
use super::{Answer, Asked, Caller, Draw, Proposal, id_of, legal, read_project, refuse_if_used, users};

/// How often a random segment is tried before the lowest free one is taken.
const ATTEMPTS: usize = 8;

/// Admits a request.
pub fn admit(
    mirror: &Mirror,
    caller: &Caller,
    asked: Asked<NetworkCreate, NetworkUpdate>,
    draw: &mut Draw<'_>,
) -> Result<Proposal, ApiError> {
    let mut draft = Draft::new(mirror);
    match asked {
        Asked::Create(Requests::One(request)) => {
            let (id, network) = create(&mut draft, mirror, caller, request, draw)?;
            let object = network_to_json(&id, &network, &[]);
            draft.finish(Answer::created(Resource::Network, caller, object))
        }
        Asked::Create(Requests::Many(requests)) => {
            let mut objects = Vec::new();
            for request in requests {
                let (id, network) = create(&mut draft, mirror, caller, request, draw)?;
                objects.push(network_to_json(&id, &network, &[]));
            }
            draft.finish(Answer::created_many(Resource::Network, caller, objects))
        }
        Asked::Update(id, request) => {
            let (id, mut network) = find(mirror, caller, &id)?;
            draw.touch(&mut network.common, request.name, request.description);
            network.admin_state_up = request.admin_state_up.unwrap_or(network.admin_state_up);
            if let Some(mtu) = request.mtu {
                network.mtu = mtu;
                let subnets = mirror.index().network_subnets.of(&id);
                let subnets = subnets.filter_map(|id| Some((id, mirror.intent().subnets.get(id)?)));
                legal::check_mtu(&network, subnets)?;
            }
            draft.put(Noun::Network, &id, &network)?;
            draft.finish(Answer::shown(
                Resource::Network,
                caller,
                show(mirror, &id, &network),
            ))
        }
        Asked::Delete(id) => delete(draft, mirror, caller, &id),
    }
}

/// A network as clients see it.
pub fn show(mirror: &Mirror, id: &NetworkId, network: &Network) -> Map<String, Value> {
    let subnets: Vec<SubnetId> = mirror.index().network_subnets.of(id).cloned().collect();
    network_to_json(id, network, &subnets)
}

/// A network that the caller may see.
pub fn find(mirror: &Mirror, caller: &Caller, id: &str) -> Result<(NetworkId, Network), ApiError> {
    let id: NetworkId = id_of(Resource::Network, id)?;
    match mirror.intent().networks.get(&id) {
        Some(network) if caller.sees(&network.project) => Ok((id, network.clone())),
        _ => Err(ApiError::not_found(Resource::Network, id.as_str())),
    }
}

fn create(
    draft: &mut Draft<'_>,
    mirror: &Mirror,
    caller: &Caller,
    request: NetworkCreate,
    draw: &mut Draw<'_>,
) -> Result<(NetworkId, Network), ApiError> {
    let project = caller.owner(request.project_id.as_ref())?;
    read_project(draft, mirror, &project)?;
    let id: NetworkId = draw.id();
    let vni = match request.segmentation_id {
        Some(vni) if is_taken(draft, mirror, vni) => return Err(ApiError::segment_in_use(vni.get())),
        Some(vni) => vni,
        None => free_segment(draft, mirror, draw)?,
    };
    let network = Network {
        common: draw.common(request.name, request.description),
        project,
        vni,
        mtu: request.mtu.unwrap_or(Mtu::VXLAN_IPV4),
        admin_state_up: request.admin_state_up,
    };
    draft.put(Noun::Network, &id, &network)?;
    draft.take(keys::vni(vni), &id);
    draft.refer(keys::reference(
        Noun::Project,
        &network.project,
        Noun::Network,
        &id,
    ));
    Ok((id, network))
}

fn is_taken(draft: &Draft<'_>, mirror: &Mirror, vni: Vni) -> bool {
    mirror.index().vnis.contains_key(&vni.get()) || draft.puts_key(&keys::vni(vni))
}

/// A random segment, so that one that was given up is not soon another's; the lowest free one where few are left.
fn free_segment(draft: &Draft<'_>, mirror: &Mirror, draw: &mut Draw<'_>) -> Result<Vni, ApiError> {
    let (first, last) = (draw.vnis.0.get(), draw.vnis.1.get());
    let count = u64::from(last.saturating_sub(first)) + 1;
    for _ in 0..ATTEMPTS {
        let offset = u32::try_from((draw.random)() % count).unwrap_or_default();
        if let Ok(vni) = Vni::new(first + offset)
            && !is_taken(draft, mirror, vni)
        {
            return Ok(vni);
        }
    }
    let mut from = draw.vnis.0;
    while let Some(vni) = mirror.index().free_vni(from, draw.vnis.1) {
        if !draft.puts_key(&keys::vni(vni)) {
            return Ok(vni);
        }
        match Vni::new(vni.get() + 1) {
            Ok(next) if next <= draw.vnis.1 => from = next,
            _ => break,
        }
    }
    let text = format!(
        "Unable to create the network. All VXLAN segments from {first} to {last} are in use: delete a network, ask for a \
         provider:segmentation_id outside of them, or start the controller with a larger --vni-range."
    );
    Err(ApiError::new(503, "NoNetworkAvailable", text))
}

/// Its subnets go with it, as in Neutron, where nobody has an address of them.
fn delete(mut draft: Draft<'_>, mirror: &Mirror, caller: &Caller, id: &str) -> Result<Proposal, ApiError> {
    let (id, network) = find(mirror, caller, id)?;
    let index = mirror.index();
    let used = [
        users(Noun::Port, index.network_ports.of(&id)),
        users(Noun::ForeignEndpoint, index.network_foreign.of(&id)),
    ];
    if used.iter().any(Option::is_some) {
        let subnets = users(Noun::Subnet, index.network_subnets.of(&id));
        refuse_if_used(Resource::Network, id.as_str(), used.into_iter().chain([subnets]))?;
    }
    // Whoever makes a subnet or a foreign endpoint puts the network too, so that none has come since.
    for subnet in index.network_subnets.of(&id) {
        draft.delete(Noun::Subnet, subnet);
    }
    draft.delete_range(keys::references(Noun::Network, &id));
    draft.delete(Noun::Network, &id);
    draft.give_up(keys::vni(network.vni));
    draft.unrefer(keys::reference(
        Noun::Project,
        &network.project,
        Noun::Network,
        &id,
    ));
    draft.none_in(keys::macs_of(&id));
    draft.finish(Answer::deleted())
}
