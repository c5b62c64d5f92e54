//! Running a program to its end.

use std::process::{Command, Stdio};

use crate::LabError;

/// Runs `command` without input and gives its standard output; a failure carries what it said.
pub fn output_of(command: &mut Command) -> Result<String, LabError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| LabError::Start {
            program: program_of(command),
            source,
        })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let said = if error.is_empty() {
        text.trim().to_owned()
    } else {
        error
    };
    Err(LabError::Command {
        command: line_of(command),
        status: output.status.to_string(),
        output: said,
    })
}

fn program_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn line_of(command: &Command) -> String {
    let arguments = command.get_args().map(|a| a.to_string_lossy().into_owned());
    std::iter::once(program_of(command))
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_failure_are_told_apart() {
        assert_eq!(output_of(Command::new("echo").arg("there")).unwrap(), "there\n");
        let error = output_of(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(
            error.to_string().contains("exit status: 3") && error.to_string().contains("why"),
            "{error}"
        );
        let error = output_of(&mut Command::new("no-such-program-anywhere")).unwrap_err();
        assert!(matches!(error, LabError::Start { .. }), "{error}");
    }
}
