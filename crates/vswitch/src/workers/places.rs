//! A worker's ports: their queues by interface, and what is in trouble.

use std::sync::Arc;

use anet_datapath::interface::Interface;
use anet_ports::kernel::wait::Waiter;
use anet_ports::{ReceiveCounters, ReceiveQueue, TransmitQueue};

use super::{AttachedDevice, Attachment, PortHealth};
use crate::clock::{MILLISECOND, SECOND};

/// How long a queue that gave an error is left alone.
const MUTE: u64 = 100 * MILLISECOND;

/// A port as the worker has it.
pub(super) struct Place {
    pub(super) device: AttachedDevice,
    pub(super) receive: Option<Box<dyn ReceiveQueue>>,
    pub(super) transmit: Box<dyn TransmitQueue>,
    pub(super) health: Arc<PortHealth>,
    /// When its queue is looked at again after an error; 0 where it is now.
    muted_until: u64,
    /// When trouble was last told.
    told_at: u64,
    /// What the queue's counters stood at when they were last looked at.
    counted: ReceiveCounters,
}

/// Packets that a queue dropped before a burst was made of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Losses {
    /// The pool was empty.
    pub(super) no_buffer: u64,
    /// Too long, too short, or with an impossible offload header.
    pub(super) malformed: u64,
    /// The system's queue was full.
    pub(super) queue_full: u64,
}

impl Place {
    /// What was lost since the last call. Asks the system.
    pub(super) fn new_losses(&mut self) -> Losses {
        let Some(queue) = self.receive.as_mut() else {
            return Losses::default();
        };
        queue.refresh_counters();
        let (now, before) = (queue.counters(), self.counted);
        self.counted = now;
        let bad = |c: &ReceiveCounters| c.dropped_bad_offload + c.dropped_bad_length;
        Losses {
            no_buffer: now
                .dropped_pool_exhausted
                .saturating_sub(before.dropped_pool_exhausted),
            malformed: bad(&now).saturating_sub(bad(&before)),
            queue_full: now.dropped_by_system.saturating_sub(before.dropped_by_system),
        }
    }

    /// True where trouble may be told: once a second.
    pub(super) fn may_tell(&mut self, now: u64) -> bool {
        let may = self.told_at == 0 || now.saturating_sub(self.told_at) >= SECOND;
        if may {
            self.told_at = now.max(1);
        }
        may
    }
}

/// See the module's page.
#[derive(Default)]
pub(super) struct Places {
    ports: Vec<Option<Place>>,
    uplink: Option<Place>,
    /// Queues without a descriptor: polled.
    pub(super) polled: Vec<Interface>,
    muted: Vec<Interface>,
}

impl Places {
    pub(super) fn get(&mut self, interface: Interface) -> Option<&mut Place> {
        match interface {
            Interface::UPLINK => self.uplink.as_mut(),
            port => self.ports.get_mut(port.get() as usize)?.as_mut(),
        }
    }

    /// The ports that this worker receives from, by index.
    pub(super) fn received_ports(&self) -> impl Iterator<Item = u32> {
        let ports = (0..).zip(&self.ports);
        ports.filter_map(|(index, place)| place.as_ref()?.receive.as_ref().map(|_| index))
    }

    fn slot(&mut self, interface: Interface) -> &mut Option<Place> {
        if interface == Interface::UPLINK {
            return &mut self.uplink;
        }
        let index = interface.get() as usize;
        if index >= self.ports.len() {
            self.ports.resize_with(index + 1, || None);
        }
        &mut self.ports[index]
    }

    /// Takes a port in; its packets are waited for from now on.
    pub(super) fn attach(&mut self, waiter: &Waiter, attachment: Attachment) -> std::io::Result<()> {
        let interface = attachment.device.interface;
        let counted = attachment.receive.as_ref().map(|queue| queue.counters());
        let watched = match &attachment.receive {
            None => Ok(()),
            Some(queue) => match queue.wait_descriptor() {
                Some(descriptor) => waiter.add(descriptor, u64::from(interface.get())),
                None => {
                    self.polled.push(interface);
                    Ok(())
                }
            },
        };
        *self.slot(interface) = Some(Place {
            device: attachment.device,
            receive: attachment.receive,
            transmit: attachment.transmit,
            health: attachment.health,
            muted_until: 0,
            told_at: 0,
            counted: counted.unwrap_or_default(),
        });
        watched
    }

    /// Gives a port back.
    pub(super) fn detach(&mut self, waiter: &Waiter, interface: Interface) -> Option<Attachment> {
        self.stop_receiving(waiter, interface);
        let place = self.slot(interface).take()?;
        Some(Attachment {
            device: place.device,
            receive: place.receive,
            transmit: place.transmit,
            health: place.health,
        })
    }

    /// Waits for the port's packets no more; its queue stays where it is.
    pub(super) fn stop_receiving(&mut self, waiter: &Waiter, interface: Interface) {
        self.polled.retain(|polled| *polled != interface);
        self.muted.retain(|muted| *muted != interface);
        let descriptor = self
            .get(interface)
            .and_then(|place| place.receive.as_ref()?.wait_descriptor());
        if let Some(descriptor) = descriptor {
            // One that is not in the set any more is as good.
            let _ = waiter.remove(descriptor);
        }
    }

    /// Leaves a queue alone for a moment.
    pub(super) fn mute(&mut self, waiter: &Waiter, interface: Interface, now: u64) {
        self.stop_receiving(waiter, interface);
        if let Some(place) = self.get(interface) {
            place.muted_until = now + MUTE;
            self.muted.push(interface);
        }
    }

    /// Looks again at queues whose time is over.
    pub(super) fn unmute(&mut self, waiter: &Waiter, now: u64) {
        for interface in std::mem::take(&mut self.muted) {
            let Some(place) = self.get(interface) else {
                continue;
            };
            if place.muted_until > now {
                self.muted.push(interface);
                continue;
            }
            place.muted_until = 0;
            match place.receive.as_ref().map(|queue| queue.wait_descriptor()) {
                Some(Some(descriptor)) => {
                    // Refused only where it is in the set already.
                    let _ = waiter.add(descriptor, u64::from(interface.get()));
                }
                Some(None) => self.polled.push(interface),
                None => {}
            }
        }
    }

    /// True where a queue is waiting for its time.
    pub(super) fn has_muted(&self) -> bool {
        !self.muted.is_empty()
    }

    /// All ports.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Interface, &mut Place)> {
        let ports = self.ports.iter_mut().enumerate();
        let ports = ports.filter_map(|(index, place)| Some((Interface::port(index as u32), place.as_mut()?)));
        ports.chain(self.uplink.as_mut().map(|place| (Interface::UPLINK, place)))
    }
}
