//! How the fabric is, and what happened, in the API's words.

use std::collections::BTreeSet;

use anet_api::events::{Event, Events, Health, HealthPart, Severity};
use anet_api::resource::HostState;
use anet_api::timestamp;
use anet_model::intent::HostId;
use anet_plan::Object;

use crate::core::SOFTWARE;
use crate::core::admit::Caller;
use crate::core::events::{self, EventKind};
use crate::core::fabric::Fabric;
use crate::core::mirror::Mirror;

/// The most events one answer holds.
pub const EVENTS_MAXIMUM: usize = 1_000;
/// The most problems of one plan that are told.
const PROBLEMS_MAXIMUM: usize = 10;

/// The last events behind a sequence number, oldest first.
pub fn events(state: &Fabric, after: u64, limit: usize) -> Events {
    let limit = limit.min(EVENTS_MAXIMUM);
    let passed_over = state.events().since(after).count().saturating_sub(limit);
    Events {
        events: state.events().since(after).skip(passed_over).map(event).collect(),
        last: state.events().last(),
    }
}

fn event(event: &events::Event) -> Event {
    Event {
        sequence: event.sequence,
        time: timestamp::to_text(event.at_ms / 1_000),
        severity: severity(event.kind),
        kind: event.kind.name().to_owned(),
        host: event.host.as_ref().map(ToString::to_string),
        message: event.message.clone(),
    }
}

const fn severity(kind: EventKind) -> Severity {
    match kind {
        EventKind::HostConnected | EventKind::HostJoined | EventKind::HostRecovered => Severity::Info,
        EventKind::HostDisconnected | EventKind::Refused | EventKind::Repaired | EventKind::WatchRepaired => {
            Severity::Warning
        }
        EventKind::TwoIdentities
        | EventKind::ChangesetRefused
        | EventKind::IncarnationMinted
        | EventKind::HostTrouble => Severity::Error,
    }
}

/// How the fabric is, as far as the caller may know: members hear of hosts only how many are well, and of plans only what concerns
/// objects of their own.
pub fn health(state: &Fabric, caller: &Caller, store: Result<(), String>) -> Health {
    let mirror = state.mirror();
    let mut parts = vec![match store {
        Ok(()) => part(
            "store",
            Severity::Info,
            format!("serves, at revision {}", mirror.revision()),
        ),
        Err(error) => part("store", Severity::Error, error),
    }];
    match caller.admin {
        true => parts.extend(
            mirror
                .intent()
                .hosts
                .keys()
                .flat_map(|host| host_parts(state, host)),
        ),
        false => parts.extend(member_parts(state, caller)),
    }
    Health {
        healthy: parts.iter().all(|part| part.severity == Severity::Info),
        cluster: mirror.cluster().cluster.clone(),
        incarnation: mirror.cluster().incarnation,
        revision: mirror.revision(),
        software: SOFTWARE.to_owned(),
        parts,
    }
}

fn host_parts(state: &Fabric, host: &HostId) -> Vec<HealthPart> {
    let (severity, message) = host_state(state, host);
    let problems = state.mirror().planner().problems(host);
    let name = format!("plan of host {host}");
    let mut parts = vec![part(&format!("host {host}"), severity, message)];
    parts.extend(plan_parts(
        &name,
        problems.iter().map(ToString::to_string).collect(),
    ));
    parts
}

/// The first problems, and how many more there are.
fn plan_parts(name: &str, problems: Vec<String>) -> Vec<HealthPart> {
    let more = problems.len().saturating_sub(PROBLEMS_MAXIMUM);
    let more = (more > 0).then(|| format!("{more} more like these"));
    let told = problems.into_iter().take(PROBLEMS_MAXIMUM).chain(more);
    told.map(|text| part(name, Severity::Warning, text)).collect()
}

fn member_parts(state: &Fabric, caller: &Caller) -> Vec<HealthPart> {
    let hosts = &state.mirror().intent().hosts;
    let states = hosts.keys().map(|host| host_state(state, host).0);
    let states: Vec<Severity> = states.collect();
    let well = states
        .iter()
        .filter(|severity| **severity == Severity::Info)
        .count();
    let text = format!("{well} of {} are up and in step", states.len());
    let severity = states.into_iter().max().unwrap_or(Severity::Info);
    let mut problems = BTreeSet::new();
    for problem in hosts
        .keys()
        .flat_map(|host| state.mirror().planner().problems(host))
    {
        if problem
            .objects()
            .all(|object| sees(state.mirror(), caller, object))
        {
            problems.insert(problem.to_string());
        }
    }
    let mut parts = vec![part("hosts", severity, text)];
    parts.extend(plan_parts("plan", problems.into_iter().collect()));
    parts
}

