//! A host: the agent's core that ships, a disk, and a data plane. Each of them can die by itself.
//!
//! The agent's outputs are carried out one at a time, so that a crash fits between any two.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use anet_agent::core::{Agent, Asked, Identity, Input, Output, PlaneAnswer, Record, Restored, Said};
use anet_model::changeset::{Change, Changeset};
use anet_model::digest::Digest;
use anet_model::host_plan::PortId;
use anet_model::intent::HostId;
use anet_wire::codec::decode_signed_changeset;
use anet_wire::control::Response;
use anet_wire::control::report::{DigestReport, LinkState, PortState};
use anet_wire::session::{AgentMessage, ControllerMessage, SignedChangeset};

use crate::data_plane::DataPlane;
use crate::defect::Defect;
use crate::truth::{Order, Truth};
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
    disk: Restored,
    inputs: VecDeque<Input>,
    outputs: VecDeque<Output>,
    epoch: u64,
    lives: u64,
    /// Every plan that the data plane has ever had.
    held: BTreeSet<Digest>,
    /// The oldest place in history that what is in the data plane may be of.
    in_plane: Order,
    /// Somebody else's hand was in the data plane, and nobody has mended it yet.
    pub tampered: bool,
    believed: Option<DigestReport>,
    defect: Defect,
}

impl Host {
    /// One whose agent and data plane have just begun.
    pub fn new(id: HostId, defect: Defect) -> Self {
        let mut host = Self {
            id,
            agent: None,
            plane: None,
            disk: Restored::default(),
            inputs: VecDeque::new(),
            outputs: VecDeque::new(),
            epoch: 0,
            lives: 0,
            held: BTreeSet::from([Digest::default()]),
            in_plane: (0, 0),
            tampered: false,
            believed: None,
            defect,
        };
        host.start_plane();
        host.start_agent();
        host
    }

    /// The agent begins, with what the disk has.
    pub fn start_agent(&mut self) {
        self.lives += 1;
        let identity = Identity {
            host: self.id.clone(),
            cluster: CLUSTER.to_owned(),
            instance: self.lives,
            software: "anet-agent simulated".to_owned(),
            machine: "simulated".to_owned(),
        };
        let (agent, _told, _damaged) = Agent::restore(identity, self.disk.clone());
        self.agent = Some(agent);
        self.inputs.clear();
        self.outputs.clear();
        if self.plane.is_some() {
            self.plane_up();
        }
    }

    /// The agent dies, whatever it was about to do.
    pub fn kill_agent(&mut self) {
        self.agent = None;
        self.inputs.clear();
        self.outputs.clear();
    }

    /// The data plane begins, with nothing in it.
    pub fn start_plane(&mut self) {
        self.plane = Some(DataPlane::new());
        self.in_plane = (0, 0);
        self.believed = None;
        self.tampered = false;
        if self.agent.is_some() {
            self.plane_up();
        }
    }

    /// The data plane dies.
    pub fn kill_plane(&mut self) {
        self.plane = None;
        self.plane_gone();
    }

    fn plane_up(&mut self) {
        self.epoch += 1;
        self.inputs.push_back(Input::PlaneUp { epoch: self.epoch });
    }

    fn plane_gone(&mut self) {
        self.inputs.retain(|input| !matches!(input, Input::Plane(_)));
        let reason = "it was killed".to_owned();
        self.inputs.push_back(Input::PlaneDown { reason });
    }

