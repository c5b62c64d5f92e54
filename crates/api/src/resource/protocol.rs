//! IP protocols by name or number, as Neutron's rules write them.

use anet_model::host_plan::{Family, Protocol};
use serde_json::Value;

use super::ProtocolName;
use crate::error::excerpt;

/// Names that Neutron knows beside tcp, udp and icmp.
const NAMES: [(&str, u8); 23] = [
    ("ah", 51),
    ("dccp", 33),
    ("egp", 8),
    ("esp", 50),
    ("gre", 47),
    ("icmpv6", 58),
    ("igmp", 2),
    ("ipip", 4),
    ("ipv6-encap", 41),
    ("ipv6-frag", 44),
    ("ipv6-icmp", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("ipv6-route", 43),
    ("ospf", 89),
    ("pgm", 113),
    ("rsvp", 46),
    ("sctp", 132),
    ("tcp", 6),
    ("udp", 17),
    ("udplite", 136),
    ("vrrp", 112),
    ("hopopt", 0),
];

/// The protocol that a rule's JSON names; `null` is any.
pub(super) fn parse(value: &Value) -> Result<ProtocolName, String> {
    let text = match value {
        Value::Null => return Ok(ProtocolName::Any),
        Value::String(text) => text.to_ascii_lowercase(),
        other => other.to_string(),
    };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match (text.as_str(), NAMES.iter().find(|(name, _)| *name == text)) {
        ("any" | "ip", _) => Ok(ProtocolName::Any),
        ("icmp" | "1", _) => Ok(ProtocolName::Icmp),
        (_, Some((_, number))) => Ok(ProtocolName::Number(*number)),
        _ => text
            .parse()
            .ok()
            .filter(|_| digits)
            .map(ProtocolName::Number)
            .ok_or_else(|| {
                format!(
                    "'{}' is not tcp, udp, icmp, ipv6-icmp, any, another protocol's name, or a number from 0 to 255",
                    excerpt(&text)
                )
            }),
    }
}

/// How Neutron writes a rule's protocol, with `port_range_min` and `port_range_max`.
pub(super) fn to_json(protocol: Protocol, family: Family) -> [Value; 3] {
    use anet_model::host_plan::PortRange;
    let ports = |range: PortRange| {
        if range == PortRange::ALL {
            [Value::Null, Value::Null]
        } else {
            [range.first.into(), range.last.into()]
        }
    };
    let (name, [first, last]): (Value, _) = match protocol {
        Protocol::Any => (Value::Null, [Value::Null, Value::Null]),
        Protocol::Tcp(range) => ("tcp".into(), ports(range)),
        Protocol::Udp(range) => ("udp".into(), ports(range)),
        Protocol::Icmp { kind, code } => {
            let name = if family == Family::Ipv4 {
                "icmp"
            } else {
                "ipv6-icmp"
            };
            (name.into(), [kind.into(), code.into()])
        }
        Protocol::Number(number) => (name_of(number).into(), [Value::Null, Value::Null]),
    };
    [name, first, last]
}

/// The name of a protocol; its number where it has none.
pub(super) fn name_of(number: u8) -> String {
    let known = NAMES.iter().rev().find(|(_, of)| *of == number);
    known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_string())
}
