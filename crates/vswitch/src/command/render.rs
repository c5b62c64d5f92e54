//! Answers as text or JSON.

use std::net::{IpAddr, SocketAddr};

use anet_wire::control::Response;
use anet_wire::control::report::{
    ConnectionList, Counters, DigestReport, DropRecord, FlowList, HalfRecord, LinkState, PortState, Tuple,
};
use anet_wire::control::trace::{TraceReport, TraceVerdict};

use super::ctl::Output;
use super::sheet::{Sheet, json_text};

/// The answer, ending with a newline.
pub(super) fn render(response: &Response, output: Output) -> String {
    let json = output == Output::Json;
    let sheet = |sheet: Sheet| match json {
        true => sheet.json() + "\n",
        false => sheet.text(),
    };
    match response {
        Response::Trace(report) => trace(report, json),
        Response::Drops(records) => sheet(drops(records)),
        Response::Flows(list) => listing(flows(list), list.matching, list.flows.len(), json),
        Response::Connections(list) => {
            listing(connections(list), list.matching, list.connections.len(), json)
        }
        Response::Counters(all) => counters(all, json),
        Response::Digest(report) => digest(report, json),
        Response::Dump(text) if json => format!("{{\"plan\": {}}}\n", json_text(text)),
        Response::Dump(text) => text.clone(),
        Response::Ports(ports) => sheet(port_states(ports)),
        Response::Version(version) => match json {
            true => format!(
                "{{\"software\": {}, \"protocol\": {}, \"oldest_protocol\": {}}}\n",
                json_text(&version.software),
                version.protocol,
                version.oldest_protocol
            ),
            false => format!(
                "{}, control protocol {} to {}\n",
                version.software, version.oldest_protocol, version.protocol
            ),
        },
        Response::Applied { revision, digest } => match json {
            true => format!("{{\"revision\": {revision}, \"digest\": \"{digest}\"}}\n"),
            false => format!("applied as revision {revision}, digest {digest}\n"),
        },
        Response::Hello(_) | Response::Refused { .. } | Response::Error(_) => String::new(),
    }
}

fn trace(report: &TraceReport, json: bool) -> String {
    let mut sheet = Sheet::new(&["stage", "step"]);
    for step in &report.steps {
        let parts = [&step.what, &step.object, &step.outcome];
        let parts: Vec<&str> = parts
            .iter()
            .map(|part| part.as_str())
            .filter(|part| !part.is_empty())
            .collect();
        sheet.row([step.stage.as_str().into(), parts.join(": ").into()]);
    }
    let (verdict, detail) = match &report.verdict {
        TraceVerdict::Forwarded { to } => ("forwarded", to.join(", ")),
        TraceVerdict::Answered { with } => ("answered", with.clone()),
        TraceVerdict::Dropped { reason, object } if object.is_empty() => ("dropped", reason.clone()),
        TraceVerdict::Dropped { reason, object } => ("dropped", format!("{reason}: {object}")),
    };
    match json {
        true => format!(
            "{{\"steps\": {}, \"verdict\": \"{verdict}\", \"detail\": {}}}\n",
            sheet.json(),
            json_text(&detail)
        ),
        false => format!("{}{verdict}: {detail}\n", sheet.text()),
    }
}

fn drops(records: &[DropRecord]) -> Sheet {
    let mut sheet = Sheet::new(&["reason", "port", "packets"]);
    for record in records {
        let port = record.port.as_ref().map_or("tunnel", |port| port.as_str());
        sheet.row([record.reason.as_str().into(), port.into(), record.count.into()]);
    }
    sheet
}

fn flows(list: &FlowList) -> Sheet {
    let mut sheet = Sheet::new(&[
        "worker",
        "network",
        "from",
        "source",
        "destination",
        "protocol",
        "packets",
        "bytes",
        "idle_ms",
        "action",
        "because",
    ]);
    for flow in &list.flows {
        let [source, destination, protocol] = ends(&flow.tuple);
        sheet.row([
            u64::from(flow.worker).into(),
            flow.tuple.network.as_str().into(),
            flow.from.as_ref().map_or("tunnel", |port| port.as_str()).into(),
            source.into(),
            destination.into(),
            protocol.into(),
            flow.packets.into(),
            flow.bytes.into(),
            flow.idle_ms.into(),
            flow.action.as_str().into(),
            flow.witness.as_str().into(),
        ]);
    }
    sheet
}

