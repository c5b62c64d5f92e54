//! TAP ports: an interface that the kernel shows to a guest (in its namespace), and whose other end we hold.
//!
//! The interface is made where it is missing, and persistent: when this process ends it stays, without a carrier, and
//! is attached again. Packets carry virtio's header, so checksums and large segments pass through unfinished. Whether
//! the interface is up is its owner's business: it is left as found.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anet_packet::addr::Mac;

use super::interface::{InterfaceRequest, Interfaces, name_in, request};
use super::netns;
use super::probe::{refused, tun_advice};
use super::tap_queue::{TapReceive, TapTransmit};
use super::vnet_header::LONG_BYTES;
use crate::{Capabilities, Link, Port, PortError, ReceiveQueue, TransmitQueue};

/// Longest frame with its segments whole: the largest IP packet behind an Ethernet header.
pub(super) const MAX_SEGMENT: u32 = 65_535 + 14;

/// Offloads that we can take from the kernel (linux/if_tun.h), the richest set first.
const OFFLOADS: [libc::c_uint; 4] = [
    libc::TUN_F_CSUM
        | libc::TUN_F_TSO4
        | libc::TUN_F_TSO6
        | libc::TUN_F_TSO_ECN
        | libc::TUN_F_USO4
        | libc::TUN_F_USO6,
    libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN,
    libc::TUN_F_CSUM,
    0,
];

/// How long an open waits for a holder that is just ending.
const GRACE: Duration = Duration::from_millis(100);
/// How often it looks.
const GRACE_STEP: Duration = Duration::from_millis(5);

/// Which TAP to open, and how it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapSettings {
    /// The interface's name: 1 to 15 characters.
    pub name: String,
    /// The file of the network namespace that it is in, as `/run/netns/x`; `None`: this process's own.
    pub namespace: Option<PathBuf>,
    /// Its MAC address; `None`: as found, or the kernel's random one.
    pub mac: Option<Mac>,
    /// Its MTU in bytes; `None`: as found, or the kernel's 1,500.
    pub mtu: Option<u32>,
}

impl TapSettings {
    /// The TAP of this name in this process's namespace, as found.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            namespace: None,
            mac: None,
            mtu: None,
        }
    }
}

/// What queues share of a TAP: the descriptor, which is safe to use from several threads at once.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) file: File,
}

impl Device {
    /// The interface's name as it is now; [`PortError::Gone`] where there is no interface any more.
    fn current_name(&self) -> Result<String, PortError> {
        // SAFETY: a zeroed ifreq is a legal one: it is plain data.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let asked = InterfaceRequest::ATTACHED.call(self.file.as_fd(), &mut request);
        asked.map_err(|source| PortError::Gone {
            port: self.name.clone(),
            source,
        })?;
        Ok(name_in(&request))
    }

    /// What an error of a read or a write means: the interface is gone, or down, or something else is wrong.
    #[cold]
    pub(super) fn diagnose(&self, what: &'static str, source: io::Error) -> PortError {
        let port = self.name.clone();
        // SAFETY: a zeroed ifreq is a legal one: it is plain data.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if InterfaceRequest::ATTACHED
            .call(self.file.as_fd(), &mut request)
            .is_err()
        {
            return PortError::Gone { port, source };
        }
        match source.raw_os_error() {
            Some(libc::EIO) => PortError::Down { port },
            Some(libc::EBADFD | libc::ENODEV | libc::EBADF) => PortError::Gone { port, source },
            _ => PortError::Refused {
                port,
                what,
                source,
                advice: "see the kernel's log (`dmesg`)",
            },
        }
    }
}

/// An attached TAP.
#[derive(Debug)]
pub struct Tap {
    device: Arc<Device>,
    interfaces: Interfaces,
    offloads: libc::c_uint,
    mtu: u32,
    /// True while the receive queue is given out.
    receiving: Arc<AtomicBool>,
}

