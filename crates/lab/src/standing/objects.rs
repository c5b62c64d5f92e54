//! What a description asks of the controller: projects with their networks, groups and ports, made through its API.

use std::collections::BTreeMap;

use anet_api::resource::Resource;
use serde_json::{Map, Value, json};

use super::daemon::go_on;
use super::rest::Rest;
use super::state::GuestState;
use crate::LabError;
use crate::description::{
    Description, Group, Guest, Network, Project, Rule, RuleDirection, RuleFamily, Subnet,
};

/// Ids of a project's objects, by their names in the description.
#[derive(Debug, Default)]
struct Made {
    project: String,
    networks: BTreeMap<String, String>,
    subnets: BTreeMap<String, Vec<(String, Subnet)>>,
    groups: BTreeMap<String, String>,
}

/// Makes all objects of a description; the guests' ports by the guests' names.
pub(super) fn create(rest: &Rest, lab: &Description) -> Result<BTreeMap<String, GuestState>, LabError> {
    let mut guests = BTreeMap::new();
    for (name, project) in lab.projects.iter() {
        let made = create_project(rest, name, project, lab.underlay.room())?;
        for (guest, said) in project.guests.iter() {
            go_on()?;
            let port = rest.create(Resource::Port, port_of(guest, said, &made))?;
            guests.insert(guest.to_owned(), guest_state(&port, &said.host)?);
        }
    }
    Ok(guests)
}

/// `room` is the MTU of networks that ask for none.
fn create_project(rest: &Rest, name: &str, project: &Project, room: u16) -> Result<Made, LabError> {
    go_on()?;
    let mut made = Made {
        project: id_of(&rest.create(Resource::Project, json!({"name": name}))?)?,
        ..Made::default()
    };
    for group in project.security_groups.names() {
        let body = json!({"name": group, "project_id": made.project});
        made.groups.insert(
            group.to_owned(),
            id_of(&rest.create(Resource::SecurityGroup, body)?)?,
        );
    }
    for (group, said) in project.security_groups.iter() {
        for body in rules_of(group, said, &made) {
            rest.create_unless_there(Resource::SecurityGroupRule, body)?;
        }
    }
    for (network, said) in project.networks.iter() {
        let id = id_of(&rest.create(Resource::Network, network_of(network, said, &made.project, room))?)?;
        made.networks.insert(network.to_owned(), id.clone());
        for (subnet, said) in said.subnets.iter() {
            let body = subnet_of(subnet, said, &id, &made.project);
            let subnet = id_of(&rest.create(Resource::Subnet, body)?)?;
            made.subnets
                .entry(network.to_owned())
                .or_default()
                .push((subnet, said.clone()));
        }
    }
    Ok(made)
}

fn network_of(name: &str, said: &Network, project: &str, room: u16) -> Value {
    let mut body = Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("project_id".to_owned(), json!(project)),
        ("mtu".to_owned(), json!(said.mtu.unwrap_or(room))),
    ]);
    if let Some(vni) = said.vni {
        body.insert("provider:segmentation_id".to_owned(), json!(vni));
    }
    body.into()
}

fn subnet_of(name: &str, said: &Subnet, network: &str, project: &str) -> Value {
    let is_ipv6 = said.cidr.is_some_and(|cidr| cidr.address().is_ipv6());
    let dhcp = said.dhcp.unwrap_or(true);
    let mut body = json!({
        "name": name,
        "project_id": project,
        "network_id": network,
        "ip_version": if is_ipv6 { 6 } else { 4 },
        "cidr": said.cidr.map(|cidr| cidr.to_string()),
        "gateway_ip": said.gateway,
        "enable_dhcp": dhcp,
        "dns_nameservers": said.dns_nameservers,
    });
    if is_ipv6 && dhcp {
        body["ipv6_address_mode"] = json!("dhcpv6-stateful");
    }
    body
}

/// A rule of the description becomes one of the API for each family that it is for.
fn rules_of(group: &str, said: &Group, made: &Made) -> Vec<Value> {
    let of_rule = |rule: &Rule| {
        let prefix = rule.remote_ip_prefix;
        let families = match (rule.ethertype, prefix) {
            (Some(family), _) => vec![family],
            (None, Some(prefix)) if prefix.address().is_ipv6() => vec![RuleFamily::IPv6],
            (None, Some(_)) => vec![RuleFamily::IPv4],
            (None, None) => vec![RuleFamily::IPv4, RuleFamily::IPv6],
        };
        families
            .into_iter()
            .map(|family| rule_of(rule, family, group, made))
            .collect::<Vec<_>>()
    };
    said.rules.iter().flat_map(of_rule).collect()
}

fn rule_of(rule: &Rule, family: RuleFamily, group: &str, made: &Made) -> Value {
    let remote = rule.remote_group.as_ref().and_then(|name| made.groups.get(name));
    let protocol = match (rule.protocol.as_deref(), family) {
        (Some("icmp"), RuleFamily::IPv6) => Some("ipv6-icmp"),
        (other, _) => other,
    };
    json!({
        "project_id": made.project,
        "security_group_id": made.groups.get(group),
        "direction": match rule.direction {
            RuleDirection::Ingress => "ingress",
            RuleDirection::Egress => "egress",
        },
        "ethertype": family.name(),
        "protocol": protocol,
        "port_range_min": rule.ports.map(|ports| ports.first),
        "port_range_max": rule.ports.map(|ports| ports.last),
        "remote_ip_prefix": rule.remote_ip_prefix.map(|prefix| prefix.to_string()),
        "remote_group_id": remote,
    })
}

