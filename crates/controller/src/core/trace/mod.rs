//! A packet's way through the fabric, put together from what each host on it says.
//!
//! The hosts run their real pipelines; here is decided whom to ask next, and, for a packet that was dropped, what to do about it
//! ([`advice`]). Nothing here knows what a stage does.

pub mod advice;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use anet_api::ApiError;
use anet_api::trace as api;
use anet_model::host_plan::{EndpointId, Family, NetworkId, PortId};
use anet_model::intent::{HostId, Port};
use anet_wire::control::trace::{
    TraceFields, TracePacket, TraceProtocol, TraceReport, TraceRequest, TraceSource, TraceVerdict,
};

use super::admit::{Caller, port};
use super::mirror::Mirror;

/// Hosts that a packet may meet: two, and one more for a fabric that is just changing.
const HOSTS_MAXIMUM: usize = 3;

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Ask a host.
    Ask(HostId, TraceRequest),
    /// All is known.
    Done(api::Trace),
}

/// A trace under way.
#[derive(Debug, Clone)]
pub struct Run {
    port: PortId,
    network: NetworkId,
    fields: TraceFields,
    protocol: api::TraceProtocol,
    asked: Option<HostId>,
    entered: String,
    hosts: Vec<api::HostTrace>,
}

impl Run {
    /// Begins a trace that the caller may ask for.
    pub fn begin(
        mirror: &Mirror,
        caller: &Caller,
        request: &api::TraceRequest,
    ) -> Result<(Self, Step), ApiError> {
        let (id, port) = port::find(mirror, caller, &request.port_id)?;
        let source = request.source.or_else(|| own_address(&port, request.destination));
        let fields = TraceFields {
            source,
            destination: request.destination,
            destination_mac: None,
            protocol: protocol(request.protocol),
        };
        let mut run = Self {
            port: id.clone(),
            network: port.network.clone(),
            fields,
            protocol: request.protocol,
            asked: None,
            entered: format!("port {id}"),
            hosts: Vec::new(),
        };
        if source.is_none() {
            let suggestion = advice::no_source(mirror, &id, &port, request.destination);
            return Ok((
                run.clone(),
                run.dropped("no_source_address", Some(format!("port {id}")), Some(suggestion)),
            ));
        }
        let step = match &port.host {
            Some(host) => run.ask(host.clone(), TraceSource::Port(id)),
            None => run.dropped(
                "port_not_bound",
                Some(format!("port {id}")),
                Some(advice::bind(mirror, &id)),
            ),
        };
        Ok((run, step))
    }

    fn ask(&mut self, host: HostId, from: TraceSource) -> Step {
        self.asked = Some(host.clone());
        let packet = TracePacket::Fields(self.fields.clone());
        Step::Ask(host, TraceRequest { from, packet })
    }

    /// The answer of the host that was asked last.
    pub fn answered(&mut self, mirror: &Mirror, answer: Result<TraceReport, String>) -> Step {
        let Some(host) = self.asked.take() else {
            return self.done(api::Verdict::Unknown, None, None);
        };
        let report = match answer {
            Ok(report) => report,
            Err(reason) => {
                self.note(&host, Vec::new(), reason);
                return self.done(api::Verdict::Unknown, Some(format!("host {host}")), None);
            }
        };
        let steps = report.steps.into_iter().map(|step| api::TraceStep {
            stage: step.stage,
            what: step.what,
            object: step.object,
            outcome: step.outcome,
        });
        let steps = steps.collect();
        match report.verdict {
            TraceVerdict::Forwarded { to } => {
                self.note(&host, steps, format!("forwarded to {}", to.join(", ")));
                self.follow(mirror, &host, to)
            }
            TraceVerdict::Answered { with } => {
                self.note(&host, steps, format!("answered with {with}"));
                self.done(api::Verdict::Answered, Some(format!("host {host}")), None)
            }
            TraceVerdict::Dropped { reason, object: why } => {
                let mut outcome = format!("dropped: {reason}");
                if !why.is_empty() {
                    outcome = format!("{outcome}: {why}");
                }
                self.note(&host, steps, outcome);
                let case = self.case(&host);
                let suggestion = case.and_then(|case| advice::advise(mirror, &case, &reason));
                let object = case.and_then(|case| advice::object(mirror, &case, &reason));
                self.dropped(&reason, object, suggestion)
            }
        }
    }

    fn note(&mut self, host: &HostId, steps: Vec<api::TraceStep>, outcome: String) {
        self.hosts.push(api::HostTrace {
            host: host.to_string(),
            entered: self.entered.clone(),
            steps,
            outcome,
        });
    }

    /// Goes after a packet that left a host: to the next one, or it has arrived.
    fn follow(&mut self, mirror: &Mirror, host: &HostId, to: Vec<String>) -> Step {
        let endpoint = to.iter().find_map(|target| target.strip_prefix("endpoint "));
        let next = endpoint.and_then(|endpoint| HostId::new(endpoint).ok());
        let next = next.filter(|next| mirror.intent().hosts.contains_key(next) && next != host);
        let from = EndpointId::new(host.as_str());
        match (next, from) {
            (Some(next), Ok(endpoint)) if self.hosts.len() < HOSTS_MAXIMUM => {
                self.entered = format!("tunnel from {host}");
                let network = self.network.clone();
                self.ask(next, TraceSource::Tunnel { endpoint, network })
            }
            _ => {
                let target = to.into_iter().next();
                self.done(api::Verdict::Delivered, target, None)
            }
        }
    }

    fn case<'a>(&'a self, host: &'a HostId) -> Option<advice::Case<'a>> {
        Some(advice::Case {
            port: &self.port,
            network: &self.network,
            host,
            source: self.fields.source?,
            destination: self.fields.destination,
            protocol: self.protocol,
        })
    }

    fn dropped(&mut self, reason: &str, object: Option<String>, suggestion: Option<String>) -> Step {
        let Step::Done(mut trace) = self.done(api::Verdict::Dropped, object, suggestion) else {
            return self.done(api::Verdict::Unknown, None, None);
        };
        trace.reason = Some(reason.to_owned());
        Step::Done(trace)
    }

    fn done(&mut self, verdict: api::Verdict, object: Option<String>, suggestion: Option<String>) -> Step {
        Step::Done(api::Trace {
            hosts: std::mem::take(&mut self.hosts),
            verdict,
            reason: None,
            object,
            suggestion,
        })
    }
}

/// The port's first address of a destination's family.
fn own_address(port: &Port, destination: IpAddr) -> Option<IpAddr> {
    let family = Family::of(destination);
    let mut own = port.fixed_ips.iter().map(|fixed| fixed.address);
    own.find(|address| Family::of(*address) == family)
}

const fn protocol(asked: api::TraceProtocol) -> TraceProtocol {
    match asked {
        api::TraceProtocol::Tcp {
            source_port,
            destination_port,
        } => TraceProtocol::Tcp {
            source_port,
            destination_port,
        },
        api::TraceProtocol::Udp {
            source_port,
            destination_port,
        } => TraceProtocol::Udp {
            source_port,
            destination_port,
        },
        api::TraceProtocol::Icmp { icmp_type, icmp_code } => TraceProtocol::Icmp {
            kind: icmp_type,
            code: icmp_code,
        },
    }
}
