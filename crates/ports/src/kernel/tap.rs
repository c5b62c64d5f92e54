//! TAP ports: an interface that the kernel shows to a guest (in its namespace), and whose other end we hold.
//!
//! The interface is made where it is missing, and persistent: when this process ends it stays, without a carrier, and
//! is attached again. Who makes one notes its [`TapIdentity`] before [`Tap::keep`] makes it stay, so that an interface
//! nobody wants any more can be found and removed later ([`remove`]), and never somebody else's of the same name. Packets carry virtio's header, so checksums and large segments pass through unfinished. Whether
//! the interface is up is its owner's business: it is left as found.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
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

/// IFF_PERSIST (linux/if_tun.h): the interface stays when its holder goes.
const PERSISTENT: libc::c_int = 0x0800;

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

/// Which interface it is. No other one has the same until the machine is started anew, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TapIdentity {
    /// Its namespace's number.
    pub namespace: u64,
    /// Its number there.
    pub index: u32,
}

/// What queues share of a TAP: the descriptor, which is safe to use from several threads at once.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) file: File,
}

impl Device {
    /// True where the interface stays without a holder, or somebody else may hold it beside us: one that was made just
    /// now does neither.
    fn was_there(&self) -> io::Result<bool> {
        // SAFETY: a zeroed ifreq is a legal one: it is plain data.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        InterfaceRequest::ATTACHED.call(self.file.as_fd(), &mut request)?;
        // SAFETY: the kernel filled this member in.
        let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
        Ok(flags & (PERSISTENT | libc::IFF_MULTI_QUEUE) != 0)
    }

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
    is_new: bool,
    /// True while the receive queue is given out.
    receiving: Arc<AtomicBool>,
}

impl Tap {
    /// Attaches to the TAP, made where it is missing, and keeps it. Waits up to 100 ms for a holder that is just ending.
    pub fn open(settings: &TapSettings) -> Result<Self, PortError> {
        let mut tap = Self::attach(settings)?;
        tap.keep()?;
        Ok(tap)
    }

    /// As [`Tap::open`], but an interface that is made here goes with its holder, until [`Tap::keep`].
    pub fn attach(settings: &TapSettings) -> Result<Self, PortError> {
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
        let device = Device {
            name: name.clone(),
            file,
        };
        let was_there = device.was_there();
        let was_there = was_there.map_err(|source| tell("ask what it is", source))?;
        let offloads =
            set_up(&device.file).map_err(|source| tell("set up the packet header of a TAP", source))?;
        if let Some(mac) = settings.mac.filter(|mac| interfaces.mac(name).ok() != Some(*mac)) {
            let advice = "CAP_NET_ADMIN is needed, and the address of a station (not a group)";
            interfaces
                .set_mac(name, mac)
                .map_err(|source| refused(name, "set its MAC address", source, advice))?;
        }
        let mtu = interfaces
            .mtu(name)
            .map_err(|source| tell("ask for its MTU", source))?;
        let mut tap = Self {
            device: Arc::new(device),
            interfaces,
            offloads,
            mtu,
            is_new: !was_there,
            receiving: Arc::default(),
        };
        if let Some(mtu) = settings.mtu.filter(|mtu| *mtu != tap.mtu) {
            tap.set_mtu(mtu)?;
        }
        Ok(tap)
    }

    /// True where the interface was not there before.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Which interface it is; `None` where this kernel cannot tell it from others.
    pub fn identity(&self) -> Option<TapIdentity> {
        Some(TapIdentity {
            namespace: self.interfaces.namespace().ok()?,
            index: self.interfaces.index(&self.device.name).ok()?,
        })
    }

    /// Lets the interface stay when its holder goes.
    pub fn keep(&mut self) -> Result<(), PortError> {
        let set = set_value(&self.device.file, libc::TUNSETPERSIST, 1);
        set.map_err(|source| {
            let advice = tun_advice(&source);
            refused(&self.device.name, "make it persistent", source, advice)
        })
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

/// Removes a TAP that nobody holds, where the interface of that name is exactly this one. False where there is none such.
/// An error where somebody holds it, or where it cannot be looked at.
pub fn remove(namespace: Option<&Path>, name: &str, identity: TapIdentity) -> Result<bool, PortError> {
    let inside = netns::inside(namespace, || {
        let interfaces = Interfaces::here()?;
        let is_it = || {
            interfaces
                .namespace()
                .is_ok_and(|number| number == identity.namespace)
                && interfaces.index(name).is_ok_and(|index| index == identity.index)
        };
        if !is_it() {
            return Ok(false);
        }
        let file = tun()?;
        match attach_as(&file, name, FLAGS) {
            // It is no TAP, or one of a kind that is not made here.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(false),
            attached => attached?,
        }
        // Where it went away meanwhile, this is a new one, which goes with its descriptor.
        if is_it() {
            set_value(&file, libc::TUNSETPERSIST, 0)?;
        }
        Ok(true)
    });
    match inside {
        Ok(removed) => removed.map_err(|source: io::Error| {
            let advice = tun_advice(&source);
            refused(name, "remove it", source, advice)
        }),
        // Interfaces go with their namespace.
        Err(netns::NamespaceError::NotThere { source, .. })
            if matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(PortError::Invalid {
            port: name.to_owned(),
            what: error.to_string(),
        }),
    }
}

/// How interfaces are made and attached to.
const FLAGS: libc::c_int = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;

/// The clone device, not attached to an interface yet.
pub(super) fn tun() -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    options.open("/dev/net/tun")
}

/// Opens the clone device and attaches it to the interface, in the namespace that the calling thread is in.
fn attach(name: &str) -> Result<(File, Interfaces), PortError> {
    let tell = |what, source: io::Error| {
        let advice = tun_advice(&source);
        refused(name, what, source, advice)
    };
    let file = tun().map_err(|source| tell("open /dev/net/tun", source))?;
    let mut attached = attach_patiently(&file, name, FLAGS);
    if attached
        .as_ref()
        .is_err_and(|e| e.raw_os_error() == Some(libc::EINVAL))
    {
        // One that was made with several queues can only be attached as such.
        attached = attach_patiently(&file, name, FLAGS | libc::IFF_MULTI_QUEUE);
    }
    attached.map_err(|source| tell("attach to it", source))?;
    let interfaces = Interfaces::here().map_err(|source| tell("open a socket in its namespace", source))?;
    Ok((file, interfaces))
}

/// Attaches, giving a holder that was killed a moment ago the time to let go.
pub(super) fn attach_patiently(file: &File, name: &str, flags: libc::c_int) -> io::Result<()> {
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

pub(super) fn attach_as(file: &File, name: &str, flags: libc::c_int) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    InterfaceRequest::ATTACH.call(file.as_fd(), &mut request)?;
    debug_assert_eq!(name_in(&request), name);
    Ok(())
}

/// The form of the packet header, and the richest set of offloads that this kernel has.
fn set_up(file: &File) -> io::Result<libc::c_uint> {
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
pub(super) fn set_value(file: &File, request: libc::Ioctl, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the requests passed here (persistence, offloads) take a number and touch no memory of ours.
    match unsafe { libc::ioctl(file.as_raw_fd(), request, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A request whose argument points to an int that is read.
pub(super) fn set_through(file: &File, request: libc::Ioctl, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the requests passed here (header size, byte order, carrier) read one int.
    match unsafe { libc::ioctl(file.as_raw_fd(), request, &raw const value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
