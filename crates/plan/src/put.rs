//! A change of the intent, put: the indexes of what was asked for follow, and what it concerns is noted.

use anet_model::host_plan::{NetworkId, PortId, RuleId, SecurityGroupId, SubnetId, Tunnel};
use anet_model::intent::{self, ForeignEndpoint, ForeignEndpointId, Host, HostId, IntentChange, Remote};
use anet_model::validate::tunnel_alone;

use crate::fabric::Fabric;
use crate::index::Claimant;
use crate::resolve::underlay::{foreign_of_peer, name_of_foreign};

impl Fabric {
    /// Puts one change, without looking at what follows from it yet.
    pub(crate) fn put(&mut self, change: IntentChange) {
        match self.intent.put(change) {
            IntentChange::Project(..) => {}
            IntentChange::Network(id, old) => self.put_network(id, old.as_ref()),
            IntentChange::Subnet(id, old) => self.put_subnet(id, old.as_ref()),
            IntentChange::Port(id, old) => self.put_port(id, old.as_ref()),
            IntentChange::SecurityGroup(id, old) => self.put_group(id, old.is_some()),
            IntentChange::Rule(id, old) => self.put_rule(id, old.as_ref()),
            IntentChange::Host(id, old) => self.put_host(id, old.as_ref()),
            IntentChange::ForeignEndpoint(id, old) => self.put_foreign(id, old.as_ref()),
        }
    }

    fn put_network(&mut self, id: NetworkId, old: Option<&intent::Network>) {
        let (new, index, pending) = (self.intent.networks.get(&id), &mut self.index, &mut self.pending);
        let vnis = || old.iter().chain(&new).map(|network| network.vni);
        for vni in vnis() {
            pending.networks.extend(index.vni_networks.first(&vni).cloned());
        }
        if let Some(old) = old {
            index.vni_networks.remove(&old.vni, &id);
        }
        if let Some(new) = new {
            index.vni_networks.insert(&new.vni, id.clone());
        }
        for vni in vnis() {
            pending.networks.extend(index.vni_networks.first(&vni).cloned());
        }
        pending.networks.insert(id);
    }

    fn put_subnet(&mut self, id: SubnetId, old: Option<&intent::Subnet>) {
        if let Some(old) = old {
            self.index.network_subnets.remove(&old.network, &id);
            self.pending.subnets.insert(old.network.clone());
        }
        if let Some(new) = self.intent.subnets.get(&id) {
            self.index.network_subnets.insert(&new.network, id);
            self.pending.subnets.insert(new.network.clone());
        }
    }

    fn put_port(&mut self, id: PortId, old: Option<&intent::Port>) {
        let new = self.intent.ports.get(&id);
        let index = &mut self.index;
        if let Some(old) = old {
            index.network_ports.remove(&old.network, &id);
            for fixed in &old.fixed_ips {
                index.subnet_ports.remove(&fixed.subnet, &id);
            }
            if let Some(host) = &old.host {
                index.host_ports.remove(host, &id);
            }
        }
        if let Some(new) = new {
            index.network_ports.insert(&new.network, id.clone());
            for fixed in &new.fixed_ips {
                index.subnet_ports.insert(&fixed.subnet, id.clone());
            }
            if let Some(host) = &new.host {
                index.host_ports.insert(host, id.clone());
            }
        }
        if old.is_some() != new.is_some() {
            self.pending.foreign.extend(foreign_of_peer(&id));
        }
        self.put_policy(&id, old);
        self.pending.claimants.insert(Claimant::Port(id));
    }

    fn put_policy(&mut self, id: &PortId, old: Option<&intent::Port>) {
        let new = self.intent.ports.get(id).map(|port| &port.security_groups);
        let old = old.map(|port| &port.security_groups);
        if old == new {
            return;
        }
        if let Some(new) = new
            && self.index.policy_ports.insert(new, id.clone())
        {
            for group in new {
                self.index.group_policies.insert(group, new.clone());
            }
            self.pending.policies.insert(new.clone());
        }
        if let Some(old) = old
            && self.index.policy_ports.remove(old, id)
        {
            for group in old {
                self.index.group_policies.remove(group, old);
            }
            self.pending.policies.insert(old.clone());
        }
    }