fn port_of(name: &str, said: &Guest, made: &Made) -> Value {
    let groups = said
        .security_groups
        .iter()
        .filter_map(|name| made.groups.get(name));
    let mut body = json!({
        "name": name,
        "project_id": made.project,
        "network_id": made.networks.get(&said.network),
        "security_groups": groups.collect::<Vec<_>>(),
        "binding:host_id": said.host,
        "device_id": name,
        "device_owner": "compute:lab",
    });
    if let Some(mac) = said.mac {
        body["mac_address"] = json!(mac);
    }
    let subnets = made.subnets.get(&said.network).map_or(&[][..], Vec::as_slice);
    if !said.addresses.is_empty() {
        let fixed = said.addresses.iter().map(|address| {
            let of = subnets
                .iter()
                .find(|(_, subnet)| subnet.cidr.is_some_and(|cidr| cidr.contains(*address)));
            json!({"subnet_id": of.map(|(id, _)| id), "ip_address": address})
        });
        body["fixed_ips"] = fixed.collect();
    } else if !subnets.is_empty() {
        // One of each subnet; left to itself the controller may be content with one.
        body["fixed_ips"] = subnets.iter().map(|(id, _)| json!({"subnet_id": id})).collect();
    }
    body
}

fn id_of(object: &Value) -> Result<String, LabError> {
    text_of(object, "id")
}

fn text_of(object: &Value, attribute: &str) -> Result<String, LabError> {
    let found = object.get(attribute).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| LabError::NotUnderstood {
        what: format!("the controller's answer, which has no `{attribute}`"),
        found: object.to_string(),
    })
}

fn guest_state(port: &Value, host: &str) -> Result<GuestState, LabError> {
    let fixed = port.get("fixed_ips").and_then(Value::as_array);
    let addresses = fixed.into_iter().flatten().filter_map(|fixed| {
        let address = fixed.get("ip_address")?.as_str()?;
        address.parse().ok()
    });
    Ok(GuestState {
        port: id_of(port)?,
        mac: text_of(port, "mac_address")?,
        addresses: addresses.collect(),
        host: host.to_owned(),
        left_behind: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::parse;

    fn made() -> Made {
        let groups = [("web", "G1"), ("db", "G2")].map(|(name, id)| (name.to_owned(), id.to_owned()));
        Made {
            project: "P".to_owned(),
            groups: groups.into(),
            networks: [("front".to_owned(), "N".to_owned())].into(),
            ..Made::default()
        }
    }

    fn lab(rules: &str) -> Description {
        parse(&format!(
            "name: x\nhosts: {{h: }}\nprojects: {{p: {{networks: {{front: {{subnets: {{four: {{cidr: 10.0.0.0/24}}}}}}}}, \
             security_groups: {{db: , web: {{rules: {rules}}}}}, \
             guests: {{g: {{network: front, host: h, security_groups: [web], addresses: [10.0.0.7]}}}}}}}}"
        ))
        .unwrap()
    }

    #[test]
    fn a_rule_is_made_for_each_family_it_is_for() {
        let lab = lab(
            "[{protocol: icmp}, {protocol: tcp, ports: 80, remote_ip_prefix: 10.0.0.0/8}, {remote_group: db, ethertype: IPv6}]",
        );
        let group = lab.projects.get("p").unwrap().security_groups.get("web").unwrap();
        let rules = rules_of("web", group, &made());
        let seen: Vec<_> = rules
            .iter()
            .map(|rule| {
                (
                    rule["ethertype"].as_str().unwrap(),
                    rule["protocol"].as_str(),
                    rule["port_range_max"].as_u64(),
                    rule["remote_group_id"].as_str(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("IPv4", Some("icmp"), None, None),
                ("IPv6", Some("ipv6-icmp"), None, None),
                ("IPv4", Some("tcp"), Some(80), None),
                ("IPv6", None, None, Some("G2")),
            ]
        );
    }

    #[test]
    fn a_port_has_its_addresses_in_their_subnets() {
        let lab = lab("[]");
        let project = lab.projects.get("p").unwrap();
        let mut made = made();
        let subnet = project
            .networks
            .get("front")
            .unwrap()
            .subnets
            .get("four")
            .unwrap();
        made.subnets
            .insert("front".to_owned(), vec![("S".to_owned(), subnet.clone())]);
        let mut guest = project.guests.get("g").unwrap().clone();
        let body = port_of("g", &guest, &made);
        assert_eq!(
            body["fixed_ips"],
            json!([{"subnet_id": "S", "ip_address": "10.0.0.7"}])
        );
        assert_eq!(body["security_groups"], json!(["G1"]));
        guest.addresses.clear();
        assert_eq!(
            port_of("g", &guest, &made)["fixed_ips"],
            json!([{"subnet_id": "S"}])
        );
    }

    #[test]
    fn a_network_is_as_large_as_the_underlay_has_room_for() {
        let mtu = |underlay: &str| {
            let lab = parse(&format!("name: x\nunderlay: {underlay}\nhosts: {{h: }}")).unwrap();
            let body = |said: &Network| network_of("n", said, "P", lab.underlay.room())["mtu"].clone();
            let asked = Network {
                mtu: Some(1_280),
                ..Network::default()
            };
            assert_eq!(body(&asked), json!(1_280));
            body(&Network::default())
        };
        assert_eq!(mtu("{}"), json!(1_450));
        assert_eq!(mtu("{mtu: 1600, ipv6: 2001:db8::/64}"), json!(1_530));
    }

    #[test]
    fn an_answer_without_an_id_is_told() {
        let error = guest_state(&json!({"mac_address": "02:00:00:00:00:01"}), "h").unwrap_err();
        assert!(error.to_string().contains("`id`"), "{error}");
    }
}
