//! A change's way into the data plane: ports that go, tables, ports that come; and ports' troubles.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anet_datapath::interface::Interface;
use anet_datapath::tables::TableOp;
use anet_model::changeset::Changeset;
use anet_model::host_plan::HostPlan;
use anet_ports::PortError;
use anet_wire::control::Response;

use super::devices::OpenPort;
use super::{Daemon, uplink};
use crate::clock::{self, SECOND};
use crate::core::attachments::{Device, Key, TUNNEL, Wanted};
use crate::log;
use crate::workers::{AttachedDevice, Attachment};

/// What becomes of the interface of a port that is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// The plan has the port no more: what was made for it goes.
    Removed,
    /// It will be wanted again.
    Kept,
}

impl Daemon {
    /// Makes `plan` the one that is applied; `None` where it is already.
    pub(super) fn adopt(&mut self, plan: &HostPlan) -> Option<Response> {
        let changeset = self.control.changeset_to(plan)?;
        Some(self.apply(&changeset))
    }

    /// Applies a changeset, whole or not at all.
    pub(super) fn apply(&mut self, changeset: &Changeset) -> Response {
        let operations = match self.control.apply(changeset) {
            Ok(operations) => operations,
            Err(refusal) => return *refusal,
        };
        self.carry_out(operations, Gone::Removed);
        if changeset.snapshot {
            self.remove_leftovers();
        }
        Response::applied(self.control.state())
    }

    /// Devices and tables follow the plan that is applied now.
    fn carry_out(&mut self, operations: Vec<TableOp>, gone: Gone) {
        let now = clock::now();
        let steps = self
            .attachments
            .follow(self.control.plan(), self.control.builder(), now);
        // First the devices of ports that go: an index that is used again must not lead to the old one's guest.
        for key in &steps.close {
            self.close(key, gone);
        }
        self.taps.save();
        self.publish(operations);
        for (key, settings) in steps.configure {
            let configured = self.open.get_mut(&key).map(|port| port.configure(settings));
            if let Some(Err(error)) = configured {
                log::line(error);
            }
        }
        self.open_due_ports(now);
    }

    /// A panic broke off what the control thread did, perhaps a change half-way: tables and devices are made anew from the
    /// plan that is applied. Workers go on with what was published until then.
    pub(super) fn mend(&mut self) {
        self.panics += 1;
        let mended = catch_unwind(AssertUnwindSafe(|| {
            let operations = self.control.rebuild();
            self.carry_out(operations, Gone::Kept);
        }));
        let revision = self.control.state().revision();
        match mended {
            Ok(()) => log::line(format_args!(
                "after the panic the tables were built anew from revision {revision}; forwarding went on"
            )),
            Err(_) => log::line(format_args!(
                "the tables could not be built anew after the panic; forwarding goes on as it was, restart the daemon"
            )),
        }
    }

    /// Removes interfaces that an earlier run made and this plan does not have, once the whole plan is known.
    pub(super) fn remove_leftovers(&mut self) {
        self.next_leftovers = None;
        let wanted: BTreeSet<(&str, Option<&str>)> = self.attachments.interfaces().collect();
        let uplink = self.wanted_uplink_tap();
        let held = self.taps.remove_unwanted(|interface, netns| {
            wanted.contains(&(interface, netns)) || (uplink.as_deref() == Some(interface) && netns.is_none())
        });
        if held {
            self.next_leftovers = Some(clock::now() + SECOND);
        }
    }

    /// Workers see all of the operations from their next round on, or none.
    pub(super) fn publish(&mut self, operations: Vec<TableOp>) {
        self.tables.extend(operations);
        self.tables.publish();
    }

