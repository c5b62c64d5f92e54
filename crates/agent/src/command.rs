//! The command line: `anet-agent join`, `run`, `attach`, `detach`, `status`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anet_model::host_plan::PortId;
use anet_model::intent::HostId;
use anet_packet::addr::Mac;
use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::disk::AttachmentText;
use crate::join::{self, Wish};
use crate::local::{self, PortText, Question, Reply, StatusText, WaitingText};
use crate::run::{self, Settings};

/// Where the data is unless told otherwise.
const DATA: &str = "/var/lib/anet/agent";
/// Where the vswitch's control socket is unless told otherwise.
const VSWITCH: &str = "/run/anet/vswitch.sock";
/// Where our own socket is unless told otherwise.
const SOCKET: &str = "/run/anet/agent.sock";

/// A host's agent: keeps the host's plan, brings it into anet-vswitch, reports to the controller.
#[derive(Debug, Parser)]
#[command(name = "anet-agent", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this host a member of a cluster, with a token from `anet host token`.
    Join(JoinArguments),
    /// Work until told to stop (SIGTERM, Ctrl-C). Needs no controller to start.
    Run(RunArguments),
    /// Attach a port to an interface of this host; it is kept over restarts.
    Attach(AttachArguments),
    /// Attach a port to nothing.
    Detach {
        #[command(flatten)]
        holder: HolderArguments,
        #[command(flatten)]
        socket: SocketArgument,
    },
    /// How the agent that runs here stands.
    Status {
        /// Print JSON for programs.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        socket: SocketArgument,
    },
}

#[derive(Debug, Args)]
struct SocketArgument {
    /// The agent's socket.
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
}

#[derive(Debug, Args)]
struct JoinArguments {
    /// The token.
    token: String,
    /// The address of this host's tunnel endpoint, which other hosts send to.
    #[arg(long, value_name = "ADDRESS")]
    tunnel_address: IpAddr,
    /// UDP port of the tunnel endpoint; 4789 unless given.
    #[arg(long, value_name = "PORT")]
    tunnel_port: Option<u16>,
    /// The data folder.
    #[arg(long, value_name = "FOLDER", default_value = DATA)]
    data: PathBuf,
    /// The host's name; this machine's own unless given.
    #[arg(long)]
    name: Option<HostId>,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// The data folder.
    #[arg(long, value_name = "FOLDER", default_value = DATA)]
    data: PathBuf,
    /// The control socket of the vswitch.
    #[arg(long, value_name = "PATH", default_value = VSWITCH)]
    vswitch_socket: PathBuf,
    #[command(flatten)]
    socket: SocketArgument,
    /// Controllers (HOST:PORT, repeated), in place of those that joining named.
    #[arg(long = "controller", value_name = "HOST:PORT")]
    controllers: Vec<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct HolderArguments {
    /// The port.
    port: Option<PortId>,
    /// In place of a port: the first one on this host that has this MAC, now or later.
    #[arg(long, value_name = "MAC")]
    mac: Option<Mac>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("to").args(["tap", "packet", "dpdk"]).required(true))]
struct AttachArguments {
    #[command(flatten)]
    holder: HolderArguments,
    /// A persistent TAP, which the vswitch makes where it is missing.
    #[arg(long, value_name = "INTERFACE")]
    tap: Option<String>,
    /// An existing interface whose other side a guest holds.
    #[arg(long, value_name = "INTERFACE")]
    packet: Option<String>,
    /// A DPDK device, as DPDK writes it.
    #[arg(long, value_name = "DEVICE")]
    dpdk: Option<String>,
    /// The network namespace of the interface, as a path such as /run/netns/guest; the vswitch's own unless given.
    #[arg(long, value_name = "PATH", conflicts_with = "dpdk")]
    netns: Option<String>,
    #[command(flatten)]
    socket: SocketArgument,
}

/// What `main` does.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Join(arguments) => join(&arguments),
        Command::Run(arguments) => run(arguments),
        Command::Attach(arguments) => attach(arguments),
        Command::Detach { holder, socket } => {
            let HolderArguments { port, mac } = holder;
            ask(&socket.socket, &Question::Detach { port, mac })
        }
        Command::Status { json, socket } => status(&socket.socket, json),
    };
    match outcome {
        Ok(text) => {
            use std::io::Write;
            // A reader that went away has seen what it wanted.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("anet-agent: {text}");
            ExitCode::FAILURE
        }
    }
}

