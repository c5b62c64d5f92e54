//! How long a connection may be silent, by what was seen of it.
//!
//! | what was seen | default | where it comes from |
//! |---|---|---|
//! | TCP SYN only | 120 s | Linux; RFC 5382 REQ-5 asks translators for 4 min, but a retransmitted SYN makes it anew |
//! | TCP SYN and SYN-ACK | 60 s | Linux; as above |
//! | TCP established | 432,000 s (5 days) | Linux; RFC 5382 REQ-5: at least 2 h 4 min |
//! | TCP FIN of one side | 240 s | RFC 5382 REQ-5: transitory at least 4 min (Linux: 120 s) |
//! | TCP FIN of both sides | 60 s | Linux' CLOSE_WAIT (its LAST_ACK: 30 s) |
//! | TCP TIME-WAIT | 120 s | Linux; RFC 9293's 2 MSL is 4 min |
//! | TCP RST | 10 s | Linux |
//! | UDP, no answer | 30 s | Linux |
//! | UDP, answered | 120 s | Linux' stream; RFC 4787 REQ-5: at least 2 min |
//! | UDP, answered and gone on for 2 s | 300 s | RFC 4787 REQ-5: 5 min recommended |
//! | ICMP, ICMPv6 | 60 s | RFC 5508 REQ-2: at least 60 s (Linux: 30 s) |
//! | any other protocol | 600 s | Linux' generic |

use anet_packet::protocol;
use anet_packet::tcp::flag;

use super::layout::Entry;
use super::tcp::TcpState;
use super::ticks::Ticks;
use super::{Connection, Direction};

const SECOND: u64 = 1_000_000_000;
/// A flow that goes on for two seconds is a stream (Linux).
const STREAM: u64 = Ticks::at(2 * SECOND).0;
/// 26 days in ticks: what a half keeps of a time tells 52.
const LONGEST: u64 = 1 << 31;

/// Silences in nanoseconds after which a connection is over. Legal: up to 26 days; longer ones count as 26 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, only the originator's SYN was seen.
    pub tcp_syn_sent: u64,
    /// TCP, the handshake's last ACK is missing.
    pub tcp_syn_received: u64,
    /// TCP, established.
    pub tcp_established: u64,
    /// TCP, one side has sent FIN.
    pub tcp_fin_wait: u64,
    /// TCP, both sides have sent FIN.
    pub tcp_closing: u64,
    /// TCP, closed in order.
    pub tcp_time_wait: u64,
    /// TCP, reset.
    pub tcp_closed: u64,
    /// UDP that nobody has answered.
    pub udp_unreplied: u64,
    /// UDP that was answered.
    pub udp_replied: u64,
    /// UDP that was answered and went on for two seconds: a stream.
    pub udp_assured: u64,
    /// ICMP and ICMPv6.
    pub icmp: u64,
    /// Every other protocol.
    pub other: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_syn_sent: 120 * SECOND,
            tcp_syn_received: 60 * SECOND,
            tcp_established: 432_000 * SECOND,
            tcp_fin_wait: 240 * SECOND,
            tcp_closing: 60 * SECOND,
            tcp_time_wait: 120 * SECOND,
            tcp_closed: 10 * SECOND,
            udp_unreplied: 30 * SECOND,
            udp_replied: 120 * SECOND,
            udp_assured: 300 * SECOND,
            icmp: 60 * SECOND,
            other: 600 * SECOND,
        }
    }
}

/// How far a connection has come: what decides its timeout and whether it may make room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// TCP without a whole handshake, or another protocol without an answer: gives way when the table is full.
    HalfOpen,
    /// Over: TCP after a RST or both FINs. Gives way too.
    Over,
    /// Answered, but nothing shows that it goes on.
    Replied,
    /// TCP established or half closed, or a stream of another protocol.
    Assured,
}