/// Whether an object is one of the caller's.
fn sees(mirror: &Mirror, caller: &Caller, object: &Object) -> bool {
    let intent = mirror.intent();
    let owner = match object {
        Object::Network(id) => intent.networks.get(id).map(|network| &network.project),
        Object::Subnet(id) => intent.subnets.get(id).map(|subnet| &subnet.project),
        Object::SecurityGroup(id) => intent.security_groups.get(id).map(|group| &group.project),
        Object::Rule(id) => intent.rules.get(id).map(|rule| &rule.project),
        Object::Port(id) => intent.ports.get(id).map(|port| &port.project),
        Object::Host(_) | Object::ForeignEndpoint(_) | Object::Station(_) => None,
    };
    owner.is_some_and(|owner| caller.sees(owner))
}

fn host_state(state: &Fabric, host: &HostId) -> (Severity, String) {
    let observed = state.observed(host);
    match (observed.status, observed.troubles.is_empty()) {
        (HostState::Up, true) if observed.in_step == Some(true) => {
            (Severity::Info, "up and in step".to_owned())
        }
        (HostState::Up, true) => (Severity::Warning, "up, and applying changes".to_owned()),
        (HostState::Up, false) => (Severity::Error, observed.troubles.join("; ")),
        (HostState::Down, _) => (
            Severity::Error,
            "its agent is silent: look at anet-agent there; the host goes on with what it has".to_owned(),
        ),
        (HostState::New, _) => (
            Severity::Warning,
            "not heard since this controller started: is anet-agent running there?".to_owned(),
        ),
    }
}

fn part(name: &str, severity: Severity, message: String) -> HealthPart {
    HealthPart {
        name: name.to_owned(),
        severity,
        message,
    }
}

#[cfg(test)]
mod tests {
    use anet_model::host_plan::{NetworkId, PortId};
    use anet_model::testing::intent::{host_at, network_of, port_of};
    use anet_packet::addr::Mac;
    use anet_plan::Settings;
    use anet_store::{KeyValue, Listing};
    use serde::Serialize;

    use super::*;
    use crate::core::fabric::Now;
    use crate::core::keys::{self, Noun};
    use crate::core::record;

    fn entry(key: Vec<u8>, object: &impl Serialize) -> KeyValue {
        KeyValue {
            key,
            value: record::encode(object).unwrap(),
            create_revision: 1,
            mod_revision: 1,
            version: 1,
            lease: None,
        }
    }

    /// On one host: a network of each project in one segment, and two ports of `red` with one MAC.
    fn state() -> Fabric {
        let mut entries = Vec::new();
        let host = HostId::new("secret-host").unwrap();
        entries.push(entry(keys::object(Noun::Host, &host), &host_at(None, 4789)));
        for project in ["blue", "red"] {
            let id = NetworkId::new(&format!("net-{project}")).unwrap();
            let mut network = network_of(7, 1450, true);
            network.project = project.parse().unwrap();
            entries.push(entry(keys::object(Noun::Network, &id), &network));
        }
        for (name, network, project) in [
            ("port-1", "net-blue", "red"),
            ("port-2", "net-blue", "red"),
            ("port-3", "net-red", "red"),
        ] {
            let id = PortId::new(name).unwrap();
            let mut port = port_of(network, Mac([2, 0, 0, 0, 0, 1]));
            port.project = project.parse().unwrap();
            port.host = Some(host.clone());
            entries.push(entry(keys::object(Noun::Port, &id), &port));
        }
        let mut state = Fabric::new(Settings::default());
        let listing = Listing { revision: 1, entries };
        state.list(&listing, None, None, Now::default()).unwrap();
        state
    }

    fn told(project: &str, admin: bool) -> String {
        let caller = Caller {
            project: Some(project.parse().unwrap()),
            admin,
        };
        let health = health(&state(), &caller, Ok(()));
        serde_json::to_string(&health).unwrap()
    }

    #[test]
    fn members_hear_of_their_own_objects_and_of_no_host() {
        let all = told("red", true);
        for name in [
            "host secret-host",
            "net-blue",
            "net-red",
            "port-1",
            "port-2",
            "port-3",
        ] {
            assert!(all.contains(name), "{name} in {all}");
        }
        let red = told("red", false);
        assert!(
            red.contains("0 of 1 are up") && red.contains("port port-2 claims MAC"),
            "{red}"
        );
        assert!(!red.contains("secret-host") && !red.contains("net-blue"), "{red}");
        let blue = told("blue", false);
        assert!(
            !blue.contains("secret-host") && !blue.contains("red") && !blue.contains("port-"),
            "{blue}"
        );
    }

    #[test]
    fn how_many_more_problems_there_are_is_told() {
        let parts = plan_parts("plan", (0..12).map(|n| n.to_string()).collect());
        assert_eq!(parts.len(), 11);
        assert_eq!(parts.last().unwrap().message, "2 more like these");
        assert_eq!(plan_parts("plan", vec![String::new(); 10]).len(), 10);
    }
}
