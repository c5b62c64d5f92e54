//! What a datagram carries beside its bytes: socket addresses and control messages in the kernel's layout.
//!
//! Both are plain bytes here, built and read without `unsafe`; the system calls are elsewhere.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Bytes of the longest address, `sockaddr_in6`.
const ADDRESS_LEN: usize = 28;
/// Bytes for the control messages of one datagram: five of them at most.
pub(super) const CONTROL_LEN: usize = 128;
const HEADER_LEN: usize = size_of::<libc::cmsghdr>();
const ALIGN: usize = size_of::<usize>();

/// A socket address as the kernel has it.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Address {
    pub bytes: [u8; ADDRESS_LEN],
}

impl Address {
    /// Room for an address that is to be received.
    pub const EMPTY: Self = Self {
        bytes: [0; ADDRESS_LEN],
    };
    /// Bytes of that room.
    pub const LEN_MAX: u32 = ADDRESS_LEN as u32;

    /// The address, and its length in bytes.
    pub fn of(address: SocketAddr) -> (Self, u32) {
        let mut bytes = [0; ADDRESS_LEN];
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                bytes[4..8].copy_from_slice(&v4.ip().octets());
                (Self { bytes }, 16)
            }
            SocketAddr::V6(v6) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                bytes[8..24].copy_from_slice(&v6.ip().octets());
                bytes[24..].copy_from_slice(&v6.scope_id().to_ne_bytes());
                (Self { bytes }, ADDRESS_LEN as u32)
            }
        }
    }

    /// The address read back; `None` for a family that is not IP.
    pub fn to_socket_address(self) -> Option<SocketAddr> {
        let b = &self.bytes;
        let port = u16::from_be_bytes([b[2], b[3]]);
        match i32::from(u16::from_ne_bytes([b[0], b[1]])) {
            libc::AF_INET => Some((Ipv4Addr::new(b[4], b[5], b[6], b[7]), port).into()),
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(*b.get(8..)?.first_chunk::<16>()?);
                Some(SocketAddrV6::new(ip, port, 0, 0).into())
            }
            _ => None,
        }
    }
}

/// Control messages (`cmsg(3)`) to go with a datagram, or that came with one.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control {
    pub bytes: [u8; CONTROL_LEN],
}

impl Control {
    /// No message.
    pub const EMPTY: Self = Self {
        bytes: [0; CONTROL_LEN],
    };

    /// Puts a message behind the first `len` bytes, and returns the new length: unchanged where there is no room.
    pub fn push(&mut self, len: usize, level: i32, kind: i32, value: &[u8]) -> usize {
        let end = len + HEADER_LEN + value.len();
        let Some(room) = self.bytes.get_mut(len..end.next_multiple_of(ALIGN)) else {
            return len;
        };
        let total = room.len();
        let (header, data) = room.split_at_mut(HEADER_LEN);
        header[..ALIGN].copy_from_slice(&(HEADER_LEN + value.len()).to_ne_bytes());
        header[ALIGN..ALIGN + 4].copy_from_slice(&level.to_ne_bytes());
        header[ALIGN + 4..ALIGN + 8].copy_from_slice(&kind.to_ne_bytes());
        data[..value.len()].copy_from_slice(value);
        data[value.len()..].fill(0);
        len + total
    }

    /// The messages in the first `len` bytes: level, kind, value. Ends at the first that does not parse.
    pub fn messages(&self, len: usize) -> Messages<'_> {
        Messages {
            rest: self.bytes.get(..len).unwrap_or(&self.bytes),
        }
    }
}

/// Walks control messages; see [`Control::messages`].
#[derive(Debug)]
pub(super) struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = (i32, i32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        let (length, tail) = rest.split_first_chunk::<ALIGN>()?;
        let (level, tail) = tail.split_first_chunk::<4>()?;
        let (kind, _) = tail.split_first_chunk::<4>()?;
        let length = usize::from_ne_bytes(*length);
        let value = rest.get(HEADER_LEN..length)?;
        self.rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind), value))
    }
}

/// A control message's number: the kernel gives some as an `int`, `IP_TOS` as a byte.
pub(super) fn number(value: &[u8]) -> Option<i32> {
    match *value {
        [byte] => Some(i32::from(byte)),
        [a, b] => Some(i32::from(u16::from_ne_bytes([a, b]))),
        _ => value.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_keep_their_value() {
        for text in ["10.1.2.3:4789", "[fd00::1:2]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Address::of(address).0.to_socket_address(), Some(address));
        }
        assert_eq!(Address::EMPTY.to_socket_address(), None);
    }

    #[test]
    fn messages_keep_their_value() {
        let mut control = Control::EMPTY;
        let len = control.push(0, libc::IPPROTO_IP, libc::IP_TOS, &[7]);
        let len = control.push(len, libc::SOL_UDP, libc::UDP_SEGMENT, &1_400_u16.to_ne_bytes());
        let len = control.push(len, libc::IPPROTO_IP, libc::IP_TTL, &64_i32.to_ne_bytes());
        let read: Vec<_> = control
            .messages(len)
            .map(|(l, k, v)| (l, k, number(v).unwrap()))
            .collect();
        let expected = [
            (0, libc::IP_TOS, 7),
            (libc::SOL_UDP, libc::UDP_SEGMENT, 1_400),
            (0, libc::IP_TTL, 64),
        ];
        assert_eq!(read, expected);
        assert_eq!(control.push(CONTROL_LEN - 8, 0, 0, &[1]), CONTROL_LEN - 8);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn wrong_lengths_end_the_walk(bytes in any::<[u8; 32]>(), first in 0usize..200, len in 0usize..300) {
            let mut control = Control::EMPTY;
            control.bytes[..32].copy_from_slice(&bytes);
            control.bytes[..8].copy_from_slice(&first.to_ne_bytes());
            prop_assert!(control.messages(len).count() <= CONTROL_LEN / HEADER_LEN);
        }
    }
}
