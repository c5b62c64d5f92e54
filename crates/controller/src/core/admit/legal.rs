//! What the model says of an object, in the API's words: admission asks what the planner asks, so that nothing is taken and then
//! left out of the hosts' plans.

use std::net::IpAddr;

use anet_api::ApiError;
use anet_model::host_plan::SubnetId;
use anet_model::intent::{Network, Subnet};
use anet_model::validate::{
    ValidationError, is_station_address, is_station_range, is_tunnel_between_hosts, tunnel_alone,
};
use anet_packet::addr::IpPrefix;

/// Refuses a range whose addresses guests cannot have.
pub fn check_range(cidr: IpPrefix) -> Result<(), ApiError> {
    match is_station_range(cidr) {
        true => Ok(()),
        false => {
            let text = format!(
                "{cidr} has addresses that no guest can have, expected a range of unicast addresses without 0.0.0.0/8, 127.0.0.0/8, \
                 ::/127 and ::ffff:0:0/96"
            );
            Err(ApiError::invalid("cidr", text))
        }
    }
}

/// Refuses a subnet of which hosts could not be told all.
pub fn check_subnet(id: &SubnetId, subnet: &Subnet, network: &Network) -> Result<(), ApiError> {
    anet_plan::check_subnet(id, subnet, network).map_err(|error| refused(attribute_of_subnet(&error), &error))
}

/// Refuses an MTU with which one of the network's subnets could not be.
pub fn check_mtu<'a>(
    network: &Network,
    subnets: impl Iterator<Item = (&'a SubnetId, &'a Subnet)>,
) -> Result<(), ApiError> {
    for (id, subnet) in subnets {
        if let Err(error) = anet_plan::check_subnet(id, subnet, network)
            && error.field == "prefix"
        {
            let text = format!(
                "subnet {id} ({}): {}, expected 1280 or more",
                subnet.cidr, error.problem
            );
            return Err(ApiError::invalid("mtu", text));
        }
    }
    Ok(())
}

/// Refuses an address that other hosts cannot send to.
pub fn check_tunnel_address(attribute: &str, address: IpAddr) -> Result<(), ApiError> {
    match is_tunnel_between_hosts(address) {
        true => Ok(()),
        false => {
            let text = format!(
                "{address} cannot be the end of a tunnel, expected a unicast address that other hosts reach, neither link-local nor \
                 loopback"
            );
            Err(ApiError::invalid(attribute, text))
        }
    }
}

/// Refuses a port that no packet can be sent to.
pub fn check_tunnel_port(attribute: &str, address: IpAddr, udp_port: u16) -> Result<(), ApiError> {
    tunnel_alone(address, udp_port).map_err(|error| refused(attribute, &error))
}

/// Refuses an address that no guest can have.
pub fn check_station_address(attribute: &str, address: IpAddr) -> Result<(), ApiError> {
    match is_station_address(address) {
        true => Ok(()),
        false => {
            let text = format!("{address} is an address that no guest can have, expected a unicast address");
            Err(ApiError::invalid(attribute, text))
        }
    }
}

fn refused(attribute: &str, error: &ValidationError) -> ApiError {
    ApiError::invalid(
        attribute,
        format!("{}, expected {}", error.problem, error.expected),
    )
}

fn attribute_of_subnet(error: &ValidationError) -> &'static str {
    match error.field {
        "prefix" => "cidr",
        "gateway" => "gateway_ip",
        "dns_servers" => "dns_nameservers",
        other => other,
    }
}
