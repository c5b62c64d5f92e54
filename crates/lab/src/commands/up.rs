//! `anet lab up`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use crate::LabError;
use crate::description;
use crate::standing::{self, Place};

/// How often a lab in the foreground looks whether somebody else took it down.
const LOOK: Duration = Duration::from_millis(500);
/// Exit status of a program that was stopped by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Set when the lab is whole: a signal then is the end that was waited for.
static WHOLE: AtomicBool = AtomicBool::new(false);

pub(super) fn up(file: &Path, foreground: bool, keep: bool) -> Result<u8, LabError> {
    let started = Instant::now();
    let description = description::read(file)?;
    let place = Place::new(&description.name)?;
    let had = place.exists();
    take_down_on_signals(&place, had)?;
    let mut say = |what: &str| eprintln!("{:>6.1} s  {what}", started.elapsed().as_secs_f32());
    match standing::build(&place, description, &mut say) {
        Ok(state) => {
            WHOLE.store(true, Ordering::SeqCst);
            println!(
                "lab `{}` is up after {:.1} s: {} hosts, {} guests; `anet lab status` shows it",
                place.name(),
                started.elapsed().as_secs_f32(),
                state.description.hosts.len(),
                state.guests.len()
            );
        }
        Err(error) => {
            let is_ours = standing::State::read(&place)
                .is_ok_and(|state| state.maker.is_some() && state.maker == standing::ProcessIdentity::own());
            if keep {
                eprintln!("what there is stays: `anet lab down {}` removes it", place.name());
            } else if is_ours {
                standing::remove_all(&place)?;
            }
            return Err(error);
        }
    }
    while foreground && place.exists() {
        std::thread::sleep(LOOK);
    }
    Ok(0)
}

/// A thread waits for Ctrl-C and its like, takes the lab down and ends the program.
fn take_down_on_signals(place: &Place, had: bool) -> Result<(), LabError> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    let failed = |number: nix::errno::Errno| LabError::io("block signals")(number.into());
    // Blocked before there is any other thread, so that only the one that waits takes them.
    signals.thread_block().map_err(failed)?;
    let place = place.clone();
    std::thread::spawn(move || {
        if signals.wait().is_err() {
            return;
        }
        standing::stop_making();
        let is_ours = standing::State::read(&place)
            .is_ok_and(|state| state.maker.is_some() && state.maker == standing::ProcessIdentity::own());
        if is_ours || !had {
            eprintln!("taking lab `{}` down", place.name());
            if let Err(error) = standing::remove_all(&place) {
                eprintln!("anet lab up: {error}");
            }
        }
        std::process::exit(if WHOLE.load(Ordering::SeqCst) {
            0
        } else {
            INTERRUPTED
        });
    });
    Ok(())
}
