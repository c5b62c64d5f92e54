//! The frame of a trace that comes out of the tunnel: what a remote endpoint would send, outer headers and all.

use std::net::IpAddr;

use anet_datapath::tables::{LocalTunnel, OuterHeader};
use anet_model::host_plan::{Endpoint, EndpointId, HostPlan, Network, NetworkId, Peer, Tunnel};
use anet_packet::addr::Mac;
use anet_wire::control::trace::{TraceFields, TracePacket};

use super::frame::{self, FrameError};

/// A source port of the ephemeral range, as tunnel endpoints use (RFC 7348, 5).
const SOURCE_PORT: u16 = 49_152;

/// Why there is no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TunnelFrameError {
    /// This host has no overlay.
    #[error("this host has no tunnel: the plan names no address for it")]
    NoTunnel,
    /// The plan does not know who sends.
    #[error("there is no endpoint {0}; `ctl dump` lists them")]
    NoEndpoint(EndpointId),
    /// The plan does not know the segment.
    #[error("there is no network {0}; `ctl dump` lists them")]
    NoNetwork(NetworkId),
    /// The endpoint's address is of the other family than the tunnel's.
    #[error("endpoint {endpoint} at {address} cannot send to the tunnel's address {tunnel}")]
    Families {
        /// Who would send.
        endpoint: EndpointId,
        /// From there.
        address: IpAddr,
        /// To here.
        tunnel: IpAddr,
    },
    /// Nobody in the network has the source address.
    #[error("no remote station of network {network} has {address}; `ctl dump` lists the peers")]
    NoStation {
        /// The network.
        network: NetworkId,
        /// The source.
        address: IpAddr,
    },
    /// No source was given, and there is none to be found.
    #[error(
        "no station of network {network} behind endpoint {endpoint} has an address of the family of {destination}; give one with --from"
    )]
    NoSource {
        /// The network.
        network: NetworkId,
        /// The endpoint.
        endpoint: EndpointId,
        /// Where the packet is to go.
        destination: IpAddr,
    },
    /// The inner frame cannot be made.
    #[error(transparent)]
    Inner(#[from] FrameError),
}

/// The whole frame, as it would come from the underlay. `resolve` answers what the remote guest's ARP or ND would.
pub fn build(
    plan: &HostPlan,
    (endpoint, network): (&EndpointId, &NetworkId),
    packet: &TracePacket,
    resolve: impl Fn(IpAddr) -> Option<Mac>,
) -> Result<Vec<u8>, TunnelFrameError> {
    let tunnel = plan.tunnel.as_ref().ok_or(TunnelFrameError::NoTunnel)?;
    let sender = plan.endpoints.get(endpoint);
    let sender = sender.ok_or_else(|| TunnelFrameError::NoEndpoint(endpoint.clone()))?;
    let segment = plan.networks.get(network);
    let segment = segment.ok_or_else(|| TunnelFrameError::NoNetwork(network.clone()))?;
    let inner = match packet {
        TracePacket::Frame(bytes) => bytes.clone(),
        TracePacket::Fields(fields) => {
            let (mac, address) = source(plan, (endpoint, network), fields)?;
            frame::build_of(mac, address, fields, resolve)?
        }
    };
    let differ = || TunnelFrameError::Families {
        endpoint: endpoint.clone(),
        address: sender.address,
        tunnel: tunnel.address,
    };
    wrap(tunnel, sender, segment, &inner).ok_or_else(differ)
}

/// The station that sends: the one with the given address, or the first one behind the endpoint.
fn source(
    plan: &HostPlan,
    (endpoint, network): (&EndpointId, &NetworkId),
    fields: &TraceFields,
) -> Result<(Mac, IpAddr), TunnelFrameError> {
    let to = fields.destination;
    let mut peers = plan.peers.values().filter(|peer| peer.network == *network);
    if let Some(address) = fields.source {
        let station = peers.find(|peer| peer.addresses.contains(&address));
        let missing = || TunnelFrameError::NoStation {
            network: network.clone(),
            address,
        };
        return station.map(|peer| (peer.mac, address)).ok_or_else(missing);
    }
    let of_family = |peer: &Peer| {
        let mut addresses = peer.addresses.iter();
        addresses
            .find(|address| address.is_ipv4() == to.is_ipv4())
            .copied()
    };
    peers
        .filter(|peer| peer.endpoint == *endpoint)
        .find_map(|peer| Some((peer.mac, of_family(peer)?)))
        .ok_or_else(|| TunnelFrameError::NoSource {
            network: network.clone(),
            endpoint: endpoint.clone(),
            destination: to,
        })
}

