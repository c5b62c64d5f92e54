//! DHCPv4 messages (RFC 2131) as a client sends them, to be a payload from port 68 to 67.

use crate::addr::Mac;
use std::net::Ipv4Addr;

const MAGIC: [u8; 4] = [99, 130, 83, 99];
const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;

/// A DHCPDISCOVER that asks for mask, router, name servers and MTU.
pub fn dhcp_discover(mac: Mac, transaction: u32) -> Vec<u8> {
    message(mac, transaction, DISCOVER, &[])
}

/// A DHCPREQUEST for the address that `server` offered.
pub fn dhcp_request(mac: Mac, transaction: u32, requested: Ipv4Addr, server: Ipv4Addr) -> Vec<u8> {
    message(
        mac,
        transaction,
        REQUEST,
        &[(50, requested.octets()), (54, server.octets())],
    )
}

fn message(mac: Mac, transaction: u32, kind: u8, addresses: &[(u8, [u8; 4])]) -> Vec<u8> {
    // Request, Ethernet, six bytes of address, no hops.
    let mut bytes = vec![1, 1, 6, 0];
    bytes.extend(transaction.to_be_bytes());
    // Seconds, flags (broadcast), four addresses.
    bytes.extend([0, 0, 0x80, 0]);
    bytes.extend([0; 16]);
    bytes.extend(mac.0);
    // The rest of the hardware address, server name, boot file.
    bytes.extend([0; 10 + 64 + 128]);
    bytes.extend(MAGIC);
    bytes.extend([53, 1, kind]);
    for (option, address) in addresses {
        bytes.extend([*option, 4]);
        bytes.extend(address);
    }
    bytes.extend([55, 4, 1, 3, 6, 26, 255]);
    bytes
}
