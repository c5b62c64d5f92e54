//! Traffic, and what became of it.
//!
//! [`ping`] and [`iperf`] run the system's tools. [`TcpHold`] and [`PacedUdp`] are threads of this process with
//! sockets inside the guests' namespaces: a TCP stall is a bad clock for gaps (retransmissions at 200 and 600 ms), so
//! gaps are measured with paced UDP and TCP says whether a connection lives.

mod connect;
mod first_echo;
mod iperf;
mod paced_udp;
mod ping;
mod tcp_hold;
mod web;

pub use connect::{Attempt, Listener, attempt};
pub use first_echo::FirstEcho;
pub use iperf::{Throughput, iperf};
pub use paced_udp::{Paced, PacedUdp};
pub use ping::{Pings, ping};
pub use tcp_hold::TcpHold;
pub use web::{WebPage, curl};
