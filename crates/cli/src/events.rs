//! `anet events`: what happened.

use std::time::Duration;

use anet_api::client::ClientError;
use anet_api::events::{EVENTS_PATH, Event, Events};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::Session;
use crate::error::CliError;
use crate::health::severity;
use crate::output::{self, Format};

/// How often it is asked for new ones.
const PACE: Duration = Duration::from_millis(500);
/// How many events are shown where nothing is said.
const USUAL: u64 = 100;

pub(crate) fn command() -> Command {
    Command::new("events")
        .about("What happened, oldest first")
        .arg(
            Arg::new("follow")
                .short('f')
                .long("follow")
                .action(ArgAction::SetTrue)
                .help("Stay, and show new ones as they come"),
        )
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..=10_000))
                .help("The last so many [default: 100]"),
        )
}

pub(crate) fn run(session: &mut Session<'_>, matches: &ArgMatches) -> Result<u8, CliError> {
    let limit = matches.get_one::<u64>("limit").copied().unwrap_or(USUAL);
    let mut answer: Events = session.client.get(&format!("{EVENTS_PATH}?limit={limit}"))?;
    if !matches.get_flag("follow") {
        if !output::for_programs(session, &answer.events)? {
            write(session, &answer.events)?;
        }
        return Ok(0);
    }
    loop {
        write(session, &answer.events)?;
        session.out.flush()?;
        answer = following(session, answer.last)?;
    }
}

/// What came after the event of that number. A controller that is away for a while is waited for.
fn following(session: &Session<'_>, seen: u64) -> Result<Events, CliError> {
    let path = format!("{EVENTS_PATH}?after={seen}");
    loop {
        std::thread::sleep(PACE);
        match session.client.get::<Events>(&path) {
            // Another process counts from its own beginning.
            Ok(answer) if answer.last < seen => return Ok(session.client.get(EVENTS_PATH)?),
            Err(ClientError::Unreachable { .. }) => {}
            answer => return Ok(answer?),
        }
    }
}

/// One line for each: JSON for programs, also where YAML was asked for, because a stream has no end.
fn write(session: &mut Session<'_>, events: &[Event]) -> Result<(), CliError> {
    for event in events {
        if session.format == Format::Table {
            let host = event
                .host
                .as_deref()
                .map(|host| format!(" {host}:"))
                .unwrap_or_default();
            let text = format!(
                "{}  {:7}  {}{host} {}",
                event.time,
                severity(event.severity),
                event.kind,
                event.message
            );
            writeln!(session.out, "{}", output::line(&text))?;
        } else {
            let text = serde_json::to_string(event).map_err(std::io::Error::other)?;
            writeln!(session.out, "{text}")?;
        }
    }
    Ok(())
}
