//! Answers to what the control socket asks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anet_datapath::connections::{Connection, Filter as TableFilter, PortIdentity, Timeouts};
use anet_datapath::interface::Interface;
use anet_datapath::verdict::DropReason;
use anet_model::host_plan::{PortId, RuleId};
use anet_wire::control::report::{
    ConnectionList, ConnectionRecord, Counters, DropRecord, HalfRecord, PortCounters, ReasonCount, TableSize,
    Tuple, VersionReport, WorkerCounters,
};
use anet_wire::control::{Filter, OLDEST_PROTOCOL, PROTOCOL, Request, Response};
use anet_wire::plan_text;

use super::Daemon;
use super::baselines::Sums;
use super::devices::OpenPort;
use super::flows::rule_of;
use super::publish::name;
use crate::core::attachments::Key;
use crate::workers::StageCycles;
use crate::{SOFTWARE, clock};
use anet_datapath::burst::Stage;
use anet_wire::control::report;

impl Daemon {
    /// The answer to a request. One that panics is a line in the log, a count and an error, and no end of forwarding.
    pub(super) fn answer(&mut self, request: Request) -> Response {
        let changes = matches!(request, Request::Apply(_));
        if let Ok(response) = catch_unwind(AssertUnwindSafe(|| self.answer_one(request))) {
            return response;
        }
        match changes {
            true => self.mend(),
            // Questions change nothing.
            false => self.panics += 1,
        }
        let revision = self.control.state().revision();
        Response::Error(format!(
            "this request made the daemon panic, which is a fault of it: please report it with the log; forwarding \
             goes on, with the plan of revision {revision}"
        ))
    }

    fn answer_one(&mut self, request: Request) -> Response {
        match request {
            Request::Hello(_) => Response::Error("hello was said already".to_owned()),
            Request::Apply(changeset) => self.apply(&changeset),
            Request::Digest => self.digest(),
            Request::Trace(request) => self.trace(&request),
            Request::Drops => Response::Drops(self.drops()),
            Request::Flows(filter) => Response::Flows(self.flows(&filter)),
            Request::Connections(filter) => Response::Connections(self.connections(&filter)),
            Request::Counters => Response::Counters(self.counters()),
            Request::Dump => Response::Dump(plan_text::to_text(self.control.plan())),
            Request::Ports => Response::Ports(self.attachments.report(|key| self.quarantine(key))),
            Request::Version => Response::Version(VersionReport {
                software: SOFTWARE.to_owned(),
                protocol: PROTOCOL,
                oldest_protocol: OLDEST_PROTOCOL,
            }),
        }
    }

    fn digest(&self) -> Response {
        match self.tables.enter() {
            Some(tables) => Response::Digest(self.control.digest_report(&self.control.audit(&tables))),
            None => Response::Error("the tables are gone: the daemon is ending".to_owned()),
        }
    }

    fn quarantine(&self, key: &Key) -> Option<String> {
        let port = self.open.get(key)?;
        let closed = port.health.is_closed(clock::now());
        closed.then(|| "its packets keep panicking a worker; they are dropped for some seconds".to_owned())
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let ports = self.control.plan().ports.keys().cloned().map(Key::Guest);
        std::iter::once(Key::Uplink).chain(ports)
    }

    fn drops(&self) -> Vec<DropRecord> {
        let mut records = Vec::new();
        for key in self.keys() {
            let sums = self.baselines.counters(&key, &self.workers);
            let counted = DropReason::ALL
                .into_iter()
                .zip(sums.drops)
                .filter(|(_, n)| *n > 0);
            records.extend(counted.map(|(reason, count)| DropRecord {
                reason: reason.name().to_owned(),
                port: match &key {
                    Key::Guest(id) => Some(id.clone()),
                    Key::Uplink => None,
                },
                rule: None,
                count,
                last_sample: String::new(),
            }));
        }
        records
    }

    fn counters(&self) -> Counters {
        let all: Vec<(Key, Sums)> = self
            .keys()
            .map(|key| {
                let sums = self.baselines.counters(&key, &self.workers);
                (key, sums)
            })
            .collect();
        let total = |reason: DropReason| all.iter().map(|(_, sums)| sums.drops[reason.index()]).sum();
        let reasons = DropReason::ALL.into_iter().map(|reason| ReasonCount {
            reason: reason.name().to_owned(),
            packets: total(reason),
        });
        Counters {
            reasons: reasons.filter(|count| count.packets > 0).collect(),
            ports: all.iter().map(|(key, sums)| port_counters(key, sums)).collect(),
            workers: self.worker_counters(),
            tables: self.table_sizes(),
            tunnel: self.open.get(&Key::Uplink).and_then(OpenPort::tunnel_counters),
            control_panics: self.panics,
        }
    }

    fn worker_counters(&self) -> Vec<WorkerCounters> {
        let activity = self.workers.activity().zip(self.workers.stage_cycles());
        let workers = (0..).zip(self.workers.counters()).zip(activity);
        workers
            .map(|((worker, counters), (activity, stages))| worker_record(worker, counters, activity, stages))
            .collect()
    }

