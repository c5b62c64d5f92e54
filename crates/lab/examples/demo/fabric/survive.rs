//! Daemons stop, are killed and come back; traffic goes on.

use std::thread::sleep;
use std::time::Duration;

use anet_lab::LabError;
use anet_lab::probe::{PacedUdp, TcpHold};
use anet_lab::standing::Who;
use nix::sys::signal::Signal;

use super::port;
use super::stage::Stage;
use crate::report::{Row, Seen};

/// Longer than this nobody should wait, even on a machine that is busy with other things.
const LONGEST_GAP: Duration = Duration::from_secs(2);
/// The guest from which traffic comes, its host, and where it goes.
const FROM: (&str, &str) = ("red-web-1", "host-1");
const TO: &str = "red-web-2";

pub const ROWS: &[Row<Stage>] = &[
    Row {
        tried: "the controller is stopped; with it gone, the agent of host-1 is killed by `kill -9` and started again",
        expected: "old connections go on without a lost packet, new ones come about; the agent comes up from its disk",
        run: controller_and_agent,
    },
    Row {
        tried: "with the controller still gone, the vswitch of host-1 is killed by `kill -9` and started again",
        expected: "the connection lives on; traffic pauses for less than 2 s",
        run: vswitch,
    },
    Row {
        tried: "the controller is started again",
        expected: "all hosts are heard and in step with it",
        run: controller_back,
    },
];

fn controller_and_agent(stage: &mut Stage) -> Result<Seen, LabError> {
    let target = stage.target(TO, port::KEPT)?;
    let (from, to) = (stage.namespace(FROM.0), stage.namespace(TO));
    let clock = PacedUdp::start(&from, (&to, target), Duration::from_millis(1))?;
    stage.end(&Who::Controller, Signal::SIGTERM)?;
    let agent = Who::Agent(FROM.1.to_owned());
    let before = stage.state.process(&agent).map(|process| process.pid);
    stage.end(&agent, Signal::SIGKILL)?;
    let page = stage.fetch(FROM.0, stage.target(TO, port::WEB)?, TO)?;
    stage.start(&agent)?;
    let after = stage.state.process(&agent).map(|process| process.pid);
    sleep(Duration::from_millis(500));
    let paced = clock.finish();
    let text = format!("{} of {} packets lost", paced.lost(), paced.sent);
    Ok(Seen::all([
        Seen::new(before != after, "agent killed and back without a controller"),
        Seen::new(paced.lost() == 0, text),
        page,
    ]))
}

fn vswitch(stage: &mut Stage) -> Result<Seen, LabError> {
    let target = stage.target(TO, port::KEPT)?;
    let (from, to) = (stage.namespace(FROM.0), stage.namespace(TO));
    let connection = TcpHold::start(&from, (&to, target))?;
    let clock = PacedUdp::start(&from, (&to, target), Duration::from_millis(1))?;
    let vswitch = Who::Vswitch(FROM.1.to_owned());
    stage.end(&vswitch, Signal::SIGKILL)?;
    stage.start(&vswitch)?;
    let alive = connection.is_alive(Duration::from_secs(5));
    sleep(Duration::from_millis(300));
    let paced = clock.finish();
    let page = stage.fetch(FROM.0, stage.target(TO, port::WEB)?, TO)?;
    let (gap, lost) = (paced.longest_gap, paced.lost());
    Ok(Seen::all([
        Seen::new(
            alive,
            if alive {
                "the connection lives"
            } else {
                "the connection is dead"
            },
        ),
        Seen::new(
            gap < LONGEST_GAP,
            format!("silence of {} ms, {lost} packets lost", gap.as_millis()),
        ),
        page,
    ]))
}

fn controller_back(stage: &mut Stage) -> Result<Seen, LabError> {
    stage.start(&Who::Controller)?;
    let behind = stage.wait_in_step(Duration::from_secs(10))?;
    let text = match behind.is_empty() {
        true => "three hosts in step".to_owned(),
        false => format!("not in step: {}", behind.join(", ")),
    };
    Ok(Seen::new(behind.is_empty(), text))
}
