//! An agent that is sent away says why and what to do, once.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[allow(dead_code, reason = "each test uses its part of it")]
#[path = "daemon/host.rs"]
mod host;

use anet_lab::skip;
use host::{Controller, Host, programs};

#[test]
fn an_agent_that_is_sent_away_again_and_again_says_so_in_one_line() {
    let name = "an_agent_that_is_sent_away_again_and_again_says_so_in_one_line";
    let programs = match programs() {
        Ok(programs) => programs,
        Err(reason) => return skip(name, &reason),
    };
    let (mut controller, mut host) = (Controller::start(), Host::new(programs));
    controller.enrol(&host.data());
    host.start_agent();
    for reason in ["this is a copy: join it anew"; 3] {
        controller.send_away(reason);
    }
    controller.send_away("this host was deleted");
    // It has said everything about an attempt when it makes the next one.
    controller.send_away("this host was deleted");
    let log = host.agent.as_ref().unwrap().log();
    let about = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(about("session"), 2, "{log}");
    assert_eq!(
        about("the session is closed: this is a copy: join it anew"),
        1,
        "{log}"
    );
    assert_eq!(about("the session is closed: this host was deleted"), 1, "{log}");
}
