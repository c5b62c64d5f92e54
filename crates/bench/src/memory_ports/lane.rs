//! A worker with its buffers and egress, between frames from memory and nowhere.

use anet_datapath::burst::{Surroundings, Worker, WorkerSettings};
use anet_datapath::egress::Egress;
use anet_datapath::interface::Interface;
use anet_datapath::tables::Tables;
use anet_memory::buffer::{Buffer, Pool, PoolSettings};
use anet_memory::cpu::time_stamp;
use left_right::ReadHandle;

use super::fabric::{Fabric, SEED, Shared};
use super::traffic::{BURST, Connection, Frame, Replay};
use crate::error::{BenchError, require};

/// See the module's page. Belongs to the thread that made it.
pub struct Lane<'f> {
    /// The worker.
    pub worker: Worker,
    shared: Shared<'f>,
    reader: ReadHandle<Tables>,
    pool: Pool,
    egress: Egress,
    burst: Vec<Buffer>,
    changes: u64,
}

/// What became of packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Packets that came in.
    pub packets: u64,
    /// Packets that left.
    pub sent: u64,
    /// Cycles that the worker took, by the time stamp counter.
    pub cycles: u64,
}

impl std::ops::AddAssign for Carried {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.sent += other.sent;
        self.cycles += other.cycles;
    }
}

impl<'f> Lane<'f> {
    /// A worker of a number with a cache for `flows` flows.
    pub fn new(
        number: u16,
        flows: usize,
        shared: Shared<'f>,
        reader: ReadHandle<Tables>,
    ) -> Result<Self, BenchError> {
        let settings = PoolSettings {
            buffers: 4 * BURST as u32,
            slabs: 0,
            ..PoolSettings::default()
        };
        Ok(Self {
            worker: Worker::new(WorkerSettings {
                number,
                flows,
                seed: SEED ^ u64::from(number),
            }),
            shared,
            reader,
            pool: Pool::new(settings).map_err(|e| BenchError::Missing(e.to_string()))?,
            egress: Egress::default(),
            burst: Vec::with_capacity(BURST),
            changes: 0,
        })
    }

    /// A lane of this thread for a fabric that does not change.
    pub fn of(fabric: &'f Fabric, flows: usize) -> Result<Self, BenchError> {
        Self::new(0, flows, fabric.shared(), fabric.reader())
    }

    /// Which tables the last burst was carried by: their count of changes.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Carries one burst. `None` where a buffer or the tables are not there.
    #[inline]
    pub fn carry(&mut self, interface: Interface, frames: &[Frame]) -> Option<Carried> {
        self.carry_by(interface, frames, Worker::process)
    }

    /// As [`Lane::carry`], for callgrind: the worker's part is a function of its own, [`COUNTED`].
    pub fn carry_counted(&mut self, interface: Interface, frames: &[Frame]) -> Option<Carried> {
        self.carry_by(interface, frames, counted_part)
    }

    #[inline(always)]
    fn carry_by(
        &mut self,
        interface: Interface,
        frames: &[Frame],
        process: impl FnOnce(&mut Worker, &mut Surroundings<'_>, Interface, &mut Vec<Buffer>),
    ) -> Option<Carried> {
        for frame in frames {
            self.burst.push(self.pool.copy_from(frame.bytes())?);
        }
        let tables = self.reader.enter()?;
        self.changes = tables.witnesses().changes();
        let mut with = Surroundings {
            environment: self.shared.environment(&tables),
            pool: &self.pool,
            egress: &mut self.egress,
        };
        let before = time_stamp();
        process(&mut self.worker, &mut with, interface, &mut self.burst);
        let cycles = time_stamp().wrapping_sub(before);
        let mut sent = 0;
        self.egress.drain(|_, list| {
            sent += list.len() as u64;
            list.clear();
        });
        Some(Carried {
            packets: frames.len() as u64,
            sent,
            cycles,
        })
    }

    /// Plays a replay once.
    pub fn play(&mut self, replay: &Replay) -> Result<Carried, BenchError> {
        let mut total = Carried::default();
        for (interface, frames) in replay.bursts() {
            total += self
                .carry(interface, frames)
                .ok_or_else(|| BenchError::Void("the pool of buffers ran dry".to_owned()))?;
        }
        Ok(total)
    }

    /// Opens connections: each packet of their openings, one by one.
    pub fn open(&mut self, fabric: &Fabric, connections: &[Connection]) -> Result<(), BenchError> {
        for connection in connections {
            for (sender, frame) in connection.opening() {
                let carried = self.carry(fabric.interface(sender), &[frame]);
                require(carried.is_some_and(|c| c.sent == 1), || {
                    format!("{connection:?} was not opened")
                })?;
            }
        }
        Ok(())
    }
}

/// How callgrind is told of the function that it shall look into.
pub const COUNTED: &str = "*lane*counted_part*";

#[inline(never)]
fn counted_part(
    worker: &mut Worker,
    with: &mut Surroundings<'_>,
    interface: Interface,
    burst: &mut Vec<Buffer>,
) {
    worker.process(with, interface, burst);
    // Not a tail call: the end of this function is where counting stops.
    std::hint::black_box(burst);
}
