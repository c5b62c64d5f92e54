//! Traces: what to send, and what became of it.

use super::field::{
    DecodeError, Decoded, address, address_bytes, at, id, mac, number, optional, optional_number, required,
};
use super::proto;
use crate::control::trace::{
    TraceFields, TracePacket, TraceProtocol, TraceReport, TraceRequest, TraceSource, TraceStep, TraceVerdict,
};
use proto::trace_fields::Protocol as Layer4;
use proto::trace_report::Verdict;
use proto::trace_request::Packet;

/// Bytes of an Ethernet header, which a frame must at least have.
const FRAME_MINIMUM: usize = 14;

pub(super) fn request(message: proto::TraceRequest) -> Decoded<TraceRequest> {
    let packet = match required("packet", message.packet)? {
        Packet::Frame(frame) if !(FRAME_MINIMUM..=TracePacket::FRAME_MAXIMUM).contains(&frame.len()) => {
            let problem = format!(
                "{} bytes are out of range: expected 14 to {}",
                frame.len(),
                TracePacket::FRAME_MAXIMUM
            );
            return Err(DecodeError::new(problem).inside("frame"));
        }
        Packet::Frame(frame) => TracePacket::Frame(frame),
        Packet::Fields(message) => TracePacket::Fields(at("fields", fields(message))?),
    };
    let from = match message.tunnel {
        Some(tunnel) => TraceSource::Tunnel {
            endpoint: id("tunnel.endpoint", &tunnel.endpoint)?,
            network: id("tunnel.network", &tunnel.network)?,
        },
        None => TraceSource::Port(id("port", &message.port)?),
    };
    Ok(TraceRequest { from, packet })
}

pub(super) fn request_message(request: &TraceRequest) -> proto::TraceRequest {
    let packet = match &request.packet {
        TracePacket::Frame(frame) => Packet::Frame(frame.clone()),
        TracePacket::Fields(fields) => Packet::Fields(fields_message(fields)),
    };
    let (port, tunnel) = match &request.from {
        TraceSource::Port(port) => (port.to_string(), None),
        TraceSource::Tunnel { endpoint, network } => {
            let (endpoint, network) = (endpoint.to_string(), network.to_string());
            (String::new(), Some(proto::TraceTunnel { endpoint, network }))
        }
    };
    proto::TraceRequest {
        port,
        packet: Some(packet),
        tunnel,
    }
}

fn fields(message: proto::TraceFields) -> Decoded<TraceFields> {
    let ports = |ports: proto::TracePorts| {
        Ok::<_, DecodeError>((
            optional_number("source", ports.source)?,
            number("destination", ports.destination)?,
        ))
    };
    let protocol = match required("protocol", message.protocol)? {
        Layer4::Tcp(message) => {
            let (source_port, destination_port) = at("tcp", ports(message))?;
            TraceProtocol::Tcp {
                source_port,
                destination_port,
            }
        }
        Layer4::Udp(message) => {
            let (source_port, destination_port) = at("udp", ports(message))?;
            TraceProtocol::Udp {
                source_port,
                destination_port,
            }
        }
        Layer4::Icmp(message) => TraceProtocol::Icmp {
            kind: optional_number("icmp.type", message.r#type)?,
            code: optional_number("icmp.code", message.code)?,
        },
    };
    Ok(TraceFields {
        source: optional("source", message.source, address)?,
        destination: at("destination", address(message.destination))?,
        destination_mac: optional("destination_mac", message.destination_mac, |bytes| mac(&bytes))?,
        protocol,
    })
}

fn fields_message(fields: &TraceFields) -> proto::TraceFields {
    let ports = |source: Option<u16>, destination: u16| proto::TracePorts {
        source: source.map(Into::into),
        destination: destination.into(),
    };
    let protocol = match fields.protocol {
        TraceProtocol::Tcp {
            source_port,
            destination_port,
        } => Layer4::Tcp(ports(source_port, destination_port)),
        TraceProtocol::Udp {
            source_port,
            destination_port,
        } => Layer4::Udp(ports(source_port, destination_port)),
        TraceProtocol::Icmp { kind, code } => Layer4::Icmp(proto::TraceIcmp {
            r#type: kind.map(Into::into),
            code: code.map(Into::into),
        }),
    };
    proto::TraceFields {
        source: fields.source.map(address_bytes),
        destination: address_bytes(fields.destination),
        destination_mac: fields.destination_mac.map(|mac| mac.0.to_vec()),
        protocol: Some(protocol),
    }
}

pub(super) fn report(message: proto::TraceReport) -> Decoded<TraceReport> {
    let verdict = match required("verdict", message.verdict)? {
        Verdict::Forwarded(proto::Forwarded { to }) => TraceVerdict::Forwarded { to },
        Verdict::Answered(proto::Answered { with }) => TraceVerdict::Answered { with },
        Verdict::Dropped(proto::Dropped { reason, object }) => TraceVerdict::Dropped { reason, object },
    };
    let step = |proto::TraceStep {
                    stage,
                    what,
                    object,
                    outcome,
                }| TraceStep {
        stage,
        what,
        object,
        outcome,
    };
    Ok(TraceReport {
        steps: message.steps.into_iter().map(step).collect(),
        verdict,
    })
}

pub(super) fn report_message(report: &TraceReport) -> proto::TraceReport {
    let step = |step: &TraceStep| {
        let TraceStep {
            stage,
            what,
            object,
            outcome,
        } = step.clone();
        proto::TraceStep {
            stage,
            what,
            object,
            outcome,
        }
    };
    let verdict = match report.verdict.clone() {
        TraceVerdict::Forwarded { to } => Verdict::Forwarded(proto::Forwarded { to }),
        TraceVerdict::Answered { with } => Verdict::Answered(proto::Answered { with }),
        TraceVerdict::Dropped { reason, object } => Verdict::Dropped(proto::Dropped { reason, object }),
    };
    proto::TraceReport {
        steps: report.steps.iter().map(step).collect(),
        verdict: Some(verdict),
    }
}
