//! What this host's ports are attached to: the host knows, and no controller does.
//!
//! An attachment belongs to a port, by its id, or to a MAC: then the first planned port with that MAC has it, and goes on having it
//! ([`super::claims`]). An attachment of a port's own goes before that of its MAC.

use std::collections::BTreeMap;
use std::fmt;

use anet_model::changeset::Change;
use anet_model::host_plan::{Attachment, Budgets, HostPlan, Network, Port, PortId};
use anet_model::state::Cursor;
use anet_packet::addr::{Mac, Mtu, Vni};

/// Whose an attachment is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// One port's.
    Port(PortId),
    /// The port's that has this MAC, once there is one.
    Mac(Mac),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "port {port}"),
            Self::Mac(mac) => write!(f, "MAC {mac}"),
        }
    }
}

/// Why something cannot be attached so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// Another attachment has the interface.
    #[error("{holder} has this interface already: detach it first")]
    Taken {
        /// The other one's holder.
        holder: Holder,
    },
    /// No guest can have this MAC.
    #[error("MAC {0} is no guest's: give a unicast one that is not all zero")]
    NoStation(Mac),
    /// Not a legal attachment.
    #[error("{0}")]
    Illegal(String),
}

/// The attachment of a MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByMac {
    /// To what.
    pub attachment: Attachment,
    /// The port that has it; none: it waits.
    pub port: Option<PortId>,
}

/// Attachments as a disk keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// By port.
    pub ports: BTreeMap<PortId, Attachment>,
    /// By MAC.
    pub macs: BTreeMap<Mac, ByMac>,
    /// Where the controller's plan stood when the MACs' ports were these ones.
    pub at: Cursor,
}

/// Attachments by holder, each interface once. A port that has none is detached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachments {
    pub(super) ports: BTreeMap<PortId, Attachment>,
    pub(super) macs: BTreeMap<Mac, ByMac>,
    /// The ports of `macs` are those of a plan of this place, which is not there yet.
    pub(super) ahead: Option<Cursor>,
}

impl Attachments {
    /// Those of them that are legal, with what is wrong with each other one.
    pub fn restore(kept: Kept) -> (Self, Vec<String>) {
        let (mut attachments, mut wrong) = (Self::default(), Vec::new());
        attachments.ahead = (kept.at != Cursor::default()).then_some(kept.at);
        let ports = kept
            .ports
            .into_iter()
            .map(|(id, attachment)| (Holder::Port(id), attachment, None));
        let macs = kept
            .macs
            .into_iter()
            .map(|(mac, by)| (Holder::Mac(mac), by.attachment, by.port));
        for (holder, attachment, port) in ports.chain(macs) {
            match attachments.put(&holder, &attachment) {
                Ok(()) => attachments.hand(&holder, port),
                Err(error) => wrong.push(format!("{holder} stays detached: {error}")),
            }
        }
        (attachments, wrong)
    }

    /// As a disk keeps them, while the controller's plan stands at `at`.
    pub fn kept(&self, at: Cursor) -> Kept {
        Kept {
            ports: self.ports.clone(),
            macs: self.macs.clone(),
            at: self.ahead.unwrap_or(at),
        }
    }

    /// What a holder was attached to.
    pub fn of(&self, holder: &Holder) -> Attachment {
        let found = match holder {
            Holder::Port(id) => self.ports.get(id),
            Holder::Mac(mac) => self.macs.get(mac).map(|by| &by.attachment),
        };
        found.cloned().unwrap_or(Attachment::Detached)
    }

    /// What a planned port is attached to, by its id or its MAC.
    pub fn of_port(&self, id: &PortId, port: &Port) -> Attachment {
        let by_mac = || self.by_mac(id, port).map(|by| &by.attachment);
        let found = self.ports.get(id).or_else(by_mac);
        found.cloned().unwrap_or(Attachment::Detached)
    }

