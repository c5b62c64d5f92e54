//! The VXLAN uplink over UDP sockets: whole outer frames for the data plane, UDP payloads for the kernel.
//!
//! ```text
//!   data plane        Ethernet | IP | UDP | VXLAN | inner frame        (the same bytes as from a NIC)
//!                     \________ here ____/ \____ UDP payload ____/
//!   kernel            sockets: one to receive (address:4789), some to send (address:any)
//! ```
//! Receiving, one socket per queue is bound to the tunnel endpoint's address; rows of datagrams that the kernel has
//! joined (UDP_GRO) become large TCP segments again where they are exactly that, and the outer header is written anew
//! from what the kernel says of the datagram. Sending, the outer header is taken off, large segments are cut, and the
//! datagrams go out by one of several sockets, chosen by the outer source port: the underlay's equal-cost paths and
//! the receiver's queues see different flows as different source ports (RFC 7348, 4.1).
//!
//! Where the kernel can cut segments behind a tunnel (Linux 6.17), large TCP segments leave whole instead, through an uplink
//! TAP ([`tap`]), from the same source port; all else stays with the sockets, which tell of what cannot be sent.
//!
//! It needs nothing of the kernel but UDP; UDP_SEGMENT, UDP_GRO and the uplink TAP make it fast and are probed. Which endpoints may
//! send, and what a VXLAN header may say, is judged by the data plane, not here.

mod message;
pub(crate) mod outer;
mod paths;
pub(crate) mod pieces;
mod queue;
mod readiness;
mod receive;
mod redirect;
mod row;
mod send;
mod socket;
mod sum;
mod tap;
mod trial;
mod underlay;
mod whole;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};

use anet_packet::segment::PACKET_MAX;
use anet_packet::vxlan;

use super::netns;
use super::tap::TapIdentity;
use crate::port::{Capabilities, Port, PortError, ReceiveQueue, TransmitQueue};
use paths::Paths;
use receive::UplinkReceive;
use send::UplinkTransmit;
use socket::{Role, Socket};
use tap::UplinkTap;

/// Sending sockets without another wish.
pub const SENDERS: usize = 16;
/// The most sending sockets, and the most receive queues.
pub const SOCKETS_MAX: usize = 256;

/// How large TCP segments are to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LargeSegments {
    /// Cut here, over the sockets, until [`Uplink::try_tap`] has found that they can leave whole.
    #[default]
    Auto,
    /// Cut here, over the sockets.
    Sockets,
    /// Whole, through an uplink TAP. Where that does not work the uplink does not open.
    Tap,
}

/// How an uplink is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkSettings {
    /// The local tunnel endpoint's address. It must be on one of this host's interfaces, and not be a wildcard.
    pub address: IpAddr,
    /// UDP port to receive on: 4789 (RFC 7348) unless the underlay uses another. Not zero.
    pub udp_port: u16,
    /// The network namespace that the underlay is in, as a path such as `/run/netns/underlay`; this thread's own without.
    pub namespace: Option<PathBuf>,
    /// Sending sockets, and so distinct source ports: 1 to [`SOCKETS_MAX`].
    pub senders: usize,
    /// Receive queues, 1 to [`SOCKETS_MAX`]; the kernel spreads flows over them.
    pub receive_queues: usize,
    /// Outer packets must not be fragmented on their way: one that is too big is dropped and counted. Without it, the
    /// sending host and IPv4 routers fragment.
    pub dont_fragment: bool,
    /// How large TCP segments leave.
    pub large_segments: LargeSegments,
}

impl UplinkSettings {
    /// The usual uplink of a tunnel endpoint address, over sockets alone.
    pub fn new(address: IpAddr) -> Self {
        Self {
            address,
            udp_port: vxlan::PORT,
            namespace: None,
            senders: SENDERS,
            receive_queues: 1,
            dont_fragment: true,
            large_segments: LargeSegments::Sockets,
        }
    }
}

