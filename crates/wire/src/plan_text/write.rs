//! A plan as text: what is at its default is left out, and parsing gives the same plan.

use std::fmt::{self, Write as _};

use anet_model::host_plan::{
    Attachment, Budgets, Endpoint, HostPlan, Ipv6Mode, Network, Peer, Port, PortRange, Protocol, Remote,
    Rule, SecurityGroup, Subnet, Tunnel,
};
use anet_packet::addr::{IpPrefix, Mtu};

use super::decode::{IPV6_MODES, LEASE_SECONDS_DEFAULT, UDP_PORT_DEFAULT};

/// The text form of a plan.
pub fn to_text(plan: &HostPlan) -> String {
    let mut text = String::new();
    if let Some(tunnel) = &plan.tunnel {
        let _ = writeln!(text, "tunnel: {}", tunnel_fields(tunnel));
    }
    section(
        &mut text,
        "endpoints",
        plan.endpoints.iter().map(|(id, e)| (id, endpoint_fields(e))),
    );
    section(
        &mut text,
        "networks",
        plan.networks.iter().map(|(id, n)| (id, network_fields(n))),
    );
    section(
        &mut text,
        "subnets",
        plan.subnets.iter().map(|(id, s)| (id, subnet_fields(s))),
    );
    section(
        &mut text,
        "ports",
        plan.ports.iter().map(|(id, p)| (id, port_block(p))),
    );
    section(
        &mut text,
        "peers",
        plan.peers.iter().map(|(id, p)| (id, peer_fields(p))),
    );
    section(
        &mut text,
        "security_groups",
        plan.security_groups.iter().map(|(id, g)| (id, group_block(g))),
    );
    section(
        &mut text,
        "address_sets",
        plan.address_sets.iter().map(|(id, s)| (id, members(&s.members))),
    );
    if text.is_empty() { "{}\n".to_owned() } else { text }
}

/// Writing to a text cannot fail, so the results of `write!` are dropped in this file.
fn section<I: fmt::Display>(
    text: &mut String,
    name: &str,
    entries: impl Iterator<Item = (I, impl fmt::Display)>,
) {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "{name}:");
    for (id, value) in entries {
        let _ = writeln!(text, "  {}: {value}", Quoted(&id.to_string()));
    }
}

/// A mapping on one line.
#[derive(Default)]
struct Fields(Vec<String>);

impl Fields {
    fn put(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.0.push(format!("{key}: {value}"));
        self
    }

    fn put_text(self, key: &str, value: impl fmt::Display) -> Self {
        self.put(key, Quoted(&value.to_string()))
    }

    fn put_some(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.put_text(key, value),
            None => self,
        }
    }

    fn put_unless<T: PartialEq + fmt::Display>(self, key: &str, value: T, default: T) -> Self {
        if value == default {
            self
        } else {
            self.put(key, value)
        }
    }

    fn put_list<T: fmt::Display>(self, key: &str, values: impl IntoIterator<Item = T>) -> Self {
        let list = list(values);
        if list == "[]" { self } else { self.put(key, list) }
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.0.join(", "))
    }
}

/// A list on one line.
fn list<T: fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values
        .into_iter()
        .map(|value| Quoted(&value.to_string()).to_string())
        .collect();
    format!("[{}]", values.join(", "))
}

/// A list on one line where it is short, else one line a member.
fn members<'a>(members: impl IntoIterator<Item = &'a IpPrefix>) -> String {
    let members: Vec<&IpPrefix> = members.into_iter().collect();
    if members.len() <= 8 {
        return list(members);
    }
    members.iter().fold(String::new(), |mut text, member| {
        let _ = write!(text, "\n    - {}", Quoted(&member.to_string()));
        text
    })
}

/// A text, in quotes where YAML could read it as something else.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-' | b'/');
        let begins = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'/');
        let word = matches!(text, "null" | "true" | "false");
        if begins && text.bytes().all(safe) && !text.ends_with(':') && !word {
            return f.write_str(text);
        }
        f.write_char('"')?;
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                    write!(f, "\\U{:08x}", u32::from(c))?;
                }
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

fn tunnel_fields(tunnel: &Tunnel) -> Fields {
    let fields = Fields::default().put_text("address", tunnel.address);
    let dpdk = tunnel.dpdk.as_ref().map(|underlay| {
        Fields::default()
            .put_text("device", &underlay.device)
            .put_text("mac", underlay.mac)
    });
    let fields = fields.put_unless("udp_port", tunnel.udp_port, UDP_PORT_DEFAULT);
    match dpdk {
        Some(dpdk) => fields.put("dpdk", dpdk),
        None => fields,
    }
}

fn endpoint_fields(endpoint: &Endpoint) -> Fields {
    let fields = Fields::default().put_text("address", endpoint.address);
    fields
        .put_unless("udp_port", endpoint.udp_port, UDP_PORT_DEFAULT)
        .put_some("next_hop", endpoint.next_hop)
}

fn network_fields(network: &Network) -> Fields {
    Fields::default()
        .put("vni", network.vni)
        .put_unless("mtu", network.mtu.get(), Mtu::VXLAN_IPV4.get())
        .put_list("endpoints", &network.endpoints)
}

