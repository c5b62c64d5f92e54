//! The daemon `anet-controller`.

use std::process::ExitCode;

fn main() -> ExitCode {
    anet_controller::command::main()
}
