//! What a description must not contradict.

use std::collections::BTreeSet;

use super::{Description, Group, GuestOf, Network, Project, Rule};
use crate::standing::MANAGEMENT;

/// Longest name of a lab.
const LAB_NAME: usize = 24;
/// Longest name of a host, machine or guest: a folder, a part of a namespace's name.
const MEMBER_NAME: usize = 32;
/// Most hosts and machines, and most guests: what a machine can carry at all.
const MEMBERS: usize = 200;
/// Longest name of an object of the API.
const OBJECT_NAME: usize = 255;
/// Names of parts that every lab has.
const RESERVED: [&str; 3] = ["controller", "management", "underlay"];

/// Why a name cannot be a lab's.
pub fn lab_name(name: &str) -> Result<(), String> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if first && name.len() <= LAB_NAME && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "`{name}` cannot be a lab's name: it is a letter and up to {} more characters out of a-z, 0-9 and -",
        LAB_NAME - 1
    ))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// The first thing that is wrong.
pub fn check(lab: &Description) -> Result<(), String> {
    lab_name(&lab.name)?;
    members(lab)?;
    underlay(lab)?;
    lab.projects.iter().try_for_each(|(name, content)| {
        object_name(name)?;
        project(content).map_err(|why| format!("project `{name}`: {why}"))
    })?;
    lab.guests()
        .try_for_each(|guest| self::guest(lab, guest).map_err(|why| format!("guest `{}`: {why}", guest.name)))
}

fn members(lab: &Description) -> Result<(), String> {
    if lab.hosts.is_empty() {
        return Err("`hosts` names no host".to_owned());
    }
    let mut seen = BTreeSet::from(RESERVED);
    let guests = lab.guests().map(|guest| guest.name);
    for name in lab.hosts.names().chain(lab.machines.names()).chain(guests) {
        if !name.bytes().all(is_plain) || name.is_empty() || name.len() > MEMBER_NAME || name.starts_with('-')
        {
            return Err(format!(
                "`{name}` cannot be the name of a host, machine or guest: it has 1 to {MEMBER_NAME} characters out of \
                 a-z, 0-9 and -"
            ));
        }
        if !seen.insert(name) {
            return Err(format!(
                "the name `{name}` is taken: hosts, machines and guests of all projects have names of their own, \
                 and {} are taken always",
                RESERVED.join(", ")
            ));
        }
    }
    if seen.len() > MEMBERS + RESERVED.len() {
        return Err(format!(
            "more than {MEMBERS} hosts, machines and guests do not fit on one machine"
        ));
    }
    Ok(())
}

fn underlay(lab: &Description) -> Result<(), String> {
    let underlay = &lab.underlay;
    if underlay.ipv4.is_some_and(|range| range.address().is_ipv6()) {
        return Err("`underlay.ipv4` is an IPv6 range".to_owned());
    }
    if underlay.ipv6.is_some_and(|range| range.address().is_ipv4()) {
        return Err("`underlay.ipv6` is an IPv4 range".to_owned());
    }
    if underlay.ipv4.is_some() && underlay.ipv6.is_some() {
        return Err(
            "`underlay` has an IPv4 and an IPv6 range: a tunnel endpoint has one address, say one".to_owned(),
        );
    }
    if !(1_280..=65_000).contains(&underlay.mtu) {
        return Err(format!(
            "`underlay.mtu` is {}: 1280 to 65000 are possible",
            underlay.mtu
        ));
    }
    let management: anet_packet::addr::IpPrefix = MANAGEMENT.parse().expect("a prefix");
    let range = underlay.range();
    if management.contains(range.address()) || range.contains(management.address()) {
        return Err(format!(
            "the underlay's range {range} overlaps {MANAGEMENT}, which is the management network's"
        ));
    }
    lab.links().map(drop)
}

fn object_name(name: &str) -> Result<(), String> {
    match (1..=OBJECT_NAME).contains(&name.len()) {
        true => Ok(()),
        false => Err(format!("`{name}`: a name has 1 to {OBJECT_NAME} characters")),
    }
}

fn project(project: &Project) -> Result<(), String> {
    for (name, content) in project.networks.iter() {
        object_name(name)?;
        network(content).map_err(|why| format!("network `{name}`: {why}"))?;
    }
    for (name, content) in project.security_groups.iter() {
        object_name(name)?;
        group(content, project).map_err(|why| format!("security group `{name}`: {why}"))?;
    }
    Ok(())
}

fn network(network: &Network) -> Result<(), String> {
    for (name, subnet) in network.subnets.iter() {
        object_name(name)?;
        let Some(cidr) = subnet.cidr else {
            return Err(format!("subnet `{name}` has no `cidr`"));
        };
        if let Some(gateway) = subnet.gateway.filter(|gateway| !cidr.contains(*gateway)) {
            return Err(format!("subnet `{name}`: its gateway {gateway} is not in {cidr}"));
        }
        let family = cidr.address().is_ipv4();
        if let Some(server) = subnet
            .dns_nameservers
            .iter()
            .find(|server| server.is_ipv4() != family)
        {
            return Err(format!(
                "subnet `{name}`: its name server {server} is of the other family"
            ));
        }
    }
    Ok(())
}

