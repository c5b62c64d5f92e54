//! Answers to traces: a frame is made and walked through the real pipeline with a recorder.

use std::net::IpAddr;

use anet_datapath::interface::Interface;
use anet_datapath::pipeline::{self, Environment};
use anet_datapath::tables::Tables;
use anet_datapath::trace::{Fate, Trace};
use anet_datapath::verdict::DropReason;
use anet_model::host_plan::{EndpointId, HostPlan, NetworkId, PortId};
use anet_packet::addr::Mac;
use anet_wire::control::Response;
use anet_wire::control::trace::{
    TracePacket, TraceReport, TraceRequest, TraceSource, TraceStep, TraceVerdict,
};

use super::Daemon;
use crate::clock;
use crate::core::frame::{self, FrameError};
use crate::core::tunnel_frame::{self, TunnelFrameError};

/// A frame and where it comes in, or the answer where there is none.
type Made = Result<(Interface, Vec<u8>), Box<Response>>;

impl Daemon {
    pub(super) fn trace(&self, request: &TraceRequest) -> Response {
        let Some(tables) = self.tables.enter() else {
            return Response::Error("the tables are gone: the daemon is ending".to_owned());
        };
        let made = match &request.from {
            TraceSource::Port(port) => self.frame_of_port(&tables, port, &request.packet),
            TraceSource::Tunnel { endpoint, network } => {
                self.frame_of_tunnel(&tables, (endpoint, network), &request.packet)
            }
        };
        let (interface, frame) = match made {
            Ok(made) => made,
            Err(response) => return *response,
        };
        let Some(mut buffer) = self.pool.copy_from(&frame) else {
            return Response::Error(format!("a frame of {} bytes is too long to trace", frame.len()));
        };
        let environment = Environment {
            tables: &tables,
            connections: &self.shared.connections,
            new_connections: &self.shared.new_connections,
            now: clock::now(),
            loose_pickup: self.shared.loose_pickup,
        };
        let trace = pipeline::trace(environment, interface, &mut buffer);
        Response::Trace(report(trace, self.control.plan()))
    }

    /// The frame that the guest of a local port sends.
    fn frame_of_port(&self, tables: &Tables, id: &PortId, packet: &TracePacket) -> Made {
        let plan = self.control.plan();
        let (Some(port), Some(index)) = (plan.ports.get(id), self.control.builder().port_index(id)) else {
            let text = format!("there is no port {id}; `ctl ports` lists them");
            return Err(Box::new(Response::Error(text)));
        };
        let frame = match packet {
            TracePacket::Frame(bytes) => Ok(bytes.clone()),
            TracePacket::Fields(fields) => frame::build(port, fields, self.resolve(tables, &port.network)),
        };
        let frame = frame.map_err(|error| Box::new(unmade(&error)))?;
        Ok((Interface::port(index), frame))
    }

    /// The frame that a remote endpoint sends.
    fn frame_of_tunnel(
        &self,
        tables: &Tables,
        from: (&EndpointId, &NetworkId),
        packet: &TracePacket,
    ) -> Made {
        let resolve = self.resolve(tables, from.1);
        let frame = tunnel_frame::build(self.control.plan(), from, packet, resolve);
        let frame = frame.map_err(|error| {
            Box::new(match error {
                TunnelFrameError::Inner(error) => unmade(&error),
                error => Response::Error(error.to_string()),
            })
        })?;
        Ok((Interface::UPLINK, frame))
    }

    /// What ARP or ND answers in a network.
    fn resolve<'a>(
        &'a self,
        tables: &'a Tables,
        network: &NetworkId,
    ) -> impl Fn(IpAddr) -> Option<Mac> + use<'a> {
        let network = self.control.builder().network_index(network);
        let network = network.and_then(|index| tables.network(index));
        move |address| network?.resolve(address)
    }
}

/// Who asks for an address that nobody has sends nothing: that is how the trace ends. Everything else is a wrong question.
fn unmade(error: &FrameError) -> Response {
    match error {
        FrameError::Unresolved { .. } => Response::Trace(unresolved(error)),
        error => Response::Error(error.to_string()),
    }
}

fn unresolved(error: &FrameError) -> TraceReport {
    let reason = DropReason::UnknownTarget;
    TraceReport {
        steps: vec![TraceStep {
            stage: "respond".to_owned(),
            what: error.to_string(),
            ..TraceStep::default()
        }],
        verdict: TraceVerdict::Dropped {
            reason: reason.name().to_owned(),
            object: reason.explanation().to_owned(),
        },
    }
}

fn report(trace: Trace, plan: &HostPlan) -> TraceReport {
    let steps = trace.steps.into_iter().map(|step| TraceStep {
        stage: step.stage.to_owned(),
        what: step.text,
        ..TraceStep::default()
    });
    let verdict = match trace.fate {
        Some(Fate::Drop(reason)) => TraceVerdict::Dropped {
            reason: reason.name().to_owned(),
            object: reason.explanation().to_owned(),
        },
        Some(Fate::Reply) => TraceVerdict::Answered {
            with: "a reply of this host".to_owned(),
        },
        Some(fate) => TraceVerdict::Forwarded {
            to: vec![target(&fate, plan)],
        },
        None => TraceVerdict::Dropped {
            reason: DropReason::UnknownDestination.name().to_owned(),
            object: String::new(),
        },
    };
    TraceReport {
        steps: steps.collect(),
        verdict,
    }
}

/// Where a packet goes, by the name that the plan has for it: who follows the packet to another host reads it.
fn target(fate: &Fate, plan: &HostPlan) -> String {
    match fate {
        Fate::Deliver { port } => format!("port {port}"),
        Fate::Encapsulate { endpoint, .. } => {
            let mut endpoints = plan.endpoints.iter();
            match endpoints.find(|(_, value)| value.address == *endpoint) {
                Some((id, _)) => format!("endpoint {id}"),
                None => fate.to_string(),
            }
        }
        fate => fate.to_string(),
    }
}
