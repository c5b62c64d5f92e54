//! The fabric: controllers, hosts, the store and the network between them, one step at a time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use anet_agent::core::Input;
use anet_controller::core::fabric::Effect;
use anet_controller::core::mirror::{Cluster, counter_value};
use anet_controller::core::{keys, record};
use anet_store::clock::{Clock, ManualClock};
use anet_store::model::{ModelBackup, ModelClient, ModelStore};
use anet_store::{Operation, Store, Transaction};
use anet_wire::codec::{
    decode_agent_message, decode_controller_message, encode_agent_message, encode_controller_message,
    encode_signed_changeset,
};
use anet_wire::session::{ControllerMessage, SignedChangeset};

use crate::chance::Chance;
use crate::controller::Controller;
use crate::conversation::Conversation;
use crate::defect::Defect;
use crate::host::{CLUSTER, Host, Wants};
use crate::log::Log;
use crate::network::{Network, Parcel, Side, StreamId};
use crate::serve::{Inbox, serve};
use crate::store_trouble::{StoreTrouble, Switch};
use crate::truth::{Truth, now};
use crate::users::Wish;
use crate::violation::{Violation, violation};

/// Backups of the store that are kept.
const BACKUPS: usize = 4;

/// A controller's place, whether one lives there or not.
pub struct Seat {
    /// The controller.
    pub controller: Option<Controller>,
    client: ModelClient,
    ended: Rc<RefCell<Vec<StreamId>>>,
    inboxes: BTreeMap<StreamId, Inbox>,
}

/// An agent's way to its controller.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    stream: Option<(StreamId, usize)>,
    /// When to try again.
    at_ms: u64,
}

/// See the module's page.
pub struct World {
    clock: ManualClock,
    store: ModelStore,
    /// Chance of everything that is not the network's or a controller's.
    pub chance: Chance,
    /// The controllers.
    pub seats: Vec<Seat>,
    /// The hosts.
    pub hosts: Vec<Host>,
    ways: Vec<Way>,
    /// What is between them.
    pub network: Network,
    /// What everything is held against.
    pub truth: Truth,
    streams: StreamId,
    defect: Defect,
    next_tick_ms: u64,
    /// Whether the store misbehaves.
    troubled: Switch,
    backups: Vec<ModelBackup>,
    /// What happened last.
    pub log: Log,
    /// How often it was restored from one.
    pub restored: u64,
    /// Objects that somebody was told are there.
    promised: Rc<RefCell<Vec<(keys::Noun, String)>>>,
    /// Objects that a reading did not find, though they were there when it began.
    unseen: Rc<RefCell<Vec<(keys::Noun, String)>>>,
    /// A number for everything that happened, the same for the same seed.
    pub fingerprint: u64,
}

impl World {
    /// A fabric of so many controllers and hosts that have joined.
    pub fn new(
        seed: u64,
        controllers: usize,
        hosts: usize,
        log: &Log,
        defect: Defect,
    ) -> Result<Self, Violation> {
        let clock = ManualClock::default();
        let store = ModelStore::new(clock.clone());
        let mut chance = Chance::new(seed);
        found(&store)?;
        let mut world = Self {
            seats: Vec::new(),
            hosts: Vec::new(),
            ways: vec![Way::default(); hosts],
            network: Network::new(chance.fork()),
            truth: Truth::new(store.client()),
            streams: 0,
            defect,
            next_tick_ms: 0,
            troubled: Switch::default(),
            backups: Vec::new(),
            log: log.clone(),
            restored: 0,
            promised: Rc::default(),
            unseen: Rc::default(),
            fingerprint: seed,
            clock,
            store,
            chance,
        };
        world.truth.follow()?;
        for _ in 0..controllers {
            let client = world.client();
            world.seats.push(Seat {
                controller: None,
                client,
                ended: Rc::default(),
                inboxes: BTreeMap::new(),
            });
        }
        (0..controllers).for_each(|seat| world.start_controller(seat));
        for number in 0..hosts {
            let (id, chance) = (id(&format!("host{number}")), world.chance.fork());
            world.hosts.push(Host::new(id, chance, log.clone(), defect)?);
        }
        world.settle_in(hosts)?;
        Ok(world)
    }

    fn client(&mut self) -> ModelClient {
        let trouble = StoreTrouble::new(self.chance.number(), self.troubled.clone());
        self.store.client_with(trouble)
    }

