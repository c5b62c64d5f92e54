//! Whether this kernel really takes a segment whole and cuts it right: one is sent to a device of our own, which has no
//! other end, and what comes out is held against what the switch itself makes of it.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use anet_memory::buffer::{Buffer, Checksum, Pool, PoolSettings, SegmentKind, Segmentation};
use anet_packet::segment::Cut;
use anet_packet::{checksum, ethernet, udp, vxlan};

use super::outer::Outer;
use super::tap::UplinkTap;
use super::whole::{self, Path};
use crate::kernel::interface::Interfaces;

/// Payload of each packet, and how much in all.
const SIZE: u16 = 1_000;
const PAYLOAD: usize = 2_500;
/// Bytes of the inner Ethernet, IPv4 and TCP header.
const HEADERS: usize = 54;
const SOURCE_PORT: u16 = 4_789;
/// It comes out while it is written; this is for a machine that is very busy.
const PATIENCE: Duration = Duration::from_millis(200);

/// How a trial failed; the words end "a segment that was sent through for a trial …".
#[derive(Debug)]
pub(super) enum Trial {
    /// Its memory or its device could not be had.
    NotMade(String),
    /// The kernel refused it.
    Refused(std::io::Error),
    /// Nothing, or too little, came out.
    Lost,
    /// What came out is not what it should be.
    Wrong,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMade(why) => write!(f, "could not be made: {why}"),
            Self::Refused(error) => write!(f, "was refused: {error}"),
            Self::Lost => f.write_str("was lost; see `nstat` and the programs that `bpftool net` shows"),
            Self::Wrong => f.write_str("was cut wrongly; please report the kernel's version"),
        }
    }
}

/// Sends one from `address` through `tap` to the device behind a TUN, which has a name.
pub(super) fn run(tap: &UplinkTap, (sink, name): (&File, &str), address: IpAddr) -> Result<(), Trial> {
    let not_made = |error: std::io::Error| Trial::NotMade(error.to_string());
    let interfaces = Interfaces::here().map_err(not_made)?;
    // It needs a link-local prefix, whatever new devices get here.
    for (setting, value) in [("addr_gen_mode", "0"), ("disable_ipv6", "0")] {
        _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/{setting}"), value);
    }
    interfaces.set_up(name, true).map_err(not_made)?;
    let path = Path {
        device: interfaces.index(name).map_err(not_made)?,
        mtu: 1_500,
    };
    // Nobody has these: the route is that of the device, which is asked for nothing else.
    let destination: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::new(169, 254, 0, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(),
    };
    let outer = Outer {
        source: SocketAddr::new(address, SOURCE_PORT),
        destination: SocketAddr::new(destination, vxlan::PORT),
        traffic_class: 0,
        time_to_live: 1,
    };
    let pool = PoolSettings {
        buffers: 1,
        slabs: 1,
        ..PoolSettings::default()
    };
    let pool = Pool::new(pool).map_err(|error| Trial::NotMade(error.to_string()))?;
    let inner = segment();
    let mut frame = frame(&pool, &outer, &inner).ok_or(Trial::Wrong)?;
    let payload_at = outer.len();
    let header = whole::prepare(&mut frame, (&outer, payload_at), SOURCE_PORT, path).ok_or(Trial::Wrong)?;
    tap.write(&header, &frame).map_err(Trial::Refused)?;
    compare(sink, &outer, &inner)
}

/// A segment of TCP over IPv4, its checksum the pseudo header's.
fn segment() -> Vec<u8> {
    let (from, to) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let ip_len = (HEADERS - ethernet::HEADER_LEN + PAYLOAD) as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend(ip_len.to_be_bytes());
    frame.extend([0, 7, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(from);
    frame.extend(to);
    let sum = checksum::of(&frame[ethernet::HEADER_LEN..]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    // Ports, sequence and acknowledgement number, PSH and ACK, window, checksum, urgent pointer.
    frame.extend([0, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0]);
    let length = ip_len as u32 - 20;
    let pseudo = checksum::pseudo_header_v4(from.into(), to.into(), 6, length);
    frame.extend(checksum::fold(pseudo).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend((0..PAYLOAD).map(|i| (i % 251) as u8));
    frame
}

/// The segment as the data plane hands it over.
fn frame(pool: &Pool, outer: &Outer, inner: &[u8]) -> Option<Buffer> {
    let mut bytes = vec![0; outer.len()];
    outer.write(vxlan::HEADER_LEN + inner.len(), &mut bytes);
    bytes.extend([8, 0, 0, 0, 0, 0, 1, 0]);
    bytes.extend_from_slice(inner);
    let mut frame = pool.copy_from(&bytes)?;
    frame.meta.segmentation = Segmentation {
        kind: SegmentKind::TcpV4,
        size: SIZE,
        ecn: false,
    };
    let start = (outer.len() + vxlan::HEADER_LEN + HEADERS - 20) as u16;
    frame.meta.checksum = Checksum::Partial { start, offset: 16 };
    Some(frame)
}

/// Reads what comes out, and holds it against what the switch would have cut.
fn compare(mut sink: &File, outer: &Outer, inner: &[u8]) -> Result<(), Trial> {
    let cut = Cut::new(inner, inner.len(), SIZE, false).map_err(|_| Trial::Wrong)?;
    let (mut next, mut packet, end) = (0, [0; 2_048], Instant::now() + PATIENCE);
    while next < cut.count() {
        let Ok(len) = sink.read(&mut packet) else {
            if Instant::now() > end {
                return Err(Trial::Lost);
            }
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        let Some(datagram) = datagram(&packet[..len], outer) else {
            // The kernel's own, such as a router solicitation.
            continue;
        };
        let payload = &inner[HEADERS..][cut.payload(next)];
        let mut expected = vec![0; HEADERS];
        cut.write_headers(next, checksum::sum(payload), &mut expected);
        expected.extend_from_slice(payload);
        if datagram.payload().get(vxlan::HEADER_LEN..) != Some(&expected[..])
            || !datagram.checksum_is_valid(outer.source.ip(), outer.destination.ip())
        {
            return Err(Trial::Wrong);
        }
        next += 1;
    }
    Ok(())
}

/// The UDP datagram in a packet of ours.
fn datagram<'a>(packet: &'a [u8], outer: &Outer) -> Option<udp::Udp<'a>> {
    let header = outer.len() - ethernet::HEADER_LEN - udp::HEADER_LEN;
    let protocol_at = if outer.destination.is_ipv4() { 9 } else { 6 };
    let version = if outer.destination.is_ipv4() { 4 } else { 6 };
    let is_udp = packet.first()? >> 4 == version && *packet.get(protocol_at)? == anet_packet::protocol::UDP;
    let datagram = udp::Udp::parse(packet.get(header..)?).ok()?;
    (is_udp && datagram.destination_port() == outer.destination.port()).then_some(datagram)
}
