//! A packet's way through the fabric, asked for and told: `POST /anet/v1/trace`.

use std::net::IpAddr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::excerpt;

/// Where it is asked for.
pub const TRACE_PATH: &str = "/anet/v1/trace";

/// Which packet. What is not of it, or not legal, is refused by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct TraceRequest {
    /// The id of the port whose guest sends it.
    pub port_id: String,
    /// Where it is sent to.
    pub destination: IpAddr,
    /// From where; the port's own address of that family where `None`.
    pub source: Option<IpAddr>,
    /// Layer 4.
    #[serde(flatten)]
    pub protocol: TraceProtocol,
}

impl TryFrom<Map<String, Value>> for TraceRequest {
    type Error = String;

    fn try_from(mut object: Map<String, Value>) -> Result<Self, String> {
        let object = &mut object;
        let request = Self {
            port_id: demanded(object, "port_id", "the id of a port")?,
            destination: demanded(object, "destination", AN_ADDRESS)?,
            source: taken(object, "source", AN_ADDRESS)?,
            protocol: protocol(object)?,
        };
        match object.keys().next() {
            None => Ok(request),
            Some(other) => Err(format!(
                "`{}` is not one of port_id, destination, source, protocol, or of this protocol",
                excerpt(other)
            )),
        }
    }
}

const AN_ADDRESS: &str = "an IP address such as 192.0.2.1 or 2001:db8::1";
const A_PORT: &str = "a port from 0 to 65535";
const A_BYTE: &str = "a number from 0 to 255";

fn protocol(object: &mut Map<String, Value>) -> Result<TraceProtocol, String> {
    let expected = "tcp, udp or icmp";
    let name: String = demanded(object, "protocol", expected)?;
    Ok(match name.as_str() {
        "tcp" => TraceProtocol::Tcp {
            source_port: taken(object, "source_port", A_PORT)?,
            destination_port: demanded(object, "destination_port", A_PORT)?,
        },
        "udp" => TraceProtocol::Udp {
            source_port: taken(object, "source_port", A_PORT)?,
            destination_port: demanded(object, "destination_port", A_PORT)?,
        },
        "icmp" => TraceProtocol::Icmp {
            icmp_type: taken(object, "icmp_type", A_BYTE)?,
            icmp_code: taken(object, "icmp_code", A_BYTE)?,
        },
        other => return Err(format!("protocol: '{}' is not {expected}", excerpt(other))),
    })
}

fn taken<T: DeserializeOwned>(
    object: &mut Map<String, Value>,
    name: &str,
    expected: &str,
) -> Result<Option<T>, String> {
    let value = object.remove(name).unwrap_or_default();
    let shown = excerpt(&value.to_string());
    serde_json::from_value(value).map_err(|_| format!("{name}: {shown} is not {expected}"))
}

fn demanded<T: DeserializeOwned>(
    object: &mut Map<String, Value>,
    name: &str,
    expected: &str,
) -> Result<T, String> {
    taken(object, name, expected)?.ok_or_else(|| format!("{name} is missing, expected {expected}"))
}

/// Layer 4 of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "protocol", rename_all = "lowercase")]
pub enum TraceProtocol {
    /// A TCP segment with SYN.
    Tcp {
        /// Source port; an ephemeral one where `None`.
        #[serde(default)]
        source_port: Option<u16>,
        /// Destination port.
        destination_port: u16,
    },
    /// A UDP datagram.
    Udp {
        /// Source port; an ephemeral one where `None`.
        #[serde(default)]
        source_port: Option<u16>,
        /// Destination port.
        destination_port: u16,
    },
    /// An ICMP or, to an IPv6 destination, ICMPv6 message.
    Icmp {
        /// Type; echo request where `None`.
        #[serde(default)]
        icmp_type: Option<u8>,
        /// Code; 0 where `None`.
        #[serde(default)]
        icmp_code: Option<u8>,
    },
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The hosts it met, in order, each with what happened there.
    pub hosts: Vec<HostTrace>,
    /// Its fate.
    pub verdict: Verdict,
    /// For a packet that was dropped: the reason out of the closed list of drop reasons.
    #[serde(default)]
    pub reason: Option<String>,
    /// Where it ended, or what dropped or answered it, such as `port web2` or `rule 5f…`.
    #[serde(default)]
    pub object: Option<String>,
    /// What to do about it.
    #[serde(default)]
    pub suggestion: Option<String>,
}

/// A packet's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It reached a guest, or a foreign endpoint.
    Delivered,
    /// A host answered it.
    Answered,
    /// It was dropped.
    Dropped,
    /// A host on its way could not be asked.
    Unknown,
}

/// What one host did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTrace {
    /// The host.
    pub host: String,
    /// By which way it came in: `port ID` or `tunnel from HOST`.
    pub entered: String,
    /// The stages it met.
    pub steps: Vec<TraceStep>,
    /// How it left, such as `forwarded to endpoint host2`; or why the host could not say.
    pub outcome: String,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TraceStep {
    /// Its name in the pipeline.
    pub stage: String,
    /// What it looked at.
    #[serde(default)]
    pub what: String,
    /// The object that decided; empty where there is none.
    #[serde(default)]
    pub object: String,
    /// What came out.
    #[serde(default)]
    pub outcome: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{TraceProtocol, TraceRequest};

    fn request(more: Value) -> Result<TraceRequest, String> {
        let mut body =
            json!({"port_id": "p", "destination": "10.0.0.6", "protocol": "tcp", "destination_port": 80});
        let object = body.as_object_mut().expect("an object");
        object.extend(more.as_object().expect("an object").clone());
        serde_json::from_value(body).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read() {
        let icmp = json!({"protocol": "icmp", "icmp_type": 8, "source": "10.0.0.5"});
        let read = request(json!({"source": null, "source_port": null})).expect("legal");
        assert_eq!(
            read.protocol,
            TraceProtocol::Tcp {
                source_port: None,
                destination_port: 80
            }
        );
        let written = serde_json::to_value(&read).expect("JSON");
        assert_eq!(
            serde_json::from_value::<TraceRequest>(written).expect("legal"),
            read
        );
        assert!(request(icmp).is_err(), "ICMP has no destination port");
    }

    #[test]
    fn what_is_not_legal_is_named() {
        for (more, part) in [
            (
                json!({"destination": "10.0.0"}),
                "destination: \"10.0.0\" is not an IP address",
            ),
            (json!({"source": 7}), "source: 7 is not an IP address"),
            (
                json!({"sorce": "10.0.0.5"}),
                "`sorce` is not one of port_id, destination, source",
            ),
            (
                json!({"destination_port": 70_000}),
                "destination_port: 70000 is not a port",
            ),
            (json!({"destination_port": null}), "destination_port is missing"),
            (
                json!({"protocol": "sctp"}),
                "protocol: 'sctp' is not tcp, udp or icmp",
            ),
            (json!({"icmp_type": 8}), "`icmp_type` is not one of"),
            (json!({"port_id": null}), "port_id is missing"),
        ] {
            let error = request(more.clone()).expect_err("not legal");
            assert!(error.contains(part), "{more}: {error}");
        }
    }
}
