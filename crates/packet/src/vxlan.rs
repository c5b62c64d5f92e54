//! VXLAN (RFC 7348): the header, and the outer source port that spreads flows over paths.

use crate::addr::Vni;
use crate::malformed::Malformed;

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;
/// The UDP destination port that IANA assigned.
pub const PORT: u16 = 4789;

/// Set in the first byte where the VNI is valid.
const FLAG_VNI: u8 = 0x08;

/// A view of a VXLAN packet: the payload of its outer UDP datagram.
#[derive(Debug, Clone, Copy)]
pub struct Vxlan<'a> {
    header: &'a [u8; HEADER_LEN],
    inner: &'a [u8],
}

impl<'a> Vxlan<'a> {
    /// A view of `bytes`. The I flag must be set; reserved bits are ignored (RFC 7348, 5).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, inner) = bytes.split_first_chunk().ok_or(Malformed::VxlanTruncated)?;
        let view = Self { header, inner };
        if header[0] & FLAG_VNI == 0 {
            return Err(Malformed::VxlanFlags);
        }
        Ok(view)
    }

    /// The 24 bits of the VNI.
    #[inline]
    pub fn vni_bits(&self) -> u32 {
        let [_, _, _, _, a, b, c, _] = *self.header;
        u32::from_be_bytes([0, a, b, c])
    }

    /// The VNI; `None` for zero, which names no tenant's network.
    #[inline]
    pub fn vni(&self) -> Option<Vni> {
        Vni::new(self.vni_bits()).ok()
    }

    /// True where every reserved bit is zero, as a sender must leave it.
    #[inline]
    pub fn reserved_is_zero(&self) -> bool {
        let [flags, a, b, c, _, _, _, d] = *self.header;
        flags & !FLAG_VNI == 0 && (a | b | c | d) == 0
    }

    /// The inner Ethernet frame.
    #[inline]
    pub fn inner(&self) -> &'a [u8] {
        self.inner
    }
}

/// The header for `vni`.
#[inline]
pub const fn header(vni: Vni) -> [u8; HEADER_LEN] {
    let [_, a, b, c] = vni.get().to_be_bytes();
    [FLAG_VNI, 0, 0, 0, a, b, c, 0]
}

/// The outer UDP source port for an inner flow of this hash: 49,152 to 65,535 (RFC 7348, 5). Packets of a flow keep one
/// path; the bits are taken from the middle, which nobody else uses to pick a bucket or a worker.
#[inline]
pub const fn outer_source_port(hash: u64) -> u16 {
    0xc000 | ((hash >> 24) as u16 & 0x3fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let vni = Vni::new(0x00ab_cdef).unwrap();
        let bytes = [&header(vni)[..], &[1, 2, 3]].concat();
        let view = Vxlan::parse(&bytes).unwrap();
        assert_eq!(
            (view.vni(), view.inner(), view.reserved_is_zero()),
            (Some(vni), &[1, 2, 3][..], true)
        );
    }

    #[test]
    fn flags_and_length_are_checked() {
        assert_eq!(Vxlan::parse(&[8; 7]).unwrap_err(), Malformed::VxlanTruncated);
        assert_eq!(
            Vxlan::parse(&[0xf7, 0, 0, 0, 0, 0, 1, 0]).unwrap_err(),
            Malformed::VxlanFlags
        );
        let odd = [0x0c, 0, 0, 0, 0, 0, 0, 0];
        let view = Vxlan::parse(&odd).unwrap();
        assert_eq!((view.vni(), view.reserved_is_zero()), (None, false));
    }

    #[test]
    fn outer_ports_stay_in_the_dynamic_range_and_use_all_of_it() {
        let mut seen = vec![false; 1 << 16];
        for i in 0..1u64 << 14 {
            seen[usize::from(outer_source_port(i << 24))] = true;
        }
        assert_eq!(seen.iter().filter(|s| **s).count(), 1 << 14);
        assert!(seen[..49_152].iter().all(|s| !s) && outer_source_port(u64::MAX) == 65_535);
    }
}