    fn put_group(&mut self, id: SecurityGroupId, was: bool) {
        if was != self.intent.security_groups.contains_key(&id) {
            let (index, pending) = (&self.index, &mut self.pending);
            pending.rules.extend(index.group_rules.of(&id).cloned());
            pending.rules.extend(index.remote_rules.of(&id).cloned());
            pending.policies.extend(index.group_policies.of(&id).cloned());
        }
    }

    fn put_rule(&mut self, id: RuleId, old: Option<&intent::SecurityGroupRule>) {
        let index = &mut self.index;
        if let Some(old) = old {
            index.group_rules.remove(&old.security_group, &id);
            if let Remote::Group(remote) = &old.remote {
                index.remote_rules.remove(remote, &id);
            }
        }
        if let Some(new) = self.intent.rules.get(&id) {
            index.group_rules.insert(&new.security_group, id.clone());
            if let Remote::Group(remote) = &new.remote {
                index.remote_rules.insert(remote, id.clone());
            }
        }
        self.pending.rules.insert(id);
    }

    fn put_host(&mut self, id: HostId, old: Option<&Host>) {
        let new = self.intent.hosts.get(&id);
        let (index, pending) = (&mut self.index, &mut self.pending);
        let address = |host: Option<&Host>| host.and_then(legal_tunnel).map(|tunnel| tunnel.address);
        let addresses = [address(old), address(new)];
        for address in addresses.iter().flatten() {
            pending.hosts.extend(index.tunnel_hosts.first(address).cloned());
        }
        if let Some(address) = addresses[0] {
            index.tunnel_hosts.remove(&address, &id);
        }
        if let Some(address) = addresses[1] {
            index.tunnel_hosts.insert(&address, id.clone());
        }
        for address in addresses.iter().flatten() {
            pending.hosts.extend(index.tunnel_hosts.first(address).cloned());
            pending.foreign.extend(index.foreign_at.of(address).cloned());
        }
        if old.is_some() != new.is_some() {
            pending
                .foreign
                .extend(index.foreign_named.of(&id.cast()).cloned());
        }
        pending.hosts.insert(id);
    }

    fn put_foreign(&mut self, id: ForeignEndpointId, old: Option<&ForeignEndpoint>) {
        let new = self.intent.foreign_endpoints.get(&id);
        let (index, pending) = (&mut self.index, &mut self.pending);
        if let Some(old) = old {
            index.network_foreign.remove(&old.network, &id);
            if let Some(name) = name_of_foreign(old) {
                index.foreign_named.remove(&name, &id);
            }
            index.foreign_at.remove(&old.address, &id);
            pending.foreign.extend(index.foreign_at.of(&old.address).cloned());
        }
        if let Some(new) = new {
            index.network_foreign.insert(&new.network, id.clone());
            if let Some(name) = name_of_foreign(new) {
                index.foreign_named.insert(&name, id.clone());
            }
            if legal_end(new.address, new.udp_port) {
                index.foreign_at.insert(&new.address, id.clone());
                pending.foreign.extend(index.foreign_at.of(&new.address).cloned());
            }
        }
        pending.foreign.insert(id);
    }
}

/// The tunnel that a host asks for, where a plan may have such a one.
pub(crate) fn legal_tunnel(host: &Host) -> Option<Tunnel> {
    let tunnel = Tunnel {
        address: host.tunnel_address?,
        udp_port: host.tunnel_port,
        dpdk: None,
    };
    legal_end(tunnel.address, tunnel.udp_port).then_some(tunnel)
}

/// Whether a tunnel may end there.
pub(crate) fn legal_end(address: std::net::IpAddr, udp_port: u16) -> bool {
    tunnel_alone(address, udp_port).is_ok()
}
