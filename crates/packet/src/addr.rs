//! The one home of address types: [`Mac`], [`Vni`], [`Vlan`], [`Mtu`], [`IpPrefix`].
//!
//! Each is a checked newtype: a value that exists is legal. IP addresses are the standard library's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Why a text or number is not a legal address of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError {
    what: &'static str,
    expected: &'static str,
    found: String,
}

impl AddressError {
    fn new(what: &'static str, expected: &'static str, found: impl fmt::Display) -> Self {
        Self {
            what,
            expected,
            found: found.to_string(),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a {}: expected {}",
            self.found, self.what, self.expected
        )
    }
}

impl std::error::Error for AddressError {}

/// An Ethernet address (IEEE 802 EUI-48). Text form: `02:00:00:00:00:01`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Mac = Mac([0xff; 6]);
    /// `00:00:00:00:00:00`, which no station may send from.
    pub const ZERO: Mac = Mac([0; 6]);

    /// True where the group bit is set: multicast and broadcast.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// True for a legal source address: not a group address and not all zero.
    #[inline]
    pub const fn is_station(self) -> bool {
        !self.is_multicast() && self.to_u64() != 0
    }

    /// The 48 bits, first byte of the wire highest.
    #[inline]
    pub const fn to_u64(self) -> u64 {
        let m = self.0;
        u64::from_be_bytes([0, 0, m[0], m[1], m[2], m[3], m[4], m[5]])
    }

    /// The link-local IPv6 address with this MAC's modified EUI-64 (RFC 4291, appendix A).
    pub const fn link_local(self) -> Ipv6Addr {
        let m = self.0;
        Ipv6Addr::from_bits(u128::from_be_bytes([
            0xfe,
            0x80,
            0,
            0,
            0,
            0,
            0,
            0,
            m[0] ^ 2,
            m[1],
            m[2],
            0xff,
            0xfe,
            m[3],
            m[4],
            m[5],
        ]))
    }

    /// The MAC that [`Mac::link_local`] makes this address of, or `None` for every other address.
    pub const fn of_link_local(address: Ipv6Addr) -> Option<Mac> {
        match address.octets() {
            [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a, b, c, 0xff, 0xfe, d, e, f] => Some(Mac([a ^ 2, b, c, d, e, f])),
            _ => None,
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = self.0;
        write!(
            f,
            "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
            m[0], m[1], m[2], m[3], m[4], m[5]
        )
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || {
            AddressError::new(
                "MAC address",
                "six two-digit hex bytes as in 02:00:00:00:00:01",
                text,
            )
        };
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or_else(wrong)?, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Mac(bytes))
    }
}

/// A VXLAN network identifier (RFC 7348): 1 to 16,777,215. Zero is not used for tenants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Vni(u32);

impl Vni {
    /// The highest legal value, 2^24 - 1.
    pub const MAX: u32 = (1 << 24) - 1;

    /// A VNI, or an error where `value` is zero or has more than 24 bits.
    pub fn new(value: u32) -> Result<Self, AddressError> {
        match value {
            1..=Self::MAX => Ok(Self(value)),
            _ => Err(AddressError::new("VNI", "1 to 16777215", value)),
        }
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An IEEE 802.1Q VLAN id: 1 to 4,094.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Vlan(u16);

impl Vlan {
    /// A VLAN id, or an error outside 1 to 4,094.
    pub fn new(value: u16) -> Result<Self, AddressError> {
        match value {
            1..=4094 => Ok(Self(value)),
            _ => Err(AddressError::new("VLAN id", "1 to 4094", value)),
        }
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// The largest IP packet a network carries, in bytes without the Ethernet header: 576 to 65,535.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Mtu(u16);

impl Mtu {
    /// What is left of 1,500 bytes inside VXLAN over IPv4 (RFC 7348: 50 bytes of overhead).
    pub const VXLAN_IPV4: Mtu = Mtu(1450);

    /// An MTU, or an error outside 576 to 65,535.
    pub fn new(value: u32) -> Result<Self, AddressError> {
        match u16::try_from(value) {
            Ok(v) if v >= 576 => Ok(Self(v)),
            _ => Err(AddressError::new("MTU", "576 to 65535 bytes", value)),
        }
    }

    /// Bytes.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// An IPv4 or IPv6 prefix in canonical form: no bit is set behind the prefix length.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpPrefix {
    address: IpAddr,
    length: u8,
}

impl IpPrefix {
    /// A prefix, or an error where `length` is too long for the family or host bits are set.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, AddressError> {
        let prefix = Self::containing(address, length)?;
        if prefix.address != address {
            let found = format!("{address}/{length}");
            return Err(AddressError::new(
                "prefix",
                "no bits set behind its length",
                found,
            ));
        }
        Ok(prefix)
    }

    /// The prefix of that length which contains `address`: host bits are cleared.
    pub fn containing(address: IpAddr, length: u8) -> Result<Self, AddressError> {
        let too_long = || AddressError::new("prefix length", "0 to 32 (IPv4) or 0 to 128 (IPv6)", length);
        let address = match address {
            IpAddr::V4(a) if length <= 32 => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask_v4(length))),
            IpAddr::V6(a) if length <= 128 => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask_v6(length))),
            _ => return Err(too_long()),
        };
        Ok(Self { address, length })
    }

    /// The prefix that holds just this address (/32 or /128).
    pub const fn host(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }

    /// The lowest address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Bits of the prefix.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// True where the prefix holds one address only.
    pub const fn is_host(self) -> bool {
        self.length == if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// The highest address.
    pub fn last(self) -> IpAddr {
        match self.address {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() | !mask_v4(self.length))),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() | !mask_v6(self.length))),
        }
    }

    /// True where `address` is of the same family and inside.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(p), IpAddr::V4(a)) => a.to_bits() & mask_v4(self.length) == p.to_bits(),
            (IpAddr::V6(p), IpAddr::V6(a)) => a.to_bits() & mask_v6(self.length) == p.to_bits(),
            _ => false,
        }
    }
}

