//! The command of operators.

use std::io::{stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Not locked: what `anet lab` starts beside this thread may write as well.
    let status = anet_cli::run(std::env::args_os(), &mut stdout(), &mut stderr());
    ExitCode::from(status)
}
