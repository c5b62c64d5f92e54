//! Moving a guest to another host, as a live migration ends: its interface is held by the other host's switch from then on.

use std::time::Duration;

use anet_api::resource::Resource;
use serde_json::json;

use super::place::Place;
use super::programs;
use super::rest::Rest;
use super::state::State;
use crate::{LabError, wait_for};

/// How long the new host may take until it holds the interface.
const PATIENCE: Duration = Duration::from_secs(15);

/// Moves a guest and waits until the new host has it; false where it is there already. What an earlier move had to leave behind on
/// a host whose agent was away is removed first.
pub fn move_guest(place: &Place, state: &mut State, guest: &str, host: &str) -> Result<bool, LabError> {
    state.check_host(host)?;
    let moved = state.guest(guest)?.clone();
    tidy(place, state, guest, host)?;
    if moved.host == host {
        return Ok(false);
    }
    let namespace = place.namespace(guest).path();
    // Before the port is bound there: the agent then has all it needs when the plan comes.
    programs::attach(place, host, &moved.port, &namespace)?;
    let rest = Rest::of(place)?;
    if let Err(error) = rest.update(Resource::Port, &moved.port, json!({"binding:host_id": host})) {
        // It stays where it is.
        let _ = programs::detach(place, host, &moved.port);
        return Err(error);
    }
    if let Some(entry) = state.guests.get_mut(guest) {
        host.clone_into(&mut entry.host);
        entry.left_behind.push(moved.host.clone());
    }
    state.write(place)?;
    wait_for(
        &format!("guest {guest} to be attached on {host}"),
        PATIENCE,
        || programs::holds(place, host, &moved.port).then_some(()),
    )?;
    tidy(place, state, guest, host)?;
    Ok(true)
}

/// Takes a guest's attachment from the hosts that it has left, but for the one it is going to.
fn tidy(place: &Place, state: &mut State, guest: &str, going_to: &str) -> Result<(), LabError> {
    let entry = state.guest(guest)?.clone();
    for host in &entry.left_behind {
        if host != going_to && *host != entry.host {
            programs::detach(place, host, &entry.port)?;
        }
        if let Some(entry) = state.guests.get_mut(guest) {
            entry.left_behind.retain(|left| left != host);
        }
        state.write(place)?;
    }
    Ok(())
}