    /// The attachment of a planned port's MAC, where the port has it.
    pub fn by_mac(&self, id: &PortId, port: &Port) -> Option<&ByMac> {
        let by = self.macs.get(&port.mac)?;
        (by.port.as_ref() == Some(id) && !self.ports.contains_key(id)).then_some(by)
    }

    /// The same with one holder attached otherwise. Which ports have what by their MACs is as it was.
    pub fn with(&self, holder: &Holder, attachment: &Attachment) -> Result<Self, AttachError> {
        let mut with = self.clone();
        with.put(holder, attachment)?;
        Ok(with)
    }

    fn put(&mut self, holder: &Holder, attachment: &Attachment) -> Result<(), AttachError> {
        if *attachment == Attachment::Detached {
            match holder {
                Holder::Port(id) => drop(self.ports.remove(id)),
                Holder::Mac(mac) => drop(self.macs.remove(mac)),
            }
            return Ok(());
        }
        if let Holder::Mac(mac) = holder
            && !mac.is_station()
        {
            return Err(AttachError::NoStation(*mac));
        }
        check(attachment)?;
        if let Some(other) = self.holder_of(attachment).filter(|other| other != holder) {
            return Err(AttachError::Taken { holder: other });
        }
        match holder {
            Holder::Port(id) => drop(self.ports.insert(id.clone(), attachment.clone())),
            Holder::Mac(mac) => {
                let port = self.macs.remove(mac).and_then(|by| by.port);
                let attachment = attachment.clone();
                self.macs.insert(*mac, ByMac { attachment, port });
            }
        }
        Ok(())
    }

    /// Who has the device of this attachment.
    fn holder_of(&self, attachment: &Attachment) -> Option<Holder> {
        let port = self
            .ports
            .iter()
            .find(|(_, other)| same_device(other, attachment));
        let mac = || {
            let mut macs = self.macs.iter();
            macs.find(|(_, by)| same_device(&by.attachment, attachment))
        };
        port.map(|(id, _)| Holder::Port(id.clone()))
            .or_else(|| mac().map(|(mac, _)| Holder::Mac(*mac)))
    }

    fn hand(&mut self, holder: &Holder, port: Option<PortId>) {
        if let Holder::Mac(mac) = holder
            && let Some(by) = self.macs.get_mut(mac)
        {
            by.port = port;
        }
    }

    /// All of ports.
    pub const fn all(&self) -> &BTreeMap<PortId, Attachment> {
        &self.ports
    }

    /// All of MACs.
    pub const fn all_by_mac(&self) -> &BTreeMap<Mac, ByMac> {
        &self.macs
    }

    /// A controller's change as the data plane gets it.
    pub fn fill_in(&self, change: Change) -> Change {
        match change {
            Change::Port(id, Some(port)) => {
                let attachment = self.of_port(&id, &port);
                Change::Port(id, Some(Port { attachment, ..port }))
            }
            change => change,
        }
    }

    /// A controller's plan as the data plane gets it.
    pub fn fill_in_plan(&self, plan: &HostPlan) -> HostPlan {
        let mut plan = plan.clone();
        for (id, port) in &mut plan.ports {
            port.attachment = self.of_port(id, port);
        }
        plan
    }

    /// Planned ports that are attached otherwise than by `before`.
    pub fn differing(&self, before: &Self, plan: &HostPlan) -> Vec<PortId> {
        let differs = |id: &PortId, port: &Port| self.of_port(id, port) != before.of_port(id, port);
        let ports = plan.ports.iter().filter(|(id, port)| differs(id, port));
        ports.map(|(id, _)| id.clone()).collect()
    }
}

fn same_device(one: &Attachment, other: &Attachment) -> bool {
    let interface = |attachment: &Attachment| match attachment {
        Attachment::Tap { interface, netns } | Attachment::Packet { interface, netns } => {
            Some((interface.clone(), netns.clone()))
        }
        Attachment::Dpdk { .. } | Attachment::Detached => None,
    };
    // DPDK's devices are told apart by what stands before the first comma.
    let device = |attachment: &Attachment| match attachment {
        Attachment::Dpdk { device } => device.split(',').next().map(str::to_owned),
        _ => None,
    };
    let both = |same: Option<bool>| same == Some(true);
    both(interface(one).map(|mine| Some(mine) == interface(other)))
        || both(device(one).map(|mine| Some(mine) == device(other)))
}