/// What the kernel does for an uplink: probed when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UplinkOffloads {
    /// UDP_SEGMENT: trains of datagrams go down in one call (Linux 4.18).
    pub segment: bool,
    /// UDP_GRO: rows of datagrams come up in one read (Linux 5.0).
    pub merge: bool,
}

/// What an uplink has seen of its underlay, since it was opened. Frames, where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UplinkStatistics {
    /// Not sent: longer than the path to their destination takes.
    pub too_big: u64,
    /// Not sent: a socket's or device's queue was full.
    pub full: u64,
    /// Not sent: no route or neighbour, or forbidden by a filter of this host.
    pub refused: u64,
    /// ICMP errors that came back (a remote endpoint does not listen, most often). They cost nothing.
    pub icmp_errors: u64,
    /// Trains that were sent as single datagrams, because the kernel did not take them whole.
    pub trains_cut: u64,
    /// Large segments that left whole, through the uplink TAP.
    pub whole: u64,
    /// Large segments that the uplink TAP refused, and that were cut instead. For a second after one, all are.
    pub whole_refused: u64,
}

#[derive(Debug, Default)]
struct Counters {
    too_big: AtomicU64,
    full: AtomicU64,
    refused: AtomicU64,
    icmp_errors: AtomicU64,
    trains_cut: AtomicU64,
    whole: AtomicU64,
    whole_refused: AtomicU64,
}

impl Counters {
    /// Nothing is written where nothing went wrong.
    fn add(&self, sent: &queue::Sent) {
        let parts = [
            (&self.too_big, sent.too_big),
            (&self.full, sent.full),
            (&self.refused, sent.refused),
            (&self.icmp_errors, sent.icmp_errors),
            (&self.trains_cut, sent.trains_cut),
        ];
        for (counter, n) in parts {
            if n != 0 {
                counter.fetch_add(u64::from(n), Relaxed);
            }
        }
    }

    fn add_whole(&self, sent: u32, refused: u32) {
        for (counter, n) in [(&self.whole, sent), (&self.whole_refused, refused)] {
            if n != 0 {
                counter.fetch_add(u64::from(n), Relaxed);
            }
        }
    }

    fn add_icmp_error(&self) {
        self.icmp_errors.fetch_add(1, Relaxed);
    }
}

/// What the port and its queues share: descriptors and counters.
#[derive(Debug)]
struct UplinkSockets {
    name: String,
    receive: Vec<Socket>,
    send: Vec<Socket>,
    offloads: UplinkOffloads,
    /// Where large segments leave whole, once it is known that they can.
    tap: OnceLock<UplinkTap>,
    counters: Counters,
}

impl UplinkSockets {
    fn receive_error(&self, source: io::Error) -> PortError {
        let advice = "look at the underlay's interface (`ip address`); it is asked again later";
        PortError::Refused {
            port: self.name.clone(),
            what: "receiving",
            source,
            advice,
        }
    }

    fn transmit_error(&self, errno: i32) -> PortError {
        let advice = match errno {
            libc::ENETUNREACH | libc::EHOSTUNREACH => "there is no route to that endpoint (`ip route get`)",
            libc::EPERM | libc::EACCES => "a packet filter of this host forbids it (`nft list ruleset`)",
            libc::ENETDOWN => "the underlay's interface is down (`ip link`)",
            _ => "look at the underlay's interface and route (`ip address`, `ip route`)",
        };
        let source = io::Error::from_raw_os_error(errno);
        PortError::Refused {
            port: self.name.clone(),
            what: "sending to a tunnel endpoint",
            source,
            advice,
        }
    }
}

/// Held by the owner of a receive queue: with it gone, the queue can be given out again.
type Lease = Arc<()>;

/// The uplink as the control thread holds it.
#[derive(Debug)]
pub struct Uplink {
    sockets: Arc<UplinkSockets>,
    leases: Vec<Weak<()>>,
    mtu: u32,
    settings: UplinkSettings,
}