fn connections(list: &ConnectionList) -> Sheet {
    let mut sheet = Sheet::new(&[
        "network",
        "port",
        "source",
        "destination",
        "protocol",
        "state",
        "packets_out",
        "bytes_out",
        "packets_back",
        "bytes_back",
        "idle_ms",
        "expires_ms",
        "rule",
    ]);
    for connection in &list.connections {
        let [source, destination, protocol] = ends(&connection.tuple);
        let HalfRecord { packets, bytes } = connection.original;
        sheet.row([
            connection.tuple.network.as_str().into(),
            connection.port.as_ref().map_or("-", |port| port.as_str()).into(),
            source.into(),
            destination.into(),
            protocol.into(),
            connection.state.as_str().into(),
            packets.into(),
            bytes.into(),
            connection.reply.packets.into(),
            connection.reply.bytes.into(),
            connection.idle_ms.into(),
            connection.expires_ms.into(),
            connection.rule.as_ref().map_or("-", |rule| rule.as_str()).into(),
        ]);
    }
    sheet
}

fn listing(sheet: Sheet, matching: u64, shown: usize, json: bool) -> String {
    match json {
        true => format!("{{\"matching\": {matching}, \"entries\": {}}}\n", sheet.json()),
        false if matching > shown as u64 => {
            format!("{}{shown} of {matching}; see --limit\n", sheet.text())
        }
        false => sheet.text(),
    }
}

/// Source, destination and protocol as people write them.
fn ends(tuple: &Tuple) -> [String; 3] {
    let protocol = match tuple.protocol {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        number => number.to_string(),
    };
    let end = |address: IpAddr, port: u16| match tuple.protocol {
        6 | 17 => SocketAddr::new(address, port).to_string(),
        _ => address.to_string(),
    };
    [
        end(tuple.source, tuple.source_port),
        end(tuple.destination, tuple.destination_port),
        protocol,
    ]
}

fn counters(all: &Counters, json: bool) -> String {
    let mut reasons = Sheet::new(&["drop_reason", "packets"]);
    for reason in &all.reasons {
        reasons.row([reason.reason.as_str().into(), reason.packets.into()]);
    }
    let mut tables = Sheet::new(&["table", "entries", "capacity"]);
    for table in &all.tables {
        tables.row([
            table.table.as_str().into(),
            table.entries.into(),
            table.capacity.into(),
        ]);
    }
    let mut control = Sheet::new(&["thread", "panics"]);
    control.row(["control".into(), all.control_panics.into()]);
    let mut sheets = vec![
        ("ports", port_counters(all)),
        ("workers", worker_counters(all)),
        ("drop_reasons", reasons),
        ("tables", tables),
        ("tunnel", tunnel_counters(all)),
        ("control", control),
    ];
    if all.workers.iter().any(|worker| !worker.stages.is_empty()) {
        sheets.push(("stages", stage_cycles(all)));
    }
    if json {
        let members: Vec<String> = sheets
            .iter()
            .map(|(name, sheet)| format!("\"{name}\": {}", sheet.json()))
            .collect();
        return format!("{{{}}}\n", members.join(", "));
    }
    let texts: Vec<String> = sheets.iter().map(|(_, sheet)| sheet.text()).collect();
    texts.join("\n")
}

fn port_counters(all: &Counters) -> Sheet {
    let mut sheet = Sheet::new(&[
        "port",
        "received_packets",
        "received_bytes",
        "sent_packets",
        "sent_bytes",
        "dropped_packets",
        "send_errors",
    ]);
    for port in &all.ports {
        sheet.row([
            port.name.as_str().into(),
            port.received_packets.into(),
            port.received_bytes.into(),
            port.sent_packets.into(),
            port.sent_bytes.into(),
            port.dropped_packets.into(),
            port.send_errors.into(),
        ]);
    }
    sheet
}

