//! How the fabric is, and what happened, in the API's words.

use anet_api::events::{Event, Events, Health, HealthPart, Severity};
use anet_api::resource::HostState;
use anet_api::timestamp;

use crate::core::SOFTWARE;
use crate::core::events::{self, EventKind};
use crate::core::fabric::Fabric;

/// The most events one answer holds.
pub const EVENTS_MAXIMUM: usize = 1_000;

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

/// How the fabric is. `behind` is true where the mirror does not keep up.
pub fn health(state: &Fabric, store: Result<(), String>) -> Health {
    let mirror = state.mirror();
    let mut parts = vec![match store {
        Ok(()) => part(
            "store",
            Severity::Info,
            format!("serves, at revision {}", mirror.revision()),
        ),
        Err(error) => part("store", Severity::Error, error),
    }];
    for host in mirror.intent().hosts.keys() {
        let observed = state.observed(host);
        let (severity, message) = match (observed.status, observed.troubles.is_empty()) {
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
        };
        parts.push(part(&format!("host {host}"), severity, message));
        let problems = mirror.planner().problems(host);
        for problem in problems.iter().take(10) {
            parts.push(part(
                &format!("plan of host {host}"),
                Severity::Warning,
                problem.to_string(),
            ));
        }
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

fn part(name: &str, severity: Severity, message: String) -> HealthPart {
    HealthPart {
        name: name.to_owned(),
        severity,
        message,
    }
}
