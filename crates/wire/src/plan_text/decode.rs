//! A document as a plan: each section, each entry, each key.

use std::collections::BTreeMap;

use anet_model::host_plan::{
    AddressPair, AddressSet, Attachment, Budgets, DpdkUnderlay, Endpoint, HostPlan, Ipv6Mode, Network, Peer,
    Port, Subnet, Tunnel,
};
use anet_model::id::Id;
use anet_packet::addr::{Mtu, Vni};

use super::document::{Node, Path};
use super::error::TextError;
use super::rules::security_group;
use super::scalar::{
    Object, Outcome, address, address_v4, boolean, fields, id, list, mac, number, number_u16, number_u32,
    prefix, text, wrong,
};
use super::{ERRORS_MAXIMUM, keys};

/// The VXLAN port (RFC 7348).
pub(super) const UDP_PORT_DEFAULT: u16 = 4789;

/// Neutron's `dhcp_lease_duration`.
pub(super) const LEASE_SECONDS_DEFAULT: u32 = 86_400;

/// The plan of a document, not yet validated; or each entry that cannot be read.
pub(super) fn plan(document: &Node<'_>) -> Result<HostPlan, Vec<TextError>> {
    let root = Path::Root;
    let object = Object::of(document, &root, keys::PLAN).map_err(|error| vec![error])?;
    let mut sections = Sections {
        object,
        errors: Vec::new(),
    };
    let tunnel = sections
        .object
        .optional("tunnel", |node, path| tunnel(node, path))
        .unwrap_or_else(|error| {
            sections.errors.push(error);
            None
        });
    let plan = HostPlan {
        tunnel,
        endpoints: sections.section("endpoints", endpoint),
        networks: sections.section("networks", network),
        subnets: sections.section("subnets", subnet),
        ports: sections.section("ports", port),
        peers: sections.section("peers", peer),
        security_groups: sections.section("security_groups", security_group),
        address_sets: sections.section("address_sets", address_set),
    };
    if sections.errors.is_empty() {
        Ok(plan)
    } else {
        Err(sections.errors)
    }
}

/// Reads section after section and collects the first error of each entry.
struct Sections<'n, 't, 'p> {
    object: Object<'n, 't, 'p>,
    errors: Vec<TextError>,
}

impl<'t> Sections<'_, 't, '_> {
    fn section<N, V>(
        &mut self,
        name: &str,
        decode: impl Fn(&Node<'t>, &Path<'_>) -> Outcome<V>,
    ) -> BTreeMap<Id<N>, V> {
        let mut entries = BTreeMap::new();
        let Some(node) = self.object.get(name) else {
            return entries;
        };
        let path = Path::Key(&Path::Root, name);
        match entries_of(node, &path, decode) {
            Err(error) => self.note(error),
            Ok(outcomes) => {
                for outcome in outcomes {
                    match outcome {
                        Ok((id, value)) => drop(entries.insert(id, value)),
                        Err(error) => self.note(error),
                    }
                }
            }
        }
        entries
    }

    fn note(&mut self, error: TextError) {
        if self.errors.len() < ERRORS_MAXIMUM {
            self.errors.push(error);
        }
    }
}

