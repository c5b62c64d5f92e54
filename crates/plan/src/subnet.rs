//! A subnet of the intent as hosts know it, and what of it they cannot be told.
//!
//! A gateway, a name server or a route that no plan may have costs only itself: the subnet is there without it.

use anet_model::host_plan::{self, Ipv6Mode, SubnetId};
use anet_model::validate::{ValidationError, subnet_alone};
use anet_model::{intent, limits};

use crate::fabric::Network;
use crate::problem::{Object, Problem};
use crate::settings::Settings;

/// Whether hosts can be told all of a subnet of this network: who admits subnets asks this, so that nothing is taken and then left
/// out. Other subnets of the network play no part.
pub fn check_subnet(
    id: &SubnetId,
    subnet: &intent::Subnet,
    network: &intent::Network,
) -> Result<(), ValidationError> {
    let network = Network {
        vni: network.vni,
        mtu: network.mtu,
        admin_state_up: network.admin_state_up,
    };
    subnet_alone(id, &whole(subnet, &Settings::default()), &on_host(&network))
}

/// The subnet as far as a plan may have it, and what is left out of it; or why it is left out itself.
pub(crate) fn planned(
    id: &SubnetId,
    subnet: &intent::Subnet,
    network: &Network,
    settings: &Settings,
) -> Result<(host_plan::Subnet, Vec<Problem>), Problem> {
    let network = on_host(network);
    let check = |subnet: &host_plan::Subnet| subnet_alone(id, subnet, &network);
    let whole = whole(subnet, settings);
    if check(&whole).is_ok() {
        return Ok((whole, Vec::new()));
    }
    let mut kept = host_plan::Subnet {
        gateway: None,
        dns_servers: Vec::new(),
        host_routes: Vec::new(),
        ..whole.clone()
    };
    check(&kept).map_err(|error| Problem::refused(Object::Subnet(id.clone()), error))?;
    let mut problems = Vec::new();
    let mut keep = |value: String, more: &dyn Fn(&mut host_plan::Subnet)| {
        let mut with = kept.clone();
        more(&mut with);
        match check(&with) {
            Ok(()) => kept = with,
            Err(error) => problems.push(Problem::part(Object::Subnet(id.clone()), value, error)),
        }
    };
    if let Some(gateway) = whole.gateway {
        keep(format!("gateway {gateway}"), &|subnet| {
            subnet.gateway = Some(gateway)
        });
    }
    for server in &whole.dns_servers {
        keep(format!("name server {server}"), &|subnet| {
            subnet.dns_servers.push(*server)
        });
    }
    for (destination, next_hop) in &whole.host_routes {
        keep(format!("the route to {destination} by {next_hop}"), &|subnet| {
            subnet.host_routes.push((*destination, *next_hop));
        });
    }
    Ok((kept, problems))
}

fn on_host(network: &Network) -> host_plan::Network {
    host_plan::Network {
        vni: network.vni,
        mtu: network.mtu,
        endpoints: Vec::new(),
    }
}

/// All that was asked for. An IPv6 subnet without a mode gives no addresses by DHCP, as in Neutron.
fn whole(subnet: &intent::Subnet, settings: &Settings) -> host_plan::Subnet {
    let given = subnet.cidr.address().is_ipv4() || subnet.ipv6_address_mode.is_some();
    host_plan::Subnet {
        network: subnet.network.clone(),
        prefix: subnet.cidr,
        gateway: subnet.gateway_ip,
        dhcp: subnet.enable_dhcp && given,
        ipv6_mode: subnet.ipv6_address_mode.unwrap_or(Ipv6Mode::DhcpV6Stateful),
        dns_servers: subnet.dns_nameservers.clone(),
        host_routes: subnet.host_routes.clone(),
        lease_s: settings.lease_s.max(limits::LEASE_SECONDS_MINIMUM),
    }
}
