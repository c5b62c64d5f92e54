//! Messages to and from bytes: what is encoded is decoded, what is wrong is named, and nothing panics.

use std::net::IpAddr;

use anet_model::changeset::{Change, Changeset};
use anet_model::diff::diff;
use anet_model::digest::{Digest, PlanDigest};
use anet_model::host_plan::HostPlan;
use anet_model::testing::{base_plan, change, host_plan};
use anet_wire::codec::{
    decode_changeset, decode_request, decode_response, encode_changeset, encode_request, encode_response,
};
use anet_wire::control::report::{
    ConnectionList, ConnectionRecord, Counters, DigestReport, DropRecord, FlowList, FlowRecord, HalfRecord,
    LinkState, PortCounters, PortState, ReasonCount, StageCycles, TableSize, TunnelCounters, Tuple,
    VersionReport, WorkerCounters,
};
use anet_wire::control::trace::{
    TraceFields, TracePacket, TraceProtocol, TraceReport, TraceRequest, TraceSource, TraceStep, TraceVerdict,
};
use anet_wire::control::{Filter, Hello, Refusal, Request, Response};
use proptest::prelude::*;
use proptest::sample::Index;

fn text(text: &str) -> String {
    text.to_owned()
}

fn traces() -> Vec<TraceRequest> {
    let fields = |source: Option<&str>, protocol| {
        TracePacket::Fields(TraceFields {
            source: source.and_then(|source| source.parse().ok()),
            destination: IpAddr::from([10, 0, 0, 12]),
            destination_mac: source.and_then(|_| "02:00:00:00:00:07".parse().ok()),
            protocol,
        })
    };
    let packets = [
        TracePacket::Frame(vec![7; 60]),
        fields(
            None,
            TraceProtocol::Tcp {
                source_port: None,
                destination_port: 22,
            },
        ),
        fields(
            Some("fd00::1"),
            TraceProtocol::Udp {
                source_port: Some(0),
                destination_port: 65_535,
            },
        ),
        fields(
            None,
            TraceProtocol::Icmp {
                kind: Some(8),
                code: None,
            },
        ),
    ];
    let request = |packet| {
        Some(TraceRequest {
            from: TraceSource::Port("web1".parse().ok()?),
            packet,
        })
    };
    let from_tunnel = TraceRequest {
        from: TraceSource::Tunnel {
            endpoint: "host2".parse().expect("a legal id"),
            network: "blue".parse().expect("a legal id"),
        },
        packet: TracePacket::Frame(vec![7; 60]),
    };
    packets
        .into_iter()
        .filter_map(request)
        .chain([from_tunnel])
        .collect()
}

fn requests() -> Vec<Request> {
    let filter = Filter {
        port: "web1".parse().ok(),
        network: "blue".parse().ok(),
        address: Some(IpAddr::from([0; 16])),
        protocol: Some(255),
        layer4_port: Some(65_535),
        limit: 1,
    };
    let changes = diff(&HostPlan::default(), &base_plan());
    let snapshot = Changeset {
        incarnation: 1,
        from: 0,
        to: u64::MAX,
        snapshot: true,
        changes,
        digest_after: Some([9; 16]),
    };
    let mut requests = vec![
        Request::Hello(Hello {
            protocol: 1,
            software: text("test 1"),
        }),
        Request::Apply(snapshot),
        Request::Apply(Changeset::default()),
        Request::Digest,
        Request::Drops,
        Request::Flows(Filter::default()),
        Request::Flows(filter.clone()),
        Request::Connections(filter),
        Request::Counters,
        Request::Dump,
        Request::Ports,
        Request::Version,
    ];
    requests.extend(traces().into_iter().map(Request::Trace));
    requests
}

fn tuple() -> Tuple {
    Tuple {
        network: "blue".parse().expect("a legal id"),
        source: IpAddr::from([10, 0, 0, 11]),
        destination: IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]),
        protocol: 6,
        source_port: 40_000,
        destination_port: 22,
    }
}

