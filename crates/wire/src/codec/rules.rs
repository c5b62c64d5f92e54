//! Security groups, rules and address sets.

use std::collections::BTreeMap;

use anet_model::host_plan::{
    AddressSet, Direction, Family, PortRange, Protocol, Remote, Rule, RuleId, SecurityGroup,
};

use super::field::{
    DecodeError, Decoded, at, each, id, number, optional_number, prefix, prefix_message, required,
};
use super::proto;

pub(super) fn security_group(message: proto::SecurityGroup) -> Decoded<SecurityGroup> {
    let named = |named: proto::NamedRule| {
        Ok((
            id("id", &named.id)?,
            at("rule", rule(required("rule", named.rule)?))?,
        ))
    };
    let list: Vec<(RuleId, Rule)> = each("rules", message.rules, named)?;
    let mut rules = BTreeMap::new();
    for (id, rule) in list {
        if rules.insert(id.clone(), rule).is_some() {
            return Err(DecodeError::new(format!("rule {id} is there twice")).inside("rules"));
        }
    }
    Ok(SecurityGroup { rules })
}

pub(super) fn security_group_message(group: &SecurityGroup) -> proto::SecurityGroup {
    let named = |(id, rule): (&RuleId, &Rule)| proto::NamedRule {
        id: id.to_string(),
        rule: Some(rule_message(rule)),
    };
    proto::SecurityGroup {
        rules: group.rules.iter().map(named).collect(),
    }
}

pub(super) fn rule(message: proto::Rule) -> Decoded<Rule> {
    let direction = match proto::Direction::try_from(message.direction) {
        Ok(proto::Direction::Ingress) => Some(Direction::Ingress),
        Ok(proto::Direction::Egress) => Some(Direction::Egress),
        Ok(proto::Direction::Unspecified) | Err(_) => None,
    };
    let family = match proto::Family::try_from(message.family) {
        Ok(proto::Family::Ipv4) => Some(Family::Ipv4),
        Ok(proto::Family::Ipv6) => Some(Family::Ipv6),
        Ok(proto::Family::Unspecified) | Err(_) => None,
    };
    Ok(Rule {
        direction: required("direction", direction)?,
        family: required("family", family)?,
        protocol: at("protocol", protocol(required("protocol", message.protocol)?))?,
        remote: at("remote", remote(required("remote", message.remote)?))?,
    })
}

fn protocol(message: proto::Protocol) -> Decoded<Protocol> {
    use proto::protocol::Protocol as Kind;
    let range = |range: proto::PortRange| {
        Ok::<_, DecodeError>(PortRange {
            first: number("first", range.first)?,
            last: number("last", range.last)?,
        })
    };
    Ok(match required("protocol", message.protocol)? {
        Kind::Any(proto::Any {}) => Protocol::Any,
        Kind::Tcp(ports) => Protocol::Tcp(at("tcp", range(ports))?),
        Kind::Udp(ports) => Protocol::Udp(at("udp", range(ports))?),
        Kind::Icmp(icmp) => Protocol::Icmp {
            kind: optional_number("icmp.type", icmp.r#type)?,
            code: optional_number("icmp.code", icmp.code)?,
        },
        Kind::Number(value) => Protocol::Number(number("number", value)?),
    })
}

fn remote(message: proto::Remote) -> Decoded<Remote> {
    use proto::remote::Remote as Kind;
    Ok(match required("remote", message.remote)? {
        Kind::Any(proto::Any {}) => Remote::Any,
        Kind::Prefix(message) => Remote::Prefix(at("prefix", prefix(message))?),
        Kind::AddressSet(text) => Remote::Set(id("address_set", &text)?),
    })
}

pub(super) fn rule_message(rule: &Rule) -> proto::Rule {
    let direction = match rule.direction {
        Direction::Ingress => proto::Direction::Ingress,
        Direction::Egress => proto::Direction::Egress,
    };
    let family = match rule.family {
        Family::Ipv4 => proto::Family::Ipv4,
        Family::Ipv6 => proto::Family::Ipv6,
    };
    proto::Rule {
        direction: direction.into(),
        family: family.into(),
        protocol: Some(protocol_message(rule.protocol)),
        remote: Some(remote_message(&rule.remote)),
    }
}

fn protocol_message(protocol: Protocol) -> proto::Protocol {
    use proto::protocol::Protocol as Kind;
    let range = |range: PortRange| proto::PortRange {
        first: range.first.into(),
        last: range.last.into(),
    };
    let kind = match protocol {
        Protocol::Any => Kind::Any(proto::Any {}),
        Protocol::Tcp(ports) => Kind::Tcp(range(ports)),
        Protocol::Udp(ports) => Kind::Udp(range(ports)),
        Protocol::Icmp { kind, code } => Kind::Icmp(proto::Icmp {
            r#type: kind.map(Into::into),
            code: code.map(Into::into),
        }),
        Protocol::Number(number) => Kind::Number(number.into()),
    };
    proto::Protocol { protocol: Some(kind) }
}

fn remote_message(remote: &Remote) -> proto::Remote {
    use proto::remote::Remote as Kind;
    let kind = match remote {
        Remote::Any => Kind::Any(proto::Any {}),
        Remote::Prefix(prefix) => Kind::Prefix(prefix_message(*prefix)),
        Remote::Set(set) => Kind::AddressSet(set.to_string()),
    };
    proto::Remote { remote: Some(kind) }
}

pub(super) fn address_set(message: proto::AddressSet) -> Decoded<AddressSet> {
    Ok(AddressSet {
        members: each("members", message.members, prefix)?,
    })
}

pub(super) fn address_set_message(set: &AddressSet) -> proto::AddressSet {
    proto::AddressSet {
        members: set.members.iter().copied().map(prefix_message).collect(),
    }
}