const fn mask_v4(length: u8) -> u32 {
    if length == 0 { 0 } else { u32::MAX << (32 - length) }
}

const fn mask_v6(length: u8) -> u128 {
    if length == 0 {
        0
    } else {
        u128::MAX << (128 - length)
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Debug for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for IpPrefix {
    type Err = AddressError;

    /// `ADDRESS/LENGTH`, or an address alone for a host prefix.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::new("prefix", "ADDRESS or ADDRESS/LENGTH", text);
        let (address, length) = match text.split_once('/') {
            Some((a, l)) if l.bytes().all(|b| b.is_ascii_digit()) => {
                (a, Some(l.parse().map_err(|_| wrong())?))
            }
            Some(_) => return Err(wrong()),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        length.map_or(Ok(Self::host(address)), |length| Self::new(address, length))
    }
}

/// Texts and numbers as which address types are kept in serialised forms; reading checks as making them does.
#[cfg(feature = "serde")]
mod serialised {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{IpPrefix, Mac, Mtu, Vlan, Vni};

    macro_rules! as_text {
        ($($type:ty),*) => {$(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }
            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(D::Error::custom)
                }
            }
        )*};
    }

    macro_rules! as_number {
        ($($type:ty, $number:ty);*) => {$(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    self.get().serialize(serializer)
                }
            }
            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    Self::new(<$number>::deserialize(deserializer)?).map_err(D::Error::custom)
                }
            }
        )*};
    }

    as_text!(Mac, IpPrefix);
    as_number!(Vni, u32; Vlan, u16; Mtu, u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_text_round_trips_and_rubbish_is_refused() {
        let mac: Mac = "02:aB:00:00:00:01".parse().unwrap();
        assert_eq!(mac.to_string(), "02:ab:00:00:00:01");
        for bad in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "2:0:0:0:0:1",
            "zz:00:00:00:00:01",
            "+2:00:00:00:00:01",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn link_local_is_modified_eui_64() {
        let mac: Mac = "02:00:5e:10:00:01".parse().unwrap();
        assert_eq!(mac.link_local().to_string(), "fe80::5eff:fe10:1");
        assert_eq!(Mac::of_link_local(mac.link_local()), Some(mac));
        for other in ["fe80::1", "fd00::5eff:fe10:1", "fe80:0:0:1::5eff:fe10:1"] {
            assert_eq!(Mac::of_link_local(other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn numbers_keep_their_bounds() {
        assert!(Vni::new(0).is_err() && Vni::new(1 << 24).is_err());
        assert_eq!(Vni::new(Vni::MAX).unwrap().get(), 16_777_215);
        assert!(Vlan::new(0).is_err() && Vlan::new(4095).is_err() && Vlan::new(4094).is_ok());
        assert!(Mtu::new(575).is_err() && Mtu::new(65_536).is_err() && Mtu::new(65_535).is_ok());
    }

    #[test]
    fn prefixes_are_canonical() {
        let p: IpPrefix = "10.1.0.0/16".parse().unwrap();
        assert!(p.contains("10.1.255.1".parse().unwrap()) && !p.contains("10.2.0.0".parse().unwrap()));
        assert_eq!(p.last(), "10.1.255.255".parse::<IpAddr>().unwrap());
        for bad in [
            "10.1.0.1/16",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "x/8",
        ] {
            assert!(bad.parse::<IpPrefix>().is_err(), "{bad}");
        }
        let all: IpPrefix = "::/0".parse().unwrap();
        assert!(all.contains("fd00::1".parse().unwrap()) && !all.contains("10.0.0.1".parse().unwrap()));
    }
}
