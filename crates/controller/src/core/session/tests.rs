//! A session against an agent that applies what it gets to a real plan.

use anet_model::digest::PlanDigest;
use anet_model::host_plan::{Attachment, Budgets, Network, NetworkId, Port, Tunnel};
use anet_model::state::PlanState;
use anet_packet::addr::{Mac, Mtu, Vni};
use anet_wire::control::Refusal;
use anet_wire::control::report::{LinkState, PortState};
use anet_wire::session::{AgentReport, VswitchState};

use super::*;

const KEY: &str = "the key it joined with";

/// What a controller has for one host.
struct Desired {
    plan: HostPlan,
    revision: Revision,
    incarnation: u64,
}

impl Desired {
    fn new() -> Self {
        Self {
            plan: HostPlan::default(),
            revision: 10,
            incarnation: 1,
        }
    }

    fn view(&self) -> PlanView<'_> {
        PlanView {
            plan: &self.plan,
            digest: PlanDigest::of(&self.plan).total(),
            revision: self.revision,
            incarnation: self.incarnation,
            cluster: "c",
            identity: KEY,
        }
    }

    /// Changes the plan at the next revision.
    fn change(&mut self, session: &mut HostSession, changes: Vec<Change>) -> Vec<Output> {
        self.plan.apply(&changes).unwrap();
        self.revision += 1;
        session.plan_changed(changes, &self.view())
    }

    fn tunnel(&mut self, session: &mut HostSession, last: u8) -> Vec<Output> {
        let tunnel = Tunnel {
            address: [192, 0, 2, last].into(),
            udp_port: 4_789,
            dpdk: None,
        };
        self.change(session, vec![Change::Tunnel(Some(tunnel))])
    }
}

fn network() -> (NetworkId, Network) {
    let network = Network {
        vni: Vni::new(7).unwrap(),
        mtu: Mtu::VXLAN_IPV4,
        endpoints: Vec::new(),
    };
    (NetworkId::new("n").unwrap(), network)
}

fn port() -> (PortId, Port) {
    let port = Port {
        network: network().0,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        addresses: Vec::new(),
        allowed_address_pairs: Vec::new(),
        port_security: false,
        security_groups: Vec::new(),
        hostname: None,
        attachment: Attachment::Detached,
        budgets: Budgets::default(),
        admin_up: true,
    };
    (PortId::new("p").unwrap(), port)
}

/// An agent.
#[derive(Default)]
struct Agent {
    state: PlanState,
}

impl Agent {
    fn hello(&self, instance: u64) -> AgentHello {
        AgentHello {
            protocol: anet_wire::session::PROTOCOL,
            software: "anet-agent test".to_owned(),
            host: "h1".parse().unwrap(),
            instance,
            cursor: self.state.cursor(),
            digest: self.state.digest().total(),
            machine: "test".to_owned(),
        }
    }

    fn acknowledgement(&self) -> AgentMessage {
        AgentMessage::Acknowledged {
            cursor: self.state.cursor(),
            digest: self.state.digest().total(),
        }
    }

    fn report(&self, ports: Vec<PortState>) -> AgentMessage {
        AgentMessage::Report(AgentReport {
            cursor: self.state.cursor(),
            digest: self.state.digest().total(),
            ports,
            not_durable: None,
            vswitch: VswitchState::Up,
        })
    }

    /// Applies the changesets among outputs, and says what it would answer.
    fn take(&mut self, outputs: &[Output]) -> Vec<AgentMessage> {
        let mut answers = Vec::new();
        for output in outputs {
            let Output::Changeset(_, changeset) = output else {
                continue;
            };
            answers.push(match self.state.apply(changeset) {
                Ok(_) => self.acknowledgement(),
                Err(error) => AgentMessage::Refused {
                    cursor: self.state.cursor(),
                    changeset_to: changeset.to,
                    refusal: Refusal::of(&error),
                    reason: error.to_string(),
                },
            });
        }
        answers
    }
}

