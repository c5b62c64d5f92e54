//! Users: requests by chance, as JSON bodies of the API, about what a controller's mirror has.

use anet_api::resource::{Request, request, request_one};
use anet_api::{ApiError, Resource, Role};
use anet_controller::core::admit::{
    Answer, Asked, Caller, Draw, Proposal, draft::Draft, foreign_endpoint, network, port, project, rule,
    security_group, subnet,
};
use anet_controller::core::fabric::Fabric;
use anet_controller::core::keys::Noun;
use anet_model::id::Id;
use anet_model::intent::{Common, Host, Intent, Subnet};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::conversation::Conversation;

/// Something that a user asks for.
#[derive(Debug, Clone)]
pub enum Wish {
    /// Make one.
    Create(Resource, Value),
    /// Change one.
    Update(Resource, String, Value),
    /// Delete one.
    Delete(Resource, String),
    /// A host joins.
    Join(String, std::net::IpAddr),
}

/// Addresses that guests may be given: few, so that there are races for the last one.
const RANGES: [&str; 3] = ["10.0.0.0/28", "10.0.1.0/29", "fd00:0:0:1::/64"];

impl Wish {
    /// One by chance, about a fabric as it is seen.
    pub fn draw(chance: &mut Chance, intent: &Intent) -> Option<Self> {
        let project = id(chance, intent.projects.keys())?;
        let admin = json!(project);
        Some(match chance.below(22) {
            0 => Wish::Create(
                Resource::Network,
                json!({"network": {"name": "n", "project_id": admin}}),
            ),
            1 => Self::subnet(chance, intent)?,
            2 => Wish::Create(
                Resource::SecurityGroup,
                json!({"security_group": {"name": "g", "project_id": admin}}),
            ),
            3..=5 => Self::rule(chance, intent)?,
            6..=10 => Self::port(chance, intent)?,
            11 | 12 => Self::update(chance, intent)?,
            13 | 14 => Wish::Delete(Resource::Port, id(chance, intent.ports.keys())?),
            15 | 16 => Wish::Delete(Resource::SecurityGroupRule, id(chance, intent.rules.keys())?),
            17 => Wish::Delete(
                Resource::SecurityGroup,
                id(chance, intent.security_groups.keys())?,
            ),
            18 => Self::foreign(chance, intent)?,
            19 | 20 => Self::twin(chance, intent)?,
            _ => match chance.below(3) {
                0 => Wish::Delete(Resource::Network, id(chance, intent.networks.keys())?),
                1 => Wish::Delete(Resource::Subnet, id(chance, intent.subnets.keys())?),
                _ => Wish::Delete(
                    Resource::ForeignEndpoint,
                    id(chance, intent.foreign_endpoints.keys())?,
                ),
            },
        })
    }

    fn subnet(chance: &mut Chance, intent: &Intent) -> Option<Self> {
        let network = id(chance, intent.networks.keys())?;
        let cidr = chance.pick(&RANGES)?;
        let mut body = json!({"network_id": network, "cidr": cidr, "ip_version": if cidr.contains(':') { 6 } else { 4 }});
        if cidr.contains(':') {
            body["enable_dhcp"] = json!(false);
        }
        Some(Wish::Create(Resource::Subnet, json!({ "subnet": body })))
    }

    fn rule(chance: &mut Chance, intent: &Intent) -> Option<Self> {
        let group = id(chance, intent.security_groups.keys())?;
        let mut body = json!({"security_group_id": group, "direction": "ingress", "ethertype": "IPv4"});
        match chance.below(4) {
            0 => body["direction"] = json!("egress"),
            1 => body["remote_group_id"] = json!(id(chance, intent.security_groups.keys())?),
            2 => body["remote_ip_prefix"] = json!("10.0.0.0/29"),
            _ => {}
        }
        if chance.per_thousand(600) {
            body["protocol"] = json!(if chance.per_thousand(700) { "tcp" } else { "udp" });
            body["port_range_min"] = json!(80);
            body["port_range_max"] = json!(80);
        }
        if chance.per_thousand(100) {
            body["ethertype"] = json!("IPv6");
            body["remote_ip_prefix"] = json!(null);
        }
        Some(Wish::Create(
            Resource::SecurityGroupRule,
            json!({ "security_group_rule": body }),
        ))
    }

