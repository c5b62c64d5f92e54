//! `anet lab start|stop|kill|pause|resume`.

use nix::sys::signal::Signal;

use super::tell;
use super::{Action, Kind};
use crate::LabError;
use crate::standing::{self, Place, State, Who};

pub(super) fn act(place: &Place, action: Action, kind: Kind, host: Option<&str>) -> Result<u8, LabError> {
    let _lock = place.lock()?;
    let mut state = State::read(place)?;
    for who in chosen(&state, Some(kind), host)? {
        let (done, otherwise) = act_on(place, &mut state, action, &who)?;
        tell(format_args!(
            "{who}: {}",
            if done { past(action) } else { otherwise }
        ));
    }
    Ok(0)
}

/// Whether there was anything to do, and what is said where there was not.
fn act_on(
    place: &Place,
    state: &mut State,
    action: Action,
    who: &Who,
) -> Result<(bool, &'static str), LabError> {
    Ok(match action {
        Action::Start => {
            let process = state.process(who).filter(|process| process.is_alive());
            if process.is_some_and(standing::ProcessIdentity::is_paused) {
                return Ok((false, "is paused, and goes on with `anet lab resume`"));
            }
            let ran = process.is_some();
            standing::start_ready(place, state, who)?;
            (!ran, "runs already")
        }
        Action::Stop => (
            standing::stop(place, state, who, Signal::SIGTERM)?,
            "does not run",
        ),
        Action::Kill => (
            standing::stop(place, state, who, Signal::SIGKILL)?,
            "does not run",
        ),
        Action::Pause => (standing::signal(state, who, Signal::SIGSTOP), "does not run"),
        Action::Resume => (standing::signal(state, who, Signal::SIGCONT), "does not run"),
    })
}

fn past(action: Action) -> &'static str {
    match action {
        Action::Start => "started",
        Action::Stop => "stopped",
        Action::Kill => "killed",
        Action::Pause => "paused",
        Action::Resume => "goes on",
    }
}

/// The daemons that are meant.
pub(super) fn chosen(state: &State, kind: Option<Kind>, host: Option<&str>) -> Result<Vec<Who>, LabError> {
    if let Some(host) = host {
        state.check_host(host)?;
    }
    if kind == Some(Kind::Controller) && host.is_some() {
        return Err(LabError::Refused(
            "the controller is on no host: leave the host out".to_owned(),
        ));
    }
    let of_kind = |who: &Who| match who {
        Who::Controller => kind.is_none_or(|kind| kind == Kind::Controller) && host.is_none(),
        Who::Agent(on) => kind.is_none_or(|kind| kind == Kind::Agent) && host.is_none_or(|host| host == on),
        Who::Vswitch(on) => {
            kind.is_none_or(|kind| kind == Kind::Vswitch) && host.is_none_or(|host| host == on)
        }
    };
    Ok(state.everyone().into_iter().filter(of_kind).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::parse;

    #[test]
    fn daemons_are_chosen_by_kind_and_host() {
        let lab = parse("name: x\nhosts: {a: , b: }").unwrap();
        let state = State::new(lab, [169, 254, 1, 0].into());
        let names = |kind, host| {
            let chosen = chosen(&state, kind, host).unwrap();
            chosen.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(Some(Kind::Agent), None), ["agent a", "agent b"]);
        assert_eq!(names(Some(Kind::Vswitch), Some("b")), ["vswitch b"]);
        assert_eq!(names(Some(Kind::Controller), None), ["controller"]);
        assert_eq!(names(None, None).len(), 5);
        assert_eq!(names(None, Some("a")), ["agent a", "vswitch a"]);
        assert!(super::chosen(&state, Some(Kind::Agent), Some("c")).is_err());
        assert!(super::chosen(&state, Some(Kind::Controller), Some("a")).is_err());
    }
}
