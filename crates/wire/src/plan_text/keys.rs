//! Every key of the text form, by the object that has it. The test of `docs/host-plan.md` holds both together.

/// The keys of one kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectKeys {
    /// Its name in `docs/host-plan.md`.
    pub object: &'static str,
    /// Its keys, in the order in which they are written.
    pub keys: &'static [&'static str],
}

pub(super) const PLAN: ObjectKeys = ObjectKeys {
    object: "plan",
    keys: &[
        "tunnel",
        "endpoints",
        "networks",
        "subnets",
        "ports",
        "peers",
        "security_groups",
        "address_sets",
    ],
};
pub(super) const TUNNEL: ObjectKeys = ObjectKeys {
    object: "tunnel",
    keys: &["address", "udp_port", "dpdk"],
};
pub(super) const DPDK_UNDERLAY: ObjectKeys = ObjectKeys {
    object: "DPDK underlay",
    keys: &["device", "mac"],
};
pub(super) const ENDPOINT: ObjectKeys = ObjectKeys {
    object: "endpoint",
    keys: &["address", "udp_port", "next_hop"],
};
pub(super) const NETWORK: ObjectKeys = ObjectKeys {
    object: "network",
    keys: &["vni", "mtu", "endpoints"],
};
pub(super) const SUBNET: ObjectKeys = ObjectKeys {
    object: "subnet",
    keys: &[
        "network",
        "prefix",
        "gateway",
        "dhcp",
        "ipv6_mode",
        "dns_servers",
        "host_routes",
        "lease_s",
    ],
};
pub(super) const HOST_ROUTE: ObjectKeys = ObjectKeys {
    object: "host route",
    keys: &["destination", "next_hop"],
};
pub(super) const PORT: ObjectKeys = ObjectKeys {
    object: "port",
    keys: &[
        "network",
        "mac",
        "addresses",
        "allowed_address_pairs",
        "port_security",
        "security_groups",
        "hostname",
        "tap",
        "packet",
        "dpdk",
        "budgets",
        "admin_up",
    ],
};
pub(super) const ADDRESS_PAIR: ObjectKeys = ObjectKeys {
    object: "allowed address pair",
    keys: &["prefix", "mac"],
};
pub(super) const ATTACHMENT: ObjectKeys = ObjectKeys {
    object: "attachment",
    keys: &["interface", "netns"],
};
pub(super) const DPDK: ObjectKeys = ObjectKeys {
    object: "DPDK device",
    keys: &["device"],
};
pub(super) const BUDGETS: ObjectKeys = ObjectKeys {
    object: "budgets",
    keys: &["connections", "control_pps", "new_flows_pps"],
};
pub(super) const PEER: ObjectKeys = ObjectKeys {
    object: "peer",
    keys: &["network", "mac", "addresses", "endpoint"],
};
pub(super) const SECURITY_GROUP: ObjectKeys = ObjectKeys {
    object: "security group",
    keys: &["rules"],
};
pub(super) const RULE: ObjectKeys = ObjectKeys {
    object: "rule",
    keys: &[
        "direction",
        "ethertype",
        "protocol",
        "ports",
        "type",
        "code",
        "remote",
    ],
};
pub(super) const REMOTE_SET: ObjectKeys = ObjectKeys {
    object: "remote",
    keys: &["set"],
};

/// All of them.
pub const KEYS: &[ObjectKeys] = &[
    PLAN,
    TUNNEL,
    DPDK_UNDERLAY,
    ENDPOINT,
    NETWORK,
    SUBNET,
    HOST_ROUTE,
    PORT,
    ADDRESS_PAIR,
    ATTACHMENT,
    DPDK,
    BUDGETS,
    PEER,
    SECURITY_GROUP,
    RULE,
    REMOTE_SET,
];

/// The known key that `key` was probably meant to be: at most two slips away (one, for a key of up to four letters).
pub(super) fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    if key.len() > 40 {
        return None;
    }
    let slips = if key.len() <= 4 { 1 } else { 2 };
    let scored = known
        .iter()
        .map(|candidate| (distance(key, candidate), *candidate));
    scored
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance of two short texts.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