/// Lets both sides speak until nobody has anything to say.
fn settle(
    session: &mut HostSession,
    agent: &mut Agent,
    desired: &Desired,
    outputs: Vec<Output>,
) -> Vec<Output> {
    let mut seen = outputs.clone();
    let mut waiting = agent.take(&outputs);
    for _ in 0..1_000 {
        let mut next = Vec::new();
        for message in std::mem::take(&mut waiting) {
            let outputs = session.message(1, message, &desired.view(), 0);
            next.extend(agent.take(&outputs));
            seen.extend(outputs);
        }
        waiting = next;
        if waiting.is_empty() {
            break;
        }
    }
    seen
}

fn changesets(outputs: &[Output]) -> Vec<&Changeset> {
    let each = outputs.iter().filter_map(|output| match output {
        Output::Changeset(_, changeset) => Some(changeset),
        _ => None,
    });
    each.collect()
}

fn events(outputs: &[Output]) -> Vec<EventKind> {
    let each = outputs.iter().filter_map(|output| match output {
        Output::Event(kind, _) => Some(*kind),
        _ => None,
    });
    each.collect()
}

fn farewell(outputs: &[Output]) -> Option<(Connection, &str, bool)> {
    outputs.iter().find_map(|output| match output {
        Output::Send(connection, ControllerMessage::Farewell { reason, retry }) => {
            Some((*connection, reason.as_str(), *retry))
        }
        _ => None,
    })
}

/// A session with an agent that has what the controller has.
fn begun() -> (HostSession, Agent, Desired) {
    let (mut session, mut agent, mut desired) = (HostSession::new(10), Agent::default(), Desired::new());
    desired.tunnel(&mut session, 1);
    let outputs = session.hello(1, &agent.hello(1), KEY, &desired.view(), 0);
    settle(&mut session, &mut agent, &desired, outputs);
    assert_eq!(agent.state.plan(), &desired.plan);
    assert!(session.is_in_step(1));
    (session, agent, desired)
}

#[test]
fn a_new_agent_gets_a_snapshot_and_then_changes() {
    let (mut session, mut agent, mut desired) = begun();
    let outputs = desired.tunnel(&mut session, 2);
    let sent = changesets(&outputs);
    assert_eq!(
        (sent.len(), sent[0].snapshot, sent[0].from, sent[0].to),
        (1, false, 11, 12)
    );
    assert!(!session.is_in_step(1));
    settle(&mut session, &mut agent, &desired, outputs);
    assert_eq!(agent.state.plan(), &desired.plan);
    assert_eq!(
        session.acknowledged(),
        Some(Cursor {
            incarnation: 1,
            revision: 12
        })
    );
    assert!(session.is_in_step(1));
}

#[test]
fn an_equal_digest_needs_nothing_also_behind_a_restart_of_the_controller() {
    let (_, mut agent, mut desired) = begun();
    desired.revision = 50;
    let mut session = HostSession::new(50);
    let outputs = session.hello(1, &agent.hello(2), KEY, &desired.view(), 0);
    assert!(changesets(&outputs).is_empty());
    assert!(session.is_in_step(1));
    let outputs = desired.tunnel(&mut session, 3);
    assert_eq!(
        (changesets(&outputs)[0].from, changesets(&outputs)[0].to),
        (11, 51)
    );
    settle(&mut session, &mut agent, &desired, outputs);
    assert_eq!(agent.state.plan(), &desired.plan);
}

#[test]
fn an_agent_that_was_away_gets_what_it_missed() {
    let (mut session, mut agent, mut desired) = begun();
    session.closed(1);
    for last in 2..6 {
        assert!(desired.tunnel(&mut session, last).is_empty());
    }
    let outputs = session.hello(1, &agent.hello(1), KEY, &desired.view(), 0);
    let sent = changesets(&outputs);
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|changeset| !changeset.snapshot));
    settle(&mut session, &mut agent, &desired, outputs);
    assert_eq!(agent.state.plan(), &desired.plan);
}

