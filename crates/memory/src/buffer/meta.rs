//! What travels beside a packet's bytes: what its checksum is worth, and how it is to be cut.

/// What is known of a transport checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// Nothing: it is in the packet and may be wrong.
    #[default]
    Unknown,
    /// It was verified, or it never crossed a wire.
    Valid,
    /// It holds the pseudo-header sum only (virtio's NEEDS_CSUM): whoever sends the packet to a wire sums from
    /// `start` (bytes from the beginning of the packet; moves with prepend and trim) and writes at `start + offset`.
    Partial {
        /// Where the sum starts.
        start: u16,
        /// Where it is written, counted from `start`.
        offset: u16,
    },
}

/// What kind of large segment a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SegmentKind {
    /// An ordinary packet.
    #[default]
    None,
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP (either family), cut into datagrams.
    Udp,
}

/// A large segment's cut: many packets that travel as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segmentation {
    /// Kind; `None` for an ordinary packet.
    pub kind: SegmentKind,
    /// Payload bytes of each packet once cut.
    pub size: u16,
    /// True where ECN's CWR is to be set on the first packet only (virtio's ECN bit).
    pub ecn: bool,
}

/// What travels beside the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// Which interface it came in by: the vswitch's own number (see `datapath::Interface`).
    pub ingress: u32,
    /// The innermost transport checksum.
    pub checksum: Checksum,
    /// Set on large segments. It is about the innermost transport header; outer length fields of such a packet
    /// say nothing, whoever cuts it writes them.
    pub segmentation: Segmentation,
}
