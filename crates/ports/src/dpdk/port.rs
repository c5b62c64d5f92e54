//! A device as a port: found or made, set up, started; stopped and closed when its last queue is gone.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anet_packet::addr::Mac;
use anet_packet::ethernet;

use super::environment::Environment;
use super::pool::Pool;
use super::queue::{DpdkReceive, DpdkTransmit};
use super::shim::{DeviceInfo, Setup, Statistics};
use super::{DpdkError, finish};
use crate::{Capabilities, Link, Port, PortError, ReceiveQueue, TransmitQueue};

/// Packets that a device's queue holds.
const RING: u16 = 1024;
/// Buffers beside those in the rings: bursts under way, and the threads' caches.
const SPARE: u32 = 2048;
/// Bytes of tags that a frame may have beside its Ethernet header.
const TAGS: usize = 8;

const DEVICE_ADVICE: &str =
    "a device is written as DPDK's drivers want it, such as `0000:03:00.0` or `net_af_packet0,iface=eth1`";

/// What kind of frames a port carries: where a large segment has its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A guest's frames.
    Guest,
    /// Frames with an outer VXLAN header.
    Uplink,
}

/// How a device is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpdkSettings {
    /// The port's name, for messages.
    pub name: String,
    /// The device, as DPDK writes it: a PCI address, or a driver's name with a number, and arguments behind commas.
    pub device: String,
    /// What it carries.
    pub role: Role,
    /// Receive queues wanted, at least one; fewer where the device has not so many.
    pub receive_queues: usize,
    /// Transmit queues wanted: one for each worker. Where the device has not so many, workers share them: a lock for each
    /// burst, which other devices do without.
    pub transmit_queues: usize,
    /// Longest IP packet, in bytes without the Ethernet header; 68 to 65,535.
    pub mtu: u32,
}

/// The device itself, shared by the port and its queues.
#[derive(Debug)]
pub(super) struct Device {
    pub environment: &'static Environment,
    pub name: String,
    pub port: u16,
    pub role: Role,
    /// Longest frame it takes.
    pub frame_max: usize,
    /// `None` only while it is dropped.
    pool: Option<Pool>,
    receiving: Vec<AtomicBool>,
    transmitting: Vec<AtomicBool>,
    /// A lock for each of the device's transmit queues; empty where each has one owner.
    shared: Vec<Mutex<()>>,
}

impl Device {
    pub fn pool(&self) -> Option<&Pool> {
        self.pool.as_ref()
    }

    /// The device's queue behind a given out one, and its lock where it is not the only one.
    pub fn transmit_queue_of(&self, given_out: u16) -> (u16, Option<&Mutex<()>>) {
        match self.shared.len() {
            0 => (given_out, None),
            queues => {
                let queue = usize::from(given_out) % queues;
                (queue as u16, self.shared.get(queue))
            }
        }
    }

    pub fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        // SAFETY: the device is open; the result is written during the call.
        let code = unsafe { (self.environment.shim.statistics)(self.port, &raw mut statistics) };
        match code {
            0 => statistics,
            _ => Statistics::default(),
        }
    }

    pub fn end_receiving(&self, queue: u16) {
        self.receiving[usize::from(queue)].store(false, Ordering::Release);
    }

    pub fn end_transmitting(&self, queue: u16) {
        self.transmitting[usize::from(queue)].store(false, Ordering::Release);
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Held meanwhile: its number may be another device's as soon as it is closed.
        let mut claimed = claimed();
        // SAFETY: the device was claimed for this port alone, and its last queue is gone, so nobody polls it.
        unsafe { (self.environment.shim.close)(self.port) };
        claimed.remove(&self.port);
        drop(claimed);
        if let Some(pool) = self.pool.take() {
            pool.retire();
        }
    }
}

/// A DPDK device. See the module's page.
#[derive(Debug)]
pub struct DpdkPort {
    device: Arc<Device>,
    driver: String,
    mac: Mac,
    numa_node: Option<u32>,
    mtu: u32,
}

impl DpdkPort {
    /// Makes (or finds) the device and starts it.
    pub fn open(settings: &DpdkSettings) -> Result<Self, PortError> {
        Self::try_open(settings).map_err(|error| error.of_port(&settings.name))
    }

