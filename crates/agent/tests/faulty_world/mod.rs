//! A small world around an agent's core: a controller with a history, a stream that loses, repeats and reorders, a disk that may
//! fail, a data plane that may restart. Outputs are carried out one at a time, so that a crash fits between any two.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use anet_agent::core::{
    Agent, AppliedRecord, Asked, Holder, Identity, Input, Kept, LocalRequest, Output, PlaneAnswer, Record,
    Restored, Said,
};
use anet_model::changeset::{Change, Changeset};
use anet_model::diff::diff;
use anet_model::digest::{Digest, PlanDigest};
use anet_model::host_plan::{Attachment, HostPlan, PortId};
use anet_model::state::{Cursor, PlanState};
use anet_packet::addr::Mac;
use anet_wire::control::report::DigestReport;
use anet_wire::control::{Refusal, Response};
use anet_wire::session::{AgentMessage, AgentReport, SignedChangeset};

pub const HOST: &str = "host1";
pub const CLUSTER: &str = "lab";

/// A controller's revision as it is ordered.
pub type Order = (u64, u64);

pub fn order(cursor: Cursor) -> Order {
    (cursor.incarnation, cursor.revision)
}

/// The controller: every plan it ever had, by revision.
pub struct Controller {
    pub incarnation: u64,
    /// Plan and what led to it from the one before.
    pub states: BTreeMap<Order, HostPlan>,
    pub steps: BTreeMap<Order, Changeset>,
    pub now: u64,
}

impl Controller {
    pub fn plan(&self) -> &HostPlan {
        &self.states[&(self.incarnation, self.now)]
    }

    pub fn cursor(&self) -> Cursor {
        Cursor {
            incarnation: self.incarnation,
            revision: self.now,
        }
    }

    pub fn snapshot(&self, at: Order) -> Option<Changeset> {
        let plan = self.states.get(&at)?;
        Some(Changeset {
            incarnation: at.0,
            from: 0,
            to: at.1,
            snapshot: true,
            changes: diff(&HostPlan::default(), plan),
            digest_after: Some(PlanDigest::of(plan).total().to_bytes()),
        })
    }

    /// The revisions at which it had a plan with this digest: first and last.
    pub fn revisions_of(&self, digest: Digest) -> Option<(Order, Order)> {
        let same = self
            .states
            .iter()
            .filter(|(_, plan)| PlanDigest::of(plan).total() == digest);
        let orders: Vec<Order> = same.map(|(order, _)| *order).collect();
        Some((*orders.first()?, *orders.last()?))
    }
}

#[derive(Default)]
pub struct Disk {
    pub restored: Restored,
    pub fails: bool,
    pub writes: usize,
}

impl Disk {
    fn write(&mut self, record: Record) -> Result<(), String> {
        if self.fails {
            return Err("no space left on device".to_owned());
        }
        self.writes += 1;
        match record {
            Record::Changesets(changesets) => self.restored.changesets.extend(changesets),
            Record::Plan(snapshot) => self.restored.changesets = vec![*snapshot],
            Record::Applied(applied) => self.restored.applied = Some(applied),
            Record::Attachments(attachments) => self.restored.attachments = attachments,
        }
        Ok(())
    }
}

pub struct World {
    pub controller: Controller,
    pub stream: Vec<SignedChangeset>,
    pub connected: bool,
    pub disk: Disk,
    pub vswitch: PlanState,
    pub balks: usize,
    /// Refuses a change that brings this port as not valid.
    pub dislikes: Option<PortId>,
    pub epoch: u64,
    pub plane_up: bool,
    pub agent: Agent,
    pub outputs: VecDeque<Output>,
    pub inputs: VecDeque<Input>,
    /// The newest revision that was in the data plane, and the digests of all plans that were.
    pub reached: Order,
    pub had: BTreeSet<Digest>,
    /// The newest that was acknowledged.
    pub acknowledged: Order,
    /// The oldest revision that the data plane's plan may be, in this life of it.
    pub in_plane: Order,
    pub wants_snapshot: bool,
    pub refusals: Vec<(u64, Refusal)>,
    pub answers: Vec<Result<String, String>>,
    pub reports: Vec<AgentReport>,
    pub messages: Vec<AgentMessage>,
    pub events: Vec<String>,
    pub closings: bool,
    pub interfaces: Interfaces,
}

/// Which port had which interface, and what has happened since by which it may be another's.
#[derive(Default)]
pub struct Interfaces {
    holders: BTreeMap<String, PortId>,
    attachments: Kept,
    let_go: BTreeSet<PortId>,
}