impl Uplink {
    /// Opens the sockets and probes what the kernel can do.
    pub fn open(settings: &UplinkSettings) -> Result<Self, PortError> {
        let name = format!("vxlan {}", SocketAddr::new(settings.address, settings.udp_port));
        check(settings, &name)?;
        let opened = netns::inside(settings.namespace.as_deref(), || open_all(settings, &name));
        let invalid = |error: netns::NamespaceError| PortError::Invalid {
            port: name.clone(),
            what: error.to_string(),
        };
        let (sockets, mtu) = opened.map_err(invalid)??;
        let leases = sockets.receive.iter().map(|_| Weak::new()).collect();
        Ok(Self {
            sockets: Arc::new(sockets),
            leases,
            mtu,
            settings: settings.clone(),
        })
    }

    /// What the kernel does for it.
    pub fn offloads(&self) -> UplinkOffloads {
        self.sockets.offloads
    }

    /// The interface that large segments leave through whole; `None` where they are cut here.
    pub fn whole_through(&self) -> Option<&str> {
        self.sockets.tap.get().map(UplinkTap::name)
    }

    /// Which interface that is; `None` also where this kernel cannot tell it from others.
    pub fn tap_identity(&self) -> Option<TapIdentity> {
        self.sockets.tap.get()?.identity()
    }

    /// Lets the uplink TAP stay when the last of this port and its queues goes, so that the next uplink of this endpoint finds
    /// it. One that is new goes with them until then.
    pub fn keep_tap(&self) -> Result<(), PortError> {
        let kept = self.sockets.tap.get().map_or(Ok(()), UplinkTap::keep);
        kept.map_err(|source| PortError::Refused {
            port: self.sockets.name.clone(),
            what: "make the uplink TAP persistent",
            source,
            advice: "is it still there? It is made anew when the switch is started again",
        })
    }

    /// Finds out whether large segments can leave whole, and lets them from then on; packets need not wait for it. `tell` gets
    /// the interface that they leave through, or why they do not. For [`LargeSegments::Auto`].
    pub fn try_tap(&self, tell: impl FnOnce(Result<&str, String>) + Send + 'static) -> io::Result<()> {
        let sockets = Arc::downgrade(&self.sockets);
        let settings = self.settings.clone();
        let body = move || {
            let opened = open_tap(&settings);
            // Closed meanwhile: nobody wants to know.
            let Some(sockets) = sockets.upgrade() else {
                return;
            };
            match opened {
                Ok(tap) => tell(Ok(sockets.tap.get_or_init(|| tap).name())),
                Err(why) => tell(Err(why)),
            }
        };
        let named = std::thread::Builder::new().name("uplink TAP".to_owned());
        named.spawn(body).map(drop)
    }

    /// Lets an uplink TAP that was kept go away with the last of this port and its queues.
    pub fn remove_tap_when_dropped(&self) {
        if let Some(tap) = self.sockets.tap.get() {
            tap.remove_when_dropped();
        }
    }

    /// What it has seen of its underlay.
    pub fn statistics(&self) -> UplinkStatistics {
        let Counters {
            too_big,
            full,
            refused,
            icmp_errors,
            trains_cut,
            whole,
            whole_refused,
        } = &self.sockets.counters;
        UplinkStatistics {
            too_big: too_big.load(Relaxed),
            full: full.load(Relaxed),
            refused: refused.load(Relaxed),
            icmp_errors: icmp_errors.load(Relaxed),
            trains_cut: trains_cut.load(Relaxed),
            whole: whole.load(Relaxed),
            whole_refused: whole_refused.load(Relaxed),
        }
    }
}

impl Port for Uplink {
    fn name(&self) -> &str {
        &self.sockets.name
    }

    /// Everything is finished in software, right before the kernel. The MTU is that of the interface that has the
    /// tunnel endpoint's address, when the uplink was opened.
    fn capabilities(&self) -> Capabilities {
        let headers = outer::LEN_V6 + vxlan::HEADER_LEN + anet_packet::ethernet::HEADER_LEN;
        Capabilities {
            checksum: true,
            segment_tcp_v4: true,
            segment_tcp_v6: true,
            segment_udp: true,
            max_segment: (headers + PACKET_MAX) as u32,
            mtu: self.mtu,
        }
    }

