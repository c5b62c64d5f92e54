//! `anet lab logs`.

use super::Kind;
use super::daemons::chosen;
use super::tell;
use crate::LabError;
use crate::standing::{Place, State, last_words};

/// Bytes of a log that are looked at.
const BYTES: usize = 1 << 20;

pub(super) fn logs(
    place: &Place,
    kind: Option<Kind>,
    host: Option<&str>,
    lines: usize,
) -> Result<u8, LabError> {
    let state = State::read(place)?;
    for who in chosen(&state, kind, host)? {
        let path = place.log_file(&who);
        tell(format_args!("--- {who} ({})", path.display()));
        tell(format_args!("{}", last_lines(&last_words(&path, BYTES), lines)));
    }
    Ok(0)
}

fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_last_lines_are_shown() {
        assert_eq!(super::last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(super::last_lines("a", 2), "a");
        assert_eq!(super::last_lines("", 2), "");
    }
}