impl Interfaces {
    /// Something is about to be written.
    fn written(&mut self, record: &Record) {
        match record {
            Record::Changesets(changesets) => changesets.iter().for_each(|one| self.changed(one)),
            Record::Attachments(kept) => self.commanded(kept),
            Record::Plan(_) | Record::Applied(_) => {}
        }
    }

    /// Whose attachment was changed by hand may lose what it has, and so may who has what was attached.
    fn commanded(&mut self, kept: &Kept) {
        let (before, now) = (by_holder(&self.attachments), by_holder(kept));
        let differs = |entry: &(Holder, Attachment)| !(before.contains(entry) && now.contains(entry));
        for (holder, attachment) in before.iter().chain(&now).filter(|entry| differs(entry)) {
            let interface = interface_of(attachment);
            self.holders.retain(|name, port| {
                Some(name) != interface.as_ref() && Holder::Port(port.clone()) != *holder
            });
        }
        self.attachments = kept.clone();
    }

    /// Every port that a changeset changes may lose what it has; a snapshot may change every one.
    fn changed(&mut self, changeset: &Changeset) {
        let port = |change: &Change| match change {
            Change::Port(id, _) => Some(id.clone()),
            _ => None,
        };
        match changeset.snapshot {
            true => self.let_go.extend(self.holders.values().cloned()),
            false => self.let_go.extend(changeset.changes.iter().filter_map(port)),
        }
    }

    /// The data plane has this plan: no interface has gone from a port that still has its claim to it.
    fn applied(&mut self, plan: &HostPlan) {
        for (id, port) in &plan.ports {
            let Some(interface) = interface_of(&port.attachment) else {
                continue;
            };
            let before = self.holders.insert(interface.clone(), id.clone());
            let Some(before) = before.filter(|before| before != id) else {
                continue;
            };
            let may = self.let_go.contains(&before) || !plan.ports.contains_key(&before);
            assert!(may, "{interface} went from {before} to {id}, which had it still");
        }
        let has = |id: &PortId| interface_of(&plan.ports.get(id)?.attachment);
        let let_go = std::mem::take(&mut self.let_go);
        self.holders
            .retain(|interface, id| !let_go.contains(id) || has(id).as_ref() == Some(interface));
    }
}

/// Attachments without the ports that MACs have.
fn by_holder(kept: &Kept) -> Vec<(Holder, Attachment)> {
    let ports = kept
        .ports
        .iter()
        .map(|(id, attachment)| (Holder::Port(id.clone()), attachment));
    let macs = kept
        .macs
        .iter()
        .map(|(mac, by)| (Holder::Mac(*mac), &by.attachment));
    ports
        .chain(macs)
        .map(|(holder, attachment)| (holder, attachment.clone()))
        .collect()
}

fn interface_of(attachment: &Attachment) -> Option<String> {
    match attachment {
        Attachment::Tap { interface, .. } | Attachment::Packet { interface, .. } => Some(interface.clone()),
        Attachment::Dpdk { .. } | Attachment::Detached => None,
    }
}

fn identity() -> Identity {
    Identity {
        host: HOST.parse().expect("a legal id"),
        cluster: CLUSTER.to_owned(),
        instance: 7,
        software: "anet-agent test".to_owned(),
        machine: "test".to_owned(),
    }
}

pub fn detached(plan: &HostPlan) -> HostPlan {
    let mut plan = plan.clone();
    for port in plan.ports.values_mut() {
        port.attachment = Attachment::Detached;
    }
    plan
}

impl World {
    /// The controller has `plan` as revision 1 and nobody else has anything.
    pub fn new(plan: HostPlan) -> Self {
        let (agent, told, damaged) = Agent::restore(identity(), Restored::default());
        assert!(told.is_empty() && !damaged);
        Self {
            controller: Controller {
                incarnation: 1,
                states: BTreeMap::from([((1, 1), detached(&plan))]),
                steps: BTreeMap::new(),
                now: 1,
            },
            stream: Vec::new(),
            connected: false,
            disk: Disk::default(),
            vswitch: PlanState::default(),
            balks: 0,
            dislikes: None,
            epoch: 0,
            plane_up: false,
            agent,
            outputs: VecDeque::new(),
            inputs: VecDeque::new(),
            reached: (0, 0),
            had: BTreeSet::from([Digest::default()]),
            acknowledged: (0, 0),
            in_plane: (0, 0),
            wants_snapshot: false,
            refusals: Vec::new(),
            answers: Vec::new(),
            reports: Vec::new(),
            messages: Vec::new(),
            events: Vec::new(),
            closings: false,
            interfaces: Interfaces::default(),
        }
    }