fn lists() -> Vec<Response> {
    let flow = FlowRecord {
        worker: 1,
        tuple: tuple(),
        from: "web1".parse().ok(),
        action: text("deliver"),
        witness: text("rule web-ssh"),
        packets: 1,
        bytes: 2,
        idle_ms: 3,
    };
    let connection = ConnectionRecord {
        tuple: tuple(),
        port: None,
        state: text("established"),
        rule: "web-ssh".parse().ok(),
        original: HalfRecord { packets: 1, bytes: 2 },
        reply: HalfRecord::default(),
        idle_ms: 5,
        expires_ms: 6,
    };
    let record = DropRecord {
        reason: text("no rule"),
        port: "web1".parse().ok(),
        rule: None,
        count: 4,
        last_sample: text("tcp"),
    };
    vec![
        Response::Drops(vec![record, DropRecord::default()]),
        Response::Flows(FlowList {
            flows: vec![flow],
            matching: 2,
        }),
        Response::Connections(ConnectionList {
            connections: vec![connection],
            matching: 1,
        }),
        Response::Counters(counters()),
        Response::Counters(Counters::default()),
    ]
}

fn counters() -> Counters {
    let text = str::to_owned;
    Counters {
        ports: vec![PortCounters {
            name: text("tunnel"),
            received_packets: 1,
            send_errors: 2,
            ..PortCounters::default()
        }],
        workers: vec![WorkerCounters {
            worker: 1,
            hits: 2,
            panics: 3,
            revalidations: 4,
            rechecks: 5,
            stages: vec![StageCycles {
                stage: text("receive"),
                cycles: 6,
            }],
            ..WorkerCounters::default()
        }],
        reasons: vec![ReasonCount {
            reason: text("no rule"),
            packets: 5,
        }],
        tables: vec![TableSize {
            table: text("connections"),
            entries: 1,
            capacity: 2,
        }],
        tunnel: Some(TunnelCounters {
            too_big: 1,
            queue_full: 2,
            refused: 3,
            icmp_errors: 4,
            trains_cut: 5,
            whole: 6,
            whole_refused: 7,
            segments: true,
            merges: false,
        }),
        control_panics: 6,
    }
}

fn links() -> Vec<PortState> {
    let link = |port: &str, link| PortState {
        port: port.parse().expect("a legal id"),
        link,
    };
    vec![
        link("a", LinkState::Up),
        link("b", LinkState::Down),
        link("c", LinkState::Detached),
        link(
            "d",
            LinkState::Retrying {
                error: text("no such device"),
                attempts: 3,
            },
        ),
        link(
            "e",
            LinkState::Quarantined {
                error: text("a panic"),
            },
        ),
    ]
}

fn responses() -> Vec<Response> {
    let steps = vec![TraceStep {
        stage: text("guard"),
        what: text("source"),
        object: text(""),
        outcome: text("ok"),
    }];
    let verdicts = [
        TraceVerdict::Forwarded {
            to: vec![text("port web1"), text("endpoint host2")],
        },
        TraceVerdict::Answered {
            with: text("ARP reply"),
        },
        TraceVerdict::Dropped {
            reason: text("no rule"),
            object: text("port web1"),
        },
    ];
    let mut responses = vec![
        Response::Hello(Hello {
            protocol: 1,
            software: text("anet-vswitch"),
        }),
        Response::Applied {
            revision: 7,
            digest: Digest::from_bytes([3; 16]),
        },
        Response::Digest(DigestReport::new(
            1,
            2,
            &PlanDigest::of(&base_plan()),
            &PlanDigest::default(),
        )),
        Response::Dump(text("{}\n")),
        Response::Ports(links()),
        Response::Version(VersionReport {
            software: text("v"),
            protocol: 1,
            oldest_protocol: 1,
        }),
        Response::Error(text("say hello first")),
    ];
    responses.extend(lists());
    responses.extend(verdicts.map(|verdict| {
        Response::Trace(TraceReport {
            steps: steps.clone(),
            verdict,
        })
    }));
    let refusals = [
        Refusal::SnapshotNeeded,
        Refusal::AlreadyApplied,
        Refusal::Outdated,
        Refusal::Invalid,
        Refusal::Unavailable,
    ];
    responses.extend(refusals.map(|refusal| Response::Refused {
        refusal,
        reason: text("why"),
        incarnation: 1,
        revision: 2,
    }));
    responses
}

#[test]
fn every_request_and_response_comes_back_as_it_was() {
    for request in requests() {
        assert_eq!(decode_request(&encode_request(&request)), Ok(request));
    }
    for response in responses() {
        assert_eq!(decode_response(&encode_response(&response)), Ok(response));
    }
}

