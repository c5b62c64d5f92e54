//! A port's own pool of mbufs, on the NUMA node of its device.

use std::ffi::{CString, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anet_memory::buffer::{Buffer, HEADROOM};

use super::DpdkError;
use super::environment::Environment;
use super::port::Role;
use super::shim::Packet;

/// Bytes of a buffer's memory at least: what DPDK's drivers take as a whole frame, with the headroom.
const DATA_ROOM_MIN: usize = 2048 + HEADROOM;
/// The most that an mbuf's 16-bit fields can say, rounded down to a cache line.
const DATA_ROOM_MAX: usize = 65_472;

/// Pools of ports that are gone. Some of their buffers may still be under way, and DPDK cannot say for sure when the last one is
/// back: a pool is never freed, but the next port of the same shape gets it.
static RETIRED: Mutex<Vec<Pool>> = Mutex::new(Vec::new());
/// Pools have names in DPDK, and no two the same.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// See the module's page.
#[derive(Debug)]
pub(super) struct Pool {
    environment: &'static Environment,
    pool: *mut c_void,
    shape: Shape,
}

/// What a port wants of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    buffers: u32,
    room: u16,
    numa_node: i32,
}

// SAFETY: a mempool may be used by any number of threads at once.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// `buffers` buffers, each for a whole frame of `frame` bytes where that can be said.
    pub fn new(
        environment: &'static Environment,
        buffers: u32,
        frame: usize,
        numa_node: i32,
    ) -> Result<Self, String> {
        let room = (frame + HEADROOM)
            .next_multiple_of(64)
            .clamp(DATA_ROOM_MIN, DATA_ROOM_MAX) as u16;
        let shape = Shape {
            buffers,
            room,
            numa_node,
        };
        if let Some(pool) = take_retired(shape) {
            return Ok(pool);
        }
        let name = format!("anet-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = CString::new(name).map_err(|error| error.to_string())?;
        let mut pool = std::ptr::null_mut();
        // SAFETY: the name is read during the call; the result is written before it returns.
        let code =
            unsafe { (environment.shim.pool_new)(name.as_ptr(), buffers, room, numa_node, &raw mut pool) };
        match code {
            0 => Ok(Self {
                environment,
                pool,
                shape,
            }),
            code => Err(environment.shim.reason(code)),
        }
    }

    /// As DPDK has it.
    pub fn as_ptr(&self) -> *mut c_void {
        self.pool
    }

    /// An empty buffer with [`HEADROOM`] in front; `None` where the pool is empty.
    pub fn take(&self) -> Option<Buffer> {
        let mut packet = Packet::EMPTY;
        // SAFETY: the pool lives; one packet is written.
        match unsafe { (self.environment.shim.take)(self.pool, &raw mut packet, 1) } {
            // SAFETY: the shim has just handed it out.
            1 => Some(unsafe { self.environment.lender().buffer(&packet, Role::Uplink) }),
            _ => None,
        }
    }

    /// Leaves the pool to the next port.
    pub fn retire(self) {
        retired().push(self);
    }
}

fn retired() -> MutexGuard<'static, Vec<Pool>> {
    RETIRED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_retired(shape: Shape) -> Option<Pool> {
    let mut retired = retired();
    let found = retired.iter().position(|pool| pool.shape == shape)?;
    Some(retired.swap_remove(found))
}

impl DpdkError {
    /// There was no memory for a pool.
    pub(super) fn no_pool(device: &str, reason: String) -> Self {
        Self::Device {
            device: device.to_owned(),
            reason,
            advice: "its buffers need free huge pages on its NUMA node (`sysctl -w vm.nr_hugepages=1024`)",
        }
    }
}
