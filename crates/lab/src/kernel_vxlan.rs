//! The Linux kernel's own VXLAN device: a foreign endpoint beside ours, and the peer that we are measured against.

use std::net::IpAddr;

use anet_packet::addr::{Mac, Vni};

use crate::{LabError, Namespace, output_of};

/// A kernel VXLAN device in a namespace, up, that learns nothing: it knows the remotes it was told.
#[derive(Debug)]
pub struct KernelVxlan {
    namespace: Namespace,
    interface: String,
}

impl KernelVxlan {
    /// Makes the device. `local` must be an address of the namespace; UDP port 4789, outer checksums as the kernel
    /// has them by default.
    pub fn new(namespace: &Namespace, interface: &str, vni: Vni, local: IpAddr) -> Result<Self, LabError> {
        let (vni, local) = (vni.to_string(), local.to_string());
        let kind = [
            "link", "add", interface, "type", "vxlan", "id", &vni, "local", &local,
        ];
        namespace.ip(&[&kind[..], &["dstport", "4789", "nolearning", "noudpcsum"]].concat())?;
        namespace.ip(&["link", "set", interface, "up"])?;
        Ok(Self {
            namespace: namespace.clone(),
            interface: interface.to_owned(),
        })
    }

    /// Sends a copy of broadcast and multicast to `remote`.
    pub fn flood_to(&self, remote: IpAddr) -> Result<(), LabError> {
        self.forward(Mac::ZERO, remote)
    }

    /// Sends frames for `mac` to `remote`.
    pub fn forward(&self, mac: Mac, remote: IpAddr) -> Result<(), LabError> {
        let (mac, remote) = (mac.to_string(), remote.to_string());
        let entry = [
            "fdb",
            "append",
            &mac,
            "dev",
            &self.interface,
            "dst",
            &remote,
            "permanent",
        ];
        output_of(
            std::process::Command::new("bridge")
                .args(["-n", self.namespace.name()])
                .args(entry),
        )
        .map(drop)
    }

    /// Makes the device itself a station of the network: its MAC and its addresses (`ADDRESS/LENGTH`).
    pub fn become_station(&self, mac: Mac, addresses: &[&str]) -> Result<(), LabError> {
        self.namespace
            .ip(&["link", "set", &self.interface, "address", &mac.to_string()])?;
        addresses
            .iter()
            .try_for_each(|address| self.namespace.add_address(&self.interface, address))
    }

    /// Makes the device finish checksums and cut large segments itself. Needed where a veth leads to an endpoint in user
    /// space: a NIC would finish packets on their way to the wire, a veth hands them over unfinished, and a UDP socket
    /// then reads inner checksums that are only the pseudo header's.
    pub fn finish_packets(&self) -> Result<(), LabError> {
        self.namespace
            .run("ethtool", &["-K", &self.interface, "tx", "off"])
            .map(drop)
    }

    /// Puts the device on a bridge of its namespace.
    pub fn join(&self, bridge: &str) -> Result<(), LabError> {
        self.namespace
            .ip(&["link", "set", &self.interface, "master", bridge])
            .map(drop)
    }
}
