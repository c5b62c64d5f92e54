//! A host with the real daemons, and a controller that does as it is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anet_agent::disk::{Folder as Data, Joined};
use anet_cluster::Bytes;
use anet_cluster::bus::direct::{Receiver, Sender, Server, Settings, Stream};
use anet_cluster::trust::{Authority, Clock, Names, Role, ServerTls, Signer};
use anet_lab::{Folder, Process, wait_for, workspace_program};
use anet_model::changeset::{Change, Changeset};
use anet_model::diff::diff;
use anet_model::digest::PlanDigest;
use anet_model::host_plan::HostPlan;
use anet_wire::codec::{decode_agent_message, encode_controller_message, encode_signed_changeset};
use anet_wire::session::{AgentHello, AgentMessage, CHANGESET_PURPOSE, ControllerMessage, SignedChangeset};
use tokio::runtime::Runtime;

pub const HOST: &str = "host1";
pub const CLUSTER: &str = "lab";
const PATIENCE: Duration = Duration::from_secs(20);

/// The programs, or why there is none.
pub fn programs() -> Result<(PathBuf, PathBuf), String> {
    let vswitch = workspace_program("anet-vswitch", "ANET_VSWITCH").map_err(|error| error.to_string())?;
    let agent = workspace_program("anet-agent", "ANET_AGENT").map_err(|error| error.to_string())?;
    Ok((vswitch, agent))
}

/// A session with the agent, seen from the controller.
pub struct Session {
    sender: Sender,
    receiver: Receiver,
    pub hello: AgentHello,
}

/// The controller.
pub struct Controller {
    pub runtime: Runtime,
    server: Server,
    authority: Authority,
    signer: Signer,
}

impl Controller {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let now = SystemTime::now();
        let authority = Authority::generate(CLUSTER, now).unwrap();
        let names = Names::none();
        let credentials = authority.credentials(Role::Controller, "c1", names, now).unwrap();
        let tls = ServerTls::new(&credentials, &[Role::Host], Clock::system()).unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let server = runtime
            .block_on(Server::bind(address, tls, Settings::default()))
            .unwrap();
        Self {
            runtime,
            server,
            signer: Signer::new(&credentials),
            authority,
        }
    }

    /// What joining would have put into the data folder.
    pub fn enrol(&self, data: &Path) {
        let credentials = self
            .authority
            .credentials(Role::Host, HOST, Names::none(), SystemTime::now());
        let joined = Joined {
            host: HOST.to_owned(),
            cluster: CLUSTER.to_owned(),
            controllers: vec![self.server.address().to_string()],
        };
        Data::take(data)
            .unwrap()
            .keep(&credentials.unwrap(), &joined)
            .unwrap();
    }

    /// The next session; its hello is answered.
    pub fn session(&mut self) -> Session {
        let server = &mut self.server;
        let accepted = async {
            let Stream {
                sender, mut receiver, ..
            } = server.accept_stream().await;
            let first = receiver.receive().await.unwrap();
            (sender, receiver, first)
        };
        let accepted = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, accepted).await });
        let (sender, receiver, first) = accepted.expect("the agent connects");
        let AgentMessage::Hello(hello) = decode_agent_message(&first).unwrap() else {
            panic!("the first message is no hello");
        };
        let session = Session {
            sender,
            receiver,
            hello,
        };
        // The host has what the controller has.
        session.say(&ControllerMessage::Welcome {
            protocol: 1,
            software: "a test".to_owned(),
            cluster: CLUSTER.to_owned(),
            cursor: session.hello.cursor,
            digest: session.hello.digest,
        });
        session
    }

    /// Sends the agent away at its next hello, and waits until it has gone.
    #[allow(dead_code, reason = "not each test sends it away")]
    pub fn send_away(&mut self, reason: &str) {
        let server = &mut self.server;
        let farewell = ControllerMessage::Farewell {
            reason: reason.to_owned(),
            retry: true,
        };
        let gone = async {
            let mut stream = server.accept_stream().await;
            stream.receiver.receive().await.unwrap();
            let bytes = Bytes::from(encode_controller_message(&farewell));
            stream.sender.try_send(bytes).unwrap();
            while stream.receiver.receive().await.is_ok() {}
        };
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, gone).await })
            .expect("the agent comes and goes");
    }

    /// Signs a changeset and sends it.
    pub fn send(&self, session: &Session, changeset: Changeset) {
        let payload = encode_signed_changeset(&SignedChangeset {
            host: HOST.parse().unwrap(),
            changeset,
        });
        let envelope = self.signer.seal(CHANGESET_PURPOSE, &payload).unwrap();
        session.say(&ControllerMessage::Changeset(envelope));
    }

    /// The next message for which `wanted` says something.
    pub fn hear<T>(&self, session: &mut Session, mut wanted: impl FnMut(AgentMessage) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        self.runtime.block_on(async {
            loop {
                let next = tokio::time::timeout_at(until.into(), session.receiver.receive()).await;
                let bytes = next.expect("it is said in time").expect("the session stands");
                if let Some(found) = wanted(decode_agent_message(&bytes).unwrap()) {
                    return found;
                }
            }
        })
    }

    /// Waits until a revision is acknowledged.
    pub fn acknowledged(&self, session: &mut Session, revision: u64) {
        self.hear(session, |message| match message {
            AgentMessage::Acknowledged { cursor, .. } => (cursor.revision == revision).then_some(()),
            AgentMessage::Refused { reason, .. } => panic!("refused: {reason}"),
            _ => None,
        });
    }
}

