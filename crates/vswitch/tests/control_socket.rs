//! The daemon's control socket and files, without a port: runs anywhere.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anet_lab::{Folder, Process, wait_for};
use anet_model::changeset::{Change, Changeset};
use anet_model::host_plan::{HostPlan, Network};
use anet_packet::addr::{Mtu, Vni};
use anet_wire::client::Client;
use anet_wire::control::{Refusal, Request, Response};

const PATIENCE: Duration = Duration::from_secs(10);
const PROGRAM: &str = env!("CARGO_BIN_EXE_anet-vswitch");

struct Daemon {
    process: Process,
    folder: Folder,
}

impl Daemon {
    fn start(arguments: &[&str]) -> Self {
        Self::start_in(Folder::new().unwrap(), arguments)
    }

    fn start_in(folder: Folder, arguments: &[&str]) -> Self {
        let mut command = run_command(&folder);
        command.args(arguments);
        let mut process = Process::spawn("anet-vswitch", command, &folder).unwrap();
        let socket = folder.file("control");
        // Who gets an answer finds everything else done: connecting alone is possible before.
        let ready = || UnixStream::connect(&socket).is_ok_and(|stream| Client::greet(stream, "test").is_ok());
        process.wait_ready(PATIENCE, ready).unwrap();
        Self { process, folder }
    }

    /// `anet-vswitch ctl ARGUMENTS`: its exit status, and what it printed or complained of.
    fn ctl(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(PROGRAM);
        command
            .arg("ctl")
            .arg("--control")
            .arg(self.folder.file("control"));
        let output = command.args(arguments).output();
        let Output {
            status,
            stdout,
            stderr,
        } = output.unwrap();
        let text = String::from_utf8(if status.success() { stdout } else { stderr }).unwrap();
        (status.code(), text)
    }

    fn client(&self) -> Client<UnixStream> {
        Client::greet(self.stream(), "test").unwrap()
    }

    fn stream(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.file("control")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

fn run_command(folder: &Folder) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("run").arg("--control").arg(folder.file("control"));
    command.arg("--connections").arg(folder.file("connections"));
    command.args(["--connection-capacity", "1024", "--flows", "1024"]);
    command
}

/// What a daemon says that must not start.
fn refused(mut command: Command) -> String {
    let mut child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ended = wait_for("a refusal", PATIENCE, || child.try_wait().unwrap());
    if ended.is_err() {
        child.kill().unwrap();
    }
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    text
}

fn network(vni: u32) -> Network {
    Network {
        vni: Vni::new(vni).unwrap(),
        mtu: Mtu::VXLAN_IPV4,
        endpoints: Vec::new(),
    }
}

fn changeset(from: u64, to: u64, name: &str, vni: u32) -> Changeset {
    Changeset {
        from,
        to,
        changes: vec![Change::Network(name.parse().unwrap(), Some(network(vni)))],
        ..Changeset::default()
    }
}

#[test]
fn changesets_are_applied_whole_or_not_at_all() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.client();
    let mut call = |changeset: Changeset| client.call(&Request::Apply(changeset)).unwrap();
    assert!(matches!(
        call(changeset(0, 5, "blue", 10)),
        Response::Applied { revision: 5, .. }
    ));
    let gap = call(changeset(7, 8, "red", 11));
    assert!(
        matches!(
            &gap,
            Response::Refused {
                refusal: Refusal::SnapshotNeeded,
                revision: 5,
                ..
            }
        ),
        "{gap:?}"
    );
    let again = call(changeset(0, 5, "blue", 10));
    assert!(
        matches!(
            &again,
            Response::Refused {
                refusal: Refusal::AlreadyApplied,
                ..
            }
        ),
        "{again:?}"
    );
    let clash = call(changeset(5, 6, "red", 10));
    assert!(
        matches!(
            &clash,
            Response::Refused {
                refusal: Refusal::Invalid,
                ..
            }
        ),
        "{clash:?}"
    );
    assert!(matches!(
        call(changeset(5, 6, "red", 11)),
        Response::Applied { revision: 6, .. }
    ));
    let Response::Digest(report) = client.call(&Request::Digest).unwrap() else {
        panic!("a digest");
    };
    assert_eq!((report.revision, report.mismatches().count()), (6, 0));
    let Response::Dump(text) = client.call(&Request::Dump).unwrap() else {
        panic!("a dump");
    };
    let plan: HostPlan = anet_wire::plan_text::parse(&text).unwrap();
    assert_eq!(plan.networks.len(), 2);
}