    /// Something happens to the agent; lost where it does not live.
    pub fn tell(&mut self, input: Input) {
        if self.agent.is_some() {
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
                ..
            } => Said::Welcome {
                protocol,
                software,
                cluster,
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
    pub fn step(&mut self, truth: &Truth, wants: &mut Vec<Wants>) -> Result<bool, Violation> {
        if let Some(output) = self.outputs.pop_front() {
            self.carry_out(output, truth, wants)?;
            return Ok(true);
        }
        let (Some(agent), Some(input)) = (&mut self.agent, self.inputs.pop_front()) else {
            return Ok(false);
        };
        self.outputs.extend(agent.handle(input));
        Ok(true)
    }

    fn carry_out(&mut self, output: Output, truth: &Truth, wants: &mut Vec<Wants>) -> Result<(), Violation> {
        match output {
            Output::Persist(record) => self.persist(record, wants)?,
            Output::Ask { epoch, asked } => {
                if self.plane.is_some() && epoch == self.epoch {
                    let answer = self.answer(asked, truth)?;
                    self.inputs.push_back(Input::Plane(answer));
                }
            }
            Output::Send(message) => {
                self.hold_acknowledgement(&message)?;
                wants.push(Wants::Send(message));
            }
            Output::Close { retry } => wants.push(Wants::Close(retry)),
            Output::Answer(..) | Output::Event(_) => {}
        }
        Ok(())
    }

    fn persist(&mut self, record: Record, wants: &mut Vec<Wants>) -> Result<(), Violation> {
        if self.defect == Defect::EarlyAcknowledgement
            && let (Record::Changesets(_), Some(agent)) = (&record, &self.agent)
        {
            let message = AgentMessage::Acknowledged {
                cursor: agent.desired().cursor(),
                digest: agent.desired().digest().total(),
            };
            self.hold_acknowledgement(&message)?;
            wants.push(Wants::Send(message));
        }
        match record {
            Record::Changesets(changesets) => self.disk.changesets.extend(changesets),
            Record::Plan(snapshot) => self.disk.changesets = vec![*snapshot],
            Record::Applied(applied) => self.disk.applied = Some(applied),
            Record::Attachments(attachments) => self.disk.attachments = attachments,
        }
        self.inputs.push_back(Input::Persisted(Ok(())));
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
        let ports = self
            .plane
            .iter()
            .flat_map(|plane| plane.control().plan().ports.keys());
        let detached = |port: &PortId| PortState {
            port: port.clone(),
            link: LinkState::Detached,
        };
        ports.map(detached).collect()
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
            self.tampered &= changeset.digest_after.is_none() && !changeset.snapshot;
            self.hold_order(truth)?;
        }
        Ok(response)
    }

    /// Somebody else changes the data plane, behind the agent's back.
    pub fn tamper(&mut self, pick: usize) -> bool {
        let Some(plane) = &mut self.plane else {
            return false;
        };
        let state = plane.control().state();
        let victims = state.plan().peers.keys();
        let Some(victim) = victims.cloned().nth(pick % state.plan().peers.len().max(1)) else {
            return false;
        };
        let changeset = Changeset {
            incarnation: state.incarnation(),
            from: state.revision(),
            to: state.revision() + 1,
            snapshot: false,
            changes: vec![Change::Peer(victim, None)],
            digest_after: None,
        };
        let done = matches!(plane.apply(&changeset), Response::Applied { .. });
        self.tampered |= done;
        self.held.extend(self.plane_digest());
        done
    }

    /// The digest of what is in the data plane.
    pub fn plane_digest(&self) -> Option<Digest> {
        let plane = self.plane.as_ref()?;
        Some(plane.control().state().digest().total())
    }

    /// Never an older plan over a newer one, and never one that nobody made.
    fn hold_order(&mut self, truth: &Truth) -> Result<(), Violation> {
        let Some(digest) = self.plane_digest() else {
            return Ok(());
        };
        self.held.insert(digest);
        let Some((first, last)) = truth.place(&self.id, digest) else {
            let empty = digest == Digest::default();
            return match empty || self.tampered {
                true => Ok(()),
                false => Err(violation(format!("{} has a plan that nobody made", self.id))),
            };
        };
        self.tampered = false;
        if last < self.in_plane {
            let (old, new) = (last, self.in_plane);
            return Err(violation(format!("{} has {old:?} over {new:?}", self.id)));
        }
        self.in_plane = self.in_plane.max(first);
        Ok(())
    }

    /// What the agent says it has, the data plane has had.
    fn hold_acknowledgement(&self, message: &AgentMessage) -> Result<(), Violation> {
        let (cursor, digest) = match message {
            AgentMessage::Acknowledged { cursor, digest } => (*cursor, *digest),
            AgentMessage::Hello(hello) => (hello.cursor, hello.digest),
            _ => return Ok(()),
        };
        match self.held.contains(&digest) {
            true => Ok(()),
            false => Err(violation(format!(
                "{} says that it has {cursor:?} in its data plane, which never had it",
                self.id
            ))),
        }
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
