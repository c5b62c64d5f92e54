//! Messages of a session to and from bytes: what is encoded is decoded, what is too much is refused, nothing panics.

use std::net::IpAddr;

use anet_model::changeset::Changeset;
use anet_model::digest::Digest;
use anet_model::state::{Cursor, PlanState};
use anet_model::testing::{base_plan, change, host_plan};
use anet_wire::codec::{
    AGENT_MESSAGE_MAXIMUM, KeptError, SESSION_MESSAGE_MAXIMUM, decode_agent_message,
    decode_controller_message, decode_signed_changeset, decode_state, encode_agent_message, encode_changeset,
    encode_controller_message, encode_signed_changeset, encode_state,
};
use anet_wire::control::Refusal;
use anet_wire::control::report::{LinkState, PortState};
use anet_wire::control::trace::{
    TraceFields, TracePacket, TraceProtocol, TraceReport, TraceRequest, TraceSource, TraceStep, TraceVerdict,
};
use anet_wire::session::{
    AgentHello, AgentMessage, AgentReport, ControllerMessage, OLDEST_PROTOCOL, PROTOCOL, SignedChangeset,
    VswitchState, common_protocol,
};
use proptest::prelude::*;
use proptest::sample::Index;

const CURSOR: Cursor = Cursor {
    incarnation: 3,
    revision: u64::MAX,
};

fn text(text: &str) -> String {
    text.to_owned()
}

fn digest() -> Digest {
    Digest::from_bytes([7; 16])
}

fn port(name: &str, link: LinkState) -> PortState {
    PortState {
        port: name.parse().expect("a legal id"),
        link,
    }
}

fn report(ports: Vec<PortState>) -> AgentReport {
    AgentReport {
        cursor: CURSOR,
        digest: digest(),
        ports,
        not_durable: None,
        vswitch: VswitchState::Up,
    }
}

fn trace_answer(to: Vec<String>) -> AgentMessage {
    let step = TraceStep {
        stage: text("guard"),
        what: text("source"),
        object: text(""),
        outcome: text("ok"),
    };
    AgentMessage::TraceAnswer {
        id: 9,
        answer: Ok(TraceReport {
            steps: vec![step],
            verdict: TraceVerdict::Forwarded { to },
        }),
    }
}

fn agent_messages() -> Vec<AgentMessage> {
    let troubled = AgentReport {
        not_durable: Some(text("no space left on device")),
        vswitch: VswitchState::Down {
            reason: text("no such file"),
        },
        ..report(vec![
            port("a", LinkState::Up),
            port("b", LinkState::Down),
            port("c", LinkState::Detached),
            port(
                "d",
                LinkState::Retrying {
                    error: text("no such device"),
                    attempts: 3,
                },
            ),
            port(
                "e",
                LinkState::Quarantined {
                    error: text("a panic"),
                },
            ),
        ])
    };
    vec![
        AgentMessage::Hello(AgentHello {
            protocol: 1,
            software: text("anet-agent 0.1.0"),
            host: "host1".parse().expect("a legal id"),
            instance: u64::MAX,
            cursor: CURSOR,
            digest: digest(),
            machine: text("Linux 6.1, 2 cores"),
        }),
        AgentMessage::Acknowledged {
            cursor: Cursor::default(),
            digest: Digest::default(),
        },
        AgentMessage::Refused {
            cursor: CURSOR,
            changeset_to: 12,
            refusal: Refusal::SnapshotNeeded,
            reason: text("gap"),
        },
        AgentMessage::Report(report(vec![])),
        AgentMessage::Report(troubled),
        trace_answer(vec![text("port web1"), text("endpoint host2")]),
        AgentMessage::TraceAnswer {
            id: 0,
            answer: Err(text("no such port")),
        },
    ]
}

fn controller_messages() -> Vec<ControllerMessage> {
    let fields = TraceFields {
        source: None,
        destination: IpAddr::from([10, 0, 0, 12]),
        destination_mac: None,
        protocol: TraceProtocol::Icmp {
            kind: None,
            code: None,
        },
    };
    vec![
        ControllerMessage::Welcome {
            protocol: 1,
            software: text("anet-controller 0.1.0"),
            cluster: text("lab"),
            cursor: Cursor {
                incarnation: 1,
                revision: 7,
            },
            digest: Digest::from_bytes([9; 16]),
        },
        ControllerMessage::Changeset(vec![]),
        ControllerMessage::Changeset(vec![1, 2, 3]),
        ControllerMessage::Trace {
            id: 4,
            request: TraceRequest {
                from: TraceSource::Port("web1".parse().expect("a legal id")),
                packet: TracePacket::Fields(fields),
            },
        },
        ControllerMessage::Farewell {
            reason: text("another agent speaks for this host"),
            retry: false,
        },
    ]
}

#[test]
fn every_message_comes_back_as_it_was() {
    for message in agent_messages() {
        assert_eq!(decode_agent_message(&encode_agent_message(&message)), Ok(message));
    }
    for message in controller_messages() {
        assert_eq!(
            decode_controller_message(&encode_controller_message(&message)),
            Ok(message)
        );
    }
}

#[test]
fn versions_next_to_each_other_understand_each_other() {
    assert_eq!(common_protocol(PROTOCOL), Some(PROTOCOL));
    assert_eq!(common_protocol(PROTOCOL + 1), Some(PROTOCOL));
    assert_eq!(common_protocol(OLDEST_PROTOCOL), Some(OLDEST_PROTOCOL));
    assert_eq!(common_protocol(OLDEST_PROTOCOL - 1), None);
}

