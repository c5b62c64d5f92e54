//! Frames on their way out: the outer header is read and left off, checksums are finished, large segments are cut, or left
//! whole where there is an uplink TAP that takes them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anet_memory::buffer::{Buffer, SegmentKind};
use anet_packet::segment::{Cut, Network, Transport};
use anet_packet::vxlan;

use super::UplinkSockets;
use super::outer::Outer;
use super::paths::Paths;
use super::pieces::{Pieces, finish_checksum};
use super::queue::{Outgoing, Route, Sent, Storage};
use super::whole::{self, HEADER_BYTES};
use crate::port::{TransmitOutcome, TransmitQueue};

/// Frames that are looked at before any is sent.
const FRAMES: usize = 64;

/// How long an uplink TAP that refused a segment is left alone.
const REFUSED: Duration = Duration::from_secs(1);

/// A frame that is ready to go.
#[derive(Debug, Clone, Copy)]
struct Planned {
    route: Route,
    /// Where it is in the burst.
    index: usize,
    /// Where its UDP payload begins.
    payload_at: usize,
    /// What goes in front of it where it leaves whole.
    whole: Option<[u8; HEADER_BYTES]>,
}

/// The frame is not one that this port can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unsupported;

/// The sending side of the uplink, one per worker.
pub(super) struct UplinkTransmit {
    sockets: Arc<UplinkSockets>,
    storage: Storage,
    planned: Vec<Planned>,
    /// Where there is an uplink TAP.
    paths: Option<Paths>,
    /// When it may be used again.
    cut_until: Option<Instant>,
}

impl UplinkTransmit {
    /// `paths` lead to endpoints for the uplink TAP; without, everything goes over the sockets.
    pub fn new(sockets: Arc<UplinkSockets>, paths: Option<Paths>) -> Self {
        let storage = Storage::new(sockets.offloads.segment);
        Self {
            sockets,
            storage,
            planned: Vec::with_capacity(FRAMES),
            paths,
            cut_until: None,
        }
    }

    fn transmit_part(&mut self, frames: &mut [Buffer], outcome: &mut TransmitOutcome) {
        self.planned.clear();
        for (index, frame) in frames.iter_mut().enumerate() {
            match plan(frame, index, self.sockets.send.len()) {
                Ok((mut planned, outer)) => {
                    planned.whole = self.prepare_whole(frame, &planned, &outer);
                    self.planned.push(planned);
                }
                Err(Unsupported) => outcome.dropped_unsupported += 1,
            }
        }
        // Packets of a flow share a route, so their order stays; one route's datagrams in a row can become a train.
        self.planned
            .sort_unstable_by_key(|p| (p.route.socket, p.route.destination, p.index));
        let mut outgoing = Outgoing::new(&mut self.storage, &self.sockets.send);
        let mut accepted = 0;
        let mut tap = TapUse::default();
        for planned in &self.planned {
            let Some(frame) = frames.get(planned.index) else {
                continue;
            };
            if let Some(header) = &planned.whole {
                // What came before it leaves before it.
                outgoing.flush();
                if tap.write(&self.sockets, header, frame, outcome) {
                    continue;
                }
            }
            match push(&mut outgoing, planned, frame) {
                Ok(()) => {
                    accepted += 1;
                    outcome.sent_bytes += frame.len() as u64;
                }
                Err(Unsupported) => outcome.dropped_unsupported += 1,
            }
        }
        self.sockets.settle(outgoing.finish(), accepted, outcome);
        self.sockets.counters.add_whole(tap.sent, tap.refused);
        if tap.refused > 0 {
            self.cut_until = Some(Instant::now() + REFUSED);
        }
    }

    /// Makes a large segment ready for the uplink TAP, where there is one that takes it. It leaves from the port of the
    /// socket that the rest of its flow leaves by: the underlay sees one flow.
    fn prepare_whole(
        &mut self,
        frame: &mut Buffer,
        planned: &Planned,
        outer: &Outer,
    ) -> Option<[u8; HEADER_BYTES]> {
        let is_tcp = matches!(
            frame.meta.segmentation.kind,
            SegmentKind::TcpV4 | SegmentKind::TcpV6
        );
        let paths = self.paths.as_mut().filter(|_| is_tcp)?;
        self.sockets.tap.get()?;
        let now = Instant::now();
        if self.cut_until.is_some_and(|until| now < until) {
            return None;
        }
        let path = paths.to(outer.destination, now)?;
        let port = self.sockets.send.get(planned.route.socket)?.local().port();
        whole::prepare(frame, (outer, planned.payload_at), port, path)
    }
}

/// What became of large segments that were to leave whole.
#[derive(Debug, Default)]
struct TapUse {
    sent: u32,
    refused: u32,
}