#[test]
fn what_waits_is_bounded_and_comes_when_there_is_room() {
    let (mut session, mut agent, mut desired) = begun();
    let mut outputs = Vec::new();
    for round in 0..500_u16 {
        outputs.extend(desired.tunnel(&mut session, u8::try_from(round % 200 + 2).unwrap()));
    }
    assert_eq!(changesets(&outputs).len(), WINDOW);
    settle(&mut session, &mut agent, &desired, outputs);
    assert_eq!(agent.state.plan(), &desired.plan);
    assert!(session.is_in_step(1));
}

#[test]
fn a_lost_changeset_is_met_by_a_snapshot() {
    let (mut session, mut agent, mut desired) = begun();
    desired.tunnel(&mut session, 2);
    let outputs = desired.tunnel(&mut session, 3);
    let seen = settle(&mut session, &mut agent, &desired, outputs);
    assert!(events(&seen).contains(&EventKind::ChangesetRefused));
    assert_eq!(
        changesets(&seen)
            .iter()
            .filter(|changeset| changeset.snapshot)
            .count(),
        1
    );
    assert_eq!(agent.state.plan(), &desired.plan);
    assert!(session.is_in_step(1));
}

#[test]
fn a_digest_that_differs_is_repaired_and_told_once_in_a_while() {
    let (mut session, mut agent, desired) = begun();
    let stray = Agent::default();
    let message = AgentMessage::Acknowledged {
        cursor: agent.state.cursor(),
        digest: stray.state.digest().total(),
    };
    let outputs = session.message(1, message.clone(), &desired.view(), 10_000);
    assert_eq!(events(&outputs), [EventKind::Repaired]);
    assert!(changesets(&outputs)[0].snapshot);
    settle(&mut session, &mut agent, &desired, outputs);
    assert!(
        session
            .message(1, message.clone(), &desired.view(), 10_001)
            .is_empty()
    );
    assert!(!session.message(1, message, &desired.view(), 16_000).is_empty());
}

#[test]
fn an_invalid_changeset_is_followed_by_one_snapshot_and_then_by_silence() {
    let (mut session, agent, mut desired) = begun();
    let refusal = |to| AgentMessage::Refused {
        cursor: agent.state.cursor(),
        changeset_to: to,
        refusal: Refusal::Invalid,
        reason: "no".to_owned(),
    };
    desired.tunnel(&mut session, 2);
    let outputs = session.message(1, refusal(12), &desired.view(), 0);
    assert_eq!(
        events(&outputs),
        [EventKind::ChangesetRefused, EventKind::HostTrouble]
    );
    assert!(changesets(&outputs)[0].snapshot);
    let outputs = session.message(1, refusal(12), &desired.view(), 0);
    assert!(changesets(&outputs).is_empty());
    assert_eq!(session.health().troubles(), ["a changeset was refused: no"]);
    assert!(!session.is_in_step(1));
    let outputs = desired.tunnel(&mut session, 3);
    assert!(changesets(&outputs)[0].snapshot, "a changed plan is tried again");
}

#[test]
fn another_key_is_sent_away_for_good() {
    let (mut session, agent, desired) = begun();
    let outputs = session.hello(2, &agent.hello(2), "an older key", &desired.view(), 0);
    let (connection, reason, retry) = farewell(&outputs).unwrap();
    assert_eq!((connection, retry), (2, false));
    assert!(reason.contains("joined again elsewhere"), "{reason}");
    assert_eq!(events(&outputs), [EventKind::Refused]);
    let mut view = desired.view();
    view.identity = "a newer key";
    let outputs = session.tick(Some(&view), 100);
    assert_eq!(
        farewell(&outputs).unwrap().0,
        1,
        "the live one too, when the host has joined anew"
    );
}

#[test]
fn a_second_agent_waits_and_is_told_of_if_the_first_one_lives() {
    let (mut session, agent, desired) = begun();
    let outputs = session.hello(2, &agent.hello(2), KEY, &desired.view(), 1_000);
    assert_eq!(
        farewell(&outputs).map(|(connection, _, retry)| (connection, retry)),
        Some((2, true))
    );
    assert!(events(&outputs).is_empty(), "it may just have been restarted");
    assert!(
        session
            .message(1, agent.report(Vec::new()), &desired.view(), 1_500)
            .is_empty()
    );
    let outputs = session.message(1, agent.report(Vec::new()), &desired.view(), 2_500);
    assert_eq!(events(&outputs), [EventKind::TwoIdentities]);
    let outputs = session.hello(3, &agent.hello(2), KEY, &desired.view(), 6_000);
    assert_eq!(outputs[0], Output::Close(1), "a silent one makes room");
    assert_eq!(session.connection(), Some(3));
}