/// The frame in front of which the endpoint has put its outer headers; `None` where the families differ.
fn wrap(tunnel: &Tunnel, sender: &Endpoint, segment: &Network, inner: &[u8]) -> Option<Vec<u8>> {
    let sender = LocalTunnel {
        address: sender.address,
        udp_port: sender.udp_port,
    };
    let header = OuterHeader::compile(&sender, tunnel.address, tunnel.udp_port, Mac::ZERO, Mac::ZERO)?;
    let mut frame = vec![0; header.length()];
    header.write(&mut frame, inner.len(), segment.vni.get(), SOURCE_PORT, 0);
    frame.extend_from_slice(inner);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_wire::control::trace::TraceProtocol;

    fn plan(tunnel: &str, remote: &str) -> HostPlan {
        let text = format!(
            "tunnel: {{address: '{tunnel}'}}\nendpoints:\n  host2: {{address: '{remote}'}}\n  host3: {{address: '{remote}9'}}\n\
             networks:\n  blue: {{vni: 10, mtu: 1450, endpoints: [host2]}}\n\
             subnets:\n  v4: {{network: blue, prefix: 10.0.0.0/24}}\n\
             peers:\n  p: {{network: blue, mac: '02:00:00:00:00:05', addresses: [10.0.0.5, 'fd00::5'], endpoint: host2}}\n"
        );
        anet_wire::plan_text::parse(&text).unwrap()
    }

    fn fields(source: Option<&str>, to: &str) -> TracePacket {
        TracePacket::Fields(TraceFields {
            source: source.map(|source| source.parse().unwrap()),
            destination: to.parse().unwrap(),
            destination_mac: None,
            protocol: TraceProtocol::Udp {
                source_port: None,
                destination_port: 53,
            },
        })
    }

    fn built(plan: &HostPlan, from: (&str, &str), packet: &TracePacket) -> Result<Vec<u8>, TunnelFrameError> {
        let ids = (from.0.parse().unwrap(), from.1.parse().unwrap());
        build(plan, (&ids.0, &ids.1), packet, |_| Some(Mac([2; 6])))
    }

    #[test]
    fn a_remote_station_sends_through_its_endpoint() {
        for (tunnel, remote, outer) in [("192.0.2.1", "192.0.2.2", 50), ("2001:db8::1", "2001:db8::2", 70)] {
            let plan = plan(tunnel, remote);
            let frame = built(&plan, ("host2", "blue"), &fields(None, "10.0.0.1")).unwrap();
            let (header, inner) = frame.split_at(outer);
            assert_eq!(inner[..12], [2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 5]);
            assert_eq!(inner[26..30], [10, 0, 0, 5]);
            assert_eq!(header[outer - 4..outer - 1], [0, 0, 10]);
            let parsed = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
            assert!(
                matches!(parsed.transport, Some(etherparse::TransportSlice::Udp(udp)) if udp.destination_port() == 4789)
            );
            let v6 = built(&plan, ("host2", "blue"), &fields(Some("fd00::5"), "fd00::1")).unwrap();
            assert_eq!(v6[outer + 12..outer + 14], [0x86, 0xdd]);
            let whole = built(&plan, ("host2", "blue"), &TracePacket::Frame(vec![7; 60])).unwrap();
            assert_eq!(whole[outer..], [7; 60]);
        }
    }

    #[test]
    fn what_the_plan_does_not_know_is_an_error_that_names_it() {
        let plan = plan("192.0.2.1", "192.0.2.2");
        let told = |from, packet: &TracePacket| built(&plan, from, packet).unwrap_err().to_string();
        let to = fields(None, "10.0.0.1");
        assert!(told(("host9", "blue"), &to).contains("endpoint host9"));
        assert!(told(("host2", "red"), &to).contains("network red"));
        assert!(told(("host3", "blue"), &to).contains("behind endpoint host3"));
        assert!(told(("host2", "blue"), &fields(Some("10.0.0.77"), "10.0.0.1")).contains("10.0.0.77"));
        assert!(told(("host2", "blue"), &fields(Some("10.0.0.5"), "fd00::1")).contains("different families"));
        let local = HostPlan {
            tunnel: None,
            ..plan.clone()
        };
        assert_eq!(
            built(&local, ("host2", "blue"), &to),
            Err(TunnelFrameError::NoTunnel)
        );
    }
}