/// Asks the plan's own rules, with a plan of just this port.
fn check(attachment: &Attachment) -> Result<(), AttachError> {
    let illegal = |error: String| AttachError::Illegal(error);
    let vni = Vni::new(1).map_err(|error| illegal(error.to_string()))?;
    let (Ok(network), Ok(id)) = ("n".parse(), "p".parse()) else {
        return Err(illegal("no ids can be made".to_owned()));
    };
    let mut plan = HostPlan::default();
    let port = Port {
        network,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        addresses: Vec::new(),
        allowed_address_pairs: Vec::new(),
        port_security: true,
        security_groups: Vec::new(),
        hostname: None,
        attachment: attachment.clone(),
        budgets: Budgets::default(),
        admin_up: true,
    };
    let segment = Network {
        vni,
        mtu: Mtu::VXLAN_IPV4,
        endpoints: Vec::new(),
    };
    plan.networks.insert(port.network.clone(), segment);
    plan.ports.insert(id, port);
    plan.validate().map_err(|error| illegal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tap(interface: &str) -> Attachment {
        Attachment::Tap {
            interface: interface.to_owned(),
            netns: None,
        }
    }

    fn id(name: &str) -> PortId {
        name.parse().unwrap()
    }

    fn port(name: &str) -> Holder {
        Holder::Port(id(name))
    }

    #[test]
    fn an_interface_belongs_to_one_holder() {
        let attachments = Attachments::default().with(&port("a"), &tap("tap0")).unwrap();
        assert_eq!(attachments.of(&port("a")), tap("tap0"));
        assert_eq!(attachments.of(&port("b")), Attachment::Detached);
        let packet = Attachment::Packet {
            interface: "tap0".to_owned(),
            netns: None,
        };
        assert_eq!(
            attachments.with(&port("b"), &packet),
            Err(AttachError::Taken { holder: port("a") })
        );
        let elsewhere = Attachment::Tap {
            interface: "tap0".to_owned(),
            netns: Some("/run/netns/guest".to_owned()),
        };
        assert!(attachments.with(&port("b"), &elsewhere).is_ok());
        assert!(
            attachments.with(&port("a"), &tap("tap0")).is_ok(),
            "it is its own"
        );
        let detached = attachments.with(&port("a"), &Attachment::Detached).unwrap();
        assert_eq!(detached, Attachments::default());
        assert!(detached.with(&port("b"), &packet).is_ok());
    }

    #[test]
    fn dpdk_devices_are_told_apart_by_their_names() {
        let dpdk = |device: &str| Attachment::Dpdk {
            device: device.to_owned(),
        };
        let attachments = Attachments::default()
            .with(&port("a"), &dpdk("net_vhost0,iface=/run/a"))
            .unwrap();
        assert!(
            attachments
                .with(&port("b"), &dpdk("net_vhost0,iface=/run/b"))
                .is_err()
        );
        assert!(attachments.with(&port("b"), &dpdk("net_vhost1")).is_ok());
    }

    #[test]
    fn what_no_plan_may_have_is_refused_and_left_out_when_it_was_kept() {
        let long = Attachments::default().with(&port("a"), &tap("sixteen-bytes-xx"));
        assert!(matches!(long, Err(AttachError::Illegal(_))), "{long:?}");
        let kept = [("a", "tap0"), ("b", "tap0"), ("c", ""), ("d", "tap1")];
        let kept = kept.map(|(name, interface)| (id(name), tap(interface)));
        let kept = Kept {
            ports: kept.into_iter().collect(),
            ..Kept::default()
        };
        let (restored, wrong) = Attachments::restore(kept);
        assert_eq!(
            restored.all().keys().map(PortId::as_str).collect::<Vec<_>>(),
            ["a", "d"]
        );
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }
}