/// Each entry of a mapping from ids to objects.
pub(super) fn entries_of<'n, 't, N, V>(
    node: &'n Node<'t>,
    path: &'n Path<'n>,
    decode: impl Fn(&'n Node<'t>, &Path<'_>) -> Outcome<V>,
) -> Outcome<impl Iterator<Item = Outcome<(Id<N>, V)>>> {
    let entry = move |field: &'n super::document::Field<'t>| {
        let path = Path::Key(path, &field.key);
        let id = Id::new(&field.key).map_err(|_| {
            let expected = "a name of 1 to 64 characters out of a-z A-Z 0-9 . _ : -";
            TextError::new(field.position, path, "this is not a name", expected)
        })?;
        Ok((id, decode(&field.value, &path)?))
    };
    Ok(fields(node, path)?.iter().map(entry))
}

fn udp_port(node: &Node<'_>, path: &Path<'_>) -> Outcome<u16> {
    number_u16(node, path, 1)
}

fn tunnel(node: &Node<'_>, path: &Path<'_>) -> Outcome<Tunnel> {
    let object = Object::of(node, path, keys::TUNNEL)?;
    Ok(Tunnel {
        address: object.required("address", address)?,
        udp_port: object.optional("udp_port", udp_port)?.unwrap_or(UDP_PORT_DEFAULT),
        dpdk: object.optional("dpdk", dpdk_underlay)?,
    })
}

fn dpdk_underlay(node: &Node<'_>, path: &Path<'_>) -> Outcome<DpdkUnderlay> {
    let object = Object::of(node, path, keys::DPDK_UNDERLAY)?;
    Ok(DpdkUnderlay {
        device: object.required("device", text)?,
        mac: object.required("mac", mac)?,
    })
}

fn endpoint(node: &Node<'_>, path: &Path<'_>) -> Outcome<Endpoint> {
    let object = Object::of(node, path, keys::ENDPOINT)?;
    Ok(Endpoint {
        address: object.required("address", address)?,
        udp_port: object.optional("udp_port", udp_port)?.unwrap_or(UDP_PORT_DEFAULT),
        next_hop: object.optional("next_hop", mac)?,
    })
}

fn network(node: &Node<'_>, path: &Path<'_>) -> Outcome<Network> {
    let object = Object::of(node, path, keys::NETWORK)?;
    let vni = |node: &Node<'_>, path: &Path<'_>| {
        let value = number(node, path, 1, Vni::MAX)?;
        Vni::new(value).or_else(|error| wrong(node, path, error.to_string(), "1 to 16777215"))
    };
    let mtu = |node: &Node<'_>, path: &Path<'_>| {
        let value = number(node, path, 576, 65_535)?;
        Mtu::new(value).or_else(|error| wrong(node, path, error.to_string(), "576 to 65535 bytes"))
    };
    Ok(Network {
        vni: object.required("vni", vni)?,
        mtu: object.optional("mtu", mtu)?.unwrap_or(Mtu::VXLAN_IPV4),
        endpoints: object
            .optional("endpoints", |node, path| list(node, path, id))?
            .unwrap_or_default(),
    })
}

/// The names of [`Ipv6Mode`], as in Neutron.
pub(super) const IPV6_MODES: [(&str, Ipv6Mode); 1] = [("dhcpv6-stateful", Ipv6Mode::DhcpV6Stateful)];

fn subnet(node: &Node<'_>, path: &Path<'_>) -> Outcome<Subnet> {
    let object = Object::of(node, path, keys::SUBNET)?;
    let ipv6_mode = |node: &Node<'_>, path: &Path<'_>| super::scalar::word(node, path, &IPV6_MODES);
    let host_route = |node: &Node<'_>, path: &Path<'_>| {
        let object = Object::of(node, path, keys::HOST_ROUTE)?;
        Ok((
            object.required("destination", prefix)?,
            object.required("next_hop", address_v4)?,
        ))
    };
    Ok(Subnet {
        network: object.required("network", id)?,
        prefix: object.required("prefix", prefix)?,
        gateway: object.optional("gateway", address)?,
        dhcp: object.optional("dhcp", boolean)?.unwrap_or(true),
        ipv6_mode: object
            .optional("ipv6_mode", ipv6_mode)?
            .unwrap_or(Ipv6Mode::DhcpV6Stateful),
        dns_servers: object
            .optional("dns_servers", |node, path| list(node, path, address))?
            .unwrap_or_default(),
        host_routes: object
            .optional("host_routes", |node, path| list(node, path, host_route))?
            .unwrap_or_default(),
        lease_s: object
            .optional("lease_s", number_u32)?
            .unwrap_or(LEASE_SECONDS_DEFAULT),
    })
}

fn port(node: &Node<'_>, path: &Path<'_>) -> Outcome<Port> {
    let object = Object::of(node, path, keys::PORT)?;
    Ok(Port {
        network: object.required("network", id)?,
        mac: object.required("mac", mac)?,
        addresses: object
            .optional("addresses", |node, path| list(node, path, address))?
            .unwrap_or_default(),
        allowed_address_pairs: object
            .optional("allowed_address_pairs", |node, path| {
                list(node, path, address_pair)
            })?
            .unwrap_or_default(),
        port_security: object.optional("port_security", boolean)?.unwrap_or(true),
        security_groups: object
            .optional("security_groups", |node, path| list(node, path, id))?
            .unwrap_or_default(),
        hostname: object.optional("hostname", text)?,
        attachment: attachment(&object)?,
        budgets: object.optional("budgets", budgets)?.unwrap_or_default(),
        admin_up: object.optional("admin_up", boolean)?.unwrap_or(true),
    })
}

fn address_pair(node: &Node<'_>, path: &Path<'_>) -> Outcome<AddressPair> {
    let object = Object::of(node, path, keys::ADDRESS_PAIR)?;
    Ok(AddressPair {
        mac: object.optional("mac", mac)?,
        prefix: object.required("prefix", prefix)?,
    })
}

fn attachment(port: &Object<'_, '_, '_>) -> Outcome<Attachment> {
    let interface = |node: &Node<'_>, path: &Path<'_>| {
        let object = Object::of(node, path, keys::ATTACHMENT)?;
        Ok((
            object.required("interface", text)?,
            object.optional("netns", text)?,
        ))
    };
    let dpdk = |node: &Node<'_>, path: &Path<'_>| {
        let object = Object::of(node, path, keys::DPDK)?;
        Ok(Attachment::Dpdk {
            device: object.required("device", text)?,
        })
    };
    let tap = port.optional("tap", interface)?;
    let packet = port.optional("packet", interface)?;
    let all = [
        (
            "tap",
            tap.map(|(interface, netns)| Attachment::Tap { interface, netns }),
        ),
        (
            "packet",
            packet.map(|(interface, netns)| Attachment::Packet { interface, netns }),
        ),
        ("dpdk", port.optional("dpdk", dpdk)?),
    ];
    let mut given = all
        .into_iter()
        .filter_map(|(key, attachment)| Some((key, attachment?)));
    match (given.next(), given.next()) {
        (None, _) => Ok(Attachment::Detached),
        (Some((_, attachment)), None) => Ok(attachment),
        (Some((first, _)), Some((second, _))) => port.refuse(
            second,
            &format!("the port has a `{first}` already"),
            "either `tap`, `packet` or `dpdk`",
        ),
    }
}

fn budgets(node: &Node<'_>, path: &Path<'_>) -> Outcome<Budgets> {
    let object = Object::of(node, path, keys::BUDGETS)?;
    let default = Budgets::default();
    Ok(Budgets {
        connections: object
            .optional("connections", number_u32)?
            .unwrap_or(default.connections),
        control_pps: object
            .optional("control_pps", number_u32)?
            .unwrap_or(default.control_pps),
        new_flows_pps: object
            .optional("new_flows_pps", number_u32)?
            .unwrap_or(default.new_flows_pps),
    })
}

fn peer(node: &Node<'_>, path: &Path<'_>) -> Outcome<Peer> {
    let object = Object::of(node, path, keys::PEER)?;
    Ok(Peer {
        network: object.required("network", id)?,
        mac: object.required("mac", mac)?,
        addresses: object
            .optional("addresses", |node, path| list(node, path, address))?
            .unwrap_or_default(),
        endpoint: object.required("endpoint", id)?,
    })
}

fn address_set(node: &Node<'_>, path: &Path<'_>) -> Outcome<AddressSet> {
    Ok(AddressSet {
        members: list(node, path, prefix)?,
    })
}
