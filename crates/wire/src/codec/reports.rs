//! Reports: digests, drops, flows, connections, counters, ports, versions.

use anet_model::entry::Noun;
use anet_model::host_plan::PortId;

use super::field::{
    DecodeError, Decoded, address, address_bytes, at, digest, each, id, number, optional_id, required,
};
use super::proto;
use crate::control::report::{
    ConnectionList, ConnectionRecord, Counters, DigestReport, DropRecord, FlowList, FlowRecord, HalfRecord,
    LinkState, NounDigest, PortCounters, PortState, ReasonCount, StageCycles, TableSize, TunnelCounters,
    Tuple, VersionReport, WorkerCounters,
};
use proto::port_state::Link;

pub(super) fn digest_report(message: proto::DigestReport) -> Decoded<DigestReport> {
    let noun = |message: proto::NounDigest| {
        let noun = Noun::ALL.into_iter().find(|noun| noun.name() == message.noun);
        Ok(NounDigest {
            noun: required("noun", noun)?,
            kept: at("kept", digest(&message.kept))?,
            read_back: at("read_back", digest(&message.read_back))?,
        })
    };
    Ok(DigestReport {
        incarnation: message.incarnation,
        revision: message.revision,
        nouns: each("nouns", message.nouns, noun)?,
    })
}

pub(super) fn digest_message(report: &DigestReport) -> proto::DigestReport {
    let noun = |noun: &NounDigest| proto::NounDigest {
        noun: noun.noun.to_string(),
        kept: noun.kept.to_bytes().to_vec(),
        read_back: noun.read_back.to_bytes().to_vec(),
    };
    proto::DigestReport {
        incarnation: report.incarnation,
        revision: report.revision,
        nouns: report.nouns.iter().map(noun).collect(),
    }
}

pub(super) fn drops(message: proto::Drops) -> Decoded<Vec<DropRecord>> {
    each("drops", message.drops, |record| {
        Ok(DropRecord {
            reason: record.reason,
            port: optional_id("port", record.port)?,
            rule: optional_id("rule", record.rule)?,
            count: record.count,
            last_sample: record.last_sample,
        })
    })
}

pub(super) fn drops_message(drops: &[DropRecord]) -> proto::Drops {
    let record = |record: &DropRecord| proto::DropRecord {
        reason: record.reason.clone(),
        port: record.port.as_ref().map(ToString::to_string),
        rule: record.rule.as_ref().map(ToString::to_string),
        count: record.count,
        last_sample: record.last_sample.clone(),
    };
    proto::Drops {
        drops: drops.iter().map(record).collect(),
    }
}

fn tuple(message: proto::Tuple) -> Decoded<Tuple> {
    Ok(Tuple {
        network: id("network", &message.network)?,
        source: at("source", address(message.source))?,
        destination: at("destination", address(message.destination))?,
        protocol: number("protocol", message.protocol)?,
        source_port: number("source_port", message.source_port)?,
        destination_port: number("destination_port", message.destination_port)?,
    })
}

fn tuple_message(tuple: &Tuple) -> proto::Tuple {
    proto::Tuple {
        network: tuple.network.to_string(),
        source: address_bytes(tuple.source),
        destination: address_bytes(tuple.destination),
        protocol: tuple.protocol.into(),
        source_port: tuple.source_port.into(),
        destination_port: tuple.destination_port.into(),
    }
}

pub(super) fn flows(message: proto::Flows) -> Decoded<FlowList> {
    let record = |record: proto::FlowRecord| {
        Ok(FlowRecord {
            worker: record.worker,
            tuple: at("tuple", tuple(required("tuple", record.tuple)?))?,
            from: optional_id("from", record.from)?,
            action: record.action,
            witness: record.witness,
            packets: record.packets,
            bytes: record.bytes,
            idle_ms: record.idle_ms,
        })
    };
    Ok(FlowList {
        flows: each("flows", message.flows, record)?,
        matching: message.matching,
    })
}

