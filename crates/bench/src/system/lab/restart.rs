//! `agent_restart_lost_packets`: agents end and come back under traffic.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anet_lab::probe::PacedUdp;
use anet_lab::standing::{self, Who};
use nix::sys::signal::Signal;

use super::super::socket;
use super::{Lab, PATIENCE, THREE_HOSTS};
use crate::error::{BenchError, require};
use crate::figure::Figure;

const PACE: Duration = Duration::from_millis(1);
const RESTARTS: usize = 5;
const BETWEEN: Duration = Duration::from_millis(200);

impl Lab {
    /// A stream of UDP from one guest to a port of another one, whether it arrives or not.
    pub(super) fn stream(&self, from: &str, to: &str, port: u16) -> Result<PacedUdp, BenchError> {
        let address = self
            .state
            .guest(to)?
            .addresses
            .iter()
            .find(|address| address.is_ipv4());
        let address = address.ok_or_else(|| BenchError::Void(format!("{to} has no IPv4 address")))?;
        let (from, to) = (self.place.namespace(from), self.place.namespace(to));
        Ok(PacedUdp::start_unheard(
            &from,
            (&to, socket(*address, port)),
            PACE,
        )?)
    }
}

/// The agents of both hosts of a stream are killed and started again.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let mut lab = Lab::up(THREE_HOSTS)?;
    let stream = lab.stream("red-web-1", "red-web-2", 7_000)?;
    let begun = Instant::now();
    while stream.received() == 0 {
        require(begun.elapsed() < PATIENCE, || "no packet arrives".to_owned())?;
        sleep(PACE);
    }
    for _ in 0..RESTARTS {
        for host in ["host-1", "host-2"] {
            let who = Who::Agent(host.to_owned());
            standing::stop(&lab.place, &mut lab.state, &who, Signal::SIGKILL)?;
            standing::start_ready(&lab.place, &mut lab.state, &who)?;
            sleep(BETWEEN);
        }
    }
    let paced = stream.finish();
    require(paced.received > 500, || {
        format!("{} packets arrived", paced.received)
    })?;
    Ok(vec![
        Figure::new("agent_restart_lost_packets", paced.lost() as f64, "packets")
            .mode("10_kills_udp_each_ms"),
    ])
}
