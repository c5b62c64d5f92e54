//! A port's own pool of mbufs, on the NUMA node of its device.

use std::ffi::{CString, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anet_memory::buffer::{Buffer, HEADROOM};

use super::DpdkError;
use super::environment::Environment;
use super::shim::Packet;

/// Bytes of a buffer's memory at least: what DPDK's drivers take as a whole frame, with the headroom.
const DATA_ROOM_MIN: usize = 2048 + HEADROOM;
/// The most that an mbuf's 16-bit fields can say, rounded down to a cache line.
const DATA_ROOM_MAX: usize = 65_472;

/// Pools of ports that are gone, some of whose buffers are still under way.
static RETIRED: Mutex<Vec<Pool>> = Mutex::new(Vec::new());
/// Pools have names in DPDK, and no two the same.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// See the module's page.
#[derive(Debug)]
pub(super) struct Pool {
    environment: &'static Environment,
    pool: *mut c_void,
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
        sweep();
        let name = format!("anet-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = CString::new(name).map_err(|error| error.to_string())?;
        let room = (frame + HEADROOM)
            .next_multiple_of(64)
            .clamp(DATA_ROOM_MIN, DATA_ROOM_MAX) as u16;
        let mut pool = std::ptr::null_mut();
        // SAFETY: the name is read during the call; the result is written before it returns.
        let code =
            unsafe { (environment.shim.pool_new)(name.as_ptr(), buffers, room, numa_node, &raw mut pool) };
        match code {
            0 => Ok(Self { environment, pool }),
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
            1 => Some(unsafe { self.environment.lender().buffer(&packet) }),
            _ => None,
        }
    }

    /// Frees the pool, now or when its last buffer is back.
    pub fn retire(self) {
        RETIRED.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        sweep();
    }

    fn is_whole(&self) -> bool {
        // SAFETY: the pool lives.
        unsafe { (self.environment.shim.pool_is_whole)(self.pool) == 1 }
    }
}

/// Frees the retired pools whose buffers are all back.
fn sweep() {
    let mut retired = RETIRED.lock().unwrap_or_else(PoisonError::into_inner);
    retired.retain(|pool| {
        let whole = pool.is_whole();
        if whole {
            // SAFETY: no device and no buffer knows it any more, and it leaves the list here.
            unsafe { (pool.environment.shim.pool_free)(pool.pool) };
        }
        !whole
    });
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
