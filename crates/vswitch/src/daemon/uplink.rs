//! How large segments leave through the uplink: found out beside the packets, told once, and its TAP kept for the next run.

use std::net::SocketAddr;

use anet_ports::kernel::uplink::{LargeSegments, Uplink, tap_name};

use super::devices::Open;
use super::{Daemon, Message};
use crate::clock::MILLISECOND;
use crate::core::attachments::{Device, Key, TUNNEL};
use crate::log;

/// How long after it is open the uplink is tried: devices are made and taken away for that, behind which ports that are
/// to be opened would wait.
pub(super) const TRIAL: u64 = 500 * MILLISECOND;

impl Daemon {
    /// The uplink finds out how large segments can leave; it is told by a message.
    pub(super) fn try_uplink(&mut self) {
        self.uplink_trial_at = None;
        let Some(uplink) = self.uplink() else {
            return;
        };
        let found = match (self.large_segments, uplink.whole_through()) {
            (_, Some(tap)) => Ok(tap.to_owned()),
            (LargeSegments::Auto, None) => {
                let sender = self.sender.clone();
                let tell = move |found: Result<&str, String>| {
                    // Nobody is there only where all of it ends.
                    let _ = sender.send(Message::Uplink(found.map(str::to_owned)));
                };
                match uplink.try_tap(tell) {
                    Ok(()) => return,
                    Err(error) => Err(format!("no thread to try it: {error}")),
                }
            }
            (_, None) => Err("as --uplink says".to_owned()),
        };
        self.uplink_found(found);
    }

    /// What was found out. A new TAP is noted before it is made to stay, so that a kill in between leaves none behind.
    pub(super) fn uplink_found(&mut self, found: Result<String, String>) {
        let tap = match found {
            Ok(tap) => tap,
            Err(why) => {
                return log::line(format_args!(
                    "port {TUNNEL}: large TCP segments are cut here and leave by UDP sockets: {why}"
                ));
            }
        };
        let Some(uplink) = self
            .uplink()
            .filter(|uplink| uplink.whole_through() == Some(&tap))
        else {
            // Found of one that was closed meanwhile.
            return;
        };
        log::line(format_args!(
            "port {TUNNEL}: large TCP segments leave whole, through {tap}"
        ));
        // One that could not be told from others would stay for ever: it goes with this run.
        let Some(identity) = uplink.tap_identity() else {
            return;
        };
        if !self.taps.has(identity) {
            self.taps.add(&tap, None, identity);
        }
        if let Some(Err(error)) = self.uplink().map(Uplink::keep_tap) {
            log::line(error);
        }
    }

    /// The name of the uplink TAP that the plan's tunnel has or may get.
    pub(super) fn wanted_uplink_tap(&self) -> Option<String> {
        match &self.attachments.wanted(&Key::Uplink)?.device {
            Device::Tunnel { address, udp_port } if self.large_segments != LargeSegments::Sockets => {
                Some(tap_name(SocketAddr::new(*address, *udp_port)))
            }
            _ => None,
        }
    }

    fn uplink(&self) -> Option<&Uplink> {
        match &self.open.get(&Key::Uplink)?.device {
            Open::Uplink(uplink) => Some(uplink),
            _ => None,
        }
    }
}
