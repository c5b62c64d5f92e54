//! What may be changed about a frame before it is built.

use super::{FrameBuilder, Network, Tcp, Transport};
use crate::addr::{Vlan, Vni};
use crate::vxlan;

impl FrameBuilder {
    /// `n` bytes of payload: 0, 1, 2 and so on.
    pub fn payload(self, n: usize) -> Self {
        Self {
            payload: (0..n).map(|i| i as u8).collect(),
            ..self
        }
    }

    /// These bytes as payload: a DHCP message, or the packet that an ICMP error quotes (a frame from byte 14).
    pub fn payload_bytes(self, payload: &[u8]) -> Self {
        Self {
            payload: payload.to_vec(),
            ..self
        }
    }

    /// A VXLAN packet as the payload of this UDP frame, whose ports stay as they are.
    pub fn vxlan(self, vni: Vni, inner: &[u8]) -> Self {
        Self {
            payload: [&vxlan::header(vni)[..], inner].concat(),
            ..self
        }
    }

    /// TCP's flags, see [`crate::tcp::flag`].
    pub fn flags(mut self, flags: u8) -> Self {
        self.tcp_mut().flags = flags;
        self
    }

    /// TCP's sequence and acknowledgment numbers.
    pub fn numbers(mut self, sequence: u32, acknowledgment: u32) -> Self {
        let tcp = self.tcp_mut();
        (tcp.sequence, tcp.acknowledgment) = (sequence, acknowledgment);
        self
    }

    /// TCP's window, as on the wire.
    pub fn window(mut self, window: u16) -> Self {
        self.tcp_mut().window = window;
        self
    }

    /// TCP's options: at most 40 bytes, a multiple of 4.
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        assert!(options.len() <= 40 && options.len().is_multiple_of(4));
        self.tcp_mut().options = options.to_vec();
        self
    }

    fn tcp_mut(&mut self) -> &mut Tcp {
        match &mut self.transport {
            Transport::Tcp(tcp) => tcp,
            other => panic!("not TCP: {other:?}"),
        }
    }

    /// TTL or hop limit.
    pub fn time_to_live(mut self, hops: u8) -> Self {
        match &mut self.network {
            Network::V4(header, _) => header.time_to_live = hops,
            Network::V6(header, _) => header.hop_limit = hops,
            Network::Raw(_) => {}
        }
        self
    }

    /// DSCP and ECN.
    pub fn traffic_class(mut self, class: u8) -> Self {
        match &mut self.network {
            Network::V4(header, _) => header.traffic_class = class,
            Network::V6(header, _) => header.traffic_class = class,
            Network::Raw(_) => {}
        }
        self
    }

    /// The number that the packet's fragments share; IPv4 has its lower half.
    pub fn identification(self, number: u32) -> Self {
        Self {
            identification: Some(number),
            ..self
        }
    }

    /// Whether IPv4's "don't fragment" is set; it is by default.
    pub fn dont_fragment(mut self, is_set: bool) -> Self {
        if let Network::V4(header, _) = &mut self.network {
            header.dont_fragment = is_set;
        }
        self
    }

    /// IPv4 options: at most 40 bytes, a multiple of 4.
    pub fn ipv4_options(mut self, bytes: &[u8]) -> Self {
        assert!(bytes.len() <= 40 && bytes.len().is_multiple_of(4));
        match &mut self.network {
            Network::V4(_, options) => *options = bytes.to_vec(),
            other => panic!("not IPv4: {other:?}"),
        }
        self
    }

    /// One more IPv6 extension header: its number and what follows its length byte: 6 bytes or 8 more, and so on.
    /// (Whoever wants fragments calls [`Self::fragments`].)
    pub fn extension(mut self, number: u8, data: &[u8]) -> Self {
        assert!((data.len() + 2).is_multiple_of(8));
        match &mut self.network {
            Network::V6(_, extensions) => extensions.push((number, data.to_vec())),
            other => panic!("not IPv6: {other:?}"),
        }
        self
    }

    /// An 802.1Q tag.
    pub fn vlan(self, vlan: Vlan) -> Self {
        Self {
            vlan: Some(vlan),
            ..self
        }
    }

    /// Zeros behind the packet up to `minimum` bytes of frame (60 is Ethernet's minimum).
    pub fn pad_to(self, minimum: usize) -> Self {
        Self { minimum, ..self }
    }

    /// The transport checksum holds the pseudo header's sum only, as virtio's NEEDS_CSUM has it.
    pub fn partial_checksum(self) -> Self {
        Self {
            partial: true,
            ..self
        }
    }
}
