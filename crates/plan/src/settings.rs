//! What a plan needs to know beside the intent.

use anet_model::host_plan::Budgets;
use anet_model::limits;

/// What every host is told alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Lifetime of a DHCP lease in seconds; less than [`limits::LEASE_SECONDS_MINIMUM`] counts as that.
    pub lease_s: u32,
    /// What each port may use up.
    pub budgets: Budgets,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease_s: 86_400,
            budgets: Budgets::default(),
        }
    }
}

/// How much one plan may hold: [`anet_model::limits`], or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// See [`limits::NETWORKS`].
    pub networks: usize,
    /// See [`limits::SUBNETS_PER_NETWORK`].
    pub subnets_per_network: usize,
    /// See [`limits::ENDPOINTS_PER_NETWORK`].
    pub endpoints_per_network: usize,
    /// See [`limits::PORTS`].
    pub ports: usize,
    /// See [`limits::ADDRESSES_PER_STATION`].
    pub addresses_per_station: usize,
    /// See [`limits::ADDRESS_PAIRS_PER_PORT`].
    pub address_pairs_per_port: usize,
    /// See [`limits::SECURITY_GROUPS_PER_PORT`].
    pub security_groups_per_port: usize,
    /// See [`limits::RULES_PER_PORT`].
    pub rules_per_port: usize,
    /// See [`limits::ADDRESS_SETS_PER_PORT`].
    pub address_sets_per_port: usize,
    /// See [`limits::ENDPOINTS`].
    pub endpoints: usize,
    /// See [`limits::PEERS`].
    pub peers: usize,
    /// See [`limits::SECURITY_GROUPS`].
    pub security_groups: usize,
    /// See [`limits::RULES`].
    pub rules: usize,
    /// See [`limits::ADDRESS_SETS`].
    pub address_sets: usize,
    /// See [`limits::MEMBERS_PER_ADDRESS_SET`].
    pub members_per_address_set: usize,
    /// See [`limits::MEMBERS`].
    pub members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            networks: limits::NETWORKS,
            subnets_per_network: limits::SUBNETS_PER_NETWORK,
            endpoints_per_network: limits::ENDPOINTS_PER_NETWORK,
            ports: limits::PORTS,
            addresses_per_station: limits::ADDRESSES_PER_STATION,
            address_pairs_per_port: limits::ADDRESS_PAIRS_PER_PORT,
            security_groups_per_port: limits::SECURITY_GROUPS_PER_PORT,
            rules_per_port: limits::RULES_PER_PORT,
            address_sets_per_port: limits::ADDRESS_SETS_PER_PORT,
            endpoints: limits::ENDPOINTS,
            peers: limits::PEERS,
            security_groups: limits::SECURITY_GROUPS,
            rules: limits::RULES,
            address_sets: limits::ADDRESS_SETS,
            members_per_address_set: limits::MEMBERS_PER_ADDRESS_SET,
            members: limits::MEMBERS,
        }
    }
}
