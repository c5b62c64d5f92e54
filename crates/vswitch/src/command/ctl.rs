//! `anet-vswitch ctl`: the asking side.

use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anet_model::changeset::Changeset;
use anet_model::diff::diff;
use anet_model::digest::PlanDigest;
use anet_model::host_plan::{EndpointId, HostPlan, NetworkId, PortId};
use anet_wire::client::{Client, ClientError};
use anet_wire::control::trace::{
    TraceFields, TracePacket, TraceProtocol, TraceRequest, TraceSource, TraceVerdict,
};
use anet_wire::control::{Filter, Request, Response};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::{CONTROL, render};
use crate::SOFTWARE;
use crate::daemon::plan_file::PlanFile;

/// How long an answer may take: a large plan takes its time.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a hello may take, which asks for nothing.
const GREETING: Duration = Duration::from_secs(5);
/// The exit status of a trace that ends in a drop.
const DROPPED: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct CtlArguments {
    /// The control socket of the switch that is meant.
    #[arg(long, value_name = "PATH", default_value = CONTROL, global = true)]
    control: PathBuf,
    /// How to print.
    #[arg(short, long, value_enum, default_value = "text", global = true)]
    output: Output,
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Tables for people.
    Text,
    /// JSON for programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Send an imaginary packet through the pipeline; exit status 0 where it is forwarded or answered, 3 where dropped.
    Trace(TraceArguments),
    /// What was dropped, where and why.
    Drops,
    /// Flows in the workers' caches.
    Flows(FilterArguments),
    /// The connection table.
    Connections(FilterArguments),
    /// Counters of ports, workers, drop reasons and tables.
    Counters,
    /// The plan's digest, as kept and as read back from the tables; exit status 1 where they differ.
    Digest,
    /// The plan that is applied, as text.
    Dump,
    /// Whether each port is attached.
    Ports,
    /// Which build runs.
    Version,
    /// Make the plan in a file the one that is applied, whole or not at all.
    Apply {
        /// The plan file.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").args(["port", "from_endpoint"]).required(true))]
#[command(group = ArgGroup::new("packet").args(["to", "frame"]).required(true))]
#[command(group = ArgGroup::new("protocol").args(["tcp", "udp", "icmp"]))]
struct TraceArguments {
    /// The local port whose guest sends it.
    #[arg(long, value_name = "PORT")]
    port: Option<PortId>,
    /// The remote endpoint that it comes from, through the tunnel.
    #[arg(long, value_name = "ENDPOINT", requires = "network")]
    from_endpoint: Option<EndpointId>,
    /// The network in whose segment it comes through the tunnel.
    #[arg(long, value_name = "NETWORK", requires = "from_endpoint")]
    network: Option<NetworkId>,
    /// Destination address.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<IpAddr>,
    /// Source address; the port's own, or that of a station behind the endpoint, unless given.
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    from: Option<IpAddr>,
    /// A TCP segment with SYN to this port.
    #[arg(long, value_name = "PORT", requires = "to")]
    tcp: Option<u16>,
    /// A UDP datagram to this port.
    #[arg(long, value_name = "PORT", requires = "to")]
    udp: Option<u16>,
    /// An echo request; what is sent unless told otherwise.
    #[arg(long, requires = "to")]
    icmp: bool,
    /// A whole Ethernet frame in hexadecimal digits.
    #[arg(long, value_name = "HEX", conflicts_with_all = ["tcp", "udp", "icmp", "from"], value_parser = hexadecimal)]
    frame: Option<Frame>,
}

#[derive(Debug, Clone)]
struct Frame(Vec<u8>);

#[derive(Debug, Args)]
struct FilterArguments {
    /// In or out of this local port.
    #[arg(long, value_name = "PORT")]
    port: Option<PortId>,
    /// In this network.
    #[arg(long, value_name = "NETWORK")]
    network: Option<NetworkId>,
    /// From or to this address.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// Of this IP protocol, by number.
    #[arg(long, value_name = "NUMBER")]
    protocol: Option<u8>,
    /// From or to this layer-4 port.
    #[arg(long, value_name = "PORT")]
    layer4_port: Option<u16>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(Filter::LIMIT_MAXIMUM)))]
    limit: u32,
}

/// Why a question got no answer; what to do is part of the text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct CtlError(String);

