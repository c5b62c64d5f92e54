//! The workers' flow caches as people read them.

use anet_datapath::connections::Direction;
use anet_datapath::flow_cache::{Action, Flow};
use anet_datapath::interface::{Interface, InterfaceKind};
use anet_datapath::tables::{Port, Tables, Witness};
use anet_model::host_plan::RuleId;
use anet_packet::Tuple;
use anet_packet::flow_key::FlowKey;
use anet_wire::control::Filter;
use anet_wire::control::report::{self, FlowList, FlowRecord};

use super::Daemon;
use crate::clock;

impl Daemon {
    /// The flows of all workers that match.
    pub(super) fn flows(&self, filter: &Filter) -> FlowList {
        #[cfg(test)]
        crate::planted::fault_for_port(filter.port.as_ref());
        let mut list = FlowList::default();
        let caches = self.workers.flows();
        let Some(tables) = self.tables.enter() else {
            return list;
        };
        for (worker, flows) in caches.iter().enumerate() {
            for (key, flow) in flows {
                let record = self.flow_record(&tables, worker, key, flow);
                let Some(record) = record.filter(|record| matches(filter, record)) else {
                    continue;
                };
                list.matching += 1;
                if list.flows.len() < filter.limit as usize {
                    list.flows.push(record);
                }
            }
        }
        list
    }

    fn flow_record(&self, tables: &Tables, worker: usize, key: &FlowKey, flow: &Flow) -> Option<FlowRecord> {
        let source = source_of(key);
        let tuple = Tuple::of_key(key);
        let (network, from) = match source.kind() {
            InterfaceKind::Port(index) => {
                let port = tables.port(index)?;
                (port.network, Some(port.id.clone()))
            }
            InterfaceKind::Membership(index) => (tables.membership(index)?.network, None),
            InterfaceKind::Uplink => return None,
        };
        let now = clock::now();
        let half = flow.half.and_then(|half| {
            let connection = self.shared.connections.get(half.connection, now)?;
            Some(
                connection.halves[match half.direction {
                    Direction::Original => 0,
                    Direction::Reply => 1,
                }],
            )
        });
        let half = half.unwrap_or_default();
        let seen = half.last_seen.unwrap_or(now);
        Some(FlowRecord {
            worker: worker as u32,
            tuple: report::Tuple {
                network: tables.network(network)?.facts.id.clone(),
                source: tuple.source_address(),
                destination: tuple.destination_address(),
                protocol: tuple.protocol,
                source_port: tuple.source_port,
                destination_port: tuple.destination_port,
            },
            from,
            action: action_text(tables, flow.action),
            witness: witness_text(tables, flow.source, flow.destination),
            packets: half.packets,
            bytes: half.bytes,
            idle_ms: now.saturating_sub(seen) / clock::MILLISECOND,
        })
    }
}

/// The interface stands in the upper half of the key's first word.
fn source_of(key: &FlowKey) -> Interface {
    Interface::from_raw((key.words[0] >> 32) as u32)
}

fn action_text(tables: &Tables, action: Action) -> String {
    match action {
        Action::Deliver(index) => match tables.port(index) {
            Some(port) => format!("deliver to port {}", port.id),
            None => "deliver to a port that is gone".to_owned(),
        },
        Action::Encapsulate { adjacency, vni, .. } => {
            let remote = tables
                .adjacency(adjacency)
                .and_then(|adjacency| tables.endpoint(adjacency.endpoint));
            match remote {
                Some(endpoint) => format!("send to {} in VXLAN segment {vni}", endpoint.remote()),
                None => "send to an endpoint that is gone".to_owned(),
            }
        }
        Action::Drop(reason) => format!("drop: {}", reason.name()),
    }
}

/// The objects that the verdict rests on.
fn witness_text(tables: &Tables, source: Witness, destination: Witness) -> String {
    let mut names = Vec::new();
    for witness in [source, destination] {
        names.extend(
            (witness != Witness::ALWAYS)
                .then(|| object_of(tables, witness))
                .flatten(),
        );
    }
    names.dedup();
    names.join(", ")
}

fn object_of(tables: &Tables, witness: Witness) -> Option<String> {
    if let Some(rule) = rule_of(tables, witness) {
        return Some(format!("rule {rule}"));
    }
    let (_, port) = port_of(tables, witness)?;
    if witness.slot == port.slot_of_port() {
        return Some(format!("port {}", port.id));
    }
    Some(format!("no rule of port {}", port.id))
}

fn port_of(tables: &Tables, witness: Witness) -> Option<(u32, &std::sync::Arc<Port>)> {
    let range = |base: u32, count: u32| (base..base.saturating_add(count)).contains(&witness.slot);
    tables
        .ports()
        .find(|(_, port)| range(port.witness_base, port.witness_count))
}

/// The rule that a witness stands for, where it stands for one.
pub(super) fn rule_of(tables: &Tables, witness: Witness) -> Option<RuleId> {
    let (_, port) = port_of(tables, witness)?;
    let ordinal = witness.slot.checked_sub(port.slot_of_rule(0))?;
    port.firewall.as_ref()?.rules.get(ordinal as usize)?.clone()
}

fn matches(filter: &Filter, record: &FlowRecord) -> bool {
    let tuple = &record.tuple;
    let port = |wanted: &_| {
        record.from.as_ref() == Some(wanted) || record.action == format!("deliver to port {wanted}")
    };
    filter.port.as_ref().is_none_or(port)
        && filter
            .network
            .as_ref()
            .is_none_or(|wanted| *wanted == tuple.network)
        && filter
            .address
            .is_none_or(|wanted| wanted == tuple.source || wanted == tuple.destination)
        && filter.protocol.is_none_or(|wanted| wanted == tuple.protocol)
        && filter
            .layer4_port
            .is_none_or(|wanted| wanted == tuple.source_port || wanted == tuple.destination_port)
}
