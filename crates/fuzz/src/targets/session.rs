//! What agents and controllers say to each other, signed changesets, and plans and logs on a host's disk.

use anet_agent::disk::log;
use anet_model::changeset::Changeset;
use anet_model::diff::diff;
use anet_model::digest::Digest;
use anet_model::host_plan::HostPlan;
use anet_model::state::{Cursor, PlanState};
use anet_wire::codec::{
    decode_agent_message, decode_controller_message, decode_signed_changeset, decode_state,
    encode_agent_message, encode_controller_message, encode_signed_changeset, encode_state,
};
use anet_wire::control::Refusal;
use anet_wire::control::report::{LinkState, PortState};
use anet_wire::session::{
    AgentHello, AgentMessage, AgentReport, ControllerMessage, SignedChangeset, VswitchState,
};

use crate::fabric;

/// The kind of a log, as its header has it.
const KIND: [u8; 8] = *b"desired\0";

/// A message of every kind, a signed changeset, a plan and a log of it.
pub fn seeds() -> Vec<Vec<u8>> {
    let signed = SignedChangeset {
        host: "host1".parse().expect("a legal id"),
        changeset: Changeset {
            to: 1,
            snapshot: true,
            changes: diff(&HostPlan::default(), &fabric::plan()),
            ..Changeset::default()
        },
    };
    let payload = encode_signed_changeset(&signed);
    let controller = [
        ControllerMessage::Changeset(payload.clone()),
        ControllerMessage::Welcome {
            protocol: 1,
            software: "fuzz".to_owned(),
            cluster: "lab".to_owned(),
            cursor: Cursor {
                incarnation: 1,
                revision: 2,
            },
            digest: Digest::default(),
        },
        ControllerMessage::Farewell {
            reason: "bye".to_owned(),
            retry: true,
        },
    ];
    let mut seeds: Vec<Vec<u8>> = agent_messages().iter().map(encode_agent_message).collect();
    seeds.extend(controller.iter().map(encode_controller_message));
    let state = PlanState::new(fabric::plan(), 1, 7).expect("a valid plan");
    let kept = encode_state(&state);
    seeds.push([b"aNETlog1".as_slice(), &KIND, &[0; 36]].concat());
    seeds.extend([payload, kept]);
    seeds
}

fn agent_messages() -> [AgentMessage; 5] {
    let cursor = Cursor {
        incarnation: 1,
        revision: 7,
    };
    let digest = Digest::from_bytes([7; 16]);
    let port = |link| PortState {
        port: "a".parse().expect("a legal id"),
        link,
    };
    [
        AgentMessage::Hello(AgentHello {
            protocol: 1,
            software: "fuzz".to_owned(),
            host: "host1".parse().expect("a legal id"),
            instance: 1,
            cursor,
            digest,
            machine: "m".to_owned(),
        }),
        AgentMessage::Acknowledged { cursor, digest },
        AgentMessage::Refused {
            cursor,
            changeset_to: 8,
            refusal: Refusal::SnapshotNeeded,
            reason: "gap".to_owned(),
        },
        AgentMessage::Report(AgentReport {
            cursor,
            digest,
            ports: vec![
                port(LinkState::Up),
                port(LinkState::Quarantined {
                    error: "x".to_owned(),
                }),
            ],
            not_durable: Some("full".to_owned()),
            vswitch: VswitchState::Down {
                reason: "away".to_owned(),
            },
        }),
        AgentMessage::TraceAnswer {
            id: 1,
            answer: Err("no such port".to_owned()),
        },
    ]
}

/// What is understood is understood again after it was written; a plan on disk is valid or none.
pub fn target(bytes: &[u8]) {
    if let Ok(message) = decode_agent_message(bytes) {
        let again = decode_agent_message(&encode_agent_message(&message));
        assert_eq!(again.as_ref(), Ok(&message));
    }
    if let Ok(message) = decode_controller_message(bytes) {
        let again = decode_controller_message(&encode_controller_message(&message));
        assert_eq!(again.as_ref(), Ok(&message));
    }
    if let Ok(signed) = decode_signed_changeset(bytes) {
        let again = decode_signed_changeset(&encode_signed_changeset(&signed));
        assert_eq!(again.as_ref(), Ok(&signed));
    }
    if let Ok(state) = decode_state(bytes) {
        state.plan().validate().expect("what was kept was valid");
        assert_eq!(decode_state(&encode_state(&state)).as_ref(), Ok(&state));
    }
    let found = log::read(bytes, KIND);
    assert_eq!(found.good + found.rest, bytes.len() as u64);
}
