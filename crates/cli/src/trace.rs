//! `anet trace`: a packet's way through the fabric, stage by stage across hosts.

use std::net::IpAddr;

use anet_api::Resource;
use anet_api::query::Object;
use anet_api::trace::{HostTrace, TRACE_PATH, Trace, TraceProtocol, TraceRequest, Verdict};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use serde_json::Value;

use crate::error::CliError;
use crate::noun::text;
use crate::output::table::Table;
use crate::{Session, output, resolve};

pub(crate) fn command() -> Command {
    let port = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("PORT")
            .value_parser(value_parser!(u16))
            .help(help)
    };
    Command::new("trace")
        .about("Which way a packet would take, and what decides; exit status 1 where it would not arrive")
        .arg(
            Arg::new("port")
                .value_name("PORT")
                .required(true)
                .help("The port whose guest sends it, by name or id"),
        )
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("ADDRESS")
                .required(true)
                .help("Where to: an address, or another port by name or id"),
        )
        .arg(
            Arg::new("from")
                .long("from")
                .value_name("ADDRESS")
                .value_parser(value_parser!(IpAddr))
                .help("Source address [default: the port's own]"),
        )
        .arg(port("tcp", "A TCP connection to this port"))
        .arg(port("udp", "A UDP datagram to this port"))
        .arg(
            Arg::new("icmp")
                .long("icmp")
                .action(ArgAction::SetTrue)
                .help("An echo request [default]"),
        )
        .arg(port("source-port", "Source port").requires("with-ports"))
        .group(ArgGroup::new("protocol").args(["tcp", "udp", "icmp"]))
        .group(ArgGroup::new("with-ports").args(["tcp", "udp"]).multiple(true))
}

pub(crate) fn run(session: &mut Session<'_>, matches: &ArgMatches) -> Result<u8, CliError> {
    let port = session.client.find(Resource::Port, text(matches, "port"), &[])?;
    let source: Option<IpAddr> = matches.get_one("from").copied();
    let request = TraceRequest {
        port_id: resolve::id_of(&port).to_string(),
        destination: destination(
            session,
            text(matches, "to"),
            source.or(first_address(&port, None)),
        )?,
        source,
        protocol: protocol(matches),
    };
    let trace: Trace = session.client.post(TRACE_PATH, &request)?;
    if !output::for_programs(session, &trace)? {
        write(session, &trace)?;
    }
    Ok(match trace.verdict {
        Verdict::Delivered | Verdict::Answered => 0,
        Verdict::Dropped | Verdict::Unknown => 1,
    })
}

fn protocol(matches: &ArgMatches) -> TraceProtocol {
    let port = |name: &str| matches.get_one::<u16>(name).copied();
    let source_port = port("source-port");
    match (port("tcp"), port("udp")) {
        (Some(destination_port), _) => TraceProtocol::Tcp {
            source_port,
            destination_port,
        },
        (_, Some(destination_port)) => TraceProtocol::Udp {
            source_port,
            destination_port,
        },
        _ => TraceProtocol::Icmp {
            icmp_type: None,
            icmp_code: None,
        },
    }
}

/// An address, or that of another port: of the sender's IP version where it has one.
fn destination(session: &Session<'_>, text: &str, source: Option<IpAddr>) -> Result<IpAddr, CliError> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = session.client.find(Resource::Port, text, &[])?;
    let nowhere = || CliError::Usage(format!("--to: the port `{text}` has no address: give an address"));
    first_address(&port, source)
        .or_else(|| first_address(&port, None))
        .ok_or_else(nowhere)
}

fn first_address(port: &Object, like: Option<IpAddr>) -> Option<IpAddr> {
    let fixed = port.get("fixed_ips").and_then(Value::as_array)?;
    let mut addresses = fixed
        .iter()
        .filter_map(|fixed| fixed.get("ip_address")?.as_str()?.parse::<IpAddr>().ok());
    addresses.find(|address| like.is_none_or(|like| like.is_ipv4() == address.is_ipv4()))
}

fn write(session: &mut Session<'_>, trace: &Trace) -> Result<(), CliError> {
    for host in &trace.hosts {
        write_host(session, host)?;
    }
    let verdict = match trace.verdict {
        Verdict::Delivered => "delivered",
        Verdict::Answered => "answered",
        Verdict::Dropped => "dropped",
        Verdict::Unknown => "unknown",
    };
    let mut line = verdict.to_string();
    for (before, part) in [(": ", &trace.reason), (" by ", &trace.object)] {
        if let Some(part) = part.as_deref().filter(|part| !part.is_empty()) {
            let before = match (verdict, before) {
                ("delivered", " by ") => " to ",
                _ => before,
            };
            line.push_str(before);
            line.push_str(part);
        }
    }
    writeln!(session.out, "{}", output::line(&line))?;
    if let Some(suggestion) = &trace.suggestion {
        writeln!(session.out, "try: {}", output::line(suggestion))?;
    }
    Ok(())
}

fn write_host(session: &mut Session<'_>, host: &HostTrace) -> Result<(), CliError> {
    let entered = format!("{}, from {}", host.host, host.entered);
    writeln!(session.out, "{}", output::line(&entered))?;
    let mut table = Table::without_titles();
    for step in &host.steps {
        let parts = [&step.what, &step.object, &step.outcome].map(|part| output::line(part));
        let [what, object, outcome] = parts;
        table.row([format!("  {}", output::line(&step.stage)), what, object, outcome]);
    }
    table.write(session.out)?;
    writeln!(session.out, "  {}", output::line(&host.outcome))?;
    Ok(())
}
