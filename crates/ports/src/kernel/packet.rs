//! AF_PACKET ports: a net device that is there already, whose other end somebody else holds (QEMU a TAP's, a container
//! a veth's).
//!
//! What the device receives comes in here, beside the host's own stack, which should have no address on it; what goes
//! out here leaves through the device. With virtio's header in front, checksums and large segments stay unfinished.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::interface::Interfaces;
use super::netns;
use super::packet_queue::{PacketReceive, PacketTransmit};
use super::probe::{PACKET_VNET_HDR, packet_advice, refused, set_option, socket};
use super::tap::MAX_SEGMENT;
use crate::{Capabilities, Link, Port, PortError, ReceiveQueue, TransmitQueue};

/// Socket options and values of linux/if_packet.h that the libc crate does not name.
const PACKET_ADD_MEMBERSHIP: libc::c_int = 1;
const PACKET_AUXDATA: libc::c_int = 8;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const PACKET_MR_PROMISC: libc::c_ushort = 1;

/// Bytes that may wait in the socket, either way: some hundred large segments. A burst of a guest's is that long.
const SOCKET_BYTES: libc::c_int = 8 << 20;

/// Which device to bind to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketSettings {
    /// The interface's name: 1 to 15 characters.
    pub name: String,
    /// The file of the network namespace that it is in, as `/run/netns/x`; `None`: this process's own.
    pub namespace: Option<PathBuf>,
}

/// What queues share: the socket, which is safe to use from several threads at once.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) socket: OwnedFd,
    interfaces: Interfaces,
}

impl Device {
    /// What an error of the socket means: the interface is gone, or down, or something else is wrong.
    #[cold]
    pub(super) fn diagnose(&self, what: &'static str, source: io::Error) -> PortError {
        let port = self.name.clone();
        match source.raw_os_error() {
            Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => match bound_to(&self.socket) {
                Ok(index)
                    if index > 0
                        && self
                            .interfaces
                            .index(&self.name)
                            .is_ok_and(|now| now == index as u32) =>
                {
                    PortError::Down { port }
                }
                _ => PortError::Gone { port, source },
            },
            _ => PortError::Refused {
                port,
                what,
                advice: packet_advice(&source),
                source,
            },
        }
    }
}

/// A socket on a net device.
#[derive(Debug)]
pub struct Packet {
    device: Arc<Device>,
    /// True where the kernel is one that takes UDP segments from a packet socket.
    udp_segments: bool,
    mtu: u32,
    /// True while the receive queue is given out.
    receiving: Arc<AtomicBool>,
}

impl Packet {
    /// Binds to the interface, which must be there.
    pub fn open(settings: &PacketSettings) -> Result<Self, PortError> {
        let name = &settings.name;
        let tell = |what, source: io::Error| {
            let advice = packet_advice(&source);
            refused(name, what, source, advice)
        };
        let inside = netns::inside(settings.namespace.as_deref(), || {
            let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            Ok((socket(libc::AF_PACKET, kind)?, Interfaces::here()?))
        });
        let invalid = |error: netns::NamespaceError| PortError::Invalid {
            port: name.clone(),
            what: error.to_string(),
        };
        let (socket, interfaces) = inside
            .map_err(invalid)?
            .map_err(|source| tell("open a packet socket", source))?;
        let index = interfaces
            .index(name)
            .map_err(|source| tell("find the interface", source))?;
        configure(&socket).map_err(|source| tell("set up the packet socket", source))?;
        bind(&socket, index).map_err(|source| tell("bind to it", source))?;
        promiscuous(&socket, index).map_err(|source| tell("receive all of its packets", source))?;
        let mtu = interfaces
            .mtu(name)
            .map_err(|source| tell("ask for its MTU", source))?;
        let device = Arc::new(Device {
            name: name.clone(),
            socket,
            interfaces,
        });
        Ok(Self {
            device,
            udp_segments: takes_udp_segments(),
            mtu,
            receiving: Arc::default(),
        })
    }
}

impl Port for Packet {
    fn name(&self) -> &str {
        &self.device.name
    }

