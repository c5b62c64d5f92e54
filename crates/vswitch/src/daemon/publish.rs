//! A change's way into the data plane: ports that go, tables, ports that come; and ports' troubles.

use anet_datapath::interface::Interface;
use anet_model::changeset::Changeset;
use anet_model::host_plan::HostPlan;
use anet_ports::PortError;
use anet_wire::control::Response;

use super::Daemon;
use super::devices::OpenPort;
use crate::clock;
use crate::core::attachments::{Device, Key, TUNNEL, Wanted};
use crate::log;
use crate::workers::Attachment;

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
        let now = clock::now();
        let steps = self
            .attachments
            .follow(self.control.plan(), self.control.builder(), now);
        // First the devices of ports that go: an index that is used again must not lead to the old one's guest.
        for key in &steps.close {
            self.close(key, true);
        }
        self.publish(operations);
        for (key, settings) in steps.configure {
            let configured = self.open.get_mut(&key).map(|port| port.configure(settings));
            if let Some(Err(error)) = configured {
                log::line(error);
            }
        }
        self.open_due_ports(now);
        Response::applied(self.control.state())
    }

    /// Workers see all of the operations from their next round on, or none.
    pub(super) fn publish(&mut self, operations: Vec<anet_datapath::tables::TableOp>) {
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
        self.publish(operations);
    }

    pub(super) fn open_due_ports(&mut self, now: u64) {
        for (key, wanted) in self.attachments.due(now) {
            match self.open_port(&key, &wanted) {
                Ok(()) => {
                    self.attachments.opened(&key);
                    log::line(format_args!("port {} is attached", name(&key)));
                }
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
        let Some(mut port) = OpenPort::open(name(key), wanted, workers)? else {
            return Ok(());
        };
        let interface = interface_of(&wanted.device);
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
                interface,
                receive,
                transmit: port.port().transmit_queue()?,
                health: port.health.clone(),
            });
        }
        self.baselines.take(key, interface, &self.workers);
        for (worker, attachment) in queues.into_iter().enumerate() {
            self.workers.attach(worker, attachment);
        }
        self.open.insert(key.clone(), port);
        Ok(())
    }

    /// Takes a port from the workers and closes its device; `remove`: the plan has it no more.
    fn close(&mut self, key: &Key, remove: bool) {
        let Some(mut port) = self.open.remove(key) else {
            return;
        };
        let interface = self.baselines.interface(key);
        let queues = interface.map(|interface| self.workers.detach(interface));
        if remove && let Err(error) = port.remove() {
            log::line(error);
        }
        log::line(format_args!("port {} is closed", name(key)));
        drop((queues, port));
    }

    /// A device went away under us: let it go and wait for it to come back.
    pub(super) fn lost(&mut self, interface: Interface, error: &PortError) {
        let Some(key) = self.baselines.key(interface) else {
            return;
        };
        self.close(&key, false);
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