fn worker_counters(all: &Counters) -> Sheet {
    let mut sheet = Sheet::new(&[
        "worker",
        "rounds",
        "packets",
        "hits",
        "misses",
        "revalidations",
        "rechecks",
        "sleeps",
        "panics",
    ]);
    for worker in &all.workers {
        sheet.row([
            u64::from(worker.worker).into(),
            worker.bursts.into(),
            worker.packets.into(),
            worker.hits.into(),
            worker.misses.into(),
            worker.revalidations.into(),
            worker.rechecks.into(),
            worker.sleeps.into(),
            worker.panics.into(),
        ]);
    }
    sheet
}

/// Where each worker's time went. Of no packet, a stage's cycles are nobody's.
fn stage_cycles(all: &Counters) -> Sheet {
    let mut sheet = Sheet::new(&["worker", "stage", "cycles", "cycles_per_packet"]);
    for worker in &all.workers {
        for stage in &worker.stages {
            let per_packet = (stage.cycles + worker.packets / 2).checked_div(worker.packets);
            sheet.row([
                u64::from(worker.worker).into(),
                stage.stage.as_str().into(),
                stage.cycles.into(),
                per_packet.unwrap_or(0).into(),
            ]);
        }
    }
    sheet
}

/// A row where the tunnel is open.
fn tunnel_counters(all: &Counters) -> Sheet {
    let mut sheet = Sheet::new(&[
        "port",
        "too_big",
        "queue_full",
        "refused",
        "icmp_errors",
        "trains_cut",
        "whole",
        "whole_refused",
        "kernel_segments",
        "kernel_merges",
    ]);
    if let Some(tunnel) = &all.tunnel {
        let said = |has: bool| if has { "yes" } else { "no" };
        sheet.row([
            "tunnel".into(),
            tunnel.too_big.into(),
            tunnel.queue_full.into(),
            tunnel.refused.into(),
            tunnel.icmp_errors.into(),
            tunnel.trains_cut.into(),
            tunnel.whole.into(),
            tunnel.whole_refused.into(),
            said(tunnel.segments).into(),
            said(tunnel.merges).into(),
        ]);
    }
    sheet
}

fn digest(report: &DigestReport, json: bool) -> String {
    let mut sheet = Sheet::new(&["noun", "kept", "read_back"]);
    for noun in &report.nouns {
        let (kept, read_back) = (noun.kept.to_string(), noun.read_back.to_string());
        sheet.row([noun.noun.name().into(), kept.into(), read_back.into()]);
    }
    let (kept, read_back) = (report.kept(), report.read_back());
    let agree = kept == read_back;
    let (incarnation, revision) = (report.incarnation, report.revision);
    if json {
        return format!(
            "{{\"incarnation\": {incarnation}, \"revision\": {revision}, \"digest\": \"{kept}\", \
             \"read_back\": \"{read_back}\", \"agree\": {agree}, \"nouns\": {}}}\n",
            sheet.json()
        );
    }
    let verdict = if agree {
        "the tables hold the plan".to_owned()
    } else {
        let nouns: Vec<&str> = report.mismatches().map(|noun| noun.name()).collect();
        format!("THE TABLES DIFFER from the plan in: {}", nouns.join(", "))
    };
    format!(
        "incarnation {incarnation}, revision {revision}, digest {kept}\n{verdict}\n{}",
        sheet.text()
    )
}

fn port_states(ports: &[PortState]) -> Sheet {
    let mut sheet = Sheet::new(&["port", "link", "detail"]);
    for port in ports {
        let (link, detail) = match &port.link {
            LinkState::Up => ("up", String::new()),
            LinkState::Down => ("down", "administratively down".to_owned()),
            LinkState::Detached => ("detached", "the plan attaches it to nothing".to_owned()),
            LinkState::Retrying { error, attempts } => ("retrying", format!("{error} (attempt {attempts})")),
            LinkState::Quarantined { error } => ("quarantined", error.clone()),
        };
        sheet.row([port.port.as_str().into(), link.into(), detail.into()]);
    }
    sheet
}
