//! A host's data plane: the vswitch's own control core, real tables and a real worker, without devices.
//!
//! Beside it stands the slow reference of what a packet's fate is under the plan that it has; each packet is judged by both.

use std::net::IpAddr;

use anet_datapath::burst::{NewConnections, Surroundings, Worker, WorkerSettings};
use anet_datapath::connections::{Config, Connections, words_for};
use anet_datapath::egress::Egress;
use anet_datapath::interface::Interface;
use anet_datapath::pipeline::Environment;
use anet_datapath::tables::{TableOp, Tables};
use anet_datapath::testing::reference::{Expected, Packet, Reference, Source};
use anet_memory::pool::{Pool, PoolSettings};
use anet_memory::words::Words;
use anet_model::changeset::Changeset;
use anet_model::host_plan::PortId;
use anet_packet::addr::{Mac, Vni};
use anet_packet::testing::FrameBuilder;
use anet_vswitch::core::control::Control;
use anet_wire::control::Response;
use anet_wire::control::report::DigestReport;

use crate::defect::Defect;
use crate::violation::{Violation, violation};

/// Hash seed of tables and caches: any.
const SEED: u64 = 7;
/// More than there are in a run, so that none has to go for another.
const CONNECTIONS: u32 = 16_384;
/// What one packet takes, in nanoseconds of the worker's clock: so much that no budget is spent, and so little that nothing
/// grows old.
const STEP_NS: u64 = 20_000;

/// Where a frame went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// To a guest.
    Port(PortId, Vec<u8>),
    /// Through the tunnel: endpoint, segment, inner frame.
    Tunnel(IpAddr, Vni, Vec<u8>),
}

/// See the module's page.
pub struct DataPlane {
    control: Control,
    tables: Tables,
    connections: Connections,
    new_connections: NewConnections,
    worker: Worker,
    pool: Pool,
    egress: Egress,
    now_ns: u64,
    reference: Reference,
    defect: Defect,
}

impl DataPlane {
    /// One with nothing in it, as after a start.
    pub fn new(defect: Defect) -> Self {
        let words = Words::anonymous(words_for(CONNECTIONS)).expect("a few pages");
        let config = Config {
            shards: 1,
            seed: SEED,
            now: 1,
        };
        let pool = PoolSettings {
            buffers: 64,
            slabs: 8,
            ..PoolSettings::default()
        };
        Self {
            control: Control::new(),
            tables: Tables::new(SEED),
            connections: Connections::open(words, config)
                .expect("room for a connection table")
                .0,
            new_connections: NewConnections::new(SEED),
            worker: Worker::new(WorkerSettings {
                number: 0,
                flows: 256,
                seed: SEED,
            }),
            pool: Pool::new(pool).expect("a few pages"),
            egress: Egress::default(),
            now_ns: 1_000_000_000,
            reference: Reference::default(),
            defect,
        }
    }

    /// What it has.
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// Applies a changeset, whole or not at all; answers as the vswitch does.
    pub fn apply(&mut self, changeset: &Changeset) -> Response {
        match self.control.apply(changeset) {
            Ok(operations) => {
                let skipped = |operation: &&TableOp| {
                    self.defect == Defect::StaleFlow && matches!(operation, TableOp::BumpRule(_))
                };
                let performed = operations.iter().filter(|operation| !skipped(operation));
                performed.for_each(|operation| self.tables.perform(operation));
                Response::Applied {
                    revision: self.control.state().revision(),
                    digest: self.control.state().digest().total(),
                }
            }
            Err(refused) => *refused,
        }
    }

    /// The digest as kept and as read back.
    pub fn digest(&self) -> DigestReport {
        self.control.digest_report(&self.control.audit(&self.tables))
    }

    /// A packet out of a guest's port: where it goes. An error where that is not as the reference has it.
    pub fn from_guest(
        &mut self,
        port: &PortId,
        packet: &Packet,
        frame: &[u8],
    ) -> Result<Option<Sent>, Violation> {
        let Some(index) = self.control.builder().port_index(port) else {
            return Ok(None);
        };
        let sent = self.run(Interface::port(index), frame);
        self.judged(&Source::Port(port.clone()), packet, frame, sent)
    }

    /// A packet out of the tunnel, from an endpoint to this host's own.
    pub fn from_tunnel(
        &mut self,
        (source, local): (IpAddr, IpAddr),
        vni: Vni,
        packet: &Packet,
        frame: &[u8],
    ) -> Result<Option<Sent>, Violation> {
        let macs = (Mac([2, 9, 9, 9, 9, 1]), Mac([2, 9, 9, 9, 9, 2]));
        let outer = FrameBuilder::udp(macs.0, macs.1, source, local, (50_000, 4789)).vxlan(vni, frame);
        let sent = self.run(Interface::UPLINK, &outer.build());
        self.judged(&Source::Tunnel(source, vni), packet, frame, sent)
    }

    fn judged(
        &mut self,
        source: &Source,
        packet: &Packet,
        frame: &[u8],
        mut sent: Vec<Sent>,
    ) -> Result<Option<Sent>, Violation> {
        let expected = self.reference.judge(self.control.plan(), source, packet);
        let agrees = match (&expected, sent.as_slice()) {
            (Expected::Drop(_), []) => true,
            (Expected::Deliver(port), [Sent::Port(to, bytes)]) => to == port && bytes == frame,
            (Expected::Encapsulate(endpoint, vni), [Sent::Tunnel(to, segment, bytes)]) => {
                (to, segment) == (endpoint, vni) && bytes == frame
            }
            _ => false,
        };
        match agrees {
            true => Ok(sent.pop()),
            false => Err(violation(format!(
                "{packet:?} from {source:?} is {expected:?} under the plan that the data plane has, and was sent to {sent:?}"
            ))),
        }
    }

    fn run(&mut self, interface: Interface, bytes: &[u8]) -> Vec<Sent> {
        let mut buffer = self.pool.copy_from(bytes).expect("a buffer for the frame");
        buffer.meta.ingress = interface.get();
        let mut with = Surroundings {
            environment: Environment {
                tables: &self.tables,
                connections: &self.connections,
                new_connections: &self.new_connections,
                now: self.now_ns,
                loose_pickup: false,
            },
            pool: &self.pool,
            egress: &mut self.egress,
        };
        self.worker.process(&mut with, interface, &mut vec![buffer]);
        self.now_ns += STEP_NS;
        self.collect()
    }

    fn collect(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        let builder = self.control.builder();
        self.egress.drain(|interface, list| {
            for buffer in list.drain(..) {
                let bytes = buffer.to_vec();
                sent.extend(match interface {
                    Interface::UPLINK => unwrap(&bytes),
                    port => builder
                        .port_at(port.get())
                        .map(|port| Sent::Port(port.clone(), bytes)),
                });
            }
        });
        sent
    }
}

/// The inner frame, and where the outer one goes.
fn unwrap(bytes: &[u8]) -> Option<Sent> {
    let (end, endpoint): (usize, IpAddr) = match bytes.get(12..14)? {
        [0x08, 0x00] => (50, <[u8; 4]>::try_from(bytes.get(30..34)?).ok()?.into()),
        _ => (70, <[u8; 16]>::try_from(bytes.get(38..54)?).ok()?.into()),
    };
    let number = bytes.get(end - 4..end - 1)?;
    let vni = u32::from_be_bytes([0, number[0], number[1], number[2]]);
    Some(Sent::Tunnel(
        endpoint,
        Vni::new(vni).ok()?,
        bytes.get(end..)?.to_vec(),
    ))
}