fn group(group: &Group, project: &Project) -> Result<(), String> {
    for (number, rule) in group.rules.iter().enumerate() {
        self::rule(rule, project).map_err(|why| format!("rule {}: {why}", number + 1))?;
    }
    Ok(())
}

fn rule(rule: &Rule, project: &Project) -> Result<(), String> {
    if let Some(remote) = rule
        .remote_group
        .as_deref()
        .filter(|remote| project.security_groups.get(remote).is_none())
    {
        return Err(format!("there is no security group `{remote}` in the project"));
    }
    if rule.remote_group.is_some() && rule.remote_ip_prefix.is_some() {
        return Err("`remote_group` and `remote_ip_prefix` exclude each other".to_owned());
    }
    let has_ports = matches!(rule.protocol.as_deref(), Some("tcp" | "udp"));
    if rule.ports.is_some() && !has_ports {
        return Err("`ports` are for the protocols tcp and udp".to_owned());
    }
    Ok(())
}

fn guest(lab: &Description, guest: GuestOf<'_>) -> Result<(), String> {
    let said = guest.guest;
    let Some(network) = lab.network_of(guest) else {
        return Err(format!("there is no network `{}` in its project", said.network));
    };
    if lab.hosts.get(&said.host).is_none() {
        return Err(format!("there is no host `{}`", said.host));
    }
    let groups = lab
        .projects
        .get(guest.project)
        .map(|project| &project.security_groups);
    let unknown = said
        .security_groups
        .iter()
        .find(|name| groups.is_none_or(|groups| groups.get(name).is_none()));
    if let Some(unknown) = unknown {
        return Err(format!("there is no security group `{unknown}` in its project"));
    }
    let homeless = said.addresses.iter().find(|address| {
        !network
            .subnets
            .iter()
            .any(|(_, subnet)| subnet.cidr.is_some_and(|cidr| cidr.contains(**address)))
    });
    match homeless {
        Some(address) => Err(format!("{address} is in no subnet of network `{}`", said.network)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::description::parse;

    const FINE: &str = "
name: fine
underlay: {mtu: 1500}
hosts: {host-1: , host-2: }
machines: {linux: }
projects:
  red:
    networks: {front: {subnets: {four: {cidr: 10.0.0.0/24, gateway: 10.0.0.1, dns_nameservers: [10.0.0.2]}}}}
    security_groups: {web: {rules: [{protocol: tcp, ports: 80, remote_group: web}]}}
    guests: {web-1: {network: front, host: host-1, security_groups: [web], addresses: [10.0.0.11]}}
";

    #[test]
    fn contradictions_are_refused_with_the_names_concerned() {
        parse(FINE).unwrap();
        for (from, to, word) in [
            ("name: fine", "name: Fine", "lab's name"),
            ("name: fine", "name: a.b", "lab's name"),
            ("name: fine", "name: abcdefghijklmnopqrstuvwxyz", "lab's name"),
            ("linux:", "host-1:", "`host-1` is taken"),
            ("linux:", "controller:", "`controller` is taken"),
            ("linux:", "../x:", "cannot be the name"),
            ("mtu: 1500", "mtu: 100", "underlay.mtu"),
            ("mtu: 1500", "ipv4: 2001:db8::/64", "underlay.ipv4"),
            ("mtu: 1500", "ipv4: 100.64.0.0/24", "management"),
            ("gateway: 10.0.0.1", "gateway: 10.0.1.1", "gateway 10.0.1.1"),
            ("[10.0.0.2]", "['fd00::1']", "other family"),
            ("cidr: 10.0.0.0/24, ", "", "no `cidr`"),
            ("remote_group: web", "remote_group: db", "no security group `db`"),
            (
                "remote_group: web",
                "remote_group: web, remote_ip_prefix: 10.0.0.0/8",
                "exclude",
            ),
            ("protocol: tcp", "protocol: icmp", "`ports` are for"),
            ("network: front", "network: back", "no network `back`"),
            ("host: host-1", "host: host-3", "no host `host-3`"),
            (
                "security_groups: [web]",
                "security_groups: [db]",
                "no security group `db`",
            ),
            ("addresses: [10.0.0.11]", "addresses: [10.0.1.11]", "in no subnet"),
            ("hosts: {host-1: , host-2: }", "hosts: {}", "no host"),
        ] {
            let error = parse(&FINE.replace(from, to)).unwrap_err();
            assert!(error.contains(word), "{to}: {error}");
        }
    }
}