    fn port(chance: &mut Chance, intent: &Intent) -> Option<Self> {
        let network = id(chance, intent.networks.keys())?;
        let mut body = json!({"network_id": network});
        if chance.per_thousand(850) {
            body["binding:host_id"] = json!(id(chance, intent.hosts.keys())?);
        }
        // The others get their project's default group.
        if chance.per_thousand(500) {
            let groups = (0..chance.below(3)).filter_map(|_| id(chance, intent.security_groups.keys()));
            let groups: Vec<String> = groups.collect();
            body["security_groups"] = json!(groups);
        }
        if chance.per_thousand(300) {
            body["mac_address"] = json!(format!("fa:16:3e:00:00:{:02x}", chance.below(6)));
        }
        if chance.per_thousand(300)
            && let Some(subnet) = intent
                .subnets
                .iter()
                .find(|(_, subnet)| subnet.network.as_str() == network)
        {
            let address = format!("10.0.0.{}", 2 + chance.below(6));
            body["fixed_ips"] = json!([{"subnet_id": subnet.0, "ip_address": address}]);
        }
        Some(Wish::Create(Resource::Port, json!({ "port": body })))
    }

    /// In another network, a port with the MAC and the address of one that there is.
    fn twin(chance: &mut Chance, intent: &Intent) -> Option<Self> {
        let port = &intent.ports[&Id::new(&id(chance, intent.ports.keys())?).ok()?];
        let address = port
            .fixed_ips
            .iter()
            .find(|fixed| fixed.address.is_ipv4())?
            .address;
        let elsewhere =
            |(_, subnet): &(&Id<_>, &Subnet)| subnet.network != port.network && subnet.cidr.contains(address);
        let subnets: Vec<_> = intent.subnets.iter().filter(elsewhere).collect();
        let (subnet, of) = chance.pick(&subnets)?;
        let body = json!({
            "network_id": of.network.to_string(),
            "project_id": of.project.to_string(),
            "mac_address": port.mac.to_string(),
            "fixed_ips": [{"subnet_id": subnet.to_string(), "ip_address": address}],
            "binding:host_id": id(chance, intent.hosts.keys())?,
            "security_groups": port.security_groups.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        Some(Wish::Create(Resource::Port, json!({ "port": body })))
    }

    /// One that may concern what two guests are speaking: a rule goes that lets them, one of them moves, loses its groups, goes down
    /// or goes, or its network goes down.
    pub fn against(chance: &mut Chance, intent: &Intent, of: &Conversation) -> Option<Self> {
        let side = [&of.client, &of.server][chance.below(2)];
        let port = intent.ports.get(&side.id)?;
        let (id, network) = (side.id.to_string(), port.network.to_string());
        let update = |body| Some(Wish::Update(Resource::Port, id.clone(), json!({ "port": body })));
        match chance.below(10) {
            0..=3 => {
                let theirs = intent.rules.iter();
                let theirs = theirs.filter(|(_, rule)| port.security_groups.contains(&rule.security_group));
                let rules: Vec<String> = theirs.map(|(id, _)| id.to_string()).collect();
                let rule = chance.pick(&rules)?.clone();
                Some(Wish::Delete(Resource::SecurityGroupRule, rule))
            }
            4 | 5 => update(json!({"binding:host_id": self::id(chance, intent.hosts.keys())?})),
            6 | 7 => {
                let mut groups: Vec<String> = port.security_groups.iter().map(ToString::to_string).collect();
                groups.pop();
                update(json!({ "security_groups": groups }))
            }
            8 => update(json!({"admin_state_up": !port.admin_state_up})),
            _ => match chance.below(5) {
                0 => Some(Wish::Delete(Resource::Port, id)),
                up => {
                    let body = json!({"network": {"admin_state_up": up > 1}});
                    Some(Wish::Update(Resource::Network, network, body))
                }
            },
        }
    }

    fn update(chance: &mut Chance, intent: &Intent) -> Option<Self> {
        if chance.per_thousand(150) {
            let network = id(chance, intent.networks.keys())?;
            let body = json!({"network": {"admin_state_up": chance.per_thousand(800)}});
            return Some(Wish::Update(Resource::Network, network, body));
        }
        let port = id(chance, intent.ports.keys())?;
        let body = match chance.below(3) {
            0 => json!({"binding:host_id": id(chance, intent.hosts.keys())?}),
            1 => json!({"security_groups": [id(chance, intent.security_groups.keys())?]}),
            _ => json!({"admin_state_up": chance.per_thousand(700)}),
        };
        Some(Wish::Update(Resource::Port, port, json!({ "port": body })))
    }

    fn foreign(chance: &mut Chance, intent: &Intent) -> Option<Self> {
        let network = id(chance, intent.networks.keys())?;
        let number = chance.below(3);
        let station = json!({"mac_address": format!("02:00:00:00:00:{number:02x}"), "ip_addresses": []});
        let body = json!({
            "network_id": network, "ip_address": format!("192.0.2.{}", 100 + number), "stations": [station]
        });
        Some(Wish::Create(
            Resource::ForeignEndpoint,
            json!({ "foreign_endpoint": body }),
        ))
    }

    /// What it comes to, on a controller's state.
    pub fn propose(&self, fabric: &Fabric, draw: &mut Draw<'_>) -> Result<Proposal, ApiError> {
        let mirror = fabric.mirror();
        let caller = &Caller {
            project: None,
            admin: true,
        };
        let status = |id: &Id<_>| fabric.port_status(id);
        match self {
            Wish::Join(name, address) => join(mirror, name, *address),
            Wish::Create(resource, body) => match resource {
                Resource::Project => project::admit(mirror, caller, made(body)?, draw),
                Resource::Network => network::admit(mirror, caller, made(body)?, draw),
                Resource::Subnet => subnet::admit(mirror, caller, made(body)?, draw),
                Resource::Port => port::admit(mirror, caller, made(body)?, &status, draw),
                Resource::SecurityGroup => security_group::admit(mirror, caller, made(body)?, draw),
                Resource::SecurityGroupRule => rule::admit(mirror, caller, made(body)?, draw),
                _ => foreign_endpoint::admit(mirror, caller, made(body)?, draw),
            },
            Wish::Update(resource, id, body) => match resource {
                Resource::Network => network::admit(mirror, caller, changed(id, body)?, draw),
                _ => port::admit(mirror, caller, changed(id, body)?, &status, draw),
            },
            Wish::Delete(resource, id) => {
                let id = id.clone();
                match resource {
                    Resource::Network => network::admit(mirror, caller, Asked::Delete(id), draw),
                    Resource::Subnet => subnet::admit(mirror, caller, Asked::Delete(id), draw),
                    Resource::Port => port::admit(mirror, caller, Asked::Delete(id), &status, draw),
                    Resource::SecurityGroup => security_group::admit(mirror, caller, Asked::Delete(id), draw),
                    Resource::SecurityGroupRule => rule::admit(mirror, caller, Asked::Delete(id), draw),
                    _ => foreign_endpoint::admit(mirror, caller, Asked::Delete(id), draw),
                }
            }
        }
    }

    /// The object that an answer says was made.
    pub fn made(&self, answer: &Answer) -> Option<(Noun, String)> {
        let Wish::Create(resource, _) = self else {
            return None;
        };
        let id = answer.body.get(resource.singular())?.get("id")?.as_str()?;
        let noun = match resource {
            Resource::Project => Noun::Project,
            Resource::Network => Noun::Network,
            Resource::Subnet => Noun::Subnet,
            Resource::Port => Noun::Port,
            Resource::SecurityGroup => Noun::SecurityGroup,
            Resource::SecurityGroupRule => Noun::Rule,
            Resource::ForeignEndpoint => Noun::ForeignEndpoint,
            Resource::Host => Noun::Host,
        };
        Some((noun, id.to_owned()))
    }
}

/// A host's record, as joining writes it.
fn join(
    mirror: &anet_controller::core::mirror::Mirror,
    name: &str,
    address: std::net::IpAddr,
) -> Result<Proposal, ApiError> {
    let host = Host {
        common: Common {
            name: name.to_owned(),
            ..Common::default()
        },
        tunnel_address: Some(address),
        tunnel_port: 4789,
        identity: name.to_owned(),
    };
    let id: Id<Host> = Id::new(name).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let mut draft = Draft::new(mirror);
    draft.put(Noun::Host, &id, &host)?;
    draft.finish(Answer::deleted())
}

fn made<C: Request, U>(body: &Value) -> Result<Asked<C, U>, ApiError> {
    Ok(Asked::Create(request(Role::Admin, body.to_string().as_bytes())?))
}

fn changed<C, U: Request>(id: &str, body: &Value) -> Result<Asked<C, U>, ApiError> {
    Ok(Asked::Update(
        id.to_owned(),
        request_one(Role::Admin, body.to_string().as_bytes())?,
    ))
}

fn id<'a, N: 'a>(chance: &mut Chance, ids: impl Iterator<Item = &'a Id<N>>) -> Option<String> {
    let ids: Vec<&Id<N>> = ids.collect();
    chance.pick(&ids).map(|id| id.to_string())
}
