//! A host: the agent's core that ships, a disk, and a data plane. Each of them can die by itself.
//!
//! The agent's outputs are carried out one at a time, so that a crash fits between any two.

use std::collections::VecDeque;
use std::time::Duration;

use anet_agent::core::{Agent, Asked, Holder, Identity, Input, Output, PlaneAnswer, Record, Said};
use anet_model::changeset::{Change, Changeset};
use anet_model::digest::Digest;
use anet_model::host_plan::{Attachment, Port, PortId};
use anet_model::intent::HostId;
use anet_wire::codec::decode_signed_changeset;
use anet_wire::control::Response;
use anet_wire::control::report::{DigestReport, LinkState, PortState};
use anet_wire::session::{AgentMessage, ControllerMessage, SignedChangeset};

use crate::attachments::Attachments;
use crate::chance::Chance;
use crate::data_plane::DataPlane;
use crate::defect::Defect;
use crate::disk::{Disk, Outcome};
use crate::ledger::{Ledger, plain};
use crate::log::Log;
use crate::truth::Truth;
use crate::violation::{Violation, violation};

/// The cluster's name.
pub const CLUSTER: &str = "simulated";

/// What a host wants of the world.
#[derive(Debug)]
pub enum Wants {
    /// A message sent.
    Send(AgentMessage),
    /// Its stream closed; whether coming back helps.
    Close(bool),
}

/// See the module's page.
pub struct Host {
    /// Its name.
    pub id: HostId,
    /// The agent, while it lives.
    pub agent: Option<Agent>,
    /// The data plane, while it lives.
    pub plane: Option<DataPlane>,
    /// What the agent writes on.
    pub disk: Disk,
    /// What the data plane has had.
    pub ledger: Ledger,
    /// What its ports are attached to.
    pub attachments: Attachments,
    inputs: VecDeque<Input>,
    outputs: VecDeque<Output>,
    epoch: u64,
    lives: u64,
    /// A write was refused in this life of the agent's.
    refused: bool,
    /// What was synced was lost.
    lost: bool,
    believed: Option<DigestReport>,
    log: Log,
    defect: Defect,
}

impl Host {
    /// One whose agent and data plane have just begun.
    pub fn new(id: HostId, chance: Chance, log: Log, defect: Defect) -> Result<Self, Violation> {
        let mut host = Self {
            ledger: Ledger::new(id.clone()),
            id,
            agent: None,
            plane: None,
            disk: Disk::new(chance),
            attachments: Attachments::default(),
            inputs: VecDeque::new(),
            outputs: VecDeque::new(),
            epoch: 0,
            lives: 0,
            refused: false,
            lost: false,
            believed: None,
            log,
            defect,
        };
        host.start_plane();
        host.start_agent()?;
        Ok(host)
    }

    fn identity(&self) -> Identity {
        Identity {
            host: self.id.clone(),
            cluster: CLUSTER.to_owned(),
            instance: self.lives,
            software: "anet-agent simulated".to_owned(),
            machine: "simulated".to_owned(),
        }
    }

    /// The agent begins with what the disk has, unless it lives.
    pub fn start_agent(&mut self) -> Result<(), Violation> {
        if self.agent.is_some() {
            return Ok(());
        }
        self.lives += 1;
        let (agent, told, damaged) = Agent::restore(self.identity(), self.disk.open());
        if damaged || !told.is_empty() {
            let id = &self.id;
            return Err(violation(format!("the disk of {id} is not in order: {told:?}")));
        }
        self.agent = Some(agent);
        self.refused = false;
        if self.plane.is_some() {
            self.plane_up();
        }
        Ok(())
    }

    /// The agent dies, whatever it was about to do.
    pub fn kill_agent(&mut self) {
        self.agent = None;
        self.inputs.clear();
        self.outputs.clear();
        self.disk.abandon();
        self.attachments.agent_died();
    }

    /// The data plane begins, with nothing in it, unless it lives.
    pub fn start_plane(&mut self) {
        if self.plane.is_some() {
            return;
        }
        self.plane = Some(DataPlane::new(self.defect));
        self.ledger.began();
        self.believed = None;
        if self.agent.is_some() {
            self.plane_up();
        }
    }

