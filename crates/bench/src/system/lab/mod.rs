//! Figures of a whole fabric: controller, agents and switches of three hosts, the real daemons.

pub mod cold_start;
pub mod demo;
pub mod first_ping;
pub mod host;
pub mod memory;
mod objects;
pub mod restart;
pub mod rules;
mod switch;

use std::time::Duration;

use anet_lab::standing::{self, Place, Rest, State, Who};
use anet_lab::{description, is_root, wait_for};

use crate::error::{BenchError, require};
use crate::undo::Undo;

/// What the demo has: three hosts with five guests.
const THREE_HOSTS: &str = include_str!("../../../../../examples/three-hosts.yaml");
/// Three hosts, and nothing on them.
const BARE_HOSTS: &str = "{name: bare, hosts: {host-1: , host-2: , host-3: }}";
/// The hosts of both.
const HOSTS: [&str; 3] = ["host-1", "host-2", "host-3"];
const PATIENCE: Duration = Duration::from_secs(5);

/// A lab that goes when it is dropped.
struct Lab {
    place: Place,
    state: State,
    rest: Rest,
    _undo: Undo,
}

impl Lab {
    fn up(text: &str) -> Result<Self, BenchError> {
        require(is_root(), || {
            "root is needed, for network namespaces: sudo make bench".to_owned()
        })?;
        let place = Place::new(&format!("bench-{}", std::process::id()))?;
        let parsed = description::parse(text);
        let mut description = parsed.map_err(|error| BenchError::Void(error.to_string()))?;
        place.name().clone_into(&mut description.name);
        let removed = place.clone();
        let undo = Undo::later(move || {
            if let Err(error) = standing::remove_all(&removed) {
                eprintln!("the lab {} is not gone: {error}", removed.name());
            }
        });
        let state = standing::build(&place, description, &mut |_| {})?;
        let rest = Rest::of(&place)?;
        // What a build has left to be written would keep the disk from what the daemons sync.
        nix::unistd::sync();
        Ok(Self {
            place,
            state,
            rest,
            _undo: undo,
        })
    }

    fn pid(&self, who: &Who) -> Result<u32, BenchError> {
        let process = self.state.process(who);
        let process = process.ok_or_else(|| BenchError::Void(format!("{who:?} does not run")))?;
        u32::try_from(process.pid).map_err(|_| BenchError::Void(format!("{who:?} has no process id")))
    }

    /// Waits until every host has in its data plane what was asked for.
    fn wait_in_step(&self, patience: Duration) -> Result<(), BenchError> {
        let caught_up = || match self.rest.behind() {
            Ok(behind) => behind.is_empty().then_some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        Ok(wait_for("all hosts to have their plans", patience, caught_up)??)
    }
}

/// The value that a share of all values, in percent, does not exceed.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(rank).copied().unwrap_or_default()
}