/// One edit of an encoded message.
fn edited(mut bytes: Vec<u8>, edits: &[(Index, u8, u8)]) -> Vec<u8> {
    for (place, kind, value) in edits {
        if bytes.is_empty() {
            break;
        }
        let at = place.index(bytes.len());
        match kind {
            0 => bytes[at] = *value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => bytes.insert(at, *value),
            3 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changesets_come_back_as_they_were(
        changes in prop::collection::vec(change(), 0..20), numbers: (u64, u64, u64), snapshot: bool,
        digest_after in prop::option::of(any::<[u8; 16]>())
    ) {
        let (incarnation, from, to) = numbers;
        let changeset = Changeset { incarnation, from, to, snapshot, changes, digest_after };
        prop_assert_eq!(decode_changeset(&encode_changeset(&changeset)), Ok(changeset));
    }

    #[test]
    fn a_plan_survives_the_wire(plan in host_plan()) {
        let changes = diff(&HostPlan::default(), &plan);
        let bytes = encode_changeset(&Changeset { to: 1, changes, ..Changeset::default() });
        let mut copy = HostPlan::default();
        copy.apply(&decode_changeset(&bytes).unwrap().changes).unwrap();
        prop_assert_eq!(PlanDigest::of(&copy), PlanDigest::of(&plan));
        prop_assert_eq!(copy, plan);
    }

    #[test]
    fn mutated_messages_never_panic(which: Index, edits in prop::collection::vec((any::<Index>(), 0..5_u8, any::<u8>()), 1..6)) {
        let requests = requests();
        let bytes = edited(encode_request(&requests[which.index(requests.len())]), &edits);
        if let Ok(request) = decode_request(&bytes) {
            prop_assert_eq!(decode_request(&encode_request(&request)), Ok(request));
        }
        let responses = responses();
        let bytes = edited(encode_response(&responses[which.index(responses.len())]), &edits);
        let _ = decode_response(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (decode_request(&bytes), decode_response(&bytes), decode_changeset(&bytes));
    }
}

/// A protobuf field of number 1 to 15: length-delimited, or a small number.
fn bytes_field(number: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("a short value");
    [&[number << 3 | 2, length], value].concat()
}

fn number_field(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

#[test]
fn errors_name_the_field() {
    let network = |value: &[u8]| bytes_field(2, &[bytes_field(1, b"blue"), bytes_field(2, value)].concat());
    let rule = |value: &[u8]| {
        bytes_field(
            8,
            &[bytes_field(1, b"g"), bytes_field(2, b"r"), bytes_field(3, value)].concat(),
        )
    };
    let cases = [
        (vec![], "changes[0].change: is missing or of an unknown kind"),
        (
            network(&number_field(1, 0)),
            "changes[0].network.vni: `0` is not a VNI",
        ),
        (
            network(&[number_field(1, 1), number_field(2, 9)].concat()),
            "changes[0].network.mtu: `9` is not a MTU",
        ),
        (
            bytes_field(2, &bytes_field(1, b"no space")),
            "changes[0].network.id: `no space` is not an id",
        ),
        (
            rule(&number_field(1, 9)),
            "changes[0].rule.direction: is missing or of an unknown kind",
        ),
        (
            rule(&number_field(1, 1)),
            "changes[0].rule.family: is missing or of an unknown kind",
        ),
        (
            rule(&[number_field(1, 1), number_field(2, 3)].concat()),
            "changes[0].rule.family: is missing",
        ),
        (
            bytes_field(10, &bytes_field(1, b"set")),
            "changes[0].member.member: is missing",
        ),
        (
            bytes_field(1, &bytes_field(1, &bytes_field(1, &[1, 2, 3]))),
            "changes[0].tunnel.address: 3 bytes are not an IP",
        ),
    ];
    for (change, expected) in cases {
        let error = decode_changeset(&bytes_field(5, &change)).unwrap_err();
        assert!(
            error.to_string().starts_with(expected),
            "{error} instead of {expected}"
        );
    }
    let limit = decode_request(&bytes_field(6, &number_field(6, 0))).unwrap_err();
    assert_eq!(
        (limit.path(), limit.to_string().contains("1 to 100000")),
        ("flows.limit", true),
        "{limit}"
    );
    let apply = decode_request(&bytes_field(2, &bytes_field(5, &[]))).unwrap_err();
    assert_eq!(apply.path(), "apply.changes[0].change");
}

#[test]
fn what_a_later_version_adds_to_a_changeset_is_passed_over() {
    let changeset = Changeset {
        to: 3,
        changes: vec![Change::Tunnel(None)],
        ..Changeset::default()
    };
    let mut bytes = encode_changeset(&changeset);
    bytes.extend([bytes_field(15, b"new"), number_field(14, 1)].concat());
    assert_eq!(decode_changeset(&bytes), Ok(changeset));
}