#[test]
fn long_texts_are_cut_when_they_are_written() {
    // Three bytes for each character: 1,024 is inside one.
    let long = "\u{20ac}".repeat(2_000);
    let message = AgentMessage::Refused {
        cursor: CURSOR,
        changeset_to: 1,
        refusal: Refusal::Invalid,
        reason: long.clone(),
    };
    match decode_agent_message(&encode_agent_message(&message)) {
        Ok(AgentMessage::Refused { reason, .. }) => {
            assert!(long.starts_with(&reason) && reason.len() == 1_023);
        }
        other => panic!("{other:?}"),
    }
    let links = vec![port("a", LinkState::Quarantined { error: long.clone() })];
    let message = AgentMessage::Report(AgentReport {
        not_durable: Some(long),
        ..report(links)
    });
    match decode_agent_message(&encode_agent_message(&message)) {
        Ok(AgentMessage::Report(report)) => {
            assert_eq!(report.not_durable.map(|why| why.len()), Some(1_023));
            assert_eq!(report.ports.len(), 1);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_report_has_a_bound_and_stands_alone() {
    let ports = |count: usize| {
        (0..count)
            .map(|n| port(&format!("port{n}"), LinkState::Up))
            .collect()
    };
    let most = AgentMessage::Report(report(ports(AgentReport::PORTS_MAXIMUM)));
    let mut bytes = encode_agent_message(&most);
    assert_eq!(decode_agent_message(&bytes), Ok(most));
    let one = encode_agent_message(&AgentMessage::Report(report(ports(1))));
    bytes.extend(&one);
    assert!(
        decode_agent_message(&bytes)
            .unwrap_err()
            .to_string()
            .contains("alone")
    );
    let long = vec![4 << 3 | 2; SESSION_MESSAGE_MAXIMUM + 1];
    assert!(
        decode_agent_message(&long)
            .unwrap_err()
            .to_string()
            .contains("too long")
    );
    // One port more, written by hand as somebody hostile would: each is called `a` and is up.
    let state = [3 << 3 | 2, 5, 1 << 3 | 2, 1, b'a', 2 << 3 | 2, 0];
    let states = state.repeat(AgentReport::PORTS_MAXIMUM + 1);
    let length = states.len();
    let varint = |shift: usize| u8::try_from(length >> shift & 0x7f).unwrap();
    let header = [4 << 3 | 2, varint(0) | 0x80, varint(7) | 0x80, varint(14)];
    let error = decode_agent_message(&[&header, states.as_slice()].concat()).unwrap_err();
    assert_eq!(error.path(), "report.ports[65536]", "{error}");
}

#[test]
fn what_is_no_report_is_short() {
    let mut bytes = encode_agent_message(&trace_answer(vec!["x".repeat(100_000); 2]));
    assert!(bytes.len() < AGENT_MESSAGE_MAXIMUM && decode_agent_message(&bytes).is_ok());
    let too_long = encode_agent_message(&trace_answer(vec!["x".repeat(100_000); 3]));
    match decode_agent_message(&too_long) {
        Ok(AgentMessage::TraceAnswer { answer, .. }) => assert!(answer.unwrap_err().contains("too long")),
        other => panic!("{other:?}"),
    }
    bytes.resize(AGENT_MESSAGE_MAXIMUM + 1, 0);
    assert!(
        decode_agent_message(&bytes)
            .unwrap_err()
            .to_string()
            .contains("too long")
    );
}

#[test]
fn a_plan_on_disk_must_be_whole_and_the_one_that_was_written() {
    let state = PlanState::new(base_plan(), 2, 9).unwrap();
    let mut snapshot = anet_wire::codec::snapshot_of(&state);
    snapshot.digest_after = Some([1; 16]);
    assert!(matches!(
        decode_state(&encode_changeset(&snapshot)),
        Err(KeptError::Apply(_))
    ));
    snapshot.snapshot = false;
    assert_eq!(
        decode_state(&encode_changeset(&snapshot)),
        Err(KeptError::NoSnapshot)
    );
    assert!(matches!(decode_state(&[0xff]), Err(KeptError::Decode(_))));
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
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn signed_changesets_come_back_as_they_were(
        changes in prop::collection::vec(change(), 0..20), numbers: (u64, u64, u64), snapshot: bool, host in "[a-z0-9.-]{1,64}"
    ) {
        let (incarnation, from, to) = numbers;
        let changeset = Changeset { incarnation, from, to, snapshot, changes, digest_after: None };
        let signed = SignedChangeset { host: host.parse().unwrap(), changeset };
        prop_assert_eq!(decode_signed_changeset(&encode_signed_changeset(&signed)), Ok(signed));
    }

    #[test]
    fn plans_come_back_from_disk(plan in host_plan(), incarnation: u64, revision: u64) {
        let state = PlanState::new(plan, incarnation, revision).unwrap();
        prop_assert_eq!(decode_state(&encode_state(&state)), Ok(state));
    }

    #[test]
    fn mutated_messages_never_panic(which: Index, edits in prop::collection::vec((any::<Index>(), 0..5_u8, any::<u8>()), 1..6)) {
        let messages = agent_messages();
        let bytes = edited(encode_agent_message(&messages[which.index(messages.len())]), &edits);
        if let Ok(message) = decode_agent_message(&bytes) {
            prop_assert_eq!(decode_agent_message(&encode_agent_message(&message)), Ok(message));
        }
        let messages = controller_messages();
        let bytes = edited(encode_controller_message(&messages[which.index(messages.len())]), &edits);
        if let Ok(message) = decode_controller_message(&bytes) {
            prop_assert_eq!(decode_controller_message(&encode_controller_message(&message)), Ok(message));
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (decode_agent_message(&bytes), decode_controller_message(&bytes));
        let _ = (decode_signed_changeset(&bytes), decode_state(&bytes));
    }
}