impl Progress {
    /// True where the connection may be dropped for a new one when there is no room.
    pub fn gives_way(self) -> bool {
        matches!(self, Progress::HalfOpen | Progress::Over)
    }
}

/// What ageing needs to know of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) protocol: u8,
    pub(super) state: TcpState,
    pub(super) progress: Progress,
    /// Ticks since the last packet.
    idle: u64,
}

impl Life {
    pub(super) fn of(entry: Entry<'_>, now: Ticks) -> Self {
        let commit = entry.commit();
        let created = entry.created();
        let [original, reply] = Direction::BOTH.map(|direction| entry.last_seen(direction, now));
        let last_seen = [original, reply].into_iter().flatten().fold(created, Ticks::max);
        // The handshake's last ACK may have gone by on the fast path; an originator's SYN carries none.
        let original_half = entry.half(Direction::Original);
        let acknowledged = original_half.tcp_flags(commit.sequence()) & flag::ACK != 0;
        let state = match commit.tcp_state() {
            TcpState::SynReceived if acknowledged => TcpState::Established,
            state => state,
        };
        let stream = original.is_some_and(|at| created.age(at) >= STREAM);
        let progress = match state {
            TcpState::None if reply.is_none() => Progress::HalfOpen,
            TcpState::None if stream => Progress::Assured,
            TcpState::None => Progress::Replied,
            TcpState::SynSent | TcpState::SynReceived => Progress::HalfOpen,
            TcpState::Closing | TcpState::TimeWait | TcpState::Closed => Progress::Over,
            TcpState::Established | TcpState::FinWaitOriginal | TcpState::FinWaitReply => Progress::Assured,
        };
        Self {
            protocol: entry.protocol(),
            state,
            progress,
            idle: last_seen.age(now),
        }
    }

    pub(super) fn is_over(&self, timeouts: &Timeouts) -> bool {
        self.idle > self.allowed(timeouts)
    }

    /// The first tick at which it will be over if no packet comes, for one that is not over at `now`.
    pub(super) fn over_at(&self, timeouts: &Timeouts, now: Ticks) -> Ticks {
        Ticks((now.0 + 1).saturating_add(self.allowed(timeouts).saturating_sub(self.idle)))
    }

    /// Ticks of silence.
    fn allowed(&self, timeouts: &Timeouts) -> u64 {
        Ticks::at(timeouts.silence(self)).0.min(LONGEST)
    }
}

impl Timeouts {
    /// Nanoseconds from `now` until a connection is over if no packet comes.
    pub fn remaining(&self, connection: &Connection, now: u64) -> u64 {
        let last_seen = connection.halves.iter().filter_map(|half| half.last_seen).max();
        let life = Life {
            protocol: connection.tuple.protocol,
            state: connection.tcp_state,
            progress: connection.progress,
            idle: 0,
        };
        let idle = now.saturating_sub(last_seen.unwrap_or(connection.created));
        self.silence(&life).saturating_sub(idle)
    }

    fn silence(&self, life: &Life) -> u64 {
        match (life.state, life.protocol) {
            (TcpState::SynSent, _) => self.tcp_syn_sent,
            (TcpState::SynReceived, _) => self.tcp_syn_received,
            (TcpState::Established, _) => self.tcp_established,
            (TcpState::FinWaitOriginal | TcpState::FinWaitReply, _) => self.tcp_fin_wait,
            (TcpState::Closing, _) => self.tcp_closing,
            (TcpState::TimeWait, _) => self.tcp_time_wait,
            (TcpState::Closed, _) => self.tcp_closed,
            (TcpState::None, protocol::UDP) => match life.progress {
                Progress::Assured => self.udp_assured,
                Progress::Replied | Progress::Over => self.udp_replied,
                Progress::HalfOpen => self.udp_unreplied,
            },
            (TcpState::None, protocol::ICMP | protocol::ICMPV6) => self.icmp,
            (TcpState::None, _) => self.other,
        }
    }
}