    /// Hosts and two projects are written before anything goes wrong.
    fn settle_in(&mut self, hosts: usize) -> Result<(), Violation> {
        self.run_for(200)?;
        for number in 0..hosts {
            self.wish(0, Wish::Join(format!("host{number}"), tunnel_address(number)));
            self.run_for(50)?;
        }
        for name in ["red", "blue"] {
            let body = serde_json::json!({"project": {"name": name}});
            self.wish(0, Wish::Create(anet_api::Resource::Project, body));
            self.run_for(50)?;
        }
        Ok(())
    }

    /// Milliseconds since the beginning.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.now().as_millis()).unwrap_or(u64::MAX)
    }

    /// The store misbehaves from now on, or no more.
    pub fn trouble_store(&mut self, troubled: bool) {
        self.troubled.set(troubled);
    }

    /// A copy of the store is put aside.
    pub fn back_up_store(&mut self) {
        self.backups.push(self.store.backup());
        if self.backups.len() > BACKUPS {
            let oldest = self.chance.below(BACKUPS);
            self.backups.remove(oldest);
        }
    }

    /// The store is put back to a copy of it, as an operator does that: with all controllers stopped.
    pub fn restore_store(&mut self) -> Result<(), Violation> {
        if self.backups.is_empty() {
            return Ok(());
        }
        (0..self.seats.len()).for_each(|seat| self.kill_controller(seat));
        self.truth.follow()?;
        let pick = self.chance.below(self.backups.len());
        self.store.restore(&self.backups[pick]);
        self.restored += 1;
        self.promised.borrow_mut().clear();
        self.unseen.borrow_mut().clear();
        self.truth.restored()
    }

    /// A controller begins, unless one lives there.
    pub fn start_controller(&mut self, seat: usize) {
        if self.seats[seat].controller.is_some() {
            return;
        }
        let client = self.client();
        let chance = self.chance.fork();
        let controller = Controller::start(client.clone(), self.clock.clone(), chance, self.defect);
        self.seats[seat].client = client;
        self.seats[seat].controller = Some(controller);
    }

    /// A controller dies, whatever it was about to do.
    pub fn kill_controller(&mut self, seat: usize) {
        self.seats[seat].controller = None;
        self.seats[seat].inboxes.clear();
        self.seats[seat].ended = Rc::default();
        for way in &self.ways {
            if let Some((stream, _)) = way.stream.filter(|(_, to)| *to == seat) {
                self.network
                    .close(self.clock.now().as_millis() as u64, stream, Side::Agent);
            }
        }
    }

    /// Cuts a controller's way to the store, or joins it again.
    pub fn cut_store(&self, seat: usize, cut: bool) {
        self.seats[seat].client.set_cut(cut);
    }

    /// An agent dies.
    pub fn kill_agent(&mut self, host: usize) {
        self.hosts[host].kill_agent();
        self.hang_up(host);
    }

    /// An agent dies, and its disk has lost what it synced last.
    pub fn lose_last(&mut self, host: usize) {
        self.hosts[host].lose_last();
        self.hang_up(host);
    }

    /// A host's machine loses its power.
    pub fn lose_power(&mut self, host: usize) {
        self.hosts[host].lose_power();
        self.hang_up(host);
    }

    /// Cuts a host off from a controller.
    pub fn cut(&mut self, host: usize, seat: usize) {
        self.network.cut(host, seat);
        if self.ways[host].stream.is_some_and(|(_, to)| to == seat) {
            self.hang_up(host);
            self.hosts[host].tell(Input::Disconnected {
                reason: "the way is cut".to_owned(),
            });
        }
    }

    fn hang_up(&mut self, host: usize) {
        if let Some((stream, _)) = self.ways[host].stream.take() {
            self.network.close(self.now_ms(), stream, Side::Controller);
        }
        self.ways[host].at_ms = self.now_ms() + 100 + self.chance.below(900) as u64;
    }

    /// A user asks a controller for something.
    pub fn wish(&mut self, seat: usize, wish: Wish) {
        let Some(controller) = &mut self.seats[seat].controller else {
            return;
        };
        let promised = self.promised.clone();
        let asked = wish.clone();
        controller.request(
            move |fabric, draw| asked.propose(fabric, draw),
            move |answer| {
                if let Ok(answer) = answer {
                    promised.borrow_mut().extend(wish.made(&answer));
                }
            },
        );
    }

    /// Somebody reads, through any controller: what was there before must be seen.
    pub fn read(&mut self) {
        let seat = self.chance.below(self.seats.len());
        let known = self.truth.objects();
        if let Some(controller) = &mut self.seats[seat].controller {
            let (driver, unseen) = (controller.driver.clone(), self.unseen.clone());
            controller.spawn(async move {
                if driver.catch_up().await.is_ok() {
                    let fabric = driver.state();
                    let missing = known
                        .into_iter()
                        .filter(|(noun, id)| fabric.mirror().revision_of(*noun, id) == 0);
                    unseen.borrow_mut().extend(missing);
                }
            });
        }
    }

    /// A wish by chance, about what the controller knows.
    pub fn any_wish(&mut self) {
        let seat = self.chance.below(self.seats.len());
        let wish = self.seats[seat].controller.as_ref().and_then(|controller| {
            let fabric = controller.driver.state();
            Wish::draw(&mut self.chance, fabric.mirror().intent())
        });
        if let Some(wish) = wish {
            self.wish(seat, wish);
        }
    }

    /// A wish that has to do with what two guests are speaking.
    pub fn wish_against(&mut self, of: &Conversation) {
        let seat = self.chance.below(self.seats.len());
        if let Some(wish) = Wish::against(&mut self.chance, self.truth.intent(), of) {
            self.wish(seat, wish);
        }
    }

    /// So many milliseconds go by.
    pub fn run_for(&mut self, ms: u64) -> Result<(), Violation> {
        let until = self.now_ms() + ms;
        while self.now_ms() < until {
            self.step()?;
            let pace = 1 + self.chance.below(12) as u64;
            self.clock.advance(Duration::from_millis(pace));
        }
        Ok(())
    }

    /// Everything that can go on goes on by a little.
    pub fn step(&mut self) -> Result<(), Violation> {
        self.deliver()?;
        for seat in 0..self.seats.len() {
            if let Some(controller) = &mut self.seats[seat].controller {
                controller.poll();
            }
            self.truth.follow()?;
            self.carry_out(seat);
            self.end_streams(seat);
        }
        self.keep_promises()?;
        let ticks = self.now_ms() >= self.next_tick_ms;
        if ticks {
            self.next_tick_ms = self.now_ms() + 1_000;
        }
        for host in 0..self.hosts.len() {
            if ticks {
                self.hosts[host].tell(Input::Tick);
            }
            self.connect(host);
            self.let_host_go_on(host)?;
        }
        Ok(())
    }

    fn let_host_go_on(&mut self, host: usize) -> Result<(), Violation> {
        let (now_ms, mut wants) = (self.now_ms(), Vec::new());
        for _ in 0..1 + self.chance.below(8) {
            if !self.hosts[host].step(now_ms, &self.truth, &mut wants)? {
                break;
            }
        }
        for want in wants {
            match want {
                Wants::Send(message) => {
                    if let Some((stream, _)) = self.ways[host].stream {
                        let bytes = encode_agent_message(&message);
                        self.note(&bytes);
                        self.network.send(self.now_ms(), stream, Side::Controller, bytes);
                    }
                }
                Wants::Close(_) => {
                    self.hang_up(host);
                    let reason = "closed".to_owned();
                    self.hosts[host].tell(Input::Disconnected { reason });
                }
            }
        }
        Ok(())
    }

    /// An agent without a stream finds a controller that lives and is reached.
    fn connect(&mut self, host: usize) {
        let now_ms = self.now_ms();
        let way = self.ways[host];
        if way.stream.is_some() || now_ms < way.at_ms || self.hosts[host].agent.is_none() {
            return;
        }
        let seat = self.chance.below(self.seats.len());
        self.ways[host].at_ms = now_ms + 100 + self.chance.below(400) as u64;
        if self.seats[seat].controller.is_none() || !self.network.reach(host, seat) {
            return;
        }
        self.streams += 1;
        let stream = self.streams;
        self.ways[host].stream = Some((stream, seat));
        self.hosts[host].tell(Input::Connected);
        let inbox = Inbox::default();
        self.seats[seat].inboxes.insert(stream, inbox.clone());
        let ended = self.seats[seat].ended.clone();
        let certified = self.hosts[host].id.to_string();
        if let Some(controller) = &mut self.seats[seat].controller {
            let driver = controller.driver.clone();
            controller.spawn(serve(driver, stream, certified, inbox, ended));
        }
    }

    /// The host with a tunnel address.
    pub fn host_at(&self, address: IpAddr) -> Option<usize> {
        (0..self.hosts.len()).find(|host| tunnel_address(*host) == address)
    }

    fn deliver(&mut self) -> Result<(), Violation> {
        while let Some((stream, side, parcel)) = self.network.arrived(self.now_ms()) {
            match side {
                Side::Controller => self.deliver_to_controller(stream, parcel)?,
                Side::Agent => self.deliver_to_agent(stream, parcel)?,
            }
        }
        Ok(())
    }

    fn deliver_to_controller(&mut self, stream: StreamId, parcel: Parcel) -> Result<(), Violation> {
        let inboxes = self.seats.iter().find_map(|seat| seat.inboxes.get(&stream));
        let Some(inbox) = inboxes else {
            return Ok(());
        };
        let message = match parcel {
            Parcel::Closed => None,
            Parcel::Message(bytes) => {
                Some(decode_agent_message(&bytes).map_err(|error| violation(error.to_string()))?)
            }
        };
        inbox.borrow_mut().push_back(message);
        Ok(())
    }

    fn deliver_to_agent(&mut self, stream: StreamId, parcel: Parcel) -> Result<(), Violation> {
        let found = self
            .ways
            .iter()
            .position(|way| way.stream.is_some_and(|(of, _)| of == stream));
        let Some(host) = found else {
            return Ok(());
        };
        match parcel {
            Parcel::Closed => {
                self.hang_up(host);
                let reason = "the controller is gone".to_owned();
                self.hosts[host].tell(Input::Disconnected { reason });
                Ok(())
            }
            Parcel::Message(bytes) => {
                let message =
                    decode_controller_message(&bytes).map_err(|error| violation(error.to_string()))?;
                self.hosts[host].said(message)
            }
        }
    }

    /// What a controller's core wants done.
    fn carry_out(&mut self, seat: usize) {
        loop {
            let Some(controller) = &mut self.seats[seat].controller else {
                return;
            };
            let Some(effect) = controller.next_effect() else {
                return;
            };
            match effect {
                Effect::Send(stream, message) => self.send(stream, &message),
                Effect::Changeset(stream, host, changeset) => {
                    let payload = encode_signed_changeset(&SignedChangeset { host, changeset });
                    self.send(stream, &ControllerMessage::Changeset(payload));
                }
                Effect::Close(stream) => self.network.close(self.now_ms(), stream, Side::Agent),
                Effect::Mint { above } => controller.begin_anew(above),
                Effect::Traced { .. } => {}
            }
        }
    }

    fn send(&mut self, stream: StreamId, message: &ControllerMessage) {
        let bytes = encode_controller_message(message);
        self.note(&bytes);
        self.network.send(self.now_ms(), stream, Side::Agent, bytes);
    }

    fn end_streams(&mut self, seat: usize) {
        let ended = std::mem::take(&mut *self.seats[seat].ended.borrow_mut());
        for stream in ended {
            self.seats[seat].inboxes.remove(&stream);
            self.network.close(self.now_ms(), stream, Side::Agent);
        }
    }

    /// What somebody was told is there has been there.
    fn keep_promises(&self) -> Result<(), Violation> {
        for (noun, id) in self.promised.borrow_mut().drain(..) {
            if !self.truth.has_seen(noun, &id) {
                return Err(violation(format!(
                    "{noun} {id} was promised and is not in the store"
                )));
            }
        }
        Ok(())
    }

    fn note(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fingerprint =
                (self.fingerprint ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
}

fn tunnel_address(host: usize) -> IpAddr {
    let last = u8::try_from(host + 1).unwrap_or(u8::MAX);
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

/// The cluster's own record, as founding it writes it.
fn found(store: &ModelStore) -> Result<(), Violation> {
    let cluster = Cluster {
        cluster: CLUSTER.to_owned(),
        incarnation: 1,
    };
    let value = record::encode(&cluster).map_err(|error| violation(error.to_string()))?;
    let transaction = Transaction::new()
        .then(Operation::put(keys::CLUSTER, value))
        .then(Operation::put(keys::COUNTER, counter_value(0)));
    match now(store.client().transact(transaction)) {
        Some(Ok(_)) => Ok(()),
        _ => Err(violation("the store does not take the cluster's record")),
    }
}

fn id<N>(text: &str) -> anet_model::id::Id<N> {
    anet_model::id::Id::new(text).expect("a legal id")
}