    /// The data plane dies.
    pub fn kill_plane(&mut self) {
        if self.plane.take().is_some() && self.agent.is_some() {
            self.inputs.retain(|input| !matches!(input, Input::Plane(_)));
            let reason = "it was killed".to_owned();
            self.inputs.push_back(Input::PlaneDown { reason });
        }
    }

    /// The machine loses its power: all that is not on its disk is gone.
    pub fn lose_power(&mut self) {
        self.kill_plane();
        self.kill_agent();
        self.disk.lose_power();
    }

    /// What the disk has synced last is lost, and its agent dies.
    pub fn lose_last(&mut self) {
        self.kill_agent();
        self.disk.lose_last();
        self.lost = true;
    }

    fn plane_up(&mut self) {
        self.epoch += 1;
        self.inputs.push_back(Input::PlaneUp { epoch: self.epoch });
    }

    /// Something happens to the agent; lost where it does not live.
    pub fn tell(&mut self, input: Input) {
        if self.agent.is_some() {
            self.inputs.push_back(input);
        }
    }

    /// Somebody on the host attaches a port, or detaches it.
    pub fn attach(&mut self, now_ms: u64, holder: &Holder, attachment: Attachment) {
        if self.agent.is_some() {
            let what = format_args!("{attachment:?} for {holder:?}");
            self.log.note(now_ms, &self.id, what);
            let input = self.attachments.ask(holder, attachment);
            self.inputs.push_back(input);
        }
    }

    /// A message of a controller's has arrived.
    pub fn said(&mut self, message: ControllerMessage) -> Result<(), Violation> {
        let said = match message {
            ControllerMessage::Welcome {
                protocol,
                software,
                cluster,
                cursor,
                digest,
            } => Said::Welcome {
                protocol,
                software,
                cluster,
                cursor,
                digest,
            },
            ControllerMessage::Changeset(payload) => {
                let signed =
                    decode_signed_changeset(&payload).map_err(|error| violation(error.to_string()))?;
                Said::Changeset(Ok(self.taken(signed)))
            }
            ControllerMessage::Trace { id, request } => Said::Trace { id, request },
            ControllerMessage::Farewell { reason, retry } => Said::Farewell { reason, retry },
        };
        self.tell(Input::Said(said));
        Ok(())
    }

    /// The planted defect by which an old snapshot looks new.
    fn taken(&self, mut signed: SignedChangeset) -> SignedChangeset {
        let desired = self.agent.as_ref().map(|agent| agent.desired().cursor());
        if self.defect == Defect::StaleSnapshot
            && let Some(desired) = desired
            && signed.changeset.snapshot
            && signed.changeset.incarnation == desired.incarnation
            && signed.changeset.to < desired.revision
        {
            signed.changeset.to = desired.revision + 1;
        }
        signed
    }

    /// One step further; false where there is nothing to do.
    pub fn step(&mut self, now_ms: u64, truth: &Truth, wants: &mut Vec<Wants>) -> Result<bool, Violation> {
        if let Some((record, outcome)) = self.disk.written(now_ms) {
            self.refused |= outcome.is_err();
            self.log.note(now_ms, &self.id, told_of(&record, &outcome));
            let outcome = self.told_outcome(&record, outcome);
            self.inputs.push_back(Input::Persisted(outcome));
        }
        if let Some(output) = self.outputs.pop_front() {
            self.carry_out(now_ms, output, truth, wants)?;
            return Ok(true);
        }
        let (Some(agent), Some(input)) = (&mut self.agent, self.inputs.pop_front()) else {
            return Ok(false);
        };
        self.outputs.extend(agent.handle(input));
        Ok(true)
    }

    /// The planted defect by which what is not written is forgotten, since nobody tries again.
    fn told_outcome(&self, record: &Record, outcome: Outcome) -> Outcome {
        match (self.defect, record) {
            (Defect::ForgottenWrite, Record::Applied(_) | Record::Attachments(_)) => Ok(()),
            _ => outcome,
        }
    }