    /// The controller's plan moves on by what the changes come to, and the changeset is on its way.
    pub fn publish(&mut self, changes: &[Change]) -> bool {
        let mut state = PlanState::new(
            self.controller.plan().clone(),
            self.controller.incarnation,
            self.controller.now,
        )
        .expect("a valid plan");
        let to = self.controller.now + 1;
        let step = |changes: &[Change], digest_after| Changeset {
            incarnation: self.controller.incarnation,
            from: self.controller.now,
            to,
            snapshot: false,
            changes: changes.to_vec(),
            digest_after,
        };
        if state.apply(&step(changes, None)).is_err() {
            return false;
        }
        let plan = detached(state.plan());
        let changes = diff(self.controller.plan(), &plan);
        let digest = PlanDigest::of(&plan).total().to_bytes();
        let changeset = step(&changes, Some(digest));
        let at = (self.controller.incarnation, to);
        self.controller.states.insert(at, plan);
        self.controller.steps.insert(at, changeset.clone());
        self.controller.now = to;
        self.transmit(changeset);
        true
    }

    /// The store came back from a backup: an older plan, under a higher incarnation.
    pub fn restore_store(&mut self, back: u64) {
        let revision = self.controller.now.saturating_sub(back).max(1);
        let plan = self
            .controller
            .states
            .range(..=(self.controller.incarnation, revision))
            .next_back();
        let plan = plan.expect("there is always one").1.clone();
        self.controller.incarnation += 1;
        self.controller.now = revision;
        let at = (self.controller.incarnation, revision);
        self.controller.states.insert(at, plan);
        let snapshot = self.controller.snapshot(at).expect("it was just put");
        self.transmit(snapshot);
    }

    pub fn transmit(&mut self, changeset: Changeset) {
        if self.connected {
            self.stream.push(SignedChangeset {
                host: HOST.parse().expect("a legal id"),
                changeset,
            });
        }
    }

    pub fn deliver(&mut self, at: usize) {
        let signed = self.stream.remove(at);
        self.inputs.push_back(Input::Said(Said::Changeset(Ok(signed))));
    }

    pub fn connect(&mut self) {
        self.disconnect();
        self.connected = true;
        self.inputs.push_back(Input::Connected);
        self.inputs.push_back(Input::Said(Said::Welcome {
            protocol: 1,
            software: "anet-controller test".to_owned(),
            cluster: CLUSTER.to_owned(),
            cursor: self.controller.cursor(),
            digest: PlanDigest::of(self.controller.plan()).total(),
        }));
    }

    pub fn disconnect(&mut self) {
        if self.connected {
            self.connected = false;
            self.stream.clear();
            let reason = "gone".to_owned();
            self.inputs.push_back(Input::Disconnected { reason });
        }
    }

    /// The data plane is there, perhaps a new one that has nothing.
    pub fn plane(&mut self, up: bool, anew: bool) {
        // What was asked gets no answer any more.
        self.inputs.retain(|input| !matches!(input, Input::Plane(_)));
        if anew {
            self.vswitch = PlanState::default();
            self.in_plane = (0, 0);
        }
        if self.plane_up {
            let reason = "connection lost".to_owned();
            self.inputs.push_back(Input::PlaneDown { reason });
        }
        self.plane_up = up;
        if up {
            self.epoch += 1;
            self.inputs.push_back(Input::PlaneUp { epoch: self.epoch });
        }
    }

    /// The process dies, and another begins with what the disk has.
    pub fn crash(&mut self) {
        self.outputs.clear();
        self.inputs.clear();
        let (agent, told, damaged) = Agent::restore(identity(), self.disk.restored.clone());
        assert!(told.is_empty() && !damaged, "{told:?}");
        self.agent = agent;
        self.connected = false;
        self.stream.clear();
        if self.plane_up {
            self.epoch += 1;
            self.inputs.push_back(Input::PlaneUp { epoch: self.epoch });
        }
    }

    pub fn attach(&mut self, port: &str, attachment: Attachment) {
        self.attach_holder(Holder::Port(port.parse().expect("a legal id")), attachment);
    }

    pub fn attach_mac(&mut self, mac: Mac, attachment: Attachment) {
        self.attach_holder(Holder::Mac(mac), attachment);
    }