    fn table_sizes(&self) -> Vec<TableSize> {
        let (plan, connections) = (self.control.plan(), &self.shared.connections);
        let size = |table: &str, entries: usize, capacity: usize| TableSize {
            table: table.to_owned(),
            entries: entries as u64,
            capacity: capacity as u64,
        };
        vec![
            size("connections", connections.len(), connections.capacity()),
            size("networks", plan.networks.len(), 0),
            size("ports", plan.ports.len(), Interface::MAX_PORTS as usize),
            size("peers", plan.peers.len(), 0),
            size("endpoints", plan.endpoints.len(), 0),
            size("security_groups", plan.security_groups.len(), 0),
            size("address_sets", plan.address_sets.len(), 0),
        ]
    }

    fn connections(&self, filter: &Filter) -> ConnectionList {
        let now = clock::now();
        let plan = self.control.plan();
        let vni_of = |id| plan.networks.get(id).map(|network| network.vni);
        let table_filter = TableFilter {
            zone: filter.network.as_ref().and_then(vni_of),
            port: filter.port.as_ref().map(|id| PortIdentity::of(id.as_str())),
            protocol: filter.protocol,
            address: filter.address,
        };
        let of_port = |connection: &Connection| {
            filter.layer4_port.is_none_or(|port| {
                [connection.tuple.source_port, connection.tuple.destination_port].contains(&port)
            })
        };
        let mut list = ConnectionList::default();
        if filter.network.is_some() && table_filter.zone.is_none() {
            return list;
        }
        let ports: std::collections::HashMap<PortIdentity, &PortId> = plan
            .ports
            .keys()
            .map(|id| (PortIdentity::of(id.as_str()), id))
            .collect();
        for connection in self.shared.connections.iter(now, table_filter).filter(of_port) {
            list.matching += 1;
            if list.connections.len() < filter.limit as usize {
                list.connections
                    .extend(self.connection_record(&connection, &ports, now));
            }
        }
        list
    }

    fn connection_record(
        &self,
        connection: &Connection,
        ports: &std::collections::HashMap<PortIdentity, &PortId>,
        now: u64,
    ) -> Option<ConnectionRecord> {
        let networks = &self.control.plan().networks;
        let (network, _) = networks
            .iter()
            .find(|(_, network)| network.vni == connection.zone)?;
        let side = ports
            .get(&connection.originator)
            .or_else(|| ports.get(&connection.responder));
        let last_seen = connection.halves.iter().filter_map(|half| half.last_seen).max();
        let [original, reply] = connection.halves.map(|half| HalfRecord {
            packets: half.packets,
            bytes: half.bytes,
        });
        let tuple = &connection.tuple;
        Some(ConnectionRecord {
            tuple: Tuple {
                network: network.clone(),
                source: tuple.source_address(),
                destination: tuple.destination_address(),
                protocol: tuple.protocol,
                source_port: tuple.source_port,
                destination_port: tuple.destination_port,
            },
            port: side.map(|id| (*id).clone()),
            state: format!("{:?}", connection.tcp_state).to_lowercase(),
            rule: self.rule_of(connection),
            original,
            reply,
            idle_ms: now.saturating_sub(last_seen.unwrap_or(connection.created)) / clock::MILLISECOND,
            expires_ms: Timeouts::default().remaining(connection, now) / clock::MILLISECOND,
        })
    }

    /// The rule that let the first packet into its port or, where it left the host, out of it.
    fn rule_of(&self, connection: &Connection) -> Option<RuleId> {
        let found = self.shared.connections.find(connection.zone, &connection.tuple)?;
        let tables = self.tables.enter()?;
        let [source, destination] = found.witnesses?;
        rule_of(&tables, destination).or_else(|| rule_of(&tables, source))
    }
}

fn port_counters(key: &Key, sums: &Sums) -> PortCounters {
    PortCounters {
        name: name(key).to_owned(),
        received_packets: sums.received_packets,
        received_bytes: sums.received_bytes,
        sent_packets: sums.sent_packets,
        sent_bytes: sums.sent_bytes,
        dropped_packets: sums.drops.iter().sum(),
        send_errors: sums.send_drops,
    }
}

fn worker_record(
    worker: u32,
    counters: &anet_datapath::counters::WorkerCounters,
    (bursts, sleeps): (u64, u64),
    stages: &StageCycles,
) -> WorkerCounters {
    let (hits, misses) = (counters.hits.get(), counters.misses.get());
    let rechecks = counters.rechecks.get();
    WorkerCounters {
        worker,
        bursts,
        packets: hits + misses + rechecks,
        hits,
        misses,
        sleeps,
        panics: counters.panics.get(),
        revalidations: counters.revalidations.get(),
        rechecks,
        stages: stages_of(stages),
    }
}

/// None where no cycle was counted.
fn stages_of(cycles: &StageCycles) -> Vec<report::StageCycles> {
    let cycles = cycles.get();
    let stage = |(stage, cycles): (&Stage, u64)| report::StageCycles {
        stage: stage.name().to_owned(),
        cycles,
    };
    match cycles.iter().all(|cycles| *cycles == 0) {
        true => Vec::new(),
        false => Stage::ALL.iter().zip(cycles).map(stage).collect(),
    }
}