    fn carry_out(
        &mut self,
        now_ms: u64,
        output: Output,
        truth: &Truth,
        wants: &mut Vec<Wants>,
    ) -> Result<(), Violation> {
        match output {
            Output::Persist(record) => {
                self.acknowledge_early(&record, wants)?;
                self.disk.write(now_ms, record);
            }
            Output::Ask { epoch, asked } => {
                if self.plane.is_some() && epoch == self.epoch {
                    if let Asked::Apply(changeset) = &asked {
                        self.log.note(now_ms, &self.id, told_of_changes(changeset));
                    }
                    let answer = self.answer(asked, truth)?;
                    self.inputs.push_back(Input::Plane(answer));
                }
            }
            Output::Send(message) => {
                if let AgentMessage::Hello(hello) = &message {
                    self.log.note(
                        now_ms,
                        &self.id,
                        format_args!("says hello with {:?}", hello.cursor),
                    );
                }
                self.hold_acknowledgement(&message)?;
                wants.push(Wants::Send(message));
            }
            Output::Close { retry } => wants.push(Wants::Close(retry)),
            Output::Answer(ticket, answer) => {
                self.log
                    .note(now_ms, &self.id, format_args!("request {ticket}: {answer:?}"));
                self.attachments.answered(ticket, &answer);
            }
            Output::Event(text) => self.log.note(now_ms, &self.id, text),
        }
        Ok(())
    }

    fn acknowledge_early(&self, record: &Record, wants: &mut Vec<Wants>) -> Result<(), Violation> {
        if self.defect == Defect::EarlyAcknowledgement
            && let (Record::Changesets(_), Some(agent)) = (record, &self.agent)
        {
            let message = AgentMessage::Acknowledged {
                cursor: agent.desired().cursor(),
                digest: agent.desired().digest().total(),
            };
            self.hold_acknowledgement(&message)?;
            wants.push(Wants::Send(message));
        }
        Ok(())
    }

    fn answer(&mut self, asked: Asked, truth: &Truth) -> Result<PlaneAnswer, Violation> {
        Ok(match asked {
            Asked::Apply(changeset) => PlaneAnswer::Applied(self.apply(&changeset, truth)?),
            Asked::Digest => PlaneAnswer::Digest {
                report: self.digest(),
                took: Duration::from_millis(1),
            },
            Asked::Ports => PlaneAnswer::Ports(self.links()),
            Asked::Trace { id, .. } => PlaneAnswer::Traced {
                id,
                answer: Err("not here".to_owned()),
            },
        })
    }

    fn links(&self) -> Vec<PortState> {
        let ports = self.plane.iter().flat_map(|plane| &plane.control().plan().ports);
        let state = |(id, port): (&PortId, &Port)| PortState {
            port: id.clone(),
            link: match port.attachment {
                Attachment::Detached => LinkState::Detached,
                _ => LinkState::Up,
            },
        };
        ports.map(state).collect()
    }

    fn digest(&self) -> DigestReport {
        let found = self.plane.as_ref().map(DataPlane::digest);
        match (self.defect, &self.believed) {
            (Defect::NoDigest, Some(believed)) => believed.clone(),
            _ => found.expect("it lives"),
        }
    }

    fn apply(&mut self, changeset: &Changeset, truth: &Truth) -> Result<Response, Violation> {
        let plane = self.plane.as_mut().expect("it lives");
        let response = match self.defect {
            Defect::TornApply if changeset.changes.len() > 2 && !changeset.snapshot => torn(plane, changeset),
            _ => plane.apply(changeset),
        };
        if matches!(response, Response::Applied { .. }) {
            if self.defect == Defect::NoDigest {
                self.believed = Some(plane.digest());
            }
            let desired = self.agent.as_ref().expect("it asked").desired();
            let plan = plane.control().plan();
            self.ledger.applied(plan, desired, self.refused, truth)?;
        }
        Ok(response)
    }

    /// Somebody else changes the data plane, behind the agent's back.
    pub fn tamper(&mut self, pick: usize) {
        let Some(plane) = &mut self.plane else {
            return;
        };
        let state = plane.control().state();
        let peers = &state.plan().peers;
        let Some(victim) = peers.keys().nth(pick % peers.len().max(1)).cloned() else {
            return;
        };
        let changeset = Changeset {
            incarnation: state.incarnation(),
            from: state.revision(),
            to: state.revision() + 1,
            snapshot: false,
            changes: vec![Change::Peer(victim, None)],
            digest_after: None,
        };
        if matches!(plane.apply(&changeset), Response::Applied { .. }) {
            self.ledger.tampered(plane.control().plan());
        }
    }