fn join(arguments: &JoinArguments) -> Result<String, String> {
    let host = match &arguments.name {
        Some(name) => name.clone(),
        None => own_name()?,
    };
    let wish = Wish {
        host,
        tunnel_address: arguments.tunnel_address,
        tunnel_port: arguments.tunnel_port,
    };
    let joined = join::join(&arguments.token, &wish, &arguments.data).map_err(|error| error.to_string())?;
    Ok(format!(
        "host {} is a member of cluster {}; start `anet-agent run --data {}`\n",
        joined.host,
        joined.cluster,
        arguments.data.display()
    ))
}

fn own_name() -> Result<HostId, String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    name.parse()
        .map_err(|error| format!("this machine's name cannot be the host's name: {error}; give --name"))
}

fn run(arguments: RunArguments) -> Result<String, String> {
    let settings = Settings {
        data: arguments.data,
        vswitch: arguments.vswitch_socket,
        socket: arguments.socket.socket,
        controllers: arguments.controllers,
    };
    run::run(&settings).map_err(|error| error.to_string())?;
    Ok(String::new())
}

fn attach(arguments: AttachArguments) -> Result<String, String> {
    let netns = arguments.netns;
    let to = match (arguments.tap, arguments.packet, arguments.dpdk) {
        (Some(interface), _, _) => AttachmentText::Tap { interface, netns },
        (_, Some(interface), _) => AttachmentText::Packet { interface, netns },
        (_, _, Some(device)) => AttachmentText::Dpdk { device },
        _ => return Err("give --tap, --packet or --dpdk".to_owned()),
    };
    let HolderArguments { port, mac } = arguments.holder;
    ask(&arguments.socket.socket, &Question::Attach { port, mac, to })
}

fn ask(socket: &Path, question: &Question) -> Result<String, String> {
    match local::ask(socket, question)? {
        Reply::Ok(text) => Ok(format!("{text}\n")),
        Reply::Error(text) => Err(text),
        Reply::Status(_) => Err("the agent answered something else".to_owned()),
    }
}

fn status(socket: &Path, json: bool) -> Result<String, String> {
    match local::ask(socket, &Question::Status {})? {
        Reply::Status(status) if json => {
            let text = serde_json::to_string_pretty(&status).map_err(|error| error.to_string())?;
            Ok(text + "\n")
        }
        Reply::Status(status) => Ok(status_text(&status)),
        Reply::Error(text) => Err(text),
        Reply::Ok(_) => Err("the agent answered something else".to_owned()),
    }
}

fn status_text(status: &StatusText) -> String {
    let mut lines = vec![format!(
        "host        {} of cluster {}",
        status.host, status.cluster
    )];
    lines.push(match (&status.controller, &status.no_controller) {
        (Some(controller), _) => format!("controller  in session with {controller}"),
        (None, reason) => format!("controller  none: {}", reason.as_deref().unwrap_or("")),
    });
    let up = if status.vswitch_is_up { "up" } else { "down" };
    lines.push(format!("vswitch     {up}: {}", status.vswitch));
    let (applied, desired) = (status.applied, status.desired);
    lines.push(format!(
        "applied     revision {} of incarnation {}",
        applied.revision, applied.incarnation
    ));
    if applied != desired {
        lines.push(format!(
            "desired     revision {} of incarnation {}",
            desired.revision, desired.incarnation
        ));
    }
    if let Some(reason) = &status.not_durable {
        lines.push(format!("disk        NOT WRITTEN: {reason}"));
    }
    lines.extend(status.ports.iter().map(port_text));
    lines.extend(status.waiting.iter().map(waiting_text));
    lines.join("\n") + "\n"
}

fn port_text(port: &PortText) -> String {
    let link = port.link.as_deref().unwrap_or("link not known");
    let by = port
        .by_mac
        .map_or_else(String::new, |mac| format!(" by MAC {mac}"));
    let attachment = attachment_text(&port.attachment);
    format!("port        {}: {attachment}{by}, {link}", port.port)
}

fn waiting_text(waiting: &WaitingText) -> String {
    let WaitingText { port, mac, why, .. } = waiting;
    let attachment = attachment_text(&waiting.attachment);
    match (port, mac) {
        (_, Some(mac)) => format!("MAC         {mac}: {attachment}, {why}"),
        (Some(port), None) => format!("port        {port}: {attachment}, {why}"),
        (None, None) => format!("waiting     {attachment}, {why}"),
    }
}

fn attachment_text(attachment: &AttachmentText) -> String {
    let place = |netns: &Option<String>| {
        netns
            .as_ref()
            .map_or_else(String::new, |netns| format!(" in {netns}"))
    };
    match attachment {
        AttachmentText::Tap { interface, netns } => format!("TAP {interface}{}", place(netns)),
        AttachmentText::Packet { interface, netns } => format!("interface {interface}{}", place(netns)),
        AttachmentText::Dpdk { device } => format!("DPDK device {device}"),
        AttachmentText::Detached => "detached".to_owned(),
    }
}
