//! `anet-vswitch run`.

use std::fs::DirBuilder;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::Sender;

use anet_ports::kernel::uplink::LargeSegments;
use clap::{Args, ValueEnum};
use nix::sys::signal::{SigSet, Signal};

use super::{CONNECTIONS, CONTROL};
use crate::daemon::{Daemon, Message, Settings};
use crate::log;
use crate::workers::{Polling, report_panics};

/// VXLAN's UDP port (RFC 7348).
const VXLAN_PORT: u16 = 4789;

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The host plan. It is watched: a replaced file is applied as a changeset, a wrong one is refused as a whole.
    /// Without a plan, changesets come by the control socket.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The control socket.
    #[arg(long, value_name = "PATH", default_value = CONTROL)]
    control: PathBuf,
    /// The file that keeps connections over a restart.
    #[arg(long, value_name = "PATH", default_value = CONNECTIONS)]
    connections: PathBuf,
    /// Connections that there can be at a time; 192 bytes of the connection file each.
    #[arg(long, value_name = "N", default_value_t = 131_072, value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    connection_capacity: u32,
    /// Threads that forward packets. Where there are several and they poll DPDK ports, each is pinned to a processor.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// This host's tunnel endpoint, in place of the plan file's; UDP port 4789 unless given.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = tunnel, requires = "plan")]
    tunnel: Option<SocketAddr>,
    /// How large TCP segments leave for other hosts. `tap`: whole, through a device of the switch's own (Linux 6.17).
    /// `sockets`: cut here. `auto`: whole where that works.
    #[arg(long, value_enum, default_value = "auto")]
    uplink: Way,
    /// Flows that each worker's cache holds; 130 bytes of memory each.
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    flows: u32,
    /// Whether TCP in mid-stream may open a connection.
    #[arg(long, value_enum, default_value = "off")]
    loose_pickup: Switch,
    /// How DPDK ports are polled: without a pause always (a worker then has its processor for itself), or more and more
    /// rarely while nothing comes.
    #[arg(long, value_enum, default_value = "adaptive")]
    polling: PollingMode,
    /// Processors that workers are pinned to, in their order, such as 2,3.
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    processors: Vec<usize>,
    /// Counts the processor's cycles by stage, shown by `ctl counters`; costs some hundred cycles a burst.
    #[arg(long)]
    stage_cycles: bool,
    /// Further arguments for DPDK's environment, as it writes them, such as '--no-huge -m 512'.
    #[arg(
        long,
        value_name = "ARGUMENTS",
        allow_hyphen_values = true,
        default_value = ""
    )]
    eal: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PollingMode {
    Adaptive,
    Always,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    Auto,
    Sockets,
    Tap,
}

impl From<Way> for LargeSegments {
    fn from(way: Way) -> Self {
        match way {
            Way::Auto => Self::Auto,
            Way::Sockets => Self::Sockets,
            Way::Tap => Self::Tap,
        }
    }
}

/// An address, or an address and a port: `192.0.2.1`, `192.0.2.1:4790`, `2001:db8::1`, `[2001:db8::1]:4790`.
fn tunnel(text: &str) -> Result<SocketAddr, String> {
    let address = text
        .parse::<IpAddr>()
        .map(|address| SocketAddr::new(address, VXLAN_PORT));
    address
        .or_else(|_| text.parse())
        .map_err(|_| "expected an address such as 192.0.2.1, 192.0.2.1:4789 or [2001:db8::1]:4789".to_owned())
}

pub(super) fn run(arguments: &RunArguments) -> ExitCode {
    report_panics();
    let settings = Settings {
        plan: arguments.plan.clone(),
        tunnel: arguments.tunnel,
        control: arguments.control.clone(),
        connections: arguments.connections.clone(),
        connection_capacity: arguments.connection_capacity,
        workers: usize::from(arguments.workers),
        large_segments: arguments.uplink.into(),
        flows: arguments.flows as usize,
        loose_pickup: arguments.loose_pickup == Switch::On,
        polling: match arguments.polling {
            PollingMode::Adaptive => Polling::Adaptive,
            PollingMode::Always => Polling::Always,
        },
        stage_cycles: arguments.stage_cycles,
        processors: arguments.processors.clone(),
    };
    anet_ports::dpdk::set_arguments(arguments.eal.split_whitespace().map(str::to_owned).collect());
    make_default_folders(&settings);
    // Blocked before there is any other thread, so that only the one that waits takes them.
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    if let Err(error) = signals.thread_block() {
        log::line(format_args!("signals cannot be blocked: {error}"));
        return ExitCode::FAILURE;
    }
    match Daemon::start(&settings) {
        Ok((daemon, sender)) => {
            stop_on(signals, sender);
            daemon.run();
            log::line("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            for line in error.to_string().lines() {
                log::line(line);
            }
            ExitCode::FAILURE
        }
    }
}

/// The folder of the default paths; other paths' folders are their owner's business.
fn make_default_folders(settings: &Settings) {
    for (path, default) in [(&settings.control, CONTROL), (&settings.connections, CONNECTIONS)] {
        if path == Path::new(default)
            && let Some(folder) = path.parent()
        {
            // What goes wrong here is told by whoever opens the file.
            let _ = DirBuilder::new().recursive(true).mode(0o755).create(folder);
        }
    }
}

fn stop_on(signals: SigSet, sender: Sender<Message>) {
    let wait = move || {
        let signal = signals.wait();
        log::line(format_args!(
            "stopping: {}",
            signal.map_or("a signal", Signal::as_str)
        ));
        let _ = sender.send(Message::Stop);
    };
    let named = std::thread::Builder::new().name("signals".to_owned());
    if let Err(error) = named.spawn(wait) {
        log::line(format_args!(
            "no thread for signals: {error}; kill -9 still works, and loses nothing"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_have_the_port_of_vxlan_unless_given() {
        assert_eq!(tunnel("192.0.2.1").unwrap().to_string(), "192.0.2.1:4789");
        assert_eq!(tunnel("192.0.2.1:99").unwrap().port(), 99);
        assert_eq!(tunnel("2001:db8::1").unwrap().to_string(), "[2001:db8::1]:4789");
        assert_eq!(tunnel("[2001:db8::1]:99").unwrap().port(), 99);
        assert!(tunnel("host-1").unwrap_err().contains("expected an address"));
    }
}