    fn attach_holder(&mut self, holder: Holder, attachment: Attachment) {
        let request = match attachment {
            Attachment::Detached => LocalRequest::Detach(holder),
            attachment => LocalRequest::Attach(holder, attachment),
        };
        self.inputs.push_back(Input::Local(1, request));
    }

    pub fn tick(&mut self) {
        self.inputs.push_back(Input::Tick);
    }

    /// One output is carried out, or one input taken; false where there is nothing to do.
    pub fn step(&mut self) -> bool {
        if let Some(output) = self.outputs.pop_front() {
            self.carry_out(output);
            return true;
        }
        match self.inputs.pop_front() {
            Some(input) => {
                let outputs = self.agent.handle(input);
                self.outputs.extend(outputs);
                true
            }
            None => false,
        }
    }

    pub fn run(&mut self) {
        for _ in 0..10_000 {
            if !self.step() {
                return;
            }
        }
        panic!(
            "it does not come to rest: {:?}",
            self.events.iter().rev().take(5).collect::<Vec<_>>()
        );
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Persist(record) => {
                self.interfaces.written(&record);
                let outcome = self.disk.write(record);
                self.inputs.push_back(Input::Persisted(outcome));
            }
            Output::Ask { epoch, asked } => {
                if self.plane_up && epoch == self.epoch {
                    let answer = self.answer(asked);
                    self.inputs.push_back(Input::Plane(answer));
                }
            }
            Output::Send(message) => self.said(message),
            Output::Close { .. } => self.disconnect(),
            Output::Answer(_, answer) => self.answers.push(answer),
            Output::Event(text) => self.events.push(text),
        }
    }

    fn answer(&mut self, asked: Asked) -> PlaneAnswer {
        match asked {
            Asked::Ports => PlaneAnswer::Ports(Vec::new()),
            Asked::Trace { id, .. } => PlaneAnswer::Traced {
                id,
                answer: Err("not here".to_owned()),
            },
            Asked::Digest => PlaneAnswer::Digest {
                report: DigestReport::new(
                    self.vswitch.incarnation(),
                    self.vswitch.revision(),
                    self.vswitch.digest(),
                    self.vswitch.digest(),
                ),
                took: Duration::from_millis(1),
            },
            Asked::Apply(changeset) => PlaneAnswer::Applied(self.apply(&changeset)),
        }
    }

    fn refused(&self, refusal: Refusal) -> Response {
        Response::Refused {
            refusal,
            reason: "not now".to_owned(),
            incarnation: self.vswitch.incarnation(),
            revision: self.vswitch.revision(),
        }
    }

    fn apply(&mut self, changeset: &Changeset) -> Response {
        if self.balks > 0 {
            self.balks -= 1;
            return self.refused(Refusal::Unavailable);
        }
        let before = self.vswitch.clone();
        if let Err(error) = self.vswitch.apply(changeset) {
            return Response::refused(&before, &error);
        }
        let disliked =
            |id| self.vswitch.plan().ports.contains_key(id) && !before.plan().ports.contains_key(id);
        if self.dislikes.as_ref().is_some_and(disliked) {
            self.vswitch = before;
            return self.refused(Refusal::Invalid);
        }
        self.interfaces.applied(self.vswitch.plan());
        self.check_order();
        Response::applied(&self.vswitch)
    }

    /// Never an older plan over a newer one, and never one that the controller has not had.
    fn check_order(&mut self) {
        let plain = PlanDigest::of(&detached(self.vswitch.plan())).total();
        let Some((first, last)) = self.controller.revisions_of(plain) else {
            // Something was closed that could not be written; or there is no controller's plan yet.
            assert!(
                self.closings || plain == Digest::default(),
                "a plan that nobody made"
            );
            return;
        };
        assert!(last >= self.in_plane, "{last:?} over {:?}", self.in_plane);
        assert!(
            last >= self.acknowledged,
            "{last:?} after {:?} was acknowledged",
            self.acknowledged
        );
        self.in_plane = self.in_plane.max(first);
        self.reached = self.reached.max(last);
        self.had.insert(plain);
    }

    /// A revision counts as reached where the data plane had it, a newer one, or its very plan under another number.
    fn was_in_plane(&self, cursor: Cursor) -> bool {
        let digest = |plan| PlanDigest::of(plan).total();
        let same = self.controller.states.get(&order(cursor)).map(digest);
        order(cursor) <= self.reached || same.is_some_and(|digest| self.had.contains(&digest))
    }

    fn said(&mut self, message: AgentMessage) {
        match &message {
            AgentMessage::Acknowledged { cursor, digest } => {
                assert!(self.was_in_plane(*cursor), "{cursor:?} is not in the data plane");
                let plan = &self.controller.states[&order(*cursor)];
                assert_eq!(PlanDigest::of(plan).total(), *digest);
                self.acknowledged = self.acknowledged.max(order(*cursor));
            }
            AgentMessage::Hello(hello) => {
                assert!(
                    self.was_in_plane(hello.cursor),
                    "{:?} is not in the data plane",
                    hello.cursor
                );
                self.wants_snapshot |= hello.cursor != self.controller.cursor();
            }
            AgentMessage::Refused {
                changeset_to,
                refusal,
                ..
            } => {
                self.refusals.push((*changeset_to, *refusal));
                self.wants_snapshot |= *refusal == Refusal::SnapshotNeeded;
            }
            AgentMessage::Report(report) => self.reports.push(report.clone()),
            AgentMessage::TraceAnswer { .. } => {}
        }
        self.messages.push(message);
    }

    /// No more faults: everything comes through, and what has to be there is there.
    pub fn quiet(&mut self) {
        self.disk.fails = false;
        self.balks = 0;
        self.dislikes = None;
        self.plane(true, false);
        self.connect();
        for _ in 0..8 {
            self.run();
            while !self.stream.is_empty() {
                self.deliver(0);
                self.run();
            }
            if std::mem::take(&mut self.wants_snapshot) {
                let at = (self.controller.incarnation, self.controller.now);
                let snapshot = self.controller.snapshot(at).expect("the newest plan");
                self.transmit(snapshot);
            }
            self.tick();
        }
        self.run();
        assert!(self.agent.is_idle(), "{:?}", self.agent.status());
    }

    /// What must hold after [`World::quiet`].
    pub fn check_quiet(&mut self) {
        let mut expected = self.controller.plan().clone();
        for (id, port) in &mut expected.ports {
            port.attachment = self.attachment_on_disk(id, port.mac);
        }
        self.check_macs();
        assert_eq!(
            self.vswitch.plan(),
            &expected,
            "the data plane has the controller's plan"
        );
        let cursor = self.controller.cursor();
        assert_eq!(self.agent.applied(), cursor);
        let report = self.reports.last().expect("a report each second");
        assert_eq!(report.cursor, cursor);
        assert_eq!(report.digest, PlanDigest::of(self.controller.plan()).total());
        assert_eq!(report.not_durable, None);
        // And the disk leads to the same.
        let (agent, told, _) = Agent::restore(identity(), self.disk.restored.clone());
        assert!(told.is_empty(), "{told:?}");
        assert_eq!(agent.desired().plan(), self.controller.plan());
        assert_eq!(agent.merged().plan(), &expected);
        let record = AppliedRecord {
            cursor,
            digest: PlanDigest::of(self.controller.plan()).total(),
            shown: PlanDigest::of(&expected).total(),
        };
        assert_eq!(self.disk.restored.applied, Some(record));
    }

    fn attachment_on_disk(&self, id: &PortId, mac: Mac) -> Attachment {
        let kept = &self.disk.restored.attachments;
        let by_mac = kept.macs.get(&mac).filter(|by| by.port.as_ref() == Some(id));
        let found = kept.ports.get(id).or(by_mac.map(|by| &by.attachment));
        found.cloned().unwrap_or(Attachment::Detached)
    }

    /// Where there are ports that may have the attachment of a MAC, one of them has it; else it waits, and is shown so.
    fn check_macs(&self) {
        let kept = &self.disk.restored.attachments;
        let ports = &self.controller.plan().ports;
        let status = self.agent.status();
        for (mac, by) in &kept.macs {
            let may = |id: &&PortId| ports[*id].mac == *mac && !kept.ports.contains_key(*id);
            let able: Vec<&PortId> = ports.keys().filter(may).collect();
            match &by.port {
                Some(id) => assert!(able.contains(&id), "{id} has what is of {mac}, and {able:?} may"),
                None => assert!(able.is_empty(), "{mac} waits for {able:?}"),
            }
            let mut waiting = status.waiting.iter();
            let waits = waiting.any(|waiting| waiting.holder == Holder::Mac(*mac));
            assert_eq!(waits, by.port.is_none(), "{:?}", status.waiting);
        }
    }
}