#[test]
fn a_contest_is_told_once_however_long_it_lasts_and_another_one_again() {
    let (mut session, agent, desired) = begun();
    let attempts = |session: &mut HostSession, from_ms: u64| {
        let mut told = Vec::new();
        for now_ms in (from_ms..from_ms + 120_000).step_by(2_000) {
            let outputs = session.hello(2, &agent.hello(2), KEY, &desired.view(), now_ms);
            let (_, reason, _) = farewell(&outputs).unwrap();
            assert!(
                reason.contains("a copy") && reason.contains("join it"),
                "{reason}"
            );
            told.extend(events(&outputs));
            let report = agent.report(Vec::new());
            told.extend(events(&session.message(
                1,
                report,
                &desired.view(),
                now_ms + 1_500,
            )));
        }
        told
    };
    assert_eq!(attempts(&mut session, 1_000), [EventKind::TwoIdentities]);
    for now_ms in (121_000..1_000_000).step_by(1_000) {
        session.message(1, agent.report(Vec::new()), &desired.view(), now_ms);
    }
    assert_eq!(attempts(&mut session, 1_000_000), [EventKind::TwoIdentities]);
}

#[test]
fn a_restart_that_knocked_too_early_is_no_contest() {
    let (mut session, agent, desired) = begun();
    session.hello(2, &agent.hello(2), KEY, &desired.view(), 1_000);
    session.closed(1);
    let outputs = session.hello(3, &agent.hello(2), KEY, &desired.view(), 1_500);
    assert_eq!(events(&outputs), [EventKind::HostConnected]);
    let outputs = session.message(3, agent.report(Vec::new()), &desired.view(), 3_500);
    assert_eq!(events(&outputs), []);
}

#[test]
fn an_agent_ahead_of_the_store_begins_history_anew() {
    let (_, mut agent, mut desired) = begun();
    desired.revision = 5;
    desired.plan = HostPlan::default();
    let mut session = HostSession::new(5);
    let outputs = session.hello(1, &agent.hello(1), KEY, &desired.view(), 0);
    assert!(outputs.contains(&Output::Mint { above: 1 }));
    assert!(changesets(&outputs).is_empty());
    assert!(
        desired.tunnel(&mut session, 9).is_empty(),
        "nothing of a history that is over"
    );
    desired.incarnation = 2;
    let outputs = session.began_anew(&desired.view());
    settle(&mut session, &mut agent, &desired, outputs);
    assert_eq!(
        (agent.state.plan(), agent.state.incarnation()),
        (&desired.plan, 2)
    );
    assert!(session.is_in_step(2));
    let mut mad = agent.hello(1);
    mad.cursor.incarnation = u64::MAX;
    session.closed(1);
    let outputs = session.hello(2, &mad, KEY, &desired.view(), 100_000);
    assert!(!outputs.iter().any(|output| matches!(output, Output::Mint { .. })));
    assert_eq!(farewell(&outputs).map(|(_, _, retry)| retry), Some(false));
}

#[test]
fn a_port_is_active_when_its_host_has_it_and_its_link_is_up() {
    let (mut session, mut agent, mut desired) = begun();
    let ((network_id, network), (port_id, port)) = (network(), port());
    let up = || {
        vec![PortState {
            port: PortId::new("p").unwrap(),
            link: LinkState::Up,
        }]
    };
    let changes = vec![
        Change::Network(network_id, Some(network)),
        Change::Port(port_id.clone(), Some(port)),
    ];
    let outputs = desired.change(&mut session, changes);
    session.message(1, agent.report(up()), &desired.view(), 0);
    assert!(!session.port_is_active(&port_id), "it is not acknowledged");
    settle(&mut session, &mut agent, &desired, outputs);
    assert!(session.port_is_active(&port_id));
    session.message(1, agent.report(Vec::new()), &desired.view(), 0);
    assert!(!session.port_is_active(&port_id), "nothing is attached");
    session.message(1, agent.report(up()), &desired.view(), 0);
    session.closed(1);
    assert!(
        session.port_is_active(&port_id),
        "a host without its agent goes on"
    );
}

