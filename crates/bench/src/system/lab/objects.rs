//! Many objects, made through the API as a user would.

use anet_api::resource::Resource;
use anet_lab::standing::Rest;
use serde_json::{Value, json};

use super::HOSTS;
use crate::error::BenchError;

/// Ports that one request makes: what one transaction of the store has room for.
const AT_ONCE: usize = 20;

/// A project with two security groups, whose ports are in both: one lets its members reach each other, the other lets anybody
/// reach web servers.
pub struct Tenant<'r> {
    rest: &'r Rest,
    project: String,
    groups: [String; 2],
}

impl<'r> Tenant<'r> {
    /// Makes one.
    pub fn new(rest: &'r Rest, name: &str) -> Result<Self, BenchError> {
        let project = made(rest, Resource::Project, json!({"name": name}))?;
        let group = |name: &str| {
            let body = json!({"name": name, "project_id": project});
            made(rest, Resource::SecurityGroup, body)
        };
        let groups = [group("members")?, group("web")?];
        let rules = [
            json!({"security_group_id": groups[0], "remote_group_id": groups[0]}),
            json!({"security_group_id": groups[1], "protocol": "icmp"}),
            json!({"security_group_id": groups[1], "protocol": "tcp", "port_range_min": 80, "port_range_max": 80}),
        ];
        for mut rule in rules {
            rule["direction"] = json!("ingress");
            rule["ethertype"] = json!("IPv4");
            made(rest, Resource::SecurityGroupRule, rule)?;
        }
        Ok(Self {
            rest,
            project,
            groups,
        })
    }

    /// Makes a network with a subnet and ports, on one host or on all in turn.
    pub fn network(&self, cidr: &str, ports: usize, host: Option<&str>) -> Result<(), BenchError> {
        let body = json!({"project_id": self.project});
        let network = made(self.rest, Resource::Network, body)?;
        let body = json!({"network_id": network, "ip_version": 4, "cidr": cidr});
        made(self.rest, Resource::Subnet, body)?;
        let port = |number: usize| {
            json!({
                "network_id": network, "security_groups": self.groups,
                "binding:host_id": host.unwrap_or(HOSTS[number % HOSTS.len()]),
                "device_owner": "compute:bench",
            })
        };
        let all: Vec<Value> = (0..ports).map(port).collect();
        for some in all.chunks(AT_ONCE) {
            self.rest.create_many(Resource::Port, some)?;
        }
        Ok(())
    }
}

/// Makes an object: its id.
pub fn made(rest: &Rest, resource: Resource, attributes: Value) -> Result<String, BenchError> {
    let object = rest.create(resource, attributes)?;
    let id = object.get("id").and_then(Value::as_str);
    id.map(str::to_owned)
        .ok_or_else(|| BenchError::Void(format!("{} has no id: {object}", resource.title())))
}
