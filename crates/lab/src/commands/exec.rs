//! `anet lab exec`.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;

use crate::LabError;
use crate::standing::{Place, State};

/// Runs a command in a member's namespace, with our own input and output; its exit status is ours.
pub(super) fn exec(place: &Place, member: &str, command: &[OsString]) -> Result<u8, LabError> {
    let namespace = place.namespace(member);
    let Some((program, arguments)) = command.split_first() else {
        return Err(LabError::Refused(
            "exec what? `anet lab exec GUEST -- COMMAND`".to_owned(),
        ));
    };
    if !namespace.exists() {
        let lab = State::read(place)?.description;
        let guests = lab.guests().map(|guest| guest.name);
        let names: Vec<&str> = guests
            .chain(lab.hosts.names())
            .chain(lab.machines.names())
            .collect();
        return Err(LabError::Refused(format!(
            "there is no `{member}` in lab `{}`; there are: {}",
            place.name(),
            names.join(", ")
        )));
    }
    let status = namespace.command(program).args(arguments).status();
    let status = status.map_err(|source| LabError::Start {
        program: "ip".to_owned(),
        source,
    })?;
    // A program that a signal ended: as shells say it.
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