pub(super) fn run(arguments: &CtlArguments) -> ExitCode {
    match ask(arguments) {
        Ok((text, status)) => {
            use std::io::Write;
            // A reader that went away (`| head`) has seen what it wanted.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            status
        }
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("anet-vswitch ctl: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn ask(arguments: &CtlArguments) -> Result<(String, ExitCode), CtlError> {
    let mut client = connect(&arguments.control)?;
    let mut call = |request: &Request| {
        let answer = client.call(request);
        answer.map_err(|error| match error.is_timeout() {
            true => silent(&arguments.control, PATIENCE),
            false => CtlError(error.to_string()),
        })
    };
    let response = match &arguments.question {
        Question::Apply { file } => {
            let Response::Digest(now) = call(&Request::Digest)? else {
                return Err(CtlError("the switch does not tell its revision".to_owned()));
            };
            let plan = PlanFile::new(file.clone(), None).read();
            let plan = plan.map_err(|error| CtlError(error.to_string()))?;
            call(&Request::Apply(snapshot(&plan, now.incarnation, now.revision)))?
        }
        question => call(&request_of(question)?)?,
    };
    match response {
        Response::Error(text) => Err(CtlError(text)),
        Response::Refused { reason, revision, .. } => {
            Err(CtlError(format!("refused: {reason}; revision {revision} stays")))
        }
        response => Ok((render::render(&response, arguments.output), status_of(&response))),
    }
}

fn connect(path: &Path) -> Result<Client<UnixStream>, CtlError> {
    let told = |what: &str, error: &dyn std::fmt::Display| {
        CtlError(format!(
            "{what} {}: {error}; is `anet-vswitch run` running, with this --control, and may you use its socket?",
            path.display()
        ))
    };
    let stream = UnixStream::connect(path).map_err(|error| told("cannot connect to", &error))?;
    let wait = |patience| {
        let set = stream.set_read_timeout(Some(patience));
        set.and_then(|()| stream.set_write_timeout(Some(patience)))
    };
    let ours = stream.try_clone().and_then(|ours| wait(GREETING).map(|()| ours));
    let ours = ours.map_err(|error| told("cannot use", &error))?;
    let client = Client::greet(ours, SOFTWARE).map_err(|error| match error {
        ClientError::Refused(reason) => CtlError(format!("{}: {reason}", path.display())),
        error if error.is_timeout() => silent(path, GREETING),
        error => told("no answer from", &error),
    })?;
    // The same socket.
    wait(PATIENCE).map_err(|error| told("cannot use", &error))?;
    Ok(client)
}

/// Somebody has the socket and says nothing.
fn silent(path: &Path, waited: Duration) -> CtlError {
    CtlError(format!(
        "no answer from {} within {} s: the process that has it is stopped or hangs; look at its state (`ps -C \
         anet-vswitch -o pid,stat,cmd`: T is stopped, `kill -CONT PID` lets it go on)",
        path.display(),
        waited.as_secs()
    ))
}

fn request_of(question: &Question) -> Result<Request, CtlError> {
    Ok(match question {
        Question::Trace(arguments) => Request::Trace(arguments.request()?),
        Question::Drops => Request::Drops,
        Question::Flows(filter) => Request::Flows(filter.filter()),
        Question::Connections(filter) => Request::Connections(filter.filter()),
        Question::Counters => Request::Counters,
        Question::Digest | Question::Apply { .. } => Request::Digest,
        Question::Dump => Request::Dump,
        Question::Ports => Request::Ports,
        Question::Version => Request::Version,
    })
}

/// The whole plan as the step after what is applied.
fn snapshot(plan: &HostPlan, incarnation: u64, revision: u64) -> Changeset {
    Changeset {
        incarnation,
        from: revision,
        to: revision + 1,
        snapshot: true,
        changes: diff(&HostPlan::default(), plan),
        digest_after: Some(PlanDigest::of(plan).total().to_bytes()),
    }
}

fn status_of(response: &Response) -> ExitCode {
    match response {
        Response::Trace(report) if matches!(report.verdict, TraceVerdict::Dropped { .. }) => {
            ExitCode::from(DROPPED)
        }
        Response::Digest(report) if report.mismatches().next().is_some() => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

impl TraceArguments {
    fn request(&self) -> Result<TraceRequest, CtlError> {
        let packet = match (&self.frame, self.to) {
            (Some(Frame(bytes)), _) => TracePacket::Frame(bytes.clone()),
            (None, Some(destination)) => TracePacket::Fields(TraceFields {
                source: self.from,
                destination,
                destination_mac: None,
                protocol: self.protocol(),
            }),
            (None, None) => return Err(CtlError("give --to ADDRESS or --frame HEX".to_owned())),
        };
        Ok(TraceRequest {
            from: self.source()?,
            packet,
        })
    }

    fn source(&self) -> Result<TraceSource, CtlError> {
        match (&self.port, &self.from_endpoint, &self.network) {
            (Some(port), _, _) => Ok(TraceSource::Port(port.clone())),
            (None, Some(endpoint), Some(network)) => Ok(TraceSource::Tunnel {
                endpoint: endpoint.clone(),
                network: network.clone(),
            }),
            _ => Err(CtlError(
                "give --port PORT, or --from-endpoint ENDPOINT and --network NETWORK".to_owned(),
            )),
        }
    }

    fn protocol(&self) -> TraceProtocol {
        let source_port = None;
        match (self.tcp, self.udp) {
            (Some(destination_port), _) => TraceProtocol::Tcp {
                source_port,
                destination_port,
            },
            (_, Some(destination_port)) => TraceProtocol::Udp {
                source_port,
                destination_port,
            },
            _ => TraceProtocol::Icmp {
                kind: None,
                code: None,
            },
        }
    }
}

impl FilterArguments {
    fn filter(&self) -> Filter {
        Filter {
            port: self.port.clone(),
            network: self.network.clone(),
            address: self.address,
            protocol: self.protocol,
            layer4_port: self.layer4_port,
            limit: self.limit,
        }
    }
}

fn hexadecimal(text: &str) -> Result<Frame, String> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !matches!(c, ' ' | ':'))
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()
        .ok_or("expected hexadecimal digits")?;
    let (bytes, []) = digits.as_chunks::<2>() else {
        return Err("expected two hexadecimal digits for each byte".to_owned());
    };
    let range = 14..=TracePacket::FRAME_MAXIMUM;
    if !range.contains(&bytes.len()) {
        return Err(format!(
            "a frame has 14 to {} bytes, this has {}",
            range.end(),
            bytes.len()
        ));
    }
    Ok(Frame(bytes.iter().map(|[high, low]| high << 4 | low).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_and_refused() {
        assert_eq!(hexadecimal(&"0a:".repeat(14)).unwrap().0, [10; 14]);
        assert!(hexadecimal(&"0".repeat(29)).unwrap_err().contains("two"));
        assert!(hexadecimal("0g").unwrap_err().contains("hexadecimal"));
        assert!(hexadecimal("00").unwrap_err().contains("14 to"));
    }
}