    fn receive_queues(&self) -> usize {
        self.sockets.receive.len()
    }

    fn receive_queue(&mut self, queue: usize) -> Result<Box<dyn ReceiveQueue>, PortError> {
        let free = self
            .leases
            .get_mut(queue)
            .filter(|lease| lease.strong_count() == 0);
        let lease = free.ok_or_else(|| PortError::NoQueue {
            port: self.sockets.name.clone(),
            queue,
        })?;
        let held = Lease::new(());
        *lease = Arc::downgrade(&held);
        let receive = UplinkReceive::new(Arc::clone(&self.sockets), queue, held)?;
        Ok(Box::new(receive))
    }

    /// All transmit queues share the sockets, so that a flow keeps its source port whichever worker sends it.
    fn transmit_queue(&mut self) -> Result<Box<dyn TransmitQueue>, PortError> {
        let sockets = Arc::clone(&self.sockets);
        if self.settings.large_segments == LargeSegments::Sockets {
            return Ok(Box::new(UplinkTransmit::new(sockets, None)));
        }
        let name = &sockets.name;
        let invalid = |error: netns::NamespaceError| PortError::Invalid {
            port: name.clone(),
            what: error.to_string(),
        };
        let open = || Paths::new(self.settings.address);
        let paths = netns::inside(self.settings.namespace.as_deref(), open).map_err(invalid)?;
        let paths = paths.map_err(|source| bind_error(name, source))?;
        Ok(Box::new(UplinkTransmit::new(sockets, Some(paths))))
    }
}

/// The name of the uplink TAP of a tunnel endpoint.
pub fn tap_name(local: SocketAddr) -> String {
    tap::name_of(local)
}

fn check(settings: &UplinkSettings, name: &str) -> Result<(), PortError> {
    let range = 1..=SOCKETS_MAX;
    let what = if settings.address.is_unspecified() || settings.address.is_multicast() {
        format!(
            "{} is no address of a tunnel endpoint; give one of this host's own",
            settings.address
        )
    } else if settings.udp_port == 0 {
        "UDP port 0 cannot be received on; VXLAN's is 4789".to_owned()
    } else if !range.contains(&settings.senders) || !range.contains(&settings.receive_queues) {
        format!("senders and receive queues must each be 1 to {SOCKETS_MAX}")
    } else {
        return Ok(());
    };
    Err(PortError::Invalid {
        port: name.to_owned(),
        what,
    })
}

/// Runs in the underlay's namespace: sockets stay in the one they were opened in.
fn open_all(settings: &UplinkSettings, name: &str) -> Result<(UplinkSockets, u32), PortError> {
    let refused = |source| bind_error(name, source);
    let receive = open_receive(settings).map_err(refused)?;
    let any_port = SocketAddr::new(settings.address, 0);
    let send = (0..settings.senders).map(|_| Socket::bind(any_port, Role::Send));
    let send = send.collect::<io::Result<Vec<_>>>().map_err(refused)?;
    let mut offloads = UplinkOffloads {
        segment: true,
        merge: true,
    };
    for socket in &receive {
        offloads.merge &= prepare_receive(socket, settings.address);
    }
    for socket in &send {
        offloads.segment &= prepare_send(socket, settings).map_err(refused)?;
    }
    let tap = OnceLock::new();
    if settings.large_segments == LargeSegments::Tap {
        let opened = UplinkTap::open(SocketAddr::new(settings.address, settings.udp_port));
        _ = tap.set(opened.map_err(|why| not_whole(name, &why))?);
    }
    let sockets = UplinkSockets {
        name: name.to_owned(),
        receive,
        send,
        offloads,
        tap,
        counters: Counters::default(),
    };
    Ok((sockets, underlay::mtu_of(settings.address)))
}

