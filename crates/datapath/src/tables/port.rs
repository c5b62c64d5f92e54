//! A guest's port as workers see it.

use std::net::IpAddr;
use std::sync::Arc;

use anet_model::host_plan::{AddressPair, Budgets, PortId, RuleId};
use anet_packet::addr::Mac;

use crate::connections::PortIdentity;
use crate::firewall::Policy;

/// The rules of a port's groups, compiled. Shared by the ports that have the same groups.
pub struct PortFirewall {
    /// The lookup; it answers with a rule's ordinal.
    pub policy: Policy,
    /// The ids of the rules by ordinal, to name them in verdicts. `None` where an ordinal is free.
    pub rules: Vec<Option<RuleId>>,
}

/// A guest's port. Immutable: a change puts a new one.
pub struct Port {
    /// Its id in the plan.
    pub id: PortId,
    /// The port's identity in the connection table, also across restarts.
    pub identity: PortIdentity,
    /// Index of its network.
    pub network: u32,
    /// Its MAC.
    pub mac: Mac,
    /// Its fixed addresses.
    pub addresses: Vec<IpAddr>,
    /// Further addresses it may use.
    pub pairs: Vec<AddressPair>,
    /// Name given by DHCP.
    pub hostname: Option<String>,
    /// `None`: no anti-spoofing and no firewall (Neutron's `port_security_enabled=false`).
    pub firewall: Option<Arc<PortFirewall>>,
    /// First of the port's witness slots: see [`Port::slot_of_rule`].
    pub witness_base: u32,
    /// How many slots the port has.
    pub witness_count: u32,
    /// What it may use up.
    pub budgets: Budgets,
    /// False: nothing passes.
    pub admin_up: bool,
}

impl Port {
    /// Slots in front of the rules': default deny out, default deny in, the port itself.
    pub const RESERVED_SLOTS: u32 = 3;

    /// Witness of «no rule allows it out»: bumped when a rule is added that might.
    pub fn slot_of_default_deny_out(&self) -> u32 {
        self.witness_base
    }

    /// Witness of «no rule allows it in».
    pub fn slot_of_default_deny_in(&self) -> u32 {
        self.witness_base + 1
    }

    /// Witness of the port itself: its addresses, its state, its having no firewall.
    pub fn slot_of_port(&self) -> u32 {
        self.witness_base + 2
    }

    /// Witness of a rule that allowed, by its ordinal in the policy. Bumped when the rule is withdrawn.
    pub fn slot_of_rule(&self, ordinal: u32) -> u32 {
        self.witness_base + Self::RESERVED_SLOTS + ordinal
    }

    /// True where the port may send from, and be sent to at, `address` with `mac`.
    pub fn owns(&self, mac: Mac, address: IpAddr) -> bool {
        (mac == self.mac && self.addresses.contains(&address))
            || self
                .pairs
                .iter()
                .any(|p| p.mac.unwrap_or(self.mac) == mac && p.prefix.contains(address))
    }

    /// True where the port may send from `mac`.
    pub fn owns_mac(&self, mac: Mac) -> bool {
        mac == self.mac || self.pairs.iter().any(|p| p.mac == Some(mac))
    }
}
