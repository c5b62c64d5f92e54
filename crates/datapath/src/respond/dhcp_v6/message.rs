//! A client's DHCPv6 message (RFC 8415, 8 and 21): a bounded walk over its options.
//!
//! Hostile bytes: options run to their stated end or the message is refused, and no more than [`ASSOCIATIONS_MAX`]
//! identity associations and [`ADDRESSES_MAX`] addresses in each are looked at.

use std::net::Ipv6Addr;

use super::super::Refusal;
use super::super::frame::{ipv6_at, u16_at, u32_at};

/// Identity associations of a message that are answered.
const ASSOCIATIONS_MAX: usize = 8;
/// Addresses of an association that are looked at.
const ADDRESSES_MAX: usize = 8;
/// Bytes of the longest DUID, its type included (RFC 8415, 11.1).
const IDENTIFIER_MAX: usize = 130;

/// Option codes (RFC 8415, 21; RFC 3646).
pub(super) mod code {
    pub(in super::super) const CLIENT_IDENTIFIER: u16 = 1;
    pub(in super::super) const SERVER_IDENTIFIER: u16 = 2;
    pub(in super::super) const ADDRESSES: u16 = 3;
    pub(in super::super) const TEMPORARY_ADDRESSES: u16 = 4;
    pub(in super::super) const ADDRESS: u16 = 5;
    pub(in super::super) const OPTION_REQUEST: u16 = 6;
    pub(in super::super) const PREFERENCE: u16 = 7;
    pub(in super::super) const STATUS: u16 = 13;
    pub(in super::super) const RAPID_COMMIT: u16 = 14;
    pub(in super::super) const NAME_SERVERS: u16 = 23;
    pub(in super::super) const PREFIXES: u16 = 25;
    pub(in super::super) const INFORMATION_REFRESH_TIME: u16 = 32;
}

/// An identity association (RFC 8415, 12): what the client wants an address or prefix for.
#[derive(Debug, Clone)]
pub(super) struct Association<'a> {
    /// Its option code: [`code::ADDRESSES`], [`code::TEMPORARY_ADDRESSES`] or [`code::PREFIXES`].
    pub code: u16,
    /// Its number, the client's choice.
    pub number: u32,
    options: &'a [u8],
}

impl<'a> Association<'a> {
    fn parse(code: u16, body: &'a [u8]) -> Result<Self, Refusal> {
        // Behind the number stand T1 and T2, but not in an association for temporary addresses.
        let fixed = if code == code::TEMPORARY_ADDRESSES { 4 } else { 12 };
        let options = body.get(fixed..).ok_or(Refusal::BadOption)?;
        walk(options, |_, _| Ok(()))?;
        Ok(Self {
            code,
            number: u32_at(body, 0).ok_or(Refusal::BadOption)?,
            options,
        })
    }

    pub(super) fn is_for_addresses(&self) -> bool {
        self.code == code::ADDRESSES
    }

    pub(super) fn is_for_prefixes(&self) -> bool {
        self.code == code::PREFIXES
    }

    /// Code and number: what makes it one and the same.
    pub(super) fn identity(&self) -> (u16, u32) {
        (self.code, self.number)
    }

    /// The addresses that the client names in it.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> + 'a {
        let mut addresses = Vec::new();
        // The walk was sound when the association was parsed.
        let _ = walk(self.options, |code, body| {
            if code == code::ADDRESS && addresses.len() < ADDRESSES_MAX {
                addresses.extend(ipv6_at(body, 0));
            }
            Ok(())
        });
        addresses.into_iter()
    }
}

/// A well-formed message.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// Message type.
    pub kind: u8,
    /// The three bytes of the transaction id.
    pub transaction: [u8; 3],
    /// The client's DUID.
    pub client: Option<&'a [u8]>,
    /// The DUID of the server it talks to.
    pub server: Option<&'a [u8]>,
    /// What it wants addresses for.
    pub associations: Vec<Association<'a>>,
    /// True where it takes a Reply to its Solicit.
    pub rapid_commit: bool,
    option_request: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (&[kind, t0, t1, t2], options) = bytes.split_first_chunk::<4>().ok_or(Refusal::Truncated)?;
        if kind == super::kind::RELAY_FORWARD {
            // Its fixed part is another; no relay stands between a guest and us.
            return Err(Refusal::Relayed);
        }
        let mut message = Self {
            kind,
            transaction: [t0, t1, t2],
            client: None,
            server: None,
            associations: Vec::new(),
            rapid_commit: false,
            option_request: None,
        };
        walk(options, |code, body| message.take(code, body))?;
        Ok(message)
    }

    fn take(&mut self, code: u16, body: &'a [u8]) -> Result<(), Refusal> {
        match code {
            code::CLIENT_IDENTIFIER => set_identifier(&mut self.client, body),
            code::SERVER_IDENTIFIER => set_identifier(&mut self.server, body),
            code::RAPID_COMMIT => {
                self.rapid_commit = true;
                Ok(())
            }
            code::OPTION_REQUEST => {
                self.option_request = Some(body);
                Ok(())
            }
            code::ADDRESSES | code::TEMPORARY_ADDRESSES | code::PREFIXES => {
                let association = Association::parse(code, body)?;
                if self.associations.len() < ASSOCIATIONS_MAX {
                    self.associations.push(association);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// True where the client asks for an option, or does not say what it asks for.
    pub(super) fn wants(&self, code: u16) -> bool {
        self.option_request
            .is_none_or(|codes| codes.as_chunks::<2>().0.contains(&code.to_be_bytes()))
    }
}

fn set_identifier<'a>(identifier: &mut Option<&'a [u8]>, body: &'a [u8]) -> Result<(), Refusal> {
    // A type and at least one byte; and only one identifier of a kind.
    if !(3..=IDENTIFIER_MAX).contains(&body.len()) || identifier.is_some() {
        return Err(Refusal::BadOption);
    }
    *identifier = Some(body);
    Ok(())
}

fn walk<'a>(
    mut options: &'a [u8],
    mut visit: impl FnMut(u16, &'a [u8]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    while !options.is_empty() {
        let code = u16_at(options, 0).ok_or(Refusal::BadOption)?;
        let length = usize::from(u16_at(options, 2).ok_or(Refusal::BadOption)?);
        let body = options
            .get(4..)
            .and_then(|rest| rest.get(..length))
            .ok_or(Refusal::BadOption)?;
        visit(code, body)?;
        options = options.get(4 + length..).ok_or(Refusal::BadOption)?;
    }
    Ok(())
}