impl TapUse {
    /// Writes one to the uplink TAP. False where it is to be cut instead.
    fn write(
        &mut self,
        sockets: &UplinkSockets,
        header: &[u8; HEADER_BYTES],
        frame: &Buffer,
        outcome: &mut TransmitOutcome,
    ) -> bool {
        let Some(tap) = sockets.tap.get().filter(|_| self.refused == 0) else {
            return false;
        };
        match tap.write(header, frame).map_err(|error| is_full(&error)) {
            Ok(()) => {
                self.sent += 1;
                outcome.sent += 1;
                outcome.sent_bytes += frame.len() as u64;
            }
            Err(true) => outcome.dropped_full += 1,
            Err(false) => {
                self.refused += 1;
                return false;
            }
        }
        true
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM)
    )
}

impl TransmitQueue for UplinkTransmit {
    fn transmit(&mut self, burst: &mut Vec<Buffer>) -> TransmitOutcome {
        let mut outcome = TransmitOutcome::default();
        for part in burst.chunks_mut(FRAMES) {
            self.transmit_part(part, &mut outcome);
        }
        burst.clear();
        outcome
    }
}

impl UplinkSockets {
    /// Books what became of `accepted` frames.
    fn settle(&self, sent: Sent, accepted: u32, outcome: &mut TransmitOutcome) {
        let lost = sent.too_big + sent.full + sent.refused;
        outcome.sent += accepted.saturating_sub(lost);
        outcome.dropped_unsupported += sent.too_big;
        outcome.dropped_full += sent.full;
        outcome.dropped_error += sent.refused;
        self.counters.add(&sent);
        if let Some(errno) = sent.error {
            outcome.error = Some(self.transmit_error(errno));
        }
    }
}

/// Where a frame goes; its checksum is finished where that is left to do and the frame is not to be cut.
fn plan(frame: &mut Buffer, index: usize, sockets: usize) -> Result<(Planned, Outer), Unsupported> {
    let (outer, payload_at) = Outer::parse(frame.head()).ok_or(Unsupported)?;
    if frame.meta.segmentation.kind == SegmentKind::None {
        finish_checksum(frame).map_err(|_| Unsupported)?;
    }
    let route = Route {
        socket: usize::from(outer.source.port()) % sockets.max(1),
        destination: outer.destination,
        traffic_class: outer.traffic_class,
        time_to_live: outer.time_to_live,
    };
    let planned = Planned {
        route,
        index,
        payload_at,
        whole: None,
    };
    Ok((planned, outer))
}

fn push<'f>(
    outgoing: &mut Outgoing<'_, 'f>,
    planned: &Planned,
    frame: &'f Buffer,
) -> Result<(), Unsupported> {
    if frame.meta.segmentation.kind != SegmentKind::None {
        return push_cut(outgoing, planned, frame);
    }
    outgoing.begin_frame();
    let payload = Pieces::from(frame, planned.payload_at);
    outgoing
        .push(planned.route, 0, |_| (), payload)
        .map_err(|_| Unsupported)
}

/// A large segment: headers are written for each packet, the payload goes as it lies.
fn push_cut<'f>(
    outgoing: &mut Outgoing<'_, 'f>,
    planned: &Planned,
    frame: &'f Buffer,
) -> Result<(), Unsupported> {
    let segmentation = frame.meta.segmentation;
    let vxlan_header = frame
        .head()
        .get(planned.payload_at..)
        .and_then(|head| head.get(..vxlan::HEADER_LEN));
    let vxlan_header = vxlan_header.ok_or(Unsupported)?;
    let inner_at = planned.payload_at + vxlan::HEADER_LEN;
    let inner = frame.head().get(inner_at..).ok_or(Unsupported)?;
    let cut = Cut::new(inner, frame.len() - inner_at, segmentation.size, segmentation.ecn)
        .map_err(|_| Unsupported)?;
    let layout = cut.layout();
    let kind = match (layout.transport, layout.network) {
        (Transport::Tcp, Network::V4) => SegmentKind::TcpV4,
        (Transport::Tcp, Network::V6) => SegmentKind::TcpV6,
        (Transport::Udp, _) => SegmentKind::Udp,
    };
    if kind != segmentation.kind {
        return Err(Unsupported);
    }
    outgoing.begin_frame();
    let mut rest = Pieces::from(frame, inner_at + cut.header_len());
    for index in 0..cut.count() {
        let payload = rest.split_front(cut.payload(index).len());
        let sum = payload.clone().sum();
        let write = |to: &mut [u8]| {
            let (first, inner) = to.split_at_mut(vxlan::HEADER_LEN);
            first.copy_from_slice(vxlan_header);
            cut.write_headers(index, sum, inner);
        };
        let header_len = vxlan::HEADER_LEN + cut.header_len();
        outgoing
            .push(planned.route, header_len, write, payload)
            .map_err(|_| Unsupported)?;
    }
    Ok(())
}
