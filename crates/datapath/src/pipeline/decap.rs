//! `decap`: a frame from the underlay becomes a frame of a network, where its outer source may send into it.

use std::net::IpAddr;

use anet_memory::buffer::{Buffer, SegmentKind};
use anet_packet::parse;

use super::walk::{Verdict, Walk};
use crate::interface::Interface;
use crate::tables::Tables;
use crate::verdict::DropReason;

const UDP_AND_VXLAN: usize = 16;

/// Outer headers, as far as `decap` reads them.
struct Outer {
    source: IpAddr,
    destination: IpAddr,
    udp_port: u16,
    udp_length: u16,
    vni: u32,
    ecn: u8,
    length: usize,
}

/// Codepoints of the ECN field (RFC 3168).
const ECT_1: u8 = 1;
const CE: u8 = 3;

/// The stage. Frames of ports pass.
pub(super) fn stage(walk: &mut Walk<'_, '_>) -> Verdict {
    if walk.source != Interface::UPLINK {
        return Verdict::Next;
    }
    let membership = match decapsulate(walk.environment.tables, walk.frame) {
        Ok(membership) => membership,
        Err(reason) => {
            walk.record(|_| reason.explanation().to_string());
            return reason.into();
        }
    };
    walk.source = Interface::membership(membership);
    match parse::layout(walk.frame.head(), walk.frame.len()) {
        Ok(layout) => walk.layout = layout,
        Err(malformed) => {
            walk.record(|_| malformed.text().to_string());
            return DropReason::from(malformed).into();
        }
    }
    walk.record(|w| match w.environment.tables.membership(membership) {
        Some(m) => format!("from endpoint {} in segment {}", m.source, m.vni),
        None => String::new(),
    });
    Verdict::Next
}

/// Takes the outer headers off and answers with the index of the membership that the outer source has in the VNI.
/// Congestion marked by the underlay is carried over (RFC 6040). Cost: one lookup.
pub fn decapsulate(tables: &Tables, frame: &mut Buffer) -> Result<u32, DropReason> {
    let outer = outer_of(frame.head()).ok_or(DropReason::NotVxlan)?;
    let tunnel = tables.tunnel().ok_or(DropReason::NoTunnel)?;
    if outer.destination != tunnel.address || outer.udp_port != tunnel.udp_port {
        return Err(DropReason::NotVxlan);
    }
    let membership = tables.membership_of(outer.vni, outer.source).ok_or_else(|| {
        if tables.knows_vni(outer.vni) {
            DropReason::UnknownEndpoint
        } else {
            DropReason::UnknownVni
        }
    })?;
    trim(frame, &outer)?;
    if matches!(outer.ecn, ECT_1 | CE) {
        carry_over(outer.ecn, frame.head_mut())?;
    }
    Ok(membership)
}

/// Takes the outer header off, and what lies behind the outer UDP datagram (padding of the underlay). The outer lengths of a
/// large segment say nothing.
fn trim(frame: &mut Buffer, outer: &Outer) -> Result<(), DropReason> {
    frame.trim_front(outer.length).map_err(|_| DropReason::NotVxlan)?;
    if frame.meta.segmentation.kind != SegmentKind::None {
        return Ok(());
    }
    match usize::from(outer.udp_length).checked_sub(UDP_AND_VXLAN) {
        Some(inner) if inner <= frame.len() => {
            frame.truncate(inner);
            Ok(())
        }
        _ => Err(DropReason::NotVxlan),
    }
}

fn outer_of(head: &[u8]) -> Option<Outer> {
    let (source, destination, tos, udp) = match head.get(12..14)? {
        [0x08, 0x00] => {
            let ip = head.get(14..34)?;
            let plain = ip[0] == 0x45 && ip[9] == 17 && u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff == 0;
            if !plain {
                return None;
            }
            let address = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&ip[at..at + 4]).unwrap_or_default());
            (address(12), address(16), ip[1], 34)
        }
        [0x86, 0xdd] => {
            let ip = head.get(14..54)?;
            if ip[0] >> 4 != 6 || ip[6] != 17 {
                return None;
            }
            let address =
                |at: usize| IpAddr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).unwrap_or_default());
            (address(8), address(24), ip[0] << 4 | ip[1] >> 4, 54)
        }
        _ => return None,
    };
    let rest = head.get(udp..udp + UDP_AND_VXLAN)?;
    // RFC 7348 section 5: the I flag must be set, the other bits are ignored on receipt.
    if rest[8] & 0x08 == 0 {
        return None;
    }
    Some(Outer {
        source,
        destination,
        udp_port: u16::from_be_bytes([rest[2], rest[3]]),
        udp_length: u16::from_be_bytes([rest[4], rest[5]]),
        vni: u32::from_be_bytes([0, rest[12], rest[13], rest[14]]),
        ecn: tos & 3,
        length: udp + UDP_AND_VXLAN,
    })
}

/// What the underlay marked goes over to the inner packet where its sender understands it: CE always, ECT(1) in place of ECT(0)
/// (RFC 6040 section 4.2).
fn carry_over(outer: u8, frame: &mut [u8]) -> Result<(), DropReason> {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => {
            let ip = frame.get_mut(14..34).ok_or(DropReason::Malformed)?;
            let before = u16::from_be_bytes([ip[0], ip[1]]);
            ip[1] = ip[1] & !3 | merged(outer, ip[1] & 3)?;
            let after = u16::from_be_bytes([ip[0], ip[1]]);
            let sum = u16::from_be_bytes([ip[10], ip[11]]);
            // RFC 1624: HC' = ~(~HC + ~m + m').
            let mut folded = u32::from(!sum) + u32::from(!before) + u32::from(after);
            folded = (folded & 0xffff) + (folded >> 16);
            folded = (folded & 0xffff) + (folded >> 16);
            ip[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
        }
        Some([0x86, 0xdd]) => {
            let ip = frame.get_mut(14..18).ok_or(DropReason::Malformed)?;
            ip[1] = ip[1] & !0x30 | merged(outer, ip[1] >> 4 & 3)? << 4;
        }
        // ARP and the like carry no mark; the congestion was told to nobody, and nothing else can be done.
        _ => {}
    }
    Ok(())
}

/// The inner codepoint under an outer one that is ECT(1) or CE.
fn merged(outer: u8, inner: u8) -> Result<u8, DropReason> {
    match (outer, inner) {
        (CE, 0) => Err(DropReason::CongestionNotCapable),
        (_, 0) => Ok(0),
        (_, CE) => Ok(CE),
        (outer, _) => Ok(outer),
    }
}