    fn capabilities(&self) -> Capabilities {
        // What the device behind cannot do, the kernel does before it.
        Capabilities {
            checksum: true,
            segment_tcp_v4: true,
            segment_tcp_v6: true,
            segment_udp: self.udp_segments,
            max_segment: MAX_SEGMENT,
            mtu: self.mtu,
        }
    }

    fn link(&mut self) -> Result<Link, PortError> {
        let device = &self.device;
        let gone = |source| PortError::Gone {
            port: device.name.clone(),
            source,
        };
        if bound_to(&device.socket).map_err(gone)? <= 0 {
            return Err(gone(io::Error::from_raw_os_error(libc::ENODEV)));
        }
        let advice =
            "it was renamed or moved to another namespace: mend the port's settings, and attach it again";
        let link = device.interfaces.link(&device.name);
        let link =
            link.map_err(|source| refused(&device.name, "find it in its namespace", source, advice))?;
        self.mtu = link.mtu;
        Ok(link)
    }

    fn receive_queue(&mut self, queue: usize) -> Result<Box<dyn ReceiveQueue>, PortError> {
        if queue != 0 || self.receiving.swap(true, Ordering::AcqRel) {
            return Err(PortError::NoQueue {
                port: self.device.name.clone(),
                queue,
            });
        }
        Ok(Box::new(PacketReceive::new(
            Arc::clone(&self.device),
            Arc::clone(&self.receiving),
        )))
    }

    fn transmit_queue(&mut self) -> Result<Box<dyn TransmitQueue>, PortError> {
        Ok(Box::new(PacketTransmit::new(Arc::clone(&self.device))))
    }

    fn set_mtu(&mut self, mtu: u32) -> Result<(), PortError> {
        let (name, advice) = (
            &self.device.name,
            "CAP_NET_ADMIN is needed, and an MTU that the device takes",
        );
        let set = self.device.interfaces.set_mtu(name, mtu);
        set.map_err(|source| refused(name, "set its MTU", source, advice))?;
        self.mtu = mtu;
        Ok(())
    }
}

fn configure(socket: &OwnedFd) -> io::Result<()> {
    set_option(socket, libc::SOL_PACKET, PACKET_VNET_HDR, 1)?;
    set_option(socket, libc::SOL_PACKET, PACKET_AUXDATA, 1)?;
    set_option(socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
    for (forced, polite) in [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    ] {
        // Without CAP_NET_ADMIN as much as the system's limit allows.
        let set = set_option(socket, libc::SOL_SOCKET, forced, SOCKET_BYTES);
        set.or_else(|_| set_option(socket, libc::SOL_SOCKET, polite, SOCKET_BYTES))?;
    }
    Ok(())
}

fn bind(socket: &OwnedFd, index: u32) -> io::Result<()> {
    // SAFETY: a zeroed sockaddr_ll is a legal one: it is plain data.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = libc::c_int::try_from(index).map_err(io::Error::other)?;
    let bytes = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel reads `bytes` bytes of `address`, which is that long.
    match unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), bytes) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn promiscuous(socket: &OwnedFd, index: u32) -> io::Result<()> {
    let index = libc::c_int::try_from(index).map_err(io::Error::other)?;
    let wish = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: PACKET_MR_PROMISC,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    let bytes = size_of::<libc::packet_mreq>() as libc::socklen_t;
    let (level, option) = (libc::SOL_PACKET, PACKET_ADD_MEMBERSHIP);
    // SAFETY: the kernel reads `bytes` bytes of `wish`, which is that long.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const wish).cast(), bytes) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The number of the interface that the socket is bound to; -1 where that was deleted.
fn bound_to(socket: &OwnedFd) -> io::Result<libc::c_int> {
    // SAFETY: a zeroed sockaddr_ll is a legal one: it is plain data.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut bytes = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `bytes` bytes, which is how long `address` is.
    match unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut bytes) } {
        0 => Ok(address.sll_ifindex),
        _ => Err(io::Error::last_os_error()),
    }
}

/// UDP segments in virtio's header came with Linux 6.2, and nothing but a packet sent would tell. One that is sent all
/// the same is refused by the kernel, and counted.
fn takes_udp_segments() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 2)
}