#[test]
fn silence_ends_a_session_and_trouble_is_told_when_it_begins_and_ends() {
    let (mut session, agent, desired) = begun();
    let mut down = agent.report(Vec::new());
    if let AgentMessage::Report(report) = &mut down {
        report.vswitch = VswitchState::Down {
            reason: "gone".to_owned(),
        };
    }
    let outputs = session.message(1, down.clone(), &desired.view(), 0);
    assert_eq!(events(&outputs), [EventKind::HostTrouble]);
    assert!(events(&session.message(1, down, &desired.view(), 0)).is_empty());
    let outputs = session.message(1, agent.report(Vec::new()), &desired.view(), 0);
    assert_eq!(events(&outputs), [EventKind::HostRecovered]);
    assert!(session.tick(Some(&desired.view()), SILENCE_MS).is_empty());
    let outputs = session.tick(Some(&desired.view()), SILENCE_MS + 1);
    assert_eq!(farewell(&outputs).map(|(_, _, retry)| retry), Some(true));
    assert_eq!(
        session.message(1, agent.report(Vec::new()), &desired.view(), 9_000),
        [Output::Close(1)]
    );
}

#[test]
fn an_older_protocol_is_told_what_to_do() {
    let (mut session, agent, desired) = begun();
    let mut hello = agent.hello(1);
    hello.protocol = 0;
    let outputs = session.hello(2, &hello, KEY, &desired.view(), 0);
    let (_, reason, retry) = farewell(&outputs).unwrap();
    assert!(
        reason.contains("bring the older one up to date") && !retry,
        "{reason}"
    );
}

#[test]
fn a_host_that_has_accepted_more_than_the_store_has_makes_history_begin_anew() {
    let (mut session, mut agent, mut desired) = begun();
    // What it has accepted came from a store that was put back to an older state since; it was not applied yet.
    desired.tunnel(&mut session, 2);
    let refused = AgentMessage::Refused {
        cursor: Cursor {
            incarnation: 1,
            revision: 50,
        },
        changeset_to: desired.revision,
        refusal: Refusal::Outdated,
        reason: "the snapshot is older".to_owned(),
    };
    let outputs = session.message(1, refused.clone(), &desired.view(), 0);
    assert!(outputs.contains(&Output::Mint { above: 1 }), "{outputs:?}");
    assert_eq!(changesets(&outputs), Vec::<&Changeset>::new());
    let again = session.message(1, refused, &desired.view(), 0);
    assert!(!again.contains(&Output::Mint { above: 1 }), "once is enough");
    desired.incarnation = 2;
    let outputs = session.began_anew(&desired.view());
    assert_eq!(changesets(&outputs).len(), 1);
    settle(&mut session, &mut agent, &desired, outputs);
    assert!(session.is_in_step(2));
}

#[test]
fn a_gap_is_not_answered_once_for_everything_that_was_under_way_behind_it() {
    let (mut session, agent, mut desired) = begun();
    for last in 2..30 {
        assert_eq!(changesets(&desired.tunnel(&mut session, last)).len(), 1);
    }
    let mut snapshots = 0;
    for to in 12..=desired.revision {
        let refused = AgentMessage::Refused {
            cursor: agent.state.cursor(),
            changeset_to: to,
            refusal: Refusal::SnapshotNeeded,
            reason: "gap".to_owned(),
        };
        let outputs = session.message(1, refused, &desired.view(), 0);
        snapshots += changesets(&outputs).len();
    }
    // The last of them leads to where the snapshot leads, and may be the snapshot's.
    assert!((1..=2).contains(&snapshots), "{snapshots} snapshots");
}
