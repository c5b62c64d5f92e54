//! `anet lab down`.

use super::tell;
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
        tell(format_args!("no lab is up"));
    }
    for place in places {
        match remove(&place)? {
            true => tell(format_args!("lab `{}` is down", place.name())),
            false => tell(format_args!("lab `{}` is not up", place.name())),
        }
    }
    Ok(0)
}
