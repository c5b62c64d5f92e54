//! Security groups and their rules out of a document.

use anet_model::host_plan::{Direction, Family, PortRange, Protocol, Remote, Rule, SecurityGroup};

use super::decode::entries_of;
use super::document::{Node, Path, Shown, Value};
use super::keys;
use super::scalar::{Object, Outcome, digits, id, number_u8, prefix, text, word, wrong};

/// The words of [`Direction`].
pub(super) const DIRECTIONS: [(&str, Direction); 2] =
    [("ingress", Direction::Ingress), ("egress", Direction::Egress)];

/// The words of [`Family`], as Neutron's ether types.
pub(super) const ETHERTYPES: [(&str, Family); 2] = [("IPv4", Family::Ipv4), ("IPv6", Family::Ipv6)];

pub(super) fn security_group(node: &Node<'_>, path: &Path<'_>) -> Outcome<SecurityGroup> {
    let object = Object::of(node, path, keys::SECURITY_GROUP)?;
    let rules = object.optional("rules", |node, path| entries_of(node, path, rule)?.collect())?;
    Ok(SecurityGroup {
        rules: rules.unwrap_or_default(),
    })
}

fn rule(node: &Node<'_>, path: &Path<'_>) -> Outcome<Rule> {
    let object = Object::of(node, path, keys::RULE)?;
    Ok(Rule {
        direction: object.required("direction", |node, path| word(node, path, &DIRECTIONS))?,
        family: object.required("ethertype", |node, path| word(node, path, &ETHERTYPES))?,
        protocol: protocol(&object)?,
        remote: object.optional("remote", remote)?.unwrap_or(Remote::Any),
    })
}

/// What `protocol` names, before ports and types are known.
#[derive(Clone, Copy)]
enum Name {
    Any,
    Tcp,
    Udp,
    Icmp,
    Number(u8),
}

fn protocol(object: &Object<'_, '_, '_>) -> Outcome<Protocol> {
    let name = object.optional("protocol", protocol_name)?.unwrap_or(Name::Any);
    if !matches!(name, Name::Tcp | Name::Udp) && object.get("ports").is_some() {
        return object.refuse(
            "ports",
            "only TCP and UDP have ports",
            "`protocol: tcp` or `protocol: udp` beside it",
        );
    }
    for key in ["type", "code"] {
        if !matches!(name, Name::Icmp) && object.get(key).is_some() {
            return object.refuse(key, "only ICMP has types and codes", "`protocol: icmp` beside it");
        }
    }
    let ports = || {
        object
            .optional("ports", port_range)
            .map(|range| range.unwrap_or(PortRange::ALL))
    };
    Ok(match name {
        Name::Any => Protocol::Any,
        Name::Tcp => Protocol::Tcp(ports()?),
        Name::Udp => Protocol::Udp(ports()?),
        Name::Icmp => Protocol::Icmp {
            kind: object.optional("type", number_u8)?,
            code: object.optional("code", number_u8)?,
        },
        Name::Number(number) => Protocol::Number(number),
    })
}

fn protocol_name(node: &Node<'_>, path: &Path<'_>) -> Outcome<Name> {
    let text = text(node, path)?;
    match (text.as_str(), digits(&text)) {
        ("any", _) => Ok(Name::Any),
        ("tcp", _) => Ok(Name::Tcp),
        ("udp", _) => Ok(Name::Udp),
        ("icmp", _) => Ok(Name::Icmp),
        (_, Some(number)) => Ok(Name::Number(number)),
        (other, None) => {
            let expected = "any, tcp, udp, icmp (ICMPv6 in an IPv6 rule) or a number, 0 to 255";
            wrong(
                node,
                path,
                format!("`{}` is not a protocol", Shown(other)),
                expected,
            )
        }
    }
}

/// `PORT` or `FIRST-LAST`.
fn port_range(node: &Node<'_>, path: &Path<'_>) -> Outcome<PortRange> {
    let text = text(node, path)?;
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    match (digits(first.trim()), digits(last.trim())) {
        (Some(first), Some(last)) if first <= last => Ok(PortRange { first, last }),
        _ => {
            let problem = format!("`{}` is not a range of ports", Shown(&text));
            wrong(
                node,
                path,
                problem,
                "PORT or FIRST-LAST, each 0 to 65535, FIRST not above LAST",
            )
        }
    }
}

/// A prefix, or `{set: NAME}`.
fn remote(node: &Node<'_>, path: &Path<'_>) -> Outcome<Remote> {
    match node.value {
        Value::Mapping(_) => {
            let object = Object::of(node, path, keys::REMOTE_SET)?;
            Ok(Remote::Set(object.required("set", id)?))
        }
        Value::List(_) => wrong(
            node,
            path,
            "a list does not belong here",
            "a prefix, or {set: NAME} for several",
        ),
        Value::Scalar { .. } => Ok(Remote::Prefix(prefix(node, path)?)),
    }
}