fn not_whole(name: &str, why: &tap::NotWhole) -> PortError {
    PortError::Invalid {
        port: name.to_owned(),
        what: format!("large segments cannot leave whole: {why}; or let it use sockets alone"),
    }
}

/// The uplink TAP, or why there is none.
fn open_tap(settings: &UplinkSettings) -> Result<UplinkTap, String> {
    let local = SocketAddr::new(settings.address, settings.udp_port);
    let opened = netns::inside(settings.namespace.as_deref(), || UplinkTap::open(local));
    let opened = opened.map_err(|error| error.to_string())?;
    opened.map_err(|why| why.to_string())
}

fn open_receive(settings: &UplinkSettings) -> io::Result<Vec<Socket>> {
    let address = SocketAddr::new(settings.address, settings.udp_port);
    let alone = Socket::bind(address, Role::Receive)?;
    if settings.receive_queues == 1 {
        return Ok(vec![alone]);
    }
    // Bound alone first: sockets that share an address would share it with another switch of this host too.
    drop(alone);
    (0..settings.receive_queues)
        .map(|_| Socket::bind(address, Role::ReceiveShare))
        .collect()
}

/// True where the kernel has UDP_GRO. What else is missing is no error: a TTL of 0, a counter less.
fn prepare_receive(socket: &Socket, address: IpAddr) -> bool {
    let options = match address {
        IpAddr::V4(_) => [
            (libc::IPPROTO_IP, libc::IP_RECVTOS),
            (libc::IPPROTO_IP, libc::IP_RECVTTL),
        ],
        IpAddr::V6(_) => {
            // Tunnels over IPv6 may leave the checksum out (RFC 6935; RFC 7348, 4.1).
            let _ = socket.set(libc::SOL_UDP, libc::UDP_NO_CHECK6_RX, 1);
            [
                (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS),
                (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
            ]
        }
    };
    for (level, option) in options {
        let _ = socket.set(level, option, 1);
    }
    let _ = socket.set(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
    socket.set(libc::SOL_UDP, libc::UDP_GRO, 1).is_ok()
}

/// True where the kernel has UDP_SEGMENT.
fn prepare_send(socket: &Socket, settings: &UplinkSettings) -> io::Result<bool> {
    let hops = i32::from(queue::TIME_TO_LIVE);
    match settings.address {
        IpAddr::V4(_) => {
            let discover = if settings.dont_fragment {
                libc::IP_PMTUDISC_DO
            } else {
                libc::IP_PMTUDISC_DONT
            };
            socket.set(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, discover)?;
            socket.set(libc::IPPROTO_IP, libc::IP_TTL, hops)?;
        }
        IpAddr::V6(_) => {
            let discover = if settings.dont_fragment {
                libc::IPV6_PMTUDISC_DO
            } else {
                libc::IPV6_PMTUDISC_DONT
            };
            socket.set(libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, discover)?;
            socket.set(libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, hops)?;
        }
    }
    // 0 means "not by default"; each train names its size. A kernel without it does not know the option.
    Ok(socket.set(libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok())
}

fn bind_error(name: &str, source: io::Error) -> PortError {
    let advice = match source.raw_os_error() {
        Some(libc::EADDRINUSE) => {
            "another switch or a kernel VXLAN device receives there (`ss -lunp`, `ip -d link show type vxlan`): \
             end it, or use another UDP port"
        }
        Some(libc::EADDRNOTAVAIL) => {
            "the address is on no interface here: add it (`ip address add`), or give the tunnel endpoint address \
             of this host"
        }
        Some(libc::EACCES | libc::EPERM) => {
            "the port needs CAP_NET_BIND_SERVICE, or a security policy forbids it"
        }
        Some(libc::EAFNOSUPPORT) => {
            "this kernel has no IP of that version: use the other one for the underlay"
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            "raise the limit of open files (`ulimit -n`), or use fewer senders"
        }
        _ => "look at the underlay's addresses (`ip address`)",
    };
    PortError::Refused {
        port: name.to_owned(),
        what: "opening its UDP sockets",
        source,
        advice,
    }
}
