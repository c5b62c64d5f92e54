//! The command line: `anet-vswitch run` and `anet-vswitch ctl`.

mod ctl;
mod render;
mod run;
mod sheet;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Where the control socket is unless told otherwise.
pub const CONTROL: &str = "/run/anet/vswitch.sock";
/// Where the connection file is unless told otherwise.
pub const CONNECTIONS: &str = "/run/anet/connections";

/// A VXLAN switch for virtual machines and containers: stateful firewall, DHCP, ARP and ND on the host.
#[derive(Debug, Parser)]
#[command(name = "anet-vswitch", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forward packets until told to stop (SIGTERM, Ctrl-C).
    Run(run::RunArguments),
    /// Ask a running switch, or change its plan.
    Ctl(ctl::CtlArguments),
}

/// What `main` does.
pub fn main() -> ExitCode {
    obey(std::env::args_os())
}

/// What a command line asks for; its first word is the program's name.
pub(crate) fn obey(words: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    match Arguments::parse_from(words).command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Ctl(arguments) => ctl::run(&arguments),
    }
}