#[test]
fn only_one_daemon_has_a_socket_and_a_connection_file() {
    let mut daemon = Daemon::start(&[]);
    let mode = std::fs::metadata(daemon.folder.file("control"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = refused(run_command(&daemon.folder));
    assert!(text.contains("in use by a running process"), "{text}");
    let mut other = Command::new(PROGRAM);
    other.arg("run").arg("--control").arg(daemon.folder.file("other"));
    other.arg("--connections").arg(daemon.folder.file("connections"));
    let text = refused(other);
    assert!(
        text.contains(&format!("process {}", daemon.process.pid())),
        "{text}"
    );

    // A dead one's socket stays behind and is replaced.
    daemon.process.kill9();
    assert!(daemon.folder.file("control").exists());
    let mut daemon = Daemon::start_in(daemon.folder, &[]);
    assert!(daemon.client().call(&Request::Version).is_ok());
    daemon.process.terminate(PATIENCE).unwrap();
    assert!(
        !daemon.folder.file("control").exists(),
        "a clean end takes the socket along"
    );
}

#[test]
fn what_is_in_the_way_is_named() {
    let folder = Folder::new().unwrap();
    folder.write("control", "a file").unwrap();
    let text = refused(run_command(&folder));
    assert!(text.contains("is not a socket"), "{text}");
    std::fs::remove_file(folder.file("control")).unwrap();

    let live = UnixListener::bind(folder.file("control")).unwrap();
    let text = refused(run_command(&folder));
    assert!(text.contains("in use by a running process"), "{text}");
    drop(live);

    let mut missing = run_command(&folder);
    missing.arg("--plan").arg(folder.file("no-plan.yaml"));
    let text = refused(missing);
    assert!(
        text.contains("no-plan.yaml") && text.contains("No such file"),
        "{text}"
    );
    folder
        .write("plan.yaml", "networks:\n  blue: {vni: 99999999, mtu: 1450}\n")
        .unwrap();
    let mut wrong = run_command(&folder);
    wrong.arg("--plan").arg(folder.file("plan.yaml"));
    let text = refused(wrong);
    assert!(text.contains("plan.yaml:2:"), "{text}");
}

#[test]
fn a_damaged_connection_file_is_kept_aside() {
    let folder = Folder::new().unwrap();
    folder.write("connections", &"rubbish ".repeat(1000)).unwrap();
    let daemon = Daemon::start_in(folder, &[]);
    assert!(
        daemon.process.log().contains("a new one was made"),
        "{}",
        daemon.process.log()
    );
    assert!(daemon.folder.file("connections.replaced-1").exists());
}

#[test]
fn hostile_clients_get_an_error_and_keep_nobody_waiting() {
    let daemon = Daemon::start(&[]);
    let hostile: [&[u8]; 5] = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 64],
        &[0, 0, 0, 3, 0xff, 0xff, 0xff],
        // A whole frame that claims to be long and never comes.
        &[0x03, 0xff, 0xff, 0xff, 0x12],
    ];
    let slow: Vec<UnixStream> = hostile
        .iter()
        .map(|bytes| {
            let mut stream = daemon.stream();
            stream.write_all(bytes).unwrap();
            stream
        })
        .collect();
    let started = Instant::now();
    let mut client = daemon.client();
    assert!(matches!(
        client.call(&Request::Counters).unwrap(),
        Response::Counters(_)
    ));
    assert!(started.elapsed() < Duration::from_secs(2));

    // A request before the hello.
    let mut rude = daemon.stream();
    anet_wire::frame::write_frame(&mut rude, &anet_wire::codec::encode_request(&Request::Ports)).unwrap();
    let mut answer = Vec::new();
    rude.read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("say hello first"));
    drop(slow);

    // More clients than seats: the rest is told, and seats that are left can be had again.
    let crowd: Vec<UnixStream> = (0..20).map(|_| daemon.stream()).collect();
    let told = crowd.into_iter().rev().take(3).map(|mut stream| {
        let mut text = Vec::new();
        stream
            .read_to_end(&mut text)
            .map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    assert!(
        told.into_iter()
            .all(|text| text.unwrap().contains("clients are connected already"))
    );
    let free = || Client::greet(daemon.stream(), "test").ok();
    assert!(wait_for("a free seat", PATIENCE, free).is_ok());
}

#[test]
fn the_command_line_says_why_there_is_no_answer() {
    let daemon = Daemon::start(&[]);
    // Each has its seat before the next one comes: who was there before them may not have left yet.
    let seated = || Client::greet(daemon.stream(), "test").ok();
    let crowd: Vec<Client<UnixStream>> = (0..anet_vswitch::daemon::socket::CLIENTS)
        .map(|_| wait_for("a free seat", PATIENCE, seated).unwrap())
        .collect();
    // Whether the refusal or the hello comes first is a race: the reason is told each time.
    for _ in 0..20 {
        let (status, text) = daemon.ctl(&["counters"]);
        assert_eq!((status, text.lines().count()), (Some(1), 1), "{text}");
        assert!(text.contains("16 clients are connected already"), "{text}");
    }
    drop(crowd);
    let free = || (daemon.ctl(&["version"]).0 == Some(0)).then_some(());
    wait_for("a free seat", PATIENCE, free).unwrap();

    // A stopped process keeps its socket and says nothing.
    let pid = nix::unistd::Pid::from_raw(daemon.process.pid() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let started = Instant::now();
    let (status, text) = daemon.ctl(&["counters"]);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert_eq!((status, text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains("within 5 s") && text.contains("stopped"), "{text}");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    assert_eq!(daemon.ctl(&["version"]).0, Some(0));
}

#[test]
fn the_command_line_asks_and_applies() {
    let daemon = Daemon::start(&[]);
    let ctl = |arguments: &[&str]| daemon.ctl(arguments);
    let plan = "networks:\n  blue: {vni: 10, mtu: 1450, endpoints: []}\n";
    let file = daemon.folder.write("new.yaml", plan).unwrap();
    let (status, text) = ctl(&["apply", file.to_str().unwrap()]);
    assert!(status == Some(0) && text.contains("revision 1"), "{text}");
    for question in [
        "drops",
        "flows",
        "connections",
        "counters",
        "digest",
        "dump",
        "ports",
        "version",
    ] {
        let (status, text) = ctl(&[question]);
        assert!(status == Some(0) && !text.is_empty(), "{question}: {text}");
        let (status, json) = ctl(&["-o", "json", question]);
        assert!(
            status == Some(0) && json.starts_with(['{', '[']),
            "{question}: {json}"
        );
    }
    let (status, text) = ctl(&["trace", "--port", "nobody", "--to", "10.0.0.1"]);
    assert!(
        status == Some(1) && text.contains("there is no port nobody"),
        "{text}"
    );
    let file = daemon.folder.write("wrong.yaml", "networks: [blue]\n").unwrap();
    let (status, text) = ctl(&["apply", file.to_str().unwrap()]);
    assert!(status == Some(1) && text.contains("wrong.yaml:1:"), "{text}");
}

/// A host with a port and, behind `host2`, a station.
const OVERLAY: &str = "tunnel: {address: 192.0.2.1}
endpoints:
  host2: {address: 192.0.2.2}
  host3: {address: 192.0.2.3}
networks:
  blue: {vni: 10, mtu: 1450, endpoints: [host2]}
subnets:
  v4: {network: blue, prefix: 10.0.0.0/24}
ports:
  a: {network: blue, mac: '02:00:00:00:00:01', addresses: [10.0.0.1], security_groups: [g]}
peers:
  p: {network: blue, mac: '02:00:00:00:00:05', addresses: [10.0.0.5], endpoint: host2}
security_groups:
  g:
    rules:
      out: {direction: egress, ethertype: IPv4}
      web: {direction: ingress, ethertype: IPv4, protocol: tcp, ports: 80}
";

#[test]
fn a_packet_out_of_the_tunnel_is_traced_to_its_end() {
    let daemon = Daemon::start(&[]);
    let file = daemon.folder.write("plan.yaml", OVERLAY).unwrap();
    let (status, text) = daemon.ctl(&["apply", file.to_str().unwrap()]);
    assert_eq!(status, Some(0), "{text}");
    let trace = |endpoint: &str, rest: &[&str]| {
        let from = ["trace", "--from-endpoint", endpoint, "--network", "blue"];
        // What a trace found is printed to standard output, whatever its exit status.
        let mut command = Command::new(PROGRAM);
        command
            .arg("ctl")
            .arg("--control")
            .arg(daemon.folder.file("control"));
        let output = command.args(from).args(rest).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (status, text) = trace("host2", &["--to", "10.0.0.1", "--tcp", "80"]);
    assert_eq!(status, Some(0), "{text}");
    for part in [
        "decap",
        "from endpoint 192.0.2.2 in segment 10",
        "rule web",
        "firewall_in",
        "forwarded: port a\n",
    ] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    let (status, text) = trace("host2", &["--to", "10.0.0.1", "--tcp", "22"]);
    assert!(
        status == Some(3) && text.contains("dropped: firewall_ingress"),
        "{text}"
    );
    let (status, text) = trace("host3", &["--from", "10.0.0.5", "--to", "10.0.0.1"]);
    assert!(
        status == Some(3) && text.contains("dropped: unknown_endpoint"),
        "{text}"
    );
    let (status, text) = trace("host3", &["--to", "10.0.0.1"]);
    assert!(
        status == Some(1) && text.contains("give one with --from"),
        "{text}"
    );
    let (status, text) = trace("host9", &["--to", "10.0.0.1"]);
    assert!(status == Some(1) && text.contains("no endpoint host9"), "{text}");
    let (status, text) = daemon.ctl(&["trace", "--port", "a", "--to", "10.0.0.5"]);
    assert!(
        status == Some(0) && text.contains("forwarded: endpoint host2\n"),
        "{text}"
    );
}
