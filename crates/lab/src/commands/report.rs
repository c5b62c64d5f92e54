//! `anet lab status` and `anet lab list`.

use serde_json::{Value, json};

use super::tell;
use crate::LabError;
use crate::standing::{Condition, Phase, Place, State, addresses_of, condition};

pub(super) fn status(place: &Place, json: bool) -> Result<u8, LabError> {
    let state = State::read(place)?;
    if json {
        tell(format_args!("{:#}", as_json(place, &state)));
        return Ok(0);
    }
    tell(format_args!(
        "lab {} ({}), {}",
        place.name(),
        place.folder().display(),
        phase(&state)
    ));
    for who in state.everyone() {
        let condition = condition(&state, &who);
        let process = match condition {
            Condition::Running(pid) | Condition::Paused(pid) => format!("process {pid}"),
            Condition::Ended | Condition::Stopped => String::new(),
        };
        tell(format_args!(
            "  {:<24} {:<16} {process}",
            who.to_string(),
            condition.to_string()
        ));
    }
    for (name, guest) in &state.guests {
        let addresses = texts(&addresses_of(place, name)).join(" ");
        tell(format_args!(
            "  {:<24} on {:<13} {addresses}",
            format!("guest {name}"),
            guest.host
        ));
    }
    Ok(0)
}

fn phase(state: &State) -> &'static str {
    match state.phase {
        Phase::Ready => "ready",
        Phase::Building if state.maker.is_some_and(|maker| maker.is_alive()) => "being made",
        Phase::Building => "half made: take it down",
    }
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn as_json(place: &Place, state: &State) -> Value {
    let daemons = state.everyone().into_iter().map(|who| {
        let condition = condition(state, &who);
        let pid = match condition {
            Condition::Running(pid) | Condition::Paused(pid) => Some(pid),
            Condition::Ended | Condition::Stopped => None,
        };
        json!({"daemon": who.to_string(), "condition": condition.to_string(), "pid": pid, "log": place.log_file(&who)})
    });
    let guests = state.guests.iter().map(|(name, guest)| {
        json!({"guest": name, "host": guest.host, "port": guest.port, "mac": guest.mac,
            "addresses": addresses_of(place, name), "namespace": place.namespace(name).name()})
    });
    json!({
        "lab": place.name(),
        "folder": place.folder(),
        "phase": phase(state),
        "daemons": daemons.collect::<Vec<_>>(),
        "guests": guests.collect::<Vec<_>>(),
    })
}

pub(super) fn list() -> Result<u8, LabError> {
    for place in Place::all() {
        match State::read(&place) {
            Ok(state) => tell(format_args!(
                "{:<24} {:<12} {} hosts, {} guests",
                place.name(),
                phase(&state),
                state.description.hosts.len(),
                state.description.guests().count()
            )),
            Err(_) => tell(format_args!(
                "{:<24} leftovers: `anet lab down {}`",
                place.name(),
                place.name()
            )),
        }
    }
    Ok(0)
}
