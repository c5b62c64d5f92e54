//! A change costs what it touches: with a thousand times the peers, one change takes about as long.

use std::time::{Duration, Instant};

use anet_model::changeset::{Change, Changeset};
use anet_model::host_plan::{Direction, Family, HostPlan, Peer, PortRange, Protocol, Remote, Rule};
use anet_model::id::Id;
use anet_model::state::PlanState;
use anet_model::testing::base_plan;
use anet_packet::addr::Mac;

fn id<N>(text: &str) -> Id<N> {
    Id::new(text).expect("a legal id")
}

fn peer(number: u32) -> Peer {
    let [_, a, b, c] = number.to_be_bytes();
    Peer {
        network: id("net0"),
        mac: Mac([2, 0, 0, a, b, c]),
        addresses: vec![[10, a, b, c].into()],
        endpoint: id("host1"),
    }
}

fn plan_with_peers(count: u32) -> HostPlan {
    let mut plan = base_plan();
    plan.peers
        .extend((1..=count).map(|number| (id(&format!("peer{number}")), peer(number))));
    plan
}

/// The shortest time of many that a peer, a rule and a member take to come and go.
fn change_time(state: &mut PlanState) -> Duration {
    let range = PortRange { first: 22, last: 22 };
    let (direction, protocol) = (Direction::Ingress, Protocol::Tcp(range));
    let rule = Rule {
        direction,
        family: Family::Ipv4,
        protocol,
        remote: Remote::Any,
    };
    let come = vec![
        Change::Peer(id("new"), Some(peer(0xff_ffff))),
        Change::Rule(id("base"), id("new"), Some(rule)),
    ];
    let go = vec![
        Change::Peer(id("new"), None),
        Change::Rule(id("base"), id("new"), None),
    ];
    let mut apply = |changes: &Vec<Change>| {
        let (from, to) = (state.revision(), state.revision() + 1);
        state
            .apply(&Changeset {
                from,
                to,
                changes: changes.clone(),
                ..Changeset::default()
            })
            .expect("valid");
    };
    let once = |_| {
        let start = Instant::now();
        apply(&come);
        apply(&go);
        start.elapsed()
    };
    (0..200).map(once).min().unwrap_or_default()
}

#[test]
fn a_change_does_not_cost_the_plan() {
    let [mut small, mut large] = [50, 50_000].map(|peers| {
        let start = Instant::now();
        let state = PlanState::new(plan_with_peers(peers), 0, 0).expect("valid");
        println!(
            "{peers} peers: whole validation, index and digest {:?}",
            start.elapsed()
        );
        state
    });
    let (small, large) = (change_time(&mut small), change_time(&mut large));
    println!("a peer and a rule come and go: {small:?} beside 50 peers, {large:?} beside 50,000");
    assert!(
        large < small * 20 + Duration::from_micros(200),
        "{small:?} became {large:?}"
    );
}
