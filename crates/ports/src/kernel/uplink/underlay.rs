//! The interface that has the tunnel endpoint's address, and its MTU.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::kernel::interface::Interfaces;

/// What an IP packet can be at most: the answer where nothing better is known.
const MTU_UNKNOWN: u32 = 65_535;

/// The MTU of the interface that has `address`, at most 65,535; that where no interface has it or it does not say.
pub(super) fn mtu_of(address: IpAddr) -> u32 {
    let mtu = interface_with(address).and_then(|name| Interfaces::here().ok()?.mtu(&name).ok());
    mtu.unwrap_or(MTU_UNKNOWN).min(MTU_UNKNOWN)
}

/// The interface's name.
fn interface_with(address: IpAddr) -> Option<String> {
    let mut list = std::ptr::null_mut();
    // SAFETY: `list` is where the function puts its list; it is freed below.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return None;
    }
    let (mut found, mut next) = (None, list);
    while !next.is_null() {
        // SAFETY: an element of the list that is not freed yet.
        let element = unsafe { &*next };
        // SAFETY: the system made the address, of the length that its family has.
        if found.is_none() && unsafe { ip_of(element.ifa_addr) } == Some(address) {
            // SAFETY: the name is a NUL-terminated string of the system's.
            let name = unsafe { std::ffi::CStr::from_ptr(element.ifa_name) };
            found = name.to_str().ok().map(str::to_owned);
        }
        next = element.ifa_next;
    }
    // SAFETY: made by getifaddrs, freed once, and no reference into it is left.
    unsafe { libc::freeifaddrs(list) };
    found
}

/// # Safety
/// `address` is null or points to a whole socket address of the family that it names.
unsafe fn ip_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: not null, and whole by contract; read unaligned, for nobody promises more.
    unsafe {
        match i32::from((&raw const (*address).sa_family).read_unaligned()) {
            libc::AF_INET => {
                let v4 = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let v6 = address.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_an_mtu_and_a_stranger_has_none() {
        assert!((1..=MTU_UNKNOWN).contains(&mtu_of(Ipv4Addr::LOCALHOST.into())));
        assert!(interface_with("192.0.2.77".parse().unwrap()).is_none());
    }
}