    fn try_open(settings: &DpdkSettings) -> Result<Self, DpdkError> {
        let environment = Environment::get()?;
        let refuse = |reason| DpdkError::Device {
            device: settings.device.clone(),
            reason,
            advice: DEVICE_ADVICE,
        };
        check_device(&settings.device).map_err(|reason| refuse(reason.to_owned()))?;
        let mut claimed = claimed();
        let info = probe(environment, &settings.device).map_err(refuse)?;
        // The same device may have several names: what is another port's is not touched.
        if !claimed.insert(info.port) {
            return Err(refuse("another port has it".to_owned()));
        }
        drop(claimed);
        let count = |wanted: usize, most: u16| wanted.clamp(1, usize::from(most.max(1)));
        let receive_queues = count(settings.receive_queues, info.max_receive_queues);
        let given_out = settings.transmit_queues.max(1);
        let transmit_queues = count(given_out, info.max_transmit_queues);
        let shared = if transmit_queues < given_out {
            transmit_queues
        } else {
            0
        };
        // From here on dropping it closes it.
        let mut device = Device {
            environment,
            name: settings.name.clone(),
            port: info.port,
            role: settings.role,
            frame_max: settings.mtu as usize + ethernet::HEADER_LEN + TAGS,
            pool: None,
            receiving: (0..receive_queues).map(|_| AtomicBool::new(false)).collect(),
            transmitting: (0..given_out).map(|_| AtomicBool::new(false)).collect(),
            shared: (0..shared).map(|_| Mutex::default()).collect(),
        };
        let buffers = (receive_queues + transmit_queues) as u32 * u32::from(RING) + SPARE;
        let pool = Pool::new(environment, buffers, device.frame_max, info.numa_node)
            .map_err(|reason| DpdkError::no_pool(&settings.device, reason))?;
        let setup = Setup {
            receive_queues: receive_queues as u16,
            transmit_queues: transmit_queues as u16,
            receive_ring: RING,
            transmit_ring: RING,
            mtu: settings.mtu.min(u32::from(u16::MAX)) as u16,
            pool: pool.as_ptr(),
        };
        device.pool = Some(pool);
        // SAFETY: the device exists and nobody polls it; the setup is read during the call, its pool lives as long as
        // the device.
        match unsafe { (environment.shim.configure)(info.port, &raw const setup) } {
            0 => {}
            code => return Err(refuse(environment.shim.reason(code))),
        }
        Ok(Self {
            device: Arc::new(device),
            driver: text(&info.driver),
            mac: Mac(info.mac),
            numa_node: u32::try_from(info.numa_node).ok(),
            mtu: settings.mtu,
        })
    }

    /// The driver's name.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// The device's own MAC.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The NUMA node that it is on, where there is more than one.
    pub fn numa_node(&self) -> Option<u32> {
        self.numa_node
    }
}

/// Ports of DPDK that are in use here.
fn claimed() -> MutexGuard<'static, BTreeSet<u16>> {
    static CLAIMED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses what DPDK must not be asked: its other syntax for devices, which ends the process where it names none, and
/// arguments of drivers that run programs or read descriptors.
fn check_device(device: &str) -> Result<(), &'static str> {
    let name = device.split(',').next().unwrap_or_default();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
    if name.is_empty() || !name.bytes().all(legal) {
        return Err("its name has other characters than a-z A-Z 0-9 _ . : -");
    }
    match ["exec(", "fd("].iter().any(|word| device.contains(word)) {
        true => Err("it would run a program or read a descriptor"),
        false => Ok(()),
    }
}

/// What the device says of itself; made where it is not there.
fn probe(environment: &Environment, device: &str) -> Result<DeviceInfo, String> {
    let name = CString::new(device).map_err(|error| error.to_string())?;
    let mut info = DeviceInfo::default();
    // SAFETY: the name is read during the call, the result is written before it returns.
    let code = unsafe { (environment.shim.probe)(name.as_ptr(), &raw mut info) };
    match code {
        0 => Ok(info),
        code => Err(environment.shim.reason(code)),
    }
}

fn text(bytes: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = bytes.iter().map(|byte| byte.cast_unsigned()).collect();
    let text = CStr::from_bytes_until_nul(&bytes).map(CStr::to_string_lossy);
    text.unwrap_or_default().into_owned()
}

impl Port for DpdkPort {
    fn name(&self) -> &str {
        &self.device.name
    }

    fn capabilities(&self) -> Capabilities {
        // What the device does not do is done before it.
        Capabilities {
            checksum: true,
            segment_tcp_v4: true,
            segment_tcp_v6: true,
            segment_udp: true,
            max_segment: finish::SEGMENT_MAX,
            mtu: self.mtu,
        }
    }

    fn link(&mut self) -> Result<Link, PortError> {
        // SAFETY: the device is open.
        match unsafe { (self.device.environment.shim.link_up)(self.device.port) } {
            up if up >= 0 => Ok(Link {
                up: up == 1,
                mtu: self.mtu,
            }),
            code => Err(PortError::Gone {
                port: self.device.name.clone(),
                source: std::io::Error::from_raw_os_error(-code),
            }),
        }
    }

    fn receive_queues(&self) -> usize {
        self.device.receiving.len()
    }

    fn receive_queue(&mut self, queue: usize) -> Result<Box<dyn ReceiveQueue>, PortError> {
        let free = self.device.receiving.get(queue);
        match free.is_some_and(|taken| !taken.swap(true, Ordering::AcqRel)) {
            true => Ok(Box::new(DpdkReceive::new(self.device.clone(), queue as u16))),
            false => Err(PortError::NoQueue {
                port: self.device.name.clone(),
                queue,
            }),
        }
    }

    fn transmit_queue(&mut self) -> Result<Box<dyn TransmitQueue>, PortError> {
        let queues = &self.device.transmitting;
        let free = queues
            .iter()
            .position(|taken| !taken.swap(true, Ordering::AcqRel));
        match free {
            Some(queue) => Ok(Box::new(DpdkTransmit::new(self.device.clone(), queue as u16))),
            None => Err(PortError::NoQueue {
                port: self.device.name.clone(),
                queue: queues.len(),
            }),
        }
    }
}
