//! How attributes are called on the command line: OpenStack's words, where it has one.

use anet_api::Resource;
use anet_api::resource::{Attribute, Kind};

/// The flag of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag {
    /// The attribute.
    pub(crate) attribute: &'static str,
    /// The flag, without its dashes.
    pub(crate) name: &'static str,
    /// The flag that says the opposite: false, nothing, or an empty list.
    pub(crate) opposite: &'static str,
    /// What the value is, for the help.
    pub(crate) value: &'static str,
}

const fn flag(
    attribute: &'static str,
    name: &'static str,
    opposite: &'static str,
    value: &'static str,
) -> Flag {
    Flag {
        attribute,
        name,
        opposite,
        value,
    }
}

/// All flags that are an attribute each. An attribute has the same one on every resource.
const FLAGS: [Flag; 37] = [
    flag("id", "id", "", "ID"),
    flag("name", "name", "", "NAME"),
    flag("description", "description", "", "TEXT"),
    flag("project_id", "project", "", "PROJECT"),
    flag("network_id", "network", "", "NETWORK"),
    flag("admin_state_up", "enable", "disable", ""),
    flag("mtu", "mtu", "", "BYTES"),
    flag("provider:network_type", "provider-network-type", "", "TYPE"),
    flag("provider:segmentation_id", "provider-segment", "", "VNI"),
    flag("ip_version", "ip-version", "", "4|6"),
    flag("cidr", "subnet-range", "", "CIDR"),
    flag("gateway_ip", "gateway", "", "ADDRESS|none|auto"),
    flag(
        "allocation_pools",
        "allocation-pool",
        "no-allocation-pool",
        "start=ADDRESS,end=ADDRESS",
    ),
    flag(
        "dns_nameservers",
        "dns-nameserver",
        "no-dns-nameservers",
        "ADDRESS",
    ),
    flag(
        "host_routes",
        "host-route",
        "no-host-route",
        "destination=CIDR,gateway=ADDRESS",
    ),
    flag("enable_dhcp", "dhcp", "no-dhcp", ""),
    flag("ipv6_address_mode", "ipv6-address-mode", "", "MODE"),
    flag("ipv6_ra_mode", "ipv6-ra-mode", "", "MODE"),
    flag("mac_address", "mac-address", "", "MAC"),
    flag(
        "fixed_ips",
        "fixed-ip",
        "no-fixed-ip",
        "subnet=SUBNET,ip-address=ADDRESS",
    ),
    flag("security_groups", "security-group", "no-security-group", "GROUP"),
    flag(
        "port_security_enabled",
        "enable-port-security",
        "disable-port-security",
        "",
    ),
    flag(
        "allowed_address_pairs",
        "allowed-address",
        "no-allowed-address",
        "ip-address=PREFIX,mac-address=MAC",
    ),
    flag("device_id", "device", "", "ID"),
    flag("device_owner", "device-owner", "", "TEXT"),
    flag("dns_name", "dns-name", "no-dns-name", "NAME"),
    flag("binding:host_id", "host", "no-host", "HOST"),
    flag("security_group_id", "group", "", "GROUP"),
    flag("direction", "ingress", "egress", ""),
    flag("ethertype", "ethertype", "", "IPv4|IPv6"),
    flag("protocol", "protocol", "", "PROTOCOL"),
    flag("remote_ip_prefix", "remote-ip", "", "PREFIX"),
    flag("remote_group_id", "remote-group", "", "GROUP"),
    flag("tunnel_address", "tunnel-address", "no-tunnel-address", "ADDRESS"),
    flag("tunnel_port", "tunnel-port", "", "PORT"),
    flag("ip_address", "ip-address", "", "ADDRESS"),
    flag("udp_port", "udp-port", "", "PORT"),
];

/// Stations' flag is named for one of them.
const STATION: Flag = flag(
    "stations",
    "station",
    "no-station",
    "mac-address=MAC,ip-address=ADDRESS,…",
);

/// The flag of an attribute, where it has one.
pub(crate) fn of(attribute: &Attribute) -> Option<&'static Flag> {
    if matches!(attribute.kind, Kind::Only(_) | Kind::Made) {
        return None;
    }
    let flags = FLAGS.iter().chain([&STATION]);
    flags.into_iter().find(|flag| flag.attribute == attribute.name)
}

/// What an attribute's text names, where that is another object.
pub(crate) fn refers_to(attribute: &str) -> Option<Resource> {
    match attribute {
        "project_id" => Some(Resource::Project),
        "network_id" => Some(Resource::Network),
        "security_groups" | "security_group_id" | "remote_group_id" => Some(Resource::SecurityGroup),
        "binding:host_id" => Some(Resource::Host),
        _ => None,
    }
}

/// True for lists, whose flag may be given several times.
pub(crate) const fn is_list(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Ids(_)
            | Kind::Addresses(_)
            | Kind::Pools(_)
            | Kind::FixedIps(_)
            | Kind::HostRoutes(_)
            | Kind::AddressPairs(_)
            | Kind::Stations(_)
    )
}

/// True for what is said by one of two flags.
pub(crate) const fn is_switch(attribute: &Attribute) -> bool {
    matches!(attribute.kind, Kind::Boolean) || is_direction(attribute.name)
}

const fn is_direction(name: &str) -> bool {
    matches!(name.as_bytes(), b"direction")
}

#[cfg(test)]
mod tests {
    use anet_api::Resource;
    use anet_api::resource::{Access, Kind};

    use super::of;

    /// Ports are said together (`--dst-port`), and tenant_id is the older name of project_id.
    const WITHOUT: [&str; 3] = ["tenant_id", "port_range_min", "port_range_max"];

    #[test]
    fn whatever_can_be_given_has_a_flag() {
        for resource in Resource::ALL {
            for attribute in resource.attributes() {
                let given = attribute.create > Access::Nobody || attribute.update > Access::Nobody;
                let one_value = matches!(attribute.kind, Kind::Only(_));
                if given && !one_value && !WITHOUT.contains(&attribute.name) {
                    assert!(of(attribute).is_some(), "{resource:?} {}", attribute.name);
                }
            }
        }
    }

    #[test]
    fn switches_have_an_opposite() {
        for resource in Resource::ALL {
            for attribute in resource.attributes() {
                if let Some(flag) = of(attribute).filter(|_| super::is_switch(attribute)) {
                    assert!(!flag.opposite.is_empty(), "{}", flag.name);
                }
            }
        }
    }
}
