//! A client's DHCPv4 message (RFC 2131, 2): the fixed part and a walk over its options.
//!
//! The walk is our own: it takes hostile bytes, allocates nothing but the option asked for (at most the message's
//! length), and joins the parts of a split option (RFC 3396), also those in `file` and `sname` (option 52).

use std::net::Ipv4Addr;

use anet_packet::addr::Mac;

use super::super::Refusal;
use super::super::frame::{ipv4_at, mac_at, u16_at, u32_at};

/// Bytes of the fixed part.
pub(super) const FIXED_LENGTH: usize = 236;
/// What stands in front of the options (RFC 2132, 2).
pub(super) const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
pub(super) const OPERATION_REQUEST: u8 = 1;
pub(super) const OPERATION_REPLY: u8 = 2;
const HARDWARE_ETHERNET: [u8; 2] = [1, 6];
const FLAG_BROADCAST: u16 = 0x8000;

/// Option codes (RFC 2132, 3442, 6842).
pub(super) mod code {
    pub(in super::super) const PAD: u8 = 0;
    pub(in super::super) const SUBNET_MASK: u8 = 1;
    pub(in super::super) const ROUTER: u8 = 3;
    pub(in super::super) const NAME_SERVERS: u8 = 6;
    pub(in super::super) const HOST_NAME: u8 = 12;
    pub(in super::super) const INTERFACE_MTU: u8 = 26;
    pub(in super::super) const BROADCAST_ADDRESS: u8 = 28;
    pub(in super::super) const REQUESTED_ADDRESS: u8 = 50;
    pub(in super::super) const LEASE_TIME: u8 = 51;
    pub(in super::super) const OVERLOAD: u8 = 52;
    pub(in super::super) const MESSAGE_TYPE: u8 = 53;
    pub(in super::super) const SERVER_IDENTIFIER: u8 = 54;
    pub(in super::super) const PARAMETER_REQUEST_LIST: u8 = 55;
    pub(in super::super) const MESSAGE: u8 = 56;
    pub(in super::super) const MAXIMUM_SIZE: u8 = 57;
    pub(in super::super) const RENEWAL_TIME: u8 = 58;
    pub(in super::super) const REBINDING_TIME: u8 = 59;
    pub(in super::super) const CLIENT_IDENTIFIER: u8 = 61;
    pub(in super::super) const CLASSLESS_ROUTES: u8 = 121;
    pub(in super::super) const END: u8 = 255;
}

/// A well-formed request from a client on our link.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// Message type, option 53.
    pub kind: u8,
    /// `xid`, as it stands.
    pub transaction: u32,
    /// `flags`, as they stand.
    pub flags: u16,
    /// `ciaddr`.
    pub client_address: Ipv4Addr,
    /// `chaddr`.
    pub client_mac: Mac,
    /// The options field, then `file` and `sname` where they hold options.
    regions: [&'a [u8]; 3],
}

impl<'a> Message<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (fixed, rest) = bytes.split_at_checked(FIXED_LENGTH).ok_or(Refusal::Truncated)?;
        let options = rest.strip_prefix(&MAGIC_COOKIE).ok_or(Refusal::BadHeader)?;
        if fixed.first() != Some(&OPERATION_REQUEST) || fixed.get(1..3) != Some(&HARDWARE_ETHERNET) {
            return Err(Refusal::BadHeader);
        }
        if ipv4_at(fixed, 24) != Some(Ipv4Addr::UNSPECIFIED) {
            return Err(Refusal::Relayed);
        }
        let mut message = Message {
            kind: 0,
            transaction: u32_at(fixed, 4).ok_or(Refusal::Truncated)?,
            flags: u16_at(fixed, 10).ok_or(Refusal::Truncated)?,
            client_address: ipv4_at(fixed, 12).ok_or(Refusal::Truncated)?,
            client_mac: mac_at(fixed, 28).ok_or(Refusal::Truncated)?,
            regions: [options, &[], &[]],
        };
        let overload = message
            .option(code::OVERLOAD)?
            .and_then(|value| value.first().copied())
            .unwrap_or(0);
        let file = if overload & 1 != 0 {
            fixed.get(108..236)
        } else {
            None
        };
        let server_name = if overload & 2 != 0 {
            fixed.get(44..108)
        } else {
            None
        };
        message.regions = [options, file.unwrap_or_default(), server_name.unwrap_or_default()];
        message.kind = match message.option(code::MESSAGE_TYPE)?.as_deref() {
            Some([kind]) => *kind,
            _ => return Err(Refusal::BadOption),
        };
        Ok(message)
    }

    /// True where the client cannot take a unicast before it has its address.
    pub(super) fn wants_broadcast(&self) -> bool {
        self.flags & FLAG_BROADCAST != 0
    }

    /// Option 54.
    pub(super) fn server(&self) -> Result<Option<Ipv4Addr>, Refusal> {
        self.address(code::SERVER_IDENTIFIER)
    }

    /// Option 50.
    pub(super) fn requested_address(&self) -> Result<Option<Ipv4Addr>, Refusal> {
        self.address(code::REQUESTED_ADDRESS)
    }

    /// Bytes of the longest IP packet the client takes (option 57); 576 where it does not say, or says less.
    pub(super) fn maximum_size(&self) -> Result<usize, Refusal> {
        const MINIMUM: usize = 576;
        let stated = self
            .option(code::MAXIMUM_SIZE)?
            .and_then(|value| u16_at(&value, 0));
        Ok(stated.map_or(MINIMUM, |size| usize::from(size).max(MINIMUM)))
    }

    fn address(&self, code: u8) -> Result<Option<Ipv4Addr>, Refusal> {
        match self.option(code)? {
            None => Ok(None),
            Some(value) if value.len() == 4 => Ok(ipv4_at(&value, 0)),
            Some(_) => Err(Refusal::BadOption),
        }
    }

    /// The value of an option, its parts joined, or `None` where it is absent.
    pub(super) fn option(&self, code: u8) -> Result<Option<Vec<u8>>, Refusal> {
        let mut value = None;
        for region in self.regions {
            collect(region, code, &mut value)?;
        }
        Ok(value)
    }
}

fn collect(mut options: &[u8], wanted: u8, value: &mut Option<Vec<u8>>) -> Result<(), Refusal> {
    loop {
        options = match options {
            [] | [code::END, ..] => return Ok(()),
            [code::PAD, rest @ ..] => rest,
            [code, length, rest @ ..] => {
                let (body, rest) = rest
                    .split_at_checked(usize::from(*length))
                    .ok_or(Refusal::BadOption)?;
                if *code == wanted {
                    value.get_or_insert_default().extend_from_slice(body);
                }
                rest
            }
            [_] => return Err(Refusal::BadOption),
        };
    }
}
