//! The states of a TCP connection as a firewall in the middle sees them.
//!
//! It follows flags only, not sequence numbers: a guest that lies about its own connection harms nobody else, and its
//! peer still checks sequence numbers itself (RFC 9293, RFC 5961). Names are RFC 9293's where the meaning is the same.
//!
//! ```text
//! SynSent ─SYN of responder▶ SynReceived ─ACK of originator▶ Established ─FIN▶ FinWait ─FIN of the other▶ Closing ─ACK▶ TimeWait
//!     any state ─RST▶ Closed          a SYN in TimeWait or Closed is a new connection: see `TcpState::reopens`
//! ```

use anet_packet::tcp::flag;

use super::Direction;

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum TcpState {
    /// Not TCP.
    #[default]
    None,
    /// The originator's SYN was seen.
    SynSent,
    /// The responder has answered with SYN.
    SynReceived,
    /// The handshake is over, or the connection was picked up in mid-stream.
    Established,
    /// The originator has sent FIN.
    FinWaitOriginal,
    /// The responder has sent FIN.
    FinWaitReply,
    /// Both have sent FIN.
    Closing,
    /// Both FINs were sent and something was acknowledged after.
    TimeWait,
    /// A RST was seen.
    Closed,
}

impl TcpState {
    const ALL: [TcpState; 9] = [
        TcpState::None,
        TcpState::SynSent,
        TcpState::SynReceived,
        TcpState::Established,
        TcpState::FinWaitOriginal,
        TcpState::FinWaitReply,
        TcpState::Closing,
        TcpState::TimeWait,
        TcpState::Closed,
    ];

    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    pub(super) fn from_code(code: u8) -> Self {
        Self::ALL
            .get(usize::from(code))
            .copied()
            .unwrap_or(TcpState::Closed)
    }

    /// The state after the packet that made the connection: its flags, and whether it was picked up in mid-stream (which a SYN never is).
    pub fn first(flags: u8, picked_up: bool) -> Self {
        let begins = flags & (flag::SYN | flag::ACK) == flag::SYN;
        let start = if picked_up && !begins {
            TcpState::Established
        } else {
            TcpState::SynSent
        };
        start.after(Direction::Original, flags)
    }

    /// The state after a packet with these flags in that direction.
    #[must_use]
    pub fn after(self, direction: Direction, flags: u8) -> Self {
        use Direction::{Original, Reply};
        let has = |bits: u8| flags & bits != 0;
        match (self, direction) {
            (TcpState::None, _) => TcpState::None,
            _ if has(flag::RST) => TcpState::Closed,
            (TcpState::SynSent, Reply) if has(flag::SYN) => TcpState::SynReceived,
            (TcpState::SynReceived, _) if has(flag::SYN) => self,
            (TcpState::SynReceived, Original) if has(flag::FIN) => TcpState::FinWaitOriginal,
            (TcpState::SynReceived, Original) if has(flag::ACK) => TcpState::Established,
            (TcpState::Established | TcpState::SynReceived, Original) if has(flag::FIN) => {
                TcpState::FinWaitOriginal
            }
            (TcpState::Established | TcpState::SynReceived, Reply) if has(flag::FIN) => {
                TcpState::FinWaitReply
            }
            (TcpState::FinWaitOriginal, Reply) | (TcpState::FinWaitReply, Original) if has(flag::FIN) => {
                TcpState::Closing
            }
            (TcpState::Closing, _) if has(flag::ACK) && !has(flag::FIN | flag::SYN) => TcpState::TimeWait,
            _ => self,
        }
    }

    /// True for a SYN that starts a new connection on the tuple of one that is over (RFC 9293 section 3.6.1): close
    /// the old one with [`super::CloseReason::Reopened`] and create it anew.
    pub fn reopens(self, flags: u8) -> bool {
        let fresh_syn = flags & (flag::SYN | flag::ACK | flag::RST | flag::FIN) == flag::SYN;
        fresh_syn && matches!(self, TcpState::Closing | TcpState::TimeWait | TcpState::Closed)
    }

    /// True where packets may go by without being told to [`super::Connections::tcp_observe`], unless they carry SYN, FIN or RST.
    pub fn is_settled(self) -> bool {
        matches!(
            self,
            TcpState::None | TcpState::Established | TcpState::FinWaitOriginal | TcpState::FinWaitReply
        )
    }
}
