//! What this kernel has and what this process may do, asked of the kernel itself; and what to do where it is missing.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::PortError;

/// What kernel ports can lean on here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// TAP devices, with virtio's header in front of packets: TAP ports.
    pub tap: bool,
    /// Raw packet sockets with virtio's header: AF_PACKET ports.
    pub packet_socket: bool,
    /// UDP sockets that cut a long datagram (UDP_SEGMENT) and that merge short ones (UDP_GRO): the VXLAN uplink's speed.
    pub udp_segmentation: bool,
    /// One line for each that is missing: which, why, and what to do.
    pub missing: Vec<String>,
}

/// Asks for each feature by trying it, leaving nothing behind.
pub fn features() -> Features {
    let mut features = Features::default();
    let mut note = |result: Result<(), String>| match result {
        Ok(()) => true,
        Err(line) => {
            features.missing.push(line);
            false
        }
    };
    let (tap, packet, udp) = (
        note(try_tap()),
        note(try_packet_socket()),
        note(try_udp_segmentation()),
    );
    Features {
        tap,
        packet_socket: packet,
        udp_segmentation: udp,
        ..features
    }
}

fn try_tap() -> Result<(), String> {
    let line = |source: &io::Error| format!("no TAP ports: /dev/net/tun: {source}; {}", tun_advice(source));
    let mut options = OpenOptions::new();
    let tun = options
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun");
    let tun = tun.map_err(|source| line(&source))?;
    let mut bits: libc::c_uint = 0;
    // SAFETY: the request writes one unsigned int.
    if unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNGETFEATURES, &raw mut bits) } != 0 {
        return Err(line(&io::Error::last_os_error()));
    }
    if bits & libc::IFF_VNET_HDR as libc::c_uint == 0 {
        return Err(
            "no TAP ports: this kernel's tun has no vnet header; use a kernel of 2.6.32 or newer".to_owned(),
        );
    }
    if !has_capability(CAP_NET_ADMIN) {
        return Err(
            "no TAP ports: CAP_NET_ADMIN is missing; run as root or grant it (AmbientCapabilities=)"
                .to_owned(),
        );
    }
    Ok(())
}

fn try_packet_socket() -> Result<(), String> {
    let flags = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    socket(libc::AF_PACKET, flags)
        .and_then(|socket| set_option(&socket, libc::SOL_PACKET, PACKET_VNET_HDR, 1))
        .map_err(|source| format!("no AF_PACKET ports: {source}; {}", packet_advice(&source)))
}

fn try_udp_segmentation() -> Result<(), String> {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC);
    let tried = socket.and_then(|socket| {
        set_option(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, 1400)?;
        set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1)
    });
    let advice = "the VXLAN uplink works without, slower; Linux 5.0 or newer has both";
    tried.map_err(|source| format!("no UDP segmentation offload: {source}; {advice}"))
}

/// AF_PACKET's socket option for virtio's header (linux/if_packet.h).
pub(super) const PACKET_VNET_HDR: libc::c_int = 15;

const CAP_NET_ADMIN: u32 = 12;

/// True where the effective set of this thread holds the capability.
fn has_capability(number: u32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/thread-self/status") else {
        return false;
    };
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> number & 1 == 1)
}

pub(super) fn socket(family: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: makes a descriptor; no memory is involved.
    let descriptor = unsafe { libc::socket(family, kind, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made just now and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Sets a socket option whose value is one int.
pub(super) fn set_option(
    socket: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let bytes = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads `bytes` bytes of `value`, which is that long.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), bytes) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What to do about an error of `/dev/net/tun`.
pub(super) fn tun_advice(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            "load the kernel's tun module (`modprobe tun`), or pass /dev/net/tun into the container"
        }
        Some(libc::EPERM | libc::EACCES) => {
            "CAP_NET_ADMIN is needed in the interface's namespace: run as root or grant it"
        }
        Some(libc::EBUSY) => {
            "the interface is held by another process (QEMU, or another switch): stop that one first"
        }
        Some(libc::EINVAL) => {
            "an interface of this name exists and is not a TAP: name another or delete that one"
        }
        _ => "see the kernel's log (`dmesg`)",
    }
}

/// What to do about an error of a packet socket.
pub(super) fn packet_advice(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "CAP_NET_RAW is needed in the interface's namespace: run as root or grant it"
        }
        Some(libc::EAFNOSUPPORT) => "load the kernel's af_packet module (`modprobe af_packet`)",
        Some(libc::ENOPROTOOPT | libc::EINVAL) => {
            "this kernel's packet sockets lack an option: use Linux 4.20 or newer"
        }
        Some(libc::ENODEV | libc::ENXIO) => {
            "no interface of this name is there: make it first, or mend the name"
        }
        _ => "see the kernel's log (`dmesg`)",
    }
}

/// The error of a port that cannot be opened.
pub(super) fn refused(port: &str, what: &'static str, source: io::Error, advice: &'static str) -> PortError {
    if source.kind() == io::ErrorKind::InvalidInput && source.raw_os_error().is_none() {
        return PortError::Invalid {
            port: port.to_owned(),
            what: source.to_string(),
        };
    }
    PortError::Refused {
        port: port.to_owned(),
        what,
        source,
        advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_one_line_each() {
        let features = features();
        let have = [features.tap, features.packet_socket, features.udp_segmentation];
        assert_eq!(features.missing.len(), have.iter().filter(|has| !**has).count());
        for line in features.missing {
            assert!(line.contains("; ") && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn advice_fits_the_error() {
        let advice = |code| tun_advice(&io::Error::from_raw_os_error(code));
        assert!(advice(libc::EBUSY).contains("held by another process"));
        assert!(advice(libc::EPERM).contains("CAP_NET_ADMIN"));
        assert!(advice(libc::ENOENT).contains("modprobe tun"));
        assert!(packet_advice(&io::Error::from_raw_os_error(libc::EPERM)).contains("CAP_NET_RAW"));
    }
}
