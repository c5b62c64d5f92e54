//! Two hosts on one wire, and an uplink on each.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anet_lab::{Namespace, wire};
use anet_memory::buffer::{Buffer, Pool};
use anet_ports::kernel::uplink::{Uplink, UplinkSettings};
use anet_ports::{Port, ReceiveQueue, TransmitQueue};

/// Each family's addresses of the two hosts, and the bytes of an outer header up to VXLAN.
pub const FAMILIES: [(&str, &str, usize); 2] = [("10.9.0.1", "10.9.0.2", 42), ("fd09::1", "fd09::2", 62)];

/// Two namespaces on one wire, with an address of each family.
pub struct Underlay {
    pub left: Namespace,
    pub right: Namespace,
}

impl Underlay {
    /// `None`, with the reason printed, where this machine cannot.
    pub fn new(test: &str) -> Option<Self> {
        if let Some(reason) = anet_lab::missing_for(&["bridge"]) {
            anet_lab::skip(test, &reason);
            return None;
        }
        let (left, right) = (Namespace::new("left").unwrap(), Namespace::new("right").unwrap());
        wire::direct((&left, "under"), (&right, "under")).unwrap();
        for (namespace, host) in [(&left, 1), (&right, 2)] {
            namespace
                .add_address("under", &format!("10.9.0.{host}/24"))
                .unwrap();
            namespace
                .add_address("under", &format!("fd09::{host}/64"))
                .unwrap();
        }
        Some(Self { left, right })
    }
}

pub struct End {
    pub uplink: Uplink,
    pub receive: Box<dyn ReceiveQueue>,
    pub transmit: Box<dyn TransmitQueue>,
}

pub fn settings(namespace: &Namespace, address: &str) -> UplinkSettings {
    let address: IpAddr = address.parse().unwrap();
    UplinkSettings {
        namespace: Some(namespace.path()),
        ..UplinkSettings::new(address)
    }
}

/// Opens an uplink. A process that another test is just starting may hold the sockets of one that was closed, from its
/// fork to its exec: hence the patience.
pub fn open(settings: &UplinkSettings) -> Uplink {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        match Uplink::open(settings) {
            Err(error) if Instant::now() < deadline && error.to_string().contains("in use") => {
                std::thread::sleep(Duration::from_millis(5));
            }
            uplink => return uplink.unwrap(),
        }
    }
}

pub fn end(settings: &UplinkSettings) -> End {
    let mut uplink = open(settings);
    let receive = uplink.receive_queue(0).unwrap();
    let transmit = uplink.transmit_queue().unwrap();
    End {
        uplink,
        receive,
        transmit,
    }
}

/// Receives until `enough` packets are there.
pub fn receive(queue: &mut dyn ReceiveQueue, pool: &Pool, enough: usize) -> Vec<Buffer> {
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut packets = Vec::new();
    while packets.len() < enough && Instant::now() < deadline {
        if queue.receive(pool, &mut packets, 8).unwrap() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    packets
}

/// Receives for some milliseconds.
pub fn receive_for(queue: &mut dyn ReceiveQueue, pool: &Pool, millis: u64) -> Vec<Buffer> {
    let deadline = Instant::now() + Duration::from_millis(millis);
    let mut packets = Vec::new();
    while Instant::now() < deadline {
        queue.receive(pool, &mut packets, 8).unwrap();
    }
    packets
}