pub(super) fn flows_message(list: &FlowList) -> proto::Flows {
    let record = |record: &FlowRecord| proto::FlowRecord {
        worker: record.worker,
        tuple: Some(tuple_message(&record.tuple)),
        from: record.from.as_ref().map(ToString::to_string),
        action: record.action.clone(),
        witness: record.witness.clone(),
        packets: record.packets,
        bytes: record.bytes,
        idle_ms: record.idle_ms,
    };
    proto::Flows {
        flows: list.flows.iter().map(record).collect(),
        matching: list.matching,
    }
}

pub(super) fn connections(message: proto::Connections) -> Decoded<ConnectionList> {
    let half = |half: Option<proto::Half>| {
        half.map(|h| HalfRecord {
            packets: h.packets,
            bytes: h.bytes,
        })
    };
    let record = |record: proto::ConnectionRecord| {
        Ok::<_, DecodeError>(ConnectionRecord {
            tuple: at("tuple", tuple(required("tuple", record.tuple)?))?,
            port: optional_id("port", record.port)?,
            state: record.state,
            rule: optional_id("rule", record.rule)?,
            original: required("original", half(record.original))?,
            reply: required("reply", half(record.reply))?,
            idle_ms: record.idle_ms,
            expires_ms: record.expires_ms,
        })
    };
    Ok(ConnectionList {
        connections: each("connections", message.connections, record)?,
        matching: message.matching,
    })
}

pub(super) fn connections_message(list: &ConnectionList) -> proto::Connections {
    let half = |half: HalfRecord| {
        Some(proto::Half {
            packets: half.packets,
            bytes: half.bytes,
        })
    };
    let record = |record: &ConnectionRecord| proto::ConnectionRecord {
        tuple: Some(tuple_message(&record.tuple)),
        port: record.port.as_ref().map(ToString::to_string),
        state: record.state.clone(),
        rule: record.rule.as_ref().map(ToString::to_string),
        original: half(record.original),
        reply: half(record.reply),
        idle_ms: record.idle_ms,
        expires_ms: record.expires_ms,
    };
    proto::Connections {
        connections: list.connections.iter().map(record).collect(),
        matching: list.matching,
    }
}

pub(super) fn counters(message: proto::Counters) -> Counters {
    let port = |m: proto::PortCounters| PortCounters {
        name: m.name,
        received_packets: m.received_packets,
        received_bytes: m.received_bytes,
        sent_packets: m.sent_packets,
        sent_bytes: m.sent_bytes,
        dropped_packets: m.dropped_packets,
        send_errors: m.send_errors,
    };
    let stage = |proto::StageCycles { stage, cycles }| StageCycles { stage, cycles };
    let worker = |m: proto::WorkerCounters| WorkerCounters {
        worker: m.worker,
        bursts: m.bursts,
        packets: m.packets,
        hits: m.hits,
        misses: m.misses,
        sleeps: m.sleeps,
        panics: m.panics,
        revalidations: m.revalidations,
        rechecks: m.rechecks,
        stages: m.stages.into_iter().map(stage).collect(),
    };
    let reason = |proto::ReasonCount { reason, packets }| ReasonCount { reason, packets };
    let table = |proto::TableSize {
                     table,
                     entries,
                     capacity,
                 }| TableSize {
        table,
        entries,
        capacity,
    };
    Counters {
        ports: message.ports.into_iter().map(port).collect(),
        workers: message.workers.into_iter().map(worker).collect(),
        reasons: message.reasons.into_iter().map(reason).collect(),
        tables: message.tables.into_iter().map(table).collect(),
        tunnel: message.tunnel.map(tunnel_counters),
        control_panics: message.control_panics,
    }
}

