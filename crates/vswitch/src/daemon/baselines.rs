//! Which interface each open port has, and what its counters stood at when it got it: an index is used again for another
//! port, whose counters begin at zero all the same.

use std::collections::BTreeMap;

use anet_datapath::interface::Interface;
use anet_datapath::verdict::DropReason;

use crate::core::attachments::Key;
use crate::workers::Workers;

/// Counters of an interface, summed over the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// Packets received.
    pub received_packets: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets that the device did not take.
    pub send_drops: u64,
    /// Packets dropped, by reason.
    pub drops: [u64; DropReason::COUNT],
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            received_packets: 0,
            received_bytes: 0,
            sent_packets: 0,
            sent_bytes: 0,
            send_drops: 0,
            drops: [0; DropReason::COUNT],
        }
    }
}

impl Sums {
    /// The counters now.
    pub fn of(interface: Interface, workers: &Workers) -> Self {
        let mut sums = Self::default();
        for worker in workers.counters() {
            let counters = match interface {
                Interface::UPLINK => Some(&worker.uplink),
                port => worker.port(port.get()),
            };
            let Some(counters) = counters else { continue };
            sums.received_packets += counters.received_packets.get();
            sums.received_bytes += counters.received_bytes.get();
            sums.sent_packets += counters.sent_packets.get();
            sums.sent_bytes += counters.sent_bytes.get();
            sums.send_drops += counters.send_drops.get();
            for (sum, counter) in sums.drops.iter_mut().zip(&counters.drops) {
                *sum += counter.get();
            }
        }
        sums
    }

    fn minus(mut self, before: &Self) -> Self {
        self.received_packets -= before.received_packets.min(self.received_packets);
        self.received_bytes -= before.received_bytes.min(self.received_bytes);
        self.sent_packets -= before.sent_packets.min(self.sent_packets);
        self.sent_bytes -= before.sent_bytes.min(self.sent_bytes);
        self.send_drops -= before.send_drops.min(self.send_drops);
        for (sum, before) in self.drops.iter_mut().zip(before.drops) {
            *sum -= before.min(*sum);
        }
        self
    }
}

/// See the module's page.
#[derive(Debug, Default)]
pub struct Baselines {
    ports: BTreeMap<Key, (Interface, Sums)>,
}

impl Baselines {
    /// A port gets an interface. Where it is the one that it had, its counters go on.
    pub fn take(&mut self, key: &Key, interface: Interface, workers: &Workers) {
        if self.interface(key) == Some(interface) {
            return;
        }
        self.ports.retain(|_, (taken, _)| *taken != interface);
        // The underlay's interface is nobody else's.
        let sums = match interface {
            Interface::UPLINK => Sums::default(),
            port => Sums::of(port, workers),
        };
        self.ports.insert(key.clone(), (interface, sums));
    }

    /// The interface that a port got.
    pub fn interface(&self, key: &Key) -> Option<Interface> {
        self.ports.get(key).map(|(interface, _)| *interface)
    }

    /// The port that got an interface.
    pub fn key(&self, interface: Interface) -> Option<Key> {
        let owner = self.ports.iter().find(|(_, (taken, _))| *taken == interface);
        owner.map(|(key, _)| key.clone())
    }

    /// A port's counters since it got its interface.
    pub fn counters(&self, key: &Key, workers: &Workers) -> Sums {
        self.ports
            .get(key)
            .map_or_else(Sums::default, |(interface, before)| {
                Sums::of(*interface, workers).minus(before)
            })
    }
}
