//! A net device's own settings, by the oldest interface there is: `ioctl` on a socket of its namespace.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anet_packet::addr::Mac;

use super::probe;
use crate::Link;

/// Bytes of an interface name, without its closing zero.
pub const NAME_MAX: usize = libc::IFNAMSIZ - 1;

/// The socket option that tells a namespace's number: SO_NETNS_COOKIE (asm-generic/socket.h).
const NETWORK_NAMESPACE_COOKIE: libc::c_int = 71;

/// An interface request with its name set. `InvalidInput` where the name is empty, too long, or has bytes that a name
/// cannot have.
pub(super) fn request(name: &str) -> io::Result<libc::ifreq> {
    let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':' && byte != b'%';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(legal) || name == "." || name == ".." {
        let text =
            format!("`{name}` is not an interface name: 1 to {NAME_MAX} printable characters without / : %");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    // SAFETY: a zeroed ifreq is a legal one: it is plain data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(request)
}

/// The name in an interface request that the kernel filled in.
pub(super) fn name_in(request: &libc::ifreq) -> String {
    let bytes = request
        .ifr_name
        .iter()
        .map(|c| *c as u8)
        .take_while(|byte| *byte != 0);
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

/// One of the requests that take an interface request.
#[derive(Clone, Copy)]
pub(super) struct InterfaceRequest(libc::Ioctl);

impl InterfaceRequest {
    pub(super) const ATTACH: Self = Self(libc::TUNSETIFF);
    pub(super) const ATTACHED: Self = Self(libc::TUNGETIFF);
    const INDEX: Self = Self(libc::SIOCGIFINDEX as libc::Ioctl);
    const FLAGS: Self = Self(libc::SIOCGIFFLAGS as libc::Ioctl);
    const SET_FLAGS: Self = Self(libc::SIOCSIFFLAGS as libc::Ioctl);
    const MTU: Self = Self(libc::SIOCGIFMTU as libc::Ioctl);
    const SET_MTU: Self = Self(libc::SIOCSIFMTU as libc::Ioctl);
    const MAC: Self = Self(libc::SIOCGIFHWADDR as libc::Ioctl);
    const SET_MAC: Self = Self(libc::SIOCSIFHWADDR as libc::Ioctl);

    pub(super) fn call(self, descriptor: BorrowedFd<'_>, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: every request of this type reads or writes one ifreq, which `request` is.
        match unsafe { libc::ioctl(descriptor.as_raw_fd(), self.0, std::ptr::from_mut(request)) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// A hold on a namespace's interfaces: an idle socket in it. Works from any thread, in whichever namespace that is.
#[derive(Debug)]
pub struct Interfaces {
    socket: OwnedFd,
}

impl Interfaces {
    /// The interfaces of the namespace that the calling thread is in.
    pub fn here() -> io::Result<Self> {
        Ok(Self {
            socket: probe::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC)?,
        })
    }

    /// A number that no other namespace has, before or after, until the machine is started anew. An error where the
    /// kernel has none (before 5.14).
    pub fn namespace(&self) -> io::Result<u64> {
        let mut cookie = 0u64;
        let mut length = size_of::<u64>() as libc::socklen_t;
        // SAFETY: the option writes at most `length` bytes, eight, to a place that has as many; the socket is open.
        let asked = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                NETWORK_NAMESPACE_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut length,
            )
        };
        match asked {
            0 => Ok(cookie),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn ask(&self, name: &str, what: InterfaceRequest) -> io::Result<libc::ifreq> {
        let mut request = request(name)?;
        what.call(self.socket.as_fd(), &mut request)?;
        Ok(request)
    }

    /// The interface's number in its namespace.
    pub fn index(&self, name: &str) -> io::Result<u32> {
        let request = self.ask(name, InterfaceRequest::INDEX)?;
        // SAFETY: the kernel filled this member in.
        u32::try_from(unsafe { request.ifr_ifru.ifru_ifindex }).map_err(io::Error::other)
    }

    fn flags(&self, name: &str) -> io::Result<libc::c_short> {
        let request = self.ask(name, InterfaceRequest::FLAGS)?;
        // SAFETY: the kernel filled this member in.
        Ok(unsafe { request.ifr_ifru.ifru_flags })
    }

    /// True where the interface is set up (whether or not it has a carrier).
    pub fn is_up(&self, name: &str) -> io::Result<bool> {
        Ok(self.flags(name)? & libc::IFF_UP as libc::c_short != 0)
    }

    /// Whether the interface is up, and its MTU.
    pub fn link(&self, name: &str) -> io::Result<Link> {
        Ok(Link {
            up: self.is_up(name)?,
            mtu: self.mtu(name)?,
        })
    }

    /// Sets the interface up or down. Needs CAP_NET_ADMIN in its namespace.
    pub fn set_up(&self, name: &str, up: bool) -> io::Result<()> {
        let flag = libc::IFF_UP as libc::c_short;
        let flags = self.flags(name)?;
        let mut request = request(name)?;
        request.ifr_ifru.ifru_flags = if up { flags | flag } else { flags & !flag };
        InterfaceRequest::SET_FLAGS.call(self.socket.as_fd(), &mut request)
    }

    /// The interface's MTU in bytes.
    pub fn mtu(&self, name: &str) -> io::Result<u32> {
        let request = self.ask(name, InterfaceRequest::MTU)?;
        // SAFETY: the kernel filled this member in.
        u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).map_err(io::Error::other)
    }

    /// Sets the interface's MTU in bytes; the device says what is legal. Needs CAP_NET_ADMIN in its namespace.
    pub fn set_mtu(&self, name: &str, mtu: u32) -> io::Result<()> {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_mtu = i32::try_from(mtu).map_err(|_| io::ErrorKind::InvalidInput)?;
        InterfaceRequest::SET_MTU.call(self.socket.as_fd(), &mut request)
    }

    /// The interface's MAC address.
    pub fn mac(&self, name: &str) -> io::Result<Mac> {
        let request = self.ask(name, InterfaceRequest::MAC)?;
        // SAFETY: the kernel filled this member in.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr };
        let mut mac = Mac::ZERO;
        mac.0
            .iter_mut()
            .zip(address.sa_data)
            .for_each(|(place, byte)| *place = byte as u8);
        Ok(mac)
    }

    /// Sets the interface's MAC address. Needs CAP_NET_ADMIN in its namespace.
    pub fn set_mac(&self, name: &str, mac: Mac) -> io::Result<()> {
        let mut request = request(name)?;
        // SAFETY: a zeroed sockaddr is a legal one.
        let mut address: libc::sockaddr = unsafe { std::mem::zeroed() };
        address.sa_family = libc::ARPHRD_ETHER;
        address
            .sa_data
            .iter_mut()
            .zip(mac.0)
            .for_each(|(place, byte)| *place = byte as libc::c_char);
        request.ifr_ifru.ifru_hwaddr = address;
        InterfaceRequest::SET_MAC.call(self.socket.as_fd(), &mut request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_there() {
        let interfaces = Interfaces::here().unwrap();
        assert_eq!(interfaces.index("lo").unwrap(), 1);
        assert!(interfaces.mtu("lo").unwrap() >= 1500);
        assert_eq!(interfaces.mac("lo").unwrap(), Mac::ZERO);
    }

    #[test]
    fn a_namespace_has_one_number() {
        let (one, other) = (Interfaces::here().unwrap(), Interfaces::here().unwrap());
        match one.namespace() {
            Ok(number) => assert_eq!(other.namespace().unwrap(), number),
            Err(old_kernel) => assert_eq!(old_kernel.raw_os_error(), Some(libc::ENOPROTOOPT)),
        }
    }

    #[test]
    fn names_that_cannot_be_are_refused_before_the_kernel_sees_them() {
        let interfaces = Interfaces::here().unwrap();
        for name in ["", "sixteen-letters-", "a/b", "a b", "a\0b", "..", "tap%d", "ä"] {
            let error = interfaces.index(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        assert_eq!(
            interfaces.index("no-such-one").unwrap_err().raw_os_error(),
            Some(libc::ENODEV)
        );
    }
}
