//! Which device leads to a tunnel endpoint, and how long a packet it takes: asked of the routing table, and remembered for
//! a second.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::whole::Path;
use crate::kernel::probe;

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(1);
/// Endpoints remembered: a place for each last byte of an address.
const PLACES: usize = 256;

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTN_UNICAST: u8 = 1;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
/// Bytes of `nlmsghdr` and of `rtmsg`.
const MESSAGE_HEADER: usize = 16;
const ROUTE_HEADER: usize = 12;

#[derive(Debug, Clone, Copy)]
struct Answer {
    destination: SocketAddr,
    asked: Instant,
    path: Option<Path>,
}

/// A worker's answers.
#[derive(Debug)]
pub(super) struct Paths {
    source: IpAddr,
    netlink: OwnedFd,
    /// Never sends: it is connected to an endpoint and asked what the path takes.
    udp: UdpSocket,
    answers: Box<[Option<Answer>]>,
}

impl Paths {
    /// Of the namespace that this thread is in, for packets from `source`.
    pub fn new(source: IpAddr) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        Ok(Self {
            source,
            netlink: probe::socket(libc::AF_NETLINK, kind)?,
            udp: UdpSocket::bind(SocketAddr::new(source, 0))?,
            answers: vec![None; PLACES].into_boxed_slice(),
        })
    }

    /// The path to an endpoint; `None` where there is none, or it ends on this host. Two system calls once a second.
    pub fn to(&mut self, destination: SocketAddr, now: Instant) -> Option<Path> {
        let place = match destination.ip() {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        if let Some(Some(answer)) = self.answers.get(usize::from(place))
            && answer.destination == destination
            && now.saturating_duration_since(answer.asked) < FRESH
        {
            return answer.path;
        }
        let path = self.ask(destination);
        if let Some(answer) = self.answers.get_mut(usize::from(place)) {
            *answer = Some(Answer {
                destination,
                asked: now,
                path,
            });
        }
        path
    }

    fn ask(&self, destination: SocketAddr) -> Option<Path> {
        let device = self.device(destination.ip()).ok().flatten()?;
        self.udp.connect(destination).ok()?;
        Some(Path {
            device,
            mtu: self.mtu()?,
        })
    }

    fn mtu(&self) -> Option<usize> {
        let (level, name) = match self.source {
            IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU),
            IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
        };
        let (mut mtu, mut len) = (0_i32, size_of::<i32>() as libc::socklen_t);
        let value = (&raw mut mtu).cast();
        // SAFETY: the kernel writes `len` bytes to `mtu`, which is that long, and a length to `len`.
        match unsafe { libc::getsockopt(self.udp.as_raw_fd(), level, name, value, &raw mut len) } {
            0 => usize::try_from(mtu).ok(),
            _ => None,
        }
    }

    /// The number of the device that the route to `destination` leaves through.
    fn device(&self, destination: IpAddr) -> io::Result<Option<u32>> {
        let (question, len) = question(self.source, destination);
        // SAFETY: the kernel reads `len` bytes of `question`, which has them.
        let sent = unsafe { libc::send(self.netlink.as_raw_fd(), question.as_ptr().cast(), len, 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut answer = [0_u8; 4096];
        // SAFETY: the kernel writes at most as many bytes as `answer` has.
        let received = unsafe {
            libc::recv(
                self.netlink.as_raw_fd(),
                answer.as_mut_ptr().cast(),
                answer.len(),
                0,
            )
        };
        match usize::try_from(received) {
            Ok(received) => Ok(device_in(answer.get(..received).unwrap_or_default())),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }
}

/// RTM_GETROUTE for one destination, and its length.
fn question(source: IpAddr, destination: IpAddr) -> ([u8; 128], usize) {
    let (family, bits) = match destination {
        IpAddr::V4(_) => (libc::AF_INET as u8, 32),
        IpAddr::V6(_) => (libc::AF_INET6 as u8, 128),
    };
    let mut message = [0; 128];
    message[4..6].copy_from_slice(&RTM_GETROUTE.to_ne_bytes());
    message[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    message[16..19].copy_from_slice(&[family, bits, bits]);
    let mut len = MESSAGE_HEADER + ROUTE_HEADER;
    for (kind, address) in [(RTA_DST, destination), (RTA_SRC, source)] {
        let (bytes, count) = match address {
            IpAddr::V4(address) => (address.to_ipv6_mapped().octets(), 4),
            IpAddr::V6(address) => (address.octets(), 16),
        };
        let value = &bytes[16 - count..];
        message[len..len + 2].copy_from_slice(&(4 + count as u16).to_ne_bytes());
        message[len + 2..len + 4].copy_from_slice(&kind.to_ne_bytes());
        message[len + 4..len + 4 + count].copy_from_slice(value);
        len += 4 + count;
    }
    message[..4].copy_from_slice(&(len as u32).to_ne_bytes());
    (message, len)
}

/// The device in an answer; `None` where it is an error, or a route to anything but another host.
fn device_in(message: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(*message.get(4..6)?.first_chunk()?);
    let route = message.get(MESSAGE_HEADER..)?;
    if kind != RTM_NEWROUTE || *route.get(7)? != RTN_UNICAST {
        return None;
    }
    let mut rest = route.get(ROUTE_HEADER..)?;
    loop {
        let &[l0, l1, k0, k1] = rest.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..len)?;
        if u16::from_ne_bytes([k0, k1]) == RTA_OIF {
            return Some(u32::from_ne_bytes(*value.first_chunk()?));
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_on_this_host_has_no_path() {
        let loopback = "127.0.0.1".parse().unwrap();
        let mut paths = Paths::new(loopback).unwrap();
        assert_eq!(paths.to("127.0.0.1:4789".parse().unwrap(), Instant::now()), None);
        assert_eq!(paths.device("127.0.0.1".parse().unwrap()).unwrap(), None);
    }

    #[test]
    fn an_answer_is_read_to_its_device_or_its_end() {
        let mut answer = vec![0; MESSAGE_HEADER + ROUTE_HEADER];
        answer[4..6].copy_from_slice(&RTM_NEWROUTE.to_ne_bytes());
        answer[MESSAGE_HEADER + 7] = RTN_UNICAST;
        for (kind, value) in [(RTA_DST, [1, 2, 3, 4]), (RTA_OIF, 77_u32.to_ne_bytes())] {
            answer.extend_from_slice(&8_u16.to_ne_bytes());
            answer.extend_from_slice(&kind.to_ne_bytes());
            answer.extend_from_slice(&value);
        }
        assert_eq!(device_in(&answer), Some(77));
        for len in 0..answer.len() {
            assert_eq!(device_in(&answer[..len]), None, "{len} bytes");
        }
        answer[MESSAGE_HEADER + 7] = 2;
        assert_eq!(device_in(&answer), None, "a local one");
    }
}