impl Session {
    pub fn say(&self, message: &ControllerMessage) {
        self.sender
            .try_send(Bytes::from(encode_controller_message(message)))
            .unwrap();
    }
}

/// The whole plan as a revision.
pub fn snapshot(plan: &HostPlan, to: u64) -> Changeset {
    Changeset {
        incarnation: 1,
        from: 0,
        to,
        snapshot: true,
        changes: diff(&HostPlan::default(), plan),
        digest_after: Some(PlanDigest::of(plan).total().to_bytes()),
    }
}

/// One step.
pub fn step(to: u64, changes: Vec<Change>) -> Changeset {
    Changeset {
        incarnation: 1,
        from: to - 1,
        to,
        changes,
        ..Changeset::default()
    }
}

/// A plan with so many ports in one network, all with the same group.
pub fn plan(ports: usize) -> HostPlan {
    let mut text = "networks:\n  blue: {vni: 10, mtu: 1450, endpoints: []}\nsubnets:\n  v4: {network: blue, prefix: 10.0.0.0/16}\n\
                    security_groups:\n  g:\n    rules:\n      out: {direction: egress, ethertype: IPv4}\nports:\n"
        .to_owned();
    for n in 1..=ports {
        let (high, low) = (n >> 8, n & 0xff);
        text += &format!(
            "  port-{n:04}: {{network: blue, mac: '02:00:00:00:{high:02x}:{low:02x}', addresses: [10.0.{high}.{low}], security_groups: [g]}}\n"
        );
    }
    anet_wire::plan_text::parse(&text).unwrap()
}

/// The vswitch and the agent of one host, in one folder.
pub struct Host {
    pub folder: Folder,
    programs: (PathBuf, PathBuf),
    pub vswitch: Option<Process>,
    pub agent: Option<Process>,
}

impl Host {
    pub fn new(programs: (PathBuf, PathBuf)) -> Self {
        Self {
            folder: Folder::new().unwrap(),
            programs,
            vswitch: None,
            agent: None,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.file("data")
    }

    pub fn start_vswitch(&mut self) {
        let mut command = Command::new(&self.programs.0);
        command
            .arg("run")
            .arg("--control")
            .arg(self.folder.file("control"));
        command.arg("--connections").arg(self.folder.file("connections"));
        command.args(["--connection-capacity", "1024", "--flows", "1024"]);
        self.vswitch = Some(Process::spawn("anet-vswitch", command, &self.folder).unwrap());
    }

    pub fn agent_command(&self) -> Command {
        let mut command = Command::new(&self.programs.1);
        command.arg("run").arg("--data").arg(self.data());
        command.arg("--vswitch-socket").arg(self.folder.file("control"));
        command.arg("--socket").arg(self.folder.file("agent.sock"));
        command
    }

    pub fn start_agent(&mut self) {
        let command = self.agent_command();
        self.agent = Some(Process::spawn("anet-agent", command, &self.folder).unwrap());
    }

    /// `anet-agent ARGUMENTS`: whether it succeeded, and what it printed.
    pub fn ask(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(&self.programs.1);
        let output = command
            .args(arguments)
            .arg("--socket")
            .arg(self.folder.file("agent.sock"))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    /// `anet-vswitch ctl ARGUMENTS`, where it answers.
    pub fn ctl(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(&self.programs.0);
        command
            .arg("ctl")
            .arg("--control")
            .arg(self.folder.file("control"));
        let output = command.args(arguments).output().unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Waits until what the vswitch dumps pleases.
    pub fn wait_for_plan(&self, what: &str, pleases: impl Fn(&str) -> bool) {
        wait_for(what, PATIENCE, || {
            self.ctl(&["dump"]).filter(|text| pleases(text))
        })
        .unwrap();
    }
}