impl Tap {
    /// Attaches to the TAP, made where it is missing. Waits up to 100 ms for a holder that is just ending.
    pub fn open(settings: &TapSettings) -> Result<Self, PortError> {
        let name = &settings.name;
        let inside = netns::inside(settings.namespace.as_deref(), || attach(name));
        let invalid = |error: netns::NamespaceError| PortError::Invalid {
            port: name.clone(),
            what: error.to_string(),
        };
        let (file, interfaces) = inside.map_err(invalid)??;
        let tell = |what, source: io::Error| {
            let advice = tun_advice(&source);
            refused(name, what, source, advice)
        };
        let offloads = set_up(&file).map_err(|source| tell("set up the packet header of a TAP", source))?;
        if let Some(mac) = settings.mac.filter(|mac| interfaces.mac(name).ok() != Some(*mac)) {
            let advice = "CAP_NET_ADMIN is needed, and the address of a station (not a group)";
            interfaces
                .set_mac(name, mac)
                .map_err(|source| refused(name, "set its MAC address", source, advice))?;
        }
        let mtu = interfaces
            .mtu(name)
            .map_err(|source| tell("ask for its MTU", source))?;
        let device = Arc::new(Device {
            name: name.clone(),
            file,
        });
        let mut tap = Self {
            device,
            interfaces,
            offloads,
            mtu,
            receiving: Arc::default(),
        };
        if let Some(mtu) = settings.mtu.filter(|mtu| *mtu != tap.mtu) {
            tap.set_mtu(mtu)?;
        }
        Ok(tap)
    }

    /// Sets the interface up or down.
    pub fn set_up(&mut self, up: bool) -> Result<(), PortError> {
        let advice = "CAP_NET_ADMIN is needed in its namespace";
        let name = &self.device.name;
        self.interfaces
            .set_up(name, up)
            .map_err(|source| refused(name, "set it up or down", source, advice))
    }

    /// The interface's own MAC address: the guest's, where the guest is a namespace.
    pub fn mac(&self) -> Result<Mac, PortError> {
        let name = &self.device.name;
        self.interfaces
            .mac(name)
            .map_err(|source| refused(name, "ask for its MAC address", source, "is it there?"))
    }

    /// Lets the interface go away with the last of this port and its queues.
    pub fn remove_when_dropped(&mut self) -> Result<(), PortError> {
        let set = set_value(&self.device.file, libc::TUNSETPERSIST, 0);
        set.map_err(|source| {
            refused(
                &self.device.name,
                "make it not persistent",
                source,
                "is it still there?",
            )
        })
    }
}

impl Port for Tap {
    fn name(&self) -> &str {
        &self.device.name
    }

    fn capabilities(&self) -> Capabilities {
        // What may be written: a kernel that hands segments of a kind over also takes them.
        let has = |bits| self.offloads & bits == bits;
        Capabilities {
            checksum: has(libc::TUN_F_CSUM),
            segment_tcp_v4: has(libc::TUN_F_TSO4),
            segment_tcp_v6: has(libc::TUN_F_TSO6),
            segment_udp: has(libc::TUN_F_USO4 | libc::TUN_F_USO6),
            max_segment: MAX_SEGMENT,
            mtu: self.mtu,
        }
    }

    fn link(&mut self) -> Result<Link, PortError> {
        // By the name of today: somebody may have renamed it.
        let name = self.device.current_name()?;
        let link = self.interfaces.link(&name);
        let advice = "it was moved to another namespace: name that one for the port, and attach it again";
        let link =
            link.map_err(|source| refused(&self.device.name, "find it in its namespace", source, advice))?;
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
        Ok(Box::new(TapReceive::new(
            Arc::clone(&self.device),
            Arc::clone(&self.receiving),
        )))
    }

    fn transmit_queue(&mut self) -> Result<Box<dyn TransmitQueue>, PortError> {
        Ok(Box::new(TapTransmit::new(Arc::clone(&self.device))))
    }

