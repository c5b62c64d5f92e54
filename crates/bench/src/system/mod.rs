//! Figures of the real daemon: `anet-vswitch` in network namespaces, real guests, real tools.

pub mod footprint;
pub mod kill;
pub mod lab;
pub mod tcp;

use std::net::{IpAddr, SocketAddr};

use anet_lab::fabric::{Fabric, GuestSpec, Layout};
use anet_lab::{LabError, Namespace, is_root};
use anet_model::host_plan::{PortRange, Protocol};
use anet_wire::plan_text;

use crate::error::BenchError;

impl From<LabError> for BenchError {
    fn from(error: LabError) -> Self {
        BenchError::Program {
            program: "the lab".to_owned(),
            what: error.to_string(),
        }
    }
}

/// Two hosts; `blue-11` and `blue-12` on the first, `blue-13` on the second; `more` further guests on the first. All may
/// receive any TCP and UDP. Every guest has its address. `arguments` are the daemons'.
fn two_hosts(more: &[(&'static str, u8)], arguments: &[&str]) -> Result<Fabric, BenchError> {
    if !is_root() {
        let what = "root is needed, for network namespaces: sudo make bench";
        return Err(BenchError::Missing(what.to_owned()));
    }
    let any = PortRange::ALL;
    let mut layout = Layout::two_hosts(&[("tcp", Protocol::Tcp(any)), ("udp", Protocol::Udp(any))]);
    layout.guests.extend(more.iter().map(|(name, number)| GuestSpec {
        name,
        host: "host-a",
        network: "blue",
        number: *number,
    }));
    let mut fabric = Fabric::build(layout, plan_text::to_text)?;
    fabric.start(arguments)?;
    for (_, address) in fabric.configure_by_dhcp(|guest| guest.dhcp4()) {
        address?;
    }
    Ok(fabric)
}

/// A guest's namespace and IPv4 address.
fn guest<'f>(fabric: &'f Fabric, name: &str) -> (&'f Namespace, IpAddr) {
    (fabric.namespace(name), fabric.layout.addresses(name)[0])
}

fn socket(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}
