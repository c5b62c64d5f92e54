//! The uplink TAP: where large TCP segments leave whole, each in one write.
//!
//! It is a device of the switch's own in the underlay's namespace, named after the tunnel endpoint, so that a switch that was
//! killed finds it again and none is left over: taking it away would cost the killed one some ten milliseconds before the
//! next can start. Nothing is received from it, it has no address, and no setting of any other device or of the host is
//! touched: see [`redirect`]. Each switch has it show that it works before it is used.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::net::SocketAddr;

use anet_memory::buffer::Buffer;

use super::redirect;
use super::trial::{self, Trial};
use super::whole::HEADER_BYTES;
use crate::kernel::interface::Interfaces;
use crate::kernel::probe::tun_advice;
use crate::kernel::tap::{TapIdentity, attach_as, attach_patiently, set_through, set_value, tun};
use crate::kernel::tap_queue::PIECES;

/// TUN_F_UDP_TUNNEL_GSO and TUN_F_UDP_TUNNEL_GSO_CSUM (linux/if_tun.h).
const TUNNEL_OFFLOADS: libc::c_uint = 0x080 | 0x100;
/// Of plain packets: the kernel has tunnels' only with these.
const PLAIN_OFFLOADS: libc::c_uint =
    libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// IFF_TUN_EXCL: refuses an interface that exists.
const EXCLUSIVE: libc::c_int = 0x8000;

/// Why large segments cannot leave whole; the words end a sentence.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotWhole {
    #[error("/dev/net/tun: {0}; {advice}", advice = tun_advice(.0))]
    Tun(io::Error),
    #[error("{0}: {1}; CAP_NET_ADMIN is needed in the underlay's namespace")]
    Device(&'static str, io::Error),
    #[error("this kernel's TUN cannot cut segments behind a UDP tunnel ({0}); Linux 6.17 or newer can")]
    NoOffload(io::Error),
    #[error(
        "no BPF program can be put in front of the uplink TAP ({0}); it takes Linux 6.6 or newer, CAP_BPF and \
         CAP_NET_ADMIN"
    )]
    NoRedirect(io::Error),
    #[error("a segment that was sent through the uplink TAP for a trial {0}")]
    Trial(Trial),
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct UplinkTap {
    name: String,
    file: File,
    identity: Option<TapIdentity>,
}

impl UplinkTap {
    /// That of the tunnel endpoint `local`, in the namespace that this thread is in, after a trial with a segment of its
    /// family.
    pub fn open(local: SocketAddr) -> Result<Self, NotWhole> {
        let name = name_of(local);
        let file = tun().map_err(NotWhole::Tun)?;
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
        attach_patiently(&file, &name, flags).map_err(NotWhole::Tun)?;
        let mut tap = Self {
            name,
            file,
            identity: None,
        };
        let prepared = tap.prepare(local);
        if prepared.is_err() {
            // One that is of no use goes at once.
            tap.remove_when_dropped();
        }
        prepared.map(|()| tap)
    }

    fn prepare(&mut self, local: SocketAddr) -> Result<(), NotWhole> {
        let Self { name, file, .. } = &*self;
        let needed = |what| move |error| NotWhole::Device(what, error);
        set_through(file, libc::TUNSETVNETHDRSZ, HEADER_BYTES as libc::c_int).map_err(NotWhole::NoOffload)?;
        if cfg!(target_endian = "big") {
            set_through(file, libc::TUNSETVNETLE, 1).map_err(NotWhole::NoOffload)?;
        }
        let offloads = PLAIN_OFFLOADS | TUNNEL_OFFLOADS;
        set_value(file, libc::TUNSETOFFLOAD, offloads.into()).map_err(NotWhole::NoOffload)?;
        let interfaces = Interfaces::here().map_err(needed("open a socket"))?;
        let index = interfaces
            .index(name)
            .map_err(needed("find the uplink TAP's number"))?;
        let namespace = interfaces.namespace().ok();
        let identity = namespace.map(|namespace| TapIdentity { namespace, index });
        redirect::install(index).map_err(NotWhole::NoRedirect)?;
        // Nobody shall talk to it. Where this cannot be said, a few packets are queued that nobody reads.
        _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
        interfaces
            .set_up(name, true)
            .map_err(needed("set the uplink TAP up"))?;
        let sink = tun().map_err(NotWhole::Tun)?;
        let sink_name = format!("{name}p");
        let flags = libc::IFF_TUN | libc::IFF_NO_PI | EXCLUSIVE;
        attach_as(&sink, &sink_name, flags).map_err(NotWhole::Tun)?;
        trial::run(self, (&sink, &sink_name), local.ip()).map_err(NotWhole::Trial)?;
        self.identity = identity;
        Ok(())
    }

    /// Which interface it is; `None` where this kernel cannot tell it from others.
    pub fn identity(&self) -> Option<TapIdentity> {
        self.identity
    }

    /// Lets the device stay when this goes.
    pub fn keep(&self) -> io::Result<()> {
        set_value(&self.file, libc::TUNSETPERSIST, 1)
    }

    /// Lets the device go away with this.
    pub fn remove_when_dropped(&self) {
        // Refused only where it is gone already.
        _ = set_value(&self.file, libc::TUNSETPERSIST, 0);
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes a segment and the header that goes in front of it.
    pub fn write(&self, header: &[u8; HEADER_BYTES], frame: &Buffer) -> io::Result<()> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        (pieces[0], pieces[1]) = (IoSlice::new(header), IoSlice::new(frame.head()));
        let mut used = 2;
        for slice in frame.chain_slices() {
            let piece = pieces.get_mut(used).ok_or(io::ErrorKind::InvalidInput)?;
            *piece = IoSlice::new(slice);
            used += 1;
        }
        loop {
            match (&self.file).write_vectored(&pieces[..used]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return written.map(drop),
            }
        }
    }
}

/// The name of a tunnel endpoint's, the same in every switch.
pub(super) fn name_of(local: SocketAddr) -> String {
    format!("anet-{:08x}", mark(local))
}

/// A number for a tunnel endpoint (FNV-1a).
fn mark(local: SocketAddr) -> u32 {
    let text = local.to_string();
    let step = |mark: u32, byte: u8| (mark ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, step)
}
