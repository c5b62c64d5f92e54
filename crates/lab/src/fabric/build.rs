//! Making a layout real.

use std::net::IpAddr;
use std::thread;

use anet_model::host_plan::HostPlan;

use super::layout::{HostSpec, Layout};
use crate::{Guest, KernelVxlan, LabError, Namespace, Vswitch, wire};

/// MTU of the underlay: what an IPv4 VXLAN needs around an inner packet of 1,450 bytes.
const UNDERLAY_MTU: u16 = 1_500;
const UNDERLAY_INTERFACE: &str = "underlay0";

/// A host with its daemon.
#[derive(Debug)]
struct Host {
    spec: HostSpec,
    vswitch: Option<Vswitch>,
    namespace: Namespace,
}

/// Writes a plan as text: `anet_wire::plan_text::to_text`. The text form belongs to `wire`, which a lab does not
/// depend on; whoever builds a fabric hands it in.
pub type PlanWriter = fn(&HostPlan) -> String;

/// A layout that runs. Everything goes when it is dropped.
#[derive(Debug)]
pub struct Fabric {
    /// What was built; change it and call [`Fabric::replace_plan`].
    pub layout: Layout,
    to_text: PlanWriter,
    hosts: Vec<Host>,
    guests: Vec<(&'static str, Guest)>,
    _devices: Vec<KernelVxlan>,
    _underlay: wire::Bridge,
}

impl Fabric {
    /// Namespaces and wires, without the vswitches: hosts are on the underlay, guests have no interface yet.
    pub fn build(layout: Layout, to_text: PlanWriter) -> Result<Self, LabError> {
        let underlay = wire::Bridge::new("underlay")?;
        let mut hosts = Vec::new();
        for spec in &layout.hosts {
            let namespace = Namespace::new(spec.name)?;
            underlay.join(
                &namespace,
                UNDERLAY_INTERFACE,
                UNDERLAY_MTU,
                &format!("{}/24", spec.address),
            )?;
            hosts.push(Host {
                spec: spec.clone(),
                namespace,
                vswitch: None,
            });
        }
        let own = layout
            .guests
            .iter()
            .filter(|guest| hosts.iter().any(|h| h.spec.name == guest.host && !h.spec.foreign));
        let guests = own.map(|spec| Ok((spec.name, Guest::new(spec.name, spec.mac())?)));
        let guests = guests.collect::<Result<Vec<_>, LabError>>()?;
        let mut fabric = Self {
            layout,
            to_text,
            hosts,
            guests,
            _devices: Vec::new(),
            _underlay: underlay,
        };
        fabric.add_foreign_stations()?;
        Ok(fabric)
    }

    /// Starts the vswitch of every host and brings the guests' interfaces up.
    pub fn start(&mut self, arguments: &[&str]) -> Result<(), LabError> {
        for index in 0..self.hosts.len() {
            if !self.hosts[index].spec.foreign {
                let text = self.plan_of(self.hosts[index].spec.name);
                self.hosts[index].vswitch =
                    Some(Vswitch::start(&self.hosts[index].namespace, &text, arguments)?);
            }
        }
        self.guests.iter().try_for_each(|(_, guest)| guest.bring_up())
    }

    /// Every guest asks for an address of a family at the same time: what each got.
    pub fn configure_by_dhcp(
        &mut self,
        ask: impl Fn(&mut Guest) -> Result<IpAddr, LabError> + Sync,
    ) -> Vec<(&'static str, Result<IpAddr, LabError>)> {
        thread::scope(|scope| {
            let ask = &ask;
            let asking = self
                .guests
                .iter_mut()
                .map(|(name, guest)| (*name, scope.spawn(move || ask(guest))));
            let asking: Vec<_> = asking.collect();
            let joined = asking.into_iter().map(|(name, thread)| {
                (
                    name,
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                )
            });
            joined.collect()
        })
    }

    /// The text of a host's plan as the layout is now.
    pub fn plan_of(&self, host: &str) -> String {
        let spec = &self.host(host).spec;
        let netns = |name: &str| {
            self.guests
                .iter()
                .find(|(guest, _)| *guest == name)
                .map(|(_, g)| g.namespace().path())
        };
        (self.to_text)(&self.layout.host_plan(spec, |guest| netns(guest.name)))
    }

    /// Gives a host's vswitch the plan of the layout as it is now, and waits until it is applied.
    pub fn replace_plan(&self, host: &str) -> Result<(), LabError> {
        self.vswitch(host).replace_plan(&self.plan_of(host))
    }

    /// The vswitch of a host; the fabric must have been started.
    pub fn vswitch(&self, host: &str) -> &Vswitch {
        self.host(host).vswitch.as_ref().expect("the fabric was started")
    }

    /// As [`Fabric::vswitch`], to kill it and start it again.
    pub fn vswitch_mut(&mut self, host: &str) -> &mut Vswitch {
        let host = self
            .hosts
            .iter_mut()
            .find(|h| h.spec.name == host)
            .expect("a host of the layout");
        host.vswitch.as_mut().expect("the fabric was started")
    }

    /// The namespace in which a guest's, a foreign endpoint's or a host's programs run.
    pub fn namespace(&self, name: &str) -> &Namespace {
        let guest = self
            .guests
            .iter()
            .find(|(guest, _)| *guest == name)
            .map(|(_, guest)| guest.namespace());
        let station = || {
            self.layout
                .guests
                .iter()
                .find(|guest| guest.name == name)
                .map_or(name, |guest| guest.host)
        };
        guest.unwrap_or_else(|| &self.host(station()).namespace)
    }

    fn host(&self, name: &str) -> &Host {
        self.hosts
            .iter()
            .find(|host| host.spec.name == name)
            .expect("a host of the layout")
    }

    fn add_foreign_stations(&mut self) -> Result<(), LabError> {
        for host in self.hosts.iter().filter(|host| host.spec.foreign) {
            let Some(station) = self
                .layout
                .guests
                .iter()
                .find(|guest| guest.host == host.spec.name)
            else {
                continue;
            };
            let network = self.layout.network_of(station);
            let device = KernelVxlan::new(&host.namespace, "vxlan0", network.vni, host.spec.address.into())?;
            device.finish_packets()?;
            let [four, six] = network.addresses(station.number);
            device.become_station(station.mac(), &[&format!("{four}/24"), &format!("{six}/64")])?;
            for other in self.hosts.iter().filter(|other| !other.spec.foreign) {
                device.flood_to(other.spec.address.into())?;
            }
            for guest in self
                .layout
                .guests
                .iter()
                .filter(|g| g.network == network.name && g.host != station.host)
            {
                device.forward(guest.mac(), self.host(guest.host).spec.address.into())?;
            }
            self._devices.push(device);
        }
        Ok(())
    }
}
