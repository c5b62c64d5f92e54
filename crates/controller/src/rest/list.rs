//! Objects as a caller sees them: their own, or, for an administrator, all.

use anet_api::resource::{
    foreign_endpoint_to_json, host_to_json, port_to_json, project_to_json, subnet_to_json, visible,
};
use anet_api::{ApiError, Resource};
use serde_json::{Map, Value};

use crate::core::admit::{Caller, foreign_endpoint, host, network, port, rule, security_group, subnet};
use crate::core::fabric::Fabric;

/// An object as JSON.
type Object = Map<String, Value>;

/// All objects of a resource that the caller may see.
pub fn all(state: &Fabric, resource: Resource, caller: &Caller) -> Vec<Object> {
    let (mirror, intent) = (state.mirror(), state.mirror().intent());
    let objects: Vec<Object> = match resource {
        Resource::Project => {
            let mine = intent.projects.iter().filter(|(id, _)| caller.sees(id));
            mine.map(|(id, project)| project_to_json(id, project)).collect()
        }
        Resource::Network => {
            let mine = intent
                .networks
                .iter()
                .filter(|(_, network)| caller.sees(&network.project));
            mine.map(|(id, network)| network::show(mirror, id, network))
                .collect()
        }
        Resource::Subnet => {
            let mine = intent
                .subnets
                .iter()
                .filter(|(_, subnet)| caller.sees(&subnet.project));
            mine.map(|(id, subnet)| subnet_to_json(id, subnet)).collect()
        }
        Resource::Port => {
            let mine = intent.ports.iter().filter(|(_, port)| caller.sees(&port.project));
            mine.map(|(id, port)| port_to_json(id, port, state.port_status(id)))
                .collect()
        }
        Resource::SecurityGroup => {
            let mine = intent
                .security_groups
                .iter()
                .filter(|(_, group)| caller.sees(&group.project));
            mine.map(|(id, group)| security_group::show(mirror, id, group))
                .collect()
        }
        Resource::SecurityGroupRule => {
            let mine = intent.rules.iter().filter(|(_, rule)| caller.sees(&rule.project));
            mine.map(|(id, rule)| rule::show(mirror, id, rule)).collect()
        }
        Resource::Host => {
            let all = intent.hosts.iter().filter(|_| caller.admin);
            all.map(|(id, host)| host_to_json(id, host, &state.observed(id)))
                .collect()
        }
        Resource::ForeignEndpoint => {
            let all = intent.foreign_endpoints.iter().filter(|_| caller.admin);
            all.map(|(id, endpoint)| foreign_endpoint_to_json(id, endpoint))
                .collect()
        }
    };
    objects
        .into_iter()
        .map(|object| visible(resource, caller.role(), object))
        .collect()
}

/// One object that the caller may see.
pub fn one(state: &Fabric, resource: Resource, id: &str, caller: &Caller) -> Result<Object, ApiError> {
    let mirror = state.mirror();
    let object = match resource {
        Resource::Project => {
            let found = mirror
                .intent()
                .projects
                .iter()
                .find(|(known, _)| known.as_str() == id);
            let (id, project) = found
                .filter(|(id, _)| caller.sees(id))
                .ok_or_else(|| ApiError::not_found(resource, id))?;
            project_to_json(id, project)
        }
        Resource::Network => {
            let (id, network) = network::find(mirror, caller, id)?;
            network::show(mirror, &id, &network)
        }
        Resource::Subnet => {
            let (id, subnet) = subnet::find(mirror, caller, id)?;
            subnet_to_json(&id, &subnet)
        }
        Resource::Port => {
            let (id, port) = port::find(mirror, caller, id)?;
            port_to_json(&id, &port, state.port_status(&id))
        }
        Resource::SecurityGroup => {
            let (id, group) = security_group::find(mirror, caller, id)?;
            security_group::show(mirror, &id, &group)
        }
        Resource::SecurityGroupRule => {
            let (id, found) = rule::find(mirror, caller, id)?;
            rule::show(mirror, &id, &found)
        }
        Resource::Host => {
            let (id, host) = host::find(mirror, caller, id)?;
            host_to_json(&id, &host, &state.observed(&id))
        }
        Resource::ForeignEndpoint => {
            let (id, endpoint) = foreign_endpoint::find(mirror, caller, id)?;
            foreign_endpoint_to_json(&id, &endpoint)
        }
    };
    Ok(visible(resource, caller.role(), object))
}
