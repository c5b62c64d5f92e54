//! `anet lab down`.

use crate::LabError;
use crate::standing::{Place, remove};

pub(super) fn down(name: Option<&str>, all: bool) -> Result<u8, LabError> {
    let places = match (name, all) {
        (_, true) => Place::all(),
        (Some(name), false) => vec![Place::new(name)?],
        // Asking twice is no mistake.
        (None, false) if Place::all().is_empty() => Vec::new(),
        (None, false) => vec![Place::choose(None)?],
    };
    if places.is_empty() {
        println!("no lab is up");
    }
    for place in places {
        match remove(&place)? {
            true => println!("lab `{}` is down", place.name()),
            false => println!("lab `{}` is not up", place.name()),
        }
    }
    Ok(0)
}
