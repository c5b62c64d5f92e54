//! DPDK ports against DPDK's own test devices: a ring that gives back what is sent, capture files, and a kernel's veth.
//!
//! No huge pages are needed (`--no-huge`), so that these run beside each other and leave nothing. Where there is no DPDK,
//! they say so and are skipped.

#![allow(clippy::unwrap_used)]

#[path = "../uplink/packets.rs"]
#[allow(dead_code)]
mod packets;
#[path = "../support/mod.rs"]
mod support;

mod devices;
mod frames;
mod kernel;

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use anet_memory::buffer::{Buffer, Pool};
use anet_ports::dpdk::{DpdkPort, DpdkSettings, Environment, Role, set_arguments};
use anet_ports::{Port, ReceiveQueue, TransmitQueue};

/// True, with the reason printed, where this machine cannot run the test.
pub(crate) fn skipped(test: &str) -> bool {
    static ARGUMENTS: Once = Once::new();
    ARGUMENTS.call_once(|| set_arguments(["--no-huge", "-m", "512", "--no-pci"].map(str::to_owned).to_vec()));
    match Environment::get() {
        Ok(_) => false,
        Err(error) => {
            println!("skipped: {test}: {error}");
            true
        }
    }
}

/// A device name that no other test has.
pub(crate) fn device(driver: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{driver}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn settings(device: &str) -> DpdkSettings {
    DpdkSettings {
        name: "the port".to_owned(),
        device: device.to_owned(),
        role: Role::Guest,
        receive_queues: 1,
        transmit_queues: 1,
        mtu: 1500,
    }
}

/// A port with its queues, and a pool of this crate's own.
pub(crate) struct Opened {
    pub(crate) port: DpdkPort,
    pub(crate) receive: Box<dyn ReceiveQueue>,
    pub(crate) transmit: Box<dyn TransmitQueue>,
    pub(crate) pool: Pool,
}

impl Opened {
    pub(crate) fn new(settings: &DpdkSettings) -> Self {
        Self::of(DpdkPort::open(settings).unwrap())
    }

    pub(crate) fn of(mut port: DpdkPort) -> Self {
        Self {
            receive: port.receive_queue(0).unwrap(),
            transmit: port.transmit_queue().unwrap(),
            port,
            pool: Pool::default(),
        }
    }

    /// All packets that wait.
    pub(crate) fn receive(&mut self) -> Vec<Buffer> {
        let mut burst = Vec::new();
        while self.receive.receive(&self.pool, &mut burst, 32).unwrap() > 0 {}
        burst
    }

    /// Sends all of them, which must go.
    pub(crate) fn send(&mut self, mut burst: Vec<Buffer>) {
        let frames = burst.len() as u32;
        let outcome = self.transmit.transmit(&mut burst);
        assert_eq!(
            (outcome.sent, outcome.dropped()),
            (frames, 0),
            "{:?}",
            outcome.error
        );
    }
}