pub(super) fn counters_message(counters: &Counters) -> proto::Counters {
    let port = |c: &PortCounters| proto::PortCounters {
        name: c.name.clone(),
        received_packets: c.received_packets,
        received_bytes: c.received_bytes,
        sent_packets: c.sent_packets,
        sent_bytes: c.sent_bytes,
        dropped_packets: c.dropped_packets,
        send_errors: c.send_errors,
    };
    let stage = |c: &StageCycles| proto::StageCycles {
        stage: c.stage.clone(),
        cycles: c.cycles,
    };
    let worker = |c: &WorkerCounters| proto::WorkerCounters {
        worker: c.worker,
        bursts: c.bursts,
        packets: c.packets,
        hits: c.hits,
        misses: c.misses,
        sleeps: c.sleeps,
        panics: c.panics,
        revalidations: c.revalidations,
        rechecks: c.rechecks,
        stages: c.stages.iter().map(stage).collect(),
    };
    let reason = |c: &ReasonCount| proto::ReasonCount {
        reason: c.reason.clone(),
        packets: c.packets,
    };
    let table = |c: &TableSize| proto::TableSize {
        table: c.table.clone(),
        entries: c.entries,
        capacity: c.capacity,
    };
    proto::Counters {
        ports: counters.ports.iter().map(port).collect(),
        workers: counters.workers.iter().map(worker).collect(),
        reasons: counters.reasons.iter().map(reason).collect(),
        tables: counters.tables.iter().map(table).collect(),
        tunnel: counters.tunnel.map(tunnel_counters_message),
        control_panics: counters.control_panics,
    }
}

fn tunnel_counters(m: proto::TunnelCounters) -> TunnelCounters {
    TunnelCounters {
        too_big: m.too_big,
        queue_full: m.queue_full,
        refused: m.refused,
        icmp_errors: m.icmp_errors,
        trains_cut: m.trains_cut,
        whole: m.whole,
        whole_refused: m.whole_refused,
        segments: m.segments,
        merges: m.merges,
    }
}

fn tunnel_counters_message(c: TunnelCounters) -> proto::TunnelCounters {
    proto::TunnelCounters {
        too_big: c.too_big,
        queue_full: c.queue_full,
        refused: c.refused,
        icmp_errors: c.icmp_errors,
        trains_cut: c.trains_cut,
        whole: c.whole,
        whole_refused: c.whole_refused,
        segments: c.segments,
        merges: c.merges,
    }
}

pub(super) fn ports(message: proto::Ports) -> Decoded<Vec<PortState>> {
    each("ports", message.ports, port_state)
}

pub(super) fn port_state(state: proto::PortState) -> Decoded<PortState> {
    let link = match required("link", state.link)? {
        Link::Up(_) => LinkState::Up,
        Link::Down(_) => LinkState::Down,
        Link::Detached(_) => LinkState::Detached,
        Link::Retrying(proto::Retrying { error, attempts }) => LinkState::Retrying { error, attempts },
        Link::Quarantined(proto::Quarantined { error }) => LinkState::Quarantined { error },
    };
    Ok(PortState {
        port: id("port", &state.port)?,
        link,
    })
}

pub(super) fn ports_message(ports: &[PortState]) -> proto::Ports {
    let state = |state: &PortState| port_state_message(&state.port, state.link.clone());
    proto::Ports {
        ports: ports.iter().map(state).collect(),
    }
}

pub(super) fn port_state_message(port: &PortId, link: LinkState) -> proto::PortState {
    let nothing = proto::Nothing {};
    let link = match link {
        LinkState::Up => Link::Up(nothing),
        LinkState::Down => Link::Down(nothing),
        LinkState::Detached => Link::Detached(nothing),
        LinkState::Retrying { error, attempts } => Link::Retrying(proto::Retrying { error, attempts }),
        LinkState::Quarantined { error } => Link::Quarantined(proto::Quarantined { error }),
    };
    proto::PortState {
        port: port.to_string(),
        link: Some(link),
    }
}

pub(super) fn version(message: proto::Version) -> VersionReport {
    VersionReport {
        software: message.software,
        protocol: message.protocol,
        oldest_protocol: message.oldest_protocol,
    }
}

pub(super) fn version_message(version: &VersionReport) -> proto::Version {
    proto::Version {
        software: version.software.clone(),
        protocol: version.protocol,
        oldest_protocol: version.oldest_protocol,
    }
}
