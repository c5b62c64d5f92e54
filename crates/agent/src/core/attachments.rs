//! What this host's ports are attached to: the host knows, and no controller does.

use std::collections::BTreeMap;

use anet_model::changeset::Change;
use anet_model::host_plan::{Attachment, Budgets, HostPlan, Network, Port, PortId};
use anet_packet::addr::{Mac, Mtu, Vni};

/// Why a port cannot be attached so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// Another port has the interface.
    #[error("port {port} has this interface already: detach it first")]
    Taken {
        /// The other port.
        port: PortId,
    },
    /// Not a legal attachment.
    #[error("{0}")]
    Illegal(String),
}

/// Attachments by port, each interface once. A port that is not in it is detached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachments(BTreeMap<PortId, Attachment>);

impl Attachments {
    /// Those of them that are legal, with what is wrong with each other one.
    pub fn restore(kept: BTreeMap<PortId, Attachment>) -> (Self, Vec<String>) {
        let (mut attachments, mut wrong) = (Self::default(), Vec::new());
        for (port, attachment) in kept {
            match attachments.with(&port, &attachment) {
                Ok(with) => attachments = with,
                Err(error) => wrong.push(format!("port {port} stays detached: {error}")),
            }
        }
        (attachments, wrong)
    }

    /// What a port is attached to.
    pub fn of(&self, port: &PortId) -> Attachment {
        self.0.get(port).cloned().unwrap_or(Attachment::Detached)
    }

    /// The same with one port attached otherwise.
    pub fn with(&self, port: &PortId, attachment: &Attachment) -> Result<Self, AttachError> {
        let mut with = self.clone();
        if *attachment == Attachment::Detached {
            with.0.remove(port);
            return Ok(with);
        }
        check(attachment)?;
        let other = self
            .0
            .iter()
            .find(|(other, theirs)| *other != port && same_device(theirs, attachment));
        if let Some((other, _)) = other {
            return Err(AttachError::Taken { port: other.clone() });
        }
        with.0.insert(port.clone(), attachment.clone());
        Ok(with)
    }

    /// All of them.
    pub const fn all(&self) -> &BTreeMap<PortId, Attachment> {
        &self.0
    }

    /// A controller's change as the data plane gets it.
    pub fn fill_in(&self, change: Change) -> Change {
        match change {
            Change::Port(id, Some(port)) => {
                let attachment = self.of(&id);
                Change::Port(id, Some(Port { attachment, ..port }))
            }
            change => change,
        }
    }

    /// A controller's plan as the data plane gets it.
    pub fn fill_in_plan(&self, plan: &HostPlan) -> HostPlan {
        let mut plan = plan.clone();
        for (id, port) in &mut plan.ports {
            port.attachment = self.of(id);
        }
        plan
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

    #[test]
    fn an_interface_belongs_to_one_port() {
        let attachments = Attachments::default().with(&id("a"), &tap("tap0")).unwrap();
        assert_eq!(attachments.of(&id("a")), tap("tap0"));
        assert_eq!(attachments.of(&id("b")), Attachment::Detached);
        let packet = Attachment::Packet {
            interface: "tap0".to_owned(),
            netns: None,
        };
        assert_eq!(
            attachments.with(&id("b"), &packet),
            Err(AttachError::Taken { port: id("a") })
        );
        let elsewhere = Attachment::Tap {
            interface: "tap0".to_owned(),
            netns: Some("/run/netns/guest".to_owned()),
        };
        assert!(attachments.with(&id("b"), &elsewhere).is_ok());
        assert!(attachments.with(&id("a"), &tap("tap0")).is_ok(), "it is its own");
        let detached = attachments.with(&id("a"), &Attachment::Detached).unwrap();
        assert_eq!(detached, Attachments::default());
        assert!(detached.with(&id("b"), &packet).is_ok());
    }

    #[test]
    fn dpdk_devices_are_told_apart_by_their_names() {
        let dpdk = |device: &str| Attachment::Dpdk {
            device: device.to_owned(),
        };
        let attachments = Attachments::default()
            .with(&id("a"), &dpdk("net_vhost0,iface=/run/a"))
            .unwrap();
        assert!(
            attachments
                .with(&id("b"), &dpdk("net_vhost0,iface=/run/b"))
                .is_err()
        );
        assert!(attachments.with(&id("b"), &dpdk("net_vhost1")).is_ok());
    }

    #[test]
    fn what_no_plan_may_have_is_refused_and_left_out_when_it_was_kept() {
        let long = Attachments::default().with(&id("a"), &tap("sixteen-bytes-xx"));
        assert!(matches!(long, Err(AttachError::Illegal(_))), "{long:?}");
        let kept = [("a", "tap0"), ("b", "tap0"), ("c", ""), ("d", "tap1")];
        let kept = kept.map(|(port, interface)| (id(port), tap(interface)));
        let (restored, wrong) = Attachments::restore(kept.into_iter().collect());
        assert_eq!(
            restored.all().keys().map(PortId::as_str).collect::<Vec<_>>(),
            ["a", "d"]
        );
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }
}