    /// Holds the tables against the plan; where they differ, says so and makes them anew.
    pub(super) fn read_back(&mut self) {
        let differences = match self.tables.enter() {
            Some(tables) => self.control.audit(&tables),
            None => return,
        };
        if differences.is_empty() {
            return;
        }
        for difference in differences.iter().take(10) {
            log::line(difference);
        }
        let count = differences.len();
        log::line(format_args!(
            "{count} differences between plan and tables: the tables are built anew; please report it"
        ));
        let operations = self.control.rebuild();
        self.carry_out(operations, Gone::Kept);
    }

    pub(super) fn open_due_ports(&mut self, now: u64) {
        for (key, wanted) in self.attachments.due(now) {
            match self.open_port(&key, &wanted) {
                Ok(()) => log::line(format_args!("port {} is attached", name(&key))),
                Err(error) => {
                    let text = error.to_string();
                    if self.attachments.failed(&key, text.clone(), clock::now()) {
                        log::line(format_args!("{text} (port {}; tried again)", name(&key)));
                    }
                }
            }
        }
    }

    fn open_port(&mut self, key: &Key, wanted: &Wanted) -> Result<(), PortError> {
        let workers = self.workers.count();
        let Some(mut port) = OpenPort::open(name(key), wanted, workers, &mut self.taps, self.large_segments)?
        else {
            return Ok(());
        };
        let interface = interface_of(&wanted.device);
        let generation = self.attachments.next_generation();
        // The first queue belongs to the interface's worker, the next one to the next worker, and so on around.
        let receiver = self.workers.receiver_of(interface);
        let mut queues = Vec::new();
        for worker in 0..workers {
            let queue = (worker + workers - receiver) % workers;
            let receive = match queue < port.port().receive_queues() {
                true => Some(port.port().receive_queue(queue)?),
                false => None,
            };
            queues.push(Attachment {
                device: AttachedDevice {
                    interface,
                    generation,
                },
                receive,
                transmit: port.port().transmit_queue()?,
                health: port.health.clone(),
            });
        }
        self.baselines.take(key, interface, &self.workers);
        for (worker, attachment) in queues.into_iter().enumerate() {
            self.workers.attach(worker, attachment);
        }
        if *key == Key::Uplink {
            self.uplink_trial_at = Some(clock::now() + uplink::TRIAL);
        }
        self.open.insert(key.clone(), port);
        self.attachments.opened(key, generation);
        Ok(())
    }

    /// Takes a port from the workers and closes its device.
    fn close(&mut self, key: &Key, gone: Gone) {
        let Some(mut port) = self.open.remove(key) else {
            return;
        };
        let interface = self.baselines.interface(key);
        let queues = interface.map(|interface| self.workers.detach(interface));
        if gone == Gone::Removed
            && let Err(error) = port.remove(&mut self.taps)
        {
            log::line(error);
        }
        log::line(format_args!("port {} is closed", name(key)));
        drop((queues, port));
    }

    /// A device went away under us: let it go and wait for it to come back.
    pub(super) fn lost(&mut self, device: AttachedDevice, error: &PortError) {
        let Some(key) = self.baselines.key(device.interface) else {
            return;
        };
        if !self.attachments.is_open_as(&key, device.generation) {
            // Said of a device that was let go meanwhile, perhaps for another one.
            return;
        }
        self.close(&key, Gone::Kept);
        self.attachments.failed(&key, error.to_string(), clock::now());
        log::line(error);
    }

    pub(super) fn name_of(&self, interface: Interface) -> String {
        self.baselines
            .key(interface)
            .map_or_else(|| format!("{interface:?}"), |key| name(&key).to_owned())
    }
}

pub(super) fn name(key: &Key) -> &str {
    match key {
        Key::Uplink => TUNNEL,
        Key::Guest(id) => id.as_str(),
    }
}

fn interface_of(device: &Device) -> Interface {
    match device {
        Device::Tap { index, .. } | Device::Packet { index, .. } | Device::Dpdk { index, .. } => {
            Interface::port(*index)
        }
        Device::Tunnel { .. } | Device::DpdkTunnel { .. } | Device::Nothing => Interface::UPLINK,
    }
}
