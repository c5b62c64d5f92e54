//! A whole fabric, as `examples/three-hosts.yaml` describes it: one controller, three hosts, two projects with the same
//! addresses, web and database groups, and the command `anet`.

mod foreign;
mod moving;
mod policy;
mod reach;
mod stage;
mod survive;

use std::time::Instant;

use anet_lab::standing::{self, Place, ProcessIdentity, State};
use anet_lab::{LabError, description};

use crate::report::{Report, Row, Seen};
use stage::Stage;

const DESCRIPTION: &str = include_str!("../../../../../examples/three-hosts.yaml");
/// Labs of demos are named so, with the process id behind it.
const PREFIX: &str = "demo-";

const ROWS: &[&[Row<Stage>]] = &[
    reach::ROWS,
    policy::ROWS,
    moving::ROWS,
    survive::ROWS,
    foreign::ROWS,
];

/// Ports of guests.
mod port {
    /// Web servers answer here.
    pub const WEB: u16 = 80;
    /// The database answers here, to web servers.
    pub const DATABASE: u16 = 5432;
    /// Everybody in the group `web` takes these, for connections and streams that are watched.
    pub const KEPT: u16 = 7000;
    /// No rule allows this one at first.
    pub const CLOSED: u16 = 8080;
}

/// Builds the lab, runs all rows and takes it down.
pub fn demonstrate(report: &mut Report) -> Result<(), LabError> {
    report
        .heading("A fabric: one controller, three hosts, two projects with the same addresses, five guests");
    let place = own_place()?;
    let outcome = on(&place, report);
    let removed = standing::remove_all(&place);
    outcome.and(removed)
}

fn on(place: &Place, report: &mut Report) -> Result<(), LabError> {
    let failures = report.failures();
    let started = Instant::now();
    let mut description = description::parse(DESCRIPTION).map_err(LabError::Refused)?;
    place.name().clone_into(&mut description.name);
    let built = standing::build(place, description, &mut |_| {});
    let seen = built.as_ref().map_err(ToString::to_string).map_or_else(
        |error| Seen::new(false, error),
        |state| addresses(place, state, started),
    );
    report.show(
        "the lab of examples/three-hosts.yaml is brought up",
        "each guest has by DHCP the addresses that its project asked for",
        Ok(seen),
    );
    if let Ok(state) = built {
        let mut stage = Stage::new(place.clone(), state)?;
        for row in ROWS.iter().copied().flatten() {
            report.add(row, &mut stage);
        }
    }
    if report.failures() > failures
        && let Ok(state) = State::read(place)
    {
        for who in state.everyone() {
            let log = standing::last_words(&place.log_file(&who), 4_000);
            report.show_log(&who.to_string(), &log);
        }
    }
    Ok(())
}

fn addresses(place: &Place, state: &State, started: Instant) -> Seen {
    let guests = state.guests.iter().map(|(name, guest)| {
        let own = standing::addresses_of(place, name);
        let texts: Vec<String> = own.iter().map(ToString::to_string).collect();
        let all = guest.addresses.iter().all(|address| own.contains(address));
        Seen::new(all, format!("{name} on {} {}", guest.host, texts.join(" ")))
    });
    let took = format!("after {:.1} s", started.elapsed().as_secs_f32());
    Seen::all(std::iter::once(Seen::new(true, took)).chain(guests))
}

fn own_place() -> Result<Place, LabError> {
    Place::new(&format!("{PREFIX}{}", std::process::id()))
}

/// Removes this demo's lab, whatever there is of it.
pub fn remove_own() {
    if let Err(error) = own_place().and_then(|place| standing::remove_all(&place)) {
        eprintln!("{error}");
    }
}

/// Removes labs of demos that are gone; how many there were.
pub fn sweep() -> usize {
    let maker = |place: &Place| place.name().strip_prefix(PREFIX)?.parse::<u32>().ok();
    let places = Place::all().into_iter();
    let abandoned = places.filter(|place| {
        maker(place).is_some_and(|pid| !ProcessIdentity::of(pid).is_some_and(ProcessIdentity::is_alive))
    });
    abandoned.filter(|place| standing::remove(place).is_ok()).count()
}
