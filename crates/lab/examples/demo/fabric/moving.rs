//! A guest moves to another host.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anet_lab::LabError;
use anet_lab::probe::PacedUdp;
use anet_lab::standing::{addresses_of, move_guest};

use super::port;
use super::stage::Stage;
use crate::report::{Row, Seen};

/// Longer than this nobody should wait, even on a machine that is busy with other things.
const LONGEST_GAP: Duration = Duration::from_secs(2);

pub const ROWS: &[Row<Stage>] = &[Row {
    tried: "red-web-2 moves from host-2 to host-3, under UDP from red-web-1",
    expected: "it keeps its addresses and its protection; traffic pauses for less than 2 s",
    run: moved_under_traffic,
}];

fn moved_under_traffic(stage: &mut Stage) -> Result<Seen, LabError> {
    let (from, to) = (stage.namespace("red-web-1"), stage.namespace("red-web-2"));
    let before = addresses_of(&stage.place, "red-web-2");
    let target: SocketAddr = stage.target("red-web-2", port::KEPT)?;
    let clock = PacedUdp::start(&from, (&to, target), Duration::from_millis(1))?;
    let moved = move_guest(&stage.place, &mut stage.state, "red-web-2", "host-3")?;
    sleep(Duration::from_millis(300));
    let paced = clock.finish();
    let after = addresses_of(&stage.place, "red-web-2");
    let page = stage.fetch("red-web-1", stage.target("red-web-2", port::WEB)?, "red-web-2")?;
    let blocked = stage.is_silent("red-web-1", stage.target("red-web-2", port::DATABASE)?)?;
    let texts: Vec<String> = after.iter().map(ToString::to_string).collect();
    Ok(Seen::all([
        Seen::new(
            moved && before == after && !after.is_empty(),
            format!("{} as before", texts.join(" ")),
        ),
        Seen::new(
            paced.longest_gap < LONGEST_GAP,
            format!(
                "silence of {} ms, {} of {} packets lost",
                paced.longest_gap.as_millis(),
                paced.lost(),
                paced.sent
            ),
        ),
        page,
        blocked,
    ]))
}
