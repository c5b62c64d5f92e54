//! `anet lab up`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::tell;
use crate::description;
use crate::standing::{self, Place};
use crate::{LabError, on_stop};

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
            tell(format_args!(
                "lab `{}` is up after {:.1} s: {} hosts, {} guests; `anet lab status` shows it",
                place.name(),
                started.elapsed().as_secs_f32(),
                state.description.hosts.len(),
                state.guests.len()
            ));
        }
        Err(error) => {
            if keep {
                eprintln!("what there is stays: `anet lab down {}` removes it", place.name());
            } else if is_ours(&place) {
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

/// On Ctrl-C and its like the lab is taken down and the program ends.
fn take_down_on_signals(place: &Place, had: bool) -> Result<(), LabError> {
    let place = place.clone();
    on_stop(move |_| {
        standing::stop_making();
        if is_ours(&place) || !had {
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
    })
}

/// True where the lab is made by this process.
fn is_ours(place: &Place) -> bool {
    standing::State::read(place)
        .is_ok_and(|state| state.maker.is_some() && state.maker == standing::ProcessIdentity::own())
}