    /// The digest of what is in the data plane, as its controller knows it.
    pub fn plane_digest(&self) -> Option<Digest> {
        Some(plain(self.plane.as_ref()?.control().plan()))
    }

    /// What the agent says it has, the data plane has had, and a loss of power would not take it away.
    fn hold_acknowledgement(&self, message: &AgentMessage) -> Result<(), Violation> {
        let (cursor, digest) = match message {
            AgentMessage::Acknowledged { cursor, digest } => (*cursor, *digest),
            AgentMessage::Hello(hello) => (hello.cursor, hello.digest),
            _ => return Ok(()),
        };
        // An agent whose disk has lost something says where that is now: then the data plane has something newer.
        if !self.ledger.has_held(digest) && !self.lost {
            return Err(violation(format!(
                "{} says that it has {cursor:?} in its data plane, which never had it",
                self.id
            )));
        }
        let last = self.disk.synced().changesets.last();
        let durable = last.map_or((0, 0), |last| (last.incarnation, last.to));
        match durable >= (cursor.incarnation, cursor.revision) {
            true => Ok(()),
            false => Err(violation(format!(
                "{} says that it has {cursor:?}, and its disk has {durable:?}",
                self.id
            ))),
        }
    }

    /// What is not as the controllers' plan and this host's attachments have it: in the data plane, or on the disk.
    pub fn unsettled(&self, truth: &Truth) -> Option<String> {
        let Some((agent, plane)) = self.agent.as_ref().zip(self.plane.as_ref()) else {
            return Some("something of it is dead".to_owned());
        };
        if self.plane_digest() != truth.digest(&self.id) {
            let status = agent.status();
            let (session, plane) = (status.session, status.vswitch);
            return Some(format!(
                "its data plane is not as intended: {plane:?}, {session:?}"
            ));
        }
        let at_rest = self.inputs.is_empty() && self.outputs.is_empty();
        if !at_rest || !agent.is_idle() || !self.disk.is_idle() {
            return Some("its agent has not come to rest".to_owned());
        }
        let shown = plane.control().state().digest().total();
        let synced = self.disk.synced();
        let (agent, _, _) = Agent::restore(self.identity(), synced.clone());
        let (desired, merged) = (agent.desired().digest().total(), agent.merged().digest().total());
        if Some(desired) != truth.digest(&self.id) || merged != shown {
            return Some("its disk leads to something else".to_owned());
        }
        let applied = synced.applied.unwrap_or_default();
        if Some(applied.digest) != self.plane_digest() || applied.shown != shown {
            return Some("its disk does not know what is applied".to_owned());
        }
        self.attachments
            .unsettled(&synced.attachments, plane.control().plan())
    }
}

/// A write and its outcome in a line.
fn told_of(record: &Record, outcome: &Outcome) -> String {
    let place = |changeset: &Changeset| (changeset.incarnation, changeset.to);
    let what = match record {
        Record::Changesets(changesets) => {
            format!("changesets up to {:?}", changesets.last().map(place))
        }
        Record::Plan(snapshot) => format!("the plan of {:?}", place(snapshot)),
        Record::Applied(applied) => format!("that {:?} is applied", applied.cursor),
        Record::Attachments(_) => "attachments".to_owned(),
    };
    match outcome {
        Ok(()) => format!("written: {what}"),
        Err(reason) => format!("not written: {what}: {reason}"),
    }
}

/// What the data plane is asked to change, in a line.
fn told_of_changes(changeset: &Changeset) -> String {
    let count = changeset.changes.len();
    match changeset.snapshot {
        true => format!("the data plane gets a whole plan of {count} entries"),
        false => format!("the data plane gets {count} changes"),
    }
}

/// Half of a changeset, answered for as if it were all.
fn torn(plane: &mut DataPlane, changeset: &Changeset) -> Response {
    let half = Changeset {
        changes: changeset.changes[..changeset.changes.len() / 2].to_vec(),
        digest_after: None,
        ..changeset.clone()
    };
    match (plane.apply(&half), changeset.digest_after) {
        (Response::Applied { revision, .. }, Some(digest)) => Response::Applied {
            revision,
            digest: Digest::from_bytes(digest),
        },
        // What cannot be halved is carried out whole.
        (Response::Refused { .. }, _) => plane.apply(changeset),
        (response, _) => response,
    }
}