    fn set_mtu(&mut self, mtu: u32) -> Result<(), PortError> {
        let name = &self.device.name;
        let advice = "a TAP takes 68 to 65,521 bytes, and CAP_NET_ADMIN is needed";
        self.interfaces
            .set_mtu(name, mtu)
            .map_err(|source| refused(name, "set its MTU", source, advice))?;
        self.mtu = mtu;
        Ok(())
    }

    fn set_carrier(&mut self, up: bool) -> Result<(), PortError> {
        let set = set_through(&self.device.file, libc::TUNSETCARRIER, i32::from(up));
        match set {
            Err(source) if !matches!(source.raw_os_error(), Some(libc::EINVAL | libc::ENOTTY)) => {
                Err(self.device.diagnose("set its carrier", source))
            }
            // A kernel before 5.0 cannot: the guest then sees a link as long as we hold the descriptor.
            _ => Ok(()),
        }
    }
}

/// Opens the clone device and attaches it to the interface, in the namespace that the calling thread is in.
fn attach(name: &str) -> Result<(File, Interfaces), PortError> {
    let tell = |what, source: io::Error| {
        let advice = tun_advice(&source);
        refused(name, what, source, advice)
    };
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options
        .open("/dev/net/tun")
        .map_err(|source| tell("open /dev/net/tun", source))?;
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    let mut attached = attach_patiently(&file, name, flags);
    if attached
        .as_ref()
        .is_err_and(|e| e.raw_os_error() == Some(libc::EINVAL))
    {
        // One that was made with several queues can only be attached as such.
        attached = attach_patiently(&file, name, flags | libc::IFF_MULTI_QUEUE);
    }
    attached.map_err(|source| tell("attach to it", source))?;
    let interfaces = Interfaces::here().map_err(|source| tell("open a socket in its namespace", source))?;
    Ok((file, interfaces))
}

/// Attaches, giving a holder that was killed a moment ago the time to let go.
fn attach_patiently(file: &File, name: &str, flags: libc::c_int) -> io::Result<()> {
    let mut patience = GRACE;
    loop {
        match attach_as(file, name, flags) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && !patience.is_zero() => {
                std::thread::sleep(GRACE_STEP);
                patience = patience.saturating_sub(GRACE_STEP);
            }
            attached => return attached,
        }
    }
}

fn attach_as(file: &File, name: &str, flags: libc::c_int) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    InterfaceRequest::ATTACH.call(file.as_fd(), &mut request)?;
    debug_assert_eq!(name_in(&request), name);
    Ok(())
}

/// Persistence, the form of the packet header, and the richest set of offloads that this kernel has.
fn set_up(file: &File) -> io::Result<libc::c_uint> {
    set_value(file, libc::TUNSETPERSIST, 1)?;
    set_through(file, libc::TUNSETVNETHDRSZ, LONG_BYTES as libc::c_int)?;
    if cfg!(target_endian = "big") {
        set_through(file, libc::TUNSETVNETLE, 1)?;
    } else {
        // Little-endian is what such a machine has anyhow; a kernel that cannot be told so is no worse.
        _ = set_through(file, libc::TUNSETVNETLE, 1);
    }
    let accepted = OFFLOADS
        .into_iter()
        .find(|bits| set_value(file, libc::TUNSETOFFLOAD, *bits as libc::c_ulong).is_ok());
    Ok(accepted.unwrap_or(0))
}

/// A request whose argument is the value itself.
fn set_value(file: &File, request: libc::Ioctl, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the requests passed here (persistence, offloads) take a number and touch no memory of ours.
    match unsafe { libc::ioctl(file.as_raw_fd(), request, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A request whose argument points to an int that is read.
fn set_through(file: &File, request: libc::Ioctl, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the requests passed here (header size, byte order, carrier) read one int.
    match unsafe { libc::ioctl(file.as_raw_fd(), request, &raw const value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