fn subnet_fields(subnet: &Subnet) -> Fields {
    let mode = IPV6_MODES
        .iter()
        .find(|(_, mode)| *mode == subnet.ipv6_mode)
        .map(|(word, _)| *word);
    let routes: Vec<String> = subnet
        .host_routes
        .iter()
        .map(|(destination, next_hop)| {
            Fields::default()
                .put_text("destination", destination)
                .put_text("next_hop", next_hop)
                .to_string()
        })
        .collect();
    let fields = Fields::default()
        .put_text("network", &subnet.network)
        .put_text("prefix", subnet.prefix)
        .put_some("gateway", subnet.gateway)
        .put_unless("dhcp", subnet.dhcp, true)
        .put_some(
            "ipv6_mode",
            mode.filter(|_| subnet.ipv6_mode != Ipv6Mode::DhcpV6Stateful),
        )
        .put_list("dns_servers", &subnet.dns_servers);
    let fields = if routes.is_empty() {
        fields
    } else {
        fields.put("host_routes", format!("[{}]", routes.join(", ")))
    };
    fields.put_unless("lease_s", subnet.lease_s, LEASE_SECONDS_DEFAULT)
}

/// A port, one line a key.
fn port_block(port: &Port) -> String {
    let pairs: Vec<String> = port
        .allowed_address_pairs
        .iter()
        .map(|pair| {
            Fields::default()
                .put_text("prefix", pair.prefix)
                .put_some("mac", pair.mac)
                .to_string()
        })
        .collect();
    let mut fields = Fields::default()
        .put_text("network", &port.network)
        .put_text("mac", port.mac)
        .put_list("addresses", &port.addresses);
    if !pairs.is_empty() {
        fields = fields.put("allowed_address_pairs", format!("[{}]", pairs.join(", ")));
    }
    fields = fields
        .put_unless("port_security", port.port_security, true)
        .put_list("security_groups", &port.security_groups)
        .put_some("hostname", port.hostname.as_deref());
    fields = match &port.attachment {
        Attachment::Tap { interface, netns } => {
            fields.put("tap", interface_fields(interface, netns.as_deref()))
        }
        Attachment::Packet { interface, netns } => {
            fields.put("packet", interface_fields(interface, netns.as_deref()))
        }
        Attachment::Dpdk { device } => fields.put("dpdk", Fields::default().put_text("device", device)),
        Attachment::Detached => fields,
    };
    if port.budgets != Budgets::default() {
        fields = fields.put("budgets", budget_fields(port.budgets));
    }
    let fields = fields.put_unless("admin_up", port.admin_up, true);
    fields.0.iter().map(|field| format!("\n    {field}")).collect()
}

fn interface_fields(interface: &str, netns: Option<&str>) -> Fields {
    Fields::default()
        .put_text("interface", interface)
        .put_some("netns", netns)
}

fn budget_fields(budgets: Budgets) -> Fields {
    let default = Budgets::default();
    Fields::default()
        .put_unless("connections", budgets.connections, default.connections)
        .put_unless("control_pps", budgets.control_pps, default.control_pps)
        .put_unless("new_flows_pps", budgets.new_flows_pps, default.new_flows_pps)
}

fn peer_fields(peer: &Peer) -> Fields {
    Fields::default()
        .put_text("network", &peer.network)
        .put_text("mac", peer.mac)
        .put_list("addresses", &peer.addresses)
        .put_text("endpoint", &peer.endpoint)
}

/// A group, one line a rule.
fn group_block(group: &SecurityGroup) -> String {
    if group.rules.is_empty() {
        return "{}".to_owned();
    }
    group
        .rules
        .iter()
        .fold("\n    rules:".to_owned(), |mut text, (id, rule)| {
            let _ = write!(text, "\n      {}: {}", Quoted(id.as_str()), rule_fields(rule));
            text
        })
}

fn rule_fields(rule: &Rule) -> Fields {
    let fields = Fields::default()
        .put("direction", rule.direction)
        .put("ethertype", rule.family);
    let ports = |fields: Fields, name: &str, range: PortRange| {
        let fields = fields.put("protocol", name);
        match range {
            PortRange::ALL => fields,
            PortRange { first, last } if first == last => fields.put("ports", first),
            PortRange { first, last } => fields.put("ports", format!("{first}-{last}")),
        }
    };
    let fields = match rule.protocol {
        Protocol::Any => fields,
        Protocol::Tcp(range) => ports(fields, "tcp", range),
        Protocol::Udp(range) => ports(fields, "udp", range),
        Protocol::Icmp { kind, code } => fields
            .put("protocol", "icmp")
            .put_some("type", kind)
            .put_some("code", code),
        Protocol::Number(number) => fields.put("protocol", number),
    };
    match &rule.remote {
        Remote::Any => fields,
        Remote::Prefix(prefix) => fields.put_text("remote", prefix),
        Remote::Set(set) => fields.put("remote", Fields::default().put_text("set", set)),
    }
}
